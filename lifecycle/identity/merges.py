"""Customers that became one, or several, since the last publication.

Belongs here: comparing today's links with the published ones. Lists, holdouts and bookmarks that know a customer by an
older id follow ``identity.merge_log``.
Does not belong here: who is the same person (``resolution.py``).

The log goes on from the last publication's, so a run that never was published leaves no trace in it, and a run after
which nothing changed adds nothing.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

from lifecycle.identity.decisions import OUTCOMES
from lifecycle.identity.resolution import LINKS
from lifecycle.warehouse import Warehouse, literal

MERGE_LOG = "identity.merge_log"
_COLUMNS = (
    "previous_customer_id varchar, customer_id varchar, change_kind varchar, record_count bigint, reason varchar,"
    " changed_as_of date"
)


def create_tables(warehouse: Warehouse) -> None:
    warehouse.run("create schema if not exists identity")
    warehouse.run(f"create table if not exists {MERGE_LOG} ({_COLUMNS})")


def note_merges(warehouse: Warehouse, published: Path | None, as_of: date) -> None:
    """Replace ``identity.merge_log``: what ``published`` (the last publication's file of personal data) knew, and what
    changed since. Without one nothing was merged.

    - ``merged``: all records of a customer now belong to another one that was known before, or that several became.
    - ``renamed``: all records of a customer now belong to a new id alone: an earlier record of theirs turned up.
    - ``split``: some records of a customer now belong to another id; the earlier id stays with the earliest record.
    """
    warehouse.run(f"create or replace table {MERGE_LOG} ({_COLUMNS})")
    if published is None:
        return
    warehouse.run(f"attach {literal(str(published))} as published_identity (read_only)")
    try:
        known = {
            name
            for (name,) in warehouse.rows(
                "select table_name from duckdb_tables() where database_name = 'published_identity'"
                " and schema_name = 'identity'"
            )
        }
        if "customer_merges" in known:
            warehouse.run(
                f"insert into {MERGE_LOG} by name select previous_customer_id, customer_id, change_kind, record_count,"
                " reason, changed_as_of from published_identity.identity.customer_merges"
            )
        warehouse.run(f"insert into {MERGE_LOG} {_changes_sql(as_of)}")
    finally:
        warehouse.run("detach published_identity")


def _changes_sql(as_of: date) -> str:
    """SQL: the changes between the published links and today's."""
    rule_words = (
        "case link_rule when 'email' then 'the same email' when 'user_id' then 'the same account'"
        " when 'contact_id' then 'the same contact id' when 'phone' then 'the same phone'"
        " when 'phone_and_name' then 'the same phone and name' when 'anonymous_id' then 'the same cookie'"
        " when 'probable' then 'names and details that agree' else link_rule end"
    )
    return (
        "with before as (select source_system, record_table, record_id, customer_id"
        " from published_identity.identity.customer_links),"
        f" flows as (select before.customer_id as previous_customer_id, now.customer_id, count(*) as record_count"
        f" from before inner join {LINKS} as now using (source_system, record_table, record_id)"
        " group by before.customer_id, now.customer_id),"
        " moves as (select *, count(*) over (partition by previous_customer_id) as part_count,"
        " count(*) over (partition by customer_id) as origin_count,"
        f" previous_customer_id in (select customer_id from {LINKS}) as is_there,"
        " customer_id in (select customer_id from before) as is_known from flows),"
        # A record that went from one known customer to another (a cookie's visits, say) changes neither of them.
        " changes as (select previous_customer_id, customer_id, record_count, case when is_there then 'split'"
        " when is_known or origin_count > 1 then 'merged' when part_count > 1 then 'split' else 'renamed' end"
        " as change_kind from moves where previous_customer_id <> customer_id and not (is_there and is_known)),"
        # The record that is new to the customer and came first says most of why.
        f" newcomers as (select now.customer_id, arg_min({rule_words} || ', on a new record of ' || source_system ||"
        " '.' || record_table, (linked_at is not null, linked_at, record_key)) as reason"
        f" from {LINKS} as now anti join before using (source_system, record_table, record_id)"
        " group by now.customer_id),"
        f" probables as (select customer_id, max(score_bits) as score_bits from {LINKS} where link_rule = 'probable'"
        " group by customer_id),"
        # A steward's word that was applied and names a record of the customer.
        " words as (select links.customer_id, string_agg(distinct 'a steward decided that they are ' ||"
        " case steward_decisions.decision when 'same' then 'the same person' else 'different people' end, '; ')"
        f" as reason from {OUTCOMES} as outcomes inner join staging.stg_identity_decisions as steward_decisions"
        f" using (decision_id, source_system) inner join {LINKS} as links on links.record_key in (concat_ws(':',"
        " left_record_table, left_source_system, left_record_id), concat_ws(':', right_record_table,"
        " right_source_system, right_record_id)) where outcomes.outcome = 'applied' group by links.customer_id)"
        " select changes.previous_customer_id, changes.customer_id, changes.change_kind, changes.record_count,"
        " case when changes.change_kind = 'renamed' then 'an earlier record of theirs turned up'"
        " when words.reason is not null then words.reason"
        " when changes.change_kind = 'split' then 'the link between them no longer holds'"
        " else coalesce(newcomers.reason, 'names and details that agree (' ||"
        " cast(cast(probables.score_bits as decimal(9, 1)) as varchar) || ' bits)', 'data or settings changed') end,"
        f" date '{as_of.isoformat()}' from changes left join words on changes.customer_id = words.customer_id"
        " left join newcomers on changes.customer_id = newcomers.customer_id"
        " left join probables on changes.customer_id = probables.customer_id"
    )
