-- Grain: one row per month in which messages other than emails were sent and channel.

with

months as (select * from {{ ref('int_months') }}),

messages as (select * from {{ ref('int_messages') }} where channel != 'email'),

messages_counted as (
    select
        message_month,
        channel,
        cast(count(case when is_sent then 1 end) as bigint) as sent_count,
        cast(count(clicked_at) as bigint) as unique_click_count,
        cast(count(unsubscribed_at) as bigint) as unsubscribed_count
    from messages
    group by message_month, channel
),

published as (
    select
        -- keys
        messages_counted.message_month as sent_month,
        messages_counted.channel,
        -- facts
        months.is_complete,
        messages_counted.sent_count,
        messages_counted.unique_click_count,
        messages_counted.unsubscribed_count,
        cast(messages_counted.unique_click_count as double)
        / nullif(messages_counted.sent_count, 0) as click_rate,
        cast(messages_counted.unsubscribed_count as double)
        / nullif(messages_counted.sent_count, 0) as unsubscribe_rate
    from messages_counted
    inner join months on messages_counted.message_month = months.month
)

select * from published
