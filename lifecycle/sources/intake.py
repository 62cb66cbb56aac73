"""From files to ``raw``: land, check, merge.

Belongs here: which files are new, what becomes of every row of a batch (loaded, duplicate, superseded, suppressed,
quarantined), and the one transaction that merges a run's batches. State between the steps lies in ``landing``, so each
step may be another process.
Does not belong here: reading files (``files.py``), casting fields (``casts.py``), the judgement whether a batch is good
enough (the intake gate).

Of a record's versions the one with the latest ``updated_at`` wins; one that carries it outranks one that does not; else
the later load order (file by file, line by line) wins. That is a total order, so loading file by file ends in the same
``raw`` as loading all at once. A version that was replaced is remembered by a keyed hash of its content: an old extract
loaded again brings nothing back.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime

from lifecycle.errors import IntakeError, LifecycleError
from lifecycle.settings import Environment, Settings, Source
from lifecycle.sources import files
from lifecycle.sources.casts import casts_of, is_bad, normalized, problems
from lifecycle.sources.census import InputFile, digest_of
from lifecycle.sources.contract import LOAD_COLUMNS, TABLES, Kind, Table, create_raw_tables_sql
from lifecycle.sources.lines import REASON_DEEP, nesting_depth
from lifecycle.warehouse import Warehouse, literal, quoted

RULES_VERSION = 1
"""Raised when casts change their meaning: files are then read again."""

_BATCH_COLUMNS = """
    batch_id varchar, source_system varchar, table_name varchar, file_name varchar,
    received_count bigint, loaded_count bigint, duplicate_count bigint, superseded_count bigint,
    suppressed_count bigint, quarantined_count bigint, loaded_at timestamp,
    run_id varchar, file_digest varchar, mapping_fingerprint varchar, file_bytes bigint, reader varchar,
    load_number bigint, future_count bigint, is_requeue boolean, retired_at timestamp
"""
_REJECTED_COLUMNS = """
    rejected_id varchar, batch_id varchar, source_system varchar, table_name varchar, file_name varchar,
    line_number bigint, column_name varchar, reason varchar, raw_text varchar, rejected_at timestamp,
    requeued_at timestamp, other_problems varchar, raw_form varchar, raw_header varchar, try_count bigint
"""
_INTERNAL_TABLES = {
    "ops.batches": _BATCH_COLUMNS,
    "landing.batches": _BATCH_COLUMNS,
    "quarantine.rejected_rows": _REJECTED_COLUMNS,
    "landing.rejected_rows": _REJECTED_COLUMNS,
    # Batches whose files are read again under changed settings, and rows of the quarantine that are tried again.
    "landing.retired_batches": "batch_id varchar",
    "landing.tried_rows": "rejected_id varchar",
    # What the merge has to know of the landing that it completes.
    "landing.runs": "run_id varchar, is_full_refresh boolean, landed_at timestamp",
    # Keyed hashes of versions that were replaced: (table, key and content) in one.
    "landing.superseded_versions": "source_system varchar, table_name varchar, version_hash varchar",
    "raw.superseded_versions": "source_system varchar, table_name varchar, version_hash varchar",
}
_LANDING_COLUMNS = (("load_number", "bigint"), ("file_line", "bigint"), ("status", "varchar"))


@dataclass(frozen=True)
class Batch:
    """One file of one source as it was received; the counts add up to ``received_count``."""

    batch_id: str
    source_system: str
    table_name: str
    file_name: str
    received_count: int
    loaded_count: int
    duplicate_count: int
    superseded_count: int
    suppressed_count: int
    quarantined_count: int
    loaded_at: datetime
    run_id: str
    file_digest: str
    mapping_fingerprint: str
    file_bytes: int
    reader: str
    load_number: int
    future_count: int
    """Rows whose event lies after ``loaded_at``: they count from when their day comes."""
    is_requeue: bool
    retired_at: datetime | None = None

    @property
    def is_reconciled(self) -> bool:
        return self.received_count == (
            self.loaded_count
            + self.duplicate_count
            + self.superseded_count
            + self.suppressed_count
            + self.quarantined_count
        )


_BATCH_FIELDS = ", ".join(one.name for one in fields(Batch))


# --- tables ------------------------------------------------------------------------------------------------------


def prepare(warehouse: Warehouse) -> None:
    """Make every table that the intake reads or writes, empty, where it does not exist; add columns that are new."""
    there: dict[str, set[str]] = {}
    for schema, name, column in warehouse.rows(
        "select schema_name, table_name, column_name from duckdb_columns() where database_name = current_database()"
        " and schema_name in ('raw', 'landing', 'quarantine', 'ops')"
    ):
        there.setdefault(f"{schema}.{name}", set()).add(column)
    wanted: dict[str, list[tuple[str, str]]] = {}
    for table in TABLES.values():
        contract = [(column.name, column.sql_type) for column in (*LOAD_COLUMNS, *table.columns)]
        wanted[f"raw.{table.name}"] = contract
        wanted[f"landing.{table.name}"] = [*contract, *_LANDING_COLUMNS]
    for relation, definition in _INTERNAL_TABLES.items():
        columns = [part.split() for part in definition.split(",")]
        wanted[relation] = [(name, type_) for name, type_ in columns]
    if wanted.keys() - there.keys():
        for schema in ("raw", "landing", "quarantine", "ops"):
            warehouse.run(f"create schema if not exists {schema}")
        for statement in create_raw_tables_sql():
            warehouse.run(statement)
    for relation, parts in wanted.items():
        if relation not in there:
            definition = ", ".join(f"{quoted(name)} {type_}" for name, type_ in parts)
            warehouse.run(f"create table if not exists {relation} ({definition})")
            continue
        for name, type_ in parts:
            if name not in there[relation]:
                warehouse.run(f"alter table {relation} add column {quoted(name)} {type_}")


def discard(warehouse: Warehouse) -> None:
    """Empty ``landing``: what was landed and not merged is forgotten, its files are new again."""
    with warehouse.transaction():
        _empty_landing(warehouse)


def _empty_landing(warehouse: Warehouse) -> None:
    for (name,) in warehouse.rows(
        # What was landed is committed, so that a table that counts no rows has none.
        "select table_name from duckdb_tables() where database_name = current_database() and schema_name = 'landing'"
        " and estimated_size > 0"
    ):
        warehouse.run(f"truncate landing.{quoted(name)}")


# --- landing -----------------------------------------------------------------------------------------------------


@dataclass
class _Landing:
    """What one call of ``land`` works with."""

    warehouse: Warehouse
    settings: Settings
    run_id: str
    now: datetime
    key: bytes
    full_refresh: bool
    progress: Callable[[str], None]
    batches: list[Batch]

    @property
    def now_utc(self) -> datetime:
        """``now`` as the warehouse keeps times: UTC without a zone."""
        return self.now.astimezone(UTC).replace(tzinfo=None) if self.now.tzinfo else self.now


@dataclass(frozen=True)
class _Pending:
    file: InputFile
    digest: str
    fingerprint: str
    load_number: int
    batch_id: str


def land(
    warehouse: Warehouse,
    settings: Settings,
    run_id: str,
    *,
    now: datetime,
    full_refresh: bool = False,
    progress: Callable[[str], None] | None = None,
) -> list[Batch]:
    """Read every file that is not loaded yet into ``landing``, and decide what becomes of each row.

    Rows that were requeued are tried again, in batches named ``quarantine:<file>``. Nothing in ``raw`` changes.
    ``now`` is UTC (or carries a zone); it becomes ``loaded_at``. With ``full_refresh`` every file counts as new and
    the merge will replace ``raw``, ``quarantine`` and ``ops.batches``.

    Raises IntakeError with the problems of all files; ``landing`` is empty then.
    """
    prepare(warehouse)
    discard(warehouse)
    landing = _Landing(
        warehouse,
        settings,
        run_id,
        now,
        settings.state.hash_key(Environment().hash_key),
        full_refresh,
        progress or (lambda _: None),
        [],
    )
    import duckdb

    try:
        _land_all(landing)
    except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
        discard(warehouse)
        raise LifecycleError(
            f"there is no room for what was read ({type(error).__name__})",
            where=str(warehouse.path),
            remedy="Free disk space, or raise `warehouse.memory_limit` or `warehouse.max_spill`. raw is as it was.",
        ) from error
    except BaseException:
        discard(warehouse)
        raise
    finally:
        files.drop_text(warehouse)
    return landing.batches


def _land_all(landing: _Landing) -> None:
    warehouse = landing.warehouse
    problems_: list[LifecycleError] = []
    pending = _find_new(landing, problems_)
    for number, one in enumerate(pending, 1):
        landing.progress(f"reading {one.file.name} ({number} of {len(pending)})")
        try:
            _land_file(landing, one)
        except IntakeError as error:
            problems_.append(error)
    if problems_:
        raise IntakeError.of(problems_)
    if not landing.full_refresh:
        _land_requeued(landing)
    for name in dict.fromkeys(batch.table_name for batch in landing.batches):
        landing.progress(f"comparing {name} with what is there")
        with warehouse.transaction():
            _classify(landing, TABLES[name])
    landing.batches[:] = [_counted(warehouse, batch) for batch in landing.batches]
    for batch in landing.batches:
        if not batch.is_reconciled:
            raise IntakeError(
                f"{batch.received_count} records were counted by bytes and lines, but "
                f"{batch.loaded_count + batch.duplicate_count + batch.superseded_count + batch.suppressed_count}"
                f" were read and {batch.quarantined_count} quarantined",
                where=f"{batch.file_name} (source {batch.source_system}, table {batch.table_name})",
                remedy="Nothing was loaded. This is a fault of the reader: please report it with the file's shape.",
            )
    with warehouse.transaction():
        for batch in landing.batches:
            _insert_batch(warehouse, "landing.batches", batch)
        warehouse.run(
            "insert into landing.runs values (?, ?, ?)", [landing.run_id, landing.full_refresh, landing.now_utc]
        )


def _insert_batch(warehouse: Warehouse, table: str, batch: Batch) -> None:
    values = [getattr(batch, one.name) for one in fields(Batch)]
    warehouse.run(f"insert into {table} ({_BATCH_FIELDS}) values ({', '.join('?' for _ in values)})", values)


def mapping_fingerprint(source: Source) -> str:
    """A hash of everything in settings and contract that decides what a file's rows become."""
    table = TABLES[source.table]
    content = {
        "rules": RULES_VERSION,
        "format": source.format,
        "timezone": source.timezone,
        "columns": sorted(source.columns.items()),
        "constants": sorted((name, repr(value)) for name, value in source.constants.items()),
        "namespace": source.namespace,
        "delimiter": source.delimiter,
        "table": [
            table.name,
            table.key,
            table.one_of,
            [(column.name, column.kind, column.required, column.allowed) for column in table.columns],
        ],
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _find_new(landing: _Landing, problems_: list[LifecycleError]) -> list[_Pending]:
    """Files that are not loaded yet with the settings of now, in load order."""
    warehouse, settings = landing.warehouse, landing.settings
    known = warehouse.rows(
        "select source_system, table_name, file_digest, mapping_fingerprint, load_number, batch_id, retired_at is null"
        " from ops.batches where not is_requeue order by load_number"
    )
    numbers = {(system, table, digest): number for system, table, digest, _, number, _, _ in reversed(known)}
    active = {
        (system, table, digest, print_): batch_id
        for system, table, digest, print_, _, batch_id, is_active in known
        if is_active
    }
    used = {batch_id for *_, batch_id, _ in known}
    prints: dict[tuple[str, str], set[str]] = {}
    for source in settings.inputs:
        prints.setdefault((source.name, source.table), set()).add(mapping_fingerprint(source))
    next_number = 1 + (warehouse.scalar("select max(load_number) from ops.batches") or 0)
    pending: list[_Pending] = []
    seen: set[tuple[str, str, str, str]] = set()
    retired: set[str] = set()
    for source in settings.inputs:
        try:
            found = files.find_files(source, settings.folder)
        except IntakeError as error:
            problems_.append(error)
            continue
        print_ = mapping_fingerprint(source)
        for file in found:
            try:
                digest = digest_of(file.path, landing.key)
            except OSError as error:
                problems_.append(
                    IntakeError(
                        f"the file cannot be read: {error.strerror or error}",
                        where=file.where,
                        remedy="Check that it is there and readable.",
                    )
                )
                continue
            identity = (source.name, source.table, digest, print_)
            if identity in seen or (identity in active and not landing.full_refresh):
                continue
            seen.add(identity)
            number = numbers.get(identity[:3])
            if number is None:
                number, next_number = next_number, next_number + 1
                numbers[identity[:3]] = number
            if not landing.full_refresh:
                retired |= {
                    batch_id
                    for (system, table, one, old), batch_id in active.items()
                    if (system, table, one) == identity[:3] and old not in prints[(system, table)]
                }
            batch_id = _batch_id(identity, set() if landing.full_refresh else used)
            used.add(batch_id)
            pending.append(_Pending(file, digest, print_, number, batch_id))
    for batch_id in sorted(retired):
        warehouse.run("insert into landing.retired_batches values (?)", [batch_id])
    return sorted(pending, key=lambda one: one.load_number)


def _batch_id(identity: tuple[str, ...], used: set[str]) -> str:
    """The same content under the same settings is the same batch; a repeated reading of it counts on."""
    attempt = 0
    while True:
        text = "\x1f".join((*identity, str(attempt)))
        batch_id = "b" + hashlib.sha256(text.encode()).hexdigest()[:24]
        if batch_id not in used:
            return batch_id
        attempt += 1


def _land_file(landing: _Landing, one: _Pending) -> None:
    reading = files.read(landing.warehouse, one.file, landing.settings.quality)
    batch = _new_batch(landing, one.file.source, one.batch_id)
    batch = replace(
        batch,
        file_name=one.file.name,
        received_count=reading.received,
        file_digest=one.digest,
        mapping_fingerprint=one.fingerprint,
        file_bytes=one.file.path.stat().st_size,
        reader=reading.reader,
        load_number=one.load_number,
    )
    _land_reading(landing, one.file.source, batch, reading)


def _new_batch(landing: _Landing, source: Source, batch_id: str) -> Batch:
    return Batch(
        batch_id=batch_id,
        source_system=source.name,
        table_name=source.table,
        file_name="",
        received_count=0,
        loaded_count=0,
        duplicate_count=0,
        superseded_count=0,
        suppressed_count=0,
        quarantined_count=0,
        loaded_at=landing.now_utc,
        run_id=landing.run_id,
        file_digest="",
        mapping_fingerprint="",
        file_bytes=0,
        reader="",
        load_number=0,
        future_count=0,
        is_requeue=False,
    )


def _constant(value: str | int | float | bool) -> str:
    if isinstance(value, bool):
        return "'true'" if value else "'false'"
    return f"nullif(trim({literal(str(value))}), '')"


def _texts(source: Source, reading: files.Reading) -> dict[str, str]:
    """SQL of the text of every contract column that the source has: a constant or a field."""
    wanted = files.wanted_fields(source)
    texts: dict[str, str] = {}
    for column in TABLES[source.table].columns:
        if column.name in source.constants:
            texts[column.name] = _constant(source.constants[column.name])
        elif wanted[column.name] in reading.columns:
            texts[column.name] = normalized(reading.columns[wanted[column.name]])
    return texts


def _land_reading(landing: _Landing, source: Source, batch: Batch, reading: files.Reading) -> None:
    """Cast the text rows of a reading into ``landing``; those that cannot be cast into ``landing.rejected_rows``."""
    warehouse, table = landing.warehouse, TABLES[source.table]
    texts = _texts(source, reading)
    text_list = ", ".join(f"{sql} as {quoted('t_' + name)}" for name, sql in texts.items())
    casts = casts_of(table, {name: quoted("t_" + name) for name in texts}, source.timezone)
    _mark_deep_json(landing, table, texts)
    normalized_rows = (
        f"select file_line, raw_text, raw_form, problem_column, {_problem()} as problem, row_json, {text_list}"
        f" from (select text.*, {reading.row_json} as row_json from {files.TEXT_TABLE} text)"
    )
    cast_list = ", ".join(f"{cast.value()} as {quoted(cast.column.name)}" for cast in casts)
    columns = ", ".join(quoted(cast.column.name) for cast in casts)
    needed = ", ".join(cast.text for cast in casts)
    warehouse.run(
        f"insert into landing.{table.name} (source_system, id_namespace, batch_id, loaded_at, {columns},"
        f" load_number, file_line, status)"
        f" select {literal(source.name)}, {literal(source.namespace)}, {literal(batch.batch_id)}, $loaded_at,"
        f" {columns}, {batch.load_number}, file_line,"
        f" case when problem is not null or {is_bad(table, casts)} then 'rejected' else 'load' end"
        f" from (select file_line, problem, {needed}, {cast_list} from ({normalized_rows}))",
        {"loaded_at": batch.loaded_at},
    )
    rejected = int(
        warehouse.scalar(
            f"select count(*) from landing.{table.name} where status = 'rejected' and batch_id = ?", [batch.batch_id]
        )
    )
    if rejected:
        _reject(landing, batch, reading, normalized_rows, problems(table, casts))
        warehouse.run(f"delete from landing.{table.name} where status = 'rejected' and batch_id = ?", [batch.batch_id])
    landing.batches.append(replace(batch, quarantined_count=rejected))


def _problem() -> str:
    return (
        "coalesce(problem, case when file_line in (select file_line from temp.intake_deep)"
        f" then {literal(REASON_DEEP)} end)"
    )


def _mark_deep_json(landing: _Landing, table: Table, texts: dict[str, str]) -> None:
    """List the lines whose JSON columns are nested too deep; only texts with many brackets are looked at."""
    warehouse, limit = landing.warehouse, landing.settings.quality.max_nesting
    warehouse.run("create or replace temp table intake_deep (file_line bigint)")
    for column in table.columns:
        text = texts.get(column.name)
        if column.kind != Kind.JSON or text is None:
            continue
        limit_bytes = landing.settings.quality.max_field_bytes
        many = f"strlen({text}) - strlen(translate({text}, '[{{', '')) > {limit} and strlen({text}) <= {limit_bytes}"
        deep: list[int] = []
        for batch in warehouse.batches(
            f"select file_line, {text} as json_text from {files.TEXT_TABLE} where {many}", rows_per_batch=100
        ):
            found = zip(batch.column("file_line").to_pylist(), batch.column("json_text").to_pylist(), strict=True)
            deep += [file_line for file_line, value in found if nesting_depth(value) > limit]
        for file_line in deep:
            warehouse.run("insert into temp.intake_deep values (?)", [file_line])


def _reject(landing: _Landing, batch: Batch, reading: files.Reading, normalized_rows: str, problem_list: str) -> None:
    """Write the rejected rows of a batch, each with its first problem, the others beside."""
    warehouse = landing.warehouse
    header = literal(reading.raw_header) if reading.raw_header else "cast(null as varchar)"
    name = batch.file_name.removeprefix("quarantine:")
    warehouse.run(
        "insert into landing.rejected_rows (rejected_id, batch_id, source_system, table_name, file_name, line_number,"
        " column_name, reason, raw_text, rejected_at, requeued_at, other_problems, raw_form, raw_header, try_count)"
        " select 'r' || left(sha256($batch_id || ':' || file_line), 24), $batch_id, $source_system, $table_name,"
        " $file_name, file_line, coalesce(problem_column, found[1].column_name),"
        " coalesce(problem, found[1].reason), coalesce(raw_text, row_json), $rejected_at, null,"
        " nullif(array_to_string(list_transform(found[2:],"
        " lambda each_problem: each_problem.column_name || ': ' || each_problem.reason), '; '), ''),"
        f" raw_form, case when raw_form = 'line' then {header} end, 1"
        # A row that could not even be split into fields has no problems of single columns.
        f" from (select *, case when problem is null then {problem_list} end as found from ({normalized_rows})"
        f" where file_line in (select file_line from landing.{batch.table_name}"
        " where status = 'rejected' and batch_id = $batch_id))",
        {
            "batch_id": batch.batch_id,
            "source_system": batch.source_system,
            "table_name": batch.table_name,
            "file_name": name,
            "rejected_at": batch.loaded_at,
        },
    )


# --- trying again ------------------------------------------------------------------------------------------------


def _land_requeued(landing: _Landing) -> None:
    """Try the requeued rows of the quarantine again, a batch per batch that they came from."""
    warehouse = landing.warehouse
    origins = warehouse.rows(
        "select rejected.batch_id, rejected.source_system, rejected.table_name, rejected.file_name,"
        " coalesce(min(batches.load_number), 0),"
        " sha256(string_agg(rejected_id || raw_text, ',' order by rejected_id))"
        " from quarantine.rejected_rows rejected left join ops.batches batches using (batch_id)"
        " where requeued_at is not null and rejected.batch_id not in (select batch_id from landing.retired_batches)"
        " group by all order by 5, 1"
    )
    used = {one for (one,) in warehouse.rows("select batch_id from ops.batches")}
    for origin, system, table_name, file_name, load_number, content in origins:
        source = _source_of(landing.settings, system, table_name, file_name)
        if source is None:
            landing.progress(f"{file_name}: its source {system} is no longer in the settings; its rows stay")
            continue
        landing.progress(f"trying quarantined rows of {file_name} again")
        digest = hmac.new(landing.key, f"{origin}:{content}".encode(), hashlib.sha256).hexdigest()
        print_ = mapping_fingerprint(source)
        batch_id = _batch_id((system, table_name, digest, print_), used)
        used.add(batch_id)
        reading = files.read_again(warehouse, source, _rejected_rows(warehouse, origin), landing.settings.quality)
        batch = replace(
            _new_batch(landing, source, batch_id),
            file_name=f"quarantine:{file_name}",
            received_count=int(
                warehouse.scalar(
                    "select count(*) from quarantine.rejected_rows where requeued_at is not null and batch_id = ?",
                    [origin],
                )
            ),
            file_digest=digest,
            mapping_fingerprint=print_,
            reader=reading.reader,
            # Its place in the order is that of the file it came in: it must not pass for the newest version.
            load_number=load_number,
            is_requeue=True,
        )
        _land_reading(landing, source, batch, reading)
        warehouse.run(
            "insert into landing.tried_rows select rejected_id from quarantine.rejected_rows"
            " where requeued_at is not null and batch_id = ?",
            [origin],
        )
        # What fails again keeps its identity, so that it can be followed, and the header it needs.
        warehouse.run(
            "update landing.rejected_rows set rejected_id = old.rejected_id, batch_id = old.batch_id,"
            " rejected_at = old.rejected_at, raw_header = old.raw_header, try_count = old.try_count + 1"
            " from quarantine.rejected_rows old"
            " where rejected_rows.batch_id = ? and old.batch_id = ? and old.line_number = rejected_rows.line_number",
            [batch_id, origin],
        )


def _rejected_rows(warehouse: Warehouse, origin: str) -> Iterator[tuple[int, str, str, str | None, str]]:
    last = -1
    while rows := warehouse.rows(
        "select line_number, raw_form, raw_text, raw_header, reason from quarantine.rejected_rows"
        " where requeued_at is not null and batch_id = ? and line_number > ? order by line_number limit 5000",
        [origin, last],
    ):
        yield from ((row[0], row[1], row[2], row[3], row[4]) for row in rows)
        last = rows[-1][0]


def _source_of(settings: Settings, system: str, table_name: str, file_name: str) -> Source | None:
    """The source that a file came from: of several entries for a table, the one whose path matches it."""
    entries = [source for source in settings.inputs if (source.name, source.table) == (system, table_name)]
    for source in entries:
        try:
            found = files.find_files(source, settings.folder)
        except IntakeError:
            continue
        if any(file.name == file_name for file in found):
            return source
    return entries[0] if entries else None


# --- versions ----------------------------------------------------------------------------------------------------


def _classify(landing: _Landing, table: Table) -> None:
    """Set the status of every landed row of a table, against each other and against ``raw``."""
    warehouse = landing.warehouse
    key = ["source_system", *(quoted(name) for name in table.key)]
    raw_rows = (
        f"(select raw.*, batches.load_number from raw.{table.name} raw"
        " left join (select batch_id, min(load_number) as load_number from ops.batches group by batch_id) batches"
        " using (batch_id) where raw.batch_id not in (select batch_id from landing.retired_batches))"
    )
    if landing.full_refresh or not warehouse.rows(f"select 1 from raw.{table.name} limit 1"):
        # Nothing to compare with but each other, and mostly no key comes twice.
        if not warehouse.rows(
            f"select 1 from landing.{table.name} group by {', '.join(key)} having count(*) > 1 limit 1"
        ):
            return
        raw_rows = f"(select *, cast(null as bigint) as load_number from raw.{table.name} where false)"
    content = ["id_namespace", *(quoted(column.name) for column in table.columns)]
    same_key = " and ".join(f"new.{name} is not distinct from old.{name}" for name in key)
    same_content = " and ".join(f"new.{name} is not distinct from old.{name}" for name in content)
    in_raw = "old.source_system is not null"
    order = "{{'updated': coalesce({0}.updated_at, timestamp '0001-01-01'), 'load': coalesce({0}.load_number, 0)}}"
    is_older = f"({in_raw} and {order.format('new')} < {order.format('old')})"
    is_same = f"({in_raw} and {same_content})"
    # Most rows are alone with their key: only the others are compared, and few of those need a hash.
    warehouse.run(
        "create or replace temp table intake_contested as"
        " select new.rowid as row_id, new.load_number, new.file_line, new.updated_at, keys.key_number,"
        f" {in_raw} as is_in_raw, {is_same} as is_same_as_raw, {is_older} as is_older,"
        f" case when not {is_same} and not {is_older} then {version_hash(table, 'new', landing.key)} end as version"
        f" from (select *, rowid from landing.{table.name}) new"
        f" join (select {', '.join(key)}, count(*) as row_count, min(rowid) as key_number from landing.{table.name}"
        f" group by {', '.join(key)}) keys on {same_key.replace('old.', 'keys.')}"
        f" left join {raw_rows} old on {same_key}"
        f" where keys.row_count > 1 or {in_raw}"
    )
    if not warehouse.rows("select 1 from temp.intake_contested limit 1"):
        return
    warehouse.run(
        "create or replace temp table intake_statuses as"
        " with judged as (select *, case when is_same_as_raw then 'duplicate' when is_older then 'superseded'"
        " when is_in_raw and version in (select version_hash from raw.superseded_versions"
        f" where table_name = {literal(table.name)}) then 'superseded' end as verdict from temp.intake_contested),"
        # The same content twice is one version, and its place is that of the first.
        " firsts as (select *, verdict is null and row_number() over (partition by key_number, version, verdict"
        " order by load_number, file_line) > 1 as is_repeated from judged),"
        " ranked as (select *, row_number() over (partition by key_number, verdict is null and not is_repeated"
        " order by updated_at desc nulls last, load_number desc, file_line desc) as place,"
        " max(updated_at) over (partition by key_number, verdict is null and not is_repeated) as last_updated_at"
        " from firsts)"
        " select row_id, version, updated_at is not distinct from last_updated_at as is_tied,"
        " case when verdict is not null then verdict when is_repeated then 'duplicate'"
        " when place > 1 then 'superseded' else 'load' end as status from ranked"
    )
    warehouse.run(
        f"update landing.{table.name} as landed set status = statuses.status from temp.intake_statuses statuses"
        " where landed.rowid = statuses.row_id and statuses.status <> 'load'"
    )
    if not landing.full_refresh:
        _remember_replaced(landing, table, raw_rows, same_key)
    # Superseded on arrival: with the winner's updated_at (or neither has one) it could come again and look new.
    warehouse.run(
        "insert into landing.superseded_versions"
        f" select distinct landed.source_system, {literal(table.name)}, statuses.version"
        f" from temp.intake_statuses statuses join landing.{table.name} landed on landed.rowid = statuses.row_id"
        " where statuses.status = 'superseded' and statuses.is_tied and statuses.version is not null"
    )
    warehouse.run("drop table temp.intake_contested")
    warehouse.run("drop table temp.intake_statuses")


def _remember_replaced(landing: _Landing, table: Table, raw_rows: str, same_key: str) -> None:
    """Hashes of the versions in ``raw`` that this landing will replace and that ``updated_at`` alone does not order."""
    landing.warehouse.run(
        "insert into landing.superseded_versions"
        f" select old.source_system, {literal(table.name)}, {version_hash(table, 'old', landing.key)}"
        f" from landing.{table.name} new join {raw_rows} old on {same_key}"
        " where new.status = 'load' and old.updated_at is not distinct from new.updated_at"
    )


def version_hash(table: Table, alias: str, key: bytes) -> str:
    """SQL of HMAC-SHA256 (RFC 2104) over a row's key and content, as hexadecimal text."""
    block = key if len(key) <= 64 else hashlib.sha256(key).digest()
    block = block.ljust(64, b"\0")
    inner, outer = bytes(byte ^ 0x36 for byte in block).hex(), bytes(byte ^ 0x5C for byte in block).hex()
    names = ["source_system", "id_namespace", *(column.name for column in table.columns)]
    # Every value stands with its length: no two rows share a text.
    texts = [f"cast({alias}.{quoted(name)} as varchar)" for name in names]
    parts = ", ".join(f"coalesce(strlen({text}) || ':' || {text}, '-')" for text in texts)
    text = f"encode(concat({literal(table.name)}, '|', {parts}))"
    return f"sha256(unhex('{outer}') || unhex(sha256(unhex('{inner}') || {text})))"


def _counted(warehouse: Warehouse, batch: Batch) -> Batch:
    """A batch with the counts of its rows by status."""
    table = TABLES[batch.table_name]
    in_future = f"count(*) filter (where {quoted(table.event_at)} > $now)" if table.event_at else "$now is null"
    counts = {
        status: (int(count), int(future))
        for status, count, future in warehouse.rows(
            f"select status, count(*), cast({in_future} as bigint) from landing.{batch.table_name}"
            " where batch_id = $batch_id group by status",
            {"batch_id": batch.batch_id, "now": batch.loaded_at},
        )
    }
    return replace(
        batch,
        loaded_count=counts.get("load", (0, 0))[0],
        duplicate_count=counts.get("duplicate", (0, 0))[0],
        superseded_count=counts.get("superseded", (0, 0))[0],
        suppressed_count=counts.get("suppressed", (0, 0))[0],
        future_count=sum(future for _, future in counts.values()),
    )


# --- merging -----------------------------------------------------------------------------------------------------


def merge(warehouse: Warehouse, run_id: str) -> list[Batch]:
    """Merge what this run landed into ``raw``, ``quarantine`` and ``ops.batches``, in one transaction.

    Nothing landed is nothing to do: merging twice is merging once. Raises IntakeError when another run landed it.
    """
    prepare(warehouse)
    runs = warehouse.rows("select run_id, is_full_refresh, landed_at from landing.runs")
    if not runs:
        return []
    landed_by, is_full_refresh, landed_at = runs[0]
    if landed_by != run_id:
        raise IntakeError(
            f"what lies in landing was landed by run {landed_by}, not by {run_id}",
            where=str(warehouse.path),
            remedy="Start a new run: it lands its files afresh.",
        )
    batches = [
        Batch(**row) for row in warehouse.dicts(f"select {_BATCH_FIELDS} from landing.batches order by load_number")
    ]
    with warehouse.transaction():
        if is_full_refresh:
            for name in TABLES:
                warehouse.run(f"delete from raw.{name}")
            for name in ("raw.superseded_versions", "quarantine.rejected_rows", "ops.batches"):
                warehouse.run(f"delete from {name}")
        _retire(warehouse, landed_at)
        for name in dict.fromkeys(batch.table_name for batch in batches):
            _merge_table(warehouse, TABLES[name])
        warehouse.run(
            "insert into raw.superseded_versions select distinct * from landing.superseded_versions"
            " where version_hash not in (select version_hash from raw.superseded_versions)"
        )
        warehouse.run(
            "delete from quarantine.rejected_rows where rejected_id in (select rejected_id from landing.tried_rows)"
        )
        warehouse.run("insert into quarantine.rejected_rows by name select * from landing.rejected_rows")
        warehouse.run("insert into ops.batches by name select * from landing.batches")
        _empty_landing(warehouse)
    return batches


def _retire(warehouse: Warehouse, landed_at: datetime) -> None:
    """Take out what files brought that are now read again under changed settings."""
    tables = warehouse.rows(
        "select distinct table_name from ops.batches where batch_id in (select batch_id from landing.retired_batches)"
    )
    for (name,) in tables:
        warehouse.run(f"delete from raw.{name} where batch_id in (select batch_id from landing.retired_batches)")
    warehouse.run(
        "delete from quarantine.rejected_rows where batch_id in (select batch_id from landing.retired_batches)"
    )
    warehouse.run(
        "update ops.batches set retired_at = ? where batch_id in (select batch_id from landing.retired_batches)",
        [landed_at],
    )


def _merge_table(warehouse: Warehouse, table: Table) -> None:
    key = ["source_system", *(quoted(name) for name in table.key)]
    same_key = " and ".join(f"new.{name} is not distinct from old.{name}" for name in key)
    columns = ", ".join(quoted(column.name) for column in (*LOAD_COLUMNS, *table.columns))
    warehouse.run(
        f"delete from raw.{table.name} as old using (select {', '.join(key)} from landing.{table.name}"
        f" where status = 'load') as new where {same_key}"
    )
    warehouse.run(
        f"insert into raw.{table.name} ({columns}) select {columns} from landing.{table.name} where status = 'load'"
    )


# --- the latest day ----------------------------------------------------------------------------------------------


def latest_day(warehouse: Warehouse, settings: Settings, now: datetime) -> date:
    """The last local day of the reporting zone with an order or touchpoint that is not after ``now``.

    Without any, the last day on which anything happened; without that, today.
    """
    moment = now.replace(tzinfo=UTC) if now.tzinfo is None else now.astimezone(UTC)

    def last_of(tables: Sequence[Table]) -> datetime | None:
        parts = " union all ".join(
            f"select max({quoted(table.event_at)}) as moment from raw.{table.name}"
            f" where {quoted(table.event_at)} <= $now"
            for table in tables
            if table.event_at
        )
        found: datetime | None = warehouse.scalar(
            f"select max(moment) from ({parts})", {"now": moment.replace(tzinfo=None)}
        )
        return found

    last = last_of([TABLES["orders"], TABLES["touchpoints"]]) or last_of(list(TABLES.values()))
    return (last.replace(tzinfo=UTC) if last else moment).astimezone(settings.zone).date()
