-- Grain: one row per touch: what somebody did in one visit, else in one channel and campaign on one day; its first event.

with

timeline as (
    select *
    from {{ ref('int_timeline') }}
    where is_touchpoint and not is_machine and channel is not null
),

touchpoint_types as (select * from {{ ref('touchpoint_types') }}),

exclusions as (select * from {{ ref('attribution_exclusions') }}),

channels as (select * from {{ ref('channels') }}),

event_names as (
    select touchpoint_types.event_name
    from touchpoint_types
    anti join exclusions on touchpoint_types.event_name = exclusions.event_name
    where touchpoint_types.is_human_activity
),

-- A channel that is not listed counts under its own name.
events as (
    select
        timeline.customer_id,
        timeline.event_id,
        timeline.source_system,
        timeline.session_id,
        coalesce(channels.channel_group, timeline.channel) as channel,
        coalesce(timeline.campaign_id, '(none)') as campaign_id,
        coalesce(channels.attribution_role = 'direct', false) as is_direct,
        timeline.occurred_at
    from timeline
    inner join event_names on timeline.event_name = event_names.event_name
    left join channels on timeline.channel = channels.channel
    where channels.attribution_role is distinct from 'ignored'
),

visit_events as (
    select
        customer_id,
        event_id,
        channel,
        campaign_id,
        is_direct,
        occurred_at,
        row_number() over (
            partition by
                customer_id,
                source_system,
                session_id
            order by occurred_at asc nulls last, event_id asc nulls last
        ) as event_number
    from events
    where session_id is not null
),

single_events as (
    select
        *,
        {{ local_date('occurred_at') }} as touch_date
    from events
    where session_id is null
),

day_events as (
    select
        customer_id,
        event_id,
        channel,
        campaign_id,
        is_direct,
        occurred_at,
        row_number() over (
            partition by
                customer_id,
                touch_date,
                channel,
                campaign_id
            order by occurred_at asc nulls last, event_id asc nulls last
        ) as event_number
    from single_events
),

events_numbered as (
    select * from visit_events
    union all
    select * from day_events
),

touches as (
    select
        -- keys
        customer_id,
        event_id,
        -- facts
        channel,
        campaign_id,
        is_direct,
        -- times
        occurred_at as touched_at
    from events_numbered
    where event_number = 1
)

select * from touches
