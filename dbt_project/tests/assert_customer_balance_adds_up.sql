-- Opening + new + reactivated - churned = closing, and the next opening; every closing is what the daily counts say of
-- its day, the last one what customer_360 says, every churn a move of lifecycle_transitions.
{{ config(meta={'dagster': {'ref': {'name': 'customer_balance_monthly'}}}) }}

with

balances as (select * from {{ ref('customer_balance_monthly') }}),

daily as (select * from {{ ref('lifecycle_stage_daily') }} where scheme = 'lifecycle'),

transitions as (select * from {{ ref('lifecycle_transitions') }}),

customers as (select * from {{ ref('customer_360') }}),

stages as (select * from {{ ref('lifecycle_stages') }}),

balances_compared as (
    select
        *,
        lag(closing_count) over (order by balance_month asc nulls last) as previous_closing_count
    from balances
),

days_counted as (
    select
        cast(date_trunc('month', daily.stage_date) as date) as balance_month,
        cast(sum(case when stages.is_active then daily.customer_count else 0 end) as bigint)
            as active_count
    from daily
    inner join stages on daily.stage = stages.stage
    where daily.stage_date = last_day(daily.stage_date) or daily.stage_date = {{ as_of_date() }}
    group by cast(date_trunc('month', daily.stage_date) as date)
),

exits_counted as (
    select
        {{ local_month('transitions.moved_at') }} as balance_month,
        cast(count(*) as bigint) as exit_count
    from transitions
    inner join stages as from_stages on transitions.from_stage = from_stages.stage
    inner join stages as to_stages on transitions.to_stage = to_stages.stage
    where from_stages.is_active and not to_stages.is_active
    group by {{ local_month('transitions.moved_at') }}
),

totals as (
    select
        (
            select closing_count
            from balances
            where balance_month = cast(date_trunc('month', {{ as_of_date() }}) as date)
        ) as closing_count,
        (
            select cast(count(*) as bigint)
            from customers
            inner join stages on customers.lifecycle_stage = stages.stage
            where stages.is_active
        ) as active_count
),

differences as (
    select
        'balance' as place,
        balance_month
    from balances_compared
    where opening_count + new_count + reactivated_count - churned_count != closing_count
        or opening_count != coalesce(previous_closing_count, 0)
        or least(opening_count, new_count, reactivated_count, churned_count, closing_count) < 0
        or churned_from_opening_count > least(opening_count, churned_count)
        or reactivated_from_opening_count > least(inactive_opening_count, reactivated_count)
    union all
    select
        'days' as place,
        days_counted.balance_month
    from days_counted
    left join balances on days_counted.balance_month = balances.balance_month
    where days_counted.active_count != coalesce(balances.closing_count, 0)
    union all
    select
        'moves' as place,
        coalesce(balances.balance_month, exits_counted.balance_month) as balance_month
    from balances
    full outer join exits_counted on balances.balance_month = exits_counted.balance_month
    where coalesce(balances.churned_count, 0) != coalesce(exits_counted.exit_count, 0)
    union all
    select
        'last month' as place,
        {{ as_of_date() }} as balance_month
    from totals
    where coalesce(closing_count, 0) != active_count
)

select * from differences
