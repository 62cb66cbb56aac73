"""A small publication by hand: a few people whose records, links and lists can be told apart at a glance.

Ada is a customer with three contact records (crm 42, web 7, shop S-17), Bob a lead whose shop number is 42 as well,
Carol a test person who shares Bob's email and his account, and somebody a visitor. Ada was two customers before.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from lifecycle.publishing.ledger import open_ledger
from lifecycle.serving.publication import PII, PUBLIC, build_publication
from lifecycle.settings import Guards, IdentitySettings, Settings, Sync
from lifecycle.warehouse import Warehouse
from tests.integration.small_build import AS_OF, NOW, build, opened, settings_of


def customer_id(source: str, table: str, record: str) -> str:
    """The id of a customer whose earliest record this is."""
    return "c_" + hashlib.md5(f"{source}|{table}|{record}".encode()).hexdigest()[:20]  # noqa: S324


ADA = customer_id("crm", "contacts", "42")
BOB = customer_id("crm", "contacts", "43")
CAROL = customer_id("web", "contacts", "9")
VISITOR = customer_id("web", "touchpoints", "v1")
SECOND_ADA = customer_id("shop", "contacts", "S-17")
"""Ada's shop record was a customer of its own until it was merged."""
THIRD_ADA = customer_id("shop", "orders", "16")
"""And was called otherwise before that, after an order that is gone."""
TORN = "c_00000000000000000000"
"""A customer whose records went to Bob and Carol."""


def settings_in(folder: Path, **changes: Any) -> Settings:
    guards = Guards(max_add=1, max_remove=1)
    syncs = (
        Sync(segment="lapsed", destination="drop", channel="email", identifiers=["email"], guards=guards),
        Sync(segment="lapsed", destination="other", name="lapsed_by_number", identifiers=["phone"], channel="sms"),
    )
    given = {"timezone": "America/New_York", "identity": IdentitySettings(default_country="GB")} | changes
    return settings_of(folder, *syncs, **given)


def publish_people(settings: Settings) -> None:
    with opened(settings) as warehouse:
        build(warehouse)
        _write_people(warehouse)
        build_publication(warehouse, settings, run_id="run-1", as_of=AS_OF, published_at=NOW)


def _values(warehouse: Warehouse, table: str, columns: str, rows: list[tuple[Any, ...]]) -> None:
    """Replace a table by rows; ``columns`` are names with types."""
    warehouse.run(f"create schema if not exists {table.partition('.')[0]}")
    warehouse.run(f"create or replace table {table} ({columns})")
    if rows:
        warehouse.connection.executemany(
            f"insert into {table} values ({', '.join('?' * len(rows[0]))})", [list(row) for row in rows]
        ).fetchall()


def _write_people(warehouse: Warehouse) -> None:
    first, paid = datetime(2023, 1, 5, 12), datetime(2023, 2, 1, 12)
    _values(
        warehouse,
        "marts.customer_360",
        "customer_id varchar, first_seen_at timestamp, became_customer_at timestamp, last_activity_at timestamp,"
        " last_order_at timestamp, order_count bigint, currency varchar, net_revenue_amount decimal(18, 2),"
        " average_order_amount decimal(18, 2), rfm_group varchar, lifecycle_stage varchar,"
        " lifecycle_stage_since_at timestamp, is_loyal boolean, is_advocate boolean, is_expanding boolean, is_at_risk"
        " boolean, risk_reason varchar, highest_stage_reached varchar, email_consent boolean, sms_consent boolean,"
        " ads_consent boolean, city varchar, region varchar, country varchar, is_test boolean, is_employee boolean,"
        " is_anonymous boolean, source_count bigint, record_count bigint, contact_record_count bigint,"
        " link_confidence double, predicted_clv_12m_amount decimal(18, 2), churn_score double, persona varchar,"
        " account_key varchar",
        [
            (ADA, first, paid, datetime(2023, 11, 2), datetime(2023, 11, 1, 12), 2, "USD", "141.65", "70.83",
             "at_risk", "lapsed", datetime(2024, 1, 30), True, False, False, False, None, "retention", True, False,
             True, "London", None, "GB", False, False, False, 3, 28, 3, 0.9, "80.00", 0.4, "x", None),
            (BOB, datetime(2023, 6, 1), None, None, None, 0, "USD", "0.00", None, "no_orders", "awareness",
             datetime(2023, 6, 1), False, False, False, False, None, "awareness", False, False, False, "Paris", None,
             "FR", False, False, False, 2, 2, 2, 1.0, None, None, "x", "crm:acme"),
            (CAROL, datetime(2023, 7, 1), None, None, None, 0, "USD", "0.00", None, "no_orders", "awareness",
             datetime(2023, 7, 1), False, False, False, True, "quiet", "awareness", True, True, True, None, None, None,
             True, True, False, 1, 1, 1, 1.0, None, None, "x", "crm:acme"),
            (VISITOR, None, None, None, None, 0, "USD", "0.00", None, "no_orders", "awareness", None, False, False,
             False, False, None, "awareness", False, False, False, None, None, None, False, False, True, 1, 1, 0, 0.95,
             None, None, "x", None),
        ],
    )  # fmt: skip
    _values(
        warehouse,
        "marts.customer_contacts",
        "customer_id varchar, identifier_kind varchar, identifier_value varchar, source_system varchar, confidence"
        " double, is_preferred boolean, first_seen_at timestamp, last_seen_at timestamp",
        [
            (ADA, "email", "ada.lovelace@gmail.com", "crm", 1.0, False, first, first),
            (ADA, "email", "adalovelace@gmail.com", "web", 1.0, True, first, paid),
            (ADA, "phone", "+442079460000", "crm", 1.0, True, first, first),
            (ADA, "contact_id", "42", "crm", 1.0, True, first, first),
            (ADA, "contact_id", "7", "web", 1.0, False, first, first),
            (ADA, "contact_id", "S-17", "shop", 0.9, False, first, first),
            (ADA, "contact_id", "S-17", "till", 0.9, False, first, first),
            (BOB, "contact_id", "43", "crm", 1.0, True, first, first),
            (BOB, "contact_id", "42", "shop", 1.0, False, first, first),
            (BOB, "email", "family@example.com", "crm", 1.0, True, first, first),
            (CAROL, "contact_id", "9", "web", 1.0, True, first, first),
            (CAROL, "email", "family@example.com", "web", 1.0, True, first, first),
            (CAROL, "email", "zoë@example.com", "web", 1.0, False, first, first),
        ],
    )
    _write_identity(warehouse, first)
    _write_history(warehouse, first, paid)
    known = {name for (name,) in warehouse.rows("select schema_name || '.' || table_name from duckdb_tables()")}
    for table in (*PUBLIC, *PII):
        if table.ledger is None and table.name not in known:
            # What this publication has to hold and nobody here asks for.
            keys = ", ".join(f"{key.strip()} varchar" for key in table.keys.split(","))
            _values(warehouse, table.name, keys, [])


def _write_identity(warehouse: Warehouse, first: datetime) -> None:
    evidence = "names +18.2, birth date +13.7, postcode -2.0"
    likely = 1 / (1 + 2**-14.2)
    later = first + timedelta(days=30)
    _values(
        warehouse,
        "identity.customer_links",
        "source_system varchar, record_table varchar, record_id varchar, customer_id varchar, link_rule varchar,"
        " confidence double, score_bits double, matched_source_system varchar, matched_record_id varchar,"
        " linked_at timestamp",
        [
            ("crm", "contacts", "42", ADA, "email", 1.0, None, None, None, first),
            ("web", "contacts", "7", ADA, "email", 1.0, None, None, None, later),
            ("shop", "contacts", "S-17", ADA, "probable", likely, 14.2, "crm", "42", later + timedelta(days=1)),
            ("shop", "orders", "17", ADA, "contact_id", likely, None, None, None, later + timedelta(days=2)),
            ("till", "orders", "17", ADA, "contact_id", likely, None, None, None, later + timedelta(days=3)),
            ("web", "touchpoints", "t1", ADA, "user_id", 1.0, None, None, None, later),
            ("web", "touchpoints", "t2", ADA, "user_id", 1.0, None, None, None, later),
            ("web", "touchpoints", "t3", ADA, "anonymous_id", 0.95, None, None, None, later),
            ("crm", "contacts", "43", BOB, "contact_id", 1.0, None, None, None, later),
            ("shop", "contacts", "42", BOB, "steward", 1.0, None, None, None, later + timedelta(days=9)),
            ("web", "contacts", "9", CAROL, "contact_id", 1.0, None, None, None, later),
            ("web", "touchpoints", "v1", VISITOR, "anonymous_id", 1.0, None, None, None, None),
        ],
    )  # fmt: skip
    _values(
        warehouse,
        "identity.scored_pairs",
        "left_source_system varchar, left_record_id varchar, right_source_system varchar, right_record_id varchar,"
        " left_customer_id varchar, right_customer_id varchar, outcome varchar, score_bits double, confidence double,"
        " evidence varchar",
        [
            ("crm", "42", "shop", "S-17", ADA, ADA, "linked", 14.2, likely, evidence),
            ("web", "7", "shop", "S-17", ADA, ADA, "linked", 3.0, 0.888, "names +3.0"),
            ("crm", "42", "shop", "42", ADA, BOB, "review", -1.2, 0.303, "names +9.0, birth date -3.6"),
            ("web", "7", "crm", "43", ADA, BOB, "review", -2.5, 0.15, "names +9.0"),
            ("web", "9", "crm", "43", CAROL, BOB, "review", 5.0, 0.97, "names +9.0, email +5.0"),
        ],
    )
    _values(
        warehouse,
        "identity.customer_merges",
        "previous_customer_id varchar, customer_id varchar, change_kind varchar, record_count bigint, reason varchar,"
        " changed_as_of date",
        [
            (SECOND_ADA, ADA, "merged", 3, "names and details that agree (14.2 bits)", "2024-02-10"),
            (THIRD_ADA, SECOND_ADA, "renamed", 2, "an earlier record of theirs turned up", "2024-01-10"),
            (TORN, BOB, "split", 1, "the link between them no longer holds", "2024-02-11"),
            (TORN, CAROL, "split", 1, "the link between them no longer holds", "2024-02-11"),
            (BOB, CAROL, "split", 1, "a steward decided that they are different people", "2024-02-12"),
        ],
    )
    _values(
        warehouse,
        "identity.decision_outcomes",
        "source_system varchar, decision_id varchar, decision varchar, outcome varchar, detail varchar,"
        " decided_at timestamp",
        [
            ("stewards", "d_held", "same", "applied", None, "2024-01-01"),
            ("stewards", "d_stray", "different", "not applied", "other decisions contradict it", "2024-01-01"),
            ("crm", "d_held", "different", "superseded", "of another source", "2024-01-01"),
        ],
    )
    _values(
        warehouse,
        "identity.blocked_identifiers",
        "identifier_kind varchar, identifier_value varchar, reason varchar, record_count bigint, sharer_count bigint",
        [("email", "noreply@example.com", "junk", 40, None)],
    )


def _write_history(warehouse: Warehouse, first: datetime, paid: datetime) -> None:
    lapsed, retained = datetime(2024, 1, 30), datetime(2023, 11, 1, 12)
    _values(
        warehouse,
        "marts.customer_lifecycle_history",
        "customer_id varchar, stage varchar, reason_code varchar, reason varchar, evidence_event_id varchar,"
        " valid_from_at timestamp, valid_to_at timestamp",
        [
            (ADA, "awareness", "seen", "known, nothing bought", "touchpoint:web:t1", first, paid),
            (ADA, "conversion", "new", "first purchase just before", "order:shop:16", paid, retained),
            (ADA, "retention", "repeat", "2 orders on different days", "order:shop:17", retained, lapsed),
            (ADA, "lapsed", "overdue", "no order for 90 days, expected after 21 days", "order:shop:17", lapsed, None),
            (BOB, "awareness", "seen", "known, nothing bought", "contact:crm:43", datetime(2023, 6, 1), None),
            (CAROL, "awareness", "seen", "known, nothing bought", "contact:crm:43", datetime(2023, 7, 1), None),
        ],
    )
    events = [
        (ADA, f"touchpoint:web:p{number:02}", "page_viewed", "web", "web", None, None, None, None, None, None,
         first + timedelta(days=number))
        for number in range(20)
    ]  # fmt: skip
    _values(
        warehouse,
        "marts.customer_timeline",
        "customer_id varchar, event_id varchar, event_name varchar, channel varchar, source_system varchar,"
        " order_id varchar, ticket_id varchar, campaign_id varchar, product_id varchar, amount decimal(18, 4),"
        " currency varchar, occurred_at timestamp",
        [
            *events,
            (ADA, "order:shop:16", "order_placed", "web", "shop", "16", None, None, None, "70.8000", "USD", paid),
            # Half past ten in the evening of the 1st in New York.
            (ADA, "ticket:support:5", "ticket_opened", "chat", "support", None, "5", None, None, None, None,
             datetime(2023, 10, 2, 2, 30)),
            (ADA, "order:shop:17", "order_placed", "store", "shop", "17", None, None, None, "70.8500", "USD", retained),
            (BOB, "contact:crm:43", "contact_created", None, "crm", None, None, None, None, None, None,
             datetime(2023, 6, 1)),
        ],
    )  # fmt: skip
    _values(
        warehouse,
        "segments.segment_history",
        "segment_name varchar, customer_id varchar, entry_reason varchar, exit_reason varchar,"
        " valid_from_at timestamp, valid_to_at timestamp",
        [
            (
                "new_customers",
                ADA,
                "first purchase just before",
                "first purchase 30 days before",
                paid,
                paid + timedelta(days=30),
            ),
            ("high_value_at_risk", ADA, "at risk (overdue)", "now lapsed", datetime(2024, 1, 2), lapsed),
            ("lapsed", ADA, "no order for 90 days, expected after 21 days", None, lapsed, None),
            ("lapsed", CAROL, "no order for 99 days", None, lapsed, None),
        ],
    )
    _values(
        warehouse,
        "segments.segment_members",
        "segment_name varchar, customer_id varchar, reason varchar, entered_at timestamp",
        [
            ("lapsed", ADA, "no order for 90 days, expected after 21 days", lapsed),
            ("lapsed", CAROL, "no order for 99 days", lapsed),
        ],
    )


def deliver_to_earlier_ada(settings: Settings) -> None:
    """The ledger after a list took Ada under the id that she had before."""
    with open_ledger(settings) as ledger:
        ledger.run(
            "insert into deliveries values ('lapsed_to_drop', 'drop', ?, 'p', 'e', 'plan-1', '2024-02-05 06:00:00',"
            " null, null)",
            [SECOND_ADA],
        )
        ledger.run(
            "insert into runs values ('sync-1', 'lapsed_to_drop', 'lapsed', 'drop', 'run-0', 'plan-1',"
            " '2024-02-05 05:59:00', '2024-02-05 06:00:00', 1, 0, 1, 0, 0, 0, 0, 'delivered', null, null)"
        )
        ledger.run(
            "insert into plan_items values ('plan-1', ?, 'add', 'entered', 'no order for 90 days', '2024-01-30',"
            " 'p', 'applied', 1, null, null)",
            [SECOND_ADA],
        )
