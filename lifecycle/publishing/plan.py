"""What a sync would add, update and remove, and why: SQL over a publication and the ledger, no network.

Belongs here: the list that a sync wants, its comparison with what was delivered, the frozen plan and how it is shown.
Does not belong here: whether the plan may be sent (``guards.py``) and sending it (``apply.py``).
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Literal

from lifecycle.errors import GateStoppedError, LifecycleError
from lifecycle.publishing.ledger import UNPROVEN, open_ledger, utc
from lifecycle.serving.publication import (
    Publication,
    current,
    direct_identifiers,
    keyed_hash,
    keyed_hash_parameters,
)
from lifecycle.warehouse import Warehouse, literal, open_duckdb, quoted

if TYPE_CHECKING:
    from rich.console import Console

    from lifecycle.publishing.destinations.members import MemberDestination
    from lifecycle.publishing.destinations.snapshots import SnapshotDestination
    from lifecycle.settings import Settings, Sync

PUBLIC, PII = "public_file", "pii_file"
"""Catalog names under which a publication's two files are attached."""

EXEMPT = ("consent_withdrawn", "test_person", "employee")
"""Reasons of removals that no guard blocks or counts."""


@dataclass(frozen=True)
class Plan:
    """A frozen plan. The same publication and ledger give the same ``digest`` and ``plan_id``.

    ``segment_count`` is the segment's size, ``taken_off`` how many of it the list leaves out and why,
    ``delivered_count`` the size of the list as last delivered. ``reasons`` counts changes by operation and reason,
    ``vetoed`` wanted members whom the tool refused as they are, by its word for it: they are not sent again until
    something about them changes.
    """

    plan_id: str
    kind: Literal["full", "withdrawals"]
    sync_name: str
    segment_name: str
    destination_name: str
    run_id: str
    as_of: date
    published_at: datetime
    created_at: datetime
    digest: str
    encoder: str
    settings_digest: str
    delivered_encoder: str | None
    delivered_count: int
    segment_count: int
    taken_off: dict[str, int]
    desired_count: int
    unchanged_count: int
    reasons: dict[tuple[str, str], int]
    is_first: bool
    vetoed: dict[str, int] = field(default_factory=dict)
    refusals: tuple[str, ...] = field(default=())
    is_approved: bool = False

    def count(self, operation: str) -> int:
        return sum(number for (name, _), number in self.reasons.items() if name == operation)

    @property
    def added_count(self) -> int:
        return self.count("add")

    @property
    def updated_count(self) -> int:
        return self.count("update")

    @property
    def removed_count(self) -> int:
        return self.count("remove")

    @property
    def exempt_count(self) -> int:
        """Removals that nothing may hold back."""
        return sum(number for (name, reason), number in self.reasons.items() if name == "remove" and reason in EXEMPT)

    @property
    def vetoed_count(self) -> int:
        """Wanted members whom the destination does not take; a list that is replaced whole takes everybody."""
        return sum(self.vetoed.values())

    @property
    def changes(self) -> int:
        return sum(self.reasons.values())

    @property
    def may_be_sent(self) -> bool:
        return not self.refusals or self.is_approved


@dataclass(frozen=True)
class PlanAttempt:
    """A plan, or why there is none."""

    sync_name: str
    plan: Plan | None
    error: LifecycleError | None


def desired_sql(sync: Sync, *, catalog: str = "", pii_catalog: str | None = None) -> str:
    """A query of everybody in the sync's segment, with who is taken off its list and why.

    ``catalog`` and ``pii_catalog`` are prefixes of table names, empty or ending with a point (``"public_file."``); the
    second names where ``marts.customer_contacts`` is and defaults to the first, as in the build warehouse. Reads
    ``segments.segment_members``, ``marts.customer_360`` and, when the sync sends identifiers, the contacts.

    Columns: customer_id, entered_at, reason, taken_off, then one per identifier kind and one per attribute.
    ``taken_off`` is null for whom the list would hold, else the first that applies of: unknown_customer (no row in
    customer_360), test_person, employee, no_consent (the sync has a channel and its consent is not true),
    no_identifier (the sync sends identifiers and the customer has none of them). Consent is deny by default.

    Of several values of one kind the preferred is sent, then the most confident, then the first in the alphabet; one
    whose link to the customer is less sure than the sync's ``min_confidence`` is not sent.
    """
    _refuse_unconsented(sync)
    identifiers, attributes = list(sync.identifiers), list(sync.attributes)
    members = (
        "select members.customer_id, members.entered_at, members.reason, customers.customer_id is not null as is_known,"
        " customers.is_test, customers.is_employee,"
        f" {_consent(sync, 'customers')} as has_consent"
        + "".join(f", contacts.{quoted(kind)} as {quoted(kind)}" for kind in identifiers)
        + "".join(f", customers.{quoted(name)} as {quoted(name)}" for name in attributes)
        + f" from {catalog}segments.segment_members as members"
        f" left join {catalog}marts.customer_360 as customers on members.customer_id = customers.customer_id"
    )
    if identifiers:
        kinds = ", ".join(literal(kind) for kind in identifiers)
        picked = ", ".join(
            f"max(identifier_value) filter (where identifier_kind = {literal(kind)}) as {quoted(kind)}"
            for kind in identifiers
        )
        members += (
            f" left join (select customer_id, {picked} from ("
            f"select customer_id, identifier_kind, identifier_value"
            f" from {catalog if pii_catalog is None else pii_catalog}marts.customer_contacts"
            f" where identifier_kind in ({kinds}) and trim(identifier_value) <> ''"
            f" and coalesce(confidence, 0) >= {sync.min_confidence}"
            " qualify row_number() over (partition by customer_id, identifier_kind order by"
            " coalesce(is_preferred, false) desc, confidence desc nulls last, identifier_value) = 1"
            ") as picked group by customer_id) as contacts on members.customer_id = contacts.customer_id"
        )
    members += f" where members.segment_name = {literal(sync.segment)}"
    no_identifier = " and ".join(f"{quoted(kind)} is null" for kind in identifiers) or "false"
    sent = "".join(f", {quoted(name)}" for name in (*identifiers, *attributes))
    return (
        "select customer_id, entered_at, reason, case when not is_known then 'unknown_customer'"
        " when is_test then 'test_person' when is_employee then 'employee'"
        f" when not has_consent then 'no_consent' when {no_identifier} then 'no_identifier' end as taken_off{sent}"
        f" from ({members}) as considered"
    )


def list_sql(sync: Sync, *, catalog: str = "", pii_catalog: str | None = None) -> str:
    """A query of the list that would be sent: customer_id, entered_at, reason, identifiers and attributes."""
    return (
        "select * exclude (taken_off) from"
        f" ({desired_sql(sync, catalog=catalog, pii_catalog=pii_catalog)}) as desired where taken_off is null"
    )


def plan_sync(settings: Settings, sync: Sync, *, now: datetime) -> Plan:
    """Plan a sync from the current publication and freeze the plan in the ledger. Sends nothing.

    What guards say stands in the plan's ``refusals``. Raises GateStoppedError when there is no publication or the
    segment's gate did not pass in it.
    """
    publication = published_for(settings, sync)
    with open_ledger(settings) as ledger, attached(ledger, publication):
        return make_plan(settings, sync, ledger, publication, now=now)


def plan_all(settings: Settings, *, now: datetime, segment: str | None = None) -> list[PlanAttempt]:
    """Plan every sync (of one segment); one that is stopped does not keep the others from being planned."""
    attempts = []
    for sync in settings.syncs:
        if segment in (None, sync.segment):
            try:
                attempts.append(PlanAttempt(sync.key, plan_sync(settings, sync, now=now), None))
            except LifecycleError as error:
                attempts.append(PlanAttempt(sync.key, None, error))
    return attempts


def published_for(settings: Settings, sync: Sync) -> Publication:
    """The current publication, if the gate of the sync's segment passed in its run."""
    from lifecycle.quality.gate import demand_verdict

    publication = current(settings.state)
    if publication is None:
        raise GateStoppedError(
            "nothing is published yet, so nothing can be sent",
            where=f"sync '{sync.key}'",
            remedy="Run the pipeline first: `lifecycle run`.",
        )
    with open_published(settings, publication) as published:
        try:
            demand_verdict(published, publication.run_id, f"segment:{sync.segment}")
        except GateStoppedError as error:
            raise GateStoppedError(
                error.problem,
                where=f"sync '{sync.key}', {error.where}",
                remedy=f"{error.remedy} {_last_delivery(settings, sync)}",
            ) from error
    return publication


@contextmanager
def open_published(settings: Settings, publication: Publication) -> Iterator[Warehouse]:
    """The public file of a publication, for reading. One configuration, so that threads of a process can share it."""
    with open_duckdb(
        publication.database,
        read_only=True,
        memory_limit=settings.warehouse.memory_limit,
        threads=settings.warehouse.threads,
        spill=settings.state.spill,
        max_spill=settings.warehouse.max_spill,
    ) as published:
        yield published


def _last_delivery(settings: Settings, sync: Sync) -> str:
    with open_ledger(settings) as ledger:
        last = last_delivered_at(ledger, sync)
    if last is None:
        return "Nothing was delivered before."
    return f"The list of {last:%Y-%m-%d %H:%M} UTC stays."


def last_delivered_at(ledger: Warehouse, sync: Sync) -> datetime | None:
    moment: datetime | None = ledger.scalar(
        "select max(ended_at) from runs where sync_name = ? and destination_name = ?"
        " and outcome in ('delivered', 'restored', 'withdrawn')",
        [sync.key, sync.destination],
    )
    return moment


@contextmanager
def attached(warehouse: Warehouse, publication: Publication) -> Iterator[None]:
    """Both files of one publication, read-only; the folder is resolved once, so they are of one run."""
    warehouse.run(f"attach {literal(str(publication.database))} as {PUBLIC} (read_only)")
    warehouse.run(f"attach {literal(str(publication.pii_database))} as {PII} (read_only)")
    try:
        yield
    finally:
        warehouse.run(f"detach {PUBLIC}")
        warehouse.run(f"detach {PII}")


def make_plan(
    settings: Settings,
    sync: Sync,
    ledger: Warehouse,
    publication: Publication,
    *,
    now: datetime,
    kind: Literal["full", "withdrawals"] = "full",
) -> Plan:
    """Compare the list with what was delivered and freeze the result; ``publication`` is attached to ``ledger``.

    A plan of kind ``withdrawals`` holds nothing but the removals that no guard may hold back.
    """
    from lifecycle.publishing.destinations import destination_of
    from lifecycle.publishing.guards import refusals

    destination = destination_of(settings, sync.destination)
    _check_columns(ledger, sync, destination)
    _compare(settings, sync, ledger, destination, kind)
    plan = _freeze(sync, ledger, publication, destination, now=now, kind=kind)
    if kind == "full":
        plan = replace(plan, refusals=tuple(refusals(plan, sync.guards)))
    return _store(ledger, plan)


def payload_columns(sync: Sync, destination: SnapshotDestination | MemberDestination) -> list[str]:
    """What a destination is told of a member: when any of it changes, the member is sent again."""
    from lifecycle.publishing.destinations import keeps_members

    if not keeps_members(destination):
        return ["customer_id", "entered_at", "reason", *sync.identifiers, *sync.attributes]
    attributes = sync.attributes if destination.capabilities.updates else []
    return ["customer_id", *sync.identifiers, *attributes]


def _compare(
    settings: Settings,
    sync: Sync,
    ledger: Warehouse,
    destination: SnapshotDestination | MemberDestination,
    kind: str,
) -> None:
    """Fill the temporary tables ``desired`` and ``diff``."""
    from lifecycle.settings import Environment

    catalog, pii_catalog = f"{PUBLIC}.", f"{PII}."
    columns = payload_columns(sync, destination)
    # Names are part of the payload: a changed mapping re-sends everybody once, and removes nobody.
    row = ", ".join(f"{quoted(name)} := {quoted(name)}" for name in columns)
    key = settings.state.hash_key(Environment().hash_key)
    ledger.run(
        f"create or replace temp table desired as select customer_id, entered_at, reason, taken_off,"
        f" case when taken_off is null then {keyed_hash(f'struct_pack({row})::varchar')} end as payload"
        f" from ({desired_sql(sync, catalog=catalog, pii_catalog=pii_catalog)}) as desired",
        keyed_hash_parameters(key, f"deliveries of {sync.key}"),
    )
    twice = ledger.scalar("select count(*) - count(distinct customer_id) from desired")
    if twice:
        raise LifecycleError(
            f"{twice} customers stand more than once in segment '{sync.segment}' or in marts.customer_360",
            where=f"sync '{sync.key}'",
            remedy="Mend the model; a list holds everybody once.",
        )
    ledger.run(
        f"""
        create or replace temp table diff as
        with wanted as (select * from desired where taken_off is null),
        delivered as (
            select customer_id, payload, key_hash
            from deliveries where sync_name = $sync and destination_name = $destination
        ),
        -- Who was refused because another customer has the same key waits for as long as that one is wanted.
        vetoes as (
            select rejections.customer_id, rejections.payload, max(rejections.code) as code
            from rejections
            where rejections.sync_name = $sync and rejections.destination_name = $destination
                and rejections.encoder = $encoder
                and (
                    rejections.code <> 'same_person'
                    or exists (
                        select 1 from delivered
                        where delivered.key_hash = rejections.key_hash
                            and delivered.customer_id <> rejections.customer_id
                            and delivered.customer_id in (select customer_id from wanted)
                    )
                )
            group by rejections.customer_id, rejections.payload
        ),
        compared as (
            select
                coalesce(wanted.customer_id, delivered.customer_id) as customer_id,
                case
                    when delivered.customer_id is null then 'add'
                    when wanted.customer_id is null then 'remove'
                    when wanted.payload <> delivered.payload then 'update'
                    else 'unchanged'
                end as operation,
                wanted.entered_at, wanted.reason as entry_reason, wanted.payload,
                delivered.payload = $unproven as is_unproven
            from wanted full outer join delivered on wanted.customer_id = delivered.customer_id
        ),
        left_by as (
            select history.customer_id, max_by(history.exit_reason, history.valid_to_at) as exit_reason
            from {catalog}segments.segment_history as history
            semi join (select customer_id from compared where operation = 'remove') as removed
                on history.customer_id = removed.customer_id
            where history.segment_name = $segment and history.valid_to_at is not null
            group by history.customer_id
        ),
        removed as (
            select
                compared.customer_id,
                case
                    when customers.customer_id is null then 'unknown_customer'
                    when customers.is_test then 'test_person'
                    when customers.is_employee then 'employee'
                    when not {_consent(sync, "customers")} then 'consent_withdrawn'
                    else coalesce(desired.taken_off, 'left_segment')
                end as reason,
                left_by.exit_reason
            from compared
            left join {catalog}marts.customer_360 as customers on compared.customer_id = customers.customer_id
            left join desired on compared.customer_id = desired.customer_id
            left join left_by on compared.customer_id = left_by.customer_id
            where compared.operation = 'remove'
        )
        select
            compared.customer_id,
            case
                when vetoes.code is not null and compared.operation in ('add', 'update') then 'vetoed'
                else compared.operation
            end as operation,
            compared.entered_at, compared.payload,
            case
                when vetoes.code is not null and compared.operation in ('add', 'update') then vetoes.code
                when compared.operation = 'add' then 'entered'
                when compared.operation = 'update' and compared.is_unproven then 'sent_again'
                when compared.operation = 'update' then 'attributes_changed'
                else removed.reason
            end as reason,
            case
                when compared.operation <> 'remove' then compared.entry_reason
                when removed.reason = 'left_segment' then removed.exit_reason
            end as detail
        from compared
        left join removed on compared.customer_id = removed.customer_id
        left join vetoes on compared.customer_id = vetoes.customer_id and compared.payload = vetoes.payload
        """,
        {
            "sync": sync.key,
            "destination": sync.destination,
            "segment": sync.segment,
            "encoder": destination.encoder,
            "unproven": UNPROVEN,
        },
    )
    if kind == "withdrawals":
        exempt = ", ".join(literal(reason) for reason in EXEMPT)
        # Everybody else keeps the place and the row that the last delivery gave them.
        ledger.run(
            "delete from diff where operation = 'add'; update diff set operation = 'unchanged'"
            f" where operation = 'update' or (operation = 'remove' and reason not in ({exempt}))"
        )


def _freeze(
    sync: Sync,
    ledger: Warehouse,
    publication: Publication,
    destination: SnapshotDestination | MemberDestination,
    *,
    now: datetime,
    kind: Literal["full", "withdrawals"],
) -> Plan:
    reasons = {
        (operation, reason): count
        for operation, reason, count in ledger.rows(
            "select operation, reason, count(*) from diff where operation not in ('unchanged', 'vetoed')"
            " group by all order by all"
        )
    }
    vetoed = dict(
        ledger.rows("select reason, count(*) from diff where operation = 'vetoed' group by reason order by reason")
    )
    unchanged = ledger.scalar("select count(*) from diff where operation = 'unchanged'")
    delivered_count, delivered_encoder = ledger.rows(
        "select count(*), max(encoder) from deliveries where sync_name = ? and destination_name = ?",
        [sync.key, sync.destination],
    )[0]
    # Deliveries are counted, so that an approval never holds for an equal change at another time.
    sent_before = ledger.scalar(
        "select count(*) from runs where sync_name = ? and destination_name = ?"
        " and outcome in ('delivered', 'withdrawn')",
        [sync.key, sync.destination],
    )
    items = ledger.scalar(
        "select sha256(coalesce(string_agg(line, '' order by line), '')) from (select sha256(concat_ws(chr(31),"
        " customer_id, operation, reason, coalesce(detail, ''), coalesce(payload, ''))) as line"
        " from diff where operation not in ('unchanged', 'vetoed')) as lines"
    )
    header = [sync.key, sync.segment, sync.destination, kind, destination.encoder, str(sent_before), items]
    digest = hashlib.sha256("\x1f".join(header).encode()).hexdigest()
    taken_off = dict(
        ledger.rows(
            "select taken_off, count(*) from desired where taken_off is not null group by taken_off order by taken_off"
        )
    )
    return Plan(
        plan_id=f"{sync.key}-{digest[:12]}",
        kind=kind,
        sync_name=sync.key,
        segment_name=sync.segment,
        destination_name=sync.destination,
        run_id=publication.run_id,
        as_of=publication.as_of,
        published_at=utc(publication.published_at),
        created_at=utc(now),
        digest=digest,
        encoder=destination.encoder,
        settings_digest=settings_digest(sync),
        delivered_encoder=delivered_encoder,
        delivered_count=delivered_count,
        segment_count=ledger.scalar("select count(*) from desired"),
        taken_off=taken_off,
        desired_count=ledger.scalar("select count(*) from diff where operation <> 'remove'"),
        unchanged_count=unchanged,
        reasons=reasons,
        vetoed=vetoed,
        is_first=sent_before == 0,
    )


def _store(ledger: Warehouse, plan: Plan) -> Plan:
    """Keep the plan and its items; plans of the sync that were never sent are replaced."""
    with ledger.transaction():
        approvals = ledger.rows(
            "select approved_at, approval_reason from plans where plan_id = ? and plan_state = 'planned'"
            " and approved_at is not null",
            [plan.plan_id],
        )
        plan = replace(plan, is_approved=bool(approvals))
        begun = "select plan_id from runs where ended_at is null"
        if ledger.rows(f"select 1 from ({begun}) where plan_id = ?", [plan.plan_id]):
            return plan
        replaced = (
            "select plan_id from plans where (plan_id = ? or (sync_name = ? and plan_state = 'planned'))"
            f" and plan_id not in ({begun})"
        )
        for table in ("plan_items", "plans"):
            ledger.run(f"delete from {table} where plan_id in ({replaced})", [plan.plan_id, plan.sync_name])
        approved_at, approval_reason = approvals[0] if approvals else (None, None)
        ledger.run(
            f"insert into plans values ({', '.join('?' * 18)}, 'planned', ?, ?, ?)",
            [
                plan.plan_id,
                plan.kind,
                plan.sync_name,
                plan.segment_name,
                plan.destination_name,
                plan.run_id,
                plan.published_at,
                plan.as_of,
                plan.digest,
                plan.encoder,
                plan.settings_digest,
                plan.created_at,
                plan.desired_count,
                plan.unchanged_count,
                plan.added_count,
                plan.updated_count,
                plan.removed_count,
                plan.vetoed_count,
                "; ".join(plan.refusals) or None,
                approved_at,
                approval_reason,
            ],
        )
        ledger.run(
            "insert into plan_items select ?, customer_id, operation, reason, detail, entered_at, payload,"
            " 'pending', 0, null, null from diff where operation not in ('unchanged', 'vetoed')",
            [plan.plan_id],
        )
    return plan


def settings_digest(sync: Sync) -> str:
    """What the sync's settings were: a plan made under others is not sent any more."""
    return hashlib.sha256(sync.model_dump_json().encode()).hexdigest()


def _consent(sync: Sync, table: str) -> str:
    """Whether the customer agreed to the sync's channel; not known means no."""
    return "true" if sync.channel == "none" else f"coalesce({table}.{sync.channel}_consent, false)"


def _refuse_unconsented(sync: Sync) -> None:
    if sync.channel == "none" and set(sync.identifiers) & {"email", "phone"}:
        raise LifecycleError(
            "a list with email or phone needs the consent of a channel",
            where=f"sync '{sync.key}'",
            remedy="Say `channel: email`, `sms` or `ads`; lists without a channel carry keys only.",
        )


def _check_columns(ledger: Warehouse, sync: Sync, destination: SnapshotDestination | MemberDestination) -> None:
    """Every attribute exists and says nothing directly about who somebody is; the destination takes the identifiers."""
    from lifecycle.publishing.destinations import keeps_members

    known = [
        column
        for (column,) in ledger.rows(
            "select column_name from duckdb_columns() where database_name = ? and schema_name = 'marts'"
            " and table_name = 'customer_360' order by column_index",
            [PUBLIC],
        )
    ]
    where = f"sync '{sync.key}'"
    kinds = destination.capabilities.identifiers
    for kind in sync.identifiers:
        if kind not in kinds:
            raise LifecycleError(
                f"destination '{sync.destination}' takes no identifier '{kind}'",
                where=where,
                remedy=f"It takes: {', '.join(sorted(kinds)) or 'none'}.",
            )
    if keeps_members(destination) and not ({"customer_id", *sync.identifiers} & kinds):
        raise LifecycleError(
            f"destination '{sync.destination}' knows people by an identifier, and the sync sends none",
            where=where,
            remedy=f"Say `identifiers:` with one of {', '.join(sorted(kinds))}.",
        )
    fixed = ["customer_id", "entered_at", "reason", "taken_off", *sync.identifiers]
    for index, name in enumerate(sync.attributes):
        if name in direct_identifiers() or name == "contact_id":
            raise LifecycleError(
                f"attribute '{name}' says directly who somebody is",
                where=where,
                remedy="Send identifiers with `identifiers:` and a `channel:` whose consent is then asked for.",
            )
        if name in fixed or name in sync.attributes[:index]:
            raise LifecycleError(
                f"attribute '{name}' is on the list already", where=where, remedy="Take it out of `attributes:`."
            )
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise LifecycleError(
                f"attribute '{name}' is no column of marts.customer_360"
                + (f", did you mean '{near[0]}'?" if near else ""),
                where=where,
                remedy=f"Known: {', '.join(known)}.",
            )


def render(attempts: Sequence[PlanAttempt | Plan], console: Console | None = None) -> None:
    """Print plans as tables: counts and reasons, never a member."""
    from rich.console import Console
    from rich.table import Table

    console = console or Console()
    for attempt in attempts:
        plan = attempt if isinstance(attempt, Plan) else attempt.plan
        if plan is None:
            console.print(f"[bold]{attempt.sync_name}[/bold]: no plan", highlight=False)
            console.print(str(attempt.error) if isinstance(attempt, PlanAttempt) else "", markup=False)
            continue
        table = Table(title=f"{plan.sync_name}: {plan.segment_name} → {plan.destination_name}", title_justify="left")
        table.add_column("what")
        table.add_column("why")
        table.add_column("customers", justify="right")
        table.add_row("in the segment", f"as of {plan.as_of}", f"{plan.segment_count:,}")
        for reason, count in plan.taken_off.items():
            table.add_row("taken off", reason, f"{count:,}")
        for code, count in plan.vetoed.items():
            table.add_row("refused by the tool", code, f"{count:,}")
        table.add_row("unchanged", "", f"{plan.unchanged_count:,}")
        for (operation, reason), count in plan.reasons.items():
            table.add_row(operation, reason, f"{count:,}")
        table.add_row("on the list afterwards", f"now {plan.delivered_count:,}", f"{plan.desired_count:,}")
        console.print(table)
        console.print(f"plan {plan.plan_id}, run {plan.run_id}", markup=False, highlight=False, soft_wrap=True)
        for refusal in plan.refusals:
            console.print(("approved: " if plan.is_approved else "stopped: ") + refusal, markup=False, highlight=False)
