"""Measures how fast the models are: history, customer 360 and metrics of generated companies.

    python benchmarks/models.py [--section speed|million|orders]

Every model but staging, in two processes with a memory limit: first what stands on the timeline, then the metrics. The
data was loaded by another process before. ``speed``: two companies, the larger three times the smaller. On request,
half an hour each: ``million``, a million customers with 50 million events; ``orders``, the same with four times the
orders. Files are in ``.cache/bench/models/``.

Belongs here: the workloads, the figures and their limits. Does not belong here: measuring and printing
(``measuring.py``), attribution on paths of its own (``attribution.py``).
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from measuring import BENCH_DIR, Bench, Figure, ModelTime, ModelTimes, table

from lifecycle.settings import load_settings
from lifecycle.warehouse import Warehouse, literal, open_duckdb

FOLDER = BENCH_DIR / "models"
BENCH = Bench(Path(__file__), FOLDER)
LINKS = "identity.record_links"


@dataclass(frozen=True)
class Size:
    """So many generated customers, every order so many times, and what their models may cost on two cores."""

    customers: int
    order_copies: int = 1
    history_seconds: float | None = None
    metric_seconds: float | None = None

    @property
    def name(self) -> str:
        return f"{self.customers:,} customers" + (f", orders x {self.order_copies}" if self.order_copies > 1 else "")


SIZES = (
    Size(100_000, history_seconds=45, metric_seconds=40),
    Size(300_000, history_seconds=120, metric_seconds=100),
)
MILLION = Size(1_000_000, history_seconds=360, metric_seconds=240)
ORDERS = Size(1_000_000, order_copies=4, metric_seconds=240)
DAYS = 720
"""A million customers have 50 million events in them."""
MEMORY = "8GB"
METRICS_MEMORY = "6500MB"
"""What DuckDB may take while metrics are built: the process as a whole needs more."""
MOST_METRICS_MB = 8_000
MOST_GROWTH = 1.5
"""Seconds per million events of the largest company, in those of the smallest."""

SEGMENTS, METRICS = "segments", "metrics"
PARTS: Mapping[str, tuple[str, ...]] = {
    "history": ("customer_lifecycle_history", "lifecycle_transitions"),
    "schemes and stage metrics": (
        "lifecycle_stage_daily",
        "lifecycle_stage_flows",
        "lifecycle_stage_survival",
        "lifecycle_bottlenecks",
    ),
    "customer 360": ("customer_scheme_stages", "customer_timeline", "customer_contacts"),
}
"""What is told apart → the models that it is for; segments and metrics come after these. A model counts in the first
part that needs it."""


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
    """The models of one company, in the order in which they ended, and the largest memory of both processes."""

    size: Size
    models: list[Built]
    peak_mb: float
    metrics_peak_mb: float

    def seconds(self, part: str) -> float:
        return sum(one.seconds for one in self.models if one.part == part)

    def cpu_seconds(self, part: str) -> float:
        return sum(one.cpu_seconds for one in self.models if one.part == part)

    @property
    def million_events(self) -> float:
        return self.rows("int_timeline") / 1e6

    def rows(self, model: str) -> int:
        return next(one.rows for one in self.models if one.name == model)


def speed() -> list[Figure]:
    """Every model of two companies, seconds, memory and rows."""
    costs = [_measured(size) for size in SIZES]
    figures = _shown(costs)
    small, large = costs
    for part in ("history", METRICS):
        growth = (large.seconds(part) / large.million_events) / (small.seconds(part) / small.million_events)
        figures.append(Figure(f"{part}: seconds per event, large to small", growth, at_most=MOST_GROWTH, digits=2))
    return figures


def million() -> list[Figure]:
    """Every model of a million customers."""
    return _shown([_measured(MILLION)])


def orders() -> list[Figure]:
    """Every model of a million customers who order four times as often."""
    return _shown([_measured(ORDERS)])


def _measured(size: Size) -> Cost:
    folder = FOLDER / f"company_{size.customers}_{size.order_copies}"
    print(f"{size.name}: generating and loading ...", flush=True)
    BENCH.job("load", folder=folder, count=size.customers, copies=size.order_copies)
    outputs, peaks = zip(*(BENCH.job(name, folder=folder) for name in ("history", "metrics")), strict=True)
    shutil.rmtree(folder)
    return Cost(size, [Built(**one) for output in outputs for one in json.loads(output)], *peaks)


def _shown(costs: Sequence[Cost]) -> list[Figure]:
    sizes = [cost.size.name for cost in costs]
    parts = [*PARTS, SEGMENTS, METRICS]
    totals = [
        ["timeline events", *(f"{cost.rows('int_timeline'):,}" for cost in costs)],
        ["orders", *(f"{cost.rows('int_orders'):,}" for cost in costs)],
        ["rows of the history", *(f"{cost.rows('customer_lifecycle_history'):,}" for cost in costs)],
    ]
    for part in parts:
        totals += [
            [f"seconds, {part}", *(f"{cost.seconds(part):.1f}" for cost in costs)],
            ["  per million events", *(f"{cost.seconds(part) / cost.million_events:.2f}" for cost in costs)],
            ["  CPU seconds", *(f"{cost.cpu_seconds(part):.1f}" for cost in costs)],
        ]
    print(table(["", *sizes], totals))
    by_name = [{one.name: one for one in cost.models} for cost in costs]
    for part in parts:
        chosen = sorted((one for one in costs[-1].models if one.part == part), key=lambda one: -one.seconds)
        print(f"\nSeconds per model, {part}, seconds per million events in brackets:\n")
        rows = []
        for model in chosen:
            cells = [
                f"{found[model.name].seconds:.1f} ({found[model.name].seconds / cost.million_events:.2f})"
                for cost, found in zip(costs, by_name, strict=True)
            ]
            rows.append([model.name, *cells, f"{model.rows:,}"])
        print(table(["model", *sizes, "rows of the largest"], rows))
    figures = []
    for cost in costs:
        size = cost.size
        figures += [
            Figure(f"{size.name}: history", cost.seconds("history"), at_most=size.history_seconds, unit="s"),
            Figure(f"{size.name}: peak memory before the metrics", cost.peak_mb, unit="MB", digits=0),
            Figure(f"{size.name}: metrics", cost.seconds(METRICS), at_most=size.metric_seconds, unit="s"),
            Figure(
                f"{size.name}: peak memory of the metrics",
                cost.metrics_peak_mb,
                at_most=MOST_METRICS_MB,
                unit="MB",
                digits=0,
            ),
        ]
    return figures


# --- loading ---------------------------------------------------------------------------------------------------------


def _company(folder: Path, memory: str = MEMORY) -> Any:
    """The settings of a generated company with the memory that the benchmark gives."""
    settings = load_settings(folder / "lifecycle.yml")
    limits = settings.warehouse.model_copy(update={"memory_limit": memory, "threads": 2})
    return settings.model_copy(update={"warehouse": limits})


def _opened(settings: Any) -> Any:
    return open_duckdb(
        settings.state.warehouse, memory_limit=settings.warehouse.memory_limit, spill=settings.state.spill
    )


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
        for copy in range(1, given.copies):
            _copy_orders(warehouse, copy)


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


def _copy_orders(warehouse: Warehouse, copy: int) -> None:
    """Every order once more, some days earlier, with its lines."""
    suffix, days = f"'-{copy}'", f"to_days({copy * 9})"
    moments = ("ordered_at", "paid_at", "promised_delivery_at", "delivered_at", "cancelled_at")
    earlier = ", ".join(f"{name} - {days} as {name}" for name in moments)
    is_first = "order_id not like '%-_'"
    warehouse.run(
        f"insert into raw.orders select * replace (order_id || {suffix} as order_id, {earlier}) from raw.orders"
        f" where {is_first}"
    )
    warehouse.run(
        f"insert into raw.order_items select * replace (order_id || {suffix} as order_id) from raw.order_items"
        f" where {is_first}"
    )
    warehouse.run(
        f"insert into {LINKS} select * replace (record_key || {suffix} as record_key, record_id || {suffix} as"
        f" record_id, linked_at - {days} as linked_at) from {LINKS} where record_table = 'orders' and record_id not"
        " like '%-_'"
    )


# --- building --------------------------------------------------------------------------------------------------------


def _history_job(given: argparse.Namespace) -> None:
    """Build every model of the parts, but staging and seeds; print what it took."""
    _build(given.folder, [[f"+{model}" for models in PARTS.values() for model in models]])


def _metrics_job(given: argparse.Namespace) -> None:
    """Build everything else, the chain of attribution in between; print what it took."""
    metrics = [name for name, part in _parts_of_models().items() if part in (SEGMENTS, METRICS)]
    after = "int_attribution_removal_effects"
    _build(given.folder, [[*metrics, f"--exclude={after}+"], [f"{after}+"]], METRICS_MEMORY)


def _build(folder: Path, selections: Sequence[Sequence[str]], memory: str = MEMORY) -> None:
    from lifecycle import build
    from lifecycle.dbt import dbt_environment, invoke
    from lifecycle.experiments import attribution

    settings = _company(folder, memory)
    with _opened(settings) as warehouse:
        made = build.current(warehouse, "bench")
    times = ModelTimes()
    for number, selected in enumerate(selections):
        if number:
            wall, cpu = time.perf_counter(), time.process_time()
            with _opened(settings) as warehouse:
                attribution.write_removal_effects(warehouse)
            took = (time.perf_counter() - wall, time.process_time() - cpu)
            times.note(ModelTime("removal_effects", "attribution", *took))
        failure = invoke(
            ["build", "--resource-type", "model", "--exclude-resource-type", "seed", "--select", *selected],
            dbt_environment(settings, made),
            settings.state.dbt,
            callbacks=[times],
        )
        if failure:
            sys.exit(failure)
    parts = _parts_of_models()
    with _opened(settings) as warehouse:
        built = [
            {
                "name": one.name,
                "seconds": one.seconds,
                "cpu_seconds": one.cpu_seconds,
                "rows": int(warehouse.scalar(f"select count(*) from {one.schema}.{one.name}")),
                "part": parts.get(one.name, METRICS),
            }
            for one in times.took
        ]
    print(json.dumps(built))


def _parts_of_models() -> dict[str, str]:
    """Model → part, for every model but those of staging and what nothing of the parts needs."""
    from lifecycle.dbt import parsed_manifest

    nodes = parsed_manifest().nodes
    models = {
        node.name: unique_id
        for unique_id, node in nodes.items()
        if node.resource_type == "model" and node.fqn[1] != "staging"
    }
    figures = {"segment_monthly"}
    segments = [
        name for name, unique_id in models.items() if nodes[unique_id].fqn[1] == "segments" and name not in figures
    ]
    metrics = [
        node.name
        for node in (nodes[unique_id] for unique_id in models.values())
        if node.fqn[1:3] == ["marts", "metrics"] or node.name in figures
    ]
    parts: dict[str, str] = {}
    for part, wanted in {**PARTS, SEGMENTS: segments, METRICS: metrics}.items():
        ahead = [models[name] for name in wanted]
        while ahead:
            node = nodes[ahead.pop()]
            if node.name in models and node.name not in parts:
                parts[node.name] = part
                ahead += [parent for parent in node.depends_on.nodes if parent in nodes]
    return parts


# --- command ---------------------------------------------------------------------------------------------------------


def main() -> int:
    return BENCH.main(
        "Measure the speed of the models: history, customer 360, metrics.",
        sections={"speed": speed},
        jobs={"load": _load_job, "history": _history_job, "metrics": _metrics_job},
        options={"folder": Path, "count": int, "copies": int},
        on_request={"million": million, "orders": orders},
    )


if __name__ == "__main__":
    sys.exit(main())
