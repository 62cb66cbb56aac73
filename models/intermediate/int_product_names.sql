-- Grain: one row per product id: what it is called.
-- Where several systems have a product of that id, the first system by name speaks.

with

products as (select * from {{ ref('stg_products') }}),

products_ranked as (
    select
        product_id,
        product_name,
        category,
        count(*) over (partition by product_id) as catalogue_count,
        row_number() over (
            partition by product_id
            order by id_namespace asc nulls last, source_system asc nulls last
        ) as product_rank
    from products
),

named as (
    select
        -- keys
        product_id,
        -- facts
        product_name,
        category,
        catalogue_count = 1 as is_in_one_catalogue
    from products_ranked
    where product_rank = 1
)

select * from named
