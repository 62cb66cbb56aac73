"""A tool with a plain REST list, and the destination that speaks to it: what the engine is tested with.

``PUT /lists/<list>/members`` with ``[{"email": …, "stage": …}]`` and ``DELETE`` with ``[email, …]`` answer with a word
per member; an address at ``refused.example`` is refused. Members that the tool's people add by hand are just there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from pydantic import SecretStr

from lifecycle.errors import LifecycleError
from lifecycle.publishing.destinations import Health
from lifecycle.publishing.destinations.api import Api, batch_outcome
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
from lifecycle.publishing.testing import Request, Response, ToolServer
from lifecycle.settings import Part, Settings


@dataclass(frozen=True)
class PlainList:
    name: str
    url: str
    token: SecretStr
    max_batch: int = 100
    pause: float = 0.5
    updates: bool = True

    vendor: ClassVar[str] = "Plain list"
    encoder: ClassVar[str] = "plain_list.v1"
    limits: ClassVar[Sequence[Limit]] = (Limit(2_000, 1, "https://plain.example/docs/limits", "2026-11-24"),)

    class Options(Part):
        url: str
        token: SecretStr
        max_batch: int = 100
        pause: float = 0.5
        updates: bool = True

    @classmethod
    def from_options(cls, name: str, options: Options, settings: Settings) -> PlainList:
        return cls(name, options.url, options.token, options.max_batch, options.pause, options.updates)

    @property
    def account(self) -> str:
        return f"plain_list {self.url}"

    @property
    def capabilities(self) -> MemberCapabilities:
        return MemberCapabilities(
            frozenset({"email"}), max_batch=self.max_batch, max_bytes=100_000, updates=self.updates, read_back="full"
        )

    @cached_property
    def _api(self) -> Api:
        return Api(
            self.url,
            account=self.account,
            where=f"destination '{self.name}'",
            headers={"Authorization": f"Bearer {self.token.get_secret_value()}"},
            limits=self.limits,
            pause=self.pause,
        )

    def check(self) -> Health:
        try:
            self._api.call("GET", "lists")
        except LifecycleError as error:
            return Health(False, error.problem, error.remedy)
        return Health(True)

    def ensure_list(self, spec: ListSpec) -> RemoteList:
        self._api.call("PUT", f"lists/{spec.sync_name}", json={"title": spec.title})
        return RemoteList(spec.sync_name, spec.title)

    def encode(self, member: Member) -> Encoded | Veto:
        email = member.identifiers.get("email", "").strip().lower()
        if "@" not in email:
            return Veto("no_email", "the list knows people by their email")
        return Encoded(email, dict(member.attributes), len(email) + 100)

    def send(self, remote: RemoteList, operation: Operation, items: Sequence[Item], key: str) -> BatchOutcome:
        path = f"lists/{remote.list_id}/members"
        words = {"changed": APPLIED, "same": ALREADY, "refused": Outcome("rejected", "refused_address")}

        def call() -> BatchOutcome:
            if operation == "remove":
                answer = self._api.call("DELETE", path, json=[item.key for item in items])
            else:
                answer = self._api.call("PUT", path, json=[{**item.body, "email": item.key} for item in items])
            if not isinstance(answer.content, list):
                return BatchOutcome.all(Outcome("unknown", "no_answer"), len(items))
            return BatchOutcome(tuple(words[word] for word in answer.content))

        return batch_outcome(len(items), call, code=lambda content: (content or {}).get("code", ""))

    def read_back(self, remote: RemoteList) -> Iterator[str]:
        yield from self._api.call("GET", f"lists/{remote.list_id}/members").content


class PlainListServer(ToolServer):
    """The tool. ``lists`` are its books: list → email → what it knows of the person."""

    def __init__(self) -> None:
        self.lists: dict[str, dict[str, dict[str, Any]]] = {}
        self.largest = 100
        super().__init__()

    def members(self, list_id: str) -> set[str]:
        return set(self.lists[list_id])

    def answer(self, request: Request) -> Response:
        match request.path.strip("/").split("/"), request.method:
            case ["lists"], "GET":
                return Response(200, sorted(self.lists))
            case ["lists", name], "PUT":
                self.lists.setdefault(name, {})
                return Response(200, {})
            case ["lists", name, "members"], _ if name not in self.lists:
                return Response(404, {"code": "no_list"})
            case ["lists", name, "members"], "GET":
                return Response(200, sorted(self.lists[name]))
            case ["lists", name, "members"], ("PUT" | "DELETE") as method:
                if len(request.json) > self.largest:
                    return Response(413, {"code": "too_many"})
                change = self._put if method == "PUT" else self._delete
                return Response(200, [change(self.lists[name], one) for one in request.json])
        return Response(404, {"code": "no_path"})

    def _put(self, members: dict[str, dict[str, Any]], one: dict[str, Any]) -> str:
        email = one["email"]
        if email.endswith("@refused.example") or email == "refused@example.com":
            return "refused"
        known = members.get(email)
        members[email] = one
        return "same" if known == one else "changed"

    def _delete(self, members: dict[str, dict[str, Any]], email: str) -> str:
        return "same" if members.pop(email, None) is None else "changed"
