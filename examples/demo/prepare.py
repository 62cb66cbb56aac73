"""Generate the demo company: 3,000 people over 540 days of a retailer with stores.

Nothing happens when ``data/`` was made with the same arguments by the same version of the generator.

Belongs here: the arguments of this one company. Does not belong here: how a company is made (lifecycle/synthetic).
"""

from __future__ import annotations

import json
from pathlib import Path

from lifecycle.synthetic.company import generate
from lifecycle.synthetic.parameters import Arguments

DATA = Path(__file__).resolve().parent / "data"


def wanted() -> Arguments:
    return Arguments(customers=3000, days=540, seed=1, profile="retail", out=DATA, is_forced=True)


def is_current(arguments: Arguments) -> bool:
    """Whether ``data/`` holds exactly this company; its lifecycle.yml is the last file that is written."""
    described = DATA / "truth" / "parameters.json"
    if not described.exists() or not (DATA / "lifecycle.yml").exists():
        return False
    made_with: object = json.loads(described.read_text(encoding="utf-8"))["arguments"]
    return made_with == arguments.described()


def main() -> None:
    arguments = wanted()
    if is_current(arguments):
        print("demo company: data is current")
        return
    summary = generate(arguments)
    print(f"demo company: {summary.rows:,} rows in {summary.file_count} files written in {summary.seconds:.1f} s")


if __name__ == "__main__":
    main()
