-- Grain: one row per customer and interval between two moments at which something happened to them.
-- The facts are what is known from `valid_from_at` on, all events of that moment included; nothing looks ahead.

with

events as (select * from {{ ref('int_lifecycle_events') }}),

paid_days as (select * from {{ ref('int_paid_order_days') }}),

personas as (select * from {{ ref('int_customer_personas') }}),

identifications as (select * from {{ ref('int_identifications') }}),

accumulated as (
    select
        customer_id,
        event_id,
        occurred_at as valid_from_at,
        lead(occurred_at) over (
            partition by customer_id order by occurred_at asc nulls last, event_id asc nulls last
        ) as valid_to_at,
        min(occurred_at) over so_far as first_seen_at,
        cast(sum(case when is_paid then 1 else 0 end) over so_far as bigint) as paid_count,
        cast(sum(kept_change) over so_far as bigint) as kept_count,
        cast(sum(order_change) over so_far as bigint) as order_count,
        cast(sum(net_revenue_amount) over so_far as decimal(18, 2)) as net_revenue_amount,
        max(case when is_human_activity then occurred_at end) over so_far as last_human_at,
        max(case when is_weighing then occurred_at end) over so_far as last_weighing_at,
        max(case when is_cart then occurred_at end) over so_far as last_cart_at,
        min(case when is_activation then occurred_at end) over so_far as first_activated_at,
        max(case when is_advocacy then occurred_at end) over so_far as last_advocated_at,
        max(case when is_expansion then occurred_at end) over so_far as last_expanded_at,
        max(case when is_refund then occurred_at end) over so_far as last_refunded_at,
        max(case when is_closing then occurred_at end) over so_far as closed_at
    from events
    window so_far as (
        partition by customer_id
        order by occurred_at asc nulls last, event_id asc nulls last
        rows between unbounded preceding and current row
    )
),

facts as (
    select
        -- keys
        accumulated.customer_id,
        accumulated.event_id,
        coalesce(personas.threshold_persona, 'default') as threshold_persona,
        -- facts
        case when identifications.identified_at <= accumulated.valid_from_at then 1 else 0 end
            as is_identified,
        accumulated.paid_count,
        accumulated.kept_count,
        accumulated.order_count,
        accumulated.net_revenue_amount,
        paid_days.expected_order_gap_days,
        paid_days.due_days,
        paid_days.lapse_days,
        paid_days.churn_days,
        paid_days.came_back_gap_days,
        -- times
        accumulated.valid_from_at,
        accumulated.valid_to_at,
        accumulated.first_seen_at,
        paid_days.first_paid_at,
        paid_days.paid_at as last_paid_at,
        paid_days.came_back_at,
        accumulated.last_human_at,
        accumulated.last_weighing_at,
        accumulated.last_cart_at,
        accumulated.first_activated_at,
        accumulated.last_advocated_at,
        accumulated.last_expanded_at,
        accumulated.last_refunded_at,
        accumulated.closed_at
    from accumulated
    left join paid_days
        on accumulated.customer_id = paid_days.customer_id
        and accumulated.paid_count = paid_days.paid_number
    left join personas on accumulated.customer_id = personas.customer_id
    left join identifications on accumulated.customer_id = identifications.customer_id
    -- Of several events at one moment the last knows them all.
    where accumulated.valid_to_at is null or accumulated.valid_to_at > accumulated.valid_from_at
)

select * from facts
