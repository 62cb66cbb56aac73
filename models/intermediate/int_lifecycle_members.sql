-- Grain: one row per customer: whose lifecycle theirs is.
-- Companies that sell to companies count by account: all people of one account share its lifecycle. Its id is short
-- because most of the work of the lifecycle is sorting by it.

with

links as (select * from {{ source('identity', 'record_links') }}),

accounts as (select * from {{ ref('int_customer_fields') }} where field_name = 'account_id'),

settings as (select * from {{ ref('stg_lifecycle_settings') }} where threshold_persona = 'default'),

customers as (select distinct customer_id from links),

members as (
    select
        -- keys
        customers.customer_id,
        {{ short_hash(
            "case when settings.per_account = 1 and accounts.field_value is not null"
            " then 'account:' || accounts.field_value else customers.customer_id end"
        ) }} as lifecycle_id
    from customers
    cross join settings
    left join accounts on customers.customer_id = accounts.customer_id
)

select * from members
