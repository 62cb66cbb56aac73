"""What every place that is given whole lists does, whatever it is.

A test module makes a class and says how its place is written to and what a reader sees there::

    class TestS3(SnapshotContract):
        def make_destination(self): return S3Destination(...)
        def seen(self, sync_name): return {"members.csv": b"...", ...}
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from lifecycle.errors import LifecycleError
from lifecycle.publishing.destinations.snapshots import Receipt, Snapshot, SnapshotDestination
from lifecycle.warehouse import Warehouse, literal, open_duckdb

SYNC = "lapsed_to_place"
NOW = datetime(2026, 11, 24, 6, 0)
SECRET = "secret-that-nobody-may-see"
CELLS = ["=1+1", "+1+1", "-2+3", "@SUM(A1)", "\tx", "\rx", "＝1", "plain - text"]


class SnapshotContract(ABC):
    """Subclass it in a test module."""

    @abstractmethod
    def make_destination(self) -> SnapshotDestination:
        """The destination, writing to its place."""

    @abstractmethod
    def seen(self, sync_name: str = SYNC) -> dict[str, bytes] | None:
        """What a reader of the list finds at the place, by name of file; None where there is no list."""

    @abstractmethod
    def everything(self) -> set[str]:
        """Names of all that lies at the place, hidden or not."""

    @abstractmethod
    def kept(self) -> set[str]:
        """Keys of the deliveries that lie at the place."""

    @abstractmethod
    def lose(self, file: str) -> None:
        """Take a file of the current delivery away."""

    @abstractmethod
    def occupy(self) -> None:
        """Put something else where the list is to be."""

    @pytest.fixture(autouse=True)
    def _own_temporary_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.temporary = tmp_path / "temporary"
        self.temporary.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(self.temporary))

    @pytest.fixture
    def warehouse(self, tmp_path: Path) -> Iterator[Warehouse]:
        with open_duckdb(tmp_path / "published.duckdb") as warehouse:
            yield warehouse

    @pytest.fixture
    def destination(self) -> SnapshotDestination:
        return self.make_destination()

    def snapshot(self, warehouse: Warehouse, *customers: str, order: str = "customer_id") -> Snapshot:
        rows = ", ".join(f"({literal(name)}, 'p_' || {literal(name)} || '@example.com')" for name in customers)
        members = (
            "select customer_id, timestamp '2026-01-01' as entered_at, 'No order for 90 days' as reason, email"
            f" from (values {rows}) as listed(customer_id, email)"
        )
        return Snapshot(
            warehouse,
            f"select * from ({members}) order by {order}",
            f"select customer_id, 'add' as operation, 'entered' as reason, reason as detail, entered_at"
            f" from ({members})",
            NOW,
            {"segment": "lapsed", "run_id": "run-1"},
        )

    def deliver(
        self, destination: SnapshotDestination, warehouse: Warehouse, key: str, *customers: str, order: str = "1"
    ) -> Receipt:
        destination.ensure_list(SYNC)
        return destination.send(SYNC, self.snapshot(warehouse, *customers, order=order), key)

    def members(self) -> list[str]:
        seen = self.seen()
        assert seen is not None
        return [row["customer_id"] for row in csv.DictReader(io.StringIO(seen["members.csv"].decode()))]

    def test_a_place_that_can_be_written_to_is_ready_and_nothing_is_written(
        self, destination: SnapshotDestination
    ) -> None:
        before = self.everything()
        health = destination.check()
        assert health.is_ready, health
        assert self.everything() == before

    def test_a_list_is_not_there_before_it_was_delivered(self, destination: SnapshotDestination) -> None:
        destination.ensure_list(SYNC)
        destination.ensure_list(SYNC)
        assert destination.read_back(SYNC) is None
        assert self.seen() is None

    def test_a_delivery_arrives_whole_and_says_what_it_holds(
        self, destination: SnapshotDestination, warehouse: Warehouse
    ) -> None:
        sent = self.deliver(destination, warehouse, "run-000001", "c1", "c2", "c3")
        found = destination.read_back(SYNC)
        assert found is not None
        assert (sent.key, sent.member_count) == (found.key, found.member_count) == ("run-000001", 3)
        seen = self.seen()
        assert seen is not None and set(seen) == {"members.csv", "members.parquet", "changes.csv", "manifest.json"}
        manifest = json.loads(seen["manifest.json"])
        assert (manifest["sync"], manifest["sync_run_id"], manifest["segment"]) == (SYNC, "run-000001", "lapsed")
        for name, described in manifest["files"].items():
            content = seen[name]
            assert (described["rows"], described["bytes"]) == (3, len(content))
            assert described["sha256"] == hashlib.sha256(content).hexdigest()
        assert self.members() == ["c1", "c2", "c3"]
        assert len(seen["changes.csv"].splitlines()) == 4

    def test_the_list_can_be_read_again_as_parquet_but_is_not_fetched_before(
        self, destination: SnapshotDestination, warehouse: Warehouse
    ) -> None:
        self.deliver(destination, warehouse, "run-000001", "c1", "c2")
        receipt = destination.read_back(SYNC)
        assert receipt is not None and "run-000001" in repr(receipt)
        assert list(self.temporary.iterdir()) == []
        rows = duckdb.execute(f"select customer_id, email from read_parquet('{receipt.members}')").fetchall()
        assert rows == [("c1", "p_c1@example.com"), ("c2", "p_c2@example.com")]
        assert receipt.members == receipt.members

    def test_a_list_is_reduced_by_what_was_delivered_before_and_nothing_of_it_stays_on_this_machine(
        self, destination: SnapshotDestination, warehouse: Warehouse
    ) -> None:
        self.deliver(destination, warehouse, "run-000001", "c1", "c2", "c3")
        receipt = destination.read_back(SYNC)
        assert receipt is not None
        # As the engine does when nothing but withdrawals may be sent.
        reduced = Snapshot(
            warehouse,
            f"select * from read_parquet({literal(str(receipt.members))}) where customer_id not in ('c2')",
            "select 'c2' as customer_id, 'remove' as operation, 'consent_withdrawn' as reason, null as detail,"
            " null as entered_at",
            NOW,
            {},
        )
        receipt = destination.send(SYNC, reduced, "run-000002")
        assert (receipt.key, receipt.member_count) == ("run-000002", 2)
        assert self.members() == ["c1", "c3"]
        assert list(self.temporary.iterdir()) == []

    def test_the_same_key_again_has_the_effect_of_once(
        self, destination: SnapshotDestination, warehouse: Warehouse
    ) -> None:
        self.deliver(destination, warehouse, "run-000001", "c1")
        before, everything = self.seen(), self.everything()
        again = self.deliver(destination, warehouse, "run-000001", "c1", "c2")
        assert (again.key, again.member_count) == ("run-000001", 1)
        assert (self.seen(), self.everything()) == (before, everything)

    def test_a_list_replaces_the_one_before(self, destination: SnapshotDestination, warehouse: Warehouse) -> None:
        self.deliver(destination, warehouse, "run-000001", "c1", "c2")
        self.deliver(destination, warehouse, "run-000002", "c2", "c3")
        assert self.members() == ["c2", "c3"]

    def test_an_empty_list_is_a_list(self, destination: SnapshotDestination, warehouse: Warehouse) -> None:
        destination.ensure_list(SYNC)
        snapshot = self.snapshot(warehouse, "c1")
        nobody = Snapshot(warehouse, f"{snapshot.members_sql} limit 0", snapshot.changes_sql, NOW, {})
        receipt = destination.send(SYNC, nobody, "run-000001")
        assert (receipt.key, receipt.member_count) == ("run-000001", 0)
        assert self.members() == []

    def test_formula_cells_are_neutralised_in_csv_and_left_alone_in_parquet(
        self, destination: SnapshotDestination, warehouse: Warehouse
    ) -> None:
        rows = ", ".join(f"('c{place}', {literal(cell)}, '+4930123')" for place, cell in enumerate(CELLS))
        members = f"select * from (values {rows}) as listed(customer_id, persona, phone)"
        changes = (
            f"select customer_id, 'add' as operation, persona as reason, null as detail, null as entered_at"
            f" from ({members})"
        )
        destination.ensure_list(SYNC)
        receipt = destination.send(SYNC, Snapshot(warehouse, members, changes, NOW, {}), "run-000001")
        seen = self.seen()
        assert seen is not None
        neutral = [f"'{cell}" for cell in CELLS[:-1]] + CELLS[-1:]
        for file, column in (("members.csv", "persona"), ("changes.csv", "reason")):
            found = list(csv.DictReader(io.StringIO(seen[file].decode(), newline="")))
            assert [row[column] for row in found] == neutral
        assert {row["phone"] for row in csv.DictReader(io.StringIO(seen["members.csv"].decode()))} == {"+4930123"}
        plain = duckdb.execute(f"select persona from read_parquet('{receipt.members}') order by customer_id").fetchall()
        assert [value for (value,) in plain] == CELLS

    def test_equal_lists_are_equal_to_the_byte(self, destination: SnapshotDestination, warehouse: Warehouse) -> None:
        everybody = [f"c{number:03d}" for number in range(200)]
        files = []
        for key, order in (("run-000001", "customer_id"), ("run-000002", "hash(customer_id)")):
            self.deliver(destination, warehouse, key, *everybody, order=order)
            seen = self.seen()
            assert seen is not None
            files.append({name: content for name, content in seen.items() if name != "manifest.json"})
        assert files[0] == files[1]

    def test_three_deliveries_stay(self, destination: SnapshotDestination, warehouse: Warehouse) -> None:
        for number in range(1, 6):
            self.deliver(destination, warehouse, f"run-{number:06d}", f"c{number}")
        assert self.kept() == {"run-000003", "run-000004", "run-000005"}
        assert self.members() == ["c5"]

    def test_a_place_that_holds_something_else_is_not_overwritten(self, destination: SnapshotDestination) -> None:
        self.occupy()
        before = self.everything()
        with pytest.raises(LifecycleError, match="no delivery") as raised:
            destination.ensure_list(SYNC)
        assert raised.value.remedy
        assert self.everything() == before

    @pytest.mark.parametrize("file", ["members.csv", "members.parquet", "changes.csv"])
    def test_a_list_of_which_something_was_lost_is_not_there_and_can_be_delivered_again(
        self, destination: SnapshotDestination, warehouse: Warehouse, file: str
    ) -> None:
        self.deliver(destination, warehouse, "run-000001", "c1")
        self.lose(file)
        assert destination.read_back(SYNC) is None
        assert self.deliver(destination, warehouse, "run-000002", "c1").key == "run-000002"
        assert self.members() == ["c1"]

    def test_a_query_that_fails_is_told_and_the_last_delivery_stays(
        self, destination: SnapshotDestination, warehouse: Warehouse
    ) -> None:
        self.deliver(destination, warehouse, "run-000001", "c1")
        broken = Snapshot(warehouse, "select * from nowhere", "select 1", NOW, {})
        with pytest.raises(LifecycleError, match="could not be written") as raised:
            destination.send(SYNC, broken, "run-000002")
        assert raised.value.remedy
        assert self.members() == ["c1"]
        assert list(self.temporary.iterdir()) == []

    def test_two_syncs_do_not_touch_each_other(self, destination: SnapshotDestination, warehouse: Warehouse) -> None:
        self.deliver(destination, warehouse, "run-000001", "c1")
        before = self.seen()
        destination.ensure_list("another_sync")
        destination.send("another_sync", self.snapshot(warehouse, "c7"), "other-000001")
        assert self.seen() == before
        assert self.seen("another_sync") is not None
        found = destination.read_back("another_sync")
        assert found is not None and found.key == "other-000001"

    def test_no_secret_and_no_address_is_told_to_anybody(
        self,
        destination: SnapshotDestination,
        warehouse: Warehouse,
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        caplog.set_level(logging.DEBUG)
        destination.check()
        self.deliver(destination, warehouse, "run-000001", "c1")
        receipt = destination.read_back(SYNC)
        said = f"{caplog.text} {capfd.readouterr()} {destination!r} {receipt!r}"
        for value in (SECRET, "p_c1@example.com"):
            assert value not in said
