"""Files as they are: found, measured, counted and read as text.

Belongs here: finding the files of a source, an independent count of their records by bytes and lines, and reading one
file into a table of text columns with the physical line of every record. DuckDB's readers are the fast way; whenever
they fail, or their count is not the independent one, or the bytes hold anything unusual, a line reader takes over, which
loses one line per malformed record and nothing else.
Does not belong here: what the values mean (``casts.py``) and where they go (``intake.py``).
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import hmac
import json
import re
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from lifecycle.errors import IntakeError, LifecycleError
from lifecycle.settings import QualitySettings, Source
from lifecycle.sources.contract import TABLES, Kind
from lifecycle.warehouse import Warehouse, literal, quoted

if TYPE_CHECKING:
    import numpy as np

Format = Literal["csv", "jsonl", "parquet"]

CHUNK_BYTES = 4 * 1024 * 1024
RATIO_FLOOR_BYTES = 16 * 1024 * 1024
"""Below this, a high decompression ratio harms nobody: a short file of equal lines has one."""
LINE_FLOOR_BYTES = 64 * 1024 * 1024
"""A physical line is kept whole up to this, or up to the field limit when that is higher."""
LINES_PER_BLOCK = 2_000
ROWS_PER_WRITE = 50_000
BYTES_PER_WRITE = 32 * 1024 * 1024

TEXT_TABLE = "intake_text"
"""The temporary table that a reading leaves: file_line, raw_text, raw_form, problem_column, problem, f0, f1, ..."""

_ENDINGS: dict[str, Format] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
_BYTE_ORDER_MARKS = (
    # UTF-32 first: its little-endian mark starts with that of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF8, "utf-8"),
)
_BROKEN_UNIT = "\udcff"
"""Stands for a unit that UTF-16 or UTF-32 cannot decode; as UTF-8 it is invalid, so the line reader sees it."""

codecs.register_error("lifecycle-mark", lambda error: (_BROKEN_UNIT, getattr(error, "end", 0)))

REASON_QUOTE_OPEN = "a quoted field does not close"
REASON_AFTER_QUOTE = "text after a closing quote"
REASON_FEW = "too few fields"
REASON_MANY = "too many fields"
REASON_LONG = "a field is longer than the limit"
REASON_NUL = "a NUL character"
REASON_UTF8 = "invalid UTF-8"
REASON_JSON = "not a JSON object"
REASON_KEY_TWICE = "a key appears twice"
REASON_NESTED = "a nested value where a single one is expected"
REASON_DEEP = "nested too deep"


@dataclass(frozen=True)
class InputFile:
    """One file of a source. ``name`` is how people see it: its path from the folder of ``lifecycle.yml``."""

    path: Path
    name: str
    source: Source
    format: Format

    @property
    def where(self) -> str:
        return f"{self.name} (source {self.source.name}, table {self.source.table})"


@dataclass
class Census:
    """What a file holds by its bytes alone, before anything interprets them."""

    lines: int = 0
    blank_lines: int = 0
    records: int = 0
    """For CSV with the header."""
    longest_record: int = 0
    unusual: str = ""
    """Why DuckDB's reader is not trusted with this file; empty when it is."""
    line_shifts: list[tuple[int, int]] = field(default_factory=list)
    """(first record from 0, its line minus its number): changes only where a record or gap spans lines."""

    def suspect(self, reason: str) -> None:
        self.unusual = self.unusual or reason


@dataclass(frozen=True)
class Reading:
    """One file as text in the temporary table ``intake_text``."""

    columns: dict[str, str]
    """Field name of the source → column of the table."""
    received: int
    """Records by the independent count."""
    reader: Literal["duckdb", "lines"]
    row_json: str
    """SQL that gives a row's fields as a JSON object, where raw_text is null."""
    raw_header: str | None = None
    """The header of a CSV as a JSON list: a malformed line alone could not be read again without it."""


# --- finding -----------------------------------------------------------------------------------------------------


def find_files(source: Source, folder: Path) -> list[InputFile]:
    """The files of a source by its glob, sorted by name. Raises IntakeError when there is none."""
    import glob

    pattern = Path(source.path)
    found = sorted(
        Path(match)
        for match in glob.glob(str(pattern if pattern.is_absolute() else folder / pattern), recursive=True)  # noqa: PTH207
        if Path(match).is_file()
    )
    if not found:
        raise IntakeError(
            f"no file matches '{source.path}'",
            where=f"source {source.name}, table {source.table}, sources.path",
            remedy=f"Put the files there, or mend `path:`; it is looked up from {folder}.",
        )
    return [_input_file(path, source, folder) for path in found]


def _input_file(path: Path, source: Source, folder: Path) -> InputFile:
    name = str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)
    endings = [ending.lower() for ending in path.suffixes if ending.lower() != ".gz"]
    known = source.format or _ENDINGS.get(endings[-1] if endings else "")
    if known is None:
        raise IntakeError(
            "the ending does not say what kind of file this is",
            where=f"{name} (source {source.name}, table {source.table})",
            remedy="Say `format: csv`, `jsonl` or `parquet` for this source.",
        )
    return InputFile(path=path, name=name, source=source, format=known)


def digest(path: Path, key: bytes) -> str:
    """HMAC-SHA256 of a file's bytes, streamed."""
    total = hmac.new(key, digestmod=hashlib.sha256)
    with path.open("rb") as stream:
        while block := stream.read(CHUNK_BYTES):
            total.update(block)
    return total.hexdigest()


# --- bytes -------------------------------------------------------------------------------------------------------


@dataclass
class Bytes:
    """A CSV or JSONL file as UTF-8 bytes: unpacked, without byte order mark, within the limits."""

    file: InputFile
    limits: QualitySettings
    encoding: str = "utf-8"
    has_mark: bool = False
    compressed: bool = False

    def chunks(self) -> Iterator[bytes]:
        """The bytes in pieces. Raises IntakeError for what is no such file, or beyond the limits."""
        size = self.file.path.stat().st_size
        if size > self.limits.max_file_bytes:
            raise self._too_large()
        with self.file.path.open("rb") as stream:
            self.compressed = stream.read(2) == b"\x1f\x8b"
            stream.seek(0)
            if not self.compressed and self.file.path.suffix.lower() == ".gz":
                raise self._refused("it is named .gz but is no gzip file", "Fetch it again, or rename it.")
            if not self.compressed:
                yield from self._decoded(self._limited(stream, None))
                return
            try:
                with gzip.open(stream, "rb") as unpacked:
                    yield from self._decoded(self._limited(unpacked, size))
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise self._refused("the gzip file is cut off or damaged", "Fetch it again.") from error

    def _limited(self, stream: BinaryIO | gzip.GzipFile, packed: int | None) -> Iterator[bytes]:
        total = 0
        while block := stream.read(CHUNK_BYTES):
            total += len(block)
            if total > self.limits.max_file_bytes:
                raise self._too_large()
            if packed and total > RATIO_FLOOR_BYTES and total > packed * self.limits.max_decompression_ratio:
                raise self._refused(
                    f"it unpacks to more than {self.limits.max_decompression_ratio:g} times its size",
                    "If the file is right, raise `quality.max_decompression_ratio`.",
                )
            yield block

    def _decoded(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        first = next(blocks, b"")
        for mark, encoding in _BYTE_ORDER_MARKS:
            if first.startswith(mark):
                self.encoding, self.has_mark, first = encoding, True, first[len(mark) :]
                break
        if self.encoding == "utf-8":
            self._check_start(first)
            yield first
            yield from blocks
            return
        decoder = codecs.getincrementaldecoder(self.encoding)(errors="lifecycle-mark")
        text = decoder.decode(first)
        self._check_start(text[:4096].encode("utf-8", "surrogatepass"))
        yield text.encode("utf-8", "surrogatepass")
        for block in blocks:
            yield decoder.decode(block).encode("utf-8", "surrogatepass")
        yield decoder.decode(b"", final=True).encode("utf-8", "surrogatepass")

    def _check_start(self, first: bytes) -> None:
        start = first[:4096].lstrip().lower()
        if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")):
            raise self._refused("it is a web page or XML, not data", "Fetch it again: this is often an error page.")
        if start.startswith(b"pk\x03\x04"):
            raise self._refused("it is a zip or Excel file", "Unpack it, or save the sheet as CSV (UTF-8).")
        if start.startswith(b"par1") and b"\x00" in first[:4096]:
            raise self._refused("it is a Parquet file", "Say `format: parquet` for this source.")
        if self.file.format == "jsonl" and start.startswith(b"["):
            raise self._refused("it is one JSON array, not a JSON object per line", "Write one object per line.")

    def _too_large(self) -> IntakeError:
        return self._refused(
            f"it is larger than {self.limits.max_file_bytes:,} bytes",
            "If the file is right, raise `quality.max_file_bytes`.",
        )

    def _refused(self, problem: str, remedy: str) -> IntakeError:
        return IntakeError(problem, where=self.file.where, remedy=remedy)


# --- counting ----------------------------------------------------------------------------------------------------


class _Counter:
    """Counts lines and records from pieces of bytes; a newline between quotes ends no record (CSV)."""

    def __init__(self, *, quotes: bool, max_nesting: int | None) -> None:
        self.census = Census()
        self.quotes, self.max_nesting = quotes, max_nesting
        self.offset = 0
        self.line_start = 0  # of the physical line that is still open
        self.record_start = 0
        self.inside = False  # between quotes at line_start
        self.quote_count = 0  # in the open line, modulo 2, on top of `inside`
        self.brackets = 0  # in the open line
        self.ends: set[str] = set()
        self.decoder = codecs.getincrementaldecoder("utf-8")()
        self.decodes = True
        self.tail = b""

    def add(self, block: bytes, *, final: bool) -> None:
        import numpy as np

        bytes_ = np.frombuffer(block, dtype=np.uint8)
        census = self.census
        self._check_text(block, bytes_, final=final)
        terminators = np.flatnonzero(bytes_ == 10)
        returns = np.flatnonzero(bytes_ == 13)
        if returns.size:
            following = np.where(returns + 1 < bytes_.size, bytes_[np.minimum(returns + 1, bytes_.size - 1)], 0)
            lone = returns[following != 10]
            if lone.size:
                census.suspect("lines that end in a carriage return")
                terminators = np.sort(np.concatenate([terminators, lone]))
        quotes = np.flatnonzero(bytes_ == 34) if self.quotes else np.empty(0, dtype=np.int64)
        openings = self._openings(bytes_)
        if terminators.size:
            self._add_lines(bytes_, terminators, quotes, openings)
        self.quote_count = (self.quote_count + int((quotes > self._last(terminators)).sum())) % 2
        self.brackets += int((openings > self._last(terminators)).sum())
        self.offset += len(block)
        if final:
            self._finish()

    @staticmethod
    def _last(terminators: np.ndarray[Any, Any]) -> int:
        return int(terminators[-1]) if terminators.size else -1

    def _openings(self, bytes_: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        import numpy as np

        if self.max_nesting is None:
            return np.empty(0, dtype=np.int64)
        # 0x5B is [, 0x7B is {: they differ in one bit.
        return np.flatnonzero((bytes_ & 0xDF) == 0x5B)

    def _check_text(self, block: bytes, bytes_: np.ndarray[Any, Any], *, final: bool) -> None:
        if bytes_.size and int(bytes_.min()) == 0:
            self.census.suspect(REASON_NUL)
        if self.max_nesting is not None:
            joined = self.tail + block
            if rb"\u0000" in joined:
                self.census.suspect(REASON_NUL)
            self.tail = joined[-5:]
        if not self.decodes:
            return
        pending = bool(self.decoder.getstate()[0])
        if pending or final or (bytes_.size and int(bytes_.max()) > 127):
            try:
                self.decoder.decode(block, final)
            except UnicodeDecodeError:
                self.census.suspect(REASON_UTF8)
                self.decodes = False

    def _add_lines(
        self,
        bytes_: np.ndarray[Any, Any],
        terminators: np.ndarray[Any, Any],
        quotes: np.ndarray[Any, Any],
        openings: np.ndarray[Any, Any],
    ) -> None:
        import numpy as np

        census = self.census
        starts = np.concatenate([[self.line_start - self.offset], terminators[:-1] + 1])
        is_crlf = (bytes_[terminators] == 10) & (terminators > 0) & (bytes_[np.maximum(terminators - 1, 0)] == 13)
        blank = (terminators - starts - is_crlf) == 0
        if quotes.size or self.inside or self.quote_count:
            before = np.searchsorted(quotes, terminators) + int(self.inside) + self.quote_count
            ends_inside = (before % 2).astype(bool)
        else:
            ends_inside = np.zeros(terminators.size, dtype=bool)
        starts_inside = np.concatenate([[self.inside], ends_inside[:-1]])
        skipped = blank & ~starts_inside
        starts_record = ~starts_inside & ~skipped
        if self.max_nesting is not None:
            per_line = np.diff(np.searchsorted(openings, terminators), prepend=0)
            per_line[0] += self.brackets
            if int(per_line.max()) > self.max_nesting:
                census.suspect("many nested values")
            self.brackets = 0
        self._add_shifts(np.flatnonzero(starts_record))
        record_ends = np.flatnonzero(~ends_inside)
        if record_ends.size:
            edges = np.concatenate([[self.record_start - self.offset - 1], terminators[record_ends]])
            census.longest_record = max(census.longest_record, int(np.diff(edges).max()))
            self.record_start = self.offset + int(edges[-1]) + 1
            kinds = is_crlf[record_ends]
            self.ends |= ({"crlf"} if kinds.any() else set()) | ({"lf"} if not kinds.all() else set())
        census.records += int(starts_record.sum())
        census.lines += int(terminators.size)
        census.blank_lines += int(blank.sum())
        self.inside, self.quote_count = bool(ends_inside[-1]), 0
        self.line_start = self.offset + int(terminators[-1]) + 1

    def _add_shifts(self, starting_lines: np.ndarray[Any, Any]) -> None:
        """Remember where line numbers leave record numbers behind."""
        import numpy as np

        if not starting_lines.size:
            return
        census = self.census
        shifts = starting_lines + census.lines + 1 - (np.arange(starting_lines.size) + census.records)
        last = census.line_shifts[-1][1] if census.line_shifts else None
        changes = np.flatnonzero(np.diff(shifts, prepend=shifts[0] - 1 if last is None else last))
        census.line_shifts.extend((int(at) + census.records, int(shifts[at])) for at in changes)

    def _finish(self) -> None:
        import numpy as np

        census = self.census
        if self.offset > self.line_start:
            if not self.inside:
                self._add_shifts(np.zeros(1, dtype=np.int64))
                census.records += 1
            census.lines += 1
            census.longest_record = max(census.longest_record, self.offset - self.record_start)
            if self.max_nesting is not None and self.brackets > self.max_nesting:
                census.suspect("many nested values")
        if (int(self.inside) + self.quote_count) % 2:
            census.suspect(REASON_QUOTE_OPEN)
        if len(self.ends) > 1:
            census.suspect("mixed line ends")


def count_records(chunks: Iterable[bytes], *, quotes: bool, max_nesting: int | None = None) -> Census:
    """Lines and records of CSV (``quotes``) or JSONL bytes, counted without reading any value."""
    counter = _Counter(quotes=quotes, max_nesting=max_nesting)
    held = b""
    for chunk in chunks:
        block = held + chunk
        # A carriage return at the end may be the first half of a line end.
        held = block[-1:] if block.endswith(b"\r") else b""
        counter.add(block[:-1] if held else block, final=False)
    counter.add(held, final=True)
    return counter.census


# --- the line reader ---------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Line:
    number: int
    content: bytes
    end: bytes
    cut: bool = False


@dataclass(slots=True)
class _Block:
    """Some physical lines with their ends; ``cut`` is a single line of which only the beginning was kept."""

    first: int
    pieces: list[bytes]
    cut: bool = False

    def lines(self) -> Iterator[_Line]:
        for number, piece in enumerate(self.pieces, self.first):
            content = piece.rstrip(b"\r\n")
            yield _Line(number, content, piece[len(content) :], self.cut)


def _split_blocks(chunks: Iterable[bytes], max_bytes: int) -> Iterator[_Block]:
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
            yield _Block(number, [b"".join(parts)[:max_bytes] + b"\n"], cut=True)
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
            yield _Block(number, some)
            number += len(some)
        rest = block[last_end:]
        if rest:
            if size <= max_bytes:
                parts.append(rest)
            size += len(rest)
    if size or held:
        yield _Block(number, [b"".join(parts)[:max_bytes] + held], cut=size > max_bytes)


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
class _Parsed:
    """A record, or why its first line is none. ``lines`` counts the physical lines it takes up."""

    line: _Line
    fields: list[str]
    reason: str = ""
    lines: int = 1


@dataclass(slots=True)
class _Rows:
    """Fields of consecutive lines that are all plain records."""

    first: int
    rows: list[list[str]]
    byte_count: int


class _CsvParser:
    """Records of a CSV, of ``width`` fields when that is known, behind ``skipped_lines``.

    A record that is malformed takes its first line with it; reading goes on at the next line.
    """

    def __init__(
        self,
        blocks: Iterator[_Block],
        delimiter: str,
        max_field_bytes: int,
        width: int | None = None,
        skipped_lines: int = 0,
    ) -> None:
        self.blocks, self.delimiter, self.max_field_bytes = blocks, delimiter, max_field_bytes
        self.width, self.skipped_lines = width, skipped_lines
        self.current: Iterator[_Line] = iter(())
        self.pending: deque[_Line] = deque()

    def records(self) -> Iterator[_Parsed | _Rows | None]:
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

    def _next_in_block(self) -> _Line | None:
        if self.pending:
            return self.pending.popleft()
        for line in self.current:
            if line.number > self.skipped_lines:
                return line
        return None

    def _next(self) -> _Line | None:
        while (line := self._next_in_block()) is None:
            block = next(self.blocks, None)
            if block is None:
                return None
            self.current = block.lines()
        return line

    def _plain_rows(self, block: _Block) -> _Rows | None:
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
        return _Rows(block.first, rows, len(joined))

    def parse_line(self, line: _Line) -> _Parsed:
        """The record that starts at a line, with as many of the following ones as it needs."""
        reason, text = _decoded(line)
        if reason:
            return _Parsed(line, [], reason)
        if '"' not in text:
            fields, reason = _of_width(text.split(self.delimiter), self.width)
            if not reason and _too_long(fields, len(line.content), self.max_field_bytes):
                reason = REASON_LONG
            return _Parsed(line, fields, reason)
        record = _Record(self.delimiter)
        complete = record.feed(text)
        taken: list[_Line] = []
        size = len(line.content)
        end = line.end
        while not complete and (following := self._next()) is not None:
            taken.append(following)
            size += len(following.content)
            reason, text = _decoded(following)
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
            return _Parsed(line, fields, "", 1 + len(taken))
        self.pending.extendleft(reversed(taken))
        return _Parsed(line, fields, reason)


def _of_width(fields: list[str], width: int | None) -> tuple[list[str], str]:
    """(fields, why they are not ``width`` many)."""
    if width is None or len(fields) == width:
        return fields, ""
    # As in DuckDB's reader: a delimiter at the very end of a line adds no field.
    if len(fields) == width + 1 and not fields[-1]:
        return fields[:-1], ""
    return fields, REASON_FEW if len(fields) < width else REASON_MANY


def _decoded(line: _Line) -> tuple[str, str]:
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


def _raw(line: _Line) -> tuple[str, str]:
    """A physical line for the quarantine: as text, or escaped where it is none."""
    reason, text = _decoded(line)
    if not reason:
        return "line", text
    escaped = line.content.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace").replace("\x00", "\\x00")
    return "bytes", escaped


def _blocks_of(content: Bytes) -> Iterator[_Block]:
    return _split_blocks(content.chunks(), max(LINE_FLOOR_BYTES, content.limits.max_field_bytes))


def _lines_of(content: Bytes) -> Iterator[_Line]:
    for block in _blocks_of(content):
        yield from block.lines()


# --- JSON --------------------------------------------------------------------------------------------------------


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


def _json_fields(
    text: str, names: Sequence[str], json_names: set[str], limits: QualitySettings
) -> tuple[list[str | None], str | None, str | None, set[str]]:
    """(texts of the named fields, problem column, problem, all keys) of one JSON line."""
    nothing: list[str | None] = [None] * len(names)
    if text.count("{") + text.count("[") > limits.max_nesting and nesting_depth(text) > limits.max_nesting:
        return nothing, None, REASON_DEEP, set()
    try:
        found = json.loads(
            text, object_pairs_hook=_Pairs, parse_float=_plain_float, parse_int=_Number, parse_constant=_Number
        )
        text.encode("utf-8")
    except (ValueError, RecursionError):
        return nothing, None, REASON_JSON, set()
    if not isinstance(found, _Pairs):
        return nothing, None, REASON_JSON, set()
    values = dict(found)
    keys = set(values)
    if len(values) < len(found):
        return nothing, None, REASON_KEY_TWICE, keys
    result: list[str | None] = []
    for name in names:
        value = values.get(name)
        if isinstance(value, list):
            if name not in json_names:
                return nothing, name, REASON_NESTED, keys
            value = _json_text(value)
        elif isinstance(value, bool):
            value = "true" if value else "false"
        if value is not None:
            problem = _text_problem(value, limits.max_field_bytes)
            if problem:
                return nothing, name, problem, keys
        result.append(None if value is None else str(value))
    return result, None, None, keys


def _text_problem(value: str, max_field_bytes: int) -> str:
    if "\x00" in value:
        return REASON_NUL
    try:
        return REASON_LONG if len(value.encode("utf-8")) > max_field_bytes else ""
    except UnicodeEncodeError:
        return REASON_UTF8


def _json_text(value: Any) -> str:
    if isinstance(value, _Pairs):
        return "{" + ",".join(f"{json.dumps(key, ensure_ascii=False)}:{_json_text(one)}" for key, one in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_json_text(one) for one in value) + "]"
    return str(value) if isinstance(value, _Number) else json.dumps(value, ensure_ascii=False)


# --- text rows ---------------------------------------------------------------------------------------------------


class TextRows:
    """Writes rows into ``intake_text``, a bounded amount at a time."""

    META = ("file_line", "raw_text", "raw_form", "problem_column", "problem")

    def __init__(self, warehouse: Warehouse, field_count: int) -> None:
        self.warehouse, self.field_count = warehouse, field_count
        self.columns: list[list[Any]] = [[] for _ in range(len(self.META) + field_count)]
        self.bytes = 0
        fields = "".join(f", f{index} varchar" for index in range(field_count))
        drop_text(warehouse)
        warehouse.run(
            f"create temp table {TEXT_TABLE} (file_line bigint, raw_text varchar, raw_form varchar,"
            f" problem_column varchar, problem varchar{fields})"
        )

    def add(
        self,
        line_number: int,
        values: Sequence[str | None],
        *,
        raw_text: str | None = None,
        raw_form: str = "fields",
        problem_column: str | None = None,
        problem: str | None = None,
    ) -> None:
        row = (line_number, raw_text, raw_form, problem_column, problem, *values)
        for column, value in zip(self.columns, row, strict=True):
            column.append(value)
        self.bytes += len(raw_text or "") + sum(map(len, filter(None, values)))
        if len(self.columns[0]) >= ROWS_PER_WRITE or self.bytes >= BYTES_PER_WRITE:
            self.flush()

    def add_block(self, block: _Rows) -> None:
        """Add the fields of consecutive lines, none of which has a problem."""
        count = len(block.rows)
        meta: list[Iterable[Any]] = [range(block.first, block.first + count), [None] * count, ["fields"] * count]
        meta += [[None] * count, [None] * count]
        for column, values in zip(self.columns, [*meta, *zip(*block.rows, strict=True)], strict=True):
            column.extend(values)
        self.bytes += block.byte_count
        if len(self.columns[0]) >= ROWS_PER_WRITE or self.bytes >= BYTES_PER_WRITE:
            self.flush()

    def flush(self) -> None:
        import pyarrow as pa

        if not self.columns[0]:
            return
        names = [*self.META, *(f"f{index}" for index in range(self.field_count))]
        types = [pa.int64(), *([pa.string()] * (len(names) - 1))]
        arrays = [pa.array(values, type=type_) for values, type_ in zip(self.columns, types, strict=True)]
        self.warehouse.connection.register("intake_rows", pa.Table.from_arrays(arrays, names=names))
        try:
            self.warehouse.run(f"insert into {TEXT_TABLE} select * from intake_rows")
        finally:
            self.warehouse.connection.unregister("intake_rows")
        for column in self.columns:
            column.clear()
        self.bytes = 0


def drop_text(warehouse: Warehouse) -> None:
    """Forget the last reading."""
    for kind, name in warehouse.rows(
        "select 'view', view_name from duckdb_views() where temporary and view_name = ?"
        " union all select 'table', table_name from duckdb_tables() where temporary and table_name in (?, ?, ?)",
        [TEXT_TABLE, TEXT_TABLE, "intake_fields", "intake_shifts"],
    ):
        warehouse.run(f"drop {kind} temp.{name}")


# --- headers -----------------------------------------------------------------------------------------------------


def wanted_fields(source: Source) -> dict[str, str]:
    """Contract column → field of the source, for every column that is no constant."""
    return {
        column.name: source.columns.get(column.name, column.name)
        for column in TABLES[source.table].columns
        if column.name not in source.constants
    }


def _check_header(file: InputFile, header: Sequence[str], *, sparse: bool = False) -> None:
    """Raise IntakeError for columns that are missing, or stand there twice.

    ``sparse`` is for JSONL, whose records may leave out optional keys.
    """
    source = file.source
    table = TABLES[source.table]
    wanted = wanted_fields(source)
    problems: list[LifecycleError] = []
    # The first line of a file without a header is somebody's data: it is shown only when it is a header.
    is_header = any(name in header for name in wanted.values())
    shown = ", ".join(name[:40] for name in header[:40]) + (", ..." if len(header) > 40 else "")
    has = f"the header has: {shown}" if is_header else f"none of the {len(header)} names in its first line is expected"

    def missing(problem: str, column: str) -> None:
        problems.append(
            IntakeError(
                f"{problem}; {has}",
                where=file.where,
                remedy=f"Map it in lifecycle.yml with `columns: {{{column}: <name in the file>}}`, or give it a fixed "
                f"value with `constants: {{{column}: ...}}`.",
            )
        )

    for column, name in wanted.items():
        if name not in header:
            if table.by_name[column].required:
                as_what = f" (looked for as '{name}')" if name != column else ""
                missing(f"the required column '{column}'{as_what} is missing", column)
            elif column in source.columns and not sparse:
                missing(f"'{name}', which `columns:` maps to {column}, is missing", column)
        elif list(header).count(name) > 1:
            problems.append(
                IntakeError(
                    f"the column '{name}' stands in the header twice",
                    where=file.where,
                    remedy="Rename one of them where the file is made; which one is meant cannot be told.",
                )
            )
    if table.one_of and not any(wanted.get(column) in header or column in source.constants for column in table.one_of):
        missing(f"one of {', '.join(table.one_of)} is required", table.one_of[0])
    if problems:
        raise IntakeError.of(problems)


def _csv_header(file: InputFile, content: Bytes) -> tuple[list[str], int, bool]:
    """(names, physical lines up to and with the header, header is on the first line alone)."""
    skipped = 0
    parser = _CsvParser(_blocks_of(content), file.source.delimiter, content.limits.max_field_bytes)
    for record in parser.records():
        if record is None or isinstance(record, _Rows):
            skipped += 1
            continue
        if record.reason == REASON_NUL:
            raise IntakeError(
                "the header holds NUL characters",
                where=file.where,
                remedy="Save the file as UTF-8; UTF-16 needs its byte order mark.",
            )
        if record.reason:
            raise IntakeError(
                f"the header cannot be read: {record.reason}", where=file.where, remedy="Mend the file's first line."
            )
        names = [name.strip() for name in record.fields]
        return names, skipped + record.lines, skipped == 0 and record.lines == 1
    raise IntakeError(
        "the file is empty: it has not even a header",
        where=file.where,
        remedy="Fetch it again; a file without records still needs its header line.",
    )


# --- reading -----------------------------------------------------------------------------------------------------


def read(warehouse: Warehouse, file: InputFile, limits: QualitySettings) -> Reading:
    """Read one file into the temporary table ``intake_text``; raises IntakeError when it cannot be read as a whole."""
    try:
        if file.format == "csv":
            return _read_csv(warehouse, file, limits)
        if file.format == "jsonl":
            return _read_jsonl(warehouse, file, limits)
        return _read_parquet(warehouse, file, limits)
    except OSError as error:
        raise IntakeError(
            f"the file cannot be read: {error.strerror or error}",
            where=file.where,
            remedy="Check that it is there and readable.",
        ) from error


def _json_object(columns: dict[str, str]) -> str:
    parts = ", ".join(f"{literal(name)}, {column}" for name, column in columns.items())
    return f"cast(json_object({parts}) as varchar)" if parts else "'{}'"


def _first_of_each(header: Sequence[str]) -> dict[str, str]:
    columns: dict[str, str] = {}
    for index, name in enumerate(header):
        columns.setdefault(name, f"f{index}")
    return columns


def _read_csv(warehouse: Warehouse, file: InputFile, limits: QualitySettings) -> Reading:
    content = Bytes(file, limits)
    header, header_lines, header_is_plain = _csv_header(file, content)
    _check_header(file, header)
    census = count_records(content.chunks(), quotes=True)
    if not header_is_plain:
        census.suspect("the header is not on the first line alone")
    if content.encoding != "utf-8":
        census.suspect(content.encoding)
    if census.longest_record > limits.max_field_bytes:
        census.suspect(REASON_LONG)
    columns = _first_of_each(header)
    received = census.records - 1
    if not census.unusual and _csv_by_duckdb(warehouse, file, content, len(header), limits):
        rows = int(warehouse.scalar("select count(*) from temp.intake_fields"))
        if rows == received:
            _number_lines(warehouse, census, len(header))
            return Reading(columns, received, "duckdb", _json_object(columns), json.dumps(header))
    received = _csv_by_lines(warehouse, file, content, header, header_lines, census, limits)
    return Reading(columns, received, "lines", _json_object(columns), json.dumps(header, ensure_ascii=False))


def _csv_by_duckdb(warehouse: Warehouse, file: InputFile, content: Bytes, width: int, limits: QualitySettings) -> bool:
    """Read with DuckDB's parser into ``intake_fields``; False when it gives up."""
    import duckdb

    # The positions are the file's own: its header was read before, and columns are found in it by name.
    names = ", ".join(f"'f{index}': 'VARCHAR'" for index in range(width))
    drop_text(warehouse)
    try:
        warehouse.run(
            f"create temp table intake_fields as select * from read_csv({literal(_no_glob(file.path))},"
            f" columns = {{{names}}}, auto_detect = false, header = true, strict_mode = true, all_varchar = true,"
            f" delim = {literal(file.source.delimiter)}, quote = '\"', escape = '\"', null_padding = false,"
            f" max_line_size = {max(2_097_152, 2 * limits.max_field_bytes)},"
            f" compression = '{'gzip' if content.compressed else 'none'}')"
        )
    except duckdb.Error:
        # Whatever it stumbled over, the line reader names it per line.
        return False
    return True


def _no_glob(path: Path) -> str:
    """A path that DuckDB does not take for a pattern."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))


def _numbered(warehouse: Warehouse, census: Census, first_record: int) -> str:
    """SQL of ``intake_fields`` with the physical line of each row.

    Rows lie in file order, so rowid is the record's number; ``first_record`` is 1 behind a header, else 0.
    """
    shifts = census.line_shifts or [(0, 1)]
    if shifts[-1][0] <= first_record:
        # Line and record number never drift apart behind the header.
        return f"(select *, rowid + {first_record + shifts[-1][1]} as file_line from temp.intake_fields)"
    import pyarrow as pa

    starts, sizes = zip(*shifts, strict=True)
    data = pa.table({"from_record": pa.array(starts, pa.int64()), "shift": pa.array(sizes, pa.int64())})
    warehouse.connection.register("intake_rows", data)
    try:
        warehouse.run("create temp table intake_shifts as select * from intake_rows")
    finally:
        warehouse.connection.unregister("intake_rows")
    return (
        "(select rows.*, rows.record_number + shifts.shift as file_line"
        f" from (select *, rowid + {first_record} as record_number from temp.intake_fields) rows"
        " asof join temp.intake_shifts shifts on rows.record_number >= shifts.from_record)"
    )


def _number_lines(warehouse: Warehouse, census: Census, width: int) -> None:
    """Make ``intake_text`` a view of what DuckDB read, with the physical line of every record."""
    fields = "".join(f", f{index}" for index in range(width))
    warehouse.run(
        f"create temp view {TEXT_TABLE} as select cast(file_line as bigint) as file_line,"
        " cast(null as varchar) as raw_text, 'fields' as raw_form, cast(null as varchar) as problem_column,"
        f" cast(null as varchar) as problem{fields} from {_numbered(warehouse, census, 1)}"
    )


def _csv_by_lines(
    warehouse: Warehouse,
    file: InputFile,
    content: Bytes,
    header: Sequence[str],
    header_lines: int,
    census: Census,
    limits: QualitySettings,
) -> int:
    """Read line by line; the number of records, by the census's lines less those that start none."""
    rows = TextRows(warehouse, len(header))
    nothing: list[str | None] = [None] * len(header)
    parser = _CsvParser(_blocks_of(content), file.source.delimiter, limits.max_field_bytes, len(header), header_lines)
    empty = continued = 0
    for parsed in parser.records():
        if isinstance(parsed, _Rows):
            rows.add_block(parsed)
        elif parsed is None:
            empty += 1
        elif not parsed.reason:
            continued += parsed.lines - 1
            rows.add(parsed.line.number, parsed.fields)
        else:
            raw_form, raw_text = _raw(parsed.line)
            rows.add(parsed.line.number, nothing, raw_text=raw_text, raw_form=raw_form, problem=parsed.reason)
    rows.flush()
    return census.lines - header_lines - empty - continued


def _read_jsonl(warehouse: Warehouse, file: InputFile, limits: QualitySettings) -> Reading:
    content = Bytes(file, limits)
    census = count_records(content.chunks(), quotes=False, max_nesting=limits.max_nesting)
    if content.encoding != "utf-8" or content.has_mark:
        census.suspect(content.encoding)
    if census.longest_record > limits.max_field_bytes:
        census.suspect(REASON_LONG)
    table = TABLES[file.source.table]
    wanted = wanted_fields(file.source)
    names = list(dict.fromkeys(wanted.values()))
    json_names = {name for column, name in wanted.items() if table.by_name[column].kind == Kind.JSON}
    columns = {name: f"f{index}" for index, name in enumerate(names)}
    received = census.lines - census.blank_lines
    keys: set[str] | None = None
    if not census.unusual:
        keys = _jsonl_by_duckdb(warehouse, file, content, names, json_names, census)
    reader: Literal["duckdb", "lines"] = "duckdb"
    if keys is None:
        reader, keys = "lines", _jsonl_by_lines(warehouse, content, names, json_names, limits)
    if keys:
        _check_header(file, sorted(keys), sparse=True)
    return Reading(columns, received, reader, _json_object(columns))


def _jsonl_by_duckdb(
    warehouse: Warehouse,
    file: InputFile,
    content: Bytes,
    names: Sequence[str],
    json_names: set[str],
    census: Census,
) -> set[str] | None:
    """Read with DuckDB's JSON parser; all keys, or None when it gives up or takes what is no JSON."""
    import duckdb

    drop_text(warehouse)
    paths = [f"/{name.replace('~', '~0').replace('/', '~1')}" for name in names]
    path_list = "[" + ", ".join(literal(path) for path in paths) + "]"
    try:
        warehouse.run(
            f"create temp table intake_fields as select json as record from"
            f" read_ndjson_objects({literal(_no_glob(file.path))},"
            f" maximum_object_size = {max(16_777_216, 2 * content.limits.max_field_bytes)},"
            f" compression = '{'gzip' if content.compressed else 'none'}')"
        )
        rows, strange = warehouse.rows(
            # DuckDB takes a comma before a closing bracket; whether it stands in a string, the line reader finds out.
            "select count(*), count(*) filter (where json_type(record) <> 'OBJECT'"
            r" or regexp_matches(cast(record as varchar), ',\s*[}\]]')) from temp.intake_fields"
        )[0]
        if rows != census.lines - census.blank_lines or strange:
            return None
        keys = warehouse.rows(
            "select distinct keys, len(keys) <> len(list_distinct(keys)) from"
            " (select json_keys(record) as keys from temp.intake_fields)"
        )
        types = " ".join(
            f"when types[{index + 1}] in ('OBJECT', 'ARRAY') then {literal(name)}"
            for index, name in enumerate(names)
            if name not in json_names
        )
        # Without this, a repeated key would silently be its first value.
        twice = (
            "len(json_keys(record)) <> len(list_distinct(json_keys(record)))" if any(k[1] for k in keys) else "false"
        )
        nested = f"case {types} end" if types else "cast(null as varchar)"
        fields = "".join(f", texts[{index + 1}] as f{index}" for index in range(len(names)))
        warehouse.run(
            f"create temp table {TEXT_TABLE} as select file_line, cast(record as varchar) as raw_text,"
            f" 'fields' as raw_form, case when not is_twice then nested end as problem_column,"
            f" case when is_twice then {literal(REASON_KEY_TWICE)}"
            f" when nested is not null then {literal(REASON_NESTED)} end as problem{fields}"
            f" from (select *, {nested} as nested from (select file_line, record, {twice} as is_twice,"
            f" json_extract_string(record, {path_list}) as texts, json_type(record, {path_list}) as types"
            f" from {_numbered(warehouse, census, 0)}))"
        )
    except duckdb.Error:
        return None
    return {key for one, _ in keys for key in one}


def _jsonl_by_lines(
    warehouse: Warehouse, content: Bytes, names: Sequence[str], json_names: set[str], limits: QualitySettings
) -> set[str]:
    rows = TextRows(warehouse, len(names))
    nothing: list[str | None] = [None] * len(names)
    keys: set[str] = set()
    for line in _lines_of(content):
        if not line.content and not line.cut:
            continue
        reason, text = _decoded(line)
        if reason:
            raw_form, raw_text = _raw(line)
            rows.add(line.number, nothing, raw_text=raw_text, raw_form=raw_form, problem=reason)
            continue
        values, column, problem, found = _json_fields(text, names, json_names, limits)
        keys |= found
        rows.add(line.number, values, raw_text=text, problem_column=column, problem=problem)
    rows.flush()
    return keys


def _read_parquet(warehouse: Warehouse, file: InputFile, limits: QualitySettings) -> Reading:
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq

    if file.path.stat().st_size > limits.max_file_bytes:
        raise IntakeError(
            f"it is larger than {limits.max_file_bytes:,} bytes",
            where=file.where,
            remedy="If the file is right, raise `quality.max_file_bytes`.",
        )
    refused = IntakeError(
        "the Parquet file is cut off, damaged or no Parquet file", where=file.where, remedy="Fetch it again."
    )
    try:
        # The footer read by another library is the independent count.
        received = int(pq.read_metadata(file.path).num_rows)
    except (pa.ArrowException, OSError) as error:
        raise refused from error
    path = literal(_no_glob(file.path))
    scan = f"read_parquet({path}, binary_as_string = true, file_row_number = true)"
    try:
        described = [
            (name, type_)
            for name, type_, *_ in warehouse.rows(f"describe select * from {scan}")
            if name != "file_row_number"
        ]
    except duckdb.Error as error:
        raise refused from error
    header = [name for name, _ in described]
    _check_header(file, header)
    columns = _first_of_each(header)
    table = TABLES[file.source.table]
    wanted = wanted_fields(file.source)
    json_names = {name for column, name in wanted.items() if table.by_name[column].kind == Kind.JSON}
    texts = ", ".join(f"{_parquet_text(name, type_)} as f{index}" for index, (name, type_) in enumerate(described))
    nested = " ".join(
        f"when {quoted(name)} is not null then {literal(name)}"
        for name, type_ in described
        if _is_nested(type_) and name in wanted.values() and name not in json_names
    )
    long = " ".join(
        f"when strlen({columns[name]}) > {limits.max_field_bytes} then {literal(name)}"
        for name in dict.fromkeys(wanted.values())
        if name in columns
    )
    nul = " ".join(
        f"when contains({columns[name]}, chr(0)) then {literal(name)}"
        for name, type_ in described
        if type_ == "VARCHAR" and name in wanted.values()
    )
    drop_text(warehouse)
    fields = "".join(f", f{index}" for index in range(len(header)))
    try:
        warehouse.run(
            f"create temp table {TEXT_TABLE} as select file_line, cast(null as varchar) as raw_text,"
            " 'fields' as raw_form, coalesce(nested, too_long, nul) as problem_column,"
            f" case when nested is not null then {literal(REASON_NESTED)}"
            f" when too_long is not null then {literal(REASON_LONG)}"
            f" when nul is not null then {literal(REASON_NUL)} end as problem{fields}"
            f" from (select *, {_case(long)} as too_long, {_case(nul)} as nul"
            f" from (select file_row_number + 1 as file_line, {_case(nested)} as nested, {texts} from {scan}))"
        )
    except duckdb.Error as error:
        raise refused from error
    return Reading(columns, received, "duckdb", _json_object(columns))


def _case(branches: str) -> str:
    return f"case {branches} end" if branches else "cast(null as varchar)"


def _is_nested(type_: str) -> bool:
    return type_.endswith("]") or type_.startswith(("STRUCT", "MAP", "UNION"))


def _parquet_text(name: str, type_: str) -> str:
    """A typed column as the text that its value would have in a CSV."""
    column = quoted(name)
    if _is_nested(type_):
        return f"cast(to_json({column}) as varchar)"
    if type_ == "DOUBLE":
        # Sums of doubles carry noise in the last digits (0.30000000000000004), which is no decimal of an amount.
        decimal = f"rtrim(rtrim(cast(try_cast({column} as decimal(38,9)) as varchar), '0'), '.')"
        return f"coalesce({decimal}, cast({column} as varchar))"
    return f"cast({column} as varchar)"


# --- reading again -----------------------------------------------------------------------------------------------


def read_again(
    warehouse: Warehouse,
    source: Source,
    rejected: Iterable[tuple[int, str, str, str | None, str]],
    limits: QualitySettings,
) -> Reading:
    """Rows of the quarantine as text once more: (line number, raw form, raw text, header, reason) each."""
    table = TABLES[source.table]
    wanted = wanted_fields(source)
    names = list(dict.fromkeys(wanted.values()))
    json_names = {name for column, name in wanted.items() if table.by_name[column].kind == Kind.JSON}
    rows = TextRows(warehouse, len(names))
    nothing: list[str | None] = [None] * len(names)
    received = 0
    for line_number, raw_form, raw_text, raw_header, reason in rejected:
        received += 1
        if raw_form == "bytes":
            # What it was cannot be told from its escaped form: only a better file helps.
            rows.add(line_number, nothing, raw_text=raw_text, raw_form=raw_form, problem=reason)
            continue
        values, column, problem = nothing, None, None
        if raw_form == "fields":
            values, column, problem, _ = _json_fields(raw_text, names, json_names, limits)
        else:
            header = json.loads(raw_header or "[]")
            parser = _CsvParser(iter(()), source.delimiter, limits.max_field_bytes, len(header))
            record = parser.parse_line(_Line(line_number, raw_text.encode("utf-8"), b""))
            problem = record.reason
            if not problem:
                found = dict(zip(reversed(header), reversed(record.fields), strict=True))
                values = [found.get(name) or None for name in names]
        rows.add(
            line_number, values, raw_text=raw_text, raw_form=raw_form, problem_column=column, problem=problem or None
        )
    rows.flush()
    columns = {name: f"f{index}" for index, name in enumerate(names)}
    return Reading(columns, received, "lines", _json_object(columns))
