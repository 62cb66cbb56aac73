-- Grain: one row per survey answer, also of nobody known; its score on the usual scale of its kind.

with

survey_responses as (select * from {{ ref('stg_survey_responses') }}),

scales as (select * from {{ ref('survey_scales') }}),

triggers as (select * from {{ ref('survey_triggers') }}),

links as (
    select * from {{ source('identity', 'record_links') }} where record_table = 'survey_responses'
),

answers as (
    select
        survey_responses.source_system,
        survey_responses.id_namespace,
        survey_responses.response_id,
        links.record_key,
        links.customer_id,
        survey_responses.order_id,
        survey_responses.ticket_id,
        survey_responses.agent_id,
        lower(trim(survey_responses.survey_id)) as survey_name,
        lower(replace(trim(survey_responses.survey_trigger), ' ', '_')) as survey_trigger,
        survey_responses.survey_kind,
        survey_responses.responded_at,
        coalesce(survey_responses.sent_at, survey_responses.responded_at) as asked_at,
        cast(scales.usual_min as double) as usual_min,
        cast(scales.usual_max as double) as usual_max,
        cast(coalesce(survey_responses.scale_min, scales.usual_min) as double) as scale_min,
        cast(coalesce(survey_responses.scale_max, scales.usual_max) as double) as scale_max,
        cast(survey_responses.score as double) as score,
        coalesce(
            lower(survey_responses.scale_direction) in ('descending', 'low_is_good'), false
        ) as is_descending
    from survey_responses
    left join links
        on survey_responses.source_system = links.source_system
        and survey_responses.response_id = links.record_id
    left join scales on survey_responses.survey_kind = scales.survey_kind
),

answers_turned as (
    select
        answers.*,
        case
            when answers.is_descending then answers.scale_max - answers.score
            else answers.score - answers.scale_min
        end as score_above,
        -- Who is asked about one order, case or agent is not asked about the company.
        case
            when
                answers.order_id is not null
                or answers.ticket_id is not null
                or answers.agent_id is not null
                then 'transactional'
            else coalesce(triggers.survey_basis, 'relational')
        end as survey_basis
    from answers
    left join triggers on answers.survey_trigger = triggers.survey_trigger
),

answers_scaled as (
    select
        *,
        -- Rounded so that a six stays a six.
        round(
            usual_min + (usual_max - usual_min) * score_above / nullif(scale_max - scale_min, 0), 6
        ) as usual_score
    from answers_turned
),

answers_judged as (
    select
        *,
        coalesce(usual_score between usual_min and usual_max, false) as is_scored
    from answers_scaled
),

scores as (
    select
        -- keys
        source_system,
        id_namespace,
        response_id,
        record_key,
        customer_id,
        -- Who is not known is somebody else each time.
        coalesce(customer_id, concat_ws(':', 'survey', source_system, response_id))
            as respondent_key,
        concat_ws(':', 'survey', source_system, response_id) as event_id,
        order_id,
        ticket_id,
        agent_id,
        -- facts
        survey_name,
        survey_kind,
        survey_basis,
        usual_score as score,
        is_scored,
        -- What an answer adds to the score of its kind, of which that score is the mean.
        cast(
            case
                when not is_scored then null
                when survey_kind = 'nps' and usual_score >= 9 then 100
                when survey_kind = 'nps' and usual_score <= 6 then -100
                when survey_kind = 'nps' then 0
                when survey_kind = 'csat' and usual_score >= 4 then 1
                when survey_kind = 'csat' then 0
                else usual_score
            end as double
        ) as score_points,
        -- times
        responded_at,
        {{ local_month('responded_at') }} as responded_month,
        {{ local_month('asked_at') }} as asked_month
    from answers_judged
)

select * from scores
