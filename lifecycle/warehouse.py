"""The only opener of DuckDB: build file, publications and ledger.

Belongs here: connections with their limits, and the few operations (run, rows, scalar, batches, write, create-as)
that the rest of the package is written in, so that an engine is one class.
Does not belong here: what the tables mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle.errors import LifecycleError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from lifecycle.settings import Settings

SERVING_STORAGE_VERSION = "v1.2.0"
"""The newest storage version that DuckDB 1.x clients (JDBC, npm, WASM) can read; 2.0's own cannot be."""


def quoted(name: str) -> str:
    """An SQL identifier, safely quoted."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """An SQL string literal, safely quoted."""
    return "'" + text.replace("'", "''") + "'"


@dataclass
class Warehouse:
    """A DuckDB connection with the operations that the package uses."""

    connection: duckdb.DuckDBPyConnection
    path: Path

    def run(self, sql: str, parameters: Sequence[Any] | dict[str, Any] | None = None) -> None:
        # fetchall() frees the connection: DuckDB 2.0 leaves it busy after a partly read result.
        self.connection.execute(sql, parameters).fetchall()

    def rows(self, sql: str, parameters: Sequence[Any] | dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql, parameters).fetchall()

    def dicts(self, sql: str, parameters: Sequence[Any] | dict[str, Any] | None = None) -> list[dict[str, Any]]:
        cursor = self.connection.execute(sql, parameters)
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def scalar(self, sql: str, parameters: Sequence[Any] | dict[str, Any] | None = None) -> Any:
        rows = self.rows(sql, parameters)
        return rows[0][0] if rows else None

    def batches(self, sql: str, rows_per_batch: int = 100_000) -> Iterator[pa.RecordBatch]:
        """The result as Arrow batches, never all at once; read to the end before the next statement."""
        reader: pa.RecordBatchReader = self.connection.sql(sql).to_arrow_reader(rows_per_batch)
        yield from reader

    def write(self, table: str, data: pa.Table) -> None:
        """Replace ``schema.table`` by an Arrow table."""
        self.connection.register("incoming_arrow", data)
        try:
            self.create_as(table, "select * from incoming_arrow")
        finally:
            self.connection.unregister("incoming_arrow")

    def append(self, table: str, data: pa.Table) -> None:
        """Add the rows of an Arrow table, its columns by name."""
        self.connection.register("incoming_arrow", data)
        try:
            self.run(f"insert into {table} by name select * from incoming_arrow")
        finally:
            self.connection.unregister("incoming_arrow")

    def create_as(self, table: str, sql: str) -> None:
        """Replace ``schema.table`` by the result of a query."""
        self.run(f"create schema if not exists {quoted(table.split('.', maxsplit=1)[0])}")
        self.run(f"create or replace table {table} as {sql}")

    def has_table(self, table: str) -> bool:
        schema, name = table.split(".")
        return bool(
            self.scalar(
                "select count(*) from duckdb_tables() where database_name = current_database()"
                " and schema_name = ? and table_name = ?",
                [schema, name],
            )
        )

    def has_relation(self, relation: str) -> bool:
        schema, name = relation.split(".")
        return self.has_table(relation) or bool(
            self.scalar(
                "select count(*) from duckdb_views() where database_name = current_database()"
                " and schema_name = ? and view_name = ?",
                [schema, name],
            )
        )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.run("begin transaction")
        try:
            yield
        except BaseException:
            self.run("rollback")
            raise
        self.run("commit")


@contextmanager
def open_duckdb(
    path: Path,
    *,
    read_only: bool = False,
    memory_limit: str = "2GB",
    threads: int = 2,
    spill: Path | None = None,
    max_spill: str = "50GB",
) -> Iterator[Warehouse]:
    """Open one DuckDB file and close it again. A new file is readable by its owner alone.

    Raises LifecycleError when the file is held by another process or is no DuckDB file.
    """
    import duckdb

    config: dict[str, str | bool | int | float | list[str]] = {"memory_limit": memory_limit, "threads": threads}
    if spill is not None:
        config |= {"temp_directory": str(spill), "max_temp_directory_size": max_spill}
    is_new = str(path) != ":memory:" and not path.exists()
    try:
        connection = duckdb.connect(str(path), read_only=read_only, config=config)
    except duckdb.Error as error:
        raise _cannot_open(path, str(error).splitlines()[0]) from error
    try:
        connection.execute("set enable_progress_bar = false").fetchall()
        connection.execute("set timezone = 'UTC'").fetchall()
        if is_new:
            path.chmod(0o600)
        yield Warehouse(connection, path)
    finally:
        connection.close()


@contextmanager
def open_warehouse(settings: Settings, *, read_only: bool = False) -> Iterator[Warehouse]:
    """A company's build file, with the limits of its settings."""
    limits, state = settings.warehouse, settings.state
    with open_duckdb(
        state.warehouse,
        read_only=read_only,
        memory_limit=limits.memory_limit,
        threads=limits.threads,
        spill=state.spill,
        max_spill=limits.max_spill,
    ) as warehouse:
        yield warehouse


@contextmanager
def attached(warehouse: Warehouse, path: Path, alias: str) -> Iterator[None]:
    """Show another DuckDB file to a connection, for reading, under a name.

    Raises LifecycleError when the file is held by another process or is no DuckDB file.
    """
    import duckdb

    try:
        warehouse.run(f"attach {literal(str(path))} as {quoted(alias)} (read_only)")
    except duckdb.Error as error:
        raise _cannot_open(path, str(error).splitlines()[0]) from error
    try:
        yield
    finally:
        warehouse.run(f"detach {quoted(alias)}")


def _cannot_open(path: Path, reason: str) -> LifecycleError:
    """The same exception of DuckDB has four causes, and each is mended in another way."""
    if not path.parent.is_dir():
        problem, remedy = "its folder does not exist", "Look at state_dir in lifecycle.yml, or run the pipeline first."
    elif not path.exists():
        problem, remedy = "there is no such database", "Run the pipeline first: `lifecycle run`."
    elif "Conflicting lock" in reason:
        holder = reason.partition("PID ")[2].partition(")")[0]
        problem = "another process holds it" + (f" (process {holder})" if holder else "")
        remedy = "Wait until it has ended, or close it; BI tools read serving/lifecycle.duckdb, never this file."
    else:
        problem = reason.replace(str(path), path.name)
        remedy = "Move the file away and run again, or name another state_dir; raw files are loaded anew."
    return LifecycleError(f"the database cannot be opened: {problem}", where=str(path), remedy=remedy)
