"""Custom Audiences of Meta (Facebook, Instagram), made from customer lists through the Marketing API.

Belongs here: its calls and answers, and what its error codes mean.
Does not belong here: how identifiers are written before they are hashed (``hashing.py``).

Meta answers a batch with how many entries it received and which it could not read. It matches them to people within a
day and tells nobody the outcome, so what is proved here is that Meta took the entries, and not whom it found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, SecretStr

from lifecycle.errors import LifecycleError
from lifecycle.publishing.destinations import Health
from lifecycle.publishing.destinations.api import (
    Answer,
    Api,
    BusyError,
    RefusedError,
    UncertainError,
    batch_outcome,
    wait_of,
)
from lifecycle.publishing.destinations.hashing import META, Hashes, hashes_of
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
from lifecycle.settings import Country, Part, Settings

if TYPE_CHECKING:
    import httpx

FileSource = Literal["USER_PROVIDED_ONLY", "PARTNER_PROVIDED_ONLY", "BOTH_USER_AND_PARTNER_PROVIDED"]

BUSY = frozenset({4, 17, 32, 341, 613, *range(80_000, 80_015)})
"""Codes of limits: of the app, the user, the ad account and its uses. They come with status 400 or 403."""
UPDATING = 1_870_145
"""Subcode of an audience that is being changed."""
BLOCKED = 60.0
"""Seconds that an ad account is blocked for when the answer does not say (9,000 points in 300 seconds are used up)."""
TERMS = "Accept the Custom Audience terms as the ad account's owner: https://www.facebook.com/customaudiences/app/tos/"
NEW_ACCESS = "Make an access token of a system user with the permission ads_management, and set `access_token`."
PAGE = 20
"""Audiences in a page; Meta advises no more."""


class GraphApi(Api):
    """The Graph API says with a code what others say with a status: a 400 may be busy, and a 403 too."""

    def _judged(self, response: httpx.Response) -> Answer:
        try:
            error = _error_of(response.json())
        except ValueError:
            error = {}
        code, subcode = error.get("code"), error.get("error_subcode")
        if response.status_code < 300 or not isinstance(code, int):
            return super()._judged(response)
        if code in BUSY or subcode == UPDATING:
            raise BusyError(_wait_of(response.headers))
        if code in (1, 2) or error.get("is_transient") is True:
            raise UncertainError(f"code_{code}")
        if response.status_code >= 429:
            return super()._judged(response)
        problem, remedy = "", ""
        if code in (102, 190):
            problem, remedy = "Meta refuses the access token", NEW_ACCESS
        elif code in (2655, 2663) or subcode == 1_870_090:
            problem, remedy = "the Custom Audience terms are not accepted", TERMS
        elif subcode == 1_713_230:
            problem = "Meta has restricted this audience"
            remedy = "Appeal in Audience Manager, or name another with `audience_id`."
        elif code in (3, 10, 294) or 200 <= code < 300:
            problem, remedy = "the access token may not do this", f"{NEW_ACCESS} Give that user the ad account."
        elif code == 368:
            problem, remedy = "Meta has blocked this account for a while", "Look into Account Quality, publish later."
        refused = RefusedError(response.status_code, {"error": error})
        if problem:
            raise LifecycleError(f"{problem} ({_code_of(refused)})", where=self._where, remedy=remedy)
        raise refused


@dataclass(frozen=True)
class Meta:
    name: str
    access_token: SecretStr
    ad_account_id: str
    audience_id: str | None = None
    customer_file_source: FileSource = "USER_PROVIDED_ONLY"
    default_country: str | None = None
    hashed: bool = False
    version: str = "v25.0"
    url: str = "https://graph.facebook.com"
    pause: float = 0.5

    vendor: ClassVar[str] = "Meta Custom Audiences"
    encoder: ClassVar[str] = META.version
    limits: ClassVar[Sequence[Limit]] = (
        Limit(3_000, 300, "https://developers.facebook.com/docs/marketing-apis/rate-limiting", "2026-11-24"),
    )

    class Options(Part):
        access_token: SecretStr
        """Access token of a system user with the permission ``ads_management``."""
        ad_account_id: Annotated[str, Field(pattern=r"^(act_)?\d+$")]
        """Ad account that the audience belongs to, with or without ``act_``."""
        audience_id: Annotated[str, Field(pattern=r"^\d+$")] | None = None
        """Number of an audience that exists; without one, it is made and found again by its description."""
        customer_file_source: FileSource = "USER_PROVIDED_ONLY"
        """How the identifiers were collected; said to Meta when an audience is made."""
        default_country: Country | None = None
        """Whose dialling rules hold for a phone without a country code; else that of ``identity``."""
        hashed: bool = False
        """Identifiers may be SHA-256 hashes already, written as Meta wants them before they were hashed."""
        version: Annotated[str, Field(pattern=r"^v\d+\.\d+$")] = "v25.0"
        """Version of the Marketing API."""
        url: str = "https://graph.facebook.com"
        """Where the Graph API is."""
        pause: float = Field(0.5, gt=0)
        """First wait before a call is made again, in seconds."""

    @classmethod
    def from_options(cls, name: str, options: Options, settings: Settings) -> Meta:
        return cls(
            name,
            access_token=options.access_token,
            ad_account_id=options.ad_account_id.removeprefix("act_"),
            audience_id=options.audience_id,
            customer_file_source=options.customer_file_source,
            default_country=options.default_country or settings.identity.default_country,
            hashed=options.hashed,
            version=options.version,
            url=options.url,
            pause=options.pause,
        )

    @property
    def account(self) -> str:
        return f"meta act_{self.ad_account_id}"

    @property
    def capabilities(self) -> MemberCapabilities:
        return MemberCapabilities(frozenset({"email", "phone"}), max_batch=10_000, updates=False, is_hashed=True)

    @property
    def _where(self) -> str:
        return f"destination '{self.name}'"

    @cached_property
    def _api(self) -> GraphApi:
        return GraphApi(
            f"{self.url.rstrip('/')}/{self.version}",
            account=self.account,
            where=self._where,
            # In the header: addresses are written to logs on the way.
            headers={"Authorization": f"Bearer {self.access_token.get_secret_value()}"},
            limits=self.limits,
            pause=self.pause,
        )

    def _ask(self, method: str, path: str, *, is_idempotent: bool = True, **sent: Any) -> dict[str, Any]:
        """A call that concerns no members: what it cannot do, a person has to mend."""
        problem = remedy = ""
        try:
            content = self._api.call(method, path, is_idempotent=is_idempotent, **sent).content
            if isinstance(content, dict):
                return content
            problem, remedy = "Meta's answer cannot be read", "Publish again later."
        except RefusedError as error:
            if _is_gone(error):
                raise self._gone(path) from None
            problem, remedy = f"Meta refuses the call ({_code_of(error)})", "Look at the settings of the audience."
        except BusyError:
            problem, remedy = "Meta has no time for this ad account", "Publish again later."
        except UncertainError as error:
            problem = f"Meta gives no answer ({error.code})"
            remedy = "Publish again later: an audience that was made meanwhile is found."
        raise LifecycleError(problem, where=self._where, remedy=remedy)

    def check(self) -> Health:
        try:
            account = self._ask("GET", f"act_{self.ad_account_id}", params={"fields": "id,tos_accepted"})
            granted = self._ask("GET", "me/permissions").get("data") or []
            if self.audience_id:
                self._audience(self.audience_id)
        except LifecycleError as error:
            return Health(False, error.problem, error.remedy)
        held = {one.get("permission") for one in granted if one.get("status") == "granted"}
        if held and "ads_management" not in held:
            return Health(False, "the access token lacks the permission ads_management", NEW_ACCESS)
        if account.get("tos_accepted") is not None and not account["tos_accepted"].get("custom_audience_tos"):
            return Health(False, "the Custom Audience terms are not accepted", f"{TERMS}?act={self.ad_account_id}")
        return Health(True)

    def ensure_list(self, spec: ListSpec) -> RemoteList:
        named = spec.list_id or self.audience_id
        if named:
            return self._audience(named)
        mark = f"[lifecycle:{spec.sync_name}]"
        found = [one for one in self._audiences() if mark in str(one.get("description"))]
        if found:
            oldest = min(found, key=lambda one: int(one["id"]))
            return RemoteList(str(oldest["id"]), str(oldest.get("name", "")))
        made = self._ask(
            "POST",
            f"act_{self.ad_account_id}/customaudiences",
            is_idempotent=False,
            json={
                "name": spec.title,
                "subtype": "CUSTOM",
                "description": f"Kept equal to a segment; leave this in place: {mark}",
                "customer_file_source": self.customer_file_source,
            },
        )
        if not made.get("id"):
            raise LifecycleError(
                "Meta does not say which audience it made", where=self._where, remedy="Publish again: it is found."
            )
        return RemoteList(str(made["id"]), spec.title)

    def _audience(self, audience_id: str) -> RemoteList:
        found = self._ask("GET", audience_id, params={"fields": "id,name,subtype,operation_status"})
        problem = ""
        if found.get("subtype") != "CUSTOM":
            problem = "is not one of a customer list"
        elif (found.get("operation_status") or {}).get("code") == 471:
            problem = "is restricted by Meta"
        if problem:
            raise LifecycleError(
                f"the audience {audience_id} {problem}",
                where=self._where,
                remedy="Mend it in Audience Manager, or name another with `audience_id`.",
            )
        return RemoteList(audience_id, str(found.get("name", "")))

    def _audiences(self) -> list[dict[str, Any]]:
        asked: dict[str, Any] = {"fields": "id,name,description", "limit": PAGE}
        found: list[dict[str, Any]] = []
        while True:
            page = self._ask("GET", f"act_{self.ad_account_id}/customaudiences", params=asked)
            found += page.get("data") or []
            paging = page.get("paging") or {}
            if not paging.get("next"):
                return found
            # The address of the next page holds the access token: only its cursor is used.
            asked["after"] = paging["cursors"]["after"]

    def _gone(self, what: str) -> LifecycleError:
        return LifecycleError(
            f"Meta does not know {what}, or does not show it to this access token",
            where=self._where,
            remedy="Look at `audience_id` and `ad_account_id`, and give the token's system user the ad account. An "
            "audience that is gone is made again only when a sync starts without `audience_id`.",
        )

    def encode(self, member: Member) -> Encoded | Veto:
        hashes = hashes_of(META, member, default_country=self.default_country, are_declared=self.hashed)
        return hashes if isinstance(hashes, Veto) else Encoded(hashes.key)

    def send(self, remote: RemoteList, operation: Operation, items: Sequence[Item], key: str) -> BatchOutcome:
        rows = [Hashes.of_key(item.key) for item in items]
        payload = {
            # Always both columns: an audience that began with several keys takes no single ones (error 2650).
            "schema": ["EMAIL", "PHONE"],
            "is_raw": True,
            "data": [[row.email, row.phone] for row in rows],
        }

        def call() -> BatchOutcome:
            method = "DELETE" if operation == "remove" else "POST"
            try:
                answer = self._api.call(method, f"{remote.list_id}/users", json={"payload": payload})
            except RefusedError as error:
                if _is_gone(error):
                    raise self._gone(remote.list_id) from None
                return BatchOutcome.refused(len(items), _code_of(error))
            return _outcome_of(answer.content, rows)

        return batch_outcome(len(items), call)

    def read_back(self, remote: RemoteList) -> None:
        """Meta tells between which two numbers an audience's size lies: that is no proof of who is in it."""


def _outcome_of(content: Any, rows: Sequence[Hashes]) -> BatchOutcome:
    """What an answer proves: everybody was received, and who could not be read is named by a sample."""
    count = len(rows)
    received = content.get("num_received") if isinstance(content, dict) else None
    invalid = content.get("num_invalid_entries") if isinstance(content, dict) else None
    if not isinstance(received, int) or not isinstance(invalid, int) or received < count:
        return BatchOutcome.all(Outcome("unknown", "not_all_received"), count)
    # A list of texts, or texts by texts; which of them is the entry is not documented. At most 100.
    hashes = set(re.findall(r"[0-9a-f]{64}", json.dumps(content.get("invalid_entry_samples") or []).lower()))
    named = {place for place, row in enumerate(rows) if hashes & {row.email, row.phone}}
    if count == 1 and invalid:
        named = {0}
    if len(named) < invalid:
        # Some were taken, but not who: halves find out. To add or remove somebody again changes nothing.
        return BatchOutcome.refused(count, "invalid_entry")
    return BatchOutcome(
        tuple(Outcome("rejected", "invalid_entry") if place in named else APPLIED for place in range(count))
    )


def _error_of(content: Any) -> dict[str, Any]:
    error = content.get("error") if isinstance(content, dict) else None
    return error if isinstance(error, dict) else {}


def _is_gone(error: RefusedError) -> bool:
    found = _error_of(error.content)
    return error.status == 404 or found.get("code") == 803 or found.get("error_subcode") == 33


def _code_of(error: RefusedError) -> str:
    """Code and subcode: numbers alone, for texts of errors may hold anything."""
    found = _error_of(error.content)
    numbers = [str(found[name]) for name in ("code", "error_subcode") if isinstance(found.get(name), int)]
    return "_".join(["code", *numbers]) if numbers else f"status_{error.status}"


def _wait_of(headers: Mapping[str, str]) -> float:
    """Seconds until a busy ad account may be asked again: as ``Retry-After`` says, or Meta's own header in minutes."""
    asked = wait_of(headers)
    if asked is not None:
        return asked
    try:
        uses = [use for listed in json.loads(headers["x-business-use-case-usage"]).values() for use in listed]
        minutes = max(float(use.get("estimated_time_to_regain_access") or 0) for use in uses)
    except (KeyError, ValueError, TypeError, AttributeError):
        minutes = 0.0
    return minutes * 60 or BLOCKED
