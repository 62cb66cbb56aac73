"""Kinds of destinations as they are shown to people, and that each of them is described."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rich.console import Console

from lifecycle.errors import LifecycleError
from lifecycle.publishing import catalogue
from lifecycle.publishing.destinations import class_of, kinds
from lifecycle.settings import PROJECT_DIR, DestinationSettings, Settings, Source

DOCS = PROJECT_DIR / "docs"


def settings_with(folder: Path, *destinations: dict[str, object]) -> Settings:
    return Settings(
        project="small",
        sources=[Source(name="shop", table="contacts", path="none.csv")],
        destinations=[DestinationSettings.model_validate(one) for one in destinations],
        config_file=folder / "lifecycle.yml",
    )


def shown(print_it: object, *given: object, capsys: pytest.CaptureFixture[str]) -> str:
    print_it(Console(width=160), *given)  # type: ignore[operator]
    return capsys.readouterr().out


@pytest.mark.parametrize("kind", kinds())
def test_every_kind_has_a_name_a_page_and_a_meaning_for_each_setting(kind: str) -> None:
    found = class_of(kind)
    assert found.vendor
    page = (DOCS / "destinations" / f"{kind}.md").read_text(encoding="utf-8")
    options = catalogue.options_of(kind)
    assert options
    for option in options:
        assert option.meaning, f"{kind}.{option.name} says nothing"
        assert option.type_name != "value", f"{kind}.{option.name} has no type that is said"
        assert f"`{option.name}`" in page or f"{option.name}:" in page, f"{option.name} is not on its page"
    assert f"destinations/{kind}.md" in (DOCS / "destinations.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", kinds())
def test_secrets_of_a_kind_are_secrets(kind: str) -> None:
    for option in catalogue.options_of(kind):
        if re.search(r"password|token|secret|api_key|access_key$|private_key|credentials", option.name):
            assert "secret" in option.type_name or option.name.endswith(("_id", "_file")), f"{kind}.{option.name}"


def test_the_list_says_what_each_is_and_which_are_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = settings_with(tmp_path, {"name": "drop", "path": "out"})
    lines = shown(catalogue.print_kinds, settings, capsys=capsys).splitlines()
    files = next(line for line in lines if line.startswith("files"))
    assert files.split() == ["files", "Files", "in", "a", "folder", "whole", "lists", "drop"]
    assert any(re.search(r"klaviyo +Klaviyo +members, one by one", line) for line in lines)


def test_a_kind_is_shown_with_settings_and_limits(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(catalogue.print_kind, "klaviyo", capsys=capsys)
    assert re.search(r"api_key +secret +required", out)
    assert "at most 10 calls in 1 s" in out and "(read 2026-" in out
    with pytest.raises(LifecycleError, match=r"there is no kind 'klavio'\n  There are: braze, "):
        shown(catalogue.print_kind, "klavio", capsys=capsys)


def test_a_destination_of_the_company_is_shown_as_it_is_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = settings_with(tmp_path, {"name": "news", "kind": "mailman", "password": "hush-hush"})
    out = shown(catalogue.print_destination, settings, "news", capsys=capsys)
    assert re.search(r"members in a call: +50", out) and re.search(r"written as: +mailman.v1", out)
    assert "hush-hush" not in out


def test_what_is_not_ready_is_said_with_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a_file").write_text("")
    settings = settings_with(
        tmp_path,
        {"name": "good", "path": "out"},
        {"name": "bad", "path": "a_file"},
        {"name": "open", "kind": "mailman", "password": "hush-hush", "url": "http://lists.example.com"},
    )
    found = catalogue.check(settings)
    assert [one.health.is_ready for one in found] == [True, False, False]
    out = shown(catalogue.print_checked, found, capsys=capsys)
    assert "good (files): ready" in out and "bad (files): not ready" in out
    assert "credentials are not sent over an open line" in out and "https://" in out
    assert "hush-hush" not in out
    assert not (tmp_path / "out").exists()
    assert catalogue.print_checked(Console(), catalogue.check(settings, "good"))
    with pytest.raises(LifecycleError, match=r"there is no destination 'nobody'\n  There are: good, bad, open"):
        catalogue.check(settings, "nobody")
