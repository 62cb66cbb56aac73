"""The files of a company: rows in, Parquet, CSV and JSON lines out, and what goes wrong on the way.

Belongs here: writing streams of rows to the files of ``layout.py`` under the sources' own names and clocks; the late
file, the file that is sent twice, and the rows that no intake can read.
Does not belong here: what the rows say.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle.sources.contract import TABLES, Kind
from lifecycle.synthetic import vocabulary as words
from lifecycle.synthetic.layout import HEAD_OFFICE_ZONE, Extract, extracts_of

if TYPE_CHECKING:
    import pyarrow as pa

    from lifecycle.synthetic.calendar import Calendar, Clocks
    from lifecycle.synthetic.rows import Rows

LATE = ("shop", "order_items", 1)
"""The quarterly file that is delivered after all later ones: its name sorts behind theirs."""

SENT_TWICE = ("shop", "orders", 1)
"""The monthly file that comes again under another name."""

UNREADABLE: dict[tuple[str, str], dict[str, str] | str] = {
    ("crm", "contacts"): {"contact_id": "990000001", "birth_date": "1987-13-45", "last_name": "Unreadable"},
    ("support", "contacts"): '{"requester_id": "990000002", "email": "cut.off@mail.exa',
    ("email", "consents"): {
        "contact_id": "sub990000003", "channel": "email", "purpose": "marketing", "consent_status": "maybe",
        "changed_at": "2025-01-01 10:00:00",
    },
    ("ads", "marketing_spend"): {
        "spend_date": "2025-02-30", "channel": "display", "spend_amount": "12.00", "currency": "USD",
    },
    ("shop", "refunds"): {
        "refund_id": "R990000004", "order_id": "S0", "refunded_at": "yesterday", "refund_amount": "1.00",
        "currency": "USD",
    },
    ("reviews", "reviews"): {"review_id": "v990000005", "reviewed_at": "2025-01-01 10:00:00", "rating": "five"},
}  # fmt: skip
"""One row each that the intake has to quarantine: a batch of any size may hold one."""


@dataclass
class _Stream:
    """One open file."""

    path: Path
    schema: pa.Schema
    extract: Extract
    writer: Any
    sink: Any = None


@dataclass
class Files:
    """All files of a company while they are written. Use as ``with open_files(...) as files``."""

    folder: Path
    calendar: Calendar
    clocks: Clocks
    extracts: tuple[Extract, ...]
    row_counts: dict[tuple[str, str], int] = field(default_factory=dict)
    file_count: int = 0
    unreadable_count: int = 0
    _streams: dict[tuple[str, str, str], _Stream] = field(default_factory=dict)
    _columns: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    _truth: dict[str, Any] = field(default_factory=dict)

    def write(self, batch: list[Rows]) -> None:
        """Append the rows of one block. Tables keep the columns that they had in the first block."""
        by_table: dict[tuple[str, str], list[Rows]] = {}
        for rows in batch:
            by_table.setdefault((rows.source, rows.table), []).append(rows)
        for key, parts in by_table.items():
            if key not in self._columns:
                filled = {name for rows in parts for name in rows.columns}
                self._columns[key] = [column.name for column in TABLES[key[1]].columns if column.name in filled]
        for extract in self.extracts:
            for rows in by_table.get((extract.source, extract.table), []):
                self._write_rows(extract, rows)

    def _write_rows(self, extract: Extract, rows: Rows) -> None:
        import numpy as np

        self._note_truth(rows)
        key = (extract.source, extract.table)
        self.row_counts[key] = self.row_counts.get(key, 0) + rows.count
        table = self._shaped(extract, rows)
        if rows.month is None:
            self._stream(extract, "", table.schema).writer.write_table(table)
            return
        period = rows.month // extract.every_months
        order = np.argsort(period, kind="stable")
        period = period[order]
        table = table.take(order)
        borders = [0, *(np.flatnonzero(np.diff(period)) + 1).tolist(), len(period)]
        for begin, end in pairwise(borders):
            if begin < end:
                label = self._label(extract, int(period[begin]))
                self._stream(extract, label, table.schema).writer.write_table(table.slice(begin, end - begin))

    def _label(self, extract: Extract, period: int) -> str:
        """What stands in the name of the file of a period: of an extract, or of so many months."""
        if extract.parts:
            return extract.parts[period]
        name = f"{self.calendar.months[period * extract.every_months]:%Y-%m}"
        return f"late_{name}" if (extract.source, extract.table, period) == LATE else name

    def _shaped(self, extract: Extract, rows: Rows) -> pa.Table:
        """Rows as a table with the extract's columns, plain types, its names and its clock."""
        import numpy as np
        import pyarrow as pa

        by_name = TABLES[extract.table].by_name
        arrays, fields = [], []
        wanted = [name for name in self._columns[extract.source, extract.table] if name not in extract.constants]
        unknown = set(rows.columns) - set(wanted) - set(extract.constants)
        if unknown:
            raise ValueError(f"{extract.source}.{extract.table}: a later block brings new columns {sorted(unknown)}")
        for name in wanted:
            type_ = _arrow_type(by_name[name].kind)
            column = rows.columns.get(name)
            column = pa.nulls(rows.count, type_) if column is None else column.cast(type_)
            if by_name[name].kind == Kind.TIMESTAMP and extract.timezone != "UTC":
                zone = words.ZONES.index(HEAD_OFFICE_ZONE)
                seconds = np.asarray(column.cast(pa.int64()).fill_null(0))
                local = pa.array(self.clocks.to_local(seconds, zone), mask=np.asarray(column.is_null()))
                column = local.cast(type_)
            arrays.append(column)
            fields.append(pa.field(extract.columns.get(name, name), type_))
        return pa.Table.from_arrays(arrays, schema=pa.schema(fields))

    def _stream(self, extract: Extract, label: str, schema: pa.Schema) -> _Stream:
        key = (extract.source, extract.table, label)
        if key not in self._streams:
            path = self.folder / "files" / extract.file.replace("{}", label)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._streams[key] = _opened(path, extract, schema)
        return self._streams[key]

    def _note_truth(self, rows: Rows) -> None:
        import numpy as np
        import pyarrow as pa

        from lifecycle.synthetic.columns import constant, numbered

        if rows.person is None or not rows.count:
            return
        is_known = rows.person >= 0
        ids = rows.columns[TABLES[rows.table].key[0]].cast(pa.string()).filter(pa.array(is_known))
        count = int(np.count_nonzero(is_known))
        table = pa.table(
            {
                "source_system": constant(rows.source, count).cast(pa.string()),
                "record_table": constant(rows.table, count).cast(pa.string()),
                "record_id": ids,
                "person_id": numbered("p", rows.person[is_known]),
            }
        )
        self.write_truth("records", table)

    def write_truth(self, name: str, table: pa.Table) -> None:
        """Append rows to ``truth/<name>.parquet``."""
        import pyarrow.parquet as pq

        if name not in self._truth:
            path = self.folder / "truth" / f"{name}.parquet"
            self._truth[name] = pq.ParquetWriter(path, table.schema, compression="zstd", compression_level=1)
        self._truth[name].write_table(table)

    def write_small_truth(self, name: str, table: pa.Table) -> None:
        """Write ``truth/<name>.csv`` in one piece."""
        import pyarrow.csv as pacsv

        pacsv.write_csv(table, self.folder / "truth" / f"{name}.csv", pacsv.WriteOptions(quoting_style="needed"))

    def _finish(self) -> None:
        """Close everything; write what stayed empty as an empty file, and plant what a real delivery has."""
        for extract in self.extracts:
            if not any(key[:2] == (extract.source, extract.table) for key in self._streams):
                self._write_empty(extract)
        for stream in self._streams.values():
            stream.writer.close()
            if stream.sink is not None:
                stream.sink.close()
        self.file_count = len(self._streams)
        for writer in self._truth.values():
            writer.close()
        for (source, table), bad in UNREADABLE.items():
            stream = next(one for (system, name, _), one in self._streams.items() if (system, name) == (source, table))
            _append(stream, bad)
            self.unreadable_count += 1
        source, table, period = SENT_TWICE
        again = next(one for one in self.extracts if (one.source, one.table) == (source, table))
        label = self._label(again, period)
        if (sent := self._streams.get((source, table, label))) is not None:
            shutil.copyfile(sent.path, sent.path.with_name(sent.path.name.replace(label, f"again_{label}")))
            self.file_count += 1

    def _write_empty(self, extract: Extract) -> None:
        import pyarrow as pa

        table = TABLES[extract.table]
        names = [name for name in (*table.required, *table.one_of) if name not in extract.constants]
        names += [name for name in extract.columns if name not in names]
        self._columns[extract.source, extract.table] = [one.name for one in table.columns if one.name in names]
        schema = pa.schema(
            [
                pa.field(extract.columns.get(name, name), _arrow_type(table.by_name[name].kind))
                for name in self._columns[extract.source, extract.table]
            ]
        )
        label = extract.parts[0] if extract.parts else f"{self.calendar.months[0]:%Y-%m}"
        self._stream(extract, label if "{}" in extract.file else "", schema).writer.write_table(schema.empty_table())
        self.row_counts.setdefault((extract.source, extract.table), 0)


@contextmanager
def open_files(folder: Path, calendar: Calendar, clocks: Clocks, *, has_stores: bool) -> Iterator[Files]:
    """The files of a company under ``folder``; complete when the block ends without an error."""
    (folder / "files").mkdir(parents=True, exist_ok=True)
    (folder / "truth").mkdir(exist_ok=True)
    files = Files(folder, calendar, clocks, extracts_of(has_stores=has_stores))
    yield files
    files._finish()


def _arrow_type(kind: Kind) -> pa.DataType:
    import pyarrow as pa

    return {
        Kind.INTEGER: pa.int64(),
        Kind.DECIMAL: pa.float64(),
        Kind.MONEY: pa.decimal128(18, 2),
        Kind.PRICE: pa.decimal128(18, 2),
        Kind.BOOLEAN: pa.bool_(),
        Kind.TIMESTAMP: pa.timestamp("s"),
        Kind.DAY: pa.date32(),
    }.get(kind, pa.string())


def _opened(path: Path, extract: Extract, schema: pa.Schema) -> _Stream:
    import pyarrow as pa
    import pyarrow.csv as pacsv
    import pyarrow.parquet as pq

    if extract.format == "parquet":
        # Statistics and dictionaries of columns without repeats cost time and help nobody who reads the whole file.
        writer = pq.ParquetWriter(path, schema, compression="zstd", compression_level=1)
        return _Stream(path, schema, extract, writer)
    sink = pa.OSFile(str(path), "wb")
    if extract.format == "csv":
        options = pacsv.WriteOptions(delimiter=extract.delimiter, quoting_style="needed")
        return _Stream(path, schema, extract, pacsv.CSVWriter(sink, schema, write_options=options), sink)
    return _Stream(path, schema, extract, _JsonLines(sink), sink)


@dataclass
class _JsonLines:
    """Writes tables as one JSON object a line; absent values have no key."""

    sink: Any

    def write_table(self, table: pa.Table) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        if not table.num_rows:
            return
        parts = []
        for name, column in zip(table.column_names, table.columns, strict=True):
            values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
            is_quoted = not (
                pa.types.is_integer(values.type) or pa.types.is_boolean(values.type) or pa.types.is_decimal(values.type)
            )
            text = values.cast(pa.string())
            if pa.types.is_string(values.type):
                text = pc.replace_substring(pc.replace_substring(text, "\\", "\\\\"), '"', '\\"')
            mark = '"' if is_quoted else ""
            entry = pc.binary_join_element_wise(f'"{name}": {mark}', text, f"{mark}, ", "")
            parts.append(pc.fill_null(entry, ""))
        inner = pc.utf8_rtrim(pc.binary_join_element_wise(*parts, ""), ", ")
        lines = pc.binary_join_element_wise("{", inner, "}\n", "")
        # The texts lie one behind the other in one buffer: that is the file.
        array = lines.combine_chunks() if isinstance(lines, pa.ChunkedArray) else lines
        self.sink.write(array.buffers()[2])

    def close(self) -> None:
        """Nothing is held back."""


def _append(stream: _Stream, bad: dict[str, str] | str) -> None:
    extract = stream.extract
    if isinstance(bad, str):
        line = bad
    else:
        values = {extract.columns.get(name, name): value for name, value in bad.items()}
        line = extract.delimiter.join(values.get(name, "") for name in stream.schema.names)
    with stream.path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
