-- Grain: one row per month of the reporting zone in which something was sold or refunded.
-- The month in which a refund counts was decided by the settings (int_refunds).

with

orders as (select * from {{ ref('int_orders') }} where is_counted),

refunds as (select * from {{ ref('int_refunds') }} where is_counted),

first_days as (select * from {{ ref('int_paid_order_days') }} where paid_number = 1),

orders_placed as (
    select
        orders.*,
        coalesce(orders.order_date > first_days.order_date, false) as is_repeat
    from orders
    left join first_days on orders.customer_id = first_days.customer_id
),

sales as (
    select
        order_month as revenue_month,
        cast(count(*) as bigint) as order_count,
        cast(count(distinct customer_id) as bigint) as customer_count,
        cast(count(case when customer_id is null then 1 end) as bigint) as unidentified_order_count,
        cast(count(case when customer_id is not null and not is_repeat then 1 end) as bigint)
            as new_customer_order_count,
        cast(count(case when is_repeat then 1 end) as bigint) as repeat_order_count,
        cast(count(cost_amount) as bigint) as costed_order_count,
        cast(sum(gross_revenue_amount) as decimal(18, 2)) as gross_revenue_amount,
        cast(sum(discount_amount) as decimal(18, 2)) as discount_amount,
        cast(sum(tax_amount) as decimal(18, 2)) as tax_amount,
        cast(sum(shipping_amount) as decimal(18, 2)) as shipping_amount,
        cast(sum(cost_amount) as decimal(18, 2)) as cost_amount,
        cast(
            sum(
                case when cost_amount is not null then gross_revenue_amount - discount_amount end
            ) as decimal(18, 2)
        ) as costed_sales_amount
    from orders_placed
    group by order_month
),

refunds_added as (
    select
        refunds.refund_month as revenue_month,
        cast(sum(refunds.item_refund_amount) as decimal(18, 2)) as refund_amount,
        cast(
            sum(case when orders.cost_amount is not null then refunds.item_refund_amount end)
            as decimal(18, 2)
        ) as costed_refund_amount
    from refunds
    inner join orders on refunds.order_key = orders.order_key
    group by refunds.refund_month
),

months as (
    select revenue_month from sales
    union
    select revenue_month from refunds_added
),

months_added as (
    select
        months.revenue_month,
        coalesce(sales.order_count, 0) as order_count,
        coalesce(sales.customer_count, 0) as customer_count,
        coalesce(sales.unidentified_order_count, 0) as unidentified_order_count,
        coalesce(sales.new_customer_order_count, 0) as new_customer_order_count,
        coalesce(sales.repeat_order_count, 0) as repeat_order_count,
        coalesce(sales.costed_order_count, 0) as costed_order_count,
        coalesce(sales.gross_revenue_amount, 0) as gross_revenue_amount,
        coalesce(sales.discount_amount, 0) as discount_amount,
        coalesce(refunds_added.refund_amount, 0) as refund_amount,
        coalesce(sales.tax_amount, 0) as tax_amount,
        coalesce(sales.shipping_amount, 0) as shipping_amount,
        coalesce(sales.cost_amount, 0) as cost_amount,
        coalesce(sales.costed_sales_amount, 0) - coalesce(refunds_added.costed_refund_amount, 0)
            as costed_net_revenue_amount
    from months
    left join sales on months.revenue_month = sales.revenue_month
    left join refunds_added on months.revenue_month = refunds_added.revenue_month
),

revenue as (
    select
        -- keys
        revenue_month,
        -- facts
        cast(revenue_month + interval 1 month as date) <= cast({{ as_of_date() }} + 1 as date)
            as is_complete,
        order_count,
        customer_count,
        unidentified_order_count,
        new_customer_order_count,
        repeat_order_count,
        cast({{ reporting_currency() }} as string) as currency,
        cast(gross_revenue_amount as decimal(18, 2)) as gross_revenue_amount,
        cast(discount_amount as decimal(18, 2)) as discount_amount,
        cast(refund_amount as decimal(18, 2)) as refund_amount,
        cast(gross_revenue_amount - discount_amount - refund_amount as decimal(18, 2))
            as net_revenue_amount,
        cast(tax_amount as decimal(18, 2)) as tax_amount,
        cast(shipping_amount as decimal(18, 2)) as shipping_amount,
        cast(
            round(
                cast(gross_revenue_amount - discount_amount as double) / nullif(order_count, 0), 2
            ) as decimal(18, 2)
        ) as average_order_amount,
        costed_order_count,
        cast(costed_net_revenue_amount as decimal(18, 2)) as costed_net_revenue_amount,
        cast(cost_amount as decimal(18, 2)) as cost_amount,
        -- A refund of an order whose cost nobody knows leaves the margin unknown as well.
        cast(
            case
                when costed_order_count = order_count
                    and costed_net_revenue_amount
                    = gross_revenue_amount - discount_amount - refund_amount
                    then costed_net_revenue_amount - cost_amount
            end as decimal(18, 2)
        ) as gross_margin_amount
    from months_added
)

select * from revenue
