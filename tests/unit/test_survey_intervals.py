"""The intervals of the survey marts, against computations that share no line with them.

Belongs here: the formulas of ``macros/survey_intervals.sql`` and the arithmetic of ``satisfaction_trend_monthly`` on
samples of many sizes. Does not belong here: which answers count (the stories beside the models).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np
import pytest
from scipy import stats

from lifecycle.warehouse import Warehouse, open_duckdb
from tests.lint.rendering import PROJECT_DIR, Project

TREND = PROJECT_DIR / "models" / "marts" / "metrics" / "satisfaction_trend_monthly.sql"
Z = float(stats.norm.ppf(0.975))


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with open_duckdb(tmp_path_factory.mktemp("intervals") / "surveys.duckdb") as opened:
        yield opened


def bounds(warehouse: Warehouse, macro: str, *counts: int | None) -> tuple[float | None, float | None]:
    arguments = ", ".join(f"'cast({'null' if count is None else count} as bigint)'" for count in counts)
    low, high = (Project().render(f"{{{{ {macro}({arguments}, '{sign}') }}}}") for sign in "-+")
    found: tuple[float | None, float | None] = warehouse.rows(f"select {low}, {high}")[0]
    return found


def adjusted_wald(promoters: int, detractors: int, answers: int) -> tuple[float, float]:
    """Rocks (2016): the mean of +1, 0 and -1 in a sample to which three answers were added."""
    values = np.array([1.0, -1.0, 0.0])
    weights = np.array([promoters + 0.75, detractors + 0.75, answers - promoters - detractors + 1.5])
    mean = np.average(values, weights=weights)
    error = math.sqrt(np.average((values - mean) ** 2, weights=weights) / weights.sum())
    return max(-100.0, 100 * (mean - Z * error)), min(100.0, 100 * (mean + Z * error))


@pytest.mark.parametrize(
    ("promoters", "detractors", "answers"),
    [(1, 0, 1), (0, 1, 1), (0, 0, 1), (2, 0, 2), (1, 1, 2), (3, 1, 5), (6, 1, 10), (0, 10, 10), (45, 24, 100),
     (4500, 2400, 10_000), (1_000_000, 0, 1_000_000), (0, 0, 37)],
)  # fmt: skip
def test_the_interval_of_nps_is_the_adjusted_wald(
    warehouse: Warehouse, promoters: int, detractors: int, answers: int
) -> None:
    found = bounds(warehouse, "nps_bound", promoters, detractors, answers)
    assert found == pytest.approx(adjusted_wald(promoters, detractors, answers), abs=1e-6)


@pytest.mark.parametrize(
    ("satisfied", "answers"), [(0, 1), (1, 1), (2, 3), (8, 10), (0, 10), (10, 10), (77, 100), (7710, 10_000)]
)
def test_the_interval_of_csat_is_wilsons(warehouse: Warehouse, satisfied: int, answers: int) -> None:
    expected = stats.binomtest(satisfied, answers).proportion_ci(method="wilson")
    assert bounds(warehouse, "wilson_bound", satisfied, answers) == pytest.approx(tuple(expected), abs=1e-6)


def test_without_answers_or_without_counts_of_its_kind_there_is_no_interval(warehouse: Warehouse) -> None:
    assert bounds(warehouse, "nps_bound", 0, 0, 0) == (None, None)
    assert bounds(warehouse, "nps_bound", None, None, 5) == (None, None)
    assert bounds(warehouse, "wilson_bound", 0, 0) == (None, None)
    assert bounds(warehouse, "wilson_bound", None, 5) == (None, None)


@pytest.mark.parametrize(
    ("degrees", "tolerance"), [(1, 0.25), (2, 0.02), (3, 0.005), (5, 0.001), (10, 1e-5), (30, 1e-7), (2.5, 0.01)]
)
def test_students_quantile_is_near_enough(warehouse: Warehouse, degrees: float, tolerance: float) -> None:
    found = warehouse.scalar("select " + Project().render(f"{{{{ student_975('cast({degrees} as double)') }}}}"))
    assert found == pytest.approx(float(stats.t.ppf(0.975, degrees)), rel=tolerance)


def coverage(promoters: float, detractors: float, answers: int, added: float) -> float:
    """How often the interval of a sample holds the true score, over every sample that there can be."""
    share = 0.0
    for p in range(answers + 1):
        for d in range(answers + 1 - p):
            n = answers + 4 * added
            score = (p - d) / n
            error = math.sqrt(max((p + d + 2 * added) / n - score**2, 0) / n)
            if abs(score - (promoters - detractors)) <= Z * error + 1e-12:
                share += float(
                    stats.multinomial.pmf(
                        [p, d, answers - p - d], answers, [promoters, detractors, 1 - promoters - detractors]
                    )
                )
    return share


@pytest.mark.parametrize(("promoters", "detractors"), [(0.45, 0.24), (0.7, 0.05), (0.2, 0.2), (0.85, 0.02), (0.1, 0.6)])
def test_the_adjusted_interval_holds_what_it_promises_of_ten_answers_and_the_plain_one_does_not(
    promoters: float, detractors: float
) -> None:
    assert coverage(promoters, detractors, 10, 0.75) > 0.935
    assert coverage(promoters, detractors, 10, 0) < 0.915


# --- the trend -------------------------------------------------------------------------------------------------------

END = datetime(2024, 7, 1)


def expected_change(kind: str, now: list[float], before: list[float]) -> tuple[float, float]:
    """Mean and variance of each side, written out sample by sample."""
    added = {"nps": [(100.0, 0.75), (-100.0, 0.75), (0.0, 1.5)], "csat": [(1.0, 1.0), (0.0, 1.0)], "ces": []}[kind]
    means, variances, freedoms = [], [], []
    for side in (now, before):
        values = np.array([*side, *(value for value, _ in added)])
        weights = np.array([*[1.0] * len(side), *(weight for _, weight in added)])
        mean = np.average(values, weights=weights)
        freedom = weights.sum() - (kind == "ces")
        means.append(mean)
        variances.append(np.sum(weights * (values - mean) ** 2) / freedom / weights.sum())
        freedoms.append(freedom)
    error = math.sqrt(sum(variances))
    quantile = Z
    if kind == "ces":
        welch = sum(variances) ** 2 / sum(v**2 / f for v, f in zip(variances, freedoms, strict=True))
        quantile = float(stats.t.ppf(0.975, welch))
        test = stats.ttest_ind(now, before, equal_var=False).confidence_interval(0.95)
        assert (test.low, test.high) == pytest.approx(
            (means[0] - means[1] - quantile * error, means[0] - means[1] + quantile * error)
        )
    widest = {"nps": 200, "csat": 1, "ces": 6}[kind]
    return max(-widest, means[0] - means[1] - quantile * error), min(widest, means[0] - means[1] + quantile * error)


@pytest.mark.parametrize("size", [(2, 3), (5, 4), (10, 30), (100, 80), (1000, 1000)])
@pytest.mark.parametrize("kind", ["nps", "csat", "ces"])
def test_the_change_of_a_score_is_that_of_its_samples(warehouse: Warehouse, kind: str, size: tuple[int, int]) -> None:
    random = np.random.default_rng(size[0])
    values = {"nps": [100.0, 0.0, -100.0], "csat": [1.0, 0.0], "ces": [1.0, 2.0, 3.5, 5.0, 6.0, 7.0]}[kind]
    now = [values[0], *random.choice(values, size[0] - 1).tolist()]
    before = [values[-1], *random.choice(values, size[1] - 2).tolist(), values[0]]
    rows = [(f"n{place}", value, END - timedelta(hours=1 + place)) for place, value in enumerate(now)]
    rows += [(f"b{place}", value, END - timedelta(days=90, hours=1 + place)) for place, value in enumerate(before)]
    warehouse.run("create or replace macro engine_add_days(moment, days) as moment + to_days(cast(days as integer))")
    warehouse.run(
        "create or replace table int_months as select date '2024-06-01' as month, true as is_complete,"
        " timestamp '2024-07-01' as month_ends_at"
    )
    warehouse.run(
        "create or replace table int_survey_answers (event_id varchar, respondent_key varchar, survey_kind varchar,"
        " survey_basis varchar, is_scored boolean, score_points double, responded_at timestamp)"
    )
    for name, value, moment in rows:
        warehouse.run(
            "insert into int_survey_answers values (?, ?, ?, 'relational', true, ?, ?)",
            [name, name, kind, value, moment],
        )
    found = warehouse.dicts(Project().render(TREND.read_text(encoding="utf-8")))
    assert len(found) == 1
    row = found[0]
    assert (row["answer_count"], row["previous_answer_count"]) == size
    assert row["score"] == pytest.approx(np.mean(now))
    assert row["score_change"] == pytest.approx(np.mean(now) - np.mean(before))
    low, high = expected_change(kind, now, before)
    tolerance = 0.2 if kind == "ces" and min(size) < 4 else 2e-3
    assert (row["change_low"], row["change_high"]) == pytest.approx((low, high), abs=tolerance)
    assert row["is_significant"] is (row["change_low"] > 0 or row["change_high"] < 0)
