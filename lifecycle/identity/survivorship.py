"""Survivorship: which value of a field survives when the contact records of one customer disagree.

Belongs here: the fields, the rules that hold when nobody sets any, and the table that carries the rules to the models.
Does not belong here: choosing the values. ``models/intermediate/int_customer_fields.sql`` does that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lifecycle.settings import SurvivorshipSettings
    from lifecycle.warehouse import Warehouse

FIELDS = (
    "country", "region", "city", "language", "timezone", "gender", "company", "account_id", "household_id", "persona",
    "preferred_channel", "topics", "max_frequency", "onboarding_goal", "acquisition_source", "brand",
)  # fmt: skip
"""Columns of ``contacts`` that a profile takes over. What says directly who somebody is, is none of them."""

BUILT_IN = {"acquisition_source": "earliest"}
"""Where somebody came from is said once, at the beginning: what a default for all fields does not change."""

TABLE = "ops.survivorship_rules"

Rule = tuple[str, str, str | None, int]
"""field_name, rule, source_system (None: every source that is not named), source_rank (1 is asked first)."""


def rules(settings: SurvivorshipSettings) -> list[Rule]:
    """One row per field and source that is named for it, and one per field for all other sources, which come last."""
    rows: list[Rule] = []
    for field in FIELDS:
        own = settings.fields.get(field)
        rule = (own.rule if own else None) or BUILT_IN.get(field, settings.default)
        named = own.sources if own else []
        rows += [(field, rule, source, rank) for rank, source in enumerate((*named, None), start=1)]
    return rows


def write_rules(warehouse: Warehouse, settings: SurvivorshipSettings) -> None:
    """Replace ``ops.survivorship_rules`` by the rules of the settings."""
    warehouse.run(
        f"create or replace table {TABLE} (field_name varchar, rule varchar, source_system varchar, source_rank bigint)"
    )
    for row in rules(settings):
        warehouse.run(f"insert into {TABLE} values (?, ?, ?, ?)", list(row))
