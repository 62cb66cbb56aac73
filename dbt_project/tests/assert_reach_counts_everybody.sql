-- Every channel looks at everybody; who said yes is who customer_360 says did; and each step is a part of the one before.
{{ config(meta={'dagster': {'ref': {'name': 'reach_current'}}}) }}

with

reach as (select * from {{ ref('reach_current') }}),

customers as (select * from {{ ref('customer_360') }}),

people as (
    select
        channels.channel,
        customers.lifecycle_stage,
        cast(count(*) as bigint) as customer_count,
        cast(
            count(
                case
                    when
                        case channels.channel
                            when 'email' then customers.email_consent
                            when 'sms' then customers.sms_consent
                            when 'ads' then customers.ads_consent
                            when 'phone' then customers.phone_consent
                            when 'post' then customers.post_consent
                            else customers.push_consent
                        end
                        then 1
                end
            ) as bigint
        ) as consent_count
    from customers
    cross join (
        values ('email'), ('sms'), ('ads'), ('phone'), ('post'), ('push')
    ) as channels (channel)
    group by channels.channel, customers.lifecycle_stage
),

differences as (
    select
        coalesce(people.channel, reach.channel) as channel,
        coalesce(people.lifecycle_stage, reach.lifecycle_stage) as lifecycle_stage
    from people
    full outer join reach
        on people.channel = reach.channel
        and people.lifecycle_stage = reach.lifecycle_stage
    where people.customer_count is distinct from reach.customer_count
        or people.consent_count is distinct from reach.consent_count
        or reach.identifier_count > reach.consent_count
        or reach.suppressed_count < 0
        or reach.identifier_count - reach.suppressed_count != reach.reachable_count
)

select * from differences
