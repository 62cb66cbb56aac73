"""Two runs as they were published: what late or corrected data, or a changed rule, rewrote in the past.

Belongs here: which two, the earlier one's people under the ids they have now, and what is not as it was told then.
Does not belong here: counting who stands where (``changes.py``).

Both histories are cut off at the end of the earlier run's day: what happened since then is no rewriting.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from lifecycle.build import local_midnight_after
from lifecycle.comparison.changes import Changes, Count, compare, stage_counts
from lifecycle.comparison.variant import comparing_in, writing_to
from lifecycle.comparison.versions import scratch_folder
from lifecycle.errors import LifecycleError
from lifecycle.serving.publication import Publication, publications
from lifecycle.timing import progress
from lifecycle.warehouse import Warehouse, attached

if TYPE_CHECKING:
    from lifecycle.settings import Settings

NEEDED = (
    "marts.customer_360",
    "marts.customer_lifecycle_history",
    "segments.segment_history",
    "identity.customer_merges",
    "ops.batches",
)


@dataclass(frozen=True)
class RewrittenMonth:
    """People whose past differs from a moment in this month of the reporting zone on: rewritten, not known to the
    earlier run, or no longer known."""

    month: date
    rewritten: int
    appeared: int
    gone: int


@dataclass(frozen=True)
class LoadedTable:
    """What came in between: files (and other batches) of one table of a source, with their rows."""

    source: str
    table: str
    batch_count: int
    row_count: int


@dataclass(frozen=True)
class Rewriting:
    """A later publication against an earlier one, both up to the end of ``as_of``.

    ``rewritten_count`` are people of both whose stages or their times differ, ``appeared_count`` those with a past
    that the earlier run did not know, ``gone_count`` those who are no longer known (nor under another id).
    ``renamed_count`` ids of the earlier run are other ids now, ``joined_count`` more belong to somebody else.
    ``intervals`` counts intervals per stage: before those that are no longer there, after those that are new.
    ``today`` is everybody at the end of each run's own day.
    """

    project: str
    earlier: Publication
    later: Publication
    as_of: date
    rewritten_count: int
    appeared_count: int
    gone_count: int
    renamed_count: int
    joined_count: int
    intervals: tuple[Count, ...]
    months: tuple[RewrittenMonth, ...]
    loaded: tuple[LoadedTable, ...]
    today: tuple[Count, ...]
    changes: Changes


def compare_publications(settings: Settings, run_id: str | None, *, examples: int) -> Rewriting:
    """Compare the current publication with the named one, else with the one before it.

    Raises LifecycleError when there is none to compare with, or one was written by a version that published less.
    """
    earlier, later = _chosen(settings, run_id)
    as_of = min(earlier.as_of, later.as_of)
    end = local_midnight_after(as_of, settings)
    with (
        scratch_folder(settings) as scratch,
        writing_to(scratch),
        comparing_in(settings, scratch) as warehouse,
        _attached(warehouse, earlier, later),
    ):
        progress.info("comparing run %s with run %s", later.run_id, earlier.run_id)
        _show_under_todays_ids(warehouse)
        _show("before", "earlier", warehouse, None)
        _show("after", "later", warehouse, None)
        today = stage_counts(
            warehouse, local_midnight_after(earlier.as_of, settings), local_midnight_after(later.as_of, settings)
        )
        _show("before", "earlier", warehouse, end)
        _show("after", "later", warehouse, end)
        _find_differences(warehouse)
        rewritten, appeared, gone = _people(warehouse)
        renamed, joined = warehouse.rows(
            "select count(*) filter (is_kept and previous_customer_id <> customer_id),"
            " count(*) filter (not is_kept) from todays_ids"
        )[0]
        return Rewriting(
            project=settings.project,
            earlier=earlier,
            later=later,
            as_of=as_of,
            rewritten_count=rewritten,
            appeared_count=appeared,
            gone_count=gone,
            renamed_count=renamed,
            joined_count=joined,
            intervals=_intervals(warehouse),
            months=_months(warehouse, settings),
            loaded=_loaded(warehouse),
            today=today,
            changes=compare(warehouse, [(as_of, end)], examples=examples, has_schemes=False),
        )


def _chosen(settings: Settings, run_id: str | None) -> tuple[Publication, Publication]:
    known = publications(settings.state)
    later = next((publication for publication in known if publication.is_current), None)
    where = str(settings.state.serving)
    if later is None:
        raise LifecycleError("nothing is published yet", where=where, remedy="Run the pipeline first: `lifecycle run`.")
    others = [publication for publication in known if publication.run_id != later.run_id]
    if run_id is None:
        candidates = [one for one in others if one.published_at <= later.published_at]
    else:
        candidates = [one for one in others if one.run_id == run_id]
    if not candidates:
        names = ", ".join(one.run_id for one in others) or "none"
        problem = "there is no publication before the current one" if run_id is None else f"no run '{run_id}' is kept"
        if run_id == later.run_id:
            problem = f"run {run_id} is the current one: it cannot be compared with itself"
        raise LifecycleError(
            problem,
            where=where,
            remedy=f"To compare with: {names}. The last publications are kept: `lifecycle publication list`.",
        )
    return candidates[0], later


@contextmanager
def _attached(warehouse: Warehouse, earlier: Publication, later: Publication) -> Iterator[None]:
    with attached(warehouse, earlier.database, "earlier"), attached(warehouse, later.database, "later"):
        for name, publication in (("earlier", earlier), ("later", later)):
            there = {
                table
                for (table,) in warehouse.rows(
                    "select schema_name || '.' || table_name from duckdb_tables() where database_name = ?", [name]
                )
            }
            missing = [table for table in NEEDED if table not in there]
            if missing:
                raise LifecycleError(
                    f"the publication of run {publication.run_id} has no {', '.join(missing)}",
                    where=str(publication.database),
                    remedy="An earlier version wrote it. Compare runs from the next one on.",
                )
        yield


def _show_under_todays_ids(warehouse: Warehouse) -> None:
    """``todays_ids``: the earlier run's ids that are no longer there and what became of them.

    Of several that are one person now, one stands for that person in the earlier history (``is_kept``): the one whose
    id it still is, else the lowest. An id whose records went to several people became nobody.
    """
    warehouse.run(
        "create temp table todays_ids as with recursive latest as (select previous_customer_id, customer_id"
        " from later.identity.customer_merges qualify rank() over (partition by previous_customer_id"
        " order by changed_as_of desc nulls last) = 1),"
        " living as (select customer_id from later.marts.customer_360),"
        " missing as (select customer_id from earlier.marts.customer_360 anti join living using (customer_id)),"
        " reached(previous_customer_id, customer_id) as (select customer_id, customer_id from missing"
        " union select reached.previous_customer_id, latest.customer_id from reached"
        " inner join latest on reached.customer_id = latest.previous_customer_id"
        # An id that is still there is where the way ends.
        " where not exists (select 1 from living where living.customer_id = reached.customer_id)),"
        " followed as (select previous_customer_id, min(customer_id) as customer_id from reached"
        " semi join living using (customer_id) group by previous_customer_id having count(*) = 1)"
        " select previous_customer_id, customer_id, row_number() over (partition by customer_id"
        " order by previous_customer_id) = 1 and customer_id not in"
        " (select customer_id from earlier.marts.customer_360) as is_kept from followed"
    )


def _show(side: str, publication: str, warehouse: Warehouse, end: datetime | None) -> None:
    """A publication's histories as ``changes`` wants to see them, cut off at an instant."""
    customer, ids, condition, valid_to_at = "histories.customer_id", "", "true", "valid_to_at"
    if side == "before":
        customer = "coalesce(todays_ids.customer_id, histories.customer_id)"
        ids = " left join todays_ids on histories.customer_id = todays_ids.previous_customer_id"
        condition = "todays_ids.is_kept is distinct from false"
    if end is not None:
        moment = f"timestamp '{end:%Y-%m-%d %H:%M:%S}'"
        condition += f" and valid_from_at < {moment}"
        valid_to_at = f"case when valid_to_at < {moment} then valid_to_at end"
    for view, table, columns in (
        ("history", "marts.customer_lifecycle_history", "stage, reason_code, reason"),
        ("segments", "segments.segment_history", "segment_name, entry_reason"),
    ):
        warehouse.run(
            f"create or replace temp view {side}_{view} as select {customer} as customer_id, {columns}, valid_from_at,"
            f" {valid_to_at} as valid_to_at from {publication}.{table} as histories{ids} where {condition}"
        )


def _find_differences(warehouse: Warehouse) -> None:
    """``differences``: per person whose past is not as it was, the first moment from which it differs."""
    warehouse.run(
        "create temp table intervals as select customer_id, before_history.stage as before_stage,"
        " after_history.stage as after_stage, case when before_history.stage = after_history.stage then"
        " least(before_history.valid_to_at, after_history.valid_to_at) else valid_from_at end as differs_from_at,"
        " before_history.stage is null or after_history.stage is null as is_alone"
        " from before_history full join after_history using (customer_id, valid_from_at)"
        " where before_history.stage is distinct from after_history.stage"
        " or before_history.valid_to_at is distinct from after_history.valid_to_at"
    )
    warehouse.run(
        "create temp table differences as select customer_id, min(differs_from_at) as differs_from_at,"
        " case when not exists (select 1 from before_history as known where known.customer_id = intervals.customer_id)"
        " then 'appeared' when not exists (select 1 from after_history as known"
        " where known.customer_id = intervals.customer_id) then 'gone' else 'rewritten' end as kind"
        " from intervals group by customer_id"
    )


def _people(warehouse: Warehouse) -> tuple[int, int, int]:
    rewritten, appeared, gone = warehouse.rows(
        "select count(*) filter (kind = 'rewritten'), count(*) filter (kind = 'appeared'),"
        " count(*) filter (kind = 'gone') from differences"
    )[0]
    return rewritten, appeared, gone


def _intervals(warehouse: Warehouse) -> tuple[Count, ...]:
    """Intervals of people of both runs that are no longer there, or new; another end makes it another interval."""
    rows = warehouse.rows(
        "select stage, count(*) filter (is_before), count(*) filter (not is_before) from ("
        " select customer_id, before_stage as stage, true as is_before from intervals where before_stage is not null"
        " union all select customer_id, after_stage, false from intervals where after_stage is not null)"
        " semi join (select customer_id from differences where kind = 'rewritten') using (customer_id)"
        " group by stage order by count(*) desc, stage"
    )
    return tuple(Count(*row) for row in rows)


def _months(warehouse: Warehouse, settings: Settings) -> tuple[RewrittenMonth, ...]:
    rows = warehouse.rows(
        "select cast(date_trunc('month', timezone(?, timezone('UTC', differs_from_at))) as date) as month,"
        " count(*) filter (kind = 'rewritten'), count(*) filter (kind = 'appeared'), count(*) filter (kind = 'gone')"
        " from differences group by month order by month",
        [settings.timezone],
    )
    return tuple(RewrittenMonth(*row) for row in rows)


def _loaded(warehouse: Warehouse) -> tuple[LoadedTable, ...]:
    rows = warehouse.rows(
        "select source_system, table_name, count(*), cast(sum(loaded_count) as bigint) from later.ops.batches"
        " anti join earlier.ops.batches using (batch_id) group by all having sum(loaded_count) > 0 order by all"
    )
    return tuple(LoadedTable(*row) for row in rows)
