"""One run's claim on the warehouse: whose build it is, for which day, with which thresholds.

Belongs here: the run log, the day of the run (pinned once, at intake, so that every step and retry agrees) and the
check that a step still works on its own run's build.
Does not belong here: what the steps do.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from lifecycle import __version__
from lifecycle.errors import LifecycleError, SettingsError
from lifecycle.identity import survivorship
from lifecycle.settings import Part, Settings
from lifecycle.warehouse import Warehouse, quoted

DEFAULT_PERSONA = "default"


@dataclass(frozen=True)
class Build:
    """The run that owns the warehouse now. ``as_of_end`` is the first instant (UTC, naive) after its day."""

    run_id: str
    as_of: date
    as_of_end: datetime


def local_midnight_after(day: date, settings: Settings) -> datetime:
    """The first instant after a day of the reporting zone, as a naive UTC timestamp."""
    midnight = datetime.combine(day + timedelta(days=1), time(), tzinfo=settings.zone)
    return midnight.astimezone(UTC).replace(tzinfo=None)


def today(settings: Settings, now: datetime) -> date:
    return now.astimezone(settings.zone).date()


def create_tables(warehouse: Warehouse) -> None:
    warehouse.run("create schema if not exists ops")
    warehouse.run(
        "create table if not exists ops.run_log (run_id varchar, project varchar, as_of date, outcome varchar,"
        " started_at timestamp, ended_at timestamp, lifecycle_version varchar)"
    )
    warehouse.run("create table if not exists ops.build (run_id varchar, as_of date, as_of_end timestamp)")


def begin(warehouse: Warehouse, settings: Settings, run_id: str, now: datetime) -> None:
    """Note that a run has begun; from here on the build is its own."""
    create_tables(warehouse)
    with warehouse.transaction():
        # A run that never ended was killed: the lock it held is free, so it is not running any more.
        warehouse.run("update ops.run_log set outcome = 'killed' where outcome = 'running' and run_id <> ?", [run_id])
        warehouse.run("delete from ops.run_log where run_id = ?", [run_id])
        warehouse.run(
            "insert into ops.run_log values (?, ?, null, 'running', ?, null, ?)",
            [run_id, settings.project, now.astimezone(UTC).replace(tzinfo=None), __version__],
        )
        warehouse.run("delete from ops.build")
        warehouse.run("insert into ops.build values (?, null, null)", [run_id])


def resolve_day(settings: Settings, *, latest: date, now: datetime) -> date:
    """The day that ``as_of`` means. Raises SettingsError for a day that is still to come."""
    asked = settings.as_of
    if asked == "latest":
        return latest
    current = today(settings, now)
    day = current if asked == "today" else date.fromisoformat(str(asked))
    if day > current:
        raise SettingsError(
            f"as_of {day} has not come yet; today is {current} in {settings.timezone}",
            where="as_of",
            remedy="Name a day that is over, or `latest` or `today`.",
        )
    return day


def pin(warehouse: Warehouse, settings: Settings, run_id: str, as_of: date) -> Build:
    """Fix the run's day, thresholds and survivorship rules in the warehouse."""
    build = Build(run_id, as_of, local_midnight_after(as_of, settings))
    own(warehouse, run_id)
    with warehouse.transaction():
        warehouse.run(
            "update ops.build set as_of = ?, as_of_end = ? where run_id = ?", [as_of, build.as_of_end, run_id]
        )
        warehouse.run("update ops.run_log set as_of = ? where run_id = ?", [as_of, run_id])
        write_rules(warehouse, settings)
    return build


def write_rules(warehouse: Warehouse, settings: Settings) -> None:
    """What the settings decide and the models read: thresholds, windows of metrics and which values survive."""
    write_thresholds(warehouse, settings)
    write_metric_settings(warehouse, settings)
    survivorship.write_rules(warehouse, settings.identity.survivorship)


def write_thresholds(warehouse: Warehouse, settings: Settings) -> None:
    """``ops.lifecycle_settings``: one row of thresholds for everybody, and one per persona that overrides some.

    Beside it ``ops.first_category_gaps``: the usual gaps of people by what they bought first.
    """
    defaults = settings.lifecycle.flat()
    sets = {DEFAULT_PERSONA: defaults} | {
        persona: defaults | overrides for persona, overrides in settings.lifecycle.personas.items()
    }
    columns = ", ".join(f"{quoted(name)} double" for name in defaults)
    warehouse.run(f"create or replace table ops.lifecycle_settings (threshold_persona varchar, {columns})")
    marks = ", ".join("?" for _ in range(len(defaults) + 1))
    for persona, thresholds in sets.items():
        warehouse.run(f"insert into ops.lifecycle_settings values ({marks})", [persona, *thresholds.values()])
    warehouse.run(
        "create or replace table ops.first_category_gaps"
        " (threshold_persona varchar, category varchar, order_gap_days double)"
    )
    for row in settings.lifecycle.category_gaps():
        warehouse.run("insert into ops.first_category_gaps values (?, ?, ?)", list(row))


def write_metric_settings(warehouse: Warehouse, settings: Settings) -> None:
    """``ops.metric_settings``: one row with every window and basis of the metric marts and of attribution."""
    values = _flat(settings.metrics) | _flat(settings.attribution)
    columns = ", ".join(
        f"{quoted(name)} {'varchar' if isinstance(value, str) else 'double'}" for name, value in values.items()
    )
    warehouse.run(f"create or replace table ops.metric_settings ({columns})")
    marks = ", ".join("?" for _ in values)
    warehouse.run(f"insert into ops.metric_settings values ({marks})", list(values.values()))


def _flat(part: Part) -> dict[str, str | float]:
    """Name → value; nested groups joined by an underscore (activation_days)."""
    result: dict[str, str | float] = {}
    for name, value in part:
        if isinstance(value, Part):
            result |= {f"{name}_{inner}": found for inner, found in _flat(value).items()}
        else:
            result[name] = value if isinstance(value, str) else float(value)
    return result


def own(warehouse: Warehouse, run_id: str) -> None:
    """Raise LifecycleError unless the build is this run's own."""
    owner = warehouse.scalar("select run_id from ops.build") if warehouse.has_table("ops.build") else None
    if owner != run_id:
        raise LifecycleError(
            f"the build belongs to run {owner}, not to run {run_id}"
            if owner
            else f"run {run_id} has read nothing in yet",
            where=str(warehouse.path),
            remedy="Another run began in between: start a whole run again.",
        )


def current(warehouse: Warehouse, run_id: str) -> Build:
    """The build, checked to be this run's own and pinned to a day."""
    own(warehouse, run_id)
    rows = warehouse.rows("select run_id, as_of, as_of_end from ops.build")
    build = Build(*rows[0])
    if build.as_of is None:
        raise LifecycleError(
            f"run {run_id} has not loaded its data yet, so its day is not known",
            where=str(warehouse.path),
            remedy="Run the intake first: start a whole run.",
        )
    return build


def finish_unpublished(warehouse: Warehouse, run_id: str, outcome: str, now: datetime) -> None:
    """Note how a run ended, unless it had published: that stays so when a list behind it was stopped."""
    if not warehouse.has_table("ops.run_log"):
        return
    if warehouse.scalar("select outcome from ops.run_log where run_id = ?", [run_id]) != "published":
        finish(warehouse, run_id, outcome, now)


def finish(warehouse: Warehouse, run_id: str, outcome: str, now: datetime) -> None:
    """Note how a run ended: published, built, stopped or failed."""
    warehouse.run(
        "update ops.run_log set outcome = ?, ended_at = ? where run_id = ?",
        [outcome, now.astimezone(UTC).replace(tzinfo=None), run_id],
    )
