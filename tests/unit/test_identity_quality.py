"""How well likeness finds the records of one person, on public data sets with the truth: one setting for all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lifecycle.warehouse import Warehouse, open_duckdb
from tests.identity_case import FAKE_1000, People, compare, fake_1000, febrl3, resolve, with_spouses

needs_fake_1000 = pytest.mark.skipif(not FAKE_1000.exists(), reason=f"{FAKE_1000.name} is not beside this checkout")


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    with open_duckdb(tmp_path / "warehouse.duckdb") as opened:
        yield opened


def customers_of(warehouse: Warehouse, people: People, **changes: bool) -> dict[str, str]:
    return resolve(warehouse, *people.records, **changes)[0]


def test_febrl_3_is_found_nearly_whole_and_without_a_wrong_pair_in_two_hundred(warehouse: Warehouse) -> None:
    people = febrl3()
    assert len(people.records) == 5_000
    found = compare(customers_of(warehouse, people), people.truth)
    assert found.f1 >= 0.995, found
    assert found.precision >= 0.995, found


@needs_fake_1000
def test_fake_1000_is_found_with_the_same_setting(warehouse: Warehouse) -> None:
    people = fake_1000()
    found = compare(customers_of(warehouse, people), people.truth)
    assert found.f1 >= 0.97, found
    assert found.precision >= 0.97, found


def test_equal_identifiers_alone_find_nobody_in_febrl_3_and_merge_nobody_wrongly(warehouse: Warehouse) -> None:
    people = febrl3()
    found = compare(customers_of(warehouse, people, probable_links=False), people.truth)
    assert (found.precision, found.recall) == (1.0, 0.0)


@pytest.mark.parametrize("data", ["febrl3", pytest.param("fake_1000", marks=needs_fake_1000)])
@pytest.mark.parametrize("seed", [1, 2])
def test_of_a_thousand_spouses_at_most_one_in_twenty_is_merged_with_the_partner(
    warehouse: Warehouse, data: str, seed: int
) -> None:
    people = with_spouses(febrl3() if data == "febrl3" else fake_1000(), 1_000, seed)
    customers = customers_of(warehouse, people)
    merged = [spouse for spouse, partner in people.spouses.items() if customers[spouse] == customers[partner]]
    assert len(merged) <= 50, f"{len(merged)} spouses merged"


def test_the_order_of_the_rows_decides_nothing(warehouse: Warehouse) -> None:
    import random

    people = with_spouses(febrl3(), 200, seed=5)
    records = list(people.records[:1_500])
    first = resolve(warehouse, *records)[0]
    pairs = warehouse.rows("select * from identity.pair_scores order by all")
    for seed in range(20):
        random.Random(seed).shuffle(records)  # noqa: S311 - reproducible, not secret
        assert resolve(warehouse, *records)[0] == first, f"seed {seed}"
        assert warehouse.rows("select * from identity.pair_scores order by all") == pairs, f"seed {seed}"
