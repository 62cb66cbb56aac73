"""Brevo: the contract, what is special about it, and its requests against its own API description."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import quote

import pytest
from pydantic import SecretStr

from lifecycle.errors import LifecycleError
from lifecycle.publishing.batches import send_batch
from lifecycle.publishing.destinations import class_of
from lifecycle.publishing.destinations.brevo import Brevo
from lifecycle.publishing.destinations.members import (
    ALREADY,
    APPLIED,
    Encoded,
    Item,
    Limit,
    ListSpec,
    Member,
    Operation,
    Outcome,
    RemoteList,
    Veto,
)
from lifecycle.publishing.testing import DestinationContract, Request, Response, ToolServer
from lifecycle.settings import Settings
from tests.contracts.vendor_specs import vendor_spec

SPEC = ListSpec("lapsed_to_tool", "Lapsed customers")
OPERATIONS: tuple[Operation, ...] = ("add", "update", "remove")
ATTRIBUTES = {"FIRSTNAME": "text", "LIFECYCLE_STAGE": "text", "ORDERS": "float", "VIP": "boolean", "SEEN": "date"}
TAKEN = {"email", "attributes", "listIds", "updateEnabled"}
"""What a contact may be written with: no blocklist among it."""


@dataclass(frozen=True)
class Unhurried(Brevo):
    """Brevo, before a server that counts no calls."""

    limits: ClassVar[tuple[Limit, ...]] = (Limit(100_000, 1, "https://here.example", "2026-11-24"),)


class BrevoServer(ToolServer):
    """Brevo's lists and contacts. It refuses what Brevo refuses, and what its description lets through."""

    def __init__(self) -> None:
        self.lists: dict[int, str] = {}
        self.contacts: dict[str, dict[str, Any]] = {}
        self.folders = {7}
        self.is_nested = True
        """Whether answers hold their lists under ``contacts``, as its description has it; its examples do not."""
        self.stuck: set[str] = set()
        """Addresses that cannot be taken off, for no reason that is given."""
        self.early: set[str] = set()
        super().__init__()
        # Head and body of an answer are written apart; contacts are made one by one.
        handler: Any = self._server.RequestHandlerClass
        handler.disable_nagle_algorithm = True

    def members(self, list_id: str) -> set[str]:
        return {email for email, one in self.contacts.items() if int(list_id) in one["listIds"]}

    def add_contact(self, email: str, *list_ids: int, **attributes: Any) -> None:
        self.contacts[email] = {"id": len(self.contacts) + 1, "listIds": set(list_ids), "attributes": attributes}

    def is_authorized(self, request: Request) -> bool:
        return request.headers.get("api-key") == self.secret

    def unauthorized(self) -> Response:
        return _error(401, "unauthorized", "Key not found")

    def answer(self, request: Request) -> Response:
        if request.text and request.headers.get("content-type") != "application/json":
            return _error(415, "not_acceptable", "Content type is not application/json")
        match request.method, request.path.strip("/").split("/"):
            case "GET", ["contacts", "attributes"]:
                listed = [{"name": name, "category": "normal", "type": kind} for name, kind in ATTRIBUTES.items()]
                calculated = {"name": "CLV", "category": "calculated", "calculatedValue": "SUM[X]"}
                return Response(200, {"attributes": [*listed, calculated]})
            case _, ["contacts", "lists", *more]:
                return self._lists(request, more)
            case "POST", ["contacts"]:
                return self._make(request.json)
            case "GET", ["contacts", email]:
                return self._contact(email)
            case "DELETE", ["contacts", email]:
                found = self.contacts.pop(email, None)
                return Response(204) if found else _error(404, "document_not_found", "Contact does not exist")
        return _error(404, "document_not_found", "no such path")

    def _lists(self, request: Request, more: list[str]) -> Response:
        match request.method, more:
            case "GET", []:
                found = [{"id": one, "name": name} for one, name in sorted(self.lists.items())]
                return self._paged(request, "lists", found, 50)
            case "POST", []:
                if request.json.get("folderId") not in self.folders or not request.json.get("name"):
                    return _error(400, "invalid_parameter", "Folder ID does not exist")
                list_id = len(self.lists) + 11
                self.lists[list_id] = request.json["name"]
                return Response(201, {"id": list_id})
            case _, [list_id, *_] if not list_id.isdecimal() or int(list_id) not in self.lists:
                return _error(404, "document_not_found", "List ID does not exist")
            case "GET", [list_id]:
                return Response(200, {"id": int(list_id), "name": self.lists[int(list_id)], "folderId": 7})
            case "GET", [list_id, "contacts"]:
                found = [
                    {"email": email, "id": one["id"], "listIds": sorted(one["listIds"])}
                    for email, one in self.contacts.items()
                    if int(list_id) in one["listIds"]
                ]
                return self._paged(request, "contacts", found, 500)
            case "POST", [list_id, "contacts", ("add" | "remove") as verb]:
                return self._move(int(list_id), verb, request.json)
        return _error(405, "method_not_allowed", "not allowed")

    def _paged(self, request: Request, what: str, found: list[dict[str, Any]], largest: int) -> Response:
        limit, offset = int(request.query.get("limit", 10)), int(request.query.get("offset", 0))
        if not 0 < limit <= largest or request.query.get("sort", "desc") not in ("asc", "desc"):
            return _error(400, "out_of_range", "Limit is out of range")
        return Response(200, {what: found[offset : offset + limit], "count": len(found)})

    def _move(self, list_id: int, verb: str, body: dict[str, Any]) -> Response:
        emails = body.get("emails")
        if body.keys() != {"emails"} or not isinstance(emails, list) or not 1 <= len(emails) <= 150:
            return _error(400, "invalid_parameter", "emails should be an array of 1 to 150")
        success, failure = [], []
        for email in emails:
            contact = self.contacts.get(email)
            is_on = contact is not None and list_id in contact["listIds"]
            if contact is None or is_on is (verb == "add") or email in self.stuck:
                failure.append(email)
                continue
            (contact["listIds"].add if verb == "add" else contact["listIds"].discard)(list_id)
            success.append(email)
        if not success:
            word = "already in list" if verb == "add" else "already removed from list"
            return _error(400, "invalid_parameter", f"Contact {word} and/or does not exist")
        told = {"success": success, "failure": failure}
        return Response(201, {"contacts": told} if self.is_nested else told)

    def _make(self, body: dict[str, Any]) -> Response:
        email = body.get("email", "")
        if body.keys() - TAKEN or any(not name.isupper() for name in body.get("attributes", {})):
            return _error(400, "invalid_parameter", "a parameter is not known")
        if email in self.early:
            return _error(425, "account_in_process", "Account is in process")
        if "@" not in email or email == "refused@example.com":
            return _error(400, "invalid_parameter", f"email {email} is not valid")
        if any(not isinstance(one, int) or one not in self.lists for one in body.get("listIds", [])):
            return _error(400, "invalid_parameter", "List ID does not exist")
        is_there = email in self.contacts
        if is_there and not body.get("updateEnabled"):
            return _error(400, "duplicate_parameter", "email is already associated with another Contact")
        if not is_there:
            self.add_contact(email)
        # What is of another type, or not defined, is ignored without a word.
        known = {
            name: value for name, value in body.get("attributes", {}).items() if _fits(ATTRIBUTES.get(name), value)
        }
        self.contacts[email]["attributes"] |= known
        self.contacts[email]["listIds"] |= set(body.get("listIds", []))
        return Response(204) if is_there else Response(201, {"id": self.contacts[email]["id"]})

    def _contact(self, email: str) -> Response:
        if email not in self.contacts:
            return _error(404, "document_not_found", "Contact does not exist")
        contact = self.contacts[email]
        return Response(200, {**contact, "email": email, "listIds": sorted(contact["listIds"])})


def _fits(kind: str | None, value: Any) -> bool:
    match kind:
        case "text":
            return isinstance(value, str)
        case "float":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
    return kind == "date" and bool(re.fullmatch(r"\d{4}-\d\d-\d\d", str(value)))


def _error(status: int, code: str, message: str) -> Response:
    return Response(status, {"code": code, "message": message})


def brevo(tool: ToolServer, secret: str | None = None, **more: Any) -> Unhurried:
    options = {"folder_id": 7, **more}
    return Unhurried("brevo", SecretStr(secret or tool.secret), url=tool.url, pause=0.001, **options)


class TestBrevo(DestinationContract):
    def make_tool(self) -> BrevoServer:
        return BrevoServer()

    def make_destination(self, tool: ToolServer, *, secret: str | None = None) -> Brevo:
        return brevo(tool, secret)


class TestBrevoWithAttributes(TestBrevo):
    """The contract for members with attributes, who are written one by one."""

    def member(self, number: int) -> Member:
        return replace(super().member(number), attributes={"orders": number})

    def unicode_member(self) -> Member:
        return replace(super().unicode_member(), attributes={"firstname": "Jürgen"})


# --- what is special --------------------------------------------------------------------------------------------------


@pytest.fixture
def tool() -> Iterator[BrevoServer]:
    tool = BrevoServer()
    yield tool
    tool.close()


@pytest.fixture
def destination(tool: BrevoServer) -> Brevo:
    return brevo(tool)


@pytest.fixture
def remote(destination: Brevo) -> RemoteList:
    return destination.ensure_list(SPEC)


def person(number: int, **attributes: Any) -> Member:
    return Member(f"c{number}", {"email": f"person{number}@example.com"}, attributes)


def items(destination: Brevo, *members: Member) -> list[Item]:
    found = [destination.encode(one) for one in members]
    return [Item(one.key, one.body) for one in found if isinstance(one, Encoded)]


def written(tool: ToolServer) -> list[Request]:
    return [one for one in tool.requests if (one.method, one.path) == ("POST", "/contacts")]


@pytest.mark.parametrize("is_nested", [True, False])
def test_the_answer_to_an_addition_is_read_member_by_member(
    tool: BrevoServer, destination: Brevo, remote: RemoteList, is_nested: bool
) -> None:
    tool.is_nested = is_nested
    for number in (1, 2, 3):
        tool.add_contact(f"person{number}@example.com", *([11] if number == 2 else []))
    bad = Member("bad", {"email": "refused@example.com"})
    outcomes = destination.send(remote, "add", items(destination, *map(person, range(1, 5)), bad), "k").outcomes
    assert [one.proof for one in outcomes] == ["applied"] * 4 + ["rejected"]
    assert (outcomes[4].code, outcomes[4].message) == ("invalid_parameter", "")
    assert tool.members(remote.list_id) == {f"person{number}@example.com" for number in range(1, 5)}
    # Whom Brevo knew and had not on the list was one call; the others were written one by one.
    assert [one.json["email"] for one in written(tool)] == [
        "person2@example.com",
        "person4@example.com",
        "refused@example.com",
    ]


def test_people_that_brevo_knows_are_one_call_for_all(
    tool: BrevoServer, destination: Brevo, remote: RemoteList
) -> None:
    for number in range(150):
        tool.add_contact(f"person{number}@example.com")
    tool.requests.clear()
    outcomes = destination.send(remote, "add", items(destination, *map(person, range(150))), "k").outcomes
    assert set(outcomes) == {APPLIED} and len(tool.members(remote.list_id)) == 150
    assert [one.method for one in tool.requests] == ["GET", "POST"]


@pytest.mark.parametrize("is_nested", [True, False])
def test_who_failed_to_be_removed_is_asked_for_one_by_one(
    tool: BrevoServer, destination: Brevo, remote: RemoteList, is_nested: bool
) -> None:
    tool.is_nested = is_nested
    tool.add_contact("on@example.com", 11, 12)
    tool.add_contact("elsewhere@example.com", 12)
    tool.add_contact("stuck@example.com", 11)
    tool.stuck = {"stuck@example.com"}
    who = [Item(f"{name}@example.com") for name in ("on", "elsewhere", "absent", "stuck")]
    outcomes = destination.send(remote, "remove", who, "k").outcomes
    assert outcomes == (APPLIED, ALREADY, ALREADY, Outcome("unknown", "not_removed"))
    assert tool.contacts["on@example.com"]["listIds"] == {12} and len(tool.contacts) == 3


def test_a_call_that_would_change_nobody_is_no_refusal(
    tool: BrevoServer, destination: Brevo, remote: RemoteList
) -> None:
    absent = destination.send(remote, "remove", [Item("absent@example.com")], "k")
    assert absent.outcomes == (ALREADY,) and not absent.is_refused_whole
    tool.add_contact("person1@example.com", 11)
    there = destination.send(remote, "add", items(destination, person(1)), "k")
    assert there.outcomes == (APPLIED,) and not there.is_refused_whole


def test_another_refusal_is_one_of_the_whole_call(tool: BrevoServer, destination: Brevo, remote: RemoteList) -> None:
    who = items(destination, *map(person, range(151)))
    outcome = destination.send(remote, "add", who, "k")
    assert outcome.is_refused_whole and {one.code for one in outcome.outcomes} == {"invalid_parameter"}
    assert tool.contacts == {}


@pytest.mark.parametrize("body", [None, {}, {"contacts": {}}, {"contacts": {"failure": []}}])
def test_an_answer_without_names_proves_nothing(body: Any) -> None:
    class Silent(BrevoServer):
        def answer(self, request: Request) -> Response:
            return Response(201, body) if request.method == "POST" and self.lists else super().answer(request)

    silent = Silent()
    destination = brevo(silent)
    remote = destination.ensure_list(SPEC)
    for operation in ("add", "remove"):
        outcomes = destination.send(remote, operation, items(destination, person(1)), "k").outcomes
        assert [one.proof for one in outcomes] == ["unknown"]
    written_one = destination.send(remote, "add", items(destination, person(1, orders=1)), "k").outcomes
    silent.close()
    assert [one.proof for one in written_one] == ["unknown"]


def test_attributes_arrive_in_capitals_and_in_the_type_that_brevo_has_for_them(
    tool: BrevoServer, destination: Brevo, remote: RemoteList
) -> None:
    given = {
        "firstname": "Zoë",
        "lifecycle_stage": "lapsed",
        "orders": Decimal("12.50"),
        "vip": True,
        "seen": datetime(2026, 10, 1, 23, 30),
    }
    assert destination.send(remote, "add", items(destination, person(1, **given)), "k").outcomes == (APPLIED,)
    assert tool.contacts["person1@example.com"]["attributes"] == {
        "FIRSTNAME": "Zoë",
        "LIFECYCLE_STAGE": "lapsed",
        "ORDERS": 12.5,
        "VIP": True,
        "SEEN": "2026-10-01",
    }
    later = person(1, seen=date(2026, 11, 2), lifecycle_stage=3, firstname=None, orders=float("inf"))
    assert destination.send(remote, "update", items(destination, later), "k2").outcomes == (APPLIED,)
    assert tool.contacts["person1@example.com"]["attributes"] == {
        "FIRSTNAME": "Zoë",
        "LIFECYCLE_STAGE": "3",
        "ORDERS": 12.5,
        "VIP": True,
        "SEEN": "2026-11-02",
    }


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        ({"shoe_size": 43, "orders": 1}, "no contact attribute SHOE_SIZE"),
        ({"clv": 1.5}, "no contact attribute CLV"),
        ({"orders": "many"}, "ORDERS has the type float"),
        ({"vip": 1}, "VIP has the type boolean"),
        ({"seen": 20261001}, "SEEN has the type date"),
    ],
)
def test_an_attribute_that_brevo_would_ignore_is_said_and_nobody_is_written(
    tool: BrevoServer, destination: Brevo, remote: RemoteList, attributes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(LifecycleError, match=problem) as raised:
        destination.send(remote, "add", items(destination, person(1, **attributes)), "k")
    assert "attributes" in raised.value.remedy and "many" not in str(raised.value)
    assert tool.contacts == {}


def test_nobody_else_is_removed_or_changed(tool: BrevoServer, destination: Brevo, remote: RemoteList) -> None:
    tool.add_contact("byhand@example.com", 11, 12, FAVOURITE="tea")
    tool.add_contact("person1@example.com", 12, FAVOURITE="coffee")
    destination.send(remote, "add", items(destination, person(1, orders=3), person(2, orders=4)), "k")
    destination.send(remote, "remove", [Item("person1@example.com"), Item("person2@example.com")], "k2")
    assert tool.contacts["byhand@example.com"]["listIds"] == {11, 12}
    kept = tool.contacts["person1@example.com"]
    assert kept["listIds"] == {12} and kept["attributes"] == {"FAVOURITE": "coffee", "ORDERS": 3}
    assert "person2@example.com" in tool.contacts
    assert not [one for one in tool.requests if "all" in (one.json or {}) or one.method == "DELETE"]


def test_who_comes_too_early_is_for_later_and_so_is_who_comes_after(
    tool: BrevoServer, destination: Brevo, remote: RemoteList
) -> None:
    tool.early = {"person2@example.com"}
    who = items(destination, *(person(number, orders=number) for number in range(1, 5)))
    outcomes = destination.send(remote, "add", who, "k").outcomes
    assert [(one.proof, one.code) for one in outcomes] == [("applied", "")] + [("retry", "busy")] * 3
    assert len(written(tool)) == 2
    tool.early = set()
    again = send_batch(destination, remote, "add", who, "k", sleep=lambda _: None)
    assert set(again) == {APPLIED}


def test_after_somebody_of_whom_it_is_not_known_nobody_else_is_waited_for(
    tool: BrevoServer, destination: Brevo, remote: RemoteList
) -> None:
    tool.fail_next("error", times=5)
    who = items(destination, *(person(number, orders=number) for number in range(1, 4)))
    outcomes = destination.send(remote, "add", who, "k").outcomes
    assert [one.proof for one in outcomes] == ["unknown"] * 3
    assert len(written(tool)) == 5 and tool.contacts == {}


@pytest.mark.parametrize("header", ["Retry-After", "x-sib-ratelimit-reset"])
def test_a_busy_brevo_is_waited_for_as_it_says(header: str) -> None:
    class Busy(BrevoServer):
        def answer(self, request: Request) -> Response:
            return Response(429, {"code": "too_many_requests", "message": ""}, {header: "1200"})

    busy = Busy()
    outcome = brevo(busy).send(RemoteList("11"), "remove", [Item("person1@example.com")], "k")
    busy.close()
    assert outcome.outcomes == (Outcome("retry", "busy", after=1200.0),) and len(busy.requests) == 1


def test_a_list_that_is_gone_is_said_and_not_made_again(
    tool: BrevoServer, destination: Brevo, remote: RemoteList
) -> None:
    who = items(destination, person(1), person(2, orders=3))
    tool.lists.clear()
    for operation in OPERATIONS:
        with pytest.raises(LifecycleError, match="has no list 11") as raised:
            destination.send(remote, operation, who, "k")
        assert "list_id" in raised.value.remedy
    with pytest.raises(LifecycleError, match="has no list 11"):
        list(destination.read_back(remote))
    assert tool.lists == {} and tool.contacts == {}


def test_a_list_of_the_settings_is_used_and_one_that_is_not_there_is_said(tool: BrevoServer) -> None:
    tool.lists[99] = "VIPs"
    assert brevo(tool, list_id=99, folder_id=None).check().is_ready
    assert brevo(tool, list_id=99, folder_id=None).ensure_list(SPEC) == RemoteList("99", "VIPs")
    assert brevo(tool).ensure_list(replace(SPEC, list_id="99")).list_id == "99"
    health = brevo(tool, list_id=98).check()
    assert not health.is_ready and "98" in health.problem and "list_id" in health.remedy
    with pytest.raises(LifecycleError, match="98"):
        brevo(tool, list_id=98).ensure_list(SPEC)
    assert list(tool.lists) == [99]


def test_a_list_is_made_in_a_folder_and_nowhere_else(tool: BrevoServer) -> None:
    with pytest.raises(LifecycleError, match="in a folder alone") as raised:
        brevo(tool, folder_id=None).ensure_list(SPEC)
    assert "folder_id" in raised.value.remedy
    with pytest.raises(LifecycleError, match="invalid_parameter") as raised:
        brevo(tool, folder_id=8).ensure_list(SPEC)
    assert "folder_id" in raised.value.remedy and tool.lists == {}


@pytest.mark.parametrize("fault", ["error", "lost_answer"])
def test_a_list_whose_making_was_not_answered_is_made_once(tool: BrevoServer, destination: Brevo, fault: str) -> None:
    tool.fail_next(fault)
    with pytest.raises(LifecycleError, match="does not answer"):
        destination.ensure_list(SPEC)
    assert len([one for one in tool.requests if one.method == "POST"]) == 1
    destination.ensure_list(SPEC)
    assert len(tool.lists) == 1


def test_the_sync_s_list_is_found_among_many_and_two_of_a_name_are_not_guessed_between(
    tool: BrevoServer, destination: Brevo
) -> None:
    tool.lists = {number: f"other {number}" for number in range(100, 220)} | {219: SPEC.sync_name}
    assert destination.ensure_list(replace(SPEC, title="Sleepers")).list_id == "219"
    tool.lists[300] = SPEC.sync_name
    with pytest.raises(LifecycleError, match="2 lists") as raised:
        destination.ensure_list(SPEC)
    assert "list_id" in raised.value.remedy


def test_an_address_that_may_not_call_and_a_silent_brevo_are_said_with_what_to_do(
    tool: BrevoServer, destination: Brevo
) -> None:
    health = brevo(tool, "another").check()
    assert not health.is_ready and "401" in health.problem and "Authorised IPs" in health.remedy
    tool.fail_next("error", times=20, any_call=True)
    assert "does not answer" in destination.check().problem
    with pytest.raises(LifecycleError, match="does not answer"):
        destination.ensure_list(SPEC)


def test_a_list_of_many_pages_is_read_to_its_end(tool: BrevoServer, destination: Brevo, remote: RemoteList) -> None:
    for number in range(1_203):
        tool.add_contact(f"Person{number}@example.com", 11)
    tool.add_contact("", 11)
    found = list(destination.read_back(remote))
    assert len(found) == 1_203 and set(found) == {f"person{number}@example.com" for number in range(1_203)}
    assert [one.query["offset"] for one in tool.requests if one.path.endswith("/contacts")] == ["0", "500", "1000"]


def test_somebody_is_forgotten_altogether_when_that_is_asked_for(tool: BrevoServer, destination: Brevo) -> None:
    tool.add_contact("o'hara+tag@example.com", 11)
    outcomes = destination.erase([Item("o'hara+tag@example.com"), Item("absent@example.com")]).outcomes
    assert outcomes == (APPLIED, ALREADY) and tool.contacts == {}


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"email": " Jane.Doe@Example.COM "}, "jane.doe@example.com"),
        ({"email": "jürgen@bücher.example"}, "jürgen@bücher.example"),
        ({"email": "o'hara+tag@example.com"}, "o'hara+tag@example.com"),
        ({"email": " "}, "no_email"),
        ({"phone": "+49301000001"}, "no_email"),
        ({"email": "not-an-email"}, "bad_email"),
        ({"email": "A1" * 32}, "already_hashed"),
    ],
)
def test_people_are_written_as_brevo_writes_them(given: dict[str, str], key: str) -> None:
    found = Brevo("brevo", SecretStr("x")).encode(Member("c1", given))
    assert (found.code if isinstance(found, Veto) else found.key) == key
    if isinstance(found, Veto):
        assert not any(value.strip() and value in found.message for value in given.values())


def test_it_is_made_from_the_settings() -> None:
    kind: Any = class_of("brevo")
    assert kind is Brevo and kind.vendor == "Brevo"
    options = Brevo.Options.model_validate({"api_key": "xkeysib-secret", "folder_id": 7})
    made = Brevo.from_options("mail", options, Settings.model_construct())
    assert (made.url, made.folder_id, made.list_id) == ("https://api.brevo.com/v3", 7, None)
    assert "xkeysib-secret" not in f"{made!r} {made.account} {options!r}"
    assert replace(made, api_key=SecretStr("xkeysib-other")).account != made.account


# --- Brevo's own description ------------------------------------------------------------------------------------------

NOT_IN_THE_CUT = re.compile(r"GET /contacts/(attributes|[^/]+@[^/]+|lists|lists/[^/]+)|POST /contacts/lists")
"""What the cut of Brevo's description does not have: questions, and making a list."""


def test_every_request_is_one_that_brevo_describes(tool: BrevoServer, destination: Brevo) -> None:
    spec = vendor_spec("brevo")
    assert destination.check().is_ready
    remote = destination.ensure_list(SPEC)
    destination.send(remote, "add", items(destination, person(1, firstname="Zoë", orders=3, vip=True), person(2)), "k")
    destination.send(remote, "remove", [Item("person1@example.com"), Item("absent@example.com")], "k")
    list(destination.read_back(remote))
    destination.erase([Item("person2@example.com")])
    described = [one for one in tool.requests if not NOT_IN_THE_CUT.fullmatch(f"{one.method} {one.path}")]
    assert {(one.method, one.path) for one in described} == {
        ("POST", "/contacts"),
        ("POST", "/contacts/lists/11/contacts/add"),
        ("POST", "/contacts/lists/11/contacts/remove"),
        ("GET", "/contacts/lists/11/contacts"),
        ("DELETE", "/contacts/person2@example.com"),
    }
    # As they stand in the address, which is what the description is about.
    described = [replace(one, path=quote(one.path)) for one in described]
    assert [problem for problem in map(spec.problem, described) if problem] == []


def test_a_request_that_brevo_does_not_describe_is_refused() -> None:
    spec = vendor_spec("brevo")
    headers = {"content-type": "application/json", "api-key": "x"}

    def problem(body: Any, method: str = "POST", path: str = "/contacts", **query: str) -> str | None:
        return spec.problem(Request(method, path, query, headers, json.dumps(body) if body else ""))

    assert problem({"email": "a@example.com", "listIds": [11], "attributes": {"ORDERS": 3}}) is None
    assert problem({"email": "a@example.com", "listIds": ["11"]})
    assert problem({"email": "a@example.com", "attributes": {"ORDERS": {"count": 3}}})
    assert problem({"emails": ["a@example.com"]}, path="/contacts/lists/lapsed/contacts/add")
    assert problem(["a@example.com"], path="/contacts/lists/11/contacts/add")
    assert problem(None, "GET", "/contacts/lists/11/contacts", limit="501")
    assert problem(None, "GET", "/contacts/lists/11/contacts", limit="500", sort="asc") is None
    without_key = Request("POST", "/contacts", {}, {"content-type": "application/json"}, '{"email": "a@example.com"}')
    assert spec.problem(without_key)
