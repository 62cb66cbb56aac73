"""The second opinion's own stories: what it says of typical customers, worked out by hand from docs/lifecycle.md."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.integration.lifecycle_lives import END, Life, Person, seed
from tests.integration.lifecycle_oracle import MAPPED, Oracle, Rulebook, Standing, answer, scheme_stage

BEGIN = datetime(2021, 1, 4, 17)


def day(number: float) -> datetime:
    return BEGIN + timedelta(days=number)


class Story:
    """One customer's records, told day by day from a Monday noon in New York."""

    def __init__(self, rulebook: Rulebook | None = None, persona: str | None = None) -> None:
        self.person = Person("ada")
        self.rulebook, self.persona = rulebook or Rulebook(), persona
        self.person.add("contacts", contact_id="ada", created_at=day(0), persona=persona, account_closed_at=None)

    def order(self, on: float, total: str = "50", **said: Any) -> str:
        order_id = self.person.next_id("orders")
        usual = {
            "order_status": "completed", "contact_id": "ada", "tax_amount": Decimal(0), "shipping_amount": Decimal(0),
            "discount_amount": None, "is_test": None, "subscription_id": None, "is_renewal": None,
            "delivered_at": None,
        }  # fmt: skip
        self.person.add(
            "orders", **usual | {"order_id": order_id, "ordered_at": day(on), "total_amount": Decimal(total)} | said
        )
        return order_id

    def refund(self, on: float, order_id: str, amount: str = "50") -> None:
        self.person.add(
            "refunds", order_id=order_id, refunded_at=day(on), refund_amount=Decimal(amount),
            item_refund_amount=None, tax_refund_amount=None,
        )  # fmt: skip

    def touch(self, on: float, name: str, **said: Any) -> None:
        usual = {"contact_id": "ada", "is_machine": None, "order_id": None}
        self.person.add("touchpoints", **usual | {"occurred_at": day(on), "event_name": name} | said)

    def subscription(self, on: float, kind: str, mrr: str | None = "10", named: str = "s", **said: Any) -> None:
        known = {one["subscription_id"] for one in self.person.of("subscriptions")}
        if named not in known:
            self.person.add(
                "subscriptions", subscription_id=named, contact_id="ada", trial_ends_at=said.get("trial_ends_at")
            )
        number = len(self.person.of("subscription_events"))
        self.person.add(
            "subscription_events", subscription_event_id=f"{number:03d}", source_system="shop", subscription_id=named,
            occurred_at=day(on), event_kind=kind, mrr_amount=None if mrr is None else Decimal(mrr),
        )  # fmt: skip

    def ticket(self, on: float, solved_on: float | None = None, reason: str | None = None) -> None:
        self.person.add(
            "tickets", opened_at=day(on), solved_at=None if solved_on is None else day(solved_on),
            first_replied_at=None, ticket_status="open" if solved_on is None else "solved", reason=reason,
        )  # fmt: skip

    def survey(self, on: float, kind: str, score: str, **scale: Any) -> None:
        self.person.add(
            "survey_responses", response_id=self.person.next_id("survey_responses"), responded_at=day(on),
            survey_kind=kind, score=Decimal(score),
            **{"scale_min": None, "scale_max": None, "scale_direction": None} | scale,
        )  # fmt: skip

    def oracle(self) -> Oracle:
        return Oracle(Life([self.person], self.persona), self.rulebook)

    def at(self, on: float) -> Standing:
        return self.oracle().standing(day(on))

    def stages(self, *days: float) -> list[str]:
        oracle = self.oracle()
        return [oracle.standing(day(on)).stage for on in days]

    def rules(self, *days: float) -> list[str]:
        oracle = self.oracle()
        return [oracle.standing(day(on)).rule for on in days]


def test_a_weekly_grocer_becomes_loyal_and_is_at_risk_after_thirty_days_of_silence() -> None:
    ada = Story()
    for week in range(31):
        ada.order(7 * week)
    assert ada.rules(0, 7, 179, 180, 210) == ["new", "repeat", "repeat", "loyal", "loyal"]
    # Ten gaps of 7 days: (2 x 30 + 10 x 7) / 12 = 10.8 days, so due after 30 and lapsed after 90.
    assert ada.rules(210 + 29.9, 210 + 30, 210 + 90, 210 + 365) == ["loyal", "gap", "overdue", "silent"]
    assert ada.at(210 + 30).is_loyal
    assert ada.at(210 + 30).risk == "overdue"
    assert ada.at(210 + 90).risk is None


def test_a_one_time_gift_buyer_goes_from_conversion_to_churned_in_a_year() -> None:
    ada = Story()
    ada.order(0)
    assert ada.rules(29.9, 30, 45, 60, 120, 364.9, 365) == [
        "new", "active", "quiet", "gap", "overdue", "overdue", "silent",
    ]  # fmt: skip


def test_an_annual_buyer_does_not_churn_every_year() -> None:
    ada = Story(Rulebook(personas={"annual": {"default_order_gap_days": 300}}), "annual")
    for year in range(3):
        ada.order(365 * year)
    # The clocks: due at least 2 x 300, cut to 400, and lapsed at 600.
    found = {ada.at(on).stage for on in range(1096)}
    assert not {"churned", "lapsed"} & found
    assert ada.at(800).stage == "retention"


def test_an_annual_buyer_without_a_persona_comes_back_in_the_second_year() -> None:
    ada = Story()
    ada.order(0)
    ada.order(365)
    ada.order(730)
    # (2 x 30 + 365) / 3 = 141.7 days are expected then, so that 365 days are not yet lapsed.
    assert ada.rules(364, 365, 424.9, 425, 730) == ["overdue", "came_back", "came_back", "repeat", "repeat"]


def test_a_quarterly_bulk_buyer_keeps_their_own_rhythm() -> None:
    ada = Story()
    for quarter in range(9):
        ada.order(91 * quarter, "4000")
    # (2 x 30 + 8 x 91) / 10 = 78.8, due after 157.6.
    assert ada.rules(728, 728 + 157, 728 + 158) == ["loyal", "loyal", "gap"]


def test_a_newsletter_reader_stays_a_lead() -> None:
    ada = Story()
    for month in range(6):
        ada.touch(30 * month, "email_clicked")
        ada.touch(30 * month + 80, "email_opened")
    assert ada.stages(0, 150, 239, 240) == ["consideration"] * 3 + ["awareness"]
    ada.touch(400, "Clicked Email", is_machine=True)
    assert ada.stages(400) == ["awareness"]


def test_a_trial_counts_while_it_runs_and_weighs_for_ninety_days() -> None:
    ada = Story()
    ada.subscription(0, "trial_started", "0", trial_ends_at=day(120))
    assert ada.stages(0, 119.9, 120) == ["consideration", "consideration", "awareness"]
    assert not ada.at(100).is_weighing
    endless = Story()
    endless.subscription(0, "trial_started", "0")
    assert endless.stages(500) == ["consideration"]
    endless.subscription(501, "ended", "0")
    assert endless.stages(501) == ["awareness"]


def test_a_trial_that_becomes_a_plan_converts() -> None:
    ada = Story()
    ada.subscription(0, "trial_started", "0", trial_ends_at=day(14))
    ada.subscription(14, "started")
    assert ada.rules(13, 14, 43.9, 44, 103.9, 104) == ["weighing", "new", "new", "active", "active", "repeat"]


def test_a_streamer_whose_use_halves_is_at_risk_then_cancels_and_returns() -> None:
    ada = Story()
    ada.subscription(0, "started")
    for month in range(1, 8):
        ada.subscription(30 * month, "renewed")
    for number in range(40):
        ada.touch(2 * number, "feature_used")
    ada.touch(78 + 14, "app_opened")
    # 14 days are left of use before at day 106, one of it lately: at most half.
    assert ada.at(80).rule == "repeat"
    assert ada.at(105).risk == "usage_falling"
    ada.subscription(215, "cancel_requested")
    assert ada.at(215).risk == "cancelling"
    ada.subscription(240, "ended", "0")
    assert ada.rules(239, 240, 400) == ["signals", "ended", "ended"]
    ada.subscription(300, "started")
    assert ada.rules(299, 300, 359.9, 360) == ["ended", "came_back", "came_back", "loyal"]


def test_a_plan_that_goes_on_within_the_days_of_grace_is_no_return() -> None:
    for after, rule in ((7, "repeat"), (7.001, "came_back")):
        ada = Story()
        ada.subscription(0, "started")
        ada.subscription(30, "renewed")
        ada.subscription(60, "ended", "0")
        ada.subscription(60 + after, "started")
        assert ada.at(60.001).rule == "ended"
        assert ada.at(60 + after).rule == rule


def test_one_plan_that_ends_as_another_starts_is_no_break() -> None:
    ada = Story()
    ada.subscription(0, "started", named="a")
    ada.subscription(60, "ended", "0", named="a")
    ada.subscription(60, "started", named="b")
    facts = ada.oracle().facts(day(60))
    assert facts.subscriptions.subscribed_since == day(0)
    assert facts.subscriptions.paid_ends == [day(60)]
    assert ada.at(89.9).rule == "repeat"


def test_a_free_plan_is_no_purchase_until_it_is_upgraded() -> None:
    ada = Story()
    ada.subscription(0, "started", "0")
    ada.subscription(30, "renewed", "0")
    ada.subscription(60, "upgraded", "25")
    assert ada.rules(30, 59, 60) == ["weighing", "weighing", "new"]
    ada.subscription(100, "downgraded", "0")
    assert ada.rules(99, 100) == ["active", "ended"]


@pytest.mark.parametrize("kind", ["renewed", "paused", "payment_failed", "downgraded", "cancel_revoked"])
def test_a_history_that_begins_in_the_middle_begins_with_a_purchase(kind: str) -> None:
    ada = Story()
    ada.subscription(0, kind)
    assert len(ada.oracle().facts(day(0)).paid) == 1
    assert ada.oracle().facts(day(0)).subscriptions.is_subscribed


def test_a_history_that_begins_at_its_end_is_a_purchase_that_is_over() -> None:
    ada = Story()
    ada.subscription(0, "ended", "0")
    assert ada.rules(0, 500) == ["ended", "ended"]


def test_an_order_for_a_plan_is_that_period_and_takes_it_along_when_refunded() -> None:
    ada = Story()
    ada.subscription(0, "started")
    order = ada.order(0.1, subscription_id="s")
    ada.refund(3, order)
    assert ada.rules(0, 0.1, 3) == ["new", "new", "signals"]
    assert ada.at(3).risk == "all_refunded"
    assert ada.oracle().facts(day(0.1)).last_one_off is None


def test_a_period_and_its_order_on_one_day_are_a_purchase_from_the_first_of_them_on() -> None:
    ada = Story()
    ada.subscription(0, "started")
    ada.order(0.1, subscription_id="s")
    # The order is not known yet when the plan starts, and moves nothing when it comes.
    assert ada.oracle().facts(day(0)).paid == [day(0)]
    assert ada.oracle().facts(day(0.1)).paid == [day(0)]


def test_what_a_pause_or_an_end_is_worth_does_not_make_the_plan_free() -> None:
    ada = Story()
    ada.subscription(0, "started", "25")
    ada.subscription(10, "paused", "0")
    ada.subscription(20, "resumed", None)
    assert ada.rules(10, 20) == ["signals", "new"]
    ada.subscription(25, "ended", "0")
    ada.subscription(40, "started", None)
    assert ada.rules(25, 40) == ["ended", "came_back"]


def test_a_pause_begins_nothing_and_resuming_does_unless_it_was_a_trial() -> None:
    ada, ben, eve = Story(), Story(), Story()
    ada.subscription(0, "ended", "0")
    ada.subscription(20, "paused")
    ada.subscription(30, "resumed")
    assert ada.rules(20, 30) == ["ended", "came_back"]
    ben.subscription(0, "trial_started", "0")
    ben.subscription(5, "paused")
    ben.subscription(6, "resumed")
    assert ben.rules(5, 6) == ["weighing", "weighing"]
    eve.subscription(0, "started")
    eve.subscription(10, "ended", "0")
    eve.subscription(30, "resumed", None)
    assert eve.rules(10, 30) == ["ended", "came_back"]


def test_a_larger_plan_expands_and_a_first_paid_one_does_not() -> None:
    ada, ben = Story(), Story()
    ada.subscription(0, "started", "10")
    ada.subscription(5, "upgraded", "25")
    ben.subscription(0, "started", "0")
    ben.subscription(5, "upgraded", "25")
    assert (ada.at(5).is_expanding, ben.at(5).is_expanding) == (True, False)


def test_the_highest_tier_makes_loyal_until_another_follows() -> None:
    ada = Story()
    ada.order(0)
    tiers = [row["tier_name"] for row in seed("loyalty_tiers")]
    for number, (on, tier) in enumerate([(5, tiers[-1]), (5, tiers[0]), (9, tiers[-2])]):
        ada.person.add(
            "loyalty_events", loyalty_event_id=str(number), occurred_at=day(on), event_kind="tier", tier_name=tier
        )
    assert [ada.at(on).is_loyal for on in (0, 5, 9)] == [False, True, False]


def test_somebody_whose_plan_ended_but_who_still_orders_is_judged_by_their_orders() -> None:
    ada = Story()
    ada.subscription(0, "started")
    ada.subscription(30, "ended", "0")
    ada.order(40)
    # (2 x 30 + 40) / 3 = 33.3, due after 66.7, lapsed after 133.3.
    assert ada.rules(39, 40, 40 + 66, 40 + 67, 40 + 134) == ["ended", "came_back", "repeat", "gap", "overdue"]
    before = Story()
    before.order(0)
    before.subscription(10, "started")
    before.subscription(40, "ended", "0")
    # Their order before the end is within its clock until day 60.
    assert before.rules(40, 45)[0] != "ended"
    assert before.rules(60) == ["ended"]


def test_a_complainer_is_at_risk_while_two_tickets_are_open_or_of_one_reason() -> None:
    ada = Story()
    ada.order(0)
    ada.ticket(1, solved_on=5)
    ada.ticket(2)
    assert ada.rules(1, 2, 4.9, 5) == ["new", "signals", "signals", "new"]
    early = Story()
    early.order(0)
    early.ticket(1)
    early.ticket(2)
    # Both are open to this day.
    assert early.rules(1, 2, 30.9, 31) == ["new", "signals", "signals", "active"]
    again = Story()
    again.order(0)
    again.ticket(1, solved_on=1, reason="billing")
    again.ticket(20, solved_on=20, reason="billing")
    assert again.rules(19, 20, 30.9, 31) == ["new", "signals", "signals", "active"]


def test_a_low_score_counts_for_thirty_days_on_whatever_scale_until_a_better_one() -> None:
    ada = Story()
    ada.order(0)
    ada.survey(1, "nps", "60", scale_min=Decimal(0), scale_max=Decimal(100))
    ada.survey(10, "csat", "4", scale_direction="descending")
    ada.survey(12, "csat", "3")
    assert [ada.at(on).risk for on in (0.5, 1, 10, 11, 12, 30.9, 31)] == [
        None, "low_nps", "low_nps", "low_nps", "low_nps", "low_nps", None,
    ]  # fmt: skip
    assert ada.oracle().facts(day(10)).csat == (day(10), 2)


@pytest.mark.parametrize(
    ("score", "lowest", "highest", "direction", "expected"),
    [
        ("9", None, None, None, 9),
        ("60", "0", "100", None, 6),
        ("4", "0", "10", "descending", 6),
        ("1", "1", "7", "descending", 10),
        ("3", None, "5", None, 6),
    ],
)
def test_scores_are_put_on_the_usual_scale(
    score: str, lowest: str | None, highest: str | None, direction: str | None, expected: float
) -> None:
    given = {"survey_kind": "nps", "score": Decimal(score), "scale_direction": direction}
    scale = {"scale_min": lowest and Decimal(lowest), "scale_max": highest and Decimal(highest)}
    assert float(answer(given | scale)) == pytest.approx(expected)


def test_an_anonymous_browser_is_aware_until_they_weigh() -> None:
    ada = Story()
    ada.person.records.clear()
    ada.touch(0, "page_viewed", contact_id=None)
    ada.touch(10, "Product Viewed", contact_id=None)
    ada.touch(20, "Checkout Started", contact_id=None)
    assert ada.stages(0, 10, 20, 33.9, 34, 110) == [
        "awareness", "consideration", "decision", "decision", "consideration", "awareness",
    ]  # fmt: skip


def test_everything_refunded_is_a_sign_whatever_else_they_do() -> None:
    ada = Story()
    ada.refund(5, ada.order(0), "30")
    ada.refund(9, ada.person.of("orders")[0]["order_id"], "30")
    assert ada.rules(5, 9) == ["new", "signals"]
    assert ada.at(9).risk == "all_refunded"


def test_a_purchase_in_a_category_with_a_gap_of_its_own_is_expected_by_it() -> None:
    book = Rulebook(first_category_gaps={"Food": 15})
    ada = Story(book)
    order = ada.order(0)
    ada.person.add(
        "order_items", order_id=order, product_id="c1", quantity=Decimal(1), line_amount=Decimal(50),
        discount_amount=None,
    )  # fmt: skip
    assert ada.oracle().facts(day(0)).clocks.due_days == 30  # type: ignore[union-attr]
    # The same after a plan: it is their first order.
    ada.subscription(-5, "started")
    assert ada.oracle().facts(day(0)).clocks.expected_days == pytest.approx((2 * 15 + 5) / 3)  # type: ignore[union-attr]
    # What is free or was given back names no category.
    ada.person.of("order_items")[0]["line_amount"] = Decimal(0)
    assert ada.oracle().facts(day(0)).clocks.expected_days == pytest.approx((2 * 30 + 5) / 3)  # type: ignore[union-attr]
    wins = Story(Rulebook(first_category_gaps={"Food": 15}, personas={"p": {"default_order_gap_days": 40}}), "p")
    wins.person.records |= {"orders": ada.person.of("orders"), "order_items": ada.person.of("order_items")}
    assert wins.oracle().facts(day(0)).clocks.due_days == 80  # type: ignore[union-attr]


def test_members_of_an_account_share_one_life() -> None:
    ada, ben = Story(), Story()
    ada.order(0)
    ben.order(40, order_id="other")
    ben.person.name = "ben"
    ben.person.of("contacts")[0]["created_at"] = day(30)
    shared = Oracle(Life([ada.person, ben.person], account="acme"), Rulebook())
    assert [shared.standing(day(on)).rule for on in (0, 39, 40)] == ["new", "active", "repeat"]
    assert [shared.known_since(person) for person in shared.life.people] == [day(0), day(30)]


def test_activity_is_new_then_returning_then_dormant_then_resurrecting() -> None:
    ada = Story()
    ada.touch(10, "page_viewed")
    ada.touch(35, "page_viewed")
    ada.touch(200, "page_viewed")
    oracle = ada.oracle()
    assert [oracle.activity(day(on)) for on in (0, 10, 39.9, 40, 64.9, 65, 200, 229.9, 230)] == [
        "dormant", "new", "new", "returning", "returning", "dormant", "resurrecting", "resurrecting", "dormant",
    ]  # fmt: skip


def test_every_stage_has_a_place_in_every_vocabulary() -> None:
    stages = {"awareness", "consideration", "decision", "conversion", "activation", "engagement", "retention"}
    stages |= {"expansion", "loyalty", "advocacy", "at_risk", "lapsed", "churned", "reactivated"}
    for scheme in MAPPED:
        for stage in stages:
            for in_cart, weighing, activated in ((False, False, False), (True, True, True)):
                standing = Standing(stage, "", False, False, False, None, weighing, in_cart, activated)
                assert scheme_stage(scheme, standing)


def test_nothing_after_the_day_counts() -> None:
    ada = Story()
    ada.order(0)
    ada.order((END - BEGIN) / timedelta(days=1))
    assert ada.oracle().facts(END - timedelta(seconds=1)).paid == [day(0)]
