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
states (Kemeny and Snell 1960, *Finite Markov Chains*, chapter 3). One factorisation gives the conversions from every
state, the visits from the start, and in blocks the diagonal of N.
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
"""Effects are rounded to so many decimals: what a solve leaves behind them is noise."""

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
    return min(max(round(share, DIGITS), 0.0), 1.0)


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
    from scipy.sparse import csc_array, eye_array
    from scipy.sparse.linalg import splu

    size = len(alive)
    places = {state: place for place, state in enumerate(alive)}
    # What leaves a state, to wherever: shares of this are the chances.
    left = np.zeros(size)
    converted = np.zeros(size)
    for counts in (chain.converts, chain.ends):
        for state, count in counts.items():
            if state in places:
                left[places[state]] += count
    for state, count in chain.converts.items():
        if state in places:
            converted[places[state]] += count
    rows, columns, values = [], [], []
    for (source, target), count in chain.moves.items():
        if source in places:
            left[places[source]] += count
            if target in places:
                rows.append(places[source])
                columns.append(places[target])
                values.append(count)
    source_of = np.array(rows, int)
    between = csc_array(
        (np.array(values, float) / left[source_of], (source_of, np.array(columns, int))), shape=(size, size)
    )
    factors = splu(csc_array(eye_array(size, format="csc") - between))
    conversion = factors.solve(converted / left)
    begins = np.zeros(size)
    for state, count in chain.begins.items():
        if state in places:
            begins[places[state]] += count
    begins /= sum(chain.begins.values())
    visits = factors.solve(begins, trans="T")
    returns = np.empty(size)
    for first in range(0, size, BLOCK):
        place = np.arange(first, min(first + BLOCK, size))
        columns_of = np.zeros((size, len(place)))
        columns_of[place, place - first] = 1.0
        returns[place] = factors.solve(columns_of)[place, place - first]
    return _Solved(float(begins @ conversion), visits / returns, conversion)
