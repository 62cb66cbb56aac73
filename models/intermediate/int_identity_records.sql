-- Grain: one row per source record that belongs to a person, with the identifiers it carries.

with

contacts as (select * from {{ ref('stg_contacts') }}),

touchpoints as (select * from {{ ref('stg_touchpoints') }}),

orders as (select * from {{ ref('stg_orders') }}),

subscriptions as (select * from {{ ref('stg_subscriptions') }}),

tickets as (select * from {{ ref('stg_tickets') }}),

survey_responses as (select * from {{ ref('stg_survey_responses') }}),

reviews as (select * from {{ ref('stg_reviews') }}),

consents as (select * from {{ ref('stg_consents') }}),

loyalty_events as (select * from {{ ref('stg_loyalty_events') }}),

records_unioned as (
    select
        'contacts' as record_table,
        source_system,
        contact_id as record_id,
        id_namespace,
        contact_id,
        cast(null as string) as user_id,
        cast(null as string) as anonymous_id,
        email,
        phone,
        country,
        created_at as occurred_at
    from contacts
    union all
    select
        'touchpoints' as record_table,
        source_system,
        touchpoint_id as record_id,
        id_namespace,
        contact_id,
        user_id,
        anonymous_id,
        email,
        phone,
        cast(null as string) as country,
        occurred_at
    from touchpoints
    union all
    select
        'orders' as record_table,
        source_system,
        order_id as record_id,
        id_namespace,
        contact_id,
        user_id,
        cast(null as string) as anonymous_id,
        email,
        phone,
        cast(null as string) as country,
        ordered_at as occurred_at
    from orders
    union all
    select
        'subscriptions' as record_table,
        source_system,
        subscription_id as record_id,
        id_namespace,
        contact_id,
        user_id,
        cast(null as string) as anonymous_id,
        email,
        cast(null as string) as phone,
        cast(null as string) as country,
        cast(null as timestamp) as occurred_at
    from subscriptions
    union all
    select
        'tickets' as record_table,
        source_system,
        ticket_id as record_id,
        id_namespace,
        contact_id,
        cast(null as string) as user_id,
        cast(null as string) as anonymous_id,
        email,
        phone,
        cast(null as string) as country,
        opened_at as occurred_at
    from tickets
    union all
    select
        'survey_responses' as record_table,
        source_system,
        response_id as record_id,
        id_namespace,
        contact_id,
        cast(null as string) as user_id,
        cast(null as string) as anonymous_id,
        email,
        cast(null as string) as phone,
        cast(null as string) as country,
        responded_at as occurred_at
    from survey_responses
    union all
    select
        'reviews' as record_table,
        source_system,
        review_id as record_id,
        id_namespace,
        contact_id,
        cast(null as string) as user_id,
        cast(null as string) as anonymous_id,
        email,
        cast(null as string) as phone,
        cast(null as string) as country,
        reviewed_at as occurred_at
    from reviews
    union all
    select
        'consents' as record_table,
        source_system,
        {{ consent_record_id() }} as record_id,
        id_namespace,
        contact_id,
        cast(null as string) as user_id,
        cast(null as string) as anonymous_id,
        email,
        phone,
        cast(null as string) as country,
        changed_at as occurred_at
    from consents
    union all
    select
        'loyalty_events' as record_table,
        source_system,
        loyalty_event_id as record_id,
        id_namespace,
        contact_id,
        cast(null as string) as user_id,
        cast(null as string) as anonymous_id,
        email,
        phone,
        cast(null as string) as country,
        occurred_at
    from loyalty_events
),

with_identifiers as (
    select
        -- keys
        concat_ws(':', record_table, source_system, record_id) as record_key,
        source_system,
        record_table,
        record_id,
        contact_id,
        -- facts
        id_namespace || ':' || contact_id as contact_key,
        id_namespace || ':' || user_id as user_key,
        id_namespace || ':' || anonymous_id as anonymous_key,
        email,
        phone,
        country,
        -- times
        occurred_at
    from records_unioned
)

select * from with_identifiers
