"""Publications: whole or not at all, without direct identifiers, behind one symlink."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import stat
import threading
import time
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest
from small_build import (
    AS_OF,
    CANARIES,
    NOW,
    build,
    in_a_process,
    killed_publication,
    opened,
    settings_of,
    verdict,
)

from lifecycle.errors import GateStoppedError, LifecycleError
from lifecycle.publishing.ledger import open_ledger
from lifecycle.serving.publication import (
    PII,
    PUBLIC,
    Publication,
    build_publication,
    current,
    publications,
    rollback,
)
from lifecycle.settings import Settings
from lifecycle.warehouse import open_duckdb

MARKED = {
    "marts.customer_360": "persona",
    "marts.customer_timeline": "channel",
    "marts.customer_lifecycle_history": "reason_code",
    "marts.lifecycle_transitions": "reason_code",
    "marts.customer_scheme_stages": "stage",
    "marts.lifecycle_stage_daily": "stage",
    "identity.customer_links": "link_rule",
    "ops.run_log": "message",
    "ops.batches": "source_system",
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path)


def publish(settings: Settings, number: int, **changes: object) -> Publication:
    with opened(settings) as warehouse:
        build(warehouse, version=number, run_id=f"run-{number}", customers=10 + number)
        return build_publication(
            warehouse,
            settings,
            run_id=f"run-{number}",
            as_of=AS_OF,
            published_at=NOW + timedelta(hours=number),
            **changes,  # type: ignore[arg-type]
        )


def versions_read(database: Path) -> set[str]:
    """The versions that one opening of the database sees, over all marked tables."""
    connection = duckdb.connect(str(database), read_only=True)
    try:
        seen = {
            value
            for table, column in MARKED.items()
            for (value,) in connection.execute(f"select distinct {column} from {table}").fetchall()
        }
        runs = connection.execute("select distinct run_id from ops.published").fetchall()
        return seen | {f"v{run.removeprefix('run-')}" for (run,) in runs}
    finally:
        connection.close()


def public_text(database: Path) -> str:
    """Every value of every table, as one text."""
    connection = duckdb.connect(str(database), read_only=True)
    try:
        tables = connection.execute("select schema_name || '.' || table_name from duckdb_tables()").fetchall()
        return "\n".join(str(connection.execute(f"from {table}").fetchall()) for (table,) in tables)
    finally:
        connection.close()


def test_a_publication_holds_every_declared_table_with_its_row_count_and_digest(settings: Settings) -> None:
    published = publish(settings, 1)

    assert published.folder == settings.state.serving / "runs" / "run-1"
    with open_duckdb(published.database, read_only=True) as public:
        rows = public.dicts("select * from ops.published order by table_name")
        assert [row["table_name"] for row in rows] == sorted(
            [*(table.name for table in PUBLIC), "ops.source_freshness"]
        )
        for row in rows:
            assert row["row_count"] == public.scalar(f"select count(*) from {row['table_name']}")
            assert (row["run_id"], row["as_of"], len(row["digest"])) == ("run-1", AS_OF, 64)
        customers = next(row for row in rows if row["table_name"] == "marts.customer_360")
        parquet = (published.parquet / "marts.customer_360.parquet").read_bytes()
        assert customers["digest"] == hashlib.sha256(parquet).hexdigest()
    with open_duckdb(published.pii_database, read_only=True) as pii:
        names = [name for (name,) in pii.rows("select table_name from ops.published order by table_name")]
        assert names == sorted(table.name for table in PII)
        assert pii.scalar("select record_id from identity.customer_links where customer_id = 'c00001'") == CANARIES[3]


def test_files_have_the_modes_that_bi_tools_and_privacy_need(settings: Settings) -> None:
    published = publish(settings, 1)

    assert stat.S_IMODE(published.database.stat().st_mode) == 0o444
    assert stat.S_IMODE(published.pii_database.stat().st_mode) == 0o640
    assert not list(published.folder.glob("*.wal"))
    assert str((settings.state.serving / "current").readlink()) == "runs/run-1"
    assert str((settings.state.serving / "lifecycle.duckdb").readlink()) == "current/lifecycle.duckdb"
    assert str((settings.state.serving / "lifecycle_pii.duckdb").readlink()) == "current/lifecycle_pii.duckdb"


def test_the_manifest_names_every_file_with_its_checksum(settings: Settings) -> None:
    published = publish(settings, 1)

    manifest = json.loads((published.folder / "manifest.json").read_text())
    on_disk = {str(path.relative_to(published.folder)) for path in published.folder.rglob("*") if path.is_file()}
    assert set(manifest["files"]) == on_disk - {"manifest.json"}
    for name, described in manifest["files"].items():
        content = (published.folder / name).read_bytes()
        assert described == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert (manifest["run_id"], manifest["as_of"]) == ("run-1", "2024-03-31")
    assert not any(name.startswith("parquet/ops") or "contacts" in name for name in manifest["files"])


def test_no_direct_identifier_or_record_id_reaches_the_public_files(settings: Settings) -> None:
    published = publish(settings, 1)

    texts = [public_text(published.database), (published.folder / "manifest.json").read_text()]
    connection = duckdb.connect()
    for path in published.parquet.iterdir():
        texts.append(str(connection.execute(f"from read_parquet('{path}')").fetchall()))
    raw_bytes = b"".join(p.read_bytes() for p in published.folder.rglob("*") if p.is_file() and "pii" not in p.name)
    key = settings.state.hash_key_file.read_text().strip()
    for secret in (*CANARIES, key):
        assert not any(secret in text for text in texts)
        assert secret.encode() not in raw_bytes
    pii = public_text(published.pii_database)
    assert all(canary in pii for canary in CANARIES)


def test_a_hashed_record_id_is_the_same_in_every_publication_and_differs_with_the_key(
    settings: Settings, tmp_path: Path
) -> None:
    def hashes(of: Settings) -> list[tuple[str]]:
        with open_duckdb(publish(of, 1).database, read_only=True) as public:
            return public.rows("select record_id from identity.customer_links order by all")

    first = hashes(settings)
    assert len(set(first)) == 11
    assert hashes(settings) == first
    assert hashes(settings_of(tmp_path / "elsewhere")) != first


def test_a_public_table_with_a_column_of_direct_identifiers_is_refused(settings: Settings) -> None:
    with opened(settings) as warehouse:
        build(warehouse)
        warehouse.run("alter table marts.customer_360 add column email varchar")
        with pytest.raises(LifecycleError, match=r"marts\.customer_360\.email"):
            build_publication(warehouse, settings, run_id="run-1", as_of=AS_OF, published_at=NOW)
    assert current(settings.state) is None


def test_equal_content_is_published_as_equal_bytes(settings: Settings) -> None:
    def digests(published: Publication) -> dict[str, str]:
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in published.parquet.iterdir()}

    first = publish(settings, 1)
    with opened(settings) as warehouse:
        # The same rows in another physical order.
        warehouse.create_as("marts.customer_timeline", "from marts.customer_timeline order by hash(event_id)")
        verdict(warehouse, "run-2", "marts", "passed")
        second = build_publication(warehouse, settings, run_id="run-2", as_of=AS_OF, published_at=NOW)
    assert len(digests(first)) == len([table for table in PUBLIC if table.in_parquet]) > 50
    assert digests(first) == digests(second)
    by_name = [
        {(t.file_name, t.table_name): t.digest for t in p.tables if not t.table_name.startswith("ops")}
        for p in (first, second)
    ]
    assert by_name[0] == by_name[1]


def test_freshness_is_the_latest_event_that_is_not_dated_after_its_loading(settings: Settings) -> None:
    published = publish(settings, 1)

    with open_duckdb(published.database, read_only=True) as public:
        rows = public.rows("select source_system, table_name, latest_event_at::date::varchar from ops.source_freshness")
    assert rows == [("shop", "contacts", "2024-03-30")]


def test_descriptions_of_columns_travel_with_the_table(settings: Settings) -> None:
    with opened(settings) as warehouse:
        build(warehouse)
        warehouse.run("comment on column marts.customer_360.persona is 'Who it''s like.'")
        published = build_publication(warehouse, settings, run_id="run-1", as_of=AS_OF, published_at=NOW)
    with open_duckdb(published.database, read_only=True) as public:
        comment = public.scalar("select comment from duckdb_columns() where column_name = 'persona'")
    assert comment == "Who it's like."


def test_a_gate_that_did_not_pass_keeps_the_previous_publication(settings: Settings) -> None:
    publish(settings, 1)
    with opened(settings) as warehouse:
        for outcome, severity in (("failed", "error"), ("broken", "error"), ("broken", "warning")):
            build(warehouse, run_id="run-2")
            verdict(warehouse, "run-2", "marts", outcome, severity=severity, check="orders_reconcile")
            with pytest.raises(GateStoppedError, match="orders_reconcile") as stopped:
                build_publication(warehouse, settings, run_id="run-2", as_of=AS_OF, published_at=NOW)
            assert stopped.value.exit_code == 3
    served = current(settings.state)
    assert served is not None
    assert served.run_id == "run-1"


def test_a_run_without_a_verdict_of_its_own_is_not_published(settings: Settings) -> None:
    with opened(settings) as warehouse:
        build(warehouse, run_id="yesterday")
        with pytest.raises(GateStoppedError, match="not judged"):
            build_publication(warehouse, settings, run_id="today", as_of=AS_OF, published_at=NOW)


def test_warnings_and_stopped_segments_do_not_stop_the_publication(settings: Settings) -> None:
    with opened(settings) as warehouse:
        build(warehouse)
        verdict(warehouse, "run-1", "marts", "failed", severity="warning", check="late_source")
        verdict(warehouse, "run-1", "segment:lapsed", "failed", check="kept_its_size")
        published = build_publication(warehouse, settings, run_id="run-1", as_of=AS_OF, published_at=NOW)
    with open_duckdb(published.database, read_only=True) as public:
        assert public.scalar("select count(*) from ops.gate_results where outcome = 'failed'") == 2


def test_a_table_that_was_not_built_is_named(settings: Settings) -> None:
    with opened(settings) as warehouse:
        build(warehouse)
        warehouse.run("drop table marts.revenue_monthly")
        with pytest.raises(LifecycleError, match=r"lacks marts\.revenue_monthly"):
            build_publication(warehouse, settings, run_id="run-1", as_of=AS_OF, published_at=NOW)


def test_a_run_id_cannot_leave_the_serving_folder(settings: Settings) -> None:
    with opened(settings) as warehouse:
        build(warehouse)
        for run_id in ("../../etc", "", ".hidden", "a/b"):
            with pytest.raises(LifecycleError, match="cannot name a publication"):
                build_publication(warehouse, settings, run_id=run_id, as_of=AS_OF, published_at=NOW)


def test_the_fourth_publication_removes_the_first(settings: Settings) -> None:
    for number in (1, 2, 3, 4):
        publish(settings, number)

    known = publications(settings.state)
    assert [(p.run_id, p.is_current) for p in known] == [("run-4", True), ("run-3", False), ("run-2", False)]
    assert sorted(path.name for path in (settings.state.serving / "runs").iterdir()) == ["run-2", "run-3", "run-4"]


def test_a_retry_of_the_same_run_replaces_its_publication(settings: Settings) -> None:
    publish(settings, 1)
    with duckdb.connect(str(settings.state.serving / "lifecycle.duckdb"), read_only=True) as reader:
        again = publish(settings, 1)
        assert reader.execute("select count(*) from marts.customer_360").fetchall() == [(11,)]
    assert [p.run_id for p in publications(settings.state)] == ["run-1"]
    assert current(settings.state) == again
    third = publish(settings, 1)
    assert [p.folder for p in publications(settings.state)] == [third.folder]


def test_rollback_shows_the_previous_or_the_named_publication_again(settings: Settings) -> None:
    for number in (1, 2, 3):
        publish(settings, number)
    served = settings.state.serving / "lifecycle.duckdb"

    assert rollback(settings.state).run_id == "run-2"
    assert versions_read(served) == {"v2"}
    assert rollback(settings.state, "run-1").run_id == "run-1"
    assert versions_read(served) == {"v1"}
    with pytest.raises(LifecycleError, match="no earlier publication"):
        rollback(settings.state)
    with pytest.raises(LifecycleError, match="no publication 'run-9'"):
        rollback(settings.state, "run-9")
    assert rollback(settings.state, "run-3").is_current
    assert versions_read(served) == {"v3"}


def test_a_publication_that_is_shown_again_outlives_newer_ones(settings: Settings) -> None:
    for number in (1, 2, 3):
        publish(settings, number)
    rollback(settings.state, "run-1")
    publish(settings, 4)
    rollback(settings.state, "run-3")
    publish(settings, 5)
    assert [p.run_id for p in publications(settings.state)] == ["run-5", "run-4", "run-3"]


def test_a_past_day_is_published_beside_and_replaced_in_one_step(settings: Settings) -> None:
    publish(settings, 1)
    past = settings.state.serving / "as-of" / "2024-03-31" / "lifecycle.duckdb"
    publish(settings, 2, as_of_only=True)
    assert versions_read(past) == {"v2"}
    publish(settings, 3, as_of_only=True)
    assert versions_read(past) == {"v3"}
    publish(settings, 3, as_of_only=True)
    assert versions_read(past) == {"v3"}
    assert versions_read(settings.state.serving / "lifecycle.duckdb") == {"v1"}
    assert [p.run_id for p in publications(settings.state)] == ["run-1"]
    assert len(list((settings.state.serving / "as-of" / ".builds").iterdir())) == 1


def test_two_past_days_stand_beside_each_other(settings: Settings) -> None:
    with opened(settings) as warehouse:
        build(warehouse)
        for day in (date(2024, 1, 31), date(2024, 2, 29)):
            build_publication(warehouse, settings, run_id="run-1", as_of=day, published_at=NOW, as_of_only=True)
    assert sorted(path.name for path in (settings.state.serving / "as-of").glob("2*")) == ["2024-01-31", "2024-02-29"]
    assert current(settings.state) is None


def test_readers_during_swaps_always_see_one_whole_run(settings: Settings) -> None:
    publish(settings, 1)
    served = settings.state.serving / "lifecycle.duckdb"
    done, reads, mixed, errors = threading.Event(), [0], [], []

    def read() -> None:
        while not done.is_set():
            try:
                seen = versions_read(served)
            except duckdb.Error as error:
                errors.append(str(error))
            else:
                reads[0] += 1
                if len(seen) != 1:
                    mixed.append(seen)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        publish(settings, 2)
        for step in range(60):
            rollback(settings.state, f"run-{1 + step % 2}")
            time.sleep(0.01)
        publish(settings, 3)
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert (mixed, errors) == ([], [])
    assert reads[0] > 20


def test_a_publication_killed_at_any_moment_leaves_one_whole_run(settings: Settings) -> None:
    served = settings.state.serving / "lifecycle.duckdb"
    chance = random.Random(20240331)  # noqa: S311

    def work(number: int, step: int | None, delay: float) -> int | None:
        with opened(settings) as warehouse:
            build(warehouse, version=number, run_id=f"run-{number}", customers=500)
        return in_a_process(killed_publication, settings.folder, number, step, delay)

    assert work(1, None, 0) == 0
    steps = int((settings.folder / "steps").read_text())
    seen_before, killed = {"v1"}, 0
    # One kill in each tenth of the work.
    for number in range(2, 12):
        step = int((number - 2 + chance.random()) * steps / 10) + 1
        killed += work(number, step, chance.uniform(0, 0.004)) == -signal.SIGKILL
        seen = versions_read(served)
        assert len(seen) == 1
        assert seen in (seen_before, {f"v{number}"})
        seen_before = seen
    assert killed >= 8
    publish(settings, 20)
    assert versions_read(served) == {"v20"}
    names = [path.name for path in (settings.state.serving / "runs").iterdir()]
    assert len(names) <= 3
    assert not [name for name in names if name.startswith(".")]


def test_a_publication_that_cannot_be_written_says_so_and_leaves_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(settings, 1)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LifecycleError, match="No space left on device"):
        publish(settings, 2)
    monkeypatch.undo()
    assert versions_read(settings.state.serving / "lifecycle.duckdb") == {"v1"}
    assert [path.name for path in (settings.state.serving / "runs").iterdir()] == ["run-1"]


def test_the_ledgers_tables_are_published_and_empty_before_the_first_delivery(settings: Settings) -> None:
    first = publish(settings, 1)
    with open_duckdb(first.database, read_only=True) as public:
        assert public.scalar("select count(*) from ops.sync_runs") == 0
        assert public.scalar("select typeof(max(occurred_at)) from ops.sync_members") == "TIMESTAMP"
    with open_ledger(settings) as ledger:
        ledger.run(
            "insert into runs values ('s-1', 's', 'lapsed', 'drop', 'run-1', 'p', '2024-01-01', '2024-01-01', 3, 1, 1,"
            " 1, 0, 0, 0, 'delivered', null, null)"
        )
        ledger.run(
            "insert into plan_items values ('p', 'c1', 'add', 'entered', null, null, 'x', 'applied', 1, null, null)"
        )
    second = publish(settings, 2)
    with open_duckdb(second.database, read_only=True) as public:
        assert public.rows("select sync_run_id, added_count, outcome from ops.sync_runs") == [("s-1", 1, "delivered")]
        assert public.rows("select customer_id, operation, reason, outcome from ops.sync_members") == [
            ("c1", "add", "entered", "applied")
        ]
