-- Grain: one row per month of the reporting zone, channel and campaign in which somebody came or something was spent.
-- People and spend meet where they have both: either keeps its row without the other.

with

people as (select * from {{ ref('int_customer_beginnings') }}),

spend as (select * from {{ ref('int_marketing_spend') }}),

channels as (select * from {{ ref('channels') }}),

months as (select * from {{ ref('int_months') }}),

-- Before the first day of spend nothing is known of it: that is no 0.
first_spend_months as (
    select min(spend_month) as first_spend_month
    from spend
),

people_counted as (
    select
        first_seen_month as acquisition_month,
        acquisition_channel as channel,
        acquisition_campaign_id as campaign_id,
        count(*) as first_seen_count,
        0 as lead_count,
        0 as new_customer_count
    from people
    where first_seen_month is not null
    group by first_seen_month, acquisition_channel, acquisition_campaign_id
    union all
    select
        identified_month as acquisition_month,
        acquisition_channel as channel,
        acquisition_campaign_id as campaign_id,
        0 as first_seen_count,
        count(*) as lead_count,
        0 as new_customer_count
    from people
    where identified_month is not null
    group by identified_month, acquisition_channel, acquisition_campaign_id
    union all
    select
        first_paid_month as acquisition_month,
        acquisition_channel as channel,
        acquisition_campaign_id as campaign_id,
        0 as first_seen_count,
        0 as lead_count,
        count(*) as new_customer_count
    from people
    where first_paid_month is not null
    group by first_paid_month, acquisition_channel, acquisition_campaign_id
),

people_added as (
    select
        acquisition_month,
        channel,
        campaign_id,
        cast(sum(first_seen_count) as bigint) as first_seen_count,
        cast(sum(lead_count) as bigint) as lead_count,
        cast(sum(new_customer_count) as bigint) as new_customer_count
    from people_counted
    group by acquisition_month, channel, campaign_id
),

spend_named as (
    select
        spend.spend_month as acquisition_month,
        coalesce(channels.channel_group, spend.channel) as channel,
        coalesce(spend.campaign_id, '(none)') as campaign_id,
        spend.impressions,
        spend.clicks,
        spend.spend_amount,
        spend.acquire_amount,
        case when spend.is_without_rate then 1 end as without_rate
    from spend
    left join channels on spend.channel = channels.channel
),

spend_added as (
    select
        acquisition_month,
        channel,
        campaign_id,
        cast(sum(impressions) as bigint) as impressions,
        cast(sum(clicks) as bigint) as clicks,
        cast(sum(spend_amount) as decimal(18, 2)) as spend_amount,
        cast(sum(acquire_amount) as decimal(18, 2)) as acquire_spend_amount,
        cast(count(without_rate) as bigint) as spend_without_rate_count
    from spend_named
    group by acquisition_month, channel, campaign_id
),

cells as (
    select
        acquisition_month,
        channel,
        campaign_id
    from people_added
    union
    select
        acquisition_month,
        channel,
        campaign_id
    from spend_added
),

cells_filled as (
    select
        cells.acquisition_month,
        cells.channel,
        cells.campaign_id,
        months.is_complete,
        coalesce(people_added.first_seen_count, 0) as first_seen_count,
        coalesce(people_added.lead_count, 0) as lead_count,
        coalesce(people_added.new_customer_count, 0) as new_customer_count,
        coalesce(spend_added.impressions, 0) as impression_count,
        coalesce(spend_added.clicks, 0) as click_count,
        case
            when cells.acquisition_month >= first_spend_months.first_spend_month
                then cast(coalesce(spend_added.spend_amount, 0) as decimal(18, 2))
        end as spend_amount,
        case
            when cells.acquisition_month >= first_spend_months.first_spend_month
                then cast(coalesce(spend_added.acquire_spend_amount, 0) as decimal(18, 2))
        end as acquire_spend_amount,
        coalesce(spend_added.spend_without_rate_count, 0) as spend_without_rate_count
    from cells
    inner join months on cells.acquisition_month = months.month
    cross join first_spend_months
    left join people_added
        on cells.acquisition_month = people_added.acquisition_month
        and cells.channel = people_added.channel
        and cells.campaign_id = people_added.campaign_id
    left join spend_added
        on cells.acquisition_month = spend_added.acquisition_month
        and cells.channel = spend_added.channel
        and cells.campaign_id = spend_added.campaign_id
),

published as (
    select
        -- keys
        acquisition_month,
        channel,
        campaign_id,
        -- facts
        is_complete,
        first_seen_count,
        lead_count,
        new_customer_count,
        impression_count,
        click_count,
        cast(click_count as double) / nullif(impression_count, 0) as click_through_rate,
        cast({{ reporting_currency() }} as string) as currency,
        spend_amount,
        acquire_spend_amount,
        spend_without_rate_count,
        cast(
            round(cast(spend_amount as double) / nullif(lead_count, 0), 2) as decimal(18, 2)
        ) as cost_per_lead_amount
    from cells_filled
)

select * from published
