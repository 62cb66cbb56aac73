"""Measures whole runs, from nothing to a publication, against their budgets (``make bench``).

Each company runs as a command of its own with a fresh state folder under ``.cache/bench/``. Wall time, CPU time and
memory are what the operating system counted for the process and everything it started; the table of stages is what
the run itself recorded.

Belongs here: whole runs. Does not belong here: micro-benchmarks of single functions.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from lifecycle.settings import PROJECT_DIR, load_settings
from lifecycle.timing import timings

BENCH_DIR = PROJECT_DIR / ".cache" / "bench"


@dataclass(frozen=True)
class Budget:
    """What a run may cost on two cores; None is not limited."""

    example: str
    wall_seconds: float | None = None
    cpu_seconds: float | None = None
    peak_mb: float | None = None


BUDGETS = (
    Budget("complete_journey", wall_seconds=60, peak_mb=1500),
    # Almost no data: what starting, parsing and checking cost by themselves.
    Budget("ten_orders", cpu_seconds=30),
)


@dataclass(frozen=True)
class Measured:
    exit_code: int
    wall_seconds: float
    cpu_seconds: float
    peak_mb: float


def fresh_company(example: str) -> Path:
    """A copy of the example's settings with its data linked beside, and no state; the path of its lifecycle.yml."""
    source = PROJECT_DIR / "examples" / example
    folder = BENCH_DIR / example
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in source.iterdir():
        if path.is_dir() and path.name not in (".lifecycle", "out"):
            (folder / path.name).symlink_to(path)
    shutil.copy(source / "lifecycle.yml", folder)
    return folder / "lifecycle.yml"


def measure(command: list[str], log: Path) -> Measured:
    """Run a command to its end. ``peak_mb`` is that of its largest process."""
    started = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=PROJECT_DIR)
        _, status, usage = os.wait4(process.pid, 0)
    return Measured(
        exit_code=os.waitstatus_to_exitcode(status),
        wall_seconds=time.monotonic() - started,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_mb=usage.ru_maxrss / 1024,
    )


def table(header: list[str], rows: list[list[str]]) -> str:
    """Columns as wide as they need to be; all but the first to the right."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [header, ["-" * width for width in widths], *rows]
    ]
    return "\n".join(lines)


def stages(config: Path) -> str:
    """What the run noted of its own stages."""
    return table(
        ["stage", "rows", "seconds", "CPU", "peak MB"],
        [
            [
                str(noted["name"]),
                f"{noted['rows']:,}",
                f"{noted['seconds']:.1f}",
                f"{noted['cpu_seconds']:.1f}",
                f"{noted['peak_mb']:,.0f}",
            ]
            for noted in timings(load_settings(config).state)
        ],
    )


def verdicts(budget: Budget, measured: Measured) -> list[list[str]]:
    """One row per figure: what it is, measured, limit, verdict."""
    rows = []
    for name, value, limit, unit in (
        ("wall", measured.wall_seconds, budget.wall_seconds, "s"),
        ("CPU", measured.cpu_seconds, budget.cpu_seconds, "s"),
        ("peak memory", measured.peak_mb, budget.peak_mb, "MB"),
    ):
        verdict = "" if limit is None else "pass" if value <= limit else "FAIL"
        limit_text = "" if limit is None else f"{limit:,.0f} {unit}"
        rows.append([f"{budget.example}: {name}", f"{value:,.1f} {unit}", limit_text, verdict])
    return rows


def main() -> int:
    command = str(Path(sys.executable).with_name("lifecycle"))
    rows, is_good = [], True
    for budget in BUDGETS:
        config = fresh_company(budget.example)
        log = BENCH_DIR / f"{budget.example}.log"
        print(f"{budget.example}: running, output in {log.relative_to(PROJECT_DIR)}", flush=True)
        measured = measure([command, "run", "--config", str(config)], log)
        if measured.exit_code != 0:
            print(log.read_text(encoding="utf-8", errors="replace")[-4000:])
            print(f"{budget.example}: FAIL, the run ended with exit code {measured.exit_code}")
            is_good = False
        print(f"\n{stages(config)}\n")
        rows += verdicts(budget, measured)
    if rows:
        print(table(["run", "measured", "limit", "verdict"], rows))
    is_good = is_good and all(row[-1] != "FAIL" for row in rows)
    print("\nevery budget is kept" if is_good else "\na budget is not kept or a run failed")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
