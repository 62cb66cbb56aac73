-- Grain: one row per customer with a ticket, a survey answer, a review or a loyalty event.

with

tickets as (select * from {{ ref('stg_tickets') }}),

ticket_statuses as (select * from {{ ref('ticket_statuses') }}),

survey_scores as (select * from {{ ref('int_survey_scores') }}),

reviews as (select * from {{ ref('stg_reviews') }}),

loyalty_events as (select * from {{ ref('stg_loyalty_events') }}),

links as (select * from {{ source('identity', 'record_links') }}),

tickets_counted as (
    select
        links.customer_id,
        cast(count(*) as bigint) as ticket_count,
        -- A ticket may be open again after it was solved; a status that nobody knows says nothing.
        cast(
            count(
                case
                    when coalesce(ticket_statuses.is_open, tickets.solved_at is null) then 1
                end
            ) as bigint
        ) as open_ticket_count,
        max(tickets.opened_at) as last_ticket_at
    from tickets
    inner join links
        on links.record_table = 'tickets'
        and tickets.source_system = links.source_system
        and tickets.ticket_id = links.record_id
    left join ticket_statuses on tickets.ticket_status = ticket_statuses.ticket_status
    group by links.customer_id
),

answers_ranked as (
    select
        customer_id,
        survey_kind,
        score,
        row_number() over (
            partition by customer_id, survey_kind
            order by responded_at desc nulls last, record_key desc nulls last
        ) as answer_rank
    from survey_scores
),

last_answers as (
    select
        customer_id,
        max(case when survey_kind = 'nps' then score end) as last_nps_score,
        max(case when survey_kind = 'csat' then score end) as last_csat_score,
        max(case when survey_kind = 'ces' then score end) as last_ces_score
    from answers_ranked
    where answer_rank = 1
    group by customer_id
),

reviews_counted as (
    select
        links.customer_id,
        cast(count(*) as bigint) as review_count,
        avg(
            cast(reviews.rating as double) * 5 / nullif(coalesce(reviews.scale_max, 5), 0)
        ) as average_review_rating,
        max(reviews.reviewed_at) as last_review_at
    from reviews
    inner join links
        on links.record_table = 'reviews'
        and reviews.source_system = links.source_system
        and reviews.review_id = links.record_id
    group by links.customer_id
),

loyalty_ranked as (
    select
        links.customer_id,
        loyalty_events.event_kind,
        loyalty_events.points,
        loyalty_events.tier_name,
        row_number() over (
            partition by links.customer_id
            order by
                case when loyalty_events.tier_name is null then 1 else 0 end asc nulls last,
                loyalty_events.occurred_at desc nulls last,
                links.record_key asc nulls last
        ) as tier_rank
    from loyalty_events
    inner join links
        on links.record_table = 'loyalty_events'
        and loyalty_events.source_system = links.source_system
        and loyalty_events.loyalty_event_id = links.record_id
),

loyalty as (
    select
        customer_id,
        max(case when tier_rank = 1 then tier_name end) as loyalty_tier,
        -- Some systems write what was used with a minus, some without.
        cast(
            sum(case when event_kind = 'redeem' then -abs(points) else coalesce(points, 0) end)
            as decimal(18, 4)
        ) as loyalty_points_balance
    from loyalty_ranked
    group by customer_id
),

customers as (
    select customer_id from tickets_counted
    union
    select customer_id from last_answers
    union
    select customer_id from reviews_counted
    union
    select customer_id from loyalty
),

support as (
    select
        -- keys
        customers.customer_id,
        -- facts
        coalesce(tickets_counted.ticket_count, 0) as ticket_count,
        coalesce(tickets_counted.open_ticket_count, 0) as open_ticket_count,
        last_answers.last_nps_score,
        last_answers.last_csat_score,
        last_answers.last_ces_score,
        coalesce(reviews_counted.review_count, 0) as review_count,
        reviews_counted.average_review_rating,
        loyalty.loyalty_tier,
        loyalty.loyalty_points_balance,
        -- times
        tickets_counted.last_ticket_at,
        reviews_counted.last_review_at
    from customers
    left join tickets_counted on customers.customer_id = tickets_counted.customer_id
    left join last_answers on customers.customer_id = last_answers.customer_id
    left join reviews_counted on customers.customer_id = reviews_counted.customer_id
    left join loyalty on customers.customer_id = loyalty.customer_id
)

select * from support
