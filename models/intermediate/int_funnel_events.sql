-- Grain: one row per event and step of a funnel that it is (seeds/funnel_steps.csv); what begins a funnel that counts
-- first attempts alone is there once per customer. Nobody places a renewal, so it is no step.

with

-- Each read once, for what it is asked: a timeline that is kept for three readers is a second timeline.
timeline as (
    select * from {{ ref('int_timeline') }} where event_name != 'order_placed' and not is_machine
),

timeline_orders as (
    select * from {{ ref('int_timeline') }} where event_name = 'order_placed' and not is_machine
),

timeline_details as (select * from {{ ref('int_timeline') }} where not is_machine),

touchpoints as (select * from {{ ref('stg_touchpoints') }} where step_name is not null),

orders as (select * from {{ ref('int_orders') }} where is_renewal),

funnel_steps as (select * from {{ ref('funnel_steps') }}),

plain_steps as (select * from funnel_steps where step_detail is null),

detailed_steps as (
    select
        funnel_name,
        step_number,
        event_name,
        lower(step_detail) as step_detail,
        window_hours,
        is_first_attempt_only
    from funnel_steps
    where step_detail is not null
),

renewals as (
    select concat_ws(':', 'order', order_key) as event_id
    from orders
),

-- Only what the seed asks for: mostly nothing.
details as (
    select
        concat_ws(':', 'touchpoint', touchpoints.source_system, touchpoints.touchpoint_id)
            as event_id,
        lower(touchpoints.step_name) as step_detail
    from touchpoints
    semi join detailed_steps on lower(touchpoints.step_name) = detailed_steps.step_detail
),

orders_placed as (
    select timeline_orders.*
    from timeline_orders
    anti join renewals on timeline_orders.event_id = renewals.event_id
),

events_matched as (
    select
        timeline.customer_id,
        plain_steps.funnel_name,
        plain_steps.step_number,
        plain_steps.window_hours,
        plain_steps.is_first_attempt_only,
        timeline.occurred_at
    from timeline
    inner join plain_steps on timeline.event_name = plain_steps.event_name
    union all
    select
        orders_placed.customer_id,
        plain_steps.funnel_name,
        plain_steps.step_number,
        plain_steps.window_hours,
        plain_steps.is_first_attempt_only,
        orders_placed.occurred_at
    from orders_placed
    inner join plain_steps on orders_placed.event_name = plain_steps.event_name
    union all
    select
        timeline_details.customer_id,
        detailed_steps.funnel_name,
        detailed_steps.step_number,
        detailed_steps.window_hours,
        detailed_steps.is_first_attempt_only,
        timeline_details.occurred_at
    from timeline_details
    inner join details on timeline_details.event_id = details.event_id
    inner join detailed_steps
        on timeline_details.event_name = detailed_steps.event_name
        and details.step_detail = detailed_steps.step_detail
),

first_events as (
    select
        customer_id,
        funnel_name,
        step_number,
        window_hours,
        min(occurred_at) as occurred_at
    from events_matched
    where step_number = 1 and is_first_attempt_only
    group by customer_id, funnel_name, step_number, window_hours
),

events as (
    select
        -- keys
        customer_id,
        funnel_name,
        step_number,
        -- facts
        window_hours,
        -- times
        occurred_at
    from events_matched
    where step_number > 1 or not is_first_attempt_only
    union all
    select
        customer_id,
        funnel_name,
        step_number,
        window_hours,
        occurred_at
    from first_events
)

select * from events
