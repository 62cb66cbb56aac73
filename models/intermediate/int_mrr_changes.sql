-- Grain: one row per subscription and month in which what it brings a month changed: from how it stood before the month
-- to how it stands after it. What changed and changed back within the month is no change.
-- What a subscription brings is the amount of its last event, as in customer_360; nothing while it is not paid for.

with

subscription_changes as (select * from {{ ref('int_subscription_changes') }}),

events as (
    select
        customer_id,
        id_namespace,
        subscription_id,
        event_number,
        is_active,
        is_paid_end,
        is_involuntary_end,
        case when is_active then currency end as currency,
        case when is_active then mrr_amount end as mrr_amount,
        {{ local_month('occurred_at') }} as month
    from subscription_changes
),

events_numbered as (
    select
        *,
        row_number() over (
            partition by id_namespace, subscription_id, month
            order by event_number desc nulls last
        ) as number_from_the_end,
        max(case when is_paid_end then event_number end)
            over (partition by id_namespace, subscription_id, month)
            as last_end_number,
        max(case when is_involuntary_end then event_number end)
            over (partition by id_namespace, subscription_id, month)
            as last_involuntary_number
    from events
),

standings as (
    select
        *,
        coalesce(last_end_number = last_involuntary_number, false) as is_last_end_involuntary,
        coalesce(lag(is_active) over in_order, false) as was_active,
        lag(currency) over in_order as opening_currency,
        lag(mrr_amount) over in_order as opening_mrr_amount
    from events_numbered
    where number_from_the_end = 1
    window in_order as (
        partition by id_namespace, subscription_id order by month asc nulls last
    )
),

changes as (
    select
        -- keys
        customer_id,
        id_namespace,
        subscription_id,
        month,
        -- facts
        was_active,
        is_active,
        was_active and not is_active and is_last_end_involuntary as is_involuntary_end,
        opening_currency,
        opening_mrr_amount,
        currency as closing_currency,
        mrr_amount as closing_mrr_amount
    from standings
    where was_active != is_active
        or opening_currency is distinct from currency
        or opening_mrr_amount is distinct from mrr_amount
)

select * from changes
