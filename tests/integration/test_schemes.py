"""Schemes and stage marts against a second opinion: everybody asked, at the end of every day, one after another.

Fifty people with seeded random lives of up to two years go through the models once. What the marts add up from moves is
counted here from the people: where each of them stands by the words of each scheme, from their own records and the
stage history alone. A build for an earlier day gives the same days.
"""

from __future__ import annotations

import csv
import random
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from math import ceil, floor
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from scipy import stats

from lifecycle.settings import PROJECT_DIR, LifecycleThresholds
from tests.dbt.project import DbtProject
from tests.integration.raw_company import Record, build

ZONE = ZoneInfo("Europe/Berlin")
FIRST_DAY = date(2022, 1, 10)
AS_OF = date(2023, 10, 20)
PAST_DAY = date(2023, 6, 30)
PEOPLE = 50
THRESHOLDS = LifecycleThresholds(snapshot_months=9)
SECOND = timedelta(seconds=1)

CODES = {
    "AW": "awareness", "CO": "consideration", "DE": "decision", "CV": "conversion", "AC": "activation",
    "EN": "engagement", "RE": "retention", "EX": "expansion", "LO": "loyalty", "AD": "advocacy", "AR": "at_risk",
    "LA": "lapsed", "CH": "churned", "RA": "reactivated",
}  # fmt: skip

# Scheme stage: codes; a star is "but weighing is consideration, in the cart is decision", a plus or minus after a code
# its flag set or not: weighing for CO, activated for EN.
TABLE = """
nextiva | awareness AW CH*; consideration CO; decision DE; retention CV AC EN RE EX LO AR LA RA; advocacy AD
rengage | acquisition AW CO DE; engagement CV AC EN; retention RE LO AR RA; reactivation LA CH; expansion EX AD
rengage_measured | acquisition AW CO DE; onboarding CV EN-; activation AC EN+; retention RE EX LO AD AR RA; churn LA CH
engati | awareness AW CH*; consideration CO; decision DE; retention CV AC EN RE LO AR LA RA; expansion EX; advocacy AD
engati_key_aspects | acquisition AW CO DE CH; engagement CV AC EN; retention RE LO AR LA RA; expansion EX; advocacy AD
jarvis_reach | awareness AW CH; acquisition CO DE; activation CV AC; engagement EN; retention RE EX AR LA RA; loyalty LO AD
jarvis_reach_example | awareness AW CH CO-; evaluation CO+; purchase DE; post_purchase CV AC; retention EN RE EX LO AD AR LA RA
clm_general | awareness AW; engagement CO DE; conversion CV; retention AC EN RE AR RA; cross_sell_upsell EX; loyalty LO AD; win_back LA CH
relationship | product_introduction AW; target_profiling CO; acquisition DE CV AC; growth EN RE EX AR RA; loyalty LO AD; termination LA CH
google_ads | Lead AW CO DE; Active CV AC EN RE EX LO AD AR RA; Churned LA CH
"""  # noqa: E501 - a table
SCHEMES = [line.split(" | ")[0] for line in TABLE.strip().splitlines()]
SNAPSHOTS = ["shopify_rfm", "amperity_predicted"]


@cache
def scheme_table() -> dict[tuple[str, str], list[tuple[str, str]]]:
    """(Scheme, canonical stage) → (mark, scheme stage) …"""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for line in TABLE.strip().splitlines():
        scheme, stages = line.split(" | ")
        for part in stages.split("; "):
            name, *codes = part.split()
            for code in codes:
                found.setdefault((scheme, CODES[code[:2]]), []).append((code[2:], name))
    return found


def mapped(scheme: str, stage: str, *, weighing: bool, in_cart: bool, activated: bool) -> str:
    options = scheme_table()[scheme, stage]
    flag = weighing if stage == "consideration" else activated
    for mark, name in options:
        if mark == "*" and (weighing or in_cart):
            return "decision" if in_cart else "consideration"
        if mark in ("", "*") or mark == ("+" if flag else "-"):
            return name
    raise AssertionError((scheme, stage))


# --- random lives ----------------------------------------------------------------------------------------------------


def midnight_after(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), tzinfo=ZONE).astimezone(UTC).replace(tzinfo=None)


def local_day(at: datetime) -> date:
    return at.replace(tzinfo=UTC).astimezone(ZONE).date()


END = midnight_after(AS_OF)
WEIGHING, CART, ACTIVATION = ["product_viewed", "pricing_viewed"], ["product_added"], ["feature_used"]


@dataclass
class Person:
    """One person's records, and what the schemes ask of them."""

    name: str
    created_at: datetime
    account: str | None = None
    closed_at: datetime | None = None
    touchpoints: list[dict[str, Any]] = field(default_factory=list)
    orders: list[dict[str, Any]] = field(default_factory=list)
    refunds: list[dict[str, Any]] = field(default_factory=list)

    def times(self, *names: str) -> list[datetime]:
        return sorted(touch["occurred_at"] for touch in self.touchpoints if touch["event_name"] in names)

    @property
    def human(self) -> list[datetime]:
        ordered = [order["ordered_at"] for order in self.orders]
        return sorted(self.times("page_viewed", *WEIGHING, *CART, *ACTIVATION) + ordered)


def a_life(number: int) -> Person:
    luck = random.Random(f"scheme life {number}")  # noqa: S311 - reproducible, not secret
    begin = datetime.combine(FIRST_DAY, time()) + timedelta(seconds=luck.randrange(400 * 86400))
    # Two accounts of three people each, who share a lifecycle.
    person = Person(f"p{number:03d}", begin, f"a{number % 2}" if number < 6 else None)
    stop = min(END + timedelta(days=20), begin + timedelta(days=luck.choice([50, 300, 640])))
    pace, clock = luck.choice([3, 12, 31, 70]), begin
    is_buyer = number % 4 != 1
    if luck.random() < 0.2:
        person.closed_at = begin + timedelta(days=luck.randrange(20, 300))
    while clock < stop:
        clock += timedelta(seconds=int(luck.expovariate(1 / pace) * 86400))
        # Windows that end on the second at which the next one begins.
        clock += luck.choice([timedelta(0)] * 8 + [timedelta(days=30), timedelta(days=60), timedelta(days=14)])
        if luck.random() < 0.1:
            clock = midnight_after(clock.date()) + luck.choice([-SECOND, timedelta(0), SECOND])
        if is_buyer and luck.random() < 0.4:
            an_order(person, clock, luck)
            continue
        kinds = [["page_viewed"]] * 3 + [WEIGHING, WEIGHING, CART, ACTIVATION, ["email_sent"], ["email_sent"]]
        for _ in range(luck.choice([1, 1, 1, 2])):
            person.touchpoints.append(
                {
                    "touchpoint_id": f"{person.name}-t{len(person.touchpoints)}",
                    "occurred_at": clock,
                    "event_name": luck.choice(luck.choice(kinds)),
                    "channel": "web",
                    "contact_id": person.name,
                }
            )
            clock += luck.choice([timedelta(0), timedelta(days=30)])
    return person


def an_order(person: Person, at: datetime, luck: random.Random) -> None:
    amount = Decimal(luck.choice([0, 1000, 1000, 2550, 9999, 30000])) / 100
    order_id = f"{person.name}-o{len(person.orders)}"
    person.orders.append(
        {"order_id": order_id, "ordered_at": at, "order_status": "completed", "total_amount": amount,
         "currency": "USD", "contact_id": person.name}
    )  # fmt: skip
    if amount and luck.random() < 0.6:
        person.refunds.append(
            {"refund_id": f"r-{order_id}", "order_id": order_id, "currency": "USD",
             "refunded_at": at + timedelta(days=luck.choice([-40, -40, 0, 20, 70])),
             "refund_amount": luck.choice([amount, Decimal(500) / 100])}
        )  # fmt: skip


# --- the models ------------------------------------------------------------------------------------------------------


def built(folder: Path, people: list[Person], day: date) -> DbtProject:
    rows: dict[str, list[Record]] = {
        "contacts": [
            {
                "contact_id": person.name,
                "created_at": person.created_at,
                "account_closed_at": person.closed_at,
                "account_id": person.account,
            }
            for person in people
        ],
        "touchpoints": [touch for person in people for touch in person.touchpoints],
        "orders": [order for person in people for order in person.orders],
        "refunds": [refund for person in people for refund in person.refunds],
    }
    # Somebody without a date is known, and has no history.
    rows["contacts"].append({"contact_id": "undated"})
    marts = ["+customer_scheme_stages", "+lifecycle_stage_daily", "+lifecycle_bottlenecks"]
    return build(folder, rows, day, select=marts, zone=ZONE, thresholds=THRESHOLDS)


def table(project: DbtProject, sql: str) -> list[dict[str, Any]]:
    with project.opened() as warehouse:
        return warehouse.dicts(sql)


@pytest.fixture(scope="module")
def people() -> list[Person]:
    return [a_life(number) for number in range(PEOPLE)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("schemes")


@pytest.fixture(scope="module")
def whole(folder: Path, people: list[Person]) -> DbtProject:
    return built(folder / "whole", people, AS_OF)


@pytest.fixture(scope="module")
def past(folder: Path, people: list[Person]) -> DbtProject:
    return built(folder / "past", people, PAST_DAY)


@pytest.fixture(scope="module")
def customer_of(whole: DbtProject) -> dict[str, str]:
    links = table(whole, "select record_id, customer_id from identity.customer_links where record_table = 'contacts'")
    return {link["record_id"]: link["customer_id"] for link in links}


# --- the second opinion ----------------------------------------------------------------------------------------------


def sharing(person: Person, people: list[Person]) -> list[Person]:
    """Those whose lifecycle is this person's."""
    return [other for other in people if other.account == person.account] if person.account else [person]


class Life:
    """Where one person stands, with those of their account, at any moment in every scheme that is a history."""

    def __init__(self, people: list[Person], history: list[dict[str, Any]]) -> None:
        self.human = sorted(at for person in people for at in person.human)
        self.weighing = [at for person in people for at in person.times(*WEIGHING, *CART)]
        self.cart = [at for person in people for at in person.times(*CART)]
        self.activated = [at for person in people for at in person.times(*ACTIVATION)]
        self.history = history
        self.begins = [interval["valid_from_at"] for interval in history]
        events = {*self.human, *self.weighing}
        windows = [timedelta(days=days) for days in (0, 14, 30, 60, 90)]
        moments = {at + window for at in events for window in windows} | set(self.begins)
        self.moments = sorted(at for at in moments if self.begins[0] <= at < END)

    def active_between(self, after: datetime, until: datetime) -> bool:
        """Something was done in (after, until]."""
        return bisect_right(self.human, until) > bisect_right(self.human, after)

    def activity(self, now: datetime) -> str:
        month = timedelta(days=30)
        if not self.active_between(now - month, now):
            return "dormant"
        if self.human[0] > now - month:
            return "new"
        return "returning" if self.active_between(now - 2 * month, now - month) else "resurrecting"

    def stands(self, now: datetime) -> dict[str, str] | None:
        index = bisect_right(self.begins, now) - 1
        if index < 0:
            return None
        stage = self.history[index]["stage"]

        def within(times: list[datetime], days: int) -> bool:
            return any(at <= now < at + timedelta(days=days) for at in times)

        flags = {
            "weighing": within(self.weighing, 90),
            "in_cart": within(self.cart, 14),
            "activated": any(at <= now for at in self.activated),
        }
        found = {scheme: mapped(scheme, stage, **flags) for scheme in SCHEMES}
        return found | {"lifecycle": stage, "posthog": self.activity(now)}


@pytest.fixture(scope="module")
def lives(people: list[Person], whole: DbtProject, customer_of: dict[str, str]) -> dict[str, Life]:
    intervals: dict[str, list[dict[str, Any]]] = {}
    for row in table(whole, "select * from marts.customer_lifecycle_history order by customer_id, valid_from_at"):
        intervals.setdefault(row["customer_id"], []).append(row)
    borders = [[row["valid_from_at"] for row in intervals[customer_of[person.name]]] for person in people[:3:2]]
    known_at = max(of_one[0] for of_one in borders)
    after = [[at for at in of_one if at > known_at] for of_one in borders]
    assert after[0] == after[1] != [], "an account has one history, each person from when they were first known"
    return {
        customer_of[person.name]: Life(sharing(person, people), intervals[customer_of[person.name]])
        for person in people
    }


def days() -> Iterator[date]:
    day = FIRST_DAY
    while day <= AS_OF:
        yield day
        day += timedelta(days=1)


def test_every_day_counts_the_people_who_stand_in_each_stage_at_its_end(
    whole: DbtProject, lives: dict[str, Life]
) -> None:
    found = {
        (row["stage_date"], row["scheme"], row["stage"]): row["customer_count"]
        for row in table(whole, "select * from marts.lifecycle_stage_daily")
        if row["scheme"] not in SNAPSHOTS
    }
    expected: Counter[tuple[date, str, str]] = Counter()
    for day in days():
        for life in lives.values():
            standing = life.stands(midnight_after(day) - timedelta(microseconds=1))
            expected.update((day, scheme, stage) for scheme, stage in (standing or {}).items())
    assert {key: count for key, count in found.items() if count} == dict(expected)
    assert {scheme for _, scheme, _ in found} == {*SCHEMES, "lifecycle", "posthog"}
    # Every stage has a row on every day, from the first event on.
    assert len(found) == len({key[1:] for key in found}) * len({key[0] for key in found})
    assert len({stage for _, scheme, stage in expected if scheme == "lifecycle"}) >= 11


def test_every_move_is_counted_on_its_local_day(whole: DbtProject, lives: dict[str, Life]) -> None:
    entered: Counter[tuple[date, str, str]] = Counter()
    left: Counter[tuple[date, str, str]] = Counter()
    for life in lives.values():
        before: dict[str, str] = {}
        for now in life.moments:
            standing = life.stands(now) or {}
            for scheme, stage in standing.items():
                if before.get(scheme) != stage:
                    entered[local_day(now), scheme, stage] += 1
                    if scheme in before:
                        left[local_day(now), scheme, before[scheme]] += 1
            before = standing
    rows = [row for row in table(whole, "from marts.lifecycle_stage_daily") if row["scheme"] not in SNAPSHOTS]
    for name, expected in (("entered_count", entered), ("left_count", left)):
        found = {(row["stage_date"], row["scheme"], row["stage"]): row[name] for row in rows if row[name]}
        assert found == dict(expected)


def test_everybody_has_the_stage_of_the_last_moment_since_it_began(
    whole: DbtProject, lives: dict[str, Life], customer_of: dict[str, str]
) -> None:
    rows = table(whole, "from marts.customer_scheme_stages")
    found = {(row["customer_id"], row["scheme"]): (row["stage"], row["stage_since_at"]) for row in rows}
    assert len(rows) == len(found) == (PEOPLE + 1) * (len(SCHEMES) + 2 + len(SNAPSHOTS))
    for customer, life in lives.items():
        since: dict[str, datetime] = {}
        before: dict[str, str] = {}
        for now in life.moments:
            standing = life.stands(now) or {}
            since |= {scheme: now for scheme, stage in standing.items() if before.get(scheme) != stage}
            before = standing
        for scheme, stage in before.items():
            assert found[customer, scheme] == (stage, since[scheme]), (customer, scheme)
    undated = {scheme: stage for (customer, scheme), stage in found.items() if customer == customer_of["undated"]}
    assert undated["google_ads"] == ("Lead", None)
    assert undated["relationship"] == ("product_introduction", None)
    assert undated["posthog"] == ("dormant", None)
    assert undated["shopify_rfm"] == ("prospects", None)
    assert undated["amperity_predicted"] == ("prospect", None)


def quintiles(ranked: list[str]) -> dict[str, int]:
    """Five groups in order, of equal size; the first ones hold one more where it does not come out even."""
    size, more = divmod(len(ranked), 5)
    sizes = [size + (number < more) for number in range(5)]
    groups = [number + 1 for number, count in enumerate(sizes) for _ in range(count)]
    return dict(zip(ranked, groups, strict=True))


def rfm_stage(recency: int, fm: float) -> str:
    top = ["previously_loyal" if fm >= 4.5 else "at_risk"] * 2 + ["loyal", "loyal", "champions"]
    middle = ["at_risk", "at_risk", "needs_attention", "active", "active"]
    low = ["dormant", "dormant", "almost_lost", "promising", "new"]
    return (top if fm >= 4 else middle if fm > 2 else low)[recency - 1]


def snapshot(people: list[Person], customer_of: dict[str, str], day: date) -> dict[str, tuple[Any, ...]]:
    """Customer → quintiles, RFM stage and Amperity's, from what had happened by the end of the day."""
    end = midnight_after(day)
    last: dict[str, datetime] = {}
    paid: dict[str, datetime] = {}
    count: Counter[str] = Counter()
    money: dict[str, Decimal] = {}
    for person in people:
        customer = customer_of[person.name]
        orders = [order for order in person.orders if order["ordered_at"] < end]
        known = {order["order_id"] for order in orders}
        if orders:
            last[customer] = max(order["ordered_at"] for order in orders)
            count[customer] = len(orders)
            money[customer] = sum((order["total_amount"] for order in orders), Decimal(0)) - sum(
                (
                    refund["refund_amount"]
                    for refund in person.refunds
                    if refund["refunded_at"] < end and refund["order_id"] in known
                ),
                Decimal(0),
            )
        # All paid orders of a day count as one, at the first of them.
        paid_days: dict[date, datetime] = {}
        bought = [order for other in sharing(person, people) for order in other.orders if order["ordered_at"] < end]
        for order in sorted(bought, key=lambda order: order["ordered_at"]):
            if order["total_amount"]:
                paid_days.setdefault(local_day(order["ordered_at"]), order["ordered_at"])
        if paid_days:
            paid[customer] = max(paid_days.values())
    recency = quintiles(sorted(last, key=lambda customer: (last[customer], customer)))
    frequency = quintiles(sorted(last, key=lambda customer: (count[customer], customer)))
    monetary = quintiles(sorted(last, key=lambda customer: (money[customer], customer)))
    found: dict[str, tuple[Any, ...]] = {}
    for customer in {*last, *paid}:
        since = (end - paid[customer]) / timedelta(days=1) if customer in paid else None
        names = [(60, "active"), (120, "cooling_down"), (180, "at_risk"), (240, "highly_at_risk"), (10**9, "lost")]
        amperity = "prospect" if since is None else next(name for limit, name in names if since <= limit)
        if customer in last:
            r, f, m = recency[customer], frequency[customer], monetary[customer]
            found[customer] = (r, f, m, rfm_stage(r, (f + m) / 2), amperity)
        else:
            found[customer] = (None, None, None, "prospects", amperity)
    return found


SNAPSHOT_COLUMNS = (
    "rfm_recency_quintile", "rfm_frequency_quintile", "rfm_monetary_quintile", "shopify_rfm", "amperity_predicted",
)  # fmt: skip
SNAPSHOT_DAYS = [
    date(2023, 1, 31), date(2023, 2, 28), date(2023, 3, 31), date(2023, 4, 30), date(2023, 5, 31), date(2023, 6, 30),
    date(2023, 7, 31), date(2023, 8, 31), date(2023, 9, 30), AS_OF,
]  # fmt: skip


def test_a_snapshot_is_what_the_records_of_its_day_say(
    whole: DbtProject, people: list[Person], customer_of: dict[str, str], lives: dict[str, Life]
) -> None:
    rows = table(whole, "from intermediate.int_scheme_snapshots")
    assert sorted({row["snapshot_date"] for row in rows}) == SNAPSHOT_DAYS
    daily = {
        (row["stage_date"], row["scheme"], row["stage"]): row
        for row in table(whole, "from marts.lifecycle_stage_daily")
        if row["scheme"] in SNAPSHOTS
    }
    before: dict[str, tuple[str, ...]] = {}
    for day in SNAPSHOT_DAYS:
        expected = snapshot(people, customer_of, day)
        found = {
            row["customer_id"]: tuple(row[name] for name in SNAPSHOT_COLUMNS)
            for row in rows
            if row["snapshot_date"] == day
        }
        assert found == expected, day
        stages = {
            customer: expected.get(customer, ("prospects", "prospect"))[-2:]
            for customer, life in lives.items()
            if life.begins[0] < midnight_after(day)
        }
        for position, scheme in enumerate(SNAPSHOTS):
            now = {customer: stage[position] for customer, stage in stages.items()}
            then = {customer: stage[position] for customer, stage in before.items()}
            moved = [customer for customer in now if now[customer] != then.get(customer)]
            entered = Counter(now[customer] for customer in moved)
            left = Counter(then[customer] for customer in moved if customer in then)
            for (date_of, scheme_of, stage), row in daily.items():
                if (date_of, scheme_of) == (day, scheme):
                    counts = (row["customer_count"], row["entered_count"], row["left_count"])
                    here = list(now.values()).count(stage)
                    assert counts == ((here, entered[stage], left[stage]) if before else (here, None, None))
        before = stages
    assert {key[0] for key in daily} == set(SNAPSHOT_DAYS)


def test_the_snapshot_of_the_day_is_what_customer_360_says(whole: DbtProject) -> None:
    differences = table(
        whole,
        "select customer_id from marts.customer_360 as customers left join intermediate.int_scheme_snapshots as rows"
        f" using (customer_id) where coalesce(snapshot_date, date '{AS_OF}') = date '{AS_OF}' and ("
        + " or ".join(f"customers.{name} is distinct from rows.{name}" for name in SNAPSHOT_COLUMNS[:3])
        + " or customers.rfm_group != coalesce(rows.shopify_rfm, 'prospects')"
        " or customers.net_revenue_amount != coalesce(rows.net_revenue_amount, 0))",
    )
    assert differences == []


def test_a_run_of_a_past_day_gives_the_same_days(whole: DbtProject, past: DbtProject) -> None:
    columns = "stage_date, scheme, stage, customer_count"
    histories = f"where scheme not in ('{SNAPSHOTS[0]}', '{SNAPSHOTS[1]}')"
    query = f"select {columns}, entered_count, left_count from marts.lifecycle_stage_daily {histories}"
    until = f"and stage_date <= date '{PAST_DAY}' order by all"
    assert table(past, f"{query} {until}") == table(whole, f"{query} {until}")
    common = (
        f"select {columns} from marts.lifecycle_stage_daily where scheme in ('{SNAPSHOTS[0]}', '{SNAPSHOTS[1]}')"
        f" and stage_date between date '2023-01-31' and date '{PAST_DAY}' order by all"
    )
    assert table(past, common) == table(whole, common)
    assert len(table(past, common)) == 6 * 17
    rows = f"from intermediate.int_scheme_snapshots where snapshot_date = date '{PAST_DAY}' order by customer_id"
    named = ", ".join(("customer_id", "net_revenue_amount", *SNAPSHOT_COLUMNS))
    assert table(past, f"select {named} {rows}") == table(whole, f"select {named} {rows}")


def queries() -> Iterator[Any]:
    for page in ("schemes", "stage-metrics"):
        text = (PROJECT_DIR / "docs" / f"{page}.md").read_text(encoding="utf-8")
        for number, query in enumerate(re.findall(r"```sql\n(.*?)```", text, re.DOTALL)):
            yield pytest.param(query, id=f"{page}-{number}")


@pytest.mark.parametrize("query", list(queries()))
def test_a_query_of_the_docs_runs_and_finds_something(whole: DbtProject, query: str) -> None:
    assert table(whole, query.strip().rstrip(";"))


def test_the_docs_show_every_map_as_the_seed_has_it() -> None:
    with (PROJECT_DIR / "seeds" / "lifecycle_schemes.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    schemes: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        condition = f" when `{row['condition']}`" if row["condition"] else ""
        schemes.setdefault(row["scheme"], {}).setdefault(row["scheme_stage"], []).append(row["stage"] + condition)
    page = (PROJECT_DIR / "docs" / "schemes.md").read_text(encoding="utf-8")
    assert list(schemes) == SCHEMES
    for scheme, stages in schemes.items():
        named = "; ".join(f"**{stage}**: {', '.join(of)}" for stage, of in stages.items())
        assert f"| `{scheme}` | {named} |" in page.splitlines(), scheme


def test_survival_is_that_of_scipy_on_the_whole_days_that_stays_were_watched(whole: DbtProject) -> None:
    directions = {
        (row["from_stage"], row["to_stage"]): row["is_forward"]
        for row in table(whole, "from marts.lifecycle_stage_flows")
    }
    stays: dict[str, list[tuple[int, str]]] = {}
    history = table(whole, "from marts.customer_lifecycle_history order by customer_id, valid_from_at")
    for interval, following in zip(history, [*history[1:], None], strict=True):
        watched = floor((END - interval["valid_from_at"]) / timedelta(days=1))
        ending = (watched, "watched")
        if interval["valid_to_at"] is not None:
            assert following is not None
            days_until = ceil((interval["valid_to_at"] - interval["valid_from_at"]) / timedelta(days=1))
            if days_until <= watched:
                is_forward = directions[interval["stage"], following["stage"]]
                ending = (days_until, "forward" if is_forward else "backward")
        stays.setdefault(interval["stage"], []).append(ending)
    rows = table(whole, "from marts.lifecycle_stage_survival order by stage, day_number")
    assert {row["stage"] for row in rows} == set(stays)
    medians = {row["stage"]: row["median_days"] for row in table(whole, "from marts.lifecycle_bottlenecks")}
    for stage, endings in stays.items():
        lasted = np.array([days for days, _ in endings], dtype=float)
        is_watched = np.array([kind == "watched" for _, kind in endings])
        forward = backward = 0.0
        before, median = 1.0, None
        mine = [row for row in rows if row["stage"] == stage]
        assert [row["day_number"] for row in mine] == list(range(int(lasted.max()) + 1))
        curve = None
        if not is_watched.all():
            curve = stats.ecdf(stats.CensoredData(uncensored=lasted[~is_watched], right=lasted[is_watched])).sf
        for row in mine:
            day = row["day_number"]
            at_risk = int((lasted >= day).sum())
            ended = Counter(kind for days, kind in endings if days == day)
            forward += before * ended["forward"] / at_risk
            backward += before * ended["backward"] / at_risk
            before = float(curve.evaluate(day)) if curve is not None else 1.0
            if median is None and before <= 0.5 + 1e-12:
                median = day
            counts = ("at_risk_count", "forward_exit_count", "backward_exit_count", "censored_count")
            assert tuple(row[name] for name in counts) == (
                at_risk, ended["forward"], ended["backward"], ended["watched"],
            )  # fmt: skip
            rates = ("survival_rate", "moved_forward_rate", "fallen_back_rate")
            assert [row[name] for name in rates] == pytest.approx([before, forward, backward], abs=1e-9)
        assert medians[stage] == median, stage
    assert sum(len(endings) for endings in stays.values()) == len(history)
