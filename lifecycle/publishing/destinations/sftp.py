"""Lists as files on an SFTP server.

Belongs here: uploading, swapping and reading back one folder per sync.
Does not belong here: what the files of a delivery are (``delivery_files.py``) and what is in the list.

``<path>/<sync>`` is a symlink to ``<path>/.deliveries/<sync>/<key>``, as with files in a folder of this machine. A
delivery is uploaded beside it, renamed when it is whole, and the link swapped in one step
(``posix-rename@openssh.com``). The server has to show the key that the settings name: nothing is trusted on first use.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import posixpath
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pydantic import SecretStr, model_validator

from lifecycle.errors import LifecycleError
from lifecycle.publishing.destinations import Health
from lifecycle.publishing.destinations.delivery_files import (
    FILES,
    KEPT,
    MANIFEST,
    MEMBERS,
    Downloads,
    Manifest,
    RemoteReceipt,
    read_manifest,
    sha256_of,
    write_delivery,
)
from lifecycle.publishing.destinations.snapshots import Receipt, Snapshot, SnapshotCapabilities
from lifecycle.settings import Part, Settings

if TYPE_CHECKING:
    from asyncssh import SFTPClient

T = TypeVar("T")

CHUNK = 2**20
"""Bytes that are read and sent at a time."""
UPLOADING = ".uploading."
"""How the folder of a delivery is called that is not whole yet."""


@dataclass(frozen=True)
class SftpDestination:
    name: str
    host: str
    username: str
    host_key: str
    path: str = "."
    port: int = 22
    password: SecretStr | None = None
    private_key: SecretStr | None = None
    passphrase: SecretStr | None = None
    timeout: float = 30.0
    _downloads: Downloads = field(default_factory=Downloads, repr=False, compare=False)

    vendor: ClassVar[str] = "SFTP server"
    encoder: ClassVar[str] = "sftp.v1"

    class Options(Part):
        # A message about a wrong setting shows what was set, and that may be the secret.

        host: str
        """The server's name."""
        port: int = 22
        """The server's port."""
        username: str
        """Who delivers."""
        host_key: str
        """The server's public key, as its operator tells it: ``ssh-ed25519 AAAA…``."""
        path: str = "."
        """The folder, absolute or below the one that the user starts in."""
        password: SecretStr | None = None
        """The user's password."""
        private_key: SecretStr | None = None
        """In place of a password: the text of a private key (OpenSSH or PEM)."""
        passphrase: SecretStr | None = None
        """What the private key is locked with, if it is."""
        timeout: float = 30.0
        """Seconds that the server may take to answer."""

        @model_validator(mode="after")
        def _there_is_something_to_log_in_with(self) -> SftpDestination.Options:
            if self.password is None and self.private_key is None:
                raise ValueError("there is nothing to log in with: set password or private_key")
            return self

    @classmethod
    def from_options(cls, name: str, options: Options, settings: Settings) -> SftpDestination:
        return cls(
            name,
            options.host,
            options.username,
            options.host_key,
            posixpath.normpath(options.path),
            options.port,
            options.password,
            options.private_key,
            options.passphrase,
            options.timeout,
        )

    @property
    def capabilities(self) -> SnapshotCapabilities:
        return SnapshotCapabilities(identifiers=frozenset({"contact_id", "email", "phone"}))

    def check(self) -> Health:
        async def look(sftp: SFTPClient) -> str | None:
            nearest = self.path
            while not await sftp.exists(nearest) and nearest not in ("", ".", "/"):
                nearest = posixpath.dirname(nearest)
            return None if await sftp.isdir(nearest or ".") else nearest

        try:
            found = self._do(look, self._place())
        except LifecycleError as error:
            return Health(False, error.problem, error.remedy)
        if found is not None:
            return Health(False, f"{found} is no folder of the server", "Mend `path:`.")
        return Health(True)

    def ensure_list(self, sync_name: str) -> None:
        async def ensure(sftp: SFTPClient) -> bool:
            link = self._at(sync_name)
            if await sftp.lexists(link):
                return await sftp.islink(link) and await self._is_ours(sftp, sync_name)
            await sftp.makedirs(self._deliveries(sync_name), exist_ok=True)
            return True

        if not self._do(ensure, self._place(sync_name)):
            raise LifecycleError(
                "there is something that no delivery has put there",
                where=self._place(sync_name),
                remedy="Move it away, or give the sync another `name:`.",
            )

    def send(self, sync_name: str, snapshot: Snapshot, key: str) -> Receipt:
        import duckdb

        receipt = self.read_back(sync_name)
        if receipt is not None and receipt.key == key:
            return receipt
        place = self._place(sync_name)
        try:
            with tempfile.TemporaryDirectory(prefix="lifecycle-") as name:
                folder = Path(name)
                write_delivery(folder, sync_name, snapshot, key)
                self._do(lambda sftp: self._deliver(sftp, folder, sync_name, key), place)
        except (OSError, duckdb.Error) as error:
            raise LifecycleError(
                f"the list could not be written: {str(error).splitlines()[0]}",
                where=place,
                remedy="The last delivery stays. Make room or mend the cause, then publish again: it is resumed.",
            ) from error
        finally:
            self._downloads.clear()
        receipt = self.read_back(sync_name)
        if receipt is None:
            raise LifecycleError("the list vanished while it was delivered", where=place)
        return receipt

    def read_back(self, sync_name: str) -> Receipt | None:
        async def read(sftp: SFTPClient) -> Manifest | None:
            manifest = await self._manifest(sftp, sync_name) if await sftp.islink(self._at(sync_name)) else None
            if manifest is None:
                return None
            folder = posixpath.join(self._deliveries(sync_name), manifest.key)
            try:
                sizes = {name: await sftp.getsize(posixpath.join(folder, name)) for name in FILES}
            except _asyncssh(self.name).SFTPNoSuchFile:
                return None
            return manifest if all(sizes[name] == manifest.size(name) for name in FILES) else None

        manifest = self._do(read, self._place(sync_name))
        if manifest is None:
            return None
        return RemoteReceipt(manifest.key, manifest.member_count, lambda: self._fetched(sync_name, manifest))

    def _at(self, *parts: str) -> str:
        return posixpath.join(self.path, *parts)

    def _place(self, *parts: str) -> str:
        return f"sftp://{self.host}:{self.port}/{self._at(*parts).lstrip('/')}"

    def _deliveries(self, sync_name: str) -> str:
        return self._at(".deliveries", sync_name)

    def _target(self, sync_name: str, key: str = "") -> str:
        """What the link says: relative, so that it holds wherever the server lets its users begin."""
        return posixpath.join(".deliveries", sync_name, key)

    async def _manifest(self, sftp: SFTPClient, sync_name: str) -> Manifest | None:
        """What the link shows. The link itself is not asked: servers differ in how they tell where one leads."""
        try:
            async with sftp.open(self._at(sync_name, MANIFEST), "rb") as file:
                return read_manifest(await file.read())
        except _asyncssh(self.name).SFTPNoSuchFile:
            return None

    async def _is_ours(self, sftp: SFTPClient, sync_name: str) -> bool:
        manifest = await self._manifest(sftp, sync_name)
        if manifest is not None:
            return manifest.sync_name == sync_name
        with contextlib.suppress(_asyncssh(self.name).SFTPError):
            return self._target(sync_name) in _text(await sftp.readlink(self._at(sync_name)))
        return False

    async def _deliver(self, sftp: SFTPClient, folder: Path, sync_name: str, key: str) -> None:
        asyncssh = _asyncssh(self.name)
        deliveries = self._deliveries(sync_name)
        uploading, target = posixpath.join(deliveries, f"{UPLOADING}{key}"), posixpath.join(deliveries, key)
        await sftp.makedirs(deliveries, exist_ok=True)
        for name in await sftp.listdir(deliveries):
            if _text(name).startswith(UPLOADING):
                await sftp.rmtree(posixpath.join(deliveries, _text(name)))
        await sftp.mkdir(uploading, asyncssh.SFTPAttrs(permissions=0o750))
        for file in (*FILES, MANIFEST):
            await self._upload(sftp, folder / file, posixpath.join(uploading, file))
        if await sftp.exists(target):
            # Uploaded by an attempt that was killed before the swap: nobody reads it yet.
            await sftp.rmtree(target)
        await sftp.rename(uploading, target)
        following = self._at(f".{sync_name}.next")
        if await sftp.lexists(following):
            await sftp.remove(following)
        await sftp.symlink(self._target(sync_name, key), following)
        await sftp.posix_rename(following, self._at(sync_name))
        await self._prune(sftp, deliveries, key)

    async def _upload(self, sftp: SFTPClient, path: Path, remote: str) -> None:
        asyncssh = _asyncssh(self.name)
        async with sftp.open(remote, "wb", asyncssh.SFTPAttrs(permissions=0o640)) as file:
            with path.open("rb") as source:
                while chunk := source.read(CHUNK):
                    await file.write(chunk)
            # Not every server offers to flush to its disk.
            with contextlib.suppress(asyncssh.SFTPOpUnsupported):
                await file.fsync()
        if await sftp.getsize(remote) != path.stat().st_size:
            raise LifecycleError(
                f"the server does not hold {path.name} as it was sent",
                where=self._place(),
                remedy="The last delivery stays. See whether the server's disk is full, then publish again.",
            )

    async def _prune(self, sftp: SFTPClient, deliveries: str, key: str) -> None:
        others = []
        async for entry in sftp.scandir(deliveries):
            name = _text(entry.filename)
            if name not in (".", "..", key):
                others.append((entry.attrs.mtime or 0, name))
        for _, stale in sorted(others, reverse=True)[KEPT - 1 :]:
            await sftp.rmtree(posixpath.join(deliveries, stale))

    def _fetched(self, sync_name: str, manifest: Manifest) -> Path:
        path = self._downloads.path(manifest.key)
        remote = posixpath.join(self._deliveries(sync_name), manifest.key, MEMBERS)
        self._do(lambda sftp: sftp.get(remote, str(path)), self._place(sync_name))
        if sha256_of(path) != manifest.sha256(MEMBERS):
            raise LifecycleError(
                "the file is not the one that was delivered",
                where=self._place(sync_name),
                remedy="Remove this sync's link on the server; the next delivery writes the whole list.",
            )
        return path

    def _do(self, work: Callable[[SFTPClient], Awaitable[T]], place: str) -> T:
        """Log in, work, and log out; errors of the server as a person can mend them."""
        asyncssh = _asyncssh(self.name)
        options = self._login()

        async def connected() -> T:
            async with asyncssh.connect(self.host, self.port, **options) as line, line.start_sftp_client() as sftp:
                return await work(sftp)

        try:
            return asyncio.run(connected())
        except (OSError, asyncssh.Error) as error:
            problem, remedy = _said(asyncssh, error)
            raise LifecycleError(problem, where=place, remedy=remedy) from None

    def _login(self) -> dict[str, Any]:
        asyncssh = _asyncssh(self.name)
        where = f"destination '{self.name}'"
        try:
            trusted = asyncssh.import_public_key(self.host_key)
        except asyncssh.KeyImportError:
            raise LifecycleError(
                "`host_key:` is no public key",
                where=where,
                remedy="Write it as the server's operator tells it: `ssh-ed25519 AAAA…`.",
            ) from None
        keys = None
        if self.private_key is not None:
            passphrase = self.passphrase.get_secret_value() if self.passphrase else None
            try:
                keys = [asyncssh.import_private_key(self.private_key.get_secret_value(), passphrase)]
            except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
                raise LifecycleError(
                    "`private_key:` is no private key, or is locked with another passphrase",
                    where=where,
                    remedy="Give the text of an OpenSSH or PEM key, and `passphrase:` if it is locked.",
                ) from None
        return {
            "username": self.username,
            "password": self.password.get_secret_value() if self.password else None,
            "client_keys": keys,
            "known_hosts": ([trusted], [], []),
            "connect_timeout": self.timeout,
            "login_timeout": self.timeout,
            "keepalive_interval": self.timeout,
            # The settings say all there is: neither the user's SSH configuration nor an agent is asked.
            "config": None,
            "agent_path": None,
            "gss_host": None,
        }


def _asyncssh(name: str) -> Any:
    try:
        found = import_module("asyncssh")
    except ImportError as error:
        raise LifecycleError(
            "the package asyncssh is missing",
            where=f"destination '{name}'",
            remedy="Install it: `pip install lifecycle[sftp]`.",
        ) from error
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    return found


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _said(asyncssh: Any, error: Exception) -> tuple[str, str]:
    """What is wrong, and what to do."""
    again = "then publish again: it is resumed."
    known = (
        (
            asyncssh.HostKeyNotVerifiable,
            "the server shows another key than `host_key:`",
            "Somebody may stand between. Ask the server's operator for its key, and name that one.",
        ),
        (
            asyncssh.PermissionDenied,
            "the server refuses the credentials",
            f"Mend `username:` and the password or key, {again}",
        ),
        (
            asyncssh.SFTPOpUnsupported,
            "the server cannot swap a list in one step (symlinks, posix-rename@openssh.com)",
            "Use a server that can, OpenSSH for one, or another kind of destination.",
        ),
        (
            asyncssh.SFTPPermissionDenied,
            "the user may not write there",
            f"Mend the permissions of `path:`, {again}",
        ),
        (
            asyncssh.SFTPError,
            f"the server refuses ({type(error).__name__})",
            f"See whether its disk is full or a quota is reached, {again}",
        ),
        (asyncssh.Error, f"the line was lost ({type(error).__name__})", f"Look at the server and the network, {again}"),
        (
            OSError,
            f"the server cannot be reached ({type(error).__name__})",
            f"Look at `host:`, `port:` and the network, {again}",
        ),
    )
    return next((problem, remedy) for kind, problem, remedy in known if isinstance(error, kind))
