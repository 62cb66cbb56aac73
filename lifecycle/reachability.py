"""Whether a condition can ever hold, also behind others that come first.

Belongs here: formulas over "is not known" and "lies in these numbers", and the search for a state of a customer that
fits them. Does not belong here: the words of conditions (``lifecycle/conditions.py``) and what is made of the answer.

What ``can_hold`` proves: False means that no values of the facts fit. It knows intervals (``paid_count > 0`` excludes
``paid_count = 0``), that counts are whole and not negative and yes/no facts are 0 or 1, that a comparison needs known
values (``null`` is neither true nor false), that ``within`` and ``expired`` of the same fact and days exclude each
other, and that a threshold of days is at least 1.

What it cannot prove: anything that follows from how two facts belong together (``kept_count`` is never above
``paid_count``), from the order of two thresholds or clocks (``due_days`` before ``lapse_days``), from the values of
thresholds, from arithmetic (an expression is a quantity of its own) or from chains of comparisons (below one that is
below another). There, and when the search grows beyond ``MAX_STEPS``, the answer is True: a condition that can hold is
never called impossible.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

MAX_STEPS = 2_000
"""Branches of one search; the whole list of rules needs a few dozen each."""

Cut = tuple[Fraction | int | float, int]
"""A place between numbers: just before a number (0) or just behind it (1)."""

Numbers = tuple[tuple[Cut, Cut], ...]
"""A set of numbers as intervals in ascending order that do not overlap."""

BEGIN: Cut = (-math.inf, 0)
END: Cut = (math.inf, 1)
EVERY_NUMBER: Numbers = ((BEGIN, END),)


def numbers(operator: str, bound: Fraction) -> Numbers:
    """Every number that stands in this relation to ``bound``: ``numbers("<", 3)`` are those below 3."""
    number: Fraction | int = bound.numerator if bound.denominator == 1 else bound
    below, above = (number, 0), (number, 1)
    sets: dict[str, Numbers] = {
        "<": ((BEGIN, below),),
        "<=": ((BEGIN, above),),
        "=": ((below, above),),
        "<>": ((BEGIN, below), (above, END)),
        ">": ((above, END),),
        ">=": ((below, END),),
    }
    return sets[operator]


@lru_cache(maxsize=10_000)
def common(left: Numbers, right: Numbers) -> Numbers:
    return tuple(
        (max(left_from, right_from), min(left_to, right_to))
        for left_from, left_to in left
        for right_from, right_to in right
        if max(left_from, right_from) < min(left_to, right_to)
    )


@lru_cache(maxsize=1_000)
def others(these: Numbers) -> Numbers:
    """Every number that is not among these."""
    found = []
    at = BEGIN
    for begin, end in these:
        if at < begin:
            found.append((at, begin))
        at = end
    if at < END:
        found.append((at, END))
    return tuple(found)


def _whole(these: Numbers) -> Numbers:
    """The same whole numbers, from one to another, so that nothing is left where none is in between."""
    found = []
    for (begin, begins_behind), (end, ends_behind) in these:
        first = begin if begin == -math.inf else math.floor(begin) + 1 if begins_behind else math.ceil(begin)
        last = end if end == math.inf else math.floor(end) if ends_behind else math.ceil(end) - 1
        if first <= last:
            found.append(((first, 0), (last, 1)))
    return tuple(found)


class Quantity(NamedTuple):
    """A number of a customer: a fact, the days since one, or how far one lies above another (only its sign counts)."""

    name: str
    above: str = ""
    domain: Numbers = EVERY_NUMBER
    is_whole: bool = False
    least_above: Fraction | None = None
    """What ``above`` is at least."""


@dataclass(frozen=True)
class Known:
    """A fact has a value, or has none."""

    fact: str
    is_known: bool


@dataclass(frozen=True)
class Lies:
    """A quantity is one of these numbers. Of a fact without a value it says nothing: ``Known`` stands beside it."""

    quantity: Quantity
    among: Numbers


@dataclass(frozen=True)
class Every:
    parts: tuple[Formula, ...]


@dataclass(frozen=True)
class Some:
    parts: tuple[Formula, ...]


Formula = Known | Lies | Every | Some

ALWAYS = Every(())
NEVER = Some(())


def opposite(formula: Formula) -> Formula:
    if isinstance(formula, Known):
        return Known(formula.fact, not formula.is_known)
    if isinstance(formula, Lies):
        return Lies(formula.quantity, others(formula.among))
    parts = tuple(opposite(part) for part in formula.parts)
    return Some(parts) if isinstance(formula, Every) else Every(parts)


def can_hold(*formulas: Formula) -> bool:
    """Whether all of these can hold at once; False is a proof, True may mean that none was found."""
    try:
        return _search(_State(), formulas, _Steps(MAX_STEPS))
    except (_TooLongError, RecursionError):
        return True


def must_hold(formula: Formula) -> bool:
    """Whether it holds for everybody; True is a proof."""
    try:
        return not can_hold(opposite(formula))
    except RecursionError:
        return False


def covering(condition: Formula, earlier: Sequence[Formula]) -> list[int]:
    """Which of the earlier conditions leave nothing over for this one (positions, as few as possible), or none."""
    try:
        left_over = [opposite(one) for one in earlier]
    except RecursionError:
        return []
    if can_hold(condition, *left_over):
        return []
    for position, one in enumerate(left_over):
        if not can_hold(condition, one):
            return [position]
    needed = list(range(len(earlier)))
    for position in range(len(earlier)):
        rest = [one for one in needed if one != position]
        if not can_hold(condition, *(left_over[one] for one in rest)):
            needed = rest
    return needed


class _TooLongError(Exception):
    pass


class _Steps:
    def __init__(self, count: int) -> None:
        self.left = count

    def take(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise _TooLongError


class _State:
    """What has been assumed of a customer so far."""

    def __init__(self, known: dict[str, bool] | None = None, among: dict[Quantity, Numbers] | None = None) -> None:
        self.known, self.among = known or {}, among or {}

    def copy(self) -> _State:
        return _State(dict(self.known), dict(self.among))

    def _numbers(self, quantity: Quantity, these: Numbers) -> Numbers:
        left = common(self.among.get(quantity, quantity.domain), these)
        return _whole(left) if quantity.is_whole else left

    def assume(self, literal: Known | Lies) -> bool:
        """Add what is assumed; False: it contradicts what was."""
        if isinstance(literal, Known):
            return self.known.setdefault(literal.fact, literal.is_known) == literal.is_known
        quantity = literal.quantity
        left = self._numbers(quantity, literal.among)
        if not left:
            return False
        self.among[quantity] = left
        if quantity.least_above is not None and not common(left, numbers("<", Fraction(0))):
            return self.assume(Lies(Quantity(quantity.name), numbers(">=", quantity.least_above)))
        return True

    def judge(self, literal: Known | Lies) -> bool | None:
        """Whether it follows, is excluded, or is open."""
        if isinstance(literal, Known):
            known = self.known.get(literal.fact)
            return None if known is None else known == literal.is_known
        quantity = literal.quantity
        if quantity not in self.among and quantity.domain == EVERY_NUMBER and literal.among:
            return None
        if not self._numbers(quantity, literal.among):
            return False
        return None if self._numbers(quantity, others(literal.among)) else True

    def reduce(self, formula: Formula) -> Formula:
        """What is open of a formula: ALWAYS and NEVER where nothing is, and no group inside a group of its own kind."""
        if isinstance(formula, (Known, Lies)):
            verdict = self.judge(formula)
            return formula if verdict is None else ALWAYS if verdict else NEVER
        kind = Every if isinstance(formula, Every) else Some
        deciding = NEVER if kind is Every else ALWAYS
        parts: list[Formula] = []
        for part in map(self.reduce, formula.parts):
            if part == deciding:
                return deciding
            if isinstance(part, (Every, Some)) and isinstance(part, kind):
                parts.extend(part.parts)
            else:
                parts.append(part)
        return parts[0] if len(parts) == 1 else kind(tuple(parts))


def _search(state: _State, formulas: Iterable[Formula], steps: _Steps) -> bool:
    """Depth first: assume what must be, then try a part of the choice that has the fewest, and its opposite."""
    steps.take()
    waiting, choices, is_news = list(formulas), list[Some](), False
    while waiting:
        formula = state.reduce(waiting.pop())
        if isinstance(formula, Every):
            waiting.extend(formula.parts)
        elif isinstance(formula, Some):
            if not formula.parts:
                return False
            choices.append(formula)
        else:
            if not state.assume(formula):
                return False
            is_news = True
        if not waiting and is_news:
            waiting, choices, is_news = list(choices), [], False
    if not choices:
        return True
    literal = _first_literal(min(choices, key=lambda choice: len(choice.parts)))
    return any(_search(state.copy(), [*choices, one], steps) for one in (literal, opposite(literal)))


def _first_literal(formula: Formula) -> Formula:
    while isinstance(formula, (Every, Some)):
        formula = formula.parts[0]
    return formula
