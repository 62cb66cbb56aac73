"""What the input contract says, written out for dbt and for people.

Belongs here: ``models/staging/_sources.yml`` and ``docs/input-contract.md``, both made from ``contract.py`` alone.
Does not belong here: any rule that the contract does not state; the loader and these files must not drift apart.

``python -m lifecycle.sources.documentation`` writes both files; a unit test fails while they are not current.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from lifecycle.settings import PROJECT_DIR
from lifecycle.sources.contract import LOAD_COLUMNS, TABLES, Column, Kind, Table

SOURCES_FILE = PROJECT_DIR / "models" / "staging" / "_sources.yml"
DOCS_FILE = PROJECT_DIR / "docs" / "input-contract.md"

_MADE_BY = "Made by `python -m lifecycle.sources.documentation` from lifecycle/sources/contract.py; edit that instead."

KIND_RULES: dict[Kind, str] = {
    Kind.TEXT: "Any text. White space around it is dropped, an empty text is no value.",
    Kind.INTEGER: "Digits with an optional sign, within 64 bits. `12.0` counts as 12.",
    Kind.DECIMAL: "Digits with an optional sign and a decimal point, at most four decimals. Neither `1e3` nor `NaN`, "
    "`Infinity` or `1,234.50` is a number here.",
    Kind.MONEY: "As decimal, and no more decimals than the currency of the row has (two for USD, none for JPY, three "
    "for KWD); up to four where the row has no currency. Negative amounts and quantities are returns, not errors.",
    Kind.PRICE: "As decimal: an amount per unit or per month, which may be finer than the smallest coin.",
    Kind.BOOLEAN: "`true`/`false`, `t`/`f`, `yes`/`no`, `y`/`n`, `1`/`0`, in any case.",
    Kind.TIMESTAMP: "ISO 8601: `2024-05-01`, `2024-05-01 10:30`, `2024-05-01T10:30:00.123Z`, "
    "`2024-05-01T10:30:00+02:00`. Without an offset it is local time of the source's `timezone`; a day alone is its "
    "local midnight. Kept in UTC. A local time that the clocks skip is quarantined; one that happens twice is its "
    "first, earlier moment. From 1900 to 2199; the future is allowed and counts from when its day comes.",
    Kind.DAY: "`2024-05-01` (or that day's midnight as a timestamp without offset), from 1900 to 2199.",
    Kind.CURRENCY: "A code of ISO 4217 (seeds/currencies.csv), in any case.",
    Kind.JSON: "A valid JSON text, or in JSONL and Parquet a nested value.",
}
"""How a value of each kind has to be written, in words."""

_QUARANTINE = """\
A row that cannot be read is never dropped and never stops the load: it goes to `quarantine.rejected_rows` with source,
file, line, column, reason and raw text. For every batch, received = loaded + duplicate + superseded + suppressed +
quarantined, where received is counted by bytes and lines, not by what reads the values.

A row is quarantined when

- a required value is missing, or none of a table's *one of* columns is filled,
- a value is not of its column's kind (see *Kinds*), or not one of the allowed values,
- it has too many or too few fields, a quote that never closes (that line alone; reading goes on at the next one), text
  after a closing quote, a NUL, bytes that are no valid UTF-8, or a field longer than `quality.max_field_bytes`,
- it is no JSON object, has a key twice, is nested deeper than `quality.max_nesting`, or has a nested value where a
  single one is expected.

A whole file is refused, and nothing of the run's intake is merged, when a required column is missing from its header,
a column that is used stands in the header twice, it is empty without even a header (CSV), a web page or another kind of
file, cut off (gzip, Parquet), larger than `quality.max_file_bytes`, or unpacks to more than
`quality.max_decompression_ratio` times its size.

`lifecycle quarantine list` counts them, `show` shows one, `requeue` has the next run try them again with the settings
of that time.
"""

_VERSIONS = """\
A record is named by `source_system` and its table's key. Of its versions the one with the latest `updated_at` wins; a
version with `updated_at` outranks one without; else the one that was loaded later wins (files in the order in which
they were first seen, in one run by name; then by line). Loading the same content again changes nothing, whatever the
file is called: an identical record is a *duplicate*, an older version, or one that was replaced before, is
*superseded*. So a source whose records go back to earlier values has to send `updated_at`.

A file is read again when its content or its settings (`columns`, `constants`, `timezone`, `delimiter`, `format`,
`id_namespace`) change; the second reading then takes the place of the first.
"""


def _column_entry(column: Column) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": column.name,
        "description": column.description,
        "data_type": column.sql_type,
    }
    if column.pii:
        entry["config"] = {"meta": {"pii": column.pii}}
    return entry


def sources_yaml() -> str:
    """The text of ``models/staging/_sources.yml``: dbt source ``raw`` with every table and column."""
    content = {
        "version": 2,
        "sources": [
            {
                "name": "raw",
                "schema": "raw",
                "description": "Checked records of the input contract, as the intake merged them.",
                "tables": [
                    {
                        "name": table.name,
                        "description": table.description,
                        "columns": [_column_entry(column) for column in (*LOAD_COLUMNS, *table.columns)],
                    }
                    for table in TABLES.values()
                ],
            }
        ],
    }
    body = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    return f"# {_MADE_BY}\n{body}"


def _contract_table(table: Table) -> str:
    facts = [f"Key: `source_system`, {', '.join(f'`{name}`' for name in table.key)}."]
    facts.append(f"Event time: `{table.event_at}`." if table.event_at else "No event time of its own.")
    if table.one_of:
        facts.append(f"At least one of {', '.join(f'`{name}`' for name in table.one_of)} must be filled.")
    lines = [
        f"### {table.name}",
        "",
        table.description,
        " ".join(facts),
        "",
        "| column | kind | required | allowed | personal | description |",
        "|---|---|---|---|---|---|",
    ]
    for column in table.columns:
        allowed = ", ".join(f"`{value}`" for value in column.allowed)
        required = "yes" if column.required else ""
        lines.append(
            f"| `{column.name}` | {column.kind} | {required} | {allowed} | {column.pii or ''} | {column.description} |"
        )
    return "\n".join(lines)


def contract_page() -> str:
    """The text of ``docs/input-contract.md``."""
    kinds = "\n".join(f"| {kind} | {kind_type(kind)} | {rule} |" for kind, rule in KIND_RULES.items())
    loads = "\n".join(f"| `{column.name}` | {column.kind} | {column.description} |" for column in LOAD_COLUMNS)
    tables = "\n\n".join(_contract_table(table) for table in TABLES.values())
    return f"""\
# Input contract

<!-- {_MADE_BY} -->

What a company can bring. Any subset of the tables is enough. A source's fields are mapped onto these columns by
`columns:` and `constants:` in `lifecycle.yml`; a column without an entry there is looked for under its own name, and
fields that the contract does not know are left alone.

## Files

CSV, JSONL and Parquet; CSV and JSONL also gzipped. The kind is taken from the ending unless `format:` says it. CSV
columns are found by the names in the header, never by position. UTF-8, with or without byte order mark, or UTF-16 with
one; lines end in LF, CRLF or CR, also mixed; an empty line is no record.

## Kinds

| kind | type in `raw` | how it is written |
|---|---|---|
{kinds}

## What is quarantined, what is refused

{_QUARANTINE}
## Versions, replays, changed settings

{_VERSIONS}
## Columns that the loader adds

| column | kind | description |
|---|---|---|
{loads}

## Tables

{tables}
"""


def kind_type(kind: Kind) -> str:
    """The type in ``raw`` of a kind."""
    return Column(name="any", kind=kind, description="").sql_type


def documents() -> dict[Path, str]:
    """Each file that is made from the contract, and what it must hold."""
    return {SOURCES_FILE: sources_yaml(), DOCS_FILE: contract_page()}


def main() -> None:
    for path, text in documents().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
