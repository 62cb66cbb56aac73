"""Braze: membership as a custom attribute of profiles, or as a subscription group.

Belongs here: the calls ``users/track``, ``v2/subscription/status/set`` and ``users/delete``, and what their answers
prove.
Does not belong here: HTTP, limits and retries (``api.py``).

Braze has no lists that its API could read or make. A member is a profile with the flag ``lifecycle_<sync>``, with the
sync's name in an array attribute, or in a subscription group. Braze queues what it takes: its good answer says that a
profile is well formed and will be written, and there is no call that says more. Errors stand in good answers too.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
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

TRACK, SUBSCRIPTION, DELETE = "users/track", "v2/subscription/status/set", "users/delete"
ERASED_PER_CALL = 50
_NAMES = """
    alias_label alias_name app_id bio braze_id country current_location date_of_first_session date_of_last_session
    dob email email_click_tracking_disabled email_open_tracking_disabled email_subscribe external_id facebook
    first_name gender home_city image_url language last_name marked_email_as_spam_at phone push_subscribe
    push_token_import push_tokens subscription_groups time_zone twitter user_alias
"""
RESERVED = frozenset(_NAMES.split())
"""Names that Braze keeps for fields of its own. Some of them unsubscribe people everywhere."""

_HASH = re.compile(r"[0-9a-fA-F]{64}")
_FIELD = re.compile(r"'([a-z_]+)'")


@dataclass(frozen=True)
class Braze:
    name: str
    url: str
    api_key: SecretStr
    membership: Literal["flag", "array", "subscription_group"] = "flag"
    identifier: Literal["customer_id", "contact_id", "email"] = "customer_id"
    array_attribute: str = "lifecycle_lists"
    subscription_group_id: str | None = None
    pause: float = 0.5

    vendor: ClassVar[str] = "Braze"
    encoder: ClassVar[str] = "braze.v1"

    class Options(Part):
        url: str
        """REST endpoint of your instance, such as https://rest.fra-01.braze.eu."""
        api_key: SecretStr
        """REST API key with the permission users.track (subscription.status.set for groups; users.delete to erase)."""
        membership: Literal["flag", "array", "subscription_group"] = "flag"
        """How membership is kept: a boolean attribute per sync, one array attribute for all, a subscription group."""
        identifier: Literal["customer_id", "contact_id", "email"] = "customer_id"
        """What profiles are known by: one of our ids as external_id, or the email."""
        array_attribute: str = "lifecycle_lists"
        """The attribute that holds the names of syncs, for ``membership: array``."""
        subscription_group_id: str | None = None
        """The group, for ``membership: subscription_group``."""
        pause: float = 0.5
        """First wait between two attempts of a call, in seconds."""

    @classmethod
    def from_options(cls, name: str, options: Options, settings: Settings) -> Braze:
        return cls(name, **dict(options))

    @property
    def account(self) -> str:
        return f"braze {self.url} {self._path}"

    @property
    def limits(self) -> Sequence[Limit]:
        calls, seconds = (5_000, 60) if self._is_group else (3_000, 3)
        return (Limit(calls, seconds, "https://www.braze.com/docs/api/api_limits/", "2026-11-24"),)

    @property
    def capabilities(self) -> MemberCapabilities:
        return MemberCapabilities(
            frozenset({self.identifier}),
            max_batch=50 if self._is_group else 75,
            max_bytes=4_000_000,
            updates=not self._is_group,
            creates_list=not self._is_group,
            # By email Braze deletes one of the profiles that have it, which is not to forget a person.
            erases=self.identifier != "email",
        )

    @property
    def _is_group(self) -> bool:
        return self.membership == "subscription_group"

    @property
    def _path(self) -> str:
        return SUBSCRIPTION if self._is_group else TRACK

    @property
    def _where(self) -> str:
        return f"destination '{self.name}'"

    @cached_property
    def _api(self) -> Api:
        return Api(
            self.url,
            account=self.account,
            where=self._where,
            headers={"Authorization": f"Bearer {self.api_key.get_secret_value()}"},
            limits=self.limits,
            pause=self.pause,
        )

    def check(self) -> Health:
        permission = "subscription.status.set" if self._is_group else "users.track"
        remedy = f"Take the REST endpoint of your instance, and a REST API key with the permission {permission}."
        try:
            # Braze has no call that only looks at a key. It refuses a call without people (400) when the key is good.
            self._api.call("POST", self._path, json={"subscription_groups" if self._is_group else "attributes": []})
        except LifecycleError as error:
            return Health(False, error.problem, remedy)
        except RefusedError as error:
            return Health(True) if error.status == 400 else Health(False, f"Braze answers {error.status}", remedy)
        except (BusyError, UncertainError):
            return Health(False, "Braze does not answer", "Try again later; https://status.braze.com tells of faults.")
        return Health(True)

    def ensure_list(self, spec: ListSpec) -> RemoteList:
        if not self._is_group:
            # An attribute comes into being with the first profile that has it.
            default = spec.sync_name if self.membership == "array" else f"lifecycle_{spec.sync_name}"
            name = spec.list_id or default
            attribute = self.array_attribute if self.membership == "array" else name
            if _is_reserved(attribute):
                raise LifecycleError(
                    f"`{attribute}` is a field of Braze's own",
                    where=self._where,
                    remedy="Name another attribute, one that holds nothing but membership.",
                )
            return RemoteList(name, spec.title)
        group = spec.list_id or self.subscription_group_id
        if not group:
            raise LifecycleError(
                "no subscription group is named",
                where=self._where,
                remedy="Braze makes groups by hand alone. Make one that nobody subscribes to by themselves, and name it"
                " with `subscription_group_id:`, or with `list:` of the sync.",
            )
        return RemoteList(group, spec.title)

    def encode(self, member: Member) -> Encoded | Veto:
        known = {"customer_id": member.customer_id, **member.identifiers}
        email, phone = known.get("email", "").strip().lower(), known.get("phone", "").strip()
        key = email if self.identifier == "email" else known.get(self.identifier, "").strip()
        if self.identifier == "email" and _HASH.fullmatch(key):
            return Veto("already_hashed", "Braze sends to the address, and this is the hash of one")
        if not key or (self.identifier == "email" and "@" not in key):
            return Veto(f"no_{self.identifier}", f"Braze is told of people by their {self.identifier}")
        if self._is_group:
            return Encoded(key, {}, len(key.encode()) + 3)
        body: dict[str, Any] = {
            f"lifecycle_{name}" if _is_reserved(name) else name: plain(value)
            for name, value in member.attributes.items()
        }
        if "@" in email:
            body["email"] = email
        if phone.startswith("+"):
            body["phone"] = phone
        return Encoded(key, body, len(json.dumps(body, ensure_ascii=False).encode()) + len(key.encode()) + 200)

    def send(self, remote: RemoteList, operation: Operation, items: Sequence[Item], key: str) -> BatchOutcome:
        def call() -> BatchOutcome:
            try:
                answer = self._api.call("POST", self._path, json=self._content(remote, operation, items))
            except RefusedError as error:
                if error.status == 404:
                    raise self._unknown_account() from None
                # When nobody of a call is well formed, the whole call is refused, and yet everybody is named.
                found, _ = _refused(error.content, items)
                if error.status != 400 or len(found) < len(items):
                    raise
                return BatchOutcome(tuple(found[place] for place in range(len(items))))
            return BatchOutcome(tuple(_outcomes(answer, items)))

        # No word of a refusal is told: Braze repeats in it what it was sent.
        return batch_outcome(len(items), call, code=lambda _: "")

    def _content(self, remote: RemoteList, operation: Operation, items: Sequence[Item]) -> dict[str, Any]:
        is_member = operation != "remove"
        if self._is_group:
            group = {
                "subscription_group_id": remote.list_id,
                "subscription_state": "subscribed" if is_member else "unsubscribed",
                "emails" if self.identifier == "email" else "external_ids": [item.key for item in items],
            }
            return {"subscription_groups": [group]}
        membership: dict[str, Any] = {remote.list_id: is_member}
        if self.membership == "array":
            membership = {self.array_attribute: {"add" if is_member else "remove": [remote.list_id]}}
        # Nobody comes into being by being taken off a list.
        how = {} if is_member else {"_update_existing_only": True}
        field = "email" if self.identifier == "email" else "external_id"
        return {"attributes": [{**item.body, **membership, **how, field: item.key} for item in items]}

    def _unknown_account(self) -> LifecycleError:
        return LifecycleError(
            "Braze does not know the key at this address (status 404)",
            where=self._where,
            remedy="Take key and REST endpoint from the same workspace (Settings > APIs and Identifiers).",
        )

    def read_back(self, remote: RemoteList) -> None:
        """None: Braze tells neither who has an attribute nor who is in a group."""

    def erase(self, items: Sequence[Item]) -> BatchOutcome:
        if self.identifier == "email":
            raise LifecycleError(
                "Braze forgets profiles by their id, and this destination knows people by email",
                where=f"destination '{self.name}'",
                remedy="Say `identifier: customer_id`, or delete them at Braze.",
            )
        outcomes: list[Outcome] = []
        for start in range(0, len(items), ERASED_PER_CALL):
            part = items[start : start + ERASED_PER_CALL]
            outcomes += batch_outcome(len(part), partial(self._erased, part), code=lambda _: "").outcomes
        return BatchOutcome(tuple(outcomes))

    def _erased(self, items: Sequence[Item]) -> BatchOutcome:
        try:
            answer = self._api.call("POST", DELETE, json={"external_ids": [item.key for item in items]})
        except RefusedError as error:
            if error.status == 404:
                raise self._unknown_account() from None
            raise
        # Who is not counted among the deleted is nobody that Braze knows.
        is_said = answer.status < 202 and isinstance(answer.content, Mapping) and "deleted" in answer.content
        return BatchOutcome.all(APPLIED if is_said else Outcome("unknown", "no_answer"), len(items))


def plain(value: Any) -> Any:
    """A value of an attribute in JSON: days ``2026-11-24``, moments ``2026-11-24T08:00:00Z``, decimals as numbers.

    A missing value is null, which takes the attribute off the profile.
    """
    if isinstance(value, datetime):
        moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        value = float(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _is_reserved(attribute: str) -> bool:
    return attribute in RESERVED or attribute.startswith(("_", "$"))


def _outcomes(answer: Answer, items: Sequence[Item]) -> list[Outcome]:
    """What a good answer proves: errors name members by their place, and the rest have to be counted as processed."""
    content = answer.content
    if not isinstance(content, Mapping) or content.get("message") not in ("success", "queued"):
        return [Outcome("unknown", "no_answer")] * len(items)
    if answer.status == 202 or content["message"] == "queued":
        # During maintenance Braze takes calls that it has not looked at.
        return [Outcome("unknown", "queued")] * len(items)
    refused, unplaced = _refused(content, items)
    rest = APPLIED
    processed = content.get("attributes_processed")
    if unplaced:
        rest = Outcome("unknown", "unplaced_error", "Braze tells of an error and not whose it is")
    elif isinstance(processed, int) and processed < len(items) - len(refused):
        rest = Outcome("unknown", "not_counted", "Braze processed fewer than it was sent")
    return [refused.get(place, rest) for place in range(len(items))]


def _refused(content: Any, items: Sequence[Item]) -> tuple[dict[int, Outcome], int]:
    """Members that an answer names as refused, by their place in the call, and how many errors name nobody."""
    found: dict[int, Outcome] = {}
    unplaced = 0
    errors = content.get("errors") if isinstance(content, Mapping) else None
    for error in errors if isinstance(errors, list) else [errors] * bool(errors):
        place = error.get("index") if isinstance(error, Mapping) else None
        if not isinstance(place, int) or not 0 <= place < len(items):
            unplaced += 1
            continue
        # The text may hold what was sent; the name of a field that was sent does not.
        named = [field for field in _FIELD.findall(str(error.get("type"))) if field in items[place].body]
        found[place] = Outcome("rejected", f"invalid_{named[0]}" if named else "invalid_profile")
    return found, unplaced
