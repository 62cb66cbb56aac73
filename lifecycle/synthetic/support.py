"""When people ask for help, and what they say about us.

Belongs here: tickets with transcripts, ratings of support, surveys, reviews and testimonials, calls and events that
the CRM notes, referrals that came to something.
Does not belong here: contact records of the support desk (``contacts.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lifecycle.synthetic import columns as c
from lifecycle.synthetic import vocabulary as words
from lifecycle.synthetic.catalogue import PRICE_POINTS
from lifecycle.synthetic.columns import DAY_SECONDS
from lifecycle.synthetic.contacts import phone_texts
from lifecycle.synthetic.parameters import STAR_SHARES
from lifecycle.synthetic.people import BUYER, LEAD
from lifecycle.synthetic.randomness import stream
from lifecycle.synthetic.rows import Rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lifecycle.synthetic.accounts import Accounts
    from lifecycle.synthetic.calendar import Calendar, Clocks
    from lifecycle.synthetic.catalogue import Catalogue
    from lifecycle.synthetic.orders import Orders
    from lifecycle.synthetic.parameters import Arguments
    from lifecycle.synthetic.people import People
    from lifecycle.synthetic.subscriptions import Subscriptions

LEAVING_FACTOR = 6.0
"""How many times their usual rate people write in the month before their last purchase and until they are gone."""

LATE_TICKET_SHARE = 0.15
RATING_SHARE = 0.28
"""Of solved tickets, those that are rated."""

NPS_SHARES = (0.03, 0.01, 0.02, 0.02, 0.03, 0.06, 0.07, 0.13, 0.18, 0.20, 0.25)
"""Scores 0 to 10. Invented; leavers answer three points lower."""

TICKET_CHANNELS = ("email", "chat", "phone", "social", "bot")
IDS_PER_BLOCK = 1_000_000


def draw_stars(random: np.random.Generator, count: int) -> NDArray[np.int64]:
    import numpy as np

    return random.choice(np.array(list(STAR_SHARES)), count, p=np.array(list(STAR_SHARES.values())))


@dataclass
class Tickets:
    """Tickets in order of their opening."""

    person: NDArray[np.int64]
    opened: NDArray[np.int64]
    reason: NDArray[np.int64]
    order: NDArray[np.int64]
    """Position of the order it is about; -1 for none."""
    is_leaving: NDArray[np.bool_]


def draw_tickets(
    arguments: Arguments,
    calendar: Calendar,
    clocks: Clocks,
    people: People,
    orders: Orders,
    held: Subscriptions,
    left_day: NDArray[np.int64],
    gone_day: NDArray[np.int64],
    block: int,
) -> Tickets:
    """Tickets at a steady rate while people are customers, more of them around their leaving, and for late parcels.

    Buyers leave around their last order, subscribers in the 45 days before their subscription ends.
    """
    import numpy as np

    random = stream(arguments.seed, "tickets", block)
    rate = arguments.settings.ticket_rate
    is_buyer = people.kind == BUYER
    end = np.minimum(gone_day, calendar.day_count - 1)
    span = np.maximum(end - people.arrived + 1, 0)
    usual = np.select([is_buyer, people.kind == LEAD], [rate * span / 365, 0.02], 0.0)
    steady = np.repeat(np.arange(len(people)), random.poisson(usual))
    steady_day = people.arrived[steady] + (random.random(len(steady)) * span[steady]).astype(np.int64)
    leaving, leaving_day = _worries(random, calendar, people, held, rate, left_day, end)
    late = np.flatnonzero(orders.is_late & (random.random(len(orders)) < LATE_TICKET_SHARE))
    late_moment = orders.promised[late] + random.integers(3600, 30 * 3600, len(late))
    person = np.concatenate([steady, leaving])
    opened = clocks.daytime(random, np.concatenate([steady_day, leaving_day]), people.zone[person])
    reasons = len(words.TICKET_REASONS)
    reason = random.choice(reasons, len(person), p=(0.16, 0.12, 0.08, 0.12, 0.12, 0.1, 0.12, 0.06, 0.06, 0.06))
    # Who writes again about the same thing within days: the first reason once more.
    again = np.flatnonzero(random.random(len(person)) < 0.14)
    person = np.concatenate([person, person[again], orders.person[late]])
    opened = np.concatenate([opened, opened[again] + random.integers(1, 9, len(again)) * DAY_SECONDS, late_moment])
    reason = np.concatenate([reason, reason[again], np.zeros(len(late), int)])
    order = np.concatenate([np.full(len(steady) + len(leaving) + len(again), -1), late])
    is_leaving = np.isin(np.arange(len(person)), len(steady) + np.arange(len(leaving)))
    order = _about_orders(random, orders, person, opened, order)
    inside = np.flatnonzero(opened < calendar.end_second)
    inside = inside[np.argsort(opened[inside], kind="stable")]
    return Tickets(person[inside], opened[inside], reason[inside], order[inside], is_leaving[inside])


def _worries(
    random: np.random.Generator,
    calendar: Calendar,
    people: People,
    held: Subscriptions,
    rate: float,
    left_day: NDArray[np.int64],
    end_day: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Person and day of the tickets that leaving adds; ``end_day`` is when a buyer is gone, within the window."""
    import numpy as np

    buyer = np.flatnonzero(left_day >= 0)
    ended = np.flatnonzero((held.ended < calendar.end_second) & (held.paid_from < held.ended))
    ended_day = (held.ended[ended] - calendar.start_second) // DAY_SECONDS
    paid_day = (held.paid_from[ended] - calendar.start_second) // DAY_SECONDS
    person = np.concatenate([buyer, held.person[ended]])
    begin = np.concatenate([np.maximum(left_day - 30, people.arrived)[buyer], np.maximum(ended_day - 45, paid_day)])
    days = np.maximum(np.concatenate([end_day[buyer], ended_day - 1]) - begin + 1, 0)
    count = random.poisson((LEAVING_FACTOR - 1) * rate * days / 365)
    of = np.repeat(np.arange(len(person)), count)
    return person[of], begin[of] + (random.random(len(of)) * days[of]).astype(np.int64)


def _about_orders(
    random: np.random.Generator,
    orders: Orders,
    person: NDArray[np.int64],
    opened: NDArray[np.int64],
    order: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Four in ten of the other tickets name the person's last order before them."""
    import numpy as np

    if not len(orders):
        return order
    scale = np.int64(2**33)
    key = orders.person.astype(np.int64) * scale + orders.moment
    place = np.searchsorted(key, person.astype(np.int64) * scale + opened, side="right") - 1
    is_theirs = (place >= 0) & (orders.person[np.maximum(place, 0)] == person)
    names_it = (order < 0) & is_theirs & (random.random(len(person)) < 0.4)
    return np.where(names_it, place, order)


def ticket_rows(
    arguments: Arguments,
    calendar: Calendar,
    catalogue: Catalogue,
    people: People,
    accounts: Accounts,
    orders: Orders,
    tickets: Tickets,
    block: int,
) -> list[Rows]:
    """Tickets of the support desk and the ratings that follow."""
    import numpy as np

    random = stream(arguments.seed, "ticket records", block)
    count = len(tickets.person)
    channel = random.choice(len(TICKET_CHANNELS), count, p=(0.45, 0.25, 0.2, 0.06, 0.04))
    waits = np.array([4 * 3600, 90, 150, 7200, 600])[channel]
    replied = tickets.opened + (random.exponential(1.0, count) * waits).astype(np.int64) + 20
    solved = replied + (random.lognormal(9.2, 1.3, count)).astype(np.int64) + 60
    is_solved = (random.random(count) < 0.94) & (solved < calendar.end_second)
    is_replied = replied < calendar.end_second
    agent = (random.random(count) ** 1.3 * len(words.AGENTS)).astype(np.int64)
    number = block * IDS_PER_BLOCK + np.arange(count)
    names_contact = random.random(count) < 0.88
    in_store, order_number = _order_of(orders, tickets.order)
    has_order = tickets.order >= 0
    product = _product_of(random, catalogue, orders, tickets)
    ids = c.numbered("", number)
    person = tickets.person
    rows = Rows(
        "support",
        "tickets",
        {
            "ticket_id": ids,
            "opened_at": c.moments(tickets.opened),
            "ticket_channel": c.chosen(TICKET_CHANNELS, channel),
            "ticket_status": c.chosen(("open", "solved"), is_solved.astype(int)),
            "contact_id": accounts.support.ids(person, names_contact),
            "email": c.texts(people.email_at(person, tickets.opened), ~names_contact & (channel != 2)),
            "phone": c.texts(phone_texts(random, people.phone[person], 0.03), ~names_contact | (channel == 2)),
            "reason": c.chosen(words.TICKET_REASONS, tickets.reason),
            "product_id": catalogue.ids(product, product >= 0),
            "order_id": _either_order(order_number, in_store, has_order),
            "priority": c.chosen(
                ("low", "normal", "high"), np.where(tickets.is_leaving, 2, random.integers(0, 3, count))
            ),
            "agent_id": c.chosen(words.AGENTS, agent, is_replied),
            "first_replied_at": c.moments(replied, is_replied),
            "solved_at": c.moments(solved, is_solved),
            "reopened_count": c.integers(random.poisson(np.where(tickets.is_leaving, 0.5, 0.08))),
            "reply_count": c.integers(1 + random.poisson(1.4, count), is_replied),
            "handed_over_from_bot": c.flags(channel == 4),
            "transcript_text": _transcripts(random, tickets),
            "updated_at": c.moments(np.where(is_solved, solved, tickets.opened)),
        },
        person=people.index[person],
    )
    rated = np.flatnonzero(is_solved & (random.random(count) < RATING_SHARE))
    answered = solved[rated] + random.integers(300, 2 * DAY_SECONDS, len(rated))
    rated, answered = rated[answered < calendar.end_second], answered[answered < calendar.end_second]
    stars = draw_stars(random, len(rated))
    ratings = Rows(
        "support",
        "survey_responses",
        {
            "response_id": c.numbered("c", number[rated]),
            "responded_at": c.moments(answered),
            "survey_kind": c.constant("csat", len(rated)),
            "score": c.integers(stars),
            "contact_id": accounts.support.ids(person[rated]),
            "ticket_id": ids.take(rated),
            "agent_id": c.chosen(words.AGENTS, agent[rated]),
            "survey_id": c.constant("after_support", len(rated)),
            "survey_trigger": c.constant("ticket_solved", len(rated)),
            "sent_at": c.moments(solved[rated] + 120),
            "scale_min": c.integers(np.ones(len(rated))),
            "scale_max": c.integers(np.full(len(rated), 5)),
            "scale_direction": c.constant("high_is_good", len(rated)),
            "comment_text": _comments(random, stars >= 4),
        },
        person=people.index[person[rated]],
    )
    return [rows, ratings]


def _order_of(orders: Orders, position: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    import numpy as np

    if not len(orders):
        return np.zeros(len(position), bool), np.zeros(len(position), int)
    return ~orders.is_online[position], orders.number[position]


def _either_order(number: NDArray[np.int64], in_store: NDArray[np.bool_], present: NDArray[np.bool_]) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.if_else(pa.array(in_store), c.numbered("T", number, present), c.numbered("S", number, present))


def _product_of(
    random: np.random.Generator, catalogue: Catalogue, orders: Orders, tickets: Tickets
) -> NDArray[np.int64]:
    """The product of the ticket's order, else any product for half of the questions about one; -1 for none."""
    import numpy as np

    count = len(tickets.person)
    anything = random.integers(0, len(catalogue.groups) * PRICE_POINTS, count)
    is_about_product = np.isin(tickets.reason, [words.TICKET_REASONS.index("how_to_use"), 1, 2])
    product = np.where(is_about_product & (random.random(count) < 0.5), anything, -1)
    if not len(orders):
        return product
    return np.where(tickets.order >= 0, orders.first_product[tickets.order], product)


def _transcripts(random: np.random.Generator, tickets: Tickets) -> Any:
    """What was said: an opening that fits the reason, a second sentence (angry ones mostly from leavers), a reply."""
    import numpy as np

    count = len(tickets.person)
    openings = [line for reason in words.TICKET_REASONS for line in words.TICKET_OPENINGS[reason]]
    per_reason = len(openings) // len(words.TICKET_REASONS)
    is_angry = random.random(count) < np.where(tickets.is_leaving, 0.7, 0.12)
    calm, angry = words.CALM_FOLLOW_UPS, words.FRUSTRATED_FOLLOW_UPS
    second = np.where(is_angry, len(calm) + random.integers(0, len(angry), count), random.integers(0, len(calm), count))
    opening = tickets.reason * per_reason + random.integers(0, per_reason, count)
    reply = random.integers(0, len(words.AGENT_REPLIES) - 1, count)
    reply = np.where(random.random(count) < 0.015, len(words.AGENT_REPLIES) - 1, reply)
    return c.joined(
        [
            c.chosen(openings, opening).cast("string"),
            c.chosen((*calm, *angry), second).cast("string"),
            c.chosen(words.AGENT_REPLIES, reply).cast("string"),
        ],
        " ",
    )


def _comments(random: np.random.Generator, is_good: NDArray[np.bool_]) -> Any:
    import numpy as np

    good, bad = words.SURVEY_COMMENTS[True], words.SURVEY_COMMENTS[False]
    code = np.where(
        is_good, random.integers(0, len(good), len(is_good)), len(good) + random.integers(0, len(bad), len(is_good))
    )
    return c.chosen((*good, *bad), code, random.random(len(is_good)) < 0.35)


def survey_rows(
    arguments: Arguments,
    calendar: Calendar,
    clocks: Clocks,
    people: People,
    accounts: Accounts,
    orders: Orders,
    left_day: NDArray[np.int64],
    gone_day: NDArray[np.int64],
    block: int,
) -> list[Rows]:
    """NPS every 120 days to customers with an email account, CES after some orders; one in seven answers."""
    import numpy as np

    random = stream(arguments.seed, "surveys", block)
    parts = []
    for day in range(60, calendar.day_count - 5, 120):
        asked = np.flatnonzero(
            (people.kind == BUYER) & accounts.email.exists & (people.arrived < day) & (gone_day > day)
            & (random.random(len(people)) < 0.6)
        )  # fmt: skip
        parts.append(
            (
                np.zeros(len(asked), int),
                asked,
                clocks.daytime(random, np.full(len(asked), day), people.zone[asked]),
                np.full(len(asked), -1),
            )
        )
    after_order = np.flatnonzero(
        orders.is_online & accounts.email.exists[orders.person] & (random.random(len(orders)) < 0.15)
    )
    parts.append(
        (
            np.ones(len(after_order), int),
            orders.person[after_order],
            orders.delivered[after_order] + DAY_SECONDS,
            after_order,
        )
    )
    kind, person, sent, order = (np.concatenate([part[place] for part in parts]) for place in range(4))
    inside = (sent < calendar.end_second) & (accounts.email.since[person] < sent)
    kind, person, sent, order = kind[inside], person[inside], sent[inside], order[inside]
    number = block * IDS_PER_BLOCK + np.arange(len(kind))
    sent_rows = Rows(
        "email",
        "touchpoints",
        {
            "touchpoint_id": c.numbered("q", number),
            "occurred_at": c.moments(sent),
            "event_name": c.constant("survey_sent", len(kind)),
            "contact_id": accounts.email.ids(person),
            "content_key": c.chosen(("nps", "ces"), kind),
        },
        calendar.month_of(sent),
        people.index[person],
    )
    answered = sent + (random.exponential(1.0, len(kind)) * DAY_SECONDS).astype(np.int64) + 60
    at = np.flatnonzero((random.random(len(kind)) < 1 / 7) & (answered < calendar.end_second))
    nps = random.choice(11, len(at), p=NPS_SHARES)
    is_leaver = (left_day[person[at]] >= 0) & (
        left_day[person[at]] * DAY_SECONDS + calendar.start_second < answered[at] + 30 * DAY_SECONDS
    )
    nps = np.maximum(nps - 3 * is_leaver, 0)
    ces = 8 - random.choice(np.arange(1, 8), len(at), p=(0.34, 0.24, 0.16, 0.1, 0.07, 0.05, 0.04))
    is_ces = kind[at] == 1
    in_store, order_number = _order_of(orders, order[at])
    answers = Rows(
        "email",
        "survey_responses",
        {
            "response_id": c.numbered("a", number[at]),
            "responded_at": c.moments(answered[at]),
            "survey_kind": c.chosen(("nps", "ces"), kind[at]),
            "score": c.integers(np.where(is_ces, ces, nps)),
            "contact_id": accounts.email.ids(person[at]),
            "email": c.texts(people.email_at(person[at], answered[at])),
            "order_id": _either_order(order_number, in_store, is_ces),
            "survey_id": c.chosen(("relationship", "after_order"), kind[at]),
            "survey_trigger": c.chosen(("calendar", "order_delivered"), kind[at]),
            "sent_at": c.moments(sent[at]),
            "scale_min": c.integers(is_ces.astype(int)),
            "scale_max": c.integers(np.where(is_ces, 7, 10)),
            "scale_direction": c.constant("high_is_good", len(at)),
            "comment_text": _comments(random, np.where(is_ces, ces >= 5, nps >= 8)),
        },
        person=people.index[person[at]],
    )
    return [sent_rows, answers]


def review_rows(
    arguments: Arguments, calendar: Calendar, catalogue: Catalogue, people: People, orders: Orders, block: int
) -> list[Rows]:
    """One order in sixteen is reviewed some days after it arrived, by email; few five stars are testimonials."""
    import numpy as np

    random = stream(arguments.seed, "reviews", block)
    reviewed = orders.delivered + (random.uniform(2, 20, len(orders)) * DAY_SECONDS).astype(np.int64)
    at = np.flatnonzero((random.random(len(orders)) < 1 / 16) & (reviewed < calendar.end_second))
    stars = draw_stars(random, len(at))
    is_testimonial = (stars == 5) & (random.random(len(at)) < 0.06)
    texts = [line for star in range(1, 6) for line in words.REVIEW_TEXTS[star]]
    in_store, order_number = _order_of(orders, at)
    person = orders.person[at]
    return [
        Rows(
            "reviews",
            "reviews",
            {
                "review_id": c.numbered("v", orders.number[at]),
                "reviewed_at": c.moments(reviewed[at]),
                "rating": c.integers(stars),
                "email": c.texts(people.email_at(person, reviewed[at])),
                "product_id": catalogue.ids(orders.first_product[at]),
                "order_id": _either_order(order_number, in_store, np.ones(len(at), bool)),
                "scale_max": c.integers(np.full(len(at), 5)),
                "review_text": c.chosen(
                    texts, (stars - 1) * 3 + random.integers(0, 3, len(at)), random.random(len(at)) < 0.7
                ),
                "is_testimonial": c.flags(is_testimonial),
                "deleted_at": c.moments(reviewed[at] + 3 * DAY_SECONDS, random.random(len(at)) < 0.02),
            },
            person=people.index[person],
        )
    ]


_ACTIVITIES = (
    "call",
    "chat",
    "event_attended",
    "partner_lead",
    "message_sent",
    "message_clicked",
    "referral_converted",
    "testimonial_given",
)
_ACTIVITY_CHANNELS = ("phone", "chat", "event", "partner", "sms", "sms", "referral", "phone")


def activity_rows(
    arguments: Arguments,
    calendar: Calendar,
    clocks: Clocks,
    people: People,
    accounts: Accounts,
    gone_day: NDArray[np.int64],
    block: int,
) -> list[Rows]:
    """What the CRM notes: calls, chats, events, partners' leads, text messages, referrals that became customers."""
    import numpy as np

    random = stream(arguments.seed, "activities", block)
    known = np.flatnonzero(accounts.crm.exists)
    person = np.repeat(known, random.poisson(0.5, len(known)))
    day = (accounts.crm.since[person] - calendar.start_second) // DAY_SECONDS
    last = np.clip(gone_day[person], day, calendar.day_count - 1)
    moment = clocks.daytime(
        random,
        day + (random.random(len(person)) * (last - day + 1)).astype(np.int64),
        people.zone[person],
        opens=8,
        closes=20,
    )
    moment = np.maximum(moment, accounts.crm.since[person])
    kind = random.choice(len(_ACTIVITIES), len(person), p=(0.28, 0.16, 0.1, 0.06, 0.24, 0.06, 0.07, 0.03))
    number = block * IDS_PER_BLOCK + np.arange(len(person))
    is_referral = kind == _ACTIVITIES.index("referral_converted")
    friend = known[random.integers(0, max(len(known), 1), len(person))]
    return [
        Rows(
            "crm",
            "touchpoints",
            {
                "touchpoint_id": c.numbered("act", number),
                "occurred_at": c.moments(moment),
                "event_name": c.chosen(_ACTIVITIES, kind),
                "channel": c.chosen(_ACTIVITY_CHANNELS, kind),
                "contact_id": accounts.crm.ids(person),
                "phone": c.texts(phone_texts(random, people.phone[person], 0.02), kind == 0),
                "rating": c.integers(random.integers(3, 6, len(person)), kind == 1),
                "referred_contact_id": accounts.crm.ids(friend, is_referral),
                "properties": c.chosen(('{"minutes": 3}', '{"minutes": 8}', '{"minutes": 15}'), number % 3, kind == 0),
            },
            person=people.index[person],
        )
    ]
