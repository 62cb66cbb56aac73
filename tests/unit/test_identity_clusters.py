"""Which nodes hang together, against networkx; and where a group is cut, against average linkage step by step."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator
from itertools import combinations
from pathlib import Path

import networkx as nx
import numpy as np
import pyarrow as pa
import pytest

from lifecycle.identity.clusters import CANNOT_LINK, MUST_LINK, connect, cut
from lifecycle.warehouse import Warehouse, open_duckdb

Edge = tuple[int, int]


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    with open_duckdb(tmp_path / "warehouse.duckdb") as opened:
        yield opened


# --- clusters --------------------------------------------------------------------------------------------------------


def components(edges: Iterable[Edge]) -> dict[int, int]:
    """Node → smallest node of its component, for every node of an edge between two nodes."""
    graph = nx.Graph([(left, right) for left, right in edges if left != right])
    return {node: min(component) for component in nx.connected_components(graph) for node in component}


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


def test_the_clusters_of_two_hundred_random_graphs_are_those_of_networkx(warehouse: Warehouse) -> None:
    component_counts = set()
    for seed in range(200):
        edges = random_edges(random.Random(seed))  # noqa: S311 - reproducible, not secret
        expected = components(edges)
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


# --- cuts ------------------------------------------------------------------------------------------------------------


def average_linkage(similarity: np.ndarray, threshold: float) -> set[frozenset[int]]:
    """The two most similar parts join, again and again, while their mean similarity is at least the threshold."""
    parts = [frozenset([node]) for node in range(len(similarity))]
    while len(parts) > 1:
        best = max(
            combinations(parts, 2),
            key=lambda pair: float(np.mean([similarity[one, other] for one in pair[0] for other in pair[1]])),
        )
        if float(np.mean([similarity[one, other] for one in best[0] for other in best[1]])) < threshold:
            break
        parts = [part for part in parts if part not in best] + [best[0] | best[1]]
    return set(parts)


def parts_of(labels: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in set(labels.tolist())}


def random_similarities(seed: int) -> np.ndarray:
    luck = np.random.default_rng(seed)
    count = int(luck.integers(2, 14))
    upper = np.triu(luck.normal(-1, 8, (count, count)), 1)
    return upper + upper.T


def test_a_group_is_cut_where_average_linkage_done_step_by_step_cuts_it() -> None:
    part_counts = set()
    for seed in range(200):
        similarity = random_similarities(seed)
        labels = cut(similarity.copy(), -2.0)
        assert parts_of(labels) == average_linkage(similarity, -2.0), f"seed {seed}"
        part_counts.add(len(set(labels.tolist())))
    assert len(part_counts) >= 5, "the groups differ"


def test_what_must_stay_together_does_and_what_must_not_never_does() -> None:
    for seed in range(200):
        similarity = random_similarities(1_000 + seed)
        similarity[0, 1] = similarity[1, 0] = MUST_LINK
        if len(similarity) > 2:
            similarity[0, 2] = similarity[2, 0] = CANNOT_LINK
        labels = cut(similarity, -2.0)
        assert labels[0] == labels[1], f"seed {seed}"
        assert len(similarity) == 2 or labels[0] != labels[2], f"seed {seed}"


def test_a_chain_of_strangers_does_not_close() -> None:
    # Each is like the next one, and nobody is like the one after.
    similarity = np.full((6, 6), -10.0)
    for node in range(5):
        similarity[node, node + 1] = similarity[node + 1, node] = 3.0
    assert max(len(part) for part in parts_of(cut(similarity, -2.0))) == 2
