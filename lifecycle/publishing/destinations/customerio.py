"""Customer.io: a manual segment.

Belongs here: identifying people (Track API, v2), adding them to a segment and taking them off (Track API, v1), making,
finding and reading segments (App API), and what the answers prove.
Does not belong here: HTTP, limits and retries (``api.py``).

A segment holds only people whom the workspace knows and passes over all others without a word, so everybody is
identified before they are added. The Track API has a site id and a key; the App API, which makes and reads segments,
has a key of its own, and without that the settings name a segment and nothing is read back.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cached_property, partial
from typing import Any, ClassVar, Literal

from pydantic import SecretStr

from lifecycle.errors import LifecycleError
from lifecycle.publishing.destinations import Health
from lifecycle.publishing.destinations.api import Answer, Api, BusyError, RefusedError, UncertainError, batch_outcome
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

ID_TYPES = {"customer_id": "id", "contact_id": "id", "email": "email"}
LARGEST_BATCH = 1_000
LARGEST_PAGE = 30_000
RESERVED = frozenset({"id", "email", "phone", "anonymous_id", "created_at", "unsubscribed"})
"""Attributes that say who somebody is or whether they are written to at all; so do names with ``cio_`` and ``_``."""

_HASH = re.compile(r"[0-9a-fA-F]{64}")
_WORD = re.compile(r"[a-z_]{1,40}")


@dataclass(frozen=True)
class CustomerIo:
    name: str
    site_id: str
    api_key: SecretStr
    app_key: SecretStr | None = None
    region: Literal["us", "eu"] = "us"
    identifier: Literal["customer_id", "contact_id", "email"] = "customer_id"
    segment_id: int | str | None = None
    url: str | None = None
    app_url: str | None = None
    pause: float = 0.5

    vendor: ClassVar[str] = "Customer.io"
    encoder: ClassVar[str] = "customerio.v1"
    limits: ClassVar[Sequence[Limit]] = (
        Limit(100, 1, "https://docs.customer.io/integrations/api/track/", "2026-11-24"),
    )
    app_limits: ClassVar[Sequence[Limit]] = (
        Limit(10, 1, "https://docs.customer.io/integrations/api/app/", "2026-11-24"),
    )

    class Options(Part):
        site_id: str
        """Site ID of a Track API key."""
        api_key: SecretStr
        """Secret of the Track API key."""
        app_key: SecretStr | None = None
        """An App API key: with it segments are made, found and read back."""
        region: Literal["us", "eu"] = "us"
        """Where the account is."""
        identifier: Literal["customer_id", "contact_id", "email"] = "customer_id"
        """What people are known by: one of our ids as Customer.io's id, or the email."""
        segment_id: int | str | None = None
        """A manual segment that exists. Without an App API key it has to be named."""
        url: str | None = None
        """Address of the Track API, in place of the region's."""
        app_url: str | None = None
        """Address of the App API, in place of the region's."""
        pause: float = 0.5
        """First wait between two attempts of a call, in seconds."""

    @classmethod
    def from_options(cls, name: str, options: Options, settings: Settings) -> CustomerIo:
        return cls(name, **dict(options))

    @property
    def account(self) -> str:
        return f"customerio {self.url or self.region} {self.site_id}"

    @property
    def capabilities(self) -> MemberCapabilities:
        return MemberCapabilities(
            frozenset({self.identifier}),
            max_batch=LARGEST_BATCH,
            max_bytes=499_000,
            read_back="full" if self.app_key else "none",
            creates_list=self.app_key is not None,
            erases=True,
        )

    @property
    def _where(self) -> str:
        return f"destination '{self.name}'"

    @property
    def _id_type(self) -> str:
        return ID_TYPES[self.identifier]

    @cached_property
    def _track(self) -> Api:
        return Api(
            self.url or f"https://track{'-eu' if self.region == 'eu' else ''}.customer.io",
            account=self.account,
            where=self._where,
            auth=(self.site_id, self.api_key.get_secret_value()),
            limits=self.limits,
            pause=self.pause,
        )

    @cached_property
    def _app(self) -> Api | None:
        if self.app_key is None:
            return None
        return Api(
            self.app_url or f"https://api{'-eu' if self.region == 'eu' else ''}.customer.io",
            account=f"{self.account} app",
            where=self._where,
            headers={"Authorization": f"Bearer {self.app_key.get_secret_value()}"},
            limits=self.app_limits,
            pause=self.pause,
        )

    def check(self) -> Health:
        try:
            account = self._asked(partial(self._track.call, "GET", "api/v1/accounts/region"))
            region = account.get("region")
            if region != self.region:
                return Health(
                    False, f"the account is not in the region '{self.region}'", f"Set `region:` to what is: {region}."
                )
            if self._app is not None:
                self._asked(partial(self._app.call, "GET", "v1/segments"))
        except LifecycleError as error:
            return Health(False, error.problem, error.remedy)
        return Health(True)

    def ensure_list(self, spec: ListSpec) -> RemoteList:
        named = spec.list_id or self.segment_id
        if self._app is None:
            if named is None:
                raise LifecycleError(
                    "no segment is named, and without an App API key none can be made",
                    where=self._where,
                    remedy="Make a manual segment and name it with `segment_id:` or `list:`, or give an `app_key:`.",
                )
            return RemoteList(str(named), spec.title)
        if named is not None:
            return self._segment(self._app, str(named))
        # People rename segments; what the description says stays, and is what a sync knows its segment by.
        mark = f"Kept by Lifecycle, sync {spec.sync_name}"
        segments = self._asked(partial(self._app.call, "GET", "v1/segments")).get("segments") or []
        found = next((one for one in segments if one.get("description") == mark and one.get("type") == "manual"), None)
        if found is None:
            content = {"segment": {"name": spec.title or spec.sync_name, "description": mark}}
            made = partial(self._app.call, "POST", "v1/segments", json=content, is_idempotent=False)
            found = self._asked(made).get("segment") or {}
        if "id" not in found:
            raise LifecycleError(
                "Customer.io does not say which segment it made",
                where=self._where,
                remedy="Publish again: if the segment was made, it is found.",
            )
        return RemoteList(str(found["id"]), found.get("name") or spec.title)

    def _segment(self, app: Api, segment_id: str) -> RemoteList:
        """A segment that is named, if it is there and people can be put into it."""
        call = partial(app.call, "GET", f"v1/segments/{segment_id}")
        found = self._asked(call, gone=segment_id).get("segment") or {}
        if found.get("type") != "manual":
            raise LifecycleError(
                f"segment {segment_id} is not a manual segment",
                where=self._where,
                remedy="Its rules say who is in it. Make a manual segment, and name that one.",
            )
        return RemoteList(segment_id, found.get("name") or "")

    def _gone(self, segment_id: str) -> LifecycleError:
        return LifecycleError(
            f"segment {segment_id} is not there",
            where=self._where,
            remedy="It was deleted at Customer.io, or belongs to another workspace. Make a manual segment and name it"
            " with `segment_id:` or `list:`. It is not made anew in the middle of a delivery.",
        )

    def _asked(self, call: Callable[[], Answer], *, gone: str | None = None) -> Mapping[str, Any]:
        """What a call answers that is not about members: whatever goes wrong with it is for a person."""
        try:
            content = call().content
        except RefusedError as error:
            if error.status == 404 and gone is not None:
                raise self._gone(gone) from None
            problem = f"Customer.io refuses the call (status {error.status})"
            raise LifecycleError(
                problem, where=self._where, remedy="Look at the keys, the region and `url:`."
            ) from None
        except (BusyError, UncertainError):
            content = None
        if not isinstance(content, Mapping):
            raise LifecycleError(
                "Customer.io does not answer as it should",
                where=self._where,
                remedy="Publish again later: the delivery is resumed. https://status.customer.io tells of faults.",
            )
        return content

    def encode(self, member: Member) -> Encoded | Veto:
        known = {"customer_id": member.customer_id, **member.identifiers}
        email, phone = known.get("email", "").strip().lower(), known.get("phone", "").strip()
        key = email if self.identifier == "email" else known.get(self.identifier, "").strip()
        if self.identifier == "email" and _HASH.fullmatch(key):
            return Veto("already_hashed", "Customer.io writes to the address, and this is the hash of one")
        if not key or (self.identifier == "email" and "@" not in key):
            return Veto(f"no_{self.identifier}", f"Customer.io is told of people by their {self.identifier}")
        body = {
            f"lifecycle_{name}" if name in RESERVED or name.startswith(("_", "cio_")) else name: plain(value)
            for name, value in member.attributes.items()
        }
        if "@" in email and self.identifier != "email":
            body["email"] = email
        if phone.startswith("+"):
            body["phone"] = phone
        entry = json.dumps(self._entry(Item(key, body), "identify"), ensure_ascii=False, separators=(",", ":"))
        return Encoded(key, body, len(entry.encode()) + 1)

    def _entry(self, item: Item, action: Literal["identify", "delete"]) -> dict[str, Any]:
        entry = {"type": "person", "identifiers": {self._id_type: item.key}, "action": action}
        return {**entry, "attributes": dict(item.body)} if action == "identify" else entry

    def send(self, remote: RemoteList, operation: Operation, items: Sequence[Item], key: str) -> BatchOutcome:
        def call() -> BatchOutcome:
            if operation == "remove":
                return BatchOutcome.all(self._change(remote, "remove_customers", items), len(items))
            outcomes = self._batch("identify", items)
            known = [item for item, outcome in zip(items, outcomes, strict=True) if outcome is APPLIED]
            added = self._change(remote, "add_customers", known) if known else APPLIED
            return BatchOutcome(tuple(added if outcome is APPLIED else outcome for outcome in outcomes))

        return batch_outcome(len(items), call, code=lambda _: "")

    def _batch(self, action: Literal["identify", "delete"], items: Sequence[Item]) -> list[Outcome]:
        """Identify or delete people: status 207 names by their place those who are refused, the others are taken."""
        content = {"batch": [self._entry(item, action) for item in items]}
        answer = self._track.call("POST", "api/v2/batch", json=content)
        if not isinstance(answer.content, Mapping):
            return [Outcome("unknown", "no_answer")] * len(items)
        refused: dict[int, Outcome] = {}
        rest = APPLIED
        for error in answer.content.get("errors") or []:
            place = error.get("batch_index") if isinstance(error, Mapping) else None
            if not isinstance(place, int) or not 0 <= place < len(items):
                rest = Outcome("unknown", "unplaced_error", "Customer.io tells of an error and not whose it is")
                continue
            # The message may hold what was sent; reason and field are words.
            reason, field = (str(error.get(part)) if error.get(part) else "" for part in ("reason", "field"))
            code = reason if _WORD.fullmatch(reason) else "refused"
            refused[place] = Outcome("rejected", code, f"field {field}" if _WORD.fullmatch(field) else "")
        if answer.status == 207 and not refused:
            rest = Outcome("unknown", "unplaced_error", "Customer.io tells of an error and not whose it is")
        return [refused.get(place, rest) for place in range(len(items))]

    def _change(
        self, remote: RemoteList, verb: Literal["add_customers", "remove_customers"], items: Sequence[Item]
    ) -> Outcome:
        try:
            answer = self._track.call(
                "POST",
                f"api/v1/segments/{remote.list_id}/{verb}",
                params={"id_type": self._id_type},
                json={"ids": [item.key for item in items]},
            )
        except RefusedError as error:
            if error.status == 404:
                raise self._gone(remote.list_id) from None
            if self._app is not None:
                # It is not documented how the Track API refuses a segment that is gone; the App API says so.
                self._segment(self._app, remote.list_id)
            raise
        return APPLIED if isinstance(answer.content, Mapping) else Outcome("unknown", "no_answer")

    def read_back(self, remote: RemoteList) -> Iterator[str] | None:
        return None if self._app is None else self._members(self._app, remote)

    def _members(self, app: Api, remote: RemoteList) -> Iterator[str]:
        params: dict[str, Any] = {"limit": LARGEST_PAGE}
        while True:
            call = partial(app.call, "GET", f"v1/segments/{remote.list_id}/membership", params=params)
            page = self._asked(call, gone=remote.list_id)
            for one in page.get("identifiers") or []:
                # Somebody without the identifier was put in by others; they are told apart by Customer.io's own id.
                key = str(one.get(self._id_type) or f"cio_{one.get('cio_id')}")
                yield key.lower() if self._id_type == "email" else key
            if not page.get("next"):
                return
            params = {**params, "start": page["next"]}

    def erase(self, items: Sequence[Item]) -> BatchOutcome:
        outcomes: list[Outcome] = []
        for start in range(0, len(items), LARGEST_BATCH):
            part = items[start : start + LARGEST_BATCH]
            outcomes += batch_outcome(len(part), partial(self._erased, part), code=lambda _: "").outcomes
        return BatchOutcome(tuple(outcomes))

    def _erased(self, items: Sequence[Item]) -> BatchOutcome:
        return BatchOutcome(tuple(self._batch("delete", items)))


def plain(value: Any) -> Any:
    """A value of an attribute in JSON: days (their first second) and moments as Unix seconds, decimals as numbers.

    Customer.io compares no other form of a date. A missing value is an empty text, which unsets the attribute.
    """
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time.min)
    if isinstance(value, datetime):
        return math.floor((value.replace(tzinfo=UTC) if value.tzinfo is None else value).timestamp())
    if isinstance(value, Decimal):
        value = float(value)
    is_missing = value is None or (isinstance(value, float) and not math.isfinite(value))
    return "" if is_missing else value
