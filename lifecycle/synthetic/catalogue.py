"""What a company sells, offers and spends: everything that belongs to no person.

Belongs here: products, offers, campaigns as records, and the days' marketing spend with its later corrections.
Does not belong here: who bought or got what.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from lifecycle.synthetic import columns as c
from lifecycle.synthetic.columns import DAY_SECONDS
from lifecycle.synthetic.parameters import CHANNELS, Arguments, Profile
from lifecycle.synthetic.randomness import stream
from lifecycle.synthetic.rows import Rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lifecycle.synthetic.calendar import Calendar
    from lifecycle.synthetic.campaigns import Campaign

PRICE_POINTS = 40
"""Products of a category: one per price, each a constant factor dearer than the one before."""

QUALITIES = ("Basic", "Classic", "Compact", "Everyday", "Premium", "Pro", "Soft", "Solid")


@dataclass(frozen=True)
class Offer:
    offer_id: str
    kind: str
    percent: int
    code: str


OFFERS = (
    Offer("off_10", "percent", 10, "SAVE10"),
    Offer("off_20", "percent", 20, "SAVE20"),
    Offer("off_15", "percent", 15, "HELLO15"),
    Offer("off_back", "percent", 25, "COMEBACK25"),
)


@dataclass(frozen=True)
class Catalogue:
    """Products by category and price: number = category × PRICE_POINTS + position of the price."""

    profile: Profile

    @cached_property
    def groups(self) -> list[tuple[int, str]]:
        """Position of the top level, and the whole path, of every category."""
        return [
            (top, f"{name} > {inner}") for top, (name, below) in enumerate(self.profile.categories) for inner in below
        ]

    @cached_property
    def price_cents(self) -> NDArray[np.int64]:
        import numpy as np

        prices = np.geomspace(self.profile.cheapest_cents, self.profile.dearest_cents, PRICE_POINTS)
        # Prices end in 9, as prices do.
        return (np.rint(prices / 10) * 10 - 1).astype(np.int64)

    @property
    def cost_cents(self) -> NDArray[np.int64]:
        """Unit cost by price position: between 44 and 62 per cent of the price."""
        import numpy as np

        return np.rint(self.price_cents * np.linspace(0.62, 0.44, PRICE_POINTS)).astype(np.int64)

    def ids(self, product: NDArray[np.int64], present: NDArray[np.bool_] | None = None) -> object:
        names = [f"P{number:04d}" for number in range(len(self.groups) * PRICE_POINTS)]
        return c.chosen(names, product, present)

    def draw_categories(self, random: np.random.Generator, favourite: NDArray[np.int64]) -> NDArray[np.int64]:
        """A category for each: within the favourite top level for 60 %, else anywhere."""
        import numpy as np

        tops = np.array([top for top, _ in self.groups])
        sizes = np.bincount(tops)
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        inside = starts[favourite] + (random.random(len(favourite)) * sizes[favourite]).astype(np.int64)
        anywhere = random.integers(0, len(self.groups), len(favourite))
        return np.where(random.random(len(favourite)) < 0.6, inside, anywhere)

    def nearest_price(self, cents: NDArray[np.float64]) -> NDArray[np.int64]:
        """Position of the price that is nearest by ratio."""
        import numpy as np

        middles = np.sqrt(self.price_cents[:-1].astype(float) * self.price_cents[1:])
        return np.searchsorted(middles, cents)

    def product_rows(self) -> Rows:
        import numpy as np

        group = np.repeat(np.arange(len(self.groups)), PRICE_POINTS)
        price = np.tile(np.arange(PRICE_POINTS), len(self.groups))
        paths = [path for _, path in self.groups]
        names = [
            f"{QUALITIES[(one + two) % len(QUALITIES)]} {paths[one].rpartition(' > ')[2]} {two + 1}"
            for one, two in zip(group.tolist(), price.tolist(), strict=True)
        ]
        features = self.profile.subscription.features
        count, extra = len(group), len(features)
        key = np.array([False] * count + [name in self.profile.subscription.key_features for name in features])
        is_goods = np.arange(count + extra) < count
        prices = np.concatenate([self.price_cents[price], np.zeros(extra, int)])
        costs = np.concatenate([self.cost_cents[price], np.zeros(extra, int)])
        ids = [f"P{number:04d}" for number in range(count)] + list(features)
        return Rows(
            "shop",
            "products",
            {
                "product_id": c.chosen(ids, np.arange(count + extra)),
                "product_name": c.chosen(
                    names + [name.replace("_", " ").capitalize() for name in features], np.arange(count + extra)
                ),
                "category": c.chosen([*paths, "Features"], np.concatenate([group, np.full(extra, len(paths))])),
                "brand": c.chosen(("house", "north", "lumen"), np.arange(count + extra) % 3),
                "unit_cost_amount": c.money(costs, is_goods),
                "list_price_amount": c.money(prices, is_goods),
                "currency": c.chosen(("USD",), np.where(is_goods, 0, -1)),
                "is_key_feature": c.flags(key),
            },
        )


def offer_rows(calendar: Calendar) -> Rows:
    import numpy as np

    count = len(OFFERS)
    starts = np.full(count, calendar.start_second)
    return Rows(
        "shop",
        "offers",
        {
            "offer_id": c.chosen([offer.offer_id for offer in OFFERS], np.arange(count)),
            "offer_kind": c.chosen([offer.kind for offer in OFFERS], np.arange(count)),
            "value": c.money(np.array([offer.percent * 100 for offer in OFFERS])),
            "code": c.chosen([offer.code for offer in OFFERS], np.arange(count)),
            "started_at": c.moments(starts),
            "ended_at": c.moments(starts + calendar.day_count * DAY_SECONDS, np.arange(count) == 2),
            "minimum_margin_rate": c.money(np.array([20, 15, 20, 10])),
        },
    )


PAID = tuple(channel for channel in CHANNELS if channel.cost_per_touch)


def ad_campaign_id(channel: int, quarter: int) -> str:
    return f"ad_{PAID[channel].name}_{quarter:02d}"


def ad_campaign_ids(calendar: Calendar) -> list[str]:
    """Ids of the ads' campaigns: channel by channel, a campaign per 90 days."""
    return [ad_campaign_id(channel, quarter) for channel in range(len(PAID)) for quarter in range(_quarters(calendar))]


def _quarters(calendar: Calendar) -> int:
    return -(-calendar.day_count // 90)


def ad_campaign_of(calendar: Calendar, channel: NDArray[np.int64], day: NDArray[np.int64]) -> NDArray[np.int64]:
    """Position in ``ad_campaign_ids`` of a paid channel on a day."""
    import numpy as np

    return channel * _quarters(calendar) + np.clip(day, 0, calendar.day_count - 1) // 90


def campaign_rows(calendar: Calendar, campaigns: list[Campaign]) -> list[Rows]:
    """Campaigns of the email tool and of the ads."""
    import numpy as np

    starts = np.array([campaign.start_day for campaign in campaigns], dtype=np.int64)
    ends = starts + np.array([campaign.days for campaign in campaigns], dtype=np.int64)
    along = np.arange(len(campaigns))
    costs = np.array([15_000 if campaign.approach == "newsletter" else 40_000 for campaign in campaigns])
    emails = Rows(
        "email",
        "campaigns",
        {
            "campaign_id": c.chosen([campaign.campaign_id for campaign in campaigns], along),
            "campaign_name": c.chosen([campaign.name for campaign in campaigns], along),
            "channel": c.constant("email", len(campaigns)),
            "purpose": c.chosen([campaign.purpose for campaign in campaigns], along),
            "started_at": c.moments(calendar.start_second + starts * DAY_SECONDS),
            "ended_at": c.moments(calendar.start_second + ends * DAY_SECONDS),
            "cost_amount": c.money(costs),
            "currency": c.constant("USD", len(campaigns)),
        },
    )
    ids = ad_campaign_ids(calendar)
    quarter = np.tile(np.arange(_quarters(calendar)), len(PAID))
    channel = np.repeat(np.arange(len(PAID)), _quarters(calendar))
    begins = calendar.start_second + quarter * 90 * DAY_SECONDS
    ads = Rows(
        "ads",
        "campaigns",
        {
            "campaign_id": c.chosen(ids, np.arange(len(ids))),
            "campaign_name": c.chosen(
                [
                    f"{PAID[one].name.replace('_', ' ').capitalize()} {two + 1}"
                    for one, two in zip(channel.tolist(), quarter.tolist(), strict=True)
                ],
                np.arange(len(ids)),
            ),
            "channel": c.chosen([one.name for one in PAID], channel),
            "purpose": c.constant("acquire", len(ids)),
            "started_at": c.moments(begins),
            "ended_at": c.moments(np.minimum(begins + 90 * DAY_SECONDS, calendar.end_second)),
        },
    )
    return [emails, ads]


def spend_rows(arguments: Arguments, calendar: Calendar) -> list[Rows]:
    """Spend per day and paid channel, the email tool's monthly fee, and corrections of 4 % of the days a week later."""
    import numpy as np

    random = stream(arguments.seed, "spend")
    days, channels = calendar.day_count, len(PAID)
    day = np.tile(np.arange(days), channels)
    channel = np.repeat(np.arange(channels), days)
    touches = arguments.customers * np.array([one.touch_rate for one in PAID]) / days
    costs = np.array([one.cost_per_touch for one in PAID])
    clicks = random.poisson(touches[channel])
    cents = np.rint(touches[channel] * costs[channel] * random.lognormal(0, 0.25, len(day)) * 100).astype(np.int64)
    ids, names = ad_campaign_ids(calendar), [one.name for one in PAID]
    known_at = calendar.start_second + (day + 1) * DAY_SECONDS + 4 * 3600

    def rows(of: NDArray[np.int64], amount: NDArray[np.int64], later: int) -> Rows:
        return Rows(
            "ads",
            "marketing_spend",
            {
                "spend_date": c.dates(calendar.start_number + day[of]),
                "channel": c.chosen(names, channel[of]),
                "spend_amount": c.money(amount),
                "currency": c.constant("USD", len(of)),
                "campaign_id": c.chosen(ids, ad_campaign_of(calendar, channel[of], day[of])),
                "spend_purpose": c.constant("acquire", len(of)),
                "impressions": c.integers(clicks[of] * 40 + 7),
                "clicks": c.integers(clicks[of]),
                "updated_at": c.moments(known_at[of] + later * DAY_SECONDS),
            },
            month=np.full(len(of), 1 if later else 0),
        )

    corrected = np.flatnonzero(random.random(len(day)) < 0.04)
    fee_days = np.array([(month - calendar.start).days for month in calendar.months[1:]], dtype=np.int64)
    fees = Rows(
        "email",
        "marketing_spend",
        {
            "spend_date": c.dates(calendar.start_number + fee_days),
            "channel": c.constant("email", len(fee_days)),
            "spend_amount": c.money(np.full(len(fee_days), 9_900 + arguments.customers)),
            "currency": c.constant("USD", len(fee_days)),
            "spend_purpose": c.constant("retain", len(fee_days)),
        },
    )
    return [
        rows(np.arange(len(day)), cents, 0),
        rows(corrected, np.rint(cents[corrected] * 0.93).astype(np.int64), 7),
        fees,
    ]
