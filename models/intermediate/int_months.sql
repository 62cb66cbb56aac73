-- Grain: one row per month of the reporting zone, from that of the first event, order or spend to that of the run's day.

with

timeline as (select * from {{ ref('int_timeline') }}),

orders as (select * from {{ ref('int_orders') }}),

spend as (select * from {{ ref('int_marketing_spend') }}),

month_numbers as (
    select cast(month_number as bigint) as month_number
    from range(0, 2400) as numbers (month_number)
),

first_months as (
    select {{ local_month('min(occurred_at)') }} as first_month
    from timeline
    union all
    select min(order_month) as first_month
    from orders
    union all
    select min(spend_month) as first_month
    from spend
),

bounds as (
    select
        min(first_month) as first_month,
        cast(date_trunc('month', {{ as_of_date() }}) as date) as last_month
    from first_months
),

months as (
    select
        cast(
            bounds.first_month + cast(month_numbers.month_number as int) * interval 1 month as date
        ) as month
    from bounds
    inner join month_numbers
        on month_numbers.month_number
        <= {{ calendar_months_between('bounds.first_month', 'bounds.last_month') }}
),

months_bounded as (
    select
        month,
        cast(month + interval 1 month as date) as next_month
    from months
),

published as (
    select
        -- keys
        month,
        -- facts
        next_month <= cast({{ as_of_date() }} + 1 as date) as is_complete,
        -- times
        cast(next_month - 1 as date) as last_date,
        {{ local_midnight('month') }} as month_begins_at,
        least({{ local_midnight('next_month') }}, {{ as_of_end() }}) as month_ends_at
    from months_bounded
)

select * from published
