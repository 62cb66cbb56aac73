-- Grain: one row per customer per interval of membership.
-- Overdue for longer than the lapse clock and still winnable: the people a win-back is for.

with

{{ segment_intervals(
    segment_name='lapsed',
    condition="stage = 'lapsed'",
    entry_sentence='no order for {days:last_paid_at}, expected after {days:expected_order_gap_days}'
) }}

select * from memberships
