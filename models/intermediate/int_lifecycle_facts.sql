-- Grain: one row per lifecycle and interval between two moments at which something happened.
-- The facts are what is known from `valid_from_at` on, all events of that moment included; nothing looks ahead.

with

events as (select * from {{ ref('int_lifecycle_events') }}),

paid_days as (select * from {{ ref('int_paid_days') }}),

personas as (select * from {{ ref('int_lifecycle_personas') }}),

identifications as (select * from {{ ref('int_identifications') }}),

members as (select * from {{ ref('int_lifecycle_members') }}),

identified as (
    select
        members.lifecycle_id,
        min(identifications.identified_at) as identified_at
    from identifications
    inner join members on identifications.customer_id = members.customer_id
    group by members.lifecycle_id
),

accumulated as (
    select
        lifecycle_id,
        occurred_at as valid_from_at,
        lead(occurred_at) over (partition by lifecycle_id order by occurred_at asc nulls last)
            as valid_to_at,
        min(occurred_at) over so_far as first_seen_at,
        cast(sum(paid_change) over so_far as bigint) as paid_count,
        cast(sum(kept_change) over so_far as bigint) as kept_count,
        cast(sum(order_change) over so_far as bigint) as order_count,
        cast(sum(net_revenue_amount) over so_far as decimal(18, 2)) as net_revenue_amount,
        cast(sum(active_change) over so_far as bigint) as active_count,
        cast(sum(trial_change) over so_far as bigint) as trial_count,
        cast(sum(past_due_change) over so_far as bigint) as past_due_count,
        cast(sum(paused_change) over so_far as bigint) as paused_count,
        cast(sum(cancelling_change) over so_far as bigint) as cancelling_count,
        cast(sum(falling_change) over so_far as bigint) as falling_count,
        cast(sum(pressing_change) over so_far as bigint) as pressing_count,
        {{ last_known('nps_score', 'so_far') }} as last_nps_score,
        {{ last_known('csat_score', 'so_far') }} as last_csat_score,
        {{ last_known('top_tier_flag', 'so_far') }} as top_tier_flag,
        max(case when is_one_off then occurred_at end) over so_far as last_one_off_at,
        max(case when is_subscription_begin then occurred_at end) over so_far
            as subscription_began_at,
        max(case when is_paid_end then occurred_at end) over so_far as subscription_ended_at,
        max(case when is_trial_start then occurred_at end) over so_far as trial_started_at,
        max(case when is_trouble then occurred_at end) over so_far as last_trouble_at,
        max(case when is_human_activity then occurred_at end) over so_far as last_human_at,
        max(case when is_weighing then occurred_at end) over so_far as last_weighing_at,
        max(case when is_cart then occurred_at end) over so_far as last_cart_at,
        max(case when is_usage then occurred_at end) over so_far as last_used_at,
        min(case when is_activation then occurred_at end) over so_far as first_activated_at,
        max(case when is_advocacy then occurred_at end) over so_far as last_advocated_at,
        max(case when is_expansion then occurred_at end) over so_far as last_expanded_at,
        max(case when is_refund then occurred_at end) over so_far as last_refunded_at,
        max(case when nps_score is not null then occurred_at end) over so_far as last_nps_at,
        max(case when csat_score is not null then occurred_at end) over so_far as last_csat_at,
        max(case when is_ticket then occurred_at end) over so_far as last_ticket_at,
        max(case when is_closing then occurred_at end) over so_far as closed_at
    from events
    window so_far as (
        partition by lifecycle_id
        order by occurred_at asc nulls last
        rows between unbounded preceding and current row
    )
),

facts as (
    select
        -- keys
        accumulated.lifecycle_id,
        coalesce(personas.threshold_persona, 'default') as threshold_persona,
        -- facts
        case when identified.identified_at <= accumulated.valid_from_at then 1 else 0 end
            as is_identified,
        accumulated.paid_count,
        accumulated.kept_count,
        accumulated.order_count,
        accumulated.net_revenue_amount,
        paid_days.expected_order_gap_days,
        paid_days.due_days,
        paid_days.lapse_days,
        paid_days.churn_days,
        paid_days.quiet_days,
        paid_days.came_back_gap_days,
        case when accumulated.active_count > 0 then 1 else 0 end as is_subscribed,
        case when accumulated.trial_count > 0 then 1 else 0 end as is_in_trial,
        case when accumulated.past_due_count > 0 then 1 else 0 end as is_past_due,
        case when accumulated.paused_count > 0 then 1 else 0 end as is_paused,
        case when accumulated.cancelling_count > 0 then 1 else 0 end as is_cancelling,
        case when accumulated.falling_count > 0 then 1 else 0 end as is_usage_falling,
        case when accumulated.pressing_count > 0 then 1 else 0 end as is_pressing,
        coalesce(accumulated.top_tier_flag, 0) as is_top_tier,
        accumulated.last_nps_score,
        accumulated.last_csat_score,
        -- times
        accumulated.valid_from_at,
        accumulated.valid_to_at,
        accumulated.first_seen_at,
        paid_days.first_paid_at,
        paid_days.paid_at as last_paid_at,
        paid_days.came_back_at,
        accumulated.last_one_off_at,
        case when accumulated.active_count > 0 then accumulated.subscription_began_at end
            as subscribed_since_at,
        accumulated.subscription_ended_at,
        accumulated.trial_started_at,
        accumulated.last_trouble_at,
        accumulated.last_human_at,
        accumulated.last_weighing_at,
        accumulated.last_cart_at,
        accumulated.last_used_at,
        accumulated.first_activated_at,
        accumulated.last_advocated_at,
        accumulated.last_expanded_at,
        accumulated.last_refunded_at,
        accumulated.last_nps_at,
        accumulated.last_csat_at,
        accumulated.last_ticket_at,
        accumulated.closed_at
    from accumulated
    left join paid_days
        on accumulated.lifecycle_id = paid_days.lifecycle_id
        and accumulated.paid_count = paid_days.paid_number
    left join personas on accumulated.lifecycle_id = personas.lifecycle_id
    left join identified on accumulated.lifecycle_id = identified.lifecycle_id
)

select * from facts
