-- Products of a month add up to the lines that name a product; each rank is taken once; and nobody buys what they looked
-- at without having looked.
{{ config(meta={'dagster': {'ref': {'name': 'product_popularity_monthly'}}}) }}

with

lines as (
    select * from {{ ref('int_order_line_amounts') }} where is_counted and product_id is not null
),

popularity as (select * from {{ ref('product_popularity_monthly') }}),

months_of_lines as (
    select
        order_month as popularity_month,
        cast(sum(gross_revenue_amount) as decimal(18, 2)) as gross_revenue_amount,
        cast(sum(discount_amount) as decimal(18, 2)) as discount_amount
    from lines
    group by order_month
),

months_of_products as (
    select
        popularity_month,
        cast(sum(gross_revenue_amount) as decimal(18, 2)) as gross_revenue_amount,
        cast(sum(discount_amount) as decimal(18, 2)) as discount_amount,
        count(*) as product_count,
        count(distinct view_rank) as view_rank_count,
        max(view_rank) as last_view_rank,
        count(distinct revenue_rank) as revenue_rank_count,
        max(revenue_rank) as last_revenue_rank
    from popularity
    group by popularity_month
),

differences as (
    select
        coalesce(months_of_lines.popularity_month, months_of_products.popularity_month)
            as popularity_month,
        'sales' as place
    from months_of_lines
    full outer join months_of_products
        on months_of_lines.popularity_month = months_of_products.popularity_month
    where coalesce(months_of_lines.gross_revenue_amount, 0)
        is distinct from months_of_products.gross_revenue_amount
        or coalesce(months_of_lines.discount_amount, 0)
        is distinct from months_of_products.discount_amount
    union all
    select
        popularity_month,
        'ranks' as place
    from months_of_products
    where product_count != view_rank_count
        or product_count != last_view_rank
        or product_count != revenue_rank_count
        or product_count != last_revenue_rank
    union all
    select
        popularity_month,
        'viewers of ' || product_id as place
    from popularity
    where buying_viewer_count > viewer_count
        or viewer_count > view_count
        or buying_viewer_count > customer_count
)

select * from differences
