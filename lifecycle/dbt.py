"""dbt, run in this process: the parsed project, and what a call is told.

Belongs here: parsing the project once for everybody, a run's parameters as dbt reads them, one call.
Does not belong here: which models a step builds (``orchestration/dbt.py``, ``comparison/variant.py``), and what they
say (``models/``).

In process, because a subprocess costs 11 CPU seconds each time.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle.build import Build
from lifecycle.errors import LifecycleError
from lifecycle.settings import PROJECT_DIR, Settings, process_environment

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

DBT_DIR = PROJECT_DIR / "dbt_project"
PARSED_DIR = PROJECT_DIR / ".lifecycle" / "dbt"
"""Where the parsed project is kept: it depends on the code alone, so all companies share it."""

PARSED_FROM = ("models", "seeds", "dbt_project")


def fingerprint() -> str:
    """Changes whenever a file that dbt parses changes."""
    digest = hashlib.sha256(version("dbt-core").encode())
    for folder in PARSED_FROM:
        for path in sorted((PROJECT_DIR / folder).rglob("*")):
            if path.is_file() and path.suffix in (".sql", ".yml", ".csv") and "target" not in path.parts:
                status = path.stat()
                digest.update(f"{path.relative_to(PROJECT_DIR)}|{status.st_size}|{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def folders(target: Path, profiles: Path = DBT_DIR) -> list[str]:
    """The options that say where everything is."""
    return [
        "--project-dir",
        str(DBT_DIR),
        "--profiles-dir",
        str(profiles),
        "--target-path",
        str(target),
        "--log-path",
        str(target),
    ]


def _parse() -> Manifest:
    from dbt.cli.main import dbtRunner

    # Without the run's variables: a changed day must not make dbt parse everything again.
    with process_environment({}):
        result = dbtRunner().invoke(["--quiet", "parse", *folders(PARSED_DIR)])
    if not result.success:
        raise LifecycleError(
            f"the dbt project cannot be parsed: {result.exception}",
            where=str(DBT_DIR),
            remedy="Mend the model, macro or YAML it names.",
        )
    manifest: Manifest = result.result
    return manifest


@lru_cache(maxsize=1)
def parsed_manifest() -> Manifest:
    """The parsed project, for dbt; parsed once per process, and quickly when nothing changed."""
    from dbt.contracts.graph.manifest import Manifest

    with _parsed() as fresh:
        # What dbt itself keeps between two parses; reading it back costs a quarter of looking at every file.
        return fresh or Manifest.from_msgpack((PARSED_DIR / "partial_parse.msgpack").read_bytes())


def semantic_manifest() -> dict[str, Any]:
    """The semantic models and metrics of the parsed project, as dbt writes them for MetricFlow.

    While nothing changed since the last parse, that is reading one file: dbt is not loaded.
    """
    with _parsed():
        content: dict[str, Any] = json.loads((PARSED_DIR / "semantic_manifest.json").read_text(encoding="utf-8"))
    return content


@contextmanager
def _parsed() -> Iterator[Manifest | None]:
    """While this is open the parsed project is up to date and nobody else writes it. Gives it, if it was parsed now."""
    PARSED_DIR.mkdir(parents=True, exist_ok=True)
    stamp = PARSED_DIR / "fingerprint"
    with (PARSED_DIR / "parse.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        current = fingerprint()
        if stamp.exists() and stamp.read_text() == current:
            yield None
            return
        parsed = _parse()
        stamp.write_text(current)
        yield parsed


def dbt_environment(settings: Settings, build: Build) -> dict[str, str]:
    """What a run tells dbt."""
    limits = settings.warehouse
    return {
        "LIFECYCLE_WAREHOUSE": str(settings.state.warehouse),
        "LIFECYCLE_MEMORY_LIMIT": limits.memory_limit,
        "LIFECYCLE_MAX_SPILL": limits.max_spill,
        "LIFECYCLE_SPILL": str(settings.state.spill),
        "LIFECYCLE_THREADS": str(limits.threads),
        "LIFECYCLE_AS_OF": build.as_of.isoformat(),
        "LIFECYCLE_AS_OF_END": build.as_of_end.strftime("%Y-%m-%d %H:%M:%S"),
        "LIFECYCLE_TIMEZONE": settings.timezone,
        "LIFECYCLE_CURRENCY": settings.currency,
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }


def invoke(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    target: Path,
    *,
    profiles: Path = DBT_DIR,
    callbacks: Sequence[Callable[[Any], None]] = (),
) -> str:
    """Run one dbt command on the parsed project. Returns what went wrong in words, or nothing.

    ``target`` is dbt's folder for what it writes, ``profiles`` the folder of its connection, ``callbacks`` hear of
    every event.
    """
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    project = parsed_manifest()
    with process_environment(environment):
        try:
            result = dbtRunner(manifest=project, callbacks=list(callbacks)).invoke(
                [
                    "--quiet",
                    "--no-write-json",
                    "--log-level-file",
                    "none",
                    *arguments,
                    "--indirect-selection",
                    "empty",
                    *folders(target, profiles),
                ]
            )
        finally:
            # Else the next connection to the file fails: it would have another configuration.
            DuckDBConnectionManager.close_all_connections()
    if result.success:
        return ""
    if result.exception is not None:
        return f"dbt stopped: {result.exception}"
    broken = [
        f"{node.node.name}: {' '.join(str(node.message).split())}"
        for node in result.result.results
        if str(node.status) in ("error", "fail")
    ]
    return "dbt could not build " + "; ".join(broken)
