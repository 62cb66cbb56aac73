"""Columns of a table as Arrow arrays, from numbers.

Belongs here: texts, ids, money, times and choices out of NumPy arrays, a whole column at a time; an absent value is
one where ``present`` is false.
Does not belong here: which columns a table has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

DAY_SECONDS = 86_400


def numbered(prefix: str, numbers: NDArray[np.int64], present: NDArray[np.bool_] | None = None) -> pa.Array:
    """Ids such as ``w1042``."""
    import pyarrow as pa
    import pyarrow.compute as pc

    plain = pa.array(numbers, mask=None if present is None else ~present).cast(pa.string())
    return pc.binary_join_element_wise(prefix, plain, "") if prefix else plain


def chosen(values: Sequence[str], codes: NDArray[Any], present: NDArray[np.bool_] | None = None) -> pa.Array:
    """``values[codes]`` as a dictionary; a negative code is absent."""
    import numpy as np
    import pyarrow as pa

    absent = codes < 0
    if present is not None:
        absent = absent | ~present
    indices = pa.array(codes.astype(np.int32), mask=absent)
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(values), pa.string()))


def constant(value: str, count: int) -> pa.Array:
    import numpy as np

    return chosen([value], np.zeros(count, dtype=np.int32))


def texts(values: NDArray[np.str_], present: NDArray[np.bool_] | None = None) -> pa.Array:
    """Texts; an empty one is absent."""
    import pyarrow as pa

    absent = values == ""
    if present is not None:
        absent = absent | ~present
    return pa.array(values, pa.string(), mask=absent)


def moments(seconds: NDArray[Any], present: NDArray[np.bool_] | None = None) -> pa.Array:
    """UTC timestamps from seconds since 1970."""
    import numpy as np
    import pyarrow as pa

    return pa.array(seconds.astype(np.int64), pa.int64(), mask=None if present is None else ~present).cast(
        pa.timestamp("s")
    )


def dates(days: NDArray[Any], present: NDArray[np.bool_] | None = None) -> pa.Array:
    """Days from days since 1970."""
    import numpy as np
    import pyarrow as pa

    return pa.array(days.astype(np.int32), pa.int32(), mask=None if present is None else ~present).cast(pa.date32())


def money(cents: NDArray[Any], present: NDArray[np.bool_] | None = None) -> pa.Array:
    """Amounts from whole cents, as exact decimals."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    whole = np.ascontiguousarray(cents.astype(np.int64))
    # A decimal128 is a 128-bit integer: the low half is the number, the high half repeats its sign.
    halves = np.empty((len(whole), 2), dtype=np.int64)
    halves[:, 0] = whole
    halves[:, 1] = whole >> 63
    amounts = pa.Array.from_buffers(pa.decimal128(18, 2), len(whole), [None, pa.py_buffer(halves)])
    if present is None:
        return amounts
    return pc.if_else(pa.array(present), amounts, pa.scalar(None, amounts.type))


def integers(numbers: NDArray[Any], present: NDArray[np.bool_] | None = None) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    return pa.array(numbers.astype(np.int64), mask=None if present is None else ~present)


def flags(values: NDArray[np.bool_], present: NDArray[np.bool_] | None = None) -> pa.Array:
    import pyarrow as pa

    return pa.array(values, mask=None if present is None else ~present)


def joined(parts: Sequence[Any], between: str = "") -> pa.Array:
    """Texts put together element by element; a part that is absent makes the whole absent."""
    import pyarrow.compute as pc

    return pc.binary_join_element_wise(*parts, between)
