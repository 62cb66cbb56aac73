"""BI tools bring their own DuckDB, often an older one: it must be able to read what is published."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lifecycle.settings import PROJECT_DIR
from lifecycle.warehouse import SERVING_STORAGE_VERSION, open_duckdb

OLD_CLIENT = PROJECT_DIR / ".cache" / "old-client"
READ = """
import duckdb, sys
print(duckdb.__version__, duckdb.connect(sys.argv[1], read_only=True).execute(sys.argv[2]).fetchall())
"""

pytestmark = pytest.mark.skipif(not (OLD_CLIENT / "ready").exists(), reason="`make old-client` installs the old client")


def read_with_old_client(path: Path, query: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", READ, str(path), query],
        env={**os.environ, "PYTHONPATH": str(OLD_CLIENT)},
        capture_output=True,
        text=True,
        check=False,
    )


def write_table(path: Path, build: Path, option: str) -> None:
    with open_duckdb(build) as warehouse:
        warehouse.run(f"attach '{path}' as served {option}")
        warehouse.run("create schema served.marts")
        warehouse.run(
            "create table served.marts.amounts as"
            " select cast(1.25 as decimal(18, 2)) as net_amount, timestamp '2017-06-30 12:00:00' as ordered_at,"
            " 'é' as label"
        )
        warehouse.run("checkpoint served")


def test_a_client_of_duckdb_1_5_reads_a_file_in_the_serving_format(tmp_path: Path) -> None:
    served = tmp_path / "lifecycle.duckdb"
    write_table(served, tmp_path / "build.duckdb", f"(storage_version '{SERVING_STORAGE_VERSION}')")
    answer = read_with_old_client(served, "select * from marts.amounts")
    assert answer.stdout.startswith("1.5."), answer.stderr
    assert "Decimal('1.25'), datetime.datetime(2017, 6, 30, 12, 0), 'é'" in answer.stdout


def test_the_same_client_cannot_read_the_build_files_format(tmp_path: Path) -> None:
    served = tmp_path / "lifecycle.duckdb"
    write_table(served, tmp_path / "build.duckdb", "(storage_version 'latest')")
    answer = read_with_old_client(served, "select * from marts.amounts")
    assert answer.returncode != 0
    assert "version" in answer.stderr
