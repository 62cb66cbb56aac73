-- Who was active on the run's day and in the 28 days to it is what the timeline says; every visit is in exactly one month;
-- and who is in a short window is in the longer ones.
{{ config(meta={'dagster': {'ref': {'name': 'engagement_monthly'}}}) }}

with

engagement as (select * from {{ ref('engagement_monthly') }}),

customers as (select * from {{ ref('customer_360') }}),

timeline as (
    select *
    from {{ ref('int_timeline') }}
    where not is_machine and occurred_at >= {{ add_days(as_of_end(), '-30') }}
),

touchpoint_types as (select * from {{ ref('touchpoint_types') }} where is_human_activity),

days as (
    select distinct
        timeline.customer_id,
        {{ local_date('timeline.occurred_at') }} as active_date
    from timeline
    semi join touchpoint_types on timeline.event_name = touchpoint_types.event_name
),

people as (
    select
        count(distinct case when active_date = {{ as_of_date() }} then customer_id end)
            as active_1d_count,
        count(
            distinct case
                when active_date > cast({{ as_of_date() }} - 28 as date) then customer_id
            end
        ) as active_28d_count
    from days
),

last_months as (
    select *
    from engagement
    where engagement_month = cast(date_trunc('month', {{ as_of_date() }}) as date)
),

visits as (
    select cast(coalesce(sum(visit_count), 0) as bigint) as visit_count
    from customers
),

visits_of_months as (
    select cast(coalesce(sum(visit_count), 0) as bigint) as visit_count
    from engagement
),

differences as (
    select
        'last day' as place,
        people.active_28d_count as expected_count,
        last_months.active_28d_count as found_count
    from people
    left join last_months on last_months.engagement_month is not null
    where people.active_28d_count is distinct from coalesce(last_months.active_28d_count, 0)
        or people.active_1d_count is distinct from coalesce(last_months.active_1d_count, 0)
    union all
    select
        'visits' as place,
        visits.visit_count as expected_count,
        visits_of_months.visit_count as found_count
    from visits
    cross join visits_of_months
    where visits.visit_count != visits_of_months.visit_count
    union all
    select
        'windows' as place,
        active_28d_count as expected_count,
        active_1d_count as found_count
    from engagement
    where active_1d_count > active_7d_count
        or active_7d_count > active_28d_count
        or monthly_active_count > active_day_count
        or active_day_count > monthly_active_count * day_count
)

select * from differences
