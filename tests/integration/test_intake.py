"""Files become raw records: versions, replays, settings, and the transaction."""

from __future__ import annotations

import gzip
import itertools
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from inbox import NOW, Inbox, opened_inbox

from lifecycle.errors import IntakeError, LifecycleError
from lifecycle.sources import intake, quarantine
from lifecycle.sources.contract import TABLES

ORDERS = "order_id,ordered_at,order_status,total_amount,currency,email\n"


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    with opened_inbox(tmp_path) as one:
        yield one


def order(number: int, amount: str = "10.00", at: str = "2024-01-01", email: str = "") -> str:
    return f"o{number},{at},paid,{amount},USD,{email}\n"


def everything(inbox: Inbox) -> dict[str, Any]:
    """All that intake keeps, in an order of its own."""
    names = [f"raw.{name}" for name in (*TABLES, "superseded_versions")]
    return {
        name: inbox.warehouse.rows(f"select * from {name} order by all")
        for name in (*names, "quarantine.rejected_rows", "ops.batches")
    }


def test_a_file_becomes_typed_records_with_their_origin(inbox: Inbox) -> None:
    inbox.write("orders.csv", ORDERS + order(1, "12.50", "2024-01-01T10:00:00+02:00", " a@example.com "))
    inbox.source("orders", "orders.csv", id_namespace="crm")
    (batch,) = inbox.take_in()
    ((system, namespace, batch_id, loaded_at, at, amount, email),) = inbox.raw(
        "orders", "source_system, id_namespace, batch_id, loaded_at, ordered_at, total_amount, email"
    )
    assert (system, namespace, batch_id, loaded_at) == ("shop", "crm", batch.batch_id, NOW.replace(tzinfo=None))
    assert (at, amount, email) == (datetime(2024, 1, 1, 8), Decimal("12.5"), "a@example.com")
    assert (batch.received_count, batch.loaded_count, batch.file_name) == (1, 1, "orders.csv")


def test_csv_jsonl_parquet_and_gzip_give_the_same_records(inbox: Inbox) -> None:
    inbox.write("o.csv", ORDERS + order(1, "12.50") + order(2, "-3"))
    lines = "".join(
        f'{{"order_id": "o{number}", "ordered_at": "2024-01-01", "order_status": "paid", "total_amount": {amount},'
        ' "currency": "USD"}\n'
        for number, amount in ((1, "12.50"), (2, "-3"))
    )
    inbox.write("o.jsonl", lines)
    inbox.write("o.csv.gz", gzip.compress((inbox.folder / "o.csv").read_bytes()))
    inbox.write("o.jsonl.gz", gzip.compress(lines.encode()))
    inbox.warehouse.run(
        "copy (select 'o' || i as order_id, date '2024-01-01' as ordered_at, 'paid' as order_status,"
        f" case i when 1 then 12.5::double else -3::double end as total_amount, 'USD' as currency"
        f" from range(1, 3) t(i)) to '{inbox.folder}/o.parquet'"
    )
    endings = ("csv", "jsonl", "csv.gz", "jsonl.gz", "parquet")
    for number, ending in enumerate(endings):
        inbox.source("orders", f"o.{ending}", name=f"shop{number}")
    batches = inbox.take_in()
    assert [batch.received_count for batch in batches] == [2] * len(endings)
    for number in range(len(endings)):
        assert inbox.warehouse.rows(
            "select order_id, ordered_at, total_amount, currency from raw.orders where source_system = ? order by all",
            [f"shop{number}"],
        ) == [
            ("o1", datetime(2024, 1, 1), Decimal("12.5"), "USD"),
            ("o2", datetime(2024, 1, 1), Decimal("-3"), "USD"),
        ]


def test_columns_are_matched_by_name_not_by_position(inbox: Inbox) -> None:
    inbox.write("o.csv", "total,when,id,extra\n5.00,2024-02-01,o1,x\n")
    inbox.source(
        "orders",
        "o.csv",
        columns={"order_id": "id", "ordered_at": "when", "total_amount": "total"},
        constants={"currency": "EUR", "order_status": "paid"},
    )
    inbox.take_in()
    assert inbox.raw("orders", "order_id, ordered_at, total_amount, currency, order_status") == [
        ("o1", datetime(2024, 2, 1), Decimal("5"), "EUR", "paid")
    ]


def test_a_replayed_file_changes_nothing(inbox: Inbox) -> None:
    inbox.write("o.csv", ORDERS + order(1) + order(2, "bad"))
    inbox.source("orders", "o*.csv")
    inbox.take_in()
    before = everything(inbox)
    assert inbox.take_in() == []
    assert everything(inbox) == before


def test_a_renamed_file_changes_nothing(inbox: Inbox) -> None:
    path = inbox.write("o.csv", ORDERS + order(1))
    inbox.source("orders", "o*.csv")
    inbox.take_in()
    before = everything(inbox)
    path.rename(inbox.folder / "orders_of_january.csv")
    assert inbox.take_in() == []
    assert everything(inbox) == before


def test_the_same_file_under_two_names_is_loaded_once(inbox: Inbox) -> None:
    inbox.write("o1.csv", ORDERS + order(1))
    inbox.write("o2.csv", ORDERS + order(1))
    inbox.source("orders", "o*.csv")
    assert [batch.file_name for batch in inbox.take_in()] == ["o1.csv"]


def test_an_overlapping_extract_adds_only_what_is_new(inbox: Inbox) -> None:
    inbox.write("o1.csv", ORDERS + order(1) + order(2))
    inbox.source("orders", "o*.csv")
    inbox.take_in()
    inbox.write("o2.csv", ORDERS + order(2) + order(3) + order(3))
    (batch,) = inbox.take_in()
    assert (batch.loaded_count, batch.duplicate_count) == (1, 2)
    assert inbox.raw("orders", "order_id") == [("o1",), ("o2",), ("o3",)]


PRODUCTS = "product_id,product_name,updated_at\n"


def test_the_latest_version_wins_whatever_the_order_of_arrival(tmp_path: Path) -> None:
    versions = [
        PRODUCTS + "1,first,2024-01-01\n",
        PRODUCTS + "1,second,2024-01-02\n",
        PRODUCTS + "1,third,2024-01-03\n",
    ]
    for number, arrival in enumerate(itertools.permutations(versions)):
        with opened_inbox(tmp_path / str(number)) as inbox:
            inbox.source("products", "p*.csv")
            for place, content in enumerate(arrival):
                inbox.write(f"p{place}.csv", content)
                inbox.take_in()
            assert inbox.raw("products", "product_name") == [("third",)]


def test_an_older_version_is_superseded(inbox: Inbox) -> None:
    inbox.source("products", "p*.csv")
    inbox.write("p1.csv", PRODUCTS + "1,new,2024-01-02\n")
    inbox.take_in()
    inbox.write("p2.csv", PRODUCTS + "1,old,2024-01-01\n1,none,\n")
    (batch,) = inbox.take_in()
    assert batch.superseded_count == 2
    assert inbox.raw("products", "product_name") == [("new",)]


def test_without_a_time_of_change_the_later_file_wins_and_an_old_extract_brings_nothing_back(inbox: Inbox) -> None:
    inbox.source("contacts", "c*.csv")
    for name, email in (("c1", "one"), ("c2", "two")):
        inbox.write(f"{name}.csv", f"contact_id,email\n1,{email}@example.com\n")
        inbox.take_in()
    assert inbox.raw("contacts", "email") == [("two@example.com",)]
    inbox.write("c3.csv", "contact_id,email\n1,one@example.com\n2,other@example.com\n")
    (batch,) = inbox.take_in()
    assert (batch.loaded_count, batch.superseded_count) == (1, 1)
    assert inbox.raw("contacts", "contact_id, email") == [("1", "two@example.com"), ("2", "other@example.com")]


def test_a_remembered_version_is_a_keyed_hash_and_no_text(inbox: Inbox) -> None:
    inbox.source("contacts", "c*.csv")
    for name, email in (("c1", "one"), ("c2", "two")):
        inbox.write(f"{name}.csv", f"contact_id,email\n1,{email}@example.com\n")
        inbox.take_in()
    ((system, table, hash_),) = inbox.raw("superseded_versions")
    assert (system, table, len(hash_)) == ("shop", "contacts", 64)


def test_the_keyed_hash_is_hmac_sha256(inbox: Inbox) -> None:
    import hashlib
    import hmac

    table = TABLES["products"]
    inbox.write("p.csv", "product_id,product_name\np1,Thé\n")
    inbox.source("products", "p.csv")
    inbox.take_in()
    for key in (b"short", b"k" * 100):
        hashed = inbox.warehouse.scalar(f"select {intake.version_hash(table, 'one', key)} from raw.products one")
        values = ["shop", "shop", "p1", "Thé", *([None] * (len(table.columns) - 2))]
        text = "products|" + "".join("-" if one is None else f"{len(one.encode())}:{one}" for one in values)
        assert hashed == hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def test_loading_file_by_file_ends_in_the_same_records_as_loading_all_at_once(tmp_path: Path) -> None:
    generator = random.Random(7)  # noqa: S311
    for trial in range(2):
        contents = []
        for _ in range(5):
            rows = [
                f"{generator.randint(1, 4)},v{generator.randint(1, 4)},"
                f"{generator.choice(['', '2024-01-01', '2024-01-02', '2024-01-03'])}\n"
                for _ in range(5)
            ]
            contents.append(PRODUCTS + "".join(rows))
        with opened_inbox(tmp_path / f"{trial}-increments") as inbox:
            inbox.source("products", "p*.csv")
            for number, content in enumerate(contents):
                inbox.write(f"p{number}.csv", content)
                inbox.take_in()
            increments = inbox.raw("products", "product_id, product_name, updated_at")
            inbox.take_in(full_refresh=True)
            assert inbox.raw("products", "product_id, product_name, updated_at") == increments
        with opened_inbox(tmp_path / f"{trial}-at-once") as inbox:
            inbox.source("products", "p*.csv")
            for number, content in enumerate(contents):
                inbox.write(f"p{number}.csv", content)
            inbox.take_in()
            assert inbox.raw("products", "product_id, product_name, updated_at") == increments


def test_keys_may_have_parts_that_are_null(inbox: Inbox) -> None:
    header = "contact_id,email,channel,purpose,consent_status,changed_at\n"
    inbox.source("consents", "c*.csv")
    inbox.write("c1.csv", header + ",a@example.com,email,marketing,granted,2024-01-01\n")
    inbox.take_in()
    inbox.write(
        "c2.csv",
        header
        + ",a@example.com,email,marketing,granted,2024-01-01\n"
        + ",a@example.com,email,marketing,withdrawn,2024-01-01\n"
        + "7,,email,marketing,granted,2024-01-01\n",
    )
    (batch,) = inbox.take_in()
    assert (batch.loaded_count, batch.duplicate_count) == (2, 1)
    assert inbox.raw("consents", "contact_id, consent_status") == [("7", "granted"), (None, "withdrawn")]


def test_two_systems_may_use_the_same_ids(inbox: Inbox) -> None:
    inbox.write("a.csv", ORDERS + order(1))
    inbox.write("b.csv", ORDERS + order(1, "99.00"))
    inbox.source("orders", "a.csv", name="web")
    inbox.source("orders", "b.csv", name="store")
    inbox.take_in()
    assert len(inbox.raw("orders")) == 2


def test_a_changed_mapping_reads_the_file_again_and_takes_the_place_of_the_first_reading(inbox: Inbox) -> None:
    inbox.write("c.csv", "contact_id,mail\n1,a@example.com\n2,b@example.com\n")
    inbox.source("contacts", "c.csv")
    (first,) = inbox.take_in()
    assert inbox.raw("contacts", "email") == [(None,), (None,)]
    inbox.sources[0] = inbox.sources[0].model_copy(update={"columns": {"email": "mail"}})
    (second,) = inbox.take_in()
    assert second.batch_id != first.batch_id
    assert inbox.raw("contacts", "email") == [("a@example.com",), ("b@example.com",)]
    inbox.sources[0] = inbox.sources[0].model_copy(update={"columns": {}})
    inbox.take_in()
    assert inbox.raw("contacts", "email") == [(None,), (None,)]
    assert inbox.take_in() == []
    assert inbox.warehouse.scalar("select count(*) from ops.batches where retired_at is null") == 1


def test_two_readings_of_one_file_into_one_table_live_side_by_side(inbox: Inbox) -> None:
    inbox.write("o.csv", "buyer,receiver\n1,2\n")
    inbox.source("contacts", "o.csv", columns={"contact_id": "buyer"})
    inbox.source("contacts", "o.csv", columns={"contact_id": "receiver"})
    assert len(inbox.take_in()) == 2
    assert inbox.take_in() == []
    assert inbox.raw("contacts", "contact_id") == [("1",), ("2",)]


def test_a_full_refresh_replaces_what_is_no_longer_there(inbox: Inbox) -> None:
    inbox.source("orders", "o*.csv")
    gone = inbox.write("o1.csv", ORDERS + order(1) + order(9, "bad"))
    inbox.write("o2.csv", ORDERS + order(2))
    inbox.take_in()
    gone.unlink()
    assert inbox.take_in() == []
    assert len(inbox.raw("orders")) == 2
    inbox.take_in(full_refresh=True)
    assert inbox.raw("orders", "order_id") == [("o2",)]
    assert inbox.rejected() == []
    assert inbox.warehouse.rows("select file_name from ops.batches") == [("o2.csv",)]


def test_landing_changes_nothing_in_raw_and_can_be_discarded(inbox: Inbox) -> None:
    inbox.write("o.csv", ORDERS + order(1) + order(2, "bad"))
    inbox.source("orders", "o.csv")
    before = everything(inbox)
    (batch,) = inbox.land()
    assert everything(inbox) == before
    assert inbox.warehouse.rows("select status from landing.orders") == [("load",)]
    assert inbox.warehouse.rows("select batch_id, quarantined_count from landing.batches") == [(batch.batch_id, 1)]
    intake.discard(inbox.warehouse)
    assert intake.merge(inbox.warehouse, "run-1") == []
    assert everything(inbox) == before
    assert inbox.take_in() == [replace(batch, run_id="run-2")]


def test_merging_twice_is_merging_once(inbox: Inbox) -> None:
    inbox.write("o.csv", ORDERS + order(1))
    inbox.source("orders", "o.csv")
    inbox.take_in()
    before = everything(inbox)
    assert intake.merge(inbox.warehouse, "run-1") == []
    assert everything(inbox) == before


def test_the_landing_of_another_run_is_not_merged(inbox: Inbox) -> None:
    inbox.write("o.csv", ORDERS + order(1))
    inbox.source("orders", "o.csv")
    inbox.land()
    with pytest.raises(IntakeError, match="landed by run run-1"):
        intake.merge(inbox.warehouse, "another")


def test_a_landing_that_was_cut_off_is_not_merged(inbox: Inbox) -> None:
    inbox.write("o.csv", ORDERS + order(1))
    inbox.source("orders", "o.csv")
    inbox.land()
    # What a process that was killed before its end leaves behind: rows, and no word that they are complete.
    inbox.warehouse.run("delete from landing.runs")
    assert intake.merge(inbox.warehouse, "run-1") == []
    assert inbox.raw("orders") == []
    assert len(inbox.take_in()) == 1


def test_each_step_may_be_another_process(tmp_path: Path) -> None:
    with opened_inbox(tmp_path) as inbox:
        inbox.write("o.csv", ORDERS + order(1))
        inbox.source("orders", "o.csv")
        inbox.land()
    with opened_inbox(tmp_path) as again:
        assert [batch.loaded_count for batch in intake.merge(again.warehouse, "run-1")] == [1]
        assert len(again.raw("orders")) == 1


def test_a_merge_that_fails_leaves_everything_as_it_was(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox.write("o1.csv", ORDERS + order(1))
    inbox.source("orders", "o*.csv")
    inbox.take_in()
    inbox.write("o2.csv", ORDERS + order(1, "11.00") + order(2))
    inbox.land()
    before = everything(inbox)
    original = intake._empty_landing

    def fails(_: object) -> None:
        raise RuntimeError("power cut")

    monkeypatch.setattr(intake, "_empty_landing", fails)
    with pytest.raises(RuntimeError):
        intake.merge(inbox.warehouse, "run-2")
    assert everything(inbox) == before
    monkeypatch.setattr(intake, "_empty_landing", original)
    intake.merge(inbox.warehouse, "run-2")
    assert [amount for (amount,) in inbox.raw("orders", "total_amount")] == [Decimal(10), Decimal(11)]


def test_problems_of_all_files_are_told_at_once_and_nothing_is_landed(inbox: Inbox) -> None:
    inbox.write("good.csv", ORDERS + order(1))
    inbox.write("bad.csv", "order_id,ordered_at,order_status,currency\n1,2024-01-01,paid,USD\n")
    inbox.source("orders", "good.csv")
    inbox.source("orders", "bad.csv")
    inbox.source("contacts", "nowhere/*.csv")
    with pytest.raises(IntakeError) as caught:
        inbox.take_in()
    message = str(caught.value)
    assert "2 inputs cannot be read" in message
    assert "bad.csv (source shop, table orders)" in message
    assert "'total_amount' is missing; the header has: order_id, ordered_at, order_status, currency" in message
    assert "columns: {total_amount: <name in the file>}" in message
    assert "no file matches 'nowhere/*.csv'" in message
    assert inbox.warehouse.rows("select * from landing.orders") == []
    assert inbox.raw("orders") == []


def test_the_first_line_of_a_file_without_a_header_is_not_shown(inbox: Inbox) -> None:
    inbox.write("c.csv", "1,Canaryfirst,zz.canary@example.com\n2,x,y\n")
    inbox.source("contacts", "c.csv")
    with pytest.raises(IntakeError) as caught:
        inbox.take_in()
    assert "anary" not in str(caught.value)


def test_a_mapping_onto_a_column_that_is_not_there_is_told(inbox: Inbox) -> None:
    inbox.write("c.csv", "contact_id,e-mail\n1,a@example.com\n")
    inbox.source("contacts", "c.csv", columns={"email": "e_mail"})
    with pytest.raises(IntakeError, match="'e_mail', which `columns:` maps to email, is missing"):
        inbox.take_in()


def test_future_records_load_and_are_counted(inbox: Inbox) -> None:
    inbox.write("o.csv", ORDERS + order(1, at="2024-05-31") + order(2, at="2024-12-24"))
    inbox.source("orders", "o.csv")
    (batch,) = inbox.take_in()
    assert (batch.loaded_count, batch.future_count) == (2, 1)


def test_times_without_a_zone_are_local_to_their_source(inbox: Inbox) -> None:
    inbox.write(
        "o.csv",
        ORDERS
        + order(1, at="2024-07-01 12:00:00")
        + order(2, at="2024-07-01")
        + order(3, at="2024-11-03 01:30:00")
        + order(4, at="2024-03-10 02:30:00")
        + order(5, at="2024-07-01T12:00:00Z")
        + order(6, at="2024-07-01 12:00:00.5 +0530"),
    )
    inbox.source("orders", "o.csv", timezone="America/New_York")
    inbox.take_in()
    assert dict(inbox.raw("orders", "order_id, ordered_at")) == {
        "o1": datetime(2024, 7, 1, 16),
        "o2": datetime(2024, 7, 1, 4),
        "o3": datetime(2024, 11, 3, 5, 30),
        "o5": datetime(2024, 7, 1, 12),
        "o6": datetime(2024, 7, 1, 6, 30, 0, 500_000),
    }
    assert inbox.rejected() == [(5, "ordered_at", "a local time that the clocks skipped")]


@pytest.mark.parametrize("zone", ["America/New_York", "Australia/Lord_Howe", "Europe/Dublin", "Asia/Kolkata"])
def test_local_times_agree_with_the_zone_database(inbox: Inbox, zone: str) -> None:
    from zoneinfo import ZoneInfo

    generator = random.Random(zone)  # noqa: S311
    locals_ = [
        datetime(2024, month, day, hour, minute)
        for month in (3, 4, 10, 11)
        for day in (*range(1, 11), 27, 31)
        if (month, day) not in ((4, 31), (11, 31))
        for hour in (0, 1, 2, 3)
        for minute in (0, generator.randint(1, 59))
    ]
    header = ORDERS.replace(",email", "")
    rows = "".join(f"{number},{local},paid,1,USD\n" for number, local in enumerate(locals_))
    inbox.write("o.csv", header + rows)
    inbox.source("orders", "o.csv", timezone=zone)
    inbox.take_in()
    loaded = dict(inbox.raw("orders", "order_id, ordered_at"))
    for number, local in enumerate(locals_):
        aware = local.replace(tzinfo=ZoneInfo(zone), fold=0)
        exists = aware.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) == local
        expected = aware.astimezone(UTC).replace(tzinfo=None) if exists else None
        assert loaded.get(str(number)) == expected, local


def test_columns_that_a_new_release_adds_come_into_old_tables(inbox: Inbox) -> None:
    inbox.warehouse.run("alter table raw.products drop column brand")
    inbox.write("p.csv", "product_id,brand\np1,Acme\n")
    inbox.source("products", "p.csv")
    inbox.take_in()
    assert inbox.raw("products", "brand") == [("Acme",)]


def test_the_latest_day_is_the_last_local_day_with_an_order_or_touchpoint(inbox: Inbox) -> None:
    assert intake.latest_day(inbox.warehouse, Inbox(inbox.folder, inbox.warehouse, [_any()]).settings, NOW) == date(
        2024, 6, 1
    )
    inbox.write("t.csv", "ticket_id,opened_at,ticket_channel,ticket_status\n1,2024-04-01,email,open\n")
    inbox.source("tickets", "t.csv")
    inbox.take_in()
    assert intake.latest_day(inbox.warehouse, inbox.settings, NOW) == date(2024, 3, 31)
    # 02:00 UTC is still the evening before in New York, the reporting zone; the order in the future does not count.
    inbox.write("o.csv", ORDERS + order(1, at="2024-03-02 02:00:00") + order(2, at="2024-12-24"))
    inbox.source("orders", "o.csv")
    inbox.take_in()
    assert intake.latest_day(inbox.warehouse, inbox.settings, NOW) == date(2024, 3, 1)


def _any() -> Any:
    from lifecycle.settings import Source

    return Source(name="shop", table="orders", path="o.csv")


def test_requeued_rows_are_tried_with_the_settings_of_then(inbox: Inbox) -> None:
    inbox.write("o.csv", ORDERS + order(1) + f"o2,2024-01-01,paid,10.00,USD,{'x' * 30_000}\n" + order(3, "oops"))
    inbox.source("orders", "o.csv")
    inbox.take_in()
    assert inbox.reasons() == {"a field is longer than the limit": 1, "not a number": 1}
    assert quarantine.requeue(inbox.warehouse, now=NOW) == 2
    inbox.quality = inbox.quality.model_copy(update={"max_field_bytes": 50_000})
    (batch,) = inbox.take_in()
    assert (batch.file_name, batch.is_requeue) == ("quarantine:o.csv", True)
    assert (batch.received_count, batch.loaded_count, batch.quarantined_count) == (2, 1, 1)
    assert inbox.raw("orders", "order_id") == [("o1",), ("o2",)]
    ((line, column, reason),) = inbox.rejected()
    assert (line, column, reason) == (4, "total_amount", "not a number")
    assert inbox.take_in() == []


def test_rows_that_fail_again_keep_their_identity(inbox: Inbox) -> None:
    inbox.write("o.csv", ORDERS + order(1, "oops") + 'o2,"2024\n')
    inbox.source("orders", "o.csv")
    inbox.take_in()
    before = inbox.warehouse.rows(
        "select rejected_id, batch_id, file_name, line_number, raw_text, rejected_at"
        " from quarantine.rejected_rows order by all"
    )
    for _ in range(2):
        quarantine.requeue(inbox.warehouse, now=NOW)
        inbox.take_in()
    assert before == inbox.warehouse.rows(
        "select rejected_id, batch_id, file_name, line_number, raw_text, rejected_at"
        " from quarantine.rejected_rows order by all"
    )
    assert inbox.warehouse.rows("select distinct try_count, requeued_at from quarantine.rejected_rows") == [(3, None)]


def test_a_requeued_row_does_not_replace_a_newer_version(inbox: Inbox) -> None:
    inbox.source("products", "p*.csv")
    inbox.write("p1.csv", f"product_id,product_name\np1,{'x' * 30_000}\np2,{'y' * 30_000}\n")
    inbox.take_in()
    inbox.write("p2.csv", "product_id,product_name\np1,newer\n")
    inbox.take_in()
    inbox.quality = inbox.quality.model_copy(update={"max_field_bytes": 50_000})
    quarantine.requeue(inbox.warehouse, now=NOW)
    (batch,) = inbox.take_in()
    assert (batch.loaded_count, batch.superseded_count) == (1, 1)
    assert [name[:5] for (name,) in inbox.raw("products", "product_name", "product_id")] == ["newer", "yyyyy"]


def test_a_malformed_line_is_tried_again_with_its_header(inbox: Inbox) -> None:
    inbox.write("o.csv", "order_id;ordered_at;order_status;total_amount;currency\no1;2024-01-01;paid;1,5;USD;x\n")
    inbox.source("orders", "o.csv", delimiter=";")
    inbox.take_in()
    assert inbox.reasons() == {"too many fields": 1}
    inbox.warehouse.run("update quarantine.rejected_rows set raw_text = 'o1;2024-01-01;paid;1.5;USD'")
    quarantine.requeue(inbox.warehouse, reason="too many fields", now=NOW)
    inbox.take_in()
    assert inbox.raw("orders", "total_amount") == [(Decimal("1.5"),)]


def test_the_quarantine_is_listed_by_counts_and_shown_row_by_row(inbox: Inbox) -> None:
    inbox.write("o.csv", ORDERS + order(1, "oops", email="a@example.com") + order(2, "1e3"))
    inbox.source("orders", "o.csv")
    inbox.take_in()
    (count,) = quarantine.listing(inbox.warehouse)
    assert (count.file_name, count.column_name, count.reason, count.row_count) == (
        "o.csv",
        "total_amount",
        "not a number",
        2,
    )
    assert "a@example.com" in quarantine.show(inbox.warehouse, count.rejected_id)["raw_text"]
    other = inbox.warehouse.scalar("select rejected_id from quarantine.rejected_rows where line_number = 3")
    assert quarantine.requeue(inbox.warehouse, rejected_ids=[other], table="orders", file="o.csv") == 1
    assert quarantine.listing(inbox.warehouse)[0].requeued_count == 1
    with pytest.raises(LifecycleError, match="no quarantined row has the id"):
        quarantine.show(inbox.warehouse, "r0")
    with pytest.raises(LifecycleError, match="no quarantined row fits"):
        quarantine.requeue(inbox.warehouse, source="other")


def test_a_changed_mapping_tries_quarantined_rows_again_by_itself(inbox: Inbox) -> None:
    inbox.write("o.csv", "order_id,ordered_at,order_status,total_amount,currency,net\n1,2024-01-01,paid,bad,USD,5\n")
    inbox.source("orders", "o.csv")
    inbox.take_in()
    assert len(inbox.rejected()) == 1
    inbox.sources[0] = inbox.sources[0].model_copy(update={"columns": {"total_amount": "net"}})
    inbox.take_in()
    assert inbox.rejected() == []
    assert inbox.raw("orders", "total_amount") == [(Decimal(5),)]


def test_progress_names_files(inbox: Inbox) -> None:
    inbox.write("o.csv", ORDERS + order(1))
    inbox.source("orders", "o.csv")
    said: list[str] = []
    inbox.land(progress=said.append)
    assert said[0] == "reading o.csv (1 of 1)"


def test_a_lack_of_memory_or_disk_is_said_plainly_and_leaves_raw_alone(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    import duckdb

    inbox.write("o.csv", ORDERS + order(1))
    inbox.source("orders", "o.csv")

    def fails(*_: object) -> None:
        raise duckdb.OutOfMemoryException("could not allocate block")

    with monkeypatch.context() as patch:
        patch.setattr(intake.files, "read", fails)
        with pytest.raises(LifecycleError, match="there is no room for what was read"):
            inbox.land()
    assert inbox.raw("orders") == []
    assert len(inbox.take_in()) == 1


def test_a_full_snapshot_loaded_again_with_one_change_loads_that_change_alone(inbox: Inbox) -> None:
    header = "order_id,line_number,quantity,line_amount\n"
    lines = [f"o{number // 5},{number % 5},1,{number}.25\n" for number in range(5_000)]
    inbox.source("order_items", "i*.csv")
    inbox.write("i1.csv", header + "".join(lines))
    inbox.take_in()
    lines[1_234] = "o246,4,-1,9.99\n"
    inbox.write("i2.csv", header + "".join(lines))
    (batch,) = inbox.take_in()
    assert (batch.received_count, batch.loaded_count, batch.duplicate_count) == (5_000, 1, 4_999)
    assert inbox.warehouse.rows(
        "select quantity, line_amount from raw.order_items where order_id = 'o246' and line_number = 4"
    ) == [(Decimal(-1), Decimal("9.99"))]
    assert inbox.warehouse.scalar("select count(*) from raw.order_items") == 5_000
