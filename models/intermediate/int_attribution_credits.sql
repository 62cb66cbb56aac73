-- Grain: one row per conversion, channel and campaign on its path: the share of the conversion that each model gives it.
-- A conversion without a path is one row. Money of the order is repeated in each of its rows. A view: only one reads it.

{{ config(materialized='view') }}

with

conversions as (select * from {{ ref('int_attribution_conversions') }}),

paths as (select * from {{ ref('int_attribution_paths') }} where is_converted),

removal_effects as (select * from {{ ref('int_attribution_removal_effects') }}),

settings as (select * from {{ ref('stg_metric_settings') }}),

-- Counted from the last touch, so that the weights cannot all vanish; a common factor changes no share.
touches_weighed as (
    select
        paths.path_key as order_key,
        paths.channel,
        paths.campaign_id,
        paths.touch_number,
        paths.touch_count,
        paths.touched_at,
        {{ exact_weight(
            'power(2.0, -' ~ days_between('paths.touched_at', 'paths.last_touched_at')
            ~ ' / nullif(settings.half_life_days, 0))'
        ) }} as decay_weight
    from paths
    cross join settings
),

stops as (
    select
        order_key,
        channel,
        campaign_id,
        min(touch_number) as place,
        max(touch_number) as last_place,
        max(touch_count) as path_touch_count,
        cast(count(*) as bigint) as touch_count,
        cast(sum(decay_weight) as decimal(38, 12)) as decay_weight,
        min(touched_at) as first_touched_at,
        max(touched_at) as last_touched_at
    from touches_weighed
    group by
        order_key,
        channel,
        campaign_id
),

stops_weighed as (
    select
        stops.*,
        cast(
            cast(stops.touch_count as decimal(18, 0))
            * {{ exact_weight('coalesce(removal_effects.lost_per_touch_rate, 0)') }}
            as decimal(38, 12)
        ) as markov_weight
    from stops
    left join removal_effects
        on stops.channel = removal_effects.channel
        and stops.campaign_id = removal_effects.campaign_id
),

path_weights as (
    select
        order_key,
        cast(count(*) as bigint) as state_count,
        cast(sum(decay_weight) as double) as decay_weight,
        cast(sum(markov_weight) as double) as markov_weight
    from stops_weighed
    group by order_key
),

stops_compared as (
    select
        stops_weighed.*,
        path_weights.state_count,
        path_weights.decay_weight as path_decay_weight,
        path_weights.markov_weight as path_markov_weight
    from stops_weighed
    inner join path_weights on stops_weighed.order_key = path_weights.order_key
),

stops_shared as (
    select
        stops_compared.order_key,
        stops_compared.channel,
        stops_compared.campaign_id,
        stops_compared.place,
        stops_compared.state_count,
        stops_compared.path_touch_count,
        stops_compared.touch_count,
        stops_compared.first_touched_at,
        stops_compared.last_touched_at,
        case when stops_compared.place = 1 then 1.0 else 0.0 end as first_touch_share,
        case when stops_compared.last_place = stops_compared.path_touch_count then 1.0 else 0.0 end
            as last_touch_share,
        cast(stops_compared.touch_count as double) / nullif(stops_compared.path_touch_count, 0)
            as linear_share,
        -- Of one or two touches nothing lies in between: they share equally.
        case
            when stops_compared.path_touch_count <= 2
                then
                    cast(stops_compared.touch_count as double)
                    / nullif(stops_compared.path_touch_count, 0)
            else
                settings.position_end_share * (
                    case when stops_compared.place = 1 then 1 else 0 end
                    + case
                        when stops_compared.last_place = stops_compared.path_touch_count then 1
                        else 0
                    end
                )
                + (1 - 2 * settings.position_end_share) * (
                    stops_compared.touch_count
                    - case when stops_compared.place = 1 then 1 else 0 end
                    - case
                        when stops_compared.last_place = stops_compared.path_touch_count then 1
                        else 0
                    end
                )
                / nullif(cast(stops_compared.path_touch_count - 2 as double), 0)
        end as position_based_share,
        cast(stops_compared.decay_weight as double) / nullif(stops_compared.path_decay_weight, 0)
            as time_decay_share,
        -- Where no state of the path is missed, its touches share equally.
        coalesce(
            cast(stops_compared.markov_weight as double)
            / nullif(stops_compared.path_markov_weight, 0),
            cast(stops_compared.touch_count as double)
            / nullif(stops_compared.path_touch_count, 0)
        ) as markov_share
    from stops_compared
    cross join settings
),

credits as (
    select
        -- keys
        conversions.order_key,
        conversions.source_system,
        conversions.order_id,
        conversions.customer_id,
        coalesce(
            stops_shared.channel,
            case when conversions.path_kind = 'renewal' then '(renewal)' else '(none)' end
        ) as channel,
        coalesce(stops_shared.campaign_id, '(none)') as campaign_id,
        -- facts
        conversions.is_first_order,
        conversions.revenue_amount,
        conversions.refund_amount,
        coalesce(stops_shared.place, 1) as place,
        coalesce(stops_shared.state_count, 1) as state_count,
        coalesce(stops_shared.path_touch_count, 0) as path_touch_count,
        coalesce(stops_shared.touch_count, 0) as touch_count,
        {{ per_model(
            'round(cast(coalesce(stops_shared.{model}_share, 1) as double), 12) as {model}_share'
        ) }},
        -- times
        stops_shared.first_touched_at,
        stops_shared.last_touched_at,
        conversions.converted_at,
        conversions.conversion_month
    from conversions
    left join stops_shared on conversions.order_key = stops_shared.order_key
)

select * from credits
