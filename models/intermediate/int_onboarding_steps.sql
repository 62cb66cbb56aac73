-- Grain: one row per person and step of the onboarding that they reached, listed or not.
-- A person's onboarding begins with the first step of theirs. What was sent without the name of a step is `(none)`.

with

timeline as (select * from {{ ref('int_timeline') }} where not is_machine),

touchpoints as (select * from {{ ref('stg_touchpoints') }} where step_name is not null),

steps as (select * from {{ ref('onboarding_steps') }}),

months as (select * from {{ ref('int_months') }}),

settings as (select * from {{ ref('stg_metric_settings') }}),

named_touchpoints as (
    select
        concat_ws(':', 'touchpoint', source_system, touchpoint_id) as event_id,
        lower(trim(step_name)) as step_name
    from touchpoints
),

step_events as (
    select
        timeline.customer_id,
        coalesce(named_touchpoints.step_name, '(none)') as step_name,
        timeline.occurred_at
    from timeline
    left join named_touchpoints on timeline.event_id = named_touchpoints.event_id
    where timeline.event_name = 'onboarding_step'
    union all
    select
        timeline.customer_id,
        steps.step_name,
        timeline.occurred_at
    from timeline
    inner join steps on timeline.event_name = steps.step_name
),

steps_reached as (
    select
        customer_id,
        step_name,
        cast(count(*) as bigint) as event_count,
        min(occurred_at) as reached_at
    from step_events
    group by customer_id, step_name
),

steps_with_starts as (
    select
        *,
        min(reached_at) over (partition by customer_id) as started_at
    from steps_reached
),

steps_placed as (
    select
        *,
        {{ local_month('started_at') }} as cohort_month
    from steps_with_starts
),

onboardings as (
    select
        -- keys
        steps_placed.customer_id,
        steps_placed.step_name,
        steps_placed.cohort_month,
        -- facts
        steps.step_name is not null as is_listed,
        coalesce(steps.is_required, false) as is_required,
        steps_placed.event_count,
        months.is_complete,
        {{ add_days('months.month_ends_at', 'settings.onboarding_days') }}
        <= {{ as_of_end() }} as is_window_passed,
        steps_placed.reached_at
        < {{ add_days('steps_placed.started_at', 'settings.onboarding_days') }} as is_in_time,
        -- times
        steps_placed.started_at,
        steps_placed.reached_at
    from steps_placed
    inner join months on steps_placed.cohort_month = months.month
    cross join settings
    left join steps on steps_placed.step_name = steps.step_name
)

select * from onboardings
