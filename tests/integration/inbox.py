"""A company with nothing but input files: write them, take them in, look at what came of it."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from lifecycle.settings import QualitySettings, Settings, Source
from lifecycle.sources import intake
from lifecycle.warehouse import Warehouse, open_duckdb

NOW = datetime(2024, 6, 1, 12, 0, tzinfo=UTC)
LIMITS = QualitySettings(max_field_bytes=20_000, max_nesting=10)


@dataclass
class Inbox:
    folder: Path
    warehouse: Warehouse
    sources: list[Source] = field(default_factory=list)
    quality: QualitySettings = LIMITS
    runs: int = 0

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def source(self, table: str, path: str, **given: Any) -> Source:
        source = Source(**{"name": "shop", "table": table, "path": path} | given)
        self.sources.append(source)
        return source

    @property
    def settings(self) -> Settings:
        return Settings(
            project="inbox",
            timezone="America/New_York",
            sources=self.sources,
            quality=self.quality,
            config_file=self.folder / "lifecycle.yml",
        )

    def land(self, **given: Any) -> list[intake.Batch]:
        self.runs += 1
        return intake.land(self.warehouse, self.settings, f"run-{self.runs}", **{"now": NOW} | given)

    def take_in(self, **given: Any) -> list[intake.Batch]:
        """Land and merge; every batch must add up."""
        landed = self.land(**given)
        merged = intake.merge(self.warehouse, f"run-{self.runs}")
        assert sorted(merged, key=lambda one: one.batch_id) == sorted(landed, key=lambda one: one.batch_id)
        assert all(batch.is_reconciled for batch in merged)
        return merged

    def raw(self, table: str, columns: str = "*", order: str = "all") -> list[tuple[Any, ...]]:
        return self.warehouse.rows(f"select {columns} from raw.{table} order by {order}")

    def rejected(self) -> list[tuple[int, str | None, str]]:
        return self.warehouse.rows(
            "select line_number, column_name, reason from quarantine.rejected_rows order by file_name, line_number"
        )

    def reasons(self) -> Counter[str]:
        return Counter(reason for _, _, reason in self.rejected())


@cache
def prepared_warehouse() -> bytes:
    """A warehouse file with every table, empty: made once, as making all tables takes longer than most tests."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "warehouse.duckdb"
        with open_duckdb(path) as warehouse:
            intake.prepare(warehouse)
        return path.read_bytes()


@contextmanager
def opened_inbox(folder: Path) -> Iterator[Inbox]:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "warehouse.duckdb"
    if not path.exists():
        path.write_bytes(prepared_warehouse())
    with open_duckdb(path, memory_limit="500MB") as warehouse:
        yield Inbox(folder, warehouse)
