-- Grain: one row per month in which an onboarding began.
-- Completions are null until the window has passed for everybody of the month, and where no step is required.

with

reached_steps as (select * from {{ ref('int_onboarding_steps') }}),

steps as (select * from {{ ref('onboarding_steps') }}),

required_steps as (
    select cast(count(*) as bigint) as required_step_count
    from steps
    where is_required
),

people as (
    select
        cohort_month,
        customer_id,
        bool_and(is_complete) as is_complete,
        bool_and(is_window_passed) as is_window_passed,
        count(case when is_required and is_in_time then 1 end) as required_reached_count,
        cast(sum(case when is_listed then 0 else event_count end) as bigint) as unlisted_step_count
    from reached_steps
    group by cohort_month, customer_id
),

people_judged as (
    select
        people.cohort_month,
        people.is_complete,
        people.is_window_passed and required_steps.required_step_count > 0 as is_known,
        people.required_reached_count = required_steps.required_step_count as is_completed,
        people.unlisted_step_count
    from people
    cross join required_steps
),

cohorts as (
    select
        cohort_month,
        bool_and(is_complete) as is_complete,
        cast(count(*) as bigint) as started_count,
        case
            when bool_and(is_known)
                then cast(count(case when is_completed then 1 end) as bigint)
        end as completed_count,
        cast(sum(unlisted_step_count) as bigint) as unlisted_step_count
    from people_judged
    group by cohort_month
),

published as (
    select
        -- keys
        cohort_month,
        -- facts
        is_complete,
        started_count,
        completed_count,
        cast(completed_count as double) / nullif(started_count, 0) as completion_rate,
        unlisted_step_count
    from cohorts
)

select * from published
