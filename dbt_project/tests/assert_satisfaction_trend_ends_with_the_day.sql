-- The last month's 90 days are those up to the run's day, and a change is called one when its interval leaves out 0.
{{ config(meta={'dagster': {'ref': {'name': 'satisfaction_trend_monthly'}}}) }}

with

answers as (select * from {{ ref('int_survey_answers') }} where is_scored),

trend as (select * from {{ ref('satisfaction_trend_monthly') }}),

answers_counted as (
    select
        survey_kind,
        survey_basis,
        case when survey_kind = 'nps' then count(distinct respondent_key) else count(*) end
            as answer_count
    from answers
    where responded_at >= {{ add_days(as_of_end(), -90) }}
    group by survey_kind, survey_basis
),

last_rows as (
    select *
    from trend
    where trend_month = cast(date_trunc('month', {{ as_of_date() }}) as date)
),

differences as (
    select
        coalesce(answers_counted.survey_kind, last_rows.survey_kind) as survey_kind,
        coalesce(answers_counted.survey_basis, last_rows.survey_basis) as survey_basis
    from answers_counted
    full outer join last_rows
        on answers_counted.survey_kind = last_rows.survey_kind
        and answers_counted.survey_basis = last_rows.survey_basis
    where
        coalesce(answers_counted.answer_count, 0)
        is distinct from coalesce(last_rows.answer_count, 0)
    union all
    select
        survey_kind,
        survey_basis
    from trend
    where is_significant is distinct from (change_low > 0 or change_high < 0)
        or change_low > change_high
        or (change_low is not null and score_change is null)
)

select * from differences
