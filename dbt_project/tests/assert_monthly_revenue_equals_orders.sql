-- Items, orders and months tell one story to the cent; every row is a place where they do not.
{{ config(meta={'dagster': {'ref': {'name': 'revenue_monthly'}}}) }}

with

lines as (select * from {{ ref('int_order_lines') }}),

amounts as (select * from {{ ref('int_order_amounts') }}),

orders as (select * from {{ ref('int_orders') }} where is_counted),

settings as (select * from {{ ref('stg_metric_settings') }}),

months as (select * from {{ ref('revenue_monthly') }}),

orders_of_lines as (
    select
        orders.order_key,
        cast(
            sum({{ to_reporting_currency('lines.line_amount', 'amounts.exchange_rate') }})
            as decimal(18, 2)
        ) as gross_revenue_amount
    from lines
    inner join amounts
        on lines.source_system = amounts.source_system
        and lines.order_id = amounts.order_id
    inner join orders on amounts.order_key = orders.order_key
    group by orders.order_key
),

months_of_orders as (
    select
        order_month as revenue_month,
        cast(count(*) as bigint) as order_count,
        cast(count(cost_amount) as bigint) as costed_order_count,
        cast(sum(gross_revenue_amount) as decimal(18, 2)) as gross_revenue_amount,
        cast(sum(discount_amount) as decimal(18, 2)) as discount_amount,
        cast(sum(net_revenue_amount) as decimal(18, 2)) as net_revenue_amount,
        cast(sum(cost_amount) as decimal(18, 2)) as cost_amount
    from orders
    group by order_month
),

-- Refunds may count in months of their own, so they agree in total.
totals as (
    select
        (select cast(coalesce(sum(net_revenue_amount), 0) as decimal(18, 2)) from orders)
            as orders_amount,
        (
            select cast(coalesce(sum(net_revenue_amount), 0) as decimal(18, 2))
            from orders
            where cost_amount is not null
        ) as costed_orders_amount,
        (select cast(coalesce(sum(net_revenue_amount), 0) as decimal(18, 2)) from months)
            as months_amount,
        (select cast(coalesce(sum(costed_net_revenue_amount), 0) as decimal(18, 2)) from months)
            as costed_months_amount
),

differences as (
    select
        'items of order ' || orders_of_lines.order_key as place,
        orders_of_lines.gross_revenue_amount as one_amount,
        orders.gross_revenue_amount as other_amount
    from orders_of_lines
    inner join orders on orders_of_lines.order_key = orders.order_key
    where orders_of_lines.gross_revenue_amount is distinct from orders.gross_revenue_amount
    union all
    select
        'orders of month '
        || cast(coalesce(months_of_orders.revenue_month, months.revenue_month) as string) as place,
        months_of_orders.gross_revenue_amount - months_of_orders.discount_amount as one_amount,
        months.gross_revenue_amount - months.discount_amount as other_amount
    from months_of_orders
    full outer join months on months_of_orders.revenue_month = months.revenue_month
    where
        coalesce(months_of_orders.gross_revenue_amount, 0)
        is distinct from months.gross_revenue_amount
        or coalesce(months_of_orders.discount_amount, 0) is distinct from months.discount_amount
        or coalesce(months_of_orders.order_count, 0) is distinct from months.order_count
        or coalesce(months_of_orders.costed_order_count, 0)
        is distinct from months.costed_order_count
        or coalesce(months_of_orders.cost_amount, 0) is distinct from months.cost_amount
    union all
    select
        'refunds of the orders of month '
        || cast(coalesce(months_of_orders.revenue_month, months.revenue_month) as string) as place,
        months_of_orders.net_revenue_amount as one_amount,
        months.net_revenue_amount as other_amount
    from months_of_orders
    full outer join months on months_of_orders.revenue_month = months.revenue_month
    cross join settings
    where settings.refund_basis = 'order_date'
        and months_of_orders.net_revenue_amount is distinct from months.net_revenue_amount
    union all
    select
        'new, repeat and unidentified orders of month ' || cast(revenue_month as string) as place,
        cast(
            new_customer_order_count + repeat_order_count + unidentified_order_count
            as decimal(18, 2)
        ) as one_amount,
        cast(order_count as decimal(18, 2)) as other_amount
    from months
    where new_customer_order_count + repeat_order_count + unidentified_order_count != order_count
    union all
    select
        'margin of month ' || cast(revenue_month as string) as place,
        cast(costed_net_revenue_amount - cost_amount as decimal(18, 2)) as one_amount,
        gross_margin_amount as other_amount
    from months
    where gross_margin_amount != costed_net_revenue_amount - cost_amount
    union all
    select
        'net revenue in total' as place,
        orders_amount as one_amount,
        months_amount as other_amount
    from totals
    where orders_amount != months_amount
    union all
    select
        'net revenue of orders with a cost, in total' as place,
        costed_orders_amount as one_amount,
        costed_months_amount as other_amount
    from totals
    where costed_orders_amount != costed_months_amount
)

select * from differences
