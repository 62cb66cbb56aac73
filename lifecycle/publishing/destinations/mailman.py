"""Lists of GNU Mailman 3, kept through its REST API.

Belongs here: Mailman's calls, and what its answers prove of a member.
Does not belong here: retries and waiting (``api.py``), who is on the list (the engine), the mails that go to it.

Nobody is written to: members join without welcome, invitation or confirmation, and leave through the roster's own call,
which sends no goodbye. The call for a single member (``DELETE …/member/<address>``) does, and takes ``*`` in an address
for a wildcard; it is not used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

from pydantic import SecretStr

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

BATCH = 50
"""Members of one ``send``: they join one call after the other (Mailman adds nobody in bulk) and leave in one call."""
PAGE = 1_000
"""Members of one page that is read back."""

ANSWERS: tuple[tuple[int, str, Outcome], ...] = (
    (409, "already subscribed", ALREADY),
    # Somebody asked to join and has not answered Mailman's mail. The request lapses, after three days by default.
    (409, "already pending", Outcome("retry", "request_pending")),
    (400, "banned", Outcome("rejected", "banned")),
    (400, "posting address", Outcome("rejected", "address_of_the_list")),
    (400, "subscriber", Outcome("rejected", "bad_address")),
)
"""Status and words of an answer to who should join, and what they mean. Mailman has no codes."""

OWN_LIST = {
    "advertised": False,
    "archive_policy": "never",
    "default_member_action": "hold",
    "default_nonmember_action": "hold",
    "subscription_policy": "confirm_then_moderate",
    "member_roster_visibility": "moderators",
}
"""How a list that is made here is set up: hidden, without an archive, closed to strangers, and what a member answers
does not go to all the others. Mailman's own defaults are those of a discussion in public."""


@dataclass(frozen=True)
class Mailman:
    name: str
    password: SecretStr
    list_id: str | None = None
    user: str = "restadmin"
    url: str = field(default="http://127.0.0.1:8001", repr=False)
    create_list: bool = False
    pause: float = 0.5

    vendor: ClassVar[str] = "GNU Mailman 3"
    encoder: ClassVar[str] = "mailman.v1"
    limits: ClassVar[Sequence[Limit]] = ()
    """Mailman sets none: it is as fast as its database."""

    class Options(Part):
        password: SecretStr
        """``admin_pass`` of ``[webservice]`` in mailman.cfg."""
        list_id: str | None = None
        """The list's address, ``lapsed@example.com``, of syncs that do not name one themselves (``list:``). One list is
        for one sync."""
        user: str = "restadmin"
        """``admin_user`` of ``[webservice]``."""
        url: str = "http://127.0.0.1:8001"
        """Where the REST server answers, without ``/3.1``. Plain http is taken for this machine alone."""
        create_list: bool = False
        """Whether a list that is not there is made. Its domain has to be there."""
        pause: float = 0.5
        """Seconds before a failed call is made again the first time."""

    @classmethod
    def from_options(cls, name: str, options: Options, settings: Settings) -> Mailman:
        return cls(
            name, options.password, options.list_id, options.user, options.url, options.create_list, options.pause
        )

    @property
    def account(self) -> str:
        return f"mailman {urlsplit(self.url).netloc.rpartition('@')[2]}"

    @property
    def capabilities(self) -> MemberCapabilities:
        return MemberCapabilities(
            frozenset({"email"}), max_batch=BATCH, updates=False, read_back="full", creates_list=self.create_list
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
            auth=(self.user, self.password.get_secret_value()),
            limits=self.limits,
            pause=self.pause,
        )

    def check(self) -> Health:
        try:
            if self.list_id is None:
                self._asked("domains")
            elif self._asked(f"lists/{quote(self.list_id)}") is None:
                self._check_domain(self.list_id)
        except LifecycleError as error:
            return Health(False, error.problem, error.remedy)
        return Health(True)

    def ensure_list(self, spec: ListSpec) -> RemoteList:
        address = spec.list_id or self.list_id
        if address is None:
            raise LifecycleError(
                f"the sync '{spec.sync_name}' names no list",
                where=self._where,
                remedy="Write the list's address as `list:` in the sync, or as `list_id:` in the destination.",
            )
        path = f"lists/{quote(address)}"
        found = self._asked(path)
        if found is None:
            self._check_domain(address)
            self._told("POST", "lists", {"fqdn_listname": address, "style_name": "legacy-announce"})
            found = self._asked(path) or {}
        try:
            list_id, count = found["list_id"], found["member_count"]
            is_new = self.create_list and not count and not found["description"]
        except KeyError:
            raise self._strange() from None
        if is_new:
            # In one call with the description, so that a list which was made by a run that then died is set up, too.
            title = " ".join(f"Kept by Lifecycle: {spec.title or spec.sync_name}".split())
            self._told("PATCH", f"lists/{quote(list_id)}/config", {**OWN_LIST, "description": title})
        return RemoteList(list_id, spec.title, count)

    def encode(self, member: Member) -> Encoded | Veto:
        import idna

        email = member.identifiers.get("email", "").strip().lower()
        local, _, domain = email.rpartition("@")
        if re.fullmatch(r"[0-9a-f]{64}", email):
            return Veto("already_hashed", "the email is a hash, and Mailman wants the address itself")
        if not local or not domain:
            return Veto("no_email", "Mailman knows people by their email")
        if not domain.isascii():
            # Mailman takes letters of DNS alone; what is before the @ has no such form, and is for Mailman to judge.
            try:
                domain = idna.encode(domain, uts46=True).decode()
            except idna.IDNAError:
                return Veto("bad_email", "the email's domain cannot be one")
        return Encoded(f"{local}@{domain}")

    def send(self, remote: RemoteList, operation: Operation, items: Sequence[Item], key: str) -> BatchOutcome:
        if operation == "remove":
            return batch_outcome(len(items), partial(self._removed, remote, items), code=_code)
        outcomes: list[Outcome] = []
        for item in items:
            found = batch_outcome(1, partial(self._added, remote, item), code=_code)
            outcomes += found.outcomes
            if found.outcomes[0].code in ("busy", "timeout"):
                # Each of the others would wait as long again.
                outcomes += [Outcome("retry", "busy")] * (len(items) - len(outcomes))
                break
        return BatchOutcome(tuple(outcomes))

    def read_back(self, remote: RemoteList) -> Iterator[str]:
        page, total = 1, 1
        while (page - 1) * PAGE < total:
            path = f"lists/{quote(remote.list_id)}/roster/member"
            found = self._asked(path, {"count": PAGE, "page": page, "fields": "email"})
            if found is None:
                raise self._gone(remote.list_id)
            try:
                total = found["total_size"]
                yield from (entry["email"] for entry in found.get("entries", ()))
            except (KeyError, TypeError):
                raise self._strange() from None
            page += 1

    def _added(self, remote: RemoteList, item: Item) -> BatchOutcome:
        asked = {
            "list_id": remote.list_id,
            "subscriber": item.key,
            "pre_verified": True,
            "pre_confirmed": True,
            "pre_approved": True,
            "invitation": False,
            "send_welcome_message": False,
        }
        try:
            answer = self._api.call("POST", "3.1/members", json=asked)
        except RefusedError as error:
            said = _said(error)
            if "no such list" in said:
                raise self._gone(remote.list_id) from None
            for status, words, outcome in ANSWERS:
                if error.status == status and words in said:
                    return BatchOutcome((outcome,))
            raise
        # 202 would be an answer to those that are not confirmed beforehand: nobody has joined by it.
        return BatchOutcome((APPLIED if answer.status == 201 else Outcome("unknown", "no_answer"),))

    def _removed(self, remote: RemoteList, items: Sequence[Item]) -> BatchOutcome:
        path = f"3.1/lists/{quote(remote.list_id)}/roster/member"
        try:
            content = self._api.call("DELETE", path, json={"emails": [item.key for item in items]}).content
        except RefusedError as error:
            if error.status == 404:
                raise self._gone(remote.list_id) from None
            raise
        said: dict[str, Any] = content if isinstance(content, dict) else {}
        proofs: dict[Any, Outcome] = {True: APPLIED, False: ALREADY}
        return BatchOutcome(tuple(proofs.get(said.get(item.key), Outcome("unknown", "no_answer")) for item in items))

    def _check_domain(self, address: str) -> None:
        """Whether a list that is not there can be made."""
        if not self.create_list:
            raise LifecycleError(
                "Mailman has no such list",
                where=self._where,
                remedy="Mend `list_id:`, make the list in Mailman, or let it be made with `create_list: true`.",
            )
        local, _, domain = address.rpartition("@")
        if not local or self._asked(f"domains/{quote(domain)}") is None:
            raise LifecycleError(
                "Mailman has no such domain to make the list in",
                where=self._where,
                remedy="Write `list_id:` as name@domain, and add the domain in Mailman.",
            )

    def _asked(self, path: str, params: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """What is at a path; None where nothing is."""
        try:
            content = self._api.call("GET", f"3.1/{path}", params=params).content
        except RefusedError as error:
            if error.status == 404:
                return None
            raise self._strange() from None
        except (BusyError, UncertainError):
            raise self._silent() from None
        if not isinstance(content, dict):
            raise self._strange()
        return content

    def _told(self, method: str, path: str, content: dict[str, Any]) -> None:
        try:
            self._api.call(method, f"3.1/{path}", json=content)
        except RefusedError as error:
            if "mailing list exists" in _said(error):
                return
            # These words are of the list alone, and of nobody on it.
            raise LifecycleError(
                f"Mailman does not make the list (status {error.status}: {_said(error)})",
                where=self._where,
                remedy="Make it in Mailman, or mend `list_id:`.",
            ) from None
        except (BusyError, UncertainError):
            raise self._silent() from None

    def _gone(self, list_id: str) -> LifecycleError:
        return LifecycleError(
            f"the list {list_id} is gone from Mailman",
            where=self._where,
            remedy="Who was on it is known to the ledger alone. Make the list again, or take the sync out.",
        )

    def _silent(self) -> LifecycleError:
        return LifecycleError(
            "Mailman does not answer",
            where=self._where,
            remedy="See that it runs (`mailman status`) and that `url:` is its REST server's.",
        )

    def _strange(self) -> LifecycleError:
        return LifecycleError(
            "this is not an answer of Mailman's",
            where=self._where,
            remedy="See that `url:` is the REST server's, without /3.1, of Mailman 3.3 or newer.",
        )


def _said(error: RefusedError) -> str:
    """The words of a refusal, in lower case."""
    content = error.content if isinstance(error.content, dict) else {}
    return str(content.get("description", "")).lower()


def _code(content: Any) -> str:
    """A word for a refusal that is not known. Its text is not told: Mailman repeats what it was sent."""
    return "refused" if content else ""
