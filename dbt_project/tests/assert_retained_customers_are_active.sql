-- Who orders does something: of a cohort at least as many are active in a month as order in it, and never more than all.
{{ config(meta={'dagster': {'ref': {'name': 'retention_cohorts_monthly'}}}) }}

with

cohorts as (select * from {{ ref('retention_cohorts_monthly') }}),

differences as (
    select
        cohort_month,
        month_number
    from cohorts
    where retained_customer_count > active_customer_count
        or active_customer_count > cohort_customer_count
        or (retained_customer_count is null) != (active_customer_count is null)
)

select * from differences
