-- Every border between two intervals is one move, from the stage before to the stage after; every row is a border
-- without its move or a move without its border.
{{ config(meta={'dagster': {'ref': {'name': 'lifecycle_transitions'}}}) }}

with

history as (select * from {{ ref('customer_lifecycle_history') }}),

transitions as (select * from {{ ref('lifecycle_transitions') }}),

borders as (
    select
        before_it.customer_id,
        before_it.valid_to_at as moved_at,
        before_it.stage as from_stage,
        after_it.stage as to_stage
    from history as before_it
    inner join history as after_it
        on before_it.customer_id = after_it.customer_id
        and before_it.valid_to_at = after_it.valid_from_at
),

differences as (
    select
        coalesce(borders.customer_id, transitions.customer_id) as customer_id,
        coalesce(borders.moved_at, transitions.moved_at) as moved_at
    from borders
    full outer join transitions
        on borders.customer_id = transitions.customer_id
        and borders.moved_at = transitions.moved_at
    where borders.from_stage is distinct from transitions.from_stage
        or borders.to_stage is distinct from transitions.to_stage
)

select * from differences
