"""Loading ahead what a run needs later.

Belongs here: importing the two heaviest packages in the background. The intake that goes on meanwhile is the engine's
work, which leaves Python free; without this a run waits eight seconds for imports.
"""

from __future__ import annotations

import contextlib
import threading

_warming: list[threading.Thread] = []


def warm_up() -> None:
    """Begin to import Great Expectations and dbt, once per process."""
    if not _warming:
        thread = threading.Thread(target=_import_heavy_packages, name="warm-up", daemon=True)
        _warming.append(thread)
        thread.start()


def wait_until_warm() -> None:
    """Wait for the imports: two threads must not import one package by different doors at the same time."""
    for thread in _warming:
        thread.join()


def _import_heavy_packages() -> None:
    # A package that is missing is reported by the step that needs it.
    with contextlib.suppress(ImportError):
        import great_expectations  # noqa: F401
    with contextlib.suppress(ImportError):
        import dbt.adapters.duckdb
        import dbt.cli.main  # noqa: F401
