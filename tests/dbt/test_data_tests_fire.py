"""Every kind of data test passes on clean data and fires on data altered so that it must."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from lifecycle.experiments.attribution import write_removal_effects
from lifecycle.identity.resolution import Policy, resolve
from lifecycle.metrics.definitions import load_definitions
from lifecycle.metrics.query import Question, answer
from lifecycle.sources.contract import TABLES
from lifecycle.warehouse import Warehouse
from orchestration.dbt import data_tests
from tests.dbt.alterations import (
    Alterations,
    acquisition,
    attribution,
    customers,
    engagement,
    revenue,
    semantic,
    support,
)
from tests.dbt.alterations.tables import (
    ACTIVITY,
    C360,
    DAILY,
    FIELDS,
    FLOWS,
    HISTORY,
    PROFILES,
    SCHEME_STAGES,
    SCHEMES,
    SEGMENTS,
    SURVIVAL,
)  # fmt: skip
from tests.dbt.project import BEFORE_IDENTITY, DbtProject, NodeResult

# A shop with four people: one buys again and again, one lapsed, one gave everything back, one only looks.
RECORDS = """
insert into raw.contacts (contact_id, email, created_at, country, household_id) values
    ('ada', 'ada@example.com', '2023-01-01', 'FR', 'h1'), ('ben', 'ben@example.com', '2023-01-01', 'DE', null),
    ('cleo', 'cleo@example.com', '2023-01-01', null, null);
insert into raw.products (product_id, category, unit_cost_amount) values ('tea', 'Food > Tea', 2), ('toy', 'Toys', 3);
insert into raw.orders (order_id, contact_id, ordered_at, order_status, total_amount, currency, tax_amount) values
    ('a1', 'ada', '2023-01-10 10:00', 'completed', 700, 'USD', 0),
    ('a2', 'ada', '2023-02-10 10:00', 'completed', 430, 'USD', 30),
    ('a3', 'ada', '2023-03-10 10:00', 'completed', 50, 'USD', 0),
    ('b1', 'ben', '2023-01-15 10:00', 'completed', 20, 'USD', 0),
    ('c1', 'cleo', '2023-05-20 10:00', 'completed', 60, 'USD', 0),
    ('n1', null, '2023-05-21 10:00', 'completed', 9.99, 'USD', 0);
insert into raw.order_items (order_id, line_number, product_id, quantity, line_amount, discount_amount) values
    ('a1', 1, 'tea', 100, 705.50, 5.50), ('a2', 1, 'tea', 50, 400, null), ('c1', 1, 'toy', 1, 60, 0);
insert into raw.refunds (refund_id, order_id, refunded_at, refund_amount, currency) values
    ('r1', 'c1', '2023-06-02 10:00', 60, 'USD'), ('r2', 'a2', '2023-04-02 10:00', 43, 'USD');
insert into raw.touchpoints (touchpoint_id, anonymous_id, occurred_at, event_name, channel) values
    ('t1', 'cookie', '2023-06-01 10:00', 'Product Viewed', 'web');
insert into raw.tickets (ticket_id, contact_id, opened_at, ticket_channel, ticket_status, solved_at) values
    ('k1', 'ben', '2023-02-01 10:00', 'email', 'solved', '2023-02-02 10:00');
insert into raw.consents (contact_id, channel, purpose, consent_status, changed_at) values
    ('ada', 'email', 'marketing', 'granted', '2023-01-01');
"""
DAY = {"LIFECYCLE_AS_OF": "2023-06-10", "LIFECYCLE_AS_OF_END": "2023-06-11 00:00:00"}

# Kind of test → what happens to the data → tests that have to see it.
ALTERATIONS: Alterations = {
    "never_null": [
        (f"update {C360} set customer_id = null where order_count = 3", "never_null_customer_360_"),
        (f"update {C360} set lifecycle_stage = null where order_count = 3", "never_null_customer_360_"),
        (f"update {SEGMENTS} set valid_from_at = null", "never_null_segment_history_"),
        (f"update {FIELDS} set record_id = null where field_name = 'household_id'", "never_null_int_customer_fields_"),
    ],
    "unique": [(f"insert into {C360} from {C360} limit 1", "unique_customer_360_customer_id")],
    "relationships": [
        (f"update {C360} set lifecycle_stage = 'asleep'", "relationships_customer_360_lifecycle_stage__"),
        (f"delete from {C360}", "relationships_customer_timeline_customer_id__"),
        (f"update {SCHEMES} set stage = 'asleep' where scheme = 'rengage'", "relationships_lifecycle_schemes_stage__"),
    ],
    "unique_key": [
        ("insert into segments.segment_members from segments.segment_members limit 1", "unique_key_segment_members_"),
        ("update segments.segment_members set customer_id = null", "unique_key_segment_members_"),
        ("insert into identity.customer_links from identity.customer_links limit 1", "unique_key_customer_links_"),
        (f"insert into {FIELDS} from {FIELDS} limit 1", "unique_key_int_customer_fields_"),
        ("insert into seeds.ticket_statuses from seeds.ticket_statuses limit 1", "unique_key_ticket_statuses_"),
        (f"insert into {SCHEMES} from {SCHEMES} limit 1", "unique_key_lifecycle_schemes_"),
        (f"insert into {DAILY} from {DAILY} limit 1", "unique_key_lifecycle_stage_daily_"),
        (f"insert into {SCHEME_STAGES} from {SCHEME_STAGES} limit 1", "unique_key_customer_scheme_stages_"),
        ("insert into seeds.channels from seeds.channels limit 1", "unique_key_channels_"),
    ],
    "touching_intervals": [
        (
            f"update {HISTORY} set valid_to_at = valid_to_at - interval 1 second where valid_to_at is not null",
            "touching_intervals_customer_lifecycle_history_",
        ),
        (
            f"update {HISTORY} set valid_to_at = valid_to_at + interval 1 second where valid_to_at is not null",
            "touching_intervals_customer_lifecycle_history_",
        ),
        (
            f"update {HISTORY} set valid_to_at = '2023-06-10 12:00' where valid_to_at is null",
            "touching_intervals_customer_lifecycle_history_",
        ),
        (f"update {HISTORY} set valid_to_at = valid_from_at", "touching_intervals_customer_lifecycle_history_"),
        (
            f"insert into {SEGMENTS} from {SEGMENTS} where valid_to_at is null",
            "touching_intervals_segment_history_",
        ),
        (f"update {SEGMENTS} set valid_to_at = valid_from_at", "touching_intervals_segment_history_"),
        (f"update {ACTIVITY} set valid_to_at = valid_from_at", "touching_intervals_int_activity_states_"),
    ],
    "assert_monthly_revenue_equals_orders": [
        ("update intermediate.int_order_lines set line_amount = line_amount + 0.01 where order_id = 'a1'", ""),
        (
            "update marts.revenue_monthly set gross_revenue_amount = gross_revenue_amount - 0.01 where order_count = 1",
            "",
        ),
        ("update marts.revenue_monthly set order_count = order_count + 1", ""),
        ("delete from marts.revenue_monthly where revenue_month = '2023-05-01'", ""),
        (
            "update marts.revenue_monthly set net_revenue_amount = net_revenue_amount + 0.01 where refund_amount = 43",
            "",
        ),
    ],
    "assert_customer_revenue_equals_orders": [
        (f"update {C360} set net_revenue_amount = net_revenue_amount + 0.01 where order_count = 3", ""),
        (f"delete from {C360} where order_count = 3", ""),
        (f"update {C360} set order_count = 1 where order_count = 0", ""),
    ],
    "assert_profile_fields_come_from_a_record_of_the_customer": [
        (f"update {PROFILES} set country = 'IT' where country = 'FR'", ""),
        (f"update {PROFILES} set household_key = null", ""),
        (f"update {FIELDS} set field_value = 'IT' where field_value = 'FR'", ""),
        (f"update {FIELDS} set record_id = 'ben' where field_value = 'FR'", ""),
        ("update identity.customer_links set customer_id = 'somebody else' where record_id = 'ada'", ""),
        (f"delete from {PROFILES}", ""),
    ],
    "assert_customer_counts_equal_the_timeline": [
        (f"update {C360} set ticket_count = 0", ""),
        (f"update {C360} set review_count = 1", ""),
        (f"update {C360} set touchpoint_count = touchpoint_count + 1", ""),
        (f"update {C360} set email_delivered_count = 1", ""),
        ("delete from marts.customer_timeline where event_name = 'ticket_opened'", ""),
        (f"update {C360} set last_ticket_at = last_ticket_at + interval 1 second", ""),
    ],
    "assert_every_order_line_has_an_order": [
        ("update raw.order_items set order_id = 'unheard_of' where order_id = 'a1'", ""),
        ("update raw.order_items set source_system = 'till' where order_id = 'a1'", ""),
    ],
    "assert_every_order_has_an_exchange_rate": [
        ("update intermediate.int_orders set is_without_rate = true, currency = 'XTS' where order_id = 'a1'", "")
    ],
    "assert_every_event_name_is_known": [
        (
            "update raw.touchpoints set event_name = 'Rocket Launched';"
            " update intermediate.int_timeline set event_name = 'other' where event_name = 'product_viewed'",
            "",
        )
    ],
    "assert_history_ends_where_customer_360_says": [
        (f"update {C360} set lifecycle_stage = 'advocacy' where order_count = 3", ""),
        (f"update {C360} set lifecycle_stage_since_at = lifecycle_stage_since_at + interval 1 second", ""),
        (f"delete from {HISTORY} where valid_to_at is null and stage = 'lapsed'", ""),
    ],
    "assert_transitions_match_history": [
        ("update marts.lifecycle_transitions set from_stage = to_stage", ""),
        ("delete from marts.lifecycle_transitions where to_stage = 'lapsed'", ""),
        ("update marts.lifecycle_transitions set moved_at = moved_at + interval 1 second", ""),
    ],
    "assert_every_scheme_maps_every_stage": [
        (f"delete from {SCHEMES} where scheme = 'google_ads' and stage = 'lapsed'", ""),
        (f"delete from {SCHEMES} where scheme = 'nextiva' and stage = 'churned' and condition is null", ""),
        (f"update {SCHEMES} set precedence = 99 where scheme = 'nextiva' and condition = 'is_in_cart'", ""),
        (f"update {SCHEMES} set condition = null where scheme = 'nextiva' and condition = 'is_in_cart'", ""),
    ],
    "assert_schemes_name_flags_and_take_no_name_twice": [
        (f"update {SCHEMES} set condition = 'is_in_basket' where condition = 'is_in_cart'", ""),
        (f"update {SCHEMES} set scheme = 'posthog' where scheme = 'google_ads'", ""),
        (f"update {SCHEMES} set scheme = 'lifecycle' where scheme = 'google_ads'", ""),
    ],
    "assert_everybody_has_one_stage_in_every_scheme": [
        (f"delete from {SCHEME_STAGES} where scheme = 'posthog'", ""),
        (f"update {SCHEME_STAGES} set stage = 'Leaver' where scheme = 'google_ads'", ""),
        (f"update {SCHEME_STAGES} set customer_id = 'nobody' where scheme = 'rengage'", ""),
        (f"update {SCHEME_STAGES} set stage = 'advocacy' where scheme = 'lifecycle'", ""),
        (f"update {SCHEME_STAGES} set stage_since_at = '2023-01-01' where scheme = 'lifecycle'", ""),
        (f"update {SCHEME_STAGES} set stage = 'prospects' where scheme = 'shopify_rfm'", ""),
    ],
    "assert_daily_stage_counts_balance": [
        (f"update {DAILY} set entered_count = entered_count + 1 where stage_date = '2023-02-10'", ""),
        (f"update {DAILY} set left_count = left_count + 1 where scheme = 'shopify_rfm'", ""),
        (
            f"update {DAILY} set customer_count = customer_count + 1, entered_count = entered_count + 1"
            " where scheme = 'posthog' and stage = 'new' and stage_date = (select max(stage_date) from"
            f" {DAILY})",
            "",
        ),
        (f"update {SCHEME_STAGES} set stage = 'Lead' where scheme = 'google_ads'", ""),
        (f"delete from {DAILY} where stage_date = '2023-06-10' and scheme = 'engati'", ""),
    ],
    "assert_stage_flows_equal_transitions": [
        (f"update {FLOWS} set move_count = move_count + 1", ""),
        (f"delete from {FLOWS} where to_stage = 'lapsed'", ""),
        (f"update {FLOWS} set exit_count = exit_count + 1", ""),
        (f"update {FLOWS} set exit_rate = exit_rate / 2", ""),
    ],
    "assert_stage_survival_adds_up": [
        (f"update {SURVIVAL} set forward_exit_count = forward_exit_count + 1 where day_number = 0", ""),
        (f"update {SURVIVAL} set survival_rate = 0.5 where day_number = 0", ""),
        (f"delete from {SURVIVAL} where stage = 'lapsed'", ""),
        (f"update {SURVIVAL} set at_risk_count = at_risk_count + 1", ""),
    ],
    "assert_activity_states_follow_the_last_activity": [
        (f"update {ACTIVITY} set activity_state = 'dormant'", ""),
        (f"update {ACTIVITY} set activity_state = 'returning'", ""),
        (f"delete from {ACTIVITY} where previous_activity_state is null", ""),
        (f"update {ACTIVITY} set customer_id = 'nobody' where valid_to_at is null", ""),
    ],
    "assert_segment_members_are_open_intervals": [
        ("delete from segments.segment_members where segment_name = 'lapsed'", ""),
        ("update segments.segment_members set entered_at = entered_at + interval 1 second", ""),
        (f"update {SEGMENTS} set valid_to_at = '2023-06-10' where valid_to_at is null", ""),
    ],
    "assert_nothing_happens_after_the_day": [
        ("update marts.customer_timeline set occurred_at = '2023-06-11 00:00' where event_name = 'product_viewed'", ""),
        (f"update {HISTORY} set valid_to_at = '2023-06-11 00:00' where valid_to_at is null", ""),
        (f"update {SEGMENTS} set valid_from_at = '2023-06-11 00:00' where valid_to_at is null", ""),
    ],
}

FAMILIES = (acquisition, attribution, customers, engagement, revenue, semantic, support)
for family in FAMILIES:
    for altered_kind, altered in family.ALTERATIONS.items():
        ALTERATIONS.setdefault(altered_kind, []).extend(altered)


@pytest.fixture(scope="module")
def shop(project_at: Callable[[Path], DbtProject], tmp_path_factory: pytest.TempPathFactory) -> DbtProject:
    project = project_at(tmp_path_factory.mktemp("shop"))
    project.environment = DAY
    with project.opened() as warehouse:
        for records in (RECORDS, *(family.RECORDS for family in FAMILIES)):
            for statement in filter(None, records.strip().split(";\n")):
                warehouse.run(statement.rstrip(";"))
        for table in TABLES:
            warehouse.run(
                f"update raw.{table} set source_system = 'shop', id_namespace = 'shop', batch_id = 'b1',"
                " loaded_at = timestamp '2023-06-11' where source_system is null"
            )
    project.build(BEFORE_IDENTITY)
    with project.opened() as warehouse:
        resolve(warehouse, Policy())
    project.build([], "--exclude", *BEFORE_IDENTITY)
    with project.opened() as warehouse:
        write_removal_effects(warehouse)
    project.build(["int_attribution_removal_effects+"])
    return project


@pytest.fixture(scope="module")
def verdicts(shop: DbtProject) -> list[NodeResult]:
    """What dbt says of the clean data."""
    return shop.invoke("test", "--select", "test_type:data")


def kind_of(test: dict[str, Any]) -> str:
    return (test.get("test_metadata") or {}).get("name") or str(test["name"])


def test_every_data_test_passes_on_clean_data_and_looks_at_some(shop: DbtProject, verdicts: list[NodeResult]) -> None:
    assert [f"{test.name}: {test.message}" for test in verdicts if test.status != "pass"] == []
    assert len(verdicts) == len(data_tests())
    with shop.opened() as warehouse:
        marts = (HISTORY, "marts.lifecycle_transitions", C360, SCHEME_STAGES, DAILY, FLOWS, SURVIVAL)
        attributed = (attribution.CREDITS, attribution.ATTRIBUTION, attribution.EFFECTS)
        months = (customers.BALANCE, customers.GROUPS, customers.MRR, customers.COHORTS, customers.SEGMENT_MONTHS)
        for table in (*marts, *attributed, SEGMENTS, "segments.segment_members", ACTIVITY, *months):
            assert warehouse.scalar(f"select count(*) from {table}") >= 2, table


def test_there_is_an_alteration_for_every_kind_of_test() -> None:
    assert {kind_of(test) for test in data_tests().values()} == set(ALTERATIONS)


@pytest.mark.parametrize(
    ("kind", "alteration", "begins"),
    [
        pytest.param(kind, alteration, begins or kind, id=f"{kind}-{number}")
        for kind, alterations in ALTERATIONS.items()
        for number, (alteration, begins) in enumerate(alterations)
    ],
)
def test_a_data_test_fires_on_altered_data(
    shop: DbtProject, verdicts: list[NodeResult], kind: str, alteration: str, begins: str
) -> None:
    kinds = {str(test["name"]): kind_of(test) for test in data_tests().values()}
    watching = [test for test in verdicts if kinds[test.name] == kind and test.name.startswith(begins)]
    assert watching, f"no test is called {begins}..."
    with shop.opened() as warehouse:
        silent = fired(warehouse, watching)
        assert silent == set()
        warehouse.run("begin transaction")
        try:
            for statement in alteration.split(";"):
                warehouse.run(statement)
            assert fired(warehouse, watching) == {test.name for test in watching}
        finally:
            warehouse.run("rollback")


def fired(warehouse: Warehouse, tests: list[NodeResult]) -> set[str]:
    return {test.name for test in tests if warehouse.rows(test.sql)}


def test_a_warning_is_said_to_be_one_and_a_failure_a_failure(shop: DbtProject) -> None:
    with shop.opened() as warehouse:
        warehouse.run("insert into raw.order_items (source_system, order_id, line_number) values ('shop', 'gone', 1)")
        warehouse.run("create table main.moves as from marts.lifecycle_transitions")
        warehouse.run("delete from marts.lifecycle_transitions")
    names = ["assert_every_order_line_has_an_order", "assert_transitions_match_history"]
    found = {test.name: test.status for test in shop.invoke("test", "--select", *names)}
    with shop.opened() as warehouse:
        warehouse.run("delete from raw.order_items where order_id = 'gone'")
        warehouse.run("insert into marts.lifecycle_transitions from main.moves")
    assert found == dict(zip(names, ["warn", "fail"], strict=True))


def test_the_figures_of_kpis_are_those_of_the_semantic_layer(shop: DbtProject) -> None:
    definitions = load_definitions()
    day = date.fromisoformat(DAY["LIFECYCLE_AS_OF"])
    compared = 0
    with shop.opened() as warehouse:
        kinds = warehouse.rows("select distinct metric_name, dimension from marts.kpi_values order by 1, 2")
        for metric, dimension in kinds:
            by = ("metric_time:month",) if dimension == "all" else ("metric_time:month", dimension)
            found = answer(warehouse, definitions, Question((metric,), by), as_of=day, run_id="shop")
            asked = {(row[0], row[1] if row[2:] else "all"): row[-1] for row in found.rows}
            kept = {
                (month, value): figure
                for month, value, figure in warehouse.rows(
                    "select value_month, dimension_value, value from marts.kpi_values"
                    " where metric_name = ? and dimension = ?",
                    [metric, dimension],
                )
            }
            for key in asked.keys() | kept.keys():
                # A month without a sale has no row in its mart, and a revenue of 0 here.
                theirs, ours = asked.get(key), kept.get(key)
                assert float(theirs or 0) == pytest.approx(ours or 0), (metric, dimension, key)
                assert theirs is None or ours is not None, (metric, dimension, key)
                compared += theirs is not None
    assert {metric for metric, _ in kinds} >= {"net_revenue", "retention_rate_month_1", "at_risk_rate"}
    assert compared > 60
