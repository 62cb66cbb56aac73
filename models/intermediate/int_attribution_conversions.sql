-- Grain: one row per conversion: every counted order, or by setting each customer's first paid one alone.
-- `path_kind` says whose doing it was: a renewal that nobody placed and an order of nobody known have no path.

with

orders as (select * from {{ ref('int_orders') }}),

settings as (select * from {{ ref('stg_metric_settings') }}),

paid_orders as (
    select
        order_key,
        row_number() over (
            partition by customer_id order by ordered_at asc nulls last, order_key asc nulls last
        ) as paid_number
    from orders
    where is_paid and customer_id is not null
),

first_orders as (
    select order_key
    from paid_orders
    where paid_number = 1
),

orders_marked as (
    select
        orders.*,
        first_orders.order_key is not null as is_first_order
    from orders
    left join first_orders on orders.order_key = first_orders.order_key
    where orders.is_counted
),

conversions as (
    select
        -- keys
        orders_marked.order_key,
        orders_marked.source_system,
        orders_marked.order_id,
        orders_marked.customer_id,
        -- facts
        case
            when orders_marked.is_renewal then 'renewal'
            when orders_marked.customer_id is null then 'unidentified'
            else 'touches'
        end as path_kind,
        orders_marked.is_first_order,
        cast(orders_marked.gross_revenue_amount - orders_marked.discount_amount as decimal(18, 2))
            as revenue_amount,
        orders_marked.refund_amount,
        -- times
        orders_marked.ordered_at as converted_at,
        orders_marked.order_month as conversion_month
    from orders_marked
    cross join settings
    where settings.attribution_conversion = 'every_order' or orders_marked.is_first_order
)

select * from conversions
