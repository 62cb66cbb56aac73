-- Of the last two months: who is active in the history when they begin and when they end is counted as retained.
{{ config(meta={'dagster': {'ref': {'name': 'acquisition_cost_monthly'}}}) }}

with

costs as (select * from {{ ref('acquisition_cost_monthly') }}),

all_months as (select * from {{ ref('int_months') }}),

history as (select * from {{ ref('customer_lifecycle_history') }}),

stages as (select * from {{ ref('lifecycle_stages') }} where is_active),

months as (
    select
        month,
        month_begins_at,
        month_ends_at
    from all_months
    where month >= cast(
            date_trunc('month', {{ as_of_date() }}) - interval 1 month as date
        )
),

active_intervals as (
    select
        history.customer_id,
        history.valid_from_at,
        history.valid_to_at
    from history
    inner join stages on history.stage = stages.stage
),

-- Just before the first instant of a month, and just before the first after it.
active_at_beginning as (
    select
        months.month,
        active_intervals.customer_id
    from months
    inner join active_intervals
        on months.month_begins_at > active_intervals.valid_from_at
        and (
            active_intervals.valid_to_at is null
            or months.month_begins_at <= active_intervals.valid_to_at
        )
),

active_at_end as (
    select
        months.month,
        active_intervals.customer_id
    from months
    inner join active_intervals
        on months.month_ends_at > active_intervals.valid_from_at
        and (
            active_intervals.valid_to_at is null
            or months.month_ends_at <= active_intervals.valid_to_at
        )
),

retained as (
    select
        active_at_beginning.month,
        cast(count(*) as bigint) as retained_customer_count
    from active_at_beginning
    inner join active_at_end
        on active_at_beginning.month = active_at_end.month
        and active_at_beginning.customer_id = active_at_end.customer_id
    group by active_at_beginning.month
),

differences as (
    select
        months.month,
        costs.retained_customer_count,
        retained.retained_customer_count as history_count
    from months
    left join costs on months.month = costs.acquisition_month
    left join retained on months.month = retained.month
    where coalesce(retained.retained_customer_count, 0)
        is distinct from costs.retained_customer_count
)

select * from differences
