"""Running dbt from tests: parse once, run often, each time on a DuckDB file of the test's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lifecycle.build import write_rules
from lifecycle.dbt import folders
from lifecycle.experiments import attribution
from lifecycle.identity import merges, resolution
from lifecycle.settings import LifecycleThresholds, Settings, Source, process_environment
from lifecycle.sources.contract import create_raw_tables_sql
from lifecycle.warehouse import Warehouse, open_duckdb

BEFORE_IDENTITY = (
    "+int_identity_records", "+int_identity_profiles", "+stg_identity_decisions", "junk_identifiers", "nicknames",
)  # fmt: skip
"""What has to be built before people are found in the records."""


def settings_of(thresholds: LifecycleThresholds | None = None) -> Settings:
    return Settings(
        project="stories",
        sources=[Source(name="shop", table="orders", path="orders.csv")],
        lifecycle=thresholds or LifecycleThresholds(),
    )


def empty_warehouse(path: Path, thresholds: LifecycleThresholds | None = None) -> None:
    """Every table that dbt reads and something else writes."""
    with open_duckdb(path) as warehouse:
        for statement in create_raw_tables_sql():
            warehouse.run(statement)
        warehouse.run("create schema if not exists ops")
        resolution.create_tables(warehouse)
        merges.create_tables(warehouse)
        attribution.create_tables(warehouse)
        write_rules(warehouse, settings_of(thresholds))


@dataclass(frozen=True)
class NodeResult:
    """What dbt said about one node, and the SQL that it ran."""

    name: str
    sql: str
    status: str
    failures: int
    message: str


@dataclass
class DbtProject:
    """The parsed project and one warehouse file."""

    manifest: Any
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def warehouse(self) -> Path:
        return self.folder / "warehouse.duckdb"

    @contextmanager
    def opened(self) -> Iterator[Warehouse]:
        with open_duckdb(self.warehouse) as warehouse:
            yield warehouse

    def invoke(self, *arguments: str, **environment: str) -> list[NodeResult]:
        """Run one dbt command. Raises AssertionError when dbt itself stops; what became of the nodes is returned."""
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager
        from dbt.cli.main import dbtRunner

        given = {
            "LIFECYCLE_WAREHOUSE": str(self.warehouse),
            "LIFECYCLE_SPILL": str(self.folder / "spill"),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        }
        with process_environment(given | self.environment | environment):
            try:
                outcome = dbtRunner(manifest=self.manifest).invoke(
                    ["--quiet", *arguments, *folders(self.folder / "target")]
                )
            finally:
                DuckDBConnectionManager.close_all_connections()
        assert outcome.exception is None, f"dbt stopped: {outcome.exception}"
        return [
            NodeResult(
                node.node.name,
                getattr(node.node, "compiled_code", None) or "",
                str(node.status),
                node.failures or 0,
                str(node.message or ""),
            )
            for node in outcome.result.results
        ]

    def build(self, select: Sequence[str] = (), *options: str, **environment: str) -> None:
        """Seeds and models; every one has to succeed."""
        chosen = ["--select", *select] if select else []
        resources = ["--resource-type", "model", "--resource-type", "seed"]
        results = self.invoke("build", *resources, *chosen, *options, **environment)
        broken = [f"{node.name}: {node.message}" for node in results if node.status != "success"]
        assert not broken, "\n".join(broken)
