"""Shares of a whole: the fold of all elements of an array becomes a fold of each thread's share, and one of those.

    total = fold of x[i] over i   ->   parts[t] = fold of x[t, i] over i;  total = fold of parts[t] over t

Only a fold that may take elements in another order is one (`fold_of`). It stays whole where other ops of its run go
through as many elements: then they have their sweeps in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import cast

from xdsl.builder import ImplicitBuilder
from xdsl.dialects import arith, linalg, memref
from xdsl.dialects.builtin import DYNAMIC_INDEX, AffineMapAttr, ArrayAttr, IntegerAttr, MemRefType, NoneAttr, i64
from xdsl.dialects.linalg.attrs import IteratorType, IteratorTypeAttr
from xdsl.ir import Attribute, Block, Region, SSAValue
from xdsl.ir.affine import AffineMap
from xdsl.rewriter import InsertPoint

from xmlc.passes import remarks
from xmlc.passes.building import building
from xmlc.passes.memory import ALIGNMENT, array_type
from xmlc.passes.number import constant_attribute
from xmlc.passes.rows.emitter import neutral_of
from xmlc.passes.rows.recognise import Fold, LinalgOp, fold_of
from xmlc.passes.views import shape_of

LEAST = 1 << 18
"""Elements, at least, that threads share: fewer are not worth a fork."""


def share(block: Block, threads: int) -> None:
    """Have threads share the folds of a block that lend themselves to it."""
    for op in [each for each in block.ops if isinstance(each, linalg.ops.GenericOp)]:
        if threads > 1 and (cut := cut_of(op, threads)) is not None and stands_alone(op, block):
            split(op, cut, threads)


def cut_of(op: linalg.ops.GenericOp, threads: int) -> int | None:
    """The loop of a fold of all elements that is cut into equal shares, if any: the outermost one with iterations."""
    if not op.inputs or not all(is_whole(value, map_) for value, map_ in zip(op.inputs, op.indexing_maps)):
        return None
    shape, *others = (shape_of(each) for each in op.inputs)
    if any(each != shape for each in others) or DYNAMIC_INDEX in shape or prod(shape) < LEAST:
        return None
    if len(op.outputs) != 1 or shape_of(op.outputs[0]) or fold_of(op) is None:
        return None
    if any(isinstance(each, linalg.ops.IndexOp) for each in op.walk()):
        return None
    cut = next(loop for loop, extent in enumerate(shape) if extent > 1)
    return cut if shape[cut] % threads == 0 else None


def is_whole(value: SSAValue, map_: AffineMapAttr) -> bool:
    """Whether a value is an array in order, whose elements are read one after the other."""
    type_ = value.type
    if not isinstance(value.type, MemRefType):
        return False
    in_order = isinstance(cast("MemRefType[Attribute]", type_).layout, NoneAttr)
    return in_order and map_.data == AffineMap.identity(len(shape_of(value)))


def stands_alone(op: linalg.ops.GenericOp, block: Block) -> bool:
    """Whether no other op of the block goes through as many elements."""
    size = size_of(op)
    return all(each is op or size_of(each) < size for each in block.ops if isinstance(each, LinalgOp))


def size_of(op: LinalgOp) -> int:
    """The elements of the largest buffer of an op."""
    return max((abs(prod(shape_of(each))) for each in op.operands if isinstance(each.type, MemRefType)), default=1)


def split(op: linalg.ops.GenericOp, cut: int, threads: int) -> None:
    """Put a fold of shares and one of what they come to in the place of one."""
    fold = fold_of(op)
    assert fold is not None
    remarks.passed(op, lambda: f"{threads} threads fold a share of all elements each")
    (total,) = op.outputs
    element = cast("MemRefType[Attribute]", total.type).element_type
    body, last = op.body.clone(), combining(fold, element)
    with building(InsertPoint.before(op), op.location):
        parts = memref.AllocOp.get(element, ALIGNMENT, (threads,)).memref
        start = arith.ConstantOp(cast("IntegerAttr", constant_attribute(neutral_of(fold), element))).result
        linalg.ops.FillOp([start], [parts], [])
        shares = [shared(each, cut, threads) for each in op.inputs]
        rank = len(op.iterator_types) + 1
        maps = [*[AffineMap.identity(rank)] * len(shares), AffineMap(rank, 0, (AffineMap.identity(rank).results[cut],))]
        generic(shares, parts, maps, [loop != cut for loop in range(rank)], body)
        generic([parts], total, [AffineMap.identity(1), AffineMap(1, 0, ())], [True], last)
    op.detach()
    op.erase()


def shared(value: SSAValue, cut: int, threads: int) -> SSAValue:
    """An array, one dimension of which is cut into shares: a dimension of them, and one of what a share has."""
    type_ = cast("MemRefType[Attribute]", value.type)
    shape = list(type_.get_shape())
    groups = [[loop + (loop > cut)] if loop != cut else [cut, cut + 1] for loop in range(len(shape))]
    shape[cut : cut + 1] = [threads, shape[cut] // threads]
    made = memref.ExpandShapeOp.create(
        operands=(value,),
        result_types=(MemRefType(type_.element_type, shape),),
        properties={
            "reassociation": ArrayAttr(ArrayAttr(IntegerAttr(each, i64) for each in group) for group in groups),
            "static_output_shape": array_type(shape, i64),
        },
    )
    return made.results[0]


def combining(fold: Fold, element: Attribute) -> Region:
    """The body that combines a part with the total."""
    block = Block(arg_types=(element, element))
    part, total = block.args
    with ImplicitBuilder(block):
        operands = [part if each is fold.value else total for each in fold.combine.operands]
        made = type(fold.combine).create(operands=operands, result_types=(element,), properties=fold.combine.properties)
        linalg.ops.YieldOp(made.results[0])
    return Region(block)


def generic(
    inputs: Sequence[SSAValue], out: SSAValue, maps: Sequence[AffineMap], reduces: Sequence[bool], body: Region
) -> None:
    """A linalg op on buffers, of loops that reduce or do not."""
    kinds = [IteratorTypeAttr(IteratorType.REDUCTION if each else IteratorType.PARALLEL) for each in reduces]
    linalg.ops.GenericOp(inputs, [out], body, ArrayAttr(map(AffineMapAttr, maps)), ArrayAttr(kinds), [])
