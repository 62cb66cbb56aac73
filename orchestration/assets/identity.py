"""Who is the same person: the Python step between the models.

Belongs here: the one asset. The rules are in ``lifecycle/identity``.
"""

import dagster as dg

from lifecycle import build
from lifecycle.identity import links
from orchestration.dbt import OWNER
from orchestration.resources import Company


@dg.asset(
    key=["identity", "record_links"],
    deps=[dg.AssetKey(["intermediate", "int_identity_records"])],
    group_name="identity",
    kinds={"python", "duckdb"},
    owners=[OWNER],
    pool="warehouse",
    description="Every source record that belongs to a person, with the customer it was joined to.",
)
def record_links(context: dg.AssetExecutionContext, company: dg.ResourceParam[Company]) -> dg.MaterializeResult:
    with company.step(context.run.run_id, "identity") as (warehouse, noted):
        build.own(warehouse, context.run.run_id)
        resolution = links.resolve(
            warehouse, max_contacts_per_identifier=company.settings.identity.max_contacts_per_identifier
        )
        noted.rows = resolution.record_count
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": resolution.record_count,
            "customers": resolution.customer_count,
            "blocked identifiers": resolution.blocked_identifier_count,
        }
    )
