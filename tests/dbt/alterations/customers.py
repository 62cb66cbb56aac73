"""Balance of customers, segments and subscriptions: two who subscribe, one of whom is lost to a failed payment."""

from __future__ import annotations

from tests.dbt.alterations import Alterations
from tests.dbt.alterations.tables import C360

# Two more who subscribe: one takes a larger plan, one is lost to a failed payment.
RECORDS = """
insert into raw.contacts (contact_id, email, created_at) values
    ('dora', 'dora@example.com', '2023-01-01'), ('eve', 'eve@example.com', '2023-01-01');
insert into raw.subscriptions (subscription_id, contact_id) values ('s1', 'dora'), ('s2', 'eve');
insert into raw.subscription_events
    (subscription_event_id, subscription_id, occurred_at, event_kind, plan_name, mrr_amount, currency) values
    ('e1', 's1', '2023-01-20 10:00', 'started', 'basic', 10, 'USD'),
    ('e2', 's1', '2023-03-20 10:00', 'upgraded', 'gold', 25, 'USD'),
    ('e3', 's2', '2023-02-20 10:00', 'started', 'basic', 10, 'USD'),
    ('e4', 's2', '2023-04-20 10:00', 'payment_failed', 'basic', 10, 'USD'),
    ('e5', 's2', '2023-04-27 10:00', 'ended', 'basic', 0, 'USD');
"""

BALANCE, GROUPS = "marts.customer_balance_monthly", "marts.customer_balance_by_group_monthly"
MRR, COHORTS, SEGMENT_MONTHS = (
    "marts.mrr_movements_monthly", "marts.retention_cohorts_monthly", "segments.segment_monthly",
)  # fmt: skip
ALTERATIONS: Alterations = {
    "assert_customer_balance_adds_up": [
        (f"update {BALANCE} set churned_count = churned_count + 1 where balance_month = '2023-05-01'", ""),
        (
            f"update {BALANCE} set new_count = new_count + 1, closing_count = closing_count + 1"
            f" where balance_month = (select max(balance_month) from {BALANCE})",
            "",
        ),
        (f"update {BALANCE} set churned_from_opening_count = opening_count + 1", ""),
        (f"update {BALANCE} set reactivated_from_opening_count = reactivated_count + 1", ""),
        (f"delete from {BALANCE} where balance_month = '2023-03-01'", ""),
        (f"update {C360} set lifecycle_stage = 'lapsed' where order_count = 3", ""),
        ("delete from marts.lifecycle_transitions where to_stage = 'lapsed'", ""),
    ],
    "assert_customer_balance_is_the_sum_of_its_groups": [
        (f"update {GROUPS} set opening_count = opening_count + 1", ""),
        (
            f"update {GROUPS} set new_count = new_count + 1, closing_count = closing_count + 1"
            f" where balance_month = (select max(balance_month) from {GROUPS})",
            "",
        ),
        (f"update {GROUPS} set reactivated_from_opening_count = 1", ""),
        (f"delete from {GROUPS} where balance_month = '2023-03-01'", ""),
        (f"delete from {BALANCE} where balance_month = '2023-03-01'", ""),
    ],
    "assert_segment_balances_add_up": [
        (f"update {SEGMENT_MONTHS} set exited_count = exited_count + 1", ""),
        (
            f"update {SEGMENT_MONTHS} set entered_count = entered_count + 1,"
            " closing_member_count = closing_member_count + 1 where segment_month = '2023-06-01'",
            "",
        ),
        (f"update {SEGMENT_MONTHS} set moved_in_count = moved_in_count + 1", ""),
        (f"update {SEGMENT_MONTHS} set churned_from_opening_count = active_opening_count + 1", ""),
        (f"update {SEGMENT_MONTHS} set net_revenue_amount = net_revenue_amount + 0.01", ""),
        (f"delete from {SEGMENT_MONTHS} where segment_name = 'lapsed'", ""),
        ("delete from segments.segment_members where segment_name = 'lapsed'", ""),
        (f"update {C360} set lifecycle_stage = 'lapsed' where order_count = 3", ""),
    ],
    "assert_mrr_movements_add_up": [
        (f"update {MRR} set expansion_mrr_amount = expansion_mrr_amount + 0.01", ""),
        (
            f"update {MRR} set fx_mrr_amount = fx_mrr_amount + 0.01, closing_mrr_amount = closing_mrr_amount + 0.01"
            f" where mrr_month = (select max(mrr_month) from {MRR})",
            "",
        ),
        (f"update {MRR} set involuntary_churn_amount = involuntary_churn_amount + 0.01", ""),
        (f"update {MRR} set opening_customer_count = opening_customer_count + 1", ""),
        (f"update {C360} set mrr_amount = mrr_amount + 0.01 where is_subscribed", ""),
        (f"update {C360} set is_subscribed = false", ""),
        (f"update {C360} set mrr_amount = null; delete from intermediate.int_subscription_changes where is_last", ""),
        (f"delete from {MRR} where mrr_month = '2023-06-01'", ""),
    ],
    "assert_retained_customers_are_active": [
        (f"update {COHORTS} set active_customer_count = 0", ""),
        (f"update {COHORTS} set active_customer_count = cohort_customer_count + 1", ""),
        (f"update {COHORTS} set active_customer_count = null", ""),
    ],
    "assert_every_subscription_has_an_exchange_rate": [
        ("update intermediate.int_subscription_changes set currency = 'XTS'", "")
    ],
}
