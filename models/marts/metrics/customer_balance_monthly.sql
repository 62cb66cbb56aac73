-- Grain: one row per month of the reporting zone, from the first in which anybody is an active customer.
-- Opening + new + reactivated - churned = closing. These are moves: who goes and comes back in one month is in both.

with

months as (select * from {{ ref('int_months') }}),

changes as (select * from {{ ref('int_customer_balance_changes') }}),

changes_added as (
    select
        month,
        cast(sum(new_count) as bigint) as new_count,
        cast(sum(reactivated_count) as bigint) as reactivated_count,
        cast(sum(churned_count) as bigint) as churned_count,
        cast(sum(churned_from_opening_count) as bigint) as churned_from_opening_count,
        cast(sum(reactivated_from_opening_count) as bigint) as reactivated_from_opening_count
    from changes
    group by month
),

first_months as (select min(month) as first_month from changes_added),

months_counted as (
    select
        months.month as balance_month,
        months.is_complete,
        coalesce(changes_added.new_count, 0) as new_count,
        coalesce(changes_added.reactivated_count, 0) as reactivated_count,
        coalesce(changes_added.churned_count, 0) as churned_count,
        coalesce(changes_added.churned_from_opening_count, 0) as churned_from_opening_count,
        coalesce(changes_added.reactivated_from_opening_count, 0)
            as reactivated_from_opening_count
    from months
    inner join first_months on months.month >= first_months.first_month
    left join changes_added on months.month = changes_added.month
),

balances as (
    select
        *,
        coalesce(
            cast(sum(new_count + reactivated_count - churned_count) over before_it as bigint), 0
        ) as opening_count,
        -- Whoever was ever active and is not any more has lapsed or churned.
        coalesce(cast(sum(churned_count - reactivated_count) over before_it as bigint), 0)
            as inactive_opening_count
    from months_counted
    window before_it as (
        order by balance_month asc nulls last
        rows between unbounded preceding and 1 preceding
    )
),

rates as (
    select
        *,
        cast(churned_from_opening_count as double) / nullif(opening_count, 0) as churn_rate,
        cast(reactivated_from_opening_count as double) / nullif(inactive_opening_count, 0)
            as reactivation_rate
    from balances
),

rates_compared as (
    select
        *,
        lag(churn_rate) over (order by balance_month asc nulls last) as previous_churn_rate
    from rates
),

published as (
    select
        -- keys
        balance_month,
        -- facts
        is_complete,
        opening_count,
        new_count,
        reactivated_count,
        churned_count,
        cast(opening_count + new_count + reactivated_count - churned_count as bigint)
            as closing_count,
        churned_from_opening_count,
        churn_rate,
        1 - churn_rate as retention_rate,
        -- A month that is not over is not comparable.
        case when is_complete then previous_churn_rate - churn_rate end as churn_rate_improvement,
        inactive_opening_count,
        reactivated_from_opening_count,
        reactivation_rate
    from rates_compared
)

select * from published
