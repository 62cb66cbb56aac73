-- Grain: one row per month, kind of survey and basis with an answer in the 180 days up to the month's end.
-- The last 90 of them against the 90 before: is the difference more than chance?

with

answers as (select * from {{ ref('int_survey_answers') }} where is_scored),

months as (select * from {{ ref('int_months') }}),

-- Answers that are added to each side before its spread is judged, so that small samples do not look sure: for NPS
-- 3/4 promoter, 3/4 detractor and 1 1/2 passive, for CSAT one satisfied and one who is not. CES takes Student's t.
kinds as (
    select
        survey_kind,
        cast(added_count as double) as added_count,
        cast(added_sum as double) as added_sum,
        cast(added_square_sum as double) as added_square_sum,
        cast(widest_change as double) as widest_change
    from (
        values
        ('nps', 3, 0, 15000, 200),
        ('csat', 2, 1, 1, 1),
        ('ces', 0, 0, 0, 6)
    ) as survey_kinds (survey_kind, added_count, added_sum, added_square_sum, widest_change)
),

answers_placed as (
    select
        months.month as trend_month,
        months.is_complete,
        answers.survey_kind,
        answers.survey_basis,
        answers.respondent_key,
        answers.event_id,
        answers.score_points,
        answers.responded_at,
        answers.responded_at >= {{ add_days('months.month_ends_at', '-90') }} as is_current
    from answers
    inner join months
        on answers.responded_at < months.month_ends_at
        and answers.responded_at >= {{ add_days('months.month_ends_at', '-180') }}
),

answers_ranked as (
    select
        *,
        row_number() over (
            partition by trend_month, survey_kind, survey_basis, is_current, respondent_key
            order by responded_at desc nulls last, event_id desc nulls last
        ) as answer_rank
    from answers_placed
),

answers_added as (
    select
        trend_month,
        survey_kind,
        survey_basis,
        is_complete,
        cast(count(case when is_current then 1 end) as bigint) as answer_count,
        cast(count(case when not is_current then 1 end) as bigint) as previous_answer_count,
        cast(sum(case when is_current then score_points end) as double) as score_sum,
        cast(sum(case when not is_current then score_points end) as double) as previous_score_sum,
        cast(sum(case when is_current then power(score_points, 2) end) as double) as square_sum,
        cast(sum(case when not is_current then power(score_points, 2) end) as double)
            as previous_square_sum
    from answers_ranked
    where survey_kind != 'nps' or answer_rank = 1
    group by trend_month, survey_kind, survey_basis, is_complete
),

estimates as (
    select
        answers_added.*,
        kinds.widest_change,
        (answers_added.score_sum + kinds.added_sum)
        / nullif(answers_added.answer_count + kinds.added_count, 0) as adjusted_score,
        (answers_added.previous_score_sum + kinds.added_sum)
        / nullif(answers_added.previous_answer_count + kinds.added_count, 0)
            as previous_adjusted_score,
        answers_added.answer_count
        + kinds.added_count
        - case when answers_added.survey_kind = 'ces' then 1 else 0 end as freedom,
        answers_added.previous_answer_count
        + kinds.added_count
        - case when answers_added.survey_kind = 'ces' then 1 else 0 end as previous_freedom,
        answers_added.square_sum + kinds.added_square_sum as adjusted_square_sum,
        answers_added.previous_square_sum + kinds.added_square_sum as previous_adjusted_square_sum,
        answers_added.answer_count + kinds.added_count as adjusted_count,
        answers_added.previous_answer_count + kinds.added_count as previous_adjusted_count
    from answers_added
    inner join kinds on answers_added.survey_kind = kinds.survey_kind
),

-- The variance of each mean; rounded, so that answers that are all alike have none.
variances as (
    select
        *,
        round(
            (adjusted_square_sum - adjusted_count * power(adjusted_score, 2))
            / nullif(freedom, 0) / nullif(adjusted_count, 0),
            12
        ) as score_variance,
        round(
            (
                previous_adjusted_square_sum
                - previous_adjusted_count * power(previous_adjusted_score, 2)
            )
            / nullif(previous_freedom, 0) / nullif(previous_adjusted_count, 0),
            12
        ) as previous_score_variance
    from estimates
),

quantiles as (
    select
        *,
        case
            when answer_count > 0 and previous_answer_count > 0
                then sqrt(greatest(score_variance + previous_score_variance, 0))
        end as change_error,
        -- Degrees of freedom of two samples with spreads of their own (Welch 1947).
        power(score_variance + previous_score_variance, 2)
        / nullif(
            power(score_variance, 2) / nullif(freedom, 0)
            + power(previous_score_variance, 2) / nullif(previous_freedom, 0),
            0
        ) as change_freedom
    from variances
),

margins as (
    select
        *,
        adjusted_score - previous_adjusted_score as adjusted_change,
        change_error
        * case
            when survey_kind = 'ces' then {{ student_975('change_freedom') }}
            else {{ normal_975() }}
        end as change_margin
    from quantiles
),

changes as (
    select
        *,
        score_sum / nullif(answer_count, 0) as score,
        previous_score_sum / nullif(previous_answer_count, 0) as previous_score,
        -- greatest and least pass over nulls.
        case
            when change_margin is not null
                then round(greatest(-widest_change, adjusted_change - change_margin), 6)
        end as change_low,
        case
            when change_margin is not null
                then round(least(widest_change, adjusted_change + change_margin), 6)
        end as change_high
    from margins
),

published as (
    select
        -- keys
        trend_month,
        survey_kind,
        survey_basis,
        -- facts
        is_complete,
        answer_count,
        coalesce(score_sum, 0) as score_sum,
        score,
        previous_answer_count,
        coalesce(previous_score_sum, 0) as previous_score_sum,
        previous_score,
        score - previous_score as score_change,
        change_low,
        change_high,
        change_low > 0 or change_high < 0 as is_significant
    from changes
)

select * from published
