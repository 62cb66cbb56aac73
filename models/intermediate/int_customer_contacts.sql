-- Grain: one row per customer, kind of identifier, source and value.

with

records as (select * from {{ ref('int_identity_records') }}),

links as (select * from {{ source('identity', 'record_links') }}),

identifiers_unioned as (
    select
        record_key,
        'email' as identifier_kind,
        email as identifier_value
    from records
    where email is not null
    union all
    select
        record_key,
        'phone' as identifier_kind,
        phone as identifier_value
    from records
    where phone is not null
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
