"""Files as bytes: unpacked within limits, and counted without reading a value.

Belongs here: the bytes of a CSV or JSONL file as UTF-8, what makes them no such file, the digest that tells a file
apart, and the independent count of lines and records that every reader is held to.
Does not belong here: fields and values (``lines.py``, ``files.py``).
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import hmac
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from lifecycle.errors import IntakeError
from lifecycle.settings import QualitySettings, Source

if TYPE_CHECKING:
    import numpy as np

Format = Literal["csv", "jsonl", "parquet"]

CHUNK_BYTES = 4 * 1024 * 1024
RATIO_FLOOR_BYTES = 16 * 1024 * 1024
"""Below this, a high decompression ratio harms nobody: a short file of equal lines has one."""

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
REASON_NUL = "a NUL character"
REASON_UTF8 = "invalid UTF-8"


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


def digest_of(path: Path, key: bytes) -> str:
    """HMAC-SHA256 of a file's bytes, streamed."""
    total = hmac.new(key, digestmod=hashlib.sha256)
    with path.open("rb") as stream:
        while block := stream.read(CHUNK_BYTES):
            total.update(block)
    return total.hexdigest()


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
