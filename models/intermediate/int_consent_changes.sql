-- Grain: one row per customer, channel and purpose and moment at which their consent turned from no to yes (+1) or back (-1).
-- What holds at a moment is what int_customer_consents says at the end of a day: the latest word, until it expires.

with

consents as (select * from {{ ref('stg_consents') }}),

links as (select * from {{ source('identity', 'record_links') }} where record_table = 'consents'),

consents_keyed as (
    select
        *,
        {{ consent_record_id() }} as record_id
    from consents
),

consents_linked as (
    select
        links.customer_id,
        consents_keyed.channel,
        consents_keyed.purpose,
        consents_keyed.consent_status,
        consents_keyed.changed_at,
        consents_keyed.expires_at,
        row_number() over (
            partition by
                links.customer_id,
                consents_keyed.channel,
                consents_keyed.purpose,
                consents_keyed.changed_at
            -- At one moment a withdrawal outweighs a grant.
            order by
                case
                    when consents_keyed.consent_status = 'granted' then 1 else 0
                end asc nulls last,
                links.record_key asc nulls last
        ) as word_rank
    from consents_keyed
    inner join links
        on consents_keyed.source_system = links.source_system
        and consents_keyed.record_id = links.record_id
),

words as (
    select
        *,
        lead(changed_at) over (
            partition by customer_id, channel, purpose order by changed_at asc nulls last
        ) as next_changed_at
    from consents_linked
    where word_rank = 1
),

moments as (
    select
        customer_id,
        channel,
        purpose,
        consent_status as change_reason,
        case
            when consent_status = 'granted' and (expires_at is null or expires_at > changed_at)
                then 1
            else 0
        end as standing,
        changed_at
    from words
    union all
    select
        customer_id,
        channel,
        purpose,
        'expired' as change_reason,
        0 as standing,
        expires_at as changed_at
    from words
    where consent_status = 'granted'
        and expires_at > changed_at
        and expires_at < {{ as_of_end() }}
        and (next_changed_at is null or expires_at < next_changed_at)
),

moments_compared as (
    select
        *,
        cast(
            standing
            - coalesce(
                lag(standing) over (
                    partition by customer_id, channel, purpose order by changed_at asc nulls last
                ),
                0
            )
            as bigint
        ) as consent_change
    from moments
),

changes as (
    select
        -- keys
        customer_id,
        channel,
        purpose,
        -- facts
        consent_change,
        change_reason,
        -- times
        {{ local_month('changed_at') }} as change_month,
        changed_at
    from moments_compared
    where consent_change != 0
)

select * from changes
