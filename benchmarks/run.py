"""Measures whole runs, from nothing to a publication, against their budgets (``make bench``).

Each company runs as a command of its own with a fresh state folder under ``.cache/bench/``. Wall time, CPU time and
memory are what the operating system counted for the process and everything it started; the table of stages is what
the run itself recorded.

Belongs here: whole runs. Does not belong here: micro-benchmarks of single functions; how well people are found
(``identity.py``).
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from measuring import BENCH_DIR, Figure, Measured, measure, table, verdict_table

from lifecycle.settings import PROJECT_DIR, load_settings
from lifecycle.timing import timings


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
    Budget("ten_orders", cpu_seconds=40),
)


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


def figures(budget: Budget, measured: Measured) -> list[Figure]:
    return [
        Figure(f"{budget.example}: wall", measured.wall_seconds, at_most=budget.wall_seconds, unit="s"),
        Figure(f"{budget.example}: CPU", measured.cpu_seconds, at_most=budget.cpu_seconds, unit="s"),
        Figure(f"{budget.example}: peak memory", measured.peak_mb, at_most=budget.peak_mb, unit="MB"),
    ]


def main() -> int:
    command = str(Path(sys.executable).with_name("lifecycle"))
    found: list[Figure] = []
    is_good = True
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
        found += figures(budget, measured)
    print(verdict_table(found))
    is_good = is_good and all(one.is_kept for one in found)
    print("\nevery budget is kept" if is_good else "\na budget is not kept or a run failed")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
