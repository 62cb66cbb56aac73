-- Grain: one row per thing that was paid for: an order that cost something, or a period of a paid subscription.
-- An order that names the subscription stands for the period that begins on its day, from its own moment on: then its
-- refund counts.

with

orders as (select * from {{ ref('int_orders') }} where is_paid and customer_id is not null),

changes as (select * from {{ ref('int_subscription_changes') }} where is_paid_period),

members as (select * from {{ ref('int_lifecycle_members') }}),

order_purchases as (
    select
        customer_id,
        concat_ws(':', 'order', source_system, order_id) as event_id,
        order_key,
        source_system,
        order_id as record_id,
        subscription_id is null and not is_renewal as is_one_off,
        order_date as paid_date,
        ordered_at as paid_at,
        cast(null as timestamp) as replaced_at
    from orders
),

periods as (
    select
        *,
        {{ local_date('occurred_at') }} as paid_date
    from changes
),

period_orders as (
    select
        customer_id,
        id_namespace,
        subscription_id,
        order_date,
        min(ordered_at) as ordered_at
    from orders
    where subscription_id is not null
    group by customer_id, id_namespace, subscription_id, order_date
),

period_purchases as (
    select
        periods.customer_id,
        periods.event_id,
        cast(null as string) as order_key,
        periods.source_system,
        periods.subscription_event_id as record_id,
        false as is_one_off,
        periods.paid_date,
        periods.occurred_at as paid_at,
        period_orders.ordered_at as replaced_at
    from periods
    left join period_orders
        on periods.customer_id = period_orders.customer_id
        and periods.id_namespace = period_orders.id_namespace
        and periods.subscription_id = period_orders.subscription_id
        and periods.paid_date = period_orders.order_date
),

purchases_unioned as (
    select * from order_purchases
    union all
    select * from period_purchases
),

purchases as (
    select
        -- keys
        members.lifecycle_id,
        purchases_unioned.customer_id,
        purchases_unioned.event_id,
        purchases_unioned.order_key,
        purchases_unioned.source_system,
        purchases_unioned.record_id,
        -- facts
        purchases_unioned.is_one_off,
        -- times
        purchases_unioned.paid_date,
        purchases_unioned.paid_at,
        purchases_unioned.replaced_at
    from purchases_unioned
    inner join members on purchases_unioned.customer_id = members.customer_id
)

select * from purchases
