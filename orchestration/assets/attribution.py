"""What channels and campaigns are worth on the way to an order: the Python step between the models.

Belongs here: the one asset. The chain and its solution are in ``lifecycle/experiments/attribution.py``.
"""

import dagster as dg

from lifecycle import build
from lifecycle.experiments import attribution
from orchestration.dbt import OWNER
from orchestration.resources import Company

TRANSITIONS = dg.AssetKey(["intermediate", "int_attribution_transitions"])
REMOVAL_EFFECTS = dg.AssetKey(["attribution", "removal_effects"])


@dg.asset(
    key=REMOVAL_EFFECTS,
    deps=[TRANSITIONS],
    group_name="attribution",
    kinds={"python", "duckdb"},
    owners=[OWNER],
    pool="warehouse",
    description="What share of all conversions would be lost without a channel and campaign, by a chain of all paths.",
)
def removal_effects(context: dg.AssetExecutionContext, company: dg.ResourceParam[Company]) -> dg.MaterializeResult:
    with company.step(context.run.run_id, "attribution") as (warehouse, noted):
        build.own(warehouse, context.run.run_id)
        found = attribution.write_removal_effects(warehouse)
        noted.rows = found.state_count
    return dg.MaterializeResult(
        metadata={"dagster/row_count": found.state_count, "share of paths that convert": found.conversion_rate}
    )
