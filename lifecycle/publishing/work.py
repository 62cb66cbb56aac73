"""One delivery of one sync: what both sorts of destinations have in common.

Belongs here: beginning, resuming and abandoning a run, and what a delivery reports.
Does not belong here: how a list gets to a place (``snapshot_work.py``) or members to a tool (``member_work.py``), and
the order of the steps (``apply.py``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal

from lifecycle.errors import LifecycleError
from lifecycle.publishing.ledger import open_ledger, utc
from lifecycle.publishing.plan import Plan, attached, make_plan, settings_digest

if TYPE_CHECKING:
    from lifecycle.serving.publication import Publication
    from lifecycle.settings import Settings, Sync
    from lifecycle.warehouse import Warehouse

RunOutcome = Literal["delivered", "unchanged", "restored", "withdrawn", "planned"]


@dataclass(frozen=True)
class Delivery:
    """What a delivery did. ``planned``: a dry run. ``restored``: nothing had changed, but the list was gone.

    ``rejected_count`` are members of this run whom the tool refused, ``vetoed_count`` those it refused before as they
    are. ``missing_count`` and ``stray_count`` say how the tool's list differs from the ledger: members who were taken
    off there, and others who were put on; None where the tool cannot tell.
    """

    sync_name: str
    outcome: RunOutcome
    plan_id: str
    sync_run_id: str | None
    desired_count: int
    added_count: int
    updated_count: int
    removed_count: int
    is_resumed: bool = False
    rejected_count: int = 0
    vetoed_count: int = 0
    missing_count: int | None = None
    stray_count: int | None = None


@dataclass(frozen=True)
class Run:
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


def unfinished(ledger: Warehouse, sync: Sync) -> Run | None:
    """The run of a sync that has begun and not ended."""
    rows = ledger.rows(_UNFINISHED, [sync.key, sync.destination])
    return Run(*rows[0]) if rows else None


class Work(ABC):
    """One delivery of one sync: what every step needs."""

    encoder: str

    def __init__(self, settings: Settings, sync: Sync, publication: Publication, now: datetime) -> None:
        self.settings = settings
        self.sync = sync
        self.publication = publication
        self.now = now

    @abstractmethod
    def prepare(self) -> None:
        """The list's place at the destination, made if need be."""

    @abstractmethod
    def is_there(self) -> bool:
        """Whether the destination holds what the ledger says was delivered last, as far as it can be asked."""

    @abstractmethod
    def may_go_on(self, run: Run) -> bool:
        """Whether an interrupted run can be sent on with, now that its publication and settings are still the same."""

    @abstractmethod
    def has_arrived(self, run: Run) -> bool:
        """Whether all of an interrupted run is at the destination already, so that only the books are to be closed."""

    @abstractmethod
    def send(self, run: Run) -> None:
        """Bring what the plan says to the destination. Raises LifecycleError; the next delivery resumes."""

    @abstractmethod
    def close(self, run: Run, outcome: RunOutcome, *, is_resumed: bool = False) -> Delivery:
        """Outcomes, deliveries and the end of the run, in one transaction that holds only if every count adds up."""

    def begin(self, kind: Literal["full", "withdrawals"] = "full") -> tuple[Plan, Run | None]:
        """Plan, and begin a run of the plan if it may be sent. A refused plan gets a run that has ended already."""
        with open_ledger(self.settings) as ledger, attached(ledger, self.publication):
            plan = make_plan(self.settings, self.sync, ledger, self.publication, now=self.now, kind=kind)
            number = ledger.scalar("select count(*) + 1 from runs where sync_name = ?", [self.sync.key])
            refused = not plan.may_be_sent
            values: dict[str, Any] = {
                "sync_run_id": f"{self.sync.key}-{number:06d}-{plan.digest[:8]}",
                "sync_name": self.sync.key,
                "segment_name": self.sync.segment,
                "destination_name": self.sync.destination,
                "run_id": plan.run_id,
                "plan_id": plan.plan_id,
                "started_at": utc(self.now),
                "ended_at": utc(self.now) if refused else None,
                "desired_count": plan.desired_count,
                "unchanged_count": plan.unchanged_count,
                "added_count": plan.added_count,
                "updated_count": plan.updated_count,
                "removed_count": plan.removed_count,
                "vetoed_count": plan.vetoed_count,
                "rejected_count": 0,
                "outcome": "refused" if refused else None,
            }
            with ledger.transaction():
                ledger.run(
                    f"insert into runs ({', '.join(values)}) values ({', '.join('?' * len(values))})",
                    list(values.values()),
                )
            return plan, None if refused else unfinished(ledger, self.sync)

    def resume(self) -> Delivery | None:
        """Finish what an interrupted delivery began. None when a (new) plan is to be made."""
        with open_ledger(self.settings) as ledger:
            run = unfinished(ledger, self.sync)
        if run is None:
            return None
        is_same = (run.run_id, run.published_at) == (self.publication.run_id, utc(self.publication.published_at))
        if not self.has_arrived(run):
            fits = (run.encoder, run.settings_digest) == (self.encoder, settings_digest(self.sync))
            if not (is_same and fits and self.may_go_on(run)):
                self.abandon(run)
                return None
            if run.changes == 0 and self.is_there():
                return self.close(run, "unchanged", is_resumed=True)
            self.send(run)
        if run.kind == "withdrawals":
            self.close(run, "withdrawn")
            return None
        delivery = self.close(run, "delivered" if run.changes else "restored", is_resumed=True)
        return delivery if is_same else None

    def abandon(self, run: Run) -> None:
        """End a run that is out of date by now. What it brought to the destination stays in the books."""
        with open_ledger(self.settings) as ledger, ledger.transaction():
            ledger.run(
                "update plan_items set item_state = 'abandoned' where plan_id = ?"
                " and item_state not in ('applied', 'rejected', 'withdrawn')",
                [run.plan_id],
            )
            ledger.run("update plans set plan_state = 'abandoned' where plan_id = ?", [run.plan_id])
            ledger.run(
                "update runs set ended_at = ?, outcome = 'abandoned' where sync_run_id = ?",
                [utc(self.now), run.sync_run_id],
            )
            ledger.run(
                "update attempts set ended_at = ?, outcome = 'unknown' where sync_run_id = ? and ended_at is null",
                [utc(self.now), run.sync_run_id],
            )

    def demand_accounts(self, accounts: Mapping[str, tuple[int, ...]], run: Run) -> None:
        """Raise LifecycleError unless all figures of each account are one."""
        for account, figures in accounts.items():
            if len(set(figures)) > 1:
                raise LifecycleError(
                    f"counts do not add up: {account}: {', '.join(f'{figure:,}' for figure in figures)}",
                    where=f"sync '{self.sync.key}', run {run.sync_run_id}",
                    remedy="The ledger stays as it was. Compare the list with segments.segment_members.",
                )

    def delivery(self, outcome: RunOutcome, run: Run, *, is_resumed: bool = False, **counts: int | None) -> Delivery:
        return Delivery(
            self.sync.key,
            outcome,
            run.plan_id,
            run.sync_run_id,
            run.desired_count,
            run.added_count,
            run.updated_count,
            run.removed_count,
            is_resumed,
            vetoed_count=run.vetoed_count,
            **counts,  # type: ignore[arg-type]
        )
