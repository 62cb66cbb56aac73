-- Everybody with a first order has one value of every way to look at it that knows but one, and nobody is counted twice.
{{ config(meta={'dagster': {'ref': {'name': 'second_orders'}}}) }}

with

first_days as (select * from {{ ref('int_paid_order_days') }} where paid_number = 1),

second_orders as (select * from {{ ref('second_orders') }}),

customers as (
    select cast(count(*) as bigint) as customer_count
    from first_days
),

totals as (
    select
        dimension,
        cast(sum(first_order_customer_count) as bigint) as first_order_customer_count,
        cast(sum(second_order_90d_count) as bigint) as second_order_90d_count
    from second_orders
    where dimension not in ('first_product', 'first_category')
    group by dimension
),

everybody as (select * from totals where dimension = 'all'),

differences as (
    select totals.dimension
    from totals
    cross join everybody
    cross join customers
    where totals.first_order_customer_count != customers.customer_count
        or totals.second_order_90d_count != everybody.second_order_90d_count
    union all
    select dimension
    from second_orders
    where matured_90d_customer_count > first_order_customer_count
        or matured_365d_customer_count > matured_90d_customer_count
        or second_order_90d_count > matured_90d_customer_count
        or second_order_365d_count > matured_365d_customer_count
)

select * from differences
