"""Raw records of a build warehouse with their customers, as pandas frames: what the oracles of metrics begin with.

Belongs here: reading, and the words that all metrics share (counted order, human activity, month, being subscribed).
Does not belong here: a metric.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

ZONE = "America/New_York"
DAY = pd.Timedelta(days=1)
ORDER_STATUSES_THAT_DO_NOT_COUNT = {"cancelled", "canceled", "void", "voided", "failed", "declined", "test", "draft"}


def rate(part: Any, whole: Any) -> float | None:
    """The ratio, or nothing."""
    return float(part) / float(whole) if part is not None and whole else None


def local_days(moments: pd.Series) -> pd.Series:
    """The local midnights of UTC moments."""
    return moments.dt.tz_localize("UTC").dt.tz_convert(ZONE).dt.tz_localize(None).dt.normalize()


def local_months(moments: pd.Series) -> pd.Series:
    """The first days of the local months of UTC moments."""
    return local_days(moments).dt.to_period("M").dt.to_timestamp()


def instant(day: Any) -> pd.Timestamp:
    """The UTC moment at which a local day begins."""
    return pd.Timestamp(day).tz_localize(ZONE).tz_convert("UTC").tz_localize(None)


@dataclass(frozen=True)
class Month:
    """A calendar month: its first day, its instants in UTC (the end not after the run's) and its last day counted."""

    first: pd.Timestamp
    begins: pd.Timestamp
    ends: pd.Timestamp
    whole_ends: pd.Timestamp
    last: pd.Timestamp
    is_complete: bool


class Records:
    """Everything a company sent up to the end of the run's day."""

    def __init__(self, path: Path) -> None:
        self.connection = duckdb.connect(str(path), read_only=True)
        self.as_of, self.end = (pd.Timestamp(value) for value in self.rows("select as_of, as_of_end from ops.build")[0])

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.connection.sql(sql).fetchall()

    def frame(self, sql: str) -> pd.DataFrame:
        return self.connection.sql(sql).df()

    def setting(self, name: str) -> Any:
        return self.rows(f"select {name} from ops.metric_settings")[0][0]

    def linked(self, table: str, key: str, at: str | None, more: str = "") -> pd.DataFrame:
        """The records of a table that exist at the end of the run's day, with ``customer_id``."""
        in_time = f"and r.{at} < timestamp '{self.end}'" if at else ""
        return self.frame(
            f"select r.*, l.customer_id {more} from raw.{table} r left join identity.record_links l"
            f" on l.record_table = '{table}' and l.source_system = r.source_system and l.record_id = r.{key}"
            f" where (r.deleted_at is null or r.deleted_at >= timestamp '{self.end}') {in_time}"
        )

    # --- months ------------------------------------------------------------------------------------------------------

    def month(self, first: Any) -> Month:
        first = pd.Timestamp(first)
        after = first + pd.offsets.MonthBegin(1)
        begins, whole_ends = instant(first), instant(after)
        return Month(
            first, begins, min(whole_ends, self.end), whole_ends, min(after - DAY, self.as_of), whole_ends <= self.end
        )

    def months(self, first: Any) -> list[Month]:
        """All months from that of a local day to the run's."""
        begin = pd.Timestamp(first).to_period("M").to_timestamp()
        return [self.month(day) for day in pd.date_range(begin, self.as_of, freq="MS")]

    @cached_property
    def all_months(self) -> list[Month]:
        """From the first of anything known."""
        firsts = [
            self.touchpoints.occurred_at.min(),
            self.orders.ordered_at.min(),
            self.tickets.opened_at.min(),
            self.contacts.created_at.min(),
            self.consents.changed_at.min(),
            self.reviews.reviewed_at.min(),
            self.answers.responded_at.min(),
            self.subscription_events.occurred_at.min(),
        ]
        first = local_days(pd.Series(pd.to_datetime([moment for moment in firsts if moment is not pd.NaT]))).min()
        spend = self.rows("select min(spend_date) from raw.marketing_spend")[0][0]
        return self.months(min(first, pd.Timestamp(spend)) if spend is not None else first)

    # --- records -----------------------------------------------------------------------------------------------------

    @cached_property
    def touchpoints(self) -> pd.DataFrame:
        frame = self.linked("touchpoints", "touchpoint_id", "occurred_at")
        aliases = dict(self.rows("select source_event_name, event_name from seeds.touchpoint_aliases"))
        told = frame.event_name.str.strip().str.lower().str.replace(r"[\s\-]+", "_", regex=True)
        event = told.map(lambda name: aliases.get(name, name))
        frame["event"] = event.where(event.isin(self.types.index), "other")
        frame["is_machine"] = frame.is_machine.astype("boolean").fillna(False).astype(bool)
        frame["day"] = local_days(frame.occurred_at)
        return frame

    @cached_property
    def types(self) -> pd.DataFrame:
        return self.frame("select * from seeds.touchpoint_types").set_index("event_name")

    @cached_property
    def contacts(self) -> pd.DataFrame:
        return self.linked("contacts", "contact_id", None)

    @cached_property
    def consents(self) -> pd.DataFrame:
        frame = self.frame(
            "select r.*, l.customer_id from raw.consents r left join identity.record_links l"
            " on l.record_table = 'consents' and l.source_system = r.source_system and l.record_id ="
            " concat_ws('|', coalesce(contact_id, ''), coalesce(email, ''), coalesce(phone, ''), channel, purpose,"
            " cast(changed_at as varchar))"
            f" where changed_at < timestamp '{self.end}'"
            f" and (deleted_at is null or deleted_at >= timestamp '{self.end}')"
        )
        return frame[frame.customer_id.notna()]

    @cached_property
    def orders(self) -> pd.DataFrame:
        """Orders that count, with ``cents`` (items less discounts)."""
        every = self.every_order
        status = every.order_status.str.strip().str.lower()
        gone = every.cancelled_at.notna() & (every.cancelled_at < self.end)
        test = every.is_test.astype("boolean").fillna(False).astype(bool)
        counted = every[~status.isin(ORDER_STATUSES_THAT_DO_NOT_COUNT) & ~gone & ~test].copy()
        assert (counted.currency == "USD").all()
        lines = self.lines.groupby(["source_system", "order_id"]).agg(
            line_cents=("line_cents", "sum"), line_discount_cents=("line_discount_cents", "sum")
        )
        counted = counted.join(lines, on=["source_system", "order_id"])
        whole = counted.total_cents - counted.tax_cents - counted.shipping_cents
        counted["cents"] = np.where(
            counted.line_cents.notna(),
            counted.line_cents - counted.line_discount_cents - counted.discount_cents,
            whole,
        ).astype("int64")
        counted["is_renewal"] = counted.is_renewal.astype("boolean").fillna(False).astype(bool)
        counted["month"] = local_months(counted.ordered_at)
        counted["day"] = local_days(counted.ordered_at)
        return counted.drop(columns=["line_cents", "line_discount_cents"])

    @cached_property
    def every_order(self) -> pd.DataFrame:
        cents = ", ".join(
            f"cast(round(coalesce(r.{name}_amount, 0) * 100) as bigint) as {name}_cents"
            for name in ("total", "tax", "shipping", "discount")
        )
        return self.linked("orders", "order_id", "ordered_at", f", {cents}")

    @cached_property
    def lines(self) -> pd.DataFrame:
        return self.frame(
            "select i.source_system, i.order_id, i.product_id, cast(i.quantity as double) as quantity,"
            " cast(round(i.line_amount * 100) as bigint) as line_cents,"
            " i.line_amount < 0 or i.quantity < 0 as is_return,"
            " cast(round(coalesce(i.discount_amount, 0) * 100) as bigint) as line_discount_cents,"
            " cast(round(cast(coalesce(i.unit_cost_amount, p.unit_cost_amount) * i.quantity as decimal(38, 8)) * 100)"
            " as bigint) as cost_cents"
            " from raw.order_items i left join raw.products p"
            " on p.source_system = i.source_system and p.product_id = i.product_id"
            f" where i.deleted_at is null or i.deleted_at >= timestamp '{self.end}'"
        )

    @cached_property
    def refunds(self) -> pd.DataFrame:
        """Item refunds of counted orders, with the customer of the order."""
        frame = self.frame(
            "select *, cast(round(coalesce(item_refund_amount, refund_amount - coalesce(tax_refund_amount, 0)"
            " - coalesce(shipping_refund_amount, 0)) * 100) as bigint) as cents from raw.refunds"
            f" where refunded_at < timestamp '{self.end}'"
            f" and (deleted_at is null or deleted_at >= timestamp '{self.end}')"
        )
        orders = self.orders[["source_system", "order_id", "customer_id", "ordered_at"]]
        frame = frame.merge(orders, on=["source_system", "order_id"])
        frame["day"] = local_days(frame.refunded_at)
        return frame

    @cached_property
    def tickets(self) -> pd.DataFrame:
        return self.linked("tickets", "ticket_id", "opened_at")

    @cached_property
    def answers(self) -> pd.DataFrame:
        return self.linked("survey_responses", "response_id", "responded_at")

    @cached_property
    def reviews(self) -> pd.DataFrame:
        return self.linked("reviews", "review_id", "reviewed_at")

    @cached_property
    def loyalty(self) -> pd.DataFrame:
        return self.linked("loyalty_events", "loyalty_event_id", "occurred_at")

    @cached_property
    def subscription_events(self) -> pd.DataFrame:
        frame = self.frame(
            "select e.*, l.customer_id from raw.subscription_events e left join identity.record_links l"
            " on l.record_table = 'subscriptions' and l.source_system = e.source_system"
            " and l.record_id = e.subscription_id"
            f" where e.occurred_at < timestamp '{self.end}'"
            f" and (e.deleted_at is null or e.deleted_at >= timestamp '{self.end}')"
        )
        return frame.sort_values(["source_system", "subscription_id", "occurred_at", "subscription_event_id"])

    # --- words -------------------------------------------------------------------------------------------------------

    @cached_property
    def activity(self) -> pd.DataFrame:
        """Human activity: customer, moment, local day."""
        human = self.types.is_human_activity
        tp, told = self.touchpoints, self.every_order
        # In the shop's own numbers, or from another system about the same person and day.
        by_number = set(zip(told.id_namespace, told.order_id, strict=True))
        placed = told.groupby(["customer_id", "order_id"]).ordered_at.agg(["min", "max"])
        by_person = tp[["customer_id", "order_id", "occurred_at"]].join(placed, on=["customer_id", "order_id"])
        is_same = by_person.occurred_at.between(by_person["min"] - DAY, by_person["max"] + DAY)
        is_numbered = [pair in by_number for pair in zip(tp.id_namespace, tp.order_id, strict=True)]
        is_known = is_same | np.array(is_numbered)
        twice = (tp.event == "order_placed") & is_known
        parts = [
            tp[tp.event.map(human).astype(bool) & ~tp.is_machine & ~twice][["customer_id", "occurred_at"]],
            self.orders[["customer_id", "ordered_at"]],
            self.tickets[["customer_id", "opened_at"]],
            self.answers[["customer_id", "responded_at"]],
            self.reviews[["customer_id", "reviewed_at"]],
        ]
        for frame, prefix in ((self.loyalty, "loyalty_"), (self.subscription_events, "subscription_")):
            names = prefix + frame.event_kind
            parts.append(frame[names.map(human).astype(bool)][["customer_id", "occurred_at"]])
        together = pd.concat([part.set_axis(["customer_id", "at"], axis=1) for part in parts])
        together = together[together.customer_id.notna()]
        return together.assign(day=local_days(together["at"]))

    @cached_property
    def identified(self) -> pd.Series:
        """Since when a customer is known by more than a cookie."""
        links = self.frame(
            "select customer_id, min(coalesce(linked_at, timestamp '1900-01-01')) as at from identity.record_links"
            " where link_rule <> 'anonymous_id' group by customer_id"
        )
        return links.set_index("customer_id")["at"]

    @cached_property
    def subscription_states(self) -> pd.DataFrame:
        """Per subscription event: whether the subscription is paid from then on, and whether it paid at that event."""
        states: list[tuple[Any, ...]] = []
        for _, events in self.subscription_events.groupby(["source_system", "subscription_id"], sort=False):
            states += _states(events)
        columns = ["source_system", "subscription_id", "customer_id", "at", "is_paid", "begins_period", "mrr"]
        return pd.DataFrame(states, columns=columns)

    def subscribed(self, moment: pd.Timestamp) -> set[str]:
        """Customers with a paid subscription at the end of a window."""
        before = self.subscription_states[self.subscription_states["at"] < moment]
        last = before.groupby(["source_system", "subscription_id"], sort=False).tail(1)
        return set(last[last.is_paid].customer_id.dropna())

    @cached_property
    def first_paid(self) -> pd.Series:
        """Since when a customer has paid for something."""
        paid = self.orders[self.orders.total_cents > 0][["customer_id", "ordered_at"]]
        periods = self.subscription_states[self.subscription_states.begins_period][["customer_id", "at"]]
        both = pd.concat([paid.set_axis(["customer_id", "at"], axis=1), periods])
        return both.groupby("customer_id")["at"].min()

    @cached_property
    def history(self) -> pd.DataFrame:
        frame = self.frame("select customer_id, stage, valid_from_at from marts.customer_lifecycle_history")
        return frame.sort_values(["customer_id", "valid_from_at"])


def _states(events: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """How one subscription stands after each of its events."""
    runs, is_paid, was_paid, price = False, False, False, None
    for number, event in enumerate(events.itertuples(index=False)):
        kind, before = event.event_kind, is_paid
        if kind in ("started", "renewed", "upgraded", "downgraded"):
            price = float(event.mrr_amount)
        if kind in ("ended", "trial_started"):
            runs = False
        elif kind in ("started", "renewed") or number == 0 or (kind == "resumed" and was_paid):
            runs = True
        is_paid = runs and price != 0
        was_paid = was_paid or is_paid
        begins = is_paid and (kind in ("started", "renewed") or not before)
        begins = begins or (number == 0 and kind == "ended")
        yield (
            event.source_system, event.subscription_id, event.customer_id, event.occurred_at, is_paid, begins,
            float(event.mrr_amount),
        )  # fmt: skip
