"""The order of the layers and the borders between the packages, as laws without exceptions."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import pytest
import sqlglot
import yaml
from sqlglot import exp

from tests.lint.rendering import PROJECT_DIR, Project

PACKAGE = PROJECT_DIR / "lifecycle"
MODELS = PROJECT_DIR / "models"

# --- the layers of the models ----------------------------------------------------------------------------------------

MAY_READ = {
    "staging": set[str](),
    "intermediate": {"staging", "intermediate", "seed"},
    "identity": {"intermediate", "identity", "seed"},
    "marts": {"intermediate", "identity", "marts", "seed"},
    # A segment has a history of its own, made of the same facts as the stages.
    "segments": {"intermediate", "marts", "segments", "seed"},
    "journeys": {"marts", "segments", "journeys", "seed"},
}
"""Folder → the folders whose models it may read."""

MAY_READ_SOURCES = {
    "staging": {"raw", "ops"},
    # Identity is resolved in Python, between the identifiers (intermediate) and everything that is per customer; the
    # chain of touches is solved there, between the transitions (intermediate) and the credits (intermediate).
    "intermediate": {"identity", "attribution"},
    "identity": {"identity"},
}
"""Folder → the sources it may read: what intake loads, and the tables that Python writes in between."""


def breaches(models: dict[str, tuple[str, list[tuple[str, ...]]]], seeds: set[str]) -> list[str]:
    """Model → (folder, what it reads) gives every reading that the law does not allow."""
    found = []
    for name, (folder, reads) in models.items():
        for read in reads:
            if len(read) == 2:
                allowed = read[0] in MAY_READ_SOURCES.get(folder, set())
                parent = f"source {read[0]}"
            else:
                parent = "seed" if read[0] in seeds else models.get(read[0], ("nothing known",))[0]
                allowed = parent in MAY_READ.get(folder, set())
            if not allowed:
                found.append(f"{folder}.{name} reads {'.'.join(read)} ({parent})")
    return found


def project_models() -> dict[str, tuple[str, list[tuple[str, ...]]]]:
    project = Project()
    return {
        path.stem: (path.relative_to(MODELS).parts[0], project.reads(path.read_text(encoding="utf-8")))
        for path in sorted(MODELS.rglob("*.sql"))
    }


def test_a_model_reads_only_what_lies_before_it() -> None:
    models = project_models()
    seeds = {path.stem for path in (PROJECT_DIR / "seeds").glob("*.csv")}
    assert models
    assert {folder for folder, _ in models.values()} <= set(MAY_READ)
    assert breaches(models, seeds) == []


def test_the_law_of_layers_sees_each_kind_of_breach() -> None:
    models: dict[str, tuple[str, list[tuple[str, ...]]]] = {
        "stg_orders": ("staging", [("raw", "orders")]),
        "stg_twice": ("staging", [("stg_orders",)]),
        "int_orders": ("intermediate", [("stg_orders",), ("order_statuses",), ("identity", "record_links")]),
        "int_raw": ("intermediate", [("raw", "orders")]),
        "int_removal_effects": ("intermediate", [("attribution", "removal_effects")]),
        "attribution_effects": ("marts", [("int_removal_effects",), ("attribution", "removal_effects")]),
        "customer_360": ("marts", [("int_orders",), ("stg_orders",), ("identity", "record_links")]),
        "seg_lapsed": ("segments", [("customer_360",), ("stg_orders",), ("not_there",)]),
    }
    assert breaches(models, {"order_statuses"}) == [
        "staging.stg_twice reads stg_orders (staging)",
        "intermediate.int_raw reads raw.orders (source raw)",
        "marts.attribution_effects reads attribution.removal_effects (source attribution)",
        "marts.customer_360 reads stg_orders (staging)",
        "marts.customer_360 reads identity.record_links (source identity)",
        "segments.seg_lapsed reads stg_orders (staging)",
        "segments.seg_lapsed reads not_there (nothing known)",
    ]


def test_a_staging_model_cleans_one_source_and_joins_nothing() -> None:
    project = Project()
    paths = sorted((MODELS / "staging").rglob("*.sql"))
    assert paths
    for path in paths:
        text = path.read_text(encoding="utf-8")
        assert len(project.reads(text)) == 1, path.name
        assert sqlglot.parse_one(project.render(text), dialect="duckdb").find(exp.Join) is None, path.name


def test_dbt_finds_models_and_seeds_by_exactly_one_step_up() -> None:
    content = yaml.safe_load((PROJECT_DIR / "dbt_project" / "dbt_project.yml").read_text(encoding="utf-8"))
    assert content["model-paths"] == ["../models"]
    assert content["seed-paths"] == ["../seeds"]


# --- the borders of the package --------------------------------------------------------------------------------------

HEAVY = {
    "great_expectations", "dagster", "dlt", "scipy", "sklearn", "pandas", "duckdb", "duckdb_engine", "pyarrow", "numpy",
    "dbt", "sqlalchemy", "sqlglot",
}  # fmt: skip
"""What takes long to import: only inside the function that needs it."""


def imported(tree: ast.AST) -> Iterator[str]:
    """Every top package that code imports, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").partition(".")[0]


def imported_at_load(tree: ast.AST) -> Iterator[str]:
    """Every top package that is imported when the module itself is, type checking left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield from imported_at_load(ast.Module([other], []))
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from imported(ast.Module([node], []))
        yield from imported_at_load(node)


def reads_environment(tree: ast.AST) -> bool:
    names = {"environ", "environb", "getenv", "getenvb", "putenv"}
    return any(
        (isinstance(node, ast.Attribute) and node.attr in names)
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "os"
            and any(alias.name in names for alias in node.names)
        )
        for node in ast.walk(tree)
    )


def opens_duckdb(tree: ast.AST) -> bool:
    return any(
        (isinstance(node, ast.Attribute) and node.attr == "connect" and ast.unparse(node.value) == "duckdb")
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "duckdb"
            and any(alias.name == "connect" for alias in node.names)
        )
        for node in ast.walk(tree)
    )


def modules_where(holds: Callable[[ast.AST], bool]) -> list[str]:
    return [
        str(path.relative_to(PROJECT_DIR))
        for path in sorted(PACKAGE.rglob("*.py"))
        if holds(ast.parse(path.read_text(encoding="utf-8")))
    ]


def test_the_package_never_imports_dagster() -> None:
    assert modules_where(lambda tree: any(name.startswith("dagster") for name in imported(tree))) == []


def test_one_module_reads_the_environment() -> None:
    assert modules_where(reads_environment) == ["lifecycle/settings.py"]


def test_one_module_opens_duckdb() -> None:
    assert modules_where(opens_duckdb) == ["lifecycle/warehouse.py"]


def test_heavy_modules_are_imported_by_the_functions_that_need_them() -> None:
    assert modules_where(lambda tree: bool(HEAVY & set(imported_at_load(tree)))) == []


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import pandas as pd", {"pandas"}),
        ("from dbt.cli.main import dbtRunner", {"dbt"}),
        ("try:\n    import numpy\nexcept ImportError:\n    numpy = None", {"numpy"}),
        ("class A:\n    import scipy.stats", {"scipy"}),
        ("def f():\n    import pandas", set()),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import duckdb", {"typing"}),
        ("from .dbt import nothing", set()),
    ],
)
def test_imports_at_load_are_told_from_later_ones(code: str, expected: set[str]) -> None:
    assert set(imported_at_load(ast.parse(code))) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import os\nos.environ['A']", True),
        ("import os\nos.getenv('A')", True),
        ("from os import environ", True),
        ("import os\nos.getpid()", False),
        ("environ = {}", False),
    ],
)
def test_reading_the_environment_is_recognised(code: str, expected: bool) -> None:
    assert reads_environment(ast.parse(code)) is expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import duckdb\nduckdb.connect('a')", True),
        ("from duckdb import connect", True),
        ("server.connect('a')", False),
    ],
)
def test_opening_duckdb_is_recognised(code: str, expected: bool) -> None:
    assert opens_duckdb(ast.parse(code)) is expected


# --- the command line answers at once --------------------------------------------------------------------------------


def test_help_answers_in_under_a_second() -> None:
    # Half a second is the aim; the bound is twice that, because a busy machine is no defect.
    command = [str(Path(sys.executable).with_name("lifecycle")), "--help"]
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds.append(time.perf_counter() - started)
        assert "run" in answer.stdout
    assert median(seconds) < 1.0


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from lifecycle.cli import main; sys.argv = ['lifecycle', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print('loaded:', sorted(set({sorted(HEAVY)!r}) & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "loaded: []"
