"""Gates as Dagster sees them: a verdict of ``lifecycle/quality`` becomes an asset check with counts.

Belongs here: the translation. What is checked, and what stops, is in ``lifecycle/quality``.
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from lifecycle.quality.gate import Check, Verdict, judge
from lifecycle.timing import stage
from lifecycle.warehouse import Warehouse
from orchestration.resources import Company


def judge_gate(warehouse: Warehouse, company: Company, gate: str, checks: Sequence[Check], run_id: str) -> Verdict:
    """Judge a gate, and note how long that took."""
    with stage(company.settings.state, run_id, f"gate: {gate}") as noted:
        verdict = judge(warehouse, gate, checks, run_id=run_id)
        noted.rows = len(verdict.results)
    return verdict


def check_result(spec: dg.AssetCheckSpec, verdict: Verdict) -> dg.AssetCheckResult:
    """The verdict with its counts and, of what failed, check, figure and limit; never a row of data."""
    failed = [result for result in verdict.results if result.outcome != "passed"]
    return dg.AssetCheckResult(
        asset_key=spec.asset_key,
        check_name=spec.name,
        passed=verdict.passed,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(str(result) for result in failed) or "all passed",
        metadata={
            "checks": len(verdict.results),
            "passed": sum(result.outcome == "passed" for result in verdict.results),
            "failed": sum(result.outcome == "failed" for result in verdict.results),
            "broken": sum(result.outcome == "broken" for result in verdict.results),
            "stopping": len(verdict.stopping),
            "results": dg.MetadataValue.table(
                [
                    dg.TableRecord(
                        {
                            "check": result.name,
                            "table": result.table,
                            "severity": result.severity,
                            "outcome": result.outcome,
                            "observed": result.observed,
                            "limit": result.limit,
                        }
                    )
                    for result in (failed or verdict.results)
                ]
            ),
        },
    )
