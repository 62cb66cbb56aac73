-- Paid subscriptions in a currency without a rate stand apart from all MRR: add the rate to seeds/exchange_rates.csv.
{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'int_subscription_changes'}}}) }}

with

standing as (select * from {{ ref('int_subscription_changes') }} where is_last and is_active),

rates as (
    select *
    from {{ ref('int_exchange_rates') }}
    where valid_from_date <= {{ as_of_date() }}
        and (valid_to_date is null or valid_to_date > {{ as_of_date() }})
),

currencies_without_rate as (
    select
        standing.currency,
        cast(count(*) as bigint) as subscription_count
    from standing
    anti join rates on standing.currency = rates.currency
    group by standing.currency
)

select * from currencies_without_rate
