-- Both balances of every segment add up from month to month; the last closings are the members, and those of them who
-- are active customers; every entry and exit is counted once.
{{ config(meta={'dagster': {'ref': {'name': 'segment_monthly'}}}) }}

with

balances as (select * from {{ ref('segment_monthly') }}),

history as (select * from {{ ref('segment_history') }}),

members as (select * from {{ ref('segment_members') }}),

customers as (select * from {{ ref('customer_360') }}),

stages as (select * from {{ ref('lifecycle_stages') }}),

balances_compared as (
    select
        *,
        lag(closing_member_count) over in_order as previous_member_count,
        lag(active_closing_count) over in_order as previous_active_count,
        row_number() over (
            partition by segment_name order by segment_month desc nulls last
        ) as number_from_the_end
    from balances
    window in_order as (partition by segment_name order by segment_month asc nulls last)
),

history_counted as (
    select
        segment_name,
        cast(count(*) as bigint) as entered_count,
        cast(count(valid_to_at) as bigint) as exited_count
    from history
    group by segment_name
),

months_added as (
    select
        segment_name,
        cast(sum(entered_count) as bigint) as entered_count,
        cast(sum(exited_count) as bigint) as exited_count
    from balances
    group by segment_name
),

members_counted as (
    select
        members.segment_name,
        cast(count(*) as bigint) as member_count,
        cast(count(case when stages.is_active then 1 end) as bigint) as active_count
    from members
    inner join customers on members.customer_id = customers.customer_id
    inner join stages on customers.lifecycle_stage = stages.stage
    group by members.segment_name
),

last_months as (select * from balances_compared where number_from_the_end = 1),

differences as (
    select
        'balance' as place,
        segment_name
    from balances_compared
    where opening_member_count + entered_count - exited_count != closing_member_count
        or opening_member_count != coalesce(previous_member_count, 0)
        or active_opening_count
        + new_count
        + reactivated_count
        + moved_in_count
        - churned_count
        - moved_out_count
        != active_closing_count
        or active_opening_count != coalesce(previous_active_count, 0)
        or active_closing_count not between 0 and closing_member_count
        or churned_from_opening_count not between 0 and active_opening_count
        or gross_revenue_amount - discount_amount - refund_amount != net_revenue_amount
    union all
    select
        'history' as place,
        coalesce(history_counted.segment_name, months_added.segment_name) as segment_name
    from history_counted
    full outer join months_added on history_counted.segment_name = months_added.segment_name
    where history_counted.entered_count is distinct from months_added.entered_count
        or history_counted.exited_count is distinct from months_added.exited_count
    union all
    select
        'last month' as place,
        coalesce(last_months.segment_name, members_counted.segment_name) as segment_name
    from last_months
    full outer join members_counted on last_months.segment_name = members_counted.segment_name
    where last_months.segment_name is null
        or last_months.closing_member_count != coalesce(members_counted.member_count, 0)
        or last_months.active_closing_count != coalesce(members_counted.active_count, 0)
)

select * from differences
