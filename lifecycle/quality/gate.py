"""Judging a gate: observe in SQL, let Great Expectations compare with the limits, write the verdict down.

Belongs here: how checks are observed, judged and recorded, the record of dbt's own tests, and reading a verdict back.
Does not belong here: which checks a gate has (``suites.py``), and what happens when one stops (``orchestration/``).

Great Expectations never sees a table of the warehouse: each check is one number that the engine computes, and a frame
of one row holds the numbers. That works alike on every engine, costs no memory, and keeps people's data out of its
results.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from lifecycle.errors import GateStoppedError, LifecycleError

if TYPE_CHECKING:
    from lifecycle.warehouse import Warehouse

LOG = logging.getLogger(__name__)

Severity = Literal["error", "warning"]
Outcome = Literal["passed", "failed", "broken"]

MESSAGES_WITHOUT_DATA = ("CatalogException", "BinderException", "ParserException")
"""Errors raised before a row is read. Others may quote a value (``could not convert 'ann@example.com'``), so of those
only the kind is kept."""


@dataclass(frozen=True)
class Check:
    """One number about the warehouse, and the limits it must keep.

    ``observation`` is an aggregate over ``source`` (a table, or a query in parentheses with an alias); checks with the
    same source are observed in one statement. ``table`` is the table that the result is shown at. ``violation`` is
    ``broken`` for the few checks whose number counts tests that could not be carried out.
    """

    name: str
    table: str
    observation: str
    source: str
    description: str
    remedy: str
    minimum: float | None = None
    maximum: float | None = None
    severity: Severity = "error"
    violation: Literal["failed", "broken"] = "failed"

    def __post_init__(self) -> None:
        if self.minimum is None and self.maximum is None:
            raise ValueError(f"the check {self.name} of {self.table} has no limit")

    @property
    def limit(self) -> str:
        """The limits in words, as people read them in the results."""
        if self.minimum is not None and self.maximum is not None:
            return f"{_text(self.minimum)} to {_text(self.maximum)}"
        return f"at least {_text(self.minimum)}" if self.minimum is not None else f"at most {_text(self.maximum or 0)}"


@dataclass(frozen=True)
class Result:
    """What one check found. ``observed`` is a number, or for a broken check what broke it; never a value of a row."""

    name: str
    table: str
    severity: Severity
    outcome: Outcome
    observed: str
    limit: str
    description: str
    remedy: str

    @property
    def stops(self) -> bool:
        """A broken check stops whatever its severity: nobody knows what it would have found."""
        return self.outcome == "broken" or (self.outcome == "failed" and self.severity == "error")

    def __str__(self) -> str:
        return f"{self.table}: {self.name} {self.outcome}, observed {self.observed}, allowed {self.limit}"


@dataclass(frozen=True)
class Verdict:
    """What a gate decided for one run."""

    run_id: str
    gate: str
    results: tuple[Result, ...]

    @property
    def passed(self) -> bool:
        return not self.stopping

    @property
    def stopping(self) -> tuple[Result, ...]:
        return tuple(result for result in self.results if result.stops)

    @property
    def warnings(self) -> tuple[Result, ...]:
        return tuple(result for result in self.results if result.outcome == "failed" and not result.stops)

    def demand(self) -> None:
        """Raise GateStoppedError, naming every check that stops, unless the gate passed."""
        if self.passed:
            return
        lines = [f"{result}\n    {result.remedy}" for result in self.stopping]
        raise GateStoppedError(
            f"{len(lines)} of {len(self.results)} checks stop the {self.gate} gate\n  " + "\n  ".join(lines),
            where=f"run {self.run_id}",
            remedy="What was published before stays as it is. Mend the cause and run again.",
        )


def create_tables(warehouse: Warehouse) -> None:
    """Make the tables that this module writes, empty, where they do not exist yet."""
    warehouse.run("create schema if not exists ops")
    warehouse.run(
        "create table if not exists ops.gate_results (run_id varchar, gate varchar, check_name varchar,"
        " table_name varchar, severity varchar, outcome varchar, observed varchar, limit_value varchar,"
        " description varchar, remedy varchar, judged_at timestamp)"
    )
    warehouse.run(
        "create table if not exists ops.dbt_test_results (run_id varchar, unique_id varchar, test_name varchar,"
        " status varchar, failures bigint, severity varchar, judged_at timestamp)"
    )


@dataclass(frozen=True)
class DbtTestResult:
    """What dbt said about one of its data tests. ``status`` is dbt's own: pass, warn, fail, error or skipped."""

    unique_id: str
    test_name: str
    status: str
    failures: int | None
    severity: Severity


def record_dbt_results(warehouse: Warehouse, run_id: str, rows: Iterable[DbtTestResult]) -> None:
    """Keep dbt's verdicts of a run; one that comes again (a retry) replaces the earlier one."""
    create_tables(warehouse)
    latest = {row.unique_id: row for row in rows}
    now = _now()
    with warehouse.transaction():
        for row in latest.values():
            warehouse.run(
                "delete from ops.dbt_test_results where run_id = ? and unique_id = ?", [run_id, row.unique_id]
            )
            warehouse.run(
                "insert into ops.dbt_test_results values (?, ?, ?, ?, ?, ?, ?)",
                [run_id, row.unique_id, row.test_name, row.status, row.failures, row.severity, now],
            )


def judge(warehouse: Warehouse, gate: str, checks: Sequence[Check], *, run_id: str) -> Verdict:
    """Observe and judge every check, write ``ops.gate_results`` and return the verdict.

    Judging the same gate of the same run again replaces its rows. A check that cannot be observed or judged comes out
    ``broken`` and does not keep the others from being judged. Raises LifecycleError when there is nothing to judge, or
    when two checks have the same name and table.
    """
    if not checks:
        raise LifecycleError(
            f"the {gate} gate has no checks, so it proves nothing",
            where="lifecycle/quality/suites.py",
            remedy="Give it at least one check.",
        )
    keys = [_key(check) for check in checks]
    if len(set(keys)) < len(keys):
        twice = sorted({key for key in keys if keys.count(key) > 1})
        raise LifecycleError(
            f"two checks of the {gate} gate are called {', '.join(twice)}",
            where="lifecycle/quality/suites.py",
            remedy="Give every check of a table a name of its own.",
        )
    observed = _observe(warehouse, checks)
    judged = _compare(gate, checks, {key: value for key, value in observed.items() if not isinstance(value, str)})
    results = []
    for check in checks:
        value, outcome = observed[_key(check)], judged.get(_key(check), "broken")
        if isinstance(value, str):
            text, outcome = value, "broken"
        else:
            text = _text(value)
            if outcome == "failed":
                outcome = check.violation
        results.append(
            Result(check.name, check.table, check.severity, outcome, text, check.limit, check.description, check.remedy)
        )
    verdict = Verdict(run_id, gate, tuple(results))
    _record(warehouse, verdict)
    return verdict


def verdict_of(warehouse: Warehouse, run_id: str, gate: str) -> Verdict | None:
    """The recorded verdict of a run's gate; None when that gate was never judged in that run."""
    if not warehouse.has_table("ops.gate_results"):
        return None
    rows = warehouse.rows(
        "select check_name, table_name, severity, outcome, observed, limit_value, description, remedy"
        " from ops.gate_results where run_id = ? and gate = ? order by table_name, check_name",
        [run_id, gate],
    )
    return Verdict(run_id, gate, tuple(Result(*row) for row in rows)) if rows else None


def demand_verdict(warehouse: Warehouse, run_id: str, gate: str) -> Verdict:
    """The recorded verdict, which must exist and have passed: what a step checks that can be started by itself.

    Raises GateStoppedError otherwise.
    """
    verdict = verdict_of(warehouse, run_id, gate)
    if verdict is None:
        raise GateStoppedError(
            f"the {gate} gate was not judged in this run",
            where=f"run {run_id}",
            remedy="Start the whole pipeline (lifecycle run); a step behind a gate never runs without it.",
        )
    verdict.demand()
    return verdict


def _key(check: Check) -> str:
    return f"{check.table} {check.name}"


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _text(number: float | Decimal) -> str:
    """A number as people write it: no exponent, at most six decimals, no trailing zeros."""
    if isinstance(number, float):
        number = Decimal(repr(round(number, 6)))
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _observe(warehouse: Warehouse, checks: Sequence[Check]) -> dict[str, int | float | Decimal | str]:
    """Check → its number, or a text that says why there is none."""
    by_source: dict[str, list[Check]] = {}
    for check in checks:
        by_source.setdefault(check.source, []).append(check)
    found: dict[str, int | float | Decimal | str] = {}
    for source, together in by_source.items():
        try:
            found |= _statement(warehouse, source, together)
        except Exception:
            # One of them breaks: alone, each says for itself whether it can be observed.
            for check in together:
                try:
                    found |= _statement(warehouse, source, [check])
                except Exception as error:
                    found[_key(check)] = _reason(error)
    return found


def _statement(warehouse: Warehouse, source: str, checks: Sequence[Check]) -> dict[str, int | float | Decimal | str]:
    row = warehouse.rows(f"select {', '.join(check.observation for check in checks)} from {source}")[0]
    return {_key(check): _number(value) for check, value in zip(checks, row, strict=True)}


def _number(value: Any) -> int | float | Decimal | str:
    if value is None:
        return "no value was observed"
    if not isinstance(value, int | float | Decimal):
        return f"a number was expected, not {type(value).__name__}"
    if not math.isfinite(value):
        return "the number observed is not finite"
    return int(value) if isinstance(value, bool) else value


def _reason(error: Exception) -> str:
    kind = type(error).__name__
    return f"{kind}: {str(error).splitlines()[0]}" if kind in MESSAGES_WITHOUT_DATA else kind


def _compare(gate: str, checks: Sequence[Check], observed: dict[str, Any]) -> dict[str, Outcome]:
    """Let Great Expectations compare each number with its limits: one column per check in a frame of one row."""
    if not observed:
        return {}
    import great_expectations as gx
    import pandas as pd
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    # The defaults would send usage statistics, draw progress bars and make folders for a documentation site.
    context = gx.get_context(
        mode="ephemeral",
        project_config=DataContextConfig(
            store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
            analytics_enabled=False,
            progress_bars=ProgressBarsConfig(globally=False, metric_calculations=False),
        ),
    )
    suite = gx.ExpectationSuite(name=gate)
    for check in checks:
        if _key(check) in observed:
            suite.add_expectation(
                gx.expectations.ExpectColumnMaxToBeBetween(
                    column=_key(check),
                    min_value=check.minimum,
                    max_value=check.maximum,
                    severity="critical" if check.severity == "error" else "warning",
                )
            )
    frame = pd.DataFrame({key: [float(value)] for key, value in observed.items()})
    asset = context.data_sources.add_pandas("observations").add_dataframe_asset(gate)
    batch = asset.add_batch_definition_whole_dataframe("run").get_batch({"dataframe": frame})
    try:
        results = batch.validate(suite).results
    except Exception as error:
        # Nothing was judged: every check comes out broken, which stops the gate and is written down.
        LOG.error("Great Expectations could not judge the %s gate: %s", gate, type(error).__name__)
        return {}
    outcomes: dict[str, Outcome] = {}
    for result in results:
        # A check that raised reads "not successful" as well; it has no observed value.
        judged = result.result.get("observed_value") is not None
        outcome: Outcome = "broken" if not judged else "passed" if result.success else "failed"
        outcomes[result.expectation_config.kwargs["column"]] = outcome
    return outcomes


def _record(warehouse: Warehouse, verdict: Verdict) -> None:
    create_tables(warehouse)
    now = _now()
    with warehouse.transaction():
        warehouse.run("delete from ops.gate_results where run_id = ? and gate = ?", [verdict.run_id, verdict.gate])
        for result in verdict.results:
            warehouse.run(
                "insert into ops.gate_results values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    verdict.run_id,
                    verdict.gate,
                    result.name,
                    result.table,
                    result.severity,
                    result.outcome,
                    result.observed,
                    result.limit,
                    result.description,
                    result.remedy,
                    now,
                ],
            )
