"""Everything a publication knows about one customer, with the reasons.

Belongs here: gathering it, as plain data that ``--json`` prints as it is.
Does not belong here: finding the customer (``lookup.py``), saying it in sentences (``narration.py``).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from lifecycle.errors import LifecycleError
from lifecycle.identity.decisions import Record, holding, read_decisions
from lifecycle.publishing.ledger import SYNC_MEMBERS, attach_ledger
from lifecycle.publishing.plan import PII, desired_sql
from lifecycle.serving.lookup import Found, Reading, find_customer, kind_of, open_current
from lifecycle.settings import PROJECT_DIR, STEWARDS

if TYPE_CHECKING:
    from lifecycle.settings import Settings

EVENTS = 15
"""So many events of the timeline are shown."""

STAGES = 5
"""So many earlier stages are shown."""

LEFT_DAYS = 90
"""A segment is shown as left for so many days."""

LIST_CHANGES = 20
"""So many changes of lists are shown."""

PAIRS = 20
"""So many scored pairs of each outcome are shown."""

_LEDGER = "ledger_file"


@dataclass(frozen=True)
class Basis:
    """What the explanation rests on. ``as_of`` is the day asked for, ``lists_from`` the ledger or the publication."""

    run_id: str
    published_as_of: date
    published_at: datetime
    as_of: date
    is_past_day: bool
    timezone: str
    personal_data_problem: str | None
    lists_from: str


@dataclass(frozen=True)
class Profile:
    """Who it is, as of the publication's day whatever day is asked for. ``kind``: customer, lead or visitor."""

    customer_id: str
    kind: str
    is_test: bool
    is_employee: bool
    city: str | None
    region: str | None
    country: str | None
    language: str | None
    first_seen_at: datetime | None
    became_customer_at: datetime | None
    last_activity_at: datetime | None
    last_order_at: datetime | None
    order_count: int
    currency: str | None
    net_revenue_amount: Decimal | None
    average_order_amount: Decimal | None
    predicted_clv_12m_amount: Decimal | None
    churn_score: float | None
    rfm_group: str | None
    plan_name: str | None
    loyalty_tier: str | None
    preferred_channel: str | None
    consents: dict[str, bool]
    source_count: int | None
    record_count: int | None
    contact_record_count: int | None
    link_confidence: float | None


@dataclass(frozen=True)
class StageInterval:
    """A stage and why. ``until_at`` is null while it lasts; the evidence is the event that caused it.

    Where people of an account share its stages, the event may be a colleague's: ``evidence_customer_id`` says whose.
    """

    stage: str
    since_at: datetime | None
    until_at: datetime | None
    reason_code: str | None
    reason: str | None
    evidence_event_id: str | None
    evidence_event_name: str | None
    evidence_at: datetime | None
    evidence_customer_id: str | None = None
    evidence_description: str | None = None


@dataclass(frozen=True)
class Flags:
    """What holds beside the stage, known for the publication's own day alone."""

    is_at_risk: bool
    risk_reason: str | None
    is_loyal: bool
    is_advocate: bool
    is_expanding: bool
    highest_stage_reached: str | None


@dataclass(frozen=True)
class Membership:
    segment_name: str
    since_at: datetime
    until_at: datetime | None
    entry_reason: str
    exit_reason: str | None


@dataclass(frozen=True)
class Identifier:
    """An identifier and the sources that know it."""

    identifier_kind: str
    identifier_value: str
    sources: list[str]
    is_preferred: bool
    confidence: float


@dataclass(frozen=True)
class ContactLink:
    """A contact record of the customer and what joined it. ``evidence`` is what each field said, in bits."""

    source_system: str
    record_id: str
    link_rule: str
    confidence: float
    linked_at: datetime | None
    score_bits: float | None
    matched_source_system: str | None
    matched_record_id: str | None
    evidence: str | None


@dataclass(frozen=True)
class RecordCount:
    """Records of other tables, by the rule that brought them."""

    source_system: str
    record_table: str
    link_rule: str
    record_count: int
    lowest_confidence: float


@dataclass(frozen=True)
class ScoredPair:
    """Two contact records that were compared; ``other_customer_id`` is null where both are this customer's.

    ``missing_bits`` is how much a pair for review is short of the line; negative above it, where other records of the
    two speak against it.
    """

    left_source_system: str
    left_record_id: str
    right_source_system: str
    right_record_id: str
    other_customer_id: str | None
    score_bits: float
    confidence: float
    missing_bits: float | None
    evidence: str | None


@dataclass(frozen=True)
class Change:
    """A merge, split or new id from one publication to the next."""

    previous_customer_id: str
    customer_id: str
    change_kind: str
    record_count: int
    reason: str
    changed_as_of: date


@dataclass(frozen=True)
class StewardDecision:
    """A decision of the decisions file about a record of this customer.

    ``outcome`` is applied, not applied, or pending: made after the publication. ``detail`` says why not.
    """

    decision_id: str
    decision: str
    left_record: str
    right_record: str
    decided_at: str
    decided_by: str
    reason: str
    outcome: str
    detail: str | None


@dataclass(frozen=True)
class Links:
    """``decisions_problem`` says why the stewards' decisions are not known; null when they are."""

    contacts: list[ContactLink]
    others: list[RecordCount]
    linked_pairs: list[ScoredPair]
    review_pairs: list[ScoredPair]
    changes: list[Change]
    decisions: list[StewardDecision]
    decisions_problem: str | None


@dataclass(frozen=True)
class Event:
    event_id: str
    occurred_at: datetime
    event_name: str
    description: str
    channel: str | None
    source_system: str
    order_id: str | None
    ticket_id: str | None
    campaign_id: str | None
    product_id: str | None
    amount: Decimal | None
    currency: str | None


@dataclass(frozen=True)
class ListStanding:
    """A list that takes a segment in which the customer is, or that holds the customer.

    ``held_back`` says why the list does not want them: test_person, employee, no_consent, no_identifier, left_segment.
    ``listed_since_at`` is when the row that the list holds was sent; null = not on it.
    """

    sync_name: str
    segment_name: str
    destination_name: str
    is_wanted: bool
    held_back: str | None
    listed_since_at: datetime | None


@dataclass(frozen=True)
class ListChange:
    occurred_at: datetime
    sync_name: str
    operation: str
    reason: str
    outcome: str
    detail: str | None


@dataclass(frozen=True)
class Lists:
    standing: list[ListStanding]
    changes: list[ListChange]


@dataclass(frozen=True)
class Explanation:
    """Everything about one customer. The keys of ``--json`` are these names (docs/explaining.md)."""

    looked_for: str
    found_by: str
    found_in: list[str]
    previous_id: str | None
    basis: Basis
    profile: Profile
    colleagues: list[str]
    """Customer ids of those who share the account, and with it the stage."""
    stage: StageInterval | None
    flags: Flags | None
    earlier_stages: list[StageInterval]
    segments: list[Membership]
    left_segments: list[Membership]
    identifiers: list[Identifier]
    links: Links
    timeline: list[Event]
    event_count: int
    lists: Lists

    def as_json(self) -> dict[str, Any]:
        """Times as ISO 8601 in UTC, days as ISO dates, amounts as numbers."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, datetime):
        moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    return float(value) if isinstance(value, Decimal) else value


def explain(settings: Settings, typed: str, *, as_of: date | None = None) -> Explanation:
    """Who somebody is and why, from the current publication and the ledger of deliveries.

    Stage, segments and timeline are those at the end of ``as_of``, a day of the reporting zone; everything else is as
    published. Raises AmbiguousError when several customers fit what was typed, LifecycleError for nobody, for a day
    after the publication's, and when nothing is published.
    """
    with open_current(settings) as reading:
        published = reading.publication.as_of
        day = as_of or published
        if day > published:
            raise LifecycleError(
                f"what happened on {day} is not published yet: the publication is as of {published}",
                where="--as-of",
                remedy="Name an earlier day, or run the pipeline: `lifecycle run`.",
            )
        return _gather(reading, find_customer(reading, typed), typed.strip(), day)


def _gather(reading: Reading, found: Found, typed: str, day: date) -> Explanation:
    publication = reading.publication
    end = _end_of(day, reading.settings)
    is_past_day = day < publication.as_of
    customer = found.customer_id
    row = reading.warehouse.dicts("select * from marts.customer_360 where customer_id = ?", [customer])[0]
    family = _family(reading, customer)
    lists, lists_from = _lists(reading, family, row)
    decisions, decisions_problem = _decisions(reading, customer)
    stages = _stages(reading, customer, end)
    if not stages and not is_past_day:
        # Somebody known by undated records alone has a stage and no history.
        stages = [StageInterval(row["lifecycle_stage"], None, None, None, None, None, None, None)]
    timeline, event_count = _timeline(reading, customer, end)
    memberships = _memberships(reading, customer, end)
    return Explanation(
        looked_for=typed,
        found_by=found.kind,
        found_in=list(found.sources),
        previous_id=found.previous_id,
        basis=Basis(
            run_id=publication.run_id,
            published_as_of=publication.as_of,
            published_at=publication.published_at,
            as_of=day,
            is_past_day=is_past_day,
            timezone=reading.settings.timezone,
            personal_data_problem=reading.personal_data_problem,
            lists_from=lists_from,
        ),
        profile=_profile(row),
        colleagues=_colleagues(reading, row),
        stage=stages[0] if stages else None,
        flags=None if is_past_day else _flags(row),
        earlier_stages=stages[1 : STAGES + 1],
        segments=[membership for membership in memberships if membership.until_at is None],
        left_segments=[membership for membership in memberships if membership.until_at is not None],
        identifiers=_identifiers(reading, customer),
        links=Links(
            contacts=_contacts(reading, customer),
            others=_others(reading, customer),
            linked_pairs=_pairs(reading, customer, "linked"),
            review_pairs=_pairs(reading, customer, "review"),
            changes=_changes(reading, family),
            decisions=decisions,
            decisions_problem=decisions_problem,
        ),
        timeline=timeline,
        event_count=event_count,
        lists=lists,
    )


def _end_of(day: date, settings: Settings) -> datetime:
    """The first instant after a day of the reporting zone, as the zone-less UTC that tables hold."""
    midnight = datetime.combine(day + timedelta(days=1), time(), tzinfo=settings.zone)
    return midnight.astimezone(UTC).replace(tzinfo=None)


def _profile(row: dict[str, Any]) -> Profile:
    plain = {name: row.get(name) for name in Profile.__dataclass_fields__ if name not in ("kind", "consents")}
    consents = {name.removesuffix("_consent"): bool(row[name]) for name in row if name.endswith("_consent")}
    given = {"is_test": bool(row.get("is_test")), "is_employee": bool(row.get("is_employee"))}
    return Profile(**plain | given | {"order_count": row.get("order_count") or 0}, kind=kind_of(row), consents=consents)


def _flags(row: dict[str, Any]) -> Flags:
    names = ("is_at_risk", "is_loyal", "is_advocate", "is_expanding")
    return Flags(
        **{name: bool(row.get(name)) for name in names},
        risk_reason=row.get("risk_reason"),
        highest_stage_reached=row.get("highest_stage_reached"),
    )


def _colleagues(reading: Reading, row: dict[str, Any]) -> list[str]:
    if row.get("account_key") is None or reading.settings.lifecycle.per != "account":
        return []
    return [
        customer
        for (customer,) in reading.warehouse.rows(
            "select customer_id from marts.customer_360 where account_key = ? and customer_id <> ?"
            " order by customer_id",
            [row["account_key"], row["customer_id"]],
        )
    ]


# --- history ---------------------------------------------------------------------------------------------------------


def _stages(reading: Reading, customer: str, end: datetime) -> list[StageInterval]:
    """The stages up to a moment, latest first; the first of them has not ended by then."""
    rows = reading.warehouse.rows(
        "select history.stage, history.valid_from_at,"
        " case when history.valid_to_at < $end then history.valid_to_at end, history.reason_code, history.reason,"
        " history.evidence_event_id, evidence.event_name, evidence.occurred_at, evidence.customer_id"
        " from marts.customer_lifecycle_history as history left join marts.customer_timeline as evidence"
        " on history.evidence_event_id = evidence.event_id"
        " where history.customer_id = $customer and history.valid_from_at < $end"
        f" order by history.valid_from_at desc limit {STAGES + 1}",
        {"customer": customer, "end": end},
    )
    words = event_words() if rows else {}
    intervals = [StageInterval(*row) for row in rows]
    return [
        one
        if one.evidence_event_name is None
        else replace(one, evidence_description=_described(one.evidence_event_name, words))
        for one in intervals
    ]


def _memberships(reading: Reading, customer: str, end: datetime) -> list[Membership]:
    """The segments of a moment, and those left in the days before it."""
    return [
        Membership(*row)
        for row in reading.warehouse.rows(
            "select segment_name, valid_from_at, case when valid_to_at < $end then valid_to_at end, entry_reason,"
            " case when valid_to_at < $end then exit_reason end from segments.segment_history"
            " where customer_id = $customer and valid_from_at < $end"
            f" and (valid_to_at is null or valid_to_at >= $end - to_days({LEFT_DAYS}))"
            " order by valid_to_at desc nulls first, segment_name",
            {"customer": customer, "end": end},
        )
    ]


def _timeline(reading: Reading, customer: str, end: datetime) -> tuple[list[Event], int]:
    """The last events before a moment, newest first, and how many there are."""
    rows = reading.warehouse.rows(
        "select event_id, occurred_at, event_name, channel, source_system, order_id, ticket_id, campaign_id,"
        " product_id, amount, currency, count(*) over () from marts.customer_timeline"
        f" where customer_id = ? and occurred_at < ? order by occurred_at desc, event_id desc limit {EVENTS}",
        [customer, end],
    )
    words = event_words() if rows else {}
    events = [
        Event(event_id, occurred_at, name, _described(name, words), *others)
        for event_id, occurred_at, name, *others, _ in rows
    ]
    return events, rows[0][-1] if rows else 0


def _described(event_name: str, words: dict[str, str]) -> str:
    return words.get(event_name, event_name.replace("_", " "))


def event_words() -> dict[str, str]:
    """Event name → what happened, as ``seeds/touchpoint_types.csv`` says it."""
    with (PROJECT_DIR / "seeds" / "touchpoint_types.csv").open(encoding="utf-8", newline="") as file:
        return {row["event_name"]: row["description"].rstrip(".") for row in csv.DictReader(file)}


# --- identity --------------------------------------------------------------------------------------------------------


def _identifiers(reading: Reading, customer: str) -> list[Identifier]:
    if reading.personal_data_problem:
        return []
    return [
        Identifier(*row)
        for row in reading.warehouse.rows(
            "select identifier_kind, identifier_value, list(distinct source_system order by source_system),"
            f" bool_or(is_preferred), max(confidence) from {PII}.marts.customer_contacts where customer_id = ?"
            " group by identifier_kind, identifier_value"
            " order by case identifier_kind when 'email' then 1 when 'phone' then 2 else 3 end, identifier_kind,"
            " bool_or(is_preferred) desc, identifier_value",
            [customer],
        )
    ]


def _contacts(reading: Reading, customer: str) -> list[ContactLink]:
    """The customer's contact records, earliest first, each with the evidence of the pair that joined it."""
    return [
        ContactLink(*row)
        for row in reading.warehouse.rows(
            "select links.source_system, links.record_id, links.link_rule, links.confidence, links.linked_at,"
            " links.score_bits, links.matched_source_system, links.matched_record_id, pairs.evidence"
            f" from {reading.records}identity.customer_links as links"
            f" left join {reading.records}identity.scored_pairs as pairs on links.link_rule = 'probable'"
            " and ((pairs.left_source_system = links.source_system and pairs.left_record_id = links.record_id"
            " and pairs.right_source_system = links.matched_source_system"
            " and pairs.right_record_id = links.matched_record_id)"
            " or (pairs.right_source_system = links.source_system and pairs.right_record_id = links.record_id"
            " and pairs.left_source_system = links.matched_source_system"
            " and pairs.left_record_id = links.matched_record_id))"
            " and pairs.left_customer_id = $customer and pairs.right_customer_id = $customer"
            " where links.customer_id = $customer and links.record_table = 'contacts'"
            " order by links.linked_at nulls first, links.source_system, links.record_id",
            {"customer": customer},
        )
    ]


def _others(reading: Reading, customer: str) -> list[RecordCount]:
    return [
        RecordCount(*row)
        for row in reading.warehouse.rows(
            "select source_system, record_table, link_rule, count(*), min(confidence)"
            f" from {reading.records}identity.customer_links where customer_id = ? and record_table <> 'contacts'"
            " group by source_system, record_table, link_rule"
            " order by source_system, record_table, count(*) desc, link_rule",
            [customer],
        )
    ]


def _pairs(reading: Reading, customer: str, outcome: str) -> list[ScoredPair]:
    return [
        ScoredPair(*row)
        for row in reading.warehouse.rows(
            "select left_source_system, left_record_id, right_source_system, right_record_id,"
            " case when left_customer_id <> $customer then left_customer_id"
            " when right_customer_id <> $customer then right_customer_id end, score_bits, confidence,"
            f" case when outcome = 'review' then {reading.settings.identity.link_bits} - score_bits end, evidence"
            f" from {reading.records}identity.scored_pairs where outcome = $outcome"
            " and (left_customer_id = $customer or right_customer_id = $customer)"
            " order by score_bits desc, left_source_system, left_record_id, right_source_system, right_record_id"
            f" limit {PAIRS}",
            {"customer": customer, "outcome": outcome},
        )
    ]


def _family(reading: Reading, customer: str) -> list[str]:
    """The customer's id and every id that became it. Deliveries know people by the id of their day."""
    return [
        one
        for (one,) in reading.warehouse.rows(
            "with recursive family(customer_id) as (select cast(? as varchar) union"
            " select merges.previous_customer_id from family inner join identity.customer_merges as merges"
            " on family.customer_id = merges.customer_id and merges.change_kind <> 'split'"
            " where not exists (select 1 from marts.customer_360 as living"
            " where living.customer_id = merges.previous_customer_id))"
            " select customer_id from family order by customer_id",
            [customer],
        )
    ]


def _changes(reading: Reading, family: list[str]) -> list[Change]:
    return [
        Change(*row)
        for row in reading.warehouse.rows(
            "select previous_customer_id, customer_id, change_kind, record_count, reason, changed_as_of"
            " from identity.customer_merges where customer_id in (select unnest($family::varchar[]))"
            " or previous_customer_id in (select unnest($family::varchar[]))"
            " order by changed_as_of desc, previous_customer_id, customer_id",
            {"family": family},
        )
    ]


def _decisions(reading: Reading, customer: str) -> tuple[list[StewardDecision], str | None]:
    """Decisions of the file about records of the customer, superseded ones left out; or why they are not known."""
    if reading.personal_data_problem:
        return [], reading.personal_data_problem
    try:
        decided = holding(read_decisions(reading.settings)).values()
    except LifecycleError as error:
        return [], str(error).splitlines()[0]
    own = _own(reading, customer, {record for one in decided for record in one.pair})
    outcomes = {
        decision_id: (outcome, detail)
        for decision_id, outcome, detail in reading.warehouse.rows(
            "select decision_id, outcome, detail from identity.decision_outcomes where source_system = ?", [STEWARDS]
        )
    }
    found = [
        StewardDecision(
            one.decision_id,
            one.decision,
            one.left.key,
            one.right.key,
            one.decided_at,
            one.decided_by,
            one.reason,
            *outcomes.get(one.decision_id, ("pending", None)),
        )
        for one in decided
        if one.pair & own
    ]
    return found, None


def _own(reading: Reading, customer: str, records: Iterable[Record]) -> set[Record]:
    """Those of some records that are the customer's."""
    named = {record.key: record for record in records}
    return {
        named[key]
        for (key,) in reading.warehouse.rows(
            f"select concat_ws(':', record_table, source_system, record_id) as record_key"
            f" from {PII}.identity.customer_links where customer_id = ?"
            " and concat_ws(':', record_table, source_system, record_id) in (select unnest(?::varchar[]))",
            [customer, list(named)],
        )
    }


# --- lists -----------------------------------------------------------------------------------------------------------


def _lists(reading: Reading, family: list[str], row: dict[str, Any]) -> tuple[Lists, str]:
    """What lists hold of the customer, and where that is known from.

    A run publishes before it delivers, so its own deliveries are in the ledger alone; the publication serves where that
    is not to be had (BI machines, a delivery that holds it).
    """
    source = _attach_ledger(reading)
    changes = f"({SYNC_MEMBERS.format(ledger=f'{_LEDGER}.main.')})" if source == "ledger" else "ops.sync_members"
    has_changes = source == "ledger" or reading.warehouse.has_table("ops.sync_members")
    found = (
        reading.warehouse.rows(
            "select occurred_at, sync_name, operation, reason, outcome, detail"
            f" from {changes} as changes where customer_id in (select unnest(?::varchar[]))"
            f" order by occurred_at desc, sync_name, operation limit {LIST_CHANGES}",
            [family],
        )
        if has_changes
        else []
    )
    standing = _standing(reading, family, row, source)
    return Lists(standing, [ListChange(*one) for one in found]), source


def _attach_ledger(reading: Reading) -> str:
    import duckdb

    path = reading.settings.state.ledger
    if path.exists():
        try:
            attach_ledger(reading.warehouse, path, _LEDGER, wait_seconds=1.0)
        except (LifecycleError, duckdb.Error):
            return "publication"
        return "ledger"
    return "publication"


def _standing(reading: Reading, family: list[str], row: dict[str, Any], source: str) -> list[ListStanding]:
    listed = _listed(reading, family, source)
    standing = []
    for sync in reading.settings.syncs:
        # Without the file of personal data nobody can tell whether an identifier is there.
        kept: dict[str, list[str]] = {"attributes": []}
        if reading.personal_data_problem:
            kept["identifiers"] = []
        wanted = reading.warehouse.rows(
            f"select taken_off from ({desired_sql(sync.model_copy(update=kept), pii_catalog=f'{PII}.')}) as desired"
            " where customer_id = ?",
            [row["customer_id"]],
        )
        since = listed.get(sync.key)
        if wanted or since is not None:
            standing.append(
                ListStanding(
                    sync.key,
                    sync.segment,
                    sync.destination,
                    is_wanted=bool(wanted) and wanted[0][0] is None,
                    held_back=wanted[0][0] if wanted else "left_segment",
                    listed_since_at=since,
                )
            )
    return standing


def _listed(reading: Reading, family: list[str], source: str) -> dict[str, datetime]:
    """Sync → when the row was sent that its list holds of the customer."""
    if source == "ledger":
        destinations = {sync.key: sync.destination for sync in reading.settings.syncs}
        return {
            sync_name: delivered_at
            for sync_name, destination, delivered_at in reading.warehouse.rows(
                f"select sync_name, destination_name, max(delivered_at) from {_LEDGER}.main.deliveries"
                " where customer_id in (select unnest(?::varchar[])) group by sync_name, destination_name",
                [family],
            )
            if destinations.get(sync_name) == destination
        }
    if not reading.warehouse.has_table("ops.sync_members"):
        return {}
    return dict(
        reading.warehouse.rows(
            "select sync_name, max(occurred_at) from ops.sync_members where outcome = 'applied'"
            " and customer_id in (select unnest(?::varchar[])) group by sync_name"
            " having max_by(operation, occurred_at) <> 'remove'",
            [family],
        )
    )
