-- Lines add up to their order, discounts shared out; and what months say was brought by items, upsold and cross-sold is
-- what their lines say. Every row is a place where it is not.
{{ config(meta={'dagster': {'ref': {'name': 'expansion_revenue_monthly'}}}) }}

with

lines as (select * from {{ ref('int_order_line_amounts') }} where is_counted),

orders as (select * from {{ ref('int_orders') }} where is_counted and line_count > 0),

expanded_lines as (select * from {{ ref('int_expanded_lines') }}),

months as (select * from {{ ref('expansion_revenue_monthly') }}),

orders_of_lines as (
    select
        order_key,
        cast(sum(gross_revenue_amount) as decimal(18, 2)) as gross_revenue_amount,
        cast(sum(discount_amount) as decimal(18, 2)) as discount_amount
    from lines
    group by order_key
),

months_of_orders as (
    select
        order_month as expansion_month,
        cast(sum(gross_revenue_amount - discount_amount) as decimal(18, 2)) as item_revenue_amount
    from orders
    group by order_month
),

months_of_expansion as (
    select
        order_month as expansion_month,
        cast(sum(upsell_amount) as decimal(18, 2)) as upsell_amount,
        cast(sum(cross_sell_amount) as decimal(18, 2)) as cross_sell_amount
    from expanded_lines
    group by order_month
),

differences as (
    select
        'lines of order ' || coalesce(orders.order_key, orders_of_lines.order_key) as place,
        orders_of_lines.gross_revenue_amount - orders_of_lines.discount_amount as one_amount,
        orders.gross_revenue_amount - orders.discount_amount as other_amount
    from orders
    full outer join orders_of_lines on orders.order_key = orders_of_lines.order_key
    where orders.gross_revenue_amount is distinct from orders_of_lines.gross_revenue_amount
        or orders.discount_amount is distinct from orders_of_lines.discount_amount
    union all
    select
        'items of month '
        || cast(coalesce(months.expansion_month, months_of_orders.expansion_month) as string)
            as place,
        months_of_orders.item_revenue_amount as one_amount,
        months.item_revenue_amount as other_amount
    from months
    full outer join months_of_orders on months.expansion_month = months_of_orders.expansion_month
    where months.item_revenue_amount is distinct from months_of_orders.item_revenue_amount
    union all
    select
        'expansion of month '
        || cast(coalesce(months.expansion_month, months_of_expansion.expansion_month) as string)
            as place,
        months_of_expansion.upsell_amount + months_of_expansion.cross_sell_amount as one_amount,
        months.expansion_amount as other_amount
    from months
    full outer join months_of_expansion
        on months.expansion_month = months_of_expansion.expansion_month
    where coalesce(months_of_expansion.upsell_amount, 0) is distinct from months.upsell_amount
        or coalesce(months_of_expansion.cross_sell_amount, 0)
        is distinct from months.cross_sell_amount
        or months.upsell_amount + months.cross_sell_amount
        is distinct from months.expansion_amount
    union all
    select
        'upsell and cross-sell of line ' || order_key || ' ' || cast(line_number as string)
            as place,
        upsell_amount as one_amount,
        cross_sell_amount as other_amount
    from expanded_lines
    where is_upsell = is_cross_sell
)

select * from differences
