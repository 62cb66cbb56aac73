"""Proposals as a person reads them, as lines for ``lifecycle.yml``, and as JSON.

Belongs here: layout. Does not belong here: what is proposed (``proposals.py``).
"""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lifecycle.calibration.proposals import GAP, Calibration, Change, Proposal

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 100
"""Columns of what is read as text."""

FLOWS = 5
"""So many moves between stages are listed, the largest first; the others are counted."""


def render(calibration: Calibration, console: Console) -> None:
    """Everything, in the order in which it is read: the proposals, what each rests on, the alarms, the lines."""
    from rich.text import Text

    width = min(console.width, WIDTH)
    console.print(Text(f"{calibration.project} as of {calibration.as_of}", style="bold"))
    console.print(
        f"From the publication of run {calibration.run_id}: {calibration.customer_count:,} people,"
        f" {calibration.buyer_count:,} of them have bought, {calibration.active_count:,} are active customers.",
        width=width,
    )
    console.print()
    _render_summary(calibration, console, width)
    for proposal in calibration.proposals:
        # The usual gap is where everything else begins: what it rests on is told even when it stays.
        if proposal.rests_on and (proposal.is_change or proposal.kind == GAP):
            became = f"{_today(proposal)} → {_number(proposal.proposed)}" if proposal.is_change else "stays"
            _render_section(console, width, f"{proposal.name}: {became}", list(proposal.rests_on))
    _render_moves(calibration, console, width)
    _render_alarms(calibration, console, width)
    if not calibration.changes:
        console.print("Nothing to change: today's thresholds fit the data.")
        return
    console.print(Text("To take over", style="bold"))
    console.print("Put these lines into lifecycle.yml; the others there stay as they are.", width=width)
    console.print()
    console.print(yaml_lines(calibration), markup=False, soft_wrap=True, end="")


def _render_summary(calibration: Calibration, console: Console, width: int) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Proposals", title_justify="left", title_style="bold", box=None, pad_edge=False, width=width)
    table.add_column("setting", max_width=36, overflow="fold")
    table.add_column("today", justify="right", no_wrap=True)
    table.add_column("proposed", justify="right", no_wrap=True)
    table.add_column("because", overflow="fold", ratio=1)
    kept: dict[str, list[Proposal]] = {}
    for proposal in calibration.proposals:
        if len(proposal.place) > 1 and proposal.kind in GROUPS and not proposal.is_change:
            kept.setdefault(proposal.kind, []).append(proposal)
            continue
        table.add_row(
            Text(printable(_short_name(proposal))),
            _today(proposal),
            _number(proposal.proposed) if proposal.is_change else "stays",
            Text(printable(proposal.because)),
        )
    for kind, proposals in kept.items():
        names = ", ".join(proposal.place[1] for proposal in proposals)
        table.add_row(
            "personas (gap)" if kind == "personas" else kind,
            "",
            "stay",
            Text(printable(f"of {names}: not clearly another gap, or no other clock")),
        )
    console.print(table)
    console.print()


GROUPS = ("personas", "first_category_gaps")
"""Kinds of which there may be many: those that stay share a line."""


def _short_name(proposal: Proposal) -> str:
    return f"personas.{proposal.place[1]} (gap)" if proposal.kind == "personas" else proposal.name


def _render_section(console: Console, width: int, title: str, rows: list[tuple[str, str]]) -> None:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console.print(Text(printable(title), style="bold"))
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(max_width=40, overflow="fold")
    grid.add_column(overflow="fold")
    for label, text in rows:
        grid.add_row(Text(printable(label)), Text(printable(text)))
    console.print(Padding(grid, (0, 0, 0, 2), expand=False), width=width)
    console.print()


def _render_moves(calibration: Calibration, console: Console, width: int) -> None:
    if calibration.moves_problem is not None:
        _render_section(
            console, width, "What would change today", [("not known", f"{calibration.moves_problem}; try again later")]
        )
        return
    rows = [(kind, describe_change(change)) for kind, change in calibration.moves.items()]
    if calibration.together is not None and len(rows) > 1:
        rows.append(("all together", describe_change(calibration.together)))
    if rows:
        _render_section(console, width, "What would change today", rows)


def describe_change(change: Change) -> str:
    """How many people would have another stage, and the largest moves."""
    if not change.moved_count:
        return f"nobody of {change.customer_count:,} people would have another stage"
    shown = [f"{flow.customer_count:,} {flow.from_stage} → {flow.to_stage}" for flow in change.flows[:FLOWS]]
    rest = sum(flow.customer_count for flow in change.flows[FLOWS:])
    if rest:
        shown.append(f"{rest:,} others")
    share = change.moved_count / change.customer_count
    return f"{change.moved_count:,} of {change.customer_count:,} people ({share:.1%}): {', '.join(shown)}"


def _render_alarms(calibration: Calibration, console: Console, width: int) -> None:
    from rich.table import Table
    from rich.text import Text

    if not calibration.alarms:
        return
    table = Table(
        title="What at_risk by the due clock is worth",
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
    )
    table.add_column("due after")
    for column in ("alarms per customer and year", "decided", "came back by themselves"):
        table.add_column(column, justify="right")
    for alarm in calibration.alarms:
        is_today = alarm == calibration.today_alarm
        table.add_row(
            f"{alarm.due_factor:g} gaps, at least {alarm.due_min_days:g} days" + (" (today)" if is_today else ""),
            f"{alarm.per_customer_year:.1f}",
            f"{alarm.decided_count:,}",
            f"{alarm.back_share:.0%}" if alarm.decided_count else "",
        )
    console.print(table)
    if calibration.advice is not None:
        console.print(Text(printable(calibration.advice) + "."), width=width)
    console.print()


def yaml_lines(calibration: Calibration) -> str:
    """The changed thresholds as they stand in ``lifecycle.yml``, each below a comment with day and evidence."""
    lines = ["lifecycle:"]
    open_parts: tuple[str, ...] = ()
    for proposal in sorted(
        calibration.changes, key=lambda one: [change.kind for change in calibration.changes].index(one.kind)
    ):
        *parts, last = proposal.place
        for depth, part in enumerate(parts):
            if open_parts[: depth + 1] != tuple(parts[: depth + 1]):
                lines.append("  " * (depth + 1) + f"{_key(part)}:")
        open_parts = tuple(parts)
        indent = "  " * (len(parts) + 1)
        comment = printable(f"As of {calibration.as_of}: {proposal.because}.")
        lines += textwrap.wrap(comment, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
        lines.append(f"{indent}{_key(last)}: {_number(proposal.proposed)}")
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    """A key as YAML writes it, quoted where that is needed."""
    import yaml

    plain: str = yaml.safe_dump([name], allow_unicode=True, width=10_000)[2:].rstrip("\n")
    return json.dumps(name) if "\n" in plain else plain


def as_json(calibration: Calibration) -> dict[str, Any]:
    """Everything that is said, and the figures behind it."""
    return {
        "project": calibration.project,
        "run_id": calibration.run_id,
        "as_of": calibration.as_of.isoformat(),
        "currency": calibration.currency,
        "customer_count": calibration.customer_count,
        "buyer_count": calibration.buyer_count,
        "subscriber_count": calibration.subscriber_count,
        "active_count": calibration.active_count,
        "proposals": [
            {
                "setting": proposal.name,
                "place": list(proposal.place),
                "today": proposal.today,
                "proposed": proposal.proposed,
                "is_change": proposal.is_change,
                "because": proposal.because,
                "rests_on": [{"label": label, "text": text} for label, text in proposal.rests_on],
                "figures": dict(proposal.figures),
            }
            for proposal in calibration.proposals
        ],
        "moves": {kind: asdict(change) for kind, change in calibration.moves.items()},
        "moves_together": asdict(calibration.together) if calibration.together else None,
        "moves_problem": calibration.moves_problem,
        "alarms": [
            asdict(alarm)
            | {
                "alarms_per_customer_year": alarm.per_customer_year,
                "back_share": alarm.back_share,
                "is_today": alarm == calibration.today_alarm,
            }
            for alarm in calibration.alarms
        ],
        "advice": calibration.advice,
        "yaml": yaml_lines(calibration) if calibration.changes else None,
    }


def _today(proposal: Proposal) -> str:
    return "–" if proposal.today is None else _number(proposal.today)


def _number(value: float | None) -> str:
    """As YAML reads it back: never 1e+06."""
    if value is None:
        return ""
    return str(int(value)) if value == int(value) else repr(float(value))


def printable(text: str) -> str:
    """Data on one line: what a terminal would obey instead of show becomes a space."""
    return "".join(character if character.isprintable() else " " for character in text)
