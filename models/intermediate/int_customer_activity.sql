-- Grain: one row per customer with an event: what they did and what was sent to them, added up.
-- A visit is a session; where a source names none, a day. Machines are left out, except of what was sent.

with

timeline as (select * from {{ ref('int_timeline') }}),

touchpoint_types as (select * from {{ ref('touchpoint_types') }}),

traffic_sources as (select * from {{ ref('channels') }} where not is_contact_channel),

events as (
    select
        timeline.customer_id,
        timeline.source_system,
        timeline.session_id,
        timeline.event_name,
        timeline.channel,
        timeline.is_touchpoint,
        not timeline.is_machine as is_by_a_person,
        touchpoint_types.is_visit and not timeline.is_machine as is_visit,
        touchpoint_types.is_human_activity
        and not timeline.is_machine
        and timeline.channel is not null
        -- The channel of an answer is the kind of survey.
        and timeline.event_name != 'survey_answered'
        and timeline.occurred_at
        >= {{ add_days(as_of_end(), -180) }} as is_recent_human,
        timeline.occurred_at
    from timeline
    inner join touchpoint_types on timeline.event_name = touchpoint_types.event_name
),

touchpoints_counted as (
    select
        customer_id,
        cast(count(case when is_touchpoint then 1 end) as bigint) as touchpoint_count,
        cast(count(case when event_name = 'email_sent' then 1 end) as bigint) as email_sent_count,
        cast(count(case when event_name = 'email_delivered' then 1 end) as bigint)
            as email_delivered_count,
        cast(count(case when event_name = 'email_opened' and is_by_a_person then 1 end) as bigint)
            as email_open_count,
        cast(count(case when event_name = 'email_clicked' and is_by_a_person then 1 end) as bigint)
            as email_click_count,
        cast(count(case when event_name = 'email_bounced' then 1 end) as bigint)
            as email_bounce_count,
        cast(count(case when event_name = 'message_sent' then 1 end) as bigint)
            as message_sent_count,
        cast(
            count(case when event_name = 'message_clicked' and is_by_a_person then 1 end)
            as bigint
        ) as message_click_count,
        cast(
            count(case when event_name = 'referral_converted' and is_by_a_person then 1 end)
            as bigint
        ) as referral_count,
        max(case when is_visit then occurred_at end) as last_visit_at,
        max(case when event_name = 'email_clicked' and is_by_a_person then occurred_at end)
            as last_email_click_at
    from events
    group by customer_id
),

visits as (
    select distinct
        customer_id,
        source_system,
        coalesce(session_id, cast({{ local_date('occurred_at') }} as string)) as visit_name
    from events
    where is_visit
),

visits_counted as (
    select
        customer_id,
        cast(count(*) as bigint) as visit_count
    from visits
    group by customer_id
),

-- Days, not events: one visit is many pages, one call is one call.
channel_days as (
    select
        customer_id,
        channel,
        {{ local_date('occurred_at') }} as activity_date,
        max(occurred_at) as last_activity_at
    from events
    where is_recent_human
    group by customer_id, channel, {{ local_date('occurred_at') }}
),

channels as (
    select
        channel_days.customer_id,
        channel_days.channel,
        count(*) as day_count,
        max(channel_days.last_activity_at) as last_activity_at
    from channel_days
    anti join traffic_sources on channel_days.channel = traffic_sources.channel
    group by channel_days.customer_id, channel_days.channel
),

channels_ranked as (
    select
        customer_id,
        channel,
        row_number() over (
            partition by customer_id
            order by
                day_count desc nulls last, last_activity_at desc nulls last, channel asc nulls last
        ) as channel_rank
    from channels
),

observed_channels as (
    select
        customer_id,
        channel as observed_channel
    from channels_ranked
    where channel_rank = 1
),

customers as (
    select
        -- keys
        touchpoints_counted.customer_id,
        -- facts
        touchpoints_counted.touchpoint_count,
        coalesce(visits_counted.visit_count, 0) as visit_count,
        touchpoints_counted.email_sent_count,
        touchpoints_counted.email_delivered_count,
        touchpoints_counted.email_open_count,
        touchpoints_counted.email_click_count,
        touchpoints_counted.email_bounce_count,
        touchpoints_counted.message_sent_count,
        touchpoints_counted.message_click_count,
        touchpoints_counted.referral_count,
        observed_channels.observed_channel,
        -- times
        touchpoints_counted.last_visit_at,
        touchpoints_counted.last_email_click_at
    from touchpoints_counted
    left join visits_counted on touchpoints_counted.customer_id = visits_counted.customer_id
    left join observed_channels on touchpoints_counted.customer_id = observed_channels.customer_id
)

select * from customers
