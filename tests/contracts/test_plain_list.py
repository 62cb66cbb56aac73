"""The contract kit, on a destination that keeps it; and that the kit sees what breaks it."""

from __future__ import annotations

from pydantic import SecretStr

from lifecycle.publishing.destinations.members import MemberDestination
from lifecycle.publishing.testing import DestinationContract, ToolServer
from tests.contracts.plain_list import PlainList, PlainListServer


class TestPlainList(DestinationContract):
    def make_tool(self) -> PlainListServer:
        return PlainListServer()

    def make_destination(self, tool: ToolServer, *, secret: str | None = None) -> MemberDestination:
        return PlainList("plain", tool.url, SecretStr(secret or tool.secret), pause=0.001)
