-- Grain: one row per customer and spell of being an active customer; before the first they were none.
-- Active is what seeds/lifecycle_stages.csv calls so: has bought, and is neither lapsed nor churned.

with

states as (select * from {{ ref('int_lifecycle_states') }}),

stages as (select * from {{ ref('lifecycle_stages') }}),

states_judged as (
    select
        states.customer_id,
        stages.is_active,
        states.valid_from_at
    from states
    inner join stages on states.stage = stages.stage
),

states_compared as (
    select
        *,
        coalesce(
            lag(is_active) over (partition by customer_id order by valid_from_at asc nulls last),
            false
        ) as was_active
    from states_judged
),

changes as (
    select
        customer_id,
        is_active,
        valid_from_at,
        lead(valid_from_at)
            over (partition by customer_id order by valid_from_at asc nulls last)
            as valid_to_at
    from states_compared
    where is_active != was_active
),

spells as (
    select
        -- keys
        customer_id,
        row_number() over (partition by customer_id order by valid_from_at asc nulls last)
            as spell_number,
        -- times
        valid_from_at,
        valid_to_at
    from changes
    where is_active
)

select * from spells
