-- Grain: one row per customer: whether marketing may reach them, per channel. Nothing said is no.

with

consents as (select * from {{ ref('stg_consents') }} where purpose = 'marketing'),

links as (select * from {{ source('identity', 'record_links') }} where record_table = 'consents'),

consents_keyed as (
    select
        *,
        {{ consent_record_id() }} as record_id
    from consents
),

consents_ranked as (
    select
        links.customer_id,
        consents_keyed.channel,
        consents_keyed.consent_status = 'granted'
        and (
            consents_keyed.expires_at is null or consents_keyed.expires_at >= {{ as_of_end() }}
        ) as is_granted,
        row_number() over (
            partition by links.customer_id, consents_keyed.channel
            -- At one moment a withdrawal outweighs a grant.
            order by
                consents_keyed.changed_at desc nulls last,
                case
                    when consents_keyed.consent_status = 'granted' then 1 else 0
                end asc nulls last,
                links.record_key asc nulls last
        ) as consent_rank
    from consents_keyed
    inner join links
        on consents_keyed.source_system = links.source_system
        and consents_keyed.record_id = links.record_id
),

customers as (
    select
        customer_id,
        bool_or(channel = 'email' and is_granted) as email_consent,
        bool_or(channel = 'sms' and is_granted) as sms_consent,
        bool_or(channel = 'ads' and is_granted) as ads_consent,
        bool_or(channel = 'phone' and is_granted) as phone_consent,
        bool_or(channel = 'post' and is_granted) as post_consent,
        bool_or(channel = 'push' and is_granted) as push_consent
    from consents_ranked
    where consent_rank = 1
    group by customer_id
)

select * from customers
