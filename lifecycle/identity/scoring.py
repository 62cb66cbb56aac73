"""Probable links: how much speaks for two contact records being one person, in bits.

Belongs here: which pairs are looked at (blocking), the weights and the score.
Does not belong here: which pairs become links (``resolution.py``) and how groups of pairs are cut (``clusters.py``).

The score is that of Fellegi and Sunter (1969, "A theory for record linkage"): for each field the logarithm of how much
more often its agreement is seen between two records of one person than between two strangers. The weights are shipped,
not trained: they hold for any data, and the same pair always gets the same score. A rare value weighs more than a
common one, and is counted in the data itself. docs/identity.md explains every number.
"""

from __future__ import annotations

from dataclasses import dataclass

from lifecycle.identity import normalize
from lifecycle.warehouse import Warehouse

PEOPLE = "identity_people"
"""Contact records, folded: one row each, numbered by their content so that no order of rows matters."""

NICKNAMES = "seeds.nicknames"

MAX_BLOCK = 30
"""A key that more records share than this proposes no pairs."""

MAX_WEAK_BLOCK = 8
"""The same for keys of two parts that say little each: in a large company most of their pairs are strangers."""

GUARD_BITS = -10.0
"""The most that a pair with different first names and birth dates can reach: people of one household."""

GUARD_BITS_WITHOUT_BIRTH_DATE = -1.0
"""The same with different first names, where a birth date is not known."""

GUARD_BITS_WITHOUT_FIRST_NAME = 0.0
"""The same with different birth dates, where no first name agrees."""

GUARD_BITS_OF_A_RECYCLED_EMAIL = -1.0
"""The same with different birth dates and one email, where no first name agrees."""

GUARD_BITS_OF_A_HOUSEHOLD = 0.0
"""The same where neither first name nor birth date nor email speaks for one person."""

FEWEST_RECORDS = 1_000
"""In a small company too, two records of a common name are no better proof than elsewhere."""

OWN_DUPLICATES = 4
"""A value is common when strangers share it; this many records of it may be the person's own."""


@dataclass(frozen=True)
class Equality:
    """What equal values say: seen in ``agreement`` of true pairs, in at least ``chance`` of pairs of strangers."""

    agreement: float
    chance: float


COMMON_NAME = 0.001
"""The share of records from which a name is one that people bear, and no misspelling of another."""

NAME = Equality(0.62, 0.0005)
BIRTH_DATE = Equality(0.66, 0.00005)
EMAIL = Equality(0.55, 0.00002)
CITY = Equality(0.62, 0.001)
POSTCODE = Equality(0.75, 0.0003)
STREET = Equality(0.40, 0.0001)

_WEIGHED = {
    "first_name": NAME,
    "last_name": NAME,
    "birth_date": BIRTH_DATE,
    "email": EMAIL,
    "city": CITY,
    "postcode": POSTCODE,
    "street": STREET,
}

_COMPARED = ("first_name", "last_name", "email_local", "phone", "city", "postcode", "street", "street_letters")
"""Texts that are compared letter by letter."""


# --- records ---------------------------------------------------------------------------------------------------------


def prepare_people(warehouse: Warehouse, records: str) -> int:
    """Write the temporary table of folded contact records; returns how many there are.

    ``records`` is a query with the columns record_key, node, first_name, last_name, birth_date, street, city, postcode
    (as they came), email and phone (comparable, or null). ``node`` is the contact that the record describes.
    """
    fold = normalize
    warehouse.run(
        "create or replace temp table folded_people as"
        f" select record_key, node, {fold.folded_name('first_name')} as first_name,"
        f" {fold.folded_name('last_name')} as last_name,"
        " case when length(digits) = 8 then digits end as birth_date,"
        f" {fold.folded_words('street')} as street, {fold.folded('city')} as city,"
        f" {fold.folded('postcode')} as postcode, email,"
        f" {fold.folded('split_part(email, ' + chr(39) + '@' + chr(39) + ', 1)')} as email_local,"
        f" {fold.folded('split_part(email, ' + chr(39) + '@' + chr(39) + ', 2)')} as email_domain,"
        " regexp_replace(phone, '[^0-9]', '', 'g') as phone from (select *,"
        " regexp_replace(cast(birth_date as varchar), '[^0-9]', '', 'g') as digits"
        f" from ({records}) as given) as given"
    )
    warehouse.run(
        "create or replace temp table numbered_people as select cast(row_number() over (order by first_name nulls last,"
        " last_name nulls last, birth_date nulls last, street nulls last, city nulls last, postcode nulls last,"
        " email nulls last, phone nulls last, record_key nulls last) as integer) as number, *,"
        f" {fold.sorted_letters('first_name')} as first_letters, {fold.sorted_letters('last_name')} as last_letters,"
        f" {fold.sorted_letters('postcode')} as postcode_letters,"
        " regexp_replace(street, '[0-9 ]', '', 'g') as street_letters,"
        " nullif(regexp_extract(street, '[0-9]+'), '') as house_number,"
        " regexp_replace(email_local, '[^0-9]', '', 'g') as email_digits,"
        " cast(substr(birth_date, 1, 4) as smallint) as birth_year,"
        " coalesce(length(first_name) >= 3 and contains(email_local, first_name), false) as has_first_name_in_email,"
        " coalesce(length(last_name) >= 3 and contains(email_local, last_name), false) as has_last_name_in_email,"
        f" {', '.join(f'{fold.letter_set(name)} as {name}_set' for name in _COMPARED)} from folded_people"
    )
    counts = " ".join(
        f"left join (select {name}, count(*) as {name}_count from numbered_people where {name} is not null"
        f" group by {name}) as of_{name} using ({name})"
        for name in _WEIGHED
    )
    totals = ", ".join(f"count({name}) as {name}_total" for name in _WEIGHED)
    chances = ", ".join(
        f"greatest({weight.chance}, ({name}_count - {OWN_DUPLICATES}) / nullif(cast({name}_total as double), 0))"
        f" as {name}_chance"
        for name, weight in _WEIGHED.items()
    )
    warehouse.run(
        f"create or replace temp table {PEOPLE} as select people.*, {chances},"
        f" coalesce({NICKNAMES}.first_name, people.first_name) as full_first_name from (select numbered_people.*,"
        f" {', '.join(name + '_count' for name in _WEIGHED)} from numbered_people {counts}) as people"
        f" cross join (select {totals} from numbered_people) as totals"
        f" left join {NICKNAMES} on people.first_name = {NICKNAMES}.nickname order by number"
    )
    for table in ("folded_people", "numbered_people"):
        warehouse.run(f"drop table {table}")
    return int(warehouse.scalar(f"select count(*) from {PEOPLE}"))


# --- candidate pairs -------------------------------------------------------------------------------------------------

_DATES = {
    "ym": "substr(birth_date, 1, 6)",
    "md": "substr(birth_date, 5, 4)",
    "yd": "substr(birth_date, 1, 4) || substr(birth_date, 7, 2)",
}


@dataclass(frozen=True)
class _KeyGroup:
    """Blocking keys that are exploded together: each is SQL over a record, null where it proposes nothing."""

    keys: list[str]
    max_block: int
    over_words: bool
    """Over the words of a record (``token``, ``skeleton``), whichever field they stand in: swapped names and names
    inside emails meet too."""


def _key_groups() -> list[_KeyGroup]:
    token, skeleton, start = "token", "skeleton", "substr(token, 1, 3)"
    whole = [
        "email",
        "case when length(email_local) >= 5 then email_local end",
        "right(phone, 9)",
        "birth_date",
        "street || '/' || substr(city, 1, 4)",
        "street || '/' || postcode",
        "city || '/' || postcode",
        "house_number || substr(street_letters, 1, 3) || '/' || substr(postcode, 1, 3)",
        "email_domain || '/' || substr(email_local, 1, 3)",
        "email_domain || '/' || right(email_local, 3)",
        "substr(email_local, 3, 4) || '/' || substr(email_domain, 1, 3)",
    ]
    places = ["substr(city, 1, 5)", "postcode", "email_domain", "substr(email_local, 1, 3)"]
    dated_places = [f"{place} || '/' || {date}" for place in places for date in _DATES.values()]
    dated = {word: [f"{word} || '/' || {date}" for date in _DATES.values()] for word in (token, skeleton, start)}
    placed_words = [
        f"{word} || '/' || {other}"
        for word in (token, skeleton)
        for other in ("substr(birth_date, 1, 4)", "substr(city, 1, 5)", "email_domain")
    ]
    rest = [
        f"{token} || '/' || postcode",
        f"{token} || '/' || substr(email_local, 1, 4)",
        f"{token} || '/' || street",
        f"{skeleton} || '/' || substr(postcode, 1, 3)",
        f"{skeleton} || '/' || substr(other_token, 1, 2)",
        f"least({skeleton}, other_skeleton) || '/' || greatest({skeleton}, other_skeleton)",
    ]
    return [
        _KeyGroup(whole, MAX_BLOCK, over_words=False),
        _KeyGroup(dated_places, MAX_WEAK_BLOCK, over_words=False),
        _KeyGroup(dated[token], MAX_BLOCK, over_words=True),
        _KeyGroup([*dated[skeleton], *dated[start]], MAX_WEAK_BLOCK, over_words=True),
        _KeyGroup(placed_words, MAX_WEAK_BLOCK, over_words=True),
        _KeyGroup(rest, MAX_BLOCK, over_words=True),
    ]


def propose_pairs(warehouse: Warehouse) -> int:
    """Write the temporary table ``identity_pairs`` (left_number < right_number) of pairs worth scoring.

    Pairs of one node are left out: the same contact needs no proof. Returns how many pairs there are.
    """
    run = warehouse.run
    words = (
        f"select number, first_name as token, last_name as other_token from {PEOPLE} where length(first_name) >= 2"
        f" union select number, last_name, first_name from {PEOPLE} where length(last_name) >= 2"
        " union select number, unnest(regexp_extract_all(split_part(email, '@', 1), '[a-z]{4,}')), null"
        f" from {PEOPLE} where email is not null"
    )
    run(
        f"create or replace temp table identity_words as select words.number, token, {normalize.consonants('token')}"
        f" as skeleton, other_token, {normalize.consonants('other_token')} as other_skeleton from ({words}) as words"
    )
    run("create or replace temp table identity_pairs (pair bigint)")
    for group in _key_groups():
        rows = f"identity_words inner join {PEOPLE} using (number)" if group.over_words else PEOPLE
        key_list = ", ".join(
            # The key's place is part of its value: keys of different kinds never meet.
            f"hash('{place}/' || ({key}))"
            for place, key in enumerate(group.keys)
        )
        run(
            "create or replace temp table identity_keys as select distinct number, key from (select number,"
            f" unnest([{key_list}]) as key from {rows}) as exploded where key is not null"
        )
        run(
            "insert into identity_pairs with blocks as (select key from identity_keys group by key"
            f" having count(*) between 2 and {group.max_block}), members as (select number, key from identity_keys"
            " semi join blocks using (key)) select distinct"
            " cast(small.number as bigint) * 4294967296 + large.number as pair from members as small"
            " inner join members as large on small.key = large.key and small.number < large.number"
        )
    run(
        "create or replace temp table identity_pairs as select cast(pair // 4294967296 as integer) as left_number,"
        " cast(pair % 4294967296 as integer) as right_number from (select distinct pair from identity_pairs) as pairs"
    )
    for table in ("identity_words", "identity_keys"):
        run(f"drop table {table}")
    return int(warehouse.scalar("select count(*) from identity_pairs"))


# --- score -----------------------------------------------------------------------------------------------------------

_LETTERS = {"first_name": "first_letters", "last_name": "last_letters"}


def _distance(left: str, right: str = "") -> str:
    """SQL: edits between two texts, or 99 where a glance at their letters shows that there are too many to matter.

    Every letter that only one of the two has takes an edit, so the two sets of letters bound the distance from below;
    comparing them costs a fiftieth.
    """
    one, two = f"l.{left}", f"r.{right or left}"
    only_one, only_two = f"bit_count({one}_set & ~{two}_set)", f"bit_count({two}_set & ~{one}_set)"
    return (
        f"cast(case when {one} is null or {two} is null then null when {one} = {two} then 0"
        f" when greatest({only_one}, {only_two}) > greatest(2, 0.4 * greatest(length({one}), length({two}))) then 99"
        f" else least(levenshtein({one}, {two}), 99) end as tinyint)"
    )


def _longer(name: str) -> str:
    return f"greatest(length(l.{name}), length(r.{name}))"


def _equal_bits(name: str) -> str:
    """SQL: bits for equal values; the commoner of the two sides counts."""
    return f"log2({_WEIGHED[name].agreement} / greatest(l.{name}_chance, r.{name}_chance))"


def _is_typo(left: str, right: str, distance: str) -> str:
    """SQL: whether two name elements are a slip of the pen apart: few edits for their length, or letters swapped."""
    shorter = f"least(length(l.{left}), length(r.{right}))"
    return (
        f"(({distance} <= 1 and {shorter} >= 3) or ({distance} <= 2 and {shorter} >= 6)"
        f" or ({distance} = 2 and {shorter} >= 4 and l.{_LETTERS[left]} = r.{_LETTERS[right]}))"
    )


def _are_two_names(left: str, right: str) -> str:
    """SQL: whether both names are common: Mark and Mary are a letter apart, but a slip of the pen is rare."""
    return f"least(l.{left}_chance, r.{right}_chance) > {COMMON_NAME}"


def _name_element(left: str, right: str, distance: str, same: str = "false") -> str:
    """SQL: bits for two name elements: equal, a typo (or ``same`` in other words), alike, different, one missing."""
    one, two = f"l.{left}", f"r.{right}"
    chance = f"greatest(l.{left}_chance, r.{right}_chance)"
    equal = f"log2({NAME.agreement} / {chance})"
    shorter, longer = f"least(length({one}), length({two}))", f"greatest(length({one}), length({two}))"
    return (
        f"case when {one} is null or {two} is null then 0 when {distance} = 0 and {shorter} >= 2 then {equal}"
        f" when {same} or ({_is_typo(left, right, distance)} and not {_are_two_names(left, right)})"
        f" then least(log2(0.25 / {chance}), {equal} - 1)"
        f" when {distance} <= 0.4 * {longer} or ({shorter} >= 3 and (starts_with({one}, {two})"
        f" or starts_with({two}, {one}))) or ({shorter} = 1 and substr({one}, 1, 1) = substr({two}, 1, 1))"
        " then 2.5 else -2.6 end"
    )


_BIRTH_DATE_BITS = (
    f"case when digits is null then 0 when digits = 0 then {_equal_bits('birth_date')}"
    " when digits = 1 then 6.2 when digits = 2 then 3.2 when digits = 3 then 0.3"
    " when years_apart <= 1 then 0.3 else -3.6 end"
)

_EMAIL_BITS = (
    "case when l.email is null or r.email is null then"
    # A name that the other record lacks may stand in its address.
    " case when l.email is null and r.last_name is null and length(l.last_name) >= 4"
    " and contains(r.email_local, l.last_name) then 6.5"
    " when r.email is null and l.last_name is null and length(r.last_name) >= 4"
    " and contains(l.email_local, r.last_name) then 6.5"
    " when l.email is null and r.first_name is null and length(l.first_name) >= 4"
    " and contains(r.email_local, l.first_name) then 5"
    " when r.email is null and l.first_name is null and length(r.first_name) >= 4"
    " and contains(l.email_local, r.first_name) then 5"
    " else 0 end"
    f" when l.email = r.email then {_equal_bits('email')}"
    # Addresses made of a name are alike when the names are, which is counted already: their numbers tell them apart.
    " when email_distance = 0 and length(l.email_local) >= 5 then"
    " case when is_named_email and length(l.email_digits) = 0 then 6 else 11 end"
    " when email_distance <= 2 and least(length(l.email_local), length(r.email_local)) >= 5 then"
    " case when is_named_email and l.email_digits <> r.email_digits then 1 else 11 end"
    f" when email_distance <= 0.34 * {_longer('email_local')} then case when is_named_email then 0 else 6.5 end"
    " when l.email_domain = r.email_domain then -1 else -6 end"
)

_PHONE_BITS = (
    "case when phone_distance is null then 0 when phone_distance = 0 then 14 when phone_distance = 1 then 6 else -2 end"
)

_CITY_BITS = (
    f"case when city_distance is null then 0 when city_distance = 0 then {_equal_bits('city')}"
    f" when city_distance <= 0.34 * {_longer('city')}"
    " then log2(0.3 / greatest(l.city_chance, r.city_chance, 0.004)) else -3 end"
)

_POSTCODE_BITS = (
    f"case when postcode_distance is null then 0 when postcode_distance = 0 then {_equal_bits('postcode')}"
    " when postcode_distance = 1 or l.postcode_letters = r.postcode_letters"
    " then log2(0.15 / greatest(l.postcode_chance, r.postcode_chance, 0.015))"
    " when substr(l.postcode, 1, 3) = substr(r.postcode, 1, 3) then 2 else -3.5 end"
)

_STREET_BITS = (
    f"case when street_distance is null then 0 when street_distance = 0 then {_equal_bits('street')}"
    f" when street_distance <= 0.25 * {_longer('street')} and not is_other_house then 9.1"
    f" when letters_distance <= 0.25 * {_longer('street_letters')} then 3 else -2.8 end"
)

_PAIRS_AT_ONCE = 1_000_000
"""Pairs that are scored in one go: what bounds the memory."""


def score_pairs(
    warehouse: Warehouse, pairs: str, record_count: int, result: str, *, minimum: float | None = None
) -> None:
    """Write the temporary table ``result``: the pairs of the query ``pairs`` (left_number, right_number) with scores.

    Columns: left_number, right_number, score_bits, and what each field said: name_bits, birth_date_bits, email_bits,
    phone_bits, city_bits, postcode_bits, street_bits. ``record_count`` is how many records there are: the more, the
    more agreements by chance are to be expected. Pairs below ``minimum`` are left out.
    """
    run = warehouse.run
    run(f"create or replace temp table score_queue as {pairs}")
    count = int(warehouse.scalar("select count(*) from score_queue"))
    condition = f" where score_bits >= {minimum}" if minimum is not None else ""
    for begin in range(0, max(count, 1), _PAIRS_AT_ONCE):
        part = f"select * from score_queue where rowid >= {begin} and rowid < {begin + _PAIRS_AT_ONCE}"
        # A table per step: every distance is computed once, however often the next step asks for it.
        run(f"create or replace temp table score_distances as {_distances_sql(part)}")
        run(f"create or replace temp table score_fields as {_fields_sql()}")
        scored = f"select * from ({_total_sql(record_count)}) as totals{condition}"
        run(f"insert into {result} {scored}" if begin else f"create or replace temp table {result} as {scored}")
    for table in ("score_queue", "score_distances", "score_fields"):
        run(f"drop table {table}")


def _joined(pairs: str) -> str:
    return (
        f"{pairs} as pairs inner join {PEOPLE} as l on pairs.left_number = l.number"
        f" inner join {PEOPLE} as r on pairs.right_number = r.number"
    )


def _distances_sql(pairs: str) -> str:
    return (
        "select left_number, right_number, cast(hamming(l.birth_date, r.birth_date) as tinyint) as digits,"
        " cast(abs(l.birth_year - r.birth_year) as smallint)"
        f" as years_apart, {_distance('first_name')} as first_distance, {_distance('last_name')} as last_distance,"
        f" {_distance('first_name', 'last_name')} as first_last_distance,"
        f" {_distance('last_name', 'first_name')} as last_first_distance, {_distance('email_local')} as email_distance,"
        f" {_distance('phone')} as phone_distance, {_distance('city')} as city_distance,"
        f" {_distance('postcode')} as postcode_distance, {_distance('street')} as street_distance,"
        f" {_distance('street_letters')} as letters_distance,"
        " coalesce(levenshtein(l.house_number, r.house_number) > 1, false) as is_other_house,"
        " (l.has_last_name_in_email and r.has_last_name_in_email)"
        " or (l.has_first_name_in_email and r.has_first_name_in_email)"
        f" as is_named_email from {_joined(f'({pairs})')}"
    )


def _fields_sql() -> str:
    # Bob and Robert; of two equal initials nobody knows what they stand for.
    is_same_name = "coalesce(l.full_first_name = r.full_first_name and first_distance > 0, false)"
    crossed_close = (
        f"(first_last_distance = 0 or last_first_distance = 0"
        f" or {_is_typo('first_name', 'last_name', 'first_last_distance')}"
        f" or {_is_typo('last_name', 'first_name', 'last_first_distance')})"
    )
    return (
        "select left_number, right_number, digits, years_apart,"
        f" {_name_element('first_name', 'first_name', 'first_distance', is_same_name)} as first_bits,"
        f" {_name_element('last_name', 'last_name', 'last_distance')} as last_bits,"
        f" {_name_element('first_name', 'last_name', 'first_last_distance')} as first_last_bits,"
        f" {_name_element('last_name', 'first_name', 'last_first_distance')} as last_first_bits,"
        f" coalesce({crossed_close}, false) as is_crossed_close,"
        f" {_BIRTH_DATE_BITS} as birth_date_bits, {_EMAIL_BITS} as email_bits, {_PHONE_BITS} as phone_bits,"
        f" {_CITY_BITS} as city_bits, {_POSTCODE_BITS} as postcode_bits, {_STREET_BITS} as street_bits"
        f" from {_joined('score_distances')}"
    )


def _total_sql(record_count: int) -> str:
    address = ("city_bits", "postcode_bits", "street_bits")
    positive = ", ".join(f"greatest({bits}, 0)" for bits in address)
    total = (
        f"1 - log2({max(record_count, FEWEST_RECORDS)}) + name_bits + birth_date_bits + email_bits + phone_bits"
        # Parts of an address come together: the second and third that agree say less than they would alone.
        f" + 0.4 * greatest({positive}) + 0.6 * ({positive.replace(', greatest', ' + greatest')})"
        f" + {' + '.join(f'least({bits}, 0)' for bits in address)}"
    )
    guard = (
        # One name agrees and the other does not: a family's name and two first names, however they are written.
        f"case when is_other_person and digits > 2 then {GUARD_BITS}"
        f" when is_other_person and digits is null then {GUARD_BITS_WITHOUT_BIRTH_DATE}"
        # An address that went from one person to another: the birth dates say so.
        f" when own_name_bits <= 0 and digits > 2 and years_apart > 1 and email_bits > 0"
        f" then {GUARD_BITS_OF_A_RECYCLED_EMAIL}"
        f" when own_name_bits <= 0 and digits > 2 and years_apart > 1 then {GUARD_BITS_WITHOUT_FIRST_NAME}"
        # A last name, a phone and an address are a household's: something has to speak for the person.
        f" when own_name_bits <= 0 and birth_date_bits <= 0 and email_bits <= 0 then {GUARD_BITS_OF_A_HOUSEHOLD} end"
    )
    names = (
        "select *, case when is_crossed then crossed_bits else first_bits + last_bits end as name_bits,"
        " case when is_crossed then least(first_last_bits, last_first_bits) else first_bits end <= -2.6"
        " as is_other_person, case when is_crossed then least(first_last_bits, last_first_bits) else first_bits end"
        " as own_name_bits from (select *, first_last_bits + last_first_bits - 1.5 as crossed_bits,"
        " is_crossed_close and first_last_bits + last_first_bits - 1.5 > first_bits + last_bits as is_crossed"
        " from score_fields) as crossed"
    )
    return (
        f"select left_number, right_number, least({total}, {guard}) as score_bits, name_bits, birth_date_bits,"
        f" email_bits, phone_bits, city_bits, postcode_bits, street_bits from ({names}) as named"
    )
