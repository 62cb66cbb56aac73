-- Grain: one row per month of a first paid order and month after it that lies in the data.
-- A cell is null until its month has passed for everybody. Two ways of coming back: with an order, or with a sign of life.

with

paid_days as (select * from {{ ref('int_paid_order_days') }}),

timeline as (select * from {{ ref('int_timeline') }}),

touchpoint_types as (select * from {{ ref('touchpoint_types') }}),

cohorts as (
    select
        customer_id,
        cast(date_trunc('month', min(order_date)) as date) as cohort_month
    from paid_days
    group by customer_id
),

cohort_sizes as (
    select
        cohort_month,
        cast(count(*) as bigint) as cohort_customer_count
    from cohorts
    group by cohort_month
),

order_months as (
    select
        cohorts.customer_id,
        cohorts.cohort_month,
        {{ calendar_months_between(
            'cohorts.cohort_month',
            "cast(date_trunc('month', paid_days.order_date) as date)"
        ) }} as month_number
    from paid_days
    inner join cohorts on paid_days.customer_id = cohorts.customer_id
),

retained as (
    select
        cohort_month,
        month_number,
        cast(count(distinct customer_id) as bigint) as retained_customer_count
    from order_months
    group by cohort_month, month_number
),

-- What somebody did in a month, once; what machines did and what was sent to them is no activity of theirs.
active_months as (
    select
        timeline.customer_id,
        cohorts.cohort_month,
        {{ local_month('timeline.occurred_at') }} as active_month
    from timeline
    inner join touchpoint_types on timeline.event_name = touchpoint_types.event_name
    inner join cohorts on timeline.customer_id = cohorts.customer_id
    where touchpoint_types.is_human_activity and not timeline.is_machine
    group by
        timeline.customer_id,
        cohorts.cohort_month,
        {{ local_month('timeline.occurred_at') }}
),

active as (
    select
        cohort_month,
        {{ calendar_months_between('cohort_month', 'active_month') }} as month_number,
        cast(count(*) as bigint) as active_customer_count
    from active_months
    group by cohort_month, active_month
),

months as (
    select cast(month_number as bigint) as month_number
    from range(0, 1200) as numbers (month_number)
),

cells as (
    select
        cohort_sizes.cohort_month,
        months.month_number,
        cohort_sizes.cohort_customer_count,
        cast(
            cohort_sizes.cohort_month
            + cast(months.month_number + 1 as int) * interval 1 month as date
        )
        <= cast({{ as_of_date() }} + 1 as date) as is_complete
    from cohort_sizes
    inner join months
        on months.month_number
        <= {{ calendar_months_between(
            'cohort_sizes.cohort_month', "cast(date_trunc('month', " ~ as_of_date() ~ ") as date)"
        ) }}
),

rates as (
    select
        -- keys
        cells.cohort_month,
        cells.month_number,
        -- facts
        cells.cohort_customer_count,
        cast(
            case
                when cells.is_complete then coalesce(retained.retained_customer_count, 0)
            end as bigint
        )
            as retained_customer_count,
        case
            when cells.is_complete
                then cast(coalesce(retained.retained_customer_count, 0) as double)
                    / nullif(cells.cohort_customer_count, 0)
        end as retention_rate,
        cast(
            case
                when cells.is_complete then coalesce(active.active_customer_count, 0)
            end as bigint
        )
            as active_customer_count,
        case
            when cells.is_complete
                then cast(coalesce(active.active_customer_count, 0) as double)
                    / nullif(cells.cohort_customer_count, 0)
        end as activity_rate,
        cells.is_complete
    from cells
    left join retained
        on cells.cohort_month = retained.cohort_month
        and cells.month_number = retained.month_number
    left join active
        on cells.cohort_month = active.cohort_month
        and cells.month_number = active.month_number
)

select * from rates
