"""Measures the lifecycle stages: how fast the history is, how it agrees with the truth, and what an alarm is worth.

    python benchmarks/stages.py [--section speed|truth|alarms] [--full]

``speed``: every model of the history on generated companies, in a process of its own with a memory limit; the data was
loaded by another process before. ``--full`` adds a million customers. ``truth``: the demo company through a whole run,
beside what the generator knows. ``alarms``: companies whose customers' behaviour is known, with several settings.
Files are in ``.cache/bench/stages/``.

Belongs here: the workloads, the figures and their limits. Does not belong here: counting (``stage_figures.py``,
``measuring.py``).
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measuring import BENCH_DIR, Agreement, Figure, measure, table, verdict_table
from stage_figures import Alarm, Buyer, Confusion, Interval, Worth, days, delay_days, quartiles, waiting_days, worth

from lifecycle.calibration.statistics import Waiting, estimate_returns, round_days
from lifecycle.settings import PROJECT_DIR, LifecycleThresholds, load_settings
from lifecycle.warehouse import Warehouse, literal, open_duckdb

if TYPE_CHECKING:
    import numpy as np

FOLDER = BENCH_DIR / "stages"
HISTORY = "marts.customer_lifecycle_history"
LINKS = "identity.record_links"


# --- speed -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Size:
    """So many generated customers, and what their history may cost on two cores."""

    customers: int
    seconds: float


SIZES = (Size(100_000, seconds=45), Size(300_000, seconds=120))
FULL_SIZE = Size(1_000_000, seconds=360)
DAYS = 720
"""A million customers have 50 million events in them."""
MEMORY = "8GB"
MOST_GROWTH = 1.5
"""Seconds per million events of the largest company, in those of the smallest."""

PARTS: Mapping[str, tuple[str, ...]] = {
    "history": ("customer_lifecycle_history", "lifecycle_transitions"),
    "schemes and stage metrics": (
        "lifecycle_stage_daily",
        "lifecycle_stage_flows",
        "lifecycle_stage_survival",
        "lifecycle_bottlenecks",
    ),
    "customer 360": ("customer_scheme_stages",),
}
"""What is told apart → the models that it is for. A model counts in the first part that needs it."""


@dataclass(frozen=True)
class Built:
    """One model: how long it took and what it made."""

    name: str
    seconds: float
    cpu_seconds: float
    rows: int
    part: str


@dataclass(frozen=True)
class Cost:
    """The models of one company, in the order in which they ended, and the largest memory of the process."""

    size: Size
    models: list[Built]
    peak_mb: float

    def seconds(self, part: str = "history") -> float:
        return sum(one.seconds for one in self.models if one.part == part)

    def cpu_seconds(self, part: str = "history") -> float:
        return sum(one.cpu_seconds for one in self.models if one.part == part)

    @property
    def million_events(self) -> float:
        return self.rows("int_timeline") / 1e6

    def rows(self, model: str) -> int:
        return next(one.rows for one in self.models if one.name == model)


def speed(*, is_full: bool = False) -> list[Figure]:
    """Every model of the history on generated companies, seconds, memory and rows."""
    costs = []
    for size in (*SIZES, FULL_SIZE) if is_full else SIZES:
        folder = FOLDER / f"company_{size.customers}"
        print(f"{size.customers:,} customers: generating and loading ...", flush=True)
        _job("load", folder=folder, count=size.customers)
        output, peak_mb = _job("build", folder=folder)
        costs.append(Cost(size, [Built(**one) for one in json.loads(output)], peak_mb))
        shutil.rmtree(folder)
    _show_speed(costs)
    figures = []
    for cost in costs:
        name = f"{cost.size.customers:,} customers"
        figures.append(Figure(f"{name}: history", cost.seconds(), at_most=cost.size.seconds, unit="s"))
        figures.append(Figure(f"{name}: peak memory", cost.peak_mb, unit="MB", digits=0))
    first, last = costs[0], costs[-1]
    growth = (last.seconds() / last.million_events) / (first.seconds() / first.million_events)
    figures.append(Figure("seconds per event, largest to smallest", growth, at_most=MOST_GROWTH, digits=2))
    return figures


def _show_speed(costs: Sequence[Cost]) -> None:
    sizes = [f"{cost.size.customers:,}" for cost in costs]
    totals = [
        ["timeline events", *(f"{cost.rows('int_timeline'):,}" for cost in costs)],
        ["rows of the history", *(f"{cost.rows('customer_lifecycle_history'):,}" for cost in costs)],
        *([f"seconds, {part}", *(f"{cost.seconds(part):.1f}" for cost in costs)] for part in PARTS),
        ["seconds of history per million events", *(f"{cost.seconds() / cost.million_events:.2f}" for cost in costs)],
        *([f"CPU seconds, {part}", *(f"{cost.cpu_seconds(part):.1f}" for cost in costs)] for part in PARTS),
        ["peak MB", *(f"{cost.peak_mb:,.0f}" for cost in costs)],
    ]
    print(table(["customers", *sizes], totals))
    largest = costs[-1]
    by_name = [{one.name: one for one in cost.models} for cost in costs]
    for part in PARTS:
        chosen = sorted((one for one in largest.models if one.part == part), key=lambda one: -one.seconds)
        print(f"\nSeconds per model, {part}, seconds per million events in brackets:\n")
        rows = []
        for model in chosen:
            cells = [
                f"{found[model.name].seconds:.1f} ({found[model.name].seconds / cost.million_events:.2f})"
                for cost, found in zip(costs, by_name, strict=True)
            ]
            rows.append([model.name, *cells, f"{model.rows:,}"])
        print(table(["model", *sizes, "rows of the largest"], rows))


def _company(folder: Path) -> Any:
    """The settings of a generated company with the memory that the benchmark gives."""
    settings = load_settings(folder / "lifecycle.yml")
    limits = settings.warehouse.model_copy(update={"memory_limit": MEMORY, "threads": 2})
    return settings.model_copy(update={"warehouse": limits})


def _load_job(given: argparse.Namespace) -> None:
    """A generated company through the intake. Who is who is taken from the truth: identity is not what is measured."""
    from lifecycle import build
    from lifecycle.dbt import dbt_environment, invoke
    from lifecycle.experiments import attribution
    from lifecycle.identity import merges, resolution
    from lifecycle.sources import intake
    from lifecycle.synthetic.company import generate
    from lifecycle.synthetic.parameters import Arguments

    shutil.rmtree(given.folder, ignore_errors=True)
    generate(Arguments(customers=given.count, days=DAYS, seed=7, profile="retail", out=given.folder))
    settings = _company(given.folder)
    settings.state.make()
    now = datetime.now(UTC)
    with _opened(settings) as warehouse:
        intake.land(warehouse, settings, "bench", now=now)
        intake.merge(warehouse, "bench")
        resolution.create_tables(warehouse)
        merges.create_tables(warehouse)
        attribution.create_tables(warehouse)
        build.create_tables(warehouse)
        day = intake.latest_day(warehouse, settings, now)
        made = build.Build("bench", day, build.local_midnight_after(day, settings))
        warehouse.run("insert into ops.build values (?, ?, ?)", [made.run_id, made.as_of, made.as_of_end])
        build.write_rules(warehouse, settings)
    shutil.rmtree(given.folder / "files")
    failure = invoke(
        ["build", "--resource-type", "model", "--resource-type", "seed", "--select", "staging", "resource_type:seed"],
        dbt_environment(settings, made),
        settings.state.dbt,
    )
    if failure:
        sys.exit(failure)
    with _opened(settings) as warehouse:
        _link_by_truth(warehouse, given.folder / "truth" / "records.parquet")


def _link_by_truth(warehouse: Warehouse, truth: Path) -> None:
    """``identity.record_links`` with one customer per person. Consents are linked by their contact or email."""
    moments = " union all ".join(
        f"select source_system, '{name}' as record_table, {key} as record_id, {at} as linked_at from staging.stg_{name}"
        for name, key, at in (
            ("contacts", "contact_id", "created_at"),
            ("touchpoints", "touchpoint_id", "occurred_at"),
            ("orders", "order_id", "ordered_at"),
            ("subscriptions", "subscription_id", "cast(null as timestamp)"),
            ("tickets", "ticket_id", "opened_at"),
            ("survey_responses", "response_id", "responded_at"),
            ("reviews", "review_id", "reviewed_at"),
            ("loyalty_events", "loyalty_event_id", "occurred_at"),
        )
    )
    named = "'c_' || substr(md5(person_id), 1, 20)"
    warehouse.run(
        f"insert into {LINKS} by name select concat_ws(':', record_table, source_system, record_id) as record_key,"
        f" source_system, record_table, record_id, {named} as customer_id, 'contact_id' as link_rule, 1.0 as"
        f" confidence, linked_at from ({moments}) as moments inner join read_parquet({literal(str(truth))}) as truth"
        " using (source_system, record_table, record_id)"
    )
    warehouse.run(
        f"insert into {LINKS} by name with known as (select contacts.source_system, contacts.contact_id,"
        f" contacts.email, links.customer_id from staging.stg_contacts as contacts inner join {LINKS} as links"
        " on links.record_table = 'contacts' and links.source_system = contacts.source_system"
        " and links.record_id = contacts.contact_id), emails as (select email, min(customer_id) as customer_id from"
        " known where email is not null group by email), said as (select distinct consents.source_system,"
        " concat_ws('|', coalesce(contact_id, ''), coalesce(consents.email, ''), coalesce(phone, ''), channel, purpose,"
        " cast(changed_at as varchar)) as record_id, coalesce(known.customer_id, emails.customer_id) as customer_id,"
        " changed_at as linked_at from staging.stg_consents as consents left join known using (source_system,"
        " contact_id) left join emails on consents.email = emails.email) select concat_ws(':', 'consents',"
        " source_system, record_id) as record_key, source_system, 'consents' as record_table, record_id, customer_id,"
        " 'contact_id' as link_rule, 1.0 as confidence, linked_at from said where customer_id is not null"
    )


def _build_job(given: argparse.Namespace) -> None:
    """Build every model that the history and the schemes are made of, but staging and seeds; print what it took."""
    from lifecycle import build
    from lifecycle.dbt import dbt_environment, invoke

    settings = _company(given.folder)
    with _opened(settings) as warehouse:
        made = build.current(warehouse, "bench")
    took: list[tuple[str, str, float, float]] = []
    cpu = time.process_time()

    def listen(message: Any) -> None:
        # One model at a time, so the CPU time since the last one ended is this one's.
        nonlocal cpu
        if message.info.name == "LogModelResult":
            node, seconds, before, cpu = message.data.node_info, message.data.execution_time, cpu, time.process_time()
            took.append((node.node_name, node.node_relation.schema, seconds, cpu - before))
            print(f"{node.node_name}: {seconds:.1f} s, {cpu - before:.1f} CPU seconds", flush=True)

    wanted = [f"+{model}" for models in PARTS.values() for model in models]
    failure = invoke(
        ["build", "--resource-type", "model", "--exclude", "staging", "--select", *wanted],
        dbt_environment(settings, made),
        settings.state.dbt,
        callbacks=[listen],
    )
    if failure:
        sys.exit(failure)
    parts = _parts_of_models()
    with _opened(settings) as warehouse:
        models = [
            {
                "name": name,
                "seconds": seconds,
                "cpu_seconds": cpu_seconds,
                "rows": int(warehouse.scalar(f"select count(*) from {schema}.{name}")),
                "part": parts[name],
            }
            for name, schema, seconds, cpu_seconds in took
        ]
    print(json.dumps(models))


def _parts_of_models() -> dict[str, str]:
    """Model → part, for everything that the parts are made of."""
    from lifecycle.dbt import parsed_manifest

    nodes = parsed_manifest().nodes
    names = {node.name: unique_id for unique_id, node in nodes.items() if node.resource_type == "model"}
    parts: dict[str, str] = {}
    for part, models in PARTS.items():
        ahead = [names[model] for model in models]
        while ahead:
            unique_id = ahead.pop()
            if nodes[unique_id].resource_type == "model" and nodes[unique_id].name not in parts:
                parts[nodes[unique_id].name] = part
                ahead += [parent for parent in nodes[unique_id].depends_on.nodes if parent in nodes]
    return parts


def _opened(settings: Any) -> Any:
    return open_duckdb(settings.state.warehouse, memory_limit=MEMORY, spill=settings.state.spill)


# --- the truth -------------------------------------------------------------------------------------------------------

DEMO = {"customers": 20_000, "days": 730, "seed": 1, "profile": "retail"}
BUYING_STAGES = ("conversion", "activation", "engagement", "retention", "expansion", "loyalty", "advocacy")
STATES = ("prospect", "trial", "active", "leaving", "gone", "returned")
EXPECTED: Mapping[str, frozenset[str]] = {
    "awareness": frozenset({"prospect"}),
    "consideration": frozenset({"prospect", "trial"}),
    "decision": frozenset({"prospect", "trial"}),
    **dict.fromkeys(BUYING_STAGES, frozenset({"active", "returned"})),
    "reactivated": frozenset({"active", "returned"}),
    "at_risk": frozenset({"leaving"}),
    "lapsed": frozenset({"gone"}),
    "churned": frozenset({"gone"}),
}
"""The true states that a stage stands for. Reactivated is about the past: somebody is back, and an active customer."""
ROUGHLY: Mapping[str, frozenset[str]] = EXPECTED | dict.fromkeys(
    ("at_risk", "lapsed", "churned"), frozenset({"leaving", "gone"})
)
"""The same when only the direction counts: not a customer yet, buying, on the way out."""
ALARM_STAGES = ("at_risk", "lapsed", "churned")
RETURN_DAYS = 30
"""A return is seen when somebody becomes reactivated within so many days of it."""


@dataclass(frozen=True)
class Lives:
    """The stages of the customers, each with the person most of whose records it holds, beside that person's truth.

    A person whom identity left in pieces is several customers; the main one holds most of their orders.
    """

    warehouse: Warehouse
    history: str

    @classmethod
    def of(cls, warehouse: Warehouse, truth: Path, history: str = HISTORY) -> Lives:
        records, states = (literal(str(truth / f"{name}.parquet")) for name in ("records", "stages"))
        warehouse.run(
            "create or replace temp table owners as with counted as (select links.customer_id, truth.person_id,"
            " count(*) as record_count, count_if(record_table = 'orders') as order_count from"
            f" {LINKS} as links inner join read_parquet({records}) as truth using"
            " (source_system, record_table, record_id) group by all), placed as (select *, row_number() over (partition"
            " by customer_id order by record_count desc, person_id) as place from counted), owned as (select * from"
            " placed where place = 1) select customer_id, person_id, row_number() over (partition by person_id"
            " order by order_count desc, record_count desc, customer_id) = 1 as is_main from owned"
        )
        warehouse.run(f"create or replace temp table states as select * from read_parquet({states})")
        return cls(warehouse, history)

    def confusion(self, moments: Sequence[datetime], *, is_main: bool = False) -> Confusion:
        """Over customers at each moment; with ``is_main`` over people, each by their main customer."""
        return Confusion.of(
            self.warehouse.rows(
                "select history.stage, states.state, count(*) from (select unnest($moments::timestamp[]) as moment)"
                f" as moments inner join {self.history} as history on history.valid_from_at < moment and"
                " (history.valid_to_at is null or history.valid_to_at >= moment) inner join temp.owners"
                " using (customer_id) inner join temp.states on states.person_id = owners.person_id and states.from_at"
                " < moment and (states.to_at is null or states.to_at >= moment) where owners.is_main or not $is_main"
                " group by all",
                {"moments": list(moments), "is_main": is_main},
            )
        )

    def intervals(self, stages: Iterable[str]) -> dict[str, list[Interval]]:
        """Person → when their main customer stood in one of these stages, neighbouring intervals as one."""
        found: dict[str, list[Interval]] = {}
        for person, start, end in self.warehouse.rows(
            f"select owners.person_id, valid_from_at, valid_to_at from {self.history} inner join temp.owners using"
            " (customer_id) where owners.is_main and list_contains(?, stage) order by person_id, valid_from_at",
            [list(stages)],
        ):
            before = found.setdefault(person, [])
            if before and before[-1][1] == start:
                before[-1] = (before[-1][0], end)
            else:
                before.append((start, end))
        return found

    def beginnings(self, state: str) -> list[tuple[str, datetime]]:
        """Person and moment of every true beginning of a state, of people who are somebody's main customer."""
        return self.warehouse.rows(
            "select states.person_id, states.from_at from temp.states semi join (select person_id from temp.owners"
            " where is_main) as known using (person_id) where state = ? order by all",
            [state],
        )


def truth() -> list[Figure]:
    """Stages of the demo company against what the generator knows."""
    folder = FOLDER / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    command = str(Path(sys.executable).with_name("lifecycle"))
    options = [part for name, value in DEMO.items() for part in (f"--{name}", str(value))]
    _run("generate", [command, "generate", *options, "--out", str(folder)])
    print("a whole run of the company (some minutes) ...\n", flush=True)
    config = folder / "lifecycle.yml"
    _run("run", [command, "run", "--config", str(config)])
    settings = load_settings(config)
    first_days = [*(date(2025, month, 1) for month in range(2, 13)), date(2026, 1, 1)]
    moments = [datetime.combine(day, clock(), settings.zone).astimezone(UTC).replace(tzinfo=None) for day in first_days]
    with open_duckdb(settings.state.warehouse, read_only=True, memory_limit="4GB") as warehouse:
        gap = proposed_gap(_buyers_of(warehouse), moments[-1])
        figures = _judge(Lives.of(warehouse, folder / "truth"), moments)
    today = settings.lifecycle.default_order_gap_days
    print(f"\nThe same with the usual gap that calibrate would propose, {gap} days in place of {today:g}:\n")
    thresholds = settings.lifecycle.model_copy(update={"default_order_gap_days": float(gap)})
    _job("variant", folder=folder, thresholds=thresholds.model_dump_json())
    with open_duckdb(settings.state.warehouse, read_only=True, memory_limit="4GB") as warehouse:
        warehouse.run(f"attach {literal(str(folder / 'variant' / 'warehouse.duckdb'))} as variant (read_only)")
        other = Lives.of(warehouse, folder / "truth", f"variant.{HISTORY}")
        people = other.confusion(moments, is_main=True)
        print(f"agree: {_percent(people.agreement(EXPECTED))}; by direction: {_percent(people.agreement(ROUGHLY))}\n")
        _show_found(people)
        _show_delays(other, moments[-1])
    return figures


def _buyers_of(warehouse: Warehouse) -> dict[str, Buyer]:
    """Customers with the beginnings of their paid days; subscribers do not choose when to pay."""
    return {
        lifecycle: Buyer(moments)
        for lifecycle, moments in warehouse.rows(
            "select lifecycle_id, list(paid_at order by paid_at) from intermediate.int_paid_days anti join (select"
            " lifecycle_id from intermediate.int_subscriptions inner join intermediate.int_lifecycle_members using"
            " (customer_id)) as subscribed using (lifecycle_id) group by lifecycle_id"
        )
    }


def _variant_job(given: argparse.Namespace) -> None:
    """The history of a company with other thresholds, beside the one it has."""
    from lifecycle.comparison.variant import build_variant

    settings = load_settings(given.folder / "lifecycle.yml")
    with open_duckdb(settings.state.warehouse, read_only=True) as warehouse:
        as_of = warehouse.scalar("select as_of from ops.build")
    thresholds = LifecycleThresholds.model_validate_json(given.thresholds)
    into = given.folder / "variant"
    into.mkdir()
    build_variant(settings, into, as_of=as_of, thresholds=thresholds, select=["customer_lifecycle_history"])


def _judge(lives: Lives, moments: Sequence[datetime]) -> list[Figure]:
    everybody, people = lives.confusion(moments), lives.confusion(moments, is_main=True)
    print(f"Customers at {len(moments)} month ends of the second year, by stage and true state:\n")
    stages = list(EXPECTED)
    rows = [
        [
            stage,
            *(f"{everybody.counts[stage, state]:,}" for state in STATES),
            _percent(everybody.agreement(EXPECTED, stage)),
            _percent(people.agreement(EXPECTED, stage)),
        ]
        for stage in stages
    ]
    overall = [
        [title, *[""] * len(STATES), _percent(everybody.agreement(expected)), _percent(people.agreement(expected))]
        for title, expected in (("all", EXPECTED), ("all, by direction", ROUGHLY))
    ]
    print(table(["stage", *STATES, "agrees", "of people"], rows + overall))
    print("\nagrees: the share of the stage that stood in a state it stands for. of people: each person once, by the")
    print("customer that holds most of their orders; the difference is what identity leaves in pieces.\n")
    gone = _show_found(people)
    _show_delays(lives, moments[-1])
    last = lives.confusion(moments[-1:], is_main=True)
    print(f"\nOn the last day alone {_percent(last.agreement(EXPECTED))} of the people agree.")
    return [
        Figure("stages that agree, people", people.agreement(EXPECTED) * 100, at_least=60, unit="%"),
        Figure("by direction, people", people.agreement(ROUGHLY) * 100, at_least=65, unit="%"),
        Figure("precision of lapsed and churned", gone.precision * 100, at_least=50, unit="%"),
        Figure("recall of gone", gone.recall * 100, at_least=50, unit="%"),
    ]


def _show_found(people: Confusion) -> Agreement:
    """Print how well stages find states; returns that of lapsed and churned."""
    found: list[tuple[str, Agreement]] = [
        ("gone, by lapsed and churned", people.found(("lapsed", "churned"), ("gone",))),
        ("leaving, by at_risk", people.found(("at_risk",), ("leaving",))),
        ("leaving or gone, by at_risk, lapsed and churned", people.found(ALARM_STAGES, ("leaving", "gone"))),
        ("returned, by reactivated", people.found(("reactivated",), ("returned",))),
    ]
    print(
        table(
            ["true state, and the stages that should find it (people)", "precision", "recall"],
            [[title, _percent(one.precision), _percent(one.recall)] for title, one in found],
        )
    )
    return found[0][1]


def _show_delays(lives: Lives, end: datetime) -> None:
    alarms, back = lives.intervals(ALARM_STAGES), lives.intervals(("reactivated",))
    rows = []
    for title, state in (("leaving", "leaving"), ("gone", "gone")):
        # Whoever stopped in the last year may not be found yet by any clock.
        since = [(person, at) for person, at in lives.beginnings(state) if days(at, end) >= 365]
        delays = [delay_days(at, alarms.get(person, [])) for person, at in since]
        known = [one for one in delays if one is not None]
        rows.append([f"first alarm after {title}, a year or more ago", *_delay_cells(known, len(since))])
    returns = lives.beginnings("returned")
    delays = [delay_days(at, back.get(person, [])) for person, at in returns]
    seen = [one for one in delays if one is not None and -1 <= one <= RETURN_DAYS]
    rows.append(["reactivated after returned", *_delay_cells(seen, len(returns))])
    print(f"\nDays from the true moment to the stage (people):\n\n{table(_DELAY_HEADER, rows)}")


_DELAY_HEADER = ["", "true moments", "found", "p25", "median", "p75"]


def _delay_cells(delays: Sequence[float], count: int) -> list[str]:
    spread = quartiles(delays)
    shares = [f"{one:.0f}" for one in spread] if spread else [""] * 3
    return [f"{count:,}", _percent(len(delays) / count) if count else "", *shares]


def _percent(share: float | None) -> str:
    return "" if share is None or math.isnan(share) else f"{share:.1%}"


# --- alarms ----------------------------------------------------------------------------------------------------------

FACTORS = (1.5, 2.0, 2.5, 3.0)
LAPSE_GAPS = 4
"""Expected gaps until somebody lapses, as with the defaults, whatever the due factor: all alarms are asked the same."""


@dataclass(frozen=True)
class Company:
    """Who bought when. ``stopped_days``: whose last order is so long ago counts as stopped where nobody knows."""

    name: str
    buyers: dict[str, Buyer]
    end: datetime
    zone: str
    stopped_days: float
    advised: tuple[dict[str, float], ...]

    @property
    def stopped(self) -> dict[str, datetime]:
        """Customer → last order, of whoever is known to have stopped, or seems to, long enough ago for any clock."""
        return {
            customer: buyer.ordered_at[-1]
            for customer, buyer in self.buyers.items()
            if buyer.has_stopped is not False and days(buyer.ordered_at[-1], self.end) >= self.stopped_days
        }


def grocer() -> Company | None:
    """Complete Journey: 2,469 households, one year. Nobody knows who has left for good."""
    path = PROJECT_DIR / "examples" / "complete_journey" / "data" / "orders.parquet"
    if not path.exists():
        return None
    import duckdb

    with duckdb.connect(":memory:") as connection:
        rows = connection.execute(
            "select cast(contact_id as varchar), list(ordered_at order by ordered_at)"
            f" from read_parquet({literal(str(path))}) where total_amount > 0 group by contact_id"
        ).fetchall()
    buyers = {customer: Buyer(moments) for customer, moments in rows}
    advised = ({"due_min_days": 45}, {"due_min_days": 60})
    return Company("grocer", buyers, datetime(2018, 1, 1, 5), "America/New_York", 90, advised)


YEARS = 4
START, END = datetime(2021, 1, 1), datetime(2025, 1, 1)


def gift_shop(people: int = 3_000, seed: int = 1) -> Company:
    """Presents, bought for the same occasions every year.

    Three of four buy for Christmas (around 12 December, deviation 8 days), half for a date of their own (deviation 5),
    everybody for one of the two. Each occasion is kept with a chance of 80 %; after each order 15 % never buy again.
    They come evenly over the first three and a half years; the first occasion after that is their first order.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    buyers: dict[str, Buyer] = {}
    for number in range(people):
        occasions = [(346.0, 8.0)] if random.random() < 0.75 else []
        if not occasions or random.random() < 0.5:
            occasions.append((float(random.uniform(1, 330)), 5.0))
        arrival = float(random.uniform(0, 3.5 * 365))
        wishes = sorted(
            year * 365.25 + random.normal(place, spread) for year in range(YEARS + 1) for place, spread in occasions
        )
        buyers |= _buyer(random, f"g{number}", [one for one in wishes if one > arrival], kept=0.8, leaves=0.15)
    advised = ({"due_factor": 1.1},)
    return Company("gift shop", buyers, END, "UTC", 430, advised)


def annual_seller(people: int = 3_000, seed: int = 2) -> Company:
    """A yearly purchase, such as an insurance paid by invoice: 365 days apart, deviation 12 days.

    After each order 12 % never buy again; whoever stays misses no year. First orders are spread evenly over three and a
    half years.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    buyers: dict[str, Buyer] = {}
    for number in range(people):
        first = float(random.uniform(0, 3.5 * 365))
        moments = first + np.concatenate([[0.0], np.cumsum(np.maximum(300, random.normal(365, 12, YEARS + 1)))])
        buyers |= _buyer(random, f"a{number}", list(moments), kept=1.0, leaves=0.12)
    advised = ({"due_factor": 1.1},)
    return Company("annual seller", buyers, END, "UTC", 430, advised)


def _buyer(
    random: np.random.Generator, name: str, wishes: Iterable[float], *, kept: float, leaves: float
) -> dict[str, Buyer]:
    """The orders of one person by days since the start; what lies after the end is not known and not there."""
    moments: list[datetime] = []
    has_stopped = False
    for wish in wishes:
        if moments and random.random() >= kept:
            continue
        moment = START + timedelta(days=round(wish), hours=float(random.uniform(9, 21)))
        if moment >= END:
            break
        if moments and moment <= moments[-1]:
            continue
        moments.append(moment)
        has_stopped = bool(random.random() < leaves)
        if has_stopped:
            break
    return {name: Buyer(moments, has_stopped)} if moments else {}


def proposed_gap(buyers: Mapping[str, Buyer], end: datetime) -> int:
    """What ``lifecycle calibrate`` would propose as the usual gap: half of those who come back do so within it."""
    counts: dict[int, list[int]] = {}
    for buyer in buyers.values():
        first, *later = buyer.ordered_at
        following = next((moment for moment in later if moment.date() > first.date()), None)
        entry = counts.setdefault(int(days(first, following or end)), [0, 0])
        entry[following is None] += 1
    found = estimate_returns(Waiting(day, *entry) for day, entry in counts.items())
    if found is None:
        sys.exit("nobody comes back: there is no usual gap")
    return round_days(found.median_days)


def alarms() -> list[Figure]:
    """What at_risk is worth at companies whose customers' behaviour is known."""
    figures: list[Figure] = []
    shutil.rmtree(FOLDER / "alarms", ignore_errors=True)
    (FOLDER / "alarms").mkdir(parents=True)
    for company in (grocer(), gift_shop(), annual_seller()):
        if company is None:
            print("the grocer is skipped: run examples/complete_journey/prepare.py first\n")
            continue
        gap = proposed_gap(company.buyers, company.end)
        order_count = sum(len(buyer.ordered_at) for buyer in company.buyers.values())
        print(
            f"{company.name}: {len(company.buyers):,} customers, {order_count:,} orders;"
            f" {len(company.stopped):,} stopped"
            f" {company.stopped_days:g} days ago or earlier; calibrate would propose a gap of {gap} days\n",
            flush=True,
        )
        history = _AlarmHistory.of(company)
        rows: list[list[str]] = []
        for usual_gap in (30, gap):
            for factor in FACTORS:
                given = {"default_order_gap_days": usual_gap, "due_factor": factor}
                rows += history.rows(f"gap {usual_gap}, factor {factor:g}", given)
        for changes in company.advised:
            given = {"default_order_gap_days": gap, "due_factor": 2, **changes}
            rows += history.rows(", ".join(f"{name} {value:g}" for name, value in given.items()), given)
        print(table(_ALARM_HEADER, rows))
        print()
        share = history.last_found_share
        figures.append(Figure(f"{company.name}: stopped who got an alarm", share * 100, at_least=95, unit="%"))
    print(
        "A reason has a row of its own where there are several. back: bought again before the lapse clock ran out (of\n"
        "alarms whose lapse clock has run out by now), days: half of them within so many; late: after it; not: not\n"
        "yet. gone: of all alarms, those of somebody who never buys again. stopped: of those who stopped long ago,\n"
        "who got an alarm after their last order, and after how many days (half of them)."
    )
    return figures


_ALARM_HEADER = [
    "setting", "alarms", "a year", "decided", "back", "days", "late", "not", "gone", "stopped", "after",
]  # fmt: skip


@dataclass
class _AlarmHistory:
    """A company of orders alone in a warehouse, built again and again with other thresholds."""

    company: Company
    project: Any
    last_found_share: float = 0.0

    @classmethod
    def of(cls, company: Company) -> _AlarmHistory:
        import pyarrow as pa

        from lifecycle.dbt import parsed_manifest
        from tests.dbt.project import DbtProject, empty_warehouse

        folder = FOLDER / "alarms" / company.name.replace(" ", "_")
        folder.mkdir()
        environment = {
            "LIFECYCLE_AS_OF": (company.end - timedelta(days=1)).date().isoformat(),
            "LIFECYCLE_AS_OF_END": company.end.isoformat(" "),
            "LIFECYCLE_TIMEZONE": company.zone,
        }
        project = DbtProject(parsed_manifest(), folder, environment)
        empty_warehouse(project.warehouse)
        orders = pa.table(
            {
                "contact_id": [name for name, buyer in company.buyers.items() for _ in buyer.ordered_at],
                "ordered_at": pa.array(
                    [moment for buyer in company.buyers.values() for moment in buyer.ordered_at], pa.timestamp("us")
                ),
            }
        )
        with project.opened() as warehouse:
            warehouse.connection.register("incoming", orders)
            warehouse.run(
                "insert into raw.orders by name select 'b1' as batch_id, timestamp '2020-01-01' as loaded_at, 'shop' as"
                " source_system, 'shop' as id_namespace, cast(row_number() over () as varchar) as order_id, contact_id,"
                " ordered_at, 'completed' as order_status, 40 as total_amount, 'USD' as currency from incoming"
            )
            warehouse.run(
                f"insert into {LINKS} by name select concat_ws(':', 'orders', source_system, order_id) as record_key,"
                " source_system, 'orders' as record_table, order_id as record_id, contact_id as customer_id,"
                " 'contact_id' as link_rule, 1.0 as confidence, ordered_at as linked_at from raw.orders"
            )
        project.build(["+customer_lifecycle_history"])
        return cls(company, project)

    def rows(self, title: str, given: Mapping[str, float]) -> list[list[str]]:
        found = self._alarms(given)
        stopped = self.company.stopped
        waited = waiting_days(stopped, found)
        self.last_found_share = len(waited) / len(stopped)
        half = quartiles(waited)
        everything = worth(found, self.company.buyers, self.company.end)
        last = [_percent(self.last_found_share), f"{half[1]:.0f}" if half else ""]
        rows = [[title, *_worth_cells(everything), *last]]
        reasons = sorted({alarm.reason for alarm in found})
        for reason in reasons if len(reasons) > 1 else []:
            one = worth([alarm for alarm in found if alarm.reason == reason], self.company.buyers, self.company.end)
            rows.append([f"  {reason}", *_worth_cells(one), "", ""])
        return rows

    def _alarms(self, given: Mapping[str, float]) -> list[Alarm]:
        from lifecycle.build import write_rules
        from tests.dbt.project import settings_of

        thresholds = LifecycleThresholds.model_validate({"lapse_factor": LAPSE_GAPS / given["due_factor"], **given})
        with self.project.opened() as warehouse:
            write_rules(warehouse, settings_of(thresholds))
        self.project.build(["stg_lifecycle_settings+,+customer_lifecycle_history"])
        with self.project.opened() as warehouse:
            rows = warehouse.rows(
                "select customer_id, reason_code, valid_from_at, last_paid_at + to_seconds(cast(round(lapse_days"
                f" * 86400) as bigint)) from {HISTORY} as history inner join intermediate.int_lifecycle_stages as"
                " stages using (customer_id, valid_from_at) where history.stage = 'at_risk' order by all"
            )
        return [Alarm(*row) for row in rows]


def _worth_cells(found: Worth) -> list[str]:
    return [
        f"{found.alarm_count:,}",
        f"{found.per_customer_year:.2f}",
        f"{found.decided_count:,}",
        _percent(found.back_share),
        f"{found.back_days:.0f}" if found.back_days is not None else "",
        _percent(found.late_share),
        _percent(found.lost_share),
        _percent(found.gone_share),
    ]


# --- processes of their own ------------------------------------------------------------------------------------------


def _run(name: str, command: list[str]) -> tuple[str, float]:
    """Run a command to its end: what it wrote and its peak in MB. One that fails ends the benchmark."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    log = FOLDER / f"{name}.log"
    measured = measure(command, log)
    output = log.read_text(encoding="utf-8", errors="replace")
    if measured.exit_code:
        print(output[-4000:])
        sys.exit(f"{name}: FAIL, it ended with exit code {measured.exit_code}")
    return output, measured.peak_mb


def _job(name: str, **options: Any) -> tuple[str, float]:
    """Run one of JOBS in a process of its own: the last line it wrote, and its peak in MB."""
    given = [part for key, value in options.items() for part in (f"--{key}", str(value))]
    output, peak_mb = _run(name, [sys.executable, str(Path(__file__).resolve()), "--job", name, *given])
    return (output.strip().splitlines() or [""])[-1], peak_mb


# --- command ---------------------------------------------------------------------------------------------------------

SECTIONS: dict[str, Callable[[], list[Figure]]] = {"speed": speed, "truth": truth, "alarms": alarms}
JOBS: dict[str, Callable[[argparse.Namespace], None]] = {
    "load": _load_job,
    "build": _build_job,
    "variant": _variant_job,
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the lifecycle stages: speed, agreement, worth of alarms.")
    parser.add_argument("--section", choices=SECTIONS, help="one section alone")
    parser.add_argument("--full", action="store_true", help="speed: also with a million customers (half an hour more)")
    for name, type_ in (("job", str), ("folder", Path), ("count", int), ("thresholds", str)):
        parser.add_argument(f"--{name}", type=type_, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.job:
        JOBS[given.job](given)
        return 0
    if given.section is None:
        # Each in a process of its own: a process is said to have needed at least what its parent held when it began.
        full = ["--full"] if given.full else []
        commands = [[sys.executable, str(Path(__file__).resolve()), "--section", name, *full] for name in SECTIONS]
        return max(subprocess.run(command, check=False).returncode for command in commands)
    FOLDER.mkdir(parents=True, exist_ok=True)
    section = SECTIONS[given.section]
    print(f"\n== {given.section}: {section.__doc__}\n", flush=True)
    figures = speed(is_full=given.full) if given.section == "speed" else section()
    print(f"\n{verdict_table(figures)}")
    is_good = all(one.is_kept for one in figures)
    print("\nevery limit is kept" if is_good else "\na limit is not kept")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
