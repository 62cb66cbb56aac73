"""A question about metrics, turned into SQL and asked of a publication.

Belongs here: what can be asked (metrics, grouping, conditions, dates), what is refused and why, the SQL.
Does not belong here: what a metric means (``definitions.py``), how figures are written (``rendering.py``).

Each mart is aggregated by itself and the results are joined on what they are grouped by; ratios and derived metrics are
made of sums after that. This is how MetricFlow computes them, and a test compares the two.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from lifecycle.errors import LifecycleError
from lifecycle.metrics.conditions import Condition, read_condition
from lifecycle.metrics.definitions import (
    METRIC_TIME,
    Definitions,
    Grouping,
    Input,
    Leaf,
    Measure,
    Metric,
    SemanticModel,
    fixed_by,
    nearest,
    references,
)
from lifecycle.metrics.spans import GRAINS, after_span, span_of, spans, written_span
from lifecycle.warehouse import Warehouse, literal, quoted

if TYPE_CHECKING:
    from lifecycle.serving.publication import Publication
    from lifecycle.settings import Settings

SHOWN_VALUES = 12
"""So many values of a dimension are named when nothing fits a condition."""


@dataclass(frozen=True)
class Question:
    """What somebody wants to know; ``first_day`` and ``last_day`` are inclusive."""

    metrics: tuple[str, ...]
    by: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    first_day: date | None = None
    last_day: date | None = None
    order_by: tuple[str, ...] = ()
    limit: int | None = None


@dataclass(frozen=True)
class Column:
    """A column of an answer: ``grain`` for a span of time, ``unit`` for a metric."""

    name: str
    label: str
    grain: str | None = None
    unit: str | None = None


@dataclass(frozen=True)
class Answer:
    """Figures, and what they were read from. ``hints`` say what somebody has to know who reads them."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    sql: str
    as_of: date
    run_id: str
    hints: tuple[str, ...] = ()


@dataclass(frozen=True)
class Compiled:
    """A question as one statement, with the columns that it gives."""

    sql: str
    columns: tuple[Column, ...]
    span: str
    """What --from and --to were widened to."""


Types = Callable[[str, str], str]
"""(table, expression) → its type in the publication."""


# --- what is grouped by ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _GroupBy:
    """One thing to group by. ``name`` is ``metric_time`` or a grouping's own; ``grain`` is set for times."""

    name: str
    grain: str | None
    column: Column


def compile_question(definitions: Definitions, question: Question, types: Types) -> Compiled:
    """The SQL of a question. Raises LifecycleError, with what is possible instead, when it cannot be answered."""
    if not question.metrics:
        raise LifecycleError(
            "no metric was named", remedy="`lifecycle metrics list` shows them: lifecycle metrics query net_revenue"
        )
    metrics = [definitions.metric(name) for name in dict.fromkeys(question.metrics)]
    for metric in metrics:
        _refuse_unsupported(definitions, metric)
    by = _group_by(definitions, metrics, question)
    conditions = [read_condition(text) for text in question.where]
    for metric in metrics:
        _check_conditions(definitions, metric, conditions)
        _check_sums(definitions, metric, by, conditions, question)
    columns = (
        *(one.column for one in by),
        *(Column(metric.name, metric.label, unit=metric.unit) for metric in metrics),
    )
    parts = _Parts(definitions, by, conditions, question, types)
    figures = [f"{parts.expression(metric)} as {quoted(metric.name)}" for metric in metrics]
    select = ",\n    ".join([*(quoted(one.column.name) for one in by), *figures])
    lines = [f"with\n\n{parts.ctes()}", f"select\n    {select}\nfrom figures"]
    order = _order(question, columns, len(by))
    if order:
        lines.append(f"order by {order}")
    if question.limit is not None:
        lines.append(f"limit {int(question.limit)}")
    return Compiled("\n".join(lines), columns, asked_span(definitions, question, by))


def _refuse_unsupported(definitions: Definitions, metric: Metric) -> None:
    for one in _all_of(definitions, metric):
        if one.unsupported:
            raise LifecycleError(
                f"'{one.name}' {one.unsupported}, which only MetricFlow computes",
                remedy=f"mf query --metrics {metric.name} (docs/metrics-semantic-layer.md)",
            )


def _all_of(definitions: Definitions, metric: Metric) -> Iterator[Metric]:
    yield metric
    for part in metric.parts:
        yield from _all_of(definitions, definitions.metric(part.metric))


def _group_by(definitions: Definitions, metrics: Sequence[Metric], question: Question) -> list[_GroupBy]:
    found: dict[str, _GroupBy] = {}
    for typed in question.by:
        name, grain = _split(typed)
        own_times = {definitions.time_of(leaf).name for metric in metrics for leaf in definitions.leaves(metric.name)}
        is_metric_time = name == METRIC_TIME or {name.rsplit("__", maxsplit=1)[-1]} == own_times
        if is_metric_time:
            one = _time(definitions, metrics, METRIC_TIME, grain)
        else:
            one = _dimension(definitions, metrics, name, grain)
        found[one.column.name] = one
    return list(found.values())


def _split(typed: str) -> tuple[str, str | None]:
    """``metric_time:month``, ``metric_time__month`` and ``month`` are one and the same."""
    text = typed.strip().lower()
    if text in GRAINS:
        return METRIC_TIME, text
    name, colon, grain = text.partition(":")
    if not colon:
        head, underscores, tail = text.rpartition("__")
        if underscores and tail in GRAINS:
            name, grain = head, tail
    if grain and grain not in GRAINS:
        near = nearest(grain, GRAINS)
        raise LifecycleError(
            f"'{grain}' is no span of time" + (f", did you mean '{near}'?" if near else ""),
            where=f"--by {typed}",
            remedy=f"Possible are {', '.join(GRAINS)}.",
        )
    return name, grain or None


def _time(definitions: Definitions, metrics: Sequence[Metric], name: str, grain: str | None) -> _GroupBy:
    coarsest = max(metrics, key=lambda metric: GRAINS.index(definitions.grain_of(metric.name)))
    finest = definitions.grain_of(coarsest.name)
    grain = grain or finest
    if grain not in spans(finest):
        raise LifecycleError(
            f"'{coarsest.name}' is known by {finest}, not by {grain}",
            where=f"--by {name}:{grain}",
            remedy=f"Possible are {', '.join(spans(finest))}.",
        )
    return _GroupBy(name, grain, Column(grain, grain.capitalize(), grain=grain))


def _dimension(definitions: Definitions, metrics: Sequence[Metric], name: str, grain: str | None) -> _GroupBy:
    grouping = None
    for metric in metrics:
        for model in definitions.models_of(metric.name):
            found = model.grouping(name)
            if found is None:
                raise _no_grouping(definitions, metric, name, f"--by {name}")
            grouping = grouping or found
    assert grouping is not None  # noqa: S101 - there is at least one metric, and it has a mart
    if grouping.is_time:
        finest = grouping.grain or "day"
        grain = grain or finest
        if grain not in spans(finest):
            raise LifecycleError(
                f"'{grouping.name}' is known by {finest}, not by {grain}",
                where=f"--by {name}:{grain}",
                remedy=f"Possible are {', '.join(spans(finest))}.",
            )
        return _GroupBy(grouping.name, grain, Column(f"{grouping.name}__{grain}", grouping.label, grain=grain))
    if grain:
        raise LifecycleError(f"'{grouping.name}' is no time", where=f"--by {name}:{grain}", remedy=f"--by {name}")
    return _GroupBy(grouping.name, None, Column(grouping.name, grouping.label))


def _no_grouping(definitions: Definitions, metric: Metric, typed: str, where: str) -> LifecycleError:
    known = definitions.groupings_of(metric.name)
    near = nearest(typed, [METRIC_TIME, *known])
    has = ", ".join([f"{METRIC_TIME} ({', '.join(spans(definitions.grain_of(metric.name)))})", *known])
    return LifecycleError(
        f"'{metric.name}' has no dimension '{typed}'" + (f", did you mean '{near}'?" if near else ""),
        where=where,
        remedy=f"It has: {has}.",
    )


# --- conditions ------------------------------------------------------------------------------------------------------


def _check_conditions(definitions: Definitions, metric: Metric, conditions: Sequence[Condition]) -> None:
    """Every mart of the metric has what is asked for."""
    for condition in conditions:
        for model in definitions.models_of(metric.name):
            grouping = model.grouping(condition.name)
            is_time = condition.name.startswith(METRIC_TIME) or (grouping is not None and grouping.is_time)
            if is_time:
                raise LifecycleError(
                    f"time is limited by --from and --to: {condition.text}",
                    where="--where",
                    remedy="For example --from 2025-01-01 --to 2025-12-31.",
                )
            if grouping is None:
                raise _no_grouping(definitions, metric, condition.name, f"--where {condition.text}")


def _check_sums(
    definitions: Definitions,
    metric: Metric,
    by: Sequence[_GroupBy],
    conditions: Sequence[Condition],
    question: Question,
) -> None:
    """Nothing is added up that cannot be."""
    held = {condition.name.rsplit("__", maxsplit=1)[-1] for condition in conditions if condition.holds_one}
    grouped = {one.name for one in by}
    for leaf in definitions.leaves(metric.name):
        time = definitions.time_of(leaf)
        grain = time.grain or "day"
        kept = held | grouped.difference({METRIC_TIME}) | {name for text in leaf.filters for name in fixed_by(text)}
        if any(one.name == METRIC_TIME and one.grain == grain for one in by) or _is_one_span(question, grain):
            kept.add(METRIC_TIME)
        for need, reason in definitions.models[leaf.model].measures[leaf.measure].needs.items():
            if need in kept:
                continue
            if need == METRIC_TIME:
                over = f"{grain}s"
                remedy = f"Take it by {grain}: --by {METRIC_TIME}:{grain}, or take one {grain}: --from and --to."
            else:
                over = need
                remedy = f"Take it apart: --by {need}, or take one: --where '{need} = ...'."
            raise LifecycleError(f"'{metric.name}' cannot be added up over {over}: {reason}", remedy=remedy)


def asked_span(definitions: Definitions, question: Question, by: Sequence[_GroupBy]) -> str:
    """The spans that --from and --to are widened to: those grouped by, else the finest that all metrics know."""
    grouped = next((one.grain for one in by if one.name == METRIC_TIME), None)
    return grouped or max((definitions.grain_of(name) for name in question.metrics), key=GRAINS.index)


def _is_one_span(question: Question, grain: str) -> bool:
    first, last = question.first_day, question.last_day
    return first is not None and last is not None and span_of(first, grain) == span_of(last, grain)


# --- the statement ---------------------------------------------------------------------------------------------------


@dataclass
class _Part:
    """One aggregation of one mart: everything that is read from it under the same conditions."""

    model: SemanticModel
    time: Grouping
    filters: tuple[str, ...]
    measures: list[Measure] = field(default_factory=list)


class _Parts:
    """Collects the aggregations that metrics come down to while their expressions are written."""

    def __init__(
        self,
        definitions: Definitions,
        by: Sequence[_GroupBy],
        conditions: Sequence[Condition],
        question: Question,
        types: Types,
    ) -> None:
        self._definitions, self._by, self._conditions = definitions, by, conditions
        self._question, self._types = question, types
        self._parts: dict[tuple[Any, ...], _Part] = {}

    def expression(self, metric: Metric, filters: tuple[str, ...] = ()) -> str:
        """A metric over the columns of ``figures``."""
        filters = (*filters, *metric.filters)
        if metric.measure is not None:
            column = self._column(Leaf(self._definitions.model_of(metric.measure).name, metric.measure, filters))
            return column if metric.fill is None else f"coalesce({column}, {int(metric.fill)})"
        if metric.numerator is not None and metric.denominator is not None:
            over, under = (self._input(part, filters) for part in (metric.numerator, metric.denominator))
            return f"cast({over} as double) / nullif(cast({under} as double), 0)"
        inputs = {part.name: self._input(part, filters) for part in metric.inputs}
        return _with_inputs(metric.expression, inputs)

    def _input(self, part: Input, filters: tuple[str, ...]) -> str:
        return self.expression(self._definitions.metric(part.metric), (*filters, *part.filters))

    def _column(self, leaf: Leaf) -> str:
        model = self._definitions.models[leaf.model]
        measure = model.measures[leaf.measure]
        filters = tuple(sorted(set(leaf.filters)))
        key = (model.name, filters, measure.time, measure.last_value)
        part = self._parts.setdefault(key, _Part(model, self._definitions.time_of(leaf), filters))
        if measure not in part.measures:
            part.measures.append(measure)
        return f"figure_{list(self._parts).index(key) + 1}_{part.measures.index(measure) + 1}"

    def ctes(self) -> str:
        names = [quoted(one.column.name) for one in self._by]
        parts = list(self._parts.values())
        blocks = [f"part_{number} as (\n{_indented(self._part(part, number))}\n)" for number, part in _numbered(parts)]
        if len(parts) == 1:
            figures = "select * from part_1"
        elif not names:
            figures = "select * from " + " cross join ".join(f"part_{number}" for number, _ in _numbered(parts))
        else:
            keys = ", ".join(names)
            groups = "\nunion\n".join(f"select {keys} from part_{number}" for number, _ in _numbered(parts))
            blocks.append(f"groups as (\n{_indented(groups)}\n)")
            columns = ",\n    ".join(
                [
                    *(f"groups.{name}" for name in names),
                    *(
                        f"part_{number}.figure_{number}_{place}"
                        for number, part in _numbered(parts)
                        for place, _ in _numbered(part.measures)
                    ),
                ]
            )
            joins = "\n".join(
                f"left join part_{number} on "
                + " and ".join(f"groups.{name} is not distinct from part_{number}.{name}" for name in names)
                for number, _ in _numbered(parts)
            )
            figures = f"select\n    {columns}\nfrom groups\n{joins}"
        blocks.append(f"figures as (\n{_indented(figures)}\n)")
        return ",\n\n".join(blocks) + "\n"

    def _part(self, part: _Part, number: int) -> str:
        groups = [f"{self._group(part, one)} as {quoted(one.column.name)}" for one in self._by]
        where = self._where(part)
        window = part.measures[0].last_value
        if window is None:
            figures = [
                f"{_aggregated(measure, _inner(measure.sql))} as figure_{number}_{place}"
                for place, measure in _numbered(part.measures)
            ]
            return _select([*groups, *figures], f"from {part.model.table}", where, "group by all" if groups else "")
        values = [f"{measure.sql} as value_{place}" for place, measure in _numbered(part.measures)]
        time = _inner(part.model.groupings[window.time].sql)
        per = [_inner(part.model.groupings[name].sql) for name in window.per]
        per += [self._group(part, one) for one in self._by if one.name == METRIC_TIME]
        over = f"partition by {', '.join(per)}" if per else ""
        rows = _select(
            [*groups, *values],
            f"from {part.model.table}",
            where,
            f"qualify {time} = {'max' if window.is_last else 'min'}({time}) over ({over})",
        )
        names = [quoted(one.column.name) for one in self._by]
        figures = [
            f"{_aggregated(measure, f'value_{place}')} as figure_{number}_{place}"
            for place, measure in _numbered(part.measures)
        ]
        source = f"from (\n{_indented(rows)}\n) as last_rows"
        return _select([*names, *figures], source, [], "group by all" if groups else "")

    def _group(self, part: _Part, one: _GroupBy) -> str:
        grouping = part.time if one.name == METRIC_TIME else part.model.groupings[one.name]
        return _truncated(grouping.sql, one.grain) if one.grain else grouping.sql

    def _where(self, part: _Part) -> list[str]:
        grain = asked_span(self._definitions, self._question, self._by)
        written = [_from_yaml(part, text) for text in part.filters]
        if self._question.first_day is not None:
            written.append(f"{_inner(part.time.sql)} >= date {literal(str(span_of(self._question.first_day, grain)))}")
        if self._question.last_day is not None:
            written.append(f"{_inner(part.time.sql)} < date {literal(str(after_span(self._question.last_day, grain)))}")
        return written + [self._typed(part, condition) for condition in self._conditions]

    def _typed(self, part: _Part, condition: Condition) -> str:
        grouping = part.model.grouping(condition.name)
        assert grouping is not None  # noqa: S101 - checked before
        if not condition.values:
            return f"{_inner(grouping.sql)} {condition.operator} null"
        type_ = self._types(part.model.table, grouping.sql)
        values = [f"cast({literal(value)} as {type_})" for value in condition.values]
        right = f"({', '.join(values)})" if condition.operator in ("in", "not in") else values[0]
        return f"{_inner(grouping.sql)} {condition.operator} {right}"


def _numbered(items: Sequence[Any]) -> list[tuple[int, Any]]:
    return list(enumerate(items, start=1))


def _indented(sql: str) -> str:
    return "\n".join(f"    {line}" for line in sql.splitlines())


def _select(columns: Sequence[str], source: str, where: Sequence[str], last: str) -> str:
    lines = ["select\n    " + ",\n    ".join(columns), source]
    if where:
        lines.append("where " + "\n    and ".join(where))
    if last:
        lines.append(last)
    return "\n".join(lines)


def _inner(sql: str) -> str:
    """An expression as part of another one."""
    return sql if re.fullmatch(r"\w+", sql) else f"({sql})"


def _truncated(sql: str, grain: str) -> str:
    return f"cast(date_trunc('{grain}', {sql}) as date)"


def _aggregated(measure: Measure, value: str) -> str:
    if measure.aggregation == "percentile":
        function = "percentile_disc" if measure.is_discrete else "percentile_cont"
        return f"{function}({float(measure.percentile or 0.5)}) within group (order by {value})"
    return {
        "sum": f"sum({value})",
        "sum_boolean": f"sum(case when {value} then 1 else 0 end)",
        "count": f"sum(case when {value} is not null then 1 else 0 end)",
        "count_distinct": f"count(distinct {value})",
        "average": f"avg({value})",
        "min": f"min({value})",
        "max": f"max({value})",
        "median": f"percentile_cont(0.5) within group (order by {value})",
    }[measure.aggregation]


def _from_yaml(part: _Part, condition: str) -> str:
    """A metric's own condition, with the mart's expressions in place of names."""
    written = condition
    for reference in references(condition):
        grouping = part.time if reference.name == METRIC_TIME else part.model.grouping(reference.name)
        if grouping is None:
            raise LifecycleError(
                f"a metric is filtered by '{reference.name}', which {part.model.table} does not have",
                where=condition,
                remedy="Change the `filter:` in models/marts/metrics/_semantic_*.yml.",
            )
        sql = _truncated(grouping.sql, reference.grain) if reference.grain else _inner(grouping.sql)
        written = written.replace(reference.text, sql)
    return f"({written})"


_WORD = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|[A-Za-z_]\w*")


def _with_inputs(expression: str, inputs: Mapping[str, str]) -> str:
    """An expression over input metrics, with what they are computed as; texts in quotes stay."""
    return "(" + _WORD.sub(lambda word: _inner(inputs[word[0]]) if word[0] in inputs else word[0], expression) + ")"


def _order(question: Question, columns: Sequence[Column], group_count: int) -> str:
    if not question.order_by:
        return ", ".join(f"{quoted(column.name)} asc nulls last" for column in columns[:group_count])
    terms = []
    for typed in question.order_by:
        text = typed.strip().lower()
        is_down = text.startswith("-")
        text = text.removeprefix("-")
        name, grain = _split(text) if ":" in text or "__" in text or text in GRAINS else (text, None)
        wanted = {grain if name == METRIC_TIME else f"{name}__{grain}"} if grain else {name}
        if name == METRIC_TIME and not grain:
            wanted = set(GRAINS)
        column = next((column for column in columns if column.name in wanted), None)
        if column is None:
            names = [column.name for column in columns]
            near = nearest(text, names)
            raise LifecycleError(
                f"'{text}' is no column of the answer" + (f", did you mean '{near}'?" if near else ""),
                where=f"--order-by {typed}",
                remedy=f"It has: {', '.join(names)}; with a minus in front the largest come first.",
            )
        terms.append(f"{quoted(column.name)} {'desc' if is_down else 'asc'} nulls last")
    return ", ".join(terms)


# --- asking a publication --------------------------------------------------------------------------------------------


@contextmanager
def open_current_publication(settings: Settings) -> Iterator[tuple[Publication, Warehouse]]:
    """The public file of the current publication, for reading. Raises LifecycleError when nothing is published."""
    from lifecycle.publishing.plan import open_published
    from lifecycle.serving.publication import current

    try:
        publication = current(settings.state)
        problem = "nothing is published yet"
    except OSError as error:
        publication, problem = None, f"the current publication cannot be read: {error.strerror or error}"
    if publication is None:
        raise LifecycleError(
            problem, where=str(settings.state.serving), remedy="Run the pipeline first: `lifecycle run`."
        )
    with open_published(settings, publication) as warehouse:
        yield publication, warehouse


def ask(settings: Settings, definitions: Definitions, question: Question) -> Answer:
    """Answer a question from the current publication."""
    with open_current_publication(settings) as (publication, warehouse):
        return answer(warehouse, definitions, question, as_of=publication.as_of, run_id=publication.run_id)


def sql_of(settings: Settings, definitions: Definitions, question: Question) -> str:
    """The statement that answers a question."""
    with open_current_publication(settings) as (_, warehouse):
        return compile_question(definitions, question, type_reader(warehouse)).sql


def answer(warehouse: Warehouse, definitions: Definitions, question: Question, *, as_of: date, run_id: str) -> Answer:
    """Answer a question from an open publication of the given day and run."""
    compiled = compile_question(definitions, question, type_reader(warehouse))
    for model in (model for name in question.metrics for model in definitions.models_of(name)):
        require_table(warehouse, model.table)
    with _reading(warehouse):
        rows = tuple(warehouse.rows(compiled.sql))
        is_nothing = all(value is None for row in rows for value in row)
        hints = _nothing(warehouse, definitions, question) if is_nothing else _incomplete(compiled.columns, rows, as_of)
    return Answer(compiled.columns, rows, compiled.sql, as_of, run_id, (*_widened(question, compiled.span), *hints))


def require_table(warehouse: Warehouse, table: str) -> None:
    """Raises LifecycleError when the publication does not have a table."""
    if not warehouse.has_table(table):
        raise LifecycleError(
            f"the publication has no {table}",
            where=str(warehouse.path),
            remedy="An earlier version wrote it. Run the pipeline once: `lifecycle run`.",
        )


def type_reader(warehouse: Warehouse) -> Types:
    """Looks up types of expressions in an open publication."""

    def look_up(table: str, expression: str) -> str:
        require_table(warehouse, table)
        with _reading(warehouse):
            return str(warehouse.rows(f"describe select {expression} as looked_up from {table}")[0][1])

    return look_up


@contextmanager
def _reading(warehouse: Warehouse) -> Iterator[None]:
    """What DuckDB says, for the person who asked."""
    import duckdb

    try:
        yield
    except duckdb.ConversionException as error:
        value = re.search(r"[Cc]ould not convert string '(.*?)' to (\w+)", str(error)) or re.search(
            r"invalid \w+ field format: \"(.*?)\".*?(\w+)", str(error)
        )
        said = f"'{value[1]}' is no value of this dimension" if value else str(error).splitlines()[0]
        raise LifecycleError(
            said, where="--where", remedy="Numbers are written as 12, days as 2025-12-31, yes and no as true and false."
        ) from error
    except duckdb.BinderException as error:
        raise LifecycleError(
            f"the publication does not fit the definitions: {str(error).splitlines()[0]}",
            where=str(warehouse.path),
            remedy="Another version wrote it. Run the pipeline once: `lifecycle run`.",
        ) from error


def _widened(question: Question, span: str) -> Iterator[str]:
    """Days that do not begin or end a span are taken with the whole of it."""
    first, last = question.first_day, question.last_day
    whole_first = span_of(first, span) if first else None
    whole_last = after_span(last, span) - timedelta(days=1) if last else None
    if (whole_first, whole_last) != (first, last):
        said = [f"from {whole_first}"] if whole_first else []
        said += [f"to {whole_last}"] if whole_last else []
        yield f"Taken are whole {span}s: {' '.join(said)}."


def _incomplete(columns: Sequence[Column], rows: Sequence[tuple[Any, ...]], as_of: date) -> list[str]:
    """A span that is not over holds less than the others."""
    for place, column in enumerate(columns):
        if column.grain is None:
            continue
        last = max((row[place] for row in rows if row[place] is not None), default=None)
        if last is not None and as_of < after_span(last, column.grain) - timedelta(days=1):
            return [f"{written_span(last, column.grain)} is not over: it goes up to {as_of}."]
    return []


def _nothing(warehouse: Warehouse, definitions: Definitions, question: Question) -> list[str]:
    """Why there may be no figures: the values that a dimension has."""
    hints = ["There is nothing that fits."]
    model = definitions.models_of(question.metrics[0])[0]
    for condition in (read_condition(text) for text in question.where):
        grouping = model.grouping(condition.name)
        if grouping is None:
            continue
        values = [
            str(value)
            for (value,) in warehouse.rows(
                f"select distinct {grouping.sql} as known from {model.table} where known is not null"
                f" order by known limit {SHOWN_VALUES + 1}"
            )
        ]
        if values:
            more = ", ..." if len(values) > SHOWN_VALUES else ""
            hints.append(f"{grouping.name} is one of {', '.join(values[:SHOWN_VALUES])}{more}.")
        else:
            hints.append(f"{grouping.name} is empty everywhere.")
    if question.first_day or question.last_day:
        leaf = definitions.leaves(question.metrics[0])[0]
        first, last = warehouse.rows(
            f"select min({definitions.time_of(leaf).sql}), max({definitions.time_of(leaf).sql}) from {model.table}"
        )[0]
        if first is not None:
            hints.append(f"There are figures from {first} to {last}.")
    return hints
