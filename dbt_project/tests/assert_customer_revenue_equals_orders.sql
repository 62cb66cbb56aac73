-- What customers brought, order by order and in customer_360, is the same for everybody.
{{ config(meta={'dagster': {'ref': {'name': 'customer_360'}}}) }}

with

orders as (select * from {{ ref('int_orders') }} where is_counted and customer_id is not null),

customers as (select * from {{ ref('customer_360') }}),

customers_of_orders as (
    select
        customer_id,
        cast(count(*) as bigint) as order_count,
        cast(sum(net_revenue_amount) as decimal(18, 2)) as net_revenue_amount
    from orders
    group by customer_id
),

differences as (
    select
        coalesce(customers.customer_id, customers_of_orders.customer_id) as customer_id,
        customers_of_orders.net_revenue_amount as orders_amount,
        customers.net_revenue_amount as customer_amount
    from customers
    full outer join customers_of_orders on customers.customer_id = customers_of_orders.customer_id
    where customers.net_revenue_amount
        is distinct from coalesce(customers_of_orders.net_revenue_amount, 0)
        or customers.order_count is distinct from coalesce(customers_of_orders.order_count, 0)
)

select * from differences
