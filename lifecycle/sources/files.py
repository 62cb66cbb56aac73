"""Files as tables of text: found, and read.

Belongs here: finding the files of a source, and reading one into a temporary table of text columns with the physical
line of every record. DuckDB's readers are the fast way; whenever they fail, or their count is not the independent one,
or the bytes hold anything unusual, the line reader takes over, which loses one line per malformed record and no more.
Does not belong here: what the values mean (``casts.py``) and where they go (``intake.py``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lifecycle.errors import IntakeError
from lifecycle.settings import QualitySettings, Source
from lifecycle.sources.census import REASON_NUL, Bytes, Census, Format, InputFile, count_records
from lifecycle.sources.contract import TABLES, Kind
from lifecycle.sources.lines import (
    REASON_KEY_TWICE,
    REASON_LONG,
    REASON_NESTED,
    CsvParser,
    Line,
    PlainRows,
    blocks_of,
    decoded_line,
    json_fields,
    lines_of,
    raw_of,
)
from lifecycle.warehouse import Warehouse, literal, quoted

ROWS_PER_WRITE = 50_000
BYTES_PER_WRITE = 32 * 1024 * 1024

TEXT_TABLE = "intake_text"
"""The temporary table that a reading leaves: file_line, raw_text, raw_form, problem_column, problem, f0, f1, ..."""

_ENDINGS: dict[str, Format] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


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

    def add_block(self, block: PlainRows) -> None:
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
    missing: dict[str, str] = {}
    for column, name in wanted.items():
        if name in header:
            continue
        if table.by_name[column].required:
            missing[column] = f"the required column '{column}'" + (f" (here '{name}')" if name != column else "")
        elif column in source.columns and not sparse:
            missing[column] = f"'{name}', which `columns:` maps to {column},"
    if table.one_of and not any(wanted.get(column) in header or column in source.constants for column in table.one_of):
        missing[table.one_of[0]] = f"one of {', '.join(table.one_of)}"
    problems = []
    if missing:
        # The first line of a file without a header is somebody's data: it is shown only when it is a header.
        is_header = any(name in header for name in wanted.values())
        shown = ", ".join(name[:40] for name in header[:40]) + (", ..." if len(header) > 40 else "")
        problems.append(
            f"{' and '.join(missing.values())} {'is' if len(missing) == 1 else 'are'} missing; "
            + (f"the header has: {shown}" if is_header else f"none of its {len(header)} first fields is a known name")
        )
    problems += [
        f"the column '{name}' stands in the header twice"
        for name in dict.fromkeys(wanted.values())
        if list(header).count(name) > 1
    ]
    if problems:
        first = next(iter(missing), None)
        raise IntakeError(
            "; ".join(problems),
            where=file.where,
            remedy=f"Map it in lifecycle.yml with `columns: {{{first}: <name in the file>}}`, or give it a fixed "
            f"value with `constants: {{{first}: ...}}`."
            if first
            else "Rename one of them where the file is made; which one is meant cannot be told.",
        )


def _csv_header(file: InputFile, content: Bytes) -> tuple[list[str], int, bool]:
    """(names, physical lines up to and with the header, header is on the first line alone)."""
    skipped = 0
    parser = CsvParser(blocks_of(content), file.source.delimiter, content.limits.max_field_bytes)
    for record in parser.records():
        if record is None or isinstance(record, PlainRows):
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
    received = _csv_by_lines(warehouse, content, header, header_lines, census)
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
    except duckdb.OutOfMemoryException:
        raise
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
    warehouse: Warehouse, content: Bytes, header: Sequence[str], header_lines: int, census: Census
) -> int:
    """Read line by line; the number of records, by the census's lines less those that start none."""
    rows = TextRows(warehouse, len(header))
    nothing: list[str | None] = [None] * len(header)
    parser = CsvParser(
        blocks_of(content), content.file.source.delimiter, content.limits.max_field_bytes, len(header), header_lines
    )
    empty = continued = 0
    for parsed in parser.records():
        if isinstance(parsed, PlainRows):
            rows.add_block(parsed)
        elif parsed is None:
            empty += 1
        elif not parsed.reason:
            continued += parsed.lines - 1
            rows.add(parsed.line.number, parsed.fields)
        else:
            raw_form, raw_text = raw_of(parsed.line)
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
        keys = _jsonl_by_duckdb(warehouse, content, names, json_names, census)
    reader: Literal["duckdb", "lines"] = "duckdb"
    if keys is None:
        reader, keys = "lines", _jsonl_by_lines(warehouse, content, names, json_names, limits)
    if keys:
        _check_header(file, sorted(keys), sparse=True)
    return Reading(columns, received, reader, _json_object(columns))


def _jsonl_by_duckdb(
    warehouse: Warehouse, content: Bytes, names: Sequence[str], json_names: set[str], census: Census
) -> set[str] | None:
    """Read with DuckDB's JSON parser; all keys, or None when it gives up or takes what is no JSON."""
    import duckdb

    drop_text(warehouse)
    paths = [f"/{name.replace('~', '~0').replace('/', '~1')}" for name in names]
    path_list = "[" + ", ".join(literal(path) for path in paths) + "]"
    try:
        warehouse.run(
            f"create temp table intake_fields as select json as record from"
            f" read_ndjson_objects({literal(_no_glob(content.file.path))},"
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
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error:
        return None
    return {key for one, _ in keys for key in one}


def _jsonl_by_lines(
    warehouse: Warehouse, content: Bytes, names: Sequence[str], json_names: set[str], limits: QualitySettings
) -> set[str]:
    rows = TextRows(warehouse, len(names))
    nothing: list[str | None] = [None] * len(names)
    keys: set[str] = set()
    for line in lines_of(content):
        if not line.content and not line.cut:
            continue
        reason, text = decoded_line(line)
        if reason:
            raw_form, raw_text = raw_of(line)
            rows.add(line.number, nothing, raw_text=raw_text, raw_form=raw_form, problem=reason)
            continue
        row = json_fields(text, names, json_names, limits)
        keys |= row.keys
        rows.add(line.number, row.values, raw_text=text, problem_column=row.column, problem=row.problem)
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
    except duckdb.OutOfMemoryException:
        raise
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
            row = json_fields(raw_text, names, json_names, limits)
            values, column, problem = row.values, row.column, row.problem
        else:
            header = json.loads(raw_header or "[]")
            parser = CsvParser(iter(()), source.delimiter, limits.max_field_bytes, len(header))
            record = parser.parse_line(Line(line_number, raw_text.encode("utf-8"), b""))
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
