"""The lifecycle history against a second opinion, and what holds for every history whatever the rules are.

Three hundred people with seeded random lives (``lifecycle_lives.py``) go through the models once. Whoever they are, the
stage and the flags at every event, at every moment a clock runs out (a second before and after too) and at the end of
every day are what the rules in plain Python (``lifecycle_oracle.py``) say of the records known by then. A build for an
earlier day gives the same history, cut off at that day's end.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import pytest
import yaml

from lifecycle.dbt import DBT_DIR
from lifecycle.settings import Expansion, LifecycleThresholds, Loyalty
from tests.dbt.project import DbtProject
from tests.integration.lifecycle_lives import (
    AS_OF,
    CATEGORIES,
    DAY,
    END,
    PAST_DAYS,
    PEOPLE,
    SECOND,
    ZONE,
    Life,
    Person,
    Record,
    all_lives,
    local_day,
    midnight_after,
    seed,
)
from tests.integration.lifecycle_oracle import MAPPED, Oracle, Rulebook, Standing, scheme_stage
from tests.integration.raw_company import build

THRESHOLDS = LifecycleThresholds(
    default_order_gap_days=25,
    loyalty=Loyalty(min_orders=5, min_days=150),
    expansion=Expansion(min_history_days=120),
    high_value_amount=300,
    first_category_gaps={"Food": 12, "Books": 90},
    personas={
        "annual": {"default_order_gap_days": 180, "active_days": 90, "new_days": 45.5},
        "promoter": {"advocacy_nps": 1, "usage_window_days": 14, "usage_min_days": 4, "return_grace_days": 30},
    },
)
RULEBOOK = Rulebook(
    own={
        "default_order_gap_days": 25,
        "loyalty_min_orders": 5,
        "loyalty_min_days": 150,
        "expansion_min_history_days": 120,
        "high_value_amount": 300,
    },
    personas=THRESHOLDS.personas,
    first_category_gaps=THRESHOLDS.first_category_gaps,
)

TABLES = {
    "customer_lifecycle_history": "marts",
    "segment_history": "segments",
    "int_lifecycle_stages": "intermediate",
    "int_activity_states": "intermediate",
    "lifecycle_stage_daily": "marts",
    "customer_scheme_stages": "marts",
}
OF_INTERVALS = ("customer_lifecycle_history", "segment_history", "int_lifecycle_stages", "int_activity_states")
SNAPSHOTS = ("shopify_rfm", "amperity_predicted")
"""Schemes that rank all customers: of some days alone."""
Content = dict[str, list[Record]]
Value = TypeVar("Value")


# --- the models ------------------------------------------------------------------------------------------------------


def built(
    folder: Path,
    lives: list[Life],
    day: date,
    shuffle: random.Random | None = None,
    thresholds: LifecycleThresholds = THRESHOLDS,
) -> DbtProject:
    products = [{"product_id": f"c{index}", "category": category} for index, category in enumerate(CATEGORIES)]
    tables: Content = {"products": products}
    for life in lives:
        for person in life.people:
            for table, records in person.records.items():
                tables.setdefault(table, []).extend(records)
    select = [f"+{table}" for table in TABLES]
    return build(folder, tables, day, select=select, zone=ZONE, thresholds=thresholds, shuffle=shuffle)


def content(project: DbtProject) -> Content:
    order = ("customer_id", "segment_name", "valid_from_at", "stage_date", "scheme", "stage")
    with project.opened() as warehouse:
        return {
            table: sorted(
                warehouse.dicts(f"select * from {schema}.{table}"),
                key=lambda row: tuple(str(row.get(name)) for name in order),
            )
            for table, schema in TABLES.items()
        }


@pytest.fixture(scope="module")
def lives() -> list[Life]:
    return all_lives()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("history")


@pytest.fixture(scope="module")
def whole(folder: Path, lives: list[Life]) -> DbtProject:
    return built(folder / "whole", lives, AS_OF)


@pytest.fixture(scope="module")
def history(whole: DbtProject) -> Content:
    return content(whole)


@pytest.fixture(scope="module")
def customer_of(whole: DbtProject) -> dict[str, str]:
    customers = customers_of(whole)
    assert len(customers) == PEOPLE
    return customers


def customers_of(project: DbtProject) -> dict[str, str]:
    """Person → customer id, by the records that carry the person's name."""
    with project.opened() as warehouse:
        rows = warehouse.rows(
            r"select distinct regexp_extract(record_id, 'p\d{3}'), customer_id from identity.record_links order by all"
        )
    assert len(rows) == len(dict(rows)), "every person is one customer"
    return dict(rows)


def by_customer(rows: list[Record]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for row in rows:
        found.setdefault(row["customer_id"], []).append(row)
    return found


def interval_finder(rows: list[Record]) -> Callable[[datetime], Record]:
    begins = [row["valid_from_at"] for row in rows]

    def find(now: datetime) -> Record:
        index = bisect_right(begins, now) - 1
        if index < 0 or (rows[index]["valid_to_at"] is not None and rows[index]["valid_to_at"] <= now):
            return {}
        return rows[index]

    return find


# --- the second opinion ----------------------------------------------------------------------------------------------


@dataclass
class Opinion:
    """What the oracle says of one life at the moments that matter: events, clocks and their seconds, ends of days."""

    life: Life
    oracle: Oracle
    times: list[datetime] = field(default_factory=list)
    standings: list[Standing] = field(default_factory=list)
    activities: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, life: Life) -> Opinion:
        opinion = cls(life, Oracle(life, RULEBOOK))
        begin = opinion.oracle.begin
        if begin is not None:
            instants = opinion.oracle.clock_instants() | set(opinion.oracle.moments)
            times = {at + step for at in instants for step in (-SECOND, timedelta(0), SECOND)}
            times |= {end - SECOND for end in day_ends(begin)}
            opinion.times = sorted(at for at in times if begin <= at < END)
            opinion.standings = [opinion.oracle.standing(at) for at in opinion.times]
            opinion.activities = [opinion.oracle.activity(at) for at in opinion.times]
        return opinion

    def members(self) -> list[tuple[Person, datetime]]:
        """The people, each with the moment since when they are there. Nobody when nothing ever happened."""
        if not self.times:
            return []
        if len(self.life.people) == 1:
            return [(self.life.people[0], self.times[0])]
        return [(person, self.oracle.known_since(person)) for person in self.life.people]

    def stays(self, scheme: str) -> list[tuple[datetime, str]]:
        """Since when they stand where, in the words of a scheme with a history."""
        if scheme == "posthog":
            return changes(self.times, self.activities)
        words = {one: scheme_stage(scheme, one) for one in set(self.standings)}
        return changes(self.times, [words[one] for one in self.standings])


def changes(times: list[datetime], values: list[Value]) -> list[tuple[datetime, Value]]:
    """Only where it is another than before."""
    found: list[tuple[datetime, Value]] = []
    for at, value in zip(times, values, strict=True):
        if not found or found[-1][1] != value:
            found.append((at, value))
    return found


def since(known: datetime, stays: list[tuple[datetime, Value]]) -> list[tuple[datetime, Value]]:
    """The stays of somebody who is there since a moment."""
    before = [value for at, value in stays if at <= known]
    return [(known, before[-1]), *((at, value) for at, value in stays if at > known)]


def day_ends(begin: datetime) -> list[datetime]:
    first = local_day(begin)
    return [midnight_after(first + DAY * number) for number in range((AS_OF - first).days + 1)]


@pytest.fixture(scope="module")
def opinions(lives: list[Life]) -> list[Opinion]:
    return [Opinion.of(life) for life in lives]


def differences_between(opinions: list[Opinion], history: Content, customer_of: dict[str, str]) -> list[str]:
    """In words, the moments at which the models say something else."""
    histories, judged = by_customer(history["customer_lifecycle_history"]), by_customer(history["int_lifecycle_stages"])
    segments = by_customer(history["segment_history"])
    found = []
    for opinion in opinions:
        for person, known in opinion.members():
            customer = customer_of[person.name]
            stage_at = interval_finder(histories.get(customer, []))
            judged_at = interval_finder(judged.get(customer, []))
            memberships: dict[str, list[Record]] = {}
            for row in segments.get(customer, []):
                memberships.setdefault(row["segment_name"], []).append(row)
            member_at = {name: interval_finder(rows) for name, rows in memberships.items()}
            for now, expected in zip(opinion.times, opinion.standings, strict=True):
                row = judged_at(now)
                if now < known:
                    if row or stage_at(now):
                        found.append(f"{person.name} at {now}: {row.get('stage')}, but is not there before {known}")
                    continue
                standing = Standing(
                    stage_at(now).get("stage", "nothing"),
                    row.get("rule_id", "nothing"),
                    row.get("is_loyal", False),
                    row.get("is_advocate", False),
                    row.get("is_expanding", False),
                    row.get("risk_reason"),
                    row.get("is_weighing", False),
                    row.get("is_in_cart", False),
                    row.get("is_activated", False),
                    frozenset(name for name, find in member_at.items() if find(now)),
                )
                if standing != expected or row.get("is_at_risk", False) != (expected.risk is not None):
                    found.append(f"{person.name} at {now}: {told(standing, expected)}")
    return found


def told(found: Standing, expected: Standing) -> str:
    return "; ".join(
        f"{name} {value!r}, the rules say {getattr(expected, name)!r}"
        for name, value in vars(found).items()
        if value != getattr(expected, name)
    )


def first_of_each(differences: list[str]) -> str:
    """The first moment of each person: what comes later may follow from it."""
    firsts = {difference.partition(" ")[0]: difference for difference in reversed(differences)}
    return "\n".join(sorted(firsts.values())[:20])


def test_everybody_stands_where_the_rules_say_at_every_moment(
    opinions: list[Opinion], history: Content, customer_of: dict[str, str]
) -> None:
    differences = differences_between(opinions, history, customer_of)
    looked_at = sum(len(opinion.times) * len(opinion.life.people) for opinion in opinions)
    assert not differences, f"{len(differences)} of {looked_at} moments\n{first_of_each(differences)}"
    assert looked_at > 300_000


def test_people_of_an_account_have_lives_of_their_own_where_the_settings_say_so(
    folder: Path, lives: list[Life]
) -> None:
    shared = [life for life in lives if life.account]
    thresholds = THRESHOLDS.model_copy(update={"per": "customer"})
    project = built(folder / "customers", shared, AS_OF, thresholds=thresholds)
    opinions = [
        Opinion.of(Life([person], person.of("contacts")[0]["persona"])) for life in shared for person in life.people
    ]
    differences = differences_between(opinions, content(project), customers_of(project))
    assert len(opinions) > 20
    assert not differences, f"{len(differences)} moments\n{first_of_each(differences)}"


def test_the_reason_of_an_interval_is_the_rule_that_let_them_in(
    opinions: list[Opinion], history: Content, customer_of: dict[str, str]
) -> None:
    histories = by_customer(history["customer_lifecycle_history"])
    for opinion in opinions:
        expected: list[tuple[str, str, datetime]] = []
        for at, standing in changes(opinion.times, opinion.standings):
            if not expected or expected[-1][0] != standing.stage:
                expected.append((standing.stage, standing.rule, at))
        for person, known in opinion.members():
            rows = histories.get(customer_of[person.name], [])
            found = [(row["stage"], row["reason_code"], row["valid_from_at"]) for row in rows]
            later = [one for one in expected if one[2] > known]
            assert found[-len(later) :] == later if later else len(found) == 1, person.name
            assert len(found) == len(later) + 1, person.name
            assert found[0][2] == known, person.name
            if known == opinion.times[0]:
                assert found == expected, person.name


def test_the_lives_come_to_every_rule_and_every_risk(opinions: list[Opinion]) -> None:
    told = yaml.safe_load((DBT_DIR / "dbt_project.yml").read_text())["vars"]
    standings = {standing for opinion in opinions for standing in opinion.standings}
    assert {standing.rule for standing in standings} == {rule["id"] for rule in told["lifecycle_rules"]}
    assert {standing.risk for standing in standings} - {None} == {risk["id"] for risk in told["lifecycle_risks"]}


def test_the_oracle_knows_the_thresholds_by_heart() -> None:
    known = RULEBOOK.limits(None)
    assert {name: THRESHOLDS.flat()[name] for name in known} == known


# --- other vocabularies ----------------------------------------------------------------------------------------------


def test_the_seed_of_schemes_says_what_the_table_of_the_docs_says() -> None:
    rows = sorted(seed("lifecycle_schemes"), key=lambda row: int(row["precedence"]))
    assert {row["scheme"] for row in rows} >= set(MAPPED)
    for stage in MAPPED["nextiva"]:
        for number in range(8):
            flags = {
                name: bool(number >> bit & 1) for bit, name in enumerate(["is_weighing", "is_in_cart", "is_activated"])
            }
            standing = Standing(stage, "", False, False, False, None, **flags)
            for scheme in MAPPED:
                found = next(
                    row["scheme_stage"]
                    for row in rows
                    if (row["scheme"], row["stage"]) == (scheme, stage)
                    and (flags.get(row["condition"], not row["condition"]))
                )
                assert found == scheme_stage(scheme, standing), (scheme, standing)


def test_everybody_is_as_active_as_they_were_at_every_moment(
    opinions: list[Opinion], history: Content, customer_of: dict[str, str]
) -> None:
    states = by_customer(history["int_activity_states"])
    found = []
    for opinion in opinions:
        for person, known in opinion.members():
            expected = since(known, changes(opinion.times, opinion.activities))
            rows = states.get(customer_of[person.name], [])
            said = [(row["valid_from_at"], row["activity_state"]) for row in rows]
            found += [f"{person.name}: {said}, the rules say {expected}"] if said != expected else []
    assert not found, f"{len(found)} people\n" + "\n".join(found[:3])


@pytest.mark.parametrize("scheme", ["lifecycle", *MAPPED, "posthog"])
def test_the_days_of_a_scheme_count_everybody(scheme: str, opinions: list[Opinion], history: Content) -> None:
    standing, entered, left = Counter[tuple[date, str]](), Counter[tuple[date, str]](), Counter[tuple[date, str]]()
    for opinion in opinions:
        shared = opinion.stays(scheme)
        for _, known in opinion.members():
            stays = since(known, shared)
            for (begin, stage), end in zip(stays, [*(at for at, _ in stays[1:]), None], strict=True):
                entered[local_day(begin), stage] += 1
                if end is not None:
                    left[local_day(end), stage] += 1
                first, last = local_day(begin), local_day(end) if end else AS_OF + DAY
                standing.update({(first + DAY * number, stage): 1 for number in range((last - first).days)})
    rows = [row for row in history["lifecycle_stage_daily"] if row["scheme"] == scheme]
    found = {
        (row["stage_date"], row["stage"]): (row["customer_count"], row["entered_count"], row["left_count"])
        for row in rows
    }
    expected = {key: (standing[key], entered[key], left[key]) for key in {*found, *standing, *entered, *left}}
    assert {key: found.get(key) for key in expected if found.get(key) != expected[key]} == {}
    days = {day for day, _ in found}
    assert (min(days), max(days)) == (min(day for day, _ in standing), AS_OF)
    assert len(days) == (AS_OF - min(days)).days + 1


def test_the_days_since_the_last_purchase_group_everybody_at_the_ends_of_months(
    opinions: list[Opinion], history: Content
) -> None:
    rows = [row for row in history["lifecycle_stage_daily"] if row["scheme"] == "amperity_predicted"]
    found = {(row["stage_date"], row["stage"]): row for row in rows}
    days = sorted({row["stage_date"] for row in rows})
    assert len(days) > 20
    assert all((day + DAY).day == 1 for day in days)
    members = [(opinion, person, known) for opinion in opinions for person, known in opinion.members()]
    groups: dict[str, str] = {}
    for day in days:
        end, before = midnight_after(day), groups
        groups = {person.name: opinion.oracle.predicted(end) for opinion, person, known in members if known < end}
        counts = Counter(groups.values())
        moved = [name for name in groups if before.get(name) != groups[name]]
        entered = Counter(groups[name] for name in moved)
        left = Counter(before[name] for name in moved if name in before)
        for stage in ("prospect", "active", "cooling_down", "at_risk", "highly_at_risk", "lost"):
            row = found[day, stage]
            assert row["customer_count"] == counts[stage], (day, stage)
            if day != days[0]:
                assert (row["entered_count"], row["left_count"]) == (entered[stage], left[stage]), (day, stage)


def test_everybody_stands_in_every_scheme_where_they_stood_last(
    opinions: list[Opinion], history: Content, customer_of: dict[str, str]
) -> None:
    found = {(row["customer_id"], row["scheme"]): row["stage"] for row in history["customer_scheme_stages"]}
    assert len(found) == len(history["customer_scheme_stages"])
    schemes = ["lifecycle", *MAPPED, "posthog", *SNAPSHOTS]
    assert found.keys() == {(customer, scheme) for customer in customer_of.values() for scheme in schemes}
    for opinion in opinions:
        for person, _ in opinion.members():
            customer = customer_of[person.name]
            for scheme in ("lifecycle", *MAPPED):
                assert found[customer, scheme] == scheme_stage(scheme, opinion.standings[-1]), (person.name, scheme)
            assert found[customer, "posthog"] == opinion.activities[-1], person.name
            assert found[customer, "amperity_predicted"] == opinion.oracle.predicted(END), person.name


# --- what holds whatever the rules are -------------------------------------------------------------------------------


def test_the_intervals_of_a_customer_touch_and_the_last_one_is_open(
    history: Content, opinions: list[Opinion], customer_of: dict[str, str]
) -> None:
    for table in ("customer_lifecycle_history", "int_lifecycle_stages", "int_activity_states"):
        begins = {}
        for customer, rows in by_customer(history[table]).items():
            ends = [row["valid_to_at"] for row in rows]
            assert ends == [*(row["valid_from_at"] for row in rows[1:]), None]
            assert all(row["valid_to_at"] is None or row["valid_from_at"] < row["valid_to_at"] for row in rows)
            begins[customer] = rows[0]["valid_from_at"]
        assert begins == {
            customer_of[person.name]: known for opinion in opinions for person, known in opinion.members()
        }


def test_no_two_neighbouring_intervals_have_the_same_stage(history: Content) -> None:
    for table, name in (("customer_lifecycle_history", "stage"), ("int_activity_states", "activity_state")):
        for rows in by_customer(history[table]).values():
            assert all(one[name] != following[name] for one, following in pairwise(rows))


def cut_off(rows: list[Record], end: datetime) -> list[Record]:
    """What was known of these intervals at a moment."""
    found = []
    for row in rows:
        if row["valid_from_at"] < end:
            is_open = row["valid_to_at"] is None or row["valid_to_at"] >= end
            left = {"valid_to_at": None} | ({"exit_reason": None} if "exit_reason" in row else {})
            found.append(row | left if is_open else row)
    return found


@pytest.mark.parametrize("day", PAST_DAYS, ids=str)
def test_a_build_for_an_earlier_day_gives_the_same_history_cut_off_at_its_end(
    day: date, folder: Path, lives: list[Life], history: Content
) -> None:
    end = midnight_after(day)
    earlier = content(built(folder / str(day), lives, day))
    for table in (*OF_INTERVALS, "lifecycle_stage_daily"):
        if table == "lifecycle_stage_daily":
            # A run keeps snapshots of its own last day, and of so many month ends before it.
            expected = [row for row in history[table] if row["stage_date"] <= day and row["scheme"] not in SNAPSHOTS]
            earlier[table] = [row for row in earlier[table] if row["scheme"] not in SNAPSHOTS]
        else:
            expected = cut_off(history[table], end)
        assert len(expected) > 10
        different = [
            f"{found}\n  the whole history says {known}"
            for found, known in zip(earlier[table], expected, strict=False)
            if found != known
        ]
        assert not different, f"{table}: {len(different)} differ\n" + "\n".join(different[:5])
        assert len(earlier[table]) == len(expected)


def test_the_order_of_the_raw_rows_changes_nothing(folder: Path, lives: list[Life], history: Content) -> None:
    shuffled = content(built(folder / "shuffled", lives, AS_OF, random.Random(7)))  # noqa: S311
    for table in TABLES:
        assert shuffled[table] == history[table], table


def test_a_late_record_changes_nobody_else(
    folder: Path, lives: list[Life], history: Content, customer_of: dict[str, str], opinions: list[Opinion]
) -> None:
    buyers = [opinion.life for opinion in opinions if len(opinion.oracle.facts(END).paid) > 3]
    late = [
        next(life for life in buyers if life.account),
        next(life for life in buyers if not life.account and life.people[0].of("contacts")),
    ]
    concerned = {customer_of[person.name] for life in late for person in life.people}
    assert len(concerned) > 2
    with_late = [add_a_late_order(life) if life in late else life for life in lives]
    later = content(built(folder / "late", with_late, AS_OF))
    for table in TABLES:
        if table == "lifecycle_stage_daily":
            continue
        rows = [[row for row in content[table] if row.get("scheme") not in SNAPSHOTS] for content in (history, later)]
        before, after = map(by_customer, rows)
        changed = {customer for customer in before.keys() | after.keys() if before.get(customer) != after.get(customer)}
        assert changed <= concerned
        if table == "int_lifecycle_stages":
            assert changed == concerned


def add_a_late_order(life: Life) -> Life:
    person = life.people[0]
    order = {
        "order_id": f"{person.name}-late", "ordered_at": datetime(2022, 3, 3, 15), "order_status": "completed",
        "total_amount": Decimal(80), "currency": "USD", "contact_id": person.name, "order_channel": "web",
    }  # fmt: skip
    told = Person(person.name, person.records | {"orders": [*person.of("orders"), order]})
    return replace(life, people=[told, *life.people[1:]])
