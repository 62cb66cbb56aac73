"""Metrics of engagement, reach, experience and support against a second computation from the raw records.

Belongs here: the comparison, column by column. Does not belong here: how a metric is computed
(``metrics_oracle_*.py``), nor the rules one by one (the unit tests of dbt).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.integration.metric_company import built
from tests.integration.metrics_oracle_data import Records
from tests.integration.metrics_oracle_engagement import Engagement, Rows
from tests.integration.metrics_oracle_reach import Reach
from tests.integration.metrics_oracle_service import Experience, Support

KEYS = {
    "engagement_monthly": ["engagement_month"],
    "email_engagement_monthly": ["sent_month", "campaign_id"],
    "message_engagement_monthly": ["sent_month", "channel"],
    "message_response_by_stage": ["lifecycle_stage", "channel", "campaign_purpose"],
    "list_health_monthly": ["list_month", "channel", "purpose"],
    "feature_usage_monthly": ["usage_month", "feature_name"],
    "product_usage_monthly": ["usage_month"],
    "engagement_index": ["customer_id"],
    "engagement_index_distribution": ["lifecycle_stage", "index_from"],
    "reach_current": ["lifecycle_stage", "channel"],
    "money_at_risk": ["lifecycle_stage", "value_group", "risk_reason"],
    "experience_monthly": ["experience_month", "survey_kind", "survey_basis"],
    "satisfaction_trend_monthly": ["trend_month", "survey_kind", "survey_basis"],
    "advocacy_monthly": ["advocacy_month"],
    "support_monthly": ["support_month", "ticket_channel"],
    "support_total_monthly": ["support_month"],
    "support_agents_monthly": ["solved_month", "id_namespace", "agent_id"],
    "contact_reasons_monthly": ["contact_month", "contact_reason", "product_id"],
    "contact_volume_hourly": ["contact_kind", "contact_channel", "weekday_number", "hour_number"],
    "deflection_monthly": ["deflection_month", "session_kind"],
}
SOURCES = {"engagement_index": "(select customer_id, engagement_index from marts.customer_360)"}


class Oracle:
    def __init__(self, path: Path) -> None:
        self.records = Records(path)
        records = self.records
        self.families: list[Any] = [Engagement(records), Reach(records), Support(records), Experience(records)]

    def rows(self, mart: str) -> Rows:
        for family in self.families:
            if hasattr(family, mart):
                compute: Callable[[], Rows] = getattr(family, mart)
                return compute()
        raise LookupError(mart)

    def published(self, mart: str) -> pd.DataFrame:
        return self.records.frame(f"select * from {SOURCES.get(mart, f'marts.{mart}')}")


@pytest.fixture(scope="module", params=["retail", "platform"])
def oracle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    found = Oracle(built(request.param, tmp_path_factory.mktemp("metrics")))
    yield found
    found.records.connection.close()


def plain(value: Any) -> Any:
    """What two computations have to agree on: no value is ``None``, numbers are numbers, times are texts."""
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    if hasattr(value, "isoformat"):
        return pd.Timestamp(value).isoformat()
    return value.item() if hasattr(value, "item") else value


def keyed(frame: pd.DataFrame, keys: list[str]) -> dict[tuple[Any, ...], dict[str, Any]]:
    rows = [{name: plain(value) for name, value in row.items()} for row in frame.to_dict("records")]
    found = {tuple(row[key] for key in keys): row for row in rows}
    assert len(found) == len(rows)
    return found


def is_same(expected: Any, value: Any) -> bool:
    if expected is None or value is None or isinstance(expected, (str, bool)):
        return bool(expected == value)
    return math.isclose(float(expected), float(value), rel_tol=1e-9, abs_tol=1e-9)


def differences(expected: Rows, published: pd.DataFrame, keys: list[str]) -> list[str]:
    mine, theirs = keyed(pd.DataFrame(expected, dtype=object), keys), keyed(published, keys)
    found = [f"{key}: only computed anew" for key in mine.keys() - theirs.keys()]
    found += [f"{key}: only in the mart" for key in theirs.keys() - mine.keys()]
    for key in sorted(mine.keys() & theirs.keys()):
        assert mine[key].keys() == theirs[key].keys(), mine[key].keys() ^ theirs[key].keys()
        found += [
            f"{key} {name}: {value} anew, {theirs[key][name]} in the mart"
            for name, value in mine[key].items()
            if not is_same(value, theirs[key][name])
        ]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("mart", KEYS)
def test_a_second_computation_agrees(oracle: Oracle, mart: str) -> None:
    wrong = differences(oracle.rows(mart), oracle.published(mart), KEYS[mart])
    assert not wrong, f"{len(wrong)} differences\n" + "\n".join(wrong[:30])


def test_a_difference_is_seen() -> None:
    month = pd.Timestamp("2024-03-01")
    mine = [{"month": month, "count": 3, "rate": 0.25, "name": None}, {"month": month + pd.offsets.MonthBegin(1)}]
    theirs = pd.DataFrame({"month": [month.date()], "count": [3], "rate": [0.25 + 1e-12], "name": [None]})
    assert differences(mine[:1], theirs, ["month"]) == []
    assert differences(mine, theirs, ["month"]) == ["('2024-04-01T00:00:00',): only computed anew"]
    for name, value in (("count", 4), ("rate", 0.2501), ("rate", None), ("name", "")):
        (said,) = differences(mine[:1], theirs.assign(**{name: [value]}), ["month"])
        assert f" {name}: " in said
    assert differences(mine[:1], theirs[:0], ["month"]) == ["('2024-03-01T00:00:00',): only computed anew"]
