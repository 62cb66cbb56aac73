"""What proposed thresholds would change: the stages of today, computed with them beside those without.

Belongs here: building the variants and counting who would be in another stage.
Does not belong here: how a variant is built (``comparison/variant.py``).
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lifecycle.calibration.proposals import Calibration, Change, Flow, Proposal, with_changes
from lifecycle.comparison.variant import Inputs, build_variant, copy_inputs
from lifecycle.comparison.versions import scratch_folder
from lifecycle.errors import LifecycleError
from lifecycle.timing import progress
from lifecycle.warehouse import attached, open_duckdb

if TYPE_CHECKING:
    from lifecycle.settings import LifecycleThresholds, Settings

WITHOUT_STAGES = ("high_value_amount",)
"""What segments use, and no stage depends on."""

TOGETHER = ""


def measure_changes(settings: Settings, calibration: Calibration) -> Calibration:
    """The same calibration, with what each kind of proposal and all of them together would change.

    One build of the stages as they are, one per kind that can change a stage, and one with all of them. Where they
    cannot be built, because a run is working or the disk is full, ``moves_problem`` says so.
    """
    kinds: dict[str, list[Proposal]] = {}
    for proposal in calibration.changes:
        if proposal.kind not in WITHOUT_STAGES:
            kinds.setdefault(proposal.kind, []).append(proposal)
    if not kinds:
        return calibration
    try:
        with scratch_folder(settings) as folder:
            moves = _moves(settings, calibration, kinds, folder)
    except LifecycleError as error:
        return replace(calibration, moves_problem=error.problem)
    together = moves.pop(TOGETHER)
    return replace(calibration, moves=moves, together=together)


def _moves(
    settings: Settings, calibration: Calibration, kinds: Mapping[str, Sequence[Proposal]], folder: Path
) -> dict[str, Change]:
    progress.info("copying what is loaded")
    inputs = copy_inputs(settings, folder)
    progress.info("stages as they are")
    today = _build(settings, folder / "today", inputs, calibration, settings.lifecycle)
    moves: dict[str, Change] = {}
    everything = [proposal for proposals in kinds.values() for proposal in proposals]
    for kind, proposals in {**kinds, TOGETHER: everything}.items():
        if kind == TOGETHER and len(kinds) == 1:
            moves[TOGETHER] = next(iter(moves.values()))
            continue
        progress.info("stages with %s", "all proposals" if kind == TOGETHER else f"another {kind}")
        variant = folder / "variant"
        database = _build(settings, variant, inputs, calibration, with_changes(settings.lifecycle, proposals))
        moves[kind] = count_moves(settings, today, database)
        shutil.rmtree(variant)
    return moves


def _build(
    settings: Settings, into: Path, inputs: Inputs, calibration: Calibration, thresholds: LifecycleThresholds
) -> Path:
    return build_variant(
        settings,
        into,
        as_of=calibration.as_of,
        inputs=inputs,
        thresholds=thresholds,
        select=["customer_lifecycle_history"],
    )


def count_moves(settings: Settings, today: Path, variant: Path) -> Change:
    """Customers whose stage now differs between two databases with ``marts.customer_lifecycle_history``."""
    limits = settings.warehouse
    with (
        open_duckdb(variant, memory_limit=limits.memory_limit, threads=limits.threads) as warehouse,
        attached(warehouse, today, "today"),
    ):
        rows = warehouse.rows(
            """
            with before as (
                select customer_id, stage from today.marts.customer_lifecycle_history where valid_to_at is null
            ),
            now as (select customer_id, stage from marts.customer_lifecycle_history where valid_to_at is null)
            select before.stage, now.stage, count(*) as customer_count
            from before
            inner join now using (customer_id)
            group by all
            order by customer_count desc, before.stage, now.stage
            """
        )
    flows = [Flow(*row) for row in rows if row[0] != row[1]]
    return Change(
        customer_count=sum(count for *_, count in rows),
        moved_count=sum(flow.customer_count for flow in flows),
        flows=tuple(flows),
    )
