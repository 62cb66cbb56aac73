"""Where a company's state lives on disk, and who may change it.

Belongs here: the paths under ``state_dir`` and the lock of a run. Nothing else builds such a path.
Does not belong here: reading or writing what the files contain.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from lifecycle.errors import LockedError


@dataclass(frozen=True)
class State:
    """The folder that holds everything a project makes (``.lifecycle`` beside its ``lifecycle.yml``)."""

    root: Path

    @property
    def warehouse(self) -> Path:
        """The build file: private, replaced by nobody, read by no BI tool."""
        return self.root / "warehouse.duckdb"

    @property
    def ledger(self) -> Path:
        """What was delivered where; a file of its own, so that a long delivery never holds the warehouse."""
        return self.root / "ledger.duckdb"

    @property
    def spill(self) -> Path:
        """Where DuckDB puts what does not fit into its memory limit."""
        return self.root / "spill"

    @property
    def serving(self) -> Path:
        return self.root / "serving"

    @property
    def dagster(self) -> Path:
        return self.root / "dagster"

    @property
    def dbt(self) -> Path:
        """dbt's target folder of this project's runs."""
        return self.root / "dbt"

    @property
    def data_docs(self) -> Path:
        """Pages that show what the gates of each run found."""
        return self.root / "data_docs"

    @property
    def lock(self) -> Path:
        return self.root / "run.lock"

    @property
    def hash_key_file(self) -> Path:
        return self.root / "hash.key"

    def scratch(self, as_of: date) -> State:
        """The state in which a past day is built, away from the one that is published and delivered."""
        return State(self.root / "scratch" / as_of.isoformat())

    @property
    def comparison(self) -> State:
        """The state in which versions of the rules are built to be compared, one comparison at a time."""
        return State(self.root / "scratch" / "comparison")

    def make(self) -> State:
        for folder in (self.root, self.spill, self.serving, self.dagster, self.dbt):
            folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        return self

    def hash_key(self, from_environment: str | None = None) -> bytes:
        """The secret of all keyed hashes: from the environment, else one made once and kept beside the data."""
        if from_environment:
            return from_environment.encode()
        if not self.hash_key_file.exists():
            self.root.mkdir(parents=True, exist_ok=True, mode=0o750)
            draft = self.root / f"hash.key.{os.getpid()}.{secrets.token_hex(4)}"
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32))
            # Of two processes that start together one wins, and nobody reads a half-written key.
            with suppress(FileExistsError):
                os.link(draft, self.hash_key_file)
            draft.unlink()
        return self.hash_key_file.read_text().strip().encode()


_held: dict[Path, int] = {}
"""Locks that this process holds, with how often: a run takes its lock once and its steps take it again."""


def lock_holder(state: State) -> dict[str, str]:
    """Who wrote the lock file last: run, pid, host, since. Empty when nobody ever did."""
    try:
        holder: dict[str, str] = json.loads(state.lock.read_text() or "{}")
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return holder


@contextmanager
def run_lock(state: State, run_id: str, *, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold the state for one run; the operating system frees it when the process ends, however it ends.

    Re-entrant within a process. Raises LockedError, naming the holder, when the lock is not free after
    ``wait_seconds``.
    """
    path = state.lock.resolve()
    if _held.get(path):
        _held[path] += 1
        try:
            yield
        finally:
            _held[path] -= 1
        return
    state.make()
    with path.open("a+") as file:
        deadline = time.monotonic() + wait_seconds
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise _locked(state) from None
                time.sleep(0.2)
        file.truncate(0)
        json.dump(
            {
                "run_id": run_id,
                "pid": str(os.getpid()),
                "host": socket.gethostname(),
                "since": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
            },
            file,
        )
        file.flush()
        _held[path] = 1
        try:
            yield
        finally:
            del _held[path]


def _locked(state: State) -> LockedError:
    holder = lock_holder(state)
    who = (
        f"run {holder['run_id']} (process {holder['pid']} on {holder['host']}, since {holder['since']})"
        if {"run_id", "pid", "host", "since"} <= holder.keys()
        else "another process"
    )
    return LockedError(
        f"{who} is working on this state",
        where=str(state.root),
        remedy="Wait until it has ended, or stop it; two runs never share one state folder.",
    )
