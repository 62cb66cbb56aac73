"""dbt as Dagster assets, run in this process.

Belongs here: the names Dagster gives to dbt's nodes, one dbt run per step and the passing on of its events and test
results.
Does not belong here: how dbt is called (``lifecycle/dbt.py``), what the models say (``models/``) and what a failed test
means (``lifecycle/quality``).

Models and tests are two commands: a failed test then stops no model from being built, and the marts gate sees every
verdict.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, dbt_assets

from lifecycle.build import current as current_build
from lifecycle.dbt import PARSED_DIR, dbt_environment, fingerprint, invoke, parsed_manifest
from lifecycle.quality.gate import DbtTestResult, record_dbt_results
from lifecycle.timing import Stage, note, progress, stage
from lifecycle.warehouse import Warehouse
from orchestration.resources import Company
from orchestration.warming import wait_until_warm

OWNER = "team:lifecycle"
THRESHOLDS = dg.AssetKey(["ops", "lifecycle_settings"])
"""What the intake writes last."""


class Translator(DagsterDbtTranslator):
    """Asset key = table address, group = schema."""

    def __init__(self) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_asset_checks=True, enable_code_references=False))

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: Any) -> dg.AssetSpec:
        spec = super().get_asset_spec(manifest, unique_id, project)
        if unique_id.startswith("seed."):
            # Seeds have no source; they too wait until the run has claimed the warehouse and fixed its day.
            return spec.replace_attributes(deps=[*spec.deps, THRESHOLDS])
        return spec

    def get_asset_check_spec(
        self, asset_spec: dg.AssetSpec, manifest: Mapping[str, Any], unique_id: str, project: Any
    ) -> dg.AssetCheckSpec | None:
        spec = super().get_asset_check_spec(asset_spec, manifest, unique_id, project)
        # A failed test does not stop the step: the marts gate judges all verdicts together, and stops.
        return spec._replace(blocking=False) if spec is not None else None

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        table = dbt_resource_props.get("alias") or dbt_resource_props["name"]
        return dg.AssetKey([dbt_resource_props["schema"], table])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        return str(dbt_resource_props["schema"])

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> Sequence[str] | None:  # noqa: ARG002
        return [OWNER]

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        return str(dbt_resource_props.get("description") or "")


TRANSLATOR = Translator()


@lru_cache(maxsize=1)
def manifest() -> dict[str, Any]:
    """The parsed project as JSON, for Dagster; parsed anew when a file changed."""
    stamp = PARSED_DIR / "fingerprint"
    if not stamp.exists() or stamp.read_text() != fingerprint():
        parsed_manifest()
    content: dict[str, Any] = json.loads((PARSED_DIR / "manifest.json").read_text())
    return content


def data_tests() -> dict[str, dict[str, Any]]:
    """Every data test of the project by unique id."""
    return {unique_id: node for unique_id, node in manifest()["nodes"].items() if node["resource_type"] == "test"}


def marts_tests() -> list[str]:
    """The data tests that the marts gate wants a verdict of: all but those that look at one segment alone."""
    return sorted(unique_id for unique_id, node in data_tests().items() if not _is_segment_test(node))


def _is_segment_test(node: Mapping[str, Any]) -> bool:
    return str((node.get("attached_node") or "").rsplit(".", maxsplit=1)[-1]).startswith("seg_")


def build_dbt_assets() -> dg.AssetsDefinition:
    """All models and seeds; Dagster splits them by itself around the identity step between them."""

    @dbt_assets(manifest=manifest(), dagster_dbt_translator=TRANSLATOR, name="models", pool="warehouse")
    def models(context: dg.AssetExecutionContext, company: dg.ResourceParam[Company]) -> Iterator[Any]:
        yield from run_dbt(context, company)

    return models


def run_dbt(context: dg.AssetExecutionContext, company: Company) -> Iterator[Any]:
    """Build the selected models and seeds, then judge every data test that has all it needs by now."""
    state, run_id = company.settings.state, context.run.run_id
    nodes = _nodes_by_key()
    selected = sorted(nodes[key] for key in context.selected_asset_keys if key in nodes)
    in_run = {nodes[key] for key in context.job_def.asset_layer.selected_asset_keys if key in nodes}
    with company.hold(run_id):
        with company.open_warehouse() as warehouse:
            build = current_build(warehouse, run_id)
            _create_tables(warehouse)
            pending = in_run - set(selected) - _built(warehouse, run_id)
        environment = dbt_environment(company.settings, build)
        names = {str(_node(unique_id)["name"]) for unique_id in selected}
        everything = {str(_node(unique_id)["name"]) for unique_id in nodes.values()}
        events, failure = _invoke(
            ["build", "--resource-type", "model", "--resource-type", "seed", *_selection(names, everything)],
            environment,
            state.dbt,
        )
        with company.open_warehouse() as warehouse:
            succeeded = [event.unique_id for event in events if event.succeeded]
            _note_built(warehouse, run_id, succeeded)
            rows = _row_counts(warehouse)
        _note_stages(company, run_id, events, rows)
        for event in events:
            yield from event.to_dagster(context, rows)
        if failure:
            raise dg.Failure(description=failure, allow_retries=False)
        ready = _ready_tests(set(selected), pending)
        if not ready:
            return
        with stage(state, run_id, "data tests") as noted:
            tests = {str(node["name"]) for node in data_tests().values()}
            verdicts, failure = _invoke(
                ["test", "--no-populate-cache", "--resource-type", "test", *_selection(set(ready), tests)],
                environment,
                state.dbt,
            )
            noted.rows = len(verdicts)
        with company.open_warehouse() as warehouse:
            record_dbt_results(warehouse, run_id, [verdict.as_test_result() for verdict in verdicts])
        for verdict in verdicts:
            yield from verdict.to_dagster(context, {})
        if failure and not verdicts:
            raise dg.Failure(description=failure, allow_retries=False)


def _selection(wanted: set[str], everything: set[str]) -> list[str]:
    """The shorter way to say which nodes: dbt compares every name with every node."""
    rest = everything - wanted
    if not rest:
        return []
    return ["--select", *sorted(wanted)] if len(wanted) <= len(rest) else ["--exclude", *sorted(rest)]


class Event:
    """What dbt said about one finished node."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self.raw = raw
        self.unique_id: str = raw["data"]["node_info"]["unique_id"]
        self.status: str = raw["data"]["node_info"]["node_status"]
        self.seconds = float(raw["data"].get("execution_time") or 0)

    @property
    def succeeded(self) -> bool:
        return self.status in ("success", "pass", "warn")

    def as_test_result(self) -> DbtTestResult:
        node = _node(self.unique_id)
        return DbtTestResult(
            unique_id=self.unique_id,
            test_name=node["name"],
            status=self.status,
            failures=int(self.raw["data"].get("num_failures") or 0),
            severity="warning" if str(node["config"]["severity"]).lower() == "warn" else "error",
        )

    def to_dagster(self, context: dg.AssetExecutionContext, rows: Mapping[str, int]) -> Iterator[Any]:
        """Dagster's own translation of a dbt event, with the row count of a table added."""
        from dagster_dbt.core.dbt_cli_event import DbtCoreCliEventMessage

        message = DbtCoreCliEventMessage(raw_event=self.raw, event_history_metadata={})
        for event in message.to_default_asset_events(
            manifest=manifest(), dagster_dbt_translator=TRANSLATOR, context=context
        ):
            count = rows.get(self.unique_id)
            if isinstance(event, dg.Output) and count is not None:
                yield event.with_metadata({**event.metadata, "dagster/row_count": count})
            else:
                yield event


def _invoke(arguments: list[str], environment: Mapping[str, str], target: Path) -> tuple[list[Event], str]:
    """Run dbt here. Returns what it said about each finished node, and what went wrong, or nothing."""
    wait_until_warm()
    from google.protobuf.json_format import MessageToDict

    events: list[Event] = []

    def listen(message: Any) -> None:
        if message.info.name in ("LogModelResult", "LogSeedResult", "LogTestResult"):
            event = Event(MessageToDict(message, preserving_proto_field_name=True))
            events.append(event)
            progress.debug("%s", _node(event.unique_id)["name"])

    return events, invoke(arguments, environment, target, callbacks=[listen])


def _node(unique_id: str) -> dict[str, Any]:
    node: dict[str, Any] = manifest()["nodes"][unique_id]
    return node


@lru_cache(maxsize=1)
def _nodes_by_key() -> dict[dg.AssetKey, str]:
    return {
        TRANSLATOR.get_asset_key(node): unique_id
        for unique_id, node in manifest()["nodes"].items()
        if node["resource_type"] in ("model", "seed")
    }


def _ready_tests(selected: set[str], pending: set[str]) -> list[str]:
    """Names of the data tests that look at something just built and at nothing that is still to come."""
    ready = []
    for node in data_tests().values():
        parents = set(node["depends_on"]["nodes"])
        if parents & selected and not parents & pending:
            ready.append(str(node["name"]))
    return sorted(ready)


def _create_tables(warehouse: Warehouse) -> None:
    warehouse.run("create table if not exists ops.dbt_models (run_id varchar, unique_id varchar)")


def _built(warehouse: Warehouse, run_id: str) -> set[str]:
    return {row[0] for row in warehouse.rows("select unique_id from ops.dbt_models where run_id = ?", [run_id])}


def _note_built(warehouse: Warehouse, run_id: str, unique_ids: Sequence[str]) -> None:
    with warehouse.transaction():
        # What earlier runs built is of no use to this one.
        warehouse.run("delete from ops.dbt_models where run_id <> ?", [run_id])
        for unique_id in unique_ids:
            warehouse.run("insert into ops.dbt_models values (?, ?)", [run_id, unique_id])


def _row_counts(warehouse: Warehouse) -> dict[str, int]:
    """Rows of every table by dbt's unique id."""
    counts = {
        (schema, table): int(count)
        for schema, table, count in warehouse.rows(
            "select schema_name, table_name, estimated_size from duckdb_tables()"
            " where database_name = current_database()"
        )
    }
    return {
        unique_id: counts[tuple(key.path)]  # type: ignore[index]
        for key, unique_id in _nodes_by_key().items()
        if tuple(key.path) in counts
    }


def _note_stages(company: Company, run_id: str, events: Sequence[Event], rows: Mapping[str, int]) -> None:
    """One timing per folder of models, out of dbt's own per model."""
    import resource

    peak = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    stages: dict[str, Stage] = {}
    for event in events:
        schema = _node(event.unique_id)["schema"]
        noted = stages.setdefault(schema, Stage(f"models: {schema}", peak_mb=peak))
        noted.rows += rows.get(event.unique_id, 0)
        noted.seconds = round(noted.seconds + event.seconds, 3)
    for noted in stages.values():
        note(company.settings.state, run_id, noted)
