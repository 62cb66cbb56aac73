"""What a run brought, in figures a person looks at first.

Belongs here: reading them from a publication and the ledger.
Does not belong here: printing them (``lifecycle/cli.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

from lifecycle.publishing.plan import open_published
from lifecycle.serving.publication import Publication
from lifecycle.settings import Settings


@dataclass(frozen=True)
class Summary:
    """The figures of one publication."""

    run_id: str
    as_of: date
    folder: Path
    currency: str
    customer_count: int
    order_count: int
    net_revenue_amount: Decimal
    unidentified_order_count: int
    contact_record_count: int
    """Contact records that the people were made of, ``likeness_count`` of them joined by likeness."""
    likeness_count: int
    review_pair_count: int
    """Pairs of records that wait for a steward."""
    stages: list[tuple[str, int]]
    segments: list[tuple[str, int, str]]
    """Segment, members, and what its gate said: passed, stopped or not judged."""
    tables: list[tuple[str, int]]
    received_count: int
    loaded_count: int
    quarantined_count: int
    warnings: list[str]


def summarize(published: Publication, settings: Settings) -> Summary:
    """Read the figures of a publication."""
    with open_published(settings, published) as warehouse:
        customers = warehouse.scalar("select count(*) from marts.customer_360")
        orders, revenue, unidentified = warehouse.rows(
            "select coalesce(sum(order_count), 0), coalesce(sum(net_revenue_amount), 0),"
            " coalesce(sum(unidentified_order_count), 0) from marts.revenue_monthly"
        )[0]
        contact_records, likeness = warehouse.rows(
            "select count(*), count(*) filter (where link_rule = 'probable') from identity.customer_links"
            " where record_table = 'contacts'"
        )[0]
        review_pairs = warehouse.scalar("select count(*) from identity.scored_pairs where outcome = 'review'")
        stages = warehouse.rows(
            "select lifecycle_stage, count(*) from marts.customer_360 group by lifecycle_stage order by 2 desc, 1"
        )
        segments = warehouse.rows(
            "with members as (select segment_name, count(*) as member_count from segments.segment_members"
            " group by segment_name), verdicts as (select substr(gate, 9) as segment_name,"
            " bool_or(outcome = 'broken' or (outcome = 'failed' and severity = 'error')) as is_stopped"
            " from ops.gate_results where run_id = ? and starts_with(gate, 'segment:') group by gate)"
            " select segment_name, coalesce(member_count, 0), case when is_stopped is null then 'not judged'"
            " when is_stopped then 'stopped' else 'passed' end from members full join verdicts using (segment_name)"
            " order by segment_name",
            [published.run_id],
        )
        received, loaded, quarantined = warehouse.rows(
            "select coalesce(sum(received_count), 0), coalesce(sum(loaded_count), 0),"
            " coalesce(sum(quarantined_count), 0) from ops.batches"
        )[0]
        warnings = warehouse.rows(
            "select table_name || ': ' || check_name || ', observed ' || observed || ', allowed ' || limit_value"
            " from ops.gate_results where run_id = ? and outcome = 'failed' and severity = 'warning' order by 1",
            [published.run_id],
        )
    return Summary(
        run_id=published.run_id,
        as_of=published.as_of,
        folder=published.folder,
        currency=settings.currency,
        customer_count=int(customers),
        order_count=int(orders),
        net_revenue_amount=Decimal(revenue),
        unidentified_order_count=int(unidentified),
        contact_record_count=int(contact_records),
        likeness_count=int(likeness),
        review_pair_count=int(review_pairs),
        stages=[(stage, int(count)) for stage, count in stages],
        segments=[(name, int(count), verdict) for name, count, verdict in segments],
        tables=[(table.table_name, table.row_count) for table in published.tables],
        received_count=int(received),
        loaded_count=int(loaded),
        quarantined_count=int(quarantined),
        warnings=[warning for (warning,) in warnings],
    )
