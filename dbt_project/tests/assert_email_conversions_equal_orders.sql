-- What emails are said to have brought, month by month, is what the orders behind it brought; a month whose clicks have not
-- had their days yet says nothing.
{{ config(meta={'dagster': {'ref': {'name': 'email_engagement_monthly'}}}) }}

with

emails as (select * from {{ ref('email_engagement_monthly') }}),

months as (select * from {{ ref('int_months') }}),

settings as (select * from {{ ref('int_metric_windows') }}),

messages as (select * from {{ ref('int_messages') }} where channel = 'email'),

conversions as (select * from {{ ref('int_message_conversions') }}),

orders as (select * from {{ ref('int_orders') }} where is_counted),

months_judged as (
    select
        months.month,
        {{ add_days('months.month_ends_at', 'settings.click_days') }}
        <= {{ as_of_end() }} as is_window_over
    from months
    cross join settings
),

brought as (
    select
        messages.message_month as month,
        cast(count(*) as bigint) as order_count,
        cast(sum(orders.gross_revenue_amount - orders.discount_amount) as decimal(18, 2))
            as revenue_amount
    from conversions
    inner join messages
        on conversions.customer_id = messages.customer_id
        and conversions.message_key = messages.message_key
    inner join orders on conversions.order_key = orders.order_key
    group by messages.message_month
),

said as (
    select
        sent_month as month,
        cast(sum(conversion_count) as bigint) as order_count,
        cast(sum(conversion_revenue_amount) as decimal(18, 2)) as revenue_amount
    from emails
    group by sent_month
),

expected as (
    select
        months_judged.month,
        case when months_judged.is_window_over then coalesce(brought.order_count, 0) end
            as order_count,
        case when months_judged.is_window_over then coalesce(brought.revenue_amount, 0) end
            as revenue_amount
    from months_judged
    left join brought on months_judged.month = brought.month
),

differences as (
    select
        said.month,
        said.order_count,
        expected.order_count as expected_order_count
    from said
    inner join expected on said.month = expected.month
    where said.order_count is distinct from expected.order_count
        or said.revenue_amount is distinct from expected.revenue_amount
)

select * from differences
