"""Custom Audiences of Meta, against a server that stands in for the Marketing API.

Meta publishes no OpenAPI file; the server follows its public documentation and refuses what Meta refuses, in Meta's
answer shapes:
- making an audience, adding and removing, 10,000 a call, answers, error codes, terms:
  https://developers.facebook.com/docs/marketing-api/audiences/guides/custom-audiences
- ``payload``, ``schema``, ``is_raw``, blank keys, restricted audiences (100, subcode 1713230):
  https://developers.facebook.com/docs/marketing-api/reference/custom-audience/users
- what the SDK sends for several keys (``is_raw`` true, hashes): facebook/facebook-python-business-sdk,
  facebook_business/adobjects/helpers/customaudiencemixin.py; an unknown key's message: facebook-java-business-sdk #114;
  single keys after several (2650): facebook-python-business-sdk #433; a missing source: facebook-php-business-sdk #457
- that bodies may be JSON, DELETE's too: segmentio/action-destinations, its tests of facebook-custom-audiences
- error codes (100 subcode 33, 190, 1, 2): https://developers.facebook.com/docs/marketing-api/error-reference and
  https://developers.facebook.com/docs/graph-api/guides/error-handling
- limits, their codes and the header that says when an account is free:
  https://developers.facebook.com/docs/graph-api/overview/rate-limiting and
  https://developers.facebook.com/docs/marketing-apis/rate-limiting
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from lifecycle.errors import LifecycleError
from lifecycle.publishing.batches import send_batch
from lifecycle.publishing.destinations import meta
from lifecycle.publishing.destinations.api import BusyError, RefusedError, UncertainError
from lifecycle.publishing.destinations.hashing import META, Hashes, sha256
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
from lifecycle.publishing.destinations.meta import Meta
from lifecycle.publishing.testing import DestinationContract, Request, Response, ToolServer
from lifecycle.settings import IdentitySettings, Settings, Source

AD_ACCOUNT = "1002003004"
KEYS = {"EXTERN_ID", "EMAIL", "PHONE", "GEN", "DOBY", "DOBM", "DOBD", "LN", "FN", "FI", "CT", "ST", "ZIP", "MADID"}
KEYS |= {"COUNTRY", "APPUID", "PAGEUID"}


class MetaServer(ToolServer):
    """Meta. ``audiences`` are its books: number → facts, and the rows of hashes under ``people``.

    ``unreadable`` are hashes that it finds invalid; ``samples`` is how many of them an answer shows, ``as_map`` in
    which of the two documented shapes. ``errors`` are given in place of the next answers.
    """

    def __init__(self) -> None:
        self.audiences: dict[str, dict[str, Any]] = {}
        self.unreadable = {sha256("refused@example.com")}
        self.samples = 100
        self.as_map = False
        self.received: int | None = None
        self.errors: list[Response] = []
        self.account: dict[str, Any] = {"tos_accepted": {"custom_audience_tos": 1}}
        self.permissions = [{"permission": "ads_management", "status": "granted"}]
        super().__init__()

    def members(self, list_id: str) -> set[str]:
        return {Hashes(*row).key for row in self.audiences[list_id]["people"]}

    def is_authorized(self, request: Request) -> bool:
        return request.headers.get("authorization") == f"Bearer {self.secret}"

    def unauthorized(self) -> Response:
        return error(190, "Invalid OAuth access token - Cannot parse access token")

    @property
    def sent(self) -> list[Request]:
        """What was sent for an audience."""
        return [request for request in self.requests if request.path.endswith("/users")]

    def make(self, list_id: str, **facts: Any) -> None:
        self.audiences[list_id] = {"id": list_id, "name": "N", "subtype": "CUSTOM", "people": set(), **facts}

    def answer(self, request: Request) -> Response:
        if "access_token" in request.query or not request.path.startswith("/v25.0/"):
            return error(2500, "An active access token must be used")
        if self.errors:
            return self.errors.pop(0)
        if request.text and not request.headers.get("content-type", "").startswith("application/json"):
            return error(100, "Missing parameter payload")
        match request.method, request.path.removeprefix("/v25.0/").split("/"):
            case "GET", ["me", "permissions"]:
                return Response(200, {"data": self.permissions})
            case "GET", [account] if account == f"act_{AD_ACCOUNT}":
                return Response(200, {"id": account, **self.account})
            case "GET", [account, "customaudiences"] if account == f"act_{AD_ACCOUNT}":
                return self._page(request)
            case "POST", [account, "customaudiences"] if account == f"act_{AD_ACCOUNT}":
                return self._make(request.json)
            case "GET", [number] if number in self.audiences:
                known = {**self.audiences[number], "operation_status": {"code": 200, "description": "Normal"}}
                known |= self.audiences[number]
                return Response(200, {name: known[name] for name in request.query["fields"].split(",")})
            case "POST" | "DELETE", [number, "users"] if number in self.audiences:
                return self._change(self.audiences[number]["people"], request)
        return error(100, "Unsupported request. Object with ID does not exist", 33)

    def _page(self, request: Request) -> Response:
        numbers = sorted(self.audiences)
        start = int(request.query.get("after", "0"))
        end = start + int(request.query["limit"])
        fields = request.query["fields"].split(",")
        data = [{name: self.audiences[one].get(name) for name in fields} for one in numbers[start:end]]
        paging: dict[str, Any] = {"cursors": {"before": str(start), "after": str(end)}}
        if end < len(numbers):
            paging["next"] = (
                f"https://graph.facebook.com/v25.0/act/customaudiences?access_token={self.secret}&after={end}"
            )
        return Response(200, {"data": data, "paging": paging})

    def _make(self, body: Any) -> Response:
        if not body.get("name"):
            return error(100, "Missing parameter(s): name")
        if body.get("subtype") != "CUSTOM":
            return error(100, "Invalid parameter")
        if body.get("customer_file_source") not in (
            *("USER_PROVIDED_ONLY", "PARTNER_PROVIDED_ONLY", "BOTH_USER_AND_PARTNER_PROVIDED"),
        ):
            return error(100, "(#100) Missing parameter(s): customer_file_source")
        if set(body) - {"name", "subtype", "description", "customer_file_source", "audience_labels"}:
            return error(100, "Invalid parameter")
        number = str(60_000_000 + len(self.audiences))
        self.make(number, **body)
        return Response(200, {"id": number})

    def _change(self, people: set[tuple[str, str]], request: Request) -> Response:
        payload = (request.json or {}).get("payload")
        if not isinstance(payload, dict) or "schema" not in payload or "data" not in payload:
            return error(100, "(#100) Missing parameter payload")
        schema, data = payload["schema"], payload["data"]
        if not isinstance(schema, list):
            return error(2650, "Failed to update the custom audience: FILE_IMPORTED.HASHES_OR_USER_IDS")
        if set(schema) - KEYS:
            return error(100, f"(#100) Raw PII type is invalid, it should be one of {','.join(sorted(KEYS))}")
        if not data or len(data) > 10_000 or any(len(row) != len(schema) for row in data):
            return error(100, "Invalid parameter")
        invalid = []
        # Meta finds a person by any of the hashes.
        owners = {text: one for one in people for text in one if text}
        for row in data:
            known = dict(zip(schema, row, strict=True))
            texts = [text for text in known.values() if text]
            if not texts or any(not re.fullmatch("[0-9a-f]{64}", text) or text in self.unreadable for text in texts):
                invalid.append(row)
                continue
            person = (known.get("EMAIL", ""), known.get("PHONE", ""))
            people -= {owners[text] for text in texts if text in owners}
            if request.method == "POST":
                people.add(person)
                owners |= dict.fromkeys(texts, person)
        shown = [",".join(row) for row in invalid][: self.samples]
        samples: Any = {str(place): text for place, text in enumerate(shown)} if self.as_map else shown
        return Response(
            200,
            {
                "audience_id": request.path.split("/")[2],
                "session_id": "7081234567890",
                "num_received": len(data) if self.received is None else self.received,
                "num_invalid_entries": len(invalid),
                "invalid_entry_samples": samples,
            },
        )


def error(code: int, message: str, subcode: int | None = None, *, status: int = 400, **more: Any) -> Response:
    headers = more.pop("headers", {})
    facts = {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "EJplcsCHuLu", **more}
    return Response(status, {"error": facts if subcode is None else {**facts, "error_subcode": subcode}}, headers)


def destination_of(tool: ToolServer, **changed: Any) -> Meta:
    facts = {"access_token": SecretStr(tool.secret), "ad_account_id": AD_ACCOUNT, "url": tool.url, "pause": 0.001}
    return Meta("ads", **{**facts, **changed})


class TestMeta(DestinationContract):
    def make_tool(self) -> MetaServer:
        return MetaServer()

    def make_destination(self, tool: ToolServer, *, secret: str | None = None) -> Meta:
        return destination_of(tool, access_token=SecretStr(secret or tool.secret))


AUDIENCE = RemoteList("23842000000000001")


@pytest.fixture
def tool() -> Iterator[MetaServer]:
    tool = MetaServer()
    tool.make(AUDIENCE.list_id)
    yield tool
    tool.close()


@pytest.fixture
def destination(tool: MetaServer) -> Meta:
    return destination_of(tool)


def items(*emails: str) -> list[Item]:
    return [Item(Hashes(sha256(email), "").key) for email in emails]


def test_people_are_told_as_rows_of_hashes_and_the_token_in_the_header(tool: MetaServer, destination: Meta) -> None:
    both = destination.encode(Member("c", {"email": " John_Smith@gmail.com", "phone": "+16505551212"}))
    phone = destination.encode(Member("d", {"phone": "+16505615622"}))
    assert isinstance(both, Encoded) and isinstance(phone, Encoded)
    sent = [Item(both.key, both.body), Item(phone.key, phone.body)]
    operations: tuple[Operation, ...] = ("add", "remove")
    for operation in operations:
        destination.send(AUDIENCE, operation, [Item(item.key) for item in sent], "k")
    assert [(request.method, request.json) for request in tool.sent] == [
        (
            method,
            {
                "payload": {
                    "schema": ["EMAIL", "PHONE"],
                    "is_raw": True,
                    "data": [
                        [
                            "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f",
                            "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176",
                        ],
                        ["", sha256("16505615622")],
                    ],
                }
            },
        )
        for method in ("POST", "DELETE")
    ]
    assert all(tool.secret not in f"{request.path}{request.query}{request.text}" for request in tool.requests)


def test_an_audience_is_made_once_and_says_where_its_people_are_from(tool: MetaServer, destination: Meta) -> None:
    made = destination.ensure_list(ListSpec("lapsed_to_ads", "Lapsed customers"))
    facts = tool.audiences[made.list_id]
    assert (facts["name"], facts["customer_file_source"]) == ("Lapsed customers", "USER_PROVIDED_ONLY")
    assert destination.ensure_list(ListSpec("lapsed_to_ads", "Another title")).list_id == made.list_id
    other = destination.ensure_list(ListSpec("lapsed_to_ads_2", "Lapsed customers"))
    assert other.list_id != made.list_id


def test_an_audience_is_found_on_any_page(tool: MetaServer, destination: Meta) -> None:
    for number in range(45):
        tool.make(str(90_000_000 + number), description=f"[lifecycle:sync_{number}]")
    assert destination.ensure_list(ListSpec("sync_44", "T")).list_id == "90000044"
    pages = [request.query for request in tool.requests if request.path.endswith("/customaudiences")]
    assert [page.get("after") for page in pages] == [None, "20", "40"]
    assert all("access_token" not in page for page in pages)


def test_an_audience_made_without_an_answer_is_found_and_not_made_twice(tool: MetaServer, destination: Meta) -> None:
    tool.fail_next("lost_answer")
    with pytest.raises(LifecycleError) as raised:
        destination.ensure_list(ListSpec("s", "T"))
    assert "found" in raised.value.remedy
    before = set(tool.audiences)
    assert destination.ensure_list(ListSpec("s", "T")).list_id in before
    assert set(tool.audiences) == before


def test_a_named_audience_is_taken_and_none_is_made(tool: MetaServer) -> None:
    destination = destination_of(tool, audience_id=AUDIENCE.list_id)
    assert destination.ensure_list(ListSpec("s", "T")) == RemoteList(AUDIENCE.list_id, "N")
    tool.make("77")
    assert destination.ensure_list(ListSpec("s", "T", "77")).list_id == "77"
    assert not [request for request in tool.requests if tool.is_write(request)]


@pytest.mark.parametrize(
    ("facts", "said"),
    [({"subtype": "WEBSITE"}, "customer list"), ({"operation_status": {"code": 471}}, "restricted")],
)
def test_an_audience_that_cannot_be_kept_is_found_before_anything_is_sent(
    tool: MetaServer, facts: dict[str, Any], said: str
) -> None:
    tool.audiences[AUDIENCE.list_id] |= facts
    health = destination_of(tool, audience_id=AUDIENCE.list_id).check()
    assert not health.is_ready and said in health.problem and "audience_id" in health.remedy


def test_an_audience_that_is_gone_is_said_and_not_made_again(tool: MetaServer) -> None:
    destination = destination_of(tool, audience_id=AUDIENCE.list_id)
    tool.audiences.clear()
    operations: tuple[Operation, ...] = ("add", "remove")
    for operation in operations:
        with pytest.raises(LifecycleError) as raised:
            destination.send(AUDIENCE, operation, items("a@example.com"), "k")
        assert AUDIENCE.list_id in raised.value.problem and "audience_id" in raised.value.remedy
    with pytest.raises(LifecycleError, match=AUDIENCE.list_id):
        destination.ensure_list(ListSpec("s", "T"))
    assert not destination.check().is_ready and tool.audiences == {}


@pytest.mark.parametrize("as_map", [False, True])
def test_entries_that_meta_cannot_read_are_told_by_its_samples(
    tool: MetaServer, destination: Meta, as_map: bool
) -> None:
    tool.as_map = as_map
    sent = items("a@example.com", "refused@example.com", "b@example.com")
    assert destination.send(AUDIENCE, "add", sent, "k").outcomes == (
        Outcome("applied"),
        Outcome("rejected", "invalid_entry"),
        Outcome("applied"),
    )
    assert tool.members(AUDIENCE.list_id) == {sent[0].key, sent[2].key}


@pytest.mark.parametrize("samples", [0, 1])
def test_entries_that_no_sample_shows_are_found_by_halves(tool: MetaServer, destination: Meta, samples: int) -> None:
    tool.samples = samples
    emails = [f"p{number}@example.com" for number in range(20)]
    tool.unreadable = {sha256(emails[number]) for number in (3, 4, 17)}
    sent = items(*emails)
    assert destination.send(AUDIENCE, "add", sent, "k").is_refused_whole
    outcomes = send_batch(destination, AUDIENCE, "add", sent, "k", sleep=lambda _: None)
    assert [place for place, outcome in enumerate(outcomes) if not outcome.is_done] == [3, 4, 17]
    assert {outcome.code for outcome in outcomes} == {"", "invalid_entry"}
    assert len(tool.members(AUDIENCE.list_id)) == 17


def test_an_answer_that_received_fewer_proves_nothing(tool: MetaServer, destination: Meta) -> None:
    tool.received = 1
    outcomes = destination.send(AUDIENCE, "add", items("a@example.com", "b@example.com"), "k").outcomes
    assert outcomes == (Outcome("unknown", "not_all_received"),) * 2


@pytest.mark.parametrize("status", [400, 403])
@pytest.mark.parametrize("code", [4, 17, 613, 80_003, 80_004])
def test_a_limit_is_busy_and_not_refused_whatever_the_status(
    tool: MetaServer, destination: Meta, monkeypatch: pytest.MonkeyPatch, code: int, status: int
) -> None:
    monkeypatch.setattr(meta, "BLOCKED", 0.0)
    busy = error(code, "There have been too many calls", status=status, is_transient=True)
    tool.errors = [busy, busy]
    sent = items("a@example.com")
    assert destination.send(AUDIENCE, "add", sent, "k").outcomes[0].is_done
    assert len(tool.sent) == 3
    tool.errors = [busy] * 5
    assert destination.send(AUDIENCE, "remove", sent, "k").outcomes == (Outcome("retry", "busy", after=0.0),)
    assert tool.members(AUDIENCE.list_id) == {sent[0].key}


def test_an_account_that_is_blocked_for_long_is_left_for_the_next_delivery(tool: MetaServer, destination: Meta) -> None:
    use = '{"1002003004": [{"type": "custom_audience", "call_count": 100, "estimated_time_to_regain_access": 19}]}'
    tool.errors = [error(80_003, "too many calls", 2_446_079, headers={"X-Business-Use-Case-Usage": use})]
    outcome = destination.send(AUDIENCE, "add", items("a@example.com"), "k").outcomes[0]
    assert outcome == Outcome("retry", "busy", after=19 * 60.0)
    assert len(tool.sent) == 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 60.0),
        ({"retry-after": "7"}, 7.0),
        ({"x-business-use-case-usage": '{"1": [{"estimated_time_to_regain_access": 2}, {"call_count": 3}]}'}, 120.0),
        ({"x-business-use-case-usage": '{"1": [{"estimated_time_to_regain_access": 0}]}'}, 60.0),
        ({"x-business-use-case-usage": "nonsense"}, 60.0),
        ({"x-business-use-case-usage": "{}"}, 60.0),
        ({"x-business-use-case-usage": "[1]"}, 60.0),
    ],
)
def test_the_wait_is_what_meta_says_or_a_minute(headers: dict[str, str], seconds: float) -> None:
    assert meta._wait_of(headers) == seconds


def test_an_audience_that_is_being_changed_is_busy(
    tool: MetaServer, destination: Meta, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meta, "BLOCKED", 0.0)
    tool.errors = [error(2650, "Audience Update In Progress", 1_870_145)]
    assert destination.send(AUDIENCE, "add", items("a@example.com"), "k").outcomes[0].is_done


@pytest.mark.parametrize("code", [1, 2])
def test_a_fault_of_meta_that_comes_as_a_refusal_is_none(tool: MetaServer, destination: Meta, code: int) -> None:
    tool.errors = [error(code, "An unknown error occurred")]
    assert destination.send(AUDIENCE, "add", items("a@example.com"), "k").outcomes[0].is_done
    tool.errors = [error(code, "An unknown error occurred")] * 5
    outcome = destination.send(AUDIENCE, "add", items("a@example.com"), "k").outcomes[0]
    assert outcome == Outcome("unknown", f"code_{code}")


@pytest.mark.parametrize(
    ("answer", "problem", "remedy"),
    [
        (error(190, "expired", 463, status=401), "(code_190_463)", "access_token"),
        (error(190, "malformed"), "(code_190)", "access_token"),
        (error(200, "terms", 1_870_090, status=403), "terms", "customaudiences/app/tos"),
        (error(2663, "terms"), "terms", "customaudiences/app/tos"),
        (error(200, "permissions", status=403), "(code_200)", "ads_management"),
        (error(294, "no ads_management"), "(code_294)", "ads_management"),
        (error(100, "blocked", 1_713_230), "restricted", "Audience Manager"),
        (error(368, "abusive"), "(code_368)", "Account Quality"),
    ],
)
def test_what_a_person_has_to_mend_is_said_with_what_to_do(
    tool: MetaServer, destination: Meta, answer: Response, problem: str, remedy: str
) -> None:
    tool.errors = [answer]
    with pytest.raises(LifecycleError) as raised:
        destination.send(AUDIENCE, "add", items("a@example.com"), "k")
    assert problem in raised.value.problem and remedy in raised.value.remedy
    assert tool.secret not in str(raised.value)


def test_other_refusals_are_halved_and_told_by_numbers_alone(tool: MetaServer, destination: Meta) -> None:
    tool.errors = [error(100, "Invalid parameter for a@example.com", 1_234_567)]
    found = destination.send(AUDIENCE, "add", items("a@example.com", "b@example.com"), "k")
    assert found.is_refused_whole
    assert found.outcomes == (Outcome("rejected", "code_100_1234567"),) * 2


def test_more_people_than_meta_takes_are_refused_and_never_sent_by_the_engine(destination: Meta) -> None:
    sent = items(*(str(number) for number in range(10_001)))
    assert destination.send(AUDIENCE, "add", sent, "k").is_refused_whole
    assert destination.capabilities.max_batch == 10_000
    assert destination.send(AUDIENCE, "add", sent[:10_000], "k").outcomes[-1].is_done


@pytest.mark.parametrize(
    ("permissions", "account", "said"),
    [
        ([{"permission": "ads_read", "status": "granted"}], {}, "ads_management"),
        (
            [{"permission": "ads_management", "status": "declined"}, {"permission": "x", "status": "granted"}],
            {},
            "ads_",
        ),
        (None, {"tos_accepted": {"custom_audience_tos": 0}}, "terms"),
        (None, {"tos_accepted": {}}, "terms"),
    ],
)
def test_missing_permissions_and_terms_are_found_before_anything_is_sent(
    tool: MetaServer, permissions: list[dict[str, str]] | None, account: dict[str, Any], said: str
) -> None:
    tool.permissions = permissions or tool.permissions
    tool.account = account or tool.account
    health = destination_of(tool).check()
    assert not health.is_ready and said in health.problem and health.remedy


def test_an_account_that_tells_neither_permissions_nor_terms_is_taken(tool: MetaServer) -> None:
    tool.permissions, tool.account = [], {}
    assert destination_of(tool).check().is_ready


def test_an_account_that_is_not_there_is_said(tool: MetaServer) -> None:
    health = destination_of(tool, ad_account_id="5").check()
    assert not health.is_ready and "act_5" in health.problem and "ad_account_id" in health.remedy


@pytest.mark.parametrize("fault", ["busy", "error", "html", "empty"])
def test_a_check_without_an_answer_is_not_good(tool: MetaServer, fault: str) -> None:
    tool.fail_next(fault, times=5, any_call=True)
    health = destination_of(tool).check()
    assert not health.is_ready and "later" in health.remedy


def test_settings_take_an_account_with_its_prefix_and_the_company_s_country(tool: MetaServer, tmp_path: Path) -> None:
    settings = Settings(
        project="p",
        sources=[Source(name="shop", table="orders", path="o.csv")],
        config_file=tmp_path / "lifecycle.yml",
        identity=IdentitySettings(default_country="US"),
    )
    options = Meta.Options.model_validate(
        {"access_token": tool.secret, "ad_account_id": f"act_{AD_ACCOUNT}", "url": tool.url}
    )
    destination = Meta.from_options("ads", options, settings)
    assert destination.account == f"meta act_{AD_ACCOUNT}" and destination.check().is_ready
    encoded = destination.encode(Member("c", {"phone": "(650)555-1212"}))
    assert encoded == Encoded(Hashes("", "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176").key)
    assert tool.secret not in f"{destination!r}{options!r}"


def test_hashes_are_refused_unless_they_are_declared(tool: MetaServer) -> None:
    member = Member("c", {"phone": sha256("16505551212").upper()})
    refused = destination_of(tool).encode(member)
    assert isinstance(refused, Veto) and refused.code == "already_hashed"
    assert destination_of(tool, hashed=True).encode(member) == Encoded(Hashes("", sha256("16505551212")).key)


def test_limits_and_encoder_are_meta_s() -> None:
    assert [(limit.calls, limit.seconds) for limit in Meta.limits] == [(3_000, 300)]
    assert Meta.encoder == META.version == "meta.v1"


@pytest.mark.parametrize(
    ("answer", "raised"),
    [
        (error(17, "limit", status=500), BusyError),
        (error(100, "odd", status=500), UncertainError),
        (error(100, "odd", status=404), RefusedError),
        (Response(404, "gone"), RefusedError),
        (Response(429, "slow"), BusyError),
    ],
)
def test_a_status_counts_where_no_code_says_more(
    tool: MetaServer, monkeypatch: pytest.MonkeyPatch, answer: Response, raised: type[Exception]
) -> None:
    monkeypatch.setattr(meta, "BLOCKED", 0.0)
    tool.errors = [answer] * 5
    with pytest.raises(raised):
        destination_of(tool)._api.call("GET", "me/permissions")
