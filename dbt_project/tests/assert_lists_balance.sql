-- opening + granted - withdrawn = closing, a month opens with what the last one closed with, and what the last one closes
-- with is what customer_360 says.
{{ config(meta={'dagster': {'ref': {'name': 'list_health_monthly'}}}) }}

with

lists as (select * from {{ ref('list_health_monthly') }}),

customers as (select * from {{ ref('customer_360') }}),

lists_compared as (
    select
        *,
        lag(closing_count)
            over (partition by channel, purpose order by list_month asc nulls last)
            as previous_closing_count
    from lists
),

last_months as (
    select *
    from lists
    where purpose = 'marketing'
        and list_month = cast(date_trunc('month', {{ as_of_date() }}) as date)
),

consents as (
    select
        channels.channel,
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
        ) as customer_count
    from customers
    cross join (
        values ('email'), ('sms'), ('ads'), ('phone'), ('post'), ('push')
    ) as channels (channel)
    group by channels.channel
),

differences as (
    select
        'balance' as place,
        channel,
        purpose,
        list_month
    from lists_compared
    where opening_count + granted_count - withdrawn_count != closing_count
        or opening_count != coalesce(previous_closing_count, 0)
        or closing_count < 0
        or expired_count > withdrawn_count
    union all
    select
        'last month' as place,
        consents.channel,
        'marketing' as purpose,
        last_months.list_month
    from consents
    left join last_months on consents.channel = last_months.channel
    where consents.customer_count != coalesce(last_months.closing_count, 0)
)

select * from differences
