-- Grain: one row per steward's decision.
-- Decisions hold whatever day is computed: who is the same person does not depend on when somebody
-- noticed. So neither the day of the decision nor that of its deletion is compared with the run's.

with

records as (select * from {{ source('raw', 'identity_decisions') }}),

cleaned as (
    select
        -- keys
        source_system,
        id_namespace,
        decision_id,
        left_record_id,
        right_record_id,
        -- facts
        left_source_system,
        left_record_table,
        right_source_system,
        right_record_table,
        decision,
        decided_by,
        reason,
        -- times
        decided_at
    from records
    where deleted_at is null
)

select * from cleaned
