"""Funnels, abandonment and purchase frequency of random people are what walking through their events gives.

The models never look at one person after the other; here somebody does, slowly and by the definitions of
docs/metrics-funnels.md and docs/metrics-revenue.md.
"""

from __future__ import annotations

import csv
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from lifecycle.settings import PROJECT_DIR
from tests.dbt.project import DbtProject

FIRST_DAY, DAYS = datetime(2023, 1, 1), 600
END = FIRST_DAY + timedelta(days=DAYS)
ENVIRONMENT = {
    "LIFECYCLE_AS_OF": (END - timedelta(days=1)).date().isoformat(),
    "LIFECYCLE_AS_OF_END": END.isoformat(sep=" "),
}
BROWSING = {
    "product_viewed": 8, "page_viewed": 4, "product_added": 4, "checkout_started": 4, "payment_step": 4,
    "signed_up": 1, "trial_started": 1, "subscription_started": 1, "order_placed": 1, "help_viewed": 1,
}  # fmt: skip
"""Events of touchpoints (an `order_placed` among them is one that only the tracker saw), and how often."""

FOLLOWING = {
    "product_viewed": "product_added", "product_added": "checkout_started", "checkout_started": "payment_step",
    "payment_step": "order_placed", "page_viewed": "signed_up", "trial_started": "subscription_started",
}  # fmt: skip
"""What comes next for those who go on."""

ABANDONED_AFTER, RECOVERY = timedelta(hours=24), timedelta(days=7)
MODELS = (
    "int_months", "int_paid_order_days", "int_funnel_events", "int_funnel_attempts", "int_funnel_steps_reached",
    "int_abandonments", "funnel_steps_monthly", "abandonment_monthly", "purchase_frequency_monthly",
)  # fmt: skip


@dataclass(frozen=True)
class Order:
    order_key: str
    customer_id: str
    ordered_at: datetime
    is_renewal: bool


@dataclass(frozen=True)
class Event:
    customer_id: str
    event_id: str
    event_name: str
    is_touchpoint: bool
    occurred_at: datetime


def random_people(seed: int) -> tuple[list[Event], list[Order]]:
    """Busy and quiet people: bursts of events hours apart, and orders days apart, some of them on one day."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    names, weights = list(BROWSING), list(BROWSING.values())
    events: list[Event] = []
    orders: list[Order] = []
    for number in range(60):
        customer, moment = f"c{number:02}", FIRST_DAY + timedelta(minutes=chance.randrange(DAYS * 720))
        name = ""
        for visit in range(chance.randrange(1, 25)):
            goes_on = name in FOLLOWING and chance.random() < 0.6
            name = FOLLOWING[name] if goes_on else chance.choices(names, weights)[0]
            events.append(Event(customer, f"touchpoint:web:{customer}-{visit}", name, True, moment))
            moment += timedelta(minutes=chance.choice([0, 1, 10, 60, 600, 1200, 1440, 2000, 20_000]))
        # Half of the orders follow something, the others come from nowhere.
        for _ in range(chance.randrange(0, 12)):
            seen = [event.occurred_at for event in events if event.customer_id == customer]
            after = chance.choice(seen) + timedelta(minutes=chance.choice([0, 30, 1440, 3000, 8640, 11_520]))
            at = after if chance.random() < 0.5 else FIRST_DAY + timedelta(minutes=chance.randrange(DAYS * 1440))
            orders.append(Order(f"shop:o{len(orders)}", customer, at, chance.random() < 0.1))
    events = [event for event in events if event.occurred_at < END]
    orders = [order for order in orders if order.ordered_at < END]
    events += [
        Event(one.customer_id, f"order:{one.order_key}", "order_placed", False, one.ordered_at) for one in orders
    ]
    return events, orders


@pytest.fixture(scope="module", params=[1, 2, 3])
def people(
    request: pytest.FixtureRequest,
    project_at: Callable[[Path], DbtProject],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[DbtProject, list[Event], list[Order]]:
    project = project_at(tmp_path_factory.mktemp("people"))
    project.environment = ENVIRONMENT
    project.build([f"+{model}" for model in MODELS])
    events, orders = random_people(request.param)
    with project.opened() as warehouse:
        for event in events:
            warehouse.run(
                "insert into intermediate.int_timeline"
                " (customer_id, event_id, event_name, is_touchpoint, is_machine, occurred_at)"
                " values (?, ?, ?, ?, false, ?)",
                [event.customer_id, event.event_id, event.event_name, event.is_touchpoint, event.occurred_at],
            )
        for order in orders:
            day = order.ordered_at.date()
            warehouse.run(
                "insert into intermediate.int_orders"
                " (order_key, customer_id, is_cancelled, is_test, is_counted, is_paid, gross_revenue_amount,"
                " discount_amount, is_renewal, ordered_at, order_date, order_month)"
                " values (?, ?, false, false, true, true, 10, 1, ?, ?, ?, ?)",
                [order.order_key, order.customer_id, order.is_renewal, order.ordered_at, day, day.replace(day=1)],
            )
    project.build(MODELS)
    return project, events, orders


def rows(project: DbtProject, sql: str) -> list[tuple[Any, ...]]:
    with project.opened() as warehouse:
        return [tuple(row) for row in warehouse.rows(sql)]


# --- funnels ---------------------------------------------------------------------------------------------------------


def attempts(moments: list[datetime], window: timedelta) -> list[tuple[datetime, datetime]]:
    """When attempts begin and end, of somebody whose first steps lie at these moments."""
    begun: list[datetime] = []
    came, previous, place = None, None, -1
    for moment in moments:
        if came is None or previous is None or moment >= previous + window:
            came, place = moment, -1
        if (moment - came) // window != place:
            begun.append(moment)
            place = (moment - came) // window
        previous = moment
    ends = [begin + window for begin in begun]
    return [
        (begin, min([end, *begun[at + 1 : at + 2]])) for at, (begin, end) in enumerate(zip(begun, ends, strict=True))
    ]


def walk_through_funnels(events: list[Event], orders: list[Order]) -> Counter[tuple[date, str, int]]:
    renewals = {f"order:{order.order_key}" for order in orders if order.is_renewal}
    by_person: dict[str, list[Event]] = defaultdict(list)
    for event in sorted(events, key=lambda event: event.occurred_at):
        if event.event_id not in renewals:
            by_person[event.customer_id].append(event)
    with (PROJECT_DIR / "seeds" / "funnel_steps.csv").open(encoding="utf-8") as file:
        seed = list(csv.DictReader(file))
    reached: Counter[tuple[date, str, int]] = Counter()
    for funnel in {row["funnel_name"] for row in seed}:
        steps: dict[int, set[str]] = defaultdict(set)
        for row in seed:
            if row["funnel_name"] == funnel:
                steps[int(row["step_number"])].add(row["event_name"])
                window = timedelta(hours=float(row["window_hours"]))
                is_first_only = row["is_first_attempt_only"] == "true"
        for theirs in by_person.values():
            firsts = [event.occurred_at for event in theirs if event.event_name in steps[1]]
            for begin, end in attempts(firsts[:1] if is_first_only else firsts, window):
                if begin + window > END:
                    continue
                at: datetime | None = begin
                for step in range(1, max(steps) + 1):
                    if step > 1:
                        after = at
                        at = next(
                            (
                                event.occurred_at
                                for event in theirs
                                if event.event_name in steps[step] and after <= event.occurred_at < end
                            ),
                            None,
                        )
                    if at is None:
                        break
                    reached[begin.date().replace(day=1), funnel, step] += 1
    return reached


def test_the_steps_of_funnels_are_those_of_a_walk_through_everybodys_events(
    people: tuple[DbtProject, list[Event], list[Order]],
) -> None:
    project, events, orders = people
    expected = walk_through_funnels(events, orders)
    found = rows(
        project, "select funnel_month, funnel_name, step_number, reached_count from marts.funnel_steps_monthly"
    )
    assert {(month, funnel, step): count for month, funnel, step, count in found if count} == dict(expected)
    assert {funnel for _, funnel, _ in expected} == {"shopping", "payment_page", "sign_up", "trial"}
    assert {step for _, funnel, step in expected if funnel == "shopping"} == {1, 2, 3, 4, 5}


# --- abandonment -----------------------------------------------------------------------------------------------------


def first_after(moments: list[datetime], moment: datetime) -> datetime | None:
    return min((at for at in moments if at >= moment), default=None)


def spans_of(starts: list[datetime], bought: list[datetime]) -> list[tuple[datetime, datetime]]:
    """The first and the last of the starts that are one checkout."""
    spans: list[tuple[datetime, datetime]] = []
    for moment in starts:
        goes_on = (
            bool(spans)
            and moment < spans[-1][1] + ABANDONED_AFTER
            and first_after(bought, spans[-1][1]) == first_after(bought, moment)
        )
        if goes_on:
            spans[-1] = (spans[-1][0], moment)
        else:
            spans.append((moment, moment))
    return spans


def walk_through_checkouts(events: list[Event], orders: list[Order]) -> dict[tuple[date, str], list[int]]:
    """Month and kind → started, ordered, matured abandoned, recovered, revenue recovered."""
    kinds = {"product_added": "cart", "checkout_started": "checkout", "payment_step": "payment_page"}
    bought: dict[str, list[datetime]] = defaultdict(list)
    worth: Counter[tuple[str, datetime]] = Counter()
    for order in orders:
        if not order.is_renewal:
            bought[order.customer_id].append(order.ordered_at)
            worth[order.customer_id, order.ordered_at] += 9
    starts: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    for event in sorted(events, key=lambda event: event.occurred_at):
        if event.event_name in kinds:
            starts[event.customer_id, kinds[event.event_name]].append(event.occurred_at)
        elif event.is_touchpoint and event.event_name in ("order_placed", "subscription_started"):
            bought[event.customer_id].append(event.occurred_at)
    counts: dict[tuple[date, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0, 0])
    for (customer, kind), moments in starts.items():
        recovered: dict[datetime, tuple[date, bool]] = {}
        for first, last in spans_of(moments, bought[customer]):
            counted = counts[first.date().replace(day=1), kind]
            abandoned_at, is_settled = last + ABANDONED_AFTER, last + ABANDONED_AFTER + RECOVERY <= END
            order_at = first_after(bought[customer], last) or datetime.max
            is_ordered = order_at < abandoned_at
            is_recovered = abandoned_at <= order_at < abandoned_at + RECOVERY
            counted[0] += abandoned_at <= END
            counted[1] += abandoned_at <= END and is_ordered
            counted[2] += is_settled and not is_ordered
            counted[3] += is_settled and is_recovered
            if is_recovered:
                recovered[order_at] = (first.date().replace(day=1), is_settled)
        for order_at, (month, is_settled) in recovered.items():
            counts[month, kind][4] += worth[customer, order_at] if is_settled else 0
    return dict(counts)


def test_what_is_abandoned_and_recovered_is_what_a_walk_through_everybodys_checkouts_finds(
    people: tuple[DbtProject, list[Event], list[Order]],
) -> None:
    project, events, orders = people
    expected = walk_through_checkouts(events, orders)
    found = rows(
        project,
        "select abandonment_month, abandonment_kind, started_count, ordered_count, matured_abandoned_count,"
        " recovered_count, cast(recovered_revenue_amount as int) from marts.abandonment_monthly",
    )
    assert {(month, kind): list(counts) for month, kind, *counts in found} == expected
    assert all(sum(counts[place] for counts in expected.values()) > 0 for place in range(5))


# --- how often is bought ---------------------------------------------------------------------------------------------


def test_purchase_frequency_is_what_counting_in_every_window_gives(
    people: tuple[DbtProject, list[Event], list[Order]],
) -> None:
    project, _, orders = people
    days: dict[str, list[date]] = defaultdict(list)
    for order in orders:
        days[order.customer_id].append(order.ordered_at.date())
    found = rows(
        project,
        "select window_end_date, order_count, customer_count, repeat_customer_count, gap_count,"
        " median_days_between_orders from marts.purchase_frequency_monthly",
    )
    assert len(found) == 20
    for end, *figures in found:
        within = {
            one: [day for day in theirs if end - timedelta(days=365) < day <= end] for one, theirs in days.items()
        }
        gaps = [
            (later - earlier).days
            for theirs in days.values()
            for earlier, later in zip(sorted(set(theirs)), sorted(set(theirs))[1:], strict=False)
            if end - timedelta(days=365) < later <= end
        ]
        expected = [
            sum(map(len, within.values())),
            sum(bool(theirs) for theirs in within.values()),
            sum(len(set(theirs)) >= 2 for theirs in within.values()),
            len(gaps),
            median(gaps) if gaps else None,
        ]
        assert figures == expected, end
