"""Campaigns: what was sent to whom, who was held out, and what it did.

Belongs here: the plan of a window's campaigns, assignment with holdouts, and the orders that a campaign caused.
Does not belong here: emails as events (``messages.py``) and what ads cost (``catalogue.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lifecycle.synthetic.columns import DAY_SECONDS
from lifecycle.synthetic.people import BUYER
from lifecycle.synthetic.randomness import stream

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lifecycle.synthetic.accounts import Accounts
    from lifecycle.synthetic.calendar import Calendar
    from lifecycle.synthetic.parameters import Arguments
    from lifecycle.synthetic.people import People
    from lifecycle.synthetic.purchases import Purchases

HOLDOUT_SHARE = 0.2
BROADCAST_UPLIFT, FLOW_UPLIFT, WIN_BACK_UPLIFT = 0.004, 0.030, 0.040
"""Orders that a campaign adds per assigned person. Invented: broadcasts do little, flows that fit do more."""

FADING_DAYS = 20.0
"""Mean days from the last purchase of somebody who has left to the day they are gone from everything else."""


@dataclass(frozen=True)
class Campaign:
    campaign_id: str
    name: str
    channel: str
    purpose: str
    approach: str
    """``newsletter`` (no effect on buying), ``broadcast``, ``flow`` or ``win_back``."""
    start_day: int
    days: int
    uplift: float
    holdout: float
    offer: int
    """Position among the offers; -1 for none."""


def plan_campaigns(arguments: Arguments, calendar: Calendar) -> list[Campaign]:
    """Newsletters every 60 days; broadcasts monthly in the first half of the window and flows in the second.

    Win-backs go out every 60 days from the third month on. Without campaigns only newsletters remain.
    """
    planned = []
    for number, day in enumerate(range(12, calendar.day_count - 3, 60), 1):
        planned.append(
            Campaign(f"nl{number:02d}", f"Newsletter {number}", "email", "retain", "newsletter", day, 3, 0.0, 0.0, -1)
        )
    if not arguments.has_campaigns:
        return planned
    for number, day in enumerate(range(40, calendar.day_count - 15, 30), 1):
        is_flow = day >= calendar.day_count / 2
        planned.append(
            Campaign(
                f"cp{number:02d}",
                f"{'Care flow' if is_flow else 'Sale broadcast'} {number}",
                "email",
                "retain",
                "flow" if is_flow else "broadcast",
                day,
                12,
                FLOW_UPLIFT if is_flow else BROADCAST_UPLIFT,
                HOLDOUT_SHARE,
                number % 3,
            )
        )
    for number, day in enumerate(range(75, calendar.day_count - 20, 60), 1):
        planned.append(
            Campaign(
                f"wb{number:02d}",
                f"Win-back {number}",
                "email",
                "retain",
                "win_back",
                day,
                14,
                WIN_BACK_UPLIFT,
                HOLDOUT_SHARE,
                3,
            )
        )
    return planned


@dataclass
class Assignments:
    """One row per person and campaign: who was in it, whether held out, and what it caused."""

    campaign: NDArray[np.int64]
    person: NDArray[np.int64]
    is_held_out: NDArray[np.bool_]
    caused_day: NDArray[np.int64]
    """Day of the order that only the campaign brought about; -1 for none."""

    @property
    def caused(self) -> NDArray[np.bool_]:
        return self.caused_day >= 0


def assign(
    arguments: Arguments,
    calendar: Calendar,
    campaigns: list[Campaign],
    people: People,
    accounts: Accounts,
    purchases: Purchases,
    gone_day: NDArray[np.int64],
    block: int,
) -> Assignments:
    """Assign people with consent at a campaign's start. ``gone_day`` is the end of time for those who have not left."""
    import numpy as np

    random = stream(arguments.seed, "campaigns", block)
    count = len(people)
    parts: list[tuple[NDArray[Any], ...]] = []
    reachable = accounts.agreed_to_email & accounts.email.exists
    ordered = np.lexsort((purchases.day, purchases.buyer))
    buyer, day = purchases.buyer[ordered], purchases.day[ordered]
    for number, campaign in enumerate(campaigns):
        starts_at = calendar.start_second + campaign.start_day * DAY_SECONDS
        eligible = reachable & (accounts.email.since < starts_at)
        if campaign.approach != "newsletter":
            last = np.where(people.kind == BUYER, people.arrived, np.iinfo(np.int64).min // 2)
            earlier = day < campaign.start_day
            np.maximum.at(last, buyer[earlier], day[earlier])
            has_bought = (people.kind == BUYER) & (people.arrived < campaign.start_day)
            is_gone = gone_day < campaign.start_day
            eligible &= has_bought & (is_gone if campaign.approach == "win_back" else campaign.start_day - last < 150)
        person = np.flatnonzero(eligible)
        held_out = random.random(len(person)) < campaign.holdout
        buys = ~held_out & (random.random(len(person)) < campaign.uplift)
        when = campaign.start_day + random.integers(0, campaign.days, len(person))
        parts.append((np.full(len(person), number), person, held_out, np.where(buys, when, -1)))
    columns = [np.concatenate(part) for part in zip(*parts, strict=True)] if parts else [np.empty(0, int)] * 4
    found = Assignments(columns[0], columns[1], columns[2].astype(bool), columns[3])
    # A day on which the person buys anyway needs no campaign.
    taken = np.unique(
        np.concatenate([buyer * calendar.day_count + day, np.arange(count) * calendar.day_count + people.arrived])
    )
    key = found.person * calendar.day_count + found.caused_day
    _, first = np.unique(np.where(found.caused, key, -np.arange(1, len(key) + 1)), return_index=True)
    is_first = np.zeros(len(key), dtype=bool)
    is_first[first] = True
    found.caused_day = np.where(is_first & ~np.isin(key, taken), found.caused_day, -1)
    return found
