-- Grain: one row per message to one person: when it was sent, and when what became of it was first seen.
-- What somebody opened was sent and delivered, also where nobody told so; but of a source that tells of neither, nothing
-- is supposed.

with

events as (select * from {{ ref('int_message_events') }}),

campaigns as (select * from {{ ref('stg_campaigns') }}),

purposes as (
    select
        id_namespace,
        campaign_id,
        min(lower(purpose)) as campaign_purpose
    from campaigns
    group by id_namespace, campaign_id
),

-- Clicks and opens of machines are seen apart: a scanner looks at every link.
messages_grouped as (
    select
        customer_id,
        message_key,
        min(channel) as channel,
        min(id_namespace) as id_namespace,
        min(campaign_id) as campaign_id,
        min(occurred_at) as first_event_at,
        min(case when step = 'sent' then occurred_at end) as sent_at,
        min(case when step = 'delivered' then occurred_at end) as delivered_at,
        min(case when step = 'bounced' then occurred_at end) as bounced_at,
        min(case when step = 'opened' and not is_machine then occurred_at end) as opened_at,
        min(case when step = 'opened' and is_machine then occurred_at end) as machine_opened_at,
        min(case when step = 'clicked' and not is_machine then occurred_at end) as clicked_at,
        min(case when step = 'unsubscribed' then occurred_at end) as unsubscribed_at,
        min(case when step = 'complained' then occurred_at end) as complained_at,
        bool_or(step in ('opened', 'clicked', 'unsubscribed', 'complained')) as was_answered
    from events
    group by customer_id, message_key
),

tellers as (
    select
        id_namespace,
        channel,
        bool_or(sent_at is not null) as tells_sends,
        bool_or(delivered_at is not null) as tells_deliveries
    from messages_grouped
    group by id_namespace, channel
),

messages_judged as (
    select
        messages_grouped.customer_id,
        messages_grouped.message_key,
        messages_grouped.channel,
        messages_grouped.campaign_id,
        purposes.campaign_purpose,
        messages_grouped.sent_at is not null
        or (
            (tellers.tells_sends or tellers.tells_deliveries)
            and (
                messages_grouped.delivered_at is not null
                or messages_grouped.bounced_at is not null
                or messages_grouped.was_answered
            )
        ) as is_sent,
        messages_grouped.delivered_at is not null
        or (
            (tellers.tells_sends or tellers.tells_deliveries) and messages_grouped.was_answered
        )
        or (
            not tellers.tells_deliveries
            and messages_grouped.sent_at is not null
            and messages_grouped.bounced_at is null
        ) as is_delivered,
        coalesce(messages_grouped.sent_at, messages_grouped.first_event_at) as message_at,
        messages_grouped.delivered_at,
        messages_grouped.bounced_at,
        messages_grouped.opened_at,
        messages_grouped.machine_opened_at,
        messages_grouped.clicked_at,
        messages_grouped.unsubscribed_at,
        messages_grouped.complained_at
    from messages_grouped
    inner join tellers
        on messages_grouped.id_namespace = tellers.id_namespace
        and messages_grouped.channel = tellers.channel
    left join purposes
        on messages_grouped.id_namespace = purposes.id_namespace
        and messages_grouped.campaign_id = purposes.campaign_id
),

messages as (
    select
        -- keys
        customer_id,
        message_key,
        -- facts
        channel,
        campaign_id,
        campaign_purpose,
        is_sent,
        is_delivered,
        -- times
        {{ local_month('message_at') }} as message_month,
        message_at,
        delivered_at,
        bounced_at,
        opened_at,
        machine_opened_at,
        clicked_at,
        unsubscribed_at,
        complained_at
    from messages_judged
)

select * from messages
