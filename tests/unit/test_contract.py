"""The input contract, and the files that are made from it."""

from __future__ import annotations

import csv
import re

import pytest
import yaml

from lifecycle.sources import casts
from lifecycle.sources.contract import LOAD_COLUMNS, TABLES, Kind, Table, create_raw_tables_sql
from lifecycle.sources.documentation import KIND_RULES, SOURCES_FILE, documents

PROMISED_TABLES = {
    "contacts",
    "touchpoints",
    "products",
    "orders",
    "order_items",
    "refunds",
    "subscriptions",
    "subscription_events",
    "tickets",
    "survey_responses",
    "reviews",
    "consents",
    "marketing_spend",
    "campaigns",
    "offers",
    "loyalty_events",
    "identity_decisions",
}


def test_the_contract_has_the_promised_tables() -> None:
    assert set(TABLES) == PROMISED_TABLES


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_keys_event_times_and_alternatives_are_columns_of_their_table(table: Table) -> None:
    names = [column.name for column in table.columns]
    assert len(names) == len(set(names))
    assert set(table.key) <= set(names)
    assert set(table.one_of) <= set(names)
    assert table.event_at is None or table.by_name[table.event_at].kind == Kind.TIMESTAMP
    assert {"updated_at", "deleted_at"} <= set(names)
    assert not set(names) & {column.name for column in LOAD_COLUMNS}
    assert not set(names) & {"status", "load_number", "file_line"}, "landing has columns of these names"


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_money_stands_beside_one_currency_at_most(table: Table) -> None:
    assert [column.name for column in table.columns if column.kind == Kind.CURRENCY] in ([], ["currency"])


def test_every_column_with_an_identifier_of_a_person_is_marked() -> None:
    for table in TABLES.values():
        for column in table.columns:
            if re.fullmatch(
                r"email|phone|.*_name|street|postcode|birth_date|.*_text", column.name
            ) and not re.fullmatch(
                r"event_name|product_name|feature_name|plan_name|campaign_name|tier_name", column.name
            ):
                assert column.pii, f"{table.name}.{column.name}"


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_the_documents_of_the_contract_are_current(path) -> None:  # type: ignore[no-untyped-def]
    assert path.read_text(encoding="utf-8") == documents()[path], "run `python -m lifecycle.sources.documentation`"


def test_the_dbt_source_has_every_column_with_its_type() -> None:
    (source,) = yaml.safe_load(SOURCES_FILE.read_text(encoding="utf-8"))["sources"]
    assert source["name"] == "raw"
    described = {
        table["name"]: {column["name"]: column["data_type"] for column in table["columns"]}
        for table in source["tables"]
    }
    assert described == {
        table.name: {column.name: column.sql_type for column in (*LOAD_COLUMNS, *table.columns)}
        for table in TABLES.values()
    }
    contacts = next(table for table in source["tables"] if table["name"] == "contacts")
    email = next(column for column in contacts["columns"] if column["name"] == "email")
    assert email["config"] == {"meta": {"pii": "email"}}


def test_every_kind_says_how_it_is_written() -> None:
    assert set(KIND_RULES) == set(Kind)


def test_raw_tables_are_made_once() -> None:
    import duckdb

    with duckdb.connect() as connection:
        for statement in create_raw_tables_sql() * 2:
            connection.execute(statement).fetchall()
        names = connection.execute("select table_name from duckdb_tables() where schema_name = 'raw'").fetchall()
    assert {name for (name,) in names} == set(TABLES)


def test_currencies_are_those_of_iso_4217() -> None:
    with casts.CURRENCIES_FILE.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    codes = [row["currency_code"] for row in rows]
    assert list(rows[0]) == ["currency_code", "minor_unit_digits", "currency_name"]
    assert codes == sorted(set(codes))
    assert all(re.fullmatch(r"[A-Z]{3}", code) for code in codes)
    assert len(codes) >= 178
    digits = casts.minor_units()
    assert (digits["USD"], digits["JPY"], digits["KWD"], digits["CLF"], digits["XAU"]) == (2, 0, 3, 4, 4)


def test_clocks_of_new_york_go_back_by_an_hour_and_those_of_lord_howe_by_half() -> None:
    hours = [size.total_seconds() / 3600 for size in casts.overlap_sizes("America/New_York")]
    assert 1.0 in hours
    assert 0.5 in [size.total_seconds() / 3600 for size in casts.overlap_sizes("Australia/Lord_Howe")]
    assert casts.overlap_sizes("UTC") == ()
