"""Loop nests: what a linalg op does in each iteration, which loops are one loop, and in what order they run.

`loop_order` is the cost model. It is the default of the pass `lower-linalg`; an op overrides it with the attribute
`xmlc.loop_order`, a dense array that lists its loops from the outermost to the innermost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import cast

from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    MemRefType,
    NoneAttr,
    StridedLayoutAttr,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineExpr

PARALLEL = "xmlc.parallel"
"""Attribute of a loop: iterations of different indices touch nothing that one of them writes, whichever iterations of
the loops around it in its nest they belong to."""

CACHE_LINE = 16
"""Elements a strided access is taken to fetch for each one it uses."""

START_COST = 16
"""What starting a loop is taken to cost, in accesses; shared among its iterations, so that tiny loops go outside."""


@dataclass
class Access:
    """An operand of a nest: the buffer (None for a scalar), and the index expression of each of its dimensions."""

    value: SSAValue
    indices: list[AffineExpr]
    is_output: bool
    is_read: bool

    @property
    def type(self) -> MemRefType[Attribute]:
        return cast(MemRefType[Attribute], self.value.type)

    @property
    def is_buffer(self) -> bool:
        return isinstance(self.value.type, MemRefType)


@dataclass
class Nest:
    """Loops (their extents, DYNAMIC_INDEX where unknown; whether they reduce) and the accesses of one iteration."""

    extents: list[int]
    reduces: list[bool]
    accesses: list[Access]
    exact: bool = False
    """Whether the order of a reduction's operations may not change, so that it cannot be vectorised."""


def stride_of(access: Access, loop: int, loops: int) -> int:
    """How many elements an access moves when a loop advances by one; a cache line where that is unknown."""
    strides = access.type.get_strides()
    if strides is None:
        return CACHE_LINE
    zero = [0] * loops
    one = [int(dim == loop) for dim in range(loops)]
    total = 0
    for expression, stride in zip(access.indices, strides, strict=True):
        moved = expression.eval(one, ()) - expression.eval(zero, ())
        if moved:
            total += moved * (CACHE_LINE if stride is None else stride)
        elif loop in expression.used_dims():  # a division or remainder
            total += 1
    return abs(total)


def loop_cost(nest: Nest, loop: int) -> float:
    """What an iteration costs if `loop` is the innermost: accesses that move far cost a cache line each."""
    extent = nest.extents[loop]
    cost = START_COST / max(1, extent) if extent != DYNAMIC_INDEX else 0.0
    for access in nest.accesses:
        if not access.is_buffer or not (access.is_read or access.is_output):
            continue
        moved = min(stride_of(access, loop, len(nest.extents)), CACHE_LINE)
        # an output that stands still is kept in a register; otherwise it is stored, and loaded if it accumulates
        cost += moved * (access.is_read + access.is_output)
    if nest.reduces[loop] and nest.exact:
        cost += 4
    return cost


def loop_order(nest: Nest) -> list[int]:
    """The loops from the most costly, outermost, to the cheapest, innermost. Ties keep the order of the op."""
    loops = range(len(nest.extents))
    return sorted(loops, key=lambda loop: -loop_cost(nest, loop))


def described(nest: Nest, order: Sequence[int], accumulates: bool) -> str:
    """The loops in their order, and what LLVM can make of the innermost, which alone it makes vectors of.

    `accumulates`: whether the innermost loops carry a reduction in a scalar.
    """
    if not order:
        return "one element: no loop"
    kinds = {True: "a sum", False: "a loop"}
    loops = ", then ".join(f"{kinds[nest.reduces[loop]]} of {extent_text(nest.extents[loop])}" for loop in order)
    if accumulates and nest.exact:
        return f"{loops}: no vectors, since floats are summed in their order"
    accesses = [each for each in nest.accesses if each.is_buffer and (each.is_read or each.is_output)]
    steps = {stride_of(access, order[-1], len(nest.extents)) for access in accesses}
    apart = " and ".join(str(step) for step in sorted(steps - {0, 1}))
    if apart:
        return f"{loops}: the innermost goes through elements {apart} apart, in vectors at a cost"
    return f"{loops}: the innermost goes through memory in order, for LLVM to make vectors of"


def extent_text(extent: int) -> str:
    return "?" if extent == DYNAMIC_INDEX else str(extent)


def is_parallel(nest: Nest, loop: int) -> bool:
    """Whether iterations of a loop write apart from each other: it alone indexes a dimension of every output."""
    expression = AffineDimExpr(loop)
    return not nest.reduces[loop] and all(expression in access.indices for access in nest.accesses if access.is_output)


def follows(nest: Nest, first: int, second: int) -> bool:
    """Whether `second` runs through memory directly inside `first` in every access, so that both can be one loop."""
    if nest.reduces[first] != nest.reduces[second] or DYNAMIC_INDEX in (nest.extents[first], nest.extents[second]):
        return False
    for access in nest.accesses:
        if not access.is_buffer:
            continue
        uses = [
            (position, expression)
            for position, expression in enumerate(access.indices)
            if first in (used := expression.used_dims()) or second in used
        ]
        if not uses:
            continue
        if [expression for _, expression in uses] != [AffineDimExpr(first), AffineDimExpr(second)]:
            return False
        (outer, _), (inner, _) = uses
        shape, strides = access.type.get_shape(), access.type.get_strides()
        if any(shape[position] != 1 for position in range(outer + 1, inner)) or strides is None:
            return False
        outer_stride, inner_stride = strides[outer], strides[inner]
        if inner_stride is None or outer_stride != inner_stride * shape[inner]:
            return False
        if nest.extents[second] != shape[inner]:
            return False  # the loop covers part of the dimension: its end is not the start of the next row
    return True


def merged_loops(nest: Nest, fixed: set[int]) -> list[list[int]]:
    """The loops in groups, each to become one loop, in the order of their first; `fixed` loops stay alone."""
    groups = [[loop] for loop in range(len(nest.extents))]
    changed = True
    while changed:
        changed = False
        for group in groups:
            other = next(
                (
                    other
                    for other in groups
                    if other is not group and not fixed & {*group, *other} and follows(nest, group[-1], other[0])
                ),
                None,
            )
            if other is not None:
                group += other
                groups.remove(other)
                changed = True
                break
    return groups


def collapsed(access: Access, groups: Sequence[Sequence[int]]) -> tuple[list[list[int]], list[AffineExpr]] | None:
    """How to collapse the dimensions of an access for merged loops, and its indices then; None: nothing to collapse.

    Indices are over the numbers of the groups. Extents of one join the dimension before them.
    """
    number = {loop: place for place, group in enumerate(groups) for loop in group}
    new_dims = [AffineExpr.dimension(number[loop]) for loop in range(len(number))]
    continues = {AffineDimExpr(loop) for group in groups for loop in group[1:]}
    shape = access.type.get_shape()
    if not any(expression in continues for expression in access.indices):
        access.indices = [e.replace_dims_and_symbols(new_dims, ()) for e in access.indices]
        return None
    parts: list[list[int]] = []
    indices: list[AffineExpr | None] = []
    for position, expression in enumerate(access.indices):
        if parts and (expression in continues or shape[position] == 1):
            parts[-1].append(position)
        elif parts and indices[-1] is None:
            parts[-1].append(position)
            indices[-1] = expression
        else:
            parts.append([position])
            indices.append(None if shape[position] == 1 else expression)
    zero = AffineExpr.constant(0)
    return parts, [zero if e is None else e.replace_dims_and_symbols(new_dims, ()) for e in indices]


def collapsed_type(source: MemRefType[Attribute], parts: Sequence[Sequence[int]]) -> MemRefType[Attribute]:
    """The type of a memref whose dimensions are collapsed by `parts`."""
    shape = source.get_shape()
    extents = [prod(shape[position] for position in part) for part in parts]
    if isinstance(source.layout, NoneAttr):
        return MemRefType(source.element_type, extents)
    strides = source.get_strides()
    assert strides is not None
    kept: list[int | None] = []
    for part in parts:
        last = next((position for position in reversed(part) if shape[position] != 1), part[0])
        kept.append(strides[last])
    return MemRefType(source.element_type, extents, StridedLayoutAttr(kept, source.get_offset()))


def is_contiguous(type_: MemRefType[Attribute]) -> bool:
    """Whether a memref of static shape fills memory without gaps, in row-major order."""
    if isinstance(type_.layout, NoneAttr):
        return True
    strides, shape = type_.get_strides(), type_.get_shape()
    if strides is None or DYNAMIC_INDEX in shape:
        return False
    step = 1
    for extent, stride in zip(reversed(shape), reversed(strides)):
        if extent != 1 and stride != step:
            return False
        step *= extent
    return True
