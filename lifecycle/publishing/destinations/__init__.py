"""What the engine asks of a destination, and which kinds there are.

Belongs here: the Protocol, what is exchanged through it, the registry (one line per kind).
Does not belong here: the ledger, plans and guards (a destination never sees them) or a vendor's protocol.

A destination gets the **whole list** with each delivery (a snapshot) and swaps it in one step: a reader sees all of a
delivery or nothing of it. That makes sending idempotent by its key, and an interrupted delivery can be told from a
finished one by asking the destination which key it holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lifecycle.publishing.destinations.files import FilesDestination

if TYPE_CHECKING:
    from lifecycle.settings import DestinationSettings, Settings
    from lifecycle.warehouse import Warehouse


@dataclass(frozen=True)
class Capabilities:
    """What a destination can do; the engine refuses a sync that asks for more."""

    identifiers: frozenset[str]
    """Kinds of identifiers it takes."""


@dataclass(frozen=True)
class Health:
    is_ready: bool
    problem: str = ""
    remedy: str = ""


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


class Destination(Protocol):
    """A place that holds lists. Every method raises LifecycleError with a remedy, never a bare library error."""

    @property
    def name(self) -> str: ...

    @property
    def encoder(self) -> str:
        """Version of how members are written. A changed one refuses until a person approves the re-send."""

    @property
    def capabilities(self) -> Capabilities: ...

    def check(self) -> Health:
        """Whether the place can be written to; writes no list."""

    def ensure_list(self, sync_name: str) -> None:
        """Make the list's place, if need be. Idempotent. Refuses a place that something else has put there."""

    def send(self, sync_name: str, snapshot: Snapshot, key: str) -> Receipt:
        """Replace the list in one step. The same key again has the same effect as once."""

    def read_back(self, sync_name: str) -> Receipt | None:
        """What the list holds now; None when it is not there or was not written by this engine."""


REGISTRY: dict[str, Callable[[DestinationSettings, Settings], Destination]] = {
    "files": FilesDestination.from_settings,
}


def destination_of(settings: Settings, name: str) -> Destination:
    """The destination that a sync names."""
    described = settings.destination(name)
    return REGISTRY[described.kind](described, settings)
