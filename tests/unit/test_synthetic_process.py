"""The processes behind the demo company: what was put in comes out again, whatever else is drawn."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import gammaln

from lifecycle.synthetic.calendar import Calendar, Clocks
from lifecycle.synthetic.contacts import phone_texts
from lifecycle.synthetic.mistakes import mistype
from lifecycle.synthetic.parameters import PROFILES, Arguments
from lifecycle.synthetic.people import draw_people
from lifecycle.synthetic.purchases import (
    PurchaseModel,
    Purchases,
    draw_order_cents,
    draw_purchases,
    draw_spend_rates,
)
from lifecycle.synthetic.randomness import is_picked, spread, stream
from lifecycle.synthetic.vocabulary import ZONES

END = date(2025, 12, 31)
MODEL = PROFILES["retail"].purchase


def calendar(days: int = 540, *, has_seasons: bool = False) -> Calendar:
    return Calendar(END, days, has_seasons)


# --- purchases -------------------------------------------------------------------------------------------------------


def drawn(count: int, model: PurchaseModel, window: Calendar, seed: int = 1) -> tuple[NDArray[np.int64], Purchases]:
    random = stream(seed, "test")
    first = random.integers(0, window.day_count, count)
    return first, draw_purchases(random, first, model, window)


def summarized(first: NDArray[np.int64], purchases: Purchases, window: Calendar) -> tuple[NDArray[np.int64], ...]:
    """Repeat order days, days from the first to the last, days from the first to the end, for each person."""
    repeats = np.bincount(purchases.buyer, minlength=len(first))
    last = first.copy()
    np.maximum.at(last, purchases.buyer, purchases.day)
    return repeats, last - first, window.day_count - 1 - first


def fitted(repeats: NDArray[np.int64], recency: NDArray[np.int64], age: NDArray[np.int64]) -> dict[str, float]:
    """Maximum likelihood of the BG/NBD (Fader, Hardie and Lee 2005, equation 6), equal rows counted once."""
    (x, t_x, t), weights = (
        table.T if table.ndim == 2 else table
        for table in np.unique(np.stack([repeats, recency, age], axis=1), axis=0, return_counts=True)
    )

    def loss(logs: NDArray[np.float64]) -> float:
        r, alpha, a, b = np.exp(logs)
        common = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
        common += gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x)
        stays = -(r + x) * np.log(alpha + t)
        with np.errstate(divide="ignore"):
            leaves = np.log(a) - np.log(b + np.maximum(x, 1) - 1) - (r + x) * np.log(alpha + t_x)
        leaves = np.where(x > 0, leaves, -np.inf)
        return -float((weights * (common + np.logaddexp(stays, leaves))).sum() / weights.sum())

    found = minimize(loss, np.log([1.0, 30.0, 1.0, 1.0]), method="L-BFGS-B")
    return dict(zip(("r", "alpha", "a", "b"), np.exp(found.x).tolist(), strict=True))


def test_the_parameters_of_the_purchase_process_come_back_from_100000_customers() -> None:
    window = calendar()
    found = fitted(*summarized(*drawn(100_000, MODEL, window), window))
    assert found["r"] == pytest.approx(MODEL.r, rel=0.03)
    assert found["alpha"] == pytest.approx(MODEL.alpha, rel=0.03)
    assert found["a"] == pytest.approx(MODEL.a, rel=0.10)
    assert found["b"] == pytest.approx(MODEL.b, rel=0.10)


def test_the_fit_agrees_with_the_lifetimes_package() -> None:
    from lifetimes import BetaGeoFitter

    window = calendar()
    repeats, recency, age = summarized(*drawn(4_000, MODEL, window, seed=2), window)
    ours = fitted(repeats, recency, age)
    theirs = BetaGeoFitter().fit(repeats, recency, age).params_
    for name, value in ours.items():
        assert value == pytest.approx(theirs[name], rel=0.02), name


@pytest.mark.parametrize("profile", PROFILES)
def test_no_two_orders_of_a_person_share_a_day_and_none_lies_outside_the_window(profile: str) -> None:
    window = calendar(200, has_seasons=True)
    # People who buy nearly every day.
    model = PurchaseModel(PROFILES[profile].purchase.r, 1.5, 0.1, 5.0)
    first, purchases = drawn(3_000, model, window)
    assert np.unique(purchases.buyer * 1000 + purchases.day).size == purchases.day.size > 10_000
    assert (purchases.day > first[purchases.buyer]).all()
    assert purchases.day.max() <= window.day_count - 1


def test_nobody_buys_after_having_left() -> None:
    _, purchases = drawn(20_000, MODEL, calendar())
    left = purchases.left_day[purchases.buyer]
    assert (left >= 0).mean() > 0.3
    assert (purchases.day[left >= 0] <= left[left >= 0]).all()


def test_seasons_move_orders_and_add_hardly_any() -> None:
    plain, busy = calendar(730), calendar(730, has_seasons=True)
    _, without = drawn(30_000, MODEL, plain)
    _, with_seasons = drawn(30_000, MODEL, busy)
    assert with_seasons.day.size == pytest.approx(without.day.size, rel=0.06)

    def december_share(purchases: Purchases) -> float:
        days = (np.datetime64(busy.start) + purchases.day).astype("datetime64[M]").astype(int) % 12
        return float((days == 11).mean())

    assert december_share(with_seasons) > 1.15 * december_share(without)


def test_what_people_spend_has_the_mean_of_the_gamma_gamma_model() -> None:
    model, random = PROFILES["retail"].spend, stream(1, "spend test")
    rates = draw_spend_rates(random, 200_000, model)
    cents = draw_order_cents(random, rates, model)
    assert cents.mean() / 100 == pytest.approx(model.p * model.gamma / (model.q - 1), rel=0.01)
    # The latent mean explains most of what differs between people.
    assert np.corrcoef(cents, 1 / rates)[0, 1] > 0.7


# --- blocks, streams and numbers -------------------------------------------------------------------------------------


def test_a_block_of_people_is_the_same_in_a_larger_company_and_whatever_was_drawn_before() -> None:
    window = calendar(365, has_seasons=True)

    def block(customers: int, number: int) -> dict[str, Any]:
        people = draw_people(Arguments(customers, 365, 5, "retail", Path()), window, number)
        return {"first": people.first, "birth": people.birth, "arrived": people.arrived, "city": people.address.city}

    small = block(40_000, 1)
    block(60_000, 0)
    large = block(60_000, 1)
    assert all((small[name] == large[name]).all() for name in small)
    assert not (small["first"] == block(60_000, 2)["first"]).all()


def test_streams_differ_by_seed_purpose_and_block() -> None:
    draws = {
        tuple(stream(seed, purpose, block).integers(0, 2**32, 4).tolist())
        for seed in (1, 2)
        for purpose in ("one", "two")
        for block in (0, 1)
    }
    assert len(draws) == 8


@pytest.mark.parametrize("count", [50, 3_000, 100_000])
@pytest.mark.parametrize("salt", [1, 10, 16, 31])
def test_spread_numbers_are_unique_and_fit_their_power_of_ten(count: int, salt: int) -> None:
    numbers = spread(np.arange(count), count, salt)
    assert np.unique(numbers).size == count
    assert numbers.min() >= 0 and numbers.max() < 20 * count


@pytest.mark.parametrize(("count", "picked"), [(1000, 30), (7, 7), (5, 9), (20_000, 300)])
def test_exactly_as_many_are_picked_as_wanted_however_people_are_divided(count: int, picked: int) -> None:
    index = np.arange(count)
    whole = is_picked(index, count, picked)
    parts = np.concatenate([is_picked(part, count, picked) for part in np.array_split(index, 3)])
    assert whole.sum() == min(picked, count)
    assert (whole == parts).all()


# --- clocks ----------------------------------------------------------------------------------------------------------


def test_people_are_up_by_their_own_clock() -> None:
    window = calendar(365)
    clocks = Clocks(window, ZONES)
    random = stream(1, "clock test")
    count = 20_000
    zone = random.integers(0, len(ZONES), count)
    moment = clocks.daytime(random, random.integers(5, 360, count), zone)
    hour = clocks.to_local(moment, zone) // 3600 % 24
    assert ((hour >= 7) & (hour <= 22)).mean() > 0.93
    assert clocks.daytime(random, np.full(100, 7), np.zeros(100, int), opens=9, closes=21).size == 100


@pytest.mark.parametrize(
    ("zone", "utc", "local"),
    [
        ("America/New_York", "2025-03-09T06:59:59", "2025-03-09T01:59:59"),
        ("America/New_York", "2025-03-09T07:00:00", "2025-03-09T03:00:00"),
        ("America/New_York", "2025-11-02T06:30:00", "2025-11-02T01:30:00"),
        ("America/Phoenix", "2025-07-01T00:00:00", "2025-06-30T17:00:00"),
        ("America/Los_Angeles", "2025-12-31T23:00:00", "2025-12-31T15:00:00"),
    ],
)
def test_local_clocks_follow_the_zone_to_the_hour_of_the_change(zone: str, utc: str, local: str) -> None:
    clocks = Clocks(calendar(365), ZONES)
    seconds = np.array([np.datetime64(utc).astype("datetime64[s]").astype(np.int64)])
    shown = clocks.to_local(seconds, ZONES.index(zone))[0]
    assert str(np.datetime64(int(shown), "s")) == local


# --- mistakes --------------------------------------------------------------------------------------------------------


def distance(one: str, other: str) -> int:
    """Levenshtein with swaps of neighbours as one (optimal string alignment)."""
    table = [
        [row + column if 0 in (row, column) else 0 for column in range(len(other) + 1)] for row in range(len(one) + 1)
    ]
    for row in range(1, len(one) + 1):
        for column in range(1, len(other) + 1):
            differs = one[row - 1] != other[column - 1]
            best = min(table[row - 1][column] + 1, table[row][column - 1] + 1, table[row - 1][column - 1] + differs)
            if row > 1 and column > 1 and (one[row - 1], one[row - 2]) == (other[column - 2], other[column - 1]):
                best = min(best, table[row - 2][column - 2] + 1)
            table[row][column] = best
    return table[-1][-1]


def test_a_typing_error_is_one_error_and_keeps_the_first_letter() -> None:
    texts = np.array(["Katherine", "Bo", "Müller", "O'Brien", "12 Oak Street", "Ann"] * 60)
    wrong = mistype(stream(1, "typing"), texts)
    distances = [distance(one, other) for one, other in zip(texts.tolist(), wrong.tolist(), strict=True)]
    assert set(distances) <= {0, 1}
    assert np.mean(distances) > 0.6
    assert all(one == other for one, other in zip(texts.tolist(), wrong.tolist(), strict=True) if one == "Bo")
    lengths = {len(other) - len(one) for one, other in zip(texts.tolist(), wrong.tolist(), strict=True)}
    assert lengths == {-1, 0, 1}


def test_writings_of_a_phone_hold_its_ten_digits() -> None:
    numbers = np.full(400, 2125550143)
    written = phone_texts(stream(1, "phones"), numbers).tolist()
    assert len(set(written)) == 6
    assert {"".join(filter(str.isdigit, text))[-10:] for text in written} == {"2125550143"}
    wrong = phone_texts(stream(1, "phones"), numbers, wrong=1.0).tolist()
    digits = {"".join(filter(str.isdigit, text))[-10:] for text in wrong}
    assert len(digits) > 5 and all(sorted(one) == sorted("2125550143") for one in digits)
