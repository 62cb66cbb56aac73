-- Grain: one row per customer, kind of identifier, source and value. What cannot be written to is left out.

with

records as (select * from {{ ref('int_identity_records') }}),

links as (select * from {{ source('identity', 'record_links') }}),

phone_numbers as (
    select * from {{ source('identity', 'phone_numbers') }} where e164 is not null
),

unusable_emails as (
    select identifier_value
    from {{ source('identity', 'identifier_blocks') }}
    where identifier_kind = 'email' and sharer_count is null
),

identifiers_unioned as (
    select
        records.record_key,
        'email' as identifier_kind,
        lower(trim(records.email)) as identifier_value
    from records
    left join unusable_emails on lower(trim(records.email)) = unusable_emails.identifier_value
    where records.email is not null and unusable_emails.identifier_value is null
    union all
    select
        records.record_key,
        'phone' as identifier_kind,
        phone_numbers.e164 as identifier_value
    from records
    inner join phone_numbers
        on trim(records.phone) = phone_numbers.phone
        and coalesce(records.country, '') = phone_numbers.country
    union all
    select
        record_key,
        'contact_id' as identifier_kind,
        contact_id as identifier_value
    from records
    where contact_id is not null
),

identifiers as (
    select
        links.customer_id,
        identifiers_unioned.identifier_kind,
        identifiers_unioned.identifier_value,
        links.source_system,
        cast(max(links.confidence) as double) as confidence,
        min(links.linked_at) as first_seen_at,
        max(links.linked_at) as last_seen_at
    from identifiers_unioned
    inner join links on identifiers_unioned.record_key = links.record_key
    group by
        links.customer_id,
        identifiers_unioned.identifier_kind,
        identifiers_unioned.identifier_value,
        links.source_system
),

identifiers_ranked as (
    select
        -- keys
        customer_id,
        identifier_kind,
        identifier_value,
        source_system,
        -- facts
        confidence,
        row_number() over (
            partition by customer_id, identifier_kind
            order by
                confidence desc nulls last,
                last_seen_at desc nulls last,
                identifier_value asc nulls last,
                source_system asc nulls last
        ) = 1 as is_preferred,
        -- times
        first_seen_at,
        last_seen_at
    from identifiers
)

select * from identifiers_ranked
