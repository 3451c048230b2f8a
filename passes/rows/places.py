"""Places of extremes: the fold of an extreme together with its place becomes two folds, which vectors can do.

    best, place = fold of (x[i], i) over i   ->   best = the extreme of x[i];  place = the least i where x[i] is best

The extreme of a row with NaN is NaN; its place is that of the first NaN. Both folds start, as `ml` lowers them, from
what comes after every element.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from xdsl.builder import ImplicitBuilder
from xdsl.dialects import arith, linalg, memref
from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr, IntegerAttr, MemRefType, i1, i32, i64
from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.ir.affine import AffineMap
from xdsl.rewriter import InsertPoint

from xmlc.dialects.dtypes import is_float
from xmlc.dialects.lanewise import CmpfOp, CmpiOp, SelectOp
from xmlc.passes.building import building
from xmlc.passes.contractions.recognise import extents_of, operand_of
from xmlc.passes.lower_ml.combine import COMBINE
from xmlc.passes.memory import ALIGNMENT
from xmlc.passes.number import build

FAR = 2**31 - 1
"""A place that no row has."""

SELECT = arith.SelectOp | SelectOp
LARGEST = {"ugt": True, "ult": False}
INTEGERS = {"sgt": (True, False), "slt": (False, False), "ugt": (True, True), "ult": (False, True)}
"""How an element is compared with the best so far -> whether the largest is looked for, whether it is unsigned."""


@dataclass(frozen=True)
class Extreme:
    """A fold of an extreme and its place: over which loop, of what, and how it is compared."""

    op: linalg.ops.GenericOp
    loop: int
    value: SSAValue
    is_largest: bool
    is_unsigned: bool


def extreme_of(op: linalg.ops.GenericOp) -> Extreme | None:
    """What an op folds, if it is an extreme and its place along the memory of a buffer; None otherwise."""
    reduced = [i for i, each in enumerate(op.iterator_types) if each.data != IteratorType.PARALLEL]
    if len(op.outputs) != 2 or len(reduced) != 1 or op.results:
        return None
    best, place = op.body.block.args[-2:]
    last = op.body.block.last_op
    assert last is not None
    first, second = (each.owner for each in last.operands)
    if not isinstance(first, SELECT) or not isinstance(second, SELECT) or first.cond is not second.cond:
        return None
    here = second.lhs.owner
    if not isinstance(here, arith.IndexCastOp) or not is_index(here.input, reduced[0]):
        return None
    if first.rhs is not best or second.rhs is not place:
        return None
    how = compared(first.cond)
    if how is None or not runs_along(op, reduced[0]):
        return None
    return Extreme(op, reduced[0], first.lhs, *how)


def is_index(value: SSAValue, loop: int) -> bool:
    return isinstance(value.owner, linalg.ops.IndexOp) and value.owner.dim.value.data == loop


def compared(flag: SSAValue) -> tuple[bool, bool] | None:
    """Whether the largest is looked for and whether numbers are unsigned, from how an element is found better."""
    match flag.owner:
        case arith.AndIOp(lhs=SSAValue(owner=arith.CmpfOp(predicate=predicate) | CmpfOp(predicate=predicate))):
            name = arith.CMPF_COMPARISON_OPERATIONS[predicate.value.data]
            return (LARGEST[name], False) if name in LARGEST else None
        case arith.CmpiOp(predicate=predicate) | CmpiOp(predicate=predicate):
            return INTEGERS.get(arith.CMPI_COMPARISON_OPERATIONS[predicate.value.data])
        case _:
            return None


def runs_along(op: linalg.ops.GenericOp, loop: int) -> bool:
    """Whether memory of an input runs along a loop, so that vectors do, and the loop is short enough for FAR."""
    maps = [tuple(each.data.results) for each in op.indexing_maps]
    extents = extents_of(op.operands, maps, len(op.iterator_types))
    if extents is None or extents[loop] >= FAR:
        return False
    operands = [operand_of(value, indices, len(extents)) for value, indices in zip(op.inputs, maps)]
    return any(operand is not None and operand.strides[loop] == 1 for operand in operands)


def split(extreme: Extreme) -> None:
    """Put the two folds in the place of the one."""
    op = extreme.op
    best, places = op.outputs
    maps = list(op.indexing_maps.data)
    kept = maps[-1]
    rows = ArrayAttr(each for each in op.iterator_types if each.data == IteratorType.PARALLEL)
    shape = cast("MemRefType[Attribute]", places.type).get_shape()

    def better(*elements: SSAValue) -> SSAValue:
        *inputs, so_far = elements
        return COMBINE["max" if extreme.is_largest else "min"](so_far, element(extreme, inputs), extreme.is_unsigned)

    def nearer(*elements: SSAValue) -> SSAValue:
        *inputs, found, so_far = elements
        index = linalg.ops.IndexOp(extreme.loop).result
        here = build(arith.IndexCastOp, (index,), i32)
        far = arith.ConstantOp(IntegerAttr(FAR, i32)).result
        place = build(arith.SelectOp, (is_same(element(extreme, inputs), found), here, far), i32)
        return build(arith.MinSIOp, (so_far, place), i32)

    with building(InsertPoint.before(op), op.location):
        generic(op.inputs, best, [*maps[:-2], kept], op.iterator_types, better)
        first = memref.AllocOp.get(i32, ALIGNMENT, shape).memref
        linalg.ops.FillOp([arith.ConstantOp(IntegerAttr(FAR, i32)).result], [first], [])
        generic([*op.inputs, best], first, [*maps[:-2], kept, kept], op.iterator_types, nearer)
        identity = AffineMapAttr(AffineMap.identity(len(shape)))
        generic([first], places, [identity, identity], rows, widened)
    op.detach()
    op.erase()


def widened(place: SSAValue, so_far: SSAValue) -> SSAValue:
    return build(arith.ExtSIOp, (place,), i64)


def element(extreme: Extreme, inputs: Sequence[SSAValue]) -> SSAValue:
    """The ops that compute an element, once more, from these elements of the inputs."""
    known: dict[SSAValue, SSAValue] = dict(zip(extreme.op.body.block.args, inputs))

    def copied(value: SSAValue) -> SSAValue:
        owner = value.owner
        if value not in known and isinstance(owner, Operation) and owner.parent is extreme.op.body.block:
            for operand in owner.operands:
                copied(operand)
            made = owner.clone(known)
            known.update(zip(owner.results, made.results))
        return known.get(value, value)

    return copied(extreme.value)


def is_same(x: SSAValue, best: SSAValue) -> SSAValue:
    """Whether an element is the best of its row: where that is NaN, whether the element is NaN."""
    if not is_float(x.type):
        return arith.CmpiOp(x, best, "eq").result
    equal, no_number = arith.CmpfOp(x, best, "oeq").result, arith.CmpfOp(x, x, "uno").result
    return build(arith.OrIOp, (equal, no_number), i1)


def generic(
    inputs: Sequence[SSAValue],
    out: SSAValue,
    maps: Sequence[Attribute],
    iterators: Attribute,
    body: Callable[..., SSAValue],
) -> None:
    """A linalg op on buffers: `body` is given the element of each input, then of `out`, and returns the new one."""
    elements = [cast("MemRefType[Attribute]", value.type).element_type for value in (*inputs, out)]
    block = Block(arg_types=elements)
    with ImplicitBuilder(block):
        linalg.ops.YieldOp(body(*block.args))
    linalg.ops.GenericOp(inputs, [out], Region(block), cast(Any, maps), cast(Any, iterators), [])
