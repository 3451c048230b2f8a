"""What a tensor is made from in place: whose buffer it might take over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from xdsl.dialects import linalg, scf, tensor
from xdsl.ir import BlockArgument, Operation, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineExpr, AffineMap

from xmlc.dialects.fused_attention import FusedAttentionOp
from xmlc.dialects.fused_sort import FusedSortOp


def source_of(value: SSAValue) -> SSAValue | None:
    """The tensor whose buffer `value` might take over: its init, or where that holds nothing, an element-wise input."""
    init = init_of(value)
    if init is not None and isinstance(init.owner, tensor.EmptyOp):
        return element_source(value)
    return init


def init_of(value: SSAValue) -> SSAValue | None:
    """The tensor that `value` is made from in place: a linalg init, an insert's destination, a loop's start."""
    owner = value.owner
    index = owner.results.index(value) if isinstance(owner, Operation) else 0  # pyright: ignore[reportArgumentType]
    match owner:
        case linalg.ops.GenericOp() | linalg.ops.FillOp():
            return owner.outputs[index]
        case FusedAttentionOp():
            return owner.out
        case FusedSortOp():
            return (owner.values, owner.indices)[index]
        case tensor.InsertOp() | tensor.InsertSliceOp():
            return owner.dest
        case scf.ForOp():
            return owner.iter_args[index]
        case scf.WhileOp():
            return _forwarded(owner, index)
        case _:
            return None


def element_source(value: SSAValue) -> SSAValue | None:
    """An input of the type of `value` that a linalg.generic reads element by element as it writes `value`."""
    op = value.owner
    if not isinstance(op, linalg.ops.GenericOp):
        return None
    output = op.indexing_maps.data[len(op.inputs) + op.res.index(value)]
    if not visits_once(output.data):
        return None
    return next(
        (
            source
            for source, map_ in zip(op.inputs, op.indexing_maps)
            if map_ == output and source.type == value.type and not isinstance(source.owner, tensor.EmptyOp)
        ),
        None,
    )


def visits_once(map_: AffineMap) -> bool:
    """Whether a map reaches no element in two iterations."""
    return all_dims(map_.results) and len(map_.used_dims()) == map_.num_dims


def all_dims(expressions: Sequence[AffineExpr]) -> bool:
    return all(isinstance(expression, AffineDimExpr) for expression in expressions)


def _forwarded(op: scf.WhileOp, index: int) -> SSAValue | None:
    """The start of the carried value that a while loop hands on unchanged as its result number `index`."""
    before = op.before_region.block
    condition = cast(scf.ConditionOp, before.last_op)
    value = condition.args[index]
    if isinstance(value, BlockArgument) and value.owner is before:
        return op.arguments[value.index]
    return None
