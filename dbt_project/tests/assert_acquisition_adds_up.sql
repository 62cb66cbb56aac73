-- Channels and campaigns add up to the month, and the months to everybody and everything that has one.
{{ config(meta={'dagster': {'ref': {'name': 'acquisition_cost_monthly'}}}) }}

with

channels_monthly as (select * from {{ ref('acquisition_monthly') }}),

months as (select * from {{ ref('acquisition_cost_monthly') }}),

lead_cohorts as (select * from {{ ref('lead_cohorts_monthly') }}),

identifications as (
    select * from {{ ref('int_identifications') }} where first_dated_at is not null
),

purchases as (select * from {{ ref('int_purchases') }}),

spend as (select * from {{ ref('int_marketing_spend') }}),

months_of_channels as (
    select
        acquisition_month,
        cast(sum(lead_count) as bigint) as lead_count,
        cast(sum(new_customer_count) as bigint) as new_customer_count,
        cast(sum(spend_without_rate_count) as bigint) as spend_without_rate_count,
        cast(sum(spend_amount) as decimal(18, 2)) as spend_amount,
        cast(sum(acquire_spend_amount) as decimal(18, 2)) as acquire_spend_amount
    from channels_monthly
    group by acquisition_month
),

cohorts_added as (
    select
        cohort_month,
        cast(sum(lead_count) as bigint) as lead_count
    from lead_cohorts
    group by cohort_month
),

totals as (
    select
        (select cast(count(*) as bigint) from identifications) as known_count,
        (select cast(coalesce(sum(lead_count), 0) as bigint) from months) as lead_count,
        (select cast(count(distinct customer_id) as bigint) from purchases) as buyer_count,
        (select cast(coalesce(sum(new_customer_count), 0) as bigint) from months)
            as new_customer_count,
        (select cast(coalesce(sum(spend_amount), 0) as decimal(18, 2)) from spend)
            as spend_amount,
        (select cast(coalesce(sum(spend_amount), 0) as decimal(18, 2)) from months)
            as months_spend_amount,
        (
            select
                cast(
                    coalesce(sum(acquire_spend_amount + retain_spend_amount), 0)
                    as decimal(18, 2)
                )
            from months
        ) as split_spend_amount
),

differences as (
    select 'channels of ' || cast(months.acquisition_month as string) as place
    from months
    left join months_of_channels
        on months.acquisition_month = months_of_channels.acquisition_month
    where months.lead_count != coalesce(months_of_channels.lead_count, 0)
        or months.new_customer_count != coalesce(months_of_channels.new_customer_count, 0)
        or months.spend_without_rate_count
        != coalesce(months_of_channels.spend_without_rate_count, 0)
        or coalesce(months.spend_amount, 0) != coalesce(months_of_channels.spend_amount, 0)
        or coalesce(months.acquire_spend_amount, 0)
        != coalesce(months_of_channels.acquire_spend_amount, 0)
    union all
    select 'lead cohorts of ' || cast(months.acquisition_month as string) as place
    from months
    left join cohorts_added on months.acquisition_month = cohorts_added.cohort_month
    where months.lead_count != coalesce(cohorts_added.lead_count, 0)
    union all
    select 'leads in total' as place
    from totals
    where known_count != lead_count
    union all
    select 'new customers in total' as place
    from totals
    where buyer_count != new_customer_count
    union all
    select 'spend in total' as place
    from totals
    where spend_amount != months_spend_amount or spend_amount != split_spend_amount
)

select * from differences
