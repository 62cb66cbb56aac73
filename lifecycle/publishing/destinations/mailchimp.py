"""Mailchimp: a tag (static segment) of one audience, through the Marketing API 3.0.

Belongs here: contacts of the audience by their email (made or updated), who has the tag, and what answers prove.
Does not belong here: which customers are sent, and when.

The tag is the list. Who leaves loses the tag and nothing more: nobody is unsubscribed or archived. The ``status`` of a
contact that exists is never written; a new one gets the status that the settings say, by default one that no marketing
is sent to.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property, partial
from typing import Any, ClassVar, Literal, Never
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

MEMBERS_PER_CALL = 500
ROWS_PER_PAGE = 1_000
LONGEST_CALL = 120.0
"""Seconds after which Mailchimp itself gives up on a call."""
DATA_CENTRE = re.compile(r"-([a-z]{2}\d+)$")
"""How a key ends."""
MERGE_TAG = re.compile(r"[A-Z][A-Z0-9_]{0,9}")
SAID = (
    (re.compile(r"compliance state", re.I), "contact_compliance", "unsubscribed, bounced or under review"),
    (re.compile(r"permanently deleted|forgotten", re.I), "contact_forgotten", "permanently deleted by somebody"),
    (re.compile(r"fake or invalid|valid email|invalid email", re.I), "invalid_email", "no address for Mailchimp"),
)
"""What Mailchimp says in sentences alone, which name addresses: sentence, word, and our own sentence."""
IS_SO = re.compile(r"already", re.I)
IS_ABSENT = re.compile(r"not (?:a member|exist|found|on |in |present|subscribed)|n't exist|no member", re.I)


@dataclass(frozen=True)
class Mailchimp:
    name: str
    api_key: SecretStr
    audience_id: str
    list_id: str | None = None
    url: str = "https://{data_centre}.api.mailchimp.com/3.0"
    status_if_new: str = "transactional"
    merge_fields: Mapping[str, str] = field(default_factory=dict)
    pause: float = 0.5

    vendor: ClassVar[str] = "Mailchimp"
    encoder: ClassVar[str] = "mailchimp.v1"
    # Connections are what Mailchimp limits. It names no rate; ten calls a second are what ten connections come to.
    limits: ClassVar[Sequence[Limit]] = (
        Limit(10, 1, "https://mailchimp.com/developer/marketing/docs/fundamentals/", "2026-11-24", concurrency=10),
    )

    class Options(Part):
        # A message about a wrong setting shows what was set, and that may be the secret.

        api_key: SecretStr
        """An API key, with the data centre that it ends with: ``…-us6``."""
        audience_id: str
        """The audience (its list id) that contacts are in."""
        list_id: str | None = None
        """Number of a tag (static segment) that exists; without it one is found or made by the sync's title."""
        url: str = "https://{data_centre}.api.mailchimp.com/3.0"
        """Mailchimp's address, or a proxy's; the data centre is taken from the key."""
        status_if_new: Literal["transactional", "subscribed", "pending", "unsubscribed"] = "transactional"
        """What a contact becomes that the audience does not have yet. ``subscribed`` says that they agreed to marketing
        by email: send it with ``channel: email`` alone. ``pending`` has Mailchimp ask them."""
        merge_fields: dict[str, str] = Field(default_factory=dict)
        """Attribute → merge tag of the audience (``lifecycle_stage: STAGE``); each that is sent needs one."""
        pause: float = 0.5
        """Seconds before a call is made again for the first time."""

        @model_validator(mode="after")
        def _key_and_tags_can_be_used(self) -> Mailchimp.Options:
            if "{data_centre}" in self.url and DATA_CENTRE.search(self.api_key.get_secret_value()) is None:
                raise ValueError("api_key does not end with a data centre, as in '…-us6'")
            for tag in self.merge_fields.values():
                if MERGE_TAG.fullmatch(tag) is None or tag == "EMAIL":
                    raise ValueError(f"'{tag}' is no merge tag: up to ten of A–Z, 0–9 and _, and not EMAIL")
            return self

    @classmethod
    def from_options(cls, name: str, options: Options, settings: Settings) -> Mailchimp:
        return cls(
            name,
            options.api_key,
            options.audience_id,
            options.list_id,
            options.url,
            options.status_if_new,
            options.merge_fields,
            options.pause,
        )

    @property
    def account(self) -> str:
        return f"mailchimp {hashlib.sha256(self.api_key.get_secret_value().encode()).hexdigest()[:12]}"

    @property
    def capabilities(self) -> MemberCapabilities:
        return MemberCapabilities(
            frozenset({"email"}), max_batch=MEMBERS_PER_CALL, updates=True, read_back="full", erases=True
        )

    @cached_property
    def _api(self) -> Api:
        key = self.api_key.get_secret_value()
        found = DATA_CENTRE.search(key)
        return Api(
            self.url.replace("{data_centre}", found.group(1) if found else ""),
            account=self.account,
            where=self._where,
            auth=("lifecycle", key),
            limits=self.limits,
            timeout=LONGEST_CALL,
            pause=self.pause,
        )

    @property
    def _where(self) -> str:
        return f"destination '{self.name}'"

    @property
    def _audience(self) -> str:
        return f"lists/{quote(self.audience_id, safe='')}"

    def check(self) -> Health:
        try:
            with self._told():
                self._in_audience("GET", "", params={"fields": "id"})
                found = self._in_audience(
                    "GET", "/merge-fields", params={"count": ROWS_PER_PAGE, "fields": "merge_fields.tag"}
                )
            if self.list_id is not None:
                self._tag(self.list_id)
        except LifecycleError as error:
            return Health(False, error.problem, error.remedy)
        there = {str(one.get("tag")) for one in found.get("merge_fields") or []}
        absent = sorted(set(self.merge_fields.values()) - there)
        if absent:
            return Health(
                False,
                f"the audience has no merge field {', '.join(absent)}",
                "Mailchimp drops such values without a word. Make the field, or mend `merge_fields:`.",
            )
        return Health(True)

    def ensure_list(self, spec: ListSpec) -> RemoteList:
        list_id = spec.list_id or self.list_id
        if list_id is not None:
            return self._tag(list_id)
        title = spec.title or spec.sync_name
        with self._told():
            found = self._tag_named(title)
            if found is not None:
                return found
            try:
                # Made again it would be refused for its name: the lost answer is looked up instead.
                body = {"name": title, "static_segment": []}
                return self._static(self._in_audience("POST", "/segments", json=body, is_idempotent=False))
            except (RefusedError, UncertainError):
                found = self._tag_named(title)
                if found is None:
                    raise
                return found

    def encode(self, member: Member) -> Encoded | Veto:
        email = member.identifiers.get("email", "").strip().lower()
        if re.fullmatch(r"[0-9a-f]{64}", email):
            return Veto("already_hashed", "Mailchimp knows contacts by their email in plain text, and this is a hash")
        if "@" not in email:
            return Veto("no_email", "Mailchimp knows contacts by their email")
        unnamed = sorted(set(member.attributes) - set(self.merge_fields))
        if unnamed:
            raise LifecycleError(
                f"attribute '{unnamed[0]}' has no merge tag",
                where=self._where,
                remedy=f"Say which field of the audience takes it: `merge_fields: {{{unnamed[0]}: TAG}}`.",
            )
        fields = {self.merge_fields[name]: _value(value) for name, value in member.attributes.items()}
        return Encoded(email, {"merge_fields": fields} if fields else {})

    def send(self, remote: RemoteList, operation: Operation, items: Sequence[Item], key: str) -> BatchOutcome:
        change = self._untag if operation == "remove" else self._tag_all
        return batch_outcome(len(items), lambda: change(remote, items), code=_title)

    def read_back(self, remote: RemoteList) -> Iterator[str]:
        """Emails of everybody with the tag, whatever their status."""
        everybody = {f"include_{status}": "true" for status in ("cleaned", "transactional", "unsubscribed")}
        with self._told():
            for member in self._rows(f"/segments/{quote(remote.list_id, safe='')}/members", "members", everybody):
                yield str(member["email_address"]).lower()

    def erase(self, items: Sequence[Item]) -> BatchOutcome:
        """Contacts are deleted for good from the audience; Mailchimp does not take them again by itself."""
        return BatchOutcome(
            tuple(batch_outcome(1, partial(self._erase_one, item), code=_title).outcomes[0] for item in items)
        )

    def _erase_one(self, item: Item) -> BatchOutcome:
        digest = hashlib.md5(item.key.encode(), usedforsecurity=False).hexdigest()
        try:
            self._api.call("POST", f"{self._audience}/members/{digest}/actions/delete-permanent")
        except RefusedError as error:
            if error.status != 404:
                raise
            return BatchOutcome((ALREADY,))
        return BatchOutcome((APPLIED,))

    def _tag_all(self, remote: RemoteList, items: Sequence[Item]) -> BatchOutcome:
        members = [{"email_address": item.key, "status_if_new": self.status_if_new, **item.body} for item in items]
        content = self._in_audience(
            "POST",
            "",
            # A field that the audience demands and the sync does not send keeps nobody out.
            params={"skip_merge_validation": "true"},
            json={"members": members, "update_existing": True},
        )
        there = {
            str(member.get("email_address")).lower(): member
            for name in ("new_members", "updated_members")
            for member in content.get(name) or []
        }
        outcomes = {_address(error.get("email_address")): _refusal(error) for error in content.get("errors") or []}
        for item in items:
            tags = (there.get(item.key) or {}).get("tags") or []
            if any(str(tag.get("id")) == remote.list_id for tag in tags):
                outcomes[item.key] = APPLIED if item.body else ALREADY
        untagged = [item.key for item in items if item.key not in outcomes]
        outcomes |= self._change(remote, "add", untagged)
        outcomes |= {email: Outcome("unknown", "not_confirmed") for email in untagged if email not in outcomes}
        return BatchOutcome(tuple(outcomes[item.key] for item in items))

    def _untag(self, remote: RemoteList, items: Sequence[Item]) -> BatchOutcome:
        outcomes = self._change(remote, "remove", [item.key for item in items])
        # Who does not have the tag, or is no contact, is passed over without a word.
        return BatchOutcome(tuple(outcomes.get(item.key, ALREADY) for item in items))

    def _change(self, remote: RemoteList, verb: str, emails: Sequence[str]) -> dict[str, Outcome]:
        """What is said of the tag of each; who is passed over is not in it."""
        if not emails:
            return {}
        path = f"/segments/{quote(remote.list_id, safe='')}"
        content = self._in_audience("POST", path, json={f"members_to_{verb}": list(emails)})
        changed = content.get("members_added" if verb == "add" else "members_removed")
        if not isinstance(changed, list):
            raise UncertainError("no_answer")
        found: dict[str, Outcome] = {}
        for one in content.get("errors") or []:
            said = str(one.get("error", ""))
            is_so = IS_SO.search(said) if verb == "add" else IS_ABSENT.search(said)
            outcome = ALREADY if is_so else _refusal({"error": said, "error_code": "not_tagged"})
            found |= dict.fromkeys((_address(email) for email in one.get("email_addresses") or []), outcome)
        return found | {str(member.get("email_address")).lower(): APPLIED for member in changed}

    def _tag(self, list_id: str) -> RemoteList:
        with self._told():
            return self._static(self._in_audience("GET", f"/segments/{quote(list_id, safe='')}"))

    def _tag_named(self, title: str) -> RemoteList | None:
        for found in self._rows("/segments", "segments", {"type": "static"}):
            if found.get("name") == title:
                return self._static(found)
        return None

    def _static(self, found: Mapping[str, Any]) -> RemoteList:
        if "id" not in found:
            raise UncertainError("no_answer")
        title = str(found.get("name", ""))
        if found.get("type") != "static":
            raise LifecycleError(
                f"segment {found['id']} ('{title}') is no tag",
                where=self._where,
                remedy="Mailchimp fills such a segment by itself. Name a tag in `list_id:`, or leave it out.",
            )
        return RemoteList(str(found["id"]), title, found.get("member_count"))

    def _rows(self, path: str, name: str, params: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        offset = 0
        while True:
            page = self._in_audience("GET", path, params={**params, "count": ROWS_PER_PAGE, "offset": offset})
            rows = page.get(name)
            if not isinstance(rows, list):
                raise UncertainError("no_answer")
            yield from rows
            offset += len(rows)
            if len(rows) < ROWS_PER_PAGE:
                return

    def _in_audience(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        is_idempotent: bool = True,
    ) -> Mapping[str, Any]:
        try:
            answer = self._api.call(
                method, f"{self._audience}{path}", json=json, params=params, is_idempotent=is_idempotent
            )
        except RefusedError as error:
            if error.status != 404:
                raise
            self._is_gone(path)
        if not isinstance(answer.content, dict):
            raise UncertainError("no_answer")
        return answer.content

    def _is_gone(self, path: str) -> Never:
        if path.startswith("/segments/"):
            raise LifecycleError(
                f"tag {path.split('/')[2]} of audience {self.audience_id} is gone",
                where=self._where,
                remedy="Mend `list_id:`, or make a tag and name it there; a list is not made again by itself.",
            ) from None
        raise LifecycleError(
            f"there is no audience {self.audience_id}",
            where=self._where,
            remedy="Mend `audience_id:`, or see whether the key is of another account.",
        ) from None

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What is not about members, as a person can mend it."""
        try:
            yield
        except RefusedError as error:
            raise LifecycleError(
                f"Mailchimp refuses ({_title(error.content) or f'status {error.status}'})",
                where=self._where,
                remedy="Look at the audience and the settings of this destination.",
            ) from None
        except (BusyError, UncertainError) as error:
            raise LifecycleError(
                f"Mailchimp does not answer ({error})",
                where=self._where,
                remedy="Nothing is lost. Publish again in a while.",
            ) from None


def _address(text: Any) -> str:
    return str(text).strip("\"' ").lower()


def _refusal(error: Mapping[str, Any]) -> Outcome:
    """Why a member was refused, in words of ours: Mailchimp's sentences name addresses."""
    said, code = str(error.get("error", "")), str(error.get("error_code", "")).lower()
    for sentence, word, message in SAID:
        if sentence.search(said) or word in code:
            return Outcome("rejected", word, message)
    if code == "error_contact_exists":
        # Put there by somebody else while this call was made.
        return Outcome("retry", "contact_exists")
    is_about = re.fullmatch(r"\w{1,20}", str(error.get("field") or ""))
    message = f"field {is_about.group()}" if is_about else ""
    return Outcome("rejected", code.removeprefix("error_") or "refused", message)


def _title(content: Any) -> str:
    """Mailchimp's word for a refused call: the title of its problem."""
    title = content.get("title") if isinstance(content, dict) else None
    return re.sub(r"[^a-z]+", "_", str(title or "").lower()).strip("_")


def _value(value: Any) -> str | int | float:
    """A value as a merge field takes it: numbers as they are, all else as text, nothing as the empty text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value if isinstance(value, int | float) else str(value)
