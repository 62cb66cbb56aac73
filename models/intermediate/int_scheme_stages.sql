-- Grain: one row per scheme and stage of it, in the order in which people read them.

with

schemes as (select * from {{ ref('lifecycle_schemes') }}),

lifecycle_stages as (select * from {{ ref('lifecycle_stages') }}),

computed_stages as (select * from {{ ref('computed_scheme_stages') }}),

mapped_stages as (
    select
        scheme,
        scheme_stage as stage,
        min(precedence) as first_precedence
    from schemes
    group by scheme, scheme_stage
),

scheme_stages as (
    select
        -- keys
        cast('lifecycle' as string) as scheme,
        stage,
        -- facts
        cast(
            row_number() over (
                order by
                    setback_rank asc nulls last,
                    case when stage_rank = 0 then 1 else 0 end asc nulls last,
                    stage_rank asc nulls last,
                    stage asc nulls last
            ) as bigint
        ) as stage_order,
        false as is_snapshot
    from lifecycle_stages
    union all
    select
        scheme,
        stage,
        cast(
            row_number()
                over (partition by scheme order by first_precedence asc nulls last)
            as bigint
        ) as stage_order,
        false as is_snapshot
    from mapped_stages
    union all
    select
        scheme,
        stage,
        stage_order,
        is_snapshot
    from computed_stages
)

select * from scheme_stages
