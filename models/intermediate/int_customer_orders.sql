-- Grain: one row per customer with a counted order: their orders up to the run's day, added up.

with

orders as (select * from {{ ref('int_orders') }} where is_counted and customer_id is not null),

paid_days as (select * from {{ ref('int_paid_order_days') }}),

orders_added as (
    select
        customer_id,
        cast(count(*) as bigint) as order_count,
        cast(sum(gross_revenue_amount) as decimal(18, 2)) as gross_revenue_amount,
        cast(sum(discount_amount) as decimal(18, 2)) as discount_amount,
        cast(sum(refund_amount) as decimal(18, 2)) as refund_amount,
        cast(sum(net_revenue_amount) as decimal(18, 2)) as net_revenue_amount,
        cast(
            case
                when count(cost_amount) = count(*) then sum(net_revenue_amount - cost_amount)
            end as decimal(18, 2)
        )
            as gross_margin_amount,
        cast(
            round(
                cast(sum(gross_revenue_amount - discount_amount) as double) / nullif(count(*), 0), 2
            )
            as decimal(18, 2)
        ) as average_order_amount,
        min(ordered_at) as first_order_at,
        max(ordered_at) as last_order_at
    from orders
    group by customer_id
),

gaps as (
    select
        customer_id,
        cast(median(gap_days) as double) as median_order_gap_days
    from paid_days
    group by customer_id
),

customers as (
    select
        orders_added.customer_id,
        orders_added.order_count,
        orders_added.gross_revenue_amount,
        orders_added.discount_amount,
        orders_added.refund_amount,
        orders_added.net_revenue_amount,
        orders_added.gross_margin_amount,
        orders_added.average_order_amount,
        gaps.median_order_gap_days,
        orders_added.first_order_at,
        orders_added.last_order_at,
        ntile(5) over (
            order by
                orders_added.last_order_at asc nulls last, orders_added.customer_id asc nulls last
        ) as rfm_recency_quintile,
        ntile(5) over (
            order by
                orders_added.order_count asc nulls last, orders_added.customer_id asc nulls last
        ) as rfm_frequency_quintile,
        ntile(5) over (
            order by
                orders_added.net_revenue_amount asc nulls last,
                orders_added.customer_id asc nulls last
        ) as rfm_monetary_quintile
    from orders_added
    left join gaps on orders_added.customer_id = gaps.customer_id
)

select * from customers
