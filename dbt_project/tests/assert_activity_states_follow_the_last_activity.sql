-- Whoever did something in the last 30 days is not dormant now, and nobody else is anything but dormant; everybody with a
-- history has a state since it began.
{{ config(meta={'dagster': {'ref': {'name': 'int_activity_states'}}}) }}

with

activity_states as (select * from {{ ref('int_activity_states') }}),

stages as (select * from {{ ref('int_lifecycle_stages') }}),

stages_since as (
    select
        customer_id,
        min(valid_from_at) as first_seen_at
    from stages
    group by customer_id
),

current_facts as (
    select
        stages.customer_id,
        stages.last_human_at,
        stages_since.first_seen_at
    from stages
    inner join stages_since on stages.customer_id = stages_since.customer_id
    where stages.valid_to_at is null
),

since as (
    select
        customer_id,
        min(valid_from_at) as first_seen_at
    from activity_states
    group by customer_id
),

open_intervals as (select * from activity_states where valid_to_at is null),

differences as (
    select
        coalesce(current_facts.customer_id, open_intervals.customer_id) as customer_id,
        open_intervals.activity_state
    from current_facts
    full outer join open_intervals on current_facts.customer_id = open_intervals.customer_id
    left join since on current_facts.customer_id = since.customer_id
    where since.first_seen_at is distinct from current_facts.first_seen_at
        or coalesce(open_intervals.activity_state = 'dormant', false)
        is distinct from coalesce(
            -- The last moment that is known is just before the day's end.
            {{ add_days('current_facts.last_human_at', activity_days()) }} < {{ as_of_end() }},
            true
        )
)

select * from differences
