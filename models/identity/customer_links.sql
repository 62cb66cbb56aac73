-- Grain: one row per source record that belongs to a person.

with

links as (select * from {{ source('identity', 'record_links') }}),

published as (
    select
        -- keys
        source_system,
        record_table,
        record_id,
        customer_id,
        -- facts
        link_rule,
        confidence,
        score_bits,
        matched_source_system,
        matched_record_id,
        -- times
        linked_at
    from links
)

select * from published
