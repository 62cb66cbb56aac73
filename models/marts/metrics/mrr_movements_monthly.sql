-- Grain: one row per month of the reporting zone, from the first in which anybody is subscribed.
-- Opening + new + expansion + reactivation - contraction - churn + fx = closing, to the cent. Movements are those of
-- whole customers at the rates with which the month began; fx is what changed rates did to what stands.

with

months as (select * from {{ ref('int_months') }}),

movements as (select * from {{ ref('int_mrr_movements') }}),

changes as (select * from {{ ref('int_mrr_changes') }}),

month_rates as (select * from {{ ref('int_month_rates') }}),

movements_added as (
    select
        month,
        cast(sum(case when movement = 'new' then change_amount else 0 end) as decimal(18, 2))
            as new_mrr_amount,
        cast(sum(case when movement = 'expansion' then change_amount else 0 end) as decimal(18, 2))
            as expansion_mrr_amount,
        cast(
            sum(case when movement = 'reactivation' then change_amount else 0 end)
            as decimal(18, 2)
        ) as reactivation_mrr_amount,
        cast(
            sum(case when movement = 'contraction' then -change_amount else 0 end)
            as decimal(18, 2)
        ) as contraction_mrr_amount,
        cast(sum(case when movement = 'churn' then -change_amount else 0 end) as decimal(18, 2))
            as churn_mrr_amount,
        cast(sum(involuntary_churn_amount) as decimal(18, 2)) as involuntary_churn_amount,
        cast(count(case when movement = 'new' then 1 end) as bigint) as new_customer_count,
        cast(count(case when movement = 'reactivation' then 1 end) as bigint)
            as reactivated_customer_count,
        cast(count(case when movement = 'churn' then 1 end) as bigint) as churned_customer_count,
        cast(count(case when movement = 'expansion' then 1 end) as bigint)
            as expansion_customer_count,
        cast(count(case when movement = 'contraction' then 1 end) as bigint)
            as contraction_customer_count
    from movements
    group by month
),

-- How many subscriptions stand at each price: few prices and their changes, never subscriptions x months.
price_changes as (
    select
        month,
        opening_currency as currency,
        opening_mrr_amount as price_amount,
        -1 as subscription_change
    from changes
    where was_active
    union all
    select
        month,
        closing_currency as currency,
        closing_mrr_amount as price_amount,
        1 as subscription_change
    from changes
    where is_active
),

price_changes_added as (
    select
        currency,
        price_amount,
        month,
        cast(sum(subscription_change) as bigint) as subscription_change
    from price_changes
    group by currency, price_amount, month
),

price_spans as (
    select
        currency,
        price_amount,
        cast(
            sum(subscription_change) over (
                partition by currency, price_amount
                order by month asc nulls last
                rows between unbounded preceding and current row
            ) as bigint
        ) as subscription_count,
        month as first_month,
        lead(month) over (partition by currency, price_amount order by month asc nulls last)
            as next_month
    from price_changes_added
),

rate_changes as (
    select *
    from month_rates
    where opening_exchange_rate is distinct from closing_exchange_rate
),

-- With a first rate, what stood when the month began comes to be worth something; else what stands when it ends gains
-- or loses.
prices_revalued as (
    select
        rate_changes.month,
        price_spans.subscription_count
        * (
            {{ to_reporting_currency(
                'price_spans.price_amount',
                'rate_changes.closing_exchange_rate'
            ) }}
            - coalesce(
                {{ to_reporting_currency(
                    'price_spans.price_amount',
                    'rate_changes.opening_exchange_rate'
                ) }},
                0
            )
        ) as fx_amount
    from rate_changes
    inner join price_spans
        on rate_changes.currency = price_spans.currency
        and (
            (
                rate_changes.opening_exchange_rate is not null
                and rate_changes.month >= price_spans.first_month
                and (
                    price_spans.next_month is null or rate_changes.month < price_spans.next_month
                )
            )
            or (
                rate_changes.opening_exchange_rate is null
                and rate_changes.month > price_spans.first_month
                and (
                    price_spans.next_month is null or rate_changes.month <= price_spans.next_month
                )
            )
        )
    where price_spans.subscription_count > 0
),

fx_added as (
    select
        month,
        cast(sum(fx_amount) as decimal(18, 2)) as fx_mrr_amount
    from prices_revalued
    group by month
),

first_months as (select min(month) as first_month from movements_added),

months_added as (
    select
        months.month as mrr_month,
        months.is_complete,
        cast(coalesce(movements_added.new_mrr_amount, 0) as decimal(18, 2)) as new_mrr_amount,
        cast(coalesce(movements_added.expansion_mrr_amount, 0) as decimal(18, 2))
            as expansion_mrr_amount,
        cast(coalesce(movements_added.reactivation_mrr_amount, 0) as decimal(18, 2))
            as reactivation_mrr_amount,
        cast(coalesce(movements_added.contraction_mrr_amount, 0) as decimal(18, 2))
            as contraction_mrr_amount,
        cast(coalesce(movements_added.churn_mrr_amount, 0) as decimal(18, 2)) as churn_mrr_amount,
        cast(coalesce(movements_added.involuntary_churn_amount, 0) as decimal(18, 2))
            as involuntary_churn_amount,
        cast(coalesce(fx_added.fx_mrr_amount, 0) as decimal(18, 2)) as fx_mrr_amount,
        coalesce(movements_added.new_customer_count, 0) as new_customer_count,
        coalesce(movements_added.reactivated_customer_count, 0) as reactivated_customer_count,
        coalesce(movements_added.churned_customer_count, 0) as churned_customer_count,
        coalesce(movements_added.expansion_customer_count, 0) as expansion_customer_count,
        coalesce(movements_added.contraction_customer_count, 0) as contraction_customer_count
    from months
    inner join first_months on months.month >= first_months.first_month
    left join movements_added on months.month = movements_added.month
    left join fx_added on months.month = fx_added.month
),

months_changed as (
    select
        *,
        new_mrr_amount
        + expansion_mrr_amount
        + reactivation_mrr_amount
        - contraction_mrr_amount
        - churn_mrr_amount
        + fx_mrr_amount as mrr_change_amount,
        new_customer_count
        + reactivated_customer_count
        - churned_customer_count as customer_change
    from months_added
),

balances as (
    select
        *,
        cast(coalesce(sum(mrr_change_amount) over before_it, 0) as decimal(18, 2))
            as opening_mrr_amount,
        coalesce(cast(sum(customer_change) over before_it as bigint), 0) as opening_customer_count
    from months_changed
    window before_it as (
        order by mrr_month asc nulls last
        rows between unbounded preceding and 1 preceding
    )
),

balances_rated as (
    select
        *,
        contraction_mrr_amount + churn_mrr_amount as lost_amount,
        opening_mrr_amount
        + expansion_mrr_amount
        - contraction_mrr_amount
        - churn_mrr_amount as kept_amount
    from balances
),

published as (
    select
        -- keys
        mrr_month,
        -- facts: money
        is_complete,
        cast({{ reporting_currency() }} as string) as currency,
        opening_mrr_amount,
        new_mrr_amount,
        expansion_mrr_amount,
        reactivation_mrr_amount,
        contraction_mrr_amount,
        churn_mrr_amount,
        cast(churn_mrr_amount - involuntary_churn_amount as decimal(18, 2))
            as voluntary_churn_amount,
        involuntary_churn_amount,
        fx_mrr_amount,
        cast(opening_mrr_amount + mrr_change_amount as decimal(18, 2)) as closing_mrr_amount,
        cast(lost_amount as double) / nullif(opening_mrr_amount, 0) as gross_mrr_churn_rate,
        cast(kept_amount as double) / nullif(opening_mrr_amount, 0) as net_mrr_retention_rate,
        -- facts: customers
        opening_customer_count,
        new_customer_count,
        reactivated_customer_count,
        churned_customer_count,
        cast(opening_customer_count + customer_change as bigint) as closing_customer_count,
        expansion_customer_count,
        contraction_customer_count
    from balances_rated
)

select * from published
