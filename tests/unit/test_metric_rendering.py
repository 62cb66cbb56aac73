"""Figures as they are written, and the scorecard as it is read."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from rich.console import Console

from lifecycle.errors import LifecycleError
from lifecycle.metrics.definitions import Definitions, load_definitions
from lifecycle.metrics.query import Answer, Column
from lifecycle.metrics.rendering import (
    as_csv,
    as_json,
    as_markdown,
    cell,
    change,
    figure,
    print_answer,
    print_rows,
    print_scorecard,
)
from lifecycle.metrics.scorecard import FIELDS, Scorecard, Standing, ordered, read_scorecard
from lifecycle.serving import publication
from lifecycle.serving.publication import PublishedTable, build_publication
from lifecycle.settings import Settings
from tests.integration.small_build import AS_OF, NOW, build, opened, settings_of


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1234567, "count", "1,234,567"),
        (Decimal("1234.5"), "money", "1,234.50 EUR"),
        (Decimal("-1234.5"), "money", "−1,234.50 EUR"),
        (Decimal("-0.001"), "money", "0.00 EUR"),
        (0.1234, "rate", "12.3%"),
        (0.0004, "rate", "0.0%"),
        (12.34, "days", "12.3 days"),
        (1.5, "hours", "1.5 h"),
        (90, "minutes", "90.0 min"),
        (12.34, "points", "+12.3"),
        (-12.34, "points", "−12.3"),
        (2.5, "ratio", "2.50 ×"),
        (61.26, "index", "61.3"),
        (1.256, "number", "1.26"),
        (1.256, "unheard_of", "1.26"),
        (None, "money", "–"),
    ],
)
def test_a_figure_is_written_in_its_unit(value: Any, unit: str, text: str) -> None:
    assert figure(value, unit, "EUR") == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (12.0, "count", "+12"),
        (-12.0, "count", "−12"),
        (0.0, "count", "0"),
        (0.0123, "rate", "+1.2 pp"),
        (-0.0123, "rate", "−1.2 pp"),
        (5.0, "money", "+5.00 EUR"),
        (3.0, "points", "+3.0"),
        (None, "count", "–"),
    ],
)
def test_a_change_has_a_sign_and_of_a_rate_it_is_in_points(value: float | None, unit: str, text: str) -> None:
    assert change(value, unit, "EUR") == text


def test_a_cell_is_written_for_reading() -> None:
    assert cell(date(2025, 12, 1), Column("month", "Month", grain="month"), "EUR") == "2025-12"
    assert cell(True, Column("is_new", "New"), "EUR") == "yes"
    assert cell(None, Column("persona", "Persona"), "EUR") == "–"
    assert cell("a\x1b[31mb\nc", Column("persona", "Persona"), "EUR") == "a [31mb c"


COLUMNS = (Column("month", "Month", grain="month"), Column("persona", "Persona"), Column("share", "Share", unit="rate"))
ROWS = ((date(2025, 12, 1), "a|b", 0.125), (date(2025, 11, 1), None, None))


def test_csv_and_json_carry_plain_figures_and_days() -> None:
    assert as_csv(["month", "persona", "share"], ROWS) == "month,persona,share\n2025-12-01,a|b,0.125\n2025-11-01,,\n"
    assert json.loads(as_json([{"month": ROWS[0][0], "amount": Decimal("1.50")}])) == [
        {"month": "2025-12-01", "amount": 1.5}
    ]
    with pytest.raises(TypeError):
        as_json({1, 2})


def test_a_spreadsheet_computes_nothing_of_what_a_cell_says() -> None:
    assert as_csv(["a", "b", "c"], [("=1+1", -5, "plain")]) == "a,b,c\n'=1+1,-5,plain\n"


def test_markdown_is_a_table_in_which_nothing_is_markup() -> None:
    assert as_markdown(COLUMNS, ROWS) == (
        "| Month | Persona | Share |\n| --- | --- | ---: |\n| 2025-12 | a\\|b | 0.125 |\n| 2025-11 |  |  |\n"
    )


def printed(capsys: pytest.CaptureFixture[str], style: str, answer: Answer) -> tuple[str, str]:
    print_answer(Console(width=100), style, answer, "EUR")
    said = capsys.readouterr()
    return said.out, said.err


def test_an_answer_is_a_table_with_what_has_to_be_known_below(capsys: pytest.CaptureFixture[str]) -> None:
    answer = Answer(COLUMNS, ROWS, "select 1", AS_OF, "run-1", ("2025-12 is not over: it goes up to 2025-12-03.",))
    out, _ = printed(capsys, "table", answer)
    assert [" ".join(line.split()) for line in out.splitlines()] == [
        "Month Persona Share",
        "2025-12 a|b 12.5%",
        "2025-11 – –",
        "2025-12 is not over: it goes up to 2025-12-03.",
        "As of 2024-03-31.",
    ]
    out, err = printed(capsys, "csv", answer)
    assert out.splitlines()[1] == "2025-12-01,a|b,0.125" and err.startswith("2025-12 is not over")
    out, _ = printed(capsys, "json", answer)
    content = json.loads(out)
    assert content["rows"][0] == {"month": "2025-12-01", "persona": "a|b", "share": 0.125}
    assert content["columns"][2] == {"name": "share", "label": "Share", "grain": None, "unit": "rate"}
    assert (content["as_of"], content["run_id"], content["currency"]) == ("2024-03-31", "run-1", "EUR")
    assert content["hints"] == list(answer.hints)
    out, _ = printed(capsys, "table", replace(answer, rows=(), hints=("There is nothing that fits.",)))
    assert out.splitlines()[0] == "There is nothing that fits."


def test_a_list_can_be_printed_in_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    for style, begins in (("table", "Month"), ("csv", "month,"), ("json", "["), ("markdown", "| Month")):
        print_rows(Console(width=100), style, COLUMNS, ROWS, "EUR")
        assert capsys.readouterr().out.startswith(begins)


# --- the scorecard ---------------------------------------------------------------------------------------------------

SCORECARD = PublishedTable("marts.kpi_scorecard", "kpi, kpi_month, dimension, dimension_value")
DEFINITIONS: Definitions = load_definitions()


def row(kpi: str, status: str, value: float | None, target: float = 100.0, **given: Any) -> dict[str, Any]:
    found = {
        "kpi": kpi, "kpi_month": date(2024, 2, 1), "dimension": "all", "dimension_value": "all", "status": status,
        "value": value, "denominator": None, "previous_value": 90.0, "change": None if value is None else value - 90.0,
        "target_value": target, "tolerance_share": 0.1, "direction": "up", "unit": "count", "currency": None,
        "owner": "Head of CRM", "metric_name": "orders", "description": "What is bought.",
        "value_month": date(2024, 2, 1), "is_complete": True,
    }  # fmt: skip
    return found | given


KPIS = [
    row("orders", "on_track", 120.0),
    row("revenue", "off_track", 50.0, unit="money", currency="EUR", metric_name="net_revenue"),
    row("refunds", "off_track", 0.9, 0.3, unit="rate", direction="down", metric_name="refund_rate", change=0.05),
    row("retention", "no_data", None, 0.2, unit="rate", metric_name="retention_rate_month_1",
        value_month=date(2024, 1, 1)),
    row("buyers", "at_risk", 95.0, metric_name="buyers"),
    row("old", "at_risk", 91.0, metric_name="gone_from_the_code"),
    row("stages", "off_track", 40.0, dimension="stage", dimension_value="loyalty", metric_name="people_in_stage"),
    row("stages", "on_track", 400.0, dimension="stage", dimension_value="advocacy", metric_name="people_in_stage"),
    row("refunds", "at_risk", 0.5, 0.4, unit="rate", direction="down", dimension="country", dimension_value="DE",
        metric_name="refund_rate", denominator=2.0, change=-0.4),
    row("refunds", "off_track", 0.6, 0.4, unit="rate", direction="down", dimension="country", dimension_value="AT",
        metric_name="refund_rate", denominator=1.0, change=None),
    row("refunds", "at_risk", 0.45, 0.4, unit="rate", direction="down", dimension="country", dimension_value="FR",
        metric_name="refund_rate", denominator=40.0, change=None),
    row("orders", "on_track", 110.0, kpi_month=date(2024, 1, 1)),
    row("orders", "off_track", 2.0, kpi_month=date(2024, 3, 1), is_complete=False),
]  # fmt: skip


@pytest.fixture
def company(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A small publication with a scorecard of January to March, of which March is not over."""
    settings = settings_of(tmp_path_factory.mktemp("scorecard"))
    if not any(table.name == SCORECARD.name for table in publication.PUBLIC):
        monkeypatch.setattr(publication, "PUBLIC", (*publication.PUBLIC, SCORECARD))
    with opened(settings) as warehouse:
        build(warehouse)
        types = {"kpi_month": "date", "value_month": "date", "is_complete": "boolean"} | dict.fromkeys(
            ("value", "denominator", "previous_value", "change", "target_value", "tolerance_share"), "double"
        )
        columns = ", ".join(f"{name} {types.get(name, 'varchar')}" for name in FIELDS)
        warehouse.run(f"create or replace table marts.kpi_scorecard ({columns})")
        for kpi in KPIS:
            places = ", ".join("?" * len(FIELDS))
            warehouse.run(f"insert into marts.kpi_scorecard values ({places})", [kpi[name] for name in FIELDS])
        build_publication(warehouse, settings, run_id="run-1", as_of=AS_OF, published_at=NOW)
    return settings


def test_the_last_month_that_is_over_is_shown_worst_first(company: Settings) -> None:
    found = read_scorecard(company, DEFINITIONS)
    assert found.month == date(2024, 2, 1) and found.is_complete
    assert [(one.row["kpi"], one.status) for one in found.standings] == [
        # Three times the target of refunds is further off than half the revenue.
        ("refunds", "off_track"), ("revenue", "off_track"), ("old", "at_risk"), ("buyers", "at_risk"),
        ("retention", "no_data"), ("orders", "on_track"),
    ]  # fmt: skip
    assert found.summary == "2 off track, 2 at risk, 1 no data, 1 on track"


def test_another_month_or_a_dimension_can_be_asked_for(company: Settings) -> None:
    march = read_scorecard(company, DEFINITIONS, month="2024-03")
    assert [one.row["value"] for one in march.standings] == [2.0] and not march.is_complete
    stages = read_scorecard(company, DEFINITIONS, dimension="stage")
    assert [one.row["dimension_value"] for one in stages.standings] == ["loyalty", "advocacy"]
    with pytest.raises(LifecycleError, match=r"no month '2024-04' in the scorecard\n  It goes from 2024-01 to 2024-03"):
        read_scorecard(company, DEFINITIONS, month="2024-04")
    with pytest.raises(
        LifecycleError, match=r"no KPI has a target by 'stag', did you mean 'stage'\?\n.*by country, stage"
    ):
        read_scorecard(company, DEFINITIONS, dimension="stag")


def test_each_kpi_says_where_to_look(company: Settings) -> None:
    found = {one.row["kpi"]: one for one in read_scorecard(company, DEFINITIONS).standings}
    assert found["refunds"].look_at == (
        "marts.revenue_monthly",
        "docs/metrics.md#revenue_monthly",
        "lifecycle metrics query refund_rate --by month",
        "lifecycle scorecard --by country",
    )
    assert found["revenue"].label == "Net revenue"
    assert (found["old"].label, found["old"].look_at) == ("Old", ())
    stages = read_scorecard(company, DEFINITIONS, dimension="stage").standings[0]
    assert stages.look_at[-1] == "lifecycle metrics query people_in_stage --by month --by stage"


def test_of_a_missed_target_the_part_that_costs_most_is_named(company: Settings) -> None:
    found = {one.row["kpi"]: one for one in read_scorecard(company, DEFINITIONS).standings}
    # 0.05 of 40 people in France is more than 0.2 of one in Austria and 0.1 of two in Germany.
    assert [(row["dimension"], row["dimension_value"]) for row in found["refunds"].worst] == [("country", "FR")]
    assert found["revenue"].worst == ()
    assert [row["dimension_value"] for row in found["orders"].worst] == []


def shown(capsys: pytest.CaptureFixture[str], style: str, scorecard: Scorecard) -> str:
    print_scorecard(Console(width=100), style, scorecard, "small")
    return capsys.readouterr().out


def test_a_head_of_crm_reads_what_to_do_next(company: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        " ".join(line.split()) for line in shown(capsys, "table", read_scorecard(company, DEFINITIONS)).splitlines()
    ]
    assert lines[:6] == [
        "Scorecard of small, 2024-02",
        "2 off track, 2 at risk, 1 no data, 1 on track. As of 2024-03-31; changes are to the month before.",
        "",
        "Off track (2)",
        "KPI value target change owner",
        "Refund rate 90.0% at most 30.0% +5.0 pp Head of CRM",
    ]
    assert "Net revenue 50.00 EUR at least 100.00 EUR −40.00 EUR Head of CRM" in lines
    assert "Retention in month 1 (of 2024-01) – at least 20.0% – Head of CRM" in lines
    place = lines.index("Net revenue: What is bought.")
    assert lines[place + 1] == (
        "marts.revenue_monthly · docs/metrics.md#revenue_monthly · lifecycle metrics query net_revenue --by month"
    )
    assert lines[lines.index("Refund rate: What is bought.") + 1] == (
        "most is missing in country FR: 45.0% of 40, at most 40.0%"
    )
    assert lines[lines.index("Old: What is bought.") + 1] == "its metric is not defined any more"
    assert not any(line.startswith("Orders:") for line in lines), "what is on track needs no looking into"
    assert not any("The commands need" in line for line in lines)


def test_what_commands_need_is_said_once(company: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, "table", read_scorecard(company, DEFINITIONS, options=" --config my.yml"))
    assert out.endswith("The commands need `--config my.yml`.\n") and out.count("my.yml") == 1


def test_taken_apart_a_rate_says_of_how_many(company: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, "table", read_scorecard(company, DEFINITIONS, dimension="country")).splitlines()
    assert [" ".join(line.split()) for line in lines[4:6]] == [
        "KPI country value of target change owner",
        "Refund rate AT 60.0% 1 at most 40.0% – Head of CRM",
    ]


def test_a_month_that_is_not_over_says_so(company: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, "table", read_scorecard(company, DEFINITIONS, month="2024-03"))
    assert "The month is not over: it goes up to 2024-03-31, and totals will still grow." in out


def test_a_scorecard_can_be_handed_on(company: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    stages = read_scorecard(company, DEFINITIONS, dimension="stage")
    text = shown(capsys, "csv", stages)
    assert text.splitlines()[0] == ",".join(FIELDS)
    assert text.splitlines()[1].startswith("stages,2024-02-01,stage,loyalty,off_track,40.0,")
    content = json.loads(shown(capsys, "json", stages))
    assert content["month"] == "2024-02-01" and content["is_complete"] is True
    assert content["kpis"][0]["label"] == "People in the stage"
    assert content["kpis"][0]["look_at"][1] == "docs/stage-metrics.md#daily-counts"
    text = shown(capsys, "markdown", stages)
    assert text.startswith("## Scorecard of small by stage, 2024-02\n")
    assert "| KPI | stage | value | target | change | owner | where to look |" in text
    assert "### On track" in text


def test_a_target_of_nothing_has_a_gap_all_the_same() -> None:
    zero, none = (Standing(row("a", "off_track", value, 0.0), "A", ()) for value in (-3.0, None))
    assert (zero.gap, none.gap) == (3.0, 0.0)
    assert ordered([none, zero]) == (zero, none)


def test_an_empty_scorecard_and_one_that_is_not_there_say_what_to_do(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tmp_path_factory.mktemp("empty"))
    with pytest.raises(LifecycleError, match="nothing is published yet"):
        read_scorecard(settings, DEFINITIONS)
    kept = tuple(table for table in publication.PUBLIC if table.name != SCORECARD.name)
    monkeypatch.setattr(publication, "PUBLIC", kept)
    with opened(settings) as warehouse:
        build(warehouse)
        build_publication(warehouse, settings, run_id="run-1", as_of=AS_OF, published_at=NOW)
        with pytest.raises(LifecycleError, match=r"the publication has no marts\.kpi_scorecard"):
            read_scorecard(settings, DEFINITIONS)
        monkeypatch.setattr(publication, "PUBLIC", (*kept, SCORECARD))
        warehouse.run(
            "create or replace table marts.kpi_scorecard as select null::varchar as kpi, null::date as kpi_month,"
            " null::varchar as dimension, null::varchar as dimension_value, true as is_complete limit 0"
        )
        build_publication(warehouse, settings, run_id="run-1", as_of=AS_OF, published_at=NOW)
    with pytest.raises(LifecycleError, match=r"the scorecard is empty\n.*kpi_targets\.csv"):
        read_scorecard(settings, DEFINITIONS)
