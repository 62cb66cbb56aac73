"""dbt in process on a warehouse of its own, from one parsed project per session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lifecycle.dbt import parsed_manifest
from tests.dbt.project import DbtProject, empty_warehouse


@pytest.fixture(scope="session")
def project_at() -> Callable[[Path], DbtProject]:
    """A warehouse file with every table that dbt reads, empty, and dbt to run on it."""

    def make(folder: Path) -> DbtProject:
        project = DbtProject(parsed_manifest(), folder)
        empty_warehouse(project.warehouse)
        return project

    return make
