"""Mistakes that people and systems make when they write something down.

Belongs here: typing errors of several kinds in whole columns of texts at once.
Does not belong here: how often which field is wrong (``contacts.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LETTERS = "etaoinsrhldcumfpgwybvkxjqz"


def mistype(random: np.random.Generator, texts: NDArray[np.str_]) -> NDArray[np.str_]:
    """Each text with one typing error: a character left out, doubled, replaced, or two neighbours swapped.

    Texts are matrices of characters, and an error is a change of the positions that are read. Those shorter than three
    characters stay as they are, and swapping two equal neighbours changes nothing: as in life, some errors do not show.
    """
    import numpy as np

    if not len(texts):
        return texts
    width = texts.dtype.itemsize // 4 + 1
    characters = np.ascontiguousarray(texts.astype(f"U{width}")).view(np.uint32).reshape(len(texts), width)
    length = np.count_nonzero(characters, axis=1)
    place = 1 + (random.random(len(texts)) * np.maximum(length - 2, 1)).astype(np.int64)
    error = random.integers(0, 4, len(texts))
    column = np.arange(width)[None, :]
    at, kind = place[:, None], error[:, None]
    reads = column + np.where((kind == 0) & (column >= at), 1, 0) - np.where((kind == 1) & (column > at), 1, 0)
    reads = np.where((kind == 3) & (column == at), at - 1, reads)
    reads = np.where((kind == 3) & (column == at - 1), at, reads)
    padded = np.concatenate([characters, np.zeros((len(texts), 1), dtype=np.uint32)], axis=1)
    changed = np.take_along_axis(padded, np.clip(reads, 0, width), axis=1)
    letters = np.array([ord(letter) for letter in LETTERS], dtype=np.uint32)[random.integers(0, 26, len(texts))]
    changed = np.where((kind == 2) & (column == at), letters[:, None], changed)
    changed = np.where((length < 3)[:, None], characters, changed).astype(np.uint32)
    return np.ascontiguousarray(changed).view(f"U{width}").reshape(len(texts))


def mistyped(random: np.random.Generator, texts: NDArray[np.str_], share: float) -> NDArray[np.str_]:
    """Texts of which a share carries a typing error."""
    import numpy as np

    is_wrong = (random.random(len(texts)) < share) & (texts != "")
    result = texts.astype(f"U{texts.dtype.itemsize // 4 + 1}")
    result[np.flatnonzero(is_wrong)] = mistype(random, texts[is_wrong])
    return result
