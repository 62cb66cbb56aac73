-- Grain: one row per refund.

with

records as (select * from {{ source('raw', 'refunds') }}),

cleaned as (
    select
        -- keys
        source_system,
        id_namespace,
        refund_id,
        order_id,
        product_id,
        -- facts
        refund_amount,
        currency,
        quantity,
        item_refund_amount,
        tax_refund_amount,
        shipping_refund_amount,
        reason,
        -- times
        refunded_at
    from records
    where {{ exists_as_of() }}
        and refunded_at < {{ as_of_end() }}
)

select * from cleaned
