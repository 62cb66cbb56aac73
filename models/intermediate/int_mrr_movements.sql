-- Grain: one row per customer and month in which their MRR changed, or whether they are subscribed, at the rate with
-- which the month began: the net of all their subscriptions.

with

subscription_changes as (select * from {{ ref('int_subscription_changes') }}),

changes as (select * from {{ ref('int_mrr_changes') }}),

rates as (select * from {{ ref('int_month_rates') }}),

first_subscriptions as (
    select
        customer_id,
        {{ local_month('min(occurred_at)') }} as first_month
    from subscription_changes
    where is_active or is_paid_end
    group by customer_id
),

-- Without a rate nothing is known of an amount, and it counts in none.
changes_converted as (
    select
        changes.customer_id,
        changes.month,
        changes.is_involuntary_end,
        case when changes.is_active then 1 else 0 end
        - case when changes.was_active then 1 else 0 end as subscription_change,
        coalesce(
            {{ to_reporting_currency(
                'changes.opening_mrr_amount',
                'opening_rates.movement_exchange_rate'
            ) }},
            0
        ) as opening_amount,
        coalesce(
            {{ to_reporting_currency(
                'changes.closing_mrr_amount',
                'closing_rates.movement_exchange_rate'
            ) }},
            0
        ) as closing_amount
    from changes
    left join rates as opening_rates
        on changes.month = opening_rates.month
        and changes.opening_currency = opening_rates.currency
    left join rates as closing_rates
        on changes.month = closing_rates.month
        and changes.closing_currency = closing_rates.currency
),

customer_months as (
    select
        customer_id,
        month,
        cast(sum(subscription_change) as bigint) as subscription_change,
        cast(sum(closing_amount - opening_amount) as decimal(18, 2)) as change_amount,
        cast(sum(case when is_involuntary_end then opening_amount else 0 end) as decimal(18, 2))
            as involuntary_amount
    from changes_converted
    group by customer_id, month
),

customer_months_counted as (
    select
        *,
        cast(
            sum(subscription_change) over (
                partition by customer_id
                order by month asc nulls last
                rows between unbounded preceding and current row
            ) as bigint
        ) as closing_subscription_count
    from customer_months
),

customer_months_judged as (
    select
        customer_months_counted.*,
        case
            when
                customer_months_counted.closing_subscription_count
                = customer_months_counted.subscription_change
                then
                    case
                        when customer_months_counted.month = first_subscriptions.first_month
                            then 'new'
                        else 'reactivation'
                    end
            when customer_months_counted.closing_subscription_count = 0 then 'churn'
            when customer_months_counted.change_amount > 0 then 'expansion'
            when customer_months_counted.change_amount < 0 then 'contraction'
        end as movement
    from customer_months_counted
    inner join first_subscriptions
        on customer_months_counted.customer_id = first_subscriptions.customer_id
),

movements as (
    select
        -- keys
        customer_id,
        month,
        -- facts
        movement,
        change_amount,
        -- The part of a churn that nobody asked for.
        cast(case when movement = 'churn' then involuntary_amount else 0 end as decimal(18, 2))
            as involuntary_churn_amount,
        closing_subscription_count
    from customer_months_judged
    where movement is not null
)

select * from movements
