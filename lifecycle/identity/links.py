"""Certain links: records that share a strong identifier are one person, unless too many share it.

Belongs here: which identifiers link, their order of strength, the guard, the customer ids and what is written to
``identity.record_links``.
Does not belong here: the clustering (``clusters.py``) and the cleaning of the identifiers (staging models).
"""

from __future__ import annotations

from dataclasses import dataclass

from lifecycle.identity.clusters import connect
from lifecycle.warehouse import Warehouse

RULES = {"contact_id": "contact_key", "user_id": "user_key", "email": "email", "anonymous_id": "anonymous_key"}
"""Link rule → column of int_identity_records, strongest first. A phone is shared in a household and links nobody."""

RECORDS = "intermediate.int_identity_records"
LINKS = "identity.record_links"


@dataclass(frozen=True)
class Resolution:
    """What an identity run did: records linked, customers made, identifiers that were shared too widely to link."""

    record_count: int
    customer_count: int
    blocked_identifier_count: int


def create_tables(warehouse: Warehouse) -> None:
    """The table that the models read, empty before the first run."""
    warehouse.run("create schema if not exists identity")
    warehouse.run(
        f"create table if not exists {LINKS} (record_key varchar, source_system varchar, record_table varchar,"
        " record_id varchar, customer_id varchar, link_rule varchar, confidence double, linked_at timestamp)"
    )


def resolve(warehouse: Warehouse, *, max_contacts_per_identifier: int) -> Resolution:
    """Join the records of ``intermediate.int_identity_records`` to customers and replace ``identity.record_links``.

    A customer's id is ``c_`` and a hash of their earliest record by (event time, source, table, record id); a record
    without a date has always been there and comes first. So the id depends on no load time and no row order, and a
    run for an earlier day gives the same one. An identifier that more contact records than
    ``max_contacts_per_identifier`` share links nobody; a cookie that two signed-in people used links neither.
    """
    exploded = " union all ".join(
        f"select record_key, contact_key, '{rule}' as link_rule, {rank} as rule_rank, {column} as identifier_value"
        f" from {RECORDS} where {column} is not null"
        for rank, (rule, column) in enumerate(RULES.items())
    )
    run = warehouse.run
    run(f"create or replace temp table identifiers as {exploded}")
    run(
        "create or replace temp table blocked_identifiers as select link_rule, identifier_value from identifiers"
        " where link_rule <> 'contact_id' group by link_rule, identifier_value having count(distinct contact_key) >"
        " case when link_rule = 'anonymous_id' then 1 else cast(? as bigint) end",
        [max_contacts_per_identifier],
    )
    run(
        "create or replace temp table identifier_nodes as select link_rule, identifier_value, row_number() over"
        " (order by link_rule, identifier_value) as node from (select distinct link_rule, identifier_value"
        " from identifiers anti join blocked_identifiers using (link_rule, identifier_value)) as allowed"
    )
    # A record's strongest identifier is the hub of a star over its others.
    run(
        "create or replace temp table record_nodes as select identifiers.record_key, identifiers.link_rule,"
        " identifiers.rule_rank, identifier_nodes.node from identifiers inner join identifier_nodes"
        " using (link_rule, identifier_value)"
    )
    run(
        "create or replace temp table record_hubs as select record_key, min_by(node, rule_rank) as hub_node,"
        " min_by(link_rule, rule_rank) as link_rule from record_nodes group by record_key"
    )
    connect(
        warehouse,
        edges="select distinct record_hubs.hub_node as left_node, record_nodes.node as right_node"
        " from record_nodes inner join record_hubs using (record_key) where record_nodes.node <> record_hubs.hub_node",
        result="components",
    )
    run(
        "create or replace temp table clustered as select records.record_key, records.source_system,"
        " records.record_table, records.record_id, records.occurred_at, record_hubs.link_rule,"
        " coalesce(components.root, record_hubs.hub_node) as cluster from record_hubs"
        f" inner join {RECORDS} as records using (record_key)"
        " left join components on record_hubs.hub_node = components.node"
    )
    warehouse.create_as(
        LINKS,
        "with earliest as (select cluster, min(record_key_ordered) as first_record from (select cluster,"
        " struct_pack(undated := occurred_at is not null, occurred_at := coalesce(occurred_at, timestamp '0001-01-01'),"
        " source_system := source_system, record_table := record_table, record_id := record_id) as record_key_ordered"
        " from clustered) as ordered group by cluster)"
        " select record_key, clustered.source_system, clustered.record_table, clustered.record_id,"
        " 'c_' || substr(md5(concat_ws('|', first_record.source_system, first_record.record_table,"
        " first_record.record_id)), 1, 20) as customer_id, link_rule, cast(1 as double) as confidence,"
        " occurred_at as linked_at from clustered inner join earliest using (cluster)",
    )
    resolution = Resolution(
        record_count=int(warehouse.scalar(f"select count(*) from {LINKS}")),
        customer_count=int(warehouse.scalar(f"select count(distinct customer_id) from {LINKS}")),
        blocked_identifier_count=int(warehouse.scalar("select count(*) from blocked_identifiers")),
    )
    for table in ("identifiers", "blocked_identifiers", "identifier_nodes", "record_nodes", "record_hubs"):
        run(f"drop table if exists {table}")
    for table in ("components", "clustered"):
        run(f"drop table if exists {table}")
    return resolution
