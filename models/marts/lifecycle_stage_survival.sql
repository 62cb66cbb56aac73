-- Grain: one row per stage and number of days since its beginning, from 0 to the last day that somebody was watched.
-- Survival by Kaplan and Meier (1958), the share moved forward or fallen back by Aalen and Johansen (1978), on whole
-- days. A stay counts for a day when that day of it is over, whatever became of it: a day that is cut off by the end
-- of the data would show those who left in it and not those who did not.

{% set longest_days = 730 %}

with

history as (select * from {{ ref('customer_lifecycle_history') }}),

transitions as (select * from {{ ref('lifecycle_transitions') }}),

directions as (select * from {{ ref('int_stage_directions') }}),

day_numbers as (
    select cast(day_number as bigint) as day_number
    from range(0, {{ longest_days + 1 }}) as numbers (day_number)
),

exits as (
    select
        transitions.customer_id,
        transitions.moved_at,
        directions.is_forward
    from transitions
    inner join directions
        on transitions.from_stage = directions.from_stage
        and transitions.to_stage = directions.to_stage
),

stays as (
    select
        history.stage,
        exits.is_forward,
        cast(floor({{ days_between('history.valid_from_at', as_of_end()) }}) as bigint)
            as watched_days,
        cast(ceil({{ days_between('history.valid_from_at', 'history.valid_to_at') }}) as bigint)
            as left_after_days
    from history
    left join exits
        on history.customer_id = exits.customer_id
        and history.valid_to_at = exits.moved_at
),

endings as (
    select
        stage,
        least(coalesce(left_after_days, watched_days), watched_days) as day_number,
        coalesce(left_after_days <= watched_days, false) as has_left,
        is_forward
    from stays
),

endings_counted as (
    select
        stage,
        day_number,
        cast(count(*) as bigint) as ending_count,
        cast(count(case when has_left and is_forward then 1 end) as bigint) as forward_exit_count,
        cast(
            count(case when has_left and not is_forward then 1 end) as bigint
        ) as backward_exit_count,
        cast(count(case when not has_left then 1 end) as bigint) as censored_count
    from endings
    group by stage, day_number
),

stages as (
    select
        stage,
        cast(sum(ending_count) as bigint) as stay_count,
        max(day_number) as last_day_number
    from endings_counted
    group by stage
),

days as (
    select
        stages.stage,
        day_numbers.day_number,
        stages.stay_count,
        coalesce(endings_counted.ending_count, 0) as ending_count,
        coalesce(endings_counted.forward_exit_count, 0) as forward_exit_count,
        coalesce(endings_counted.backward_exit_count, 0) as backward_exit_count,
        coalesce(endings_counted.censored_count, 0) as censored_count
    from stages
    inner join day_numbers on stages.last_day_number >= day_numbers.day_number
    left join endings_counted
        on stages.stage = endings_counted.stage
        and day_numbers.day_number = endings_counted.day_number
),

days_at_risk as (
    select
        *,
        stay_count + ending_count - cast(sum(ending_count) over so_far as bigint)
            as at_risk_count
    from days
    window so_far as (
        partition by stage
        order by day_number asc nulls last
        rows between unbounded preceding and current row
    )
),

hazards as (
    select
        *,
        cast(at_risk_count - forward_exit_count - backward_exit_count as double)
        / nullif(at_risk_count, 0) as stay_rate
    from days_at_risk
),

survival as (
    select
        *,
        -- A product; where everybody left at once it is 0 from then on, and the logarithm does not exist.
        case
            when min(stay_rate) over so_far > 0
                then exp(sum(ln(case when stay_rate > 0 then stay_rate else 1 end)) over so_far)
            else cast(0 as double)
        end as survival_rate
    from hazards
    window so_far as (
        partition by stage
        order by day_number asc nulls last
        rows between unbounded preceding and current row
    )
),

survival_compared as (
    select
        *,
        coalesce(
            lag(survival_rate) over (partition by stage order by day_number asc nulls last), 1
        )
        / nullif(at_risk_count, 0) as share_of_one
    from survival
),

published as (
    select
        -- keys
        stage,
        day_number,
        -- facts
        at_risk_count,
        forward_exit_count,
        backward_exit_count,
        censored_count,
        round(survival_rate, 12) as survival_rate,
        round(cast(sum(share_of_one * forward_exit_count) over so_far as double), 12)
            as moved_forward_rate,
        round(cast(sum(share_of_one * backward_exit_count) over so_far as double), 12)
            as fallen_back_rate
    from survival_compared
    window so_far as (
        partition by stage
        order by day_number asc nulls last
        rows between unbounded preceding and current row
    )
)

select * from published
