-- Grain: one row per order, with what it brought after refunds, in the reporting currency.
-- `is_counted` leaves out cancelled, voided and test orders, and orders in a currency without a rate.

with

orders as (select * from {{ ref('int_order_amounts') }}),

refunds as (select * from {{ ref('int_refunds') }}),

refunds_added as (
    select
        order_key,
        cast(sum(item_refund_amount) as decimal(18, 2)) as refund_amount,
        min(case when completes_refund then refunded_at end) as fully_refunded_at
    from refunds
    group by order_key
),

orders_netted as (
    select
        -- keys
        orders.order_key,
        orders.source_system,
        orders.id_namespace,
        orders.order_id,
        orders.customer_id,
        orders.subscription_id,
        -- facts
        orders.order_status,
        orders.order_channel,
        orders.currency,
        orders.is_cancelled,
        orders.is_test,
        orders.is_renewal,
        orders.is_without_rate,
        not orders.is_cancelled and not orders.is_test and not orders.is_without_rate as is_counted,
        not orders.is_cancelled and not orders.is_test and orders.total_amount > 0 as is_paid,
        orders.total_amount,
        orders.line_count,
        orders.gross_revenue_amount,
        orders.discount_amount,
        cast(coalesce(refunds_added.refund_amount, 0) as decimal(18, 2)) as refund_amount,
        cast(
            orders.gross_revenue_amount
            - orders.discount_amount
            - coalesce(refunds_added.refund_amount, 0)
            as decimal(18, 2)
        ) as net_revenue_amount,
        orders.cost_amount,
        orders.tax_amount,
        orders.shipping_amount,
        -- times
        orders.ordered_at,
        orders.order_date,
        cast(date_trunc('month', orders.order_date) as date) as order_month,
        orders.delivered_at,
        refunds_added.fully_refunded_at
    from orders
    left join refunds_added on orders.order_key = refunds_added.order_key
)

select * from orders_netted
