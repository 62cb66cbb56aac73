"""Lists as files in a folder: CSV for people, Parquet for programs, a manifest with counts and checksums.

Belongs here: writing, swapping and reading back one folder per sync.
Does not belong here: what is in the list.

``<path>/<sync>`` is a symlink to ``<path>/.deliveries/<sync>/<key>``, so that a reader who opens the folder has one
whole delivery. Members and changes of equal content are equal to the byte; the manifest alone carries times and ids.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lifecycle.errors import LifecycleError
from lifecycle.publishing.destinations import Health
from lifecycle.publishing.destinations.snapshots import Receipt, Snapshot, SnapshotCapabilities
from lifecycle.settings import Part, Settings
from lifecycle.warehouse import literal, quoted

if TYPE_CHECKING:
    from lifecycle.warehouse import Warehouse

KEPT = 3
"""Deliveries that stay on disk per sync."""

FORMULA = r"^[=+\-@\t\r\n＝＋－＠]"
"""How a cell begins that a spreadsheet would run (OWASP, CSV injection)."""
PHONE = r"^\+[0-9]+$"
"""A phone number in E.164 begins with a plus and can only be read as a number: it stays as it is."""


@dataclass(frozen=True)
class FilesDestination:
    name: str
    folder: Path

    vendor: ClassVar[str] = "Files in a folder"
    encoder: ClassVar[str] = "files.v1"

    class Options(Part):
        path: str
        """The folder, relative to the settings file."""

    @classmethod
    def from_options(cls, name: str, options: Options, settings: Settings) -> FilesDestination:
        return cls(name, settings.folder / options.path)

    @property
    def capabilities(self) -> SnapshotCapabilities:
        return SnapshotCapabilities(identifiers=frozenset({"contact_id", "email", "phone"}))

    def check(self) -> Health:
        nearest = self.folder
        while not nearest.exists() and nearest != nearest.parent:
            nearest = nearest.parent
        if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
            return Health(is_ready=True)
        return Health(False, f"{nearest} is no folder that can be written to", "Mend its permissions or `path:`.")

    def ensure_list(self, sync_name: str) -> None:
        link = self.folder / sync_name
        if link.is_symlink() and link.readlink().parent == Path(".deliveries") / sync_name:
            return
        if link.is_symlink() or link.exists():
            raise LifecycleError(
                "there is something that no delivery has put there",
                where=str(link),
                remedy="Move it away, or give the sync another `name:`.",
            )
        self._deliveries(sync_name).mkdir(parents=True, exist_ok=True, mode=0o750)

    def send(self, sync_name: str, snapshot: Snapshot, key: str) -> Receipt:
        import duckdb

        receipt = self.read_back(sync_name)
        if receipt is not None and receipt.key == key:
            return receipt
        deliveries = self._deliveries(sync_name)
        deliveries.mkdir(parents=True, exist_ok=True, mode=0o750)
        for leftover in deliveries.glob(".*"):
            shutil.rmtree(leftover)
        building, target = deliveries / f".building.{key}", deliveries / key
        try:
            building.mkdir(mode=0o750)
            self._write(building, sync_name, snapshot, key)
            if target.exists():
                # Written by an attempt that was killed before the swap: nobody reads it yet.
                shutil.rmtree(target)
            building.rename(target)
            _fsync(deliveries)
            temporary = self.folder / f".{sync_name}.next"
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(Path(".deliveries") / sync_name / key)
            temporary.replace(self.folder / sync_name)
            _fsync(self.folder)
        except (OSError, duckdb.Error) as error:
            shutil.rmtree(building, ignore_errors=True)
            raise LifecycleError(
                f"the list could not be written: {str(error).splitlines()[0]}",
                where=str(self.folder / sync_name),
                remedy="The last delivery stays. Make room or mend the cause, then publish again: it is resumed.",
            ) from error
        self._prune(sync_name, key)
        receipt = self.read_back(sync_name)
        if receipt is None:
            raise LifecycleError("the list vanished while it was delivered", where=str(self.folder / sync_name))
        return receipt

    def read_back(self, sync_name: str) -> Receipt | None:
        link = self.folder / sync_name
        if not link.is_symlink():
            return None
        folder = self.folder / link.readlink()
        try:
            manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
            sizes_agree = all(
                (folder / name).stat().st_size == written["bytes"] for name, written in manifest["files"].items()
            )
            if not sizes_agree:
                return None
            return Receipt(
                manifest["sync_run_id"], manifest["files"]["members.csv"]["rows"], folder / "members.parquet"
            )
        except (OSError, ValueError, KeyError):
            return None

    def _deliveries(self, sync_name: str) -> Path:
        return self.folder / ".deliveries" / sync_name

    def _write(self, folder: Path, sync_name: str, snapshot: Snapshot, key: str) -> None:
        warehouse = snapshot.warehouse
        members = folder / "members.parquet"
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
            "members.parquet": member_count,
            "changes.csv": warehouse.scalar(f"select count(*) from ({snapshot.changes_sql})"),
        }
        files: dict[str, dict[str, Any]] = {}
        for name, count in rows.items():
            path = folder / name
            path.chmod(0o640)
            files[name] = {"rows": count, "bytes": path.stat().st_size, "sha256": _sha256(path)}
        manifest = folder / "manifest.json"
        described = {
            "sync": sync_name,
            "sync_run_id": key,
            **snapshot.facts,
            "delivered_at": snapshot.delivered_at.replace(tzinfo=UTC).isoformat(),
            "files": files,
        }
        manifest.write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
        manifest.chmod(0o640)
        for path in (*folder.iterdir(), folder):
            _fsync(path)

    def _prune(self, sync_name: str, key: str) -> None:
        others = [path for path in self._deliveries(sync_name).iterdir() if path.name != key]
        newest_first = sorted(others, key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)
        for stale in newest_first[KEPT - 1 :]:
            shutil.rmtree(stale)


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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
