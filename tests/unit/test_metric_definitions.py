"""The definitions of the semantic layer: what each has to say, and that they agree with the rest of the project."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from typing import Any

import pytest

from lifecycle.errors import LifecycleError
from lifecycle.metrics.definitions import (
    METRIC_TIME,
    UNITS,
    Definitions,
    Metric,
    fixed_by,
    in_words,
    load_definitions,
    read_definitions,
    references,
)
from lifecycle.metrics.wording import UNITS_IN_WORDS, additivity, commands, formula, listed, told
from lifecycle.settings import PROJECT_DIR
from tests.made_marts import contracts_of_models

DEFINITIONS = load_definitions()
METRICS = sorted(DEFINITIONS.metrics)


def seed(name: str) -> list[dict[str, str]]:
    with (PROJECT_DIR / "seeds" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def anchors(text: str) -> set[str]:
    """What headings of a page can be linked to by, as GitHub makes it."""
    return {
        re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }


# --- the project's own definitions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_says_what_it_is_in_which_unit_and_where_it_is_explained(name: str) -> None:
    metric = DEFINITIONS.metrics[name]
    assert metric.description.endswith("."), "a description is a sentence"
    assert metric.label and metric.label != name
    assert metric.unit in UNITS
    page, _, anchor = metric.docs.partition("#")
    text = (PROJECT_DIR / page).read_text(encoding="utf-8")
    assert not anchor or anchor in anchors(text), f"{page} has no heading for #{anchor}"


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_can_be_computed_without_metricflow_and_told_in_words(name: str) -> None:
    metric = DEFINITIONS.metrics[name]
    assert not metric.unsupported
    assert dict(told(DEFINITIONS, metric))["formula"]
    assert list(additivity(DEFINITIONS, metric))
    assert commands(DEFINITIONS, metric, None)[0][1].startswith(f"lifecycle metrics query {name} --by metric_time:")


@pytest.mark.parametrize("name", METRICS)
def test_a_ratio_divides_sums_so_it_can_be_added_up_anew(name: str) -> None:
    metric = DEFINITIONS.metrics[name]
    if metric.unit == "rate":
        assert metric.kind == "ratio", "a rate is a ratio of two metrics, never a column that was divided already"


def test_what_is_grouped_by_exists_in_the_mart() -> None:
    contracts = contracts_of_models()
    for model in DEFINITIONS.models.values():
        for grouping in model.groupings.values():
            assert grouping.sql in contracts[model.table], f"{model.table} has no column {grouping.sql}"
            assert grouping.description.endswith(".") and grouping.label
        assert model.docs.startswith("docs/")


def test_a_need_names_something_the_mart_has_and_gives_a_reason() -> None:
    for model in DEFINITIONS.models.values():
        for measure in model.measures.values():
            for need, reason in measure.needs.items():
                assert need == METRIC_TIME or need in model.groupings
                assert len(reason.split()) > 3


def test_every_metric_of_different_people_in_a_span_needs_its_span() -> None:
    assert METRIC_TIME in DEFINITIONS.models["revenue"].measures["buyer_count"].needs


def test_active_customers_are_those_whose_stage_is_active() -> None:
    (text,) = DEFINITIONS.metrics["active_customers"].filters
    named = set(re.findall(r"'([a-z_]+)'", text)) - {"scheme", "stage", "lifecycle"}
    assert named == {row["stage"] for row in seed("lifecycle_stages") if row["is_active"] == "true"}


def test_no_two_metrics_have_the_same_label() -> None:
    labels = [metric.label for metric in DEFINITIONS.metrics.values()]
    assert len(set(labels)) == len(labels), sorted({label for label in labels if labels.count(label) > 1})


# --- the targets -----------------------------------------------------------------------------------------------------

TARGETS = seed("kpi_targets")


@pytest.mark.parametrize("row", TARGETS, ids=lambda row: f"{row['kpi']}-{row['dimension_value'] or 'all'}")
def test_a_target_names_a_metric_its_unit_and_a_dimension_that_it_has(row: dict[str, str]) -> None:
    metric = DEFINITIONS.metric(row["metric_name"])
    assert row["unit"] == metric.unit
    assert not row["dimension"] or row["dimension"] in DEFINITIONS.groupings_of(metric.name)
    assert row["direction"] in ("up", "down")
    assert float(row["target_value"]) >= 0 and 0 <= float(row["tolerance_share"]) < 1
    assert row["owner"] and row["description"].endswith(".")


def test_the_scorecard_has_figures_of_every_metric_with_a_target() -> None:
    text = (PROJECT_DIR / "models" / "marts" / "metrics" / "kpi_values.sql").read_text(encoding="utf-8")
    figures = set(re.findall(r"kpi_figure\(\s*'(\w+)'", text))
    assert {row["metric_name"] for row in TARGETS} <= figures
    assert figures <= set(DEFINITIONS.metrics)


# --- reading a manifest ----------------------------------------------------------------------------------------------


def simple(name: str, measure: str, options: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    given = {"name": measure, **(options or {})}
    return {"name": name, "type": "simple", "type_params": {"measure": given}, **more}


def filtered(*texts: str) -> dict[str, Any]:
    return {"where_filters": [{"where_sql_template": text} for text in texts]}


def manifest(*metrics: dict[str, Any], **model: Any) -> dict[str, Any]:
    """A semantic manifest with one mart, ``marts.sales``."""
    sales = {
        "name": "sales",
        "node_relation": {"schema_name": "marts", "alias": "sales"},
        "primary_entity": "sale",
        "defaults": {"agg_time_dimension": "sold_month"},
        "entities": [{"name": "channel", "type": "foreign"}],
        "dimensions": [
            {"name": "sold_month", "type": "time", "type_params": {"time_granularity": "month"}},
            {"name": "size", "type": "categorical", "expr": "upper(size_code)"},
        ],
        "measures": [{"name": "sales_count", "agg": "sum"}],
        "config": {"meta": {"docs": "docs/sales.md"}},
        **model,
    }
    return {"semantic_models": [sales], "metrics": list(metrics)}


def test_names_expressions_and_defaults_are_read() -> None:
    found = read_definitions(manifest(simple("sales", "sales_count")))
    model = found.models["sales"]
    assert model.table == "marts.sales"
    assert model.groupings["size"].sql == "upper(size_code)"
    assert model.groupings["size"].full_name == "sale__size"
    assert model.groupings["channel"].full_name == "channel"
    assert found.metrics["sales"].docs == "docs/sales.md"
    assert found.metrics["sales"].unit == "number"
    assert model.measures["sales_count"].sql == "sales_count"
    assert found.grain_of("sales") == "month"
    assert set(found.groupings_of("sales")) == {"channel", "size"}


@pytest.mark.parametrize(
    ("metric", "says"),
    [
        ({"name": "so_far", "type": "cumulative", "type_params": {"measure": {"name": "sales_count"}}}, "cumulative"),
        ({"name": "won", "type": "conversion", "type_params": {}}, "conversion"),
        (simple("filled", "sales_count", {"join_to_timespine": True}), "join_to_timespine"),
        (
            {
                "name": "growth",
                "type": "derived",
                "type_params": {"expr": "a", "metrics": [{"name": "sales", "offset_window": {"count": 1}}]},
            },
            "offset",
        ),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else "",
)
def test_what_only_metricflow_computes_is_listed_and_says_so(metric: dict[str, Any], says: str) -> None:
    found = read_definitions(manifest(simple("sales", "sales_count"), metric))
    assert says in found.metrics[metric["name"]].unsupported
    assert [row[0] for row in listed(found, metric["name"])] == [metric["name"]]
    assert commands(found, found.metrics[metric["name"]], None)[0][0] == "in MetricFlow"
    assert "MetricFlow alone" in dict(told(found, found.metrics[metric["name"]]))["computed by"]


def nested() -> Definitions:
    return read_definitions(
        manifest(
            simple("sales", "sales_count", filter=filtered("{{ Dimension('sale__size') }} = 'XL'")),
            {
                "name": "share",
                "type": "ratio",
                "type_params": {
                    "numerator": {"name": "sales", "filter": filtered("{{ Entity('channel') }} = 'web'")},
                    "denominator": {"name": "sales"},
                },
            },
        )
    )


def test_conditions_of_a_metric_and_of_its_use_come_together() -> None:
    over, under = nested().leaves("share")
    assert set(over.filters) == {"{{ Entity('channel') }} = 'web'", "{{ Dimension('sale__size') }} = 'XL'"}
    assert under.filters == ("{{ Dimension('sale__size') }} = 'XL'",)


def test_an_unknown_metric_is_answered_with_the_nearest_name_or_label() -> None:
    with pytest.raises(LifecycleError, match="no metric 'net_revenu', did you mean 'net_revenue'"):
        DEFINITIONS.metric("net_revenu")
    with pytest.raises(LifecycleError, match="no metric 'average order', did you mean 'average_order_value'"):
        DEFINITIONS.metric("average order")
    with pytest.raises(LifecycleError, match="no metric 'xyzzy'\n"):
        DEFINITIONS.metric("xyzzy")


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ("{{ Dimension('cohort__month_number') }} = 1", {"month_number"}),
        ("{{ Entity('scheme') }} = 'lifecycle' and {{ Entity('stage') }} in ('a', 'b')", {"scheme"}),
        ("{{ Entity('scheme') }} = 'a or b'", {"scheme"}),
        ("{{ Entity('scheme') }} = 'a' or {{ Entity('scheme') }} = 'b'", set()),
        ("not {{ Entity('scheme') }} = 'a'", set()),
        ("{{ Entity('scheme') }} != 'a'", set()),
    ],
)
def test_what_a_condition_holds_to_one_value(condition: str, names: set[str]) -> None:
    assert fixed_by(condition) == names


def test_a_condition_reads_as_a_person_writes_it() -> None:
    assert in_words("{{ Dimension('cohort__month_number') }} = 1 and {{Entity( 'stage' )}} is null") == (
        "month_number = 1 and stage is null"
    )
    assert next(iter(references("{{ TimeDimension('metric_time', 'month') }} > 1"))).grain == "month"


@pytest.mark.parametrize("text", ["{{ Metric('orders', ['customer']) }} > 1", "{% if x %}1{% endif %} = 1"])
def test_jinja_of_another_kind_is_refused(text: str) -> None:
    with pytest.raises(LifecycleError, match="only Dimension"):
        list(references(text))


# --- in words --------------------------------------------------------------------------------------------------------


def words(name: str) -> Iterator[str]:
    return additivity(DEFINITIONS, DEFINITIONS.metrics[name])


def test_formulas_are_told_in_words() -> None:
    def of(name: str) -> str:
        return formula(DEFINITIONS, DEFINITIONS.metrics[name])

    assert of("net_revenue") == "sum of net_revenue_amount, of marts.revenue_monthly"
    assert of("average_order_value") == "revenue_before_refunds ÷ orders, each added up first"
    assert of("charged_total") == "revenue_before_refunds + tax + shipping"
    assert of("p90_days_in_stage") == "90% percentile of days_in_stage, of marts.lifecycle_transitions"
    assert of("customers_who_moved") == "different customer_id, of marts.lifecycle_transitions"
    assert of("people") == "rows, of marts.customer_360"


def test_what_cannot_be_added_up_is_told() -> None:
    assert list(words("net_revenue")) == ["over time and every dimension"]
    assert list(words("average_order_value")) == ["its parts do, over time and every dimension"]
    assert list(words("buyers")) == ["not over months: who buys in two months is one buyer"]
    assert list(words("people_in_stage")) == ["not over time: of a period its last day counts"]
    assert list(words("cohort_retention_rate")) == ["not over month_number: a cohort stands once in each of its months"]
    assert list(words("median_days_in_stage")) == ["not at all: it is computed anew for whatever is asked"]


def test_every_unit_is_told_in_words() -> None:
    assert set(UNITS_IN_WORDS) == set(UNITS)


def test_metrics_are_found_by_a_word_of_their_name_label_description_or_mart() -> None:
    assert "retention_rate_month_1" in {row[0] for row in listed(DEFINITIONS, "retention")}
    assert {row[0] for row in listed(DEFINITIONS, "average order")} == {"average_order_value"}
    assert {row[-1] for row in listed(DEFINITIONS, "lifecycle_stage_daily")} == {"lifecycle_stage_daily"}
    assert listed(DEFINITIONS, "xyzzy") == []
    assert len(listed(DEFINITIONS, None)) == len(METRICS)


def test_a_metric_that_was_never_explained_says_so() -> None:
    bare = Metric("bare", "Bare", "", "cumulative", "count", "", (), unsupported="is of type cumulative")
    assert dict(told(Definitions({}, {"bare": bare}), bare))["explained in"] == "nowhere yet"
