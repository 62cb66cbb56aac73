"""A past day, built away from what is published and delivered.

Belongs here: the scratch state of such a build: making it out of what is loaded already, and removing it.
Does not belong here: how a day limits what the models see (``models/staging``).
"""

from __future__ import annotations

import shutil
from datetime import date, datetime

from lifecycle.build import resolve_day, today
from lifecycle.errors import SettingsError
from lifecycle.settings import Settings
from lifecycle.sources import intake
from lifecycle.state import run_lock
from lifecycle.warehouse import literal, open_warehouse

COPIED_SCHEMAS = ("raw", "quarantine")
COPIED_TABLES = ("ops.batches",)


def is_past(settings: Settings, day: date, now: datetime) -> bool:
    """Whether ``day`` lies before the day that an ordinary run would be for.

    Raises SettingsError for a day that is still to come. While nothing is loaded ``latest`` is not known: every day is
    past then, so that a first run never delivers lists of an old day.
    """
    if day > today(settings, now):
        raise SettingsError(
            f"{day} has not come yet; today is {today(settings, now)} in {settings.timezone}",
            where="--as-of",
            remedy="Name a day that is over.",
        )
    if settings.as_of != "latest":
        return day < resolve_day(settings, latest=day, now=now)
    if not settings.state.warehouse.exists():
        return True
    with run_lock(settings.state, "past day"), open_warehouse(settings, read_only=True) as warehouse:
        if not warehouse.has_table("raw.orders"):
            return True
        return day < intake.latest_day(warehouse, settings, now)


def scratch_settings(settings: Settings, day: date) -> Settings:
    """The settings of the scratch build of a past day."""
    return settings.model_copy(update={"as_of": day.isoformat(), "state_dir": str(settings.state.scratch(day).root)})


def copy_loaded(settings: Settings, scratch: Settings) -> None:
    """Start the scratch state from what is loaded already, so that only files that are new since are read."""
    remove(scratch)
    scratch.state.make()
    if not settings.state.warehouse.exists():
        return
    with run_lock(settings.state, "past day"), open_warehouse(scratch) as warehouse:
        warehouse.run(f"attach {literal(str(settings.state.warehouse))} as loaded (read_only)")
        tables = warehouse.rows(
            "select schema_name, table_name from duckdb_tables() where database_name = 'loaded' order by 1, 2"
        )
        for schema, table in tables:
            if schema in COPIED_SCHEMAS or f"{schema}.{table}" in COPIED_TABLES:
                warehouse.create_as(f"{schema}.{table}", f"select * from loaded.{schema}.{table}")
        warehouse.run("detach loaded")
    if settings.state.hash_key_file.exists():
        shutil.copy2(settings.state.hash_key_file, scratch.state.hash_key_file)


def remove(scratch: Settings) -> None:
    shutil.rmtree(scratch.state.root, ignore_errors=True)
