-- Grain: one row per currency and span of days for which a rate into the reporting currency holds.

with

exchange_rates as (select * from {{ ref('exchange_rates') }}),

spans as (
    select
        from_currency as currency,
        rate_date as valid_from_date,
        lead(rate_date)
            over (partition by from_currency order by rate_date asc nulls last)
            as valid_to_date,
        exchange_rate
    from exchange_rates
    where to_currency = {{ reporting_currency() }} and from_currency != {{ reporting_currency() }}
),

reporting_currency as (
    select
        {{ reporting_currency() }} as currency,
        cast('0001-01-01' as date) as valid_from_date,
        cast(null as date) as valid_to_date,
        cast(1 as decimal(18, 8)) as exchange_rate
),

spans_unioned as (
    select
        currency,
        valid_from_date,
        valid_to_date,
        exchange_rate
    from spans
    union all
    select
        currency,
        valid_from_date,
        valid_to_date,
        exchange_rate
    from reporting_currency
)

select * from spans_unioned
