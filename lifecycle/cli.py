"""The command line: what a person types, and what they read.

Belongs here: options, progress, tables and messages. Everything a command does lives in the package beside.
Heavy imports happen inside the commands: ``lifecycle --help`` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lifecycle.errors import EXIT_ERROR, LifecycleError

if TYPE_CHECKING:
    from rich.console import Console

    from lifecycle.publishing.apply import DeliveryAttempt
    from lifecycle.publishing.work import Delivery
    from lifecycle.settings import Settings
    from orchestration.execution import Outcome

app = typer.Typer(
    name="lifecycle",
    help="Customer lifecycle management as code: customer 360, lifecycle stages, metric marts and audience lists.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
publish_app = typer.Typer(invoke_without_command=True)
quarantine_app = typer.Typer(help="Rows that could not be read: look at them, try them again.", no_args_is_help=True)
publication_app = typer.Typer(help="What readers see: the last publications, and going back.", no_args_is_help=True)
identity_app = typer.Typer(
    help="Decide who is the same person, and see what waits to be decided.", no_args_is_help=True
)
metrics_app = typer.Typer(help="Metrics by name: which there are, what they mean, their figures.", no_args_is_help=True)
destinations_app = typer.Typer(
    help="Where lists can go: kinds, settings, and whether the company's own are ready.", no_args_is_help=True
)
app.add_typer(publish_app, name="publish")
app.add_typer(destinations_app, name="destinations")
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(publication_app, name="publication")
app.add_typer(identity_app, name="identity")
app.add_typer(metrics_app, name="metrics")

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The company's lifecycle.yml; default: the one LIFECYCLE_CONFIG names."),
]
READABLE = 100
"""Columns of what is read as text."""


class OutputFormat(StrEnum):
    TABLE = "table"
    MARKDOWN = "markdown"


class FigureFormat(StrEnum):
    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    MARKDOWN = "markdown"


FormatOption = Annotated[
    FigureFormat,
    typer.Option("--format", help="table to read; csv and json carry plain figures; markdown for a pull request."),
]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show where in the code an error arose.")]


def main() -> None:
    """Run a command; an error that a person can mend is a message, never a traceback (unless --debug)."""
    try:
        app()
    except LifecycleError as error:
        if "--debug" in sys.argv:
            raise
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        raise SystemExit(error.exit_code) from None
    except ModuleNotFoundError as error:
        if "--debug" in sys.argv:
            raise
        print(f"error: {_missing(error.name)}", file=sys.stderr)  # noqa: T201
        raise SystemExit(EXIT_ERROR) from None
    except KeyboardInterrupt:
        print("stopped; what was published before stays as it is", file=sys.stderr)  # noqa: T201
        raise SystemExit(EXIT_ERROR) from None


def _missing(package: str | None) -> LifecycleError:
    return LifecycleError(
        f"the package '{package}' is not installed", remedy="Install what requirements.lock names: make setup."
    )


def _settings(config: Path | None) -> Settings:
    from lifecycle.settings import load_settings

    return load_settings(config)


def _console(piped_width: int | None = None) -> Console:
    """Where output goes; ``piped_width`` is how wide it is where there is no terminal (rich's own: 80 columns)."""
    from rich.console import Console

    console = Console(highlight=False)
    if piped_width is not None and not console.is_terminal:
        console.width = piped_width
    return console


@contextmanager
def _progress(console: Console) -> Iterator[None]:
    """Show what is being done: a moving line on a terminal, a line per stage in a log."""
    import logging
    import time

    from lifecycle.timing import progress

    started = time.monotonic()
    status = console.status("starting") if console.is_terminal else None

    class Show(logging.Handler):
        stage = ""

        def emit(self, record: logging.LogRecord) -> None:
            message = record.getMessage()
            if status is not None:
                if record.levelno >= logging.INFO:
                    self.stage = message
                    console.print(f"[dim]{time.monotonic() - started:6.1f} s[/dim]  {message}")
                detail = "" if message == self.stage else f"  [dim]{message}[/dim]"
                status.update(f"{self.stage}{detail}")
            elif record.levelno >= logging.INFO:
                console.print(f"{time.monotonic() - started:6.1f} s  {message}")

    handler = Show()
    progress.addHandler(handler)
    progress.setLevel(logging.DEBUG)
    progress.propagate = False
    try:
        if status is not None:
            status.start()
        yield
    finally:
        if status is not None:
            status.stop()
        progress.removeHandler(handler)


def _day(text: str | None, option: str = "--as-of") -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise LifecycleError(
            f"'{text}' is no day", where=option, remedy="Write it as year-month-day, for example 2017-06-30."
        ) from None


@app.command()
def run(
    config: ConfigOption = None,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", help="Compute everything as of the end of this day; a past day is published beside."),
    ] = None,
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Forget what was loaded and read every file again.")
    ] = False,
    select: Annotated[
        str | None, typer.Option("--select", "-s", help="Only these assets, in Dagster's selection syntax.")
    ] = None,
    debug: DebugOption = False,
) -> None:
    """Run the whole flow: sources to lists, every gate included.

    Exit code 0: published. 3: a gate stopped it, or stopped a list. 1: an error; the last publication stays.

    Example: lifecycle run --config examples/demo/lifecycle.yml --as-of 2025-06-30
    """
    console = _console()
    settings = _settings(config)
    with _progress(console):
        from orchestration.execution import execute

        outcome = execute(settings, as_of=_day(as_of), full_refresh=full_refresh, select=select, debug=debug)
    _show_outcome(console, settings, outcome)
    raise typer.Exit(outcome.exit_code)


def _show_outcome(console: Console, settings: Settings, outcome: Outcome) -> None:
    from lifecycle.serving.publication import current, past_publication
    from lifecycle.serving.summary import summarize

    published = (
        past_publication(settings.state, outcome.as_of)
        if outcome.is_past_day and outcome.as_of
        else current(settings.state)
    )
    is_new = published is not None and published.run_id == outcome.run_id
    if published is not None and is_new:
        _show_summary(console, summarize(published, settings), settings, outcome)
    if outcome.stopped:
        console.print()
        for stopped in outcome.stopped:
            console.print(
                f"[red]stopped[/red]  {stopped.asset} ({stopped.check}): {stopped.description}", soft_wrap=True
            )
    for error in outcome.errors:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
    if outcome.exit_code and not is_new:
        console.print()
        if published is not None:
            console.print(
                f"Nothing was published. The publication of run {published.run_id}, as of {published.as_of}, stays."
            )
        else:
            console.print("Nothing was published.")


def _show_summary(console: Console, summary: Any, settings: Settings, outcome: Outcome) -> None:
    from rich.table import Table

    console.print()
    console.print(f"[bold]{settings.project}[/bold] as of {summary.as_of}, run {summary.run_id}")
    console.print(
        f"{summary.customer_count:,} people · {summary.order_count:,} orders"
        f" · net revenue {summary.net_revenue_amount:,.2f} {summary.currency}"
        + (
            f" · {summary.unidentified_order_count:,} orders of nobody known"
            if summary.unidentified_order_count
            else ""
        )
    )
    if summary.likeness_count or summary.review_pair_count:
        console.print(
            f"{summary.contact_record_count:,} contact records, {summary.likeness_count:,} of them joined by likeness"
            f" · {summary.review_pair_count:,} pairs to look at: lifecycle identity review"
        )
    console.print(
        f"loaded so far: {summary.received_count:,} rows received, {summary.loaded_count:,} loaded,"
        f" {summary.quarantined_count:,} in quarantine"
    )
    stages = Table(title="Lifecycle stages", title_justify="left", box=None, pad_edge=False)
    stages.add_column("stage")
    stages.add_column("people", justify="right")
    stages.add_column("share", justify="right")
    for name, count in summary.stages:
        stages.add_row(name, f"{count:,}", f"{count / summary.customer_count:.1%}")
    console.print()
    console.print(stages)
    segments = Table(title="Segments", title_justify="left", box=None, pad_edge=False)
    segments.add_column("segment")
    segments.add_column("members", justify="right")
    segments.add_column("gate")
    segments.add_column("lists")
    sent = {delivery.sync_name: delivery for delivery in outcome.deliveries}
    for name, count, verdict in summary.segments:
        lists = [
            f"{sync.destination}: "
            + (
                f"+{sent[sync.key].added_count} −{sent[sync.key].removed_count} ({sent[sync.key].outcome})"
                if sync.key in sent
                else "not sent"
            )
            for sync in settings.syncs
            if sync.segment == name
        ]
        segments.add_row(
            name, f"{count:,}", verdict, "not sent for a past day" if outcome.is_past_day else ", ".join(lists)
        )
    console.print()
    console.print(segments)
    if summary.warnings:
        console.print()
        for warning in summary.warnings:
            console.print(f"[yellow]warning[/yellow]  {warning}", soft_wrap=True)
    tables = Table(title="Published tables", title_justify="left", box=None, pad_edge=False)
    tables.add_column("table")
    tables.add_column("rows", justify="right")
    for name, count in summary.tables:
        tables.add_row(name, f"{count:,}")
    console.print()
    console.print(tables)
    console.print()
    if outcome.is_past_day:
        console.print(
            f"for BI tools   {_shown(settings.state.serving / 'as-of' / summary.as_of.isoformat())}", soft_wrap=True
        )
    else:
        console.print(f"for BI tools   {_shown(settings.state.serving / 'lifecycle.duckdb')}", soft_wrap=True)
        console.print(f"as Parquet     {_shown(settings.state.serving / 'current' / 'parquet')}", soft_wrap=True)
        for destination in settings.destinations:
            path = destination.options.get("path") if destination.kind == "files" else None
            place = _shown(settings.folder / path) if path else destination.kind
            console.print(f"lists          {place} ({destination.name})", soft_wrap=True)


def _shown(path: Path) -> str:
    """A path as short as it can be from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


@app.command()
def plan(
    config: ConfigOption = None,
    segment: Annotated[str | None, typer.Option("--segment", help="Only lists of this segment.")] = None,
    debug: DebugOption = False,  # noqa: ARG001
) -> None:
    """Show what every list would gain and lose, with reasons. Sends nothing.

    Example: lifecycle plan --config examples/demo/lifecycle.yml --segment lapsed
    """
    from lifecycle.errors import EXIT_GATE_STOPPED, GateStoppedError
    from lifecycle.publishing.plan import plan_all, render
    from lifecycle.publishing.retirement import print_left_lists

    settings = _settings(config)
    _check_segment(settings, segment)
    attempts = plan_all(settings, now=datetime.now(UTC), segment=segment)
    render(attempts, _console())
    print_left_lists(_console(), settings)
    errors = [attempt.error for attempt in attempts if attempt.error is not None]
    if any(not isinstance(error, GateStoppedError) for error in errors):
        raise typer.Exit(EXIT_ERROR)
    refused = any(attempt.plan is not None and not attempt.plan.may_be_sent for attempt in attempts)
    if errors or refused:
        raise typer.Exit(EXIT_GATE_STOPPED)


def _check_segment(settings: Settings, segment: str | None, destination: str | None = None) -> None:
    for wanted, known, option in (
        (segment, {sync.segment for sync in settings.syncs}, "--segment"),
        (destination, {sync.destination for sync in settings.syncs}, "--destination"),
    ):
        if wanted is not None and wanted not in known:
            raise LifecycleError(
                f"no sync has '{wanted}'", where=option, remedy=f"Known: {', '.join(sorted(known)) or 'none'}."
            )


@publish_app.callback()
def publish(
    context: typer.Context,
    config: ConfigOption = None,
    segment: Annotated[str | None, typer.Option("--segment", help="Only lists of this segment.")] = None,
    destination: Annotated[str | None, typer.Option("--destination", help="Only lists at this destination.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Plan and check, but send nothing.")] = False,
    debug: DebugOption = False,  # noqa: ARG001
) -> None:
    """Bring lists at destinations up to what is published: plan, check, send.

    Example: lifecycle publish --config examples/demo/lifecycle.yml --segment lapsed --dry-run
    """
    if context.invoked_subcommand is not None:
        return
    from lifecycle.publishing.apply import deliver_all
    from lifecycle.publishing.plan import plan_all, render

    console = _console()
    settings = _settings(config)
    _check_segment(settings, segment, destination)
    now = datetime.now(UTC)
    planned = [
        attempt
        for attempt in plan_all(settings, now=now, segment=segment)
        if destination in (None, next(sync for sync in settings.syncs if sync.key == attempt.sync_name).destination)
    ]
    render(planned, console)
    attempts = deliver_all(settings, now=now, dry_run=dry_run, segment=segment, destination=destination)
    raise typer.Exit(_show_deliveries(console, attempts))


def _beside(sent: Delivery) -> str:
    """What else there is to say of a delivery: who was refused, and how the tool's list differs from what was sent."""
    parts = {
        "refused by the tool": sent.rejected_count,
        "refused before": sent.vetoed_count,
        "missing at the tool": sent.missing_count,
        "at the tool and not from here": sent.stray_count,
    }
    return "".join(f", {count:,} {words}" for words, count in parts.items() if count)


def _show_deliveries(console: Console, attempts: list[DeliveryAttempt]) -> int:
    exit_code = 0
    for attempt in attempts:
        if attempt.delivery is not None:
            sent = attempt.delivery
            console.print(
                f"{sent.sync_name}: {sent.outcome}, {sent.desired_count:,} on the list,"
                f" {sent.added_count:,} added, {sent.updated_count:,} updated, {sent.removed_count:,} removed"
                + _beside(sent)
            )
        elif attempt.error is not None:
            print(f"error: {attempt.error}", file=sys.stderr)  # noqa: T201
            exit_code = EXIT_ERROR if EXIT_ERROR in (exit_code, attempt.error.exit_code) else attempt.error.exit_code
    return exit_code


@publish_app.command()
def approve(
    plan_id: Annotated[str, typer.Argument(metavar="PLAN", help="The plan that a guard refused.")],
    reason: Annotated[str, typer.Option("--reason", help="Why it may be sent; kept with the plan.")],
    config: ConfigOption = None,
    debug: DebugOption = False,  # noqa: ARG001
) -> None:
    """Let one plan pass that a guard refused; the next publish sends exactly it.

    Example: lifecycle publish approve 3f2a… --reason "spring cleaning of the list, agreed with marketing"
    """
    from lifecycle.publishing.guards import approve as approve_plan

    settings = _settings(config)
    approve_plan(settings, plan_id, reason, now=datetime.now(UTC))
    _console().print(f"plan {plan_id} may be sent: lifecycle publish")


@publish_app.command()
def retire(
    name: Annotated[str, typer.Argument(metavar="LIST", help="A list that no sync keeps any more.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without it, only say what would be done.")] = False,
    config: ConfigOption = None,
    debug: DebugOption = False,  # noqa: ARG001
) -> None:
    """Take everybody off a list that no sync keeps any more; who was put there by others stays.

    Example: lifecycle publish retire lapsed_to_newsletter --yes
    """
    from lifecycle.publishing.retirement import left_lists
    from lifecycle.publishing.retirement import retire as retire_list

    settings = _settings(config)
    left = next((one for one in left_lists(settings) if one.sync_name == name), None)
    if left is not None and not yes:
        _console().print(
            f"{left.member_count:,} members would be taken off at '{left.destination_name}': add --yes", highlight=False
        )
        return
    sent = retire_list(settings, name, now=datetime.now(UTC))
    _console().print(f"{name}: {sent.removed_count:,} taken off", highlight=False)


@destinations_app.command("list")
def list_destinations(config: ConfigOption = None, debug: DebugOption = False) -> None:  # noqa: ARG001
    """Every kind of destination, and which of them the company uses.

    Example: lifecycle destinations list
    """
    from lifecycle.publishing.catalogue import print_kinds

    print_kinds(_console(), _settings(config))


@destinations_app.command("show")
def show_destination(
    name: Annotated[str, typer.Argument(metavar="KIND", help="A kind, or the name of one of the company's.")],
    config: ConfigOption = None,
    debug: DebugOption = False,  # noqa: ARG001
) -> None:
    """The settings of a kind with what they mean, and the limits that its maker sets.

    Example: lifecycle destinations show klaviyo
    """
    from lifecycle.publishing.catalogue import print_destination, print_kind

    settings = _settings(config)
    if any(described.name == name for described in settings.destinations):
        print_destination(_console(), settings, name)
    else:
        print_kind(_console(), name)


@destinations_app.command("check")
def check_destinations(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One destination; default: all.")] = None,
    config: ConfigOption = None,
    debug: DebugOption = False,  # noqa: ARG001
) -> None:
    """Whether credentials, lists and places are as they need to be. Writes nothing; exit code 1 when one is not ready.

    Example: lifecycle destinations check crm_drop
    """
    from lifecycle.publishing.catalogue import check, print_checked

    if not print_checked(_console(), check(_settings(config), name)):
        raise typer.Exit(EXIT_ERROR)


@publication_app.command("list")
def list_publications(config: ConfigOption = None, debug: DebugOption = False) -> None:  # noqa: ARG001
    """The publications that are kept, newest first.

    Example: lifecycle publication list
    """
    from rich.table import Table

    from lifecycle.serving.publication import publications

    settings = _settings(config)
    table = Table(box=None, pad_edge=False)
    for column in ("", "run", "as of", "published", "tables"):
        table.add_column(column, no_wrap=True, min_width=36 if column == "run" else None)
    for published in publications(settings.state):
        table.add_row(
            "current" if published.is_current else "",
            published.run_id,
            published.as_of.isoformat(),
            f"{published.published_at:%Y-%m-%d %H:%M} UTC",
            str(len(published.tables)),
        )
    console = _console()
    if table.row_count:
        console.print(table)
    else:
        console.print("nothing is published yet: lifecycle run")


@publication_app.command()
def rollback(
    run_id: Annotated[str | None, typer.Argument(metavar="RUN", help="Default: the one before the current.")] = None,
    config: ConfigOption = None,
    debug: DebugOption = False,  # noqa: ARG001
) -> None:
    """Show readers an earlier publication again.

    Example: lifecycle publication rollback
    """
    from lifecycle.serving.publication import rollback as roll_back

    published = roll_back(_settings(config).state, run_id)
    _console().print(f"readers now see run {published.run_id}, as of {published.as_of}")


@quarantine_app.command("list")
def list_quarantine(config: ConfigOption = None, debug: DebugOption = False) -> None:  # noqa: ARG001
    """Rejected rows by source, table, file and reason.

    Example: lifecycle quarantine list
    """
    from rich.table import Table

    from lifecycle.sources import quarantine
    from lifecycle.warehouse import open_warehouse

    settings = _settings(config)
    console = _console()
    with _state_lock(settings), open_warehouse(settings) as warehouse:
        found = quarantine.listing(warehouse)
    if not found:
        console.print("quarantine is empty")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("source", "table", "file", "column", "reason"):
        table.add_column(column)
    table.add_column("rows", justify="right")
    table.add_column("one of them")
    for entry in found:
        table.add_row(
            entry.source_system,
            entry.table_name,
            entry.file_name + (" (stopped at intake)" if entry.is_stopped else ""),
            entry.column_name or "",
            entry.reason,
            f"{entry.row_count:,}",
            entry.rejected_id,
        )
    console.print(table)


@quarantine_app.command("show")
def show_quarantine(
    rejected_id: Annotated[str, typer.Argument(metavar="ROW", help="Id of a rejected row.")],
    config: ConfigOption = None,
    debug: DebugOption = False,  # noqa: ARG001
) -> None:
    """One rejected row: where it stood, why it was rejected, what it said.

    Example: lifecycle quarantine show 0c1f…
    """
    from lifecycle.sources import quarantine
    from lifecycle.warehouse import open_warehouse

    settings = _settings(config)
    with _state_lock(settings), open_warehouse(settings) as warehouse:
        row = quarantine.show(warehouse, rejected_id)
    console = _console()
    for name, value in row.items():
        console.print(f"{name:16} {value}", soft_wrap=True, markup=False)


@quarantine_app.command("requeue")
def requeue_quarantine(
    rejected_ids: Annotated[list[str] | None, typer.Argument(metavar="[ROW]...", help="Ids of rejected rows.")] = None,
    source: Annotated[str | None, typer.Option("--source", help="All rows of this source.")] = None,
    table: Annotated[str | None, typer.Option("--table", help="All rows of this table.")] = None,
    config: ConfigOption = None,
    debug: DebugOption = False,  # noqa: ARG001
) -> None:
    """Try rejected rows again, with today's settings, at the next run.

    Example: lifecycle quarantine requeue --source shop --table orders
    """
    from lifecycle.sources import quarantine
    from lifecycle.warehouse import open_warehouse

    settings = _settings(config)
    with _state_lock(settings), open_warehouse(settings) as warehouse:
        count = quarantine.requeue(warehouse, rejected_ids=rejected_ids or [], source=source, table=table)
    _console().print(f"{count:,} rows will be tried again at the next run: lifecycle run")


@contextmanager
def _state_lock(settings: Settings) -> Iterator[None]:
    from lifecycle.state import run_lock

    with run_lock(settings.state, "quarantine"):
        yield


@app.command()
def explain(
    typed: Annotated[
        str,
        typer.Argument(
            metavar="CUSTOMER_OR_IDENTIFIER",
            help="Customer id (old ones too), email, phone, contact id (crm:42, or 42) or record (orders:shop:17).",
        ),
    ],
    config: ConfigOption = None,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", help="Stage, segments and timeline as of the end of this day; links as of today."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything as JSON (docs/explaining.md).")] = False,
    debug: DebugOption = False,  # noqa: ARG001
) -> None:
    """Say who somebody is and why: records, stage, segments, timeline, and what was sent or held back.

    Shows personal data, for people who may see it. Exit code 1: nobody fits, or several do.

    Example: lifecycle explain ada@example.com --as-of 2025-06-30
    """
    import json

    from lifecycle.serving.explanation import explain as explain_customer
    from lifecycle.serving.lookup import AmbiguousError
    from lifecycle.serving.narration import narrate

    settings = _settings(config)
    try:
        explanation = explain_customer(settings, typed, as_of=_day(as_of))
    except AmbiguousError as error:
        if as_json:
            print(json.dumps({"looked_for": typed, "candidates": [vars(one) for one in error.candidates]}, indent=2))  # noqa: T201
        raise
    if as_json:
        print(json.dumps(explanation.as_json(), indent=2, ensure_ascii=False))  # noqa: T201
        return
    console = _console(READABLE)
    basis = explanation.basis
    _print_section(
        console, f"{settings.project} as of {basis.as_of}", f"From the publication of run {basis.run_id}.", []
    )
    for section in narrate(explanation, settings.zone):
        _print_section(console, section.title, section.note, section.rows)


@app.command()
def diff(
    run_id: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="With --between-runs: the run to compare with.")
    ] = None,
    against: Annotated[
        str | None, typer.Option("--against", help="The git ref to compare the working tree with; default: HEAD.")
    ] = None,
    as_of: Annotated[
        list[str] | None,
        typer.Option("--as-of", help="Compare at the end of this day; may be given several times."),
    ] = None,
    between_runs: Annotated[
        bool,
        typer.Option("--between-runs", help="Compare the current publication with RUN, or with the one before it."),
    ] = False,
    output_format: Annotated[
        OutputFormat, typer.Option("--format", help="table, or markdown for a pull request.")
    ] = OutputFormat.TABLE,
    examples: Annotated[
        int, typer.Option("--examples", min=0, max=1000, help="So many people stand for each change.")
    ] = 3,
    config: ConfigOption = None,
    debug: DebugOption = False,  # noqa: ARG001
) -> None:
    """Show what a changed rule, threshold, seed or segment would change, before it is accepted.

    The working tree and a git ref are built from the same data, away from what is published. With --between-runs
    nothing is built: it shows what the last run rewrote in the past. Exit code 0, whether or not anything differs.

    Example: lifecycle diff --against main --as-of 2025-06-30 --format markdown
    """
    from lifecycle.comparison.report import as_markdown, print_tables, tell_comparison, tell_rewriting

    settings = _settings(config)
    days = sorted({day for text in as_of or [] if (day := _day(text)) is not None})
    if run_id is not None and not between_runs:
        raise LifecycleError(
            f"'{run_id}' has no meaning here", remedy="A git ref is named with --against, a run with --between-runs."
        )
    if between_runs and (against is not None or days):
        raise LifecycleError(
            "--between-runs compares two publications up to the earlier one's day",
            remedy="Leave --against and --as-of out.",
        )
    console = _console(READABLE)
    is_table = output_format is OutputFormat.TABLE
    # Markdown is meant to be kept: what is being done goes beside it.
    with _progress(console if is_table else _console_beside()):
        if between_runs:
            from lifecycle.comparison.publications import compare_publications

            sections = tell_rewriting(compare_publications(settings, run_id, examples=examples), settings.zone)
        else:
            from lifecycle.comparison.versions import compare_with_ref

            comparison = compare_with_ref(settings, against or "HEAD", days=days, examples=examples)
            sections = tell_comparison(comparison, settings.zone)
    if is_table:
        console.print()
        print_tables(sections, console, READABLE)
    else:
        print(as_markdown(sections), end="")  # noqa: T201


def _console_beside() -> Console:
    from rich.console import Console

    return Console(highlight=False, stderr=True)


def _print_section(
    console: Console,
    title: str,
    note: str,
    rows: list[tuple[str, str]],
    commands: Sequence[tuple[str, str]] = (),
) -> None:
    """A heading and rows of a label and a text that wraps beside it, no wider than is read with ease."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    width = min(console.width, READABLE)
    console.print(Text(_printable(title), style="bold"))
    if note:
        console.print(Padding(Text(_printable(note), style="dim"), (0, 0, 0, 2), expand=False), width=width)
    if rows:
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(max_width=40, overflow="fold")
        grid.add_column(overflow="fold")
        for label, text in rows:
            grid.add_row(Text(_printable(label)), Text(_printable(text)))
        console.print(Padding(grid, (0, 0, 0, 2), expand=False), width=width)
    for label, command in commands:
        # Never wrapped: a command is there to be copied.
        console.print(f"  {label}: {_printable(command)}", soft_wrap=True, markup=False)
    console.print()


def _printable(text: str) -> str:
    """Data on one line: what a terminal would obey instead of show becomes a space."""
    return "".join(character if character.isprintable() else " " for character in text)


@app.command()
def calibrate(
    config: ConfigOption = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out whose stage would be another: that builds the stages anew.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Everything as JSON (docs/calibrating.md).")] = False,
    debug: DebugOption = False,  # noqa: ARG001
) -> None:
    """Propose thresholds from the company's own data, with what they rest on and what they would change.

    Changes nothing: a person decides, and writes them into lifecycle.yml.

    Example: lifecycle calibrate --config examples/demo/lifecycle.yml
    """
    import json
    from contextlib import nullcontext

    from lifecycle.calibration.changes import measure_changes
    from lifecycle.calibration.proposals import calibrate as propose
    from lifecycle.calibration.rendering import as_json as calibration_as_json
    from lifecycle.calibration.rendering import render

    settings = _settings(config)
    console = _console(READABLE)
    with nullcontext() if as_json else _progress(console):
        calibration = propose(settings)
        if not quick:
            calibration = measure_changes(settings, calibration)
    if as_json:
        print(json.dumps(calibration_as_json(calibration), indent=2, ensure_ascii=False))  # noqa: T201
        return
    console.print()
    render(calibration, console)


ReasonOption = Annotated[str, typer.Option("--reason", help="Why; kept with the decision.")]
ByOption = Annotated[str | None, typer.Option("--by", help="Who decided; default: the account this runs under.")]
OneArgument = Annotated[
    str, typer.Argument(metavar="A", help="A record or customer, named as for `lifecycle explain`.")
]
OtherArgument = Annotated[str, typer.Argument(metavar="B", help="The other one.")]


@identity_app.command()
def merge(
    one: OneArgument,
    other: OtherArgument,
    reason: ReasonOption,
    by: ByOption = None,
    config: ConfigOption = None,
    debug: DebugOption = False,  # noqa: ARG001
) -> None:
    """Decide that two records are of the same person; it holds from the next run, whatever day is computed.

    The decision is a new line of the decisions file beside lifecycle.yml, which is meant for version control.

    Example: lifecycle identity merge crm:42 ada@example.com --reason "she called, both addresses are hers"
    """
    _decide(config, one, other, "same", reason, by)


@identity_app.command()
def split(
    one: OneArgument,
    other: OtherArgument,
    reason: ReasonOption,
    by: ByOption = None,
    config: ConfigOption = None,
    debug: DebugOption = False,  # noqa: ARG001
) -> None:
    """Decide that two records are of different people; it holds from the next run, whatever day is computed.

    A split undoes a merge and a merge a split: of several decisions on one pair the latest holds.

    Example: lifecycle identity split crm:42 shop:S-17 --reason "father and son of the same name"
    """
    _decide(config, one, other, "different", reason, by)


def _decide(
    config: Path | None, one: str, other: str, decision: Literal["same", "different"], reason: str, by: str | None
) -> None:
    from lifecycle.identity.decisions import decisions_file, write_decision
    from lifecycle.serving.lookup import find_record, open_current

    settings = _settings(config)
    with open_current(settings) as reading:
        left, right = find_record(reading, one), find_record(reading, other)
    if left.record == right.record:
        raise LifecycleError(
            f"'{one}' and '{other}' both stand for {left.record.key}",
            remedy=f"Name the two records themselves: `lifecycle explain {left.customer_id}` lists them.",
        )
    written = write_decision(
        settings,
        left.record,
        right.record,
        decision,
        reason=reason,
        decided_by=_account() if by is None else by,
        now=datetime.now(UTC),
    )
    is_one_customer = left.customer_id == right.customer_id
    words = {"same": "are the same person", "different": "are different people"}[decision]
    opposite = {"same": "split", "different": "merge"}[decision]
    rows = [
        ("decided", f"{left.record.key} and {right.record.key} {words}"),
        ("because", written.reason),
        ("by", written.decided_by or "nobody named"),
        ("written to", f"{_shown(decisions_file(settings))} ({written.decision_id})"),
        ("holds", "from the next `lifecycle run`, for every day that is computed"),
    ]
    if is_one_customer == (decision == "same"):
        agreed = f"both are customer {left.customer_id}" if is_one_customer else "they are two customers"
        rows.insert(1, ("today", f"{agreed} already; the decision binds later runs too"))
    else:
        before = (
            f"both are customer {left.customer_id}"
            if is_one_customer
            else f"customers {left.customer_id} and {right.customer_id}"
        )
        rows.insert(1, ("today", before))
    undo = _decision_command(opposite, left.record.key, right.record.key, config)
    _print_section(_console(READABLE), "Decision", "", rows, [("undo it with", undo)])


def _decision_command(name: str, one: str, other: str, config: Path | None) -> str:
    import shlex

    named = ["--config", str(config)] if config is not None else []
    return shlex.join(["lifecycle", "identity", name, one, other, *named]) + ' --reason "..."'


def _account() -> str:
    """The name of the account this runs under, empty where it has none."""
    import os
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return ""


@identity_app.command()
def review(
    limit: Annotated[int, typer.Option("--limit", min=1, help="So many pairs at most.")] = 20,
    config: ConfigOption = None,
    debug: DebugOption = False,  # noqa: ARG001
) -> None:
    """Pairs of customers who may be the same person, most likely first, with the commands to decide them.

    Example: lifecycle identity review --limit 5
    """
    from lifecycle.serving.lookup import open_current, review_pairs
    from lifecycle.serving.narration import sureness

    settings = _settings(config)
    with open_current(settings) as reading:
        found = review_pairs(reading, limit=limit)
    console = _console(READABLE)
    for number, pair in enumerate(found.pairs, start=1):
        keys = pair.left.key, pair.right.key
        missing = settings.identity.link_bits - pair.score_bits
        standing = f"{missing:.1f} short of the line" if missing > 0 else "kept apart by their other records"
        rows = [
            ("records", " and ".join(keys)),
            ("customers", f"{pair.left_customer_id} and {pair.right_customer_id}"),
            ("likeness", f"{pair.score_bits:.1f} bits, {sureness(pair.confidence)}, {standing}"),
            ("evidence", pair.evidence or "nothing but the records themselves"),
        ]
        commands = [
            ("the same", _decision_command("merge", *keys, config)),
            ("different", _decision_command("split", *keys, config)),
        ]
        if pair.other_count:
            rows.insert(3, ("more", f"{pair.other_count:,} more pairs of records of these two customers"))
        _print_section(console, f"Pair {number}", "", rows, commands)
    left = found.customer_pair_count - len(found.pairs)
    said = (
        f"{found.customer_pair_count:,} pairs of customers wait to be decided"
        if found.customer_pair_count
        else ("no pair waits to be decided")
    )
    said += f", {left:,} of them not shown (--limit)" if left else ""
    said += f"; the decisions file decides {found.decided_count:,} more" if found.decided_count else ""
    console.print(f"{said}.", soft_wrap=True)


@metrics_app.command("list")
def list_metrics(
    search: Annotated[
        str | None, typer.Option("--search", help="Only those with this word in their name, description or mart.")
    ] = None,
    output_format: FormatOption = FigureFormat.TABLE,
    config: ConfigOption = None,  # noqa: ARG001
    debug: DebugOption = False,  # noqa: ARG001
) -> None:
    """The metrics of the semantic layer.

    Example: lifecycle metrics list --search retention
    """
    from lifecycle.metrics.definitions import load_definitions
    from lifecycle.metrics.query import Column
    from lifecycle.metrics.rendering import print_rows
    from lifecycle.metrics.wording import listed

    definitions = load_definitions()
    rows = listed(definitions, search)
    if not rows:
        raise LifecycleError(f"no metric speaks of '{search}'", remedy="`lifecycle metrics list` shows all of them.")
    columns = [Column(name, name) for name in ("metric", "label", "unit", "by", "mart")]
    print_rows(_console(READABLE), output_format, columns, rows, "")
    if output_format is FigureFormat.TABLE:
        counted = f"{len(rows)} metrics" if len(rows) > 1 else "1 metric"
        _console(READABLE).print(f"\n{counted}; what it means: lifecycle metrics show {rows[0][0]}")


@metrics_app.command("show")
def show_metric(
    name: Annotated[str, typer.Argument(metavar="METRIC", help="Name of a metric.")],
    config: ConfigOption = None,
    debug: DebugOption = False,  # noqa: ARG001
) -> None:
    """What a metric means: formula, dimensions, unit, where it comes from and where it is explained.

    Example: lifecycle metrics show average_order_value
    """
    from lifecycle.metrics.definitions import load_definitions
    from lifecycle.metrics.wording import commands, told

    definitions = load_definitions()
    metric = definitions.metric(name)
    _print_section(
        _console(READABLE), metric.label, metric.name, told(definitions, metric), commands(definitions, metric, config)
    )


@metrics_app.command("query")
def query_metrics(
    names: Annotated[list[str], typer.Argument(metavar="METRIC...", help="Names of metrics.")],
    by: Annotated[
        list[str] | None,
        typer.Option("--by", help="metric_time:month (day, week, quarter, year) or a dimension; may be repeated."),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", help="A condition on a dimension (=, !=, in, ...); may be repeated, all must hold."),
    ] = None,
    first: Annotated[str | None, typer.Option("--from", help="First day.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last day.")] = None,
    order_by: Annotated[
        list[str] | None, typer.Option("--order-by", help="A column; with a minus in front the largest come first.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="So many rows at most.")] = None,
    output_format: FormatOption = FigureFormat.TABLE,
    show_sql: Annotated[bool, typer.Option("--sql", help="Print the SQL instead of running it.")] = False,
    config: ConfigOption = None,
    debug: DebugOption = False,  # noqa: ARG001
) -> None:
    """Figures of one or several metrics, from what is published.

    Example: lifecycle metrics query net_revenue orders --by metric_time:month --from 2025-01-01
    """
    from lifecycle.metrics.definitions import load_definitions
    from lifecycle.metrics.query import Question, ask, sql_of
    from lifecycle.metrics.rendering import print_answer

    settings = _settings(config)
    question = Question(
        metrics=tuple(names),
        by=tuple(by or ()),
        where=tuple(where or ()),
        first_day=_day(first, "--from"),
        last_day=_day(last, "--to"),
        order_by=tuple(order_by or ()),
        limit=limit,
    )
    definitions = load_definitions()
    if show_sql:
        print(sql_of(settings, definitions, question))  # noqa: T201
        return
    answer = ask(settings, definitions, question)
    print_answer(_console(READABLE), output_format, answer, settings.currency)


@app.command()
def scorecard(
    month: Annotated[
        str | None, typer.Option("--month", help="Month, for example 2025-12; default: the last that is over.")
    ] = None,
    by: Annotated[str | None, typer.Option("--by", help="The KPIs with targets by this dimension.")] = None,
    output_format: FormatOption = FigureFormat.TABLE,
    config: ConfigOption = None,
    debug: DebugOption = False,  # noqa: ARG001
) -> None:
    """Where the KPIs stand beside their targets, worst first, and where to look.

    Example: lifecycle scorecard --month 2025-12
    """
    import shlex

    from lifecycle.metrics.definitions import load_definitions
    from lifecycle.metrics.rendering import print_scorecard
    from lifecycle.metrics.scorecard import read_scorecard

    settings = _settings(config)
    options = f" --config {shlex.quote(str(config))}" if config is not None else ""
    found = read_scorecard(settings, load_definitions(), month=month, dimension=by, options=options)
    print_scorecard(_console(READABLE), output_format, found, settings.project)


@app.command()
def generate(
    customers: Annotated[int, typer.Option("--customers", help="People of the company, those who never buy included.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write to.")],
    days: Annotated[int, typer.Option("--days", help="Days of history.")] = 365,
    seed: Annotated[int, typer.Option("--seed", help="Same arguments and seed: same bytes.")] = 1,
    profile: Annotated[
        str, typer.Option("--profile", help="retail (shop and stores), platform (trials, plans) or streaming.")
    ] = "retail",
    end: Annotated[str | None, typer.Option("--end", help="Last day of the history; default: 2025-12-31.")] = None,
    seasonality: Annotated[bool, typer.Option(help="Busy and quiet weekdays and months.")] = True,
    campaigns: Annotated[bool, typer.Option(help="Campaigns that make people buy.")] = True,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the generated company (files and state) that is there.")
    ] = False,
    debug: DebugOption = False,  # noqa: ARG001
) -> None:
    """Write a demo company: files of several systems, a lifecycle.yml that runs, and the truth beside them.

    Example: lifecycle generate --customers 3000 --days 540 --seed 1 --profile retail --out /tmp/demo
    """
    from rich.table import Table

    from lifecycle.synthetic.company import generate as write_company
    from lifecycle.synthetic.parameters import DEFAULT_END, Arguments
    from lifecycle.timing import progress

    console = _console()
    arguments = Arguments(
        customers=customers,
        days=days,
        seed=seed,
        profile=profile,
        out=out,
        end=_day(end, "--end") or DEFAULT_END,
        has_seasons=seasonality,
        has_campaigns=campaigns,
        is_forced=force,
    )
    with _progress(console):
        summary = write_company(arguments, progress.info)
    table = Table(box=None, pad_edge=False)
    table.add_column("source")
    table.add_column("table")
    table.add_column("rows", justify="right")
    for (source, name), count in sorted(summary.row_counts.items()):
        table.add_row(source, name, f"{count:,}")
    console.print(table)
    console.print(
        f"{summary.rows:,} rows in {summary.file_count} files in {summary.seconds:.1f} s,"
        f" and {summary.unreadable_count} rows that no intake can read",
        soft_wrap=True,
    )
    console.print(f"run it     lifecycle run --config {_shown(summary.config)}", soft_wrap=True)
    console.print(f"the truth  {_shown(summary.folder / 'truth')}", soft_wrap=True)


@app.command()
def doctor(config: ConfigOption = None, debug: DebugOption = False) -> None:  # noqa: ARG001
    """Look for what would keep a run from working: settings, packages, files, disk, state, destinations.

    Exit code 0: nothing found. 1: something to mend.

    Example: lifecycle doctor --config examples/demo/lifecycle.yml
    """
    from lifecycle.doctor import examine

    console = _console()
    marks = {"ok": "[green]ok[/green]  ", "warning": "[yellow]look[/yellow]", "error": "[red]bad[/red] "}
    is_bad = False
    for finding in examine(config):
        is_bad = is_bad or finding.level == "error"
        console.print(f"{marks[finding.level]}  {finding.subject}: {finding.message}", soft_wrap=True)
        if finding.remedy:
            console.print(f"      {finding.remedy}", soft_wrap=True)
    raise typer.Exit(EXIT_ERROR if is_bad else 0)


if __name__ == "__main__":
    main()
