"""A small build warehouse by hand: every table that is published, with its promised columns, and a passing gate.

``version`` is written into a column of every public table, so that a reader can tell whether what it reads is of one
run.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle.publishing.ledger import utc
from lifecycle.serving.publication import PUBLIC
from lifecycle.settings import DestinationSettings, Guards, Settings, Source, Sync
from lifecycle.sources.contract import LOAD_COLUMNS, TABLES
from lifecycle.warehouse import Warehouse, open_duckdb, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

AS_OF = date(2024, 3, 31)
NOW = datetime(2024, 4, 1, 6, 0, tzinfo=UTC)
CANARIES = ("zz.canary@example.com", "+15550104242", "Canaryfirst", "canary-record-17")
"""Values that must never leave the PII file: email, phone, name, record id."""


def settings_of(folder: Path, *syncs: Sync, **changes: Any) -> Settings:
    return Settings(
        project="small",
        sources=[Source(name="shop", table="contacts", path="none.csv")],
        destinations=[DestinationSettings(name="drop", path="out"), DestinationSettings(name="other", path="other")],
        syncs=list(syncs),
        config_file=folder / "lifecycle.yml",
        **changes,
    )


def lapsed_sync(**changes: Any) -> Sync:
    given = {"segment": "lapsed", "destination": "drop", "guards": Guards(max_add=1, max_remove=1)} | changes
    return Sync(**given)


@contextmanager
def opened(settings: Settings) -> Iterator[Warehouse]:
    settings.state.make()
    with open_duckdb(settings.state.warehouse) as warehouse:
        yield warehouse


def build(warehouse: Warehouse, *, version: int = 1, customers: int = 12, run_id: str = "run-1") -> None:
    """Customers c00001 … of whom every third is in segment ``lapsed``; contacts, links and events for each."""
    marker = f"'v{version}'"
    everybody = f"range(1, {customers + 1}) as numbers(i)"
    customer = "printf('c%05d', i)"
    moment = "timestamp '2023-01-01' + to_days(i::integer % 400)"
    tables = {
        "marts.customer_360": f"""
            select {customer} as customer_id, {moment} as first_seen_at, i % 7 as order_count,
                (i % 90)::decimal(18, 4) - 20 as net_revenue_amount, 'active' as lifecycle_stage, true as email_consent,
                true as sms_consent, true as ads_consent, 'US' as country, {marker} as persona, null::varchar as city,
                false as is_test, false as is_employee, false as is_anonymous
            from {everybody}""",
        "marts.customer_contacts": f"""
            select {customer} as customer_id, kind as identifier_kind,
                case kind when 'email' then 'p' || i || '@example.com' else '+1555' || lpad(i::varchar, 7, '0') end
                    as identifier_value, 'shop' as source_system, 1.0 as confidence, true as is_preferred
            from {everybody}, (values ('email'), ('phone')) as kinds(kind)
            union all
            select 'c00001', kind, canary, 'shop', 0.5, false from (values
                ('email', 'zz.canary@example.com'), ('phone', '+15550104242'), ('first_name', 'Canaryfirst')
            ) as canaries(kind, canary)""",
        "marts.customer_timeline": f"""
            select {customer} as customer_id, 'order:shop:' || i || ':' || n as event_id,
                {moment} + to_hours(n::integer) as occurred_at, 'order_placed' as event_name, {marker} as channel,
                'shop' as source_system, 'o' || i as order_id, null::varchar as ticket_id, null::varchar as campaign_id,
                null::varchar as product_id, 10.5::decimal(18, 4) as amount, 'USD' as currency
            from {everybody}, range(3) as events(n)""",
        "marts.customer_lifecycle_history": f"""
            select {customer} as customer_id, 'active' as stage, {marker} as reason_code, 'Ordered' as reason,
                'order:shop:' || i || ':0' as evidence_event_id, {moment} as valid_from_at,
                null::timestamp as valid_to_at
            from {everybody}""",
        "marts.lifecycle_transitions": f"""
            select {customer} as customer_id, 'new' as from_stage, 'active' as to_stage, {moment} as moved_at,
                1.5::double as days_in_stage, {marker} as reason_code
            from {everybody}""",
        "marts.customer_scheme_stages": f"""
            select {customer} as customer_id, 'google_ads' as scheme, {marker} as stage, {moment} as stage_since_at
            from {everybody}""",
        "marts.lifecycle_stage_daily": f"""
            select date '2024-01-01' as stage_date, 'lifecycle' as scheme, {marker} as stage,
                {customers} as customer_count, {customers} as entered_count, 0 as left_count""",
        "marts.lifecycle_stage_flows": f"""
            select 'new' as from_stage, 'active' as to_stage, {version} as move_count, 1.0::double as exit_rate""",
        "marts.lifecycle_stage_survival": f"""
            select 'new' as stage, 0 as day_number, {customers} as at_risk_count, 1.0::double as survival_rate""",
        "marts.lifecycle_bottlenecks": f"""
            select 'new' as stage, {customers} as customer_count, {version} as stay_count""",
        "marts.revenue_monthly": f"""
            select date '2024-01-01' as revenue_month, {version} as order_count, {customers} as customer_count,
                1.0::decimal(18, 4) as net_revenue_amount""",
        "marts.retention_cohorts_monthly": f"""
            select date '2024-01-01' as cohort_month, 0 as month_number, {version} as cohort_customer_count,
                1 as retained_customer_count, 0.5::double as retention_rate""",
        "identity.customer_links": f"""
            select 'shop' as source_system, 'contacts' as record_table,
                case i when 1 then 'canary-record-17' else 'r' || i end as record_id,
                {customer} as customer_id, {marker} as link_rule, 1.0::double as confidence, {moment} as linked_at,
                case i when 1 then 'shop' end as matched_source_system,
                case i when 1 then 'canary-record-17' end as matched_record_id
            from {everybody}""",
        "identity.customer_merges": f"""
            select 'c_old' as previous_customer_id, 'c00001' as customer_id, 'merged' as change_kind,
                {version} as record_count, {marker} as reason, date '2024-01-01' as changed_as_of""",
        "identity.scored_pairs": f"""
            select 'shop' as left_source_system, 'canary-record-17' as left_record_id, 'shop' as right_source_system,
                'r2' as right_record_id, 'c00001' as left_customer_id, 'c00002' as right_customer_id,
                {marker} as outcome, 1.5::double as score_bits, 0.7::double as confidence""",
        "identity.blocked_identifiers": f"""
            select 'email' as identifier_kind, 'zz.canary@example.com' as identifier_value, {marker} as reason,
                2 as record_count""",
        "identity.decision_outcomes": f"""
            select 'stewards' as source_system, 'd1' as decision_id, {marker} as outcome""",
        "identity.link_rules": f"""
            select {marker} as link_rule, 'shop' as source_system, 'contacts' as record_table,
                {customers} as record_count""",
        "identity.cluster_sizes": f"""
            select {version} as contact_record_count, {customers} as customer_count""",
        "segments.segment_members": f"""
            select 'lapsed' as segment_name, {customer} as customer_id, {moment} as entered_at,
                'No order for 90 days' as reason
            from {everybody} where i % 3 = 0""",
        "segments.segment_history": f"""
            select 'lapsed' as segment_name, {customer} as customer_id, {moment} as valid_from_at,
                case when i % 3 <> 0 then timestamp '2024-02-01' end as valid_to_at,
                'No order for 90 days' as entry_reason, case when i % 3 <> 0 then 'Ordered again' end as exit_reason
            from {everybody}""",
        "ops.run_log": f"select '{run_id}' as run_id, 'marts' as step, {marker} as message",
        "ops.batches": f"""
            select 'b1' as batch_id, {marker} as source_system, 'contacts' as table_name, 'none.csv' as file_name,
                12 as received_count, 12 as loaded_count, 0 as duplicate_count, 0 as superseded_count,
                0 as suppressed_count, 0 as quarantined_count, timestamp '2024-03-31' as loaded_at""",
    }
    # Of the metric marts the keys are enough.
    keys = {table.name: table.keys.split(", ") for table in PUBLIC if table.name.startswith(("marts.", "segments."))}
    tables |= {
        name: f"select {', '.join(f'{marker} as {key}' for key in columns)}"
        for name, columns in keys.items()
        if name not in tables
    }
    for table, sql in tables.items():
        warehouse.create_as(table, sql)
    warehouse.run("create schema if not exists raw")
    for name, table in TABLES.items():
        columns = ", ".join(f"{quoted(column.name)} {column.sql_type}" for column in (*LOAD_COLUMNS, *table.columns))
        warehouse.run(f"create table if not exists raw.{quoted(name)} ({columns})")
    warehouse.run("delete from raw.contacts")
    warehouse.run(
        "insert into raw.contacts (source_system, loaded_at, contact_id, email, phone, first_name, created_at) values"
        " ('shop', '2024-03-31', 'canary-record-17', 'zz.canary@example.com', '+15550104242', 'Canaryfirst',"
        " '2024-03-30'), ('shop', '2024-03-31', 'r2', 'p2@example.com', null, null, '2031-01-01')"
    )
    warehouse.run("drop table if exists ops.gate_results")
    for gate in ("marts", "segment:lapsed"):
        verdict(warehouse, run_id, gate, "passed")


def verdict(
    warehouse: Warehouse, run_id: str, gate: str, outcome: str, *, severity: str = "error", check: str = "has_rows"
) -> None:
    from lifecycle.quality.gate import create_tables

    create_tables(warehouse)
    warehouse.run(
        "insert into ops.gate_results (run_id, gate, check_name, table_name, severity, outcome, observed, limit_value,"
        " description, remedy, judged_at) values (?, ?, ?, 'marts.customer_360', ?, ?, '3', 'at least 5', 'Rows.',"
        " 'Look at it.', ?)",
        [run_id, gate, check, severity, outcome, utc(NOW)],
    )


def die_at(step: int | None, delay: float, counted: Path) -> None:
    """Kill this process (``kill -9``) ``delay`` seconds after its ``step``-th statement or file operation began.

    Counting steps instead of seconds spreads the kills over all phases on a fast machine and a slow one. Without a
    step, only how many there were is written to ``counted``.
    """
    taken = 0

    def wrapped(original: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal taken
            taken += 1
            if step is None:
                counted.write_text(str(taken))
            elif taken == step:
                threading.Timer(delay, os.kill, (os.getpid(), signal.SIGKILL)).start()
            return original(*arguments, **named)

        return call

    for owner, name in ((Warehouse, "run"), (Warehouse, "rows"), (os, "fsync"), (os, "rename"), (os, "replace")):
        setattr(owner, name, wrapped(getattr(owner, name)))


def killed_publication(folder: Path, number: int, step: int | None, delay: float) -> None:
    """What a worker process does: publish, and die on the way."""
    from lifecycle.serving.publication import build_publication

    settings = settings_of(folder)
    with opened(settings) as warehouse:
        die_at(step, delay, folder / "steps")
        build_publication(
            warehouse,
            settings,
            run_id=f"run-{number}",
            as_of=AS_OF,
            published_at=NOW + timedelta(hours=number),
        )


def killed_delivery(settings: Settings, now: datetime, step: int | None, delay: float) -> None:
    """What a worker process does: deliver, and die on the way."""
    from lifecycle.publishing.apply import deliver

    die_at(step, delay, settings.folder / "steps")
    deliver(settings, settings.syncs[0], now=now)


def in_a_process(work: Any, *arguments: Any) -> int | None:
    """Run ``work`` in a process of its own, to its end; gives the exit code (-9 when killed)."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "lifecycle.publishing.apply", "lifecycle.quality.gate"])
    process = context.Process(target=work, args=arguments)
    process.start()
    process.join()
    return process.exitcode
