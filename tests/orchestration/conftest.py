"""A small shop whose every run takes seconds, for tests of whole runs."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from lifecycle.settings import Settings, load_settings

LAST_DAY = date(2024, 6, 30)


class Shop:
    """Files and settings of the shop; tests change them between runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "lifecycle.yml"
        self.content = {
            "project": "corner_shop",
            "timezone": "America/New_York",
            "currency": "USD",
            "as_of": LAST_DAY.isoformat(),
            "sources": [
                {"name": "shop", "table": "contacts", "path": "in/contacts*.csv"},
                {"name": "shop", "table": "orders", "path": "in/orders*.csv", "constants": {"currency": "USD"}},
            ],
            "destinations": [{"name": "drop", "kind": "files", "path": "out"}],
            "syncs": [
                {"segment": segment, "destination": "drop", "identifiers": ["contact_id"]}
                for segment in ("lapsed", "high_value_at_risk", "new_customers")
            ],
            "warehouse": {"memory_limit": "500MB", "threads": 2},
            "lifecycle": {"default_order_gap_days": 20, "high_value_amount": 500, "loyalty": {"min_orders": 6}},
        }
        (folder / "in").mkdir(parents=True)
        self.write("contacts", ["contact_id", "country"], [[f"p{number:02}", "US"] for number in range(40)])
        self.write("orders", ["order_id", "contact_id", "ordered_at", "order_status", "total_amount"], list(_orders()))

    def write(self, name: str, header: list[str], rows: list[list[str]]) -> Path:
        path = self.folder / "in" / f"{name}.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows)
        return path

    def settings(self) -> Settings:
        self.config.write_text(yaml.safe_dump(self.content))
        return load_settings(self.config)


def _orders() -> list[list[str]]:
    """Ten lapsed, eight at risk and dear, six new, sixteen regular customers; days back of their orders."""
    histories = [
        *([200, 180, 160, 140 - number] for number in range(10)),
        *([90, 70, 50 - number] for number in range(8)),
        *([12 + number] for number in range(6)),
        *(list(range(300, 5 + number % 3, -15)) for number in range(16)),
    ]
    rows = []
    for person, history in enumerate(histories):
        amount = "250.10" if 10 <= person < 18 else "19.99"
        for number, days_back in enumerate(history):
            moment = datetime.combine(LAST_DAY - timedelta(days=days_back), datetime.min.time()) + timedelta(hours=15)
            rows.append([f"o{person:02}-{number:02}", f"p{person:02}", moment.isoformat(), "paid", amount])
    return rows


@pytest.fixture
def make_shop(tmp_path: Path) -> Callable[[], Shop]:
    return lambda: Shop(tmp_path / "shop")
