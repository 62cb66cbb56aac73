"""What people did on the website, in the app and after seeing an ad.

Belongs here: sessions with their events, checkouts that end at the payment page, cookies (shared ones too), sign-ups,
ad touches, parcels on their way.
Does not belong here: the orders themselves (``orders.py``) and emails (``messages.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lifecycle.synthetic import columns as c
from lifecycle.synthetic import vocabulary as words
from lifecycle.synthetic.catalogue import PAID, PRICE_POINTS, ad_campaign_ids, ad_campaign_of
from lifecycle.synthetic.columns import DAY_SECONDS
from lifecycle.synthetic.orders import APP
from lifecycle.synthetic.parameters import CHANNELS, PAYMENT_ABANDON_SHARE
from lifecycle.synthetic.people import BUYER, PROSPECT_DAYS, VISITOR
from lifecycle.synthetic.randomness import spread, stream
from lifecycle.synthetic.rows import Rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lifecycle.synthetic.accounts import Accounts
    from lifecycle.synthetic.calendar import Calendar, Clocks
    from lifecycle.synthetic.catalogue import Catalogue
    from lifecycle.synthetic.orders import Orders
    from lifecycle.synthetic.parameters import Arguments
    from lifecycle.synthetic.people import People

TRACKED_SHARE = 0.75
"""Of online orders, those whose visit the tracker saw; blockers hide the others."""

SCRIPTS: dict[str, tuple[tuple[str, float], ...]] = {
    "order": (
        ("page_viewed", 0.5), ("product_viewed", 1.0), ("product_viewed", 0.3), ("product_added", 1.0),
        ("coupon_redeemed", 0.1), ("checkout_started", 1.0), ("payment_step", 1.0), ("order_placed", 1.0),
    ),
    "payment_left": (
        ("product_viewed", 1.0), ("product_added", 1.0), ("checkout_started", 1.0), ("payment_step", 1.0),
    ),
    "cart_left": (("product_viewed", 1.0), ("product_added", 1.0), ("product_removed", 0.25)),
    "browse": (
        ("page_viewed", 0.6), ("product_searched", 0.25), ("product_viewed", 0.75), ("comparison_viewed", 0.1),
        ("review_read", 0.2), ("pricing_viewed", 0.12), ("wishlist_added", 0.08),
    ),
    "help": (("help_viewed", 1.0), ("bot_session", 0.3)),
    "sign_up": (("page_viewed", 0.7), ("signed_up", 1.0)),
    "newsletter_form": (("page_viewed", 1.0),),
    "social": (
        ("social_interaction", 0.4), ("content_shared", 0.3), ("contest_entered", 0.15), ("event_attended", 0.15),
        ("referral_sent", 0.2),
    ),
}  # fmt: skip
"""Kind of session: its events in order, each with the chance that it happens. Invented."""

KINDS = tuple(SCRIPTS)
EVENTS = tuple(dict.fromkeys(name for script in SCRIPTS.values() for name, _ in script))

WEB_NAMES = {
    "page_viewed": "Page", "product_viewed": "Product Viewed", "product_added": "Product Added",
    "checkout_started": "Checkout Started", "payment_step": "Payment Info Entered", "order_placed": "Order Completed",
    "product_searched": "Products Searched", "coupon_redeemed": "Coupon Applied", "signed_up": "Account Created",
    "product_removed": "Product Removed", "wishlist_added": "Product Added to Wishlist", "content_shared": "share",
}  # fmt: skip
APP_NAMES = {
    "page_viewed": "screen", "product_viewed": "view_item", "product_added": "add_to_cart",
    "checkout_started": "begin_checkout", "payment_step": "add_payment_info", "order_placed": "purchase",
    "product_searched": "search", "product_removed": "remove_from_cart", "wishlist_added": "add_to_wishlist",
    "signed_up": "sign_up", "content_shared": "share",
}  # fmt: skip
"""The names of two vendors: what seeds/touchpoint_aliases.csv maps."""

KIOSK_SHARE, TABLET_SHARE = 0.004, 0.10
"""Of sessions, those on a kiosk in a store; of sessions of further household members, those on the family's tablet."""

MEDIA = ("free", "paid")

IDS_PER_BLOCK = 10_000_000


@dataclass
class Sessions:
    kind: NDArray[np.int64]
    person: NDArray[np.int64]
    start: NDArray[np.int64]
    order: NDArray[np.int64]
    """Position of the order that it ends with; -1 for none."""
    is_app: NDArray[np.bool_]


def draw_sessions(
    arguments: Arguments,
    calendar: Calendar,
    clocks: Clocks,
    people: People,
    accounts: Accounts,
    orders: Orders,
    gone_day: NDArray[np.int64],
    block: int,
) -> Sessions:
    """Every session of a block. People come until they are gone (``gone_day``), and a little before they first buy."""
    import numpy as np

    random = stream(arguments.seed, "sessions", block)
    count = len(people)
    parts: list[tuple[int, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]] = []

    def add(
        kind: str, person: NDArray[np.int64], start: NDArray[np.int64], order: NDArray[np.int64] | None = None
    ) -> None:
        parts.append((KINDS.index(kind), person, start, np.full(len(person), -1) if order is None else order))

    tracked = np.flatnonzero(orders.is_online & (random.random(len(orders)) < TRACKED_SHARE))
    add("order", orders.person[tracked], orders.moment[tracked] - 900, tracked)
    # As many checkouts end at the payment page as the share says: half of them by people who come back and buy.
    abandoned = (
        random.binomial(len(tracked), PAYMENT_ABANDON_SHARE / (1 - PAYMENT_ABANDON_SHARE)) if len(tracked) else 0
    )
    returning = tracked[random.integers(0, len(tracked), abandoned // 2)] if abandoned else tracked[:0]
    hours = random.uniform(2, 140, len(returning))
    add("payment_left", orders.person[returning], orders.moment[returning] - (hours * 3600).astype(np.int64))
    first_day = np.maximum(people.arrived - random.integers(0, PROSPECT_DAYS, count), 0)
    last_day = np.where(
        people.kind == BUYER, gone_day, people.arrived + random.exponential(40.0, count).astype(np.int64)
    )
    last_day = np.clip(last_day, people.arrived, calendar.day_count - 1)

    def scattered(person: NDArray[np.int64]) -> NDArray[np.int64]:
        span = (last_day - first_day)[person] + 1
        day = first_day[person] + (random.random(len(person)) * span).astype(np.int64)
        return clocks.daytime(random, day, people.zone[person])

    known = np.flatnonzero(people.kind != VISITOR)
    others = known[random.integers(0, len(known), abandoned - len(returning))] if len(known) else known
    add("payment_left", others, scattered(others))
    is_buyer = people.kind == BUYER
    years = (last_day - first_day + 1) / 365
    for kind, rate in (
        ("cart_left", np.where(people.kind == VISITOR, 0.1, 0.35) * np.minimum(years + 0.2, 1.2)),
        ("browse", np.where(is_buyer, 1.8 * years, 0.8) * np.where(people.is_frequent_visitor, 2.2, 0.6)),
        ("help", np.where(is_buyer, 0.25, 0.08) * np.minimum(years + 0.1, 2.0)),
        ("social", np.where(is_buyer, 0.15, 0.05) * np.minimum(years + 0.1, 2.0)),
    ):
        person = np.repeat(np.arange(count), random.poisson(rate))
        add(kind, person, scattered(person))
    # Whom nobody knows came at least once.
    visitor = np.flatnonzero(people.kind == VISITOR)
    add("browse", visitor, clocks.daytime(random, people.arrived[visitor], people.zone[visitor]))
    member = np.flatnonzero(accounts.web.exists)
    add("sign_up", member, accounts.web.since[member] - 40)
    reader = np.flatnonzero(accounts.email.exists & (random.random(count) < 0.6))
    add("newsletter_form", reader, accounts.email.since[reader])
    kinds = np.concatenate([np.full(len(person), kind) for kind, person, _, _ in parts])
    people_of, start, order = (np.concatenate([part[place] for part in parts]) for place in (1, 2, 3))
    start = np.clip(start, calendar.start_second, calendar.end_second - 1)
    is_app = random.random(len(kinds)) < arguments.settings.app_share
    of_order = order >= 0
    is_app[of_order] = orders.channel[order[of_order]] == APP
    is_app[np.isin(kinds, [KINDS.index("newsletter_form")])] = False
    return Sessions(kinds, people_of, start, order, is_app)


@dataclass
class _Events:
    session: NDArray[np.int64]
    event: NDArray[np.int64]
    moment: NDArray[np.int64]


def _events(random: np.random.Generator, calendar: Calendar, sessions: Sessions) -> _Events:
    """The events of all sessions, by kind: a matrix of sessions and steps, of which those stay that happen."""
    import numpy as np

    parts: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]] = []
    for number, kind in enumerate(KINDS):
        at = np.flatnonzero(sessions.kind == number)
        script = SCRIPTS[kind]
        happens = random.random((len(at), len(script))) < np.array([chance for _, chance in script])
        # A session without any event is no session: its likeliest step stands for it.
        likeliest = int(np.argmax([chance for _, chance in script]))
        happens[~happens.any(axis=1), likeliest] = True
        waits = random.integers(8, 110, happens.shape) * happens
        moment = sessions.start[at][:, None] + np.cumsum(waits, axis=1)
        codes = np.array([EVENTS.index(name) for name, _ in script])
        row, step = np.nonzero(happens)
        parts.append((at[row], codes[step], moment[row, step]))
    session, event, moment = (np.concatenate([part[place] for part in parts]) for place in range(3))
    inside = moment < calendar.end_second
    return _Events(session[inside], event[inside], moment[inside])


def cookies(arguments: Arguments, people: People, person: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number of a person's cookie."""
    return spread(people.index[person], arguments.customers, 31)


def session_rows(
    arguments: Arguments,
    calendar: Calendar,
    catalogue: Catalogue,
    people: People,
    accounts: Accounts,
    orders: Orders,
    sessions: Sessions,
    seen_at: NDArray[np.int64],
    block: int,
) -> list[Rows]:
    """Events of the website and the app.

    Half of the visits before a first order (``seen_at``) say which of the channels that touched the person they came
    by; what came later came by itself.
    """
    import numpy as np

    random = stream(arguments.seed, "events", block)
    count = len(sessions.person)
    is_shared = (people.role[sessions.person] > 0) & (random.random(count) < TABLET_SHARE)
    owner = np.where(is_shared, people.head[sessions.person], sessions.person)
    kiosk = np.where(
        (random.random(count) < KIOSK_SHARE)
        & (arguments.settings.store_share > 0)
        & (sessions.order < 0)
        & ~sessions.is_app,
        random.integers(0, 6, count),
        -1,
    )
    signs_in = random.random(count) < 0.55
    touched = people.touched[sessions.person]
    says_channel = touched.any(axis=1) & (sessions.start < seen_at[sessions.person]) & (random.random(count) < 0.5)
    channel = np.where(says_channel, touched.argmax(axis=1), -1)
    group = catalogue.draw_categories(random, people.category[sessions.person])
    product = group * PRICE_POINTS + random.integers(4, PRICE_POINTS - 8, count)
    has_order = sessions.order >= 0
    product[has_order] = orders.first_product[sessions.order[has_order]]
    events = _events(random, calendar, sessions)
    known = _Known(
        cookie=cookies(arguments, people, owner), kiosk=kiosk, signs_in=signs_in, channel=channel, product=product,
    )  # fmt: skip
    found = []
    for source, is_app, names in (("web", False, WEB_NAMES), ("app", True, APP_NAMES)):
        at = np.flatnonzero(sessions.is_app[events.session] == is_app)
        part = _Events(events.session[at], events.event[at], events.moment[at])
        numbers = block * IDS_PER_BLOCK + at
        found.append(
            _tracked(
                random, calendar, catalogue, people, accounts, orders, sessions, known, part, source, names, numbers
            )
        )
    return found


@dataclass
class _Known:
    """What the tracker knows of each session."""

    cookie: NDArray[np.int64]
    kiosk: NDArray[np.int64]
    signs_in: NDArray[np.bool_]
    channel: NDArray[np.int64]
    """Position of the channel that it came by; -1 for none."""
    product: NDArray[np.int64]


def _tracked(
    random: np.random.Generator,
    calendar: Calendar,
    catalogue: Catalogue,
    people: People,
    accounts: Accounts,
    orders: Orders,
    sessions: Sessions,
    known: _Known,
    events: _Events,
    source: str,
    names: dict[str, str],
    numbers: NDArray[np.int64],
) -> Rows:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    session, event, moment = events.session, events.event, events.moment
    count = len(session)
    person, order = sessions.person[session], sessions.order[session]

    def is_one_of(*wanted: str) -> NDArray[np.bool_]:
        return np.isin(event, [EVENTS.index(name) for name in wanted])

    is_signed_up = is_one_of("signed_up")
    uses_account = accounts.web.knows(person, moment) & (known.signs_in[session] | is_signed_up)
    uses_kiosk = known.kiosk[session] >= 0
    is_placed = is_one_of("order_placed")
    is_form = sessions.kind[session] == KINDS.index("newsletter_form")
    says_email = is_signed_up | is_form | (is_placed & (orders.is_guest[order] if len(orders) else False))
    # Emails are few and long: they are made for those events alone.
    emails = np.full(count, "", dtype=people.email.dtype)
    emails[says_email] = people.email_at(person[says_email], moment[says_email])
    if len(orders):
        guest = np.flatnonzero(is_placed & says_email)
        emails = emails.astype(f"U{max(emails.dtype.itemsize, orders.guest_email.dtype.itemsize) // 4}")
        emails[guest] = orders.guest_email[order[guest]]
    has_product = is_one_of(
        "product_viewed", "product_added", "product_removed", "wishlist_added", "review_read", "comparison_viewed"
    )
    channel = known.channel[session]
    cookie = c.numbered("ck" if source == "web" else "dev", known.cookie[session])
    kiosk = c.numbered("kiosk-", np.maximum(known.kiosk[session], 0))
    order_number = orders.number[order] if len(orders) else np.zeros(count, int)
    value = orders.net_cents[order] if len(orders) else np.zeros(count, int)
    is_step = is_one_of("checkout_started", "payment_step")
    searches = is_one_of("product_searched")
    members = np.flatnonzero(accounts.web.exists)
    friend = members[random.integers(0, len(members), count)] if len(members) else np.zeros(count, int)
    referred = is_one_of("referral_sent") & (friend != person) & (len(members) > 0)
    columns: dict[str, Any] = {
        "touchpoint_id": c.numbered("", numbers),
        "occurred_at": c.moments(moment),
        "event_name": c.chosen([names.get(name, name) for name in EVENTS], event),
        "user_id": accounts.web.ids(person, uses_account),
        "anonymous_id": pc.if_else(pa.array(uses_kiosk), kiosk, cookie),
        "email": c.texts(emails),
        "session_id": c.numbered("s", numbers - numbers % IDS_PER_BLOCK + session),
        "page_url": c.chosen([f"/{name}" for name in EVENTS], event),
        "device": c.chosen(words.BROWSERS, people.device[person]),
        "product_id": catalogue.ids(known.product[session], has_product),
        "order_id": c.numbered("S", order_number, is_placed),
        "value": c.money(value, is_placed),
        "currency": c.chosen(("USD",), np.where(is_placed, 0, -1)),
        "step": c.chosen(
            ("checkout", "payment", "newsletter_form"),
            np.where(is_form, 2, is_one_of("payment_step")),
            is_step | is_form,
        ),
        "source": c.chosen([one.name for one in CHANNELS], channel),
        "medium": c.chosen([MEDIA[one in PAID] for one in CHANNELS], channel),
        "referrer": c.chosen([f"https://{one.name.replace('_', '-')}.example" for one in CHANNELS], channel),
        "referred_contact_id": accounts.web.ids(friend, referred),
        "brand": c.constant("main", count),
        "properties": c.chosen(
            [f'{{"query": "{word.lower()}"}}' for word in words.STREETS],
            known.product[session] % len(words.STREETS),
            searches,
        ),
    }
    return Rows(source, "touchpoints", columns, calendar.month_of(moment), people.index[person])


def parcel_rows(calendar: Calendar, people: People, accounts: Accounts, orders: Orders) -> list[Rows]:
    """Messages about parcels: shipped the day after the order, delivered when it arrives."""
    import numpy as np

    online = np.flatnonzero(orders.is_online)
    shipped = np.minimum(orders.moment + DAY_SECONDS, (orders.moment + orders.delivered) // 2)
    found = []
    for letter, name, moment in (("h", "order_shipped", shipped), ("v", "order_delivered", orders.delivered)):
        at = online[moment[online] < calendar.end_second]
        is_guest = orders.is_guest[at]
        found.append(
            Rows(
                "shop",
                "touchpoints",
                {
                    "touchpoint_id": c.numbered(letter, orders.number[at]),
                    "occurred_at": c.moments(moment[at]),
                    "event_name": c.constant(name, len(at)),
                    "contact_id": accounts.shop.ids(orders.person[at], ~is_guest),
                    "email": c.texts(orders.guest_email[at], is_guest),
                    "order_id": c.numbered("S", orders.number[at]),
                },
                calendar.month_of(moment[at]),
                people.index[orders.person[at]],
            )
        )
    return found


def ad_rows(
    arguments: Arguments, calendar: Calendar, people: People, seen_at: NDArray[np.int64], block: int
) -> list[Rows]:
    """What touched people before they first bought or were first seen: an impression and a click per paid channel,
    a visit with its source for the others."""
    import numpy as np

    random = stream(arguments.seed, "ads", block)
    person, channel = np.nonzero(people.touched)
    before = np.minimum(random.exponential(6.0, len(person)), PROSPECT_DAYS - 1)
    moment = np.maximum(seen_at[person] - 120 - (before * DAY_SECONDS).astype(np.int64), calendar.start_second)
    moment = np.minimum(moment, np.maximum(seen_at[person] - 60, calendar.start_second))
    paid = np.array([PAID.index(one) if one in PAID else -1 for one in CHANNELS])[channel]
    is_paid = paid >= 0
    number = block * IDS_PER_BLOCK + np.arange(len(person))
    campaign = ad_campaign_of(calendar, np.maximum(paid, 0), (moment - calendar.start_second) // DAY_SECONDS)

    def rows(at: NDArray[np.int64], letter: str, name: str, when: NDArray[np.int64]) -> Rows:
        count, is_click = len(at), name == "ad_click"
        return Rows(
            "ads",
            "touchpoints",
            {
                "touchpoint_id": c.numbered(letter, number[at]),
                "occurred_at": c.moments(when),
                "event_name": c.constant(name, count),
                "channel": c.chosen([one.name for one in CHANNELS], channel[at]),
                "anonymous_id": c.numbered("ck", cookies(arguments, people, person[at])),
                "campaign_id": c.chosen(ad_campaign_ids(calendar), np.where(is_paid[at], campaign[at], -1)),
                "source": c.chosen([one.name for one in CHANNELS], channel[at]),
                "medium": c.chosen(MEDIA, is_paid[at].astype(int)),
                "click_id": c.numbered("clk", number[at], np.full(count, is_click)),
                "utm_content": c.chosen(("picture_a", "picture_b", "text"), number[at] % 3, is_paid[at]),
                "utm_term": c.chosen(("gift", "sale", "near me"), number[at] % 3, channel[at] == 0),
            },
            calendar.month_of(when),
            people.index[person[at]],
        )

    at_paid, at_free = np.flatnonzero(is_paid), np.flatnonzero(~is_paid)
    shown = np.maximum(moment[at_paid] - random.integers(5, 3600, len(at_paid)), calendar.start_second)
    return [
        rows(at_paid, "i", "ad_impression", shown),
        rows(at_paid, "k", "ad_click", moment[at_paid]),
        rows(at_free, "f", "page_viewed", moment[at_free]),
    ]
