-- Grain: one row per lifecycle and moment at which use of a subscriber begins (+1) or ceases (-1) to be falling.
-- Falling: in the last window at most a set share of the pace of the two windows before, where that was enough to say.
-- Not falling any more only from a larger share on: else one evening more or less would turn it back and forth.

with

timeline as (select * from {{ ref('int_timeline') }} where not is_machine),

touchpoint_types as (select * from {{ ref('touchpoint_types') }} where is_usage),

subscriptions as (select * from {{ ref('int_subscriptions') }}),

members as (select * from {{ ref('int_lifecycle_members') }}),

personas as (select * from {{ ref('int_lifecycle_personas') }}),

settings as (select * from {{ ref('stg_lifecycle_settings') }}),

subscribers as (
    select distinct members.lifecycle_id
    from subscriptions
    inner join members on subscriptions.customer_id = members.customer_id
),

used_days as (
    select
        timeline.lifecycle_id,
        {{ local_date('timeline.occurred_at') }} as used_date,
        min(timeline.occurred_at) as used_at
    from timeline
    inner join touchpoint_types on timeline.event_name = touchpoint_types.event_name
    semi join subscribers on timeline.lifecycle_id = subscribers.lifecycle_id
    group by timeline.lifecycle_id, {{ local_date('timeline.occurred_at') }}
),

used_days_with_settings as (
    select
        used_days.lifecycle_id,
        used_days.used_at,
        settings.usage_window_days,
        settings.usage_min_days,
        settings.usage_fall_share,
        settings.usage_recover_share
    from used_days
    left join personas on used_days.lifecycle_id = personas.lifecycle_id
    inner join
        settings
        on coalesce(personas.threshold_persona, 'default') = settings.threshold_persona
),

-- A used day enters the last window, passes on to the two before it, and leaves them.
passages as (
    select
        used_days_with_settings.lifecycle_id,
        used_days_with_settings.usage_min_days,
        used_days_with_settings.usage_fall_share,
        used_days_with_settings.usage_recover_share,
        case steps.step_number when 1 then 1 when 2 then -1 else 0 end as recent_change,
        case steps.step_number when 2 then 1 when 3 then -1 else 0 end as before_change,
        case steps.step_number
            when 1 then used_days_with_settings.used_at
            when 2
                then {{ add_days(
                    'used_days_with_settings.used_at', 'used_days_with_settings.usage_window_days'
                ) }}
            else {{ add_days(
                'used_days_with_settings.used_at', '3 * used_days_with_settings.usage_window_days'
            ) }}
        end as changed_at
    from used_days_with_settings
    cross join (values (1), (2), (3)) as steps (step_number)
),

moments as (
    select
        lifecycle_id,
        changed_at,
        max(usage_min_days) as usage_min_days,
        max(usage_fall_share) as usage_fall_share,
        max(usage_recover_share) as usage_recover_share,
        cast(sum(recent_change) as bigint) as recent_change,
        cast(sum(before_change) as bigint) as before_change
    from passages
    where changed_at < {{ as_of_end() }}
    group by lifecycle_id, changed_at
),

moments_added as (
    select
        lifecycle_id,
        changed_at,
        usage_min_days,
        usage_fall_share,
        usage_recover_share,
        cast(sum(recent_change) over so_far as double) as recent_count,
        cast(sum(before_change) over so_far as double) as before_count
    from moments
    window so_far as (
        partition by lifecycle_id
        order by changed_at asc nulls last
        rows between unbounded preceding and current row
    )
),

moments_judged as (
    select
        lifecycle_id,
        changed_at,
        case
            when before_count < usage_min_days then 0
            when recent_count * 2 <= usage_fall_share * before_count then 1
            when recent_count * 2 > usage_recover_share * before_count then 0
        end as verdict
    from moments_added
),

-- Between the two shares what was said last stays.
moments_decided as (
    select
        lifecycle_id,
        changed_at,
        coalesce({{ last_known('verdict', 'so_far') }}, 0) as is_falling
    from moments_judged
    window so_far as (
        partition by lifecycle_id
        order by changed_at asc nulls last
        rows between unbounded preceding and current row
    )
),

changes as (
    select
        lifecycle_id,
        cast(
            is_falling
            - coalesce(
                lag(is_falling)
                    over (partition by lifecycle_id order by changed_at asc nulls last),
                0
            )
            as bigint
        ) as falling_change,
        changed_at
    from moments_decided
),

turns as (select * from changes where falling_change != 0)

select * from turns
