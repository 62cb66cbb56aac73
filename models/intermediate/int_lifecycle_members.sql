-- Grain: one row per customer: whose lifecycle theirs is.
-- Companies that sell to companies count by account: all people of one account share its lifecycle. Its id is short
-- because most of the work of the lifecycle is sorting by it.

with

links as (select * from {{ source('identity', 'record_links') }}),

accounts as (select * from {{ ref('int_customer_fields') }} where field_name = 'account_id'),

settings as (select * from {{ ref('stg_lifecycle_settings') }} where threshold_persona = 'default'),

-- A record without a date has always been there.
customers as (
    select
        customer_id,
        min(coalesce(linked_at, cast('0001-01-01 00:00:00' as timestamp))) as first_linked_at
    from links
    group by customer_id
),

members as (
    select
        -- keys
        customers.customer_id,
        {{ short_hash(
            "case when settings.per_account = 1 and accounts.field_value is not null"
            " then 'account:' || accounts.field_value else customers.customer_id end"
        ) }} as lifecycle_id,
        customers.first_linked_at
    from customers
    cross join settings
    left join accounts on customers.customer_id = accounts.customer_id
),

-- Whoever joins an account later has no part in its past; null: from the beginning, as who is alone.
members_dated as (
    select
        -- keys
        customer_id,
        lifecycle_id,
        -- times
        case when count(*) over (partition by lifecycle_id) > 1 then first_linked_at end
            as member_since_at
    from members
)

select * from members_dated
