-- Grain: one row per month, persona and acquisition channel, from the first month in which anybody of the group is an
-- active customer. A group is what customer_360 says of the customer on the run's day, so nobody moves between groups.

with

months as (select * from {{ ref('int_months') }}),

changes as (select * from {{ ref('int_customer_balance_changes') }}),

customers as (select * from {{ ref('customer_360') }}),

changes_grouped as (
    select
        changes.*,
        coalesce(customers.persona, 'unknown') as persona,
        coalesce(customers.acquisition_channel, 'unknown') as acquisition_channel
    from changes
    left join customers on changes.customer_id = customers.customer_id
),

changes_added as (
    select
        month,
        persona,
        acquisition_channel,
        cast(sum(new_count) as bigint) as new_count,
        cast(sum(reactivated_count) as bigint) as reactivated_count,
        cast(sum(churned_count) as bigint) as churned_count,
        cast(sum(churned_from_opening_count) as bigint) as churned_from_opening_count,
        cast(sum(reactivated_from_opening_count) as bigint) as reactivated_from_opening_count
    from changes_grouped
    group by month, persona, acquisition_channel
),

group_names as (
    select
        persona,
        acquisition_channel,
        min(month) as first_month
    from changes_added
    group by persona, acquisition_channel
),

months_counted as (
    select
        months.month as balance_month,
        group_names.persona,
        group_names.acquisition_channel,
        months.is_complete,
        coalesce(changes_added.new_count, 0) as new_count,
        coalesce(changes_added.reactivated_count, 0) as reactivated_count,
        coalesce(changes_added.churned_count, 0) as churned_count,
        coalesce(changes_added.churned_from_opening_count, 0) as churned_from_opening_count,
        coalesce(changes_added.reactivated_from_opening_count, 0)
            as reactivated_from_opening_count
    from group_names
    inner join months on group_names.first_month <= months.month
    left join changes_added
        on months.month = changes_added.month
        and group_names.persona = changes_added.persona
        and group_names.acquisition_channel = changes_added.acquisition_channel
),

balances as (
    select
        *,
        coalesce(
            cast(sum(new_count + reactivated_count - churned_count) over before_it as bigint), 0
        ) as opening_count,
        coalesce(cast(sum(churned_count - reactivated_count) over before_it as bigint), 0)
            as inactive_opening_count
    from months_counted
    window before_it as (
        partition by persona, acquisition_channel
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
        lag(churn_rate) over (
            partition by persona, acquisition_channel order by balance_month asc nulls last
        ) as previous_churn_rate
    from rates
),

published as (
    select
        -- keys
        balance_month,
        persona,
        acquisition_channel,
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
