-- Grain: one row per lifecycle whose first order's main category has a usual gap of its own.
-- The main category is the one that most was spent on; of equals the first by name.

with

category_gaps as (select * from {{ ref('stg_first_category_gaps') }}),

purchases as (select * from {{ ref('int_purchases') }}),

orders as (select * from {{ ref('int_orders') }}),

lines as (
    select *
    from {{ ref('int_order_lines') }}
    where category is not null and not is_return and not is_zero
),

personas as (select * from {{ ref('int_lifecycle_personas') }}),

settings as (select * from {{ ref('stg_lifecycle_settings') }} where threshold_persona = 'default'),

purchases_ranked as (
    select
        *,
        row_number() over (
            partition by lifecycle_id
            order by paid_at asc nulls last, source_system asc nulls last, record_id asc nulls last
        ) as purchase_rank
    from purchases
    where order_key is not null
),

first_categories as (
    select
        purchases_ranked.lifecycle_id,
        purchases_ranked.paid_at as known_at,
        {{ category_level('lines.category', 'settings.expansion_category_level') }} as category,
        cast(sum(lines.line_amount - lines.discount_amount) as decimal(18, 4)) as category_amount
    from purchases_ranked
    inner join orders on purchases_ranked.order_key = orders.order_key
    inner join lines
        on orders.source_system = lines.source_system
        and orders.order_id = lines.order_id
    cross join settings
    where purchases_ranked.purchase_rank = 1
    group by
        purchases_ranked.lifecycle_id,
        purchases_ranked.paid_at,
        {{ category_level('lines.category', 'settings.expansion_category_level') }}
),

categories_ranked as (
    select
        lifecycle_id,
        category,
        known_at,
        row_number() over (
            partition by lifecycle_id
            order by category_amount desc nulls last, category asc nulls last
        ) as category_rank
    from first_categories
    where category_amount > 0
),

gaps as (
    select
        categories_ranked.lifecycle_id,
        category_gaps.order_gap_days,
        categories_ranked.known_at
    from categories_ranked
    left join personas on categories_ranked.lifecycle_id = personas.lifecycle_id
    inner join category_gaps
        on categories_ranked.category = category_gaps.category
        and coalesce(personas.threshold_persona, 'default') = category_gaps.threshold_persona
    where categories_ranked.category_rank = 1
)

select * from gaps
