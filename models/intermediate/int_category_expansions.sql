-- Grain: one row per order that took a lifecycle into a category that is new to it and matters.
-- It matters when it is worth a set share of what they spent in the window before, after a set time as a customer.

with

all_orders as (
    select * from {{ ref('int_orders') }} where is_paid and is_counted and customer_id is not null
),

members as (select * from {{ ref('int_lifecycle_members') }}),

amounts as (select * from {{ ref('int_order_amounts') }}),

lines as (
    select *
    from {{ ref('int_order_lines') }}
    where category is not null and not is_return and not is_zero
),

paid_days as (select * from {{ ref('int_paid_days') }}),

settings as (select * from {{ ref('stg_lifecycle_settings') }} where threshold_persona = 'default'),

orders as (
    select
        all_orders.*,
        members.lifecycle_id
    from all_orders
    inner join members on all_orders.customer_id = members.customer_id
),

category_orders as (
    select
        orders.lifecycle_id,
        orders.order_key,
        orders.ordered_at,
        {{ category_level('lines.category', 'settings.expansion_category_level') }} as top_category,
        cast(
            sum(
                {{ to_reporting_currency(
                    'lines.line_amount - lines.discount_amount',
                    'amounts.exchange_rate'
                ) }}
            )
            as decimal(18, 2)
        ) as category_amount
    from lines
    inner join orders
        on lines.source_system = orders.source_system
        and lines.order_id = orders.order_id
    inner join amounts on orders.order_key = amounts.order_key
    cross join settings
    group by
        orders.lifecycle_id,
        orders.order_key,
        orders.ordered_at,
        {{ category_level('lines.category', 'settings.expansion_category_level') }}
),

categories_ranked as (
    select
        *,
        row_number() over (
            partition by lifecycle_id, top_category
            order by ordered_at asc nulls last, order_key asc nulls last
        ) as purchase_rank
    from category_orders
),

first_purchases as (
    select
        categories_ranked.lifecycle_id,
        categories_ranked.order_key,
        categories_ranked.ordered_at,
        categories_ranked.top_category,
        categories_ranked.category_amount
    from categories_ranked
    inner join paid_days
        on categories_ranked.lifecycle_id = paid_days.lifecycle_id
        and paid_days.paid_number = 1
    cross join settings
    where categories_ranked.purchase_rank = 1
        and categories_ranked.ordered_at
        >= {{ add_days('paid_days.first_paid_at', 'settings.expansion_min_history_days') }}
),

window_spend as (
    select
        first_purchases.lifecycle_id,
        first_purchases.order_key,
        first_purchases.top_category,
        cast(sum(orders.gross_revenue_amount - orders.discount_amount) as decimal(18, 2))
            as spend_amount
    from first_purchases
    inner join orders on first_purchases.lifecycle_id = orders.lifecycle_id
    cross join settings
    where orders.ordered_at <= first_purchases.ordered_at
        and first_purchases.ordered_at
        < {{ add_days('orders.ordered_at', 'settings.expansion_window_days') }}
    group by first_purchases.lifecycle_id, first_purchases.order_key, first_purchases.top_category
),

expansions as (
    select
        first_purchases.lifecycle_id,
        concat_ws(':', 'order', first_purchases.order_key) as event_id,
        min(first_purchases.top_category) as expanded_category,
        first_purchases.ordered_at as expanded_at
    from first_purchases
    inner join window_spend
        on first_purchases.lifecycle_id = window_spend.lifecycle_id
        and first_purchases.order_key = window_spend.order_key
        and first_purchases.top_category = window_spend.top_category
    cross join settings
    where first_purchases.category_amount > 0
        and cast(first_purchases.category_amount as double)
        >= settings.expansion_min_spend_share * cast(window_spend.spend_amount as double)
    group by first_purchases.lifecycle_id, first_purchases.order_key, first_purchases.ordered_at
)

select * from expansions
