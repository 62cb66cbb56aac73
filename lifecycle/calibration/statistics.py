"""The statistics behind proposals: how long people take to come back, and numbers that a person would write.

Belongs here: arithmetic over small tables of counts.
Does not belong here: making those tables (``evidence.py``), or deciding what follows (``proposals.py``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

HEAVIEST = 0.01
"""The curve is followed until one person would move it by more than this (of few people: by twice their own share)."""

CERTAINTY = 2.576
"""Standard errors of a 99 % interval: many groups are looked at, and few should stand out by chance."""

LATE = 0.1
"""When more than this share of the returns fell into the last quarter of the time seen, more are still to come."""

STEPS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
"""Leading digits of amounts that a person would write."""


@dataclass(frozen=True)
class Waiting:
    """People whose first gap ended after, or had lasted for, so many whole days when the history ended."""

    days: int
    returned_count: int
    still_waiting_count: int


@dataclass(frozen=True)
class Returns:
    """How long people took to come back for a second purchase.

    ``return_share`` of the people come back within ``seen_days``; ``quantiles`` are the days after which a quarter,
    half and three quarters of those were back, ``interval`` what the half could be as well (99 %). ``late_share`` is
    the share of the returns in the last quarter of the time seen.
    """

    people_count: int
    returned_count: int
    seen_days: int
    return_share: float
    quantiles: tuple[int, int, int]
    interval: tuple[int, int]
    late_share: float

    @property
    def median_days(self) -> int:
        return self.quantiles[1]

    @property
    def is_cut_short(self) -> bool:
        """Whether the history ends before people had time to come back, so that the true gap is longer."""
        return self.late_share > LATE


def estimate_returns(waiting: Iterable[Waiting]) -> Returns | None:
    """The distribution of the first gap of those who ever come back. None when nobody did, or too few are known.

    Who has not come back yet may still do so; who bought last week has had no time to. So the share back after t days,
    F(t), is Kaplan and Meier's product-limit estimate (J. Am. Stat. Assoc. 53, 1958, 457–481), with whoever is still
    waited for as censored. Some never come back; F then levels off below 1, and F(t) / F(end) is the distribution of
    those who do (Maller and Zhou, Biometrika 79, 1992, 731–739).
    """
    ordered = sorted(waiting, key=lambda entry: entry.days)
    people = sum(entry.returned_count + entry.still_waiting_count for entry in ordered)
    returned = sum(entry.returned_count for entry in ordered)
    at_risk, not_back = people, 1.0
    curve: list[tuple[int, float]] = []
    for entry in ordered:
        if not_back / at_risk > max(HEAVIEST, 2 / people):
            break
        not_back *= 1 - entry.returned_count / at_risk
        curve.append((entry.days, 1 - not_back))
        at_risk -= entry.returned_count + entry.still_waiting_count
    if not curve or curve[-1][1] <= 0:
        return None
    seen_days, return_share = curve[-1]

    def days_of(share: float) -> int:
        return next(days for days, back in curve if back >= share * return_share - 1e-12)

    # The half of n people lies between these of their shares, by the binomial distribution.
    spread = CERTAINTY * 0.5 / math.sqrt(returned)
    early = max((back for days, back in curve if days <= 0.75 * seen_days), default=0.0)
    return Returns(
        people_count=people,
        returned_count=returned,
        seen_days=seen_days,
        return_share=return_share,
        quantiles=(days_of(0.25), days_of(0.5), days_of(0.75)),
        interval=(days_of(max(0.0, 0.5 - spread)), days_of(min(1.0, 0.5 + spread))),
        late_share=1 - early / return_share,
    )


def round_days(days: float) -> int:
    """Whole days below 100, then fives."""
    step = 1 if days < 100 else 5
    return max(1, step * round(days / step))


def written_amounts(low: float, high: float) -> list[float]:
    """Amounts that a person would write, from just below ``low`` to just above ``high``."""
    if high <= 0:
        return []
    first = math.floor(math.log10(max(low, high / 1e6)))
    powers = range(first, math.ceil(math.log10(high)) + 1)
    amounts = [step * 10.0**power for power in powers for step in STEPS]
    return [amount for amount in amounts if low / 2 <= amount <= high * 2]


def nearest(candidates: Sequence[float], wanted: float, share_of: Callable[[float], float]) -> float:
    """The candidate whose share is nearest to the wanted one; of two equally near the smaller."""
    return min(candidates, key=lambda candidate: (abs(share_of(candidate) - wanted), candidate))


def share_from(counts: Sequence[tuple[float, int]], value: float) -> float:
    """The share of people at ``value`` or above; ``counts`` are pairs of a value and how many people have it."""
    total = sum(count for _, count in counts)
    return sum(count for at, count in counts if at >= value) / total if total else 0.0
