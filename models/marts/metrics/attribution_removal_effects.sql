-- Grain: one row per channel and campaign with a touch in a path: what share of all conversions would be lost without it.

with

effects as (select * from {{ ref('int_attribution_removal_effects') }}),

totals as (
    select cast(sum({{ exact_weight('removal_effect') }}) as double) as removal_effect
    from effects
),

published as (
    select
        -- keys
        effects.channel,
        effects.campaign_id,
        -- facts
        effects.removal_effect,
        effects.removal_effect / nullif(totals.removal_effect, 0) as removal_effect_share,
        effects.reach_rate,
        effects.conversion_rate,
        effects.lost_per_touch_rate,
        effects.touch_count,
        effects.first_touch_count,
        effects.conversion_count,
        effects.null_count
    from effects
    cross join totals
)

select * from published
