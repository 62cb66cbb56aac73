"""What MetricFlow answers, as JSON: run in a process of its own, in the folder of a dbt project.

``python ask_metricflow.py QUESTIONS ANSWERS``: a question has metrics, by, where, first_day and last_day; an answer has
columns and rows, or an error.
"""

from __future__ import annotations

import json
import sys
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any


def main(questions: Path, answers: Path) -> None:
    from dbt_metricflow.cli.cli_configuration import CLIConfiguration
    from metricflow.engine.metricflow_engine import MetricFlowQueryRequest

    configuration = CLIConfiguration()
    configuration.setup(configure_file_logging=False)

    def ask(question: dict[str, Any]) -> dict[str, Any]:
        def day(name: str) -> datetime | None:
            return datetime.fromisoformat(question[name]) if question.get(name) else None

        request = MetricFlowQueryRequest.create(
            metric_names=question["metrics"],
            group_by_names=question["by"] or None,
            where_constraints=question["where"] or None,
            time_constraint_start=day("first_day"),
            time_constraint_end=day("last_day"),
        )
        try:
            table = configuration.mf.query(request).result_df
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"}
        assert table is not None
        return {"columns": list(table.column_names), "rows": [[plain(value) for value in row] for row in table.rows]}

    answers.write_text(json.dumps([ask(question) for question in json.loads(questions.read_text())]))


def plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return float(value) if isinstance(value, Decimal) else value


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
