"""What the engine and a destination that is given whole lists say to each other.

Belongs here: the Protocol of a place whose list is replaced in one step (a folder, a bucket), and what is exchanged.
Does not belong here: how one kind of place is written to (a file per kind beside this one).

A destination gets the **whole list** with each delivery and swaps it in one step: a reader sees all of a delivery or
nothing of it. That makes sending idempotent by its key, and an interrupted delivery can be told from a finished one by
asking the destination which key it holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from lifecycle.publishing.destinations import Health
    from lifecycle.warehouse import Warehouse


@dataclass(frozen=True)
class SnapshotCapabilities:
    """What a destination can do; the engine refuses a sync that asks for more."""

    identifiers: frozenset[str]
    """Kinds of identifiers it takes."""


@dataclass(frozen=True)
class Receipt:
    """Which delivery a list holds now, as the destination itself says."""

    key: str
    member_count: int
    members: Path
    """The list as delivered, as Parquet: what a reduced list is made from when nothing but withdrawals may be sent."""


@dataclass(frozen=True)
class Snapshot:
    """One delivery: queries, not rows, so that a list of any size streams into the destination.

    ``members_sql`` gives customer_id, entered_at, reason and the sync's identifiers and attributes; ``changes_sql``
    gives customer_id, operation, reason, detail and entered_at. ``facts`` stand in the delivery's description.
    """

    warehouse: Warehouse
    members_sql: str
    changes_sql: str
    delivered_at: datetime
    facts: dict[str, Any]


class SnapshotDestination(Protocol):
    """A place that holds lists. Every method raises LifecycleError with a remedy, never a bare library error."""

    @property
    def name(self) -> str: ...

    @property
    def encoder(self) -> str:
        """Version of how members are written. A changed one refuses until a person approves the re-send."""

    @property
    def capabilities(self) -> SnapshotCapabilities: ...

    def check(self) -> Health:
        """Whether the place can be written to; writes no list."""

    def ensure_list(self, sync_name: str) -> None:
        """Make the list's place, if need be. Idempotent. Refuses a place that something else has put there."""

    def send(self, sync_name: str, snapshot: Snapshot, key: str) -> Receipt:
        """Replace the list in one step. The same key again has the same effect as once."""

    def read_back(self, sync_name: str) -> Receipt | None:
        """What the list holds now; None when it is not there or was not written by this engine."""
