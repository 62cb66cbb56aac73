"""Thresholds proposed for companies whose rhythm is known, and every figure beside a second reckoning of it."""

from __future__ import annotations

import json
import random
import sys
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import yaml

from lifecycle import cli
from lifecycle.calibration.evidence import DEFAULT, Evidence, open_evidence
from lifecycle.calibration.proposals import Calibration, Proposal, calibrate, with_changes
from lifecycle.calibration.rendering import as_json, yaml_lines
from lifecycle.errors import LifecycleError
from lifecycle.settings import LifecycleThresholds, Settings
from lifecycle.state import run_lock
from tests.integration.simulated_company import END, Group, around, gamma, publish, simulate, thresholds, true_median


def proposal(calibration: Calibration, name: str) -> Proposal:
    return next(one for one in calibration.proposals if one.name == name)


def company(folder: Path, *groups: Group, days: int, seed: int = 1, **lifecycle: Any) -> Settings:
    people, orders = simulate(groups, days=days, seed=seed)
    return publish(folder, people, orders, lifecycle=thresholds(**lifecycle))


# --- companies whose answer is known ---------------------------------------------------------------------------------

RHYTHMS = {
    "a grocer whose customers come weekly": (gamma(7), 0.1, 365),
    "a shop whose customers come monthly": (gamma(30, 1.0), 0.4, 300),
    "a shop of quarterly needs, one year old": (gamma(90), 0.3, 365),
    "a seller of yearly things": (around(365, 15), 0.5, 1100),
}


@pytest.mark.parametrize("kind", RHYTHMS)
def test_the_usual_gap_of_a_company_is_found(kind: str, tmp_path: Path) -> None:
    gaps, once, days = RHYTHMS[kind]
    truth = true_median(gaps)
    today = 30 if truth > 100 else 1_000
    settings = company(tmp_path, Group(2_000, gaps, once), days=days, default_order_gap_days=today)
    found = proposal(calibrate(settings), "default_order_gap_days")
    assert found.proposed == pytest.approx(truth, rel=0.15, abs=1)
    # What is usually taken is too short, the more so the younger the company and the longer the gaps.
    others = found.figures["other_medians"]
    assert abs(found.proposed - truth) <= abs(others["first_gaps_seen"] - truth) + 1
    if kind == "a shop of quarterly needs, one year old":
        assert others["first_gaps_seen"] < 0.9 * truth


def test_frequent_buyers_do_not_decide_for_all(tmp_path: Path) -> None:
    groups = [Group(300, gamma(5), 0.0), Group(1_500, gamma(60), 0.0)]
    settings = company(tmp_path, *groups, days=900, default_order_gap_days=1_000)
    found = proposal(calibrate(settings), "default_order_gap_days")
    assert found.figures["other_medians"]["all_gaps"] < 15
    assert found.proposed is not None and found.proposed > 35


def test_two_kinds_of_customers_are_told_apart_where_a_persona_names_them(tmp_path: Path) -> None:
    groups = [Group(900, gamma(7), 0.1, persona="home"), Group(900, gamma(120), 0.1, persona="office")]
    settings = company(tmp_path, *groups, days=900)
    calibration = calibrate(settings)
    default = proposal(calibration, "default_order_gap_days")
    assert any("far apart" in text for _, text in default.rests_on)
    home, office = (
        proposal(calibration, f"personas.{name}.default_order_gap_days").proposed for name in ("home", "office")
    )
    assert office == pytest.approx(true_median(gamma(120)), rel=0.15)
    # Seven days or thirty: the clocks' lower limits decide for both.
    assert home is None or home == pytest.approx(true_median(gamma(7)), abs=1)
    assert "personas:\n    office:\n" in yaml_lines(calibration) or home is not None


def test_the_category_that_somebody_began_with_can_have_a_gap_of_its_own(tmp_path: Path) -> None:
    groups = [
        Group(800, gamma(30), category="Food > Coffee"),
        Group(800, gamma(30), category="Food > Tea"),
        Group(800, gamma(150), category="Home > Grinders"),
        Group(40, gamma(300), category="Gifts"),
    ]
    calibration = calibrate(company(tmp_path, *groups, days=900))
    home = proposal(calibration, "first_category_gaps.Home")
    assert home.proposed == pytest.approx(true_median(gamma(150)), rel=0.15)
    assert not any(one.place[-1] == "Gifts" for one in calibration.proposals)
    assert any(one.place[-1] == "Food" for one in calibration.proposals)


def test_a_history_too_short_to_see_the_gap_is_told(tmp_path: Path) -> None:
    calibration = calibrate(company(tmp_path, Group(4_000, gamma(300), 0.0), days=250))
    found = proposal(calibration, "default_order_gap_days")
    assert found.figures["is_cut_short"]
    assert any(
        "too short" in text or "still to come" in text for text in (found.because, *dict(found.rests_on).values())
    )


def test_who_pays_by_subscription_does_not_choose_when_to_come_back(tmp_path: Path) -> None:
    groups = [Group(500, around(30, 0.1), 0.0, is_subscribed=True), Group(700, gamma(80), 0.2)]
    calibration = calibrate(company(tmp_path, *groups, days=800))
    assert calibration.subscriber_count == 500
    found = proposal(calibration, "default_order_gap_days")
    assert found.proposed == pytest.approx(true_median(gamma(80)), rel=0.15)
    assert found.figures["people_count"] == 700


def test_a_company_of_subscriptions_alone_keeps_its_gap(tmp_path: Path) -> None:
    settings = company(tmp_path, Group(400, around(30, 0.1), 0.0, is_subscribed=True), days=400)
    calibration = calibrate(settings)
    found = proposal(calibration, "default_order_gap_days")
    assert found.proposed is None and "400 who pay by subscription left out" in found.because
    assert calibration.advice is not None and "are needed" in calibration.advice


def test_where_nobody_comes_back_there_is_no_usual_gap(tmp_path: Path) -> None:
    found = proposal(calibrate(company(tmp_path, Group(300, gamma(30), 1.0), days=400)), "default_order_gap_days")
    assert found.proposed is None and "300 people have bought and 0 of them bought again" in found.because


def test_an_alarm_that_mostly_ends_by_itself_is_told(tmp_path: Path) -> None:
    # Bursts and long pauses, and nearly nobody leaves.
    def pauses(rng: Any, count: int) -> Any:
        return rng.choice([3.0, 5.0, 50.0, 75.0], count)

    calibration = calibrate(company(tmp_path, Group(600, pauses, 0.0), days=800, due_min_days=30, lapse_min_days=120))
    assert calibration.today_alarm.back_share > 0.8
    assert calibration.advice is not None and "mostly noise" in calibration.advice


def test_people_of_one_account_are_one_customer(tmp_path: Path) -> None:
    people, orders = simulate([Group(400, gamma(40), 0.0)], days=600)
    for number, person in enumerate(people):
        person["account_key"] = f"a{number // 2}"
    settings = publish(tmp_path, people, orders)
    assert calibrate(settings).buyer_count == 200
    alone = settings.model_copy(update={"lifecycle": thresholds(per="customer")})
    assert calibrate(alone).buyer_count == 400


def test_paid_periods_count_as_purchases_for_loyalty(tmp_path: Path) -> None:
    people, _ = simulate([Group(150, gamma(40), 0.0, is_subscribed=True)], days=600)
    events = [
        {
            "customer_id": person["customer_id"],
            "event_id": f"subscription:billing:{person['customer_id']}-{month}",
            "occurred_at": END - timedelta(days=30.0 * month + 5),
            "event_name": "subscription_renewed" if month < 11 else "subscription_started",
            "amount": 9.0 if month else 0.0,
        }
        for person in people
        for month in range(12)
    ]
    with open_evidence(publish(tmp_path, people, [], events)) as evidence:
        evidence.set_clocks({DEFAULT: LifecycleThresholds().flat()}, {})
        # The last of the twelve cost nothing.
        assert evidence.kept_counts(180) == [(11.0, 150)]


def test_no_level_of_categories_fits_and_that_is_said(tmp_path: Path) -> None:
    groups = [Group(400, gamma(20), 0.0, category="Food")]
    settings = company(tmp_path, *groups, days=900)
    found = proposal(calibrate(settings), "expansion.min_spend_share")
    assert found.proposed is None and "no level and share make it" in found.because


# --- taking over -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    groups = [
        Group(700, gamma(25), 0.3, persona="home", category="Food > Coffee"),
        Group(400, gamma(90), 0.2, persona="office", category="Food > Tea", amount=400),
        Group(300, gamma(160), 0.4, category="Home > Grinders", amount=150),
        Group(60, around(30, 0.2), 0.0, category="Food > Coffee", is_subscribed=True),
    ]
    return company(tmp_path_factory.mktemp("mixed"), *groups, days=900, seed=4, default_order_gap_days=200)


@pytest.mark.parametrize("gap", [3, 30, 200])
@pytest.mark.parametrize("orders", [2, 6, 60])
def test_once_taken_over_nothing_is_proposed_any_more(mixed: Settings, gap: float, orders: int) -> None:
    lifecycle = thresholds(default_order_gap_days=gap, loyalty={"min_orders": orders}, high_value_amount=7)
    settings = mixed.model_copy(update={"lifecycle": lifecycle})
    calibration = calibrate(settings)
    assert calibration.changes
    after = with_changes(lifecycle, calibration.changes)
    assert calibrate(settings.model_copy(update={"lifecycle": after})).changes == ()


def test_the_lines_to_paste_say_what_was_proposed(mixed: Settings) -> None:
    calibration = calibrate(mixed)
    lines = yaml_lines(calibration)
    pasted = yaml.safe_load(lines)["lifecycle"]
    taken = with_changes(LifecycleThresholds(), calibration.changes)
    given = LifecycleThresholds.model_validate(pasted).model_dump()
    assert given == taken.model_dump()
    assert all(len(line) <= 100 for line in lines.splitlines())
    assert lines.count("As of 2024-03-31") == len(calibration.changes)


def test_names_from_data_are_quoted_in_the_lines(tmp_path: Path) -> None:
    groups = [Group(500, gamma(20), category="No: 1\n# x"), Group(500, gamma(200), category="null")]
    calibration = calibrate(company(tmp_path, *groups, days=900, default_order_gap_days=25))
    assert any(one.place == ("first_category_gaps", "null") for one in calibration.changes)
    gaps = yaml.safe_load(yaml_lines(calibration))["lifecycle"]["first_category_gaps"]
    assert set(gaps) <= {"null", "No: 1\n# x"}


def test_json_says_the_same(mixed: Settings) -> None:
    calibration = calibrate(mixed)
    content = json.loads(json.dumps(as_json(calibration)))
    assert [one["setting"] for one in content["proposals"]] == [one.name for one in calibration.proposals]
    assert content["yaml"] == yaml_lines(calibration)
    assert sum(alarm["is_today"] for alarm in content["alarms"]) == 1


# --- a second reckoning ----------------------------------------------------------------------------------------------


class Second:
    """The same figures in plain Python, one customer after another."""

    def __init__(self, orders: dict[str, list[tuple[datetime, bool]]], lifecycle: LifecycleThresholds) -> None:
        self.lifecycle = lifecycle
        self.days: dict[str, list[tuple[datetime, bool]]] = {}
        for customer, found in orders.items():
            by_day: dict[Any, tuple[datetime, bool]] = {}
            for at, is_kept in sorted(found):
                first, kept = by_day.get(at.date(), (at, False))
                by_day[at.date()] = (first, kept or is_kept)
            self.days[customer] = list(by_day.values())

    def clocks(
        self, customer: str, factor: float | None = None
    ) -> Iterator[tuple[datetime, datetime | None, float, float]]:
        """Moment, next moment, due and lapse days of every paid day."""
        given = self.lifecycle
        moments = [at for at, _ in self.days[customer]]
        gaps = [(later - earlier) / timedelta(days=1) for earlier, later in pairwise(moments)]
        for number, at in enumerate(moments):
            last = gaps[max(0, number - 10) : number]
            own = len(last) * median(last) if last else 0.0
            expected = (given.gap_prior_weight * given.default_order_gap_days + own) / (
                given.gap_prior_weight + len(last)
            )
            due = min(max(given.due_factor * expected, given.due_min_days), given.due_max_days)
            lapse = min(max(given.lapse_factor * due, given.lapse_min_days), given.lapse_max_days)
            if factor is not None:
                due = min(max(factor * expected, given.due_min_days), given.due_max_days)
            yield at, moments[number + 1] if number + 1 < len(moments) else None, due, lapse


@pytest.fixture(scope="module")
def reckoned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Evidence, Second]]:
    """Two hundred people, a tenth of whose orders were refunded, some in two steps."""
    people, orders = simulate([Group(150, gamma(20)), Group(50, gamma(100))], days=500, seed=9)
    chance = random.Random(5)  # noqa: S311
    events, kept = [], defaultdict(list)
    for order in orders:
        is_refunded = chance.random() < 0.1
        parts = chance.choice([1, 2]) if is_refunded else int(chance.random() < 0.1)
        for part in range(parts):
            amount = order.amount / parts if is_refunded else order.amount / 2
            events.append(
                {
                    "customer_id": order.customer_id,
                    "event_id": f"refund:shop:{order.order_id}-{part}",
                    "occurred_at": order.ordered_at + timedelta(hours=part + 1),
                    "event_name": "order_refunded",
                    "source_system": "shop",
                    "order_id": order.order_id,
                    "amount": amount,
                }
            )
        kept[order.customer_id].append((order.ordered_at, not is_refunded))
    # What costs nothing, and what a tracker tells of an order, is no purchase.
    for number, (name, kind) in enumerate((("order_placed", "touchpoint"), ("order_placed", "order"))):
        events.append(
            {
                "customer_id": people[0]["customer_id"],
                "event_id": f"{kind}:web:{number}",
                "occurred_at": END - timedelta(days=1),
                "event_name": name,
                "source_system": "web",
                "order_id": None,
                "amount": 10.0 if kind == "touchpoint" else 0.0,
            }
        )
    lifecycle = thresholds(default_order_gap_days=25, lapse_max_days=150)
    settings = publish(tmp_path_factory.mktemp("reckoned"), people, orders, events, lifecycle=lifecycle)
    with open_evidence(settings) as evidence:
        evidence.set_clocks({DEFAULT: lifecycle.flat()}, {})
        yield evidence, Second(kept, lifecycle)


def test_paid_days_gaps_and_what_was_kept_are_right(reckoned: tuple[Evidence, Second]) -> None:
    evidence, second = reckoned
    found = evidence.warehouse.rows("select lifecycle_id, paid_at, is_kept from temp.paid_days order by all")
    assert found == [(customer, *day) for customer in sorted(second.days) for day in second.days[customer]]
    gaps = [
        (later[0] - earlier[0]) / timedelta(days=1)
        for days in second.days.values()
        for earlier, later in pairwise(days)
    ]
    assert evidence.other_gaps()["all_gaps"] == pytest.approx(median(gaps))


def test_the_clocks_are_those_of_the_rules(reckoned: tuple[Evidence, Second]) -> None:
    evidence, second = reckoned
    rows = evidence.warehouse.rows(
        "select lifecycle_id, due_days, lapse_days from temp.clocks order by lifecycle_id, paid_at"
    )
    expected = [(one, due, lapse) for one in sorted(second.days) for _, _, due, lapse in second.clocks(one)]
    assert [row[0] for row in rows] == [row[0] for row in expected]
    for found, wanted in zip(rows, expected, strict=True):
        assert found[1:] == pytest.approx(wanted[1:])


def test_who_is_active_and_what_they_kept_is_right(reckoned: tuple[Evidence, Second]) -> None:
    evidence, second = reckoned
    counts: dict[float, int] = defaultdict(int)
    active = 0
    for customer, days in second.days.items():
        at, _, due, _ = list(second.clocks(customer))[-1]
        if at + timedelta(days=due) <= END:
            continue
        active += 1
        if days[0][0] + timedelta(days=180) <= END:
            counts[sum(is_kept for _, is_kept in days)] += 1
    assert evidence.active_count() == active > 20
    assert evidence.kept_counts(180) == sorted(counts.items())


@pytest.mark.parametrize("factor", [1.5, 2.0, 3.0])
def test_alarms_are_counted_right(reckoned: tuple[Evidence, Second], factor: float) -> None:
    evidence, second = reckoned
    rung = decided = back = 0
    years = 0.0
    for customer, days in second.days.items():
        years += (END - days[0][0]) / timedelta(days=365.25)
        for at, following, due, lapse in second.clocks(customer, factor):
            rings, lapses = at + timedelta(days=due), at + timedelta(days=lapse)
            if due >= lapse or rings >= (following or END):
                continue
            rung += 1
            if lapses <= END:
                decided += 1
                back += following is not None and following < lapses
    (alarm,) = evidence.alarms([(factor, 30.0)])
    assert (alarm.rung_count, alarm.decided_count, alarm.back_count) == (rung, decided, back)
    assert alarm.customer_years == pytest.approx(years)
    assert 0 < back < decided < rung


# --- the command -----------------------------------------------------------------------------------------------------


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of a command."""
    monkeypatch.setattr(sys, "argv", ["lifecycle", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def written(settings: Settings) -> str:
    file = settings.config_file
    file.write_text(yaml.safe_dump(settings.model_dump(mode="json", exclude={"config_file"})))
    return str(file)


def test_the_command_says_it_within_a_hundred_columns(
    mixed: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "calibrate", "--quick", "--config", written(mixed)) == 0
    said = capsys.readouterr().out
    assert max(len(line) for line in said.splitlines()) <= 100
    for words in (
        "small as of 2024-03-31",
        "Proposals",
        "default_order_gap_days: 200 →",
        "by the due clock",
        "lifecycle:",
    ):
        assert words in said


def test_the_command_answers_in_json_alone(
    mixed: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "calibrate", "--quick", "--json", "--config", written(mixed)) == 0
    assert json.loads(capsys.readouterr().out)["project"] == "small"


def test_a_run_that_holds_the_build_leaves_out_what_only_it_knows(
    mixed: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import multiprocessing

    context = multiprocessing.get_context("spawn")
    held, free = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(mixed, held, free))
    holder.start()
    try:
        assert held.wait(30)
        assert run(monkeypatch, "calibrate", "--config", written(mixed)) == 0
    finally:
        free.set()
        holder.join()
    said = " ".join(capsys.readouterr().out.split())
    assert "a run is working on the build file, so that first purchases in a category are not known" in said
    assert "is working on this state" in said and "default_order_gap_days:" in said


def _hold(settings: Settings, held: Any, free: Any) -> None:
    with run_lock(settings.state, "another"):
        held.set()
        free.wait(60)


def test_contacts_alone_are_nothing_to_learn_from(tmp_path: Path) -> None:
    people, _ = simulate([Group(50, gamma(10))], days=100)
    with pytest.raises(LifecycleError) as raised:
        calibrate(publish(tmp_path, people, []))
    assert "50 people are known, and none of them has bought anything" in str(raised.value)


def test_too_few_customers_are_counted(tmp_path: Path) -> None:
    with pytest.raises(LifecycleError) as raised:
        calibrate(company(tmp_path, Group(99, gamma(10)), days=100))
    assert "99 of them have bought; 100 are needed" in str(raised.value)
