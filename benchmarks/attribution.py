"""Measures attribution: how fast paths are credited and chains solved, and which model comes closest to the truth.

    python benchmarks/attribution.py [--section speed|markov|truth]

``speed``: every model of attribution on generated paths, in a process of its own with a memory limit; the touches and
orders were written by another process before. ``markov``: chains of many channels and campaigns. ``truth``: the demo
company through a whole run, beside what the generator knows. Files are in ``.cache/bench/paths/``.

Belongs here: the workloads, the figures and their limits. Does not belong here: measuring and printing
(``measuring.py``).
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from measuring import BENCH_DIR, Bench, Figure, ModelTime, ModelTimes, table

from lifecycle.experiments import attribution
from lifecycle.experiments.attribution import Chain, removal_effects
from lifecycle.settings import Settings, Source, WarehouseSettings, load_settings
from lifecycle.warehouse import Warehouse, open_duckdb

FOLDER = BENCH_DIR / "paths"
BENCH = Bench(Path(__file__), FOLDER)
MODELS = ("first_touch", "last_touch", "linear", "position_based", "time_decay", "markov")


# --- speed -----------------------------------------------------------------------------------------------------------

PATHS = 5_000_000
MEMORY = "8GB"
MOST_SECONDS = 60
DAY, DAY_END = date(2025, 12, 31), datetime(2026, 1, 1)
SEEDS = ("channels", "touchpoint_types", "attribution_exclusions")
BEFORE_CHAIN = (
    "int_attribution_conversions",
    "int_attribution_stops",
    "int_attribution_touches",
    "int_attribution_paths",
    "int_attribution_transitions",
)
AFTER_CHAIN = (
    "int_attribution_removal_effects",
    "int_attribution_credits",
    "attribution_conversions",
    "attribution_monthly",
    "attribution_removal_effects",
)


def speed() -> list[Figure]:
    """Every model of attribution on generated paths, seconds, memory and rows."""
    folder = FOLDER / "speed"
    print(f"{PATHS:,} paths: writing touches and orders ...", flush=True)
    BENCH.job("write", folder=folder, count=PATHS)
    output, peak_mb = BENCH.job("credit", folder=folder)
    found = json.loads(output)
    rows = [
        [name, f"{seconds:.1f}", f"{cpu_seconds:.1f}", f"{count:,}"]
        for name, seconds, cpu_seconds, count in found["models"]
    ]
    print(table(["model", "seconds", "CPU seconds", "rows"], rows))
    print(f"\n{found['converted']:,} of {found['paths']:,} paths converted; {found['touches']:,} touches are on them")
    shutil.rmtree(folder)
    seconds = sum(model[1] for model in found["models"])
    return [
        Figure(f"{found['paths']:,} paths credited under six models", seconds, at_most=MOST_SECONDS, unit="s"),
        Figure("peak memory of the process", peak_mb, at_most=8_000, unit="MB", digits=0),
    ]


def _settings(folder: Path) -> Settings:
    """A company that has nothing but a place to be built in."""
    return Settings(
        project="paths",
        state_dir=str(folder),
        sources=[Source(name="shop", table="orders", path="orders.csv")],
        warehouse=WarehouseSettings(memory_limit=MEMORY, threads=2),
        config_file=folder / "lifecycle.yml",
    )


def _opened(settings: Settings) -> Any:
    return open_duckdb(settings.state.warehouse, memory_limit=MEMORY, spill=settings.state.spill)


def _write_job(given: argparse.Namespace) -> None:
    """Touches and orders of so many paths, as the timeline and the orders hand them to attribution."""
    from lifecycle import build

    shutil.rmtree(given.folder, ignore_errors=True)
    settings = _settings(given.folder)
    settings.state.make()
    with _opened(settings) as warehouse:
        build.create_tables(warehouse)
        warehouse.run("insert into ops.build values ('bench', ?, ?)", [DAY, DAY_END])
        build.write_rules(warehouse, settings)
        attribution.create_tables(warehouse)
        _write_paths(warehouse, given.count)


def _write_paths(warehouse: Warehouse, count: int) -> None:
    """Two paths of every customer, half a year apart; three of five end in an order.

    A path has 1 to 8 touches (three on average) over up to 25 days; a visit has one or two events. 24 channels, of them
    direct visits, with ten campaigns each; a third of the touches follows the one before in the same campaign.
    """
    for schema in ("intermediate", "staging"):
        warehouse.run(f"create schema if not exists {schema}")

    def drawn(salt: int, sides: int) -> str:
        return f"cast(hash(path * 64 + touch * 2 + {salt} * 1000003) % {sides} as integer)"

    warehouse.run(
        "create temp table path_facts as select range as path, 'c_' || substr(md5(cast(range // 2 as varchar)), 1, 20)"
        " as customer_id, timestamp '2025-01-01' + to_minutes(cast(30 * 1440 + hash(range) % (140 * 1440) +"
        " (range % 2) * 175 * 1440 as integer)) as ended_at, hash(range * 3 + 7) % 5 < 3 as is_converted,"
        " 1 + cast(floor(7.99 * power((hash(range * 5 + 1) % 10000) / 10000.0, 2.2)) as integer) as touch_count"
        f" from range({count})"
    )
    warehouse.run(
        "create table intermediate.int_timeline as with touches as (select path, customer_id, ended_at, touch, case"
        f" when {drawn(1, 3)} = 0 then 0 else touch end as place from path_facts, range(touch_count) as n(touch)),"
        " visits as (select path, touch, customer_id, place, cast(hash(path * 8 + place) % 24 as integer) as way,"
        f" ended_at - to_seconds(60 + {drawn(2, 25 * 86400)}) as visited_at from touches)"
        " select customer_id, concat_ws(':', 'touchpoint', 'web', path * 16 + touch * 2 + step) as event_id,"
        " case when step = 0 then 'ad_click' else 'product_viewed' end as event_name,"
        " (['web', 'email', 'sms', 'social', 'organic', 'paid_search', 'paid_social', 'display', 'video', 'affiliate',"
        " 'referral', 'partner', 'web', 'app', 'podcast', 'radio', 'tv', 'print', 'web', 'billboard', 'cinema', 'fair',"
        " 'app', 'leaflet'])[way + 1] as channel, 'web' as source_system, case when way % 3 <> 2 then 's' || (path * 8"
        " + touch) end as session_id, case when way % 6 > 0 then 'campaign_' || (path * 31 + place) % 10 end as"
        " campaign_id, true as is_touchpoint, false as is_machine, visited_at + to_seconds(step * 40) as occurred_at"
        " from visits, range(2) as n(step) where step = 0 or (path + touch) % 2 = 0"
    )
    warehouse.run(
        "create table intermediate.int_orders as select concat_ws(':', 'shop', path) as order_key, 'shop' as"
        " source_system, cast(path as varchar) as order_id, customer_id, hash(path + 9) % 50 = 0 as is_renewal, true as"
        " is_counted, true as is_paid, cast(1 + hash(path + 11) % 20000 / 100.0 as decimal(18, 2)) as"
        " gross_revenue_amount, cast(0 as decimal(18, 2)) as discount_amount, cast(case when hash(path + 13) % 20 = 0"
        " then 1.01 else 0 end as decimal(18, 2)) as refund_amount, ended_at as ordered_at,"
        " cast(date_trunc('month', ended_at) as date) as order_month from path_facts where is_converted"
    )
    warehouse.run(
        "create table intermediate.int_marketing_spend as select 'display' as channel, 'campaign_1' as campaign_id,"
        " false as is_without_rate, cast(100 as decimal(18, 2)) as spend_amount, cast(50 as decimal(18, 2)) as"
        " acquire_amount, date '2025-02-01' as spend_month"
    )
    warehouse.run("drop table path_facts")


def _credit_job(given: argparse.Namespace) -> None:
    """Build every model of attribution, the chain in between; print what each took."""
    from lifecycle import build
    from lifecycle.dbt import dbt_environment, invoke

    settings = _settings(given.folder)
    with _opened(settings) as warehouse:
        made = build.current(warehouse, "bench")
    times = ModelTimes()

    def run(models: Sequence[str]) -> None:
        failure = invoke(
            ["build", "--resource-type", "model", "--resource-type", "seed", "--select", *models],
            dbt_environment(settings, made),
            settings.state.dbt,
            callbacks=[times],
        )
        if failure:
            sys.exit(failure)

    run([*SEEDS, "stg_metric_settings", "int_months"])
    times.took.clear()
    run(BEFORE_CHAIN)
    with _opened(settings) as warehouse:
        wall, cpu = time.perf_counter(), time.process_time()
        attribution.write_removal_effects(warehouse)
        times.note(ModelTime("removal_effects", "attribution", time.perf_counter() - wall, time.process_time() - cpu))
    run(AFTER_CHAIN)
    with _opened(settings) as warehouse:
        counts = {
            one.name: int(warehouse.scalar(f"select count(*) from {one.schema}.{one.name}")) for one in times.took
        }
        paths, converted, touches = warehouse.rows(
            "select count(*) filter (touch_number = 1), count(*) filter (touch_number = 1 and is_converted), count(*)"
            " from intermediate.int_attribution_paths"
        )[0]
    models = [(one.name, one.seconds, one.cpu_seconds, counts[one.name]) for one in times.took]
    print(json.dumps({"models": models, "paths": paths, "converted": converted, "touches": touches}))


# --- chains ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Size:
    """A chain of so many channels and campaigns of each, with so many different moves out of a state."""

    channels: int
    campaigns: int
    moves: int
    seconds: float


SIZES = (Size(200, 1, 150, seconds=1), Size(200, 10, 50, seconds=10), Size(200, 25, 20, seconds=30))


def markov() -> list[Figure]:
    """Removal effects of every state of large chains."""
    figures = []
    for size in SIZES:
        chain = random_chain(size)
        states = len(chain.states)
        wall = time.perf_counter()
        effects = removal_effects(chain)
        seconds = time.perf_counter() - wall
        name = f"{size.channels} channels x {size.campaigns} campaigns, {len(chain.moves):,} moves"
        print(f"{name}: {states:,} states, {len(effects):,} effects in {seconds:.2f} s", flush=True)
        figures.append(Figure(name, seconds, at_most=size.seconds, unit="s", digits=2))
    return figures


def random_chain(size: Size, seed: int = 1) -> Chain:
    """A chain in which every state goes on to others anywhere, some of them often, with loops and dead ends."""
    import numpy as np

    random = np.random.default_rng(seed)
    states = [
        (f"channel {channel}", f"campaign {campaign}")
        for channel in range(size.channels)
        for campaign in range(size.campaigns)
    ]
    chain = Chain()
    count = len(states)
    # Some channels are visited far more often than others.
    weights = random.pareto(1.2, count) + 0.1
    weights /= weights.sum()
    for place, state in enumerate(states):
        chain.begins[state] += float(random.integers(1, 1_000))
        targets = random.choice(count, size=min(size.moves, count), replace=False, p=weights)
        for target in (*targets, place):
            chain.moves[state, states[int(target)]] += float(random.integers(1, 200))
        chain.converts[state] += float(random.integers(0, 500))
        chain.ends[state] += float(random.integers(1, 2_000))
    return chain


# --- the truth -------------------------------------------------------------------------------------------------------

DEMO = {"customers": 20_000, "days": 730, "seed": 1, "profile": "retail"}
GROUPS = {"organic": "organic_search"}
"""The generator's name of a channel → the group that it is reported in."""
MOST_DISTANCE = 0.20


def distance(found: Mapping[str, float], truth: Mapping[str, float]) -> float:
    """Half the sum of the differences of two splits of one (total variation): the part that is in the wrong place.

    ``found`` need not add up to one, and channels that are not in the truth are left out.
    """
    total = sum(found.get(channel, 0.0) for channel in truth)
    if not total:
        return math.nan
    return sum(abs(found.get(channel, 0.0) / total - share) for channel, share in truth.items()) / 2


def truth() -> list[Figure]:
    """Which model comes closest to what touches really add to the chance to buy."""
    from lifecycle.synthetic.company import generate
    from lifecycle.synthetic.parameters import Arguments

    folder = FOLDER / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    summary = generate(Arguments(**DEMO, out=folder))  # type: ignore[arg-type]
    command = [sys.executable, "-c", "from lifecycle.cli import main; main()", "run"]
    BENCH.run("demo", [*command, "--config", str(summary.config)])
    with (folder / "truth" / "attribution.csv").open(newline="") as file:
        true_shares = {
            GROUPS.get(row["channel"], row["channel"]): float(row["true_share"]) for row in csv.DictReader(file)
        }
    settings = load_settings(summary.config)
    with open_duckdb(settings.state.warehouse, read_only=True) as warehouse:
        credits: dict[str, dict[str, float]] = {model: {} for model in MODELS}
        for model, channel, count in warehouse.rows(
            "select attribution_model, channel, sum(conversion_count) from marts.attribution_monthly group by all"
        ):
            credits[model][channel] = float(count)
        split = dict(
            warehouse.rows(
                "select channel, sum(removal_effect_share) from marts.attribution_removal_effects group by channel"
            )
        )
    columns = {"true": true_shares, **credits, "removal effects alone": split}
    distances = {name: distance(shares, true_shares) for name, shares in columns.items() if name != "true"}
    print(_truth_table(columns, true_shares, distances))
    closest = min(MODELS, key=lambda model: distances[model])
    print(f"\nclosest: {closest}")
    return [
        Figure(f"{model}: credit in the wrong place", distances[model], at_most=MOST_DISTANCE, digits=4)
        for model in MODELS
    ]


def _truth_table(
    columns: Mapping[str, Mapping[str, float]], true_shares: Mapping[str, float], distances: Mapping[str, float]
) -> str:
    def percent(shares: Mapping[str, float], channel: str) -> str:
        return f"{shares.get(channel, 0.0) / sum(shares.get(one, 0.0) for one in true_shares):.1%}"

    rows = [
        [
            name,
            *(percent(shares, channel) for channel in true_shares),
            f"{distances[name]:.3f}" if name in distances else "",
        ]
        for name, shares in columns.items()
    ]
    return table(["model", *true_shares, "distance"], rows)


# --- command ---------------------------------------------------------------------------------------------------------


def main() -> int:
    return BENCH.main(
        "Measure attribution: speed, chains, agreement with the truth.",
        sections={"speed": speed, "markov": markov, "truth": truth},
        jobs={"write": _write_job, "credit": _credit_job},
        options={"folder": Path, "count": int},
    )


if __name__ == "__main__":
    sys.exit(main())
