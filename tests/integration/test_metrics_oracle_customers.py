"""The marts on customers and money against a second opinion: every column of every row of two demo companies."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tests.integration import metrics_oracle_customers as oracle
from tests.integration.metric_company import built
from tests.integration.metrics_oracle_customers import Company, Row

KEYS = {
    "marts.customer_balance_monthly": ("balance_month",),
    "marts.customer_balance_by_group_monthly": ("balance_month", "persona", "acquisition_channel"),
    "marts.revenue_monthly": ("revenue_month",),
    "marts.retention_cohorts_monthly": ("cohort_month", "month_number"),
    "marts.purchase_frequency_monthly": ("frequency_month",),
    "marts.acquisition_monthly": ("acquisition_month", "channel", "campaign_id"),
    "marts.acquisition_cost_monthly": ("acquisition_month",),
    "marts.lead_cohorts_monthly": ("cohort_month", "acquisition_channel"),
    "marts.value_cohorts": ("cohort_month", "month_number"),
    "marts.activation_cohorts": ("cohort_month", "acquisition_channel"),
    "marts.onboarding_monthly": ("cohort_month",),
    "marts.onboarding_steps_monthly": ("cohort_month", "step_name"),
    "segments.segment_monthly": ("segment_month", "segment_name"),
    "marts.mrr_movements_monthly": ("mrr_month",),
    "marts.second_orders": ("dimension", "dimension_value"),
    "marts.expansion_revenue_monthly": ("expansion_month",),
    "marts.product_popularity_monthly": ("popularity_month", "product_id"),
    "marts.funnel_steps_monthly": ("funnel_month", "funnel_name", "step_number"),
    "marts.abandonment_monthly": ("abandonment_month", "abandonment_kind"),
}


@pytest.fixture(scope="module", params=["retail", "platform"])
def company(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    made = Company(built(request.param, tmp_path_factory.mktemp("metrics")))
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.parametrize("mart", KEYS)
def test_a_mart_is_what_its_page_says(company: Company, mart: str) -> None:
    wanted = getattr(oracle, mart.split(".")[1])(company)
    assert differences(company.mart(mart), wanted, KEYS[mart]) == []


def differences(found: list[Row], wanted: list[Row], keys: tuple[str, ...]) -> list[str]:
    """What the mart says otherwise, in words."""
    told = []
    ours, theirs = ({tuple(row[key] for key in keys): row for row in rows} for rows in (wanted, found))
    assert len(ours) == len(wanted) and len(theirs) == len(found), "a key stands twice"
    told += [f"missing: {key}" for key in ours.keys() - theirs.keys()]
    told += [f"too much: {key}" for key in theirs.keys() - ours.keys()]
    for key in sorted(ours.keys() & theirs.keys(), key=str):
        if ours[key].keys() != theirs[key].keys():
            told.append(f"columns: {sorted(ours[key].keys() ^ theirs[key].keys())}")
            break
        told += [
            f"{key}: {name} is {value!r}, not {ours[key][name]!r}"
            for name, value in theirs[key].items()
            if not is_same(value, ours[key][name])
        ]
    return told


def is_same(found: Any, wanted: Any) -> bool:
    if isinstance(found, float) and isinstance(wanted, float):
        return found == pytest.approx(wanted, abs=1e-9, rel=1e-9)
    if isinstance(found, Decimal) and isinstance(wanted, Decimal) and wanted != round(wanted, 2):
        return abs(found - wanted) <= Decimal("0.005")
    kinds: tuple[type, ...] = (Decimal, int, str, date, bool)
    assert found is None or wanted is None or any(isinstance(found, kind) for kind in kinds), (found, wanted)
    return bool(found == wanted)
