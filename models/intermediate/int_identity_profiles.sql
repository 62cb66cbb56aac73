-- Grain: one row per contact record: the fields by which people are compared, as they came.

with

contacts as (select * from {{ ref('stg_contacts') }}),

junk_identifiers as (
    select * from {{ ref('junk_identifiers') }} where identifier_kind = 'birth_date'
),

profiles as (
    select
        -- keys
        concat_ws(':', 'contacts', contacts.source_system, contacts.contact_id) as record_key,
        contacts.id_namespace || ':' || contacts.contact_id as contact_key,
        -- facts
        contacts.first_name,
        contacts.last_name,
        case when junk_identifiers.identifier_value is null then contacts.birth_date end
            as birth_date,
        contacts.street,
        contacts.city,
        contacts.postcode
    from contacts
    left join junk_identifiers
        on cast(contacts.birth_date as string) = junk_identifiers.identifier_value
)

select * from profiles
