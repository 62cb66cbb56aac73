"""How long the stages of a run took, for how many rows, with how much memory.

Belongs here: noting it beside the data (``timings.json``), one line a stage, in whatever process the stage ran.
Does not belong here: printing it.
"""

from __future__ import annotations

import json
import logging
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from lifecycle.state import State

progress = logging.getLogger("lifecycle.progress")
"""What a run is doing, in words; the command line shows it."""


@dataclass
class Stage:
    """One stage: what it is called, rows it handled, wall seconds, CPU seconds, peak memory of the process in MB."""

    name: str
    rows: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0


@contextmanager
def stage(state: State, run_id: str, name: str) -> Iterator[Stage]:
    """Time a stage and note it, also when it fails."""
    progress.info("%s", name)
    noted = Stage(name)
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield noted
    finally:
        noted.seconds = round(time.perf_counter() - wall, 3)
        noted.cpu_seconds = round(time.process_time() - cpu, 3)
        noted.peak_mb = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
        note(state, run_id, noted)


def note(state: State, run_id: str, noted: Stage) -> None:
    """Append a stage to the run's timings; the first of a new run starts the file afresh."""
    path = state.root / "timings.json"
    stages = timings(state, run_id)
    state.root.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"run_id": run_id, "stages": [*stages, asdict(noted)]}, indent=1))


def timings(state: State, run_id: str | None = None) -> list[dict[str, float | int | str]]:
    """The stages of a run (of the last one when none is named), in order."""
    path = state.root / "timings.json"
    if not path.exists():
        return []
    content = json.loads(path.read_text())
    if run_id is not None and content["run_id"] != run_id:
        return []
    stages: list[dict[str, float | int | str]] = content["stages"]
    return stages
