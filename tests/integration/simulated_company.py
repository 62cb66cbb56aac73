"""Companies whose customers' rhythm is known, published without a run.

Everybody arrives at some day of the history, buys, and comes back after gaps drawn from a distribution that the test
knows; some never come back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lifecycle.serving.publication import build_publication
from lifecycle.settings import LifecycleThresholds, Settings
from tests.integration.small_build import AS_OF, NOW, build, opened, settings_of

END = datetime(2024, 4, 1)
"""The first moment after the last day, in the UTC of these companies."""

Gaps = Callable[[np.random.Generator, int], np.ndarray]


def gamma(mean: float, shape: float = 2.0) -> Gaps:
    return lambda rng, count: rng.gamma(shape, mean / shape, count)


def around(mean: float, spread: float) -> Gaps:
    return lambda rng, count: np.maximum(1, rng.normal(mean, spread, count))


@dataclass(frozen=True)
class Group:
    """People of one rhythm: how many, their gaps, the share who buy once, and what they buy first."""

    people: int
    gaps: Gaps
    once: float = 0.3
    persona: str | None = None
    category: str | None = None
    amount: float = 50.0
    is_subscribed: bool = False


@dataclass(frozen=True)
class Order:
    customer_id: str
    order_id: str
    ordered_at: datetime
    amount: float
    category: str | None


def simulate(groups: Sequence[Group], *, days: int, seed: int = 1) -> tuple[list[dict[str, Any]], list[Order]]:
    """Rows of people, and all orders up to the end."""
    rng = np.random.default_rng(seed)
    people: list[dict[str, Any]] = []
    orders: list[Order] = []
    for group in groups:
        for _ in range(group.people):
            customer = f"c_{len(people):05}"
            at = END - timedelta(days=float(rng.uniform(0, days)))
            moments = [at]
            if rng.random() >= group.once:
                for gap in group.gaps(rng, 400):
                    at += timedelta(days=float(gap))
                    if at >= END:
                        break
                    moments.append(at)
            brought = 0.0
            for number, moment in enumerate(moments):
                amount = round(float(group.amount * rng.lognormal(0, 0.5)), 2)
                brought += amount
                orders.append(Order(customer, f"{customer}-{number}", moment, amount, group.category))
            people.append(
                {
                    "customer_id": customer,
                    "account_key": None,
                    "persona": group.persona,
                    "net_revenue_amount": brought,
                    "is_subscribed": group.is_subscribed,
                    "subscription_count": int(group.is_subscribed),
                    "account_closed_at": None,
                    "is_test": False,
                    "is_employee": False,
                }
            )
    return people, orders


def true_median(gaps: Gaps) -> float:
    """The half of the first gaps when everybody is waited for."""
    return float(np.median(gaps(np.random.default_rng(99), 50_000)))


def publish(
    folder: Path,
    people: list[dict[str, Any]],
    orders: Sequence[Order],
    events: Sequence[dict[str, Any]] = (),
    **changes: Any,
) -> Settings:
    """Publish the people and what they did; ``events`` are further rows of the timeline."""
    settings = settings_of(folder, **changes)
    with opened(settings) as warehouse:
        build(warehouse)
        warehouse.write("marts.customer_360", pa.Table.from_pylist(people, _PEOPLE))
        placed = [
            {
                "customer_id": order.customer_id,
                "event_id": f"order:shop:{order.order_id}",
                "occurred_at": order.ordered_at,
                "event_name": "order_placed",
                "source_system": "shop",
                "order_id": order.order_id,
                "amount": order.amount,
            }
            for order in orders
        ]
        warehouse.write("marts.customer_timeline", pa.Table.from_pylist([*placed, *events], _TIMELINE))
        _write_lines(warehouse, orders)
        build_publication(warehouse, settings, run_id="run-1", as_of=AS_OF, published_at=NOW)
    return settings


def _write_lines(warehouse: Any, orders: Sequence[Order]) -> None:
    lines = [
        {"source_system": "shop", "order_id": order.order_id, "category": order.category, "line_amount": order.amount}
        for order in orders
    ]
    shape = pa.schema(
        {"source_system": pa.string(), "order_id": pa.string(), "category": pa.string(), "line_amount": pa.float64()}
    )
    warehouse.write("intermediate.simulated_lines", pa.Table.from_pylist(lines, shape))
    warehouse.create_as(
        "intermediate.int_order_lines",
        "select *, 0.0 as discount_amount, false as is_return, false as is_zero from intermediate.simulated_lines",
    )
    warehouse.create_as(
        "intermediate.int_order_amounts",
        "select source_system, order_id, 1.0 as exchange_rate from intermediate.simulated_lines",
    )
    warehouse.create_as(
        "intermediate.int_orders",
        "select source_system, order_id, line_amount as gross_revenue_amount, 0.0 as discount_amount,"
        " true as is_paid, true as is_counted from intermediate.simulated_lines",
    )


def thresholds(**given: Any) -> LifecycleThresholds:
    return LifecycleThresholds.model_validate(given)


_PEOPLE = pa.schema(
    {
        "customer_id": pa.string(),
        "account_key": pa.string(),
        "persona": pa.string(),
        "net_revenue_amount": pa.float64(),
        "is_subscribed": pa.bool_(),
        "subscription_count": pa.int64(),
        "account_closed_at": pa.timestamp("us"),
        "is_test": pa.bool_(),
        "is_employee": pa.bool_(),
    }
)
_TIMELINE = pa.schema(
    {
        "customer_id": pa.string(),
        "event_id": pa.string(),
        "occurred_at": pa.timestamp("us"),
        "event_name": pa.string(),
        "source_system": pa.string(),
        "order_id": pa.string(),
        "amount": pa.float64(),
    }
)
