"""What stewards decided: these two records are the same person, or are not.

Belongs here: reading the decisions into links and bars, saying what became of each, and writing new ones.
Does not belong here: the clustering that obeys them.

Decisions are a source like any other (``identity_decisions`` of the input contract). Of several on one pair of records
the latest holds, so one is undone by its opposite.
"""

from __future__ import annotations

from lifecycle.identity.links import HUBS
from lifecycle.warehouse import Warehouse

DECISIONS = "staging.stg_identity_decisions"
OUTCOMES = "identity.decision_log"


def create_tables(warehouse: Warehouse) -> None:
    warehouse.run("create schema if not exists identity")
    warehouse.run(
        f"create table if not exists {OUTCOMES} (decision_id varchar, source_system varchar, decision varchar,"
        " decided_at timestamp, outcome varchar, detail varchar)"
    )


def prepare_decisions(warehouse: Warehouse) -> None:
    """Write ``steward_decisions``: every decision with the nodes of its two records, and why it may not hold.

    ``problem`` is null for a decision that holds.
    """
    left, right = (
        f"concat_ws(':', {side}_record_table, {side}_source_system, {side}_record_id)" for side in ("left", "right")
    )
    left_hub, right_hub = (
        "coalesce(" + ", ".join(f"{side}_records.{node}" for node in HUBS) + ")" for side in ("left", "right")
    )
    known = "select record_key, record_nodes.* from record_nodes inner join numbered_records using (number)"
    warehouse.run(
        "create or replace temp table steward_decisions as with given as (select decision_id, source_system, decision,"
        f" decided_at, reason, least({left}, {right}) as left_key, greatest({left}, {right}) as right_key"
        f" from {DECISIONS}), ranked as (select *, row_number() over (partition by left_key, right_key"
        " order by decided_at desc nulls last, decision_id desc nulls last, source_system desc nulls last) as age"
        f" from given), placed as (select ranked.*, left_records.record_key is not null as is_left_known,"
        " right_records.record_key is not null as is_right_known,"
        f" {left_hub} as left_node, {right_hub} as right_node"
        f" from ranked left join ({known}) as left_records on ranked.left_key = left_records.record_key"
        f" left join ({known}) as right_records on ranked.right_key = right_records.record_key)"
        " select *, case when age > 1 then 'superseded' when not (is_left_known and is_right_known)"
        " then 'unknown record' when left_node is null or right_node is null then 'no strong identifier'"
        " when left_node = right_node and decision = 'different' then 'one identifier' end as problem from placed"
    )
    for name, decision in (("steward_links", "same"), ("steward_bars", "different")):
        warehouse.run(
            f"create or replace temp table {name} as select distinct least(left_node, right_node) as left_node,"
            " greatest(left_node, right_node) as right_node from steward_decisions"
            f" where problem is null and decision = '{decision}' and left_node <> right_node"
        )


def report_outcomes(warehouse: Warehouse) -> None:
    """Replace ``identity.decision_log``: what became of every decision, from ``steward_decisions`` and the
    final ``record_customers``."""
    placed = "select record_key, cluster from record_customers inner join numbered_records using (number)"
    warehouse.create_as(
        OUTCOMES,
        "select decision_id, source_system, decision, decided_at, case when problem = 'superseded' then 'superseded'"
        " when problem is not null then 'not applied'"
        " when (decision = 'same') = (left_customers.cluster = right_customers.cluster) then 'applied'"
        " else 'not applied' end as outcome,"
        " case when problem = 'superseded' then 'a later decision on the same two records holds'"
        " when problem = 'unknown record' and not is_left_known and not is_right_known then"
        " 'neither record is known (deleted, or the ids are mistyped)'"
        " when problem = 'unknown record' then 'the ' || case when is_left_known then 'second' else 'first' end ||"
        " ' record (by table and id) is not known (deleted, or its id is mistyped)'"
        " when problem = 'no strong identifier' then 'a record carries no contact id, account or usable email'"
        " when problem = 'one identifier' then 'both records carry the same strongest identifier'"
        " when (decision = 'same') = (left_customers.cluster = right_customers.cluster) then null"
        " else 'other decisions contradict it' end as detail from steward_decisions"
        f" left join ({placed}) as left_customers on left_key = left_customers.record_key"
        f" left join ({placed}) as right_customers on right_key = right_customers.record_key",
    )
