"""The checks of the three gates, as data.

Belongs here: what each gate observes, its limits, and what a person does when one is broken.
Does not belong here: judging (``gate.py``) and deciding what stops (``orchestration/``).

Every observation is a count, a share or a difference over whole tables: nothing here selects a row to show it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from lifecycle.quality.gate import Check, Severity
from lifecycle.sources.contract import TABLES, Kind, Table
from lifecycle.warehouse import literal, quoted

if TYPE_CHECKING:
    from lifecycle.settings import Settings, Sync

INTAKE = "intake"
MARTS = "marts"

PAST_BATCHES_NEEDED = 4
"""The volume band is judged from the fifth batch on: fewer say nothing about what is usual."""

NEVER_DAYS = 1_000_000
"""The age of a source that has no event at all: older than every limit that the settings allow."""

MAX_TAKEN_OFF_SHARE = 0.5
"""From this share of a segment on, people taken off its list are worth a look; only a warning, consent may say so."""


def segment_gate(segment: str) -> str:
    """The name of a segment's own gate."""
    return f"segment:{segment}"


def _timestamp(moment: datetime) -> str:
    return f"timestamp '{moment:%Y-%m-%d %H:%M:%S.%f}'"


def _rows_checks(table: str, source: str, *checks: tuple[str, str, str, str]) -> list[Check]:
    """Checks that count offending rows of one source: name, observation, description, remedy."""
    return [
        Check(name, table, observation, source, description, remedy, maximum=0)
        for name, observation, description, remedy in checks
    ]


# --- intake ---------------------------------------------------------------------------------------------------------


def intake_checks(settings: Settings, *, now: datetime) -> list[Check]:
    """What landed, before it is merged into ``raw``. ``now`` is the run's clock (UTC, without zone).

    The list depends on the settings alone, so that the checks of a table are known before anything has landed.
    """
    checks: list[Check] = []
    for name in sorted({source.table for source in settings.inputs}):
        checks += _batch_checks(settings, TABLES[name])
    oldest: dict[tuple[str, str], float] = {}
    for source in settings.inputs:
        if source.max_age_days is not None:
            key = (source.table, source.name)
            oldest[key] = min(source.max_age_days, oldest.get(key, source.max_age_days))
    for (name, system), days in sorted(oldest.items()):
        checks.append(_freshness(TABLES[name], system, days, now))
    return checks


def _batch_checks(settings: Settings, table: Table) -> list[Check]:
    quality = settings.quality
    name = literal(table.name)
    batches = f"(select * from landing.batches where table_name = {name}) as batches"
    # Rows of the quarantine that are tried again are few, chosen and bad: neither their number nor their share of bad
    # rows says anything about a source.
    files = f"(select * from landing.batches where table_name = {name} and not coalesce(is_requeue, false)) as files"
    statuses = {
        "loaded_count": "load",
        "duplicate_count": "duplicate",
        "superseded_count": "superseded",
        "suppressed_count": "suppressed",
    }
    landed = (
        "(select "
        + ", ".join(f"batches.{count}, coalesce(landed.{status}, 0) as {status}" for count, status in statuses.items())
        + " from landing.batches as batches left join (select batch_id, "
        + ", ".join(f"count(*) filter (where status = '{status}') as {status}" for status in statuses.values())
        + f" from landing.{quoted(table.name)} group by batch_id) as landed on batches.batch_id = landed.batch_id"
        f" where batches.table_name = {name}) as landed_batches"
    )
    # Per table and not per batch: a row that is tried again and fails keeps the batch that first brought it.
    rejected = (
        f"(select (select coalesce(sum(quarantined_count), 0) from landing.batches where table_name = {name})"
        f" - (select count(*) from landing.rejected_rows where table_name = {name}) as difference) as rejected"
    )
    volumes = (
        "(select batches.received_count / past.median_count as ratio from landing.batches as batches"
        " inner join (select source_system, table_name, cast(median(received_count) as double) as median_count"
        " from ops.batches where batch_id not in (select batch_id from landing.batches)"
        " and retired_at is null and not coalesce(is_requeue, false)"
        f" group by source_system, table_name having count(*) >= {PAST_BATCHES_NEEDED}) as past"
        " on batches.source_system = past.source_system and batches.table_name = past.table_name"
        f" where batches.table_name = {name} and not coalesce(batches.is_requeue, false)"
        " and past.median_count > 0) as volumes"
    )
    low, high = quality.volume_band
    # One bad row never stops a batch, however small the batch: a file of one line would stop for ever. A limit of 0
    # means none at all.
    tolerated = 1 if quality.max_quarantine_rate > 0 else 0
    raw = f"raw.{table.name}"
    volume_remedy = (
        "Look whether the source sent a part or a double of what it usually sends;"
        " if this volume is right, widen quality.volume_band."
    )
    return [
        *_rows_checks(
            raw,
            batches,
            (
                "batches_reconcile",
                "count(*) filter (where received_count is distinct from loaded_count + duplicate_count"
                " + superseded_count + suppressed_count + quarantined_count)",
                "Batches in which received is not loaded + duplicate + superseded + suppressed + quarantined.",
                "Rows were lost or doubled while loading. Compare the counts of ops.batches with the file.",
            ),
        ),
        *_rows_checks(
            raw,
            landed,
            (
                "landed_rows_agree",
                "count(*) filter (where "
                + " or ".join(f"{count} is distinct from {status}" for count, status in statuses.items())
                + ")",
                "Batches whose rows in the landing table are not as many as were counted while reading.",
                "Something changed the landing table after it was written. Load the files again.",
            ),
        ),
        *_rows_checks(
            raw,
            rejected,
            (
                "rejected_rows_agree",
                "abs(difference)",
                "Difference between the rows counted as unreadable and those kept for the quarantine.",
                "Something changed landing.rejected_rows after it was written. Load the files again.",
            ),
        ),
        Check(
            "quarantined_share",
            raw,
            "coalesce(max(quarantined_count / received_count)"
            f" filter (where received_count > 0 and quarantined_count > {tolerated}), 0)",
            files,
            "Highest share of unreadable rows in a batch (one single bad row is tolerated in any batch).",
            "See the reasons with `lifecycle quarantine list`; mend the file or the source's mapping, or raise"
            " quality.max_quarantine_rate.",
            maximum=quality.max_quarantine_rate,
        ),
        Check(
            "smallest_volume",
            raw,
            "coalesce(min(ratio), 1)",
            volumes,
            "Rows of the smallest batch as a multiple of the median of the source's past batches.",
            volume_remedy,
            minimum=low,
        ),
        Check(
            "largest_volume",
            raw,
            "coalesce(max(ratio), 1)",
            volumes,
            "Rows of the largest batch as a multiple of the median of the source's past batches.",
            volume_remedy,
            maximum=high,
        ),
        Check(
            "future_dated_records",
            raw,
            "coalesce(sum(future_count), 0)",
            batches,
            "Records dated after the moment of loading; they do not count until their day comes.",
            "Look at the source's clock and at the time zone its settings name.",
            maximum=0,
            severity="warning",
        ),
    ]


def _freshness(table: Table, system: str, days: float, now: datetime) -> Check:
    """Age of a source's newest record: by its own event time, else by a day in its key, else by when it changed."""
    day_of_key = next((name for name in table.key if table.by_name[name].kind is Kind.DAY), None)
    event_at = table.event_at or day_of_key
    moment = f"cast({quoted(event_at)} as timestamp)" if event_at else "coalesce(updated_at, loaded_at)"
    records = " union all ".join(
        f"select {moment} as happened_at from {schema}.{quoted(table.name)} where source_system = {literal(system)}"
        for schema in ("raw", "landing")
    )
    return Check(
        f"freshness_of_{system}",
        f"raw.{table.name}",
        f"coalesce((epoch({_timestamp(now)}) - epoch(max(happened_at))) / 86400, {NEVER_DAYS})",
        # What lies in the future says nothing about how fresh a source is.
        f"(select happened_at from ({records}) as records where happened_at <= {_timestamp(now)}) as newest",
        f"Days since the newest record of {system}.",
        "The source has stopped sending, or sends old files. Mend its export, or raise max_age_days.",
        maximum=days,
    )


# --- marts ----------------------------------------------------------------------------------------------------------


def marts_checks(settings: Settings, expected_tests: Sequence[str], *, run_id: str, as_of_end: datetime) -> list[Check]:
    """What the models made, before anybody sees it.

    ``expected_tests`` are the unique ids of all data tests that dbt had to run for this run; ``as_of_end`` is the first
    instant after the run's day (UTC, without zone).
    """
    return [
        *_order_checks(settings, as_of_end),
        *_customer_checks(as_of_end),
        *_history_checks(),
        *_identity_checks(settings),
        *_emptiness_checks(as_of_end),
        *_dbt_checks(expected_tests, run_id),
    ]


def _order_checks(settings: Settings, as_of_end: datetime) -> list[Check]:
    end, currency = _timestamp(as_of_end), literal(settings.currency)
    exists = f"(deleted_at is null or deleted_at >= {end})"
    in_and_out = (
        "(select known.order_id as known_order_id, modelled.order_id as modelled_order_id"
        f" from (select source_system, order_id from raw.orders where ordered_at < {end} and {exists}) as known"
        " full outer join intermediate.int_orders as modelled"
        " on known.source_system = modelled.source_system and known.order_id = modelled.order_id) as both_sides"
    )
    # Computed from the raw tables again, without the models: items less discounts, or what was charged less tax and
    # shipping for an order without items. Half a cent of rounding is allowed for each amount that was rounded.
    money = (
        "(select modelled.gross_revenue_amount - modelled.discount_amount as modelled_amount,"
        " case when lines.line_count is null"
        " then known.total_amount - coalesce(known.tax_amount, 0) - coalesce(known.shipping_amount, 0)"
        " else lines.amount - coalesce(known.discount_amount, 0) end as known_amount,"
        " 0.005 * (3 + 2 * coalesce(lines.line_count, 0)) as tolerance"
        " from raw.orders as known inner join intermediate.int_orders as modelled"
        " on known.source_system = modelled.source_system and known.order_id = modelled.order_id"
        " left join (select source_system, order_id, count(*) as line_count,"
        " sum(line_amount - coalesce(discount_amount, 0)) as amount"
        f" from raw.order_items where {exists} group by source_system, order_id) as lines"
        " on known.source_system = lines.source_system and known.order_id = lines.order_id"
        f" where known.currency = {currency} and modelled.is_counted) as amounts"
    )
    refunds = (
        "(select modelled.amount as modelled_amount, coalesce(given.amount, 0) as known_amount,"
        " 0.005 * coalesce(given.refund_count, 0) as tolerance"
        " from (select id_namespace, order_id, sum(refund_amount) as amount from intermediate.int_orders"
        f" where is_counted and currency = {currency} group by id_namespace, order_id) as modelled"
        " left join (select id_namespace, order_id, count(*) as refund_count, sum(coalesce(item_refund_amount,"
        " refund_amount - coalesce(tax_refund_amount, 0) - coalesce(shipping_refund_amount, 0))) as amount"
        f" from raw.refunds where refunded_at < {end} and {exists} group by id_namespace, order_id) as given"
        " on modelled.id_namespace = given.id_namespace and modelled.order_id = given.order_id) as refunds"
    )
    amounts = ("gross_revenue_amount", "discount_amount", "refund_amount", "net_revenue_amount")
    monthly = (
        "(select"
        + ",".join(
            f" (select coalesce(sum({name}), 0) from intermediate.int_orders where is_counted)"
            f" - (select coalesce(sum({name}), 0) from marts.revenue_monthly) as {name}"
            for name in amounts
        )
        + ", (select count(*) from intermediate.int_orders where is_counted)"
        " - (select coalesce(sum(order_count), 0) from marts.revenue_monthly) as order_count) as differences"
    )
    # Orders of nobody make no customer and stand apart; customers and they together are all there is.
    customers = (
        "(select (select count(*) from intermediate.int_orders where is_counted)"
        " - (select count(*) from intermediate.int_orders where is_counted and customer_id is null)"
        " - (select coalesce(sum(order_count), 0) from marts.customer_360) as order_count,"
        " (select coalesce(sum(net_revenue_amount), 0) from intermediate.int_orders where is_counted)"
        " - (select coalesce(sum(net_revenue_amount), 0) from intermediate.int_orders"
        " where is_counted and customer_id is null)"
        " - (select coalesce(sum(net_revenue_amount), 0) from marts.customer_360) as net_revenue_amount"
        ") as differences"
    )
    remedy = "A model loses or doubles orders: follow one missing amount from raw.orders to intermediate.int_orders."
    return [
        *_rows_checks(
            "marts.revenue_monthly",
            in_and_out,
            (
                "orders_in_are_orders_out",
                "count(*) filter (where known_order_id is null or modelled_order_id is null)",
                "Orders that are in raw and not in the models, or the other way round.",
                remedy,
            ),
        ),
        *_rows_checks(
            "marts.revenue_monthly",
            "(select count(*) as row_count from intermediate.int_orders group by source_system, order_id) as orders",
            (
                "orders_are_counted_once",
                "coalesce(sum(row_count - 1), 0)",
                "Rows of int_orders beyond the first of an order.",
                "A join in int_orders has several rows on its right side for one order.",
            ),
        ),
        *_rows_checks(
            "marts.revenue_monthly",
            money,
            (
                "order_revenue_agrees_with_raw",
                "count(*) filter (where modelled_amount is null or known_amount is null"
                " or abs(modelled_amount - known_amount) > tolerance)",
                "Counted orders in the reporting currency whose revenue differs from their raw items and discounts.",
                remedy,
            ),
        ),
        *_rows_checks(
            "marts.revenue_monthly",
            refunds,
            (
                "order_refunds_agree_with_raw",
                "count(*) filter (where abs(modelled_amount - known_amount) > tolerance)",
                "Counted orders in the reporting currency whose refunds differ from the raw refunds.",
                remedy,
            ),
        ),
        *_rows_checks(
            "marts.revenue_monthly",
            monthly,
            *(
                (
                    f"monthly_{name}_balances",
                    f"abs({name})",
                    f"Difference between the {name} of all counted orders and of all months.",
                    "marts.revenue_monthly loses or doubles orders: compare month by month with int_orders.",
                )
                for name in (*amounts, "order_count")
            ),
        ),
        *_rows_checks(
            "marts.customer_360",
            customers,
            *(
                (
                    f"customer_{name}_balances",
                    f"abs({name})",
                    f"Difference between the {name} of all counted orders and that of customers and unidentified"
                    " orders together.",
                    "Orders are lost or doubled on their way to customers: look at identity.customer_links.",
                )
                for name in ("order_count", "net_revenue_amount")
            ),
        ),
    ]


def _customer_checks(as_of_end: datetime) -> list[Check]:
    end = _timestamp(as_of_end)
    return [
        *_rows_checks(
            "marts.customer_360",
            "marts.customer_360",
            (
                "customer_id_is_present",
                "count(*) - count(customer_id)",
                "Rows without a customer id.",
                "A join in the model finds no customer: look at its spine.",
            ),
            (
                "customer_id_is_unique",
                "count(customer_id) - count(distinct customer_id)",
                "Rows beyond the first of a customer.",
                "A join in the model multiplies customers: look for a right side with several rows each.",
            ),
            (
                "every_customer_has_a_stage",
                "count(*) - count(lifecycle_stage)",
                "Customers without a stage.",
                "The stage rules must be total: the last rule of each branch takes everybody who is left.",
            ),
        ),
        *_rows_checks(
            "marts.customer_timeline",
            "marts.customer_timeline",
            (
                "nothing_from_the_future",
                f"count(*) filter (where occurred_at is null or occurred_at >= {end})",
                "Events without a time or after the end of the run's day.",
                "A staging model lets times after the run's day through: it must use as_of_end() and happened().",
            ),
            (
                "event_id_is_unique",
                "count(*) - count(distinct event_id)",
                "Events that appear more than once.",
                "Two branches of the timeline bring the same event, or an id lacks its source.",
            ),
        ),
        *_rows_checks(
            "marts.customer_timeline",
            "(select timeline.customer_id from marts.customer_timeline as timeline"
            " anti join marts.customer_360 as customers on timeline.customer_id = customers.customer_id) as strangers",
            (
                "timeline_customers_exist",
                "count(*)",
                "Events of customers who are not in customer_360.",
                "Both must come from identity.customer_links.",
            ),
        ),
    ]


def _history_checks() -> list[Check]:
    table = "marts.customer_lifecycle_history"
    ordered = (
        "(select customer_id, valid_from_at, valid_to_at, lead(valid_from_at) over following as next_from_at"
        f" from {table} window following as (partition by customer_id order by valid_from_at, valid_to_at nulls last)"
        ") as intervals"
    )
    rules = "The intervals come from one window over a customer's events: look at its order and its tie-breaks."
    return [
        *_rows_checks(
            table,
            ordered,
            (
                "intervals_run_forward",
                "count(*) filter (where valid_from_at is null or valid_to_at <= valid_from_at)",
                "Intervals without a start, or that end before or when they start.",
                rules,
            ),
            (
                "intervals_touch_and_never_overlap",
                "count(*) filter (where next_from_at is not null and valid_to_at is distinct from next_from_at)",
                "Intervals that do not end exactly where the customer's next one starts.",
                rules,
            ),
        ),
        *_rows_checks(
            table,
            f"(select count(*) filter (where valid_to_at is null) as open_count from {table} group by customer_id)"
            " as customers",
            (
                "one_open_interval_per_customer",
                "count(*) filter (where open_count <> 1)",
                "Customers who do not have exactly one current stage.",
                rules,
            ),
        ),
        *_rows_checks(
            table,
            f"(select stage from {table} as history where not exists"
            " (select 1 from seeds.lifecycle_stages as stages where stages.stage = history.stage)) as unknown_stages",
            (
                "stages_are_canonical",
                "count(*)",
                "Intervals whose stage is not in seeds/lifecycle_stages.csv.",
                "Add the stage to the seed, or mend the rule that names it.",
            ),
        ),
        *_rows_checks(
            table,
            f"(select history.customer_id from {table} as history"
            " anti join marts.customer_360 as customers on history.customer_id = customers.customer_id) as strangers",
            (
                "history_customers_exist",
                "count(*)",
                "Intervals of customers who are not in customer_360.",
                "Both must come from identity.customer_links.",
            ),
        ),
        *_rows_checks(
            table,
            "(select distinct timeline.customer_id from marts.customer_timeline as timeline"
            f" anti join {table} as history on timeline.customer_id = history.customer_id) as without_history",
            (
                "everybody_with_events_has_a_history",
                "count(*)",
                "Customers with events and without any stage.",
                "The history must begin with a customer's first event of any kind.",
            ),
        ),
        *_rows_checks(
            "marts.customer_360",
            "(select customers.lifecycle_stage, history.stage from marts.customer_360 as customers"
            f" inner join {table} as history on customers.customer_id = history.customer_id"
            " and history.valid_to_at is null) as stages",
            (
                "stage_agrees_with_history",
                "count(*) filter (where lifecycle_stage is distinct from stage)",
                "Customers whose stage is not that of their open interval.",
                "customer_360 must take the stage from customer_lifecycle_history and nowhere else.",
            ),
        ),
    ]


def _identity_checks(settings: Settings) -> list[Check]:
    table, key = "identity.customer_links", "source_system, record_table, record_id"
    same = " and ".join(f"records.{column} = links.{column}" for column in key.split(", "))
    limit = settings.quality.max_cluster_size
    return [
        *_rows_checks(
            table,
            # Other identifiers may be blocked, or be a phone alone: such a record belongs to nobody known.
            "(select records.record_id from intermediate.int_identity_records as records"
            f" anti join {table} as links on {same} where records.contact_id is not null) as unlinked",
            (
                "every_contact_record_has_a_customer",
                "count(*)",
                "Identity records with a contact id that belong to no customer.",
                "Clustering must return every record, alone if need be: look at lifecycle/identity.",
            ),
        ),
        *_rows_checks(
            table,
            f"(select count(*) as link_count, count(customer_id) as customer_count from {table} group by {key})"
            " as records",
            (
                "no_record_has_two_customers",
                "count(*) filter (where link_count <> 1 or customer_count <> 1)",
                "Records linked more than once, or to nobody.",
                "Clusters must not overlap: look at lifecycle/identity/clusters.py.",
            ),
        ),
        *_rows_checks(
            table,
            f"(select links.customer_id from {table} as links"
            " anti join marts.customer_360 as customers on links.customer_id = customers.customer_id) as strangers",
            (
                "linked_customers_exist",
                "count(*)",
                "Links to customers who are not in customer_360.",
                "customer_360 must start from all customers of identity.customer_links.",
            ),
        ),
        Check(
            "largest_cluster",
            table,
            "coalesce(max(record_count), 0)",
            "(select count(distinct (source_system, record_id)) as record_count"
            f" from {table} where record_table = 'contacts' group by customer_id) as clusters",
            "Contact records of the customer who has most of them.",
            "Strangers were probably merged by an identifier they share (a shop's own address or phone). Lower"
            " identity.max_contacts_per_identifier, or raise quality.max_cluster_size if it is right.",
            maximum=limit,
        ),
    ]


def _emptiness_checks(as_of_end: datetime) -> list[Check]:
    end = _timestamp(as_of_end)
    exists = f"(deleted_at is null or deleted_at >= {end})"
    pairs = (
        # (what comes in, what must not be empty then)
        (f"select count(*) from raw.contacts where {exists}", "marts.customer_360"),
        (f"select count(*) from raw.contacts where {exists}", "identity.customer_links"),
        ("select count(*) from intermediate.int_orders where is_counted", "marts.revenue_monthly"),
        (
            "select count(*) from intermediate.int_orders where is_counted and customer_id is not null",
            "marts.customer_timeline",
        ),
        ("select count(*) from marts.customer_timeline", "marts.customer_lifecycle_history"),
    )
    return [
        Check(
            "not_empty_when_there_is_input",
            table,
            "case when incoming_count > 0 and outgoing_count = 0 then 1 else 0 end",
            f"(select ({incoming}) as incoming_count, (select count(*) from {table}) as outgoing_count) as counts",
            "1 when the table is empty although there is something to make it from.",
            "A filter or an inner join drops everything: run the models of this table one after the other.",
            maximum=0,
        )
        for incoming, table in pairs
    ]


def _dbt_checks(expected_tests: Sequence[str], run_id: str) -> list[Check]:
    table = "ops.dbt_test_results"
    expected = ", ".join(f"({literal(test)})" for test in sorted(set(expected_tests)))
    # `values` needs a row: without any expected test, an impossible one that the filter takes out again.
    verdicts = (
        "(select expected.unique_id, results.status, results.severity from"
        f" (select unique_id from (values {expected or '(null)'}) as names(unique_id) where unique_id is not null)"
        f" as expected left join {table} as results on results.unique_id = expected.unique_id"
        f" and results.run_id = {literal(run_id)}) as verdicts"
    )
    # Tests of one segment's own model are that segment's affair.
    given = verdicts
    names = f"select test_name, failures from {table} where run_id = '{run_id}' and status "

    def check(
        name: str, source: str, observation: str, description: str, remedy: str, *, severity: Severity = "error"
    ) -> Check:
        return Check(name, table, observation, source, description, remedy, maximum=0, severity=severity)

    broken = Check(
        "dbt_tests_could_run",
        table,
        "count(*) filter (where status not in ('pass', 'warn', 'fail', 'skipped'))",
        given,
        "Data tests of dbt that ended with an error, so that nobody knows what they would have found.",
        f"dbt's log says why; the tests are named by: {names} = 'error'.",
        maximum=0,
        violation="broken",
    )
    return [
        check(
            "every_dbt_test_has_a_verdict",
            verdicts,
            "count(*) filter (where status is null or status not in ('pass', 'warn', 'fail', 'error'))",
            "Data tests of the manifest that were not carried out in this run (not started, or skipped).",
            "Run the whole pipeline: a partial run, or a model that failed before, leaves tests out.",
        ),
        broken,
        check(
            "dbt_tests_hold",
            given,
            "count(*) filter (where status = 'fail' and severity <> 'warning')",
            "Data tests of dbt that failed.",
            f"The tests are named by: {names} = 'fail'.",
        ),
        check(
            "dbt_warnings",
            given,
            "count(*) filter (where status = 'warn' or (status = 'fail' and severity = 'warning'))",
            "Data tests of dbt that warn.",
            f"The tests are named by: {names} = 'warn'.",
            severity="warning",
        ),
    ]


# --- segments -------------------------------------------------------------------------------------------------------


def segment_checks(
    settings: Settings,
    segment: str,
    *,
    run_id: str,
    as_of_end: datetime,
    previous_counts: Mapping[str, int],
    lists: Mapping[str, str] | None = None,
) -> list[Check]:
    """One segment and every list that would be sent of it.

    ``previous_counts`` are the members of each segment in the last publication. ``lists`` gives for a sync's key the
    query of the list that would be sent (``customer_id`` and a column per identifier that the sync sends); without it,
    the lists of ``lifecycle.publishing.plan`` over the build warehouse. A segment that no sync uses is judged too, but
    being empty or shrunk is only worth a warning then.
    """
    from lifecycle.publishing.plan import list_sql

    syncs = [sync for sync in settings.syncs if sync.segment == segment]
    checks = _member_checks(
        settings,
        segment,
        syncs,
        previous_count=previous_counts.get(segment, 0),
        run_id=run_id,
        as_of_end=as_of_end,
    )
    for sync in syncs:
        checks += _list_checks(segment, sync, list_sql(sync) if lists is None else lists[sync.key])
    return checks


def _member_checks(
    settings: Settings,
    segment: str,
    syncs: Sequence[Sync],
    *,
    previous_count: int,
    run_id: str,
    as_of_end: datetime,
) -> list[Check]:
    table = f"segments.seg_{segment}"
    members = f"(select * from segments.segment_members where segment_name = {literal(segment)}) as members"
    strangers = (
        f"(select members.customer_id from {members} anti join marts.customer_360 as customers"
        " on members.customer_id = customers.customer_id) as strangers"
    )
    checks = [
        Check(
            "enough_members",
            table,
            "count(*)",
            members,
            "Members of the segment.",
            "Look at the segment's rule and at the stage counts behind it; the last list stays as it is until then."
            " A list that may be empty says guards: {min_size: 0}.",
            minimum=max((sync.guards.min_size for sync in syncs), default=1),
            severity="error" if syncs else "warning",
        ),
        *_rows_checks(
            table,
            members,
            (
                "members_are_unique",
                "count(*) - count(distinct customer_id)",
                "Rows beyond the first of a member, or without a customer.",
                "The segment's model must have one open interval per customer.",
            ),
            (
                "nobody_entered_in_the_future",
                f"count(*) filter (where entered_at >= {_timestamp(as_of_end)})",
                "Members who entered after the end of the run's day.",
                "The segment's rule looks ahead: it must use as_of_end().",
            ),
        ),
        *_rows_checks(
            table,
            strangers,
            (
                "members_are_customers",
                "count(*)",
                "Members who are not in customer_360.",
                "The segment was built from other customers than customer_360: run both in one run.",
            ),
        ),
        *_rows_checks(
            table,
            f"(select status, severity from ops.dbt_test_results where run_id = {literal(run_id)}"
            f" and contains(test_name, {literal(f'_seg_{segment}_')})) as verdicts",
            (
                "its_dbt_tests_hold",
                "count(*) filter (where status not in ('pass', 'warn') and severity <> 'warning')",
                "Data tests of dbt on the segment's own model that did not pass.",
                "The tests are named in ops.dbt_test_results; mend the segment's model.",
            ),
        ),
        Check(
            "input_is_of_this_run",
            table,
            "count(*)",
            f"(select gate from ops.gate_results where run_id = {literal(run_id)} and gate = {literal(MARTS)}"
            " group by gate having count(*) filter"
            " (where outcome = 'broken' or (outcome = 'failed' and severity = 'error')) = 0) as judged",
            "1 when the marts of this very run were judged and passed.",
            "The segment rests on data of another run, or of one that did not pass. Start the whole pipeline.",
            minimum=1,
        ),
    ]
    if previous_count > 0:
        checks.append(
            Check(
                "kept_its_size",
                table,
                f"cast(count(*) as double) / {int(previous_count)}",
                members,
                "Members as a multiple of those in the last publication.",
                "If so many really left, raise quality.max_segment_shrink for this run; else look at the rule.",
                minimum=round(1 - settings.quality.max_segment_shrink, 6),
                severity="error" if syncs else "warning",
            )
        )
    return checks


def _list_checks(segment: str, sync: Sync, query: str) -> list[Check]:
    table = f"segments.seg_{segment}"
    sent = f"({query}) as sent"
    judged = (
        "(select sent.*, customers.customer_id is not null as is_known, customers.is_test, customers.is_employee,"
        f" {'true' if sync.channel == 'none' else f'customers.{sync.channel}_consent'} as has_consent,"
        " members.customer_id is not null as is_member"
        f" from {sent} left join marts.customer_360 as customers on sent.customer_id = customers.customer_id"
        " left join (select distinct customer_id from segments.segment_members"
        f" where segment_name = {literal(segment)}) as members on sent.customer_id = members.customer_id) as judged"
    )
    checks = _rows_checks(
        table,
        judged,
        (
            f"{sync.key}_has_consent",
            "count(*) filter (where not coalesce(has_consent, false))",
            "People on the list who have not agreed to this channel.",
            "Consent is deny by default: lifecycle/publishing/plan.py must take them off.",
        ),
        (
            f"{sync.key}_has_real_people",
            "count(*) filter (where coalesce(is_test, false) or coalesce(is_employee, false))",
            "Test records and employees on the list.",
            "lifecycle/publishing/plan.py must take them off.",
        ),
        (
            f"{sync.key}_has_known_members",
            "count(*) filter (where not is_known or not is_member)",
            "People on the list who are erased, unknown or not in the segment.",
            "lifecycle/publishing/plan.py must start from the segment's members of this run.",
        ),
    )
    if sync.identifiers:
        missing = " and ".join(f"nullif(trim({quoted(name)}), '') is null" for name in sync.identifiers)
        checks += _rows_checks(
            table,
            judged,
            (
                f"{sync.key}_has_identifiers",
                f"count(*) filter (where {missing})",
                "People on the list without any identifier that the list needs.",
                "lifecycle/publishing/plan.py must take them off.",
            ),
        )
    checks.append(
        Check(
            f"{sync.key}_share_taken_off",
            table,
            "coalesce(1 - cast(sent_count as double) / nullif(member_count, 0), 0)",
            f"(select (select count(distinct customer_id) from {sent}) as sent_count,"
            " (select count(distinct customer_id) from segments.segment_members"
            f" where segment_name = {literal(segment)}) as member_count) as counts",
            "Share of the segment that consent, suppression and missing identifiers take off the list.",
            "Look at consent and identifiers of this segment; nothing is wrong if people did not agree.",
            maximum=MAX_TAKEN_OFF_SHARE,
            severity="warning",
        )
    )
    return checks
