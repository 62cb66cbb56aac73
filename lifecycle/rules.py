"""The list of lifecycle rules: ``vars`` of dbt_project.yml, and the schemes beside it.

Belongs here: reading the list, and refusing it before a run, with file and line, when a rule is incomplete, says
something nobody computes or can never decide anything. Does not belong here: the words of a condition
(``lifecycle/conditions.py``) and the SQL that is made of the list (macros of dbt).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import yaml

from lifecycle.conditions import (
    FACTS_FILE,
    RESERVED,
    Meaning,
    Mistake,
    Words,
    evidence_mistakes,
    hint,
    named_in,
    read_condition,
    sentence_mistakes,
)
from lifecycle.errors import SettingsError
from lifecycle.reachability import Formula, Some, can_hold, covering, must_hold
from lifecycle.settings import PROJECT_DIR

RULES_FILE = "dbt_project/dbt_project.yml"
STAGES_FILE = "seeds/lifecycle_stages.csv"
SCHEMES_FILE = "seeds/lifecycle_schemes.csv"
FILES = (RULES_FILE, FACTS_FILE, STAGES_FILE, SCHEMES_FILE)

REASON_FIELDS = ("condition", "sentence", "evidence")
RISK_FLAG = "is_at_risk"
"""Whether one of ``lifecycle_risks`` holds: no flag of the list, and schemes may name it like one."""
SIGN_FIELDS = ("id", *REASON_FIELDS)
LISTS: dict[str, tuple[str, ...]] = {
    "lifecycle_terms": ("id", "condition"),
    "lifecycle_rules": ("precedence", "id", "stage", *REASON_FIELDS, "signs"),
    "lifecycle_risks": ("id", "condition"),
    "lifecycle_flags": ("id", "condition"),
}
"""List → the fields of its entries."""

SCHEME_COLUMNS = ("scheme", "precedence", "stage", "condition", "scheme_stage")

PLAIN_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, kw_only=True)
class _Entered:
    """Where something stands in dbt_project.yml."""

    place: str
    """What it is, in words: "rule closed"."""
    line: int
    lines: Mapping[str, int]

    def at(self, field: str) -> int:
        """The line of one of its keys."""
        return self.lines.get(field, self.line)


@dataclass(frozen=True)
class NamedCondition(_Entered):
    """A term, a risk or a flag."""

    id: str
    condition: str


@dataclass(frozen=True)
class Sign(_Entered):
    """One of several reasons of a rule: when it holds, what is then said, and the fact whose event caused it."""

    id: str
    condition: str
    sentence: str
    evidence: str


@dataclass(frozen=True)
class Rule(_Entered):
    """What gives a stage. A rule has a condition with its sentence and evidence (otherwise empty), or signs."""

    precedence: int
    id: str
    stage: str
    condition: str
    sentence: str
    evidence: str
    signs: tuple[Sign, ...]


@dataclass(frozen=True)
class LifecycleRules:
    """The whole list, in order."""

    terms: tuple[NamedCondition, ...]
    rules: tuple[Rule, ...]
    risks: tuple[NamedCondition, ...]
    flags: tuple[NamedCondition, ...]


@dataclass(frozen=True)
class FactNames:
    """What conditions may name: the facts of ``int_lifecycle_facts`` and the thresholds of lifecycle.yml."""

    facts: tuple[str, ...]
    thresholds: tuple[str, ...]


def check_rules(project_dir: Path = PROJECT_DIR) -> None:
    """Raise SettingsError naming file and line of everything that is wrong with the rules, in one message."""
    load_rules(project_dir)


def load_rules(project_dir: Path = PROJECT_DIR) -> LifecycleRules:
    """Read and check the lifecycle rules of a project folder.

    Raises SettingsError naming file and line of everything that is wrong, in one message. A rule is refused as
    unreachable when it is proven that it never decides anything; ``lifecycle/reachability.py`` says what that proof
    sees and what it does not. A rule that can be reached is never refused.
    """
    problems = _Problems()
    names = read_fact_names(project_dir)
    stages = _read_stages(project_dir)
    rules = _read_rules(project_dir, problems)
    meanings = _check_terms(rules, names, problems)
    _check_order(rules.rules, problems)
    _check_stages(rules.rules, stages, problems)
    _check_rules(rules.rules, meanings, problems)
    _check_risks_and_flags(rules, meanings, problems)
    _check_schemes(project_dir, stages, rules.flags, problems)
    problems.raise_all()
    return rules


class _Problems:
    """What is wrong, to be told in the order of the files."""

    def __init__(self) -> None:
        self._found: list[tuple[int, int, SettingsError]] = []

    def add(self, file: str, line: int, place: str, problem: str, remedy: str) -> None:
        where = f"{file}:{line}, {place}"
        self._found.append((FILES.index(file), line, SettingsError(problem, where=where, remedy=remedy)))

    def note(self, entry: _Entered, field: str, problem: str, remedy: str) -> None:
        self.add(RULES_FILE, entry.at(field), entry.place, problem, remedy)

    def add_all(self, entry: _Entered, field: str, mistakes: Iterable[Mistake]) -> None:
        for mistake in mistakes:
            self.note(entry, field, mistake.problem, mistake.remedy)

    def raise_all(self) -> None:
        errors = [error for _, _, error in sorted(self._found, key=lambda one: one[:2])]
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise SettingsError(
                f"{len(errors)} things are wrong with the lifecycle rules\n" + "\n".join(str(error) for error in errors)
            )


# --- what the rules may name -----------------------------------------------------------------------------------------


def read_fact_names(project_dir: Path = PROJECT_DIR) -> FactNames:
    """The facts and thresholds, as the two macros that the models use list them."""
    path = project_dir / FACTS_FILE
    text = _text(path, FACTS_FILE)
    return FactNames(
        facts=_returned(text, "lifecycle_fact_columns"), thresholds=_returned(text, "lifecycle_setting_columns")
    )


class _Returned(Exception):  # noqa: N818 - how dbt's `return` leaves a macro
    def __init__(self, value: object) -> None:
        self.value = value
        super().__init__()


def _return(value: object) -> None:
    raise _Returned(value)


def _returned(text: str, macro: str) -> tuple[str, ...]:
    """What a macro of this file returns: dbt's ``return`` is an exception there too."""
    import jinja2

    error: Exception | None = None
    try:
        environment = jinja2.Environment(extensions=["jinja2.ext.do"], autoescape=False)  # noqa: S701 - names, no page
        template = environment.from_string(text, globals={"return": _return})
        called: Callable[[], object] | None = getattr(template.module, macro, None)
        if called is not None:
            called()
    except _Returned as returned:
        value = returned.value
        if isinstance(value, list) and value and all(isinstance(name, str) for name in value):
            return tuple(value)
    except (jinja2.TemplateError, TypeError, ValueError, LookupError) as failed:
        error = failed
    line = f":{error.lineno}" if isinstance(error, jinja2.TemplateSyntaxError) else ""
    raise SettingsError(
        f"the macro '{macro}' returns no list of names" + (f": {error}" if error else ""),
        where=f"{FACTS_FILE}{line}",
        remedy="It ends in `{{ return(['…', '…']) }}`; the names of facts and thresholds are read from there.",
    )


def _text(path: Path, shown: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror or str(error)
        raise SettingsError(
            f"the file cannot be read: {reason}", where=shown, remedy=f"It is expected at {path}."
        ) from error


def _table(project_dir: Path, file: str, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line and values of every row of a seed that has these columns."""
    reader = csv.reader(_text(project_dir / file, file).splitlines(keepends=True))
    header = next(reader, [])
    missing = [name for name in columns if name not in header]
    if missing:
        raise SettingsError(
            f"the column '{missing[0]}' is missing", where=f"{file}:1", remedy=f"Columns: {', '.join(columns)}."
        )
    line = reader.line_num + 1
    for values in reader:
        if values:
            yield line, dict.fromkeys(columns, "") | dict(zip(header, values, strict=False))
        # A value may go over several lines.
        line = reader.line_num + 1


def _read_stages(project_dir: Path) -> dict[str, int]:
    """Stage → line of the seed."""
    return {row["stage"]: line for line, row in _table(project_dir, STAGES_FILE, ["stage"])}


# --- the shape of the list -------------------------------------------------------------------------------------------


def _read_rules(project_dir: Path, problems: _Problems) -> LifecycleRules:
    text = _text(project_dir / RULES_FILE, RULES_FILE)
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        document: yaml.Node | None = yaml.compose(text, Loader=loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise SettingsError(
            f"this is no valid YAML: {getattr(error, 'problem', error)}",
            where=f"{RULES_FILE}:{mark.line + 1}" if mark else RULES_FILE,
            remedy="Mend the indentation or quoting there; a text with a colon in it or a brace in front needs quotes.",
        ) from error
    variables = _value(document, "vars", problems)
    found = {name: _entries(name, _value(variables, name, problems), _line(variables), problems) for name in LISTS}
    return LifecycleRules(
        terms=tuple(map(_named_condition, found["lifecycle_terms"])),
        rules=tuple(map(_rule, found["lifecycle_rules"])),
        risks=tuple(map(_named_condition, found["lifecycle_risks"])),
        flags=tuple(map(_named_condition, found["lifecycle_flags"])),
    )


def _value(node: yaml.Node | None, key: str, problems: _Problems) -> yaml.Node | None:
    """What stands under a key; dbt would take the last of several in silence."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    found = [(name, value) for name, value in pairs if name.value == key]
    for name, _ in found[1:]:
        problem = f"'{key}' stands here a second time, first in line {_line(found[0][0])}"
        problems.add(RULES_FILE, _line(name), "vars", problem, "Keep one of the two.")
    return found[0][1] if found else None


def _line(node: yaml.Node | None) -> int:
    return node.start_mark.line + 1 if node is not None else 1


def _entries(name: str, node: yaml.Node | None, line: int, problems: _Problems) -> list[_Entry]:
    what = name.removeprefix("lifecycle_").removesuffix("s")
    # Terms only spare repetition; without the others the models have nothing to build.
    is_needed = name != "lifecycle_terms"
    if node is None and is_needed:
        problems.add(RULES_FILE, line, f"vars.{name}", "the list is missing", "Add it under `vars:`.")
    if node is None:
        return []
    entries = _listed(node, what, f"vars.{name}", LISTS[name], problems, is_needed=is_needed)
    seen: dict[str, int] = {}
    for entry in chain.from_iterable((rule, *rule.signs) for rule in entries):
        # A rule and a sign too: the history says either of them as what decided.
        if entry.id in seen:
            entry.wrong(
                "id",
                f"the id '{entry.id}' stands here a second time, first in line {seen[entry.id]}",
                "Give one of the two another name.",
            )
        if entry.id:
            seen.setdefault(entry.id, entry.at("id"))
    return entries


def _listed(
    node: yaml.Node, what: str, place: str, known: Sequence[str], problems: _Problems, *, is_needed: bool = True
) -> list[_Entry]:
    """The entries of a list."""
    remedy = f"Write one entry per {what}, each with its keys: `- id: …`."
    is_empty = not node.value or (isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null"))
    if is_empty and not is_needed:
        return []
    if is_empty or not isinstance(node, yaml.SequenceNode):
        problems.add(RULES_FILE, _line(node), place, "the list is empty" if is_empty else "this is no list", remedy)
        return []
    entries = []
    for position, item in enumerate(node.value, start=1):
        if isinstance(item, yaml.MappingNode):
            inside = f"{place}, " if what == "sign" else ""
            entries.append(_Entry(item, what, f"{inside}{what} number {position}", known, problems))
        else:
            problems.add(RULES_FILE, _line(item), f"{place}, number {position}", "this is no entry with keys", remedy)
    return entries


class _Entry:
    """One entry of a list while it is read: its fields, and the line of each."""

    def __init__(
        self, node: yaml.MappingNode, what: str, place: str, known: Sequence[str], problems: _Problems
    ) -> None:
        self.line, self.place, self._problems = _line(node), place, problems
        self.fields: dict[str, yaml.Node] = {}
        self.lines: dict[str, int] = {}
        repeated = []
        for key, value in node.value:
            field = str(key.value)
            if field in self.fields:
                repeated.append(_line(key))
            self.fields.setdefault(field, value)
            self.lines.setdefault(field, _line(key))
        name = self.fields.get("id")
        if isinstance(name, yaml.ScalarNode) and name.value:
            self.place = place.replace(f"{what} number {place.rpartition(' ')[2]}", f"{what} {name.value}")
        for line in repeated:
            problems.add(RULES_FILE, line, self.place, "a key stands here a second time", "Keep one of the two.")
        for field in self.fields:
            if field not in known:
                self.wrong(field, f"unknown key '{field}'{hint(field, known)}", f"Known here: {', '.join(known)}.")
        self.id = self.text("id")
        if self.id and not PLAIN_NAME.fullmatch(self.id):
            remedy = "Write lower-case letters, digits and underscores, starting with a letter."
            self.wrong("id", f"the id '{self.id}' is no plain name", remedy)
        self.signs: list[_Entry] = []
        if "signs" in known and "signs" in self.fields:
            self.signs = _listed(self.fields["signs"], "sign", self.place, SIGN_FIELDS, problems)

    def at(self, field: str) -> int:
        return self.lines.get(field, self.line)

    def wrong(self, field: str, problem: str, remedy: str) -> None:
        self._problems.add(RULES_FILE, self.at(field), self.place, problem, remedy)

    def text(self, field: str) -> str:
        """A field that must be there and hold a text; empty where it does not."""
        node = self.fields.get(field)
        if node is None or node.value in ("", []) or node.tag.endswith(":null"):
            self.wrong(field, f"'{field}' is missing", "Add it; docs/lifecycle.md says what a rule is made of.")
            return ""
        if not isinstance(node, yaml.ScalarNode) or node.tag != "tag:yaml.org,2002:str":
            shown = f", and {node.value} is none to YAML" if isinstance(node, yaml.ScalarNode) else ""
            self.wrong(field, f"'{field}' has to be a text{shown}", "Put it in quotes.")
            return ""
        return str(node.value)

    def number(self, field: str) -> int:
        """A field that must be there and hold a whole number from 1; 0 where it does not."""
        node = self.fields.get(field)
        remedy = "Number the rules from 1 in the order of the list."
        if node is None:
            self.wrong(field, f"'{field}' is missing", remedy)
        elif node.tag != "tag:yaml.org,2002:int" or not re.fullmatch(r"[1-9][0-9]*", str(node.value)):
            self.wrong(field, f"'{field}' has to be a whole number from 1", remedy)
        else:
            return int(node.value)
        return 0


def _named_condition(entry: _Entry) -> NamedCondition:
    return NamedCondition(
        id=entry.id, condition=entry.text("condition"), place=entry.place, line=entry.line, lines=entry.lines
    )


def _sign(entry: _Entry) -> Sign:
    condition, sentence, evidence = (entry.text(field) for field in REASON_FIELDS)
    return Sign(entry.id, condition, sentence, evidence, place=entry.place, line=entry.line, lines=entry.lines)


def _rule(entry: _Entry) -> Rule:
    precedence, stage = entry.number("precedence"), entry.text("stage")
    condition = sentence = evidence = ""
    both = [field for field in REASON_FIELDS if field in entry.fields]
    if "signs" not in entry.fields:
        condition, sentence, evidence = (entry.text(field) for field in REASON_FIELDS)
    elif both:
        entry.wrong(
            both[0],
            f"the rule has signs and {' and '.join(repr(field) for field in both)} too",
            "With signs, condition, sentence and evidence stand in each sign.",
        )
    signs = tuple(map(_sign, entry.signs))
    return Rule(
        precedence,
        entry.id,
        stage,
        condition,
        sentence,
        evidence,
        signs,
        place=entry.place,
        line=entry.line,
        lines=entry.lines,
    )


# --- what the entries say --------------------------------------------------------------------------------------------


Part = NamedCondition | Sign | Rule


class _Meanings:
    """The conditions of the list, translated; None for one that is wrong."""

    def __init__(self, names: FactNames, rules: LifecycleRules, problems: _Problems) -> None:
        self._problems = problems
        self._terms: dict[str, Meaning | None] = {}
        self._later = [term.id for term in rules.terms]
        self.names = names

    @property
    def words(self) -> Words:
        return Words(self.names.facts, self.names.thresholds, self._terms, tuple(self._later))

    def of(self, entry: Part) -> Formula | None:
        """When the condition of an entry is true. What is wrong with it is noted, also that it never is."""
        meaning = self._read(entry)
        return meaning.true if meaning is not None else None

    def add_term(self, term: NamedCondition) -> None:
        self._terms[term.id] = self._read(term)
        self._later.remove(term.id)

    def _read(self, entry: Part) -> Meaning | None:
        if not entry.condition:
            return None
        meaning, mistakes = read_condition(entry.condition, self.words)
        if meaning is not None and not can_hold(meaning.true):
            mistakes = [Mistake("the condition can never hold: it contradicts itself", "Mend it, or take it out.")]
        self._problems.add_all(entry, "condition", mistakes)
        return None if mistakes else meaning


def _check_terms(rules: LifecycleRules, names: FactNames, problems: _Problems) -> _Meanings:
    meanings = _Meanings(names, rules, problems)
    for term in rules.terms:
        taken = {"fact": names.facts, "threshold": names.thresholds, "word of conditions": tuple(RESERVED)}
        for kind, taken_names in taken.items():
            if term.id in taken_names:
                problems.note(term, "id", f"'{term.id}' is the name of a {kind} too", "Give the term another name.")
        meanings.add_term(term)
    users: list[Part] = [
        *rules.rules,
        *(sign for rule in rules.rules for sign in rule.signs),
        *rules.risks,
        *rules.flags,
    ]
    used = set[str]().union(*(named_in(user.condition) for user in users))
    for term in reversed(rules.terms):
        if term.id in used:
            used |= named_in(term.condition)
        elif term.id:
            problems.note(
                term, "id", f"nobody uses the term '{term.id}'", "Take it out, or name it in a rule, a risk or a flag."
            )
    return meanings


def _check_order(rules: Sequence[Rule], problems: _Problems) -> None:
    """The numbers say the order that is there: reading one rule alone, one knows how many come first."""
    numbered = [rule for rule in rules if rule.precedence]
    first: dict[int, Rule] = {}
    for rule in numbered:
        if rule.precedence in first:
            other = first[rule.precedence]
            problems.note(
                rule,
                "precedence",
                f"overlap: precedence {rule.precedence} is that of '{other.id}' too, in line {other.at('precedence')}",
                "Number the rules from 1 in the order of the list.",
            )
        first.setdefault(rule.precedence, rule)
    before = 0
    for precedence in sorted(first):
        if precedence > before + 1:
            missing = f"{before + 1}" if precedence == before + 2 else f"{before + 1} to {precedence - 1}"
            problems.note(
                first[precedence],
                "precedence",
                f"gap: no rule has precedence {missing}",
                "Number the rules from 1 in the order of the list.",
            )
        before = precedence
    for earlier, later in pairwise(numbered):
        if later.precedence < earlier.precedence:
            problems.note(
                later,
                "precedence",
                f"precedence {later.precedence} stands behind {earlier.precedence}",
                "The list stands in the order in which its rules are tried.",
            )


def _check_stages(rules: Sequence[Rule], stages: Mapping[str, int], problems: _Problems) -> None:
    for rule in rules:
        if rule.stage and rule.stage not in stages:
            remedy = f"Stages: {', '.join(stages)} ({STAGES_FILE})."
            problems.note(rule, "stage", f"'{rule.stage}' is no stage{hint(rule.stage, stages)}", remedy)
    given = {rule.stage for rule in rules}
    if rules and given <= set(stages):
        for stage, line in stages.items():
            if stage not in given:
                problems.add(
                    STAGES_FILE,
                    line,
                    f"stage {stage}",
                    "no rule gives this stage: nobody can ever be in it",
                    "Add a rule for it, or take the stage out of the seed.",
                )


def _check_rules(rules: Sequence[Rule], meanings: _Meanings, problems: _Problems) -> None:
    """Each rule by itself, then what the rules before it leave over for it."""
    before: list[tuple[Part, Formula]] = []
    read = [[(entry, meanings.of(entry)) for entry in rule.signs or (rule,)] for rule in rules]
    for entry, _ in chain.from_iterable(read):
        problems.add_all(entry, "sentence", sentence_mistakes(entry.sentence, meanings.words))
        problems.add_all(entry, "evidence", evidence_mistakes(entry.evidence, meanings.words))
    for position, (rule, parts) in enumerate(zip(rules, read, strict=True)):
        is_last = position == len(rules) - 1
        formulas = [formula for _, formula in parts if formula is not None]
        whole = Some(tuple(formulas)) if len(formulas) == len(parts) else None
        if whole is not None and must_hold(whole):
            if not is_last:
                _refuse_behind(rule, rules[position + 1 :], problems)
            return
        if whole is not None and is_last:
            problems.note(
                rule,
                "signs" if rule.signs else "condition",
                "gap: this is the last rule and does not hold for everybody, so somebody would have no stage",
                'End the list with a rule whose condition is "true".',
            )
        if whole is None or not (rule.signs and _refuse_covered(rule, "signs", whole, before, problems)):
            _check_covered(parts, list(before), problems)
        if whole is not None:
            before.append((rule, whole))


def _refuse_behind(total: Rule, behind: Sequence[Rule], problems: _Problems) -> None:
    more = f", nor can the {len(behind) - 1} behind it" if len(behind) > 1 else ""
    problems.note(
        behind[0],
        "id",
        f"it can never be reached{more}: '{total.id}' (line {total.line}) comes first and holds for everybody",
        "Put the rule that holds for everybody at the end.",
    )


def _check_covered(
    parts: Iterable[tuple[Part, Formula | None]], before: list[tuple[Part, Formula]], problems: _Problems
) -> None:
    """Refuse what never decides anything because others come first; each part comes before the next."""
    for entry, formula in parts:
        if formula is not None:
            _refuse_covered(entry, "condition", formula, before, problems)
            before.append((entry, formula))


def _refuse_covered(
    entry: Part, field: str, formula: Formula, before: Sequence[tuple[Part, Formula]], problems: _Problems
) -> bool:
    cover = [before[position][0] for position in covering(formula, [one for _, one in before])]
    if cover:
        named = [f"'{one.id}' (line {one.line})" for one in cover]
        first = f"{named[0]} comes first and holds whenever it would"
        if len(named) > 1:
            first = f"{', '.join(named[:-1])} and {named[-1]} come first, and one of them holds whenever it would"
        problems.note(
            entry,
            field,
            f"it can never be reached: {first}",
            "Put it further up, change one of the conditions, or take it out.",
        )
    return bool(cover)


def _check_risks_and_flags(rules: LifecycleRules, meanings: _Meanings, problems: _Problems) -> None:
    _check_covered([(risk, meanings.of(risk)) for risk in rules.risks], [], problems)
    for flag in rules.flags:
        meanings.of(flag)
        if flag.id in (*meanings.names.facts, *meanings.names.thresholds):
            # Segments may name both.
            problem = f"'{flag.id}' is the name of a fact or threshold too"
            problems.note(flag, "id", problem, "Give the flag another name.")


# --- the schemes -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _SchemeRow:
    line: int
    scheme: str
    precedence: int
    stage: str
    condition: str


def _check_schemes(
    project_dir: Path, stages: Mapping[str, int], flags: Sequence[NamedCondition], problems: _Problems
) -> None:
    """Whether every stage has exactly one place in every scheme."""
    if not (project_dir / SCHEMES_FILE).exists():
        return
    flag_ids = [flag.id for flag in flags]
    table = _table(project_dir, SCHEMES_FILE, SCHEME_COLUMNS)
    rows = [_scheme_row(line, row, stages, flag_ids, problems) for line, row in table]
    schemes: dict[str, dict[str, list[_SchemeRow]]] = {}
    for row in rows:
        schemes.setdefault(row.scheme, {}).setdefault(row.stage, []).append(row)
    for scheme, by_stage in schemes.items():
        if not scheme:
            continue
        missing = [stage for stage in stages if stage not in by_stage]
        if missing:
            problems.add(
                SCHEMES_FILE,
                next(row.line for row in rows if row.scheme == scheme),
                f"scheme {scheme}",
                f"the scheme says nothing of {', '.join(missing)}: somebody would have no place in it",
                "Add a row without a condition for each.",
            )
        for stage, of_stage in by_stage.items():
            if stage in stages:
                _check_scheme_stage(of_stage, problems)


def _scheme_row(
    line: int, row: Mapping[str, str], stages: Mapping[str, int], flags: Sequence[str], problems: _Problems
) -> _SchemeRow:
    scheme, stage, condition = row["scheme"], row["stage"], row["condition"]
    place = f"scheme {scheme or '?'}, stage {stage or '?'}"
    for column in ("scheme", "stage", "scheme_stage"):
        if not row[column]:
            problems.add(SCHEMES_FILE, line, place, f"'{column}' is empty", "Fill it in.")
    if stage and stage not in stages:
        remedy = f"Stages: {', '.join(stages)} ({STAGES_FILE})."
        problems.add(SCHEMES_FILE, line, place, f"'{stage}' is no stage{hint(stage, stages)}", remedy)
    usable = [*(flag for flag in flags if flag.startswith("is_")), RISK_FLAG]
    if condition and condition not in usable:
        problem = f"'{condition}' is no flag of lifecycle_flags{hint(condition, usable)}"
        if condition in flags:
            problem = f"the flag '{condition}' is not named is_…, as those that schemes may use"
        remedy = f"A condition is empty, {RISK_FLAG}, or the id of a flag whose name begins with is_."
        problems.add(SCHEMES_FILE, line, place, problem, remedy)
    precedence = row["precedence"]
    if not re.fullmatch(r"[1-9][0-9]*", precedence):
        remedy = "Number the rows of a scheme and stage from 1."
        problems.add(SCHEMES_FILE, line, place, f"the precedence '{precedence}' is no whole number from 1", remedy)
        precedence = "0"
    return _SchemeRow(line, scheme, int(precedence), stage, condition)


def _check_scheme_stage(rows: Sequence[_SchemeRow], problems: _Problems) -> None:
    """The rows of one scheme and stage, in the order in which they are tried."""
    place = f"scheme {rows[0].scheme}, stage {rows[0].stage}"
    if any(row.precedence == 0 for row in rows):
        return
    ordered = sorted(rows, key=lambda row: (row.precedence, row.line))
    for earlier, later in pairwise(ordered):
        if earlier.precedence == later.precedence:
            problem = f"precedence {later.precedence} is that of line {earlier.line} too"
            remedy = "Number the rows of a scheme and stage from 1, in the order in which they are tried."
            problems.add(SCHEMES_FILE, later.line, place, problem, remedy)
    tried: dict[str, int] = {}
    for row in ordered:
        first = tried.get("", tried.get(row.condition))
        if first is not None:
            problem = f"this row is never reached: line {first} comes first" + (
                " and has no condition" if "" in tried else " with the same condition"
            )
            problems.add(SCHEMES_FILE, row.line, place, problem, "Take it out, or number it before that line.")
        tried.setdefault(row.condition, row.line)
    if "" not in tried:
        problems.add(
            SCHEMES_FILE,
            ordered[-1].line,
            place,
            "the last row has a condition: somebody in this stage would have no place in the scheme",
            "Add a last row without a condition.",
        )
