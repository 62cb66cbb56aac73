"""HubSpot: a manual list of contacts, through the CRM API v3.

Belongs here: contacts by their email (made or updated), who is on a list, and what HubSpot's answers prove.
Does not belong here: which customers are sent, and when.

Lists know contacts by their record id, which an upsert tells and the engine keeps. Somebody who leaves is taken off the
list and nothing more: the contact, its consent and its other lists stay as they are.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property, partial
from typing import Any, ClassVar, Never
from urllib.parse import quote

from pydantic import Field, SecretStr, model_validator

from lifecycle.errors import LifecycleError
from lifecycle.publishing.destinations import Health
from lifecycle.publishing.destinations.api import Api, BusyError, RefusedError, UncertainError, batch_outcome
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

CONTACTS = "0-1"
"""HubSpot's number of the type of object that contacts are."""
CONTACTS_PER_CALL = 100
MEMBERS_PER_PAGE = 250
LATER = frozenset({423, 477})
"""The record is locked; the account is moved to another data centre: nothing was done."""
SCOPES = "crm.objects.contacts.read, crm.objects.contacts.write, crm.lists.read and crm.lists.write"


@dataclass(frozen=True)
class HubSpot:
    name: str
    token: SecretStr
    url: str = "https://api.hubapi.com"
    list_id: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    calls: int = 190
    pause: float = 0.5

    vendor: ClassVar[str] = "HubSpot"
    encoder: ClassVar[str] = "hubspot.v1"

    class Options(Part):
        # A message about a wrong setting shows what was set, and that may be the secret.

        token: SecretStr
        """Access token of an app that is installed in the account (a private app, for one)."""
        url: str = "https://api.hubapi.com"
        """HubSpot's address, or a proxy's."""
        list_id: str | None = None
        """A manual list that exists; without it one is found or made by the sync's title."""
        properties: dict[str, str] = Field(default_factory=dict)
        """Attribute → internal name of the contact property; an attribute that is not named here keeps its own."""
        calls: int = Field(default=190, ge=1, le=250)
        """Calls in ten seconds: 100 with a free or Starter account, 190 with Professional or Enterprise, 250 at most
        with the capacity pack."""
        pause: float = 0.5
        """Seconds before a call is made again for the first time."""

        @model_validator(mode="after")
        def _nobody_is_renamed(self) -> HubSpot.Options:
            if "email" in self.properties.values():
                raise ValueError("properties must not write 'email': contacts are known by it")
            return self

    @classmethod
    def from_options(cls, name: str, options: Options, settings: Settings) -> HubSpot:
        return cls(name, options.token, options.url, options.list_id, options.properties, options.calls, options.pause)

    @property
    def account(self) -> str:
        # Limits count per app, and an app has one token.
        return f"hubspot {hashlib.sha256(self.token.get_secret_value().encode()).hexdigest()[:12]}"

    @property
    def limits(self) -> Sequence[Limit]:
        source = "https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines"
        return (Limit(self.calls, 10, source, "2026-11-24"),)

    @property
    def capabilities(self) -> MemberCapabilities:
        return MemberCapabilities(frozenset({"email"}), max_batch=CONTACTS_PER_CALL, read_back="full", erases=True)

    @cached_property
    def _api(self) -> Api:
        return Api(
            self.url,
            account=self.account,
            where=self._where,
            headers={"Authorization": f"Bearer {self.token.get_secret_value()}"},
            limits=self.limits,
            pause=self.pause,
        )

    @property
    def _where(self) -> str:
        return f"destination '{self.name}'"

    def check(self) -> Health:
        try:
            with self._told():
                self._api.call("GET", "crm/v3/objects/contacts", params={"limit": 1})
                self._api.call("POST", "crm/v3/lists/search", json={"query": "", "count": 1})
        except LifecycleError as error:
            return Health(False, error.problem, f"{error.remedy} The app needs {SCOPES}.")
        try:
            if self.list_id is not None:
                self._list(self.list_id)
        except LifecycleError as error:
            return Health(False, error.problem, error.remedy)
        return Health(True)

    def ensure_list(self, spec: ListSpec) -> RemoteList:
        list_id = spec.list_id or self.list_id
        if list_id is not None:
            return self._list(list_id)
        title = spec.title or spec.sync_name
        found = self._list_named(title)
        if found is not None:
            return found
        wanted = {"name": title, "objectTypeId": CONTACTS, "processingType": "MANUAL"}
        with self._told():
            try:
                # Made again it would be refused for its name: the lost answer is looked up instead.
                made = self._api.call("POST", "crm/v3/lists", json=wanted, is_idempotent=False).content
                return self._manual(made)
            except (RefusedError, UncertainError):
                found = self._list_named(title)
                if found is None:
                    raise
                return found

    def encode(self, member: Member) -> Encoded | Veto:
        email = member.identifiers.get("email", "").strip().lower()
        if re.fullmatch(r"[0-9a-f]{64}", email):
            return Veto("already_hashed", "HubSpot knows contacts by their email in plain text, and this is a hash")
        if "@" not in email:
            return Veto("no_email", "HubSpot knows contacts by their email")
        values = {self.properties.get(name, name): _text(value) for name, value in member.attributes.items()}
        return Encoded(email, {"properties": values})

    def send(self, remote: RemoteList, operation: Operation, items: Sequence[Item], key: str) -> BatchOutcome:
        change = self._take_off if operation == "remove" else self._put_on
        return batch_outcome(len(items), lambda: change(remote, items), code=_code)

    def read_back(self, remote: RemoteList) -> Iterator[str]:
        """Emails of the members; a contact without one is given by its record id."""
        after: str | None = None
        with self._told():
            while True:
                page = self._on_list(
                    remote, "GET", "", params={"limit": MEMBERS_PER_PAGE} | ({"after": after} if after else {})
                )
                records = [str(found["recordId"]) for found in page.get("results", [])]
                for start in range(0, len(records), CONTACTS_PER_CALL):
                    for contact in self._contacts(records[start : start + CONTACTS_PER_CALL], None):
                        yield (contact["properties"].get("email") or str(contact["id"])).lower()
                after = ((page.get("paging") or {}).get("next") or {}).get("after")
                if not after:
                    return

    def erase(self, items: Sequence[Item]) -> BatchOutcome:
        """Contacts are deleted for good; HubSpot takes their addresses no more."""

        return BatchOutcome(
            tuple(batch_outcome(1, partial(self._erase_one, item), code=_code).outcomes[0] for item in items)
        )

    def _erase_one(self, item: Item) -> BatchOutcome:
        try:
            body = {"objectId": item.key, "idProperty": "email"}
            self._ask("POST", "crm/v3/objects/contacts/gdpr-delete", json=body)
        except RefusedError as error:
            if error.status != 404:
                raise
            return BatchOutcome((ALREADY,))
        return BatchOutcome((APPLIED,))

    def _put_on(self, remote: RemoteList, items: Sequence[Item]) -> BatchOutcome:
        inputs = [
            {
                "id": item.key,
                "idProperty": "email",
                "properties": item.body.get("properties", {}),
                # With a name for every input HubSpot answers for each: one bad address keeps nobody else out.
                "objectWriteTraceId": str(place),
            }
            for place, item in enumerate(items)
        ]
        content = self._ask("POST", "crm/v3/objects/contacts/batch/upsert", json={"inputs": inputs})
        places = {item.key: place for place, item in enumerate(items)}
        records: dict[int, str] = {}
        for contact in _results(content):
            place = _place(contact.get("objectWriteTraceId"), len(items))
            if place is None:
                place = next((places[email] for email in _emails(contact) if email in places), None)
            if place is not None:
                records[place] = str(contact["id"])
        refused, is_traced = self._refusals(content, places)
        if not is_traced and len(records) + len(refused) < len(items):
            # Somebody was refused, and it is not said who. Halves tell; that some are on the list by then is no harm.
            return BatchOutcome.refused(len(items), _code(content) or "not_said_who")
        added, missing = self._change(remote, "add", list(records.values()))
        outcomes = []
        for place, item in enumerate(items):
            record = records.get(place)
            if record is None:
                outcomes.append(refused.get(place, Outcome("unknown", "not_answered_for")))
            elif record in missing:
                outcomes.append(Outcome("retry", "record_missing", remote_id=record))
            else:
                is_as_before = record not in added and not item.body.get("properties")
                outcomes.append(Outcome("already" if is_as_before else "applied", remote_id=record))
        return BatchOutcome(tuple(outcomes))

    def _refusals(self, content: Mapping[str, Any], places: Mapping[str, int]) -> tuple[dict[int, Outcome], bool]:
        """Who was refused, and whether every refusal says whom it is about."""
        found: dict[int, Outcome] = {}
        is_traced = True
        for error in content.get("errors") or []:
            context = error.get("context") or {}
            named = [_place(value, len(places)) for value in context.get("objectWriteTraceId") or []]
            named += [places.get(str(value).lower()) for value in context.get("ids") or context.get("id") or []]
            about = [place for place in named if place is not None]
            is_traced &= bool(about)
            found |= dict.fromkeys(about, Outcome("rejected", _code(error) or "refused"))
        return found, is_traced

    def _take_off(self, remote: RemoteList, items: Sequence[Item]) -> BatchOutcome:
        records = {item.key: item.remote_id for item in items if item.remote_id is not None}
        records |= self._records([item.key for item in items if item.remote_id is None])
        removed, missing = self._change(remote, "remove", list(records.values()))
        # A contact that was merged into another has that one's record id now, and is on the list under it.
        others = self._records([key for key, record in records.items() if record in missing])
        if others:
            records |= others
            removed |= self._change(remote, "remove", list(others.values()))[0]
        return BatchOutcome(
            tuple(
                Outcome("applied", remote_id=records[item.key]) if records.get(item.key) in removed else ALREADY
                for item in items
            )
        )

    def _change(self, remote: RemoteList, verb: str, records: Sequence[str]) -> tuple[frozenset[str], frozenset[str]]:
        """Record ids whose membership changed, and those that HubSpot does not know. Others were so before."""
        if not records:
            return frozenset(), frozenset()
        body = {
            "recordIdsToAdd": list(records) if verb == "add" else [],
            "recordIdsToRemove": list(records) if verb == "remove" else [],
        }
        content = self._on_list(remote, "PUT", "/add-and-remove", json=body)
        # Spelled so by HubSpot; one version of its documentation spells it like the others.
        changed = ("recordsIdsAdded", "recordIdsAdded") if verb == "add" else ("recordIdsRemoved",)
        return (
            frozenset(str(record) for name in changed for record in content.get(name) or []),
            frozenset(str(record) for record in content.get("recordIdsMissing") or []),
        )

    def _records(self, emails: Sequence[str]) -> dict[str, str]:
        """Record ids of the contacts that have these emails; who is no contact is left out."""
        if not emails:
            return {}
        found = {email: str(contact["id"]) for contact in self._contacts(emails, "email") for email in _emails(contact)}
        return {email: found[email] for email in emails if email in found}

    def _contacts(self, ids: Sequence[str], id_property: str | None) -> Sequence[Mapping[str, Any]]:
        body = {"inputs": [{"id": one} for one in ids], "properties": ["email", "hs_additional_emails"]}
        content = self._ask(
            "POST",
            "crm/v3/objects/contacts/batch/read",
            json=body | ({"idProperty": id_property} if id_property else {}),
        )
        if any(error.get("category") != "OBJECT_NOT_FOUND" for error in content.get("errors") or []):
            raise UncertainError("contacts_not_read")
        return _results(content)

    def _list(self, list_id: str) -> RemoteList:
        with self._told():
            try:
                return self._manual(self._api.call("GET", f"crm/v3/lists/{quote(list_id, safe='')}").content)
            except RefusedError as error:
                if error.status == 404:
                    self._is_gone(list_id)
                raise

    def _list_named(self, title: str) -> RemoteList | None:
        with self._told():
            try:
                path = f"crm/v3/lists/object-type-id/{CONTACTS}/name/{quote(title, safe='')}"
                return self._manual(self._api.call("GET", path).content)
            except RefusedError as error:
                if error.status == 404:
                    return None
                raise

    def _manual(self, content: Any) -> RemoteList:
        """The list that an answer holds, if members can be put on it one by one."""
        found = content.get("list") if isinstance(content, dict) else None
        if not isinstance(found, dict) or "listId" not in found:
            raise UncertainError("no_answer")
        title = str(found.get("name", ""))
        if found.get("processingType") not in ("MANUAL", "SNAPSHOT") or found.get("objectTypeId") != CONTACTS:
            raise LifecycleError(
                f"list {found['listId']} ('{title}') is no static list of contacts",
                where=self._where,
                remedy="HubSpot fills such a list by itself. Rename it, or name a static one in `list_id:`.",
            )
        return RemoteList(str(found["listId"]), title)

    def _on_list(
        self, remote: RemoteList, method: str, path: str, *, json: Any = None, params: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        try:
            address = f"crm/v3/lists/{quote(remote.list_id, safe='')}/memberships{path}"
            return self._ask(method, address, json=json, params=params)
        except RefusedError as error:
            if error.status == 404:
                self._is_gone(remote.list_id)
            raise

    def _is_gone(self, list_id: str) -> Never:
        raise LifecycleError(
            f"list {list_id} is gone",
            where=self._where,
            remedy="Restore it in HubSpot (within 90 days), or mend `list_id:`; a list is not made again by itself.",
        ) from None

    def _ask(
        self, method: str, path: str, *, json: Any = None, params: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        try:
            answer = self._api.call(method, path, json=json, params=params)
        except RefusedError as error:
            if error.status in LATER:
                raise BusyError(2.0) from None
            raise
        if answer.status == 204:
            return {}
        if not isinstance(answer.content, dict):
            raise UncertainError("no_answer")
        return answer.content

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What is not about members, as a person can mend it."""
        try:
            yield
        except RefusedError as error:
            raise LifecycleError(
                f"HubSpot refuses ({_code(error.content) or f'status {error.status}'})",
                where=self._where,
                remedy="Look at the account and the settings of this destination.",
            ) from None
        except (BusyError, UncertainError) as error:
            raise LifecycleError(
                f"HubSpot does not answer ({error})",
                where=self._where,
                remedy="Nothing is lost. Publish again in a while.",
            ) from None


def _results(content: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    results = content.get("results")
    if not isinstance(results, list):
        raise UncertainError("no_answer")
    return results


def _place(trace: Any, count: int) -> int | None:
    text = str(trace)
    return int(text) if text.isdecimal() and int(text) < count else None


def _emails(contact: Mapping[str, Any]) -> list[str]:
    """Every address that HubSpot knows the contact by."""
    properties = contact.get("properties") or {}
    texts = [properties.get("email") or "", *(properties.get("hs_additional_emails") or "").split(";")]
    return [text.strip().lower() for text in texts if text.strip()]


def _code(content: Any) -> str:
    """HubSpot's word for a refusal. Its sentences name addresses, its words do not."""
    return next((word.lower() for word in _words(content) if re.fullmatch(r"[A-Z_]{3,60}", word)), "")


def _words(content: Any) -> Iterator[str]:
    """Words of an answer, those that say most first."""
    if isinstance(content, dict):
        for error in content.get("errors") or []:
            yield from _words(error)
        yield from (str(content.get(name)) for name in ("code", "subCategory", "category"))


def _text(value: Any) -> str:
    """A value as HubSpot takes it: text, moments in UTC, nothing as the empty text that clears a property."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float | Decimal):
        return format(Decimal(str(value)), "f")
    return str(value)
