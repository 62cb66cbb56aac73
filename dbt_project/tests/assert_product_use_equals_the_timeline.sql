-- Every use of a feature on the timeline is in exactly one month and feature, and the last month's subscribers are those of
-- customer_360.
{{ config(meta={'dagster': {'ref': {'name': 'product_usage_monthly'}}}) }}

with

features as (select * from {{ ref('feature_usage_monthly') }}),

usage as (select * from {{ ref('product_usage_monthly') }}),

customers as (select * from {{ ref('customer_360') }}),

timeline as (
    select *
    from {{ ref('int_timeline') }}
    where event_name = 'feature_used' and not is_machine
),

uses as (
    select cast(count(*) as bigint) as event_count
    from timeline
),

uses_of_months as (
    select cast(coalesce(sum(event_count), 0) as bigint) as event_count
    from features
),

subscribers as (
    select cast(count(case when is_subscribed then 1 end) as bigint) as subscriber_count
    from customers
),

last_months as (
    select *
    from usage
    where usage_month = cast(date_trunc('month', {{ as_of_date() }}) as date)
),

differences as (
    select
        'uses' as place,
        uses.event_count as expected_count,
        uses_of_months.event_count as found_count
    from uses
    cross join uses_of_months
    where uses.event_count != uses_of_months.event_count
    union all
    select
        'subscribers' as place,
        subscribers.subscriber_count as expected_count,
        last_months.subscriber_count as found_count
    from subscribers
    left join last_months on last_months.usage_month is not null
    where subscribers.subscriber_count != coalesce(last_months.subscriber_count, 0)
    union all
    select
        'shares' as place,
        user_count as expected_count,
        subscriber_user_count as found_count
    from usage
    where subscriber_user_count > least(user_count, subscriber_count)
        or key_feature_use_count > user_count * key_feature_count
        or active_day_count not between user_count and user_count * usage_days
)

select * from differences
