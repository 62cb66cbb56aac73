"""Braze: flags, arrays and subscription groups, and answers that are good and yet refuse somebody."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from pydantic import SecretStr, ValidationError

from lifecycle.errors import LifecycleError
from lifecycle.publishing.batches import send_batch
from lifecycle.publishing.destinations import Health, class_of
from lifecycle.publishing.destinations.braze import Braze, plain
from lifecycle.publishing.destinations.members import (
    Encoded,
    Item,
    ListSpec,
    Member,
    MemberDestination,
    RemoteList,
    Veto,
)
from lifecycle.publishing.testing import DestinationContract, Request, Response, ToolServer
from tests.contracts.vendor_specs import SPECS, vendor_spec

FLAG = "lifecycle_lapsed_to_tool"


class BrazeServer(ToolServer):
    """Braze. ``profiles`` are its books: external id or email → what it knows; ``groups`` who is subscribed."""

    def __init__(self) -> None:
        self.profiles: dict[str, dict[str, Any]] = {}
        self.groups: dict[str, set[str]] = {"group-1": set()}
        self.answers: list[Response] = []
        """Answers that are given next to calls that write, in place of doing what is asked."""
        super().__init__()

    def is_write(self, request: Request) -> bool:
        content = request.json
        return bool(content.get("attributes") or content.get("subscription_groups") or content.get("external_ids"))

    def members(self, list_id: str) -> set[str]:
        if list_id in self.groups:
            return set(self.groups[list_id])
        return {
            key
            for key, profile in self.profiles.items()
            if profile.get(list_id) is True or list_id in profile.get("lifecycle_lists", [])
        }

    def unauthorized(self) -> Response:
        return Response(401, {"message": "Invalid API key: another-secret-value"})

    def answer(self, request: Request) -> Response:
        if request.method != "POST" or not request.headers.get("content-type", "").startswith("application/json"):
            return Response(400, {"message": "Bad syntax"})
        if self.answers and self.is_write(request):
            return self.answers.pop(0)
        match request.path:
            case "/users/track":
                return self._track(request.json.get("attributes") or [])
            case "/v2/subscription/status/set":
                return self._set(request.json.get("subscription_groups") or [])
            case "/users/delete":
                ids = request.json["external_ids"]
                if len(ids) > 50:
                    return Response(400, {"message": "The max number of ids per request was exceeded"})
                gone = [one for one in ids if self.profiles.pop(one, None) is not None]
                return Response(201, {"deleted": len(gone), "message": "success"})
        return Response(404, {"message": "Not found"})

    def _track(self, objects: list[dict[str, Any]]) -> Response:
        if len(objects) > 75:
            return Response(400, {"message": "Max Input Length Exceeded"})
        errors = []
        for place, one in enumerate(objects):
            problem = self._problem(one)
            if problem:
                errors.append({"type": problem, "input_array": "attributes", "index": place})
            else:
                self._write(dict(one))
        if len(errors) == len(objects):
            message = "Valid data must be provided in the 'attributes', 'events', or 'purchases' fields."
            return Response(400, {"message": message, "errors": errors})
        good = {"message": "success", "attributes_processed": len(objects) - len(errors)}
        return Response(201, {**good, "errors": errors} if errors else good)

    def _problem(self, one: dict[str, Any]) -> str | None:
        if not (one.get("external_id") or one.get("email")):
            return "'external_id', 'braze_id', 'user_alias', 'email' or 'phone' is required"
        if "email" in one and ("@" not in one["email"] or one["email"] == "refused@example.com"):
            return f"'email' must be a valid address, and {one['email']} is not"
        return None

    def _write(self, one: dict[str, Any]) -> None:
        key = one.pop("external_id", None) or one["email"]
        if one.pop("_update_existing_only", False) and key not in self.profiles:
            return
        profile = self.profiles.setdefault(key, {})
        for name, value in one.items():
            if isinstance(value, dict):
                kept = [entry for entry in profile.get(name, []) if entry not in value.get("remove", [])]
                profile[name] = kept + [entry for entry in value.get("add", []) if entry not in kept]
            elif value is None:
                profile.pop(name, None)
            else:
                profile[name] = value

    def _set(self, groups: list[dict[str, Any]]) -> Response:
        if not groups:
            return Response(400, {"message": "'subscription_groups' is required"})
        errors = []
        for group in groups:
            people = group.get("external_ids") or group.get("emails") or []
            if group["subscription_group_id"] not in self.groups or not 1 <= len(people) <= 50:
                return Response(400, {"message": "Invalid subscription group, or not 1 to 50 people"})
            kept = self.groups[group["subscription_group_id"]]
            for place, one in enumerate(people):
                if one == "refused@example.com":
                    errors.append({"type": "the address is not valid", "index": place})
                elif group["subscription_state"] == "subscribed":
                    kept.add(one)
                else:
                    kept.discard(one)
        return Response(201, {"message": "success", "errors": errors} if errors else {"message": "success"})


class BrazeContract(DestinationContract):
    options: ClassVar[dict[str, Any]] = {}

    def make_tool(self) -> BrazeServer:
        return BrazeServer()

    def make_destination(self, tool: ToolServer, *, secret: str | None = None) -> MemberDestination:
        return braze(tool, secret, **self.options)

    @pytest.fixture
    def tool(self) -> Iterator[ToolServer]:
        tool = self.make_tool()
        yield tool
        tool.close()
        if (SPECS / "braze.json").exists():
            spec = vendor_spec("braze")
            assert [problem for problem in map(spec.problem, tool.requests) if problem] == []


class TestFlags(BrazeContract):
    pass


class TestFlagsByEmail(BrazeContract):
    options: ClassVar[dict[str, Any]] = {"identifier": "email"}


class TestArrays(BrazeContract):
    options: ClassVar[dict[str, Any]] = {"membership": "array", "identifier": "contact_id"}


class TestGroups(BrazeContract):
    options: ClassVar[dict[str, Any]] = {
        "membership": "subscription_group",
        "subscription_group_id": "group-1",
        "identifier": "email",
    }


def braze(tool: ToolServer, secret: str | None = None, **options: Any) -> Braze:
    return Braze("braze", tool.url, SecretStr(secret or tool.secret), pause=0.001, **options)


@pytest.fixture
def tool() -> Iterator[BrazeServer]:
    tool = BrazeServer()
    yield tool
    tool.close()


@pytest.fixture
def remote() -> RemoteList:
    return RemoteList(FLAG)


def item(destination: Braze, number: int, email: str | None = None, **attributes: Any) -> Item:
    member = Member(f"customer-{number}", {"email": email} if email else {}, attributes)
    found = destination.encode(member)
    assert isinstance(found, Encoded)
    return Item(found.key, found.body)


def test_the_kind_is_in_the_registry_and_made_from_options() -> None:
    kind = class_of("braze")
    options = kind.Options.model_validate({"url": "https://rest.fra-01.braze.eu", "api_key": "hidden", "pause": 1})
    made = kind.from_options("crm", options, None)  # type: ignore[arg-type]
    assert made == Braze("crm", "https://rest.fra-01.braze.eu", SecretStr("hidden"), pause=1.0)
    assert "hidden" not in repr(made) + made.account
    with pytest.raises(ValidationError):
        kind.Options.model_validate({"url": "https://rest.fra-01.braze.eu", "api_key": "hidden", "membership": "list"})


def test_every_request_is_as_braze_describes_it(tool: BrazeServer) -> None:
    spec = vendor_spec("braze")
    destination = braze(tool)
    groups = braze(tool, membership="subscription_group", subscription_group_id="group-1")
    for one in (destination, groups):
        one.check()
        remote = one.ensure_list(ListSpec("lapsed_to_tool", "Lapsed"))
        for operation in ("add", "update", "remove"):
            one.send(remote, operation, [item(one, 1, "a@example.com", spent=Decimal("1.5"))], "k")
        one.erase([Item("customer-1")])
    assert len(tool.requests) == 10
    assert [problem for problem in map(spec.problem, tool.requests) if problem] == []


@pytest.mark.parametrize(
    ("method", "path", "text"),
    [
        ("POST", "/users/track", '{"attributes": {"external_id": "customer-1"}}'),
        ("POST", "/users/track", '{"attributes": ["customer-1"]}'),
        ("POST", "/v2/subscription/status/set", '{"subscription_groups": [{"external_ids": "customer-1"}]}'),
        ("DELETE", "/users/track", ""),
        ("POST", "/users/forget", "{}"),
    ],
)
def test_a_request_that_braze_does_not_describe_is_refused_by_its_description(
    method: str, path: str, text: str
) -> None:
    headers = {"content-type": "application/json", "authorization": "Bearer x"}
    assert vendor_spec("braze").problem(Request(method, path, {}, headers, text)) is not None


def test_errors_in_a_good_answer_are_read_member_by_member(tool: BrazeServer, remote: RemoteList) -> None:
    destination = braze(tool)
    items = [
        item(destination, 1, "a@example.com"),
        item(destination, 2, "refused@example.com"),
        item(destination, 3, "c@example.com"),
    ]
    outcome = destination.send(remote, "add", items, "k")
    assert [one.proof for one in outcome.outcomes] == ["applied", "rejected", "applied"]
    assert outcome.outcomes[1].code == "invalid_email" and "refused@" not in str(outcome)
    assert len(tool.requests) == 1 and tool.members(FLAG) == {"customer-1", "customer-3"}


def test_a_call_in_which_everybody_is_refused_is_not_halved(tool: BrazeServer, remote: RemoteList) -> None:
    destination = braze(tool)
    items = [item(destination, number, "refused@example.com") for number in range(8)]
    outcomes = send_batch(destination, remote, "add", items, "k")
    assert {(one.proof, one.code) for one in outcomes} == {("rejected", "invalid_email")}
    assert len(tool.requests) == 1


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (Response(202, {"message": "queued"}), [("unknown", "queued")] * 2),
        (Response(201, {"message": "queued"}), [("unknown", "queued")] * 2),
        (Response(202, {"message": "success"}), [("unknown", "queued")] * 2),
        (Response(201, {"message": "success", "attributes_processed": 1}), [("unknown", "not_counted")] * 2),
        (
            Response(
                201, {"message": "success", "attributes_processed": 2, "errors": ["something about a@example.com"]}
            ),
            [("unknown", "unplaced_error")] * 2,
        ),
        (
            Response(
                201,
                {"message": "success", "attributes_processed": 1, "errors": [{"index": 9}, {"index": 0, "type": "x"}]},
            ),
            [("rejected", "invalid_profile"), ("unknown", "unplaced_error")],
        ),
        (
            Response(
                201,
                {
                    "message": "success",
                    "attributes_processed": 1,
                    "errors": [{"index": 1, "type": "'email' is bad"}, {"index": 1, "type": "'spent' is bad"}],
                },
            ),
            [("applied", ""), ("rejected", "invalid_spent")],
        ),
        (Response(201, {"message": "success"}), [("applied", "")] * 2),
        (Response(201, {"message": "success", "errors": None, "attributes_processed": 2}), [("applied", "")] * 2),
        (Response(200, {"message": "something is wrong"}), [("unknown", "no_answer")] * 2),
        (Response(200, ["success"]), [("unknown", "no_answer")] * 2),
        (Response(413, "too large"), [("rejected", "status_413")] * 2),
    ],
)
def test_an_answer_proves_what_it_says_and_no_more(
    tool: BrazeServer, remote: RemoteList, response: Response, expected: list[tuple[str, str]]
) -> None:
    destination = braze(tool)
    tool.answers = [response]
    items = [item(destination, number, f"{number}@example.com", spent=1) for number in (1, 2)]
    outcome = destination.send(remote, "add", items, "k")
    assert [(one.proof, one.code) for one in outcome.outcomes] == expected
    assert "example.com" not in str(outcome)
    assert outcome.is_refused_whole == (response.status == 413)


def test_a_limit_that_resets_in_a_moment_is_waited_for(tool: BrazeServer, remote: RemoteList) -> None:
    destination = braze(tool)
    reset = int(time.time()) + 2
    tool.answers = [Response(429, {"message": "Over rate limit"}, {"X-RateLimit-Reset": str(reset)})]
    assert destination.send(remote, "add", [item(destination, 1)], "k").outcomes[0].proof == "applied"
    assert time.time() >= reset - 0.05 and len(tool.requests) == 2


def test_a_limit_that_resets_in_an_hour_is_left_for_the_next_delivery(tool: BrazeServer, remote: RemoteList) -> None:
    destination = braze(tool)
    tool.answers = [Response(429, {}, {"X-RateLimit-Reset": str(int(time.time()) + 3600)})]
    outcome = destination.send(remote, "add", [item(destination, 1)], "k").outcomes[0]
    assert outcome.proof == "retry" and 3500 < (outcome.after or 0) <= 3600
    assert len(tool.requests) == 1


def test_a_call_holds_75_profiles_or_50_of_a_group(tool: BrazeServer) -> None:
    assert braze(tool).capabilities.max_batch == 75
    assert braze(tool, membership="subscription_group").capabilities.max_batch == 50


def test_taking_somebody_off_changes_membership_alone_and_makes_nobody(tool: BrazeServer, remote: RemoteList) -> None:
    destination = braze(tool)
    destination.send(remote, "add", [item(destination, 1, "a@example.com", lifecycle_stage="lapsed")], "k")
    tool.profiles["customer-1"]["email_subscribe"] = "opted_in"
    destination.send(remote, "remove", [Item("customer-1"), Item("customer-2")], "k")
    assert tool.profiles == {
        "customer-1": {
            "email": "a@example.com",
            "lifecycle_stage": "lapsed",
            "email_subscribe": "opted_in",
            FLAG: False,
        }
    }


def test_an_array_keeps_what_other_syncs_and_people_put_in_it(tool: BrazeServer) -> None:
    destination = braze(tool, membership="array")
    tool.profiles["customer-1"] = {"lifecycle_lists": ["by_hand"]}
    lapsed, vips = (destination.ensure_list(ListSpec(name, name)) for name in ("lapsed", "vips"))
    for remote in (lapsed, vips, lapsed):
        destination.send(remote, "add", [Item("customer-1")], "k")
    assert tool.profiles["customer-1"]["lifecycle_lists"] == ["by_hand", "lapsed", "vips"]
    destination.send(vips, "remove", [Item("customer-1")], "k")
    assert tool.profiles["customer-1"]["lifecycle_lists"] == ["by_hand", "lapsed"]


@pytest.mark.parametrize(
    ("identifier", "key", "field"), [("email", "a@example.com", "emails"), ("contact_id", "c1", "external_ids")]
)
def test_a_group_is_told_of_people_by_what_they_are_known_by(
    tool: BrazeServer, identifier: str, key: str, field: str
) -> None:
    destination = braze(tool, membership="subscription_group", identifier=identifier)
    for operation, state in (("add", "subscribed"), ("remove", "unsubscribed")):
        destination.send(RemoteList("group-1"), operation, [Item(key)], "k")  # type: ignore[arg-type]
        group = {"subscription_group_id": "group-1", "subscription_state": state, field: [key]}
        assert tool.requests[-1].json == {"subscription_groups": [group]}


def test_a_group_has_to_be_named(tool: BrazeServer) -> None:
    destination = braze(tool, membership="subscription_group")
    assert not destination.capabilities.creates_list and not destination.capabilities.updates
    with pytest.raises(LifecycleError, match="no subscription group") as raised:
        destination.ensure_list(ListSpec("lapsed", "Lapsed"))
    assert "subscription_group_id" in raised.value.remedy
    assert destination.ensure_list(ListSpec("lapsed", "Lapsed", "group-2")).list_id == "group-2"


def test_a_group_that_is_not_there_stops_the_delivery(tool: BrazeServer) -> None:
    destination = braze(tool, membership="subscription_group", subscription_group_id="group-9")
    remote = destination.ensure_list(ListSpec("lapsed", "Lapsed"))
    with pytest.raises(LifecycleError, match="refuses everybody"):
        send_batch(destination, remote, "add", [Item(f"customer-{number}") for number in range(20)], "k")


@pytest.mark.parametrize("options", [{}, {"membership": "array", "array_attribute": "push_subscribe"}])
def test_membership_is_not_kept_in_a_field_of_brazes_own(tool: BrazeServer, options: dict[str, Any]) -> None:
    with pytest.raises(LifecycleError, match="Braze's own"):
        braze(tool, **options).ensure_list(ListSpec("lapsed", "Lapsed", "email_subscribe"))


def test_attributes_arrive_plainly_and_never_as_fields_of_brazes_own(tool: BrazeServer, remote: RemoteList) -> None:
    destination = braze(tool)
    attributes: dict[str, Any] = {
        "lifecycle_stage": "lapsed",
        "order_count": 3,
        "score": 0.5,
        "is_vip": True,
        "spent_amount": Decimal("12.30"),
        "first_order_date": date(2026, 11, 24),
        "seen_at": datetime(2026, 11, 24, 8, 0, tzinfo=timezone(timedelta(hours=2))),
        "country": "Germany",
        "email_subscribe": "unsubscribed",
        "_update_existing_only": True,
    }
    destination.send(remote, "add", [item(destination, 1, **attributes)], "k")
    assert tool.profiles["customer-1"] == {
        "lifecycle_stage": "lapsed",
        "order_count": 3,
        "score": 0.5,
        "is_vip": True,
        "spent_amount": 12.3,
        "first_order_date": "2026-11-24",
        "seen_at": "2026-11-24T06:00:00Z",
        "lifecycle_country": "Germany",
        "lifecycle_email_subscribe": "unsubscribed",
        "lifecycle__update_existing_only": True,
        FLAG: True,
    }
    destination.send(remote, "update", [item(destination, 1, lifecycle_stage=None, order_count=4)], "k")
    assert "lifecycle_stage" not in tool.profiles["customer-1"] and tool.profiles["customer-1"]["order_count"] == 4


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 678), "2026-01-02T03:04:05Z"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00Z"),
        (Decimal("NaN"), None),
        (Decimal("Infinity"), None),
        (float("nan"), None),
        (Decimal("10.00"), 10.0),
        (False, False),
        ("", ""),
    ],
)
def test_values_are_written_as_json_can_hold_them(value: Any, expected: Any) -> None:
    assert plain(value) == expected and type(plain(value)) is type(expected)


def test_an_attribute_cannot_take_the_place_of_membership_or_of_the_id(tool: BrazeServer, remote: RemoteList) -> None:
    destination = braze(tool)
    destination.send(
        remote, "add", [item(destination, 1, **dict[str, Any]({FLAG: False, "external_id": "customer-2"}))], "k"
    )
    assert tool.members(FLAG) == {"customer-1"}


@pytest.mark.parametrize(
    ("identifier", "identifiers", "expected"),
    [
        ("email", {"email": "  Jane.DOE+x@Example.COM "}, "jane.doe+x@example.com"),
        ("email", {"email": "a" * 64}, "already_hashed"),
        ("email", {"email": "ABCDEF0123456789" * 4}, "already_hashed"),
        ("email", {"email": "nobody"}, "no_email"),
        ("email", {"phone": "+4930123456"}, "no_email"),
        ("contact_id", {"email": "a@example.com"}, "no_contact_id"),
        ("contact_id", {"contact_id": "Shop:7"}, "Shop:7"),
        ("customer_id", {"email": "a" * 64}, "c-1"),
    ],
)
def test_people_are_known_by_the_identifier_that_the_settings_name(
    tool: BrazeServer, identifier: str, identifiers: dict[str, str], expected: str
) -> None:
    found = braze(tool, identifier=identifier).encode(Member("c-1", identifiers))
    assert (found.code if isinstance(found, Veto) else found.key) == expected
    if isinstance(found, Encoded) and identifier != "email":
        assert "email" not in found.body


def test_profiles_get_the_addresses_that_the_sync_sends(tool: BrazeServer) -> None:
    found = braze(tool).encode(Member("c-1", {"email": "Jane@Example.com", "phone": "+4930123456"}))
    assert isinstance(found, Encoded) and found.body == {"email": "jane@example.com", "phone": "+4930123456"}


def test_forgetting_people_takes_50_in_a_call_and_spares_the_others(tool: BrazeServer) -> None:
    destination = braze(tool)
    tool.profiles = {f"customer-{number}": {} for number in range(130)}
    outcome = destination.erase([Item(f"customer-{number}") for number in (*range(120), 999)])
    assert len(outcome.outcomes) == 121 and all(one.is_done for one in outcome.outcomes)
    assert set(tool.profiles) == {f"customer-{number}" for number in range(120, 130)}
    assert [len(request.json["external_ids"]) for request in tool.requests] == [50, 50, 21]


def test_forgetting_is_proved_by_a_count_alone(tool: BrazeServer) -> None:
    tool.answers = [Response(202, {"message": "queued"})]
    assert braze(tool).erase([Item("customer-1")]).outcomes[0].proof == "unknown"
    assert not braze(tool, identifier="email").capabilities.erases


@pytest.mark.parametrize(
    ("response", "problem"),
    [
        (Response(404, {"message": "Unknown REST API key"}), "404"),
        (Response(403, {}), "status 403"),
        (Response(429, {}, {"Retry-After": "600"}), "does not answer"),
    ],
)
def test_what_is_wrong_with_the_account_is_said(response: Response, problem: str) -> None:
    class Elsewhere(BrazeServer):
        def answer(self, request: Request) -> Response:
            return response

    tool = Elsewhere()
    try:
        health = braze(tool).check()
        assert isinstance(health, Health) and not health.is_ready
        assert problem in health.problem and health.remedy
        if response.status == 404:
            with pytest.raises(LifecycleError, match="does not know the key"):
                braze(tool).send(RemoteList(FLAG), "add", [Item("customer-1")], "k")
    finally:
        tool.close()
