"""Which rule holds for which field, and how it reaches the models."""

from __future__ import annotations

import re
from pathlib import Path

from lifecycle.identity.survivorship import FIELDS, rules, write_rules
from lifecycle.settings import PROJECT_DIR, SurvivorshipSettings
from lifecycle.sources.contract import TABLES
from lifecycle.warehouse import open_duckdb


def settings_of(**given: object) -> SurvivorshipSettings:
    return SurvivorshipSettings.model_validate(given)


def test_without_settings_the_latest_record_decides_and_the_earliest_says_where_somebody_came_from() -> None:
    assert rules(settings_of()) == [
        (field, "earliest" if field == "acquisition_source" else "latest", None, 1) for field in FIELDS
    ]


def test_a_default_for_all_fields_leaves_the_acquisition_source_alone_until_it_is_named_itself() -> None:
    by_field = {row[0]: row[1] for row in rules(settings_of(default="most_frequent"))}
    assert (by_field["city"], by_field["acquisition_source"]) == ("most_frequent", "earliest")
    named = settings_of(default="most_frequent", fields={"acquisition_source": {"rule": "latest"}})
    assert {row[0]: row[1] for row in rules(named)}["acquisition_source"] == "latest"


def test_sources_are_asked_in_their_order_and_the_others_after_them() -> None:
    settings = settings_of(
        default="earliest",
        fields={"country": {"rule": "most_frequent"}, "city": {"sources": ["crm", "shop"]}},
    )
    assert [row for row in rules(settings) if row[0] in ("country", "city")] == [
        ("country", "most_frequent", None, 1),
        ("city", "earliest", "crm", 1),
        ("city", "earliest", "shop", 2),
        ("city", "earliest", None, 3),
    ]


def test_the_table_is_replaced_with_every_run(tmp_path: Path) -> None:
    with open_duckdb(tmp_path / "warehouse.duckdb") as warehouse:
        warehouse.run("create schema ops")
        write_rules(warehouse, settings_of(fields={"city": {"sources": ["crm"]}}))
        write_rules(warehouse, settings_of())
        rows = warehouse.rows("select field_name, rule, source_system, source_rank from ops.survivorship_rules")
    assert sorted(rows) == sorted(rules(settings_of()))


def test_every_field_is_a_contact_column_that_is_no_identifier_and_the_models_know_exactly_these() -> None:
    columns = TABLES["contacts"].by_name
    assert [field for field in FIELDS if field not in columns or columns[field].pii] == []
    models = PROJECT_DIR / "models" / "intermediate"
    unpivoted = re.findall(r"when '(\w+)' then ", (models / "int_customer_fields.sql").read_text("utf-8"))
    beside = re.findall(r"field_name = '(\w+)'", (models / "int_customer_profiles.sql").read_text("utf-8"))
    assert tuple(unpivoted) == FIELDS
    assert tuple(beside) == FIELDS
