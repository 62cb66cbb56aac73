"""Customer Match lists of Google Ads, through Google's Data Manager API.

Belongs here: its calls and answers, and the access token that Google gives for a service account's key.
Does not belong here: how identifiers are written before they are hashed (``hashing.py``).

Google takes a batch whole or not at all, and applies what it took within hours. It then tells how many records of a
request failed and why, never which: a request that succeeded in part proves nothing of anybody in it.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal
from urllib.parse import urlencode, urlsplit

from pydantic import Field, SecretStr

from lifecycle.errors import LifecycleError
from lifecycle.publishing.destinations import Health
from lifecycle.publishing.destinations.api import (
    Answer,
    Api,
    BusyError,
    RefusedError,
    UncertainError,
    batch_outcome,
)
from lifecycle.publishing.destinations.hashing import GOOGLE, Hashes, hashes_of
from lifecycle.publishing.destinations.members import (
    APPLIED,
    BatchOutcome,
    Encoded,
    Item,
    Limit,
    ListSpec,
    Member,
    MemberCapabilities,
    Operation,
    Outcome,
    RemoteList,
    Veto,
)
from lifecycle.settings import Country, Part, Settings

if TYPE_CHECKING:
    import httpx

Consent = Literal["granted", "unspecified"]
Customer = Annotated[str, Field(pattern=r"^\d{3}-?\d{3}-?\d{4}$")]
ListId = Annotated[str, Field(pattern=r"^\d+$")]

SCOPE = "https://www.googleapis.com/auth/datamanager"
SPARE = 300.0
"""Seconds before its end that an access token is not used any more."""
ACCESS = (
    "Give the service account access to the Google Ads account, enable the Data Manager API in its project, and look "
    "at the numbers of account and list. Google says the same of a list that is not there."
)
OF_A_MEMBER = frozenset(
    {
        *("INVALID_HEX_ENCODING", "INVALID_SHA256_FORMAT", "INVALID_AUDIENCE_MEMBER", "INVALID_FORMAT"),
        *("REQUIRED_FIELD_MISSING", "TOO_MANY_USER_IDENTIFIERS", "FIELD_VALUE_TOO_LONG", "FIELD_VALUE_TOO_SHORT"),
    }
)
"""Reasons that lie in a member. Google names a member for reasons of the list too, the first one usually."""
OF_A_LIST = {
    "TERMS_AND_CONDITIONS_NOT_SIGNED": "Accept the Customer Match terms in Google Ads, or say in the settings that you "
    "did: `customer_match_terms_accepted: true`.",
    "INVALID_USER_LIST_ID": "Make a Customer Match list in Google Ads and set `user_list_id` to its number.",
    "NOT_FOUND": "Make a Customer Match list in Google Ads and set `user_list_id` to its number.",
    "INVALID_USER_LIST_TYPE": "Only a Customer Match list of contact data can be kept: name one with `user_list_id`.",
    "INVALID_DESTINATION": "Look at `customer_id`, `login_customer_id` and `user_list_id`.",
    "DESTINATION_ACCOUNT_TYPE_MISMATCH": "Look at `customer_id`: it has to be an account of Google Ads.",
    "NOT_ALLOWLISTED": "The account may not use Customer Match yet; Google Ads says why under its policies.",
}
"""Reasons that hold for everybody, and what to do."""
REJECTIONS = frozenset({"DENIED_CONSENT", "NO_CONSENT", "UNKNOWN_CONSENT", "INVALID_FORMAT"})
"""Why records fail for good; other failures are Google's own and worth another try."""


class DataManagerApi(Api):
    """The Data Manager API says more of a refusal than its status does."""

    def _judged(self, response: httpx.Response) -> Answer:
        if response.status_code == 409:
            # ABORTED: it ran into another change and did nothing.
            raise BusyError
        if response.status_code in (401, 403):
            try:
                content = response.json()
            except ValueError:
                content = None
            reason, _ = _said(RefusedError(response.status_code, content))
            raise LifecycleError(f"Google refuses access ({reason})", where=self._where, remedy=ACCESS)
        return super()._judged(response)


class ServiceAccount:
    """A service account's key, and the access token that it is worth at the moment.

    The token is asked for with an assertion that the key has signed (RFC 7523), and kept until shortly before its end.
    """

    def __init__(self, key: Mapping[str, str], where: str, pause: float) -> None:
        self.project = key["project_id"]
        self._key = key
        self._where = where
        address = urlsplit(key["token_uri"])
        self._path = address.path
        self._api = Api(
            f"{address.scheme}://{address.netloc}", account=f"google {self.project}", where=where, pause=pause
        )
        self._token, self._ends = "", 0.0
        self._asking = threading.Lock()

    @classmethod
    def read(cls, text: str, where: str, pause: float) -> ServiceAccount:
        """From the key's content, or the path of its file. Errors tell nothing of what is in it."""
        remedy = "Set `service_account` to the path of the key file (JSON) of a service account, or to its content."
        try:
            content = text if text.lstrip().startswith("{") else Path(text).read_text(encoding="utf-8")
            key = json.loads(content)
            named = {name: str(key[name]) for name in ("project_id", "client_email", "private_key", "token_uri")}
        except (OSError, UnicodeDecodeError):
            raise LifecycleError("the key file cannot be read", where=where, remedy=remedy) from None
        except (ValueError, KeyError, TypeError):
            raise LifecycleError("this is no key of a service account", where=where, remedy=remedy) from None
        return cls({**named, "private_key_id": str(key.get("private_key_id", ""))}, where, pause)

    def token(self) -> str:
        """Raises LifecycleError when Google does not know the key, BusyError when it gives no answer."""
        with self._asking:
            if time.monotonic() >= self._ends - SPARE:
                self._renew()
            return self._token

    def _renew(self) -> None:
        body = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": self._assertion()}
        try:
            answer = self._api.call(
                "POST",
                self._path,
                content=urlencode(body).encode(),
                headers={"Content-Type": "application/x-www-form-urlencoded"},
            )
        except RefusedError as error:
            said = error.content.get("error") if isinstance(error.content, dict) else None
            raise LifecycleError(
                f"Google gives no access for this key ({_word(said) or f'status_{error.status}'})",
                where=self._where,
                remedy="Make a new key for the service account, and see that this machine's clock is right.",
            ) from None
        except UncertainError:
            # Nothing that concerns members has left yet.
            raise BusyError from None
        content = answer.content if isinstance(answer.content, dict) else {}
        token, seconds = content.get("access_token"), content.get("expires_in")
        if not isinstance(token, str) or not token or not isinstance(seconds, int | float):
            raise BusyError
        self._token, self._ends = token, time.monotonic() + seconds

    def _assertion(self) -> str:
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        now = int(time.time())
        header = {"alg": "RS256", "typ": "JWT", "kid": self._key["private_key_id"]}
        claims = {
            "iss": self._key["client_email"],
            "scope": SCOPE,
            "aud": self._key["token_uri"],
            "iat": now,
            "exp": now + 3600,
        }
        signed = ".".join(_base64(json.dumps(part).encode()) for part in (header, claims))
        try:
            private = load_pem_private_key(self._key["private_key"].encode(), password=None)
        except ValueError:
            private = None
        if not isinstance(private, RSAPrivateKey):
            raise LifecycleError(
                "the key of the service account holds no private RSA key",
                where=self._where,
                remedy="Take the key file as Google gave it, line ends of `private_key` included.",
            )
        return f"{signed}.{_base64(private.sign(signed.encode(), PKCS1v15(), SHA256()))}"


@dataclass(frozen=True)
class GoogleAds:
    name: str
    service_account: SecretStr
    customer_id: str
    ad_user_data: Consent
    ad_personalization: Consent
    user_list_id: str | None = None
    login_customer_id: str | None = None
    customer_match_terms_accepted: bool = False
    default_country: str | None = None
    hashed: bool = False
    url: str = "https://datamanager.googleapis.com"
    pause: float = 0.5

    vendor: ClassVar[str] = "Google Ads Customer Match"
    encoder: ClassVar[str] = GOOGLE.version
    limits: ClassVar[Sequence[Limit]] = (
        Limit(300, 60, "https://developers.google.com/data-manager/api/limits", "2026-11-24"),
    )

    class Options(Part):
        service_account: SecretStr
        """Path of the key file of a service account, relative to the settings file, or its content (JSON)."""
        customer_id: Customer
        """Account of Google Ads that the list belongs to, such as 123-456-7890."""
        user_list_id: ListId | None = None
        """Number of the Customer Match list. It is made in Google Ads."""
        login_customer_id: Customer | None = None
        """Manager account through which the service account has access, where it is not the account itself."""
        ad_user_data: Consent
        """What people on these lists agreed to: that Google gets their data for advertising."""
        ad_personalization: Consent
        """What people on these lists agreed to: that ads are personalised."""
        customer_match_terms_accepted: bool = False
        """Says with each batch that you accepted Google's Customer Match terms."""
        default_country: Country | None = None
        """Whose dialling rules hold for a phone without a country code; else that of ``identity``."""
        hashed: bool = False
        """Identifiers may be SHA-256 hashes already, written as Google wants them before they were hashed."""
        url: str = "https://datamanager.googleapis.com"
        """Where the Data Manager API is."""
        pause: float = Field(0.5, gt=0)
        """First wait before a call is made again, in seconds."""

    @classmethod
    def from_options(cls, name: str, options: Options, settings: Settings) -> GoogleAds:
        key = options.service_account.get_secret_value()
        login = options.login_customer_id
        return cls(
            name,
            service_account=SecretStr(key if key.lstrip().startswith("{") else str(settings.folder / key)),
            customer_id=options.customer_id.replace("-", ""),
            ad_user_data=options.ad_user_data,
            ad_personalization=options.ad_personalization,
            user_list_id=options.user_list_id,
            login_customer_id=login.replace("-", "") if login else None,
            customer_match_terms_accepted=options.customer_match_terms_accepted,
            default_country=options.default_country or settings.identity.default_country,
            hashed=options.hashed,
            url=options.url,
            pause=options.pause,
        )

    @property
    def account(self) -> str:
        """Google counts calls per project, whatever account of Google Ads they are for."""
        return f"google_ads {self._credentials.project}"

    @property
    def capabilities(self) -> MemberCapabilities:
        return MemberCapabilities(
            frozenset({"email", "phone"}),
            max_batch=10_000,
            updates=False,
            is_asynchronous=True,
            is_hashed=True,
            creates_list=False,
        )

    @property
    def _where(self) -> str:
        return f"destination '{self.name}'"

    @cached_property
    def _credentials(self) -> ServiceAccount:
        return ServiceAccount.read(self.service_account.get_secret_value(), self._where, self.pause)

    @cached_property
    def _api(self) -> DataManagerApi:
        return DataManagerApi(self.url, account=self.account, where=self._where, limits=self.limits, pause=self.pause)

    def _call(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **sent: Any) -> Answer:
        bearer = {"Authorization": f"Bearer {self._credentials.token()}"}
        return self._api.call(method, f"v1/{path}", headers={**bearer, **(headers or {})}, **sent)

    def check(self) -> Health:
        try:
            self._list(self.user_list_id)
        except LifecycleError as error:
            return Health(False, error.problem, error.remedy)
        return Health(True)

    def ensure_list(self, spec: ListSpec) -> RemoteList:
        return self._list(spec.list_id or self.user_list_id)

    def _list(self, list_id: str | None) -> RemoteList:
        """The list, if it is there and takes contact data."""
        if list_id is None:
            raise LifecycleError(
                "no list is named",
                where=self._where,
                remedy="Make a Customer Match list in Google Ads (contact data) and set `user_list_id` to its number.",
            )
        headers = {"login-account": f"accountTypes/GOOGLE_ADS/accounts/{self.login_customer_id or self.customer_id}"}
        path = f"accountTypes/GOOGLE_ADS/accounts/{self.customer_id}/userLists/{list_id}"
        try:
            found = self._call("GET", path, headers=headers).content
        except RefusedError as error:
            reason, fields = _said(error)
            raise self._gone(list_id, fields[0][1] if fields else reason) from None
        except (BusyError, UncertainError):
            raise LifecycleError(
                "Google does not answer for the list", where=self._where, remedy="Publish again later."
            ) from None
        found = found if isinstance(found, dict) else {}
        kinds = (found.get("ingestedUserListInfo") or {}).get("uploadKeyTypes", [])
        problems = {
            "is closed and takes nobody": found.get("membershipStatus") == "CLOSED",
            "may only be read by this account": bool(found.get("readOnly")),
            "is not one of contact data (emails and phones)": "CONTACT_ID" not in kinds,
        }
        for problem, holds in problems.items():
            if holds:
                raise LifecycleError(
                    f"the list {list_id} {problem}",
                    where=self._where,
                    remedy="Open it in Google Ads, or name another with `user_list_id`.",
                )
        return RemoteList(list_id, str(found.get("displayName", "")))

    def _gone(self, list_id: str, code: str) -> LifecycleError:
        return LifecycleError(
            f"Google does not give the list {list_id} ({code})",
            where=self._where,
            remedy=OF_A_LIST.get(code, OF_A_LIST["NOT_FOUND"]) + " No list is made by itself.",
        )

    def encode(self, member: Member) -> Encoded | Veto:
        hashes = hashes_of(GOOGLE, member, default_country=self.default_country, are_declared=self.hashed)
        return hashes if isinstance(hashes, Veto) else Encoded(hashes.key)

    def send(self, remote: RemoteList, operation: Operation, items: Sequence[Item], key: str) -> BatchOutcome:
        body: dict[str, Any] = {
            "destinations": [self._destination(remote)],
            "audienceMembers": [{"userData": {"userIdentifiers": _identifiers(item.key)}} for item in items],
            "encoding": "HEX",
        }
        if operation != "remove":
            consents = {"adUserData": self.ad_user_data, "adPersonalization": self.ad_personalization}
            granted = {name: "CONSENT_GRANTED" for name, consent in consents.items() if consent == "granted"}
            if granted:
                body["consent"] = granted
            if self.customer_match_terms_accepted:
                body["termsOfService"] = {"customerMatchTermsOfServiceStatus": "ACCEPTED"}

        def call() -> BatchOutcome:
            verb = "remove" if operation == "remove" else "ingest"
            try:
                content = self._call("POST", f"audienceMembers:{verb}", json=body).content
            except RefusedError as error:
                return self._refused(remote, error, len(items))
            handle = content.get("requestId") if isinstance(content, dict) else None
            if not isinstance(handle, str) or not handle:
                return BatchOutcome.all(Outcome("unknown", "no_request_id"), len(items))
            return BatchOutcome.all(Outcome("accepted", handle=handle), len(items))

        return batch_outcome(len(items), call)

    def _destination(self, remote: RemoteList) -> dict[str, Any]:
        def account(number: str) -> dict[str, str]:
            return {"accountType": "GOOGLE_ADS", "accountId": number}

        login = {"loginAccount": account(self.login_customer_id)} if self.login_customer_id else {}
        return {"operatingAccount": account(self.customer_id), **login, "productDestinationId": remote.list_id}

    def _refused(self, remote: RemoteList, error: RefusedError, count: int) -> BatchOutcome:
        """Nothing of the batch was taken. Who was named is out; all others can be sent again without them."""
        code, fields = _said(error)
        for reason in (code, *(reason for _, reason in fields)):
            if reason in OF_A_LIST or error.status == 404:
                raise self._gone(remote.list_id, reason)
        named = {
            int(place[1]): reason
            for field, reason in fields
            if reason in OF_A_MEMBER and (place := re.search(r"audience_?members\[(\d+)\]", field, re.IGNORECASE))
        }
        if not named or max(named) >= count:
            return BatchOutcome.refused(count, fields[0][1] if fields else code)
        return BatchOutcome(
            tuple(
                Outcome("rejected", named[place].lower()) if place in named else Outcome("retry", "others_refused")
                for place in range(count)
            )
        )

    def poll(self, remote: RemoteList, handle: str, items: Sequence[Item]) -> BatchOutcome | None:
        try:
            content = self._call("GET", "requestStatus:retrieve", params={"requestId": handle}).content
        except RefusedError as error:
            return BatchOutcome.all(Outcome("unknown", _said(error)[0].lower()), len(items))
        except (BusyError, UncertainError):
            return None
        statuses = content.get("requestStatusPerDestination") if isinstance(content, dict) else None
        if not isinstance(statuses, list) or len(statuses) != 1 or not isinstance(statuses[0], dict):
            return None
        return _outcome_of(statuses[0], len(items))

    def read_back(self, remote: RemoteList) -> None:
        """Google tells an estimate of whom it could match, days later: that is no proof of who was sent."""


def _identifiers(key: str) -> list[dict[str, str]]:
    hashes = Hashes.of_key(key)
    return [{name: value} for name, value in (("emailAddress", hashes.email), ("phoneNumber", hashes.phone)) if value]


def _outcome_of(status: Mapping[str, Any], count: int) -> BatchOutcome | None:
    """What Google says became of a request; None while it works on it."""
    word = status.get("requestStatus")
    if word not in ("SUCCESS", "FAILED", "PARTIAL_SUCCESS"):
        return None
    counts = (status.get("errorInfo") or {}).get("errorCounts") or []
    reasons = [_word(one.get("reason")).removeprefix("PROCESSING_ERROR_REASON_") for one in counts]
    code = reasons[0].lower() if reasons else word.lower()
    if word == "SUCCESS" and not reasons:
        return BatchOutcome.all(APPLIED, count)
    if word == "FAILED":
        proof: Literal["rejected", "retry"] = "rejected" if reasons and set(reasons) <= REJECTIONS else "retry"
        return BatchOutcome.all(Outcome(proof, code), count)
    failed = sum(int(one.get("recordCount") or 0) for one in counts)
    message = f"Google took the request in part ({failed:,} records failed) and does not say who"
    return BatchOutcome.all(Outcome("unknown", code, message), count)


def _said(error: RefusedError) -> tuple[str, list[tuple[str, str]]]:
    """Why Google refuses a call, and the fields that are at fault with the reason of each."""
    reason, fields = "", []
    for detail in _details(error.content):
        reason = _word(detail.get("reason")) or reason
        fields += [
            (str(one.get("field")), found)
            for one in detail.get("fieldViolations", [])
            if (found := _word(one.get("reason")))
        ]
    return reason or f"status_{error.status}", fields


def _details(content: Any) -> list[Any]:
    error = content.get("error") if isinstance(content, dict) else None
    details = error.get("details") if isinstance(error, dict) else None
    return [one for one in details if isinstance(one, dict)] if isinstance(details, list) else []


def _word(text: Any) -> str:
    """A reason that Google names; anything longer than a word could hold more than that."""
    return text if isinstance(text, str) and re.fullmatch(r"[A-Za-z0-9_]{1,60}", text) else ""


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
