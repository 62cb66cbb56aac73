"""Metrics and what they are made of, as the dbt project defines them.

Belongs here: reading semantic models and metrics from the manifest that dbt writes for MetricFlow, and finding one by
name.
Does not belong here: a definition. They stand in ``models/marts/metrics/_semantic_*.yml``, once, for MetricFlow and us.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from lifecycle.errors import LifecycleError
from lifecycle.metrics.spans import GRAINS

UNITS = ("count", "money", "rate", "number", "days", "hours", "minutes", "points", "ratio", "index")
"""What ``meta: {unit: ...}`` of a metric may say, which decides how figures are written."""

METRIC_TIME = "metric_time"
"""The time of whatever metric is asked for, in MetricFlow's word."""


@dataclass(frozen=True)
class Grouping:
    """Something that a metric can be grouped by or filtered on: a dimension, or an entity that marts share.

    ``sql`` is its expression over the mart, ``grain`` its finest span for a time, ``full_name`` what MetricFlow calls
    it.
    """

    name: str
    label: str
    description: str
    sql: str
    is_time: bool
    is_entity: bool
    grain: str | None
    full_name: str


@dataclass(frozen=True)
class LastValue:
    """Values that cannot be added up over time: of each span the rows of its last (or first) moment count."""

    time: str
    is_last: bool
    per: tuple[str, ...]


@dataclass(frozen=True)
class Measure:
    """What is aggregated of a mart's rows.

    ``needs`` names groupings over which it cannot be added up, each with the reason; ``metric_time`` is its time.
    """

    name: str
    aggregation: str
    sql: str
    percentile: float | None
    is_discrete: bool
    time: str
    last_value: LastValue | None
    needs: Mapping[str, str]


@dataclass(frozen=True)
class SemanticModel:
    """A mart with what can be asked of it. ``docs`` is where it is explained."""

    name: str
    label: str
    description: str
    table: str
    primary_entity: str | None
    groupings: Mapping[str, Grouping]
    measures: Mapping[str, Measure]
    docs: str

    def grouping(self, typed: str) -> Grouping | None:
        """By its name, or by the name that MetricFlow gives it."""
        found = self.groupings.get(typed.rsplit("__", maxsplit=1)[-1])
        return found if found is not None and typed in (found.name, found.full_name) else None


@dataclass(frozen=True)
class Input:
    """A metric that goes into another one, under a name and perhaps with a condition of its own."""

    metric: str
    name: str
    filters: tuple[str, ...]


@dataclass(frozen=True)
class Metric:
    """One metric. ``unsupported`` says what of it only MetricFlow can compute; empty for none."""

    name: str
    label: str
    description: str
    kind: Literal["simple", "ratio", "derived", "cumulative", "conversion"]
    unit: str
    docs: str
    filters: tuple[str, ...]
    measure: str | None = None
    fill: int | None = None
    numerator: Input | None = None
    denominator: Input | None = None
    expression: str = ""
    inputs: tuple[Input, ...] = ()
    unsupported: str = ""

    @property
    def parts(self) -> tuple[Input, ...]:
        """The metrics it is made of."""
        if self.numerator is not None and self.denominator is not None:
            return (self.numerator, self.denominator)
        return self.inputs


@dataclass(frozen=True)
class Leaf:
    """A measure under conditions: what is computed of one mart in one go. The conditions are as written in YAML."""

    model: str
    measure: str
    filters: tuple[str, ...] = ()


@dataclass(frozen=True)
class Definitions:
    """Everything the semantic layer knows, by name."""

    models: Mapping[str, SemanticModel]
    metrics: Mapping[str, Metric]
    _home: Mapping[str, str] = field(default_factory=dict)

    def metric(self, name: str) -> Metric:
        """Raises LifecycleError, with the nearest names, when there is none of this name."""
        if name in self.metrics:
            return self.metrics[name]
        near = _near(name, {known: (known, metric.label.lower()) for known, metric in self.metrics.items()})
        raise LifecycleError(
            f"there is no metric '{name}'" + (f", did you mean '{near}'?" if near else ""),
            remedy="`lifecycle metrics list --search WORD` finds one.",
        )

    def model_of(self, measure: str) -> SemanticModel:
        return self.models[self._home[measure]]

    def leaves(self, name: str, filters: tuple[str, ...] = ()) -> tuple[Leaf, ...]:
        """The measures that a metric comes down to, each with the conditions of every metric on the way."""
        metric = self.metric(name)
        filters = (*filters, *metric.filters)
        if metric.measure is not None:
            return (Leaf(self.model_of(metric.measure).name, metric.measure, _unique(filters)),)
        return tuple(
            dict.fromkeys(leaf for part in metric.parts for leaf in self.leaves(part.metric, (*filters, *part.filters)))
        )

    def models_of(self, name: str) -> tuple[SemanticModel, ...]:
        """The marts that a metric is read from."""
        return tuple(self.models[model] for model in dict.fromkeys(leaf.model for leaf in self.leaves(name)))

    def groupings_of(self, name: str) -> dict[str, Grouping]:
        """What a metric can be grouped by besides its time: what all of its marts have."""
        models = self.models_of(name)
        times = self._times(name)
        return {
            grouping.name: grouping
            for grouping in (models[0].groupings.values() if models else ())
            if grouping.name not in times and all(grouping.name in model.groupings for model in models)
        }

    def grain_of(self, name: str) -> str:
        """The finest span that a metric can be grouped by: that of its coarsest mart."""
        grains = [self.time_of(leaf).grain or "day" for leaf in self.leaves(name)]
        return max(grains, key=GRAINS.index)

    def time_of(self, leaf: Leaf) -> Grouping:
        model = self.models[leaf.model]
        return model.groupings[model.measures[leaf.measure].time]

    def is_last_value(self, name: str) -> bool:
        """Whether it says how things stand at the end (or beginning) of a period instead of adding them up."""
        return any(self.models[leaf.model].measures[leaf.measure].last_value for leaf in self.leaves(name))

    def _times(self, name: str) -> set[str]:
        return {self.time_of(leaf).name for leaf in self.leaves(name)}


def _unique(filters: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filters))


def _near(typed: str, words: Mapping[str, Sequence[str]]) -> str | None:
    """The name whose words come closest to what was typed."""
    by_word = {word: name for name, known in words.items() for word in known}
    close = difflib.get_close_matches(typed.lower().replace("-", "_"), by_word, n=1, cutoff=0.6)
    return by_word[close[0]] if close else None


def nearest(typed: str, names: Sequence[str]) -> str | None:
    """The one of several names that was probably meant."""
    return _near(typed, {name: (name,) for name in names})


# --- reading the manifest --------------------------------------------------------------------------------------------


def load_definitions() -> Definitions:
    """The definitions of the project as it stands."""
    from lifecycle.dbt import semantic_manifest

    return read_definitions(semantic_manifest())


def read_definitions(manifest: Mapping[str, Any]) -> Definitions:
    """The definitions in a semantic manifest (``semantic_manifest.json`` of dbt)."""
    models = {model["name"]: _model(model) for model in manifest["semantic_models"]}
    home = {measure: model.name for model in models.values() for measure in model.measures}
    metrics = {metric["name"]: _metric(metric) for metric in manifest["metrics"]}
    found = Definitions(models, metrics, home)
    documented = {
        name: replace(metric, docs=next((model.docs for model in found.models_of(name)), ""))
        for name, metric in metrics.items()
        if not metric.docs
    }
    return Definitions(models, metrics | documented, home)


def _model(content: Mapping[str, Any]) -> SemanticModel:
    primary = content.get("primary_entity") or next(
        (entity["name"] for entity in content["entities"] if entity["type"] == "primary"), None
    )
    groupings = {
        element["name"]: _grouping(element, primary, is_entity=is_entity)
        for elements, is_entity in ((content["entities"], True), (content["dimensions"], False))
        for element in elements
    }
    default_time = (content.get("defaults") or {}).get("agg_time_dimension")
    relation = content["node_relation"]
    return SemanticModel(
        name=content["name"],
        label=content.get("label") or content["name"],
        description=_line(content.get("description")),
        table=f"{relation['schema_name']}.{relation['alias']}",
        primary_entity=primary,
        groupings=groupings,
        measures={measure["name"]: _measure(measure, default_time) for measure in content["measures"]},
        docs=_meta(content).get("docs", ""),
    )


def _grouping(content: Mapping[str, Any], primary: str | None, *, is_entity: bool) -> Grouping:
    name = content["name"]
    is_time = content["type"] == "time"
    return Grouping(
        name=name,
        label=content.get("label") or name,
        description=_line(content.get("description")),
        sql=content.get("expr") or name,
        is_time=is_time,
        is_entity=is_entity,
        grain=content["type_params"]["time_granularity"] if is_time else None,
        full_name=name if is_entity or primary is None else f"{primary}__{name}",
    )


def _measure(content: Mapping[str, Any], default_time: str | None) -> Measure:
    parameters = content.get("agg_params") or {}
    window = content.get("non_additive_dimension")
    return Measure(
        name=content["name"],
        aggregation=content["agg"],
        sql=content.get("expr") or content["name"],
        percentile=parameters.get("percentile"),
        is_discrete=bool(parameters.get("use_discrete_percentile")),
        time=str(content.get("agg_time_dimension") or default_time),
        last_value=LastValue(
            window["name"], window["window_choice"] == "max", tuple(window.get("window_groupings") or ())
        )
        if window
        else None,
        needs=_meta(content).get("needs") or {},
    )


def _metric(content: Mapping[str, Any]) -> Metric:
    given = content["type_params"]
    measure = given.get("measure") or {}
    inputs = tuple(_input(one) for one in given.get("metrics") or ())
    meta = _meta(content)
    kind = content["type"]
    return Metric(
        name=content["name"],
        label=content.get("label") or content["name"],
        description=_line(content.get("description")),
        kind=kind,
        unit=meta.get("unit", "number"),
        docs=meta.get("docs", ""),
        filters=_unique((*_filters(content), *_filters(measure))),
        measure=measure.get("name") if kind == "simple" else None,
        fill=measure.get("fill_nulls_with"),
        numerator=_input(given["numerator"]) if kind == "ratio" else None,
        denominator=_input(given["denominator"]) if kind == "ratio" else None,
        expression=_line(given.get("expr")),
        inputs=inputs if kind == "derived" else (),
        unsupported=_unsupported(kind, measure, given),
    )


def _unsupported(kind: str, measure: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    if kind not in ("simple", "ratio", "derived"):
        return f"is of type {kind}"
    if measure.get("join_to_timespine"):
        return "is filled up along the days (join_to_timespine)"
    inputs = [given.get("numerator"), given.get("denominator"), *(given.get("metrics") or ())]
    if any(one and (one.get("offset_window") or one.get("offset_to_grain")) for one in inputs):
        return "reads another period (offset)"
    return ""


def _input(content: Mapping[str, Any]) -> Input:
    return Input(content["name"], content.get("alias") or content["name"], _filters(content))


def _filters(content: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(_line(one["where_sql_template"]) for one in (content.get("filter") or {}).get("where_filters") or ())


def _meta(content: Mapping[str, Any]) -> dict[str, Any]:
    return (content.get("config") or {}).get("meta") or {}


def _line(text: str | None) -> str:
    return " ".join((text or "").split())


# --- conditions as they are written in YAML --------------------------------------------------------------------------

_REFERENCE = re.compile(r"\{\{\s*(Dimension|TimeDimension|Entity)\s*\((.*?)\)\s*\}\}", re.DOTALL)
_EQUALS = re.compile(r"\{\{\s*(?:Dimension|Entity)\s*\(\s*['\"](\w+)['\"]\s*\)\s*\}\}\s*=\s*('[^']*'|[\w.]+)")


@dataclass(frozen=True)
class Reference:
    """What a condition names: ``{{ Dimension('cohort__month_number') }}``."""

    text: str
    name: str
    grain: str | None


def references(condition: str) -> Iterator[Reference]:
    """Everything that a condition names. Raises LifecycleError when it holds Jinja of another kind."""
    for match in _REFERENCE.finditer(condition):
        arguments = ast.literal_eval(f"({match[2]},)")
        yield Reference(match[0], str(arguments[0]), str(arguments[1]) if len(arguments) > 1 else None)
    if "{{" in _REFERENCE.sub("", condition) or "{%" in condition:
        raise LifecycleError(
            "only Dimension(...), TimeDimension(...) and Entity(...) can be used in a metric's condition",
            where=condition,
            remedy="Change the `filter:` in models/marts/metrics/_semantic_*.yml.",
        )


def fixed_by(condition: str) -> set[str]:
    """Names that a condition holds to one value; an ``or`` or ``not`` makes that unsure, and holds none."""
    if re.search(r"\b(or|not)\b", re.sub(r"'[^']*'", "", condition), re.IGNORECASE):
        return set()
    return {match[1].rsplit("__", maxsplit=1)[-1] for match in _EQUALS.finditer(condition)}


def in_words(condition: str) -> str:
    """A condition as a person reads it: ``month_number = 1``."""
    for reference in references(condition):
        condition = condition.replace(reference.text, reference.name.rsplit("__", maxsplit=1)[-1])
    return condition
