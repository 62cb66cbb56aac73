"""Lists that no sync of the settings keeps any more.

Belongs here: finding them, and taking off everybody whom we put there, when a person says so.
Does not belong here: lists that are kept (``apply.py``).

A sync that is taken out of the settings, renamed or pointed to another destination leaves its list as it is: a mistake
in a file empties nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from lifecycle.errors import LifecycleError
from lifecycle.publishing.ledger import lease, open_ledger, utc
from lifecycle.publishing.work import Delivery, Run, unfinished

if TYPE_CHECKING:
    from rich.console import Console

    from lifecycle.settings import Settings, Sync
    from lifecycle.warehouse import Warehouse

KIND = "retirement"
REASON = "sync_removed"


@dataclass(frozen=True)
class LeftList:
    """A list that was kept once. ``list_id`` is None at places that are given whole lists."""

    sync_name: str
    destination_name: str
    segment_name: str
    member_count: int
    list_id: str | None


def left_lists(settings: Settings) -> list[LeftList]:
    """Lists that hold members of ours and belong to no sync of the settings."""
    kept = {(sync.key, sync.destination) for sync in settings.syncs}
    if not settings.state.ledger.exists():
        return []
    with open_ledger(settings) as ledger:
        rows = ledger.rows(
            "select deliveries.sync_name, deliveries.destination_name, max(last_runs.segment_name), count(*),"
            " max(lists.list_id) from deliveries left join lists using (sync_name, destination_name) left join"
            " (select sync_name, destination_name, max_by(segment_name, started_at) as segment_name from runs group by"
            " sync_name, destination_name) as last_runs using (sync_name, destination_name)"
            " group by deliveries.sync_name, deliveries.destination_name order by 1, 2"
        )
    found = (
        LeftList(name, destination, segment, count, list_id) for name, destination, segment, count, list_id in rows
    )
    return [one for one in found if (one.sync_name, one.destination_name) not in kept]


def retire(settings: Settings, sync_name: str, *, now: datetime) -> Delivery:
    """Take everybody off a left list whom we put there; others on it stay.

    Raises LifecycleError when there is no such list, its destination is not in the settings any more, or it is a place
    whose list is a file. A retirement that was interrupted goes on when it is asked for again.
    """
    from lifecycle.publishing.destinations import destination_of, keeps_members
    from lifecycle.publishing.member_work import MemberWork
    from lifecycle.serving.publication import current
    from lifecycle.settings import Sync

    left = next((one for one in left_lists(settings) if one.sync_name == sync_name), None)
    if left is None:
        names = [one.sync_name for one in left_lists(settings)]
        raise LifecycleError(
            f"there is no list '{sync_name}' that no sync keeps",
            where=str(settings.state.ledger),
            remedy=f"There are: {', '.join(names) or 'none'}. A list that a sync keeps empties with its segment.",
        )
    where = f"list '{sync_name}'"
    if left.destination_name not in [described.name for described in settings.destinations]:
        raise LifecycleError(
            f"its destination '{left.destination_name}' is not in the settings any more",
            where=where,
            remedy="Put the destination back until its people are off.",
        )
    destination = destination_of(settings, left.destination_name)
    publication = current(settings.state)
    if not keeps_members(destination) or publication is None:
        raise LifecycleError(
            "a list that is a file is no tool's: nobody has to be taken off",
            where=where,
            remedy="Delete its folder at the destination by hand.",
        )
    sync = Sync(segment=left.segment_name, destination=left.destination_name, name=sync_name, list=left.list_id)
    work = MemberWork(settings, sync, publication, now, destination)
    with lease(settings, sync_name, now):
        work.prepare()
        with open_ledger(settings) as ledger:
            run = unfinished(ledger, sync)
        if run is not None and run.kind != KIND:
            work.abandon(run)
            run = None
        if run is None:
            with open_ledger(settings) as ledger:
                run = _begin(ledger, sync, publication.run_id, publication.as_of, publication.published_at, now)
        work.take_off(run)
        return work.close(run, "delivered")


def _begin(ledger: Warehouse, sync: Sync, run_id: str, as_of: date, published_at: datetime, now: datetime) -> Run:
    mine = [sync.key, sync.destination]
    count, encoder = ledger.rows(
        "select count(*), max(encoder) from deliveries where sync_name = ? and destination_name = ?", mine
    )[0]
    number = ledger.scalar("select count(*) + 1 from runs where sync_name = ?", [sync.key])
    digest = hashlib.sha256(f"{KIND} {sync.key} {number}".encode()).hexdigest()
    plan_id = f"{sync.key}-{digest[:12]}"
    counts = {"desired_count": 0, "unchanged_count": 0, "added_count": 0, "updated_count": 0}
    shared = {
        "sync_name": sync.key,
        "segment_name": sync.segment,
        "destination_name": sync.destination,
        "run_id": run_id,
        "plan_id": plan_id,
        **counts,
        "removed_count": count,
        "vetoed_count": 0,
    }
    plan = {
        "kind": KIND,
        "published_at": utc(published_at),
        "as_of": as_of,
        "digest": digest,
        "encoder": encoder,
        "settings_digest": KIND,
        "created_at": utc(now),
        "plan_state": "planned",
        **shared,
    }
    run = {
        "sync_run_id": f"{sync.key}-{number:06d}-{digest[:8]}",
        "started_at": utc(now),
        "rejected_count": 0,
        **shared,
    }
    with ledger.transaction():
        _insert(ledger, "plans", plan)
        _insert(ledger, "runs", run)
        ledger.run(
            "insert into plan_items (plan_id, customer_id, operation, reason, item_state, attempt_count)"
            f" select ?, customer_id, 'remove', '{REASON}', 'pending', 0 from deliveries"
            " where sync_name = ? and destination_name = ?",
            [plan_id, *mine],
        )
    begun = unfinished(ledger, sync)
    if begun is None:
        raise LifecycleError("the retirement was not begun", where=f"list '{sync.key}'")
    return begun


def _insert(ledger: Warehouse, table: str, values: dict[str, Any]) -> None:
    ledger.run(
        f"insert into {table} ({', '.join(values)}) values ({', '.join('?' * len(values))})", list(values.values())
    )


def print_left_lists(console: Console, settings: Settings) -> None:
    """What the settings do not name any more, and what becomes of it."""
    for left in left_lists(settings):
        console.print(
            f"{left.sync_name}: no sync keeps this list any more; its {left.member_count:,} members stay at"
            f" '{left.destination_name}'",
            highlight=False,
            soft_wrap=True,
        )
        if left.list_id is not None:
            console.print(f"  to take them off: lifecycle publish retire {left.sync_name}", highlight=False)
