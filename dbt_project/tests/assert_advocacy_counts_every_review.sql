-- Every review is in one month and every rating is in one class; no month leaves an event out.
{{ config(meta={'dagster': {'ref': {'name': 'advocacy_monthly'}}}) }}

with

reviews as (select * from {{ ref('stg_reviews') }}),

events as (select * from {{ ref('int_advocacy_events') }}),

months as (select * from {{ ref('advocacy_monthly') }}),

reviews_counted as (
    select
        {{ local_month('reviewed_at') }} as advocacy_month,
        count(*) as review_count
    from reviews
    group by {{ local_month('reviewed_at') }}
),

events_counted as (
    select
        occurred_month as advocacy_month,
        count(*) as event_count
    from events
    group by occurred_month
),

differences as (
    select months.advocacy_month
    from months
    left join reviews_counted on months.advocacy_month = reviews_counted.advocacy_month
    left join events_counted on months.advocacy_month = events_counted.advocacy_month
    where
        months.rating_5_count
        + months.rating_4_count
        + months.rating_3_count
        + months.rating_2_count
        + months.rating_1_count
        != months.rated_count
        or months.rated_count > months.review_count
        or coalesce(reviews_counted.review_count, 0) > months.review_count
        or months.review_count
        + months.testimonial_count
        + months.referral_sent_count
        + months.referral_converted_count
        + months.share_count
        != coalesce(events_counted.event_count, 0)
    union all
    select reviews_counted.advocacy_month
    from reviews_counted
    anti join months on reviews_counted.advocacy_month = months.advocacy_month
)

select * from differences
