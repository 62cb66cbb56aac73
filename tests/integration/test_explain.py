"""`lifecycle explain` and `lifecycle identity` as they are typed and read."""

from __future__ import annotations

import csv
import fcntl
import json
import shlex
import shutil
import sys
from datetime import date
from pathlib import Path

import pytest
import yaml

from lifecycle import cli
from lifecycle.identity.decisions import COLUMNS
from lifecycle.serving.publication import past_publication
from lifecycle.settings import Settings, load_settings
from tests.integration.small_publication import ADA, BOB, CAROL, SECOND_ADA, publish_people, settings_in


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of a command."""
    monkeypatch.setattr(sys, "argv", ["lifecycle", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    settings = settings_in(folder)
    publish_people(settings)
    content = settings.model_dump(mode="json", exclude={"config_file"})
    (folder / "lifecycle.yml").write_text(yaml.safe_dump(content))
    return folder


@pytest.fixture
def config(published: Path, tmp_path: Path) -> Path:
    shutil.copytree(published, tmp_path / "company", symlinks=True)
    return tmp_path / "company" / "lifecycle.yml"


def decisions(config: Path) -> list[dict[str, str]]:
    with (config.parent / "identity_decisions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_person_is_explained_within_a_hundred_columns(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "explain", "ADA.lovelace@gmail.com", "--config", str(config)) == 0
    said = capsys.readouterr().out
    assert max(len(line) for line in said.splitlines()) <= 100
    assert "small as of 2024-03-31" in said and ADA in said and "likeness to crm contact 42" in said
    titles = ["Who it is", "Stage", "Segments", "Identifiers", "Why these records", "Timeline", "Lists"]
    places = [said.index(f"\n{title}") for title in titles]
    assert places == sorted(places)


def test_a_past_day_and_json_are_options(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["explain", SECOND_ADA, "--config", str(config), "--as-of", "2023-10-01", "--json"]
    assert run(monkeypatch, *command) == 0
    content = json.loads(capsys.readouterr().out)
    assert (content["profile"]["customer_id"], content["previous_id"]) == (ADA, SECOND_ADA)
    assert (content["stage"]["stage"], content["basis"]["is_past_day"], content["flags"]) == ("conversion", True, None)


def test_several_and_nobody_are_messages_with_exit_code_one(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "explain", "42", "--config", str(config)) == 1
    message = capsys.readouterr().err
    assert message.startswith("error: '42' fits 2 customers") and ADA in message and BOB in message
    assert run(monkeypatch, "explain", "42", "--config", str(config), "--json") == 1
    listed = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in listed["candidates"]] == sorted((ADA, BOB))
    assert run(monkeypatch, "explain", "nobody@example.com", "--config", str(config)) == 1
    message = capsys.readouterr().err
    assert "nobody is found for 'nobody@example.com'" in message and "Traceback" not in message


def test_text_that_a_terminal_would_obey_is_only_shown(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (config.parent / "identity_decisions.csv").write_text(
        ",".join(COLUMNS) + '\nd1,crm,contacts,42,web,contacts,7,same,2024-01-01,ada,"\x1b[2J[red]gone[/red]"\n'
    )
    assert run(monkeypatch, "explain", ADA, "--config", str(config)) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "\x1b" not in said and "[red]gone[/red]" in said


def test_a_merge_is_written_told_and_undone_by_the_command_it_names(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["identity", "merge", ADA, "shop:42", "--reason", "she called", "--by", "bea", "--config", str(config)]
    assert run(monkeypatch, *command) == 0
    said = capsys.readouterr().out
    assert "contacts:crm:42 and contacts:shop:42 are the same person" in said
    assert f"customers {ADA} and {BOB}" in said and "from the next `lifecycle run`" in said
    undo = next(line for line in said.splitlines() if "undo it with" in line).partition(": ")[2]
    assert run(monkeypatch, *shlex.split(undo)[1:]) == 0
    written = decisions(config)
    assert [line["decision"] for line in written] == ["same", "different"]
    assert written[0]["decided_by"] == "bea"
    assert written[0]["decided_at"] < written[1]["decided_at"]
    assert written[0]["decision_id"] != written[1]["decision_id"]
    # What the file says becomes a source as it stands.
    assert load_settings(config).inputs[-1].name == "stewards"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["merge", "crm:42", "web:7"], f"both are customer {ADA} already"),
        (["split", "crm:42", "shop:42"], "they are two customers already"),
    ],
)
def test_a_decision_that_changes_nothing_today_is_written_all_the_same(
    command: list[str], words: str, config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "identity", *command, "--reason", "sure", "--config", str(config)) == 0
    assert words in capsys.readouterr().out
    assert len(decisions(config)) == 1


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["merge", "family@example.com", "crm:42"], "contacts:crm:43"),
        (["merge", ADA, "+442079460000"], "both stand for contacts:crm:42"),
        (["split", "touchpoints:web:t3", "crm:42"], "by a cookie alone"),
        (["merge", "crm:42", "nobody@example.com"], "nobody is found"),
    ],
)
def test_what_is_unclear_or_impossible_writes_nothing(
    command: list[str], words: str, config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "identity", *command, "--reason", "sure", "--config", str(config)) == 1
    assert words in capsys.readouterr().err
    assert not (config.parent / "identity_decisions.csv").exists()


def test_an_empty_reason_and_a_run_that_is_going_on_are_messages(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["identity", "merge", "crm:42", "shop:42", "--config", str(config), "--reason"]
    assert run(monkeypatch, *command, " ") == 1
    assert "needs a reason" in capsys.readouterr().err
    with load_settings(config).state.lock.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run(monkeypatch, *command, "sure") == 1
        assert "is working on this state" in capsys.readouterr().err
        assert run(monkeypatch, "explain", ADA, "--config", str(config)) == 0
    assert not (config.parent / "identity_decisions.csv").exists()


def test_the_review_names_both_commands_for_each_pair(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "identity", "review", "--limit", "1", "--config", str(config)) == 0
    said = capsys.readouterr().out
    assert f"{CAROL} and {BOB}" in said and "5.0 bits, 97 % sure, kept apart by their other records" in said
    assert "2 pairs of customers wait to be decided, 1 of them not shown (--limit)." in said
    same = next(line for line in said.splitlines() if "the same:" in line).partition(": ")[2]
    assert run(monkeypatch, *shlex.split(same)[1:]) == 0
    capsys.readouterr()
    assert run(monkeypatch, "identity", "review", "--config", str(config)) == 0
    said = capsys.readouterr().out
    assert "1.2 short of the line" in said and CAROL not in said
    assert "1 pairs of customers wait to be decided; the decisions file decides 1 more." in said


@pytest.mark.slow
def test_decisions_join_and_part_two_people_over_whole_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two records of nothing in common are merged by a steward, found by the old id, and parted again."""
    from orchestration.execution import execute

    config = tmp_path / "lifecycle.yml"
    (tmp_path / "contacts.csv").write_text(
        "contact_id,email,created_at\np1,ada@example.com,2024-01-05T12:00:00\np2,eve@example.org,2024-02-05T12:00:00\n"
    )
    (tmp_path / "orders.csv").write_text(
        "order_id,contact_id,ordered_at,order_status,total_amount,currency\n"
        "o1,p1,2024-03-01T12:00:00,paid,20.00,USD\no2,p2,2024-03-02T12:00:00,paid,30.00,USD\n"
    )
    config.write_text(
        yaml.safe_dump(
            {
                "project": "tiny",
                "sources": [
                    {"name": "shop", "table": "contacts", "path": "contacts.csv"},
                    {"name": "shop", "table": "orders", "path": "orders.csv"},
                ],
            }
        )
    )

    def explained(typed: str) -> dict[str, object]:
        capsys.readouterr()
        assert run(monkeypatch, "explain", typed, "--json", "--config", str(config)) == 0
        content: dict[str, object] = json.loads(capsys.readouterr().out)
        return content

    def customer(typed: str) -> str:
        profile = explained(typed)["profile"]
        assert isinstance(profile, dict)
        return str(profile["customer_id"])

    settings: Settings = load_settings(config)
    assert execute(settings).exit_code == 0
    ada, eve = customer("ada@example.com"), customer("eve@example.org")
    assert ada != eve
    reason = ["--reason", "married", "--by", "bea", "--config", str(config)]
    assert run(monkeypatch, "identity", "merge", eve, "ada@example.com", *reason) == 0
    assert execute(load_settings(config)).exit_code == 0
    merged = explained(eve)
    assert (customer("eve@example.org"), merged["previous_id"]) == (ada, eve)
    links = merged["links"]
    assert isinstance(links, dict)
    assert [(one["decision"], one["outcome"]) for one in links["decisions"]] == [("same", "applied")]
    assert "steward decided" in links["changes"][0]["reason"]
    # A decision holds for days before it was taken as well.
    assert execute(load_settings(config), as_of=date(2024, 3, 1)).exit_code == 0
    past = past_publication(settings.state, date(2024, 3, 1))
    assert past is not None
    assert {table.row_count for table in past.tables if table.table_name == "marts.customer_360"} == {1}
    # The id that is gone stands for the record it was made of.
    assert run(monkeypatch, "identity", "split", ada, eve, *reason) == 0
    assert execute(load_settings(config)).exit_code == 0
    assert (customer("ada@example.com"), customer("eve@example.org")) == (ada, eve)
