"""What sqlfluff needs to know of dbt in order to render a model: it looks at layout, so a plausible name will do.

Belongs here: stand-ins for dbt's functions. The project's own macros are read from ``dbt_project/macros``.
"""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Any

import yaml

_PROJECT_FILE = Path(__file__).resolve().parents[3] / "dbt_project" / "dbt_project.yml"


def env_var(_name: str, default: str = "") -> str:
    return default


def var(name: str, default: Any = "") -> Any:
    """A variable of dbt_project.yml: macros loop over them."""
    return (yaml.safe_load(_PROJECT_FILE.read_text(encoding="utf-8")).get("vars") or {}).get(name, default)


class adapter:  # noqa: N801 - dbt's name
    """dbt's adapter: a dispatched macro becomes a function call of the same name."""

    @staticmethod
    def dispatch(name: str, *_: str) -> Any:
        def call(*arguments: Any, **named: Any) -> str:
            texts = [", ".join(map(str, value)) if isinstance(value, list) else str(value) for value in arguments]
            return f"{name}({', '.join([*texts, *map(str, named.values())])})"

        return call


class modules:  # noqa: N801 - dbt's name
    """The parts of Python that dbt lends to Jinja."""

    re = re
    datetime = datetime


class exceptions:  # noqa: N801 - dbt's name
    """dbt's exceptions: a macro that refuses its arguments is an error of the lint as well."""

    @staticmethod
    def raise_compiler_error(text: str) -> None:
        raise ValueError(text)


execute = False
