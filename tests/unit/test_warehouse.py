"""The few operations that the package is written in."""

from __future__ import annotations

import stat
import subprocess
import sys
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from lifecycle.errors import LifecycleError
from lifecycle.warehouse import SERVING_STORAGE_VERSION, literal, open_duckdb, quoted


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "build.duckdb"


def test_a_new_file_is_readable_by_its_owner_alone(path: Path) -> None:
    with open_duckdb(path):
        pass
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_rights_of_an_existing_file_stay(path: Path) -> None:
    with open_duckdb(path):
        pass
    path.chmod(0o640)
    with open_duckdb(path):
        pass
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_read_only_connection_cannot_write(path: Path) -> None:
    with open_duckdb(path) as warehouse:
        warehouse.create_as("shop.orders", "select 1 as order_id")
    with open_duckdb(path, read_only=True) as warehouse:
        assert warehouse.scalar("select order_id from shop.orders") == 1
        with pytest.raises(duckdb.Error, match="read-only"):
            warehouse.run("insert into shop.orders values (2)")


def test_a_file_held_by_another_process_names_it_and_says_what_to_do(path: Path) -> None:
    hold = (
        "import sys, time, duckdb\nconnection = duckdb.connect(sys.argv[1])\nprint('held', flush=True)\ntime.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", hold, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        with pytest.raises(LifecycleError) as raised, open_duckdb(path):
            pass
        message = str(raised.value)
        assert f"another process holds it (process {process.pid})" in message
        assert str(path) in message and "BI tools read serving/lifecycle.duckdb" in message
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_a_database_that_is_not_there_says_to_run_first(path: Path) -> None:
    with pytest.raises(LifecycleError, match="there is no such database") as raised, open_duckdb(path, read_only=True):
        pass
    assert "lifecycle run" in str(raised.value)


def test_a_folder_that_is_not_there_is_named_as_the_cause(tmp_path: Path) -> None:
    with pytest.raises(LifecycleError, match="its folder does not exist"), open_duckdb(tmp_path / "no" / "x.duckdb"):
        pass


def test_a_file_that_is_no_database_is_named_as_the_cause(path: Path) -> None:
    path.write_text("order_id,total\n" * 1000)
    with pytest.raises(LifecycleError, match="not a valid DuckDB database") as raised, open_duckdb(path):
        pass
    assert "Move the file away" in str(raised.value)
    assert path.read_text().startswith("order_id"), "nothing was written over it"


def test_rows_scalars_and_dicts_come_back_and_leave_the_connection_free(path: Path) -> None:
    with open_duckdb(path) as warehouse:
        warehouse.create_as("shop.orders", "select n as order_id, n * 10 as total from range(1, 1001) as r(n)")
        assert warehouse.scalar("select total from shop.orders order by order_id") == 10
        assert warehouse.scalar("select total from shop.orders where order_id = ?", [5]) == 50
        assert warehouse.scalar("select total from shop.orders where false") is None
        assert warehouse.rows("select count(*), sum(total) from shop.orders") == [(1000, 5005000)]
        assert warehouse.dicts("select order_id, total from shop.orders where order_id = $n", {"n": 2}) == [
            {"order_id": 2, "total": 20}
        ]


def test_an_arrow_table_comes_back_as_it_went_in(path: Path) -> None:
    data = pa.table(
        {
            "customer_id": pa.array(["c_1", None, "c_3"]),
            "amount": pa.array([Decimal("1.10"), Decimal("-2.05"), None], pa.decimal128(18, 2)),
            "seen_at": pa.array([datetime(2024, 2, 29, 23, 59, 59, 999999), None, datetime(1999, 1, 1)]),
            "score": pa.array([0.1, None, 1e-300]),
            "is_test": pa.array([True, False, None]),
        }
    )
    with open_duckdb(path) as warehouse:
        warehouse.write("scores.customers", data)
        back = pa.Table.from_batches(warehouse.batches("select * from scores.customers"))
        assert back.to_pylist() == data.to_pylist()
        assert back.schema.field("amount").type == pa.decimal128(18, 2)


def test_writing_again_replaces_the_table(path: Path) -> None:
    with open_duckdb(path) as warehouse:
        warehouse.write("scores.customers", pa.table({"customer_id": ["c_1", "c_2"]}))
        warehouse.write("scores.customers", pa.table({"customer_id": ["c_3"], "score": [0.5]}))
        assert warehouse.rows("from scores.customers") == [("c_3", 0.5)]


def test_a_large_result_comes_in_batches(path: Path) -> None:
    with open_duckdb(path) as warehouse:
        sizes = [batch.num_rows for batch in warehouse.batches("from range(25000)", rows_per_batch=10_000)]
    assert sum(sizes) == 25_000
    assert len(sizes) > 1 and max(sizes) <= 10_240


def test_a_transaction_that_fails_leaves_nothing_behind(path: Path) -> None:
    with open_duckdb(path) as warehouse:
        warehouse.create_as("shop.orders", "select 1 as order_id")
        with pytest.raises(ValueError, match="boom"), warehouse.transaction():
            warehouse.run("insert into shop.orders values (2)")
            warehouse.create_as("shop.refunds", "select 1 as refund_id")
            raise ValueError("boom")
        assert warehouse.rows("from shop.orders") == [(1,)]
        assert not warehouse.has_table("shop.refunds")
        with warehouse.transaction():
            warehouse.run("insert into shop.orders values (3)")
    with open_duckdb(path) as warehouse:
        assert warehouse.rows("from shop.orders order by order_id") == [(1,), (3,)]


def test_a_statement_that_fails_in_a_transaction_rolls_it_back(path: Path) -> None:
    with open_duckdb(path) as warehouse:
        warehouse.create_as("shop.orders", "select 1 as order_id")
        with pytest.raises(duckdb.Error, match="Could not convert"), warehouse.transaction():
            warehouse.run("insert into shop.orders values (2)")
            warehouse.run("select cast('x' as integer)")
        assert warehouse.rows("from shop.orders") == [(1,)]


def test_tables_and_views_are_told_apart(path: Path) -> None:
    with open_duckdb(path) as warehouse:
        warehouse.create_as("shop.orders", "select 1 as order_id")
        warehouse.run("create view shop.paid as from shop.orders")
        assert warehouse.has_table("shop.orders") and warehouse.has_relation("shop.orders")
        assert not warehouse.has_table("shop.paid") and warehouse.has_relation("shop.paid")
        assert not warehouse.has_relation("shop.gone") and not warehouse.has_relation("gone.orders")


def test_an_attached_database_has_no_say_in_what_is_there(path: Path, tmp_path: Path) -> None:
    with open_duckdb(tmp_path / "other.duckdb") as other:
        other.create_as("shop.orders", "select 1 as order_id")
    with open_duckdb(path) as warehouse:
        warehouse.run(f"attach {literal(str(tmp_path / 'other.duckdb'))} as other (read_only)")
        assert not warehouse.has_table("shop.orders")


def test_memory_threads_and_spill_are_limited(path: Path, tmp_path: Path) -> None:
    with open_duckdb(path, memory_limit="300MB", threads=1, spill=tmp_path / "spill", max_spill="1GB") as warehouse:
        found = dict(
            warehouse.rows(
                "select name, value from duckdb_settings() where name in"
                " ('memory_limit', 'threads', 'temp_directory', 'max_temp_directory_size', 'TimeZone')"
            )
        )
    assert found == {
        "memory_limit": "286.1 MiB",
        "threads": "1",
        "temp_directory": str(tmp_path / "spill"),
        "max_temp_directory_size": "953.6 MiB",
        "TimeZone": "UTC",
    }


@pytest.mark.parametrize("name", ["plain", 'with "quotes"', "with 'quote'", "drop table x; --", "ümlaut"])
def test_names_and_texts_are_quoted_so_that_they_stay_what_they_are(path: Path, name: str) -> None:
    with open_duckdb(path) as warehouse:
        row = warehouse.dicts(f"select {literal(name)} as {quoted(name)}")[0]
    assert row == {name: name}


def test_the_storage_version_for_old_clients_can_still_be_written(path: Path, tmp_path: Path) -> None:
    with open_duckdb(path) as warehouse:
        served = literal(str(tmp_path / "served.duckdb"))
        warehouse.run(f"attach {served} as served (storage_version {literal(SERVING_STORAGE_VERSION)})")
        warehouse.run("create table served.orders as select 1 as order_id")
    with open_duckdb(tmp_path / "served.duckdb", read_only=True) as served_file:
        assert served_file.rows("from orders") == [(1,)]
        tags = served_file.scalar("select tags['storage_version'] from duckdb_databases() where path like '%served%'")
    assert tags is not None and tags.startswith(SERVING_STORAGE_VERSION.removesuffix(".0"))
