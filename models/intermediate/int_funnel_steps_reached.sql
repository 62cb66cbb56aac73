-- Grain: one row per matured attempt at a funnel and step that it reached.
-- A step counts when it happens in the attempt and not before the step that precedes it: each is the earliest that can.

with

attempts as (select * from {{ ref('int_funnel_attempts') }}),

later_steps as (select * from {{ ref('int_funnel_events') }} where step_number > 1),

-- Most orders are placed by people who are in no attempt just then: they need not be put in order.
spans as (
    select
        customer_id,
        funnel_name,
        min(began_at) as first_began_at,
        max(ends_at) as last_ends_at
    from attempts
    group by customer_id, funnel_name
),

later_events as (
    select later_steps.*
    from later_steps
    inner join spans
        on later_steps.customer_id = spans.customer_id
        and later_steps.funnel_name = spans.funnel_name
    where
        later_steps.occurred_at >= spans.first_began_at
        and later_steps.occurred_at < spans.last_ends_at
),

moments as (
    select
        customer_id,
        funnel_name,
        cast(1 as bigint) as step_number,
        began_at,
        ends_at,
        began_at as occurred_at
    from attempts
    union all
    select
        customer_id,
        funnel_name,
        step_number,
        cast(null as timestamp) as began_at,
        cast(null as timestamp) as ends_at,
        occurred_at
    from later_events
),

-- Attempts follow one another, so the latest begun is the one that goes on.
moments_placed as (
    select
        customer_id,
        funnel_name,
        step_number,
        max(began_at) over attempt as began_at,
        max(ends_at) over attempt as ends_at,
        occurred_at
    from moments
    window attempt as (
        partition by customer_id, funnel_name
        order by occurred_at asc nulls last, step_number asc nulls last
        rows between unbounded preceding and current row
    )
),

events as (
    select *
    from moments_placed
    where step_number > 1 and occurred_at < ends_at
),

reached_1 as (
    select
        customer_id,
        funnel_name,
        began_month,
        began_at,
        cast(1 as bigint) as step_number,
        began_at as reached_at,
        cast(null as timestamp) as previous_reached_at
    from attempts
    where is_matured
),

reached_2 as (
    {{ funnel_step_reached(2) }}
),

reached_3 as (
    {{ funnel_step_reached(3) }}
),

reached_4 as (
    {{ funnel_step_reached(4) }}
),

reached_5 as (
    {{ funnel_step_reached(5) }}
),

reached_6 as (
    {{ funnel_step_reached(6) }}
),

reached_7 as (
    {{ funnel_step_reached(7) }}
),

reached_8 as (
    {{ funnel_step_reached(8) }}
),

reached_unioned as (
    select * from reached_1
    union all
    select * from reached_2
    union all
    select * from reached_3
    union all
    select * from reached_4
    union all
    select * from reached_5
    union all
    select * from reached_6
    union all
    select * from reached_7
    union all
    select * from reached_8
),

steps_reached as (
    select
        -- keys
        customer_id,
        funnel_name,
        step_number,
        -- times
        began_month,
        began_at,
        previous_reached_at,
        reached_at
    from reached_unioned
)

select * from steps_reached
