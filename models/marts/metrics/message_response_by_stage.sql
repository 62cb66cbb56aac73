-- Grain: one row per stage in which people stood when they were sent a message, channel and purpose of its campaign.
-- Messages of 365 days, of which the last have had `click_days` to be answered.

with

messages as (select * from {{ ref('int_messages') }} where is_sent),

conversions as (select * from {{ ref('int_message_conversions') }}),

history as (select * from {{ ref('customer_lifecycle_history') }}),

settings as (select * from {{ ref('int_metric_windows') }}),

bounds as (
    select
        {{ add_days(as_of_end(), '-365 - click_days') }} as begins_at,
        {{ add_days(as_of_end(), '-click_days') }} as ends_at
    from settings
),

messages_in_time as (
    select
        messages.customer_id,
        messages.message_key,
        messages.channel,
        messages.campaign_purpose,
        messages.message_at,
        messages.clicked_at
    from messages
    inner join bounds
        on messages.message_at > bounds.begins_at
        and messages.message_at <= bounds.ends_at
),

conversions_added as (
    select
        customer_id,
        message_key,
        count(*) as conversion_count
    from conversions
    group by customer_id, message_key
),

messages_staged as (
    select
        messages_in_time.channel,
        coalesce(messages_in_time.campaign_purpose, '(none)') as campaign_purpose,
        coalesce(history.stage, 'awareness') as lifecycle_stage,
        messages_in_time.clicked_at,
        conversions_added.conversion_count
    from messages_in_time
    left join history
        on messages_in_time.customer_id = history.customer_id
        and messages_in_time.message_at >= history.valid_from_at
        and (history.valid_to_at is null or messages_in_time.message_at < history.valid_to_at)
    left join conversions_added
        on messages_in_time.customer_id = conversions_added.customer_id
        and messages_in_time.message_key = conversions_added.message_key
),

responses_counted as (
    select
        lifecycle_stage,
        channel,
        campaign_purpose,
        cast(count(*) as bigint) as sent_count,
        cast(count(clicked_at) as bigint) as clicked_count,
        cast(coalesce(sum(conversion_count), 0) as bigint) as conversion_count
    from messages_staged
    group by lifecycle_stage, channel, campaign_purpose
),

published as (
    select
        -- keys
        lifecycle_stage,
        channel,
        campaign_purpose,
        -- facts
        sent_count,
        clicked_count,
        conversion_count,
        cast(clicked_count as double) / nullif(sent_count, 0) as click_rate,
        cast(conversion_count as double) / nullif(sent_count, 0) as conversion_rate
    from responses_counted
)

select * from published
