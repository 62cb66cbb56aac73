"""From records to customers: the order in which links, guards, scores and decisions make groups.

Belongs here: the steps from ``int_identity_records`` to ``identity.record_links`` and the tables beside it.
Does not belong here: what links (``links.py``), how likeness is scored (``scoring.py``), how groups are found and cut
(``clusters.py``), records without an identifier of their own (``stitching.py``).

1. Records with equal strong identifiers form groups; an identifier whose holders contradict each other links none.
2. Groups whose contact records are alike enough join, if what speaks for it outweighs what speaks against it over all
   pairs of records.
3. Records that carry only a cookie, a phone or a contested identifier go to whoever is known to use it.
4. A customer is named after the earliest record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lifecycle.identity import decisions, links, normalize, scoring
from lifecycle.identity.clusters import CANNOT_LINK, MUST_LINK, connect, cut
from lifecycle.identity.links import BLOCKED, PROFILES
from lifecycle.identity.stitching import SEVERAL, stitch
from lifecycle.warehouse import Warehouse

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from lifecycle.settings import Settings

LINKS = "identity.record_links"
SCORED_PAIRS = "identity.pair_scores"

CUT_BITS = -2.0
"""Parts of a group stay together while the mean score between them is at least this."""

CLIP_BITS = 10.0
"""One pair counts at most this much for or against, so that no single pair outweighs all others."""

CERTAIN_BITS = 10.0
"""What a certain link counts in a group that holds a contradiction and has to be cut somewhere."""

CONTRADICTORY = "holders contradict each other"
CROWDING = "would join too many people"
"""Why an identifier of a few holders links nobody all the same."""

_LINKS_COLUMNS = (
    "record_key varchar, source_system varchar, record_table varchar, record_id varchar, customer_id varchar,"
    " link_rule varchar, confidence double, linked_at timestamp, matched_source_system varchar,"
    " matched_record_id varchar, score_bits double"
)
_SCORED_COLUMNS = (
    "left_source_system varchar, left_record_id varchar, left_customer_id varchar, right_source_system varchar,"
    " right_record_id varchar, right_customer_id varchar, outcome varchar, score_bits double, confidence double,"
    " evidence varchar"
)


@dataclass(frozen=True)
class Policy:
    """What a company decides about identity (``identity:`` in lifecycle.yml)."""

    max_contacts_per_identifier: int = 10
    max_cluster_size: int = 200
    probable_links: bool = True
    link_bits: float = 0.0
    review_bits: float = 3.0
    default_country: str | None = None

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        own = settings.identity
        return cls(
            max_contacts_per_identifier=own.max_contacts_per_identifier,
            max_cluster_size=settings.quality.max_cluster_size,
            probable_links=own.probable_links,
            link_bits=own.link_bits,
            review_bits=own.review_bits,
            default_country=own.default_country,
        )


@dataclass(frozen=True)
class Resolution:
    """What an identity run did: records linked, customers made, identifiers that link nobody, pairs for a steward."""

    record_count: int
    customer_count: int
    blocked_identifier_count: int
    probable_link_count: int
    review_pair_count: int


def create_tables(warehouse: Warehouse) -> None:
    """The tables that the models read, empty before the first run."""
    normalize.create_tables(warehouse)
    links.create_tables(warehouse)
    decisions.create_tables(warehouse)
    warehouse.run(f"create table if not exists {LINKS} ({_LINKS_COLUMNS})")
    warehouse.run(f"create table if not exists {SCORED_PAIRS} ({_SCORED_COLUMNS})")


def resolve(warehouse: Warehouse, policy: Policy) -> Resolution:
    """Join the records of ``intermediate.int_identity_records`` to customers.

    Replaces ``identity.record_links``, ``identity.pair_scores``, ``identity.identifier_blocks`` and
    ``identity.decision_log``. The result depends on the records alone, not on their order or when they were
    loaded: a customer's id is ``c_`` and a hash of their earliest record by (event time, source, table, record id),
    and a record without a date has always been there and comes first.
    """
    create_tables(warehouse)
    there = _temporary_tables(warehouse)
    links.prepare_records(warehouse, policy.default_country)
    links.block_shared(warehouse, policy.max_contacts_per_identifier)
    links.build_nodes(warehouse)
    links.build_edges(warehouse)
    decisions.prepare_decisions(warehouse)
    _describe_contacts(warehouse)
    _contest_identifiers(warehouse)
    _group_certain(warehouse, policy)
    _cut_contradictory_groups(warehouse)
    _score(warehouse, policy)
    _group_probable(warehouse, policy)
    _place_records(warehouse)
    stitch(warehouse, max_people=policy.max_contacts_per_identifier)
    _name_customers(warehouse)
    decisions.report_outcomes(warehouse)
    _report_pairs(warehouse, policy)
    resolution = Resolution(
        record_count=int(warehouse.scalar(f"select count(*) from {LINKS}")),
        customer_count=int(warehouse.scalar(f"select count(distinct customer_id) from {LINKS}")),
        blocked_identifier_count=int(warehouse.scalar(f"select count(*) from {BLOCKED}")),
        probable_link_count=int(warehouse.scalar(f"select count(*) from {LINKS} where link_rule = 'probable'")),
        review_pair_count=int(warehouse.scalar(f"select count(*) from {SCORED_PAIRS} where outcome = 'review'")),
    )
    for table in sorted(_temporary_tables(warehouse) - there):
        warehouse.run(f"drop table {table}")
    return resolution


def _temporary_tables(warehouse: Warehouse) -> set[str]:
    return {name for (name,) in warehouse.rows("select table_name from duckdb_tables() where temporary")}


# --- certain groups --------------------------------------------------------------------------------------------------

_BIRTH_DIGITS = "regexp_replace(cast(birth_date as varchar), '[^0-9]', '', 'g')"


def _contradicting(left: str, right: str) -> str:
    """SQL: two descriptions of a contact (aliases of ``contact_facts``) that cannot be of one person.

    Birth dates contradict each other when more than two digits differ and the years are more than one apart: a swapped
    day and month, a neighbouring key or a wrong year at the turn of the year does not. Names do when neither the first
    nor the last name is alike, whichever way round they are written.
    """
    one_date, other_date = f"{left}.birth_date", f"{right}.birth_date"
    years = f"abs(cast(substr({one_date}, 1, 4) as integer) - cast(substr({other_date}, 1, 4) as integer))"
    pairs = (("first_name", "first_name"), ("last_name", "last_name"), ("first_name", "last_name"))
    unlike = " and ".join(
        f"levenshtein({left}.{one}, {right}.{other}) > greatest(2, 0.4 * greatest(length({left}.{one}),"
        f" length({right}.{other}))) and not starts_with({left}.{one}, {right}.{other})"
        f" and not starts_with({right}.{other}, {left}.{one})"
        for one, other in (*pairs, ("last_name", "first_name"))
    )
    return (
        f"(coalesce(hamming({one_date}, {other_date}) > 2 and {years} > 1, false) or coalesce({left}.full_first_name <>"
        f" {right}.full_first_name and {unlike}, false))"
    )


def _describe_contacts(warehouse: Warehouse) -> None:
    """Write ``contact_facts``: the different birth dates and names that a contact's records say."""
    warehouse.run(
        "create or replace temp table contact_facts as select distinct contact_node, birth_date, first_name, last_name,"
        " coalesce(nicknames.full_first_name, first_name) as full_first_name from (select contact_node,"
        f" case when length({_BIRTH_DIGITS}) = 8 then {_BIRTH_DIGITS} end as birth_date,"
        f" {normalize.folded_name('first_name')} as first_name, {normalize.folded_name('last_name')} as last_name"
        f" from {PROFILES} inner join numbered_records using (record_key) inner join record_nodes using (number)"
        " where contact_node is not null) as described left join (select nickname, first_name as full_first_name"
        f" from {scoring.NICKNAMES}) as nicknames on first_name = nickname"
    )


def _contest_identifiers(warehouse: Warehouse) -> None:
    """Write ``contested_nodes``: emails, accounts and phones whose holders contradict each other.

    Two holders do when a steward said so, or when their birth dates or names do and no steward said they are the same.
    A contested identifier links nobody; a recycled email is the usual case.
    """
    warehouse.run(
        "create or replace temp table contested_nodes as with held as (select distinct right_node as node, left_node"
        " as contact_node from certain_edges inner join identity_nodes on left_node = node and identity_nodes.kind ="
        " 'contact_id' where certain_edges.right_node in (select right_node from certain_edges group by right_node"
        " having count(*) > 1)), pairs as (select left_held.node, left_held.contact_node as left_node,"
        " right_held.contact_node as right_node from held as left_held inner join held as right_held"
        " on left_held.node = right_held.node and left_held.contact_node < right_held.contact_node),"
        " contradictions as (select pairs.* from pairs semi join steward_bars using (left_node, right_node)"
        " union select pairs.* from pairs inner join contact_facts as l on pairs.left_node = l.contact_node"
        " inner join contact_facts as r on pairs.right_node = r.contact_node"
        " anti join steward_links using (left_node, right_node)"
        f" where {_contradicting('l', 'r')}) select distinct node, '{CONTRADICTORY}' as reason from contradictions"
    )
    _take_contested_edges(warehouse, CONTRADICTORY)


def _take_contested_edges(warehouse: Warehouse, reason: str) -> None:
    """Take away the edges of the nodes that are contested for this reason, and say which identifiers those are."""
    warehouse.run(
        f"insert into {BLOCKED} select nodes.kind, nodes.identifier_value, contested.reason,"
        " coalesce(sum(edges.record_count), 0), count(distinct edges.left_node) from identity_nodes as nodes"
        " inner join contested_nodes as contested using (node) left join certain_edges as edges"
        " on nodes.node = edges.right_node where contested.reason = ?"
        " group by nodes.kind, nodes.identifier_value, contested.reason",
        [reason],
    )
    warehouse.run(
        "delete from certain_edges where right_node in (select node from contested_nodes)"
        " or left_node in (select node from contested_nodes)"
    )


def _group_certain(warehouse: Warehouse, policy: Policy) -> None:
    """Write ``node_groups`` (node, certain): the groups that certain links and stewards form.

    A group of more nodes than may be one customer is not formed: its links by email, account and phone are dropped.
    """
    run = warehouse.run
    edges = "select left_node, right_node from certain_edges union all select left_node, right_node from steward_links"
    connect(warehouse, edges=edges, result="certain_groups")
    run(
        "create or replace temp table oversized as select root, count(*) as node_count from certain_groups"
        " group by root having count(*) > ?",
        [policy.max_cluster_size],
    )
    if warehouse.scalar("select count(*) from oversized"):
        run(
            f"insert into contested_nodes select node, '{CROWDING}' from identity_nodes"
            " inner join certain_groups using (node) semi join oversized using (root) where kind <> 'contact_id'"
            " and node not in (select node from contested_nodes)"
        )
        _take_contested_edges(warehouse, CROWDING)
        run(
            "delete from steward_links where left_node in (select node from certain_groups"
            " semi join oversized using (root))"
        )
        connect(warehouse, edges=edges, result="certain_groups")
    run(
        "create or replace temp table node_groups as select node, coalesce(root, node) as certain"
        " from identity_nodes left join certain_groups using (node)"
    )


def _cut_contradictory_groups(warehouse: Warehouse) -> None:
    """Cut the certain groups in which a chain of links joined people who contradict each other."""
    run = warehouse.run
    run(
        "create or replace temp table inner_bars as select left_groups.certain, left_node, right_node"
        " from steward_bars inner join node_groups as left_groups on left_node = left_groups.node"
        " inner join node_groups as right_groups on right_node = right_groups.node"
        " where left_groups.certain = right_groups.certain"
        " union select pairs.certain, left_node, right_node from (select left_groups.certain,"
        " left_groups.node as left_node, right_groups.node as right_node from node_groups as left_groups"
        " inner join identity_nodes as left_nodes on left_groups.node = left_nodes.node"
        " inner join node_groups as right_groups on left_groups.certain = right_groups.certain"
        " inner join identity_nodes as right_nodes on right_groups.node = right_nodes.node"
        " where left_nodes.kind = 'contact_id' and right_nodes.kind = 'contact_id'"
        " and left_groups.node < right_groups.node) as pairs anti join steward_links using (left_node, right_node)"
        " inner join contact_facts as l on left_node = l.contact_node"
        " inner join contact_facts as r on right_node = r.contact_node"
        f" where {_contradicting('l', 'r')}"
    )
    members = warehouse.rows(
        "select certain, node from node_groups where certain in (select certain from inner_bars) order by certain, node"
    )
    if not members:
        return
    wanted = "semi join inner_bars as bars on groups.certain = bars.certain"
    similar = warehouse.rows(
        # Of two equally strong links the one seen first holds: a late link is cut before an early one.
        f"select left_node, right_node, {CERTAIN_BITS} + 1.0 / row_number() over (order by first_number,"
        " left_node, right_node) from certain_edges inner join node_groups as groups"
        f" on left_node = groups.node {wanted}"
        f" union all select left_node, right_node, {MUST_LINK} from steward_links inner join node_groups as groups"
        f" on left_node = groups.node {wanted}"
        f" union all select left_node, right_node, {CANNOT_LINK} from inner_bars"
    )
    parts = _cut_groups(members, similar)
    _write_parts(warehouse, parts)
    run(
        "create or replace temp table node_groups as select node, coalesce(part, certain) as certain"
        " from node_groups left join cut_parts using (node)"
    )


def _cut_groups(members: list[tuple[int, int]], similar: list[tuple[int, int, float]]) -> list[tuple[int, int]]:
    """Cut every group of ``members`` (group, node; in order) → (node, smallest node of its part).

    ``similar`` are similarities of pairs inside one group; pairs without one count as 0. A pair given twice keeps the
    stronger word: a bar before a must, a must before a score.
    """
    import numpy as np

    groups: dict[int, list[int]] = {}
    place: dict[int, tuple[int, int]] = {}
    for group, node in members:
        nodes = groups.setdefault(group, [])
        place[node] = (group, len(nodes))
        nodes.append(node)
    matrices: dict[int, npt.NDArray[np.float64]] = {
        group: np.zeros((len(nodes), len(nodes))) for group, nodes in groups.items()
    }
    for left, right, value in sorted(similar, key=lambda pair: abs(pair[2])):
        group, one = place[left]
        _, other = place[right]
        matrices[group][one, other] = matrices[group][other, one] = value
    parts: list[tuple[int, int]] = []
    for group, nodes in groups.items():
        labels = cut(matrices[group], CUT_BITS)
        smallest: dict[int, int] = {}
        for node, label in zip(nodes, labels.tolist(), strict=True):
            parts.append((node, smallest.setdefault(label, node)))
    return parts


def _write_parts(warehouse: Warehouse, parts: list[tuple[int, int]]) -> None:
    import pyarrow as pa

    nodes, labels = zip(*parts, strict=True) if parts else ((), ())
    warehouse.run("create or replace temp table cut_parts (node bigint, part bigint)")
    warehouse.append("cut_parts", pa.table({"node": pa.array(nodes, pa.int64()), "part": pa.array(labels, pa.int64())}))


# --- probable groups -------------------------------------------------------------------------------------------------


def _score(warehouse: Warehouse, policy: Policy) -> None:
    """Write ``identity_scores``: candidate pairs that reach the line or miss it by little (see ``score_pairs``)."""
    run = warehouse.run
    run("create or replace temp table group_bars (left_group bigint, right_group bigint)")
    if not policy.probable_links:
        run("create or replace temp table identity_scores (left_number integer)")
        return
    blocked = f"select identifier_value from {BLOCKED} where identifier_kind = '{{kind}}' and reason <> '{{spared}}'"
    records = scoring.prepare_people(
        warehouse,
        "select profiles.record_key, coalesce(contact_node, loner_node) as node, first_name, last_name, birth_date,"
        " street, city, postcode, case when email_blocked.identifier_value is null then work.email end as email,"
        " case when phone_blocked.identifier_value is null then work.phone end as phone"
        f" from {PROFILES} as profiles inner join numbered_records using (record_key)"
        " inner join record_nodes using (number) inner join identity_work as work using (number)"
        # What several people hold in turn still says something; what anybody may hold says nothing.
        f" left join ({blocked.format(kind='email', spared=CONTRADICTORY)}) as email_blocked"
        " on work.email = email_blocked.identifier_value"
        f" left join ({blocked.format(kind='phone', spared=SEVERAL)}) as phone_blocked"
        " on work.phone = phone_blocked.identifier_value",
    )
    run(
        f"create or replace temp table {scoring.PEOPLE} as select people.*, certain as certain_group"
        f" from {scoring.PEOPLE} as people inner join node_groups using (node) order by number"
    )
    run(
        "insert into group_bars select distinct least(left_groups.certain, right_groups.certain),"
        " greatest(left_groups.certain, right_groups.certain) from steward_bars"
        " inner join node_groups as left_groups on left_node = left_groups.node"
        " inner join node_groups as right_groups on right_node = right_groups.node"
        " where left_groups.certain <> right_groups.certain"
    )
    scoring.propose_pairs(warehouse)
    scoring.score_pairs(
        warehouse,
        _open_pairs("identity_pairs"),
        records,
        "identity_scores",
        minimum=policy.link_bits - policy.review_bits,
    )
    run("drop table identity_pairs")


def _open_pairs(pairs: str) -> str:
    """SQL: the pairs of records that no certain link and no steward has judged."""
    return (
        f"select left_number, right_number from {pairs}"
        f" inner join (select number, certain_group from {scoring.PEOPLE}) as left_people"
        " on left_number = left_people.number"
        f" inner join (select number, certain_group from {scoring.PEOPLE}) as right_people"
        " on right_number = right_people.number"
        " left join group_bars on left_group = least(left_people.certain_group, right_people.certain_group)"
        " and right_group = greatest(left_people.certain_group, right_people.certain_group)"
        " where left_people.certain_group <> right_people.certain_group and left_group is null"
    )


def _group_probable(warehouse: Warehouse, policy: Policy) -> None:
    """Write ``group_clusters`` (certain, cluster): which certain groups are one customer.

    Groups with a good pair between them come together; one with more contact records than may be one customer is cut
    again at one bit more until it fits. Inside each all pairs are scored, and average linkage decides.
    """
    run = warehouse.run
    run("create or replace temp table group_clusters (certain bigint, cluster bigint)")
    if not policy.probable_links:
        return
    run(
        "create or replace temp table probable_edges as select left_people.certain_group as left_node,"
        " right_people.certain_group as right_node, max(score_bits) as score_bits from identity_scores"
        f" inner join {scoring.PEOPLE} as left_people on left_number = left_people.number"
        f" inner join {scoring.PEOPLE} as right_people on right_number = right_people.number"
        f" where score_bits >= {policy.link_bits} group by left_people.certain_group, right_people.certain_group"
    )
    bits = policy.link_bits
    while True:
        connect(warehouse, edges="select left_node, right_node from probable_edges", result="probable_groups")
        run(
            "create or replace temp table oversized as select root from probable_groups inner join"
            f" {scoring.PEOPLE} as people on probable_groups.node = people.certain_group group by root"
            " having count(*) > ?",
            [policy.max_cluster_size],
        )
        if not warehouse.scalar("select count(*) from oversized"):
            break
        bits += 1
        run(
            "delete from probable_edges where score_bits < ? and left_node in (select node from probable_groups"
            " semi join oversized using (root))",
            [bits],
        )
    run(
        "create or replace temp table inner_pairs as select left_people.root, left_people.number as left_number,"
        " right_people.number as right_number from (select root, number, certain_group from probable_groups inner join"
        f" {scoring.PEOPLE} as people on probable_groups.node = people.certain_group) as left_people"
        " inner join (select root, number, certain_group from probable_groups inner join"
        f" {scoring.PEOPLE} as people on probable_groups.node = people.certain_group) as right_people"
        " on left_people.root = right_people.root and left_people.number < right_people.number"
        " and left_people.certain_group <> right_people.certain_group"
    )
    records = int(warehouse.scalar(f"select count(*) from {scoring.PEOPLE}"))
    scoring.score_pairs(warehouse, _open_pairs("inner_pairs"), records, "inner_bits")
    run(
        "create or replace temp table inner_scores as select inner_pairs.root, inner_pairs.left_number,"
        " inner_pairs.right_number, inner_bits.score_bits from inner_pairs left join inner_bits"
        " on inner_pairs.left_number = inner_bits.left_number and inner_pairs.right_number = inner_bits.right_number"
    )
    run(
        # Where no pair speaks against it, average linkage could only join everything.
        "create or replace temp table doubtful as select distinct root from inner_scores"
        f" where coalesce(score_bits, {CANNOT_LINK}) < {CUT_BITS}"
    )
    run("insert into group_clusters select node, root from probable_groups anti join doubtful using (root)")
    _cut_doubtful(warehouse)
    for table in ("probable_edges", "inner_pairs", "inner_bits", "inner_scores", "doubtful"):
        run(f"drop table {table}")


def _cut_doubtful(warehouse: Warehouse) -> None:
    members = warehouse.rows(
        "select root, number from doubtful inner join probable_groups using (root)"
        f" inner join {scoring.PEOPLE} as people on probable_groups.node = people.certain_group order by root, number"
    )
    if not members:
        return
    similar = warehouse.rows(
        # A pair without a score is one that a steward set apart.
        f"select left_number, right_number, case when score_bits is null then {CANNOT_LINK} else"
        f" greatest(least(score_bits, {CLIP_BITS}), -{CLIP_BITS}) end from inner_scores semi join doubtful using (root)"
        f" union all select first_number, number, {MUST_LINK} from (select number, min(number) over"
        f" (partition by certain_group) as first_number from {scoring.PEOPLE} as people inner join probable_groups"
        " on people.certain_group = probable_groups.node semi join doubtful using (root)) as together"
        " where number <> first_number"
    )
    _write_parts(warehouse, _cut_groups(members, similar))
    warehouse.run(
        "insert into group_clusters select certain_group, min(min(certain_group)) over (partition by min(part))"
        f" from cut_parts inner join {scoring.PEOPLE} as people on cut_parts.node = people.number"
        " group by certain_group"
    )


# --- customers -------------------------------------------------------------------------------------------------------


def _place_records(warehouse: Warehouse) -> None:
    """Write ``record_customers``: every record with the group of its strongest identifier, if it may link."""
    warehouse.run(
        "create or replace temp table node_clusters as select node, kind, identifier_value, certain,"
        " coalesce(cluster, certain) as cluster, contested_nodes.node is not null as is_contested"
        " from identity_nodes inner join node_groups using (node) left join group_clusters using (certain)"
        " left join contested_nodes using (node)"
    )
    warehouse.run(
        "create or replace temp table record_customers as select records.number,"
        " hubs.certain, hubs.cluster, hubs.kind as link_rule, cast(1 as double) as confidence, records.phone,"
        " records.anonymous_key, users.identifier_value as contested_user, emails.identifier_value as contested_email"
        " from (select *, coalesce(contact_node, case when not user_is_contested then user_node end,"
        " case when not email_is_contested then email_node end, loner_node) as hub from (select record_nodes.*,"
        " users.node is not null as user_is_contested, emails.node is not null as email_is_contested from record_nodes"
        " left join contested_nodes as users on user_node = users.node"
        " left join contested_nodes as emails on email_node = emails.node) as judged) as records"
        " left join node_clusters as hubs on records.hub = hubs.node"
        " left join node_clusters as users on records.user_node = users.node and users.is_contested"
        " left join node_clusters as emails on records.email_node = emails.node and emails.is_contested"
    )


def _name_customers(warehouse: Warehouse) -> None:
    """Replace ``identity.record_links``: ids from the earliest records, rules and confidences."""
    warehouse.run(
        "create or replace temp table customer_names as select cluster, anchor, 'c_' || substr(md5(concat_ws('|',"
        " source_system, record_table, record_id)), 1, 20) as customer_id from (select cluster, min(number) as number,"
        " arg_min(certain, number) as anchor from record_customers where cluster is not null group by cluster)"
        " as earliest inner join numbered_records using (number)"
    )
    _rate_groups(warehouse)
    _rate_contacts(warehouse)
    warehouse.create_as(
        LINKS,
        "select records.record_key, records.source_system, records.record_table, records.record_id,"
        " names.customer_id, coalesce(rules.link_rule, placed.link_rule) as link_rule,"
        " placed.confidence * coalesce(groups.confidence, 1) as confidence, records.occurred_at as linked_at,"
        " rules.matched_source_system, rules.matched_record_id, rules.score_bits from record_customers as placed"
        " inner join numbered_records as records using (number) inner join customer_names as names using (cluster)"
        " left join group_confidences as groups on placed.certain = groups.certain"
        " left join contact_rules as rules on placed.number = rules.number",
    )


def _rate_groups(warehouse: Warehouse) -> None:
    """Write ``group_confidences``: of every group that likeness joined to its customer, the best pair that did.

    The group of the customer's earliest record is where the others came to: it has no row.
    Confidence = 1 / (1 + 2^-bits), the probability that belongs to the score.
    """
    if not warehouse.scalar("select count(*) from group_clusters"):
        warehouse.run(
            "create or replace temp table group_confidences (certain bigint, confidence double, score_bits double,"
            " own_key varchar, other_key varchar)"
        )
        return
    sides = " union all ".join(
        f"select {own}.certain_group as certain, {own}.record_key as own_key, {other}.record_key as other_key,"
        " score_bits, left_number, right_number from identity_scores"
        f" inner join {scoring.PEOPLE} as l on left_number = l.number"
        f" inner join {scoring.PEOPLE} as r on right_number = r.number"
        " inner join group_clusters as left_clusters on l.certain_group = left_clusters.certain"
        " inner join group_clusters as right_clusters on r.certain_group = right_clusters.certain"
        " where left_clusters.cluster = right_clusters.cluster"
        for own, other in (("l", "r"), ("r", "l"))
    )
    warehouse.run(
        "create or replace temp table group_confidences as select certain, 1 / (1 + power(2, -score_bits)) as"
        " confidence, score_bits, own_key, other_key from (select *, row_number() over (partition by certain"
        f" order by score_bits desc nulls last, left_number asc, right_number asc) as place from ({sides}) as sides)"
        " as ranked where place = 1 and certain not in (select anchor from customer_names where anchor is not null)"
    )


def _rate_contacts(warehouse: Warehouse) -> None:
    """Write ``contact_rules``: by which rule a contact record belongs to the rest of its customer."""
    warehouse.run(
        "create or replace temp table shared_nodes as select right_node as node, certain_edges.kind,"
        " identity_nodes.rank from certain_edges inner join identity_nodes on right_node = identity_nodes.node"
        " inner join identity_nodes as holders on left_node = holders.node and holders.kind = 'contact_id'"
        " group by right_node, certain_edges.kind, identity_nodes.rank having count(distinct left_node) > 1"
    )
    warehouse.run(
        "create or replace temp table contact_rules as with stewarded as (select left_node as node from steward_links"
        " union select right_node from steward_links), shared as (select left_node as node, arg_min(shared_nodes.kind,"
        " shared_nodes.rank) as kind from certain_edges inner join shared_nodes on right_node = shared_nodes.node"
        " group by left_node) select placed.number, case when groups.own_key = records.record_key"
        " then 'probable' when stewarded.node is not null then 'steward' else shared.kind end as link_rule,"
        " case when groups.own_key = records.record_key then matched.source_system end as matched_source_system,"
        " case when groups.own_key = records.record_key then matched.record_id end as matched_record_id,"
        " case when groups.own_key = records.record_key then groups.score_bits end as score_bits"
        " from record_customers as placed inner join numbered_records as records using (number)"
        " inner join record_nodes using (number)"
        " left join group_confidences as groups on placed.certain = groups.certain"
        " left join numbered_records as matched on groups.other_key = matched.record_key"
        " left join stewarded on record_nodes.contact_node = stewarded.node"
        " left join shared on record_nodes.contact_node = shared.node where records.record_table = 'contacts'"
    )


def _report_pairs(warehouse: Warehouse, policy: Policy) -> None:
    """Replace ``identity.pair_scores``: pairs that likeness linked, and pairs that a steward should look at.

    For review are pairs just below the line, and pairs above it that average linkage or a guard kept apart.
    """
    warehouse.run(f"create or replace table {SCORED_PAIRS} ({_SCORED_COLUMNS})")
    if not policy.probable_links:
        return
    named = (
        ("name", "names"),
        ("birth_date", "birth date"),
        ("email", "email"),
        ("phone", "phone"),
        ("city", "city"),
        ("postcode", "postcode"),
        ("street", "street"),
    )
    evidence = ", ".join(
        f"case when {name}_bits <> 0 then '{word} ' || case when {name}_bits > 0 then '+' else '' end ||"
        f" cast(cast({name}_bits as decimal(9, 1)) as varchar) end"
        for name, word in named
    )
    warehouse.run(
        f"insert into {SCORED_PAIRS} select l.source_system, l.record_id, l.customer_id, r.source_system, r.record_id,"
        " r.customer_id, case when l.customer_id = r.customer_id then 'linked' else 'review' end,"
        f" scores.score_bits, 1 / (1 + power(2, -scores.score_bits)), concat_ws(', ', {evidence})"
        " from identity_scores as scores"
        f" inner join {scoring.PEOPLE} as left_people on left_number = left_people.number"
        f" inner join {scoring.PEOPLE} as right_people on right_number = right_people.number"
        f" inner join {LINKS} as l on left_people.record_key = l.record_key"
        f" inner join {LINKS} as r on right_people.record_key = r.record_key"
    )
