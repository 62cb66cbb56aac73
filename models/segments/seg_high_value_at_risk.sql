-- Grain: one row per customer per interval of membership.
-- Later than usual or showing signs of leaving, and worth a call: net revenue so far at or above the amount in settings.

with

{{ segment_intervals(
    segment_name='high_value_at_risk',
    condition='is_at_risk and net_revenue_amount >= high_value_amount',
    entry_sentence='at risk ({text:risk_reason}), last paid {before:last_paid_at}; bought for {whole:net_revenue_amount} so far'
) }}

select * from memberships
