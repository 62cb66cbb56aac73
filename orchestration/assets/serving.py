"""The publication: what BI tools and syncs read.

Belongs here: the one asset. How a publication is written is ``lifecycle/serving/publication.py``.
"""

import dagster as dg

from lifecycle import build
from lifecycle.serving.publication import build_publication
from orchestration.assets.quality import SEGMENTS
from orchestration.dbt import OWNER
from orchestration.resources import Company

PUBLICATION = dg.AssetKey(["serving", "publication"])


@dg.asset(
    key=PUBLICATION,
    deps=[SEGMENTS],
    group_name="serving",
    kinds={"python", "duckdb", "parquet"},
    owners=[OWNER],
    pool="warehouse",
    description="All public tables of this run in a folder of their own; readers are moved over in one step.",
)
def publication(context: dg.AssetExecutionContext, company: dg.ResourceParam[Company]) -> dg.MaterializeResult:
    with company.step(context.run.run_id, "publication") as (warehouse, noted):
        own = build.current(warehouse, context.run.run_id)
        build.finish(warehouse, context.run.run_id, "published", company.now())
        published = build_publication(
            warehouse,
            company.settings,
            run_id=context.run.run_id,
            as_of=own.as_of,
            published_at=company.now(),
            state=company.serving_state,
            as_of_only=company.is_past_day,
        )
        noted.rows = sum(table.row_count for table in published.tables)
    return dg.MaterializeResult(
        metadata={
            "as_of": own.as_of.isoformat(),
            "folder": dg.MetadataValue.path(str(published.folder)),
            "tables": len(published.tables),
            "dagster/row_count": noted.rows,
        }
    )
