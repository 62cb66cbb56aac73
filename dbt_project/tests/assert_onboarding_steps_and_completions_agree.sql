-- Nobody completes an onboarding without its steps, or reaches one without having begun.
{{ config(meta={'dagster': {'ref': {'name': 'onboarding_steps_monthly'}}}) }}

with

steps as (select * from {{ ref('onboarding_steps_monthly') }}),

months as (select * from {{ ref('onboarding_monthly') }}),

reached_steps as (select * from {{ ref('int_onboarding_steps') }}),

last_steps as (
    select
        cohort_month,
        min(started_count) as started_count,
        min(case when is_required then reached_count end) as least_reached_count
    from steps
    group by cohort_month
),

totals as (
    select
        (select cast(count(distinct customer_id) as bigint) from reached_steps) as people_count,
        (select cast(coalesce(sum(started_count), 0) as bigint) from months) as started_count
),

differences as (
    select 'step ' || step_name || ' of ' || cast(cohort_month as string) as place
    from steps
    where reached_count > started_count or drop_off_count > reached_count
    union all
    select 'completions of ' || cast(months.cohort_month as string) as place
    from months
    left join last_steps on months.cohort_month = last_steps.cohort_month
    where months.completed_count > coalesce(last_steps.least_reached_count, 0)
        or months.started_count != coalesce(last_steps.started_count, months.started_count)
    union all
    select 'people in total' as place
    from totals
    where people_count != started_count
)

select * from differences
