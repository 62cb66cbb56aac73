"""Revenue, products, funnels and abandonment: what somebody looked at and left in a checkout."""

from __future__ import annotations

from tests.dbt.alterations import Alterations

RECORDS = """
insert into raw.touchpoints
    (touchpoint_id, contact_id, occurred_at, event_name, channel, product_id, value, currency) values
    ('view1', 'ada', '2023-02-10 09:50', 'Product Viewed', 'web', 'tea', null, null),
    ('view2', 'ada', '2023-02-10 09:52', 'Product Added', 'web', 'tea', 8, 'USD'),
    ('view3', 'ada', '2023-02-10 09:54', 'Checkout Started', 'web', null, 400, 'USD'),
    ('view4', 'ada', '2023-02-10 09:56', 'Payment Info Entered', 'web', null, 400, 'USD'),
    ('view5', 'ada', '2023-03-05 10:00', 'Checkout Started', 'web', null, 50, 'USD'),
    ('view6', 'ben', '2023-03-01 10:00', 'Checkout Started', 'web', null, null, null),
    ('view7', 'ben', '2023-03-01 10:01', 'Payment Info Entered', 'web', null, null, null);
"""

LINES, EXPANSION = "intermediate.int_order_line_amounts", "marts.expansion_revenue_monthly"
PRODUCTS, FREQUENCY = "marts.product_popularity_monthly", "marts.purchase_frequency_monthly"
SECOND, STEPS, FUNNELS = "marts.second_orders", "seeds.funnel_steps", "marts.funnel_steps_monthly"
ABANDONMENT = "marts.abandonment_monthly"

ALTERATIONS: Alterations = {
    "assert_monthly_revenue_equals_orders": [
        ("update marts.revenue_monthly set repeat_order_count = repeat_order_count + 1", ""),
        ("update marts.revenue_monthly set cost_amount = cost_amount + 0.01", ""),
        ("update marts.revenue_monthly set costed_order_count = 0", ""),
        ("update marts.revenue_monthly set gross_margin_amount = gross_margin_amount + 0.01", ""),
        ("update marts.revenue_monthly set costed_net_revenue_amount = 0, gross_margin_amount = null", ""),
        # Cleo's order is of May and was given back in June.
        ("update ops.metric_settings set refund_basis = 'order_date'", ""),
    ],
    # --- money from lines, repeat orders, funnels and abandonment ---
    "assert_order_lines_add_up": [
        (f"update {LINES} set discount_amount = discount_amount + 0.01 where order_key = 'shop:a1'", ""),
        (f"delete from {LINES} where order_key = 'shop:a2'", ""),
        (f"update {EXPANSION} set item_revenue_amount = item_revenue_amount - 0.01", ""),
        (f"delete from {EXPANSION} where expansion_month = '2023-05-01'", ""),
        (f"update {EXPANSION} set upsell_amount = upsell_amount + 1, expansion_amount = expansion_amount + 1", ""),
        (f"update {EXPANSION} set expansion_amount = 0", ""),
        ("update intermediate.int_expanded_lines set is_cross_sell = true", ""),
    ],
    "assert_product_sales_equal_order_lines": [
        (f"update {PRODUCTS} set gross_revenue_amount = gross_revenue_amount + 0.01 where product_id = 'toy'", ""),
        (f"delete from {PRODUCTS} where product_id = 'toy'", ""),
        (f"update {PRODUCTS} set view_rank = 2", ""),
        (f"update {PRODUCTS} set revenue_rank = 0", ""),
        (f"update {PRODUCTS} set buying_viewer_count = viewer_count + 1", ""),
    ],
    "assert_purchase_frequency_equals_orders": [
        (f"update {FREQUENCY} set order_count = order_count + 1 where frequency_month = '2023-06-01'", ""),
        (f"update {FREQUENCY} set repeat_customer_count = 0 where frequency_month = '2023-06-01'", ""),
        (f"update {FREQUENCY} set median_days_between_orders = 1 where frequency_month = '2023-06-01'", ""),
        (f"update {FREQUENCY} set gap_count = gap_count + 1 where frequency_month = '2023-06-01'", ""),
        (f"update {FREQUENCY} set customer_count = order_count + 1 where frequency_month = '2023-02-01'", ""),
    ],
    "assert_second_orders_add_up": [
        (f"delete from {SECOND} where dimension_value = 'discount'", ""),
        (f"update {SECOND} set first_order_customer_count = 99 where dimension = 'first_channel'", ""),
        (f"update {SECOND} set second_order_90d_count = 0 where dimension = 'all'", ""),
        (f"update {SECOND} set second_order_365d_count = 99 where dimension = 'first_product'", ""),
    ],
    "assert_funnel_steps_are_in_order": [
        (f"delete from {STEPS} where step_number = 2", ""),
        (f"update {STEPS} set step_name = 'something else' where event_name = 'app_opened'", ""),
        (f"update {STEPS} set window_hours = 48 where step_number = 1", ""),
        (f"update {STEPS} set window_hours = 0", ""),
        (f"update {STEPS} set is_first_attempt_only = true where step_number = 1", ""),
        (f"update {STEPS} set event_name = 'product_added' where event_name = 'product_viewed'", ""),
        (f"insert into {STEPS} from {STEPS} limit 1", ""),
    ],
    "assert_funnels_narrow": [
        (f"update {FUNNELS} set reached_count = 99 where step_number = 2", ""),
        (f"update {FUNNELS} set entered_count = entered_count + 1", ""),
        (f"delete from {FUNNELS} where funnel_name = 'shopping'", ""),
        (f"update {FUNNELS} set dropped_count = dropped_count + 1", ""),
    ],
    "assert_abandonment_adds_up": [
        (f"update {ABANDONMENT} set started_count = started_count + 1, ordered_count = ordered_count + 1", ""),
        (f"update {ABANDONMENT} set abandoned_count = abandoned_count + 1", ""),
        (f"update {ABANDONMENT} set recovered_count = matured_abandoned_count + 1", ""),
        (f"update {ABANDONMENT} set recovered_revenue_amount = recovered_revenue_amount + 1", ""),
        (
            "insert into intermediate.int_abandonments from intermediate.int_abandonments"
            " where recovered_revenue_amount > 0",
            "",
        ),
    ],
}
