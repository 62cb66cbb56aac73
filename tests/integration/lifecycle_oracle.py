"""A second opinion on the lifecycle: the rules of docs/lifecycle.md in plain Python, asked at one moment after another.

Belongs here: what the rules make of one lifecycle's records at a moment. Does not belong here: whose records they are
(``lifecycle_lives.py``), the models and the comparison.

Naive on purpose: everything is worked out from the records known at that moment, and only remembered while no further
record comes. The sole things that it shares with the models are the seeds that people edit.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache
from itertools import groupby, pairwise
from statistics import median
from typing import Any

from tests.integration.lifecycle_lives import CATEGORIES, DAY, END, Life, Person, Record, local_day, seconds, seed

DEFAULTS: dict[str, float] = {
    "default_order_gap_days": 30, "gap_prior_weight": 2, "due_factor": 2, "due_min_days": 30, "due_max_days": 400,
    "lapse_factor": 2, "lapse_min_days": 90, "lapse_max_days": 600, "churn_min_days": 365,
    "churn_after_lapse_days": 180, "silent_days": 365, "cart_days": 14, "weighing_days": 90, "lead_days": 90,
    "reactivated_days": 60, "new_days": 30, "activated_days": 30, "active_days": 45, "quiet_factor": 1.5,
    "advocate_days": 180, "expanding_days": 90, "established_days": 90, "return_grace_days": 7, "usage_window_days": 28,
    "usage_min_days": 8, "usage_fall_share": 0.5,
    "usage_recover_share": 0.75, "answer_days": 30, "detractor_score": 6, "unhappy_score": 2,
    "pressing_tickets": 2, "pressing_days": 30, "advocacy_nps": 0, "loyalty_min_orders": 6, "loyalty_min_days": 180,
    "expansion_category_level": 1, "expansion_window_days": 90, "expansion_min_spend_share": 0.05,
    "expansion_min_history_days": 180, "high_value_amount": 1000, "new_customer_days": 30,
}  # fmt: skip


@dataclass(frozen=True)
class Rulebook:
    """The thresholds of a company: its own, those of its personas, and the usual gap by first category."""

    own: Mapping[str, float] = field(default_factory=dict)
    personas: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    first_category_gaps: Mapping[str, float] = field(default_factory=dict)

    def limits(self, persona: str | None) -> dict[str, float]:
        return DEFAULTS | dict(self.own) | dict(self.personas.get(persona or "", {}))

    def usual_gap(self, persona: str | None, first_category: str | None) -> float:
        if "default_order_gap_days" in self.personas.get(persona or "", {}):
            return self.limits(persona)["default_order_gap_days"]
        return self.first_category_gaps.get(first_category or "", self.limits(persona)["default_order_gap_days"])


# --- subscriptions ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SubscriptionState:
    """How one subscription stands after some of its events."""

    is_active: bool = False
    is_in_trial: bool = False
    is_past_due: bool = False
    is_paused: bool = False
    is_cancelling: bool = False


NO_SUBSCRIPTION = SubscriptionState()


def subscription_state(events: list[Record]) -> SubscriptionState:
    """After these events of one subscription, in their order."""
    kinds = [event["event_kind"] for event in events]

    def last_of(*names: str) -> str | None:
        return next((kind for kind in reversed(kinds) if kind in names), None)

    # A pause ends nothing and begins nothing. Who resumes pays again, unless it never was more than a trial.
    turn, was_paid = None, kinds[0] != "trial_started"
    for kind in kinds:
        was_paid = was_paid or kind in ("started", "renewed")
        if kind in ("trial_started", "started", "renewed", "ended") or (kind == "resumed" and was_paid):
            turn = kind
    # What a trial, a pause or an end is worth says nothing about the plan.
    amounts = [
        event["mrr_amount"]
        for event in events
        if event["event_kind"] in ("started", "renewed", "upgraded", "downgraded") and event["mrr_amount"] is not None
    ]
    is_free = bool(amounts) and amounts[-1] == 0
    goes_on_since_before = not {"ended", "trial_started"} & set(kinds)
    is_active = not is_free and (turn in ("started", "renewed", "resumed") or goes_on_since_before)
    payment = last_of("payment_failed", "payment_recovered", "started", "renewed", "resumed", "ended")
    pause = last_of("paused", "resumed", "started", "renewed", "ended")
    cancelling = last_of("cancel_requested", "cancel_revoked", "started", "renewed", "ended")
    return SubscriptionState(
        is_active,
        turn == "trial_started",
        is_active and payment == "payment_failed",
        is_active and pause == "paused",
        is_active and cancelling == "cancel_requested",
    )


@dataclass
class Subscriptions:
    """All subscriptions of a lifecycle at one moment."""

    states: list[SubscriptionState] = field(default_factory=list)
    subscribed_since: datetime | None = None
    paid_ends: list[datetime] = field(default_factory=list)
    periods: list[tuple[datetime, str]] = field(default_factory=list)
    """When a paid period began, and of which subscription."""
    upgrades: list[datetime] = field(default_factory=list)
    trial_ends_at: datetime | None = None
    active_from: list[tuple[datetime, int]] = field(default_factory=list)
    """How many were active from one instant on."""

    @property
    def is_subscribed(self) -> bool:
        return any(state.is_active for state in self.states)

    def was_active_before(self, at: datetime) -> bool:
        before = [count for since, count in self.active_from if since < at]
        return bool(before) and before[-1] > 0


def in_order(event: Record) -> tuple[datetime, str, str]:
    return event["occurred_at"], event["subscription_event_id"], event["source_system"]


def subscriptions_of(events: list[Record], trial_ends: dict[str, datetime | None]) -> Subscriptions:
    known = Subscriptions()
    changes: list[tuple[datetime, int]] = []
    trial_ends_known = []
    for subscription in sorted({event["subscription_id"] for event in events}):
        own = sorted((event for event in events if event["subscription_id"] == subscription), key=in_order)
        before = NO_SUBSCRIPTION
        for number, event in enumerate(own, 1):
            kind, at = event["event_kind"], event["occurred_at"]
            after = subscription_state(own[:number])
            began_at_its_end = number == 1 and kind == "ended"
            begins = after.is_active and (kind in ("started", "renewed") or not before.is_active)
            if begins or began_at_its_end:
                known.periods.append((at, subscription))
            if (before.is_active and not after.is_active) or began_at_its_end:
                known.paid_ends.append(at)
            if kind == "upgraded" and before.is_active and after.is_active:
                known.upgrades.append(at)
            if kind == "trial_started" and trial_ends[subscription] is not None:
                trial_ends_known.append(trial_ends[subscription])
            changes.append((at, after.is_active - before.is_active))
            before = after
        known.states.append(before)
    count = 0
    for at, changes_then in groupby(sorted(changes), key=lambda change: change[0]):
        before_then, count = count, count + sum(change for _, change in changes_then)
        known.active_from.append((at, count))
        if count and not before_then:
            known.subscribed_since = at
    if not count:
        known.subscribed_since = None
    known.trial_ends_at = max(trial_ends_known, default=None)
    return known


# --- purchases -------------------------------------------------------------------------------------------------------


@dataclass
class Clocks:
    expected_days: float
    due_days: float
    lapse_days: float
    churn_days: float
    quiet_days: float


def clocks_of(gaps: list[float], usual: float, limits: Mapping[str, float]) -> Clocks:
    known = gaps[-10:]
    weight = limits["gap_prior_weight"]
    expected = (weight * usual + len(known) * (median(known) if known else 0)) / (weight + len(known))
    due = min(max(limits["due_factor"] * expected, limits["due_min_days"]), limits["due_max_days"])
    lapse = min(max(limits["lapse_factor"] * due, limits["lapse_min_days"]), limits["lapse_max_days"])
    churn = max(limits["churn_min_days"], lapse + limits["churn_after_lapse_days"])
    return Clocks(expected, due, lapse, churn, max(limits["active_days"], limits["quiet_factor"] * expected))


@dataclass
class Facts:
    """What is known of a lifecycle from the records up to one moment."""

    limits: dict[str, float]
    is_identified: bool = False
    paid: list[datetime] = field(default_factory=list)
    kept_count: int = 0
    net_revenue: Decimal = Decimal(0)
    clocks: Clocks | None = None
    came_back: datetime | None = None
    last_one_off: datetime | None = None
    subscriptions: Subscriptions = field(default_factory=Subscriptions)
    human: list[datetime] = field(default_factory=list)
    weighing: datetime | None = None
    cart: datetime | None = None
    activated: datetime | None = None
    advocated: datetime | None = None
    expanded: datetime | None = None
    closed: datetime | None = None
    used_days: list[datetime] = field(default_factory=list)
    nps: tuple[datetime, Fraction] | None = None
    csat: tuple[datetime, Fraction] | None = None
    tickets: list[Record] = field(default_factory=list)
    is_top_tier: bool = False

    @property
    def first_paid(self) -> datetime | None:
        return self.paid[0] if self.paid else None

    @property
    def last_paid(self) -> datetime | None:
        return self.paid[-1] if self.paid else None

    @property
    def last_human(self) -> datetime | None:
        return self.human[-1] if self.human else None


@dataclass(frozen=True)
class Standing:
    """Where somebody stands at one moment."""

    stage: str
    rule: str
    is_loyal: bool
    is_advocate: bool
    is_expanding: bool
    risk: str | None
    is_weighing: bool
    is_in_cart: bool
    is_activated: bool
    segments: frozenset[str] = frozenset()


SCALES = {"nps": (0, 10), "csat": (1, 5)}
NOT_COUNTED = {row["order_status"] for row in seed("order_statuses") if row["is_counted"] == "false"}
SOLVED = {row["ticket_status"] for row in seed("ticket_statuses") if row["is_open"] == "false"}
TYPES = {row["event_name"]: row for row in seed("touchpoint_types")}
ALIASES = {row["source_event_name"]: row["event_name"] for row in seed("touchpoint_aliases")}
USAGE = {"feature_used", "app_opened", "onboarding_step"}
TIERS = {row["tier_name"]: int(row["tier_rank"]) for row in seed("loyalty_tiers")}


@cache
def event_name(said: str) -> str:
    name = said.strip().replace(" ", "_").lower()
    return name if name in TYPES else ALIASES.get(name, "other")


@cache
def is_a(kind: str, name: str) -> bool:
    return TYPES[name][f"is_{kind}"] == "true"


def is_counted(order: Record) -> bool:
    """An order that is cancelled, voided or a test never was one, unless it is cancelled later than all of this."""
    is_too_late = order.get("cancelled_at") is not None and order["cancelled_at"] >= END
    return (is_too_late or order["order_status"].lower() not in NOT_COUNTED) and not order["is_test"]


def answer(response: Record) -> Fraction:
    """The score on the usual scale."""
    usual_low, usual_high = SCALES[response["survey_kind"]]
    low = Fraction(usual_low if response["scale_min"] is None else response["scale_min"])
    high = Fraction(usual_high if response["scale_max"] is None else response["scale_max"])
    score = Fraction(response["score"])
    share = (high - score if response["scale_direction"] == "descending" else score - low) / (high - low)
    return usual_low + share * (usual_high - usual_low)


class Oracle:
    """What the rules say of one life, by a rulebook, from the records before the end of ``as_of``."""

    def __init__(self, life: Life, rulebook: Rulebook) -> None:
        self.life, self.rulebook = life, rulebook
        self.limits = rulebook.limits(life.persona)
        self._remembered: dict[tuple[Any, ...], Any] = {}
        self._facts: dict[int, Facts] = {}
        self.contacts = life.records("contacts")
        self.orders = self._dated("orders", "ordered_at", lambda order: (order["ordered_at"], order["order_id"]))
        self.order_ids = {order["order_id"] for order in self.orders}
        self.delivered_ids = {order["order_id"] for order in self.orders if _happened(order["delivered_at"])}
        self.valid = [order for order in self.orders if is_counted(order)]
        valid_ids = {order["order_id"] for order in self.valid}
        self.refunds = [refund for refund in self._dated("refunds", "refunded_at") if refund["order_id"] in valid_ids]
        self.touchpoints = [
            touch for touch in self._dated("touchpoints", "occurred_at") if not self._is_told_by_an_order(touch)
        ]
        self.reviews = self._dated("reviews", "reviewed_at")
        self.tickets = self._dated("tickets", "opened_at")
        self.answers = self._dated(
            "survey_responses", "responded_at", lambda one: (one["responded_at"], one["response_id"])
        )
        self.loyalty = self._dated(
            "loyalty_events", "occurred_at", lambda one: (one["occurred_at"], one["loyalty_event_id"])
        )
        self.subscription_events = self._dated("subscription_events", "occurred_at", in_order)
        self.consents = self._dated("consents", "changed_at")
        self.trial_ends = {one["subscription_id"]: one["trial_ends_at"] for one in life.records("subscriptions")}
        self.holder = {
            subscription["subscription_id"]: person.name
            for person in life.people
            for subscription in person.of("subscriptions")
        }
        self.lines: dict[str, list[Record]] = {}
        for line in life.records("order_items"):
            self.lines.setdefault(line["order_id"], []).append(line)
        self.begin = min(self._happenings(), default=None)
        """When they were first seen: their first event. None for people without one."""
        self.moments = sorted(set(self._moments()))
        """When something changes that is known of them."""

    def known_since(self, person: Person) -> datetime:
        """Since when a member of the account is there. A record without a date has always been there."""
        own = Oracle(Life([person]), self.rulebook).begin
        is_undated = bool(person.of("subscriptions")) or any(one["created_at"] is None for one in person.of("contacts"))
        assert self.begin is not None
        return self.begin if own is None or is_undated else max(own, self.begin)

    def _dated(self, table: str, name: str, key: Callable[[Record], Any] | None = None) -> list[Record]:
        records = [record for record in self.life.records(table) if record[name] < END]
        return sorted(records, key=key or (lambda record: record[name]))

    def _is_told_by_an_order(self, touch: Record) -> bool:
        """An order or delivery that a touchpoint reports as well is one event."""
        known = {"order_placed": self.order_ids, "order_delivered": self.delivered_ids}.get(
            event_name(touch["event_name"]), set()
        )
        return touch["order_id"] in known

    def _happenings(self) -> Iterator[datetime]:
        """The moments of everything that is an event of somebody's timeline."""
        times = [touch["occurred_at"] for touch in self.touchpoints]
        times += [order[name] for order in self.valid for name in ("ordered_at", "delivered_at")]
        times += [refund["refunded_at"] for refund in self.refunds]
        times += [review["reviewed_at"] for review in self.reviews]
        times += [one[name] for one in self.tickets for name in ("opened_at", "first_replied_at", "solved_at")]
        times += [one["responded_at"] for one in self.answers]
        times += [one["occurred_at"] for one in (*self.loyalty, *self.subscription_events)]
        times += [one["changed_at"] for one in self.consents]
        times += [one[name] for one in self.contacts for name in ("created_at", "account_closed_at")]
        return (at for at in times if _happened(at))

    def _moments(self) -> Iterator[datetime]:
        yield from self._happenings()
        # Whoever orders is known, whatever became of the order.
        yield from (order["ordered_at"] for order in self.orders)

    # --- facts

    def _once(self, name: str, known: Iterable[list[Any]], work: Callable[[], Any]) -> Any:
        """The answer of ``work``, asked again only when there are more records of those that it looks at."""
        key = (name, *(len(records) for records in known))
        if key not in self._remembered:
            self._remembered[key] = work()
        return self._remembered[key]

    def facts(self, now: datetime) -> Facts:
        """Everything from the records up to ``now``."""
        number = bisect_right(self.moments, now)
        if number not in self._facts:
            self._facts[number] = self._facts_at(now)
        return self._facts[number]

    def _facts_at(self, now: datetime) -> Facts:
        facts = Facts(self.limits)
        touches = [
            (touch, event_name(touch["event_name"])) for touch in self.touchpoints if touch["occurred_at"] <= now
        ]
        valid = [order for order in self.valid if order["ordered_at"] <= now]
        refunds = [refund for refund in self.refunds if refund["refunded_at"] <= now]
        reviews = [review for review in self.reviews if review["reviewed_at"] <= now]
        tickets = [ticket for ticket in self.tickets if ticket["opened_at"] <= now]
        answers = [one for one in self.answers if one["responded_at"] <= now]
        loyalty = [one for one in self.loyalty if one["occurred_at"] <= now]
        changes = [event for event in self.subscription_events if event["occurred_at"] <= now]
        named = [(change["occurred_at"], f"subscription_{change['event_kind']}") for change in changes]

        facts.is_identified = (
            bool(valid or reviews or tickets or answers or loyalty or self.holder)
            or any(touch["contact_id"] is not None for touch, _ in touches)
            or any(order["ordered_at"] <= now for order in self.orders)
            or any(one["created_at"] is None or one["created_at"] <= now for one in self.contacts)
            or any(one["changed_at"] <= now for one in self.consents)
        )

        own = [(touch["occurred_at"], name) for touch, name in touches if not touch["is_machine"]]
        own += named + [(one["occurred_at"], f"loyalty_{one['event_kind']}") for one in loyalty]
        human = [at for at, name in own if is_a("human_activity", name)]
        human += [order["ordered_at"] for order in valid] + [review["reviewed_at"] for review in reviews]
        human += [ticket["opened_at"] for ticket in tickets] + [one["responded_at"] for one in answers]
        facts.human = sorted(human)
        facts.weighing = max((at for at, name in own if is_a("weighing", name)), default=None)
        facts.cart = max((at for at, name in own if is_a("cart", name)), default=None)
        delivered = [order["delivered_at"] for order in valid if order["delivered_at"] is not None]
        facts.activated = min(
            [at for at, name in own if is_a("activation", name)] + [at for at in delivered if at <= now], default=None
        )
        facts.advocated = max(
            [touch["occurred_at"] for touch, name in touches if is_a("advocacy", name)]
            + [review["reviewed_at"] for review in reviews if is_recommending(review)],
            default=None,
        )
        closed = [one["account_closed_at"] for one in self.contacts if one["account_closed_at"] is not None]
        facts.closed = max((at for at in closed if at <= now), default=None)

        facts.subscriptions = self._once("subscriptions", [changes], lambda: subscriptions_of(changes, self.trial_ends))
        self._add_purchases(facts, valid, refunds)
        facts.expanded = max(
            [
                *self._once("expansions", [valid, facts.paid], lambda: self._expansions(valid, facts)),
                *facts.subscriptions.upgrades,
            ],
            default=None,
        )
        facts.net_revenue = sum((self._revenue(order) for order in valid), Decimal(0)) - sum(
            (given_back_for_items(refund) for refund in refunds), Decimal(0)
        )

        used: dict[date, datetime] = {}
        for touch, name in touches:
            if name in USAGE and not touch["is_machine"]:
                used.setdefault(local_day(touch["occurred_at"]), touch["occurred_at"])
        facts.used_days = list(used.values())
        for one in answers:
            if one["survey_kind"] == "nps":
                facts.nps = one["responded_at"], answer(one)
            elif one["survey_kind"] == "csat":
                facts.csat = one["responded_at"], answer(one)
        facts.tickets = tickets
        # Of several tiers at one moment the highest counts.
        tiers = [(one["occurred_at"], TIERS[one["tier_name"]]) for one in loyalty if one["event_kind"] == "tier"]
        facts.is_top_tier = bool(tiers) and max(tiers)[1] == max(TIERS.values())
        return facts

    def _add_purchases(self, facts: Facts, valid: list[Record], refunds: list[Record]) -> None:
        known, limits = facts.subscriptions, facts.limits
        paid = [order for order in valid if order["total_amount"] > 0]
        orders_by_day: dict[date, list[Record]] = {}
        for order in paid:
            orders_by_day.setdefault(local_day(order["ordered_at"]), []).append(order)
        periods_by_day: dict[date, list[tuple[datetime, str]]] = {}
        for period in known.periods:
            periods_by_day.setdefault(local_day(period[0]), []).append(period)

        def is_given_back(order: Record) -> bool:
            back = sum(refund["refund_amount"] for refund in refunds if refund["order_id"] == order["order_id"])
            return bool(back >= order["total_amount"])

        def is_an_order(subscription: str, orders: list[Record]) -> bool:
            return any(
                order["subscription_id"] == subscription and order["contact_id"] == self.holder[subscription]
                for order in orders
            )

        for day in sorted({*orders_by_day, *periods_by_day}):
            orders, periods = orders_by_day.get(day, []), periods_by_day.get(day, [])
            facts.paid.append(min([order["ordered_at"] for order in orders] + [at for at, _ in periods]))
            of_their_own = [name for _, name in periods if not is_an_order(name, orders)]
            facts.kept_count += bool(of_their_own) or not all(is_given_back(order) for order in orders)

        one_offs = [
            order["ordered_at"] for order in paid if order["subscription_id"] is None and not order["is_renewal"]
        ]
        facts.last_one_off = max(one_offs, default=None)

        gaps: list[float] = []
        for index, at in enumerate(facts.paid):
            if index:
                previous = facts.paid[index - 1]
                assert facts.clocks is not None
                if self._came_back(at, previous, facts.clocks, known, one_offs):
                    facts.came_back = at
                gaps.append((at - previous) / DAY)
            first_category = self._first_category([order for order in paid if order["ordered_at"] <= at])
            usual = self.rulebook.usual_gap(self.life.persona, first_category)
            facts.clocks = clocks_of(gaps, usual, limits)

    def _came_back(
        self, at: datetime, previous: datetime, clocks: Clocks, known: Subscriptions, one_offs: list[datetime]
    ) -> bool:
        if known.was_active_before(at):
            return False
        ended = max((end for end in known.paid_ends if end < at), default=None)
        gone_since = max(previous, ended) if ended else previous
        if (at - gone_since) / DAY >= clocks.lapse_days:
            return True
        if ended is None or ended < previous or at - ended <= seconds(self.limits["return_grace_days"]):
            return False
        return not any(one_off < at < one_off + seconds(clocks.due_days) for one_off in one_offs)

    def _first_category(self, paid: list[Record]) -> str | None:
        """The one that most of the first paid order was spent on."""
        worth = self._worth_by_category(paid[0]) if paid else {}
        best = max(sorted(worth), key=lambda category: worth[category], default=None)
        return best if best is not None and worth[best] > 0 else None

    def _worth_by_category(self, order: Record) -> dict[str, Decimal]:
        worth: dict[str, Decimal] = {}
        for line in self.lines.get(order["order_id"], []):
            if line["quantity"] > 0 and line["line_amount"] > 0 and line["product_id"] != "unlisted":
                levels = CATEGORIES[int(line["product_id"][1:])].split(" > ")
                category = " > ".join(levels[: int(self.rulebook.limits(None)["expansion_category_level"])])
                amount = line["line_amount"] - (line["discount_amount"] or 0)
                worth[category] = worth.get(category, Decimal(0)) + amount
        return worth

    def _revenue(self, order: Record) -> Decimal:
        lines = self.lines.get(order["order_id"])
        if lines:
            worth = sum((line["line_amount"] - (line["discount_amount"] or 0) for line in lines), Decimal(0))
            return worth - (order["discount_amount"] or 0)
        return Decimal(order["total_amount"] - order["tax_amount"] - order["shipping_amount"])

    def _expansions(self, valid: list[Record], facts: Facts) -> list[datetime]:
        """First purchases in a category that are worth enough, long enough after the first purchase."""
        limits, seen, found = self.rulebook.limits(None), set(), []
        paid = [order for order in valid if order["total_amount"] > 0]
        for order in paid:
            at, worth = order["ordered_at"], self._worth_by_category(order)
            for category in worth.keys() - seen:
                is_old_enough = at >= facts.paid[0] + seconds(limits["expansion_min_history_days"])
                if not is_old_enough or worth[category] <= 0:
                    continue
                spent = sum(
                    self._revenue(other)
                    for other in paid
                    if other["ordered_at"] <= at < other["ordered_at"] + seconds(limits["expansion_window_days"])
                )
                if float(worth[category]) >= limits["expansion_min_spend_share"] * float(spent):
                    found.append(at)
            seen |= worth.keys()
        return found

    # --- rules

    def standing(self, now: datetime) -> Standing:
        return standing_at(self.facts(now), now)

    def clock_instants(self) -> set[datetime]:
        """Every moment at which something runs out before more happens."""
        found = set()
        for at, following in pairwise([*self.moments, END]):
            found |= {instant for instant in clock_instants(self.facts(at), at, following) if at < instant < following}
        return found

    def activity(self, now: datetime) -> str:
        """What PostHog's lifecycle calls them: by what they did in the last 30 days and the 30 before."""
        human = self.facts(now).human
        month = timedelta(days=30)
        lately = bisect_right(human, now) - bisect_right(human, now - month)
        before = bisect_right(human, now - month) - bisect_right(human, now - 2 * month)
        if not lately:
            return "dormant"
        if human[0] > now - month:
            return "new"
        return "returning" if before else "resurrecting"

    def predicted(self, now: datetime) -> str:
        """Amperity's groups by the days since the last purchase, where no score is accepted."""
        last_paid = self.facts(now).last_paid
        if last_paid is None:
            return "prospect"
        names = ("active", "cooling_down", "at_risk", "highly_at_risk")
        days = (now - last_paid) / DAY
        return next((name for name, limit in zip(names, (60, 120, 180, 240), strict=True) if days <= limit), "lost")


def _happened(at: datetime | None) -> bool:
    return at is not None and at < END


def is_recommending(review: Record) -> bool:
    return bool(review["is_testimonial"]) or review["rating"] * 5 >= 4 * (review["scale_max"] or 5)


def given_back_for_items(refund: Record) -> Decimal:
    if refund["item_refund_amount"] is not None:
        return Decimal(refund["item_refund_amount"])
    return Decimal(refund["refund_amount"] - (refund["tax_refund_amount"] or 0))


def is_usage_falling(facts: Facts, now: datetime) -> bool:
    """The last clear word on it: used days come, grow old and are forgotten, and not every change says something."""
    if not facts.subscriptions.states:
        return False
    window = seconds(facts.limits["usage_window_days"])
    used = facts.used_days
    moments = {at + age for at in used for age in (timedelta(0), window, 3 * window) if at + age <= now}
    for moment in sorted(moments, reverse=True):
        recent = bisect_right(used, moment) - bisect_right(used, moment - window)
        before = bisect_right(used, moment - window) - bisect_right(used, moment - 3 * window)
        if before < facts.limits["usage_min_days"]:
            return False
        if recent <= facts.limits["usage_fall_share"] * before / 2:
            return True
        if recent > facts.limits["usage_recover_share"] * before / 2:
            return False
    return False


def is_pressing(facts: Facts, now: datetime) -> bool:
    """Several unsolved tickets lately, or several for the same reason."""
    if not facts.tickets:
        return False
    lately = [one for one in facts.tickets if now < one["opened_at"] + seconds(facts.limits["pressing_days"])]

    def is_solved(ticket: Record) -> bool:
        if ticket["solved_at"] is not None:
            return bool(ticket["solved_at"] <= now)
        # A status without a date of its own counts from the record's own time.
        return ticket["ticket_status"].lower() in SOLVED

    reasons = [one["reason"] for one in lately if one["reason"] is not None]
    groups = [sum(not is_solved(one) for one in lately), *(reasons.count(reason) for reason in set(reasons))]
    return max(groups) >= facts.limits["pressing_tickets"]


def standing_at(facts: Facts, now: datetime) -> Standing:  # noqa: PLR0912 - a branch per rule
    limits, subscriptions = facts.limits, facts.subscriptions

    def within(since: datetime | None, days: float) -> bool:
        return since is not None and now < since + seconds(days)

    def expired(since: datetime | None, days: float) -> bool:
        return since is not None and now >= since + seconds(days)

    has_bought, kept, clocks = bool(facts.paid), facts.kept_count, facts.clocks
    is_subscribed = subscriptions.is_subscribed
    is_overdue = clocks is not None and not is_subscribed and expired(facts.last_paid, clocks.due_days)
    is_first = kept == 1 and not (is_subscribed and expired(subscriptions.subscribed_since, limits["established_days"]))
    is_in_trial = any(state.is_in_trial for state in subscriptions.states) and (
        subscriptions.trial_ends_at is None or now < subscriptions.trial_ends_at
    )
    is_weighing = within(facts.weighing, limits["weighing_days"])
    is_in_cart = within(facts.cart, limits["cart_days"])
    is_loyal = facts.is_top_tier or (
        kept >= limits["loyalty_min_orders"] and expired(facts.first_paid, limits["loyalty_min_days"])
    )
    is_promoter = facts.nps is not None and facts.nps[1] >= 9 and within(facts.nps[0], limits["advocate_days"])
    is_advocate = within(facts.advocated, limits["advocate_days"]) or bool(limits["advocacy_nps"] and is_promoter)
    is_expanding = within(facts.expanded, limits["expanding_days"])
    ended = max(subscriptions.paid_ends, default=None)
    one_off = facts.last_one_off

    signals = {
        "all_refunded": has_bought and kept == 0,
        "past_due": any(state.is_past_due for state in subscriptions.states),
        "paused": any(state.is_paused for state in subscriptions.states),
        "cancelling": any(state.is_cancelling for state in subscriptions.states),
        "usage_falling": is_subscribed and is_usage_falling(facts, now),
        "low_nps": facts.nps is not None
        and facts.nps[1] <= limits["detractor_score"]
        and within(facts.nps[0], limits["answer_days"]),
        "low_csat": facts.csat is not None
        and facts.csat[1] <= limits["unhappy_score"]
        and within(facts.csat[0], limits["answer_days"]),
        "tickets": is_pressing(facts, now),
    }

    stage, rule = "retention", "repeat"
    if facts.closed and (facts.last_paid is None or facts.last_paid < facts.closed):
        stage, rule = "churned", "closed"
    elif not has_bought:
        if is_in_cart:
            stage, rule = "decision", "cart"
        elif is_in_trial or is_weighing or (facts.is_identified and within(facts.last_human, limits["lead_days"])):
            stage, rule = "consideration", "weighing"
        else:
            stage, rule = "awareness", "seen"
    elif (
        not is_subscribed
        and ended is not None
        and not within(one_off, clocks.due_days)
        and (one_off is None or one_off <= ended)
    ):
        stage, rule = "churned", "ended"
    elif (
        not is_subscribed
        and expired(facts.last_paid, clocks.churn_days)
        and expired(facts.last_human, limits["silent_days"])
    ):
        stage, rule = "churned", "silent"
    elif not is_subscribed and expired(facts.last_paid, clocks.lapse_days):
        stage, rule = "lapsed", "overdue"
    elif is_overdue:
        stage, rule = "at_risk", "gap"
    elif any(signals.values()):
        stage, rule = "at_risk", "signals"
    elif within(facts.came_back, limits["reactivated_days"]):
        stage, rule = "reactivated", "came_back"
    elif is_first and within(facts.last_paid, limits["new_days"]) and facts.activated is None:
        stage, rule = "conversion", "new"
    elif is_first and within(facts.activated, limits["activated_days"]):
        stage, rule = "activation", "activated"
    elif is_first and (within(facts.last_human, clocks.quiet_days) or is_subscribed):
        stage, rule = "engagement", "active"
    elif is_first:
        stage, rule = "at_risk", "quiet"
    elif is_advocate:
        stage, rule = "advocacy", "advocate"
    elif is_expanding:
        stage, rule = "expansion", "grew"
    elif is_loyal:
        stage, rule = "loyalty", "loyal"

    risk = None
    if stage not in ("lapsed", "churned") and has_bought:
        is_quiet = (
            is_first
            and not is_subscribed
            and expired(facts.last_human, clocks.quiet_days)
            and not within(facts.last_paid, limits["new_days"])
        )
        risks = {"overdue": is_overdue, **signals, "quiet": is_quiet}
        risk = next((name for name, holds in risks.items() if holds), None)
    segments = {"lapsed"} if stage == "lapsed" else set()
    if risk and facts.net_revenue >= Decimal(limits["high_value_amount"]):
        segments.add("high_value_at_risk")
    if kept and within(facts.first_paid, limits["new_customer_days"]):
        segments.add("new_customers")
    return Standing(
        stage, rule, is_loyal and has_bought, is_advocate and has_bought, is_expanding and has_bought, risk,
        is_weighing, is_in_cart, facts.activated is not None, frozenset(segments),
    )  # fmt: skip


def clock_instants(facts: Facts, begin: datetime, end: datetime) -> Iterator[datetime]:
    """When something runs out if nothing more happens than is known; those between two moments at least."""
    limits, subscriptions = facts.limits, facts.subscriptions
    for since, names in (
        (facts.cart, ["cart_days"]),
        (facts.weighing, ["weighing_days"]),
        (facts.last_human, ["lead_days", "silent_days"]),
        (facts.last_paid, ["new_days"]),
        (facts.first_paid, ["loyalty_min_days", "new_customer_days"]),
        (subscriptions.subscribed_since, ["established_days"]),
        (facts.came_back, ["reactivated_days"]),
        (facts.activated, ["activated_days"]),
        (facts.advocated, ["advocate_days"]),
        (facts.expanded, ["expanding_days"]),
        (facts.nps and facts.nps[0], ["answer_days", "advocate_days"]),
        (facts.csat and facts.csat[0], ["answer_days"]),
        *((ticket["opened_at"], ["pressing_days"]) for ticket in facts.tickets),
    ):
        if since is not None:
            yield from (since + seconds(limits[name]) for name in names)
    if facts.clocks is not None and facts.last_paid is not None:
        for days in (facts.clocks.due_days, facts.clocks.lapse_days, facts.clocks.churn_days):
            yield facts.last_paid + seconds(days)
            if facts.last_one_off is not None:
                yield facts.last_one_off + seconds(days)
        if facts.last_human is not None:
            yield facts.last_human + seconds(facts.clocks.quiet_days)
    if subscriptions.trial_ends_at is not None:
        yield subscriptions.trial_ends_at
    window, month = seconds(limits["usage_window_days"]), timedelta(days=30)
    for times, length in ((facts.used_days, window), (facts.used_days, 3 * window)):
        yield from (at + length for at in times if begin < at + length < end)
    for length in (month, 2 * month):
        lately = facts.human[bisect_right(facts.human, begin - length) : bisect_right(facts.human, end - length)]
        yield from (at + length for at in lately)


# --- other people's vocabularies -------------------------------------------------------------------------------------

SHORT = {
    "AW": "awareness", "CO": "consideration", "DE": "decision", "CV": "conversion", "AC": "activation",
    "EN": "engagement", "RE": "retention", "EX": "expansion", "LO": "loyalty", "AD": "advocacy", "AR": "at_risk",
    "LA": "lapsed", "CH": "churned", "RA": "reactivated",
}  # fmt: skip

SCHEMES = {
    "nextiva": {"awareness": "AW CH", "consideration": "CO", "decision": "DE",
                "retention": "CV AC EN RE EX LO AR LA RA", "advocacy": "AD"},
    "rengage": {"acquisition": "AW CO DE", "engagement": "CV AC EN", "retention": "RE LO AR RA",
                "reactivation": "LA CH", "expansion": "EX AD"},
    "rengage_measured": {"acquisition": "AW CO DE", "onboarding": "CV", "activation": "AC",
                         "retention": "RE EX LO AD AR RA", "churn": "LA CH"},
    "engati": {"awareness": "AW CH", "consideration": "CO", "decision": "DE",
               "retention": "CV AC EN RE LO AR LA RA", "advocacy": "AD", "expansion": "EX"},
    "engati_key_aspects": {"acquisition": "AW CO DE CH", "engagement": "CV AC EN", "retention": "RE LO AR LA RA",
                           "expansion": "EX", "advocacy": "AD"},
    "jarvis_reach": {"awareness": "AW CH", "acquisition": "CO DE", "activation": "CV AC", "engagement": "EN",
                     "retention": "RE EX AR LA RA", "loyalty": "LO AD"},
    "jarvis_reach_example": {"awareness": "AW CH", "purchase": "DE", "post_purchase": "CV AC",
                             "retention": "EN RE EX LO AD AR LA RA"},
    "clm_general": {"awareness": "AW", "engagement": "CO DE", "conversion": "CV", "retention": "AC EN RE AR RA",
                    "cross_sell_upsell": "EX", "loyalty": "LO AD", "win_back": "LA CH"},
    "relationship": {"product_introduction": "AW", "target_profiling": "CO", "acquisition": "DE CV AC",
                     "growth": "EN RE EX AR RA", "loyalty": "LO AD", "termination": "LA CH"},
    "google_ads": {"Lead": "AW CO DE", "Active": "CV AC EN RE EX LO AD AR RA", "Churned": "LA CH"},
}  # fmt: skip
MAPPED = {
    scheme: {SHORT[code]: name for name, codes in names.items() for code in codes.split()}
    for scheme, names in SCHEMES.items()
}


def scheme_stage(scheme: str, standing: Standing) -> str:
    """The stage in another vocabulary: a map of ours, with what a few of them tell apart besides."""
    if scheme in ("nextiva", "engati") and standing.stage == "churned":
        if standing.is_in_cart:
            return "decision"
        if standing.is_weighing:
            return "consideration"
    if scheme == "rengage_measured" and standing.stage == "engagement":
        return "activation" if standing.is_activated else "onboarding"
    if scheme == "jarvis_reach_example" and standing.stage == "consideration":
        return "evaluation" if standing.is_weighing else "awareness"
    return standing.stage if scheme == "lifecycle" else MAPPED[scheme][standing.stage]
