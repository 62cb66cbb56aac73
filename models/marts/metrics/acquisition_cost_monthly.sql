-- Grain: one row per month of the reporting zone, from the first in which anything is known.
-- What it cost to win customers, blended over all channels, beside what it cost to keep them.

with

months as (select * from {{ ref('int_months') }}),

people as (select * from {{ ref('int_customer_beginnings') }}),

spend as (select * from {{ ref('int_marketing_spend') }}),

balance as (select * from {{ ref('customer_balance_monthly') }}),

-- Before the first day of spend nothing is known of it: that is no 0.
first_spend_months as (
    select min(spend_month) as first_spend_month
    from spend
),

leads_counted as (
    select
        identified_month,
        cast(count(*) as bigint) as lead_count
    from people
    where identified_month is not null
    group by identified_month
),

customers_counted as (
    select
        first_paid_month,
        cast(count(*) as bigint) as new_customer_count,
        cast(sum(first_order_discount_amount) as decimal(18, 2)) as first_order_incentive_amount
    from people
    where first_paid_month is not null
    group by first_paid_month
),

spend_added as (
    select
        spend_month,
        cast(sum(spend_amount) as decimal(18, 2)) as spend_amount,
        cast(sum(acquire_amount) as decimal(18, 2)) as acquire_spend_amount,
        cast(sum(retain_amount) as decimal(18, 2)) as retain_spend_amount,
        cast(count(case when is_without_rate then 1 end) as bigint) as spend_without_rate_count
    from spend
    group by spend_month
),

months_filled as (
    select
        months.month as acquisition_month,
        months.is_complete,
        coalesce(leads_counted.lead_count, 0) as lead_count,
        coalesce(customers_counted.new_customer_count, 0) as new_customer_count,
        coalesce(balance.opening_count - balance.churned_from_opening_count, 0)
            as retained_customer_count,
        case
            when months.month >= first_spend_months.first_spend_month
                then cast(coalesce(spend_added.spend_amount, 0) as decimal(18, 2))
        end as spend_amount,
        case
            when months.month >= first_spend_months.first_spend_month
                then cast(coalesce(spend_added.acquire_spend_amount, 0) as decimal(18, 2))
        end as acquire_spend_amount,
        case
            when months.month >= first_spend_months.first_spend_month
                then cast(coalesce(spend_added.retain_spend_amount, 0) as decimal(18, 2))
        end as retain_spend_amount,
        coalesce(spend_added.spend_without_rate_count, 0) as spend_without_rate_count,
        cast(coalesce(customers_counted.first_order_incentive_amount, 0) as decimal(18, 2))
            as first_order_incentive_amount
    from months
    cross join first_spend_months
    left join leads_counted on months.month = leads_counted.identified_month
    left join customers_counted on months.month = customers_counted.first_paid_month
    left join spend_added on months.month = spend_added.spend_month
    left join balance on months.month = balance.balance_month
),

costs_added as (
    select
        *,
        cast(spend_amount + first_order_incentive_amount as decimal(18, 2))
            as acquisition_cost_amount
    from months_filled
),

published as (
    select
        -- keys
        acquisition_month,
        -- facts
        is_complete,
        lead_count,
        new_customer_count,
        retained_customer_count,
        cast({{ reporting_currency() }} as string) as currency,
        spend_amount,
        acquire_spend_amount,
        retain_spend_amount,
        spend_without_rate_count,
        first_order_incentive_amount,
        acquisition_cost_amount,
        cast(
            round(cast(acquisition_cost_amount as double) / nullif(new_customer_count, 0), 2)
            as decimal(18, 2)
        ) as blended_cac_amount,
        cast(
            round(cast(spend_amount as double) / nullif(lead_count, 0), 2) as decimal(18, 2)
        ) as cost_per_lead_amount,
        cast(
            round(cast(retain_spend_amount as double) / nullif(retained_customer_count, 0), 2)
            as decimal(18, 2)
        ) as cost_to_retain_amount
    from costs_added
)

select * from published
