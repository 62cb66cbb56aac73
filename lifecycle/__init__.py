"""Customer lifecycle management as code.

Everything that can be done without an orchestrator lives in this package. It never imports Dagster: when and in
what order things run is decided in ``orchestration/``.
"""

__version__ = "0.1.0"
