-- Grain: one row per month of the reporting zone, all channels together, from the first of anything known on.
-- Customers, medians and percentiles of the channels cannot be added up: here they are of all tickets.

with

figures as (
    select * from {{ ref('int_support_figures') }} where ticket_channel is null
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

all_months as (
    select month as support_month
    from months
    union
    select opened_month as support_month
    from figures
),

published as (
    select
        -- keys
        all_months.support_month,
        -- facts
        coalesce(months.is_complete, true) as is_complete,
        coalesce(figures.ticket_count, 0) as ticket_count,
        coalesce(figures.unidentified_ticket_count, 0) as unidentified_ticket_count,
        coalesce(figures.customer_count, 0) as customer_count,
        coalesce(figures.solved_count, 0) as solved_count,
        coalesce(figures.reopened_count, 0) as reopened_count,
        coalesce(figures.handed_over_from_bot_count, 0) as handed_over_from_bot_count,
        coalesce(figures.replied_count, 0) as replied_count,
        figures.median_first_reply_minutes,
        figures.p90_first_reply_minutes,
        figures.median_resolution_minutes,
        figures.p90_resolution_minutes,
        coalesce(figures.first_contact_eligible_count, 0) as first_contact_eligible_count,
        coalesce(figures.first_contact_resolved_count, 0) as first_contact_resolved_count,
        figures.first_contact_resolution_rate,
        coalesce(figures.one_touch_eligible_count, 0) as one_touch_eligible_count,
        coalesce(figures.one_touch_count, 0) as one_touch_count,
        figures.one_touch_rate,
        coalesce(figures.repeat_customer_count, 0) as repeat_customer_count,
        figures.repeat_contact_rate,
        coalesce(orders_counted.order_count, 0) as order_count,
        1000
        * cast(coalesce(figures.ticket_count, 0) as double)
        / nullif(orders_counted.order_count, 0) as contacts_per_1000_orders
    from all_months
    left join months on all_months.support_month = months.month
    left join figures on all_months.support_month = figures.opened_month
    left join orders_counted on all_months.support_month = orders_counted.order_month
)

select * from published
