"""How long people take to come back, against scipy's own curve, and numbers that a person would write."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy import stats

from lifecycle.calibration.statistics import (
    Waiting,
    estimate_returns,
    nearest,
    round_days,
    share_from,
    written_amounts,
)


def waiting(returned: list[int], still: list[int]) -> list[Waiting]:
    back, not_back = Counter(returned), Counter(still)
    return [Waiting(days, back[days], not_back[days]) for days in {*back, *not_back}]


def censored(seed: int, people: int, mean: float, never: float, history: float) -> tuple[list[int], list[int]]:
    """First gaps of people who arrive evenly over the history; some never come back, some not yet."""
    rng = np.random.default_rng(seed)
    gaps = np.where(rng.random(people) < never, np.inf, rng.gamma(2.0, mean / 2, people))
    watched = rng.uniform(1, history, people)
    returned = [max(1, round(gap)) for gap, time in zip(gaps, watched, strict=True) if gap <= time]
    still = [max(1, round(time)) for gap, time in zip(gaps, watched, strict=True) if gap > time]
    return returned, still


@pytest.mark.parametrize("seed", range(8))
def test_the_curve_is_that_of_scipy(seed: int) -> None:
    returned, still = censored(seed, people=400, mean=40, never=0.3, history=300)
    found = estimate_returns(waiting(returned, still))
    assert found is not None
    curve = stats.ecdf(stats.CensoredData(uncensored=returned, right=still)).cdf
    assert found.return_share == pytest.approx(float(curve.evaluate(found.seen_days)))
    for share, days in zip((0.25, 0.5, 0.75), found.quantiles, strict=True):
        wanted = share * found.return_share
        assert curve.evaluate(days) >= wanted - 1e-9 > curve.evaluate(days - 1) - 2e-9
    assert (found.people_count, found.returned_count) == (400, len(returned))


def test_everybody_back_is_the_plain_median() -> None:
    gaps = [int(gap) for gap in np.random.default_rng(3).integers(1, 90, 301)]
    found = estimate_returns(waiting(gaps, []))
    assert found is not None
    assert found.return_share == pytest.approx(1)
    assert found.median_days == sorted(gaps)[150]
    assert found.seen_days == max(gaps)


@pytest.mark.parametrize("mean", [7, 30, 90])
def test_those_who_had_no_time_to_come_back_do_not_make_the_gap_shorter(mean: int) -> None:
    truth = float(stats.gamma(2.0, scale=mean / 2).median())
    returned, still = censored(11, people=20_000, mean=mean, never=0.4, history=4 * mean)
    found = estimate_returns(waiting(returned, still))
    assert found is not None
    assert found.median_days == pytest.approx(truth, rel=0.1, abs=1)
    assert found.interval[0] <= found.median_days <= found.interval[1]
    assert found.return_share == pytest.approx(0.6, abs=0.03)
    assert np.median(returned) < 0.9 * truth


def test_a_history_that_ends_too_early_is_told() -> None:
    returned, still = censored(5, people=5_000, mean=200, never=0.2, history=150)
    found = estimate_returns(waiting(returned, still))
    assert found is not None and found.is_cut_short
    returned, still = censored(5, people=5_000, mean=20, never=0.2, history=600)
    found = estimate_returns(waiting(returned, still))
    assert found is not None and not found.is_cut_short


def test_one_late_person_does_not_move_the_curve() -> None:
    returned, still = censored(7, people=1_000, mean=20, never=0.5, history=400)
    found = estimate_returns(waiting(returned, still))
    later = estimate_returns(waiting([*returned, 399], still))
    assert found is not None and later is not None
    assert later.quantiles == found.quantiles
    assert later.return_share == pytest.approx(found.return_share, abs=0.01)


@pytest.mark.parametrize("entries", [[], [Waiting(10, 0, 50)]], ids=["nobody", "nobody back"])
def test_without_a_return_there_is_no_gap(entries: list[Waiting]) -> None:
    assert estimate_returns(entries) is None


@pytest.mark.parametrize(
    ("days", "written"), [(0.2, 1), (6.4, 6), (59, 59), (99.6, 100), (132, 130), (133, 135), (366, 365), (363, 365)]
)
def test_days_are_rounded_as_a_person_would(days: float, written: int) -> None:
    assert round_days(days) == written


def test_rounding_rounded_days_changes_nothing() -> None:
    assert all(round_days(round_days(days)) == round_days(days) for days in range(1, 800))


def test_amounts_are_ones_that_a_person_would_write() -> None:
    amounts = written_amounts(311, 519)
    assert {300.0, 400.0, 500.0} <= set(amounts)
    assert amounts == sorted(set(amounts))
    assert all(float(f"{amount:.2g}") == amount for amount in amounts)
    assert written_amounts(0.02, 0.09)[0] < 0.02
    assert written_amounts(0, 0) == []
    assert written_amounts(-5, 12)[-1] >= 12


def test_the_share_of_people_at_or_above_a_value() -> None:
    counts = [(1.0, 5), (2.0, 3), (7.0, 2)]
    assert [share_from(counts, value) for value in (1, 2, 3, 8)] == [1.0, 0.5, 0.2, 0.0]
    assert share_from([], 1) == 0
    assert nearest([2.0, 3.0, 7.0], 0.25, lambda value: share_from(counts, value)) == 3.0
