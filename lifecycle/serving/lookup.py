"""Finding people and records in the current publication by what somebody types.

Belongs here: opening both published files for reading, and following an id, an email, a phone, a contact id or a record
key to customers and to single records.
Does not belong here: what is said about whoever was found (``explanation.py``).

A value is found when it is the same, never when it is nearly the same: a slip of the finger shows nobody else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC
from typing import TYPE_CHECKING, Any

from lifecycle.errors import LifecycleError
from lifecycle.identity import normalize
from lifecycle.identity.decisions import Record, read_decisions
from lifecycle.publishing.plan import PII, open_published
from lifecycle.serving.publication import PII_FILE, Publication, current
from lifecycle.sources.contract import TABLES
from lifecycle.warehouse import Warehouse, literal

if TYPE_CHECKING:
    from lifecycle.settings import Settings

STRONG_RULES = ("contact_id", "user_id", "email")
"""Rules of records, other than contacts, that carry an identifier which a decision can hold on to."""

WEAK_RULES = ("phone", "anonymous_id")
"""Rules of records without one: a decision about them is not applied."""

_FIRST = "linked_at asc nulls first, source_system asc, record_table asc, record_id asc"
"""The order in which records name a customer: one without a date has always been there."""

SHOWN = 20
"""So many matches are listed, the others counted."""

NEEDED = (
    "marts.customer_360",
    "marts.customer_lifecycle_history",
    "marts.customer_timeline",
    "identity.customer_links",
    "identity.customer_merges",
    "identity.scored_pairs",
    "identity.decision_outcomes",
    "segments.segment_history",
)
"""Tables without which nobody can be found or explained."""


@dataclass(frozen=True)
class Found:
    """A customer and what of them was typed.

    ``kind`` is customer id, email, phone, contact id or record; ``sources`` are those that know it. ``previous_id`` is
    an id that the customer had before, when that was typed.
    """

    customer_id: str
    kind: str
    sources: tuple[str, ...] = ()
    previous_id: str | None = None


@dataclass(frozen=True)
class Candidate:
    """One of several customers or records that fit: what to type for it, and what tells it apart."""

    name: str
    customer_id: str
    found_as: str
    facts: str


class AmbiguousError(LifecycleError):
    """Several fit. ``candidates`` are all of them, the message lists the first ones."""

    def __init__(self, problem: str, candidates: Sequence[Candidate], *, remedy: str) -> None:
        self.candidates = tuple(candidates)
        lines = [
            f"  {one.name}  {one.found_as}" + (f" · {one.facts}" if one.facts else "") for one in candidates[:SHOWN]
        ]
        if len(candidates) > SHOWN:
            lines.append(f"  and {len(candidates) - SHOWN:,} more")
        super().__init__("\n".join((problem, *lines)), remedy=remedy)


@dataclass(frozen=True)
class Reading:
    """The current publication, open for reading.

    ``personal_data_problem`` says why the file with personal data cannot be read; null when it is open. ``records`` is
    the prefix of tables that name records: those of that file, else the hashed ones of the other.
    """

    settings: Settings
    publication: Publication
    warehouse: Warehouse
    personal_data_problem: str | None
    records: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "records", "" if self.personal_data_problem else f"{PII}.")

    @property
    def where(self) -> str:
        return f"publication as of {self.publication.as_of}, run {self.publication.run_id}"


@contextmanager
def open_current(settings: Settings) -> Iterator[Reading]:
    """Open the current publication, both files where that is allowed.

    Raises LifecycleError when nothing is published, or when it was written by a version that published less.
    """
    import duckdb

    try:
        publication = current(settings.state)
    except OSError as error:
        raise _unpublished(settings, f"the current publication cannot be read: {error.strerror or error}") from error
    if publication is None:
        raise _unpublished(settings, "nothing is published yet")
    with open_published(settings, publication) as warehouse:
        known = {
            name
            for (name,) in warehouse.rows(
                "select schema_name || '.' || table_name from duckdb_tables() where database_name = current_database()"
            )
        }
        missing = [name for name in NEEDED if name not in known]
        if missing:
            raise LifecycleError(
                f"the publication has no {', '.join(missing)}",
                where=str(publication.database),
                remedy="An earlier version wrote it. Run the pipeline once: `lifecycle run`.",
            )
        problem = None
        if not publication.pii_database.exists():
            problem = f"{PII_FILE} is not there"
        else:
            try:
                warehouse.run(f"attach {literal(str(publication.pii_database))} as {PII} (read_only)")
            except duckdb.Error as error:
                denied = "ermission denied" in str(error)
                problem = f"{PII_FILE} " + ("may not be read by this account" if denied else "cannot be read")
        yield Reading(settings, publication, warehouse, problem)


def _unpublished(settings: Settings, problem: str) -> LifecycleError:
    return LifecycleError(problem, where=str(settings.state.serving), remedy="Run the pipeline first: `lifecycle run`.")


# --- customers -------------------------------------------------------------------------------------------------------


def find_customer(reading: Reading, typed: str) -> Found:
    """The one customer that is meant. Raises AmbiguousError for several, LifecycleError for none."""
    text = typed.strip()
    if not text:
        raise LifecycleError(
            "nothing was typed to look for", remedy="Type a customer id, an email, a phone or a contact id."
        )
    found, looked_for = _search(reading, text)
    if len(found) == 1:
        return found[0]
    if not found:
        raise _nobody(reading, text, looked_for)
    raise AmbiguousError(
        f"'{text}' fits {len(found):,} customers",
        _told_apart(reading, found),
        remedy="Type the customer id of the one you mean.",
    )


def _search(reading: Reading, text: str) -> tuple[list[Found], list[str]]:
    """Everybody whom a text fits, by customer id, and what was looked for in words."""
    looked_for = ["a customer id"]
    found = _by_customer_id(reading, text)
    if found or reading.personal_data_problem:
        return found, looked_for
    parts = text.split(":")
    if "@" in text and len(parts) == 1:
        looked_for.append("an email")
        found = _by_email(reading, text)
    if len(parts) > 1:
        looked_for.append("a record (table:source:id) or contact (source:id)")
        found = _by_key(reading, text)
    looked_for.append("a contact id")
    found = found or _by_contact(
        reading, "identifier_kind = 'contact_id' and identifier_value = ?", [text], "contact id"
    )
    if looks_like_phone(text):
        numbers = _numbers(reading, text)
        looked_for.append(f"a phone ({', '.join(numbers) or 'not a number that can exist'})")
        places = ", ".join("?" * len(numbers)) or "null"
        by_phone = _by_contact(
            reading, f"identifier_kind = 'phone' and identifier_value in ({places})", numbers, "phone"
        )
        # Digits alone may be a contact id of one and the phone of another.
        found = _united(found, by_phone)
    if not found:
        looked_for.append("an order, ticket or other record with this id")
        found = _by_record(reading, "record_id = ?", [text])
    return found, looked_for


def _united(one: list[Found], other: list[Found]) -> list[Found]:
    known = {found.customer_id for found in one}
    return [*one, *(found for found in other if found.customer_id not in known)]


def _by_customer_id(reading: Reading, text: str) -> list[Found]:
    wanted = [text, text.lower()]
    rows = reading.warehouse.rows("select customer_id from marts.customer_360 where customer_id in (?, ?)", wanted)
    if rows:
        return [Found(rows[0][0], "customer id")]
    return [
        Found(customer_id, "customer id", previous_id=text.lower()) for customer_id in _followed(reading, text.lower())
    ]


def _followed(reading: Reading, previous_id: str) -> list[str]:
    """Who an id that is gone became: the last change of each id on the way counts."""
    return [
        customer_id
        for (customer_id,) in reading.warehouse.rows(
            "with recursive latest as (select previous_customer_id, customer_id from identity.customer_merges"
            " qualify rank() over (partition by previous_customer_id order by changed_as_of desc) = 1),"
            " reached(customer_id) as (select cast(? as varchar) union select latest.customer_id from reached"
            " inner join latest on reached.customer_id = latest.previous_customer_id"
            # An id that is still there is where the way ends: what split off it went elsewhere.
            " where not exists (select 1 from marts.customer_360 as living"
            " where living.customer_id = reached.customer_id))"
            " select customer_id from reached semi join marts.customer_360 using (customer_id) order by customer_id",
            [previous_id],
        )
    ]


def _by_email(reading: Reading, text: str) -> list[Found]:
    """By an email in any case, also when it is written otherwise where that makes no difference (gmail)."""
    email = text.lower()
    is_ordinary, key = reading.warehouse.rows(
        f"select {normalize.is_ordinary('email')}, {normalize.comparable('email')}"
        " from (select cast(? as varchar) as email)",
        [email],
    )[0]
    if not is_ordinary:
        key = normalize.judge_email(email)[0] or email
    stored = "lower(trim(identifier_value))"
    return _by_contact(
        reading,
        f"identifier_kind = 'email' and ({stored} in (?, ?)"
        f" or ({normalize.is_ordinary(stored)} and {normalize.comparable(stored)} = ?))",
        [email, key, key],
        "email",
    )


def _by_key(reading: Reading, text: str) -> list[Found]:
    """By ``table:source:record id``, or ``source:contact id``; an id may itself hold colons."""
    found: list[Found] = []
    for record in _keys(text):
        found = found or _by_record(
            reading,
            "source_system = ? and record_table = ? and record_id = ?",
            [record.source_system, record.record_table, record.record_id],
        )
    if found:
        return found
    source, _, contact_id = text.partition(":")
    return _by_contact(
        reading,
        "identifier_kind = 'contact_id' and source_system = ? and identifier_value = ?",
        [source, contact_id],
        "contact id",
    )


def _keys(text: str) -> list[Record]:
    """The records that a text with colons may name."""
    first, _, rest = text.partition(":")
    second, _, last = rest.partition(":")
    records = []
    if first in TABLES and last:
        records.append(Record(second, first, last))
    if rest:
        records.append(Record(first, "contacts", rest))
    return records


def _by_contact(reading: Reading, condition: str, parameters: Sequence[str], kind: str) -> list[Found]:
    return [
        Found(customer_id, kind, tuple(sources))
        for customer_id, sources in reading.warehouse.rows(
            "select customer_id, list(distinct source_system order by source_system)"
            f" from {PII}.marts.customer_contacts"
            f" where {condition} group by customer_id order by customer_id",
            list(parameters),
        )
    ]


def _by_record(reading: Reading, condition: str, parameters: Sequence[str]) -> list[Found]:
    return [
        Found(customer_id, "record", tuple(sources))
        for customer_id, sources in reading.warehouse.rows(
            "select customer_id, list(distinct record_table || ' of ' || source_system order by record_table || ' of '"
            f" || source_system) from {PII}.identity.customer_links where {condition}"
            " group by customer_id order by customer_id",
            list(parameters),
        )
    ]


def looks_like_phone(text: str) -> bool:
    """Whether a text could be a phone: digits, and between them only what people put there."""
    return bool(re.fullmatch(r"\+?[\d\s().\-/]+", text)) and sum(character.isdigit() for character in text) >= 6


def _numbers(reading: Reading, text: str) -> list[str]:
    """The phone in E.164 form: by the rules of the default country, else of each country that customers live in."""
    default = reading.settings.identity.default_country
    countries: list[str | None] = [default]
    if default is None and not text.lstrip().startswith("+"):
        countries = [
            country
            for (country,) in reading.warehouse.rows(
                "select country from marts.customer_360 where country is not null group by country"
                " order by count(*) desc, country limit 20"
            )
        ] or [None]
    judged = (normalize.judge_phone(text, country)[0] for country in countries)
    return sorted({number for number in judged if number})


def _nobody(reading: Reading, text: str, looked_for: list[str]) -> LifecycleError:
    if reading.personal_data_problem:
        return LifecycleError(
            f"no customer has the id '{text}', and only customer ids can be looked up: {reading.personal_data_problem}",
            where=reading.where,
            remedy=f"Ask somebody who may read {PII_FILE}, or look with a customer id (c_...).",
        )
    blocked = _why_it_links_nobody(reading, text)
    remedy = "Look at the spelling; what came after that day is known after the next `lifecycle run`."
    if looks_like_phone(text) and not text.startswith("+"):
        remedy = f"Write a phone with its country code (+...). {remedy}"
    return LifecycleError(
        f"nobody is found for '{text}'"
        + (f": it is known, but brings records to nobody ({blocked})" if blocked else ""),
        where=reading.where,
        remedy=f"Looked for: {', '.join(looked_for)}.\n  {remedy}",
    )


def _why_it_links_nobody(reading: Reading, text: str) -> str | None:
    values = [text, text.lower(), *(_numbers(reading, text) if looks_like_phone(text) else [])]
    reason: str | None = reading.warehouse.scalar(
        f"select string_agg(distinct reason, ', ' order by reason) from {reading.records}identity.blocked_identifiers"
        f" where identifier_kind in ('email', 'phone') and identifier_value in ({', '.join('?' * len(values))})",
        values,
    )
    return reason


def _told_apart(reading: Reading, found: Sequence[Found]) -> list[Candidate]:
    """Where each stands in the company's eyes: enough to choose, and nothing that says who they are."""
    rows = _profiles(reading, [one.customer_id for one in found])
    return [
        Candidate(
            one.customer_id,
            one.customer_id,
            _found_as(one),
            _facts(rows.get(one.customer_id, {}), reading),
        )
        for one in found
    ]


def _found_as(one: Found) -> str:
    if one.previous_id is not None:
        return f"has records of {one.previous_id}"
    if not one.sources:
        return one.kind
    return f"{one.kind} {'in' if one.kind == 'record' else 'of'} {', '.join(one.sources)}"


def _profiles(reading: Reading, customer_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    return {
        row["customer_id"]: row
        for row in reading.warehouse.dicts(
            "select * from marts.customer_360 where customer_id in (select unnest(?::varchar[]))", [list(customer_ids)]
        )
    }


def kind_of(profile: dict[str, Any]) -> str:
    """customer (something was paid), lead (known by name), visitor (known by a cookie alone)."""
    if profile.get("became_customer_at") is not None:
        return "customer"
    return "visitor" if profile.get("is_anonymous") else "lead"


def _facts(profile: dict[str, Any], reading: Reading) -> str:
    count = profile.get("order_count") or 0
    said = [
        kind_of(profile),
        ", ".join(profile[name] for name in ("city", "country") if profile.get(name)),
        f"{count:,} orders" if count != 1 else "1 order",
    ]
    for words, name in (("first seen", "first_seen_at"), ("last order", "last_order_at")):
        if profile.get(name) is not None:
            moment = profile[name].replace(tzinfo=UTC).astimezone(reading.settings.zone)
            said.append(f"{words} {moment:%Y-%m-%d}")
    said += [
        words for words, name in (("a test person", "is_test"), ("an employee", "is_employee")) if profile.get(name)
    ]
    return ", ".join(part for part in said if part)


# --- records ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LinkedRecord:
    """A record, whose it is and by which rule."""

    record: Record
    customer_id: str
    link_rule: str


def find_record(reading: Reading, typed: str) -> LinkedRecord:
    """The one record that a text stands for, for a decision about it.

    A record key or ``source:contact id`` is that record. A customer id stands for the earliest contact record, else the
    earliest record with a contact id, account or email; an id that the customer had before for the record that it was
    made of. An email, phone or contact id stands for the contact record that carries it. Raises AmbiguousError with
    the records that may be meant, LifecycleError for none or one that no decision can hold on to.
    """
    if reading.personal_data_problem:
        raise LifecycleError(
            f"decisions name records, and those are only in {PII_FILE}: {reading.personal_data_problem}",
            where=reading.where,
            remedy="Ask somebody who may read it.",
        )
    text = typed.strip()
    for record in _keys(text):
        named = _linked(
            reading,
            "source_system = ? and record_table = ? and record_id = ?",
            [record.source_system, record.record_table, record.record_id],
        )
        if named:
            return _usable(named[0])
    if not text:
        raise LifecycleError("nothing was typed to look for", remedy="Name two records or customers.")
    found, looked_for = _search(reading, text)
    if not found:
        raise _nobody(reading, text, looked_for)
    if found[0].kind == "customer id":
        return _of_customer(reading, text, found)
    carriers = _carriers(reading, text, found)
    if len(carriers) == 1:
        return _usable(carriers[0])
    raise _unclear(reading, text, carriers or _contacts_of(reading, found))


def _linked(reading: Reading, condition: str, parameters: Sequence[Any]) -> list[LinkedRecord]:
    """Records in the order in which they name a customer."""
    return [
        LinkedRecord(Record(source, table, record_id), customer_id, rule)
        for source, table, record_id, customer_id, rule in reading.warehouse.rows(
            "select source_system, record_table, record_id, customer_id, link_rule"
            f" from {PII}.identity.customer_links where {condition} order by {_FIRST}",
            list(parameters),
        )
    ]


def _usable(linked: LinkedRecord) -> LinkedRecord:
    if linked.link_rule in WEAK_RULES:
        known_by = "a cookie" if linked.link_rule == "anonymous_id" else "a phone"
        raise LifecycleError(
            f"{linked.record.key} says who it is of by {known_by} alone, so no decision can hold on to it",
            remedy=f"Name a record with a contact id, an account or an email: `lifecycle explain {linked.customer_id}`"
            " lists those of this customer.",
        )
    return linked


def _of_customer(reading: Reading, text: str, found: Sequence[Found]) -> LinkedRecord:
    if found[0].previous_id is not None:
        made_of = _linked(
            reading,
            "'c_' || substr(md5(concat_ws('|', source_system, record_table, record_id)), 1, 20) = ?",
            [found[0].previous_id],
        )
        if made_of:
            return _usable(made_of[0])
        raise _unclear(reading, text, _contacts_of(reading, found))
    customer = [found[0].customer_id]
    contacts = _linked(reading, "customer_id = ? and record_table = 'contacts'", customer)
    rules = ", ".join(literal(rule) for rule in STRONG_RULES)
    stands_for = contacts or _linked(reading, f"customer_id = ? and link_rule in ({rules})", customer)
    if stands_for:
        return stands_for[0]
    raise LifecycleError(
        f"customer {text} is known by a cookie or phone alone, so no decision can hold on to a record of theirs",
        where=reading.where,
        remedy="Their visits follow by themselves when the cookie is seen with an account or email.",
    )


def _carriers(reading: Reading, text: str, found: Sequence[Found]) -> list[LinkedRecord]:
    """The records that carry what was typed, as far as the publication tells."""
    carriers: list[LinkedRecord] = []
    for one in found:
        if one.kind == "record":
            carriers += _linked(reading, "customer_id = ? and record_id = ?", [one.customer_id, text])
        elif one.kind == "contact id":
            contact_id = text.partition(":")[2] or text
            for value in dict.fromkeys((text, contact_id)):
                carriers += _linked(
                    reading,
                    "customer_id = ? and record_table = 'contacts' and record_id = ?",
                    [one.customer_id, value],
                )
        else:
            own = _linked(
                reading,
                "customer_id = ? and record_table = 'contacts' and source_system in (select unnest(?::varchar[]))",
                [one.customer_id, list(one.sources)],
            )
            has_contacts = own or _linked(reading, "customer_id = ? and record_table = 'contacts'", [one.customer_id])
            carriers += own if has_contacts else [_of_customer(reading, one.customer_id, [Found(one.customer_id, "")])]
    return carriers


def _contacts_of(reading: Reading, found: Sequence[Found]) -> list[LinkedRecord]:
    return _linked(
        reading,
        "customer_id in (select unnest(?::varchar[])) and record_table = 'contacts'",
        [[one.customer_id for one in found]],
    )


def _unclear(reading: Reading, text: str, records: Sequence[LinkedRecord]) -> LifecycleError:
    if not records:
        return LifecycleError(
            f"'{text}' stands for no record that a decision could name",
            where=reading.where,
            remedy="Name a record itself, as table:source:id.",
        )
    rows = _profiles(reading, [one.customer_id for one in records])
    return AmbiguousError(
        f"which record '{text}' stands for is unclear",
        [
            Candidate(
                one.record.key,
                one.customer_id,
                f"customer {one.customer_id}",
                _facts(rows.get(one.customer_id, {}), reading),
            )
            for one in records
        ],
        remedy="Name the record itself.",
    )


# --- pairs for review ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ReviewPair:
    """The likeliest pair of records of two customers, and how many other pairs of theirs are for review."""

    left: Record
    right: Record
    left_customer_id: str
    right_customer_id: str
    score_bits: float
    confidence: float
    evidence: str | None
    other_count: int = 0


@dataclass(frozen=True)
class Review:
    """``customer_pair_count`` counts those that wait, ``decided_count`` those that the decisions file decides."""

    pairs: list[ReviewPair]
    customer_pair_count: int
    decided_count: int


def review_pairs(reading: Reading, *, limit: int) -> Review:
    """Who may be the same person, most likely first, each two customers once.

    A decision about one pair of their records is one about the two customers, so the others need not be asked. Those
    that the decisions file decides are left out; most were decided after the publication.
    """
    if reading.personal_data_problem:
        raise LifecycleError(
            f"pairs for review name records, and those are only in {PII_FILE}: {reading.personal_data_problem}",
            where=reading.where,
            remedy="Ask somebody who may read it.",
        )
    decided = _decided_customers(reading)
    best: dict[frozenset[str], list[ReviewPair]] = {}
    for left_source, left_id, right_source, right_id, *others in reading.warehouse.rows(
        "select left_source_system, left_record_id, right_source_system, right_record_id, left_customer_id,"
        f" right_customer_id, score_bits, confidence, evidence from {PII}.identity.scored_pairs"
        " where outcome = 'review' order by score_bits desc, left_source_system, left_record_id, right_source_system,"
        " right_record_id"
    ):
        left, right = Record(left_source, "contacts", left_id), Record(right_source, "contacts", right_id)
        pair = ReviewPair(left, right, *others)
        best.setdefault(frozenset((pair.left_customer_id, pair.right_customer_id)), []).append(pair)
    likeliest = [
        replace(pairs[0], other_count=len(pairs) - 1) for customers, pairs in best.items() if customers not in decided
    ]
    return Review(likeliest[:limit], len(likeliest), len(best) - len(likeliest))


def _decided_customers(reading: Reading) -> set[frozenset[str]]:
    """Pairs of today's customers about whose records the decisions file says something."""
    pairs = [decision.pair for decision in read_decisions(reading.settings)]
    keys = sorted({record.key for pair in pairs for record in pair})
    owners = dict(
        reading.warehouse.rows(
            f"select concat_ws(':', record_table, source_system, record_id) as record_key, customer_id"
            f" from {PII}.identity.customer_links"
            " where concat_ws(':', record_table, source_system, record_id) in (select unnest(?::varchar[]))",
            [keys],
        )
    )
    return {frozenset(owners.get(record.key, record.key) for record in pair) for pair in pairs}
