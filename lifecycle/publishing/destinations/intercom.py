"""Intercom: a tag on contacts.

Belongs here: finding contacts, tagging them and taking the tag off, making and finding tags, what the answers prove.
Does not belong here: HTTP, limits and retries (``api.py``).

Intercom tags one contact a call, by an id of its own. Contacts are looked up by email or external id, many in one call;
whom Intercom does not know is refused and never made.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import SecretStr

from lifecycle.errors import LifecycleError
from lifecycle.publishing.destinations import Health
from lifecycle.publishing.destinations.api import Api, BusyError, RefusedError, UncertainError, batch_outcome
from lifecycle.publishing.destinations.members import (
    ALREADY,
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

VERSION = "2.15"
FIELDS = {"customer_id": "external_id", "contact_id": "external_id", "email": "email"}
LOOKED_UP_PER_CALL = 15
"""Intercom takes 15 filters in a group, and calls IN a short form of such a group."""
LARGEST_PAGE = 150

_T = TypeVar("_T")
_HASH = re.compile(r"[0-9a-fA-F]{64}")
_WORD = re.compile(r"[a-z_]{1,40}")


@dataclass(frozen=True)
class Intercom:
    name: str
    token: SecretStr
    identifier: Literal["customer_id", "contact_id", "email"] = "email"
    tag_id: int | str | None = None
    url: str = "https://api.intercom.io"
    pause: float = 0.5

    vendor: ClassVar[str] = "Intercom"
    encoder: ClassVar[str] = "intercom.v1"
    # 10,000 a minute, which Intercom grants in parts of ten seconds.
    limits: ClassVar[Sequence[Limit]] = (
        Limit(1_666, 10, "https://developers.intercom.com/docs/references/rest-api/errors/rate-limiting", "2026-11-24"),
    )

    class Options(Part):
        token: SecretStr
        """Access token of an app that may read contacts and read and write tags."""
        identifier: Literal["customer_id", "contact_id", "email"] = "email"
        """What contacts are known by: the email, or one of our ids as Intercom's external id."""
        tag_id: int | str | None = None
        """A tag that exists. Without it, the tag with the sync's title is found or made."""
        url: str = "https://api.intercom.io"
        """Where the workspace is: also https://api.eu.intercom.io, https://api.au.intercom.io."""
        pause: float = 0.5
        """First wait between two attempts of a call, in seconds."""

    @classmethod
    def from_options(cls, name: str, options: Options, settings: Settings) -> Intercom:
        return cls(name, **dict(options))

    @property
    def account(self) -> str:
        return f"intercom {self.url}"

    @property
    def capabilities(self) -> MemberCapabilities:
        return MemberCapabilities(
            frozenset({self.identifier}), max_batch=LOOKED_UP_PER_CALL, updates=False, read_back="full"
        )

    @property
    def _where(self) -> str:
        return f"destination '{self.name}'"

    @cached_property
    def _api(self) -> Api:
        return Api(
            self.url,
            account=self.account,
            where=self._where,
            headers={"Authorization": f"Bearer {self.token.get_secret_value()}", "Intercom-Version": VERSION},
            limits=self.limits,
            pause=self.pause,
        )

    def check(self) -> Health:
        try:
            self._tags()
            # Asks for one contact, to see that contacts may be read.
            self._asked(lambda: next(self._search("role", "=", "user", page=1), None))
        except LifecycleError as error:
            needed = "The app has to be allowed to read contacts and to read and write tags."
            return Health(False, error.problem, f"{error.remedy} {needed}")
        return Health(True)

    def ensure_list(self, spec: ListSpec) -> RemoteList:
        named = spec.list_id or self.tag_id
        if named is not None:
            tag = self._asked(lambda: self._tag(str(named)))
            if tag is None:
                raise self._gone(str(named))
            return RemoteList(str(named), str(tag.get("name", "")))
        title = spec.title or spec.sync_name
        # Intercom makes no difference between upper and lower case in names of tags.
        found = next((tag for tag in self._tags() if str(tag.get("name")).casefold() == title.casefold()), None)
        if found is None:
            found = self._asked(lambda: _mapping(self._api.call("POST", "tags", json={"name": title}).content))
        if "id" not in found:
            raise self._silent()
        return RemoteList(str(found["id"]), str(found.get("name", title)))

    def _tags(self) -> list[Mapping[str, Any]]:
        def call() -> list[Mapping[str, Any]]:
            return list(_mapping(self._api.call("GET", "tags").content).get("data") or [])

        return self._asked(call)

    def _tag(self, tag_id: str) -> Mapping[str, Any] | None:
        """A tag; None where there is none of that id."""
        try:
            return _mapping(self._api.call("GET", f"tags/{tag_id}").content)
        except RefusedError as error:
            if error.status == 404:
                return None
            raise

    def _gone(self, tag_id: str) -> LifecycleError:
        return LifecycleError(
            f"tag {tag_id} is not there",
            where=self._where,
            remedy="It was deleted at Intercom, or belongs to another workspace. Name one that exists with `tag_id:`"
            " or `list:`, or take that setting away to have one made. It is not made anew in the middle of a delivery.",
        )

    def _silent(self) -> LifecycleError:
        return LifecycleError(
            "Intercom does not answer as it should",
            where=self._where,
            remedy="Publish again later: the delivery is resumed. https://www.intercomstatus.com tells of faults.",
        )

    def _asked(self, call: Callable[[], _T]) -> _T:
        """What calls answer that are not about members: whatever goes wrong with them is for a person."""
        try:
            return call()
        except RefusedError as error:
            problem = f"Intercom refuses the call (status {error.status})"
            raise LifecycleError(problem, where=self._where, remedy="Look at the token and at `url:`.") from None
        except (BusyError, UncertainError):
            raise self._silent() from None

    def encode(self, member: Member) -> Encoded | Veto:
        known = {"customer_id": member.customer_id, **member.identifiers}
        key = known.get(self.identifier, "").strip()
        if self.identifier == "email":
            key = key.lower()
            if _HASH.fullmatch(key):
                return Veto("already_hashed", "Intercom knows the address, and this is the hash of one")
        if not key or (self.identifier == "email" and "@" not in key):
            return Veto(f"no_{self.identifier}", f"contacts are looked up by their {self.identifier}")
        return Encoded(key)

    def send(self, remote: RemoteList, operation: Operation, items: Sequence[Item], key: str) -> BatchOutcome:
        def call() -> BatchOutcome:
            if operation == "remove":
                return BatchOutcome(tuple(self._one_by_one(items, lambda item: self._untagged(remote, item))))
            contacts = self._contacts([item.key for item in items])
            return BatchOutcome(
                tuple(self._one_by_one(items, lambda item: self._tagged(remote, contacts.get(item.key, []))))
            )

        return batch_outcome(len(items), call, code=_code)

    def _one_by_one(self, items: Sequence[Item], change: Callable[[Item], Outcome]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for item in items:
            try:
                outcomes.append(change(item))
            except RefusedError as error:
                outcomes.append(Outcome("rejected", _code(error.content) or f"status_{error.status}"))
            except BusyError as error:
                outcomes += [Outcome("retry", "busy", after=error.after)] * (len(items) - len(outcomes))
                break
            except UncertainError as error:
                # Whoever comes after would wait in vain as well.
                outcomes += [Outcome("unknown", error.code)] * (len(items) - len(outcomes))
                break
        return outcomes

    def _tagged(self, remote: RemoteList, contacts: Sequence[Mapping[str, Any]]) -> Outcome:
        """Tag one of the contacts that were found: the user among them, if there are leads too."""
        if not contacts:
            return Outcome("rejected", "unknown_contact", "Intercom has no such contact")
        users = [contact for contact in contacts if contact.get("role") == "user"]
        found = users or contacts
        if len(found) > 1:
            return Outcome("rejected", "ambiguous_contact", f"{len(found)} contacts share the identifier")
        contact_id = str(found[0]["id"])
        try:
            answer = self._api.call("POST", f"contacts/{contact_id}/tags", json={"id": remote.list_id})
        except RefusedError as error:
            if error.status == 404:
                self._require(remote)
                return Outcome("rejected", "unknown_contact", "Intercom lost the contact meanwhile")
            raise
        if not isinstance(answer.content, Mapping) or str(answer.content.get("id")) != remote.list_id:
            return Outcome("unknown", "no_answer")
        return Outcome("applied", remote_id=contact_id)

    def _untagged(self, remote: RemoteList, item: Item) -> Outcome:
        """Take the tag off a contact. One that is gone may live on in another, which has its tags and identifiers."""
        if item.remote_id:
            outcome = self._untag(remote, item.remote_id)
            if outcome is not None:
                return outcome
        outcomes = [self._untag(remote, str(one["id"])) for one in self._contacts([item.key]).get(item.key, [])]
        done = [outcome for outcome in outcomes if outcome is not None]
        if not done:
            self._require(remote)
            return ALREADY
        return next((outcome for outcome in done if not outcome.is_done), done[0])

    def _untag(self, remote: RemoteList, contact_id: str) -> Outcome | None:
        """None where there is no such contact, or none with the tag."""
        try:
            answer = self._api.call("DELETE", f"contacts/{contact_id}/tags/{remote.list_id}")
        except RefusedError as error:
            if error.status == 404:
                return None
            raise
        if not isinstance(answer.content, Mapping) or str(answer.content.get("id")) != remote.list_id:
            return Outcome("unknown", "no_answer")
        return Outcome("applied", remote_id=contact_id)

    def _require(self, remote: RemoteList) -> None:
        """Intercom answers 404 alike for a contact and for a tag that is not there; a tag that is gone ends it all."""
        if self._tag(remote.list_id) is None:
            raise self._gone(remote.list_id)

    def _contacts(self, keys: Sequence[str]) -> dict[str, list[Mapping[str, Any]]]:
        """The contacts that Intercom has under each key."""
        field = FIELDS[self.identifier]
        found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for contact in self._search(field, "IN", list(keys)):
            found[self._key(contact) or ""].append(contact)
        return found

    def _key(self, contact: Mapping[str, Any]) -> str | None:
        value = contact.get(FIELDS[self.identifier])
        return str(value).lower() if value and self.identifier == "email" else value

    def _search(
        self, field: str, operator: str, value: str | list[str], *, page: int = LARGEST_PAGE
    ) -> Iterator[Mapping[str, Any]]:
        pagination: dict[str, Any] = {"per_page": page}
        while True:
            query = {"field": field, "operator": operator, "value": value}
            content = _mapping(
                self._api.call("POST", "contacts/search", json={"query": query, "pagination": pagination}).content
            )
            if not isinstance(content.get("data"), list):
                raise UncertainError("no_answer")
            yield from content["data"]
            after = ((content.get("pages") or {}).get("next") or {}).get("starting_after")
            if not after:
                return
            pagination = {**pagination, "starting_after": after}

    def read_back(self, remote: RemoteList) -> Iterator[str]:
        if self._asked(lambda: self._tag(remote.list_id)) is None:
            raise self._gone(remote.list_id)
        contacts = self._search("tag_id", "=", remote.list_id)
        while (contact := self._asked(lambda: next(contacts, None))) is not None:
            # A contact without the identifier was tagged by others; it is told apart by Intercom's own id.
            yield self._key(contact) or f"contact_{contact.get('id')}"


def _mapping(content: Any) -> Mapping[str, Any]:
    if not isinstance(content, Mapping):
        raise UncertainError("no_answer")
    return content


def _code(content: Any) -> str:
    """Intercom's word for a refusal; its message may hold what was sent."""
    errors = content.get("errors") if isinstance(content, Mapping) else None
    first = errors[0] if isinstance(errors, list) and errors else None
    code = str(first.get("code") or "") if isinstance(first, Mapping) else ""
    return code if _WORD.fullmatch(code) else ""
