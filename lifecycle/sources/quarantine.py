"""Rows that could not be read: seen, and tried again.

Belongs here: listing the quarantine by counts, showing one row, marking rows for another try.
Does not belong here: the try itself; the next intake makes it, with the settings of that time (``intake.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lifecycle.errors import LifecycleError
from lifecycle.sources.intake import prepare
from lifecycle.warehouse import Warehouse


@dataclass(frozen=True)
class QuarantineCount:
    """How many rows of one file are quarantined for one reason."""

    source_system: str
    table_name: str
    file_name: str
    column_name: str | None
    reason: str
    row_count: int
    requeued_count: int
    first_line_number: int
    rejected_id: str
    """One of the rows, to look at."""
    is_stopped: bool
    """Of a batch that the intake gate stopped: none of its rows is loaded, and its file will be read again."""


REJECTED = (
    "(select *, false as is_stopped from quarantine.rejected_rows union all by name"
    " select *, true as is_stopped from landing.rejected_rows) as rejected"
)


def listing(warehouse: Warehouse) -> list[QuarantineCount]:
    """The quarantine as counts per source, table, file, column and reason; no row is shown."""
    prepare(warehouse)
    return [
        QuarantineCount(*row)
        for row in warehouse.rows(
            "select source_system, table_name, file_name, column_name, reason, count(*), count(requeued_at),"
            f" min(line_number), arg_min(rejected_id, line_number), is_stopped from {REJECTED} group by all"
            " order by source_system, table_name, file_name, count(*) desc, reason, column_name"
        )
    ]


def show(warehouse: Warehouse, rejected_id: str) -> dict[str, Any]:
    """One quarantined row with its raw text, which may be personal data. Raises LifecycleError when there is none."""
    prepare(warehouse)
    found = warehouse.dicts(f"select * from {REJECTED} where rejected_id = ?", [rejected_id])
    if not found:
        raise LifecycleError(
            f"no quarantined row has the id '{rejected_id}'",
            where="quarantine.rejected_rows",
            remedy="It may have been loaded since. `lifecycle quarantine list` shows what is there.",
        )
    return found[0]


def requeue(
    warehouse: Warehouse,
    *,
    rejected_ids: Sequence[str] = (),
    source: str | None = None,
    table: str | None = None,
    file: str | None = None,
    reason: str | None = None,
    now: datetime | None = None,
) -> int:
    """Mark rows so that the next intake tries them again; how many are marked.

    Those that fit everything that is given; without anything, all rows. Those that pass then are loaded in a batch of
    their own, those that fail again stay in the quarantine. Raises LifecycleError when no row fits.
    """
    prepare(warehouse)
    moment = now or datetime.now(UTC)
    moment = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    given = {"source_system": source, "table_name": table, "file_name": file, "reason": reason}
    parts = ["true", *(f"{name} = ?" for name, value in given.items() if value is not None)]
    values = [value for value in given.values() if value is not None]
    if rejected_ids:
        parts.append(f"rejected_id in ({', '.join('?' for _ in rejected_ids)})")
        values.extend(rejected_ids)
    condition = " and ".join(parts)
    count = int(warehouse.scalar(f"select count(*) from quarantine.rejected_rows where {condition}", values))
    if not count:
        raise LifecycleError(
            "no quarantined row fits the selection",
            where="quarantine.rejected_rows",
            remedy="`lifecycle quarantine list` shows what is there.",
        )
    warehouse.run(f"update quarantine.rejected_rows set requeued_at = ? where {condition}", [moment, *values])
    return count
