-- Grain: one row per customer with an identifier or a message: by what they can be reached, and what speaks against it.
-- Whether they may be (consent) is told by customer_360.

with

contacts as (select * from {{ ref('int_customer_contacts') }}),

profiles as (
    select *
    from {{ ref('int_identity_profiles') }}
    where street is not null and coalesce(postcode, city) is not null
),

links as (select * from {{ source('identity', 'record_links') }} where record_table = 'contacts'),

messages as (select * from {{ ref('int_messages') }}),

consents as (
    select *
    from {{ ref('stg_consents') }}
    where purpose = 'marketing' and consent_status = 'granted'
),

consent_links as (
    select * from {{ source('identity', 'record_links') }} where record_table = 'consents'
),

identifiers as (
    select
        customer_id,
        identifier_kind
    from contacts
    union all
    select
        links.customer_id,
        'address' as identifier_kind
    from profiles
    inner join links on profiles.record_key = links.record_key
),

identifiers_known as (
    select
        customer_id,
        bool_or(identifier_kind = 'email') as has_email,
        bool_or(identifier_kind = 'phone') as has_phone,
        bool_or(identifier_kind = 'contact_id') as has_contact_id,
        bool_or(identifier_kind = 'address') as has_address
    from identifiers
    group by customer_id
),

messages_answered as (
    select
        customer_id,
        channel,
        max(bounced_at) as last_bounced_at,
        max(case when is_delivered then coalesce(delivered_at, message_at) end)
            as last_delivered_at,
        max(unsubscribed_at) as last_unsubscribed_at,
        max(complained_at) as last_complained_at
    from messages
    where is_delivered
        or coalesce(bounced_at, unsubscribed_at, complained_at) is not null
    group by customer_id, channel
),

consents_keyed as (
    select
        *,
        {{ consent_record_id() }} as record_id
    from consents
),

last_grants as (
    select
        consent_links.customer_id,
        consents_keyed.channel,
        max(consents_keyed.changed_at) as last_granted_at
    from consents_keyed
    inner join consent_links
        on consents_keyed.source_system = consent_links.source_system
        and consents_keyed.record_id = consent_links.record_id
    group by consent_links.customer_id, consents_keyed.channel
),

channels_judged as (
    select
        messages_answered.customer_id,
        messages_answered.channel,
        coalesce(
            messages_answered.last_bounced_at > messages_answered.last_delivered_at,
            messages_answered.last_bounced_at is not null
        ) as is_bouncing,
        -- A later yes is a new beginning.
        coalesce(
            greatest(
                messages_answered.last_unsubscribed_at, messages_answered.last_complained_at
            )
            >= coalesce(
                last_grants.last_granted_at, cast('0001-01-01 00:00:00' as timestamp)
            ),
            false
        ) as has_refused
    from messages_answered
    left join last_grants
        on messages_answered.customer_id = last_grants.customer_id
        and messages_answered.channel = last_grants.channel
),

suppressions as (
    select
        customer_id,
        bool_or(channel = 'email' and (is_bouncing or has_refused)) as is_email_suppressed,
        bool_or(channel = 'sms' and (is_bouncing or has_refused)) as is_sms_suppressed,
        bool_or(channel = 'push' and (is_bouncing or has_refused)) as is_push_suppressed,
        bool_or(channel = 'post' and (is_bouncing or has_refused)) as is_post_suppressed
    from channels_judged
    group by customer_id
),

customers as (
    select customer_id from identifiers_known
    union
    select customer_id from suppressions
),

reach as (
    select
        -- keys
        customers.customer_id,
        -- facts
        coalesce(identifiers_known.has_email, false) as has_email,
        coalesce(identifiers_known.has_phone, false) as has_phone,
        coalesce(identifiers_known.has_contact_id, false) as has_contact_id,
        coalesce(identifiers_known.has_address, false) as has_address,
        coalesce(suppressions.is_email_suppressed, false) as is_email_suppressed,
        coalesce(suppressions.is_sms_suppressed, false) as is_sms_suppressed,
        coalesce(suppressions.is_push_suppressed, false) as is_push_suppressed,
        coalesce(suppressions.is_post_suppressed, false) as is_post_suppressed
    from customers
    left join identifiers_known on customers.customer_id = identifiers_known.customer_id
    left join suppressions on customers.customer_id = suppressions.customer_id
)

select * from reach
