"""Engagement and reach: an email, a text message, and a feature that was used."""

from __future__ import annotations

from tests.dbt.alterations import Alterations
from tests.dbt.alterations.tables import C360

# What engagement and reach look at: an email, a text message, and a feature that was used.
RECORDS = """
insert into raw.touchpoints
    (touchpoint_id, contact_id, occurred_at, event_name, channel, message_id, campaign_id) values
    ('m1s', 'ada', '2023-05-15 09:00', 'email_sent', 'email', 'm1', 'c1'),
    ('m1d', 'ada', '2023-05-15 09:00:05', 'email_delivered', 'email', 'm1', 'c1'),
    ('m2s', 'ben', '2023-06-02 09:00', 'message_sent', 'sms', 'm2', null);
insert into raw.touchpoints (touchpoint_id, anonymous_id, occurred_at, event_name, channel, feature_name) values
    ('f1', 'cookie', '2023-06-01 10:05', 'feature_used', 'app', 'share');
"""

# Engagement and reach.
ENGAGEMENT, EMAILS, LISTS = "marts.engagement_monthly", "marts.email_engagement_monthly", "marts.list_health_monthly"
USAGE, REACH, AT_RISK = "marts.product_usage_monthly", "marts.reach_current", "marts.money_at_risk"
WEIGHTS, INDEX = "seeds.engagement_weights", "marts.engagement_index_distribution"
ALTERATIONS: Alterations = {
    "assert_active_people_equal_the_timeline": [
        (f"update {ENGAGEMENT} set active_28d_count = active_28d_count + 1", ""),
        (f"update {ENGAGEMENT} set active_1d_count = 1, active_7d_count = 0 where engagement_month = '2023-03-01'", ""),
        (f"update {ENGAGEMENT} set visit_count = visit_count + 1 where engagement_month = '2023-06-01'", ""),
        (f"delete from {ENGAGEMENT} where engagement_month = '2023-06-01'", ""),
        (f"update {ENGAGEMENT} set active_day_count = 0 where engagement_month = '2023-06-01'", ""),
    ],
    "assert_messages_hold_every_event": [
        ("delete from intermediate.int_message_events where step = 'delivered'", ""),
        ("update intermediate.int_message_events set step = 'opened' where step = 'sent' and channel = 'sms'", ""),
        (f"update {EMAILS} set sent_count = sent_count + 1", ""),
        (f"update {EMAILS} set unique_click_count = unique_click_count + 1", ""),
        (f"update {EMAILS} set unsubscribed_count = unsubscribed_count + 1", ""),
        ("delete from marts.message_engagement_monthly", ""),
        (f"update {LISTS} set delivered_count = delivered_count + 1 where list_month = '2023-05-01'", ""),
        ("delete from marts.message_response_by_stage where channel = 'email'", ""),
    ],
    "assert_email_conversions_equal_orders": [
        (f"update {EMAILS} set conversion_count = 1", ""),
        (f"update {EMAILS} set conversion_revenue_amount = 0.01", ""),
        (f"update {EMAILS} set conversion_count = null", ""),
        (
            f"insert into {EMAILS} (sent_month, campaign_id, conversion_count) values ('2023-06-01', 'c2', 0)",
            "",
        ),
    ],
    "assert_lists_balance": [
        (f"update {LISTS} set closing_count = closing_count + 1 where list_month = '2023-03-01'", ""),
        (f"update {LISTS} set granted_count = granted_count + 1 where list_month = '2023-01-01'", ""),
        (f"update {LISTS} set opening_count = 2, withdrawn_count = 1 where list_month = '2023-06-01'", ""),
        (f"update {LISTS} set expired_count = 1 where list_month = '2023-06-01'", ""),
        (f"delete from {LISTS} where list_month = '2023-06-01'", ""),
        (f"update {C360} set email_consent = false", ""),
    ],
    "assert_product_use_equals_the_timeline": [
        ("update marts.feature_usage_monthly set event_count = event_count + 1", ""),
        ("delete from marts.feature_usage_monthly", ""),
        (f"update {USAGE} set subscriber_count = subscriber_count + 1 where usage_month = '2023-06-01'", ""),
        (f"update {USAGE} set subscriber_user_count = 1", ""),
        (f"update {USAGE} set active_day_count = user_count * usage_days + 1 where usage_month = '2023-06-01'", ""),
        (f"update {USAGE} set key_feature_use_count = 1", ""),
    ],
    "assert_engagement_indexes_hold_everybody": [
        (f"update {INDEX} set customer_count = customer_count + 1", ""),
        (f"delete from {INDEX} where lifecycle_stage = 'lapsed'", ""),
        (f"update {C360} set engagement_index = 100.01 where order_count = 3", ""),
        (f"update {WEIGHTS} set component = 'likes' where component = 'visits'", ""),
        (f"update {WEIGHTS} set window_days = null where component = 'visits'", ""),
        (f"update {WEIGHTS} set saturation = 0 where component = 'recency'", ""),
        (f"update {WEIGHTS} set weight = -1 where component = 'recency'", ""),
    ],
    "assert_reach_counts_everybody": [
        (f"update {REACH} set customer_count = customer_count + 1 where channel = 'post'", ""),
        (f"update {C360} set email_consent = true where order_count = 0", ""),
        (f"update {REACH} set identifier_count = consent_count + 1, reachable_count = consent_count + 1", ""),
        (f"update {REACH} set reachable_count = reachable_count + 1", ""),
        (f"delete from {REACH} where channel = 'push'", ""),
    ],
    "assert_money_at_risk_is_of_everybody_at_risk": [
        (f"update {AT_RISK} set at_risk_customer_count = at_risk_customer_count + 1", ""),
        (f"delete from {AT_RISK}", ""),
        (f"update {AT_RISK} set gross_margin_12m_amount = gross_margin_12m_amount + 0.01", ""),
        (f"update {AT_RISK} set unknown_cost_12m_amount = unknown_cost_12m_amount + 0.01", ""),
        (f"update {AT_RISK} set risk_reason = 'boredom'", ""),
    ],
}
