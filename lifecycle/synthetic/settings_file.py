"""The lifecycle.yml of a generated company.

Belongs here: its text, from the layout of the files and the thresholds of the profile.
Does not belong here: reading settings (``lifecycle/settings.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lifecycle.synthetic.layout import HEAD_OFFICE_ZONE, Extract, extracts_of

if TYPE_CHECKING:
    from lifecycle.synthetic.parameters import Arguments

_LINE_WIDTH = 116


def settings_text(arguments: Arguments) -> str:
    """The settings file, from the files' own places (``files/...`` beside it)."""
    profile = arguments.settings
    sources = "\n".join(_source(extract) for extract in extracts_of(has_stores=profile.store_share > 0))
    return f"""\
# A demo company: profile {profile.name}, {arguments.customers:,} people, {arguments.days:,} days to {arguments.end}, \
seed {arguments.seed}.
# Written by `lifecycle generate`; truth/ beside this file holds what is really so.

project: demo_{profile.name}
timezone: {HEAD_OFFICE_ZONE}
currency: USD
as_of: latest
state_dir: .lifecycle

sources:
{sources}

# Support and the email tool record no country: their phones are read as American ones.
identity: {{default_country: US}}

warehouse: {{target: duckdb, memory_limit: 4GB, threads: 2}}

# Fixed for the profile, not computed from the data: a threshold computed in each run would look ahead.
lifecycle:
  default_order_gap_days: {profile.order_gap_days}
  loyalty: {{min_orders: {profile.loyal_orders}, min_days: 180}}
  high_value_amount: {profile.high_value}

destinations:
  - {{name: crm_drop, kind: files, path: out}}

syncs:
  - {{segment: lapsed, destination: crm_drop, mode: audience, channel: email, identifiers: [email]}}
  - {{segment: new_customers, destination: crm_drop, mode: audience, channel: email, identifiers: [email]}}
  - {{segment: high_value_at_risk, destination: crm_drop, mode: audience, identifiers: [contact_id]}}
"""


def _source(extract: Extract) -> str:
    entries: list[tuple[str, str]] = [
        ("name", extract.source),
        ("kind", "files"),
        ("table", extract.table),
        ("path", extract.pattern),
    ]
    if extract.timezone != "UTC":
        entries.append(("timezone", extract.timezone))
    if extract.delimiter != ",":
        entries.append(("delimiter", f'"{extract.delimiter}"'))
    if extract.id_namespace is not None:
        entries.append(("id_namespace", extract.id_namespace))
    mappings = [
        (name, values) for name, values in (("columns", extract.columns), ("constants", extract.constants)) if values
    ]
    note = f"  # {extract.note}\n" if extract.note else ""
    short = "  - {" + ", ".join(f"{name}: {value}" for name, value in entries)
    if not mappings and len(short) < _LINE_WIDTH:
        return f"{note}{short}}}"
    lines = [f"    {name}: {value}" for name, value in entries]
    lines[0] = "  - " + lines[0].strip()
    for name, values in mappings:
        lines += _mapping(name, values)
    return note + "\n".join(lines)


def _mapping(name: str, values: dict[str, str]) -> list[str]:
    flat = f"    {name}: {{" + ", ".join(f"{key}: {value}" for key, value in values.items()) + "}"
    if len(flat) < _LINE_WIDTH:
        return [flat]
    return [f"    {name}:", *(f"      {key}: {value}" for key, value in values.items())]
