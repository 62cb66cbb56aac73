-- Grain: one row per identifier that links nobody, and reason.

with

blocked_identifiers as (select * from {{ source('identity', 'identifier_blocks') }}),

published as (
    select
        -- keys
        identifier_kind,
        identifier_value,
        reason,
        -- facts
        record_count,
        sharer_count
    from blocked_identifiers
)

select * from published
