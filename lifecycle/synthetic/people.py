"""Who the people are: the truth that the systems record only in parts.

Belongs here: names, births, addresses, households, emails, phones, what touched them, whether and when they buy first,
and what they agreed to.
Does not belong here: what they do later (``purchases.py``, ``visits.py``) and what is written down (``contacts.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lifecycle.synthetic import vocabulary as words
from lifecycle.synthetic.columns import DAY_SECONDS
from lifecycle.synthetic.parameters import BLOCK_PEOPLE, CHANNELS, Arguments
from lifecycle.synthetic.randomness import is_picked, spread, stream

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lifecycle.synthetic.calendar import Calendar

BUYER, LEAD, VISITOR = 0, 1, 2
KINDS = ("buyer", "lead", "visitor")

PROSPECT_DAYS = 25
"""How long before their first order, or before they are first counted, people can have been seen."""

PLACES_PER_CITY = 90
"""Postcodes of a city."""


def _folded(names: tuple[str, ...] | list[str]) -> list[str]:
    """Names as they stand in an email address."""
    import unicodedata

    plain = (unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower() for name in names)
    return [name.replace("'", "").replace("-", "") for name in plain]


FIRST_NAMES = (*words.WOMEN, *words.MEN)
LAST_NAMES = (
    *words.COMMON_LAST_NAMES,
    *(begin + end for begin in words.NAME_BEGINNINGS for end in words.NAME_ENDINGS if begin[-1] != end[0]),
)


@dataclass
class Addresses:
    """City and street by number; the texts are made when something is written."""

    city: NDArray[np.int64]
    place: NDArray[np.int64]
    street: NDArray[np.int64]
    kind: NDArray[np.int64]
    house: NDArray[np.int64]

    def taken(self, of: NDArray[np.int64]) -> Addresses:
        return Addresses(self.city[of], self.place[of], self.street[of], self.kind[of], self.house[of])

    def chosen(self, other: Addresses, takes_other: NDArray[np.bool_]) -> Addresses:
        import numpy as np

        pairs = zip(self.parts, other.parts, strict=True)
        return Addresses(*(np.where(takes_other, theirs, ours) for ours, theirs in pairs))

    @property
    def parts(self) -> tuple[NDArray[np.int64], ...]:
        return self.city, self.place, self.street, self.kind, self.house


@dataclass
class People:
    """One block of people; all arrays run along them."""

    index: NDArray[np.int64]
    """Number within the company."""
    head: NDArray[np.int64]
    """Position of the first person of the household within the block."""
    role: NDArray[np.int64]
    """0 first of a household, 1 partner, 2 and more children."""
    is_woman: NDArray[np.bool_]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    former_last: NDArray[np.int64]
    """Last name before a marriage; the same as ``last`` for nearly everybody."""
    birth: NDArray[np.int64]
    """Days since 1970."""
    address: Addresses
    former_address: Addresses
    moved_at: NDArray[np.int64]
    """When the address changed, and the last name of those who married; far in the past for those who did not move."""
    phone: NDArray[np.int64]
    email: NDArray[np.str_]
    second_email: NDArray[np.str_]
    given_up_at: NDArray[np.int64]
    """When the person gave their address up, and somebody else got it later; the end of time for the others."""
    kind: NDArray[np.int64]
    touched: NDArray[np.bool_]
    """People × channels: which channels touched them before they first bought or were last seen."""
    arrived: NDArray[np.int64]
    """The day on which a buyer first buys and a lead or visitor first comes."""
    persona: NDArray[np.int64]
    language: NDArray[np.int64]
    category: NDArray[np.int64]
    """Favourite top-level category."""
    shops_in_stores: NDArray[np.bool_]
    device: NDArray[np.int64]
    is_frequent_visitor: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.index)

    @cached_property
    def zone(self) -> NDArray[np.int64]:
        """Position in ``words.ZONES``."""
        import numpy as np

        return np.array([words.ZONES.index(city[4]) for city in words.CITIES])[self.address.city]

    def email_at(self, person: NDArray[np.int64], moment: NDArray[np.int64]) -> NDArray[np.str_]:
        """The address that a person uses for what counts, at a moment."""
        import numpy as np

        return np.where(moment >= self.given_up_at[person], self.second_email[person], self.email[person])


def draw_people(arguments: Arguments, calendar: Calendar, block: int) -> People:
    """The people of one block. The same for the same seed, whichever other blocks are drawn."""
    import numpy as np

    profile = arguments.settings
    first_index = block * BLOCK_PEOPLE
    count = min(BLOCK_PEOPLE, arguments.customers - first_index)
    index = np.arange(first_index, first_index + count)
    random = stream(arguments.seed, "people", block)
    head, role = _households(random, count)
    is_woman = random.random(count) < 0.52
    is_partner = role == 1
    is_woman = np.where(is_partner & (random.random(count) < 0.95), ~is_woman[head], is_woman)
    first = np.where(
        is_woman,
        _ranked(random, len(words.WOMEN), count),
        len(words.WOMEN) + _ranked(random, len(words.MEN), count),
    )
    # A son who is named after his father, or a daughter after her mother.
    is_namesake = (role >= 2) & (is_woman == is_woman[head]) & (random.random(count) < 0.05)
    first = np.where(is_namesake, first[head], first)
    common = _ranked(random, len(words.COMMON_LAST_NAMES), count)
    rare = random.integers(len(words.COMMON_LAST_NAMES), len(LAST_NAMES), count)
    own_last = np.where(random.random(count) < 0.45, common, rare)
    keeps_name = is_partner & (random.random(count) < 0.15)
    last = np.where(keeps_name, own_last, own_last[head])
    married_lately = is_woman & (role <= 1) & (random.random(count) < 0.05)
    former_last = np.where(married_lately, np.roll(own_last, 3), last)
    age = np.clip(random.normal(44, 14, count), 19, 88)
    age = np.where(is_partner, np.clip(age[head] + random.normal(0, 3.5, count), 19, 88), age)
    age = np.where(role >= 2, np.clip(age[head] - random.uniform(21, 36, count), 14, 60), age)
    birth = calendar.start_number - (age * 365.25).astype(np.int64)
    address = _addresses(random, count).taken(head)
    moves = (random.random(count) < 0.12)[head] | married_lately
    move_day = random.integers(0, calendar.day_count, count)[head]
    moved_at = np.where(moves, calendar.start_second + move_day * DAY_SECONDS, 0)
    former_address = address.chosen(_addresses(random, count), moves)
    kind, touched = _kinds(random, arguments, count)
    # Whom somebody typed into the CRM with the junk address is no mere visitor.
    is_junk = is_picked(index, arguments.customers, arguments.junk_count)
    kind = np.where(is_junk & (kind == VISITOR), LEAD, kind)
    arrived = random.integers(0, calendar.day_count, count)
    email, second_email = _emails(random, arguments, index, first, former_last, birth)
    people = People(
        index=index,
        head=head,
        role=role,
        is_woman=is_woman,
        first=first,
        last=last,
        former_last=former_last,
        birth=birth,
        address=address,
        former_address=former_address,
        moved_at=moved_at,
        phone=_phones(index, address),
        email=email,
        second_email=second_email,
        given_up_at=np.full(count, np.iinfo(np.int64).max),
        kind=kind,
        touched=touched,
        arrived=arrived,
        persona=random.integers(0, len(profile.personas), count)[head],
        language=random.choice(3, count, p=(0.86, 0.11, 0.03))[head],
        category=random.integers(0, len(profile.categories), count),
        shops_in_stores=random.random(count) < profile.store_share,
        device=random.choice(3, count, p=(0.45, 0.47, 0.08)),
        is_frequent_visitor=random.random(count) < 0.25,
    )
    _recycle_emails(people, calendar)
    return people


def _households(random: np.random.Generator, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Position of the household's first person, and the role, of each: 70 % of households have one person here."""
    import numpy as np

    begins = random.random(count) < 0.74
    begins[0] = True
    # Nobody is further than three places from the first of their household.
    place = np.arange(count)
    head = np.maximum.accumulate(np.where(begins, place, 0))
    return np.where(place - head > 3, place, head), np.where(place - head > 3, 0, place - head)


def _ranked(random: np.random.Generator, size: int, count: int) -> NDArray[np.int64]:
    """Positions in a list whose first words are the most frequent: about 1 ÷ (rank + 10)."""
    import numpy as np

    weights = 1 / (np.arange(size) + 10)
    return np.searchsorted(np.cumsum(weights / weights.sum()), random.random(count), side="right").clip(0, size - 1)


def _addresses(random: np.random.Generator, count: int) -> Addresses:
    return Addresses(
        city=_ranked(random, len(words.CITIES), count),
        place=random.integers(0, PLACES_PER_CITY, count),
        street=random.integers(0, len(words.STREETS), count),
        kind=random.integers(0, len(words.STREET_KINDS), count),
        house=random.integers(1, 1900, count),
    )


def _phones(index: NDArray[np.int64], address: Addresses) -> NDArray[np.int64]:
    """Ten digits in the area of the city, another number for everybody."""
    import numpy as np

    areas = np.array([city[3] for city in words.CITIES])
    return areas[address.city] * 10_000_000 + 2_000_000 + (index * 5_300_009 + 1_234_567) % 7_999_993


def _emails(
    random: np.random.Generator,
    arguments: Arguments,
    index: NDArray[np.int64],
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    birth: NDArray[np.int64],
) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """Two addresses of each person; the numbers in them keep addresses of different people apart."""
    import numpy as np

    firsts, lasts = np.array(_folded(FIRST_NAMES))[first], np.array(_folded(LAST_NAMES))[last]
    initials = firsts.astype("U1")
    number = spread(index, arguments.customers, 1).astype("U8")
    year = (1970 + birth // 365.25).astype(np.int64).astype("U4")
    add = np.char.add
    shape = random.integers(0, 4, len(index))
    local = np.select(
        [shape == 0, shape == 1, shape == 2],
        [add(add(firsts, "."), lasts), add(initials, lasts), add(add(firsts, "_"), year)],
        add(firsts, lasts),
    )
    mail = np.array(words.MAIL_DOMAINS)[random.choice(6, len(index), p=(0.42, 0.2, 0.14, 0.1, 0.08, 0.06))]
    work = np.array((*words.WORK_DOMAINS, *words.MAIL_DOMAINS))[random.integers(0, 11, len(index))]
    email = add(add(local, number), add("@", mail))
    # Another number: what two addresses of one person have in common is the name.
    other_number = spread(index, arguments.customers, 5).astype("U8")
    second = add(add(add(add(initials, "."), lasts), add("x", other_number)), add("@", work))
    return email, second


def _kinds(
    random: np.random.Generator, arguments: Arguments, count: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Who buys, and which channels touched whom.

    A touch adds its channel's weight to the chance of buying; what buys without any touch is set so that the profile's
    share of buyers comes out.
    """
    import numpy as np

    profile = arguments.settings
    rates = np.array([channel.touch_rate for channel in CHANNELS])
    weights = np.array([channel.weight for channel in CHANNELS])
    touched = random.random((count, len(CHANNELS))) < rates
    base = profile.buyer_share - float(rates @ weights)
    buys = random.random(count) < np.clip(base + touched @ weights, 0.02, 0.98)
    is_visitor = random.random(count) < profile.visitor_share / (1 - profile.buyer_share)
    return np.where(buys, BUYER, np.where(is_visitor, VISITOR, LEAD)), touched


def _recycle_emails(people: People, calendar: Calendar) -> None:
    """Give the address of some early people who left it to somebody who arrives much later."""
    import numpy as np

    early = np.flatnonzero((people.arrived < 0.3 * calendar.day_count) & (people.index % 37 == 5))
    late = np.flatnonzero((people.arrived > 0.7 * calendar.day_count) & (people.index % 37 == 11))
    pairs = min(len(early), len(late))
    given_up = calendar.start_second + int(0.45 * calendar.day_count) * DAY_SECONDS
    people.given_up_at[early[:pairs]] = given_up
    people.email[late[:pairs]] = people.email[early[:pairs]]


def describe(people: People, arguments: Arguments, values: dict[str, Any]) -> dict[str, Any]:
    """The true attributes as columns of ``truth/people``, with more in ``values``."""
    import numpy as np

    from lifecycle.synthetic.columns import chosen, dates, flags, moments, numbered, texts

    cities = [city[0] for city in words.CITIES]
    gives_up = people.given_up_at < np.iinfo(np.int64).max
    return {
        "person_id": numbered("p", people.index),
        "household_id": numbered("h", people.index[people.head]),
        "kind": chosen(KINDS, people.kind),
        "first_name": chosen(FIRST_NAMES, people.first),
        "last_name": chosen(LAST_NAMES, people.last),
        "former_last_name": chosen(LAST_NAMES, people.former_last, people.former_last != people.last),
        "gender": chosen(("male", "female"), people.is_woman.astype(int)),
        "birth_date": dates(people.birth),
        "email": texts(people.email),
        "second_email": texts(people.second_email),
        "email_given_up_at": moments(np.where(gives_up, people.given_up_at, 0), gives_up),
        "phone": numbered("+1", people.phone),
        "city": chosen(cities, people.address.city),
        "moved_at": moments(people.moved_at, people.moved_at > 0),
        "persona": chosen(arguments.settings.personas, people.persona),
        "shops_in_stores": flags(people.shops_in_stores),
        **values,
    }
