-- Grain: one row per touch: what somebody did in one visit, else in one channel and campaign on one day, at its beginning.

with

timeline as (
    select *
    from {{ ref('int_timeline') }}
    where is_touchpoint and not is_machine and channel is not null
),

touchpoint_types as (select * from {{ ref('touchpoint_types') }}),

exclusions as (select * from {{ ref('attribution_exclusions') }}),

stops as (select * from {{ ref('int_attribution_stops') }}),

event_names as (
    select touchpoint_types.event_name
    from touchpoint_types
    anti join exclusions on touchpoint_types.event_name = exclusions.event_name
    where touchpoint_types.is_human_activity
),

events as (
    select
        timeline.customer_id,
        timeline.source_system,
        timeline.session_id,
        stops.stop_number,
        timeline.occurred_at
    from timeline
    inner join event_names on timeline.event_name = event_names.event_name
    inner join stops
        on timeline.channel = stops.source_channel
        and coalesce(timeline.campaign_id, '(none)') = stops.campaign_id
),

-- What comes first says how the visit came about; at one moment that is what is not direct.
visits as (
    select
        customer_id,
        {{ earliest_value('stop_number', 'occurred_at') }} as stop_number,
        min(occurred_at) as touched_at
    from events
    where session_id is not null
    group by
        customer_id,
        source_system,
        session_id
),

single_events as (
    select
        customer_id,
        stop_number,
        {{ local_date('occurred_at') }} as touch_date,
        occurred_at
    from events
    where session_id is null
),

days as (
    select
        customer_id,
        stop_number,
        min(occurred_at) as touched_at
    from single_events
    group by
        customer_id,
        stop_number,
        touch_date
),

touches_unioned as (
    select * from visits
    union all
    select * from days
),

touches as (
    select
        -- keys
        customer_id,
        stop_number,
        -- times
        touched_at
    from touches_unioned
)

select * from touches
