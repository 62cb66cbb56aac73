-- Grain: one row per session of an identified customer with a help page or a bot, and what became of it.
-- Where a source names no session, a day of the customer is one.

with

timeline as (
    select *
    from {{ ref('int_timeline') }}
    where event_name in ('help_viewed', 'bot_session') and is_touchpoint and not is_machine
),

identifications as (select * from {{ ref('int_identifications') }}),

tickets as (
    select * from {{ ref('int_tickets') }} where is_counted and customer_id is not null
),

settings as (select * from {{ ref('stg_metric_settings') }}),

-- Who said later who they are did so, it may be, because they wrote: their visits before would all have failed.
events as (
    select
        timeline.customer_id,
        timeline.source_system,
        coalesce(
            timeline.session_id, cast({{ local_date('timeline.occurred_at') }} as string)
        ) as session_name,
        timeline.event_name,
        timeline.occurred_at
    from timeline
    inner join identifications
        on timeline.customer_id = identifications.customer_id
        and timeline.occurred_at >= identifications.identified_at
),

sessions as (
    select
        customer_id,
        source_system,
        session_name,
        case when bool_or(event_name = 'bot_session') then 'bot' else 'help' end as session_kind,
        min(occurred_at) as started_at,
        max(occurred_at) as last_event_at
    from events
    group by customer_id, source_system, session_name
),

sessions_watched as (
    select
        sessions.*,
        {{ add_days('sessions.last_event_at', 'settings.deflection_hours / 24') }} as watched_to_at
    from sessions
    cross join settings
),

sessions_written_after as (
    select
        sessions_watched.customer_id,
        sessions_watched.source_system,
        sessions_watched.session_name,
        bool_or(tickets.is_handed_over_from_bot) as is_handed_over
    from sessions_watched
    inner join tickets
        on sessions_watched.customer_id = tickets.customer_id
        and sessions_watched.started_at <= tickets.opened_at
        and sessions_watched.watched_to_at > tickets.opened_at
    group by
        sessions_watched.customer_id,
        sessions_watched.source_system,
        sessions_watched.session_name
),

published as (
    select
        -- keys
        sessions_watched.customer_id,
        sessions_watched.source_system,
        sessions_watched.session_name,
        -- facts
        sessions_watched.session_kind,
        case
            when sessions_watched.watched_to_at > {{ as_of_end() }} then 'pending'
            when sessions_written_after.is_handed_over then 'handed_over'
            when sessions_written_after.customer_id is not null then 'ticket'
            else 'deflected'
        end as session_outcome,
        -- times
        sessions_watched.started_at,
        {{ local_month('sessions_watched.started_at') }} as started_month
    from sessions_watched
    left join sessions_written_after
        on sessions_watched.customer_id = sessions_written_after.customer_id
        and sessions_watched.source_system = sessions_written_after.source_system
        and sessions_watched.session_name = sessions_written_after.session_name
)

select * from published
