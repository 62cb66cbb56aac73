-- Grain: one row per touchpoint of a message that was sent to somebody: which message it was, and what became of it.
-- One that names no message belongs to the customer's last send of that channel and campaign, whose day names it.

with

touchpoints as (select * from {{ ref('stg_touchpoints') }}),

touchpoint_types as (select * from {{ ref('touchpoint_types') }}),

touchpoint_aliases as (select * from {{ ref('touchpoint_aliases') }}),

links as (
    select * from {{ source('identity', 'record_links') }} where record_table = 'touchpoints'
),

message_steps as (
    select
        event_name,
        step
    from (
        values
        ('email_sent', 'sent'),
        ('message_sent', 'sent'),
        ('email_delivered', 'delivered'),
        ('email_bounced', 'bounced'),
        ('email_opened', 'opened'),
        ('email_clicked', 'clicked'),
        ('message_clicked', 'clicked'),
        ('unsubscribed', 'unsubscribed'),
        ('email_complained', 'complained')
    ) as steps (event_name, step)
),

-- Names are read as the timeline reads them, and before anything is joined: most touchpoints are no messages.
told_names as (
    select
        event_name as told_name,
        event_name
    from touchpoint_types
    union all
    select
        touchpoint_aliases.source_event_name as told_name,
        touchpoint_aliases.event_name
    from touchpoint_aliases
    anti join touchpoint_types on touchpoint_aliases.source_event_name = touchpoint_types.event_name
),

message_names as (
    select
        told_names.told_name,
        told_names.event_name,
        message_steps.step
    from told_names
    inner join message_steps on told_names.event_name = message_steps.event_name
),

message_touchpoints as (
    select
        touchpoints.source_system,
        touchpoints.id_namespace,
        touchpoints.touchpoint_id,
        touchpoints.message_id,
        touchpoints.campaign_id,
        message_names.event_name,
        message_names.step,
        case when message_names.event_name like 'email%' then 'email' else touchpoints.channel end
            as channel,
        coalesce(touchpoints.is_machine, false) as is_machine,
        touchpoints.occurred_at
    from touchpoints
    inner join message_names
        on lower(replace(trim(touchpoints.source_event_name), ' ', '_')) = message_names.told_name
),

events as (
    select
        links.customer_id,
        message_touchpoints.source_system,
        message_touchpoints.id_namespace,
        message_touchpoints.touchpoint_id,
        message_touchpoints.message_id,
        message_touchpoints.campaign_id,
        message_touchpoints.channel,
        message_touchpoints.step,
        message_touchpoints.is_machine,
        message_touchpoints.occurred_at
    from message_touchpoints
    inner join links
        on message_touchpoints.source_system = links.source_system
        and message_touchpoints.touchpoint_id = links.record_id
    -- Who leaves a list on the website answers to no message.
    where message_touchpoints.step != 'unsubscribed'
        or message_touchpoints.channel in ('email', 'sms', 'whatsapp', 'push', 'post')
),

unnamed_events as (
    select
        *,
        {{ local_date('occurred_at') }} as event_date
    from events
    where message_id is null
),

unnamed_events_dated as (
    select
        *,
        coalesce(
            max(case when step = 'sent' then event_date end) over so_far,
            max(case when step = 'delivered' then event_date end) over so_far,
            event_date
        ) as message_date
    from unnamed_events
    window so_far as (
        partition by customer_id, id_namespace, channel, campaign_id
        order by occurred_at asc nulls last
    )
),

events_named as (
    select
        customer_id,
        channel || ':' || id_namespace || ':message:' || message_id as message_key,
        source_system,
        id_namespace,
        touchpoint_id,
        channel,
        campaign_id,
        step,
        is_machine,
        occurred_at
    from events
    where message_id is not null
    union all
    select
        customer_id,
        channel
        || ':'
        || id_namespace
        || ':campaign:'
        || coalesce(campaign_id, '(none)')
        || ':'
        || cast(message_date as string) as message_key,
        source_system,
        id_namespace,
        touchpoint_id,
        channel,
        campaign_id,
        step,
        is_machine,
        occurred_at
    from unnamed_events_dated
),

published as (
    select
        -- keys
        customer_id,
        message_key,
        source_system,
        id_namespace,
        touchpoint_id,
        -- facts
        channel,
        campaign_id,
        step,
        is_machine,
        -- times
        occurred_at
    from events_named
)

select * from published
