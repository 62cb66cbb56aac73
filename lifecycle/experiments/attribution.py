"""What each channel and campaign is worth on the way to an order: removal effects in a Markov chain of touches.

Belongs here: the chain of ``intermediate.int_attribution_transitions``, solved exactly, and the table that the credits
read. Does not belong here: what a touch, a path or a conversion is, and how a path's credit is shared
(``models/intermediate/int_attribution_*``).

The states are the pairs of channel and campaign. A path begins at the start, goes from touch to touch and ends in a
conversion or in nothing. The removal effect of a state is the share of all conversions that would be lost if every
path that comes to it ended there in nothing (Anderl, Becker, von Wangenheim and Schumann 2016, *Mapping the customer
journey: Lessons learned from graph-based online attribution modeling*, International Journal of Research in Marketing):

    effect(s) = 1 - P(conversion without s) / P(conversion)

Nothing has to be rebuilt for that. A path that converts and comes to s does both one after the other, so

    P(conversion) - P(conversion without s) = P(start comes to s) x P(conversion from s)
    P(start comes to s) = N(start, s) / N(s, s)

with N(i, j) the visits to j that are expected from i, the fundamental matrix (I - Q)^-1 of the transitions Q between
states (Kemeny and Snell 1960, *Finite Markov Chains*, chapter 3). One factorisation of I - Q gives the conversions from
every state, the visits from the start, and the diagonal of N.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lifecycle.errors import LifecycleError
from lifecycle.warehouse import Warehouse

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TRANSITIONS = "intermediate.int_attribution_transitions"
REMOVAL_EFFECTS = "attribution.removal_effects"
_COLUMNS = "channel varchar, campaign_id varchar, removal_effect double, reach_rate double, conversion_rate double"

DIGITS = 12
"""Effects are rounded to so many significant digits: what a solve leaves behind them is noise."""

MOST_DENSE = 5_000
"""States up to which the fundamental matrix is made as a whole: it is full, and as such it is soonest there. Of 5,000
states it takes 200 MB. Beyond, its diagonal is solved for in blocks, from sparse factors."""

BLOCK = 256
"""Columns of the fundamental matrix that are solved at a time."""

State = tuple[str, str]
"""Channel and campaign."""


@dataclass
class Chain:
    """How often paths went on from where to where. Ends that are not named here are conversions or nothing.

    ``begins``: first touches; ``moves``: from one touch to the next, loops among them; ``converts`` and ``ends``: last
    touches, before an order or before nothing.
    """

    begins: dict[State, float] = field(default_factory=lambda: defaultdict(float))
    moves: dict[tuple[State, State], float] = field(default_factory=lambda: defaultdict(float))
    converts: dict[State, float] = field(default_factory=lambda: defaultdict(float))
    ends: dict[State, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def states(self) -> list[State]:
        moved = {state for move in self.moves for state in move}
        return sorted({*self.begins, *moved, *self.converts, *self.ends})


@dataclass(frozen=True)
class Effect:
    """What removing a state costs, and the two chances that it is made of; all of them 0 to 1."""

    removal_effect: float
    reach_rate: float
    """Chance that a path comes to the state."""
    conversion_rate: float
    """Chance that a path that is at the state ends in a conversion."""


@dataclass(frozen=True)
class Summary:
    """What a run found: states, and the chance that a path ends in a conversion (nan without paths)."""

    state_count: int
    conversion_rate: float


def create_tables(warehouse: Warehouse) -> None:
    """The table that the models read, empty before the first run."""
    warehouse.run(f"create schema if not exists {REMOVAL_EFFECTS.split('.', maxsplit=1)[0]}")
    warehouse.run(f"create table if not exists {REMOVAL_EFFECTS} ({_COLUMNS})")


def write_removal_effects(warehouse: Warehouse) -> Summary:
    """Replace ``attribution.removal_effects`` by what ``intermediate.int_attribution_transitions`` says.

    Raises LifecycleError when the transitions are none.
    """
    import pyarrow as pa

    chain = read_chain(warehouse)
    effects = removal_effects(chain)
    states = list(effects)
    found = [effects[state] for state in states]
    warehouse.write(
        REMOVAL_EFFECTS,
        pa.table(
            {
                "channel": pa.array([channel for channel, _ in states], pa.string()),
                "campaign_id": pa.array([campaign for _, campaign in states], pa.string()),
                "removal_effect": pa.array([one.removal_effect for one in found], pa.float64()),
                "reach_rate": pa.array([one.reach_rate for one in found], pa.float64()),
                "conversion_rate": pa.array([one.conversion_rate for one in found], pa.float64()),
            }
        ),
    )
    return Summary(len(states), conversion_rate(chain, effects))


def read_chain(warehouse: Warehouse) -> Chain:
    """The chain that the models counted. Raises LifecycleError for a transition that there cannot be."""
    chain = Chain()
    for from_kind, from_channel, from_campaign, to_kind, to_channel, to_campaign, count in warehouse.rows(
        "select from_kind, from_channel, from_campaign_id, to_kind, to_channel, to_campaign_id, transition_count"
        f" from {TRANSITIONS} order by all"
    ):
        source, target = (from_channel, from_campaign), (to_channel, to_campaign)
        nameless = [
            kind for kind, state in ((from_kind, source), (to_kind, target)) if kind == "touch" and None in state
        ]
        if nameless or count is None:
            raise LifecycleError(
                "a transition lacks its channel, campaign or count",
                where=TRANSITIONS,
                remedy="A touch without a campaign says (none): mend the model.",
            )
        match from_kind, to_kind:
            case "start", "touch":
                chain.begins[target] += count
            case "touch", "touch":
                chain.moves[source, target] += count
            case "touch", "conversion":
                chain.converts[source] += count
            case "touch", "null":
                chain.ends[source] += count
            case _:
                raise LifecycleError(
                    f"no path goes from '{from_kind}' to '{to_kind}'",
                    where=TRANSITIONS,
                    remedy="Paths go from start by way of touches to conversion or null: mend the model.",
                )
    return chain


def conversion_rate(chain: Chain, effects: Mapping[State, Effect]) -> float:
    """The chance that a path ends in a conversion; nan without paths."""
    begun = sum(chain.begins.values())
    if not begun:
        return math.nan
    return sum(count * effects[state].conversion_rate for state, count in chain.begins.items()) / begun


def removal_effects(chain: Chain) -> dict[State, Effect]:
    """The removal effect of every state of a chain, in the order of states.

    Everything has an answer: a state that no path comes to, or from which none comes to a conversion, has the effect 0,
    and so has every state when nobody converts. What happens over and over (a loop) is left in the end, or it leads
    nowhere. Raises LifecycleError for counts that are none.
    """
    _check_counts(chain)
    states = chain.states
    alive = _alive(chain)
    effects = dict.fromkeys(states, Effect(0.0, 0.0, 0.0))
    if not alive:
        return effects
    solved = _solve(chain, alive)
    for place, state in enumerate(alive):
        reach, conversion = float(solved.reach[place]), float(solved.conversion[place])
        effects[state] = Effect(_rounded(reach * conversion / solved.total), _rounded(reach), _rounded(conversion))
    return effects


def _check_counts(chain: Chain) -> None:
    for counts in (chain.begins, chain.moves, chain.converts, chain.ends):
        for key, count in counts.items():
            if not (math.isfinite(count) and count >= 0):
                raise LifecycleError(
                    f"{count} is no number of transitions",
                    where=f"{TRANSITIONS}, {key}",
                    remedy="Counts are finite and not negative: mend the model.",
                )


def _rounded(share: float) -> float:
    return min(max(float(f"{share:.{DIGITS}g}"), 0.0), 1.0)


def _alive(chain: Chain) -> list[State]:
    """The states on some way from the start to a conversion, in order. Only they take part: the others change nothing,
    and between them the equations may have many solutions."""
    onward: dict[State, list[State]] = defaultdict(list)
    back: dict[State, list[State]] = defaultdict(list)
    for (source, target), count in chain.moves.items():
        if count:
            onward[source].append(target)
            back[target].append(source)
    reached = _reached([state for state, count in chain.begins.items() if count], onward)
    converting = _reached([state for state, count in chain.converts.items() if count], back)
    return sorted(reached & converting)


def _reached(seeds: Iterable[State], ways: Mapping[State, list[State]]) -> set[State]:
    seen = set(seeds)
    ahead = list(seen)
    while ahead:
        for state in ways.get(ahead.pop(), ()):
            if state not in seen:
                seen.add(state)
                ahead.append(state)
    return seen


@dataclass(frozen=True)
class _Solved:
    total: float
    """Chance that a path converts."""
    reach: NDArray[np.float64]
    conversion: NDArray[np.float64]


def _solve(chain: Chain, alive: list[State]) -> _Solved:
    """Solve the chain of the states that lie on a way to a conversion: each of them is left in the end."""
    import numpy as np

    size = len(alive)
    places = {state: place for place, state in enumerate(alive)}
    begins, left, converted = np.zeros(size), np.zeros(size), np.zeros(size)
    for counts, total in ((chain.begins, begins), (chain.converts, converted), (chain.ends, left)):
        for state, count in counts.items():
            if state in places:
                total[places[state]] += count
    left += converted
    rows, columns, moves = [], [], []
    for (source, target), count in chain.moves.items():
        if source in places:
            # What goes to a state outside leaves as well, and is lost.
            left[places[source]] += count
            if target in places:
                rows.append(places[source])
                columns.append(places[target])
                moves.append(count)
    sources, targets = np.array(rows, int), np.array(columns, int)
    between = _Between(size, sources, targets, np.array(moves, float) / left[sources])
    invert = _invert_whole if size <= MOST_DENSE else _invert_in_blocks
    conversion, visits, returns = invert(between, converted / left, begins / sum(chain.begins.values()))
    return _Solved(float(begins @ conversion) / sum(chain.begins.values()), visits / returns, conversion)


@dataclass(frozen=True)
class _Between:
    """Q: the chances to go from one state to another, by their places."""

    size: int
    sources: NDArray[np.int64]
    targets: NDArray[np.int64]
    chances: NDArray[np.float64]


_Inverted = tuple["NDArray[np.float64]", "NDArray[np.float64]", "NDArray[np.float64]"]
"""N applied to a column, a row applied to N, and the diagonal of N."""


def _invert_whole(between: _Between, column: NDArray[np.float64], row: NDArray[np.float64]) -> _Inverted:
    import numpy as np

    matrix = np.eye(between.size)
    np.subtract.at(matrix, (between.sources, between.targets), between.chances)
    fundamental = np.asarray(np.linalg.inv(matrix), dtype=np.float64)
    return fundamental @ column, row @ fundamental, np.diagonal(fundamental)


def _invert_in_blocks(between: _Between, column: NDArray[np.float64], row: NDArray[np.float64]) -> _Inverted:
    import numpy as np
    from scipy.sparse import csc_array, eye_array
    from scipy.sparse.linalg import splu

    size = between.size
    matrix = csc_array((between.chances, (between.sources, between.targets)), shape=(size, size))
    factors = splu(csc_array(eye_array(size, format="csc") - matrix))
    diagonal = np.empty(size)
    for first in range(0, size, BLOCK):
        places = np.arange(first, min(first + BLOCK, size))
        units = np.zeros((size, len(places)))
        units[places, places - first] = 1.0
        diagonal[places] = factors.solve(units)[places, places - first]
    return factors.solve(column), factors.solve(row, trans="T"), diagonal
