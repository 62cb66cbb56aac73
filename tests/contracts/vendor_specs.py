"""Requests that destinations made, held against the vendors' own API descriptions.

The descriptions are files outside of this project; tests that need one skip, and say so, where they are not there.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.exceptions import OpenAPIError
from werkzeug.datastructures import Headers, ImmutableMultiDict

from lifecycle.publishing.testing import Request
from lifecycle.settings import PROJECT_DIR

SPECS = PROJECT_DIR.parent / "shared" / "specs"


class _Asked:
    """A recorded request, as openapi-core wants one: it is judged as if it had gone to the vendor's own address."""

    def __init__(self, request: Request, server: str) -> None:
        address = urlsplit(server)
        self.host_url = f"{address.scheme}://{address.netloc}"
        self.path = f"{address.path.rstrip('/')}{request.path}"
        self.method = request.method.lower()
        self.body = request.text.encode() or None
        self.content_type = request.headers.get("content-type", "application/json").split(";")[0]
        self.parameters = RequestParameters(
            query=ImmutableMultiDict(list(request.query.items())), header=Headers(list(request.headers.items()))
        )
        self.full_url_pattern = f"{self.host_url}{self.path}?{urlencode(request.query)}"


class VendorSpec:
    """One vendor's description."""

    def __init__(self, name: str) -> None:
        content: dict[str, Any] = json.loads((SPECS / f"{name}.json").read_text(encoding="utf-8"))
        # Without a server of its own a description would take any address.
        self.server = (content.get("servers") or [{"url": "https://vendor.example"}])[0]["url"]
        content["servers"] = [{"url": self.server}]
        self._openapi = OpenAPI.from_dict(content, config=Config(spec_validator_cls=None))

    def problem(self, request: Request) -> str | None:
        """Why the vendor's description does not allow a request; None when it does."""
        try:
            self._openapi.validate_request(_Asked(request, self.server))  # type: ignore[arg-type]
        except OpenAPIError as error:
            cause = error.__cause__
            return f"{request.method} {request.path}: {error}" + (f" ({cause})" if cause else "")
        return None


@cache
def _loaded(name: str) -> VendorSpec:
    return VendorSpec(name)


def vendor_spec(name: str) -> VendorSpec:
    """The description ``name``; the test is skipped where it is not there."""
    if not (SPECS / f"{name}.json").exists():
        pytest.skip(f"the vendor's API description {name}.json is not on this machine")
    return _loaded(name)
