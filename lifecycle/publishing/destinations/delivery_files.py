"""The files of one delivery: CSV for people, Parquet for programs, a manifest with counts and checksums.

Belongs here: what is in the folder of a delivery, and what a manifest proves of it, wherever the folder lies.
Does not belong here: where deliveries are kept and how a list is swapped (``files.py``, ``s3.py``, ``sftp.py``).

Members and changes of equal content are equal to the byte; the manifest alone carries times and ids.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle.publishing.destinations.snapshots import Receipt
from lifecycle.warehouse import literal, quoted

if TYPE_CHECKING:
    from lifecycle.publishing.destinations.snapshots import Snapshot
    from lifecycle.warehouse import Warehouse

KEPT = 3
"""Deliveries that stay per sync, the current one among them."""
MEMBERS, MANIFEST = "members.parquet", "manifest.json"
FILES = ("members.csv", MEMBERS, "changes.csv")
"""The files that a manifest describes."""

FORMULA = r"^[=+\-@\t\r\n＝＋－＠]"
"""How a cell begins that a spreadsheet would run (OWASP, CSV injection)."""
PHONE = r"^\+[0-9]+$"
"""A phone number in E.164 begins with a plus and can only be read as a number: it stays as it is."""


@dataclass(frozen=True)
class Manifest:
    """What a delivery says of itself: its key, and rows, bytes and SHA-256 per file."""

    sync_name: str
    key: str
    files: dict[str, dict[str, Any]]

    @property
    def member_count(self) -> int:
        return int(self.files["members.csv"]["rows"])

    def size(self, name: str) -> int:
        return int(self.files[name]["bytes"])

    def sha256(self, name: str) -> str:
        return str(self.files[name]["sha256"])


def read_manifest(content: bytes | str) -> Manifest | None:
    """The manifest, or None where the text is not one that was written here."""
    try:
        found = json.loads(content)
        manifest = Manifest(found["sync"], found["sync_run_id"], {name: found["files"][name] for name in FILES})
        _ = manifest.member_count, [(manifest.size(name), manifest.sha256(name)) for name in FILES]
    except (ValueError, KeyError, TypeError):
        return None
    return manifest


def write_delivery(folder: Path, sync_name: str, snapshot: Snapshot, key: str) -> dict[str, Any]:
    """Write the files of a delivery into an empty folder, and give what stands in its manifest."""
    warehouse = snapshot.warehouse
    members = folder / MEMBERS
    warehouse.run(
        f"copy (select * from ({snapshot.members_sql}) order by customer_id) to {literal(str(members))}"
        " (format parquet, compression zstd)"
    )
    _write_csv(warehouse, f"select * from read_parquet({literal(str(members))})", folder / "members.csv")
    _write_csv(
        warehouse,
        f"select * from ({snapshot.changes_sql}) order by operation, customer_id",
        folder / "changes.csv",
    )
    member_count = warehouse.scalar(f"select count(*) from read_parquet({literal(str(members))})")
    rows = {
        "members.csv": member_count,
        MEMBERS: member_count,
        "changes.csv": warehouse.scalar(f"select count(*) from ({snapshot.changes_sql})"),
    }
    described = {
        "sync": sync_name,
        "sync_run_id": key,
        **snapshot.facts,
        "delivered_at": snapshot.delivered_at.replace(tzinfo=UTC).isoformat(),
        "files": {
            name: {"rows": rows[name], "bytes": (folder / name).stat().st_size, "sha256": sha256_of(folder / name)}
            for name in FILES
        },
    }
    (folder / MANIFEST).write_bytes(as_json(described))
    for path in folder.iterdir():
        path.chmod(0o640)
    return described


def as_json(described: dict[str, Any]) -> bytes:
    return (json.dumps(described, indent=2) + "\n").encode()


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_csv(warehouse: Warehouse, sql: str, path: Path) -> None:
    """A CSV whose text cells no spreadsheet runs as formulas; numbers, times and truth values are no text."""
    columns = warehouse.rows(f"describe {sql}")
    cells = []
    for name, kind, *_ in columns:
        cell = quoted(name)
        if kind.startswith(("VARCHAR", "ENUM")):
            harmless = f" and not regexp_matches({cell}, '{PHONE}')" if name == "phone" else ""
            cell = (
                f"case when regexp_matches({cell}, '{FORMULA}'){harmless} then '''' || {cell} else {cell} end as {cell}"
            )
        cells.append(cell)
    warehouse.run(f"copy (select {', '.join(cells)} from ({sql})) to {literal(str(path))} (format csv, header)")


class RemoteReceipt(Receipt):
    """A receipt of a place elsewhere: its list is fetched when somebody asks for it, and not before."""

    def __init__(self, key: str, member_count: int, fetch: Callable[[], Path]) -> None:
        object.__setattr__(self, "key", key)
        object.__setattr__(self, "member_count", member_count)
        object.__setattr__(self, "_fetch", fetch)

    def __repr__(self) -> str:
        return f"RemoteReceipt({self.key!r}, {self.member_count})"

    @cached_property
    def members(self) -> Path:
        fetch: Callable[[], Path] = self.__dict__["_fetch"]
        return fetch()


class Downloads:
    """Lists that were fetched from elsewhere, in a folder that this user alone can read, until they are let go."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def path(self, key: str) -> Path:
        """Where the list of a delivery is to be fetched to."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="lifecycle-")
        return Path(self._folder.name) / f"{key}.parquet"

    def clear(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
