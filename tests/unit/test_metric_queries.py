"""Questions about metrics: figures worked out by hand, and everything that is refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.errors import LifecycleError
from lifecycle.metrics.definitions import Definitions, read_definitions
from lifecycle.metrics.query import Answer, Question, answer, compile_question, type_reader
from lifecycle.metrics.spans import after_span, span_of, spans, written_span
from lifecycle.warehouse import Warehouse, open_duckdb

AS_OF = date(2024, 5, 20)

# Sales per month, channel and size, and what is in the store at each month's end.
SALES = """
insert into marts.sales values
    ('2024-01-01', 'web', 's', true, 10, 100.00, 20, 4, 1.5), ('2024-01-01', 'store', 'xl', false, 5, 50.00, 0, 4, 2.5),
    ('2024-02-01', 'web', 's', true, 20, 150.00, 30, 6, 3.5), ('2024-02-01', null, 'xl', false, 1, 10.00, 5, 1, 4.5),
    ('2024-04-01', 'web', 'xl', null, 0, 0.00, 0, 0, 5.5),
    ('2024-05-01', 'web', 's', true, 8, 72.00, 8, 2, 6.5), ('2024-05-01', 'store', 's', true, 2, 30.00, 0, 2, null);
insert into marts.stock values
    ('2024-01-31', 'web', 7), ('2024-01-15', 'web', 99), ('2024-02-29', 'web', 5), ('2024-02-29', 'store', 3),
    ('2024-03-30', 'store', 2), ('2024-05-19', 'web', 4);
"""


def metric(name: str, kind: str, unit: str = "count", **given: Any) -> dict[str, Any]:
    where = given.pop("where", None)
    return {
        "name": name,
        "type": kind,
        "type_params": given,
        "filter": {"where_filters": [{"where_sql_template": where}]} if where else None,
        "config": {"meta": {"unit": unit}},
    }


def of(measure: str, **options: Any) -> dict[str, Any]:
    return {"measure": {"name": measure, **options}}


MANIFEST: dict[str, Any] = {
    "semantic_models": [
        {
            "name": "sales",
            "node_relation": {"schema_name": "marts", "alias": "sales"},
            "primary_entity": "sale",
            "defaults": {"agg_time_dimension": "sold_month"},
            "entities": [{"name": "channel", "type": "foreign", "label": "Channel"}],
            "dimensions": [
                {"name": "sold_month", "type": "time", "type_params": {"time_granularity": "month"}},
                {"name": "size", "type": "categorical", "expr": "upper(size_code)"},
                {"name": "is_new", "type": "categorical"},
                {"name": "quantity_sold", "type": "categorical", "expr": "sale_count"},
            ],
            "measures": [
                {"name": "sale_count", "agg": "sum"},
                {"name": "amount", "agg": "sum"},
                {"name": "refund_amount", "agg": "sum"},
                {"name": "buyer_count", "agg": "sum", "config": {"meta": {"needs": {
                    "metric_time": "who buys twice is one buyer", "channel": "who buys in two channels is one buyer",
                }}}},
                {"name": "row_count", "agg": "count", "expr": "days"},
                {"name": "new_row_count", "agg": "sum_boolean", "expr": "is_new"},
                {"name": "channel_count", "agg": "count_distinct", "expr": "channel"},
                {"name": "mean_days", "agg": "average", "expr": "days"},
                {"name": "least_days", "agg": "min", "expr": "days"},
                {"name": "most_days", "agg": "max", "expr": "days"},
                {"name": "middle_days", "agg": "median", "expr": "days"},
                {"name": "p75_days", "agg": "percentile", "expr": "days", "agg_params": {"percentile": 0.75}},
                {"name": "p75_day", "agg": "percentile", "expr": "days",
                 "agg_params": {"percentile": 0.75, "use_discrete_percentile": True}},
            ],
        },
        {
            "name": "stock",
            "node_relation": {"schema_name": "marts", "alias": "stock"},
            "primary_entity": "stocktaking",
            "defaults": {"agg_time_dimension": "taken_date"},
            "entities": [{"name": "channel", "type": "foreign"}],
            "dimensions": [{"name": "taken_date", "type": "time", "type_params": {"time_granularity": "day"}}],
            "measures": [
                {"name": "piece_count", "agg": "sum",
                 "non_additive_dimension": {"name": "taken_date", "window_choice": "max"}},
                {"name": "channel_piece_count", "agg": "sum", "expr": "piece_count",
                 "non_additive_dimension": {
                     "name": "taken_date", "window_choice": "max", "window_groupings": ["channel"]}},
                {"name": "first_piece_count", "agg": "sum", "expr": "piece_count",
                 "non_additive_dimension": {"name": "taken_date", "window_choice": "min"}},
            ],
        },
    ],
    "metrics": [
        metric("sales", "simple", **of("sale_count")),
        metric("revenue", "simple", "money", **of("amount")),
        metric("refunds", "simple", "money", **of("refund_amount")),
        metric("buyers", "simple", **of("buyer_count")),
        metric("web_sales", "simple", where="{{ Entity('channel') }} = 'web'", **of("sale_count")),
        metric("web_sales_or_none", "simple", where="{{ Entity('channel') }} = 'web'",
               **of("sale_count", fill_nulls_with=0)),
        metric("winter_sales", "simple", where="{{ TimeDimension('metric_time', 'quarter') }} = '2024-01-01'",
               **of("sale_count")),
        metric("price", "ratio", "money", numerator={"name": "revenue"}, denominator={"name": "sales"}),
        metric("web_share", "ratio", "rate", denominator={"name": "sales"}, numerator={
            "name": "sales", "filter": {"where_filters": [{"where_sql_template": "{{ Entity('channel') }} = 'web'"}]}}),
        metric("kept", "derived", "money", expr="revenue - money_back + 0 * length('revenue')", metrics=[
            {"name": "revenue"}, {"name": "refunds", "alias": "money_back"}]),
        metric("kept_price", "ratio", "money", numerator={"name": "kept"}, denominator={"name": "sales"}),
        metric("pieces", "simple", **of("piece_count")),
        metric("pieces_by_channel", "simple", **of("channel_piece_count")),
        metric("opening_pieces", "simple", **of("first_piece_count")),
        metric("sales_per_piece", "ratio", "number", numerator={"name": "sales"}, denominator={"name": "pieces"}),
        metric("lost", "simple", where="{{ Dimension('sale__colour') }} = 'red'", **of("sale_count")),
        metric("running", "cumulative", **of("sale_count")),
        metric("double_running", "derived", expr="running * 2", metrics=[{"name": "running"}]),
        *(metric(f"{name}_metric", "simple", **of(name)) for name in (
            "row_count", "new_row_count", "channel_count", "mean_days", "least_days", "most_days", "middle_days",
            "p75_days", "p75_day",
        )),
    ],
}  # fmt: skip

for _model in MANIFEST["semantic_models"]:
    for _element in (*_model["entities"], *_model["dimensions"], *_model["measures"]):
        _element.setdefault("config", None)
DEFINITIONS: Definitions = read_definitions(MANIFEST)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    path: Path = tmp_path_factory.mktemp("sales") / "lifecycle.duckdb"
    with open_duckdb(path) as made:
        made.run("create schema marts")
        made.run(
            "create table marts.sales (sold_month date, channel varchar, size_code varchar, is_new boolean,"
            " sale_count bigint, amount decimal(18, 2), refund_amount decimal(18, 2), buyer_count bigint, days double)"
        )
        made.run("create table marts.stock (taken_date date, channel varchar, piece_count bigint)")
        for statement in SALES.strip().rstrip(";").split(";\n"):
            made.run(statement)
    with open_duckdb(path, read_only=True) as made:
        yield made


def ask(warehouse: Warehouse, *metrics: str, **question: Any) -> Answer:
    return answer(warehouse, DEFINITIONS, Question(metrics, **question), as_of=AS_OF, run_id="run-1")


def figures(warehouse: Warehouse, *metrics: str, **question: Any) -> list[tuple[Any, ...]]:
    """Rows, with months as texts and amounts as floats."""
    return [
        tuple(str(value) if isinstance(value, date) else float(value) if isinstance(value, Decimal) else value
              for value in row)
        for row in ask(warehouse, *metrics, **question).rows
    ]  # fmt: skip


MONTH = "metric_time:month"


# --- figures ---------------------------------------------------------------------------------------------------------


def test_a_sum_by_month_and_by_longer_spans(warehouse: Warehouse) -> None:
    assert figures(warehouse, "sales", by=(MONTH,)) == [
        ("2024-01-01", 15), ("2024-02-01", 21), ("2024-04-01", 0), ("2024-05-01", 10),
    ]  # fmt: skip
    assert figures(warehouse, "sales", by=("metric_time:quarter",)) == [("2024-01-01", 36), ("2024-04-01", 10)]
    assert figures(warehouse, "sales", by=("year",)) == [("2024-01-01", 46)]
    assert figures(warehouse, "sales") == [(46,)]


@pytest.mark.parametrize("by", ["metric_time", "metric_time:month", "metric_time__month", "month", "sold_month",
                                "sale__sold_month", "sold_month__month", "METRIC_TIME:MONTH"])  # fmt: skip
def test_a_month_can_be_asked_for_in_the_words_of_metricflow_and_in_ours(warehouse: Warehouse, by: str) -> None:
    assert ask(warehouse, "sales", by=(by,)).rows == ask(warehouse, "sales", by=(MONTH,)).rows
    assert [column.name for column in ask(warehouse, "sales", by=(by,)).columns] == ["month", "sales"]


def test_groups_by_an_expression_by_its_short_and_its_full_name(warehouse: Warehouse) -> None:
    assert figures(warehouse, "sales", by=("size",)) == [("S", 40), ("XL", 6)]
    assert figures(warehouse, "sales", by=("sale__size",)) == [("S", 40), ("XL", 6)]


def test_nothing_is_a_group_of_its_own_and_stands_last(warehouse: Warehouse) -> None:
    assert figures(warehouse, "sales", by=("channel",)) == [("store", 7), ("web", 38), (None, 1)]


def test_a_ratio_divides_sums_and_not_averages(warehouse: Warehouse) -> None:
    # 10 and 10 by month and channel, but (150 + 72 + 100) / 38 for the web.
    assert figures(warehouse, "price", by=("channel",)) == [
        ("store", pytest.approx(80 / 7)), ("web", pytest.approx(322 / 38)), (None, 10),
    ]  # fmt: skip
    assert figures(warehouse, "price") == [(pytest.approx(412 / 46),)]


def test_nothing_is_divided_by_zero(warehouse: Warehouse) -> None:
    assert figures(warehouse, "price", "sales", by=(MONTH,))[2] == ("2024-04-01", None, 0)


def test_a_condition_of_the_numerator_is_not_one_of_the_denominator(warehouse: Warehouse) -> None:
    assert figures(warehouse, "web_share") == [(pytest.approx(38 / 46),)]
    # Nobody known bought in the web channel: no numerator, no share.
    assert figures(warehouse, "web_share", by=("channel",)) == [("store", None), ("web", 1), (None, None)]


def test_a_derived_metric_uses_its_inputs_and_leaves_texts_alone(warehouse: Warehouse) -> None:
    assert figures(warehouse, "kept", by=("size",)) == [("S", 352 - 58), ("XL", 60 - 5)]
    assert figures(warehouse, "kept_price") == [(pytest.approx((412 - 63) / 46),)]


def test_a_metric_with_a_condition_has_rows_where_it_holds(warehouse: Warehouse) -> None:
    assert figures(warehouse, "web_sales", by=("size",), where=("is_new = true",)) == [("S", 38)]
    assert figures(warehouse, "web_sales", "sales", by=("channel",)) == [
        ("store", None, 7), ("web", 38, 38), (None, None, 1),
    ]  # fmt: skip
    assert figures(warehouse, "web_sales_or_none", "sales", by=("channel",))[0] == ("store", 0, 7)
    assert figures(warehouse, "winter_sales") == [(36,)]


def test_metrics_of_several_marts_are_joined_on_what_they_are_grouped_by(warehouse: Warehouse) -> None:
    assert figures(warehouse, "sales", "pieces", by=(MONTH,)) == [
        ("2024-01-01", 15, 7), ("2024-02-01", 21, 8), ("2024-03-01", None, 2), ("2024-04-01", 0, None),
        ("2024-05-01", 10, 4),
    ]  # fmt: skip
    assert figures(warehouse, "sales", "opening_pieces") == [(46, 99)]


def test_a_group_without_a_value_meets_its_like_in_the_other_mart(warehouse: Warehouse) -> None:
    # One row for it, not one per mart.
    rows = figures(warehouse, "sales", "web_sales", "price", by=("channel",))
    assert [row[0] for row in rows] == ["store", "web", None]


def test_of_a_balance_the_last_moment_of_each_span_counts(warehouse: Warehouse) -> None:
    assert figures(warehouse, "pieces", by=("metric_time:quarter",)) == [("2024-01-01", 2), ("2024-04-01", 4)]
    assert figures(warehouse, "pieces") == [(4,)]
    # 29 February is the last day of the range, in both channels.
    assert figures(warehouse, "pieces", last_day=date(2024, 2, 29)) == [(8,)]
    assert figures(warehouse, "pieces", by=(MONTH, "channel"))[:2] == [
        ("2024-01-01", "web", 7),
        ("2024-02-01", "store", 3),
    ]


def test_a_balance_may_have_a_last_moment_of_its_own_in_each_group(warehouse: Warehouse) -> None:
    # The store was last counted in March, the web in May.
    assert figures(warehouse, "pieces_by_channel") == [(2 + 4,)]
    assert figures(warehouse, "pieces_by_channel", by=("channel",)) == [("store", 2), ("web", 4)]
    assert figures(warehouse, "pieces", by=("channel",)) == [("web", 4)]


def test_of_an_opening_the_first_moment_counts(warehouse: Warehouse) -> None:
    assert figures(warehouse, "opening_pieces", by=(MONTH,))[0] == ("2024-01-01", 99)


def test_a_sum_over_a_balance(warehouse: Warehouse) -> None:
    assert figures(warehouse, "sales_per_piece", by=("metric_time:quarter",)) == [
        ("2024-01-01", pytest.approx(36 / 2)), ("2024-04-01", pytest.approx(10 / 4)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "figure"),
    [
        ("row_count", 6), ("new_row_count", 4), ("channel_count", 2), ("mean_days", 4.0), ("least_days", 1.5),
        ("most_days", 6.5), ("middle_days", 4.0), ("p75_days", 5.25), ("p75_day", 5.5),
    ],
)  # fmt: skip
def test_every_aggregation(warehouse: Warehouse, name: str, figure: float) -> None:
    # days: 1.5, 2.5, 3.5, 4.5, 5.5, 6.5 and one that is not known.
    assert figures(warehouse, f"{name}_metric") == [(figure,)]


def test_without_a_row_there_is_no_figure(warehouse: Warehouse) -> None:
    assert figures(warehouse, "sales", "row_count_metric", "pieces", where=("channel = nowhere",)) == [(None,) * 3]
    assert figures(warehouse, "sales", by=(MONTH,), where=("channel = nowhere",)) == []
    assert ask(warehouse, "sales", where=("channel = nowhere",)).hints[1] == "channel is one of store, web."


# --- conditions and days ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "sales"),
    [
        ("channel = web", 38),
        ("channel='web'", 38),
        ('channel = "web"', 38),
        ("channel != web", 7),
        ("channel <> web", 7),
        ("channel in (web, store)", 45),
        ("channel not in (web)", 7),
        ("CHANNEL IN ('web','store')", 45),
        ("channel is null", 1),
        ("channel is not null", 45),
        ("sale__size = XL", 6),
        ("is_new = true", 40),
        ("is_new = false", 6),
        ("quantity_sold >= 10", 30),
        ("quantity_sold < 5", 3),
        ("channel = 'it''s'", None),
        ("channel = 'x'' or 1 = 1 --'", None),
    ],
)
def test_a_condition_on_a_dimension(warehouse: Warehouse, condition: str, sales: int | None) -> None:
    assert figures(warehouse, "sales", where=(condition,)) == [(sales,)]


def test_several_conditions_must_all_hold(warehouse: Warehouse) -> None:
    assert figures(warehouse, "sales", where=("channel = web", "is_new = true")) == [(38,)]
    assert figures(warehouse, "sales", where=("channel = web", "size = XL")) == [(0,)]


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ("channel", "it is no condition"),
        ("channel like 'w%'", "it is no condition"),
        ("channel =", "a value is missing"),
        ("channel = web store", "something follows the value"),
        ("channel = web and is_new = true", "something follows the value"),
        ("channel = web; drop table marts.sales", "something follows the value"),
        ("channel = web, store", "after '=' stands one value"),
        ("channel in web", "a list in parentheses"),
        ("channel in ()", "a value is missing"),
        ("channel in (web,)", "a value is missing"),
        ("channel = 'web", "a value cannot be read"),
        ("channel is missing", "after 'is' stands null"),
        ("upper(channel) = WEB", "it is no condition"),
        ("1 = 1", "it is no condition"),
    ],
)
def test_what_is_no_condition_is_refused(warehouse: Warehouse, condition: str, says: str) -> None:
    with pytest.raises(LifecycleError) as error:
        ask(warehouse, "sales", where=(condition,))
    assert says in error.value.problem and condition in error.value.problem
    assert "persona = student" in error.value.remedy


def test_a_value_of_the_wrong_kind_is_refused(warehouse: Warehouse) -> None:
    for condition in ("quantity_sold = many", "is_new = perhaps"):
        with pytest.raises(LifecycleError, match="is no value of this dimension"):
            ask(warehouse, "sales", where=(condition,))


def test_days_are_inclusive_and_widened_to_whole_spans(warehouse: Warehouse) -> None:
    january = {"first_day": date(2024, 1, 1), "last_day": date(2024, 1, 31)}
    assert figures(warehouse, "sales", **january) == [(15,)]
    assert ask(warehouse, "sales", **january).hints == ()
    found = ask(warehouse, "sales", first_day=date(2024, 1, 20), last_day=date(2024, 2, 1))
    assert found.rows == ((36,),)
    assert found.hints == ("Taken are whole months: from 2024-01-01 to 2024-02-29.",)
    assert figures(warehouse, "sales", by=("quarter",), last_day=date(2024, 1, 1)) == [("2024-01-01", 36)]
    # A mart by day keeps its days, unless one by month stands beside it.
    assert figures(warehouse, "pieces", last_day=date(2024, 1, 20)) == [(99,)]
    assert figures(warehouse, "pieces", "sales", last_day=date(2024, 1, 20)) == [(7, 15)]


def test_a_span_that_is_not_over_says_so(warehouse: Warehouse) -> None:
    assert ask(warehouse, "sales", by=(MONTH,)).hints == ("2024-05 is not over: it goes up to 2024-05-20.",)
    assert ask(warehouse, "sales", by=(MONTH,), last_day=date(2024, 4, 30)).hints == ()


def test_when_nothing_fits_the_values_that_there_are_are_named(warehouse: Warehouse) -> None:
    found = ask(warehouse, "sales", by=(MONTH,), where=("channel = wbe",), first_day=date(2023, 1, 1))
    assert found.hints == (
        "There is nothing that fits.",
        "channel is one of store, web.",
        "There are figures from 2024-01-01 to 2024-05-01.",
    )


# --- order -----------------------------------------------------------------------------------------------------------


def test_rows_come_in_the_order_that_is_asked_for(warehouse: Warehouse) -> None:
    def channels(*order: str, **more: Any) -> list[str | None]:
        return [row[0] for row in figures(warehouse, "sales", by=("channel",), order_by=order, **more)]

    assert channels() == ["store", "web", None]
    assert channels("-sales") == ["web", "store", None]
    assert channels("sales") == [None, "store", "web"]
    assert channels("-channel") == ["web", "store", None]
    assert channels("-sales", limit=1) == ["web"]
    assert figures(warehouse, "sales", by=(MONTH,), order_by=("-metric_time:month",), limit=1) == [("2024-05-01", 10)]
    assert figures(warehouse, "sales", by=(MONTH,), order_by=("-metric_time",), limit=1) == [("2024-05-01", 10)]


def test_an_order_by_something_else_is_refused(warehouse: Warehouse) -> None:
    with pytest.raises(LifecycleError, match="'sale' is no column of the answer, did you mean 'sales'"):
        ask(warehouse, "sales", by=(MONTH,), order_by=("-sale",))
    with pytest.raises(LifecycleError, match="It has: month, sales"):
        ask(warehouse, "sales", by=(MONTH,), order_by=("metric_time:year",))


# --- what is refused -------------------------------------------------------------------------------------------------


def test_what_cannot_be_added_up_has_to_be_taken_apart(warehouse: Warehouse) -> None:
    def refused(**question: Any) -> str:
        with pytest.raises(LifecycleError) as error:
            ask(warehouse, "buyers", **question)
        return str(error.value)

    assert "cannot be added up over months: who buys twice is one buyer" in refused()
    assert "--by metric_time:month" in refused()
    assert "over months" in refused(by=("quarter", "channel"))
    assert "over channel: who buys in two channels is one buyer" in refused(by=(MONTH,))
    assert "--by channel" in refused(by=(MONTH,))
    assert "over channel" in refused(by=(MONTH,), where=("channel in (web, store)",))
    assert "over channel" in refused(by=(MONTH,), where=("channel != web",))
    assert figures(warehouse, "buyers", by=(MONTH, "channel"))[0] == ("2024-01-01", "store", 4)
    assert figures(warehouse, "buyers", by=(MONTH,), where=("channel = web",))[0] == ("2024-01-01", 4)
    assert figures(warehouse, "buyers", by=("channel",), first_day=date(2024, 1, 1), last_day=date(2024, 1, 31)) == [
        ("store", 4), ("web", 4),
    ]  # fmt: skip


def test_a_dimension_that_a_metric_does_not_have_is_answered_with_those_it_has(warehouse: Warehouse) -> None:
    with pytest.raises(LifecycleError) as error:
        ask(warehouse, "sales", by=("sise",))
    assert error.value.problem == "'sales' has no dimension 'sise', did you mean 'size'?"
    assert error.value.where == "--by sise"
    assert error.value.remedy == "It has: metric_time (month, quarter, year), channel, size, is_new, quantity_sold."
    with pytest.raises(LifecycleError, match="--where colour = red: 'sales' has no dimension 'colour'\n"):
        ask(warehouse, "sales", where=("colour = red",))
    with pytest.raises(LifecycleError, match="'pieces' has no dimension 'size'"):
        ask(warehouse, "sales", "pieces", by=("size",))
    with pytest.raises(LifecycleError, match="'sales' has no dimension 'stocktaking__channel'"):
        ask(warehouse, "sales", by=("stocktaking__channel",))


def test_a_span_shorter_than_the_marts_is_refused(warehouse: Warehouse) -> None:
    with pytest.raises(LifecycleError, match=r"'sales' is known by month, not by week\n  Possible are month, quarter"):
        ask(warehouse, "pieces", "sales", by=("metric_time:week",))
    assert figures(warehouse, "pieces", by=("metric_time:week",))[0] == ("2024-01-15", 99)
    with pytest.raises(LifecycleError, match="'mnoth' is no span of time, did you mean 'month'"):
        ask(warehouse, "sales", by=("metric_time:mnoth",))
    with pytest.raises(LifecycleError, match="'channel' is no time"):
        ask(warehouse, "sales", by=("channel:month",))


def test_time_is_limited_by_days_and_not_by_a_condition(warehouse: Warehouse) -> None:
    for name in ("metric_time", "sold_month", "metric_time__month"):
        with pytest.raises(LifecycleError, match="time is limited by --from and --to"):
            ask(warehouse, "sales", where=(f"{name} = 2024-01-01",))


def test_what_only_metricflow_computes_is_refused_with_its_command(warehouse: Warehouse) -> None:
    for name in ("running", "double_running"):
        with pytest.raises(LifecycleError, match=f"'running' is of type cumulative.*\n  mf query --metrics {name}"):
            ask(warehouse, name)


def test_a_question_without_a_metric_is_refused(warehouse: Warehouse) -> None:
    with pytest.raises(LifecycleError, match="no metric was named"):
        ask(warehouse)


def test_a_definition_that_does_not_fit_its_mart_is_said_to_be_wrong(warehouse: Warehouse) -> None:
    with pytest.raises(LifecycleError, match=r"filtered by 'sale__colour', which marts\.sales does not have"):
        ask(warehouse, "lost")


def test_a_publication_of_another_version_says_what_it_lacks(tmp_path: Path) -> None:
    with open_duckdb(tmp_path / "old.duckdb") as old:
        with pytest.raises(LifecycleError, match=r"the publication has no marts\.sales\n.*lifecycle run"):
            ask(old, "sales")
        old.run("create schema marts")
        old.run("create table marts.sales (sold_month date)")
        with pytest.raises(LifecycleError, match=r"does not fit the definitions.*sale_count"):
            ask(old, "sales")
        with pytest.raises(LifecycleError, match=r"does not fit the definitions.*channel"):
            ask(old, "sales", where=("channel = web",))


# --- the statement ---------------------------------------------------------------------------------------------------


def test_one_mart_is_read_once_under_the_same_conditions(warehouse: Warehouse) -> None:
    question = Question(("sales", "revenue", "price", "kept", "refunds"), (MONTH,))
    assert compile_question(DEFINITIONS, question, type_reader(warehouse)).sql.count("from marts.sales") == 1
    question = Question(("sales", "web_sales", "web_share", "pieces"), (MONTH,))
    sql = compile_question(DEFINITIONS, question, type_reader(warehouse)).sql
    assert sql.count("from marts.sales") == 2
    assert sql.count("from marts.stock") == 1


def test_a_metric_that_is_named_twice_is_one_column(warehouse: Warehouse) -> None:
    assert [column.name for column in ask(warehouse, "sales", "sales", by=(MONTH, "month")).columns] == [
        "month",
        "sales",
    ]


@given(value=st.text(min_size=1, max_size=30).filter(lambda text: "\x00" not in text))
def test_whatever_stands_in_quotes_is_a_value_and_nothing_else(warehouse: Warehouse, value: str) -> None:
    condition = "channel = '" + value.replace("'", "''") + "'"
    expected = {"web": 38, "store": 7}.get(value)
    assert figures(warehouse, "sales", where=(condition,)) == [(expected,)]


@given(
    day=st.dates(date(1990, 1, 1), date(2060, 12, 31)),
    grain=st.sampled_from(["day", "week", "month", "quarter", "year"]),
)
def test_a_span_is_what_the_engine_makes_of_a_day(warehouse: Warehouse, day: date, grain: str) -> None:
    begin = f"date_trunc('{grain}', date '{day}')"
    length = "interval 3 month" if grain == "quarter" else f"interval 1 {grain}"
    first, following = warehouse.rows(f"select {begin}::date, ({begin} + {length})::date")[0]
    assert span_of(day, grain) == first
    assert after_span(day, grain) == following
    assert first <= day < following


def test_spans_are_written_as_people_write_them() -> None:
    day = date(2025, 12, 29)
    written = [written_span(day, grain) for grain in ("day", "week", "month", "quarter", "year")]
    assert written == ["2025-12-29", "2026-W01", "2025-12", "2025-Q4", "2025"]


def test_weeks_make_no_months() -> None:
    assert spans("day") == ("day", "week", "month", "quarter", "year")
    assert spans("week") == ("week",)
    assert spans("month") == ("month", "quarter", "year")
