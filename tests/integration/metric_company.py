"""The demo company of 2,000 people, run whole, for tests that compute its metrics anew.

Belongs here: generating and running it. Does not belong here: what a metric means.
"""

from __future__ import annotations

from pathlib import Path

from lifecycle.settings import load_settings
from lifecycle.synthetic.company import generate
from lifecycle.synthetic.parameters import Arguments


def built(profile: str, folder: Path) -> Path:
    """Generate and run the company of a profile; the path of its build warehouse."""
    from orchestration.execution import execute

    company = folder / profile
    summary = generate(Arguments(customers=2_000, days=540, seed=11, profile=profile, out=company))
    settings = load_settings(summary.config)
    outcome = execute(settings)
    assert outcome.errors == () and outcome.stopped == (), profile
    return settings.state.warehouse
