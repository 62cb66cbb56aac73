"""Syncs: per sync a plan with its segment's gate, and a delivery behind it.

Belongs here: two assets per sync of ``lifecycle.yml``. Planning and sending is ``lifecycle/publishing``.
"""

import dagster as dg

from lifecycle.errors import GateStoppedError
from lifecycle.publishing.apply import deliver
from lifecycle.publishing.plan import open_published, plan_sync
from lifecycle.quality import suites
from lifecycle.quality.gate import verdict_of
from lifecycle.serving.publication import current
from lifecycle.settings import Settings, Sync
from lifecycle.timing import stage
from orchestration.assets.serving import PUBLICATION
from orchestration.checks import check_result
from orchestration.dbt import OWNER
from orchestration.resources import Company


def build_sync_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    return [asset for sync in settings.syncs for asset in _sync_assets(sync)]


def _sync_assets(sync: Sync) -> list[dg.AssetsDefinition]:
    plan_key = dg.AssetKey(["publish", f"{sync.key}_plan"])
    gate = dg.AssetCheckSpec(
        "segment_gate",
        asset=plan_key,
        blocking=True,
        description=f"The segment '{sync.segment}' and the list that would be sent are fit to be sent.",
    )
    guards = dg.AssetCheckSpec(
        "guards",
        asset=plan_key,
        # The delivery asks again: a refused plan is not sent, but people who withdrew consent leave the list.
        blocking=False,
        description="The list does not change by more than the sync's guards allow without a person's approval.",
    )

    @dg.asset(
        key=plan_key,
        deps=[PUBLICATION],
        group_name="publish",
        kinds={"python"},
        owners=[OWNER],
        check_specs=[gate, guards],
        description=f"Who enters and leaves the list of '{sync.segment}' at '{sync.destination}', with reasons.",
    )
    def plan(context: dg.AssetExecutionContext, company: dg.ResourceParam[Company]) -> dg.MaterializeResult:
        settings = company.settings
        with company.hold(context.run.run_id), stage(settings.state, context.run.run_id, f"plan: {sync.key}") as noted:
            published = current(settings.state)
            if published is None:
                raise GateStoppedError("nothing is published yet", remedy="Run the pipeline first: `lifecycle run`.")
            with open_published(settings, published) as warehouse:
                verdict = verdict_of(warehouse, published.run_id, suites.segment_gate(sync.segment))
            if verdict is None or not verdict.passed:
                unjudged = dg.AssetCheckResult(
                    asset_key=plan_key,
                    check_name=gate.name,
                    passed=False,
                    description=f"segment '{sync.segment}' has no verdict in run {published.run_id}",
                )
                return dg.MaterializeResult(
                    check_results=[
                        check_result(gate, verdict) if verdict else unjudged,
                        dg.AssetCheckResult(
                            asset_key=plan_key,
                            check_name=guards.name,
                            passed=True,
                            description="not asked: the segment's gate stopped the sync",
                        ),
                    ]
                )
            planned = plan_sync(settings, sync, now=company.now())
            noted.rows = planned.desired_count
        return dg.MaterializeResult(
            metadata={
                "plan": planned.plan_id,
                "desired": planned.desired_count,
                "added": planned.added_count,
                "updated": planned.updated_count,
                "removed": planned.removed_count,
                "taken off": planned.vetoed_count,
            },
            check_results=[
                check_result(gate, verdict),
                dg.AssetCheckResult(
                    asset_key=plan_key,
                    check_name=guards.name,
                    passed=planned.may_be_sent,
                    description="; ".join(planned.refusals) or "within the guards",
                    metadata={"added": planned.added_count, "removed": planned.removed_count},
                ),
            ],
        )

    @dg.asset(
        key=dg.AssetKey(["publish", sync.key]),
        deps=[plan_key],
        group_name="publish",
        kinds={"python"},
        owners=[OWNER],
        # One delivery at a time per destination: its account's limits are for all of its syncs.
        pool=f"publish_{sync.destination}",
        description=f"The list of '{sync.segment}' at '{sync.destination}', as last delivered.",
    )
    def delivery(context: dg.AssetExecutionContext, company: dg.ResourceParam[Company]) -> dg.MaterializeResult:
        settings = company.settings
        with (
            company.hold(context.run.run_id),
            stage(settings.state, context.run.run_id, f"publish: {sync.key}") as noted,
        ):
            sent = deliver(settings, sync, now=company.now())
            noted.rows = sent.desired_count
        return dg.MaterializeResult(
            metadata={
                "outcome": sent.outcome,
                "plan": sent.plan_id,
                "dagster/row_count": sent.desired_count,
                "added": sent.added_count,
                "updated": sent.updated_count,
                "removed": sent.removed_count,
                "refused by the tool": sent.rejected_count,
                "refused before": sent.vetoed_count,
                **{
                    name: count
                    for name, count in (("missing at the tool", sent.missing_count), ("others there", sent.stray_count))
                    if count is not None
                },
            }
        )

    return [plan, delivery]
