"""Seeds are made anew with every build."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.dbt.project import DbtProject


def test_a_seed_that_an_older_version_left_behind_with_other_columns_is_replaced(
    project_at: Callable[[Path], DbtProject], tmp_path: Path
) -> None:
    project = project_at(tmp_path)
    with project.opened() as warehouse:
        warehouse.run("create schema seeds")
        warehouse.run("create table seeds.lifecycle_stages as select 'asleep' as stage, 1 as stage_rank")
    project.build(["lifecycle_stages"])
    with project.opened() as warehouse:
        assert warehouse.scalar("select count(*) from seeds.lifecycle_stages where stage_rank is not null") == 14
        assert warehouse.scalar("select setback_rank from seeds.lifecycle_stages where stage = 'churned'") == 3
