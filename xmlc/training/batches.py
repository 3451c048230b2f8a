"""Data in batches: pieces of arrays, in a new order in each pass over them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def batches(
    arrays: tuple[Array, ...],
    size: int,
    *,
    shuffle: np.random.Generator | None = None,
    epochs: int = 1,
    keep_last: bool = False,
) -> Iterator[tuple[Array, ...]]:
    """The rows of arrays of one length, `size` at a time, `epochs` times over; shuffled anew each time if asked to.

    Rows left over at the end of a pass are left out, so that all batches have one shape and one compilation serves
    them, unless `keep_last`. Raises ValueError for lengths that differ, or where `size` is more than there are rows.
    """
    lengths = {len(each) for each in arrays}
    if len(lengths) != 1:
        raise ValueError(f"arrays of one length are taken in batches, found lengths {sorted(lengths)}")
    (length,) = lengths
    if not 0 < size <= length:
        raise ValueError(f"a batch has from 1 to {length} rows, as many as there are; {size} were asked for")
    last = length if keep_last else length - size + 1
    for _ in range(epochs):
        order = np.arange(length) if shuffle is None else shuffle.permutation(length)
        for start in range(0, last, size):
            yield tuple(each[order[start : start + size]] for each in arrays)
