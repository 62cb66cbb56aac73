-- Everybody who bought, or signed up, is in one activation cohort, and nobody is activated who is not in it.
{{ config(meta={'dagster': {'ref': {'name': 'activation_cohorts'}}}) }}

with

cohorts as (select * from {{ ref('activation_cohorts') }}),

people as (select * from {{ ref('int_customer_beginnings') }}),

settings as (select * from {{ ref('stg_metric_settings') }}),

totals as (
    select
        (
            select
                cast(
                    count(
                        case settings.activation_basis
                            when 'sign_up' then people.signed_up_at
                            else people.first_paid_at
                        end
                    ) as bigint
                )
            from people
            cross join settings
        ) as people_count,
        (select cast(coalesce(sum(cohort_customer_count), 0) as bigint) from cohorts)
            as cohort_customer_count
),

differences as (
    select 'people in total' as place
    from totals
    where people_count != cohort_customer_count
    union all
    select 'cohort of ' || cast(cohort_month as string) || ', ' || acquisition_channel as place
    from cohorts
    where activated_count > cohort_customer_count
        or value_count > cohort_customer_count
        or activated_before_count > activated_count
)

select * from differences
