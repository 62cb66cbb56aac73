-- Grain: one row per offer.

with

records as (select * from {{ source('raw', 'offers') }}),

cleaned as (
    select
        -- keys
        source_system,
        id_namespace,
        offer_id,
        -- facts
        offer_kind,
        value as offer_amount,
        code as offer_code,
        minimum_margin_rate,
        -- times
        started_at,
        ended_at
    from records
    where {{ exists_as_of() }}
        and (started_at is null or started_at < {{ as_of_end() }})
)

select * from cleaned
