"""Keeping a list equal to a segment: plans with reasons, guards, exact delivery, resuming."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import random
import signal
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from rich.console import Console
from small_build import (
    AS_OF,
    CANARIES,
    NOW,
    build,
    in_a_process,
    killed_delivery,
    lapsed_sync,
    opened,
    settings_of,
    verdict,
)

from lifecycle.errors import GateStoppedError, LifecycleError, LockedError
from lifecycle.publishing.apply import Delivery, deliver, deliver_all
from lifecycle.publishing.destinations.files import FilesDestination
from lifecycle.publishing.guards import approve
from lifecycle.publishing.ledger import SYNC_MEMBERS, SYNC_RUNS, lease, open_ledger
from lifecycle.publishing.plan import Plan, desired_sql, list_sql, plan_all, plan_sync, render
from lifecycle.publishing.snapshot_work import SnapshotWork
from lifecycle.serving import publication
from lifecycle.serving.publication import build_publication, rollback
from lifecycle.settings import Guards, Sync

LIST = {"c00003", "c00006", "c00009", "c00012"}
"""Segment ``lapsed`` of the small build."""


class Company:
    """A settings file's worth of state, and a clock that moves on with every publication."""

    def __init__(self, folder: Path, *syncs: Sync) -> None:
        self.settings = settings_of(folder, *syncs)
        self.number = 0
        self.now: datetime = NOW

    @property
    def sync(self) -> Sync:
        return self.settings.syncs[0]

    @property
    def out(self) -> Path:
        return self.settings.folder / "out" / self.sync.key

    def publish(self, *changes: str, customers: int = 12) -> None:
        """Build afresh, apply the changes in SQL and publish."""
        self.number += 1
        self.now = NOW + timedelta(days=self.number)
        run_id = f"run-{self.number}"
        with opened(self.settings) as warehouse:
            build(warehouse, run_id=run_id, customers=customers)
            for change in changes:
                warehouse.run(change)
            build_publication(warehouse, self.settings, run_id=run_id, as_of=AS_OF, published_at=self.now)

    def with_sync(self, sync: Sync) -> Company:
        self.settings = settings_of(self.settings.folder, sync)
        return self

    def deliver(self, **changes: bool) -> Delivery:
        return deliver(self.settings, self.sync, now=self.now, **changes)

    def plan(self) -> Plan:
        return plan_sync(self.settings, self.sync, now=self.now)

    def members(self) -> list[dict[str, str]]:
        return read_csv(self.out / "members.csv")

    def ids(self) -> set[str]:
        return {row["customer_id"] for row in self.members()}

    def changes(self) -> list[tuple[str, str, str, str]]:
        rows = read_csv(self.out / "changes.csv")
        return [(row["customer_id"], row["operation"], row["reason"], row["detail"]) for row in rows]

    def ledger_ids(self) -> list[str]:
        with open_ledger(self.settings) as ledger:
            return [
                customer
                for (customer,) in ledger.rows(
                    "select customer_id from deliveries where sync_name = ? order by customer_id", [self.sync.key]
                )
            ]

    def runs(self) -> list[dict[str, object]]:
        with open_ledger(self.settings) as ledger:
            return ledger.dicts(f"select * from ({SYNC_RUNS.format(ledger='')}) order by sync_run_id")


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def untouched(folder: Path) -> dict[str, tuple[int, str]]:
    return {
        path.name: (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()) for path in folder.iterdir()
    }


def leaves(*customers: str) -> str:
    names = ", ".join(f"'{customer}'" for customer in customers)
    return f"delete from segments.segment_members where customer_id in ({names})"


@pytest.fixture(autouse=True)
def _publish_only_what_syncs_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other tables have tests of their own; without them a publication takes a fraction of the time."""
    read = ("marts.customer_360", "segments.segment_members", "segments.segment_history", "ops.gate_results")
    monkeypatch.setattr(publication, "PUBLIC", [table for table in publication.PUBLIC if table.name in read])
    monkeypatch.setattr(publication, "PII", [table for table in publication.PII if table.name.endswith("contacts")])


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return Company(tmp_path, lapsed_sync())


def test_the_first_delivery_writes_the_whole_list_with_its_reasons(company: Company) -> None:
    company.publish()
    delivery = company.deliver()

    assert (delivery.outcome, delivery.added_count, delivery.removed_count) == ("delivered", 4, 0)
    assert company.ids() == LIST
    assert company.members()[0] == {
        "customer_id": "c00003",
        "entered_at": "2023-01-04 00:00:00",
        "reason": "No order for 90 days",
    }
    assert company.changes() == [(c, "add", "entered", "No order for 90 days") for c in sorted(LIST)]
    parquet = duckdb.execute(f"select customer_id from read_parquet('{company.out}/members.parquet')").fetchall()
    assert {customer for (customer,) in parquet} == LIST
    assert company.ledger_ids() == sorted(LIST)


def test_the_manifest_counts_and_checksums_every_file(company: Company) -> None:
    company.publish()
    delivery = company.deliver()

    manifest = json.loads((company.out / "manifest.json").read_text())
    for name, described in manifest["files"].items():
        content = (company.out / name).read_bytes()
        assert (described["bytes"], described["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert {name: described["rows"] for name, described in manifest["files"].items()} == {
        "members.csv": 4,
        "members.parquet": 4,
        "changes.csv": 4,
    }
    assert (manifest["segment"], manifest["run_id"], manifest["as_of"]) == ("lapsed", "run-1", "2024-03-31")
    assert manifest["plan_id"] == delivery.plan_id
    assert manifest["counts"] == {"desired": 4, "unchanged": 0, "added": 4, "updated": 0, "removed": 0}


def test_a_second_delivery_has_nothing_to_do_and_touches_no_file(company: Company) -> None:
    company.publish()
    company.deliver()
    before, folder = untouched(company.out), company.out.resolve()
    company.publish()

    plan = company.plan()
    assert (plan.added_count, plan.removed_count, plan.unchanged_count) == (0, 0, 4)
    delivery = company.deliver()
    assert delivery.outcome == "unchanged"
    assert (untouched(company.out), company.out.resolve()) == (before, folder)
    assert [run["outcome"] for run in company.runs()] == ["delivered", "unchanged"]


def test_removals_say_why(tmp_path: Path) -> None:
    company = Company(tmp_path, lapsed_sync(channel="email", identifiers=["email"]))
    company.publish(customers=24)
    company.deliver()
    company.publish(
        leaves("c00003"),
        "update segments.segment_history set valid_to_at = '2024-03-01', exit_reason = 'Ordered on 1 March'"
        " where customer_id = 'c00003'",
        "update marts.customer_360 set email_consent = null where customer_id = 'c00006'",
        "update marts.customer_360 set is_test = true where customer_id = 'c00009'",
        "update marts.customer_360 set is_employee = true where customer_id = 'c00012'",
        "delete from marts.customer_contacts where customer_id = 'c00015'",
        "delete from marts.customer_360 where customer_id = 'c00018'",
        # Who left the segment and withdrew consent at once is a withdrawal: nothing may hold it back.
        leaves("c00021"),
        "update marts.customer_360 set email_consent = false where customer_id = 'c00021'",
        "update segments.segment_members set reason = 'No order for a year' where customer_id = 'c00024'",
        customers=24,
    )
    company.deliver()

    assert sorted(company.changes()) == [
        ("c00003", "remove", "left_segment", "Ordered on 1 March"),
        ("c00006", "remove", "consent_withdrawn", ""),
        ("c00009", "remove", "test_person", ""),
        ("c00012", "remove", "employee", ""),
        ("c00015", "remove", "no_identifier", ""),
        ("c00018", "remove", "unknown_customer", ""),
        ("c00021", "remove", "consent_withdrawn", ""),
        ("c00024", "update", "attributes_changed", "No order for a year"),
    ]
    assert company.ids() == {"c00024"}
    with open_ledger(company.settings) as ledger:
        sent = ledger.rows(
            f"select customer_id, operation, reason, outcome from ({SYNC_MEMBERS.format(ledger='')})"
            " where sync_run_id = (select max(sync_run_id) from runs) order by customer_id limit 2"
        )
    assert sent == [
        ("c00003", "remove", "left_segment", "applied"),
        ("c00006", "remove", "consent_withdrawn", "applied"),
    ]


def test_nobody_without_consent_identifier_or_a_real_person_behind_is_on_the_list(tmp_path: Path) -> None:
    sync = lapsed_sync(channel="sms", identifiers=["phone", "email"])
    company = Company(tmp_path, sync)
    changes = (
        "update marts.customer_360 set sms_consent = false where customer_id = 'c00003'",
        "update marts.customer_360 set is_test = true where customer_id = 'c00006'",
        "delete from marts.customer_contacts where customer_id = 'c00009'",
        "delete from marts.customer_contacts where customer_id = 'c00012' and identifier_kind = 'phone'",
        "insert into segments.segment_members values ('lapsed', 'ghost', '2024-01-01', 'x')",
    )
    company.publish(*changes)
    plan = company.plan()
    assert plan.taken_off == {"no_consent": 1, "no_identifier": 1, "test_person": 1, "unknown_customer": 1}
    assert plan.segment_count == 5
    company.deliver()
    assert company.members() == [
        {
            "customer_id": "c00012",
            "entered_at": "2023-01-13 00:00:00",
            "reason": "No order for 90 days",
            "phone": "",
            "email": "p12@example.com",
        }
    ]
    with opened(company.settings) as warehouse:
        # The same query judges the build, where contacts stand beside the other tables.
        assert [row[0] for row in warehouse.rows(list_sql(sync))] == ["c00012"]
        counts = dict(warehouse.rows(f"select taken_off, count(*) from ({desired_sql(sync)}) group by taken_off"))
    assert counts == {None: 1, **plan.taken_off}


def test_one_value_per_kind_is_chosen_by_preference_then_confidence_then_alphabet(tmp_path: Path) -> None:
    company = Company(tmp_path, lapsed_sync(channel="email", identifiers=["email"]))
    company.publish(
        "delete from marts.customer_contacts where customer_id in ('c00003', 'c00006', 'c00009', 'c00012')",
        "insert into marts.customer_contacts values"
        " ('c00003', 'email', 'a@x.org', 'shop', 1.0, false), ('c00003', 'email', 'b@x.org', 'shop', 0.1, true),"
        " ('c00006', 'email', 'a@x.org', 'shop', 0.5, null), ('c00006', 'email', 'b@x.org', 'shop', 0.9, false),"
        " ('c00009', 'email', 'b@x.org', 'crm', 0.9, true), ('c00009', 'email', 'a@x.org', 'shop', 0.9, true),"
        " ('c00012', 'email', '  ', 'shop', 1.0, true), ('c00012', 'email', 'z@x.org', 'shop', null, null)",
    )
    company.deliver()
    assert [row["email"] for row in company.members()] == ["b@x.org", "b@x.org", "a@x.org", "z@x.org"]


def test_a_list_that_demands_confidence_sends_no_identifier_that_may_be_somebody_elses(tmp_path: Path) -> None:
    company = Company(tmp_path, lapsed_sync(channel="email", identifiers=["email"], min_confidence=0.9))
    company.publish(
        "delete from marts.customer_contacts where customer_id in ('c00003', 'c00006', 'c00009')",
        "insert into marts.customer_contacts values"
        " ('c00003', 'email', 'may_be@x.org', 'shop', 0.6, true), ('c00003', 'email', 'sure@x.org', 'shop', 1, false),"
        " ('c00006', 'email', 'border@x.org', 'shop', 0.9, true), ('c00009', 'email', 'vague@x.org', 'crm', 0.8, true)",
    )
    assert company.plan().taken_off == {"no_identifier": 1}
    company.deliver()
    assert [row["email"] for row in company.members()] == ["sure@x.org", "border@x.org", "p12@example.com"]


def test_a_list_without_a_channel_cannot_carry_email_or_phone() -> None:
    with pytest.raises(LifecycleError, match="needs the consent of a channel"):
        desired_sql(lapsed_sync(identifiers=["email"]))


def test_no_direct_identifier_is_in_an_export_that_does_not_ask_for_it(tmp_path: Path) -> None:
    company = Company(tmp_path, lapsed_sync(attributes=["country", "net_revenue_amount"]))
    company.publish("update segments.segment_members set customer_id = 'c00001' where customer_id = 'c00003'")
    company.deliver()
    assert "c00001" in company.ids()
    output = io.StringIO()
    render([company.plan()], Console(file=output, width=100))
    state = company.settings.state
    found = output.getvalue().encode() + b"".join(path.read_bytes() for path in company.out.iterdir())
    found += state.ledger.read_bytes()
    for canary in CANARIES:
        assert canary.encode() not in found
    assert state.ledger.stat().st_mode & 0o777 == 0o600


def test_the_same_state_gives_the_same_plan_and_another_state_another(company: Company) -> None:
    company.publish()
    first = company.plan()
    assert company.plan() == first
    assert first.plan_id == f"lapsed_to_drop-{first.digest[:12]}"
    company.publish()
    assert company.plan().digest == first.digest
    company.publish(leaves("c00003"))
    assert company.plan().digest != first.digest


def test_a_plan_is_shown_with_counts_and_reasons(company: Company) -> None:
    company.publish("update marts.customer_360 set is_test = true where customer_id = 'c00006'")
    output = io.StringIO()
    render(plan_all(company.settings, now=company.now), Console(file=output, width=100))
    shown = output.getvalue()
    assert "lapsed_to_drop: lapsed → drop" in shown
    for words in (("taken off", "test_person", "1"), ("add", "entered", "3"), ("in the segment", "4")):
        assert any(all(word in line for word in words) for line in shown.splitlines()), words
    assert company.runs() == []


def test_a_dry_run_sends_nothing(company: Company) -> None:
    company.publish()
    assert company.deliver(dry_run=True).outcome == "planned"
    assert not company.out.exists()
    assert company.ledger_ids() == []


def test_without_a_publication_nothing_is_sent(company: Company) -> None:
    with pytest.raises(GateStoppedError, match="nothing is published"):
        company.deliver()


def test_a_segment_whose_gate_failed_keeps_its_last_list_and_others_go_on(tmp_path: Path) -> None:
    other = Sync(segment="vip", destination="other", guards=Guards(min_size=0))
    company = Company(tmp_path, lapsed_sync(), other)
    company.publish()
    company.deliver()
    company.number += 1
    with opened(company.settings) as warehouse:
        build(warehouse, run_id="run-2")
        verdict(warehouse, "run-2", "segment:lapsed", "failed", check="kept_its_size")
        verdict(warehouse, "run-2", "segment:vip", "passed")
        warehouse.run("insert into segments.segment_members values ('vip', 'c00001', '2024-01-01', 'Spent most')")
        build_publication(
            warehouse, company.settings, run_id="run-2", as_of=AS_OF, published_at=NOW + timedelta(days=2)
        )
    stopped, delivered = deliver_all(company.settings, now=company.now)
    assert isinstance(stopped.error, GateStoppedError)
    for part in ("kept_its_size", "observed 3", "at least 5", "The list of 2024-04-02"):
        assert part in str(stopped.error)
    assert company.ids() == LIST
    assert delivered.delivery is not None
    assert delivered.delivery.outcome == "delivered"
    attempts = plan_all(company.settings, now=company.now)
    assert [attempt.plan is None for attempt in attempts] == [True, False]


def test_a_segment_that_was_not_judged_in_the_published_run_is_not_sent(tmp_path: Path) -> None:
    company = Company(tmp_path, Sync(segment="unjudged", destination="drop"))
    company.publish()
    with pytest.raises(GateStoppedError, match="segment:unjudged gate was not judged"):
        company.deliver()


def test_a_plan_beyond_its_guard_sends_nothing_until_that_very_plan_is_approved(tmp_path: Path) -> None:
    company = Company(tmp_path, lapsed_sync(guards=Guards(max_remove=0.2, max_add=1)))
    company.publish()
    company.deliver()
    before = untouched(company.out)
    company.publish(leaves("c00003"))
    with pytest.raises(GateStoppedError, match="lifecycle publish approve") as stopped:
        company.deliver()
    assert "removes 1, 25% of 4; max_remove is 20%" in str(stopped.value)
    assert stopped.value.exit_code == 3
    assert untouched(company.out) == before
    assert company.runs()[-1]["outcome"] == "refused"

    plan = company.plan()
    with pytest.raises(LifecycleError, match="needs a reason"):
        approve(company.settings, plan.plan_id, " ", now=company.now)
    with pytest.raises(LifecycleError, match=f"Waiting: {plan.plan_id}"):
        approve(company.settings, "lapsed_to_drop-000000000000", "a typing error", now=company.now)
    approve(company.settings, plan.plan_id, "a planned clean-up", now=company.now)
    assert company.plan().is_approved
    assert company.deliver().outcome == "delivered"
    assert company.ids() == LIST - {"c00003"}


def test_an_emptied_segment_never_empties_its_list_by_itself(tmp_path: Path) -> None:
    company = Company(tmp_path, lapsed_sync(guards=Guards(min_size=0, max_remove=1)))
    company.publish()
    company.deliver()
    company.publish("delete from segments.segment_members")
    with pytest.raises(GateStoppedError, match="the segment is empty, the list holds 4"):
        company.deliver()
    assert company.ids() == LIST


def test_an_approval_holds_for_no_other_plan(tmp_path: Path) -> None:
    company = Company(tmp_path, lapsed_sync(guards=Guards(max_remove=0.2)))
    company.publish()
    company.deliver()
    company.publish(leaves("c00003"))
    approve(company.settings, company.plan().plan_id, "seen", now=company.now)
    company.publish(leaves("c00003", "c00006"))
    with pytest.raises(GateStoppedError, match="removes 2"):
        company.deliver()


def test_an_approval_is_used_up_when_its_plan_was_sent(tmp_path: Path) -> None:
    company = Company(tmp_path, lapsed_sync(guards=Guards(max_remove=0.2)))
    company.publish()
    company.deliver()
    company.publish(leaves("c00003"))
    approve(company.settings, company.plan().plan_id, "seen", now=company.now)
    company.deliver()
    company.publish()
    company.deliver()
    company.publish(leaves("c00003"))
    with pytest.raises(GateStoppedError, match="max_remove"):
        company.deliver()


def test_the_first_delivery_is_not_held_by_max_add(tmp_path: Path) -> None:
    company = Company(tmp_path, lapsed_sync(guards=Guards(max_add=0)))
    company.publish()
    assert company.deliver().added_count == 4


def test_withdrawn_consent_counts_for_no_guard(tmp_path: Path) -> None:
    company = Company(tmp_path, lapsed_sync(channel="email", guards=Guards(max_remove=0)))
    company.publish()
    company.deliver()
    company.publish("update marts.customer_360 set email_consent = false where customer_id in ('c00003', 'c00006')")
    assert company.deliver().removed_count == 2
    assert company.ids() == {"c00009", "c00012"}


def test_a_refused_plan_still_takes_off_who_withdrew_consent(tmp_path: Path) -> None:
    company = Company(tmp_path, lapsed_sync(channel="email", identifiers=["email"], guards=Guards(max_remove=0.2)))
    company.publish()
    company.deliver()
    rows = {row["customer_id"]: row for row in company.members()}
    company.publish(
        leaves("c00003", "c00006"),
        "update marts.customer_360 set email_consent = false where customer_id = 'c00009'",
        "update segments.segment_members set reason = 'changed' where customer_id = 'c00012'",
    )
    with pytest.raises(GateStoppedError, match="removes 2, 67% of 3") as stopped:
        company.deliver()
    del rows["c00009"]
    assert {row["customer_id"]: row for row in company.members()} == rows
    assert company.changes() == [("c00009", "remove", "consent_withdrawn", "")]
    assert company.ledger_ids() == sorted(rows)
    assert [run["outcome"] for run in company.runs()] == ["delivered", "refused", "withdrawn", "refused"]

    plan_id = next(word for word in str(stopped.value).split() if word.startswith("lapsed_to_drop-"))
    approve(company.settings, plan_id.strip("`:,"), "they are gone", now=company.now)
    assert company.deliver().outcome == "delivered"
    assert company.ids() == {"c00012"}


def test_a_changed_encoder_waits_for_approval(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    company.publish()
    company.deliver()
    monkeypatch.setattr(FilesDestination, "encoder", "files.v2")
    with pytest.raises(GateStoppedError, match=r"encoder files\.v1 and would be written by files\.v2"):
        company.deliver()


def test_a_changed_mapping_sends_everybody_again_and_removes_nobody(tmp_path: Path) -> None:
    company = Company(tmp_path, lapsed_sync(guards=Guards(max_remove=0, max_add=0)))
    company.publish()
    company.deliver()
    delivery = company.with_sync(lapsed_sync(attributes=["country"], guards=company.sync.guards)).deliver()
    assert (delivery.updated_count, delivery.added_count, delivery.removed_count) == (4, 0, 0)
    assert {row["country"] for row in company.members()} == {"US"}


def test_attributes_are_columns_of_customer_360_without_identifiers(company: Company) -> None:
    company.publish()
    for name, problem in (
        ("email", "says directly who somebody is"),
        ("contact_id", "says directly who somebody is"),
        ("customer_id", "on the list already"),
        ("persna", "did you mean 'persona'"),
    ):
        with pytest.raises(LifecycleError, match=problem):
            company.with_sync(lapsed_sync(attributes=[name])).plan()


def test_formula_cells_are_neutralised_in_csv_and_left_alone_in_parquet(tmp_path: Path) -> None:
    cells = ["=1+1", "+1+1", "-2+3", "@SUM(A1)", "\tx", "\rx", "plain - text"]
    company = Company(
        tmp_path,
        lapsed_sync(attributes=["persona", "net_revenue_amount"], channel="sms", identifiers=["phone"]),
    )
    quoted = ", ".join(
        "'" + c.replace("\t", "' || chr(9) || '").replace("\r", "' || chr(13) || '") + "'" for c in cells
    )
    cell = f"list_extract([{quoted}], customer_id[2:]::integer // 3)"
    company.publish(
        f"update marts.customer_360 set persona = {cell}",
        f"update segments.segment_members set reason = {cell}",
        customers=21,
    )
    company.deliver()
    neutral = ["'" + c for c in cells[:-1]] + cells[-1:]
    assert [row["persona"] for row in company.members()] == neutral
    assert [row["reason"] for row in company.members()] == neutral
    assert [row["detail"] for row in read_csv(company.out / "changes.csv")] == neutral
    # Numbers and phone numbers are no formulas.
    assert company.members()[0]["net_revenue_amount"] == "-17.0000"
    assert company.members()[0]["phone"] == "+15550000003"
    plain = duckdb.execute(
        f"select persona from read_parquet('{company.out}/members.parquet') order by customer_id"
    ).fetchall()
    assert [value for (value,) in plain] == cells


def test_equal_lists_are_equal_to_the_byte(tmp_path: Path) -> None:
    def delivered(folder: Path, shuffled: str) -> dict[str, bytes]:
        company = Company(folder, lapsed_sync(attributes=["persona"]))
        company.publish(
            f"create or replace table segments.segment_members as from segments.segment_members order by {shuffled}",
            customers=300,
        )
        company.now += timedelta(days=len(shuffled))
        company.deliver()
        return {path.name: path.read_bytes() for path in company.out.iterdir() if path.name != "manifest.json"}

    assert delivered(tmp_path / "one", "customer_id") == delivered(tmp_path / "two", "hash(customer_id)")


def test_three_deliveries_stay_and_the_link_shows_the_last(company: Company) -> None:
    for gone in ("c00003", "c00006", "c00009", "c00012"):
        company.publish(leaves(gone))
        company.deliver()
    kept = list((company.settings.folder / "out" / ".deliveries" / company.sync.key).iterdir())
    assert len(kept) == 3
    assert company.out.resolve() in kept
    assert company.ids() == LIST - {"c00012"}


def test_a_place_that_holds_something_else_is_not_overwritten(company: Company) -> None:
    company.publish()
    company.out.mkdir(parents=True)
    (company.out / "members.csv").write_text("mine")
    with pytest.raises(LifecycleError, match="no delivery has put there"):
        company.deliver()
    assert (company.out / "members.csv").read_text() == "mine"


def test_a_list_that_was_lost_at_the_destination_is_restored(company: Company) -> None:
    company.publish()
    company.deliver()
    (company.out / "members.csv").unlink()
    assert company.deliver().outcome == "restored"
    assert company.ids() == LIST
    assert company.deliver().outcome == "unchanged"


def test_the_list_follows_a_rollback(company: Company) -> None:
    company.publish()
    company.publish(leaves("c00003"))
    company.deliver()
    rollback(company.settings.state)
    assert company.deliver().added_count == 1
    assert company.ids() == LIST


def test_a_failed_send_is_resumed_with_the_same_plan(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    company.publish()
    original = os.fsync
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(LifecycleError, match="No space left on device"):
        company.deliver()
    monkeypatch.setattr(os, "fsync", original)
    assert not company.out.exists()
    assert company.ledger_ids() == []
    (unfinished,) = company.runs()
    assert unfinished["outcome"] == "unfinished"

    resumed = company.deliver()
    assert (resumed.outcome, resumed.is_resumed) == ("delivered", True)
    assert resumed.sync_run_id == unfinished["sync_run_id"]
    with open_ledger(company.settings) as ledger:
        assert ledger.rows("select attempt_number, outcome from attempts order by all") == [
            (1, "failed"),
            (2, "applied"),
        ]


def test_an_interrupted_plan_gives_way_to_a_newer_publication(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    company.publish()
    with monkeypatch.context() as patched:
        patched.setattr(FilesDestination, "_write", lambda *_: (_ for _ in ()).throw(OSError(5, "broken disk")))
        with pytest.raises(LifecycleError, match="broken disk"):
            company.deliver()
    company.publish(leaves("c00006"))
    assert company.deliver().outcome == "delivered"
    assert company.ids() == LIST - {"c00006"}
    assert [run["outcome"] for run in company.runs()] == ["abandoned", "delivered"]


def test_a_list_that_arrived_before_the_books_were_closed_is_not_sent_again(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:

    company.publish()
    with monkeypatch.context() as patched:
        patched.setattr(SnapshotWork, "close", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            company.deliver()
    before = untouched(company.out)
    company.publish(leaves("c00006"))
    assert company.deliver().outcome == "delivered"
    assert [run["outcome"] for run in company.runs()] == ["delivered", "delivered"]
    assert company.changes() == [("c00006", "remove", "left_segment", "")]
    assert before["changes.csv"] != untouched(company.out)["changes.csv"]


def test_counts_that_do_not_add_up_are_an_error_and_leave_the_ledger(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lifecycle.publishing.destinations.snapshots import Receipt

    company.publish()
    original = FilesDestination.read_back

    def short(self: FilesDestination, sync_name: str) -> Receipt | None:
        receipt = original(self, sync_name)
        return receipt and Receipt(receipt.key, receipt.member_count - 2, receipt.members)

    with monkeypatch.context() as patched:
        patched.setattr(FilesDestination, "read_back", short)
        with pytest.raises(LifecycleError, match="members at the destination = desired: 4, 2"):
            company.deliver()
    assert company.ledger_ids() == []
    assert company.deliver().is_resumed
    assert company.ledger_ids() == sorted(LIST)


def test_one_delivery_of_a_sync_at_a_time(company: Company) -> None:
    company.publish()
    held = lease(company.settings, company.sync.key, company.now)
    with held, pytest.raises(LockedError, match=f"process {os.getpid()}"):
        company.deliver()
    assert company.deliver().outcome == "delivered"


@pytest.mark.parametrize(("hours", "is_free"), [(0, False), (2, True)])
def test_a_lease_of_another_machine_ends_with_its_time(company: Company, hours: int, is_free: bool) -> None:
    company.publish()
    with open_ledger(company.settings) as ledger:
        ledger.run(
            "insert into leases values (?, 'elsewhere:1', ?, ?)",
            [
                company.sync.key,
                company.now.replace(tzinfo=None),
                (company.now + timedelta(hours=1)).replace(tzinfo=None),
            ],
        )
    company.now += timedelta(hours=hours)
    if is_free:
        assert company.deliver().outcome == "delivered"
    else:
        with pytest.raises(LockedError, match="process 1 on elsewhere"):
            company.deliver()


def test_a_delivery_killed_at_any_moment_ends_with_the_exact_list(tmp_path: Path) -> None:
    company = Company(tmp_path, lapsed_sync(attributes=["persona"]))
    company.publish(customers=3_000)
    assert in_a_process(killed_delivery, company.settings, company.now, None, 0) == 0
    steps = int((tmp_path / "steps").read_text())
    chance = random.Random(7)  # noqa: S311
    killed = unfinished = 0
    # One kill in each sixth of the work.
    for number in range(6):
        company.publish(f"delete from segments.segment_members where customer_id[-1] = '{number}'", customers=3_000)
        step = int((number + chance.random()) * steps / 6) + 1
        code = in_a_process(killed_delivery, company.settings, company.now, step, chance.uniform(0, 0.004))
        killed += code == -signal.SIGKILL
        unfinished += company.runs()[-1]["outcome"] == "unfinished"

        company.deliver()
        wanted = {f"c{i:05d}" for i in range(3, 3_001, 3) if i % 10 != number}
        assert company.ids() == wanted
        assert company.ledger_ids() == sorted(wanted)
        assert len(company.members()) == len(wanted)
    assert killed >= 5
    assert unfinished >= 2
    with open_ledger(company.settings) as ledger:
        doubled = ledger.rows(
            f"select sync_run_id, customer_id from ({SYNC_MEMBERS.format(ledger='')}) group by all having count(*) > 1"
        )
        # Whoever was added and not removed since is on the list: the history of changes is complete.
        net = ledger.scalar(
            "select count(*) from (select customer_id, sum(case operation when 'add' then 1 when 'remove' then -1"
            f" else 0 end) as net from ({SYNC_MEMBERS.format(ledger='')}) group by customer_id) where net = 1"
        )
        assert ledger.scalar("select count(*) from plan_items where item_state <> 'applied'") == 0
    assert doubled == []
    assert net == len(company.ids())
