-- Grain: one row per channel and campaign with a touch in a path, and what removing it would cost.
-- A state that the chain was not solved for has the effect 0. What one touch is worth is the state's part of the
-- conversions over its touches: so it does not depend on how many campaigns a channel's touches are told apart by.

with

transitions as (select * from {{ ref('int_attribution_transitions') }}),

removal_effects as (select * from {{ source('attribution', 'removal_effects') }}),

arrivals as (
    select
        to_channel as channel,
        to_campaign_id as campaign_id,
        cast(sum(transition_count) as bigint) as touch_count,
        cast(sum(case when from_kind = 'start' then transition_count else 0 end) as bigint)
            as first_touch_count
    from transitions
    where to_kind = 'touch'
    group by to_channel, to_campaign_id
),

endings as (
    select
        from_channel as channel,
        from_campaign_id as campaign_id,
        cast(sum(case when to_kind = 'conversion' then transition_count else 0 end) as bigint)
            as conversion_count,
        cast(sum(case when to_kind = 'null' then transition_count else 0 end) as bigint)
            as null_count
    from transitions
    where from_kind = 'touch'
    group by from_channel, from_campaign_id
),

totals as (select cast(sum(conversion_count) as double) as conversion_count from endings),

effects as (
    select
        -- keys
        arrivals.channel,
        arrivals.campaign_id,
        -- facts
        coalesce(removal_effects.removal_effect, 0) as removal_effect,
        coalesce(removal_effects.reach_rate, 0) as reach_rate,
        coalesce(removal_effects.conversion_rate, 0) as conversion_rate,
        -- No more than one; what lies behind twelve digits is noise.
        least(
            round(
                coalesce(removal_effects.removal_effect, 0)
                * totals.conversion_count
                / nullif(cast(arrivals.touch_count as double), 0),
                12
            ),
            1
        ) as lost_per_touch_rate,
        arrivals.touch_count,
        arrivals.first_touch_count,
        endings.conversion_count,
        endings.null_count
    from arrivals
    inner join endings
        on arrivals.channel = endings.channel
        and arrivals.campaign_id = endings.campaign_id
    cross join totals
    left join removal_effects
        on arrivals.channel = removal_effects.channel
        and arrivals.campaign_id = removal_effects.campaign_id
)

select * from effects
