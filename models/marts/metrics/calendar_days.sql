-- Grain: one row per calendar day, from the first of the first month with an event, order or spend to the run's day.
-- The semantic layer counts time along these days.

with

calendar_months as (select * from {{ ref('int_months') }}),

day_numbers as (
    select cast(day_number as int) as day_number
    from range(0, 31) as numbers (day_number)
),

days as (
    select
        cast(calendar_months.month + day_numbers.day_number as date) as calendar_date,
        calendar_months.month as calendar_month,
        calendar_months.last_date
    from calendar_months
    cross join day_numbers
),

published as (
    select
        -- keys
        calendar_date,
        -- times
        calendar_month
    from days
    where calendar_date <= last_date
        and calendar_date <= {{ as_of_date() }}
)

select * from published
