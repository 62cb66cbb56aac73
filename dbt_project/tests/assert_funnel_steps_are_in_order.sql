-- The steps of every funnel are numbered 1, 2, … up to 8 at most, have one name and the funnel one window, and no event
-- stands in two steps of one funnel or twice in one.
{{ config(meta={'dagster': {'ref': {'name': 'funnel_steps'}}}) }}

with

funnel_steps as (select * from {{ ref('funnel_steps') }}),

funnels as (
    select
        funnel_name,
        min(step_number) as first_step,
        max(step_number) as last_step,
        count(distinct step_number) as step_count,
        count(distinct step_number || ' ' || step_name) as name_count,
        count(distinct window_hours) as window_count,
        min(window_hours) as window_hours,
        count(distinct is_first_attempt_only) as attempt_count,
        count(*) as row_count,
        count(distinct event_name || ' ' || coalesce(lower(step_detail), '')) as event_count
    from funnel_steps
    group by funnel_name
),

differences as (
    select funnel_name
    from funnels
    where first_step != 1
        or last_step != step_count
        or step_count not between 2 and 8
        or name_count != step_count
        or window_count != 1
        or window_hours <= 0
        or attempt_count != 1
        or event_count != row_count
)

select * from differences
