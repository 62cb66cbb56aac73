"""Attribution in a whole run: the chain is solved between the models that count it and the models that read it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta

import dagster as dg
import pytest

from lifecycle.warehouse import open_duckdb
from orchestration.definitions import build_definitions
from orchestration.execution import execute
from tests.orchestration.conftest import LAST_DAY, Shop

HEADER = ["touchpoint_id", "contact_id", "occurred_at", "event_name", "channel", "campaign_id"]


def touches(shop: Shop) -> list[list[str]]:
    """Everybody comes by display in the week before their first order, every second one then by an ad in a search; the
    others come by that 200 days later."""
    rows = []
    lines = (shop.folder / "in" / "orders.csv").read_text().splitlines()[1:]
    first = {}
    for line in lines:
        _, person, moment, _, _ = line.split(",")
        first[person] = min(first.get(person, moment), moment)
    for number, (person, moment) in enumerate(sorted(first.items())):
        ordered_at = datetime.fromisoformat(moment)
        for name, days_back, channel, campaign in (
            ("d", 6, "display", "spring"),
            ("s", 2 if number % 2 else -200, "paid_search", ""),
        ):
            at = ordered_at - timedelta(days=days_back)
            rows.append([f"{name}{number}", person, at.isoformat(), "ad_click", channel, campaign])
    return rows


def rows_of(shop: Shop, sql: str) -> list[tuple[object, ...]]:
    with open_duckdb(shop.settings().state.warehouse, read_only=True) as warehouse:
        return warehouse.rows(sql)


def test_the_chain_is_solved_between_what_counts_it_and_what_reads_it(make_shop: Callable[[], Shop]) -> None:
    graph = build_definitions(make_shop().settings()).resolve_asset_graph()
    effects = dg.AssetKey(["attribution", "removal_effects"])
    assert graph.get(effects).parent_keys == {dg.AssetKey(["intermediate", "int_attribution_transitions"])}
    assert graph.get(effects).child_keys == {dg.AssetKey(["intermediate", "int_attribution_removal_effects"])}


@pytest.mark.slow
def test_a_run_credits_touches_and_solves_the_chain_anew(make_shop: Callable[[], Shop]) -> None:
    shop = make_shop()
    shop.content["sources"].append(
        {"name": "ads", "table": "touchpoints", "path": "in/touches*.csv", "id_namespace": "shop"}
    )  # type: ignore[attr-defined]
    clicks = touches(shop)
    shop.write("touches", HEADER, clicks)
    outcome = execute(shop.settings())
    assert outcome.exit_code == 0, outcome
    solved = rows_of(
        shop,
        "select channel, campaign_id, removal_effect, touch_count from marts.attribution_removal_effects order by 1",
    )
    assert [row[:2] for row in solved] == [("display", "spring"), ("paid_search", "(none)")]
    # Display is on the paths of all first orders, a search on every second and on some of later ones.
    assert 1 > float(str(solved[0][2])) > float(str(solved[1][2])) > 0
    orders = "select order_id from marts.attribution_conversions where channel = 'paid_search'"
    shares = rows_of(
        shop,
        "select distinct channel, markov_share, linear_share from marts.attribution_conversions"
        f" where order_id in ({orders}) order by all",
    )
    assert len(shares) >= 2
    weights = dict(rows_of(shop, "select channel, lost_per_touch_rate from marts.attribution_removal_effects"))
    display, search = float(str(weights["display"])), float(str(weights["paid_search"]))
    assert display != search
    assert shares[0] == ("display", pytest.approx(display / (display + search), abs=1e-9), 0.5)
    verdicts = rows_of(
        shop,
        "select distinct outcome from ops.gate_results where gate = 'marts'"
        f" and run_id = '{outcome.run_id}' and check_name = 'dbt_tests_hold'",
    )
    assert verdicts == [("passed",)]

    # A later file brings another campaign: nothing of the last run's chain is left.
    shop.write(
        "touches_more", HEADER, [["n1", "p30", (LAST_DAY - timedelta(days=60)).isoformat(), "ad_click", "email", "nl1"]]
    )
    assert execute(shop.settings()).exit_code == 0
    names = rows_of(shop, "select channel from attribution.removal_effects order by all")
    assert names == [("display",), ("email",), ("paid_search",)]

    past = execute(shop.settings(), as_of=date(2024, 3, 31))
    assert past.exit_code == 0, past
