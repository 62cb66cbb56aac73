"""Rows on their way to a file.

Belongs here: the one shape in which every part of the generator hands over what it made.
Does not belong here: files and their formats (``files.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


@dataclass
class Rows:
    """Rows of one source's table, in the contract's columns.

    ``month`` is the month (or the part) that each row belongs to, for tables that come by month. ``person`` says whose
    each row is (number within the company, -1 for nobody), for the truth; without it the rows belong to no person.
    """

    source: str
    table: str
    columns: dict[str, pa.Array]
    month: NDArray[np.int64] | None = None
    person: NDArray[np.int64] | None = None

    @property
    def count(self) -> int:
        return len(next(iter(self.columns.values())))

    def taken(self, mask: NDArray[np.bool_]) -> Rows:
        """Those rows for which the mask is true."""
        import pyarrow as pa

        chosen = pa.array(mask)
        return Rows(
            self.source,
            self.table,
            {name: column.filter(chosen) for name, column in self.columns.items()},
            None if self.month is None else self.month[mask],
            None if self.person is None else self.person[mask],
        )
