"""HubSpot, against a server that stands in its place.

HubSpot's API description may not be passed on, so the server is made from its public documentation alone:
- lists (create, by name, by id, search, memberships add-and-remove and paging):
  https://developers.hubspot.com/docs/api-reference/crm-lists-v3/guide and
  https://developers.hubspot.com/docs/api-reference/latest/crm/lists/memberships/update-list-memberships
- contacts (batch/upsert by email, batch/read, gdpr-delete):
  https://developers.hubspot.com/docs/api-reference/legacy/crm/objects/contacts/batch/upsert-contacts and
  https://developers.hubspot.com/docs/api-reference/legacy/crm/objects/contacts/gdpr/gdpr-delete-contact
- errors, 207 with ``objectWriteTraceId``, 423, 477: https://developers.hubspot.com/docs/api-reference/error-handling
- limits: https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from lifecycle.errors import LifecycleError
from lifecycle.publishing.batches import send_batch
from lifecycle.publishing.destinations import class_of
from lifecycle.publishing.destinations.hubspot import HubSpot
from lifecycle.publishing.destinations.members import Encoded, Item, ListSpec, Member, RemoteList, Veto
from lifecycle.publishing.testing import DestinationContract, Request, Response, ToolServer

SPEC = ListSpec("lapsed_to_tool", "Lapsed customers")
CONTACTS = "/crm/v3/objects/contacts"


class HubSpotServer(ToolServer):
    """HubSpot. ``contacts`` by record id; ``lists`` by list id, with the record ids on them."""

    def __init__(self) -> None:
        self.contacts: dict[str, dict[str, str]] = {}
        self.lists: dict[str, dict[str, Any]] = {}
        self.properties = {"lifecycle_stage", "score", "is_vip", "last_order_at", "birthday", "spent"}
        self.blocked: set[str] = set()
        self.locked = 0
        self.refuses = "by member"
        """``by member``: 207 and the trace of each refused input. ``unnamed``: 207 without a trace. ``whole``: 400."""
        self.leaves_out_empty = False
        self.only = ""
        """Faults hit calls with this in their path alone."""
        self.records = 100
        super().__init__()

    def is_write(self, request: Request) -> bool:
        asks = request.method == "GET" or request.path.endswith(("/lists/search", "/batch/read"))
        return not asks and self.only in request.path

    def unauthorized(self) -> Response:
        return error(401, "INVALID_AUTHENTICATION", "Authentication credentials not found.")

    def members(self, list_id: str) -> set[str]:
        return {self.contacts[record].get("email", record) for record in self.lists[list_id]["records"]}

    def contact(self, **properties: str) -> str:
        self.records += 1
        self.contacts[str(self.records)] = properties
        return str(self.records)

    def make_list(self, name: str, kind: str = "MANUAL", of: str = "0-1") -> str:
        list_id = str(len(self.lists) + 1)
        self.lists[list_id] = {"name": name, "processingType": kind, "objectTypeId": of, "records": set()}
        return list_id

    def known_by(self, email: str) -> str | None:
        for record, properties in self.contacts.items():
            if email in (properties.get("email"), *properties.get("hs_additional_emails", "").split(";")):
                return record
        return None

    def calls(self, path: str) -> int:
        return sum(path in request.path for request in self.requests)

    def answer(self, request: Request) -> Response:
        if request.text and request.headers.get("content-type") != "application/json":
            return error(415, "VALIDATION_ERROR", "Unsupported Media Type")
        parts = request.path.strip("/").split("/")[2:]
        match parts, request.method:
            case ["objects", "contacts"], "GET":
                return Response(200, {"results": []})
            case ["objects", "contacts", "batch", "upsert"], "POST":
                return self._upsert(request.json["inputs"])
            case ["objects", "contacts", "batch", "read"], "POST":
                return self._read(request.json)
            case ["objects", "contacts", "gdpr-delete"], "POST":
                return self._forget(request.json)
            case ["lists"], "POST":
                return self._create(request.json)
            case ["lists", "search"], "POST":
                return Response(200, {"lists": [], "hasMore": False, "offset": 0, "total": 0})
            case ["lists", "object-type-id", of, "name", name], "GET":
                found = [one for one, is_ in self.lists.items() if (is_["name"], is_["objectTypeId"]) == (name, of)]
                return self._list(found[0]) if found else not_found()
            case ["lists", list_id], "GET":
                return self._list(list_id) if list_id in self.lists else not_found()
            case ["lists", list_id, "memberships", *rest], method:
                if list_id not in self.lists:
                    return not_found()
                return self._page(list_id, request.query) if method == "GET" else self._change(list_id, rest, request)
        return not_found()

    def _list(self, list_id: str) -> Response:
        shown = {name: value for name, value in self.lists[list_id].items() if name != "records"}
        return Response(200, {"list": {"listId": list_id, "processingStatus": "COMPLETE", "listVersion": 1, **shown}})

    def _create(self, body: dict[str, str]) -> Response:
        if set(body) != {"name", "objectTypeId", "processingType"}:
            return error(400, "VALIDATION_ERROR", "name, objectTypeId and processingType are required")
        if body["name"] in {one["name"] for one in self.lists.values()}:
            return error(400, "VALIDATION_ERROR", "A list with this name already exists")
        return self._list(self.make_list(body["name"], body["processingType"], body["objectTypeId"]))

    def _upsert(self, inputs: list[dict[str, Any]]) -> Response:
        if self.locked:
            self.locked -= 1
            return error(423, "LOCKED", "The resource is locked")
        ids = [one["id"] for one in inputs]
        if len(inputs) > 100 or len(set(ids)) < len(ids):
            return error(400, "VALIDATION_ERROR", "at most 100 inputs, each id once")
        results, errors = [], []
        for one in inputs:
            assert one["idProperty"] == "email"
            problem = self._problem(one)
            if problem is None:
                record = self.known_by(one["id"]) or self.contact(email=one["id"])
                self.contacts[record] |= one["properties"]
                results.append({"id": record, "new": False, "properties": dict(self.contacts[record])})
                if "objectWriteTraceId" in one and self.refuses == "by member":
                    results[-1]["objectWriteTraceId"] = one["objectWriteTraceId"]
                continue
            context = {"objectWriteTraceId": [one["objectWriteTraceId"]]} if self.refuses == "by member" else {}
            said = {
                "status": "error",
                "category": "VALIDATION_ERROR",
                "message": f"Property values were not valid: {one['id']}",
                "context": context,
                "errors": [{"message": f"{one['id']} is not valid", "code": problem}],
            }
            if self.refuses == "whole":
                return Response(400, said)
            errors.append(said)
        body = {"status": "COMPLETE", "results": results}
        return Response(207, body | {"numErrors": len(errors), "errors": errors}) if errors else Response(200, body)

    def _problem(self, one: dict[str, Any]) -> str | None:
        if any(not isinstance(value, str) for value in one["properties"].values()):
            return "INVALID_TYPE"
        if set(one["properties"]) - self.properties:
            return "PROPERTY_DOESNT_EXIST"
        if not re.fullmatch(r"[^@\s]+@[^@\s]+\.\w+", one["id"]) or one["id"] == "refused@example.com":
            return "INVALID_EMAIL"
        return "CONTACT_BLOCKED" if one["id"] in self.blocked else None

    def _read(self, body: dict[str, Any]) -> Response:
        ids = [one["id"] for one in body["inputs"]]
        if len(ids) > 100:
            return error(400, "VALIDATION_ERROR", "at most 100 inputs")
        found = {
            one: self.known_by(one) if body.get("idProperty") == "email" else (one if one in self.contacts else None)
            for one in ids
        }
        results = [
            {"id": record, "properties": {name: self.contacts[record].get(name) for name in body["properties"]}}
            for record in found.values()
            if record is not None
        ]
        absent = [one for one, record in found.items() if record is None]
        if not absent:
            return Response(200, {"status": "COMPLETE", "results": results})
        said = {
            "status": "error",
            "category": "OBJECT_NOT_FOUND",
            "message": "Could not get some CONTACT objects, they may be deleted or not exist.",
            "context": {"ids": absent},
        }
        return Response(207, {"status": "COMPLETE", "results": results, "numErrors": 1, "errors": [said]})

    def _change(self, list_id: str, rest: list[str], request: Request) -> Response:
        if (rest, request.method) != (["add-and-remove"], "PUT"):
            # Deleting all memberships, say: nothing that a destination may ever ask for.
            return error(405, "METHOD_NOT_ALLOWED", "not here")
        if self.lists[list_id]["processingType"] == "DYNAMIC":
            return error(400, "VALIDATION_ERROR", "the list must be MANUAL or SNAPSHOT")
        to_add, to_remove = request.json["recordIdsToAdd"], request.json["recordIdsToRemove"]
        assert all(isinstance(record, str) for record in (*to_add, *to_remove))
        on_list: set[str] = self.lists[list_id]["records"]
        missing = [record for record in (*to_add, *to_remove) if record not in self.contacts]
        added = [record for record in to_add if record not in missing and record not in on_list]
        removed = [record for record in to_remove if record in on_list]
        on_list |= set(added)
        on_list -= set(removed)
        body = {"recordsIdsAdded": added, "recordIdsRemoved": removed, "recordIdsMissing": missing}
        return Response(200, {name: ids for name, ids in body.items() if ids or not self.leaves_out_empty})

    def _page(self, list_id: str, query: dict[str, str]) -> Response:
        limit = int(query.get("limit", 100))
        if limit > 250:
            return error(400, "VALIDATION_ERROR", "limit is at most 250")
        records = sorted(self.lists[list_id]["records"], key=int)
        start = int(query.get("after", 0))
        page = {"results": [{"recordId": record, "membershipTimestamp": "2026-11-24T00:00:00Z"} for record in records]}
        page["results"] = page["results"][start : start + limit]
        if start + limit < len(records):
            return Response(200, page | {"paging": {"next": {"after": str(start + limit), "link": "…"}}})
        return Response(200, page)

    def _forget(self, body: dict[str, str]) -> Response:
        assert body["idProperty"] == "email"
        record = self.known_by(body["objectId"])
        self.blocked.add(body["objectId"])
        if record is not None:
            del self.contacts[record]
            for one in self.lists.values():
                one["records"].discard(record)
        return Response(204)


def error(status: int, category: str, message: str) -> Response:
    return Response(status, {"status": "error", "category": category, "message": message, "correlationId": "c-1"})


def not_found() -> Response:
    return error(404, "OBJECT_NOT_FOUND", "not found")


class TestHubSpot(DestinationContract):
    def make_tool(self) -> HubSpotServer:
        return HubSpotServer()

    def make_destination(self, tool: ToolServer, *, secret: str | None = None, **options: Any) -> HubSpot:
        given: dict[str, Any] = {"calls": 100_000, "pause": 0.001} | options
        return HubSpot("crm", SecretStr(secret or tool.secret), tool.url, **given)

    def deliver(self, destination: HubSpot, remote: RemoteList, *members: Member) -> list[Item]:
        items = self.items(destination, *members)
        outcomes = self.sent(destination, remote, "add", items)
        assert all(outcome.is_done for outcome in outcomes), outcomes
        return self.removals(items, outcomes)

    # Lists.

    def test_the_list_is_a_manual_one_of_contacts_named_by_the_syncs_title(
        self, tool: HubSpotServer, remote: RemoteList
    ) -> None:
        (made,) = tool.lists.values()
        assert (made["name"], made["processingType"], made["objectTypeId"]) == ("Lapsed customers", "MANUAL", "0-1")
        assert remote.title == "Lapsed customers"

    @pytest.mark.parametrize("fault", ["lost_answer", "error"])
    def test_a_list_whose_making_was_not_answered_is_made_once(
        self, tool: HubSpotServer, destination: HubSpot, fault: str
    ) -> None:
        tool.fail_next(fault)
        if fault == "lost_answer":
            assert destination.ensure_list(SPEC).list_id == "1"
        else:
            with pytest.raises(LifecycleError, match="does not answer") as raised:
                destination.ensure_list(SPEC)
            assert raised.value.remedy
            assert destination.ensure_list(SPEC).list_id == "1"
        assert len(tool.lists) == 1

    def test_a_list_that_the_settings_name_is_taken(self, tool: HubSpotServer) -> None:
        first, second = tool.make_list("By hand"), tool.make_list("Snapshot", "SNAPSHOT")
        destination = self.make_destination(tool, list_id=first)
        assert destination.ensure_list(SPEC) == RemoteList(first, "By hand")
        assert destination.ensure_list(ListSpec("x", "X", second)).list_id == second
        assert destination.check().is_ready
        assert len(tool.lists) == 2

    @pytest.mark.parametrize(("kind", "of"), [("DYNAMIC", "0-1"), ("MANUAL", "0-2")])
    def test_a_list_that_members_cannot_be_put_on_is_refused(
        self, tool: HubSpotServer, destination: HubSpot, kind: str, of: str
    ) -> None:
        list_id = tool.make_list("Lapsed customers", kind, of)
        named = self.make_destination(tool, list_id=list_id)
        with pytest.raises(LifecycleError, match="no static list of contacts") as raised:
            named.ensure_list(SPEC)
        assert raised.value.remedy
        assert not named.check().is_ready
        if of == "0-1":
            with pytest.raises(LifecycleError, match="no static list of contacts"):
                destination.ensure_list(SPEC)

    @pytest.mark.parametrize("body", [{}, {"list": {}}, {"list": None}, [], None])
    def test_an_answer_that_holds_no_list_is_none(
        self, tool: HubSpotServer, destination: HubSpot, monkeypatch: pytest.MonkeyPatch, body: Any
    ) -> None:
        monkeypatch.setattr(tool, "_list", lambda _: Response(200, body))
        with pytest.raises(LifecycleError, match="does not answer") as raised:
            destination.ensure_list(SPEC)
        assert raised.value.remedy

    @pytest.mark.parametrize("operation", ["add", "update", "remove"])
    def test_a_list_that_is_gone_is_told_and_not_made_again(
        self, tool: HubSpotServer, destination: HubSpot, remote: RemoteList, operation: Any
    ) -> None:
        items = self.deliver(destination, remote, self.member(1))
        tool.lists.clear()
        given = items if operation == "remove" else self.items(destination, self.member(1))
        with pytest.raises(LifecycleError, match="is gone") as raised:
            destination.send(remote, operation, given, "k2")
        assert raised.value.remedy
        with pytest.raises(LifecycleError, match="is gone"):
            list(destination.read_back(remote))
        with pytest.raises(LifecycleError, match="is gone"):
            self.make_destination(tool, list_id="1").ensure_list(SPEC)
        assert tool.lists == {}

    def test_who_was_put_on_the_list_by_hand_stays(
        self, tool: HubSpotServer, destination: HubSpot, remote: RemoteList
    ) -> None:
        tool.lists[remote.list_id]["records"].add(tool.contact(email="by.hand@example.com"))
        items = self.deliver(destination, remote, self.member(1))
        self.sent(destination, remote, "remove", items, "k2")
        assert tool.members(remote.list_id) == {"by.hand@example.com"}

    def test_who_leaves_stays_a_contact_and_on_other_lists(
        self, tool: HubSpotServer, destination: HubSpot, remote: RemoteList
    ) -> None:
        items = self.deliver(destination, remote, self.member(1))
        other = tool.make_list("Another")
        tool.lists[other]["records"] |= set(tool.contacts)
        before = dict(tool.contacts)
        self.sent(destination, remote, "remove", items, "k2")
        assert tool.members(remote.list_id) == set()
        assert (tool.contacts, tool.members(other)) == (before, {items[0].key})

    # Members.

    def test_a_contact_that_is_there_is_found_by_its_email_and_its_other_properties_stay(
        self, tool: HubSpotServer, destination: HubSpot, remote: RemoteList
    ) -> None:
        record = tool.contact(email="person0001@example.com", firstname="Ada", score="1")
        (outcome,) = self.sent(
            destination,
            remote,
            "add",
            self.items(destination, Member("c1", {"email": " Person0001@Example.COM "}, {"score": 7})),
        )
        assert (outcome.proof, outcome.remote_id) == ("applied", record)
        assert tool.contacts == {record: {"email": "person0001@example.com", "firstname": "Ada", "score": "7"}}

    def test_who_was_a_member_before_is_told_apart(
        self, tool: HubSpotServer, destination: HubSpot, remote: RemoteList
    ) -> None:
        self.deliver(destination, remote, self.member(1))
        outcomes = self.sent(destination, remote, "add", self.items(destination, self.member(1), self.member(2)), "k2")
        assert [outcome.proof for outcome in outcomes] == ["already", "applied"]
        changed = Member("c1", self.member(1).identifiers, {"score": 2})
        (outcome,) = self.sent(destination, remote, "update", self.items(destination, changed), "k3")
        assert outcome.proof == "applied"
        assert {one.get("score") for one in tool.contacts.values()} == {"2", None}

    def test_attributes_arrive_as_text(self, tool: HubSpotServer, remote: RemoteList) -> None:
        destination = self.make_destination(tool, properties={"net_revenue_amount": "spent"})
        berlin = timezone(timedelta(hours=1))
        attributes = {
            "lifecycle_stage": "lapsed",
            "score": 0.1,
            "is_vip": True,
            "birthday": date(1990, 2, 3),
            "last_order_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=berlin),
            "net_revenue_amount": Decimal("1234567890.1200"),
        }
        self.deliver(destination, remote, Member("c1", {"email": "a@example.com"}, attributes))
        (contact,) = tool.contacts.values()
        assert contact == {
            "email": "a@example.com",
            "lifecycle_stage": "lapsed",
            "score": "0.1",
            "is_vip": "true",
            "birthday": "1990-02-03",
            "last_order_at": "2026-01-02T02:04:05.000Z",
            "spent": "1234567890.1200",
        }

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (None, ""),
            (False, "false"),
            (0, "0"),
            (1e20, "100000000000000000000"),
            (Decimal("1E+3"), "1000"),
            (datetime(2026, 1, 2), "2026-01-02T00:00:00.000Z"),
            (datetime(2026, 1, 2, 3, 4, 5, 678_999, UTC), "2026-01-02T03:04:05.678Z"),
            ("ünï", "ünï"),
        ],
    )
    def test_a_value_is_written_plainly(self, destination: HubSpot, value: Any, text: str) -> None:
        found = destination.encode(Member("c1", {"email": "a@example.com"}, {"score": value}))
        assert isinstance(found, Encoded) and found.body == {"properties": {"score": text}}

    @pytest.mark.parametrize(
        ("email", "expected"),
        [
            ("user.name+NYC@Example.com", "user.name+nyc@example.com"),
            ("\tA@B.co\n", "a@b.co"),
            ("", "no_email"),
            ("   ", "no_email"),
            ("nobody", "no_email"),
            ("A" * 64, "already_hashed"),
            ("0a" * 32, "already_hashed"),
        ],
    )
    def test_emails_are_written_as_hubspot_keeps_them(self, destination: HubSpot, email: str, expected: str) -> None:
        found = destination.encode(Member("c1", {"email": email}))
        assert (found.code if isinstance(found, Veto) else found.key) == expected
        if isinstance(found, Veto) and email.strip():
            assert email.strip() not in found.message

    # What is refused.

    def test_a_bad_address_is_told_by_the_one_call_that_takes_the_others(
        self, tool: HubSpotServer, destination: HubSpot, remote: RemoteList
    ) -> None:
        bad = self.bad_member()
        assert bad is not None
        items = self.items(destination, self.member(1), bad, self.member(2))
        outcomes = self.sent(destination, remote, "add", items)
        assert [outcome.proof for outcome in outcomes] == ["applied", "rejected", "applied"]
        assert outcomes[1].code == "invalid_email"
        assert tool.calls("batch/upsert") == 1

    @pytest.mark.parametrize("refuses", ["unnamed", "whole"])
    def test_a_refusal_that_names_nobody_is_traced_by_halves(
        self, tool: HubSpotServer, destination: HubSpot, remote: RemoteList, refuses: str
    ) -> None:
        tool.refuses = refuses
        bad = self.bad_member()
        assert bad is not None
        items = self.items(destination, *(self.member(number) for number in range(1, 8)), bad)
        outcomes = self.sent(destination, remote, "add", items)
        assert [outcome.is_done for outcome in outcomes] == [True] * 7 + [False]
        assert (outcomes[7].proof, outcomes[7].code) == ("rejected", "invalid_email")
        assert tool.members(remote.list_id) == {item.key for item in items[:7]}
        assert all(outcome.remote_id for outcome in outcomes[:7])

    @pytest.mark.parametrize("refuses", ["by member", "whole"])
    def test_a_property_that_is_not_there_keeps_everybody_out_and_is_named(
        self, tool: HubSpotServer, destination: HubSpot, remote: RemoteList, refuses: str
    ) -> None:
        tool.refuses = refuses
        everybody = [Member(f"c{i}", {"email": f"p{i}@example.com"}, {"shoe_size": 42}) for i in range(20)]
        items = self.items(destination, *everybody)
        if refuses == "whole":
            with pytest.raises(LifecycleError, match="property_doesnt_exist"):
                self.sent(destination, remote, "add", items)
        else:
            outcomes = self.sent(destination, remote, "add", items)
            assert {(outcome.proof, outcome.code) for outcome in outcomes} == {("rejected", "property_doesnt_exist")}
        assert tool.members(remote.list_id) == set()

    def test_an_input_that_is_not_answered_for_is_not_proved(
        self, tool: HubSpotServer, destination: HubSpot, remote: RemoteList, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        original = tool._upsert

        def forgetful(inputs: list[dict[str, Any]]) -> Response:
            answer = original(inputs)
            return Response(207, answer.body | {"results": answer.body["results"][1:], "numErrors": 0, "errors": []})

        monkeypatch.setattr(tool, "_upsert", forgetful)
        items = self.items(destination, self.member(1), self.member(2))
        answer = destination.send(remote, "add", items, "k")
        assert [outcome.proof for outcome in answer.outcomes] == ["unknown", "applied"]
        assert tool.members(remote.list_id) == {items[1].key}

    def test_a_contact_that_vanishes_between_two_calls_is_sent_again(
        self, tool: HubSpotServer, destination: HubSpot, remote: RemoteList, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        original = tool._change

        def meanwhile_deleted(*given: Any) -> Response:
            tool.contacts.clear()
            return original(*given)

        monkeypatch.setattr(tool, "_change", meanwhile_deleted)
        (outcome,) = destination.send(remote, "add", self.items(destination, self.member(1)), "k").outcomes
        assert (outcome.proof, outcome.code) == ("retry", "record_missing")

    @pytest.mark.parametrize("verb", ["add", "remove"])
    @pytest.mark.parametrize("fault", ["busy", "error", "lost_answer", "html", "empty"])
    def test_a_fault_of_the_second_call_alone_is_overcome(
        self, tool: HubSpotServer, destination: HubSpot, remote: RemoteList, fault: str, verb: Any
    ) -> None:
        here = self.deliver(destination, remote, self.member(9)) if verb == "remove" else []
        tool.only = "memberships"
        tool.fail_next(fault)
        items = here or self.items(destination, self.member(9))
        (outcome,) = self.sent(destination, remote, verb, items, "k2")
        assert outcome.is_done and tool.faults == []
        assert tool.members(remote.list_id) == ({items[0].key} if verb == "add" else set())

    def test_a_locked_record_is_for_later(self, tool: HubSpotServer, destination: HubSpot, remote: RemoteList) -> None:
        tool.locked = 1
        items = self.items(destination, self.member(1))
        waited: list[float] = []
        (outcome,) = send_batch(destination, remote, "add", items, "k", sleep=waited.append)
        assert outcome.is_done and waited == [2.0]

    def test_a_limit_that_does_not_say_when_it_ends_is_waited_for(
        self, tool: HubSpotServer, destination: HubSpot, remote: RemoteList, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        original, answers = (
            tool.answer,
            [Response(429, {"policyName": "TEN_SECONDLY_ROLLING", "errorType": "RATE_LIMIT"})],
        )
        monkeypatch.setattr(tool, "answer", lambda request: answers.pop() if answers else original(request))
        (outcome,) = self.sent(destination, remote, "add", self.items(destination, self.member(1)))
        assert outcome.is_done

    def test_empty_parts_of_an_answer_may_be_left_out(
        self, tool: HubSpotServer, destination: HubSpot, remote: RemoteList
    ) -> None:
        tool.leaves_out_empty = True
        items = self.deliver(destination, remote, self.member(1))
        assert self.deliver(destination, remote, self.member(1)) == items
        outcomes = [self.sent(destination, remote, "remove", items, key)[0].proof for key in ("k2", "k3")]
        assert outcomes == ["applied", "already"]

    # Who leaves.

    def test_a_record_id_that_was_never_told_is_looked_up(
        self, tool: HubSpotServer, destination: HubSpot, remote: RemoteList
    ) -> None:
        items = self.deliver(destination, remote, self.member(1), self.member(2))
        forgotten = [Item(items[0].key), Item("stranger@example.com"), items[1]]
        outcomes = self.sent(destination, remote, "remove", forgotten, "k2")
        assert [outcome.proof for outcome in outcomes] == ["applied", "already", "applied"]
        assert tool.members(remote.list_id) == set()

    def test_nobody_who_is_no_contact_is_looked_for_on_the_list(
        self, tool: HubSpotServer, destination: HubSpot, remote: RemoteList
    ) -> None:
        (outcome,) = self.sent(destination, remote, "remove", [Item("stranger@example.com")])
        assert outcome.proof == "already"
        assert tool.calls("memberships") == 0

    def test_a_contact_that_was_merged_is_taken_off_under_its_new_record(
        self, tool: HubSpotServer, destination: HubSpot, remote: RemoteList
    ) -> None:
        items = self.deliver(destination, remote, self.member(1))
        (old,) = tool.contacts
        del tool.contacts[old]
        survivor = tool.contact(email="survivor@example.com", hs_additional_emails=f"x@example.com;{items[0].key}")
        tool.lists[remote.list_id]["records"] = {survivor}
        (outcome,) = self.sent(destination, remote, "remove", items, "k2")
        assert outcome.proof == "applied"
        assert tool.lists[remote.list_id]["records"] == set()
        assert survivor in tool.contacts

    def test_a_contact_that_was_deleted_is_not_on_the_list(
        self, tool: HubSpotServer, destination: HubSpot, remote: RemoteList
    ) -> None:
        items = self.deliver(destination, remote, self.member(1))
        tool.contacts.clear()
        tool.lists[remote.list_id]["records"].clear()
        (outcome,) = self.sent(destination, remote, "remove", items, "k2")
        assert outcome.proof == "already"

    # Reading back, forgetting.

    def test_a_long_list_is_read_page_by_page(
        self, tool: HubSpotServer, destination: HubSpot, remote: RemoteList
    ) -> None:
        emails = {f"p{number}@example.com" for number in range(600)}
        tool.lists[remote.list_id]["records"] = {tool.contact(email=email) for email in emails}
        nameless = tool.contact(firstname="No address")
        tool.lists[remote.list_id]["records"].add(nameless)
        found = list(destination.read_back(remote))
        assert len(found) == 601 and set(found) == emails | {nameless}
        assert tool.calls("/memberships") == 3
        assert tool.calls("batch/read") == 8

    def test_who_is_erased_is_gone_for_good(
        self, tool: HubSpotServer, destination: HubSpot, remote: RemoteList
    ) -> None:
        items = self.deliver(destination, remote, self.member(1), self.member(2))
        for _ in range(2):
            answer = destination.erase([items[0], Item("never.seen@example.com")])
            assert all(outcome.is_done for outcome in answer.outcomes)
        assert tool.members(remote.list_id) == {items[1].key}
        assert [one["email"] for one in tool.contacts.values()] == [items[1].key]
        # HubSpot takes the address no more, and says so of that member alone.
        outcomes = self.sent(destination, remote, "add", self.items(destination, self.member(1), self.member(3)), "k3")
        assert [(outcome.proof, outcome.code) for outcome in outcomes] == [
            ("rejected", "contact_blocked"),
            ("applied", ""),
        ]

    # Settings.

    def test_missing_scopes_are_told_with_their_names(
        self, tool: HubSpotServer, destination: HubSpot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        original = tool.answer
        monkeypatch.setattr(
            tool,
            "answer",
            lambda request: error(403, "MISSING_SCOPES", "…") if "lists" in request.path else original(request),
        )
        health = destination.check()
        assert not health.is_ready and "crm.lists.write" in health.remedy

    def test_an_account_that_does_not_answer_is_told(self, tool: HubSpotServer, destination: HubSpot) -> None:
        tool.fail_next("html", times=50, any_call=True)
        health = destination.check()
        assert not health.is_ready and "does not answer" in health.problem and health.remedy

    def test_limits_are_shared_by_syncs_with_the_same_token(self, tool: HubSpotServer) -> None:
        first, second, other = (self.make_destination(tool, secret=one) for one in ("s1", "s1", "s2"))
        assert first.account == second.account != other.account
        assert "s1" not in first.account
        assert self.make_destination(tool, calls=100).limits[0].calls == 100


def test_options_are_checked() -> None:
    assert class_of("hubspot").vendor == HubSpot.vendor
    made = HubSpot.from_options("crm", HubSpot.Options.model_validate({"token": "t0ken"}), None)  # type: ignore[arg-type]
    assert (made.url, made.calls) == ("https://api.hubapi.com", 190)
    assert "t0ken" not in f"{made!r} {made.account}"
    for wrong in ({"properties": {"city": "email"}}, {"calls": 0}, {"calls": 1_000}, {"tokn": "x"}):
        with pytest.raises(ValidationError) as raised:
            HubSpot.Options.model_validate({"token": "t0ken", **wrong})
        assert "t0ken" not in str(raised.value)
