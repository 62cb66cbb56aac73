"""Brevo: a list of contacts, kept by email; contacts that it does not know are made on the way.

Belongs here: Brevo's paths, bodies and limits, and what its answers prove.
Does not belong here: blocklists. Who is blocklisted for emails stays so, on a list or not.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar
from urllib.parse import quote

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
    plain,
)
from lifecycle.settings import Part, Settings

LIMITS_PAGE = "https://developers.brevo.com/docs/api-limits"
CONTACTS_PER_PAGE = 500
LISTS_PER_PAGE = 50
TOO_EARLY = 425
"""The account is busy with this contact: nothing was done."""
_EMAIL = re.compile(r'[^@\s"\\,;<>()]+@[^@\s"\\,;<>()]+\.[^@\s"\\,;<>().]{2,}')
_HASH = re.compile(r"[0-9a-f]{64}")
_NOBODY = re.compile(r"already|does not exist", re.IGNORECASE)
"""How Brevo refuses a call that would change nobody's membership."""


@dataclass(frozen=True)
class Brevo:
    name: str
    api_key: SecretStr
    list_id: int | None = None
    folder_id: int | None = None
    url: str = "https://api.brevo.com/v3"
    pause: float = 0.5

    vendor: ClassVar[str] = "Brevo"
    encoder: ClassVar[str] = "brevo.v1"
    limits: ClassVar[Sequence[Limit]] = (
        Limit(10, 1, LIMITS_PAGE, "2026-11-24"),
        Limit(36_000, 3_600, LIMITS_PAGE, "2026-11-24"),
    )

    class Options(Part):
        api_key: SecretStr
        """A key of the API version 3."""
        list_id: int | None = None
        """A list that exists; without one, the list that is named as the sync, made if need be."""
        folder_id: int | None = None
        """The folder that a list is made in. Brevo makes no list without one."""
        url: str = "https://api.brevo.com/v3"
        """Where the API is."""
        pause: float = 0.5
        """Seconds before a failed call is made again; longer each time."""

    @classmethod
    def from_options(cls, name: str, options: Options, settings: Settings) -> Brevo:
        return cls(name, options.api_key, options.list_id, options.folder_id, options.url, options.pause)

    @property
    def account(self) -> str:
        return f"brevo {self.url} {hashlib.sha256(self.api_key.get_secret_value().encode()).hexdigest()[:8]}"

    @property
    def capabilities(self) -> MemberCapabilities:
        return MemberCapabilities(frozenset({"email"}), max_batch=150, read_back="full", erases=True)

    @cached_property
    def _api(self) -> Api:
        headers = {"api-key": self.api_key.get_secret_value()}
        return Api(
            self.url, account=self.account, where=self._where, headers=headers, limits=self.limits, pause=self.pause
        )

    @property
    def _where(self) -> str:
        return f"destination '{self.name}'"

    def check(self) -> Health:
        try:
            with self._telling():
                self._api.call("GET", "contacts/lists", params={"limit": 1})
                if self.list_id is not None:
                    self._list(str(self.list_id))
        except LifecycleError as error:
            network = (
                "Brevo may take calls from known addresses of the network alone: look at Security, Authorised IPs."
            )
            return Health(False, error.problem, f"{error.remedy} {network}")
        return Health(True)

    def ensure_list(self, spec: ListSpec) -> RemoteList:
        with self._telling():
            if list_id := spec.list_id or (str(self.list_id) if self.list_id is not None else None):
                return self._list(list_id)
            # By the sync's name: another title must not make another list.
            found = [one["id"] for one in self._pages("contacts/lists", "lists", LISTS_PER_PAGE, spec.sync_name)]
            if len(found) > 1:
                raise LifecycleError(
                    f"Brevo has {len(found)} lists that are named '{spec.sync_name}'",
                    where=self._where,
                    remedy="Name the right one with `list_id:`, or rename the others at Brevo.",
                )
            if not found and self.folder_id is None:
                raise LifecycleError(
                    f"Brevo has no list '{spec.sync_name}', and makes one in a folder alone",
                    where=self._where,
                    remedy="Name a folder with `folder_id:`, or a list that exists with `list_id:`.",
                )
            if not found:
                body = {"name": spec.sync_name, "folderId": self.folder_id}
                made = self._api.call("POST", "contacts/lists", json=body, is_idempotent=False)
                found = [content_of(made, "id")["id"]]
            return RemoteList(str(found[0]), spec.sync_name)

    def encode(self, member: Member) -> Encoded | Veto:
        email = member.identifiers.get("email", "").strip().lower()
        if not email:
            return Veto("no_email", "Brevo knows people by their email")
        if _HASH.fullmatch(email):
            return Veto("already_hashed", "Brevo takes no hashes")
        if not _EMAIL.fullmatch(email):
            return Veto("bad_email", "this is no email address")
        values = {name.upper(): plain(value) for name, value in member.attributes.items()}
        return Encoded(email, {name: value for name, value in values.items() if value is not None})

    def send(self, remote: RemoteList, operation: Operation, items: Sequence[Item], key: str) -> BatchOutcome:
        def call() -> BatchOutcome:
            self._list(remote.list_id)
            return self._remove(remote, items) if operation == "remove" else self._add(remote, items)

        return batch_outcome(len(items), call, code=_code)

    def read_back(self, remote: RemoteList) -> Iterator[str]:
        with self._telling():
            self._list(remote.list_id)
            for contact in self._pages(f"contacts/lists/{remote.list_id}/contacts", "contacts", CONTACTS_PER_PAGE):
                # Who has a phone number alone was put there by somebody else.
                if contact.get("email"):
                    yield contact["email"].lower()

    def erase(self, items: Sequence[Item]) -> BatchOutcome:
        def erased(item: Item) -> Outcome:
            def call() -> BatchOutcome:
                path = f"contacts/{quote(item.key, safe='')}"
                try:
                    answer = self._api.call("DELETE", path, params={"identifierType": "email_id"})
                except RefusedError as error:
                    if error.status != 404:
                        raise
                    return BatchOutcome((ALREADY,))
                return BatchOutcome((APPLIED if answer.status == 204 else Outcome("unknown", "no_answer"),))

            return batch_outcome(1, call, code=_code).outcomes[0]

        return BatchOutcome(tuple(erased(item) for item in items))

    def _add(self, remote: RemoteList, items: Sequence[Item]) -> BatchOutcome:
        """Contacts without attributes in one call, where Brevo knows them; all others one by one, made if need be."""
        kinds = self._kinds({name for item in items for name in item.body})
        added = self._moved(remote, "add", [item.key for item in items if not item.body])
        outcomes: list[Outcome] = []
        silence: Outcome | None = None
        for item in items:
            if item.key in added:
                outcomes.append(APPLIED)
            elif silence is not None:
                outcomes.append(silence)
            else:
                attributes = {name: self._fitting(name, kinds[name], value) for name, value in item.body.items()}
                found = self._upserted(remote, item.key, attributes)
                outcomes.append(found)
                # Whoever comes after them would be waited for as long and for as little.
                silence = found if found.proof in ("retry", "unknown") else None
        return BatchOutcome(tuple(outcomes))

    def _upserted(self, remote: RemoteList, email: str, attributes: Mapping[str, Any]) -> Outcome:
        body: dict[str, Any] = {"email": email, "listIds": [int(remote.list_id)], "updateEnabled": True}
        if attributes:
            body["attributes"] = attributes

        def call() -> BatchOutcome:
            try:
                answer = self._api.call("POST", "contacts", json=body)
            except RefusedError as error:
                if error.status == TOO_EARLY:
                    raise BusyError from None
                raise
            # 201 with an id: made; 204: was there and is as asked. Whatever else is no answer.
            is_made = answer.status == 201 and bool(content_of(answer, "id"))
            return BatchOutcome((APPLIED if is_made or answer.status == 204 else Outcome("unknown", "no_answer"),))

        return batch_outcome(1, call, code=_code).outcomes[0]

    def _remove(self, remote: RemoteList, items: Sequence[Item]) -> BatchOutcome:
        removed = self._moved(remote, "remove", [item.key for item in items])

        def outcome(email: str) -> Outcome:
            if email in removed:
                return APPLIED
            # That it failed is because they are not on the list, or of anything else: Brevo does not say.
            return Outcome("unknown", "not_removed") if self._is_on(remote, email) else ALREADY

        return BatchOutcome(tuple(outcome(item.key) for item in items))

    def _moved(self, remote: RemoteList, verb: str, emails: Sequence[str]) -> set[str]:
        """Who was added to the list, or removed from it, by one call."""
        if not emails:
            return set()
        path = f"contacts/lists/{remote.list_id}/contacts/{verb}"
        try:
            answer = self._api.call("POST", path, json={"emails": list(emails)})
        except RefusedError as error:
            if error.status == 400 and _NOBODY.search(str((error.content or {}).get("message"))):
                return set()
            raise
        content = content_of(answer)
        told = content.get("contacts", content)
        if not isinstance(told.get("success"), list):
            raise UncertainError("no_answer")
        return {email.lower() for email in told["success"]}

    def _is_on(self, remote: RemoteList, email: str) -> bool:
        try:
            answer = self._api.call("GET", f"contacts/{quote(email, safe='')}", params={"identifierType": "email_id"})
        except RefusedError as error:
            if error.status != 404:
                raise
            return False
        return int(remote.list_id) in content_of(answer, "listIds")["listIds"]

    def _kinds(self, names: set[str]) -> dict[str, str]:
        """Types of attributes by name. Brevo ignores one that it does not know, so that is found out here."""
        if not names:
            return {}
        listed = content_of(self._api.call("GET", "contacts/attributes"), "attributes")["attributes"]
        known = {one["name"]: one.get("type", "") for one in listed if one["category"] in ("normal", "category")}
        if missing := sorted(names - known.keys()):
            raise LifecycleError(
                f"Brevo has no contact attribute {', '.join(missing)}",
                where=self._where,
                remedy="Make it there (Contacts, Settings), or take it out of the sync's `attributes:`.",
            )
        return {name: known[name] for name in names}

    def _fitting(self, name: str, kind: str, value: Any) -> Any:
        """A value in the writing of an attribute's type. Brevo ignores one of another type."""
        if kind == "text":
            return value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
        if kind == "date" and isinstance(value, str):
            return value[:10]
        if kind == "float" and isinstance(value, int | float) and not isinstance(value, bool):
            return value
        if kind == "boolean" and isinstance(value, bool):
            return value
        if kind not in ("date", "float", "boolean"):
            return value
        raise LifecycleError(
            f"the contact attribute {name} has the type {kind} at Brevo, and the attribute of the sync another",
            where=self._where,
            remedy="Make an attribute of the other type there, or take it out of the sync's `attributes:`.",
        )

    def _pages(self, path: str, what: str, size: int, name: str | None = None) -> Iterator[dict[str, Any]]:
        """All entries of a listing, oldest first, or those of a name."""
        offset = 0
        while True:
            content = content_of(self._api.call("GET", path, params={"limit": size, "offset": offset, "sort": "asc"}))
            if "count" not in content:
                raise UncertainError("no_answer")
            page = content.get(what) or []
            yield from (one for one in page if name is None or one["name"] == name)
            offset += size
            if not page or offset >= content["count"]:
                return

    def _list(self, list_id: str) -> RemoteList:
        try:
            found = content_of(self._api.call("GET", f"contacts/lists/{quote(list_id)}"), "id")
        except RefusedError as error:
            if error.status != 404:
                raise
            raise LifecycleError(
                f"Brevo has no list {list_id}",
                where=self._where,
                remedy="Was it deleted? Name another with `list_id:`; without one a new list is made.",
            ) from None
        return RemoteList(list_id, found.get("name") or "")

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """What goes wrong outside of a batch is told to a person."""
        try:
            yield
        except RefusedError as error:
            problem = f"Brevo refuses a call (status {error.status}, {_code(error.content) or 'no code'})"
            remedy = "Look at the key, at `list_id:` and at `folder_id:`."
            raise LifecycleError(problem, where=self._where, remedy=remedy) from None
        except (BusyError, UncertainError):
            remedy = "Publish again later: nothing is lost."
            raise LifecycleError("Brevo does not answer", where=self._where, remedy=remedy) from None


def _code(content: Any) -> str:
    return str(content.get("code", "")) if isinstance(content, dict) else ""
