-- Grain: one row per month in which an onboarding began and step that the seed lists, also where nobody reached it.
-- Everything but who began is null until the window has passed for everybody of the month.

with

reached_steps as (select * from {{ ref('int_onboarding_steps') }}),

steps as (select * from {{ ref('onboarding_steps') }}),

-- Whoever leaves out a step that nobody has to do has not dropped off.
next_orders as (
    select
        steps.step_name,
        min(later_steps.step_order) as next_step_order
    from steps
    left join steps as later_steps
        on steps.step_order < later_steps.step_order
        and later_steps.is_required
    group by steps.step_name
),

steps_in_order as (
    select
        steps.step_name,
        steps.step_order,
        steps.is_required,
        next_steps.step_name as next_step_name
    from steps
    inner join next_orders on steps.step_name = next_orders.step_name
    left join steps as next_steps on next_orders.next_step_order = next_steps.step_order
),

cohorts as (
    select
        cohort_month,
        bool_and(is_complete) as is_complete,
        bool_and(is_window_passed) as is_window_passed,
        cast(count(distinct customer_id) as bigint) as started_count
    from reached_steps
    group by cohort_month
),

steps_in_time as (select * from reached_steps where is_listed and is_in_time),

steps_followed as (
    select
        steps_in_time.cohort_month,
        steps_in_time.step_name,
        next_steps.customer_id is not null as is_followed
    from steps_in_time
    inner join steps_in_order on steps_in_time.step_name = steps_in_order.step_name
    left join steps_in_time as next_steps
        on steps_in_time.customer_id = next_steps.customer_id
        and steps_in_order.next_step_name = next_steps.step_name
),

steps_counted as (
    select
        cohort_month,
        step_name,
        cast(count(*) as bigint) as reached_count,
        cast(count(case when not is_followed then 1 end) as bigint) as drop_off_count
    from steps_followed
    group by cohort_month, step_name
),

cells as (
    select
        cohorts.cohort_month,
        steps_in_order.step_name,
        steps_in_order.step_order,
        steps_in_order.is_required,
        steps_in_order.next_step_name,
        cohorts.is_complete,
        cohorts.started_count,
        case when cohorts.is_window_passed then coalesce(steps_counted.reached_count, 0) end
            as reached_count,
        case
            when cohorts.is_window_passed and steps_in_order.next_step_name is not null
                then coalesce(steps_counted.drop_off_count, 0)
        end as drop_off_count
    from cohorts
    cross join steps_in_order
    left join steps_counted
        on cohorts.cohort_month = steps_counted.cohort_month
        and steps_in_order.step_name = steps_counted.step_name
),

published as (
    select
        -- keys
        cohort_month,
        step_name,
        -- facts
        step_order,
        is_required,
        next_step_name,
        is_complete,
        started_count,
        reached_count,
        cast(reached_count as double) / nullif(started_count, 0) as reached_rate,
        drop_off_count,
        cast(drop_off_count as double) / nullif(reached_count, 0) as drop_off_rate
    from cells
)

select * from published
