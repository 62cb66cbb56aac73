"""Acquisition, activation and onboarding: what was spent, and the steps of somebody who tried first."""

from __future__ import annotations

from tests.dbt.alterations import Alterations
from tests.dbt.alterations.tables import HISTORY

# Acquisition and activation: what was spent, and the steps of somebody who tried first.
RECORDS = """
insert into raw.marketing_spend
    (source_system, id_namespace, batch_id, loaded_at, spend_date, channel, spend_amount, currency, spend_purpose)
values
    ('ads', 'ads', 'b1', '2023-06-11', '2023-01-05', 'display', 100, 'USD', 'acquire'),
    ('ads', 'ads', 'b1', '2023-06-11', '2023-05-02', 'email', 40, 'USD', 'mixed');
insert into raw.touchpoints (touchpoint_id, contact_id, occurred_at, event_name, channel, step) values
    ('step1', 'ada', '2023-01-09 10:00', 'trial_started', 'app', null),
    ('step2', 'ada', '2023-01-09 11:00', 'onboarding_step', 'app', 'profile'),
    ('step3', 'ben', '2023-01-16 11:00', 'onboarding_step', 'app', 'profile'),
    ('step4', 'ben', '2023-01-16 12:00', 'onboarding_step', 'app', 'first_project');
"""

# Acquisition and activation.
CHANNELS_MONTHLY, COSTS, VALUES = "marts.acquisition_monthly", "marts.acquisition_cost_monthly", "marts.value_cohorts"
ACTIVATIONS, STEPS, ONBOARDINGS = (
    "marts.activation_cohorts", "marts.onboarding_steps_monthly", "marts.onboarding_monthly",
)  # fmt: skip
ALTERATIONS: Alterations = {
    "assert_acquisition_adds_up": [
        (f"update {CHANNELS_MONTHLY} set lead_count = lead_count + 1", ""),
        (f"update {CHANNELS_MONTHLY} set new_customer_count = 0", ""),
        (f"update {CHANNELS_MONTHLY} set spend_amount = spend_amount + 0.01 where channel = 'display'", ""),
        (f"update {CHANNELS_MONTHLY} set spend_without_rate_count = 1 where channel = 'display'", ""),
        ("update marts.lead_cohorts_monthly set lead_count = lead_count + 1", ""),
        (f"update {COSTS} set retain_spend_amount = retain_spend_amount + 0.01 where spend_amount = 40", ""),
        (f"delete from {COSTS} where lead_count > 0", ""),
        (f"delete from {COSTS} where spend_amount = 40", ""),
    ],
    "assert_value_cohorts_equal_orders": [
        (f"update {VALUES} set cohort_customer_count = cohort_customer_count + 1 where month_number = 0", ""),
        (f"update {VALUES} set net_revenue_amount = net_revenue_amount + 0.01", ""),
        (f"update {VALUES} set net_revenue_amount = null", ""),
        (f"delete from {VALUES} where cohort_month = '2023-05-01'", ""),
    ],
    "assert_retained_customers_follow_the_history": [
        (f"update {COSTS} set retained_customer_count = retained_customer_count + 1", ""),
        (f"delete from {COSTS} where acquisition_month = '2023-06-01'", ""),
        (f"update {HISTORY} set stage = 'churned'", ""),
    ],
    "assert_all_spend_has_an_exchange_rate": [
        ("update intermediate.int_marketing_spend set is_without_rate = true where channel = 'email'", "")
    ],
    "assert_activation_cohorts_hold_everybody_once": [
        (f"update {ACTIVATIONS} set cohort_customer_count = cohort_customer_count + 1", ""),
        (f"delete from {ACTIVATIONS} where cohort_month = '2023-05-01'", ""),
        (f"update {ACTIVATIONS} set activated_count = cohort_customer_count + 1", ""),
        (f"update {ACTIVATIONS} set value_count = cohort_customer_count + 1", ""),
        (f"update {ACTIVATIONS} set activated_before_count = activated_count + 1", ""),
    ],
    "assert_onboarding_steps_and_completions_agree": [
        (f"update {STEPS} set reached_count = started_count + 1 where step_name = 'profile'", ""),
        (f"update {STEPS} set drop_off_count = reached_count + 1 where step_name = 'profile'", ""),
        (f"update {STEPS} set started_count = started_count + 1", ""),
        (f"update {ONBOARDINGS} set completed_count = 1", ""),
        (f"delete from {ONBOARDINGS}", ""),
    ],
}
