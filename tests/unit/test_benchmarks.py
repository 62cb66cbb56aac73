"""The pieces that benchmarks measure and judge with, on clusterings small enough to count by hand."""

from __future__ import annotations

import importlib
import math
import sys
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from lifecycle.dbt import parsed_manifest
from lifecycle.settings import PROJECT_DIR
from lifecycle.sources.contract import create_raw_tables_sql
from lifecycle.warehouse import open_duckdb
from tests.identity_case import contact, resolve


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Benchmarks are scripts: what they share lies beside them."""
    monkeypatch.syspath_prepend(PROJECT_DIR / "benchmarks")
    names = ("measuring", "splink_peer", "identity", "run", "stage_figures", "stages", "attribution", "models")
    yield importlib.import_module
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def measuring(script: Any) -> ModuleType:
    module: ModuleType = script("measuring")
    return module


def placed(measuring: ModuleType, *given: str) -> list[Any]:
    """``"crm A p"``: a record of the CRM in cluster A, of person p."""
    return [measuring.Placed(*one.split()) for one in given]


def test_pairs_are_counted_by_hand(measuring: ModuleType) -> None:
    # Together are pp, pq and pq in A and nothing in B and C: one of three is right. There are pp, pp, pp and qq.
    found = measuring.pairwise(placed(measuring, "crm A p", "crm A p", "web A q", "web B p", "web C q"))
    assert (found.right, found.found, found.there) == (1, 3, 4)
    assert found.precision == 1 / 3
    assert found.recall == 1 / 4
    assert found.f1 == pytest.approx(2 / 7)


def test_what_finds_nothing_is_precise_and_what_is_not_there_is_found(measuring: ModuleType) -> None:
    alone = measuring.pairwise(placed(measuring, "crm A p", "crm B p"))
    assert (alone.precision, alone.recall, alone.f1) == (1.0, 0.0, 0.0)
    nobody = measuring.pairwise(placed(measuring, "crm A p", "crm B q"))
    assert (nobody.precision, nobody.recall) == (1.0, 1.0)


def test_pairs_by_source_add_up_to_all_pairs(measuring: ModuleType) -> None:
    records = placed(
        measuring, "crm A p", "crm A p", "web A p", "web A q", "shop A p", "shop B p", "web B q", "crm C q", "web C q"
    )
    by_source = measuring.pairwise_by_source(records)
    assert set(by_source) == {
        ("crm", "crm"), ("crm", "shop"), ("crm", "web"), ("shop", "shop"), ("shop", "web"), ("web", "web"),
    }  # fmt: skip
    # Of the CRM's two records and the shop's one in A both pairs are right; the shop's other record is missed twice.
    crm_shop = by_source["crm", "shop"]
    assert (crm_shop.right, crm_shop.found, crm_shop.there) == (2, 2, 4)
    everything = measuring.pairwise(records)
    for part in ("right", "found", "there"):
        assert sum(getattr(one, part) for one in by_source.values()) == getattr(everything, part)


def test_b_cubed_is_the_mean_over_records(measuring: ModuleType) -> None:
    found = measuring.b_cubed(placed(measuring, "crm A p", "crm A p", "web A q", "web B p", "web C q"))
    # Precision of the records: 2/3, 2/3, 1/3, 1, 1. Recall: 2/3, 2/3, 1/2, 1/3, 1/2.
    assert found.precision == pytest.approx((2 / 3 + 2 / 3 + 1 / 3 + 1 + 1) / 5)
    assert found.recall == pytest.approx((2 / 3 + 2 / 3 + 1 / 2 + 1 / 3 + 1 / 2) / 5)


@pytest.mark.parametrize(
    ("limits", "measured", "verdict"),
    [
        ({"at_most": 5}, 5.0, "pass"),
        ({"at_most": 5}, 5.1, "FAIL"),
        ({"at_least": 0.97}, 0.97, "pass"),
        ({"at_least": 0.97}, 0.969, "FAIL"),
        ({"at_most": 0}, 0, "pass"),
        ({"at_most": 0}, 1, "FAIL"),
        ({"at_most": 5}, math.nan, "FAIL"),
        ({}, 99.0, ""),
    ],
)
def test_a_figure_beyond_its_limit_fails(
    measuring: ModuleType, limits: dict[str, float], measured: float, verdict: str
) -> None:
    figure = measuring.Figure("wall", measured, **limits)
    assert figure.verdict == verdict
    assert figure.is_kept == (verdict != "FAIL")
    assert figure.row()[-1] == verdict


def test_a_row_says_what_the_limit_is(measuring: ModuleType) -> None:
    assert measuring.Figure("wall", 6.94, at_most=5, unit="s").row() == ["wall", "6.9 s", "<= 5 s", "FAIL"]
    assert measuring.Figure("F1", 0.99621, at_least=0.995, digits=4).row() == ["F1", "0.9962", ">= 0.995", "pass"]


def test_a_section_beyond_a_limit_ends_the_command_with_1(
    script: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    identity, measuring = script("identity"), script("measuring")
    monkeypatch.setattr(identity, "FOLDER", tmp_path)
    monkeypatch.setattr(sys, "argv", ["identity.py", "--section", "exact"])
    for seconds, code in ((4.0, 0), (6.0, 1)):
        figure = measuring.Figure("exact: wall", seconds, at_most=5, unit="s")
        monkeypatch.setitem(identity.SECTIONS, "exact", lambda figure=figure: [figure])
        assert identity.main() == code
        assert ("FAIL" in capsys.readouterr().out) == bool(code)


def test_a_command_is_measured_with_its_exit_code(measuring: ModuleType, tmp_path: Path) -> None:
    log = tmp_path / "log"
    found = measuring.measure([sys.executable, "-c", "b = bytearray(60_000_000); print('done'); exit(3)"], log)
    assert found.exit_code == 3
    assert log.read_text() == "done\n"
    assert found.peak_mb > 57
    assert found.cpu_seconds > 0
    assert 0 < found.wall_seconds < 60


def test_splink_gets_folded_fields_and_no_blocked_identifier(script: Any, tmp_path: Path) -> None:
    splink_peer = script("splink_peer")
    with open_duckdb(tmp_path / "warehouse.duckdb") as warehouse:
        resolve(
            warehouse,
            contact("1", first="Dr. Zoë", last="O'Neil", born="1980-02-03", email="Zoe.O+x@gmail.com", country="US"),
            contact("2", first="Ann", street="1 Main St.", email="noreply@shop.example", phone="(212) 555-2368"),
        )
        rows = warehouse.dicts(f"select * from ({splink_peer.contacts_sql()}) as contacts order by unique_id")
    assert [row.pop("unique_id") for row in rows] == ["contacts:shop:1", "contacts:shop:2"]
    told = [{name: value for name, value in row.items() if value is not None} for row in rows]
    assert told == [
        {"first_name": "zoe", "last_name": "oneil", "birth_date": "19800203", "email": "zoeo@gmail.com"},
        {"first_name": "ann", "street": "1 main st", "phone": "+12125552368"},
    ]
    assert tuple(rows[0]) == splink_peer.FIELDS


def test_splink_joins_what_is_alike_at_a_low_threshold_and_nothing_at_a_high_one(script: Any) -> None:
    import duckdb
    import pyarrow as pa

    splink_peer = script("splink_peer")
    people = [
        ("1", "margaret", "lockford", "19800203", "m.lockford@mail.example"),
        ("2", "margaret", "lockford", "19800203", "m.lockford@mail.example"),
        ("3", "margaret", "barnby", "19640711", None),
        *(
            (f"stranger {n}", f"first{n}", f"last{n * 7}", f"19{n % 90 + 10}0101", f"{n}@mail.example")
            for n in range(200)
        ),
    ]
    names = ("unique_id", "first_name", "last_name", "birth_date", "email")
    columns = dict(zip(names, zip(*people, strict=True), strict=True))
    contacts = {name: columns.get(name, (None,) * len(people)) for name in ("unique_id", *splink_peer.FIELDS)}
    with duckdb.connect(":memory:") as connection:
        table = pa.table({name: pa.array(values, pa.string()) for name, values in contacts.items()})
        connection.register("given", table)
        connection.execute("create table contacts as select * from given")
        linked = splink_peer.link(connection, "contacts", trained=False, thresholds=(0.95, 1 - 1e-12))
    assert linked.clusters[0.95]["1"] == linked.clusters[0.95]["2"] != linked.clusters[0.95]["3"]
    assert len(set(linked.clusters[1 - 1e-12].values())) == len(people)
    assert linked.seconds > 0


def test_the_fragments_are_of_several_tables_and_a_fifth_are_contacts(script: Any, tmp_path: Path) -> None:
    identity = script("identity")
    with open_duckdb(tmp_path / "warehouse.duckdb") as warehouse:
        sql = identity._fragments_sql(1_000)
        counts = dict(warehouse.rows(f"select record_table, count(*) from ({sql}) as made group by record_table"))
        keys = warehouse.scalar(f"select count(distinct record_key) from ({sql}) as made")
    assert counts == {"contacts": 200, "touchpoints": 500, "orders": 200, "tickets": 100}
    assert keys == 1_000


# --- stages ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def counted(script: Any) -> ModuleType:
    module: ModuleType = script("stage_figures")
    return module


def day(number: int) -> datetime:
    return datetime(2024, 1, 1) + timedelta(days=number)


def test_stages_are_held_against_true_states_by_hand(counted: ModuleType) -> None:
    # One pair comes twice, as on two days.
    confusion = counted.Confusion.of(
        [("lapsed", "gone", 3), ("lapsed", "active", 1), ("loyalty", "active", 4), ("lapsed", "gone", 2)]
    )
    expected = {"lapsed": frozenset({"gone"}), "loyalty": frozenset({"active"}), "churned": frozenset({"gone"})}
    assert confusion.stage_count("lapsed") == 6
    assert confusion.agreement(expected, "lapsed") == 5 / 6
    assert confusion.agreement(expected) == 9 / 10
    assert math.isnan(confusion.agreement(expected, "churned"))
    lapsed = confusion.found(("lapsed", "churned"), ("gone",))
    assert (lapsed.precision, lapsed.recall) == (5 / 6, 1.0)
    loyal = confusion.found(("loyalty",), ("active",))
    assert (loyal.precision, loyal.recall) == (1.0, 4 / 5)


def test_an_alarm_is_late_early_or_never_there(counted: ModuleType) -> None:
    intervals = [(day(0), day(5)), (day(20), day(30)), (day(40), None)]
    assert counted.delay_days(day(10), intervals) == 10
    # An alarm that is on already counts as so many days before; one that ended on the very day does not.
    assert counted.delay_days(day(3), intervals) == -3
    assert counted.delay_days(day(5), intervals) == 15
    assert counted.delay_days(day(99), intervals) == -59
    assert counted.delay_days(day(31), intervals[:2]) is None
    assert counted.delay_days(day(10), []) is None


def test_who_comes_back_before_the_lapse_clock_came_back_by_themselves(counted: ModuleType) -> None:
    buyer = counted.Buyer([day(0), day(50), day(200)], has_stopped=True)
    end = day(400)

    def became(at: int, lapses: int, end: datetime = end) -> str | None:
        outcome: str | None = counted.outcome(counted.Alarm("ann", "gap", day(at), day(lapses)), buyer, end)
        return outcome

    assert became(30, 90) == counted.BACK
    assert became(110, 170) == counted.BACK_LATE
    assert became(260, 320) == counted.NOT_BACK
    # Back on the day on which the clock runs out is after it; an order at the alarm's own moment is not after it.
    assert became(30, 50) == counted.BACK_LATE
    assert became(50, 210) == counted.BACK
    # Nobody knows yet, although they are back already.
    assert became(30, 90, day(60)) is None
    assert [buyer.is_gone(day(number)) for number in (199, 200)] == [False, True]
    assert not counted.Buyer([day(0)]).is_gone(day(10))


def test_the_worth_of_alarms_is_counted_by_hand(counted: ModuleType) -> None:
    buyers = {
        "ann": counted.Buyer([day(0), day(40)], has_stopped=True),
        "bob": counted.Buyer([day(0), day(33), day(203)], has_stopped=False),
    }
    alarms = [
        counted.Alarm("ann", "gap", day(30), day(90)),
        counted.Alarm("ann", "gap", day(70), day(130)),
        counted.Alarm("bob", "quiet", day(30), day(90)),
        counted.Alarm("bob", "gap", day(63), day(123)),
        counted.Alarm("bob", "gap", day(250), day(999)),
    ]
    found = counted.worth(alarms, buyers, day(365))
    assert found.alarm_count == 5
    assert found.per_customer_year == pytest.approx(5 / (2 * 365 / 365.25))
    # The last is not decided. Back within 10 and 3 days, too late, and never.
    assert found.decided_count == 4
    assert (found.back_share, found.late_share, found.lost_share) == (2 / 4, 1 / 4, 1 / 4)
    assert found.back_days == 6.5
    assert found.gone_share == 1 / 5
    nobody_knows = counted.worth(alarms, buyers | {"bob": counted.Buyer(buyers["bob"].ordered_at)}, day(365))
    assert nobody_knows.gone_share is None


def test_the_first_alarm_after_the_last_order_is_waited_for(counted: ModuleType) -> None:
    alarms = [
        counted.Alarm("ann", "gap", day(70), day(130)),
        counted.Alarm("ann", "gap", day(30), day(90)),
        counted.Alarm("ann", "quiet", day(300), day(400)),
        counted.Alarm("bob", "gap", day(30), day(90)),
    ]
    assert counted.waiting_days({"ann": day(40), "cyd": day(40)}, alarms) == [30]


def test_quarters_of_few_values_are_not_told(counted: ModuleType) -> None:
    assert counted.quartiles([4.0]) is None
    assert counted.quartiles([1.0, 2.0, 3.0, 4.0, 5.0]) == (2.0, 3.0, 4.0)


def test_simulated_buyers_keep_the_process_they_are_said_to_follow(script: Any) -> None:
    stages = script("stages")
    for company, stays in ((stages.gift_shop(600), 0.85), (stages.annual_seller(600), 0.88)):
        counts = [len(buyer.ordered_at) for buyer in company.buyers.values()]
        stopped = sum(bool(buyer.has_stopped) for buyer in company.buyers.values())
        # After every order somebody stops with the same chance.
        assert stopped / sum(counts) == pytest.approx(1 - stays, abs=0.03)
        for buyer in company.buyers.values():
            assert buyer.ordered_at == sorted(set(buyer.ordered_at))
            assert stages.START <= buyer.ordered_at[0] <= buyer.ordered_at[-1] < stages.END
    yearly = stages.annual_seller(600)
    assert stages.proposed_gap(yearly.buyers, yearly.end) in (360, 365, 370)
    assert stages.gift_shop(50).buyers == stages.gift_shop(50).buyers


# --- attribution -----------------------------------------------------------------------------------------------------


def test_the_credit_in_the_wrong_place_is_half_the_differences(script: Any) -> None:
    attribution = script("attribution")
    truth = {"search": 0.5, "display": 0.3, "referral": 0.2}
    assert attribution.distance(truth, truth) == 0
    # Of 100 conversions 20 are credited to display that search brought; what is not in the truth is left out.
    found = {"search": 30, "display": 50, "referral": 20, "direct": 999}
    assert attribution.distance(found, truth) == pytest.approx(0.2)
    assert attribution.distance({"display": 1}, truth) == pytest.approx(0.7)
    assert math.isnan(attribution.distance({"direct": 1}, truth))


def test_the_generated_chain_has_every_channel_and_campaign(script: Any) -> None:
    attribution = script("attribution")
    chain = attribution.random_chain(attribution.Size(4, 3, 5, seconds=1))
    assert len(chain.states) == 12
    assert {source for source, _ in chain.moves} == set(chain.states)
    assert sum(source == target for source, target in chain.moves) == 12


def test_the_generated_paths_are_touches_of_two_paths_a_customer(script: Any, tmp_path: Path) -> None:
    attribution = script("attribution")
    with open_duckdb(tmp_path / "warehouse.duckdb") as warehouse:
        attribution._write_paths(warehouse, 1_000)
        touches, customers, sessions = warehouse.rows(
            "select count(distinct event_id), count(distinct customer_id), count(distinct session_id)"
            " from intermediate.int_timeline"
        )[0]
        assert customers == 500
        assert touches == warehouse.scalar("select count(*) from intermediate.int_timeline")
        assert 0 < sessions < touches
        orders = warehouse.scalar("select count(distinct order_key) from intermediate.int_orders")
        assert 500 < orders < 700
        assert (
            warehouse.scalar("select count(*) from intermediate.int_orders where ordered_at >= timestamp '2026-01-01'")
            == 0
        )


def test_every_mart_is_measured_in_one_part(script: Any) -> None:
    parts = script("models")._parts_of_models()
    marts = {
        node.name: node.fqn[2:-1]
        for node in parsed_manifest().nodes.values()
        if node.resource_type == "model" and node.fqn[1] in ("marts", "segments")
    }
    assert set(marts) <= set(parts)
    assert {parts[name] for name, folders in marts.items() if "metrics" in folders} == {"metrics"}
    assert parts["seg_lapsed"] == "segments"
    assert (parts["int_timeline"], parts["customer_360"], parts["int_attribution_paths"]) == (
        "history",
        "customer 360",
        "metrics",
    )
    assert not [name for name in parts if name.startswith("stg_")]


def test_copied_orders_are_other_orders_of_the_same_people(script: Any, tmp_path: Path) -> None:
    with open_duckdb(tmp_path / "warehouse.duckdb") as warehouse:
        for statement in create_raw_tables_sql():
            warehouse.run(statement)
        warehouse.run("create schema identity")
        warehouse.run(
            "create table identity.record_links as select 'orders:shop:7' as record_key, 'orders' as record_table, '7'"
            " as record_id, 'ada' as customer_id, timestamp '2025-01-20 10:00' as linked_at"
        )
        warehouse.run("insert into raw.orders (order_id, ordered_at) values ('7', '2025-01-20 10:00')")
        warehouse.run(
            "insert into raw.order_items (order_id, line_number, line_amount) values ('7', 1, 5), ('7', 2, 6)"
        )
        models = script("models")
        for copy in (1, 2):
            models._copy_orders(warehouse, copy)
        assert warehouse.rows("select order_id, ordered_at from raw.orders order by order_id") == [
            ("7", datetime(2025, 1, 20, 10)),
            ("7-1", datetime(2025, 1, 11, 10)),
            ("7-2", datetime(2025, 1, 2, 10)),
        ]
        assert warehouse.scalar("select count(distinct (order_id, line_number)) from raw.order_items") == 6
        assert warehouse.rows("select record_id, customer_id from identity.record_links order by record_id") == [
            ("7", "ada"),
            ("7-1", "ada"),
            ("7-2", "ada"),
        ]


def test_a_model_is_noted_with_its_time(measuring: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    times = measuring.ModelTimes()
    relation = SimpleNamespace(schema="marts")
    data = SimpleNamespace(
        node_info=SimpleNamespace(node_name="revenue_monthly", node_relation=relation), execution_time=1.25
    )
    times(SimpleNamespace(info=SimpleNamespace(name="LogModelResult"), data=data))
    times(SimpleNamespace(info=SimpleNamespace(name="LogStartLine"), data=data))
    assert [(one.name, one.schema, one.seconds) for one in times.took] == [("revenue_monthly", "marts", 1.25)]
    assert "revenue_monthly: 1.2 s" in capsys.readouterr().out


def test_a_job_that_fails_ends_the_benchmark_with_what_it_wrote(
    measuring: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = measuring.Bench(tmp_path / "script.py", tmp_path / "files")
    (tmp_path / "script.py").write_text("import sys; print(sys.argv[1:]); sys.exit(int(sys.argv[-1]))")
    assert bench.job("load", count=0)[0] == "['--job', 'load', '--count', '0']"
    with pytest.raises(SystemExit, match="load: FAIL, it ended with exit code 4"):
        bench.job("load", count=4)
    assert "'--count', '4'" in capsys.readouterr().out
