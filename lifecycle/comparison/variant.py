"""One version of the rules, built into a folder of its own from data that is loaded already.

    inputs = copy_inputs(settings, scratch)
    database = build_variant(settings, scratch / "looser", inputs=inputs, as_of=inputs.as_of, thresholds=looser)
    with open_duckdb(database, read_only=True) as built:
        built.rows("select stage, count(*) from marts.customer_lifecycle_history where valid_to_at is null group by 1")

Belongs here: the copy of what is loaded, the build of the histories and nothing else, and the command that builds a
version in a process of its own, by its own code.
Does not belong here: where versions come from (``versions.py``) and what they are compared by (``changes.py``).

Versions of different age build from one copy. The command line below, the files it leaves and the tables in the copy
are therefore a promise: they may get more, with a default for who does not know it, and never less.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle.build import Build, create_tables, local_midnight_after, write_rules
from lifecycle.errors import LifecycleError
from lifecycle.rules import check_rules
from lifecycle.settings import PROJECT_DIR, LifecycleThresholds, Settings, load_settings
from lifecycle.state import run_lock
from lifecycle.timing import progress
from lifecycle.warehouse import Warehouse, attached, open_duckdb, quoted

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

WANTED = ("customer_lifecycle_history", "segment_history")
"""What a version is compared by; everything it is made of is built too."""

WANTED_IF_THERE = ("customer_scheme_stages",)
"""Models that not every version has."""

DESCRIPTION = "variant.json"
"""What a version says of itself, beside its database: its settings as it reads them."""

_INPUTS = "inputs"
"""The name under which a build sees the copy."""


@dataclass(frozen=True)
class Inputs:
    """A copy of everything that is loaded and of who is who.

    ``as_of`` is the day that the last run was for, ``first_event_at`` (UTC) when its histories begin.
    """

    database: Path
    as_of: date
    first_event_at: datetime | None = None


def copy_inputs(settings: Settings, folder: Path) -> Inputs:
    """Copy what the models read from the company's warehouse into ``folder``, under the lock of a run.

    The warehouse is only read, and free again when the copy is made: builds may take their time.
    Raises LockedError while a run is going on; LifecycleError when nothing is loaded yet, the last run did not get far
    enough to know who is who, or the disk is too small.
    """
    path = settings.state.warehouse
    if not path.exists():
        raise LifecycleError(
            "nothing is loaded yet", where=str(path), remedy="Run the pipeline first: `lifecycle run`."
        )
    folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    _require_room(path, folder)
    copy = folder / f"{_INPUTS}.duckdb"
    limits = settings.warehouse
    with (
        run_lock(settings.state, "comparison"),
        writing_to(folder),
        open_duckdb(
            copy,
            memory_limit=limits.memory_limit,
            threads=limits.threads,
            spill=folder / "spill",
            max_spill=limits.max_spill,
        ) as inputs,
        attached(inputs, path, "loaded"),
    ):
        as_of, first_event_at = _last_run(inputs, path)
        # Tables that a model makes are made again by each version; the others were made by Python.
        made = {model.stem for model in (PROJECT_DIR / "models" / "identity").glob("*.sql")}
        for schema, table in inputs.rows(
            "select schema_name, table_name from duckdb_tables() where database_name = 'loaded'"
            " and schema_name in ('raw', 'identity') order by all"
        ):
            if schema == "raw" or table not in made:
                name = f"{schema}.{quoted(table)}"
                inputs.create_as(name, f"select * from loaded.{name}")
    return Inputs(copy, as_of, first_event_at)


def _last_run(warehouse: Warehouse, path: Path) -> tuple[date, datetime | None]:
    """The day of the run that built the attached warehouse, and when its histories begin."""
    tables = {
        f"{schema}.{table}"
        for schema, table in warehouse.rows(
            "select schema_name, table_name from duckdb_tables() where database_name = 'loaded'"
        )
    }
    day: date | None = None
    if {"ops.build", "ops.gate_results"} <= tables:
        # The marts gate comes after identity: a run that reached it left links for all that it had loaded.
        day = warehouse.scalar(
            "select as_of from loaded.ops.build where run_id in"
            " (select run_id from loaded.ops.gate_results where gate = 'marts')"
        )
    if day is None:
        raise LifecycleError(
            "the last run did not come as far as the marts, so what is loaded does not fit together yet",
            where=str(path),
            remedy="Run the pipeline to its end: `lifecycle run`.",
        )
    history = "marts.customer_lifecycle_history"
    return day, warehouse.scalar(f"select min(valid_from_at) from loaded.{history}") if history in tables else None


def _require_room(warehouse: Path, folder: Path) -> None:
    import shutil

    needed, free = 2 * warehouse.stat().st_size, shutil.disk_usage(folder).free
    if free < needed:
        raise LifecycleError(
            f"the disk has {free / 1e9:.1f} GB free; a copy of what is loaded and two builds need about"
            f" {needed / 1e9:.1f} GB",
            where=str(folder),
            remedy="Make room, or name a state_dir on a larger disk.",
        )


@contextmanager
def comparing_in(settings: Settings, scratch: Path) -> Iterator[Warehouse]:
    """A database in the scratch folder that both sides are attached to, within the company's limits."""
    limits = settings.warehouse
    with open_duckdb(
        scratch / "comparison.duckdb",
        memory_limit=limits.memory_limit,
        threads=limits.threads,
        spill=scratch / "spill",
        max_spill=limits.max_spill,
    ) as warehouse:
        yield warehouse


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """A full disk or an error of the database becomes a message."""
    import duckdb

    try:
        yield
    except (OSError, duckdb.Error) as error:
        raise LifecycleError(
            f"the comparison could not be made: {str(error).splitlines()[0]}",
            where=str(folder),
            remedy="Nothing of the company's own state was changed. Make room or mend the cause, then try again.",
        ) from error


def build_variant(
    settings: Settings,
    into: Path,
    *,
    as_of: date,
    inputs: Inputs | None = None,
    thresholds: LifecycleThresholds | None = None,
    select: Sequence[str] = (),
) -> Path:
    """Build the histories of this checkout's rules into the folder ``into``; returns the database.

    ``inputs`` is what ``copy_inputs`` made; without it, a copy is made in ``into``. ``thresholds`` take the place of
    those of ``settings``. ``select`` names other models to build than ``WANTED``, each with all it is made of. The
    database has ``marts.customer_lifecycle_history``, ``segments.segment_history`` and, where the project has them,
    the tables of ``WANTED_IF_THERE``; and reads the copy, so it serves only while that is there.

    May be called again and again in one process, for one folder after the other.
    Raises LifecycleError when the rules are wrong or a model cannot be built, and what ``copy_inputs`` raises.
    """
    scratch = settings.model_copy(
        update={"state_dir": str(into.resolve()), "lifecycle": thresholds or settings.lifecycle}
    )
    check_rules()
    scratch.state.make()
    copied = inputs or copy_inputs(settings, into)
    build = Build("variant", as_of, local_midnight_after(as_of, settings))
    progress.debug("reading the dbt project")
    from lifecycle.dbt import dbt_environment, invoke, parsed_manifest

    manifest = parsed_manifest()
    with writing_to(into):
        with open_duckdb(scratch.state.warehouse) as warehouse:
            _offer(warehouse, copied.database, manifest)
            create_tables(warehouse)
            warehouse.run("insert into ops.build values (?, ?, ?)", [build.run_id, build.as_of, build.as_of_end])
            write_rules(warehouse, scratch)

        def listen(message: Any) -> None:
            if message.info.name in ("LogModelResult", "LogSeedResult"):
                progress.debug("%s", message.data.node_info.node_name)

        failure = invoke(
            ["build", "--resource-type", "model", "--resource-type", "seed", "--select"]
            + [f"+{model}" for model in _wanted(manifest, select)],
            dbt_environment(scratch, build),
            scratch.state.dbt,
            profiles=_profiles(copied.database, into),
            callbacks=[listen],
        )
    if failure:
        raise LifecycleError(
            failure, where=str(PROJECT_DIR), remedy="Mend the model, rule or seed it names, then try again."
        )
    return scratch.state.warehouse


def _wanted(manifest: Manifest, select: Sequence[str]) -> list[str]:
    there = {node.name for node in manifest.nodes.values() if node.resource_type == "model"}
    return list(select) or [*WANTED, *(model for model in WANTED_IF_THERE if model in there)]


def _profiles(inputs: Path, folder: Path) -> Path:
    """The project's own connection, with the copy beside the database that is built."""
    import yaml

    from lifecycle.dbt import DBT_DIR

    content = yaml.safe_load((DBT_DIR / "profiles.yml").read_text(encoding="utf-8"))
    for project in content.values():
        for output in project["outputs"].values():
            output["attach"] = [{"path": str(inputs.resolve()), "alias": _INPUTS, "read_only": True}]
    profiles = folder / "profiles"
    profiles.mkdir(exist_ok=True)
    (profiles / "profiles.yml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return profiles


def _offer(warehouse: Warehouse, inputs: Path, manifest: Manifest) -> None:
    """Show the copy to the models in the shape that this version's code gives to its tables.

    A table or column that the copy does not have is empty: it came into the contract after the data was loaded.
    """
    from lifecycle.experiments import attribution
    from lifecycle.identity import merges, resolution
    from lifecycle.sources.contract import create_raw_tables_sql

    for statement in create_raw_tables_sql():
        warehouse.run(statement)
    resolution.create_tables(warehouse)
    merges.create_tables(warehouse)
    # The histories do not read it: a model that does finds it empty.
    attribution.create_tables(warehouse)
    with attached(warehouse, inputs, _INPUTS):
        columns = _columns(warehouse, _INPUTS)
        own = _columns(warehouse, warehouse.path.stem)
        for source in manifest.sources.values():
            table = (source.schema, source.identifier)
            if source.schema == "ops" or table not in columns:
                continue
            shape = own.get(table, columns[table])
            chosen = ", ".join(
                (f"cast({quoted(name)} as {type_})" if name in columns[table] else f"cast(null as {type_})")
                + f" as {quoted(name)}"
                for name, type_ in shape.items()
            )
            address = ".".join(quoted(part) for part in table)
            warehouse.run(f"drop table if exists {address}")
            warehouse.run(f"create view {address} as select {chosen} from {_INPUTS}.{address}")


def _columns(warehouse: Warehouse, database: str) -> dict[tuple[str, str], dict[str, str]]:
    """Schema and table → column → type, of the tables of a database."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for schema, table, column, type_ in warehouse.rows(
        "select schema_name, table_name, column_name, data_type from duckdb_columns() semi join duckdb_tables()"
        " using (database_name, schema_name, table_name) where database_name = ? order by column_index",
        [database],
    ):
        found.setdefault((schema, table), {})[column] = type_
    return found


def describe(settings: Settings, folder: Path) -> None:
    """Write down, beside a version's database, the settings that can make a difference to the histories."""
    content = {
        "settings": {
            "timezone": settings.timezone,
            "currency": settings.currency,
            "lifecycle": settings.lifecycle.model_dump(mode="json"),
            "survivorship": settings.identity.survivorship.model_dump(mode="json"),
        }
    }
    (folder / DESCRIPTION).write_text(json.dumps(content, indent=1), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Build a version by the code of the folder this is started in; a line of output per thing that is done."""
    parser = argparse.ArgumentParser(prog="python -m lifecycle.comparison.variant", description=main.__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the lifecycle.yml whose settings are used")
    parser.add_argument("--inputs", type=Path, required=True, help="the copy of what is loaded")
    parser.add_argument("--as-of", type=date.fromisoformat, required=True, help="the day to build for")
    parser.add_argument("--into", type=Path, required=True, help="the folder to build in")
    given = parser.parse_args(arguments)
    handler = logging.StreamHandler(sys.stdout)
    progress.addHandler(handler)
    progress.setLevel(logging.DEBUG)
    progress.propagate = False
    try:
        settings = load_settings(given.config)
        given.into.mkdir(parents=True, exist_ok=True, mode=0o750)
        describe(settings, given.into)
        build_variant(settings, given.into, as_of=given.as_of, inputs=Inputs(given.inputs, given.as_of))
    except LifecycleError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return error.exit_code
    finally:
        progress.removeHandler(handler)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
