"""Whole lives, from raw records to the history: people whom every retailer, platform and publisher knows.

Thresholds are the defaults, days are UTC. A story says what happened and where its person stood from when on; between
two lines nothing else may have been the case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.integration.raw_company import Record, build

AS_OF = date(2025, 12, 31)
NOON = " 12:00:00"
Standing = tuple[str, str, str]
"""Day, stage, rule."""


def at(text: str) -> datetime:
    """'2024-01-01' is noon of that day, '2024-01-01 08:30:00' the second."""
    return datetime.fromisoformat(text + (NOON if len(text) == 10 else ""))


def days_after(text: str, days: float) -> str:
    """To the second, as clocks are."""
    return (at(text) + timedelta(seconds=round(days * 86400))).isoformat(" ")


@dataclass
class Life:
    """One person's records; ``also`` are colleagues of one account or other records of the same person."""

    name: str
    tables: dict[str, list[Record]] = field(default_factory=dict)

    def _add(self, table: str, **record: Any) -> str:
        rows = self.tables.setdefault(table, [])
        key = str(record.get(_KEYS.get(table, ""), f"{self.name}-{table}-{len(rows)}"))
        rows.append(record | {_KEYS[table]: key} if table in _KEYS else record)
        return key

    def records(self) -> Iterator[tuple[str, Record]]:
        for table, records in self.tables.items():
            yield from ((table, record) for record in records if table != "order_items")

    def contact(self, day: str | None, contact_id: str | None = None, **more: Any) -> None:
        self._add("contacts", contact_id=contact_id or self.name, created_at=at(day) if day else None, **more)

    def does(self, day: str, event: str, **more: Any) -> None:
        known = {} if {"contact_id", "anonymous_id"} & more.keys() else {"contact_id": self.name}
        self._add("touchpoints", occurred_at=at(day), event_name=event, channel="web", **known, **more)

    def orders(self, day: str, total: int = 50, category: str | None = None, **more: Any) -> str:
        order_id = self._add(
            "orders",
            ordered_at=at(day),
            order_status=more.pop("order_status", "completed"),
            total_amount=Decimal(total),
            currency="USD",
            **{"contact_id": self.name, **more},
        )
        if category:
            self._add(
                "order_items",
                order_id=order_id,
                line_number=1,
                product_id=category,
                quantity=Decimal(1),
                line_amount=Decimal(total),
            )
        return order_id

    def refunds(self, day: str, order_id: str, amount: int = 50) -> None:
        self._add("refunds", order_id=order_id, refunded_at=at(day), refund_amount=Decimal(amount), currency="USD")

    def subscribes(self, subscription_id: str, *turns: tuple[str, str, int | None], **more: Any) -> None:
        self._add("subscriptions", subscription_id=subscription_id, contact_id=self.name, **more)
        for day, kind, mrr in turns:
            self._add(
                "subscription_events",
                subscription_id=subscription_id,
                occurred_at=at(day),
                event_kind=kind,
                mrr_amount=None if mrr is None else Decimal(mrr),
                currency="USD",
            )

    def asks(self, day: str, reason: str | None = None, solved: str | None = None) -> None:
        self._add(
            "tickets",
            opened_at=at(day),
            solved_at=at(solved) if solved else None,
            ticket_channel="email",
            ticket_status="solved" if solved else "open",
            reason=reason,
            contact_id=self.name,
        )

    def answers(self, day: str, kind: str, score: int) -> None:
        self._add(
            "survey_responses", responded_at=at(day), survey_kind=kind, score=Decimal(score), contact_id=self.name
        )

    def reviews(self, day: str, rating: int) -> None:
        self._add("reviews", reviewed_at=at(day), rating=Decimal(rating), contact_id=self.name)

    def joins(self, day: str, kind: str = "join", tier: str | None = None) -> None:
        self._add("loyalty_events", occurred_at=at(day), event_kind=kind, tier_name=tier, contact_id=self.name)


_KEYS = {
    "touchpoints": "touchpoint_id",
    "orders": "order_id",
    "refunds": "refund_id",
    "subscriptions": "subscription_id",
    "subscription_events": "subscription_event_id",
    "tickets": "ticket_id",
    "survey_responses": "response_id",
    "reviews": "review_id",
    "loyalty_events": "loyalty_event_id",
}

STORIES: dict[str, tuple[Life, list[Standing]]] = {}


def story(tell: Callable[[Life], list[Standing]]) -> Callable[[Life], list[Standing]]:
    life = Life(tell.__name__)
    STORIES[tell.__name__] = (life, tell(life))
    return tell


# --- how people buy --------------------------------------------------------------------------------------------------


@story
def a_weekly_grocer_is_loyal_after_half_a_year_and_missed_after_a_month(life: Life) -> list[Standing]:
    first = "2024-01-06"
    for week in range(30):
        life.orders(days_after(first, 7 * week))
    last = days_after(first, 7 * 29)
    return [
        (first, "conversion", "new"),
        (days_after(first, 7), "retention", "repeat"),
        # Half a year after the first order.
        (days_after(first, 180), "loyalty", "loyal"),
        # Twice the expected week is less than the least: a month, a quarter, a year.
        (days_after(last, 30), "at_risk", "gap"),
        (days_after(last, 90), "lapsed", "overdue"),
        (days_after(last, 365), "churned", "silent"),
    ]


@story
def a_one_time_gift_buyer_fades_away_over_a_year(life: Life) -> list[Standing]:
    bought = "2024-12-10"
    life.orders(bought, is_gift=True)
    return [
        (bought, "conversion", "new"),
        (days_after(bought, 30), "engagement", "active"),
        (days_after(bought, 45), "at_risk", "quiet"),
        # Due after 60 days is the same stage for another reason.
        (days_after(bought, 120), "lapsed", "overdue"),
        (days_after(bought, 365), "churned", "silent"),
    ]


@story
def an_annual_buyer_does_not_churn_every_year(life: Life) -> list[Standing]:
    for year in range(2018, 2026):
        life.orders(f"{year}-12-01")
    return [
        ("2018-12-01", "conversion", "new"),
        ("2018-12-31", "engagement", "active"),
        ("2019-01-15", "at_risk", "quiet"),
        # After one order nobody knows that it is an annual one: 120 days are late for a monthly shop.
        ("2019-03-31", "lapsed", "overdue"),
        ("2019-12-01", "reactivated", "came_back"),
        ("2020-01-30", "retention", "repeat"),
        # Expected after (2 x 30 + 365) / 3 days, due after 283; after three gaps it is 400.
        (days_after("2019-12-01", 2 * 425 / 3), "at_risk", "gap"),
        ("2020-12-01", "retention", "repeat"),
        ("2023-12-01", "loyalty", "loyal"),
    ]


@story
def a_company_that_buys_in_bulk_every_quarter_is_one_customer_of_two_people(life: Life) -> list[Standing]:
    life.contact("2024-01-02", account_id="acme")
    life.contact("2024-01-02", contact_id="buyer", account_id="acme")
    life.does("2024-01-02", "pricing_viewed")
    for day in ("2024-02-01", "2024-05-01", "2024-08-01", "2024-11-01", "2025-02-01", "2025-05-01", "2025-08-01"):
        life.orders(day, total=5000, contact_id="buyer")
    return [
        ("2024-01-02", "consideration", "weighing"),
        ("2024-02-01", "conversion", "new"),
        ("2024-03-02", "engagement", "active"),
        ("2024-03-17", "at_risk", "quiet"),
        ("2024-05-01", "retention", "repeat"),
        # Expected after (60 + 90) / 3 = 50 days, due after 100: the quarter of 92 is in time.
        ("2025-05-01", "loyalty", "loyal"),
    ]


@story
def a_newsletter_reader_who_never_buys_stays_a_lead_as_long_as_they_click(life: Life) -> list[Standing]:
    life.contact("2024-01-01")
    for day in ("2024-01-10", "2024-03-01", "2024-05-01"):
        life.does(day, "email_sent")
        life.does(days_after(day, 0.1), "email_opened")
        life.does(days_after(day, 0.2), "email_clicked")
    life.does("2024-12-01", "email_opened")
    return [
        ("2024-01-01", "awareness", "seen"),
        (days_after("2024-01-10", 0.2), "consideration", "weighing"),
        (days_after("2024-05-01", 90.2), "awareness", "seen"),
    ]


@story
def an_anonymous_browser_is_only_known_and_weighs_when_looking_at_products(life: Life) -> list[Standing]:
    life.does("2024-01-01", "page_viewed", anonymous_id="cookie")
    life.does("2024-01-05", "product_viewed", anonymous_id="cookie")
    life.does("2024-01-06", "product_added", anonymous_id="cookie")
    return [
        ("2024-01-01", "awareness", "seen"),
        ("2024-01-05", "consideration", "weighing"),
        ("2024-01-06", "decision", "cart"),
        ("2024-01-20", "consideration", "weighing"),
        ("2024-04-05", "awareness", "seen"),
    ]


@story
def somebody_who_gives_everything_back_is_at_risk_at_once(life: Life) -> list[Standing]:
    first = life.orders("2025-09-01")
    second = life.orders("2025-10-01")
    life.refunds("2025-10-10", first)
    life.refunds("2025-10-12", second, 25)
    life.refunds("2025-10-20", second, 25)
    life.orders("2025-11-01")
    return [
        ("2025-09-01", "conversion", "new"),
        ("2025-10-01", "retention", "repeat"),
        # One kept order makes them a newcomer again: it is not used yet, and nine days old.
        ("2025-10-10", "conversion", "new"),
        ("2025-10-20", "at_risk", "signals"),
        ("2025-11-01", "conversion", "new"),
        ("2025-12-01", "engagement", "active"),
        # Expected after (2 x 30 + 2 x 30.5) / 4 days, quiet after half as many again.
        (days_after("2025-11-01", 1.5 * 30.25), "at_risk", "quiet"),
    ]


@story
def a_heavy_complainer_is_a_risk_while_two_cases_are_open_or_about_the_same(life: Life) -> list[Standing]:
    life.orders("2025-08-01")
    life.orders("2025-09-01")
    life.orders("2025-10-01")
    life.asks("2025-10-05", reason="late delivery", solved="2025-10-06")
    life.asks("2025-10-10", reason="wrong size", solved="2025-10-12")
    # The second about the same thing, and then a third that waits beside it.
    life.asks("2025-10-15", reason="late delivery", solved="2025-10-16")
    life.answers("2025-11-20", "csat", 2)
    life.answers("2025-12-01", "csat", 4)
    return [
        ("2025-08-01", "conversion", "new"),
        ("2025-08-31", "engagement", "active"),
        ("2025-09-01", "retention", "repeat"),
        ("2025-10-15", "at_risk", "signals"),
        # Thirty days after the first of the two.
        ("2025-11-04", "retention", "repeat"),
        # The better answer comes half a day after the next order was due.
        ("2025-11-20", "at_risk", "signals"),
    ]


@story
def two_records_of_one_person_are_one_life(life: Life) -> list[Standing]:
    life.contact("2025-01-01", email="two.records@example.com")
    life.contact("2025-06-01", contact_id="other-record", email="two.records@example.com")
    life.orders("2025-02-01")
    life.orders("2025-06-02", contact_id="other-record")
    return [
        ("2025-01-01", "awareness", "seen"),
        ("2025-02-01", "conversion", "new"),
        ("2025-03-03", "engagement", "active"),
        ("2025-03-18", "at_risk", "quiet"),
        ("2025-06-01", "lapsed", "overdue"),
        ("2025-06-02", "reactivated", "came_back"),
        ("2025-08-01", "retention", "repeat"),
        (days_after("2025-06-02", 2 * (60 + 121) / 3), "at_risk", "gap"),
    ]


# --- subscriptions ---------------------------------------------------------------------------------------------------


@story
def who_tries_and_does_not_buy_falls_back_to_being_known(life: Life) -> list[Standing]:
    life.contact("2024-01-01")
    life.subscribes(
        "trial-only",
        ("2024-01-01", "trial_started", 0),
        ("2024-02-01", "ended", 0),
        trial_ends_at=at("2024-02-01"),
    )
    life.does("2024-01-02", "feature_used")
    return [
        ("2024-01-01", "consideration", "weighing"),
        ("2024-04-01", "awareness", "seen"),
    ]


@story
def who_tries_and_buys_is_activated_by_what_they_did_before(life: Life) -> list[Standing]:
    life.contact("2025-01-01")
    life.subscribes(
        "tried-and-bought",
        ("2025-01-01", "trial_started", 0),
        ("2025-01-15", "started", 20),
        ("2025-02-15", "renewed", 20),
        trial_ends_at=at("2025-01-15"),
    )
    life.does("2025-01-03", "feature_used")
    for day in ("2025-01-20", "2025-02-20", "2025-03-20"):
        life.does(day, "feature_used")
    return [
        ("2025-01-01", "consideration", "weighing"),
        ("2025-01-15", "activation", "activated"),
        ("2025-02-02", "engagement", "active"),
        ("2025-02-15", "retention", "repeat"),
    ]


@story
def a_streamer_watches_half_as_much_cancels_and_comes_back(life: Life) -> list[Standing]:
    renewals = [(days_after("2025-01-01", 30 * month), "renewed", 10) for month in range(1, 5)]
    life.subscribes(
        "streaming",
        ("2025-01-01", "started", 10),
        *renewals,
        ("2025-05-20", "cancel_requested", 10),
        ("2025-05-31", "ended", 0),
        ("2025-08-01", "started", 10),
        ("2025-08-31", "renewed", 10),
    )
    for day in range(90):
        if day % 2 == 0:
            life.does(days_after("2025-01-01 20:00:00", day), "feature_used")
    return [
        ("2025-01-01", "conversion", "new"),
        ("2025-01-01 20:00:00", "activation", "activated"),
        ("2025-01-31", "retention", "repeat"),
        # 28 evenings in 56 days; the last of 45 at day 88. Falling from when seven or fewer lie in the last 28 days:
        # the evening of day 74 is 28 days old and seven are left (76 to 88).
        ("2025-04-13 20:00:00", "at_risk", "signals"),
        ("2025-05-31", "churned", "ended"),
        ("2025-08-01", "reactivated", "came_back"),
        ("2025-09-30", "loyalty", "loyal"),
    ]


@story
def a_pause_and_a_failed_payment_are_risks_until_they_are_over(life: Life) -> list[Standing]:
    life.subscribes(
        "paused",
        ("2025-01-01", "started", 10),
        ("2025-02-01", "renewed", 10),
        ("2025-02-10", "paused", 10),
        ("2025-03-10", "resumed", 10),
        ("2025-04-01", "payment_failed", 10),
        ("2025-04-03", "payment_recovered", 10),
    )
    return [
        ("2025-01-01", "conversion", "new"),
        ("2025-01-31", "engagement", "active"),
        ("2025-02-01", "retention", "repeat"),
        ("2025-02-10", "at_risk", "signals"),
        ("2025-03-10", "retention", "repeat"),
        ("2025-04-01", "at_risk", "signals"),
        ("2025-04-03", "retention", "repeat"),
    ]


@story
def a_subscription_reopened_within_a_week_never_ended(life: Life) -> list[Standing]:
    life.subscribes(
        "reopened",
        ("2025-01-01", "started", 10),
        ("2025-02-01", "renewed", 10),
        ("2025-03-01", "ended", 0),
        ("2025-03-06", "started", 10),
        ("2025-05-01", "ended", 0),
        ("2025-05-09", "started", 10),
    )
    return [
        ("2025-01-01", "conversion", "new"),
        ("2025-01-31", "engagement", "active"),
        ("2025-02-01", "retention", "repeat"),
        ("2025-03-01", "churned", "ended"),
        ("2025-03-06", "retention", "repeat"),
        ("2025-05-01", "churned", "ended"),
        ("2025-05-09", "reactivated", "came_back"),
        ("2025-07-08", "retention", "repeat"),
    ]


@story
def a_plan_that_ended_does_not_end_a_customer_who_still_orders(life: Life) -> list[Standing]:
    life.subscribes("box", ("2025-01-01", "started", 10), ("2025-02-01", "renewed", 10), ("2025-03-01", "ended", 0))
    life.orders("2025-02-20")
    life.orders("2025-03-25")
    life.orders("2025-04-20")
    return [
        ("2025-01-01", "conversion", "new"),
        ("2025-01-31", "engagement", "active"),
        ("2025-02-01", "retention", "repeat"),
        # Gaps of 31, 19, 33 and 26 days: expected after (60 + 4 x 28.5) / 6 = 29 days.
        (days_after("2025-04-20", 58), "at_risk", "gap"),
        (days_after("2025-04-20", 116), "lapsed", "overdue"),
    ]


@story
def an_annual_plan_is_no_gap_and_its_renewal_no_return(life: Life) -> list[Standing]:
    life.subscribes(
        "annual", ("2023-06-01", "started", 10), ("2024-06-01", "renewed", 10), ("2025-06-01", "renewed", 10)
    )
    return [
        ("2023-06-01", "conversion", "new"),
        ("2023-07-01", "engagement", "active"),
        ("2023-08-30", "retention", "repeat"),
    ]


# --- the guides' examples --------------------------------------------------------------------------------------------


@story
def e1_a_retailers_customer_from_the_ad_to_the_rating(life: Life) -> list[Standing]:
    life.does("2025-01-01", "ad_click", anonymous_id="e1")
    life.does("2025-01-02", "review_read", anonymous_id="e1")
    life.does("2025-01-03", "comparison_viewed", anonymous_id="e1")
    life.does("2025-01-04", "checkout_started", anonymous_id="e1")
    life.does("2025-01-04 12:05:00", "signed_up", contact_id=life.name)
    life.does("2025-01-04 12:05:00", "page_viewed", contact_id=life.name, anonymous_id="e1")
    order = life.orders("2025-01-04 12:10:00", category="books")
    life.does("2025-01-07", "order_delivered", order_id=order)
    life.joins("2025-01-10")
    life.orders("2025-02-10", category="books")
    life.orders("2025-04-05", category="books")
    life.orders("2025-05-30", category="books")
    life.does("2025-07-10", "product_viewed")
    # Suggested, new to them, and worth half of what they spent lately.
    life.orders("2025-07-15", category="toys")
    life.reviews("2025-07-25", 5)
    return [
        ("2025-01-01", "awareness", "seen"),
        ("2025-01-02", "consideration", "weighing"),
        ("2025-01-04", "decision", "cart"),
        ("2025-01-04 12:10:00", "conversion", "new"),
        ("2025-01-07", "activation", "activated"),
        ("2025-02-06", "engagement", "active"),
        ("2025-02-10", "retention", "repeat"),
        ("2025-07-15", "expansion", "grew"),
        ("2025-07-25", "advocacy", "advocate"),
        (days_after("2025-07-15", 2 * (60 + 4 * (46 + 54) / 2) / 6), "at_risk", "gap"),
    ]


@story
def e2_a_platforms_customer_from_the_trial_to_the_larger_plan(life: Life) -> list[Standing]:
    life.contact("2025-01-01")
    life.does("2025-01-01", "pricing_viewed")
    life.does("2025-01-05", "demo_requested")
    life.subscribes(
        "platform",
        ("2025-01-10", "trial_started", 0),
        ("2025-01-24", "started", 50),
        ("2025-02-24", "renewed", 50),
        ("2025-03-10", "upgraded", 90),
        ("2025-03-24", "renewed", 90),
        trial_ends_at=at("2025-01-24"),
    )
    life.does("2025-01-26", "onboarding_completed")
    life.does("2025-01-26", "app_opened")
    return [
        ("2025-01-01", "consideration", "weighing"),
        ("2025-01-24", "conversion", "new"),
        ("2025-01-26", "activation", "activated"),
        ("2025-02-24", "retention", "repeat"),
        ("2025-03-10", "expansion", "grew"),
        ("2025-06-08", "retention", "repeat"),
    ]


@story
def e3_a_streaming_subscriber_shares_and_recommends(life: Life) -> list[Standing]:
    life.subscribes(
        "family-tier",
        ("2025-01-01", "started", 10),
        ("2025-02-01", "renewed", 10),
        ("2025-03-01", "upgraded", 15),
    )
    life.does("2025-01-02", "feature_used")
    life.does("2025-03-20", "content_shared")
    life.does("2025-04-01", "referral_converted")
    return [
        ("2025-01-01", "conversion", "new"),
        ("2025-01-02", "activation", "activated"),
        ("2025-02-01", "retention", "repeat"),
        ("2025-03-01", "expansion", "grew"),
        ("2025-04-01", "advocacy", "advocate"),
        ("2025-09-28", "retention", "repeat"),
    ]


@story
def e4_an_email_subscriber_buys_now_and_then(life: Life) -> list[Standing]:
    life.contact("2025-01-01")
    life.does("2025-01-01", "signed_up")
    life.does("2025-01-15", "email_clicked")
    life.orders("2025-01-20")
    life.does("2025-03-15", "email_clicked")
    life.orders("2025-05-01")
    return [
        ("2025-01-01", "consideration", "weighing"),
        ("2025-01-20", "conversion", "new"),
        ("2025-02-19", "engagement", "active"),
        ("2025-03-06", "at_risk", "quiet"),
        # A click is a sign of life; five days later the order is due all the same.
        ("2025-03-15", "engagement", "active"),
        ("2025-03-21", "at_risk", "gap"),
        ("2025-05-01", "retention", "repeat"),
        (days_after("2025-05-01", 2 * (60 + 101) / 3), "at_risk", "gap"),
        (days_after("2025-05-01", 4 * (60 + 101) / 3), "lapsed", "overdue"),
    ]


@story
def e5_a_small_business_buyer_from_research_to_loyalty(life: Life) -> list[Standing]:
    life.does("2025-01-01", "pricing_viewed", anonymous_id="e5")
    life.does("2025-01-05", "review_read", anonymous_id="e5")
    life.does("2025-01-10", "signed_up", contact_id=life.name, anonymous_id="e5")
    for month in range(2, 11):
        life.orders(f"2025-{month:02d}-01", total=400)
    life.does("2025-10-15", "testimonial_given")
    return [
        ("2025-01-01", "consideration", "weighing"),
        ("2025-02-01", "conversion", "new"),
        ("2025-03-01", "retention", "repeat"),
        ("2025-07-31", "loyalty", "loyal"),
        ("2025-10-15", "advocacy", "advocate"),
        (days_after("2025-10-01", 2 * (60 + 8 * 30.5) / 10), "at_risk", "gap"),
    ]


# --- what data does to people ----------------------------------------------------------------------------------------


@story
def what_happened_before_the_sign_up_counts_from_when_it_happened(life: Life) -> list[Standing]:
    life.contact("2025-03-01")
    life.orders("2025-02-01")
    life.does("2025-01-15", "product_viewed")
    return [
        ("2025-01-15", "consideration", "weighing"),
        ("2025-02-01", "conversion", "new"),
        ("2025-03-03", "engagement", "active"),
        ("2025-03-18", "at_risk", "quiet"),
        ("2025-06-01", "lapsed", "overdue"),
    ]


@story
def what_lies_after_the_day_has_not_happened(life: Life) -> list[Standing]:
    life.orders("2025-12-20")
    life.orders("2026-01-05")
    life.does("2026-02-01", "account_closed")
    return [("2025-12-20", "conversion", "new")]


@story
def what_happens_in_one_instant_is_known_together(life: Life) -> list[Standing]:
    life.does("2025-12-01", "product_viewed")
    life.does("2025-12-01", "checkout_started")
    order = life.orders("2025-12-01")
    life.does("2025-12-01", "order_delivered", order_id=order)
    return [("2025-12-01", "activation", "activated"), ("2025-12-31", "engagement", "active")]


@story
def equal_ids_of_two_sources_are_two_events(life: Life) -> list[Standing]:
    life.orders("2025-11-01", order_id="same-number")
    life.orders("2025-11-20", order_id="same-number", source_system="till", id_namespace="till", contact_id=None,
                email="equal.ids@example.com")  # fmt: skip
    life.contact("2025-11-01", email="equal.ids@example.com")
    return [("2025-11-01", "conversion", "new"), ("2025-11-20", "retention", "repeat")]


@story
def an_account_that_was_closed_is_gone_until_the_next_order(life: Life) -> list[Standing]:
    life.contact("2025-01-01", account_closed_at=at("2025-03-01"))
    life.orders("2025-02-01")
    life.does("2025-04-01", "product_added")
    life.orders("2025-05-01")
    return [
        ("2025-01-01", "awareness", "seen"),
        ("2025-02-01", "conversion", "new"),
        ("2025-03-01", "churned", "closed"),
        ("2025-05-01", "retention", "repeat"),
        (days_after("2025-05-01", 2 * (60 + 89) / 3), "at_risk", "gap"),
        (days_after("2025-05-01", 4 * (60 + 89) / 3), "lapsed", "overdue"),
    ]


@pytest.fixture(scope="module")
def histories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """Everybody's history, by the name of the story."""
    tables: dict[str, list[Record]] = {
        "products": [{"product_id": "books", "category": "Books"}, {"product_id": "toys", "category": "Toys"}]
    }
    for life, _ in STORIES.values():
        for table, records in life.tables.items():
            tables.setdefault(table, []).extend(records)
    project = build(tmp_path_factory.mktemp("stories") / "build", tables, AS_OF)
    with project.opened() as warehouse:
        owners = dict(warehouse.rows("select record_id, customer_id from identity.record_links"))
        rows = warehouse.dicts("select * from marts.customer_lifecycle_history order by customer_id, valid_from_at")
    found: dict[str, list[dict[str, Any]]] = {}
    for name, (life, _) in STORIES.items():
        keys = {str(record[_KEYS.get(table, "contact_id")]) for table, record in life.records()}
        customers = sorted({owners[key] for key in keys if key in owners})
        assert customers, name
        told = [[row for row in rows if row["customer_id"] == customer] for customer in customers]
        # Colleagues of one account stand where it stands.
        lives = {tuple((row["stage"], row["valid_from_at"]) for row in of_one) for of_one in told}
        assert len(lives) == 1, name
        found[name] = told[0]
    return found


@pytest.mark.parametrize("name", STORIES)
def test_a_life_goes_through_the_stages_as_the_story_tells(
    name: str, histories: dict[str, list[dict[str, Any]]]
) -> None:
    found = [(row["valid_from_at"], row["stage"], row["reason_code"]) for row in histories[name]]
    assert found == [(at(day), stage, rule) for day, stage, rule in STORIES[name][1]]
