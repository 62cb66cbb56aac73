-- Grain: one row per review.

with

records as (select * from {{ source('raw', 'reviews') }}),

cleaned as (
    select
        -- keys
        source_system,
        id_namespace,
        review_id,
        contact_id,
        product_id,
        order_id,
        -- facts
        rating,
        lower(email) as email,
        scale_max,
        review_text,
        is_testimonial,
        -- times
        reviewed_at
    from records
    where {{ exists_as_of() }}
        and reviewed_at < {{ as_of_end() }}
)

select * from cleaned
