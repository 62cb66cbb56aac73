"""What can be published to: the kinds of destinations, the settings they take, and those of a company.

Belongs here: describing and checking destinations, for a person.
Does not belong here: sending anything.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import dedent
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticUndefined

from lifecycle.errors import LifecycleError
from lifecycle.publishing.destinations import Health, class_of, keeps_members, kinds, make

if TYPE_CHECKING:
    from rich.console import Console

    from lifecycle.publishing.destinations.members import Limit
    from lifecycle.settings import DestinationSettings, Part, Settings


@dataclass(frozen=True)
class Option:
    """One setting of a kind: ``default`` is None where it is required."""

    name: str
    type_name: str
    default: str | None
    meaning: str


@dataclass(frozen=True)
class Checked:
    """What a configured destination says of itself, and whether it can be worked with."""

    name: str
    kind: str
    health: Health


def options_of(kind: str) -> list[Option]:
    """The settings of a kind beside ``name`` and ``kind``, in the order in which the kind names them."""
    model: type[Part] = class_of(kind).Options
    meanings = _meanings(model)
    found = []
    for name, field in model.model_fields.items():
        is_required = field.is_required()
        default = None if is_required else field.default
        text = None if is_required else ("none" if default in (None, PydanticUndefined, [], ()) else str(default))
        found.append(Option(name, _type_name(field.annotation), text, meanings.get(name, "")))
    return found


def _type_name(annotation: Any) -> str:
    text = getattr(annotation, "__name__", None) if isinstance(annotation, type) else str(annotation)
    plain = {"str": "text", "int": "number", "float": "number", "bool": "true or false", "SecretStr": "secret"}
    words = re.findall(r"SecretStr|\bstr\b|\bint\b|\bfloat\b|\bbool\b|'[^']*'|\bNone\b", text or "")
    return " or ".join(dict.fromkeys(plain.get(word, word.strip("'")) for word in words if word != "None")) or "value"


def _meanings(model: type[Part]) -> dict[str, str]:
    """What stands in the text below each field of a model."""
    source = dedent(inspect.getsource(model))
    pairs = re.findall(r'^    (\w+): [^\n]*\n(?:[^\n"]*\n)*?    """(.*?)"""', source, re.MULTILINE | re.DOTALL)
    return {name: " ".join(text.split()) for name, text in pairs}


def check(settings: Settings, name: str | None = None) -> list[Checked]:
    """Ask the destinations of a company (or the one of a name) whether they can be worked with. Writes nothing."""
    known = [described.name for described in settings.destinations]
    if name is not None and name not in known:
        raise LifecycleError(
            f"there is no destination '{name}'",
            where=str(settings.config_file),
            remedy=f"There are: {', '.join(known) or 'none'}.",
        )
    return [_checked(described, settings) for described in settings.destinations if name in (None, described.name)]


def _checked(described: DestinationSettings, settings: Settings) -> Checked:
    try:
        health = make(described, settings).check()
    except LifecycleError as error:
        health = Health(False, error.problem, error.remedy)
    return Checked(described.name, described.kind, health)


def print_kinds(console: Console, settings: Settings | None) -> None:
    """All kinds, and which of them the company uses."""
    from rich.table import Table

    used: dict[str, list[str]] = {}
    for described in settings.destinations if settings else []:
        used.setdefault(described.kind, []).append(described.name)
    table = Table(box=None, pad_edge=False)
    for column in ("kind", "what it is", "is given", "used as"):
        table.add_column(column)
    for kind in kinds():
        found = class_of(kind)
        sort = "members, one by one" if hasattr(found, "encode") else "whole lists"
        table.add_row(kind, found.vendor, sort, ", ".join(used.get(kind, [])))
    console.print(table)
    console.print("settings of one: lifecycle destinations show KIND", highlight=False)


def print_kind(console: Console, kind: str) -> None:
    """One kind: its settings and limits."""
    from rich.table import Table

    if kind not in kinds():
        raise LifecycleError(f"there is no kind '{kind}'", remedy=f"There are: {', '.join(kinds())}.")
    found = class_of(kind)
    console.print(f"[bold]{found.vendor}[/bold] (kind: {kind}), docs/destinations/{kind}.md", highlight=False)
    table = Table(box=None, pad_edge=False)
    for column in ("setting", "type", "default", "meaning"):
        table.add_column(column)
    for option in options_of(kind):
        default = "required" if option.default is None else option.default
        table.add_row(option.name, option.type_name, default, option.meaning)
    console.print(table)
    limits = getattr(found, "limits", ())
    for line in _limits(limits if isinstance(limits, Sequence) else ()):
        console.print(line, highlight=False, soft_wrap=True)


def _limits(limits: Sequence[Limit]) -> list[str]:
    return [
        f"at most {limit.calls:,} calls in {limit.seconds:g} s"
        + (f", {limit.concurrency:,} at once" if limit.concurrency else "")
        + f": {limit.source} (read {limit.read_on})"
        for limit in limits
    ]


def print_destination(console: Console, settings: Settings, name: str) -> None:
    """One destination of the company: what it can do, as it is set."""
    described = settings.destination(name)
    destination = make(described, settings)
    print_kind(console, described.kind)
    can = destination.capabilities
    facts = {"identifiers": ", ".join(sorted(can.identifiers))}
    if keeps_members(destination):
        facts |= {
            "members in a call": f"{can.max_batch:,}" + (f", {can.max_bytes:,} bytes" if can.max_bytes else ""),
            "attributes": "kept" if can.updates else "not kept",
            "asked for the list": {"none": "tells nothing", "count": "tells how many", "full": "tells who"}[
                can.read_back
            ],
            "applied": "later, and asked for" if can.is_asynchronous else "at once",
            "written as": destination.encoder,
        }
    for what, text in facts.items():
        console.print(f"{what + ':':<20} {text}", highlight=False)


def print_checked(console: Console, found: Sequence[Checked]) -> bool:
    """What was found out; whether all is well."""
    for one in found:
        state = "[green]ready[/green]" if one.health.is_ready else "[red]not ready[/red]"
        console.print(f"{one.name} ({one.kind}): {state}", highlight=False)
        if not one.health.is_ready:
            console.print(f"  {one.health.problem}\n  {one.health.remedy}", highlight=False, markup=False)
    return all(one.health.is_ready for one in found)
