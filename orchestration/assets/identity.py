"""Who is the same person: the Python step between the models.

Belongs here: the one asset with its tables. The rules are in ``lifecycle/identity``.
"""

from collections.abc import Iterator

import dagster as dg

from lifecycle import build
from lifecycle.identity import merges, resolution
from lifecycle.serving.publication import current
from orchestration.dbt import OWNER
from orchestration.resources import Company

READS = [
    dg.AssetKey(["intermediate", "int_identity_records"]),
    dg.AssetKey(["intermediate", "int_identity_profiles"]),
    dg.AssetKey(["staging", "stg_identity_decisions"]),
    dg.AssetKey(["seeds", "junk_identifiers"]),
    dg.AssetKey(["seeds", "nicknames"]),
]
TABLES = {
    "record_links": "Every source record that belongs to a person, with the customer it was joined to.",
    "pair_scores": "Pairs of contact records that likeness joined, and pairs for a steward to look at.",
    "identifier_blocks": "Identifiers that link nobody, and why.",
    "decision_log": "What became of every decision of a steward.",
    "merge_log": "Customers that became one, or several, from one publication to the next.",
    "phone_numbers": "Every way a phone was written, and the number it stands for.",
    "email_addresses": "Unusual emails, and what they are compared as.",
}


@dg.multi_asset(
    name="identity",
    specs=[
        dg.AssetSpec(
            ["identity", name],
            deps=READS,
            group_name="identity",
            kinds={"python", "duckdb"},
            owners=[OWNER],
            description=description,
        )
        for name, description in TABLES.items()
    ],
    pool="warehouse",
)
def identity(context: dg.AssetExecutionContext, company: dg.ResourceParam[Company]) -> Iterator[dg.MaterializeResult]:
    with company.step(context.run.run_id, "identity") as (warehouse, noted):
        own = build.current(warehouse, context.run.run_id)
        found = resolution.resolve(warehouse, resolution.Policy.of(company.settings))
        # A past day follows upon no publication.
        published = None if company.is_past_day else current(company.settings.state)
        merges.note_merges(warehouse, published.pii_database if published else None, own.as_of)
        noted.rows = found.record_count
        rows = {name: int(warehouse.scalar(f"select count(*) from identity.{name}")) for name in TABLES}
    figures = {
        "customers": found.customer_count,
        "records joined by likeness": found.probable_link_count,
        "pairs to look at": found.review_pair_count,
        "blocked identifiers": found.blocked_identifier_count,
    }
    for name, count in rows.items():
        own_figures = figures if name == "record_links" else {}
        yield dg.MaterializeResult(asset_key=["identity", name], metadata={"dagster/row_count": count, **own_figures})
