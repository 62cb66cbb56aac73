"""How figures are written: for a person, a spreadsheet, a program or a pull request.

Belongs here: numbers and days as text, and tables in each of the formats.
Does not belong here: which figures there are (``query.py``, ``scorecard.py``).

A style is table, csv, json or markdown. A table is for reading: percentages, currencies, digits in groups. The others
carry the figures as they are.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from lifecycle.metrics.query import Answer, Column
from lifecycle.metrics.scorecard import FIELDS, IN_WORDS, STATUSES, WHOLE, Scorecard, Standing
from lifecycle.metrics.spans import written_span

if TYPE_CHECKING:
    from rich.console import Console

NOTHING = "–"
"""What stands in a table where there is no figure."""


_PATTERNS = {
    "count": ("{:,.0f}", ""),
    "rate": ("{:.1%}", ""),
    "days": ("{:,.1f}", " days"),
    "hours": ("{:,.1f}", " h"),
    "minutes": ("{:,.1f}", " min"),
    "points": ("{:+.1f}", ""),
    "ratio": ("{:,.2f}", " ×"),
    "index": ("{:.1f}", ""),
    "number": ("{:,.2f}", ""),
}


def figure(value: Any, unit: str | None, currency: str) -> str:
    """A figure for reading: ``1,234``, ``12.3%``, ``1,234.50 EUR``."""
    if value is None:
        return NOTHING
    if unit == "money":
        return _minus(f"{value:,.2f}") + f" {currency}"
    pattern, after = _PATTERNS.get(unit or "", _PATTERNS["number"])
    return _minus(pattern.format(value)) + after


def change(value: float | None, unit: str | None, currency: str) -> str:
    """A difference for reading; of rates it is in percentage points."""
    if value is None:
        return NOTHING
    if unit == "rate":
        return _minus(f"{value * 100:+.1f}") + " pp"
    text = figure(value, unit, currency)
    return text if value <= 0 or text.startswith("+") else f"+{text}"


def _minus(text: str) -> str:
    """Nothing is written as minus nothing, and a minus is as wide as a plus."""
    if text.startswith("-") and not re.search(r"[1-9]", text):
        text = text[1:]
    return text.replace("-", "−", 1) if text.startswith("-") else text


def cell(value: Any, column: Column, currency: str) -> str:
    """A cell of a table for reading."""
    if column.unit is not None:
        return figure(value, column.unit, currency)
    if value is None:
        return NOTHING
    if column.grain is not None and isinstance(value, date):
        return written_span(value, column.grain)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return printable(str(value))


def printable(text: str) -> str:
    """Data on one line: what a terminal would obey instead of show becomes a space."""
    return "".join(character if character.isprintable() else " " for character in text)


def print_rows(
    console: Console, style: str, columns: Sequence[Column], rows: Sequence[Sequence[Any]], currency: str
) -> None:
    """Rows in one of the formats, with nothing around them."""
    if style == "csv":
        print(as_csv([column.name for column in columns], rows), end="")  # noqa: T201
    elif style == "json":
        print(as_json(_records(columns, rows)), end="")  # noqa: T201
    elif style == "markdown":
        print(as_markdown(columns, rows), end="")  # noqa: T201
    else:
        _print_table(console, columns, [[cell(*pair, currency) for pair in _paired(row, columns)] for row in rows])


def print_answer(console: Console, style: str, answer: Answer, currency: str) -> None:
    """Figures that were asked for; what has to be known with them stands below, or beside what a program reads."""
    if style == "json":
        content = {
            "as_of": answer.as_of,
            "run_id": answer.run_id,
            "currency": currency,
            "columns": [
                {"name": one.name, "label": one.label, "grain": one.grain, "unit": one.unit} for one in answer.columns
            ],
            "rows": _records(answer.columns, answer.rows),
            "hints": list(answer.hints),
        }
        print(as_json(content), end="")  # noqa: T201
        return
    if answer.rows or style != "table":
        print_rows(console, style, answer.columns, answer.rows, currency)
    if style == "table":
        for hint in (*answer.hints, f"As of {answer.as_of}."):
            console.print(printable(hint), style="dim", markup=False)
    else:
        for hint in answer.hints:
            print(printable(hint), file=sys.stderr)  # noqa: T201


def _records(columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    return [{column.name: value for value, column in _paired(row, columns)} for row in rows]


def _paired(row: Sequence[Any], columns: Sequence[Column]) -> list[tuple[Any, Column]]:
    return list(zip(row, columns, strict=True))


def _print_table(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """A table for a terminal; figures stand to the right."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column.label, justify="right" if column.unit else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(text) for text in row))
    console.print(table)


# --- the scorecard ---------------------------------------------------------------------------------------------------


def print_scorecard(console: Console, style: str, scorecard: Scorecard, project: str) -> None:
    """A scorecard, worst first; for reading with where to look, else as it is published."""
    if style == "csv":
        print(as_csv(FIELDS, [[one.row[name] for name in FIELDS] for one in scorecard.standings]), end="")  # noqa: T201
    elif style == "json":
        content = {
            "as_of": scorecard.as_of,
            "run_id": scorecard.run_id,
            "month": scorecard.month,
            "is_complete": scorecard.is_complete,
            "kpis": [
                {**one.row, "label": one.label, "look_at": list(one.look_at), "worst": list(one.worst)}
                for one in scorecard.standings
            ],
        }
        print(as_json(content), end="")  # noqa: T201
    elif style == "markdown":
        print("\n".join(_scorecard_markdown(scorecard, project)))  # noqa: T201
    else:
        _print_scorecard(console, scorecard, project)


def _print_scorecard(console: Console, scorecard: Scorecard, project: str) -> None:
    from rich.text import Text

    console.print(Text(_title(scorecard, project), style="bold"))
    console.print(Text(f"{scorecard.summary}. {_basis(scorecard)}", style="dim"))
    columns = _scorecard_columns(scorecard)
    for status in STATUSES:
        standings = scorecard.of(status)
        if not standings:
            continue
        console.print()
        console.print(Text(f"{IN_WORDS[status]} ({len(standings)})", style=f"bold {_COLOURS[status]}"))
        _print_table(console, columns, [_cells(one, scorecard) for one in standings])
        if status in _TO_LOOK_INTO:
            for one in standings:
                _print_reasons(console, one, scorecard)
    if scorecard.options:
        console.print()
        console.print(Text(f"The commands need `{scorecard.options}`.", style="dim"), soft_wrap=True)


def _print_reasons(console: Console, one: Standing, scorecard: Scorecard) -> None:
    """Why it matters, what weighs most in it, and where it can be looked at."""
    from rich.text import Text

    matters = printable(one.row["description"] or "")
    console.print(Text(f"  {_name(one, scorecard)}{f': {matters}' if matters else ''}"), soft_wrap=True)
    for row in one.worst:
        console.print(Text(f"    most is missing in {_of_value(row)}"), soft_wrap=True)
    console.print(Text(f"    {_look_at(one)}", style="dim"), soft_wrap=True)


def _of_value(row: dict[str, Any]) -> str:
    """``acquisition_channel display: 9.8% of 412, at most 7.0%``."""
    unit, currency = row["unit"], row["currency"] or ""
    of = f" of {figure(row['denominator'], 'count', currency)}" if row["denominator"] is not None else ""
    return printable(
        f"{row['dimension']} {row['dimension_value']}: {figure(row['value'], unit, currency)}{of}, {_bound(row)}"
    )


def _bound(row: dict[str, Any]) -> str:
    """``at most 7.0%``."""
    words = "at least" if row["direction"] == "up" else "at most"
    return f"{words} {figure(row['target_value'], row['unit'], row['currency'] or '')}"


_COLOURS = {"off_track": "red", "at_risk": "yellow", "no_data": "dim", "on_track": "green"}
_TO_LOOK_INTO = ("off_track", "at_risk", "no_data")


def _title(scorecard: Scorecard, project: str) -> str:
    apart = "" if scorecard.dimension == WHOLE else f" by {scorecard.dimension}"
    return printable(f"Scorecard of {project}{apart}, {written_span(scorecard.month, 'month')}")


def _basis(scorecard: Scorecard) -> str:
    if scorecard.is_complete:
        return f"As of {scorecard.as_of}; changes are to the month before."
    return f"The month is not over: it goes up to {scorecard.as_of}, and totals will still grow."


def _scorecard_columns(scorecard: Scorecard) -> list[Column]:
    apart = [] if scorecard.dimension == WHOLE else [Column("dimension_value", scorecard.dimension)]
    names = ("value", "of", "target", "change") if _says_of_how_many(scorecard) else ("value", "target", "change")
    figures = [Column(name, name, unit="number") for name in names]
    return [Column("kpi", "KPI"), *apart, *figures, Column("owner", "owner")]


def _says_of_how_many(scorecard: Scorecard) -> bool:
    """Taken apart, a rate may be that of two people."""
    return scorecard.dimension != WHOLE and any(one.row["denominator"] is not None for one in scorecard.standings)


def _cells(one: Standing, scorecard: Scorecard) -> list[str]:
    """The texts of a row of the scorecard."""
    unit, currency = one.row["unit"], one.row["currency"] or ""
    apart = [] if scorecard.dimension == WHOLE else [printable(str(one.row["dimension_value"]))]
    of = [figure(one.row["denominator"], "count", currency)] if _says_of_how_many(scorecard) else []
    return [
        printable(_label(one)),
        *apart,
        figure(one.row["value"], unit, currency),
        *of,
        _bound(one.row),
        change(one.row["change"], unit, currency),
        printable(one.row["owner"] or NOTHING),
    ]


def _name(one: Standing, scorecard: Scorecard) -> str:
    apart = "" if scorecard.dimension == WHOLE else f", {one.row['dimension_value']}"
    return printable(f"{_label(one)}{apart}")


def _label(one: Standing) -> str:
    """What the KPI is; of a metric that is known later, also of which month."""
    month = one.row["value_month"]
    return one.label if month == one.row["kpi_month"] else f"{one.label} (of {written_span(month, 'month')})"


def _look_at(one: Standing) -> str:
    return printable(" · ".join(part for part in one.look_at if part) or "its metric is not defined any more")


def _scorecard_markdown(scorecard: Scorecard, project: str) -> list[str]:
    columns = _scorecard_columns(scorecard)
    lines = [f"## {escaped(_title(scorecard, project))}", "", f"{scorecard.summary}. {_basis(scorecard)}"]
    for status in STATUSES:
        standings = scorecard.of(status)
        if not standings:
            continue
        rows = [[*_cells(one, scorecard), *([_look_at(one)] if status in _TO_LOOK_INTO else [])] for one in standings]
        shown = [*columns, *([Column("look", "where to look")] if status in _TO_LOOK_INTO else [])]
        table = _markdown_table(shown, [[escaped(text) for text in row] for row in rows])
        lines += ["", f"### {IN_WORDS[status]}", "", *table]
    return lines


# --- formats ---------------------------------------------------------------------------------------------------------


def as_csv(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A spreadsheet's file, with plain figures and days."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([[_plain(value) for value in row] for row in rows])
    return buffer.getvalue()


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        # A spreadsheet would compute it.
        return f"'{value}"
    return value


def as_json(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False, default=_for_json) + "\n"


def _for_json(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")


def as_markdown(columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> str:
    """A table of Markdown: spans of time for reading, figures as they are."""
    return (
        "\n".join(_markdown_table(columns, [[_markdown(*pair) for pair in _paired(row, columns)] for row in rows]))
        + "\n"
    )


def _markdown_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [
        " | ".join(escaped(column.label) for column in columns),
        " | ".join("---:" if column.unit else "---" for column in columns),
        *(" | ".join(row) for row in rows),
    ]
    return [f"| {line} |" for line in lines]


def _markdown(value: Any, column: Column) -> str:
    if value is None:
        return ""
    if column.grain is not None and isinstance(value, date):
        return written_span(value, column.grain)
    return escaped(str(_plain(value) if isinstance(value, bool) else value))


def escaped(text: str) -> str:
    """A text that reads as it is written: nothing in it is markup, a mention or the border of a cell."""
    marked = re.sub(r"([\\`*{}\[\]<>#|~]|(?<!\w)_|_(?!\w))", r"\\\1", printable(text))
    return marked.replace("@", "@\u200b")
