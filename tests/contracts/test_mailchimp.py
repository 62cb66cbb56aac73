"""Mailchimp, against a server that stands in its place.

Mailchimp's API description may not be passed on, so the server is made from its public documentation alone:
- members in batches (500, ``status_if_new``, ``update_existing``, ``skip_merge_validation``, ``errors`` within a 200
  with ``error_code``): https://mailchimp.com/developer/marketing/api/lists/batch-subscribe-or-unsubscribe/
- tags as static segments (500 to add or remove, who is not in the audience is passed over):
  https://mailchimp.com/developer/marketing/guides/organize-contacts-with-tags/ and
  https://mailchimp.com/developer/marketing/api/list-segments/batch-add-or-remove-members/
- members of a segment (``include_…``, pages of 1,000):
  https://mailchimp.com/developer/marketing/api/list-segment-members/list-members-in-segment/
- merge fields: https://mailchimp.com/developer/marketing/docs/merge-fields/
- problems, keys and their data centre, ten connections:
  https://mailchimp.com/developer/marketing/docs/fundamentals/ and
  https://mailchimp.com/developer/marketing/docs/errors/
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from lifecycle.errors import LifecycleError
from lifecycle.publishing.destinations import class_of
from lifecycle.publishing.destinations.mailchimp import Mailchimp
from lifecycle.publishing.destinations.members import Encoded, Item, ListSpec, Member, RemoteList, Veto
from lifecycle.publishing.testing import DestinationContract, Request, Response, ToolServer

SPEC = ListSpec("lapsed_to_tool", "Lapsed customers")
AUDIENCE = "a1b2c3d4e5"
STATUSES = {"subscribed", "unsubscribed", "cleaned", "pending", "transactional"}
COMPLIANCE = "{} is in a compliance state due to unsubscribe, bounce, or compliance review and cannot be subscribed."
FORGOTTEN = (
    "{} was permanently deleted and cannot be re-imported. The contact must re-subscribe to get back on the list."
)


class MailchimpServer(ToolServer):
    """Mailchimp. ``contacts`` of the audience by email; ``segments`` by number."""

    def __init__(self) -> None:
        self.contacts: dict[str, dict[str, Any]] = {}
        self.segments: dict[str, dict[str, Any]] = {}
        self.merge_fields = {"FNAME": True, "STAGE": False, "SPENT": False}
        """Tag → whether the audience demands it."""
        self.refused = {"refused@example.com": ("ERROR_GENERIC", "{} looks fake or invalid.")}
        """Address → code and sentence."""
        self.tells_tags = True
        self.only = ""
        """Faults hit calls whose path ends so alone."""
        self.errors_of_segments: list[dict[str, Any]] = []
        super().__init__()

    def is_authorized(self, request: Request) -> bool:
        kind, _, text = request.headers.get("authorization", "").partition(" ")
        return kind == "Basic" and b64decode(text).decode().partition(":")[2] == self.secret

    def is_write(self, request: Request) -> bool:
        return request.method != "GET" and request.path.endswith(self.only)

    def unauthorized(self) -> Response:
        return problem(401, "API Key Invalid")

    def members(self, list_id: str) -> set[str]:
        return {email for email, contact in self.contacts.items() if list_id in contact["tags"]}

    def contact(self, email: str, status: str = "subscribed", *tags: str, **fields: Any) -> None:
        self.contacts[email] = {"status": status, "merge_fields": fields, "tags": set(tags)}

    def segment(self, name: str, kind: str = "static") -> str:
        number = str(7_000 + len(self.segments))
        self.segments[number] = {"name": name, "type": kind}
        return number

    def calls(self, method: str, end: str) -> list[Request]:
        return [one for one in self.requests if one.method == method and one.path.endswith(end)]

    def answer(self, request: Request) -> Response:
        if request.text and request.headers.get("content-type") != "application/json":
            return problem(415, "Unsupported Media Type")
        match request.path.strip("/").split("/"), request.method:
            case ["lists", audience, *_], _ if audience != AUDIENCE:
                return problem(404, "Resource Not Found")
            case ["lists", _], "GET":
                return Response(200, {"id": AUDIENCE})
            case ["lists", _], "POST":
                return self._batch(request)
            case ["lists", _, "merge-fields"], "GET":
                return Response(200, {"merge_fields": [{"tag": tag} for tag in self.merge_fields]})
            case ["lists", _, "segments"], "GET":
                rows = [self._shown(number) for number in self.segments]
                return self._page(request, "segments", [row for row in rows if row["type"] == request.query["type"]])
            case ["lists", _, "segments"], "POST":
                return self._make(request.json)
            case ["lists", _, "segments", number, *_], _ if number not in self.segments:
                return problem(404, "Resource Not Found")
            case ["lists", _, "segments", number], "GET":
                return Response(200, self._shown(number))
            case ["lists", _, "segments", number], "POST":
                return self._tag(number, request.json)
            case ["lists", _, "segments", number, "members"], "GET":
                return self._tagged(number, request)
            case ["lists", _, "members", digest, "actions", "delete-permanent"], "POST":
                return self._delete(digest)
        return problem(405, "Method Not Allowed")

    def _shown(self, number: str) -> dict[str, Any]:
        return {"id": int(number), **self.segments[number], "member_count": len(self.members(number))}

    def _member(self, email: str) -> dict[str, Any]:
        contact = self.contacts[email]
        tags = [{"id": int(number), "name": self.segments[number]["name"]} for number in sorted(contact["tags"])]
        shown = {"email_address": email, "status": contact["status"], "merge_fields": contact["merge_fields"]}
        return shown | ({"tags": tags, "tags_count": len(tags)} if self.tells_tags else {})

    def _page(self, request: Request, name: str, rows: list[Any]) -> Response:
        count, offset = int(request.query.get("count", 10)), int(request.query.get("offset", 0))
        if count > 1_000:
            return problem(400, "Invalid Resource")
        return Response(200, {name: rows[offset : offset + count], "total_items": len(rows)})

    def _batch(self, request: Request) -> Response:
        body = request.json
        if len(body["members"]) > 500:
            return problem(400, "Invalid Resource")
        new: list[dict[str, Any]] = []
        updated: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        for one in body["members"]:
            email = one["email_address"].lower()
            is_new = email not in self.contacts
            assert {one.get("status", "subscribed"), one.get("status_if_new", "subscribed")} <= STATUSES
            fields = one.get("merge_fields", {})
            demanded = [tag for tag, is_demanded in self.merge_fields.items() if is_demanded and tag not in fields]
            if is_new and "status" not in one and "status_if_new" not in one:
                code, said = "ERROR_GENERIC", "status is required"
            elif email in self.refused:
                code, said = self.refused[email]
            elif not is_new and not body.get("update_existing"):
                code, said = "ERROR_CONTACT_EXISTS", "{} is already a list member."
            elif demanded and request.query.get("skip_merge_validation") != "true":
                code, said = "ERROR_GENERIC", "Your merge fields were invalid."
            else:
                if is_new:
                    self.contact(email, one.get("status_if_new") or one["status"])
                elif "status" in one:
                    self.contacts[email]["status"] = one["status"]
                known = {tag: value for tag, value in fields.items() if tag in self.merge_fields}
                self.contacts[email]["merge_fields"] |= known
                (new if is_new else updated).append(self._member(email))
                continue
            errors.append({"email_address": email, "error": said.format(email), "error_code": code, "field": ""})
        counts = {"total_created": len(new), "total_updated": len(updated), "error_count": len(errors)}
        return Response(200, {"new_members": new, "updated_members": updated, "errors": errors, **counts})

    def _make(self, body: dict[str, Any]) -> Response:
        if body["static_segment"] != []:
            return problem(400, "Invalid Resource")
        if body["name"] in {one["name"] for one in self.segments.values()}:
            return problem(400, "Bad Request")
        return Response(200, self._shown(self.segment(body["name"])))

    def _tag(self, number: str, body: dict[str, list[str]]) -> Response:
        if self.segments[number]["type"] != "static" or set(body) - {"members_to_add", "members_to_remove"}:
            return problem(400, "Bad Request")
        if any(len(emails) > 500 for emails in body.values()):
            return problem(400, "Invalid Resource")
        refused = {email.lower() for one in self.errors_of_segments for email in one["email_addresses"]}
        changed: dict[str, list[dict[str, Any]]] = {"added": [], "removed": []}
        for verb, emails in (("added", body.get("members_to_add", [])), ("removed", body.get("members_to_remove", []))):
            for email in (one.lower() for one in emails):
                if email in refused or email not in self.contacts:
                    continue
                tags = self.contacts[email]["tags"]
                if (number in tags) != (verb == "added"):
                    (tags.add if verb == "added" else tags.discard)(number)
                    changed[verb].append(self._member(email))
        return Response(
            200,
            {
                **{f"members_{verb}": rows for verb, rows in changed.items()},
                **{f"total_{verb}": len(rows) for verb, rows in changed.items()},
                "errors": self.errors_of_segments,
                "error_count": len(self.errors_of_segments),
            },
        )

    def _tagged(self, number: str, request: Request) -> Response:
        hidden = {
            status
            for status in ("cleaned", "transactional", "unsubscribed")
            if request.query.get(f"include_{status}") != "true"
        }
        emails = sorted(self.members(number))
        rows = [self._member(email) for email in emails if self.contacts[email]["status"] not in hidden]
        return self._page(request, "members", rows)

    def _delete(self, digest: str) -> Response:
        for email in list(self.contacts):
            if hashlib.md5(email.encode(), usedforsecurity=False).hexdigest() == digest:
                del self.contacts[email]
                self.refused[email] = ("ERROR_GENERIC", FORGOTTEN)
                return Response(204)
        return problem(404, "Resource Not Found")


def problem(status: int, title: str) -> Response:
    body = {"type": "https://mailchimp.com/developer/marketing/docs/errors/", "title": title, "status": status}
    return Response(
        status,
        body | {"detail": "person0001@example.com …", "instance": "i-1"},
        {"Content-Type": "application/problem+json; charset=utf-8"},
    )


class TestMailchimp(DestinationContract):
    def make_tool(self) -> MailchimpServer:
        return MailchimpServer()

    def make_destination(self, tool: ToolServer, *, secret: str | None = None, **options: Any) -> Mailchimp:
        given: dict[str, Any] = {"audience_id": AUDIENCE, "url": tool.url, "pause": 0.001} | options
        return Mailchimp("news", SecretStr(secret or tool.secret), **given)

    @pytest.fixture(autouse=True)
    def _no_waiting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ten calls a second are what all these tests would share."""
        monkeypatch.setattr("lifecycle.publishing.destinations.api._limiters_of", lambda *_: [])

    def test_ten_calls_at_once_are_what_an_account_may_make(self, destination: Mailchimp) -> None:
        assert [limit.concurrency for limit in destination.limits] == [10]

    def deliver(self, destination: Mailchimp, remote: RemoteList, *members: Member) -> list[Item]:
        items = self.items(destination, *members)
        outcomes = self.sent(destination, remote, "add", items)
        assert all(outcome.is_done for outcome in outcomes), outcomes
        return self.removals(items, outcomes)

    # The tag.

    def test_the_list_is_a_tag_named_by_the_syncs_title(self, tool: MailchimpServer, remote: RemoteList) -> None:
        assert tool.segments == {remote.list_id: {"name": "Lapsed customers", "type": "static"}}

    @pytest.mark.parametrize("fault", ["lost_answer", "error"])
    def test_a_tag_whose_making_was_not_answered_is_made_once(
        self, tool: MailchimpServer, destination: Mailchimp, fault: str
    ) -> None:
        tool.fail_next(fault)
        if fault == "error":
            with pytest.raises(LifecycleError, match="does not answer") as raised:
                destination.ensure_list(SPEC)
            assert raised.value.remedy
        assert destination.ensure_list(SPEC).title == "Lapsed customers"
        assert len(tool.segments) == 1

    def test_a_tag_is_found_among_more_than_a_page_of_them(self, tool: MailchimpServer, destination: Mailchimp) -> None:
        for number in range(1_500):
            tool.segment(f"Tag {number}")
        assert destination.ensure_list(ListSpec("x", "Tag 1400")).list_id == "8400"
        assert len(tool.segments) == 1_500

    def test_a_tag_that_the_settings_name_is_taken(self, tool: MailchimpServer) -> None:
        first, second = tool.segment("By hand"), tool.segment("Other")
        destination = self.make_destination(tool, list_id=first)
        assert destination.ensure_list(SPEC).title == "By hand"
        assert destination.ensure_list(ListSpec("x", "X", second)).title == "Other"
        assert destination.check().is_ready

    @pytest.mark.parametrize("kind", ["saved", "fuzzy"])
    def test_a_segment_that_fills_itself_is_no_tag(self, tool: MailchimpServer, kind: str) -> None:
        destination = self.make_destination(tool, list_id=tool.segment("Active", kind))
        with pytest.raises(LifecycleError, match="is no tag") as raised:
            destination.ensure_list(SPEC)
        assert raised.value.remedy
        assert not destination.check().is_ready

    @pytest.mark.parametrize("operation", ["add", "remove"])
    def test_a_tag_that_is_gone_is_told_and_not_made_again(
        self, tool: MailchimpServer, destination: Mailchimp, remote: RemoteList, operation: Any
    ) -> None:
        self.deliver(destination, remote, self.member(1))
        tool.segments.clear()
        for contact in tool.contacts.values():
            contact["tags"].clear()
        with pytest.raises(LifecycleError, match="is gone") as raised:
            destination.send(remote, operation, self.items(destination, self.member(1)), "k2")
        assert raised.value.remedy
        with pytest.raises(LifecycleError, match="is gone"):
            list(destination.read_back(remote))
        with pytest.raises(LifecycleError, match="is gone"):
            self.make_destination(tool, list_id=remote.list_id).ensure_list(SPEC)
        assert tool.segments == {}

    def test_an_audience_that_is_not_there_is_told(self, tool: MailchimpServer, remote: RemoteList) -> None:
        destination = self.make_destination(tool, audience_id="elsewhere")
        health = destination.check()
        assert not health.is_ready and "no audience elsewhere" in health.problem and health.remedy
        for call in (
            lambda: destination.ensure_list(SPEC),
            lambda: destination.send(remote, "add", self.items(destination, self.member(1)), "k"),
        ):
            with pytest.raises(LifecycleError, match="no audience"):
                call()

    # Consent.

    def test_a_new_contact_is_one_that_no_marketing_is_sent_to(
        self, tool: MailchimpServer, destination: Mailchimp, remote: RemoteList
    ) -> None:
        self.deliver(destination, remote, self.member(1))
        assert [contact["status"] for contact in tool.contacts.values()] == ["transactional"]

    def test_the_status_of_a_new_contact_is_what_the_settings_say(
        self, tool: MailchimpServer, remote: RemoteList
    ) -> None:
        self.deliver(self.make_destination(tool, status_if_new="subscribed"), remote, self.member(1))
        assert [contact["status"] for contact in tool.contacts.values()] == ["subscribed"]

    @pytest.mark.parametrize("status", sorted(STATUSES))
    def test_the_status_of_a_contact_that_exists_is_never_changed(
        self, tool: MailchimpServer, remote: RemoteList, status: str
    ) -> None:
        destination = self.make_destination(tool, status_if_new="subscribed", merge_fields={"stage": "STAGE"})
        member = Member("c1", {"email": "a@example.com"}, {"stage": "lapsed"})
        tool.contact("a@example.com", status, FNAME="Ada")
        items = self.deliver(destination, remote, member)
        self.sent(destination, remote, "update", self.items(destination, member), "k2")
        assert tool.contacts["a@example.com"] == {
            "status": status,
            "merge_fields": {"FNAME": "Ada", "STAGE": "lapsed"},
            "tags": {remote.list_id},
        }
        assert set(destination.read_back(remote)) == {"a@example.com"}
        self.sent(destination, remote, "remove", items, "k3")
        assert (tool.contacts["a@example.com"]["status"], tool.contacts["a@example.com"]["tags"]) == (status, set())
        assert all('"status":' not in request.text for request in tool.requests)

    def test_tags_that_others_gave_stay(
        self, tool: MailchimpServer, destination: Mailchimp, remote: RemoteList
    ) -> None:
        vip = tool.segment("VIP")
        tool.contact("person0001@example.com", "subscribed", vip)
        tool.contact("by.hand@example.com", "subscribed", remote.list_id)
        items = self.deliver(destination, remote, self.member(1))
        assert tool.contacts["person0001@example.com"]["tags"] == {vip, remote.list_id}
        self.sent(destination, remote, "remove", items, "k2")
        assert tool.contacts["person0001@example.com"]["tags"] == {vip}
        assert tool.members(remote.list_id) == {"by.hand@example.com"}

    # What is refused.

    @pytest.mark.parametrize(
        ("code", "sentence", "expected"),
        [
            ("ERROR_GENERIC", "{} looks fake or invalid, please enter a real email address.", "invalid_email"),
            ("ERROR_GENERIC", COMPLIANCE, "contact_compliance"),
            ("ERROR_CONTACT_COMPLIANCE", "", "contact_compliance"),
            ("ERROR_GENERIC", FORGOTTEN, "contact_forgotten"),
            ("ERROR_CONTACT_FORGOTTEN", "{}", "contact_forgotten"),
            ("ERROR_GENERIC", "{}: something else", "generic"),
            ("", "{}", "refused"),
        ],
    )
    def test_an_error_within_a_good_answer_is_of_one_member_and_says_why(
        self,
        tool: MailchimpServer,
        destination: Mailchimp,
        remote: RemoteList,
        code: str,
        sentence: str,
        expected: str,
    ) -> None:
        tool.refused = {"person0002@example.com": (code, sentence)}
        items = self.items(destination, *(self.member(number) for number in (1, 2, 3)))
        outcomes = self.sent(destination, remote, "add", items)
        assert [outcome.proof for outcome in outcomes] == ["applied", "rejected", "applied"]
        assert outcomes[1].code == expected
        assert len(tool.calls("POST", AUDIENCE)) == 1

    def test_a_sentence_that_names_an_address_is_not_repeated(
        self, tool: MailchimpServer, destination: Mailchimp, remote: RemoteList
    ) -> None:
        tool.refused = {"person0001@example.com": ("ERROR_GENERIC", "{} is not what we like")}
        (outcome,) = destination.send(remote, "add", self.items(destination, self.member(1)), "k").outcomes
        assert (outcome.proof, outcome.code, outcome.message) == ("rejected", "generic", "")

    def test_who_has_no_tag_and_who_is_no_contact_are_off_the_list_already(
        self, tool: MailchimpServer, destination: Mailchimp, remote: RemoteList
    ) -> None:
        tool.contact("untagged@example.com")
        leaving = [Item("untagged@example.com"), Item("stranger@example.com")]
        outcomes = self.sent(destination, remote, "remove", leaving)
        assert [outcome.proof for outcome in outcomes] == ["already", "already"]
        assert set(tool.contacts) == {"untagged@example.com"}

    def test_a_contact_that_somebody_else_makes_meanwhile_is_sent_again(
        self, tool: MailchimpServer, destination: Mailchimp, remote: RemoteList, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tool.refused = {"person0001@example.com": ("ERROR_CONTACT_EXISTS", "{} is already a list member.")}
        original = tool._batch

        def then_settled(request: Request) -> Response:
            answer = original(request)
            tool.refused.clear()
            return answer

        monkeypatch.setattr(tool, "_batch", then_settled)
        (outcome,) = self.sent(destination, remote, "add", self.items(destination, self.member(1)))
        assert outcome.is_done
        assert tool.members(remote.list_id) == {"person0001@example.com"}

    def test_a_field_that_the_audience_demands_keeps_nobody_out(
        self, tool: MailchimpServer, destination: Mailchimp, remote: RemoteList
    ) -> None:
        assert tool.merge_fields["FNAME"]
        self.deliver(destination, remote, self.member(1))

    @pytest.mark.parametrize("verb", ["add", "remove"])
    def test_an_error_of_the_tag_is_of_those_that_it_names(
        self, tool: MailchimpServer, destination: Mailchimp, remote: RemoteList, verb: Any
    ) -> None:
        items = self.items(destination, *(self.member(number) for number in (1, 2, 3)))
        if verb == "remove":
            items = self.deliver(destination, remote, *(self.member(number) for number in (1, 2, 3)))
        tool.errors_of_segments = [
            {"email_addresses": ["Person0001@example.com"], "error": "This contact cannot be changed right now"},
            {"email_addresses": ["person0002@example.com"], "error": "Email address is not on the list"},
        ]
        outcomes = self.sent(destination, remote, verb, items, "k2")
        is_absent = "rejected" if verb == "add" else "already"
        assert [outcome.proof for outcome in outcomes] == ["rejected", is_absent, "applied"]
        assert outcomes[0].code == "not_tagged"

    def test_who_is_passed_over_is_not_proved(
        self, tool: MailchimpServer, destination: Mailchimp, remote: RemoteList, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        original = tool._tag
        monkeypatch.setattr(
            tool, "_tag", lambda number, body: original(number, {"members_to_add": body["members_to_add"][1:]})
        )
        items = self.items(destination, self.member(1), self.member(2))
        answer = destination.send(remote, "add", items, "k")
        assert [(outcome.proof, outcome.code) for outcome in answer.outcomes] == [
            ("unknown", "not_confirmed"),
            ("applied", ""),
        ]

    def test_who_has_the_tag_by_the_contacts_own_record_is_proved_without_a_second_call(
        self, tool: MailchimpServer, destination: Mailchimp, remote: RemoteList
    ) -> None:
        self.deliver(destination, remote, self.member(1), self.member(2))
        segment_calls = len(tool.calls("POST", f"segments/{remote.list_id}"))
        items = self.items(destination, self.member(1), self.member(2))
        outcomes = self.sent(destination, remote, "add", items, "k2")
        assert [outcome.proof for outcome in outcomes] == ["already", "already"]
        assert len(tool.calls("POST", f"segments/{remote.list_id}")) == segment_calls

    def test_an_answer_without_tags_is_made_up_for_by_the_tags_own(
        self, tool: MailchimpServer, destination: Mailchimp, remote: RemoteList
    ) -> None:
        tool.tells_tags = False
        self.deliver(destination, remote, self.member(1))
        assert tool.members(remote.list_id) == {"person0001@example.com"}

    @pytest.mark.parametrize("verb", ["add", "remove"])
    @pytest.mark.parametrize("fault", ["busy", "error", "lost_answer", "html", "empty"])
    def test_a_fault_of_the_second_call_alone_is_overcome(
        self, tool: MailchimpServer, destination: Mailchimp, remote: RemoteList, fault: str, verb: Any
    ) -> None:
        here = self.deliver(destination, remote, self.member(9)) if verb == "remove" else []
        tool.only = f"segments/{remote.list_id}"
        tool.fail_next(fault)
        items = here or self.items(destination, self.member(9))
        (outcome,) = self.sent(destination, remote, verb, items, "k2")
        assert outcome.is_done and tool.faults == []
        assert tool.members(remote.list_id) == ({items[0].key} if verb == "add" else set())

    def test_a_call_that_is_refused_whole_is_told_by_its_title(
        self, tool: MailchimpServer, destination: Mailchimp, remote: RemoteList, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tool, "_batch", lambda _: problem(400, "Invalid Resource"))
        (outcome,) = self.sent(destination, remote, "add", self.items(destination, self.member(1)))
        assert (outcome.proof, outcome.code, outcome.message) == ("rejected", "invalid_resource", "")

    # How members are written.

    def test_attributes_arrive_in_the_merge_fields_that_the_settings_name(
        self, tool: MailchimpServer, remote: RemoteList
    ) -> None:
        destination = self.make_destination(tool, merge_fields={"lifecycle_stage": "STAGE", "revenue": "SPENT"})
        assert destination.check().is_ready
        member = Member("c1", {"email": "a@example.com"}, {"lifecycle_stage": "lapsed", "revenue": Decimal("12.5000")})
        self.deliver(destination, remote, member)
        assert tool.contacts["a@example.com"]["merge_fields"] == {"STAGE": "lapsed", "SPENT": "12.5000"}

    @pytest.mark.parametrize(
        ("value", "written"),
        [
            (None, ""),
            (True, "true"),
            (3, 3),
            (0.5, 0.5),
            (Decimal("1E+3"), "1000"),
            (date(1990, 2, 3), "1990-02-03"),
            (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05+00:00"),
            ("ünï", "ünï"),
        ],
    )
    def test_a_value_is_written_plainly(self, tool: MailchimpServer, value: Any, written: Any) -> None:
        destination = self.make_destination(tool, merge_fields={"stage": "STAGE"})
        found = destination.encode(Member("c1", {"email": "a@example.com"}, {"stage": value}))
        assert isinstance(found, Encoded) and found.body == {"merge_fields": {"STAGE": written}}

    def test_an_attribute_without_a_merge_tag_is_told_with_how_to_name_one(self, destination: Mailchimp) -> None:
        with pytest.raises(LifecycleError, match="'lifecycle_stage' has no merge tag") as raised:
            destination.encode(Member("c1", {"email": "a@example.com"}, {"lifecycle_stage": "lapsed"}))
        assert "merge_fields: {lifecycle_stage: TAG}" in raised.value.remedy

    def test_a_merge_field_that_the_audience_does_not_have_is_told(self, tool: MailchimpServer) -> None:
        health = self.make_destination(tool, merge_fields={"a": "STAGE", "b": "SHOESIZE"}).check()
        assert not health.is_ready and "SHOESIZE" in health.problem and "STAGE" not in health.problem

    @pytest.mark.parametrize(
        ("email", "expected"),
        [
            ("user.name+NYC@Example.com", "user.name+nyc@example.com"),
            ("\tA@B.co\n", "a@b.co"),
            ("", "no_email"),
            ("nobody", "no_email"),
            ("A" * 64, "already_hashed"),
        ],
    )
    def test_emails_are_written_as_mailchimp_keeps_them(
        self, destination: Mailchimp, email: str, expected: str
    ) -> None:
        found = destination.encode(Member("c1", {"email": email}))
        assert (found.code if isinstance(found, Veto) else found.key) == expected

    # Reading back, forgetting.

    def test_a_long_tag_is_read_page_by_page_whatever_the_status(
        self, tool: MailchimpServer, destination: Mailchimp, remote: RemoteList
    ) -> None:
        for number in range(2_300):
            tool.contact(f"p{number}@example.com", sorted(STATUSES)[number % 5], remote.list_id)
        found = list(destination.read_back(remote))
        assert len(found) == 2_300 and set(found) == tool.members(remote.list_id)
        assert len(tool.calls("GET", "/members")) == 3

    def test_a_tag_of_just_a_page_is_read_to_its_end(
        self, tool: MailchimpServer, destination: Mailchimp, remote: RemoteList
    ) -> None:
        for number in range(1_000):
            tool.contact(f"p{number}@example.com", "subscribed", remote.list_id)
        assert len(list(destination.read_back(remote))) == 1_000

    def test_who_is_erased_is_gone_for_good(
        self, tool: MailchimpServer, destination: Mailchimp, remote: RemoteList
    ) -> None:
        items = self.deliver(destination, remote, self.member(1), self.member(2))
        proofs = [
            [outcome.proof for outcome in destination.erase([items[0], Item("stranger@example.com")]).outcomes]
            for _ in range(2)
        ]
        assert proofs == [["applied", "already"], ["already", "already"]]
        assert set(tool.contacts) == {items[1].key}
        outcomes = self.sent(destination, remote, "add", self.items(destination, self.member(1), self.member(3)), "k3")
        assert [(outcome.proof, outcome.code) for outcome in outcomes] == [
            ("rejected", "contact_forgotten"),
            ("applied", ""),
        ]

    def test_limits_are_shared_by_syncs_with_the_same_key(self, tool: MailchimpServer) -> None:
        first, second, other = (self.make_destination(tool, secret=one) for one in ("s-us6", "s-us6", "t-us6"))
        assert first.account == second.account != other.account
        assert "s-us6" not in first.account


def options(**given: Any) -> Mailchimp.Options:
    return Mailchimp.Options.model_validate({"api_key": "s3cret-us6", "audience_id": AUDIENCE, **given})


def test_the_data_centre_is_taken_from_the_key() -> None:
    assert class_of("mailchimp").vendor == Mailchimp.vendor
    made = Mailchimp.from_options("news", options(), None)  # type: ignore[arg-type]
    assert repr(made._api) == "Api('https://us6.api.mailchimp.com/3.0')"
    assert made.status_if_new == "transactional"
    assert "s3cret" not in f"{made!r} {made.account}"


@pytest.mark.parametrize(
    "wrong",
    [
        {"api_key": "s3cret"},
        {"api_key": "s3cret-us6/evil.example"},
        {"status_if_new": "cleaned"},
        {"merge_fields": {"city": "EMAIL"}},
        {"merge_fields": {"city": "city"}},
        {"merge_fields": {"city": "ELEVENCHARS"}},
        {"audiense": "s3cret"},
    ],
)
def test_wrong_options_are_refused_and_no_secret_is_told(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as raised:
        options(**wrong)
    assert "s3cret" not in str(raised.value)


def test_a_key_without_a_data_centre_needs_an_address() -> None:
    made = Mailchimp.from_options("news", options(api_key="s3cret", url="https://proxy.example"), None)  # type: ignore[arg-type]
    assert repr(made._api) == "Api('https://proxy.example')"
