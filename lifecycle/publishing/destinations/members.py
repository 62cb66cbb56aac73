"""What the engine and a destination that keeps members one by one say to each other.

Belongs here: the Protocol of a tool that is told who joins and who leaves, and what is exchanged through it.
Does not belong here: how one tool is spoken to (a file per kind beside this one), or when it is (``apply.py``).

The engine never sees HTTP; a destination never sees the ledger. A destination answers for every member of a batch, in
the order of the batch, and says of each what is proved and no more. Texts in answers are shown and kept: no address, no
name and no secret may stand in them (the engine takes out what it knows, a destination should not put it in).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, Protocol

from typing_extensions import TypeIs

if TYPE_CHECKING:
    from lifecycle.publishing.destinations import Health

Operation = Literal["add", "update", "remove"]
Proof = Literal["applied", "already", "accepted", "rejected", "retry", "unknown"]
ReadBack = Literal["none", "count", "full"]


@dataclass(frozen=True)
class MemberCapabilities:
    """What a tool can do. The engine plans by it; the contract tests hold the destination to it."""

    identifiers: frozenset[str]
    """Kinds of identifiers it can know people by: ``customer_id``, ``contact_id``, ``email``, ``phone``."""
    max_batch: int
    """Members in one call at most."""
    max_bytes: int | None = None
    """Size of the members of one call at most, as ``Encoded.size`` counts it; None: no limit is known."""
    idempotent: frozenset[Operation] = frozenset({"add", "update", "remove"})
    """Operations that may be sent again without a second effect, when it is not known whether they arrived."""
    updates: bool = True
    """Whether it keeps attributes of members; where not, a changed attribute is no change for it."""
    read_back: ReadBack = "none"
    """Whether it can say how many its list holds, or who."""
    is_asynchronous: bool = False
    """Whether it accepts a batch now and applies it later; what was accepted is asked for with ``poll``."""
    is_hashed: bool = False
    """Whether it is sent hashes in place of addresses."""
    creates_list: bool = True
    """Whether ``ensure_list`` can make a list; where not, the settings name one that exists."""
    erases: bool = False
    """Whether it can forget a person altogether, beyond taking them off a list."""


@dataclass(frozen=True)
class Limit:
    """How much a tool allows per account.

    ``calls`` in ``seconds``; ``concurrency`` calls at once. ``source`` says where the vendor says so, ``read_on`` when
    that was read.
    """

    calls: int
    seconds: float
    source: str
    read_on: str
    concurrency: int | None = None


@dataclass(frozen=True)
class ListSpec:
    """The list that a sync keeps. ``list_id`` is set where the settings name a list that exists."""

    sync_name: str
    title: str
    list_id: str | None = None


@dataclass(frozen=True)
class RemoteList:
    """A list as the tool knows it."""

    list_id: str
    title: str = ""
    member_count: int | None = None


@dataclass(frozen=True)
class Member:
    """Somebody who should be on the list: identifiers by kind and attributes by name, as the publication has them."""

    customer_id: str
    identifiers: Mapping[str, str]
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Encoded:
    """A member as the tool is told about them.

    ``key`` is what the tool knows the person by, in the tool's own writing: equal keys are one person there, and
    ``read_back`` gives them. ``body`` is whatever ``send`` needs beside. ``size`` is the member's part of a call in
    bytes.
    """

    key: str
    body: Mapping[str, Any] = field(default_factory=dict)
    size: int = 0


@dataclass(frozen=True)
class Veto:
    """A member that the tool cannot take, found before anything is sent. ``code`` is a word, ``message`` says why."""

    code: str
    message: str


@dataclass(frozen=True)
class Item:
    """One member in a batch.

    ``key`` is the tool's name for the person; ``remote_id`` what an earlier ``Outcome`` gave, for tools that want it.
    ``body`` is empty when somebody is removed: then nothing but the key may be needed.
    """

    key: str
    body: Mapping[str, Any] = field(default_factory=dict)
    remote_id: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What is proved of one member.

    ``applied``: it is as asked. ``already``: it was so before. ``accepted``: the tool will do it; ``handle`` asks how
    it went. ``rejected``: the tool will not, and would not if asked again. ``retry``: not now; ``after`` seconds.
    ``unknown``: it may or may not have happened.
    """

    proof: Proof
    code: str = ""
    message: str = ""
    remote_id: str | None = None
    handle: str | None = None
    after: float | None = None

    @property
    def is_done(self) -> bool:
        return self.proof in ("applied", "already")


APPLIED, ALREADY = Outcome("applied"), Outcome("already")


@dataclass(frozen=True)
class BatchOutcome:
    """An outcome per member of a batch, in its order.

    ``is_refused_whole``: the tool refused the call without saying which member was at fault, and did nothing of it; the
    engine then sends halves, down to the member alone.
    """

    outcomes: tuple[Outcome, ...]
    is_refused_whole: bool = False

    @classmethod
    def all(cls, outcome: Outcome, count: int) -> BatchOutcome:
        """The same of every member."""
        return cls((outcome,) * count)

    @classmethod
    def refused(cls, count: int, code: str, message: str = "") -> BatchOutcome:
        """The call was refused as a whole."""
        return cls((Outcome("rejected", code, message),) * count, is_refused_whole=True)


class MemberDestination(Protocol):
    """A tool that keeps members.

    Every method raises LifecycleError with a remedy when the tool cannot be worked with at all (bad credentials, the
    list is gone), never a bare library error. What concerns members is an outcome, never an exception.
    """

    @property
    def name(self) -> str: ...

    @property
    def account(self) -> str:
        """What rate limits count for: syncs with an equal one share them. Holds no secret."""

    @property
    def encoder(self) -> str:
        """Version of how members are written (``klaviyo.v1``). A changed one re-sends, after a person agreed."""

    @property
    def capabilities(self) -> MemberCapabilities: ...

    @property
    def limits(self) -> Sequence[Limit]: ...

    def check(self) -> Health:
        """Whether the credentials are good for what is needed; writes nothing."""

    def ensure_list(self, spec: ListSpec) -> RemoteList:
        """The sync's list, made if need be. Idempotent."""

    def encode(self, member: Member) -> Encoded | Veto:
        """The member in the tool's writing: normalised, hashed where the tool wants hashes. Pure."""

    def send(self, remote: RemoteList, operation: Operation, items: Sequence[Item], key: str) -> BatchOutcome:
        """One call, or as few as the tool allows. ``key`` is the same when the same batch is sent again."""

    def read_back(self, remote: RemoteList) -> Iterator[str] | int | None:
        """The keys on the list, their number, or None where the tool tells neither."""


class LaterDestination(MemberDestination, Protocol):
    """A tool that accepts now and applies later (``is_asynchronous``)."""

    def poll(self, remote: RemoteList, handle: str, items: Sequence[Item]) -> BatchOutcome | None:
        """What became of accepted members; None while the tool still works on it."""


class ForgettingDestination(MemberDestination, Protocol):
    """A tool that can forget a person altogether (``erases``)."""

    def erase(self, items: Sequence[Item]) -> BatchOutcome:
        """Forget these people altogether."""


def applies_later(destination: MemberDestination) -> TypeIs[LaterDestination]:
    """Whether the tool has to be asked what became of what it accepted."""
    return destination.capabilities.is_asynchronous


def plain(value: Any) -> Any:
    """A value as JSON has it: numbers as numbers, days and moments (UTC) as ISO 8601."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        value = float(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
