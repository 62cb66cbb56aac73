"""Lists as files in a folder keep what every place of whole lists promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from lifecycle.publishing.destinations.files import FilesDestination
from lifecycle.publishing.destinations.snapshots import SnapshotDestination
from tests.contracts.snapshot_contract import SYNC, SnapshotContract


class TestFiles(SnapshotContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "out"
        self.folder.mkdir()

    def make_destination(self) -> SnapshotDestination:
        return FilesDestination("drop", self.folder)

    def seen(self, sync_name: str = SYNC) -> dict[str, bytes] | None:
        folder = self.folder / sync_name
        return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else None

    def everything(self) -> set[str]:
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*")}

    def kept(self) -> set[str]:
        return {path.name for path in (self.folder / ".deliveries" / SYNC).iterdir()}

    def lose(self, file: str) -> None:
        (self.folder / SYNC / file).unlink()

    def occupy(self) -> None:
        (self.folder / SYNC).mkdir()
        (self.folder / SYNC / "members.csv").write_text("mine")
