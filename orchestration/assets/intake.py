"""From sources to ``raw``: landing, the intake gate, and the merge.

Belongs here: the two assets of the intake. Reading and merging itself is ``lifecycle/sources/intake.py``.
"""

from collections.abc import Iterator

import dagster as dg

from lifecycle import build
from lifecycle.quality import suites
from lifecycle.quality.data_docs import write_data_docs
from lifecycle.sources import intake
from lifecycle.sources.contract import TABLES
from lifecycle.timing import progress
from orchestration.checks import check_result, judge_gate
from orchestration.dbt import OWNER, THRESHOLDS
from orchestration.resources import Company, naive_utc
from orchestration.warming import warm_up

LANDING = dg.AssetKey(["landing", "batches"])
SURVIVORSHIP = dg.AssetKey(["ops", "survivorship_rules"])
CATEGORY_GAPS = dg.AssetKey(["ops", "first_category_gaps"])
METRIC_SETTINGS = dg.AssetKey(["ops", "metric_settings"])
INTAKE_CHECK = dg.AssetCheckSpec(
    "intake_gate",
    asset=LANDING,
    blocking=True,
    description="Everything received is accounted for, and nothing looks wrong enough to keep it out of `raw`.",
)


@dg.asset(
    key=LANDING,
    group_name="landing",
    kinds={"python", "duckdb"},
    owners=[OWNER],
    check_specs=[INTAKE_CHECK],
    pool="warehouse",
    description="New files of every source, read, cast and counted, waiting for the intake gate.",
)
def landing(context: dg.AssetExecutionContext, company: dg.ResourceParam[Company]) -> Iterator[dg.MaterializeResult]:
    now = company.now()
    if company.is_one_process:
        warm_up()
    with company.step(context.run.run_id, "intake: landing") as (warehouse, noted):
        build.begin(warehouse, company.settings, context.run.run_id, now)
        intake.prepare(warehouse)
        batches = intake.land(
            warehouse,
            company.settings,
            context.run.run_id,
            now=now,
            full_refresh=company.full_refresh,
            progress=lambda message: progress.debug("%s", message),
        )
        noted.rows = sum(batch.received_count for batch in batches)
        verdict = judge_gate(
            warehouse, company, "intake", suites.intake_checks(company.settings, now=naive_utc(now)), context.run.run_id
        )
        # What a stopped run read stays in landing, to be looked at; the next intake begins by emptying it.
        write_data_docs(warehouse, context.run.run_id, company.settings.state.data_docs)
    counts = {
        name: sum(getattr(batch, f"{name}_count") for batch in batches)
        for name in ("received", "loaded", "duplicate", "superseded", "suppressed", "quarantined")
    }
    yield dg.MaterializeResult(
        metadata={"batches": len(batches), **counts, "dagster/row_count": counts["received"]},
        check_results=[check_result(INTAKE_CHECK, verdict)],
    )


@dg.multi_asset(
    name="raw",
    specs=[
        *(
            dg.AssetSpec(
                ["raw", table.name],
                deps=[LANDING],
                group_name="raw",
                description=table.description,
                kinds={"duckdb"},
                owners=[OWNER],
            )
            for table in TABLES.values()
        ),
        dg.AssetSpec(
            THRESHOLDS,
            deps=[LANDING],
            group_name="ops",
            description="The thresholds of lifecycle.yml, as the rules read them.",
            kinds={"duckdb"},
            owners=[OWNER],
        ),
        dg.AssetSpec(
            CATEGORY_GAPS,
            deps=[LANDING],
            group_name="ops",
            description="The usual gap between orders by the category of the first one, as the clocks read it.",
            kinds={"duckdb"},
            owners=[OWNER],
        ),
        dg.AssetSpec(
            METRIC_SETTINGS,
            deps=[LANDING],
            group_name="ops",
            description="The windows and bases of lifecycle.yml, as the metric marts read them.",
            kinds={"duckdb"},
            owners=[OWNER],
        ),
        dg.AssetSpec(
            SURVIVORSHIP,
            deps=[LANDING],
            group_name="ops",
            description="Which value of a field survives where records disagree, as the profiles read it.",
            kinds={"duckdb"},
            owners=[OWNER],
        ),
    ],
    pool="warehouse",
)
def raw(context: dg.AssetExecutionContext, company: dg.ResourceParam[Company]) -> Iterator[dg.MaterializeResult]:
    with company.step(context.run.run_id, "intake: merge") as (warehouse, noted):
        build.own(warehouse, context.run.run_id)
        batches = intake.merge(warehouse, context.run.run_id)
        noted.rows = sum(batch.loaded_count for batch in batches)
        now = company.now()
        latest = intake.latest_day(warehouse, company.settings, now)
        as_of = build.resolve_day(company.settings, latest=latest, now=now)
        build.pin(warehouse, company.settings, context.run.run_id, as_of)
        rows = {name: int(warehouse.scalar(f"select count(*) from raw.{name}")) for name in TABLES}
    for name, count in rows.items():
        yield dg.MaterializeResult(asset_key=["raw", name], metadata={"dagster/row_count": count})
    for key in (THRESHOLDS, CATEGORY_GAPS, METRIC_SETTINGS, SURVIVORSHIP):
        yield dg.MaterializeResult(asset_key=key, metadata={"as_of": as_of.isoformat()})
