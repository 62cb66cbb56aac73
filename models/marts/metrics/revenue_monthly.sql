-- Grain: one row per month of the reporting zone in which something was sold or refunded.
-- A refund counts in the month in which it was given.

with

orders as (select * from {{ ref('int_orders') }} where is_counted),

refunds as (select * from {{ ref('int_refunds') }} where is_counted),

sales as (
    select
        order_month as revenue_month,
        count(*) as order_count,
        count(distinct customer_id) as customer_count,
        cast(sum(gross_revenue_amount) as decimal(18, 2)) as gross_revenue_amount,
        cast(sum(discount_amount) as decimal(18, 2)) as discount_amount,
        cast(sum(tax_amount) as decimal(18, 2)) as tax_amount,
        cast(sum(shipping_amount) as decimal(18, 2)) as shipping_amount,
        count(case when customer_id is null then order_key end) as unidentified_order_count
    from orders
    group by order_month
),

refunds_added as (
    select
        cast(date_trunc('month', refund_date) as date) as revenue_month,
        cast(sum(item_refund_amount) as decimal(18, 2)) as refund_amount
    from refunds
    group by cast(date_trunc('month', refund_date) as date)
),

months as (
    select revenue_month from sales
    union
    select revenue_month from refunds_added
),

revenue as (
    select
        -- keys
        months.revenue_month,
        -- facts
        cast(coalesce(sales.order_count, 0) as bigint) as order_count,
        cast(coalesce(sales.customer_count, 0) as bigint) as customer_count,
        cast(coalesce(sales.unidentified_order_count, 0) as bigint) as unidentified_order_count,
        cast({{ reporting_currency() }} as string) as currency,
        cast(coalesce(sales.gross_revenue_amount, 0) as decimal(18, 2)) as gross_revenue_amount,
        cast(coalesce(sales.discount_amount, 0) as decimal(18, 2)) as discount_amount,
        cast(coalesce(refunds_added.refund_amount, 0) as decimal(18, 2)) as refund_amount,
        cast(
            coalesce(sales.gross_revenue_amount, 0)
            - coalesce(sales.discount_amount, 0)
            - coalesce(refunds_added.refund_amount, 0)
            as decimal(18, 2)
        ) as net_revenue_amount,
        cast(coalesce(sales.tax_amount, 0) as decimal(18, 2)) as tax_amount,
        cast(coalesce(sales.shipping_amount, 0) as decimal(18, 2)) as shipping_amount,
        cast(
            round(
                cast(sales.gross_revenue_amount - sales.discount_amount as double)
                / nullif(sales.order_count, 0),
                2
            ) as decimal(18, 2)
        ) as average_order_amount
    from months
    left join sales on months.revenue_month = sales.revenue_month
    left join refunds_added on months.revenue_month = refunds_added.revenue_month
)

select * from revenue
