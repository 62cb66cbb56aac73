"""The stories in the unit tests of the models hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.dbt.project import DbtProject


def test_every_story_told_in_the_unit_tests_of_the_models_holds(
    project_at: Callable[[Path], DbtProject], tmp_path: Path
) -> None:
    project = project_at(tmp_path)
    # dbt reads the columns of what a model reads from the warehouse: the relations have to be there, rows need not.
    project.build([], "--empty")
    results = project.invoke("test", "--select", "test_type:unit")
    untrue = [f"{story.name}: {story.message}" for story in results if story.status != "pass"]
    assert not untrue, "\n\n".join(untrue)
    assert len(results) > 80
