-- Grain: one row per customer, kind of identifier, source and value.
-- The only published table with direct identifiers; it goes into the file for personal data alone.

with

contacts as (select * from {{ ref('int_customer_contacts') }}),

published as (
    select
        -- keys
        customer_id,
        identifier_kind,
        identifier_value,
        source_system,
        -- facts
        confidence,
        is_preferred,
        -- times
        first_seen_at,
        last_seen_at
    from contacts
)

select * from published
