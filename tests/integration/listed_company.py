"""A company whose lapsed customers are kept on a list of a tool, for tests of deliveries to tools.

Belongs here: publishing with changes in SQL, delivering, looking into the ledger. Does not belong here: the tools.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from small_build import AS_OF, NOW, build, opened, settings_of

from lifecycle.publishing.apply import Delivery, deliver
from lifecycle.publishing.ledger import open_ledger
from lifecycle.publishing.plan import Plan, plan_sync
from lifecycle.serving import publication
from lifecycle.serving.publication import build_publication
from lifecycle.settings import DestinationSettings, Guards, Sync


class ListedCompany:
    """``options`` are those of the destination, beside its name; every third customer is lapsed."""

    def __init__(self, folder: Path, options: dict[str, Any], **changes: Any) -> None:
        self.folder = folder
        self.options = options
        self.number = 0
        self.now: datetime = NOW
        self.configure(**changes)

    def configure(self, *, options: dict[str, Any] | None = None, **changes: Any) -> None:
        """Settings of the sync, and of the destination beside those that it began with."""
        given = {"channel": "email", "identifiers": ["email"], "guards": Guards(max_add=1, max_remove=1)} | changes
        self.sync = Sync(segment="lapsed", destination="tool", **given)
        described = DestinationSettings.model_validate({"name": "tool", **self.options, **(options or {})})
        settings = settings_of(self.folder, self.sync)
        self.settings = settings.model_copy(update={"destinations": [described]})

    def publish(self, *changes: str, customers: int = 12) -> None:
        self.number += 1
        self.now = NOW + timedelta(days=self.number)
        run_id = f"run-{self.number}"
        with opened(self.settings) as warehouse:
            build(warehouse, run_id=run_id, customers=customers)
            for change in changes:
                warehouse.run(change)
            build_publication(warehouse, self.settings, run_id=run_id, as_of=AS_OF, published_at=self.now)

    def deliver(self) -> Delivery:
        return deliver(self.settings, self.sync, now=self.now)

    def plan(self) -> Plan:
        return plan_sync(self.settings, self.sync, now=self.now)

    def ledger(self, sql: str) -> list[tuple[Any, ...]]:
        with open_ledger(self.settings) as ledger:
            return ledger.rows(sql)


def emails(changes: dict[str, str]) -> str:
    """SQL that gives customers other addresses."""
    cases = " ".join(f"when '{customer}' then '{email}'" for customer, email in changes.items())
    return (
        f"update marts.customer_contacts set identifier_value = case customer_id {cases} else identifier_value end"
        " where identifier_kind = 'email'"
    )


def leaves(*customers: str) -> str:
    names = ", ".join(f"'{customer}'" for customer in customers)
    return f"delete from segments.segment_members where customer_id in ({names})"


def no_consent(*customers: str) -> str:
    names = ", ".join(f"'{customer}'" for customer in customers)
    return f"update marts.customer_360 set email_consent = false where customer_id in ({names})"


def publish_only_what_syncs_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other tables have tests of their own; without them a publication takes a fraction of the time."""
    read = ("marts.customer_360", "segments.segment_members", "segments.segment_history", "ops.gate_results")
    monkeypatch.setattr(publication, "PUBLIC", [table for table in publication.PUBLIC if table.name in read])
    monkeypatch.setattr(publication, "PII", [table for table in publication.PII if table.name.endswith("contacts")])
