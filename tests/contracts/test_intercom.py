"""Intercom: a tag, one contact a call, and people whom Intercom does not know."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from pydantic import SecretStr

from lifecycle.errors import LifecycleError
from lifecycle.publishing.batches import send_batch
from lifecycle.publishing.destinations import class_of
from lifecycle.publishing.destinations.intercom import Intercom
from lifecycle.publishing.destinations.members import Encoded, Item, ListSpec, Member, MemberDestination, Veto
from lifecycle.publishing.testing import DestinationContract, Request, Response, ToolServer
from tests.contracts.vendor_specs import SPECS, vendor_spec

SPEC = ListSpec("lapsed_to_tool", "Lapsed customers")


def described(request: Request) -> bool:
    """Whether the vendor's description holds the path: it was cut without those of tags (``/tags``, ``/tags/7``)."""
    return not request.path.startswith("/tags")


class IntercomServer(ToolServer):
    """Intercom. ``contacts`` are its books, by its own id; ``tags`` id → name; ``tagged`` id of a tag → contacts."""

    page_size = 150
    absent_tag_status = 404
    """What taking off a tag answers that the contact does not have; it is not documented."""

    def __init__(self) -> None:
        self.contacts: dict[str, dict[str, Any]] = {}
        self.tags: dict[str, str] = {"7": "By hand"}
        self.tagged: dict[str, set[str]] = {"7": set()}
        self.answers: list[Response] = []
        """Answers that are given next to calls that write, in place of doing what is asked."""
        for number in range(20):
            self.add(f"person{number:04d}@example.com", external_id=f"customer-{number:04d}")
        self.add("jürgen@bücher.example", external_id="customer-ünï")
        super().__init__()

    def add(self, email: str | None, *, external_id: str | None = None, role: str = "user") -> str:
        number = f"5ba{len(self.contacts):05x}"
        contact = {"type": "contact", "id": number, "email": email, "external_id": external_id, "role": role}
        self.contacts[number] = contact
        return number

    def is_write(self, request: Request) -> bool:
        return request.method != "GET" and request.path != "/contacts/search"

    def unauthorized(self) -> Response:
        return self._error(401, "unauthorized", "Access Token Invalid")

    def members(self, list_id: str) -> set[str]:
        return {str(self.contacts[number][self.field]) for number in self.tagged[list_id]}

    field = "email"

    def answer(self, request: Request) -> Response:
        if request.headers.get("intercom-version") != "2.15":
            return self._error(400, "intercom_version_invalid", "no such version")
        if request.method == "POST" and request.headers.get("content-type") != "application/json":
            return self._error(400, "bad_request", "not JSON")
        if self.answers and self.is_write(request):
            return self.answers.pop(0)
        match request.path.strip("/").split("/"), request.method:
            case ["contacts", "search"], "POST":
                return self._search(request.json)
            case ["contacts", number, "tags", *_], _ if number not in self.contacts:
                return self._error(404, "not_found", "User Not Found")
            case ["contacts", number, "tags"], "POST":
                return self._change(number, request.json["id"], is_tagged=True)
            case ["contacts", number, "tags", tag], "DELETE":
                return self._change(number, tag, is_tagged=False)
            case ["tags"], "GET":
                return Response(200, {"type": "list", "data": [self._tag(one) for one in self.tags]})
            case ["tags"], "POST":
                name = request.json["name"]
                found = next((one for one, known in self.tags.items() if known.lower() == name.lower()), None)
                found = found or str(len(self.tags) + 7)
                self.tags.setdefault(found, name)
                self.tagged.setdefault(found, set())
                return Response(200, self._tag(found))
            case ["tags", tag], "GET" if tag in self.tags:
                return Response(200, self._tag(tag))
        return self._error(404, "not_found", "Resource Not Found")

    def _tag(self, number: str) -> dict[str, Any]:
        return {"type": "tag", "id": number, "name": self.tags[number]}

    def _error(self, status: int, code: str, message: str) -> Response:
        return Response(
            status, {"type": "error.list", "request_id": "r", "errors": [{"code": code, "message": message}]}
        )

    def _change(self, number: str, tag: str, *, is_tagged: bool) -> Response:
        if tag not in self.tags:
            return self._error(404, "not_found", "Resource Not Found")
        if self.contacts[number]["email"] == "blocked@example.com":
            return self._error(422, "contact_blocked", "blocked@example.com is blocked")
        if is_tagged:
            self.tagged[tag].add(number)
        elif number in self.tagged[tag]:
            self.tagged[tag].discard(number)
        elif self.absent_tag_status != 200:
            return self._error(self.absent_tag_status, "not_found", "Resource Not Found")
        return Response(200, {**self._tag(tag), "applied_at": 1663597223})

    def _search(self, content: dict[str, Any]) -> Response:
        query, pagination = content["query"], content["pagination"]
        field, values = query["field"], query["value"] if query["operator"] == "IN" else [query["value"]]
        if pagination["per_page"] > 150 or len(values) > 15:
            return self._error(400, "parameter_invalid", "too much at once")
        if field == "tag_id":
            found = [self.contacts[number] for number in sorted(self.tagged.get(values[0], set()))]
        else:
            wanted = {str(value).lower() for value in values} if field == "email" else set(values)
            found = [
                contact
                for contact in self.contacts.values()
                if (str(contact[field]).lower() if field == "email" else contact[field]) in wanted
            ]
        start = int(pagination.get("starting_after") or 0)
        end = start + min(pagination["per_page"], self.page_size)
        following = {"per_page": pagination["per_page"], "starting_after": str(end)} if end < len(found) else None
        pages = {"type": "pages", "page": 1, "next": following, "total_pages": 1}
        return Response(200, {"type": "list", "data": found[start:end], "total_count": len(found), "pages": pages})


class ByExternalId(IntercomServer):
    field = "external_id"


class IntercomContract(DestinationContract):
    options: ClassVar[dict[str, Any]] = {}

    def make_tool(self) -> IntercomServer:
        return IntercomServer()

    def make_destination(self, tool: ToolServer, *, secret: str | None = None) -> MemberDestination:
        return intercom(tool, secret, **self.options)

    @pytest.fixture
    def tool(self) -> Iterator[ToolServer]:
        tool = self.make_tool()
        yield tool
        tool.close()
        if (SPECS / "intercom.json").exists():
            assert problems(tool) == []


class TestByEmail(IntercomContract):
    pass


class TestByExternalId(IntercomContract):
    options: ClassVar[dict[str, Any]] = {"identifier": "customer_id"}

    def make_tool(self) -> IntercomServer:
        return ByExternalId()


class TestWhereAnAbsentTagIsTakenOffInPeace(IntercomContract):
    def make_tool(self) -> IntercomServer:
        tool = super().make_tool()
        tool.absent_tag_status = 200
        return tool


def intercom(tool: ToolServer, secret: str | None = None, **options: Any) -> Intercom:
    return Intercom("ic", SecretStr(secret or tool.secret), url=tool.url, pause=0.001, **options)


def problems(tool: ToolServer) -> list[str]:
    spec = vendor_spec("intercom")
    return [problem for request in tool.requests if described(request) and (problem := spec.problem(request))]


def writes(tool: IntercomServer) -> list[tuple[str, str]]:
    return [(request.method, request.path) for request in tool.requests if tool.is_write(request)]


@pytest.fixture
def tool() -> Iterator[IntercomServer]:
    tool = IntercomServer()
    yield tool
    tool.close()


def item(number: int) -> Item:
    return Item(f"person{number:04d}@example.com")


def test_the_kind_is_in_the_registry_and_made_from_options() -> None:
    kind = class_of("intercom")
    options = kind.Options.model_validate({"token": "hidden", "url": "https://api.eu.intercom.io", "tag_id": 7})
    made = kind.from_options("help", options, None)  # type: ignore[arg-type]
    assert made == Intercom("help", SecretStr("hidden"), tag_id=7, url="https://api.eu.intercom.io")
    assert "hidden" not in repr(made) + made.account


def test_every_request_is_as_intercom_describes_it_but_those_of_tags_themselves(tool: IntercomServer) -> None:
    destination = intercom(tool)
    vendor_spec("intercom")
    destination.check()
    remote = destination.ensure_list(SPEC)
    destination.send(remote, "add", [item(1), item(2), Item("nobody@example.com")], "k")
    destination.send(remote, "remove", [Item(item(1).key, {}, "5ba00001"), item(2)], "k")
    list(destination.read_back(remote))
    assert problems(tool) == []
    left_out = {(one.method, one.path) for one in tool.requests if not described(one)}
    assert left_out == {("GET", "/tags"), ("POST", "/tags"), ("GET", f"/tags/{remote.list_id}")}
    assert {one.path for one in tool.requests if described(one)} == {
        "/contacts/search",
        "/contacts/5ba00001/tags",
        "/contacts/5ba00002/tags",
        f"/contacts/5ba00001/tags/{remote.list_id}",
        f"/contacts/5ba00002/tags/{remote.list_id}",
    }


@pytest.mark.parametrize(
    ("method", "path", "version", "text"),
    [
        ("POST", "/contacts/5ba/tags", "2.15", '{"name": "Lapsed customers"}'),
        ("POST", "/contacts/5ba/tags", "2.99", '{"id": "7"}'),
        ("POST", "/contacts/search", "2.15", '{"query": {"field": "email", "operator": "LIKE", "value": "a"}}'),
        ("POST", "/contacts/search", "2.15", '{"pagination": {"per_page": 1}}'),
        ("DELETE", "/contacts/5ba/tags", "2.15", ""),
    ],
)
def test_a_request_that_intercom_does_not_describe_is_refused_by_its_description(
    method: str, path: str, version: str, text: str
) -> None:
    headers = {"content-type": "application/json", "authorization": "Bearer x", "intercom-version": version}
    assert vendor_spec("intercom").problem(Request(method, path, {}, headers, text)) is not None


def test_contacts_are_looked_up_together_and_tagged_one_by_one(tool: IntercomServer) -> None:
    destination = intercom(tool)
    remote = destination.ensure_list(SPEC)
    tool.requests.clear()
    outcome = destination.send(remote, "add", [item(number) for number in range(15)], "k")
    assert [one.remote_id for one in outcome.outcomes] == list(tool.contacts)[:15]
    assert [request.path for request in tool.requests] == [
        "/contacts/search",
        *(f"/contacts/{number}/tags" for number in list(tool.contacts)[:15]),
    ]


def test_whom_intercom_does_not_know_is_refused_and_not_made(tool: IntercomServer) -> None:
    destination = intercom(tool)
    remote = destination.ensure_list(SPEC)
    before = dict(tool.contacts)
    outcome = destination.send(remote, "add", [Item("nobody@example.com"), item(1)], "k")
    assert [(one.proof, one.code) for one in outcome.outcomes] == [("rejected", "unknown_contact"), ("applied", "")]
    assert tool.contacts == before


def test_of_a_lead_and_a_user_the_user_is_tagged(tool: IntercomServer) -> None:
    destination = intercom(tool)
    remote = destination.ensure_list(SPEC)
    tool.add("twin@example.com", role="lead")
    user = tool.add("Twin@example.com", role="user")
    assert destination.send(remote, "add", [Item("twin@example.com")], "k").outcomes[0].remote_id == user


def test_who_could_be_one_of_several_contacts_is_refused(tool: IntercomServer) -> None:
    destination = intercom(tool)
    remote = destination.ensure_list(SPEC)
    twins = {tool.add("twin@example.com"), tool.add("twin@example.com")}
    outcome = destination.send(remote, "add", [Item("twin@example.com")], "k").outcomes[0]
    assert (outcome.proof, outcome.code) == ("rejected", "ambiguous_contact")
    tool.tagged[remote.list_id] |= twins
    assert destination.send(remote, "remove", [Item("twin@example.com")], "k").outcomes[0].proof == "applied"
    assert tool.tagged[remote.list_id] == set()


def test_a_contact_that_was_merged_into_another_loses_the_tag_there(tool: IntercomServer) -> None:
    destination = intercom(tool)
    remote = destination.ensure_list(SPEC)
    known = destination.send(remote, "add", [item(1)], "k").outcomes[0].remote_id
    assert known
    del tool.contacts[known]
    heir = tool.add(item(1).key)
    tool.tagged[remote.list_id] = {heir}
    outcome = destination.send(remote, "remove", [Item(item(1).key, {}, known)], "k").outcomes[0]
    assert outcome.proof == "applied" and tool.tagged[remote.list_id] == set()


def test_a_contact_that_was_deleted_is_off_already(tool: IntercomServer) -> None:
    destination = intercom(tool)
    remote = destination.ensure_list(SPEC)
    assert destination.send(remote, "remove", [Item("gone@example.com", {}, "5baffff")], "k").outcomes[0].is_done


def test_a_contact_that_is_lost_between_look_up_and_tag_is_refused(tool: IntercomServer) -> None:
    destination = intercom(tool)
    remote = destination.ensure_list(SPEC)
    tool.answers = [
        Response(404, {"type": "error.list", "errors": [{"code": "not_found", "message": "User Not Found"}]})
    ]
    outcome = destination.send(remote, "add", [item(1), item(2)], "k")
    assert [(one.proof, one.code) for one in outcome.outcomes] == [("rejected", "unknown_contact"), ("applied", "")]


def test_a_refusal_is_told_in_intercoms_word_alone(tool: IntercomServer) -> None:
    destination = intercom(tool)
    remote = destination.ensure_list(SPEC)
    tool.add("blocked@example.com")
    outcome = destination.send(remote, "add", [item(1), Item("blocked@example.com"), item(2)], "k")
    assert [one.proof for one in outcome.outcomes] == ["applied", "rejected", "applied"]
    assert outcome.outcomes[1].code == "contact_blocked" and "@" not in str(outcome)


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (Response(200, None), [("unknown", "no_answer"), ("applied", "")]),
        (Response(200, {"type": "tag", "id": "99"}), [("unknown", "no_answer"), ("applied", "")]),
        (
            Response(422, {"errors": [{"code": "a@example.com", "message": "?"}]}),
            [("rejected", "status_422"), ("applied", "")],
        ),
        (Response(422, {"errors": "?"}), [("rejected", "status_422"), ("applied", "")]),
        (Response(200, "<html>"), [("applied", ""), ("applied", "")]),
    ],
)
def test_an_answer_proves_what_it_says_and_no_more(
    tool: IntercomServer, response: Response, expected: list[tuple[str, str]]
) -> None:
    destination = intercom(tool)
    remote = destination.ensure_list(SPEC)
    tool.answers = [response]
    outcome = destination.send(remote, "add", [item(1), item(2)], "k")
    assert [(one.proof, one.code) for one in outcome.outcomes] == expected


def test_when_intercom_is_busy_nobody_after_is_tried(tool: IntercomServer) -> None:
    destination = intercom(tool)
    remote = destination.ensure_list(SPEC)
    reset = int(time.time()) + 3600
    busy = Response(429, {"errors": [{"code": "rate_limit_exceeded"}]}, {"X-RateLimit-Reset": str(reset)})
    good = Response(200, {"type": "tag", "id": remote.list_id})
    tool.answers = [good, busy]
    tool.requests.clear()
    outcome = destination.send(remote, "add", [item(number) for number in range(4)], "k")
    assert [one.proof for one in outcome.outcomes] == ["applied", "retry", "retry", "retry"]
    assert all(3500 < (one.after or 0) <= 3600 for one in outcome.outcomes[1:])
    assert len(writes(tool)) == 2


def test_when_intercom_fails_nobody_after_is_tried(tool: IntercomServer) -> None:
    destination = intercom(tool)
    remote = destination.ensure_list(SPEC)
    tool.requests.clear()
    tool.fail_next("error", times=5)
    outcome = destination.send(remote, "add", [item(number) for number in range(4)], "k")
    assert [(one.proof, one.code) for one in outcome.outcomes] == [("unknown", "status_500")] * 4
    assert len(writes(tool)) == 5 and tool.members(remote.list_id) == set()


def test_a_limit_that_resets_in_a_moment_is_waited_for(tool: IntercomServer) -> None:
    destination = intercom(tool)
    remote = destination.ensure_list(SPEC)
    reset = int(time.time()) + 2
    tool.answers = [Response(429, {}, {"X-RateLimit-Reset": str(reset)})]
    assert destination.send(remote, "add", [item(1)], "k").outcomes[0].proof == "applied"
    assert time.time() >= reset - 0.05


@pytest.mark.parametrize("fault", ["busy", "html", "empty"])
def test_a_look_up_without_an_answer_proves_nothing(tool: IntercomServer, fault: str) -> None:
    destination = intercom(tool)
    remote = destination.ensure_list(SPEC)
    tool.requests.clear()
    tool.fail_next(fault, times=5, any_call=True)
    for operation in ("add", "remove"):
        outcome = destination.send(remote, operation, [item(1), item(2)], "k")
        assert {one.proof for one in outcome.outcomes} <= {"retry", "unknown"}, outcome
        tool.faults.clear()
        tool.fail_next(fault, times=5, any_call=True)
    assert writes(tool) == []


def test_a_tag_is_found_by_its_name_in_any_case(tool: IntercomServer) -> None:
    tool.tags["9"], tool.tagged["9"] = "LAPSED customers", set()
    assert intercom(tool).ensure_list(SPEC).list_id == "9"
    assert writes(tool) == []


def test_a_tag_that_is_named_has_to_be_there(tool: IntercomServer) -> None:
    assert intercom(tool, tag_id=7).ensure_list(SPEC).title == "By hand"
    with pytest.raises(LifecycleError, match="tag 8 is not there") as raised:
        intercom(tool, tag_id=8).ensure_list(SPEC)
    assert "tag_id" in raised.value.remedy
    assert intercom(tool, tag_id=8).ensure_list(ListSpec("a", "b", "7")).list_id == "7"


@pytest.mark.parametrize("operation", ["add", "remove"])
def test_a_tag_that_is_gone_stops_the_delivery_and_is_not_made_again(tool: IntercomServer, operation: Any) -> None:
    destination = intercom(tool)
    remote = destination.ensure_list(SPEC)
    known = destination.send(remote, "add", [item(1)], "k").outcomes[0].remote_id
    del tool.tags[remote.list_id]
    with pytest.raises(LifecycleError, match="is not there") as raised:
        send_batch(destination, remote, operation, [Item(item(1).key, {}, known)], "k")
    assert raised.value.remedy and remote.list_id not in tool.tags
    with pytest.raises(LifecycleError, match="is not there"):
        list(destination.read_back(remote))


def test_a_tag_is_read_back_page_by_page_with_whom_others_tagged(tool: IntercomServer) -> None:
    destination = intercom(tool)
    remote = destination.ensure_list(SPEC)
    tool.page_size = 2
    destination.send(remote, "add", [item(number) for number in range(4)], "k")
    stranger = tool.add(None)
    tool.tagged[remote.list_id].add(stranger)
    tool.requests.clear()
    assert sorted(destination.read_back(remote)) == [f"contact_{stranger}", *(item(number).key for number in range(4))]
    assert len([request for request in tool.requests if request.path == "/contacts/search"]) == 3


def test_who_was_tagged_by_others_keeps_the_tag(tool: IntercomServer) -> None:
    destination = intercom(tool)
    remote = destination.ensure_list(SPEC)
    by_hand = tool.add("hand@example.com")
    tool.tagged[remote.list_id].add(by_hand)
    first = destination.send(remote, "add", [item(1)], "k").outcomes[0]
    destination.send(remote, "remove", [Item(item(1).key, {}, first.remote_id)], "k")
    assert tool.tagged[remote.list_id] == {by_hand}
    assert {method for method, path in writes(tool) if by_hand in path} == set()


def test_a_workspace_that_cannot_be_read_is_told(tool: IntercomServer) -> None:
    tool.fail_next("html", times=50, any_call=True)
    health = intercom(tool).check()
    assert not health.is_ready and health.problem and "tags" in health.remedy


@pytest.mark.parametrize(
    ("identifier", "identifiers", "expected"),
    [
        ("email", {"email": "  Jane.DOE+x@Example.COM "}, "jane.doe+x@example.com"),
        ("email", {"email": "0123456789ABCDEF" * 4}, "already_hashed"),
        ("email", {"email": "nobody"}, "no_email"),
        ("email", {}, "no_email"),
        ("contact_id", {"contact_id": "Shop:7"}, "Shop:7"),
        ("contact_id", {"email": "a@example.com"}, "no_contact_id"),
        ("customer_id", {}, "c-1"),
    ],
)
def test_contacts_are_known_by_the_identifier_that_the_settings_name(
    tool: IntercomServer, identifier: str, identifiers: dict[str, str], expected: str
) -> None:
    found = intercom(tool, identifier=identifier).encode(Member("c-1", identifiers, {"stage": "lapsed"}))
    assert (found.code if isinstance(found, Veto) else found.key) == expected
    assert isinstance(found, Veto) or found == Encoded(expected)
