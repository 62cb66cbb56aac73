-- Grain: one row per customer per interval of membership.
-- Bought for the first time lately.

with

{{ segment_intervals(
    segment_name='new_customers',
    condition='kept_count >= 1 and within(first_paid_at, new_customer_days)',
    entry_sentence='first purchase {before:first_paid_at}',
    exit_sentence='first purchase {before:first_paid_at}'
) }}

select * from memberships
