"""Recognition: a linalg.generic that sums products of two buffers, as strides of its operands for each of its loops.

A buffer's element is `offset + sum of stride * loop` elements after its first, whatever its maps are (permuted,
broadcast, windows): two loops are one where that holds of their strides, in every operand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import cast

from xdsl.dialects import arith, linalg, memref
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    BFloat16Type,
    Float16Type,
    Float32Type,
    Float64Type,
    MemRefType,
    NoneAttr,
)
from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.dialects.utils import FastMathFlag
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.ir.affine import AffineBinaryOpExpr, AffineBinaryOpKind, AffineDimExpr, AffineExpr

Strides = tuple[int, ...]


@dataclass(frozen=True)
class Operand:
    """A buffer read or written at `offset + sum(stride * loop)`, in elements of row-major memory."""

    value: SSAValue
    strides: Strides
    offset: int = 0

    @property
    def element(self) -> Attribute:
        return cast(MemRefType[Attribute], self.value.type).element_type


@dataclass(frozen=True)
class Contraction:
    """out[...] = start + sum over the reducing loops of lhs[...] * rhs[...]"""

    extents: tuple[int, ...]
    reduces: tuple[bool, ...]
    lhs: Operand
    rhs: Operand
    out: Operand
    start: SSAValue | Operand | None
    """What sums start from: a scalar, an operand, or None for what is in `out`."""

    @property
    def element(self) -> Attribute:
        return self.out.element

    @property
    def operands(self) -> tuple[Operand, ...]:
        start = (self.start,) if isinstance(self.start, Operand) else ()
        return (self.lhs, self.rhs, self.out, *start)

    @property
    def reductions(self) -> list[int]:
        return [loop for loop, reduces in enumerate(self.reduces) if reduces]

    @property
    def parallels(self) -> list[int]:
        return [loop for loop, reduces in enumerate(self.reduces) if not reduces]

    @property
    def restarts(self) -> bool:
        """Whether a sum may be computed twice, since it does not start from what it is stored to."""
        return self.start is not None


def contraction_of(op: linalg.ops.GenericOp) -> tuple[Contraction, Operation | None] | None:
    """The contraction that an op is, and the op before it that sets where sums start and is not needed any more."""
    if len(op.inputs) != 2 or len(op.outputs) != 1 or not sums_products(op.body.block):
        return None
    maps = [tuple(attribute.data.results) for attribute in op.indexing_maps]
    extents = extents_of(op.operands, maps, len(op.iterator_types))
    if extents is None or 0 in extents:
        return None
    found = [operand_of(value, indices, len(extents)) for value, indices in zip(op.operands, maps)]
    lhs, rhs, out = found
    if lhs is None or rhs is None or out is None:
        return None
    reduces = tuple(iterator.data != IteratorType.PARALLEL for iterator in op.iterator_types)
    visited = prod(extent for extent, reduced in zip(extents, reduces) if not reduced)
    covers = visited == prod(cast(MemRefType[Attribute], out.value.type).get_shape())
    if not distinct(out, extents, reduces):
        return None
    start, setter = start_of(op, out, maps[2], len(extents)) if covers else (None, None)
    return simplified(Contraction(extents, reduces, lhs, rhs, out, start)), setter


def sums_products(body: Block) -> bool:
    """yield acc + a * b, in f32 or f64, a and b possibly widened; the sum may be taken in any order."""
    ops = list(body.ops)
    first, second, total = body.args
    if not isinstance(total.type, Float32Type | Float64Type):
        return False
    widened: dict[SSAValue, SSAValue] = {first: first, second: second}
    for op in ops:
        if isinstance(op, arith.ExtFOp) and isinstance(op.input.type, Float16Type | BFloat16Type):
            widened[op.result] = op.input
    match ops[-1].operands[0].owner, [op for op in ops if not isinstance(op, arith.ExtFOp)]:
        case (arith.AddfOp() as add, [arith.MulfOp() as multiply, arith.AddfOp(), linalg.ops.YieldOp()]):
            factors = {widened.get(multiply.lhs), widened.get(multiply.rhs)}
            terms = {add.lhs, add.rhs}
            return (
                factors == {first, second}
                and terms == {total, multiply.result}
                and multiply.result.type == total.type
                and FastMathFlag.REASSOC in add.fastmath.data
            )
        case _:
            return False


def extents_of(values: Sequence[SSAValue], maps: Sequence[Sequence[AffineExpr]], loops: int) -> tuple[int, ...] | None:
    """Each loop runs over a dimension that is indexed by it alone; None where one is not known."""
    extents = [DYNAMIC_INDEX] * loops
    for value, indices in zip(values, maps):
        type_: Attribute = value.type
        if isinstance(type_, MemRefType):
            for index, extent in zip(indices, cast(MemRefType[Attribute], type_).get_shape(), strict=True):
                if isinstance(index, AffineDimExpr) and extents[index.position] == DYNAMIC_INDEX:
                    extents[index.position] = extent
    return None if DYNAMIC_INDEX in extents else tuple(extents)


def operand_of(value: SSAValue, indices: Sequence[AffineExpr], loops: int) -> Operand | None:
    """The strides of a contiguous buffer of static shape; None for others, and for indices that are not linear."""
    type_ = value.type
    if not isinstance(type_, MemRefType):
        return None
    found = cast(MemRefType[Attribute], type_)
    if not isinstance(found.layout, NoneAttr) or DYNAMIC_INDEX in found.get_shape():
        return None
    if not all(is_linear(index) for index in indices):
        return None
    strides, step = [0] * loops, 1
    offset = 0
    zero = [0] * loops
    for index, extent in zip(reversed(indices), reversed(found.get_shape())):
        base = index.eval(zero, ())
        offset += base * step
        for loop in index.used_dims():
            one = [int(each == loop) for each in range(loops)]
            strides[loop] += (index.eval(one, ()) - base) * step
        step *= extent
    return Operand(value, tuple(strides), offset)


def is_linear(index: AffineExpr) -> bool:
    if not isinstance(index, AffineBinaryOpExpr):
        return True
    if index.kind not in (AffineBinaryOpKind.Add, AffineBinaryOpKind.Mul):
        return False
    return is_linear(index.lhs) and is_linear(index.rhs)


def distinct(out: Operand, extents: Sequence[int], reduces: Sequence[bool]) -> bool:
    """Whether different iterations of the parallel loops write different elements, and the others move nothing."""
    reach = 0
    moving = [(abs(s), n) for s, n, reduced in zip(out.strides, extents, reduces) if not reduced and n > 1]
    if any(stride and reduced for stride, reduced in zip(out.strides, reduces)):
        return False
    for stride, extent in sorted(moving):
        if stride <= reach:
            return False
        reach += stride * (extent - 1)
    return True


def simplified(found: Contraction) -> Contraction:
    """Without loops of extent one, and with loops merged that run through memory one inside the other everywhere."""
    kept = [loop for loop, extent in enumerate(found.extents) if extent != 1]
    found = selected(found, kept)
    while (pair := mergeable(found)) is not None:
        outer, inner = pair
        extents = list(found.extents)
        extents[inner] *= extents[outer]
        found = replace(found, extents=tuple(extents))
        found = selected(found, [loop for loop in range(len(extents)) if loop != outer])
    return found


def mergeable(found: Contraction) -> tuple[int, int] | None:
    for outer, first in enumerate(found.reduces):
        for inner, second in enumerate(found.reduces):
            if outer != inner and first == second:
                extent = found.extents[inner]
                if all(each.strides[outer] == each.strides[inner] * extent for each in found.operands):
                    return outer, inner
    return None


def selected(found: Contraction, loops: Sequence[int]) -> Contraction:
    """The contraction with these loops only, in this order."""

    def pick(operand: Operand) -> Operand:
        return replace(operand, strides=tuple(operand.strides[loop] for loop in loops))

    return Contraction(
        tuple(found.extents[loop] for loop in loops),
        tuple(found.reduces[loop] for loop in loops),
        pick(found.lhs),
        pick(found.rhs),
        pick(found.out),
        pick(found.start) if isinstance(found.start, Operand) else found.start,
    )


# Where sums start

_VIEWS = (memref.CollapseShapeOp, memref.ExpandShapeOp, memref.SubviewOp, memref.CastOp, memref.ReinterpretCastOp)
_NO_ACCESS = (arith.ConstantOp, memref.AllocOp, memref.AllocaOp, memref.GetGlobalOp, *_VIEWS)


def root(value: SSAValue) -> SSAValue:
    """The buffer that a view is of."""
    while isinstance(value.owner, _VIEWS):
        value = value.owner.operands[0]
    return value


def start_of(
    op: linalg.ops.GenericOp, out: Operand, indices: Sequence[AffineExpr], loops: int
) -> tuple[SSAValue | Operand | None, Operation | None]:
    """The scalar or the operand that `out` was filled with just before, and the op that did it."""
    if any(root(value) is root(out.value) for value in op.inputs):
        return None, None
    found = op.prev_op
    while found is not None:
        match found:
            case linalg.ops.FillOp(inputs=inputs, outputs=outputs) if outputs[0] is out.value:
                return inputs[0], found
            case linalg.ops.GenericOp(outputs=outputs) if outputs[0] is out.value:
                copied = copied_operand(found, indices, loops)
                return (copied, found) if copied is not None else (None, None)
            case linalg.ops.FillOp() | linalg.ops.GenericOp():
                if any(root(value) is root(out.value) for inner in found.walk() for value in inner.operands):
                    return None, None
                if isinstance(found, linalg.ops.GenericOp) and any(
                    isinstance(inner, memref.StoreOp) for inner in found.walk()
                ):
                    return None, None
            case _ if not isinstance(found, _NO_ACCESS):
                return None, None
            case _:
                pass
        found = found.prev_op
    return None, None


def copied_operand(op: linalg.ops.GenericOp, indices: Sequence[AffineExpr], loops: int) -> Operand | None:
    """What an op broadcasts into all of its output, indexed as the contraction indexes that output."""
    body = op.body.block
    if len(op.inputs) != 1 or len(op.outputs) != 1 or len(list(body.ops)) != 1:
        return None
    assert body.last_op is not None
    if body.last_op.operands[0] is not body.args[0] or body.args[0].type != body.args[1].type:
        return None
    source, target = (tuple(attribute.data.results) for attribute in op.indexing_maps)
    shape = cast(MemRefType[Attribute], op.outputs[0].type).get_shape()
    moved: dict[int, AffineExpr] = {}
    for written, read, extent in zip(target, indices, shape):
        if isinstance(written, AffineDimExpr):
            if written.position in moved:
                return None
            moved[written.position] = read
        elif extent != 1:
            return None
    if len(moved) != len(op.iterator_types):
        return None
    dims = [moved[position] for position in range(len(op.iterator_types))]
    return operand_of(op.inputs[0], [index.replace_dims_and_symbols(dims, ()) for index in source], loops)
