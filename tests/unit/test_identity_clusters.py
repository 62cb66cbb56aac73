"""Who hangs together: the clustering against a plain union-find, and the links that lead to it."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lifecycle.identity.clusters import connect
from lifecycle.identity.links import RECORDS, Resolution, create_tables, resolve
from lifecycle.warehouse import Warehouse, open_duckdb

Edge = tuple[int, int]


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    with open_duckdb(tmp_path / "warehouse.duckdb") as opened:
        yield opened


# --- clusters --------------------------------------------------------------------------------------------------------


def union_find(edges: Iterable[Edge]) -> dict[int, int]:
    """Node → smallest node of its component, for every node of an edge between two nodes."""
    parents: dict[int, int] = {}

    def root(node: int) -> int:
        while parents.setdefault(node, node) != node:
            node = parents[node]
        return node

    for left, right in edges:
        if left != right:
            small, large = sorted((root(left), root(right)))
            parents[large] = small
    return {node: root(node) for node in parents}


def clusters_of(warehouse: Warehouse, edges: Iterable[Edge]) -> dict[int, int]:
    left, right = zip(*edges, strict=True) if edges else ((), ())
    columns = {"left_node": pa.array(left, pa.int64()), "right_node": pa.array(right, pa.int64())}
    warehouse.write("main.given_edges", pa.table(columns))
    connect(warehouse, edges="select * from main.given_edges", result="components")
    rows = warehouse.rows("select node, root from components")
    assert len(rows) == len(dict(rows)), "every node stands in one row"
    return dict(rows)


def random_edges(luck: random.Random) -> list[Edge]:
    """A few dozen nodes, from scattered to dense, with loops and repeated and turned edges."""
    nodes = luck.sample(range(-50, 1_000), luck.choice([2, 5, 20, 80]))
    edges = [(luck.choice(nodes), luck.choice(nodes)) for _ in range(luck.choice([1, 3, 10, 40, 120]))]
    return edges + [(right, left) for left, right in edges if luck.random() < 0.2]


def test_the_clusters_of_two_hundred_random_graphs_are_those_of_union_find(warehouse: Warehouse) -> None:
    component_counts = set()
    for seed in range(200):
        edges = random_edges(random.Random(seed))  # noqa: S311 - reproducible, not secret
        expected = union_find(edges)
        assert clusters_of(warehouse, edges) == expected, f"seed {seed}: {edges}"
        component_counts.add(len(set(expected.values())))
    assert len(component_counts) > 10, "the graphs differ"


def test_a_chain_of_a_hundred_thousand_is_one_cluster_in_few_rounds(warehouse: Warehouse) -> None:
    # The numbers of neighbours are far apart, as they are in data.
    order = list(range(100_000))
    random.Random(3).shuffle(order)  # noqa: S311
    columns = {"left_node": pa.array(order[:-1], pa.int64()), "right_node": pa.array(order[1:], pa.int64())}
    warehouse.write("main.given_edges", pa.table(columns))
    begun = time.process_time()
    rounds = connect(warehouse, edges="select * from main.given_edges", result="components")
    assert time.process_time() - begun < 4, "CPU seconds of both cores; about one on a quiet machine"
    assert warehouse.rows("select root, count(*) from components group by root") == [(0, 100_000)]
    assert rounds <= 17


def test_a_chain_in_order_is_one_cluster_too(warehouse: Warehouse) -> None:
    edges = [(node, node + 1) for node in range(5_000)]
    assert set(clusters_of(warehouse, edges).values()) == {0}


def test_a_star_with_the_largest_node_at_its_centre_is_one_cluster(warehouse: Warehouse) -> None:
    edges = [(node, 9_999) for node in range(1, 2_000)]
    assert clusters_of(warehouse, edges) == dict.fromkeys([*range(1, 2_000), 9_999], 1)


@pytest.mark.parametrize("edges", [[], [(7, 7)]], ids=["none", "a loop"])
def test_without_an_edge_between_two_nodes_there_is_no_cluster(warehouse: Warehouse, edges: list[Edge]) -> None:
    assert clusters_of(warehouse, edges) == {}


def test_clustering_leaves_no_other_table_behind(warehouse: Warehouse) -> None:
    clusters_of(warehouse, [(1, 2), (2, 3)])
    tables = warehouse.rows("select table_name from duckdb_tables() where temporary order by 1")
    assert tables == [("components",)]


# --- links -----------------------------------------------------------------------------------------------------------

NOON = datetime(2024, 3, 1, 12)


def record(record_id: str, **identifiers: Any) -> dict[str, Any]:
    """One source record; ``contact="shop:42"`` is contact 42 of the namespace shop."""
    known = {
        "record_table": identifiers.pop("table", "contacts"),
        "source_system": identifiers.pop("source", "shop"),
        "occurred_at": identifiers.pop("at", NOON),
        "contact_key": identifiers.pop("contact", None),
        "user_key": identifiers.pop("user", None),
        "email": identifiers.pop("email", None),
        "phone": identifiers.pop("phone", None),
        "anonymous_key": identifiers.pop("cookie", None),
    }
    assert not identifiers, f"unknown: {identifiers}"
    return {"record_id": record_id, **known}


def linked(warehouse: Warehouse, *records: dict[str, Any], limit: int = 10) -> tuple[dict[str, str], Resolution]:
    """Record id → customer id."""
    create_tables(warehouse)
    kinds = {name: "timestamp" if name == "occurred_at" else "varchar" for name in records[0]}
    columns = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
    warehouse.run("create schema if not exists intermediate")
    warehouse.run(f"create or replace table {RECORDS} (record_key varchar, {columns})")
    for given in records:
        key = f"{given['record_table']}:{given['source_system']}:{given['record_id']}"
        marks = ", ".join("?" for _ in range(len(given) + 1))
        warehouse.run(f"insert into {RECORDS} values ({marks})", [key, *given.values()])
    resolution = resolve(warehouse, max_contacts_per_identifier=limit)
    rows = warehouse.rows("select record_id, customer_id from identity.record_links")
    assert len(rows) == len(dict(rows)) == resolution.record_count
    assert len(set(dict(rows).values())) == resolution.customer_count
    return dict(rows), resolution


def people(customers: dict[str, str]) -> set[frozenset[str]]:
    """The records that belong together, whatever their customers' ids."""
    groups: dict[str, set[str]] = {}
    for record_id, customer in customers.items():
        groups.setdefault(customer, set()).add(record_id)
    return {frozenset(group) for group in groups.values()}


def together(*groups: str) -> set[frozenset[str]]:
    return {frozenset(group.split()) for group in groups}


def test_records_that_share_a_strong_identifier_are_one_person(warehouse: Warehouse) -> None:
    found, _ = linked(
        warehouse,
        record("c1", contact="shop:1", email="ada@example.com"),
        record("o1", contact="shop:1", table="orders"),
        record("t1", email="ada@example.com", table="tickets"),
        record("v1", user="shop:u1", email="ada@example.com", cookie="web:k1", table="touchpoints"),
        record("v2", cookie="web:k1", table="touchpoints"),
        record("c2", contact="shop:2", email="ben@example.com"),
    )
    assert people(found) == together("c1 o1 t1 v1 v2", "c2")


def test_a_shared_phone_links_nobody_and_is_no_identifier_by_itself(warehouse: Warehouse) -> None:
    found, _ = linked(
        warehouse,
        record("c1", contact="shop:1", phone="+15551"),
        record("c2", contact="shop:2", phone="+15551"),
        record("call", phone="+15551", table="tickets"),
    )
    assert people(found) == together("c1", "c2")


def test_an_email_shared_by_too_many_contacts_links_nobody(warehouse: Warehouse) -> None:
    contacts = [record(f"c{number}", contact=f"shop:{number}", email="noreply@example.com") for number in range(4)]
    ticket = record("t1", email="noreply@example.com", table="tickets")
    found, resolution = linked(warehouse, *contacts, ticket, limit=3)
    assert people(found) == together("c0", "c1", "c2", "c3")
    assert resolution.blocked_identifier_count == 1
    found, resolution = linked(warehouse, *contacts[:3], ticket, limit=3)
    assert people(found) == together("c0 c1 c2 t1"), "as many as allowed are one person"
    assert resolution.blocked_identifier_count == 0


def test_many_orders_of_one_contact_do_not_make_an_email_shared(warehouse: Warehouse) -> None:
    orders = [record(f"o{number}", contact="shop:1", email="ada@example.com", table="orders") for number in range(20)]
    found, resolution = linked(warehouse, *orders, limit=3)
    assert len(people(found)) == 1
    assert resolution.blocked_identifier_count == 0


def test_a_cookie_that_two_people_signed_in_with_links_neither(warehouse: Warehouse) -> None:
    found, resolution = linked(
        warehouse,
        record("v1", contact="shop:1", cookie="web:library", table="touchpoints"),
        record("v2", contact="shop:2", cookie="web:library", table="touchpoints"),
        record("v3", cookie="web:library", table="touchpoints"),
    )
    assert people(found) == together("v1", "v2")
    assert resolution.blocked_identifier_count == 1


def test_an_anonymous_visit_joins_the_one_person_who_used_the_cookie_later(warehouse: Warehouse) -> None:
    found, _ = linked(
        warehouse,
        record("v1", cookie="web:k1", table="touchpoints", at=datetime(2024, 1, 1)),
        record("v2", contact="shop:1", cookie="web:k1", table="touchpoints", at=datetime(2024, 2, 1)),
        record("v3", cookie="web:k2", table="touchpoints"),
    )
    assert people(found) == together("v1 v2", "v3")
    rules = dict(warehouse.rows("select record_id, link_rule from identity.record_links"))
    assert rules == {"v1": "anonymous_id", "v2": "contact_id", "v3": "anonymous_id"}


def test_the_same_number_in_two_systems_is_two_people(warehouse: Warehouse) -> None:
    found, _ = linked(
        warehouse,
        record("c1", contact="shop:42"),
        record("c2", contact="desk:42", source="desk"),
        record("u1", user="shop:42", table="touchpoints"),
    )
    assert people(found) == together("c1", "c2", "u1")


def test_a_record_without_an_identifier_belongs_to_nobody(warehouse: Warehouse) -> None:
    found, resolution = linked(warehouse, record("c1", contact="shop:1"), record("o1", table="orders"))
    assert people(found) == together("c1")
    assert (resolution.record_count, resolution.customer_count) == (1, 1)


def test_the_ids_depend_on_no_order_of_rows(warehouse: Warehouse) -> None:
    records = [
        record(f"r{number}", contact=f"shop:{number % 7}", email=f"p{number % 5 if number % 3 else number}@example.com")
        for number in range(30)
    ]
    first, _ = linked(warehouse, *records)
    for seed in range(5):
        random.Random(seed).shuffle(records)  # noqa: S311
        assert linked(warehouse, *records)[0] == first


def test_a_customer_is_named_after_the_earliest_record_and_keeps_the_name(warehouse: Warehouse) -> None:
    early = record("o1", contact="shop:1", table="orders", at=datetime(2024, 1, 1))
    late = record("o2", contact="shop:1", table="orders", at=datetime(2024, 2, 1))
    alone, _ = linked(warehouse, early)
    both, _ = linked(warehouse, late, early)
    assert alone["o1"] == both["o1"] == both["o2"]
    only_late, _ = linked(warehouse, late)
    assert only_late["o2"] != both["o2"]


def test_an_undated_record_has_always_been_there_and_comes_first(warehouse: Warehouse) -> None:
    undated = record("c1", contact="shop:1", at=None)
    ancient = record("o1", contact="shop:1", table="orders", at=datetime(1999, 1, 1))
    alone, _ = linked(warehouse, undated)
    both, _ = linked(warehouse, ancient, undated)
    assert both == {"c1": alone["c1"], "o1": alone["c1"]}


def test_of_two_merging_customers_the_older_ones_id_survives(warehouse: Warehouse) -> None:
    older = record("o1", contact="shop:1", table="orders", at=datetime(2024, 1, 1))
    younger = record("t1", email="ada@example.com", table="tickets", at=datetime(2024, 2, 1))
    bridge = record("c1", contact="shop:1", email="ada@example.com", at=datetime(2024, 3, 1))
    apart, _ = linked(warehouse, older, younger)
    merged, _ = linked(warehouse, older, younger, bridge)
    assert apart["o1"] != apart["t1"]
    assert set(merged.values()) == {apart["o1"]}


def test_resolving_leaves_no_temporary_table_behind(warehouse: Warehouse) -> None:
    linked(warehouse, record("c1", contact="shop:1", email="ada@example.com"))
    assert warehouse.rows("select table_name from duckdb_tables() where temporary") == []
