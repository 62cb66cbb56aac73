-- Grain: one row per customer with a contact record: the surviving value of every field, side by side.
-- A customer is a test person or an employee as soon as one record says so.

with

contacts as (select * from {{ ref('stg_contacts') }}),

links as (select * from {{ source('identity', 'record_links') }} where record_table = 'contacts'),

fields as (select * from {{ ref('int_customer_fields') }}),

customers as (
    select
        links.customer_id,
        cast(count(*) as bigint) as contact_record_count,
        bool_or(coalesce(contacts.is_test, false)) as is_test,
        bool_or(coalesce(contacts.is_employee, false)) as is_employee
    from contacts
    inner join links
        on contacts.source_system = links.source_system
        and contacts.contact_id = links.record_id
    group by links.customer_id
),

fields_beside as (
    select
        customer_id,
        max(case when field_name = 'country' then field_value end) as country,
        max(case when field_name = 'region' then field_value end) as region,
        max(case when field_name = 'city' then field_value end) as city,
        max(case when field_name = 'language' then field_value end) as language,
        max(case when field_name = 'timezone' then field_value end) as timezone,
        max(case when field_name = 'gender' then field_value end) as gender,
        max(case when field_name = 'company' then field_value end) as company,
        max(case when field_name = 'account_id' then field_value end) as account_key,
        max(case when field_name = 'household_id' then field_value end) as household_key,
        max(case when field_name = 'persona' then field_value end) as persona,
        max(case when field_name = 'preferred_channel' then field_value end) as preferred_channel,
        max(case when field_name = 'topics' then field_value end) as topics,
        max(case when field_name = 'max_frequency' then try_cast(field_value as bigint) end)
            as max_frequency,
        max(case when field_name = 'onboarding_goal' then field_value end) as onboarding_goal,
        max(case when field_name = 'acquisition_source' then field_value end)
            as acquisition_source,
        max(case when field_name = 'brand' then field_value end) as brand
    from fields
    group by customer_id
),

profiles as (
    select
        -- keys
        customers.customer_id,
        fields_beside.account_key,
        fields_beside.household_key,
        -- facts
        fields_beside.country,
        fields_beside.region,
        fields_beside.city,
        fields_beside.language,
        fields_beside.timezone,
        fields_beside.gender,
        fields_beside.company,
        fields_beside.persona,
        fields_beside.preferred_channel,
        fields_beside.topics,
        fields_beside.max_frequency,
        fields_beside.onboarding_goal,
        fields_beside.acquisition_source,
        fields_beside.brand,
        customers.contact_record_count,
        case
            when fields_beside.account_key is not null
                then count(*) over (partition by fields_beside.account_key)
        end as account_customer_count,
        case
            when fields_beside.household_key is not null
                then count(*) over (partition by fields_beside.household_key)
        end as household_customer_count,
        customers.is_test,
        customers.is_employee
    from customers
    left join fields_beside on customers.customer_id = fields_beside.customer_id
)

select * from profiles
