-- Grain: one row per survey answer of somebody known, its score on the usual scale of its kind.

with

answers as (select * from {{ ref('int_survey_answers') }} where customer_id is not null),

scores as (
    select
        -- keys
        source_system,
        response_id,
        record_key,
        customer_id,
        event_id,
        -- facts
        survey_kind,
        score,
        -- times
        responded_at
    from answers
)

select * from scores
