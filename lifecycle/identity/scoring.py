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

MAX_BLOCK = 30
"""A key that more records share than this proposes no pairs."""

GUARD_BITS = -10.0
"""The most that a pair with different first names and birth dates can reach: people of one household."""
GUARD_BITS_WITHOUT_BIRTH_DATE = -1.0
GUARD_BITS_WITHOUT_FIRST_NAME = 0.0

OWN_DUPLICATES = 4
"""A value is common when strangers share it; this many records of it may be the person's own."""


@dataclass(frozen=True)
class Equality:
    """What equal values say: seen in ``agreement`` of true pairs, in at least ``chance`` of pairs of strangers."""

    agreement: float
    chance: float


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
        " regexp_replace(street, '[0-9 ]', '', 'g') as street_letters from folded_people"
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
        f"create or replace temp table {PEOPLE} as select people.*, {chances} from (select numbered_people.*,"
        f" {', '.join(name + '_count' for name in _WEIGHED)} from numbered_people {counts}) as people"
        f" cross join (select {totals} from numbered_people) as totals order by number"
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


def _keys() -> list[list[str]]:
    """Groups of blocking keys: each is an SQL text over a record, null where it proposes nothing.

    The keys of a group are exploded together; keys over words (``token``, ``skeleton``) stand in groups of their own.
    A word may stand in any field: swapped names and names inside emails meet too.
    """
    token, skeleton, start = "token", "skeleton", "substr(token, 1, 3)"
    whole = [
        "email",
        "case when length(email_local) >= 5 then email_local end",
        "right(phone, 9)",
        "birth_date",
        "street || '/' || substr(city, 1, 4)",
        "street || '/' || postcode",
        "city || '/' || postcode",
        "regexp_extract(street, '[0-9]+') || substr(street_letters, 1, 3) || '/' || substr(postcode, 1, 3)",
        "email_domain || '/' || substr(email_local, 1, 3)",
        "email_domain || '/' || right(email_local, 3)",
        "substr(email_local, 3, 4) || '/' || substr(email_domain, 1, 3)",
    ]
    places = ["substr(city, 1, 5)", "postcode", "email_domain", "substr(email_local, 1, 3)"]
    dated_places = [f"{place} || '/' || {date}" for place in places for date in _DATES.values()]
    dated_words = [[f"{word} || '/' || {date}" for date in _DATES.values()] for word in (token, skeleton, start)]
    placed_words = [
        [f"{word} || '/' || {other}" for other in ("substr(birth_date, 1, 4)", "substr(city, 1, 5)", "email_domain")]
        for word in (token, skeleton)
    ]
    rest = [
        f"{token} || '/' || postcode",
        f"{token} || '/' || substr(email_local, 1, 4)",
        f"{token} || '/' || street",
        f"{skeleton} || '/' || substr(postcode, 1, 3)",
        f"{skeleton} || '/' || substr(other_token, 1, 2)",
        f"least({skeleton}, other_skeleton) || '/' || greatest({skeleton}, other_skeleton)",
    ]
    return [whole, dated_places, *dated_words, [*placed_words[0], *placed_words[1]], rest]


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
    for number, keys in enumerate(_keys()):
        rows = f"{PEOPLE}" if number < 2 else f"identity_words inner join {PEOPLE} using (number)"
        key_list = ", ".join(
            # The key's place is part of its value: keys of different kinds never meet.
            f"hash('{place}/' || ({key}))"
            for place, key in enumerate(keys)
        )
        run(
            "create or replace temp table identity_keys as select distinct number, key from (select number,"
            f" unnest([{key_list}]) as key from {rows}) as exploded where key is not null"
        )
        run(
            "insert into identity_pairs with blocks as (select key from identity_keys group by key"
            f" having count(*) between 2 and {MAX_BLOCK}), members as (select number, key from identity_keys"
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


def _equal_bits(name: str, weight: Equality, left: str = "", right: str = "") -> str:
    """Bits for equal values; the commoner of the two sides counts."""
    chance = f"greatest(l_{left or name}_chance, r_{right or name}_chance)"
    return f"log2({weight.agreement} / {chance})"


def _name_element(left: str, right: str, distance: str) -> str:
    """Bits for two name elements: equal, a typo, alike, different; nothing where one is missing."""
    one, two = f"l_{left}", f"r_{right}"
    letters = {"first_name": "first_letters", "last_name": "last_letters"}
    chance = f"greatest(l_{left}_chance, r_{right}_chance)"
    equal = f"log2({NAME.agreement} / {chance})"
    shorter, longer = f"least(length({one}), length({two}))", f"greatest(length({one}), length({two}))"
    return (
        f"case when {one} is null or {two} is null then 0"
        f" when {one} = {two} then {equal}"
        f" when ({distance} <= 1 and {shorter} >= 3) or ({distance} <= 2 and {shorter} >= 6)"
        f" or ({distance} = 2 and {shorter} >= 4 and l_{letters[left]} = r_{letters[right]})"
        f" then least(log2(0.25 / {chance}), {equal} - 1)"
        f" when {distance} <= 0.4 * {longer} or ({shorter} >= 3 and (starts_with({one}, {two})"
        f" or starts_with({two}, {one}))) or ({shorter} = 1 and substr({one}, 1, 1) = substr({two}, 1, 1))"
        " then 2.5 else -2.6 end"
    )


def _is_close(distance: str, left: str, right: str) -> str:
    """Whether two name elements are equal or a typo apart."""
    shorter = f"least(length(l_{left}), length(r_{right}))"
    letters = {"first_name": "first_letters", "last_name": "last_letters"}
    return (
        f"coalesce({distance} = 0 or ({distance} <= 1 and {shorter} >= 3) or ({distance} <= 2 and {shorter} >= 6)"
        f" or ({distance} = 2 and {shorter} >= 4 and l_{letters[left]} = r_{letters[right]}), false)"
    )


def _different_digits() -> str:
    return " + ".join(
        f"case when substr(l_birth_date, {place}, 1) <> substr(r_birth_date, {place}, 1) then 1 else 0 end"
        for place in range(1, 9)
    )


_BIRTH_DATE_BITS = (
    "case when digits is null then 0"
    f" when digits = 0 then log2({BIRTH_DATE.agreement} / birth_date_chance)"
    " when digits = 1 then 6.2 when digits = 2 then 3.2 when digits = 3 then 0.3"
    " when years_apart <= 1 then 0.3 else -3.6 end"
)

_EMAIL_BITS = (
    "case when l_email is null or r_email is null then"
    # A name that the other record lacks may stand in its address.
    " case when l_email is null and r_last_name is null and length(l_last_name) >= 4"
    " and contains(r_email_local, l_last_name) then 6.5"
    " when r_email is null and l_last_name is null and length(r_last_name) >= 4"
    " and contains(l_email_local, r_last_name) then 6.5"
    " when l_email is null and r_first_name is null and length(l_first_name) >= 4"
    " and contains(r_email_local, l_first_name) then 5"
    " when r_email is null and l_first_name is null and length(r_first_name) >= 4"
    " and contains(l_email_local, r_first_name) then 5"
    " else 0 end"
    f" when l_email = r_email then {_equal_bits('email', EMAIL)}"
    " when (l_email_local = r_email_local and length(l_email_local) >= 5)"
    " or (levenshtein(l_email_local, r_email_local) <= 2"
    " and least(length(l_email_local), length(r_email_local)) >= 5) then 11"
    " when levenshtein(l_email_local, r_email_local)"
    " <= 0.34 * greatest(length(l_email_local), length(r_email_local)) then 6.5"
    " when l_email_domain = r_email_domain then -1 else -6 end"
)

_PHONE_BITS = (
    "case when l_phone is null or r_phone is null then 0 when l_phone = r_phone then 14"
    " when levenshtein(l_phone, r_phone) <= 1 then 6 else -2 end"
)

_CITY_BITS = (
    "case when l_city is null or r_city is null then 0"
    f" when l_city = r_city then {_equal_bits('city', CITY)}"
    " when levenshtein(l_city, r_city) <= 0.34 * greatest(length(l_city), length(r_city))"
    " then log2(0.3 / greatest(greatest(l_city_chance, r_city_chance), 0.004)) else -3 end"
)

_POSTCODE_BITS = (
    "case when l_postcode is null or r_postcode is null then 0"
    f" when l_postcode = r_postcode then {_equal_bits('postcode', POSTCODE)}"
    " when levenshtein(l_postcode, r_postcode) <= 1 or l_postcode_letters = r_postcode_letters"
    " then log2(0.15 / greatest(greatest(l_postcode_chance, r_postcode_chance), 0.015))"
    " when substr(l_postcode, 1, 3) = substr(r_postcode, 1, 3) then 2 else -3.5 end"
)

_STREET_BITS = (
    "case when l_street is null or r_street is null then 0"
    f" when l_street = r_street then {_equal_bits('street', STREET)}"
    " when levenshtein(l_street, r_street) <= 0.25 * greatest(length(l_street), length(r_street)) then 9.1"
    " when levenshtein(l_street_letters, r_street_letters)"
    " <= 0.25 * greatest(length(l_street_letters), length(r_street_letters)) then 3 else -2.8 end"
)


def score_sql(pairs: str, record_count: int) -> str:
    """SQL: every pair of ``pairs`` (left_number, right_number) with its score and the bits of each field.

    Columns: left_number, right_number, score_bits, and name_bits, birth_date_bits, email_bits, phone_bits, city_bits,
    postcode_bits, street_bits, is_guarded. ``record_count`` is how many records there are: the more, the more a
    chance agreement is to be expected.
    """
    columns = [*_WEIGHED, *(f"{name}_chance" for name in _WEIGHED), "email_local", "email_domain", "phone"]
    columns += ["first_letters", "last_letters", "postcode_letters", "street_letters"]
    both = ", ".join(f"{side}.{name} as {side}_{name}" for side in ("l", "r") for name in columns)
    joined = (
        f"select left_number, right_number, {both} from ({pairs}) as pairs"
        f" inner join {PEOPLE} as l on left_number = l.number inner join {PEOPLE} as r on right_number = r.number"
    )
    distances = (
        "select *, case when l_birth_date is not null and r_birth_date is not null then "
        f"{_different_digits()} end as digits,"
        " abs(cast(substr(l_birth_date, 1, 4) as integer) - cast(substr(r_birth_date, 1, 4) as integer))"
        " as years_apart,"
        " greatest(l_birth_date_chance, r_birth_date_chance) as birth_date_chance,"
        " levenshtein(l_first_name, r_first_name) as first_distance,"
        " levenshtein(l_last_name, r_last_name) as last_distance,"
        " levenshtein(l_first_name, r_last_name) as first_last_distance,"
        " levenshtein(l_last_name, r_first_name) as last_first_distance"
        f" from ({joined}) as joined"
    )
    crossed_close = (
        f"({_is_close('first_last_distance', 'first_name', 'last_name')}"
        f" or {_is_close('last_first_distance', 'last_name', 'first_name')})"
    )
    fields = (
        "select left_number, right_number, digits, years_apart, l_first_name, r_first_name,"
        f" {_name_element('first_name', 'first_name', 'first_distance')} as first_bits,"
        f" {_name_element('last_name', 'last_name', 'last_distance')} as last_bits,"
        f" {_name_element('first_name', 'last_name', 'first_last_distance')} as first_last_bits,"
        f" {_name_element('last_name', 'first_name', 'last_first_distance')} as last_first_bits,"
        f" case when {crossed_close} then first_last_bits + last_first_bits - 1.5 end as crossed_bits,"
        f" {_BIRTH_DATE_BITS} as birth_date_bits, {_EMAIL_BITS} as email_bits, {_PHONE_BITS} as phone_bits,"
        f" {_CITY_BITS} as city_bits, {_POSTCODE_BITS} as postcode_bits, {_STREET_BITS} as street_bits"
        f" from ({distances}) as distances"
    )
    named = (
        "select *, greatest(first_bits + last_bits, crossed_bits) as name_bits,"
        " coalesce(crossed_bits > first_bits + last_bits, false) as is_crossed"
        f" from ({fields}) as fields"
    )
    judged = (
        # One name agrees and the other does not: the family's name and two first names, however they are written.
        "select *, case when is_crossed then least(first_last_bits, last_first_bits) <= -2.6"
        " else first_bits <= -2.6 end as is_other_person,"
        " l_first_name is null or r_first_name is null as is_first_name_unknown"
        f" from ({named}) as named"
    )
    positive = [f"greatest({name}_bits, 0)" for name in ("city", "postcode", "street")]
    negative = [f"least({name}_bits, 0)" for name in ("city", "postcode", "street")]
    total = (
        f"1 - log2({max(record_count, 2)}) + name_bits + birth_date_bits + email_bits + phone_bits"
        # Parts of an address come together: the second and third that agree say less than they would alone.
        f" + 0.4 * greatest({', '.join(positive)}) + 0.6 * ({' + '.join(positive)}) + {' + '.join(negative)}"
    )
    return (
        "select left_number, right_number, least(total_bits, guard_bits) as score_bits, name_bits, birth_date_bits,"
        " email_bits, phone_bits, city_bits, postcode_bits, street_bits, guard_bits from"
        f" (select *, {total} as total_bits,"
        f" case when is_other_person and digits > 2 then {GUARD_BITS}"
        f" when is_other_person and digits is null then {GUARD_BITS_WITHOUT_BIRTH_DATE}"
        f" when is_first_name_unknown and digits > 2 and years_apart > 1 then {GUARD_BITS_WITHOUT_FIRST_NAME} end"
        f" as guard_bits from ({judged}) as judged) as totals"
    )
