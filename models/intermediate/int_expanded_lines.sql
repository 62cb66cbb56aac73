-- Grain: one row per order line that brought more than what the customer bought before: an upsell or a cross-sell.
-- Upsell: a unit cost more than any the customer had paid for in that product line (lowest category, same currency)
-- on an earlier day. Cross-sell: the first day on which they bought in a top category, the first order day excluded.

with

lines as (
    select *
    from {{ ref('int_order_line_amounts') }}
    where
        customer_id is not null
        and category is not null
        and quantity > 0
        and unit_price_amount > 0
),

paid_days as (select * from {{ ref('int_paid_order_days') }}),

first_days as (select * from paid_days where paid_number = 1),

second_days as (select * from paid_days where paid_number = 2),

lines_of_repeaters as (
    select lines.*
    from lines
    semi join second_days on lines.customer_id = second_days.customer_id
),

lines_compared as (
    select
        *,
        max(unit_price_amount) over (
            partition by customer_id, category, currency
            order by order_date asc nulls last
            range between unbounded preceding and interval 1 day preceding
        ) as highest_price_before_amount,
        min(order_date) over (partition by customer_id, top_category) as category_first_date
    from lines_of_repeaters
),

lines_valued as (
    select
        lines_compared.*,
        coalesce(
            lines_compared.unit_price_amount > lines_compared.highest_price_before_amount, false
        ) as is_upsell,
        lines_compared.order_date = lines_compared.category_first_date
        and lines_compared.order_date > first_days.order_date as is_cross_sell,
        {{ to_reporting_currency(
            'cast((lines_compared.unit_price_amount - lines_compared.highest_price_before_amount)
            * lines_compared.quantity as decimal(18, 4))',
            'lines_compared.exchange_rate'
        ) }} as price_rise_amount
    from lines_compared
    inner join first_days on lines_compared.customer_id = first_days.customer_id
    where lines_compared.is_counted
),

-- No line brings more by being dearer than it brings at all.
expansions as (
    select
        -- keys
        order_key,
        line_number,
        customer_id,
        product_id,
        -- facts
        is_upsell,
        is_cross_sell,
        category,
        top_category,
        cast(
            case
                when is_upsell then greatest(least(price_rise_amount, net_revenue_amount), 0)
                else 0
            end as decimal(18, 2)
        ) as upsell_amount,
        cast(case when is_cross_sell then net_revenue_amount else 0 end as decimal(18, 2))
            as cross_sell_amount,
        -- times
        order_date,
        order_month
    from lines_valued
    where is_upsell or is_cross_sell
)

select * from expansions
