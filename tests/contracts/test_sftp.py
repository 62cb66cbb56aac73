"""Lists on an SFTP server, against an SSH server in this process whose users are locked into one folder."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import asyncssh
import pytest
from pydantic import SecretStr, ValidationError

from lifecycle.errors import LifecycleError
from lifecycle.publishing.destinations.sftp import SftpDestination
from lifecycle.publishing.destinations.snapshots import SnapshotDestination
from lifecycle.settings import Settings, Source
from lifecycle.warehouse import Warehouse
from tests.contracts.snapshot_contract import SECRET, SYNC, SnapshotContract

HOST_KEY = asyncssh.generate_private_key("ssh-ed25519")
USER_KEY = asyncssh.generate_private_key("ssh-ed25519")
FOLDER = "drop/lists"


def public(key: asyncssh.SSHKey) -> str:
    return key.export_public_key().decode().strip()


class Server:
    """An SSH server in a thread of its own. ``faults`` are what its disk or its line does wrong next."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.faults: list[str] = []
        self.synced = 0
        self.tells_links = True
        self.logins: list[str] = []
        self._started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._started.wait(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._started.set()
        self._loop.run_forever()

    async def _listen(self) -> None:
        server = self

        class Gate(asyncssh.SSHServer):
            def begin_auth(self, username: str) -> bool:
                server.logins.append(username)
                return True

            def password_auth_supported(self) -> bool:
                return True

            def validate_password(self, username: str, password: str) -> bool:
                return (username, password) == ("lifecycle", SECRET)

            def public_key_auth_supported(self) -> bool:
                return True

            def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
                return username == "lifecycle" and key.public_data == USER_KEY.public_data

        class Disk(asyncssh.SFTPServer):
            def __init__(self, channel: asyncssh.SSHServerChannel[bytes]) -> None:
                super().__init__(channel, chroot=str(server.root).encode())

            def fault(self, name: str) -> bool:
                if name in server.faults:
                    server.faults.remove(name)
                    return True
                return False

            def write(self, file_obj: object, offset: int, data: bytes) -> Any:
                if self.fault("full"):
                    raise OSError(errno.ENOSPC, "No space left on device")
                if self.fault("cut"):
                    self.connection.abort()
                return super().write(file_obj, offset, data[:-1] if self.fault("short") else data)

            def fsync(self, file_obj: object) -> None:
                if "no fsync" in server.faults:
                    raise asyncssh.SFTPOpUnsupported("no fsync here")
                server.synced += 1
                os.fsync(file_obj.fileno())  # type: ignore[attr-defined]

            def rename(self, oldpath: bytes, newpath: bytes) -> None:
                if self.fault("cut before rename"):
                    self.connection.abort()
                    raise asyncssh.SFTPConnectionLost("gone")
                super().rename(oldpath, newpath)

            def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
                if "no posix-rename" in server.faults:
                    raise asyncssh.SFTPOpUnsupported("no posix-rename here")
                if self.fault("cut before swap"):
                    self.connection.abort()
                    raise asyncssh.SFTPConnectionLost("gone")
                super().posix_rename(oldpath, newpath)

            def readlink(self, path: bytes) -> Any:
                # As OpenSSH tells it; asyncssh resolves, and from the folder that this process works in.
                return (
                    os.fsencode(Path(os.fsdecode(self.map_path(path))).readlink())
                    if server.tells_links
                    else super().readlink(path)
                )

            def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
                if "read only" in server.faults:
                    raise asyncssh.SFTPPermissionDenied("not yours")
                super().mkdir(path, attrs)

        self._server = await asyncssh.listen(
            "127.0.0.1", 0, server_factory=Gate, sftp_factory=Disk, server_host_keys=[HOST_KEY]
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def destination(self, **changes: Any) -> SftpDestination:
        given: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": self.port,
            "username": "lifecycle",
            "host_key": public(HOST_KEY),
            "path": FOLDER,
            "password": SecretStr(SECRET),
            "timeout": 10.0,
        }
        return SftpDestination("drop", **(given | changes))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    root = tmp_path / "root"
    (root / "drop").mkdir(parents=True)
    server = Server(root)
    yield server
    server.close()


class SftpLists(SnapshotContract):
    path: ClassVar[str] = FOLDER

    @pytest.fixture(autouse=True)
    def _server(self, server: Server) -> None:
        self.server = server
        self.folder = server.root / self.path.lstrip("/")

    def make_destination(self) -> SnapshotDestination:
        return self.server.destination(path=self.path)

    def seen(self, sync_name: str = SYNC) -> dict[str, bytes] | None:
        folder = self.folder / sync_name
        return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else None

    def everything(self) -> set[str]:
        return {str(path.relative_to(self.server.root)) for path in self.server.root.rglob("*")}

    def kept(self) -> set[str]:
        return {path.name for path in (self.folder / ".deliveries" / SYNC).iterdir()}

    def lose(self, file: str) -> None:
        (self.folder / SYNC / file).unlink()

    def occupy(self) -> None:
        (self.folder / SYNC).mkdir(parents=True)
        (self.folder / SYNC / "members.csv").write_text("mine")


class TestSftpWithAnAbsolutePath(SftpLists):
    path = "/drop"


class TestSftpOnAServerThatTellsLinksOtherwise(SftpLists):
    @pytest.fixture(autouse=True)
    def _other(self, server: Server) -> None:
        server.tells_links = False


class TestSftp(SftpLists):
    def test_the_list_is_a_link_that_holds_wherever_its_reader_begins(
        self, destination: SftpDestination, warehouse: Warehouse
    ) -> None:
        self.deliver(destination, warehouse, "run-000001", "c1")
        link = self.folder / SYNC
        assert link.is_symlink() and str(link.readlink()) == f".deliveries/{SYNC}/run-000001"

    def test_every_file_is_flushed_to_the_disk_and_closed_to_others(
        self, destination: SftpDestination, warehouse: Warehouse
    ) -> None:
        self.deliver(destination, warehouse, "run-000001", "c1")
        assert self.server.synced == 4
        folder = (self.folder / SYNC).resolve()
        assert {path.stat().st_mode & 0o007 for path in (folder, *folder.iterdir())} == {0}

    def test_a_server_that_cannot_flush_is_good_enough(
        self, destination: SftpDestination, warehouse: Warehouse
    ) -> None:
        self.server.faults = ["no fsync"]
        assert self.deliver(destination, warehouse, "run-000001", "c1").member_count == 1
        assert self.server.synced == 0

    @pytest.mark.parametrize("fault", ["cut", "cut before rename", "cut before swap"])
    @pytest.mark.parametrize("is_first", [True, False])
    def test_a_line_that_is_cut_leaves_the_last_list_and_the_next_delivery_ends_with_the_exact_one(
        self, destination: SftpDestination, warehouse: Warehouse, fault: str, is_first: bool
    ) -> None:
        if not is_first:
            self.deliver(destination, warehouse, "run-000001", "c1")
        before = self.seen()
        self.server.faults = [fault]
        with pytest.raises(LifecycleError, match=r"line was lost|server refuses") as raised:
            self.deliver(destination, warehouse, "run-000002", "c2")
        assert raised.value.remedy and self.server.faults == []
        assert self.seen() == before
        assert self.deliver(destination, warehouse, "run-000002", "c2").key == "run-000002"
        assert self.members() == ["c2"]
        assert not [name for name in self.everything() if ".uploading." in name or name.endswith(".next")]

    def test_what_a_kill_at_any_moment_leaves_does_no_harm(
        self, destination: SftpDestination, warehouse: Warehouse
    ) -> None:
        self.deliver(destination, warehouse, "run-000001", "c1")
        deliveries = self.folder / ".deliveries" / SYNC
        for half in (".uploading.run-000002", ".uploading.run-000000", "run-000002"):
            (deliveries / half).mkdir()
            (deliveries / half / "members.csv").write_text("half")
        (self.folder / f".{SYNC}.next").symlink_to(f".deliveries/{SYNC}/run-000002")
        found = destination.read_back(SYNC)
        assert found is not None and found.key == "run-000001"
        assert self.deliver(destination, warehouse, "run-000002", "c2").key == "run-000002"
        assert self.members() == ["c2"]
        assert self.kept() == {"run-000001", "run-000002"}

    def test_a_link_whose_delivery_was_removed_is_led_to_the_next_one(
        self, destination: SftpDestination, warehouse: Warehouse
    ) -> None:
        self.deliver(destination, warehouse, "run-000001", "c1")
        shutil.rmtree(self.folder / ".deliveries" / SYNC)
        assert destination.read_back(SYNC) is None
        assert self.deliver(destination, warehouse, "run-000002", "c2").key == "run-000002"
        assert self.members() == ["c2"]

    def test_a_link_to_somewhere_else_is_not_overwritten(self, destination: SftpDestination) -> None:
        elsewhere = self.server.root / "elsewhere"
        elsewhere.mkdir()
        self.folder.mkdir()
        (self.folder / SYNC).symlink_to(elsewhere)
        with pytest.raises(LifecycleError, match="no delivery has put there"):
            destination.ensure_list(SYNC)
        assert (self.folder / SYNC).readlink() == elsewhere

    def test_a_full_disk_is_told_and_the_last_list_stays(
        self, destination: SftpDestination, warehouse: Warehouse
    ) -> None:
        self.deliver(destination, warehouse, "run-000001", "c1")
        self.server.faults = ["full"]
        with pytest.raises(LifecycleError, match="server refuses") as raised:
            self.deliver(destination, warehouse, "run-000002", "c2")
        assert "disk is full" in raised.value.remedy
        assert self.members() == ["c1"]

    def test_a_file_that_arrives_shorter_is_never_linked_to(
        self, destination: SftpDestination, warehouse: Warehouse
    ) -> None:
        self.deliver(destination, warehouse, "run-000001", "c1")
        self.server.faults = ["short"]
        with pytest.raises(LifecycleError, match="as it was sent"):
            self.deliver(destination, warehouse, "run-000002", "c2")
        assert self.members() == ["c1"]

    def test_a_user_who_may_not_write_is_told(self, destination: SftpDestination) -> None:
        self.server.faults = ["read only"]
        with pytest.raises(LifecycleError, match="may not write") as raised:
            destination.ensure_list(SYNC)
        assert raised.value.remedy

    def test_a_server_that_cannot_swap_in_one_step_is_refused(
        self, destination: SftpDestination, warehouse: Warehouse
    ) -> None:
        self.server.faults = ["no posix-rename"]
        with pytest.raises(LifecycleError, match="in one step") as raised:
            self.deliver(destination, warehouse, "run-000001", "c1")
        assert raised.value.remedy
        assert self.seen() is None

    def test_a_file_that_was_changed_on_the_server_is_no_list_to_go_on_from(
        self, destination: SftpDestination, warehouse: Warehouse
    ) -> None:
        self.deliver(destination, warehouse, "run-000001", "c1")
        path = self.folder / SYNC / "members.parquet"
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        receipt = destination.read_back(SYNC)
        assert receipt is not None
        with pytest.raises(LifecycleError, match="not the one that was delivered"):
            _ = receipt.members

    def test_a_folder_that_is_a_file_is_told(self) -> None:
        (self.server.root / "drop" / "file").write_text("x")
        health = self.server.destination(path="drop/file").check()
        assert not health.is_ready and "no folder" in health.problem and health.remedy

    def test_a_server_that_shows_another_key_is_not_spoken_to(self, warehouse: Warehouse) -> None:
        stranger = self.server.destination(host_key=public(asyncssh.generate_private_key("ssh-ed25519")))
        health = stranger.check()
        assert not health.is_ready and "another key" in health.problem and health.remedy
        with pytest.raises(LifecycleError, match="another key"):
            self.deliver(stranger, warehouse, "run-000001", "c1")
        assert self.server.logins == []

    @pytest.mark.parametrize(
        "login", [{"password": SecretStr("another-secret")}, {"username": "somebody"}], ids=["password", "user"]
    )
    def test_bad_credentials_are_told_with_what_to_do(self, warehouse: Warehouse, login: dict[str, Any]) -> None:
        destination = self.server.destination(**login)
        health = destination.check()
        assert not health.is_ready and "refuses the credentials" in health.problem and health.remedy
        with pytest.raises(LifecycleError, match="refuses the credentials") as raised:
            self.deliver(destination, warehouse, "run-000001", "c1")
        for value in (SECRET, "another-secret"):
            assert value not in f"{health} {raised.value} {destination!r}"

    @pytest.mark.parametrize("passphrase", [None, "open sesame"])
    def test_a_private_key_opens_too(self, passphrase: str | None) -> None:
        text = USER_KEY.export_private_key("pkcs8-pem", passphrase=passphrase).decode()
        given = {"password": None, "private_key": SecretStr(text)}
        locked = SecretStr(passphrase) if passphrase else None
        destination = self.server.destination(**given, passphrase=locked)
        assert destination.check().is_ready
        assert text not in repr(destination)
        other = asyncssh.generate_private_key("ssh-ed25519").export_private_key("openssh").decode()
        health = self.server.destination(password=None, private_key=SecretStr(other)).check()
        assert not health.is_ready and "refuses the credentials" in health.problem
        if passphrase:
            health = self.server.destination(**given, passphrase=SecretStr("wrong")).check()
            assert not health.is_ready and "passphrase" in health.problem

    def test_the_keys_and_settings_of_this_machines_user_are_not_used(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        home = tmp_path / "home" / ".ssh"
        home.mkdir(parents=True)
        USER_KEY.write_private_key(str(home / "id_ed25519"), "openssh")
        (home / "known_hosts").write_text(f"[127.0.0.1]:{self.server.port} {public(HOST_KEY)}\n")
        monkeypatch.setenv("HOME", str(home.parent))
        assert not self.server.destination(password=SecretStr("wrong")).check().is_ready
        stranger = public(asyncssh.generate_private_key("ssh-ed25519"))
        assert "another key" in self.server.destination(host_key=stranger).check().problem

    @pytest.mark.parametrize("text", ["", "ssh-ed25519", "ssh-ed25519 AAAA", "SHA256:abc"])
    def test_a_host_key_that_is_none_is_told(self, text: str) -> None:
        health = self.server.destination(host_key=text).check()
        assert not health.is_ready and "host_key" in health.problem and health.remedy

    def test_a_server_that_is_not_there_is_told(self) -> None:
        with contextlib.closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        health = self.server.destination(port=port).check()
        assert not health.is_ready and "cannot be reached" in health.problem and health.remedy

    def test_a_missing_package_is_told_with_how_to_install_it(
        self, destination: SftpDestination, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "asyncssh", None)
        health = destination.check()
        assert not health.is_ready and "pip install lifecycle[sftp]" in health.remedy


def options(**given: Any) -> SftpDestination.Options:
    return SftpDestination.Options.model_validate(
        {"host": "sftp.example.com", "username": "lifecycle", "host_key": public(HOST_KEY), **given}
    )


def test_without_a_host_key_or_something_to_log_in_with_there_is_no_destination(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="nothing to log in with"):
        options()
    with pytest.raises(ValidationError, match="host_key"):
        SftpDestination.Options.model_validate({"host": "x", "username": "y", "password": SECRET})
    settings = Settings(
        project="small",
        sources=[Source(name="shop", table="contacts", path="none.csv")],
        config_file=tmp_path / "lifecycle.yml",
    )
    made = SftpDestination.from_options("drop", options(password=SECRET, path="/lists/"), settings)
    assert (made.path, made.port) == ("/lists", 22)
    assert SECRET not in repr(made)
