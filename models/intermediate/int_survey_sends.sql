-- Grain: one row per survey that a touchpoint says was sent, with its kind and basis as far as they can be told.
-- Its content_key is the id of a survey that somebody answered, or a kind; the answers to it tell the rest.

with

touchpoints as (
    select * from {{ ref('int_service_touchpoints') }} where event_name = 'survey_sent'
),

answers as (select * from {{ ref('int_survey_answers') }}),

scales as (select * from {{ ref('survey_scales') }}),

names as (
    select
        survey_name as content_name,
        survey_kind,
        survey_basis
    from answers
    union all
    select
        survey_kind as content_name,
        survey_kind,
        survey_basis
    from answers
    union all
    select
        survey_kind as content_name,
        survey_kind,
        cast(null as string) as survey_basis
    from scales
),

-- A name that stands for both bases says nothing of the basis, one for two kinds nothing at all.
names_known as (
    select
        content_name,
        min(survey_kind) as survey_kind,
        case when min(survey_basis) = max(survey_basis) then min(survey_basis) end as survey_basis
    from names
    where content_name is not null
    group by content_name
    having min(survey_kind) = max(survey_kind)
),

published as (
    select
        -- keys
        touchpoints.source_system,
        touchpoints.touchpoint_id,
        -- facts
        names_known.survey_kind,
        case
            when touchpoints.order_id is not null then 'transactional'
            else names_known.survey_basis
        end as survey_basis,
        -- times
        touchpoints.occurred_at as sent_at,
        {{ local_month('touchpoints.occurred_at') }} as sent_month
    from touchpoints
    left join names_known on touchpoints.content_name = names_known.content_name
)

select * from published
