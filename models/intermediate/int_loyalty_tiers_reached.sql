-- Grain: one row per tier of the loyalty programme that somebody reached, and whether it is the highest there is.

with

loyalty_events as (select * from {{ ref('stg_loyalty_events') }} where tier_name is not null),

tiers as (select * from {{ ref('loyalty_tiers') }}),

links as (
    select * from {{ source('identity', 'record_links') }} where record_table = 'loyalty_events'
),

highest as (select max(tier_rank) as tier_rank from tiers),

reached as (
    select
        -- keys
        links.customer_id,
        links.record_key,
        -- facts
        loyalty_events.tier_name,
        coalesce(tiers.tier_rank = highest.tier_rank, false) as is_top_tier,
        -- times
        loyalty_events.occurred_at
    from loyalty_events
    inner join links
        on loyalty_events.source_system = links.source_system
        and loyalty_events.loyalty_event_id = links.record_id
    left join tiers on lower(loyalty_events.tier_name) = tiers.tier_name
    cross join highest
)

select * from reached
