"""An explanation in sentences, for somebody in marketing or support.

Belongs here: the words for stages, rules, events and lists, and in which order they are said.
Does not belong here: gathering what is said (``explanation.py``), or printing it (``cli.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby
from zoneinfo import ZoneInfo

from lifecycle.serving.explanation import (
    ContactLink,
    Event,
    Explanation,
    ListStanding,
    Membership,
    ScoredPair,
    StageInterval,
    StewardDecision,
)

SHOWN_PAIRS = 5
"""So many pairs of each kind are told; ``--json`` has more."""

RULES = {
    "contact_id": "the contact id",
    "user_id": "the account",
    "email": "the email",
    "phone": "the phone",
    "phone_and_name": "the phone and name",
    "anonymous_id": "a cookie seen with it",
    "probable": "likeness",
    "steward": "a steward's decision",
}
"""Rule → by what a record was brought."""

SHARED = {
    "email": "the same email as another record",
    "user_id": "the same account as another record",
    "phone_and_name": "the same phone and name as another record",
    "phone": "the same phone as another record",
}
"""Rule of a contact record → what it shares."""

HELD_BACK = {
    "unknown_customer": "nothing else is known of them",
    "test_person": "a test person",
    "employee": "an employee",
    "no_consent": "no consent for the list's channel",
    "no_identifier": "nothing to address them by",
    "left_segment": "no longer in the segment",
    "consent_withdrawn": "consent withdrawn",
    "entered": "entered the segment",
    "attributes_changed": "something the list shows changed",
}
"""Reason of the ledger → in words."""

OPERATIONS = {"add": "added", "update": "updated", "remove": "removed"}

RISKS = {
    "overdue": "the next order is overdue",
    "all_refunded": "everything they paid for was refunded",
    "past_due": "a payment for their subscription failed",
    "paused": "their subscription is paused",
    "cancelling": "they asked to cancel their subscription",
    "usage_falling": "they use the product far less than they used to",
    "low_nps": "they would not recommend us",
    "low_csat": "they were not satisfied when last asked",
    "tickets": "several support cases lately, open or about the same thing",
    "quiet": "one purchase, and nothing heard lately",
}
"""Risk of ``lifecycle_risks`` → what it is that speaks for leaving."""

SHOWN_COLLEAGUES = 5
"""So many people of the account are named."""


@dataclass(frozen=True)
class Section:
    """A heading, a note under it, and rows of a short label and a text."""

    title: str
    note: str = ""
    rows: list[tuple[str, str]] = field(default_factory=list)


def narrate(explanation: Explanation, zone: ZoneInfo) -> Iterator[Section]:
    """Sections from the most asked to the least; times in ``zone``."""
    yield _who(explanation, zone)
    yield _stage(explanation, zone)
    yield from _segments(explanation, zone)
    yield _identifiers(explanation)
    yield from _links(explanation)
    yield _timeline(explanation, zone)
    yield _lists(explanation, zone)


def moment(value: datetime | None, zone: ZoneInfo) -> str:
    return "not known when" if value is None else f"{_local(value, zone):%Y-%m-%d %H:%M}"


def day(value: datetime | None, zone: ZoneInfo) -> str:
    return "not known when" if value is None else f"{_local(value, zone):%Y-%m-%d}"


def _local(value: datetime, zone: ZoneInfo) -> datetime:
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(zone)


def money(amount: Decimal | float | None, currency: str | None) -> str:
    return "" if amount is None else f"{amount:,.2f} {currency or ''}".rstrip()


def sureness(confidence: float) -> str:
    """Cut, never rounded up: likeness is never told as certainty, though 54 bits are 1 to a computer."""
    percent = int(confidence * 10_000) / 100
    return "more than 99.99 % sure" if percent >= 99.99 and confidence > 0.9999_5 else f"{percent:.4g} % sure"


def counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _words(name: str | None) -> str:
    return (name or "not known").replace("_", " ")


# --- who and where they stand ----------------------------------------------------------------------------------------


def _who(explanation: Explanation, zone: ZoneInfo) -> Section:
    profile = explanation.profile
    kinds = {
        "customer": f"a customer since {day(profile.became_customer_at, zone)}"
        + (", through their account" if explanation.colleagues and not profile.order_count else ""),
        "lead": "a lead: known by name or address, nothing paid yet",
        "visitor": "a visitor, known by a cookie alone",
    }
    marks = [
        words for words, is_so in (("a test person", profile.is_test), ("an employee", profile.is_employee)) if is_so
    ]
    rows = [
        ("customer", f"{profile.customer_id}, {kinds[profile.kind]}" + "".join(f"; marked as {mark}" for mark in marks))
    ]
    if explanation.previous_id:
        rows.append(("looked for", f"{explanation.previous_id}, which became this customer (changes, below)"))
    elif explanation.found_by != "customer id":
        known = f", in {', '.join(explanation.found_in)}" if explanation.found_in else ""
        rows.append(("looked for", f"{explanation.looked_for}: {explanation.found_by}{known}"))
    if explanation.colleagues:
        rows.append(("account", _shared(explanation.colleagues)))
    place = ", ".join(part for part in (profile.city, profile.region, profile.country) if part)
    rows.append(("place", place or "not known"))
    seen = f"first {day(profile.first_seen_at, zone)}" if profile.first_seen_at else "no record of them has a date"
    if profile.last_activity_at is not None:
        seen += f", last active {day(profile.last_activity_at, zone)}"
    rows.append(("seen", seen))
    if profile.order_count:
        orders = (
            f"{counted(profile.order_count, 'order')}, {money(profile.net_revenue_amount, profile.currency)} net"
            f" of refunds, {money(profile.average_order_amount, profile.currency)} an order"
        )
        rows.append(("orders", f"{orders}; the last on {day(profile.last_order_at, zone)}"))
    else:
        rows.append(("orders", "none"))
    rows += _value(explanation)
    allowed = [name for name, is_given in profile.consents.items() if is_given]
    refused = [name for name, is_given in profile.consents.items() if not is_given]
    said = [f"yes to {', '.join(allowed)}"] if allowed else []
    said += [f"no or nothing said to {', '.join(refused)}"] if refused else []
    rows.append(("marketing", "; ".join(said) or "nothing known"))
    note = ""
    if explanation.basis.is_past_day:
        note = (
            f"As published, of {explanation.basis.published_as_of}; stage, segments and timeline are of the past day."
        )
    return Section("Who it is", note, rows)


def _shared(colleagues: list[str]) -> str:
    others = "1 other person" if len(colleagues) == 1 else f"{len(colleagues):,} other people"
    more = len(colleagues) - SHOWN_COLLEAGUES
    named = [*colleagues[:SHOWN_COLLEAGUES], *([f"{more:,} more"] if more > 0 else [])]
    return f"shares an account, and with it the stage, with {others}: {', '.join(named)}"


def _value(explanation: Explanation) -> Iterator[tuple[str, str]]:
    profile = explanation.profile
    said = []
    if profile.rfm_group and profile.order_count:
        said.append(f"RFM group {_words(profile.rfm_group)}")
    if profile.predicted_clv_12m_amount is not None:
        said.append(f"{money(profile.predicted_clv_12m_amount, profile.currency)} expected in the next 12 months")
    if profile.churn_score is not None:
        said.append(f"{profile.churn_score:.0%} likely to leave")
    if profile.loyalty_tier:
        said.append(f"loyalty tier {profile.loyalty_tier}")
    if profile.plan_name:
        said.append(f"plan {profile.plan_name}")
    if said:
        yield "value", "; ".join(said)


def _stage(explanation: Explanation, zone: ZoneInfo) -> Section:
    stage, basis = explanation.stage, explanation.basis
    title = f"Stage on {basis.as_of}" if basis.is_past_day else "Stage"
    if stage is None:
        return Section(title, rows=[("not known", f"On {basis.as_of} nobody knew them yet.")])
    rows = [(_words(stage.stage), _why(stage, zone)), *_evidence(stage, explanation, zone)]
    flags = explanation.flags
    if flags is not None:
        if flags.is_at_risk:
            risk = RISKS.get(flags.risk_reason or "", _words(flags.risk_reason))
            rows.append(("risk", f"shows signs of leaving: {risk}"))
        names = (
            ("loyal", flags.is_loyal),
            ("an advocate", flags.is_advocate),
            ("lately chose a larger plan or something of a new kind", flags.is_expanding),
        )
        held = [name for name, is_held in names if is_held]
        if held:
            rows.append(("also", ", ".join(held)))
        if flags.highest_stage_reached and flags.highest_stage_reached != stage.stage:
            rows.append(("highest", f"came as far as {_words(flags.highest_stage_reached)}"))
    for number, earlier in enumerate(explanation.earlier_stages):
        label = "before" if number == 0 else ""
        rows.append(
            (
                label,
                f"{_stay(earlier.since_at, earlier.until_at, zone)}"
                f"  {_words(earlier.stage)}: {earlier.reason or 'no reason known'}",
            )
        )
    return Section(title, rows=rows)


def _why(stage: StageInterval, zone: ZoneInfo) -> str:
    if stage.since_at is None:
        return "nothing they did has a date"
    return f"since {day(stage.since_at, zone)}: {stage.reason or 'no reason known'}"


def _evidence(stage: StageInterval, explanation: Explanation, zone: ZoneInfo) -> Iterator[tuple[str, str]]:
    """The event that the stage is counted from, and whose it is if it is a colleague's."""
    if stage.evidence_at is None:
        return
    # What stands in brackets tells a source's record from the same event of another, and nothing more.
    said = f"{(stage.evidence_description or '').partition(' (')[0]} on {day(stage.evidence_at, zone)}"
    if stage.evidence_customer_id != explanation.profile.customer_id:
        said += f", with {stage.evidence_customer_id} of the same account"
    yield "evidence", said


def _stay(since_at: datetime | None, until_at: datetime | None, zone: ZoneInfo) -> str:
    """From when to when; a single day is said once."""
    since, until = day(since_at, zone), day(until_at, zone)
    return since if since == until else f"{since} to {until}"


def _segments(explanation: Explanation, zone: ZoneInfo) -> Iterator[Section]:
    basis = explanation.basis
    title = f"Segments on {basis.as_of}" if basis.is_past_day else "Segments"
    rows = [
        (_words(one.segment_name), f"since {day(one.since_at, zone)}: {one.entry_reason}")
        for one in explanation.segments
    ]
    yield Section(title, rows=rows or [("", "in none")])
    if explanation.left_segments:
        yield Section("Left in the 90 days before", rows=[_left(one, zone) for one in explanation.left_segments])


def _left(one: Membership, zone: ZoneInfo) -> tuple[str, str]:
    stay = _stay(one.since_at, one.until_at, zone)
    return _words(one.segment_name), f"{stay}: {one.entry_reason}; left: {one.exit_reason or 'no reason known'}"


# --- identity --------------------------------------------------------------------------------------------------------


def _identifiers(explanation: Explanation) -> Section:
    problem = explanation.basis.personal_data_problem
    if problem:
        return Section("Identifiers", rows=[("", f"not shown: {problem}. Record ids below are hashes.")])
    rows = []
    for kind, group in groupby(explanation.identifiers, key=lambda one: one.identifier_kind):
        for number, one in enumerate(group):
            sure = "" if one.confidence >= 1 else f" ({sureness(one.confidence)})"
            rows.append(
                (_words(kind) if number == 0 else "", f"{one.identifier_value}  from {', '.join(one.sources)}{sure}")
            )
    return Section("Identifiers", rows=rows or [("", "none: known by a cookie alone")])


def _links(explanation: Explanation) -> Iterator[Section]:
    links = explanation.links
    rows = [
        (_contact(one.source_system, one.record_id), _joined(one, number, explanation))
        for number, one in enumerate(links.contacts)
    ]
    for (source, table), group in groupby(links.others, key=lambda one: (one.source_system, one.record_table)):
        said = [f"{one.record_count:,} by {RULES.get(one.link_rule, _words(one.link_rule))}" for one in group]
        rows.append((f"{source} {_words(table)}", ", ".join(said)))
    note = "Links as they are known today." if explanation.basis.is_past_day else ""
    yield Section("Why these records are one person", note, rows)
    told = {frozenset(_ends(one)) for one in links.contacts if one.matched_record_id is not None}
    pairs = [one for one in links.linked_pairs if frozenset(_sides(one)) not in told]
    if pairs:
        yield Section("Other records that were compared", rows=[_linked(one) for one in pairs[:SHOWN_PAIRS]])
    if links.review_pairs:
        yield Section("May be the same person", rows=list(_reviewed(links.review_pairs)))
    if links.decisions_problem:
        yield Section("What stewards decided", rows=[("", f"not known: {links.decisions_problem}")])
    if links.decisions:
        yield Section("What stewards decided", rows=[_decided(one) for one in links.decisions])
    if links.changes:
        yield Section(
            "Changes of the customer",
            rows=[
                (
                    one.changed_as_of.isoformat(),
                    f"{one.previous_customer_id} {CHANGES.get(one.change_kind, one.change_kind)} {one.customer_id}"
                    f" ({counted(one.record_count, 'record')}): {one.reason}",
                )
                for one in links.changes
            ],
        )


CHANGES = {"merged": "was merged into", "renamed": "is now called", "split": "lost records to"}


def _contact(source: str, record_id: str) -> str:
    return f"{source} contact {_short(record_id)}"


def _short(record_id: str) -> str:
    """A hash by its first letters; every other id as it is."""
    is_hash = len(record_id) == 64 and all(letter in "0123456789abcdef" for letter in record_id)
    return f"{record_id[:10]}…" if is_hash else record_id


def _ends(one: ContactLink) -> tuple[tuple[str, str], tuple[str, str]]:
    return (one.source_system, one.record_id), (one.matched_source_system or "", one.matched_record_id or "")


def _sides(one: ScoredPair) -> tuple[tuple[str, str], tuple[str, str]]:
    return (one.left_source_system, one.left_record_id), (one.right_source_system, one.right_record_id)


def _joined(one: ContactLink, number: int, explanation: Explanation) -> str:
    """The rule of a contact record in words."""
    others = [other for other in explanation.links.contacts if other is not one]
    if one.link_rule == "probable" and one.matched_source_system is not None and one.matched_record_id is not None:
        said = f"likeness to {_contact(one.matched_source_system, one.matched_record_id)}"
        if one.score_bits is not None:
            said += f", {one.score_bits:.1f} bits, {sureness(1 / (1 + 2.0**-one.score_bits))}"
        return said + (f": {one.evidence}" if one.evidence else "")
    if one.link_rule == "steward":
        said = "a steward decided that it is the same person as another record"
    elif one.link_rule in SHARED:
        said = SHARED[one.link_rule]
    elif not others:
        return "the only contact record"
    elif any(other.record_id == one.record_id for other in others):
        said = "the same contact id as another record"
    elif number == 0:
        return "the first record; the others were joined to it"
    else:
        said = "its contact id, on records that carry something of the others"
    if one.confidence < 1:
        said += f"; its group came by likeness, {sureness(one.confidence)}"
    return said


def _linked(one: ScoredPair) -> tuple[str, str]:
    (left_source, left_id), (right_source, right_id) = _sides(one)
    said = f"{_contact(left_source, left_id)} and {_contact(right_source, right_id)}"
    return f"{one.score_bits:.1f} bits", said + (f": {one.evidence}" if one.evidence else "")


def _reviewed(pairs: list[ScoredPair]) -> Iterator[tuple[str, str]]:
    """The best pair with each other customer."""
    best: dict[str | None, ScoredPair] = {}
    for one in pairs:
        best.setdefault(one.other_customer_id, one)
    for customer, one in list(best.items())[:SHOWN_PAIRS]:
        (left_source, left_id), (right_source, right_id) = _sides(one)
        missing = one.missing_bits or 0.0
        said = (
            f"{missing:.1f} bits short of the line"
            if missing > 0
            else f"{one.score_bits:.1f} bits for it, but other records of the two speak against it"
        )
        said += f"; {_contact(left_source, left_id)} and {_contact(right_source, right_id)}"
        yield str(customer), said + (f": {one.evidence}" if one.evidence else "")


def _decided(one: StewardDecision) -> tuple[str, str]:
    words = "are the same person" if one.decision == "same" else "are different people"
    by = f" by {one.decided_by}" if one.decided_by else ""
    states = {
        "applied": "holds",
        "pending": "holds from the next run",
        "superseded": "does not hold: a later decision on the two records does",
        "not applied": f"does not hold: {one.detail or 'other decisions contradict it'}",
    }
    state = states.get(one.outcome, one.outcome)
    return (
        one.decided_at[:10],
        f"{one.left_record} and {one.right_record} {words}, decided{by}: {one.reason or 'no reason given'} ({state})",
    )


# --- what happened and what was sent ---------------------------------------------------------------------------------


def _timeline(explanation: Explanation, zone: ZoneInfo) -> Section:
    basis, shown = explanation.basis, len(explanation.timeline)
    title = f"Timeline until {basis.as_of}" if basis.is_past_day else "Timeline"
    note = f"The last {shown} of {explanation.event_count:,} events, newest first, in {basis.timezone} time."
    rows = [(moment(one.occurred_at, zone), _event(one)) for one in explanation.timeline]
    return Section(title, note if rows else "", rows or [("", "nothing with a date")])


def _event(one: Event) -> str:
    said = one.description
    about = [
        money(one.amount, one.currency) if one.amount is not None else "",
        f"order {one.order_id}" if one.order_id else "",
        f"ticket {one.ticket_id}" if one.ticket_id else "",
        f"product {one.product_id}" if one.product_id else "",
        f"campaign {one.campaign_id}" if one.campaign_id else "",
    ]
    said += "".join(f", {part}" for part in about if part)
    channel = _words(one.channel) if one.channel else ""
    source = one.source_system if one.source_system != one.channel else ""
    where = ", ".join(part for part in (channel, source) if part)
    return f"{said}  ({where})" if where else said


def _lists(explanation: Explanation, zone: ZoneInfo) -> Section:
    is_known = explanation.basis.lists_from == "ledger"
    rows = [(one.sync_name, _stands(one, zone, is_known=is_known)) for one in explanation.lists.standing]
    for change in explanation.lists.changes:
        operation = OPERATIONS.get(change.operation, change.operation)
        outcome = "" if change.outcome == "applied" else f" ({_words(change.outcome)})"
        reason = HELD_BACK.get(change.reason, _words(change.reason))
        detail = f": {change.detail}" if change.detail else ""
        rows.append((moment(change.occurred_at, zone), f"{operation} · {change.sync_name} · {reason}{detail}{outcome}"))
    note = ""
    if rows and not is_known:
        note = f"As of run {explanation.basis.run_id[:8]}; what was delivered after it is not in it."
    return Section("Lists", note, rows or [("", "on none, and never was")])


def _stands(one: ListStanding, zone: ZoneInfo, *, is_known: bool) -> str:
    """``is_known``: whether every delivery is known, or those before the publication alone."""
    since = day(one.listed_since_at, zone) if one.listed_since_at is not None else None
    reason = HELD_BACK.get(one.held_back or "", _words(one.held_back))
    if one.is_wanted:
        where = f"on the list at {one.destination_name}"
        if since:
            return f"{where}, as sent on {since}"
        return "wanted, and not delivered yet" if is_known else "wanted; not delivered before the publication"
    if since:
        return f"still on the list at {one.destination_name}, to be taken off at the next delivery: {reason}"
    return f"held back: {reason}"
