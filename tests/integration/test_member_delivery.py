"""Keeping the members of a tool equal to a segment: exact lists after faults, edits, withdrawals and kills.

The tool is a real server on this machine with a plain REST list (``tests/contracts/plain_list.py``).
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from listed_company import ListedCompany, emails, leaves, no_consent, publish_only_what_syncs_read
from rich.console import Console

from lifecycle.errors import GateStoppedError, LifecycleError
from lifecycle.publishing import destinations, member_work
from lifecycle.publishing.apply import deliver_all
from lifecycle.publishing.guards import approve
from lifecycle.publishing.ledger import SYNC_MEMBERS, SYNC_RUNS, open_ledger
from lifecycle.publishing.retirement import left_lists, print_left_lists, retire
from lifecycle.settings import Guards
from tests.contracts.plain_list import PlainList, PlainListServer

PLAIN = "tests.contracts.plain_list:PlainList"
LAPSED = {f"p{number}@example.com" for number in (3, 6, 9, 12)}


class Tool(ListedCompany):
    """The company, with the plain list."""

    def __init__(self, folder: Path, server: PlainListServer) -> None:
        self.server = server
        options = {"kind": "plain_list", "url": server.url, "token": server.secret, "pause": 0.001}
        super().__init__(folder, options)

    @property
    def list(self) -> dict[str, dict[str, Any]]:
        return self.server.lists[self.sync.key]


@pytest.fixture(autouse=True)
def _plain_list_is_a_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    publish_only_what_syncs_read(monkeypatch)
    monkeypatch.setitem(destinations.KINDS, "plain_list", PLAIN)


@pytest.fixture
def server() -> Iterator[PlainListServer]:
    server = PlainListServer()
    yield server
    server.close()


@pytest.fixture
def tool(tmp_path: Path, server: PlainListServer) -> Tool:
    return Tool(tmp_path, server)


def test_the_first_delivery_puts_everybody_on_the_list_and_the_second_nobody(tool: Tool) -> None:
    tool.publish()
    first = tool.deliver()
    assert (first.outcome, first.added_count, first.rejected_count) == ("delivered", 4, 0)
    assert (first.missing_count, first.stray_count) == (0, 0)
    assert set(tool.list) == LAPSED
    asked = len(tool.server.requests)
    assert tool.plan().changes == 0
    second = tool.deliver()
    assert second.outcome == "unchanged"
    writes = [request for request in tool.server.requests[asked:] if request.path.endswith("members")]
    assert writes == []


def test_who_leaves_and_who_withdrew_consent_is_taken_off_and_others_are_left_alone(tool: Tool) -> None:
    tool.publish()
    tool.deliver()
    tool.list["by.hand@example.com"] = {}
    tool.publish(leaves("c00003"), no_consent("c00006"))
    sent = tool.deliver()
    assert (sent.removed_count, sent.stray_count, sent.missing_count) == (2, 1, 0)
    assert set(tool.list) == {"p9@example.com", "p12@example.com", "by.hand@example.com"}
    with open_ledger(tool.settings) as ledger:
        members = ledger.rows(
            f"select customer_id, operation, reason, outcome from ({SYNC_MEMBERS.format(ledger='')})"
            " where operation = 'remove' order by 1"
        )
    assert members == [
        ("c00003", "remove", "left_segment", "applied"),
        ("c00006", "remove", "consent_withdrawn", "applied"),
    ]


def test_somebody_taken_off_by_hand_at_the_tool_is_told_as_missing(tool: Tool) -> None:
    tool.publish()
    tool.deliver()
    del tool.list["p3@example.com"]
    tool.publish(leaves("c00012"))
    assert tool.deliver().missing_count == 1


def test_a_changed_address_takes_the_old_one_off(tool: Tool) -> None:
    tool.publish()
    tool.deliver()
    tool.publish(emails({"c00003": "new@example.com"}))
    sent = tool.deliver()
    assert (sent.updated_count, sent.added_count, sent.removed_count) == (1, 0, 0)
    assert set(tool.list) == LAPSED - {"p3@example.com"} | {"new@example.com"}


def test_two_customers_who_swap_addresses_are_both_on_the_list(tool: Tool) -> None:
    tool.publish()
    tool.deliver()
    tool.publish(emails({"c00003": "p6@example.com", "c00006": "p3@example.com"}))
    tool.deliver()
    assert set(tool.list) == LAPSED
    assert tool.plan().changes == 0


def test_of_two_customers_with_one_address_one_is_on_the_list_and_the_other_follows(tool: Tool) -> None:
    tool.publish(emails({"c00006": "p3@example.com"}))
    first = tool.deliver()
    assert (first.desired_count, first.added_count, first.rejected_count) == (4, 4, 1)
    assert set(tool.list) == LAPSED - {"p6@example.com"}
    plan = tool.plan()
    assert (plan.changes, plan.vetoed) == (0, {"same_person": 1})
    # The one who held the address leaves: it stays on the list, for the other.
    tool.publish(emails({"c00006": "p3@example.com"}), leaves("c00003"))
    sent = tool.deliver()
    assert (sent.removed_count, sent.added_count, sent.rejected_count) == (1, 1, 0)
    assert set(tool.list) == LAPSED - {"p6@example.com"}
    assert tool.ledger("select customer_id from deliveries order by 1") == [("c00006",), ("c00009",), ("c00012",)]


def test_who_is_refused_is_not_sent_again_until_something_changes(tool: Tool) -> None:
    tool.publish(emails({"c00003": "ada@refused.example"}))
    sent = tool.deliver()
    assert (sent.outcome, sent.rejected_count, sent.added_count) == ("delivered", 1, 4)
    assert set(tool.list) == LAPSED - {"p3@example.com"}
    assert tool.ledger("select code, message from rejections") == [("refused_address", None)]
    plan = tool.plan()
    assert (plan.changes, plan.vetoed, plan.desired_count) == (0, {"refused_address": 1}, 4)
    tool.publish(emails({"c00003": "ada@example.com"}))
    assert tool.deliver().rejected_count == 0
    assert "ada@example.com" in tool.list
    assert tool.ledger("select count(*) from rejections") == [(0,)]


def test_a_member_whose_new_address_is_refused_is_on_the_list_under_none(tool: Tool) -> None:
    tool.publish()
    tool.deliver()
    tool.publish(emails({"c00003": "ada@refused.example", "c00006": "no address at all"}))
    sent = tool.deliver()
    assert sent.rejected_count == 2
    assert set(tool.list) == LAPSED - {"p3@example.com", "p6@example.com"}
    assert tool.plan().vetoed == {"no_email": 1, "refused_address": 1}
    assert tool.ledger("select count(*) from deliveries") == [(2,)]


def test_attributes_follow_and_a_tool_without_them_hears_of_nobody(tool: Tool) -> None:
    tool.configure(attributes=["lifecycle_stage"])
    tool.publish()
    tool.deliver()
    changed = "update marts.customer_360 set lifecycle_stage = 'at_risk' where customer_id = 'c00009'"
    tool.publish(changed)
    sent = tool.deliver()
    assert (sent.updated_count, tool.list["p9@example.com"]["lifecycle_stage"]) == (1, "at_risk")
    tool.configure(attributes=["lifecycle_stage"], options={"updates": False})
    tool.deliver()
    tool.publish()
    assert tool.plan().changes == 0


@pytest.mark.parametrize("fault", ["busy", "error", "lost_answer", "html"])
def test_a_tool_that_fails_for_a_while_has_the_exact_list_after_the_next_delivery(
    tool: Tool, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(member_work.time, "sleep", lambda _: None)
    tool.publish()
    tool.server.fail_next(fault, times=40)
    # The list itself is made before: those calls are no writes of members.
    tool.server.is_write = lambda request: request.path.endswith("members") and request.method != "GET"  # type: ignore[method-assign]
    with pytest.raises(LifecycleError, match=r"4 of 4 changes are not proved yet"):
        tool.deliver()
    tool.server.faults.clear()
    sent = tool.deliver()
    assert (sent.outcome, sent.is_resumed, sent.added_count) == ("delivered", True, 4)
    assert set(tool.list) == LAPSED
    runs = tool.ledger(f"select outcome from ({SYNC_RUNS.format(ledger='')})")
    assert runs == [("delivered",)]


def test_bad_credentials_stop_before_anything_is_planned(tool: Tool) -> None:
    tool.configure(options={"token": "wrong"})
    tool.publish()
    with pytest.raises(LifecycleError, match=r"refuses the credentials \(status 401\)"):
        tool.deliver()
    assert tool.ledger("select count(*) from runs") == [(0,)]


def test_what_began_before_a_newer_publication_ends_with_the_newer_list(tool: Tool) -> None:
    tool.publish()
    tool.server.is_write = lambda request: request.path.endswith("members") and request.method == "PUT"  # type: ignore[method-assign]
    tool.server.fail_next("lost_answer", times=15)
    with pytest.raises(LifecycleError, match="not proved yet"):
        tool.deliver()
    assert set(tool.list) == LAPSED
    tool.server.faults.clear()
    # Two of those who may be on the list are not wanted any more.
    tool.publish(leaves("c00003"), no_consent("c00006"))
    tool.deliver()
    assert set(tool.list) == {"p9@example.com", "p12@example.com"}
    assert tool.plan().changes == 0


def test_consent_that_is_withdrawn_while_a_list_is_sent_keeps_people_off(
    tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool.configure(options={"max_batch": 1})
    tool.publish()
    send = PlainList.send
    published: list[bool] = []

    def slow(self: PlainList, *given: Any) -> Any:
        answer = send(self, *given)
        if not published:
            published.append(True)
            now = tool.now
            tool.publish(no_consent("c00009"))
            tool.now = now
        return answer

    monkeypatch.setattr(PlainList, "send", slow)
    tool.deliver()
    assert set(tool.list) == LAPSED - {"p9@example.com"}
    assert tool.ledger("select customer_id from plan_items where item_state = 'withdrawn'") == [("c00009",)]


def test_another_list_is_filled_only_when_a_person_agrees_and_the_old_one_is_left_alone(tool: Tool) -> None:
    tool.publish()
    tool.deliver()
    old = tool.sync.key
    tool.configure(name=old, list="other")
    tool.settings = tool.settings.model_copy(update={"syncs": [tool.sync]})
    original = PlainList.ensure_list
    try:
        PlainList.ensure_list = lambda self, spec: original(
            self, spec.__class__(spec.list_id or spec.sync_name, spec.title)
        )  # type: ignore[method-assign]
        with pytest.raises(GateStoppedError, match=r"adds 4, an empty list of 0; max_add is 100%"):
            tool.deliver()
        assert set(tool.server.lists[old]) == LAPSED
        assert tool.server.lists["other"] == {}
        approve(tool.settings, tool.plan().plan_id, "moved on purpose", now=tool.now)
        tool.deliver()
    finally:
        PlainList.ensure_list = original  # type: ignore[method-assign]
    assert set(tool.server.lists["other"]) == set(tool.server.lists[old]) == LAPSED


def test_a_sync_that_is_taken_out_leaves_its_list_until_somebody_retires_it(
    tool: Tool, capsys: pytest.CaptureFixture[str]
) -> None:
    tool.publish()
    tool.deliver()
    tool.list["by.hand@example.com"] = {}
    everybody = dict(tool.list)
    old = tool.sync.key
    assert left_lists(tool.settings) == []
    tool.settings = tool.settings.model_copy(update={"syncs": []})
    assert deliver_all(tool.settings, now=tool.now) == []
    assert tool.list == everybody
    print_left_lists(Console(width=200), tool.settings)
    said = capsys.readouterr().out
    assert "no sync keeps this list any more; its 4 members stay at 'tool'" in said
    assert f"lifecycle publish retire {old}" in said

    sent = retire(tool.settings, old, now=tool.now)
    assert (sent.removed_count, sent.stray_count) == (4, 1)
    assert set(tool.list) == {"by.hand@example.com"}
    with open_ledger(tool.settings) as ledger:
        reasons = ledger.rows(
            f"select distinct reason, outcome from ({SYNC_MEMBERS.format(ledger='')}) where operation = 'remove'"
        )
    assert reasons == [("sync_removed", "applied")]
    with pytest.raises(LifecycleError, match=r"there is no list 'lapsed_to_tool' that no sync keeps"):
        retire(tool.settings, old, now=tool.now)


def test_an_interrupted_retirement_goes_on_and_a_destination_that_is_gone_is_said(tool: Tool) -> None:
    tool.publish()
    tool.deliver()
    without = tool.settings.model_copy(update={"syncs": []})
    tool.server.is_write = lambda request: request.method == "DELETE"  # type: ignore[method-assign]
    tool.server.fail_next("lost_answer", times=15)
    with pytest.raises(LifecycleError, match="4 of 4 changes are not proved yet"):
        retire(without, tool.sync.key, now=tool.now)
    tool.server.faults.clear()
    nowhere = without.model_copy(update={"destinations": []})
    with pytest.raises(LifecycleError, match=r"its destination 'tool' is not in the settings any more"):
        retire(nowhere, tool.sync.key, now=tool.now)
    retire(without, tool.sync.key, now=tool.now)
    assert tool.list == {}
    assert tool.ledger(
        "select count(*) from runs where plan_id in (select plan_id from plans where kind = 'retirement')"
    ) == [(1,)]


def test_a_list_that_a_sync_keeps_is_not_retired(tool: Tool) -> None:
    tool.publish()
    tool.deliver()
    with pytest.raises(LifecycleError, match="A list that a sync keeps empties with its segment"):
        retire(tool.settings, tool.sync.key, now=tool.now)
    assert set(tool.list) == LAPSED


def test_a_guard_holds_the_list_and_withdrawals_go_through(tool: Tool) -> None:
    tool.publish()
    tool.deliver()
    tool.configure(guards=Guards(max_remove=0.2))
    tool.publish(leaves("c00003", "c00009"), no_consent("c00012"))
    with pytest.raises(GateStoppedError, match=r"removes 2, 67% of 3; max_remove is 20%"):
        tool.deliver()
    assert set(tool.list) == LAPSED - {"p12@example.com"}


def test_no_address_is_in_the_ledger_and_no_secret(tool: Tool) -> None:
    tool.configure(identifiers=["email"], attributes=["country"])
    tool.publish(emails({"c00003": "zz.canary@example.com", "c00006": "zz.canary@refused.example"}))
    tool.deliver()
    assert "zz.canary@example.com" in tool.list
    with open_ledger(tool.settings) as ledger:
        ledger.run("checkpoint")
    content = tool.settings.state.ledger.read_bytes()
    for value in (b"zz.canary", b"p9@example.com", tool.server.secret.encode()):
        assert value not in content


def test_without_the_secret_of_before_nobody_is_taken_off_blindly(tool: Tool) -> None:
    tool.publish()
    tool.deliver()
    key = tool.settings.state.hash_key_file
    kept = key.read_text()
    key.write_text("another")
    tool.publish(leaves("c00003"))
    with pytest.raises(LifecycleError, match="the secret is another one"):
        tool.deliver()
    assert set(tool.list) == LAPSED
    key.write_text(kept)
    tool.deliver()
    assert set(tool.list) == LAPSED - {"p3@example.com"}


def test_the_counts_of_many_batches_add_up(tool: Tool) -> None:
    tool.configure(options={"max_batch": 7})
    tool.publish(emails({f"c{number:05d}": f"x{number}@refused.example" for number in range(3, 90, 9)}), customers=300)
    sent = tool.deliver()
    assert (sent.desired_count, sent.rejected_count) == (100, 10)
    assert len(tool.list) == 90
    attempts = tool.ledger("select operation, sum(member_count) from attempts group by operation")
    assert attempts == [("add", 100)]


def _deliver_in_a_process(tool: Tool) -> None:
    destinations.KINDS["plain_list"] = PLAIN
    tool.deliver()


def test_a_delivery_killed_at_any_moment_ends_with_the_exact_list(tool: Tool) -> None:
    """A process is killed again and again, while the list changes; the tool ends with the decided list each time."""
    seed = random.SystemRandom().randrange(1_000_000)
    luck = random.Random(seed)  # noqa: S311
    tool.configure(options={"max_batch": 5})
    fork = multiprocessing.get_context("fork")
    wanted: set[str] = set()
    kills = 0
    for round_number in range(6):
        gone = {number for number in range(3, 301, 3) if luck.random() < 0.2}
        moved = {number for number in range(3, 301, 3) if luck.random() < 0.1}
        tool.publish(
            leaves(*(f"c{number:05d}" for number in gone)),
            emails({f"c{number:05d}": f"q{number}.{round_number}@example.com" for number in moved} or {"": ""}),
            customers=300,
        )
        wanted = {
            f"q{number}.{round_number}@example.com" if number in moved else f"p{number}@example.com"
            for number in range(3, 301, 3)
            if number not in gone
        }
        for _ in range(2):
            process = fork.Process(target=_deliver_in_a_process, args=(tool,))
            process.start()
            time.sleep(luck.random() * 0.4)
            if process.is_alive() and process.pid:
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
            process.join()
        tool.deliver()
        assert set(tool.list) == wanted, f"seed {seed}"
        assert tool.plan().changes == 0, f"seed {seed}"
    assert kills >= 2, f"seed {seed}"
