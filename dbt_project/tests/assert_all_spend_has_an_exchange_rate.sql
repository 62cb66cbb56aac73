-- Spend in a currency without a rate is in no amount, so what a lead and a customer cost is too low: add rates to
-- seeds/exchange_rates.csv.
{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'int_marketing_spend'}}}) }}

with

spend as (select * from {{ ref('int_marketing_spend') }}),

without_rate as (
    select
        source_system,
        channel,
        cast(count(*) as bigint) as row_count
    from spend
    where is_without_rate
    group by source_system, channel
)

select * from without_rate
