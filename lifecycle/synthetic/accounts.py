"""Which system knows whom, under which number, since when.

Belongs here: the identity fragments of a person: web account, CRM contact (sometimes two), loyalty card, shop customer,
email subscriber, support requester.
Does not belong here: what the records say (``contacts.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lifecycle.synthetic.columns import DAY_SECONDS, numbered
from lifecycle.synthetic.people import BUYER, LEAD, PROSPECT_DAYS, VISITOR
from lifecycle.synthetic.randomness import is_picked, spread, stream

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from lifecycle.synthetic.calendar import Calendar, Clocks
    from lifecycle.synthetic.parameters import Arguments
    from lifecycle.synthetic.people import People

NEVER = 2**62

SYSTEMS = ("web", "crm", "crm_twin", "loyalty", "shop", "email", "support")
PREFIXES = {"web": "", "crm": "", "crm_twin": "", "loyalty": "L", "shop": "", "email": "sub", "support": ""}
"""Four systems count their people with bare numbers: their '42' are four people."""


@dataclass
class Account:
    """The record of each person in one system; ``since`` is NEVER for those whom it does not know."""

    name: str
    number: NDArray[np.int64]
    since: NDArray[np.int64]

    @property
    def exists(self) -> NDArray[np.bool_]:
        return self.since < NEVER

    def knows(self, person: NDArray[np.int64], moment: NDArray[np.int64]) -> NDArray[np.bool_]:
        return self.since[person] <= moment

    def ids(self, person: NDArray[np.int64], present: NDArray[np.bool_] | None = None) -> pa.Array:
        return numbered(PREFIXES[self.name], self.number[person], present)


@dataclass
class Accounts:
    web: Account
    crm: Account
    crm_twin: Account
    loyalty: Account
    shop: Account
    email: Account
    support: Account
    agreed_to_email: NDArray[np.bool_]

    @property
    def all(self) -> tuple[Account, ...]:
        return self.web, self.crm, self.crm_twin, self.loyalty, self.shop, self.email, self.support


def draw_accounts(
    arguments: Arguments, calendar: Calendar, clocks: Clocks, people: People, seen_at: NDArray[np.int64], block: int
) -> Accounts:
    """Who has which account. ``seen_at`` is when a person first buys, or first comes.

    Support knows nobody yet: it does when they write (``note_requesters``).
    """
    import numpy as np

    random = stream(arguments.seed, "accounts", block)
    count = len(people)
    is_buyer, is_lead = people.kind == BUYER, people.kind == LEAD
    is_junk = is_picked(people.index, arguments.customers, arguments.junk_count)
    has_stores = arguments.settings.store_share > 0

    def drawn(buyers: float, leads: float) -> NDArray[np.bool_]:
        return random.random(count) < np.select([is_buyer, is_lead], [buyers, leads], 0.0)

    # Where everything is online, nearly everybody needs an account.
    web = drawn(0.62, 0.50) if has_stores else drawn(0.93, 0.75)
    shop = drawn(0.62, 0.0) & ~(people.shops_in_stores & (random.random(count) < 0.6))
    loyalty = drawn(0.45, 0.0) | (is_buyer & people.shops_in_stores & (random.random(count) < 0.7))
    loyalty &= has_stores
    crm = drawn(0.36, 0.22) | is_junk
    twin = crm & (random.random(count) < 0.09)
    email = drawn(0.70, 0.75)
    # Whoever is no mere visitor is known to somebody.
    unknown = (people.kind != VISITOR) & ~(web | shop | loyalty | crm | email)
    email |= unknown
    before = np.minimum(random.exponential(5.0, (count, len(SYSTEMS))), PROSPECT_DAYS - 2) * DAY_SECONDS
    after = random.exponential(40.0, (count, len(SYSTEMS))) * DAY_SECONDS

    def since(has: NDArray[np.bool_], column: int, *, comes_before: bool) -> NDArray[np.int64]:
        distance = -before[:, column] if comes_before else after[:, column]
        moment = np.clip(seen_at + distance, calendar.start_second, None).astype(np.int64)
        day = (moment - calendar.start_second) // DAY_SECONDS
        happens = has & (day < calendar.day_count)
        local = clocks.daytime(random, np.minimum(day, calendar.day_count - 1), people.zone)
        # An account that precedes the first order was made before it, also on the same day.
        moment = np.minimum(local, seen_at - 60) if comes_before else np.maximum(local, seen_at + 60)
        return np.where(happens, np.maximum(moment, calendar.start_second), NEVER)

    def account(name: str, moments: NDArray[np.int64]) -> Account:
        return Account(name, spread(people.index, arguments.customers, 10 + SYSTEMS.index(name)), moments)

    crm_since = since(crm, 1, comes_before=False)
    crm_since = np.where(crm & (crm_since == NEVER), np.minimum(seen_at + 3600, calendar.end_second - 1), crm_since)
    email_early = random.random(count) < 0.75
    email_since = np.where(
        email_early | unknown | is_lead, since(email, 5, comes_before=True), since(email, 5, comes_before=False)
    )
    # Who has nothing but a newsletter that they would order after the window orders it at once.
    has_none = email & (email_since == NEVER) & ~(web | shop | loyalty | crm)
    email_since = np.where(has_none, np.maximum(seen_at - 60, calendar.start_second), email_since)
    twin_account = account("crm_twin", np.where(twin & (crm_since < NEVER), since(twin, 2, comes_before=False), NEVER))
    # The numbers of one system do not meet: a second record counts on behind the first ones.
    twin_account.number += 10 ** len(str(2 * max(arguments.customers, 5)))
    return Accounts(
        web=account("web", since(web, 0, comes_before=True)),
        crm=account("crm", crm_since),
        crm_twin=twin_account,
        loyalty=account("loyalty", np.where(loyalty, np.maximum(seen_at - 120, calendar.start_second), NEVER)),
        shop=account("shop", np.where(shop, np.maximum(seen_at - 180, calendar.start_second), NEVER)),
        email=account("email", email_since),
        support=account("support", np.full(count, NEVER)),
        agreed_to_email=random.random(count) < 0.9,
    )


def note_requesters(accounts: Accounts, person: NDArray[np.int64], opened: NDArray[np.int64]) -> None:
    """Whoever opens a ticket is known to the support desk from their first one on; nobody has more than six records."""
    import numpy as np

    np.minimum.at(accounts.support.since, person, opened)
    others = sum(account.exists.astype(int) for account in accounts.all)
    accounts.crm_twin.since = np.where(others > 6, NEVER, accounts.crm_twin.since)
