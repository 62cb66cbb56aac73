"""When people buy, and for how much.

Belongs here: the BG/NBD process of repeat purchases (Fader, Hardie and Lee 2005, "Counting Your Customers the Easy
Way") and the Gamma-Gamma model of what they spend (Fader and Hardie 2013, "The Gamma-Gamma Model of Monetary Value"),
drawn for many people at once.
Does not belong here: orders with their lines, channels and states.

The process is drawn as it will be observed. A person's clock starts on the day of their first purchase; repeat
purchases come in continuous time and are cut where that clock would pass the last day of the window; only then each is
put on the nearest whole day, and on the next free one when that day has an order already. So no two orders of a person
share a day, nothing is lost by counting days, and a gap of whole days is the true gap but for a rounding error whose
mean is nearly zero: the likelihood of (repeat days, days to the last, days to the end) recovers the parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lifecycle.synthetic.calendar import Calendar


@dataclass(frozen=True)
class PurchaseModel:
    """BG/NBD: the daily rate of a person is Gamma(r, rate alpha), the chance to leave after a repeat is Beta(a, b)."""

    r: float
    alpha: float
    a: float
    b: float


@dataclass(frozen=True)
class SpendModel:
    """Gamma-Gamma: an order is Gamma(p, rate v), a person's v Gamma(q, rate gamma); the mean is p gamma / (q - 1)."""

    p: float
    q: float
    gamma: float


@dataclass
class Purchases:
    """Repeat purchases: ``buyer`` (position) and ``day`` of each, in order of buyer and day; and what is latent."""

    buyer: NDArray[np.int64]
    day: NDArray[np.int64]
    daily_rate: NDArray[np.float64]
    leaving_chance: NDArray[np.float64]
    left_day: NDArray[np.int64]
    """The day of the purchase after which a person left for good; -1 for those who have not."""


def draw_purchases(
    random: np.random.Generator, first_day: NDArray[np.int64], model: PurchaseModel, calendar: Calendar
) -> Purchases:
    """Repeat purchases of people who buy first on ``first_day``, to the end of the window. One round per repeat."""
    import numpy as np

    count = len(first_day)
    daily_rate = np.maximum(random.gamma(model.r, 1 / model.alpha, count), 1e-12)
    leaving_chance = random.beta(model.a, model.b, count)
    left_day = np.full(count, -1, dtype=np.int64)
    last_day = calendar.day_count - 1
    end = calendar.operational(np.array([last_day]))[0]
    time, day = calendar.operational(first_day), first_day.copy()
    active = np.arange(count)
    buyers, days = [], []
    while active.size:
        time[active] += random.exponential(1 / daily_rate[active])
        active = active[time[active] <= end]
        bought = np.maximum(np.rint(calendar.real(time[active])).astype(np.int64), day[active] + 1)
        active, bought = active[bought <= last_day], bought[bought <= last_day]
        day[active] = bought
        buyers.append(active)
        days.append(bought)
        has_left = random.random(active.size) < leaving_chance[active]
        left_day[active[has_left]] = bought[has_left]
        active = active[~has_left]
    buyer, when = np.concatenate([*buyers, np.empty(0, np.int64)]), np.concatenate([*days, np.empty(0, np.int64)])
    order = np.lexsort((when, buyer))
    return Purchases(buyer[order], when[order], daily_rate, leaving_chance, left_day)


def draw_spend_rates(random: np.random.Generator, count: int, model: SpendModel) -> NDArray[np.float64]:
    """The latent v of each person; p / v is what an order of theirs is worth on average."""
    return random.gamma(model.q, 1 / model.gamma, count)


def draw_order_cents(
    random: np.random.Generator, spend_rate: NDArray[np.float64], model: SpendModel
) -> NDArray[np.int64]:
    """What each order is worth before tax and shipping, in cents, given its buyer's v; at least one unit of money."""
    import numpy as np

    return np.maximum(np.rint(random.gamma(model.p, 1 / spend_rate) * 100), 100).astype(np.int64)
