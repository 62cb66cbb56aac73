"""What Dagster knows of a company before anything runs."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
import yaml

from lifecycle.settings import PROJECT_DIR
from lifecycle.sources.contract import TABLES
from orchestration.definitions import build_definitions
from orchestration.event_storage import KEPT_ENGINES, PooledSqliteEventLogStorage
from orchestration.execution import open_instance
from orchestration.jobs import build_new_file_sensor
from orchestration.resources import Company
from tests.orchestration.conftest import Shop


@pytest.fixture
def graph(make_shop: Callable[[], Shop]) -> dg.AssetGraph:
    return build_definitions(make_shop().settings()).resolve_asset_graph()


def test_asset_keys_are_table_addresses_and_groups_are_schemas(graph: dg.AssetGraph) -> None:
    keys = {key.to_user_string() for key in graph.get_all_asset_keys()}
    assert {f"raw/{table}" for table in TABLES} <= keys
    assert {"landing/batches", "identity/record_links", "identity/customer_links", "marts/customer_360"} <= keys
    assert {"segments/segment_members", "quality/marts", "serving/publication", "publish/lapsed_to_drop"} <= keys
    assert all(graph.get(key).group_name == key.path[0] for key in graph.get_all_asset_keys())


def test_every_asset_has_an_owner_a_kind_and_a_description(graph: dg.AssetGraph) -> None:
    bare = [
        key.to_user_string()
        for key in graph.get_all_asset_keys()
        if not graph.get(key).owners or not graph.get(key).kinds or not graph.get(key).description
    ]
    assert bare == []


def test_marts_tell_their_columns(graph: dg.AssetGraph) -> None:
    schema = graph.get(dg.AssetKey(["marts", "customer_360"])).metadata["dagster/column_schema"]
    columns = {column.name: column for column in schema.columns}  # type: ignore[union-attr]
    assert columns["net_revenue_amount"].type == "decimal(18,2)"
    assert columns["net_revenue_amount"].description


def test_gates_block_and_dbt_tests_leave_the_verdict_to_them(graph: dg.AssetGraph) -> None:
    checks = {key: graph.get(key) for key in graph.asset_check_keys}
    blocking = {(key.asset_key.to_user_string(), key.name) for key, check in checks.items() if check.blocking}
    # Guards are red and do not block: the delivery behind them refuses, and takes off who withdrew consent.
    assert blocking == {
        ("landing/batches", "intake_gate"),
        ("quality/marts", "marts_gate"),
        *(
            (f"publish/{name}_to_drop_plan", "segment_gate")
            for name in ("lapsed", "high_value_at_risk", "new_customers")
        ),
    }
    assert len(checks) - len(blocking) > 50


def test_nothing_reaches_the_publication_around_the_marts_gate(graph: dg.AssetGraph) -> None:
    publication = graph.get(dg.AssetKey(["serving", "publication"]))
    assert publication.parent_keys == {dg.AssetKey(["quality", "segments"])}
    assert graph.get(dg.AssetKey(["quality", "segments"])).parent_keys == {dg.AssetKey(["quality", "marts"])}
    judged = graph.get(dg.AssetKey(["quality", "marts"])).parent_keys
    published = {key for key in graph.get_all_asset_keys() if key.path[0] in ("marts", "segments")}
    assert published <= judged


def test_a_past_day_has_no_syncs(make_shop: Callable[[], Shop]) -> None:
    settings = make_shop().settings()
    past = build_definitions(settings, Company(settings, published_state=settings.state)).resolve_asset_graph()
    assert not [key for key in past.get_all_asset_keys() if key.path[0] == "publish"]


def test_the_schedule_runs_in_the_reporting_zone(make_shop: Callable[[], Shop]) -> None:
    schedule = build_definitions(make_shop().settings()).resolve_schedule_def("every_morning")
    assert schedule.execution_timezone == "America/New_York"


def test_the_sensor_starts_a_run_for_new_files_and_only_for_those(make_shop: Callable[[], Shop]) -> None:
    shop = make_shop()
    sensor = build_new_file_sensor(shop.settings())

    def look(cursor: str | None) -> dg.SensorResult | dg.SkipReason:
        with dg.DagsterInstance.ephemeral() as instance:
            seen = sensor(dg.build_sensor_context(instance=instance, cursor=cursor))
        assert isinstance(seen, dg.SensorResult | dg.SkipReason)
        return seen

    first = look(None)
    assert isinstance(first, dg.SensorResult) and first.run_requests is not None and len(first.run_requests) == 1
    assert isinstance(look(first.cursor), dg.SkipReason)
    shop.write("orders_more", ["order_id"], [["x"]])
    second = look(first.cursor)
    assert isinstance(second, dg.SensorResult) and second.cursor != first.cursor


def test_loading_the_definitions_touches_no_warehouse(make_shop: Callable[[], Shop]) -> None:
    settings = make_shop().settings()
    build_definitions(settings)
    assert not settings.state.root.exists()


def test_the_event_log_is_dagsters_own_with_few_files_open(make_shop: Callable[[], Shop]) -> None:
    settings = make_shop().settings()
    with open_instance(settings) as instance:
        storage = instance.event_log_storage
        assert isinstance(storage, PooledSqliteEventLogStorage)
        for number in range(KEPT_ENGINES + 3):
            run_id = f"run{number}"
            instance.report_engine_event("hello", run_id=run_id, job_name="daily")
            assert [entry.message for entry in storage.get_logs_for_run(run_id)] == ["hello"]
        assert len(storage._engines) == KEPT_ENGINES
        storage.delete_events("run10")
        assert not list(storage.get_logs_for_run("run10"))
    with sqlite3.connect(settings.state.dagster / "run0.db") as file:
        assert file.execute("select count(*) from event_logs").fetchone() == (1,)


def test_the_multiprocess_executor_stops_at_a_gate_as_well(make_shop: Callable[[], Shop]) -> None:
    shop = make_shop()
    shop.write(
        "orders_bad",
        ["order_id", "contact_id", "ordered_at", "order_status", "total_amount"],
        [[f"bad{number}", "p01", "yesterday", "paid", "1.00"] for number in range(20)],
    )
    settings = shop.settings()
    state = settings.state.make()
    (state.dagster / "dagster.yaml").write_text((PROJECT_DIR / "dagster.yaml").read_text())
    (shop.folder / "run.yaml").write_text(yaml.safe_dump({"execution": {"config": {"multiprocess": {}}}}))
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "dagster"),
            *("job", "execute", "-m", "orchestration.definitions", "-j", "daily", "-c", str(shop.folder / "run.yaml")),
        ],
        env={
            **os.environ,
            "LIFECYCLE_CONFIG": str(shop.config),
            "LIFECYCLE_DAGSTER_DIR": str(state.dagster),
            "DAGSTER_HOME": str(state.dagster),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode != 0
    assert "intake_gate" in done.stdout + done.stderr
    with open_instance(settings) as instance:
        run = instance.get_runs()[0]
        assert run.status == dg.DagsterRunStatus.FAILURE
        steps = {stats.step_key: stats.status for stats in instance.get_run_step_stats(run.run_id)}
        pids = {event.pid for event in instance.all_logs(run.run_id) if getattr(event, "pid", None)}
    assert steps["landing__batches"].value == "FAILURE"
    assert "raw" not in steps
    assert os.getpid() not in pids
    assert not (state.serving / "current").exists()
