"""Measures identity resolution: how well it finds people, how fast and how large it is, with Splink beside it.

    python benchmarks/identity.py [--section public|demo|exact|probable]

``public``: data sets with a known truth. ``demo``: a generated company through a whole run. ``exact`` and ``probable``:
speed and memory, each size in a process of its own with a memory limit; what is measured was written by another
process before. Files are in ``.cache/bench/identity/``.

Belongs here: the workloads, the figures and their limits. Does not belong here: counting and printing
(``measuring.py``), running Splink (``splink_peer.py``).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import splink_peer
from measuring import (
    BENCH_DIR,
    Agreement,
    Figure,
    Placed,
    Shares,
    b_cubed,
    measure,
    pairwise,
    pairwise_by_source,
    table,
    verdict_table,
)
from splink_peer import USUAL_THRESHOLD, Linked

from lifecycle.identity import normalize, resolution
from lifecycle.identity.links import PROFILES, RECORDS
from lifecycle.identity.resolution import LINKS, Policy
from lifecycle.settings import load_settings
from lifecycle.timing import timings
from lifecycle.warehouse import Warehouse, literal, open_duckdb
from tests.identity_case import FAKE_1000, People, fake_1000, febrl3, with_spouses, write_tables

FOLDER = BENCH_DIR / "identity"
SPLINK_UNTRAINED, SPLINK_TRAINED = "Splink, untrained", "Splink, trained"
OURS, EXACT = "ours", "exact identifiers alone"


# --- public data sets ------------------------------------------------------------------------------------------------

LIMITS = {"febrl3": (0.995, 0.995), "fake_1000": (0.97, 0.97)}
"""F1 and precision that ours must reach."""

SPOUSES = 1_000
MOST_SPOUSES_MERGED = 0.05


@dataclass(frozen=True)
class Attempt:
    """What one method made of a data set."""

    method: str
    customers: dict[str, str]
    seconds: float
    cpu_seconds: float


def public() -> list[Figure]:
    """Data sets with a known truth."""
    _warm_up()
    figures: list[Figure] = []
    rows: list[list[str]] = []
    spouse_rows: list[list[str]] = []
    for name, read in (("febrl3", febrl3), ("fake_1000", fake_1000)):
        if name == "fake_1000" and not FAKE_1000.exists():
            print(f"fake_1000 is skipped: {FAKE_1000.name} is not beside this checkout\n")
            continue
        people = read()
        for attempt in _attempts(people, (OURS, EXACT, SPLINK_UNTRAINED, SPLINK_TRAINED)):
            found = pairwise(_placed_people(people, attempt.customers))
            rows.append([f"{name}: {attempt.method}", *_shares(found), *_times(attempt)])
            if attempt.method == OURS:
                f1, precision = LIMITS[name]
                figures.append(Figure(f"{name}: F1", found.f1, at_least=f1, digits=4))
                figures.append(Figure(f"{name}: precision", found.precision, at_least=precision, digits=4))
        larger = with_spouses(people, SPOUSES, seed=1)
        for attempt in _attempts(larger, (OURS, SPLINK_TRAINED)):
            found = pairwise(_placed_people(larger, attempt.customers))
            merged = sum(
                attempt.customers[one] == attempt.customers[partner] for one, partner in larger.spouses.items()
            )
            share = merged / len(larger.spouses)
            spouse_rows.append([f"{name}: {attempt.method}", f"{share:.1%}", *_shares(found)])
            if attempt.method == OURS:
                limit = MOST_SPOUSES_MERGED * 100
                figures.append(Figure(f"{name}: spouses merged", share * 100, at_most=limit, unit="%"))
    print(table(["data and method", "precision", "recall", "F1", "seconds", "CPU"], rows))
    print(f"\nWith {SPOUSES:,} spouses added (last name and address of the partner, no email):\n")
    print(table(["data and method", "merged", "precision", "recall", "F1"], spouse_rows))
    print(
        "\nOne setting for both, nothing trained. Splink's best threshold is the one with the highest F1 against the\n"
        "truth, which nobody has in practice."
    )
    return figures


def _warm_up() -> None:
    """Import what is heavy, so that the first figure does not pay for it."""
    import phonenumbers  # noqa: F401
    import scipy.cluster.hierarchy  # noqa: F401
    import splink  # noqa: F401


def _attempts(people: People, methods: Sequence[str]) -> Iterator[Attempt]:
    path = FOLDER / "public.duckdb"
    path.unlink(missing_ok=True)
    with open_duckdb(path) as warehouse:
        write_tables(warehouse, people.records)
        for method in methods:
            if method in (OURS, EXACT):
                policy = replace(Policy(), probable_links=method == OURS)
                wall, cpu = time.perf_counter(), time.process_time()
                resolution.resolve(warehouse, policy)
                seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
                customers = dict(warehouse.rows(f"select record_id, customer_id from {LINKS}"))
                yield Attempt(method, customers, seconds, cpu_seconds)
            else:
                linked = _splink(warehouse, trained=method == SPLINK_TRAINED)
                names = dict(warehouse.rows(f"select record_key, record_id from {RECORDS}"))
                for label, threshold in _reported(linked, _truth_by_key(people, names)):
                    customers = {names[key]: one for key, one in linked.clusters[threshold].items()}
                    yield Attempt(f"{method}, {label}", customers, linked.seconds, linked.cpu_seconds)


def _truth_by_key(people: People, names: dict[str, str]) -> dict[str, str]:
    return {key: people.truth[name] for key, name in names.items()}


def _splink(warehouse: Warehouse, *, trained: bool) -> Linked:
    """Splink on the contact records of a warehouse, in memory, in this process."""
    import duckdb

    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / "contacts.parquet"
    splink_peer.write_contacts(warehouse, path)
    with duckdb.connect(":memory:", config={"memory_limit": "4GB", "threads": 2}) as connection:
        connection.execute("set enable_progress_bar = false")
        connection.execute(f"create table contacts as select * from read_parquet('{path}')")
        return splink_peer.link(connection, "contacts", trained=trained)


def _reported(linked: Linked, truth: dict[str, str]) -> list[tuple[str, float]]:
    """The thresholds that are printed: the usual one, and the best one where that is another."""

    def f1(threshold: float) -> float:
        clusters = linked.clusters[threshold]
        return pairwise(Placed("", clusters[key], person) for key, person in truth.items()).f1

    best = max(linked.clusters, key=f1)
    usual = [(f"at {USUAL_THRESHOLD}", USUAL_THRESHOLD)]
    return usual if best == USUAL_THRESHOLD else [*usual, (f"at its best, {best}", best)]


def _placed_people(people: People, customers: dict[str, str]) -> list[Placed]:
    return [Placed("", customers[record], person) for record, person in people.truth.items()]


def _shares(found: Agreement | Shares) -> list[str]:
    shares = [found.precision, found.recall, *([found.f1] if isinstance(found, Agreement) else [])]
    return [f"{share:.4f}" for share in shares]


def _times(attempt: Attempt) -> list[str]:
    return [f"{attempt.seconds:.1f}", f"{attempt.cpu_seconds:.1f}"]


# --- the demo company ------------------------------------------------------------------------------------------------

DEMO = {"customers": 20_000, "days": 540, "seed": 7, "profile": "retail"}


def demo() -> list[Figure]:
    """A generated company of 20,000 people, through a whole run."""
    folder = FOLDER / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    options = [part for name, value in DEMO.items() for part in (f"--{name}", str(value))]
    _command("generate", [_lifecycle(), "generate", *options, "--out", str(folder)])
    print("a whole run of the company (some minutes) ...\n", flush=True)
    config = folder / "lifecycle.yml"
    _command("run", [_lifecycle(), "run", "--config", str(config)])
    settings = load_settings(config)
    copy = FOLDER / "demo_exact.duckdb"
    shutil.copy(settings.state.warehouse, copy)
    truth = folder / "truth" / "records.parquet"
    with open_duckdb(settings.state.warehouse, read_only=True, memory_limit="4GB") as warehouse:
        ours = _placed_records(warehouse, truth)
        places = _Places(contacts={OURS: _contacts(ours)}, everything={OURS: [one for _, one in ours]})
        keys = {key: placed for key, placed in ours if key.startswith("contacts:")}
        for method, trained in ((SPLINK_UNTRAINED, False), (SPLINK_TRAINED, True)):
            linked = _splink(warehouse, trained=trained)
            persons = {key: placed.person for key, placed in keys.items()}
            for label, threshold in _reported(linked, persons):
                clusters = linked.clusters[threshold]
                places.contacts[f"{method}, {label}"] = [
                    Placed(placed.source, clusters[key], placed.person) for key, placed in keys.items()
                ]
                places.times[f"{method}, {label}"] = f"{linked.seconds:.1f}"
        rules = _rule_rows(warehouse, truth)
    identity = next(stage for stage in timings(settings.state) if stage["name"] == "identity")
    places.times[OURS] = f"{identity['seconds']:.1f}"
    with open_duckdb(copy, memory_limit="4GB") as warehouse:
        started = time.perf_counter()
        resolution.resolve(warehouse, replace(Policy.of(settings), probable_links=False))
        places.times[EXACT] = f"{time.perf_counter() - started:.1f}"
        exact = _placed_records(warehouse, truth)
        places.contacts[EXACT], places.everything[EXACT] = _contacts(exact), [one for _, one in exact]
        junk_links = _junk_link_count(warehouse, folder)
    copy.unlink()
    places.show()
    print("\nEvery record of a person, by the rule that placed it:\n")
    print(table(["rule", "records", "right person", "mean confidence"], rules))
    print(
        "\nA record is placed rightly when its customer is mostly made of contact records of its person. Where the\n"
        "share and the mean confidence of a rule part, the confidence is off. Seconds of ours and of exact\n"
        "identifiers are for all records of the company, those of Splink for its contact records alone."
    )
    return [Figure("demo: records that a junk identifier linked", junk_links, at_most=0, digits=0)]


@dataclass
class _Places:
    """Where each method put the records: contacts alone, and everything where it places everything."""

    contacts: dict[str, list[Placed]]
    everything: dict[str, list[Placed]]
    times: dict[str, str] = field(default_factory=dict)

    def show(self) -> None:
        order = sorted(self.contacts, key=lambda method: (method not in (OURS, EXACT), method))
        rows = []
        for method in order:
            found, cubed = pairwise(self.contacts[method]), b_cubed(self.contacts[method])
            rows.append([method, *_shares(found), *_shares(cubed), self.times.get(method, "")])
        print(f"{len(self.contacts[OURS]):,} contact records:\n")
        print(table(["method", "precision", "recall", "F1", "B3 prec.", "B3 recall", "seconds"], rows))
        print(f"\n{len(self.everything[OURS]):,} records of every kind:\n")
        cubed_rows = [[method, *_shares(b_cubed(placed))] for method, placed in self.everything.items()]
        print(table(["method", "B3 prec.", "B3 recall"], cubed_rows))
        print("\nContact records by pair of sources, precision / recall:\n")
        found_by_source = {method: pairwise_by_source(self.contacts[method]) for method in order}
        shown = [method for method in order if method in (OURS, EXACT) or method.startswith(SPLINK_TRAINED)]
        print(
            table(
                ["sources", *shown],
                [
                    [
                        f"{left}-{right}",
                        *(_pair_text(found_by_source[method][left, right]) for method in shown),
                    ]
                    for left, right in found_by_source[OURS]
                ],
            )
        )


def _pair_text(found: Agreement) -> str:
    if not found.there:
        return f"none there, {found.found:,} wrong" if found.found else "none there"
    return f"{found.precision:.4f} / {found.recall:.4f}"


def _placed_records(warehouse: Warehouse, truth: Path) -> list[tuple[str, Placed]]:
    """Every record with a truth; one that belongs to nobody is a cluster of its own."""
    rows = warehouse.rows(
        "select concat_ws(':', truth.record_table, truth.source_system, truth.record_id), truth.source_system,"
        " coalesce(links.customer_id, concat_ws(':', truth.record_table, truth.source_system, truth.record_id)),"
        f" truth.person_id from read_parquet('{truth}') as truth"
        f" semi join {RECORDS} as records using (source_system, record_table, record_id)"
        f" left join {LINKS} as links using (source_system, record_table, record_id)"
    )
    return [(key, Placed(source, cluster, person)) for key, source, cluster, person in rows]


def _contacts(records: Iterable[tuple[str, Placed]]) -> list[Placed]:
    return [placed for key, placed in records if key.startswith("contacts:")]


def _rule_rows(warehouse: Warehouse, truth: Path) -> list[list[str]]:
    rows = warehouse.rows(
        f"with placed as (select links.*, truth.person_id from {LINKS} as links"
        f" inner join read_parquet('{truth}') as truth using (source_system, record_table, record_id)),"
        " counted as (select customer_id, person_id, count_if(record_table = 'contacts') as contact_count,"
        " count(*) as record_count, min(linked_at) as first_at from placed group by customer_id, person_id),"
        " owners as (select customer_id, person_id as owner_id from (select *, row_number() over (partition by"
        " customer_id order by contact_count desc, record_count desc, first_at nulls first, person_id) as place"
        " from counted) where place = 1)"
        " select link_rule, case when record_table = 'contacts' then 'contacts' else 'events' end as kind, count(*),"
        " avg(cast(person_id = owner_id as integer)), avg(confidence) from placed inner join owners using (customer_id)"
        " group by link_rule, kind order by link_rule, kind"
    )
    return [[f"{rule}, {kind}", f"{count:,}", f"{right:.4f}", f"{sure:.4f}"] for rule, kind, count, right, sure in rows]


def _junk_link_count(warehouse: Warehouse, folder: Path) -> int:
    """Records that are where they are because of the junk email or phone, with equal identifiers alone.

    Orders and events that it placed, and contacts of further people in a customer whose contacts carry it.
    """
    junk = json.loads((folder / "truth" / "parameters.json").read_text(encoding="utf-8"))["junk_identifiers"]
    carries = f"(records.email = {literal(junk['email'])} or records.phone = {literal(junk['phone'])})"
    return int(
        warehouse.scalar(
            f"with carriers as (select links.*, records.email, records.phone, truth.person_id from {LINKS} as links"
            f" inner join {RECORDS} as records using (source_system, record_table, record_id)"
            f" left join read_parquet('{folder / 'truth' / 'records.parquet'}') as truth"
            f" using (source_system, record_table, record_id) where {carries})"
            " select (select count(*) from carriers where record_table <> 'contacts'"
            f" and (link_rule = 'email' and email = {literal(junk['email'])}"
            f" or link_rule = 'phone' and phone = {literal(junk['phone'])}))"
            " + (select coalesce(sum(person_count - 1), 0) from (select count(distinct person_id) as person_count"
            " from carriers where record_table = 'contacts' group by customer_id))"
        )
    )


def _lifecycle() -> str:
    return str(Path(sys.executable).with_name("lifecycle"))


# --- speed and memory ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Size:
    """One workload with the memory that DuckDB may take and what it may cost on two cores."""

    records: int
    memory: str
    seconds: float
    peak_mb: float | None = None
    with_splink: bool = False


EXACT_SIZE = Size(1_000_000, "700MB", seconds=5, peak_mb=1_000)
PROBABLE_SIZES = (
    Size(20_000, "400MB", seconds=5, peak_mb=500, with_splink=True),
    Size(200_000, "1GB", seconds=40, with_splink=True),
    Size(1_000_000, "2GB", seconds=300),
)
SPEED_HEADER = ["contact records and method", "seconds", "CPU", "peak MB", "precision", "recall"]


def exact() -> list[Figure]:
    """Speed and memory of exact resolution: a million fragments, a fifth of them contacts."""
    size = EXACT_SIZE
    warehouse = FOLDER / "fragments.duckdb"
    _job("fragments", warehouse=warehouse, count=size.records)
    cost = _resolve(warehouse, size, probable=False)
    again = _resolve(warehouse, size, probable=False, again=True)
    print(
        table(
            ["fragments", "seconds", "CPU", "peak MB"],
            [
                [f"{size.records:,}, phones never seen before", *cost.texts()],
                [f"{size.records:,}, phones known from an earlier run", *again.texts()],
            ],
        )
    )
    _show_steps("a first run", cost)
    warehouse.unlink()
    print("\nEach way of writing a phone is judged once, most of them in SQL, and remembered.")
    return [
        *cost.figures(f"exact, {size.records:,} fragments", size),
        Figure("exact, phones known: wall", again.seconds, at_most=size.seconds, unit="s"),
    ]


def probable() -> list[Figure]:
    """Speed and memory with probable links: contact records of generated companies."""
    figures: list[Figure] = []
    rows: list[list[str]] = []
    costs: list[tuple[Size, Cost]] = []
    for size in PROBABLE_SIZES:
        warehouse = FOLDER / f"contacts_{size.records}.duckdb"
        _job("contacts", warehouse=warehouse, count=size.records)
        cost = _resolve(warehouse, size, probable=True)
        costs.append((size, cost))
        found = _agreement_of(warehouse)
        rows.append([f"{size.records:,}: {OURS}", *cost.texts(), *_shares(found)[:2]])
        figures += cost.figures(f"probable, {size.records:,} contacts", size)
        if size.with_splink:
            rows.append([f"{size.records:,}: {SPLINK_TRAINED}, at {USUAL_THRESHOLD}", *_splink_row(warehouse, size)])
        warehouse.unlink()
    print(table(SPEED_HEADER, rows))
    for size, cost in costs:
        _show_steps(f"{size.records:,} contacts", cost)
    print("\nOurs includes the cleaning of emails and phones, which Splink is given; Splink includes its training.")
    return figures


@dataclass(frozen=True)
class Cost:
    seconds: float
    cpu_seconds: float
    peak_mb: float
    steps: list[tuple[str, float]]

    def texts(self) -> list[str]:
        return [f"{self.seconds:.1f}", f"{self.cpu_seconds:.1f}", f"{self.peak_mb:,.0f}"]

    def figures(self, name: str, size: Size) -> list[Figure]:
        return [
            Figure(f"{name}: wall", self.seconds, at_most=size.seconds, unit="s"),
            Figure(f"{name}: peak memory", self.peak_mb, at_most=size.peak_mb, unit="MB", digits=0),
        ]


def _resolve(warehouse: Path, size: Size, *, probable: bool, again: bool = False) -> Cost:
    """Resolve in a process of its own; its peak is the process's, its times those of ``resolve`` alone."""
    name = "resolve_again" if again else "resolve"
    return _job(name, warehouse=warehouse, memory=size.memory, probable="yes" if probable else "no")


def _show_steps(title: str, cost: Cost) -> None:
    print(f"\nWhere the time of {title} goes:\n")
    named = cost.steps[:10]
    rest = cost.seconds - sum(seconds for _, seconds in named)
    rows = [[name, f"{seconds:.1f}"] for name, seconds in [*named, ("the rest, imports among it", rest)]]
    print(table(["function", "seconds"], rows))


def _agreement_of(warehouse: Path) -> Agreement:
    with open_duckdb(warehouse, read_only=True) as opened:
        rows = opened.rows(f"select customer_id, person_id from {LINKS} inner join bench.truth using (record_key)")
    return pairwise(Placed("", customer, person) for customer, person in rows)


def _splink_row(warehouse: Path, size: Size) -> list[str]:
    contacts, clusters = FOLDER / "contacts.parquet", FOLDER / "clusters.json"
    with open_duckdb(warehouse, read_only=True) as opened:
        splink_peer.write_contacts(opened, contacts)
        truth = dict(opened.rows("select record_key, person_id from bench.truth"))
    log = FOLDER / "splink.log"
    script = str(Path(splink_peer.__file__))
    options = ["--clusters", str(clusters), "--memory", size.memory, "--spill", str(FOLDER / "spill")]
    measured = measure([sys.executable, script, str(contacts), *options], log)
    output = log.read_text(encoding="utf-8", errors="replace")
    if measured.exit_code:
        return ["failed", "", f"{measured.peak_mb:,.0f}", output.strip().splitlines()[-1][:60], ""]
    took = json.loads(output.strip().splitlines()[-1])
    found = json.loads(clusters.read_text(encoding="utf-8"))
    agreement = pairwise(Placed("", found[key], person) for key, person in truth.items())
    times = [f"{took['seconds']:.1f}", f"{took['cpu_seconds']:.1f}", f"{measured.peak_mb:,.0f}"]
    return [*times, *_shares(agreement)[:2]]


# --- processes of their own ------------------------------------------------------------------------------------------


def _command(name: str, command: list[str]) -> str:
    """Run a command to its end; returns what it wrote. One that fails ends the benchmark."""
    return _measured_command(name, command)[0]


def _measured_command(name: str, command: list[str]) -> tuple[str, float]:
    FOLDER.mkdir(parents=True, exist_ok=True)
    log = FOLDER / f"{name}.log"
    measured = measure(command, log)
    output = log.read_text(encoding="utf-8", errors="replace")
    if measured.exit_code:
        print(output[-4000:])
        sys.exit(f"{name}: FAIL, it ended with exit code {measured.exit_code}")
    return output, measured.peak_mb


def _job(name: str, **options: Any) -> Cost:
    """Run one of JOBS in a process of its own; its last line is what it took."""
    given = [part for key, value in options.items() for part in (f"--{key}", str(value))]
    output, peak_mb = _measured_command(name, [sys.executable, __file__, "--job", name, *given])
    took = json.loads(output.strip().splitlines()[-1])
    steps = [(step, seconds) for step, seconds in took.get("steps", [])]
    return Cost(took["seconds"], took["cpu_seconds"], peak_mb, steps)


@dataclass
class _TimedWarehouse(Warehouse):
    """Notes the time of every statement under the function that asked for it."""

    steps: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.steps[step] += time.perf_counter() - started  # type: ignore[assignment]

    def run(self, sql: str, parameters: Any = None) -> None:
        with self.timed(_caller()):
            super().run(sql, parameters)

    def rows(self, sql: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        with self.timed(_caller()):
            return super().rows(sql, parameters)

    def watch(self, module: Any, name: str, step: str) -> None:
        """Note the time of a Python function too; one that runs no statement."""
        function = getattr(module, name)

        def watched(*given: Any, **options: Any) -> Any:
            with self.timed(step):
                return function(*given, **options)

        setattr(module, name, watched)


def _caller() -> str:
    """The function outside of Warehouse that asked for a statement."""
    frame = sys._getframe(2)
    while frame.f_code.co_name in ("run", "rows", "scalar", "create_as", "write", "append", "_append") and frame.f_back:
        frame = frame.f_back
    return frame.f_code.co_name


def _resolve_job(given: argparse.Namespace) -> dict[str, Any]:
    with open_duckdb(given.warehouse, memory_limit=given.memory, spill=FOLDER / "spill") as opened:
        warehouse = _TimedWarehouse(opened.connection, opened.path)
        warehouse.watch(normalize, "judge_phone", "judge_phone (Python)")
        warehouse.watch(resolution, "_cut_groups", "_cut_groups (Python)")
        policy = Policy(default_country="US", probable_links=given.probable == "yes")
        wall, cpu = time.perf_counter(), time.process_time()
        found = resolution.resolve(warehouse, policy)
        seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    print(found)
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "steps": warehouse.steps.most_common()}


def _contacts_job(given: argparse.Namespace) -> dict[str, Any]:
    """A warehouse with the contact records of a generated company, as intake and models hand them to identity."""
    from lifecycle.sources import intake
    from lifecycle.synthetic.company import generate
    from lifecycle.synthetic.parameters import Arguments

    folder = FOLDER / "company"
    shutil.rmtree(folder, ignore_errors=True)
    # Of a customer there are 2.2 contact records; the window's length changes nothing about them.
    customers = int(given.count / 2.2) + 500
    summary = generate(Arguments(customers=customers, days=90, seed=7, profile="retail", out=folder))
    settings = load_settings(summary.config)
    settings = settings.model_copy(update={"sources": [one for one in settings.sources if one.table == "contacts"]})
    settings.state.make()
    given.warehouse.unlink(missing_ok=True)
    with open_duckdb(given.warehouse, memory_limit="4GB", spill=FOLDER / "spill") as warehouse:
        intake.land(warehouse, settings, "bench", now=datetime.now(UTC))
        intake.merge(warehouse, "bench")
        write_tables(warehouse, [])
        warehouse.create_as(
            "bench.truth",
            "select concat_ws(':', 'contacts', source_system, record_id) as record_key, person_id from"
            f" read_parquet('{folder / 'truth' / 'records.parquet'}') where record_table = 'contacts'"
            f" order by person_id, record_key limit {given.count}",
        )
        warehouse.run(
            "create temp table known as select concat_ws(':', 'contacts', source_system, contact_id) as record_key,"
            " id_namespace || ':' || contact_id as contact_key, * from raw.contacts"
        )
        warehouse.create_as(
            RECORDS,
            "select record_key, source_system, 'contacts' as record_table, contact_id as record_id, created_at as"
            " occurred_at, contact_key, cast(null as varchar) as user_key, lower(email) as email, phone,"
            " cast(null as varchar) as anonymous_key, country from known semi join bench.truth using (record_key)",
        )
        warehouse.create_as(
            PROFILES,
            "select record_key, contact_key, first_name, last_name, case when junk.identifier_value is null then"
            " birth_date end as birth_date, street, city, postcode from known semi join bench.truth using (record_key)"
            " left join (select identifier_value from seeds.junk_identifiers where identifier_kind = 'birth_date')"
            " as junk on cast(birth_date as varchar) = junk.identifier_value",
        )
        for schema in ("raw", "landing", "quarantine", "ops"):
            warehouse.run(f"drop schema if exists {schema} cascade")
        count = int(warehouse.scalar(f"select count(*) from {RECORDS}"))
    shutil.rmtree(folder)
    if count != given.count:
        sys.exit(f"{count:,} contact records instead of {given.count:,}")
    return {"seconds": 0.0, "cpu_seconds": 0.0}


def _fragments_job(given: argparse.Namespace) -> dict[str, Any]:
    """A warehouse with records of several tables, a tenth as many people, a fifth of the records contacts."""
    given.warehouse.unlink(missing_ok=True)
    with open_duckdb(given.warehouse, memory_limit="4GB", spill=FOLDER / "spill") as warehouse:
        write_tables(warehouse, [])
        warehouse.create_as(RECORDS, _fragments_sql(given.count))
        warehouse.create_as(
            PROFILES,
            f"select record_key, contact_key, 'first' || substr(contact_key, -2) as first_name,"
            " 'last' || substr(email, 2, 3) as last_name, cast(null as date) as birth_date, cast(null as varchar) as"
            f" street, cast(null as varchar) as city, cast(null as varchar) as postcode from {RECORDS}"
            " where record_table = 'contacts'",
        )
    return {"seconds": 0.0, "cpu_seconds": 0.0}


def _fragments_sql(count: int) -> str:
    people = count // 10
    return (
        f"with numbers as (select range as i, cast(hash(range) % {people} as bigint) as anybody,"
        " cast(hash(range * 7 + 1) % 100 as integer) as luck"
        f" from range({count})), drawn as (select i, luck, case when i < {count // 5} then i // 2 else anybody end as"
        f" person, case when i < {count // 5} then 'contacts' when i < {count * 7 // 10} then 'touchpoints'"
        f" when i < {count * 9 // 10} then 'orders' else 'tickets' end as record_table from numbers),"
        " told as (select *, 'p' || person || '@mail.example.com' as own_email,"
        " '+1' || (['212', '415', '303', '617', '206', '312'])[cast(1 + person % 6 as integer)]"
        " || cast(2000000 + hash(person * 3) % 7000000 as varchar) as own_phone,"
        " case when i % 2 = 0 then 'shop' else 'crm' end as system from drawn)"
        " select concat_ws(':', record_table, system, i) as record_key, system as source_system, record_table,"
        " cast(i as varchar) as record_id, timestamp '2024-01-01' + to_minutes(cast(hash(i + 5) % 500000 as integer))"
        " as occurred_at, case when record_table = 'contacts' then system || ':' || i when record_table = 'orders' and"
        " luck < 60 then 'shop:' || (person * 2) end as contact_key,"
        " case when record_table = 'touchpoints' and luck < 40 then 'web:u' || person end as user_key,"
        " case when record_table in ('contacts', 'tickets') and luck < 90"
        " or record_table = 'orders' and luck >= 60 or record_table = 'touchpoints' and luck < 5 then own_email end as"
        " email, case when record_table in ('contacts', 'tickets') and luck % 10 < 7 then own_phone end as phone,"
        " case when record_table = 'touchpoints' then 'web:c' || person || '-' || (luck % 2) end as anonymous_key,"
        " cast(null as varchar) as country from told"
    )


# --- command ---------------------------------------------------------------------------------------------------------

SECTIONS: dict[str, Callable[[], list[Figure]]] = {
    "public": public,
    "demo": demo,
    "exact": exact,
    "probable": probable,
}
JOBS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "contacts": _contacts_job,
    "fragments": _fragments_job,
    "resolve": _resolve_job,
    "resolve_again": _resolve_job,
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure identity resolution, with Splink beside it.")
    parser.add_argument("--section", choices=SECTIONS, help="one section alone")
    for name, type_ in (("job", str), ("warehouse", Path), ("count", int), ("memory", str), ("probable", str)):
        parser.add_argument(f"--{name}", type=type_, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.job:
        print(json.dumps(JOBS[given.job](given)))
        return 0
    if given.section is None:
        # Each in a process of its own: a process is said to have needed at least what its parent held when it began.
        commands = [[sys.executable, str(Path(__file__).resolve()), "--section", name] for name in SECTIONS]
        return max(subprocess.run(command, check=False).returncode for command in commands)
    FOLDER.mkdir(parents=True, exist_ok=True)
    section = SECTIONS[given.section]
    print(f"\n== {given.section}: {section.__doc__}\n", flush=True)
    figures = section()
    print(f"\n{verdict_table(figures)}")
    is_good = all(one.is_kept for one in figures)
    print("\nevery limit is kept" if is_good else "\na limit is not kept")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
