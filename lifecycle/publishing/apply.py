"""Sending plans and proving what arrived.

Belongs here: the order of steps (lease, resume, guards, send, close), for one sync and for all.
Does not belong here: what to send (``plan.py``), limits (``guards.py``), and the steps themselves (``work.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from lifecycle.errors import LifecycleError
from lifecycle.publishing.guards import demand
from lifecycle.publishing.ledger import lease, open_ledger
from lifecycle.publishing.plan import attached, make_plan, published_for
from lifecycle.publishing.work import Delivery, RunOutcome, Work

if TYPE_CHECKING:
    from lifecycle.settings import Settings, Sync


@dataclass(frozen=True)
class DeliveryAttempt:
    """A delivery, or why there was none."""

    sync_name: str
    delivery: Delivery | None
    error: LifecycleError | None


def deliver(settings: Settings, sync: Sync, *, now: datetime, dry_run: bool = False) -> Delivery:
    """Bring the sync's list up to the current publication.

    Raises GateStoppedError when there is no publication, the segment's gate did not pass, or a guard refuses. In the
    last case people who withdrew consent (or are test records or employees) are nevertheless taken off the list.
    Raises LifecycleError when counts do not add up or the destination fails; the next delivery resumes.
    """
    from lifecycle.publishing.destinations import destination_of, keeps_members
    from lifecycle.publishing.member_work import MemberWork
    from lifecycle.publishing.snapshot_work import SnapshotWork

    publication = published_for(settings, sync)
    destination = destination_of(settings, sync.destination)
    if dry_run:
        with open_ledger(settings) as ledger, attached(ledger, publication):
            plan = make_plan(settings, sync, ledger, publication, now=now)
        demand(plan)
        return Delivery(
            sync.key,
            "planned",
            plan.plan_id,
            None,
            plan.desired_count,
            plan.added_count,
            plan.updated_count,
            plan.removed_count,
        )
    health = destination.check()
    if not health.is_ready:
        raise LifecycleError(health.problem, where=f"destination '{destination.name}'", remedy=health.remedy)
    work: Work
    if keeps_members(destination):
        work = MemberWork(settings, sync, publication, now, destination)
    else:
        work = SnapshotWork(settings, sync, publication, now, destination)
    with lease(settings, sync.key, now):
        return _delivered(work)


def _delivered(work: Work) -> Delivery:
    work.prepare()
    resumed = work.resume()
    if resumed is not None:
        return resumed
    plan, run = work.begin()
    if run is None and plan.exempt_count and work.is_there():
        _, withdrawal = work.begin("withdrawals")
        if withdrawal is not None:
            work.send(withdrawal)
            work.close(withdrawal, "withdrawn")
        plan, run = work.begin()
    if run is None:
        demand(plan)
        raise LifecycleError("a plan that may be sent was not begun", where=f"plan {plan.plan_id}")
    if plan.changes == 0 and work.is_there():
        outcome: RunOutcome = "unchanged"
    else:
        work.send(run)
        outcome = "delivered" if plan.changes else "restored"
    return work.close(run, outcome)


def deliver_all(
    settings: Settings,
    *,
    now: datetime,
    dry_run: bool = False,
    segment: str | None = None,
    destination: str | None = None,
) -> list[DeliveryAttempt]:
    """Deliver every sync (of one segment, to one destination); one that is stopped does not stop the others."""
    attempts = []
    for sync in settings.syncs:
        if segment in (None, sync.segment) and destination in (None, sync.destination):
            try:
                delivery = deliver(settings, sync, now=now, dry_run=dry_run)
                attempts.append(DeliveryAttempt(sync.key, delivery, None))
            except LifecycleError as error:
                attempts.append(DeliveryAttempt(sync.key, None, error))
    return attempts
