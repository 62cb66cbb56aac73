"""Records without an identifier of their own: whose are they?

Belongs here: bringing a record that carries only a cookie, a phone or a contested identifier to the customer who is
known to use it, or leaving it with nobody.
Does not belong here: joining people to each other: nothing here ever does.
"""

from __future__ import annotations

from dataclasses import dataclass

from lifecycle.identity.links import BLOCKED, SHARED
from lifecycle.warehouse import Warehouse

SEVERAL = "used by several people"
"""Why a household's phone brings a record that names nobody to none of them."""

CROWDED = "used by too many people"
"""Why a kiosk's cookie or a switchboard's number brings records to nobody."""


@dataclass(frozen=True)
class Stitch:
    """One kind of identifier that brings records to people.

    With ``takes_turns`` an identifier of several people belongs to whoever used it last before the record, and before
    the first of them to the first; without it such an identifier brings nobody anywhere. ``sole`` and ``turn`` are the
    confidences of a link by an identifier of one person and of several.
    """

    kind: str
    column: str
    takes_turns: bool
    sole: float
    turn: float


STITCHES = (
    Stitch("user_id", "contested_user", takes_turns=True, sole=0.95, turn=0.9),
    Stitch("email", "contested_email", takes_turns=True, sole=0.95, turn=0.9),
    Stitch("phone", "phone", takes_turns=False, sole=0.9, turn=0.0),
    Stitch("anonymous_id", "anonymous_key", takes_turns=True, sole=0.95, turn=0.8),
)
"""In this order; a record that one of them has placed says who uses the identifiers behind."""


def stitch(warehouse: Warehouse, *, max_people: int) -> None:
    """Complete ``record_customers`` (number, cluster, link_rule, confidence, and one column per
    stitch) in place. A record stays without cluster when it carries nothing usable.
    """
    for one in STITCHES:
        _stitch(warehouse, one, max_people)


def _stitch(warehouse: Warehouse, one: Stitch, max_people: int) -> None:
    run, column = warehouse.run, one.column
    run(
        f"create or replace temp table stitch_values as select {column}, count(distinct cluster) as people,"
        f" min(cluster) as cluster, count(*) as record_count from record_customers where {column} is not null"
        f" group by {column} having count(*) > count(cluster)"
    )
    run(
        f"insert into {BLOCKED} select '{one.kind}', {column}, '{CROWDED}', record_count, people"
        f" from stitch_values where people > ? and not exists (select 1 from {BLOCKED} as known"
        f" where known.identifier_kind = '{one.kind}' and known.identifier_value = stitch_values.{column})",
        [max_people],
    )
    if not one.takes_turns:
        run(
            f"insert into {BLOCKED} select '{one.kind}', {column}, '{SEVERAL}', record_count, people"
            " from stitch_values where people between 2 and ?",
            [max_people],
        )
    run(
        f"delete from stitch_values where {column} in (select identifier_value from {BLOCKED} where identifier_kind ="
        f" '{one.kind}' and reason in ('{SHARED}', '{CROWDED}'))"
    )
    # Nobody is known to use it: the records are somebody's whom we know by this alone.
    run(
        "create or replace temp table stitch_newcomers as select *, (select coalesce(max(cluster), 0) from"
        f" record_customers) + row_number() over (order by {column}) as new_cluster from stitch_values where people"
        f" {'= 0' if one.takes_turns else '<> 1'}"
    )
    run(
        "create or replace temp table stitched as"
        f" select number, values.cluster, {one.sole} as confidence from record_customers as records"
        f" inner join stitch_values as values using ({column}) where records.cluster is null and values.people = 1"
        f" union all select number, new_cluster, 1.0 from record_customers as records"
        f" inner join stitch_newcomers as values using ({column}) where records.cluster is null"
        + (_turns_sql(column, one.turn) if one.takes_turns else "")
    )
    run(
        "create or replace temp table record_customers as select records.* replace ("
        " coalesce(records.cluster, stitched.cluster) as cluster,"
        f" case when records.cluster is null and stitched.cluster is not null then '{one.kind}'"
        " else records.link_rule end as link_rule, case when records.cluster is null then stitched.confidence"
        " else records.confidence end as confidence) from record_customers as records"
        " left join stitched using (number)"
    )
    for table in ("stitch_values", "stitch_newcomers", "stitched"):
        run(f"drop table {table}")


def _turns_sql(column: str, confidence: float) -> str:
    """SQL: records of an identifier that several people used, each with who used it last, else first."""
    order = f"partition by records.{column} order by records.number asc"
    return (
        f" union all select number, cluster, {confidence} from (select records.number,"
        " records.cluster as own_cluster, coalesce(last_value(records.cluster ignore nulls) over"
        f" ({order} rows between unbounded preceding and current row), first_value(records.cluster ignore nulls) over"
        f" ({order} rows between current row and unbounded following)) as cluster from record_customers as records"
        f" inner join stitch_values as values on records.{column} = values.{column} where values.people > 1) as turns"
        " where own_cluster is null"
    )
