"""Removal effects are those of a chain that is rebuilt without the state, whatever the chain looks like."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle.errors import LifecycleError
from lifecycle.experiments.attribution import (
    REMOVAL_EFFECTS,
    TRANSITIONS,
    Chain,
    Effect,
    State,
    conversion_rate,
    create_tables,
    removal_effects,
    write_removal_effects,
)
from lifecycle.warehouse import Warehouse, open_duckdb

A, B, C, D = (("display", "c1"), ("email", "c2"), ("paid_search", "(none)"), ("post", "(none)"))


def conversion_chance(chain: Chain, without: State | None = None) -> float:
    """The chance to convert, of a chain rebuilt densely: what goes to ``without`` goes to nothing instead.

    The whole chain is a matrix, ends included, and is run until nobody moves any more: squared 40 times.
    """
    states = [state for state in chain.states if state != without]
    places = {state: place for place, state in enumerate(states)}
    start, converted, nothing = len(states), len(states) + 1, len(states) + 2
    counts = np.zeros((len(states) + 3, len(states) + 3))
    for state, count in chain.begins.items():
        counts[start, places.get(state, nothing)] += count
    for (source, target), count in chain.moves.items():
        if source in places:
            counts[places[source], places.get(target, nothing)] += count
    for ends, place in ((chain.converts, converted), (chain.ends, nothing)):
        for state, count in ends.items():
            if state in places:
                counts[places[state], place] += count
    for place in range(len(counts)):
        if not counts[place].sum():
            counts[place, place] = 1
    chances = counts / counts.sum(axis=1, keepdims=True)
    return float(np.linalg.matrix_power(chances, 2**40)[start, converted])


def rebuilt(chain: Chain) -> dict[State, float]:
    whole = conversion_chance(chain)
    return {state: 1 - conversion_chance(chain, state) / whole if whole else 0.0 for state in chain.states}


def effects(chain: Chain) -> dict[State, float]:
    return {state: effect.removal_effect for state, effect in removal_effects(chain).items()}


def random_chain(seed: int) -> Chain:
    """A chain of up to 40 states with loops, states that nobody comes to, and states that lead nowhere."""
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 41))
    states = [(f"channel {place % 7}", f"campaign {place}") for place in range(count)]
    density = random.uniform(0.02, 0.5)
    chain = Chain()
    for state in states:
        if random.random() < 0.4:
            chain.begins[state] = float(random.integers(1, 100))
        for target in states:
            if random.random() < density:
                chain.moves[state, target] = float(random.integers(1, 50))
        if random.random() < 0.5:
            chain.converts[state] = float(random.integers(0, 30))
        if random.random() < 0.5:
            chain.ends[state] = float(random.integers(0, 60))
    return chain


@pytest.mark.parametrize("seed", range(50))
def test_effects_of_random_chains_are_those_of_a_chain_rebuilt_without_the_state(seed: int) -> None:
    chain = random_chain(seed)
    expected = rebuilt(chain)
    found = effects(chain)
    assert found.keys() == expected.keys()
    for state, effect in found.items():
        assert effect == pytest.approx(expected[state], abs=1e-9), state


def test_random_chains_hold_what_is_difficult() -> None:
    chains = [random_chain(seed) for seed in range(50)]
    found = [removal_effects(chain) for chain in chains]
    assert sum(any(source == target for source, target in chain.moves) for chain in chains) > 20
    assert sum(any(0 < one.removal_effect < 1 for one in each.values()) for each in found) > 20
    # Nobody comes to some states, and from some nobody comes to an order.
    assert sum(any(one.reach_rate == 0 for one in each.values()) for each in found) > 10
    assert sum(any(one.conversion_rate == 0 for one in each.values()) for each in found) > 10


def _graphs() -> st.SearchStrategy[Chain]:
    states = st.sampled_from([A, B, C, D])
    counts = st.integers(0, 5).map(float)
    return st.builds(
        Chain,
        begins=st.dictionaries(states, counts),
        moves=st.dictionaries(st.tuples(states, states), counts),
        converts=st.dictionaries(states, counts),
        ends=st.dictionaries(states, counts),
    )


@settings(max_examples=200, deadline=None, derandomize=True)
@given(_graphs())
def test_every_small_chain_has_an_answer(chain: Chain) -> None:
    expected = rebuilt(chain)
    for state, effect in removal_effects(chain).items():
        assert effect.removal_effect == pytest.approx(expected[state], abs=1e-9)
        assert 0 <= effect.removal_effect <= 1 and 0 <= effect.reach_rate <= 1 and 0 <= effect.conversion_rate <= 1


# --- chains that can be worked out by hand ---------------------------------------------------------------------------


def test_a_chain_by_hand() -> None:
    # Of ten paths six begin with display, four with email. From display half go on to email, a quarter buys; from email
    # half buys. P = 0.6 x (1/4 + 1/2 x 1/2) + 0.4 x 1/2 = 0.5.
    chain = Chain(begins={A: 6, B: 4}, moves={(A, B): 4}, converts={A: 2, B: 4}, ends={A: 2, B: 4})
    found = removal_effects(chain)
    assert conversion_rate(chain, found) == pytest.approx(0.5)
    # Without display email's own four paths are left: 0.2. Without email a quarter of display's six: 0.15.
    assert found[A] == Effect(removal_effect=0.6, reach_rate=0.6, conversion_rate=0.5)
    assert found[B] == Effect(removal_effect=0.7, reach_rate=0.7, conversion_rate=0.5)


def test_where_every_path_has_one_touch_each_state_is_worth_its_own_conversions() -> None:
    chain = Chain(begins={A: 10, B: 10, C: 5}, converts={A: 6, B: 2}, ends={A: 4, B: 8, C: 5})
    assert effects(chain) == {A: 0.75, B: 0.25, C: 0.0}


def test_without_the_only_state_nobody_converts() -> None:
    assert effects(Chain(begins={A: 3}, moves={(A, A): 5}, converts={A: 1}, ends={A: 2})) == {A: 1.0}


def test_loops_drop_out() -> None:
    once = Chain(begins={A: 6, B: 4}, moves={(A, B): 4}, converts={A: 2, B: 4}, ends={A: 2, B: 4})
    again = Chain(begins={A: 6, B: 4}, moves={(A, B): 4, (A, A): 99}, converts={A: 2, B: 4}, ends={A: 2, B: 4})
    assert removal_effects(again) == removal_effects(once)


def test_a_way_there_and_back_counts_once() -> None:
    # Whoever comes to email goes back to display first; both are needed for every order.
    chain = Chain(begins={A: 1}, moves={(A, B): 1, (B, A): 1}, converts={B: 1}, ends={A: 1})
    found = removal_effects(chain)
    assert (found[A].removal_effect, found[B].removal_effect) == (1.0, 1.0)
    assert found[B].reach_rate == 0.5
    assert found[A].conversion_rate == pytest.approx(1 / 3)


def test_where_nobody_converts_nothing_would_be_lost() -> None:
    chain = Chain(begins={A: 6, B: 4}, moves={(A, B): 4}, ends={A: 2, B: 8})
    assert effects(chain) == {A: 0.0, B: 0.0}
    assert conversion_rate(chain, removal_effects(chain)) == 0


def test_no_paths_have_no_effects() -> None:
    assert removal_effects(Chain()) == {}
    assert math.isnan(conversion_rate(Chain(), {}))


def test_a_state_that_nobody_comes_to_is_worth_nothing() -> None:
    chain = Chain(begins={A: 1}, moves={(B, A): 3}, converts={A: 1, B: 1})
    assert removal_effects(chain)[B] == Effect(0.0, 0.0, 0.0)


def test_states_that_lead_nowhere_are_an_end() -> None:
    # From post people go round between post and email for ever.
    chain = Chain(begins={A: 2, C: 2}, moves={(A, C): 1, (C, D): 1, (C, C): 2}, converts={A: 1}, ends={})
    round_and_round = Chain(begins={A: 2}, moves={(A, C): 1, (C, D): 1, (D, C): 1}, converts={A: 1})
    assert effects(chain) == {A: 1.0, C: 0.0, D: 0.0}
    assert effects(round_and_round) == {A: 1.0, C: 0.0, D: 0.0}


def test_a_count_of_zero_is_no_way() -> None:
    chain = Chain(begins={A: 1, B: 0}, moves={(A, B): 0, (B, A): 0}, converts={A: 1, B: 0}, ends={A: 0, B: 0})
    assert effects(chain) == {A: 1.0, B: 0.0}


@pytest.mark.parametrize("count", [-1.0, math.nan, math.inf])
def test_a_count_that_is_none_is_refused(count: float) -> None:
    for chain in (
        Chain(begins={A: count}, converts={A: 1}),
        Chain(begins={A: 1}, moves={(A, B): count}, converts={A: 1}),
        Chain(begins={A: 1}, converts={A: count}),
        Chain(begins={A: 1}, converts={A: 1}, ends={A: count}),
    ):
        with pytest.raises(LifecycleError, match="is no number of transitions"):
            removal_effects(chain)


@pytest.mark.parametrize("limit", [0, 10_000])
def test_small_and_large_chains_are_solved_alike(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = random_chain(7)
    expected = rebuilt(chain)
    monkeypatch.setattr("lifecycle.experiments.attribution.MOST_DENSE", limit)
    monkeypatch.setattr("lifecycle.experiments.attribution.BLOCK", 3)
    assert effects(chain) == pytest.approx(expected, abs=1e-9)


# --- the table -------------------------------------------------------------------------------------------------------


def counted(warehouse: Warehouse, *rows: tuple[object, ...]) -> None:
    warehouse.run("create schema if not exists intermediate")
    warehouse.run(
        f"create or replace table {TRANSITIONS} (from_kind varchar, from_channel varchar, from_campaign_id varchar,"
        " to_kind varchar, to_channel varchar, to_campaign_id varchar, transition_count bigint)"
    )
    for row in rows:
        warehouse.run(f"insert into {TRANSITIONS} values (?, ?, ?, ?, ?, ?, ?)", list(row))


def test_the_table_is_replaced_by_what_the_models_counted(tmp_path: Path) -> None:
    with open_duckdb(tmp_path / "warehouse.duckdb") as warehouse:
        create_tables(warehouse)
        create_tables(warehouse)
        assert warehouse.rows(f"select * from {REMOVAL_EFFECTS}") == []
        counted(
            warehouse,
            ("start", None, None, "touch", *A, 6),
            ("start", None, None, "touch", *B, 4),
            ("touch", *A, "touch", *B, 3),
            ("touch", *A, "touch", *B, 1),
            ("touch", *A, "conversion", None, None, 2),
            ("touch", *A, "null", None, None, 2),
            ("touch", *B, "conversion", None, None, 4),
            ("touch", *B, "null", None, None, 4),
        )
        summary = write_removal_effects(warehouse)
        assert (summary.state_count, summary.conversion_rate) == (2, pytest.approx(0.5))
        assert warehouse.rows(f"select * from {REMOVAL_EFFECTS} order by all") == [
            (*A, 0.6, 0.6, 0.5),
            (*B, 0.7, 0.7, 0.5),
        ]
        shape = warehouse.rows(f"describe {REMOVAL_EFFECTS}")
        counted(warehouse)
        assert write_removal_effects(warehouse).state_count == 0
        assert warehouse.rows(f"select * from {REMOVAL_EFFECTS}") == []
        assert warehouse.rows(f"describe {REMOVAL_EFFECTS}") == shape
        warehouse.run("drop schema attribution cascade")
        create_tables(warehouse)
        assert warehouse.rows(f"describe {REMOVAL_EFFECTS}") == shape


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (("start", None, None, "conversion", None, None, 1), "no path goes from 'start' to 'conversion'"),
        (("conversion", None, None, "touch", *A, 1), "no path goes from 'conversion' to 'touch'"),
        (("touch", *A, None, None, None, 1), "no path goes from 'touch' to 'None'"),
        (("start", None, None, "touch", "display", None, 1), "lacks its channel, campaign or count"),
        (("touch", None, "c1", "null", None, None, 1), "lacks its channel, campaign or count"),
        (("start", None, None, "touch", *A, None), "lacks its channel, campaign or count"),
        (("start", None, None, "touch", *A, -1), "is no number of transitions"),
    ],
)
def test_a_transition_that_there_cannot_be_is_refused(row: tuple[object, ...], problem: str, tmp_path: Path) -> None:
    with open_duckdb(tmp_path / "warehouse.duckdb") as warehouse:
        counted(warehouse, row)
        with pytest.raises(LifecycleError, match=problem) as raised:
            write_removal_effects(warehouse)
        assert TRANSITIONS in str(raised.value)
