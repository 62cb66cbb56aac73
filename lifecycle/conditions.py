"""The language of conditions and sentences: what a rule may say, and what it means.

Belongs here: the words, the kinds of what is compared, and the translation of a condition into formulas. Does not
belong here: the list of rules (``lifecycle/rules.py``), and the SQL that is made of a condition (macros of dbt).

A condition is SQL's and / or / not, comparisons, ``is (not) null``, ``between``, ``in`` a list, numbers, texts,
parentheses and + - * / over facts, thresholds and terms, with two words for time: ``within(fact_at, days)`` and
``expired(fact_at, days)``. Everything else is refused, so that each condition reads the same on
every engine and its clocks can be found.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

from lifecycle.reachability import (
    ALWAYS,
    EVERY_NUMBER,
    NEVER,
    Every,
    Formula,
    Known,
    Lies,
    Numbers,
    Quantity,
    Some,
    common,
    numbers,
    others,
)

if TYPE_CHECKING:
    from sqlglot import exp

Kind = Literal["number", "text", "time"]

TIME_WORDS = ("within", "expired")

RESERVED = {*TIME_WORDS, "and", "or", "not", "is", "null", "between", "in", "true", "false"}
YES_NO = ("is_", "has_")
"""How the name of a fact begins that is 1 or 0."""

TEXT_ENDINGS = ("_reason", "_tier", "_name", "_category")
"""How the name of a fact ends that is a text; those in ``_at`` are times, all others are numbers."""

SENTENCE_KINDS: dict[str, tuple[Kind, ...]] = {
    "before": ("time",),
    "days": ("time", "number"),
    "days_since": ("time",),
    "whole": ("number",),
    "text": ("text",),
}
"""Placeholder of a sentence → the kinds of facts that it takes."""

KIND_NAMES: dict[Kind, str] = {"number": "a number", "text": "a text", "time": "a time"}
MAX_LENGTH = 2_000

_TEXT = re.compile(r"'(?:[^']|'')*'")
_PLACEHOLDER = re.compile(r"\{(\w+):(\w+)\}")
_CALL = re.compile(r"\b(?:within|expired)\(\w+,\s*[\w.]+\)")
"""The one spelling that the compiler of the rules looks for."""

FACTS_FILE = "dbt_project/macros/lifecycle_facts.sql"


@dataclass(frozen=True)
class Mistake:
    problem: str
    remedy: str = ""


@dataclass(frozen=True)
class Meaning:
    """When a condition is true and when it is false; with a fact that is not known it may be neither."""

    true: Formula
    false: Formula


@dataclass(frozen=True)
class Words:
    """What a condition may name. A term without a meaning is one whose own condition is wrong."""

    facts: tuple[str, ...]
    thresholds: tuple[str, ...]
    terms: Mapping[str, Meaning | None] = field(default_factory=dict)
    later_terms: tuple[str, ...] = ()


def kind_of(name: str) -> Kind:
    """By its name, as columns are named here: ``_at`` is a time, few endings are texts, everything else is a number."""
    if name.endswith("_at"):
        return "time"
    return "text" if name.endswith(TEXT_ENDINGS) and not name.startswith(YES_NO) else "number"


def hint(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name.lower(), list(known), 1)
    return f", did you mean '{near[0]}'?" if near else ""


def named_in(condition: str) -> set[str]:
    """Every word of a condition, also of one that does not parse."""
    return set(re.findall(r"\w+", _TEXT.sub("''", condition)))


TOO_DEEP = Mistake("the condition has too many parts inside each other", "Give some of them a name in lifecycle_terms.")


def read_condition(condition: str, words: Words) -> tuple[Meaning | None, list[Mistake]]:
    """What a condition means, and what is wrong with it; without a meaning something is."""
    mistakes = [*_spelling_mistakes(condition), *_terms_in_texts(condition, words)]
    if mistakes:
        return None, mistakes
    node, mistake = _parse(condition)
    if node is None:
        return None, [mistake] if mistake else []
    reader = _Reader(words)
    try:
        meaning = reader.meaning(node)
    except RecursionError:
        return None, [TOO_DEEP]
    return (None if reader.mistakes else meaning), reader.mistakes


def sentence_mistakes(sentence: str, words: Words) -> Iterator[Mistake]:
    """What is wrong with the placeholders of a sentence."""
    for kind, fact in _PLACEHOLDER.findall(sentence):
        if kind not in SENTENCE_KINDS:
            yield Mistake(
                f"a sentence knows no '{kind}'{hint(kind, SENTENCE_KINDS)}",
                "Known: {before:fact_at}, {days:fact}, {days_since:fact_at}, {whole:fact}, {text:fact}.",
            )
        elif fact not in words.facts:
            yield Mistake(f"'{fact}' in the sentence is no fact{hint(fact, words.facts)}", f"Facts: {FACTS_FILE}.")
        elif kind_of(fact) not in SENTENCE_KINDS[kind]:
            needed = " or ".join(KIND_NAMES[one] for one in SENTENCE_KINDS[kind])
            yield Mistake(
                f"{{{kind}:{fact}}} needs {needed}, and '{fact}' is {KIND_NAMES[kind_of(fact)]}",
                "before and days_since take a fact in _at, days that or a number, whole a number, text a text.",
            )
    rest = _PLACEHOLDER.sub("", sentence)
    if "{" in rest or "}" in rest:
        yield Mistake(
            "a brace in the sentence opens or closes no placeholder",
            "Write {before:fact_at}, {days:fact}, {whole:fact} or {text:fact}, without blanks inside.",
        )


def evidence_mistakes(evidence: str, words: Words) -> Iterator[Mistake]:
    """What is wrong with the evidence of a rule; that it is missing is not asked here."""
    if not evidence:
        return
    if evidence not in words.facts:
        times = [fact for fact in words.facts if kind_of(fact) == "time"]
        yield Mistake(f"'{evidence}' is no fact{hint(evidence, times)}", f"Facts: {FACTS_FILE}.")
    elif kind_of(evidence) != "time":
        yield Mistake(
            f"'{evidence}' is {KIND_NAMES[kind_of(evidence)]}, and evidence is a time",
            "Name the fact in _at whose event caused the stage.",
        )


def _spelling_mistakes(condition: str) -> Iterator[Mistake]:
    """What the parser would let pass or nobody could read: the compiler of the rules works on the text itself."""
    code = _TEXT.sub("''", condition)
    if len(condition) > MAX_LENGTH:
        yield Mistake(
            f"the condition has {len(condition):,} characters, and {MAX_LENGTH:,} may be read with care",
            "Give parts of it a name in lifecycle_terms.",
        )
    if ";" in code:
        yield Mistake("a condition has no semicolon", "Write one condition; parts are joined by `and` or `or`.")
    if "--" in code or "/*" in code:
        yield Mistake("a condition has no SQL comment", "Put it into a YAML comment above, after a #.")
    if '"' in code or "`" in code:
        yield Mistake("a condition has no quoted names", "Write names bare and texts in single quotes.")
    for word in re.findall(r"\b(isnull|notnull|unknown)\b", code, re.IGNORECASE):
        yield Mistake(f"a condition knows no '{word}'", "Write `is null` or `is not null`.")
    if len(re.findall(r"\b(?:within|expired)\s*\(", code)) > len(_CALL.findall(code)):
        yield Mistake(
            "a word for time is not written as it is looked for",
            "Write within(fact_at, days), expired(fact_at, days): bare names or a plain number,"
            " no blank beside the parentheses or before the comma.",
        )


def _terms_in_texts(condition: str, words: Words) -> Iterator[Mistake]:
    for text in _TEXT.findall(condition):
        for term in sorted(set(re.findall(r"\w+", text)) & {*words.terms, *words.later_terms}):
            yield Mistake(
                f"the text {text} has the name of the term '{term}' in it",
                "Give the term another name: its condition is put wherever its name stands.",
            )


def _parse(condition: str) -> tuple[exp.Expr | None, Mistake | None]:
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    remedy = "Write a condition: facts compared with numbers or texts, joined by `and`, `or`, `not`."
    try:
        return sqlglot.parse_one(condition, dialect="duckdb", into=exp.Condition), None
    except RecursionError:
        return None, TOO_DEEP
    except SqlglotError as error:
        details = getattr(error, "errors", None) or [{}]
        near = str(details[0].get("highlight") or "").strip()
        return None, Mistake(f"this is no condition{f': it cannot be read at {near!r}' if near else ''}", remedy)


@dataclass(frozen=True)
class _Operand:
    """One side of a comparison; ``name`` is empty for a number or text that is written out."""

    kind: Kind
    shown: str
    name: str = ""
    number: Fraction | None = None
    """What is written out; a text as the number that stands for it."""
    needs: frozenset[str] = frozenset()
    """What has to be known for the comparison to be true or false."""


COMPARISONS = {"EQ": "=", "NEQ": "<>", "LT": "<", "LTE": "<=", "GT": ">", "GTE": ">="}
FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
KNOWN_WORDS = "Known: within(fact_at, days), expired(fact_at, days)."
KNOWN_SQL = "Known: and, or, not, comparisons, is null, between, in, numbers, texts, + - * / and the words for time."
TRUE = Meaning(ALWAYS, NEVER)
FALSE = Meaning(NEVER, ALWAYS)


class _WrongError(Exception):
    def __init__(self, problem: str, remedy: str) -> None:
        self.mistake = Mistake(problem, remedy)
        super().__init__(problem)


class _Reader:
    """Translates the parsed condition, and gathers what is wrong with it."""

    def __init__(self, words: Words) -> None:
        self.words = words
        self.mistakes: list[Mistake] = []

    def _gather(self, error: _WrongError) -> None:
        if error.mistake not in self.mistakes:
            self.mistakes.append(error.mistake)

    # --- what is true or false ---

    def meaning(self, node: exp.Expr) -> Meaning | None:
        """None where something is wrong, here or in a term that is named; what stands beside it is looked at too."""
        try:
            return self._meaning(node)
        except _WrongError as error:
            self._gather(error)
            return None

    def _meaning(self, node: exp.Expr) -> Meaning | None:
        kind = type(node).__name__
        if kind in COMPARISONS:
            return self._compared(node.this, COMPARISONS[kind], node.expression)
        readers: dict[str, Callable[[Any], Meaning | None]] = {
            "Paren": lambda paren: self.meaning(paren.this),
            "Boolean": lambda boolean: TRUE if boolean.this else FALSE,
            "And": lambda both: _joined(True, self.meaning(both.left), self.meaning(both.right)),
            "Or": lambda either: _joined(False, self.meaning(either.left), self.meaning(either.right)),
            "Not": lambda negated: _turned(self.meaning(negated.this)),
            "Is": self._is_null,
            "Between": self._between,
            "In": self._in,
            "Anonymous": self._called,
        }
        if kind in readers:
            return readers[kind](node)
        if kind == "Column" and node.name in self.words.terms and not node.args.get("table"):
            return self.words.terms[node.name]
        operand = self._operand(node)
        remedy = "Compare it with something, for example `paid_count > 0`."
        if operand.kind == "time":
            remedy = f"Write `{operand.shown} is not null`, or use within or expired."
        elif operand.name.startswith(YES_NO):
            remedy = f"Yes/no facts are 1 or 0: write `{operand.shown} = 1`."
        raise _WrongError(f"'{operand.shown}' is {KIND_NAMES[operand.kind]} and no condition", remedy)

    def _is_null(self, node: exp.Is) -> Meaning:
        if type(node.expression).__name__ != "Null":
            raise _WrongError(f"a condition knows no '{_sql(node)}'", "Write `= 1`, `= 0`, `is null` or `not`.")
        operand = self._operand(node.this)
        if operand.name not in self.words.facts:
            raise _WrongError(f"'{operand.shown}' is no fact, and only a fact can be null", "Name a single fact.")
        return Meaning(Known(operand.name, False), Known(operand.name, True))

    def _between(self, node: exp.Between) -> Meaning | None:
        if node.args.get("symmetric"):
            raise _WrongError("a condition knows no 'between symmetric'", "Write the smaller bound first.")
        low, high = node.args["low"], node.args["high"]
        return _joined(True, self._compared(node.this, ">=", low), self._compared(node.this, "<=", high))

    def _in(self, node: exp.In) -> Meaning | None:
        if any(value for key, value in node.args.items() if key not in ("this", "expressions")) or not node.expressions:
            raise _WrongError("`in` takes a list of numbers or texts", "Write them out: `in (1, 2)`.")
        subject, *values = (self._operand(one) for one in (node.this, *node.expressions))
        misplaced = [value.shown for value in values if value.name] + ([] if subject.name else [subject.shown])
        if misplaced:
            raise _WrongError(
                f"'{misplaced[0]}' stands on the wrong side of `in`",
                "A fact stands before `in`, numbers or texts that are written out stand behind it.",
            )
        _compare_kinds(subject, *values)
        left = EVERY_NUMBER
        for value in values:
            left = common(left, numbers("<>", _written(value)))
        return _told(subject.needs, _quantity(subject), others(left))

    def _called(self, node: exp.Anonymous) -> Meaning:
        word, arguments = str(node.this), node.expressions
        if word not in TIME_WORDS:
            raise _WrongError(f"a condition knows no '{word}(…)'{hint(word, TIME_WORDS)}", KNOWN_WORDS)
        if len(arguments) != 2:
            raise _WrongError(f"'{word}' takes two arguments, and here has {len(arguments)}", KNOWN_WORDS)
        fact = _bare(arguments[0])
        if fact not in self.words.facts or kind_of(fact) != "time":
            times = [one for one in self.words.facts if kind_of(one) == "time"]
            raise _WrongError(
                f"'{word}' begins with a fact in _at, and '{_sql(arguments[0])}' is none{hint(fact, times)}",
                f"Facts: {FACTS_FILE}.",
            )
        age = f"days since {fact}"
        return self._clock(word, fact, age, arguments[1])

    def _clock(self, word: str, fact: str, age: str, days: exp.Expr) -> Meaning:
        needs = [Known(fact, True)]
        bound = Fraction(0)
        name = _bare(days)
        if _is_number(days) and Fraction(days.name) >= 1:
            quantity, bound = Quantity(age), Fraction(days.name)
        elif name.endswith("_days") and name in self.words.facts:
            quantity = Quantity(age, above=name)
            needs.append(Known(name, True))
        elif name.endswith("_days") and name in self.words.thresholds:
            # The settings refuse a clock of less than a day.
            quantity = Quantity(age, above=name, least_above=Fraction(1))
        else:
            known = [one for one in (*self.words.thresholds, *self.words.facts) if one.endswith("_days")]
            raise _WrongError(
                f"'{_sql(days)}' is no number of days for '{word}'{hint(name, known)}",
                "Days are a number from 1, or a threshold or fact in _days.",
            )
        young = Every((*needs, Lies(quantity, numbers("<", bound))))
        old = Every((*needs, Lies(quantity, numbers(">=", bound))))
        unknown = Known(fact, False)
        if word == "within":
            return Meaning(young, Some((unknown, old)))
        return Meaning(old, Some((unknown, young)))

    # --- what is compared ---

    def _compared(self, left_node: exp.Expr, operator: str, right_node: exp.Expr) -> Meaning | None:
        sides = []
        for node in (left_node, right_node):
            try:
                sides.append(self._operand(node))
            except _WrongError as error:
                self._gather(error)
        if len(sides) < 2:
            return None
        _compare_kinds(*sides)
        if sides[0].kind == "text" and operator not in ("=", "<>"):
            raise _WrongError(f"texts are not compared with '{operator}'", "Compare texts with =, <> or in.")
        left, right = sides
        if left.number is not None or (right.number is None and left.name > right.name):
            left, right, operator = right, left, FLIPPED.get(operator, operator)
        needs = left.needs | right.needs
        if left.number is not None:
            return TRUE if common(numbers(operator, _written(right)), numbers("=", left.number)) else FALSE
        if right.number is not None:
            return _told(needs, _quantity(left), numbers(operator, right.number))
        if left.name == right.name:
            known = Every(tuple(Known(fact, True) for fact in sorted(needs)))
            return Meaning(known, NEVER) if operator in ("=", "<=", ">=") else Meaning(NEVER, known)
        return _told(needs, Quantity(left.name, above=right.name), numbers(operator, Fraction(0)))

    def _operand(self, node: exp.Expr) -> _Operand:
        from sqlglot import exp

        if isinstance(node, exp.Paren):
            return self._operand(node.this)
        if isinstance(node, exp.Literal) and node.is_string:
            return _Operand("text", _sql(node), number=Fraction(int.from_bytes(b"t" + node.name.encode(), "big")))
        if isinstance(node, exp.Literal):
            return _Operand("number", _sql(node), number=Fraction(node.name))
        if isinstance(node, exp.Column):
            return self._named(node)
        if isinstance(node, (exp.Neg, exp.Add, exp.Sub, exp.Mul, exp.Div)):
            return self._calculated(node)
        raise _refusal(node)

    def _named(self, node: exp.Column) -> _Operand:
        name, words = _bare(node), self.words
        if not name:
            raise _WrongError(f"'{_sql(node)}' is no plain name", "Name facts, thresholds and terms bare.")
        if name in words.facts:
            return _Operand(kind_of(name), name, name, needs=frozenset({name}))
        if name in words.thresholds:
            return _Operand("number", name, name)
        if name in words.terms:
            raise _WrongError(
                f"the term '{name}' is a condition, and no value", "Write the bare word, or `not` and it."
            )
        if name in words.later_terms:
            raise _WrongError(
                f"the term '{name}' is not known here yet",
                "A term may use those above it in lifecycle_terms, no others.",
            )
        raise _WrongError(
            f"unknown name '{name}'{hint(name, (*words.facts, *words.thresholds, *words.terms))}",
            f"Facts and thresholds: {FACTS_FILE}; terms: lifecycle_terms.",
        )

    def _calculated(self, node: exp.Expr) -> _Operand:
        from sqlglot import exp

        operands = [self._operand(side) for side in (node.this, node.args.get("expression")) if side is not None]
        for operand in operands:
            if operand.kind != "number":
                raise _WrongError(
                    f"'{operand.shown}' is {KIND_NAMES[operand.kind]} and cannot be calculated with",
                    "Calculate with numbers; for times use within or expired.",
                )
        shown = _sql(node)
        if isinstance(node, exp.Neg) and operands[0].number is not None:
            return _Operand("number", shown, number=-operands[0].number)
        needs = frozenset[str]().union(*(operand.needs for operand in operands))
        # Nothing divided by zero is known, whatever its parts are.
        return _Operand("number", shown, shown, needs=needs | {shown} if node.find(exp.Div) else needs)


def _refusal(node: exp.Expr) -> _WrongError:
    """Why something is neither a number nor a text nor a time."""
    from sqlglot import exp

    shown = _sql(node)
    if isinstance(node, (exp.Query, exp.Subquery, exp.Exists)):
        return _WrongError(
            "a condition has no query in it", "Compare facts; what no fact says has to become a fact first."
        )
    if isinstance(node, exp.Null):
        return _WrongError("nothing is equal to null, nor unequal", "Write `is null` or `is not null`.")
    if isinstance(node, exp.Anonymous) and str(node.this) not in TIME_WORDS:
        return _WrongError(f"a condition knows no '{node.this}(…)'{hint(str(node.this), TIME_WORDS)}", KNOWN_WORDS)
    conditions = (exp.And, exp.Or, exp.Not, exp.Boolean, exp.Is, exp.In, exp.Between, exp.Anonymous)
    if type(node).__name__ in COMPARISONS or isinstance(node, conditions):
        return _WrongError(f"'{shown}' is a condition, and no value", "Use it by itself, or `not` and it.")
    if isinstance(node, exp.Func) and not isinstance(node, (exp.Cast, exp.Case, exp.Binary)):
        return _WrongError(f"a condition knows no '{node.sql_name().lower()}(…)'", KNOWN_WORDS)
    return _WrongError(f"a condition knows no '{shown}'", KNOWN_SQL)


def _compare_kinds(*operands: _Operand) -> None:
    first = operands[0]
    for other in operands[1:]:
        if other.kind != first.kind:
            remedy = "Compare numbers with numbers and texts with texts, which stand in single quotes."
            if "time" in (first.kind, other.kind):
                remedy = "Use within(fact_at, days) or expired(fact_at, days)."
            raise _WrongError(
                f"{first.shown} is {KIND_NAMES[first.kind]} and {other.shown} is {KIND_NAMES[other.kind]}", remedy
            )


def _sql(node: exp.Expr) -> str:
    return str(node.sql(dialect="duckdb", comments=False))


def _bare(node: exp.Expr) -> str:
    """The name of a column that is named by itself, or nothing."""
    is_bare = type(node).__name__ == "Column" and [key for key, value in node.args.items() if value] == ["this"]
    return node.name if is_bare and type(node.this).__name__ == "Identifier" else ""


def _is_number(node: exp.Expr) -> bool:
    return type(node).__name__ == "Literal" and not node.args.get("is_string")


def _written(operand: _Operand) -> Fraction:
    if operand.number is None:
        raise TypeError(f"{operand.shown} is not written out")
    return operand.number


def _turned(meaning: Meaning | None) -> Meaning | None:
    return None if meaning is None else Meaning(meaning.false, meaning.true)


def _joined(is_and: bool, left: Meaning | None, right: Meaning | None) -> Meaning | None:
    if left is None or right is None:
        return None
    if is_and:
        return Meaning(_every(left.true, right.true), _some(left.false, right.false))
    return Meaning(_some(left.true, right.true), _every(left.false, right.false))


def _every(left: Formula, right: Formula) -> Formula:
    """Both, without a level of its own for each `and` of a long chain."""
    return Every((*(left.parts if isinstance(left, Every) else (left,)), right))


def _some(left: Formula, right: Formula) -> Formula:
    return Some((*(left.parts if isinstance(left, Some) else (left,)), right))


def _told(needs: frozenset[str], quantity: Quantity, among: Numbers) -> Meaning:
    known = tuple(Known(fact, True) for fact in sorted(needs))
    return Meaning(Every((*known, Lies(quantity, among))), Every((*known, Lies(quantity, others(among)))))


def _quantity(operand: _Operand) -> Quantity:
    name = operand.name
    if operand.kind == "number" and name in operand.needs and name.startswith(YES_NO):
        return Quantity(name, domain=common(numbers(">=", Fraction(0)), numbers("<=", Fraction(1))), is_whole=True)
    if operand.kind == "number" and name in operand.needs and name.endswith("_count"):
        return Quantity(name, domain=numbers(">=", Fraction(0)), is_whole=True)
    return Quantity(name)
