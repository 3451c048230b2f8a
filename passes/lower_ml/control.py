"""Control flow of `ml` as loops and branches of `scf` that carry tensors.

Conditions are tensors of rank 0 of which the one element is read. What a region uses from outside it uses still.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from xdsl.builder import ImplicitBuilder
from xdsl.dialects import arith, scf, tensor
from xdsl.dialects.builtin import DYNAMIC_INDEX, DenseArrayBase, i64
from xdsl.ir import Block, Operation, Region, SSAValue

from xmlc.dialects.ml import control as ml
from xmlc.dialects.ml.types import element_of, shape_of
from xmlc.dialects.ml.types import tensor as tensor_type
from xmlc.passes.lower_ml.structured import (
    build_index,
    counted_loop,
    empty,
    extract,
    free_sizes,
    index,
    known_sizes,
    stored,
)

if TYPE_CHECKING:
    from xmlc.passes.lower_ml.lower import Lowering


def inlined(lowering: Lowering, region: Region, arguments: Sequence[SSAValue], block: Block) -> list[SSAValue]:
    """Build at the end of `block` what a region does with `arguments`; returns what it yields."""
    source = region.block
    lowering.stand_for(source.args, arguments)
    lowering.ops(source, block)
    assert isinstance(source.last_op, ml.YieldOp)
    return [lowering.value(value) for value in source.last_op.operands]


def if_(lowering: Lowering, op: ml.IfOp) -> Sequence[SSAValue]:
    """The branches' values, by the one element of the condition"""

    def branch(region: Region) -> Region:
        block = Block()
        with ImplicitBuilder(block):
            scf.YieldOp(*inlined(lowering, region, (), block))
        return Region(block)

    condition = extract(lowering.value(op.condition), ())
    types = [stored(result.type) for result in op.results]
    return scf.IfOp(condition, types, branch(op.then), branch(op.otherwise)).results


def while_(lowering: Lowering, op: ml.WhileOp) -> Sequence[SSAValue]:
    """The condition decides on the carried values before each step, and passes them on as they are"""
    types = [stored(result.type) for result in op.results]
    before, after = Block(arg_types=types), Block(arg_types=types)
    with ImplicitBuilder(before):
        (condition,) = inlined(lowering, op.condition, before.args, before)
        scf.ConditionOp(extract(condition, ()), *before.args)
    with ImplicitBuilder(after):
        scf.YieldOp(*inlined(lowering, op.body, after.args, after))
    return scf.WhileOp([lowering.value(value) for value in op.inits], types, Region(before), Region(after)).results


def scan(lowering: Lowering, op: ml.ScanOp) -> Sequence[SSAValue]:
    """for i in range(steps): carried, *outputs = body(carried, *sequences[i]); stacked[i] = outputs"""
    count, steps = len(op.inits), op.steps()
    sequences = [lowering.value(value) for value in op.sequences]
    stacked = [empty(shape_of(result), stored(result.type).element_type) for result in op.results[count:]]
    state = [*(lowering.value(value) for value in op.inits), *stacked]
    with counted_loop(index(0), index(steps), index(1), state) as step:
        block = step.owner
        assert isinstance(block, Block)
        i = step if op.reverse is None else build_index(arith.SubiOp, index(steps - 1), step)
        slices = [slice_at(each, i) for each in sequences]
        given = inlined(lowering, op.body, [*state[:count], *slices], block)
        outputs = [with_slice(target, i, value) for target, value in zip(state[count:], given[count:], strict=True)]
        state[:] = *given[:count], *outputs
    return state


def slice_at(x: SSAValue, i: SSAValue) -> SSAValue:
    """x[i], without dimension 0"""
    shape = shape_of(x)[1:]
    return tensor.ExtractSliceOp.build(
        operands=(x, [i], free_sizes(shape), []),
        properties=one_of_dimension_0(shape),
        result_types=(tensor_type(shape, element_of(x)),),
    ).result


def with_slice(x: SSAValue, i: SSAValue, value: SSAValue) -> SSAValue:
    """x with `value` as x[i]"""
    return tensor.InsertSliceOp.build(
        operands=(value, x, [i], free_sizes(shape_of(value)), []),
        properties=one_of_dimension_0(shape_of(value)),
        result_types=(x.type,),
    ).result


def one_of_dimension_0(shape: Sequence[int]) -> dict[str, DenseArrayBase[Any]]:
    """How a slice is written that takes one index of dimension 0 and everything of the others, of sizes `shape`."""
    return {
        "static_offsets": DenseArrayBase.from_list(i64, [DYNAMIC_INDEX, *[0] * len(shape)]),
        "static_sizes": DenseArrayBase.from_list(i64, [1, *known_sizes(shape)]),
        "static_strides": DenseArrayBase.from_list(i64, [1] * (1 + len(shape))),
    }


REGIONS: dict[type[Operation], Callable[[Lowering, Any], Sequence[SSAValue]]] = {
    ml.IfOp: if_,
    ml.WhileOp: while_,
    ml.ScanOp: scan,
}
"""Op with regions -> f(lowering, op), which builds it and returns what stands for its results."""
