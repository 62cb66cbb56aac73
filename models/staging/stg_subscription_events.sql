-- Grain: one row per subscription event.

with

records as (select * from {{ source('raw', 'subscription_events') }}),

cleaned as (
    select
        -- keys
        source_system,
        id_namespace,
        subscription_event_id,
        subscription_id,
        -- facts
        event_kind,
        plan_name,
        mrr_amount,
        currency,
        quantity,
        billing_interval,
        reason,
        -- times
        occurred_at,
        paid_through_at
    from records
    where {{ exists_as_of() }}
        and occurred_at < {{ as_of_end() }}
)

select * from cleaned
