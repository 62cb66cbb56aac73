-- Opening + movements + fx = closing, and the next opening; the chain of months ends at what customer_360 says of today.
-- Of customers of whom one part is unknown customer_360 says nothing; the parts that are known are counted here.
{{ config(meta={'dagster': {'ref': {'name': 'mrr_movements_monthly'}}}) }}

with

months as (select * from {{ ref('mrr_movements_monthly') }}),

customers as (select * from {{ ref('customer_360') }}),

standing as (select * from {{ ref('int_subscription_changes') }} where is_last and is_active),

rates as (
    select *
    from {{ ref('int_exchange_rates') }}
    where valid_from_date <= {{ as_of_date() }}
        and (valid_to_date is null or valid_to_date > {{ as_of_date() }})
),

months_compared as (
    select
        *,
        lag(closing_mrr_amount) over (order by mrr_month asc nulls last) as previous_mrr_amount,
        lag(closing_customer_count)
            over (order by mrr_month asc nulls last)
            as previous_customer_count
    from months
),

known_parts as (
    select {{ to_reporting_currency('standing.mrr_amount', 'rates.exchange_rate') }} as mrr_amount
    from standing
    inner join customers on standing.customer_id = customers.customer_id
    inner join rates on standing.currency = rates.currency
    where customers.mrr_amount is null
),

totals as (
    select
        (
            select cast(coalesce(sum(mrr_amount), 0) as decimal(18, 2))
            from customers
        ) as customers_amount,
        (
            select cast(coalesce(sum(mrr_amount), 0) as decimal(18, 2))
            from known_parts
        ) as parts_amount,
        (
            select cast(count(*) as bigint)
            from customers
            where is_subscribed
        ) as subscribed_count,
        (
            select cast(coalesce(sum(closing_mrr_amount), 0) as decimal(18, 2))
            from months
            where mrr_month = cast(date_trunc('month', {{ as_of_date() }}) as date)
        ) as closing_mrr_amount,
        (
            select cast(coalesce(sum(closing_customer_count), 0) as bigint)
            from months
            where mrr_month = cast(date_trunc('month', {{ as_of_date() }}) as date)
        ) as closing_customer_count
),

differences as (
    select
        'balance' as place,
        mrr_month
    from months_compared
    where opening_mrr_amount
        + new_mrr_amount
        + expansion_mrr_amount
        + reactivation_mrr_amount
        - contraction_mrr_amount
        - churn_mrr_amount
        + fx_mrr_amount
        != closing_mrr_amount
        or opening_mrr_amount != coalesce(previous_mrr_amount, 0)
        or voluntary_churn_amount + involuntary_churn_amount != churn_mrr_amount
        or least(voluntary_churn_amount, involuntary_churn_amount, closing_mrr_amount) < 0
        or opening_customer_count
        + new_customer_count
        + reactivated_customer_count
        - churned_customer_count
        != closing_customer_count
        or opening_customer_count != coalesce(previous_customer_count, 0)
    union all
    select
        'last month' as place,
        {{ as_of_date() }} as mrr_month
    from totals
    where customers_amount + parts_amount != closing_mrr_amount
        or subscribed_count != closing_customer_count
)

select * from differences
