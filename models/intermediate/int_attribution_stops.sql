-- Grain: one row per channel and campaign that touchpoints tell of, with the channel it is reported under and a number.
-- Touches are counted in millions, stops in thousands: they carry the number instead of the names. Channels of one group
-- share the number of a campaign; direct visits have the highest ones.

with

timeline as (
    select *
    from {{ ref('int_timeline') }}
    where is_touchpoint and not is_machine and channel is not null
),

channels as (select * from {{ ref('channels') }}),

told as (
    select
        channel as source_channel,
        coalesce(campaign_id, '(none)') as campaign_id
    from timeline
    group by channel, coalesce(campaign_id, '(none)')
),

-- A channel that is not listed counts under its own name.
stops_grouped as (
    select
        told.source_channel,
        told.campaign_id,
        coalesce(channels.channel_group, told.source_channel) as channel,
        coalesce(channels.attribution_role = 'direct', false) as is_direct
    from told
    left join channels on told.source_channel = channels.channel
    where channels.attribution_role is distinct from 'ignored'
),

stops as (
    select
        -- keys
        source_channel,
        campaign_id,
        -- facts
        dense_rank() over (
            order by is_direct asc nulls last, channel asc nulls last, campaign_id asc nulls last
        ) as stop_number,
        channel,
        is_direct
    from stops_grouped
)

select * from stops
