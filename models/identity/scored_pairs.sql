-- Grain: one row per pair of contact records that likeness joined, or that a steward should look at.

with

scored_pairs as (select * from {{ source('identity', 'pair_scores') }}),

published as (
    select
        -- keys
        left_source_system,
        left_record_id,
        right_source_system,
        right_record_id,
        left_customer_id,
        right_customer_id,
        -- facts
        outcome,
        score_bits,
        confidence,
        evidence
    from scored_pairs
)

select * from published
