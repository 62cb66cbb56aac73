"""Refuses SQL that DuckDB and Spark would not run with one and the same result.

Three groups: what both accept and answer differently, what one of them lacks, and what has a macro in
``macros/engine/``. Types are not known to a lint, so rules on types go by the house's names (``_at`` is a timestamp,
``_date`` and ``_month`` are dates, ``_amount`` is a decimal) and by casts.

Run it alone with ``python -m tests.lint.portable_sql``.

Belongs here: one function per forbidden construct. Does not belong here: layout (sqlfluff) and meaning (dbt tests).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import jinja2
import sqlglot
import sqlglot.errors
from sqlglot import exp
from sqlglot.tokens import Token, TokenType

from tests.lint.rendering import PROJECT_DIR, Project, blocks, without_jinja, without_jinja_comments

DIALECT = "duckdb"


@dataclass(frozen=True)
class Finding:
    """One forbidden construct in one file."""

    rule: str
    snippet: str
    file: str = ""

    def __str__(self) -> str:
        return f"{self.file}: {self.rule}: {' '.join(self.snippet.split())[:160]}"


# --- what an expression is, as far as it says so itself --------------------------------------------------------------

_INTEGERS = ("int", "bigint", "smallint", "tinyint", "hugeint", "uinteger", "ubigint")
_DATE_NAME = re.compile(r"(^|_)(date|month|day)$")
_TIMESTAMP_NAME = re.compile(r"(_at|_end)$")
_AMOUNT_NAME = re.compile(r"(^|_)amount$")
_ENGINE_DATE = re.compile(r"^engine_(?!.*(between|diff|format))(.*_)?date(_|$)")
_ENGINE_TIMESTAMP = re.compile(r"^engine_(?!.*(between|diff|format))(.*(midnight|timestamp|add_|utc).*)")
_DOUBLE_FUNCTIONS = (exp.Ln, exp.Exp, exp.Sqrt, exp.Pow, exp.Stddev, exp.StddevSamp, exp.StddevPop, exp.Corr)


def _bare(node: exp.Expression) -> exp.Expression:
    while isinstance(node, (exp.Paren, exp.Neg)):
        node = node.this
    return node


_PASSES_ON_ITS_ARGUMENT = (
    exp.Nullif, exp.Sum, exp.Min, exp.Max, exp.Abs, exp.Window, exp.Filter, exp.AnyValue,
    exp.Lag, exp.Lead, exp.FirstValue, exp.LastValue, exp.IgnoreNulls,
)  # fmt: skip


def _parts(node: exp.Expression) -> list[exp.Expression]:
    """The operands whose type an expression takes over; empty when it has a type of its own."""
    if isinstance(node, (exp.Add, exp.Sub, exp.Mul)):
        return [node.this, node.expression]
    if isinstance(node, (exp.Coalesce, exp.Greatest, exp.Least)):
        return [node.this, *node.expressions]
    if isinstance(node, exp.Case):
        branches = [branch.args["true"] for branch in node.args["ifs"]]
        default = node.args.get("default")
        return [*branches, default] if default is not None else branches
    rounds_to_decimals = isinstance(node, exp.Round) and node.args.get("decimals") is not None
    return [node.this] if rounds_to_decimals or isinstance(node, _PASSES_ON_ITS_ARGUMENT) else []


def _any_part(node: exp.Expression, holds: Callable[[exp.Expression], bool]) -> bool:
    node = _bare(node)
    return holds(node) or any(_any_part(part, holds) for part in _parts(node))


def _is_double(node: exp.Expression) -> bool:
    def holds(part: exp.Expression) -> bool:
        if isinstance(part, (exp.Cast, exp.TryCast)):
            return bool(part.to.is_type("double", "float"))
        if isinstance(part, exp.Literal):
            return not part.is_string and "e" in part.this.lower()
        if isinstance(part, exp.Div):
            return _is_double(part.this) or _is_double(part.expression)
        return isinstance(part, _DOUBLE_FUNCTIONS)

    return _any_part(node, holds)


def _is_decimal(node: exp.Expression) -> bool:
    def holds(part: exp.Expression) -> bool:
        if isinstance(part, (exp.Cast, exp.TryCast)):
            return bool(part.to.is_type("decimal"))
        return isinstance(part, exp.Column) and bool(_AMOUNT_NAME.search(part.name))

    return not _is_double(node) and _any_part(node, holds)


def _is_fraction(node: exp.Expression) -> bool:
    def holds(part: exp.Expression) -> bool:
        if isinstance(part, (exp.Cast, exp.TryCast)):
            return bool(part.to.is_type("decimal", "double", "float"))
        if isinstance(part, exp.Literal):
            return not part.is_string and bool(re.search(r"[.e]", part.this.lower()))
        return isinstance(part, (exp.Div, exp.Avg, exp.Median, exp.WithinGroup, *_DOUBLE_FUNCTIONS))

    return _any_part(node, holds)


def _is_date(node: exp.Expression) -> bool:
    node = _bare(node)
    if isinstance(node, (exp.Cast, exp.TryCast)):
        return bool(node.to.is_type("date"))
    if isinstance(node, exp.Column):
        return bool(_DATE_NAME.search(node.name))
    if isinstance(node, exp.Anonymous):
        return bool(_ENGINE_DATE.match(node.name))
    if isinstance(node, (exp.Min, exp.Max, exp.Lag, exp.Lead, exp.Window, exp.Coalesce)):
        return _is_date(node.this)
    return isinstance(node, (exp.LastDay, exp.DateFromParts))


def _is_timestamp(node: exp.Expression) -> bool:
    node = _bare(node)
    if isinstance(node, (exp.Cast, exp.TryCast)):
        return bool(node.to.is_type("timestamp", "timestampntz", "timestamptz"))
    if isinstance(node, exp.Column):
        return bool(_TIMESTAMP_NAME.search(node.name))
    if isinstance(node, exp.Anonymous):
        return bool(_ENGINE_TIMESTAMP.match(node.name))
    if isinstance(node, (exp.Add, exp.Sub, exp.Min, exp.Max, exp.Lag, exp.Lead, exp.Window, exp.Coalesce)):
        return _is_timestamp(node.this)
    return False


def _is_safe_divisor(node: exp.Expression) -> bool:
    node = _bare(node)
    if isinstance(node, exp.Literal):
        return not node.is_string and float(node.this) != 0
    if isinstance(node, (exp.Cast, exp.TryCast, exp.Abs, exp.Sqrt)):
        return _is_safe_divisor(node.this)
    if isinstance(node, exp.Mul):
        return _is_safe_divisor(node.this) and _is_safe_divisor(node.expression)
    return isinstance(node, exp.Nullif)


def _cast_above(node: exp.Expression) -> bool:
    """Whether a cast, or something without a type to give away, stands above within the same select item."""
    above = node.parent
    while above is not None and not isinstance(above, exp.Select):
        if isinstance(above, (exp.Cast, exp.TryCast, exp.Predicate, exp.Having, exp.Order)):
            return True
        above = above.parent
    return False


# --- rules on the parsed statement -----------------------------------------------------------------------------------

TreeRule = Callable[[exp.Expression], Iterator[exp.Expression]]
TREE_RULES: dict[str, TreeRule] = {}


def _tree_rule(name: str) -> Callable[[TreeRule], TreeRule]:
    def register(rule: TreeRule) -> TreeRule:
        TREE_RULES[name] = rule
        return rule

    return register


@_tree_rule("a fraction cast to an integer without round(): Spark cuts off, DuckDB rounds")
def _fraction_to_integer(tree: exp.Expression) -> Iterator[exp.Expression]:
    for cast in tree.find_all(exp.Cast, exp.TryCast):
        if cast.to.is_type(*_INTEGERS) and _is_fraction(cast.this):
            yield cast


@_tree_rule("division without nullif(divisor, 0)")
def _division_without_nullif(tree: exp.Expression) -> Iterator[exp.Expression]:
    for division in tree.find_all(exp.Div, exp.Mod):
        if not _is_safe_divisor(division.expression):
            yield division


@_tree_rule("a decimal divided: cast one side to double, or keep the sums")
def _decimal_division(tree: exp.Expression) -> Iterator[exp.Expression]:
    for division in tree.find_all(exp.Div):
        sides = (division.this, division.expression)
        if any(_is_decimal(side) for side in sides) and not any(_is_double(side) for side in sides):
            yield division


@_tree_rule("avg() of a decimal: cast to double, or keep the sum")
def _decimal_average(tree: exp.Expression) -> Iterator[exp.Expression]:
    for average in tree.find_all(exp.Avg):
        if _is_decimal(average.this):
            yield average


@_tree_rule("sum() without a cast to its contract's type: the two engines' sums have different types")
def _sum_without_cast(tree: exp.Expression) -> Iterator[exp.Expression]:
    for total in tree.find_all(exp.Sum):
        if not _is_double(total.this) and not _cast_above(total):
            yield total


@_tree_rule("a median or percentile of a decimal without a cast to its contract's type")
def _percentile_without_cast(tree: exp.Expression) -> Iterator[exp.Expression]:
    for median in tree.find_all(exp.Median):
        if _is_decimal(median.this) and not _cast_above(median):
            yield median
    for percentile in tree.find_all(exp.WithinGroup):
        ordered = [item.this for item in percentile.expression.expressions]
        if any(_is_decimal(item) for item in ordered) and not _cast_above(percentile):
            yield percentile


@_tree_rule("date - date or timestamp - timestamp: use the macro for days or seconds between")
def _difference_of_times(tree: exp.Expression) -> Iterator[exp.Expression]:
    for difference in tree.find_all(exp.Sub):
        left, right = difference.this, difference.expression
        if (_is_date(left) or _is_timestamp(left)) and (_is_date(right) or _is_timestamp(right)):
            yield difference


@_tree_rule("date + interval without a cast: a date on Spark, a timestamp on DuckDB")
def _interval_without_cast(tree: exp.Expression) -> Iterator[exp.Expression]:
    for addition in tree.find_all(exp.Add, exp.Sub):
        if not any(isinstance(_bare(part), exp.Interval) or _is_interval_product(part) for part in _sides(addition)):
            continue
        if any(_is_timestamp(side) for side in _sides(addition)):
            continue
        above = addition.parent
        while isinstance(above, (exp.Paren, exp.Add, exp.Sub)):
            above = above.parent
        if not isinstance(above, (exp.Cast, exp.TryCast)):
            yield addition


def _sides(node: exp.Expression) -> tuple[exp.Expression, exp.Expression]:
    return node.this, node.expression


def _is_interval_product(node: exp.Expression) -> bool:
    node = _bare(node)
    return isinstance(node, exp.Mul) and any(isinstance(_bare(side), exp.Interval) for side in _sides(node))


@_tree_rule("qualify: filter in a CTE")
def _qualify(tree: exp.Expression) -> Iterator[exp.Expression]:
    yield from tree.find_all(exp.Qualify)


@_tree_rule("select * except / exclude / replace: name the columns")
def _star_with_changes(tree: exp.Expression) -> Iterator[exp.Expression]:
    for star in tree.find_all(exp.Star):
        if any(star.args.get(key) for key in ("except_", "except", "replace", "rename")):
            yield star


@_tree_rule("with recursive")
def _recursive(tree: exp.Expression) -> Iterator[exp.Expression]:
    for clause in tree.find_all(exp.With):
        if clause.args.get("recursive"):
            yield clause


@_tree_rule("asof join: use a lead() interval and a range join")
def _asof_join(tree: exp.Expression) -> Iterator[exp.Expression]:
    for join in tree.find_all(exp.Join):
        if str(join.args.get("method") or "").upper() == "ASOF":
            yield join


@_tree_rule("union by name: list the columns in one order")
def _union_by_name(tree: exp.Expression) -> Iterator[exp.Expression]:
    for union in tree.find_all(exp.SetOperation):
        if union.args.get("by_name"):
            yield union


@_tree_rule("distinct on: use row_number()")
def _distinct_on(tree: exp.Expression) -> Iterator[exp.Expression]:
    for distinct in tree.find_all(exp.Distinct):
        if distinct.args.get("on"):
            yield distinct


_RANKING = (exp.RowNumber, exp.Rank, exp.DenseRank, exp.PercentRank, exp.CumeDist, exp.Ntile, exp.Lag, exp.Lead)


@_tree_rule("a ranking or offset function over a window without order by")
def _unordered_ranking(tree: exp.Expression) -> Iterator[exp.Expression]:
    named = {window.name: window for window in tree.find_all(exp.Window) if isinstance(window.this, exp.Identifier)}
    for window in tree.find_all(exp.Window):
        function = window.this.this if isinstance(window.this, exp.IgnoreNulls) else window.this
        if not isinstance(function, _RANKING):
            continue
        base = named.get(window.alias) if window.alias else None
        if not window.args.get("order") and not (base is not None and base.args.get("order")):
            yield window


@_tree_rule("a struct, list or map literal, or an element taken by position: use a macro of macros/engine/")
def _literal_collections(tree: exp.Expression) -> Iterator[exp.Expression]:
    yield from tree.find_all(exp.Struct, exp.Array, exp.Bracket, exp.ToMap, exp.Map)


@_tree_rule("at time zone: convert once, in staging, by the macro")
def _at_time_zone(tree: exp.Expression) -> Iterator[exp.Expression]:
    yield from tree.find_all(exp.AtTimeZone)


@_tree_rule("merge: the strategy of incremental models is chosen once in dbt_project.yml")
def _merge(tree: exp.Expression) -> Iterator[exp.Expression]:
    yield from tree.find_all(exp.Merge)


@_tree_rule("a median or percentile over an ordered window: Spark refuses it")
def _ordered_percentile(tree: exp.Expression) -> Iterator[exp.Expression]:
    for window in tree.find_all(exp.Window):
        if isinstance(window.this, (exp.Median, exp.WithinGroup)) and window.args.get("order"):
            yield window


@_tree_rule("count(distinct) over a window: Spark refuses it, count first occurrences")
def _windowed_distinct(tree: exp.Expression) -> Iterator[exp.Expression]:
    for window in tree.find_all(exp.Window):
        if isinstance(window.this, exp.AggFunc) and isinstance(window.this.this, exp.Distinct):
            yield window


@_tree_rule("a lambda: use a macro of macros/engine/")
def _lambda(tree: exp.Expression) -> Iterator[exp.Expression]:
    yield from tree.find_all(exp.Lambda)


# --- rules on the words ----------------------------------------------------------------------------------------------

FORBIDDEN_FUNCTIONS = {
    "concat() differs on nulls: use || or concat_ws()": {"concat"},
    "max_by() and min_by() differ on nulls: use the macro for the value at the maximum": {
        "max_by", "min_by", "arg_max", "arg_min", "argmax", "argmin", "arg_max_null", "arg_min_null",
    },
    "regexp_replace() replaces once or always: use the macro": {"regexp_replace"},
    "split() takes a text or a pattern: use the macro": {"split", "string_split", "str_split", "string_to_array"},
    "the day of the week counts from different days: use the macro": {
        "dayofweek", "weekday", "isodow", "dow", "dayofweek_iso",
    },
    "log() is base 10 or e: use ln() or log10()": {"log"},
    "count_if() of nulls alone is null on DuckDB, 0 on Spark: count(case when ... then 1 end)": {"count_if", "countif"},
    "hash() differs: use md5() or the macro for SHA-256": {"hash", "xxhash64"},
    "SQL never asks what time it is: use as_of_end() or as_of_date()": {
        "now", "current_date", "current_timestamp", "current_time", "localtimestamp", "localtime", "today", "getdate",
        "get_current_timestamp", "get_current_time", "transaction_timestamp", "clock_timestamp", "sysdate", "curdate",
    },
    "a difference of times: use the macro of macros/engine/": {
        "datediff", "date_diff", "datesub", "date_sub", "dateadd", "date_add", "timestampdiff", "timestampadd", "age",
        "epoch", "epoch_ms", "epoch_us", "epoch_ns", "unix_timestamp", "unix_micros", "to_seconds", "months_between",
    },
    "a time zone: use the macro of macros/engine/": {"timezone", "from_utc_timestamp", "to_utc_timestamp"},
    "JSON: use the macro of macros/engine/": {
        "json_extract", "json_extract_string", "json_extract_path", "json_extract_path_text", "json_value",
        "json_query", "json_object", "json_array", "to_json", "from_json", "get_json_object", "json_keys", "json_each",
    },
    "SHA-256: use the macro of macros/engine/": {"sha256", "sha2", "sha1"},
    "a match by regex: use the macro of macros/engine/": {
        "regexp_matches", "regexp_full_match", "regexp_like", "rlike", "regexp",
    },
    "a list as text: use the macro of macros/engine/": {
        "string_agg", "listagg", "group_concat", "array_to_string", "array_join", "list_aggr", "list_aggregate",
    },
    "a date as text: use the macro of macros/engine/": {"strftime", "date_format", "to_char", "strptime", "to_date"},
    "an approximate quantile: use the macro of macros/engine/": {
        "approx_quantile", "approx_percentile", "percentile_approx", "reservoir_quantile",
    },
    "rows out of a list: use the macro of macros/engine/": {"unnest", "explode", "posexplode", "explode_outer"},
    "a struct, list or map: use the macro of macros/engine/": {
        "struct_pack", "named_struct", "struct", "list_value", "list", "array", "map", "map_from_entries",
    },
    "a lambda: use a macro of macros/engine/": {
        "list_transform", "list_filter", "list_reduce", "array_transform", "array_filter", "transform", "reduce",
    },
}  # fmt: skip

_TIME_WORDS = {"current_date", "current_timestamp", "current_time", "localtimestamp", "localtime"}
_TEXT_TYPES = {"varchar", "text", "char", "bpchar", "nvarchar"}
_FUNCTION_RULES = {name: rule for rule, names in FORBIDDEN_FUNCTIONS.items() for name in names}
TIME_RULE = _FUNCTION_RULES["now"]
WEEKDAY_RULE = _FUNCTION_RULES["dayofweek"]
JSON_RULE = _FUNCTION_RULES["json_value"]
REGEX_RULE = _FUNCTION_RULES["rlike"]
_WEEKDAY_PARTS = ("dow", "isodow", "dayofweek", "weekday", "dayofweek_iso")
NULLS_RULE = "order by in a window without nulls first or nulls last"
QUOTE_RULE = '"double quotes" are a name on DuckDB and a text on Spark'
BACKSLASH_RULE = "a backslash in a literal: Spark reads it as an escape"
VARCHAR_RULE = "cast as varchar: say string"
COLON_RULE = "value::type: say cast(value as type)"
INT_DIVISION_RULE = "// is no division on Spark: floor() the quotient"
PARSE_RULE = "the statement cannot be parsed"
RENDER_RULE = "the Jinja cannot be rendered"
TOKEN_RULES = (
    *FORBIDDEN_FUNCTIONS, NULLS_RULE, QUOTE_RULE, BACKSLASH_RULE, VARCHAR_RULE, COLON_RULE, INT_DIVISION_RULE,
)  # fmt: skip


_RULE_OF_TOKEN = {
    TokenType.IDENTIFIER: QUOTE_RULE,
    TokenType.DCOLON: COLON_RULE,
    TokenType.DIV: INT_DIVISION_RULE,
    TokenType.ARROW: JSON_RULE,
    TokenType.DARROW: JSON_RULE,
    TokenType.HASH_ARROW: JSON_RULE,
    TokenType.DHASH_ARROW: JSON_RULE,
    TokenType.RLIKE: REGEX_RULE,
    TokenType.SIMILAR_TO: REGEX_RULE,
    TokenType.TILDE: REGEX_RULE,
}


def _words(tokens: list[Token]) -> Iterator[Finding]:
    """Rules that need no more than a word and its neighbours."""
    lower = ["", *(token.text.lower() for token in tokens), "", ""]
    for index, token in enumerate(tokens, start=1):
        rule = _rule_of_word(token, lower[index - 1], lower[index], lower[index + 1], lower[index + 2])
        if rule:
            around = " ".join(item.text for item in tokens[max(0, index - 3) : index + 4])
            yield Finding(rule, token.text if token.token_type in (TokenType.IDENTIFIER, TokenType.STRING) else around)


def _rule_of_word(token: Token, before: str, word: str, after: str, second: str) -> str | None:
    if token.token_type is TokenType.STRING:
        return BACKSLASH_RULE if "\\" in token.text else None
    if token.token_type in _RULE_OF_TOKEN:
        return _RULE_OF_TOKEN[token.token_type]
    if word in ("extract", "date_part", "datepart") and after == "(" and second in _WEEKDAY_PARTS:
        return WEEKDAY_RULE
    if word in _TEXT_TYPES and before == "as" and after in (")", "("):
        return VARCHAR_RULE
    is_name = before in (".", "as")
    if word in _FUNCTION_RULES and after == "(" and not is_name:
        return _FUNCTION_RULES[word]
    return TIME_RULE if word in _TIME_WORDS and not is_name else None


def _window_orders(tokens: list[Token]) -> Iterator[Finding]:
    """Each term of an ``order by`` inside ``over (...)`` or ``window w as (...)`` says where its nulls go."""
    lower = [token.text.lower() for token in tokens]
    in_window_clause = False
    for index, word in enumerate(lower):
        if word == "window" and index + 3 < len(lower) and lower[index + 2] == "as":
            in_window_clause = True
        elif in_window_clause and word in ("select", "order", "limit", "union", "qualify") and lower[index - 1] == ")":
            in_window_clause = False
        opens = (
            word == "("
            and index > 0
            and (lower[index - 1] == "over" or (in_window_clause and lower[index - 1] == "as"))
        )
        if opens:
            yield from _order_terms(tokens, lower, index)


def _order_terms(tokens: list[Token], lower: list[str], opening: int) -> Iterator[Finding]:
    depth, start = 0, None
    for index in range(opening, len(lower)):
        word = lower[index]
        ends = False
        if word == "(":
            depth += 1
        elif word == ")":
            depth -= 1
            ends = depth == 0
        if depth == 1 and (word == "order by" or (word == "by" and lower[index - 1] == "order")):
            start = index + 1
        elif start is not None and (ends or (depth == 1 and word in (",", "rows", "range", "groups"))):
            term = lower[start:index]
            if term[-2:] not in (["nulls", "last"], ["nulls", "first"]):
                yield Finding(NULLS_RULE, " ".join(token.text for token in tokens[start:index]))
            start = index + 1 if word == "," else None
        if ends:
            return


# --- putting it together ---------------------------------------------------------------------------------------------


def findings_of_tokens(sql: str) -> list[Finding]:
    tokens = sqlglot.tokenize(sql, dialect=DIALECT)
    return [*_words(tokens), *_window_orders(tokens)]


def findings_of_sql(sql: str) -> list[Finding]:
    """Everything forbidden in plain SQL (a statement without Jinja)."""
    found = findings_of_tokens(sql)
    try:
        trees = sqlglot.parse(sql, dialect=DIALECT)
    except sqlglot.errors.SqlglotError as error:
        return [*found, Finding(PARSE_RULE, str(error))]
    for tree in trees:
        if tree is None:
            continue
        for rule, search in TREE_RULES.items():
            found += [Finding(rule, node.sql(dialect=DIALECT)) for node in search(tree)]
    return found


DBT_MACRO_RULE = "dbt's own datediff, dateadd, split_part and listagg misbehave on Spark: use macros/engine/"
JINJA_RULES = {
    DBT_MACRO_RULE: re.compile(r"\{[{%][^}]*?(?<![\w.])(dbt\.)?(datediff|dateadd|split_part|listagg)\s*\("),
    "current_timestamp() of dbt: SQL never asks what time it is": re.compile(
        r"\{[{%][^}]*?(?<![\w.])(dbt\.)?(current_timestamp\w*|run_started_at|modules\.datetime\.\w+\.(now|today|utcnow))"
    ),
    "dbt snapshots: write the history as a model": re.compile(r"\{%-?\s*snapshot\b"),
    "ephemeral models break readers of a re-used manifest": re.compile(r"materialized\s*=\s*['\"]ephemeral['\"]"),
    "merge: the strategy of incremental models is chosen once in dbt_project.yml": re.compile(
        r"incremental_strategy\s*=\s*['\"](merge|microbatch)['\"]"
    ),
}


def findings_of_jinja(text: str) -> list[Finding]:
    """What is forbidden in the Jinja itself, before it is rendered."""
    text = without_jinja_comments(text)
    return [Finding(rule, match[0]) for rule, pattern in JINJA_RULES.items() for match in pattern.finditer(text)]


def findings_of_model(text: str, project: Project) -> list[Finding]:
    """Everything forbidden in a model or a singular test."""
    found = findings_of_jinja(text)
    try:
        sql = project.render(text)
    except (jinja2.TemplateError, TypeError, ValueError, KeyError) as error:
        return [*found, Finding(RENDER_RULE, f"{type(error).__name__}: {error}")]
    return [*found, *findings_of_sql(sql)]


def findings_of_macros(text: str, project: Project) -> list[Finding]:
    """Everything forbidden in a file of macros.

    A macro is rendered with its parameters' names; what comes out is read as a statement, else as an expression. A
    macro that needs more than names is read word by word here, and whole where a model calls it.
    """
    found = findings_of_jinja(text)
    for name, source in blocks(text):
        try:
            sql = project.render_macro(name)
            for candidate in (sql, f"select {sql}"):
                if _parses(candidate):
                    found += findings_of_sql(candidate)
                    break
            else:
                found += findings_of_tokens(sql)
        except (jinja2.TemplateError, TypeError, ValueError, KeyError, AttributeError):
            found += _words(sqlglot.tokenize(without_jinja(source), dialect=DIALECT))
    return found


def _parses(sql: str) -> bool:
    try:
        trees = sqlglot.parse(sql, dialect=DIALECT, error_level=sqlglot.errors.ErrorLevel.RAISE)
    except sqlglot.errors.SqlglotError:
        return False
    return any(tree is not None and not isinstance(tree, (exp.Column, exp.Alias)) for tree in trees)


EPHEMERAL_RULE = next(rule for rule in JINJA_RULES if "ephemeral" in rule)
YAML_RULES = {
    EPHEMERAL_RULE: re.compile(r"\+?materialized:\s*['\"]?ephemeral\b"),
    next(rule for rule in JINJA_RULES if rule.startswith("merge")): re.compile(
        r"\+?incremental_strategy:\s*['\"]?(merge|microbatch)\b"
    ),
    next(rule for rule in JINJA_RULES if "snapshots" in rule): re.compile(r"^\s*snapshot(s|-paths):", re.MULTILINE),
}


def findings_of_yaml(text: str) -> list[Finding]:
    """Materialisations that are forbidden, set beside the models."""
    return [Finding(rule, match[0]) for rule, pattern in YAML_RULES.items() for match in pattern.finditer(text)]


def findings_of_project(root: Path = PROJECT_DIR) -> list[Finding]:
    """Every finding in models, macros (but for ``macros/engine/``), dbt tests and dbt's YAML files."""
    project = Project(root / "dbt_project")
    macros = root / "dbt_project" / "macros"
    generic = root / "dbt_project" / "tests" / "generic"
    found: list[Finding] = []

    def add(path: Path, findings: list[Finding]) -> None:
        found.extend(Finding(item.rule, item.snippet, str(path.relative_to(root))) for item in findings)

    for path in sorted((root / "models").rglob("*.sql")):
        add(path, findings_of_model(path.read_text(encoding="utf-8"), project))
    for path in sorted((root / "dbt_project" / "tests").rglob("*.sql")):
        text = path.read_text(encoding="utf-8")
        is_generic = generic in path.parents
        add(path, findings_of_macros(text, project) if is_generic else findings_of_model(text, project))
    for path in project.macro_files:
        if "engine" not in path.relative_to(macros).parts:
            add(path, findings_of_macros(path.read_text(encoding="utf-8"), project))
    for folder in (root / "models", root / "seeds", root / "dbt_project"):
        for path in sorted([*folder.rglob("*.yml"), *folder.rglob("*.yaml")]):
            if "target" not in path.parts:
                add(path, findings_of_yaml(path.read_text(encoding="utf-8")))
    return found


if __name__ == "__main__":
    problems = findings_of_project()
    for problem in problems:
        sys.stdout.write(f"{problem}\n")
    sys.exit(bool(problems))
