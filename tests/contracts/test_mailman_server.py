"""Mailman as a destination, against a real Mailman 3 that is started for it.

Skips where there is none, and fails there when ``LIFECYCLE_TEST_SERVERS=1`` says that there has to be.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from lifecycle.errors import LifecycleError
from lifecycle.publishing.batches import cut, send_batch
from lifecycle.publishing.destinations import mailman
from lifecycle.publishing.destinations.mailman import BATCH, Mailman
from lifecycle.publishing.destinations.members import Encoded, Item, ListSpec, Member, Operation, Outcome, RemoteList
from tests.contracts.mailman_server import MailmanServer, missing_part, rest_call
from tests.contracts.test_mailman import MailmanTool

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def server() -> Iterator[MailmanServer]:
    missing = missing_part()
    if missing and os.environ.get("LIFECYCLE_TEST_SERVERS") == "1":
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    with MailmanServer() as server:
        assert server.call("POST", "/3.1/domains", {"mail_host": "example.com"})[0] == 201
        yield server


@pytest.fixture
def address(request: pytest.FixtureRequest) -> str:
    """A list of the test's own, not yet made."""
    return f"{re.sub('[^a-z0-9]+', '-', request.node.name.lower())[:60]}@example.com"


@pytest.fixture
def destination(server: MailmanServer, address: str) -> Mailman:
    return make(server, address)


@pytest.fixture
def remote(destination: Mailman) -> RemoteList:
    return destination.ensure_list(ListSpec("lapsed_to_newsletter", "Lapsed customers"))


def make(server: MailmanServer, address: str, **options: Any) -> Mailman:
    settings: dict[str, Any] = {"url": server.url, "create_list": True, "pause": 0.05, **options}
    return Mailman("newsletter", SecretStr(server.password), address, **settings)


def person(number: int) -> Member:
    return Member(f"c{number}", {"email": f"Person{number:04d}@Example.org"})


def deliver(destination: Mailman, remote: RemoteList, operation: Operation, *members: Member) -> list[Outcome]:
    """Send members as the engine does: batch by batch, each until it has an outcome."""
    encoded = []
    for member in members:
        found = destination.encode(member)
        assert isinstance(found, Encoded), found
        encoded.append((member.customer_id, found))
    outcomes: list[Outcome] = []
    for number, batch in enumerate(cut(encoded, destination.capabilities)):
        asked = [Item(one.key, one.body if operation != "remove" else {}) for _, one in batch]
        outcomes += send_batch(destination, remote, operation, asked, f"{operation}.{number}", sleep=lambda _: None)
    return outcomes


def keys(*numbers: int) -> set[str]:
    return {f"person{number:04d}@example.org" for number in numbers}


def test_two_hundred_join_some_change_and_the_list_is_exact(
    server: MailmanServer, address: str, destination: Mailman, remote: RemoteList, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailman, "PAGE", 64)
    everybody = [person(number) for number in range(200)]
    assert len(everybody) > 3 * BATCH
    assert destination.check().is_ready and remote.member_count == 0
    assert {one.proof for one in deliver(destination, remote, "add", *everybody)} == {"applied"}
    assert server.members(address) == keys(*range(200))
    # All of it again changes nothing.
    assert {one.proof for one in deliver(destination, remote, "add", *everybody)} == {"already"}
    # Sixty leave and forty others come.
    assert {one.proof for one in deliver(destination, remote, "remove", *everybody[:60])} == {"applied"}
    assert {one.proof for one in deliver(destination, remote, "remove", *everybody[:60])} == {"already"}
    newcomers = [person(number) for number in range(500, 540)]
    assert {one.proof for one in deliver(destination, remote, "add", *newcomers)} == {"applied"}
    expected = keys(*range(60, 200), *range(500, 540))
    read = list(destination.read_back(remote))
    assert len(read) == len(expected) == 180
    assert set(read) == expected == server.members(address)
    found = make(server, address, create_list=False).ensure_list(ListSpec("x", "X"))
    assert found == RemoteList(remote.list_id, "X", 180)


def test_who_is_refused_keeps_nobody_else_out(
    server: MailmanServer, address: str, destination: Mailman, remote: RemoteList
) -> None:
    banned = {"email": "banned@example.org"}
    assert server.call("POST", f"/3.1/lists/{remote.list_id}/bans", banned)[0] == 201
    assert server.call("POST", f"/3.1/lists/{remote.list_id}/bans", {"email": r"^.*@spam\.example$"})[0] == 201
    asked = [
        person(1),
        Member("c2", banned),
        Member("c3", {"email": "anybody@spam.example"}),
        Member("c4", {"email": "no-dot@localhost"}),
        Member("c5", {"email": "jürgen@example.org"}),
        Member("c6", {"email": "with space@example.org"}),
        Member("c7", {"email": address}),
        person(8),
    ]
    outcomes = deliver(destination, remote, "add", *asked)
    assert [(one.proof, one.code) for one in outcomes] == [
        ("applied", ""),
        ("rejected", "banned"),
        ("rejected", "banned"),
        ("rejected", "bad_address"),
        ("rejected", "bad_address"),
        ("rejected", "bad_address"),
        ("rejected", "address_of_the_list"),
        ("applied", ""),
    ]
    assert server.members(address) == keys(1, 8)


def test_unusual_addresses_come_and_go_alone(
    server: MailmanServer, address: str, destination: Mailman, remote: RemoteList
) -> None:
    unusual = ["juergen@bücher.example", "o'brien+news/x@example.org", "{a}?b=%2f#&c@example.org", "*@example.org"]
    members = [Member(f"u{number}", {"email": email}) for number, email in enumerate(unusual)]
    assert {one.proof for one in deliver(destination, remote, "add", person(1), *members)} == {"applied"}
    there = keys(1) | {"juergen@xn--bcher-kva.example", *unusual[1:]}
    assert set(destination.read_back(remote)) == there == server.members(address)
    # To the call that Mailman has for one member, this is a wildcard that takes away somebody else.
    outcomes = deliver(destination, remote, "remove", members[-1], Member("u9", {"email": "person*@example.org"}))
    assert [one.proof for one in outcomes] == ["applied", "already"]
    assert set(destination.read_back(remote)) == there - {"*@example.org"}
    deliver(destination, remote, "remove", *members)
    assert server.members(address) == keys(1)


def test_nobody_is_written_to(server: MailmanServer, destination: Mailman, remote: RemoteList) -> None:
    before = server.queued_mails()
    deliver(destination, remote, "add", person(1), person(2))
    deliver(destination, remote, "remove", person(1))
    assert server.queued_mails() == before
    # The call that is not used, to see that a mail would have been found.
    assert server.call("DELETE", f"/3.1/lists/{remote.list_id}/member/person0002@example.org")[0] == 204
    assert server.queued_mails() == before + 1


def test_who_was_added_by_hand_stays_and_who_leaves_stays_on_other_lists(
    server: MailmanServer, address: str, destination: Mailman, remote: RemoteList
) -> None:
    other = make(server, f"other-{address}")
    other_list = other.ensure_list(ListSpec("other", "Other"))
    by_hand = {"list_id": remote.list_id, "subscriber": "By.Hand@example.org", "pre_verified": True}
    by_hand |= {"pre_confirmed": True, "pre_approved": True}
    assert server.call("POST", "/3.1/members", by_hand)[0] == 201
    for one, its_list in ((destination, remote), (other, other_list)):
        deliver(one, its_list, "add", person(1), person(2))
    deliver(destination, remote, "remove", person(1))
    assert set(destination.read_back(remote)) == keys(2) | {"by.hand@example.org"}
    assert set(other.read_back(other_list)) == keys(1, 2)


def test_who_asked_to_join_and_did_not_confirm_is_no_member_yet(
    server: MailmanServer, destination: Mailman, remote: RemoteList
) -> None:
    asked = {"list_id": remote.list_id, "subscriber": "person0001@example.org"}
    assert server.call("POST", "/3.1/members", asked)[0] == 202
    (outcome,) = deliver(destination, remote, "add", person(1))
    assert (outcome.proof, outcome.code) == ("retry", "request_pending")
    assert list(destination.read_back(remote)) == []


def test_a_list_that_is_made_is_hidden_closed_and_quiet(
    server: MailmanServer, destination: Mailman, remote: RemoteList
) -> None:
    status, config = server.call("GET", f"/3.1/lists/{remote.list_id}/config")
    assert status == 200 and config["description"] == "Kept by Lifecycle: Lapsed customers"
    assert {name: config[name] for name in mailman.OWN_LIST} == mailman.OWN_LIST
    # Changed by hand, it stays so.
    changed = {"advertised": True, "description": "Ours"}
    assert server.call("PATCH", f"/3.1/lists/{remote.list_id}/config", changed)[0] == 204
    destination.ensure_list(ListSpec("lapsed_to_newsletter", "Lapsed customers"))
    assert server.call("GET", f"/3.1/lists/{remote.list_id}/config")[1]["advertised"] is True


def test_what_is_wrong_is_said_with_what_to_do(server: MailmanServer, address: str) -> None:
    spec = ListSpec("x", "X")
    wrong = [
        (Mailman("newsletter", SecretStr("another-secret"), address, url=server.url, pause=0.01), "credentials"),
        (make(server, "lapsed@nowhere.example"), "no such domain"),
        (make(server, address, create_list=False), "no such list"),
        (make(server, address, url=f"{server.url}/3.1"), "no such domain"),
    ]
    for destination, problem in wrong:
        health = destination.check()
        assert not health.is_ready and problem in health.problem and health.remedy
        assert "another-secret" not in f"{health} {destination!r}"
        with pytest.raises(LifecycleError, match=problem):
            destination.ensure_list(spec)


def test_a_list_that_is_gone_is_said_and_not_made_again(
    server: MailmanServer, destination: Mailman, remote: RemoteList
) -> None:
    deliver(destination, remote, "add", person(1))
    assert server.call("DELETE", f"/3.1/lists/{remote.list_id}")[0] == 204
    for operation in ("add", "remove"):
        with pytest.raises(LifecycleError, match="is gone"):
            destination.send(remote, operation, [Item("person0001@example.org")], "k")
    with pytest.raises(LifecycleError, match="is gone"):
        list(destination.read_back(remote))
    assert server.call("GET", f"/3.1/lists/{remote.list_id}")[0] == 404


def test_the_stand_in_answers_as_the_real_server_does(server: MailmanServer) -> None:
    address, list_id = "twin@example.com", "twin.example.com"
    member = {"list_id": list_id, "pre_verified": True, "pre_confirmed": True, "pre_approved": True}
    member |= {"invitation": False, "send_welcome_message": False}
    roster = f"/3.1/lists/{list_id}/roster/member"
    calls: list[tuple[str, str, Any]] = [
        ("GET", "/3.1/domains/example.com", None),
        ("GET", "/3.1/domains/nowhere.example", None),
        ("GET", f"/3.1/lists/{address}", None),
        ("GET", f"{roster}?count=2&page=1&fields=email", None),
        ("DELETE", roster, {"emails": ["ada@example.org"]}),
        ("POST", "/3.1/members", {**member, "subscriber": "ada@example.org"}),
        ("POST", "/3.1/lists", {"fqdn_listname": "twin@nowhere.example", "style_name": "legacy-announce"}),
        ("POST", "/3.1/lists", {"fqdn_listname": "t win@example.com", "style_name": "legacy-announce"}),
        ("POST", "/3.1/lists", {"fqdn_listname": address, "style_name": "legacy-announce"}),
        ("POST", "/3.1/lists", {"fqdn_listname": address, "style_name": "legacy-announce"}),
        ("GET", f"/3.1/lists/{address}", None),
        ("GET", f"/3.1/lists/{list_id}", None),
        ("GET", f"{roster}?count=2&page=1&fields=email", None),
        ("PATCH", f"/3.1/lists/{list_id}/config", {"description": "Twins", **mailman.OWN_LIST}),
        ("POST", f"/3.1/lists/{list_id}/bans", {"email": "banned@example.org"}),
        ("POST", "/3.1/members", {"list_id": list_id, "subscriber": "waits@example.org"}),
        *(
            ("POST", "/3.1/members", {**member, "subscriber": email})
            for email in ("Ada@Example.org", "ada@example.org", "banned@example.org", "waits@example.org", address)
        ),
        *(
            ("POST", "/3.1/members", {**member, "subscriber": email})
            for email in ("plain", "no-dot@localhost", "ü@example.org", "a b@example.org", "x@-a.example", "b/*@a.bc")
        ),
        ("GET", f"{roster}?count=2&page=1&fields=email", None),
        ("GET", f"{roster}?count=1&page=2&fields=email", None),
        ("GET", f"{roster}?count=2&page=2&fields=email", None),
        ("GET", f"/3.1/lists/{list_id}", None),
        ("DELETE", roster, {"emails": ["ada@example.org", "ADA@example.org", "absent@example.org"]}),
        ("GET", f"/3.1/lists/{list_id}/nothing", None),
    ]
    tool = MailmanTool()
    try:
        port = int(tool.url.rpartition(":")[2])
        for method, path, content in calls:
            real, stood_in = server.call(method, path, content), rest_call(port, tool.secret, method, path, content)
            assert _comparable(stood_in) == _comparable(real), (method, path, content)
        denied = rest_call(server.port, "x", "GET", "/3.1/lists")
        assert denied[0] == 401 and denied == rest_call(port, "x", "GET", "/3.1/lists")
        assert tool.members(list_id) == {"b/*@a.bc"} == server.members(address)
    finally:
        tool.close()


def _comparable(answer: tuple[int, Any]) -> tuple[int, Any]:
    """An answer without tags, links and tokens, which no two servers share."""
    status, content = answer
    shown = {"http_etag", "self_link", "token", "alias_domain"}
    if isinstance(content, dict):
        content = {name: value for name, value in content.items() if name not in shown}
        if "entries" in content:
            content["entries"] = [{"email": one["email"]} for one in content["entries"]]
        if "mail_host" in content and "list_id" not in content:
            content.pop("description", None)
    return status, content
