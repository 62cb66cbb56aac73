"""A whole run in this process, as the command line starts it.

Belongs here: the Dagster instance, the in-process execution and the reading of how it ended.
Does not belong here: what is shown of it (``lifecycle/cli.py``).
"""

from __future__ import annotations

import logging
import os
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg

from lifecycle import past
from lifecycle.build import finish_unpublished
from lifecycle.errors import EXIT_ERROR, EXIT_GATE_STOPPED, LifecycleError, SettingsError
from lifecycle.rules import check_rules
from lifecycle.settings import PROJECT_DIR, Settings
from lifecycle.state import run_lock
from lifecycle.timing import progress
from orchestration.definitions import build_definitions
from orchestration.jobs import DAILY
from orchestration.resources import Company

GATE_ERRORS = ("GateStoppedError", "DagsterAssetCheckFailedError")


@dataclass(frozen=True)
class StoppedCheck:
    """An asset check that was red: on what, and in words with its figures."""

    asset: str
    check: str
    description: str


@dataclass(frozen=True)
class Delivered:
    """What a run sent to one list."""

    sync_name: str
    outcome: str
    added_count: int
    removed_count: int


@dataclass(frozen=True)
class Outcome:
    """How a run ended. ``exit_code``: 0 published, 3 a gate stopped it or a part of it, 1 an error."""

    run_id: str
    exit_code: int
    stopped: tuple[StoppedCheck, ...]
    errors: tuple[str, ...]
    as_of: date | None
    deliveries: tuple[Delivered, ...]
    is_past_day: bool


def execute(
    settings: Settings,
    *,
    as_of: date | None = None,
    full_refresh: bool = False,
    select: str | None = None,
    debug: bool = False,
) -> Outcome:
    """Run the whole flow, or the assets that ``select`` names in Dagster's selection syntax.

    A past ``as_of`` is built in a scratch state and published beside. Raises LifecycleError when the run cannot even
    begin.
    """
    check_rules()
    now = datetime.now(UTC)
    run_id = str(uuid.uuid4())
    if as_of is not None and past.is_past(settings, as_of, now):
        scratch = past.scratch_settings(settings, as_of)
        company = Company(scratch, published_state=settings.state, full_refresh=full_refresh, is_one_process=True)
        progress.info("past day %s: copying what is loaded", as_of)
        past.copy_loaded(settings, scratch)
        # Dagster's history is that of the real flow; a past day would stand in it as the latest state of every asset.
        with dg.DagsterInstance.ephemeral() as instance:
            outcome = _execute(company, instance, run_id, select, debug)
        if outcome.exit_code == 0:
            past.remove(scratch)
        return outcome
    if as_of is not None:
        settings = settings.model_copy(update={"as_of": as_of.isoformat()})
    with open_instance(settings) as instance:
        return _execute(
            Company(settings, full_refresh=full_refresh, is_one_process=True), instance, run_id, select, debug
        )


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """The Dagster instance of a company's state: what ``make ui`` shows."""
    settings.state.make()
    os.environ["LIFECYCLE_DAGSTER_DIR"] = str(settings.state.dagster)
    return dg.DagsterInstance.from_config(str(PROJECT_DIR))


def _execute(company: Company, instance: dg.DagsterInstance, run_id: str, select: str | None, debug: bool) -> Outcome:
    settings = company.settings
    with run_lock(settings.state, run_id):
        definitions = build_definitions(settings, company)
        keys = _selected(definitions, select)
        job = definitions.resolve_job_def(DAILY)
        with _Quiet():
            result = job.execute_in_process(
                instance=instance,
                run_id=run_id,
                raise_on_error=debug,
                asset_selection=keys,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
        stopped = _stopped_checks(result)
        errors, is_stopped = _failures(result)
        exit_code = 0 if result.success else EXIT_GATE_STOPPED if is_stopped and not errors else EXIT_ERROR
        if settings.state.warehouse.exists():
            with company.open_warehouse() as warehouse:
                ended = {0: "built", EXIT_GATE_STOPPED: "stopped"}.get(exit_code, "failed")
                finish_unpublished(warehouse, run_id, ended, datetime.now(UTC))
        as_of = _as_of(company, run_id)
    return Outcome(run_id, exit_code, stopped, errors, as_of, _deliveries(result, settings), company.is_past_day)


def _as_of(company: Company, run_id: str) -> date | None:
    if not company.settings.state.warehouse.exists():
        return None
    with company.open_warehouse() as warehouse:
        if not warehouse.has_table("ops.run_log"):
            return None
        day: date | None = warehouse.scalar("select as_of from ops.run_log where run_id = ?", [run_id])
        return day


def _deliveries(result: dg.ExecuteInProcessResult, settings: Settings) -> tuple[Delivered, ...]:
    keys: dict[tuple[str, ...], str] = {("publish", sync.key): sync.key for sync in settings.syncs}
    found = []
    for event in result.get_asset_materialization_events():
        key = tuple(event.asset_key.path) if event.asset_key else ()
        if key in keys:
            values = {name: value.value for name, value in event.materialization.metadata.items()}
            added, removed = (int(str(values[name])) for name in ("added", "removed"))
            found.append(Delivered(keys[key], str(values["outcome"]), added, removed))
    return tuple(found)


def _selected(definitions: dg.Definitions, select: str | None) -> list[dg.AssetKey] | None:
    if not select:
        return None
    graph = definitions.resolve_asset_graph()
    try:
        # What one step makes together is made together.
        keys = dg.AssetSelection.from_string(select).required_multi_asset_neighbors().resolve(graph)
    except Exception as error:
        raise SettingsError(
            f"'{select}' is no selection of assets: {str(error).splitlines()[0]}",
            where="--select",
            remedy="Write it as Dagster does, for example --select 'group:\"marts\"' or --select 'key:\"marts/*\"'.",
        ) from error
    if not keys:
        raise SettingsError(f"'{select}' selects nothing", where="--select", remedy="Look at the names in `make ui`.")
    return sorted(keys)


class _Quiet:
    """Dagster prints every event; the command line shows progress in its own words."""

    def __enter__(self) -> None:
        self._levels = {name: logging.getLogger(name).level for name in ("dagster", "dbt")}
        for name in self._levels:
            logging.getLogger(name).setLevel(logging.CRITICAL)

    def __exit__(self, *_: object) -> None:
        for name, level in self._levels.items():
            logging.getLogger(name).setLevel(level)


def _stopped_checks(result: dg.ExecuteInProcessResult) -> tuple[StoppedCheck, ...]:
    return tuple(
        StoppedCheck(
            evaluation.asset_key.to_user_string(), evaluation.check_name, evaluation.description or "did not pass"
        )
        for evaluation in result.get_asset_check_evaluations()
        if not evaluation.passed and evaluation.severity == dg.AssetCheckSeverity.ERROR
    )


def _failures(result: dg.ExecuteInProcessResult) -> tuple[tuple[str, ...], bool]:
    """Messages of the steps that failed for another reason than a gate, and whether a gate stopped any."""
    errors: list[str] = []
    is_stopped = False
    for event in result.all_events:
        if not event.is_step_failure and not event.is_job_failure:
            continue
        data: Any = event.event_specific_data
        error = getattr(data, "error", None)
        if error is None or event.is_job_failure:
            continue
        while error.cause is not None:
            error = error.cause
        if error.cls_name in GATE_ERRORS:
            is_stopped = True
            continue
        if error.cls_name == "ModuleNotFoundError":
            package = error.message.rpartition("named ")[2].strip().strip("'")
            errors.append(
                f"the package '{package}' is not installed\n  Install what requirements.lock names: make setup."
            )
            continue
        step_data: Any = getattr(data, "user_failure_data", None)
        described = step_data.description if step_data is not None else None
        message = described or error.message.strip()
        if error.cls_name and message.startswith(f"{error.cls_name}:"):
            message = message[len(error.cls_name) + 1 :].strip()
        prefix, _, rest = message.partition(": ")
        if rest and prefix.startswith("lifecycle.errors."):
            message = rest
        errors.append(message if _is_ours(error.cls_name) or described else f"{event.step_key}: {message}")
    return tuple(errors), is_stopped


def _is_ours(class_name: str | None) -> bool:
    return class_name in {LifecycleError.__name__, *(kind.__name__ for kind in LifecycleError.__subclasses__())}
