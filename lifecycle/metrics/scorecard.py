"""The scorecard: where each KPI stands beside its target, and where to look.

Belongs here: reading ``marts.kpi_scorecard`` of the current publication, the order in which KPIs are read, and what is
said of each.
Does not belong here: the verdict (``models/marts/metrics/kpi_scorecard.sql``) and the targets
(``seeds/kpi_targets.csv``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from lifecycle.errors import LifecycleError
from lifecycle.metrics.definitions import Definitions, nearest
from lifecycle.metrics.query import open_current_publication, require_table
from lifecycle.metrics.spans import written_span
from lifecycle.metrics.wording import marts

if TYPE_CHECKING:
    from lifecycle.settings import Settings
    from lifecycle.warehouse import Warehouse

TABLE = "marts.kpi_scorecard"
WHOLE = "all"
STATUSES = ("off_track", "at_risk", "no_data", "on_track")
"""In the order in which they are read: worst first."""

IN_WORDS = {"off_track": "Off track", "at_risk": "At risk", "no_data": "No data", "on_track": "On track"}

FIELDS = (
    "kpi", "kpi_month", "dimension", "dimension_value", "status", "value", "denominator", "previous_value", "change",
    "target_value", "tolerance_share", "direction", "unit", "currency", "owner", "metric_name", "description",
    "value_month", "is_complete",
)  # fmt: skip
"""Columns of the scorecard that are handed on, in this order."""


@dataclass(frozen=True)
class Standing:
    """One KPI in one month. ``look_at`` are mart, docs and the commands that show its months and take it apart;
    ``worst`` has, per dimension with targets of its own, the value that costs most.
    """

    row: dict[str, Any]
    label: str
    look_at: tuple[str, ...]
    worst: tuple[dict[str, Any], ...] = ()

    @property
    def status(self) -> str:
        return str(self.row["status"])

    @property
    def gap(self) -> float:
        """By which share of the target it is missed; less than nothing where it is met."""
        missing, target = _missing(self.row), self.row["target_value"]
        return missing / abs(float(target)) if target else missing


@dataclass(frozen=True)
class Scorecard:
    """The KPIs of one month, worst first."""

    month: date
    dimension: str
    is_complete: bool
    as_of: date
    run_id: str
    standings: tuple[Standing, ...]
    options: str = ""
    """What the commands in ``look_at`` need beside: the company's settings, where they were named."""

    def of(self, status: str) -> list[Standing]:
        return [standing for standing in self.standings if standing.status == status]

    @property
    def summary(self) -> str:
        """How many stand where: ``2 off track, 1 at risk, 9 on track``."""
        counts = ((len(self.of(status)), IN_WORDS[status].lower()) for status in STATUSES)
        return ", ".join(f"{count} {words}" for count, words in counts if count) or "no KPI"


def read_scorecard(
    settings: Settings,
    definitions: Definitions,
    *,
    month: str | None = None,
    dimension: str | None = None,
    options: str = "",
) -> Scorecard:
    """The scorecard of a month (``2025-12``; default: the last that is over) from the current publication.

    ``options`` is what commands need beside, to be said once.

    Raises LifecycleError when there is no such month or dimension, or when nothing is published.
    """
    with open_current_publication(settings) as (publication, warehouse):
        require_table(warehouse, TABLE)
        chosen = _month(warehouse, month)
        wanted = _dimension(warehouse, dimension)
        rows = warehouse.dicts(
            f"select {', '.join(FIELDS)} from {TABLE} where kpi_month = ? and dimension = ?", [chosen, wanted]
        )
        apart = warehouse.dicts(
            f"select {', '.join(FIELDS)} from {TABLE} where kpi_month = ? and dimension <> ?"
            " order by kpi, dimension, dimension_value",
            [chosen, WHOLE],
        )
    of_month = f" --month {month}" if month else ""
    groups: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for row in apart if wanted == WHOLE else ():
        groups.setdefault(row["kpi"], {}).setdefault(row["dimension"], []).append(row)

    def standing(row: dict[str, Any]) -> Standing:
        known = groups.get(row["kpi"], {})
        commands = [f"lifecycle scorecard{of_month} --by {name}" for name in known]
        worst = [costly for rows in known.values() if (costly := _costliest(rows)) is not None]
        return _standing(definitions, row, commands, worst)

    return Scorecard(
        month=chosen,
        dimension=wanted,
        is_complete=all(row["is_complete"] for row in rows),
        as_of=publication.as_of,
        run_id=publication.run_id,
        standings=ordered([standing(row) for row in rows]),
        options=options.strip(),
    )


def ordered(standings: Sequence[Standing]) -> tuple[Standing, ...]:
    """Worst first: by status, then by how far the target is missed, then by name."""
    return tuple(
        sorted(
            standings,
            key=lambda one: (STATUSES.index(one.status), -one.gap, one.row["kpi"], one.row["dimension_value"]),
        )
    )


def _missing(row: dict[str, Any]) -> float:
    """How much is missing to the target, in the unit of the metric; 0 where a figure or the target is not known."""
    value, target = row["value"], row["target_value"]
    if value is None or target is None:
        return 0.0
    return float(target - value if row["direction"] == "up" else value - target)


def _costliest(rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The value of a dimension that misses its target by most people (a rate) or by most; none where all are met."""

    def cost(row: dict[str, Any]) -> float:
        return _missing(row) * float(row["denominator"] or 1)

    missed = [row for row in rows if row["status"] in ("off_track", "at_risk")]
    return max(missed, key=cost, default=None)


def _month(warehouse: Warehouse, typed: str | None) -> date:
    months: dict[date, bool] = dict(
        warehouse.rows(f"select kpi_month, bool_and(is_complete) from {TABLE} group by kpi_month order by kpi_month")
    )
    if not months:
        raise LifecycleError(
            "the scorecard is empty",
            where=str(warehouse.path),
            remedy="Set targets in seeds/kpi_targets.csv, then run the pipeline: `lifecycle run`.",
        )
    if typed is None:
        return max((day for day, is_complete in months.items() if is_complete), default=max(months))
    known = {written_span(day, "month"): day for day in months}
    if typed not in known:
        raise LifecycleError(
            f"there is no month '{typed}' in the scorecard",
            where="--month",
            remedy=f"It goes from {min(known)} to {max(known)}; write a month as {max(known)}.",
        )
    return known[typed]


def _dimension(warehouse: Warehouse, typed: str | None) -> str:
    if typed is None:
        return WHOLE
    known = [
        name
        for (name,) in warehouse.rows(
            f"select distinct dimension from {TABLE} where dimension <> ? order by 1", [WHOLE]
        )
    ]
    if typed not in known:
        near = nearest(typed, known)
        raise LifecycleError(
            f"no KPI has a target by '{typed}'" + (f", did you mean '{near}'?" if near else ""),
            where="--by",
            remedy=f"There are targets by {', '.join(known)}."
            if known
            else "Set one in seeds/kpi_targets.csv: dimension and dimension_value.",
        )
    return typed


def _standing(
    definitions: Definitions, row: dict[str, Any], apart: Sequence[str], worst: Sequence[dict[str, Any]]
) -> Standing:
    metric = definitions.metrics.get(row["metric_name"])
    if metric is None:
        # The targets of a publication may name a metric that the code no longer has.
        return Standing(row, row["kpi"].replace("_", " ").capitalize(), ())
    by = "" if row["dimension"] == WHOLE else f" --by {row['dimension']}"
    command = f"lifecycle metrics query {metric.name} --by month{by}"
    return Standing(row, metric.label, (*marts(definitions, metric), metric.docs, command, *apart), tuple(worst))
