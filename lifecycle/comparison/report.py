"""A comparison for people: on a terminal, or as GitHub Markdown for a pull request.

Belongs here: the words, which tables there are and in which order, and the two ways to write them.
Does not belong here: counting (``changes.py``). Customers are named by their ids alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from lifecycle.comparison.changes import ENTRY_DAYS, Changes, Count, DayChanges, Example, SegmentChange, Standing

if TYPE_CHECKING:
    from rich.console import Console

    from lifecycle.comparison.publications import Rewriting
    from lifecycle.comparison.versions import ChangedFile, ChangedValue, Comparison

NOBODY = "not known yet"
"""Where somebody stands who is not in a history."""

SHOWN_FLOWS = 20
SHOWN_FILES = 30


@dataclass(frozen=True)
class Column:
    title: str
    align: Literal["left", "right"] = "left"


@dataclass(frozen=True)
class Section:
    """A heading, sentences under it, a table and what its end leaves out; each may be missing.

    ``level`` 1 is the report's own title, 3 an example.
    """

    title: str = ""
    lines: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    left_out: str = ""
    level: int = 2


# --- what is said ----------------------------------------------------------------------------------------------------


def tell_comparison(comparison: Comparison, zone: ZoneInfo) -> list[Section]:
    """The report on two versions."""
    title = f"{comparison.project}: {comparison.after} against {comparison.before}"
    if comparison.changes is None:
        said = (
            "Nothing that decides differs: models, seeds, rules, code and settings are the same, and so is the result."
        )
        return [Section(title, (said, *comparison.notes), level=1)]
    changes = comparison.changes
    lines = [
        f"Both built from the same data and the same identity, as of {comparison.as_of};"
        f" {_people(changes.history.customer_count)} compared.",
        *comparison.notes,
        *(_moved(day) for day in changes.days),
        _told_history(changes),
    ]
    return [
        Section(title, tuple(lines), level=1),
        *_tell_files(comparison.files, (*comparison.settings, *comparison.rules)),
        *_tell_changes(changes, comparison.as_of, zone),
    ]


def tell_rewriting(rewriting: Rewriting, zone: ZoneInfo) -> list[Section]:
    """The report on two publications."""
    earlier, later = rewriting.earlier, rewriting.later
    lines = [
        f"Run {later.run_id}, as of {later.as_of}, published {later.published_at:%Y-%m-%d %H:%M} UTC,"
        f" against run {earlier.run_id}, as of {earlier.as_of}, published {earlier.published_at:%Y-%m-%d %H:%M} UTC.",
        f"Both up to the end of {rewriting.as_of}: {_people(rewriting.rewritten_count)} of"
        f" {rewriting.changes.history.customer_count:,} have another past than was told then;"
        f" {rewriting.appeared_count:,} with a past were not known then, {rewriting.gone_count:,} are no longer known.",
    ]
    if rewriting.renamed_count or rewriting.joined_count:
        lines.append(
            f"Identity: {_counted(rewriting.renamed_count, 'id')} became another one, {rewriting.joined_count:,} more"
            " belong to somebody else now. They are compared under today's id."
        )
    if rewriting.changes.history.reworded_count:
        lines.append(f"For {rewriting.changes.history.reworded_count:,} more only the reasons differ.")
    sections = [Section(f"{rewriting.project}: what the later run rewrote", tuple(lines), level=1)]
    if rewriting.loaded:
        sections.append(
            Section(
                "Loaded in between",
                columns=(Column("source"), Column("table"), Column("files", "right"), Column("rows", "right")),
                rows=tuple(
                    (one.source, one.table, f"{one.batch_count:,}", f"{one.row_count:,}") for one in rewriting.loaded
                ),
            )
        )
    if rewriting.months:
        sections.append(
            Section(
                "From when on the past differs",
                columns=(
                    Column("month"),
                    Column("rewritten", "right"),
                    Column("not known then", "right"),
                    Column("no longer known", "right"),
                ),
                rows=tuple(
                    (f"{one.month:%Y-%m}", _number(one.rewritten), _number(one.appeared), _number(one.gone))
                    for one in rewriting.months
                ),
            )
        )
    if rewriting.intervals:
        sections.append(
            Section(
                "Intervals of those who were rewritten",
                columns=(Column("stage"), Column("no longer there", "right"), Column("new", "right")),
                rows=tuple((_stage(one.name), _number(one.before), _number(one.after)) for one in rewriting.intervals),
            )
        )
    day = rewriting.changes.days[0]
    sections += _tell_day(day, zone)
    if earlier.as_of != later.as_of:
        sections.append(_tell_counts(f"Each run's own day, {earlier.as_of} and {later.as_of}", rewriting.today))
    return sections


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count:,} people"


def _stand(count: int) -> str:
    return "stands" if count == 1 else "stand"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _moved(day: DayChanges) -> str:
    if not day.moved_count:
        return f"At the end of {day.day} everybody stands where they stood ({_people(day.customer_count)})."
    share = day.moved_count / day.customer_count
    return (
        f"At the end of {day.day} {_people(day.moved_count)} of {day.customer_count:,} ({share:.1%})"
        f" {_stand(day.moved_count)} elsewhere."
    )


def _told_history(changes: Changes) -> str:
    history = changes.history
    who = _people(history.changed_count) if history.changed_count else "nobody"
    were = "were" if history.changed_count > 1 else "was"
    said = f"Over the whole history, {who} {were} in other stages or at other times"
    if history.reworded_count:
        said += f"; for {history.reworded_count:,} more only the reasons differ"
    return said + "."


def _tell_files(files: Sequence[ChangedFile], values: Sequence[ChangedValue]) -> Iterator[Section]:
    if values:
        yield Section(
            "Rules and settings",
            columns=(Column("what"), Column("before"), Column("after")),
            rows=tuple((one.name, one.before or "", one.after or "") for one in values),
        )
    if files:
        more = len(files) - SHOWN_FILES
        yield Section(
            "Files",
            left_out=f"and {more:,} more" if more > 0 else "",
            columns=(Column("file"), Column("lines", "right")),
            rows=tuple(
                (one.path, "binary" if one.added is None else f"+{one.added:,} −{one.removed or 0:,}")
                for one in files[:SHOWN_FILES]
            ),
        )


def _tell_changes(changes: Changes, as_of: date | None, zone: ZoneInfo) -> Iterator[Section]:
    for day in changes.days:
        yield from _tell_day(day, zone)
    if changes.schemes is not None:
        if not changes.schemes:
            yield Section("Schemes", ("In every named scheme everybody stands where they stood.",))
        for scheme in changes.schemes:
            title = f"Scheme {scheme.scheme}" + ("" if scheme.kind == "changed" else f" ({scheme.kind})")
            who = f"{_people(scheme.moved_count)} {_stand(scheme.moved_count)}"
            said = {"new": f"{who} in it.", "gone": f"{_people(scheme.moved_count)} stood in it."}
            yield _tell_counts(
                f"{title} at the end of {as_of}", scheme.stages, said.get(scheme.kind, f"{who} elsewhere.")
            )
    if changes.history.entries:
        yield _tell_counts(
            f"Moves into a stage in the {ENTRY_DAYS} days to the end of {max(day.day for day in changes.days)}",
            changes.history.entries,
        )


def _tell_counts(title: str, counts: Sequence[Count], *lines: str) -> Section:
    return Section(
        title,
        lines,
        columns=(Column("stage"), Column("before", "right"), Column("after", "right"), Column("difference", "right")),
        rows=tuple(
            (_stage(one.name), f"{one.before:,}", f"{one.after:,}", _difference(one.difference)) for one in counts
        ),
    )


def _tell_day(day: DayChanges, zone: ZoneInfo) -> Iterator[Section]:
    yield _tell_counts(f"Stages at the end of {day.day}", day.stages)
    if day.flows:
        rest = day.flows[SHOWN_FLOWS:]
        others = f"and {_people(sum(flow.customer_count for flow in rest))} in {_counted(len(rest), 'smaller flow')}"
        yield Section(
            f"Who stands elsewhere at the end of {day.day}",
            left_out=others if rest else "",
            columns=(Column("before"), Column("after"), Column("people", "right")),
            rows=tuple(
                (_stage(flow.from_stage), _stage(flow.to_stage), f"{flow.customer_count:,}")
                for flow in day.flows[:SHOWN_FLOWS]
            ),
        )
        for flow in day.flows:
            yield from _tell_examples(f"{_stage(flow.from_stage)} → {_stage(flow.to_stage)}", flow.examples, zone)
    if day.segments:
        yield Section(
            f"Segments at the end of {day.day}",
            columns=(
                Column("segment"),
                Column("before", "right"),
                Column("after", "right"),
                Column("gained", "right"),
                Column("lost", "right"),
            ),
            rows=tuple(_segment(change) for change in day.segments),
        )
        for change in day.segments:
            yield from _tell_examples(f"gained by {change.segment}", change.gained_examples, zone)
            yield from _tell_examples(f"lost by {change.segment}", change.lost_examples, zone)


def _segment(change: SegmentChange) -> tuple[str, ...]:
    name = change.segment
    if change.before is None or change.after is None:
        name += " (new)" if change.before is None else " (gone)"
    return (
        name,
        "" if change.before is None else f"{change.before:,}",
        "" if change.after is None else f"{change.after:,}",
        _difference(change.gained),
        _difference(-change.lost),
    )


def _tell_examples(title: str, examples: Sequence[Example], zone: ZoneInfo) -> Iterator[Section]:
    if examples:
        yield Section(
            f"For example, {title}",
            columns=(Column("customer"), Column("before"), Column("after")),
            rows=tuple((one.customer_id, _standing(one.before, zone), _standing(one.after, zone)) for one in examples),
            level=3,
        )


def _standing(standing: Standing, zone: ZoneInfo) -> str:
    from datetime import UTC

    if standing.place is None:
        return NOBODY
    since = ""
    if standing.since_at is not None:
        since = f", since {standing.since_at.replace(tzinfo=UTC).astimezone(zone):%Y-%m-%d}"
    return f"{standing.place}: {standing.reason or 'no reason given'}{since}"


def _stage(stage: str | None) -> str:
    return NOBODY if stage is None else stage


def _number(count: int) -> str:
    return f"{count:,}" if count else ""


def _difference(count: int) -> str:
    return "" if not count else f"+{count:,}" if count > 0 else f"−{-count:,}"


# --- the two ways to write it ----------------------------------------------------------------------------------------


def _printable(text: str) -> str:
    """Data on one line: what a terminal would obey instead of show becomes a space."""
    return "".join(character if character.isprintable() else " " for character in text)


def print_tables(sections: Sequence[Section], console: Console, width: int) -> None:
    """For a terminal, no wider than ``width``."""
    from rich.table import Table
    from rich.text import Text

    width = min(width, console.width)
    for section in sections:
        if section.title:
            console.print(Text(_printable(section.title), style="bold" if section.level < 3 else "dim"), width=width)
        for line in section.lines:
            console.print(Text(_printable(line)), width=width)
        if section.rows:
            table = Table(box=None, pad_edge=False, header_style="dim")
            for column in section.columns:
                table.add_column(column.title, justify=column.align, overflow="fold")
            for row in section.rows:
                table.add_row(*(Text(_printable(cell)) for cell in row))
            console.print(table, width=width)
        if section.left_out:
            console.print(Text(section.left_out, style="dim"), width=width)
        console.print()


def as_markdown(sections: Sequence[Section]) -> str:
    """For a pull request: GitHub's Markdown. Examples are folded up, as there are many."""
    blocks = []
    for section in sections:
        parts = []
        table = _markdown_table(section)
        if section.level < 3 and section.title:
            parts.append(f"{'#' * (section.level + 1)} {_markdown(section.title)}")
        parts += [_markdown(line) for line in section.lines]
        if section.level < 3:
            parts += [part for part in (table, _markdown(section.left_out)) if part]
        else:
            parts.append(f"<details><summary>{_html(section.title)}</summary>\n\n{table}\n\n</details>")
        blocks.append("\n\n".join(parts))
    return "\n\n".join(blocks) + "\n"


def _markdown_table(section: Section) -> str:
    if not section.rows:
        return ""
    lines = [
        " | ".join(column.title for column in section.columns),
        " | ".join("---:" if column.align == "right" else "---" for column in section.columns),
        *(" | ".join(_markdown(cell) for cell in row) for row in section.rows),
    ]
    return "\n".join(f"| {line} |" for line in lines)


def _markdown(text: str) -> str:
    """A text that reads as it is written: nothing in it is markup, a mention or the border of a cell."""
    # An underscore inside a word is no markup, and ids and rules stay as they can be copied.
    escaped = re.sub(r"([\\`*{}\[\]<>#|~]|(?<!\w)_|_(?!\w))", r"\\\1", _printable(text))
    # A name that begins with an at sign calls somebody.
    return escaped.replace("@", "@\u200b")


def _html(text: str) -> str:
    return _printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
