"""Counting over stages and what is known to be true: agreement, alarms and what became of them.

Belongs here: arithmetic over small rows, without a database. Does not belong here: where the rows come from and how
the figures are printed (``stages.py``).
"""

from __future__ import annotations

import statistics
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from measuring import Agreement

Interval = tuple[datetime, datetime | None]
"""From, and until but not including; None: not over yet."""

BACK, BACK_LATE, NOT_BACK = "back", "back late", "not back"


def days(earlier: datetime, later: datetime) -> float:
    return (later - earlier).total_seconds() / 86_400


def quartiles(values: Sequence[float]) -> tuple[float, float, float] | None:
    """A quarter, half and three quarters of the values lie below; None when there are fewer than two."""
    if len(values) < 2:
        return None
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


# --- agreement with the truth ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Confusion:
    """How many stood in each pair of a stage and a true state."""

    counts: Counter[tuple[str, str]]

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str, int]]) -> Confusion:
        """From stage, state and how many; the same pair may come several times (one per day)."""
        counts: Counter[tuple[str, str]] = Counter()
        for stage, state, count in pairs:
            counts[stage, state] += count
        return cls(counts)

    def stage_count(self, stage: str) -> int:
        return sum(count for (one, _), count in self.counts.items() if one == stage)

    def agreement(self, expected: Mapping[str, frozenset[str]], stage: str | None = None) -> float:
        """The share, of a stage or of all, that stood in a true state which its stage stands for."""
        wanted = [(pair, count) for pair, count in self.counts.items() if stage is None or pair[0] == stage]
        right = sum(count for (one, state), count in wanted if state in expected[one])
        total = sum(count for _, count in wanted)
        return right / total if total else float("nan")

    def found(self, stages: Iterable[str], states: Iterable[str]) -> Agreement:
        """The stages taken as a detector of the states."""
        stages, states = set(stages), set(states)
        return Agreement(
            right=sum(count for (stage, state), count in self.counts.items() if stage in stages and state in states),
            found=sum(count for (stage, _), count in self.counts.items() if stage in stages),
            there=sum(count for (_, state), count in self.counts.items() if state in states),
        )


def delay_days(truth: datetime, intervals: Sequence[Interval]) -> float | None:
    """Days from the true moment to the alarm; negative when one was already on. None when none was on or came.

    ``intervals`` are those of the alarm, in order.
    """
    for start, end in intervals:
        if end is None or end > truth:
            return days(truth, start)
    return None


# --- what became of alarms -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Alarm:
    """Somebody became at risk, for a reason; lapsing is when the lapse clock of that moment runs out."""

    customer: str
    reason: str
    at: datetime
    lapses_at: datetime


@dataclass(frozen=True)
class Buyer:
    """The paid orders of somebody in order of time. ``has_stopped``: they will never buy again; None: nobody knows."""

    ordered_at: Sequence[datetime]
    has_stopped: bool | None = None

    def next_order(self, moment: datetime) -> datetime | None:
        place = bisect_right(self.ordered_at, moment)
        return self.ordered_at[place] if place < len(self.ordered_at) else None

    def is_gone(self, moment: datetime) -> bool:
        """Whether they have truly stopped by then."""
        return bool(self.has_stopped) and self.next_order(moment) is None


def outcome(alarm: Alarm, buyer: Buyer, end: datetime) -> str | None:
    """Came back before the lapse clock ran out, after it, or not (so far). None while that clock still runs.

    An alarm whose clock still runs is left out whether or not somebody is back already: to count only those who are
    would make every alarm look needless.
    """
    if alarm.lapses_at > end:
        return None
    back_at = buyer.next_order(alarm.at)
    if back_at is None:
        return NOT_BACK
    return BACK if back_at < alarm.lapses_at else BACK_LATE


@dataclass(frozen=True)
class Worth:
    """What the alarms of a company were worth.

    ``back_share``, ``late_share`` and ``lost_share`` are of the decided alarms and add up to one; ``gone_share`` is
    that of all alarms which found somebody who had truly stopped (None where nobody knows).
    """

    alarm_count: int
    per_customer_year: float
    decided_count: int
    back_share: float
    back_days: float | None
    late_share: float
    lost_share: float
    gone_share: float | None


def worth(alarms: Sequence[Alarm], buyers: Mapping[str, Buyer], end: datetime) -> Worth:
    """Counted over alarms; a customer-year is a year since a first order."""
    years = sum(days(buyer.ordered_at[0], end) for buyer in buyers.values()) / 365.25
    outcomes = {alarm: outcome(alarm, buyers[alarm.customer], end) for alarm in alarms}
    decided = Counter(one for one in outcomes.values() if one)
    total = decided.total()
    waited = [
        days(alarm.at, back_at)
        for alarm, became in outcomes.items()
        if became == BACK and (back_at := buyers[alarm.customer].next_order(alarm.at))
    ]
    is_known = all(buyer.has_stopped is not None for buyer in buyers.values())
    gone = sum(buyers[alarm.customer].is_gone(alarm.at) for alarm in alarms)

    def share(became: str) -> float:
        return decided[became] / total if total else float("nan")

    return Worth(
        alarm_count=len(alarms),
        per_customer_year=len(alarms) / years,
        decided_count=total,
        back_share=share(BACK),
        back_days=statistics.median(waited) if waited else None,
        late_share=share(BACK_LATE),
        lost_share=share(NOT_BACK),
        gone_share=gone / len(alarms) if is_known and alarms else None,
    )


def waiting_days(stopped: Mapping[str, datetime], alarms: Iterable[Alarm]) -> list[float]:
    """Of everybody who stopped, by their last order, the days from it to the first alarm after; who got none is out."""
    first: dict[str, datetime] = {}
    for alarm in sorted(alarms, key=lambda one: one.at):
        last = stopped.get(alarm.customer)
        if last is not None and alarm.at > last:
            first.setdefault(alarm.customer, alarm.at)
    return [days(stopped[customer], at) for customer, at in first.items()]
