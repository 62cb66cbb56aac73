"""Random numbers that depend on what they are for, and on nothing else.

Belongs here: one stream per seed, purpose and block of people, and numbers that look shuffled without a table.
Does not belong here: what is drawn.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_STEPS = (7_368_787, 1_299_709, 3_497_861, 5_800_079, 2_750_159, 6_291_469, 4_256_233)
"""Primes: they share no factor with the powers of ten that they step through. With one step for all, two systems would
count in parallel and their numbers never meet."""


def stream(seed: int, purpose: str, block: int = 0) -> np.random.Generator:
    """The generator of one purpose and block: the order in which streams are used changes nothing."""
    import numpy as np

    return np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), block])))


def spread(index: NDArray[np.int64], count: int, salt: int) -> NDArray[np.int64]:
    """Numbers below a power of ten at least twice ``count``, one for each index below it: unique, and in no order."""
    size = 10 ** len(str(2 * max(count, 5)))
    numbers: NDArray[np.int64] = (index * _STEPS[salt % len(_STEPS)] + salt * 7_919) % size
    return numbers


def is_picked(index: NDArray[np.int64], count: int, picked: int) -> NDArray[np.bool_]:
    """Exactly ``picked`` of ``count`` indexes, evenly spaced; no draw is needed, so blocks agree without talking."""
    picked = min(picked, count)
    result: NDArray[np.bool_] = (index + 1) * picked // count > index * picked // count
    return result
