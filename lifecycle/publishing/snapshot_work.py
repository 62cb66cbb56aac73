"""Delivering to a place that is given whole lists.

Belongs here: putting a list and its changes together, handing them over, and closing the books.
Does not belong here: what both sorts of deliveries share (``work.py``), how the place is written to.

A kill at any moment leaves either a plan nobody began, or a run without an end. The next delivery asks the destination
whether that run's list is there: then only the books are closed; else the same plan is sent again, unless a newer
publication is out, whose consent counts and from which a new plan is made.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from lifecycle.errors import LifecycleError
from lifecycle.publishing.ledger import attach_ledger, open_ledger, utc
from lifecycle.publishing.plan import PII, list_sql, open_published
from lifecycle.publishing.work import Delivery, Run, RunOutcome, Work
from lifecycle.warehouse import literal

if TYPE_CHECKING:
    from lifecycle.publishing.destinations.snapshots import SnapshotDestination
    from lifecycle.serving.publication import Publication
    from lifecycle.settings import Settings, Sync


class SnapshotWork(Work):
    """One delivery of a whole list."""

    def __init__(
        self,
        settings: Settings,
        sync: Sync,
        publication: Publication,
        now: datetime,
        destination: SnapshotDestination,
    ) -> None:
        super().__init__(settings, sync, publication, now)
        self.destination = destination
        self.encoder = destination.encoder

    def prepare(self) -> None:
        self.destination.ensure_list(self.sync.key)

    def is_there(self) -> bool:
        with open_ledger(self.settings) as ledger:
            last = ledger.scalar(
                "select max_by(sync_run_id, (ended_at, sync_run_id)) from runs where sync_name = ?"
                " and destination_name = ? and outcome in ('delivered', 'restored', 'withdrawn')",
                [self.sync.key, self.sync.destination],
            )
        receipt = self.destination.read_back(self.sync.key)
        return bool((receipt.key if receipt else None) == last)

    def has_arrived(self, run: Run) -> bool:
        receipt = self.destination.read_back(self.sync.key)
        return receipt is not None and receipt.key == run.sync_run_id

    def may_go_on(self, run: Run) -> bool:
        return run.kind == "full" or self.destination.read_back(self.sync.key) is not None

    def send(self, run: Run) -> None:
        """Items in flight, then the list to the destination. Meanwhile the ledger is only read."""
        from lifecycle.publishing.destinations.snapshots import Snapshot

        with open_ledger(self.settings) as ledger, ledger.transaction():
            ledger.run(
                "update plan_items set item_state = 'in_flight', attempt_count = attempt_count + 1 where plan_id = ?",
                [run.plan_id],
            )
            ledger.run(
                "insert into attempts (sync_run_id, attempt_number, started_at) select ?, count(*) + 1, ? from attempts"
                " where sync_run_id = ?",
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

    def _members_sql(self, run: Run, items: str) -> str:
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

    def close(self, run: Run, outcome: RunOutcome, *, is_resumed: bool = False) -> Delivery:
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
                "insert into deliveries (sync_name, destination_name, customer_id, payload, encoder, plan_id,"
                " delivered_at) select ?, ?, customer_id, payload, ?, plan_id, ? from plan_items"
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
            self.demand_accounts(
                {
                    "planned = applied + rejected + pending": (run.changes, planned, applied),
                    "desired = unchanged + added + updated + vetoed": (
                        run.desired_count,
                        run.unchanged_count + run.added_count + run.updated_count + run.vetoed_count,
                    ),
                    "members in the ledger = desired": (run.desired_count, kept, distinct),
                    "members at the destination = desired": (run.desired_count, receipt.member_count if receipt else 0),
                },
                run,
            )
        return self.delivery(outcome, run, is_resumed=is_resumed)
