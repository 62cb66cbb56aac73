"""What fields say of two records, in bits: each story is a pair of people, or one person twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lifecycle.identity.scoring import GUARD_BITS, PEOPLE, prepare_people, propose_pairs, score_pairs
from lifecycle.warehouse import Warehouse, open_duckdb
from tests.identity_case import contact, write_tables

CROWD = 2_000


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with open_duckdb(tmp_path_factory.mktemp("scoring") / "warehouse.duckdb") as opened:
        write_tables(opened, [contact("template")])
        # Strangers among whom some names are common, as they are anywhere.
        opened.run(
            "create table crowd as select 'stranger-' || i as record_key, cast(i as bigint) as node,"
            " ['Mark', 'Mary', 'John', 'Anna', 'First' || i][1 + i % 5] as first_name,"
            " ['Smith', 'Jones', 'Last' || i, 'Name' || (i * 7), 'Other' || i][1 + i % 5] as last_name,"
            " cast(date '1940-01-01' + cast(i * 11 % 20000 as integer) as varchar) as birth_date,"
            " i || ' Road ' || i % 97 as street, 'Town' || i % 50 as city, cast(10000 + i as varchar) as postcode,"
            f" 'mail' || i || '@example.com' as email, '+1212' || (2000000 + i) as phone from range({CROWD}) as r (i)"
        )
        yield opened


def scored(warehouse: Warehouse, left: dict[str, Any], right: dict[str, Any]) -> dict[str, float]:
    """Bits by field and in total (``score``) of two records in the crowd."""
    columns = ("first_name", "last_name", "birth_date", "street", "city", "postcode", "email", "phone")
    given = [contact("a", **left), contact("b", **right)]
    values = ", ".join("(" + ", ".join("?" for _ in range(len(columns) + 2)) + ")" for _ in given)
    warehouse.run("create or replace temp table pair as from crowd")
    warehouse.run(
        f"insert into pair by name from (values {values}) as given (record_key, node, {', '.join(columns)})",
        [
            value
            for node, one in enumerate(given, CROWD)
            for value in (one["record_id"], node, *(one[c] for c in columns))
        ],
    )
    count = prepare_people(warehouse, "from pair")
    numbers = dict(warehouse.rows(f"select record_key, number from {PEOPLE} where record_key in ('a', 'b')"))
    small, large = sorted(numbers.values())
    score_pairs(warehouse, f"select {small} as left_number, {large} as right_number", count, "result")
    (row,) = warehouse.dicts("select * from result")
    return {name.removesuffix("_bits"): value for name, value in row.items() if name.endswith("_bits")}


def is_proposed(warehouse: Warehouse) -> bool:
    """Whether the pair that was scored last would have been found."""
    propose_pairs(warehouse)
    return bool(
        warehouse.scalar(
            f"select count(*) from identity_pairs inner join {PEOPLE} as l on left_number = l.number"
            f" inner join {PEOPLE} as r on right_number = r.number"
            " where (l.record_key, r.record_key) in (('a', 'b'), ('b', 'a'))"
        )
    )


ADA = {
    "first": "Augusta", "last": "Byron", "born": "1915-12-10", "street": "12 St James Square", "city": "London",
    "postcode": "SW1Y", "email": "augusta.byron15@example.com", "phone": "+442071234567",
}  # fmt: skip


def test_the_same_in_everything_is_as_sure_as_can_be(warehouse: Warehouse) -> None:
    found = scored(warehouse, ADA, ADA)
    assert found["score"] > 60
    assert is_proposed(warehouse)


def test_a_missing_value_says_nothing(warehouse: Warehouse) -> None:
    found = scored(warehouse, ADA, {"first": "Augusta", "last": "Byron"})
    assert {name: found[name] for name in ("birth_date", "phone", "city", "postcode", "street", "email")} == (
        dict.fromkeys(("birth_date", "phone", "city", "postcode", "street", "email"), 0.0)
    )


def test_a_rare_name_weighs_more_than_a_common_one(warehouse: Warehouse) -> None:
    rare = scored(warehouse, {"first": "Zephyrine"}, {"first": "Zephyrine"})
    common = scored(warehouse, {"first": "John"}, {"first": "John"})
    assert rare["name"] > common["name"] + 5


@pytest.mark.parametrize(
    ("left", "right", "at_least", "at_most"),
    [
        ("Augusta", "Agusta", 7, 10),
        ("Augusta", "Auguzta", 7, 10),
        ("Zephyr", "Zpehyr", 7, 10),
        ("Augusta", "Augustine", 2.5, 2.5),
        ("Augusta", "A", 2.5, 2.5),
        ("A", "A", 2.5, 2.5),
        ("Bob", "Robert", 6, 10),
        ("Augusta", "Wilhelm", -2.6, -2.6),
        # A letter apart, and two names that many people bear.
        ("Mark", "Mary", 2.5, 2.5),
        ("José", "jose", 9, 11),
        ("Dr. Augusta", "AUGUSTA", 9, 11),
    ],
)
def test_first_names_are_equal_a_slip_alike_or_different(
    warehouse: Warehouse, left: str, right: str, at_least: float, at_most: float
) -> None:
    assert at_least <= scored(warehouse, {"first": left}, {"first": right})["name"] <= at_most


def test_swapped_names_are_read_both_ways(warehouse: Warehouse) -> None:
    straight = scored(warehouse, ADA, ADA)["name"]
    swapped = scored(warehouse, ADA, ADA | {"first": "Byron", "last": "Augusta"})
    assert swapped["name"] == pytest.approx(straight - 1.5)
    assert is_proposed(warehouse)


@pytest.mark.parametrize(
    ("left", "right", "bits"),
    [
        ("1984-03-12", "1984-03-13", 6.2),
        ("1984-03-12", "1984-08-17", 3.2),
        ("1984-03-12", "1984-12-03", 0.3),
        ("1984-03-12", "1961-09-30", -3.6),
    ],
)
def test_birth_dates_are_compared_digit_by_digit(warehouse: Warehouse, left: str, right: str, bits: float) -> None:
    assert scored(warehouse, {"born": left}, {"born": right})["birth_date"] == pytest.approx(bits)


@pytest.mark.parametrize(
    ("left", "right", "bits"),
    [
        ("zorro77@example.com", "zorro77@other.example", 11),
        ("zorro77@example.com", "zorr077@example.com", 11),
        ("zorro77@example.com", "zorbas9@other.example", -6),
        ("zorro77@example.com", "quixote@example.com", -1),
    ],
)
def test_emails_that_are_no_names_speak_by_their_letters(
    warehouse: Warehouse, left: str, right: str, bits: float
) -> None:
    assert scored(warehouse, {"email": left}, {"email": right})["email"] == pytest.approx(bits)


def test_addresses_made_of_a_name_do_not_count_the_name_twice(warehouse: Warehouse) -> None:
    smith = {"first": "Anna", "last": "Smith"}
    numbers = scored(
        warehouse, smith | {"email": "anna.smith12@x.example"}, smith | {"email": "anna.smith47@y.example"}
    )
    assert numbers["email"] == 1
    bare = scored(warehouse, smith | {"email": "anna.smith@x.example"}, smith | {"email": "anna.smith@y.example"})
    assert bare["email"] == 6
    typo = scored(warehouse, smith | {"email": "anna.smith12@x.example"}, smith | {"email": "ana.smith12@x.example"})
    assert typo["email"] == 11


def test_a_name_that_is_missing_may_stand_in_the_email(warehouse: Warehouse) -> None:
    found = scored(
        warehouse, {"first": "Augusta", "last": "Byron"}, {"first": "Augusta", "email": "a.byron@example.com"}
    )
    assert found["email"] == 6.5
    known = scored(warehouse, {"last": "Byron"}, {"last": "Byron", "email": "byron@example.com"})
    assert known["email"] == 0, "the name was compared already"


def test_another_house_in_the_same_street_is_no_misspelling(warehouse: Warehouse) -> None:
    same = scored(warehouse, {"street": "120 Hemlock Street"}, {"street": "120 Hemlok Street"})
    other = scored(warehouse, {"street": "120 Hemlock Street"}, {"street": "47 Hemlock Street"})
    assert (same["street"], other["street"]) == (9.1, 3.0)


HOME = {name: ADA[name] for name in ("last", "street", "city", "postcode", "phone")}


def test_a_spouse_is_another_person_however_much_of_the_household_agrees(warehouse: Warehouse) -> None:
    found = scored(warehouse, ADA | {"email": None}, HOME | {"first": "William", "born": "1905-02-21"})
    assert found["score"] == GUARD_BITS
    unknown = scored(warehouse, ADA | {"email": None}, HOME | {"first": "William"})
    assert unknown["score"] == -1


def test_a_household_alone_proves_no_person(warehouse: Warehouse) -> None:
    found = scored(warehouse, ADA | {"email": None}, HOME)
    assert found["score"] == 0


def test_an_email_with_another_birth_date_and_no_name_has_changed_hands(warehouse: Warehouse) -> None:
    email = {"email": "zorro77@example.com"}
    assert scored(warehouse, email | {"born": "1950-04-12"}, email | {"born": "1991-11-03"})["score"] == -1
