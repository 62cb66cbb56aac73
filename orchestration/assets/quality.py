"""The gates behind the models: marts, and one per segment.

Belongs here: the assets that judge. The checks are in ``lifecycle/quality/suites.py``.
"""

import dagster as dg

from lifecycle import build
from lifecycle.quality import suites
from lifecycle.quality.data_docs import write_data_docs
from lifecycle.serving.reading import segment_counts
from orchestration.checks import check_result, judge_gate
from orchestration.dbt import OWNER, manifest, marts_tests
from orchestration.resources import Company

MARTS = dg.AssetKey(["quality", "marts"])
SEGMENTS = dg.AssetKey(["quality", "segments"])
MARTS_CHECK = dg.AssetCheckSpec(
    "marts_gate",
    asset=MARTS,
    blocking=True,
    description="Keys, balances, contracts and every data test hold; money agrees to the cent from intake to mart.",
)
JUDGED_SCHEMAS = ("identity", "marts", "segments")


def judged_tables() -> list[dg.AssetKey]:
    """Every table that is published: the gate waits for all of them."""
    return [
        dg.AssetKey([node["schema"], node["name"]])
        for node in manifest()["nodes"].values()
        if node["resource_type"] == "model" and node["schema"] in JUDGED_SCHEMAS
    ]


def segment_names() -> list[str]:
    """Every segment that has a model."""
    return sorted(
        node["name"].removeprefix("seg_")
        for node in manifest()["nodes"].values()
        if node["resource_type"] == "model" and node["name"].startswith("seg_")
    )


@dg.asset(
    key=MARTS,
    deps=judged_tables(),
    group_name="quality",
    kinds={"python", "greatexpectations"},
    owners=[OWNER],
    check_specs=[MARTS_CHECK],
    pool="warehouse",
    description="The verdict on what the models made. Without it nothing of this run is published.",
)
def marts_verdict(context: dg.AssetExecutionContext, company: dg.ResourceParam[Company]) -> dg.MaterializeResult:
    with company.step(context.run.run_id, "marts") as (warehouse, _):
        own = build.current(warehouse, context.run.run_id)
        checks = suites.marts_checks(
            company.settings, marts_tests(), run_id=context.run.run_id, as_of_end=own.as_of_end
        )
        verdict = judge_gate(warehouse, company, suites.MARTS, checks, context.run.run_id)
        write_data_docs(warehouse, context.run.run_id, company.settings.state.data_docs)
    return dg.MaterializeResult(check_results=[check_result(MARTS_CHECK, verdict)])


@dg.asset(
    key=SEGMENTS,
    deps=[MARTS],
    group_name="quality",
    kinds={"python", "greatexpectations"},
    owners=[OWNER],
    pool="warehouse",
    description="A verdict per segment on the list that would be sent. One segment's never stops another's.",
)
def segment_verdicts(context: dg.AssetExecutionContext, company: dg.ResourceParam[Company]) -> dg.MaterializeResult:
    # A past day has its own, smaller segments: it is compared with nothing.
    previous = {} if company.is_past_day else segment_counts(company.settings)
    passed: dict[str, bool] = {}
    with company.step(context.run.run_id, "segments") as (warehouse, _):
        own = build.current(warehouse, context.run.run_id)
        for segment in segment_names():
            checks = suites.segment_checks(
                company.settings,
                segment,
                run_id=context.run.run_id,
                as_of_end=own.as_of_end,
                previous_counts=previous,
            )
            gate = suites.segment_gate(segment)
            passed[segment] = judge_gate(warehouse, company, gate, checks, context.run.run_id).passed
        write_data_docs(warehouse, context.run.run_id, company.settings.state.data_docs)
    return dg.MaterializeResult(metadata={segment: "passed" if ok else "stopped" for segment, ok in passed.items()})
