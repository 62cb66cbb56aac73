-- Grain: one row per month of the reporting zone in which something of a kind (cart, checkout, payment page) was
-- started, and kind. What may still be ordered, or recovered, is in neither count.

with

abandonments as (select * from {{ ref('int_abandonments') }}),

counted as (
    select
        began_month as abandonment_month,
        abandonment_kind,
        bool_and(is_recovery_matured) as is_all_matured,
        cast(count(case when is_matured then 1 end) as bigint) as started_count,
        cast(count(case when is_matured and is_ordered then 1 end) as bigint) as ordered_count,
        cast(
            count(case when is_matured and not is_ordered then 1 end) as bigint
        ) as abandoned_count,
        cast(
            count(
                case when is_matured and not is_ordered and started_amount is not null then 1 end
            ) as bigint
        ) as abandoned_with_amount_count,
        cast(
            coalesce(sum(case when is_matured and not is_ordered then started_amount end), 0)
            as decimal(18, 2)
        ) as abandoned_amount,
        cast(count(case when is_recovery_matured and not is_ordered then 1 end) as bigint)
            as matured_abandoned_count,
        cast(
            count(case when is_recovery_matured and is_recovered then 1 end) as bigint
        ) as recovered_count,
        cast(
            coalesce(sum(case when is_recovery_matured then recovered_revenue_amount end), 0)
            as decimal(18, 2)
        ) as recovered_revenue_amount
    from abandonments
    group by began_month, abandonment_kind
),

rates as (
    select
        -- keys
        abandonment_month,
        abandonment_kind,
        -- facts
        is_all_matured
        and cast(abandonment_month + interval 1 month as date)
        <= cast({{ as_of_date() }} + 1 as date) as is_complete,
        started_count,
        ordered_count,
        abandoned_count,
        cast(abandoned_count as double) / nullif(started_count, 0) as abandonment_rate,
        cast({{ reporting_currency() }} as string) as currency,
        abandoned_with_amount_count,
        abandoned_amount,
        matured_abandoned_count,
        recovered_count,
        cast(recovered_count as double) / nullif(matured_abandoned_count, 0) as recovery_rate,
        recovered_revenue_amount
    from counted
)

select * from rates
