"""From texts to values: the SQL that casts a field, and says why when it cannot.

Belongs here: one expression per kind of the input contract that gives the value (null when the text is none), and one
that gives the reason. Reasons never carry the value: they are counted and shown.
Does not belong here: where the texts come from (``files.py``) and where the values go (``intake.py``).
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from lifecycle.settings import PROJECT_DIR
from lifecycle.sources.contract import Column, Kind, Table
from lifecycle.warehouse import literal, quoted

CURRENCIES_FILE = PROJECT_DIR / "seeds" / "currencies.csv"

REASON_MISSING = "a required value is missing"
REASON_NO_NUMBER = "not a number"
REASON_NO_INTEGER = "not a whole number"
REASON_NUMBER_RANGE = "a number out of range"
REASON_DECIMALS = "more than four decimals"
REASON_MINOR_UNITS = "more decimals than its currency has"
REASON_NO_BOOLEAN = "neither true nor false"
REASON_NO_TIMESTAMP = "not a timestamp"
REASON_TIME_RANGE = "a time before 1900 or after 2199"
REASON_TIME_GAP = "a local time that the clocks skipped"
REASON_NO_DAY = "not a day"
REASON_CURRENCY = "an unknown currency"
REASON_ALLOWED = "not one of the allowed values"
REASON_NO_JSON = "invalid JSON"

_SPACES = r"e' \t\r\n\v\f'"
_NUMBER = r"[+-]?(\d+(\.\d*)?|\.\d+)"
_INTEGER = r"[+-]?\d+(\.0*)?"
_CLOCK = r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,9})?)?"
_OFFSET = r"(Z|z|[+-]\d{2}(:?\d{2})?)"
_DAY = r"(19|20|21)\d{2}-\d{2}-\d{2}"
_ANY_DAY = r"\d{4}-\d{2}-\d{2}"
_LOCAL_TIME = rf"([T ]{_CLOCK})?"
_EXACT_TIME = rf"[T ]{_CLOCK} ?{_OFFSET}"
_MIDNIGHT = r"([T ]00:00(:00(\.0+)?)?)?"
_TRUE, _FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")
_DEFAULT_DIGITS = 4


@cache
def minor_units() -> dict[str, int]:
    """Currency code → decimals of its smallest unit; those without one (gold, testing) get four."""
    with CURRENCIES_FILE.open(encoding="utf-8", newline="") as stream:
        return {
            row["currency_code"]: int(row["minor_unit_digits"] or _DEFAULT_DIGITS) for row in csv.DictReader(stream)
        }


@cache
def overlap_sizes(zone: str) -> tuple[timedelta, ...]:
    """By how much clocks of a zone ever went back between 1900 and 2199: usually one hour, or never."""
    place = ZoneInfo(zone)
    sizes: set[timedelta] = set()
    moment, step = datetime(1900, 1, 1, tzinfo=UTC), timedelta(days=7)
    before = moment.astimezone(place).utcoffset() or timedelta()
    while moment.year < 2200:
        moment += step
        after = moment.astimezone(place).utcoffset() or timedelta()
        if after < before:
            sizes.add(before - after)
        before = after
    return tuple(sorted(sizes, reverse=True))


def in_list(values: Sequence[str]) -> str:
    return "(" + ", ".join(literal(value) for value in values) + ")"


@dataclass(frozen=True)
class Cast:
    """How one column of a table gets its value from the text column ``text``."""

    column: Column
    text: str
    zone: str
    currency_text: str | None = None
    """The row's currency, for money in a table that has one."""

    def value(self) -> str:
        """SQL of the value: null when there is no text, and when the text is no such value."""
        text, column = self.text, self.column
        if column.kind == Kind.TEXT and not column.allowed:
            return text
        conditions = {
            Kind.TEXT: (f"{text} in {in_list(column.allowed)}", text),
            Kind.INTEGER: (f"regexp_full_match({text}, '{_INTEGER}')", f"try_cast({text} as bigint)"),
            Kind.BOOLEAN: (f"lower({text}) in {in_list(_TRUE + _FALSE)}", f"lower({text}) in {in_list(_TRUE)}"),
            Kind.DAY: (f"regexp_full_match({text}, '{_DAY}{_MIDNIGHT}')", f"try_cast({text}[:10] as date)"),
            Kind.CURRENCY: (f"upper({text}) in {in_list(sorted(minor_units()))}", f"upper({text})"),
            Kind.JSON: (f"json_valid({text})", text),
        }
        if column.kind in conditions:
            condition, value = conditions[column.kind]
            return f"case when {condition} then {value} end"
        return self._moment() if column.kind == Kind.TIMESTAMP else self._decimal()

    def reason(self) -> str:
        """SQL of the reason why a text that is there has no value."""
        text, kind = self.text, self.column.kind
        fixed = {
            Kind.TEXT: REASON_ALLOWED,
            Kind.BOOLEAN: REASON_NO_BOOLEAN,
            Kind.CURRENCY: REASON_CURRENCY,
            Kind.JSON: REASON_NO_JSON,
        }
        if kind in fixed:
            return literal(fixed[kind])
        if kind == Kind.TIMESTAMP:
            return self._moment_reason()
        if kind == Kind.DAY:
            is_day = f"regexp_full_match({text}, '{_ANY_DAY}{_MIDNIGHT}') and try_cast({text}[:10] as date) is not null"
            return f"case when {is_day} then {literal(REASON_TIME_RANGE)} else {literal(REASON_NO_DAY)} end"
        if kind == Kind.INTEGER:
            is_integer = f"regexp_full_match({text}, '{_INTEGER}')"
            return f"case when {is_integer} then {literal(REASON_NUMBER_RANGE)} else {literal(REASON_NO_INTEGER)} end"
        return (
            f"case when not regexp_full_match({text}, '{_NUMBER}') then {literal(REASON_NO_NUMBER)}"
            rf" when regexp_matches({text}, '\.\d{{4}}\d*[1-9]') then {literal(REASON_DECIMALS)}"
            f" when try_cast({text} as decimal(18,4)) is null then {literal(REASON_NUMBER_RANGE)}"
            f" else {literal(REASON_MINOR_UNITS)} end"
        )

    def _decimal(self) -> str:
        text, pattern = self.text, self._number_pattern()
        return f"case when regexp_full_match({text}, {pattern}) then try_cast({text} as decimal(18,4)) end"

    def _number_pattern(self) -> str:
        if self.column.kind != Kind.MONEY or self.currency_text is None:
            return literal(_exact_number(_DEFAULT_DIGITS))
        by_digits: dict[int, list[str]] = {}
        for code, digits in minor_units().items():
            by_digits.setdefault(digits, []).append(code)
        # Most currencies have two: they are the ELSE, and so is an unknown one, which its own column reports.
        branches = "".join(
            f" when upper({self.currency_text}) in {in_list(codes)} then {literal(_exact_number(digits))}"
            for digits, codes in sorted(by_digits.items())
            if digits != 2
        )
        return (
            f"case when {self.currency_text} is null then {literal(_exact_number(_DEFAULT_DIGITS))}{branches}"
            f" else {literal(_exact_number(2))} end"
        )

    def _local(self) -> str:
        return f"try_cast({self.text} as timestamp)"

    def _local_to_utc(self) -> str:
        if self.zone == "UTC":
            return self._local()
        zone, local = literal(self.zone), self._local()
        moment = f"timezone({zone}, {local})"
        earlier = "".join(
            f" when timezone({zone}, {moment} - {_interval(size)}) = {local}"
            f" then timezone('UTC', {moment} - {_interval(size)})"
            for size in overlap_sizes(self.zone)
        )
        # A time in a gap does not come back as it went in; one that happens twice is its first moment.
        return f"case when timezone({zone}, {moment}) <> {local} then null{earlier} else timezone('UTC', {moment}) end"

    def _moment(self) -> str:
        return (
            f"case when regexp_full_match({self.text}, '{_DAY}{_LOCAL_TIME}') then {self._local_to_utc()}"
            f" when regexp_full_match({self.text}, '{_DAY}{_EXACT_TIME}') then {self._exact()} end"
        )

    def _exact(self) -> str:
        # DuckDB reads neither a space before the offset nor a small z.
        text = f"upper(concat({self.text}[:11], replace({self.text}[12:], ' ', '')))"
        return f"timezone('UTC', try_cast({text} as timestamptz))"

    def _moment_reason(self) -> str:
        is_local = f"regexp_full_match({self.text}, '{_ANY_DAY}{_LOCAL_TIME}') and {self._local()} is not null"
        is_exact = f"regexp_full_match({self.text}, '{_ANY_DAY}{_EXACT_TIME}') and {self._exact()} is not null"
        return (
            f"case when not ({is_local}) and not ({is_exact}) then {literal(REASON_NO_TIMESTAMP)}"
            f" when regexp_matches({self.text}, '^{_DAY}') then {literal(REASON_TIME_GAP)}"
            f" else {literal(REASON_TIME_RANGE)} end"
        )


def _interval(size: timedelta) -> str:
    return f"interval {int(size.total_seconds())} second"


def _exact_number(digits: int) -> str:
    """Numbers of at most 14 digits before the point and ``digits`` after it; zeros around them do not count."""
    if digits == 0:
        return r"[+-]?0*\d{1,14}(\.0*)?"
    return rf"[+-]?(0*\d{{1,14}}(\.\d{{0,{digits}}}0*)?|\.\d{{1,{digits}}}0*)"


def normalized(text: str) -> str:
    """SQL of a text without the white space around it; null when nothing is left."""
    # Looking at both ends first is five times faster than trimming every value.
    ends = " or ".join(f"suffix({text}, {end})" for end in ("' '", r"e'\t'", r"e'\n'", r"e'\r'", r"e'\v'", r"e'\f'"))
    return f"case when {text} < '!' or {ends} then nullif(trim({text}, {_SPACES}), '') else {text} end"


def casts_of(table: Table, texts: dict[str, str], zone: str) -> list[Cast]:
    """One cast per column that the source has; ``texts`` is the SQL of each column's normalized text."""
    return [
        Cast(column, texts[column.name], zone, texts.get("currency"))
        for column in table.columns
        if column.name in texts
    ]


def is_bad(table: Table, casts: Sequence[Cast]) -> str:
    """SQL that is true for a row that cannot be loaded; it sees each column's text, and its value by its name."""
    parts = [
        f"{quoted(cast.column.name)} is null"
        if cast.column.required
        else f"({cast.text} is not null and {quoted(cast.column.name)} is null)"
        for cast in casts
        if cast.column.required or cast.column.kind != Kind.TEXT or cast.column.allowed
    ]
    if table.one_of:
        parts.append(f"({_nothing_of(table, casts)})")
    return " or ".join(parts) if parts else "false"


def _nothing_of(table: Table, casts: Sequence[Cast]) -> str:
    return " and ".join(f"{cast.text} is null" for cast in casts if cast.column.name in table.one_of) or "true"


def problems(table: Table, casts: Sequence[Cast]) -> str:
    """SQL of the list of a row's problems, each ``{column_name, reason}``, in the contract's order."""
    entries = []
    for cast in casts:
        branches = []
        if cast.column.required:
            branches.append(f"when {cast.text} is null then {literal(REASON_MISSING)}")
        if cast.column.kind != Kind.TEXT or cast.column.allowed:
            branches.append(f"when {cast.text} is not null and ({cast.value()}) is null then {cast.reason()}")
        if branches:
            entries.append(_problem(cast.column.name, " ".join(branches)))
    if table.one_of:
        reason = literal(f"none of {', '.join(table.one_of)} is filled")
        entries.append(_problem(table.one_of[0], f"when {_nothing_of(table, casts)} then {reason}"))
    return f"list_filter([{', '.join(entries)}], lambda each_problem: each_problem.reason is not null)"


def _problem(column_name: str, branches: str) -> str:
    return f"{{'column_name': {literal(column_name)}, 'reason': case {branches} end}}"
