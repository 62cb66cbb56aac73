-- Every answer is in one month, kind and basis; promoters, passives and detractors are all who score; rates are shares.
{{ config(meta={'dagster': {'ref': {'name': 'experience_monthly'}}}) }}

with

answers as (select * from {{ ref('int_survey_answers') }}),

months as (select * from {{ ref('experience_monthly') }}),

answers_counted as (
    select
        responded_month,
        survey_kind,
        survey_basis,
        count(*) as response_count,
        case
            when survey_kind = 'nps'
                then count(distinct case when is_scored then respondent_key end)
            else count(case when is_scored then 1 end)
        end as scored_count
    from answers
    group by responded_month, survey_kind, survey_basis
),

differences as (
    select
        coalesce(answers_counted.responded_month, months.experience_month) as experience_month,
        coalesce(answers_counted.survey_kind, months.survey_kind) as survey_kind,
        coalesce(answers_counted.survey_basis, months.survey_basis) as survey_basis
    from answers_counted
    full outer join months
        on answers_counted.responded_month = months.experience_month
        and answers_counted.survey_kind = months.survey_kind
        and answers_counted.survey_basis = months.survey_basis
    where coalesce(answers_counted.response_count, 0) is distinct from months.response_count
        or coalesce(answers_counted.scored_count, 0) is distinct from months.scored_count
    union all
    select
        experience_month,
        survey_kind,
        survey_basis
    from months
    where (
        survey_kind = 'nps'
        and promoter_count + passive_count + detractor_count is distinct from scored_count
    )
    or (survey_kind = 'csat' and coalesce(satisfied_count > scored_count, true))
    or answered_count > sent_count
    or respondent_count + unidentified_response_count > response_count
    or nps_low > nps_high
    or csat_low > csat_high
)

select * from differences
