-- Grain: one row per month of the reporting zone in which items were sold.

with

lines as (select * from {{ ref('int_order_line_amounts') }} where is_counted),

expanded_lines as (select * from {{ ref('int_expanded_lines') }}),

items_added as (
    select
        order_month as expansion_month,
        cast(sum(net_revenue_amount) as decimal(18, 2)) as item_revenue_amount
    from lines
    group by order_month
),

expansions_added as (
    select
        order_month as expansion_month,
        cast(sum(upsell_amount) as decimal(18, 2)) as upsell_amount,
        count(distinct case when is_upsell then order_key end) as upsell_order_count,
        count(distinct case when is_upsell then customer_id end) as upsell_customer_count,
        cast(sum(cross_sell_amount) as decimal(18, 2)) as cross_sell_amount,
        count(distinct case when is_cross_sell then order_key end) as cross_sell_order_count,
        count(distinct case when is_cross_sell then customer_id end) as cross_sell_customer_count,
        count(distinct order_key) as expansion_order_count,
        count(distinct customer_id) as expansion_customer_count
    from expanded_lines
    group by order_month
),

months as (
    select
        items_added.expansion_month,
        items_added.item_revenue_amount,
        coalesce(expansions_added.upsell_amount, 0) as upsell_amount,
        coalesce(expansions_added.upsell_order_count, 0) as upsell_order_count,
        coalesce(expansions_added.upsell_customer_count, 0) as upsell_customer_count,
        coalesce(expansions_added.cross_sell_amount, 0) as cross_sell_amount,
        coalesce(expansions_added.cross_sell_order_count, 0) as cross_sell_order_count,
        coalesce(expansions_added.cross_sell_customer_count, 0) as cross_sell_customer_count,
        coalesce(expansions_added.expansion_order_count, 0) as expansion_order_count,
        coalesce(expansions_added.expansion_customer_count, 0) as expansion_customer_count
    from items_added
    left join expansions_added on items_added.expansion_month = expansions_added.expansion_month
),

expansion_revenue as (
    select
        -- keys
        expansion_month,
        -- facts
        cast(expansion_month + interval 1 month as date) <= cast({{ as_of_date() }} + 1 as date)
            as is_complete,
        cast({{ reporting_currency() }} as string) as currency,
        item_revenue_amount,
        cast(upsell_amount as decimal(18, 2)) as upsell_amount,
        cast(upsell_order_count as bigint) as upsell_order_count,
        cast(upsell_customer_count as bigint) as upsell_customer_count,
        cast(upsell_amount as double) / nullif(cast(item_revenue_amount as double), 0)
            as upsell_rate,
        cast(cross_sell_amount as decimal(18, 2)) as cross_sell_amount,
        cast(cross_sell_order_count as bigint) as cross_sell_order_count,
        cast(cross_sell_customer_count as bigint) as cross_sell_customer_count,
        cast(cross_sell_amount as double) / nullif(cast(item_revenue_amount as double), 0)
            as cross_sell_rate,
        cast(upsell_amount + cross_sell_amount as decimal(18, 2)) as expansion_amount,
        cast(expansion_order_count as bigint) as expansion_order_count,
        cast(expansion_customer_count as bigint) as expansion_customer_count,
        cast(upsell_amount + cross_sell_amount as double)
        / nullif(cast(item_revenue_amount as double), 0) as expansion_rate
    from months
)

select * from expansion_revenue
