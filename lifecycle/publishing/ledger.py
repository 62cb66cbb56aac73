"""What was planned, what was sent and what is proved to be there.

Belongs here: the ledger file, its tables, leases and the public tables ``ops.sync_runs`` and ``ops.sync_members``
that are read from it.
Does not belong here: deciding what to send (``plan.py``, ``guards.py``) or sending it (``apply.py``).
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from lifecycle.errors import LifecycleError, LockedError
from lifecycle.warehouse import Warehouse, literal, open_duckdb

if TYPE_CHECKING:
    from lifecycle.settings import Settings

SCHEMA = """
create table if not exists deliveries (
    sync_name varchar not null,
    destination_name varchar not null,
    customer_id varchar not null,
    payload varchar not null,
    encoder varchar not null,
    plan_id varchar not null,
    delivered_at timestamp not null,
    key_hash varchar,
    sealed blob
);
create table if not exists rejections (
    sync_name varchar not null,
    destination_name varchar not null,
    customer_id varchar not null,
    payload varchar not null,
    encoder varchar not null,
    code varchar not null,
    message varchar,
    key_hash varchar,
    rejected_at timestamp not null
);
create table if not exists lists (
    sync_name varchar not null,
    destination_name varchar not null,
    list_id varchar not null,
    title varchar,
    known_since timestamp not null
);
create table if not exists plans (
    plan_id varchar not null,
    kind varchar not null,
    sync_name varchar not null,
    segment_name varchar not null,
    destination_name varchar not null,
    run_id varchar not null,
    published_at timestamp not null,
    as_of date not null,
    digest varchar not null,
    encoder varchar not null,
    settings_digest varchar not null,
    created_at timestamp not null,
    desired_count bigint not null,
    unchanged_count bigint not null,
    added_count bigint not null,
    updated_count bigint not null,
    removed_count bigint not null,
    vetoed_count bigint not null,
    plan_state varchar not null,
    refusal varchar,
    approved_at timestamp,
    approval_reason varchar
);
create table if not exists plan_items (
    plan_id varchar not null,
    customer_id varchar not null,
    operation varchar not null,
    reason varchar not null,
    detail varchar,
    entered_at timestamp,
    payload varchar,
    item_state varchar not null,
    attempt_count integer not null,
    error varchar,
    handle varchar
);
create table if not exists attempts (
    sync_run_id varchar not null,
    attempt_number bigint not null,
    started_at timestamp not null,
    ended_at timestamp,
    outcome varchar,
    message varchar,
    operation varchar,
    member_count bigint
);
create table if not exists runs (
    sync_run_id varchar not null,
    sync_name varchar not null,
    segment_name varchar not null,
    destination_name varchar not null,
    run_id varchar not null,
    plan_id varchar not null,
    started_at timestamp not null,
    ended_at timestamp,
    desired_count bigint not null,
    unchanged_count bigint not null,
    added_count bigint not null,
    updated_count bigint not null,
    removed_count bigint not null,
    vetoed_count bigint not null,
    rejected_count bigint not null,
    outcome varchar,
    missing_count bigint,
    stray_count bigint
);
create table if not exists leases (
    sync_name varchar not null,
    holder varchar not null,
    taken_at timestamp not null,
    expires_at timestamp not null
);
"""
"""No primary keys: DuckDB checks them before a delete of the same transaction counts, so a member could not be
re-sent in one transaction. Closing a run proves one row per sync and member instead.

``deliveries`` holds everybody who is, or may be, on a list: a member who is about to be sent has a row with the payload
``UNPROVEN`` before the tool hears of them. ``sealed`` and ``key_hash`` are of tools that keep members (``seal.py``).
"""

ADDED_COLUMNS = """
alter table deliveries add column if not exists key_hash varchar;
alter table deliveries add column if not exists sealed blob;
alter table plan_items add column if not exists handle varchar;
alter table attempts add column if not exists operation varchar;
alter table attempts add column if not exists member_count bigint;
alter table runs add column if not exists missing_count bigint;
alter table runs add column if not exists stray_count bigint;
"""
"""What ledgers of earlier versions lack."""

UNPROVEN = "unproven"
"""The payload of a delivery of which it is not known whether it arrived: equal to none that is wanted."""

SYNC_RUNS = """
    select
        sync_run_id, sync_name, segment_name, destination_name, run_id, plan_id, started_at, ended_at,
        desired_count, unchanged_count, added_count, updated_count, removed_count, vetoed_count, rejected_count,
        coalesce(outcome, 'unfinished') as outcome
    from {ledger}runs
"""
"""``ops.sync_runs``: one row per run of a sync. Outcome: delivered, unchanged, restored, withdrawn, refused, abandoned,
unfinished."""

SYNC_MEMBERS = """
    select
        runs.sync_run_id, runs.sync_name, plan_items.customer_id, plan_items.operation, plan_items.reason,
        plan_items.item_state as outcome, coalesce(runs.ended_at, runs.started_at) as occurred_at, plan_items.detail
    from {ledger}runs as runs
    inner join {ledger}plan_items as plan_items on runs.plan_id = plan_items.plan_id
    where coalesce(runs.outcome, 'unfinished') in ('delivered', 'withdrawn', 'unfinished')
        or (runs.outcome = 'abandoned' and plan_items.item_state in ('applied', 'rejected'))
"""
"""``ops.sync_members``: one row per run and member that was added, updated or removed, with the reason. Outcome:
applied, rejected, withdrawn (consent ended while the list was sent), pending, in_flight, accepted, abandoned."""

LEASE = timedelta(hours=1)
"""How long a lease of another machine counts; one of this machine ends with its process."""

_held: set[tuple[Path, str]] = set()
"""Leases that this process holds: ledger and sync."""


def utc(moment: datetime) -> datetime:
    """The moment as DuckDB's zone-less UTC timestamp."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


@contextmanager
def open_ledger(settings: Settings, *, wait_seconds: float = 30.0) -> Iterator[Warehouse]:
    """Open the ledger for a moment; another process that has it open is waited for.

    The ledger is never held while something is sent, so waiting is short.
    """
    state = settings.state
    state.make()
    deadline = time.monotonic() + wait_seconds
    while True:
        context = open_duckdb(
            state.ledger,
            memory_limit=settings.warehouse.memory_limit,
            threads=settings.warehouse.threads,
            spill=state.spill,
            max_spill=settings.warehouse.max_spill,
        )
        try:
            ledger = context.__enter__()
            break
        except LifecycleError as error:
            busy = "lock" in error.problem or "configuration" in error.problem
            if not busy or time.monotonic() >= deadline:
                raise
            time.sleep(0.05)
    try:
        ledger.run(SCHEMA + ADDED_COLUMNS)
        yield ledger
    finally:
        context.__exit__(None, None, None)


def attach_ledger(warehouse: Warehouse, path: Path, catalog: str, *, wait_seconds: float = 30.0) -> None:
    """Attach the ledger for reading; another process that has it open is waited for."""
    import duckdb

    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            warehouse.run(f"attach {literal(str(path))} as {catalog} (read_only)")
            return
        except duckdb.IOException as error:
            if time.monotonic() >= deadline:
                raise LockedError(
                    "another process holds the ledger",
                    where=str(path),
                    remedy="Wait until it has ended; only deliveries write it, and only for moments.",
                ) from error
            time.sleep(0.05)


@contextmanager
def lease(settings: Settings, sync_name: str, now: datetime) -> Iterator[None]:
    """One delivery of a sync at a time; a lease whose process has died is taken over.

    Raises LockedError, naming the holder.
    """
    key = (settings.state.ledger, sync_name)
    host, process = socket.gethostname(), str(os.getpid())
    if key in _held:
        raise _leased(sync_name, host, process, settings)
    _held.add(key)
    try:
        with open_ledger(settings) as ledger, ledger.transaction():
            for holder, expires_at in ledger.rows(
                "select holder, expires_at from leases where sync_name = ?", [sync_name]
            ):
                other_host, other_process = holder.split(":")
                # A lease of this very process that is not in _held is left over from a process of the same number.
                is_other = (other_host, other_process) != (host, process)
                if is_other and (_is_alive(other_process) if other_host == host else expires_at > utc(now)):
                    raise _leased(sync_name, other_host, other_process, settings)
            ledger.run("delete from leases where sync_name = ?", [sync_name])
            ledger.run(
                "insert into leases values (?, ?, ?, ?)", [sync_name, f"{host}:{process}", utc(now), utc(now) + LEASE]
            )
        try:
            yield
        finally:
            with open_ledger(settings) as ledger:
                ledger.run("delete from leases where sync_name = ?", [sync_name])
    finally:
        _held.discard(key)


def _leased(sync_name: str, host: str, process: str, settings: Settings) -> LockedError:
    return LockedError(
        f"sync '{sync_name}' is being delivered by process {process} on {host}",
        where=str(settings.state.ledger),
        remedy="Wait until it has ended, or stop it; its delivery is then resumed.",
    )


def _is_alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
