-- Grain: one row per person anybody has a record of and scheme: the stage that the scheme gives them.

with

customers as (select * from {{ ref('customer_360') }}),

states as (select * from {{ ref('int_lifecycle_states') }}),

activity_states as (
    select *
    from {{ ref('int_activity_states') }}
    where valid_to_at is null
),

snapshots as (
    select *
    from {{ ref('int_scheme_snapshots') }}
    where snapshot_date = {{ as_of_date() }}
),

maps as (select * from {{ ref('int_scheme_maps') }}),

scheme_stages as (select * from {{ ref('int_scheme_stages') }}),

-- The moves from one state to another that a scheme sees as a move.
map_changes as (
    select
        after_it.scheme,
        before_it.state as previous_state,
        after_it.state
    from maps as after_it
    inner join maps as before_it on after_it.scheme = before_it.scheme
    where after_it.stage != before_it.stage
    union all
    select
        scheme,
        cast(null as string) as previous_state,
        state
    from maps
),

entries as (
    select
        states.customer_id,
        map_changes.scheme,
        max(states.valid_from_at) as stage_since_at
    from states
    inner join map_changes
        on states.state = map_changes.state
        and coalesce(states.previous_state, '') = coalesce(map_changes.previous_state, '')
    group by states.customer_id, map_changes.scheme
),

current_states as (
    select
        customers.customer_id,
        coalesce(states.state, 'awareness') as state
    from customers
    left join states
        on customers.customer_id = states.customer_id
        and states.valid_to_at is null
),

stages as (
    select
        current_states.customer_id,
        maps.scheme,
        maps.stage,
        entries.stage_since_at
    from current_states
    inner join maps on current_states.state = maps.state
    left join entries
        on current_states.customer_id = entries.customer_id
        and maps.scheme = entries.scheme
    union all
    select
        customers.customer_id,
        'posthog' as scheme,
        coalesce(activity_states.activity_state, 'dormant') as stage,
        activity_states.valid_from_at as stage_since_at
    from customers
    left join activity_states on customers.customer_id = activity_states.customer_id
    union all
    select
        customers.customer_id,
        'shopify_rfm' as scheme,
        coalesce(snapshots.shopify_rfm, 'prospects') as stage,
        cast(null as timestamp) as stage_since_at
    from customers
    left join snapshots on customers.customer_id = snapshots.customer_id
    union all
    select
        customers.customer_id,
        'amperity_predicted' as scheme,
        coalesce(snapshots.amperity_predicted, 'prospect') as stage,
        cast(null as timestamp) as stage_since_at
    from customers
    left join snapshots on customers.customer_id = snapshots.customer_id
),

published as (
    select
        -- keys
        stages.customer_id,
        stages.scheme,
        -- facts
        stages.stage,
        scheme_stages.stage_order,
        scheme_stages.is_snapshot,
        -- times
        stages.stage_since_at
    from stages
    left join scheme_stages
        on stages.scheme = scheme_stages.scheme
        and stages.stage = scheme_stages.stage
)

select * from published
