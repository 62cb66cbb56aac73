-- Grain: one row per month of opening and channel of the tickets, where there was one.

with

figures as (
    select * from {{ ref('int_support_figures') }} where ticket_channel is not null
),

orders as (select * from {{ ref('int_orders') }} where is_counted),

months as (select * from {{ ref('int_months') }}),

orders_counted as (
    select
        order_month,
        cast(count(*) as bigint) as order_count
    from orders
    group by order_month
),

published as (
    select
        -- keys
        figures.opened_month as support_month,
        figures.ticket_channel,
        -- facts
        coalesce(months.is_complete, true) as is_complete,
        figures.ticket_count,
        figures.unidentified_ticket_count,
        figures.customer_count,
        figures.solved_count,
        figures.reopened_count,
        figures.handed_over_from_bot_count,
        figures.replied_count,
        figures.median_first_reply_minutes,
        figures.p90_first_reply_minutes,
        figures.median_resolution_minutes,
        figures.p90_resolution_minutes,
        figures.first_contact_eligible_count,
        figures.first_contact_resolved_count,
        figures.first_contact_resolution_rate,
        figures.one_touch_eligible_count,
        figures.one_touch_count,
        figures.one_touch_rate,
        figures.repeat_customer_count,
        figures.repeat_contact_rate,
        coalesce(orders_counted.order_count, 0) as order_count,
        1000
        * cast(figures.ticket_count as double)
        / nullif(orders_counted.order_count, 0) as contacts_per_1000_orders
    from figures
    left join months on figures.opened_month = months.month
    left join orders_counted on figures.opened_month = orders_counted.order_month
)

select * from published
