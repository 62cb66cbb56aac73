"""What was sent to people, what they did with it, and what they agreed to.

Belongs here: emails with deliveries, bounces, opens (by machines too), clicks, complaints and unsubscriptions; consents
per channel and purpose with their withdrawals.
Does not belong here: who is in a campaign (``campaigns.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lifecycle.synthetic import columns as c
from lifecycle.synthetic.accounts import NEVER
from lifecycle.synthetic.catalogue import OFFERS
from lifecycle.synthetic.columns import DAY_SECONDS
from lifecycle.synthetic.parameters import (
    EMAIL_BOUNCE_RATE,
    EMAIL_CLICK_RATE,
    EMAIL_COMPLAINT_RATE,
    EMAIL_OPEN_RATE,
    EMAIL_UNSUBSCRIBE_RATE,
    MACHINE_OPEN_RATE,
)
from lifecycle.synthetic.randomness import stream
from lifecycle.synthetic.rows import Rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lifecycle.synthetic.accounts import Accounts
    from lifecycle.synthetic.calendar import Calendar, Clocks
    from lifecycle.synthetic.campaigns import Assignments, Campaign
    from lifecycle.synthetic.parameters import Arguments
    from lifecycle.synthetic.people import People

EVENTS = (
    "email_sent", "email_delivered", "email_bounced", "email_opened", "email_clicked", "unsubscribed",
    "email_complained",
)  # fmt: skip
MACHINE = len(EVENTS)
"""An open by a machine: the same event, flagged."""

INTEREST_OF_GONE = 0.2

IDS_PER_BLOCK = 10_000_000


@dataclass
class Messages:
    """The email events of a block, and when each person withdrew their consent (NEVER for most)."""

    rows: list[Rows]
    withdrawn_at: NDArray[np.int64]


def draw_messages(
    arguments: Arguments,
    calendar: Calendar,
    clocks: Clocks,
    campaigns: list[Campaign],
    people: People,
    accounts: Accounts,
    assignments: Assignments,
    gone_at: NDArray[np.int64],
    block: int,
) -> Messages:
    """One email per assignment that is not held out; nothing more after somebody has unsubscribed.

    People who are gone (from ``gone_at`` on) read a fifth as much, the others as much more as the rates need.
    """
    import numpy as np

    random = stream(arguments.seed, "messages", block)
    kept = ~assignments.is_held_out
    person, campaign = assignments.person[kept], assignments.campaign[kept]
    start = np.array([one.start_day for one in campaigns], dtype=np.int64)[campaign]
    sent = clocks.daytime(random, start, people.zone[person], opens=8, closes=12)
    order = np.lexsort((sent, person))
    person, campaign, sent = person[order], campaign[order], sent[order]
    count = len(person)
    bounces = random.random(count) < EMAIL_BOUNCE_RATE
    leaves = ~bounces & (random.random(count) < EMAIL_UNSUBSCRIBE_RATE)
    left_before: NDArray[np.int64] = np.cumsum(leaves) - leaves
    begin = np.searchsorted(person, person)
    gets = left_before == left_before[begin] if count else np.empty(0, bool)
    person, campaign, sent, bounces, leaves = person[gets], campaign[gets], sent[gets], bounces[gets], leaves[gets]
    count = len(person)
    delivered = ~bounces
    interest = np.where(sent >= gone_at[person], INTEREST_OF_GONE, 1.0)
    opens = delivered & (
        random.random(count) < EMAIL_OPEN_RATE * interest / max(interest.mean() if count else 1.0, 0.5)
    )
    clicks = opens & (random.random(count) < EMAIL_CLICK_RATE / EMAIL_OPEN_RATE)
    complains = delivered & (random.random(count) < EMAIL_COMPLAINT_RATE)
    scanned = delivered & (random.random(count) < MACHINE_OPEN_RATE)
    arrives = sent + random.integers(2, 60, count)
    reads = arrives + (random.exponential(5 * 3600, count) + 20).astype(np.int64)
    happened = (
        (0, np.ones(count, bool), sent),
        (1, delivered, arrives),
        (2, bounces, arrives),
        (3, opens, reads),
        (4, clicks, reads + 25),
        (5, leaves, reads + 90),
        (6, complains, reads + 60),
        (MACHINE, scanned, arrives + 3),
    )
    message = block * IDS_PER_BLOCK + np.arange(count)
    at = np.concatenate([np.flatnonzero(mask) for _, mask, _ in happened])
    kind = np.concatenate([np.full(np.count_nonzero(mask), code) for code, mask, _ in happened])
    moment = np.concatenate([when[mask] for _, mask, when in happened])
    inside = moment < calendar.end_second
    at, kind, moment = at[inside], kind[inside], moment[inside]
    withdrawn_at = np.full(len(people), NEVER)
    np.minimum.at(withdrawn_at, person[leaves], reads[leaves] + 90)
    withdrawn_at = np.where(withdrawn_at < calendar.end_second, withdrawn_at, NEVER)
    offer = np.array([one.offer for one in campaigns], dtype=np.int64)[campaign[at]]
    rows = Rows(
        "email",
        "touchpoints",
        {
            "touchpoint_id": c.joined([c.numbered("m", message[at]), c.chosen(tuple("sdboculm"), kind).cast("string")]),
            "occurred_at": c.moments(moment),
            "event_name": c.chosen((*EVENTS, "email_opened"), kind),
            "contact_id": accounts.email.ids(person[at]),
            "campaign_id": c.chosen([one.campaign_id for one in campaigns], campaign[at]),
            "message_id": c.numbered("m", message[at]),
            "content_key": c.chosen([one.approach for one in campaigns], campaign[at]),
            "offer_id": c.chosen([one.offer_id for one in OFFERS], offer),
            "is_machine": c.flags(kind == MACHINE),
        },
        calendar.month_of(moment),
        people.index[person[at]],
    )
    return Messages([rows], withdrawn_at)


def consent_rows(
    arguments: Arguments,
    calendar: Calendar,
    accounts: Accounts,
    withdrawn_at: NDArray[np.int64],
    block: int,
) -> list[Rows]:
    """Consents of the email tool (asked at sign-up) and of the CRM (text messages, ads, phone, sale of data)."""
    import numpy as np

    random = stream(arguments.seed, "consents", block)
    subscriber = np.flatnonzero(accounts.email.exists)
    since = accounts.email.since[subscriber]
    agreed = accounts.agreed_to_email[subscriber]
    confirms = agreed & (random.random(len(subscriber)) < 0.8)
    withdraws = agreed & (withdrawn_at[subscriber] < NEVER)
    leaver = subscriber[withdraws]
    left = np.maximum(withdrawn_at[leaver], accounts.email.since[leaver] + 60)

    def email(person: NDArray[np.int64], moment: NDArray[np.int64], status: NDArray[Any], more: dict[str, Any]) -> Rows:
        count = len(person)
        return Rows(
            "email",
            "consents",
            {
                "contact_id": accounts.email.ids(person),
                "channel": c.constant("email", count),
                "purpose": c.constant("marketing", count),
                "consent_status": c.chosen(("granted", "withdrawn", "denied"), status),
                "changed_at": c.moments(moment),
                "legal_basis": c.constant("consent", count),
                **more,
            },
        )

    asked = email(
        subscriber,
        since,
        np.where(agreed, 0, 2),
        {
            "consent_source": c.chosen(("newsletter form", "checkout"), random.integers(0, 2, len(subscriber))),
            "confirmed_at": c.moments(since + random.integers(60, 9000, len(subscriber)), confirms),
            "region": c.constant("US", len(subscriber)),
            "proof": c.numbered("form answer ", random.integers(10_000, 99_999, len(subscriber)), confirms),
        },
    )
    left_rows = email(
        leaver, left, np.ones(len(leaver), int), {"consent_source": c.constant("unsubscribe link", len(leaver))}
    )
    return [asked, left_rows, *_crm_consents(random, calendar, accounts)]


_CRM_ASKS = (
    ("sms", "marketing", 0.45, 0.06),
    ("ads", "marketing", 0.55, 0.05),
    ("phone", "marketing", 0.25, 0.05),
    ("ads", "sale_or_sharing", 0.60, 0.10),
    ("email", "analytics", 0.70, 0.03),
)
"""Channel, purpose, share of those asked who agree, share of those who withdraw later. Invented."""


def _crm_consents(random: np.random.Generator, calendar: Calendar, accounts: Accounts) -> list[Rows]:
    import numpy as np

    person = np.flatnonzero(accounts.crm.exists)
    since = accounts.crm.since[person]
    found = []
    for channel, purpose, agree, withdraw in _CRM_ASKS:
        asked = random.random(len(person)) < 0.7
        agreed = random.random(len(person)) < agree
        leaves = asked & agreed & (random.random(len(person)) < withdraw)
        left = since + (random.exponential(120.0, len(person)) * DAY_SECONDS).astype(np.int64) + 60
        leaves &= left < calendar.end_second
        for keep, moment, status in (
            (asked, since, np.where(agreed, 0, 2)),
            (leaves, left, np.ones(len(person), int)),
        ):
            at = np.flatnonzero(keep)
            found.append(
                Rows(
                    "crm",
                    "consents",
                    {
                        "contact_id": accounts.crm.ids(person[at]),
                        "channel": c.constant(channel, len(at)),
                        "purpose": c.constant(purpose, len(at)),
                        "consent_status": c.chosen(("granted", "withdrawn", "denied"), status[at]),
                        "changed_at": c.moments(moment[at]),
                        "legal_basis": c.constant("consent", len(at)),
                        "consent_source": c.chosen(("phone call", "paper form"), at % 2),
                        "expires_at": c.moments(moment[at] + 730 * DAY_SECONDS, np.full(len(at), channel == "phone")),
                    },
                )
            )
    return found
