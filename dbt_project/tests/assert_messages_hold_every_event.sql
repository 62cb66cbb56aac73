-- Every send, delivery, open and click that the timeline tells of is one of some message, and every message is counted once:
-- by month, in the health of its list, and in the stage of its reader.
{{ config(meta={'dagster': {'ref': {'name': 'email_engagement_monthly'}}}) }}

with

customers as (select * from {{ ref('customer_360') }}),

events as (select * from {{ ref('int_message_events') }}),

messages as (select * from {{ ref('int_messages') }}),

emails as (select * from {{ ref('email_engagement_monthly') }}),

other_messages as (select * from {{ ref('message_engagement_monthly') }}),

lists as (select * from {{ ref('list_health_monthly') }}),

responses as (select * from {{ ref('message_response_by_stage') }}),

settings as (select * from {{ ref('int_metric_windows') }}),

figures as (
    select
        'events sent' as figure,
        cast(coalesce(sum(email_sent_count + message_sent_count), 0) as bigint) as expected_count
    from customers
    union all
    select
        'events delivered' as figure,
        cast(coalesce(sum(email_delivered_count), 0) as bigint) as expected_count
    from customers
    union all
    select
        'events bounced' as figure,
        cast(coalesce(sum(email_bounce_count), 0) as bigint) as expected_count
    from customers
    union all
    select
        'events opened' as figure,
        cast(coalesce(sum(email_open_count), 0) as bigint) as expected_count
    from customers
    union all
    select
        'events clicked' as figure,
        cast(coalesce(sum(email_click_count + message_click_count), 0) as bigint) as expected_count
    from customers
    union all
    select
        'messages sent' as figure,
        cast(count(case when is_sent then 1 end) as bigint) as expected_count
    from messages
    union all
    select
        'messages clicked' as figure,
        cast(count(clicked_at) as bigint) as expected_count
    from messages
    union all
    select
        'emails delivered' as figure,
        cast(count(case when is_delivered then 1 end) as bigint) as expected_count
    from messages
    where channel = 'email'
    union all
    select
        'emails unsubscribed' as figure,
        cast(count(unsubscribed_at) as bigint) as expected_count
    from messages
    where channel = 'email'
    union all
    select
        'messages of a year' as figure,
        cast(count(*) as bigint) as expected_count
    from messages
    cross join settings
    where messages.is_sent
        and messages.message_at > {{ add_days(as_of_end(), '-365 - settings.click_days') }}
        and messages.message_at <= {{ add_days(as_of_end(), '-settings.click_days') }}
),

found as (
    select
        'events ' || step as figure,
        cast(count(*) as bigint) as found_count
    from events
    where step in ('sent', 'delivered', 'bounced')
        or (step in ('opened', 'clicked') and not is_machine)
    group by step
    union all
    select
        'messages sent' as figure,
        sent_count as found_count
    from emails
    union all
    select
        'messages sent' as figure,
        sent_count as found_count
    from other_messages
    union all
    select
        'messages clicked' as figure,
        unique_click_count as found_count
    from emails
    union all
    select
        'messages clicked' as figure,
        unique_click_count as found_count
    from other_messages
    union all
    select
        'emails delivered' as figure,
        delivered_count as found_count
    from lists
    where channel = 'email' and purpose = 'marketing'
    union all
    select
        'emails unsubscribed' as figure,
        unsubscribed_count as found_count
    from emails
    union all
    select
        'messages of a year' as figure,
        sent_count as found_count
    from responses
),

found_added as (
    select
        figure,
        cast(sum(found_count) as bigint) as found_count
    from found
    group by figure
),

differences as (
    select
        figures.figure,
        figures.expected_count,
        found_added.found_count
    from figures
    left join found_added on figures.figure = found_added.figure
    where figures.expected_count != coalesce(found_added.found_count, 0)
)

select * from differences
