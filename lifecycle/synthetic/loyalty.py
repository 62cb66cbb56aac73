"""The loyalty programme of a company with stores.

Belongs here: points earned and used, and tiers reached, on cards.
Does not belong here: cards as contact records (``contacts.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lifecycle.synthetic import columns as c
from lifecycle.synthetic.randomness import stream
from lifecycle.synthetic.rows import Rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lifecycle.synthetic.accounts import Accounts
    from lifecycle.synthetic.calendar import Calendar
    from lifecycle.synthetic.orders import Orders
    from lifecycle.synthetic.parameters import Arguments
    from lifecycle.synthetic.people import People

TIERS = (("silver", 250), ("gold", 600), ("platinum", 1200))
"""Tier and the points in all from which somebody has it; one point per unit of money. Invented."""

POINTS_PER_REWARD = 100
KINDS = ("join", "earn", "redeem", "tier")
IDS_PER_BLOCK = 10_000_000


def loyalty_rows(
    arguments: Arguments, calendar: Calendar, people: People, accounts: Accounts, orders: Orders, block: int
) -> list[Rows]:
    """Joining, earning with every order on the card, a reward used now and then, and tiers as the points add up."""
    import numpy as np

    random = stream(arguments.seed, "loyalty", block)
    card = np.flatnonzero(accounts.loyalty.exists)
    counted = np.flatnonzero(accounts.loyalty.knows(orders.person, orders.moment))
    person, moment = orders.person[counted], orders.moment[counted]
    points = np.maximum(orders.net_cents[counted] // 100, 1)
    total = np.cumsum(points)
    begin = np.searchsorted(person, person)
    so_far = total - np.where(begin > 0, total[begin - 1], 0) if len(counted) else total
    before = so_far - points
    uses = np.flatnonzero((so_far >= 2 * POINTS_PER_REWARD) & (random.random(len(counted)) < 0.12))
    parts: list[tuple[int, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], int]] = [
        (0, card, accounts.loyalty.since[card], np.zeros(len(card), int), -1),
        (1, person, moment + 60, points, -1),
        (2, person[uses], moment[uses] + 30, np.full(len(uses), -POINTS_PER_REWARD), -1),
    ]
    for place, (_, least) in enumerate(TIERS):
        reached = np.flatnonzero((before < least) & (so_far >= least))
        parts.append((3, person[reached], moment[reached] + 90, np.zeros(len(reached), int), place))
    kind, tier = (np.concatenate([np.full(len(part[1]), part[place]) for part in parts]) for place in (0, 4))
    whose, when, gained = (np.concatenate([part[place] for part in parts]) for place in (1, 2, 3))
    inside = when < calendar.end_second
    kind, tier, whose, when, gained = kind[inside], tier[inside], whose[inside], when[inside], gained[inside]
    return [
        Rows(
            "loyalty",
            "loyalty_events",
            {
                "loyalty_event_id": c.numbered("le", block * IDS_PER_BLOCK + np.arange(len(kind))),
                "occurred_at": c.moments(when),
                "event_kind": c.chosen(KINDS, kind),
                "contact_id": accounts.loyalty.ids(whose),
                "points": c.integers(gained, (kind == 1) | (kind == 2)),
                "tier_name": c.chosen([name for name, _ in TIERS], tier),
            },
            calendar.month_of(when),
            people.index[whose],
        )
    ]
