-- Every matured attempt is in the first step of its funnel and month, and each step holds those of the one before it who
-- went on.
{{ config(meta={'dagster': {'ref': {'name': 'funnel_steps_monthly'}}}) }}

with

attempts as (select * from {{ ref('int_funnel_attempts') }} where is_matured),

funnels as (select * from {{ ref('funnel_steps_monthly') }}),

attempts_counted as (
    select
        began_month as funnel_month,
        funnel_name,
        cast(count(*) as bigint) as attempt_count
    from attempts
    group by began_month, funnel_name
),

first_steps as (select * from funnels where step_number = 1),

steps_compared as (
    select
        *,
        lead(reached_count) over (
            partition by funnel_month, funnel_name order by step_number asc nulls last
        ) as following_count
    from funnels
),

differences as (
    select
        coalesce(first_steps.funnel_month, attempts_counted.funnel_month) as funnel_month,
        coalesce(first_steps.funnel_name, attempts_counted.funnel_name) as funnel_name
    from first_steps
    full outer join attempts_counted
        on first_steps.funnel_month = attempts_counted.funnel_month
        and first_steps.funnel_name = attempts_counted.funnel_name
    where first_steps.reached_count is distinct from attempts_counted.attempt_count
        or first_steps.entered_count is distinct from attempts_counted.attempt_count
    union all
    select
        funnel_month,
        funnel_name
    from steps_compared
    where next_count is distinct from following_count
        or next_count > reached_count
        or dropped_count is distinct from reached_count - next_count
)

select * from differences
