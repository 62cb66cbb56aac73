"""A demo company of 2,000 people, run whole, for the second opinions on the metrics.

Belongs here: making it, once per profile and folder. Does not belong here: what its figures should be.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

from lifecycle.settings import load_settings
from lifecycle.synthetic.company import generate
from lifecycle.synthetic.parameters import Arguments

CUSTOMERS, DAYS, SEED = 2_000, 540, 11
END = date(2025, 12, 19)
"""In the middle of a month, so that one is not over."""


BUILT: dict[str, Path] = {}


def built(profile: str, folder: Path) -> Path:
    """The build warehouse of the company after a whole run: made once for all tests that read it."""
    from orchestration.execution import execute

    if profile in BUILT:
        return BUILT[profile]
    summary = generate(
        Arguments(customers=CUSTOMERS, days=DAYS, seed=SEED, profile=profile, out=folder / profile, end=END)
    )
    settings = load_settings(summary.config)
    outcome = execute(settings)
    assert outcome.errors == () and outcome.stopped == (), (outcome.errors, outcome.stopped)
    BUILT[profile] = settings.state.warehouse
    return BUILT[profile]
