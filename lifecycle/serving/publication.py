"""Publications: what BI tools and syncs read, one folder per run behind one symlink.

Belongs here: the list of public tables, writing them, swapping, keeping and rolling back.
Does not belong here: judging them (``quality/``) or building them (``models/``).

Nothing is ever changed in place. A publication is written beside the others, closed, fsynced and renamed; only then
does the symlink ``serving/current`` move. A reader that opens ``serving/lifecycle.duckdb`` therefore reads one run, and
goes on reading it for as long as it keeps the file open.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle.errors import LifecycleError
from lifecycle.publishing.ledger import SCHEMA as LEDGER_SCHEMA
from lifecycle.publishing.ledger import SYNC_MEMBERS, SYNC_RUNS, attach_ledger, utc
from lifecycle.state import State, run_lock
from lifecycle.warehouse import SERVING_STORAGE_VERSION, Warehouse, literal, quoted

if TYPE_CHECKING:
    from lifecycle.settings import Settings

PUBLIC_FILE = "lifecycle.duckdb"
PII_FILE = "lifecycle_pii.duckdb"
KEPT = 3
"""Publications that stay; older ones are removed."""


@dataclass(frozen=True)
class PublishedTable:
    """A table that may be published. ``keys`` order its rows, so that equal content is written equally.

    ``hashed`` are columns whose values are replaced by keyed hashes, each with the text that is hashed. ``ledger`` is
    the query of a table that comes from the ledger, not from the build.
    """

    name: str
    keys: str
    hashed: Mapping[str, str] = field(default_factory=dict)
    ledger: str | None = None

    @property
    def schema(self) -> str:
        return self.name.split(".")[0]

    @property
    def in_parquet(self) -> bool:
        """Operational tables carry run ids and times: as files they would differ between equal runs."""
        return self.schema != "ops"


RECORD = "concat_ws(chr(31), record_table, source_system, record_id)"
"""What is hashed of a record: wherever the same record is named, the hash is the same."""

PUBLIC = (
    PublishedTable("marts.customer_360", "customer_id"),
    PublishedTable("marts.customer_timeline", "customer_id, occurred_at, event_id"),
    PublishedTable("marts.customer_lifecycle_history", "customer_id, valid_from_at, stage"),
    PublishedTable("marts.lifecycle_transitions", "customer_id, moved_at, to_stage"),
    PublishedTable("marts.customer_scheme_stages", "customer_id, scheme"),
    PublishedTable("marts.lifecycle_stage_daily", "stage_date, scheme, stage"),
    PublishedTable("marts.lifecycle_stage_flows", "from_stage, to_stage"),
    PublishedTable("marts.lifecycle_stage_survival", "stage, day_number"),
    PublishedTable("marts.lifecycle_bottlenecks", "stage"),
    PublishedTable("marts.calendar_days", "calendar_date"),
    PublishedTable("marts.acquisition_monthly", "acquisition_month, channel, campaign_id"),
    PublishedTable("marts.acquisition_cost_monthly", "acquisition_month"),
    PublishedTable("marts.lead_cohorts_monthly", "cohort_month, acquisition_channel"),
    PublishedTable("marts.value_cohorts", "cohort_month, month_number"),
    PublishedTable("marts.activation_cohorts", "cohort_month, acquisition_channel"),
    PublishedTable("marts.onboarding_monthly", "cohort_month"),
    PublishedTable("marts.onboarding_steps_monthly", "cohort_month, step_name"),
    PublishedTable("marts.customer_balance_monthly", "balance_month"),
    PublishedTable("marts.customer_balance_by_group_monthly", "balance_month, persona, acquisition_channel"),
    PublishedTable("marts.mrr_movements_monthly", "mrr_month"),
    PublishedTable("marts.revenue_monthly", "revenue_month"),
    PublishedTable("marts.retention_cohorts_monthly", "cohort_month, month_number"),
    PublishedTable("marts.purchase_frequency_monthly", "frequency_month"),
    PublishedTable("marts.second_orders", "dimension, dimension_value"),
    PublishedTable("marts.expansion_revenue_monthly", "expansion_month"),
    PublishedTable("marts.product_popularity_monthly", "popularity_month, product_id"),
    PublishedTable("marts.funnel_steps_monthly", "funnel_month, funnel_name, step_number"),
    PublishedTable("marts.abandonment_monthly", "abandonment_month, abandonment_kind"),
    PublishedTable("marts.attribution_conversions", "source_system, order_id, channel, campaign_id"),
    PublishedTable("marts.attribution_monthly", "attribution_month, attribution_model, channel, campaign_id"),
    PublishedTable("marts.attribution_removal_effects", "channel, campaign_id"),
    PublishedTable("marts.engagement_monthly", "engagement_month"),
    PublishedTable("marts.email_engagement_monthly", "sent_month, campaign_id"),
    PublishedTable("marts.message_engagement_monthly", "sent_month, channel"),
    PublishedTable("marts.message_response_by_stage", "lifecycle_stage, channel, campaign_purpose"),
    PublishedTable("marts.list_health_monthly", "list_month, channel, purpose"),
    PublishedTable("marts.feature_usage_monthly", "usage_month, feature_name"),
    PublishedTable("marts.product_usage_monthly", "usage_month"),
    PublishedTable("marts.engagement_index_distribution", "lifecycle_stage, index_from"),
    PublishedTable("marts.reach_current", "lifecycle_stage, channel"),
    PublishedTable("marts.money_at_risk", "lifecycle_stage, value_group, risk_reason"),
    PublishedTable("marts.experience_monthly", "experience_month, survey_kind, survey_basis"),
    PublishedTable("marts.satisfaction_trend_monthly", "trend_month, survey_kind, survey_basis"),
    PublishedTable("marts.advocacy_monthly", "advocacy_month"),
    PublishedTable("marts.support_monthly", "support_month, ticket_channel"),
    PublishedTable("marts.support_total_monthly", "support_month"),
    PublishedTable("marts.support_agents_monthly", "solved_month, id_namespace, agent_id"),
    PublishedTable("marts.contact_reasons_monthly", "contact_month, contact_reason, product_id"),
    PublishedTable("marts.contact_volume_hourly", "contact_kind, contact_channel, weekday_number, hour_number"),
    PublishedTable("marts.deflection_monthly", "deflection_month, session_kind"),
    PublishedTable("marts.kpi_values", "metric_name, value_month, dimension, dimension_value"),
    PublishedTable("marts.kpi_scorecard", "kpi, kpi_month, dimension, dimension_value"),
    PublishedTable(
        "identity.customer_links",
        "source_system, record_table, record_id",
        hashed={
            "record_id": RECORD,
            "matched_record_id": "concat_ws(chr(31), 'contacts', matched_source_system, matched_record_id)",
        },
    ),
    PublishedTable("identity.customer_merges", "previous_customer_id, customer_id, changed_as_of, change_kind"),
    PublishedTable(
        "identity.scored_pairs",
        "left_source_system, left_record_id, right_source_system, right_record_id",
        hashed={
            f"{side}_record_id": f"concat_ws(chr(31), 'contacts', {side}_source_system, {side}_record_id)"
            for side in ("left", "right")
        },
    ),
    PublishedTable(
        "identity.blocked_identifiers",
        "identifier_kind, identifier_value, reason",
        hashed={"identifier_value": "concat_ws(chr(31), identifier_kind, identifier_value)"},
    ),
    PublishedTable("identity.decision_outcomes", "source_system, decision_id"),
    PublishedTable("identity.link_rules", "link_rule, source_system, record_table"),
    PublishedTable("identity.cluster_sizes", "contact_record_count"),
    PublishedTable("segments.segment_members", "segment_name, customer_id"),
    PublishedTable("segments.segment_history", "segment_name, customer_id, valid_from_at"),
    PublishedTable("segments.segment_monthly", "segment_month, segment_name"),
    PublishedTable("ops.run_log", "all"),
    PublishedTable("ops.gate_results", "run_id, gate, check_name, table_name"),
    PublishedTable("ops.batches", "batch_id"),
    PublishedTable("ops.sync_runs", "sync_run_id", ledger=SYNC_RUNS),
    PublishedTable("ops.sync_members", "sync_run_id, customer_id", ledger=SYNC_MEMBERS),
)
"""Everything in ``lifecycle.duckdb`` but ``ops.published`` and ``ops.source_freshness``, which are made here."""

PII = (
    PublishedTable("marts.customer_contacts", "customer_id, identifier_kind, identifier_value, source_system"),
    PublishedTable("identity.customer_links", "source_system, record_table, record_id"),
    PublishedTable("identity.customer_merges", "previous_customer_id, customer_id, changed_as_of, change_kind"),
    PublishedTable("identity.scored_pairs", "left_source_system, left_record_id, right_source_system, right_record_id"),
    PublishedTable("identity.blocked_identifiers", "identifier_kind, identifier_value, reason"),
)
"""Everything in ``lifecycle_pii.duckdb``."""


@dataclass(frozen=True)
class TableFacts:
    """One published table: which file it is in, its rows, and the SHA-256 of its content as Parquet in key order."""

    file_name: str
    table_name: str
    row_count: int
    digest: str


@dataclass(frozen=True)
class Publication:
    run_id: str
    as_of: date
    published_at: datetime
    folder: Path
    is_current: bool
    tables: tuple[TableFacts, ...]

    @property
    def database(self) -> Path:
        return self.folder / PUBLIC_FILE

    @property
    def pii_database(self) -> Path:
        return self.folder / PII_FILE

    @property
    def parquet(self) -> Path:
        return self.folder / "parquet"


def build_publication(
    warehouse: Warehouse,
    settings: Settings,
    *,
    run_id: str,
    as_of: date,
    published_at: datetime,
    state: State | None = None,
    as_of_only: bool = False,
) -> Publication:
    """Publish the tables that ``warehouse`` holds, if the run's marts gate passed.

    ``state`` is where the serving folder is (default: the settings' own). With ``as_of_only`` the publication goes to
    ``serving/as-of/<date>`` and the current one stays. The same run may be published again.

    Raises GateStoppedError without passing verdicts of this run, LifecycleError when a table is missing, a public
    table has a column of direct identifiers, or the disk does not take it. The previous publication then stays.
    """
    from lifecycle.quality.gate import demand_verdict

    state = state or settings.state
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}", run_id):
        raise LifecycleError(f"'{run_id}' cannot name a publication", remedy="Use letters, digits, '-' and '_'.")
    demand_verdict(warehouse, run_id, "marts")
    _require_tables(warehouse)
    # A past day is built under the lock of its own scratch state.
    with run_lock(state.scratch(as_of) if as_of_only else state, run_id):
        shelf = state.serving / "as-of" / ".builds" if as_of_only else state.serving / "runs"
        name = f"{as_of.isoformat()}.{run_id}" if as_of_only else run_id
        link = state.serving / "as-of" / as_of.isoformat() if as_of_only else state.serving / "current"
        _make_folder(shelf)
        _clear_leftovers(shelf, as_of.isoformat() if as_of_only else "")
        target = _free_name(shelf, name, link)
        building = shelf / f".building.{target.name}"
        with _writing_errors(building):
            building.mkdir(mode=0o750)
            tables = _write(warehouse, settings, building, run_id=run_id, as_of=as_of, published_at=utc(published_at))
            _write_manifest(building, run_id, as_of, utc(published_at), tables)
            _fsync_tree(building)
            building.rename(target)
            _fsync(shelf)
            _point(link, target)
        if not as_of_only:
            for file_name in (PUBLIC_FILE, PII_FILE):
                if not (state.serving / file_name).is_symlink():
                    _point(state.serving / file_name, state.serving / "current" / file_name)
        publication = _load(target, is_current=not as_of_only)
        _prune(state, shelf, target, as_of.isoformat() if as_of_only else None)
    return publication


def publications(state: State) -> list[Publication]:
    """All publications that can be read or rolled back to, newest first."""
    shelf = state.serving / "runs"
    served = _served(state.serving / "current")
    found = [
        _load(folder, is_current=folder.name == served)
        for folder in (shelf.iterdir() if shelf.is_dir() else ())
        if not folder.name.startswith(".") and (folder / "manifest.json").is_file()
    ]
    return sorted(found, key=lambda publication: (publication.published_at, publication.folder.name), reverse=True)


def current(state: State) -> Publication | None:
    """The publication that readers see, or None before the first."""
    served = _served(state.serving / "current")
    return _load(state.serving / "runs" / served, is_current=True) if served else None


def past_publication(state: State, day: date) -> Publication | None:
    """What was published beside for a past day, or None."""
    folder = state.serving / "as-of" / day.isoformat()
    return _load(folder, is_current=False) if (folder / "manifest.json").is_file() else None


def rollback(state: State, run_id: str | None = None) -> Publication:
    """Show the named publication again, or the one before the current.

    Raises LifecycleError when there is none.
    """
    with run_lock(state, "rollback"):
        known = publications(state)
        names = ", ".join(publication.run_id for publication in known) or "none"
        if run_id is None:
            served = next((index for index, publication in enumerate(known) if publication.is_current), None)
            candidates = known[served + 1 :] if served is not None else known
        else:
            candidates = [publication for publication in known if publication.run_id == run_id]
        if not candidates:
            raise LifecycleError(
                f"there is no publication '{run_id}'" if run_id else "there is no earlier publication to go back to",
                where=str(state.serving / "runs"),
                remedy=f"Kept are the last {KEPT}: {names}.",
            )
        _point(state.serving / "current", candidates[0].folder)
        return _load(candidates[0].folder, is_current=True)


def _require_tables(warehouse: Warehouse) -> None:
    """Every table is there, and no public one has a column that says directly who somebody is."""
    from lifecycle.sources.contract import TABLES

    columns: dict[str, set[str]] = {}
    for table, column in warehouse.rows(
        "select schema_name || '.' || table_name, column_name from duckdb_columns()"
        " where database_name = current_database()"
    ):
        columns.setdefault(table, set()).add(column)
    wanted = {table.name for table in (*PUBLIC, *PII) if table.ledger is None} | {f"raw.{name}" for name in TABLES}
    missing = sorted(wanted - columns.keys())
    if missing:
        raise LifecycleError(
            f"the build lacks {', '.join(missing)}",
            where=str(warehouse.path),
            remedy="Run the whole pipeline (`lifecycle run`); a part of it cannot be published.",
        )
    exposed = sorted(
        f"{table.name}.{column}" for table in PUBLIC for column in columns.get(table.name, set()) & direct_identifiers()
    )
    if exposed:
        raise LifecycleError(
            f"public tables hold direct identifiers: {', '.join(exposed)}",
            where=str(warehouse.path),
            remedy="Take the columns out of the models; identifiers belong in marts.customer_contacts alone.",
        )


def direct_identifiers() -> frozenset[str]:
    """Names of columns that say directly who somebody is, as the input contract tags them."""
    from lifecycle.sources.contract import TABLES

    return frozenset(column.name for table in TABLES.values() for column in table.columns if column.pii)


def _write(
    warehouse: Warehouse, settings: Settings, folder: Path, *, run_id: str, as_of: date, published_at: datetime
) -> list[TableFacts]:
    """Both databases and the Parquet files into ``folder``."""
    (folder / "parquet").mkdir(mode=0o750)
    tables: list[TableFacts] = []
    with _ledger(warehouse, settings.state.ledger) as ledger:
        for file_name, mode, declared in ((PUBLIC_FILE, 0o444, PUBLIC), (PII_FILE, 0o640, PII)):
            facts: list[TableFacts] = []
            with _new_database(warehouse, folder / file_name) as catalog:
                for table in declared:
                    _copy_table(warehouse, settings, catalog, table, ledger)
                    keep = file_name == PUBLIC_FILE and table.in_parquet
                    facts.append(_facts(warehouse, catalog, file_name, table.name, folder / "parquet", keep=keep))
                if file_name == PUBLIC_FILE:
                    _create(warehouse, f"{catalog}.ops.source_freshness", _freshness_sql())
                    facts.append(
                        _facts(warehouse, catalog, file_name, "ops.source_freshness", folder / "parquet", keep=False)
                    )
                _write_published(warehouse, catalog, facts, run_id=run_id, as_of=as_of, published_at=published_at)
            (folder / file_name).chmod(mode)
            tables += facts
    return tables


@contextmanager
def _new_database(warehouse: Warehouse, path: Path) -> Iterator[str]:
    """A new DuckDB file that DuckDB 1.x can read, attached while it is written. Gives its catalog name."""
    catalog = f"publication_{path.stem}"
    warehouse.run(f"attach {literal(str(path))} as {catalog} (storage_version '{SERVING_STORAGE_VERSION}')")
    try:
        yield catalog
        warehouse.run(f"checkpoint {catalog}")
    finally:
        warehouse.run(f"detach {catalog}")


@contextmanager
def _ledger(warehouse: Warehouse, path: Path) -> Iterator[str]:
    """The ledger's tables for reading; empty ones of the same types when nothing was ever delivered.

    Gives the prefix of their names.
    """
    if path.exists():
        attach_ledger(warehouse, path, "publication_ledger")
    else:
        warehouse.run("attach ':memory:' as publication_ledger")
    try:
        if not path.exists():
            warehouse.run(LEDGER_SCHEMA.replace("if not exists ", "if not exists publication_ledger.main."))
        yield "publication_ledger.main."
    finally:
        warehouse.run("detach publication_ledger")


def _copy_table(warehouse: Warehouse, settings: Settings, catalog: str, table: PublishedTable, ledger: str) -> None:
    """One table in the order of its keys, with its comments."""
    target = f"{catalog}.{table.name}"
    parameters: list[Any] = []
    if table.ledger is not None:
        source = f"({table.ledger.format(ledger=ledger)})"
    elif table.hashed:
        from lifecycle.settings import Environment

        key = settings.state.hash_key(Environment().hash_key)
        replaced = ", ".join(
            f"case when {quoted(column)} is not null then {keyed_hash(text)} end as {quoted(column)}"
            for column, text in table.hashed.items()
        )
        source = f"(select * replace ({replaced}) from {table.name})"
        parameters = keyed_hash_parameters(key, "identity.customer_links") * len(table.hashed)
    else:
        source = table.name
    _create(warehouse, target, f"select * from {source} order by {table.keys}", parameters)
    if table.ledger is None:
        _copy_comments(warehouse, target, table.name)


def keyed_hash(expression: str) -> str:
    """SQL of HMAC-SHA-256 (RFC 2104) over a text; takes the two parameters of ``keyed_hash_parameters``."""
    return f"sha256(?::blob || unhex(sha256(?::blob || encode({expression}))))"


def keyed_hash_parameters(key: bytes, purpose: str) -> list[bytes]:
    """The outer and inner pad of a key made for one purpose, so that hashes of two purposes cannot be joined."""
    derived = hmac.new(key, purpose.encode(), hashlib.sha256).digest().ljust(64, b"\0")
    return [bytes(byte ^ 0x5C for byte in derived), bytes(byte ^ 0x36 for byte in derived)]


def _create(warehouse: Warehouse, target: str, sql: str, parameters: list[Any] | None = None) -> None:
    warehouse.run(f"create schema if not exists {target.rsplit('.', 1)[0]}")
    warehouse.run(f"create table {target} as {sql}", parameters)


def _copy_comments(warehouse: Warehouse, target: str, source: str) -> None:
    """Descriptions travel with the table: BI tools show them."""
    schema, name = source.split(".")
    for column, comment in warehouse.rows(
        "select column_name, comment from duckdb_columns() where database_name = current_database()"
        " and schema_name = ? and table_name = ? and comment is not null",
        [schema, name],
    ):
        warehouse.run(f"comment on column {target}.{quoted(column)} is {literal(comment)}")


def _facts(warehouse: Warehouse, catalog: str, file_name: str, table: str, parquet: Path, *, keep: bool) -> TableFacts:
    """Count a written table and digest it; its Parquet file stays where it is public."""
    path = parquet / (f"{table}.parquet" if keep else ".digested.parquet")
    warehouse.run(f"copy {catalog}.{table} to {literal(str(path))} (format parquet, compression zstd)")
    digest = _sha256(path)
    if keep:
        path.chmod(0o444)
    else:
        path.unlink()
    return TableFacts(file_name, table, warehouse.scalar(f"select count(*) from {catalog}.{table}"), digest)


def _freshness_sql() -> str:
    """What is the latest that each source brought. An event dated after its own loading says nothing about that."""
    from lifecycle.sources.contract import TABLES

    parts = []
    for name, table in TABLES.items():
        event_at = f"{quoted(table.event_at)}::timestamp" if table.event_at else "null::timestamp"
        parts.append(
            f"select source_system, {literal(name)} as table_name,"
            f" max({event_at}) filter (where {event_at} <= loaded_at) as latest_event_at,"
            f" max(loaded_at) as latest_loaded_at from raw.{quoted(name)} group by source_system"
        )
    return f"select * from ({' union all '.join(parts)}) order by source_system, table_name"


def _write_published(
    warehouse: Warehouse, catalog: str, facts: list[TableFacts], *, run_id: str, as_of: date, published_at: datetime
) -> None:
    warehouse.run(f"create schema if not exists {catalog}.ops")
    warehouse.run(
        f"create table {catalog}.ops.published (run_id varchar, as_of date, published_at timestamp,"
        " table_name varchar, row_count bigint, digest varchar)"
    )
    warehouse.connection.executemany(
        f"insert into {catalog}.ops.published values (?, ?, ?, ?, ?, ?)",
        [
            [run_id, as_of, published_at, fact.table_name, fact.row_count, fact.digest]
            for fact in sorted(facts, key=lambda fact: fact.table_name)
        ],
    ).fetchall()


def _write_manifest(folder: Path, run_id: str, as_of: date, published_at: datetime, tables: list[TableFacts]) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    content = {
        "run_id": run_id,
        "as_of": as_of.isoformat(),
        "published_at": published_at.replace(tzinfo=UTC).isoformat(),
        "tables": [
            {
                "file_name": table.file_name,
                "table_name": table.table_name,
                "row_count": table.row_count,
                "digest": table.digest,
            }
            for table in tables
        ],
        "files": {
            str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": _sha256(path)} for path in files
        },
    }
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    manifest.chmod(0o444)


def _load(folder: Path, *, is_current: bool) -> Publication:
    content = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return Publication(
        run_id=content["run_id"],
        as_of=date.fromisoformat(content["as_of"]),
        published_at=datetime.fromisoformat(content["published_at"]),
        folder=folder,
        is_current=is_current,
        tables=tuple(TableFacts(**table) for table in content["tables"]),
    )


def _served(link: Path) -> str | None:
    """The name of the folder that a symlink shows."""
    return link.readlink().name if link.is_symlink() else None


def _make_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o750)


def _free_name(shelf: Path, name: str, link: Path) -> Path:
    """Where this publication goes. A folder that is being read is never replaced, so a retry gets a number."""
    target, attempt = shelf / name, 1
    while target.exists():
        if target.name != _served(link):
            _remove(target)
            break
        attempt += 1
        target = shelf / f"{name}.{attempt}"
    return target


def _clear_leftovers(shelf: Path, day: str) -> None:
    """Remove what killed runs left half-written or half-removed (of one day only, where days are built apart)."""
    for folder in shelf.glob(".*"):
        if folder.name.startswith((f".building.{day}", f".removed.{day}")):
            shutil.rmtree(folder)


def _prune(state: State, shelf: Path, published: Path, day: str | None) -> None:
    """Keep the last publications, the current one whatever its age, and one per run and past day."""
    if day is not None:
        stale = [folder for folder in shelf.glob(f"{day}.*") if folder != published]
    else:
        known = publications(state)
        kept = {_load(published, is_current=True).run_id: published}
        for publication in known:
            if len(kept) < KEPT:
                kept.setdefault(publication.run_id, publication.folder)
        stale = [publication.folder for publication in known if publication.folder not in kept.values()]
    for folder in stale:
        _remove(folder)


def _remove(folder: Path) -> None:
    """Take a publication away; it disappears at once, whatever happens while its files are deleted."""
    removed = folder.with_name(f".removed.{folder.name}")
    folder.rename(removed)
    shutil.rmtree(removed)


def _point(link: Path, target: Path) -> None:
    """Make ``link`` a relative symlink to ``target``, in one step."""
    link.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    temporary = link.with_name(f".{link.name}.next")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(os.path.relpath(target, link.parent))
    temporary.replace(link)
    _fsync(link.parent)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fsync_tree(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        _fsync(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _writing_errors(building: Path) -> Iterator[None]:
    """A full disk or a database error becomes a message; the half-written folder goes away."""
    import duckdb

    try:
        yield
    except (OSError, duckdb.Error) as error:
        shutil.rmtree(building, ignore_errors=True)
        raise LifecycleError(
            f"the publication could not be written: {str(error).splitlines()[0]}",
            where=str(building.parent),
            remedy="The previous publication stays. Make room or mend the cause, then run again.",
        ) from error
