"""Turns dbt's Jinja into plain SQL without dbt, so that a lint can read what an engine would read.

Macros of the project are expanded, those in ``macros/engine/`` are not: they hold what differs between engines, so a
call of one becomes an opaque function call ``engine_<name>(...)``. ``ref`` and ``source`` become table names, ``var``
and ``env_var`` give the project's own defaults.

Belongs here: rendering. Does not belong here: what the SQL may say.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2
import sqlglot
import sqlglot.errors
import yaml

PROJECT_DIR = Path(__file__).resolve().parents[2]

_BLOCK = re.compile(
    r"\{%-?\s*(?P<kind>macro|test)\s+(?P<name>\w+)\s*\((?P<parameters>.*?)\)\s*-?%\}(?P<body>.*?)\{%-?\s*end(?P=kind)\s*-?%\}",
    re.DOTALL,
)


class _Returned(Exception):  # noqa: N818 - dbt's return() leaves a macro, it is no error
    def __init__(self, value: Any) -> None:
        self.value = value


class _Relation(str):
    """A table name that can be asked for its parts, as dbt's relations can."""

    schema: str
    identifier: str

    @classmethod
    def of(cls, schema: str, identifier: str) -> _Relation:
        relation = cls(f"{schema}.{identifier}" if schema else identifier)
        relation.schema, relation.identifier = schema, identifier
        return relation


class Project:
    """The dbt project in ``folder``: its macros and variables, ready to render models with."""

    def __init__(self, folder: Path = PROJECT_DIR / "dbt_project") -> None:
        self.folder = folder
        self._read: list[tuple[str, ...]] = []
        self.environment = jinja2.Environment(  # noqa: S701 - the output is SQL, not HTML
            extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"], undefined=jinja2.StrictUndefined
        )
        self.environment.globals.update(
            ref=self._ref,
            source=self._source,
            config=_Config(),
            var=self._var,
            env_var=lambda _name, default="": default,
            is_incremental=lambda: False,
            this=_Relation.of("this_schema", "this_model"),
            target=SimpleNamespace(name="duckdb", type="duckdb", schema="main", database="warehouse"),
            adapter=SimpleNamespace(dispatch=lambda name, *_: self._dispatched(name)),
            execute=False,
            exceptions=SimpleNamespace(raise_compiler_error=_refuse, warn=lambda _text: ""),
            modules=SimpleNamespace(re=re, datetime=datetime),
            tojson=_json,
            **{"return": _return},
        )
        for path in self.macro_files:
            is_engine = "engine" in path.relative_to(self.folder / "macros").parts
            for name, source in blocks(path.read_text(encoding="utf-8")):
                self.environment.globals[name] = _opaque(name) if is_engine else self._macro(name, source)

    @cached_property
    def macro_files(self) -> list[Path]:
        return sorted((self.folder / "macros").rglob("*.sql"))

    @cached_property
    def variables(self) -> dict[str, Any]:
        path = self.folder / "dbt_project.yml"
        content = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
        found: dict[str, Any] = content.get("vars") or {}
        return found

    def render(self, text: str) -> str:
        """A model or a singular test as SQL. Raises jinja2.TemplateError when it cannot be rendered."""
        return self.environment.from_string(text).render()

    def render_macro(self, name: str) -> str:
        """What a macro makes of its own parameters' names; nothing when it returns data, not SQL."""
        macro: Any = self.environment.globals[name]
        made = macro(*macro.parameters)
        return made if isinstance(made, str) else ""

    def reads(self, text: str) -> list[tuple[str, ...]]:
        """What a model reads, also by way of macros: (model or seed,) or (source, table) each."""
        self._read = []
        self.render(text)
        return self._read

    def _ref(self, *names: str, **_: Any) -> _Relation:
        self._read.append((names[-1],))
        return _Relation.of("", names[-1])

    def _source(self, source: str, table: str) -> _Relation:
        self._read.append((source, table))
        return _Relation.of(source, table)

    def _macro(self, name: str, source: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            try:
                module = self.environment.from_string(source).make_module()
                return getattr(module, name)(*arguments, **named)
            except _Returned as returned:
                return returned.value

        call.parameters = _parameters(source)  # type: ignore[attr-defined]
        return call

    def _var(self, name: str, default: Any = "") -> Any:
        return self.variables.get(name, default)

    def _dispatched(self, name: str) -> Callable[..., Any]:
        """A macro that is dispatched outside ``macros/engine/`` still has one text per engine."""
        return _opaque(name)


class _Config:
    def __call__(self, *_: Any, **__: Any) -> str:
        return ""

    def get(self, _name: str, default: Any = "", **_: Any) -> Any:
        return default


def blocks(text: str) -> list[tuple[str, str]]:
    """(name, source of a macro) of every macro and generic test in a file."""
    text = without_jinja_comments(text)
    return [
        (
            match["name"] if match["kind"] == "macro" else f"test_{match['name']}",
            f"{{% macro {'test_' if match['kind'] == 'test' else ''}{match['name']}({match['parameters']}) %}}"
            f"{match['body']}{{% endmacro %}}",
        )
        for match in _BLOCK.finditer(text)
    ]


def without_jinja_comments(text: str) -> str:
    return re.sub(r"\{#.*?#\}", "", text, flags=re.DOTALL)


def without_jinja(text: str) -> str:
    """The SQL between the Jinja: expressions become a name, statements vanish. Enough for rules on single words."""
    text = without_jinja_comments(text)
    text = re.sub(r"\{\{.*?\}\}", " jinja_value ", text, flags=re.DOTALL)
    return re.sub(r"\{%.*?%\}", " ", text, flags=re.DOTALL)


def _parameters(source: str) -> list[str]:
    match = _BLOCK.search(source)
    names = [part.partition("=")[0].strip() for part in (match["parameters"] if match else "").split(",")]
    return [name for name in names if name]


def _opaque(name: str) -> Callable[..., str]:
    def call(*arguments: Any, **named: Any) -> str:
        return f"engine_{name}({', '.join(_argument(value) for value in (*arguments, *named.values()))})"

    call.parameters = []  # type: ignore[attr-defined]
    return call


def _argument(value: Any) -> str:
    """An argument as SQL: as it is when it is an expression, else as a text (a format, a JSON path)."""
    if isinstance(value, (list, tuple)):
        return ", ".join(_argument(part) for part in value) or "null"
    text = str(value).strip()
    try:
        sqlglot.parse_one(f"select {text}", dialect="duckdb")
    except sqlglot.errors.SqlglotError:
        return "'" + text.replace("'", "''") + "'"
    return text or "null"


def _json(value: Any, *_: Any, **__: Any) -> str:
    return json.dumps(value)


def _refuse(text: str) -> None:
    raise jinja2.TemplateRuntimeError(text)


def _return(value: Any = "") -> None:
    raise _Returned(value)
