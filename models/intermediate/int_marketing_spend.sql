-- Grain: one row per day, channel and campaign of each source, in the reporting currency.
-- Spend of a campaign that has no daily rows is its own cost, on the day it began. Without a rate it stands apart.

with

marketing_spend as (select * from {{ ref('stg_marketing_spend') }}),

campaigns as (select * from {{ ref('stg_campaigns') }}),

rates as (select * from {{ ref('int_exchange_rates') }}),

settings as (select * from {{ ref('stg_metric_settings') }}),

campaigns_without_days as (
    select campaigns.*
    from campaigns
    anti join marketing_spend
        on campaigns.id_namespace = marketing_spend.id_namespace
        and campaigns.campaign_id = marketing_spend.campaign_id
    where campaigns.cost_amount is not null and campaigns.started_at is not null
),

spend_unioned as (
    select
        source_system,
        campaign_id,
        lower(channel) as channel,
        lower(spend_purpose) as spend_purpose,
        spend_amount,
        currency,
        impressions,
        clicks,
        spend_date
    from marketing_spend
    union all
    select
        source_system,
        campaign_id,
        channel,
        lower(purpose) as spend_purpose,
        cost_amount as spend_amount,
        currency,
        cast(null as bigint) as impressions,
        cast(null as bigint) as clicks,
        {{ local_date('started_at') }} as spend_date
    from campaigns_without_days
),

spend_converted as (
    select
        spend_unioned.*,
        rates.exchange_rate is null as is_without_rate,
        {{ to_reporting_currency('spend_unioned.spend_amount', 'rates.exchange_rate') }}
            as reported_amount,
        -- What is for no stated purpose may be for any.
        case
            when spend_unioned.spend_purpose = 'acquire' then 1
            when spend_unioned.spend_purpose = 'retain' then 0
            else settings.acquire_share
        end as acquire_share
    from spend_unioned
    cross join settings
    left join rates
        on spend_unioned.currency = rates.currency
        and spend_unioned.spend_date >= rates.valid_from_date
        and (rates.valid_to_date is null or spend_unioned.spend_date < rates.valid_to_date)
),

spend_shared as (
    select
        *,
        cast(round(cast(reported_amount as double) * acquire_share, 2) as decimal(18, 2))
            as acquire_amount
    from spend_converted
),

spend as (
    select
        -- keys
        source_system,
        channel,
        campaign_id,
        -- facts
        spend_purpose,
        is_without_rate,
        reported_amount as spend_amount,
        acquire_amount,
        cast(reported_amount - acquire_amount as decimal(18, 2)) as retain_amount,
        impressions,
        clicks,
        -- times
        spend_date,
        cast(date_trunc('month', spend_date) as date) as spend_month
    from spend_shared
)

select * from spend
