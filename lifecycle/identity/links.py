"""Certain links: records that carry the same strong identifier are one person, unless something speaks against it.

Belongs here: which identifiers link, how strong each is, and the guards that keep one from linking.
Does not belong here: the cleaning of values (``normalize.py``), likeness of names (``scoring.py``), the order of the
whole (``resolution.py``).

Everything is a temporary table: ``numbered_records``, ``identity_work`` (their comparable identifiers),
``identity_nodes`` (one per identifier that may link), ``record_nodes`` (which identifiers a record carries),
``certain_edges``.
"""

from __future__ import annotations

from dataclasses import dataclass

from lifecycle.identity import normalize
from lifecycle.warehouse import Warehouse

RECORDS = "intermediate.int_identity_records"
PROFILES = "intermediate.int_identity_profiles"
JUNK = "seeds.junk_identifiers"
BLOCKED = "identity.identifier_blocks"
SHARED = "shared too widely"
"""Why a shop's own address or a test address links nobody."""


@dataclass(frozen=True)
class Identifier:
    """A kind of identifier that links records by being equal.

    ``column`` holds it in ``identity_work``. An identifier is shared too widely when it is seen with more different
    values of one of the ``sharers`` than the settings allow.
    """

    kind: str
    column: str
    sharers: tuple[str, ...]


STRONG = (
    Identifier("contact_id", "contact_key", ("email",)),
    Identifier("user_id", "user_key", ("contact_key", "email")),
    Identifier("email", "email", ("contact_key", "user_key", "phone")),
    # A phone is shared in a household: it links contacts only together with an equal name.
    Identifier("phone_and_name", "phone_name", ("contact_key",)),
)
"""Strongest first. A record is known by the strongest one it carries."""

HUBS = ("contact_node", "user_node", "email_node", "loner_node")
"""Columns of ``record_nodes``: the first that is filled is what the record is known by."""

WEAK = (
    Identifier("phone", "phone", ("contact_key", "email")),
    Identifier("anonymous_id", "anonymous_key", ()),
)
"""Identifiers that bring a record without a strong one to the person who is known to use them."""


def create_tables(warehouse: Warehouse) -> None:
    warehouse.run("create schema if not exists identity")
    warehouse.run(
        f"create table if not exists {BLOCKED} (identifier_kind varchar, identifier_value varchar, reason varchar,"
        " record_count bigint, sharer_count bigint)"
    )


def prepare_records(warehouse: Warehouse, default_country: str | None) -> None:
    """Write ``numbered_records`` and ``identity_work``: every record with its identifiers in comparable form.

    Records are numbered in the order in which they speak of people: by event time, then source, table and record id;
    one without a date has always been there. An identifier that cannot be compared is null in ``identity_work``; what
    it was, and why, goes to ``identity.identifier_blocks``.
    """
    run = warehouse.run
    run(
        "create or replace temp table numbered_records as select cast(row_number() over (order by occurred_at nulls"
        " first, source_system, record_table, record_id) as bigint) as number, * replace (lower(trim(email)) as email,"
        f" trim(phone) as phone, coalesce(country, '') as country) from {RECORDS}"
    )
    normalize.normalize_emails(warehouse, "select email from numbered_records")
    normalize.normalize_phones(warehouse, "select phone, country from numbered_records", default_country)
    run(
        "create or replace temp table given_emails as select email, case when is_junk then null else email_key end as"
        " email_key, case when is_junk then 'junk' else problem end as problem from (select emails.email,"
        f" case when {normalize.is_ordinary('emails.email')} then {normalize.comparable('emails.email')}"
        " else unusual.email_key end as email_key, unusual.problem,"
        " whole.identifier_value is not null or names.identifier_value is not null as is_junk"
        " from (select distinct email from numbered_records where email is not null) as emails"
        f" left join {normalize.EMAIL_ADDRESSES} as unusual on emails.email = unusual.email"
        f" left join {JUNK} as whole on whole.identifier_kind = 'email' and whole.match = 'whole'"
        " and whole.identifier_value = emails.email"
        f" left join {JUNK} as names on names.identifier_kind = 'email' and names.match = 'local_part'"
        " and names.identifier_value = split_part(emails.email, '@', 1)) as judged"
    )
    run(
        "create or replace temp table identity_work as select numbered_records.number, contact_key, user_key,"
        " given_emails.email_key as email, phones.e164 as phone, anonymous_key,"
        " case when profiles.first_name is not null and profiles.last_name is not null then phones.e164 || '/' ||"
        f" {normalize.folded_name('profiles.first_name')} || '/' || {normalize.folded_name('profiles.last_name')} end"
        " as phone_name from numbered_records left join given_emails on numbered_records.email = given_emails.email"
        f" left join {normalize.PHONE_NUMBERS} as phones on numbered_records.phone = phones.phone"
        " and numbered_records.country = phones.country"
        f" left join (select record_key, first_name, last_name from {PROFILES}) as profiles"
        " on numbered_records.record_key = profiles.record_key"
    )
    warehouse.create_as(
        BLOCKED,
        "select 'email' as identifier_kind, email as identifier_value, given_emails.problem as reason,"
        " count(*) as record_count, cast(null as bigint) as sharer_count from numbered_records inner join given_emails"
        " using (email) where given_emails.problem is not null group by email, given_emails.problem"
        " union all select 'phone', phones.phone, phones.problem, count(*), null from numbered_records"
        f" inner join {normalize.PHONE_NUMBERS} as phones on numbered_records.phone = phones.phone"
        " and numbered_records.country = phones.country where phones.problem is not null"
        " group by phones.phone, phones.problem",
    )
    run("drop table given_emails")


def block_shared(warehouse: Warehouse, limit: int) -> None:
    """Note in ``identity.identifier_blocks`` every identifier that more than ``limit`` people seem to share."""
    for identifier in (*STRONG, *WEAK):
        column = identifier.column
        if not identifier.sharers:
            continue
        sharers = ", ".join(f"count(distinct {sharer})" for sharer in identifier.sharers)
        sharers = f"greatest({sharers})" if len(identifier.sharers) > 1 else sharers
        warehouse.run(
            f"insert into {BLOCKED} select '{identifier.kind}', {column}, '{SHARED}', count(*), {sharers}"
            f" from identity_work semi join (select {column} from identity_work where {column} is not null"
            f" group by {column} having count(*) > ?) as frequent using ({column})"
            f" group by {column} having {sharers} > ?",
            [limit, limit],
        )


def build_nodes(warehouse: Warehouse) -> None:
    """Write ``identity_nodes`` and ``record_nodes``: which record carries which linking identifier.

    A contact id that is shared too widely (the '0' of guest orders) keeps its node, so that a record with nothing else
    has somebody to belong to; but it links no other identifier (``is_loner``) and the others come first.
    """
    run = warehouse.run
    values = " union all ".join(
        f"select {rank} as rank, '{identifier.kind}' as kind, {identifier.column} as identifier_value from"
        f" (select distinct {identifier.column} from identity_work where {identifier.column} is not null) as given"
        for rank, identifier in enumerate(STRONG)
    )
    run(
        "create or replace temp table identity_nodes as select cast(row_number() over"
        " (order by rank, identifier_value) as bigint) as node, rank, kind, identifier_value,"
        " kind = 'contact_id' and is_shared as is_loner from (select given.*, blocked.identifier_value is not null as"
        f" is_shared from ({values}) as given left join {BLOCKED} as blocked on given.kind = blocked.identifier_kind"
        f" and given.identifier_value = blocked.identifier_value and blocked.reason = '{SHARED}') as judged"
        " where kind = 'contact_id' or not is_shared"
    )
    joins = " ".join(
        f"left join (select identifier_value as {identifier.column}, node as {identifier.kind}_node,"
        f" is_loner as {identifier.kind}_is_loner from identity_nodes where kind = '{identifier.kind}')"
        f" as of_{identifier.kind} using ({identifier.column})"
        for identifier in STRONG
    )
    run(
        "create or replace temp table record_nodes as select number, phone, anonymous_key,"
        " case when contact_id_is_loner then null else contact_id_node end as contact_node,"
        " user_id_node as user_node, email_node, phone_and_name_node as phone_name_node,"
        " case when contact_id_is_loner then contact_id_node end as loner_node"
        f" from identity_work {joins}"
    )


def build_edges(warehouse: Warehouse) -> None:
    """Write ``certain_edges``: a record's strongest identifier is the centre of a star over its others.

    Columns: left_node, right_node, kind (of the identifier on the right), first_number (of the earliest record that
    carries both), record_count.
    """
    pairs = (
        ("contact_node", "user_node", "user_id"),
        ("contact_node", "email_node", "email"),
        ("contact_node", "phone_name_node", "phone_and_name"),
        ("user_node", "email_node", "email"),
    )
    parts = " union all ".join(
        f"select {left} as left_node, {right} as right_node, '{kind}' as kind, number from record_nodes"
        f" where {left} is not null and {right} is not null"
        + (" and contact_node is null" if left == "user_node" else "")
        for left, right, kind in pairs
    )
    warehouse.run(
        "create or replace temp table certain_edges as select left_node, right_node, kind, count(*) as record_count,"
        " min(number) as first_number"
        f" from ({parts}) as parts group by left_node, right_node, kind"
    )
