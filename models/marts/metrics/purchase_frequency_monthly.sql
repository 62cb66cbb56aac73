-- Grain: one row per month of the reporting zone: how often was bought in the 365 days up to its end or the run's day.
-- An order day covers the month ends from its own on, until the customer's next one or the window passes it by; so one
-- line per order day says in which months somebody counts, and nobody is looked at once per month.

{% set window_days = 365 %}

with

orders as (
    select * from {{ ref('int_orders') }} where is_counted and customer_id is not null
),

paid_days as (select * from {{ ref('int_paid_order_days') }}),

months as (select * from {{ ref('int_months') }}),

order_days as (
    select
        customer_id,
        order_date,
        count(*) as order_count
    from orders
    group by customer_id, order_date
),

order_days_compared as (
    select
        order_date,
        order_count,
        cast(order_date + {{ window_days }} as date) as outdated_date,
        cast(lag(order_date) over customer_days + {{ window_days }} as date)
            as previous_outdated_date,
        lead(order_date) over customer_days as next_order_date
    from order_days
    window customer_days as (partition by customer_id order by order_date asc nulls last)
),

-- The days from which an order, a customer by it, and a second order day by it no longer count.
covers as (
    select
        order_date,
        order_count,
        outdated_date,
        least(outdated_date, coalesce(next_order_date, outdated_date)) as customer_until_date,
        case
            when previous_outdated_date > order_date
                then least(previous_outdated_date, coalesce(next_order_date, outdated_date))
        end as repeat_until_date
    from order_days_compared
),

-- As months: null where the day is not reached by the run's.
covers_in_months as (
    select
        order_count,
        repeat_until_date is not null as is_repeat,
        cast(date_trunc('month', order_date) as date) as from_month,
        cast(
            date_trunc(
                'month', case when outdated_date <= {{ as_of_date() }} then outdated_date end
            ) as date
        ) as order_until_month,
        cast(
            date_trunc(
                'month',
                case when customer_until_date <= {{ as_of_date() }} then customer_until_date end
            ) as date
        ) as customer_until_month,
        cast(
            date_trunc(
                'month',
                case when repeat_until_date <= {{ as_of_date() }} then repeat_until_date end
            ) as date
        ) as repeat_until_month
    from covers
),

covers_added as (
    select
        from_month,
        order_until_month,
        customer_until_month,
        repeat_until_month,
        is_repeat,
        count(*) as day_count,
        cast(sum(order_count) as bigint) as order_count
    from covers_in_months
    group by
        from_month, order_until_month, customer_until_month, repeat_until_month, is_repeat
),

orders_counted as (
    select
        months.month,
        cast(sum(covers_added.order_count) as bigint) as order_count,
        cast(
            sum(
                case
                    when covers_added.customer_until_month is null
                        or months.month < covers_added.customer_until_month
                        then covers_added.day_count
                    else 0
                end
            ) as bigint
        ) as customer_count,
        cast(
            sum(
                case
                    when covers_added.is_repeat
                        and (
                            covers_added.repeat_until_month is null
                            or months.month < covers_added.repeat_until_month
                        )
                        then covers_added.day_count
                    else 0
                end
            ) as bigint
        ) as repeat_customer_count
    from months
    inner join covers_added
        on months.month >= covers_added.from_month
        and (
            covers_added.order_until_month is null
            or months.month < covers_added.order_until_month
        )
    group by months.month
),

-- Gaps by their length: an exact median needs no more than how often each length occurs.
gaps as (
    select
        {{ calendar_days_between('previous_order_date', 'order_date') }} as gap_days,
        cast(date_trunc('month', order_date) as date) as from_month,
        cast(
            date_trunc(
                'month',
                case
                    when cast(order_date + {{ window_days }} as date) <= {{ as_of_date() }}
                        then cast(order_date + {{ window_days }} as date)
                end
            ) as date
        ) as until_month
    from paid_days
    where previous_order_date is not null
),

gaps_added as (
    select
        from_month,
        until_month,
        gap_days,
        count(*) as gap_count
    from gaps
    group by from_month, until_month, gap_days
),

gap_lengths as (
    select
        months.month,
        gaps_added.gap_days,
        cast(sum(gaps_added.gap_count) as bigint) as gap_count
    from months
    inner join gaps_added
        on months.month >= gaps_added.from_month
        and (gaps_added.until_month is null or months.month < gaps_added.until_month)
    group by months.month, gaps_added.gap_days
),

gap_lengths_ranked as (
    select
        month,
        gap_days,
        cast(
            sum(gap_count) over (
                partition by month
                order by gap_days asc nulls last
                rows between unbounded preceding and current row
            ) as bigint
        ) as gaps_so_far,
        cast(sum(gap_count) over (partition by month) as bigint) as gap_count
    from gap_lengths
),

-- A percentile lies between two gaps in their order: at which place, counted from 0.
gap_places as (
    select
        *,
        cast(gap_count - 1 as double) * 0.5 as median_place,
        cast(gap_count - 1 as double) * 0.75 as p75_place
    from gap_lengths_ranked
),

gap_neighbours as (
    select
        month,
        max(gap_count) as gap_count,
        max(median_place - floor(median_place)) as median_share,
        max(p75_place - floor(p75_place)) as p75_share,
        min(case when gaps_so_far > floor(median_place) then gap_days end) as median_below_days,
        min(case when gaps_so_far > ceil(median_place) then gap_days end) as median_above_days,
        min(case when gaps_so_far > floor(p75_place) then gap_days end) as p75_below_days,
        min(case when gaps_so_far > ceil(p75_place) then gap_days end) as p75_above_days
    from gap_places
    group by month
),

gap_percentiles as (
    select
        month,
        gap_count,
        cast(
            median_below_days + (median_above_days - median_below_days) * median_share as double
        ) as median_days_between_orders,
        cast(p75_below_days + (p75_above_days - p75_below_days) * p75_share as double)
            as p75_days_between_orders
    from gap_neighbours
),

first_orders as (
    select min(order_date) as first_order_date
    from order_days
),

windows as (
    select
        months.month,
        months.is_complete,
        least(months.last_date, {{ as_of_date() }}) as window_end_date,
        first_orders.first_order_date
    from months
    cross join first_orders
),

frequencies as (
    select
        -- keys
        windows.month as frequency_month,
        -- facts
        windows.is_complete,
        coalesce(
            windows.first_order_date
            <= cast(windows.window_end_date - {{ window_days - 1 }} as date),
            false
        ) as is_window_complete,
        cast(coalesce(orders_counted.order_count, 0) as bigint) as order_count,
        cast(coalesce(orders_counted.customer_count, 0) as bigint) as customer_count,
        cast(orders_counted.order_count as double) / nullif(orders_counted.customer_count, 0)
            as repurchase_frequency,
        cast(coalesce(orders_counted.repeat_customer_count, 0) as bigint) as repeat_customer_count,
        cast(orders_counted.repeat_customer_count as double)
        / nullif(orders_counted.customer_count, 0) as repeat_purchase_rate,
        cast(coalesce(gap_percentiles.gap_count, 0) as bigint) as gap_count,
        gap_percentiles.median_days_between_orders,
        gap_percentiles.p75_days_between_orders,
        -- times
        windows.window_end_date
    from windows
    left join orders_counted on windows.month = orders_counted.month
    left join gap_percentiles on windows.month = gap_percentiles.month
)

select * from frequencies
