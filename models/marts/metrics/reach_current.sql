-- Grain: one row per stage in which somebody stands and channel of marketing, as of the run's day.
-- Reachable: said yes to the channel, can be written to there, and nothing speaks against it.

with

customers as (select * from {{ ref('customer_360') }}),

reach as (select * from {{ ref('int_customer_reach') }}),

-- People who are alike in all that matters here are counted before they are looked at by channel.
alike as (
    select
        customers.lifecycle_stage,
        customers.is_test or customers.is_employee as is_left_out,
        customers.email_consent,
        customers.sms_consent,
        customers.phone_consent,
        customers.push_consent,
        customers.ads_consent,
        customers.post_consent,
        coalesce(reach.has_email, false) as has_email,
        coalesce(reach.has_phone, false) as has_phone,
        coalesce(reach.has_contact_id, false) as has_contact_id,
        coalesce(reach.has_address, false) as has_address,
        coalesce(reach.is_email_suppressed, false) as is_email_suppressed,
        coalesce(reach.is_sms_suppressed, false) as is_sms_suppressed,
        coalesce(reach.is_push_suppressed, false) as is_push_suppressed,
        coalesce(reach.is_post_suppressed, false) as is_post_suppressed,
        cast(count(*) as bigint) as customer_count
    from customers
    left join reach on customers.customer_id = reach.customer_id
    group by
        customers.lifecycle_stage,
        customers.is_test or customers.is_employee,
        customers.email_consent,
        customers.sms_consent,
        customers.phone_consent,
        customers.push_consent,
        customers.ads_consent,
        customers.post_consent,
        coalesce(reach.has_email, false),
        coalesce(reach.has_phone, false),
        coalesce(reach.has_contact_id, false),
        coalesce(reach.has_address, false),
        coalesce(reach.is_email_suppressed, false),
        coalesce(reach.is_sms_suppressed, false),
        coalesce(reach.is_push_suppressed, false),
        coalesce(reach.is_post_suppressed, false)
),

alike_by_channel as (
    select
        alike.lifecycle_stage,
        channels.channel,
        alike.customer_count,
        case channels.channel
            when 'email' then alike.email_consent
            when 'sms' then alike.sms_consent
            when 'phone' then alike.phone_consent
            when 'push' then alike.push_consent
            when 'ads' then alike.ads_consent
            else alike.post_consent
        end as has_consent,
        case channels.channel
            when 'email' then alike.has_email
            when 'sms' then alike.has_phone
            when 'phone' then alike.has_phone
            when 'push' then alike.has_contact_id
            when 'ads' then alike.has_email or alike.has_phone
            else alike.has_address
        end as has_identifier,
        alike.is_left_out
        or case channels.channel
            when 'email' then alike.is_email_suppressed
            when 'sms' then alike.is_sms_suppressed
            when 'push' then alike.is_push_suppressed
            when 'post' then alike.is_post_suppressed
            else false
        end as is_suppressed
    from alike
    cross join (
        values ('email'), ('sms'), ('phone'), ('push'), ('ads'), ('post')
    ) as channels (channel)
),

counted as (
    select
        lifecycle_stage,
        channel,
        cast(sum(customer_count) as bigint) as customer_count,
        cast(sum(case when has_consent then customer_count else 0 end) as bigint)
            as consent_count,
        cast(
            sum(case when has_consent and has_identifier then customer_count else 0 end) as bigint
        ) as identifier_count,
        cast(
            sum(
                case
                    when has_consent and has_identifier and not is_suppressed then customer_count
                    else 0
                end
            ) as bigint
        ) as reachable_count
    from alike_by_channel
    group by lifecycle_stage, channel
),

published as (
    select
        -- keys
        lifecycle_stage,
        channel,
        -- facts
        customer_count,
        consent_count,
        identifier_count,
        cast(identifier_count - reachable_count as bigint) as suppressed_count,
        reachable_count,
        cast(reachable_count as double) / nullif(customer_count, 0) as reach_rate
    from counted
)

select * from published
