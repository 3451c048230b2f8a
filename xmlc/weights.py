"""A module's weights are its own: copied when it is loaded into one block of memory, on huge pages where it is large.

Products read every weight once a call. On pages of 4 KiB, as NumPy's and those of a mapped file are, they wait for
addresses: bert_base takes 12 % longer. Copying takes 50 ms for 400 MB, shared by several threads.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmlc.buffers import HUGE, together

Array = NDArray[Any]

THREADS = 4
"""At most so many copy; memory is not faster for more."""


def owned(weights: Sequence[Array]) -> list[Array]:
    """Copies of the arrays, contiguous and aligned."""
    copies = together([(array.shape, array.dtype) for array in weights])
    copy(weights, copies)
    return copies


def copy(sources: Sequence[Array], targets: Sequence[Array]) -> None:
    """Copy arrays into contiguous ones, in pieces that threads take one after the other where there is much to copy."""
    whole = [(bytes_of(source), bytes_of(target)) for source, target in zip(sources, targets)]
    pieces = [
        (source[start : start + HUGE], target[start : start + HUGE])
        for source, target in whole
        for start in range(0, len(source), HUGE)
    ]
    if len(pieces) == len(whole):
        list(map(copy_piece, pieces))
        return
    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as threads:
        list(threads.map(copy_piece, pieces))


def bytes_of(array: Array) -> Array:
    """A view of an array, or of a contiguous copy: bytes are copied faster than numbers that are not aligned, as in a
    mapped file.
    """
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def copy_piece(piece: tuple[Array, Array]) -> None:
    source, target = piece
    target[:] = source
