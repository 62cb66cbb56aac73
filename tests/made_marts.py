"""Marts filled with made rows: every table that the semantic layer reads, by its contract.

The rows mean nothing and break rules that real ones keep (they repeat keys, they are empty here and there), so that two
ways to compute a metric have every chance to differ. The same seed gives the same rows.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from lifecycle.dbt import parsed_manifest
from lifecycle.metrics.definitions import Definitions, SemanticModel
from lifecycle.metrics.spans import span_of
from lifecycle.warehouse import Warehouse, open_duckdb, quoted

FIRST, LAST = date(2024, 1, 1), date(2025, 12, 31)
WORDS = ("amber", "blue", "coral", "dune", "ecru")
EMPTY_SHARE = 0.1


def make_marts(path: Path, definitions: Definitions, *, rows: int = 400, seed: int = 1) -> None:
    """A DuckDB file with every mart of the semantic layer, and the days that MetricFlow counts along."""
    contracts = contracts_of_models()
    with open_duckdb(path) as warehouse:
        tables = {model.table for model in definitions.models.values()}
        for schema in sorted({"marts", *(table.partition(".")[0] for table in tables)}):
            warehouse.run(f"create schema {quoted(schema)}")
        for table in sorted(tables):
            chance = random.Random(f"{seed} {table}")  # noqa: S311 - made rows are no secret
            fillers = _fillers(definitions, table, contracts[table], chance)
            _make(warehouse, table, fillers, rows)
        warehouse.run(
            "create table marts.calendar_days as select cast(day as date) as calendar_date,"
            " cast(date_trunc('month', day) as date) as calendar_month"
            f" from range(date '{FIRST}', date '{LAST}' + 1, interval 1 day) as days(day)"
        )


def contracts_of_models() -> dict[str, dict[str, str]]:
    """Table → column → type, as the contracts of the models say."""
    return {
        f"{node.schema}.{node.alias}": {name: str(column.data_type) for name, column in node.columns.items()}
        for node in parsed_manifest().nodes.values()
        if node.resource_type.value == "model"
    }


@dataclass
class Filler:
    """Makes the values of one column. ``known`` are values that conditions name, ``grain`` is that of a time."""

    name: str
    data_type: str
    known: tuple[str, ...]
    grain: str | None
    may_be_empty: bool
    chance: random.Random

    def value(self) -> Any:
        if self.may_be_empty and self.chance.random() < EMPTY_SHARE:
            return None
        if self.data_type in ("date", "timestamp"):
            return self._time()
        if self.data_type == "boolean":
            return self.chance.random() < 0.5
        if self.data_type == "string":
            return self.chance.choice(sorted({*self.known, *WORDS}))
        if self.data_type == "bigint":
            use_known = self.known and self.chance.random() < 0.5
            return int(self.chance.choice(self.known)) if use_known else self.chance.randrange(14)
        number = Decimal(self.chance.randrange(-2_000, 10_000)) / 100
        return float(number) if self.data_type == "double" else number

    def _time(self) -> date:
        day = FIRST + timedelta(days=self.chance.randrange((LAST - FIRST).days + 1))
        if self.data_type == "timestamp":
            return datetime.combine(day, time(self.chance.randrange(24)))
        return span_of(day, self.grain or "day")


def _fillers(definitions: Definitions, table: str, columns: dict[str, str], chance: random.Random) -> list[Filler]:
    models = [model for model in definitions.models.values() if model.table == table]
    grains = {one.sql: one.grain for model in models for one in model.groupings.values() if one.is_time}
    windows = [measure.last_value for model in models for measure in model.measures.values() if measure.last_value]
    keys = {*grains, *(model_sql(model, name) for model in models for window in windows for name in window.per)}
    known = _known_values(definitions, models)
    return [
        Filler(name, kind, tuple(known.get(name, ())), grains.get(name), name not in keys, chance)
        for name, kind in columns.items()
    ]


def model_sql(model: SemanticModel, name: str) -> str:
    return model.groupings[name].sql if name in model.groupings else name


def _known_values(definitions: Definitions, models: list[SemanticModel]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for model in models:
        for text in (text for metric in definitions.metrics.values() for text in metric.filters):
            for name, values in re.findall(r"'(\w+)'\s*\)\s*\}\}\s*(?:=|in)\s*(\([^)]*\)|'[^']*'|\d+)", text):
                grouping = model.grouping(name)
                if grouping is not None:
                    found.setdefault(grouping.sql, []).extend(re.findall(r"\w+", values))
    return found


def _make(warehouse: Warehouse, table: str, fillers: list[Filler], rows: int) -> None:
    types = ", ".join(f"{quoted(one.name)} {one.data_type.replace('string', 'varchar')}" for one in fillers)
    warehouse.run(f"create table {table} ({types})")
    places = ", ".join("?" * len(fillers))
    values = [[one.value() for one in fillers] for _ in range(rows)]
    warehouse.connection.executemany(f"insert into {table} values ({places})", values)
