-- Grain: one row per pair of places between which a path went on: start, touches by channel and campaign, conversion, null.

with

paths as (select * from {{ ref('int_attribution_paths') }}),

begins as (
    select
        'start' as from_kind,
        cast(null as string) as from_channel,
        cast(null as string) as from_campaign_id,
        'touch' as to_kind,
        channel as to_channel,
        campaign_id as to_campaign_id,
        cast(count(*) as bigint) as transition_count
    from paths
    where touch_number = 1
    group by channel, campaign_id
),

steps as (
    select
        channel,
        campaign_id,
        case
            when touch_number < touch_count then 'touch'
            when is_converted then 'conversion'
            else 'null'
        end as to_kind,
        next_channel,
        next_campaign_id
    from paths
),

moves as (
    select
        'touch' as from_kind,
        channel as from_channel,
        campaign_id as from_campaign_id,
        to_kind,
        next_channel as to_channel,
        next_campaign_id as to_campaign_id,
        cast(count(*) as bigint) as transition_count
    from steps
    group by
        channel,
        campaign_id,
        to_kind,
        next_channel,
        next_campaign_id
),

transitions as (
    select * from begins
    union all
    select * from moves
)

select * from transitions
