-- Grain: one row per customer with a ticket, a survey answer or a loyalty tier.

with

tickets as (select * from {{ ref('stg_tickets') }}),

survey_responses as (select * from {{ ref('stg_survey_responses') }}),

loyalty_events as (select * from {{ ref('stg_loyalty_events') }} where tier_name is not null),

links as (select * from {{ source('identity', 'record_links') }}),

tickets_counted as (
    select
        links.customer_id,
        cast(count(*) as bigint) as ticket_count
    from tickets
    inner join links
        on links.record_table = 'tickets'
        and tickets.source_system = links.source_system
        and tickets.ticket_id = links.record_id
    group by links.customer_id
),

answers_ranked as (
    select
        links.customer_id,
        survey_responses.survey_kind,
        survey_responses.score,
        row_number() over (
            partition by links.customer_id, survey_responses.survey_kind
            order by survey_responses.responded_at desc nulls last, links.record_key asc nulls last
        ) as answer_rank
    from survey_responses
    inner join links
        on links.record_table = 'survey_responses'
        and survey_responses.source_system = links.source_system
        and survey_responses.response_id = links.record_id
),

last_answers as (
    select
        customer_id,
        max(case when survey_kind = 'nps' then score end) as last_nps_score,
        max(case when survey_kind = 'csat' then score end) as last_csat_score
    from answers_ranked
    where answer_rank = 1
    group by customer_id
),

tiers_ranked as (
    select
        links.customer_id,
        loyalty_events.tier_name,
        row_number() over (
            partition by links.customer_id
            order by loyalty_events.occurred_at desc nulls last, links.record_key asc nulls last
        ) as tier_rank
    from loyalty_events
    inner join links
        on links.record_table = 'loyalty_events'
        and loyalty_events.source_system = links.source_system
        and loyalty_events.loyalty_event_id = links.record_id
),

last_tiers as (
    select
        customer_id,
        tier_name as loyalty_tier
    from tiers_ranked
    where tier_rank = 1
),

customers as (
    select customer_id from tickets_counted
    union
    select customer_id from last_answers
    union
    select customer_id from last_tiers
),

support as (
    select
        customers.customer_id,
        coalesce(tickets_counted.ticket_count, 0) as ticket_count,
        last_answers.last_nps_score,
        last_answers.last_csat_score,
        last_tiers.loyalty_tier
    from customers
    left join tickets_counted on customers.customer_id = tickets_counted.customer_id
    left join last_answers on customers.customer_id = last_answers.customer_id
    left join last_tiers on customers.customer_id = last_tiers.customer_id
)

select * from support
