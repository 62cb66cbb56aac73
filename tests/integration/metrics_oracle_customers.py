"""A second opinion on the metrics of customers and money: the definitions of docs/metrics-*.md in plain Python.

Belongs here: what each mart should hold, worked out from the records of ``raw``, whose they are
(``identity.record_links``) and the stage history, which has an oracle of its own. Does not belong here: the models, the
comparison (``test_metrics_oracle_customers.py``).

Naive on purpose: everybody's records are gone through one after another. The sole things that it shares with the models
are the seeds that people edit.
"""

from __future__ import annotations

import csv
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from lifecycle.dbt import DBT_DIR
from tests.integration.lifecycle_oracle import SubscriptionState, subscription_state

Row = dict[str, Any]
ZONE = ZoneInfo("America/New_York")
DAY = timedelta(days=1)
CURRENCY = "USD"
ACQUIRE_SHARE, ACTIVATION_DAYS, ONBOARDING_DAYS = Decimal("0.5"), 30, 30
ABANDONED_AFTER, RECOVERY = timedelta(hours=24), timedelta(days=7)


def seed(name: str) -> list[dict[str, str]]:
    with (DBT_DIR.parent / "seeds" / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def cents(amount: Decimal | None) -> Decimal:
    return (amount or Decimal(0)).quantize(Decimal("0.01"), ROUND_HALF_UP)


def share(part: int | Decimal | None, whole: int | Decimal | None) -> float | None:
    return None if part is None or not whole else float(part) / float(whole)


def each(amount: Decimal | None, count: int) -> Decimal | None:
    """Money for one; a mart rounds it to the cent, and half a cent may go either way."""
    return None if amount is None or not count else amount / count


def percentile(values: Iterable[float], part: float) -> float | None:
    known = sorted(values)
    if not known:
        return None
    place = part * (len(known) - 1)
    below = int(place)
    above = min(below + 1, len(known) - 1)
    return known[below] + (known[above] - known[below]) * (place - below)


def local_day(at: datetime) -> date:
    return at.replace(tzinfo=UTC).astimezone(ZONE).date()


def month_of(day: date) -> date:
    return day.replace(day=1)


def local_month(at: datetime) -> date:
    return month_of(local_day(at))


def add_months(month: date, count: int) -> date:
    number = month.year * 12 + month.month - 1 + count
    return date(number // 12, number % 12 + 1, 1)


def months_between(first: date, last: date) -> int:
    return (last.year - first.year) * 12 + last.month - first.month


def begins_at(day: date) -> datetime:
    """The UTC instant of a local midnight."""
    return datetime(day.year, day.month, day.day, tzinfo=ZONE).astimezone(UTC).replace(tzinfo=None)


def in_days(until: datetime, since: datetime) -> float:
    return (until - since) / DAY


def named(name: str | None) -> str:
    return re.sub(r"[^a-z0-9]+", "_", (name or "").lower()).strip("_")


def shared(weights: list[Decimal], amount: Decimal) -> list[Decimal]:
    """An amount by weight, to the cent: each gets what the sum up to it has, less what the sum before it had."""
    whole = sum(weights, Decimal(0))
    parts, so_far, given = [], Decimal(0), Decimal(0)
    for weight in weights:
        so_far += weight
        upto = cents(amount * so_far / whole) if whole else Decimal(0)
        parts.append(upto - given)
        given = upto
    return parts


class Company:
    """What happened by the end of the run's day, record by record."""

    def __init__(self, warehouse: Path) -> None:
        import duckdb

        self.connection = duckdb.connect(str(warehouse), read_only=True)
        self.as_of, self.end = self._select("select as_of, as_of_end from ops.build")[0].values()

    def close(self) -> None:
        self.connection.close()

    def _select(self, query: str) -> list[Row]:
        found = self.connection.execute(query)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def mart(self, name: str) -> list[Row]:
        return self._select(f"from {name}")

    def raw(self, name: str) -> list[Row]:
        return [
            row
            for row in self._select(f"from raw.{name}")
            if row["deleted_at"] is None or row["deleted_at"] >= self.end
        ]

    @cached_property
    def owners(self) -> dict[tuple[str, str, str], str]:
        return {
            (row["record_table"], row["source_system"], row["record_id"]): row["customer_id"]
            for row in self._select(
                "select record_table, source_system, record_id, customer_id from identity.record_links"
            )
        }

    @cached_property
    def linked_by_cookie(self) -> set[tuple[str, str, str]]:
        query = (
            "select record_table, source_system, record_id from identity.record_links where link_rule = 'anonymous_id'"
        )
        return {tuple(row.values()) for row in self._select(query)}

    @cached_property
    def consents(self) -> list[Row]:
        """Consents have no id of their own."""
        query = (
            "select customer_id, linked_at as at from identity.record_links"
            " where record_table = 'consents' and linked_at is not null and customer_id is not null"
        )
        return [row for row in self._select(query) if row["at"] < self.end]

    def owned(self, name: str, key: str, at: str) -> list[Row]:
        """Records that have happened, with their customer."""
        return [
            row | {"customer_id": self.owners.get((name, row["source_system"], row[key]))}
            for row in self.raw(name)
            if row[at] is not None and row[at] < self.end
        ]

    def happened(self, at: datetime | None) -> bool:
        return at is not None and at < self.end

    def is_over(self, month: date) -> bool:
        return begins_at(add_months(month, 1)) <= self.end

    def months_from(self, first: date) -> list[date]:
        return [add_months(first, number) for number in range(months_between(first, self.as_of) + 1)]

    def ends_at(self, month: date) -> datetime:
        return min(begins_at(add_months(month, 1)), self.end)

    # --- what people did ---------------------------------------------------------------------------------------------

    @cached_property
    def event_types(self) -> dict[str, dict[str, bool]]:
        return {
            row["event_name"]: {key: value == "true" for key, value in row.items() if key.startswith("is_")}
            for row in seed("touchpoint_types")
        }

    @cached_property
    def touchpoints(self) -> list[Row]:
        aliases = {named(row["source_event_name"]): row["event_name"] for row in seed("touchpoint_aliases")}

        def translated(name: str) -> str:
            plain = named(name)
            return plain if plain in self.event_types else aliases.get(plain, "other")

        found = self.owned("touchpoints", "touchpoint_id", "occurred_at")
        names = {row["event_name"] for row in found}
        translation = {name: translated(name) for name in names}
        named_rows = [row | {"event_name": translation[row["event_name"]]} for row in found]
        return [row for row in named_rows if not self._is_told_by_an_order(row)]

    @cached_property
    def _orders_known(self) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
        known = [row for row in self.raw("orders") if self.happened(row["ordered_at"])]
        keys = {(row["id_namespace"], row["order_id"]) for row in known}
        delivered = {(row["id_namespace"], row["order_id"]) for row in known if self.happened(row["delivered_at"])}
        return keys, delivered

    @cached_property
    def _orders_told(self) -> dict[tuple[str, str, str], list[datetime]]:
        told: dict[tuple[str, str, str], list[datetime]] = defaultdict(list)
        for row in self.orders:
            for event, at in (("order_placed", row["ordered_at"]), ("order_delivered", row["delivered_at"])):
                if self.happened(at):
                    told[row["customer_id"], row["order_id"], event].append(at)
        return told

    def _is_told_by_an_order(self, row: Row) -> bool:
        """Reported twice, happened once: by its number, or in two systems by number, person and day."""
        if row["event_name"] not in ("order_placed", "order_delivered") or not row["order_id"]:
            return False
        if (row["id_namespace"], row["order_id"]) in self._orders_known[row["event_name"] == "order_delivered"]:
            return True
        told = self._orders_told.get((row["customer_id"], row["order_id"], row["event_name"]), [])
        return bool(told) and min(told) - DAY <= row["occurred_at"] <= max(told) + DAY

    def touched(self, *names: str) -> Iterator[Row]:
        """Touchpoints of people, by their name."""
        return (
            row for row in self.touchpoints
            if row["event_name"] in names and not row["is_machine"] and row["customer_id"]
        )  # fmt: skip

    @cached_property
    def channel_groups(self) -> dict[str, str]:
        return {row["channel"]: row["channel_group"] for row in seed("channels")}

    def grouped(self, channel: str | None) -> str:
        return self.channel_groups.get((channel or "").lower(), channel or "unknown")

    @cached_property
    def subscription_events(self) -> list[Row]:
        return [
            row | {"customer_id": self.owners.get(("subscriptions", row["source_system"], row["subscription_id"]))}
            for row in self.raw("subscription_events")
            if self.happened(row["occurred_at"])
        ]

    # --- orders ------------------------------------------------------------------------------------------------------

    @cached_property
    def products(self) -> dict[str, Row]:
        found: dict[str, Row] = {}
        for row in sorted(self.raw("products"), key=lambda row: row["source_system"]):
            found.setdefault(row["product_id"], row)
        return found

    @cached_property
    def lines(self) -> dict[tuple[str, str], list[Row]]:
        found: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in sorted(self.raw("order_items"), key=lambda row: row["line_number"]):
            unit = row["unit_cost_amount"]
            if unit is None:
                unit = self.products.get(row["product_id"] or "", {}).get("unit_cost_amount")
            cost = None if unit is None else cents(unit * row["quantity"])
            found[row["source_system"], row["order_id"]].append(
                row | {"gross": cents(row["line_amount"]), "off": cents(row["discount_amount"]), "cost": cost}
            )
        return found

    @cached_property
    def orders(self) -> list[Row]:
        """Orders that are neither cancelled nor a test, with their amounts."""
        refused = {row["order_status"] for row in seed("order_statuses") if row["is_counted"] == "false"}
        found = []
        for row in self.owned("orders", "order_id", "ordered_at"):
            if row["is_test"] or (row["order_status"] or "").lower() in refused or self.happened(row["cancelled_at"]):
                continue
            assert row["currency"] in (None, CURRENCY)
            lines = self.lines.get((row["source_system"], row["order_id"]), [])
            total, tax, shipping, off = (
                cents(row[f"{name}_amount"]) for name in ("total", "tax", "shipping", "discount")
            )
            costs = [line["cost"] for line in lines]
            has_cost = bool(costs) and None not in costs
            found.append(
                row
                | {
                    "key": (row["source_system"], row["order_id"]),
                    "lines": lines,
                    "gross": sum((line["gross"] for line in lines), Decimal(0))
                    if lines
                    else total - tax - shipping + off,
                    "off": sum((line["off"] for line in lines), off),
                    "tax": tax,
                    "shipping": shipping,
                    "cost": sum(costs, Decimal(0)) if has_cost else None,
                    "is_paid": row["total_amount"] > 0,
                    "day": local_day(row["ordered_at"]),
                    "month": local_month(row["ordered_at"]),
                }
            )
        return found

    @cached_property
    def orders_by_month(self) -> dict[date, list[Row]]:
        return grouped_by(self.orders, "month")

    def category_of(self, product: str | None) -> str | None:
        found: str | None = self.products.get(product or "", {}).get("category")
        return found

    def shared_lines(self, order: Row) -> list[Row]:
        """Lines, each with its share of the order's own discount."""
        off = cents(order["discount_amount"])
        shares = shared([abs(line["gross"] - line["off"]) for line in order["lines"]], off)
        return [line | {"share": part} for line, part in zip(order["lines"], shares, strict=True)]

    @cached_property
    def orders_of(self) -> dict[str, list[Row]]:
        return grouped_by((row for row in self.orders if row["customer_id"]), "customer_id")

    @cached_property
    def refunds(self) -> list[Row]:
        """Refunds of counted orders."""
        orders = {row["key"]: row for row in self.orders}
        found = []
        for row in self.raw("refunds"):
            order = orders.get((row["source_system"], row["order_id"]))
            if order is None or not self.happened(row["refunded_at"]):
                continue
            amount = row["item_refund_amount"]
            if amount is None:
                amount = row["refund_amount"] - (row["tax_refund_amount"] or 0) - (row["shipping_refund_amount"] or 0)
            found.append(row | {"order": order, "amount": cents(amount), "month": local_month(row["refunded_at"])})
        return found

    @cached_property
    def paid_order_days(self) -> dict[str, list[date]]:
        return {
            customer: sorted({row["day"] for row in orders if row["is_paid"]})
            for customer, orders in self.orders_of.items()
            if any(row["is_paid"] for row in orders)
        }

    @cached_property
    def first_purchases(self) -> dict[str, datetime]:
        """The first order that cost something or paid period of everybody's own."""
        found: dict[str, datetime] = {}
        for row in self._select("select customer_id, min(paid_at) as at from intermediate.int_purchases group by all"):
            found[row["customer_id"]] = row["at"]
        for customer, orders in self.orders_of.items():
            for row in orders:
                if row["is_paid"]:
                    found[customer] = min(found.get(customer, row["ordered_at"]), row["ordered_at"])
        return found

    # --- being active ------------------------------------------------------------------------------------------------

    @cached_property
    def spells(self) -> dict[str, list[tuple[datetime, datetime | None]]]:
        """When everybody was an active customer."""
        active = {row["stage"] for row in seed("lifecycle_stages") if row["is_active"] == "true"}
        found: dict[str, list[tuple[datetime, datetime | None]]] = {}
        history = self._select("from marts.customer_lifecycle_history order by customer_id, valid_from_at")
        for row in history:
            if row["stage"] not in active:
                continue
            own = found.setdefault(row["customer_id"], [])
            if own and own[-1][1] == row["valid_from_at"]:
                own[-1] = own[-1][0], row["valid_to_at"]
            else:
                own.append((row["valid_from_at"], row["valid_to_at"]))
        return found

    @cached_property
    def moves(self) -> dict[str, list[tuple[datetime, str]]]:
        found = {}
        for customer, spells in self.spells.items():
            own = found[customer] = []
            for number, (since, until) in enumerate(spells):
                own.append((since, "reactivated" if number else "new"))
                if until is not None:
                    own.append((until, "churned"))
        return found


def grouped_by(rows: Iterable[Row], key: str) -> dict[Any, list[Row]]:
    found: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        found[row[key]].append(row)
    return found


# --- customers -------------------------------------------------------------------------------------------------------


def balance(company: Company, customers: Iterable[str], months: list[date]) -> list[Row]:
    found: list[Row] = []
    people = list(customers)
    for month in months:
        begin, end = begins_at(month), company.ends_at(month)
        row: Row = defaultdict(int)
        for customer in people:
            moves = company.moves[customer]
            before = [kind for at, kind in moves if at < begin]
            within = [kind for at, kind in moves if begin <= at < end]
            for kind in within:
                row[f"{kind}_count"] += 1
            stands = (before + within)[-1:]
            closes = bool(stands) and stands[0] != "churned"
            row["closing_count"] += closes
            if before and before[-1] != "churned":
                row["opening_count"] += 1
                row["churned_from_opening_count"] += not closes
            elif before:
                row["inactive_opening_count"] += 1
                row["reactivated_from_opening_count"] += "reactivated" in within
        counts = {
            f"{name}_count": row[f"{name}_count"]
            for name in (
                "opening", "new", "reactivated", "churned", "closing", "churned_from_opening", "inactive_opening",
                "reactivated_from_opening",
            )
        }  # fmt: skip
        rate = share(counts["churned_from_opening_count"], counts["opening_count"])
        last = found[-1]["churn_rate"] if found else None
        is_comparable = company.is_over(month) and last is not None and rate is not None
        found.append(
            {"balance_month": month, "is_complete": company.is_over(month)}
            | counts
            | {
                "churn_rate": rate,
                "retention_rate": None if rate is None else 1 - rate,
                "churn_rate_improvement": last - rate if is_comparable else None,
                "reactivation_rate": share(counts["reactivated_from_opening_count"], counts["inactive_opening_count"]),
            }
        )
    return found


def first_balance_month(company: Company, customers: Iterable[str]) -> date:
    return local_month(min(company.moves[customer][0][0] for customer in customers))


def customer_balance_monthly(company: Company) -> list[Row]:
    return balance(company, company.moves, company.months_from(first_balance_month(company, company.moves)))


def customer_balance_by_group_monthly(company: Company) -> list[Row]:
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in company.mart("marts.customer_360"):
        if row["customer_id"] in company.moves:
            group = row["persona"] or "unknown", row["acquisition_channel"] or "unknown"
            groups[group].append(row["customer_id"])
    return [
        row | {"persona": persona, "acquisition_channel": channel}
        for (persona, channel), members in groups.items()
        for row in balance(company, members, company.months_from(first_balance_month(company, members)))
    ]


# --- revenue ---------------------------------------------------------------------------------------------------------


def revenue_monthly(company: Company) -> list[Row]:
    orders, refunds = grouped_by(company.orders, "month"), grouped_by(company.refunds, "month")
    found = []
    for month in sorted({*orders, *refunds}):
        sold, given = orders.get(month, []), refunds.get(month, [])
        costed = [row for row in sold if row["cost"] is not None]
        new = [row for row in sold if row["customer_id"] and is_first_day(company, row)]
        gross, off = sum_of(sold, "gross"), sum_of(sold, "off")
        net, cost = gross - off - sum_of(given, "amount"), sum_of(costed, "cost")
        costed_given = [row for row in given if row["order"]["cost"] is not None]
        is_costed = len(costed) == len(sold) and len(costed_given) == len(given)
        found.append(
            {
                "revenue_month": month,
                "is_complete": company.is_over(month),
                "order_count": len(sold),
                "customer_count": len({row["customer_id"] for row in sold} - {None}),
                "unidentified_order_count": sum(not row["customer_id"] for row in sold),
                "new_customer_order_count": len(new),
                "repeat_order_count": sum(bool(row["customer_id"]) for row in sold) - len(new),
                "currency": CURRENCY,
                "gross_revenue_amount": gross,
                "discount_amount": off,
                "refund_amount": sum_of(given, "amount"),
                "net_revenue_amount": net,
                "tax_amount": sum_of(sold, "tax"),
                "shipping_amount": sum_of(sold, "shipping"),
                "average_order_amount": each(gross - off, len(sold)),
                "costed_order_count": len(costed),
                "costed_net_revenue_amount": sum_of(costed, "gross") - sum_of(costed, "off")
                - sum_of(costed_given, "amount"),
                "cost_amount": cost,
                "gross_margin_amount": net - cost if is_costed else None,
            }
        )  # fmt: skip
    return found


def is_first_day(company: Company, order: Row) -> bool:
    days = company.paid_order_days.get(order["customer_id"])
    return days is None or order["day"] <= days[0]


def sum_of(rows: Iterable[Row], key: str) -> Decimal:
    return sum((row[key] for row in rows), Decimal(0))


def purchase_frequency_monthly(company: Company) -> list[Row]:
    oldest = min(row["day"] for row in company.orders)
    found = []
    for month in company.months_from(first_month(company)):
        last = min(add_months(month, 1) - DAY, company.as_of)
        first = last - 364 * DAY
        bought = {
            customer: days
            for customer, orders in company.orders_of.items()
            if (days := [row["day"] for row in orders if first <= row["day"] <= last])
        }
        gaps = [
            (later - earlier).days
            for days in company.paid_order_days.values()
            for earlier, later in pairwise(days)
            if first <= later <= last
        ]
        orders, again = sum(map(len, bought.values())), sum(len(set(days)) > 1 for days in bought.values())
        found.append(
            {
                "frequency_month": month,
                "is_complete": company.is_over(month),
                "is_window_complete": oldest <= first,
                "order_count": orders,
                "customer_count": len(bought),
                "repurchase_frequency": share(orders, len(bought)),
                "repeat_customer_count": again,
                "repeat_purchase_rate": share(again, len(bought)),
                "gap_count": len(gaps),
                "median_days_between_orders": percentile(gaps, 0.5),
                "p75_days_between_orders": percentile(gaps, 0.75),
                "window_end_date": last,
            }
        )
    return found


def first_month(company: Company) -> date:
    """Of the first event, order or spend."""
    known = [row["valid_from_at"] for row in company.mart("marts.customer_lifecycle_history")]
    known += [row["ordered_at"] for row in company.orders]
    days = [row["spend_date"] for row in company.raw("marketing_spend")]
    return min([local_month(min(known)), *(month_of(day) for day in days)])


# --- cohorts ---------------------------------------------------------------------------------------------------------


def retention_cohorts_monthly(company: Company) -> list[Row]:
    cohorts: dict[date, list[str]] = defaultdict(list)
    for customer, days in company.paid_order_days.items():
        cohorts[month_of(days[0])].append(customer)
    bought = {(customer, month_of(day)) for customer, days in company.paid_order_days.items() for day in days}
    active = {(customer, local_month(at)) for customer, at in human_activity(company)} | bought
    found = []
    for cohort, members in cohorts.items():
        for number, month in enumerate(company.months_from(cohort)):
            is_over = company.is_over(month)
            retained = sum((customer, month) in bought for customer in members) if is_over else None
            did = sum((customer, month) in active for customer in members) if is_over else None
            found.append(
                {
                    "cohort_month": cohort,
                    "month_number": number,
                    "cohort_customer_count": len(members),
                    "retained_customer_count": retained,
                    "retention_rate": share(retained, len(members)),
                    "active_customer_count": did,
                    "activity_rate": share(did, len(members)),
                    "is_complete": is_over,
                }
            )
    return found


def human_activity(company: Company) -> Iterator[tuple[str, datetime]]:
    types = company.event_types
    for row in company.touchpoints:
        if types[row["event_name"]]["is_human_activity"] and not row["is_machine"] and row["customer_id"]:
            yield row["customer_id"], row["occurred_at"]
    for row in company.orders:
        if row["customer_id"] and not row["is_renewal"]:
            yield row["customer_id"], row["ordered_at"]
    for name, key, at, event in (
        ("tickets", "ticket_id", "opened_at", "ticket_opened"),
        ("survey_responses", "response_id", "responded_at", "survey_answered"),
        ("reviews", "review_id", "reviewed_at", "review_submitted"),
        ("loyalty_events", "loyalty_event_id", "occurred_at", "loyalty"),
    ):
        for row in company.owned(name, key, at):
            kind = f"loyalty_{row['event_kind']}" if event == "loyalty" else event
            if row["customer_id"] and types[kind]["is_human_activity"]:
                yield row["customer_id"], row[at]
    for row in company.subscription_events:
        if row["customer_id"] and types[f"subscription_{row['event_kind']}"]["is_human_activity"]:
            yield row["customer_id"], row["occurred_at"]


# --- acquisition -----------------------------------------------------------------------------------------------------

DATED = {
    "contacts": ("contact_id", "created_at"),
    "touchpoints": ("touchpoint_id", "occurred_at"),
    "orders": ("order_id", "ordered_at"),
    "tickets": ("ticket_id", "opened_at"),
    "survey_responses": ("response_id", "responded_at"),
    "reviews": ("review_id", "reviewed_at"),
    "loyalty_events": ("loyalty_event_id", "occurred_at"),
}
NO_TOUCH = {"order_placed", "survey_answered"}


def identified(company: Company) -> dict[str, datetime]:
    """When everybody became known by more than a cookie. Identifiers that are blocked link nothing."""
    by_cookie = company.linked_by_cookie
    found: dict[str, datetime] = {}
    for name, (key, at) in DATED.items():
        for row in company.owned(name, key, at):
            if row["customer_id"] and (name, row["source_system"], row[key]) not in by_cookie:
                found[row["customer_id"]] = min(found.get(row["customer_id"], row[at]), row[at])
    for row in company.consents:
        found[row["customer_id"]] = min(found.get(row["customer_id"], row["at"]), row["at"])
    return found


def first_seen(company: Company) -> dict[str, datetime]:
    rows = company.mart("marts.customer_lifecycle_history")
    found: dict[str, datetime] = {}
    for row in rows:
        found[row["customer_id"]] = min(found.get(row["customer_id"], row["valid_from_at"]), row["valid_from_at"])
    return found


def origins(company: Company) -> dict[str, tuple[str, str]]:
    """Channel and campaign of everybody's first touch, or the channel that a contact record says."""
    found: dict[str, tuple[str, str]] = {}
    contacts = [row for row in company.owned("contacts", "contact_id", "created_at") if row["acquisition_source"]]
    for row in sorted(contacts, key=lambda row: row["created_at"], reverse=True):
        if row["customer_id"]:
            found[row["customer_id"]] = company.grouped(row["acquisition_source"]), "(none)"
    touches = [
        (row["occurred_at"], f"touchpoint:{row['source_system']}:{row['touchpoint_id']}", row)
        for row in company.touchpoints
        if company.event_types[row["event_name"]]["is_human_activity"]
        and not row["is_machine"]
        and row["event_name"] not in NO_TOUCH
    ]
    touches += [
        (row["opened_at"], f"ticket:{row['ticket_id']}", row | {"channel": row["ticket_channel"], "campaign_id": None})
        for row in company.owned("tickets", "ticket_id", "opened_at")
    ]
    for _, _, row in sorted(touches, key=lambda touch: touch[:2], reverse=True):
        if row["customer_id"] and row["channel"]:
            found[row["customer_id"]] = company.grouped(row["channel"]), row["campaign_id"] or "(none)"
    return found


def spend(company: Company) -> list[Row]:
    rows = [row for row in company.raw("marketing_spend") if row["spend_date"] <= company.as_of]
    daily = {(row["source_system"], row["campaign_id"]) for row in rows}
    found = [
        {
            "day": row["spend_date"], "channel": row["channel"], "campaign_id": row["campaign_id"],
            "purpose": row["spend_purpose"], "amount": cents(row["spend_amount"]), "impressions": row["impressions"],
            "clicks": row["clicks"],
        }
        for row in rows
    ]  # fmt: skip
    found += [
        {
            "day": local_day(row["started_at"]), "channel": row["channel"], "campaign_id": row["campaign_id"],
            "purpose": row["purpose"], "amount": cents(row["cost_amount"]), "impressions": None, "clicks": None,
        }
        for row in company.raw("campaigns")
        if company.happened(row["started_at"])
        and row["cost_amount"]
        and (row["source_system"], row["campaign_id"]) not in daily
    ]  # fmt: skip
    for row in found:
        part = {"acquire": Decimal(1), "retain": Decimal(0)}.get(row["purpose"], ACQUIRE_SHARE)
        row |= {"acquire": cents(row["amount"] * part), "month": month_of(row["day"])}
    return found


def acquisition_monthly(company: Company) -> list[Row]:
    came_from = origins(company)
    rows: dict[tuple[date, str, str], Row] = defaultdict(lambda: defaultdict(int))
    for name, moments in (
        ("first_seen_count", first_seen(company)),
        ("lead_count", identified(company)),
        ("new_customer_count", company.first_purchases),
    ):
        for customer, at in moments.items():
            rows[local_month(at), *came_from.get(customer, ("unknown", "(none)"))][name] += 1
    spent = spend(company)
    for row in spent:
        into = rows[row["month"], company.grouped(row["channel"]), row["campaign_id"] or "(none)"]
        into["impression_count"] += row["impressions"] or 0
        into["click_count"] += row["clicks"] or 0
        into["spend_amount"] += row["amount"]
        into["acquire_spend_amount"] += row["acquire"]
    known_from = min((row["month"] for row in spent), default=date.max)
    found = []
    for (month, channel, campaign), row in rows.items():
        is_known = month >= known_from
        amount = Decimal(row["spend_amount"]) if is_known else None
        found.append(
            {
                "acquisition_month": month,
                "channel": channel,
                "campaign_id": campaign,
                "is_complete": company.is_over(month),
                "first_seen_count": row["first_seen_count"],
                "lead_count": row["lead_count"],
                "new_customer_count": row["new_customer_count"],
                "impression_count": row["impression_count"],
                "click_count": row["click_count"],
                "click_through_rate": share(row["click_count"], row["impression_count"]),
                "currency": CURRENCY,
                "spend_amount": amount,
                "acquire_spend_amount": Decimal(row["acquire_spend_amount"]) if is_known else None,
                "spend_without_rate_count": 0,
                "cost_per_lead_amount": each(amount, row["lead_count"]),
            }
        )
    return found


def acquisition_cost_monthly(company: Company) -> list[Row]:
    leads = grouped_moments(identified(company))
    new = grouped_moments(company.first_purchases)
    spent = grouped_by(spend(company), "month")
    known_from = min(spent, default=date.max)
    seen = grouped_moments(first_seen(company))
    found = []
    for month in company.months_from(min([*leads, *new, *spent, *seen])):
        begin, end = begins_at(month), company.ends_at(month)
        retained = sum(
            any(since <= begin and (until is None or until > begin) for since, until in spells)
            and any(since < end and (until is None or until >= end) for since, until in spells)
            for spells in company.spells.values()
        )
        incentive = Decimal(0)
        for customer in new.get(month, []):
            first = local_day(company.first_purchases[customer])
            incentive += sum_of(
                (row for row in company.orders_of.get(customer, []) if row["day"] == first and row["is_paid"]), "off"
            )
        is_known, rows = month >= known_from, spent.get(month, [])
        amount = sum_of(rows, "amount") if is_known else None
        acquire = sum_of(rows, "acquire") if is_known else None
        retain = None if amount is None or acquire is None else amount - acquire
        cost = None if amount is None else amount + incentive
        found.append(
            {
                "acquisition_month": month,
                "is_complete": company.is_over(month),
                "lead_count": len(leads.get(month, [])),
                "new_customer_count": len(new.get(month, [])),
                "retained_customer_count": retained,
                "currency": CURRENCY,
                "spend_amount": amount,
                "acquire_spend_amount": acquire,
                "retain_spend_amount": retain,
                "spend_without_rate_count": 0,
                "first_order_incentive_amount": incentive,
                "acquisition_cost_amount": cost,
                "blended_cac_amount": each(cost, len(new.get(month, []))),
                "cost_per_lead_amount": each(amount, len(leads.get(month, []))),
                "cost_to_retain_amount": each(retain, retained),
            }
        )
    return found


def grouped_moments(moments: dict[str, datetime]) -> dict[date, list[str]]:
    found: dict[date, list[str]] = defaultdict(list)
    for customer, at in moments.items():
        found[local_month(at)].append(customer)
    return found


def lead_cohorts_monthly(company: Company) -> list[Row]:
    came_from, known = origins(company), identified(company)
    cohorts: dict[tuple[date, str], list[str]] = defaultdict(list)
    for customer, at in known.items():
        cohorts[local_month(at), came_from.get(customer, ("unknown", ""))[0]].append(customer)
    found = []
    for (month, channel), people in cohorts.items():
        waits = [in_days(company.first_purchases.get(who, datetime.max), known[who]) for who in people]
        row: Row = {
            "cohort_month": month,
            "acquisition_channel": channel,
            "is_complete": company.is_over(month),
            "lead_count": len(people),
            "bought_at_once_count": sum(wait <= 0 for wait in waits),
        }
        for days in (30, 90):
            bought = sum(wait < days for wait in waits) if has_passed(company, month, days) else None
            row |= {f"customer_{days}d_count": bought, f"lead_to_customer_{days}d_rate": share(bought, len(people))}
        found.append(row)
    return found


def has_passed(company: Company, month: date, days: int) -> bool:
    """Whether so many days have passed for everybody of a month."""
    return begins_at(add_months(month, 1)) + days * DAY <= company.end


def value_cohorts(company: Company) -> list[Row]:
    costs = {row["acquisition_month"]: row for row in acquisition_cost_monthly(company)}
    purchases = defaultdict(set)
    for row in company.mart("intermediate.int_purchases"):
        purchases[row["customer_id"]].add(month_of(row["paid_date"]))
    refunds: dict[str, list[Row]] = grouped_by(
        (row | {"customer_id": row["order"]["customer_id"]} for row in company.refunds), "customer_id"
    )
    found = []
    for cohort, people in grouped_moments(company.first_purchases).items():
        sold = [row for who in people for row in company.orders_of.get(who, [])]
        given = [row for who in people for row in refunds.get(who, [])]
        cac = costs[cohort]
        cost_of_cohort = cac["acquisition_cost_amount"] if company.is_over(cohort) else None
        rows: list[Row] = []
        for number, month in enumerate(company.months_from(cohort)):
            is_over = company.is_over(month)
            so_far = [row for row in sold if row["month"] <= month]
            net = sum_of(so_far, "gross") - sum_of(so_far, "off")
            net -= sum_of((row for row in given if row["month"] <= month), "amount")
            costed = [row for row in so_far if row["cost"] is not None]
            margin = net - sum_of(costed, "cost")
            basis = "margin" if len(costed) == len(so_far) else "mixed" if costed else "net_revenue"
            without = sum((row["gross"] - row["off"] for row in so_far if row["cost"] is None), Decimal(0))
            row = {
                "ordering_customer_count": sum(month in purchases[who] for who in people),
                "net_revenue_amount": net,
                "gross_margin_amount": margin if basis == "margin" else None,
                "margin_basis": basis,
                "margin_amount": margin,
                "revenue_without_cost_amount": without,
                "margin_per_customer_amount": each(margin, len(people)),
                "is_paid_back": None if cost_of_cohort is None else margin >= cost_of_cohort,
            }
            rows.append(
                {
                    "cohort_month": cohort,
                    "month_number": number,
                    "is_complete": is_over,
                    "cohort_customer_count": len(people),
                    "currency": CURRENCY,
                    "acquisition_cost_amount": cost_of_cohort,
                    "cac_amount": cac["blended_cac_amount"] if company.is_over(cohort) else None,
                    "first_year_margin_amount": None,
                    "clv_to_cac_ratio": None,
                    "is_predicted": False,
                }
                | (row if is_over else dict.fromkeys(row))
            )
        if len(rows) > 12 and rows[12]["is_complete"]:
            margin = first_year_margin(company, people, refunds)
            rows[12] |= {"first_year_margin_amount": margin, "clv_to_cac_ratio": share(margin, cost_of_cohort)}
        payback = next((row["month_number"] for row in rows if row["is_paid_back"]), None)
        found += [row | {"payback_month_number": payback} for row in rows]
    return found


def first_year_margin(company: Company, people: list[str], refunds: dict[str, list[Row]]) -> Decimal:
    margin = Decimal(0)
    for who in people:
        until = company.first_purchases[who] + 365 * DAY
        for row in company.orders_of.get(who, []):
            if row["ordered_at"] < until:
                margin += row["gross"] - row["off"] - (row["cost"] or 0)
        margin -= sum_of((row for row in refunds.get(who, []) if row["refunded_at"] < until), "amount")
    return margin


# --- activation ------------------------------------------------------------------------------------------------------


def activation_cohorts(company: Company) -> list[Row]:
    accounts = {
        row["customer_id"]: row["account_key"] or row["customer_id"] for row in company.mart("marts.customer_360")
    }
    firsts: dict[str, dict[str, datetime]] = {"is_activation": {}, "is_value": {}}
    events = [
        (row["customer_id"], row["event_name"], row["occurred_at"])
        for row in company.touchpoints
        if row["customer_id"] and not row["is_machine"]
    ]
    events += [
        (row["customer_id"], "order_delivered", row["delivered_at"])
        for row in company.orders
        if row["customer_id"] and company.happened(row["delivered_at"])
    ]
    for customer, name, at in events:
        for kind, first in firsts.items():
            if company.event_types[name][kind]:
                life = accounts[customer]
                first[life] = min(first.get(life, at), at)
    came_from = origins(company)
    cohorts: dict[tuple[date, str], list[str]] = defaultdict(list)
    for customer, at in company.first_purchases.items():
        cohorts[local_month(at), came_from.get(customer, ("unknown", ""))[0]].append(customer)
    found = []
    for (month, channel), people in cohorts.items():
        row: Row = {
            "cohort_month": month,
            "acquisition_channel": channel,
            "activation_basis": "first_order",
            "activation_days": float(ACTIVATION_DAYS),
            "is_complete": company.is_over(month),
            "cohort_customer_count": len(people),
        }
        is_known = has_passed(company, month, ACTIVATION_DAYS)
        for kind, count, rate, what in (
            ("is_activation", "activated_count", "activation_rate", "activate"),
            ("is_value", "value_count", "value_rate", "value"),
        ):
            waits = [
                in_days(firsts[kind].get(accounts[who], datetime.max), company.first_purchases[who]) for who in people
            ]
            days = [max(wait, 0.0) for wait in waits if wait < ACTIVATION_DAYS]
            row |= {
                count: len(days) if is_known else None,
                rate: share(len(days), len(people)) if is_known else None,
                f"median_days_to_{what}": percentile(days, 0.5) if is_known else None,
                f"p75_days_to_{what}": percentile(days, 0.75) if is_known else None,
                f"p90_days_to_{what}": percentile(days, 0.9) if is_known else None,
            }
            if what == "activate":
                row["activated_before_count"] = sum(wait <= 0 for wait in waits) if is_known else None
        found.append(row)
    return found


class Onboardings:
    """When everybody began, and which steps they reached in time."""

    def __init__(self, company: Company) -> None:
        self.steps = sorted(seed("onboarding_steps"), key=lambda row: int(row["step_order"]))
        listed = {row["step_name"] for row in self.steps}
        done: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
        for row in company.touched("onboarding_step", *(listed & company.event_types.keys())):
            is_step = row["event_name"] == "onboarding_step"
            step = (row["step"] or "").lower() if is_step else row["event_name"]
            done[row["customer_id"]].append((row["occurred_at"], step))
        self.began = {who: min(steps)[0] for who, steps in done.items()}
        self.reached = {
            who: {step for at, step in steps if at < self.began[who] + ONBOARDING_DAYS * DAY and step in listed}
            for who, steps in done.items()
        }
        self.unlisted = {who: sum(step not in listed for _, step in steps) for who, steps in done.items()}
        self.months = grouped_moments(self.began)


def onboarding_monthly(company: Company) -> list[Row]:
    known = Onboardings(company)
    required = {row["step_name"] for row in known.steps if row["is_required"] == "true"}
    found = []
    for month, people in known.months.items():
        is_known = has_passed(company, month, ONBOARDING_DAYS)
        completed = sum(required <= known.reached[who] for who in people) if is_known else None
        found.append(
            {
                "cohort_month": month,
                "is_complete": company.is_over(month),
                "started_count": len(people),
                "completed_count": completed,
                "completion_rate": share(completed, len(people)),
                "unlisted_step_count": sum(known.unlisted[who] for who in people),
            }
        )
    return found


def onboarding_steps_monthly(company: Company) -> list[Row]:
    known = Onboardings(company)
    found = []
    for month, people in known.months.items():
        is_known = has_passed(company, month, ONBOARDING_DAYS)
        for number, step in enumerate(known.steps):
            name = step["step_name"]
            following = next(
                (row["step_name"] for row in known.steps[number + 1 :] if row["is_required"] == "true"), None
            )
            reached = [who for who in people if name in known.reached[who]]
            lost = None
            if is_known and following is not None:
                lost = sum(following not in known.reached[who] for who in reached)
            found.append(
                {
                    "cohort_month": month,
                    "step_name": name,
                    "step_order": int(step["step_order"]),
                    "is_required": step["is_required"] == "true",
                    "next_step_name": following,
                    "is_complete": company.is_over(month),
                    "started_count": len(people),
                    "reached_count": len(reached) if is_known else None,
                    "reached_rate": share(len(reached), len(people)) if is_known else None,
                    "drop_off_count": lost,
                    "drop_off_rate": share(lost, len(reached)),
                }
            )
    return found


# --- segments --------------------------------------------------------------------------------------------------------


def segment_monthly(company: Company) -> list[Row]:
    found = []
    history = company.mart("segments.segment_history")
    for segment, memberships in grouped_by(history, "segment_name").items():
        members = grouped_by(memberships, "customer_id")
        for month in company.months_from(local_month(min(row["valid_from_at"] for row in memberships))):
            found.append(
                {"segment_month": month, "segment_name": segment, "is_complete": company.is_over(month)}
                | members_of_month(company, members, month)
                | sales_of_month(company, members, month)
            )
    return found


def just_before(spans: Iterable[tuple[datetime, datetime | None]], at: datetime) -> bool:
    return any(since < at and (until is None or until >= at) for since, until in spans)


def from_then_on(spans: Iterable[tuple[datetime, datetime | None]], at: datetime) -> bool:
    return any(since <= at and (until is None or until > at) for since, until in spans)


def spans_of(memberships: list[Row]) -> list[tuple[datetime, datetime | None]]:
    return [(row["valid_from_at"], row["valid_to_at"]) for row in memberships]


def members_of_month(company: Company, members: dict[str, list[Row]], month: date) -> Row:
    begin, end = begins_at(month), company.ends_at(month)
    names = (
        "opening_member", "entered", "exited", "closing_member", "active_opening", "new", "reactivated", "moved_in",
        "churned", "moved_out", "active_closing", "churned_from_opening",
    )  # fmt: skip
    row: Row = {f"{name}_count": 0 for name in names}
    for customer, memberships in members.items():
        member, active = spans_of(memberships), company.spells.get(customer, [])
        was, is_now = just_before(member, begin), just_before(member, end)
        row["opening_member_count"] += was
        row["closing_member_count"] += is_now
        row["active_opening_count"] += was and just_before(active, begin)
        row["active_closing_count"] += is_now and just_before(active, end)
        row["churned_from_opening_count"] += was and just_before(active, begin) and not just_before(active, end)
        for since, until in member:
            if begin <= since < end:
                row["entered_count"] += 1
                row["moved_in_count"] += just_before(active, since) and from_then_on(active, since)
            if until is not None and begin <= until < end:
                row["exited_count"] += 1
                row["moved_out_count"] += just_before(active, until) and from_then_on(active, until)
        for at, kind in company.moves.get(customer, []):
            if begin <= at < end:
                row[f"{kind}_count"] += just_before(member, at) if kind == "churned" else from_then_on(member, at)
    return row | {"churn_rate": share(row["churned_from_opening_count"], row["active_opening_count"])}


def sales_of_month(company: Company, members: dict[str, list[Row]], month: date) -> Row:
    def is_of_member(order: Row) -> bool:
        memberships = members.get(order["customer_id"], [])
        return from_then_on(spans_of(memberships), order["ordered_at"])

    sold = [row for row in company.orders_by_month.get(month, []) if is_of_member(row)]
    given = [row for row in company.refunds if row["month"] == month and is_of_member(row["order"])]
    gross, off, back = sum_of(sold, "gross"), sum_of(sold, "off"), sum_of(given, "amount")
    is_costed = all(row["cost"] is not None for row in sold)
    return {
        "order_count": len(sold),
        "customer_count": len({row["customer_id"] for row in sold}),
        "currency": CURRENCY,
        "gross_revenue_amount": gross,
        "discount_amount": off,
        "refund_amount": back,
        "net_revenue_amount": gross - off - back,
        "gross_margin_amount": gross - off - back - sum_of(sold, "cost") if is_costed else None,
    }


# --- recurring revenue -----------------------------------------------------------------------------------------------


class Plan:
    """One subscription, event by event."""

    def __init__(self, events: list[Row]) -> None:
        self.customer = events[0]["customer_id"]
        self.events = sorted(events, key=lambda row: (row["occurred_at"], row["subscription_event_id"]))
        self.states: list[SubscriptionState] = [
            subscription_state(self.events[: number + 1]) for number in range(len(self.events))
        ]

    def brings(self, before: datetime) -> Decimal | None:
        """Monthly, just before a moment; nothing where it is not paid."""
        known = bisect_left([row["occurred_at"] for row in self.events], before)
        if not known or not self.states[known - 1].is_active:
            return None
        amounts = [row["mrr_amount"] for row in self.events[:known] if row["mrr_amount"] is not None]
        return cents(amounts[-1] if amounts else None)

    def was_paid(self, before: datetime) -> bool:
        pairs = zip(self.events, self.states, strict=True)
        return any(state.is_active for row, state in pairs if row["occurred_at"] < before)

    @property
    def first_paid_at(self) -> datetime | None:
        pairs = zip(self.events, self.states, strict=True)
        return next((row["occurred_at"] for row, state in pairs if state.is_active), None)

    def ended_unwillingly(self, before: datetime) -> bool:
        """Whether a failed payment was the latest of the troubles that were open at the last end."""
        ends = [
            number for number in range(1, len(self.events))
            if self.events[number]["occurred_at"] < before
            and self.states[number - 1].is_active and not self.states[number].is_active
        ]  # fmt: skip
        before_end = self.events[: ends[-1]]
        state = self.states[ends[-1] - 1]

        def last(kind: str) -> int:
            return max((number for number, row in enumerate(before_end) if row["event_kind"] == kind), default=-1)

        asked = [last("cancel_requested")] * state.is_cancelling + [last("paused")] * state.is_paused
        return state.is_past_due and all(number < last("payment_failed") for number in asked)


def mrr_movements_monthly(company: Company) -> list[Row]:
    plans: dict[str, list[Plan]] = defaultdict(list)
    of_subscription: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in company.subscription_events:
        if row["customer_id"]:
            of_subscription[row["source_system"], row["subscription_id"]].append(row)
    for events in of_subscription.values():
        plan = Plan(events)
        plans[plan.customer].append(plan)
    first = [plan.first_paid_at for own in plans.values() for plan in own if plan.first_paid_at]
    return (
        [mrr_of_month(company, plans, month) for month in company.months_from(local_month(min(first)))] if first else []
    )


def mrr_of_month(company: Company, plans: dict[str, list[Plan]], month: date) -> Row:
    begin, end = begins_at(month), company.ends_at(month)
    money: dict[str, Decimal] = defaultdict(Decimal)
    people: dict[str, int] = defaultdict(int)
    for own in plans.values():
        earlier = [amount for plan in own if (amount := plan.brings(begin)) is not None]
        later = [amount for plan in own if (amount := plan.brings(end)) is not None]
        opening, closing = sum(earlier, Decimal(0)), sum(later, Decimal(0))
        money["opening"] += opening
        money["closing"] += closing
        people["opening"] += bool(earlier)
        people["closing"] += bool(later)
        if later and not earlier:
            kind = "reactivat" if any(plan.was_paid(begin) for plan in own) else "new"
            money["reactivation" if kind == "reactivat" else "new"] += closing
            people["reactivated" if kind == "reactivat" else "new"] += 1
        elif earlier and not later:
            people["churned"] += 1
            for plan in own:
                amount = plan.brings(begin)
                if amount is not None:
                    money["involuntary" if plan.ended_unwillingly(end) else "voluntary"] += amount
        elif closing > opening:
            money["expansion"] += closing - opening
            people["expansion"] += 1
        elif closing < opening:
            money["contraction"] += opening - closing
            people["contraction"] += 1
    churn = money["involuntary"] + money["voluntary"]
    return {
        "mrr_month": month,
        "is_complete": company.is_over(month),
        "currency": CURRENCY,
        "churn_mrr_amount": churn,
        "voluntary_churn_amount": money["voluntary"],
        "involuntary_churn_amount": money["involuntary"],
        "fx_mrr_amount": Decimal(0),
        "gross_mrr_churn_rate": share(money["contraction"] + churn, money["opening"]),
        "net_mrr_retention_rate": share(
            money["opening"] + money["expansion"] - money["contraction"] - churn, money["opening"]
        ),
        **{
            f"{name}_mrr_amount": money[name]
            for name in ("opening", "new", "expansion", "reactivation", "contraction", "closing")
        },
        **{
            f"{name}_customer_count": people[name]
            for name in ("opening", "new", "reactivated", "churned", "closing", "expansion", "contraction")
        },
    }


# --- second orders ---------------------------------------------------------------------------------------------------


def second_orders(company: Company) -> list[Row]:
    came_from = origins(company)
    groups: dict[tuple[str, str], list[tuple[datetime, datetime | None]]] = defaultdict(list)
    for customer, days in company.paid_order_days.items():
        paid = sorted(
            (row for row in company.orders_of[customer] if row["is_paid"]),
            key=lambda row: (row["ordered_at"], row["order_id"]),
        )
        that_day = [row for row in paid if row["day"] == days[0]]
        lines = [line for row in that_day for line in row["lines"] if line["quantity"] > 0]
        products = {line["product_id"] for line in lines} - {None}
        categories = {top_category(company.category_of(product)) for product in products} - {None}
        is_discounted = any(row["off"] > 0 for row in that_day)
        again = next((row["ordered_at"] for row in paid if row["day"] > days[0]), None)
        values = {
            "all": {"all"},
            "first_product": products or {"(unknown)"},
            "first_category": categories or {"(unknown)"},
            "first_channel": {that_day[0]["order_channel"] or "(unknown)"},
            "first_discount": {"discount" if is_discounted else "no discount"},
            "acquisition_channel": {came_from.get(customer, ("(unknown)", ""))[0]},
        }
        for dimension, own in values.items():
            for value in own:
                groups[dimension, value].append((that_day[0]["ordered_at"], again))
    found = []
    for (dimension, value), people in groups.items():
        row: Row = {"dimension": dimension, "dimension_value": value, "first_order_customer_count": len(people)}
        for days_within in (90, 365):
            matured = [(first, again) for first, again in people if first + days_within * DAY <= company.end]
            came = sum(again is not None and again < first + days_within * DAY for first, again in matured)
            row |= {
                f"matured_{days_within}d_customer_count": len(matured),
                f"second_order_{days_within}d_count": came,
                f"second_order_{days_within}d_rate": share(came, len(matured)),
            }
        found.append(row)
    return found


def top_category(path: str | None) -> str | None:
    return path.split(">")[0].strip() if path else None


# --- expansion -------------------------------------------------------------------------------------------------------


def expansion_revenue_monthly(company: Company) -> list[Row]:
    gains: dict[date, list[tuple[str, Decimal, Row]]] = defaultdict(list)
    for orders in company.orders_of.values():
        highest: dict[str, Decimal] = {}
        seen: set[str] = set()
        is_first_day = True
        for _, that_day in sorted(grouped_by(orders, "day").items()):
            today: list[tuple[str, Decimal]] = []
            for order in that_day:
                for line in company.shared_lines(order):
                    path = company.category_of(line["product_id"])
                    if (
                        path is None
                        or line["quantity"] <= 0
                        or line["line_amount"] - (line["discount_amount"] or 0) <= 0
                    ):
                        continue
                    price = (line["line_amount"] - (line["discount_amount"] or 0)) / line["quantity"]
                    brought = line["gross"] - line["off"] - line["share"]
                    today.append((path, price))
                    if path in highest and price > highest[path]:
                        gain = min(cents((price - highest[path]) * line["quantity"]), brought)
                        gains[order["month"]].append(("upsell", gain, order))
                    if top_category(path) not in seen and not is_first_day:
                        gains[order["month"]].append(("cross_sell", brought, order))
            for path, price in today:
                highest[path] = max(highest.get(path, price), price)
                seen.add(str(top_category(path)))
            is_first_day = is_first_day and not any(row["is_paid"] for row in that_day)
    found = []
    sold_items = grouped_by((row for row in company.orders if row["lines"]), "month")
    for month, orders in sold_items.items():
        sold = sum_of(orders, "gross") - sum_of(orders, "off")
        row: Row = {
            "expansion_month": month, "is_complete": company.is_over(month), "currency": CURRENCY,
            "item_revenue_amount": sold,
        }  # fmt: skip
        for name, kinds in (
            ("upsell", ["upsell"]),
            ("cross_sell", ["cross_sell"]),
            ("expansion", ["upsell", "cross_sell"]),
        ):
            own = [(amount, order) for kind, amount, order in gains[month] if kind in kinds and amount > 0]
            amount = sum((amount for amount, _ in own), Decimal(0))
            row |= {
                f"{name}_amount": amount,
                f"{name}_order_count": len({order["key"] for _, order in own}),
                f"{name}_customer_count": len({order["customer_id"] for _, order in own}),
                f"{name}_rate": share(amount, sold),
            }
        found.append(row)
    return found


# --- products --------------------------------------------------------------------------------------------------------


def product_popularity_monthly(company: Company) -> list[Row]:  # noqa: PLR0912
    rows: dict[tuple[date, str], Row] = defaultdict(
        lambda: defaultdict(int, {"viewers": {}, "buyers": defaultdict(list), "orders": set(), "customers": set()})
    )
    for touch in company.touched("product_viewed", "product_added"):
        if touch["product_id"]:
            row = rows[local_month(touch["occurred_at"]), touch["product_id"]]
            if touch["event_name"] == "product_added":
                row["cart"] += 1
            else:
                row["views"] += 1
                who, at = touch["customer_id"], touch["occurred_at"]
                row["viewers"][who] = min(row["viewers"].get(who, at), at)
    for order in company.orders:
        for line in company.shared_lines(order):
            if line["product_id"] is None:
                continue
            row = rows[order["month"], line["product_id"]]
            row["orders"].add(order["key"])
            if order["customer_id"]:
                row["customers"].add(order["customer_id"])
                row["buyers"][order["customer_id"]].append(order["ordered_at"])
            row["sold" if line["quantity"] > 0 else "returned"] += abs(line["quantity"])
            row["gross"] += line["gross"]
            row["off"] += line["off"] + line["share"]
    for refund in company.refunds:
        if refund["product_id"]:
            row = rows[refund["month"], refund["product_id"]]
            row["returned"] += refund["quantity"] or 0
            row["refund"] += refund["amount"]
    found = []
    for (month, product), row in rows.items():
        named_as = company.products.get(product, {})
        buying = sum(any(at >= first for at in row["buyers"].get(who, [])) for who, first in row["viewers"].items())
        found.append(
            {
                "popularity_month": month,
                "product_id": product,
                "product_name": named_as.get("product_name"),
                "category": named_as.get("category"),
                "is_complete": company.is_over(month),
                "view_count": row["views"],
                "viewer_count": len(row["viewers"]),
                "cart_count": row["cart"],
                "order_count": len(row["orders"]),
                "customer_count": len(row["customers"]),
                "quantity": Decimal(row["sold"]),
                "returned_quantity": Decimal(row["returned"]),
                "currency": CURRENCY,
                "gross_revenue_amount": Decimal(row["gross"]),
                "discount_amount": Decimal(row["off"]),
                "refund_amount": Decimal(row["refund"]),
                "buying_viewer_count": buying,
                "view_to_order_rate": share(buying, len(row["viewers"])),
            }
        )
    for rows_of_month in grouped_by(found, "popularity_month").values():
        by_views = sorted(rows_of_month, key=lambda row: (-row["view_count"], -row["viewer_count"], row["product_id"]))
        by_revenue = sorted(
            rows_of_month,
            key=lambda row: (
                row["discount_amount"] - row["gross_revenue_amount"], -row["order_count"], row["product_id"],
            ),
        )  # fmt: skip
        for name, ranked in (("view_rank", by_views), ("revenue_rank", by_revenue)):
            for place, row in enumerate(ranked, start=1):
                row[name] = place
    return found


# --- funnels ---------------------------------------------------------------------------------------------------------


def orders_placed(company: Company) -> dict[str, list[tuple[datetime, Row | None]]]:
    """Orders that somebody placed, also those that only the tracker saw."""
    found: dict[str, list[tuple[datetime, Row | None]]] = defaultdict(list)
    for row in company.orders:
        if row["customer_id"] and not row["is_renewal"]:
            found[row["customer_id"]].append((row["ordered_at"], row))
    for row in company.touched("order_placed"):
        found[row["customer_id"]].append((row["occurred_at"], None))
    return {who: sorted(own, key=lambda one: one[0]) for who, own in found.items()}


def funnel_steps_monthly(company: Company) -> list[Row]:
    happened: dict[str, list[tuple[str, datetime, str]]] = defaultdict(list)
    for row in company.touchpoints:
        if row["customer_id"] and not row["is_machine"] and row["event_name"] != "order_placed":
            happened[row["event_name"]].append((row["customer_id"], row["occurred_at"], (row["step"] or "").lower()))
    for who, orders in orders_placed(company).items():
        happened["order_placed"] += [(who, at, "") for at, _ in orders]
    for row in company.subscription_events:
        if row["customer_id"]:
            happened[f"subscription_{row['event_kind']}"].append((row["customer_id"], row["occurred_at"], ""))
    found = []
    for funnel, steps in grouped_by(seed("funnel_steps"), "funnel_name").items():
        found += funnel_months(company, funnel, steps, happened)
    return found


def attempts(firsts: list[datetime], window: timedelta) -> list[tuple[datetime, datetime]]:
    """When each attempt begins and ends."""
    begins: list[datetime] = []
    came = last = datetime.min
    for at in sorted(firsts):
        if not begins or at - last >= window:
            came = at
            begins.append(at)
        elif (at - came) // window > (begins[-1] - came) // window:
            begins.append(at)
        last = at
    ends = [min(at + window, following) for at, following in zip(begins, [*begins[1:], datetime.max], strict=True)]
    return list(zip(begins, ends, strict=True))


def funnel_months(
    company: Company, funnel: str, steps: list[Row], happened: dict[str, list[tuple[str, datetime, str]]]
) -> list[Row]:
    hours = float(steps[0]["window_hours"])
    window = timedelta(hours=hours)
    numbers = sorted({int(row["step_number"]) for row in steps})
    names = {int(row["step_number"]): row["step_name"] for row in steps}
    times: dict[int, dict[str, list[datetime]]] = {number: defaultdict(list) for number in numbers}
    for row in steps:
        for who, at, step in happened.get(row["event_name"], []):
            if not row["step_detail"] or row["step_detail"].lower() == step:
                times[int(row["step_number"])][who].append(at)
    months: dict[date, list[list[datetime]]] = defaultdict(list)
    for who, firsts in times[1].items():
        own = attempts(firsts, window)
        for begin, end in own[:1] if steps[0]["is_first_attempt_only"] == "true" else own:
            if begin + window > company.end:
                continue
            reached = [begin]
            for number in numbers[1:]:
                at = min((at for at in times[number].get(who, []) if reached[-1] <= at < end), default=None)
                if at is None:
                    break
                reached.append(at)
            months[local_month(begin)].append(reached)
    found = []
    for month, tried in months.items():
        for number in numbers:
            here = [reached for reached in tried if len(reached) >= number]
            went_on = [reached for reached in here if len(reached) > number]
            is_last = number == numbers[-1]
            minutes = [(reached[number] - reached[number - 1]).total_seconds() / 60 for reached in went_on]
            next_count = None if is_last else len(went_on)
            dropped = None if is_last else len(here) - len(went_on)
            found.append(
                {
                    "funnel_month": month,
                    "funnel_name": funnel,
                    "step_number": number,
                    "step_name": names[number],
                    "window_hours": hours,
                    "is_complete": begins_at(add_months(month, 1)) + window <= company.end,
                    "entered_count": len(tried),
                    "reached_count": len(here),
                    "reached_rate": share(len(here), len(tried)),
                    "next_count": next_count,
                    "conversion_rate": share(next_count, len(here)),
                    "dropped_count": dropped,
                    "drop_off_rate": share(dropped, len(here)),
                    "median_minutes_to_next": None if is_last else percentile(minutes, 0.5),
                }
            )
    return found


def abandonment_monthly(company: Company) -> list[Row]:
    ends = orders_placed(company)
    for event in company.subscription_events:
        if event["customer_id"] and event["event_kind"] == "started" and event["mrr_amount"] != 0:
            ends.setdefault(event["customer_id"], []).append((event["occurred_at"], None))
    found = []
    for kind in seed("abandonment_kinds"):
        months: dict[date, list[Row]] = defaultdict(list)
        for who, touches in grouped_by(company.touched(kind["event_name"]), "customer_id").items():
            orders = sorted(ends.get(who, []), key=lambda one: one[0])
            for row in started(company, touches, orders, kind["amount_basis"]):
                months[local_month(row["began"])].append(row)
        for month, rows in months.items():
            found.append(abandonment_of_month(company, month, kind["abandonment_kind"], rows))
    return found


def started(
    company: Company, touches: list[Row], orders: list[tuple[datetime, Row | None]], basis: str
) -> Iterator[Row]:
    runs: list[list[Row]] = []
    for touch in sorted(touches, key=lambda row: row["occurred_at"]):
        at, last = touch["occurred_at"], runs[-1][-1]["occurred_at"] if runs else datetime.min
        is_new = not runs or at - last >= ABANDONED_AFTER or any(last <= when < at for when, _ in orders)
        if is_new:
            runs.append([])
        runs[-1].append(touch)
    found = []
    for run in runs:
        last = run[-1]["occurred_at"]
        left_at = last + ABANDONED_AFTER
        if left_at > company.end:
            continue
        values = [cents(row["value"]) for row in run if row["value"] is not None]
        row: Row = {"began": run[0]["occurred_at"], "revenue": Decimal(0), "is_recovered": False}
        row["is_ordered"] = any(last <= at < left_at for at, _ in orders)
        row["amount"] = (sum(values, Decimal(0)) if basis == "sum" else max(values)) if values else None
        row["is_matured"] = left_at + RECOVERY <= company.end
        if not row["is_ordered"]:
            back = next(((at, order) for at, order in orders if left_at <= at < left_at + RECOVERY), None)
            row["is_recovered"] = back is not None
            if back is not None and back[1] is not None:
                row["recovering"] = back[1]
        found.append(row)
    by_last: dict[Any, Row] = {row["recovering"]["key"]: row for row in found if "recovering" in row}
    for row in by_last.values():
        row["revenue"] = row["recovering"]["gross"] - row["recovering"]["off"]
    yield from found


def abandonment_of_month(company: Company, month: date, kind: str, rows: list[Row]) -> Row:
    left = [row for row in rows if not row["is_ordered"]]
    matured = [row for row in left if row["is_matured"]]
    valued = [row["amount"] for row in left if row["amount"] is not None]
    recovered = sum(row["is_recovered"] for row in matured)
    return {
        "abandonment_month": month,
        "abandonment_kind": kind,
        "is_complete": begins_at(add_months(month, 1)) + ABANDONED_AFTER + RECOVERY <= company.end,
        "started_count": len(rows),
        "ordered_count": len(rows) - len(left),
        "abandoned_count": len(left),
        "abandonment_rate": share(len(left), len(rows)),
        "currency": CURRENCY,
        "abandoned_with_amount_count": len(valued),
        "abandoned_amount": sum(valued, Decimal(0)),
        "matured_abandoned_count": len(matured),
        "recovered_count": recovered,
        "recovery_rate": share(recovered, len(matured)),
        "recovered_revenue_amount": sum_of(matured, "revenue"),
    }
