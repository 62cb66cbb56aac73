-- Every move is in one flow, and the flows out of a stage are all of its exits.
{{ config(meta={'dagster': {'ref': {'name': 'lifecycle_stage_flows'}}}) }}

with

flows as (select * from {{ ref('lifecycle_stage_flows') }}),

transitions as (select * from {{ ref('lifecycle_transitions') }}),

moves as (
    select
        from_stage,
        to_stage,
        count(*) as move_count
    from transitions
    group by from_stage, to_stage
),

shares as (
    select
        from_stage,
        min(exit_count) as exit_count,
        cast(sum(move_count) as bigint) as move_count,
        cast(sum(exit_rate) as double) as exit_rate
    from flows
    group by from_stage
),

differences as (
    select
        coalesce(flows.from_stage, moves.from_stage) as from_stage,
        coalesce(flows.to_stage, moves.to_stage) as to_stage
    from flows
    full outer join moves
        on flows.from_stage = moves.from_stage
        and flows.to_stage = moves.to_stage
    where flows.move_count is distinct from moves.move_count
    union all
    select
        from_stage,
        'all together' as to_stage
    from shares
    where exit_count != move_count or abs(exit_rate - 1) > 0.000000001
)

select * from differences
