-- Grain: one row per customer with a touchpoint that somebody paid or worked for: the first one.

with

timeline as (select * from {{ ref('int_timeline') }}),

touchpoint_types as (select * from {{ ref('touchpoint_types') }}),

touches_ranked as (
    select
        timeline.customer_id,
        timeline.channel as acquisition_channel,
        timeline.campaign_id as acquisition_campaign_id,
        row_number() over (
            partition by timeline.customer_id
            order by timeline.occurred_at asc nulls last, timeline.event_id asc nulls last
        ) as touch_rank
    from timeline
    inner join touchpoint_types on timeline.event_name = touchpoint_types.event_name
    where touchpoint_types.is_human_activity
        and not timeline.is_machine
        and timeline.channel is not null
        -- An order comes of a touch, and the channel of an answer is the kind of survey.
        and timeline.event_name not in ('order_placed', 'survey_answered')
),

first_touches as (
    select
        customer_id,
        acquisition_channel,
        acquisition_campaign_id
    from touches_ranked
    where touch_rank = 1
)

select * from first_touches
