-- Grain: one row per customer and day of the reporting zone on which they did something themselves. Machines are left out.
-- A visit is a session and counts on the day on which it began; where a source names no session, it is a day.

with

timeline as (select * from {{ ref('int_timeline') }} where not is_machine),

touchpoint_types as (
    select *
    from {{ ref('touchpoint_types') }}
    where is_human_activity or is_visit or is_usage
),

-- The many events of a session are few rows from here on.
session_days as (
    select
        timeline.customer_id,
        timeline.source_system,
        timeline.session_id,
        {{ local_date('timeline.occurred_at') }} as active_date,
        bool_or(touchpoint_types.is_human_activity) as is_active,
        bool_or(touchpoint_types.is_visit) as is_visit,
        bool_or(touchpoint_types.is_usage) as is_used,
        bool_or(timeline.event_name in ('email_clicked', 'message_clicked')) as has_click,
        bool_or(
            timeline.event_name in ('survey_answered', 'review_submitted', 'testimonial_given')
        ) as has_opinion
    from timeline
    inner join touchpoint_types on timeline.event_name = touchpoint_types.event_name
    group by
        timeline.customer_id,
        timeline.source_system,
        timeline.session_id,
        {{ local_date('timeline.occurred_at') }}
),

visits as (
    select
        customer_id,
        min(active_date) as active_date
    from session_days
    where is_visit
    group by
        customer_id,
        source_system,
        coalesce(session_id, cast(active_date as string))
),

visits_counted as (
    select
        customer_id,
        active_date,
        cast(count(*) as bigint) as visit_count
    from visits
    group by customer_id, active_date
),

days as (
    select
        customer_id,
        active_date,
        bool_or(is_active) as is_active,
        bool_or(is_used) as is_used,
        bool_or(has_click) as has_click,
        bool_or(has_opinion) as has_opinion
    from session_days
    group by customer_id, active_date
),

days_with_visits as (
    select
        -- keys
        days.customer_id,
        days.active_date,
        -- facts
        days.is_active,
        days.is_used,
        days.has_click,
        days.has_opinion,
        coalesce(visits_counted.visit_count, 0) as visit_count
    from days
    left join visits_counted
        on days.customer_id = visits_counted.customer_id
        and days.active_date = visits_counted.active_date
)

select * from days_with_visits
