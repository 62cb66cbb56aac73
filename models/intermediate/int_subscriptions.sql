-- Grain: one row per subscription of somebody known.
-- Two systems that share a namespace may both know a subscription: it is one.

with

subscriptions as (select * from {{ ref('stg_subscriptions') }}),

links as (
    select * from {{ source('identity', 'record_links') }} where record_table = 'subscriptions'
),

held as (
    select
        -- keys
        subscriptions.id_namespace,
        subscriptions.subscription_id,
        min(links.customer_id) as customer_id,
        -- times
        max(subscriptions.trial_ends_at) as trial_ends_at
    from subscriptions
    inner join links
        on subscriptions.source_system = links.source_system
        and subscriptions.subscription_id = links.record_id
    group by subscriptions.id_namespace, subscriptions.subscription_id
)

select * from held
