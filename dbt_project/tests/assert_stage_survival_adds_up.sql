-- Whoever was watched yesterday and neither left nor went out of sight is watched today; everybody is still there, moved
-- forward or fallen back; and every stay of the history is among them.
{{ config(meta={'dagster': {'ref': {'name': 'lifecycle_stage_survival'}}}) }}

with

survival as (select * from {{ ref('lifecycle_stage_survival') }}),

history as (select * from {{ ref('customer_lifecycle_history') }}),

survival_compared as (
    select
        *,
        lead(at_risk_count)
            over (partition by stage order by day_number asc nulls last)
            as next_at_risk_count
    from survival
),

stays as (
    select
        stage,
        cast(count(*) as bigint) as stay_count
    from history
    group by stage
),

first_days as (select * from survival where day_number = 0),

differences as (
    select
        stage,
        day_number
    from survival_compared
    where next_at_risk_count
        != at_risk_count - forward_exit_count - backward_exit_count - censored_count
        or abs(survival_rate + moved_forward_rate + fallen_back_rate - 1) > 0.000000001
    union all
    select
        coalesce(stays.stage, first_days.stage) as stage,
        first_days.day_number
    from stays
    full outer join first_days on stays.stage = first_days.stage
    where stays.stay_count is distinct from first_days.at_risk_count
)

select * from differences
