-- Grain: one row per month of the reporting zone in which attempts at a funnel began, funnel and step of it.
-- Attempts whose window has not passed by the end of the run's day are left out.

with

steps_reached as (select * from {{ ref('int_funnel_steps_reached') }}),

funnel_steps as (select * from {{ ref('funnel_steps') }}),

months as (select * from {{ ref('int_months') }}),

-- A step may be any of several events.
steps as (
    select
        funnel_name,
        step_number,
        min(step_name) as step_name,
        max(window_hours) as window_hours
    from funnel_steps
    group by funnel_name, step_number
),

reached as (
    select
        funnel_name,
        step_number,
        began_month,
        count(*) as reached_count,
        median({{ days_between('previous_reached_at', 'reached_at') }} * 1440)
            as median_minutes_from_previous
    from steps_reached
    group by funnel_name, step_number, began_month
),

entered as (select * from reached where step_number = 1),

counted as (
    select
        entered.began_month,
        steps.funnel_name,
        steps.step_number,
        steps.step_name,
        steps.window_hours,
        cast(entered.reached_count as bigint) as entered_count,
        cast(coalesce(reached.reached_count, 0) as bigint) as reached_count,
        reached.median_minutes_from_previous
    from entered
    inner join steps on entered.funnel_name = steps.funnel_name
    left join reached
        on entered.began_month = reached.began_month
        and steps.funnel_name = reached.funnel_name
        and steps.step_number = reached.step_number
),

counted_with_next as (
    select
        *,
        lead(reached_count) over funnel as next_count,
        lead(median_minutes_from_previous) over funnel as median_minutes_to_next
    from counted
    window funnel as (
        partition by began_month, funnel_name order by step_number asc nulls last
    )
),

funnels as (
    select
        -- keys
        counted_with_next.began_month as funnel_month,
        counted_with_next.funnel_name,
        cast(counted_with_next.step_number as bigint) as step_number,
        -- facts
        counted_with_next.step_name,
        cast(counted_with_next.window_hours as double) as window_hours,
        coalesce(
            months.is_complete
            and {{ add_days('months.month_ends_at', 'counted_with_next.window_hours / 24.0') }}
            <= {{ as_of_end() }},
            false
        ) as is_complete,
        counted_with_next.entered_count,
        counted_with_next.reached_count,
        cast(counted_with_next.reached_count as double)
        / nullif(counted_with_next.entered_count, 0) as reached_rate,
        cast(counted_with_next.next_count as bigint) as next_count,
        cast(counted_with_next.next_count as double)
        / nullif(counted_with_next.reached_count, 0) as conversion_rate,
        cast(counted_with_next.reached_count - counted_with_next.next_count as bigint)
            as dropped_count,
        cast(counted_with_next.reached_count - counted_with_next.next_count as double)
        / nullif(counted_with_next.reached_count, 0) as drop_off_rate,
        cast(counted_with_next.median_minutes_to_next as double) as median_minutes_to_next
    from counted_with_next
    left join months on counted_with_next.began_month = months.month
)

select * from funnels
