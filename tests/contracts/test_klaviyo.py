"""Klaviyo: the contract, what is special about it, and its requests against its own API description."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Literal

import pytest
from pydantic import SecretStr

from lifecycle.errors import LifecycleError
from lifecycle.publishing.batches import cut, send_batch
from lifecycle.publishing.destinations import class_of
from lifecycle.publishing.destinations.klaviyo import Klaviyo
from lifecycle.publishing.destinations.members import (
    BatchOutcome,
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
HANDLE = "add job-1"
OPERATIONS: tuple[Operation, ...] = ("add", "update", "remove")
IDENTIFIERS = ("email", "phone_number", "external_id")
KNOWN_FIELDS = {*IDENTIFIERS, "first_name", "last_name", "organization", "title", "locale", "properties"}


@dataclass(frozen=True)
class Unhurried(Klaviyo):
    """Klaviyo, before a server that counts no calls."""

    limits: ClassVar[tuple[Limit, ...]] = (Limit(100_000, 1, "https://here.example", "2026-11-24"),)
    reading_limits: ClassVar[tuple[Limit, ...]] = limits


class KlaviyoServer(ToolServer):
    """Klaviyo's lists, profiles and jobs. It refuses what Klaviyo refuses, in Klaviyo's words."""

    def __init__(self, field: str = "email") -> None:
        self.field = field
        self.profiles: dict[str, dict[str, Any]] = {}
        self.lists: dict[str, dict[str, Any]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.largest = 5_000_000
        self.page = 100
        self.asked_before_done = 2
        """How often a job is asked for until it has ended."""
        self.failing: set[str] = set()
        """Keys that a job takes and then fails for."""
        self.names_failures = True
        self.nests_failures = False
        """Whether failures are named by what was sent as a whole, or by its attributes alone: both are seen."""
        self.dropped: set[str] = set()
        """Keys that a job takes, drops, and does not speak of."""
        self.ended_ago = timedelta(0)
        super().__init__()
        # Head and body of an answer are written apart; a job of many members is asked for often.
        handler: Any = self._server.RequestHandlerClass
        handler.disable_nagle_algorithm = True

    def members(self, list_id: str) -> set[str]:
        held = (self.profiles[one].get(self.field) for one in self.lists[list_id]["members"])
        return {value for value in held if value}

    def add_profile(self, list_id: str | None = None, **fields: Any) -> str:
        profile_id = f"01PROFILE{len(self.profiles) + 1:06d}"
        self.profiles[profile_id] = fields
        if list_id:
            self.lists[list_id]["members"].add(profile_id)
        return profile_id

    def is_authorized(self, request: Request) -> bool:
        return request.headers.get("authorization") == f"Klaviyo-API-Key {self.secret}"

    def unauthorized(self) -> Response:
        return _error(401, "not_authenticated", "Authentication credentials were not provided.")

    def answer(self, request: Request) -> Response:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", request.headers.get("revision", "")):
            return _error(400, "missing_revision", "No revision")
        if request.text and request.headers.get("content-type") != "application/vnd.api+json":
            return _error(415, "unsupported_media_type", "Unsupported media type")
        match request.method, request.path.removeprefix("/api/").split("/"):
            case "GET", ["lists"]:
                return self._lists(request)
            case "POST", ["lists"]:
                return self._make_list(request.json["data"])
            case _, ["lists", list_id, *_] if list_id not in self.lists:
                return _error(404, "not_found", "Not found.")
            case "GET", ["lists", list_id]:
                return Response(200, {"data": self._list(list_id)})
            case "GET", ["lists", list_id, "profiles"]:
                return self._profiles(request, sorted(self.lists[list_id]["members"]))
            case "DELETE", ["lists", list_id, "relationships", "profiles"]:
                return self._take_off(list_id, request.json["data"])
            case "GET", ["profiles"]:
                return self._profiles(request, sorted(self.profiles))
            case "POST", ["profile-bulk-import-jobs"]:
                return self._import(request)
            case "GET", ["profile-bulk-import-jobs", job_id, *more] if job_id in self.jobs:
                return self._paged(request, self.jobs[job_id]["errors"]) if more else self._job(job_id)
            case "POST", ["data-privacy-deletion-jobs"]:
                self.erased = request.json["data"]["attributes"]["profile"]["data"]["id"]
                return Response(202)
        return _error(404, "not_found", "Not found.")

    def _list(self, list_id: str) -> dict[str, Any]:
        attributes = {"name": self.lists[list_id]["name"], "opt_in_process": "double_opt_in"}
        return {"type": "list", "id": list_id, "attributes": attributes, "links": {"self": f"{self.url}/{list_id}"}}

    def _lists(self, request: Request) -> Response:
        found = sorted(self.lists)
        if wanted := request.query.get("filter"):
            match = re.fullmatch(r"equals\(name,(.+)\)", wanted)
            if match is None:
                return _error(400, "invalid", "Invalid filter")
            found = [one for one in found if self.lists[one]["name"] == json.loads(match[1])]
        if int(request.query.get("page[size]", 10)) > 10:
            return _error(400, "invalid", "Page size is too large")
        return self._paged(request, [self._list(one) for one in found])

    def _make_list(self, described: dict[str, Any]) -> Response:
        list_id = f"L{len(self.lists) + 1:05d}"
        self.lists[list_id] = {"name": described["attributes"]["name"], "members": set()}
        return Response(201, {"data": self._list(list_id)})

    def _profiles(self, request: Request, ids: list[str]) -> Response:
        if wanted := request.query.get("filter"):
            match = re.fullmatch(r"any\((\w+),(\[.+\])\)", wanted)
            on_list = "lists" in request.path
            allowed = ("email", "phone_number") if on_list else IDENTIFIERS
            if match is None or match[1] not in allowed or len(json.loads(match[2])) > 100:
                return _error(400, "invalid", "Invalid filter")
            values = set(json.loads(match[2]))
            ids = [one for one in ids if self.profiles[one].get(match[1]) in values]
        wanted_fields = (
            request.query["fields[profile]"].split(",") if "fields[profile]" in request.query else IDENTIFIERS
        )
        found = [
            {"type": "profile", "id": one, "attributes": {name: self.profiles[one].get(name) for name in wanted_fields}}
            for one in ids
        ]
        return self._paged(request, found)

    def _paged(self, request: Request, found: list[dict[str, Any]]) -> Response:
        size = int(request.query.get("page[size]", 20))
        if not 1 <= size <= 100:
            return _error(400, "invalid", "Page size is out of range")
        size = min(size, self.page)
        start = int(request.query.get("page[cursor]", "c0")[1:])
        following = f"{self.url}{request.path}?page%5Bcursor%5D=c{start + size}" if start + size < len(found) else None
        links = {"self": f"{self.url}{request.path}", "next": following, "prev": None}
        return Response(200, {"data": found[start : start + size], "links": links})

    def _take_off(self, list_id: str, named: list[dict[str, str]]) -> Response:
        if len(named) > 1_000 or any(one["type"] != "profile" for one in named):
            return _error(400, "invalid", "Invalid input.", "/data")
        if any(one["id"] not in self.profiles for one in named):
            return _error(404, "profile_not_found", "A profile does not exist.")
        self.lists[list_id]["members"] -= {one["id"] for one in named}
        return Response(204)

    def _import(self, request: Request) -> Response:
        job = request.json["data"]
        profiles = job["attributes"]["profiles"]["data"]
        if len(request.text.encode()) > self.largest:
            return _error(413, "payload_too_large", "The payload is larger than 5 MB.")
        if len(profiles) > 10_000:
            return _error(400, "invalid", "At most 10000 profiles", "/data/attributes/profiles/data")
        for one in job["relationships"]["lists"]["data"]:
            if one["id"] not in self.lists:
                return _error(400, "invalid", f"List ID {one['id']} does not exist.", "/data")
        errors: list[dict[str, Any]] = []
        for place, profile in enumerate(profiles):
            at = f"/data/attributes/profiles/data/{place}/attributes"
            fields = profile["attributes"]
            for name in fields.keys() - KNOWN_FIELDS:
                errors += _errors(400, "invalid", f"'{name}' is not a valid field for the resource 'profile'.", at)
            if not any(fields.get(name) for name in IDENTIFIERS):
                errors += _errors(400, "invalid", "One of the identifiers is needed", at)
            if fields.get("email") == "refused@example.com":
                errors += _errors(400, "invalid", "refused@example.com is not a valid email address.", f"{at}/email")
            if fields.get("phone_number") == "+4930666666":
                detail = "Phone number +4930666666 is valid but is not in a supported region for this account."
                errors += _errors(400, "invalid", detail, f"{at}/phone_number")
        if errors:
            return Response(400, {"errors": errors})
        job_id = f"job-{len(self.jobs) + 1}"
        self.jobs[job_id] = {"job": job, "asked": 0, "errors": [], "ended": None, "total": len(profiles)}
        return Response(202, {"data": self._described(job_id)})

    def _job(self, job_id: str) -> Response:
        job = self.jobs[job_id]
        job["asked"] += 1
        if job["asked"] >= self.asked_before_done and job["ended"] is None:
            job["ended"] = datetime.now(UTC) - self.ended_ago
            for profile in job["job"]["attributes"]["profiles"]["data"]:
                self._take(job, profile)
        return Response(200, {"data": self._described(job_id)})

    def _take(self, job: dict[str, Any], profile: dict[str, Any]) -> None:
        fields = profile["attributes"]
        key = fields[self.field]
        if key in self.failing:
            told: dict[str, Any] = {
                "code": "invalid",
                "title": "Invalid input.",
                "detail": f"{key} cannot be taken",
                "source": {},
            }
            told["original_payload"] = (profile if self.nests_failures else fields) if self.names_failures else None
            job["errors"].append({"type": "import-error", "id": f"e{len(job['errors'])}", "attributes": told})
            return
        if key in self.dropped:
            return
        held = (one for one, known in self.profiles.items() if known.get(self.field) == key)
        profile_id = next(held, None) or self.add_profile()
        known = self.profiles[profile_id]
        properties = {**known.get("properties", {}), **fields.get("properties", {})}
        for name in ((profile.get("meta") or {}).get("patch_properties") or {}).get("unset", []):
            properties.pop(name, None)
        known |= {**fields, "properties": properties}
        for one in job["job"]["relationships"]["lists"]["data"]:
            self.lists[one["id"]]["members"].add(profile_id)

    def _described(self, job_id: str) -> dict[str, Any]:
        job = self.jobs[job_id]
        status = "complete" if job["ended"] else "processing" if job["asked"] else "queued"
        attributes = {
            "status": job.get("status", status),
            "created_at": "2026-11-24T10:00:00+00:00",
            "completed_at": job["ended"].isoformat() if job["ended"] else None,
            "total_count": job["total"],
            "completed_count": job["total"] - len(job["errors"]) if job["ended"] else 0,
            "failed_count": len(job["errors"]),
        }
        links = {"self": f"{self.url}/api/profile-bulk-import-jobs/{job_id}"}
        return {"type": "profile-bulk-import-job", "id": job_id, "attributes": attributes, "links": links}


def _errors(status: int, code: str, detail: str, pointer: str = "/data") -> list[dict[str, Any]]:
    source = {"pointer": pointer}
    return [{"id": "e", "status": status, "code": code, "title": "Invalid input.", "detail": detail, "source": source}]


def _error(status: int, code: str, detail: str, pointer: str = "/data") -> Response:
    return Response(status, {"errors": _errors(status, code, detail, pointer)})


def klaviyo(
    tool: ToolServer, by: Literal["email", "phone", "customer_id"] = "email", secret: str | None = None, **more: Any
) -> Unhurried:
    return Unhurried("klaviyo", SecretStr(secret or tool.secret), identify_by=by, url=tool.url, pause=0.001, **more)


class TestKlaviyo(DestinationContract):
    def make_tool(self) -> ToolServer:
        return KlaviyoServer()

    def make_destination(self, tool: ToolServer, *, secret: str | None = None) -> Klaviyo:
        return klaviyo(tool, secret=secret)


class TestKlaviyoByPhone(TestKlaviyo):
    def make_tool(self) -> ToolServer:
        return KlaviyoServer("phone_number")

    def make_destination(self, tool: ToolServer, *, secret: str | None = None) -> Klaviyo:
        return klaviyo(tool, "phone", secret)


class TestKlaviyoByCustomerId(TestKlaviyo):
    def make_tool(self) -> ToolServer:
        return KlaviyoServer("external_id")

    def make_destination(self, tool: ToolServer, *, secret: str | None = None) -> Klaviyo:
        return klaviyo(tool, "customer_id", secret)

    def bad_member(self) -> Member | None:
        return None


# --- what is special --------------------------------------------------------------------------------------------------


@pytest.fixture
def tool() -> Iterator[KlaviyoServer]:
    tool = KlaviyoServer()
    yield tool
    tool.close()


@pytest.fixture
def destination(tool: KlaviyoServer) -> Klaviyo:
    return klaviyo(tool)


@pytest.fixture
def remote(destination: Klaviyo) -> RemoteList:
    return destination.ensure_list(SPEC)


def encoded(destination: Klaviyo, member: Member) -> Encoded:
    found = destination.encode(member)
    assert isinstance(found, Encoded), found
    return found


def person(number: int, **attributes: Any) -> Member:
    return Member(f"c{number}", {"email": f"person{number}@example.com"}, attributes)


def items(destination: Klaviyo, *members: Member) -> list[Item]:
    return [Item(one.key, one.body) for one in (encoded(destination, member) for member in members)]


def came(destination: Klaviyo, remote: RemoteList, sent: list[Outcome], who: list[Item]) -> list[Outcome]:
    """Outcomes after the jobs of ``sent`` have ended, each job asked for all of its members."""
    outcomes = list(sent)
    for handle in {one.handle for one in sent if one.handle}:
        places = [place for place, one in enumerate(sent) if one.handle == handle]
        found: BatchOutcome | None = None
        for _ in range(10):
            found = found or destination.poll(remote, handle, [who[place] for place in places])
        assert found is not None, "the job never came to an end"
        for place, outcome in zip(places, found.outcomes, strict=True):
            outcomes[place] = outcome
    return outcomes


def add(destination: Klaviyo, remote: RemoteList, who: list[Item], operation: Literal["add", "update"] = "add") -> Any:
    return came(destination, remote, send_batch(destination, remote, operation, who, "k", sleep=lambda _: None), who)


def jobs(tool: ToolServer) -> list[Request]:
    return [one for one in tool.requests if one.path.endswith("/profile-bulk-import-jobs") and one.method == "POST"]


def test_a_member_that_klaviyo_names_is_left_out_of_the_next_job(
    tool: KlaviyoServer, destination: Klaviyo, remote: RemoteList
) -> None:
    bad = Member("bad", {"email": "refused@example.com"})
    who = items(destination, person(1), bad, *(person(number) for number in range(2, 40)))
    outcomes = add(destination, remote, who)
    assert [place for place, outcome in enumerate(outcomes) if outcome.proof == "rejected"] == [1]
    assert (outcomes[1].code, outcomes[1].message) == ("invalid", "Invalid input. (email)")
    assert [len(one.json["data"]["attributes"]["profiles"]["data"]) for one in jobs(tool)] == [40, 39]
    assert len(tool.members(remote.list_id)) == 39


def test_a_batch_of_nobody_but_bad_members_makes_no_job(
    tool: KlaviyoServer, destination: Klaviyo, remote: RemoteList
) -> None:
    who = items(destination, Member("bad", {"email": "refused@example.com"}))
    outcome = destination.send(remote, "add", who, "k")
    assert [one.proof for one in outcome.outcomes] == ["rejected"] and not outcome.is_refused_whole
    assert tool.jobs == {}


def test_a_refusal_about_a_member_and_something_else_is_one_of_the_whole_call() -> None:
    class Refusing(KlaviyoServer):
        def answer(self, request: Request) -> Response:
            if request.path.endswith("jobs"):
                at = "/data/attributes/profiles/data/0/attributes/email"
                return Response(400, {"errors": [*_errors(400, "invalid", "", at), *_errors(400, "odd", "")]})
            return super().answer(request)

    refusing = Refusing()
    destination = klaviyo(refusing)
    outcome = destination.send(destination.ensure_list(SPEC), "add", items(destination, person(1), person(2)), "k")
    refusing.close()
    assert outcome.is_refused_whole and len(jobs(refusing)) == 1


def test_a_refusal_about_the_call_is_one_of_the_whole_call(
    tool: KlaviyoServer, destination: Klaviyo, remote: RemoteList
) -> None:
    tool.largest = 100
    outcome = destination.send(remote, "add", items(destination, person(1), person(2)), "k")
    assert outcome.is_refused_whole and {one.code for one in outcome.outcomes} == {"payload_too_large"}


@pytest.mark.parametrize("nests_failures", [True, False])
def test_who_a_job_fails_for_is_rejected_and_all_others_are_proved(
    tool: KlaviyoServer, destination: Klaviyo, remote: RemoteList, nests_failures: bool
) -> None:
    tool.page, tool.nests_failures = 2, nests_failures
    tool.failing = {f"person{number}@example.com" for number in range(3, 8)}
    who = items(destination, *(person(number) for number in range(10)))
    outcomes = add(destination, remote, who)
    assert [one.proof for one in outcomes] == ["applied"] * 3 + ["rejected"] * 5 + ["applied"] * 2
    assert {one.code for one in outcomes[3:8]} == {"invalid"}
    assert not any("person" in f"{one.code} {one.message}" for one in outcomes)
    assert {one.remote_id for one in outcomes if one.is_done} == tool.lists[remote.list_id]["members"]


def test_a_job_is_asked_again_until_it_has_ended(tool: KlaviyoServer, destination: Klaviyo, remote: RemoteList) -> None:
    tool.asked_before_done = 3
    who = items(destination, person(1))
    handle = destination.send(remote, "add", who, "k").outcomes[0].handle
    assert handle == HANDLE
    assert destination.poll(remote, handle, who) is None
    assert destination.poll(remote, handle, who) is None
    ended = destination.poll(remote, handle, who)
    assert ended is not None and ended.outcomes[0].proof == "applied"


@pytest.mark.parametrize("fault", ["busy", "error", "html", "empty", "lost_answer"])
def test_a_question_without_an_answer_is_put_again_later(
    tool: KlaviyoServer, destination: Klaviyo, remote: RemoteList, fault: str
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


def test_who_is_dropped_without_a_word_is_waited_for_and_then_not_known(
    tool: KlaviyoServer, destination: Klaviyo, remote: RemoteList
) -> None:
    tool.asked_before_done = 1
    tool.dropped = {"person2@example.com"}
    who = items(destination, person(1), person(2))
    handle = destination.send(remote, "add", who, "k").outcomes[0].handle
    assert handle and destination.poll(remote, handle, who) is None
    tool.jobs["job-1"]["ended"] -= timedelta(minutes=11)
    ended = destination.poll(remote, handle, who)
    assert ended is not None
    assert [(one.proof, one.code) for one in ended.outcomes] == [("applied", ""), ("unknown", "not_on_list")]


def test_failures_without_a_name_leave_updates_open_and_additions_to_the_list(
    tool: KlaviyoServer, destination: Klaviyo, remote: RemoteList
) -> None:
    tool.names_failures = False
    tool.ended_ago = timedelta(minutes=11)
    tool.failing = {"person2@example.com"}
    who = items(destination, person(1), person(2))
    added = add(destination, remote, who)
    assert [(one.proof, one.code) for one in added] == [("applied", ""), ("unknown", "not_on_list")]
    updated = destination.send(remote, "update", who[:1] + who[1:], "k2")
    found = came(destination, remote, list(updated.outcomes), who)
    assert [one.code for one in found] == ["failures_not_named", "not_on_list"]


def test_a_job_that_was_cancelled_or_is_gone_proves_nothing(
    tool: KlaviyoServer, destination: Klaviyo, remote: RemoteList
) -> None:
    who = items(destination, person(1))
    handle = destination.send(remote, "add", who, "k").outcomes[0].handle
    assert handle
    tool.jobs["job-1"]["status"] = "cancelled"
    cancelled, gone = destination.poll(remote, handle, who), destination.poll(remote, "add job-9", who)
    assert cancelled is not None and gone is not None
    assert cancelled.outcomes[0] == Outcome("unknown", "job_cancelled")
    assert gone.outcomes[0] == Outcome("unknown", "status_404")


def test_a_list_that_is_gone_is_said_and_not_made_again(
    tool: KlaviyoServer, destination: Klaviyo, remote: RemoteList
) -> None:
    who = items(destination, person(1))
    tool.lists.clear()
    for operation in OPERATIONS:
        with pytest.raises(LifecycleError, match="has no list") as raised:
            destination.send(remote, operation, who, "k")
        assert "list_id" in raised.value.remedy
    with pytest.raises(LifecycleError, match="has no list"):
        list(destination.read_back(remote))
    assert tool.lists == {} and jobs(tool) == []


def test_a_list_of_the_settings_is_used_and_one_that_is_not_there_is_said(tool: KlaviyoServer) -> None:
    tool.lists["Y6nRLr"] = {"name": "VIPs", "members": set()}
    named = klaviyo(tool, list_id="Y6nRLr")
    assert named.check().is_ready
    assert named.ensure_list(SPEC) == RemoteList("Y6nRLr", "VIPs")
    assert klaviyo(tool).ensure_list(replace(SPEC, list_id="Y6nRLr")).list_id == "Y6nRLr"
    health = klaviyo(tool, list_id="absent").check()
    assert not health.is_ready and "absent" in health.problem and "list_id" in health.remedy
    with pytest.raises(LifecycleError, match="absent"):
        klaviyo(tool, list_id="absent").ensure_list(SPEC)
    assert list(tool.lists) == ["Y6nRLr"]


@pytest.mark.parametrize("fault", ["error", "lost_answer"])
def test_a_list_whose_making_was_not_answered_is_made_once(
    tool: KlaviyoServer, destination: Klaviyo, fault: str
) -> None:
    tool.fail_next(fault)
    with pytest.raises(LifecycleError, match="does not answer"):
        destination.ensure_list(SPEC)
    assert len([one for one in tool.requests if one.method == "POST"]) == 1
    destination.ensure_list(SPEC)
    assert len(tool.lists) == 1


def test_another_title_makes_no_other_list_and_two_lists_of_a_name_are_not_guessed_between(
    tool: KlaviyoServer, destination: Klaviyo, remote: RemoteList
) -> None:
    assert destination.ensure_list(replace(SPEC, title="Sleepers")).list_id == remote.list_id
    tool.lists["other"] = {"name": SPEC.sync_name, "members": set()}
    with pytest.raises(LifecycleError, match="2 lists") as raised:
        destination.ensure_list(SPEC)
    assert "list_id" in raised.value.remedy


def test_a_missing_scope_is_said_with_the_scopes() -> None:
    class Forbidding(KlaviyoServer):
        def answer(self, request: Request) -> Response:
            if request.path == "/api/profiles":
                return _error(403, "permission_denied", "Your key lacks profiles:read.")
            return super().answer(request)

    forbidding = Forbidding()
    health = klaviyo(forbidding).check()
    forbidding.close()
    assert not health.is_ready and "403" in health.problem and "profiles:read" in health.remedy


def test_a_tool_that_does_not_answer_is_said_and_what_to_do(tool: KlaviyoServer, destination: Klaviyo) -> None:
    tool.fail_next("error", times=20, any_call=True)
    assert "does not answer" in destination.check().problem
    with pytest.raises(LifecycleError, match="does not answer"):
        destination.ensure_list(SPEC)


@pytest.mark.parametrize("header", ["Retry-After", "RateLimit-Reset"])
def test_a_busy_klaviyo_is_waited_for_as_it_says(header: str) -> None:
    class Busy(KlaviyoServer):
        def answer(self, request: Request) -> Response:
            return Response(429, {"errors": []}, {header: "1200"})

    busy = Busy()
    outcome = klaviyo(busy).send(RemoteList("L00001"), "remove", [Item("person1@example.com")], "k")
    busy.close()
    assert outcome.outcomes == (Outcome("retry", "busy", after=1200.0),)
    assert len(busy.requests) == 1


def test_a_full_removal_is_cut_into_calls_that_klaviyo_takes(
    tool: KlaviyoServer, destination: Klaviyo, remote: RemoteList
) -> None:
    who = [Item(f"person{number}@example.com") for number in range(2_500)]
    ids = [tool.add_profile(remote.list_id, email=item.key) for item in who]
    stays = tool.add_profile(remote.list_id, email="stays@example.com")
    outcome = destination.send(remote, "remove", who, "k")
    assert {one.proof for one in outcome.outcomes} == {"applied"}
    calls = [len(one.json["data"]) for one in tool.requests if one.method == "DELETE"]
    assert calls == [1_000, 1_000, 500] and len(ids) == sum(calls)
    assert tool.lists[remote.list_id]["members"] == {stays}


def test_nobody_but_the_named_leaves_and_profiles_stay_as_they_are(
    tool: KlaviyoServer, destination: Klaviyo, remote: RemoteList
) -> None:
    by_hand = tool.add_profile(remote.list_id, email="byhand@example.com")
    who = items(destination, person(1), person(2))
    outcomes = add(destination, remote, who)
    destination.send(remote, "remove", [Item(who[0].key, {}, outcomes[0].remote_id)], "k2")
    assert tool.members(remote.list_id) == {"byhand@example.com", "person2@example.com"}
    assert by_hand in tool.profiles and outcomes[0].remote_id in tool.profiles
    assert {one.path.split("/")[2] for one in tool.requests} <= {"lists", "profiles", "profile-bulk-import-jobs"}


def test_somebody_whose_address_was_changed_at_klaviyo_is_taken_off_by_their_id(
    tool: KlaviyoServer, destination: Klaviyo, remote: RemoteList
) -> None:
    who = items(destination, person(1))
    remote_id = add(destination, remote, who)[0].remote_id
    tool.profiles[remote_id]["email"] = "married@example.com"
    destination.send(remote, "remove", [Item(who[0].key, {}, remote_id)], "k2")
    assert tool.lists[remote.list_id]["members"] == set()


def test_a_profile_that_was_merged_into_another_is_taken_off_and_its_old_id_keeps_nobody(
    tool: KlaviyoServer, destination: Klaviyo, remote: RemoteList
) -> None:
    who = [Item(f"person{number}@example.com") for number in range(5)]
    ids = [tool.add_profile(remote.list_id, email=item.key) for item in who]
    gone = "01PROFILE-MERGED"
    leaving = [replace(item, remote_id=gone if place == 2 else ids[place]) for place, item in enumerate(who)]
    outcome = destination.send(remote, "remove", leaving, "k")
    assert {one.proof for one in outcome.outcomes} == {"applied"}
    assert tool.lists[remote.list_id]["members"] == set()


def test_who_is_not_on_the_list_is_not_asked_to_leave(
    tool: KlaviyoServer, destination: Klaviyo, remote: RemoteList
) -> None:
    tool.add_profile(None, email="person1@example.com")
    outcome = destination.send(remote, "remove", [Item("person1@example.com"), Item("person2@example.com")], "k")
    assert {one.proof for one in outcome.outcomes} == {"already"}
    assert not [one for one in tool.requests if one.method == "DELETE"]


def test_an_empty_answer_to_who_is_there_is_not_taken_for_nobody(
    tool: KlaviyoServer, destination: Klaviyo, remote: RemoteList
) -> None:
    tool.add_profile(remote.list_id, email="person1@example.com")
    tool.faults = [("empty", True)] * 3
    outcome = destination.send(remote, "remove", [Item("person1@example.com")], "k")
    assert outcome.outcomes[0].proof == "unknown"


def test_addresses_are_asked_for_in_filters_of_a_size_that_servers_take(
    tool: KlaviyoServer, destination: Klaviyo, remote: RemoteList
) -> None:
    who = [Item(f"{'a' * 180}{number}@example.com") for number in range(120)]
    for item in who:
        tool.add_profile(remote.list_id, email=item.key)
    destination.send(remote, "remove", who, "k")
    asked = [one.query["filter"] for one in tool.requests if "filter" in one.query and "profiles" in one.path]
    assert len(asked) > 2 and max(map(len, asked)) < 7_000
    assert tool.lists[remote.list_id]["members"] == set()


def test_a_list_of_many_pages_is_read_to_its_end(tool: KlaviyoServer, destination: Klaviyo, remote: RemoteList) -> None:
    for number in range(7):
        tool.add_profile(remote.list_id, email=f"Person{number}@Example.com" if number == 3 else f"p{number}@x.example")
    tool.add_profile(remote.list_id, phone_number="+4930123456")
    tool.page = 3
    found = list(destination.read_back(remote))
    assert len(found) == 7 and "person3@example.com" in found


def test_attributes_are_properties_and_fields_of_the_profile(
    tool: KlaviyoServer, destination: Klaviyo, remote: RemoteList
) -> None:
    given = {
        "first_name": "Zoë",
        "lifecycle_stage": "lapsed",
        "orders": 3,
        "is_vip": True,
        "clv": Decimal("12.50"),
        "score": 0.25,
        "last_order_date": date(2026, 10, 1),
        "seen_at": datetime(2026, 10, 1, 12, 30),
        "odd": float("nan"),
        "nothing": None,
    }
    who = items(destination, person(1, **given))
    assert add(destination, remote, who)[0].is_done
    sent = jobs(tool)[0].json["data"]["attributes"]["profiles"]["data"][0]
    assert sent["attributes"]["first_name"] == "Zoë"
    assert sent["attributes"]["properties"] == {
        "lifecycle_stage": "lapsed",
        "orders": 3,
        "is_vip": True,
        "clv": 12.5,
        "score": 0.25,
        "last_order_date": "2026-10-01",
        "seen_at": "2026-10-01T12:30:00+00:00",
    }
    assert sent["meta"] == {"patch_properties": {"unset": ["nothing", "odd"]}}


def test_an_emptied_attribute_is_taken_away_and_those_of_others_stay(
    tool: KlaviyoServer, destination: Klaviyo, remote: RemoteList
) -> None:
    profile = tool.add_profile(
        remote.list_id, email="person1@example.com", properties={"favourite": "tea", "stage": "x"}
    )
    assert add(destination, remote, items(destination, person(1, stage=None, points=3)), "update")[0].is_done
    assert tool.profiles[profile]["properties"] == {"favourite": "tea", "points": 3}


def test_a_job_is_never_larger_than_klaviyo_takes(
    tool: KlaviyoServer, destination: Klaviyo, remote: RemoteList
) -> None:
    members = [person(number, note="ü" * 3_000) for number in range(1_500)]
    batches = list(cut([(one.customer_id, encoded(destination, one)) for one in members], destination.capabilities))
    assert len(batches) > 1 and sum(len(batch) for batch in batches) == 1_500
    for batch in batches:
        outcome = destination.send(remote, "add", [Item(one.key, one.body) for _, one in batch], "k")
        assert {one.proof for one in outcome.outcomes} == {"accepted"}
    assert 4_900_000 < max(len(one.text.encode()) for one in jobs(tool)) <= 5_000_000


@pytest.mark.parametrize(
    ("by", "given", "key"),
    [
        ("email", {"email": " Jane.Doe@Example.COM "}, "jane.doe@example.com"),
        ("email", {"email": "jürgen@bücher.example"}, "jürgen@bücher.example"),
        ("email", {"email": "o'hara+tag@example.com"}, "o'hara+tag@example.com"),
        ("email", {"email": ""}, "no_email"),
        ("email", {"phone": "+49301000001"}, "no_email"),
        ("email", {"email": "not-an-email"}, "bad_email"),
        ("email", {"email": "two@at@example.com"}, "bad_email"),
        ("email", {"email": 'quo"ted@example.com'}, "bad_email"),
        ("email", {"email": "a" * 64}, "already_hashed"),
        ("phone", {"phone": "+49 (30) 100-0001"}, "+49301000001"),
        ("phone", {"phone": "030 1000001"}, "bad_phone"),
        ("phone", {"phone": "+1234"}, "bad_phone"),
        ("phone", {"email": "a@example.com"}, "no_phone"),
        ("phone", {"phone": "0123456789abcdef" * 4}, "already_hashed"),
        ("customer_id", {}, "cus\"to-m'er"),
    ],
)
def test_people_are_written_as_klaviyo_writes_them(
    by: Literal["email", "phone", "customer_id"], given: dict[str, str], key: str
) -> None:
    found = Klaviyo("klaviyo", SecretStr("x"), identify_by=by).encode(Member("cus\"to-m'er", given))
    assert (found.code if isinstance(found, Veto) else found.key) == key
    if isinstance(found, Veto):
        assert not any(value and value in found.message for value in given.values())


def test_a_profile_that_is_too_large_is_found_before_it_is_sent(destination: Klaviyo) -> None:
    found = destination.encode(person(1, note="x" * 100_000))
    assert isinstance(found, Veto) and found.code == "too_large"


def test_an_id_with_quotes_is_found_and_taken_off(tool: KlaviyoServer) -> None:
    tool.field = "external_id"
    destination = klaviyo(tool, "customer_id")
    remote = destination.ensure_list(SPEC)
    who = items(destination, Member('c"1"\\x', {}))
    assert add(destination, remote, who)[0].is_done
    assert tool.members(remote.list_id) == {'c"1"\\x'}
    assert destination.send(remote, "remove", [Item(who[0].key)], "k").outcomes[0].proof == "applied"
    assert tool.members(remote.list_id) == set()


def test_somebody_is_forgotten_when_klaviyo_finds_them_no_more(
    tool: KlaviyoServer, destination: Klaviyo, remote: RemoteList
) -> None:
    profile = tool.add_profile(remote.list_id, email="person1@example.com")
    who = [Item("person1@example.com"), Item("absent@example.com")]
    outcomes = destination.erase(who).outcomes
    assert [one.proof for one in outcomes] == ["accepted", "already"] and tool.erased == profile
    assert outcomes[0].handle and destination.poll(remote, outcomes[0].handle, who[:1]) is None
    tool.lists[remote.list_id]["members"].clear()
    del tool.profiles[profile]
    ended = destination.poll(remote, outcomes[0].handle, who[:1])
    assert ended is not None and ended.outcomes[0].proof == "applied"


def test_it_is_made_from_the_settings() -> None:
    kind: Any = class_of("klaviyo")
    assert kind is Klaviyo and kind.vendor == "Klaviyo"
    options = Klaviyo.Options.model_validate({"api_key": "pk_secret", "identify_by": "phone"})
    made = Klaviyo.from_options("crm", options, Settings.model_construct())
    assert made.capabilities.identifiers == {"phone"} and made.url == "https://a.klaviyo.com"
    assert "pk_secret" not in f"{made!r} {made.account} {options!r}"
    other = replace(made, api_key=SecretStr("pk_other"))
    assert other.account != made.account


# --- Klaviyo's own description ----------------------------------------------------------------------------------------

NOT_IN_THE_CUT = re.compile(
    r"GET /api/(profiles|lists/[^/]+|lists/[^/]+/profiles|profile-bulk-import-jobs/[^/]+/import-errors)"
)
"""What is asked and not described by the cut of Klaviyo's description that the tests have: questions only."""


def test_every_request_is_one_that_klaviyo_describes(tool: KlaviyoServer) -> None:
    spec = vendor_spec("klaviyo")
    destination = klaviyo(tool)
    assert destination.check().is_ready
    remote = destination.ensure_list(SPEC)
    tool.failing = {"person2@example.com"}
    who = items(destination, person(1, first_name="Zoë", orders=3, gone=None), person(2))
    outcomes = add(destination, remote, who)
    add(destination, remote, who[:1], "update")
    list(destination.read_back(remote))
    destination.send(remote, "remove", [Item(who[0].key, {}, outcomes[0].remote_id)], "k")
    destination.erase([Item("person1@example.com")])
    described = [one for one in tool.requests if not NOT_IN_THE_CUT.fullmatch(f"{one.method} {one.path}")]
    assert {(one.method, re.sub("(L0|job-)[0-9]+", "*", one.path)) for one in described} == {
        ("GET", "/api/lists"),
        ("POST", "/api/lists"),
        ("POST", "/api/profile-bulk-import-jobs"),
        ("GET", "/api/profile-bulk-import-jobs/*"),
        ("DELETE", "/api/lists/*/relationships/profiles"),
        ("POST", "/api/data-privacy-deletion-jobs"),
    }
    assert [problem for problem in map(spec.problem, described) if problem] == []
    assert all(one.headers["revision"] == "2026-07-15" for one in tool.requests)


def test_a_request_that_klaviyo_does_not_describe_is_refused() -> None:
    spec = vendor_spec("klaviyo")
    headers = {
        "content-type": "application/vnd.api+json",
        "revision": "2026-07-15",
        "authorization": "Klaviyo-API-Key x",
    }
    good = {"data": [{"type": "profile", "id": "01"}]}
    path = "/api/lists/L1/relationships/profiles"

    def problem(body: Any, headers: dict[str, str] = headers) -> str | None:
        return spec.problem(Request("DELETE", path, {}, headers, json.dumps(body)))

    assert problem(good) is None
    assert problem({"data": [{"type": "email", "id": "01"}]})
    assert problem({"data": [{"type": "profile"}]})
    assert problem({"emails": ["a@example.com"]})
    assert problem(good, {**headers, "content-type": "application/json"})
