"""Recognition: a linalg.generic that sums products of two buffers, as strides of its operands for each of its loops.

A buffer's element is `offset + sum of stride * loop` elements after its first, whatever its maps are (permuted,
broadcast, windows): two loops are one where that holds of their strides, in every operand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import cast

from xdsl.dialects import arith, linalg, memref
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    Float32Type,
    Float64Type,
    MemRefType,
    NoneAttr,
    i32,
)
from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.dialects.utils import FastMathFlag
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.ir.affine import AffineBinaryOpExpr, AffineBinaryOpKind, AffineConstantExpr, AffineDimExpr, AffineExpr

Strides = tuple[int, ...]


@dataclass(frozen=True)
class Operand:
    """A buffer read or written at `offset + sum(stride * loop)`, in elements of row-major memory."""

    value: SSAValue
    strides: Strides
    offset: int = 0
    unsigned: bool = False
    """Whether its integers are widened as unsigned numbers."""

    @property
    def element(self) -> Attribute:
        return cast(MemRefType[Attribute], self.value.type).element_type


@dataclass(frozen=True)
class Epilogue:
    """What is computed of each finished sum: the body of an elementwise linalg.generic, and what its arguments are."""

    body: Block
    operands: tuple[Operand | SSAValue | None, ...]
    """For each argument an operand or a scalar; None for the sum."""

    @property
    def buffers(self) -> tuple[Operand, ...]:
        return tuple(each for each in self.operands if isinstance(each, Operand))

    def mapped(self, change: Callable[[Operand], Operand]) -> Epilogue:
        return replace(
            self, operands=tuple(change(each) if isinstance(each, Operand) else each for each in self.operands)
        )


@dataclass(frozen=True)
class Contraction:
    """out[...] = epilogue(start + sum over the reducing loops of lhs[...] * rhs[...])"""

    extents: tuple[int, ...]
    reduces: tuple[bool, ...]
    lhs: Operand
    rhs: Operand
    out: Operand
    start: SSAValue | Operand | None
    """What sums start from: a scalar, an operand, or None for what is in `sums`."""
    sums: Operand
    """Where sums may be kept before they are finished; `out` itself where there is no epilogue."""
    epilogue: Epilogue | None = None

    @property
    def element(self) -> Attribute:
        """The type of sums."""
        return self.sums.element

    @property
    def operands(self) -> tuple[Operand, ...]:
        start = (self.start,) if isinstance(self.start, Operand) else ()
        read = self.epilogue.buffers if self.epilogue is not None else ()
        return (self.lhs, self.rhs, self.out, self.sums, *start, *read)

    @property
    def reductions(self) -> list[int]:
        return [loop for loop, reduces in enumerate(self.reduces) if reduces]

    @property
    def parallels(self) -> list[int]:
        return [loop for loop, reduces in enumerate(self.reduces) if not reduces]

    @property
    def restarts(self) -> bool:
        """Whether a result may be computed twice, since nothing of it is read from where it is stored."""
        read = self.epilogue.buffers if self.epilogue is not None else ()
        return self.start is not None and not any(root(each.value) is root(self.out.value) for each in read)

    def mapped(self, change: Callable[[Operand], Operand]) -> Contraction:
        """With each operand changed."""
        return replace(
            self,
            lhs=change(self.lhs),
            rhs=change(self.rhs),
            out=change(self.out),
            sums=change(self.sums),
            start=change(self.start) if isinstance(self.start, Operand) else self.start,
            epilogue=self.epilogue.mapped(change) if self.epilogue is not None else None,
        )


@dataclass(frozen=True)
class Recognised:
    """A contraction, and the ops beside the one it comes from that are not needed any more."""

    found: Contraction
    setter: Operation | None
    """What sets where sums start."""
    written: tuple[AffineExpr, ...]
    """Where results go, in the contraction's loops before it is simplified."""
    consumer: linalg.ops.GenericOp | None = None
    """What computes the epilogue."""


def contraction_of(op: linalg.ops.GenericOp) -> Recognised | None:
    """The contraction that an op is, without an epilogue."""
    if len(op.inputs) != 2 or len(op.outputs) != 1:
        return None
    unsigned = unsigned_factors(op.body.block)
    if unsigned is None:
        return None
    maps = [tuple(attribute.data.results) for attribute in op.indexing_maps]
    extents = extents_of(op.operands, maps, len(op.iterator_types))
    if extents is None or 0 in extents:
        return None
    reduces = tuple(iterator.data != IteratorType.PARALLEL for iterator in op.iterator_types)
    parts = parts_of(extents, maps)
    if parts is None:
        return None
    extents, reduces = parts.extents, tuple(reduces[loop] for loop in parts.sources)
    maps = [parts.read(indices) for indices in maps]
    found = [operand_of(value, indices, len(extents)) for value, indices in zip(op.operands, maps)]
    lhs, rhs, out = found
    if lhs is None or rhs is None or out is None:
        return None
    lhs, rhs = replace(lhs, unsigned=unsigned[0]), replace(rhs, unsigned=unsigned[1])
    visited = prod(extent for extent, reduced in zip(extents, reduces) if not reduced)
    covers = visited == prod(cast(MemRefType[Attribute], out.value.type).get_shape())
    if not distinct(out, extents, reduces):
        return None
    start, setter = start_of(op, out, maps[2], len(extents)) if covers else (None, None)
    return Recognised(Contraction(extents, reduces, lhs, rhs, out, start, out), setter, maps[2])


@dataclass(frozen=True)
class Parts:
    """Loops some of which are two: an outer one over blocks of a size, an inner one within a block.

    Operands that lie in blocks along a loop (packed panels) are read by its quotient and remainder.
    """

    extents: tuple[int, ...]
    loops: tuple[AffineExpr, ...]
    """What each loop of the op is, in terms of ours."""
    sources: tuple[int, ...]
    """The loop of the op that each of ours is a part of."""

    def read(self, indices: Sequence[AffineExpr]) -> tuple[AffineExpr, ...]:
        """Indices in terms of our loops."""
        return tuple(self.read_one(index) for index in indices)

    def read_one(self, index: AffineExpr) -> AffineExpr:
        if (block := block_of(index)) is None:
            return index.replace_dims_and_symbols(self.loops, ())
        outer = self.sources.index(block.loop)
        return AffineExpr.dimension(outer + int(block.is_remainder))


@dataclass(frozen=True)
class BlockIndex:
    """An index that is the quotient or the remainder of a loop by a size."""

    loop: int
    size: int
    is_remainder: bool


def block_of(index: AffineExpr) -> BlockIndex | None:
    match index:
        case AffineBinaryOpExpr(
            kind=(AffineBinaryOpKind.FloorDiv | AffineBinaryOpKind.Mod) as kind,
            lhs=AffineDimExpr(position=loop),
            rhs=AffineConstantExpr(value=size),
        ):
            return BlockIndex(loop, size, kind == AffineBinaryOpKind.Mod)
        case AffineBinaryOpExpr(  # d + (d floordiv size) * -size, as composed maps have the remainder
            kind=AffineBinaryOpKind.Add,
            lhs=AffineDimExpr(position=loop),
            rhs=AffineBinaryOpExpr(kind=AffineBinaryOpKind.Mul, lhs=blocks, rhs=AffineConstantExpr(value=negative)),
        ) if negative < 0 and blocks == AffineExpr.dimension(loop) // -negative:
            return BlockIndex(loop, -negative, True)
        case _:
            return None


def parts_of(extents: Sequence[int], maps: Sequence[Sequence[AffineExpr]]) -> Parts | None:
    """The loops parted where an operand lies in blocks; None where blocks differ or the last is not whole."""
    sizes: dict[int, int] = {}
    for block in filter(None, (block_of(index) for indices in maps for index in indices)):
        if sizes.setdefault(block.loop, block.size) != block.size or extents[block.loop] % block.size:
            return None
    found: list[tuple[int, int]] = []
    loops: list[AffineExpr] = []
    for loop, extent in enumerate(extents):
        here = AffineExpr.dimension(len(found))
        if loop in sizes:
            loops.append(here * sizes[loop] + AffineExpr.dimension(len(found) + 1))
            found += [(extent // sizes[loop], loop), (sizes[loop], loop)]
        else:
            loops.append(here)
            found.append((extent, loop))
    return Parts(tuple(extent for extent, _ in found), tuple(loops), tuple(loop for _, loop in found))


WIDENING: tuple[type[Operation], ...] = (arith.ExtFOp, arith.ExtSIOp, arith.ExtUIOp)


def unsigned_factors(body: Block) -> tuple[bool, bool] | None:
    """For a body that yields acc + a * b, a and b possibly widened: whether each is widened as unsigned.

    Sums are in f32, f64 or i32, and may be taken in any order. None for other bodies.
    """
    first, second, total = body.args
    if not isinstance(total.type, Float32Type | Float64Type) and total.type != i32:
        return None
    widened: dict[SSAValue, SSAValue] = {first: first, second: second}
    unsigned: set[SSAValue] = set()
    rest: list[Operation] = []
    for op in body.ops:
        if not isinstance(op, WIDENING):
            rest.append(op)
            continue
        widened[op.results[0]] = op.operands[0]
        if isinstance(op, arith.ExtUIOp):
            unsigned.add(op.operands[0])
    match rest:
        case [
            (arith.MulfOp() | arith.MuliOp()) as multiply,
            (arith.AddfOp() | arith.AddiOp()) as add,
            linalg.ops.YieldOp() as end,
        ] if end.operands[0] is add.result:
            factors = (widened.get(multiply.lhs), widened.get(multiply.rhs))
            if set(factors) != {first, second} or {add.lhs, add.rhs} != {total, multiply.result}:
                return None
            if multiply.result.type != total.type:
                return None
            if isinstance(add, arith.AddfOp) and FastMathFlag.REASSOC not in add.fastmath.data:
                return None
            return first in unsigned, second in unsigned
        case _:
            return None


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

    return replace(
        found.mapped(pick),
        extents=tuple(found.extents[loop] for loop in loops),
        reduces=tuple(found.reduces[loop] for loop in loops),
    )


# Where sums start

_VIEWS = (memref.CollapseShapeOp, memref.ExpandShapeOp, memref.SubviewOp, memref.CastOp, memref.ReinterpretCastOp)
NO_ACCESS = (arith.ConstantOp, memref.AllocOp, memref.AllocaOp, memref.GetGlobalOp, *_VIEWS)


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
            case _ if not isinstance(found, NO_ACCESS):
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
