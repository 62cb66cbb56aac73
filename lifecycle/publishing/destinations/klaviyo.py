"""Klaviyo: a list of profiles, added to by bulk import jobs and taken from by profile id.

Belongs here: Klaviyo's paths, bodies and limits, and what its answers prove.
Does not belong here: subscriptions. To be on a list is no consent at Klaviyo; nothing here gives one or takes one away.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar, Literal
from urllib.parse import parse_qs, quote, urlsplit

from pydantic import SecretStr

from lifecycle.errors import LifecycleError
from lifecycle.publishing.destinations import Health
from lifecycle.publishing.destinations.api import Answer, Api, BusyError, RefusedError, UncertainError, batch_outcome
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

REVISION = "2026-07-15"
REFERENCE = "https://developers.klaviyo.com/en/reference"
FIELDS = {"email": "email", "phone": "phone_number", "customer_id": "external_id"}
"""What Klaviyo calls the identifiers."""
OWN_FIELDS = ("first_name", "last_name", "locale", "organization", "title")
"""Attributes that are fields of a profile; all others are its properties."""
LARGEST_PROFILE = 100_000
REMOVED_AT_ONCE = 1_000
ASKED_AT_ONCE = 100
LONGEST_FILTER = 6_000
"""Characters of a filter in an address. Klaviyo names no limit; servers begin to refuse at 8,000."""
TRIES = 5
"""So often members that Klaviyo names are left out of a job before the job is refused as a whole."""
SETTLING = timedelta(minutes=10)
"""So long after its end a job's members may be missing from the list before that means something."""
ERASURE = "erasure"
_NAMED = re.compile(r"^/data/attributes/profiles/data/(\d+)(?:/|$)")
_EMAIL = re.compile(r'[^@\s"\\,;<>()]+@[^@\s"\\,;<>()]+\.[^@\s"\\,;<>().]{2,}')
_HASH = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True)
class Klaviyo:
    name: str
    api_key: SecretStr
    identify_by: Literal["email", "phone", "customer_id"] = "email"
    list_id: str | None = None
    url: str = "https://a.klaviyo.com"
    pause: float = 0.5

    vendor: ClassVar[str] = "Klaviyo"
    encoder: ClassVar[str] = "klaviyo.v1"
    limits: ClassVar[Sequence[Limit]] = (
        Limit(10, 1, f"{REFERENCE}/bulk_import_profiles", "2026-11-24"),
        Limit(150, 60, f"{REFERENCE}/bulk_import_profiles", "2026-11-24"),
    )
    reading_limits: ClassVar[Sequence[Limit]] = (
        Limit(75, 1, f"{REFERENCE}/get_profiles_for_list", "2026-11-24"),
        Limit(700, 60, "https://developers.klaviyo.com/en/docs/rate_limits_and_error_handling", "2026-11-24"),
    )
    """Klaviyo counts per endpoint, and lists and profiles may be read more often than written."""

    class Options(Part):
        api_key: SecretStr
        """A private key with the scopes lists:read, lists:write, profiles:read and profiles:write."""
        identify_by: Literal["email", "phone", "customer_id"] = "email"
        """What Klaviyo knows people by; ``customer_id`` is its ``external_id``."""
        list_id: str | None = None
        """A list that exists; without one, the list that is named as the sync, made if need be."""
        url: str = "https://a.klaviyo.com"
        """Where the API is."""
        pause: float = 0.5
        """Seconds before a failed call is made again; longer each time."""

    @classmethod
    def from_options(cls, name: str, options: Options, settings: Settings) -> Klaviyo:
        return cls(name, options.api_key, options.identify_by, options.list_id, options.url, options.pause)

    @property
    def account(self) -> str:
        return f"klaviyo {self.url} {hashlib.sha256(self.api_key.get_secret_value().encode()).hexdigest()[:8]}"

    @property
    def capabilities(self) -> MemberCapabilities:
        return MemberCapabilities(
            frozenset({self.identify_by}),
            max_batch=10_000,
            max_bytes=5_000_000 - 1_000,  # A job takes 5 MB; what stands around its profiles is far below 1,000 bytes.
            read_back="full",
            is_asynchronous=True,
            erases=True,
        )

    @cached_property
    def _api(self) -> Api:
        return self._made(self.account, self.limits)

    @cached_property
    def _reads(self) -> Api:
        return self._made(f"{self.account} reading", self.reading_limits)

    def _made(self, account: str, limits: Sequence[Limit]) -> Api:
        headers = {
            "Authorization": f"Klaviyo-API-Key {self.api_key.get_secret_value()}",
            "revision": REVISION,
            "Accept": "application/vnd.api+json",
            "Content-Type": "application/vnd.api+json",
        }
        return Api(self.url, account=account, where=self._where, headers=headers, limits=limits, pause=self.pause)

    @property
    def _where(self) -> str:
        return f"destination '{self.name}'"

    def check(self) -> Health:
        try:
            with self._telling():
                self._reads.call("GET", "api/lists", params={"page[size]": 1})
                self._reads.call("GET", "api/profiles", params={"page[size]": 1})
                if self.list_id:
                    self._list(self.list_id)
        except LifecycleError as error:
            scopes = "The key needs the scopes lists:read, lists:write, profiles:read and profiles:write."
            return Health(False, error.problem, f"{error.remedy} {scopes}")
        return Health(True)

    def ensure_list(self, spec: ListSpec) -> RemoteList:
        with self._telling():
            if list_id := spec.list_id or self.list_id:
                return self._list(list_id)
            # By the sync's name: another title must not make another list.
            found = list(self._pages("api/lists", {"filter": f"equals(name,{_quoted(spec.sync_name)})"}, size=10))
            if len(found) > 1:
                raise LifecycleError(
                    f"Klaviyo has {len(found)} lists that are named '{spec.sync_name}'",
                    where=self._where,
                    remedy="Name the right one with `list_id:`, or rename the others at Klaviyo.",
                )
            if not found:
                body = {"data": {"type": "list", "attributes": {"name": spec.sync_name}}}
                made = self._api.call("POST", "api/lists", json=body, is_idempotent=False)
                found = [_content(made)["data"]]
            return RemoteList(found[0]["id"], spec.sync_name)

    def encode(self, member: Member) -> Encoded | Veto:
        key = self._key(member)
        if isinstance(key, Veto):
            return key
        values = {name: plain(value) for name, value in member.attributes.items()}
        fields: dict[str, Any] = {name: values[name] for name in OWN_FIELDS if values.get(name) is not None}
        properties = {name: value for name, value in values.items() if name not in OWN_FIELDS}
        if kept := {name: value for name, value in properties.items() if value is not None}:
            fields["properties"] = kept
        body: dict[str, Any] = {"attributes": fields}
        # A job takes no null, and leaves what it is not told as it was: an emptied property has to be unset.
        if unset := sorted(name for name, value in properties.items() if value is None):
            body["meta"] = {"patch_properties": {"unset": unset}}
        size = len(json.dumps(self._profile(key, body), ensure_ascii=False).encode()) + 1
        if size > LARGEST_PROFILE:
            return Veto("too_large", f"Klaviyo takes {LARGEST_PROFILE:,} bytes of a profile")
        return Encoded(key, body, size)

    def send(self, remote: RemoteList, operation: Operation, items: Sequence[Item], key: str) -> BatchOutcome:
        def call() -> BatchOutcome:
            self._list(remote.list_id)
            return self._remove(remote, items) if operation == "remove" else self._import(remote, operation, items)

        return batch_outcome(len(items), call, code=_code)

    def poll(self, remote: RemoteList, handle: str, items: Sequence[Item]) -> BatchOutcome | None:
        keys = [item.key for item in items]
        try:
            if handle == ERASURE:
                return None if self._ids("api/profiles", keys) else BatchOutcome.all(APPLIED, len(keys))
            return self._came_of(remote, handle, keys)
        except (BusyError, UncertainError):
            return None
        except RefusedError as error:
            return BatchOutcome.all(Outcome("unknown", f"status_{error.status}"), len(keys))

    def read_back(self, remote: RemoteList) -> Iterator[str]:
        field = FIELDS[self.identify_by]
        with self._telling():
            self._list(remote.list_id)
            for profile in self._pages(f"api/lists/{quote(remote.list_id)}/profiles", {"fields[profile]": field}):
                if value := profile["attributes"].get(field):
                    yield self._written(value)

    def erase(self, items: Sequence[Item]) -> BatchOutcome:
        """Ask for the deletion of profiles. Klaviyo says no more than that it will do it; ``poll`` looks for them."""

        def call() -> BatchOutcome:
            ids = self._ids("api/profiles", [item.key for item in items])
            ids |= {item.key: item.remote_id for item in items if item.remote_id}
            for profile_id in ids.values():
                profile = {"data": {"type": "profile", "id": profile_id, "attributes": {}}}
                job = {"type": "data-privacy-deletion-job", "attributes": {"profile": profile}}
                self._api.call("POST", "api/data-privacy-deletion-jobs", json={"data": job})
            accepted = Outcome("accepted", handle=ERASURE)
            return BatchOutcome(tuple(accepted if item.key in ids else ALREADY for item in items))

        return batch_outcome(len(items), call, code=_code)

    def _import(self, remote: RemoteList, operation: Operation, items: Sequence[Item]) -> BatchOutcome:
        """One job. Klaviyo refuses a job whole and names the profiles at fault: it is sent again without them."""
        outcomes: dict[int, Outcome] = {}
        for attempt in range(1, TRIES + 1):
            places = [place for place in range(len(items)) if place not in outcomes]
            if not places:
                break
            profiles = [self._profile(items[place].key, items[place].body) for place in places]
            job = {
                "type": "profile-bulk-import-job",
                "attributes": {"profiles": {"data": profiles}},
                "relationships": {"lists": {"data": [{"type": "list", "id": remote.list_id}]}},
            }
            try:
                answer = self._api.call("POST", "api/profile-bulk-import-jobs", json={"data": job})
            except RefusedError as error:
                named = _named(error.content, places)
                if not named or attempt == TRIES:
                    raise
                outcomes |= named
            else:
                handle = f"{operation} {_content(answer)['data']['id']}"
                outcomes |= dict.fromkeys(places, Outcome("accepted", handle=handle))
        return BatchOutcome(tuple(outcomes[place] for place in range(len(items))))

    def _came_of(self, remote: RemoteList, handle: str, keys: Sequence[str]) -> BatchOutcome | None:
        """What came of a job. Klaviyo drops some of what it takes without a word, so the list is asked as well."""
        operation, _, job_id = handle.partition(" ")
        job = _content(self._api.call("GET", f"api/profile-bulk-import-jobs/{job_id}"))["data"]["attributes"]
        if job["status"] in ("queued", "processing"):
            return None
        if job["status"] != "complete":
            return BatchOutcome.all(Outcome("unknown", f"job_{job['status']}"), len(keys))
        failed_count = job.get("failed_count") or 0
        failed = self._failures(job_id) if failed_count else {}
        here = self._ids(self._place(remote), [key for key in keys if key not in failed])
        if any(key not in here and key not in failed for key in keys) and _is_settling(job):
            return None
        # To be on the list proves an addition. It proves no update when the job has failures that it does not name.
        is_proved = operation == "add" or len(failed) >= failed_count

        def outcome(key: str) -> Outcome:
            if key not in here:
                return failed.get(key, Outcome("unknown", "not_on_list", "the job ended; the list does not hold them"))
            return Outcome("applied", remote_id=here[key]) if is_proved else Outcome("unknown", "failures_not_named")

        return BatchOutcome(tuple(outcome(key) for key in keys))

    def _failures(self, job_id: str) -> dict[str, Outcome]:
        """What a job says of profiles that it did not take, by the key that each was sent with."""
        failures = {}
        for error in self._pages(f"api/profile-bulk-import-jobs/{job_id}/import-errors", {}):
            told = error["attributes"]
            payload = told.get("original_payload") or {}
            if value := payload.get("attributes", payload).get(FIELDS[self.identify_by]):
                failures[self._written(value)] = Outcome("rejected", told["code"], told["title"])
        return failures

    def _remove(self, remote: RemoteList, items: Sequence[Item]) -> BatchOutcome:
        # Both the profile that was added and the one that has the key now: profiles are merged, and addresses move.
        here = self._ids(self._place(remote), [item.key for item in items])
        known = [{one for one in (item.remote_id, here.get(item.key)) if one} for item in items]
        ids = sorted({one for profiles in known for one in profiles})
        for start in range(0, len(ids), REMOVED_AT_ONCE):
            self._delete(remote, ids[start : start + REMOVED_AT_ONCE])
        return BatchOutcome(tuple(APPLIED if one else ALREADY for one in known))

    def _delete(self, remote: RemoteList, ids: Sequence[str]) -> None:
        """Take profiles off the list. Those that Klaviyo has no longer are off it."""
        body = {"data": [{"type": "profile", "id": one} for one in ids]}
        try:
            self._api.call("DELETE", f"api/lists/{quote(remote.list_id)}/relationships/profiles", json=body)
        except RefusedError as error:
            if error.status != 404:
                raise
            for half in (ids[: len(ids) // 2], ids[len(ids) // 2 :]) if len(ids) > 1 else ():
                self._delete(remote, half)

    def _key(self, member: Member) -> str | Veto:
        kind = self.identify_by
        if kind == "customer_id":
            return member.customer_id
        value = member.identifiers.get(kind, "").strip()
        if not value:
            return Veto(f"no_{kind}", f"Klaviyo is to know people by {kind}")
        if _HASH.fullmatch(value):
            return Veto("already_hashed", "Klaviyo takes no hashes")
        if kind == "phone":
            return _phone(value)
        return self._written(value) if _EMAIL.fullmatch(value) else Veto("bad_email", "this is no email address")

    def _written(self, value: str) -> str:
        return value.lower() if self.identify_by == "email" else value

    def _profile(self, key: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return {"type": "profile", **body, "attributes": {FIELDS[self.identify_by]: key, **body["attributes"]}}

    def _place(self, remote: RemoteList) -> str:
        """Where people are looked for: on the list, or among all profiles where a list cannot be asked."""
        return "api/profiles" if self.identify_by == "customer_id" else f"api/lists/{quote(remote.list_id)}/profiles"

    def _ids(self, path: str, keys: Sequence[str]) -> dict[str, str]:
        """Profile ids of the keys that are found."""
        field = FIELDS[self.identify_by]
        found: dict[str, str] = {}
        for part in _parts(keys):
            wanted = {"filter": f"any({field},[{','.join(part)}])", "fields[profile]": field}
            found |= {self._written(one["attributes"][field]): one["id"] for one in self._pages(path, wanted)}
        return found

    def _pages(self, path: str, params: Mapping[str, Any], size: int = 100) -> Iterator[dict[str, Any]]:
        cursor = ""
        while True:
            asked = {**params, "page[size]": size} | ({"page[cursor]": cursor} if cursor else {})
            content = _content(self._reads.call("GET", path, params=asked))
            yield from content["data"]
            following = urlsplit((content.get("links") or {}).get("next") or "").query
            before, cursor = cursor, parse_qs(following).get("page[cursor]", [""])[0]
            if cursor in ("", before):
                return

    def _list(self, list_id: str) -> RemoteList:
        try:
            found = _content(self._reads.call("GET", f"api/lists/{quote(list_id)}"))
        except RefusedError as error:
            if error.status != 404:
                raise
            raise LifecycleError(
                f"Klaviyo has no list '{list_id}'",
                where=self._where,
                remedy="Was it deleted? Name another with `list_id:`; without one a new list is made.",
            ) from None
        return RemoteList(list_id, found["data"]["attributes"].get("name") or "")

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """What goes wrong outside of a batch is told to a person."""
        try:
            yield
        except RefusedError as error:
            problem = f"Klaviyo refuses a call (status {error.status}, {_code(error.content) or 'no code'})"
            raise LifecycleError(problem, where=self._where, remedy="Look at the key and at `list_id:`.") from None
        except (BusyError, UncertainError):
            remedy = "Publish again later: nothing is lost."
            raise LifecycleError("Klaviyo does not answer", where=self._where, remedy=remedy) from None


def _phone(value: str) -> str | Veto:
    """A number in E.164. Klaviyo drops one that is not valid and says nothing of it, so that is found out here."""
    import phonenumbers

    try:
        number = phonenumbers.parse(value, None)
    except phonenumbers.NumberParseException:
        return Veto("bad_phone", "this is no phone number with a country code")
    if not phonenumbers.is_valid_number(number):
        return Veto("bad_phone", "there is no such phone number")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _parts(keys: Sequence[str]) -> Iterator[list[str]]:
    """Keys in quotes, as many at a time as one filter holds."""
    part: list[str] = []
    length = 0
    for key in map(_quoted, keys):
        size = len(quote(f"{key},"))
        if part and (len(part) >= ASKED_AT_ONCE or length + size > LONGEST_FILTER):
            yield part
            part, length = [], 0
        part.append(key)
        length += size
    if part:
        yield part


def _content(answer: Answer) -> dict[str, Any]:
    """What an answer holds. One that holds nothing proves nothing, least of all that nobody is there."""
    if not isinstance(answer.content, dict) or "data" not in answer.content:
        raise UncertainError("no_answer")
    return answer.content


def _errors(content: Any) -> list[dict[str, Any]]:
    return list(content.get("errors") or []) if isinstance(content, dict) else []


def _code(content: Any) -> str:
    return next((str(error.get("code", "")) for error in _errors(content)), "")


def _named(content: Any, places: Sequence[int]) -> dict[int, Outcome]:
    """The members that a refusal names, by place; nobody when it is about something else, too."""
    named = {}
    for error in _errors(content):
        pointer = str((error.get("source") or {}).get("pointer", ""))
        match = _NAMED.match(pointer)
        if match is None or int(match[1]) >= len(places):
            return {}
        message = f"{error.get('title', '')} ({pointer.rsplit('/', 1)[-1]})"
        named[places[int(match[1])]] = Outcome("rejected", str(error.get("code", "invalid")), message)
    return named


def _is_settling(job: Mapping[str, Any]) -> bool:
    try:
        return datetime.now(UTC) - datetime.fromisoformat(job["completed_at"]) < SETTLING
    except (KeyError, TypeError, ValueError):
        return False
