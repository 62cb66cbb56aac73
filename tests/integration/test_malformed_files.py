"""Malformed files: no crash, the right reason at the right line, and counts that add up.

What each file holds is counted by hand, or by the plain arithmetic of this test, never by the reader under test.
"""

from __future__ import annotations

import gzip
import random
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inbox import LIMITS, Inbox, opened_inbox

from lifecycle.errors import IntakeError
from lifecycle.sources import census, files, intake, lines

HEADER = "order_id,ordered_at,order_status,total_amount,currency,coupon_code"


def csv(*rows: str, header: str = HEADER, end: str = "\n") -> bytes:
    return end.join([header, *rows, ""]).encode()


def good(number: int, coupon: str = "") -> str:
    return f"o{number},2024-01-0{number % 9 + 1},paid,{number}.50,USD,{coupon}"


def with_value(column: str, value: str) -> str:
    values = dict(zip(HEADER.split(","), good(1).split(","), strict=True)) | {column: value}
    return ",".join(values.values())


@dataclass(frozen=True)
class Case:
    """A file, how many records it holds, and which lines must be quarantined, for what reason in which column."""

    name: str
    content: bytes
    received: int
    rejected: dict[int, tuple[str | None, str]] = field(default_factory=dict)
    loaded: tuple[str, ...] | None = None
    file_name: str = "orders.csv"
    source: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def bad_value(name: str, column: str, value: str, reason: str, **source: Any) -> Case:
    return Case(name, csv(good(2), with_value(column, value), good(3)), 3, {3: (column, reason)}, source=source)


def line(reason: str) -> tuple[None, str]:
    return None, reason


MISSING = "a required value is missing"
NUMBER = "not a number"
MINOR = "more decimals than its currency has"
LONG = "x" * (LIMITS.max_field_bytes + 1)

VALUES = [
    bad_value("required value missing", "order_id", "", MISSING),
    bad_value("required value of spaces", "order_id", "  ", MISSING),
    bad_value("number with exponent", "total_amount", "1e3", NUMBER),
    bad_value("not-a-number", "total_amount", "NaN", NUMBER),
    bad_value("infinity", "total_amount", "Infinity", NUMBER),
    bad_value("thousands separator", "total_amount", '"1,234.50"', NUMBER),
    bad_value("underscore in a number", "total_amount", "1_000", NUMBER),
    bad_value("hexadecimal number", "total_amount", "0x10", NUMBER),
    bad_value("currency sign", "total_amount", "$5", NUMBER),
    bad_value("half a cent", "total_amount", "10.005", MINOR),
    bad_value("five decimals", "total_amount", "10.00005", "more than four decimals"),
    bad_value("number out of range", "total_amount", "123456789012345", "a number out of range"),
    bad_value("not a timestamp", "ordered_at", "01/02/2024", "not a timestamp"),
    bad_value("the 30th of February", "ordered_at", "2024-02-30", "not a timestamp"),
    bad_value("hour 24", "ordered_at", "2024-02-01 24:00:00", "not a timestamp"),
    bad_value("seconds since 1970", "ordered_at", "1700000000", "not a timestamp"),
    bad_value("the word epoch", "ordered_at", "epoch", "not a timestamp"),
    bad_value("the year 1899", "ordered_at", "1899-12-31", "a time before 1900 or after 2199"),
    bad_value("the year 2200", "ordered_at", "2200-01-01T00:00:00Z", "a time before 1900 or after 2199"),
    bad_value(
        "a time that clocks skip",
        "ordered_at",
        "2024-03-31 02:30:00",
        "a local time that the clocks skipped",
        timezone="Europe/Berlin",
    ),
    bad_value("unknown currency", "currency", "ZZZ", "an unknown currency"),
]

ROWS = [
    Case("two problems in a row", csv("o1,never,paid,1e3,USD,"), 1, {2: ("ordered_at", "not a timestamp")}),
    Case(
        "yen with decimals",
        csv("o1,2024-01-01,paid,10.5,JPY,", "o2,2024-01-01,paid,10.0,JPY,"),
        2,
        {2: ("total_amount", MINOR)},
    ),
    Case("dinars with three decimals", csv("o1,2024-01-01,paid,10.505,KWD,"), 1, {}, ("o1",)),
    Case("small letters of a currency", csv("o1,2024-01-01,paid,10.5,usd,"), 1, {}, ("o1",)),
    Case("too few fields", csv(good(1), "o2,2024-01-01", good(3)), 3, {3: line("too few fields")}, ("o1", "o3")),
    Case("too many fields", csv(good(1), good(2) + ",y", good(3)), 3, {3: line("too many fields")}),
    Case("a delimiter at the end", csv(good(1) + ",", good(2)), 2, {}, ("o1", "o2")),
    Case(
        "an unclosed quote in the middle",
        csv(good(1), good(2, '"x'), good(3), good(4)),
        4,
        {3: line("a quoted field does not close")},
        ("o1", "o3", "o4"),
    ),
    Case(
        "an unclosed quote at the end",
        csv(good(1), good(2), good(3, '"x')),
        3,
        {4: line("a quoted field does not close")},
    ),
    Case(
        "an unclosed quote before a quoted field",
        csv(good(1, '"x'), good(2), good(3, '"y"'), good(4)),
        4,
        {2: line("text after a closing quote")},
        ("o2", "o3", "o4"),
    ),
    Case(
        "text after a closing quote", csv(good(1, '"x"y'), good(2)), 2, {2: line("text after a closing quote")}, ("o2",)
    ),
    Case("quotes inside a field without quotes", csv(good(1, '5" pipe'), good(2, '6" pipe')), 2, {}, ("o1", "o2")),
    Case(
        "line ends between quotes",
        csv(good(1, '"x\n\ny"'), good(2), with_value("total_amount", "bad")),
        3,
        {6: ("total_amount", NUMBER)},
        ("o1", "o2"),
    ),
    Case("escaped quotes", csv(good(1, '"say ""hi"", she said"'), good(2)), 2, {}, ("o1", "o2")),
    Case(
        "a field of more than the limit",
        csv(good(1), good(2, LONG), good(3)),
        3,
        {3: line("a field is longer than the limit")},
        ("o1", "o3"),
    ),
    Case(
        "a quoted field of more than the limit",
        csv(good(1), good(2, f'"{LONG}"'), good(3)),
        3,
        {3: line("a field is longer than the limit")},
    ),
    Case("a NUL", csv(good(1), good(2, "a\0b"), good(3)), 3, {3: line("a NUL character")}, ("o1", "o3")),
    Case(
        "invalid UTF-8",
        csv(good(1), good(2, "caf@"), good(3)).replace(b"@", b"\xe9"),
        3,
        {3: line("invalid UTF-8")},
        ("o1", "o3"),
    ),
    Case("half a character at the end", csv(good(1), good(2, "caf"))[:-1] + b"\xc3", 2, {3: line("invalid UTF-8")}),
    Case(
        "mixed line ends",
        b"\r\n".join(csv(good(1), good(2)).split(b"\n"))
        + good(3).encode()
        + b"\n"
        + good(4).encode()
        + b"\r"
        + good(5).encode(),
        5,
        {},
        ("o1", "o2", "o3", "o4", "o5"),
    ),
    Case(
        "carriage returns alone",
        csv(good(1), with_value("currency", "X"), good(3), end="\r"),
        3,
        {3: ("currency", "an unknown currency")},
        ("o1", "o3"),
    ),
    Case(
        "CRLF with a bad row",
        csv(good(1), with_value("currency", "X"), good(3), end="\r\n"),
        3,
        {3: ("currency", "an unknown currency")},
    ),
    Case(
        "empty lines",
        csv(good(1), "", "", with_value("currency", "X"), ""),
        2,
        {5: ("currency", "an unknown currency")},
    ),
    Case("a line of spaces", csv(good(1), "   ", good(2)), 2 + 1, {3: line("too few fields")}),
    Case("a byte order mark", b"\xef\xbb\xbf" + csv(good(1), "x"), 2, {3: line("too few fields")}, ("o1",)),
    Case(
        "UTF-16, little end first",
        csv(good(1, "é"), with_value("currency", "X")).decode().encode("utf-16"),
        2,
        {3: ("currency", "an unknown currency")},
        ("o1",),
    ),
    Case(
        "UTF-16, big end first", b"\xfe\xff" + csv(good(1), good(2)).decode().encode("utf-16-be"), 2, {}, ("o1", "o2")
    ),
    Case(
        "UTF-16 with a broken pair",
        b"\xff\xfe"
        + csv(good(1), good(2, "@"), good(3))
        .decode()
        .encode("utf-16-le")
        .replace("@".encode("utf-16-le"), b"\x00\xd8"),
        3,
        {3: line("invalid UTF-8")},
        ("o1", "o3"),
    ),
    Case("a header and nothing else", csv(), 0),
    Case("a header without a line end", HEADER.encode(), 0),
    Case(
        "reordered columns",
        csv("USD,paid,o1,5.00,2024-01-01", header="currency,order_status,order_id,total_amount,ordered_at"),
        1,
        {},
        ("o1",),
    ),
    Case(
        "an unused column twice",
        csv("o1,2024-01-01,paid,1,USD,a,b", header=HEADER.replace("coupon_code", "x,x")),
        1,
        {},
        ("o1",),
    ),
    Case("a last line that is cut off", csv(good(1), good(2))[:-12], 2, {3: line("too few fields")}),
    Case("an empty line before the header", b"\n" + csv(good(1), "x"), 2, {4: line("too few fields")}, ("o1",)),
    Case(
        "semicolons",
        csv(good(1), "x").replace(b",", b";"),
        2,
        {3: line("too few fields")},
        ("o1",),
        source={"delimiter": ";"},
    ),
    Case("a negative amount is a return", csv("o1,2024-01-01,paid,-5.00,USD,"), 1, {}, ("o1",)),
    Case(
        "a file name that looks like a pattern",
        csv(good(1)),
        1,
        {},
        ("o1",),
        file_name="o[1]*.csv",
        source={"path": "o[[]1[]]*.csv"},
    ),
]

TOUCH = '{"touchpoint_id": "%s", "occurred_at": "2024-01-01", "event_name": "page_viewed", "channel": "web"%s}'


def jsonl(name: str, rows: list[str], rejected: dict[int, tuple[str | None, str]], received: int | None = None) -> Case:
    content = "\n".join([*rows, ""]).encode("utf-8", "surrogatepass")
    return Case(
        name,
        content,
        len(rows) if received is None else received,
        rejected,
        file_name="touchpoints.jsonl",
        source={"table": "touchpoints"},
    )


def touch(number: int, more: str = "") -> str:
    return TOUCH % (f"t{number}", more)


DEEP = "[" * (LIMITS.max_nesting + 1) + "]" * (LIMITS.max_nesting + 1)
JSON = [
    jsonl("broken JSON", [touch(1), touch(2)[:-9], touch(3)], {2: line("not a JSON object")}),
    jsonl("a comma before a closing bracket", [touch(1), touch(2, ",")], {2: line("not a JSON object")}),
    jsonl("a key twice", [touch(1), touch(2, ', "channel": "app"')], {2: line("a key appears twice")}),
    jsonl(
        "a list where one value is expected",
        [touch(1), touch(2, ', "device": ["a"]')],
        {2: ("device", "a nested value where a single one is expected")},
    ),
    jsonl(
        "an object where one value is expected, beside broken JSON",
        ["{", touch(2, ', "device": {"a": 1}')],
        {1: line("not a JSON object"), 2: ("device", "a nested value where a single one is expected")},
    ),
    jsonl("a list instead of an object", [touch(1), "[1]"], {2: line("not a JSON object")}),
    jsonl("nested too deep", [touch(1), touch(2, f', "properties": {DEEP}')], {2: line("nested too deep")}),
    jsonl(
        "nested too deep in a text",
        [touch(1), touch(2, f', "properties": "{DEEP}"')],
        {2: (None, "nested too deep")},
    ),
    jsonl("invalid JSON in a JSON column", [touch(1, ', "properties": "{oops"')], {1: ("properties", "invalid JSON")}),
    jsonl("two objects in a line", [touch(1) + touch(2)], {1: line("not a JSON object")}),
    jsonl("half a surrogate pair", [touch(1), touch(2, ', "device": "\\ud800"')], {2: ("device", "invalid UTF-8")}),
    jsonl("an escaped NUL", [touch(1), touch(2, ', "device": "\\u0000"')], {2: ("device", "a NUL character")}),
    jsonl("a missing key", [touch(1), '{"touchpoint_id": "t2"}'], {2: ("occurred_at", MISSING)}),
    jsonl("not-a-number in JSON", [touch(1, ', "value": NaN')], {1: ("value", NUMBER)}),
    jsonl("empty lines in JSONL", [touch(1), "", "{", ""], {3: line("not a JSON object")}, 2),
    jsonl("an empty JSONL", [], {}, 0),
]

OTHERS = [
    Case(
        "an integer out of range",
        b"order_id,line_number,quantity,line_amount\no1,9223372036854775808,1,1\no1,1.5,1,1\no1,2.0,-1,1\n",
        3,
        {2: ("line_number", "a number out of range"), 3: ("line_number", "not a whole number")},
        file_name="items.csv",
        source={"table": "order_items"},
    ),
    Case(
        "a word that is not allowed",
        b"response_id,responded_at,survey_kind,score\n1,2024-01-01,nps,9\n2,2024-01-01,NPS2,9\n",
        2,
        {3: ("survey_kind", "not one of the allowed values")},
        file_name="surveys.csv",
        source={"table": "survey_responses"},
    ),
    Case(
        "nobody who consented",
        b"email,contact_id,channel,purpose,consent_status,changed_at\n,,email,marketing,granted,2024-01-01\n",
        1,
        {2: ("contact_id", "none of contact_id, email, phone is filled")},
        file_name="consents.csv",
        source={"table": "consents"},
    ),
    Case(
        "not a day, not a boolean",
        b"contact_id,birth_date,is_test\n1,1980-13-01,no\n2,1980-01-01,maybe\n"
        b"3,1980-01-01 00:00:00,YES\n4,1880-01-01,0\n",
        4,
        {
            2: ("birth_date", "not a day"),
            3: ("is_test", "neither true nor false"),
            5: ("birth_date", "a time before 1900 or after 2199"),
        },
        file_name="contacts.csv",
        source={"table": "contacts"},
    ),
    Case(
        "an empty line in a file of one column",
        b"product_id\np1\n\np2\n",
        2,
        {},
        file_name="products.csv",
        source={"table": "products"},
    ),
]


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inbox]:
    with opened_inbox(tmp_path_factory.mktemp("malformed")) as one:
        yield one


def started_afresh(inbox: Inbox) -> Inbox:
    inbox.sources.clear()
    inbox.quality = LIMITS
    for path in inbox.folder.iterdir():
        if path.suffix not in (".duckdb", ".wal", ".lifecycle") and path.is_file():
            path.unlink()
    for schema, name in inbox.warehouse.rows(
        "select schema_name, table_name from duckdb_tables() where schema_name in ('raw', 'quarantine', 'ops')"
        " and estimated_size > 0"
    ):
        inbox.warehouse.run(f"truncate {schema}.{name}")
    return inbox


@pytest.mark.parametrize("case", [*VALUES, *ROWS, *JSON, *OTHERS], ids=str)
def test_a_bad_row_is_quarantined_and_the_others_load(inbox: Inbox, case: Case) -> None:
    started_afresh(inbox)
    inbox.write(case.file_name, case.content)
    given_ = {"table": "orders", "path": case.file_name} | case.source
    source = inbox.source(**given_)
    (batch,) = inbox.take_in()
    found = {number: (column, reason) for number, column, reason in inbox.rejected()}
    assert found == case.rejected
    assert batch.received_count == case.received
    assert batch.quarantined_count == len(case.rejected)
    assert batch.loaded_count + batch.duplicate_count == case.received - len(case.rejected)
    assert inbox.warehouse.scalar(f"select count(*) from raw.{source.table}") == batch.loaded_count
    if case.loaded is not None:
        assert [key for (key,) in inbox.raw("orders", "order_id", "order_id")] == list(case.loaded)
    raws = inbox.warehouse.rows("select raw_text from quarantine.rejected_rows")
    assert all(raw for (raw,) in raws)


def test_there_are_at_least_sixty_malformed_files() -> None:
    assert len([*VALUES, *ROWS, *JSON, *OTHERS, *REFUSED]) >= 60


def parquet(inbox: Inbox, query: str, name: str = "o.parquet") -> bytes:
    inbox.warehouse.run(f"copy ({query}) to '{inbox.folder / name}'")
    return (inbox.folder / name).read_bytes()


GOOD = csv(good(1), good(2))
ZEROS = gzip.compress(csv(good(1)) + b"0" * 40_000_000)
REFUSED: dict[str, tuple[str, bytes, str]] = {
    "nothing at all": ("o.csv", b"", "the file is empty"),
    "nothing but empty lines": ("o.csv", b"\n\n\n", "the file is empty"),
    "a web page": ("o.csv", b"<!DOCTYPE html><html><body>502</body></html>\n", "it is a web page"),
    "a web page after white space": ("o.csv", b"\n  <html>\n", "it is a web page"),
    "a used column twice": ("o.csv", csv(header=HEADER + ",order_id"), "'order_id' stands in the header twice"),
    "a required column missing": ("o.csv", GOOD.replace(b"currency", b"cur"), "'currency' is missing; the header has"),
    "a header with an unclosed quote": ("o.csv", GOOD.replace(b"order_id", b'"order_id', 1), "header cannot be read"),
    "UTF-16 without its mark": ("o.csv", GOOD.decode().encode("utf-16-le"), "the header holds NUL characters"),
    "a cut-off gzip": ("o.csv.gz", gzip.compress(GOOD)[:-20], "cut off or damaged"),
    "a damaged gzip": ("o.csv.gz", gzip.compress(GOOD)[:-8] + b"12345678", "cut off or damaged"),
    "no gzip": ("o.csv.gz", GOOD, "it is named .gz but is no gzip file"),
    "a gzip bomb": ("o.csv.gz", ZEROS, "unpacks to more than 200 times its size"),
    "an Excel file": ("o.csv", b"PK\x03\x04" + bytes(100), "zip or Excel"),
    "a JSON array": ("o.jsonl", b'[\n{"order_id": 1}\n]\n', "one JSON array"),
    "keys that no line has": ("o.jsonl", b'{"order_id": 1}\n{"order_id": 2}\n', "'ordered_at' and the required"),
    "a text that is no Parquet": ("o.parquet", GOOD, "no Parquet file"),
    "an empty Parquet": ("o.parquet", b"", "no Parquet file"),
    "an unknown ending": ("o.dat", GOOD, "the ending does not say"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_read_as_a_whole_is_refused_and_raw_stays(inbox: Inbox, name: str) -> None:
    started_afresh(inbox)
    inbox.write("before.csv", csv(good(7)))
    inbox.source("orders", "before.csv")
    inbox.take_in()
    file_name, content, message = REFUSED[name]
    inbox.write(file_name, content)
    inbox.source("orders", file_name)
    with pytest.raises(IntakeError) as caught:
        inbox.take_in()
    assert message in str(caught.value)
    assert file_name in str(caught.value)
    assert [key for (key,) in inbox.raw("orders", "order_id")] == ["o7"]
    assert inbox.warehouse.scalar("select count(*) from ops.batches") == 1


def test_a_file_larger_than_the_limit_is_refused(inbox: Inbox) -> None:
    started_afresh(inbox)
    inbox.quality = LIMITS.model_copy(update={"max_file_bytes": 100})
    for name, content in (("o.csv", GOOD * 3), ("o.csv.gz", gzip.compress(GOOD * 30)), ("o.parquet", GOOD * 3)):
        inbox.sources.clear()
        inbox.write(name, content)
        inbox.source("orders", name)
        with pytest.raises(IntakeError, match="larger than 100 bytes"):
            inbox.take_in()


def test_a_gzip_bomb_is_stopped_before_it_fills_the_memory(inbox: Inbox) -> None:
    started_afresh(inbox)
    inbox.write("o.csv.gz", ZEROS)
    inbox.source("orders", "o.csv.gz")
    tracemalloc.start()
    with pytest.raises(IntakeError, match="unpacks to more than"):
        inbox.take_in()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 120_000_000


def test_a_cut_off_parquet_is_refused(inbox: Inbox) -> None:
    started_afresh(inbox)
    whole = parquet(
        inbox,
        "select i as order_id, date '2024-01-01' as ordered_at, 'paid' as order_status, i * 3 as total_amount,"
        " 'USD' as currency from range(1000) t(i)",
    )
    for content in (whole[:-10], whole[: len(whole) // 2], whole[4:]):
        inbox.sources.clear()
        inbox.write("o.parquet", content)
        inbox.source("orders", "o.parquet")
        with pytest.raises(IntakeError, match="cut off, damaged or no Parquet"):
            inbox.take_in()


def test_values_of_a_parquet_file_are_checked_like_those_of_a_csv(inbox: Inbox) -> None:
    started_afresh(inbox)
    parquet(
        inbox,
        "select * from (values"
        " ('o1', timestamp '2024-01-01 10:00:00', 'paid', 0.1::double + 0.2::double, 'USD', ['a']),"
        " ('o2', timestamp '2024-01-01 10:00:00', 'paid', 'nan'::double, 'USD', null),"
        " ('o3', null, 'paid', 1.0, 'USD', null),"
        " ('o4', timestamp '2024-01-01 10:00:00', 'paid', 1e12, 'USD', null),"
        " ('o5', timestamp '2024-01-01 10:00:00', 'paid', 1.005, 'USD', null))"
        " t(order_id, ordered_at, order_status, total_amount, currency, coupon_code)",
    )
    inbox.source("orders", "o.parquet")
    (batch,) = inbox.take_in()
    assert (batch.received_count, batch.loaded_count) == (5, 1)
    assert inbox.raw("orders", "order_id, total_amount") == [("o4", Decimal(10) ** 12)]
    assert inbox.rejected() == [
        (1, "coupon_code", "a nested value where a single one is expected"),
        (2, "total_amount", NUMBER),
        (3, "ordered_at", MISSING),
        (5, "total_amount", MINOR),
    ]


def test_noise_in_the_last_digits_of_a_double_is_no_decimal(inbox: Inbox) -> None:
    started_afresh(inbox)
    parquet(
        inbox,
        "select 'o1' as order_id, date '2024-01-01' as ordered_at, 'paid' as order_status,"
        " 0.1::double + 0.2::double as total_amount, 'USD' as currency",
    )
    inbox.source("orders", "o.parquet")
    inbox.take_in()
    assert inbox.raw("orders", "total_amount") == [(Decimal("0.3"),)]


def test_a_field_of_ten_megabytes_is_quarantined_whole(inbox: Inbox) -> None:
    started_afresh(inbox)
    inbox.write("o.csv", csv(good(1), good(2, "y" * 10_000_000), good(3)))
    inbox.source("orders", "o.csv")
    (batch,) = inbox.take_in()
    assert (batch.received_count, batch.loaded_count, batch.quarantined_count) == (3, 2, 1)
    assert inbox.warehouse.scalar("select length(raw_text) from quarantine.rejected_rows") > 10_000_000


def test_a_line_without_end_is_never_held_whole(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LINE_FLOOR_BYTES", 50_000)
    monkeypatch.setattr(census, "CHUNK_BYTES", 10_000)
    started_afresh(inbox)
    inbox.write("o.csv", csv(good(1), "z" * 500_000, good(3)))
    inbox.source("orders", "o.csv")
    (batch,) = inbox.take_in()
    assert (batch.received_count, batch.loaded_count, batch.quarantined_count) == (3, 2, 1)
    assert inbox.rejected() == [(3, None, "a field is longer than the limit")]
    assert inbox.warehouse.scalar("select length(raw_text) from quarantine.rejected_rows") <= 50_000


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64])
def test_where_pieces_of_a_file_are_cut_makes_no_difference(chunk: int) -> None:
    content = csv(good(1, '"a\r\n""b"""'), good(2, "é"), "", good(3, '"x'), good(4, "€"), end="\r\n") + good(5).encode()
    whole = census.count_records([content], quotes=True)
    pieces = [content[start : start + chunk] for start in range(0, len(content), chunk)]
    assert census.count_records(pieces, quotes=True) == whole
    assert [line for block in lines.split_blocks(pieces, 10_000) for line in block.lines()] == [
        line for block in lines.split_blocks([content], 10_000) for line in block.lines()
    ]


def test_the_census_counts_what_a_csv_library_counts() -> None:
    """Python's csv module is the oracle for well-formed files with line ends between quotes."""
    import csv as library
    import io

    generator = random.Random(3)  # noqa: S311
    for end in ("\n", "\r\n"):
        text = io.StringIO(newline="")
        writer = library.writer(text, lineterminator=end)
        rows = [
            ["".join(generator.choice('ab,"\n é') for _ in range(generator.randint(0, 6))) or "-" for _ in range(3)]
            for _ in range(500)
        ]
        writer.writerows(rows)
        counted = census.count_records([text.getvalue().encode()], quotes=True)
        assert counted.records == len(rows)
        assert counted.lines == text.getvalue().count("\n")
        assert not counted.unusual


def test_both_readers_read_the_same(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = random.Random(11)  # noqa: S311
    coupons = [
        "",
        "plain",
        " padded ",
        '"quoted"',
        '"with ""quotes"""',
        '"a,b"',
        '"two\nlines"',
        "é",
        '5" pipe" x',
        ' "x" ',
    ]
    rows = [good(number % 9, generator.choice(coupons)).replace("o", f"o{number}-", 1) for number in range(60)]
    rows += [
        with_value("total_amount", "1e3").replace("o1", "bad", 1),
        good(1, '"last\n\nlines"').replace("o1", "last"),
    ]
    results = []
    for distrusts in (False, True):
        started_afresh(inbox)
        inbox.write("o.csv", csv(*rows))
        inbox.source("orders", "o.csv")
        if distrusts:
            monkeypatch.setattr(files, "_csv_by_duckdb", lambda *_: False)
        (batch,) = inbox.take_in()
        columns = "order_id, ordered_at, total_amount, coupon_code"
        rejected = inbox.warehouse.rows("select line_number, reason, raw_text from quarantine.rejected_rows")
        results.append((batch.reader, batch.received_count, inbox.raw("orders", columns), rejected))
    (fast, slow) = results
    assert (fast[0], slow[0]) == ("duckdb", "lines")
    assert fast[1] == len(rows)
    assert fast[1:3] == slow[1:3]
    assert [row[:2] for row in fast[3]] == [row[:2] for row in slow[3]]


def test_both_json_readers_read_the_same(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        touch(1, ', "properties": {"a": [1, 2.50, null, true], "b": "é\\"\\n"}, "value": 1.50'),
        touch(2, ', "properties": "[1]", "is_machine": true, "rating": 4, "device": ""'),
        touch(3, ', "device": null, "value": 12345678.9, "unknown": {"x": 1}'),
        '{"touchpoint_id": 4, "occurred_at": "2024-01-01T00:00:00Z", "event_name": "x", "channel": "web"}',
    ]
    results = []
    for distrusts in (False, True):
        started_afresh(inbox)
        inbox.write("t.jsonl", "\n".join(rows))
        inbox.source("touchpoints", "t.jsonl")
        if distrusts:
            monkeypatch.setattr(files, "_jsonl_by_duckdb", lambda *_: None)
        (batch,) = inbox.take_in()
        assert (batch.loaded_count, batch.reader) == (4, "lines" if distrusts else "duckdb")
        results.append(inbox.raw("touchpoints", "* exclude (loaded_at, batch_id)", "touchpoint_id"))
    assert results[0] == results[1]


NAMES = ("é", '"a ""b"" c"', '"a ""b"" c"')
PLAIN = csv(
    *(f"p{number},{NAMES[number % 3]},{number}.50,USD" for number in range(1, 9)),
    header="product_id,product_name,list_price_amount,currency",
)


@st.composite
def edited(draw: st.DrawFn) -> bytes:
    content = bytearray(PLAIN)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content) - 1))
        byte = draw(st.one_of(st.sampled_from(b'",\n\r\0 \xff'), st.integers(0, 255)))
        kind = draw(st.sampled_from(["replace", "insert", "delete", "cut"]))
        if kind == "replace":
            content[at] = byte
        elif kind == "insert":
            content.insert(at, byte)
        elif kind == "delete":
            del content[at]
        else:
            del content[at + draw(st.integers(0, 40)) :]
        if not content:
            break
    return bytes(content)


@settings(
    max_examples=200,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(content=edited())
def test_random_edits_crash_nothing_and_every_line_is_accounted_for(inbox: Inbox, content: bytes) -> None:
    inbox.sources.clear()
    inbox.quality = LIMITS
    inbox.write("edited.csv", content)
    inbox.source("products", "edited.csv")
    try:
        (batch,) = inbox.land(full_refresh=True)
    except IntakeError:
        return
    assert batch.is_reconciled
    # No line is lost: every line that is not empty starts a record, or continues one between quotes.
    filled = [one for one in content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n") if one]
    assert batch.received_count <= len(filled) - 1
    rows = inbox.warehouse.rows(
        "select file_line from landing.products union all select line_number from landing.rejected_rows order by 1"
    )
    assert len({number for (number,) in rows}) == len(rows) == batch.received_count
    if b'"' not in content.replace(b'"a ""b"" c"', b""):
        assert batch.received_count == len(filled) - 1
    assert Counter(status for (status,) in inbox.warehouse.rows("select status from landing.products")) == Counter(
        load=batch.loaded_count, duplicate=batch.duplicate_count, superseded=batch.superseded_count
    )
    intake.discard(inbox.warehouse)
