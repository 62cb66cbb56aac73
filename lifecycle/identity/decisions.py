"""What stewards decided: these two records are the same person, or are not.

Belongs here: reading the decisions into links and bars, saying what became of each, and writing new ones.
Does not belong here: the clustering that obeys them.

Decisions are a source like any other (``identity_decisions`` of the input contract). Of several on one pair of records
the latest holds, so one is undone by its opposite.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import secrets
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lifecycle.errors import LifecycleError
from lifecycle.identity.links import HUBS
from lifecycle.state import run_lock
from lifecycle.warehouse import Warehouse

if TYPE_CHECKING:
    from lifecycle.settings import Settings

DECISIONS = "staging.stg_identity_decisions"
OUTCOMES = "identity.decision_log"

COLUMNS = (
    "decision_id",
    "left_source_system",
    "left_record_table",
    "left_record_id",
    "right_source_system",
    "right_record_table",
    "right_record_id",
    "decision",
    "decided_at",
    "decided_by",
    "reason",
)
"""The columns of a new decisions file: those of the contract's ``identity_decisions``, in this order."""

_TIME = "%Y-%m-%d %H:%M:%S"


def create_tables(warehouse: Warehouse) -> None:
    warehouse.run("create schema if not exists identity")
    warehouse.run(
        f"create table if not exists {OUTCOMES} (decision_id varchar, source_system varchar, decision varchar,"
        " decided_at timestamp, outcome varchar, detail varchar)"
    )


def prepare_decisions(warehouse: Warehouse) -> None:
    """Write ``steward_decisions``: every decision with the nodes of its two records, and why it may not hold.

    ``problem`` is null for a decision that holds.
    """
    left, right = (
        f"concat_ws(':', {side}_record_table, {side}_source_system, {side}_record_id)" for side in ("left", "right")
    )
    left_hub, right_hub = (
        "coalesce(" + ", ".join(f"{side}_records.{node}" for node in HUBS) + ")" for side in ("left", "right")
    )
    known = "select record_key, record_nodes.* from record_nodes inner join numbered_records using (number)"
    warehouse.run(
        "create or replace temp table steward_decisions as with given as (select decision_id, source_system, decision,"
        f" decided_at, reason, least({left}, {right}) as left_key, greatest({left}, {right}) as right_key"
        f" from {DECISIONS}), ranked as (select *, row_number() over (partition by left_key, right_key"
        " order by decided_at desc nulls last, decision_id desc nulls last, source_system desc nulls last) as age"
        f" from given), placed as (select ranked.*, left_records.record_key is not null as is_left_known,"
        " right_records.record_key is not null as is_right_known,"
        f" {left_hub} as left_node, {right_hub} as right_node"
        f" from ranked left join ({known}) as left_records on ranked.left_key = left_records.record_key"
        f" left join ({known}) as right_records on ranked.right_key = right_records.record_key)"
        " select *, case when age > 1 then 'superseded' when not (is_left_known and is_right_known)"
        " then 'unknown record' when left_node is null or right_node is null then 'no strong identifier'"
        " when left_node = right_node and decision = 'different' then 'one identifier' end as problem from placed"
    )
    for name, decision in (("steward_links", "same"), ("steward_bars", "different")):
        warehouse.run(
            f"create or replace temp table {name} as select distinct least(left_node, right_node) as left_node,"
            " greatest(left_node, right_node) as right_node from steward_decisions"
            f" where problem is null and decision = '{decision}' and left_node <> right_node"
        )


def report_outcomes(warehouse: Warehouse) -> None:
    """Replace ``identity.decision_log``: what became of every decision, from ``steward_decisions`` and the
    final ``record_customers``."""
    placed = "select record_key, cluster from record_customers inner join numbered_records using (number)"
    warehouse.create_as(
        OUTCOMES,
        "select decision_id, source_system, decision, decided_at, case when problem = 'superseded' then 'superseded'"
        " when problem is not null then 'not applied'"
        " when (decision = 'same') = (left_customers.cluster = right_customers.cluster) then 'applied'"
        " else 'not applied' end as outcome,"
        " case when problem = 'superseded' then 'a later decision on the same two records holds'"
        " when problem = 'unknown record' and not is_left_known and not is_right_known then"
        " 'neither record is known (deleted, or the ids are mistyped)'"
        " when problem = 'unknown record' then 'the ' || case when is_left_known then 'second' else 'first' end ||"
        " ' record (by table and id) is not known (deleted, or its id is mistyped)'"
        " when problem = 'no strong identifier' then 'a record carries no contact id, account or usable email'"
        " when problem = 'one identifier' then 'both records carry the same strongest identifier'"
        " when (decision = 'same') = (left_customers.cluster = right_customers.cluster) then null"
        " else 'other decisions contradict it, or the customer would have too many records' end as detail"
        " from steward_decisions"
        f" left join ({placed}) as left_customers on left_key = left_customers.record_key"
        f" left join ({placed}) as right_customers on right_key = right_customers.record_key",
    )


# --- writing ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Record:
    """One record of one source, as decisions name it."""

    source_system: str
    record_table: str
    record_id: str

    @property
    def key(self) -> str:
        return f"{self.record_table}:{self.source_system}:{self.record_id}"


@dataclass(frozen=True)
class Decision:
    """One line of the decisions file. ``decided_at`` is the text that stands there, UTC."""

    decision_id: str
    left: Record
    right: Record
    decision: str
    decided_at: str
    decided_by: str
    reason: str

    @property
    def pair(self) -> frozenset[Record]:
        """The two records: which of them is left and which is right says nothing."""
        return frozenset((self.left, self.right))


def decisions_file(settings: Settings) -> Path:
    return settings.folder / settings.identity.decisions_file


def read_decisions(settings: Settings) -> list[Decision]:
    """Every decision of the file, in its order; none when there is no file.

    Raises LifecycleError, naming file and line, when it cannot be read as a whole.
    """
    path = decisions_file(settings)
    return _decisions(_rows(path, _content(path)))


def holding(decisions: list[Decision]) -> dict[frozenset[Record], Decision]:
    """The decision that holds on each pair of records: the latest, of two of one moment the one with the later id."""
    latest: dict[frozenset[Record], Decision] = {}
    for decision in sorted(decisions, key=lambda one: (one.decided_at, one.decision_id)):
        latest[decision.pair] = decision
    return latest


def write_decision(
    settings: Settings,
    left: Record,
    right: Record,
    decision: Literal["same", "different"],
    *,
    reason: str,
    decided_by: str,
    now: datetime,
) -> Decision:
    """Append a decision to the decisions file, which is made when there is none.

    What stands in the file stays byte by byte, so that version control shows one new line. The new content replaces
    the old in one step, under the state's lock: no run ever reads half of it. Raises LifecycleError when the records
    are one, the reason is empty or the file cannot be appended to, LockedError while a run is going on.
    """
    reason, decided_by = " ".join(reason.split()), " ".join(decided_by.split())
    if left == right:
        raise LifecycleError(f"both are the same record, {left.key}", remedy="Name two records.")
    if not reason:
        raise LifecycleError(
            "a decision needs a reason", where="--reason", remedy="Say why, in words that help whoever asks later."
        )
    path = decisions_file(settings)
    with run_lock(settings.state, "identity decision"):
        content = _content(path)
        rows = _rows(path, content)
        header = rows[0] if rows else []
        missing = [column for column in COLUMNS if column not in header]
        if rows and missing:
            raise LifecycleError(
                f"the decisions file has no column {', '.join(missing)}",
                where=str(path),
                remedy="Write the first line as docs/explaining.md shows it, with commas between the names.",
            )
        written = _made(left, right, decision, _moment(rows, left, right, now), decided_by, reason)
        _append(path, content, header, written)
    return written


def _made(left: Record, right: Record, decision: str, decided_at: str, decided_by: str, reason: str) -> Decision:
    """A decision with its id: ``d_`` and a hash of everything else."""
    said = (
        left.source_system,
        left.record_table,
        left.record_id,
        right.source_system,
        right.record_table,
        right.record_id,
        decision,
        decided_at,
        decided_by,
        reason,
    )
    decision_id = "d_" + hashlib.sha256("\x1f".join(said).encode()).hexdigest()[:12]
    return Decision(decision_id, left, right, decision, decided_at, decided_by, reason)


def _moment(rows: list[list[str]], left: Record, right: Record, now: datetime) -> str:
    """Now, but after every other decision on the pair: the latest holds, and two may be taken in one second."""
    moment = now.astimezone(UTC).replace(microsecond=0, tzinfo=None)
    earlier = [one.decided_at for one in _decisions(rows) if one.pair == {left, right}]
    for text in earlier:
        try:
            moment = max(moment, datetime.fromisoformat(text).replace(tzinfo=None) + timedelta(seconds=1))
        except ValueError:
            # Written by hand in a form of its own; intake says what it thinks of it.
            continue
    return moment.strftime(_TIME)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise LifecycleError(
            f"the decisions file cannot be read: {error.strerror or error}",
            where=str(path),
            remedy="Look at its rights, or name another with identity.decisions_file in lifecycle.yml.",
        ) from error


def _rows(path: Path, content: bytes) -> list[list[str]]:
    """The file's lines as fields, the header first, empty lines left out."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise LifecycleError(
            "the decisions file is not UTF-8 text", where=f"{path}, line {line}", remedy="Save it as UTF-8."
        ) from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return [row for row in reader if row]
    except csv.Error as error:
        raise LifecycleError(
            f"the decisions file is no valid CSV: {error}",
            where=f"{path}, line {reader.line_num}",
            remedy="Mend the quotes there; a quote inside a quoted text is written twice.",
        ) from None


def _decisions(rows: list[list[str]]) -> list[Decision]:
    found = []
    for row in rows[1:]:
        line = dict(zip(rows[0], (field.strip() for field in row), strict=False))
        left, right = (
            Record(*(line.get(f"{side}_{part}", "") for part in ("source_system", "record_table", "record_id")))
            for side in ("left", "right")
        )
        said = (line.get(column, "") for column in ("decision", "decided_at", "decided_by", "reason"))
        found.append(Decision(line.get("decision_id", ""), left, right, *said))
    return found


def _append(path: Path, content: bytes, header: list[str], decision: Decision) -> None:
    """Write what was there, a missing end of line, and the decision in the file's own order of columns.

    Without a ``header`` the file is new, or holds nothing.
    """
    line = {
        "decision_id": decision.decision_id,
        "decision": decision.decision,
        "decided_at": decision.decided_at,
        "decided_by": decision.decided_by,
        "reason": decision.reason,
    }
    for side, record in (("left", decision.left), ("right", decision.right)):
        line |= {
            f"{side}_source_system": record.source_system,
            f"{side}_record_table": record.record_table,
            f"{side}_record_id": record.record_id,
        }
    ending = "\r\n" if b"\r\n" in content else "\n"
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, header or COLUMNS, restval="", lineterminator=ending)
    if not header:
        content = b""
        writer.writeheader()
    elif not content.endswith(b"\n"):
        text.write(ending)
    writer.writerow(line)
    target = path.resolve()
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            file.write(content + text.getvalue().encode())
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, draft)
        draft.replace(target)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise LifecycleError(
            f"the decision could not be written: {error.strerror or error}",
            where=str(path),
            remedy="Nothing was changed. Make room or mend the rights of the folder, then decide again.",
        ) from error
