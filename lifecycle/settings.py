"""What a company decides: ``lifecycle.yml`` and the few environment variables.

Belongs here: the shape of the settings, their checks (with line numbers) and the only reading of the environment.
Does not belong here: acting on them.
"""

from __future__ import annotations

import builtins
import difflib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from lifecycle.errors import SettingsError
from lifecycle.state import State

PROJECT_DIR = Path(__file__).resolve().parent.parent
"""The checkout: models, seeds and dbt_project lie beside this package."""

STEWARDS = "stewards"
"""The source that `lifecycle identity` writes."""

DEFAULT_CONFIG = PROJECT_DIR / "examples" / "demo" / "lifecycle.yml"


class Environment(BaseSettings):
    """Every environment variable that the project reads."""

    model_config = SettingsConfigDict(env_prefix="LIFECYCLE_", extra="ignore")

    config: Path = DEFAULT_CONFIG
    """The settings file that Dagster's UI and a command without ``--config`` use."""
    hash_key: str | None = None
    """Secret of the keyed hashes; without it one is made and kept in the state folder."""


@contextmanager
def process_environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables for a call alone, and hide those of the project and of dbt that are set outside: what dbt is told
    comes from the settings."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(("LIFECYCLE_", "DBT_"))]:
        del os.environ[name]
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _known_timezone(name: str) -> str:
    if name not in available_timezones():
        near = difflib.get_close_matches(name, available_timezones(), 1)
        raise ValueError(f"unknown time zone '{name}'" + (f", did you mean '{near[0]}'?" if near else ""))
    return name


def _plain_name(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"'{name}' must be lower-case letters, digits and underscores, starting with a letter")
    return name


def _currency(code: str) -> str:
    if not re.fullmatch(r"[A-Z]{3}", code):
        raise ValueError(f"'{code}' is no currency code of three capital letters (ISO 4217)")
    return code


def _country(code: str) -> str:
    if not re.fullmatch(r"[A-Z]{2}", code):
        raise ValueError(f"'{code}' is no country code of two capital letters (ISO 3166 alpha-2)")
    return code


def _day_or_word(text: str) -> str:
    if text not in ("latest", "today"):
        try:
            date.fromisoformat(text)
        except ValueError:
            raise ValueError(f"'{text}' is none of: latest, today, a day such as 2017-12-31") from None
    return text


def _memory(text: str) -> str:
    if not re.fullmatch(r"\d+(\.\d+)?\s*(MB|GB|TB|MiB|GiB|TiB)", text):
        raise ValueError(f"'{text}' is no amount of memory such as 4GB")
    return text


SURVIVORSHIP_RULES = ("latest", "earliest", "most_frequent")
"""How one of several values is chosen (docs/customer-360.md)."""


def _survivorship_rule(name: str) -> str:
    if name not in SURVIVORSHIP_RULES:
        near = difflib.get_close_matches(name, SURVIVORSHIP_RULES, 1)
        hint = f", did you mean '{near[0]}'?" if near else ""
        raise ValueError(f"'{name}' is none of: {', '.join(SURVIVORSHIP_RULES)}{hint}")
    return name


TimeZone = Annotated[str, AfterValidator(_known_timezone)]
PlainName = Annotated[str, AfterValidator(_plain_name)]
Currency = Annotated[str, AfterValidator(_currency)]
Country = Annotated[str, AfterValidator(_country)]
AsOf = Annotated[str, AfterValidator(_day_or_word)]
Memory = Annotated[str, AfterValidator(_memory)]
SurvivorshipRule = Annotated[str, AfterValidator(_survivorship_rule)]
Days = Annotated[float, Field(gt=0, le=36_500)]
Clock = Annotated[float, Field(ge=1, le=36_500)]
"""Days after which something changes where a customer stands; of what happens within a day less is kept."""
Share = Annotated[float, Field(ge=0, le=1)]


class Part(BaseModel):
    """A part of the settings; a key it does not know is an error, never ignored."""

    # An error names the setting and what is wrong with it; what stood there may be a secret.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


class Source(Part):
    """One table of one source system, and how its fields map onto the input contract."""

    name: PlainName
    kind: Literal["files"] = "files"
    table: str
    path: str
    format: Literal["csv", "jsonl", "parquet"] | None = None
    timezone: TimeZone = "UTC"
    columns: dict[str, str] = {}
    constants: dict[str, str | int | float | bool] = {}
    id_namespace: PlainName | None = None
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    max_age_days: Days | None = None

    @property
    def namespace(self) -> str:
        """Whose ids these are: two systems' customer 42 are two people unless they share a namespace."""
        return self.id_namespace or self.name


class DestinationSettings(Part):
    """A place that lists go to. What else stands here are options of its kind, checked by it."""

    model_config = ConfigDict(extra="allow")

    name: PlainName
    kind: PlainName = "files"

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class Guards(Part):
    """How much one plan may change before a person has to approve it."""

    max_add: Share = 0.5
    max_remove: Share = 0.2
    min_size: Annotated[int, Field(ge=0)] = 1


class Sync(Part):
    """One segment kept equal to one list at a destination."""

    segment: PlainName
    destination: PlainName
    mode: Literal["audience"] = "audience"
    name: PlainName | None = None
    channel: Literal["none", "email", "sms", "ads"] = "none"
    list: str | None = None
    """A list that exists at the tool, by the tool's id; without it one is made, where the tool lets us."""
    identifiers: builtins.list[Literal["contact_id", "email", "phone"]] = []
    min_confidence: Share = 0
    """How sure it has to be that an identifier is the customer's own."""
    attributes: builtins.list[PlainName] = []
    read_back: bool = True
    """Whether the tool is asked after a delivery who is on the list, where it can tell."""
    guards: Guards = Guards()

    @property
    def key(self) -> str:
        return self.name or f"{self.segment}_to_{self.destination}"


class WarehouseSettings(Part):
    target: Literal["duckdb"] = "duckdb"
    memory_limit: Memory = "4GB"
    max_spill: Memory = "50GB"
    threads: Annotated[int, Field(ge=1, le=64)] = 2


class QualitySettings(Part):
    max_quarantine_rate: Share = 0.05
    volume_band: tuple[Share, Annotated[float, Field(ge=1)]] = (0.1, 10.0)
    """A batch must be within these multiples of the median of the source's past batches (from the fifth on)."""
    max_cluster_size: Annotated[int, Field(ge=1)] = 200
    max_segment_shrink: Share = 0.5
    max_field_bytes: Annotated[int, Field(ge=1)] = 1_048_576
    max_file_bytes: Annotated[int, Field(ge=1)] = 100_000_000_000
    max_decompression_ratio: Annotated[float, Field(ge=1)] = 200.0
    max_nesting: Annotated[int, Field(ge=1)] = 50


class FieldSurvivorship(Part):
    """How the value of one field is chosen when the contact records of a customer disagree."""

    rule: SurvivorshipRule | None = None
    sources: list[PlainName] = []
    """Sources that are asked first, in this order; the others after them."""


class SurvivorshipSettings(Part):
    default: SurvivorshipRule = "latest"
    fields: dict[str, FieldSurvivorship] = {}


class IdentitySettings(Part):
    max_contacts_per_identifier: Annotated[int, Field(ge=1)] = 10
    """An identifier that more people than this seem to share links nobody (a shop's own address, a test address)."""
    default_country: Country | None = None
    """Whose dialling rules hold for a phone without a country code, where the record names no country."""
    probable_links: bool = True
    """Whether contact records are joined by likeness too, and not by equal identifiers alone."""
    link_bits: Annotated[float, Field(ge=-5, le=40)] = 0
    """The score from which two records may be one person: 0 bits is an even chance, 10 bits a thousand to one."""
    review_bits: Annotated[float, Field(ge=0, le=10)] = 3
    """Pairs that miss ``link_bits`` by no more than this are listed for a steward."""
    decisions_file: str = "identity_decisions.csv"
    """Where `lifecycle identity merge` and `split` write, beside lifecycle.yml; a source as soon as it exists."""
    survivorship: SurvivorshipSettings = SurvivorshipSettings()


class Loyalty(Part):
    min_orders: Annotated[int, Field(ge=2)] = 6
    min_days: Clock = 180


class Expansion(Part):
    category_level: Annotated[int, Field(ge=1, le=5)] = 1
    window_days: Days = 90
    min_spend_share: Share = 0.05
    min_history_days: Days = 180


class Advocacy(Part):
    nps: bool = False
    """Whether a score of 9 or 10 alone makes an advocate: it is an intention, and not what somebody did."""


class Usage(Part):
    """When a subscriber's use counts as falling: the last window against the two before it."""

    window_days: Annotated[float, Field(ge=1, le=366)] = 28
    min_days: Annotated[int, Field(ge=1)] = 8
    """So many used days in the two windows before, or nothing can be said."""
    fall_share: Share = 0.5
    recover_share: Share = 0.75
    """Above this share of the pace before it is not falling any more; between the two what was said last stays."""

    @model_validator(mode="after")
    def _recovery_lies_above_the_fall(self) -> Usage:
        if self.recover_share < self.fall_share:
            raise ValueError(f"recover_share ({self.recover_share:g}) is below fall_share ({self.fall_share:g})")
        return self


class Pressing(Part):
    """When tickets count as a sign of leaving."""

    tickets: Annotated[int, Field(ge=1)] = 2
    days: Clock = 30


class LifecycleThresholds(Part):
    """Every number of the lifecycle rules (docs/lifecycle.md). Personas may override the plain ones."""

    default_order_gap_days: Days = 30
    gap_prior_weight: Annotated[float, Field(ge=0)] = 2
    due_factor: Annotated[float, Field(gt=0)] = 2
    due_min_days: Clock = 30
    due_max_days: Clock = 400
    lapse_factor: Annotated[float, Field(gt=0)] = 2
    lapse_min_days: Clock = 90
    lapse_max_days: Clock = 600
    churn_min_days: Clock = 365
    churn_after_lapse_days: Clock = 180
    silent_days: Clock = 365
    cart_days: Clock = 14
    weighing_days: Clock = 90
    lead_days: Clock = 90
    return_grace_days: Annotated[float, Field(ge=0, le=36_500)] = 7
    reactivated_days: Clock = 60
    new_days: Clock = 30
    activated_days: Clock = 30
    active_days: Clock = 45
    quiet_factor: Annotated[float, Field(ge=0)] = 1.5
    """A newcomer is quiet after so many expected gaps without activity, but never before ``active_days``."""
    established_days: Clock = 90
    """Whoever is subscribed for so long is no newcomer any more, even with a single payment."""
    advocate_days: Clock = 180
    advocacy: Advocacy = Advocacy()
    expanding_days: Clock = 90
    answer_days: Clock = 30
    detractor_score: Annotated[float, Field(ge=0, le=10)] = 6
    unhappy_score: Annotated[float, Field(ge=1, le=5)] = 2
    pressing: Pressing = Pressing()
    usage: Usage = Usage()
    loyalty: Loyalty = Loyalty()
    expansion: Expansion = Expansion()
    high_value_amount: Annotated[float, Field(gt=0)] = 1000
    """Net revenue so far from which a customer counts as high value, in the reporting currency."""
    new_customer_days: Clock = 30
    snapshot_months: Annotated[int, Field(ge=0, le=240)] = 24
    """Month ends for which schemes that rank all customers are kept."""
    per: Literal["account", "customer"] = "account"
    """Whose lifecycle it is: people of one account share it, or everybody has their own."""
    first_category_gaps: dict[str, Days] = {}
    """The usual gap of people whose first order was mostly of this category, in place of the default."""
    personas: dict[str, dict[str, float]] = {}

    @model_validator(mode="after")
    def _clocks_have_a_range(self) -> LifecycleThresholds:
        for clock in ("due", "lapse"):
            low, high = getattr(self, f"{clock}_min_days"), getattr(self, f"{clock}_max_days")
            if low > high:
                raise ValueError(f"{clock}_min_days ({low:g}) is above {clock}_max_days ({high:g})")
        return self

    @model_validator(mode="after")
    def _personas_override_known_thresholds(self) -> LifecycleThresholds:
        known = self.flat()
        for persona, overrides in self.personas.items():
            for name in overrides:
                if name.startswith("expansion_") or name in ("per_account", "snapshot_months"):
                    raise ValueError(f"persona '{persona}' sets '{name}', which is the same for everybody")
                if name not in known:
                    near = difflib.get_close_matches(name, known, 1)
                    hint = f", did you mean '{near[0]}'?" if near else ""
                    raise ValueError(f"persona '{persona}' sets the unknown threshold '{name}'{hint}")
            try:
                LifecycleThresholds.model_validate(_nested(known | overrides))
            except ValidationError as error:
                detail = error.errors()[0]
                name = "_".join(str(part) for part in detail["loc"])
                message = detail["msg"].removeprefix("Value error, ")
                raise ValueError(f"persona '{persona}': {name + ': ' if name else ''}{message}") from None
        return self

    def flat(self) -> dict[str, float]:
        """Threshold name → value; nested groups joined by an underscore (loyalty_min_orders)."""
        result: dict[str, float] = {}
        for name, value in self:
            if isinstance(value, Part):
                result |= {f"{name}_{inner}": float(number) for inner, number in value}
            elif name == "per":
                result["per_account"] = float(value == "account")
            elif name not in ("personas", "first_category_gaps"):
                result[name] = float(value)
        return result

    def category_gaps(self) -> list[tuple[str, str, float]]:
        """Set of thresholds, category, gap in days; a persona with a usual gap of its own keeps it."""
        own = {persona for persona, overrides in self.personas.items() if "default_order_gap_days" in overrides}
        sets = ["default", *(persona for persona in self.personas if persona not in own)]
        return [(name, category, gap) for name in sets for category, gap in self.first_category_gaps.items()]


def _nested(flat: dict[str, float]) -> dict[str, Any]:
    """The reverse of ``LifecycleThresholds.flat``."""
    result: dict[str, Any] = {}
    for name, value in flat.items():
        group, _, inner = name.partition("_")
        if name == "per_account":
            result["per"] = "account" if value else "customer"
        elif group in ("loyalty", "expansion", "advocacy", "pressing", "usage"):
            result.setdefault(group, {})[inner] = value
        else:
            result[name] = value
    return result


class Activation(Part):
    """Who is to become active, and by when."""

    basis: Literal["first_order", "sign_up"] = "first_order"
    """Whose activation is asked: new customers from their first purchase on, or people from their sign-up on."""
    days: Clock = 30


class MetricSettings(Part):
    """Windows and bases of the metric marts (docs/metrics.md)."""

    refund_basis: Literal["refund_date", "order_date"] = "refund_date"
    """The month that a refund counts in: that in which it was given, or that of its order."""
    acquire_share: Share = 0.5
    """The part of spend for a mixed purpose that counts as spent on winning customers."""
    activation: Activation = Activation()
    onboarding_days: Clock = 30
    abandoned_after_hours: Annotated[float, Field(ge=1, le=720)] = 24
    recovery_days: Clock = 7
    click_days: Clock = 7
    first_contact_days: Clock = 7
    repeat_contact_days: Clock = 30
    deflection_hours: Annotated[float, Field(ge=1, le=720)] = 24
    usage_days: Annotated[int, Field(ge=7, le=366)] = 28


class AttributionSettings(Part):
    """What counts as a touch on the way to an order, and how much it counts (docs/metrics-attribution.md)."""

    lookback_days: Clock = 30
    conversion: Literal["every_order", "first_order"] = "every_order"
    half_life_days: Annotated[float, Field(gt=0, le=36_500)] = 7
    position_end_share: Annotated[float, Field(ge=0, le=0.5)] = 0.4
    """What the first and the last touch get each in the position-based model; the rest is shared in between."""
    null_path_days: Clock = 30
    """Touches after which nothing is bought for so long are a path that led nowhere."""


class _Loader(yaml.SafeLoader):
    """YAML without its surprises: days stay text, ``NO`` is a country, ``0123`` is an id, only true and false are."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] not in ("timestamp", "bool", "int")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789"))


class Settings(Part):
    """A company's ``lifecycle.yml``, checked."""

    project: PlainName
    timezone: TimeZone = "UTC"
    currency: Currency = "USD"
    as_of: AsOf = "latest"
    state_dir: str = ".lifecycle"
    sources: list[Source] = Field(min_length=1)
    destinations: list[DestinationSettings] = []
    syncs: list[Sync] = []
    warehouse: WarehouseSettings = WarehouseSettings()
    quality: QualitySettings = QualitySettings()
    identity: IdentitySettings = IdentitySettings()
    lifecycle: LifecycleThresholds = LifecycleThresholds()
    metrics: MetricSettings = MetricSettings()
    attribution: AttributionSettings = AttributionSettings()
    config_file: Path = Path("lifecycle.yml")
    """Where the settings were read from; filled by ``load_settings``, never by the file itself."""

    @property
    def folder(self) -> Path:
        """The folder of ``lifecycle.yml``; every relative path in it starts here."""
        return self.config_file.parent

    @property
    def inputs(self) -> list[Source]:
        """The sources, and the stewards' decisions once somebody has made one."""
        if not (self.folder / self.identity.decisions_file).exists():
            return self.sources
        stewards = Source(name=STEWARDS, table="identity_decisions", path=self.identity.decisions_file)
        return [*self.sources, stewards]

    @property
    def state(self) -> State:
        return State((self.folder / self.state_dir).resolve())

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def destination(self, name: str) -> DestinationSettings:
        return next(destination for destination in self.destinations if destination.name == name)


def load_settings(config: Path | None = None) -> Settings:
    """Read and check ``lifecycle.yml``; without a path, the one that LIFECYCLE_CONFIG names.

    Raises SettingsError naming file, line and key of everything that is wrong, in one message.
    """
    path = Path(config or Environment().config).resolve()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror or str(error)
        raise SettingsError(
            f"the settings file cannot be read: {reason}",
            where=str(path),
            remedy="Name an existing lifecycle.yml with --config or LIFECYCLE_CONFIG.",
        ) from error
    try:
        node = yaml.compose(text)
        content = _Loader(text).get_single_data()
        lines = {} if node is None else _lines(node)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise SettingsError(
            f"this is no valid YAML: {getattr(error, 'problem', error)}",
            where=f"{path}{line}",
            remedy="Mend the indentation or quoting there; inside { } a value with ${NAME} needs quotes.",
        ) from error
    if not isinstance(content, dict) or node is None:
        raise SettingsError(
            "the file holds no settings",
            where=str(path),
            remedy="Start with `project:` and `sources:`; examples/ has complete files.",
        )
    problems = _double_keys(node, path)
    if "config_file" in content:
        problems.append(SettingsError("unknown setting 'config_file'", where=_where(path, lines, ("config_file",))))
    content = _with_secrets(content, (), path, lines, problems)
    if not problems:
        try:
            settings = Settings.model_validate({**content, "config_file": path})
        except ValidationError as error:
            problems = _problems(error, path, lines)
        else:
            problems = _cross_checks(settings, path, lines)
    if problems:
        raise _all_of(problems)
    return settings


def _all_of(problems: list[SettingsError]) -> SettingsError:
    if len(problems) == 1:
        return problems[0]
    return SettingsError(f"{len(problems)} settings are wrong\n" + "\n".join(str(problem) for problem in problems))


def _lines(node: yaml.Node, at: tuple[str | int, ...] = ()) -> dict[tuple[str | int, ...], int]:
    """Path of keys → line number, from 1."""
    found = {at: node.start_mark.line + 1}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            found |= _lines(value, (*at, key.value))
            found[(*at, key.value)] = key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            found |= _lines(value, (*at, index))
    return found


def _where(path: Path, lines: dict[tuple[str | int, ...], int], key: tuple[str | int, ...]) -> str:
    known = key
    while known not in lines:
        known = known[:-1]
    return f"{path}, line {lines[known]}, {'.'.join(str(part) for part in key)}"


def _with_secrets(
    value: Any,
    key: tuple[str | int, ...],
    path: Path,
    lines: dict[tuple[str | int, ...], int],
    problems: list[SettingsError],
) -> Any:
    """Replace ``${NAME}`` by the environment variable of that name."""
    if isinstance(value, dict):
        return {name: _with_secrets(inner, (*key, name), path, lines, problems) for name, inner in value.items()}
    if isinstance(value, list):
        return [_with_secrets(inner, (*key, index), path, lines, problems) for index, inner in enumerate(value)]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            problems.append(
                SettingsError(
                    f"the environment variable {name} is not set",
                    where=_where(path, lines, key),
                    remedy=f"Set {name} where this runs; secrets never stand in the file itself.",
                )
            )
        return os.environ.get(name, "")

    return re.sub(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", replace, value)


def _double_keys(node: yaml.Node, path: Path, at: str = "") -> list[SettingsError]:
    """YAML keeps the last of two equal keys in silence; here the second is an error."""
    problems: list[SettingsError] = []
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            name = f"{at}.{key.value}" if at else str(key.value)
            if name in seen:
                problems.append(
                    SettingsError(
                        f"'{key.value}' stands here a second time, first in line {seen[name]}",
                        where=f"{path}, line {key.start_mark.line + 1}, {name}",
                        remedy="Keep one of the two.",
                    )
                )
            seen.setdefault(name, key.start_mark.line + 1)
            problems += _double_keys(value, path, name)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            problems += _double_keys(value, path, f"{at}.{index}")
    return problems


def _problems(
    error: ValidationError,
    path: Path,
    lines: dict[tuple[str | int, ...], int],
    place: tuple[str | int, ...] = (),
    model: type[BaseModel] | None = None,
) -> list[SettingsError]:
    """One problem per place: a value that fits none of several types is one mistake, not several.

    ``model`` stands at ``place`` of the file; without it the whole file is one of Settings.
    """
    found: dict[str, SettingsError] = {}
    for detail in error.errors():
        problem = _problem(detail, path, lines, place, model or Settings)
        found.setdefault(problem.where, problem)
    return list(found.values())


def _problem(
    detail: Any,
    path: Path,
    lines: dict[tuple[str | int, ...], int],
    place: tuple[str | int, ...],
    model: type[BaseModel],
) -> SettingsError:
    key = (*place, *detail["loc"])
    if detail["type"] != "missing":
        # Behind the place in the file pydantic names the types that it tried.
        while key not in lines:
            key = key[:-1]
    where = _where(path, lines, key)
    if detail["type"] == "extra_forbidden":
        siblings = _fields_at(key[len(place) : -1], model)
        near = difflib.get_close_matches(str(key[-1]), siblings, 1)
        return SettingsError(
            f"unknown setting '{key[-1]}'" + (f", did you mean '{near[0]}'?" if near else ""),
            where=where,
            remedy=f"Known here: {', '.join(sorted(siblings))}." if siblings else "",
        )
    if detail["type"] == "missing":
        return SettingsError(f"'{key[-1]}' is missing", where=where, remedy="Add it; docs/settings.md describes it.")
    return SettingsError(
        detail["msg"].removeprefix("Value error, "), where=where, remedy="docs/settings.md describes this setting."
    )


def _fields_at(key: tuple[str | int, ...], model: Any) -> list[str]:
    is_mapping = False
    for part in key:
        if isinstance(part, int) or is_mapping:
            # A position in a list, or a name that the file's author chose.
            is_mapping = False
            continue
        field = model.model_fields.get(part) if isinstance(model, type) and issubclass(model, BaseModel) else None
        if field is None:
            return []
        annotation = field.annotation
        arguments = getattr(annotation, "__args__", ())
        is_mapping = getattr(annotation, "__origin__", None) is dict
        model = arguments[-1] if arguments and isinstance(arguments[-1], type) else annotation
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return []
    return [name for name in model.model_fields if name != "config_file"]


def _repeated(names: list[str]) -> list[int]:
    return [index for index, name in enumerate(names) if name in names[:index]]


def _survivorship_mistakes(settings: Settings) -> Iterator[tuple[tuple[str | int, ...], str, list[str]]]:
    """Place, problem and the names that are known there."""
    from lifecycle.identity.survivorship import FIELDS

    contact_sources = sorted({source.name for source in settings.sources if source.table == "contacts"})
    for field, survivorship in settings.identity.survivorship.fields.items():
        place = ("identity", "survivorship", "fields", field)
        if field not in FIELDS:
            yield place, f"'{field}' is no field that survivorship decides", sorted(FIELDS)
        for index, name in enumerate(survivorship.sources):
            if name not in contact_sources:
                yield (*place, "sources", index), f"'{name}' is no source of contacts", contact_sources
        for index in _repeated(survivorship.sources):
            yield (*place, "sources", index), f"'{survivorship.sources[index]}' stands here a second time", []


def _destination_mistakes(
    described: DestinationSettings, place: tuple[str | int, ...], path: Path, lines: dict[tuple[str | int, ...], int]
) -> list[SettingsError]:
    """What is wrong with the kind of a destination, or with the options of that kind."""
    from lifecycle.publishing.destinations import class_of, kinds

    known = kinds()
    if described.kind not in known:
        near = difflib.get_close_matches(described.kind, known, 1)
        return [
            SettingsError(
                f"'{described.kind}' is no kind of destination" + (f", did you mean '{near[0]}'?" if near else ""),
                where=_where(path, lines, (*place, "kind")),
                remedy=f"Known: {', '.join(known)}.",
            )
        ]
    options = class_of(described.kind).Options
    try:
        options.model_validate(described.options)
    except ValidationError as error:
        return _problems(error, path, lines, place, options)
    return []


def _cross_checks(settings: Settings, path: Path, lines: dict[tuple[str | int, ...], int]) -> list[SettingsError]:
    """What one field alone cannot tell: names that must exist elsewhere."""
    from lifecycle.sources.contract import TABLES

    problems: list[SettingsError] = []

    def wrong(key: tuple[str | int, ...], problem: str, known: list[str]) -> None:
        near = difflib.get_close_matches(str(problem.split("'")[1]), known, 1)
        problems.append(
            SettingsError(
                problem + (f", did you mean '{near[0]}'?" if near else ""),
                where=_where(path, lines, key),
                remedy=f"Known: {', '.join(known)}." if known else "",
            )
        )

    for index, source in enumerate(settings.sources):
        table = TABLES.get(source.table)
        if table is None:
            wrong(("sources", index, "table"), f"'{source.table}' is no table of the input contract", sorted(TABLES))
            continue
        known = [column.name for column in table.columns]
        for part, name in [("columns", name) for name in source.columns] + [
            ("constants", name) for name in source.constants
        ]:
            if name not in known:
                wrong(("sources", index, part, name), f"'{name}' is no column of {source.table}", known)
    for mistake in _survivorship_mistakes(settings):
        wrong(*mistake)
    destinations = [destination.name for destination in settings.destinations]
    for index, destination in enumerate(settings.destinations):
        problems += _destination_mistakes(destination, ("destinations", index), path, lines)
    for index in _repeated(destinations):
        wrong(("destinations", index, "name"), f"'{destinations[index]}' is the name of two destinations", [])
    for index in _repeated([sync.key for sync in settings.syncs]):
        wrong(("syncs", index), f"'{settings.syncs[index].key}' is the name of two syncs", [])
    segments = sorted(
        model.stem.removeprefix("seg_") for model in (PROJECT_DIR / "models" / "segments").glob("seg_*.sql")
    )
    for index, sync in enumerate(settings.syncs):
        if sync.destination not in destinations:
            wrong(("syncs", index, "destination"), f"'{sync.destination}' is no destination", destinations)
        if sync.segment not in segments:
            wrong(("syncs", index, "segment"), f"'{sync.segment}' is no segment", segments)
        if sync.channel == "none" and set(sync.identifiers) & {"email", "phone"}:
            problems.append(
                SettingsError(
                    "a list with email or phone needs the consent of a channel",
                    where=_where(path, lines, ("syncs", index)),
                    remedy="Say `channel: email`, `sms` or `ads`; lists without a channel carry keys only.",
                )
            )
    return problems
