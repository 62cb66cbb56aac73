"""What differs between two histories of the same people.

Belongs here: the counts, and the few people who stand for them, computed in SQL; and the plain objects they are told
in.
Does not belong here: where the two histories come from (``versions.py``, ``publications.py``), words (``report.py``).

Both sides stand in one connection as views: ``before_history`` and ``after_history`` (customer_id, stage, reason_code,
reason, valid_from_at, valid_to_at), ``before_segments`` and ``after_segments`` (segment_name, customer_id,
entry_reason, valid_from_at, valid_to_at), and where one has them ``before_schemes`` and ``after_schemes`` (scheme,
customer_id, stage, stage_order). Nobody is identified by more than the customer id.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from lifecycle.settings import PROJECT_DIR
from lifecycle.timing import progress

if TYPE_CHECKING:
    from lifecycle.warehouse import Warehouse

EXEMPLIFIED_FLOWS = 5
"""So many of the largest flows have examples."""

ENTRY_DAYS = 90
"""The days before the last one in which moves are counted."""


@dataclass(frozen=True)
class Standing:
    """Where somebody stands and why: a stage or a segment, null for nowhere; since when (UTC)."""

    place: str | None
    reason: str | None
    since_at: datetime | None


@dataclass(frozen=True)
class Example:
    customer_id: str
    before: Standing
    after: Standing


@dataclass(frozen=True)
class Count:
    """How many before and after: of a stage, null for people who are not in the history."""

    name: str | None
    before: int
    after: int

    @property
    def difference(self) -> int:
        return self.after - self.before


@dataclass(frozen=True)
class Flow:
    """People who stand in one stage before and in another one after."""

    from_stage: str | None
    to_stage: str | None
    customer_count: int
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class SegmentChange:
    """A segment's size before and after (null where it does not exist), and who came and went."""

    segment: str
    before: int | None
    after: int | None
    gained: int
    lost: int
    gained_examples: tuple[Example, ...]
    lost_examples: tuple[Example, ...]


@dataclass(frozen=True)
class DayChanges:
    """Everybody as of the end of one day. ``moved_count`` are those who stand elsewhere."""

    day: date
    customer_count: int
    moved_count: int
    stages: tuple[Count, ...]
    flows: tuple[Flow, ...]
    segments: tuple[SegmentChange, ...]

    @property
    def is_none(self) -> bool:
        """Nobody stands elsewhere, in no segment either."""
        return not self.moved_count and not any(
            segment.gained or segment.lost or segment.before is None or segment.after is None
            for segment in self.segments
        )


@dataclass(frozen=True)
class SchemeChange:
    """A vocabulary of stages: ``kind`` is new, gone or changed; ``moved_count`` people stand elsewhere in it.

    Of a new or gone one, ``moved_count`` are all who stand in it. The stages are in the scheme's own order.
    """

    scheme: str
    kind: str
    moved_count: int
    stages: tuple[Count, ...]


@dataclass(frozen=True)
class HistoryChanges:
    """The histories as a whole: people whose stages or their times differ, and those of whom only the reasons do.

    ``entries`` counts moves into each stage in the last 90 days.
    """

    customer_count: int
    changed_count: int
    reworded_count: int
    entries: tuple[Count, ...]


@dataclass(frozen=True)
class Changes:
    days: tuple[DayChanges, ...]
    schemes: tuple[SchemeChange, ...] | None
    """Those that differ; null when neither side has any."""
    history: HistoryChanges

    @property
    def is_none(self) -> bool:
        """Nobody stands elsewhere on any day, and no moment of the past differs."""
        return not self.history.changed_count and not self.schemes and all(day.is_none for day in self.days)


def compare(
    warehouse: Warehouse, days: Sequence[tuple[date, datetime]], *, examples: int, has_schemes: bool
) -> Changes:
    """Compare both sides on each day (with the first instant after it, UTC) and as a whole.

    The last instant bounds the moves that are counted. ``examples`` people stand for each of the largest flows and for
    who came into and went out of a segment: those with the lowest ids, which are hashes. Without ``has_schemes`` the
    two views of schemes need not be there.
    """
    order = _Order()
    compared = []
    for day, end in days:
        progress.debug("comparing %s", day)
        compared.append(_compare_day(warehouse, day, end, order, examples))
    progress.debug("comparing the histories")
    end = max(end for _, end in days)
    schemes = _compare_schemes(warehouse) if has_schemes else None
    return Changes(tuple(compared), schemes, _compare_histories(warehouse, end, order))


class _Order:
    """The order in which stages are shown: that of the seed, others by name, nobody's last."""

    def __init__(self) -> None:
        with (PROJECT_DIR / "seeds" / "lifecycle_stages.csv").open(encoding="utf-8", newline="") as file:
            self._ranks = {row["stage"]: rank for rank, row in enumerate(csv.DictReader(file))}

    def __call__(self, stage: str | None) -> tuple[bool, int, str]:
        return stage is None, self._ranks.get(stage or "", len(self._ranks)), stage or ""


def _holds(end: datetime) -> str:
    """SQL: the interval in which an instant ends."""
    moment = f"timestamp '{end:%Y-%m-%d %H:%M:%S}'"
    return f"valid_from_at < {moment} and (valid_to_at is null or valid_to_at >= {moment})"


def stage_counts(warehouse: Warehouse, before_end: datetime, after_end: datetime) -> tuple[Count, ...]:
    """People per stage at one instant of the one side and another of the other."""
    rows = warehouse.rows(
        "with before_stages as (select stage, count(*) as customer_count from before_history"
        f" where {_holds(before_end)} group by stage),"
        " after_stages as (select stage, count(*) as customer_count from after_history"
        f" where {_holds(after_end)} group by stage)"
        " select stage, coalesce(before_stages.customer_count, 0), coalesce(after_stages.customer_count, 0)"
        " from before_stages full join after_stages using (stage)"
    )
    return tuple(sorted((Count(*row) for row in rows), key=lambda count: _Order()(count.name)))


def _compare_day(warehouse: Warehouse, day: date, end: datetime, order: _Order, examples: int) -> DayChanges:
    sides = ", ".join(
        f"{side} as (select customer_id, stage, reason, valid_from_at from {side}_history where {_holds(end)})"
        for side in ("before", "after")
    )
    warehouse.run(
        f"create or replace temp table standings as with {sides} select customer_id,"
        " before.stage as before_stage, before.reason as before_reason, before.valid_from_at as before_since_at,"
        " after.stage as after_stage, after.reason as after_reason, after.valid_from_at as after_since_at"
        " from before full join after using (customer_id)"
    )
    counted = warehouse.rows(
        "select before_stage, after_stage, count(*) from standings group by all"
        " order by count(*) desc, before_stage asc nulls last, after_stage asc nulls last"
    )
    stages = {stage for pair in counted for stage in pair[:2] if stage is not None}
    flows = [row for row in counted if row[0] != row[1]]
    shown = _flow_examples(warehouse, flows[:EXEMPLIFIED_FLOWS], examples)
    return DayChanges(
        day=day,
        customer_count=sum(row[2] for row in counted),
        moved_count=sum(row[2] for row in flows),
        stages=tuple(
            Count(
                stage,
                sum(count for before, _, count in counted if before == stage),
                sum(count for _, after, count in counted if after == stage),
            )
            for stage in sorted(stages, key=order)
        ),
        flows=tuple(
            Flow(before, after, count, tuple(shown.get((before, after), ()))) for before, after, count in flows
        ),
        segments=_compare_segments(warehouse, end, examples),
    )


def _flow_examples(
    warehouse: Warehouse, flows: Sequence[tuple[str | None, str | None, int]], examples: int
) -> dict[tuple[str | None, str | None], list[Example]]:
    found: dict[tuple[str | None, str | None], list[Example]] = {}
    if not flows or not examples:
        return found
    places = ", ".join("(?, ?)" for _ in flows)
    for row in warehouse.rows(
        f"with largest(from_stage, to_stage) as (values {places})"
        " select customer_id, before_stage, before_reason, before_since_at, after_stage, after_reason, after_since_at"
        " from standings semi join largest on before_stage is not distinct from from_stage"
        " and after_stage is not distinct from to_stage"
        " qualify row_number() over (partition by before_stage, after_stage order by customer_id) <= ?"
        " order by customer_id",
        [*(stage for before, after, _ in flows for stage in (before, after)), examples],
    ):
        found.setdefault((row[1], row[4]), []).append(Example(row[0], Standing(*row[1:4]), Standing(*row[4:])))
    return found


def _compare_segments(warehouse: Warehouse, end: datetime, examples: int) -> tuple[SegmentChange, ...]:
    sides = ", ".join(
        f"{side} as (select segment_name, customer_id, entry_reason, valid_from_at from {side}_segments"
        f" where {_holds(end)})"
        for side in ("before", "after")
    )
    warehouse.run(
        f"create or replace temp table memberships as with {sides} select segment_name, customer_id,"
        " before.customer_id is not null as was_in, before.entry_reason as before_reason,"
        " before.valid_from_at as before_since_at,"
        " after.customer_id is not null as is_in, after.entry_reason as after_reason,"
        " after.valid_from_at as after_since_at from before full join after using (segment_name, customer_id)"
    )
    counts = {
        row[0]: row[1:]
        for row in warehouse.rows(
            "select segment_name, count(*) filter (was_in), count(*) filter (is_in),"
            " count(*) filter (is_in and not was_in), count(*) filter (was_in and not is_in)"
            " from memberships group by segment_name"
        )
    }
    known = {
        side: {name for (name,) in warehouse.rows(f"select distinct segment_name from {side}_segments")}
        for side in ("before", "after")
    }
    shown: dict[tuple[str, bool], list[Example]] = {}
    for segment, is_in, customer_id, *standings in warehouse.rows(
        "select segment_name, is_in, customer_id,"
        " case when was_in then segment_name else before_stage end,"
        " case when was_in then memberships.before_reason else standings.before_reason end,"
        " case when was_in then memberships.before_since_at else standings.before_since_at end,"
        " case when is_in then segment_name else after_stage end,"
        " case when is_in then memberships.after_reason else standings.after_reason end,"
        " case when is_in then memberships.after_since_at else standings.after_since_at end"
        " from memberships left join standings using (customer_id) where is_in <> was_in"
        " qualify row_number() over (partition by segment_name, is_in order by customer_id) <= ?"
        " order by segment_name, customer_id",
        [examples],
    ):
        shown.setdefault((segment, is_in), []).append(
            Example(customer_id, Standing(*standings[:3]), Standing(*standings[3:]))
        )
    changes = []
    for segment in sorted(known["before"] | known["after"]):
        before, after, gained, lost = counts.get(segment, (0, 0, 0, 0))
        changes.append(
            SegmentChange(
                segment,
                before if segment in known["before"] else None,
                after if segment in known["after"] else None,
                gained,
                lost,
                tuple(shown.get((segment, True), ())),
                tuple(shown.get((segment, False), ())),
            )
        )
    return tuple(changes)


def _compare_schemes(warehouse: Warehouse) -> tuple[SchemeChange, ...]:
    # The scheme of that name is the stages themselves, which are compared already.
    counted = warehouse.rows(
        "select scheme, before_schemes.stage, after_schemes.stage, count(*) from before_schemes"
        " full join after_schemes using (scheme, customer_id) where scheme <> 'lifecycle' group by all"
    )
    places = {
        (scheme, stage): place
        for scheme, stage, place in warehouse.rows(
            "select scheme, stage, coalesce(min(stage_order) filter (is_after), min(stage_order)) from"
            " (select scheme, stage, stage_order, false as is_after from before_schemes union all"
            " select scheme, stage, stage_order, true as is_after from after_schemes) group by all"
        )
    }
    changes = []
    for scheme in sorted({row[0] for row in counted}):
        pairs = [row[1:] for row in counted if row[0] == scheme]
        moved = sum(count for before, after, count in pairs if before != after)
        had, has = (any(pair[side] is not None for pair in pairs) for side in (0, 1))
        if not moved:
            continue
        stages = sorted(
            {stage for pair in pairs for stage in pair[:2] if stage is not None},
            key=lambda stage, scheme=scheme: (places[scheme, stage], stage),  # type: ignore[misc]
        )
        changes.append(
            SchemeChange(
                scheme,
                "changed" if had and has else "new" if has else "gone",
                moved,
                tuple(
                    Count(
                        stage,
                        sum(count for before, _, count in pairs if before == stage),
                        sum(count for _, after, count in pairs if after == stage),
                    )
                    for stage in stages
                ),
            )
        )
    return tuple(changes)


def _compare_histories(warehouse: Warehouse, end: datetime, order: _Order) -> HistoryChanges:
    customers, changed, reworded = warehouse.rows(
        "with intervals as (select customer_id,"
        " before_history.stage is distinct from after_history.stage"
        " or before_history.valid_to_at is distinct from after_history.valid_to_at as is_changed,"
        " before_history.reason is distinct from after_history.reason"
        " or before_history.reason_code is distinct from after_history.reason_code as is_reworded"
        " from before_history full join after_history using (customer_id, valid_from_at)),"
        " customers as (select customer_id, bool_or(is_changed) as is_changed, bool_or(is_reworded) as is_reworded"
        " from intervals group by customer_id)"
        " select count(*), count(*) filter (is_changed), count(*) filter (is_reworded and not is_changed)"
        " from customers"
    )[0]
    moves = {side: _entries(warehouse, side, end) for side in ("before", "after")}
    stages = sorted(moves["before"].keys() | moves["after"].keys(), key=order)
    entries = tuple(Count(stage, moves["before"].get(stage, 0), moves["after"].get(stage, 0)) for stage in stages)
    return HistoryChanges(customers, changed, reworded, entries)


def _entries(warehouse: Warehouse, side: str, end: datetime) -> dict[str, int]:
    """Moves into each stage in the last days; coming to be known is no move."""
    return dict(
        warehouse.rows(
            f"with beginnings as (select customer_id, min(valid_from_at) as first_from_at from {side}_history"
            " group by customer_id)"
            f" select stage, count(*) from {side}_history inner join beginnings using (customer_id)"
            " where valid_from_at > first_from_at and valid_from_at >= ? and valid_from_at < ? group by stage",
            [end - timedelta(days=ENTRY_DAYS), end],
        )
    )
