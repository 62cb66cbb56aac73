-- Grain: one row per month, kind of survey and basis with an answer or a survey sent.
-- Of each customer the latest NPS answer of the month counts; of CSAT and CES every answer.

with

answers as (select * from {{ ref('int_survey_answers') }}),

sends as (select * from {{ ref('int_survey_sends') }} where survey_kind is not null),

months as (select * from {{ ref('int_months') }}),

answers_ranked as (
    select
        *,
        row_number() over (
            partition by responded_month, survey_kind, survey_basis, respondent_key, is_scored
            order by responded_at desc nulls last, event_id desc nulls last
        ) as answer_rank
    from answers
),

answers_placed as (
    select
        *,
        is_scored and (survey_kind != 'nps' or answer_rank = 1) as is_in_score
    from answers_ranked
),

answers_counted as (
    select
        responded_month as experience_month,
        survey_kind,
        survey_basis,
        cast(count(*) as bigint) as response_count,
        cast(count(distinct customer_id) as bigint) as respondent_count,
        cast(count(case when customer_id is null then 1 end) as bigint)
            as unidentified_response_count,
        cast(count(case when is_in_score then 1 end) as bigint) as scored_count,
        cast(count(case when is_in_score and score_points = 100 then 1 end) as bigint)
            as promoter_count,
        cast(count(case when is_in_score and score_points = 0 then 1 end) as bigint)
            as passive_count,
        cast(count(case when is_in_score and score_points = -100 then 1 end) as bigint)
            as detractor_count,
        cast(count(case when is_in_score and score_points = 1 then 1 end) as bigint)
            as satisfied_count,
        cast(sum(case when is_in_score then score_points end) as double) as score_sum
    from answers_placed
    group by responded_month, survey_kind, survey_basis
),

sends_counted as (
    select
        sent_month as experience_month,
        survey_kind,
        survey_basis,
        cast(count(*) as bigint) as sent_count
    from sends
    where survey_basis is not null
    group by sent_month, survey_kind, survey_basis
),

sends_unplaced as (
    select distinct
        sent_month as experience_month,
        survey_kind
    from sends
    where survey_basis is null
),

answered_counted as (
    select
        asked_month as experience_month,
        survey_kind,
        survey_basis,
        cast(count(*) as bigint) as answered_count
    from answers
    group by asked_month, survey_kind, survey_basis
),

surveys as (
    select
        experience_month,
        survey_kind,
        survey_basis
    from answers_counted
    union
    select
        experience_month,
        survey_kind,
        survey_basis
    from sends_counted
),

surveys_sent as (
    select
        surveys.experience_month,
        surveys.survey_kind,
        surveys.survey_basis,
        coalesce(answered_counted.answered_count, 0) as answered_count,
        -- More answers than surveys: not all that was sent is known.
        case
            when
                sends_unplaced.survey_kind is null
                and coalesce(answered_counted.answered_count, 0) <= sends_counted.sent_count
                then sends_counted.sent_count
        end as sent_count
    from surveys
    left join sends_counted
        on surveys.experience_month = sends_counted.experience_month
        and surveys.survey_kind = sends_counted.survey_kind
        and surveys.survey_basis = sends_counted.survey_basis
    left join sends_unplaced
        on surveys.experience_month = sends_unplaced.experience_month
        and surveys.survey_kind = sends_unplaced.survey_kind
    left join answered_counted
        on surveys.experience_month = answered_counted.experience_month
        and surveys.survey_kind = answered_counted.survey_kind
        and surveys.survey_basis = answered_counted.survey_basis
),

surveys_scored as (
    select
        surveys_sent.experience_month,
        surveys_sent.survey_kind,
        surveys_sent.survey_basis,
        surveys_sent.answered_count,
        surveys_sent.sent_count,
        coalesce(answers_counted.response_count, 0) as response_count,
        coalesce(answers_counted.respondent_count, 0) as respondent_count,
        coalesce(answers_counted.unidentified_response_count, 0) as unidentified_response_count,
        coalesce(answers_counted.scored_count, 0) as scored_count,
        case
            when surveys_sent.survey_kind = 'nps' then coalesce(answers_counted.promoter_count, 0)
        end as promoter_count,
        case
            when surveys_sent.survey_kind = 'nps' then coalesce(answers_counted.passive_count, 0)
        end as passive_count,
        case
            when surveys_sent.survey_kind = 'nps' then coalesce(answers_counted.detractor_count, 0)
        end as detractor_count,
        case
            when surveys_sent.survey_kind = 'csat' then coalesce(answers_counted.satisfied_count, 0)
        end as satisfied_count,
        case
            when surveys_sent.survey_kind = 'ces' then coalesce(answers_counted.score_sum, 0)
        end as ces_score_sum
    from surveys_sent
    left join answers_counted
        on surveys_sent.experience_month = answers_counted.experience_month
        and surveys_sent.survey_kind = answers_counted.survey_kind
        and surveys_sent.survey_basis = answers_counted.survey_basis
),

published as (
    select
        -- keys
        surveys_scored.experience_month,
        surveys_scored.survey_kind,
        surveys_scored.survey_basis,
        -- facts
        coalesce(months.is_complete, true) as is_complete,
        cast(surveys_scored.response_count as bigint) as response_count,
        cast(surveys_scored.respondent_count as bigint) as respondent_count,
        cast(surveys_scored.unidentified_response_count as bigint) as unidentified_response_count,
        cast(surveys_scored.sent_count as bigint) as sent_count,
        cast(surveys_scored.answered_count as bigint) as answered_count,
        cast(
            case when surveys_scored.sent_count is not null then surveys_scored.answered_count end
            as double
        )
        / nullif(surveys_scored.sent_count, 0) as response_rate,
        cast(surveys_scored.scored_count as bigint) as scored_count,
        cast(surveys_scored.promoter_count as bigint) as promoter_count,
        cast(surveys_scored.passive_count as bigint) as passive_count,
        cast(surveys_scored.detractor_count as bigint) as detractor_count,
        100
        * cast(surveys_scored.promoter_count - surveys_scored.detractor_count as double)
        / nullif(surveys_scored.scored_count, 0) as nps,
        {{ nps_bound(
            'surveys_scored.promoter_count',
            'surveys_scored.detractor_count',
            'surveys_scored.scored_count',
            '-'
        ) }} as nps_low,
        {{ nps_bound(
            'surveys_scored.promoter_count',
            'surveys_scored.detractor_count',
            'surveys_scored.scored_count',
            '+'
        ) }} as nps_high,
        cast(surveys_scored.satisfied_count as bigint) as satisfied_count,
        cast(surveys_scored.satisfied_count as double)
        / nullif(surveys_scored.scored_count, 0) as csat_rate,
        {{ wilson_bound('surveys_scored.satisfied_count', 'surveys_scored.scored_count', '-') }}
            as csat_low,
        {{ wilson_bound('surveys_scored.satisfied_count', 'surveys_scored.scored_count', '+') }}
            as csat_high,
        cast(surveys_scored.ces_score_sum as double) as ces_score_sum,
        cast(surveys_scored.ces_score_sum as double)
        / nullif(surveys_scored.scored_count, 0) as ces_mean
    from surveys_scored
    left join months on surveys_scored.experience_month = months.month
)

select * from published
