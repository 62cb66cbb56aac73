-- Grain: one row per state and scheme: the stage that the scheme calls it.
-- The canonical stages are a scheme too, `lifecycle`.

with

states as (select * from {{ ref('int_lifecycle_states') }}),

lifecycle_stages as (select * from {{ ref('lifecycle_stages') }}),

schemes as (select * from {{ ref('lifecycle_schemes') }}),

states_listed as (
    select
        state,
        stage
    from states
    union
    -- Somebody known from undated records alone has no history, and a stage all the same.
    select
        stage as state,
        stage
    from lifecycle_stages
),

candidates as (
    select
        schemes.scheme,
        states_listed.state,
        schemes.scheme_stage as stage,
        row_number() over (
            partition by schemes.scheme, states_listed.state
            order by schemes.precedence asc nulls last
        ) as candidate_number
    from states_listed
    inner join schemes
        on states_listed.stage = schemes.stage
        and (
            schemes.condition is null
            or contains(states_listed.state || '+', '+' || schemes.condition || '+')
        )
),

maps as (
    select
        -- keys
        scheme,
        state,
        -- facts
        stage
    from candidates
    where candidate_number = 1
    union all
    select
        'lifecycle' as scheme,
        state,
        stage
    from states_listed
)

select * from maps
