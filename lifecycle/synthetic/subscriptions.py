"""Subscriptions: trials, plans, payments, leaving and coming back, and what subscribers use.

Belongs here: who subscribes and for how long (the shifted beta-geometric of Fader and Hardie 2007, "How to Project
Customer Retention"), the subscription system's records and invoices, onboarding and feature use.
Does not belong here: one-off orders (``orders.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lifecycle.synthetic import columns as c
from lifecycle.synthetic import vocabulary as words
from lifecycle.synthetic.accounts import NEVER
from lifecycle.synthetic.columns import DAY_SECONDS
from lifecycle.synthetic.orders import TAX_RATE
from lifecycle.synthetic.people import BUYER, VISITOR
from lifecycle.synthetic.randomness import stream
from lifecycle.synthetic.rows import Rows
from lifecycle.synthetic.visits import cookies

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lifecycle.synthetic.accounts import Accounts
    from lifecycle.synthetic.calendar import Calendar, Clocks
    from lifecycle.synthetic.parameters import Arguments, SubscriptionModel
    from lifecycle.synthetic.people import People

MONTH, YEAR = 30 * DAY_SECONDS, 365 * DAY_SECONDS
FADING = 56 * DAY_SECONDS
"""How long before its end a subscription is used half as much."""

RETURN_SHARE = 0.15
ONBOARDING = (("profile", 0.9), ("first_project", 0.8), ("invite", 0.7), ("integration", 0.75))
"""Steps in order, each with the chance that whoever did the one before does it. Invented."""

IDS_PER_BLOCK = 1_000_000
USES_PER_BLOCK = 10_000_000


@dataclass
class Subscriptions:
    """Subscriptions of a block; moments may lie behind the window, and then have not happened."""

    person: NDArray[np.int64]
    number: NDArray[np.int64]
    started: NDArray[np.int64]
    """The trial's start, or of the paid part where there is no trial."""
    paid_from: NDArray[np.int64]
    """Start of the paid part; NEVER where the trial was not continued."""
    ended: NDArray[np.int64]
    period: NDArray[np.int64]
    """Seconds between payments."""
    plan: NDArray[np.int64]
    is_involuntary: NDArray[np.bool_]
    is_return: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.person)


def draw_subscriptions(
    arguments: Arguments, calendar: Calendar, people: People, accounts: Accounts, seen_at: NDArray[np.int64], block: int
) -> Subscriptions:
    """Who subscribes: members of the website; of those who leave, some come back for a second time."""
    import numpy as np

    model = arguments.settings.subscription
    random = stream(arguments.seed, "subscriptions", block)
    is_candidate = accounts.web.exists & (people.kind == BUYER if model.trial_days == 0 else people.kind != VISITOR)
    person = np.flatnonzero(is_candidate & (random.random(len(people)) < model.subscriber_share))
    wait = random.exponential(2.0 if model.trial_days else 60.0, len(person)) * DAY_SECONDS
    base = accounts.web.since if model.trial_days else seen_at
    start = base[person] + wait.astype(np.int64) + 600
    churn = random.beta(model.churn_a, model.churn_b, len(person))
    first = _drawn(random, model, person, start, churn, is_return=False)
    comes_back = (
        (first.ended < calendar.end_second) & (first.paid_from < NEVER) & (random.random(len(person)) < RETURN_SHARE)
    )
    gap = random.integers(45, 150, len(person)) * DAY_SECONDS
    at = np.flatnonzero(comes_back)
    second = _drawn(random, model, person[at], first.ended[at] + gap[at], churn[at], is_return=True)
    names = ("person", "number", "started", "paid_from", "ended", "period", "plan", "is_involuntary", "is_return")
    both = Subscriptions(*(np.concatenate([getattr(first, name), getattr(second, name)]) for name in names))
    inside = both.started < calendar.end_second
    both = Subscriptions(*(getattr(both, name)[inside] for name in names))
    both.number = block * IDS_PER_BLOCK + np.arange(len(both))
    return both


def _drawn(
    random: np.random.Generator,
    model: SubscriptionModel,
    person: NDArray[np.int64],
    start: NDArray[np.int64],
    churn: NDArray[np.float64],
    *,
    is_return: bool,
) -> Subscriptions:
    """Subscriptions that start at ``start``. The number of paid months is geometric with each person's own chance."""
    import numpy as np

    count = len(person)
    has_trial = (model.trial_days > 0) & (not is_return)
    trial = model.trial_days * DAY_SECONDS if has_trial else 0
    continues = (random.random(count) < model.trial_conversion) | (not has_trial)
    is_yearly = random.random(count) < model.yearly_share
    period = np.where(is_yearly, YEAR, MONTH)
    # A year is given up as often as three months are.
    chance = np.clip(np.where(is_yearly, 3 * churn, churn), 1e-4, 0.95)
    periods = random.geometric(chance)
    paid_from = np.where(continues, start + trial, NEVER)
    ended = np.where(continues, start + trial + np.minimum(periods, 500) * period, start + trial)
    return Subscriptions(
        person=person,
        number=np.zeros(count, int),
        started=start,
        paid_from=paid_from,
        ended=ended,
        period=period,
        plan=random.choice(len(model.plans), count, p=_falling(len(model.plans))),
        is_involuntary=continues & (random.random(count) < 0.15),
        is_return=np.full(count, is_return),
    )


def _falling(count: int) -> list[float]:
    """Shares that halve from one to the next."""
    weights = [2.0**-place for place in range(count)]
    return [weight / sum(weights) for weight in weights]


@dataclass
class _Changes:
    """What happened to subscriptions: position of the subscription, kind, moment."""

    subscription: NDArray[np.int64]
    kind: NDArray[np.int64]
    moment: NDArray[np.int64]
    plan_step: NDArray[np.int64]
    """By how many plans the event differs from the first one."""


KINDS = (
    "trial_started", "started", "renewed", "upgraded", "downgraded", "paused", "resumed", "payment_failed",
    "payment_recovered", "cancel_requested", "cancel_revoked", "ended",
)  # fmt: skip


def _changes(
    random: np.random.Generator, calendar: Calendar, model: SubscriptionModel, held: Subscriptions
) -> _Changes:
    import numpy as np

    count = len(held)
    everyone = np.arange(count)
    is_paid = held.paid_from < NEVER
    length = np.where(is_paid, held.ended - np.minimum(held.paid_from, held.ended), 0)
    renewals = np.maximum(length // held.period - 1, 0)
    # No more than fit into the window.
    fit = np.maximum((calendar.end_second - np.minimum(held.paid_from, calendar.end_second)) // held.period, 0)
    renewals = np.minimum(renewals, fit)
    renewed = np.repeat(everyone, renewals)
    place = np.arange(len(renewed)) - np.repeat(np.cumsum(renewals) - renewals, renewals) + 1
    renewed_at = held.paid_from[renewed] + place * held.period[renewed]
    fails = random.random(len(renewed)) < 0.03
    is_long = is_paid & (length > 4 * MONTH)
    within = np.where(is_paid, held.paid_from, 0) + (random.uniform(0.3, 0.7, count) * length).astype(np.int64)
    top = len(model.plans) - 1
    turn = random.random(count)
    upgrades = is_long & (turn < 0.18) & (held.plan < top)
    downgrades = is_long & (turn >= 0.18) & (turn < 0.25) & (held.plan > 0)
    pauses, wavers = is_long & (turn >= 0.25) & (turn < 0.31), is_long & (turn >= 0.31) & (turn < 0.37)
    warned = held.ended - random.integers(1, 21, count) * DAY_SECONDS
    # Pauses, doubts and changes of plan are over before a cancellation begins.
    parts: list[tuple[str, NDArray[np.int64], NDArray[np.int64], int]] = [
        ("started", np.flatnonzero(is_paid), held.paid_from[is_paid], 0),
        ("renewed", renewed[~fails], renewed_at[~fails], 0),
        ("payment_failed", renewed[fails], renewed_at[fails], 0),
        ("payment_recovered", renewed[fails], renewed_at[fails] + 2 * DAY_SECONDS, 0),
        ("upgraded", np.flatnonzero(upgrades), within[upgrades], 1),
        ("downgraded", np.flatnonzero(downgrades), within[downgrades], -1),
        ("paused", np.flatnonzero(pauses), within[pauses], 0),
        ("resumed", np.flatnonzero(pauses), within[pauses] + 25 * DAY_SECONDS, 0),
        ("cancel_requested", np.flatnonzero(wavers), within[wavers], 0),
        ("cancel_revoked", np.flatnonzero(wavers), within[wavers] + 2 * DAY_SECONDS, 0),
        ("cancel_requested", *_of(is_paid & ~held.is_involuntary, warned), 0),
        ("payment_failed", *_of(held.is_involuntary, held.ended - 7 * DAY_SECONDS), 0),
        ("ended", everyone, held.ended, 0),
    ]
    if model.trial_days:
        parts.append(("trial_started", *_of(~held.is_return, held.started), 0))
    subscription, moment = (np.concatenate([part[column] for part in parts]) for column in (1, 2))
    kind = np.concatenate([np.full(len(part[1]), KINDS.index(part[0])) for part in parts])
    changed_at = np.where(upgrades | downgrades, within, NEVER)
    step = np.where(upgrades, 1, np.where(downgrades, -1, 0))
    plan_step = np.where(moment >= changed_at[subscription], step[subscription], 0)
    inside = np.flatnonzero(moment < calendar.end_second)
    inside = inside[np.lexsort((kind[inside], moment[inside], subscription[inside]))]
    return _Changes(subscription[inside], kind[inside], moment[inside], plan_step[inside])


def _of(mask: NDArray[np.bool_], moment: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    import numpy as np

    at = np.flatnonzero(mask)
    return at, moment[at]


def subscription_rows(
    arguments: Arguments, calendar: Calendar, people: People, accounts: Accounts, held: Subscriptions, block: int
) -> list[Rows]:
    """The subscription system: subscriptions, their events, and an invoice for each payment."""
    import numpy as np

    model = arguments.settings.subscription
    random = stream(arguments.seed, "subscription records", block)
    person = held.person
    email = people.email_at(person, held.started)
    trial_ends = held.started + model.trial_days * DAY_SECONDS
    is_trial = ~held.is_return & (model.trial_days > 0)
    subscriptions = Rows(
        "billing",
        "subscriptions",
        {
            "subscription_id": c.numbered("sub_", held.number),
            "contact_id": accounts.web.ids(person, random.random(len(person)) < 0.9),
            "email": c.texts(email, random.random(len(person)) < 0.85),
            "user_id": accounts.web.ids(person),
            "account_id": c.numbered("acct-", people.index[person] // 40, people.index[person] % 11 == 0),
            "trial_ends_at": c.moments(trial_ends, is_trial),
            "brand": c.constant("main", len(person)),
        },
        person=people.index[person],
    )
    changes = _changes(random, calendar, model, held)
    of, kind, moment = changes.subscription, changes.kind, changes.moment
    plan = np.clip(held.plan[of] + changes.plan_step, 0, len(model.plans) - 1)
    price = np.array([one.monthly_cents for one in model.plans])[plan]
    is_yearly = held.period[of] == YEAR
    # A year costs ten months.
    monthly = np.where(is_yearly, price * 10 // 12, price)
    pays_nothing = np.isin(kind, [KINDS.index(name) for name in ("trial_started", "paused", "ended")])
    is_payment = np.isin(kind, [KINDS.index(name) for name in ("started", "renewed", "payment_recovered")])
    is_leaving = np.isin(kind, [KINDS.index(name) for name in ("cancel_requested", "ended")])
    reason = random.integers(0, len(words.CANCEL_REASONS) - 1, len(of))
    reason = np.where(held.is_involuntary[of] & is_leaving, len(words.CANCEL_REASONS) - 1, reason)
    number = block * IDS_PER_BLOCK * 10 + np.arange(len(of))
    events = Rows(
        "billing",
        "subscription_events",
        {
            "subscription_event_id": c.numbered("se", number),
            "subscription_id": c.numbered("sub_", held.number[of]),
            "occurred_at": c.moments(moment),
            "event_kind": c.chosen(KINDS, kind),
            "plan_name": c.chosen([one.name for one in model.plans], plan),
            "mrr_amount": c.money(np.where(pays_nothing, 0, monthly)),
            "currency": c.constant("USD", len(of)),
            "quantity": c.integers(np.ones(len(of))),
            "billing_interval": c.chosen(("month", "year"), is_yearly.astype(int)),
            "paid_through_at": c.moments(moment + held.period[of], is_payment),
            "reason": c.chosen(words.CANCEL_REASONS, reason, is_leaving),
        },
    )
    at = np.flatnonzero(is_payment)
    net = np.where(is_yearly, price * 10, price)[at]
    tax = np.rint(net * TAX_RATE).astype(np.int64)
    invoices = Rows(
        "billing",
        "orders",
        {
            "order_id": c.numbered("inv", number[at]),
            "ordered_at": c.moments(moment[at]),
            "order_status": c.constant("completed", len(at)),
            "total_amount": c.money(net + tax),
            "currency": c.constant("USD", len(at)),
            "user_id": accounts.web.ids(held.person[of[at]]),
            "tax_amount": c.money(tax),
            "order_channel": c.constant("subscription", len(at)),
            "subscription_id": c.numbered("sub_", held.number[of[at]]),
            "is_renewal": c.flags(kind[at] != KINDS.index("started")),
            "paid_at": c.moments(moment[at] + 5),
        },
        person=people.index[held.person[of[at]]],
    )
    return [subscriptions, events, invoices]


def use_rows(
    arguments: Arguments,
    calendar: Calendar,
    clocks: Clocks,
    people: People,
    accounts: Accounts,
    held: Subscriptions,
    block: int,
) -> list[Rows]:
    """Onboarding and feature use in the app: steady while subscribed, half of it in the 56 days before the end."""
    import numpy as np

    model = arguments.settings.subscription
    if not model.features:
        return []
    random = stream(arguments.seed, "uses", block)
    person = held.person
    until = np.minimum(held.ended, calendar.end_second)
    rate = model.uses_per_month / 28 / DAY_SECONDS * random.gamma(4.0, 0.25, len(person))
    of = np.repeat(np.arange(len(person)), random.poisson(rate * (until - held.started)))
    day = (
        held.started[of]
        + (random.random(len(of)) * (until - held.started)[of]).astype(np.int64)
        - calendar.start_second
    ) // DAY_SECONDS
    moment = clocks.daytime(random, day, people.zone[person[of]])
    is_fading = moment >= held.ended[of] - FADING
    keeps = (moment >= held.started[of]) & (moment < until[of]) & (~is_fading | (random.random(len(of)) < 0.5))
    of, moment = of[keeps], moment[keeps]
    names = ("feature_used", "app_opened", "onboarding_step", "onboarding_completed", "trial_started", "content_shared")
    kind = random.choice([0, 1, 5], len(of), p=(0.8, 0.15, 0.05))
    feature = np.where(kind == 0, random.choice(len(model.features), len(of), p=_falling(len(model.features))), -1)
    step = np.full(len(of), -1)
    parts = [(of, moment, kind, feature, step)]
    goes_on = np.flatnonzero(~held.is_return)
    when = held.started[goes_on]
    parts.append(_single(goes_on, when + 30, 4, -1))
    for number, (_, chance) in enumerate(ONBOARDING):
        stays = random.random(len(goes_on)) < chance
        goes_on, when = (
            goes_on[stays],
            when[stays] + (random.exponential(1.5, np.count_nonzero(stays)) * DAY_SECONDS).astype(np.int64) + 120,
        )
        parts.append(_single(goes_on, when, 2, number))
    parts.append(_single(goes_on, when + 5, 3, -1))
    of, moment, kind, feature, step = (np.concatenate([part[column] for part in parts]) for column in range(5))
    inside = moment < calendar.end_second
    of, moment, kind, feature, step = of[inside], moment[inside], kind[inside], feature[inside], step[inside]
    whose = person[of]
    return [
        Rows(
            "app",
            "touchpoints",
            {
                "touchpoint_id": c.numbered("u", block * USES_PER_BLOCK + np.arange(len(of))),
                "occurred_at": c.moments(moment),
                "event_name": c.chosen(names, kind),
                "user_id": accounts.web.ids(whose),
                "anonymous_id": c.numbered("dev", cookies(arguments, people, whose)),
                "feature_name": c.chosen(model.features, feature),
                "step": c.chosen([name for name, _ in ONBOARDING], step),
                "device": c.chosen(words.BROWSERS, people.device[whose]),
            },
            calendar.month_of(moment),
            people.index[whose],
        )
    ]


def _single(
    of: NDArray[np.int64], moment: NDArray[np.int64], kind: int, step: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    import numpy as np

    count = len(of)
    return of, moment, np.full(count, kind), np.full(count, -1), np.full(count, step)
