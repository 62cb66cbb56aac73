-- Grain: one row per line of an order that is neither cancelled nor a test, in the reporting currency.
-- The order's own discount is shared out among its lines by what they cost, each running total rounded: so the lines of
-- an order add up to it to the cent.

with

lines as (select * from {{ ref('int_order_lines') }}),

orders as (select * from {{ ref('int_order_amounts') }} where not is_cancelled and not is_test),

product_names as (select * from {{ ref('int_product_names') }} where is_in_one_catalogue),

settings as (select * from {{ ref('stg_lifecycle_settings') }} where threshold_persona = 'default'),

-- A till sells what another system's catalogue describes.
lines_named as (
    select
        lines.*,
        coalesce(lines.category, product_names.category) as known_category
    from lines
    left join product_names on lines.product_id = product_names.product_id
),

lines_converted as (
    select
        orders.order_key,
        lines_named.line_number,
        orders.customer_id,
        lines_named.product_id,
        not orders.is_without_rate as is_counted,
        lines_named.is_return,
        lines_named.is_zero,
        lines_named.known_category as category,
        {{ category_level('lines_named.known_category', 'settings.expansion_category_level') }}
            as top_category,
        lines_named.quantity,
        orders.currency,
        orders.exchange_rate,
        lines_named.line_amount - lines_named.discount_amount as paid_amount,
        {{ to_reporting_currency('lines_named.line_amount', 'orders.exchange_rate') }}
            as gross_revenue_amount,
        {{ to_reporting_currency('lines_named.discount_amount', 'orders.exchange_rate') }}
            as line_discount_amount,
        orders.order_discount_amount,
        orders.ordered_at,
        orders.order_date
    from lines_named
    inner join orders
        on lines_named.source_system = orders.source_system
        and lines_named.order_id = orders.order_id
    cross join settings
),

lines_of_discounted_orders as (
    select
        *,
        abs(gross_revenue_amount - line_discount_amount) as weight_amount
    from lines_converted
    where order_discount_amount != 0
),

weights_added as (
    select
        *,
        cast(
            sum(weight_amount) over (
                partition by order_key
                order by line_number asc nulls last
                rows between unbounded preceding and current row
            ) as decimal(18, 2)
        ) as weight_so_far_amount,
        cast(sum(weight_amount) over (partition by order_key) as decimal(18, 2))
            as weight_total_amount,
        row_number() over (partition by order_key order by line_number desc nulls last)
            as rank_from_last
    from lines_of_discounted_orders
),

-- Lines that cost nothing leave the discount to the last of them.
-- Whole cents are exact as doubles, so that half a cent is rounded alike by every engine.
shares as (
    select
        *,
        coalesce(
            round(
                cast(order_discount_amount * 100 as double)
                * cast(weight_so_far_amount * 100 as double)
                / nullif(cast(weight_total_amount * 100 as double), 0),
                0
            ),
            case when rank_from_last = 1 then cast(order_discount_amount * 100 as double) else 0 end
        ) as cents_with_line,
        coalesce(
            round(
                cast(order_discount_amount * 100 as double)
                * cast((weight_so_far_amount - weight_amount) * 100 as double)
                / nullif(cast(weight_total_amount * 100 as double), 0),
                0
            ),
            0
        ) as cents_before_line
    from weights_added
),

lines_discounted as (
    select
        order_key,
        line_number,
        customer_id,
        product_id,
        is_counted,
        is_return,
        is_zero,
        category,
        top_category,
        quantity,
        currency,
        exchange_rate,
        paid_amount,
        gross_revenue_amount,
        cast(
            line_discount_amount
            + cast((cents_with_line - cents_before_line) / 100 as decimal(18, 2))
            as decimal(18, 2)
        ) as discount_amount,
        ordered_at,
        order_date
    from shares
    union all
    select
        order_key,
        line_number,
        customer_id,
        product_id,
        is_counted,
        is_return,
        is_zero,
        category,
        top_category,
        quantity,
        currency,
        exchange_rate,
        paid_amount,
        gross_revenue_amount,
        line_discount_amount as discount_amount,
        ordered_at,
        order_date
    from lines_converted
    -- Without a rate nothing is known of either.
    where coalesce(order_discount_amount, 0) = 0
),

amounts as (
    select
        -- keys
        order_key,
        line_number,
        customer_id,
        product_id,
        -- facts
        is_counted,
        is_return,
        is_zero,
        category,
        top_category,
        quantity,
        currency,
        exchange_rate,
        -- What a unit cost in the order's own currency, which no rate can move.
        cast(
            round(cast(paid_amount as double) / nullif(cast(quantity as double), 0), 4)
            as decimal(18, 4)
        ) as unit_price_amount,
        gross_revenue_amount,
        discount_amount,
        cast(gross_revenue_amount - discount_amount as decimal(18, 2)) as net_revenue_amount,
        -- times
        ordered_at,
        order_date,
        cast(date_trunc('month', order_date) as date) as order_month
    from lines_discounted
)

select * from amounts
