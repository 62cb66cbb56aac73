"""What a person reads who made a mistake in ``lifecycle.yml``, and what the settings mean."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from lifecycle.errors import EXIT_ERROR, SettingsError
from lifecycle.settings import (
    PROJECT_DIR,
    Environment,
    LifecycleThresholds,
    Part,
    Settings,
    load_settings,
)

SMALLEST = """\
project: corner_shop
sources:
  - {name: shop, table: orders, path: orders.csv}
"""


SURVIVING = SMALLEST.replace("table: orders", "table: contacts") + "identity:\n  survivorship:\n    fields:\n"


def load(folder: Path, text: str) -> Settings:
    file = folder / "lifecycle.yml"
    file.write_text(text, encoding="utf-8")
    return load_settings(file)


def complaint(folder: Path, text: str) -> str:
    with pytest.raises(SettingsError) as raised:
        load(folder, text)
    assert raised.value.exit_code == EXIT_ERROR
    return str(raised.value)


def test_two_keys_are_a_complete_company(tmp_path: Path) -> None:
    settings = load(tmp_path, SMALLEST)
    assert (settings.project, settings.timezone, settings.currency, settings.as_of) == (
        "corner_shop",
        "UTC",
        "USD",
        "latest",
    )
    assert settings.sources[0].namespace == "shop"
    assert settings.state.root == (tmp_path / ".lifecycle").resolve()


@pytest.mark.parametrize(
    "file", sorted((PROJECT_DIR / "examples").glob("*/lifecycle.yml")), ids=lambda f: f.parent.name
)
def test_the_examples_are_valid(file: Path) -> None:
    assert load_settings(file).folder == file.parent


MISTAKES = {
    "an unknown key has its likely meaning and its line": (
        SMALLEST + "curency: USD\n",
        4,
        ["unknown setting 'curency', did you mean 'currency'?", "Known here:"],
    ),
    "an unknown key deep inside has its likely meaning and its line": (
        "project: p\nsources:\n  - name: shop\n    table: orders\n    path: o.csv\n    time_zone: UTC\n",
        6,
        ["sources.0.time_zone", "did you mean 'timezone'?"],
    ),
    "an unknown key in a group has its line": (
        SMALLEST + "quality:\n  max_quarantine: 0.1\n",
        5,
        ["quality.max_quarantine", "did you mean 'max_quarantine_rate'?"],
    ),
    "an unknown threshold has its line": (
        SMALLEST + "lifecycle:\n  loyalty:\n    min_order: 4\n",
        6,
        ["lifecycle.loyalty.min_order", "did you mean 'min_orders'?"],
    ),
    "a missing key is named": ("sources:\n  - {name: shop, table: orders, path: o.csv}\n", 1, ["'project' is missing"]),
    "a missing key of a source has the source's line": (
        "project: p\nsources:\n  - {name: a, table: orders, path: o.csv}\n  - {name: b, table: orders}\n",
        4,
        ["sources.1.path", "'path' is missing"],
    ),
    "a company without sources is none": ("project: p\nsources: []\n", 2, ["sources", "at least 1"]),
    "a time zone is one of the list": (
        SMALLEST + "timezone: America/New_Yrok\n",
        4,
        ["unknown time zone 'America/New_Yrok', did you mean 'America/New_York'?"],
    ),
    "a currency is a code": (SMALLEST + "currency: dollars\n", 4, ["'dollars' is no currency code"]),
    "a name is plain": (SMALLEST.replace("corner_shop", "Corner-Shop"), 1, ["'Corner-Shop' must be lower-case"]),
    "a name is no path": (SMALLEST.replace("name: shop", "name: ../shop"), 3, ["'../shop' must be lower-case"]),
    "a name is no SQL": (SMALLEST.replace("name: shop", 'name: "x\'; drop"'), 3, ["must be lower-case"]),
    "a day exists": (SMALLEST + "as_of: 2017-02-30\n", 4, ["'2017-02-30' is none of: latest, today, a day"]),
    "a day is one of three things": (SMALLEST + "as_of: yesterday\n", 4, ["'yesterday' is none of"]),
    "an amount of memory has a unit": (SMALLEST + "warehouse: {memory_limit: 4}\n", 4, ["warehouse.memory_limit"]),
    "a share is not a percentage": (SMALLEST + "quality: {max_quarantine_rate: 5}\n", 4, ["less than or equal to 1"]),
    "the volume band goes from below one to above": (
        SMALLEST + "quality: {volume_band: [2, 10]}\n",
        4,
        ["volume_band"],
    ),
    "a threshold is finite": (SMALLEST + "lifecycle: {due_factor: .inf}\n", 4, ["due_factor", "finite"]),
    "a clock's smallest value is below its largest": (
        SMALLEST + "lifecycle: {due_min_days: 500}\n",
        4,
        ["due_min_days (500) is above due_max_days (400)"],
    ),
    "a table is one of the contract": (
        SMALLEST.replace("table: orders", "table: order"),
        3,
        ["'order' is no table of the input contract, did you mean 'orders'?", "Known: campaigns"],
    ),
    "a mapped column is one of its table": (
        "project: p\nsources:\n  - name: shop\n    table: orders\n    path: o.csv\n"
        "    columns:\n      order_nr: id\n      total_amount: total\n",
        7,
        ["'order_nr' is no column of orders, did you mean"],
    ),
    "a constant is a column of its table": (
        SMALLEST.replace("path: orders.csv", "path: orders.csv, constants: {curency: USD}"),
        3,
        ["'curency' is no column of orders, did you mean 'currency'?"],
    ),
    "survivorship decides fields of a profile": (
        SURVIVING + "      contry: {rule: latest}\n",
        7,
        ["identity.survivorship.fields.contry", "did you mean 'country'?", "Known: account_id, acquisition_source"],
    ),
    "an identifier is no field of a profile": (SURVIVING + "      email: {rule: latest}\n", 7, ["'email' is no field"]),
    "a survivorship rule is one of three": (
        SURVIVING + "      city: {rule: most_frequnt}\n",
        7,
        ["fields.city.rule: 'most_frequnt' is none of: latest, earliest, most_frequent, did you mean 'most_frequent'?"],
    ),
    "the survivorship rule of all fields is one of three": (
        SURVIVING.replace("fields:", "default: newest"),
        6,
        ["identity.survivorship.default: 'newest' is none of: latest, earliest, most_frequent"],
    ),
    "an unknown key of a field has its likely meaning and its line": (
        SURVIVING + "      city: {rule: latest, source: [shop]}\n",
        7,
        ["unknown setting 'source', did you mean 'sources'?", "Known here: rule, sources."],
    ),
    "survivorship names sources that bring contacts": (
        SURVIVING + "      city:\n        sources: [shop, shp]\n",
        8,
        ["fields.city.sources.1: 'shp' is no source of contacts, did you mean 'shop'?", "Known: shop."],
    ),
    "a source of orders says nothing of a person": (
        (SURVIVING + "      city: {sources: [shop]}\n").replace("contacts", "orders"),
        7,
        ["'shop' is no source of contacts"],
    ),
    "a source is asked once": (SURVIVING + "      city: {sources: [shop, shop]}\n", 7, ["'shop' stands here a second"]),
    "a sync names a destination": (
        SMALLEST + "destinations:\n  - {name: crm, path: out}\nsyncs:\n  - {segment: lapsed, destination: crn}\n",
        7,
        ["'crn' is no destination, did you mean 'crm'?"],
    ),
    "a sync names a segment": (
        SMALLEST + "destinations:\n  - {name: crm, path: out}\nsyncs:\n  - {segment: lapsd, destination: crm}\n",
        7,
        ["'lapsd' is no segment, did you mean 'lapsed'?"],
    ),
    "two syncs have two names": (
        SMALLEST
        + "destinations:\n  - {name: crm, path: out}\nsyncs:\n"
        + "  - {segment: lapsed, destination: crm}\n" * 2,
        8,
        ["'lapsed_to_crm' is the name of two syncs"],
    ),
    "two destinations have two names": (
        SMALLEST + "destinations:\n  - {name: crm, path: out}\n  - {name: crm, path: other}\n",
        6,
        ["'crm' is the name of two destinations"],
    ),
    "an address is sent with a channel's consent only": (
        SMALLEST
        + "destinations:\n  - {name: crm, path: out}\nsyncs:\n"
        + "  - {segment: lapsed, destination: crm, identifiers: [email]}\n",
        7,
        ["needs the consent of a channel", "channel: email"],
    ),
    "a key stands once": (SMALLEST + "timezone: UTC\ntimezone: Europe/Berlin\n", 5, ["a second time, first in line 4"]),
    "the place of the file is no setting": (SMALLEST + "config_file: x\n", 4, ["unknown setting 'config_file'"]),
    "YAML must be valid": ("project: p\nsources:\n  - {name: shop\ntimezone: UTC\n", 4, ["no valid YAML"]),
    "a tab is no indentation": ("project: p\nsources:\n\t- {name: shop}\n", 3, ["no valid YAML"]),
    "a persona overrides known thresholds": (
        SMALLEST + "lifecycle:\n  personas:\n    bulk: {due_factr: 3}\n",
        4,
        ["persona 'bulk' sets the unknown threshold 'due_factr', did you mean 'due_factor'?"],
    ),
    "a persona's threshold is as plausible as any other": (
        SMALLEST + "lifecycle:\n  personas:\n    bulk: {default_order_gap_days: -5}\n",
        4,
        ["persona 'bulk': default_order_gap_days: Input should be greater than 0"],
    ),
    "a persona's nested threshold is checked as well": (
        SMALLEST + "lifecycle:\n  personas:\n    bulk: {loyalty_min_orders: 1}\n",
        4,
        ["persona 'bulk': loyalty_min_orders: Input should be greater than or equal to 2"],
    ),
}


@pytest.mark.parametrize("mistake", list(MISTAKES))
def test_a_mistake_is_told_with_file_and_line(mistake: str, tmp_path: Path) -> None:
    text, line, words = MISTAKES[mistake]
    message = complaint(tmp_path, text)
    assert f"{tmp_path / 'lifecycle.yml'}, line {line}" in message
    assert [word for word in words if word not in message] == []
    assert "settings are wrong" not in message, "one mistake is told once"


def test_a_value_of_no_fitting_type_is_one_mistake(tmp_path: Path) -> None:
    # a constant may be text, a number or true/false: four ways to be wrong, one place to mend
    text = SMALLEST.replace("path: orders.csv", "path: orders.csv, constants: {currency: [USD]}")
    message = complaint(tmp_path, text)
    assert message.count("line 3") == 1 and "settings are wrong" not in message


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    message = complaint(tmp_path, SMALLEST + "curency: USD\ntimezone: Mars\nquality: {max_cluster_size: 0}\n")
    assert message.startswith("3 settings are wrong\n")
    assert [line for line in (4, 5, 6) if f"line {line}" not in message] == []


def test_mistakes_between_settings_are_told_at_once(tmp_path: Path) -> None:
    message = complaint(
        tmp_path,
        SMALLEST.replace("table: orders", "table: ordrs") + "syncs:\n  - {segment: nobody, destination: nowhere}\n",
    )
    assert message.startswith("3 settings are wrong\n")


def test_a_file_that_is_not_there_says_how_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file") as raised:
        load_settings(tmp_path / "none.yml")
    assert "--config" in str(raised.value) and "none.yml" in str(raised.value)


@pytest.mark.parametrize("content", ["", "# nothing\n", "- a\n- b\n", "text\n"])
def test_a_file_without_settings_says_so(content: str, tmp_path: Path) -> None:
    assert "the file holds no settings" in complaint(tmp_path, content)


def test_a_file_that_is_no_text_says_so(tmp_path: Path) -> None:
    (tmp_path / "lifecycle.yml").write_bytes(b"project: \xff\xfe\n")
    with pytest.raises(SettingsError, match="not UTF-8 text"):
        load_settings(tmp_path / "lifecycle.yml")


def test_a_file_that_contains_itself_is_refused(tmp_path: Path) -> None:
    assert "no valid YAML" in complaint(tmp_path, SMALLEST + "quality: &x\n  again: *x\n")


def test_the_surprises_of_yaml_do_not_happen(tmp_path: Path) -> None:
    constants = (
        "{currency: USD, store_id: 0123, brand: NO, coupon_code: 2024-01-02, is_test: false, order_channel: 12:30}"
    )
    settings = load(tmp_path, SMALLEST.replace("path: orders.csv", f"path: orders.csv, constants: {constants}"))
    assert settings.sources[0].constants == {
        "currency": "USD",
        "store_id": "0123",
        "brand": "NO",
        "coupon_code": "2024-01-02",
        "is_test": False,
        "order_channel": "12:30",
    }


def test_a_day_may_be_given_with_or_without_quotes(tmp_path: Path) -> None:
    assert load(tmp_path, SMALLEST + "as_of: 2017-12-31\n").as_of == "2017-12-31"
    assert load(tmp_path, SMALLEST + 'as_of: "2017-12-31"\n').as_of == "2017-12-31"


def test_a_secret_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_FOLDER", "canary-secret")
    settings = load(tmp_path, SMALLEST.replace("orders.csv", '"${SHOP_FOLDER}/orders.csv"'))
    assert settings.sources[0].path == "canary-secret/orders.csv"


def test_a_secret_without_quotes_inside_braces_says_what_is_missing(tmp_path: Path) -> None:
    assert "needs quotes" in complaint(tmp_path, SMALLEST.replace("orders.csv", "${SHOP_FOLDER}/orders.csv"))


def test_a_secret_that_is_not_set_is_told_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP_FOLDER", raising=False)
    message = complaint(tmp_path, SMALLEST.replace("orders.csv", '"${SHOP_FOLDER}/orders.csv"'))
    assert "line 3, sources.0.path: the environment variable SHOP_FOLDER is not set" in message


def test_a_mistake_elsewhere_does_not_print_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_FOLDER", "canary-secret")
    message = complaint(tmp_path, SMALLEST.replace("orders.csv", '"${SHOP_FOLDER}/orders.csv"') + "curency: USD\n")
    assert "curency" in message and "canary-secret" not in message


def test_the_environment_names_the_file_when_nobody_else_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(tmp_path, SMALLEST)
    monkeypatch.setenv("LIFECYCLE_CONFIG", str(tmp_path / "lifecycle.yml"))
    monkeypatch.setenv("LIFECYCLE_HASH_KEY", "key")
    assert load_settings().project == "corner_shop"
    assert Environment().hash_key == "key"


def test_thresholds_have_flat_names_for_rules_and_personas() -> None:
    thresholds = LifecycleThresholds.model_validate(
        {"loyalty": {"min_orders": 9}, "personas": {"bulk": {"loyalty_min_orders": 3, "due_factor": 4}}}
    )
    flat = thresholds.flat()
    assert flat["loyalty_min_orders"] == 9.0
    assert flat["expansion_min_spend_share"] == 0.05
    assert "personas" not in flat
    assert thresholds.personas == {"bulk": {"loyalty_min_orders": 3, "due_factor": 4}}


def test_settings_do_not_change_once_they_are_read(tmp_path: Path) -> None:
    settings = load(tmp_path, SMALLEST)
    with pytest.raises(ValueError, match="frozen"):
        settings.currency = "EUR"  # type: ignore[misc]


def parts(model: type[BaseModel]) -> list[type[BaseModel]]:
    """A model and every part that it is made of."""
    found = [model]
    for field in model.model_fields.values():
        candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
        for candidate in candidates:
            if isinstance(candidate, type) and issubclass(candidate, Part):
                found += parts(candidate)
    return found


def test_every_setting_is_described_in_the_docs_with_its_default() -> None:
    page = (PROJECT_DIR / "docs" / "settings.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## .*?`([a-z_.\[\]]+)`.*?\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    wanted = {
        "lifecycle.yml": Settings,
        "sources[]": "Source",
        "destinations[]": "DestinationSettings",
        "syncs[]": "Sync",
        "syncs[].guards": "Guards",
        "warehouse": "WarehouseSettings",
        "quality": "QualitySettings",
        "identity": "IdentitySettings",
        "identity.survivorship": "SurvivorshipSettings",
        "identity.survivorship.fields": "FieldSurvivorship",
        "lifecycle": "LifecycleThresholds",
        "lifecycle.advocacy": "Advocacy",
        "lifecycle.pressing": "Pressing",
        "lifecycle.usage": "Usage",
        "lifecycle.loyalty": "Loyalty",
        "lifecycle.expansion": "Expansion",
        "metrics": "MetricSettings",
        "metrics.activation": "Activation",
        "attribution": "AttributionSettings",
    }
    models = {model.__name__: model for model in parts(Settings)}
    assert {name if isinstance(name, str) else name.__name__ for name in wanted.values()} == set(models)
    problems = []
    for section, name in wanted.items():
        model = models[name if isinstance(name, str) else name.__name__]
        rows = dict(re.findall(r"^\| `([a-z_0-9]+)` \| ([^|]*) \|", sections.get(section, ""), re.MULTILINE))
        fields = {field for field in model.model_fields if field != "config_file"}
        problems += [f"{section}: {field} is not described" for field in fields - rows.keys()]
        problems += [f"{section}: {field} is no setting" for field in rows.keys() - fields]
        for field in fields & rows.keys():
            default = model.model_fields[field].default
            if model.model_fields[field].is_required():
                expected = "required"
            elif isinstance(default, Part):
                expected = "see below"
            elif default in (None, [], {}):
                expected = "none"
            else:
                value = list(default) if isinstance(default, tuple) else default
                value = str(value).lower() if isinstance(value, bool) else value
                expected = f"`{value:g}`" if isinstance(value, float) and value < 1e6 else f"`{value}`"
            if rows[field].strip() != expected:
                problems.append(f"{section}: {field} has the default {expected}, described as {rows[field].strip()}")
    assert problems == []


def test_the_settings_of_the_docs_are_valid(tmp_path: Path) -> None:
    page = (PROJECT_DIR / "docs" / "settings.md").read_text(encoding="utf-8")
    examples = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    whole = [example for example in examples if example.startswith(("project:", "# lifecycle.yml"))]
    assert whole
    for example in whole:
        load(tmp_path, example)
    for example in examples:
        if example not in whole:
            load(tmp_path, SMALLEST + example)
