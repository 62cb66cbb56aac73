"""Attribution: touches before the first orders, and what they cost; none changes where anybody stands later."""

from __future__ import annotations

from tests.dbt.alterations import Alterations

RECORDS = """
insert into raw.touchpoints (source_system, id_namespace, batch_id, loaded_at, touchpoint_id, contact_id, session_id,
        occurred_at, event_name, channel, campaign_id)
    select 'shop', 'shop', 'b1', timestamp '2023-06-11', * from (values
        ('touch1', 'ada', null, timestamp '2023-01-02 10:00', 'ad_click', 'display', 'spring'),
        ('touch2', 'ada', null, timestamp '2023-01-05 10:00', 'ad_click', 'paid_search', null),
        ('touch3', 'ada', 's1', timestamp '2023-01-06 10:00', 'page_viewed', 'organic', null),
        ('touch4', 'ben', null, timestamp '2023-01-03 10:00', 'ad_click', 'display', 'spring'),
        ('touch5', 'cleo', null, timestamp '2023-01-03 10:00', 'ad_click', 'paid_search', null));
insert into raw.marketing_spend (source_system, id_namespace, batch_id, loaded_at, spend_date, channel, campaign_id,
        spend_amount, currency)
    values ('shop', 'shop', 'b1', '2023-06-11', '2023-01-02', 'display', 'spring', 30, 'USD')
"""

CREDITS, ATTRIBUTION = "marts.attribution_conversions", "marts.attribution_monthly"
EFFECTS, TRANSITIONS = "marts.attribution_removal_effects", "intermediate.int_attribution_transitions"

ALTERATIONS: Alterations = {
    "assert_attribution_adds_up_to_orders": [
        (
            f"update {CREDITS} set linear_amount = linear_amount + 0.01 where order_id = 'a1' and channel = 'display'",
            "",
        ),
        (f"update {CREDITS} set markov_share = 0.5 where order_id = 'b1'", ""),
        (f"update {CREDITS} set first_touch_share = null where order_id = 'b1'", ""),
        (f"delete from {CREDITS} where order_id = 'n1'", ""),
        (f"update {CREDITS} set order_id = 'unheard_of' where order_id = 'n1'", ""),
    ],
    "assert_monthly_attribution_equals_revenue": [
        (
            f"update {ATTRIBUTION} set revenue_amount = revenue_amount + 0.01 where attribution_model = 'time_decay'"
            " and channel = 'display' and attribution_month = '2023-01-01'",
            "",
        ),
        (f"update {ATTRIBUTION} set refund_amount = refund_amount - 0.01 where refund_amount > 0", ""),
        (f"update {ATTRIBUTION} set spend_amount = 29 where spend_amount = 30 and attribution_model = 'linear'", ""),
        (f"update {ATTRIBUTION} set conversion_count = conversion_count + 0.01 where channel = 'display'", ""),
        (f"update {ATTRIBUTION} set new_customer_count = 0 where attribution_model = 'markov'", ""),
        (f"delete from {ATTRIBUTION} where attribution_model = 'last_touch'", ""),
        (f"delete from {ATTRIBUTION} where attribution_month = '2023-05-01' and attribution_model = 'markov'", ""),
        ("update marts.revenue_monthly set discount_amount = discount_amount + 0.01", ""),
    ],
    "assert_removal_effects_are_those_of_the_paths": [
        (f"update {TRANSITIONS} set transition_count = transition_count + 1 where to_kind = 'conversion'", ""),
        (f"update {EFFECTS} set first_touch_count = first_touch_count + 1 where channel = 'display'", ""),
        (f"update {EFFECTS} set conversion_rate = 0 where channel = 'display'", ""),
        (f"update {EFFECTS} set removal_effect = 1.5 where channel = 'display'", ""),
    ],
}
