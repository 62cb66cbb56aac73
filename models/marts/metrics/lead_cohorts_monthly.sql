-- Grain: one row per month of the reporting zone and acquisition channel in which somebody became known.
-- A rate is null until its window has passed for everybody of the month.

with

people as (
    select * from {{ ref('int_customer_beginnings') }} where identified_month is not null
),

months as (select * from {{ ref('int_months') }}),

leads_judged as (
    select
        identified_month,
        acquisition_channel,
        is_bought_at_once,
        coalesce(first_paid_at < {{ add_days('identified_at', 30) }}, false) as is_customer_in_30d,
        coalesce(first_paid_at < {{ add_days('identified_at', 90) }}, false) as is_customer_in_90d
    from people
),

leads_counted as (
    select
        identified_month,
        acquisition_channel,
        cast(count(*) as bigint) as lead_count,
        cast(count(case when is_bought_at_once then 1 end) as bigint) as bought_at_once_count,
        cast(count(case when is_customer_in_30d then 1 end) as bigint) as customer_30d_count,
        cast(count(case when is_customer_in_90d then 1 end) as bigint) as customer_90d_count
    from leads_judged
    group by identified_month, acquisition_channel
),

windows_judged as (
    select
        leads_counted.identified_month as cohort_month,
        leads_counted.acquisition_channel,
        months.is_complete,
        leads_counted.lead_count,
        leads_counted.bought_at_once_count,
        case
            when {{ add_days('months.month_ends_at', 30) }} <= {{ as_of_end() }}
                then leads_counted.customer_30d_count
        end as customer_30d_count,
        case
            when {{ add_days('months.month_ends_at', 90) }} <= {{ as_of_end() }}
                then leads_counted.customer_90d_count
        end as customer_90d_count
    from leads_counted
    inner join months on leads_counted.identified_month = months.month
),

published as (
    select
        -- keys
        cohort_month,
        acquisition_channel,
        -- facts
        is_complete,
        lead_count,
        bought_at_once_count,
        customer_30d_count,
        cast(customer_30d_count as double) / nullif(lead_count, 0) as lead_to_customer_30d_rate,
        customer_90d_count,
        cast(customer_90d_count as double) / nullif(lead_count, 0) as lead_to_customer_90d_rate
    from windows_judged
)

select * from published
