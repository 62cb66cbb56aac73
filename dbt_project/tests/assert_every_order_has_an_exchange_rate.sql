-- Orders in a currency without a rate on or before their day stand apart from all revenue: add the rate to
-- seeds/exchange_rates.csv.
{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'int_orders'}}}) }}

with

orders as (select * from {{ ref('int_orders') }}),

currencies_without_rate as (
    select
        currency,
        min(order_date) as first_order_date,
        cast(count(*) as bigint) as order_count
    from orders
    where is_without_rate and not is_cancelled and not is_test
    group by currency
)

select * from currencies_without_rate
