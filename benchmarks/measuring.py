"""What benchmarks share: their command line, commands measured by the operating system, times of models, figures of a
clustering, tables and verdicts.

Belongs here: measuring, counting and printing. Does not belong here: what is measured, and how much it may cost.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

from lifecycle.settings import PROJECT_DIR

BENCH_DIR = PROJECT_DIR / ".cache" / "bench"


# --- commands --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    exit_code: int
    wall_seconds: float
    cpu_seconds: float
    peak_mb: float


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


@dataclass(frozen=True)
class Bench:
    """A script of benchmarks: the folder of its files, its sections, and the jobs it runs in processes of their own."""

    script: Path
    folder: Path

    def run(self, name: str, command: list[str]) -> tuple[str, float]:
        """Run a command to its end: what it wrote and its peak in MB. One that fails ends the benchmark."""
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / f"{name}.log"
        measured = measure(command, log)
        output = log.read_text(encoding="utf-8", errors="replace")
        if measured.exit_code:
            print(output[-4000:])
            sys.exit(f"{name}: FAIL, it ended with exit code {measured.exit_code}")
        return output, measured.peak_mb

    def job(self, name: str, **options: Any) -> tuple[str, float]:
        """Run a job of this script in a process of its own: the last line it wrote, and its peak in MB."""
        given = [part for key, value in options.items() for part in (f"--{key}", str(value))]
        output, peak_mb = self.run(name, [sys.executable, str(self.script.resolve()), "--job", name, *given])
        return (output.strip().splitlines() or [""])[-1], peak_mb

    def main(
        self,
        description: str,
        sections: Mapping[str, Callable[[], list[Figure]]],
        jobs: Mapping[str, Callable[[argparse.Namespace], None]],
        options: Mapping[str, Callable[[str], Any]],
        on_request: Mapping[str, Callable[[], list[Figure]]] | None = None,
    ) -> int:
        """Run one section, or all of them but those on request; the exit code is 1 where a limit is not kept.

        ``options`` are those of the jobs: name → type.
        """
        known = {**sections, **(on_request or {})}
        parser = argparse.ArgumentParser(description=description)
        parser.add_argument("--section", choices=known, help="one section alone")
        for name, type_ in {"job": str, **options}.items():
            parser.add_argument(f"--{name}", type=type_, help=argparse.SUPPRESS)
        given = parser.parse_args()
        if given.job:
            jobs[given.job](given)
            return 0
        if given.section is None:
            # Each in a process of its own: one is said to have needed at least what its parent held when it began.
            commands = [[sys.executable, str(self.script.resolve()), "--section", name] for name in sections]
            return max(subprocess.run(command, check=False).returncode for command in commands)
        self.folder.mkdir(parents=True, exist_ok=True)
        section = known[given.section]
        print(f"\n== {given.section}: {section.__doc__}\n", flush=True)
        figures = section()
        print(f"\n{verdict_table(figures)}")
        is_good = all(one.is_kept for one in figures)
        print("\nevery limit is kept" if is_good else "\na limit is not kept")
        return 0 if is_good else 1


# --- models ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ModelTime:
    """What dbt took for one model."""

    name: str
    schema: str
    seconds: float
    cpu_seconds: float


class ModelTimes:
    """Listens to dbt and notes what each model takes, in the order in which they end."""

    def __init__(self) -> None:
        self.took: list[ModelTime] = []
        self._cpu = time.process_time()

    def __call__(self, message: Any) -> None:
        # One model at a time, so the CPU time since the last one ended is this one's.
        if message.info.name != "LogModelResult":
            return
        before, self._cpu = self._cpu, time.process_time()
        node = message.data.node_info
        one = ModelTime(node.node_name, node.node_relation.schema, message.data.execution_time, self._cpu - before)
        self.note(one)

    def note(self, one: ModelTime) -> None:
        """Something else than a model, done between models."""
        self.took.append(one)
        self._cpu = time.process_time()
        print(f"{one.name}: {one.seconds:.1f} s, {one.cpu_seconds:.1f} CPU seconds", flush=True)


# --- clusterings -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Placed:
    """One record: where it is from, the cluster it was put into, and whose it is."""

    source: str
    cluster: str
    person: str


@dataclass(frozen=True)
class Agreement:
    """Pairs of records: found rightly, found, and there to be found."""

    right: int
    found: int
    there: int

    @property
    def precision(self) -> float:
        """Right among what was found; 1 where nothing was."""
        return self.right / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        """Found among what there is; 1 where there is nothing."""
        return self.right / self.there if self.there else 1.0

    @property
    def f1(self) -> float:
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


@dataclass(frozen=True)
class Shares:
    """A precision and a recall that are means over records."""

    precision: float
    recall: float


def pairwise(records: Iterable[Placed]) -> Agreement:
    """Over all pairs of records: put together, and of one person."""
    found: Counter[str] = Counter()
    there: Counter[str] = Counter()
    right: Counter[tuple[str, str]] = Counter()
    for one in records:
        found[one.cluster] += 1
        there[one.person] += 1
        right[one.cluster, one.person] += 1
    right_count, found_count, there_count = (
        sum(size * (size - 1) // 2 for size in sizes.values()) for sizes in (right, found, there)
    )
    return Agreement(right_count, found_count, there_count)


def pairwise_by_source(records: Iterable[Placed]) -> dict[tuple[str, str], Agreement]:
    """The same for every pair of sources, a source with itself among them; sources in alphabetical order."""
    totals = []
    groups: tuple[dict[object, Counter[str]], ...] = ({}, {}, {})
    sources = set()
    for one in records:
        sources.add(one.source)
        for group, key in zip(groups, ((one.cluster, one.person), one.cluster, one.person), strict=True):
            group.setdefault(key, Counter())[one.source] += 1
    for group in groups:
        pairs: Counter[tuple[str, str]] = Counter()
        for counts in group.values():
            for left, right in combinations_with_replacement(sorted(counts), 2):
                size = counts[left]
                pairs[left, right] += size * (size - 1) // 2 if left == right else size * counts[right]
        totals.append(pairs)
    right_pairs, found_pairs, there_pairs = totals
    return {
        key: Agreement(right_pairs[key], found_pairs[key], there_pairs[key])
        for key in combinations_with_replacement(sorted(sources), 2)
    }


def b_cubed(records: Iterable[Placed]) -> Shares:
    """For each record the share of its cluster that is of its person, and of its person that is in its cluster; the
    means over all records (Bagga and Baldwin 1998, "Algorithms for scoring coreference chains")."""
    clusters: Counter[str] = Counter()
    people: Counter[str] = Counter()
    cells: Counter[tuple[str, str]] = Counter()
    for one in records:
        clusters[one.cluster] += 1
        people[one.person] += 1
        cells[one.cluster, one.person] += 1
    count = sum(clusters.values())
    if not count:
        return Shares(1.0, 1.0)
    return Shares(
        sum(size * size / clusters[cluster] for (cluster, _), size in cells.items()) / count,
        sum(size * size / people[person] for (_, person), size in cells.items()) / count,
    )


# --- tables ----------------------------------------------------------------------------------------------------------


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


@dataclass(frozen=True)
class Figure:
    """One measured figure with the limit that it has to keep: at most, at least, or none."""

    name: str
    measured: float
    at_most: float | None = None
    at_least: float | None = None
    unit: str = ""
    digits: int = 1

    @property
    def is_kept(self) -> bool:
        too_much = self.at_most is not None and self.measured > self.at_most
        too_little = self.at_least is not None and self.measured < self.at_least
        return not (too_much or too_little or math.isnan(self.measured))

    @property
    def verdict(self) -> str:
        if self.at_most is None and self.at_least is None:
            return ""
        return "pass" if self.is_kept else "FAIL"

    def row(self) -> list[str]:
        """What it is, measured, limit, verdict."""
        unit = f" {self.unit}" if self.unit else ""
        bounds = (("<=", self.at_most), (">=", self.at_least))
        limits = [f"{sign} {limit:,g}{unit}" for sign, limit in bounds if limit is not None]
        return [self.name, f"{self.measured:,.{self.digits}f}{unit}", " and ".join(limits), self.verdict]


def verdict_table(figures: Iterable[Figure]) -> str:
    return table(["figure", "measured", "limit", "verdict"], [one.row() for one in figures])
