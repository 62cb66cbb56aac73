"""A metric in words: how it is computed, what it can be taken apart by, where it is explained.

Belongs here: sentences about definitions.
Does not belong here: the definitions (``definitions.py``), and how a terminal shows the sentences (``cli.py``).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from lifecycle.metrics.definitions import METRIC_TIME, Definitions, Leaf, Measure, Metric, fixed_by, in_words
from lifecycle.metrics.spans import spans

_AGGREGATIONS = {
    "sum": "sum of {}",
    "sum_boolean": "rows in which {}",
    "count": "rows with {}",
    "count_distinct": "different {}",
    "average": "mean of {}",
    "min": "least {}",
    "max": "greatest {}",
    "median": "median of {}",
}

UNITS_IN_WORDS = {
    "count": "a count",
    "money": "money, in the reporting currency",
    "rate": "a rate from 0 to 1, shown as a percentage",
    "number": "a number",
    "days": "days of 24 hours",
    "hours": "hours",
    "minutes": "minutes",
    "points": "points",
    "ratio": "how many times",
    "index": "an index from 0 to 100",
}


def listed(definitions: Definitions, search: str | None) -> list[tuple[str, str, str, str, str]]:
    """Name, label, unit, finest span and mart of the metrics that speak of a word, those of one mart together."""
    wanted = (search or "").lower()
    found = []
    for metric in definitions.metrics.values():
        tables = [] if metric.unsupported else [table.removeprefix("marts.") for table in marts(definitions, metric)]
        grain = "" if metric.unsupported else definitions.grain_of(metric.name)
        text = " ".join([metric.name, metric.label, metric.description, *tables]).lower()
        if wanted in text or wanted.replace(" ", "_") in text:
            found.append((metric.name, metric.label, metric.unit, grain, ", ".join(tables)))
    return sorted(found, key=lambda row: (row[-1], row[0]))


def commands(definitions: Definitions, metric: Metric, config: Path | None) -> list[tuple[str, str]]:
    """What to type for the figures of a metric, here and in MetricFlow."""
    asked_of = f" --config {shlex.quote(str(config))}" if config is not None else ""
    if metric.unsupported:
        return [("in MetricFlow", f"mf query --metrics {metric.name}")]
    grain = "month" if "month" in spans(definitions.grain_of(metric.name)) else definitions.grain_of(metric.name)
    needs = sorted({need for leaf in definitions.leaves(metric.name) for need in _open_needs(definitions, leaf)})
    by = " ".join(f"--by {name}" for name in [f"{METRIC_TIME}:{grain}", *needs])
    full_names = [definitions.groupings_of(metric.name)[need].full_name for need in needs]
    groups = ",".join([f"{METRIC_TIME}__{grain}", *full_names])
    return [
        ("figures", f"lifecycle metrics query {metric.name} {by}{asked_of}"),
        ("in MetricFlow", f"mf query --metrics {metric.name} --group-by {groups}"),
    ]


def _open_needs(definitions: Definitions, leaf: Leaf) -> set[str]:
    """What a measure has to be taken apart by and no condition of its metric holds to one value."""
    held = {name for text in leaf.filters for name in fixed_by(text)}
    return set(_measure(definitions, leaf).needs) - held - {METRIC_TIME}


def told(definitions: Definitions, metric: Metric) -> list[tuple[str, str]]:
    """Everything about a metric, as labels and texts."""
    rows = [("what", metric.description or metric.label), ("formula", formula(definitions, metric))]
    if metric.numerator is not None and metric.denominator is not None:
        rows += [
            ("numerator", _part(definitions, metric.numerator.metric)),
            ("denominator", f"{_part(definitions, metric.denominator.metric)}; where it is 0 there is no figure"),
        ]
    rows += [("input", _part(definitions, part.metric)) for part in metric.inputs]
    rows += [("where", in_words(text)) for text in metric.filters]
    if metric.unsupported:
        rows.append(("computed by", f"MetricFlow alone: it {metric.unsupported}"))
    else:
        rows.append(("adds up", "; ".join(additivity(definitions, metric))))
        times = dict.fromkeys(_time(definitions, leaf) for leaf in definitions.leaves(metric.name))
        grains = spans(definitions.grain_of(metric.name))
        rows.append((f"by {METRIC_TIME}", f"{', '.join(grains)}: {'; '.join(times)}"))
        rows += [
            (f"by {grouping.name}", grouping.description or grouping.label)
            for grouping in definitions.groupings_of(metric.name).values()
        ]
    rows += [
        ("unit", UNITS_IN_WORDS.get(metric.unit, metric.unit)),
        ("from", ", ".join(marts(definitions, metric))),
        ("explained in", metric.docs or "nowhere yet"),
    ]
    return rows


def marts(definitions: Definitions, metric: Metric) -> tuple[str, ...]:
    """The tables that a metric is read from."""
    return tuple(dict.fromkeys(model.table for model in definitions.models_of(metric.name)))


def formula(definitions: Definitions, metric: Metric) -> str:
    """How a metric is computed, in a line."""
    if metric.measure is not None:
        model = definitions.model_of(metric.measure)
        return f"{aggregation(model.measures[metric.measure])}, of {model.table}"
    if metric.numerator is not None and metric.denominator is not None:
        return f"{metric.numerator.metric} ÷ {metric.denominator.metric}, each added up first"
    return metric.expression or metric.kind


def aggregation(measure: Measure) -> str:
    """What is done to a mart's rows."""
    if measure.aggregation == "percentile":
        return f"{measure.percentile or 0.5:.0%} percentile of {measure.sql}"
    if measure.aggregation == "sum" and measure.sql == "1":
        return "rows"
    return _AGGREGATIONS[measure.aggregation].format(measure.sql)


def _part(definitions: Definitions, name: str) -> str:
    metric = definitions.metric(name)
    where = f", where {' and '.join(in_words(text) for text in metric.filters)}" if metric.filters else ""
    return f"{name} ({formula(definitions, metric)}{where})"


def additivity(definitions: Definitions, metric: Metric) -> Iterator[str]:
    """Over what a metric can be added up, and over what it cannot."""
    leaves = definitions.leaves(metric.name)
    found = dict.fromkeys(_said(_measure(definitions, leaf)) for leaf in leaves)
    yield from (said for said in found if said)
    needs = {
        need: reason
        for leaf in leaves
        for need, reason in _measure(definitions, leaf).needs.items()
        if need == METRIC_TIME or need in _open_needs(definitions, leaf)
    }
    for need, reason in needs.items():
        over = f"{definitions.grain_of(metric.name)}s" if need == METRIC_TIME else need
        yield f"not over {over}: {reason}"
    if not needs and set(found) == {""}:
        yield (
            "over time and every dimension" if len(metric.parts) == 0 else "its parts do, over time and every dimension"
        )


def _time(definitions: Definitions, leaf: Leaf) -> str:
    time = definitions.time_of(leaf)
    return (time.description or time.label).rstrip(".").lower()


def _measure(definitions: Definitions, leaf: Leaf) -> Measure:
    return definitions.models[leaf.model].measures[leaf.measure]


def _said(measure: Measure) -> str:
    if measure.last_value is not None and METRIC_TIME not in measure.needs:
        return f"not over time: of a period its {'last' if measure.last_value.is_last else 'first'} day counts"
    if measure.aggregation in ("count_distinct", "average", "min", "max", "median", "percentile"):
        return "not at all: it is computed anew for whatever is asked"
    return ""
