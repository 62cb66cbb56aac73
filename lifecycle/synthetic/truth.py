"""What is really so: the answers that the project's own answers are judged against.

Belongs here: the true states of people over time, true people, campaign members and effects, attribution weights,
stewards' decisions that agree with them, and requests for deletion.
Does not belong here: which record belongs to whom; ``files.py`` notes that for every row it writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lifecycle.synthetic import columns as c
from lifecycle.synthetic.accounts import NEVER
from lifecycle.synthetic.columns import DAY_SECONDS
from lifecycle.synthetic.parameters import CHANNELS
from lifecycle.synthetic.people import BUYER, PROSPECT_DAYS, describe
from lifecycle.synthetic.randomness import stream
from lifecycle.synthetic.rows import Rows
from lifecycle.synthetic.subscriptions import FADING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from lifecycle.synthetic.accounts import Accounts
    from lifecycle.synthetic.calendar import Calendar
    from lifecycle.synthetic.campaigns import Assignments, Campaign
    from lifecycle.synthetic.orders import Orders
    from lifecycle.synthetic.parameters import Arguments
    from lifecycle.synthetic.people import People
    from lifecycle.synthetic.purchases import Purchases
    from lifecycle.synthetic.subscriptions import Subscriptions

STATES = ("prospect", "trial", "active", "leaving", "gone", "returned")
PROSPECT, TRIAL, ACTIVE, LEAVING, GONE, RETURNED = range(len(STATES))

RETURNED_DAYS = 30
"""How long somebody who left and bought again because of a campaign counts as returned."""


@dataclass
class Latent:
    """What is true of the people of a block and stands in no file of theirs."""

    buyers: NDArray[np.int64]
    """Positions of those who buy; the arrays of ``purchases`` run along them."""
    purchases: Purchases
    spend_rate: NDArray[np.float64]
    left_day: NDArray[np.int64]
    gone_at: NDArray[np.int64]


def people_table(
    arguments: Arguments, calendar: Calendar, people: People, latent: Latent, seen_at: NDArray[np.int64]
) -> pa.Table:
    """``truth/people``: one row per person."""
    import numpy as np
    import pyarrow as pa

    profile, count = arguments.settings, len(people)

    def along_people(values: NDArray[Any]) -> pa.Array:
        whole = np.zeros(count)
        whole[latent.buyers] = values
        is_buyer = people.kind == BUYER
        return pa.array(whole, mask=~is_buyer)

    has_left = latent.left_day >= 0
    latent_columns = {
        "acquired_at": c.moments(seen_at),
        "daily_order_rate": along_people(latent.purchases.daily_rate),
        "leaving_chance": along_people(latent.purchases.leaving_chance),
        "mean_order_amount": along_people(profile.spend.p / latent.spend_rate[latent.buyers]),
        "left_on": c.dates(calendar.start_number + latent.left_day, has_left),
        "gone_at": c.moments(np.where(has_left, latent.gone_at, 0), has_left),
        **{f"touched_by_{channel.name}": c.flags(people.touched[:, number]) for number, channel in enumerate(CHANNELS)},
    }
    columns = describe(people, arguments, latent_columns)
    return pa.table({name: _plain(column) for name, column in columns.items()})


def _plain(column: pa.Array) -> pa.Array:
    import pyarrow as pa

    return column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column


def stages_table(
    calendar: Calendar, people: People, latent: Latent, orders: Orders, held: Subscriptions, seen_at: NDArray[np.int64]
) -> pa.Table:
    """``truth/stages``: every person's states, one behind the other, until the end of the window.

    Subscribers (of a company with trials) are where their subscription is; everybody else where their purchases are.
    """
    import numpy as np

    count = len(people)
    follows_subscription = np.zeros(count, bool)
    follows_subscription[held.person] = True
    starts: list[tuple[NDArray[np.int64], int, NDArray[np.int64]]] = []
    begin = np.maximum(seen_at - PROSPECT_DAYS * DAY_SECONDS, calendar.start_second)
    everyone = np.arange(count)
    starts.append((everyone, PROSPECT, begin))
    buys = np.flatnonzero((people.kind == BUYER) & ~follows_subscription)
    starts.append((buys, ACTIVE, seen_at[buys]))
    leaver = buys[latent.left_day[buys] >= 0]
    left_at = np.full(count, 0)
    # The moment of the last order before campaigns is when leaving begins.
    last_order = np.zeros(count, dtype=np.int64)
    own = orders.campaign < 0
    np.maximum.at(last_order, orders.person[own], orders.moment[own])
    left_at[leaver] = last_order[leaver] + 1
    starts.append((leaver, LEAVING, left_at[leaver]))
    gone_at = np.maximum(latent.gone_at, left_at + 1)
    starts.append((leaver, GONE, gone_at[leaver]))
    back = np.flatnonzero(
        (orders.campaign >= 0) & (latent.left_day[orders.person] >= 0) & ~follows_subscription[orders.person]
    )
    back = back[orders.moment[back] > gone_at[orders.person[back]]]
    # One return each: the first.
    _, first = np.unique(orders.person[back], return_index=True)
    back = back[first]
    starts.append((orders.person[back], RETURNED, orders.moment[back]))
    starts.append((orders.person[back], GONE, orders.moment[back] + RETURNED_DAYS * DAY_SECONDS))
    starts += _subscription_states(held)
    person, moment = (np.concatenate([part[place] for part in starts]) for place in (0, 2))
    state = np.concatenate([np.full(len(whose), code) for whose, code, _ in starts])
    inside = moment < calendar.end_second
    person, moment, state = person[inside], moment[inside], state[inside]
    order = np.lexsort((state, moment, person))
    person, moment, state = person[order], moment[order], state[order]
    same_next = np.append(person[1:] == person[:-1], False)
    until = np.append(moment[1:], 0)
    import pyarrow as pa

    keep = ~(same_next & (until <= moment))
    return pa.table(
        {
            "person_id": c.numbered("p", people.index[person[keep]]),
            "state": c.chosen(STATES, state[keep]).cast(pa.string()),
            "from_at": c.moments(moment[keep]),
            "to_at": c.moments(until[keep], same_next[keep]),
        }
    )


def _subscription_states(held: Subscriptions) -> list[tuple[NDArray[np.int64], int, NDArray[np.int64]]]:
    import numpy as np

    paid = np.flatnonzero(held.paid_from < NEVER)
    first, again = paid[~held.is_return[paid]], paid[held.is_return[paid]]
    trial = np.flatnonzero(~held.is_return & (held.started < held.paid_from))
    fades_at = np.maximum(held.ended - FADING, np.minimum(held.paid_from, held.ended))
    return [
        (held.person[trial], TRIAL, held.started[trial]),
        (held.person[first], ACTIVE, held.paid_from[first]),
        (held.person[again], RETURNED, held.paid_from[again]),
        (held.person[paid], LEAVING, fades_at[paid] + 1),
        (held.person, GONE, held.ended + 2),
    ]


def members_table(people: People, campaigns: list[Campaign], assignments: Assignments, calendar: Calendar) -> pa.Table:
    """``truth/campaign_members``: who was assigned, who was held out, whom it made order."""
    import numpy as np
    import pyarrow as pa

    return pa.table(
        {
            "campaign_id": c.chosen([one.campaign_id for one in campaigns], assignments.campaign).cast(pa.string()),
            "person_id": c.numbered("p", people.index[assignments.person]),
            "is_held_out": c.flags(assignments.is_held_out),
            "caused_order_on": c.dates(
                calendar.start_number + np.maximum(assignments.caused_day, 0), assignments.caused
            ),
        }
    )


def requests_table(arguments: Arguments, calendar: Calendar, people: People, block: int) -> pa.Table:
    """``truth/deletion_requests``: one person in 500 asks to be forgotten in the last two months, by email."""
    import numpy as np
    import pyarrow as pa

    random = stream(arguments.seed, "deletion requests", block)
    asks = np.flatnonzero((random.random(len(people)) < 0.002) & (people.given_up_at > calendar.end_second))
    moment = calendar.end_second - random.integers(1, 60 * DAY_SECONDS, len(asks))
    return pa.table({"identifier": c.texts(people.email[asks]), "requested_at": c.moments(moment)})


def attribution_table() -> pa.Table:
    """``truth/attribution``: what a touch of each channel adds to the chance to buy, and its share of the sum."""
    import pyarrow as pa

    added = [channel.touch_rate * channel.weight for channel in CHANNELS]
    return pa.table(
        {
            "channel": [channel.name for channel in CHANNELS],
            "touch_rate": [channel.touch_rate for channel in CHANNELS],
            "added_conversion_rate": [channel.weight for channel in CHANNELS],
            "true_share": [round(one / sum(added), 6) for one in added],
        }
    )


def campaigns_table(campaigns: list[Campaign], counts: NDArray[np.int64]) -> pa.Table:
    """``truth/campaigns``: the true uplift of each; ``counts`` are those assigned, held out, and orders caused."""
    import pyarrow as pa

    return pa.table(
        {
            "campaign_id": [one.campaign_id for one in campaigns],
            "approach": [one.approach for one in campaigns],
            "true_uplift": [one.uplift for one in campaigns],
            "holdout_share": [one.holdout for one in campaigns],
            "assigned_count": counts[0],
            "held_out_count": counts[1],
            "caused_order_count": counts[2],
        }
    )


def decision_rows(
    arguments: Arguments, calendar: Calendar, people: People, accounts: Accounts, block: int
) -> list[Rows]:
    """Stewards' decisions: some double CRM contacts are the same, some family members of one name are different."""
    import numpy as np

    random = stream(arguments.seed, "decisions", block)
    twin = np.flatnonzero(accounts.crm_twin.exists)[:40]
    place = np.arange(len(people))
    relative = np.flatnonzero(
        (people.role > 0)
        & (people.last == people.last[people.head])
        & accounts.crm.exists
        & accounts.crm.exists[people.head]
    )[:60]
    left = np.concatenate([twin, people.head[relative]])
    right = np.concatenate([twin, place[relative]])
    is_same = np.arange(len(left)) < len(twin)
    count = len(left)
    moment = calendar.end_second - random.integers(1, 90 * DAY_SECONDS, count)
    import pyarrow as pa
    import pyarrow.compute as pc

    return [
        Rows(
            "crm",
            "identity_decisions",
            {
                "decision_id": c.numbered("d", block * 1000 + np.arange(count)),
                "left_source_system": c.constant("crm", count),
                "left_record_table": c.constant("contacts", count),
                "left_record_id": accounts.crm.ids(left),
                "right_source_system": c.constant("crm", count),
                "right_record_table": c.constant("contacts", count),
                "right_record_id": pc.if_else(pa.array(is_same), accounts.crm_twin.ids(right), accounts.crm.ids(right)),
                "decision": c.chosen(("different", "same"), is_same.astype(int)),
                "decided_at": c.moments(moment),
                "decided_by": c.chosen(("steward_1", "steward_2"), random.integers(0, 2, count)),
                "reason": c.chosen(("family, not one person", "entered twice"), is_same.astype(int)),
            },
        )
    ]
