"""Lists as files in a folder.

Belongs here: swapping and reading back one folder per sync.
Does not belong here: what the files of a delivery are (``delivery_files.py``) and what is in the list.

``<path>/<sync>`` is a symlink to ``<path>/.deliveries/<sync>/<key>``, so that a reader who opens the folder has one
whole delivery.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from lifecycle.errors import LifecycleError
from lifecycle.publishing.destinations import Health
from lifecycle.publishing.destinations.delivery_files import (
    FILES,
    KEPT,
    MANIFEST,
    MEMBERS,
    read_manifest,
    write_delivery,
)
from lifecycle.publishing.destinations.snapshots import Receipt, Snapshot, SnapshotCapabilities
from lifecycle.settings import Part, Settings


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
        building, target = deliveries / f".building.{key}", deliveries / key
        try:
            deliveries.mkdir(parents=True, exist_ok=True, mode=0o750)
            for leftover in deliveries.glob(".*"):
                shutil.rmtree(leftover)
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
            manifest = read_manifest((folder / MANIFEST).read_bytes())
            if manifest is None or any((folder / name).stat().st_size != manifest.size(name) for name in FILES):
                return None
        except OSError:
            return None
        return Receipt(manifest.key, manifest.member_count, folder / MEMBERS)

    def _deliveries(self, sync_name: str) -> Path:
        return self.folder / ".deliveries" / sync_name

    def _write(self, folder: Path, sync_name: str, snapshot: Snapshot, key: str) -> None:
        write_delivery(folder, sync_name, snapshot, key)
        for path in (*folder.iterdir(), folder):
            _fsync(path)

    def _prune(self, sync_name: str, key: str) -> None:
        others = [path for path in self._deliveries(sync_name).iterdir() if path.name != key]
        newest_first = sorted(others, key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)
        for stale in newest_first[KEPT - 1 :]:
            shutil.rmtree(stale)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
