"""Matrix products of a warp, and its loads and stores of matrices, on the matrices that its lanes hold together.

Lane i is in row i // 4 and column i % 4 of the warp seen as 8 by 4. With p elements in a register, register r of A has
those of row i // 4 + 8 (r % 2) from column p (i % 4) + 4 p (r // 2) on; of B those of column i // 4 from row
p (i % 4) + 4 p r on. Element e of C is in row i // 4 + 8 (e // 2) and column 2 (i % 4) + e % 2.
Source: PTX ISA, "Warp-level matrix instructions", which has a figure for each shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
from xdsl.ir import SSAValue

from xmlc.dialects.gpu import WARP
from xmlc.dialects.nvvm import matrix
from xmlc.dialects.nvvm.attributes import MatrixLayout, Overflow
from xmlc.dialects.reference.interpreter import Array, InterpreterError
from xmlc.dialects.reference.lanes.frame import ThreadFrame
from xmlc.dialects.reference.lanes.memory import fetch, located, put
from xmlc.dialects.reference.lanes.pointers import each_element, pointed_at
from xmlc.dialects.reference.lanes.warp import expect_lanes

LANE = np.arange(WARP)
ROW, COLUMN = LANE // 4, LANE % 4
MATRIX_ROWS = 8
"""Rows, and elements of a row, of what `ldmatrix` moves."""

ELEMENTS: dict[str, Any] = {
    "f16": np.float16,
    "bf16": ml_dtypes.bfloat16,
    "tf32": np.float32,
    "s8": np.int8,
    "u8": np.uint8,
    "f64": np.float64,
}


def expect_warps(frame: ThreadFrame, op: Any) -> None:
    """Raise ThreadError unless all the lanes of each warp are here, InterpreterError if a warp is not whole."""
    expect_lanes(frame, op, np.full(frame.threads.count, -1))
    if frame.threads.count % WARP:
        raise InterpreterError(op, f"it needs warps of {WARP} threads")


def registers(frame: ThreadFrame, values: Sequence[SSAValue], elements: str) -> Array:
    """(warps, lanes, registers, elements of a register)"""
    dtype = np.dtype(ELEMENTS[elements])
    whole = np.stack([np.ascontiguousarray(frame.spread(each)) for each in values], axis=1)
    found = whole.reshape(-1, WARP, len(values), 1 if whole.ndim == 2 else whole.shape[2])
    if elements == "tf32":
        return as_tf32(found)
    return found if found.dtype == dtype else np.ascontiguousarray(found).view(dtype)


def as_tf32(words: Array) -> Array:
    """Words of 32 bits as an instruction sees them: it takes no notice of the 13 bits that tf32 lacks."""
    return (words.view(np.int32) & np.int32(-1 << 13)).view(np.float32)


def factor_a(held: Array, rows: int, depth: int) -> Array:
    """(warps, m, k) of what lanes hold."""
    _, _, count, width = held.shape
    found = np.zeros((len(held), rows, depth), held.dtype)
    for register in range(count):
        for element in range(width):
            column = width * COLUMN + element + 4 * width * (register // 2)
            found[:, ROW + 8 * (register % 2), column] = held[:, :, register, element]
    return found


def factor_b(held: Array, depth: int, columns: int) -> Array:
    """(warps, k, n) of what lanes hold."""
    _, _, count, width = held.shape
    found = np.zeros((len(held), depth, columns), held.dtype)
    for register in range(count):
        for element in range(width):
            found[:, width * COLUMN + element + 4 * width * register, ROW] = held[:, :, register, element]
    return found


def multiply(frame: ThreadFrame, op: matrix.MultiplyOp) -> None:
    """Products and sums are exact but for the last rounding; a processor may round sums of products before that."""
    expect_warps(frame, op)
    m, n, k = op.shape.sizes
    kind_a, kind_b = op.elements
    exact = np.int64 if kind_a in ("s8", "u8") else np.float64
    a = factor_a(registers(frame, op.operand_a, kind_a), m, k).astype(exact)
    b = factor_b(registers(frame, op.operand_b, kind_b), k, n).astype(exact)
    product = a @ b
    old = np.stack([frame.spread(each) for each in op.operand_c], axis=1)  # (lanes, values) or (lanes, values, 2)
    held = old.reshape(-1, WARP, m * n // WARP)
    sums = np.empty(held.shape, exact)
    for element in range(held.shape[2]):
        row, column = ROW + 8 * (element // 2), 2 * COLUMN + element % 2
        sums[:, :, element] = held[:, :, element].astype(exact) + product[:, row, column]
    if op.overflow is not None and op.overflow.data is Overflow.Saturated:
        limits = np.iinfo(old.dtype)
        sums = np.clip(sums, limits.min, limits.max)
    made = sums.astype(old.dtype).reshape(old.shape)
    frame.set(op, tuple(made[:, i] for i in range(len(op.operand_c))))


def addresses(frame: ThreadFrame, op: matrix.LoadMatrixOp | matrix.StoreMatrixOp, count: int) -> tuple[Any, Any, Any]:
    """(the frame of the lanes that give addresses, the rows they point to, the elements' places)"""
    lanes = frame.threads.thread % WARP < MATRIX_ROWS * count
    inner = frame.picked(lanes)
    view = pointed_at(inner, op, op.ptr, np.uint16, MATRIX_ROWS)
    return inner, view, located(inner, op, view, [each_element(inner, MATRIX_ROWS)])


def load_matrix(frame: ThreadFrame, op: matrix.LoadMatrixOp) -> None:
    expect_warps(frame, op)
    count = op.num.value.data
    inner, view, place = addresses(frame, op, count)
    rows = fetch(inner, op, view, place).reshape(-1, count, MATRIX_ROWS, MATRIX_ROWS)
    if op.layout.data is MatrixLayout.Column:
        rows = rows.swapaxes(2, 3)
    pairs = np.ascontiguousarray(rows).view(np.int32)  # (warps, matrices, rows, 4 pairs)
    made = [np.ascontiguousarray(pairs[:, i, ROW, COLUMN]).reshape(-1) for i in range(count)]
    frame.set(op, made[0] if count == 1 else tuple(made))


def store_matrix(frame: ThreadFrame, op: matrix.StoreMatrixOp) -> None:
    expect_warps(frame, op)
    count = len(op.sources)
    pairs = np.empty((frame.threads.count // WARP, count, MATRIX_ROWS, 4), np.int32)
    for i, source in enumerate(op.sources):
        pairs[:, i, ROW, COLUMN] = frame.spread(source).reshape(-1, WARP)
    rows = pairs.view(np.uint16)
    if op.layout.data is MatrixLayout.Column:
        rows = np.ascontiguousarray(rows.swapaxes(2, 3))
    inner, view, place = addresses(frame, op, count)
    put(inner, op, view, place, rows.reshape(-1, MATRIX_ROWS))


EVALUATE = {
    matrix.MultiplyOp: multiply,
    matrix.LoadMatrixOp: load_matrix,
    matrix.StoreMatrixOp: store_matrix,
}
