"""Calls to a tool's HTTP API: limits, retries, and what an answer proves.

Belongs here: everything that any HTTP API needs: credentials in headers, token buckets that all syncs of an account
share, waiting as the tool says (``Retry-After``, ``X-RateLimit-Reset``), and telling refused from busy from not known.
Does not belong here: paths and bodies of one tool.

Texts of answers may hold addresses, so no exception of this module carries more of an answer than a status and what the
destination takes out of it. Nothing is logged: httpx would write addresses of requests, and these may hold a person's.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lifecycle.errors import LifecycleError
from lifecycle.publishing.destinations.members import BatchOutcome, Limit, Outcome

if TYPE_CHECKING:
    import httpx
    from pyrate_limiter import Limiter

ATTEMPTS = 5
"""How often a call is made before it is left for the next delivery."""
LONGEST_WAIT = 90.0
"""Seconds that a tool is waited for at a time; one that asks for more is left for the next delivery."""
LARGEST_ANSWER = 50_000_000
"""Bytes of an answer that are read."""
BUSY = frozenset({429, 503})
UNCERTAIN = frozenset({408, 500, 502, 504, 520, 522, 524})
"""Statuses after which it is not known whether the call had its effect."""


class RefusedError(Exception):
    """The tool said no, and would say it again. ``content`` is its answer, for the destination alone."""

    def __init__(self, status: int, content: Any) -> None:
        super().__init__(f"refused with status {status}")
        self.status = status
        self.content = content


class BusyError(Exception):
    """The tool has no time: nothing was done. ``after`` are the seconds it asked for."""

    def __init__(self, after: float | None = None) -> None:
        super().__init__("busy")
        self.after = after


class UncertainError(Exception):
    """The call may have had its effect. ``code`` says what came back in place of an answer."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Answer:
    """A good answer: its status, what it holds as JSON (None where it is empty), and its headers in lower case."""

    status: int
    content: Any
    headers: Mapping[str, str]


_limiters: dict[str, list[tuple[Limit, Limiter, threading.Semaphore | None]]] = {}
_making = threading.Lock()


def _limiters_of(account: str, limits: Sequence[Limit]) -> list[tuple[Limit, Limiter, threading.Semaphore | None]]:
    """The buckets of an account: the same ones for every sync of this process."""
    from pyrate_limiter import Limiter, Rate

    with _making:
        if account not in _limiters:
            _limiters[account] = [
                (
                    limit,
                    Limiter(Rate(limit.calls, max(1, round(limit.seconds * 1000)))),
                    threading.Semaphore(limit.concurrency) if limit.concurrency else None,
                )
                for limit in limits
            ]
        return _limiters[account]


class Api:
    """One account at one tool."""

    def __init__(
        self,
        base_url: str,
        *,
        account: str,
        where: str,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        limits: Sequence[Limit] = (),
        timeout: float = 30.0,
        attempts: int = ATTEMPTS,
        pause: float = 0.5,
    ) -> None:
        """``where`` names the destination in messages. ``pause`` is the first wait between attempts, in seconds."""
        address = urlsplit(base_url)
        if address.scheme != "https" and not (address.scheme == "http" and _is_here(address.hostname)):
            raise LifecycleError(
                "credentials are not sent over an open line",
                where=where,
                remedy="Begin the address with https://; http:// is taken for this machine alone.",
            )
        self.account = account
        self._base_url = base_url.rstrip("/")
        self._where = where
        self._headers = dict(headers or {})
        self._auth = auth
        self._limits = limits
        self._timeout = timeout
        self._attempts = attempts
        self._pause = pause

    def __repr__(self) -> str:
        return f"Api({self._base_url!r})"

    @cached_property
    def _client(self) -> httpx.Client:
        import httpx

        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        return httpx.Client(
            headers=self._headers,
            auth=self._auth,
            timeout=self._timeout,
            follow_redirects=False,
            transport=httpx.HTTPTransport(retries=0),
            trust_env=True,
        )

    def call(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        is_idempotent: bool = True,
    ) -> Answer:
        """Make a call, again where that is safe, and give its answer.

        ``path`` is joined to the account's address; one that begins with ``https://`` (the next page, say) has to be of
        the same host. A call that is not idempotent is made again only when the tool said that it did nothing.

        Raises RefusedError, BusyError, UncertainError; LifecycleError when the credentials are not good.
        """
        import stamina

        def again(error: Exception) -> bool | float:
            if isinstance(error, BusyError):
                return False if (error.after or 0) > LONGEST_WAIT else (error.after or True)
            return isinstance(error, UncertainError) and is_idempotent

        for attempt in stamina.retry_context(
            on=again,
            attempts=self._attempts,
            timeout=None,
            wait_initial=self._pause,
            wait_max=LONGEST_WAIT,
            wait_jitter=self._pause / 2,
        ):
            with attempt:
                return self._once(method, self._address(path), json, params, content, headers)
        raise AssertionError("stamina ends with an answer or an exception")

    def _address(self, path: str) -> str:
        if not path.startswith(("https://", "http://")):
            return f"{self._base_url}/{path.lstrip('/')}"
        if urlsplit(path)[:2] != urlsplit(self._base_url)[:2]:
            raise LifecycleError(
                "the tool points to another host, and credentials go to the one that is named alone", where=self._where
            )
        return path

    def _once(
        self,
        method: str,
        address: str,
        json: Any,
        params: Mapping[str, Any] | None,
        content: bytes | None,
        headers: Mapping[str, str] | None,
    ) -> Answer:
        import httpx

        buckets = _limiters_of(self.account, self._limits)
        for _, limiter, _ in buckets:
            limiter.try_acquire(self.account, blocking=True)
        held = [semaphore for _, _, semaphore in buckets if semaphore is not None]
        for semaphore in held:
            semaphore.acquire()
        try:
            response = self._client.request(
                method, address, json=json, params=params, content=content, headers=dict(headers or {})
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            # Nothing left this machine.
            raise BusyError from None
        except httpx.TimeoutException:
            raise UncertainError("timeout") from None
        except httpx.HTTPError as error:
            raise UncertainError(type(error).__name__) from None
        finally:
            for semaphore in held:
                semaphore.release()
        return self._judged(response)

    def _judged(self, response: httpx.Response) -> Answer:
        status = response.status_code
        if status in (401, 403):
            raise LifecycleError(
                f"the tool refuses the credentials (status {status})",
                where=self._where,
                remedy="Mend the key or its scopes, then publish again: the delivery is resumed.",
            )
        if status in BUSY:
            raise BusyError(wait_of(response.headers))
        if status in UNCERTAIN or status >= 500:
            raise UncertainError(f"status_{status}")
        if len(response.content) > LARGEST_ANSWER:
            raise UncertainError("answer_too_large")
        try:
            found = response.json() if response.content.strip() else None
        except ValueError:
            if status < 300:
                raise UncertainError("not_json") from None
            found = None
        if status >= 300:
            raise RefusedError(status, found)
        return Answer(status, found, {name.lower(): value for name, value in response.headers.items()})


def wait_of(headers: Mapping[str, str]) -> float | None:
    """Seconds that a busy tool asks for: ``Retry-After`` as seconds or as a date, or the reset of a limit as seconds or
    as a moment since 1970."""
    for name in ("retry-after", "x-ratelimit-reset", "ratelimit-reset", "x-sib-ratelimit-reset"):
        text = headers.get(name)
        if text is None:
            continue
        try:
            seconds = float(text)
        except ValueError:
            try:
                seconds = (parsedate_to_datetime(text).astimezone(UTC) - datetime.now(UTC)).total_seconds()
            except (ValueError, TypeError):
                continue
        if seconds > 1_000_000_000:
            seconds -= time.time()
        return max(0.0, seconds)
    return None


def batch_outcome(count: int, call: Callable[[], BatchOutcome], *, code: Callable[[Any], str] = str) -> BatchOutcome:
    """What a call proves of the members of a batch when it does not answer for each.

    ``code`` makes a word of a refusing answer, without any address in it. A list that is gone (404) is for the
    destination to tell.
    """
    try:
        return call()
    except RefusedError as error:
        return BatchOutcome.refused(count, code(error.content) or f"status_{error.status}")
    except BusyError as error:
        return BatchOutcome.all(Outcome("retry", "busy", after=error.after), count)
    except UncertainError as error:
        return BatchOutcome.all(Outcome("unknown", error.code), count)


def _is_here(host: str | None) -> bool:
    return host in ("localhost", "127.0.0.1", "::1")


def content_of(answer: Answer, name: str = "") -> dict[str, Any]:
    """What an answer holds. One without what was asked for proves nothing, least of all that nobody is there."""
    if not isinstance(answer.content, dict) or (name and name not in answer.content):
        raise UncertainError("no_answer")
    return answer.content
