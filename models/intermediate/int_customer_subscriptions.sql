-- Grain: one row per customer who ever held a subscription: what stands at the end of the run's day.
-- A paid subscription is active until it ends; one that is paused, or whose payment failed, has not ended.

with

subscriptions as (select * from {{ ref('int_subscriptions') }}),

changes as (select * from {{ ref('int_subscription_changes') }}),

rates as (
    select *
    from {{ ref('int_exchange_rates') }}
    where valid_from_date <= {{ as_of_date() }}
        and (valid_to_date is null or valid_to_date > {{ as_of_date() }})
),

last_changes as (select * from changes where is_last),

ends as (
    select
        id_namespace,
        subscription_id,
        max(occurred_at) as ended_at
    from changes
    where is_paid_end
    group by id_namespace, subscription_id
),

subscriptions_judged as (
    select
        subscriptions.customer_id,
        subscriptions.id_namespace,
        subscriptions.subscription_id,
        coalesce(last_changes.is_active, false) as is_active,
        coalesce(
            last_changes.is_in_trial
            and (
                subscriptions.trial_ends_at is null
                or subscriptions.trial_ends_at >= {{ as_of_end() }}
            ),
            false
        ) as is_in_trial,
        last_changes.plan_name,
        {{ to_reporting_currency('last_changes.mrr_amount', 'rates.exchange_rate') }} as mrr_amount,
        ends.ended_at
    from subscriptions
    left join last_changes
        on subscriptions.id_namespace = last_changes.id_namespace
        and subscriptions.subscription_id = last_changes.subscription_id
    left join ends
        on subscriptions.id_namespace = ends.id_namespace
        and subscriptions.subscription_id = ends.subscription_id
    left join rates on last_changes.currency = rates.currency
),

plans_ranked as (
    select
        *,
        row_number() over (
            partition by customer_id
            order by
                case when is_active then 0 when is_in_trial then 1 else 2 end asc nulls last,
                mrr_amount desc nulls last,
                id_namespace asc nulls last,
                subscription_id asc nulls last
        ) as plan_rank
    from subscriptions_judged
),

customers as (
    select
        -- keys
        customer_id,
        -- facts
        cast(count(*) as bigint) as subscription_count,
        cast(count(case when is_active then 1 end) as bigint) as active_subscription_count,
        bool_or(is_active) as is_subscribed,
        bool_or(is_in_trial) as is_in_trial,
        max(case when plan_rank = 1 and (is_active or is_in_trial) then plan_name end) as plan_name,
        -- Unknown as soon as one part of it is: a missing rate is not a missing subscription.
        cast(
            case
                when
                    count(case when is_active then 1 end)
                    = count(case when is_active then mrr_amount end)
                    then coalesce(sum(case when is_active then mrr_amount end), 0)
            end as decimal(18, 2)
        ) as mrr_amount,
        -- times
        case when not bool_or(is_active) then max(ended_at) end as subscription_ended_at
    from plans_ranked
    group by customer_id
)

select * from customers
