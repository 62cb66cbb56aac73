"""What every step needs: the company's settings, its warehouse and the right to change it.

Belongs here: the one resource that assets ask for.
Does not belong here: anything that a step does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from lifecycle.settings import Settings
from lifecycle.state import State, run_lock
from lifecycle.timing import Stage, stage
from lifecycle.warehouse import Warehouse, open_warehouse

STEP_WAIT_SECONDS = 600.0
"""How long a step waits for another process of the same state: steps of one run never overlap for long."""


def naive_utc(moment: datetime) -> datetime:
    """As the warehouse keeps time: UTC, without a zone."""
    return moment.astimezone(UTC).replace(tzinfo=None)


@dataclass(frozen=True)
class Company:
    """One company: its settings, and the opening of its warehouse for one step of one run."""

    settings: Settings
    published_state: State | None = None
    """For a past day, which is built in a scratch state: where it is published beside the current publication."""
    full_refresh: bool = False
    is_one_process: bool = False
    """All steps run in this process, so that what an early one loads serves the later ones."""

    @property
    def is_past_day(self) -> bool:
        return self.published_state is not None

    @property
    def serving_state(self) -> State:
        return self.published_state or self.settings.state

    def now(self) -> datetime:
        return datetime.now(UTC)

    @contextmanager
    def hold(self, run_id: str) -> Iterator[None]:
        """Keep every other run away from the state."""
        with run_lock(self.settings.state, run_id, wait_seconds=STEP_WAIT_SECONDS):
            yield

    @contextmanager
    def step(self, run_id: str, name: str) -> Iterator[tuple[Warehouse, Stage]]:
        """The warehouse, opened for one step, and the stage in which to note its rows."""
        state = self.settings.state
        with self.hold(run_id), stage(state, run_id, name) as noted, self.open_warehouse() as warehouse:
            yield warehouse, noted

    @contextmanager
    def open_warehouse(self) -> Iterator[Warehouse]:
        self.settings.state.make()
        with open_warehouse(self.settings) as warehouse:
            yield warehouse
