"""Exact lists in a real GNU Mailman 3: what was decided, after changes, withdrawals, bans and kills.

Skips where there is no Mailman, and fails there when ``LIFECYCLE_TEST_SERVERS=1`` says that there has to be.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from listed_company import ListedCompany, emails, leaves, no_consent, publish_only_what_syncs_read

from tests.contracts.mailman_server import MailmanServer, missing_part

pytestmark = pytest.mark.servers

PEOPLE = 6_000
"""Of whom every third is lapsed: 2,000 members."""
NUMBERS = range(3, PEOPLE + 1, 3)
KILLS = 30


@pytest.fixture(scope="module")
def server() -> Iterator[MailmanServer]:
    missing = missing_part()
    if missing and os.environ.get("LIFECYCLE_TEST_SERVERS") == "1":
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    with MailmanServer() as server:
        assert server.call("POST", "/3.1/domains", {"mail_host": "example.com"})[0] == 201
        yield server


@pytest.fixture(autouse=True)
def _small_publications(monkeypatch: pytest.MonkeyPatch) -> None:
    publish_only_what_syncs_read(monkeypatch)


def company(folder: Path, server: MailmanServer, address: str) -> ListedCompany:
    options = {"kind": "mailman", "url": server.url, "password": server.password, "create_list": True, "pause": 0.05}
    made = ListedCompany(folder, options)
    made.configure(list=address)
    return made


def customers(numbers: list[int]) -> list[str]:
    return [f"c{number:05d}" for number in numbers]


def addresses(numbers: list[int]) -> set[str]:
    return {f"p{number}@example.com" for number in numbers}


def test_two_thousand_members_follow_every_decision(tmp_path: Path, server: MailmanServer) -> None:
    address = "lapsed@example.com"
    made = company(tmp_path, server, address)
    made.publish(customers=PEOPLE)
    first = made.deliver()
    assert (first.added_count, first.rejected_count, first.missing_count, first.stray_count) == (2_000, 0, 0, 0)
    everybody = addresses(list(NUMBERS))
    assert server.members(address) == everybody

    by_hand = {"by.hand@example.org"}
    assert server.call("POST", "/3.1/members", {
        "list_id": address.replace("@", "."), "subscriber": "by.hand@example.org", "pre_verified": True,
        "pre_confirmed": True, "pre_approved": True,
    })[0] == 201  # fmt: skip
    assert server.call("POST", f"/3.1/lists/{address}/bans", {"email": "banned@example.com"})[0] == 201
    gone, withdrawn, moved = list(NUMBERS)[:100], list(NUMBERS)[100:150], list(NUMBERS)[150:200]
    changed = {f"c{number:05d}": f"q{number}@example.com" for number in moved} | {"c00603": "banned@example.com"}
    made.publish(leaves(*customers(gone)), no_consent(*customers(withdrawn)), emails(changed), customers=PEOPLE)
    second = made.deliver()
    assert (second.removed_count, second.updated_count, second.rejected_count) == (150, 51, 1)
    assert (second.missing_count, second.stray_count) == (0, 1)
    wanted = everybody - addresses([*gone, *withdrawn, *moved, 603]) | {f"q{number}@example.com" for number in moved}
    assert server.members(address) == wanted | by_hand
    plan = made.plan()
    assert (plan.changes, plan.vetoed) == (0, {"banned": 1})


def test_thirty_kills_leave_the_exact_list(tmp_path: Path, server: MailmanServer) -> None:
    """A delivery is killed at random moments, and begun again, until it ends; then everything changes once more."""
    address = "killed@example.com"
    seed = random.SystemRandom().randrange(1_000_000)
    luck = random.Random(seed)  # noqa: S311
    made = company(tmp_path, server, address)
    fork = multiprocessing.get_context("fork")
    kills = 0
    wanted: set[str] = set()
    while kills < KILLS:
        gone = [number for number in NUMBERS if luck.random() < 0.3]
        moved = [number for number in NUMBERS if luck.random() < 0.1]
        round_number = made.number
        made.publish(
            leaves(*customers(gone)),
            emails({f"c{number:05d}": f"q{number}.{round_number}@example.com" for number in moved}),
            customers=PEOPLE,
        )
        left = set(NUMBERS) - set(gone)
        wanted = addresses([number for number in left if number not in moved])
        wanted |= {f"q{number}.{round_number}@example.com" for number in left if number in moved}
        for _ in range(10):
            process = fork.Process(target=made.deliver)
            process.start()
            time.sleep(0.2 + luck.random() * 4)
            if not process.is_alive() or process.pid is None:
                process.join()
                break
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            kills += 1
        made.deliver()
        assert server.members(address) == wanted, f"seed {seed}"
        assert made.plan().changes == 0, f"seed {seed}"
    # Missed and stray are none: the list is the decision, after each of the rounds.
    assert kills >= KILLS
