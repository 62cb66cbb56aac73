-- Grain: one row per event.

with

records as (select * from {{ source('raw', 'touchpoints') }}),

cleaned as (
    select
        -- keys
        source_system,
        id_namespace,
        touchpoint_id,
        contact_id,
        user_id,
        anonymous_id,
        campaign_id,
        product_id,
        order_id,
        message_id,
        offer_id,
        click_id,
        referred_contact_id,
        -- facts
        event_name as source_event_name,
        lower(channel) as channel,
        lower(email) as email,
        phone,
        session_id,
        source as traffic_source,
        medium as traffic_medium,
        referrer,
        page_url,
        device,
        step as step_name,
        value as event_amount,
        currency,
        content_key,
        rating,
        feature_name,
        utm_content,
        utm_term,
        is_machine,
        brand,
        properties,
        -- times
        occurred_at
    from records
    where {{ exists_as_of() }}
        and occurred_at < {{ as_of_end() }}
)

select * from cleaned
