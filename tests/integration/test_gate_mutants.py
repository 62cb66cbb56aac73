"""Every check of every gate fires on data altered so that it must, and is silent on clean data."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from lifecycle.quality.gate import Check, DbtTestResult, Verdict, create_tables, judge, record_dbt_results
from lifecycle.quality.suites import INTAKE, MARTS, intake_checks, marts_checks, segment_checks, segment_gate
from lifecycle.settings import DestinationSettings, Guards, Settings, Source, Sync
from lifecycle.sources.intake import prepare
from lifecycle.warehouse import Warehouse, open_duckdb

RUN = "run-1"
NOW = datetime(2024, 3, 10, 12)
AS_OF_END = datetime(2024, 3, 10)
EXPECTED_TESTS = ["test.lifecycle.unique_orders", "test.lifecycle.not_null_customers"]
CANARY = "canary.person@example.com"

SETTINGS = Settings(
    project="corner_shop",
    sources=[
        Source(name="shop", table="contacts", path="contacts.csv"),
        Source(name="shop", table="orders", path="orders.csv", max_age_days=3),
        Source(name="shop", table="products", path="products.csv", max_age_days=30),
        Source(name="ads", table="marketing_spend", path="spend.csv", max_age_days=30),
    ],
    destinations=[DestinationSettings(name="drop", path="out")],
    syncs=[
        Sync(
            segment="lapsed",
            destination="drop",
            channel="email",
            identifiers=["email"],
            guards=Guards(min_size=2),
        )
    ],
)
SYNC = SETTINGS.syncs[0].key
LIST = f"select customer_id, email from test_list where sync_key = '{SYNC}'"

CLEAN = """
    create schema intermediate; create schema marts;
    create schema identity; create schema segments; create schema seeds;

    insert into ops.batches (batch_id, source_system, table_name, received_count)
        select 'past' || n, 'shop', 'orders', 4 + n from range(0, 5) as r(n);
    insert into landing.batches (batch_id, source_system, table_name, received_count, loaded_count, duplicate_count,
            superseded_count, suppressed_count, quarantined_count, future_count, is_requeue) values
        ('b1', 'shop', 'orders', 6, 2, 1, 1, 1, 1, 0, false),
        ('b2', 'shop', 'contacts', 1, 0, 0, 0, 0, 1, 0, false),
        ('b3', 'shop', 'orders', 2, 0, 0, 0, 0, 2, 0, true);
    insert into landing.orders (source_system, batch_id, order_id, ordered_at, status) values
        ('shop', 'b1', 'o8', '2024-03-09', 'load'), ('shop', 'b1', 'o9', '2024-03-10 11:00', 'load'),
        ('shop', 'b1', 'o1', '2024-02-01', 'duplicate'), ('shop', 'b1', 'o2', '2024-02-02', 'superseded'),
        ('shop', 'b1', 'o7', '2024-02-03', 'suppressed');
    insert into landing.rejected_rows (batch_id, table_name, raw_text) values
        ('b1', 'orders', 'CANARY'), ('b2', 'contacts', 'CANARY'),
        ('b0', 'orders', 'CANARY'), ('b0', 'orders', 'CANARY');
    insert into landing.products (source_system, batch_id, product_id, loaded_at)
        values ('shop', 'b0', 'p1', '2024-03-01');
    insert into raw.marketing_spend (source_system, spend_date) values ('ads', '2024-03-08');

    insert into raw.contacts (source_system, id_namespace, contact_id, email)
        values ('shop', 'shop', 'k1', 'CANARY'), ('shop', 'shop', 'k2', 'b@example.com'),
               ('shop', 'shop', 'k3', 'c@example.com');
    insert into raw.orders (source_system, id_namespace, order_id, contact_id, ordered_at, total_amount,
                            discount_amount, tax_amount, shipping_amount, currency)
        values ('shop', 'shop', 'o1', 'k1', '2024-02-01', 30, 1, 5, 2, 'USD'),
               ('shop', 'shop', 'o2', 'k2', '2024-02-02', 12, 0, 1, 1, 'USD'),
               ('shop', 'shop', 'o3', null, '2024-02-03', 8.005, null, null, null, 'USD'),
               ('shop', 'shop', 'o4', 'k2', '2024-02-04', 50, null, null, null, 'EUR');
    insert into raw.order_items (source_system, id_namespace, order_id, line_number, line_amount, discount_amount)
        values ('shop', 'shop', 'o1', 1, 20.004, 1), ('shop', 'shop', 'o1', 2, 5, null);
    insert into raw.refunds (source_system, id_namespace, refund_id, order_id, refunded_at, refund_amount,
                             tax_refund_amount)
        values ('shop', 'shop', 'r1', 'o1', '2024-02-10', 6, 1);

    create table intermediate.int_orders (source_system varchar, id_namespace varchar, order_id varchar,
        order_key varchar, customer_id varchar, currency varchar, ordered_at timestamp, order_date date,
        is_counted boolean, gross_revenue_amount decimal(18,2), discount_amount decimal(18,2),
        refund_amount decimal(18,2), net_revenue_amount decimal(18,2));
    insert into intermediate.int_orders values
        ('shop', 'shop', 'o1', 'shop:o1', 'c_1', 'USD', '2024-02-01', '2024-02-01', true, 25, 2, 5, 18),
        ('shop', 'shop', 'o2', 'shop:o2', 'c_2', 'USD', '2024-02-02', '2024-02-02', true, 10, 0, 0, 10),
        ('shop', 'shop', 'o3', 'shop:o3', null, 'USD', '2024-02-03', '2024-02-03', true, 8.01, 0, 0, 8.01),
        ('shop', 'shop', 'o4', 'shop:o4', 'c_2', 'EUR', '2024-02-04', '2024-02-04', false, null, 0, 0, null);
    create table marts.revenue_monthly as
        select date '2024-02-01' as revenue_month, 3 as order_count, 2 as customer_count,
            43.01::decimal(18,2) as gross_revenue_amount, 2.00::decimal(18,2) as discount_amount,
            5.00::decimal(18,2) as refund_amount, 36.01::decimal(18,2) as net_revenue_amount;

    create table marts.customer_360 (customer_id varchar, first_seen_at timestamp, order_count bigint,
        net_revenue_amount decimal(18,2), lifecycle_stage varchar, email_consent boolean, sms_consent boolean,
        ads_consent boolean, is_test boolean, is_employee boolean);
    insert into marts.customer_360 values
        ('c_1', '2024-02-01', 1, 18, 'retention', true, false, false, false, false),
        ('c_2', '2024-02-02', 1, 10, 'lapsed', true, false, false, false, false),
        ('c_3', '2024-02-03', 0, 0, 'awareness', true, false, false, false, false);
    create table seeds.lifecycle_stages as
        select unnest(['awareness', 'conversion', 'retention', 'lapsed']) as stage;
    create table marts.customer_lifecycle_history (customer_id varchar, stage varchar, valid_from_at timestamp,
        valid_to_at timestamp);
    insert into marts.customer_lifecycle_history values
        ('c_1', 'conversion', '2024-02-01', '2024-02-20'), ('c_1', 'retention', '2024-02-20', null),
        ('c_2', 'lapsed', '2024-02-02', null), ('c_3', 'awareness', '2024-02-03', null);
    create table marts.customer_timeline (customer_id varchar, event_id varchar, occurred_at timestamp);
    insert into marts.customer_timeline values
        ('c_1', 'order:shop:o1', '2024-02-01'), ('c_2', 'order:shop:o2', '2024-02-02');

    create table intermediate.int_identity_records as
        select 'shop' as source_system, 'contacts' as record_table, 'k' || n as record_id, 'k' || n as contact_id
        from range(1, 4) as r(n);
    create table identity.customer_links as
        select source_system, record_table, record_id, 'c_' || right(record_id, 1) as customer_id
        from intermediate.int_identity_records;

    create table segments.segment_members (segment_name varchar, customer_id varchar, entered_at timestamp,
        reason varchar default 'no order for 97 days');
    insert into segments.segment_members (segment_name, customer_id, entered_at) values
        ('lapsed', 'c_1', '2024-03-01'), ('lapsed', 'c_2', '2024-03-02'), ('lapsed', 'c_3', '2024-03-02'),
        ('new', 'c_3', '2024-03-02');
    create table marts.customer_contacts (customer_id varchar, identifier_kind varchar, identifier_value varchar,
        confidence double, is_preferred boolean);
    insert into marts.customer_contacts
        select customer_id, 'email', customer_id || '@example.com', 1, true from marts.customer_360;
    create table test_list as
        select 'SYNC' as sync_key, customer_id, customer_id || '@example.com' as email
        from segments.segment_members where segment_name = 'lapsed';
"""


@pytest.fixture(scope="session")
def clean_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clean") / "warehouse.duckdb"
    with open_duckdb(path) as warehouse:
        prepare(warehouse)
        for statement in CLEAN.replace("CANARY", CANARY).replace("SYNC", SYNC).split(";"):
            if statement.strip():
                warehouse.run(statement)
        create_tables(warehouse)
        record_dbt_results(warehouse, RUN, [DbtTestResult(test, test, "pass", 0, "error") for test in EXPECTED_TESTS])
        warehouse.run(
            "insert into ops.gate_results (run_id, gate, severity, outcome)"
            " values ('run-1', 'marts', 'error', 'passed')"
        )
    return path


@contextmanager
def altered(clean_file: Path, folder: Path, sql: str) -> Iterator[Warehouse]:
    path = folder / "warehouse.duckdb"
    shutil.copy(clean_file, path)
    with open_duckdb(path) as warehouse:
        for statement in sql.split(";"):
            if statement.strip():
                warehouse.run(statement)
        yield warehouse


def of_intake() -> list[Check]:
    return intake_checks(SETTINGS, now=NOW)


def of_marts() -> list[Check]:
    return marts_checks(SETTINGS, EXPECTED_TESTS, run_id=RUN, as_of_end=AS_OF_END)


def of_segment() -> list[Check]:
    return segment_checks(
        SETTINGS, "lapsed", run_id=RUN, as_of_end=AS_OF_END, previous_counts={"lapsed": 4}, lists={SYNC: LIST}
    )


GATES: dict[str, Callable[[], list[Check]]] = {
    INTAKE: of_intake,
    MARTS: of_marts,
    segment_gate("lapsed"): of_segment,
}

INTAKE_MUTANTS = {
    ("raw.orders", "batches_reconcile"): "update landing.batches set received_count = 8 where batch_id = 'b1'",
    ("raw.orders", "landed_rows_agree"): "delete from landing.orders where order_id = 'o8'",
    ("raw.orders", "rejected_rows_agree"): "delete from landing.rejected_rows where batch_id = 'b1'",
    ("raw.orders", "quarantined_share"): "update landing.batches set received_count = 7, quarantined_count = 2"
    " where batch_id = 'b1'; insert into landing.rejected_rows (batch_id, table_name) values ('b1', 'orders')",
    ("raw.orders", "smallest_volume"): "update ops.batches set received_count = 100",
    (
        "raw.orders",
        "largest_volume",
    ): "update landing.batches set received_count = 69, loaded_count = 65 where batch_id = 'b1';"
    " insert into landing.orders (batch_id, status) select 'b1', 'load' from range(63)",
    ("raw.orders", "future_dated_records"): "update landing.batches set future_count = 1 where batch_id = 'b1'",
    ("raw.orders", "freshness_of_shop"): "update landing.orders set ordered_at = '2024-03-07 11:00'",
    ("raw.products", "freshness_of_shop"): "update landing.products set loaded_at = '2024-01-01'",
    ("raw.marketing_spend", "freshness_of_ads"): "update raw.marketing_spend set spend_date = '2024-01-01'",
}

MARTS_MUTANTS = {
    ("marts.revenue_monthly", "orders_in_are_orders_out"): "delete from intermediate.int_orders where order_id = 'o4'",
    ("marts.revenue_monthly", "orders_are_counted_once"): "insert into intermediate.int_orders"
    " from intermediate.int_orders where order_id = 'o4'",
    ("marts.revenue_monthly", "order_revenue_agrees_with_raw"): "update intermediate.int_orders"
    " set discount_amount = 1, net_revenue_amount = 19 where order_id = 'o1'",
    ("marts.revenue_monthly", "order_refunds_agree_with_raw"): "update raw.refunds set refund_amount = 7",
    ("marts.revenue_monthly", "monthly_gross_revenue_amount_balances"): "update marts.revenue_monthly"
    " set gross_revenue_amount = 43.00",
    ("marts.revenue_monthly", "monthly_discount_amount_balances"): "update marts.revenue_monthly"
    " set discount_amount = 2.01",
    ("marts.revenue_monthly", "monthly_refund_amount_balances"): "update marts.revenue_monthly set refund_amount = 0",
    ("marts.revenue_monthly", "monthly_net_revenue_amount_balances"): "update marts.revenue_monthly"
    " set net_revenue_amount = 36.02",
    ("marts.revenue_monthly", "monthly_order_count_balances"): "update marts.revenue_monthly set order_count = 2",
    ("marts.customer_360", "customer_order_count_balances"): "update marts.customer_360 set order_count = 2"
    " where customer_id = 'c_1'",
    ("marts.customer_360", "customer_net_revenue_amount_balances"): "update marts.customer_360"
    " set net_revenue_amount = 10.01 where customer_id = 'c_2'",
    ("marts.customer_360", "customer_id_is_present"): "insert into marts.customer_360 (customer_id) values (null)",
    ("marts.customer_360", "customer_id_is_unique"): "insert into marts.customer_360 (customer_id) values ('c_1')",
    ("marts.customer_360", "every_customer_has_a_stage"): "update marts.customer_360"
    " set lifecycle_stage = null where customer_id = 'c_3'",
    ("marts.customer_timeline", "nothing_from_the_future"): "insert into marts.customer_timeline"
    " values ('c_1', 'x', '2024-03-10 00:00')",
    ("marts.customer_timeline", "event_id_is_unique"): "insert into marts.customer_timeline"
    " values ('c_1', 'order:shop:o2', '2024-02-02')",
    ("marts.customer_timeline", "timeline_customers_exist"): "insert into marts.customer_timeline"
    " values ('c_9', 'x', '2024-02-02')",
    ("marts.customer_lifecycle_history", "intervals_run_forward"): "update marts.customer_lifecycle_history"
    " set valid_from_at = '2024-02-20' where stage = 'conversion'",
    ("marts.customer_lifecycle_history", "intervals_touch_and_never_overlap"): "update"
    " marts.customer_lifecycle_history set valid_to_at = '2024-02-19' where stage = 'conversion'",
    ("marts.customer_lifecycle_history", "one_open_interval_per_customer"): "update marts.customer_lifecycle_history"
    " set valid_to_at = '2024-03-01' where customer_id = 'c_2'",
    ("marts.customer_lifecycle_history", "stages_are_canonical"): "update marts.customer_lifecycle_history"
    " set stage = 'sleeping' where customer_id = 'c_3'",
    ("marts.customer_lifecycle_history", "history_customers_exist"): "delete from marts.customer_360"
    " where customer_id = 'c_3'",
    ("marts.customer_lifecycle_history", "everybody_with_events_has_a_history"): "delete from"
    " marts.customer_lifecycle_history where customer_id = 'c_2'",
    ("marts.customer_360", "stage_agrees_with_history"): "update marts.customer_360 set lifecycle_stage = 'retention'"
    " where customer_id = 'c_3'",
    ("identity.customer_links", "every_contact_record_has_a_customer"): "delete from identity.customer_links"
    " where record_id = 'k3'",
    ("identity.customer_links", "no_record_has_two_customers"): "insert into identity.customer_links"
    " values ('shop', 'contacts', 'k1', 'c_2')",
    ("identity.customer_links", "linked_customers_exist"): "update identity.customer_links set customer_id = 'c_9'"
    " where record_id = 'k3'",
    ("identity.customer_links", "largest_cluster"): "insert into identity.customer_links"
    " select 'shop', 'contacts', 'more' || n, 'c_1' from range(0, 200) as r(n)",
    ("marts.customer_360", "not_empty_when_there_is_input"): "delete from marts.customer_360",
    ("identity.customer_links", "not_empty_when_there_is_input"): "delete from identity.customer_links",
    ("marts.revenue_monthly", "not_empty_when_there_is_input"): "delete from marts.revenue_monthly",
    ("marts.customer_timeline", "not_empty_when_there_is_input"): "delete from marts.customer_timeline",
    ("marts.customer_lifecycle_history", "not_empty_when_there_is_input"): "delete from"
    " marts.customer_lifecycle_history",
    ("ops.dbt_test_results", "every_dbt_test_has_a_verdict"): "delete from ops.dbt_test_results"
    " where unique_id = 'test.lifecycle.unique_orders'",
    ("ops.dbt_test_results", "dbt_tests_could_run"): "update ops.dbt_test_results set status = 'error'"
    " where unique_id = 'test.lifecycle.unique_orders'",
    ("ops.dbt_test_results", "dbt_tests_hold"): "update ops.dbt_test_results set status = 'fail', failures = 3"
    " where unique_id = 'test.lifecycle.unique_orders'",
    ("ops.dbt_test_results", "dbt_warnings"): "update ops.dbt_test_results set status = 'warn', severity = 'warning'"
    " where unique_id = 'test.lifecycle.unique_orders'",
}

SEGMENT_MUTANTS = {
    ("segments.seg_lapsed", "enough_members"): "delete from segments.segment_members where customer_id <> 'c_1'",
    ("segments.seg_lapsed", "members_are_unique"): "insert into segments.segment_members"
    " (segment_name, customer_id, entered_at) values ('lapsed', 'c_1', '2024-03-01')",
    ("segments.seg_lapsed", "nobody_entered_in_the_future"): "update segments.segment_members"
    " set entered_at = '2024-03-11' where customer_id = 'c_1'",
    ("segments.seg_lapsed", "members_are_customers"): "insert into segments.segment_members"
    " (segment_name, customer_id, entered_at) values ('lapsed', 'c_9', '2024-03-01')",
    ("segments.seg_lapsed", "its_dbt_tests_hold"): "insert into ops.dbt_test_results"
    f" values ('{RUN}', 'test.lifecycle.touching', 'touching_intervals_seg_lapsed_customer_id', 'fail', 2, 'error',"
    " timestamp '2024-03-10')",
    ("segments.seg_lapsed", "input_is_of_this_run"): "update ops.gate_results set outcome = 'failed'",
    ("segments.seg_lapsed", "kept_its_size"): "delete from segments.segment_members where customer_id <> 'c_1'",
    ("segments.seg_lapsed", f"{SYNC}_has_consent"): "update marts.customer_360 set email_consent = null"
    " where customer_id = 'c_1'",
    ("segments.seg_lapsed", f"{SYNC}_has_real_people"): "update marts.customer_360 set is_test = true"
    " where customer_id = 'c_1'",
    ("segments.seg_lapsed", f"{SYNC}_has_known_members"): "delete from segments.segment_members"
    " where customer_id = 'c_1'",
    ("segments.seg_lapsed", f"{SYNC}_has_identifiers"): "update test_list set email = ' ' where customer_id = 'c_1'",
    ("segments.seg_lapsed", f"{SYNC}_share_taken_off"): "delete from test_list where customer_id <> 'c_1'",
}

MUTANTS = {INTAKE: INTAKE_MUTANTS, MARTS: MARTS_MUTANTS, segment_gate("lapsed"): SEGMENT_MUTANTS}

ALIKE_PER_TABLE = {
    "batches_reconcile",
    "landed_rows_agree",
    "rejected_rows_agree",
    "quarantined_share",
    "smallest_volume",
    "largest_volume",
    "future_dated_records",
}
"""Intake checks that are the same SQL for every table: the mutant of one table stands for all."""

WARNINGS = {"future_dated_records", "dbt_warnings", f"{SYNC}_share_taken_off"}


def outcomes(verdict: Verdict) -> dict[tuple[str, str], str]:
    return {(result.table, result.name): result.outcome for result in verdict.results}


@pytest.mark.parametrize("gate", list(GATES))
def test_every_check_has_a_mutant(gate: str) -> None:
    checks = {(check.table, check.name) for check in GATES[gate]()}
    mutants = set(MUTANTS[gate])
    assert mutants <= checks
    assert {check for check in checks - mutants if gate != INTAKE or check[1] not in ALIKE_PER_TABLE} == set()


@pytest.mark.parametrize("gate", list(GATES))
def test_every_check_passes_on_clean_data(gate: str, clean_file: Path, tmp_path: Path) -> None:
    with altered(clean_file, tmp_path, "") as warehouse:
        verdict = judge(warehouse, gate, GATES[gate](), run_id=RUN)
        written = warehouse.rows("from ops.gate_results")
    assert CANARY not in str(verdict) + str(written)
    assert {key: outcome for key, outcome in outcomes(verdict).items() if outcome != "passed"} == {}
    assert verdict.passed


@pytest.mark.parametrize(
    ("gate", "key"),
    [pytest.param(gate, key, id=f"{key[0]}-{key[1]}") for gate, mutants in MUTANTS.items() for key in mutants],
)
def test_a_check_fires_on_its_mutant(gate: str, key: tuple[str, str], clean_file: Path, tmp_path: Path) -> None:
    with altered(clean_file, tmp_path, MUTANTS[gate][key]) as warehouse:
        verdict = judge(
            warehouse, gate, [check for check in GATES[gate]() if (check.table, check.name) == key], run_id=RUN
        )
        recorded = warehouse.scalar(
            "select outcome from ops.gate_results where run_id = ? and gate = ? and table_name = ? and check_name = ?",
            [RUN, gate, *key],
        )
        written = warehouse.rows("select observed, limit_value from ops.gate_results")
    expected = "broken" if key[1] == "dbt_tests_could_run" else "failed"
    assert outcomes(verdict)[key] == expected == recorded
    assert verdict.passed == (key[1] in WARNINGS)
    assert CANARY not in str(verdict) + str(written)


def test_one_bad_row_in_a_tiny_file_does_not_stop_unless_none_is_allowed(clean_file: Path, tmp_path: Path) -> None:
    strict = SETTINGS.model_copy(update={"quality": SETTINGS.quality.model_copy(update={"max_quarantine_rate": 0.0})})
    with altered(clean_file, tmp_path, "") as warehouse:
        # contacts.csv holds one row, and that one is bad
        tolerant = judge(warehouse, INTAKE, of_intake(), run_id=RUN)
        zero = judge(warehouse, INTAKE, intake_checks(strict, now=NOW), run_id=RUN)
    assert outcomes(tolerant)["raw.contacts", "quarantined_share"] == "passed"
    assert outcomes(zero)["raw.contacts", "quarantined_share"] == "failed"


def test_rows_tried_again_say_nothing_about_a_source(clean_file: Path, tmp_path: Path) -> None:
    # b3 of the clean data holds two requeued rows that are bad again, and they keep the batch they first came in
    with altered(clean_file, tmp_path, "") as warehouse:
        verdict = judge(warehouse, INTAKE, of_intake(), run_id=RUN)
        assert warehouse.scalar("select count(*) from landing.batches where is_requeue") == 1
    found = outcomes(verdict)
    assert [found["raw.orders", name] for name in ("quarantined_share", "smallest_volume", "rejected_rows_agree")] == [
        "passed"
    ] * 3


def test_batches_that_were_read_again_are_no_past(clean_file: Path, tmp_path: Path) -> None:
    sql = "update ops.batches set received_count = 9999, retired_at = '2024-03-01'"
    with altered(clean_file, tmp_path, sql) as warehouse:
        assert judge(warehouse, INTAKE, of_intake(), run_id=RUN).passed


def test_volume_is_not_judged_before_the_fifth_batch(clean_file: Path, tmp_path: Path) -> None:
    sql = "delete from ops.batches where batch_id in ('past3', 'past4'); update ops.batches set received_count = 9999"
    with altered(clean_file, tmp_path, sql) as warehouse:
        assert judge(warehouse, INTAKE, of_intake(), run_id=RUN).passed


def test_a_source_that_never_sent_anything_is_stale(clean_file: Path, tmp_path: Path) -> None:
    with altered(clean_file, tmp_path, "delete from raw.marketing_spend") as warehouse:
        verdict = judge(warehouse, INTAKE, of_intake(), run_id=RUN)
    assert outcomes(verdict)["raw.marketing_spend", "freshness_of_ads"] == "failed"


def test_a_record_from_the_future_makes_no_source_fresh(clean_file: Path, tmp_path: Path) -> None:
    sql = "update landing.orders set ordered_at = '2030-01-01'"
    with altered(clean_file, tmp_path, sql) as warehouse:
        verdict = judge(warehouse, INTAKE, of_intake(), run_id=RUN)
    assert outcomes(verdict)["raw.orders", "freshness_of_shop"] == "failed"


def test_a_skipped_dbt_test_has_no_verdict(clean_file: Path, tmp_path: Path) -> None:
    sql = "update ops.dbt_test_results set status = 'skipped' where unique_id = 'test.lifecycle.unique_orders'"
    with altered(clean_file, tmp_path, sql) as warehouse:
        verdict = judge(warehouse, MARTS, of_marts(), run_id=RUN)
    assert outcomes(verdict)["ops.dbt_test_results", "every_dbt_test_has_a_verdict"] == "failed"


def test_dbt_verdicts_of_another_run_count_for_nothing(clean_file: Path, tmp_path: Path) -> None:
    with altered(clean_file, tmp_path, "update ops.dbt_test_results set run_id = 'run-0'") as warehouse:
        verdict = judge(warehouse, MARTS, of_marts(), run_id=RUN)
    assert outcomes(verdict)["ops.dbt_test_results", "every_dbt_test_has_a_verdict"] == "failed"


def test_a_project_without_dbt_tests_has_none_missing(clean_file: Path, tmp_path: Path) -> None:
    with altered(clean_file, tmp_path, "") as warehouse:
        assert judge(warehouse, MARTS, marts_checks(SETTINGS, [], run_id=RUN, as_of_end=AS_OF_END), run_id=RUN).passed


def test_an_empty_segment_that_nobody_sends_only_warns(clean_file: Path, tmp_path: Path) -> None:
    checks = segment_checks(SETTINGS, "new", run_id=RUN, as_of_end=AS_OF_END, previous_counts={"new": 9})
    with altered(clean_file, tmp_path, "delete from segments.segment_members where segment_name = 'new'") as warehouse:
        verdict = judge(warehouse, segment_gate("new"), checks, run_id=RUN)
    assert verdict.passed
    assert {result.name for result in verdict.warnings} == {"enough_members", "kept_its_size"}


def test_people_whom_the_list_takes_off_do_not_stop_their_segment(clean_file: Path, tmp_path: Path) -> None:
    checks = segment_checks(SETTINGS, "lapsed", run_id=RUN, as_of_end=AS_OF_END, previous_counts={})
    sql = (
        "update marts.customer_360 set is_test = true where customer_id = 'c_1';"
        " update marts.customer_360 set email_consent = false where customer_id = 'c_2'"
    )
    with altered(clean_file, tmp_path, sql) as warehouse:
        verdict = judge(warehouse, segment_gate("lapsed"), checks, run_id=RUN)
    assert verdict.passed
    # two of three are taken off: worth a look
    assert [(result.name, result.observed) for result in verdict.warnings] == [(f"{SYNC}_share_taken_off", "0.666667")]


def test_segments_are_judged_apart(clean_file: Path, tmp_path: Path) -> None:
    with altered(
        clean_file, tmp_path, "delete from segments.segment_members where segment_name = 'lapsed'"
    ) as warehouse:
        checks = segment_checks(SETTINGS, "new", run_id=RUN, as_of_end=AS_OF_END, previous_counts={})
        assert judge(warehouse, segment_gate("new"), checks, run_id=RUN).passed
        assert not judge(warehouse, segment_gate("lapsed"), of_segment(), run_id=RUN).passed


def test_orders_of_nobody_are_no_difference_and_stand_apart(clean_file: Path, tmp_path: Path) -> None:
    sql = "update intermediate.int_orders set customer_id = 'c_3' where order_id = 'o3'"
    with altered(clean_file, tmp_path, sql) as warehouse:
        verdict = judge(warehouse, MARTS, of_marts(), run_id=RUN)
    # now that the order belongs to a customer, customer_360 must know about it
    assert outcomes(verdict)["marts.customer_360", "customer_order_count_balances"] == "failed"
    assert outcomes(verdict)["marts.customer_360", "customer_net_revenue_amount_balances"] == "failed"
