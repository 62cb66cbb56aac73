"""Measures the lifecycle stages: how they agree with the truth, and what an alarm is worth.

    python benchmarks/stages.py [--section truth|alarms]

``truth``: the demo company through a whole run, beside what the generator knows. ``alarms``: companies whose customers'
behaviour is known, with several settings. Files are in ``.cache/bench/stages/``.

Belongs here: the workloads, the figures and their limits. Does not belong here: counting (``stage_figures.py``,
``measuring.py``).
"""

from __future__ import annotations

import argparse
import math
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measuring import BENCH_DIR, Agreement, Bench, Figure, table
from stage_figures import Alarm, Buyer, Confusion, Interval, Worth, days, delay_days, quartiles, waiting_days, worth

from lifecycle.calibration.statistics import Waiting, estimate_returns, round_days
from lifecycle.settings import PROJECT_DIR, LifecycleThresholds, load_settings
from lifecycle.warehouse import Warehouse, literal, open_duckdb

if TYPE_CHECKING:
    import numpy as np

FOLDER = BENCH_DIR / "stages"
BENCH = Bench(Path(__file__), FOLDER)
HISTORY = "marts.customer_lifecycle_history"
LINKS = "identity.record_links"


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
    BENCH.run("generate", [command, "generate", *options, "--out", str(folder)])
    print("a whole run of the company (some minutes) ...\n", flush=True)
    config = folder / "lifecycle.yml"
    BENCH.run("run", [command, "run", "--config", str(config)])
    settings = load_settings(config)
    first_days = [*(date(2025, month, 1) for month in range(2, 13)), date(2026, 1, 1)]
    moments = [datetime.combine(day, clock(), settings.zone).astimezone(UTC).replace(tzinfo=None) for day in first_days]
    with open_duckdb(settings.state.warehouse, read_only=True, memory_limit="4GB") as warehouse:
        gap = proposed_gap(_buyers_of(warehouse), moments[-1])
        figures = _judge(Lives.of(warehouse, folder / "truth"), moments)
    today = settings.lifecycle.default_order_gap_days
    print(f"\nThe same with the usual gap that calibrate would propose, {gap} days in place of {today:g}:\n")
    thresholds = settings.lifecycle.model_copy(update={"default_order_gap_days": float(gap)})
    BENCH.job("variant", folder=folder, thresholds=thresholds.model_dump_json())
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


# --- command ---------------------------------------------------------------------------------------------------------


def main() -> int:
    return BENCH.main(
        "Measure the lifecycle stages: agreement with the truth, worth of alarms.",
        sections={"truth": truth, "alarms": alarms},
        jobs={"variant": _variant_job},
        options={"folder": Path, "thresholds": str},
    )


if __name__ == "__main__":
    sys.exit(main())
