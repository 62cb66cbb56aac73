"""A company made of raw records, taken through the models up to the lifecycle history.

Belongs here: putting records into the raw tables and building what follows from them, for tests that think in records.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from lifecycle.dbt import parsed_manifest
from lifecycle.identity.resolution import Policy, resolve
from lifecycle.settings import LifecycleThresholds
from lifecycle.warehouse import Warehouse
from tests.dbt.project import BEFORE_IDENTITY, DbtProject, empty_warehouse

Record = dict[str, Any]
FROM_THE_SHOP: Record = {
    "source_system": "shop",
    "id_namespace": "shop",
    "batch_id": "b1",
    "loaded_at": datetime(2024, 1, 1),
}


def midnight_after(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), tzinfo=zone).astimezone(UTC).replace(tzinfo=None)


def load(warehouse: Warehouse, tables: Mapping[str, Sequence[Record]], shuffle: random.Random | None = None) -> None:
    """Insert records into ``raw``; a record says its own source where it is not the shop.

    ``shuffle`` changes what must not matter: the order of tables and rows, and when they were loaded.
    """
    names = sorted(tables)
    if shuffle:
        shuffle.shuffle(names)
    for table in names:
        rows = [FROM_THE_SHOP | record for record in tables[table]]
        if not rows:
            continue
        if shuffle:
            shuffle.shuffle(rows)
            for row in rows:
                row["loaded_at"] += timedelta(seconds=shuffle.randrange(86400))
        columns: Record = {name: None for row in rows for name in row}
        warehouse.connection.register("incoming", pa.Table.from_pylist([columns | row for row in rows]))
        warehouse.run(f"insert into raw.{table} by name select * from incoming")
        warehouse.connection.unregister("incoming")


def build(
    folder: Path,
    tables: Mapping[str, Sequence[Record]],
    day: date,
    *,
    select: Sequence[str] = ("+customer_lifecycle_history", "+segment_history"),
    zone: ZoneInfo | None = None,
    thresholds: LifecycleThresholds | None = None,
    shuffle: random.Random | None = None,
) -> DbtProject:
    """The models for one day, on a warehouse of their own."""
    zone = zone or ZoneInfo("UTC")
    folder.mkdir()
    environment = {
        "LIFECYCLE_AS_OF": day.isoformat(),
        "LIFECYCLE_AS_OF_END": midnight_after(day, zone).isoformat(" "),
        "LIFECYCLE_TIMEZONE": zone.key,
    }
    project = DbtProject(parsed_manifest(), folder, environment)
    empty_warehouse(project.warehouse, thresholds)
    with project.opened() as warehouse:
        load(warehouse, tables, shuffle)
    project.build(BEFORE_IDENTITY)
    with project.opened() as warehouse:
        resolve(warehouse, Policy())
    project.build(select, "--exclude", *BEFORE_IDENTITY)
    return project
