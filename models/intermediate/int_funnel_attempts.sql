-- Grain: one row per attempt at a funnel.
-- An attempt begins with a first step. Somebody who keeps coming back without a pause as long as the window is counted
-- anew with each window since they came; an attempt ends with its window, or where the next one begins.

with

first_steps as (select * from {{ ref('int_funnel_events') }} where step_number = 1),

first_steps_compared as (
    select
        *,
        lag(occurred_at) over (
            partition by customer_id, funnel_name order by occurred_at asc nulls last
        ) as previous_at
    from first_steps
),

visits as (
    select
        customer_id,
        funnel_name,
        window_hours,
        occurred_at,
        max(
            case
                when previous_at is null
                    or occurred_at >= {{ add_days('previous_at', 'window_hours / 24.0') }}
                    then occurred_at
            end
        ) over (
            partition by customer_id, funnel_name
            order by occurred_at asc nulls last
            rows between unbounded preceding and current row
        ) as came_at
    from first_steps_compared
),

windows as (
    select
        customer_id,
        funnel_name,
        window_hours,
        came_at,
        floor({{ days_between('came_at', 'occurred_at') }} * 24 / nullif(window_hours, 0))
            as window_number,
        min(occurred_at) as began_at
    from visits
    group by
        customer_id,
        funnel_name,
        window_hours,
        came_at,
        floor({{ days_between('came_at', 'occurred_at') }} * 24 / nullif(window_hours, 0))
),

attempts_bounded as (
    select
        *,
        {{ add_days('began_at', 'window_hours / 24.0') }} as window_ends_at,
        lead(began_at) over (
            partition by customer_id, funnel_name order by began_at asc nulls last
        ) as next_began_at
    from windows
),

attempts as (
    select
        -- keys
        customer_id,
        funnel_name,
        -- facts
        window_hours,
        window_ends_at <= {{ as_of_end() }} as is_matured,
        -- times
        {{ local_month('began_at') }} as began_month,
        began_at,
        least(window_ends_at, coalesce(next_began_at, window_ends_at)) as ends_at
    from attempts_bounded
)

select * from attempts
