-- Grain: one row per customer who ever held a subscription: what stands at the end of the run's day.
-- A paid subscription is active until it ends; one that is paused, or whose payment failed, has not ended.

with

subscriptions as (select * from {{ ref('stg_subscriptions') }}),

subscription_events as (select * from {{ ref('stg_subscription_events') }}),

links as (
    select * from {{ source('identity', 'record_links') }} where record_table = 'subscriptions'
),

rates as (
    select *
    from {{ ref('int_exchange_rates') }}
    where valid_from_date <= {{ as_of_date() }}
        and (valid_to_date is null or valid_to_date > {{ as_of_date() }})
),

-- Two systems that share a namespace may both know a subscription: it is one.
subscriptions_held as (
    select
        subscriptions.id_namespace,
        subscriptions.subscription_id,
        min(links.customer_id) as customer_id,
        max(subscriptions.trial_ends_at) as trial_ends_at
    from subscriptions
    inner join links
        on subscriptions.source_system = links.source_system
        and subscriptions.subscription_id = links.record_id
    group by subscriptions.id_namespace, subscriptions.subscription_id
),

events_marked as (
    select
        *,
        event_kind in ('trial_started', 'started', 'renewed', 'paused', 'resumed', 'ended')
            as is_turn
    from subscription_events
),

events_ranked as (
    select
        *,
        row_number() over (
            partition by id_namespace, subscription_id
            order by
                occurred_at desc nulls last,
                subscription_event_id desc nulls last,
                source_system desc nulls last
        ) as event_rank,
        row_number() over (
            partition by id_namespace, subscription_id
            order by
                case when is_turn then 0 else 1 end asc nulls last,
                occurred_at desc nulls last,
                subscription_event_id desc nulls last,
                source_system desc nulls last
        ) as turn_rank
    from events_marked
),

subscriptions_added as (
    select
        id_namespace,
        subscription_id,
        max(case when is_turn and turn_rank = 1 then event_kind end) as last_turn,
        -- A history that begins in the middle is one of a paid subscription.
        bool_or(event_kind in ('started', 'renewed')) or not bool_or(event_kind = 'trial_started')
            as is_paid,
        max(case when event_rank = 1 then plan_name end) as plan_name,
        max(case when event_rank = 1 then mrr_amount end) as mrr_amount,
        max(case when event_rank = 1 then currency end) as currency,
        max(case when event_kind = 'ended' then occurred_at end) as ended_at
    from events_ranked
    group by id_namespace, subscription_id
),

subscriptions_judged as (
    select
        subscriptions_held.customer_id,
        subscriptions_held.id_namespace,
        subscriptions_held.subscription_id,
        coalesce(
            subscriptions_added.is_paid
            and subscriptions_added.last_turn is distinct from 'ended'
            and subscriptions_added.last_turn is distinct from 'trial_started',
            false
        ) as is_active,
        coalesce(
            subscriptions_added.last_turn = 'trial_started'
            and (
                subscriptions_held.trial_ends_at is null
                or subscriptions_held.trial_ends_at >= {{ as_of_end() }}
            ),
            false
        ) as is_in_trial,
        subscriptions_added.plan_name,
        {{ to_reporting_currency('subscriptions_added.mrr_amount', 'rates.exchange_rate') }}
            as mrr_amount,
        case when subscriptions_added.is_paid then subscriptions_added.ended_at end as ended_at
    from subscriptions_held
    left join subscriptions_added
        on subscriptions_held.id_namespace = subscriptions_added.id_namespace
        and subscriptions_held.subscription_id = subscriptions_added.subscription_id
    left join rates on subscriptions_added.currency = rates.currency
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
