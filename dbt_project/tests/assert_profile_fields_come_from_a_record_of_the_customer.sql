-- What a profile says, the record that it names says, and that record belongs to the customer.
{{ config(meta={'dagster': {'ref': {'name': 'int_customer_fields'}}}) }}

with

fields as (select * from {{ ref('int_customer_fields') }}),

profiles as (select * from {{ ref('int_customer_profiles') }}),

contacts as (select * from {{ ref('stg_contacts') }}),

links as (select * from {{ ref('customer_links') }} where record_table = 'contacts'),

contacts_linked as (
    select
        links.customer_id,
        contacts.*
    from contacts
    inner join links
        on contacts.source_system = links.source_system
        and contacts.contact_id = links.record_id
),

values_compared as (
    select
        fields.customer_id,
        fields.field_name,
        fields.field_value,
        case fields.field_name
            when 'country' then contacts_linked.country
            when 'region' then contacts_linked.region
            when 'city' then contacts_linked.city
            when 'language' then contacts_linked.language
            when 'timezone' then contacts_linked.contact_timezone
            when 'gender' then contacts_linked.gender
            when 'company' then contacts_linked.company
            when 'account_id'
                then contacts_linked.id_namespace || ':' || contacts_linked.account_id
            when 'household_id'
                then contacts_linked.id_namespace || ':' || contacts_linked.household_id
            when 'persona' then contacts_linked.persona
            when 'preferred_channel' then contacts_linked.preferred_channel
            when 'topics' then contacts_linked.topics
            when 'max_frequency' then cast(contacts_linked.max_frequency as string)
            when 'onboarding_goal' then contacts_linked.onboarding_goal
            when 'acquisition_source' then contacts_linked.acquisition_source
            when 'brand' then contacts_linked.brand
        end as record_value,
        case fields.field_name
            when 'country' then profiles.country
            when 'region' then profiles.region
            when 'city' then profiles.city
            when 'language' then profiles.language
            when 'timezone' then profiles.timezone
            when 'gender' then profiles.gender
            when 'company' then profiles.company
            when 'account_id' then profiles.account_key
            when 'household_id' then profiles.household_key
            when 'persona' then profiles.persona
            when 'preferred_channel' then profiles.preferred_channel
            when 'topics' then profiles.topics
            when 'max_frequency' then cast(profiles.max_frequency as string)
            when 'onboarding_goal' then profiles.onboarding_goal
            when 'acquisition_source' then profiles.acquisition_source
            when 'brand' then profiles.brand
        end as profile_value
    from fields
    left join profiles on fields.customer_id = profiles.customer_id
    left join contacts_linked
        on fields.customer_id = contacts_linked.customer_id
        and fields.source_system = contacts_linked.source_system
        and fields.record_id = contacts_linked.contact_id
),

differences as (
    select
        customer_id,
        field_name
    from values_compared
    where field_value is distinct from record_value
        or field_value is distinct from profile_value
)

select * from differences
