"""Mailman as a destination, against a server that answers as Mailman 3.3.8 does.

``test_mailman_server.py`` holds the destination, and this stand-in, against a real one.
"""

from __future__ import annotations

import re
from base64 import b64decode
from typing import Any

import pytest
from pydantic import SecretStr

from lifecycle.errors import LifecycleError
from lifecycle.publishing.batches import send_batch
from lifecycle.publishing.destinations import class_of, mailman
from lifecycle.publishing.destinations.mailman import Mailman
from lifecycle.publishing.destinations.members import Encoded, Item, ListSpec, Member, RemoteList, Veto
from lifecycle.publishing.testing import DestinationContract, Request, Response, ToolServer
from lifecycle.settings import load_settings

LIST = "lapsed@example.com"
SPEC = ListSpec("lapsed_to_tool", "Lapsed customers")


class MailmanTool(ToolServer):
    """Mailman's REST server. Its books are by list id: what it shows of lists, how they are set up, who is on them."""

    def __init__(self) -> None:
        self.domains = {"example.com"}
        self.lists: dict[str, dict[str, Any]] = {}
        self.configs: dict[str, dict[str, Any]] = {}
        self.rosters: dict[str, set[str]] = {}
        self.banned: dict[str, set[str]] = {}
        self.pending: dict[str, set[str]] = {}
        super().__init__()

    def is_authorized(self, request: Request) -> bool:
        kind, _, value = request.headers.get("authorization", "").partition(" ")
        return kind == "Basic" and b64decode(value).decode() == f"restadmin:{self.secret}"

    def unauthorized(self) -> Response:
        return Response(401, {"title": "401 Unauthorized", "description": "REST API authorization failed"})

    def members(self, list_id: str) -> set[str]:
        return self.rosters[list_id]

    def add_list(self, address: str) -> None:
        list_id = address.replace("@", ".")
        name, _, host = address.partition("@")
        self.lists[list_id] = {
            "advertised": True,
            "display_name": name.capitalize(),
            "fqdn_listname": address,
            "list_id": list_id,
            "list_name": name,
            "mail_host": host,
            "volume": 1,
            "description": "",
        }
        self.configs[list_id] = {}
        for books in (self.rosters, self.banned, self.pending):
            books[list_id] = set()

    def answer(self, request: Request) -> Response:
        if request.text and not request.headers.get("content-type", "").startswith("application/json"):
            return _bad("Missing Parameter: list_id, subscriber")
        match request.path.strip("/").split("/")[1:], request.method:
            case ["domains"], "GET":
                return Response(200, {"start": 0, "total_size": len(self.domains)})
            case ["domains", host], "GET":
                return Response(200, {"mail_host": host}) if host in self.domains else _missing("404 Not Found")
            case ["lists"], "POST":
                return self._make(request.json["fqdn_listname"])
            case ["members"], "POST":
                return self._join(request.json)
            case ["lists", address, *rest], method:
                list_id = address.replace("@", ".")
                if list_id not in self.lists:
                    return _missing(None if rest else "404 Not Found")
                return self._on_list(list_id, rest, method, request)
        return _missing(None)

    def _on_list(self, list_id: str, rest: list[str], method: str, request: Request) -> Response:
        match rest, method:
            case [], "GET":
                return Response(200, {**self.lists[list_id], "member_count": len(self.rosters[list_id])})
            case ["config"], "PATCH":
                if "\n" in request.json.get("description", ""):
                    return _bad('Invalid Parameter "description": This value must be a single line.')
                shown = self.lists[list_id]
                shown |= {name: value for name, value in request.json.items() if name in shown}
                self.configs[list_id] |= request.json
                return Response(204)
            case ["bans"], "POST":
                self.banned[list_id].add(request.json["email"].lower())
                return Response(201)
            case ["roster", "member"], "GET":
                count, page = int(request.query["count"]), int(request.query["page"])
                found = sorted(self.rosters[list_id])
                start = (page - 1) * count
                entries = [{"email": email} for email in found[start : start + count]]
                answer: dict[str, Any] = {"start": start, "total_size": len(found)}
                return Response(200, answer | ({"entries": entries} if entries else {}))
            case ["roster", "member"], "DELETE":
                said = {email: email in self.rosters[list_id] for email in request.json["emails"]}
                self.rosters[list_id] -= set(said)
                return Response(200, said)
        return _missing(None)

    def _make(self, address: str) -> Response:
        name, _, host = address.partition("@")
        if not host or " " in name:
            return _bad(f"Invalid list posting address: {address}")
        if host not in self.domains:
            return _bad(f"Domain does not exist: {host}")
        if address.replace("@", ".") in self.lists:
            return _bad("Mailing list exists")
        self.add_list(address)
        return Response(201)

    def _join(self, asked: dict[str, Any]) -> Response:
        email = str(asked["subscriber"])
        local, _, domain = email.partition("@")
        parts = domain.split(".")
        if (
            not re.fullmatch(r"[-0-9a-zA-Z!#$%&'*+./=?@_`{}~]+", local)
            or len(parts) < 2
            or not all(re.fullmatch(r"[0-9a-zA-Z][-0-9a-zA-Z]*", part) for part in parts)
        ):
            return _bad('Invalid Parameter "subscriber": .')
        list_id = asked["list_id"]
        if list_id not in self.lists:
            return _bad("No such list")
        email = email.lower()
        if email in self.rosters[list_id]:
            return _conflict("Member already subscribed")
        if email in self.banned[list_id] or email == "refused@example.com":
            return _bad("Membership is banned")
        if email == self.lists[list_id]["fqdn_listname"]:
            return _bad("List posting address cannot subscribe")
        if email in self.pending[list_id]:
            return _conflict("Subscription request already pending")
        if not all(asked.get(flag) is True for flag in ("pre_verified", "pre_confirmed", "pre_approved")):
            self.pending[list_id].add(email)
            return Response(202, {"token": "0123", "token_owner": "subscriber"})
        self.rosters[list_id].add(email)
        return Response(201)


def _bad(description: str) -> Response:
    return Response(400, {"title": "400 Bad Request", "description": description})


def _conflict(description: str) -> Response:
    return Response(409, {"title": "409 Conflict", "description": description})


def _missing(description: str | None) -> Response:
    return Response(404, {"title": "404 Not Found"} | ({"description": description} if description else {}))


def make(tool: ToolServer, secret: str | None = None, **options: Any) -> Mailman:
    settings: dict[str, Any] = {"list_id": LIST, "url": tool.url, "create_list": True, "pause": 0.001, **options}
    return Mailman("mailman", SecretStr(secret or tool.secret), **settings)


class TestMailman(DestinationContract):
    def make_tool(self) -> MailmanTool:
        return MailmanTool()

    def make_destination(self, tool: ToolServer, *, secret: str | None = None) -> Mailman:
        return make(tool, secret)

    def unicode_member(self) -> Member:
        # Mailman 3.3 takes no letters beyond ASCII before the @; a test below says what becomes of them.
        return Member("customer-ünï", {"email": "Juergen@Bücher.example"})


@pytest.fixture
def tool() -> Any:
    tool = MailmanTool()
    yield tool
    tool.close()


def items(*emails: str) -> list[Item]:
    return [Item(email) for email in emails]


def writes(tool: ToolServer, path: str) -> list[Any]:
    return [one.json for one in tool.requests if one.method != "GET" and one.path == path]


def test_who_joins_is_asked_for_nothing_and_written_to_by_nobody(tool: MailmanTool) -> None:
    destination = make(tool)
    destination.send(destination.ensure_list(SPEC), "add", items("ada@example.org"), "k")
    assert writes(tool, "/3.1/members") == [
        {
            "list_id": "lapsed.example.com",
            "subscriber": "ada@example.org",
            "pre_verified": True,
            "pre_confirmed": True,
            "pre_approved": True,
            "invitation": False,
            "send_welcome_message": False,
        }
    ]


def test_all_who_leave_leave_in_one_call_of_the_roster_that_sends_no_goodbye(tool: MailmanTool) -> None:
    destination = make(tool)
    remote = destination.ensure_list(SPEC)
    tool.rosters[remote.list_id] |= {"ada@example.org", "by.hand@example.org"}
    found = destination.send(remote, "remove", items("ada@example.org", "absent@example.org"), "k")
    assert [one.proof for one in found.outcomes] == ["applied", "already"]
    assert [one.path for one in tool.requests if one.method == "DELETE"] == [
        "/3.1/lists/lapsed.example.com/roster/member"
    ]
    assert tool.members(remote.list_id) == {"by.hand@example.org"}


def test_every_refusal_has_its_word(tool: MailmanTool) -> None:
    destination = make(tool)
    remote = destination.ensure_list(SPEC)
    tool.banned[remote.list_id].add("banned@example.org")
    asked = items("ada@example.org", "banned@example.org", "no-dot@localhost", "jürgen@example.org", LIST)
    outcomes = send_batch(destination, remote, "add", asked, "k", sleep=lambda _: None)
    assert [(one.proof, one.code) for one in outcomes] == [
        ("applied", ""),
        ("rejected", "banned"),
        ("rejected", "bad_address"),
        ("rejected", "bad_address"),
        ("rejected", "address_of_the_list"),
    ]


def test_a_conflict_is_not_taken_for_a_membership(tool: MailmanTool) -> None:
    destination = make(tool)
    remote = destination.ensure_list(SPEC)
    tool.pending[remote.list_id].add("waiting@example.org")
    outcomes = send_batch(destination, remote, "add", items("waiting@example.org"), "k", sleep=lambda _: None)
    assert [(one.proof, one.code) for one in outcomes] == [("retry", "request_pending")]
    assert tool.members(remote.list_id) == set()


def test_a_refusal_in_words_that_are_not_known_is_a_refusal(tool: MailmanTool, monkeypatch: pytest.MonkeyPatch) -> None:
    destination = make(tool)
    remote = destination.ensure_list(SPEC)
    monkeypatch.setattr(tool, "_join", lambda asked: _conflict(f"no more of {asked['subscriber']}"))
    (outcome,) = send_batch(destination, remote, "add", items("ada@example.org"), "k")
    assert (outcome.proof, outcome.code, outcome.message) == ("rejected", "refused", "")


@pytest.mark.parametrize("status", [200, 202])
def test_nothing_but_created_says_that_somebody_joined(
    tool: MailmanTool, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    destination = make(tool)
    remote = destination.ensure_list(SPEC)
    monkeypatch.setattr(tool, "_join", lambda _: Response(status, {"token": "0123"}))
    assert destination.send(remote, "add", items("ada@example.org"), "k").outcomes[0].proof == "unknown"


def test_a_server_that_is_down_is_not_tried_for_each_member() -> None:
    tool = MailmanTool()
    tool.close()
    destination, remote = make(tool), RemoteList("lapsed.example.com")
    many = items(*(f"person{number}@example.org" for number in range(mailman.BATCH)))
    outcomes = destination.send(remote, "add", many, "k").outcomes
    assert len(outcomes) == len(many)
    assert {(one.proof, one.code) for one in outcomes} == {("retry", "busy")}
    health = destination.check()
    assert not health.is_ready and "does not answer" in health.problem and health.remedy
    with pytest.raises(LifecycleError, match="does not answer"):
        destination.ensure_list(SPEC)
    with pytest.raises(LifecycleError, match="does not answer"):
        list(destination.read_back(remote))


def test_a_busy_server_is_left_alone_for_the_rest_of_the_batch(tool: MailmanTool) -> None:
    destination = make(tool)
    remote = destination.ensure_list(SPEC)
    destination.send(remote, "add", items("first@example.org"), "k")
    tool.requests.clear()
    tool.fail_next("busy", times=5)
    outcomes = destination.send(remote, "add", items("a@example.org", "b@example.org", "c@example.org"), "k").outcomes
    assert [one.proof for one in outcomes] == ["retry", "retry", "retry"]
    assert {one.json["subscriber"] for one in tool.requests} == {"a@example.org"}


def test_what_the_roster_does_not_say_is_not_known(tool: MailmanTool, monkeypatch: pytest.MonkeyPatch) -> None:
    destination = make(tool)
    remote = destination.ensure_list(SPEC)
    monkeypatch.setattr(tool, "_on_list", lambda *_: Response(200, {"ada@example.org": True, "http_etag": "x"}))
    found = destination.send(remote, "remove", items("ada@example.org", "eve@example.org"), "k")
    assert [one.proof for one in found.outcomes] == ["applied", "unknown"]


def test_a_list_is_read_back_page_by_page(tool: MailmanTool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailman, "PAGE", 4)
    destination = make(tool)
    remote = destination.ensure_list(SPEC)
    for count in (0, 3, 4, 5, 9):
        tool.rosters[remote.list_id] = {f"person{number}@example.org" for number in range(count)}
        tool.requests.clear()
        found = list(destination.read_back(remote))
        assert len(found) == count and set(found) == tool.members(remote.list_id)
        assert len(tool.requests) == max(1, -(-count // 4))


def test_a_list_that_is_gone_is_said_and_not_made_again(tool: MailmanTool) -> None:
    destination = make(tool)
    remote = destination.ensure_list(SPEC)
    del tool.lists[remote.list_id]
    for operation in ("add", "remove"):
        with pytest.raises(LifecycleError, match="is gone") as raised:
            destination.send(remote, operation, items("ada@example.org"), "k")
        assert raised.value.remedy and "ada" not in str(raised.value)
    with pytest.raises(LifecycleError, match="is gone"):
        list(destination.read_back(remote))
    assert tool.lists == {}


def test_a_list_that_is_made_is_hidden_closed_and_quiet(tool: MailmanTool) -> None:
    remote = make(tool).ensure_list(ListSpec("lapsed_to_tool", "Lapsed\ncustomers"))
    assert remote == RemoteList("lapsed.example.com", "Lapsed\ncustomers", 0)
    made = tool.configs[remote.list_id]
    assert made["description"] == "Kept by Lifecycle: Lapsed customers"
    assert made["advertised"] is False and made["archive_policy"] == "never"
    assert made["default_member_action"] == made["default_nonmember_action"] == "hold"
    assert writes(tool, "/3.1/lists") == [{"fqdn_listname": LIST, "style_name": "legacy-announce"}]


def test_a_list_whose_maker_died_is_set_up_by_the_next(tool: MailmanTool) -> None:
    tool.add_list(LIST)
    make(tool).ensure_list(SPEC)
    assert tool.configs["lapsed.example.com"]["advertised"] is False


@pytest.mark.parametrize("is_own", [True, False])
def test_a_list_of_somebody_else_stays_as_it_is(tool: MailmanTool, is_own: bool) -> None:
    tool.add_list(LIST)
    if is_own:
        tool.rosters["lapsed.example.com"].add("by.hand@example.org")
    else:
        tool.lists["lapsed.example.com"]["description"] = "Friends of the house"
    for create_list in (True, False):
        assert make(tool, create_list=create_list).ensure_list(SPEC).member_count == int(is_own)
    assert tool.configs["lapsed.example.com"] == {}


def test_a_list_is_found_by_either_of_its_names(tool: MailmanTool) -> None:
    tool.add_list(LIST)
    for name in (LIST, "lapsed.example.com"):
        assert make(tool, list_id=name).ensure_list(SPEC).list_id == "lapsed.example.com"
    tool.add_list("other@example.com")
    assert make(tool).ensure_list(ListSpec("x", "X", "other@example.com")).list_id == "other.example.com"


def test_a_list_has_to_be_named_by_the_destination_or_by_the_sync(tool: MailmanTool) -> None:
    destination = make(tool, list_id=None)
    assert destination.check().is_ready
    assert not make(tool, "another-secret", list_id=None).check().is_ready
    with pytest.raises(LifecycleError, match="'lapsed_to_tool' names no list") as raised:
        destination.ensure_list(SPEC)
    assert "`list:`" in raised.value.remedy
    assert destination.ensure_list(ListSpec("x", "X", LIST)).list_id == "lapsed.example.com"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"create_list": False}, "no such list"),
        ({"list_id": "lapsed@elsewhere.example"}, "no such domain"),
        ({"list_id": "lapsed.example.com"}, "no such domain"),
        ({"list_id": "lapsed customers@example.com"}, "does not make the list"),
    ],
)
def test_a_list_that_cannot_be_had_is_said_with_what_to_do(
    tool: MailmanTool, options: dict[str, Any], problem: str
) -> None:
    destination = make(tool, **options)
    with pytest.raises(LifecycleError, match=problem) as raised:
        destination.ensure_list(SPEC)
    assert raised.value.remedy
    if problem != "does not make the list":
        health = destination.check()
        assert not health.is_ready and problem in health.problem and health.remedy
    assert tool.lists == {}


@pytest.mark.parametrize("fault", ["html", "empty"])
def test_another_server_is_not_taken_for_mailman(tool: MailmanTool, fault: str) -> None:
    tool.fail_next(fault, times=100, any_call=True)
    destination = make(tool)
    health = destination.check()
    assert not health.is_ready and health.remedy
    with pytest.raises(LifecycleError):
        destination.ensure_list(SPEC)
    with pytest.raises(LifecycleError):
        list(destination.read_back(RemoteList("lapsed.example.com")))


@pytest.mark.parametrize(
    ("email", "key"),
    [
        ("ada@example.org", "ada@example.org"),
        ("  Ada.Lovelace@Example.ORG ", "ada.lovelace@example.org"),
        ("ada+news@gmail.com", "ada+news@gmail.com"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@BÜCHER.example", "ada@xn--bcher-kva.example"),
        # IDNA 2008 keeps ß; the older rules would make fass.example of it, which is somebody else's.
        ("ada@faß.example", "ada@xn--fa-hia.example"),
        ("jürgen@example.org", "jürgen@example.org"),
    ],
)
def test_people_are_known_by_their_email_as_mailman_keeps_it(tool: MailmanTool, email: str, key: str) -> None:
    assert make(tool).encode(Member("c1", {"email": email})) == Encoded(key)


@pytest.mark.parametrize(
    ("email", "code"),
    [
        ("", "no_email"),
        ("ada", "no_email"),
        ("@example.org", "no_email"),
        ("ada@", "no_email"),
        ("ada@-ü-.example", "bad_email"),
        ("a" * 64, "already_hashed"),
        ("5E884898DA28047151D0E56F8DC6292773603D0D6AABBDD62A11EF721D1542D8", "already_hashed"),
    ],
)
def test_what_is_no_email_is_not_sent(tool: MailmanTool, email: str, code: str) -> None:
    found = make(tool).encode(Member("c1", {"email": email}))
    assert isinstance(found, Veto) and found.code == code
    assert not email or email not in found.message


def test_neither_name_nor_account_hold_the_password(tool: MailmanTool) -> None:
    destination = make(tool, url="http://somebody:their-password@127.0.0.1:8001")
    assert destination.account == "mailman 127.0.0.1:8001"
    assert tool.secret not in repr(destination) and "their-password" not in repr(destination)


def test_settings_make_the_destination() -> None:
    found: Any = class_of("mailman")
    assert found is Mailman
    options = Mailman.Options.model_validate({"password": "hush", "list_id": LIST})
    assert "hush" not in repr(options)
    made = Mailman.from_options("newsletter", options, load_settings())
    assert (made.name, made.list_id, made.user, made.url) == ("newsletter", LIST, "restadmin", "http://127.0.0.1:8001")
    assert not made.create_list and not made.capabilities.creates_list
    assert made.password.get_secret_value() == "hush"


def test_the_password_goes_over_no_open_line() -> None:
    destination = Mailman("mailman", SecretStr("hush"), LIST, url="http://lists.example.com:8001")
    health = destination.check()
    assert not health.is_ready and "https://" in health.remedy
