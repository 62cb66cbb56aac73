"""What a person types and reads: exit codes, messages, help."""

from __future__ import annotations

import builtins
import sys
from pathlib import Path
from typing import Any

import pytest

from lifecycle import cli

EXAMPLE = Path("examples/ten_orders/lifecycle.yml").resolve()
COMMANDS = [
    ["run"],
    ["plan"],
    ["publish"],
    ["publish", "approve"],
    ["publish", "retire"],
    ["quarantine", "list"],
    ["quarantine", "show"],
    ["quarantine", "requeue"],
    ["destinations", "list"],
    ["destinations", "show"],
    ["destinations", "check"],
    ["publication", "list"],
    ["publication", "rollback"],
    ["explain"],
    ["calibrate"],
    ["diff"],
    ["identity", "merge"],
    ["identity", "split"],
    ["identity", "review"],
    ["metrics", "list"],
    ["metrics", "show"],
    ["metrics", "query"],
    ["scorecard"],
    ["doctor"],
    ["generate"],
]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of a command."""
    monkeypatch.setattr(sys, "argv", ["lifecycle", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.fixture
def company(tmp_path: Path) -> Path:
    """A copy of the ten-order company that was never run."""
    (tmp_path / "files").mkdir()
    for file in (EXAMPLE.parent / "files").iterdir():
        (tmp_path / "files" / file.name).write_bytes(file.read_bytes())
    config = tmp_path / "lifecycle.yml"
    config.write_text(EXAMPLE.read_text())
    return config


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *command, "--help") == 0
    assert "Example: lifecycle " + " ".join(command) in " ".join(capsys.readouterr().out.split())


def test_a_wrong_setting_is_one_message_with_file_line_and_key(
    company: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    company.write_text(company.read_text().replace("timezone:", "timezon:"))
    assert run(monkeypatch, "run", "--config", str(company)) == 1
    message = capsys.readouterr().err
    assert "timezon" in message and "line " in message and str(company) in message
    assert "did you mean 'timezone'" in message
    assert "Traceback" not in message
    assert not (company.parent / ".lifecycle").exists()


def test_a_missing_package_is_named_with_the_remedy(
    company: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    really_import = builtins.__import__

    def without_duckdb(name: str, *arguments: Any, **named: Any) -> Any:
        if name == "duckdb":
            raise ModuleNotFoundError("No module named 'duckdb'", name="duckdb")
        return really_import(name, *arguments, **named)

    (company.parent / ".lifecycle").mkdir()
    (company.parent / ".lifecycle" / "warehouse.duckdb").touch()
    monkeypatch.setattr(builtins, "__import__", without_duckdb)
    assert run(monkeypatch, "quarantine", "list", "--config", str(company)) == 1
    message = capsys.readouterr().err
    assert "'duckdb' is not installed" in message and "make setup" in message


def test_planning_before_anything_is_published_says_what_to_do(
    company: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "plan", "--config", str(company)) == 3
    assert "lifecycle run" in capsys.readouterr().out


def test_publishing_before_anything_is_published_sends_nothing(
    company: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "publish", "--config", str(company)) == 3
    assert "nothing is published yet" in capsys.readouterr().err
    assert not (company.parent / "out").exists()


def test_an_unknown_segment_is_answered_with_the_known_ones(
    company: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "plan", "--config", str(company), "--segment", "nobody") == 1
    message = capsys.readouterr().err
    assert "'nobody'" in message and "new_customers" in message


@pytest.mark.parametrize(
    "command",
    [
        ["explain", "ada@example.com"],
        ["explain", "ada@example.com", "--json"],
        ["calibrate"],
        ["calibrate", "--json"],
        ["identity", "review"],
        ["identity", "merge", "crm:1", "shop:1", "--reason", "sure"],
        ["metrics", "query", "net_revenue"],
        ["metrics", "query", "net_revenue", "--sql"],
        ["scorecard"],
    ],
    ids=" ".join,
)
def test_nobody_can_be_explained_or_decided_about_before_anything_is_published(
    command: list[str], company: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *command, "--config", str(company)) == 1
    said = capsys.readouterr()
    assert "nothing is published yet" in said.err and "lifecycle run" in said.err
    assert "Traceback" not in said.err and not said.out
    assert not (company.parent / "identity_decisions.csv").exists()


def test_a_day_to_explain_that_is_no_day_is_refused(
    company: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "explain", "ada", "--as-of", "june", "--config", str(company)) == 1
    assert "'june' is no day" in capsys.readouterr().err


@pytest.mark.parametrize(("day", "words"), [("yesterday", "is no day"), ("2999-01-01", "has not come yet")])
def test_an_impossible_day_is_refused(
    company: Path, day: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "run", "--config", str(company), "--as-of", day) == 1
    assert words in capsys.readouterr().err


def test_an_empty_quarantine_says_so(
    company: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "quarantine", "list", "--config", str(company)) == 0
    assert "quarantine is empty" in capsys.readouterr().out


def test_the_list_of_publications_is_empty_before_the_first_run(
    company: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "publication", "list", "--config", str(company)) == 0
    assert "nothing is published yet" in capsys.readouterr().out
    assert run(monkeypatch, "publication", "rollback", "--config", str(company)) == 1
    assert "no earlier publication" in capsys.readouterr().err


def test_metrics_are_listed_and_told_without_a_company(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "metrics", "list", "--search", "average order") == 0
    said = capsys.readouterr().out
    assert "average_order_value" in said and "1 metrics" not in said and "lifecycle metrics show" in said
    assert run(monkeypatch, "metrics", "list", "--format", "csv") == 0
    assert capsys.readouterr().out.startswith("metric,label,unit,by,mart\n")
    assert run(monkeypatch, "metrics", "show", "average_order_value") == 0
    said = capsys.readouterr().out
    assert "revenue_before_refunds ÷ orders" in said and "docs/metrics.md#revenue_monthly" in said
    assert "lifecycle metrics query average_order_value --by metric_time:month" in said


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["metrics", "list", "--search", "xyzzy"], "no metric speaks of 'xyzzy'"),
        (["metrics", "show", "net_revenu"], "did you mean 'net_revenue'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_metric_that_does_not_exist_is_refused(
    command: list[str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *command) == 1
    assert says in capsys.readouterr().err


def test_a_day_of_a_question_that_is_no_day_is_refused(
    company: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["metrics", "query", "net_revenue", "--from", "june", "--config", str(company)]
    assert run(monkeypatch, *command) == 1
    assert "--from: 'june' is no day" in capsys.readouterr().err


def test_the_doctor_finds_nothing_wrong_with_a_fresh_company(
    company: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "doctor", "--config", str(company)) == 0
    said = capsys.readouterr().out
    assert "source shop, table orders: 1 file" in said and "bad" not in said


def test_the_doctor_names_a_source_without_files(
    company: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (company.parent / "files" / "orders.csv").unlink()
    assert run(monkeypatch, "doctor", "--config", str(company)) == 1
    assert "source shop, table orders" in capsys.readouterr().out


def test_the_doctor_names_a_broken_setting_instead_of_falling_over_it(
    company: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    company.write_text(company.read_text().replace("currency: GBP", "currency: pounds", 1))
    assert run(monkeypatch, "doctor", "--config", str(company)) == 1
    assert "pounds" in capsys.readouterr().out
