-- Grain: one row per order line.

with

records as (select * from {{ source('raw', 'order_items') }}),

cleaned as (
    select
        -- keys
        source_system,
        id_namespace,
        order_id,
        line_number,
        product_id,
        -- facts
        quantity,
        line_amount,
        discount_amount,
        unit_cost_amount
    from records
    where {{ exists_as_of() }}
)

select * from cleaned
