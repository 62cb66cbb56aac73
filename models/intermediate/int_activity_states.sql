-- Grain: one row per customer and interval of one state of activity, on PostHog's rolling windows of 30 days.
-- People of one account share it, as they share the stage, each from when they were first known.
-- Active = did something in the window before now; new = for the first time ever; returning = also in the window
-- before that; resurrecting = not in that one, but earlier; dormant = the rest, also before anything was done.
-- Activity comes in runs whose events lie at most a window apart, so a state changes only where a run begins, a window
-- after it began, a window after it ended, and two windows after the run before it ended.

{% set window_days = activity_days() %}

with

events as (select * from {{ ref('int_lifecycle_events') }}),

members as (select * from {{ ref('int_lifecycle_members') }}),

first_moments as (
    select
        lifecycle_id,
        min(occurred_at) as first_seen_at
    from events
    group by lifecycle_id
),

events_compared as (
    select
        lifecycle_id,
        occurred_at,
        lag(occurred_at)
            over (partition by lifecycle_id order by occurred_at asc nulls last)
            as previous_at,
        max(occurred_at) over (partition by lifecycle_id) as last_at
    from events
    where is_human_activity
),

run_starts as (
    select
        lifecycle_id,
        occurred_at as run_from_at,
        previous_at as previous_run_to_at,
        coalesce(
            lead(previous_at)
                over (partition by lifecycle_id order by occurred_at asc nulls last),
            last_at
        ) as run_to_at
    from events_compared
    where previous_at is null
        or {{ add_days('previous_at', window_days) }} < occurred_at
),

runs as (
    select
        *,
        {{ add_days('run_from_at', window_days) }} as settled_at,
        {{ add_days('run_to_at', window_days) }} as asleep_at,
        greatest(run_from_at, {{ add_days('previous_run_to_at', 2 * window_days) }})
            as resurrected_at
    from run_starts
),

change_points as (
    select
        lifecycle_id,
        'dormant' as activity_state,
        first_seen_at as valid_from_at
    from first_moments
    union all
    select
        lifecycle_id,
        'new' as activity_state,
        run_from_at as valid_from_at
    from runs
    where previous_run_to_at is null
    union all
    select
        lifecycle_id,
        'returning' as activity_state,
        run_from_at as valid_from_at
    from runs
    where resurrected_at > run_from_at and previous_run_to_at is not null
    union all
    select
        lifecycle_id,
        'resurrecting' as activity_state,
        resurrected_at as valid_from_at
    from runs
    where previous_run_to_at is not null
    union all
    select
        lifecycle_id,
        'returning' as activity_state,
        settled_at as valid_from_at
    from runs
    where settled_at < asleep_at
    union all
    select
        lifecycle_id,
        'dormant' as activity_state,
        asleep_at as valid_from_at
    from runs
),

change_points_compared as (
    select
        lifecycle_id,
        activity_state,
        valid_from_at,
        lead(valid_from_at) over (
            partition by lifecycle_id
            order by
                valid_from_at asc nulls last,
                -- Seen and active at one moment is active.
                case when activity_state = 'dormant' then 0 else 1 end asc nulls last
        ) as valid_to_at
    from change_points
    where valid_from_at < {{ as_of_end() }}
),

intervals as (
    select
        *,
        lag(activity_state)
            over (partition by lifecycle_id order by valid_from_at asc nulls last)
            as previous_activity_state
    from change_points_compared
    where valid_to_at is null or valid_to_at > valid_from_at
),

states as (
    select
        -- keys
        members.customer_id,
        -- facts
        case
            when
                members.member_since_at is null
                or intervals.valid_from_at > members.member_since_at
                then intervals.previous_activity_state
        end as previous_activity_state,
        intervals.activity_state,
        -- times
        greatest(intervals.valid_from_at, members.member_since_at) as valid_from_at,
        intervals.valid_to_at
    from intervals
    inner join members
        on intervals.lifecycle_id = members.lifecycle_id
        and (
            members.member_since_at is null
            or intervals.valid_to_at is null
            or intervals.valid_to_at > members.member_since_at
        )
)

select * from states
