"""The demo company through the intake and through a whole run, and the example that carries one."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lifecycle.settings import PROJECT_DIR, Settings, Source, load_settings
from lifecycle.sources import intake
from lifecycle.sources.contract import TABLES
from lifecycle.synthetic.company import Summary, generate
from lifecycle.synthetic.files import UNREADABLE
from lifecycle.synthetic.parameters import PROFILES, Arguments
from lifecycle.warehouse import Warehouse, open_warehouse, quoted

NOW = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
EXAMPLE = PROJECT_DIR / "examples" / "demo"

NEVER_FILLED = {
    "consents": {"email", "phone"},
    "loyalty_events": {"email", "phone"},
    "reviews": {"contact_id"},
}
"""The systems of the demo company know people by other identifiers there."""


def made(folder: Path, profile: str, customers: int = 300) -> tuple[Summary, Settings]:
    arguments = Arguments(customers=customers, days=200, seed=7, profile=profile, out=folder)
    summary = generate(arguments)
    return summary, load_settings(summary.config)


class Loaded:
    """A company that the intake has taken in."""

    def __init__(self, summary: Summary, settings: Settings, warehouse: Warehouse, batches: list[intake.Batch]) -> None:
        self.summary, self.settings, self.warehouse, self.batches = summary, settings, warehouse, batches


@pytest.fixture(scope="module", params=list(PROFILES))
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    summary, settings = made(tmp_path_factory.mktemp(request.param), request.param)
    settings.state.make()
    with open_warehouse(settings) as warehouse:
        intake.land(warehouse, settings, "run-1", now=NOW)
        batches = intake.merge(warehouse, "run-1")
        yield Loaded(summary, settings, warehouse, batches)


def test_the_intake_reads_everything_but_the_planted_rows(loaded: Loaded) -> None:
    rejected = loaded.warehouse.rows(
        "select source_system, table_name, count(*) from quarantine.rejected_rows group by all"
    )
    assert sorted(rejected) == sorted((*key, 1) for key in UNREADABLE)
    assert loaded.summary.unreadable_count == len(UNREADABLE)
    assert all(batch.is_reconciled for batch in loaded.batches)
    assert sum(batch.future_count for batch in loaded.batches) == 0


def test_what_the_summary_counts_is_what_arrives(loaded: Loaded) -> None:
    received: dict[tuple[str, str], int] = {}
    for batch in loaded.batches:
        if "again_" not in batch.file_name:
            key = (batch.source_system, batch.table_name)
            received[key] = received.get(key, 0) + batch.received_count
    planted = dict.fromkeys(UNREADABLE, 1)
    assert received == {key: count + planted.get(key, 0) for key, count in loaded.summary.row_counts.items()}


def test_overlaps_and_second_deliveries_are_told_from_new_records(loaded: Loaded) -> None:
    by_table: dict[str, tuple[int, int]] = {}
    for batch in loaded.batches:
        duplicates, superseded = by_table.get(f"{batch.source_system}.{batch.table_name}", (0, 0))
        by_table[f"{batch.source_system}.{batch.table_name}"] = (
            duplicates + batch.duplicate_count,
            superseded + batch.superseded_count,
        )
    # The whole CRM came twice; days of spend were corrected; orders went on after their month.
    assert by_table["crm.contacts"][0] > 10
    assert by_table["ads.marketing_spend"][1] > 0
    assert sum(by_table["shop.orders"]) > 0


def test_every_table_of_the_contract_holds_rows(loaded: Loaded) -> None:
    empty = {name for name in TABLES if not loaded.warehouse.scalar(f"select count(*) from raw.{name}")}
    has_stores = any(source.name == "loyalty" for source in loaded.settings.sources)
    assert empty == (set() if has_stores else {"loyalty_events"})


def test_the_truth_covers_every_record_with_a_person(loaded: Loaded) -> None:
    truth = f"'{loaded.summary.folder}/truth/records.parquet'"
    identified = {
        "contacts": "true",
        "touchpoints": "true",
        "orders": "coalesce(contact_id, user_id, email, phone) is not null and not coalesce(is_test, false)",
        "subscriptions": "true",
        "tickets": "true",
        "survey_responses": "true",
        "reviews": "true",
        "loyalty_events": "true",
    }
    for name, condition in identified.items():
        key = TABLES[name].key[0]
        missing, unknown = loaded.warehouse.rows(
            f"select count(*) filter (truth.record_id is null and {condition}), count(*) filter (known.{key} is null)"
            f" from raw.{name} known full outer join (select * from {truth} where record_table = '{name}') truth"
            f" on known.source_system = truth.source_system and known.{key} = truth.record_id"
        )[0]
        assert (missing, unknown) == (0, 0), name
        twice = loaded.warehouse.scalar(
            f"select count(*) - count(distinct (source_system, record_id)) from {truth} where record_table = '{name}'"
        )
        assert twice == 0, name


def test_nearly_every_column_of_the_contract_is_filled_by_one_company_or_another(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    filled: dict[str, set[str]] = {name: set() for name in TABLES}
    for profile in ("retail", "platform"):
        _, settings = made(tmp_path_factory.mktemp(f"columns_{profile}"), profile, customers=2_000)
        settings.state.make()
        with open_warehouse(settings) as warehouse:
            intake.land(warehouse, settings, "run-1", now=NOW)
            intake.merge(warehouse, "run-1")
            for name, table in TABLES.items():
                columns = ", ".join(f"count({quoted(column.name)})" for column in table.columns)
                (counts,) = warehouse.rows(f"select {columns} from raw.{name}")
                filled[name] |= {column.name for column, count in zip(table.columns, counts, strict=True) if count}
    for name, table in TABLES.items():
        allowed = NEVER_FILLED.get(name, set()) | {"updated_at", "deleted_at"}
        assert {column.name for column in table.columns} - filled[name] <= allowed, name


@pytest.mark.slow
def test_a_generated_company_runs_to_the_end(tmp_path: Path) -> None:
    from orchestration.execution import execute

    _, settings = made(tmp_path / "company", "retail", customers=400)
    outcome = execute(settings)
    assert outcome.errors == () and outcome.stopped == ()
    assert outcome.exit_code == 0
    assert outcome.as_of is not None and outcome.as_of.isoformat() == "2025-12-31"
    delivered = {delivery.sync_name: delivery.added_count for delivery in outcome.deliveries}
    assert set(delivered) == {sync.key for sync in settings.syncs}
    assert all(count > 0 for count in delivered.values())


# --- the example -----------------------------------------------------------------------------------------------------


@pytest.fixture
def prepare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("prepare_demo", EXAMPLE / "prepare.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "DATA", tmp_path / "data")
    return module


def described(source: Source, prefix: str) -> dict[str, Any]:
    return source.model_dump() | {"path": source.path.removeprefix(prefix)}


def test_the_example_declares_the_sources_that_the_generator_writes(prepare: ModuleType) -> None:
    generate(prepare.wanted())
    written, example = load_settings(prepare.DATA / "lifecycle.yml"), load_settings(EXAMPLE / "lifecycle.yml")
    assert [described(source, "data/") for source in example.sources] == [
        described(source, "") for source in written.sources
    ]
    assert all(source.path.startswith("data/") for source in example.sources)
    assert example.lifecycle == written.lifecycle and example.identity == written.identity
    assert example.syncs == written.syncs and example.timezone == written.timezone


def test_the_example_is_prepared_once_and_again_when_it_was_made_otherwise(
    prepare: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare.main()
    assert "written" in capsys.readouterr().out
    before = {path: path.stat().st_mtime_ns for path in prepare.DATA.rglob("*")}
    prepare.main()
    assert "current" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in prepare.DATA.rglob("*")} == before

    described_in = prepare.DATA / "truth" / "parameters.json"
    described_in.write_text(described_in.read_text().replace('"seed": 1', '"seed": 2'))
    prepare.main()
    assert "written" in capsys.readouterr().out
