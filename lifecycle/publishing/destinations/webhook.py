"""Signed events to an address of the company's own: who joined, changed or left.

Belongs here: what an event says, how it is signed, and what the receiver's answer proves.
Does not belong here: what the receiver makes of it, and what any HTTP call needs (``api.py``).

Events follow Standard Webhooks 1.0.0 (https://www.standardwebhooks.com): an event keeps its id however often it is
sent, and each attempt is signed anew with its own time. ``api.py`` sends the same headers at each of its attempts, so
the attempts are made here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import math
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr

from lifecycle.errors import LifecycleError
from lifecycle.publishing.destinations import Health
from lifecycle.publishing.destinations.api import (
    ATTEMPTS,
    LONGEST_WAIT,
    Answer,
    Api,
    BusyError,
    RefusedError,
    UncertainError,
    batch_outcome,
)
from lifecycle.publishing.destinations.members import (
    APPLIED,
    BatchOutcome,
    Encoded,
    Item,
    Limit,
    ListSpec,
    Member,
    MemberCapabilities,
    Operation,
    Outcome,
    RemoteList,
    Veto,
)
from lifecycle.settings import Part, Settings

LARGEST_EVENT = 20_000
"""Bytes of an event; the specification recommends to stay below (Payload size)."""
ENVELOPE = 500
"""Bytes of an event that are kept for what stands around its members."""
NOBODY_THERE = frozenset({301, 302, 303, 307, 308, 404, 405, 410})
"""Statuses by which an address says that it takes no events."""


@dataclass(frozen=True)
class Webhook:
    name: str
    url: SecretStr
    secret: SecretStr
    previous_secret: SecretStr | None = None
    max_batch: int = 100
    max_bytes: int = LARGEST_EVENT
    pause: float = 0.5

    vendor: ClassVar[str] = "Webhook"
    encoder: ClassVar[str] = "webhook.v1"
    limits: ClassVar[Sequence[Limit]] = ()
    """A receiver that is given too much says so, with 429 or 503 and ``Retry-After``."""

    class Options(Part):
        url: SecretStr
        """Where events go, https. A secret, because an address that nobody can guess often is the only lock."""
        secret: SecretStr
        """What events are signed with: ``whsec_`` and 24 to 64 random bytes in base64."""
        previous_secret: SecretStr | None = None
        """The secret before: while it stands here, events are signed with both, and receivers can change over."""
        max_batch: Annotated[int, Field(ge=1, le=10_000)] = 100
        """Members in one event at most."""
        max_bytes: Annotated[int, Field(ge=2_000, le=10_000_000)] = LARGEST_EVENT
        """Size of an event at most."""
        pause: float = 0.5
        """Seconds before a failed call is made again the first time."""

    @classmethod
    def from_options(cls, name: str, options: Options, settings: Settings) -> Webhook:
        try:
            is_address = bool(urlsplit(options.url.get_secret_value()).hostname)
        except ValueError:
            is_address = False
        if not is_address:
            # What stands there in its place may be a secret, too.
            raise LifecycleError(
                "`url:` is no address", where=f"destination '{name}'", remedy="Write it as https://host/path."
            )
        return cls(
            name,
            options.url,
            options.secret,
            options.previous_secret,
            options.max_batch,
            options.max_bytes,
            options.pause,
        )

    @property
    def account(self) -> str:
        return f"webhook {urlsplit(self.url.get_secret_value()).hostname}"

    @property
    def capabilities(self) -> MemberCapabilities:
        return MemberCapabilities(
            frozenset({"customer_id", "contact_id", "email", "phone"}),
            max_batch=self.max_batch,
            max_bytes=self.max_bytes - ENVELOPE,
        )

    @property
    def _where(self) -> str:
        return f"destination '{self.name}'"

    @cached_property
    def _api(self) -> Api:
        # The path may be the receiver's lock, and stays out of what an Api shows of itself.
        address = urlsplit(self.url.get_secret_value())
        return Api(
            f"{address.scheme}://{address.netloc}",
            account=self.account,
            where=self._where,
            headers={"Content-Type": "application/json", "User-Agent": "lifecycle-webhook/1"},
            limits=self.limits,
            attempts=1,
        )

    @cached_property
    def _keys(self) -> tuple[bytes, ...]:
        given = (self.secret, self.previous_secret)
        return tuple(key_of(secret.get_secret_value(), self._where) for secret in given if secret is not None)

    def check(self) -> Health:
        """Send an event ``ping``, which changes nothing: only a signed event shows whether the secrets agree."""
        try:
            self._call(f"ping_{int(time.time())}", "ping", {})
        except LifecycleError as error:
            return Health(False, error.problem, error.remedy)
        except (RefusedError, BusyError, UncertainError) as error:
            said = f"status {error.status}" if isinstance(error, RefusedError) else str(error)
            remedy = "Its answer to the event `ping` has to be of status 2xx, with no body or with JSON."
            return Health(False, f"the receiver does not take events ({said})", remedy)
        return Health(True)

    def ensure_list(self, spec: ListSpec) -> RemoteList:
        """The list is the sync's name in events; what it is at the receiver is the receiver's."""
        return RemoteList(spec.list_id or spec.sync_name, spec.title)

    def encode(self, member: Member) -> Encoded | Veto:
        body = {
            "customer_id": member.customer_id,
            "identifiers": dict(member.identifiers),
            "attributes": {name: plain(value) for name, value in member.attributes.items()},
        }
        return Encoded(member.customer_id, body, len(_json(body)) + 1)

    def send(self, remote: RemoteList, operation: Operation, items: Sequence[Item], key: str) -> BatchOutcome:
        members = [dict(item.body) or {"customer_id": item.key} for item in items]

        def call() -> BatchOutcome:
            event = {"sync": remote.list_id, "operation": operation, "members": members}
            return _proved(self._call(key, f"members.{operation}", event), items)

        return batch_outcome(len(items), call, code=_code)

    def read_back(self, remote: RemoteList) -> None:
        """A receiver is not asked who is on its list."""

    def _call(self, key: str, kind: str, content: Mapping[str, Any]) -> Answer:
        """Send an event until there is an answer, each time signed with the time of the attempt."""
        import stamina

        keys = self._keys
        content = {"type": kind, **content}
        # The batch's key, without the full stop, which parts what is signed; and what is in it, so that a receiver who
        # keeps ids never takes a batch for one that it has seen when something in it differs.
        event_id = f"{key.replace('.', ':')}:{hashlib.sha256(_json(content)).hexdigest()[:12]}"
        body = _json({"event_id": event_id, **content})

        def again(error: Exception) -> bool | float:
            if isinstance(error, BusyError):
                return False if (error.after or 0) > LONGEST_WAIT else (error.after or True)
            return isinstance(error, UncertainError)

        for attempt in stamina.retry_context(
            on=again,
            attempts=ATTEMPTS,
            timeout=None,
            wait_initial=self.pause,
            wait_max=LONGEST_WAIT,
            wait_jitter=self.pause / 2,
        ):
            with attempt:
                headers = signed(keys, event_id, int(time.time()), body)
                try:
                    return self._api.call("POST", self.url.get_secret_value(), content=body, headers=headers)
                except RefusedError as error:
                    if error.status in NOBODY_THERE:
                        raise LifecycleError(
                            f"the address takes no events (status {error.status})",
                            where=self._where,
                            remedy="Mend `url:`; redirections are not followed, because they could lead elsewhere.",
                        ) from None
                    raise
        raise AssertionError("stamina ends with an answer or an exception")


def key_of(secret: str, where: str) -> bytes:
    """The bytes that events are signed with, of a secret as Standard Webhooks writes it."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        key = b""
    if not 24 <= len(key) <= 64:
        raise LifecycleError(
            "the secret is not of 24 to 64 bytes in base64",
            where=where,
            remedy="Make one with `echo whsec_$(openssl rand -base64 32)` and give it to the receiver.",
        )
    return key


def signed(keys: Iterable[bytes], event_id: str, at: int, body: bytes) -> dict[str, str]:
    """The headers of an attempt at ``at``, seconds since 1970: a signature per key, the current one first."""
    content = f"{event_id}.{at}.".encode() + body
    signatures = (base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode() for key in keys)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def plain(value: Any) -> Any:
    """An attribute as JSON has it.

    Decimals are texts, exact to the last digit; moments are ISO 8601 in UTC with a Z; what is no number is null.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return str(value) if value.is_finite() else None
    if isinstance(value, datetime):
        aware = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return aware.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    return value


def _json(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _proved(answer: Answer, items: Sequence[Item]) -> BatchOutcome:
    """2xx is the receiver's word that all is done, but for whom it names in ``rejected``."""
    content = answer.content
    named = (content.get("rejected") or []) if isinstance(content, dict) else []
    try:
        rejected = {str(one["customer_id"]): _word(one.get("code")) for one in named}
    except (AttributeError, KeyError, TypeError):
        return BatchOutcome.all(Outcome("unknown", "answer_not_understood"), len(items))
    if not rejected.keys() <= {item.key for item in items}:
        # It speaks of somebody who was not in this event, so it is not known what became of who was.
        return BatchOutcome.all(Outcome("unknown", "answer_to_another_event"), len(items))
    return BatchOutcome(
        tuple(Outcome("rejected", rejected[item.key]) if item.key in rejected else APPLIED for item in items)
    )


def _word(code: Any) -> str:
    """A receiver's code, if it is one word and so holds no text about anybody."""
    return code if isinstance(code, str) and re.fullmatch(r"[a-z][a-z0-9_]{0,39}", code) else "rejected"


def _code(content: Any) -> str:
    return _word(content.get("code")) if isinstance(content, dict) and "code" in content else ""
