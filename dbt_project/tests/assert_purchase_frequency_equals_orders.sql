-- The window that ends with the run's day, counted anew from its orders, customer by customer.
{{ config(meta={'dagster': {'ref': {'name': 'purchase_frequency_monthly'}}}) }}

with

orders as (
    select *
    from {{ ref('int_orders') }}
    where is_counted
        and customer_id is not null
        and order_date >= cast({{ as_of_date() }} - 364 as date)
),

paid_days as (
    select *
    from {{ ref('int_paid_order_days') }}
    where previous_order_date is not null
        and order_date >= cast({{ as_of_date() }} - 364 as date)
),

frequencies as (select * from {{ ref('purchase_frequency_monthly') }}),

customers as (
    select
        customer_id,
        count(*) as order_count,
        count(distinct order_date) as day_count
    from orders
    group by customer_id
),

counted as (
    select
        cast(coalesce(sum(order_count), 0) as bigint) as order_count,
        cast(count(*) as bigint) as customer_count,
        cast(count(case when day_count >= 2 then 1 end) as bigint) as repeat_customer_count
    from customers
),

gaps as (
    select
        cast(count(*) as bigint) as gap_count,
        cast(
            median({{ calendar_days_between('previous_order_date', 'order_date') }}) as double
        ) as median_days
    from paid_days
),

last_windows as (
    select *
    from frequencies
    where frequency_month = cast(date_trunc('month', {{ as_of_date() }}) as date)
),

differences as (
    select last_windows.*
    from last_windows
    cross join counted
    cross join gaps
    where last_windows.order_count != counted.order_count
        or last_windows.customer_count != counted.customer_count
        or last_windows.repeat_customer_count != counted.repeat_customer_count
        or last_windows.gap_count != gaps.gap_count
        or last_windows.median_days_between_orders is distinct from gaps.median_days
    union all
    select *
    from frequencies
    where customer_count > order_count or repeat_customer_count > customer_count
)

select * from differences
