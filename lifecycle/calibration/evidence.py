"""What the current publication says about gaps, kept purchases, spending and categories.

Belongs here: reading it into small tables, set by set, within the memory limit.
Does not belong here: what follows from the figures (``proposals.py``).

The publication is read because it is always whole, also while a run builds the next one. It has no order lines: those
come from the build file, which is held for as long as it takes to copy them, and are left out while a run holds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from lifecycle.build import local_midnight_after
from lifecycle.calibration.statistics import Waiting
from lifecycle.errors import LifecycleError, LockedError
from lifecycle.publishing.plan import open_published
from lifecycle.serving.publication import Publication, current
from lifecycle.state import run_lock
from lifecycle.timing import progress
from lifecycle.warehouse import Warehouse, attached, literal, quoted

if TYPE_CHECKING:
    from lifecycle.settings import Settings

DEFAULT = "default"

NEEDED = ("marts.customer_360", "marts.customer_timeline")
LINES = ("intermediate.int_order_lines", "intermediate.int_order_amounts", "intermediate.int_orders")

CATEGORY_LEVELS = 5


@dataclass(frozen=True)
class Alarm:
    """What it would be worth to call customers at risk after ``due_factor`` expected gaps, ``due_min_days`` at least.

    ``rung_count`` alarms in ``customer_years``, ``floor_count`` of them by ``due_min_days``. Of those whose lapse clock
    has run out since or would have, ``decided_count``, ``back_count`` came back before it did.
    """

    due_factor: float
    due_min_days: float
    rung_count: int
    floor_count: int
    customer_years: float
    decided_count: int
    back_count: int

    @property
    def per_customer_year(self) -> float:
        return self.rung_count / self.customer_years if self.customer_years else 0.0

    @property
    def back_share(self) -> float:
        return self.back_count / self.decided_count if self.decided_count else 0.0

    @property
    def floor_share(self) -> float:
        return self.floor_count / self.rung_count if self.rung_count else 0.0


@dataclass(frozen=True)
class Evidence:
    """The publication, open, with the tables that are derived from it; closed with the context it came from.

    One row of ``people`` is one lifecycle: a customer, or all people of an account where accounts have the lifecycle.
    ``lines_problem`` says why the categories of orders are not known; null when they are.
    """

    settings: Settings
    publication: Publication
    warehouse: Warehouse
    end: datetime
    lines_problem: str | None

    # --- counts ------------------------------------------------------------------------------------------------------

    def buyer_count(self) -> int:
        return int(self.warehouse.scalar("select count(distinct lifecycle_id) from temp.paid_days") or 0)

    def customer_count(self) -> int:
        return int(self.warehouse.scalar("select count(*) from temp.people") or 0)

    def subscriber_count(self) -> int:
        """People who bought and have, or had, a subscription: the contract decides when they pay."""
        return int(
            self.warehouse.scalar(
                "select count(distinct lifecycle_id) from temp.paid_days semi join temp.people"
                " on people.lifecycle_id = paid_days.lifecycle_id and people.has_subscription"
            )
            or 0
        )

    # --- gaps --------------------------------------------------------------------------------------------------------

    def first_gaps(self, group: str | None = None, *, min_people: int = 1) -> dict[str, list[Waiting]]:
        """Days until the second purchase, or until now for who has not come back, per value of a column of people.

        Groups of fewer than ``min_people`` are left out; without a group there is one, ``default``.
        """
        column = f"people.{quoted(group)}" if group else literal(DEFAULT)
        rows = self.warehouse.rows(
            f"""
            with firsts as (
                select
                    {column} as group_name,
                    greatest(1, round(epoch(coalesce(next_paid_at, ?)::timestamp - paid_at) / 86400))::bigint as days,
                    next_paid_at is not null as is_back
                from temp.chosen_days
                inner join temp.people using (lifecycle_id)
                where paid_number = 1
            ),
            groups as (
                select group_name from firsts where group_name is not null group by group_name having count(*) >= ?
            )
            select group_name, days, count(*) filter (where is_back), count(*) filter (where not is_back)
            from firsts semi join groups using (group_name)
            group by group_name, days
            order by group_name, days
            """,
            [self.end, min_people],
        )
        found: dict[str, list[Waiting]] = {}
        for name, days, returned, waiting in rows:
            found.setdefault(name, []).append(Waiting(days, returned, waiting))
        return found

    def other_gaps(self) -> dict[str, float]:
        """What other statistics would say, for comparison: medians in days."""
        rows = self.warehouse.dicts(
            """
            with gaps as (select lifecycle_id, paid_number, gap_days from temp.chosen_days where gap_days is not null)
            select
                (select median(gap_days) from gaps) as all_gaps,
                (select median(own_days) from (select median(gap_days) as own_days from gaps group by lifecycle_id))
                    as own_medians,
                (select median(gap_days) from gaps where paid_number = 2) as first_gaps_seen
            """
        )
        return {name: float(value) for name, value in rows[0].items() if value is not None}

    # --- clocks ------------------------------------------------------------------------------------------------------

    def set_clocks(self, thresholds: Mapping[str, Mapping[str, float]], category_gaps: Mapping[str, float]) -> None:
        """Judge every paid day by these thresholds (per persona, ``default`` for all others), as the models would.

        A default gap that a persona sets itself is stronger than that of the category somebody began with.
        """
        names = list(thresholds[DEFAULT])
        columns = ", ".join(f"{quoted(name)} double" for name in names)
        run = self.warehouse.run
        run(f"create or replace temp table thresholds (threshold_persona varchar, has_own_gap boolean, {columns})")
        common = thresholds[DEFAULT]
        for persona, own in thresholds.items():
            values = [persona, persona != DEFAULT and "default_order_gap_days" in own]
            values += [own.get(name, common[name]) for name in names]
            run(f"insert into temp.thresholds values ({', '.join('?' * len(values))})", values)
        run("create or replace temp table category_gaps (first_category varchar, days double)")
        for category, days in category_gaps.items():
            run("insert into temp.category_gaps values (?, ?)", [category, days])
        run(
            """
            create or replace temp table clocks as
            with judged as (
                select
                    people.lifecycle_id,
                    people.has_subscription,
                    thresholds.threshold_persona,
                    thresholds.* exclude (threshold_persona, has_own_gap, default_order_gap_days),
                    case
                        when thresholds.has_own_gap then thresholds.default_order_gap_days
                        else coalesce(category_gaps.days, thresholds.default_order_gap_days)
                    end as default_order_gap_days
                from temp.people
                left join temp.thresholds as own on people.persona = own.threshold_persona
                inner join temp.thresholds on coalesce(own.threshold_persona, 'default') = thresholds.threshold_persona
                left join temp.category_gaps on people.first_category = category_gaps.first_category
            ),
            gaps as (
                select
                    *,
                    count(gap_days) over last_ten as gap_count,
                    median(gap_days) over last_ten as median_gap_days
                from temp.paid_days
                window last_ten as (
                    partition by lifecycle_id order by paid_number rows between 9 preceding and current row
                )
            ),
            expected as (
                select
                    gaps.*,
                    judged.* exclude (lifecycle_id, default_order_gap_days),
                    (judged.gap_prior_weight * judged.default_order_gap_days
                        + gaps.gap_count * coalesce(gaps.median_gap_days, 0))
                    / nullif(judged.gap_prior_weight + gaps.gap_count, 0) as expected_order_gap_days
                from gaps
                inner join judged using (lifecycle_id)
            )
            select
                *,
                least(greatest(due_factor * expected_order_gap_days, due_min_days), due_max_days) as due_days,
                least(greatest(lapse_factor * due_days, lapse_min_days), lapse_max_days) as lapse_days,
                paid_number = max(paid_number) over (partition by lifecycle_id) as is_last
            from expected
            """
        )
        run(
            """
            create or replace temp table active as
            select
                clocks.lifecycle_id,
                clocks.threshold_persona,
                clocks.kept_count,
                clocks.first_paid_at
            from temp.clocks
            inner join temp.people using (lifecycle_id)
            where clocks.is_last
                and (people.account_closed_at is null or people.account_closed_at <= clocks.paid_at)
                and (people.is_subscribed or clocks.paid_at + to_seconds(round(clocks.due_days * 86400)::bigint) > $end)
            """,
            {"end": self.end},
        )

    def active_count(self) -> int:
        """Customers who are not overdue, or are subscribed; needs the clocks."""
        return int(self.warehouse.scalar("select count(*) from temp.active") or 0)

    def kept_counts(self, min_days: float, *, without: Sequence[str] = ()) -> list[tuple[float, int]]:
        """Kept paid days of active customers whose first lies ``min_days`` back: the number, and how many have it."""
        marks = ", ".join("?" * len(without)) or "null"
        return [
            (float(kept), int(count))
            for kept, count in self.warehouse.rows(
                f"""
                select kept_count, count(*) from temp.active
                where first_paid_at + to_seconds(round(? * 86400)::bigint) <= ?
                    and (threshold_persona in ({marks})) is not true
                group by kept_count order by kept_count
                """,
                [min_days, self.end, *without],
            )
        ]

    def alarms(self, clocks: Sequence[tuple[float, float]]) -> list[Alarm]:
        """What the due clock would be worth with each pair of ``due_factor`` and ``due_min_days``; needs the clocks.

        The lapse clock stays as it is set, so that all are asked the same. Only days whose lapse clock has run out by
        now are decided, whether or not it was stopped: counting those that were stopped already and not those that
        still may be would make every alarm look needless.
        """
        years = float(
            self.warehouse.scalar(
                "select coalesce(sum(epoch(?::timestamp - paid_at)) / (365.25 * 86400), 0) from temp.clocks"
                " where paid_number = 1 and not has_subscription",
                [self.end],
            )
        )
        rows = self.warehouse.rows(
            """
            with variants as (
                select
                    unnest($numbers::integer[]) as variant,
                    unnest($factors::double[]) as factor,
                    unnest($floors::double[]) as floor_days
            ),
            moments as (
                select
                    variants.variant,
                    next_paid_at,
                    lapse_days,
                    variants.factor * expected_order_gap_days < variants.floor_days as is_floor,
                    least(greatest(variants.factor * expected_order_gap_days, variants.floor_days), due_max_days)
                        as variant_days,
                    paid_at + to_seconds(round(variant_days * 86400)::bigint) as rings_at,
                    paid_at + to_seconds(round(lapse_days * 86400)::bigint) as lapses_at
                from temp.clocks
                cross join variants
                where not has_subscription and expected_order_gap_days is not null
            )
            select
                variant,
                count(*),
                count(*) filter (where is_floor),
                count(*) filter (where lapses_at <= $end),
                count(*) filter (where lapses_at <= $end and next_paid_at < lapses_at)
            from moments
            where variant_days < lapse_days and rings_at < coalesce(next_paid_at, $end) and rings_at < $end
            group by variant
            """,
            {
                "numbers": list(range(len(clocks))),
                "factors": [factor for factor, _ in clocks],
                "floors": [floor for _, floor in clocks],
                "end": self.end,
            },
        )
        found = {variant: counts for variant, *counts in rows}
        alarms = []
        for number, (factor, floor) in enumerate(clocks):
            rung, by_floor, decided, back = found.get(number, (0, 0, 0, 0))
            alarms.append(Alarm(factor, floor, rung, by_floor, years, decided, back))
        return alarms

    # --- spending and categories -------------------------------------------------------------------------------------

    def revenues(self, shares: Sequence[float]) -> tuple[int, list[float]]:
        """How many customers brought money, and the amounts below which these shares of them lie."""
        rows = self.warehouse.rows(
            "select count(*), quantile_cont(net_revenue_amount::double, ?::double[]) from temp.people"
            " where net_revenue_amount > 0",
            [list(shares)],
        )
        return int(rows[0][0]), [float(amount) for amount in rows[0][1] or ()]

    def revenue_from(self, amounts: Sequence[float]) -> list[tuple[float, float]]:
        """For each amount: the share of paying customers who brought it or more, and their share of the revenue."""
        rows = self.warehouse.rows(
            """
            select
                amount,
                count(*) filter (where net_revenue_amount >= amount) / count(*),
                sum(case when net_revenue_amount >= amount then net_revenue_amount else 0 end)::double
                / sum(net_revenue_amount)::double
            from temp.people cross join (select unnest(?::double[]) as amount) as amounts
            where net_revenue_amount > 0
            group by amount
            """,
            [list(amounts)],
        )
        found = {amount: (float(share), float(revenue)) for amount, share, revenue in rows}
        return [found.get(amount, (0.0, 0.0)) for amount in amounts]

    def set_first_categories(self, level: int) -> None:
        """Give everybody the category that most of their first order was spent on, as deep as ``level``."""
        if self.lines_problem is not None:
            return
        self.warehouse.run(
            """
            create or replace temp table people as
            with first_orders as (
                select lifecycle_id, source_system, order_id
                from temp.paid_orders
                qualify row_number() over (
                    partition by lifecycle_id order by ordered_at, source_system, order_id
                ) = 1
            ),
            categories as (
                select
                    first_orders.lifecycle_id,
                    array_to_string(list_slice(string_split(lines.category, ' > '), 1, $level), ' > ') as category,
                    sum(lines.amount) as amount
                from first_orders
                inner join temp.lines using (source_system, order_id)
                group by all
            ),
            mains as (
                select lifecycle_id, category
                from categories
                qualify row_number() over (partition by lifecycle_id order by amount desc, category) = 1
            )
            select people.* exclude (first_category), mains.category as first_category
            from temp.people
            left join mains using (lifecycle_id)
            """,
            {"level": level},
        )

    def category_counts(self) -> list[int]:
        """How many categories there are at level 1, 2, …, as deep as the paths go."""
        if self.lines_problem is not None:
            return []
        depth = self.warehouse.scalar("select max(len(string_split(category, ' > '))) from temp.lines") or 0
        return [
            int(
                self.warehouse.scalar(
                    "select count(distinct array_to_string(list_slice(string_split(category, ' > '), 1, ?), ' > '))"
                    " from temp.lines",
                    [level],
                )
            )
            for level in range(1, min(depth, CATEGORY_LEVELS) + 1)
        ]

    def expansions(
        self, level: int, *, shares: Sequence[float], expanding_days: float, window_days: float, min_history_days: float
    ) -> list[int]:
        """Active customers who expanded within the last days, for each share that a purchase would have to be of
        the spending in its window; needs the clocks.
        """
        rows = self.warehouse.rows(
            """
            with category_orders as (
                select
                    paid_orders.lifecycle_id,
                    paid_orders.source_system,
                    paid_orders.order_id,
                    paid_orders.ordered_at,
                    array_to_string(list_slice(string_split(lines.category, ' > '), 1, $level), ' > ') as category,
                    sum(lines.amount) as category_amount
                from temp.paid_orders
                inner join temp.lines using (source_system, order_id)
                group by all
            ),
            firsts as (
                select *
                from category_orders
                qualify row_number() over (partition by lifecycle_id, category order by ordered_at, order_id) = 1
            ),
            recent as (
                select firsts.*
                from firsts
                inner join temp.active using (lifecycle_id)
                where firsts.ordered_at >= active.first_paid_at + to_seconds(round($history * 86400)::bigint)
                    and firsts.ordered_at + to_seconds(round($expanding * 86400)::bigint) > $end
                    and firsts.category_amount > 0
            ),
            weighed as (
                select
                    recent.lifecycle_id,
                    recent.category_amount / nullif(sum(paid_orders.spend_amount), 0) as spend_share
                from recent
                inner join temp.paid_orders
                    on recent.lifecycle_id = paid_orders.lifecycle_id
                    and paid_orders.ordered_at <= recent.ordered_at
                    and recent.ordered_at < paid_orders.ordered_at + to_seconds(round($window * 86400)::bigint)
                group by
                    recent.lifecycle_id, recent.category, recent.category_amount, recent.order_id, recent.source_system
            ),
            -- A larger plan is an expansion whatever is bought beside it.
            expanded as (
                select lifecycle_id, spend_share from weighed
                union all
                select lifecycle_id, 'infinity'::double
                from temp.upgrades semi join temp.active using (lifecycle_id)
                where occurred_at + to_seconds(round($expanding * 86400)::bigint) > $end
            ),
            people as (select lifecycle_id, max(spend_share) as spend_share from expanded group by lifecycle_id)
            select share, count(*) filter (where spend_share >= share)
            from people cross join (select unnest($shares::double[]) as share) as shares
            group by share
            """,
            {
                "level": level,
                "history": min_history_days,
                "expanding": expanding_days,
                "window": window_days,
                "end": self.end,
                "shares": list(shares),
            },
        )
        found = {share: int(count) for share, count in rows}
        return [found.get(share, 0) for share in shares]


@contextmanager
def open_evidence(settings: Settings) -> Iterator[Evidence]:
    """Read the current publication. Raises LifecycleError when there is none, or one that says too little."""
    publication = current(settings.state)
    if publication is None:
        raise LifecycleError(
            "nothing is published yet",
            where=str(settings.state.serving),
            remedy="Run the pipeline first: `lifecycle run`.",
        )
    progress.info("reading the publication")
    with open_published(settings, publication) as warehouse:
        missing = [name for name in NEEDED if not warehouse.has_table(name)]
        if missing:
            raise LifecycleError(
                f"the publication has no {', '.join(missing)}",
                where=str(publication.database),
                remedy="An earlier version wrote it. Run the pipeline once: `lifecycle run`.",
            )
        end = local_midnight_after(publication.as_of, settings)
        # Companies that sell to companies count by account.
        _read_people(warehouse, per_account=settings.lifecycle.per == "account")
        problem = _read_lines(warehouse, settings)
        _read_paid_days(warehouse, settings.timezone)
        yield Evidence(settings, publication, warehouse, end, problem)


def _read_people(warehouse: Warehouse, *, per_account: bool) -> None:
    """Everybody but tests and employees."""
    warehouse.run(
        """
        create temp table members as
        select
            customer_id,
            case when $per_account and account_key is not null then 'account:' || account_key else customer_id end
                as lifecycle_id
        from marts.customer_360
        where not is_test and not is_employee
        """,
        {"per_account": per_account},
    )
    # In an account the persona of most of its people counts.
    warehouse.run(
        """
        create temp table people as
        select
            members.lifecycle_id,
            mode(customers.persona order by customers.persona) as persona,
            sum(customers.net_revenue_amount) as net_revenue_amount,
            bool_or(customers.is_subscribed) as is_subscribed,
            bool_or(customers.subscription_count > 0) as has_subscription,
            max(customers.account_closed_at) as account_closed_at,
            null::varchar as first_category
        from marts.customer_360 as customers
        inner join temp.members using (customer_id)
        group by members.lifecycle_id
        """
    )


def _read_lines(warehouse: Warehouse, settings: Settings) -> str | None:
    """Order lines with a category, in the reporting currency. Gives why there are none, or None."""
    warehouse.run("create temp table lines (source_system varchar, order_id varchar, category varchar, amount double)")
    warehouse.run("create temp table spends (source_system varchar, order_id varchar, spend_amount double)")
    if not settings.state.warehouse.exists():
        return "the build file is not there"
    path = settings.state.warehouse
    try:
        with run_lock(settings.state, "calibrate"), attached(warehouse, path, "build"):
            known = {
                name
                for (name,) in warehouse.rows(
                    "select schema_name || '.' || table_name from duckdb_tables() where database_name = 'build'"
                )
            }
            if not set(LINES) <= known:
                return "the build file holds no order lines yet"
            warehouse.run(
                """
                insert into temp.lines
                select
                    lines.source_system,
                    lines.order_id,
                    lines.category,
                    sum((lines.line_amount - lines.discount_amount)::double * amounts.exchange_rate::double)
                from build.intermediate.int_order_lines as lines
                inner join build.intermediate.int_order_amounts as amounts
                    on lines.source_system = amounts.source_system and lines.order_id = amounts.order_id
                where lines.category is not null and not lines.is_return and not lines.is_zero
                group by all
                """
            )
            warehouse.run(
                """
                insert into temp.spends
                select source_system, order_id, (gross_revenue_amount - discount_amount)::double
                from build.intermediate.int_orders
                where is_paid and is_counted
                """
            )
    except LockedError:
        return "a run is working on the build file"
    if not warehouse.scalar("select count(*) from temp.lines"):
        return "no order line has a category"
    return None


def _read_paid_days(warehouse: Warehouse, timezone: str) -> None:
    """Days with a paid order or the beginning of a paid period, as the models count them (docs/lifecycle.md)."""
    local_date = f"cast(timezone({literal(timezone)}, timezone('UTC', occurred_at)) as date)"
    warehouse.run(
        f"""
        create temp table paid_orders as
        with timeline as (
            select members.lifecycle_id, timeline.*
            from marts.customer_timeline as timeline
            inner join temp.members using (customer_id)
            where timeline.event_name in ('order_placed', 'order_refunded')
        ),
        refunds as (
            select customer_id, order_id, sum(amount) as refund_amount
            from timeline
            where event_name = 'order_refunded' and starts_with(event_id, 'refund:')
            group by customer_id, order_id
        )
        select
            orders.lifecycle_id,
            orders.source_system,
            orders.order_id,
            {local_date} as paid_date,
            orders.occurred_at as ordered_at,
            coalesce(refunds.refund_amount, 0) < orders.amount as is_kept,
            coalesce(spends.spend_amount, 0) as spend_amount
        from timeline as orders
        left join refunds on orders.customer_id = refunds.customer_id and orders.order_id = refunds.order_id
        left join temp.spends
            on orders.source_system = spends.source_system and orders.order_id = spends.order_id
        where orders.event_name = 'order_placed' and starts_with(orders.event_id, 'order:') and orders.amount > 0
        """
    )
    warehouse.run(
        f"""
        create temp table paid_days as
        with payments as (
            select lifecycle_id, paid_date, ordered_at as paid_at, is_kept from temp.paid_orders
            union all
            select members.lifecycle_id, {local_date}, occurred_at, true
            from marts.customer_timeline
            inner join temp.members using (customer_id)
            where event_name in ('subscription_started', 'subscription_renewed') and amount > 0
        ),
        days as (
            select lifecycle_id, paid_date, min(paid_at) as paid_at, bool_or(is_kept) as is_kept
            from payments
            group by lifecycle_id, paid_date
        )
        select
            *,
            row_number() over in_order as paid_number,
            lead(paid_at) over in_order as next_paid_at,
            epoch(paid_at - lag(paid_at) over in_order) / 86400 as gap_days,
            first_value(paid_at) over in_order as first_paid_at,
            count(*) filter (where is_kept) over (partition by lifecycle_id) as kept_count
        from days
        window in_order as (partition by lifecycle_id order by paid_date)
        """
    )
    warehouse.run(
        """
        create temp table upgrades as
        select members.lifecycle_id, timeline.occurred_at
        from marts.customer_timeline as timeline
        inner join temp.members using (customer_id)
        where timeline.event_name = 'subscription_upgraded' and timeline.amount > 0
        """
    )
    # Who pays by contract does not choose when to come back.
    warehouse.run(
        "create temp view chosen_days as select paid_days.* from temp.paid_days anti join temp.people"
        " on people.lifecycle_id = paid_days.lifecycle_id and people.has_subscription"
    )
