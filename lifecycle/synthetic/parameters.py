"""Every figure that a demo company is made of.

Belongs here: what a profile is (its processes, shares and rates) and the arguments of the generator, with their checks.
``docs/demo-company.md`` says where each figure comes from; those that nobody measured are called invented there.
Does not belong here: drawing anything.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from lifecycle.errors import LifecycleError
from lifecycle.synthetic.purchases import PurchaseModel, SpendModel

GENERATOR_VERSION = 1
"""Raised when the same arguments give other bytes."""

DEFAULT_END = date(2025, 12, 31)
FIRST_END, LAST_END = date(2000, 1, 1), date(2099, 12, 31)

BLOCK_PEOPLE = 20_000
"""People drawn at a time. It is part of what a seed means: another size would draw other people."""

FEWEST_CUSTOMERS, MOST_CUSTOMERS = 50, 5_000_000
FEWEST_DAYS, MOST_DAYS = 90, 3650

STAR_SHARES = {5: 0.578, 4: 0.193, 3: 0.082, 2: 0.032, 1: 0.115}
"""Stars of ratings and CSAT: the J shape of product reviews."""

EMAIL_OPEN_RATE, EMAIL_CLICK_RATE, EMAIL_UNSUBSCRIBE_RATE = 0.157, 0.020, 0.0027
"""Per delivered email, by people; machine opens come on top."""

EMAIL_BOUNCE_RATE, EMAIL_COMPLAINT_RATE, MACHINE_OPEN_RATE = 0.012, 0.0003, 0.35

PAYMENT_ABANDON_SHARE = 0.40
"""Of checkouts that reach the payment page, those that end there."""

JUNK_EMAIL, JUNK_PHONE = "test@test.com", "0000000000"


@dataclass(frozen=True)
class Channel:
    """A way in: the chance that a person is touched by it before buying, and what a touch adds to the chance to buy."""

    name: str
    touch_rate: float
    weight: float
    cost_per_touch: float
    """Spend per person touched, in whole currency; 0 for channels that nobody pays."""


CHANNELS = (
    Channel("paid_search", 0.30, 0.22, 1.9),
    Channel("paid_social", 0.26, 0.12, 1.4),
    Channel("display", 0.22, 0.04, 0.7),
    Channel("affiliate", 0.10, 0.16, 2.4),
    Channel("organic", 0.34, 0.15, 0.0),
    Channel("referral", 0.07, 0.28, 0.0),
)
"""All figures invented; the weights are what attribution is judged against."""


@dataclass(frozen=True)
class Plan:
    name: str
    monthly_cents: int


@dataclass(frozen=True)
class SubscriptionModel:
    """Subscriptions: the chance to end in a paid month is Beta(churn_a, churn_b) per person (Fader and Hardie 2007)."""

    subscriber_share: float
    trial_days: int
    trial_conversion: float
    churn_a: float
    churn_b: float
    plans: tuple[Plan, ...]
    yearly_share: float
    uses_per_month: float
    """Feature uses of a subscriber in 28 days; half of it in the 56 days before a cancellation."""
    features: tuple[str, ...] = ()
    key_features: tuple[str, ...] = ()


@dataclass(frozen=True)
class Profile:
    name: str
    purchase: PurchaseModel
    spend: SpendModel
    buyer_share: float
    """People who buy in the window."""
    visitor_share: float
    """People known by a cookie alone."""
    store_share: float
    """Of buyers, those who mostly buy in stores."""
    app_share: float
    """Of visits, those in the app."""
    ticket_rate: float
    """Tickets of a buyer in a year, while not about to leave."""
    categories: tuple[tuple[str, tuple[str, ...]], ...]
    """Top level and the levels below it."""
    cheapest_cents: int
    dearest_cents: int
    subscription: SubscriptionModel
    personas: tuple[str, ...]
    order_gap_days: int
    """What lifecycle.yml gives as the usual gap between orders, and the loyalty and value thresholds that fit."""
    loyal_orders: int
    high_value: int


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            name="retail",
            purchase=PurchaseModel(r=0.9, alpha=55.0, a=0.7, b=2.6),
            spend=SpendModel(p=6.0, q=4.0, gamma=30.0),
            buyer_share=0.68,
            visitor_share=0.12,
            store_share=0.35,
            app_share=0.25,
            ticket_rate=0.45,
            categories=(
                ("Home", ("Kitchen", "Bedding", "Lighting")),
                ("Garden", ("Tools", "Plants", "Furniture")),
                ("Clothing", ("Women", "Men", "Children")),
                ("Outdoor", ("Camping", "Cycling", "Running")),
            ),
            cheapest_cents=250,
            dearest_cents=60_000,
            subscription=SubscriptionModel(
                subscriber_share=0.08,
                trial_days=0,
                trial_conversion=1.0,
                churn_a=0.7,
                churn_b=14.0,
                plans=(Plan("club", 499), Plan("club_plus", 999)),
                yearly_share=0.4,
                uses_per_month=0.0,
            ),
            personas=("family", "young_professional", "retired", "small_business"),
            order_gap_days=38,
            loyal_orders=7,
            high_value=250,
        ),
        Profile(
            name="platform",
            purchase=PurchaseModel(r=0.6, alpha=110.0, a=0.6, b=2.4),
            spend=SpendModel(p=5.0, q=4.0, gamma=24.0),
            buyer_share=0.45,
            visitor_share=0.20,
            store_share=0.0,
            app_share=0.40,
            ticket_rate=0.9,
            categories=(
                ("Add-ons", ("Storage", "Reports", "Automation")),
                ("Training", ("Courses", "Workshops")),
                ("Services", ("Set-up", "Migration")),
            ),
            cheapest_cents=500,
            dearest_cents=90_000,
            subscription=SubscriptionModel(
                subscriber_share=0.70,
                trial_days=14,
                trial_conversion=0.42,
                churn_a=0.8,
                churn_b=16.0,
                plans=(Plan("starter", 1900), Plan("team", 4900), Plan("business", 9900)),
                yearly_share=0.25,
                uses_per_month=5.0,
                features=("dashboard", "import_data", "share_report", "automation", "api", "comments"),
                key_features=("import_data", "share_report", "automation"),
            ),
            personas=("freelancer", "agency", "small_business", "enterprise_team"),
            order_gap_days=60,
            loyal_orders=8,
            high_value=600,
        ),
        Profile(
            name="streaming",
            purchase=PurchaseModel(r=0.7, alpha=90.0, a=0.8, b=2.2),
            spend=SpendModel(p=7.0, q=5.0, gamma=7.0),
            buyer_share=0.40,
            visitor_share=0.15,
            store_share=0.0,
            app_share=0.60,
            ticket_rate=0.35,
            categories=(
                ("Rentals", ("Film", "Concert", "Sport")),
                ("Merchandise", ("Posters", "Clothing")),
            ),
            cheapest_cents=200,
            dearest_cents=9_000,
            subscription=SubscriptionModel(
                subscriber_share=0.85,
                trial_days=30,
                trial_conversion=0.60,
                churn_a=0.9,
                churn_b=13.0,
                plans=(Plan("basic", 799), Plan("standard", 1299), Plan("premium", 1799)),
                yearly_share=0.10,
                uses_per_month=7.0,
                features=("watch_film", "watch_series", "watch_live", "download", "profile_created"),
                key_features=("watch_series", "download"),
            ),
            personas=("family", "student", "film_lover", "sports_fan"),
            order_gap_days=31,
            loyal_orders=8,
            high_value=120,
        ),
    )
}


@dataclass(frozen=True)
class Arguments:
    """What a person asked for. Raises LifecycleError for what cannot be made."""

    customers: int
    days: int
    seed: int
    profile: str
    out: Path
    end: date = DEFAULT_END
    has_seasons: bool = True
    has_campaigns: bool = True
    is_forced: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        for name, number, least, most in (
            ("--customers", self.customers, FEWEST_CUSTOMERS, MOST_CUSTOMERS),
            ("--days", self.days, FEWEST_DAYS, MOST_DAYS),
            ("--seed", self.seed, 0, 2**32 - 1),
        ):
            if not least <= number <= most:
                raise LifecycleError(
                    f"{number:,} is outside what can be generated",
                    where=name,
                    remedy=f"Give a number from {least:,} to {most:,}.",
                )
        if self.profile not in PROFILES:
            raise LifecycleError(
                f"there is no profile '{self.profile}'", where="--profile", remedy=f"Known: {', '.join(PROFILES)}."
            )

        if not FIRST_END <= self.end <= LAST_END:
            raise LifecycleError(
                f"{self.end} is no day that a history can end on",
                where="--end",
                remedy=f"Give a day from {FIRST_END} to {LAST_END}.",
            )

    @property
    def settings(self) -> Profile:
        return PROFILES[self.profile]

    @property
    def block_count(self) -> int:
        return -(-self.customers // BLOCK_PEOPLE)

    @property
    def junk_count(self) -> int:
        """Records that carry the junk identifier: 1.5 % of the people, at least 30 in a company of 1,000 or more."""
        return max(30 if self.customers >= 1000 else 5, round(0.015 * self.customers))

    def described(self) -> dict[str, Any]:
        """What decides the bytes, as plain values."""
        return {
            "generator_version": GENERATOR_VERSION,
            "customers": self.customers,
            "days": self.days,
            "seed": self.seed,
            "profile": self.profile,
            "end": self.end.isoformat(),
            "seasonality": self.has_seasons,
            "campaigns": self.has_campaigns,
        }

    def parameters(self) -> dict[str, Any]:
        """Every parameter that was put in."""
        return {
            "arguments": self.described(),
            "profile": asdict(self.settings),
            "channels": [asdict(channel) for channel in CHANNELS],
            "star_shares": {str(star): share for star, share in STAR_SHARES.items()},
            "email_rates": {
                "open": EMAIL_OPEN_RATE,
                "click": EMAIL_CLICK_RATE,
                "unsubscribe": EMAIL_UNSUBSCRIBE_RATE,
                "bounce_of_sent": EMAIL_BOUNCE_RATE,
                "complaint": EMAIL_COMPLAINT_RATE,
                "machine_open": MACHINE_OPEN_RATE,
            },
            "payment_abandon_share": PAYMENT_ABANDON_SHARE,
            "junk_identifiers": {"email": JUNK_EMAIL, "phone": JUNK_PHONE, "records": self.junk_count},
        }
