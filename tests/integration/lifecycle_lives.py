"""Three hundred people with seeded random lives of up to three years, as their records would stand in ``raw``.

Belongs here: who does what when. Does not belong here: what the rules make of it (``lifecycle_oracle.py``).

Some share an account and so one lifecycle; everybody else has one of their own. Nobody's persona, account or
subscription becomes known later than their first record: such a thing changes the past, by design. But a member of an
account may be there later than the account.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

SEEDS = Path(__file__).parents[2] / "seeds"
ZONE = ZoneInfo("America/New_York")
FIRST_DAY = date(2021, 1, 4)
AS_OF = date(2023, 12, 31)
PAST_DAYS = (date(2021, 9, 15), date(2022, 7, 3), date(2023, 3, 12))
"""The last of them has 23 hours."""
PEOPLE = 300
ACCOUNTS = 12
TOP = Decimal("0.01")
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)

Record = dict[str, Any]

HUMAN = ["page_viewed", "email_clicked", "call", "help_viewed", "referral_sent"]
WEIGHING = ["product_viewed", "pricing_viewed", "product_searched"]
CART = ["product_added", "checkout_started"]
ACTIVATION = ["onboarding_completed", "order_delivered"]
ADVOCACY = ["referral_converted", "testimonial_given"]
PASSIVE = ["email_sent", "email_opened", "ad_impression", "no such name"]
USAGE = ["feature_used", "app_opened", "onboarding_step"]
VENDOR_NAMES = {
    "page_viewed": "Page", "product_viewed": "Product Viewed", "checkout_started": "Checkout Started",
    "app_opened": "Application Opened", "email_clicked": "Clicked Email",
}  # fmt: skip
"""What a vendor calls them: translated by the seed of aliases."""
CATEGORIES = ["Food > Tea", "Food > Coffee", "Garden > Tools", "Books", "Toys > Wood > Trains"]
PERSONAS = ["annual", "promoter"]
KINDS = [
    "trial_started", "started", "renewed", "upgraded", "downgraded", "paused", "resumed", "payment_failed",
    "payment_recovered", "cancel_requested", "cancel_revoked", "ended",
]  # fmt: skip
# Score, lowest and highest, direction: on the usual scale, on others, and where 1 is best.
NPS_ANSWERS = [
    ("9", None, None, None), ("10", None, None, None), ("7", None, None, None), ("6", None, None, None),
    ("2", None, None, None), ("60", "0", "100", None), ("95", "0", "100", "ascending"), ("61", "0", "100", None),
    ("1", "1", "7", "descending"), ("6", "1", "7", "descending"), ("4", "0", "10", "descending"),
    ("3", None, "5", None),
]  # fmt: skip
CSAT_ANSWERS = [
    ("5", None, None, None), ("2", None, None, None), ("1", None, None, None), ("3", None, None, None),
    ("25", "0", "100", None), ("26", "0", "100", None), ("4", "1", "5", "descending"), ("1", "1", "5", "descending"),
    ("3", "1", "10", None), ("4", None, "10", None),
]  # fmt: skip


@cache
def seconds(days: float) -> timedelta:
    """So many days, to the whole second."""
    return timedelta(seconds=int(days * 86400 + 0.5))


def midnight_after(day: date) -> datetime:
    """The end of a local day, in UTC."""
    return datetime.combine(day + DAY, time(), tzinfo=ZONE).astimezone(UTC).replace(tzinfo=None)


@cache
def local_day(at: datetime) -> date:
    return at.replace(tzinfo=UTC).astimezone(ZONE).date()


END = midnight_after(AS_OF)


@cache
def seed(name: str) -> list[dict[str, str]]:
    with (SEEDS / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@dataclass
class Person:
    """One person's records, by table. Their ids begin with the person's name."""

    name: str
    records: dict[str, list[Record]] = field(default_factory=dict)

    def of(self, table: str) -> list[Record]:
        return self.records.get(table, [])

    def add(self, table: str, **record: Any) -> Record:
        self.records.setdefault(table, []).append(record)
        return record

    def next_id(self, table: str) -> str:
        return f"{self.name}-{table[:2]}{len(self.of(table))}"


@dataclass
class Life:
    """Those who have one lifecycle together: one person, or the members of an account."""

    people: list[Person]
    persona: str | None = None
    account: str | None = None

    def records(self, table: str) -> list[Record]:
        return [record for person in self.people for record in person.of(table)]


def all_lives() -> list[Life]:
    lives: list[Life] = []
    count = 0
    while count < PEOPLE:
        number = len(lives)
        size = 2 + number % 2 if number < ACCOUNTS else 1
        lives.append(a_life(number, [f"p{count + index:03d}" for index in range(size)]))
        count += size
    return lives


def a_life(number: int, names: Sequence[str]) -> Life:
    luck = random.Random(f"life {number}")  # noqa: S311 - reproducible, not secret
    account = f"account-{number}" if len(names) > 1 else None
    persona = luck.choice(PERSONAS) if number % 6 == 0 else None
    # Of the ways to live, the first two make subscribers.
    ways = [luck.choice(["streaming", "software", "shopping", "mixed", "browsing"]) for _ in names]
    life = Life([], persona, account)
    for name, way in zip(names, ways, strict=True):
        # Some join an account that was there before them.
        is_late = bool(life.people) and way in ("shopping", "browsing") and luck.random() < 0.7
        life.people.append(a_person(name, way, luck, None if is_late else persona, account, is_late=is_late))
    return life


def a_person(
    name: str, way: str, luck: random.Random, persona: str | None, account: str | None, *, is_late: bool = False
) -> Person:
    person = Person(name)
    begin = datetime.combine(FIRST_DAY, time()) + timedelta(seconds=luck.randrange(500 * 86400))
    span = luck.choice([40, 300, 700, 1090, 1090])
    stop = min(END + timedelta(days=20), begin + timedelta(days=span))
    has_subscriptions = way in ("streaming", "software", "mixed")
    is_known_early = has_subscriptions or persona is not None or account is not None
    # Some are known by a cookie for a while, or for good.
    cookie_until = begin if is_known_early else begin + timedelta(days=luck.choice([0, 0, 25, 90, 2000]))
    if cookie_until < stop and (is_known_early or luck.random() < 0.7):
        created_at = max(cookie_until, begin + timedelta(days=luck.randrange(-20, 30)))
        is_undated = cookie_until == begin and (persona or account or luck.random() < 0.1)
        if is_late:
            is_undated, created_at = False, begin - 11 * DAY
        person.add(
            "contacts",
            contact_id=name,
            created_at=None if is_undated else created_at,
            persona=persona,
            account_id=account,
            account_closed_at=luck.choice([None] * 5 + [created_at + seconds(luck.random() * span)]),
        )
    if begin < cookie_until < stop:
        # They sign in: the same browser, now with a name.
        a_touchpoint(person, cookie_until, luck, is_anonymous=False)["anonymous_id"] = f"cookie-{name}"
    wander(person, way, luck, begin, stop, cookie_until)
    if has_subscriptions:
        subscribe(person, luck, begin, stop)
    if luck.random() < 0.3 and not begin < cookie_until:
        person.add(
            "consents", contact_id=name, channel="email", purpose="marketing", consent_status="granted",
            changed_at=begin + seconds(luck.uniform(-10, 50)),
        )  # fmt: skip
    return person


def wander(
    person: Person, way: str, luck: random.Random, begin: datetime, stop: datetime, cookie_until: datetime
) -> None:
    """Whatever comes to mind, at a pace of one's own, with long breaks."""
    clock = begin
    pace = luck.choice([4, 9, 30, 60, 160])
    order_share = {"shopping": 0.45, "mixed": 0.25, "software": 0.05, "streaming": 0.08, "browsing": 0}[way]
    while clock < stop:
        clock += seconds(luck.expovariate(1 / pace)) + SECOND * luck.choice([0, 0, 1])
        if luck.random() < 0.04:
            clock += timedelta(days=luck.choice([60, 120, 250, 400]))
        if luck.random() < 0.1:
            # Just before and after midnight in New York.
            clock = midnight_after(clock.date()) + SECOND * luck.choice([-1, 0, 1])
        is_anonymous = clock < cookie_until or cookie_until >= stop
        chance = luck.random()
        if chance < order_share and not is_anonymous:
            an_order(person, clock, luck)
        elif chance > 0.8 and not is_anonymous:
            luck.choice([some_tickets, an_answer, an_answer, a_review, a_loyalty_event])(person, clock, luck)
        else:
            a_touchpoint(person, clock, luck, is_anonymous=is_anonymous)
        if luck.random() < 0.15:
            # Several things at one moment.
            a_touchpoint(person, clock, luck, is_anonymous=is_anonymous)


def a_touchpoint(
    person: Person, at: datetime, luck: random.Random, *, is_anonymous: bool, name: str | None = None
) -> Record:
    kinds = [HUMAN] * 5 + [WEIGHING] * 3 + [CART] * 2 + [PASSIVE] * 4 + [ACTIVATION, ADVOCACY, USAGE]
    name = name or luck.choice(luck.choice(kinds))
    return person.add(
        "touchpoints",
        touchpoint_id=person.next_id("touchpoints"),
        occurred_at=at,
        event_name=VENDOR_NAMES.get(name, name) if luck.random() < 0.5 else name,
        channel="web",
        contact_id=None if is_anonymous else person.name,
        anonymous_id=f"cookie-{person.name}" if is_anonymous or luck.random() < 0.5 else None,
        is_machine=luck.choice([None, False, False, False, luck.random() < 0.5]),
        order_id=None,
    )


# --- what shoppers do ------------------------------------------------------------------------------------------------


def an_order(
    person: Person, at: datetime, luck: random.Random, subscription: str | None = None, is_renewal: bool | None = None
) -> None:
    order_id = person.next_id("orders")
    tax, shipping, discount = (Decimal(luck.choice([0, 0, 150, 499])) * TOP for _ in range(3))
    worth = Decimal(luck.choice([0, 900, 2500, 4999, 12000])) * TOP
    lines: list[Record] = []
    if luck.random() < 0.6:
        amounts = luck.sample([40, 500, 1999, 3000, -700, 0], luck.choice([1, 2, 3]))
        for line_number, cents in enumerate(amounts, 1):
            lines.append(
                person.add(
                    "order_items",
                    order_id=order_id,
                    line_number=line_number,
                    product_id=luck.choice(["unlisted", *(f"c{index}" for index in range(len(CATEGORIES)))]),
                    quantity=Decimal(-1 if cents < 0 else 1),
                    line_amount=Decimal(cents) * TOP,
                    discount_amount=luck.choice([None, Decimal(20) * TOP]),
                )
            )
        worth = sum((line["line_amount"] - (line["discount_amount"] or 0) for line in lines), Decimal(0)) - discount
    total = max(worth + tax + shipping, Decimal(0)) if worth else Decimal(0)
    # Some are cancelled too late for this history.
    too_late = ("cancelled", END + DAY * luck.choice([0, 3]))
    fates = [("completed", None)] * 18 + [("Cancelled", None), ("cancelled", None), ("void", None), too_late]
    status, cancelled_at = luck.choice(fates)
    delivered_at = luck.choice([None, None, at + seconds(luck.choice([0, 1.5, 4, 30]))])
    person.add(
        "orders",
        order_id=order_id,
        ordered_at=at,
        order_status=status,
        cancelled_at=cancelled_at,
        delivered_at=delivered_at,
        total_amount=total,
        currency="USD",
        contact_id=person.name,
        tax_amount=tax,
        shipping_amount=shipping,
        discount_amount=discount or None,
        is_test=luck.random() < 0.04,
        order_channel="web",
        subscription_id=subscription,
        is_renewal=is_renewal,
    )
    if luck.random() < 0.3:
        # The shop's tracking reports the order as well, and perhaps its delivery.
        told = a_touchpoint(person, at + SECOND * luck.choice([0, 2]), luck, is_anonymous=False)
        told |= {
            "event_name": luck.choice(["order_placed", "Order Completed"]),
            "order_id": luck.choice([order_id, order_id, f"elsewhere-{order_id}"]),
        }
        if delivered_at:
            told = a_touchpoint(person, delivered_at + SECOND * luck.choice([0, 2]), luck, is_anonymous=False)
            told |= {"event_name": "order_delivered", "order_id": order_id}
    if luck.random() < 0.25:
        some_refunds(person, order_id, total, at, luck)
    if luck.random() < 0.25:
        an_order(person, at + timedelta(minutes=luck.choice([0, 30, 600])), luck)


def some_refunds(person: Person, order_id: str, total: Decimal, at: datetime, luck: random.Random) -> None:
    """All at once, in two halves, not everything, or too much."""
    for share in luck.choice([["1"], ["0.5", "0.5"], ["0.5"], ["1.2"], ["0.5", "0.7"]]):
        at += seconds(luck.choice([0, 0.5, 12, 70]))
        person.add(
            "refunds",
            refund_id=person.next_id("refunds"),
            order_id=order_id,
            refunded_at=at,
            refund_amount=total * Decimal(share),
            currency="USD",
            item_refund_amount=luck.choice([None, Decimal(100) * TOP]),
            tax_refund_amount=luck.choice([None, Decimal(10) * TOP]),
        )


def a_review(person: Person, at: datetime, luck: random.Random) -> None:
    scale = luck.choice([None, None, Decimal(10)])
    person.add(
        "reviews",
        review_id=person.next_id("reviews"),
        reviewed_at=at,
        contact_id=person.name,
        rating=Decimal(luck.choice([1, 3, 4, 5, *([7, 8, 10] if scale else [])])),
        scale_max=scale,
        is_testimonial=luck.choice([None, False, luck.random() < 0.4]),
    )


def some_tickets(person: Person, at: datetime, luck: random.Random) -> None:
    for _ in range(luck.choice([1, 2, 2, 3])):
        solved_after = luck.choice([None, None, None, 0, 0.1, 3, 29, 40])
        is_undated = luck.random() < 0.1
        status = "open" if solved_after is None and not is_undated else luck.choice(["solved", "Closed"])
        person.add(
            "tickets",
            ticket_id=person.next_id("tickets"),
            opened_at=at,
            ticket_channel="email",
            ticket_status=status,
            contact_id=person.name,
            reason=luck.choice([None, "billing", "delivery", "quality"]),
            first_replied_at=luck.choice([None, at + seconds(0.5)]),
            solved_at=None if solved_after is None or is_undated else at + seconds(solved_after),
        )
        at += seconds(luck.choice([0, 0.3, 5, 29.9999, 30, 36]))


def an_answer(person: Person, at: datetime, luck: random.Random) -> None:
    for _ in range(luck.choice([1, 1, 1, 2])):
        kind = luck.choice(["nps", "nps", "csat", "csat", "ces"])
        answers = NPS_ANSWERS if kind == "nps" else CSAT_ANSWERS
        score, lowest, highest, direction = luck.choice(answers)
        person.add(
            "survey_responses",
            response_id=person.next_id("survey_responses"),
            responded_at=at,
            survey_kind=kind,
            score=Decimal(score),
            scale_min=Decimal(lowest) if lowest else None,
            scale_max=Decimal(highest) if highest else None,
            scale_direction=direction,
            contact_id=person.name,
        )


def a_loyalty_event(person: Person, at: datetime, luck: random.Random) -> None:
    for _ in range(luck.choice([1, 1, 2])):
        kind = luck.choice(["join", "earn", "redeem", "tier", "tier"])
        person.add(
            "loyalty_events",
            loyalty_event_id=f"{luck.randrange(1000):03d}{person.next_id('loyalty_events')}",
            occurred_at=at,
            event_kind=kind,
            contact_id=person.name,
            tier_name=luck.choice([row["tier_name"] for row in seed("loyalty_tiers")]) if kind == "tier" else None,
        )


# --- what subscribers do ---------------------------------------------------------------------------------------------


def subscribe(person: Person, luck: random.Random, begin: datetime, stop: datetime) -> None:
    """One subscription after another, sometimes two at once, and use that falls and recovers."""
    clock = begin + seconds(luck.choice([0, 0, 3, 40, 200]))
    for _ in range(luck.choice([1, 1, 1, 2, 3])):
        last_at = a_subscription(person, clock, stop, luck)
        clock = last_at + seconds(luck.choice([0, 0, 1, 7, 7, 20, 120, 300, -60])) + SECOND * luck.choice([0, 0, 1])
        if clock > stop:
            break
    use(person, luck, begin, stop)


def a_subscription(person: Person, at: datetime, stop: datetime, luck: random.Random) -> datetime:  # noqa: PLR0912 - a branch per turn
    subscription = person.next_id("subscriptions")
    source = luck.choice(["shop", "shop", "billing"])
    step_days = luck.choice([30, 30, 31, 90, 365])
    trial_ends_at = luck.choice([None, at + seconds(14), at + seconds(30)])
    person.add(
        "subscriptions",
        source_system=source,
        subscription_id=subscription,
        contact_id=person.name,
        trial_ends_at=trial_ends_at,
    )
    mrr = Decimal(luck.choice([0, 10, 25, 25, 99]))

    def happens(kind: str, now: datetime, amount: Decimal | None = mrr) -> None:
        event_id = f"{luck.randrange(1000):03d}-{subscription}-{len(person.of('subscription_events'))}"
        is_told_twice = luck.random() < 0.02
        for teller in ("shop", "billing") if is_told_twice else (source,):
            person.add(
                "subscription_events",
                source_system=teller,
                subscription_event_id=event_id,
                subscription_id=subscription,
                occurred_at=now,
                event_kind=kind if teller == source else luck.choice(KINDS),
                plan_name="plan",
                mrr_amount=amount if luck.random() < 0.9 else None,
                currency="USD",
            )
        if kind in ("started", "renewed") and luck.random() < 0.3:
            an_order(
                person, now + timedelta(hours=luck.choice([0, 0, 2, -2, 24])), luck, subscription, kind != "started"
            )

    beginning = luck.choice(["trial", "trial", "start", "start", "free", "middle", "end"])
    if beginning == "end":
        happens("ended", at, Decimal(luck.choice([0, 10])))
    elif beginning == "middle":
        happens(luck.choice(KINDS[2:-1]), at)
    elif beginning == "trial":
        happens("trial_started", at, luck.choice([Decimal(0), mrr]))
        at += seconds(luck.choice([5, 14, 30, 33]))
        if luck.random() < 0.3:
            happens("ended", at, Decimal(0))
            return at
        if luck.random() < 0.8:
            happens("started", at)
    elif beginning == "free":
        mrr = Decimal(0)
        happens("started", at, mrr)
    else:
        happens("started", at)

    ends = 0
    while at < stop:
        at += seconds(step_days)
        if luck.random() < 0.08:
            at = midnight_after(at.date()) + SECOND * luck.choice([-1, 0])
        chance = luck.random()
        between = at - seconds(luck.uniform(0, step_days))
        if chance < 0.5:
            happens("renewed", at)
        elif chance < 0.58:
            mrr = Decimal(luck.choice([25, 99]))
            happens("upgraded", between, mrr)
        elif chance < 0.63:
            mrr = Decimal(luck.choice([0, 10]))
            happens("downgraded", between, mrr)
        elif chance < 0.71:
            happens("paused", between)
            if luck.random() < 0.7:
                happens("resumed", between + seconds(luck.choice([0, 12, 60])))
        elif chance < 0.79:
            happens("payment_failed", between)
            if luck.random() < 0.7:
                happens(luck.choice(["payment_recovered", "renewed"]), between + seconds(luck.choice([0, 3, 9])))
        elif chance < 0.87:
            happens("cancel_requested", between)
            if luck.random() < 0.5:
                happens("cancel_revoked", between + seconds(luck.choice([0, 4])))
            else:
                happens("ended", at, Decimal(0))
                ends += 1
        elif chance < 0.92:
            happens(luck.choice(KINDS), between)
        else:
            happens("ended", at, luck.choice([mrr, Decimal(0)]))
            ends += 1
        if ends and person.of("subscription_events")[-1]["event_kind"] == "ended":
            if luck.random() < 0.5:
                break
            # The same subscription again: at once, within the days of grace, on their last second, or long after.
            at += seconds(luck.choice([0, 3, 7, 8, 100, 250])) + SECOND * luck.choice([0, 1])
            happens("started", at, mrr)
    return at


def use(person: Person, luck: random.Random, begin: datetime, stop: datetime) -> None:
    """Phases of more and less use; several uses on a day, some of them by machines."""
    clock = begin + seconds(luck.choice([0, 20, 150]))
    for _ in range(luck.choice([1, 2, 3])):
        pace = luck.choice([1.5, 3, 4])
        for days in (pace, pace * luck.choice([2, 2.5, 5])):
            phase_end = clock + seconds(luck.choice([35, 60, 80]))
            while clock < min(phase_end, stop):
                a_touchpoint(person, clock, luck, is_anonymous=False, name=luck.choice(USAGE))
                if luck.random() < 0.15:
                    a_touchpoint(person, clock + timedelta(hours=3), luck, is_anonymous=False, name=luck.choice(USAGE))
                clock += seconds(days * luck.choice([0.5, 1, 1, 1.5]))
        clock += seconds(luck.choice([0, 0, 120]))
