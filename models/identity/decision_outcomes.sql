-- Grain: one row per steward's decision: what became of it.

with

decision_outcomes as (select * from {{ source('identity', 'decision_log') }}),

published as (
    select
        -- keys
        source_system,
        decision_id,
        -- facts
        decision,
        outcome,
        detail,
        -- times
        decided_at
    from decision_outcomes
)

select * from published
