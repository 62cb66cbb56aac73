-- Grain: one row per month of the reporting zone, from the first of anything known to that of the run's day.

with

events as (select * from {{ ref('int_advocacy_events') }}),

months as (select * from {{ ref('int_months') }}),

events_counted as (
    select
        occurred_month as advocacy_month,
        cast(count(case when event_kind = 'review' then 1 end) as bigint) as review_count,
        cast(count(rating) as bigint) as rated_count,
        cast(sum(rating) as double) as rating_sum,
        -- Halves count upwards, nothing is less than one.
        cast(count(case when rating >= 4.5 then 1 end) as bigint) as rating_5_count,
        cast(count(case when rating >= 3.5 and rating < 4.5 then 1 end) as bigint)
            as rating_4_count,
        cast(count(case when rating >= 2.5 and rating < 3.5 then 1 end) as bigint)
            as rating_3_count,
        cast(count(case when rating >= 1.5 and rating < 2.5 then 1 end) as bigint)
            as rating_2_count,
        cast(count(case when rating < 1.5 then 1 end) as bigint) as rating_1_count,
        cast(count(case when event_kind = 'testimonial' then 1 end) as bigint) as testimonial_count,
        cast(count(case when event_kind = 'referral_sent' then 1 end) as bigint)
            as referral_sent_count,
        cast(count(case when event_kind = 'referral_converted' then 1 end) as bigint)
            as referral_converted_count,
        cast(count(case when event_kind = 'share' then 1 end) as bigint) as share_count
    from events
    group by occurred_month
),

all_months as (
    select month as advocacy_month
    from months
    union
    select advocacy_month
    from events_counted
),

published as (
    select
        -- keys
        all_months.advocacy_month,
        -- facts
        coalesce(months.is_complete, true) as is_complete,
        coalesce(events_counted.review_count, 0) as review_count,
        coalesce(events_counted.rated_count, 0) as rated_count,
        coalesce(events_counted.rating_sum, 0) as rating_sum,
        events_counted.rating_sum / nullif(events_counted.rated_count, 0) as average_rating,
        coalesce(events_counted.rating_5_count, 0) as rating_5_count,
        coalesce(events_counted.rating_4_count, 0) as rating_4_count,
        coalesce(events_counted.rating_3_count, 0) as rating_3_count,
        coalesce(events_counted.rating_2_count, 0) as rating_2_count,
        coalesce(events_counted.rating_1_count, 0) as rating_1_count,
        coalesce(events_counted.testimonial_count, 0) as testimonial_count,
        coalesce(events_counted.referral_sent_count, 0) as referral_sent_count,
        coalesce(events_counted.referral_converted_count, 0) as referral_converted_count,
        -- More came of it than was sent: not all referrals are known.
        case
            when events_counted.referral_converted_count <= events_counted.referral_sent_count
                then cast(events_counted.referral_converted_count as double)
                    / nullif(events_counted.referral_sent_count, 0)
        end as referral_conversion_rate,
        coalesce(events_counted.share_count, 0) as share_count
    from all_months
    left join months on all_months.advocacy_month = months.month
    left join events_counted on all_months.advocacy_month = events_counted.advocacy_month
)

select * from published
