-- Grain: one row per subscription.

with

records as (select * from {{ source('raw', 'subscriptions') }}),

cleaned as (
    select
        -- keys
        source_system,
        id_namespace,
        subscription_id,
        contact_id,
        user_id,
        account_id,
        -- facts
        lower(email) as email,
        brand,
        -- times
        trial_ends_at
    from records
    where {{ exists_as_of() }}
)

select * from cleaned
