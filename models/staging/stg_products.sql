-- Grain: one row per product.

with

records as (select * from {{ source('raw', 'products') }}),

cleaned as (
    select
        -- keys
        source_system,
        id_namespace,
        product_id,
        -- facts
        product_name,
        category,
        brand,
        unit_cost_amount,
        list_price_amount,
        currency,
        is_key_feature
    from records
    where {{ exists_as_of() }}
)

select * from cleaned
