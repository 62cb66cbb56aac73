"""`lifecycle calibrate` after a whole run: its figures are those of the models, and its changes those of a next run."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from lifecycle import cli
from lifecycle.calibration.changes import measure_changes
from lifecycle.calibration.evidence import DEFAULT, open_evidence
from lifecycle.calibration.proposals import Calibration, calibrate, with_changes
from lifecycle.publishing.plan import open_published
from lifecycle.serving.publication import current
from lifecycle.settings import Settings
from orchestration.execution import execute
from tests.integration.simulated_company import Group, gamma, simulate
from tests.orchestration.conftest import Shop

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Five hundred people of two rhythms, a few of whose orders were refunded, run once."""
    shop = Shop(tmp_path_factory.mktemp("calibrated"))
    people, orders = simulate([Group(350, gamma(25), 0.2), Group(150, gamma(110), 0.3)], days=700, seed=3)
    shop.content["as_of"] = "2024-03-31"
    shop.content["lifecycle"] = {"default_order_gap_days": 8, "loyalty": {"min_orders": 2}, "high_value_amount": 5}
    shop.content["sources"] = [
        *shop.content["sources"],
        {"name": "shop", "table": "refunds", "path": "in/refunds*.csv", "constants": {"currency": "USD"}},
        {"name": "shop", "table": "products", "path": "in/products*.csv"},
        {"name": "shop", "table": "order_items", "path": "in/order_items*.csv"},
    ]
    shop.write("contacts", ["contact_id", "country"], [[person["customer_id"], "US"] for person in people])
    header = ["order_id", "contact_id", "ordered_at", "order_status", "total_amount"]
    rows = [
        [order.order_id, order.customer_id, f"{order.ordered_at:%Y-%m-%d %H:%M:%S}", "completed", f"{order.amount:.2f}"]
        for order in orders
    ]
    shop.write("orders", header, rows)
    shop.write(
        "refunds",
        ["refund_id", "order_id", "refunded_at", "refund_amount"],
        [[f"r{number}", row[0], row[2], row[4]] for number, row in enumerate(rows) if number % 17 == 0],
    )
    shop.write("products", ["product_id", "category"], [["tea", "Food > Tea"], ["pot", "Home > Pots"]])
    shop.write(
        "order_items",
        ["order_id", "line_number", "product_id", "quantity", "line_amount"],
        [[row[0], "1", "pot" if number % 7 == 0 else "tea", "1", row[4]] for number, row in enumerate(rows)],
    )
    assert execute(shop.settings()).exit_code == 0
    return shop


@pytest.fixture(scope="module")
def measured(shop: Shop) -> Calibration:
    settings = shop.settings()
    return measure_changes(settings, calibrate(settings))


def stages(settings: Settings) -> dict[str, str]:
    published = current(settings.state)
    assert published is not None
    with open_published(settings, published) as warehouse:
        return dict(warehouse.rows("select customer_id, lifecycle_stage from marts.customer_360"))


def test_the_clocks_and_the_loyal_are_those_of_the_models(shop: Shop) -> None:
    settings = shop.settings()
    with open_evidence(settings) as evidence:
        evidence.set_clocks({DEFAULT: settings.lifecycle.flat()}, {})
        rows = evidence.warehouse.rows(
            """
            select
                clocks.expected_order_gap_days,
                customers.expected_order_gap_days,
                clocks.kept_count >= loyalty_min_orders
                and clocks.first_paid_at + to_seconds(round(loyalty_min_days * 86400)::bigint) <= ?,
                customers.is_loyal
            from temp.clocks
            inner join marts.customer_360 as customers on clocks.lifecycle_id = customers.customer_id
            where clocks.is_last
            """,
            [evidence.end],
        )
    assert len(rows) == 500
    assert all(ours == pytest.approx(theirs) for ours, theirs, _, _ in rows)
    assert all(ours == theirs for _, _, ours, theirs in rows)
    assert {loyal for *_, loyal in rows} == {True, False}


def test_what_expands_is_what_the_models_call_expanding(shop: Shop) -> None:
    settings = shop.settings()
    given = settings.lifecycle.expansion
    with open_evidence(settings) as evidence:
        assert evidence.lines_problem is None
        evidence.set_clocks({DEFAULT: settings.lifecycle.flat()}, {})
        (found,) = evidence.expansions(
            given.category_level,
            shares=[given.min_spend_share],
            expanding_days=settings.lifecycle.expanding_days,
            window_days=given.window_days,
            min_history_days=given.min_history_days,
        )
        expanding = evidence.warehouse.scalar(
            "select count(*) from marts.customer_360 as customers semi join temp.active"
            " on customers.customer_id = active.lifecycle_id where customers.is_expanding"
        )
    assert found == expanding > 0


def test_the_changes_are_those_that_a_next_run_makes(shop: Shop, measured: Calibration, tmp_path: Path) -> None:
    assert {"default_order_gap_days", "loyalty"} <= set(measured.moves)
    assert measured.together is not None and measured.moves_problem is None
    before = stages(shop.settings())
    settings = shop.settings()
    content = with_changes(settings.lifecycle, measured.changes).model_dump(mode="json")
    changed = settings.model_copy(
        update={
            "lifecycle": type(settings.lifecycle).model_validate(content),
            "state_dir": str(tmp_path / "state"),
        }
    )
    assert execute(changed).exit_code == 0
    after = stages(changed)
    moves = Counter((before[one], after[one]) for one in before if before[one] != after[one])
    assert {(flow.from_stage, flow.to_stage): flow.customer_count for flow in measured.together.flows} == moves
    assert measured.together.moved_count == sum(moves.values()) > 0
    assert calibrate(changed).changes == ()


def test_nothing_stays_behind_and_nothing_of_the_company_changes(shop: Shop, measured: Calibration) -> None:
    assert measured.moves
    scratch = shop.settings().state.root / "scratch"
    assert list(scratch.iterdir()) == []
    published = current(shop.settings().state)
    assert published is not None and published.run_id == measured.run_id


def test_the_command_tells_who_would_be_elsewhere(
    shop: Shop, measured: Calibration, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["lifecycle", "calibrate", "--json", "--config", str(shop.config)])
    cli.app(standalone_mode=False)
    content = json.loads(capsys.readouterr().out)
    assert measured.together is not None
    assert content["moves_together"]["moved_count"] == measured.together.moved_count
    assert yaml.safe_load(content["yaml"])["lifecycle"]
