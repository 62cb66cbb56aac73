"""SendGrid: a list of marketing contacts, added to by upsert jobs and taken from by contact id.

Belongs here: SendGrid's paths, bodies and limits, and what its answers prove.
Does not belong here: unsubscribe groups and suppressions. Whom SendGrid suppresses stays suppressed, on a list or not.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, urlsplit

from pydantic import SecretStr

from lifecycle.errors import LifecycleError
from lifecycle.publishing.destinations import Health
from lifecycle.publishing.destinations.api import (
    Api,
    BusyError,
    RefusedError,
    UncertainError,
    batch_outcome,
    content_of,
)
from lifecycle.publishing.destinations.members import (
    ALREADY,
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

ASKED_AT_ONCE = 100
REMOVED_AT_ONCE = 100
"""Contact ids in one address: SendGrid names no limit, and servers begin to refuse at 8,000 characters."""
LONGEST_EMAIL = 100
"""Characters of an address that contacts can be looked up by; a contact may have 254."""
OWN_FIELDS: Mapping[str, int | None] = {
    "address_line_1": 100,
    "address_line_2": 100,
    "city": 60,
    "country": 50,
    "first_name": 50,
    "last_name": 50,
    "postal_code": None,
    "state_province_region": 50,
}
"""Attributes that are fields of every contact, with the characters they hold; all others are custom fields."""
SETTLING = timedelta(minutes=10)
"""So long after its end a job's members may be missing from the list before that means something."""
_EMAIL = re.compile(r'[^@\s"\\,;<>()]+@[^@\s"\\,;<>()]+\.[^@\s"\\,;<>().]{2,}')
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class SendGrid:
    name: str
    api_key: SecretStr
    list_id: str | None = None
    url: str = "https://api.sendgrid.com"
    pause: float = 0.5

    vendor: ClassVar[str] = "SendGrid"
    encoder: ClassVar[str] = "sendgrid.v1"
    limits: ClassVar[Sequence[Limit]] = ()
    """SendGrid gives no figures: calls are made until it answers 429, and then when ``X-RateLimit-Reset`` says."""

    class Options(Part):
        api_key: SecretStr
        """A key with access to Marketing."""
        list_id: str | None = None
        """A list that exists (a UUID); without one, the list that is named as the sync, made if need be."""
        url: str = "https://api.sendgrid.com"
        """Where the API is; ``https://api.eu.sendgrid.com`` for subusers in the EU."""
        pause: float = 0.5
        """Seconds before a failed call is made again; longer each time."""

    @classmethod
    def from_options(cls, name: str, options: Options, settings: Settings) -> SendGrid:
        return cls(name, options.api_key, options.list_id, options.url, options.pause)

    @property
    def account(self) -> str:
        return f"sendgrid {self.url} {hashlib.sha256(self.api_key.get_secret_value().encode()).hexdigest()[:8]}"

    @property
    def capabilities(self) -> MemberCapabilities:
        return MemberCapabilities(
            frozenset({"email"}),
            max_batch=30_000,
            max_bytes=6_000_000 - 1_000,  # A call takes 6 MB; what stands around its contacts is far below 1,000 bytes.
            read_back="count",
            is_asynchronous=True,
        )

    @cached_property
    def _api(self) -> Api:
        headers = {"Authorization": f"Bearer {self.api_key.get_secret_value()}"}
        return Api(
            self.url, account=self.account, where=self._where, headers=headers, limits=self.limits, pause=self.pause
        )

    @property
    def _where(self) -> str:
        return f"destination '{self.name}'"

    def check(self) -> Health:
        try:
            with self._telling():
                self._api.call("GET", "v3/marketing/lists", params={"page_size": 1})
                self._api.call("GET", "v3/marketing/field_definitions")
                if self.list_id:
                    self._list(self.list_id)
        except LifecycleError as error:
            return Health(False, error.problem, f"{error.remedy} The key needs full access to Marketing.")
        return Health(True)

    def ensure_list(self, spec: ListSpec) -> RemoteList:
        with self._telling():
            if list_id := spec.list_id or self.list_id:
                return self._list(list_id)
            # By the sync's name: another title must not make another list.
            found = [one for one in self._lists() if one["name"] == spec.sync_name]
            if len(found) > 1:
                raise LifecycleError(
                    f"SendGrid has {len(found)} lists that are named '{spec.sync_name}'",
                    where=self._where,
                    remedy="Name the right one with `list_id:`, or rename the others at SendGrid.",
                )
            if not found:
                body = {"name": spec.sync_name}
                found = [content_of(self._api.call("POST", "v3/marketing/lists", json=body, is_idempotent=False), "id")]
            return RemoteList(found[0]["id"], spec.sync_name, found[0].get("contact_count"))

    def encode(self, member: Member) -> Encoded | Veto:
        email = member.identifiers.get("email", "").strip().lower()
        if not email:
            return Veto("no_email", "SendGrid knows people by their email")
        if _HASH.fullmatch(email):
            return Veto("already_hashed", "SendGrid takes no hashes")
        if not _EMAIL.fullmatch(email):
            return Veto("bad_email", "this is no email address")
        if len(email) > LONGEST_EMAIL:
            return Veto("email_too_long", f"SendGrid finds contacts by at most {LONGEST_EMAIL} characters")
        values = {name: _plain(value) for name, value in member.attributes.items()}
        own = {name: str(values[name]) for name in OWN_FIELDS if values.get(name) is not None}
        for name, value in own.items():
            if len(value) > (OWN_FIELDS[name] or len(value)):
                return Veto("too_long", f"{name} holds {OWN_FIELDS[name]} characters at SendGrid")
        custom = {name: value for name, value in values.items() if name not in OWN_FIELDS and value is not None}
        # The ids of custom fields, which are sent in place of their names, are a few characters.
        size = len(json.dumps({"email": email, **own, "custom_fields": custom}, ensure_ascii=False).encode())
        return Encoded(email, {"fields": own, "custom": custom}, size + 1 + 24 * len(custom))

    def send(self, remote: RemoteList, operation: Operation, items: Sequence[Item], key: str) -> BatchOutcome:
        def call() -> BatchOutcome:
            self._list(remote.list_id)
            return self._remove(remote, items) if operation == "remove" else self._upsert(remote, operation, items)

        return batch_outcome(len(items), call, code=_code)

    def poll(self, remote: RemoteList, handle: str, items: Sequence[Item]) -> BatchOutcome | None:
        keys = [item.key for item in items]
        operation, _, job_id = handle.partition(" ")
        try:
            if operation == "remove":
                # Jobs that take contacts off a list have no status to ask for: the contacts themselves say it.
                still_there = any(remote.list_id in one["list_ids"] for one in self._contacts(keys).values())
                return None if still_there else BatchOutcome.all(APPLIED, len(keys))
            return self._came_of(remote, operation, job_id, keys)
        except (BusyError, UncertainError):
            return None
        except RefusedError as error:
            return BatchOutcome.all(Outcome("unknown", f"status_{error.status}"), len(keys))

    def read_back(self, remote: RemoteList) -> int:
        with self._telling():
            self._list(remote.list_id)
            answer = self._api.call("GET", f"v3/marketing/lists/{quote(remote.list_id)}/contacts/count")
            return int(content_of(answer, "contact_count")["contact_count"])

    def _upsert(self, remote: RemoteList, operation: Operation, items: Sequence[Item]) -> BatchOutcome:
        fields = self._custom_fields(sorted({name for item in items for name in item.body["custom"]}))
        contacts = []
        for item in items:
            contact = {"email": item.key, **item.body["fields"]}
            if custom := item.body["custom"]:
                contact["custom_fields"] = {
                    fields[name][0]: self._fitting(name, fields[name][1], value) for name, value in custom.items()
                }
            contacts.append(contact)
        body = {"list_ids": [remote.list_id], "contacts": contacts}
        job_id = content_of(self._api.call("PUT", "v3/marketing/contacts", json=body), "job_id")["job_id"]
        return BatchOutcome.all(Outcome("accepted", handle=f"{operation} {job_id}"), len(items))

    def _came_of(self, remote: RemoteList, operation: str, job_id: str, keys: Sequence[str]) -> BatchOutcome | None:
        """What came of an upsert. A file elsewhere names those who failed, so the contacts themselves are asked."""
        job = content_of(self._api.call("GET", f"v3/marketing/contacts/imports/{quote(job_id)}"), "status")
        if job["status"] not in ("completed", "errored", "failed"):
            return None
        is_clean = job["status"] == "completed"
        ids = {
            key: contact["id"]
            for key, contact in self._contacts(keys).items()
            if remote.list_id in contact["list_ids"]
            # Who is updated was on the list before: after a job with errors it counts who was written since it began.
            and (is_clean or operation == "add" or _time(contact["updated_at"]) >= _time(job.get("started_at")))
        }
        if any(key not in ids for key in keys) and datetime.now(UTC) - _time(job.get("finished_at")) < SETTLING:
            return None
        missing = (
            Outcome("unknown", "not_on_list", "the job ended without an error, and the list does not hold them")
            if is_clean
            else Outcome("rejected", f"job_{job['status']}", "the job had errors, and did not write them")
        )
        return BatchOutcome(tuple(Outcome("applied", remote_id=ids[key]) if key in ids else missing for key in keys))

    def _remove(self, remote: RemoteList, items: Sequence[Item]) -> BatchOutcome:
        contacts = self._contacts([item.key for item in items])

        def contact_id(item: Item) -> str | None:
            """Of somebody who is on the list, or may be, because SendGrid does not find them by their address."""
            contact = contacts.get(item.key)
            if contact is None:
                return item.remote_id
            return contact["id"] if remote.list_id in contact["list_ids"] else None

        leaving = [contact_id(item) for item in items]
        ids = sorted({one for one in leaving if one})
        handles: dict[str, str] = {}
        for start in range(0, len(ids), REMOVED_AT_ONCE):
            handles |= self._delete(remote, ids[start : start + REMOVED_AT_ONCE])
        return BatchOutcome(
            tuple(Outcome("accepted", handle=handles[one]) if one in handles else ALREADY for one in leaving)
        )

    def _delete(self, remote: RemoteList, ids: Sequence[str]) -> dict[str, str]:
        """Take contacts off the list: the handle of each. Those that SendGrid has no longer have none."""
        path = f"v3/marketing/lists/{quote(remote.list_id)}/contacts"
        try:
            answer = self._api.call("DELETE", path, params={"contact_ids": ",".join(ids)})
        except RefusedError as error:
            if error.status != 404:
                raise
            half = len(ids) // 2
            return {**self._delete(remote, ids[:half]), **self._delete(remote, ids[half:])} if half else {}
        return dict.fromkeys(ids, f"remove {content_of(answer, 'job_id')['job_id']}")

    def _contacts(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The contacts of those addresses that SendGrid finds."""
        found = {}
        for start in range(0, len(keys), ASKED_AT_ONCE):
            part = list(keys[start : start + ASKED_AT_ONCE])
            try:
                answer = self._api.call("POST", "v3/marketing/contacts/search/emails", json={"emails": part})
            except RefusedError as error:
                if error.status != 404:
                    raise
                continue
            result = content_of(answer, "result")["result"]
            for key in part:
                # Whoever is not found is named, too. An address without a word about it proves nothing.
                if "contact" in result.get(key, {}):
                    found[key] = result[key]["contact"]
                elif "error" not in result.get(key, {}):
                    raise UncertainError("search_incomplete")
        return found

    def _custom_fields(self, names: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Id and type of the custom fields by name."""
        if not names:
            return {}
        answer = self._api.call("GET", "v3/marketing/field_definitions")
        known = {one["name"].lower(): (one["id"], one["field_type"]) for one in content_of(answer)["custom_fields"]}
        if missing := [name for name in names if name.lower() not in known]:
            raise LifecycleError(
                f"SendGrid has no custom field for {', '.join(missing)}",
                where=self._where,
                remedy="Make it there (Marketing, Custom Fields), or take it out of the sync's `attributes:`.",
            )
        return {name: known[name.lower()] for name in names}

    def _fitting(self, name: str, kind: str, value: Any) -> Any:
        """A value in the writing of a field's type."""
        if kind == "Text":
            return value if isinstance(value, str) else json.dumps(value)
        if kind == "Date" and isinstance(value, str):
            return value if "T" in value else f"{value}T00:00:00Z"
        if kind == "Number" and isinstance(value, int | float):
            return int(value) if isinstance(value, bool) else value
        raise LifecycleError(
            f"the custom field '{name}' has the type {kind} at SendGrid, and the attribute another",
            where=self._where,
            remedy="Make a field of the attribute's type there, or take it out of the sync's `attributes:`.",
        )

    def _lists(self) -> Iterator[dict[str, Any]]:
        token = ""
        while True:
            asked = {"page_size": 1_000} | ({"page_token": token} if token else {})
            content = content_of(self._api.call("GET", "v3/marketing/lists", params=asked), "result")
            yield from content["result"]
            following = urlsplit((content.get("_metadata") or {}).get("next") or "").query
            before, token = token, parse_qs(following).get("page_token", [""])[0]
            if token in ("", before):
                return

    def _list(self, list_id: str) -> RemoteList:
        try:
            found = content_of(self._api.call("GET", f"v3/marketing/lists/{quote(list_id)}"), "id")
        except RefusedError as error:
            if error.status != 404:
                raise
            raise LifecycleError(
                f"SendGrid has no list '{list_id}'",
                where=self._where,
                remedy="Was it deleted? Name another with `list_id:`; without one a new list is made.",
            ) from None
        return RemoteList(list_id, found.get("name") or "", found.get("contact_count"))

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """What goes wrong outside of a batch is told to a person."""
        try:
            yield
        except RefusedError as error:
            problem = f"SendGrid refuses a call (status {error.status})"
            raise LifecycleError(problem, where=self._where, remedy="Look at the key and at `list_id:`.") from None
        except (BusyError, UncertainError):
            remedy = "Publish again later: nothing is lost."
            raise LifecycleError("SendGrid does not answer", where=self._where, remedy=remedy) from None


def _plain(value: Any) -> Any:
    """A value as JSON has it: numbers as numbers, days and moments (UTC) as ISO 8601."""
    if isinstance(value, datetime):
        moment = (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
        return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        value = float(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _code(content: Any) -> str:
    errors = content.get("errors") if isinstance(content, dict) else None
    return next((str(error.get("field") or "") for error in errors or []), "")


def _time(text: str | None) -> datetime:
    """A moment as SendGrid writes it; one that it does not write is long ago."""
    try:
        return datetime.fromisoformat(text or "").astimezone(UTC)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
