"""Which kinds of destinations there are.

Belongs here: the registry (one line per kind), what all kinds share, and finding the destination that a sync names.
Does not belong here: the ledger, plans and guards (a destination never sees them) or a tool's protocol.

There are two sorts: places that are given whole lists (``snapshots.py``) and tools that keep members one by one
(``members.py``). A package of somebody else adds kinds under the entry point ``lifecycle.destinations``: kind → class.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from typing_extensions import TypeIs

from lifecycle.publishing.destinations.members import MemberCapabilities, MemberDestination

if TYPE_CHECKING:
    from lifecycle.publishing.destinations.snapshots import SnapshotDestination
    from lifecycle.settings import DestinationSettings, Part, Settings


ENTRY_POINTS = "lifecycle.destinations"

KINDS = {
    "braze": "lifecycle.publishing.destinations.braze:Braze",
    "brevo": "lifecycle.publishing.destinations.brevo:Brevo",
    "customerio": "lifecycle.publishing.destinations.customerio:CustomerIo",
    "files": "lifecycle.publishing.destinations.files:FilesDestination",
    "google_ads": "lifecycle.publishing.destinations.google_ads:GoogleAds",
    "hubspot": "lifecycle.publishing.destinations.hubspot:HubSpot",
    "intercom": "lifecycle.publishing.destinations.intercom:Intercom",
    "klaviyo": "lifecycle.publishing.destinations.klaviyo:Klaviyo",
    "mailchimp": "lifecycle.publishing.destinations.mailchimp:Mailchimp",
    "mailman": "lifecycle.publishing.destinations.mailman:Mailman",
    "meta": "lifecycle.publishing.destinations.meta:Meta",
    "s3": "lifecycle.publishing.destinations.s3:S3Destination",
    "sendgrid": "lifecycle.publishing.destinations.sendgrid:SendGrid",
    "sftp": "lifecycle.publishing.destinations.sftp:SftpDestination",
    "webhook": "lifecycle.publishing.destinations.webhook:Webhook",
}
"""Kind → the class that speaks to it, imported when it is needed."""


@dataclass(frozen=True)
class Health:
    is_ready: bool
    problem: str = ""
    remedy: str = ""


class Kind(Protocol):
    """What a class in the registry has beside the methods of its sort: the settings it takes, and how it is made."""

    Options: ClassVar[type[Part]]
    """Its settings, beside ``name`` and ``kind``. Secrets are ``SecretStr``."""
    vendor: ClassVar[str]
    """What people call it."""

    @classmethod
    def from_options(cls, name: str, options: Any, settings: Settings) -> Any: ...


def kinds() -> list[str]:
    """Every kind that can be named, in alphabetical order."""
    return sorted({*KINDS, *(found.name for found in entry_points(group=ENTRY_POINTS))})


def class_of(kind: str) -> type[Kind]:
    """The class of a kind that is in ``kinds()``."""
    if kind in KINDS:
        module, name = KINDS[kind].split(":")
        found: type[Kind] = getattr(import_module(module), name)
        return found
    loaded: type[Kind] = next(found for found in entry_points(group=ENTRY_POINTS) if found.name == kind).load()
    return loaded


def destination_of(settings: Settings, name: str) -> SnapshotDestination | MemberDestination:
    """The destination that a sync names."""
    found: SnapshotDestination | MemberDestination = make(settings.destination(name), settings)
    return found


def keeps_members(destination: SnapshotDestination | MemberDestination) -> TypeIs[MemberDestination]:
    """Whether a tool is told who joins and leaves; else it is a place that is given whole lists."""
    return isinstance(destination.capabilities, MemberCapabilities)


def make(described: DestinationSettings, settings: Settings) -> Any:
    """The destination that an entry of the settings describes."""
    kind = class_of(described.kind)
    return kind.from_options(described.name, kind.Options.model_validate(described.options), settings)
