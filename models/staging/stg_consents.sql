-- Grain: one row per change of a consent.

with

records as (select * from {{ source('raw', 'consents') }}),

cleaned as (
    select
        -- keys
        source_system,
        id_namespace,
        channel,
        purpose,
        contact_id,
        email,
        phone,
        -- facts
        consent_status,
        legal_basis,
        consent_source,
        region,
        proof,
        -- times
        changed_at,
        {{ happened('confirmed_at') }} as confirmed_at,
        expires_at
    from records
    where {{ exists_as_of() }}
        and changed_at < {{ as_of_end() }}
)

select * from cleaned
