"""What changed between the links of the last publication and those of now."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lifecycle.identity.merges import MERGE_LOG, note_merges
from lifecycle.warehouse import Warehouse, open_duckdb
from tests.identity_case import contact, decision, record, resolve

AS_OF = date(2024, 6, 30)


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    with open_duckdb(tmp_path / "warehouse.duckdb") as opened:
        yield opened


def publish(warehouse: Warehouse, folder: Path) -> Path:
    """A file of personal data as a publication has it, with the links and merges of now."""
    path = folder / f"published_{len(list(folder.iterdir()))}.duckdb"
    warehouse.run(f"attach '{path}' as publication")
    warehouse.run("create schema publication.identity")
    warehouse.run("create table publication.identity.customer_links as from identity.record_links")
    if warehouse.has_table(MERGE_LOG):
        warehouse.run(f"create table publication.identity.customer_merges as from {MERGE_LOG}")
    warehouse.run("detach publication")
    return path


def changes(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    return warehouse.rows(f"select previous_customer_id, customer_id, change_kind from {MERGE_LOG} order by all")


def day(number: int) -> datetime:
    return datetime(2024, 1, 1) + timedelta(days=number)


ADA = contact("1", email="ada@example.com", at=day(10))
BEN = contact("2", email="ben@example.com", at=day(20))
BRIDGE = record("3", contact="shop:1", email="ben@example.com", table="orders", at=day(30))


def test_the_first_publication_has_no_merges(warehouse: Warehouse) -> None:
    resolve(warehouse, ADA, BEN)
    note_merges(warehouse, None, AS_OF)
    assert changes(warehouse) == []


def test_a_merge_is_noted_once_and_stays_noted(warehouse: Warehouse, tmp_path: Path) -> None:
    apart, _ = resolve(warehouse, ADA, BEN)
    first = publish(warehouse, tmp_path)
    resolve(warehouse, ADA, BEN, BRIDGE)
    note_merges(warehouse, first, AS_OF)
    merged = [(apart["2"], apart["1"], "merged")]
    assert changes(warehouse) == merged
    assert warehouse.rows(f"select record_count, reason, changed_as_of from {MERGE_LOG}") == [
        (1, "the same contact id, on a new record of shop.orders", AS_OF)
    ]
    second = publish(warehouse, tmp_path)
    note_merges(warehouse, second, date(2024, 7, 1))
    assert changes(warehouse) == merged


def test_an_earlier_record_that_turns_up_renames_the_customer(warehouse: Warehouse, tmp_path: Path) -> None:
    before, _ = resolve(warehouse, ADA)
    published = publish(warehouse, tmp_path)
    after, _ = resolve(warehouse, ADA, record("0", contact="shop:1", table="orders", at=day(1)))
    note_merges(warehouse, published, AS_OF)
    assert changes(warehouse) == [(before["1"], after["1"], "renamed")]


def test_an_earlier_record_that_joins_two_customers_merges_both_into_its_own(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    before, _ = resolve(warehouse, ADA, BEN)
    published = publish(warehouse, tmp_path)
    after, _ = resolve(warehouse, ADA, BEN, BRIDGE | {"occurred_at": day(1)})
    note_merges(warehouse, published, AS_OF)
    assert changes(warehouse) == sorted((before[name], after["3"], "merged") for name in ("1", "2"))


def test_a_steward_who_splits_a_customer_is_the_reason(warehouse: Warehouse, tmp_path: Path) -> None:
    joined, _ = resolve(warehouse, ADA, BEN, BRIDGE)
    published = publish(warehouse, tmp_path)
    split = decision("contacts:shop:1", "contacts:shop:2", "different")
    apart, _ = resolve(warehouse, ADA, BEN, BRIDGE, decisions=[split])
    note_merges(warehouse, published, AS_OF)
    assert changes(warehouse) == [(joined["1"], apart["2"], "split")]
    assert warehouse.rows(f"select reason from {MERGE_LOG}") == [("a steward decided that they are different people",)]


def test_a_visit_that_goes_to_another_known_customer_changes_neither(warehouse: Warehouse, tmp_path: Path) -> None:
    used_by_ada = record("login", contact="shop:1", cookie="web:k", table="touchpoints", at=day(11))
    visit = record("visit", cookie="web:k", table="touchpoints", at=day(40))
    before, _ = resolve(warehouse, ADA, BEN, used_by_ada, visit)
    published = publish(warehouse, tmp_path)
    used_by_ben = record("login2", contact="shop:2", cookie="web:k", table="touchpoints", at=day(39))
    after, _ = resolve(warehouse, ADA, BEN, used_by_ada, visit, used_by_ben)
    assert (before["visit"], after["visit"]) == (before["1"], before["2"])
    note_merges(warehouse, published, AS_OF)
    assert changes(warehouse) == []
