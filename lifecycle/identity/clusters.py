"""Groups: which nodes hang together by edges, and where a group that holds a contradiction is cut.

Belongs here: the two algorithms alone. What a node is and which edges are allowed is decided in ``links.py`` and
``resolution.py``.

Connected components, in SQL: hooking to the smallest neighbour and pointer jumping (Shiloach and Vishkin 1982, "An
O(log n) parallel connectivity algorithm"), with the edges contracted to their roots after every round. Rounds grow with
the logarithm of the nodes whatever the shape of the graph, a chain included.

Cutting, in Python and only for groups with a contradiction inside: average linkage (Sokal and Michener 1958). Two parts
join as long as what speaks for it outweighs what speaks against it over all pairs between them, so that a chain of
half-similar strangers does not close.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lifecycle.warehouse import Warehouse

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MUST_LINK = 1e4
"""Similarity of two nodes that stay together whatever else is known."""

CANNOT_LINK = -1e6
"""Similarity of two nodes that never come together; it outweighs every must-link of a group that may be formed."""


def connect(warehouse: Warehouse, *, edges: str, result: str) -> int:
    """Write ``result`` (node, root): the smallest node of each component, for every node that has an edge.

    ``edges`` is a table or query with the columns left_node and right_node (bigint). Returns the rounds it took.
    """
    run = warehouse.run
    run(
        "create or replace temp table open_edges as select distinct least(left_node, right_node) as small_node,"
        f" greatest(left_node, right_node) as large_node from ({edges}) as edges where left_node <> right_node"
    )
    run(
        f"create or replace temp table {result} as select node, node as root from ("
        "select small_node as node from open_edges union select large_node as node from open_edges) as nodes"
    )
    rounds = 0
    while warehouse.scalar("select count(*) from open_edges"):
        rounds += 1
        run(
            "create or replace temp table hooks as select large_node as node, min(small_node) as root"
            " from open_edges group by large_node"
        )
        _jump(warehouse)
        run(
            f"create or replace temp table {result} as select {result}.node, coalesce(hooks.root, {result}.root)"
            f" as root from {result} left join hooks on {result}.root = hooks.node"
        )
        run(
            "create or replace temp table open_edges as select distinct least(left_root, right_root) as small_node,"
            " greatest(left_root, right_root) as large_node from (select coalesce(small_hooks.root, small_node) as"
            " left_root, coalesce(large_hooks.root, large_node) as right_root from open_edges"
            " left join hooks as small_hooks on open_edges.small_node = small_hooks.node"
            " left join hooks as large_hooks on open_edges.large_node = large_hooks.node) as contracted"
            " where left_root <> right_root"
        )
    for table in ("open_edges", "hooks"):
        run(f"drop table if exists {table}")
    return rounds


def _jump(warehouse: Warehouse) -> None:
    """Let every hook point at the end of its chain, doubling the distance each time."""
    while warehouse.scalar("select count(*) from hooks inner join hooks as next_hooks on hooks.root = next_hooks.node"):
        warehouse.run(
            "create or replace temp table hooks as select hooks.node, coalesce(next_hooks.root, hooks.root) as root"
            " from hooks left join hooks as next_hooks on hooks.root = next_hooks.node"
        )


def cut(similarity: npt.NDArray[np.float64], threshold: float) -> npt.NDArray[np.int64]:
    """Split one group by average linkage: nodes × nodes similarities → the part (from 0) of every node.

    Parts join while the mean similarity between them is at least ``threshold``. The matrix is symmetric; its diagonal
    is not read. Ties are broken by the order of the nodes, so the order must come from the data.
    """
    import numpy as np
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    count = len(similarity)
    if count < 2:
        return np.zeros(count, dtype=np.int64)
    highest = float(similarity[~np.eye(count, dtype=bool)].max())
    distance = highest - similarity
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), method="average")
    parts = fcluster(tree, t=highest - threshold, criterion="distance") - 1
    # Parts are numbered by their first node.
    _, first = np.unique(parts, return_index=True)
    order = np.argsort(np.argsort(first))
    return np.asarray(order[parts], dtype=np.int64)
