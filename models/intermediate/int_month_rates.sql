-- Grain: one row per month and currency: what it is worth when the month ends (or on the run's day) and was worth when
-- the month began. Movements of a month count at the rate of its beginning; a currency's first rate serves for both.

with

months as (select * from {{ ref('int_months') }}),

rates as (select * from {{ ref('int_exchange_rates') }}),

border_days as (
    select
        month,
        cast(month - 1 as date) as opening_date,
        least(last_date, {{ as_of_date() }}) as closing_date
    from months
),

month_rates as (
    select
        -- keys
        border_days.month,
        closings.currency,
        -- facts
        openings.exchange_rate as opening_exchange_rate,
        closings.exchange_rate as closing_exchange_rate,
        coalesce(openings.exchange_rate, closings.exchange_rate) as movement_exchange_rate
    from border_days
    inner join rates as closings
        on border_days.closing_date >= closings.valid_from_date
        and (closings.valid_to_date is null or border_days.closing_date < closings.valid_to_date)
    left join rates as openings
        on closings.currency = openings.currency
        and border_days.opening_date >= openings.valid_from_date
        and (openings.valid_to_date is null or border_days.opening_date < openings.valid_to_date)
)

select * from month_rates
