"""The monthly balances against a second opinion, for random lives.

Two hundred people with seeded random stages, memberships and subscriptions go through the models once. Plain Python
then asks of everybody, at the first instant of every month, where they stand: a product of customers and months, which
the models avoid.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from lifecycle.warehouse import Warehouse
from tests.dbt.project import DbtProject

ZONE = ZoneInfo("America/New_York")
AS_OF = date(2024, 3, 17)
PEOPLE = 200
ACTIVE = ("conversion", "retention", "at_risk", "reactivated")
AWAY = ("lapsed", "churned")
MODELS = (
    "int_active_spells", "int_customer_balance_changes", "customer_balance_monthly",
    "customer_balance_by_group_monthly", "segment_monthly", "int_month_rates", "int_mrr_changes", "int_mrr_movements",
    "mrr_movements_monthly",
)  # fmt: skip
Row = dict[str, Any]


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=ZONE).astimezone(UTC).replace(tzinfo=None)


MONTHS = [date(2022 + number // 12, number % 12 + 1, 1) for number in range(27)]
ENDS = [*MONTHS[1:], AS_OF + timedelta(days=1)]
"""The day after the last of each month; the last month is not over."""
BORDERS = [midnight(month) for month in MONTHS] + [midnight(ENDS[-1])]


@dataclass
class Person:
    name: str
    persona: str | None
    channel: str | None
    stages: list[tuple[datetime, str]]
    memberships: list[tuple[str, datetime, datetime | None]]
    subscriptions: list[list[Row]] = field(default_factory=list)

    def stage_before(self, moment: datetime) -> str | None:
        """Where they stand just before an instant."""
        return next((stage for at, stage in reversed(self.stages) if at < moment), None)

    def is_active_before(self, moment: datetime) -> bool:
        return self.stage_before(moment) in ACTIVE

    def is_member_before(self, segment: str, moment: datetime) -> bool:
        return any(
            name == segment and begin < moment and (end is None or end >= moment)
            for name, begin, end in self.memberships
        )

    def moves(self) -> Iterator[tuple[datetime, str]]:
        """Each turn of being active: new, churned, reactivated."""
        was, ever = False, False
        for at, stage in self.stages:
            if (stage in ACTIVE) != was:
                yield at, "churned" if was else "reactivated" if ever else "new"
                was, ever = not was, True


def some_moments(luck: random.Random, count: int) -> list[datetime]:
    """Rising moments of which many are the first instant of a month, or the second before it."""
    whole = int((BORDERS[-1] - BORDERS[0]).total_seconds())
    moments = {
        luck.choice(BORDERS[:-1]) - timedelta(seconds=luck.choice([0, 0, 1]))
        if luck.random() < 0.3
        else BORDERS[0] + timedelta(seconds=luck.randrange(whole))
        for _ in range(count)
    }
    return sorted(moment for moment in moments if moment >= BORDERS[0])


def a_person(number: int, luck: random.Random) -> Person:
    stages: list[tuple[datetime, str]] = []
    for at in some_moments(luck, luck.randrange(1, 14)):
        others = [stage for stage in ("awareness", *ACTIVE, *AWAY) if not stages or stage != stages[-1][1]]
        stages.append((at, luck.choice(others)))
    memberships = []
    for segment in ("large", "small"):
        # Memberships begin and end with stages as often as by themselves.
        moments = sorted({*luck.sample([at for at, _ in stages], min(len(stages), 2)), *some_moments(luck, 2)})
        spans = list(pairwise([*moments, None]))[:: luck.choice([1, 2])]
        memberships += [(segment, begin, end) for begin, end in spans if begin is not None and luck.random() < 0.7]
    person = Person(
        f"p{number:03d}",
        luck.choice([None, "family", "retired"]),
        luck.choice([None, "email"]),
        stages,
        memberships,
    )
    person.subscriptions = [a_subscription(luck) for _ in range(luck.choice([0, 1, 1, 2, 3]))]
    return person


def a_subscription(luck: random.Random) -> list[Row]:
    """How a subscription stands after each of its events."""
    rows: list[Row] = []
    currency, is_active, was_active = luck.choice(["USD", "USD", "EUR", "GBP", "JPY"]), luck.random() < 0.8, False
    for at in some_moments(luck, luck.randrange(1, 12)):
        is_end = was_active and not is_active
        rows.append(
            {
                "is_active": is_active,
                "is_paid_end": is_end,
                "is_involuntary_end": is_end and luck.random() < 0.5,
                "currency": currency,
                "mrr_amount": None if luck.random() < 0.05 else Decimal(luck.choice(["0", "9.99", "10", "12.345"])),
                "occurred_at": at,
            }
        )
        was_active, is_active = is_active, luck.random() < 0.75
        currency = luck.choice(["USD", "EUR"]) if luck.random() < 0.05 else currency
    return rows


def some_rates(luck: random.Random) -> dict[str, list[tuple[date, Decimal]]]:
    """Rates into dollars: the euro's from before the beginning, the pound's from a later month on, the yen has none."""
    days = {"USD": [date(1, 1, 1)], "EUR": [date(2021, 12, 1)], "GBP": [date(2022, 9, 12)]}
    for currency, first in (("EUR", days["EUR"][0]), ("GBP", days["GBP"][0])):
        days[currency] += sorted({first + timedelta(days=luck.randrange(1, 600)) for _ in range(40)} | {AS_OF})
    return {
        currency: [
            (day, Decimal(1) if currency == "USD" else Decimal(luck.randrange(800, 1500)) / 1000) for day in those
        ]
        for currency, those in days.items()
    }


# --- the models ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def luck() -> random.Random:
    return random.Random(20240317)  # noqa: S311 - lives, not secrets


@pytest.fixture(scope="module")
def people(luck: random.Random) -> list[Person]:
    return [a_person(number, luck) for number in range(PEOPLE)]


@pytest.fixture(scope="module")
def rates(luck: random.Random, people: list[Person]) -> dict[str, list[tuple[date, Decimal]]]:
    assert people
    return some_rates(luck)


def replace(warehouse: Warehouse, table: str, rows: list[Row], types: str = "") -> None:
    """Give a table other rows; only the columns that are read have to be there."""
    warehouse.connection.register("incoming", pa.Table.from_pylist(rows))
    warehouse.run(f"create or replace table {table} as select *{types} from incoming")
    warehouse.connection.unregister("incoming")


def put(warehouse: Warehouse, people: list[Person], rates: dict[str, list[tuple[date, Decimal]]]) -> None:
    replace(
        warehouse,
        "intermediate.int_lifecycle_states",
        [
            {"customer_id": person.name, "stage": stage, "valid_from_at": at}
            for person in people
            for at, stage in person.stages
        ],
    )
    replace(
        warehouse,
        "segments.segment_history",
        [
            {"segment_name": segment, "customer_id": person.name, "valid_from_at": begin, "valid_to_at": end}
            for person in people
            for segment, begin, end in person.memberships
        ],
    )
    replace(
        warehouse,
        "marts.customer_360",
        [
            {"customer_id": person.name, "persona": person.persona, "acquisition_channel": person.channel}
            for person in people
        ],
    )
    replace(
        warehouse,
        "intermediate.int_subscription_changes",
        [
            {
                "customer_id": person.name,
                "id_namespace": "plans",
                "subscription_id": f"{person.name}-{number}",
                "event_number": place,
            }
            | row
            for person in people
            for number, rows in enumerate(person.subscriptions)
            for place, row in enumerate(rows, start=1)
        ],
        " replace (cast(mrr_amount as decimal(18, 4)) as mrr_amount)",
    )
    replace(
        warehouse,
        "intermediate.int_exchange_rates",
        [
            {"currency": currency, "valid_from_date": day, "valid_to_date": next_day, "exchange_rate": rate}
            for currency, those in rates.items()
            for (day, rate), next_day in zip(those, [day for day, _ in those[1:]] + [None], strict=True)
        ],
        " replace (cast(exchange_rate as decimal(18, 8)) as exchange_rate)",
    )
    replace(
        warehouse,
        "intermediate.int_months",
        [
            {
                "month": month,
                "is_complete": month != MONTHS[-1],
                "last_date": end - timedelta(days=1),
                "month_begins_at": midnight(month),
                "month_ends_at": midnight(end),
            }
            for month, end in zip(MONTHS, ENDS, strict=True)
        ],
    )


@pytest.fixture(scope="module")
def published(
    project_at: Callable[[Path], DbtProject],
    tmp_path_factory: pytest.TempPathFactory,
    people: list[Person],
    rates: dict[str, list[tuple[date, Decimal]]],
) -> dict[str, list[Row]]:
    """The rows of every mart."""
    project = project_at(tmp_path_factory.mktemp("balances"))
    project.environment = {
        "LIFECYCLE_AS_OF": AS_OF.isoformat(),
        "LIFECYCLE_AS_OF_END": BORDERS[-1].isoformat(" "),
        "LIFECYCLE_TIMEZONE": ZONE.key,
        "LIFECYCLE_CURRENCY": "USD",
    }
    project.build([], "--empty")
    project.build(["lifecycle_stages"])
    with project.opened() as warehouse:
        put(warehouse, people, rates)
    project.build(MODELS)
    with project.opened() as warehouse:
        return {
            "balance": warehouse.dicts("select * from marts.customer_balance_monthly order by balance_month"),
            "groups": warehouse.dicts("select * from marts.customer_balance_by_group_monthly order by balance_month"),
            "mrr": warehouse.dicts("select * from marts.mrr_movements_monthly order by mrr_month"),
            "segments": warehouse.dicts("select * from segments.segment_monthly order by segment_month"),
        }


# --- customers -------------------------------------------------------------------------------------------------------


def balances(people: list[Person]) -> list[Row]:
    """What the months of a balance must say of these people."""
    found = []
    for month, (begin, end) in zip(MONTHS, pairwise(BORDERS), strict=True):
        counts = Counter(move for person in people for at, move in person.moves() if begin <= at < end)
        gone = [
            person
            for person in people
            if not person.is_active_before(begin) and any(at < begin for at, _ in person.moves())
        ]
        found.append(
            {
                "balance_month": month,
                "opening_count": sum(person.is_active_before(begin) for person in people),
                "new_count": counts["new"],
                "reactivated_count": counts["reactivated"],
                "churned_count": counts["churned"],
                "closing_count": sum(person.is_active_before(end) for person in people),
                "churned_from_opening_count": sum(
                    person.is_active_before(begin) and not person.is_active_before(end) for person in people
                ),
                "inactive_opening_count": len(gone),
                "reactivated_from_opening_count": sum(
                    any(begin <= at < end and move == "reactivated" for at, move in person.moves()) for person in gone
                ),
            }
        )
    return found


def from_the_first_on(rows: list[Row]) -> list[Row]:
    """Months before the first in which anybody moved are not in the table."""
    first = next(place for place, row in enumerate(rows) if row["new_count"])
    return rows[first:]


def test_the_balance_says_where_everybody_stood_at_the_borders_of_the_months(
    people: list[Person], published: dict[str, list[Row]]
) -> None:
    expected = from_the_first_on(balances(people))
    assert [{name: row[name] for name in expected[0]} for row in published["balance"]] == expected
    for row in expected:
        came, went = row["new_count"] + row["reactivated_count"], row["churned_count"]
        assert row["opening_count"] + came - went == row["closing_count"]
    assert sum(row["reactivated_from_opening_count"] for row in expected) > PEOPLE / 4


def test_every_group_has_the_balance_of_its_people(people: list[Person], published: dict[str, list[Row]]) -> None:
    groups = {(person.persona or "unknown", person.channel or "unknown") for person in people}
    assert len(groups) == 6
    for persona, channel in groups:
        own = [p for p in people if (p.persona or "unknown", p.channel or "unknown") == (persona, channel)]
        expected = from_the_first_on(balances(own))
        assert [
            {name: row[name] for name in expected[0]}
            for row in published["groups"]
            if (row["persona"], row["acquisition_channel"]) == (persona, channel)
        ] == expected


@pytest.mark.parametrize("segment", ["large", "small"])
def test_a_segment_counts_its_members_and_the_customers_among_them(
    segment: str, people: list[Person], published: dict[str, list[Row]]
) -> None:
    rows = {row["segment_month"]: row for row in published["segments"] if row["segment_name"] == segment}
    assert len(rows) > 20
    for month, (begin, end) in zip(MONTHS, pairwise(BORDERS), strict=True):
        if month not in rows:
            continue
        before = [person for person in people if person.is_member_before(segment, begin)]
        after = [person for person in people if person.is_member_before(segment, end)]
        spans = [span for person in people for span in person.memberships if span[0] == segment]
        active = [person for person in before if person.is_active_before(begin)]
        expected = {
            "opening_member_count": len(before),
            "closing_member_count": len(after),
            "entered_count": sum(begin <= entered < end for _, entered, _ in spans),
            "exited_count": sum(exited is not None and begin <= exited < end for _, _, exited in spans),
            "active_opening_count": len(active),
            "active_closing_count": sum(person.is_active_before(end) for person in after),
            "churned_from_opening_count": sum(not person.is_active_before(end) for person in active),
        } | {f"{move}_count": count for move, count in member_moves(segment, people, begin, end).items()}
        assert {name: rows[month][name] for name in expected} == expected, month


def member_moves(segment: str, people: list[Person], begin: datetime, end: datetime) -> dict[str, int]:
    """Every moment at which somebody begins or ceases to be an active member, by what changed: first the customer."""
    counts = dict.fromkeys(("new", "reactivated", "moved_in", "churned", "moved_out"), 0)
    for person in people:
        turns = dict(person.moves())
        own = [span for span in person.memberships if span[0] == segment]
        borders = {moment for _, entered, exited in own for moment in (entered, exited) if moment is not None}
        for moment in sorted(borders | set(turns)):
            was = person.is_active_before(moment) and person.is_member_before(segment, moment)
            after = moment + timedelta(microseconds=1)
            is_one = person.is_active_before(after) and person.is_member_before(segment, after)
            re_entered = any(exited == moment for _, _, exited in own) and any(at == moment for _, at, _ in own)
            if not begin <= moment < end:
                continue
            if was and is_one and re_entered:
                counts["moved_out"] += 1
                counts["moved_in"] += 1
            elif was and not is_one:
                counts["churned" if moment in turns else "moved_out"] += 1
            elif is_one and not was:
                counts[turns.get(moment, "moved_in")] += 1
    return counts


# --- subscriptions ---------------------------------------------------------------------------------------------------


def standing(rows: list[Row], moment: datetime) -> Row | None:
    """What holds of a subscription just before an instant; nothing while it is not paid for."""
    last = next((row for row in reversed(rows) if row["occurred_at"] < moment), None)
    return last if last and last["is_active"] else None


def rate_of(rates: dict[str, list[tuple[date, Decimal]]], currency: str, day: date) -> Decimal | None:
    return next((rate for since, rate in reversed(rates.get(currency, [])) if since <= day), None)


def converted(row: Row, rate: Decimal | None) -> Decimal:
    if rate is None or row["mrr_amount"] is None:
        return Decimal(0)
    return Decimal(row["mrr_amount"] * rate).quantize(Decimal("0.01"), ROUND_HALF_UP)


def mrr_of_month(people: list[Person], rates: dict[str, list[tuple[date, Decimal]]], place: int) -> Row:
    begin, end = BORDERS[place], BORDERS[place + 1]
    first_day, last_day = MONTHS[place] - timedelta(days=1), ENDS[place] - timedelta(days=1)
    amounts: dict[str, Decimal] = dict.fromkeys(
        ("opening", "new", "expansion", "reactivation", "contraction", "churn", "fx", "closing", "involuntary"),
        Decimal(0),
    )
    counts: Counter[str] = Counter()

    def at_the_beginning(row: Row) -> Decimal:
        rate = rate_of(rates, row["currency"], first_day)
        return converted(row, rate if rate is not None else rate_of(rates, row["currency"], last_day))

    for person in people:
        before = [(rows, row) for rows in person.subscriptions if (row := standing(rows, begin))]
        after = [row for rows in person.subscriptions if (row := standing(rows, end))]
        opening = sum((converted(row, rate_of(rates, row["currency"], first_day)) for _, row in before), Decimal(0))
        closing = sum((converted(row, rate_of(rates, row["currency"], last_day)) for row in after), Decimal(0))
        was = sum((at_the_beginning(row) for _, row in before), Decimal(0))
        change = sum((at_the_beginning(row) for row in after), Decimal(0)) - was
        amounts["opening"] += opening
        amounts["closing"] += closing
        amounts["fx"] += closing - opening - change
        counts["opening"] += bool(before)
        counts["closing"] += bool(after)
        ever = any(
            row["occurred_at"] < begin and (row["is_active"] or row["is_paid_end"])
            for rows in person.subscriptions
            for row in rows
        )
        movement = (
            ("reactivation" if ever else "new")
            if after and not before
            else "churn"
            if before and not after
            else "expansion"
            if change > 0
            else "contraction"
            if change < 0
            else None
        )
        if movement is None:
            continue
        counts[movement] += 1
        amounts[movement] += abs(change)
        if movement == "churn":
            for rows, row in before:
                ends = [one for one in rows if one["is_paid_end"] and begin <= one["occurred_at"] < end]
                amounts["involuntary"] += at_the_beginning(row) if ends[-1]["is_involuntary_end"] else 0
    return {
        "mrr_month": MONTHS[place],
        "opening_mrr_amount": amounts["opening"],
        "new_mrr_amount": amounts["new"],
        "expansion_mrr_amount": amounts["expansion"],
        "reactivation_mrr_amount": amounts["reactivation"],
        "contraction_mrr_amount": amounts["contraction"],
        "churn_mrr_amount": amounts["churn"],
        "voluntary_churn_amount": amounts["churn"] - amounts["involuntary"],
        "involuntary_churn_amount": amounts["involuntary"],
        "fx_mrr_amount": amounts["fx"],
        "closing_mrr_amount": amounts["closing"],
        "opening_customer_count": counts["opening"],
        "new_customer_count": counts["new"],
        "reactivated_customer_count": counts["reactivation"],
        "churned_customer_count": counts["churn"],
        "closing_customer_count": counts["closing"],
        "expansion_customer_count": counts["expansion"],
        "contraction_customer_count": counts["contraction"],
    }


def test_mrr_is_what_everybody_brought_at_the_borders_of_the_months(
    people: list[Person], rates: dict[str, list[tuple[date, Decimal]]], published: dict[str, list[Row]]
) -> None:
    expected = [mrr_of_month(people, rates, place) for place in range(len(MONTHS))]
    expected = expected[next(place for place, row in enumerate(expected) if row["new_customer_count"]) :]
    assert [{name: row[name] for name in expected[0]} for row in published["mrr"]] == expected
    for name in ("expansion_mrr_amount", "reactivation_mrr_amount", "involuntary_churn_amount", "fx_mrr_amount"):
        assert sum(row[name] != 0 for row in expected) > 10, name
