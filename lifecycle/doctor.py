"""What would keep a run from working, looked for before it does.

Belongs here: looking, and saying what to do. Does not belong here: mending.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from lifecycle.errors import LifecycleError
from lifecycle.settings import Settings, load_settings

PACKAGES = ("dagster", "dagster-dbt", "dbt-core", "dbt-duckdb", "duckdb", "great-expectations", "pandas", "pyarrow")
LOW_DISK_BYTES = 5_000_000_000


@dataclass(frozen=True)
class Finding:
    level: Literal["ok", "warning", "error"]
    subject: str
    message: str
    remedy: str = ""


def examine(config: Path | None) -> Iterator[Finding]:
    """Everything looked at, one finding each, in the order in which a run needs it."""
    yield _python()
    yield from _packages()
    try:
        settings = load_settings(config)
    except LifecycleError as error:
        yield Finding(
            "error", "settings", f"{error.where}: {error.problem}" if error.where else error.problem, error.remedy
        )
        return
    yield Finding("ok", "settings", str(settings.config_file))
    yield _rules()
    yield from _files(settings)
    yield _disk(settings)
    yield _lock(settings)
    yield from _warehouse(settings)
    yield _publication(settings)
    yield from _destinations(settings)


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] == (3, 11):
        return Finding("ok", "Python", version)
    return Finding("warning", "Python", f"{version}; the lock file is tested with 3.11", "Use python3.11.")


def _packages() -> Iterator[Finding]:
    missing = []
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(package)
    if missing:
        yield Finding("error", "packages", f"not installed: {', '.join(missing)}", "Install the lock file: make setup.")
    if found:
        yield Finding("ok", "packages", ", ".join(found))


def _rules() -> Finding:
    from lifecycle.rules import load_rules

    try:
        rules = load_rules()
    except LifecycleError as error:
        problem = f"{error.where}: {error.problem}" if error.where else error.problem
        return Finding("error", "lifecycle rules", problem, error.remedy)
    stages = {rule.stage for rule in rules.rules}
    message = f"{len(rules.rules)} rules for {len(stages)} stages, {len(rules.risks)} risks, {len(rules.flags)} flags"
    return Finding("ok", "lifecycle rules", message)


def _files(settings: Settings) -> Iterator[Finding]:
    from lifecycle.sources.files import find_files

    for source in settings.inputs:
        subject = f"source {source.name}, table {source.table}"
        try:
            files = find_files(source, settings.folder)
        except LifecycleError as error:
            yield Finding("error", subject, error.problem, error.remedy)
        else:
            size = sum(file.path.stat().st_size for file in files)
            yield Finding("ok", subject, f"{len(files)} {'file' if len(files) == 1 else 'files'}, {size / 1e6:,.1f} MB")


def _disk(settings: Settings) -> Finding:
    folder = settings.state.root
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    message = f"{free / 1e9:,.1f} GB free at {folder}"
    if free < LOW_DISK_BYTES:
        return Finding("warning", "disk", message, "A run needs room for the warehouse, three publications and spill.")
    return Finding("ok", "disk", message)


def _lock(settings: Settings) -> Finding:
    from lifecycle.state import run_lock

    if not settings.state.lock.exists():
        return Finding("ok", "lock", "no run has begun here yet")
    try:
        with run_lock(settings.state, "doctor"):
            return Finding("ok", "lock", "free")
    except LifecycleError as error:
        return Finding("warning", "lock", error.problem, error.remedy)


def _warehouse(settings: Settings) -> Iterator[Finding]:
    from lifecycle.warehouse import open_warehouse

    path = settings.state.warehouse
    if not path.exists():
        yield Finding("ok", "warehouse", "not made yet: the first run makes it")
        return
    try:
        with open_warehouse(settings, read_only=True) as warehouse:
            runs = (
                warehouse.rows("select run_id, outcome, started_at from ops.run_log order by started_at desc limit 1")
                if warehouse.has_table("ops.run_log")
                else []
            )
    except LifecycleError as error:
        yield Finding("error", "warehouse", error.problem, error.remedy)
        return
    size = path.stat().st_size / 1e6
    last = f", last run {runs[0][0]} {runs[0][1]}" if runs else ""
    if runs and runs[0][1] in ("failed", "stopped", "killed"):
        yield Finding("warning", "warehouse", f"{size:,.1f} MB{last}", "Look at the run in `make ui`, or run again.")
    else:
        yield Finding("ok", "warehouse", f"{size:,.1f} MB{last}")


def _publication(settings: Settings) -> Finding:
    from lifecycle.serving.publication import current

    published = current(settings.state)
    if published is None:
        return Finding("ok", "publication", "none yet")
    age = datetime.now(UTC).replace(tzinfo=None) - published.published_at.replace(tzinfo=None)
    return Finding(
        "ok",
        "publication",
        f"run {published.run_id}, as of {published.as_of}, {age.days} days and {age.seconds // 3600} hours old",
    )


def _destinations(settings: Settings) -> Iterator[Finding]:
    from lifecycle.publishing.destinations import destination_of

    for described in settings.destinations:
        health = destination_of(settings, described.name).check()
        level: Literal["ok", "error"] = "ok" if health.is_ready else "error"
        yield Finding(level, f"destination {described.name}", health.problem or "ready", health.remedy)
