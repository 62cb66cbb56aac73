-- What customer_360 counts is what the timeline of the customer shows.
{{ config(meta={'dagster': {'ref': {'name': 'customer_360'}}}) }}

with

customers as (select * from {{ ref('customer_360') }}),

timeline as (select * from {{ ref('customer_timeline') }}),

timeline_counted as (
    select
        customer_id,
        count(case when event_id like 'ticket:%' then 1 end) as ticket_count,
        count(case when event_id like 'review:%' then 1 end) as review_count,
        count(case when event_id like 'touchpoint:%' then 1 end) as touchpoint_count,
        count(case when event_name = 'email_delivered' then 1 end) as email_delivered_count,
        max(case when event_id like 'ticket:%' then occurred_at end) as last_ticket_at
    from timeline
    group by customer_id
),

differences as (
    select
        customers.customer_id,
        timeline_counted.ticket_count,
        timeline_counted.review_count,
        timeline_counted.touchpoint_count,
        timeline_counted.email_delivered_count
    from customers
    left join timeline_counted on customers.customer_id = timeline_counted.customer_id
    where customers.ticket_count is distinct from coalesce(timeline_counted.ticket_count, 0)
        or customers.review_count is distinct from coalesce(timeline_counted.review_count, 0)
        or customers.touchpoint_count
        is distinct from coalesce(timeline_counted.touchpoint_count, 0)
        or customers.email_delivered_count
        is distinct from coalesce(timeline_counted.email_delivered_count, 0)
        or customers.last_ticket_at is distinct from timeline_counted.last_ticket_at
)

select * from differences
