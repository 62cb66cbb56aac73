-- Grain: one row per survey answer of somebody known, its score on the usual scale of its kind.

with

survey_responses as (select * from {{ ref('stg_survey_responses') }}),

scales as (select * from {{ ref('survey_scales') }}),

links as (
    select * from {{ source('identity', 'record_links') }} where record_table = 'survey_responses'
),

answers as (
    select
        links.customer_id,
        links.record_key,
        survey_responses.source_system,
        survey_responses.response_id,
        survey_responses.survey_kind,
        survey_responses.responded_at,
        cast(scales.usual_min as double) as usual_min,
        cast(scales.usual_max as double) as usual_max,
        cast(coalesce(survey_responses.scale_min, scales.usual_min) as double) as scale_min,
        cast(coalesce(survey_responses.scale_max, scales.usual_max) as double) as scale_max,
        cast(survey_responses.score as double) as score,
        coalesce(
            lower(survey_responses.scale_direction) in ('descending', 'low_is_good'), false
        ) as is_descending
    from survey_responses
    inner join links
        on survey_responses.source_system = links.source_system
        and survey_responses.response_id = links.record_id
    left join scales on survey_responses.survey_kind = scales.survey_kind
),

answers_turned as (
    select
        *,
        case when is_descending then scale_max - score else score - scale_min end as score_above
    from answers
),

scores as (
    select
        -- keys
        source_system,
        response_id,
        record_key,
        customer_id,
        concat_ws(':', 'survey', source_system, response_id) as event_id,
        -- facts
        survey_kind,
        -- Rounded so that a six stays a six.
        round(
            usual_min + (usual_max - usual_min) * score_above / nullif(scale_max - scale_min, 0), 6
        ) as score,
        -- times
        responded_at
    from answers_turned
)

select * from scores
