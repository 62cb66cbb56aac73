-- Grain: one row per event (order or refund) that changes how many paid order days of a customer are not fully refunded.

with

orders as (select * from {{ ref('int_orders') }} where is_paid and customer_id is not null),

refunds as (select * from {{ ref('int_refunds') }} where completes_refund),

changes_unioned as (
    select
        customer_id,
        order_date,
        concat_ws(':', 'order', source_system, order_id) as event_id,
        1 as order_change,
        ordered_at as changed_at
    from orders
    union all
    select
        orders.customer_id,
        orders.order_date,
        concat_ws(':', 'refund', refunds.refund_key) as event_id,
        -1 as order_change,
        refunds.refunded_at as changed_at
    from refunds
    inner join orders on refunds.order_key = orders.order_key
),

kept_orders as (
    select
        customer_id,
        order_date,
        event_id,
        order_change,
        cast(
            sum(order_change) over (
                partition by customer_id, order_date
                order by
                    changed_at asc nulls last, order_change desc nulls last, event_id asc nulls last
                rows between unbounded preceding and current row
            ) as bigint
        ) as kept_order_count
    from changes_unioned
),

changes as (
    select
        customer_id,
        event_id,
        cast(
            case
                when order_change = 1 and kept_order_count = 1 then 1
                when order_change = -1 and kept_order_count = 0 then -1
                else 0
            end
            as bigint
        ) as kept_change
    from kept_orders
)

select * from changes
