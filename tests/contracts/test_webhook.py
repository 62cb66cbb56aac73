"""Signed events, against a receiver that verifies them by an implementation of its own.

``verify`` is written from the text of Standard Webhooks 1.0.0 ("Signature scheme", "Webhook headers", "Verifying
signatures"), and uses nothing of the destination's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from lifecycle.errors import LifecycleError
from lifecycle.publishing.batches import cut, send_batch
from lifecycle.publishing.destinations import class_of, webhook
from lifecycle.publishing.destinations.members import Encoded, Item, ListSpec, Member, MemberDestination, RemoteList
from lifecycle.publishing.destinations.webhook import Webhook, key_of, signed
from lifecycle.publishing.testing import DestinationContract, Request, Response, ToolServer
from lifecycle.settings import load_settings

SPEC = ListSpec("lapsed_to_crm", "Lapsed customers")
TOLERANCE = 5 * 60


class VerificationError(Exception):
    pass


def verify(secret: str, headers: Mapping[str, str], payload: bytes, *, now: float | None = None) -> None:
    """Raise unless the payload is from whoever has the secret, and was sent within the last five minutes."""
    try:
        msg_id, timestamp, given = (headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
    except KeyError as error:
        raise VerificationError(f"no header {error}") from None
    if not timestamp.isdigit():
        raise VerificationError("the timestamp is no integer")
    if abs((time.time() if now is None else now) - int(timestamp)) > TOLERANCE:
        raise VerificationError("the timestamp is not of now")
    if "." in msg_id:
        raise VerificationError("the id holds a full stop")
    key = base64.b64decode(secret.partition("whsec_")[2])
    to_sign = b".".join([msg_id.encode(), timestamp.encode(), payload])
    expected = base64.b64encode(hmac.new(key, to_sign, hashlib.sha256).digest())
    for signature in given.split(" "):
        version, _, value = signature.partition(",")
        if version == "v1" and hmac.compare_digest(value.encode(), expected):
            return
    raise VerificationError("no signature fits")


def secret_of(text: str) -> str:
    """A secret that is made of a text."""
    return "whsec_" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


class Receiver(ToolServer):
    """A receiver as the documentation asks for. ``lists`` are its books: sync → customer → what it was told."""

    secret = secret_of("receiver")

    def __init__(self) -> None:
        self.lists: dict[str, dict[str, dict[str, Any]]] = {}
        self.answered: dict[str, Response] = {}
        self.largest = webhook.LARGEST_EVENT
        super().__init__()

    def is_authorized(self, request: Request) -> bool:
        try:
            verify(self.secret, request.headers, request.text.encode())
        except VerificationError:
            return False
        return True

    def is_write(self, request: Request) -> bool:
        return request.method != "POST" or request.json.get("type") != "ping"

    def members(self, list_id: str) -> set[str]:
        return set(self.lists.get(list_id, {}))

    def answer(self, request: Request) -> Response:
        if request.path != "/hooks/unguessable" or request.method != "POST":
            return Response(404, {"code": "no_path"})
        if request.headers.get("content-type") != "application/json":
            return Response(415, {"code": "no_json"})
        if len(request.text.encode()) > self.largest:
            return Response(413, {"code": "too_large"})
        event = request.json
        if event["event_id"] != request.headers["webhook-id"]:
            return Response(400, {"code": "two_ids"})
        if event["type"] == "ping":
            return Response(204)
        # An event that was seen before gets the answer that it got.
        event_id = event["event_id"]
        if event_id not in self.answered:
            self.answered[event_id] = self._applied(event)
        return self.answered[event_id]

    def _applied(self, event: dict[str, Any]) -> Response:
        on_list = self.lists.setdefault(event["sync"], {})
        rejected = []
        for member in event["members"]:
            customer_id = member["customer_id"]
            if event["operation"] == "remove":
                on_list.pop(customer_id, None)
            elif customer_id == "customer-bad":
                rejected.append({"customer_id": customer_id, "code": "no_account"})
            else:
                on_list[customer_id] = member
        return Response(200, {"rejected": rejected})


def make(tool: ToolServer, secret: str | None = None, **options: Any) -> Webhook:
    address = SecretStr(f"{tool.url}/hooks/unguessable")
    return Webhook("crm", address, SecretStr(secret or tool.secret), **{"pause": 0.001, **options})


class TestWebhook(DestinationContract):
    def make_tool(self) -> Receiver:
        return Receiver()

    def make_destination(self, tool: ToolServer, *, secret: str | None = None) -> MemberDestination:
        return make(tool, secret_of(secret) if secret else None)

    @pytest.mark.parametrize("fault", ["html"])
    def test_an_answer_that_says_nothing_proves_nothing(
        self, tool: ToolServer, destination: MemberDestination, remote: RemoteList, fault: str
    ) -> None:
        # An empty 200, which elsewhere says nothing, is the receiver's word here: see "Delivery success and failure".
        super().test_an_answer_that_says_nothing_proves_nothing(tool, destination, remote, fault)


@pytest.fixture
def tool() -> Iterator[Receiver]:
    tool = Receiver()
    yield tool
    tool.close()


def items(destination: Webhook, *members: Member) -> list[Item]:
    found = [destination.encode(member) for member in members]
    return [Item(one.key, one.body) for one in found if isinstance(one, Encoded)]


ADA = Member(
    "customer-ada",
    {"email": "ada@bücher.example", "phone": "+441632960000"},
    {"lifecycle_stage": "lapsed", "visits": 3},
)


def sent_event(tool: Receiver, **options: Any) -> Request:
    destination = make(tool, **options)
    destination.send(destination.ensure_list(SPEC), "add", items(destination, ADA), "lapsed_to_crm-000001-0f.3")
    return tool.requests[-1]


# --- the signature ---------------------------------------------------------------------------------------------------

PUBLISHED = {
    "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "timestamp": 1614265330,
    "payload": b'{"test": 2432232314}',
    "signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
"""The vector that the libraries of Standard Webhooks share (libraries/javascript/src/webhook.test.ts, "sign function
works"); the specification's text itself gives a signature without its secret."""


def test_the_published_vector_is_signed_and_verified() -> None:
    key = key_of(str(PUBLISHED["secret"]), "here")
    payload = b'{"test": 2432232314}'
    headers = signed([key], str(PUBLISHED["id"]), 1614265330, payload)
    assert headers["webhook-signature"] == PUBLISHED["signature"]
    assert headers["webhook-id"] == PUBLISHED["id"] and headers["webhook-timestamp"] == "1614265330"
    verify(str(PUBLISHED["secret"]), headers, payload, now=1614265330 + 60)
    with pytest.raises(VerificationError):
        verify(str(PUBLISHED["secret"]), headers, payload + b" ", now=1614265330 + 60)


def test_an_event_verifies(tool: Receiver) -> None:
    request = sent_event(tool)
    verify(tool.secret, request.headers, request.text.encode())
    assert tool.members("lapsed_to_crm") == {"customer-ada"}


@pytest.mark.parametrize(
    "change",
    [
        lambda headers, body, at: (headers, body.replace(b"lapsed", b"active"), at),
        lambda headers, body, at: (headers, body + b" ", at),
        lambda headers, body, at: (headers, body, at + TOLERANCE + 30),
        lambda headers, body, at: (headers, body, at - TOLERANCE - 30),
        lambda headers, body, at: (headers | {"webhook-timestamp": str(int(at) + 60)}, body, at),
        lambda headers, body, at: (headers | {"webhook-id": headers["webhook-id"] + "x"}, body, at),
        lambda headers, body, at: (
            headers | {"webhook-signature": headers["webhook-signature"].replace("v1,", "v1a,")},
            body,
            at,
        ),
        lambda headers, body, at: (headers | {"webhook-signature": "v1,"}, body, at),
        lambda headers, body, at: (
            {name: value for name, value in headers.items() if name != "webhook-timestamp"},
            body,
            at,
        ),
    ],
)
def test_what_was_changed_or_is_old_does_not_verify(tool: Receiver, change: Any) -> None:
    request, at = sent_event(tool), time.time()
    verify(tool.secret, request.headers, request.text.encode(), now=at)
    headers, body, now = change(dict(request.headers), request.text.encode(), at)
    with pytest.raises(VerificationError):
        verify(tool.secret, headers, body, now=now)


def test_another_secret_does_not_verify(tool: Receiver) -> None:
    request = sent_event(tool)
    with pytest.raises(VerificationError):
        verify(secret_of("another"), request.headers, request.text.encode())


def test_while_a_secret_changes_either_of_the_two_verifies(tool: Receiver) -> None:
    request = sent_event(tool, secret=secret_of("new"), previous_secret=SecretStr(tool.secret))
    for secret in (tool.secret, secret_of("new")):
        verify(secret, request.headers, request.text.encode())
    assert tool.members("lapsed_to_crm") == {"customer-ada"}


def test_each_attempt_has_the_event_s_id_and_its_own_time(tool: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    times = iter([now - 120, now - 60, now])
    monkeypatch.setattr(webhook, "time", SimpleNamespace(time=lambda: next(times)))
    tool.fail_next("error", times=2)
    request = sent_event(tool)
    assert len(tool.requests) == 3
    assert {one.headers["webhook-id"] for one in tool.requests} == {request.json["event_id"]}
    assert len({one.text for one in tool.requests}) == 1
    assert [int(one.headers["webhook-timestamp"]) for one in tool.requests] == [int(now) - 120, int(now) - 60, int(now)]
    for one in tool.requests:
        verify(tool.secret, one.headers, one.text.encode())


def test_an_event_whose_answer_was_lost_is_applied_once(tool: Receiver) -> None:
    tool.fail_next("lost_answer")
    sent_event(tool)
    assert len(tool.requests) == 2 and len(tool.answered) == 1


def test_the_same_batch_is_the_same_event_and_another_is_another(tool: Receiver) -> None:
    first, again = sent_event(tool), sent_event(tool)
    assert first.text == again.text and first.headers["webhook-id"] == again.headers["webhook-id"]
    destination = make(tool)
    key, other_key = "lapsed_to_crm-000001-0f.3", "lapsed_to_crm-000001-0f.4"
    asked = items(destination, ADA)
    other = RemoteList("other_sync")
    for remote, operation, some, its_key in (
        (destination.ensure_list(SPEC), "add", asked, other_key),
        (destination.ensure_list(SPEC), "add", [*asked, Item("customer-2")], key),
        (destination.ensure_list(SPEC), "update", asked, key),
        (other, "add", asked, key),
    ):
        destination.send(remote, operation, some, its_key)  # type: ignore[arg-type]
    assert len({one.headers["webhook-id"] for one in tool.requests}) == 5


def test_a_clock_that_is_wrong_is_refused(tool: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "time", SimpleNamespace(time=lambda: time.time() - 3600))
    health = make(tool).check()
    assert not health.is_ready and "credentials" in health.problem


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "password",
        "whsec_not/base64!",
        "whsec_QUJD",
        "A" * 96,
        f"{secret_of('x')[:20]}!{secret_of('x')[20:]}",
    ],
)
def test_a_secret_that_is_none_is_said_and_nothing_leaves(tool: Receiver, secret: str) -> None:
    destination = Webhook("crm", SecretStr(f"{tool.url}/hooks/unguessable"), SecretStr(secret))
    health = destination.check()
    assert not health.is_ready and "24 to 64 bytes" in health.problem and "openssl" in health.remedy
    with pytest.raises(LifecycleError, match="24 to 64 bytes") as raised:
        destination.send(RemoteList("x"), "add", [Item("customer-ada")], "k")
    assert len(secret) < 8 or secret not in str(raised.value)
    assert tool.requests == []


def test_a_secret_may_stand_without_its_prefix() -> None:
    assert key_of(secret_of("x").removeprefix("whsec_"), "here") == key_of(secret_of("x"), "here")


# --- the event -------------------------------------------------------------------------------------------------------


def test_an_event_says_who_joins(tool: Receiver) -> None:
    request = sent_event(tool)
    assert request.path == "/hooks/unguessable"
    event = request.json
    assert event.pop("event_id").startswith("lapsed_to_crm-000001-0f:3:")
    assert event == {
        "type": "members.add",
        "sync": "lapsed_to_crm",
        "operation": "add",
        "members": [
            {
                "customer_id": "customer-ada",
                "identifiers": {"email": "ada@bücher.example", "phone": "+441632960000"},
                "attributes": {"lifecycle_stage": "lapsed", "visits": 3},
            }
        ],
    }
    assert "bücher" in request.text


def test_who_changed_and_who_leaves_are_told_apart(tool: Receiver) -> None:
    destination = make(tool)
    remote = destination.ensure_list(SPEC)
    destination.send(remote, "update", items(destination, ADA), "k1")
    destination.send(remote, "remove", [Item("customer-ada"), Item("customer-absent")], "k2")
    update, remove = (one.json for one in tool.requests)
    assert (update["type"], update["operation"]) == ("members.update", "update")
    assert update["members"][0]["attributes"] == {"lifecycle_stage": "lapsed", "visits": 3}
    assert (remove["type"], remove["operation"]) == ("members.remove", "remove")
    assert remove["members"] == [{"customer_id": "customer-ada"}, {"customer_id": "customer-absent"}]
    assert tool.members("lapsed_to_crm") == set()


def test_attributes_are_plain_json(tool: Receiver) -> None:
    attributes = {
        "text": "Größe",
        "whole": 12345678901234567890,
        "number": 0.1,
        "truth": True,
        "exact": Decimal("19.90"),
        "day": date(2026, 1, 31),
        "moment": datetime(2026, 1, 31, 9, 30),
        "aware": datetime(2026, 1, 31, 9, 30, 0, 250_000, tzinfo=timezone(timedelta(hours=2))),
        "utc": datetime(2026, 1, 31, 9, 30, tzinfo=UTC),
        "nothing": None,
        "no_number": math.nan,
        "no_end": Decimal("Infinity"),
    }
    destination = make(tool)
    destination.send(RemoteList("x"), "add", items(destination, Member("c1", {}, attributes)), "k")
    assert tool.requests[-1].json["members"][0]["attributes"] == {
        "text": "Größe",
        "whole": 12345678901234567890,
        "number": 0.1,
        "truth": True,
        "exact": "19.90",
        "day": "2026-01-31",
        "moment": "2026-01-31T09:30:00Z",
        "aware": "2026-01-31T07:30:00.250000Z",
        "utc": "2026-01-31T09:30:00Z",
        "nothing": None,
        "no_number": None,
        "no_end": None,
    }


def test_an_event_stays_below_its_size(tool: Receiver) -> None:
    destination = make(tool, max_batch=1_000)
    members = [Member(f"customer-{number}", {"email": f"ü{number}@example.com"}) for number in range(1_000)]
    encoded = [(one.customer_id, destination.encode(one)) for one in members]
    batches = list(cut([(name, one) for name, one in encoded if isinstance(one, Encoded)], destination.capabilities))
    remote = destination.ensure_list(SPEC)
    for number, batch in enumerate(batches):
        asked = [Item(one.key, one.body) for _, one in batch]
        key = f"lapsed_to_crm-000001-0123abcd.{number}"
        assert {one.proof for one in send_batch(destination, remote, "add", asked, key)} == {"applied"}
    sizes = [len(one.text.encode()) for one in tool.requests]
    assert max(sizes) <= webhook.LARGEST_EVENT
    # Full, but for what is kept for the envelope and one member more.
    assert min(sizes[:-1]) > webhook.LARGEST_EVENT - webhook.ENVELOPE - 200
    assert len(tool.members(remote.list_id)) == 1_000


def test_the_address_is_called_as_it_is_written(tool: Receiver) -> None:
    for path in ("/hooks/a", "/hooks/a/", "/hooks/a?key=b%2Fc&x=1", ""):
        destination = Webhook("crm", SecretStr(f"{tool.url}{path}"), SecretStr(tool.secret), pause=0.001)
        assert not destination.check().is_ready
    assert [(one.path, one.query) for one in tool.requests] == [
        ("/hooks/a", {}),
        ("/hooks/a/", {}),
        ("/hooks/a", {"key": "b/c", "x": "1"}),
        ("/", {}),
    ]


# --- the answer ------------------------------------------------------------------------------------------------------


def outcomes_of(tool: Receiver, response: Response, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Proof and code of two members, when the receiver answers so."""
    monkeypatch.setattr(tool, "answer", lambda _: response)
    destination = make(tool)
    found = destination.send(RemoteList("x"), "add", [Item("customer-1"), Item("customer-2")], "k")
    assert found.is_refused_whole == (response.status >= 400)
    return [(one.proof, one.code) for one in found.outcomes]


@pytest.mark.parametrize(
    "response",
    [
        Response(200, {}),
        Response(200),
        Response(201, {"id": 7}),
        Response(202, []),
        Response(204),
        Response(200, {"rejected": []}),
        Response(200, {"rejected": None}),
    ],
)
def test_2xx_says_that_all_is_done(tool: Receiver, response: Response, monkeypatch: pytest.MonkeyPatch) -> None:
    assert outcomes_of(tool, response, monkeypatch) == [("applied", ""), ("applied", "")]


@pytest.mark.parametrize(
    ("code", "word"),
    [("no_account", "no_account"), (None, "rejected"), ("Ada Lovelace", "rejected"), ("a@example.org", "rejected")],
)
def test_who_is_named_is_rejected_and_the_others_are_done(
    tool: Receiver, code: str | None, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    response = Response(200, {"rejected": [{"customer_id": "customer-2", "code": code}]})
    assert outcomes_of(tool, response, monkeypatch) == [("applied", ""), ("rejected", word)]


@pytest.mark.parametrize(
    ("rejected", "code"),
    [
        (["customer-2"], "answer_not_understood"),
        ([{"id": "customer-2"}], "answer_not_understood"),
        (7, "answer_not_understood"),
        ({"customer-2": "no_account"}, "answer_not_understood"),
        ([{"customer_id": "customer-3"}], "answer_to_another_event"),
    ],
)
def test_an_answer_that_cannot_be_read_proves_nothing(
    tool: Receiver, rejected: Any, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert outcomes_of(tool, Response(200, {"rejected": rejected}), monkeypatch) == [("unknown", code)] * 2


@pytest.mark.parametrize(
    ("response", "code"),
    [
        (Response(400, {"code": "no_such_field"}), "no_such_field"),
        (Response(422, {"error": "ada@example.org"}), "status_422"),
        (Response(413), "status_413"),
        (Response(400, {"code": "ada@example.org"}), "rejected"),
    ],
)
def test_an_event_that_is_refused_is_refused_whole(
    tool: Receiver, response: Response, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert outcomes_of(tool, response, monkeypatch) == [("rejected", code)] * 2


@pytest.mark.parametrize("status", [301, 302, 308, 404, 405, 410])
def test_an_address_that_takes_no_events_is_said_without_it(
    tool: Receiver, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = {"Location": f"{tool.url}/elsewhere"}
    monkeypatch.setattr(tool, "answer", lambda _: Response(status, None, elsewhere))
    destination = make(tool)
    with pytest.raises(LifecycleError, match=f"status {status}") as raised:
        destination.send(RemoteList("x"), "add", [Item("customer-1")], "k")
    assert raised.value.remedy and "unguessable" not in str(raised.value)
    assert len(tool.requests) == 1
    assert not destination.check().is_ready


def test_a_receiver_that_asks_for_time_is_given_it(tool: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool, "answer", lambda _: Response(503, None, {"Retry-After": "3600"}))
    found = make(tool).send(RemoteList("x"), "add", [Item("customer-1")], "k")
    assert [(one.proof, one.after) for one in found.outcomes] == [("retry", 3600.0)]
    assert len(tool.requests) == 1


@pytest.mark.parametrize("fault", ["html", "error", "busy"])
def test_a_receiver_that_does_not_answer_a_ping_is_not_ready(tool: Receiver, fault: str) -> None:
    tool.fail_next(fault, times=5, any_call=True)
    health = make(tool).check()
    assert not health.is_ready and "does not take events" in health.problem and "2xx" in health.remedy


# --- the settings ----------------------------------------------------------------------------------------------------


def test_settings_make_the_destination() -> None:
    found: Any = class_of("webhook")
    assert found is Webhook
    given = {"url": "https://crm.example.com/hooks/unguessable", "secret": secret_of("x"), "max_bytes": 5_000}
    options = Webhook.Options.model_validate(given)
    made = Webhook.from_options("crm", options, load_settings())
    assert made.capabilities.max_bytes == 5_000 - webhook.ENVELOPE and made.capabilities.max_batch == 100
    assert made.account == "webhook crm.example.com"
    for shown in (repr(made), repr(options), made.account, repr(made._api)):
        assert "unguessable" not in shown and secret_of("x") not in shown


@pytest.mark.parametrize("options", [{"max_batch": 0}, {"max_bytes": 100}, {"colour": "red"}, {"secret": None}])
def test_settings_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Webhook.Options.model_validate({"url": "https://crm.example.com/x", "secret": secret_of("x"), **options})


@pytest.mark.parametrize("url", ["crm.example.com/unguessable", "https://[unguessable", ""])
def test_what_is_no_address_is_said_without_it(url: str) -> None:
    options = Webhook.Options.model_validate({"url": url, "secret": secret_of("x")})
    with pytest.raises(LifecycleError, match="no address") as raised:
        Webhook.from_options("crm", options, load_settings())
    assert "unguessable" not in str(raised.value) and raised.value.remedy


def test_events_go_over_no_open_line() -> None:
    destination = Webhook("crm", SecretStr("http://crm.example.com/hooks"), SecretStr(secret_of("x")))
    health = destination.check()
    assert not health.is_ready and "https://" in health.remedy
