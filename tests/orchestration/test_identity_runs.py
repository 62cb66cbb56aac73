"""Identity from run to run: customers become one, and are taken apart again, and the publication says so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from lifecycle.identity.decisions import Record, write_decision
from lifecycle.serving.publication import current
from lifecycle.warehouse import open_duckdb
from orchestration.execution import execute
from tests.orchestration.conftest import Shop


def published(shop: Shop, sql: str) -> list[tuple[object, ...]]:
    """Rows of the published file with plain record ids."""
    publication = current(shop.settings().state)
    assert publication is not None
    with open_duckdb(publication.pii_database, read_only=True) as warehouse:
        return warehouse.rows(sql)


def customers(shop: Shop) -> dict[str, str]:
    rows = published(
        shop,
        "select record_id, customer_id from identity.customer_links"
        " where record_table = 'contacts' and record_id in ('ada', 'ben')",
    )
    return {str(record): str(customer) for record, customer in rows}


def merges(shop: Shop) -> list[tuple[object, ...]]:
    return published(
        shop,
        "select previous_customer_id, customer_id, change_kind, reason from identity.customer_merges order by all",
    )


@pytest.mark.slow
def test_a_record_that_joins_two_customers_and_the_steward_who_takes_them_apart(
    make_shop: Callable[[], Shop],
) -> None:
    shop = make_shop()
    header = ["contact_id", "email", "created_at"]
    people = [["ada", "ada@example.com", "2024-02-01T09:00:00"], ["ben", "ben@example.com", "2024-03-01T09:00:00"]]
    shop.write("contacts_known", header, people)
    assert execute(shop.settings()).exit_code == 0
    apart = customers(shop)
    assert apart["ada"] != apart["ben"]
    assert merges(shop) == []

    header = ["order_id", "contact_id", "email", "ordered_at", "order_status", "total_amount"]
    shop.write("orders_bridge", header, [["bridge", "ada", "ben@example.com", "2024-06-20T12:00:00", "paid", "5.00"]])
    assert execute(shop.settings()).exit_code == 0
    assert set(customers(shop).values()) == {apart["ada"]}, "the older id survives"
    merged = (apart["ben"], apart["ada"], "merged", "the same contact id, on a new record of shop.orders")
    assert merges(shop) == [merged]

    assert execute(shop.settings()).exit_code == 0
    assert merges(shop) == [merged], "a run after which nothing changed adds nothing"

    ada, ben = (Record("shop", "contacts", name) for name in ("ada", "ben"))
    after_the_day = datetime(2024, 7, 9, tzinfo=UTC)
    write_decision(shop.settings(), ada, ben, "different", reason="two people", decided_by="cat", now=after_the_day)
    assert execute(shop.settings()).exit_code == 0
    assert customers(shop) == apart
    split = (apart["ada"], apart["ben"], "split", "a steward decided that they are different people")
    assert merges(shop) == sorted([merged, split], key=str)
