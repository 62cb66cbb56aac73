-- Grain: one row per pair of stages between which somebody moved, over the whole history.

with

transitions as (select * from {{ ref('lifecycle_transitions') }}),

directions as (select * from {{ ref('int_stage_directions') }}),

moves_added as (
    select
        from_stage,
        to_stage,
        cast(count(*) as bigint) as move_count,
        cast(count(distinct customer_id) as bigint) as customer_count,
        cast(median(days_in_stage) as double) as median_days_in_stage,
        cast(percentile_cont(0.75) within group (order by days_in_stage) as double)
            as p75_days_in_stage,
        cast(percentile_cont(0.9) within group (order by days_in_stage) as double)
            as p90_days_in_stage
    from transitions
    group by from_stage, to_stage
),

exits as (
    select
        from_stage,
        cast(sum(move_count) as bigint) as exit_count
    from moves_added
    group by from_stage
),

published as (
    select
        -- keys
        moves_added.from_stage,
        moves_added.to_stage,
        -- facts
        directions.is_forward,
        moves_added.move_count,
        moves_added.customer_count,
        exits.exit_count,
        cast(moves_added.move_count as double) / nullif(exits.exit_count, 0) as exit_rate,
        moves_added.median_days_in_stage,
        moves_added.p75_days_in_stage,
        moves_added.p90_days_in_stage
    from moves_added
    inner join exits on moves_added.from_stage = exits.from_stage
    left join directions
        on moves_added.from_stage = directions.from_stage
        and moves_added.to_stage = directions.to_stage
)

select * from published
