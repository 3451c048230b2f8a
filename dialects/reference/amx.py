"""What `amx` means: tiles are arrays of their shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from xdsl.ir import Operation

from xmlc.dialects import amx
from xmlc.dialects.reference.access import window
from xmlc.dialects.reference.interpreter import Array, Frame, dtype_of


def zero(op: amx.TileZeroOp) -> Array:
    kind = op.res.type
    assert isinstance(kind, amx.TileType)
    return np.zeros(kind.get_shape(), dtype_of(kind.element_type))


def place(op: Operation, base: Array, start: tuple[Any, ...], tile: tuple[int, ...]) -> Array:
    """The view of a tile's shape over the last two dimensions of a buffer."""
    sizes = (1,) * (base.ndim - 2) + tile
    return window(op, base, [int(each) for each in start], sizes, [1] * base.ndim)[(0,) * (base.ndim - 2)]


def load(op: amx.TileLoadOp, base: Array, *start: Any) -> Array:
    kind = op.res.type
    assert isinstance(kind, amx.TileType)
    return place(op, base, start, kind.get_shape()).copy()


def store(frame: Frame, op: amx.TileStoreOp) -> None:
    value = frame[op.val]
    place(op, frame[op.base], tuple(frame.get(op.indices)), value.shape)[...] = value


def product(op: amx.ProductOp, lhs: Array, rhs: Array, acc: Array) -> Array:
    """Integers wrap; floats are added in the type of the sums, step by step."""
    if isinstance(op, amx.TileMulIOp):
        lhs = lhs.view(np.uint8) if op.is_unsigned_lhs is not None else lhs
        rhs = rhs.view(np.uint8) if op.is_unsigned_rhs is not None else rhs
    group = op.group
    columns = rhs.reshape(len(rhs), -1, group).transpose(0, 2, 1).reshape(-1, acc.shape[1])
    for step in range(lhs.shape[1]):
        acc = acc + np.outer(lhs[:, step].astype(acc.dtype), columns[step].astype(acc.dtype))
    return acc


REFERENCE: dict[type[Operation], Callable[..., Any]] = {
    amx.TileZeroOp: zero,
    amx.TileLoadOp: load,
    amx.TileMulFOp: product,
    amx.TileMulIOp: product,
}
EVALUATE = {amx.TileStoreOp: store}
