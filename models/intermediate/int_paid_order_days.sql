-- Grain: one row per customer and paid order day: a day of the reporting zone with an order that cost something.
-- All orders of one day count as one, at the moment of the first of them.

with

orders as (select * from {{ ref('int_orders') }} where is_paid and customer_id is not null),

days as (
    select
        customer_id,
        order_date,
        min(ordered_at) as paid_at
    from orders
    group by customer_id, order_date
),

days_numbered as (
    select
        -- keys
        customer_id,
        row_number() over (partition by customer_id order by order_date asc nulls last)
            as paid_number,
        -- facts
        {{ days_between(
            'lag(paid_at) over (partition by customer_id order by order_date asc nulls last)',
            'paid_at'
        ) }} as gap_days,
        -- times
        order_date,
        lag(order_date) over (partition by customer_id order by order_date asc nulls last)
            as previous_order_date,
        paid_at
    from days
)

select * from days_numbered
