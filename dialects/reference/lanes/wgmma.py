"""Products of warp groups, whose factors are in shared memory where descriptors say.

Thread t of a group has, of D, the elements of row 16 (t // 32) + t % 32 // 4 + 8 (i // 2 % 2) and column
8 (i // 4) + 2 (t % 4) + i % 2 as its element i. A product is computed when it is issued; what it read is looked at
again when it is waited for, so that who overwrites a factor before that is reported.
Source: PTX ISA, "Asynchronous Warpgroup Level Matrix Multiply-Accumulate Instructions", matrix descriptors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np

from xmlc.dialects.gpu import WARP
from xmlc.dialects.nvvm import wgmma
from xmlc.dialects.nvvm.attributes import MatrixLayout, ScaleIn, ScaleOut
from xmlc.dialects.nvvm.tensor_map import swizzled
from xmlc.dialects.reference.interpreter import Array, InterpreterError
from xmlc.dialects.reference.lanes import matrix
from xmlc.dialects.reference.lanes.frame import Group, KernelProgram, ThreadError, ThreadFrame, Threads
from xmlc.dialects.reference.lanes.memory import Memory, View, fetch, located
from xmlc.dialects.reference.lanes.pointers import shared_at
from xmlc.dialects.reference.lanes.strands import meet

ROWS, GROUP = wgmma.ROWS, wgmma.THREADS
ELEMENTS: dict[str, Any] = {**matrix.ELEMENTS, "e4m3": ml_dtypes.float8_e4m3fn, "e5m2": ml_dtypes.float8_e5m2}
SWIZZLES = {0: 0, 1: 128, 2: 64, 3: 32}
CORE = 8, 16
"""Rows, and bytes of a row, of a core matrix."""


@dataclass(frozen=True)
class Descriptor:
    """What 64 bits say of a factor; all in bytes."""

    start: int
    leading: int
    stride: int
    swizzle: int

    @classmethod
    def of(cls, bits: int) -> Descriptor:
        return cls(
            (bits & 0x3FFF) << 4, (bits >> 16 & 0x3FFF) << 4, (bits >> 32 & 0x3FFF) << 4, SWIZZLES[bits >> 62 & 3]
        )

    def along_k(self, rows: int, width: int) -> Array:
        """Where each byte of (rows, width bytes along k) is."""
        row, byte = np.arange(rows)[:, None], np.arange(width)
        if self.swizzle:
            at = row // CORE[0] * self.stride + row % CORE[0] * self.swizzle + byte
        else:
            at = (
                row // CORE[0] * self.stride + byte // CORE[1] * self.leading + row % CORE[0] * CORE[1] + byte % CORE[1]
            )
        return swizzled(self.start + at, self.swizzle)

    def across_k(self, rows: int, depth: int, size: int) -> Array:
        """Where each byte of (rows, depth, bytes of an element) is, rows lying side by side."""
        row, k, byte = np.arange(rows)[:, None, None], np.arange(depth)[:, None], np.arange(size)
        wide = self.swizzle // size
        at = row // wide * self.leading + k // CORE[0] * self.stride + k % CORE[0] * self.swizzle + row % wide * size
        return swizzled(self.start + at + byte, self.swizzle)


@dataclass
class Products:
    """What the products of a warp read, by groups of products."""

    opened: list[tuple[Memory, Array]] = field(default_factory=list[tuple[Memory, Array]])
    committed: list[list[tuple[Memory, Array]]] = field(default_factory=list[list[tuple[Memory, Array]]])


def products_of(group: Group, warp: int) -> Products:
    """Of the warp of that number in the group of blocks."""
    known: dict[int, Products] = group.state.setdefault("products", {})
    return known.setdefault(warp, Products())


def factor(
    frame: ThreadFrame, op: wgmma.MultiplyOp, bits: int, rows: int, element: str, layout: MatrixLayout, is_a: bool
) -> tuple[Array, tuple[Memory, Array]]:
    """A factor as (rows, k), and where it was read."""
    dtype = np.dtype(ELEMENTS[element])
    depth, found = wgmma.DEPTHS[op.type_a.data], Descriptor.of(bits)
    lies_along_k = layout is (MatrixLayout.Row if is_a else MatrixLayout.Column)
    if lies_along_k:
        at = found.along_k(rows, depth * dtype.itemsize)
    elif found.swizzle:
        at = found.across_k(rows, depth, dtype.itemsize).reshape(rows, -1)
    else:
        raise InterpreterError(op, "a factor that does not lie along k needs a swizzle here")
    memory, base = shared_at(frame, op, int(at.min()), int(at.max()))
    held = np.ascontiguousarray(read(frame, op, memory, at - base)).view(dtype)
    return matrix.as_tf32(held) if element == "tf32" else held, (memory, at - base)


def read(frame: ThreadFrame, op: Any, memory: Memory, at: Array) -> Array:
    """Bytes of shared memory, read by the first thread of the frame for all of them."""
    assert isinstance(frame.program, KernelProgram)
    one = ThreadFrame(frame.program, Threads(frame.threads.group, frame.threads.number[:1]))
    view = View(memory, np.dtype(np.uint8), 0, (memory.copies.shape[1],), (1,))
    places = at.reshape(1, -1)
    return fetch(one, op, view, located(one, op, view, [places])).reshape(at.shape)


def multiply(frame: ThreadFrame, op: wgmma.MultiplyOp) -> None:
    """Sums are exact but for the last rounding; a processor may round sums of products before that."""
    matrix.expect_warps(frame, op)
    inouts = [np.asarray(each) for each in frame[op.inouts]]
    count = frame.threads.count
    brought = [frame.spread(op.descriptor_a), frame.spread(op.descriptor_b)]
    brought += [np.broadcast_to(each, count) for each in inouts]
    warps = np.unique(frame.threads.number // GROUP)

    def do(numbers: Array, given: Sequence[Array]) -> Sequence[Array]:
        results = [np.empty_like(each) for each in given[2:]]
        for first in range(0, len(numbers), GROUP):
            part = slice(first, first + GROUP)
            for result, made in zip(results, product(frame, op, numbers[part], [each[part] for each in given])):
                result[part] = made
        return results

    made = meet(frame, op, ("wgmma", op, *warps.tolist()), GROUP * len(warps), brought, do)
    frame.set(op, tuple(made))


def product(frame: ThreadFrame, op: wgmma.MultiplyOp, numbers: Array, given: Sequence[Array]) -> list[Array]:
    """The elements of D that each thread of one warp group has."""
    assert isinstance(frame.program, KernelProgram)
    group = frame.threads.group
    inner = ThreadFrame(frame.program, Threads(group, numbers))
    for bits in given[:2]:
        if np.any(bits != bits[0]):
            raise ThreadError(op, f"{inner.threads.name(0)}: threads of a warp group give different descriptors")
    _, columns, _ = op.shape.sizes
    kinds = op.type_a.data.value, op.type_b.data.value
    a, read_a = factor(inner, op, int(given[0][0]), ROWS, kinds[0], op.layout_a.data, is_a=True)
    b, read_b = factor(inner, op, int(given[1][0]), columns, kinds[1], op.layout_b.data, is_a=False)
    for warp in np.unique(numbers // WARP).tolist():
        products_of(group, warp).opened += [read_a, read_b]
    exact = np.int64 if kinds[0] in ("s8", "u8") else np.float64
    sums = a.astype(exact) @ b.astype(exact).T
    for scale in (op.scale_a, op.scale_b):
        sums = -sums if scale.data is ScaleIn.Negated else sums
    lane = np.arange(GROUP)
    made: list[Array] = []
    for number, old in enumerate(given[2:]):
        row = 16 * (lane // 32) + lane % 32 // 4 + 8 * (number // 2 % 2)
        column = 8 * (number // 4) + 2 * (lane % 4) + number % 2
        total = sums[row, column]
        if op.scale_d.data is ScaleOut.One:
            total = total + old.astype(exact)
        if op.saturated is not None and exact is np.int64:
            limits = np.iinfo(old.dtype)
            total = np.clip(total, limits.min, limits.max)
        made.append(total.astype(old.dtype))
    return made


def commit(frame: ThreadFrame, op: wgmma.CommitOp) -> None:
    for warp in np.unique(frame.threads.number // WARP).tolist():
        products = products_of(frame.threads.group, warp)
        if products.opened:
            products.committed.append(products.opened)
            products.opened = []


def wait(frame: ThreadFrame, op: wgmma.WaitOp) -> None:
    """Products that end here read their factors until now."""
    for warp in np.unique(frame.threads.number // WARP).tolist():
        products = products_of(frame.threads.group, warp)
        ending = max(0, len(products.committed) - op.group.value.data)
        for memory, at in [each for group in products.committed[:ending] for each in group]:
            read(frame.picked(frame.threads.number // WARP == warp), op, memory, at)
        del products.committed[:ending]


def nothing(frame: ThreadFrame, op: wgmma.FenceOp) -> None:
    """Registers and shared memory are seen at once."""


EVALUATE = {
    wgmma.MultiplyOp: multiply,
    wgmma.CommitOp: commit,
    wgmma.WaitOp: wait,
    wgmma.FenceOp: nothing,
}
