"""A kit that holds a member destination to its contract, for ours and for those of other packages.

Belongs here: a server in whose place a tool stands in tests (it records what it is asked and fails when told to), and
the checks that every destination passes.
Does not belong here: how one tool answers; that is written beside the destination's test.

A test module makes a class and says how its tool stands in::

    class TestKlaviyo(DestinationContract):
        def make_tool(self): return KlaviyoServer()
        def make_destination(self, tool, **options): return Klaviyo(...tool.url...)

The server is real: the destination speaks HTTP to it over a socket. It should refuse what the real tool refuses.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from lifecycle.errors import LifecycleError
from lifecycle.publishing.batches import send_batch
from lifecycle.publishing.destinations.members import (
    Encoded,
    Item,
    ListSpec,
    Member,
    MemberDestination,
    Operation,
    Outcome,
    RemoteList,
    Veto,
    applies_later,
)

# --- the server ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    """What a tool was asked. ``path`` is without its query; ``text`` is the body as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text) if self.text else None


@dataclass(frozen=True)
class Response:
    """What a tool answers; ``body`` is sent as JSON unless it is text or bytes."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class ToolServer(ABC):
    """Stands in the place of a tool, on this machine.

    ``answer`` says what the tool does and returns; ``members`` who is on a list by the tool's own books. Faults are
    queued with ``fail_next`` and hit the next calls that change something (``is_write``), or any with ``any_call``.
    """

    secret = "key-that-nobody-may-see"
    """The credential that calls have to carry; ``is_authorized`` looks for it."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.faults: list[tuple[str, bool]] = []
        self._lock = threading.Lock()
        tool = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Headers and body go out together: else each answer waits for the other side's acknowledgement.
            wbufsize = -1
            disable_nagle_algorithm = True

            def handle_any(self) -> None:
                tool._handle(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @abstractmethod
    def answer(self, request: Request) -> Response:
        """Do what the tool does. Called under a lock: one call at a time."""

    @abstractmethod
    def members(self, list_id: str) -> set[str]:
        """The keys on a list, as ``read_back`` would give them."""

    def is_authorized(self, request: Request) -> bool:
        return any(self.secret in value for value in request.headers.values())

    def is_write(self, request: Request) -> bool:
        """Whether a call changes who is on a list. A POST that only asks is for the subclass to say."""
        return request.method != "GET"

    def unauthorized(self) -> Response:
        return Response(401, {"message": "no such key"})

    def fail_next(self, fault: str, times: int = 1, *, any_call: bool = False) -> None:
        """Queue a fault.

        ``busy``: 429 with Retry-After 0, nothing done. ``error``: 500, nothing done. ``lost_answer``: done, then the
        line is cut. ``html``: a page with status 200, nothing done. ``empty``: status 200 and no body, nothing done.
        """
        self.faults += [(fault, any_call)] * times

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        address = urlsplit(handler.path)
        length = int(handler.headers.get("Content-Length") or 0)
        request = Request(
            method=handler.command,
            path=unquote(address.path),
            query={name: values[-1] for name, values in parse_qs(address.query, keep_blank_values=True).items()},
            headers={name.lower(): value for name, value in handler.headers.items()},
            text=handler.rfile.read(length).decode(),
        )
        with self._lock:
            self.requests.append(request)
            fault = self._next_fault(request)
            if not self.is_authorized(request):
                response = self.unauthorized()
            elif fault is None or fault == "lost_answer":
                response = self.answer(request)
            else:
                response = FAULTS[fault]
        if fault == "lost_answer":
            handler.close_connection = True
            handler.connection.shutdown(2)
            return
        body = response.body
        if body is None:
            data = b""
        elif isinstance(body, bytes | str):
            data = body if isinstance(body, bytes) else body.encode()
        else:
            data = json.dumps(body).encode()
        handler.send_response(response.status)
        for name, value in {"Content-Type": "application/json", **response.headers}.items():
            handler.send_header(name, value)
        if response.status != 204:
            handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        if response.status != 204:
            handler.wfile.write(data)
        handler.wfile.flush()

    def _next_fault(self, request: Request) -> str | None:
        if self.faults and (self.faults[0][1] or self.is_write(request)):
            return self.faults.pop(0)[0]
        return None


FAULTS = {
    "busy": Response(429, {"message": "slow down"}, {"Retry-After": "0"}),
    "error": Response(500, {"message": "oh dear"}),
    "html": Response(200, "<html><body>We will be back soon</body></html>", {"Content-Type": "text/html"}),
    "empty": Response(200, None),
}


# --- the contract ----------------------------------------------------------------------------------------------------


class DestinationContract(ABC):
    """What every member destination does, whatever the tool. Subclass it in a test module."""

    @abstractmethod
    def make_tool(self) -> ToolServer:
        """The server that stands in the tool's place."""

    @abstractmethod
    def make_destination(self, tool: ToolServer, *, secret: str | None = None) -> MemberDestination:
        """The destination, speaking to it; with the tool's secret unless another is given."""

    def member(self, number: int) -> Member:
        """A good member, different for every number."""
        return Member(
            f"customer-{number:04d}",
            {
                "email": f"person{number:04d}@example.com",
                "phone": f"+4930{1_000_000 + number}",
                "contact_id": f"contact-{number:04d}",
            },
        )

    def unicode_member(self) -> Member:
        """A good member whose address or attributes are not ASCII."""
        return Member("customer-ünï", {"email": "jürgen@bücher.example", "phone": "+4930999999", "contact_id": "ü1"})

    def bad_member(self) -> Member | None:
        """A member that ``encode`` lets through and the tool refuses; None where there is no such thing."""
        return Member("customer-bad", {"email": "refused@example.com", "phone": "+4930666666", "contact_id": "bad"})

    # What follows are the checks.

    @pytest.fixture
    def tool(self) -> Iterator[ToolServer]:
        tool = self.make_tool()
        yield tool
        tool.close()

    @pytest.fixture
    def destination(self, tool: ToolServer) -> MemberDestination:
        return self.make_destination(tool)

    @pytest.fixture
    def remote(self, destination: MemberDestination) -> RemoteList:
        return destination.ensure_list(ListSpec("lapsed_to_tool", "Lapsed customers"))

    def encoded(self, destination: MemberDestination, member: Member) -> Encoded:
        found = destination.encode(member)
        assert isinstance(found, Encoded), found
        return found

    def items(self, destination: MemberDestination, *members: Member) -> list[Item]:
        return [Item(one.key, one.body) for one in (self.encoded(destination, member) for member in members)]

    def sent(
        self,
        destination: MemberDestination,
        remote: RemoteList,
        operation: Operation,
        items: list[Item],
        key: str = "k1",
    ) -> list[Outcome]:
        """Outcomes of a batch as the engine would have them, and of what the tool took to do later."""
        outcomes = send_batch(destination, remote, operation, items, key, sleep=lambda _: None)
        for place, outcome in enumerate(outcomes):
            if outcome.proof == "accepted":
                assert destination.capabilities.is_asynchronous and outcome.handle
                outcomes[place] = self.polled(destination, remote, outcome.handle, items[place])
        return outcomes

    def polled(self, destination: MemberDestination, remote: RemoteList, handle: str, item: Item) -> Outcome:
        for _ in range(50):
            assert applies_later(destination)
            found = destination.poll(remote, handle, [item])
            if found is not None:
                return found.outcomes[0]
            time.sleep(0.01)
        raise AssertionError(f"handle {handle} never came to an end")

    def removals(self, items: list[Item], outcomes: list[Outcome]) -> list[Item]:
        """Items as the engine knows them when somebody leaves: key and remote id alone."""
        return [Item(item.key, {}, outcome.remote_id) for item, outcome in zip(items, outcomes, strict=True)]

    def test_good_credentials_are_good_and_nothing_is_written(
        self, tool: ToolServer, destination: MemberDestination
    ) -> None:
        health = destination.check()
        assert health.is_ready, health
        assert not [request for request in tool.requests if tool.is_write(request)]

    def test_bad_credentials_are_said_with_what_to_do(self, tool: ToolServer) -> None:
        destination = self.make_destination(tool, secret="another-secret-value")
        health = destination.check()
        assert not health.is_ready and health.problem and health.remedy
        assert "another-secret-value" not in f"{health} {destination!r}"
        with pytest.raises(LifecycleError) as raised:
            remote = destination.ensure_list(ListSpec("lapsed_to_tool", "Lapsed customers", "1"))
            destination.send(remote, "add", self.items(destination, self.member(1)), "k")
        assert raised.value.remedy and "another-secret-value" not in str(raised.value)

    def test_a_list_is_found_again(self, destination: MemberDestination, remote: RemoteList) -> None:
        assert destination.ensure_list(ListSpec("lapsed_to_tool", "Lapsed customers")).list_id == remote.list_id

    def test_who_is_added_twice_is_there_once(
        self, tool: ToolServer, destination: MemberDestination, remote: RemoteList
    ) -> None:
        items = self.items(destination, self.member(1), self.member(2))
        for _ in range(2):
            outcomes = self.sent(destination, remote, "add", items)
            assert all(outcome.is_done for outcome in outcomes), outcomes
            assert tool.members(remote.list_id) == {item.key for item in items}

    def test_who_leaves_is_gone_and_who_was_never_there_does_no_harm(
        self, tool: ToolServer, destination: MemberDestination, remote: RemoteList
    ) -> None:
        items = self.items(destination, self.member(1), self.member(2), self.member(3))
        here = self.removals(items, self.sent(destination, remote, "add", items))
        absent = self.items(destination, self.member(9))[0]
        leaving = [here[0], Item(absent.key), here[2]]
        outcomes = self.sent(destination, remote, "remove", leaving)
        assert all(outcome.is_done for outcome in outcomes), outcomes
        assert tool.members(remote.list_id) == {items[1].key}
        again = self.sent(destination, remote, "remove", [here[0]], "k2")
        assert again[0].is_done
        assert tool.members(remote.list_id) == {items[1].key}

    def test_a_member_that_is_refused_keeps_nobody_else_out(
        self, tool: ToolServer, destination: MemberDestination, remote: RemoteList
    ) -> None:
        bad = self.bad_member()
        if bad is None:
            pytest.skip("the tool takes whatever encode lets through")
        items = self.items(destination, self.member(1), bad, self.member(2), self.member(3))
        outcomes = self.sent(destination, remote, "add", items)
        assert [outcome.is_done for outcome in outcomes] == [True, False, True, True], outcomes
        assert outcomes[1].proof == "rejected" and outcomes[1].code
        assert tool.members(remote.list_id) == {items[place].key for place in (0, 2, 3)}
        for value in (*bad.identifiers.values(), items[1].key):
            assert value not in f"{outcomes[1].code} {outcomes[1].message}"

    @pytest.mark.parametrize("fault", ["busy", "error", "lost_answer"])
    @pytest.mark.parametrize("operation", ["add", "remove"])
    def test_a_fault_is_overcome_and_the_list_is_exact(
        self, tool: ToolServer, destination: MemberDestination, remote: RemoteList, fault: str, operation: Operation
    ) -> None:
        items = self.items(destination, *(self.member(number) for number in range(1, 6)))
        if operation == "remove":
            items = self.removals(items, self.sent(destination, remote, "add", items))
        tool.fail_next(fault)
        outcomes = self.sent(destination, remote, operation, items, "k2")
        assert tool.faults == []
        assert all(outcome.is_done for outcome in outcomes), outcomes
        assert tool.members(remote.list_id) == ({item.key for item in items} if operation == "add" else set())

    @pytest.mark.parametrize("fault", ["html", "empty"])
    def test_an_answer_that_says_nothing_proves_nothing(
        self, tool: ToolServer, destination: MemberDestination, remote: RemoteList, fault: str
    ) -> None:
        items = self.items(destination, self.member(1), self.member(2))
        tool.fail_next(fault, times=200)
        outcomes = send_batch(destination, remote, "add", items, "k1", sleep=lambda _: None)
        tool.faults.clear()
        proved = {item.key for item, outcome in zip(items, outcomes, strict=True) if outcome.is_done}
        assert proved <= tool.members(remote.list_id), outcomes
        if fault == "html":
            assert not proved and all(outcome.proof == "unknown" for outcome in outcomes), outcomes

    def test_a_full_batch_goes_through(
        self, tool: ToolServer, destination: MemberDestination, remote: RemoteList
    ) -> None:
        count = min(destination.capabilities.max_batch, 1_000)
        items = self.items(destination, *(self.member(number) for number in range(count)))
        outcomes = self.sent(destination, remote, "add", items)
        assert all(outcome.is_done for outcome in outcomes)
        assert len(tool.members(remote.list_id)) == count

    def test_addresses_of_all_the_world_arrive(
        self, tool: ToolServer, destination: MemberDestination, remote: RemoteList
    ) -> None:
        items = self.items(destination, self.unicode_member())
        outcomes = self.sent(destination, remote, "add", items)
        assert outcomes[0].is_done, outcomes
        assert tool.members(remote.list_id) == {items[0].key}
        assert self.sent(destination, remote, "remove", self.removals(items, outcomes), "k2")[0].is_done
        assert tool.members(remote.list_id) == set()

    def test_what_is_read_back_is_what_is_there(
        self, tool: ToolServer, destination: MemberDestination, remote: RemoteList
    ) -> None:
        items = self.items(destination, *(self.member(number) for number in range(1, 4)))
        self.sent(destination, remote, "add", items)
        found = destination.read_back(remote)
        if destination.capabilities.read_back == "full":
            assert found is not None and not isinstance(found, int)
            assert set(found) == tool.members(remote.list_id) == {item.key for item in items}
        elif destination.capabilities.read_back == "count":
            assert found == 3
        else:
            assert found is None

    def test_writing_members_down_is_pure(self, destination: MemberDestination) -> None:
        member = self.member(7)
        assert destination.encode(member) == destination.encode(member)
        assert self.encoded(destination, member).key != self.encoded(destination, self.member(8)).key
        if destination.capabilities.max_bytes is not None:
            assert self.encoded(destination, member).size > 0

    def test_a_member_without_an_identifier_is_no_member(self, destination: MemberDestination) -> None:
        found = destination.encode(Member("nobody", {}))
        if "customer_id" in destination.capabilities.identifiers:
            assert isinstance(found, Encoded)
        else:
            assert isinstance(found, Veto) and found.code and "nobody" not in found.message

    def test_the_limits_say_where_they_are_from(self, destination: MemberDestination) -> None:
        assert destination.capabilities.max_batch >= 1
        for limit in destination.limits:
            assert limit.calls > 0 and limit.seconds > 0 and limit.source.startswith("http") and limit.read_on

    def test_no_secret_and_no_address_is_told_to_anybody(
        self,
        tool: ToolServer,
        destination: MemberDestination,
        remote: RemoteList,
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        caplog.set_level(logging.DEBUG)
        logging.getLogger("httpx").setLevel(logging.NOTSET)
        items = self.items(destination, self.member(1))
        again = self.make_destination(tool)
        remote = again.ensure_list(ListSpec("lapsed_to_tool", "Lapsed customers"))
        outcomes = self.sent(again, remote, "add", items)
        tool.fail_next("error", times=50)
        outcomes += send_batch(again, remote, "add", items, "k2", sleep=lambda _: None)
        said = f"{caplog.text} {capfd.readouterr()} {outcomes} {again!r} {again.account}"
        for value in (tool.secret, *self.member(1).identifiers.values()):
            assert value not in said.replace(str([outcome.remote_id for outcome in outcomes]), "")
