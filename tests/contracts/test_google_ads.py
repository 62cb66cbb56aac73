"""Customer Match lists of Google Ads, against a server that stands in for Google's Data Manager API and its tokens.

There is no OpenAPI file that may be kept here; the server follows Google's public documentation and refuses what Google
refuses, in Google's answer shapes:
- messages and which fields are required: googleapis/googleapis, google/ads/datamanager/v1/*.proto
  (ingestion_service, audience, destination, consent, user_list, request_status_per_destination, processing_errors)
- reasons of refusals: https://developers.google.com/data-manager/api/reference/rest/v1/ErrorReason
- one bad record fails the whole request: https://developers.google.com/data-manager/api/devguides/concepts/understand-errors
- how a bad record is named (``audience_members.audience_members[0]``) and both kinds of bad hashes:
  https://developers.google.com/data-manager/api/devguides/quickstart/send-audience-members
- that a record is named for a reason of the list too, and that a 409 (ABORTED) may be sent again:
  rudderlabs/rudder-transformer, its recorded Data Manager answers
- request statuses and how they are asked for: https://developers.google.com/data-manager/api/devguides/diagnostics
- limits: https://developers.google.com/data-manager/api/limits
- tokens: https://developers.google.com/identity/protocols/oauth2/service-account
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr, ValidationError

from lifecycle.errors import LifecycleError
from lifecycle.publishing.batches import send_batch
from lifecycle.publishing.destinations.google_ads import GoogleAds
from lifecycle.publishing.destinations.hashing import GOOGLE, Hashes, sha256
from lifecycle.publishing.destinations.members import (
    Encoded,
    Item,
    Limit,
    ListSpec,
    Member,
    MemberDestination,
    Operation,
    Outcome,
    RemoteList,
    Veto,
)
from lifecycle.publishing.testing import DestinationContract, Request, Response, ToolServer
from lifecycle.settings import IdentitySettings, Settings, Source

CUSTOMER, MANAGER, LIST = "1234567890", "9876543210", "7090784486"
EMAIL = "robot@analytics-123.iam.gserviceaccount.com"


@cache
def private_key(signer: str) -> RSAPrivateKey:  # noqa: ARG001  (one key per name)
    return generate_private_key(65537, 2048)


def key_file(token_uri: str, signer: str = "google-knows") -> str:
    """A service account's key as Google gives it."""
    pem = private_key(signer).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "analytics-123",
            "private_key_id": signer,
            "private_key": pem.decode(),
            "client_email": EMAIL,
            "token_uri": token_uri,
        }
    )


class GoogleServer(ToolServer):
    """Google. ``lists`` are its books: list → records, each of kinds and hashes.

    ``refused`` are hashes that stand for records which its validation fails (INVALID_SHA256_FORMAT). What it took is
    applied when its status was asked for ``patience`` times; ``ends_with`` is how it then ends, and why.
    """

    def __init__(self) -> None:
        self.lists: dict[str, list[frozenset[tuple[str, str]]]] = {LIST: []}
        self.list_facts: dict[str, Any] = {
            "displayName": "Lapsed customers",
            "membershipStatus": "OPEN",
            "ingestedUserListInfo": {"uploadKeyTypes": ["CONTACT_ID"]},
        }
        self.refused = {sha256("refused@example.com")}
        self.terms_signed = False
        self.patience = 1
        self.ends_with: tuple[str, list[dict[str, Any]]] = ("SUCCESS", [])
        self.token_seconds = 3599
        self.token_error: str | None = None
        self.jobs: dict[str, dict[str, Any]] = {}
        super().__init__()

    def members(self, list_id: str) -> set[str]:
        return {_key(record) for record in self.lists[list_id]}

    def is_authorized(self, request: Request) -> bool:
        # Tokens are given for a signature, not for a token.
        return request.path == "/token" or request.headers.get("authorization") == f"Bearer {self.secret}"

    def unauthorized(self) -> Response:
        return _error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")

    def is_write(self, request: Request) -> bool:
        return request.path.startswith("/v1/audienceMembers:")

    @property
    def sent(self) -> list[Any]:
        """Bodies of what was sent for a list."""
        return [request.json for request in self.requests if self.is_write(request)]

    def answer(self, request: Request) -> Response:
        match request.method, request.path:
            case "POST", "/token":
                return self._token(request)
            case "POST", "/v1/audienceMembers:ingest" | "/v1/audienceMembers:remove":
                return self._take(request)
            case "GET", "/v1/requestStatus:retrieve":
                return self._status(request.query.get("requestId", ""))
            case "GET", path if found := re.fullmatch(
                r"/v1/accountTypes/GOOGLE_ADS/accounts/(\d+)/userLists/(\d+)", path
            ):
                if found[1] != CUSTOMER or request.headers.get("login-account") not in (
                    f"accountTypes/GOOGLE_ADS/accounts/{CUSTOMER}",
                    f"accountTypes/GOOGLE_ADS/accounts/{MANAGER}",
                ):
                    return _error(403, "PERMISSION_DENIED", "The caller does not have permission")
                if found[2] not in self.lists:
                    return _error(404, "NOT_FOUND", "Resource not found.")
                return Response(200, {"name": path[4:], "id": found[2], **self.list_facts})
        return Response(404, "<html>Error 404 (Not Found)</html>", {"Content-Type": "text/html"})

    def _token(self, request: Request) -> Response:
        if self.token_error:
            return Response(400, {"error": self.token_error, "error_description": f"no good: {EMAIL}"})
        form = {name: values[0] for name, values in parse_qs(request.text).items()}
        is_form = request.headers.get("content-type") == "application/x-www-form-urlencoded"
        if not is_form or form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return Response(400, {"error": "unsupported_grant_type"})
        signed, _, signature = form["assertion"].rpartition(".")
        try:
            private_key("google-knows").public_key().verify(_decoded(signature), signed.encode(), PKCS1v15(), SHA256())
        except InvalidSignature:
            return Response(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
        header, claims = (json.loads(_decoded(part)) for part in signed.split("."))
        now = time.time()
        if (
            header["alg"] != "RS256"
            or claims["iss"] != EMAIL
            or claims["aud"] != f"{self.url}/token"
            or not claims["iat"] <= now + 1 < claims["exp"] <= claims["iat"] + 3600
        ):
            return Response(400, {"error": "invalid_grant", "error_description": "Invalid JWT"})
        if claims["scope"] != "https://www.googleapis.com/auth/datamanager":
            return Response(400, {"error": "invalid_scope"})
        return Response(200, {"access_token": self.secret, "expires_in": self.token_seconds, "token_type": "Bearer"})

    def _take(self, request: Request) -> Response:
        is_ingest = request.path.endswith("ingest")
        if not request.headers.get("content-type", "").startswith("application/json"):
            return _error(400, "INVALID_ARGUMENT", "Invalid JSON payload received.")
        body = request.json
        known = {"destinations", "audienceMembers", "validateOnly", "encoding", "encryptionInfo"}
        known |= {"consent", "termsOfService"} if is_ingest else set()
        for name in body:
            if name not in known:
                return _error(400, "INVALID_ARGUMENT", f'Invalid JSON payload received. Unknown name "{name}"')
        problems = [*_destination_problems(body.get("destinations"), self.lists), *self._request_problems(body)]
        if (
            is_ingest
            and not self.terms_signed
            and (body.get("termsOfService", {}).get("customerMatchTermsOfServiceStatus") != "ACCEPTED")
        ):
            problems.append(("terms_of_service", "TERMS_AND_CONDITIONS_NOT_SIGNED"))
        for value in body.get("consent", {}).values():
            if value not in ("CONSENT_STATUS_UNSPECIFIED", "CONSENT_GRANTED", "CONSENT_DENIED"):
                problems.append(("consent", "INVALID_ENUM_VALUE"))
        if problems:
            return _error(400, "INVALID_ARGUMENT", "There was a problem with the request.", problems)
        number = f"request-{len(self.jobs) + 1}"
        self.jobs[number] = {
            "destination": body["destinations"][0],
            "is_ingest": is_ingest,
            "records": [frozenset(_identifiers(member)) for member in body["audienceMembers"]],
            "asked": 0,
        }
        return Response(200, {"requestId": number})

    def _request_problems(self, body: Any) -> Iterator[tuple[str, str]]:
        members = body.get("audienceMembers")
        if not members:
            yield "audience_members", "REQUIRED_FIELD_MISSING"
            return
        if len(members) > 10_000:
            yield "audience_members", "TOO_MANY_AUDIENCE_MEMBERS"
            return
        if body.get("encoding") not in ("HEX", "BASE64"):
            yield "encoding", "REQUIRED_FIELD_MISSING"
        for place, member in enumerate(members):
            where = f"audience_members.audience_members[{place}]"
            identifiers = member.get("userData", {}).get("userIdentifiers", [])
            if not identifiers or set(member) - {"userData", "consent", "destinationReferences"}:
                yield where, "INVALID_AUDIENCE_MEMBER"
            if len(identifiers) > 10:
                yield f"{where}.user_data.user_identifiers", "TOO_MANY_USER_IDENTIFIERS"
            for identifier in identifiers:
                if len(identifier) != 1 or set(identifier) - {"emailAddress", "phoneNumber", "address"}:
                    yield f"{where}.user_data.user_identifiers", "INVALID_AUDIENCE_MEMBER"
            for _, text in _identifiers(member):
                if not re.fullmatch(r"[0-9a-fA-F]*", text) or len(text) % 2:
                    yield f"{where}.user_data.user_identifiers", "INVALID_HEX_ENCODING"
                elif len(text) != 64 or text in self.refused:
                    yield where, "INVALID_SHA256_FORMAT"

    def _status(self, number: str) -> Response:
        job = self.jobs.get(number)
        if job is None:
            return _error(400, "INVALID_ARGUMENT", "There was a problem.", [("request_id", "INVALID_REQUEST_ID")])
        job["asked"] += 1
        word, errors = self.ends_with if job["asked"] > self.patience else ("PROCESSING", [])
        if word == "SUCCESS" and not job.get("is_done"):
            job["is_done"] = True
            self._apply(job)
        counts = {"recordCount": str(len(job["records"]))}
        status = (
            {"audienceMembersIngestionStatus": {"userDataIngestionStatus": counts}}
            if job["is_ingest"]
            else {"audienceMembersRemovalStatus": {"userDataRemovalStatus": counts}}
        )
        info = {"errorInfo": {"errorCounts": errors}} if errors else {}
        return Response(
            200,
            {
                "requestStatusPerDestination": [
                    {"destination": job["destination"], "requestStatus": word, **info, **status}
                ]
            },
        )

    def _apply(self, job: dict[str, Any]) -> None:
        """Somebody is found by any of their hashes."""
        list_id = job["destination"]["productDestinationId"]
        for record in job["records"]:
            others = [known for known in self.lists[list_id] if not known & record]
            self.lists[list_id] = [*others, record] if job["is_ingest"] else others


def _destination_problems(destinations: Any, lists: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if not destinations:
        yield "destinations", "REQUIRED_FIELD_MISSING"
        return
    for destination in destinations:
        account = destination.get("operatingAccount", {})
        if account.get("accountType") != "GOOGLE_ADS" or account.get("accountId") != CUSTOMER:
            yield "destinations.destinations[0].operating_account", "INVALID_DESTINATION"
        elif set(destination) - {"operatingAccount", "loginAccount", "productDestinationId"}:
            yield "destinations.destinations[0]", "INVALID_DESTINATION"
        elif destination.get("productDestinationId") not in lists:
            yield "destinations.destinations[0].product_destination_id", "INVALID_USER_LIST_ID"


def _identifiers(member: Any) -> list[tuple[str, str]]:
    identifiers = member.get("userData", {}).get("userIdentifiers", [])
    return [(kind, text) for identifier in identifiers for kind, text in identifier.items()]


def _key(record: frozenset[tuple[str, str]]) -> str:
    known = dict(record)
    return Hashes(known.get("emailAddress", ""), known.get("phoneNumber", "")).key


def _error(status: int, word: str, message: str, violations: list[tuple[str, str]] | None = None) -> Response:
    details: list[dict[str, Any]] = [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": word,
            "domain": "datamanager.googleapis.com",
            "metadata": {"requestId": "t-1"},
        }
    ]
    if violations:
        details.append(
            {
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": [
                    {"field": field, "description": f"Something with {EMAIL}.", "reason": reason}
                    for field, reason in violations
                ],
            }
        )
    return Response(status, {"error": {"code": status, "message": message, "status": word, "details": details}})


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Unhurried(GoogleAds):
    """The checks ask more often than Google allows anybody to; its own limits are looked at apart."""

    limits = (Limit(1_000_000, 1, "https://developers.google.com/data-manager/api/limits", "2026-11-24"),)


def google_ads(tool: ToolServer, signer: str = "google-knows", **changed: Any) -> GoogleAds:
    facts: dict[str, Any] = {
        "service_account": SecretStr(key_file(f"{tool.url}/token", signer)),
        "customer_id": CUSTOMER,
        "ad_user_data": "granted",
        "ad_personalization": "granted",
        "user_list_id": LIST,
        "customer_match_terms_accepted": True,
        "url": tool.url,
        "pause": 0.001,
    }
    return Unhurried("customer_match", **{**facts, **changed})


class TestGoogleAds(DestinationContract):
    def make_tool(self) -> GoogleServer:
        return GoogleServer()

    def make_destination(self, tool: ToolServer, *, secret: str | None = None) -> GoogleAds:
        return google_ads(tool, secret or "google-knows")

    def polled(self, destination: MemberDestination, remote: RemoteList, handle: str, item: Item) -> Outcome:
        """A request has one status for everybody in it: it is asked for once, however many were sent."""
        ends: dict[str, Outcome] = self.__dict__.setdefault("ends", {})
        if handle not in ends:
            ends[handle] = super().polled(destination, remote, handle, item)
        return ends[handle]


@pytest.fixture
def tool() -> Iterator[GoogleServer]:
    tool = GoogleServer()
    yield tool
    tool.close()


REMOTE = RemoteList(LIST)


def items(destination: GoogleAds, *emails: str) -> list[Item]:
    found = [destination.encode(Member(email, {"email": email})) for email in emails]
    return [Item(one.key) for one in found if isinstance(one, Encoded)]


def test_who_joins_is_told_with_hashes_consent_and_terms(tool: GoogleServer) -> None:
    destination = google_ads(tool, login_customer_id=MANAGER)
    encoded = destination.encode(
        Member("c", {"email": "Cloudy.SanFrancisco+shopping@gmail.com", "phone": "+18005550100", "contact_id": "7"})
    )
    assert isinstance(encoded, Encoded)
    destination.send(REMOTE, "add", [Item(encoded.key, encoded.body)], "k")
    assert tool.sent == [
        {
            "destinations": [
                {
                    "operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": CUSTOMER},
                    "loginAccount": {"accountType": "GOOGLE_ADS", "accountId": MANAGER},
                    "productDestinationId": LIST,
                }
            ],
            "audienceMembers": [
                {
                    "userData": {
                        "userIdentifiers": [
                            {"emailAddress": sha256("cloudysanfrancisco@gmail.com")},
                            {"phoneNumber": "fb4f73a6ec5fdb7077d564cdd22c3554b43ce49168550c3b12c547b78c517b30"},
                        ]
                    }
                }
            ],
            "encoding": "HEX",
            "consent": {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"},
            "termsOfService": {"customerMatchTermsOfServiceStatus": "ACCEPTED"},
        }
    ]


def test_who_leaves_is_told_without_consent_and_with_the_key_alone(tool: GoogleServer) -> None:
    destination = google_ads(tool)
    destination.send(REMOTE, "remove", items(destination, "a@example.com"), "k")
    assert tool.sent == [
        {
            "destinations": [
                {
                    "operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": CUSTOMER},
                    "productDestinationId": LIST,
                }
            ],
            "audienceMembers": [{"userData": {"userIdentifiers": [{"emailAddress": sha256("a@example.com")}]}}],
            "encoding": "HEX",
        }
    ]


def test_a_consent_that_nobody_states_is_not_claimed(tool: GoogleServer) -> None:
    destination = google_ads(tool, ad_personalization="unspecified")
    destination.send(REMOTE, "add", items(destination, "a@example.com"), "k")
    silent = google_ads(tool, ad_user_data="unspecified", ad_personalization="unspecified")
    silent.send(REMOTE, "add", items(destination, "a@example.com"), "k")
    assert [body.get("consent") for body in tool.sent] == [{"adUserData": "CONSENT_GRANTED"}, None]


def test_nothing_is_proved_before_google_says_so(tool: GoogleServer) -> None:
    destination = google_ads(tool)
    tool.patience = 2
    sent = items(destination, "a@example.com", "b@example.com")
    outcomes = destination.send(REMOTE, "add", sent, "k").outcomes
    assert [(outcome.proof, outcome.handle) for outcome in outcomes] == [("accepted", "request-1")] * 2
    assert destination.poll(REMOTE, "request-1", sent) is None
    assert tool.members(LIST) == set()
    assert destination.poll(REMOTE, "request-1", sent) is None
    found = destination.poll(REMOTE, "request-1", sent)
    assert found is not None and [outcome.proof for outcome in found.outcomes] == ["applied"] * 2
    assert tool.members(LIST) == {item.key for item in sent}


@pytest.mark.parametrize(
    ("ends_with", "outcome"),
    [
        (
            ("FAILED", [{"recordCount": "2", "reason": "PROCESSING_ERROR_REASON_DENIED_CONSENT"}]),
            Outcome("rejected", "denied_consent"),
        ),
        (
            ("FAILED", [{"recordCount": "2", "reason": "PROCESSING_ERROR_REASON_INTERNAL_ERROR"}]),
            Outcome("retry", "internal_error"),
        ),
        (("FAILED", []), Outcome("retry", "failed")),
        (
            ("PARTIAL_SUCCESS", [{"recordCount": "1", "reason": "PROCESSING_ERROR_REASON_INVALID_FORMAT"}]),
            Outcome(
                "unknown",
                "invalid_format",
                "Google took the request in part (1 records failed) and does not say who",
            ),
        ),
        (
            ("SUCCESS", [{"recordCount": "1", "reason": "PROCESSING_ERROR_REASON_UNKNOWN_CONSENT"}]),
            Outcome(
                "unknown",
                "unknown_consent",
                "Google took the request in part (1 records failed) and does not say who",
            ),
        ),
    ],
)
def test_a_request_that_failed_proves_what_google_says_and_no_more(
    tool: GoogleServer, ends_with: tuple[str, list[dict[str, Any]]], outcome: Outcome
) -> None:
    destination = google_ads(tool)
    tool.patience, tool.ends_with = 0, ends_with
    sent = items(destination, "a@example.com", "b@example.com")
    destination.send(REMOTE, "add", sent, "k")
    found = destination.poll(REMOTE, "request-1", sent)
    assert found is not None and found.outcomes == (outcome, outcome)


@pytest.mark.parametrize("fault", ["busy", "error", "html", "empty"])
def test_a_status_that_cannot_be_had_is_asked_for_again(tool: GoogleServer, fault: str) -> None:
    destination = google_ads(tool)
    sent = items(destination, "a@example.com")
    destination.send(REMOTE, "add", sent, "k")
    tool.fail_next(fault, times=5, any_call=True)
    assert destination.poll(REMOTE, "request-1", sent) is None
    tool.faults.clear()
    assert destination.poll(REMOTE, "request-1", sent) is None
    found = destination.poll(REMOTE, "request-1", sent)
    assert found is not None and found.outcomes[0].is_done


def test_a_request_that_google_does_not_know_proves_nothing(tool: GoogleServer) -> None:
    destination = google_ads(tool)
    found = destination.poll(REMOTE, "request-77", items(destination, "a@example.com"))
    assert found is not None and found.outcomes == (Outcome("unknown", "invalid_argument"),)


def test_all_bad_records_of_a_refused_batch_are_named_and_the_others_go_through(tool: GoogleServer) -> None:
    destination = google_ads(tool)
    tool.refused |= {sha256("worse@example.com")}
    sent = items(destination, "refused@example.com", "a@example.com", "worse@example.com", "b@example.com")
    first = destination.send(REMOTE, "add", sent, "k")
    assert [(outcome.proof, outcome.code) for outcome in first.outcomes] == [
        ("rejected", "invalid_sha256_format"),
        ("retry", "others_refused"),
        ("rejected", "invalid_sha256_format"),
        ("retry", "others_refused"),
    ]
    again = send_batch(destination, REMOTE, "add", sent, "k", sleep=lambda _: None)
    assert [outcome.proof for outcome in again] == ["rejected", "accepted", "rejected", "accepted"]
    assert EMAIL not in f"{first}{again}"


def test_a_reason_of_the_list_is_not_taken_out_on_the_member_that_google_names(
    tool: GoogleServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination = google_ads(tool)
    monkeypatch.setattr(tool, "_request_problems", lambda _: [("audience_members[0]", "INVALID_USER_LIST_TYPE")])
    with pytest.raises(LifecycleError) as raised:
        destination.send(REMOTE, "add", items(destination, "a@example.com", "b@example.com"), "k")
    assert "INVALID_USER_LIST_TYPE" in raised.value.problem and "contact data" in raised.value.remedy


def test_a_reason_that_is_not_known_is_looked_for_by_halves(
    tool: GoogleServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination = google_ads(tool)
    monkeypatch.setattr(tool, "_request_problems", lambda _: [("audience_members[0]", "A_REASON_OF_NEXT_YEAR")])
    found = destination.send(REMOTE, "add", items(destination, "a@example.com", "b@example.com"), "k")
    assert found.is_refused_whole and {one.code for one in found.outcomes} == {"A_REASON_OF_NEXT_YEAR"}


def test_a_request_that_ran_into_another_is_made_again(tool: GoogleServer, monkeypatch: pytest.MonkeyPatch) -> None:
    destination = google_ads(tool)
    aborted, take = [_error(409, "ABORTED", "The operation was aborted.")] * 2, tool._take
    monkeypatch.setattr(tool, "_take", lambda request: aborted.pop() if aborted else take(request))
    assert destination.send(REMOTE, "add", items(destination, "a@example.com"), "k").outcomes[0].proof == "accepted"
    assert len(tool.sent) == 3


def test_terms_that_nobody_accepted_are_said_with_what_to_do(tool: GoogleServer) -> None:
    destination = google_ads(tool, customer_match_terms_accepted=False)
    with pytest.raises(LifecycleError) as raised:
        destination.send(REMOTE, "add", items(destination, "a@example.com"), "k")
    assert "customer_match_terms_accepted" in raised.value.remedy
    tool.terms_signed = True
    outcome = destination.send(REMOTE, "add", items(destination, "a@example.com"), "k").outcomes[0]
    assert outcome.proof == "accepted" and "termsOfService" not in tool.sent[-1]


def test_a_list_that_is_gone_is_said_and_not_made_again(tool: GoogleServer) -> None:
    destination = google_ads(tool)
    destination.ensure_list(ListSpec("s", "S"))
    tool.lists.clear()
    operations: tuple[Operation, ...] = ("add", "remove")
    for operation in operations:
        with pytest.raises(LifecycleError) as raised:
            destination.send(REMOTE, operation, items(destination, "a@example.com"), "k")
        assert LIST in raised.value.problem and "user_list_id" in raised.value.remedy
    with pytest.raises(LifecycleError) as raised:
        destination.ensure_list(ListSpec("s", "S"))
    assert "NOT_FOUND" in raised.value.problem and "user_list_id" in raised.value.remedy
    assert tool.lists == {}


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"membershipStatus": "CLOSED"}, "closed"),
        ({"readOnly": True}, "only be read"),
        ({"ingestedUserListInfo": {"uploadKeyTypes": ["MOBILE_ID"]}}, "contact data"),
    ],
)
def test_a_list_that_takes_nobody_is_found_before_anything_is_sent(
    tool: GoogleServer, facts: dict[str, Any], said: str
) -> None:
    tool.list_facts |= facts
    health = google_ads(tool).check()
    assert not health.is_ready and said in health.problem and "user_list_id" in health.remedy


def test_a_list_has_to_be_named(tool: GoogleServer) -> None:
    destination = google_ads(tool, user_list_id=None)
    assert not destination.check().is_ready
    with pytest.raises(LifecycleError, match="user_list_id"):
        destination.ensure_list(ListSpec("s", "S"))
    assert destination.ensure_list(ListSpec("s", "S", LIST)) == RemoteList(LIST, "Lapsed customers")


def test_no_access_to_the_account_is_said_with_what_to_do(tool: GoogleServer) -> None:
    health = google_ads(tool, customer_id="1112223333").check()
    assert not health.is_ready and "PERMISSION_DENIED" in health.problem and "Data Manager API" in health.remedy


def test_a_manager_account_is_named_in_the_header_of_lists(tool: GoogleServer) -> None:
    assert google_ads(tool, login_customer_id=MANAGER).check().is_ready
    assert tool.requests[-1].headers["login-account"] == f"accountTypes/GOOGLE_ADS/accounts/{MANAGER}"


def test_more_members_than_google_takes_are_refused_and_never_sent_by_the_engine(tool: GoogleServer) -> None:
    destination = google_ads(tool)
    sent = [Item(Hashes(sha256(str(number)), "").key) for number in range(10_001)]
    outcome = destination.send(REMOTE, "add", sent, "k")
    assert outcome.is_refused_whole and outcome.outcomes[0].code == "TOO_MANY_AUDIENCE_MEMBERS"
    assert destination.capabilities.max_batch == 10_000
    assert destination.send(REMOTE, "add", sent[:10_000], "k").outcomes[0].proof == "accepted"


def test_a_token_is_kept_until_shortly_before_it_ends(tool: GoogleServer) -> None:
    def tokens() -> int:
        return sum(request.path == "/token" for request in tool.requests)

    destination = google_ads(tool)
    for _ in range(3):
        destination.check()
    assert tokens() == 1
    tool.token_seconds = 299
    short = google_ads(tool)
    for _ in range(3):
        short.check()
    assert tokens() == 4


@pytest.mark.parametrize(
    ("error", "said"), [("invalid_grant", "(invalid_grant)"), (f"<{EMAIL}> is disabled", "(status_400)")]
)
def test_a_key_that_google_does_not_take_is_said_with_what_to_do(tool: GoogleServer, error: str, said: str) -> None:
    tool.token_error = error
    health = google_ads(tool).check()
    assert not health.is_ready and said in health.problem and EMAIL not in health.problem
    assert "new key" in health.remedy


@pytest.mark.parametrize("fault", ["error", "html", "empty", "busy", "lost_answer"])
def test_without_a_token_nothing_was_sent(tool: GoogleServer, fault: str) -> None:
    destination = google_ads(tool)
    tool.fail_next(fault, times=5, any_call=True)
    outcome = destination.send(REMOTE, "add", items(destination, "a@example.com"), "k").outcomes[0]
    assert outcome.proof == "retry" and tool.sent == []


@pytest.mark.parametrize("key", ["{not json", "{}", '{"project_id": 1}', "nowhere/key.json"])
def test_a_key_that_is_none_is_said_without_telling_it(tool: GoogleServer, key: str) -> None:
    destination = google_ads(tool, service_account=SecretStr(key))
    health = destination.check()
    assert not health.is_ready and "service_account" in health.remedy
    assert key not in f"{health}{destination!r}"


def test_a_key_without_a_private_key_is_said(tool: GoogleServer) -> None:
    key = json.loads(key_file(f"{tool.url}/token"))
    broken = SecretStr(json.dumps({**key, "private_key": "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----"}))
    health = google_ads(tool, service_account=broken).check()
    assert not health.is_ready and "private RSA key" in health.problem


def test_a_key_is_sent_over_no_open_line(tool: GoogleServer) -> None:
    health = google_ads(tool, service_account=SecretStr(key_file("http://token.example/token"))).check()
    assert not health.is_ready and "open line" in health.problem


def test_settings_name_a_key_file_and_write_numbers_with_dashes(tool: GoogleServer, tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text(key_file(f"{tool.url}/token"), encoding="utf-8")
    settings = Settings(
        project="p",
        sources=[Source(name="shop", table="orders", path="o.csv")],
        config_file=tmp_path / "lifecycle.yml",
        identity=IdentitySettings(default_country="US"),
    )
    options = GoogleAds.Options.model_validate(
        {
            "service_account": "key.json",
            "customer_id": "123-456-7890",
            "login_customer_id": "987-654-3210",
            "user_list_id": LIST,
            "ad_user_data": "granted",
            "ad_personalization": "unspecified",
            "url": tool.url,
        }
    )
    destination = GoogleAds.from_options("customer_match", options, settings)
    assert (destination.customer_id, destination.login_customer_id) == (CUSTOMER, MANAGER)
    assert destination.check().is_ready
    encoded = destination.encode(Member("c", {"phone": "(800) 555-0100"}))
    assert encoded == Encoded(Hashes("", sha256("+18005550100")).key)


@pytest.mark.parametrize("missing", ["ad_user_data", "ad_personalization", "customer_id", "service_account"])
def test_what_a_person_has_to_say_has_no_default(missing: str) -> None:
    options = {
        "service_account": "key.json",
        "customer_id": "1234567890",
        "ad_user_data": "granted",
        "ad_personalization": "granted",
    }
    assert GoogleAds.Options.model_validate(options)
    del options[missing]
    with pytest.raises(ValidationError, match=missing):
        GoogleAds.Options.model_validate(options)


def test_hashes_are_refused_unless_they_are_declared(tool: GoogleServer) -> None:
    member = Member("c", {"email": sha256("a@example.com").upper()})
    refused = google_ads(tool).encode(member)
    assert isinstance(refused, Veto) and refused.code == "already_hashed"
    assert google_ads(tool, hashed=True).encode(member) == Encoded(Hashes(sha256("a@example.com"), "").key)


def test_attributes_are_not_sent_because_a_list_keeps_none(tool: GoogleServer) -> None:
    destination = google_ads(tool)
    plain = destination.encode(Member("c", {"email": "a@example.com"}))
    assert destination.encode(Member("c", {"email": "a@example.com"}, {"lifecycle_stage": "lapsed"})) == plain
    assert not destination.capabilities.updates


def test_limits_and_encoder_are_google_s() -> None:
    assert [(limit.calls, limit.seconds) for limit in GoogleAds.limits] == [(300, 60)]
    assert GoogleAds.encoder == GOOGLE.version == "google.v1"


def test_calls_are_counted_per_project_and_show_no_secret(tool: GoogleServer) -> None:
    destination = google_ads(tool)
    assert destination.account == "google_ads analytics-123"
    assert "PRIVATE KEY" not in f"{destination!r} {destination.account}" and EMAIL not in repr(destination)
