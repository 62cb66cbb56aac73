-- Grain: one row per month in which emails were sent and campaign; `(none)` are those of no campaign.
-- What became of an email counts in the month in which it was sent, whenever it happened.

with

months as (select * from {{ ref('int_months') }}),

messages as (select * from {{ ref('int_messages') }} where channel = 'email'),

conversions as (select * from {{ ref('int_message_conversions') }}),

settings as (select * from {{ ref('int_metric_windows') }}),

emails as (
    select
        *,
        coalesce(campaign_id, '(none)') as reported_campaign_id
    from messages
),

emails_counted as (
    select
        message_month,
        reported_campaign_id,
        count(case when is_sent then 1 end) as sent_count,
        count(case when is_delivered then 1 end) as delivered_count,
        count(bounced_at) as bounced_count,
        count(opened_at) as unique_open_count,
        count(machine_opened_at) as machine_open_count,
        count(clicked_at) as unique_click_count,
        count(unsubscribed_at) as unsubscribed_count,
        count(complained_at) as complaint_count
    from emails
    group by message_month, reported_campaign_id
),

conversions_added as (
    select
        emails.message_month,
        emails.reported_campaign_id,
        count(*) as conversion_count,
        cast(sum(conversions.revenue_amount) as decimal(18, 2)) as conversion_revenue_amount
    from conversions
    inner join emails
        on conversions.customer_id = emails.customer_id
        and conversions.message_key = emails.message_key
    group by emails.message_month, emails.reported_campaign_id
),

counted as (
    select
        emails_counted.message_month,
        emails_counted.reported_campaign_id,
        months.is_complete,
        months.is_complete
        and {{ add_days('months.month_ends_at', 'settings.click_days') }}
        <= {{ as_of_end() }} as is_window_over,
        cast(emails_counted.sent_count as bigint) as sent_count,
        cast(emails_counted.delivered_count as bigint) as delivered_count,
        cast(emails_counted.bounced_count as bigint) as bounced_count,
        cast(emails_counted.unique_open_count as bigint) as unique_open_count,
        cast(emails_counted.machine_open_count as bigint) as machine_open_count,
        cast(emails_counted.unique_click_count as bigint) as unique_click_count,
        cast(emails_counted.unsubscribed_count as bigint) as unsubscribed_count,
        cast(emails_counted.complaint_count as bigint) as complaint_count,
        cast(coalesce(conversions_added.conversion_count, 0) as bigint) as conversion_count,
        cast(coalesce(conversions_added.conversion_revenue_amount, 0) as decimal(18, 2))
            as conversion_revenue_amount
    from emails_counted
    inner join months on emails_counted.message_month = months.month
    cross join settings
    left join conversions_added
        on emails_counted.message_month = conversions_added.message_month
        and emails_counted.reported_campaign_id = conversions_added.reported_campaign_id
),

published as (
    select
        -- keys
        message_month as sent_month,
        reported_campaign_id as campaign_id,
        -- facts
        is_complete,
        cast({{ reporting_currency() }} as string) as currency,
        sent_count,
        delivered_count,
        bounced_count,
        unique_open_count,
        machine_open_count,
        unique_click_count,
        unsubscribed_count,
        complaint_count,
        case when is_window_over then conversion_count end as conversion_count,
        case when is_window_over then conversion_revenue_amount end as conversion_revenue_amount,
        cast(bounced_count as double) / nullif(sent_count, 0) as bounce_rate,
        cast(unique_open_count as double) / nullif(delivered_count, 0) as open_rate,
        cast(unique_click_count as double) / nullif(delivered_count, 0) as click_rate,
        cast(unsubscribed_count as double) / nullif(delivered_count, 0) as unsubscribe_rate,
        cast(complaint_count as double) / nullif(delivered_count, 0) as complaint_rate,
        case
            when is_window_over then cast(conversion_count as double) / nullif(delivered_count, 0)
        end as conversion_rate
    from counted
)

select * from published
