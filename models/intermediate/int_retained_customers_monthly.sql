-- Grain: one row per month of the reporting zone: active customers at its beginning, and how many are so at its end.
-- Made of moves into and out of being active, never of customers x months.

with

months as (select * from {{ ref('int_months') }}),

states as (select * from {{ ref('int_lifecycle_states') }}),

stages as (select * from {{ ref('lifecycle_stages') }}),

states_marked as (
    select
        states.customer_id,
        stages.is_active,
        states.valid_from_at
    from states
    inner join stages on states.stage = stages.stage
),

states_compared as (
    select
        customer_id,
        is_active,
        coalesce(
            lag(is_active) over (partition by customer_id order by valid_from_at asc nulls last),
            false
        ) as was_active,
        valid_from_at
    from states_marked
),

moves as (
    select
        customer_id,
        case when is_active then 1 else -1 end as active_change,
        {{ local_month('valid_from_at') }} as month
    from states_compared
    where is_active != was_active
),

-- Moves alternate: who left once more than they came was active when the month began and is not when it ends.
moves_of_customers as (
    select
        customer_id,
        month,
        cast(sum(active_change) as bigint) as active_change
    from moves
    group by customer_id, month
),

moves_of_months as (
    select
        month,
        cast(sum(active_change) as bigint) as active_change,
        cast(count(case when active_change < 0 then 1 end) as bigint) as churned_count
    from moves_of_customers
    group by month
),

months_added as (
    select
        months.month,
        cast(
            coalesce(
                sum(moves_of_months.active_change) over (
                    order by months.month asc nulls last
                    rows between unbounded preceding and 1 preceding
                ),
                0
            ) as bigint
        ) as opening_customer_count,
        coalesce(moves_of_months.churned_count, 0) as churned_from_opening_count
    from months
    left join moves_of_months on months.month = moves_of_months.month
),

retained as (
    select
        -- keys
        month,
        -- facts
        opening_customer_count,
        churned_from_opening_count,
        opening_customer_count - churned_from_opening_count as retained_customer_count
    from months_added
)

select * from retained
