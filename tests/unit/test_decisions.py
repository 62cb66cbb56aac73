"""Stewards' decisions in their file: appended, undone, kept as people edited them."""

from __future__ import annotations

import csv
import fcntl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lifecycle.errors import LifecycleError, LockedError
from lifecycle.identity import decisions
from lifecycle.identity.decisions import COLUMNS, Decision, Record, holding, read_decisions, write_decision
from lifecycle.settings import IdentitySettings, Settings, Source
from lifecycle.sources.contract import TABLES

NOW = datetime(2024, 4, 1, 6, 0, tzinfo=UTC)
CRM = Record("crm", "contacts", "42")
SHOP = Record("shop", "contacts", "S-17")


def settings_of(folder: Path, decisions_file: str = "identity_decisions.csv") -> Settings:
    return Settings(
        project="small",
        sources=[Source(name="shop", table="contacts", path="none.csv")],
        identity=IdentitySettings(decisions_file=decisions_file),
        config_file=folder / "lifecycle.yml",
    )


def decide(
    settings: Settings,
    decision: str = "same",
    left: Record = CRM,
    right: Record = SHOP,
    *,
    reason: str = "she called",
    now: datetime = NOW,
) -> Decision:
    return write_decision(
        settings,
        left,
        right,
        decision,  # type: ignore[arg-type]
        reason=reason,
        decided_by="ada",
        now=now,
    )


def lines(folder: Path) -> list[list[str]]:
    with (folder / "identity_decisions.csv").open(newline="") as file:
        return list(csv.reader(file))


def test_the_first_decision_makes_the_file_with_the_columns_of_the_contract(tmp_path: Path) -> None:
    written = decide(settings_of(tmp_path))
    assert lines(tmp_path) == [
        list(COLUMNS),
        [
            written.decision_id,
            *("crm", "contacts", "42", "shop", "contacts", "S-17", "same", "2024-04-01 06:00:00", "ada", "she called"),
        ],
    ]
    assert list(COLUMNS) == [column.name for column in TABLES["identity_decisions"].columns if column.name in COLUMNS]
    assert {column.name for column in TABLES["identity_decisions"].columns if column.required} <= set(COLUMNS)


def test_a_file_that_exists_is_a_source_of_the_next_run(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    assert [source.table for source in settings.inputs] == ["contacts"]
    decide(settings)
    assert [(source.name, source.table) for source in settings.inputs][-1] == ("stewards", "identity_decisions")


def test_the_id_of_a_decision_says_everything_in_it(tmp_path: Path) -> None:
    one = decide(settings_of(tmp_path / "one"))
    assert one.decision_id == "d_3ce5306a54d5"
    assert decide(settings_of(tmp_path / "again")).decision_id == one.decision_id
    others = [
        decide(settings_of(tmp_path / "a"), "different"),
        decide(settings_of(tmp_path / "b"), right=Record("shop", "contacts", "S-18")),
        decide(settings_of(tmp_path / "c"), reason="they called"),
        decide(settings_of(tmp_path / "d"), now=NOW + timedelta(seconds=1)),
    ]
    assert len({one.decision_id, *(other.decision_id for other in others)}) == 5


def test_a_decision_is_undone_by_its_opposite_even_in_the_same_second(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    decide(settings, "same")
    decide(settings, "different", SHOP, CRM)
    third = decide(settings, "same")
    held = holding(read_decisions(settings))
    assert held == {frozenset((CRM, SHOP)): third}
    assert [line[8] for line in lines(tmp_path)[1:]] == [
        "2024-04-01 06:00:00",
        "2024-04-01 06:00:01",
        "2024-04-01 06:00:02",
    ]


def test_a_decision_comes_after_one_that_somebody_dated_in_the_future(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    decide(settings, "same", now=NOW + timedelta(days=3))
    undone = decide(settings, "different")
    assert undone.decided_at == "2024-04-04 06:00:01"
    assert decide(settings, right=Record("shop", "contacts", "S-18")).decided_at == "2024-04-01 06:00:00"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (",".join(COLUMNS), "\n"),
        (",".join(COLUMNS) + "\nd1,a,contacts,1,b,contacts,2,same,2024-01-01,,by hand", "\n"),
        (",".join(COLUMNS) + "\r\nd1,a,contacts,1,b,contacts,2,same,2024-01-01,,by hand", "\r\n"),
        ("\ufeff" + ",".join(COLUMNS) + "\n", ""),
        (",".join(COLUMNS) + '\nd1,a,contacts,1,b,contacts,2,same,2024-01-01,,"two\nlines"', "\n"),
    ],
    ids=["header alone", "no end of line", "from Windows", "with a mark of its encoding", "a reason of two lines"],
)
def test_what_somebody_wrote_by_hand_stays_byte_by_byte(tmp_path: Path, before: str, after: str) -> None:
    file = tmp_path / "identity_decisions.csv"
    file.write_bytes(before.encode())
    settings = settings_of(tmp_path)
    written = decide(settings)
    content = file.read_bytes()
    assert content.startswith((before + after + written.decision_id).encode())
    assert content.endswith(b"she called\r\n" if "\r\n" in before else b"she called\n")
    assert read_decisions(settings)[-1] == written


def test_columns_in_another_order_and_more_of_them_are_respected(tmp_path: Path) -> None:
    file = tmp_path / "identity_decisions.csv"
    header = ["ticket", *reversed(COLUMNS)]
    file.write_text(",".join(header) + "\n")
    written = decide(settings_of(tmp_path))
    assert dict(zip(header, lines(tmp_path)[1], strict=True)) | {"ticket": ""} == {
        "ticket": "",
        "decision_id": written.decision_id,
        "left_source_system": "crm",
        "left_record_table": "contacts",
        "left_record_id": "42",
        "right_source_system": "shop",
        "right_record_table": "contacts",
        "right_record_id": "S-17",
        "decision": "same",
        "decided_at": "2024-04-01 06:00:00",
        "decided_by": "ada",
        "reason": "she called",
    }


def test_an_empty_file_gets_a_header(tmp_path: Path) -> None:
    (tmp_path / "identity_decisions.csv").write_bytes(b"\xef\xbb\xbf")
    decide(settings_of(tmp_path))
    assert lines(tmp_path)[0] == list(COLUMNS)


def test_commas_quotes_and_line_ends_in_a_reason_keep_one_line(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    decide(settings, reason='moved,\n  "same" phone')
    assert (tmp_path / "identity_decisions.csv").read_text().count("\n") == 2
    assert read_decisions(settings)[0].reason == 'moved, "same" phone'


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"decision_id,decision\n", "no column left_source_system"),
        (";".join(COLUMNS).encode() + b"\n", "no column decision_id"),
        (",".join(COLUMNS).encode() + b'\nd1,"never closed\n', "no valid CSV"),
        (",".join(COLUMNS).encode() + b"\nd1,\xff\n", "not UTF-8"),
    ],
    ids=["too few columns", "semicolons", "an open quote", "another encoding"],
)
def test_a_file_that_cannot_be_appended_to_stays_as_it_is(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "identity_decisions.csv"
    file.write_bytes(content)
    with pytest.raises(LifecycleError, match=words) as refused:
        decide(settings_of(tmp_path))
    assert str(file) in str(refused.value)
    assert file.read_bytes() == content


def test_a_record_is_not_compared_with_itself_and_a_reason_is_demanded(tmp_path: Path) -> None:
    with pytest.raises(LifecycleError, match="the same record, contacts:crm:42"):
        decide(settings_of(tmp_path), right=CRM)
    with pytest.raises(LifecycleError, match="needs a reason"):
        decide(settings_of(tmp_path), reason="  ")
    assert not (tmp_path / "identity_decisions.csv").exists()


def test_nothing_is_written_while_a_run_reads(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    settings.state.make()
    with settings.state.lock.open("w") as lock:
        lock.write('{"run_id": "run-1", "pid": "1", "host": "here", "since": "now"}')
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(LockedError, match="run-1"):
            decide(settings)
    assert not (tmp_path / "identity_decisions.csv").exists()


def test_a_failed_write_leaves_the_file_and_no_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(tmp_path)
    decide(settings)
    before = (tmp_path / "identity_decisions.csv").read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(decisions.os, "fsync", full)
    with pytest.raises(LifecycleError, match="No space left"):
        decide(settings, "different")
    assert (tmp_path / "identity_decisions.csv").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["identity_decisions.csv"]


def test_the_file_keeps_its_rights_and_may_lie_behind_a_link(tmp_path: Path) -> None:
    kept = tmp_path / "kept" / "decisions.csv"
    kept.parent.mkdir()
    kept.write_text(",".join(COLUMNS) + "\n")
    kept.chmod(0o640)
    (tmp_path / "identity_decisions.csv").symlink_to(kept)
    decide(settings_of(tmp_path))
    assert (tmp_path / "identity_decisions.csv").is_symlink()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o640
    assert len(kept.read_text().splitlines()) == 2


def test_the_file_may_lie_in_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "stewards/decisions.csv")
    decide(settings)
    assert len(read_decisions(settings)) == 1
