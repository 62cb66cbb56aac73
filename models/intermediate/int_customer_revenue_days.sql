-- Grain: one row per customer and day of the reporting zone on which net revenue came or went.
-- A refund counts on its own day, or on that of its order (setting refund_basis).

with

orders as (select * from {{ ref('int_orders') }} where is_counted and customer_id is not null),

refunds as (select * from {{ ref('int_refunds') }} where is_counted),

settings as (select * from {{ ref('stg_metric_settings') }}),

movements as (
    select
        customer_id,
        order_date as revenue_date,
        gross_revenue_amount - discount_amount as net_revenue_amount
    from orders
    union all
    select
        orders.customer_id,
        case settings.refund_basis
            when 'order_date' then orders.order_date
            else refunds.refund_date
        end as revenue_date,
        -refunds.item_refund_amount as net_revenue_amount
    from refunds
    inner join orders on refunds.order_key = orders.order_key
    cross join settings
),

days as (
    select
        customer_id,
        revenue_date,
        cast(sum(net_revenue_amount) as decimal(18, 2)) as net_revenue_amount
    from movements
    group by customer_id, revenue_date
)

select * from days
