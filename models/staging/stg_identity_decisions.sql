-- Grain: one row per steward's decision.

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
    where {{ exists_as_of() }}
        and decided_at < {{ as_of_end() }}
)

select * from cleaned
