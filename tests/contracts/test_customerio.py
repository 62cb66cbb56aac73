"""Customer.io: people are identified before they are added, with and without the App API."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from pydantic import SecretStr

from lifecycle.errors import LifecycleError
from lifecycle.publishing.batches import cut, send_batch
from lifecycle.publishing.destinations import class_of
from lifecycle.publishing.destinations.customerio import CustomerIo, plain
from lifecycle.publishing.destinations.members import Encoded, Item, ListSpec, Member, MemberDestination, Veto
from lifecycle.publishing.testing import DestinationContract, Request, Response, ToolServer

SPEC = ListSpec("lapsed_to_tool", "Lapsed customers")
APP_KEY = "app-key-that-nobody-may-see"


@dataclass
class Segment:
    name: str
    description: str = ""
    kind: str = "manual"
    people: set[str] = field(default_factory=set)


class CustomerIoServer(ToolServer):
    """Customer.io: both APIs at one address. ``people`` are its books: id or email → attributes."""

    page_size = 30_000
    region = "us"
    gone_status = 404
    """How the Track API refuses a segment that is not there; it is not documented."""

    def __init__(self) -> None:
        self.people: dict[str, dict[str, Any]] = {}
        self.segments: dict[str, Segment] = {"1": Segment("By hand"), "2": Segment("Paying", kind="dynamic")}
        self.answers: dict[str, Response] = {}
        """Part of a path → the answer that is given to the next call there, in place of doing what is asked."""
        super().__init__()

    def is_authorized(self, request: Request) -> bool:
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if request.path.startswith("/v1/"):
            return (scheme, value) == ("Bearer", APP_KEY)
        return scheme == "Basic" and base64.b64decode(value).decode() == f"site-1:{self.secret}"

    def unauthorized(self) -> Response:
        return Response(401, {"meta": {"error": "unauthorized"}})

    def members(self, list_id: str) -> set[str]:
        return set(self.segments[list_id].people)

    def answer(self, request: Request) -> Response:
        for part in self.answers:
            if part in request.path:
                return self.answers.pop(part)
        if request.method == "POST" and request.headers.get("content-type") != "application/json":
            return Response(400, {"meta": {"errors": ["malformed"]}})
        match request.path.strip("/").split("/"), request.method:
            case ["api", "v1", "accounts", "region"], "GET":
                return Response(200, {"url": "https://track.customer.io", "region": self.region, "environment_id": 3})
            case ["api", "v2", "batch"], "POST":
                return self._batch(request)
            case ["api", "v1", "segments", number, verb], "POST":
                return self._change(number, verb, request)
            case ["v1", "segments"], "GET":
                return Response(200, {"segments": [self._shown(number) for number in self.segments]})
            case ["v1", "segments"], "POST":
                number = str(len(self.segments) + 1)
                content = request.json["segment"]
                self.segments[number] = Segment(content["name"], content.get("description", ""))
                return Response(200, {"segment": self._shown(number)})
            case ["v1", "segments", number, *_], _ if number not in self.segments:
                return Response(404, {"errors": [{"detail": "not found", "status": "404"}]})
            case ["v1", "segments", number], "GET":
                return Response(200, {"segment": self._shown(number)})
            case ["v1", "segments", number, "membership"], "GET":
                return self._membership(number, request)
        return Response(404, {"meta": {"error": "no such path"}})

    def _shown(self, number: str) -> dict[str, Any]:
        found = self.segments[number]
        return {"id": int(number), "name": found.name, "description": found.description, "type": found.kind}

    def _batch(self, request: Request) -> Response:
        entries = request.json["batch"]
        if len(request.text.encode()) >= 500_000:
            return Response(400, {"errors": [{"reason": "too_large", "message": "the batch is too large"}]})
        errors = []
        for place, entry in enumerate(entries):
            (kind, key), *more = entry["identifiers"].items()
            key = key.lower() if kind == "email" else key
            attributes = entry.get("attributes", {})
            if more or kind not in ("id", "email") or not key:
                errors.append(
                    {"batch_index": place, "reason": "invalid", "field": "identifiers", "message": "one of id"}
                )
            elif "refused@example.com" in (key, attributes.get("email")):
                message = "refused@example.com is not an address"
                errors.append({"batch_index": place, "reason": "invalid", "field": "email", "message": message})
            elif entry["action"] == "delete":
                self.people.pop(key, None)
                for segment in self.segments.values():
                    segment.people.discard(key)
            else:
                kept = {**self.people.get(key, {}), **attributes}
                self.people[key] = {name: value for name, value in kept.items() if value != ""}
        return Response(207, {"errors": errors}) if errors else Response(200, {})

    def _change(self, number: str, verb: str, request: Request) -> Response:
        ids = request.json["ids"]
        if number not in self.segments:
            return Response(self.gone_status, {"meta": {"errors": ["segment is not there"]}})
        if self.segments[number].kind != "manual" or not 1 <= len(ids) <= 1_000:
            return Response(400, {"meta": {"errors": ["not a manual segment, or not 1 to 1,000 ids"]}})
        if request.query.get("id_type", "id") == "email":
            ids = [one.lower() for one in ids]
        known = {one for one in ids if one in self.people}
        if verb == "add_customers":
            self.segments[number].people |= known
        else:
            self.segments[number].people -= known
        return Response(200, {})

    def _membership(self, number: str, request: Request) -> Response:
        people = sorted(self.segments[number].people)
        start = int(request.query.get("start") or 0)
        limit = min(int(request.query["limit"]), self.page_size)
        shown = [self._identifiers(one) for one in people[start : start + limit]]
        more = str(start + limit) if start + limit < len(people) else ""
        return Response(200, {"segment_id": int(number), "ids": [], "identifiers": shown, "next": more})

    def _identifiers(self, key: str) -> dict[str, Any]:
        is_email = "@" in key
        email = key.title() if is_email else self.people.get(key, {}).get("email")
        return {"id": None if is_email else key, "email": email, "cio_id": f"a3{abs(hash(key)):x}"}


def customerio(tool: ToolServer, secret: str | None = None, **options: Any) -> CustomerIo:
    options.setdefault("app_key", SecretStr(secret or APP_KEY))
    return CustomerIo(
        "cio", "site-1", SecretStr(secret or tool.secret), url=tool.url, app_url=tool.url, pause=0.001, **options
    )


class CustomerIoContract(DestinationContract):
    options: ClassVar[dict[str, Any]] = {}

    def make_tool(self) -> CustomerIoServer:
        return CustomerIoServer()

    def make_destination(self, tool: ToolServer, *, secret: str | None = None) -> MemberDestination:
        return customerio(tool, secret, **self.options)


class TestById(CustomerIoContract):
    pass


class TestByEmail(CustomerIoContract):
    options: ClassVar[dict[str, Any]] = {"identifier": "email"}


class TestWithoutTheAppApi(CustomerIoContract):
    options: ClassVar[dict[str, Any]] = {"app_key": None, "segment_id": 1, "identifier": "contact_id"}


@pytest.fixture
def tool() -> Iterator[CustomerIoServer]:
    tool = CustomerIoServer()
    yield tool
    tool.close()


def item(destination: CustomerIo, number: int, email: str | None = None, **attributes: Any) -> Item:
    found = destination.encode(Member(f"customer-{number}", {"email": email} if email else {}, attributes))
    assert isinstance(found, Encoded)
    return Item(found.key, found.body)


def test_the_kind_is_in_the_registry_and_made_from_options() -> None:
    kind = class_of("customerio")
    options = kind.Options.model_validate({"site_id": "s", "api_key": "hidden", "app_key": "covert", "segment_id": 7})
    made = kind.from_options("crm", options, None)  # type: ignore[arg-type]
    assert made == CustomerIo("crm", "s", SecretStr("hidden"), SecretStr("covert"), segment_id=7)
    for secret in ("hidden", "covert"):
        assert secret not in repr(made) + made.account


@pytest.mark.parametrize(("region", "hosts"), [("us", ("track", "api")), ("eu", ("track-eu", "api-eu"))])
def test_a_region_has_its_own_addresses(region: Any, hosts: tuple[str, str]) -> None:
    destination = CustomerIo("cio", "s", SecretStr("k"), SecretStr("a"), region=region)
    assert [repr(destination._track), repr(destination._app)] == [
        f"Api('https://{host}.customer.io')" for host in hosts
    ]


def test_an_account_in_another_region_is_told(tool: CustomerIoServer) -> None:
    tool.region = "eu"
    health = customerio(tool).check()
    assert not health.is_ready and "region" in health.problem and "eu" in health.remedy
    assert customerio(tool, region="eu").check().is_ready


def test_a_bad_app_key_is_told_too(tool: CustomerIoServer) -> None:
    health = customerio(tool, app_key=SecretStr("another-secret-value")).check()
    assert not health.is_ready and health.remedy and "another-secret-value" not in str(health)


def test_people_are_identified_first_and_then_added(tool: CustomerIoServer) -> None:
    destination = customerio(tool)
    remote = destination.ensure_list(SPEC)
    tool.requests.clear()
    destination.send(remote, "add", [item(destination, 1, "a@example.com", lifecycle_stage="lapsed")], "k")
    assert [(request.path, request.query, request.json) for request in tool.requests] == [
        (
            "/api/v2/batch",
            {},
            {
                "batch": [
                    {
                        "type": "person",
                        "identifiers": {"id": "customer-1"},
                        "action": "identify",
                        "attributes": {"lifecycle_stage": "lapsed", "email": "a@example.com"},
                    }
                ]
            },
        ),
        (f"/api/v1/segments/{remote.list_id}/add_customers", {"id_type": "id"}, {"ids": ["customer-1"]}),
    ]


def test_who_is_refused_in_status_207_is_not_added(tool: CustomerIoServer) -> None:
    destination = customerio(tool)
    remote = destination.ensure_list(SPEC)
    emails = ["a@example.com", "refused@example.com", "c@example.com"]
    outcome = destination.send(remote, "add", [item(destination, n, email) for n, email in enumerate(emails)], "k")
    assert [one.proof for one in outcome.outcomes] == ["applied", "rejected", "applied"]
    assert (outcome.outcomes[1].code, outcome.outcomes[1].message) == ("invalid", "field email")
    assert tool.requests[-1].json == {"ids": ["customer-0", "customer-2"]}


def test_where_everybody_is_refused_nobody_is_added(tool: CustomerIoServer) -> None:
    destination = customerio(tool)
    remote = destination.ensure_list(SPEC)
    outcome = destination.send(remote, "add", [item(destination, 1, "refused@example.com")], "k")
    assert outcome.outcomes[0].proof == "rejected" and not outcome.is_refused_whole
    assert tool.requests[-1].path == "/api/v2/batch"


@pytest.mark.parametrize(
    ("part", "response", "expected"),
    [
        ("batch", Response(200, None), [("unknown", "no_answer")] * 2),
        ("batch", Response(207, {"errors": []}), [("unknown", "unplaced_error")] * 2),
        ("batch", Response(207, {"errors": [{"reason": "invalid"}]}), [("unknown", "unplaced_error")] * 2),
        (
            "batch",
            Response(207, {"errors": [{"batch_index": 0, "reason": "a@example.com is bad", "field": "a@example.com"}]}),
            [("rejected", "refused"), ("applied", "")],
        ),
        ("add_customers", Response(200, None), [("unknown", "no_answer")] * 2),
        ("add_customers", Response(500, {}), [("applied", "")] * 2),
        ("add_customers", Response(429, {}, {"Retry-After": "600"}), [("retry", "busy")] * 2),
    ],
)
def test_an_answer_proves_what_it_says_and_no_more(
    tool: CustomerIoServer, part: str, response: Response, expected: list[tuple[str, str]]
) -> None:
    destination = customerio(tool)
    remote = destination.ensure_list(SPEC)
    tool.answers = {part: response}
    outcome = destination.send(remote, "add", [item(destination, number) for number in (1, 2)], "k")
    assert [(one.proof, one.code) for one in outcome.outcomes] == expected
    assert "example.com" not in str(outcome) and not tool.answers


def test_a_segment_is_known_by_its_sync_whatever_it_is_called(tool: CustomerIoServer) -> None:
    destination = customerio(tool)
    tool.segments["3"] = Segment("Lapsed customers")
    remote = destination.ensure_list(SPEC)
    assert remote.list_id == "4" and tool.segments["4"].name == "Lapsed customers"
    tool.segments["4"].name = "Sleepers"
    assert destination.ensure_list(SPEC).list_id == "4"
    assert destination.ensure_list(ListSpec("lapsed_to_tool_2", "Lapsed customers")).list_id == "5"


def test_making_a_segment_is_not_tried_twice_and_found_the_next_time(tool: CustomerIoServer) -> None:
    destination = customerio(tool)
    tool.fail_next("lost_answer")
    with pytest.raises(LifecycleError, match="does not answer") as raised:
        destination.ensure_list(SPEC)
    assert raised.value.remedy
    assert destination.ensure_list(SPEC).list_id == "3" and len(tool.segments) == 3


def test_a_segment_has_to_be_named_without_the_app_api(tool: CustomerIoServer) -> None:
    destination = customerio(tool, app_key=None)
    assert not destination.capabilities.creates_list and destination.capabilities.read_back == "none"
    with pytest.raises(LifecycleError, match="no segment is named") as raised:
        destination.ensure_list(SPEC)
    assert "segment_id" in raised.value.remedy and "app_key" in raised.value.remedy
    assert destination.ensure_list(ListSpec("lapsed", "Lapsed", "12")).list_id == "12"


@pytest.mark.parametrize(("segment_id", "problem"), [(9, "segment 9 is not there"), (2, "not a manual segment")])
def test_a_segment_that_is_named_has_to_be_there_and_manual(
    tool: CustomerIoServer, segment_id: int, problem: str
) -> None:
    with pytest.raises(LifecycleError, match=problem) as raised:
        customerio(tool, segment_id=segment_id).ensure_list(SPEC)
    assert raised.value.remedy


@pytest.mark.parametrize("gone_status", [404, 400])
@pytest.mark.parametrize("operation", ["add", "remove"])
def test_a_segment_that_is_gone_stops_the_delivery_and_is_not_made_again(
    tool: CustomerIoServer, operation: Any, gone_status: int
) -> None:
    destination = customerio(tool)
    remote = destination.ensure_list(SPEC)
    del tool.segments[remote.list_id]
    tool.gone_status = gone_status
    with pytest.raises(LifecycleError, match="segment 3 is not there") as raised:
        send_batch(destination, remote, operation, [item(destination, number) for number in range(3)], "k")
    assert "segment_id" in raised.value.remedy and remote.list_id not in tool.segments
    with pytest.raises(LifecycleError, match="segment 3 is not there"):
        list(destination.read_back(remote) or [])


def test_a_segment_that_is_gone_stops_the_delivery_without_the_app_api_too(tool: CustomerIoServer) -> None:
    destination = customerio(tool, app_key=None, segment_id=9)
    remote = destination.ensure_list(SPEC)
    tool.gone_status = 400
    with pytest.raises(LifecycleError, match="refuses everybody"):
        send_batch(destination, remote, "add", [item(destination, number) for number in range(20)], "k")


def test_who_was_put_into_the_segment_by_others_stays_and_is_read_back(tool: CustomerIoServer) -> None:
    destination = customerio(tool, segment_id=1)
    remote = destination.ensure_list(SPEC)
    tool.people["by-hand"] = {}
    tool.segments["1"].people = {"by-hand"}
    destination.send(remote, "add", [item(destination, 1)], "k")
    destination.send(remote, "remove", [Item("customer-1")], "k")
    assert set(destination.read_back(remote) or []) == {"by-hand"}


def test_taking_somebody_off_leaves_the_person(tool: CustomerIoServer) -> None:
    destination = customerio(tool)
    remote = destination.ensure_list(SPEC)
    destination.send(remote, "add", [item(destination, 1, "a@example.com", score=1)], "k")
    outcome = destination.send(remote, "remove", [Item("customer-1"), Item("customer-2")], "k")
    assert all(one.is_done for one in outcome.outcomes)
    assert tool.people == {"customer-1": {"email": "a@example.com", "score": 1}}


def test_a_segment_is_read_back_page_by_page(tool: CustomerIoServer) -> None:
    destination = customerio(tool, identifier="email")
    remote = destination.ensure_list(SPEC)
    tool.page_size = 2
    items = [item(destination, number, f"p{number}@example.com") for number in range(5)]
    destination.send(remote, "add", items, "k")
    tool.people["no-email"] = {}
    tool.segments[remote.list_id].people.add("no-email")
    found = list(destination.read_back(remote) or [])
    assert sorted(found)[1:] == sorted(one.key for one in items) and found[0].startswith("cio_")
    assert [request.query.get("start") for request in tool.requests[-3:]] == [None, "2", "4"]


def test_a_call_stays_below_500_kilobytes(tool: CustomerIoServer) -> None:
    destination = customerio(tool)
    remote = destination.ensure_list(SPEC)
    encoded = [
        (f"c{number}", found)
        for number in range(60)
        if isinstance(found := destination.encode(Member(f"c{number}", {}, {"note": "ü" * 10_000})), Encoded)
    ]
    batches = list(cut(encoded, destination.capabilities))
    assert [len(batch) for batch in batches] == [24, 24, 12]
    for batch in batches:
        outcome = destination.send(remote, "add", [Item(one.key, one.body) for _, one in batch], "k")
        assert {one.proof for one in outcome.outcomes} == {"applied"}
    texts = [request.text for request in tool.requests if request.path == "/api/v2/batch"]
    sizes = [sum(one.size for _, one in batch) for batch in batches]
    assert [len(text.encode()) for text in texts] == [size + len('{"batch":[]}') - 1 for size in sizes]


def test_attributes_arrive_plainly_and_never_unsubscribe(tool: CustomerIoServer) -> None:
    destination = customerio(tool)
    remote = destination.ensure_list(SPEC)
    attributes: dict[str, Any] = {
        "lifecycle_stage": "lapsed",
        "order_count": 3,
        "is_vip": True,
        "spent_amount": Decimal("12.30"),
        "first_order_date": date(2026, 11, 24),
        "seen_at": datetime(2026, 11, 24, 2, 0, tzinfo=timezone(timedelta(hours=2))),
        "unsubscribed": True,
        "cio_subscription_preferences": "none",
        "_update": True,
        "id": "other",
    }
    destination.send(remote, "add", [item(destination, 1, **attributes)], "k")
    assert tool.people["customer-1"] == {
        "lifecycle_stage": "lapsed",
        "order_count": 3,
        "is_vip": True,
        "spent_amount": 12.3,
        "first_order_date": 1795478400,
        "seen_at": 1795478400,
        "lifecycle_unsubscribed": True,
        "lifecycle_cio_subscription_preferences": "none",
        "lifecycle__update": True,
        "lifecycle_id": "other",
    }
    destination.send(remote, "update", [item(destination, 1, lifecycle_stage=None, order_count=4)], "k")
    assert "lifecycle_stage" not in tool.people["customer-1"] and tool.people["customer-1"]["order_count"] == 4


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime(1970, 1, 2), 86_400),
        (datetime(1970, 1, 2, tzinfo=UTC), 86_400),
        (date(1969, 12, 31), -86_400),
        (Decimal("NaN"), ""),
        (float("inf"), ""),
        (Decimal("10.00"), 10.0),
        (False, False),
    ],
)
def test_values_are_written_as_customerio_compares_them(value: Any, expected: Any) -> None:
    assert plain(value) == expected and type(plain(value)) is type(expected)


@pytest.mark.parametrize(
    ("identifier", "identifiers", "expected"),
    [
        ("email", {"email": "  Jane.DOE+x@Example.COM "}, "jane.doe+x@example.com"),
        ("email", {"email": "0123456789abcdef" * 4}, "already_hashed"),
        ("email", {"email": "nobody"}, "no_email"),
        ("email", {}, "no_email"),
        ("contact_id", {"contact_id": "Shop:7"}, "Shop:7"),
        ("contact_id", {"email": "a@example.com"}, "no_contact_id"),
        ("customer_id", {"email": "0123456789abcdef" * 4}, "c-1"),
    ],
)
def test_people_are_known_by_the_identifier_that_the_settings_name(
    tool: CustomerIoServer, identifier: str, identifiers: dict[str, str], expected: str
) -> None:
    found = customerio(tool, identifier=identifier).encode(Member("c-1", identifiers))
    assert (found.code if isinstance(found, Veto) else found.key) == expected
    assert isinstance(found, Veto) or found.body == {}


def test_people_get_the_addresses_that_the_sync_sends(tool: CustomerIoServer) -> None:
    found = customerio(tool).encode(Member("c-1", {"email": "Jane@Example.com", "phone": "+4930123456"}))
    assert isinstance(found, Encoded) and found.body == {"email": "jane@example.com", "phone": "+4930123456"}


def test_forgetting_people_spares_the_others(tool: CustomerIoServer) -> None:
    destination = customerio(tool)
    remote = destination.ensure_list(SPEC)
    destination.send(remote, "add", [item(destination, number) for number in range(4)], "k")
    outcome = destination.erase([Item("customer-1"), Item("customer-2"), Item("customer-9")])
    assert [one.proof for one in outcome.outcomes] == ["applied"] * 3
    assert set(tool.people) == tool.members(remote.list_id) == {"customer-0", "customer-3"}
    assert {entry["action"] for entry in tool.requests[-1].json["batch"]} == {"delete"}
    assert all("attributes" not in entry for entry in tool.requests[-1].json["batch"])
