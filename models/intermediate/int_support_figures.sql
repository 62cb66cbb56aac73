-- Grain: one row per month of opening and channel, and one per month for all channels, its ticket_channel empty.

with

tickets as (select * from {{ ref('int_tickets') }} where is_counted),

figures as (
    select
        -- keys
        opened_month,
        ticket_channel,
        -- facts
        cast(count(*) as bigint) as ticket_count,
        cast(count(case when customer_id is null then 1 end) as bigint)
            as unidentified_ticket_count,
        cast(count(distinct customer_id) as bigint) as customer_count,
        cast(count(case when is_solved then 1 end) as bigint) as solved_count,
        cast(count(case when is_reopened then 1 end) as bigint) as reopened_count,
        cast(count(case when is_handed_over_from_bot then 1 end) as bigint)
            as handed_over_from_bot_count,
        cast(count(first_reply_minutes) as bigint) as replied_count,
        cast(median(first_reply_minutes) as double) as median_first_reply_minutes,
        cast(percentile_cont(0.9) within group (order by first_reply_minutes) as double)
            as p90_first_reply_minutes,
        cast(median(case when is_solved then resolution_minutes end) as double)
            as median_resolution_minutes,
        cast(
            percentile_cont(0.9) within group (
                order by case when is_solved then resolution_minutes end
            ) as double
        ) as p90_resolution_minutes,
        cast(count(case when is_first_contact_eligible then 1 end) as bigint)
            as first_contact_eligible_count,
        cast(count(case when is_first_contact_resolved then 1 end) as bigint)
            as first_contact_resolved_count,
        cast(count(case when is_solved and reply_count is not null then 1 end) as bigint)
            as one_touch_eligible_count,
        cast(count(case when is_solved and reply_count <= 1 then 1 end) as bigint)
            as one_touch_count,
        cast(count(distinct case when is_repeat then customer_id end) as bigint)
            as repeat_customer_count
    from tickets
    group by grouping sets ((opened_month, ticket_channel), (opened_month))
),

rates as (
    select
        *,
        cast(first_contact_resolved_count as double) / nullif(first_contact_eligible_count, 0)
            as first_contact_resolution_rate,
        cast(one_touch_count as double) / nullif(one_touch_eligible_count, 0) as one_touch_rate,
        cast(repeat_customer_count as double) / nullif(customer_count, 0) as repeat_contact_rate
    from figures
)

select * from rates
