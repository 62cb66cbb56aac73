"""Conditions on dimensions, as somebody types them after ``--where``.

Belongs here: reading one, and saying what is wrong with a text that is none.
Does not belong here: SQL (``query.py``). A value is a value, whatever stands in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lifecycle.errors import LifecycleError


@dataclass(frozen=True)
class Condition:
    """``name operator values`` as somebody typed it."""

    text: str
    name: str
    operator: str
    values: tuple[str, ...]

    @property
    def holds_one(self) -> bool:
        return self.operator in ("=", "in") and len(self.values) == 1


_CONDITION = re.compile(
    r"\s*(?P<name>[A-Za-z]\w*)\s*(?P<operator>!=|<>|<=|>=|=|<|>|(?<!\w)(?:not\s+in|in|is\s+not|is)(?!\w))\s*(?P<rest>.*?)\s*",
    re.IGNORECASE | re.DOTALL,
)
_VALUE = re.compile(r"\s*(?:'((?:[^']|'')*)'|\"((?:[^\"]|\"\")*)\"|([^\s,()'\"=<>!]+))\s*")


def read_condition(text: str) -> Condition:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise _no_condition(text, "it is no condition")
    operator = " ".join(match["operator"].lower().split()).replace("<>", "!=")
    rest = match["rest"]
    if operator in ("is", "is not"):
        if rest.lower() != "null":
            raise _no_condition(text, f"after '{operator}' stands null")
        return Condition(text, match["name"].lower(), operator, ())
    is_list = operator in ("in", "not in")
    if is_list:
        if not (rest.startswith("(") and rest.endswith(")")):
            raise _no_condition(text, f"after '{operator}' stands a list in parentheses")
        rest = rest[1:-1]
    values = _values(text, rest)
    if not is_list and len(values) != 1:
        raise _no_condition(text, f"after '{operator}' stands one value")
    return Condition(text, match["name"].lower(), operator, values)


def _values(text: str, rest: str) -> tuple[str, ...]:
    values = []
    position = 0
    while True:
        match = _VALUE.match(rest, position)
        if match is None:
            raise _no_condition(text, "a value is missing" if position == len(rest) else "a value cannot be read")
        single, double, bare = match.groups()
        if single is not None:
            values.append(single.replace("''", "'"))
        elif double is not None:
            values.append(double.replace('""', '"'))
        else:
            values.append(bare)
        position = match.end()
        if position == len(rest):
            return tuple(values)
        if rest[position] != ",":
            raise _no_condition(text, "something follows the value; each --where takes one condition")
        position += 1


def _no_condition(text: str, why: str) -> LifecycleError:
    return LifecycleError(
        f"{why}: {text}",
        where="--where",
        remedy="Write it as: persona = student, persona != student, persona in (student, family), persona is null."
        " Quote a value with spaces: country = 'New Zealand'. Several --where must all hold.",
    )
