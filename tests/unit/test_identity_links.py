"""Which records are one person by what they carry, what keeps an identifier from linking, and who gets the rest."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

from lifecycle.identity.links import BLOCKED, PROFILES, RECORDS
from lifecycle.identity.resolution import LINKS, Policy
from lifecycle.identity.resolution import resolve as resolve_tables
from lifecycle.warehouse import Warehouse, open_duckdb
from tests.identity_case import contact, decision, people, record, resolve, together, write_tables


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    with open_duckdb(tmp_path / "warehouse.duckdb") as opened:
        yield opened


def day(number: int) -> datetime:
    return datetime(2024, 1, 1) + timedelta(days=number)


def rules(warehouse: Warehouse) -> dict[str, str]:
    return dict(warehouse.rows(f"select record_id, link_rule from {LINKS}"))


def blocked(warehouse: Warehouse) -> dict[tuple[str, str], str]:
    """Identifiers that link nobody: (kind, value) → reason."""
    rows = warehouse.rows(f"select identifier_kind, identifier_value, reason from {BLOCKED}")
    found = {(kind, value): reason for kind, value, reason in rows}
    assert len(found) == len(rows), "one row per identifier"
    return found


# --- certain links ---------------------------------------------------------------------------------------------------


def test_records_that_share_a_strong_identifier_are_one_person(warehouse: Warehouse) -> None:
    found, _ = resolve(
        warehouse,
        contact("1", email="ada@example.com"),
        record("o1", contact="shop:1", table="orders"),
        record("t1", email="Ada@Example.com ", table="tickets"),
        record("v1", user="shop:u1", email="ada@example.com", cookie="web:k1", table="touchpoints"),
        record("v2", cookie="web:k1", table="touchpoints"),
        contact("2", email="ben@example.com"),
    )
    assert people(found) == together("1 o1 t1 v1 v2", "2")


def test_a_web_cookie_two_emails_a_loyalty_card_and_a_phone_in_a_ticket_are_one_person(warehouse: Warehouse) -> None:
    found, _ = resolve(
        warehouse,
        record("visit", cookie="web:k1", table="touchpoints", at=day(1)),
        record("login", cookie="web:k1", user="web:u1", email="ada@work.example", table="touchpoints", at=day(2)),
        contact("7", source="web", user="web:u1", email="ada@home.example", phone="(212) 555-0147", at=day(2)),
        contact("L9", source="loyalty", email="ada@home.example", at=day(3)),
        record("earn", source="loyalty", contact="loyalty:L9", table="loyalty_events", at=day(4)),
        record("call", source="desk", phone="+1 212-555-0147", table="tickets", at=day(5)),
    )
    assert people(found) == together("visit login 7 L9 earn call")
    assert rules(warehouse) == {
        "visit": "anonymous_id",
        "login": "user_id",
        "7": "email",
        "L9": "email",
        "earn": "contact_id",
        "call": "phone",
    }


def test_gmail_addresses_are_one_whatever_their_dots_and_tags(warehouse: Warehouse) -> None:
    found, _ = resolve(
        warehouse,
        contact("1", email="ada.lovelace@gmail.com"),
        contact("2", email="adalovelace+shop@googlemail.com"),
        contact("3", email="ada.lovelace@example.com"),
        contact("4", email="adalovelace@example.com"),
        probable_links=False,
    )
    assert people(found) == together("1 2", "3", "4")


def test_the_same_number_in_two_systems_is_two_people(warehouse: Warehouse) -> None:
    found, _ = resolve(
        warehouse,
        contact("42"),
        record("d42", contact="desk:42", source="desk"),
        record("u1", user="shop:42", table="touchpoints"),
    )
    assert people(found) == together("42", "d42", "u1")


def test_a_record_without_an_identifier_belongs_to_nobody(warehouse: Warehouse) -> None:
    found, resolution = resolve(warehouse, contact("1"), record("o1", table="orders"))
    assert people(found) == together("1")
    assert (resolution.record_count, resolution.customer_count) == (1, 1)


def test_nothing_in_gives_nothing_out(warehouse: Warehouse) -> None:
    found, resolution = resolve(warehouse)
    assert found == {}
    assert (resolution.record_count, resolution.customer_count, resolution.review_pair_count) == (0, 0, 0)


def random_graph(seed: int) -> list[dict[str, Any]]:
    """Records of a small world of its own, each with one to three identifiers."""
    luck = random.Random(seed)  # noqa: S311 - reproducible, not secret
    many = luck.choice([4, 12, 40])
    records = []
    for number in range(luck.choice([3, 15, 60])):
        given = {
            "contact": f"shop:{seed}-{luck.randrange(many)}",
            "user": f"web:{seed}-{luck.randrange(many)}",
            "email": f"p{luck.randrange(many)}@world{seed}.example",
        }
        chosen = luck.sample(sorted(given), luck.choice([1, 1, 2, 3]))
        records.append(record(f"{seed}-{number}", table="touchpoints", **{name: given[name] for name in chosen}))
    return records


@pytest.mark.parametrize("limit", [2, 3, 100])
def test_links_are_those_of_networkx_on_random_records_with_blocked_identifiers(
    warehouse: Warehouse, limit: int
) -> None:
    records = [one for seed in range(200) for one in random_graph(seed)]
    found, _ = resolve(warehouse, *records, max_contacts_per_identifier=limit, max_cluster_size=1_000)
    stopped = set(blocked(warehouse))
    assert bool(stopped) == (limit < 100)
    graph = nx.Graph()
    for one in records:
        own = [
            (kind, one[column])
            for kind, column in (("contact_id", "contact_key"), ("user_id", "user_key"), ("email", "email"))
            if one[column] and (kind, one[column]) not in stopped
        ]
        if own:
            nx.add_path(graph, [("record", one["record_id"]), *own])
    expected = {
        frozenset(name for kind, name in component if kind == "record") for component in nx.connected_components(graph)
    }
    linked = {name for group in expected for name in group}
    # A contact id that is shared too widely keeps the records that carry nothing else; the others are linked as above.
    assert people({name: customer for name, customer in found.items() if name in linked}) == expected
    assert len(expected) > 500, "the graphs fall into many parts"


# --- guards ----------------------------------------------------------------------------------------------------------


def test_an_email_shared_by_too_many_contacts_links_nobody(warehouse: Warehouse) -> None:
    contacts = [contact(f"c{number}", email="office@example.com") for number in range(4)]
    ticket = record("t1", email="office@example.com", table="tickets")
    found, _ = resolve(warehouse, *contacts, ticket, max_contacts_per_identifier=3)
    assert people(found) == together("c0", "c1", "c2", "c3")
    assert blocked(warehouse) == {("email", "office@example.com"): "shared too widely"}
    found, _ = resolve(warehouse, *contacts[:3], ticket, max_contacts_per_identifier=3)
    assert people(found) == together("c0 c1 c2 t1"), "as many as allowed are one person"
    assert blocked(warehouse) == {}


def test_an_email_of_many_guest_orders_is_shared_when_their_phones_say_so(warehouse: Warehouse) -> None:
    orders = [
        record(f"o{number}", email="guest@example.com", phone=f"+1212555{number:04d}", table="orders")
        for number in range(12)
    ]
    found, _ = resolve(warehouse, *orders)
    assert len(people(found)) == 12, "each is known by the phone instead"
    assert blocked(warehouse)[("email", "guest@example.com")] == "shared too widely"


def test_many_orders_of_one_contact_do_not_make_an_email_shared(warehouse: Warehouse) -> None:
    orders = [record(f"o{number}", contact="shop:1", email="ada@example.com", table="orders") for number in range(20)]
    found, _ = resolve(warehouse, *orders, max_contacts_per_identifier=3)
    assert len(people(found)) == 1
    assert blocked(warehouse) == {}


def test_the_contact_id_of_all_guests_links_none_of_their_emails(warehouse: Warehouse) -> None:
    orders = [
        record(f"o{number}", contact="shop:0", email=f"p{number}@example.com", table="orders") for number in range(12)
    ]
    bare = record("bare", contact="shop:0", table="orders")
    found, _ = resolve(warehouse, *orders, bare)
    assert len(people(found)) == 13
    assert blocked(warehouse) == {("contact_id", "shop:0"): "shared too widely"}


@pytest.mark.parametrize("email", ["test@test.com", "noreply@shop.example", "no-reply@other.example"])
def test_a_junk_email_links_nobody_however_few_use_it(warehouse: Warehouse, email: str) -> None:
    found, _ = resolve(
        warehouse, contact("1", email=email), contact("2", email=email), record("guest", email=email, table="orders")
    )
    assert people(found) == together("1", "2")
    assert blocked(warehouse) == {("email", email): "junk"}


@pytest.mark.parametrize(
    ("email", "reason"),
    [
        ("ada.example.com", "not an email address"),
        ("ada@", "not an email address"),
        ("a..b@example.com", "not an email address"),
        ("аda@example.com", "letters of different scripts in one word (cyrillic, latin)"),
        ("adα@example.com", "letters of different scripts in one word (greek, latin)"),
    ],
)
def test_an_email_that_cannot_be_one_matches_nothing_and_is_reported(
    warehouse: Warehouse, email: str, reason: str
) -> None:
    twins = [contact(name, email=email, first="Ada", last="Lovelace") for name in ("1", "2")]
    true = contact("3", email="ada@example.com", first="Zoe", last="Quist")
    found, _ = resolve(warehouse, *twins, true, probable_links=False)
    assert people(found) == together("1", "2", "3")
    assert blocked(warehouse) == {("email", email): reason}


def test_an_address_in_another_script_throughout_is_an_address(warehouse: Warehouse) -> None:
    found, _ = resolve(warehouse, contact("1", email="иван@пример.example"), contact("2", email="Иван@пример.example"))
    assert people(found) == together("1 2")
    assert blocked(warehouse) == {}


@pytest.mark.parametrize(
    ("phone", "country", "reason"),
    [
        ("call me", "US", "not a phone number"),
        ("12", "US", "no such number can exist"),
        ("000 000 0000", "US", "no such number can exist"),
        ("030 901820", None, "without a country code, and no country is known"),
    ],
)
def test_a_phone_that_cannot_be_one_matches_nothing_and_is_reported(
    warehouse: Warehouse, phone: str, country: str | None, reason: str
) -> None:
    same = {"phone": phone, "country": country, "first": "Ada", "last": "Lovelace"}
    found, _ = resolve(
        warehouse, contact("1", **same), contact("2", **same), probable_links=False, default_country=None
    )
    assert people(found) == together("1", "2")
    assert blocked(warehouse) == {("phone", phone): reason}


def test_a_phone_is_one_number_however_it_is_written_and_wherever_it_is_dialled_from(warehouse: Warehouse) -> None:
    named = {"first": "Ada", "last": "Lovelace"}
    found, _ = resolve(
        warehouse,
        contact("1", phone="030 901820", country="DE", **named),
        contact("2", phone="+49 30 90 18 20", **named),
        contact("3", phone="0049-30-901820", country="FR", **named),
        probable_links=False,
    )
    assert people(found) == together("1 2 3")
    assert rules(warehouse) == dict.fromkeys("123", "phone_and_name")


def test_another_default_country_judges_the_same_writing_anew(warehouse: Warehouse) -> None:
    call = record("call", phone="030 901820", table="tickets")
    customer = contact("1", phone="+4930901820")
    assert people(resolve(warehouse, customer, call, default_country=None)[0]) == together("1")
    assert people(resolve(warehouse, customer, call, default_country="DE")[0]) == together("1 call")


def test_a_phone_alone_joins_no_two_contacts_and_brings_a_call_to_the_only_one_who_has_it(warehouse: Warehouse) -> None:
    call = record("call", phone="+12125550147", table="tickets")
    found, _ = resolve(warehouse, contact("1", phone="+12125550147"), call, probable_links=False)
    assert people(found) == together("1 call")
    ada = contact("1", phone="+12125550147", first="Ada", last="Byron")
    william = contact("2", phone="+12125550147", first="William", last="Byron")
    found, _ = resolve(warehouse, ada, william, call, probable_links=False)
    assert people(found) == together("1", "2", "call"), "who of the household called is not known"
    assert blocked(warehouse) == {("phone", "+12125550147"): "used by several people"}


def test_calls_of_somebody_known_by_a_phone_alone_are_one_person(warehouse: Warehouse) -> None:
    calls = [record(f"call{number}", phone="+12125550147", table="tickets") for number in range(3)]
    found, _ = resolve(warehouse, *calls)
    assert people(found) == together("call0 call1 call2")


def test_a_recycled_email_links_neither_holder_and_its_orders_follow_time(warehouse: Warehouse) -> None:
    found, _ = resolve(
        warehouse,
        contact("1", email="jo@example.com", born="1950-04-12", at=day(10)),
        contact("2", email="jo@example.com", born="1991-11-03", at=day(100)),
        record("before", email="jo@example.com", table="orders", at=day(5)),
        record("during", email="jo@example.com", table="orders", at=day(50)),
        record("after", email="jo@example.com", table="orders", at=day(150)),
        probable_links=False,
    )
    assert people(found) == together("1 before during", "2 after")
    assert blocked(warehouse) == {("email", "jo@example.com"): "holders contradict each other"}
    confidences = dict(warehouse.rows(f"select record_id, confidence from {LINKS}"))
    assert confidences == {"1": 1.0, "2": 1.0, "before": 0.9, "during": 0.9, "after": 0.9}


@pytest.mark.parametrize(
    ("one", "other", "together_"),
    [
        ({"born": "1984-03-12"}, {"born": "1984-12-03"}, True),
        ({"born": "1984-03-12"}, {"born": "1985-03-21"}, True),
        ({"born": "1984-03-12"}, {"born": "1961-09-30"}, False),
        ({"born": "1984-03-12"}, {"born": "1970-01-01"}, False),
        ({"born": "1984-03-12"}, {}, True),
        ({"first": "Ada", "last": "Byron"}, {"first": "Byron", "last": "Ada"}, True),
        ({"first": "Robert", "last": "Byron"}, {"first": "Bob", "last": "King"}, True),
        ({"first": "Ada", "last": "Byron"}, {"first": "Augusta", "last": "Byron"}, True),
        ({"first": "Ada", "last": "Byron"}, {"first": "Walter", "last": "Mitchell"}, False),
        ({"first": "A", "last": "Byron"}, {"first": "Ada", "last": "Mitchell"}, True),
    ],
)
def test_holders_contradict_each_other_when_no_slip_of_the_pen_explains_it(
    warehouse: Warehouse, one: dict[str, str], other: dict[str, str], together_: bool
) -> None:
    found, _ = resolve(
        warehouse,
        contact("1", email="ab@example.com", **one),
        contact("2", email="ab@example.com", **other),
        probable_links=False,
    )
    assert (people(found) == together("1 2")) == together_


def test_a_chain_that_joins_two_people_who_contradict_each_other_is_cut_at_its_latest_link(
    warehouse: Warehouse,
) -> None:
    found, _ = resolve(
        warehouse,
        contact("1", email="a@example.com", born="1950-04-12", at=day(1)),
        contact("2", email="b@example.com", born="1991-11-03", at=day(2)),
        record("bridge", email="a@example.com", contact="shop:2", table="orders", at=day(9)),
        probable_links=False,
    )
    assert found["1"] != found["2"]
    assert found["bridge"] == found["2"], "its contact id is stronger than its email"


def test_a_chain_of_a_hundred_thousand_links_is_reported_and_nobody_is_merged(warehouse: Warehouse) -> None:
    count = 100_000
    write_tables(warehouse, [contact("template")])
    numbers = f"range({count}) as numbers (i)"
    # Two records of each contact: one with an email of its own, one with the next contact's.
    warehouse.run(
        f"create or replace table {RECORDS} as select 'orders:shop:' || i || '-' || side as record_key,"
        " 'shop' as source_system, 'orders' as record_table, i || '-' || side as record_id,"
        " timestamp '2024-01-01' as occurred_at, 'shop:' || i as contact_key, cast(null as varchar) as user_key,"
        " 'p' || (i + side) || '@example.com' as email, cast(null as varchar) as phone,"
        f" cast(null as varchar) as anonymous_key, cast(null as varchar) as country from {numbers}"
        " cross join (values (0), (1)) as sides (side)"
    )
    warehouse.run(f"delete from {PROFILES}")
    found = resolve_tables(warehouse, Policy())
    assert (found.record_count, found.customer_count) == (2 * count, count)
    assert warehouse.rows(f"select reason, count(*) from {BLOCKED} group by reason") == [
        ("would join too many people", count + 1)
    ]


def test_a_hundred_thousand_fragments_with_one_value_are_reported_and_nobody_is_merged(warehouse: Warehouse) -> None:
    count = 100_000
    write_tables(warehouse, [contact("template")])
    warehouse.run(
        f"create or replace table {RECORDS} as select 'contacts:shop:' || i as record_key, 'shop' as source_system,"
        " 'contacts' as record_table, cast(i as varchar) as record_id, timestamp '2024-01-01' as occurred_at,"
        " 'shop:' || i as contact_key, cast(null as varchar) as user_key, 'one@example.com' as email,"
        " '+12125550147' as phone, 'web:kiosk' as anonymous_key, 'US' as country"
        f" from range({count}) as numbers (i)"
    )
    warehouse.run(
        f"create or replace table {PROFILES} as select record_key, contact_key, 'Guest' as first_name,"
        " 'Guest' as last_name, '1999-09-09' as birth_date, '1 Main Street' as street, 'Town' as city,"
        f" '12345' as postcode from {RECORDS}"
    )
    found = resolve_tables(warehouse, Policy())
    assert (found.record_count, found.customer_count) == (count, count)
    reasons = dict(warehouse.rows(f"select identifier_kind, reason from {BLOCKED}"))
    assert reasons == dict.fromkeys(("email", "phone", "phone_and_name"), "shared too widely")


# --- cookies ---------------------------------------------------------------------------------------------------------


def test_anonymous_visits_join_the_person_who_signed_in_later_back_in_time(warehouse: Warehouse) -> None:
    found, _ = resolve(
        warehouse,
        record("v1", cookie="web:k1", table="touchpoints", at=day(1)),
        record("v2", contact="shop:1", cookie="web:k1", table="touchpoints", at=day(2)),
        record("v3", cookie="web:k2", table="touchpoints"),
    )
    assert people(found) == together("v1 v2", "v3")
    assert rules(warehouse) == {"v1": "anonymous_id", "v2": "contact_id", "v3": "anonymous_id"}


def test_a_cookie_joins_no_two_people_and_its_visits_belong_to_whoever_used_it_last(warehouse: Warehouse) -> None:
    found, _ = resolve(
        warehouse,
        record("before", cookie="web:family", table="touchpoints", at=day(1)),
        record("ada", contact="shop:1", cookie="web:family", table="touchpoints", at=day(2)),
        record("between", cookie="web:family", table="touchpoints", at=day(3)),
        record("ben", contact="shop:2", cookie="web:family", table="touchpoints", at=day(4)),
        record("after", cookie="web:family", table="touchpoints", at=day(5)),
    )
    assert people(found) == together("before ada between", "ben after")


def test_the_visits_of_a_kiosk_belong_to_nobody(warehouse: Warehouse) -> None:
    users = [
        record(f"u{number}", contact=f"shop:{number}", cookie="web:kiosk", table="touchpoints") for number in range(5)
    ]
    visit = record("visit", cookie="web:kiosk", table="touchpoints", at=day(90))
    found, _ = resolve(warehouse, *users, visit, max_contacts_per_identifier=4)
    assert people(found) == together("u0", "u1", "u2", "u3", "u4")
    assert blocked(warehouse) == {("anonymous_id", "web:kiosk"): "used by too many people"}


# --- ids -------------------------------------------------------------------------------------------------------------


def mixed_records(count: int, seed: int) -> list[dict[str, object]]:
    """Records of every kind with shared, contested and missing identifiers."""
    luck = random.Random(seed)  # noqa: S311 - reproducible, not secret
    records = []
    for number in range(count):
        person = luck.randrange(count // 4)
        given: dict[str, object] = {"at": luck.choice([None, day(luck.randrange(300))])}
        if luck.random() < 0.5:
            given["email"] = f"p{person}@example.com"
        if luck.random() < 0.4:
            given["phone"] = f"+1212{2_000_000 + person // 2:07d}"
        if luck.random() < 0.4:
            given["cookie"] = f"web:k{person // 3}"
        if luck.random() < 0.2:
            given["user"] = f"web:u{person}"
        if luck.random() < 0.5:
            given |= {"first": f"First{person}", "last": f"Last{person // 2}"}
            given |= {"born": f"{1940 + person % 60}-0{1 + person % 9}-1{person % 9}"}
            records.append(contact(f"c{number}", **given))
        else:
            records.append(record(f"r{number}", table=luck.choice(["orders", "touchpoints"]), **given))
    return records


def test_the_ids_depend_on_no_order_of_rows(warehouse: Warehouse) -> None:
    records = mixed_records(400, seed=1)
    first, _ = resolve(warehouse, *records)
    assert len(people(first)) > 40
    for seed in range(20):
        random.Random(seed).shuffle(records)  # noqa: S311
        assert resolve(warehouse, *records)[0] == first, f"seed {seed}"


def test_three_increments_end_where_a_rebuild_does(tmp_path: Path) -> None:
    records = mixed_records(600, seed=2)
    with open_duckdb(tmp_path / "increments.duckdb") as increments:
        # What an earlier run keeps (the numbers it has judged) must not show in a later one.
        for share in (200, 400, 600):
            grown, _ = resolve(increments, *records[:share])
    with open_duckdb(tmp_path / "rebuild.duckdb") as rebuild:
        assert resolve(rebuild, *reversed(records))[0] == grown


def test_a_customer_is_named_after_the_earliest_record_and_keeps_the_name(warehouse: Warehouse) -> None:
    early = record("o1", contact="shop:1", table="orders", at=day(1))
    late = record("o2", contact="shop:1", table="orders", at=day(30))
    alone, _ = resolve(warehouse, early)
    both, _ = resolve(warehouse, late, early)
    assert alone["o1"] == both["o1"] == both["o2"]
    only_late, _ = resolve(warehouse, late)
    assert only_late["o2"] != both["o2"]


def test_an_undated_record_has_always_been_there_and_comes_first(warehouse: Warehouse) -> None:
    undated = contact("1", at=None)
    ancient = record("o1", contact="shop:1", table="orders", at=datetime(1999, 1, 1))
    alone, _ = resolve(warehouse, undated)
    both, _ = resolve(warehouse, ancient, undated)
    assert both == {"1": alone["1"], "o1": alone["1"]}


def test_of_two_merging_customers_the_older_ones_id_survives(warehouse: Warehouse) -> None:
    older = record("o1", contact="shop:1", table="orders", at=day(1))
    younger = record("t1", email="ada@example.com", table="tickets", at=day(30))
    bridge = contact("1", email="ada@example.com", at=day(60))
    apart, _ = resolve(warehouse, older, younger)
    merged, _ = resolve(warehouse, older, younger, bridge)
    assert apart["o1"] != apart["t1"]
    assert set(merged.values()) == {apart["o1"]}


def test_resolving_leaves_no_temporary_table_behind_and_touches_no_other(warehouse: Warehouse) -> None:
    warehouse.run("create temp table mine as select 1 as one")
    resolve(warehouse, contact("1", email="ada@example.com", first="Ada"), contact("2", first="Ada"))
    assert warehouse.rows("select table_name from duckdb_tables() where temporary") == [("mine",)]


# --- stewards --------------------------------------------------------------------------------------------------------


def outcomes(warehouse: Warehouse) -> list[tuple[str, str, str | None]]:
    return warehouse.rows("select decision, outcome, detail from identity.decision_log order by decision_id")


ADA = contact("1", email="ada@example.com", at=day(1))
BEN = contact("2", email="ben@example.com", at=day(2))
BRIDGE = record("3", contact="shop:1", email="ben@example.com", table="orders", at=day(9))


def test_a_steward_joins_what_nothing_else_does_and_takes_it_back(warehouse: Warehouse) -> None:
    apart, _ = resolve(warehouse, ADA, BEN)
    same = decision("contacts:shop:1", "contacts:shop:2", "same", at=day(20), decision_id="d1")
    found, _ = resolve(warehouse, ADA, BEN, decisions=[same])
    assert set(found.values()) == {apart["1"]}
    assert rules(warehouse) == {"1": "steward", "2": "steward"}
    undone = decision("contacts:shop:2", "contacts:shop:1", "different", at=day(21), decision_id="d2")
    found, _ = resolve(warehouse, ADA, BEN, decisions=[same, undone])
    assert found == apart
    assert outcomes(warehouse) == [
        ("same", "superseded", "a later decision on the same two records holds"),
        ("different", "applied", None),
    ]


def test_a_split_restores_both_customers_that_a_new_record_joined(warehouse: Warehouse) -> None:
    apart, _ = resolve(warehouse, ADA, BEN)
    joined, _ = resolve(warehouse, ADA, BEN, BRIDGE)
    assert set(joined.values()) == {apart["1"]}, "the older id survives"
    split = decision("contacts:shop:1", "contacts:shop:2", "different", at=day(20))
    found, _ = resolve(warehouse, ADA, BEN, BRIDGE, decisions=[split])
    assert {name: found[name] for name in apart} == apart
    assert outcomes(warehouse) == [("different", "applied", None)]


def test_a_steward_keeps_apart_what_is_alike(warehouse: Warehouse) -> None:
    alike = {"first": "Ada", "last": "Lovelace", "born": "1984-03-12", "street": "5 Mill Lane", "city": "Ipswich"}
    twins = [contact("1", **alike), contact("2", **alike), contact("3", **alike)]
    together_, _ = resolve(warehouse, *twins)
    assert len(set(together_.values())) == 1
    bar = decision("contacts:shop:1", "contacts:shop:2", "different")
    found, _ = resolve(warehouse, *twins, decisions=[bar])
    assert found["1"] != found["2"]
    assert found["3"] in (found["1"], found["2"])


def test_a_stewards_same_outweighs_birth_dates_that_contradict_each_other(warehouse: Warehouse) -> None:
    old = contact("1", email="jo@example.com", born="1950-04-12")
    young = contact("2", email="jo@example.com", born="1991-11-03")
    assert len(people(resolve(warehouse, old, young)[0])) == 2
    same = decision("contacts:shop:1", "contacts:shop:2", "same")
    assert len(people(resolve(warehouse, old, young, decisions=[same])[0])) == 1


@pytest.mark.parametrize(
    ("left", "right", "detail"),
    [
        ("contacts:shop:9", "contacts:shop:1", "the second record (by table and id) is not known"),
        ("contacts:shop:8", "contacts:shop:9", "neither record is known"),
        ("contacts:shop:1", "touchpoints:shop:v1", "a record carries no contact id, account or usable email"),
        ("contacts:shop:1", "orders:shop:3", "both records carry the same strongest identifier"),
    ],
)
def test_a_decision_that_cannot_hold_says_why_and_changes_nothing(
    warehouse: Warehouse, left: str, right: str, detail: str
) -> None:
    visit = record("v1", cookie="web:k1", table="touchpoints")
    before, _ = resolve(warehouse, ADA, BEN, BRIDGE, visit)
    found, _ = resolve(warehouse, ADA, BEN, BRIDGE, visit, decisions=[decision(left, right, "different")])
    assert found == before
    ((_, outcome, said),) = outcomes(warehouse)
    assert outcome == "not applied"
    assert said is not None and said.startswith(detail)


def test_decisions_that_contradict_each_other_are_reported(warehouse: Warehouse) -> None:
    third = contact("3", email="cat@example.com", at=day(3))
    found, _ = resolve(
        warehouse,
        ADA,
        BEN,
        third,
        decisions=[
            decision("contacts:shop:1", "contacts:shop:2", "same", decision_id="d1"),
            decision("contacts:shop:2", "contacts:shop:3", "same", decision_id="d2"),
            decision("contacts:shop:1", "contacts:shop:3", "different", decision_id="d3"),
        ],
    )
    assert found["1"] != found["3"], "what a steward sets apart stays apart"
    held = [outcome for _, outcome, _ in outcomes(warehouse)]
    assert sorted(held) == ["applied", "applied", "not applied"]
    assert ("different", "applied", None) in outcomes(warehouse)
