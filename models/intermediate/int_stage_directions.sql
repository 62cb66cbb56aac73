-- Grain: one row per pair of stages: whether the move from one to the other leads forward.
-- Forward is out of a setback or into a lesser one, further along the journey, or into a stage that stands beside the
-- journey and is no setback (reactivated). The ranks are those of seeds/lifecycle_stages.csv.

with

stages as (select * from {{ ref('lifecycle_stages') }}),

pairs as (
    select
        -- keys
        from_stages.stage as from_stage,
        to_stages.stage as to_stage,
        -- facts
        case
            when to_stages.setback_rank != from_stages.setback_rank
                then to_stages.setback_rank < from_stages.setback_rank
            else to_stages.stage_rank = 0 or to_stages.stage_rank > from_stages.stage_rank
        end as is_forward
    from stages as from_stages
    cross join stages as to_stages
    where from_stages.stage != to_stages.stage
)

select * from pairs
