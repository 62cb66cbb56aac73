-- Grain: one row per campaign.

with

records as (select * from {{ source('raw', 'campaigns') }}),

cleaned as (
    select
        -- keys
        source_system,
        id_namespace,
        campaign_id,
        -- facts
        campaign_name,
        lower(channel) as channel,
        purpose,
        cost_amount,
        currency,
        -- times
        started_at,
        ended_at
    from records
    where {{ exists_as_of() }}
        and (started_at is null or started_at < {{ as_of_end() }})
)

select * from cleaned
