"""Epilogues: the elementwise op that reads a contraction's result, to be applied to the register tile.

The consumer is a linalg.generic that reads each sum once, at the same place or at another, and of which nothing reads
the sums afterwards. It is then part of the contraction, whose result is the consumer's: sums are stored once, finished.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import cast

from xdsl.dialects import linalg, math
from xdsl.dialects.builtin import IndexType, MemRefType, i1
from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineExpr

from xmlc.dialects.arith import ARITH
from xmlc.passes.contractions.recognise import (
    NO_ACCESS,
    Contraction,
    Epilogue,
    Operand,
    Recognised,
    contraction_of,
    operand_of,
    root,
    simplified,
)


def with_epilogue(op: linalg.ops.GenericOp, found: Recognised) -> Recognised | None:
    """The contraction that `op` and its consumer are together, not simplified; None where there is no such consumer."""
    consumer = consumer_of(op)
    if consumer is None or not is_simple(consumer):
        return None
    plain = found.found
    place = list(consumer.inputs).index(plain.out.value)
    maps = [tuple(attribute.data.results) for attribute in consumer.indexing_maps]
    dims = loops_of(consumer, maps[place], found.written)
    if dims is None or outlives(plain, op, found.setter, consumer):
        return None
    loops = len(plain.extents)
    operands: list[Operand | SSAValue | None] = []
    for value, indices in zip(consumer.inputs, maps):
        if value is plain.out.value and indices == maps[place]:
            operands.append(None)
        elif not isinstance(value.type, MemRefType):
            operands.append(value)
        else:
            read = operand_of(value, moved(indices, dims), loops)
            if read is None or root(value) is root(plain.out.value):
                return None
            operands.append(read)
    out = operand_of(consumer.outputs[0], moved(maps[-1], dims), loops)
    if out is None or not keeps_apart(plain, out, operands):
        return None
    # unfinished sums may wait where the results go, unless something is read there
    free = out.element == plain.element and not any(
        root(each.value) is root(out.value) for each in operands if isinstance(each, Operand)
    )
    made = replace(
        plain, out=out, sums=out if free else plain.out, epilogue=Epilogue(consumer.body.block, tuple(operands))
    )
    return replace(found, found=made, consumer=consumer)


def recognised(op: linalg.ops.GenericOp) -> list[Recognised]:
    """What an op may be taken for: a contraction with its epilogue, where there is one, and without; simplified."""
    plain = contraction_of(op)
    if plain is None:
        return []
    whole = with_epilogue(op, plain)
    return [replace(each, found=simplified(each.found)) for each in (whole, plain) if each is not None]


def consumer_of(op: linalg.ops.GenericOp) -> linalg.ops.GenericOp | None:
    """The next op that touches memory, if it is an elementwise one that reads the result."""
    found = op.next_op
    while isinstance(found, NO_ACCESS):
        found = found.next_op
    if isinstance(found, linalg.ops.GenericOp) and op.outputs[0] in found.inputs and len(found.outputs) == 1:
        return found
    return None


ARITHMETIC = (ARITH.name, math.Math.name)


def is_simple(op: linalg.ops.GenericOp) -> bool:
    """Whether all loops are parallel, and the body is arithmetic on scalars that has a meaning on vectors."""
    body = op.body.block
    if any(iterator.data != IteratorType.PARALLEL for iterator in op.iterator_types) or body.args[-1].uses:
        return False
    if any(argument.type == i1 for argument in body.args):
        return False  # vectors of it have no masked stores
    for inner in body.ops:
        if isinstance(inner, linalg.ops.YieldOp):
            continue
        if inner.name.partition(".")[0] not in ARITHMETIC or len(inner.results) != 1:
            return False
        if any(isinstance(value.type, IndexType) for value in (*inner.operands, *inner.results)):
            return False
    return True


def loops_of(
    consumer: linalg.ops.GenericOp, read: Sequence[AffineExpr], written: Sequence[AffineExpr]
) -> list[AffineExpr] | None:
    """Where each loop of the consumer stands in the contraction's loops; None where it does not read each sum once."""
    shape = cast(MemRefType[Attribute], consumer.outputs[0].type).get_shape()
    dims: list[AffineExpr | None] = [None] * len(consumer.iterator_types)
    for index, place in zip(read, written, strict=True):
        if isinstance(index, AffineDimExpr):
            if dims[index.position] is not None:
                return None
            dims[index.position] = place
    output = consumer.indexing_maps.data[-1].data.results
    for index, extent in zip(output, shape):
        if isinstance(index, AffineDimExpr) and dims[index.position] is None and extent == 1:
            dims[index.position] = AffineExpr.constant(0)
    found = [each for each in dims if each is not None]
    return found if len(found) == len(dims) else None


def moved(indices: Sequence[AffineExpr], dims: Sequence[AffineExpr]) -> list[AffineExpr]:
    return [index.replace_dims_and_symbols(dims, ()) for index in indices]


def outlives(
    plain: Contraction, op: linalg.ops.GenericOp, setter: Operation | None, consumer: linalg.ops.GenericOp
) -> bool:
    """Whether anything else may read the sums: they are neither overwritten nor in a buffer of these ops alone."""
    sums = plain.out.value
    if consumer.outputs[0] is sums:
        return False
    owner = sums.owner
    if isinstance(owner, Block) or root(sums) is not sums or setter is None:
        return True
    users = (op, setter, consumer)
    return any(use.operation not in users for use in sums.uses)


def keeps_apart(plain: Contraction, out: Operand, read: Sequence[Operand | SSAValue | None]) -> bool:
    """Whether results may be stored while sums are still being made: nothing reads them at another place."""
    target = root(out.value)
    factors = [plain.lhs, plain.rhs, *([plain.start] if isinstance(plain.start, Operand) else [])]
    if any(root(each.value) is target for each in factors):
        return False
    if target is root(plain.out.value) and out.strides != plain.out.strides:
        return False
    covered = prod(plain.extents[loop] for loop in plain.parallels)
    if covered != prod(cast(MemRefType[Attribute], out.value.type).get_shape()):
        return False
    return all(
        root(each.value) is not target or (each.value is out.value and each.strides == out.strides)
        for each in read
        if isinstance(each, Operand)
    )
