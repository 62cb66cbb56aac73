"""A company that is loaded bit by bit knows the same customers as one that is loaded at once."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lifecycle.dbt import parsed_manifest
from lifecycle.identity.resolution import Policy, resolve
from lifecycle.settings import Settings, load_settings
from lifecycle.sources import intake
from lifecycle.synthetic.company import generate
from lifecycle.synthetic.parameters import Arguments
from lifecycle.warehouse import Warehouse, open_duckdb
from tests.dbt.project import BEFORE_IDENTITY, DbtProject, empty_warehouse

NOW = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
PUBLISHED = ("record_links", "pair_scores", "identifier_blocks", "decision_log")


def company(folder: Path) -> Settings:
    return load_settings(generate(Arguments(customers=400, days=240, seed=3, profile="retail", out=folder)).config)


def run(settings: Settings, project: DbtProject, run_id: str) -> None:
    """Intake, the models before identity, and identity itself."""
    with project.opened() as warehouse:
        intake.land(warehouse, settings, run_id, now=NOW)
        intake.merge(warehouse, run_id)
    project.build(BEFORE_IDENTITY)
    with project.opened() as warehouse:
        resolve(warehouse, Policy.of(settings))


def project_of(folder: Path) -> DbtProject:
    project = DbtProject(
        parsed_manifest(), folder, {"LIFECYCLE_AS_OF": "2025-12-31", "LIFECYCLE_AS_OF_END": "2026-01-01"}
    )
    empty_warehouse(project.warehouse)
    return project


def found(project: DbtProject) -> dict[str, list[dict[str, Any]]]:
    def rows(warehouse: Warehouse, table: str) -> list[dict[str, Any]]:
        return warehouse.dicts(f"select * from identity.{table} order by all")

    with open_duckdb(project.warehouse, read_only=True) as warehouse:
        return {table: rows(warehouse, table) for table in PUBLISHED}


def test_three_increments_end_with_the_customers_of_a_rebuild(tmp_path: Path) -> None:
    settings = company(tmp_path / "company")
    files = sorted(path for path in (settings.folder / "files").rglob("*") if path.is_file())
    waiting = {path: path.with_name(f"{path.name}.later") for path in files}
    for path, later in waiting.items():
        path.rename(later)
    (tmp_path / "bit_by_bit").mkdir()
    grown = project_of(tmp_path / "bit_by_bit")
    # Every third file of the sorted list arrives with each run: months and systems come in disorder.
    for step in range(3):
        for path in files[step::3]:
            waiting[path].rename(path)
        present = [one for one in settings.sources if list(settings.folder.glob(one.path))]
        run(settings.model_copy(update={"sources": present}), grown, f"run-{step}")
    (tmp_path / "at_once").mkdir()
    rebuilt = project_of(tmp_path / "at_once")
    run(settings, rebuilt, "run")
    by_steps, at_once = found(grown), found(rebuilt)
    assert len(at_once["record_links"]) > 10_000
    for table in PUBLISHED:
        assert by_steps[table] == at_once[table], table
