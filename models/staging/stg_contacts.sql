-- Grain: one row per contact record.

with

records as (select * from {{ source('raw', 'contacts') }}),

cleaned as (
    select
        -- keys
        source_system,
        id_namespace,
        contact_id,
        account_id,
        household_id,
        -- facts
        lower(email) as email,
        phone,
        first_name,
        last_name,
        birth_date,
        street,
        city,
        region,
        postcode,
        country,
        company,
        gender,
        language,
        timezone as contact_timezone,
        preferred_channel,
        topics,
        max_frequency,
        onboarding_goal,
        acquisition_source,
        persona,
        brand,
        is_employee,
        is_test,
        -- times
        {{ happened('account_closed_at') }} as account_closed_at,
        created_at,
        {{ happened('updated_at') }} as updated_at
    from records
    where {{ exists_as_of() }}
        and (created_at is null or created_at < {{ as_of_end() }})
)

select * from cleaned
