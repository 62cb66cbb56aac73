"""The page that says what is measured where names tables and columns that exist."""

from __future__ import annotations

import re

import yaml

from tests.lint.rendering import PROJECT_DIR

PAGE = (PROJECT_DIR / "docs" / "coverage.md").read_text(encoding="utf-8")


def described() -> dict[str, set[str]]:
    """``schema.table`` of every model with a contract → its columns."""
    found: dict[str, set[str]] = {}
    for folder in ("marts", "segments"):
        for path in (PROJECT_DIR / "models" / folder).rglob("*.yml"):
            for model in yaml.safe_load(path.read_text(encoding="utf-8")).get("models", []):
                found[f"{folder}.{model['name']}"] = {column["name"] for column in model.get("columns", [])}
    return found


def test_every_table_that_the_page_names_is_a_model_and_has_the_columns_it_names() -> None:
    tables = described()
    named = set(re.findall(r"`((?:marts|segments)\.\w+)`", PAGE))
    assert len(named) > 40
    assert named - tables.keys() == set()
    for table, columns in re.findall(r"`((?:marts|segments)\.\w+)` \(((?:`\w+`(?:, )?)+)\)", PAGE):
        assert set(re.findall(r"`(\w+)`", columns)) - tables[table] == set(), table


def test_every_measure_has_a_row_that_names_a_table_or_says_that_it_comes_later() -> None:
    rows = dict(re.findall(r"^\| (M\d+) \| [^|]+ \| ([^|]+) \|$", PAGE, re.MULTILINE))
    assert list(rows) == [f"M{number}" for number in range(1, 35)]
    assert [name for name, where in rows.items() if "`" not in where and "comes" not in where] == []
