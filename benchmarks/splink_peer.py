"""Splink as the peer: the same contact records, linked the way its documentation links people.

Belongs here: one Splink model for all data sets, with its own defaults or trained by its own recipe, and a command that
runs it alone, so that memory can be measured. Does not belong here: judging what it found (``identity.py``).

It gets the fields as our own scoring compares them (folded names, phones in E.164, no blocked identifier), which is
more cleaning than its examples do. Comparisons are those of its library for each kind of field. Blocking rules follow
its examples: single fields for some thousand records; pairs of fields for more, of which single ones make too many
pairs.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle.identity import normalize
from lifecycle.identity.links import BLOCKED, PROFILES, RECORDS
from lifecycle.identity.resolution import CONTRADICTORY
from lifecycle.identity.stitching import SEVERAL
from lifecycle.warehouse import Warehouse

if TYPE_CHECKING:
    import duckdb

USUAL_THRESHOLD = 0.95
"""Match probability from which its examples cluster."""

THRESHOLDS = (0.5, 0.8, USUAL_THRESHOLD, 0.99, 0.999, 0.9999)

FIELDS = ("first_name", "last_name", "birth_date", "street", "city", "postcode", "email", "phone")
FEW_RECORDS = 10_000
_BROAD = (("first_name",), ("last_name",), ("birth_date",), ("postcode",), ("email",))
_NARROW = (
    ("email",),
    ("phone",),
    ("last_name", "birth_date"),
    ("first_name", "birth_date"),
    ("first_name", "postcode"),
    ("last_name", "postcode"),
    ("birth_date", "city"),
    ("street", "postcode"),
    ("substr(first_name, 1, 3)", "substr(last_name, 1, 4)"),
    ("substr(first_name, 1, 2)", "substr(last_name, 1, 2)", "substr(birth_date, 1, 4)"),
)


@dataclass(frozen=True)
class Linked:
    """What one model made of the records: threshold → record → cluster; what it took, without the clusterings of the
    thresholds but one."""

    clusters: dict[float, dict[str, str]]
    seconds: float
    cpu_seconds: float


def contacts_sql() -> str:
    """SQL: contact records in the form in which they are compared. ``resolve`` must have seen the warehouse."""
    fold = normalize
    email = f"case when {fold.is_ordinary('mail')} then {fold.comparable('mail')} else unusual.email_key end"
    blocked = (
        f"select distinct identifier_value from {BLOCKED} where identifier_value is not null"
        " and identifier_kind = '{kind}' and reason <> '{spared}'"
    )
    return (
        f"select record_key as unique_id, {fold.folded_name('first_name')} as first_name,"
        f" {fold.folded_name('last_name')} as last_name,"
        " case when length(digits) = 8 then digits end as birth_date,"
        f" {fold.folded_words('street')} as street, {fold.folded('city')} as city,"
        f" {fold.folded('postcode')} as postcode,"
        " case when blocked_emails.identifier_value is null then email_key end as email,"
        " case when blocked_phones.identifier_value is null then e164 end as phone"
        " from (select profiles.*, regexp_replace(cast(birth_date as varchar), '[^0-9]', '', 'g') as digits,"
        f" email_key, phones.e164 from {PROFILES} as profiles"
        " inner join (select record_key, lower(trim(email)) as mail, trim(phone) as raw_phone,"
        f" coalesce(country, '') as country from {RECORDS}) as records using (record_key)"
        f" left join (select mail, {email} as email_key from (select distinct lower(trim(email)) as mail from {RECORDS}"
        f" where email is not null) as given left join {fold.EMAIL_ADDRESSES} as unusual on mail = unusual.email)"
        " as emails using (mail)"
        f" left join {fold.PHONE_NUMBERS} as phones on records.raw_phone = phones.phone"
        " and records.country = phones.country) as cleaned"
        f" left join ({blocked.format(kind='email', spared=CONTRADICTORY)}) as blocked_emails"
        " on email_key = blocked_emails.identifier_value"
        f" left join ({blocked.format(kind='phone', spared=SEVERAL)}) as blocked_phones"
        " on e164 = blocked_phones.identifier_value"
    )


def write_contacts(warehouse: Warehouse, path: Path) -> None:
    """Write the contact records to a Parquet file, for Splink."""
    warehouse.run(f"copy ({contacts_sql()}) to '{path}' (format parquet)")


def link(
    connection: duckdb.DuckDBPyConnection,
    contacts: str,
    *,
    trained: bool,
    thresholds: Sequence[float] = THRESHOLDS,
) -> Linked:
    """Deduplicate the table ``contacts`` (unique_id and FIELDS)."""
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on

    logging.getLogger("splink").setLevel(logging.ERROR)
    started, cpu_started = time.perf_counter(), time.process_time()
    counts = ", ".join(f"count({name})" for name in FIELDS)
    count, *filled = connection.execute(f"select count(*), {counts} from {contacts}").fetchall()[0]
    present = [name for name, values in zip(FIELDS, filled, strict=True) if values]
    rules = [
        block_on(*rule)
        for rule in (_BROAD if count <= FEW_RECORDS else _NARROW)
        if all(any(name in part for name in present) for part in rule)
    ]
    settings = SettingsCreator(
        link_type="dedupe_only",
        comparisons=[_comparison(name) for name in present],
        blocking_rules_to_generate_predictions=rules,
        retain_matching_columns=False,
    )
    linker = Linker(DuckDBAPI(connection).register(contacts), settings, log_level=None)
    if trained:
        _train(linker, present, count)
    pairs = linker.inference.predict(threshold_match_probability=min(thresholds), warning_mode="never")
    clusters: dict[float, dict[str, str]] = {}
    extra_seconds = extra_cpu_seconds = 0.0
    for place, threshold in enumerate(thresholds):
        wall, cpu = time.perf_counter(), time.process_time()
        found = linker.clustering.cluster_pairwise_predictions_at_threshold(
            pairs, threshold_match_probability=threshold
        )
        clusters[threshold] = dict(
            connection.execute(f"select unique_id, cluster_id from {found.physical_name}").fetchall()
        )
        found.drop_table_from_database_and_remove_from_cache()
        if place:
            extra_seconds += time.perf_counter() - wall
            extra_cpu_seconds += time.process_time() - cpu
    return Linked(
        clusters,
        time.perf_counter() - started - extra_seconds,
        time.process_time() - cpu_started - extra_cpu_seconds,
    )


def _comparison(name: str) -> Any:
    import splink.comparison_library as library

    if name in ("first_name", "last_name"):
        return library.NameComparison(name)
    if name == "birth_date":
        return library.DateOfBirthComparison(name, input_is_string=True, datetime_format="%Y%m%d")
    if name == "email":
        return library.EmailComparison(name)
    if name == "phone":
        return library.LevenshteinAtThresholds(name, 1)
    if name == "postcode":
        return library.LevenshteinAtThresholds(name, 1).configure(term_frequency_adjustments=True)
    return library.JaroWinklerAtThresholds(name, 0.9).configure(term_frequency_adjustments=True)


def _train(linker: Any, present: list[str], count: int) -> None:
    """Its recipe: the prior from rules that are hardly ever wrong, u from random pairs, m by EM on two blockings."""
    from splink import block_on

    sure = [block_on("first_name", "last_name", "birth_date"), *([block_on("email")] if "email" in present else [])]
    linker.training.estimate_probability_two_random_records_match(sure, recall=0.7)
    linker.training.estimate_u_using_random_sampling(max_pairs=2e6 if count <= FEW_RECORDS else 1e7, seed=1)
    for rule in (block_on("birth_date"), block_on("first_name", "last_name")):
        linker.training.estimate_parameters_using_expectation_maximisation(rule, estimate_without_term_frequencies=True)


def main() -> int:
    """Link a file of contact records; the last line of the output says what it took, as JSON."""
    import duckdb

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("contacts", type=Path)
    parser.add_argument("--clusters", type=Path, required=True, help="JSON file to write: record → cluster")
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--spill", type=Path, required=True)
    given = parser.parse_args()
    limits = {"memory_limit": given.memory, "threads": 2, "temp_directory": str(given.spill)}
    with duckdb.connect(":memory:", config=limits) as connection:
        connection.execute("set enable_progress_bar = false")
        connection.execute(f"create table contacts as select * from read_parquet('{given.contacts}')")
        linked = link(connection, "contacts", trained=True, thresholds=[USUAL_THRESHOLD])
    given.clusters.write_text(json.dumps(linked.clusters[USUAL_THRESHOLD]), encoding="utf-8")
    print(json.dumps({"seconds": linked.seconds, "cpu_seconds": linked.cpu_seconds}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
