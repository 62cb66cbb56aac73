"""The lifecycle history against a second opinion: the rules in plain Python, asked at one moment after another.

Seventy people with seeded random lives of up to three years go through the models once. Whoever they are, the stage at
every event, at every moment a clock runs out (a second before and after too) and once a day is what the rules say of
the records known by then. A build for an earlier day gives the same history, cut off at that day's end.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
import yaml

from lifecycle.dbt import DBT_DIR, parsed_manifest
from lifecycle.identity.resolution import Policy, resolve
from lifecycle.settings import Expansion, LifecycleThresholds, Loyalty
from lifecycle.warehouse import Warehouse
from tests.dbt.project import BEFORE_IDENTITY, DbtProject, empty_warehouse

ZONE = ZoneInfo("America/New_York")
FIRST_DAY = date(2021, 1, 4)
AS_OF = date(2023, 12, 31)
PAST_DAYS = (date(2021, 9, 15), date(2022, 7, 3), date(2023, 3, 12))
"""The last of them has 23 hours."""
PEOPLE = 72
TOP = Decimal("0.01")

THRESHOLDS = LifecycleThresholds(
    default_order_gap_days=25,
    loyalty=Loyalty(min_orders=5, min_days=150),
    expansion=Expansion(min_history_days=120),
    high_value_amount=300,
    personas={"annual": {"default_order_gap_days": 180, "active_days": 90, "new_days": 45.5}},
)

HUMAN = ["page_viewed", "email_clicked", "call", "help_viewed"]
WEIGHING = ["product_viewed", "pricing_viewed", "product_searched"]
CART = ["product_added", "checkout_started"]
ACTIVATION = ["feature_used", "order_delivered"]
ADVOCACY = ["referral_converted", "testimonial_given"]
PASSIVE = ["email_sent", "email_opened", "ad_impression", "no such name"]
# What a vendor calls them: mapped by the seed of aliases.
ALIASES = {"page_viewed": "Page", "product_viewed": "Product Viewed", "checkout_started": "Checkout Started"}
CATEGORIES = ["Food > Tea", "Food > Coffee", "Garden > Tools", "Books", "Toys > Wood > Trains"]


def seconds(days: float) -> timedelta:
    return timedelta(seconds=int(days * 86400 + 0.5))


def midnight_after(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), tzinfo=ZONE).astimezone(UTC).replace(tzinfo=None)


END = midnight_after(AS_OF)


# --- random lives ----------------------------------------------------------------------------------------------------


@dataclass
class Person:
    """One person's records, as they stand in the raw tables."""

    name: str
    contact: dict[str, Any] | None
    touchpoints: list[dict[str, Any]] = field(default_factory=list)
    orders: list[dict[str, Any]] = field(default_factory=list)
    items: list[dict[str, Any]] = field(default_factory=list)
    refunds: list[dict[str, Any]] = field(default_factory=list)
    reviews: list[dict[str, Any]] = field(default_factory=list)


def a_life(number: int) -> Person:
    luck = random.Random(f"life {number}")  # noqa: S311 - reproducible, not secret
    name = f"p{number:03d}"
    begin = datetime.combine(FIRST_DAY, time()) + timedelta(seconds=luck.randrange(500 * 86400))
    span = luck.choice([40, 300, 700, 1090])
    stop = min(END + timedelta(days=20), begin + timedelta(days=span))
    # Some are known by a cookie for a while, or for good.
    cookie_until = begin + timedelta(days=luck.choice([0, 0, 25, 90, 2000]))
    person = Person(name, None)
    if number % 5 and cookie_until < stop:
        created_at = max(cookie_until, begin + timedelta(days=luck.randrange(-20, 30)))
        # A persona and a record without a date hold from the beginning.
        is_annual = number % 6 == 0 and cookie_until == begin
        person.contact = {
            "contact_id": name,
            "created_at": None if cookie_until == begin and (is_annual or number % 11 == 0) else created_at,
            "persona": "annual" if is_annual else None,
            "account_closed_at": luck.choice([None, None, created_at + seconds(luck.random() * span)]),
        }
    clock = begin
    pace = luck.choice([2, 9, 30, 60, 160])
    is_buyer = number % 6 != 1
    if begin < cookie_until < stop:
        # They sign in: the same browser, now with a name.
        a_touchpoint(person, cookie_until, luck, anonymous=False)
        person.touchpoints[-1]["anonymous_id"] = f"cookie-{name}"
    while clock < stop:
        clock += seconds(luck.expovariate(1 / pace)) + timedelta(seconds=luck.choice([0, 0, 1]))
        if luck.random() < 0.04:
            clock += timedelta(days=luck.choice([60, 120, 250, 400]))
        if luck.random() < 0.1:
            # Just before and after midnight in New York.
            clock = midnight_after(clock.date()) + timedelta(seconds=luck.choice([-1, 0, 1]))
        if is_buyer and luck.random() < 0.45 and (clock >= cookie_until):
            an_order(person, clock, luck)
        else:
            a_touchpoint(person, clock, luck, anonymous=clock < cookie_until)
        if luck.random() < 0.15:
            # Several things at one moment.
            a_touchpoint(person, clock, luck, anonymous=clock < cookie_until)
    return person


def a_touchpoint(person: Person, at: datetime, luck: random.Random, *, anonymous: bool) -> None:
    kinds = [HUMAN] * 5 + [WEIGHING] * 3 + [CART] * 2 + [PASSIVE] * 4 + [ACTIVATION, ADVOCACY]
    name = luck.choice(luck.choice(kinds))
    person.touchpoints.append(
        {
            "touchpoint_id": f"{person.name}-t{len(person.touchpoints)}",
            "occurred_at": at,
            "event_name": ALIASES.get(name, name) if luck.random() < 0.5 else name,
            "channel": "web",
            "contact_id": None if anonymous else person.name,
            "anonymous_id": f"cookie-{person.name}" if anonymous or luck.random() < 0.5 else None,
            "is_machine": luck.random() < 0.08,
            "order_id": None,
        }
    )
    if luck.random() < 0.05 and not anonymous:
        person.reviews.append(
            {
                "review_id": f"{person.name}-v{len(person.reviews)}",
                "reviewed_at": at + timedelta(hours=luck.choice([0, 5])),
                "contact_id": person.name,
                "rating": Decimal(luck.choice([1, 3, 4, 8, 10])),
                "scale_max": luck.choice([None, Decimal(10)]),
            }
        )


def an_order(person: Person, at: datetime, luck: random.Random) -> None:
    order_id = f"{person.name}-o{len(person.orders)}"
    tax, shipping, discount = (Decimal(luck.choice([0, 0, 150, 499])) * TOP for _ in range(3))
    worth = Decimal(luck.choice([0, 900, 2500, 4999, 12000])) * TOP
    lines: list[dict[str, Any]] = []
    if luck.random() < 0.6:
        for line_number in range(1, luck.choice([2, 3, 4])):
            amount = Decimal(luck.choice([40, 500, 1999, 3000, -700, 0])) * TOP
            lines.append(
                {
                    "order_id": order_id,
                    "line_number": line_number,
                    "product_id": luck.choice(["unlisted", *(f"c{index}" for index in range(len(CATEGORIES)))]),
                    "quantity": Decimal(-1 if amount < 0 else 1),
                    "line_amount": amount,
                    "discount_amount": luck.choice([None, Decimal(20) * TOP]),
                }
            )
        worth = sum((line["line_amount"] - (line["discount_amount"] or 0) for line in lines), Decimal(0)) - discount
    total = max(worth + tax + shipping, Decimal(0)) if worth else Decimal(0)
    order = {
        "order_id": order_id,
        "ordered_at": at,
        "order_status": luck.choice(["completed"] * 9 + ["Cancelled", "void"]),
        "total_amount": total,
        "currency": "USD",
        "contact_id": person.name,
        "tax_amount": tax,
        "shipping_amount": shipping,
        "discount_amount": discount or None,
        "is_test": luck.random() < 0.04,
        "order_channel": "web",
    }
    person.orders.append(order)
    person.items += lines
    if luck.random() < 0.3:
        # The shop's tracking reports the order as well.
        a_touchpoint(person, at + timedelta(seconds=luck.choice([0, 2])), luck, anonymous=False)
        person.touchpoints[-1] |= {
            "event_name": "order_placed",
            "order_id": luck.choice([order_id, order_id, f"elsewhere-{order_id}"]),
        }
    if luck.random() < 0.25:
        # All at once, in two halves, or not everything.
        shares = luck.choice([[Decimal(1)], [Decimal("0.5"), Decimal("0.5")], [Decimal("0.5")], [Decimal("1.2")]])
        for share in shares:
            at += seconds(luck.choice([0, 0.5, 12, 70]))
            person.refunds.append(
                {
                    "refund_id": f"{person.name}-r{len(person.refunds)}",
                    "order_id": order_id,
                    "refunded_at": at,
                    "refund_amount": total * share,
                    "currency": "USD",
                    "item_refund_amount": luck.choice([None, Decimal(100) * TOP]),
                    "tax_refund_amount": luck.choice([None, Decimal(10) * TOP]),
                }
            )
    if luck.random() < 0.3:
        an_order(person, at + timedelta(minutes=luck.choice([0, 30, 600])), luck)


# --- the second opinion ----------------------------------------------------------------------------------------------


@dataclass
class Facts:
    """What is known of somebody at one moment, from the records up to it."""

    limits: dict[str, float]
    is_identified: bool = False
    paid_days: list[datetime] = field(default_factory=list)
    kept_count: int = 0
    net_revenue: Decimal = Decimal(0)
    due_days: float = 0
    lapse_days: float = 0
    churn_days: float = 0
    came_back: datetime | None = None
    human: datetime | None = None
    weighing: datetime | None = None
    cart: datetime | None = None
    activated: datetime | None = None
    advocated: datetime | None = None
    expanded: datetime | None = None
    closed: datetime | None = None

    @property
    def first_paid(self) -> datetime | None:
        return self.paid_days[0] if self.paid_days else None

    @property
    def last_paid(self) -> datetime | None:
        return self.paid_days[-1] if self.paid_days else None


def local_day(at: datetime) -> date:
    return at.replace(tzinfo=UTC).astimezone(ZONE).date()


def is_valid(order: dict[str, Any]) -> bool:
    return order["order_status"] == "completed" and not order["is_test"]


def clocks_of(gaps: list[float], limits: dict[str, float]) -> tuple[float, float, float]:
    known = gaps[-10:]
    weight = limits["gap_prior_weight"]
    usual = median(known) if known else 0
    expected = (weight * limits["default_order_gap_days"] + len(known) * usual) / (weight + len(known))
    due = min(max(limits["due_factor"] * expected, limits["due_min_days"]), limits["due_max_days"])
    lapse = min(max(limits["lapse_factor"] * due, limits["lapse_min_days"]), limits["lapse_max_days"])
    return due, lapse, max(limits["churn_min_days"], lapse + limits["churn_after_lapse_days"])


def facts_at(person: Person, now: datetime) -> Facts:
    """Everything from scratch, from the records up to ``now``."""
    contact = person.contact
    is_annual = bool(contact and contact["persona"])
    facts = Facts(THRESHOLDS.flat() | (THRESHOLDS.personas["annual"] if is_annual else {}))
    orders = [order for order in person.orders if order["ordered_at"] <= now and is_valid(order)]
    known_orders = {order["order_id"] for order in person.orders}
    refunds = [
        refund
        for refund in person.refunds
        if refund["refunded_at"] <= now and any(order["order_id"] == refund["order_id"] for order in orders)
    ]
    vocabulary = {alias: name for name, alias in ALIASES.items()}

    touches = []
    for touch in person.touchpoints:
        name = vocabulary.get(touch["event_name"], touch["event_name"])
        if touch["occurred_at"] <= now and not (name == "order_placed" and touch["order_id"] in known_orders):
            touches.append((touch["occurred_at"], name, touch["is_machine"]))
            facts.is_identified |= touch["contact_id"] is not None
    facts.is_identified |= bool(orders) or bool(
        contact and (contact["created_at"] is None or contact["created_at"] <= now)
    )
    reviews = [review for review in person.reviews if review["reviewed_at"] <= now]

    human = [at for at, name, machine in touches if name not in [*PASSIVE, "order_delivered"] and not machine]
    human += [order["ordered_at"] for order in orders] + [review["reviewed_at"] for review in reviews]
    facts.human = max(human, default=None)
    own = [(at, name) for at, name, machine in touches if not machine]
    facts.weighing = max((at for at, name in own if name in WEIGHING + CART), default=None)
    facts.cart = max((at for at, name in own if name in CART), default=None)
    facts.activated = min((at for at, name in own if name in ACTIVATION), default=None)
    facts.advocated = max(
        [at for at, name, _ in touches if name in ADVOCACY]
        + [
            review["reviewed_at"]
            for review in reviews
            if review["rating"] / (review["scale_max"] or 5) >= Decimal("0.8")
        ],
        default=None,
    )
    if contact and contact["account_closed_at"] and contact["account_closed_at"] <= now:
        facts.closed = contact["account_closed_at"]

    paid = [order for order in orders if order["total_amount"] > 0]
    days: dict[date, list[dict[str, Any]]] = {}
    for order in sorted(paid, key=lambda order: (order["ordered_at"], order["order_id"])):
        days.setdefault(local_day(order["ordered_at"]), []).append(order)
    facts.paid_days = [of_day[0]["ordered_at"] for of_day in days.values()]

    def given_back(order: dict[str, Any]) -> bool:
        back = sum(refund["refund_amount"] for refund in refunds if refund["order_id"] == order["order_id"])
        return bool(back >= order["total_amount"])

    facts.kept_count = sum(not all(given_back(order) for order in of_day) for of_day in days.values())

    gaps: list[float] = []
    for index, at in enumerate(facts.paid_days):
        if index:
            gap = (at - facts.paid_days[index - 1]) / timedelta(days=1)
            if gap >= clocks_of(gaps, facts.limits)[1]:
                facts.came_back = at
            gaps.append(gap)
    if facts.paid_days:
        facts.due_days, facts.lapse_days, facts.churn_days = clocks_of(gaps, facts.limits)

    facts.expanded = last_expansion(person, paid, facts)
    facts.net_revenue = sum((revenue(person, order) for order in orders), Decimal(0)) - sum(
        (
            refund["item_refund_amount"]
            if refund["item_refund_amount"] is not None
            else refund["refund_amount"] - (refund["tax_refund_amount"] or 0)
            for refund in refunds
        ),
        Decimal(0),
    )
    return facts


def lines_of(person: Person, order: dict[str, Any]) -> list[dict[str, Any]]:
    return [line for line in person.items if line["order_id"] == order["order_id"]]


def revenue(person: Person, order: dict[str, Any]) -> Decimal:
    lines = lines_of(person, order)
    if lines:
        worth = sum((line["line_amount"] - (line["discount_amount"] or 0) for line in lines), Decimal(0))
        return worth - (order["discount_amount"] or 0)
    return Decimal(order["total_amount"] - order["tax_amount"] - order["shipping_amount"])


def last_expansion(person: Person, paid: list[dict[str, Any]], facts: Facts) -> datetime | None:
    """The last first purchase in a category that is worth enough, long enough after the first order."""
    limits, seen, found = facts.limits, set(), None
    for order in sorted(paid, key=lambda order: (order["ordered_at"], "shop:" + order["order_id"])):
        at = order["ordered_at"]
        worth: dict[str, Decimal] = {}
        for line in lines_of(person, order):
            if line["quantity"] > 0 and line["line_amount"] > 0 and line["product_id"] != "unlisted":
                category = CATEGORIES[int(line["product_id"][1:])].split(" > ")[0]
                worth[category] = worth.get(category, Decimal(0)) + line["line_amount"] - (line["discount_amount"] or 0)
        spent = sum(
            (
                revenue(person, other)
                for other in paid
                if other["ordered_at"] <= at < other["ordered_at"] + seconds(limits["expansion_window_days"])
            ),
            Decimal(0),
        )
        for category in worth.keys() - seen:
            is_old_enough = at >= facts.paid_days[0] + seconds(limits["expansion_min_history_days"])
            share = limits["expansion_min_spend_share"]
            if is_old_enough and worth[category] > 0 and float(worth[category]) >= share * float(spent):
                found = at
        seen |= worth.keys()
    return found


@dataclass(frozen=True)
class Standing:
    """Where somebody stands at one moment."""

    stage: str
    rule: str
    is_loyal: bool
    is_advocate: bool
    is_expanding: bool
    risk: str | None
    segments: frozenset[str]


def standing_at(facts: Facts, now: datetime) -> Standing:  # noqa: PLR0912 - a branch per rule
    limits = facts.limits

    def within(since: datetime | None, days: float) -> bool:
        return since is not None and now < since + seconds(days)

    def expired(since: datetime | None, days: float) -> bool:
        return since is not None and now >= since + seconds(days)

    is_loyal = facts.kept_count >= limits["loyalty_min_orders"] and expired(
        facts.first_paid, limits["loyalty_min_days"]
    )
    is_advocate = within(facts.advocated, limits["advocate_days"])
    is_expanding = within(facts.expanded, limits["expanding_days"])
    one = facts.kept_count == 1
    stage, rule = "retention", "repeat"
    if facts.closed and (facts.last_paid is None or facts.last_paid < facts.closed):
        stage, rule = "churned", "closed"
    elif not facts.paid_days:
        if within(facts.cart, limits["cart_days"]):
            stage, rule = "decision", "cart"
        elif within(facts.weighing, limits["weighing_days"]) or (
            facts.is_identified and within(facts.human, limits["lead_days"])
        ):
            stage, rule = "consideration", "weighing"
        else:
            stage, rule = "awareness", "seen"
    elif expired(facts.last_paid, facts.churn_days) and expired(facts.human, limits["silent_days"]):
        stage, rule = "churned", "silent"
    elif expired(facts.last_paid, facts.lapse_days):
        stage, rule = "lapsed", "overdue"
    elif expired(facts.last_paid, facts.due_days):
        stage, rule = "at_risk", "gap"
    elif facts.kept_count == 0:
        stage, rule = "at_risk", "signals"
    elif within(facts.came_back, limits["reactivated_days"]):
        stage, rule = "reactivated", "came_back"
    elif one and within(facts.last_paid, limits["new_days"]) and facts.activated is None:
        stage, rule = "conversion", "new"
    elif one and within(facts.activated, limits["activated_days"]):
        stage, rule = "activation", "activated"
    elif one and within(facts.human, limits["active_days"]):
        stage, rule = "engagement", "active"
    elif one:
        stage, rule = "at_risk", "quiet"
    elif is_advocate:
        stage, rule = "advocacy", "advocate"
    elif is_expanding:
        stage, rule = "expansion", "grew"
    elif is_loyal:
        stage, rule = "loyalty", "loyal"

    risk = None
    if stage not in ("lapsed", "churned"):
        if expired(facts.last_paid, facts.due_days):
            risk = "overdue"
        elif facts.paid_days and facts.kept_count == 0:
            risk = "all_refunded"
        elif one and expired(facts.human, limits["active_days"]) and not within(facts.last_paid, limits["new_days"]):
            risk = "quiet"
    segments = {"lapsed"} if stage == "lapsed" else set()
    if risk and facts.net_revenue >= Decimal(limits["high_value_amount"]):
        segments.add("high_value_at_risk")
    if facts.kept_count and within(facts.first_paid, limits["new_customer_days"]):
        segments.add("new_customers")
    bought = bool(facts.paid_days)
    return Standing(stage, rule, is_loyal, is_advocate and bought, is_expanding and bought, risk, frozenset(segments))


def moments(person: Person) -> list[datetime]:
    """When something happens to somebody."""
    times = [touch["occurred_at"] for touch in person.touchpoints] + [order["ordered_at"] for order in person.orders]
    times += [refund["refunded_at"] for refund in person.refunds] + [one["reviewed_at"] for one in person.reviews]
    times += [person.contact[name] for name in ("created_at", "account_closed_at")] if person.contact else []
    return sorted({at for at in times if at is not None and at < END})


def first_seen(person: Person) -> datetime | None:
    """The first event; orders that do not count and reports of them are none."""
    valid = {order["order_id"] for order in person.orders if is_valid(order)}
    known = {order["order_id"] for order in person.orders}
    times = [order["ordered_at"] for order in person.orders if order["order_id"] in valid]
    times += [refund["refunded_at"] for refund in person.refunds if refund["order_id"] in valid]
    times += [
        touch["occurred_at"]
        for touch in person.touchpoints
        if touch["event_name"] != "order_placed" or touch["order_id"] not in known
    ]
    times += [review["reviewed_at"] for review in person.reviews]
    times += [person.contact[name] for name in ("created_at", "account_closed_at")] if person.contact else []
    return min((at for at in times if at is not None and at < END), default=None)


def clock_ends(facts: Facts) -> Iterator[datetime]:
    limits = facts.limits
    for since, names in (
        (facts.cart, ["cart_days"]),
        (facts.weighing, ["weighing_days"]),
        (facts.human, ["lead_days", "silent_days", "active_days"]),
        (facts.last_paid, ["new_days"]),
        (facts.first_paid, ["loyalty_min_days", "new_customer_days"]),
        (facts.came_back, ["reactivated_days"]),
        (facts.activated, ["activated_days"]),
        (facts.advocated, ["advocate_days"]),
        (facts.expanded, ["expanding_days"]),
    ):
        if since is not None:
            yield from (since + seconds(limits[name]) for name in names)
    if facts.last_paid is not None:
        yield from (facts.last_paid + seconds(days) for days in (facts.due_days, facts.lapse_days, facts.churn_days))


# --- the models ------------------------------------------------------------------------------------------------------

TABLES = ("customer_lifecycle_history", "segment_history", "int_paid_order_days", "int_lifecycle_stages")


def load(warehouse: Warehouse, people: list[Person], shuffle: random.Random | None = None) -> None:
    products = [{"product_id": f"c{index}", "category": category} for index, category in enumerate(CATEGORIES)]
    rows = {
        "contacts": [person.contact for person in people if person.contact],
        "touchpoints": [touch for person in people for touch in person.touchpoints],
        "orders": [order for person in people for order in person.orders],
        "order_items": [item for person in people for item in person.items],
        "refunds": [refund for person in people for refund in person.refunds],
        "reviews": [review for person in people for review in person.reviews],
        "products": products,
    }
    for table, records in rows.items():
        if shuffle:
            shuffle.shuffle(records)
        warehouse.connection.register("incoming", pa.Table.from_pylist(records))
        warehouse.run(
            f"insert into raw.{table} by name select 'shop' as source_system, 'shop' as id_namespace, 'b1' as batch_id,"
            " timestamp '2024-01-01' as loaded_at, * from incoming"
        )
        warehouse.connection.unregister("incoming")


def built(folder: Path, people: list[Person], day: date, shuffle: random.Random | None = None) -> DbtProject:
    """The models for one day, on a warehouse of their own."""
    folder.mkdir()
    environment = {
        "LIFECYCLE_AS_OF": day.isoformat(),
        "LIFECYCLE_AS_OF_END": midnight_after(day).isoformat(" "),
        "LIFECYCLE_TIMEZONE": ZONE.key,
    }
    project = DbtProject(parsed_manifest(), folder, environment)
    empty_warehouse(project.warehouse, THRESHOLDS)
    with project.opened() as warehouse:
        load(warehouse, people, shuffle)
    project.build(BEFORE_IDENTITY)
    with project.opened() as warehouse:
        resolve(warehouse, Policy())
    project.build(["+customer_lifecycle_history", "+segment_history"], "--exclude", *BEFORE_IDENTITY)
    return project


def content(project: DbtProject) -> dict[str, list[dict[str, Any]]]:
    schemas = {"customer_lifecycle_history": "marts", "segment_history": "segments"}
    with project.opened() as warehouse:
        return {
            table: sorted(
                warehouse.dicts(f"select * from {schemas.get(table, 'intermediate')}.{table}"),
                key=lambda row: tuple(
                    str(row.get(name)) for name in ("customer_id", "segment_name", "valid_from_at", "paid_at")
                ),
            )
            for table in TABLES
        }


@pytest.fixture(scope="module")
def people() -> list[Person]:
    return [a_life(number) for number in range(PEOPLE)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("history")


@pytest.fixture(scope="module")
def whole(folder: Path, people: list[Person]) -> DbtProject:
    return built(folder / "whole", people, AS_OF)


@pytest.fixture(scope="module")
def history(whole: DbtProject) -> dict[str, list[dict[str, Any]]]:
    return content(whole)


@pytest.fixture(scope="module")
def customer_of(whole: DbtProject) -> dict[str, str]:
    """Person → customer id, by the records that carry the person's name."""
    with whole.opened() as warehouse:
        rows = warehouse.rows(
            "select distinct substr(record_id, 1, 4), customer_id from identity.record_links order by all"
        )
    assert len(rows) == len(dict(rows)) == PEOPLE, "every person is one customer"
    return dict(rows)


def by_customer(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["customer_id"], []).append(row)
    return found


def interval_finder(rows: list[dict[str, Any]]) -> Callable[[datetime], dict[str, Any] | None]:
    begins = [row["valid_from_at"] for row in rows]

    def find(now: datetime) -> dict[str, Any] | None:
        index = bisect_right(begins, now) - 1
        if index < 0 or (rows[index]["valid_to_at"] is not None and rows[index]["valid_to_at"] <= now):
            return None
        return rows[index]

    return find


@pytest.fixture(scope="module")
def checked(
    people: list[Person], history: dict[str, list[dict[str, Any]]], customer_of: dict[str, str]
) -> tuple[list[str], set[str], int]:
    """Differences in words, the rules that somebody's life came to, and how many moments were looked at."""
    histories, judged = by_customer(history["customer_lifecycle_history"]), by_customer(history["int_lifecycle_stages"])
    segments = by_customer(history["segment_history"])
    differences, rules, looked_at = [], set(), 0
    second = timedelta(seconds=1)
    for person in people:
        begin = first_seen(person)
        if begin is None:
            continue
        customer = customer_of[person.name]
        events = moments(person)
        states = [facts_at(person, at) for at in events]
        times = {at for state in states for at in clock_ends(state)} | set(events)
        times |= {at + step for at in times for step in (-second, second)}
        times |= {begin + timedelta(days=number, hours=7) for number in range((END - begin).days)}
        stage_at, standing_of = interval_finder(histories[customer]), interval_finder(judged[customer])
        memberships = segments.get(customer, [])
        for now in sorted(times):
            if not begin <= now < END:
                continue
            looked_at += 1
            expected = standing_at(states[bisect_right(events, now) - 1], now)
            rules.add(expected.rule)
            interval, flags = stage_at(now) or {}, standing_of(now) or {}
            in_segments = frozenset(
                row["segment_name"]
                for row in memberships
                if row["valid_from_at"] <= now and (row["valid_to_at"] is None or now < row["valid_to_at"])
            )
            found = Standing(
                interval.get("stage", "nothing"),
                flags.get("rule_id", "nothing"),
                flags.get("is_loyal", False),
                flags.get("is_advocate", False),
                flags.get("is_expanding", False),
                flags.get("risk_reason"),
                in_segments,
            )
            if found != expected:
                differences.append(f"{person.name} at {now}: {found}, the rules say {expected}")
    return differences, rules, looked_at


def test_everybody_stands_where_the_rules_say_at_every_moment(checked: tuple[list[str], set[str], int]) -> None:
    differences, _, looked_at = checked
    assert not differences, f"{len(differences)} of {looked_at} moments\n" + "\n".join(differences[:10])
    assert looked_at > 50_000


def test_the_lives_come_to_every_rule(checked: tuple[list[str], set[str], int]) -> None:
    project = yaml.safe_load((DBT_DIR / "dbt_project.yml").read_text())
    assert checked[1] == {rule["id"] for rule in project["vars"]["lifecycle_rules"]}


def test_the_intervals_of_a_customer_touch_and_the_last_one_is_open(
    history: dict[str, list[dict[str, Any]]], people: list[Person], customer_of: dict[str, str]
) -> None:
    for table in ("customer_lifecycle_history", "int_lifecycle_stages"):
        for rows in by_customer(history[table]).values():
            ends = [row["valid_to_at"] for row in rows]
            assert ends == [*(row["valid_from_at"] for row in rows[1:]), None]
            assert all(row["valid_to_at"] is None or row["valid_from_at"] < row["valid_to_at"] for row in rows)
    begins = {
        customer: rows[0]["valid_from_at"]
        for customer, rows in by_customer(history["customer_lifecycle_history"]).items()
    }
    assert begins == {customer_of[person.name]: begin for person in people if (begin := first_seen(person)) is not None}


def test_no_two_neighbouring_intervals_have_the_same_stage(history: dict[str, list[dict[str, Any]]]) -> None:
    for rows in by_customer(history["customer_lifecycle_history"]).values():
        stages = [row["stage"] for row in rows]
        assert all(one != following for one, following in pairwise(stages))


@pytest.mark.parametrize("day", PAST_DAYS, ids=str)
def test_a_build_for_an_earlier_day_gives_the_same_history_cut_off_at_its_end(
    day: date, folder: Path, people: list[Person], history: dict[str, list[dict[str, Any]]]
) -> None:
    end = midnight_after(day)
    earlier = content(built(folder / str(day), people, day))
    for table in ("customer_lifecycle_history", "segment_history"):
        cut_off = []
        for row in history[table]:
            if row["valid_from_at"] < end:
                is_open = row["valid_to_at"] is None or row["valid_to_at"] >= end
                left = {"valid_to_at": None} | ({"exit_reason": None} if "exit_reason" in row else {})
                cut_off.append(row | left if is_open else row)
        assert len(cut_off) > 10
        different = [
            f"{found}\n  the whole history says {expected}"
            for found, expected in zip(earlier[table], cut_off, strict=False)
            if found != expected
        ]
        assert not different, f"{table}: {len(different)} differ\n" + "\n".join(different[:5])
        assert len(earlier[table]) == len(cut_off)


def test_the_order_of_the_raw_rows_changes_nothing(
    folder: Path, people: list[Person], history: dict[str, list[dict[str, Any]]]
) -> None:
    shuffled = content(built(folder / "shuffled", people, AS_OF, random.Random(7)))  # noqa: S311
    for table in TABLES:
        assert shuffled[table] == history[table], table
