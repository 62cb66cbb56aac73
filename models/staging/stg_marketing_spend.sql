-- Grain: one row per day, channel and campaign.

with

records as (select * from {{ source('raw', 'marketing_spend') }}),

cleaned as (
    select
        -- keys
        source_system,
        id_namespace,
        spend_date,
        channel,
        campaign_id,
        -- facts
        spend_amount,
        currency,
        spend_purpose,
        impressions,
        clicks
    from records
    where {{ exists_as_of() }}
        and spend_date <= {{ as_of_date() }}
)

select * from cleaned
