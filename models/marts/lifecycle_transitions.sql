-- Grain: one row per move of a customer from one stage to another.

with

history as (select * from {{ ref('customer_lifecycle_history') }}),

history_compared as (
    select
        customer_id,
        lag(stage)
            over (partition by customer_id order by valid_from_at asc nulls last)
            as from_stage,
        stage as to_stage,
        lag(valid_from_at)
            over (partition by customer_id order by valid_from_at asc nulls last)
            as entered_at,
        valid_from_at as moved_at,
        reason_code,
        reason,
        evidence_event_id
    from history
),

moves as (
    select
        -- keys
        customer_id,
        from_stage,
        to_stage,
        -- facts
        {{ days_between('entered_at', 'moved_at') }} as days_in_stage,
        reason_code,
        reason,
        evidence_event_id,
        -- times
        moved_at,
        {{ local_date('moved_at') }} as moved_date
    from history_compared
    where from_stage is not null
)

select * from moves
