-- Grain: one row per event that can change where a customer stands, and each customer's first event of any kind.

with

timeline as (select * from {{ ref('int_timeline') }}),

touchpoint_types as (select * from {{ ref('touchpoint_types') }}),

orders as (select * from {{ ref('int_orders') }} where customer_id is not null),

refunds as (select * from {{ ref('int_refunds') }} where customer_id is not null and is_counted),

paid_days as (select * from {{ ref('int_paid_order_days') }}),

kept_changes as (select * from {{ ref('int_kept_order_changes') }}),

expansions as (select * from {{ ref('int_category_expansions') }}),

identifications as (select * from {{ ref('int_identifications') }}),

money as (
    select
        concat_ws(':', 'order', source_system, order_id) as event_id,
        1 as order_change,
        cast(gross_revenue_amount - discount_amount as decimal(18, 2)) as net_revenue_amount
    from orders
    where is_counted
    union all
    select
        concat_ws(':', 'refund', refund_key) as event_id,
        0 as order_change,
        cast(-item_refund_amount as decimal(18, 2)) as net_revenue_amount
    from refunds
),

events as (
    select
        -- keys
        timeline.customer_id,
        timeline.event_id,
        -- facts
        timeline.event_name,
        coalesce(touchpoint_types.is_human_activity, false)
        and not timeline.is_machine as is_human_activity,
        coalesce(touchpoint_types.is_weighing, false) and not timeline.is_machine as is_weighing,
        coalesce(touchpoint_types.is_cart, false) and not timeline.is_machine as is_cart,
        coalesce(touchpoint_types.is_activation, false)
        and not timeline.is_machine as is_activation,
        coalesce(touchpoint_types.is_advocacy, false)
        or coalesce(timeline.is_good_review, false) as is_advocacy,
        timeline.event_name = 'account_closed' as is_closing,
        timeline.event_name = 'order_refunded' as is_refund,
        paid_days.event_id is not null as is_paid,
        coalesce(kept_changes.kept_change, 0) as kept_change,
        coalesce(money.order_change, 0) as order_change,
        coalesce(money.net_revenue_amount, 0) as net_revenue_amount,
        expansions.event_id is not null as is_expansion,
        coalesce(timeline.occurred_at = identifications.identified_at, false) as is_identification,
        -- times
        timeline.occurred_at,
        row_number() over (
            partition by timeline.customer_id
            order by timeline.occurred_at asc nulls last, timeline.event_id asc nulls last
        ) as event_number
    from timeline
    left join touchpoint_types on timeline.event_name = touchpoint_types.event_name
    left join paid_days on timeline.event_id = paid_days.event_id
    left join kept_changes on timeline.event_id = kept_changes.event_id
    left join money on timeline.event_id = money.event_id
    left join expansions on timeline.event_id = expansions.event_id
    left join identifications on timeline.customer_id = identifications.customer_id
),

relevant_events as (
    select *
    from events
    where event_number = 1
        or is_human_activity
        or is_weighing
        or is_cart
        or is_activation
        or is_advocacy
        or is_closing
        or is_refund
        or is_paid
        or is_expansion
        or is_identification
        or order_change != 0
        or net_revenue_amount != 0
)

select * from relevant_events
