-- Grain: one row per set of thresholds and category with a usual gap between orders of its own.

with

gaps as (select * from {{ source('ops', 'first_category_gaps') }}),

named as (
    select
        -- keys
        threshold_persona,
        category,
        -- facts
        order_gap_days
    from gaps
)

select * from named
