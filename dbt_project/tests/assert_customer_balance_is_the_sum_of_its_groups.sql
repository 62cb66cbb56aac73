-- Every group's balance adds up from month to month, and all groups together are customer_balance_monthly.
{{ config(meta={'dagster': {'ref': {'name': 'customer_balance_by_group_monthly'}}}) }}

with

balances as (select * from {{ ref('customer_balance_monthly') }}),

group_balances as (select * from {{ ref('customer_balance_by_group_monthly') }}),

groups_compared as (
    select
        *,
        lag(closing_count) over (
            partition by persona, acquisition_channel order by balance_month asc nulls last
        ) as previous_closing_count
    from group_balances
),

groups_added as (
    select
        balance_month,
        cast(sum(opening_count) as bigint) as opening_count,
        cast(sum(new_count) as bigint) as new_count,
        cast(sum(reactivated_count) as bigint) as reactivated_count,
        cast(sum(churned_count) as bigint) as churned_count,
        cast(sum(closing_count) as bigint) as closing_count,
        cast(sum(churned_from_opening_count) as bigint) as churned_from_opening_count,
        cast(sum(inactive_opening_count) as bigint) as inactive_opening_count,
        cast(sum(reactivated_from_opening_count) as bigint) as reactivated_from_opening_count
    from group_balances
    group by balance_month
),

differences as (
    select
        'balance' as place,
        balance_month
    from groups_compared
    where opening_count + new_count + reactivated_count - churned_count != closing_count
        or opening_count != coalesce(previous_closing_count, 0)
    union all
    select
        'sum' as place,
        coalesce(balances.balance_month, groups_added.balance_month) as balance_month
    from balances
    full outer join groups_added on balances.balance_month = groups_added.balance_month
    where balances.opening_count is distinct from groups_added.opening_count
        or balances.new_count is distinct from groups_added.new_count
        or balances.reactivated_count is distinct from groups_added.reactivated_count
        or balances.churned_count is distinct from groups_added.churned_count
        or balances.closing_count is distinct from groups_added.closing_count
        or balances.churned_from_opening_count
        is distinct from groups_added.churned_from_opening_count
        or balances.inactive_opening_count is distinct from groups_added.inactive_opening_count
        or balances.reactivated_from_opening_count
        is distinct from groups_added.reactivated_from_opening_count
)

select * from differences
