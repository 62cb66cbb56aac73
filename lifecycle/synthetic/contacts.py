"""What the systems wrote down about people, with everything that goes wrong when people write.

Belongs here: contact records with missing, mistyped, outdated and swapped fields; phones in their many writings.
Does not belong here: who has a record (``accounts.py``) and who the people are (``people.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from lifecycle.synthetic import columns as c
from lifecycle.synthetic import vocabulary as words
from lifecycle.synthetic.columns import DAY_SECONDS
from lifecycle.synthetic.mistakes import mistyped
from lifecycle.synthetic.parameters import CHANNELS, JUNK_EMAIL, JUNK_PHONE, Arguments
from lifecycle.synthetic.people import FIRST_NAMES, LAST_NAMES, Addresses, People
from lifecycle.synthetic.randomness import is_picked, stream
from lifecycle.synthetic.rows import Rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lifecycle.synthetic.accounts import Account, Accounts
    from lifecycle.synthetic.calendar import Calendar

PHONE_WRITINGS = 6


@dataclass(frozen=True)
class Care:
    """How carefully a system records people: shares of its records. All invented, set so that the sums come out."""

    no_email: float
    no_phone: float
    no_name: float
    no_birth: float
    no_address: float
    typing: float
    """Per field."""
    nickname: float
    initial: float
    swapped: float
    second_email: float
    household_phone: float


CARE = {
    "web": Care(0.05, 0.30, 0.10, 0.24, 0.26, 0.05, 0.10, 0.03, 0.01, 0.18, 0.10),
    "crm": Care(0.34, 0.16, 0.16, 0.22, 0.20, 0.14, 0.20, 0.08, 0.04, 0.30, 0.22),
    "crm_twin": Care(0.36, 0.20, 0.18, 0.26, 0.24, 0.16, 0.22, 0.10, 0.05, 0.34, 0.22),
    "loyalty": Care(0.48, 0.06, 0.16, 0.12, 0.20, 0.14, 0.18, 0.10, 0.03, 0.22, 0.30),
    "shop": Care(0.18, 0.24, 0.14, 0.30, 0.08, 0.13, 0.16, 0.08, 0.02, 0.24, 0.18),
    "email": Care(0.00, 1.00, 0.34, 1.00, 1.00, 0.05, 0.20, 0.02, 0.02, 0.22, 0.00),
    "support": Care(0.26, 0.30, 0.20, 1.00, 1.00, 0.15, 0.24, 0.10, 0.03, 0.30, 0.20),
}
"""A share of 1 means that the system has no such field."""


def phone_texts(random: np.random.Generator, numbers: NDArray[np.int64], wrong: float = 0.0) -> NDArray[np.str_]:
    """Ten-digit numbers in one of six writings each; a share has two neighbouring digits swapped."""
    import numpy as np

    place = 10 ** random.integers(0, 9, len(numbers))
    low, high = numbers // place % 10, numbers // (place * 10) % 10
    is_wrong = random.random(len(numbers)) < wrong
    # Swapping the digits h and l of h·10·p + l·p adds (l - h) · 9 · p.
    numbers = np.where(is_wrong, numbers + (low - high) * 9 * place, numbers)
    area, middle = _digits(3)[numbers // 10_000_000], _digits(3)[numbers // 10_000 % 1000]
    end = _digits(4)[numbers % 10_000]
    add = np.char.add
    whole = add(add(area, middle), end)
    dashed = add(add(middle, "-"), end)
    writing = random.choice(PHONE_WRITINGS, len(numbers), p=(0.3, 0.2, 0.2, 0.12, 0.1, 0.08))
    return np.select(
        [writing == number for number in range(PHONE_WRITINGS - 1)],
        [
            whole,
            add(add(add("(", area), ") "), dashed),
            add(add(area, "-"), dashed),
            add("+1", whole),
            add(add(add(add("+1 ", area), " "), add(middle, " ")), end),
        ],
        add(add(add(area, "."), add(middle, ".")), end),
    )


@cache
def _digits(width: int) -> NDArray[np.str_]:
    """Every number of so many digits, with its zeros in front."""
    import numpy as np

    return np.array([f"{number:0{width}d}" for number in range(10**width)])


@cache
def _nicknames() -> tuple[str, ...]:
    return tuple(words.NICKNAMES.get(name, name) for name in FIRST_NAMES)


def _address_texts(random: np.random.Generator, address: Addresses, care: Care) -> dict[str, NDArray[np.str_]]:
    """Street, city, region, postcode and country as written."""
    import numpy as np

    add = np.char.add
    count = len(address.city)
    kinds = np.where(
        random.random(count) < 0.5,
        np.array(words.STREET_KINDS)[address.kind],
        np.array(words.STREET_SHORT)[address.kind],
    )
    street = add(add(add(address.house.astype("U4"), " "), np.array(words.STREETS)[address.street]), add(" ", kinds))
    is_canada = np.array([city[5] == "CA" for city in words.CITIES])[address.city]
    begins = np.array([city[2] for city in words.CITIES])[address.city]
    place = address.place
    digits = _digits(2)[place]
    letters = np.array(list("ABCEGHJKLMNPRSTVWXYZ"))[place % 20]
    postcode = np.where(
        is_canada,
        add(add(begins, " "), add(add((place // 10).astype("U1"), letters), (place % 10).astype("U1"))),
        add(begins, digits),
    )
    return {
        "street": mistyped(random, street, care.typing),
        "city": mistyped(random, np.array([city[0] for city in words.CITIES])[address.city], care.typing * 0.6),
        "region": np.array([city[1] for city in words.CITIES])[address.city],
        "postcode": mistyped(random, postcode, care.typing * 0.4),
        "country": np.where(is_canada, "CA", "US"),
    }


def _missing(random: np.random.Generator, values: NDArray[np.str_], share: float) -> NDArray[np.str_]:
    import numpy as np

    return np.where(random.random(len(values)) < share, "", values)


def _fields(
    random: np.random.Generator,
    people: People,
    person: NDArray[np.int64],
    since: NDArray[np.int64],
    care: Care,
) -> dict[str, NDArray[Any]]:
    """The messy fields of records made at ``since``, as texts (empty: missing)."""
    import numpy as np

    count = len(person)
    first = np.array(FIRST_NAMES)[people.first[person]]
    nickname = np.array(_nicknames())[people.first[person]]
    first = np.where(random.random(count) < care.nickname, nickname, first)
    first = np.where(random.random(count) < care.initial, np.char.add(first.astype("U1"), "."), first)
    is_former = since < people.moved_at[person]
    last = np.array(LAST_NAMES)[np.where(is_former, people.former_last[person], people.last[person])]
    # Last names are the longer and the stranger ones.
    first, last = mistyped(random, first, care.typing), mistyped(random, last, care.typing * 1.6)
    last = np.where(random.random(count) < care.initial * 0.6, np.char.add(last.astype("U1"), "."), last)
    is_swapped = random.random(count) < care.swapped
    first, last = np.where(is_swapped, last, first), np.where(is_swapped, first, last)
    email = np.where(
        random.random(count) < care.second_email, people.second_email[person], people.email_at(person, since)
    )
    email = mistyped(random, email, care.typing * 0.5)
    uses_shared_phone = random.random(count) < care.household_phone
    owner = np.where(uses_shared_phone, people.head[person], person)
    address = people.address.taken(person).chosen(people.former_address.taken(person), is_former)
    written = _address_texts(random, address, care)
    has_no_address = random.random(count) < care.no_address
    return {
        "email": _missing(random, email, care.no_email),
        "phone": _missing(random, phone_texts(random, people.phone[owner], care.typing * 0.4), care.no_phone),
        "first_name": _missing(random, first, care.no_name),
        "last_name": _missing(random, last, care.no_name),
        **{name: np.where(has_no_address, "", values) for name, values in written.items()},
    }


def _births(
    random: np.random.Generator, people: People, person: NDArray[np.int64], care: Care
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Dates of birth as recorded: some a day or a month off, some the first of January."""
    import numpy as np

    count = len(person)
    birth = people.birth[person]
    error = random.random(count)
    birth = np.where(error < 0.04, birth + random.integers(-9, 10, count), birth)
    birth = np.where((error >= 0.04) & (error < 0.06), birth + 365 * random.integers(-1, 2, count), birth)
    years = (birth / 365.2425).astype(np.int64) + 1970
    january = np.array(years - 1970, dtype="datetime64[Y]").astype("datetime64[D]").astype(np.int64)
    birth = np.where((error >= 0.06) & (error < 0.07), january, birth)
    return birth, random.random(count) >= care.no_birth


def contact_rows(
    arguments: Arguments, calendar: Calendar, people: People, accounts: Accounts, gone_at: NDArray[np.int64], block: int
) -> list[Rows]:
    """The contact records of a block, system by system."""
    import numpy as np

    rows = []
    for account in accounts.all:
        random = stream(arguments.seed, f"contacts {account.name}", block)
        person = np.flatnonzero(account.exists)
        person = person[np.argsort(account.since[person], kind="stable")]
        care, since = CARE[account.name], account.since[person]
        written = _fields(random, people, person, since, care)
        is_junk = is_picked(people.index[person], arguments.customers, arguments.junk_count)
        if account.name == "crm":
            written["email"] = np.where(is_junk, JUNK_EMAIL, written["email"])
            written["phone"] = np.where(is_junk, JUNK_PHONE, written["phone"])
        columns = {
            "contact_id": account.ids(person),
            **{name: c.texts(values) for name, values in written.items() if name in _FIELDS[account.name]},
            "created_at": c.moments(since),
        }
        if care.no_birth < 1:
            columns["birth_date"] = c.dates(*_births(random, people, person, care))
        columns |= _extras(random, arguments, calendar, people, account, person, gone_at)
        if account.name.startswith("crm"):
            rows += _crm_extracts(random, calendar, people, person, since, care, columns)
        else:
            rows.append(Rows(account.name, "contacts", columns, person=people.index[person]))
    return rows


_NAMED = {"email", "phone", "first_name", "last_name"}
_PLACED = {"street", "city", "region", "postcode", "country"}
_FIELDS = {
    "web": _NAMED | _PLACED,
    "crm": _NAMED | _PLACED,
    "crm_twin": _NAMED | _PLACED,
    "loyalty": _NAMED | _PLACED,
    "shop": _NAMED | _PLACED,
    "email": {"email", "first_name", "last_name"},
    "support": _NAMED,
}


def _extras(
    random: np.random.Generator,
    arguments: Arguments,
    calendar: Calendar,
    people: People,
    account: Account,
    person: NDArray[np.int64],
    gone_at: NDArray[np.int64],
) -> dict[str, Any]:
    """Fields that only one system has: they are preferences and notes, not identity."""
    import numpy as np

    count = len(person)
    if account.name == "web":
        closes = (gone_at[person] < calendar.end_second) & (random.random(count) < 0.05)
        closed_at = np.maximum(np.where(closes, gone_at[person], 0), account.since[person] + DAY_SECONDS)
        is_closed = closes & (closed_at < calendar.end_second)
        return {
            "language": c.chosen(("en", "es", "fr"), people.language[person]),
            "timezone": c.chosen(words.ZONES, people.zone[person]),
            "onboarding_goal": c.chosen(words.GOALS, random.integers(-2, len(words.GOALS), count)),
            "account_closed_at": c.moments(closed_at, is_closed),
            "brand": c.constant("main", count),
        }
    if account.name == "email":
        topic = random.integers(0, len(words.TOPICS), (2, count))
        pairs = [f"{one}, {two}" if one != two else one for one in words.TOPICS for two in words.TOPICS]
        return {
            "topics": c.chosen(pairs, topic[0] * len(words.TOPICS) + topic[1], random.random(count) < 0.6),
            "max_frequency": c.integers(random.integers(1, 5, count), random.random(count) < 0.2),
            "preferred_channel": c.chosen(("email", "sms", "phone"), random.choice(3, count, p=(0.8, 0.15, 0.05))),
        }
    if not account.name.startswith("crm"):
        return {}
    touch = np.where(people.touched[person].any(axis=1), people.touched[person].argmax(axis=1), -1)
    is_business = random.random(count) < 0.08
    company = np.where(is_business, people.index[person] % len(words.COMPANIES), -1)
    return {
        "gender": c.chosen(("male", "female"), np.where(random.random(count) < 0.8, people.is_woman[person], -1)),
        "company": c.chosen(words.COMPANIES, company),
        "account_id": c.numbered("acct-", people.index[person] // 40, is_business),
        "household_id": c.numbered("hh", people.index[people.head[person]], random.random(count) < 0.1),
        "acquisition_source": c.chosen([channel.name for channel in CHANNELS], touch),
        "persona": c.chosen(arguments.settings.personas, people.persona[person], random.random(count) < 0.7),
        "is_employee": c.flags(people.index[person] % 211 == 17),
        "is_test": c.flags(people.index[person] % 499 == 41),
    }


def _crm_extracts(
    random: np.random.Generator,
    calendar: Calendar,
    people: People,
    person: NDArray[np.int64],
    since: NDArray[np.int64],
    care: Care,
    columns: dict[str, Any],
) -> list[Rows]:
    """Two extracts of the whole CRM, half a window apart: the second repeats the first and corrects some of it.

    Half of those who moved before the second extract told the CRM, so their record has a newer address there.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    middle = calendar.start_second + calendar.day_count // 2 * DAY_SECONDS
    moved_at = people.moved_at[person]
    tells = (moved_at > since) & (moved_at < calendar.end_second - 9 * DAY_SECONDS) & (random.random(len(person)) < 0.5)
    told_at = np.where(tells, moved_at + 8 * DAY_SECONDS, since)
    address = _address_texts(random, people.address.taken(person), care)
    corrected = {name: pc.if_else(pa.array(tells), c.texts(values), columns[name]) for name, values in address.items()}
    first = Rows(
        "crm", "contacts", columns | {"updated_at": c.moments(since)}, np.zeros(len(person), int), people.index[person]
    )
    second = Rows(
        "crm",
        "contacts",
        columns | corrected | {"updated_at": c.moments(told_at)},
        np.ones(len(person), int),
        people.index[person],
    )
    # What the first extract shows of people who told later is what was true then; the truth of a record is one row.
    early = first.taken(since < middle)
    early.person = None
    return [early, second]
