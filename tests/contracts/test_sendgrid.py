"""SendGrid: the contract, what is special about it, and its requests against its own API description."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr

from lifecycle.errors import LifecycleError
from lifecycle.publishing.batches import cut, send_batch
from lifecycle.publishing.destinations import class_of
from lifecycle.publishing.destinations.members import (
    Encoded,
    Item,
    ListSpec,
    Member,
    Operation,
    Outcome,
    RemoteList,
    Veto,
)
from lifecycle.publishing.destinations.sendgrid import SendGrid
from lifecycle.publishing.testing import DestinationContract, Request, Response, ToolServer
from lifecycle.settings import Settings
from tests.contracts.vendor_specs import vendor_spec

SPEC = ListSpec("lapsed_to_tool", "Lapsed customers")
OPERATIONS: tuple[Operation, ...] = ("add", "update", "remove")
LONG_AGO = timedelta(minutes=11)
FIELDS = {
    "x": ("w5678901_T", "Text"),
    "stage": ("w1_T", "Text"),
    "Orders": ("w2_N", "Number"),
    "seen": ("w3_D", "Date"),
    "vip": ("w4_N", "Number"),
}


class SendGridServer(ToolServer):
    """SendGrid's lists, contacts and jobs. It refuses what SendGrid refuses."""

    def __init__(self) -> None:
        self.lists: dict[str, str] = {}
        self.contacts: dict[str, dict[str, Any]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.leaving: list[tuple[str, set[str]]] = []
        """Removals that were accepted and are not done."""
        self.is_slow = False
        """Whether removals stay undone."""
        self.largest = 6_000_000
        self.page = 1_000
        self.asked_before_done = 2
        self.failing: set[str] = set()
        """Addresses that a job takes and then fails for."""
        self.hidden: set[str] = set()
        """Addresses that searches do not find yet."""
        self.ended_ago = timedelta(0)
        super().__init__()
        # Head and body of an answer are written apart; a job of many members is asked for often.
        handler: Any = self._server.RequestHandlerClass
        handler.disable_nagle_algorithm = True

    def members(self, list_id: str) -> set[str]:
        return {one["email"] for one in self.contacts.values() if list_id in one["list_ids"]}

    def add_contact(self, email: str, *list_ids: str) -> str:
        contact_id = str(uuid.uuid4())
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        self.contacts[contact_id] = {"id": contact_id, "email": email, "list_ids": set(list_ids), "updated_at": now}
        return contact_id

    def is_authorized(self, request: Request) -> bool:
        return request.headers.get("authorization") == f"Bearer {self.secret}"

    def is_write(self, request: Request) -> bool:
        return request.method != "GET" and not request.path.endswith("/search/emails")

    def unauthorized(self) -> Response:
        return _error(401, "authorization required")

    def answer(self, request: Request) -> Response:
        if request.text and request.headers.get("content-type") != "application/json":
            return _error(415, "content type is not application/json")
        match request.method, request.path.removeprefix("/v3/marketing/").split("/"):
            case "GET", ["field_definitions"]:
                known = [{"id": one, "name": name, "field_type": kind} for name, (one, kind) in FIELDS.items()]
                return Response(200, {"custom_fields": known, "reserved_fields": []})
            case "PUT", ["contacts"]:
                return self._put(request)
            case "POST", ["contacts", "search", "emails"]:
                return self._search(request.json["emails"])
            case "GET", ["contacts", "imports", job_id] if job_id in self.jobs:
                return self._job(self.jobs[job_id])
            case _, ["lists", *more]:
                return self._lists(request, more)
        return _error(404, "resource not found")

    def _lists(self, request: Request, more: list[str]) -> Response:
        match request.method, more:
            case "GET", []:
                size = min(int(request.query.get("page_size", 100)), self.page)
                start = int(request.query.get("page_token") or 0)
                names = sorted(self.lists)
                url = f"{self.url}/v3/marketing/lists?page_size={size}&page_token="
                metadata = {"self": f"{url}{start}"}
                if start + size < len(names):
                    metadata["next"] = f"{url}{start + size}"
                found = [self._list(one) for one in names[start : start + size]]
                return Response(200, {"result": found, "_metadata": metadata})
            case "POST", []:
                name = request.json["name"]
                if not 1 <= len(name) <= 100 or name in self.lists.values():
                    return _error(400, "the name is not valid", "name")
                list_id = str(uuid.uuid4())
                self.lists[list_id] = name
                return Response(201, self._list(list_id))
            case _, [list_id, *_] if list_id not in self.lists:
                return Response(404, {})
            case "GET", [list_id]:
                return Response(200, self._list(list_id))
            case "GET", [list_id, "contacts", "count"]:
                return Response(200, {"contact_count": len(self.members(list_id)), "billable_count": 0})
            case "DELETE", [list_id, "contacts"]:
                ids = request.query.get("contact_ids", "")
                if not ids:
                    return _error(400, "contact_ids is needed", "contact_ids")
                if len(request.query["contact_ids"]) > 7_000:
                    return Response(414, "too long", {"Content-Type": "text/plain"})
                if not set(ids.split(",")) <= self.contacts.keys():
                    return Response(404, {})
                self.leaving.append((list_id, set(ids.split(","))))
                return Response(202, {"job_id": str(uuid.uuid4())})
        return _error(404, "resource not found")

    def _list(self, list_id: str) -> dict[str, Any]:
        metadata = {"self": f"{self.url}/v3/marketing/lists/{list_id}"}
        return {
            "id": list_id,
            "name": self.lists[list_id],
            "contact_count": len(self.members(list_id)),
            "_metadata": metadata,
        }

    def _put(self, request: Request) -> Response:
        body = request.json
        if len(request.text.encode()) > self.largest or not 1 <= len(body["contacts"]) <= 30_000:
            return _error(400, "too many contacts", "contacts")
        if not set(body["list_ids"]) <= self.lists.keys():
            return _error(404, "a list does not exist", "list_ids")
        kinds = dict(FIELDS.values())
        for contact in body["contacts"]:
            if "@" not in contact.get("email", "") or contact["email"] == "refused@example.com":
                return _error(400, f"email '{contact['email']}' is not valid", "email")
            for one, value in contact.get("custom_fields", {}).items():
                if not _fits(kinds.get(one), value):
                    return _error(400, f"invalid custom field ids supplied - {one}", "custom_fields")
        job_id = str(uuid.uuid4())
        started = f"{datetime.now(UTC) - self.ended_ago:%Y-%m-%dT%H:%M:%SZ}"
        self.jobs[job_id] = {"id": job_id, "body": body, "asked": 0, "status": "pending", "started_at": started}
        return Response(202, {"job_id": job_id})

    def _job(self, job: dict[str, Any]) -> Response:
        job["asked"] += 1
        if job["asked"] >= self.asked_before_done and job["status"] == "pending":
            failed = [one for one in job["body"]["contacts"] if one["email"] in self.failing]
            for contact in job["body"]["contacts"]:
                if contact not in failed:
                    self._upsert(contact, job["body"]["list_ids"])
            requested = len(job["body"]["contacts"])
            job["status"] = "completed" if not failed else "failed" if len(failed) == requested else "errored"
            job["finished_at"] = f"{datetime.now(UTC) - self.ended_ago:%Y-%m-%dT%H:%M:%SZ}"
            job["results"] = {"requested_count": requested, "errored_count": len(failed)}
            if failed:
                job["results"]["errors_url"] = "https://files.example/errors.csv"
        told = {name: value for name, value in job.items() if name not in ("body", "asked")}
        return Response(200, {**told, "job_type": "upsert"})

    def _upsert(self, contact: dict[str, Any], list_ids: list[str]) -> None:
        held = (one["id"] for one in self.contacts.values() if one["email"] == contact["email"])
        known = self.contacts[next(held, None) or self.add_contact(contact["email"])]
        known["custom_fields"] = {**known.get("custom_fields", {}), **contact.get("custom_fields", {})}
        known |= {name: value for name, value in contact.items() if name != "custom_fields"}
        known["list_ids"] |= set(list_ids)
        known["updated_at"] = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"

    def _search(self, emails: list[str]) -> Response:
        if not 1 <= len(emails) <= 100 or any("@" not in one or len(one) > 100 for one in emails):
            return _error(400, "an email is not valid", "emails")
        if self.leaving and not self.is_slow:
            list_id, ids = self.leaving.pop(0)
            for one in ids:
                self.contacts[one]["list_ids"].discard(list_id)
        by_email = {one["email"]: one for one in self.contacts.values() if one["email"] not in self.hidden}
        found: dict[str, dict[str, Any]] = {
            one: {"contact": {**by_email[one], "list_ids": sorted(by_email[one]["list_ids"]), "segment_ids": []}}
            if one in by_email
            else {"error": "contact not found"}
            for one in map(str.lower, emails)
        }
        if not any("contact" in one for one in found.values()):
            return _error(404, "no contacts found")
        return Response(200, {"result": found})


def _fits(kind: str | None, value: Any) -> bool:
    if kind == "Number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "Date":
        return bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", str(value)))
    return kind == "Text" and isinstance(value, str)


def _error(status: int, message: str, field: str | None = None) -> Response:
    return Response(status, {"errors": [{"message": message, "field": field, "error_id": "e"}]})


def sendgrid(tool: ToolServer, secret: str | None = None, **more: Any) -> SendGrid:
    return SendGrid("sendgrid", SecretStr(secret or tool.secret), url=tool.url, pause=0.001, **more)


class TestSendGrid(DestinationContract):
    def make_tool(self) -> SendGridServer:
        return SendGridServer()

    def make_destination(self, tool: ToolServer, *, secret: str | None = None) -> SendGrid:
        return sendgrid(tool, secret)


# --- what is special --------------------------------------------------------------------------------------------------


@pytest.fixture
def tool() -> Iterator[SendGridServer]:
    tool = SendGridServer()
    yield tool
    tool.close()


@pytest.fixture
def destination(tool: SendGridServer) -> SendGrid:
    return sendgrid(tool)


@pytest.fixture
def remote(destination: SendGrid) -> RemoteList:
    return destination.ensure_list(SPEC)


def encoded(destination: SendGrid, member: Member) -> Encoded:
    found = destination.encode(member)
    assert isinstance(found, Encoded), found
    return found


def person(number: int, **attributes: Any) -> Member:
    return Member(f"c{number}", {"email": f"person{number}@example.com"}, attributes)


def items(destination: SendGrid, *members: Member) -> list[Item]:
    return [Item(one.key, one.body) for one in (encoded(destination, member) for member in members)]


def came(destination: SendGrid, remote: RemoteList, operation: Operation, who: list[Item]) -> list[Outcome]:
    """Outcomes of a batch after its jobs have ended, each asked for all of its members."""
    outcomes = send_batch(destination, remote, operation, who, "k", sleep=lambda _: None)
    for handle in {one.handle for one in outcomes if one.handle}:
        places = [place for place, one in enumerate(outcomes) if one.handle == handle]
        found = None
        for _ in range(10):
            found = found or destination.poll(remote, handle, [who[place] for place in places])
        assert found is not None, "the job never came to an end"
        for place, outcome in zip(places, found.outcomes, strict=True):
            outcomes[place] = outcome
    return outcomes


def puts(tool: ToolServer) -> list[Request]:
    return [one for one in tool.requests if one.method == "PUT"]


def test_who_a_job_fails_for_is_rejected_and_all_others_are_proved(
    tool: SendGridServer, destination: SendGrid, remote: RemoteList
) -> None:
    tool.failing, tool.ended_ago = {"person2@example.com"}, LONG_AGO
    outcomes = came(destination, remote, "add", items(destination, *(person(number) for number in range(4))))
    assert [one.proof for one in outcomes] == ["applied", "applied", "rejected", "applied"]
    assert outcomes[2].code == "job_errored" and "person" not in outcomes[2].message
    assert {one.remote_id for one in outcomes if one.is_done} == tool.contacts.keys()


def test_a_job_that_failed_for_everybody_rejects_everybody(
    tool: SendGridServer, destination: SendGrid, remote: RemoteList
) -> None:
    tool.failing, tool.ended_ago = {"person1@example.com"}, LONG_AGO
    outcomes = came(destination, remote, "add", items(destination, person(1)))
    assert [(one.proof, one.code) for one in outcomes] == [("rejected", "job_failed")]


def test_who_was_on_the_list_before_a_failed_update_is_not_taken_for_updated(
    tool: SendGridServer, destination: SendGrid, remote: RemoteList
) -> None:
    for number in (1, 2):
        contact = tool.add_contact(f"person{number}@example.com", remote.list_id)
        tool.contacts[contact]["updated_at"] = "2026-01-01T00:00:00Z"
    tool.failing, tool.ended_ago = {"person2@example.com"}, LONG_AGO
    outcomes = came(destination, remote, "update", items(destination, person(1, stage="a"), person(2, stage="b")))
    assert [one.proof for one in outcomes] == ["applied", "rejected"]


def test_who_is_not_found_yet_is_waited_for_and_then_not_known(
    tool: SendGridServer, destination: SendGrid, remote: RemoteList
) -> None:
    tool.asked_before_done = 1
    tool.hidden = {"person2@example.com"}
    who = items(destination, person(1), person(2))
    handle = destination.send(remote, "add", who, "k").outcomes[0].handle
    assert handle and destination.poll(remote, handle, who) is None
    job = next(iter(tool.jobs.values()))
    job["finished_at"] = f"{datetime.now(UTC) - LONG_AGO:%Y-%m-%dT%H:%M:%SZ}"
    ended = destination.poll(remote, handle, who)
    assert ended is not None
    assert [(one.proof, one.code) for one in ended.outcomes] == [("applied", ""), ("unknown", "not_on_list")]


def test_a_removal_is_proved_by_the_contacts_themselves(
    tool: SendGridServer, destination: SendGrid, remote: RemoteList
) -> None:
    other = str(uuid.uuid4())
    tool.lists[other] = "Newsletter"
    ids = [tool.add_contact(f"person{number}@example.com", remote.list_id, other) for number in (1, 2)]
    tool.is_slow = True
    who = [Item("person1@example.com")]
    outcome = destination.send(remote, "remove", who, "k").outcomes[0]
    assert outcome.proof == "accepted" and outcome.handle
    assert destination.poll(remote, outcome.handle, who) is None
    tool.is_slow = False
    ended = destination.poll(remote, outcome.handle, who)
    assert ended is not None and ended.outcomes[0].proof == "applied"
    assert tool.members(remote.list_id) == {"person2@example.com"}
    assert tool.members(other) == {"person1@example.com", "person2@example.com"} and tool.contacts.keys() == set(ids)


def test_who_is_known_and_not_on_the_list_is_not_asked_to_leave(
    tool: SendGridServer, destination: SendGrid, remote: RemoteList
) -> None:
    contact = tool.add_contact("person1@example.com")
    leaving = [Item("person1@example.com", {}, contact), Item("absent@example.com")]
    assert {one.proof for one in destination.send(remote, "remove", leaving, "k").outcomes} == {"already"}
    assert not [one for one in tool.requests if one.method == "DELETE"]


def test_who_is_not_found_by_address_is_taken_off_by_their_id(
    tool: SendGridServer, destination: SendGrid, remote: RemoteList
) -> None:
    contact = tool.add_contact("person1@example.com", remote.list_id)
    tool.hidden = {"person1@example.com"}
    outcome = destination.send(remote, "remove", [Item("person1@example.com", {}, contact)], "k").outcomes[0]
    assert outcome.proof == "accepted" and tool.leaving == [(remote.list_id, {contact})]


def test_a_contact_that_is_no_more_keeps_nobody_on_the_list(
    tool: SendGridServer, destination: SendGrid, remote: RemoteList
) -> None:
    who = [Item(f"person{number}@example.com") for number in range(5)]
    ids = [tool.add_contact(item.key, remote.list_id) for item in who]
    del tool.contacts[ids[3]]
    leaving = [replace(item, remote_id=one) for item, one in zip(who, ids, strict=True)]
    outcomes = came(destination, remote, "remove", leaving)
    assert [one.proof for one in outcomes] == ["applied"] * 3 + ["already", "applied"]
    assert tool.members(remote.list_id) == set()


def test_many_are_taken_off_in_calls_that_servers_take(
    tool: SendGridServer, destination: SendGrid, remote: RemoteList
) -> None:
    who = [Item(f"person{number}@example.com") for number in range(250)]
    for item in who:
        tool.add_contact(item.key, remote.list_id)
    tool.add_contact("byhand@example.com", remote.list_id)
    assert {one.proof for one in came(destination, remote, "remove", who)} == {"applied"}
    calls = [one.query["contact_ids"].count(",") + 1 for one in tool.requests if one.method == "DELETE"]
    assert calls == [100, 100, 50]
    assert tool.members(remote.list_id) == {"byhand@example.com"} and len(tool.contacts) == 251


def test_no_contact_is_ever_deleted(tool: SendGridServer, destination: SendGrid, remote: RemoteList) -> None:
    who = items(destination, person(1), person(2))
    came(destination, remote, "add", who)
    came(destination, remote, "remove", [Item(item.key) for item in who])
    assert {one.path for one in tool.requests if one.method == "DELETE"} == {
        f"/v3/marketing/lists/{remote.list_id}/contacts"
    }
    assert len(tool.contacts) == 2 and not destination.capabilities.erases


@pytest.mark.parametrize("body", [None, {}, {"result": {}}, {"result": {"other@example.com": {"contact": {}}}}])
def test_a_search_that_says_nothing_of_somebody_is_not_taken_for_their_absence(body: Any) -> None:
    class Silent(SendGridServer):
        def answer(self, request: Request) -> Response:
            return Response(200, body) if request.path.endswith("emails") else super().answer(request)

    silent = Silent()
    destination = sendgrid(silent)
    remote = destination.ensure_list(SPEC)
    silent.add_contact("person1@example.com", remote.list_id)
    outcome = destination.send(remote, "remove", [Item("person1@example.com")], "k").outcomes[0]
    silent.close()
    assert outcome.proof == "unknown"


@pytest.mark.parametrize("fault", ["busy", "error", "html", "empty", "lost_answer"])
def test_a_question_without_an_answer_is_put_again_later(
    tool: SendGridServer, destination: SendGrid, remote: RemoteList, fault: str
) -> None:
    tool.asked_before_done = 1
    who = items(destination, person(1))
    handle = destination.send(remote, "add", who, "k").outcomes[0].handle
    assert handle
    tool.fail_next(fault, times=5, any_call=True)
    assert destination.poll(remote, handle, who) is None
    tool.faults.clear()
    ended = destination.poll(remote, handle, who)
    assert ended is not None and ended.outcomes[0].proof == "applied"


def test_a_job_that_sendgrid_does_not_know_proves_nothing(destination: SendGrid, remote: RemoteList) -> None:
    found = destination.poll(remote, "add nowhere", items(destination, person(1)))
    assert found is not None and found.outcomes == (Outcome("unknown", "status_404"),)


def test_a_list_that_is_gone_is_said_and_not_made_again(
    tool: SendGridServer, destination: SendGrid, remote: RemoteList
) -> None:
    who = items(destination, person(1))
    tool.lists.clear()
    for operation in OPERATIONS:
        with pytest.raises(LifecycleError, match="has no list") as raised:
            destination.send(remote, operation, who, "k")
        assert "list_id" in raised.value.remedy
    with pytest.raises(LifecycleError, match="has no list"):
        destination.read_back(remote)
    assert tool.lists == {} and puts(tool) == []


def test_a_list_of_the_settings_is_used_and_one_that_is_not_there_is_said(tool: SendGridServer) -> None:
    list_id = str(uuid.uuid4())
    tool.lists[list_id] = "VIPs"
    assert sendgrid(tool, list_id=list_id).check().is_ready
    assert sendgrid(tool, list_id=list_id).ensure_list(SPEC) == RemoteList(list_id, "VIPs", 0)
    assert sendgrid(tool).ensure_list(replace(SPEC, list_id=list_id)).list_id == list_id
    health = sendgrid(tool, list_id="absent").check()
    assert not health.is_ready and "absent" in health.problem and "list_id" in health.remedy
    with pytest.raises(LifecycleError, match="absent"):
        sendgrid(tool, list_id="absent").ensure_list(SPEC)
    assert list(tool.lists) == [list_id]


@pytest.mark.parametrize("fault", ["error", "lost_answer"])
def test_a_list_whose_making_was_not_answered_is_made_once(
    tool: SendGridServer, destination: SendGrid, fault: str
) -> None:
    tool.fail_next(fault)
    with pytest.raises(LifecycleError, match="does not answer"):
        destination.ensure_list(SPEC)
    assert len([one for one in tool.requests if one.method == "POST"]) == 1
    destination.ensure_list(SPEC)
    assert len(tool.lists) == 1


def test_the_sync_s_list_is_found_among_many_and_two_of_a_name_are_not_guessed_between(
    tool: SendGridServer, destination: SendGrid, remote: RemoteList
) -> None:
    tool.page = 2
    for number in range(5):
        tool.lists[str(uuid.uuid4())] = f"other {number}"
    assert destination.ensure_list(replace(SPEC, title="Sleepers")).list_id == remote.list_id
    tool.lists[str(uuid.uuid4())] = SPEC.sync_name
    with pytest.raises(LifecycleError, match="2 lists") as raised:
        destination.ensure_list(SPEC)
    assert "list_id" in raised.value.remedy


def test_a_missing_permission_and_a_silent_sendgrid_are_said_with_what_to_do(
    tool: SendGridServer, destination: SendGrid
) -> None:
    class Forbidding(SendGridServer):
        def answer(self, request: Request) -> Response:
            return _error(403, "access forbidden")

    forbidding = Forbidding()
    health = sendgrid(forbidding).check()
    forbidding.close()
    assert not health.is_ready and "403" in health.problem and "Marketing" in health.remedy
    tool.fail_next("error", times=20, any_call=True)
    assert "does not answer" in destination.check().problem
    with pytest.raises(LifecycleError, match="does not answer"):
        destination.ensure_list(SPEC)


@pytest.mark.parametrize("header", ["Retry-After", "X-RateLimit-Reset"])
def test_a_busy_sendgrid_is_waited_for_as_it_says(header: str) -> None:
    class Busy(SendGridServer):
        def answer(self, request: Request) -> Response:
            wait = "1200" if header == "Retry-After" else f"{time.time() + 1200:.0f}"
            return Response(429, {"errors": [{"field": None, "message": "too many requests"}]}, {header: wait})

    busy = Busy()
    outcome = sendgrid(busy).send(RemoteList("x"), "remove", [Item("person1@example.com")], "k").outcomes[0]
    busy.close()
    assert (outcome.proof, outcome.code) == ("retry", "busy")
    assert outcome.after == pytest.approx(1200, abs=5) and len(busy.requests) == 1


def test_attributes_are_custom_fields_by_their_ids_and_fields_of_the_contact(
    tool: SendGridServer, destination: SendGrid, remote: RemoteList
) -> None:
    given = {
        "first_name": "Zoë",
        "stage": "lapsed",
        "orders": Decimal("12.50"),
        "vip": True,
        "seen": date(2026, 10, 1),
        "gone": None,
    }
    assert came(destination, remote, "add", items(destination, person(1, **given)))[0].is_done
    contact = puts(tool)[0].json["contacts"][0]
    assert contact == {
        "email": "person1@example.com",
        "first_name": "Zoë",
        "custom_fields": {"w1_T": "lapsed", "w2_N": 12.5, "w4_N": 1, "w3_D": "2026-10-01T00:00:00Z"},
    }
    moment = datetime(2026, 10, 1, 12, 30, tzinfo=UTC)
    assert came(destination, remote, "update", items(destination, person(1, seen=moment, stage=3)))[0].is_done
    assert puts(tool)[1].json["contacts"][0]["custom_fields"] == {"w3_D": "2026-10-01T12:30:00Z", "w1_T": "3"}


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [({"shoe_size": 43, "stage": "x"}, "no custom field for shoe_size"), ({"orders": "many"}, "the type Number")],
)
def test_an_attribute_that_sendgrid_cannot_keep_is_said_and_nobody_is_sent(
    tool: SendGridServer, destination: SendGrid, remote: RemoteList, attributes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(LifecycleError, match=problem) as raised:
        destination.send(remote, "add", items(destination, person(1, **attributes)), "k")
    assert "attributes" in raised.value.remedy and "many" not in str(raised.value)
    assert puts(tool) == []


def test_a_call_is_never_larger_than_sendgrid_takes(
    tool: SendGridServer, destination: SendGrid, remote: RemoteList
) -> None:
    members = [person(number, stage="ü" * 3_000, orders=number) for number in range(1_500)]
    batches = list(cut([(one.customer_id, encoded(destination, one)) for one in members], destination.capabilities))
    assert len(batches) > 1 and sum(len(batch) for batch in batches) == 1_500
    for batch in batches:
        outcome = destination.send(remote, "add", [Item(one.key, one.body) for _, one in batch], "k")
        assert {one.proof for one in outcome.outcomes} == {"accepted"}
    assert 5_900_000 < max(len(one.text.encode()) for one in puts(tool)) <= 6_000_000


def test_a_member_is_counted_as_large_as_they_are_sent(
    tool: SendGridServer, destination: SendGrid, remote: RemoteList
) -> None:
    one = encoded(destination, person(1, first_name="Zoë", x="", vip=False, seen=date(2026, 1, 1)))
    destination.send(remote, "add", [Item(one.key, one.body)], "k")
    sent = json.dumps(puts(tool)[0].json["contacts"][0], ensure_ascii=False, separators=(",", ":"))
    assert len(sent.encode()) < one.size < len(sent.encode()) + 100


def test_a_refusal_is_one_of_the_whole_call_and_says_no_address(destination: SendGrid, remote: RemoteList) -> None:
    who = items(destination, person(1), Member("bad", {"email": "refused@example.com"}))
    outcome = destination.send(remote, "add", who, "k")
    assert outcome.is_refused_whole
    assert [(one.proof, one.code, one.message) for one in outcome.outcomes] == [("rejected", "email", "")] * 2


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"email": " Jane.Doe@Example.COM "}, "jane.doe@example.com"),
        ({"email": "jürgen@bücher.example"}, "jürgen@bücher.example"),
        ({"email": "o'hara+tag@example.com"}, "o'hara+tag@example.com"),
        ({"email": f"{'a' * 88}@example.com"}, f"{'a' * 88}@example.com"),
        ({"email": f"{'a' * 89}@example.com"}, "email_too_long"),
        ({"email": " "}, "no_email"),
        ({"phone": "+49301000001"}, "no_email"),
        ({"email": "not-an-email"}, "bad_email"),
        ({"email": "A1" * 32}, "already_hashed"),
    ],
)
def test_people_are_written_as_sendgrid_writes_them(given: dict[str, str], key: str) -> None:
    found = SendGrid("sendgrid", SecretStr("x")).encode(Member("c1", given))
    assert (found.code if isinstance(found, Veto) else found.key) == key
    if isinstance(found, Veto):
        assert not any(value.strip() and value in found.message for value in given.values())


def test_a_value_that_a_field_cannot_hold_is_found_before_it_is_sent() -> None:
    destination = SendGrid("sendgrid", SecretStr("x"))
    assert isinstance(destination.encode(person(1, first_name="x" * 50, postal_code="1" * 90)), Encoded)
    found = destination.encode(person(1, first_name="x" * 51))
    assert isinstance(found, Veto) and found.code == "too_long" and "first_name" in found.message


def test_it_is_made_from_the_settings() -> None:
    kind: Any = class_of("sendgrid")
    assert kind is SendGrid and kind.vendor == "SendGrid"
    options = SendGrid.Options.model_validate({"api_key": "SG.secret", "url": "https://api.eu.sendgrid.com"})
    made = SendGrid.from_options("mail", options, Settings.model_construct())
    assert made.url == "https://api.eu.sendgrid.com" and made.list_id is None
    assert "SG.secret" not in f"{made!r} {made.account} {options!r}"
    assert replace(made, api_key=SecretStr("SG.other")).account != made.account


# --- SendGrid's own description ---------------------------------------------------------------------------------------

NOT_IN_THE_CUT = re.compile(
    r"GET /v3/marketing/(field_definitions|contacts/imports/[^/]+|lists|lists/[^/]+|lists/[^/]+/contacts/count)"
    r"|POST /v3/marketing/lists|DELETE /v3/marketing/lists/[^/]+/contacts"
)
"""What the cut of SendGrid's description does not have: it is of contacts alone, and lists have one of their own."""


def test_every_request_is_one_that_sendgrid_describes(tool: SendGridServer) -> None:
    spec = vendor_spec("sendgrid")
    destination = sendgrid(tool)
    assert destination.check().is_ready
    remote = destination.ensure_list(SPEC)
    who = items(destination, person(1, first_name="Zoë", orders=3, stage="lapsed", seen=date(2026, 1, 1)), person(2))
    came(destination, remote, "add", who)
    came(destination, remote, "update", who[:1])
    destination.read_back(remote)
    came(destination, remote, "remove", [Item(item.key) for item in who])
    described = [one for one in tool.requests if not NOT_IN_THE_CUT.fullmatch(f"{one.method} {one.path}")]
    assert {(one.method, one.path) for one in described} == {
        ("PUT", "/v3/marketing/contacts"),
        ("POST", "/v3/marketing/contacts/search/emails"),
    }
    assert [problem for problem in map(spec.problem, described) if problem] == []


def test_a_request_that_sendgrid_does_not_describe_is_refused() -> None:
    spec = vendor_spec("sendgrid")
    headers = {"content-type": "application/json", "authorization": "Bearer x"}
    good = {"list_ids": [str(uuid.uuid4())], "contacts": [{"email": "a@example.com"}]}

    def problem(body: Any, method: str = "PUT", path: str = "/v3/marketing/contacts") -> str | None:
        return spec.problem(Request(method, path, {}, headers, json.dumps(body)))

    assert problem(good) is None
    assert problem({**good, "contacts": []})
    assert problem({**good, "contacts": [{"email": "a@example.com", "first_name": "x" * 51}]})
    assert problem({**good, "list_ids": ["lapsed"]})
    assert problem({"list_ids": good["list_ids"]})
    assert problem({"emails": ["a" * 101]}, "POST", "/v3/marketing/contacts/search/emails")
    assert problem({"emails": "a@example.com"}, "POST", "/v3/marketing/contacts/search/emails")
