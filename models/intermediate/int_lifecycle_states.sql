-- Grain: one row per customer and interval of one state; the intervals of a customer touch and never overlap.
-- A state is the stage and those flags that some scheme asks for in that stage: 'churned+is_weighing'. Every mapped
-- scheme follows from it, so the long history is read once, whatever the number of schemes.

with

stages as (select * from {{ ref('int_lifecycle_stages') }}),

schemes as (select * from {{ ref('lifecycle_schemes') }}),

conditions as (
    select
        stage,
    {%- for flag in scheme_flags() %}
        bool_or(condition = '{{ flag }}') as asks_{{ flag }}{{ ',' if not loop.last }}
    {%- endfor %}
    from schemes
    group by stage
),

stages_with_states as (
    select
        stages.customer_id,
        stages.stage,
        {{ lifecycle_state('stages', 'conditions') }} as state,
        stages.valid_from_at
    from stages
    left join conditions on stages.stage = conditions.stage
),

states_compared as (
    select
        *,
        lag(state)
            over (partition by customer_id order by valid_from_at asc nulls last)
            as previous_state
    from stages_with_states
),

states as (
    select
        -- keys
        customer_id,
        -- facts
        previous_state,
        stage,
        state,
        -- times
        valid_from_at,
        lead(valid_from_at)
            over (partition by customer_id order by valid_from_at asc nulls last)
            as valid_to_at
    from states_compared
    where previous_state is distinct from state
)

select * from states
