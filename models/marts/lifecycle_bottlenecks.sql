-- Grain: one row per stage: how long people stand there, where they go, and who stands there too long.

with

stages as (select * from {{ ref('lifecycle_stages') }}),

scheme_stages as (
    select *
    from {{ ref('int_scheme_stages') }}
    where scheme = 'lifecycle'
),

history as (select * from {{ ref('customer_lifecycle_history') }}),

survival as (select * from {{ ref('lifecycle_stage_survival') }}),

flows as (select * from {{ ref('lifecycle_stage_flows') }}),

last_days as (
    select
        stage,
        max(day_number) as last_day_number
    from survival
    group by stage
),

-- Where the last one has left, later days are as the last.
survival_lasting as (
    select
        survival.*,
        survival.day_number = last_days.last_day_number and survival.survival_rate = 0 as is_final
    from survival
    inner join last_days on survival.stage = last_days.stage
),

durations as (
    select
        stage,
        min(case when survival_rate <= 0.5 then day_number end) as median_days,
        min(case when survival_rate <= 0.1 then day_number end) as p90_days,
        {{ rate_after_days('moved_forward_rate', 30) }} as moved_forward_30d_rate,
        {{ rate_after_days('fallen_back_rate', 30) }} as fallen_back_30d_rate,
        {{ rate_after_days('survival_rate', 30) }} as still_there_30d_rate,
        {{ rate_after_days('moved_forward_rate', 90) }} as moved_forward_90d_rate,
        {{ rate_after_days('fallen_back_rate', 90) }} as fallen_back_90d_rate,
        {{ rate_after_days('survival_rate', 90) }} as still_there_90d_rate,
        {{ rate_after_days('moved_forward_rate', 180) }} as moved_forward_180d_rate,
        {{ rate_after_days('fallen_back_rate', 180) }} as fallen_back_180d_rate,
        {{ rate_after_days('survival_rate', 180) }} as still_there_180d_rate
    from survival_lasting
    group by stage
),

stays as (
    select
        history.stage,
        cast(count(*) as bigint) as stay_count,
        cast(count(case when history.valid_to_at is null then 1 end) as bigint) as customer_count,
        cast(
            count(
                case
                    when
                        history.valid_to_at is null
                        and {{ days_between('history.valid_from_at', as_of_end()) }}
                        > durations.p90_days
                        then 1
                end
            ) as bigint
        ) as overstaying_count
    from history
    inner join durations on history.stage = durations.stage
    group by history.stage
),

losses as (
    select
        from_stage as stage,
        cast(sum(case when is_forward then move_count else 0 end) as bigint) as forward_exit_count,
        cast(sum(case when is_forward then 0 else move_count end) as bigint) as backward_exit_count
    from flows
    group by from_stage
),

stages_measured as (
    select
        -- keys
        stages.stage,
        -- facts
        scheme_stages.stage_order,
        coalesce(stays.customer_count, 0) as customer_count,
        coalesce(stays.stay_count, 0) as stay_count,
        coalesce(losses.forward_exit_count, 0) as forward_exit_count,
        coalesce(losses.backward_exit_count, 0) as backward_exit_count,
        durations.median_days,
        durations.p90_days,
        durations.moved_forward_30d_rate,
        durations.fallen_back_30d_rate,
        durations.still_there_30d_rate,
        durations.moved_forward_90d_rate,
        durations.fallen_back_90d_rate,
        durations.still_there_90d_rate,
        durations.moved_forward_180d_rate,
        durations.fallen_back_180d_rate,
        durations.still_there_180d_rate,
        case when durations.p90_days is not null then stays.overstaying_count end
            as overstaying_count
    from stages
    inner join scheme_stages on stages.stage = scheme_stages.stage
    left join durations on stages.stage = durations.stage
    left join stays on stages.stage = stays.stage
    left join losses on stages.stage = losses.stage
),

published as (
    select
        *,
        rank() over (order by backward_exit_count desc nulls last) as loss_rank
    from stages_measured
)

select * from published
