-- Grain: one row per field of a profile and source that is named for it, and one for all other sources.

with

rules as (select * from {{ source('ops', 'survivorship_rules') }}),

named as (
    select
        -- keys
        field_name,
        source_system,
        -- facts
        rule as survivorship_rule,
        source_rank
    from rules
)

select * from named
