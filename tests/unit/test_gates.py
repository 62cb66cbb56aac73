"""How a gate judges, whatever its checks are."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from lifecycle.errors import EXIT_GATE_STOPPED, GateStoppedError, LifecycleError
from lifecycle.quality.data_docs import write_data_docs
from lifecycle.quality.gate import (
    Check,
    DbtTestResult,
    Severity,
    create_tables,
    demand_verdict,
    judge,
    record_dbt_results,
    verdict_of,
)
from lifecycle.warehouse import Warehouse, open_duckdb

CANARY = "canary.person@example.com"


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    with open_duckdb(tmp_path / "warehouse.duckdb") as opened:
        opened.run("create schema shop")
        opened.run(f"create table shop.people as select '{CANARY}' as email, 3 as points")
        yield opened


def check(
    name: str = "points",
    observation: str = "max(points)",
    source: str = "shop.people",
    *,
    minimum: float | None = None,
    maximum: float | None = 3,
    severity: Severity = "error",
) -> Check:
    return Check(
        name, "shop.people", observation, source, "Points.", "Look at them.", minimum, maximum, severity=severity
    )


def outcome(warehouse: Warehouse, *checks: Check) -> list[tuple[str, str]]:
    return [(result.outcome, result.observed) for result in judge(warehouse, "marts", checks, run_id="r1").results]


def test_a_number_within_its_limits_passes_and_one_beyond_fails(warehouse: Warehouse) -> None:
    assert outcome(
        warehouse,
        check("at_the_maximum"),
        check("above", maximum=2.5),
        check("at_the_minimum", minimum=3, maximum=None),
        check("below", minimum=4, maximum=None),
        check("between", minimum=1, maximum=5),
    ) == [("passed", "3"), ("failed", "3"), ("passed", "3"), ("failed", "3"), ("passed", "3")]


def test_a_cent_of_difference_is_seen(warehouse: Warehouse) -> None:
    cents = check("cents", "1234567890.02::decimal(18,2) - 1234567890.01::decimal(18,2)", maximum=0)
    assert outcome(warehouse, cents) == [("failed", "0.01")]


def test_shares_are_written_as_people_write_them(warehouse: Warehouse) -> None:
    assert outcome(warehouse, check("share", "1 / 3")) == [("passed", "0.333333")]
    assert outcome(warehouse, check("large", "123456789.0::double", maximum=1e9)) == [("passed", "123456789")]
    assert check(minimum=0.1, maximum=10).limit == "0.1 to 10"
    assert check(minimum=1, maximum=None).limit == "at least 1"
    assert check(maximum=0).limit == "at most 0"


def test_a_warning_shows_and_never_stops(warehouse: Warehouse) -> None:
    verdict = judge(warehouse, "marts", [check(maximum=0, severity="warning")], run_id="r1")
    assert verdict.passed
    assert [result.name for result in verdict.warnings] == ["points"]
    verdict.demand()


@pytest.mark.parametrize("severity", ["error", "warning"])
def test_a_broken_check_is_called_broken_and_stops_whatever_its_severity(
    warehouse: Warehouse, severity: Severity
) -> None:
    verdict = judge(warehouse, "marts", [check(source="shop.gone", severity=severity), check("fine")], run_id="r1")
    assert [(result.name, result.outcome) for result in verdict.results] == [("points", "broken"), ("fine", "passed")]
    assert "gone" in verdict.results[0].observed
    assert not verdict.passed


def test_a_broken_check_does_not_break_those_of_the_same_source(warehouse: Warehouse) -> None:
    assert outcome(warehouse, check("broken", "max(nothing)"), check("fine")) == [
        ("broken", outcome(warehouse, check("broken", "max(nothing)"))[0][1]),
        ("passed", "3"),
    ]


@pytest.mark.parametrize(
    ("observation", "reason"),
    [
        ("max(points) filter (where points > 9)", "no value was observed"),
        ("max(email)", "a number was expected, not str"),
        ("max('NaN'::double)", "the number observed is not finite"),
        ("max(email::integer)", "ConversionException"),
    ],
)
def test_what_is_no_number_is_broken_and_never_shown(warehouse: Warehouse, observation: str, reason: str) -> None:
    verdict = judge(warehouse, "marts", [check(observation=observation)], run_id="r1")
    assert [(result.outcome, result.observed) for result in verdict.results] == [("broken", reason)]
    assert CANARY not in str(verdict) + str(warehouse.rows("from ops.gate_results"))


def test_a_check_that_great_expectations_cannot_judge_is_broken(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    from great_expectations.expectations.core import ExpectColumnMaxToBeBetween

    def breaks(*_: object, **__: object) -> None:
        raise RuntimeError("the expectation itself is broken")

    monkeypatch.setattr(ExpectColumnMaxToBeBetween, "_validate", breaks)
    assert outcome(warehouse, check()) == [("broken", "3")]


def test_when_great_expectations_breaks_altogether_every_check_is_broken(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    from great_expectations.datasource.fluent.interfaces import Batch

    def breaks(*_: object, **__: object) -> None:
        raise RuntimeError("nothing can be judged")

    monkeypatch.setattr(Batch, "validate", breaks)
    assert outcome(warehouse, check("one"), check("other")) == [("broken", "3"), ("broken", "3")]


def test_judging_asks_no_network(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the gate asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert judge(warehouse, "marts", [check()], run_id="r1").passed


def test_a_run_judged_again_replaces_its_rows_and_leaves_others_alone(warehouse: Warehouse) -> None:
    judge(warehouse, "marts", [check(maximum=0), check("gone_next_time")], run_id="r1")
    judge(warehouse, "intake", [check()], run_id="r1")
    judge(warehouse, "marts", [check()], run_id="r0")
    judge(warehouse, "marts", [check()], run_id="r1")
    rows = warehouse.rows("select run_id, gate, check_name, outcome from ops.gate_results order by all")
    assert rows == [
        ("r0", "marts", "points", "passed"),
        ("r1", "intake", "points", "passed"),
        ("r1", "marts", "points", "passed"),
    ]


def test_a_verdict_is_read_back_as_it_was_given(warehouse: Warehouse) -> None:
    given = judge(warehouse, "marts", [check("above", maximum=2), check("fine")], run_id="r1")
    assert verdict_of(warehouse, "r1", "marts") == given


def test_a_gate_that_was_never_judged_has_no_verdict_and_lets_nothing_through(warehouse: Warehouse) -> None:
    assert verdict_of(warehouse, "r1", "marts") is None
    create_tables(warehouse)
    assert verdict_of(warehouse, "r1", "marts") is None
    with pytest.raises(GateStoppedError, match="not judged in this run"):
        demand_verdict(warehouse, "r1", "marts")


def test_a_stopped_gate_names_check_figure_limit_and_remedy(warehouse: Warehouse) -> None:
    judge(warehouse, "marts", [check(maximum=2), check("fine")], run_id="r1")
    with pytest.raises(GateStoppedError) as stopped:
        demand_verdict(warehouse, "r1", "marts")
    assert stopped.value.exit_code == EXIT_GATE_STOPPED
    assert "1 of 2 checks stop the marts gate" in str(stopped.value)
    assert "shop.people: points failed, observed 3, allowed at most 2" in str(stopped.value)
    assert "Look at them." in str(stopped.value)


def test_a_gate_without_checks_proves_nothing(warehouse: Warehouse) -> None:
    with pytest.raises(LifecycleError, match="has no checks"):
        judge(warehouse, "marts", [], run_id="r1")


def test_two_checks_of_one_name_are_refused(warehouse: Warehouse) -> None:
    with pytest.raises(LifecycleError, match=r"shop\.people points"):
        judge(warehouse, "marts", [check(), check()], run_id="r1")


def test_a_check_without_a_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="no limit"):
        check(maximum=None)


def test_dbt_results_of_a_retry_replace_the_first_ones(warehouse: Warehouse) -> None:
    record_dbt_results(warehouse, "r1", [DbtTestResult("test.a", "a", "fail", 2, "error")])
    record_dbt_results(warehouse, "r0", [DbtTestResult("test.a", "a", "fail", 9, "error")])
    record_dbt_results(
        warehouse,
        "r1",
        [DbtTestResult("test.a", "a", "pass", 0, "error"), DbtTestResult("test.b", "b", "error", None, "error")],
    )
    rows = warehouse.rows("select run_id, unique_id, status, failures from ops.dbt_test_results order by all")
    assert rows == [("r0", "test.a", "fail", 9), ("r1", "test.a", "pass", 0), ("r1", "test.b", "error", None)]


def test_the_pages_show_every_check_of_a_run_and_load_nothing(warehouse: Warehouse, tmp_path: Path) -> None:
    judge(warehouse, "intake", [check("fine")], run_id="r1")
    judge(warehouse, "marts", [check("above", maximum=2), check("broken", "max(nothing)")], run_id="r1")
    page = write_data_docs(warehouse, "r1", tmp_path / "data_docs").read_text()
    assert [name for name in ("intake", "marts", "fine", "above", "broken", "at most 2") if name not in page] == []
    assert "http" not in page and "<script" not in page and CANARY not in page
    write_data_docs(warehouse, "r1", tmp_path / "data_docs")
    assert sorted(file.name for file in (tmp_path / "data_docs").iterdir()) == ["index.html", "run-r1.html"]
    assert "run-r1.html" in (tmp_path / "data_docs" / "index.html").read_text()


def test_a_name_in_a_page_is_text_and_not_markup(warehouse: Warehouse, tmp_path: Path) -> None:
    judge(warehouse, "segment:<b>", [check("<script>alert(1)</script>")], run_id="../<i>")
    page = write_data_docs(warehouse, "../<i>", tmp_path / "data_docs")
    assert page.parent == tmp_path / "data_docs"
    assert "<script>" not in page.read_text() and "<b>" not in page.read_text() and "<i>" not in page.read_text()
