"""Spans of time: the month a day lies in, what follows it, how a person writes it.

Belongs here: days, weeks, months, quarters and years of the calendar.
Does not belong here: which spans a metric is known by (``definitions.py``).
"""

from __future__ import annotations

from datetime import date, timedelta

GRAINS = ("day", "week", "month", "quarter", "year")
"""Spans of time that figures can be added up to, from short to long."""


def spans(finest: str) -> tuple[str, ...]:
    """The spans that something known by ``finest`` can be added up to; weeks do not make months."""
    later = GRAINS[GRAINS.index(finest) :]
    return tuple(grain for grain in later if not (finest == "week" and grain != "week"))


def span_of(day: date, grain: str) -> date:
    """The first day of the span that a day lies in."""
    if grain == "week":
        return day - timedelta(days=day.weekday())
    if grain == "month":
        return day.replace(day=1)
    if grain == "quarter":
        return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
    return day.replace(month=1, day=1) if grain == "year" else day


def after_span(day: date, grain: str) -> date:
    """The first day after the span that a day lies in."""
    first = span_of(day, grain)
    if grain in ("day", "week"):
        return first + timedelta(days=1 if grain == "day" else 7)
    months = {"month": 1, "quarter": 3, "year": 12}[grain]
    later = first.month - 1 + months
    return date(first.year + later // 12, later % 12 + 1, 1)


def written_span(day: date, grain: str) -> str:
    """A span as a person writes it: 2025-12, 2025-Q4, 2025-W49."""
    if grain == "month":
        return f"{day:%Y-%m}"
    if grain == "quarter":
        return f"{day.year}-Q{(day.month + 2) // 3}"
    if grain == "week":
        year, week, _ = day.isocalendar()
        return f"{year}-W{week:02}"
    return str(day.year) if grain == "year" else day.isoformat()
