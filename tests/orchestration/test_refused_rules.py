"""Where wrong lifecycle rules stop a run: before anything is loaded, whoever starts it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lifecycle.errors import SettingsError
from orchestration import definitions, execution
from tests.orchestration.conftest import Shop


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise SettingsError("'x' is no stage", where="dbt_project/dbt_project.yml:39")

    for module in (execution, definitions):
        monkeypatch.setattr(module, "check_rules", refuse)


@pytest.mark.usefixtures("refusing")
def test_the_command_line_is_refused_before_a_state_is_made(make_shop: Callable[[], Shop]) -> None:
    settings = make_shop().settings()
    with pytest.raises(SettingsError, match="'x' is no stage"):
        execution.execute(settings)
    assert not settings.state.root.exists()


@pytest.mark.usefixtures("refusing")
def test_dagster_is_refused_where_it_reads_the_settings(
    make_shop: Callable[[], Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFECYCLE_CONFIG", str(make_shop().settings().config_file))
    with pytest.raises(SettingsError, match=r"dbt_project\.yml:39: 'x' is no stage"):
        definitions.defs()
