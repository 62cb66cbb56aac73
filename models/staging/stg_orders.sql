-- Grain: one row per order.

with

records as (select * from {{ source('raw', 'orders') }}),

cleaned as (
    select
        -- keys
        source_system,
        id_namespace,
        order_id,
        contact_id,
        user_id,
        store_id,
        subscription_id,
        -- facts
        -- What a later cancellation put in its place is not known.
        case when cancelled_at >= {{ as_of_end() }} then null else lower(order_status) end
            as order_status,
        total_amount,
        currency,
        lower(email) as email,
        phone,
        discount_amount,
        shipping_amount,
        tax_amount,
        gift_card_amount,
        coupon_code,
        order_channel,
        brand,
        is_renewal,
        is_gift,
        is_test,
        -- times
        ordered_at,
        {{ happened('paid_at') }} as paid_at,
        promised_delivery_at,
        {{ happened('delivered_at') }} as delivered_at,
        {{ happened('cancelled_at') }} as cancelled_at
    from records
    where {{ exists_as_of() }}
        and ordered_at < {{ as_of_end() }}
)

select * from cleaned
