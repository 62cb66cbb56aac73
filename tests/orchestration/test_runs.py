"""Whole runs of a small shop, one after the other as they happen in a company's life."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import pytest

import orchestration.assets.identity as identity_asset
import orchestration.assets.quality as quality_assets
import orchestration.dbt as orchestrated_dbt
from lifecycle.identity.resolution import Policy, Resolution, resolve
from lifecycle.publishing.ledger import open_ledger
from lifecycle.quality.gate import Check, Verdict, verdict_of
from lifecycle.serving.publication import current, past_publication
from lifecycle.sources import quarantine
from lifecycle.warehouse import Warehouse, open_duckdb, open_warehouse
from orchestration.execution import Outcome, execute
from orchestration.resources import Company
from tests.orchestration.conftest import Shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop that has been run once; the tests of this module go on from there, in order."""
    shop = Shop(tmp_path_factory.mktemp("runs") / "shop")
    outcome = execute(shop.settings())
    assert outcome.exit_code == 0, outcome
    return shop


def fingerprint(shop: Shop) -> dict[str, str]:
    """What readers and destinations see: every file with content and time of change."""
    settings = shop.settings()
    published = current(settings.state)
    assert published is not None
    found = {"run": published.run_id}
    for folder in (published.folder, shop.folder / "out"):
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                status = path.stat()
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                found[str(path)] = f"{digest} {status.st_mtime_ns}"
    return found


def exports(shop: Shop) -> dict[str, str]:
    """The exported files by name, but for the manifests, which carry run and time."""
    published = current(shop.settings().state)
    assert published is not None
    return {
        f"{folder.name}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in (published.parquet, *(shop.folder / "out").glob("*_to_drop"))
        for path in sorted(folder.resolve().rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }


def published_rows(shop: Shop, sql: str) -> list[tuple[object, ...]]:
    published = current(shop.settings().state)
    assert published is not None
    with open_duckdb(published.database, read_only=True) as warehouse:
        return warehouse.rows(sql)


def delivered(shop: Shop, sync: str) -> dict[str, object]:
    manifest: dict[str, object] = json.loads((shop.folder / "out" / sync / "manifest.json").read_text())
    return manifest


def order_count(shop: Shop) -> int:
    return len((shop.folder / "in" / "orders.csv").read_text().splitlines()) - 1


def stopped_by(outcome: Outcome) -> set[tuple[str, str]]:
    return {(stopped.asset, stopped.check) for stopped in outcome.stopped}


def test_the_first_run_publishes_every_table_and_delivers_every_list(shop: Shop) -> None:
    assert published_rows(shop, "select count(*), sum(order_count) from marts.customer_360") == [
        (40, order_count(shop))
    ]
    assert published_rows(
        shop, "select segment_name, count(*) from segments.segment_members group by 1 order by 1"
    ) == [("high_value_at_risk", 8), ("lapsed", 10), ("new_customers", 6)]
    for segment in ("high_value_at_risk", "lapsed", "new_customers"):
        assert (shop.folder / "out" / f"{segment}_to_drop" / "members.csv").exists()
    assert published_rows(shop, "select distinct outcome from ops.run_log") == [("published",)]


def test_money_agrees_from_file_to_mart(shop: Shop) -> None:
    lines = (shop.folder / "in" / "orders.csv").read_text().splitlines()[1:]
    cents = sum(round(float(line.rsplit(",", 1)[1]) * 100) for line in lines)
    assert published_rows(shop, "select cast(sum(net_revenue_amount) * 100 as bigint) from marts.revenue_monthly") == [
        (cents,)
    ]


def test_a_second_run_exports_the_same_bytes_and_sends_nothing(shop: Shop) -> None:
    before = exports(shop)
    outcome = execute(shop.settings())
    assert outcome.exit_code == 0
    assert exports(shop) == before
    assert {(sent.added_count, sent.removed_count, sent.outcome) for sent in outcome.deliveries} == {
        (0, 0, "unchanged")
    }


@pytest.mark.parametrize("day", ["2024-01-15", "2024-03-10", "2024-05-31"])
def test_a_past_day_gives_the_history_clipped_and_moves_nothing(shop: Shop, day: str) -> None:
    before = fingerprint(shop)
    from datetime import date

    outcome = execute(shop.settings(), as_of=date.fromisoformat(day))
    assert outcome.exit_code == 0, outcome
    assert outcome.is_past_day
    assert fingerprint(shop) == before
    past = past_publication(shop.settings().state, date.fromisoformat(day))
    now = current(shop.settings().state)
    assert past is not None and now is not None and past.as_of.isoformat() == day
    with open_duckdb(now.database, read_only=True) as warehouse:
        warehouse.run(f"attach '{past.database}' as past (read_only)")
        end = warehouse.scalar(
            f"select timezone('UTC', timezone('America/New_York', timestamp '{day}' + interval 1 day))"
        )
        for table, key in (
            ("marts.customer_lifecycle_history", "stage, reason, evidence_event_id"),
            ("segments.segment_history", "segment_name, entry_reason"),
        ):
            clipped = (
                f"select customer_id, {key}, valid_from_at, case when valid_to_at < timestamp '{end}' then valid_to_at"
                f" end as valid_to_at from {table} where valid_from_at < timestamp '{end}'"
            )
            built = f"select customer_id, {key}, valid_from_at, valid_to_at from past.{table}"
            assert warehouse.scalar(f"select count(*) from ({built})") > 0
            assert warehouse.rows(f"({clipped} except {built}) union all ({built} except {clipped})") == []
    assert not shop.settings().state.scratch(date.fromisoformat(day)).root.exists()


def test_a_batch_that_fails_intake_stops_the_run_and_touches_nothing(shop: Shop) -> None:
    before = fingerprint(shop)
    path = shop.write(
        "orders_bad",
        ["order_id", "contact_id", "ordered_at", "order_status", "total_amount"],
        [[f"bad{number}", "p01", "yesterday", "paid", "1.00"] for number in range(20)],
    )
    outcome = execute(shop.settings())
    path.unlink()
    assert outcome.exit_code == 3
    assert stopped_by(outcome) == {("landing/batches", "intake_gate")}
    assert "raw.orders: quarantined_share failed, observed 1" in outcome.stopped[0].description
    assert fingerprint(shop) == before
    with open_warehouse(shop.settings()) as warehouse:
        assert [(row.reason, row.row_count, row.is_stopped) for row in quarantine.listing(warehouse)] == [
            ("not a timestamp", 20, True)
        ]
    with open_warehouse(shop.settings(), read_only=True) as warehouse:
        verdict = verdict_of(warehouse, outcome.run_id, "intake")
        assert verdict is not None and not verdict.passed
        assert warehouse.scalar("select count(*) from raw.orders") == order_count(shop)
        assert warehouse.scalar("select outcome from ops.run_log where run_id = ?", [outcome.run_id]) == "stopped"


def test_an_order_in_two_customers_stops_the_publication(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint(shop)

    def resolve_wrongly(warehouse: Warehouse, policy: Policy) -> Resolution:
        resolution = resolve(warehouse, policy)
        # One order in two customers: every total above it is wrong.
        warehouse.run(
            "insert into identity.record_links select * replace ('c_other' as customer_id)"
            " from identity.record_links where record_table = 'orders' limit 1"
        )
        return resolution

    monkeypatch.setattr(identity_asset.resolution, "resolve", resolve_wrongly)
    outcome = execute(shop.settings())
    assert outcome.exit_code == 3, outcome
    assert ("quality/marts", "marts_gate") in stopped_by(outcome)
    assert fingerprint(shop) == before
    with open_warehouse(shop.settings(), read_only=True) as warehouse:
        verdict = verdict_of(warehouse, outcome.run_id, "marts")
    assert verdict is not None
    stopping = {result.name for result in verdict.stopping}
    assert {"orders_are_counted_once", "no_record_has_two_customers", "dbt_tests_hold"} <= stopping, stopping


def test_a_mart_that_is_a_cent_off_stops_the_publication(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint(shop)
    judge_gate = quality_assets.judge_gate

    def judge_altered(
        warehouse: Warehouse, company: Company, gate: str, checks: Sequence[Check], run_id: str
    ) -> Verdict:
        warehouse.run(
            "update marts.revenue_monthly set net_revenue_amount = net_revenue_amount + 0.01"
            " where revenue_month = (select max(revenue_month) from marts.revenue_monthly)"
        )
        return judge_gate(warehouse, company, gate, checks, run_id)

    monkeypatch.setattr(quality_assets, "judge_gate", judge_altered)
    outcome = execute(shop.settings())
    assert outcome.exit_code == 3, outcome
    assert stopped_by(outcome) == {("quality/marts", "marts_gate")}
    assert "monthly_net_revenue_amount_balances failed" in outcome.stopped[0].description
    assert fingerprint(shop) == before


def test_a_data_test_without_a_verdict_stops_the_publication(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint(shop)
    ready = orchestrated_dbt._ready_tests
    forgotten = "unique_customer_360_customer_id"
    monkeypatch.setattr(
        orchestrated_dbt,
        "_ready_tests",
        lambda selected, pending: [name for name in ready(selected, pending) if name != forgotten],
    )
    outcome = execute(shop.settings())
    assert outcome.exit_code == 3
    assert stopped_by(outcome) == {("quality/marts", "marts_gate")}
    assert fingerprint(shop) == before


def test_an_emptied_segment_stops_its_own_list_alone(shop: Shop) -> None:
    lists = {path: path.read_bytes() for path in (shop.folder / "out" / "lapsed_to_drop").resolve().iterdir()}
    times = {path: path.stat().st_mtime_ns for path in lists}
    shop.content["lifecycle"]["lapse_min_days"] = 590  # type: ignore[index]
    shop.content["lifecycle"]["high_value_amount"] = 100  # type: ignore[index]
    try:
        outcome = execute(shop.settings())
    finally:
        shop.content["lifecycle"].pop("lapse_min_days")  # type: ignore[attr-defined]
        shop.content["lifecycle"]["high_value_amount"] = 500  # type: ignore[index]
    assert outcome.exit_code == 3, outcome
    assert stopped_by(outcome) == {("publish/lapsed_to_drop_plan", "segment_gate")}
    assert "enough_members failed, observed 0, allowed at least 1" in outcome.stopped[0].description
    published = current(shop.settings().state)
    assert published is not None and published.run_id == outcome.run_id
    assert published_rows(
        shop,
        f"select bool_or(outcome = 'failed') from ops.gate_results where gate = 'segment:lapsed'"
        f" and run_id = '{outcome.run_id}'",
    ) == [(True,)]
    assert {path: path.read_bytes() for path in (shop.folder / "out" / "lapsed_to_drop").resolve().iterdir()} == lists
    assert {path: path.stat().st_mtime_ns for path in lists} == times
    assert {sent.sync_name for sent in outcome.deliveries} == {"high_value_at_risk_to_drop", "new_customers_to_drop"}
    with open_ledger(shop.settings()) as ledger:
        runs = ledger.rows("select distinct sync_name from runs where run_id = ?", [outcome.run_id])
    assert {name for (name,) in runs} == {"high_value_at_risk_to_drop", "new_customers_to_drop"}


def test_orders_of_nobody_known_count_in_revenue_and_make_no_customer(shop: Shop) -> None:
    header = ["order_id", "contact_id", "ordered_at", "order_status", "total_amount"]
    path = shop.write("orders_till", header, [["till1", "", "2024-06-29T12:00:00", "paid", "7.77"]])
    outcome = execute(shop.settings())
    path.unlink()
    assert outcome.exit_code == 0, outcome
    assert published_rows(
        shop, "select sum(unidentified_order_count), sum(order_count) from marts.revenue_monthly"
    ) == [(1, order_count(shop) + 1)]
    assert published_rows(shop, "select count(*), sum(order_count) from marts.customer_360") == [
        (40, order_count(shop))
    ]


def test_a_missing_column_is_one_message_and_touches_nothing(shop: Shop) -> None:
    before = fingerprint(shop)
    path = shop.write(
        "orders_cut", ["order_id", "contact_id", "order_status", "total_amount"], [["x", "p01", "paid", "1"]]
    )
    outcome = execute(shop.settings())
    path.unlink()
    assert outcome.exit_code == 1
    assert len(outcome.errors) == 1
    assert "ordered_at" in outcome.errors[0] and "orders_cut.csv" in outcome.errors[0]
    assert "Traceback" not in outcome.errors[0]
    assert fingerprint(shop) == before


def test_after_all_that_a_good_run_publishes_again(shop: Shop) -> None:
    outcome = execute(shop.settings())
    assert outcome.exit_code == 0, outcome
    published = current(shop.settings().state)
    assert published is not None and published.run_id == outcome.run_id


def test_a_selection_builds_only_what_it_names(shop: Shop) -> None:
    before = fingerprint(shop)
    outcome = execute(shop.settings(), select='group:"raw" or group:"landing"')
    assert outcome.exit_code == 0, outcome
    assert fingerprint(shop) == before
    assert outcome.deliveries == ()


def test_a_list_that_a_guard_refuses_stays_and_the_run_says_so(shop: Shop) -> None:
    before = (shop.folder / "out" / "new_customers_to_drop" / "members.csv").read_bytes()
    header = ["order_id", "contact_id", "ordered_at", "order_status", "total_amount"]
    rows = [[f"new{number}", f"n{number:02}", "2024-06-25T12:00:00", "paid", "5.00"] for number in range(30)]
    path = shop.write("orders_new", header, rows)
    outcome = execute(shop.settings())
    path.unlink()
    assert outcome.exit_code == 3, outcome
    assert stopped_by(outcome) == {("publish/new_customers_to_drop_plan", "guards")}
    assert "max_add" in outcome.stopped[0].description or "adds" in outcome.stopped[0].description
    assert outcome.errors == ()
    published = current(shop.settings().state)
    assert published is not None and published.run_id == outcome.run_id
    assert (shop.folder / "out" / "new_customers_to_drop" / "members.csv").read_bytes() == before
    assert published_rows(shop, f"select outcome from ops.run_log where run_id = '{outcome.run_id}'") == [
        ("published",)
    ]
