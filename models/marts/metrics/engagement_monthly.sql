-- Grain: one row per month of the reporting zone, from that of the first event to that of the run's day.
-- Trailing windows end with the month's last day, or with the run's; so they are looked at once a month.

with

months as (select * from {{ ref('int_months') }}),

active_days as (select * from {{ ref('int_active_days') }}),

identifications as (select * from {{ ref('int_identifications') }}),

purchases as (select * from {{ ref('int_purchases') }}),

buyers as (
    select
        customer_id,
        min(paid_at) as first_paid_at
    from purchases
    group by customer_id
),

months_closed as (
    select
        *,
        least(last_date, {{ as_of_date() }}) as closing_date
    from months
),

dates as (select distinct active_date from active_days),

-- In which month's windows a day lies: in those of its own month, and some days in those of the next.
date_months as (
    select
        dates.active_date,
        months_closed.month,
        months_closed.month_ends_at,
        dates.active_date >= months_closed.month as is_in_month,
        dates.active_date = months_closed.closing_date as is_in_1d,
        dates.active_date > cast(months_closed.closing_date - 7 as date) as is_in_7d,
        dates.active_date > cast(months_closed.closing_date - 28 as date) as is_in_28d
    from dates
    inner join months_closed
        on dates.active_date
        >= least(months_closed.month, cast(months_closed.closing_date - 27 as date))
        and dates.active_date <= months_closed.closing_date
),

customer_months as (
    select
        active_days.customer_id,
        date_months.month,
        date_months.month_ends_at,
        bool_or(active_days.is_active and date_months.is_in_1d) as is_active_1d,
        bool_or(active_days.is_active and date_months.is_in_7d) as is_active_7d,
        bool_or(active_days.is_active and date_months.is_in_28d) as is_active_28d,
        count(case when active_days.is_active and date_months.is_in_month then 1 end)
            as active_day_count,
        cast(
            sum(case when date_months.is_in_month then active_days.visit_count else 0 end)
            as bigint
        ) as visit_count
    from active_days
    inner join date_months on active_days.active_date = date_months.active_date
    group by active_days.customer_id, date_months.month, date_months.month_ends_at
),

activity as (
    select
        customer_months.month,
        count(case when customer_months.is_active_1d then 1 end) as active_1d_count,
        count(case when customer_months.is_active_7d then 1 end) as active_7d_count,
        count(case when customer_months.is_active_28d then 1 end) as active_28d_count,
        count(
            case
                when
                    customer_months.is_active_28d
                    and coalesce(
                        identifications.identified_at >= customer_months.month_ends_at, true
                    )
                    then 1
            end
        ) as anonymous_active_28d_count,
        count(
            case
                when
                    customer_months.is_active_28d
                    and buyers.first_paid_at < customer_months.month_ends_at
                    then 1
            end
        ) as buyer_active_28d_count,
        count(case when customer_months.active_day_count > 0 then 1 end) as monthly_active_count,
        cast(sum(customer_months.active_day_count) as bigint) as active_day_count,
        cast(sum(customer_months.visit_count) as bigint) as visit_count,
        count(case when customer_months.visit_count > 0 then 1 end) as visitor_count
    from customer_months
    left join identifications on customer_months.customer_id = identifications.customer_id
    left join buyers on customer_months.customer_id = buyers.customer_id
    group by customer_months.month
),

counted as (
    select
        months_closed.month,
        months_closed.is_complete,
        cast(coalesce(activity.active_1d_count, 0) as bigint) as active_1d_count,
        cast(coalesce(activity.active_7d_count, 0) as bigint) as active_7d_count,
        cast(coalesce(activity.active_28d_count, 0) as bigint) as active_28d_count,
        cast(coalesce(activity.anonymous_active_28d_count, 0) as bigint)
            as anonymous_active_28d_count,
        cast(coalesce(activity.buyer_active_28d_count, 0) as bigint) as buyer_active_28d_count,
        coalesce(activity.active_day_count, 0) as active_day_count,
        {{ calendar_days_between('months_closed.month', 'months_closed.closing_date') }} + 1
            as day_count,
        cast(coalesce(activity.monthly_active_count, 0) as bigint) as monthly_active_count,
        coalesce(activity.visit_count, 0) as visit_count,
        cast(coalesce(activity.visitor_count, 0) as bigint) as visitor_count
    from months_closed
    left join activity on months_closed.month = activity.month
),

published as (
    select
        -- keys
        month as engagement_month,
        -- facts
        is_complete,
        active_1d_count,
        active_7d_count,
        active_28d_count,
        anonymous_active_28d_count,
        buyer_active_28d_count,
        active_day_count,
        cast(day_count as bigint) as day_count,
        cast(active_day_count as double) / nullif(day_count, 0) as mean_daily_active_count,
        monthly_active_count,
        cast(active_day_count as double) / nullif(day_count, 0) / nullif(monthly_active_count, 0)
            as stickiness_rate,
        visit_count,
        visitor_count
    from counted
)

select * from published
