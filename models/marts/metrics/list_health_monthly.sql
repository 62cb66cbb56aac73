-- Grain: one row per month, channel and purpose, from the first consent or message of marketing to the run's month.
-- opening + granted - withdrawn = closing, exactly: every turn of a customer's consent is one or the other.

with

months as (select * from {{ ref('int_months') }}),

changes as (select * from {{ ref('int_consent_changes') }}),

messages as (select * from {{ ref('int_messages') }}),

changes_added as (
    select
        change_month as month,
        channel,
        purpose,
        count(case when consent_change = 1 then 1 end) as granted_count,
        count(case when consent_change = -1 then 1 end) as withdrawn_count,
        count(
            case when consent_change = -1 and change_reason = 'expired' then 1 end
        ) as expired_count
    from changes
    group by change_month, channel, purpose
),

-- Messages say no purpose; what people leave are lists of marketing.
messages_added as (
    select
        message_month as month,
        channel,
        'marketing' as purpose,
        count(case when is_delivered then 1 end) as delivered_count,
        count(unsubscribed_at) as unsubscribed_count,
        count(complained_at) as complaint_count
    from messages
    group by message_month, channel
),

lists_unioned as (
    select
        month,
        channel,
        purpose
    from changes_added
    union all
    select
        month,
        channel,
        purpose
    from messages_added
),

lists as (
    select
        channel,
        purpose,
        min(month) as first_month
    from lists_unioned
    group by channel, purpose
),

list_months as (
    select
        months.month,
        months.is_complete,
        lists.channel,
        lists.purpose,
        cast(coalesce(changes_added.granted_count, 0) as bigint) as granted_count,
        cast(coalesce(changes_added.withdrawn_count, 0) as bigint) as withdrawn_count,
        cast(coalesce(changes_added.expired_count, 0) as bigint) as expired_count
    from lists
    inner join months on lists.first_month <= months.month
    left join changes_added
        on months.month = changes_added.month
        and lists.channel = changes_added.channel
        and lists.purpose = changes_added.purpose
),

balances as (
    select
        *,
        cast(sum(granted_count - withdrawn_count) over so_far as bigint) as closing_count
    from list_months
    window so_far as (
        partition by channel, purpose
        order by month asc nulls last
        rows between unbounded preceding and current row
    )
),

balances_opened as (
    select
        *,
        cast(closing_count - granted_count + withdrawn_count as bigint) as opening_count
    from balances
),

balances_with_messages as (
    select
        balances_opened.*,
        case
            when balances_opened.purpose = 'marketing'
                then coalesce(messages_added.unsubscribed_count, 0)
        end as unsubscribed_count,
        case
            when balances_opened.purpose = 'marketing' and balances_opened.channel = 'email'
                then coalesce(messages_added.complaint_count, 0)
        end as complaint_count,
        case
            when balances_opened.purpose = 'marketing' and balances_opened.channel = 'email'
                then coalesce(messages_added.delivered_count, 0)
        end as delivered_count
    from balances_opened
    left join messages_added
        on balances_opened.month = messages_added.month
        and balances_opened.channel = messages_added.channel
        and balances_opened.purpose = messages_added.purpose
),

published as (
    select
        -- keys
        month as list_month,
        channel,
        purpose,
        -- facts
        is_complete,
        opening_count,
        granted_count,
        withdrawn_count,
        expired_count,
        closing_count,
        cast(granted_count - withdrawn_count as double) / nullif(opening_count, 0) as growth_rate,
        cast(unsubscribed_count as bigint) as unsubscribed_count,
        cast(complaint_count as bigint) as complaint_count,
        cast(delivered_count as bigint) as delivered_count,
        cast(unsubscribed_count as double) / nullif(delivered_count, 0) as unsubscribe_rate,
        cast(complaint_count as double) / nullif(delivered_count, 0) as complaint_rate
    from balances_with_messages
)

select * from published
