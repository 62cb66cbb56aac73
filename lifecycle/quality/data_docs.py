"""Pages that show what the gates of a run found: one file per run and an index, readable without a network.

Belongs here: turning ``ops.gate_results`` into pages. They hold counts and limits, never a row.
Does not belong here: judging. (Great Expectations' own site would load scripts and a tracking pixel from a dozen hosts
each time somebody opens it, so its results are shown here instead.)
"""

from __future__ import annotations

import html
import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lifecycle.warehouse import Warehouse

RUNS_KEPT = 50

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --bad: #c0392b; --warn: #b9770e; --good: #1e8449; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 0.5rem 0 2rem; }
th, td { text-align: left; vertical-align: top; padding: 0.3rem 0.6rem; border-bottom: 1px solid var(--line); }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.failed, .broken, .stopped { color: var(--bad); font-weight: 600; }
.warning { color: var(--warn); font-weight: 600; }
.passed { color: var(--good); }
"""


def write_data_docs(warehouse: Warehouse, run_id: str, folder: Path) -> Path:
    """Write the page of one run and the index of the last runs; returns the run's page.

    Replaces earlier pages of the same run and removes those of runs beyond the last 50.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    page = folder / _file_name(run_id)
    _replace(page, _page(f"Gates of run {run_id}", _gates(warehouse, run_id), back=True))
    runs = warehouse.rows(
        "select run_id, max(judged_at), count(distinct gate), count(*) filter (where outcome <> 'passed'),"
        " bool_or(outcome = 'broken' or (outcome = 'failed' and severity = 'error'))"
        " from ops.gate_results group by run_id order by max(judged_at) desc, run_id"
    )
    kept = [run for run in runs if (folder / _file_name(run[0])).exists()][:RUNS_KEPT]
    _replace(folder / "index.html", _page("Gates", _runs(kept), back=False))
    wanted = {_file_name(run[0]) for run in kept} | {"index.html", page.name}
    for old in folder.glob("*.html"):
        if old.name not in wanted:
            old.unlink()
    return page


def _file_name(run_id: str) -> str:
    return f"run-{re.sub('[^A-Za-z0-9_.-]', '_', run_id)}.html"


def _replace(path: Path, text: str) -> None:
    """A reader sees the old page or the new one, never half of one."""
    draft = path.with_suffix(".draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _page(title: str, body: str, *, back: bool) -> str:
    link = '<p><a href="index.html">All runs</a></p>' if back else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{html.escape(title)}</h1>{link}\n{body}\n</body></html>\n"
    )


def _gates(warehouse: Warehouse, run_id: str) -> str:
    rows = warehouse.dicts(
        "select * from ops.gate_results where run_id = ? order by min(judged_at) over (partition by gate), gate,"
        " case outcome when 'broken' then 1 when 'failed' then 2 else 3 end, severity, table_name, check_name",
        [run_id],
    )
    parts: list[str] = []
    for gate in dict.fromkeys(row["gate"] for row in rows):
        parts.append(f"<h2>{html.escape(gate)}</h2>")
        parts.append(
            "<table><thead><tr><th>Table</th><th>Check</th><th>Outcome</th><th>Observed</th><th>Allowed</th>"
            "<th>What it is</th></tr></thead><tbody>"
        )
        parts += [_check(row) for row in rows if row["gate"] == gate]
        parts.append("</tbody></table>")
    return "\n".join(parts)


def _check(row: dict[str, str]) -> str:
    is_warning = row["outcome"] == "failed" and row["severity"] == "warning"
    outcome = "warning" if is_warning else row["outcome"]
    text = {key: html.escape(str(value)) for key, value in row.items()}
    meaning = text["description"] if outcome == "passed" else f"{text['description']}<br>{text['remedy']}"
    return (
        f"<tr><td>{text['table_name']}</td><td>{text['check_name']}</td><td class='{outcome}'>{outcome}</td>"
        f"<td class='number'>{text['observed']}</td><td>{text['limit_value']}</td><td>{meaning}</td></tr>"
    )


def _runs(runs: list[tuple[str, datetime, int, int, bool]]) -> str:
    lines = [
        f"<tr><td><a href='{html.escape(_file_name(run_id))}'>{html.escape(run_id)}</a></td>"
        f"<td>{judged_at:%Y-%m-%d %H:%M} UTC</td><td class='number'>{gates}</td>"
        f"<td class='number'>{not_passed}</td>"
        f"<td class='{'stopped' if stopped else 'passed'}'>{'stopped' if stopped else 'passed'}</td></tr>"
        for run_id, judged_at, gates, not_passed, stopped in runs
    ]
    return (
        "<table><thead><tr><th>Run</th><th>Judged</th><th>Gates</th><th>Checks not passed</th><th>Outcome</th></tr>"
        f"</thead><tbody>{''.join(lines)}</tbody></table>"
    )
