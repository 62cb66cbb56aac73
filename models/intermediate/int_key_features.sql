-- Grain: one row per name under which a key feature of the product may be told: its product's id, or its name.

with

products as (select * from {{ ref('stg_products') }} where is_key_feature),

told_names as (
    select
        lower(replace(trim(product_id), ' ', '_')) as told_name,
        lower(replace(trim(coalesce(product_name, product_id)), ' ', '_')) as key_feature
    from products
    union all
    select
        lower(replace(trim(product_name), ' ', '_')) as told_name,
        lower(replace(trim(product_name), ' ', '_')) as key_feature
    from products
    where product_name is not null
),

features as (
    select
        told_name,
        min(key_feature) as key_feature
    from told_names
    group by told_name
)

select * from features
