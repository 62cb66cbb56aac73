{#- The facts of int_lifecycle_facts that travel with every interval, and the thresholds, listed once. -#}

{% macro lifecycle_fact_columns() -%}
    {{ return([
        'is_identified', 'paid_count', 'kept_count', 'order_count', 'net_revenue_amount', 'expected_order_gap_days',
        'due_days', 'lapse_days', 'churn_days', 'quiet_days', 'came_back_gap_days', 'is_subscribed', 'is_in_trial', 'is_past_due',
        'is_paused', 'is_cancelling', 'is_usage_falling', 'is_pressing', 'is_top_tier', 'last_nps_score',
        'last_csat_score', 'first_seen_at', 'first_paid_at', 'last_paid_at', 'came_back_at', 'last_one_off_at',
        'subscribed_since_at', 'subscription_ended_at', 'trial_started_at', 'last_trouble_at', 'last_human_at',
        'last_weighing_at', 'last_cart_at', 'last_used_at', 'first_activated_at', 'last_advocated_at',
        'last_expanded_at', 'last_refunded_at', 'last_nps_at', 'last_csat_at', 'last_ticket_at', 'closed_at'
    ]) }}
{%- endmacro %}

{% macro lifecycle_setting_columns() -%}
    {{ return([
        'default_order_gap_days', 'gap_prior_weight', 'due_factor', 'due_min_days', 'due_max_days',
        'lapse_factor', 'lapse_min_days', 'lapse_max_days', 'churn_min_days', 'churn_after_lapse_days',
        'silent_days', 'cart_days', 'weighing_days', 'lead_days', 'return_grace_days', 'reactivated_days', 'new_days',
        'activated_days', 'active_days', 'quiet_factor', 'established_days', 'advocate_days', 'advocacy_nps', 'expanding_days',
        'answer_days', 'detractor_score', 'unhappy_score', 'pressing_tickets', 'pressing_days', 'usage_window_days',
        'usage_min_days', 'usage_fall_share', 'usage_recover_share', 'loyalty_min_orders', 'loyalty_min_days', 'expansion_category_level',
        'expansion_window_days', 'expansion_min_spend_share', 'expansion_min_history_days', 'high_value_amount',
        'new_customer_days', 'per_account', 'snapshot_months'
    ]) }}
{%- endmacro %}

{% macro list_columns(columns, relation=none, indent=8) -%}
    {%- for column in columns -%}
        {{ relation ~ '.' if relation else '' }}{{ column }}{{ (',\n' ~ ' ' * indent) if not loop.last else '' }}
    {%- endfor -%}
{%- endmacro %}
