"""Sending a plan and proving what arrived.

Belongs here: the order of steps (lease, resume, guards, in flight, send, outcomes), and that the counts add up.
Does not belong here: what to send (``plan.py``), limits (``guards.py``), how a destination is written to.

A kill at any moment leaves either a plan nobody began, or a run without an end. The next delivery asks the destination
whether that run's list is there: then only the books are closed; else the same plan is sent again, unless a newer
publication is out, whose consent counts and from which a new plan is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Literal

from lifecycle.errors import LifecycleError
from lifecycle.publishing.guards import demand
from lifecycle.publishing.ledger import attach_ledger, lease, open_ledger, utc
from lifecycle.publishing.plan import (
    PII,
    Plan,
    attached,
    list_sql,
    make_plan,
    open_published,
    published_for,
    settings_digest,
)
from lifecycle.warehouse import Warehouse, literal

if TYPE_CHECKING:
    from lifecycle.publishing.destinations import Destination
    from lifecycle.serving.publication import Publication
    from lifecycle.settings import Settings, Sync

Outcome = Literal["delivered", "unchanged", "restored", "withdrawn", "planned"]


@dataclass(frozen=True)
class Delivery:
    """What a delivery did. ``planned``: a dry run. ``restored``: nothing had changed, but the list was gone."""

    sync_name: str
    outcome: Outcome
    plan_id: str
    sync_run_id: str | None
    desired_count: int
    added_count: int
    updated_count: int
    removed_count: int
    is_resumed: bool = False


@dataclass(frozen=True)
class DeliveryAttempt:
    """A delivery, or why there was none."""

    sync_name: str
    delivery: Delivery | None
    error: LifecycleError | None


@dataclass(frozen=True)
class _Run:
    """A run of a sync that has begun: its plan, and the counts that must add up."""

    sync_run_id: str
    plan_id: str
    kind: str
    run_id: str
    as_of: date
    published_at: datetime
    encoder: str
    settings_digest: str
    desired_count: int
    unchanged_count: int
    added_count: int
    updated_count: int
    removed_count: int
    vetoed_count: int

    @property
    def changes(self) -> int:
        return self.added_count + self.updated_count + self.removed_count


_UNFINISHED = """
    select
        runs.sync_run_id, runs.plan_id, plans.kind, plans.run_id, plans.as_of, plans.published_at, plans.encoder,
        plans.settings_digest, plans.desired_count, plans.unchanged_count, plans.added_count, plans.updated_count,
        plans.removed_count, plans.vetoed_count
    from runs inner join plans on runs.plan_id = plans.plan_id
    where runs.sync_name = ? and runs.destination_name = ? and runs.ended_at is null and plans.plan_state = 'planned'
"""


def deliver(settings: Settings, sync: Sync, *, now: datetime, dry_run: bool = False) -> Delivery:
    """Bring the sync's list up to the current publication.

    Raises GateStoppedError when there is no publication, the segment's gate did not pass, or a guard refuses. In the
    last case people who withdrew consent (or are test records or employees) are nevertheless taken off the list.
    Raises LifecycleError when counts do not add up or the destination fails; the next delivery resumes.
    """
    from lifecycle.publishing.destinations import destination_of

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
    work = _Work(settings, sync, destination, publication, now)
    with lease(settings, sync.key, now):
        destination.ensure_list(sync.key)
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
            outcome: Outcome = "unchanged"
        else:
            work.send(run)
            outcome = "delivered" if plan.changes else "restored"
        work.close(run, outcome)
        return _delivery(outcome, run)


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


@dataclass(frozen=True)
class _Work:
    """One delivery of one sync: what every step needs."""

    settings: Settings
    sync: Sync
    destination: Destination
    publication: Publication
    now: datetime

    def begin(self, kind: Literal["full", "withdrawals"] = "full") -> tuple[Plan, _Run | None]:
        """Plan, and begin a run of the plan if it may be sent. A refused plan gets a run that has ended already."""
        with open_ledger(self.settings) as ledger, attached(ledger, self.publication):
            plan = make_plan(self.settings, self.sync, ledger, self.publication, now=self.now, kind=kind)
            number = ledger.scalar("select count(*) + 1 from runs where sync_name = ?", [self.sync.key])
            sync_run_id = f"{self.sync.key}-{number:06d}-{plan.digest[:8]}"
            refused = not plan.may_be_sent
            with ledger.transaction():
                ledger.run(
                    f"insert into runs values ({', '.join('?' * 16)})",
                    [
                        sync_run_id,
                        self.sync.key,
                        self.sync.segment,
                        self.sync.destination,
                        plan.run_id,
                        plan.plan_id,
                        utc(self.now),
                        utc(self.now) if refused else None,
                        plan.desired_count,
                        plan.unchanged_count,
                        plan.added_count,
                        plan.updated_count,
                        plan.removed_count,
                        plan.vetoed_count,
                        0,
                        "refused" if refused else None,
                    ],
                )
            if refused:
                return plan, None
            return plan, _unfinished(ledger, self.sync)

    def resume(self) -> Delivery | None:
        """Finish what an interrupted delivery began. None when a (new) plan is to be made."""
        with open_ledger(self.settings) as ledger:
            run = _unfinished(ledger, self.sync)
        if run is None:
            return None
        is_same = (run.run_id, run.published_at) == (self.publication.run_id, utc(self.publication.published_at))
        receipt = self.destination.read_back(self.sync.key)
        if receipt is None or receipt.key != run.sync_run_id:
            fits = (run.encoder, run.settings_digest) == (self.destination.encoder, settings_digest(self.sync))
            if not (is_same and fits and (run.kind == "full" or receipt is not None)):
                self._abandon(run)
                return None
            if run.changes == 0 and self.is_there():
                self.close(run, "unchanged")
                return _delivery("unchanged", run, is_resumed=True)
            self.send(run)
        if run.kind == "withdrawals":
            self.close(run, "withdrawn")
            return None
        outcome: Outcome = "delivered" if run.changes else "restored"
        self.close(run, outcome)
        return _delivery(outcome, run, is_resumed=True) if is_same else None

    def _abandon(self, run: _Run) -> None:
        """End a run whose list never reached the destination and is out of date by now."""
        with open_ledger(self.settings) as ledger, ledger.transaction():
            ledger.run("update plan_items set item_state = 'abandoned' where plan_id = ?", [run.plan_id])
            ledger.run("update plans set plan_state = 'abandoned' where plan_id = ?", [run.plan_id])
            ledger.run(
                "update runs set ended_at = ?, outcome = 'abandoned' where sync_run_id = ?",
                [utc(self.now), run.sync_run_id],
            )
            ledger.run(
                "update attempts set ended_at = ?, outcome = 'unknown' where sync_run_id = ? and ended_at is null",
                [utc(self.now), run.sync_run_id],
            )

    def is_there(self) -> bool:
        """Whether the destination holds what the ledger says was delivered last."""
        with open_ledger(self.settings) as ledger:
            last = ledger.scalar(
                "select max_by(sync_run_id, (ended_at, sync_run_id)) from runs where sync_name = ?"
                " and destination_name = ? and outcome in ('delivered', 'restored', 'withdrawn')",
                [self.sync.key, self.sync.destination],
            )
        receipt = self.destination.read_back(self.sync.key)
        return bool((receipt.key if receipt else None) == last)

    def send(self, run: _Run) -> None:
        """Items in flight, then the list to the destination. Meanwhile the ledger is only read."""
        from lifecycle.publishing.destinations import Snapshot

        with open_ledger(self.settings) as ledger, ledger.transaction():
            ledger.run(
                "update plan_items set item_state = 'in_flight', attempt_count = attempt_count + 1 where plan_id = ?",
                [run.plan_id],
            )
            ledger.run(
                "insert into attempts select ?, count(*) + 1, ?, null, null, null from attempts where sync_run_id = ?",
                [run.sync_run_id, utc(self.now), run.sync_run_id],
            )
        with open_published(self.settings, self.publication) as published:
            published.run(f"attach {literal(str(self.publication.pii_database))} as {PII} (read_only)")
            attach_ledger(published, self.settings.state.ledger, "ledger")
            items = f"ledger.main.plan_items where plan_id = {literal(run.plan_id)}"
            snapshot = Snapshot(
                warehouse=published,
                members_sql=self._members_sql(run, items),
                changes_sql=f"select customer_id, operation, reason, detail, entered_at from {items}",
                delivered_at=utc(self.now),
                facts={
                    "segment": self.sync.segment,
                    "run_id": run.run_id,
                    "as_of": run.as_of.isoformat(),
                    "plan_id": run.plan_id,
                    "encoder": run.encoder,
                    "counts": {
                        "desired": run.desired_count,
                        "unchanged": run.unchanged_count,
                        "added": run.added_count,
                        "updated": run.updated_count,
                        "removed": run.removed_count,
                    },
                },
            )
            try:
                self.destination.send(self.sync.key, snapshot, run.sync_run_id)
            except LifecycleError as error:
                failure = error
            else:
                return
        with open_ledger(self.settings) as ledger:
            ledger.run(
                "update attempts set ended_at = ?, outcome = 'failed', message = ?"
                " where sync_run_id = ? and ended_at is null",
                [utc(self.now), failure.problem, run.sync_run_id],
            )
        raise failure

    def _members_sql(self, run: _Run, items: str) -> str:
        if run.kind == "full":
            return list_sql(self.sync, pii_catalog=f"{PII}.")
        receipt = self.destination.read_back(self.sync.key)
        if receipt is None:
            raise LifecycleError(
                "the list that people are to be taken off is not there",
                where=f"sync '{self.sync.key}'",
                remedy="Approve the waiting plan, or mend the data; the next delivery writes the whole list.",
            )
        delivered = f"read_parquet({literal(str(receipt.members))})"
        return f"select * from {delivered} where customer_id not in (select customer_id from {items})"

    def close(self, run: _Run, outcome: Outcome) -> None:
        """Outcomes, deliveries and the end of the run, in one transaction that holds only if every count adds up."""
        receipt = self.destination.read_back(self.sync.key)
        mine = [self.sync.key, self.sync.destination]
        with open_ledger(self.settings) as ledger, ledger.transaction():
            if outcome != "unchanged":
                ledger.run("update plan_items set item_state = 'applied' where plan_id = ?", [run.plan_id])
            ledger.run(
                "delete from deliveries where sync_name = ? and destination_name = ? and customer_id in"
                " (select customer_id from plan_items where plan_id = ? and operation in ('remove', 'update'))",
                [*mine, run.plan_id],
            )
            ledger.run(
                "insert into deliveries select ?, ?, customer_id, payload, ?, plan_id, ? from plan_items"
                " where plan_id = ? and operation in ('add', 'update')",
                [*mine, run.encoder, utc(self.now), run.plan_id],
            )
            ledger.run(
                "update attempts set ended_at = ?, outcome = 'applied' where sync_run_id = ? and ended_at is null",
                [utc(self.now), run.sync_run_id],
            )
            ledger.run("update plans set plan_state = 'applied' where plan_id = ?", [run.plan_id])
            ledger.run(
                "update runs set ended_at = ?, outcome = ? where sync_run_id = ?",
                [utc(self.now), outcome, run.sync_run_id],
            )
            applied, planned = ledger.rows(
                "select count(*) filter (where item_state = 'applied'), count(*) from plan_items where plan_id = ?",
                [run.plan_id],
            )[0]
            kept, distinct = ledger.rows(
                "select count(*), count(distinct customer_id) from deliveries"
                " where sync_name = ? and destination_name = ?",
                mine,
            )[0]
            accounts = {
                "planned = applied + rejected + pending": (run.changes, planned, applied),
                "desired = unchanged + added + updated + vetoed": (
                    run.desired_count,
                    run.unchanged_count + run.added_count + run.updated_count + run.vetoed_count,
                ),
                "members in the ledger = desired": (run.desired_count, kept, distinct),
                "members at the destination = desired": (run.desired_count, receipt.member_count if receipt else 0),
            }
            for account, figures in accounts.items():
                if len(set(figures)) > 1:
                    raise LifecycleError(
                        f"counts do not add up: {account}: {', '.join(f'{figure:,}' for figure in figures)}",
                        where=f"sync '{self.sync.key}', run {run.sync_run_id}",
                        remedy="The ledger stays as it was. Compare the list with segments.segment_members.",
                    )


def _unfinished(ledger: Warehouse, sync: Sync) -> _Run | None:
    rows = ledger.rows(_UNFINISHED, [sync.key, sync.destination])
    return _Run(*rows[0]) if rows else None


def _delivery(outcome: Outcome, run: _Run, *, is_resumed: bool = False) -> Delivery:
    return Delivery(
        run.sync_run_id.rsplit("-", 2)[0],
        outcome,
        run.plan_id,
        run.sync_run_id,
        run.desired_count,
        run.added_count,
        run.updated_count,
        run.removed_count,
        is_resumed,
    )
