-- Grain: one row per day of the reporting zone, scheme and stage of the scheme, also where nobody stands; of schemes
-- that rank all customers the days of their snapshots alone.
-- Days are made of moves, added up before anything else: the cost grows with events, never with customers x days.

with

states as (select * from {{ ref('int_lifecycle_states') }}),

activity_states as (select * from {{ ref('int_activity_states') }}),

snapshot_moves as (select * from {{ ref('int_snapshot_moves') }}),

maps as (select * from {{ ref('int_scheme_maps') }}),

scheme_stages as (select * from {{ ref('int_scheme_stages') }}),

day_numbers as (
    select cast(day_number as int) as day_number
    from range(0, 100000) as numbers (day_number)
),

-- Moves per day, first between states, then as each scheme sees them.
state_moves as (
    select
        {{ local_date('valid_from_at') }} as moved_date,
        previous_state,
        state,
        cast(count(*) as bigint) as move_count
    from states
    group by {{ local_date('valid_from_at') }}, previous_state, state
),

activity_moves as (
    select
        {{ local_date('valid_from_at') }} as moved_date,
        previous_activity_state,
        activity_state,
        cast(count(*) as bigint) as move_count
    from activity_states
    group by {{ local_date('valid_from_at') }}, previous_activity_state, activity_state
),

moves as (
    select
        state_moves.moved_date,
        after_it.scheme,
        before_it.stage as from_stage,
        after_it.stage as to_stage,
        state_moves.move_count
    from state_moves
    inner join maps as after_it on state_moves.state = after_it.state
    left join maps as before_it
        on state_moves.previous_state = before_it.state
        and after_it.scheme = before_it.scheme
    where before_it.stage is distinct from after_it.stage
    union all
    select
        moved_date,
        'posthog' as scheme,
        previous_activity_state as from_stage,
        activity_state as to_stage,
        move_count
    from activity_moves
),

changes as (
    select
        moved_date,
        scheme,
        to_stage as stage,
        move_count as entered_count,
        0 as left_count
    from moves
    union all
    select
        moved_date,
        scheme,
        from_stage as stage,
        0 as entered_count,
        move_count as left_count
    from moves
    where from_stage is not null
),

changes_added as (
    select
        moved_date,
        scheme,
        stage,
        cast(sum(entered_count) as bigint) as entered_count,
        cast(sum(left_count) as bigint) as left_count
    from changes
    group by moved_date, scheme, stage
),

first_days as (
    select min(moved_date) as first_date
    from state_moves
),

days as (
    select cast(first_days.first_date + day_numbers.day_number as date) as stage_date
    from first_days
    inner join day_numbers
        on day_numbers.day_number
        <= {{ calendar_days_between('first_days.first_date', as_of_date()) }}
),

days_counted as (
    select
        days.stage_date,
        scheme_stages.scheme,
        scheme_stages.stage,
        scheme_stages.stage_order,
        coalesce(changes_added.entered_count, 0) as entered_count,
        coalesce(changes_added.left_count, 0) as left_count
    from days
    cross join scheme_stages
    left join changes_added
        on days.stage_date = changes_added.moved_date
        and scheme_stages.scheme = changes_added.scheme
        and scheme_stages.stage = changes_added.stage
    where not scheme_stages.is_snapshot
),

-- Snapshots: everybody seen by then, from where they stood at the snapshot before.
snapshot_changes as (
    select
        snapshot_date,
        scheme,
        to_stage as stage,
        customer_count,
        case when coalesce(from_stage, '') = to_stage then 0 else customer_count end
            as entered_count,
        0 as left_count
    from snapshot_moves
    union all
    select
        snapshot_date,
        scheme,
        from_stage as stage,
        0 as customer_count,
        0 as entered_count,
        customer_count as left_count
    from snapshot_moves
    where from_stage != to_stage
),

snapshots_added as (
    select
        snapshot_date,
        scheme,
        stage,
        cast(sum(customer_count) as bigint) as customer_count,
        cast(sum(entered_count) as bigint) as entered_count,
        cast(sum(left_count) as bigint) as left_count
    from snapshot_changes
    group by snapshot_date, scheme, stage
),

snapshot_days as (
    select
        scheme,
        snapshot_date,
        min(snapshot_date) over (partition by scheme) as first_snapshot_date
    from snapshot_moves
    group by scheme, snapshot_date
),

published as (
    select
        -- keys
        stage_date,
        scheme,
        stage,
        -- facts
        stage_order,
        cast(
            sum(entered_count - left_count) over (
                partition by scheme, stage
                order by stage_date asc nulls last
                rows between unbounded preceding and current row
            ) as bigint
        ) as customer_count,
        entered_count,
        left_count
    from days_counted
    union all
    select
        snapshot_days.snapshot_date as stage_date,
        scheme_stages.scheme,
        scheme_stages.stage,
        scheme_stages.stage_order,
        coalesce(snapshots_added.customer_count, 0) as customer_count,
        -- Nothing is known of the day before the first snapshot.
        case
            when snapshot_days.snapshot_date > snapshot_days.first_snapshot_date
                then coalesce(snapshots_added.entered_count, 0)
        end as entered_count,
        case
            when snapshot_days.snapshot_date > snapshot_days.first_snapshot_date
                then coalesce(snapshots_added.left_count, 0)
        end as left_count
    from snapshot_days
    inner join scheme_stages on snapshot_days.scheme = scheme_stages.scheme
    left join snapshots_added
        on snapshot_days.snapshot_date = snapshots_added.snapshot_date
        and scheme_stages.scheme = snapshots_added.scheme
        and scheme_stages.stage = snapshots_added.stage
)

select * from published
