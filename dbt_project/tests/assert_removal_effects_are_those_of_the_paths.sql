-- Every path that comes to a place leaves it, every path that begins ends, and the removal effects were computed from
-- these paths: the chain that they tell of converts as often as the paths did.
{{ config(meta={'dagster': {'ref': {'name': 'attribution_removal_effects'}}}) }}

with

transitions as (select * from {{ ref('int_attribution_transitions') }}),

effects as (select * from {{ ref('attribution_removal_effects') }}),

balances as (
    select
        to_channel as channel,
        to_campaign_id as campaign_id,
        transition_count
    from transitions
    where to_kind = 'touch'
    union all
    select
        from_channel as channel,
        from_campaign_id as campaign_id,
        -transition_count as transition_count
    from transitions
    where from_kind = 'touch'
),

totals as (
    select
        cast(sum(first_touch_count) as bigint) as path_count,
        cast(sum(conversion_count) as bigint) as conversion_count,
        cast(sum(null_count) as bigint) as null_count,
        cast(sum(first_touch_count * conversion_rate) as double) as expected_conversion_count
    from effects
),

differences as (
    select
        'touches of ' || channel || ', ' || campaign_id as place,
        cast(sum(transition_count) as double) as difference
    from balances
    group by channel, campaign_id
    having sum(transition_count) != 0
    union all
    select
        'paths' as place,
        cast(path_count - conversion_count - null_count as double) as difference
    from totals
    where path_count != conversion_count + null_count
    union all
    select
        'conversions of the chain' as place,
        expected_conversion_count - conversion_count as difference
    from totals
    where abs(expected_conversion_count - conversion_count) > 0.000001 * conversion_count
    union all
    select
        'effect of ' || channel || ', ' || campaign_id as place,
        removal_effect as difference
    from effects
    where removal_effect not between 0 and 1
        or reach_rate not between 0 and 1
        or conversion_rate not between 0 and 1
        or lost_per_touch_rate not between 0 and 1
)

select * from differences
