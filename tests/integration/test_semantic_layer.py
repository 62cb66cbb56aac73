"""MetricFlow, our own compiler and plain SQL over the marts give the same figures."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lifecycle.errors import LifecycleError
from lifecycle.metrics.definitions import METRIC_TIME, Definitions, Metric, fixed_by, load_definitions
from lifecycle.metrics.query import Answer, Question, answer
from lifecycle.metrics.spans import spans
from lifecycle.settings import PROJECT_DIR
from lifecycle.warehouse import open_duckdb
from tests.made_marts import LAST, make_marts

ASK = Path(__file__).with_name("ask_metricflow.py")

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("dbt_metricflow") is None,
    reason="MetricFlow is not installed: `make setup` installs it with the extra `semantic`",
)


@dataclass(frozen=True)
class Asked:
    """One question, in our words; ``where`` are (name, operator and value) of conditions."""

    metrics: tuple[str, ...]
    by: tuple[str, ...] = ()
    where: tuple[tuple[str, str], ...] = ()
    first_day: date | None = None
    last_day: date | None = None

    def __str__(self) -> str:
        days = f" {self.first_day or ''}..{self.last_day or ''}" if self.first_day or self.last_day else ""
        return f"{'+'.join(self.metrics)} by {'+'.join(self.by) or 'nothing'} {self.where or ''}{days}"

    def of_us(self) -> Question:
        where = tuple(f"{name} {rest}" for name, rest in self.where)
        return Question(self.metrics, self.by, where, self.first_day, self.last_day)

    def of_metricflow(self, definitions: Definitions) -> dict[str, Any]:
        known = definitions.groupings_of(self.metrics[0])

        def full(name: str) -> str:
            return name.replace(":", "__") if name.startswith(METRIC_TIME) else known[name].full_name

        def condition(name: str, rest: str) -> str:
            kind = "Entity" if known[name].is_entity else "Dimension"
            return f"{{{{ {kind}('{known[name].full_name}') }}}} {rest}"

        return {
            "metrics": list(self.metrics),
            "by": [full(name) for name in self.by],
            "where": [condition(name, rest) for name, rest in self.where],
            "first_day": self.first_day.isoformat() if self.first_day else None,
            "last_day": self.last_day.isoformat() if self.last_day else None,
        }


@dataclass
class Company:
    """Made marts, and a dbt project beside them that MetricFlow reads."""

    definitions: Definitions
    folder: Path
    environment: Mapping[str, str]
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def database(self) -> Path:
        return self.folder / "lifecycle.duckdb"

    @property
    def project(self) -> Path:
        return self.folder / "dbt_project"

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command],
            cwd=self.project,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def script(self, name: str) -> str:
        return str(Path(sys.executable).with_name(name))

    def ask(self, asked: Asked) -> Answer:
        with open_duckdb(self.database, read_only=True) as warehouse:
            return answer(warehouse, self.definitions, asked.of_us(), as_of=LAST, run_id="made")

    def ask_metricflow(self, questions: Sequence[Asked]) -> None:
        given, found = self.folder / "questions.json", self.folder / "answers.json"
        given.write_text(json.dumps([asked.of_metricflow(self.definitions) for asked in questions]))
        done = self.run(str(ASK), str(given), str(found))
        assert done.returncode == 0, done.stderr[-2_000:]
        self.answers |= dict(zip(map(str, questions), json.loads(found.read_text()), strict=True))


DEFINITIONS = load_definitions()
SUPPORTED = [metric for metric in DEFINITIONS.metrics.values() if not metric.unsupported]


def needs(metric: Metric) -> tuple[str, ...]:
    """What a metric has to be taken apart by."""
    found: dict[str, None] = {}
    for leaf in DEFINITIONS.leaves(metric.name):
        held = {name for text in leaf.filters for name in fixed_by(text)}
        wanted = set(DEFINITIONS.models[leaf.model].measures[leaf.measure].needs) - held
        found |= dict.fromkeys(f"{METRIC_TIME}:{DEFINITIONS.grain_of(metric.name)}" for need in wanted & {METRIC_TIME})
        found |= dict.fromkeys(sorted(wanted - {METRIC_TIME}))
    return tuple(found)


def everything() -> Iterator[Asked]:
    """Each metric by its time, by a longer time and by two of its dimensions: in turn, so that each comes up."""
    for number, metric in enumerate(SUPPORTED):
        needed = needs(metric)
        grains = spans(DEFINITIONS.grain_of(metric.name))
        times = grains[:1] if any(name.startswith(METRIC_TIME) for name in needed) else (grains[0], grains[-2])
        for grain in times:
            yield Asked((metric.name,), tuple(dict.fromkeys((*needed, f"{METRIC_TIME}:{grain}"))))
        names = list(DEFINITIONS.groupings_of(metric.name))
        for name in [names[(2 * number + turn) % len(names)] for turn in range(min(2, len(names)))]:
            yield Asked((metric.name,), tuple(dict.fromkeys((*needed, name))))


TOGETHER = [
    Asked(("net_revenue", "average_order_value", "people_in_stage", "stage_moves"), (f"{METRIC_TIME}:month",)),
    Asked(("net_revenue", "at_risk_rate", "retention_rate_month_1"), (f"{METRIC_TIME}:quarter",)),
    Asked(("people_in_stage", "customers", "revenue_per_customer"), ("stage",)),
    Asked(("customers", "net_revenue")),
    Asked(("charged_total", "refund_rate", "orders_per_buyer"), (f"{METRIC_TIME}:month",)),
    Asked(("retention_rate_month_1", "retention_rate_month_3"), (f"{METRIC_TIME}:month",)),
    Asked(
        ("stage_moves", "median_days_in_stage", "p90_days_in_stage", "customers_who_moved"), ("from_stage", "to_stage")
    ),
    Asked(("at_risk_customers", "active_customers", "at_risk_rate"), (f"{METRIC_TIME}:week",)),
    Asked(("opening_customers", "customer_losses", "customers"), ("acquisition_channel",)),
    Asked(("churn_rate", "retention_rate", "blended_cac", "net_mrr_retention_rate"), (f"{METRIC_TIME}:month",)),
    Asked(("leads", "cost_per_lead", "lead_to_customer_30_days_rate", "activation_rate"), ("channel_group",)),
    Asked(("opening_customers", "closing_customers", "opening_mrr", "closing_mrr"), (f"{METRIC_TIME}:quarter",)),
    Asked(("tickets", "messages_sent"), ("channel",)),
    Asked(("relational_nps", "csat_rate", "mean_ces"), (f"{METRIC_TIME}:month",)),
]
UNDER_CONDITIONS = [
    Asked(("cohort_retention_rate",), (f"{METRIC_TIME}:month",), (("month_number", "= 2"),)),
    Asked(("cohort_retention_rate",), ("month_number",), (("month_number", "in (1, 2, 3)"),)),
    Asked(("customers", "email_reachable_rate"), ("country",), (("persona", "= 'blue'"), ("is_subscribed", "= true"))),
    Asked(("customers",), ("persona",), (("persona", "!= 'blue'"),)),
    Asked(("customers",), ("persona",), (("persona", "is null"),)),
    Asked(("customers",), ("persona",), (("persona", "not in ('blue', 'dune')"),)),
    Asked(("people_in_stage",), (f"{METRIC_TIME}:month",), (("stage", "= 'loyalty'"),)),
    Asked(("people_in_scheme_stage",), ("stage",), (("scheme", "= 'amber'"),)),
    Asked(("abandonment_rate",), (f"{METRIC_TIME}:quarter",), (("abandonment_kind", "= 'cart'"),)),
    Asked(("list_growth_rate",), (f"{METRIC_TIME}:quarter",), (("channel", "= 'blue'"), ("purpose", "= 'dune'"))),
    Asked(("stage_moves",), ("to_stage",), (("from_stage", "= 'coral'"),), date(2024, 3, 10), date(2024, 8, 20)),
]
ON_DAYS = [
    Asked(("net_revenue", "people_in_stage"), (f"{METRIC_TIME}:month",), (), date(2024, 2, 10), date(2024, 5, 5)),
    Asked(("net_revenue", "people_in_stage"), (f"{METRIC_TIME}:quarter",), (), date(2024, 2, 10), None),
    Asked(("net_revenue", "people_in_stage"), (), (), date(2024, 2, 10), date(2024, 5, 5)),
    Asked(("people_in_stage", "stage_moves"), (f"{METRIC_TIME}:week",), (), None, date(2024, 5, 5)),
    Asked(("people_in_stage",), ("stage",), (), date(2025, 2, 10), date(2025, 6, 10)),
]
QUESTIONS = list({str(asked): asked for asked in (*everything(), *TOGETHER, *UNDER_CONDITIONS, *ON_DAYS)}.values())
REFUSED = [
    Asked(("net_revenue",), (f"{METRIC_TIME}:day",)),
    Asked(("net_revenue", "customers"), (f"{METRIC_TIME}:week",)),
]


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Company:
    folder = tmp_path_factory.mktemp("metricflow")
    project = folder / "dbt_project"
    project.mkdir()
    # MetricFlow looks for its manifest in the project's own folder: this one is the project's, by links.
    for part in ("models", "seeds"):
        (folder / part).symlink_to(PROJECT_DIR / part)
    for part in ("macros", "tests", "metricflow"):
        (project / part).symlink_to(PROJECT_DIR / "dbt_project" / part)
    (project / "dbt_project.yml").write_bytes((PROJECT_DIR / "dbt_project" / "dbt_project.yml").read_bytes())
    environment = {
        "LIFECYCLE_PUBLICATION": str(folder / "lifecycle.duckdb"),
        "DBT_PROFILES_DIR": str(project / "metricflow"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    made = Company(DEFINITIONS, folder, environment)
    make_marts(made.database, DEFINITIONS)
    made.database.chmod(0o444)
    parsed = made.run("-m", "dbt.cli.main", "--quiet", "parse")
    assert parsed.returncode == 0, parsed.stdout
    made.ask_metricflow([*QUESTIONS, *REFUSED])
    return made


def keyed(rows: Sequence[Sequence[Any]], groups: int) -> dict[tuple[str, ...], tuple[Any, ...]]:
    found = {tuple(str(value) for value in row[:groups]): tuple(row[groups:]) for row in rows}
    assert len(found) == len(rows), "a group stands twice"
    return found


def same(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    numbers = [float(value) if isinstance(value, Decimal) else value for value in (one, other)]
    return math.isclose(*numbers, rel_tol=1e-9, abs_tol=1e-9)


@pytest.mark.parametrize("asked", QUESTIONS, ids=str)
def test_metricflow_answers_what_we_answer(company: Company, asked: Asked) -> None:
    theirs = company.answers[str(asked)]
    assert "error" not in theirs, theirs.get("error")
    ours = company.ask(asked)
    groups = len(asked.by)
    full_names = asked.of_metricflow(company.definitions)["by"]
    # MetricFlow puts times first.
    places = [theirs["columns"].index(name) for name in (*full_names, *asked.metrics)]
    assert len(places) == len(theirs["columns"])
    left = keyed(ours.rows, groups)
    right = keyed([[row[place] for place in places] for row in theirs["rows"]], groups)
    assert left.keys() == right.keys()
    for key, figures in left.items():
        assert all(map(same, figures, right[key])), (key, figures, right[key])
    assert left


@pytest.mark.parametrize("asked", REFUSED, ids=str)
def test_what_metricflow_refuses_we_refuse(company: Company, asked: Asked) -> None:
    assert "error" in company.answers[str(asked)]
    with pytest.raises(LifecycleError):
        company.ask(asked)


def test_there_are_figures_to_differ_by(company: Company) -> None:
    """Made rows are of no use where every figure is null."""
    for metric in SUPPORTED:
        rows = [
            row for asked in QUESTIONS if asked.metrics == (metric.name,) for row in company.answers[str(asked)]["rows"]
        ]
        assert sum(row[-1] is not None for row in rows) > 3, metric.name


# --- the marts themselves --------------------------------------------------------------------------------------------

MONTH = f"{METRIC_TIME}:month"
LAST_DAYS = (
    "(from marts.lifecycle_stage_daily where scheme = 'lifecycle' qualify stage_date = max(stage_date)"
    " over (partition by date_trunc('month', stage_date)))"
)
# Metric, what it is grouped by, and the same by hand.
BY_HAND = [
    ("net_revenue", MONTH, "select revenue_month, sum(net_revenue_amount) from marts.revenue_monthly group by 1"),
    ("orders", MONTH, "select revenue_month, sum(order_count) from marts.revenue_monthly group by 1"),
    ("buyers", MONTH, "select revenue_month, sum(customer_count) from marts.revenue_monthly group by 1"),
    (
        "average_order_value",
        MONTH,
        "select revenue_month, sum(gross_revenue_amount - discount_amount)::double / nullif(sum(order_count), 0)"
        " from marts.revenue_monthly group by 1",
    ),
    (
        "refund_rate",
        MONTH,
        "select revenue_month, sum(refund_amount)::double / nullif(sum(gross_revenue_amount - discount_amount), 0)"
        " from marts.revenue_monthly group by 1",
    ),
    (
        "retention_rate_month_1",
        MONTH,
        "select cohort_month, sum(retained_customer_count)::double / nullif(sum(cohort_customer_count)"
        " filter (where retained_customer_count is not null), 0)"
        " from marts.retention_cohorts_monthly where month_number = 1 group by 1",
    ),
    (
        "cohort_retention_rate",
        "month_number",
        "select month_number, sum(retained_customer_count)::double / nullif(sum(cohort_customer_count)"
        " filter (where retained_customer_count is not null), 0) from marts.retention_cohorts_monthly group by 1",
    ),
    (
        "people_in_stage",
        MONTH,
        f"select date_trunc('month', stage_date)::date, sum(customer_count) from {LAST_DAYS} group by 1",
    ),
    (
        "stage_entries",
        "stage",
        "select stage, sum(entered_count) from marts.lifecycle_stage_daily where scheme = 'lifecycle' group by 1",
    ),
    ("stage_moves", "to_stage", "select to_stage, count(*) from marts.lifecycle_transitions group by 1"),
    (
        "customers_who_moved",
        MONTH,
        "select date_trunc('month', moved_date)::date, count(distinct customer_id)"
        " from marts.lifecycle_transitions group by 1",
    ),
    (
        "median_days_in_stage",
        "from_stage",
        "select from_stage, median(days_in_stage) from marts.lifecycle_transitions group by 1",
    ),
    (
        "customers",
        "persona",
        "select persona, count(became_customer_at) from marts.customer_360 group by 1",
    ),
    (
        "churn_rate",
        MONTH,
        "select balance_month, sum(churned_from_opening_count)::double / nullif(sum(opening_count), 0)"
        " from marts.customer_balance_by_group_monthly group by 1",
    ),
    (
        "blended_cac",
        MONTH,
        "select acquisition_month, sum(acquisition_cost_amount)::double / nullif(sum(new_customer_count)"
        " filter (where acquisition_cost_amount is not null), 0) from marts.acquisition_cost_monthly group by 1",
    ),
    (
        "activation_rate",
        "channel_group",
        "select acquisition_channel, sum(activated_count)::double / nullif(sum(cohort_customer_count)"
        " filter (where activated_count is not null), 0) from marts.activation_cohorts group by 1",
    ),
    (
        "segment_members_at_end",
        "segment",
        "select segment_name, sum(closing_member_count) from (from segments.segment_monthly"
        " qualify segment_month = max(segment_month) over ()) group by 1",
    ),
    (
        "email_click_rate",
        "campaign",
        "select campaign_id, sum(unique_click_count)::double / nullif(sum(delivered_count), 0)"
        " from marts.email_engagement_monthly group by 1",
    ),
    (
        "usage_breadth_rate",
        MONTH,
        "select usage_month, sum(key_feature_use_count)::double / nullif(sum(user_count * key_feature_count), 0)"
        " from marts.product_usage_monthly group by 1",
    ),
    (
        "first_contact_resolution_rate",
        "channel",
        "select ticket_channel, sum(first_contact_resolved_count)::double"
        " / nullif(sum(first_contact_eligible_count), 0) from marts.support_monthly group by 1",
    ),
    (
        "revenue_per_customer",
        "country",
        "select country, sum(net_revenue_amount)::double / nullif(count(became_customer_at), 0)"
        " from marts.customer_360 group by 1",
    ),
    (
        "email_reachable_rate",
        "acquisition_channel",
        "select acquisition_channel, count(*) filter (where became_customer_at is not null and email_consent)::double"
        " / nullif(count(became_customer_at), 0) from marts.customer_360 group by 1",
    ),
]


@pytest.mark.parametrize(("metric", "by", "sql"), BY_HAND, ids=[f"{metric} by {by}" for metric, by, _ in BY_HAND])
def test_a_metric_is_what_its_mart_says(company: Company, metric: str, by: str, sql: str) -> None:
    with open_duckdb(company.database, read_only=True) as warehouse:
        by_hand = keyed(warehouse.rows(sql), 1)
    ours = keyed(company.ask(Asked((metric,), (by,))).rows, 1)
    assert ours.keys() == by_hand.keys()
    for key, (figure,) in ours.items():
        assert same(figure, by_hand[key][0]), key
    assert len(ours) > 3


# --- the commands of MetricFlow --------------------------------------------------------------------------------------


def test_metricflow_finds_nothing_wrong_with_the_definitions(company: Company) -> None:
    checked = company.run(company.script("mf"), "validate-configs", "--show-all")
    assert checked.returncode == 0, checked.stdout
    assert checked.stdout.count("(ERRORS: 0, FUTURE_ERRORS: 0, WARNINGS: 0)") == 6, checked.stdout


def test_mf_query_answers_from_a_publication_that_cannot_be_written(company: Company) -> None:
    file = company.folder / "answer.csv"
    command = ["query", "--metrics", "orders", "--group-by", "metric_time__month", "--csv", str(file)]
    answered = company.run(company.script("mf"), *command)
    assert answered.returncode == 0, answered.stdout
    ours = {str(month): float(orders) for month, orders in company.ask(Asked(("orders",), (MONTH,))).rows}
    lines = [line.split(",") for line in file.read_text().splitlines()]
    assert lines[0] == ["metric_time__month", "orders"]
    assert {month[:10]: float(orders) for month, orders in lines[1:]} == ours
