"""Who may change a company's state, and what its secret is."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

from lifecycle.errors import LockedError
from lifecycle.state import State, lock_holder, run_lock

HOLD = """
import sys, time
from pathlib import Path
from lifecycle.state import State, run_lock
with run_lock(State(Path(sys.argv[1])), "run-of-another"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / ".lifecycle")


@contextmanager
def another_process_holds(state: State) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(state.root)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_second_process_is_told_who_holds_the_lock(state: State) -> None:
    with another_process_holds(state) as process:
        with pytest.raises(LockedError) as raised, run_lock(state, "mine"):
            pass
        message = str(raised.value)
        assert f"run run-of-another (process {process.pid} on " in message
        assert str(state.root) in message and "UTC" in message and "Wait until it has ended" in message


def test_the_lock_is_free_after_its_holder_was_killed(state: State) -> None:
    with another_process_holds(state) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        with run_lock(state, "mine"):
            assert lock_holder(state)["run_id"] == "mine"


def test_a_run_may_wait_for_the_lock(state: State) -> None:
    with another_process_holds(state) as process:
        started = time.monotonic()
        with pytest.raises(LockedError), run_lock(state, "mine", wait_seconds=0.5):
            pass
        assert time.monotonic() - started >= 0.5
        process.kill()
        with run_lock(state, "mine", wait_seconds=10):
            assert lock_holder(state)["run_id"] == "mine"


def test_the_steps_of_a_run_take_its_lock_again(state: State) -> None:
    with run_lock(state, "mine"):
        with run_lock(state, "mine"), run_lock(state, "mine"):
            pass
        # the inner ones gave nothing back: another process still has to wait
        script = HOLD.replace("time.sleep(60)", "pass")
        found = subprocess.run(
            [sys.executable, "-c", script, str(state.root)], capture_output=True, text=True, check=False
        )
        assert f"run mine (process {os.getpid()}" in found.stderr


def test_the_lock_is_free_after_an_error(state: State) -> None:
    with pytest.raises(ValueError, match="boom"), run_lock(state, "mine"):
        raise ValueError("boom")
    with another_process_holds(state):
        assert lock_holder(state)["run_id"] == "run-of-another"


def test_two_states_have_two_locks(tmp_path: Path) -> None:
    with another_process_holds(State(tmp_path / "one")), run_lock(State(tmp_path / "other"), "mine"):
        pass


def test_a_damaged_lock_file_names_nobody_and_locks_all_the_same(state: State) -> None:
    assert lock_holder(state) == {}
    state.make()
    state.lock.write_text("{not json")
    assert lock_holder(state) == {}
    with run_lock(state, "mine"):
        assert lock_holder(state)["run_id"] == "mine"


def test_the_hash_key_is_made_once_and_readable_by_its_owner_alone(state: State) -> None:
    key = state.hash_key()
    assert len(key) == 64
    assert State(state.root).hash_key() == key
    assert stat.S_IMODE(state.hash_key_file.stat().st_mode) == 0o600
    assert [file.name for file in state.root.iterdir()] == ["hash.key"]


def test_two_states_have_two_hash_keys(tmp_path: Path) -> None:
    assert State(tmp_path / "one").hash_key() != State(tmp_path / "other").hash_key()


def test_a_hash_key_of_the_environment_wins_and_is_not_written_down(state: State) -> None:
    assert state.hash_key("from-a-vault") == b"from-a-vault"
    assert not state.hash_key_file.exists()


def test_processes_that_start_together_agree_on_one_hash_key(state: State) -> None:
    script = "import sys; from pathlib import Path; from lifecycle.state import State\n" + (
        "sys.stdout.write(State(Path(sys.argv[1])).hash_key().decode())"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", script, str(state.root)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    keys = {process.communicate()[0] for process in started}
    assert len(keys) == 1 and len(keys.pop()) == 64


def test_a_past_day_is_built_away_from_the_published_state(state: State) -> None:
    past = state.scratch(date(2024, 2, 29))
    assert past.root == state.root / "scratch" / "2024-02-29"
    assert past.warehouse != state.warehouse and past.ledger != state.ledger


def test_the_folders_of_a_state_are_closed_to_strangers(state: State) -> None:
    state.make()
    state.make()
    for folder in (state.root, state.spill, state.serving, state.dagster, state.dbt):
        assert stat.S_IMODE(folder.stat().st_mode) & 0o007 == 0
