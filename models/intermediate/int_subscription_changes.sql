-- Grain: one row per subscription event of somebody known: how the subscription stands after it, and what it changed.
-- Everything follows from the order of the events: which of two kinds came last says what holds.

with

subscriptions as (select * from {{ ref('int_subscriptions') }}),

subscription_events as (select * from {{ ref('stg_subscription_events') }}),

events_numbered as (
    select
        subscriptions.customer_id,
        subscriptions.trial_ends_at,
        subscription_events.*,
        row_number() over (
            partition by subscription_events.id_namespace, subscription_events.subscription_id
            order by
                subscription_events.occurred_at asc nulls last,
                subscription_events.subscription_event_id asc nulls last,
                subscription_events.source_system asc nulls last
        ) as event_number,
        row_number() over (
            partition by subscription_events.id_namespace, subscription_events.subscription_id
            order by
                subscription_events.occurred_at desc nulls last,
                subscription_events.subscription_event_id desc nulls last,
                subscription_events.source_system desc nulls last
        ) as number_from_the_end
    from subscription_events
    inner join subscriptions
        on subscription_events.id_namespace = subscriptions.id_namespace
        and subscription_events.subscription_id = subscriptions.subscription_id
),

-- A history that begins in the middle is one of a paid subscription.
events_marked as (
    select
        *,
        event_kind in ('started', 'renewed')
        or (event_number = 1 and event_kind not in ('trial_started', 'ended')) as is_payment,
        event_kind in ('started', 'renewed', 'resumed', 'ended') as is_settlement,
        event_kind in ('started', 'renewed', 'upgraded', 'downgraded') as is_plan
    from events_numbered
),

last_numbers as (
    select
        *,
        coalesce(
            max(
                case
                    when is_payment or (event_number = 1 and event_kind = 'ended') then event_number
                end
            )
                over so_far,
            0
        ) as payment_number,
        coalesce(
            max(case when is_payment or event_kind = 'resumed' then event_number end) over so_far, 0
        ) as beginning_number,
        coalesce(
            max(case when event_kind in ('ended', 'trial_started') then event_number end)
                over so_far,
            0
        ) as end_number,
        coalesce(max(case when event_kind = 'trial_started' then event_number end) over so_far, 0)
            as trial_number,
        coalesce(
            max(case when is_payment or event_kind = 'ended' then event_number end) over so_far, 0
        ) as trial_end_number,
        coalesce(
            max(case when is_plan and mrr_amount = 0 then event_number end) over so_far, 0
        ) as free_number,
        coalesce(
            max(case when is_plan and mrr_amount > 0 then event_number end) over so_far, 0
        ) as priced_number,
        coalesce(max(case when event_kind = 'payment_failed' then event_number end) over so_far, 0)
            as failure_number,
        coalesce(
            max(case when is_settlement or event_kind = 'payment_recovered' then event_number end)
                over so_far,
            0
        ) as recovery_number,
        coalesce(max(case when event_kind = 'paused' then event_number end) over so_far, 0)
            as pause_number,
        coalesce(max(case when is_settlement then event_number end) over so_far, 0)
            as settlement_number,
        coalesce(
            max(case when event_kind = 'cancel_requested' then event_number end) over so_far, 0
        ) as cancel_number,
        coalesce(
            max(
                case
                    when
                        event_kind in ('cancel_revoked', 'started', 'renewed', 'ended')
                        then event_number
                end
            )
                over so_far,
            0
        ) as revoke_number
    from events_marked
    window so_far as (
        partition by id_namespace, subscription_id
        order by event_number asc nulls last
        rows between unbounded preceding and current row
    )
),

states as (
    select
        *,
        payment_number > 0
        and beginning_number > end_number
        and free_number <= priced_number as is_active,
        trial_number > trial_end_number as is_in_trial
    from last_numbers
),

states_compared as (
    select
        *,
        is_active and failure_number > recovery_number as is_past_due,
        is_active and pause_number > settlement_number as is_paused,
        is_active and cancel_number > revoke_number as is_cancelling,
        -- Of the troubles that are not over, the failed payment is the latest.
        is_active
        and failure_number > recovery_number
        and failure_number > case when cancel_number > revoke_number then cancel_number else 0 end
        and failure_number > case when pause_number > settlement_number then pause_number else 0 end
            as is_payment_last_trouble,
        coalesce(
            lag(is_active) over (
                partition by id_namespace, subscription_id order by event_number asc nulls last
            ),
            false
        ) as was_active
    from states
),

flags as (
    select
        *,
        case when is_active then 1 else 0 end as active_flag,
        case when is_in_trial then 1 else 0 end as trial_flag,
        case when is_past_due then 1 else 0 end as past_due_flag,
        case when is_paused then 1 else 0 end as paused_flag,
        case when is_cancelling then 1 else 0 end as cancelling_flag
    from states_compared
),

changes as (
    select
        -- keys
        customer_id,
        concat_ws(':', 'subscription', source_system, subscription_event_id) as event_id,
        source_system,
        id_namespace,
        subscription_id,
        subscription_event_id,
        -- facts
        event_kind,
        event_number,
        number_from_the_end = 1 as is_last,
        plan_name,
        mrr_amount,
        currency,
        is_active,
        is_in_trial,
        is_past_due,
        is_paused,
        is_cancelling,
        active_flag - coalesce(lag(active_flag) over in_order, 0) as active_change,
        trial_flag - coalesce(lag(trial_flag) over in_order, 0) as trial_change,
        past_due_flag - coalesce(lag(past_due_flag) over in_order, 0) as past_due_change,
        paused_flag - coalesce(lag(paused_flag) over in_order, 0) as paused_change,
        cancelling_flag - coalesce(lag(cancelling_flag) over in_order, 0) as cancelling_change,
        -- A history that begins at its end tells of a payment that nobody recorded.
        (is_active and (event_kind in ('started', 'renewed') or not was_active))
        or (event_number = 1 and event_kind = 'ended') as is_paid_period,
        (was_active and not is_active)
        or (event_number = 1 and event_kind = 'ended') as is_paid_end,
        was_active
        and not is_active
        and coalesce(lag(is_payment_last_trouble) over in_order, false) as is_involuntary_end,
        is_active and was_active and event_kind = 'upgraded' as is_upgrade,
        is_active
        and event_kind in ('payment_failed', 'paused', 'cancel_requested') as is_trouble,
        -- times
        occurred_at,
        trial_ends_at
    from flags
    window in_order as (
        partition by id_namespace, subscription_id order by event_number asc nulls last
    )
)

select * from changes
