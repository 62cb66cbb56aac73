-- Grain: one row per thing that happened to a customer.

with

timeline as (select * from {{ ref('int_timeline') }}),

published as (
    select
        -- keys
        customer_id,
        event_id,
        -- facts
        event_name,
        channel,
        source_system,
        order_id,
        ticket_id,
        campaign_id,
        product_id,
        amount,
        currency,
        -- times
        occurred_at
    from timeline
)

select * from published
