-- Grain: one row per customer: what the contact records say, field by field from the latest record that says it.

with

contacts as (select * from {{ ref('stg_contacts') }}),

links as (select * from {{ source('identity', 'record_links') }}),

contacts_linked as (
    select
        links.customer_id,
        contacts.country,
        contacts.city,
        contacts.language,
        contacts.persona,
        contacts.preferred_channel,
        contacts.acquisition_source,
        coalesce(contacts.is_test, false) as is_test,
        coalesce(contacts.is_employee, false) as is_employee,
        row_number() over (
            partition by links.customer_id
            order by
                contacts.created_at asc nulls first,
                links.source_system desc nulls last,
                links.record_id desc nulls last
        ) as record_number
    from contacts
    inner join links
        on links.record_table = 'contacts'
        and contacts.source_system = links.source_system
        and contacts.contact_id = links.record_id
),

fields_numbered as (
    select
        *,
        max(case when country is not null then record_number end)
            over (partition by customer_id)
            as country_number,
        max(case when city is not null then record_number end)
            over (partition by customer_id)
            as city_number,
        max(case when language is not null then record_number end)
            over (partition by customer_id)
            as language_number,
        max(case when persona is not null then record_number end)
            over (partition by customer_id)
            as persona_number,
        max(case when preferred_channel is not null then record_number end)
            over (partition by customer_id)
            as preferred_channel_number,
        min(case when acquisition_source is not null then record_number end)
            over (partition by customer_id)
            as acquisition_source_number
    from contacts_linked
),

profiles as (
    select
        customer_id,
        max(case when record_number = country_number then country end) as country,
        max(case when record_number = city_number then city end) as city,
        max(case when record_number = language_number then language end) as language,
        max(case when record_number = persona_number then persona end) as persona,
        max(case when record_number = preferred_channel_number then preferred_channel end)
            as preferred_channel,
        max(case when record_number = acquisition_source_number then acquisition_source end)
            as acquisition_source,
        bool_or(is_test) as is_test,
        bool_or(is_employee) as is_employee
    from fields_numbered
    group by customer_id
)

select * from profiles
