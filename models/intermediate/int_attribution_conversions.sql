-- Grain: one row per conversion: every counted order, or by setting each customer's first paid one alone.
-- `path_kind` says whose doing it was: a renewal that nobody placed and an order of nobody known have no path.

with

orders as (select * from {{ ref('int_orders') }}),

settings as (select * from {{ ref('stg_metric_settings') }}),

first_moments as (
    select
        customer_id,
        min(ordered_at) as ordered_at
    from orders
    where is_paid and customer_id is not null
    group by customer_id
),

-- Of several orders of that moment the first by name.
first_orders as (
    select min(orders.order_key) as order_key
    from orders
    inner join first_moments
        on orders.customer_id = first_moments.customer_id
        and orders.ordered_at = first_moments.ordered_at
    where orders.is_paid
    group by orders.customer_id
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
