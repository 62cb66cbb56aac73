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
        return [row | {"event_name": translation[row["event_name"]]} for row in found]

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
