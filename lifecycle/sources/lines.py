"""The line reader: CSV and JSON lines that DuckDB's readers stumble over.

Belongs here: splitting bytes into physical lines, CSV records (RFC 4180) and JSON objects of which a malformed one
costs its own line and nothing else, and why it is malformed.
Does not belong here: files and tables (``files.py``), what values mean (``casts.py``).
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from lifecycle.settings import QualitySettings
from lifecycle.sources.census import REASON_NUL, REASON_QUOTE_OPEN, REASON_UTF8, Bytes

LINE_FLOOR_BYTES = 64 * 1024 * 1024
"""A physical line is kept whole up to this, or up to the field limit when that is higher."""
LINES_PER_BLOCK = 2_000

REASON_AFTER_QUOTE = "text after a closing quote"
REASON_FEW = "too few fields"
REASON_MANY = "too many fields"
REASON_LONG = "a field is longer than the limit"
REASON_JSON = "not a JSON object"
REASON_KEY_TWICE = "a key appears twice"
REASON_NESTED = "a nested value where a single one is expected"
REASON_DEEP = "nested too deep"


@dataclass(slots=True)
class Line:
    number: int
    content: bytes
    end: bytes
    cut: bool = False


@dataclass(slots=True)
class Block:
    """Some physical lines with their ends; ``cut`` is a single line of which only the beginning was kept."""

    first: int
    pieces: list[bytes]
    cut: bool = False

    def lines(self) -> Iterator[Line]:
        for number, piece in enumerate(self.pieces, self.first):
            content = piece.rstrip(b"\r\n")
            yield Line(number, content, piece[len(content) :], self.cut)


def split_blocks(chunks: Iterable[bytes], max_bytes: int) -> Iterator[Block]:
    """Physical lines, ended by LF, CRLF or CR, some at a time. A line beyond ``max_bytes`` is cut, never held whole."""
    number = 1
    parts: list[bytes] = []
    size = 0
    held = b""
    for chunk in chunks:
        block = held + chunk
        # A carriage return at the end may be the first half of a line end.
        held = block[-1:] if block.endswith(b"\r") else b""
        block = block[:-1] if held else block
        last_end = max(block.rfind(b"\n"), block.rfind(b"\r")) + 1
        if last_end and size > max_bytes:
            first_end = len(block.splitlines(keepends=True)[0])
            yield Block(number, [b"".join(parts)[:max_bytes] + b"\n"], cut=True)
            number += 1
            pieces = block[first_end:last_end].splitlines(keepends=True)
            parts, size = [], 0
        elif last_end:
            pieces = (b"".join(parts) + block[:last_end]).splitlines(keepends=True)
            parts, size = [], 0
        else:
            pieces = []
        for start in range(0, len(pieces), LINES_PER_BLOCK):
            some = pieces[start : start + LINES_PER_BLOCK]
            yield Block(number, some)
            number += len(some)
        rest = block[last_end:]
        if rest:
            if size <= max_bytes:
                parts.append(rest)
            size += len(rest)
    if size or held:
        yield Block(number, [b"".join(parts)[:max_bytes] + held], cut=size > max_bytes)


class _Record:
    """One CSV record, fed line by line until its last quote has closed (RFC 4180)."""

    def __init__(self, delimiter: str) -> None:
        self.delimiter = delimiter
        self.fields: list[str] = []
        self.parts: list[str] = []
        self.quoted = False
        self.reason = ""

    def feed(self, text: str) -> bool:
        """Take one line; True when the record is complete (or malformed: see ``reason``)."""
        position = 0
        while True:
            if self.quoted:
                at = text.find('"', position)
                if at < 0:
                    self.parts.append(text[position:])
                    return False
                self.parts.append(text[position:at])
                if text[at + 1 : at + 2] == '"':
                    self.parts.append('"')
                    position = at + 2
                    continue
                self.quoted = False
                self.fields.append("".join(self.parts))
                self.parts.clear()
                position = self._after_spaces(text, at + 1)
                if position == len(text):
                    return True
                if text[position] != self.delimiter:
                    self.reason = REASON_AFTER_QUOTE
                    return True
                position += 1
                continue
            opening = self._after_spaces(text, position)
            if text[opening : opening + 1] == '"':
                self.quoted = True
                position = opening + 1
                continue
            at = text.find(self.delimiter, position)
            if at < 0:
                self.fields.append(text[position:])
                return True
            self.fields.append(text[position:at])
            position = at + 1

    def _after_spaces(self, text: str, position: int) -> int:
        if self.delimiter != " ":
            while text[position : position + 1] == " ":
                position += 1
        return position


@dataclass(slots=True)
class Parsed:
    """A record, or why its first line is none. ``lines`` counts the physical lines it takes up."""

    line: Line
    fields: list[str]
    reason: str = ""
    lines: int = 1


@dataclass(slots=True)
class PlainRows:
    """Fields of consecutive lines that are all plain records."""

    first: int
    rows: list[list[str]]
    byte_count: int


class CsvParser:
    """Records of a CSV, of ``width`` fields when that is known, behind ``skipped_lines``.

    A record that is malformed takes its first line with it; reading goes on at the next line.
    """

    def __init__(
        self,
        blocks: Iterator[Block],
        delimiter: str,
        max_field_bytes: int,
        width: int | None = None,
        skipped_lines: int = 0,
    ) -> None:
        self.blocks, self.delimiter, self.max_field_bytes = blocks, delimiter, max_field_bytes
        self.width, self.skipped_lines = width, skipped_lines
        self.current: Iterator[Line] = iter(())
        self.pending: deque[Line] = deque()

    def records(self) -> Iterator[Parsed | PlainRows | None]:
        """Records one by one, or many plain ones at once; None for each empty line between them."""
        while True:
            line = self._next_in_block()
            if line is None:
                block = next(self.blocks, None)
                if block is None:
                    return
                rows = self._plain_rows(block)
                if rows is not None:
                    yield rows
                    continue
                self.current = block.lines()
            elif not line.content and not line.cut:
                yield None
            else:
                yield self.parse_line(line)

    def _next_in_block(self) -> Line | None:
        if self.pending:
            return self.pending.popleft()
        for line in self.current:
            if line.number > self.skipped_lines:
                return line
        return None

    def _next(self) -> Line | None:
        while (line := self._next_in_block()) is None:
            block = next(self.blocks, None)
            if block is None:
                return None
            self.current = block.lines()
        return line

    def _plain_rows(self, block: Block) -> PlainRows | None:
        """The fields of a block in which no line needs a closer look: without quotes each line is a record."""
        if self.width is None or block.cut or block.first <= self.skipped_lines:
            return None
        joined = b"".join(block.pieces)
        if b'"' in joined or b"\x00" in joined or max(map(len, block.pieces)) > self.max_field_bytes:
            return None
        try:
            rows = [piece.decode().rstrip("\r\n").split(self.delimiter) for piece in block.pieces]
        except UnicodeDecodeError:
            return None
        if set(map(len, rows)) != {self.width} or (self.width == 1 and [""] in rows):
            return None
        return PlainRows(block.first, rows, len(joined))

    def parse_line(self, line: Line) -> Parsed:
        """The record that starts at a line, with as many of the following ones as it needs."""
        reason, text = decoded_line(line)
        if reason:
            return Parsed(line, [], reason)
        if '"' not in text:
            fields, reason = _of_width(text.split(self.delimiter), self.width)
            if not reason and _too_long(fields, len(line.content), self.max_field_bytes):
                reason = REASON_LONG
            return Parsed(line, fields, reason)
        record = _Record(self.delimiter)
        complete = record.feed(text)
        taken: list[Line] = []
        size = len(line.content)
        end = line.end
        while not complete and (following := self._next()) is not None:
            taken.append(following)
            size += len(following.content)
            reason, text = decoded_line(following)
            # A field may be as long as the limit, and as often escaped; beyond that, its quote is not going to close.
            if reason or size > 2 * self.max_field_bytes + LINE_FLOOR_BYTES // 64:
                break
            record.parts.append(end.decode())
            complete = record.feed(text)
            end = following.end
        fields, reason = record.fields, record.reason if complete else REASON_QUOTE_OPEN
        if not reason:
            fields, reason = _of_width(fields, self.width)
        if not reason and _too_long(fields, size, self.max_field_bytes):
            reason = REASON_LONG
        if not reason:
            return Parsed(line, fields, "", 1 + len(taken))
        self.pending.extendleft(reversed(taken))
        return Parsed(line, fields, reason)


def _of_width(fields: list[str], width: int | None) -> tuple[list[str], str]:
    """(fields, why they are not ``width`` many)."""
    if width is None or len(fields) == width:
        return fields, ""
    # As in DuckDB's reader: a delimiter at the very end of a line adds no field.
    if len(fields) == width + 1 and not fields[-1]:
        return fields[:-1], ""
    return fields, REASON_FEW if len(fields) < width else REASON_MANY


def decoded_line(line: Line) -> tuple[str, str]:
    """(why it is no text, its text)."""
    if line.cut:
        return REASON_LONG, ""
    try:
        text = line.content.decode("utf-8")
    except UnicodeDecodeError:
        return REASON_UTF8, ""
    return (REASON_NUL, "") if "\x00" in text else ("", text)


def _too_long(fields: list[str], size: int, max_field_bytes: int) -> bool:
    if size <= max_field_bytes:
        return False
    return any(len(value.encode("utf-8", "surrogatepass")) > max_field_bytes for value in fields)


def raw_of(line: Line) -> tuple[str, str]:
    """A physical line for the quarantine: as text, or escaped where it is none."""
    reason, text = decoded_line(line)
    if not reason:
        return "line", text
    escaped = line.content.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace").replace("\x00", "\\x00")
    return "bytes", escaped


def blocks_of(content: Bytes) -> Iterator[Block]:
    return split_blocks(content.chunks(), max(LINE_FLOOR_BYTES, content.limits.max_field_bytes))


def lines_of(content: Bytes) -> Iterator[Line]:
    for block in blocks_of(content):
        yield from block.lines()


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with all its keys, the repeated ones too."""


def _plain_float(text: str) -> Any:
    """A float as DuckDB writes it: its shortest form, without an exponent."""
    short = repr(float(text))
    return _Number(format(Decimal(short), "f") if "e" in short else short)


class _Number(str):
    """A JSON number's text."""

    __slots__ = ()


def nesting_depth(text: str) -> int:
    """How deep brackets are nested in a JSON text, strings left out."""
    depth = deepest = 0
    for character in re.sub(r'"(?:[^"\\]|\\.)*"', "", text):
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


@dataclass(slots=True)
class JsonRow:
    """The texts of the wanted fields of one JSON line, or why it has none; ``keys`` are all that it has."""

    values: list[str | None]
    column: str | None = None
    problem: str | None = None
    keys: frozenset[str] = frozenset()


def json_fields(text: str, names: Sequence[str], json_names: set[str], limits: QualitySettings) -> JsonRow:
    """Take the named fields out of a JSON object; those in ``json_names`` may be nested."""
    row = JsonRow([None] * len(names))
    found, row.problem = _json_object(text, limits.max_nesting)
    row.keys = frozenset(key for key, _ in found)
    if row.problem is None and len(row.keys) < len(found):
        row.problem = REASON_KEY_TWICE
    if row.problem is not None:
        return row
    values = dict(found)
    result: list[str | None] = []
    for name in names:
        value = values.get(name)
        if isinstance(value, list) and name not in json_names:
            row.problem = REASON_NESTED
        elif isinstance(value, list):
            value = _json_text(value)
        elif isinstance(value, bool):
            value = "true" if value else "false"
        if isinstance(value, str):
            row.problem = _text_problem(value, limits.max_field_bytes)
        if row.problem is not None:
            row.column = name
            return row
        result.append(None if value is None else str(value))
    row.values = result
    return row


def _json_object(text: str, max_nesting: int) -> tuple[_Pairs, str | None]:
    """(the object, why it is none)."""
    if text.count("{") + text.count("[") > max_nesting and nesting_depth(text) > max_nesting:
        return _Pairs(), REASON_DEEP
    try:
        found = json.loads(
            text, object_pairs_hook=_Pairs, parse_float=_plain_float, parse_int=_Number, parse_constant=_Number
        )
        text.encode("utf-8")
    except (ValueError, RecursionError):
        return _Pairs(), REASON_JSON
    return (found, None) if isinstance(found, _Pairs) else (_Pairs(), REASON_JSON)


def _text_problem(value: str, max_field_bytes: int) -> str | None:
    if "\x00" in value:
        return REASON_NUL
    try:
        return REASON_LONG if len(value.encode("utf-8")) > max_field_bytes else None
    except UnicodeEncodeError:
        return REASON_UTF8


def _json_text(value: Any) -> str:
    if isinstance(value, _Pairs):
        return "{" + ",".join(f"{json.dumps(key, ensure_ascii=False)}:{_json_text(one)}" for key, one in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_json_text(one) for one in value) + "]"
    return str(value) if isinstance(value, _Number) else json.dumps(value, ensure_ascii=False)
