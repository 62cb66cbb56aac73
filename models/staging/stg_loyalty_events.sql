-- Grain: one row per loyalty event.

with

records as (select * from {{ source('raw', 'loyalty_events') }}),

cleaned as (
    select
        -- keys
        source_system,
        id_namespace,
        loyalty_event_id,
        contact_id,
        -- facts
        event_kind,
        lower(email) as email,
        phone,
        points,
        tier_name,
        -- times
        occurred_at
    from records
    where {{ exists_as_of() }}
        and occurred_at < {{ as_of_end() }}
)

select * from cleaned
