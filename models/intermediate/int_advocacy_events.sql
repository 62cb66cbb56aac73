-- Grain: one row per review, testimonial, referral sent, referral that became a customer, and share.
-- A review that is a testimonial is both. What a touchpoint and a record of one day both tell is told once.

with

reviews as (select * from {{ ref('stg_reviews') }}),

timeline as (select * from {{ ref('int_timeline') }} where is_touchpoint and not is_machine),

links as (select * from {{ source('identity', 'record_links') }} where record_table = 'reviews'),

reviews_linked as (
    select
        concat_ws(':', 'review', reviews.source_system, reviews.review_id) as event_id,
        links.customer_id,
        coalesce(reviews.is_testimonial, false) as is_testimonial,
        round(cast(reviews.rating as double) * 5 / nullif(coalesce(reviews.scale_max, 5), 0), 6)
            as rating,
        reviews.reviewed_at as occurred_at
    from reviews
    left join links
        on reviews.source_system = links.source_system
        and reviews.review_id = links.record_id
),

records as (
    select
        event_id,
        'review' as event_kind,
        customer_id,
        -- Above its own scale a rating says nothing.
        case when rating between 0 and 5 then rating end as rating,
        occurred_at
    from reviews_linked
    union all
    select
        event_id,
        'testimonial' as event_kind,
        customer_id,
        cast(null as double) as rating,
        occurred_at
    from reviews_linked
    where is_testimonial
),

touchpoints as (
    select
        event_id,
        case event_name
            when 'review_submitted' then 'review'
            when 'testimonial_given' then 'testimonial'
            when 'content_shared' then 'share'
            else event_name
        end as event_kind,
        customer_id,
        cast(null as double) as rating,
        occurred_at
    from timeline
    where
        event_name in (
            'review_submitted',
            'testimonial_given',
            'referral_sent',
            'referral_converted',
            'content_shared'
        )
),

records_by_day as (
    select distinct
        event_kind,
        customer_id,
        {{ local_date('occurred_at') }} as occurred_date
    from records
    where customer_id is not null
),

touchpoints_told_once as (
    select touchpoints.*
    from touchpoints
    anti join records_by_day
        on touchpoints.event_kind = records_by_day.event_kind
        and touchpoints.customer_id = records_by_day.customer_id
        and {{ local_date('touchpoints.occurred_at') }} = records_by_day.occurred_date
),

events_unioned as (
    select * from records
    union all
    select * from touchpoints_told_once
),

events as (
    select
        -- keys
        event_id,
        event_kind,
        customer_id,
        -- facts
        rating,
        -- times
        occurred_at,
        {{ local_month('occurred_at') }} as occurred_month
    from events_unioned
)

select * from events
