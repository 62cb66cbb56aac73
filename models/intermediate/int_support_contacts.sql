-- Grain: one row per ticket, call, chat and conversation with a bot, also of nobody known.

with

tickets as (select * from {{ ref('int_tickets') }} where is_counted),

touchpoints as (
    select *
    from {{ ref('int_service_touchpoints') }}
    where event_name != 'survey_sent' and not is_machine
),

contacts as (
    select
        -- keys
        concat_ws(':', 'ticket', source_system, ticket_id) as event_id,
        -- facts
        'ticket' as contact_kind,
        ticket_channel as contact_channel,
        -- times
        opened_at as contacted_at
    from tickets
    union all
    select
        -- keys
        concat_ws(':', 'touchpoint', source_system, touchpoint_id) as event_id,
        -- facts
        event_name as contact_kind,
        coalesce(channel, '(none)') as contact_channel,
        -- times
        occurred_at as contacted_at
    from touchpoints
)

select * from contacts
