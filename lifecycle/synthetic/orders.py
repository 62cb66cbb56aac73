"""Orders: the purchases of a block as shops and tills record them.

Belongs here: orders with lines, delivery and refunds; cancelled and test orders, guests, and walk-in customers whom
nobody knows.
Does not belong here: when people buy (``purchases.py``) and renewals of subscriptions (``subscriptions.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from lifecycle.synthetic import columns as c
from lifecycle.synthetic import vocabulary as words
from lifecycle.synthetic.catalogue import OFFERS, PRICE_POINTS
from lifecycle.synthetic.columns import DAY_SECONDS
from lifecycle.synthetic.contacts import phone_texts
from lifecycle.synthetic.mistakes import mistyped
from lifecycle.synthetic.parameters import JUNK_EMAIL
from lifecycle.synthetic.randomness import stream
from lifecycle.synthetic.rows import Rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lifecycle.synthetic.accounts import Accounts
    from lifecycle.synthetic.calendar import Calendar, Clocks
    from lifecycle.synthetic.campaigns import Assignments, Campaign
    from lifecycle.synthetic.catalogue import Catalogue
    from lifecycle.synthetic.parameters import Arguments
    from lifecycle.synthetic.people import People
    from lifecycle.synthetic.purchases import Purchases

WEB, APP, STORE = 0, 1, 2
CHANNELS = ("web", "app", "store")
STORES = tuple(f"store_{number:02d}" for number in range(1, 13))

IDS_PER_BLOCK = 1_000_000
"""Room for the order numbers of one block."""

TAX_RATE = 0.07
SHIPPING_CENTS, FREE_SHIPPING_CENTS = 495, 5000


@dataclass
class Lines:
    """Lines in order of their orders; amounts in cents."""

    order: NDArray[np.int64]
    """Position of the order."""
    line_number: NDArray[np.int64]
    product: NDArray[np.int64]
    quantity: NDArray[np.int64]
    amount: NDArray[np.int64]
    discount: NDArray[np.int64]
    unit_cost: NDArray[np.int64]


@dataclass
class Orders:
    """The true orders of a block, in order of person and time. Other modules hang events on them."""

    person: NDArray[np.int64]
    day: NDArray[np.int64]
    moment: NDArray[np.int64]
    channel: NDArray[np.int64]
    campaign: NDArray[np.int64]
    """Position of the campaign that caused it; -1 for none."""
    percent: NDArray[np.int64]
    """Discount of the code, in per cent."""
    number: NDArray[np.int64]
    is_guest: NDArray[np.bool_]
    guest_email: NDArray[np.str_]
    promised: NDArray[np.int64]
    delivered: NDArray[np.int64]
    """When it arrives; in stores, when it was bought."""
    offer: NDArray[np.int64]
    """Position of the offer whose code was used; -1 for none."""
    lines: Lines

    def __len__(self) -> int:
        return len(self.person)

    @property
    def is_online(self) -> NDArray[np.bool_]:
        online: NDArray[np.bool_] = self.channel != STORE
        return online

    @cached_property
    def item_cents(self) -> NDArray[np.int64]:
        """Lines less their own discounts."""
        import numpy as np

        worth = self.lines.amount - self.lines.discount
        return np.bincount(self.lines.order, worth, minlength=len(self)).astype(np.int64)

    @cached_property
    def discount_cents(self) -> NDArray[np.int64]:
        """The code's discount on the whole order."""
        import numpy as np

        return np.rint(self.item_cents * self.percent / 100).astype(np.int64)

    @property
    def net_cents(self) -> NDArray[np.int64]:
        return self.item_cents - self.discount_cents

    @cached_property
    def first_product(self) -> NDArray[np.int64]:
        """Product of each order's first line."""
        import numpy as np

        return self.lines.product[np.searchsorted(self.lines.order, np.arange(len(self)))]

    @property
    def is_late(self) -> NDArray[np.bool_]:
        late: NDArray[np.bool_] = self.is_online & (self.delivered > self.promised)
        return late


def draw_orders(
    arguments: Arguments,
    clocks: Clocks,
    catalogue: Catalogue,
    campaigns: list[Campaign],
    people: People,
    accounts: Accounts,
    first: NDArray[np.int64],
    first_moment: NDArray[np.int64],
    purchases: Purchases,
    spend_rate: NDArray[np.float64],
    assignments: Assignments,
    block: int,
) -> Orders:
    """All orders: the first of each buyer (``first``, at ``first_moment``), repeats, and what campaigns caused."""
    import numpy as np

    from lifecycle.synthetic.purchases import draw_order_cents

    profile = arguments.settings
    random = stream(arguments.seed, "orders", block)
    caused = assignments.caused
    person = np.concatenate([first, purchases.buyer, assignments.person[caused]])
    day = np.concatenate([people.arrived[first], purchases.day, assignments.caused_day[caused]])
    campaign = np.concatenate([np.full(len(first) + len(purchases.buyer), -1), assignments.campaign[caused]])
    is_first = np.zeros(len(person), dtype=bool)
    is_first[: len(first)] = True
    order = np.lexsort((day, person))
    person, day, campaign, is_first = person[order], day[order], campaign[order], is_first[order]
    count = len(person)
    likes_stores = people.shops_in_stores[person]
    in_store = random.random(count) < np.where(likes_stores, 0.85, 0.10 if profile.store_share else 0.0)
    in_store &= campaign < 0
    channel = np.where(in_store, STORE, np.where(random.random(count) < profile.app_share, APP, WEB))
    zone = people.zone[person]
    moment = np.where(
        in_store,
        clocks.daytime(random, day, np.zeros(count, int), opens=9, closes=21),
        clocks.daytime(random, day, zone),
    )
    moment = np.where(is_first, first_moment[person], moment)
    net_cents = draw_order_cents(random, spend_rate[person], profile.spend)
    is_guest = (channel != STORE) & (~accounts.shop.knows(person, moment) | (random.random(count) < 0.08))
    email = people.email_at(person, moment)
    guest_email = mistyped(random, email, 0.03)
    guest_email = np.where(random.random(count) < 0.012, JUNK_EMAIL, guest_email)
    days_promised = random.integers(2, 6, count)
    promised = moment + days_promised * DAY_SECONDS
    is_late = random.random(count) < 0.12
    travel = np.where(
        is_late, days_promised + random.exponential(3.0, count) + 0.3, days_promised * random.uniform(0.4, 1.0, count)
    )
    delivered = np.where(in_store, moment, moment + (travel * DAY_SECONDS).astype(np.int64))
    offers = np.array([one.offer for one in campaigns] + [-1])[campaign]
    # Codes circulate: some orders carry one without having got the campaign.
    codes_of_others = np.where(random.random(count) < 0.06, random.integers(0, len(OFFERS), count), -1)
    offer = np.where(in_store, -1, np.where(offers >= 0, offers, codes_of_others))
    percent = np.array([one.percent for one in OFFERS] + [0])[offer]
    lines = _draw_lines(random, catalogue, people.category[person], net_cents / (1 - percent / 100), in_store)
    return Orders(
        person=person,
        day=day,
        moment=moment,
        channel=channel,
        campaign=campaign,
        percent=percent,
        number=block * IDS_PER_BLOCK + np.arange(count),
        is_guest=is_guest,
        guest_email=guest_email,
        promised=promised,
        delivered=delivered,
        offer=offer,
        lines=lines,
    )


def _draw_lines(
    random: np.random.Generator,
    catalogue: Catalogue,
    favourite: NDArray[np.int64],
    gross_cents: NDArray[np.float64],
    in_store: NDArray[np.bool_],
) -> Lines:
    """One to four lines whose products cost about what the order is worth.

    Prices are the catalogue's, so an order is worth its Gamma-Gamma value to within a few per cent. A further line is
    of the neighbouring category for half of them: that is what bought-together analyses should find.
    """
    import numpy as np

    count = len(favourite)
    line_count = 1 + np.minimum(random.poisson(0.55, count), 3)
    order = np.repeat(np.arange(count), line_count)
    line_number = np.arange(len(order)) - np.repeat(np.cumsum(line_count) - line_count, line_count) + 1
    share = random.uniform(0.5, 1.5, len(order))
    share /= np.bincount(order, share)[order]
    group = catalogue.draw_categories(random, favourite[order])
    first_group = group[np.cumsum(line_count) - line_count][order]
    is_neighbour = (line_number > 1) & (random.random(len(order)) < 0.5)
    group = np.where(is_neighbour, first_group ^ 1, group) % len(catalogue.groups)
    quantity = 1 + (random.random(len(order)) < 0.14) + (random.random(len(order)) < 0.04)
    position = catalogue.nearest_price(gross_cents[order] * share / quantity)
    amount = catalogue.price_cents[position] * quantity
    # Tills take one line in twelve down by a tenth; online, reductions are codes on the whole order.
    has_reduction = in_store[order] & (random.random(len(order)) < 1 / 12)
    return Lines(
        order=order,
        line_number=line_number,
        product=group * PRICE_POINTS + position,
        quantity=quantity,
        amount=amount,
        discount=np.where(has_reduction, amount // 10, 0),
        unit_cost=catalogue.cost_cents[position],
    )


@dataclass
class _Amounts:
    """What is charged on top of the lines, in cents."""

    tax: NDArray[np.int64]
    shipping: NDArray[np.int64]
    total: NDArray[np.int64]


def _amounts(orders: Orders) -> _Amounts:
    import numpy as np

    net = orders.net_cents
    tax = np.rint(net * TAX_RATE).astype(np.int64)
    shipping = np.where(orders.is_online & (net < FREE_SHIPPING_CENTS), SHIPPING_CENTS, 0)
    return _Amounts(tax, shipping, net + tax + shipping)


def order_rows(
    arguments: Arguments,
    calendar: Calendar,
    catalogue: Catalogue,
    people: People,
    accounts: Accounts,
    orders: Orders,
    block: int,
) -> list[Rows]:
    """Orders, lines and refunds of the shop and of the tills."""
    import numpy as np

    random = stream(arguments.seed, "order records", block)
    amounts = _amounts(orders)
    rows = _shop_rows(random, calendar, people, accounts, orders, amounts)
    is_in_store = ~orders.is_online
    if is_in_store.any():
        rows += _till_rows(random, calendar, people, accounts, orders, amounts, np.flatnonzero(is_in_store))
    rows += _line_rows(calendar, catalogue, orders)
    rows += _refund_rows(random, calendar, catalogue, orders, amounts)
    return rows


def _shop_rows(
    random: np.random.Generator,
    calendar: Calendar,
    people: People,
    accounts: Accounts,
    orders: Orders,
    amounts: _Amounts,
) -> list[Rows]:
    """Web and app orders: each as it ended, the last of a month also as it began, and those that came to nothing.

    An order of a month's last two days is in that month's extract as open, and in the next month's as it ended, with a
    later ``updated_at``.
    """
    import numpy as np

    of = np.flatnonzero(orders.is_online)
    month = calendar.month_of(orders.moment[of])
    is_open_first = (calendar.month_of(orders.moment[of] + 2 * DAY_SECONDS) > month) & (
        orders.moment[of] + 2 * DAY_SECONDS < calendar.end_second
    )
    phones = phone_texts(random, people.phone[orders.person[of]], 0.02)
    is_gift, pays_by_card = random.random(len(of)) < 0.07, random.random(len(of)) < 0.04

    def rows(keep: NDArray[np.bool_], *, is_open: bool, to_month: NDArray[np.int64]) -> Rows:
        at = of[keep]
        person, moment = orders.person[at], orders.moment[at]
        is_guest = orders.is_guest[at]
        is_delivered = (orders.delivered[at] < calendar.end_second) & (not is_open)
        updated = np.where(is_delivered, orders.delivered[at], moment + 300)
        count = len(at)
        return Rows(
            "shop",
            "orders",
            {
                "order_id": c.numbered("S", orders.number[at]),
                "ordered_at": c.moments(moment),
                "order_status": c.chosen(("processing", "completed"), is_delivered.astype(int)),
                "total_amount": c.money(amounts.total[at]),
                "currency": c.constant("USD", count),
                "contact_id": accounts.shop.ids(person, ~is_guest),
                "email": c.texts(orders.guest_email[at], is_guest),
                "phone": c.texts(phones[keep], is_guest),
                "discount_amount": c.money(orders.discount_cents[at]),
                "shipping_amount": c.money(amounts.shipping[at]),
                "tax_amount": c.money(amounts.tax[at]),
                "gift_card_amount": c.money(amounts.total[at] // 4, pays_by_card[keep]),
                "coupon_code": c.chosen([offer.code for offer in OFFERS], orders.offer[at]),
                "order_channel": c.chosen(CHANNELS, orders.channel[at]),
                "brand": c.constant("main", count),
                "is_gift": c.flags(is_gift[keep]),
                "paid_at": c.moments(moment + 120),
                "promised_delivery_at": c.moments(orders.promised[at]),
                "delivered_at": c.moments(orders.delivered[at], is_delivered),
                "updated_at": c.moments(updated),
                "cancelled_at": c.moments(moment, np.zeros(count, bool)),
                "is_test": c.flags(np.zeros(count, bool)),
            },
            to_month,
            people.index[person],
        )

    last = len(calendar.months) - 1
    final = rows(np.ones(len(of), bool), is_open=False, to_month=np.minimum(month + is_open_first, last))
    opened = rows(is_open_first, is_open=True, to_month=month[is_open_first])
    opened.person = None
    return [final, opened, *_failed_rows(random, calendar, final)]


def _failed_rows(random: np.random.Generator, calendar: Calendar, final: Rows) -> list[Rows]:
    """Orders that count nowhere: cancelled minutes before the real one (2 %), and tests of the shop's own people."""
    import numpy as np
    import pyarrow as pa

    found = []
    for kind, share in (("C", 0.02), ("X", 0.002)):
        failed = final.taken(random.random(final.count) < share)
        if not failed.count:
            continue
        columns = failed.columns
        placed = np.asarray(columns["ordered_at"].cast(pa.int64())) - 900
        placed = np.maximum(placed, calendar.start_second)
        columns |= {
            "order_id": c.joined([columns["order_id"], kind]),
            "ordered_at": c.moments(placed),
            "order_status": c.constant("cancelled" if kind == "C" else "test", failed.count),
            "paid_at": c.moments(placed, np.zeros(failed.count, bool)),
            "delivered_at": c.moments(placed, np.zeros(failed.count, bool)),
            "updated_at": c.moments(placed + 600),
            "cancelled_at": c.moments(placed + 600, np.full(failed.count, kind == "C")),
            "is_test": c.flags(np.full(failed.count, kind == "X")),
        }
        if kind == "X":
            nobody = pa.nulls(failed.count, pa.string())
            columns |= {"contact_id": nobody, "phone": nobody, "email": pa.array(["qa@shop.example"] * failed.count)}
            failed.person = None
        found.append(failed)
    return found


def _till_rows(
    random: np.random.Generator,
    calendar: Calendar,
    people: People,
    accounts: Accounts,
    orders: Orders,
    amounts: _Amounts,
    of: NDArray[np.int64],
) -> list[Rows]:
    """Receipts of the stores: with a card, an email or a phone for those who gave one; walk-ins give nothing."""
    import pyarrow as pa

    person, moment = orders.person[of], orders.moment[of]
    has_card = accounts.loyalty.knows(person, moment)
    gives_email = ~has_card | (random.random(len(of)) < 0.05)
    store = (people.address.city[person] + people.index[person] % 2) % len(STORES)
    rows = Rows(
        "pos",
        "orders",
        {
            "order_id": c.numbered("T", orders.number[of]),
            "ordered_at": c.moments(moment),
            "total_amount": c.money(amounts.total[of]),
            "contact_id": accounts.loyalty.ids(person, has_card),
            "email": c.texts(orders.guest_email[of], gives_email),
            "phone": c.texts(phone_texts(random, people.phone[person], 0.03), random.random(len(of)) < 0.05),
            "tax_amount": c.money(amounts.tax[of]),
            "store_id": c.chosen(STORES, store),
        },
        calendar.month_of(moment),
        people.index[person],
    )
    walk_ins = rows.taken(random.random(len(of)) < 0.06)
    nothing = pa.nulls(walk_ins.count, pa.string())
    walk_ins.columns |= {
        "order_id": c.joined([walk_ins.columns["order_id"], "W"]),
        "contact_id": nothing,
        "email": nothing,
        "phone": nothing,
    }
    walk_ins.person = None
    return [rows, walk_ins]


def _line_rows(calendar: Calendar, catalogue: Catalogue, orders: Orders) -> list[Rows]:
    import numpy as np

    lines, found = orders.lines, []
    in_store = ~orders.is_online[lines.order]
    for source, prefix, keep in (("shop", "S", ~in_store), ("pos", "T", in_store)):
        at = np.flatnonzero(keep)
        if not len(at):
            continue
        order = lines.order[at]
        found.append(
            Rows(
                source,
                "order_items",
                {
                    "order_id": c.numbered(prefix, orders.number[order]),
                    "line_number": c.integers(lines.line_number[at]),
                    "quantity": c.integers(lines.quantity[at]),
                    "line_amount": c.money(lines.amount[at]),
                    "product_id": catalogue.ids(lines.product[at]),
                    "discount_amount": c.money(lines.discount[at]),
                    "unit_cost_amount": c.money(lines.unit_cost[at]),
                },
                calendar.month_of(orders.moment[order]),
            )
        )
    return found


def _refund_rows(
    random: np.random.Generator,
    calendar: Calendar,
    catalogue: Catalogue,
    orders: Orders,
    amounts: _Amounts,
) -> list[Rows]:
    """Of online orders 7 % and of receipts 2 % come back within a month: six in ten whole, else the first line."""
    import numpy as np

    refunded = np.where(orders.is_online, orders.delivered, orders.moment) + (
        random.uniform(1, 30, len(orders)) * DAY_SECONDS
    ).astype(np.int64)
    comes_back = random.random(len(orders)) < np.where(orders.is_online, 0.07, 0.02)
    comes_back &= refunded < calendar.end_second
    is_whole = random.random(len(orders)) < 0.6
    lines = orders.lines
    first_line = np.searchsorted(lines.order, np.arange(len(orders)))
    part = (lines.amount - lines.discount)[first_line]
    part -= np.rint(part * orders.percent / 100).astype(np.int64)
    items = np.where(is_whole, orders.net_cents, part)
    tax = np.where(is_whole, amounts.tax, np.minimum(np.rint(part * TAX_RATE).astype(np.int64), amounts.tax))
    shipping = np.where(is_whole, amounts.shipping, 0)
    found = []
    for source, prefix, online in (("shop", "S", True), ("pos", "T", False)):
        at = np.flatnonzero(comes_back & (orders.is_online == online))
        if not len(at):
            continue
        found.append(
            Rows(
                source,
                "refunds",
                {
                    "refund_id": c.numbered("R", orders.number[at]),
                    "order_id": c.numbered(prefix, orders.number[at]),
                    "refunded_at": c.moments(refunded[at]),
                    "refund_amount": c.money((items + tax + shipping)[at]),
                    "currency": c.constant("USD", len(at)),
                    "product_id": catalogue.ids(lines.product[first_line[at]], ~is_whole[at]),
                    "quantity": c.integers(lines.quantity[first_line[at]], ~is_whole[at]),
                    "item_refund_amount": c.money(items[at]),
                    "tax_refund_amount": c.money(tax[at]),
                    "shipping_refund_amount": c.money(shipping[at]),
                    "reason": c.chosen(words.REFUND_REASONS, random.integers(0, len(words.REFUND_REASONS), len(at))),
                },
            )
        )
    return found
