-- Yesterday's count + entered - left = today's, for every stage; the stages of every scheme hold everybody seen by then;
-- and the last day is what the customers' own rows say.
{{ config(meta={'dagster': {'ref': {'name': 'lifecycle_stage_daily'}}}) }}

with

daily as (select * from {{ ref('lifecycle_stage_daily') }}),

customers as (select * from {{ ref('customer_360') }} where first_seen_at is not null),

customer_stages as (select * from {{ ref('customer_scheme_stages') }}),

daily_compared as (
    select
        *,
        lag(customer_count)
            over (partition by scheme, stage order by stage_date asc nulls last)
            as previous_count
    from daily
),

seen as (
    select
        {{ local_date('first_seen_at') }} as seen_date,
        cast(count(*) as bigint) as seen_count
    from customers
    group by {{ local_date('first_seen_at') }}
),

totals as (
    select
        scheme,
        stage_date,
        cast(sum(customer_count) as bigint) as customer_count
    from daily
    group by scheme, stage_date
),

totals_compared as (
    select
        totals.scheme,
        totals.stage_date,
        totals.customer_count,
        cast(sum(seen.seen_count) as bigint) as seen_count
    from totals
    inner join seen on totals.stage_date >= seen.seen_date
    group by totals.scheme, totals.stage_date, totals.customer_count
),

members as (
    select
        customer_stages.scheme,
        customer_stages.stage,
        cast(count(*) as bigint) as member_count
    from customer_stages
    inner join customers on customer_stages.customer_id = customers.customer_id
    group by customer_stages.scheme, customer_stages.stage
),

last_day as (
    select *
    from daily
    where stage_date = {{ as_of_date() }}
),

differences as (
    select
        'balance' as place,
        scheme,
        stage
    from daily_compared
    where customer_count < 0
        or customer_count != coalesce(previous_count, 0) + entered_count - left_count
    union all
    select
        'total' as place,
        scheme,
        cast(stage_date as string) as stage
    from totals_compared
    where customer_count != seen_count
    union all
    select
        'last day' as place,
        coalesce(last_day.scheme, members.scheme) as scheme,
        coalesce(last_day.stage, members.stage) as stage
    from last_day
    full outer join members
        on last_day.scheme = members.scheme
        and last_day.stage = members.stage
    where coalesce(last_day.customer_count, 0) != coalesce(members.member_count, 0)
)

select * from differences
