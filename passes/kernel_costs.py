"""What a kernel costs at least: the operations of its linalg ops, and the bytes of what it takes and gives.

An analysis at the linalg level, where loops are whole. A function such as exp counts as one operation, a conversion as
none. Of what is only read at computed places, such as a table that rows are gathered from, the elements read count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, cast

from xdsl.dialects import arith, func, linalg, scf, tensor
from xdsl.dialects.builtin import DYNAMIC_INDEX, IndexType, IntegerAttr, ModuleOp, TensorType
from xdsl.ir import Attribute, Block, Operation, SSAValue

from xmlc.dialects.ml.types import element_of
from xmlc.dialects.ml.winograd import FILTER
from xmlc.dialects.sizes import is_symbolic
from xmlc.passes.form_kernels import KERNEL
from xmlc.passes.fuse_linalg import WORK, extents_of
from xmlc.passes.lower_ml.winograd import is_winograd
from xmlc.passes.memory import element_size


@dataclass(frozen=True)
class Cost:
    """Operations, bytes moved, and the element type that most of the operations are on."""

    flops: int
    moved: int
    element: str


def kernel_costs(module: ModuleOp) -> dict[str, Cost]:
    """The cost of each kernel of a module at the linalg level; those whose sizes are not known are left out."""
    functions = [each for each in module.ops if isinstance(each, func.FuncOp) and KERNEL in each.attributes]
    costs = {each.sym_name.data: cost_of(each) for each in functions}
    return {name: cost for name, cost in costs.items() if cost is not None}


class Unknown(Exception):
    """A size is only known when the program runs."""


def cost_of(kernel: func.FuncOp) -> Cost | None:
    operations: Counter[str] = Counter()
    gathered: Counter[SSAValue] = Counter()
    try:
        count(kernel.body.block, 1, operations, gathered)
        arguments = sum(bytes_read(each, gathered) for each in kernel.body.block.args)
        results = sum(size_of(type) for type in kernel.function_type.outputs)
    except Unknown:
        return None
    element = operations.most_common(1)[0][0] if operations else "f32"
    return Cost(operations.total(), arguments + results, element)


def count(block: Block, times: int, operations: Counter[str], gathered: Counter[SSAValue]) -> None:
    """Count the operations of a block that runs `times` times, and the elements it reads one by one."""
    for op in block.ops:
        match op:
            case linalg.ops.GenericOp() if is_winograd(op):
                operations[str(element_of(op.results[0]))] += times * products(op)
                continue
            case linalg.ops.GenericOp():
                inside = times * points(op)
            case scf.ForOp():
                inside = times * trips(op)
            case tensor.ExtractOp():
                gathered[op.tensor] += times
                continue
            case _:
                inside = times
                if is_arithmetic(op):
                    operations[str(op.results[0].type)] += times
        for region in op.regions:
            for inner in region.blocks:
                count(inner, inside, operations, gathered)


def is_arithmetic(op: Operation) -> bool:
    """Whether an op on numbers counts: not those that make places in memory, nor conversions."""
    if not op.name.startswith(("arith.", "math.")) or isinstance(op, arith.CmpfOp | arith.CmpiOp | arith.SelectOp):
        return False
    return WORK.get(type(op), 1) != 0 and not isinstance(op.results[0].type, IndexType)


def points(op: linalg.ops.GenericOp) -> int:
    """How often the body runs."""
    extents = extents_of(op).values()
    if DYNAMIC_INDEX in extents or is_symbolic(tuple(extents)):
        raise Unknown
    return prod(extents)


def products(op: linalg.ops.GenericOp) -> int:
    """The operations of the convolution that a sum over transformed tiles stands for."""
    weight = cast(TensorType[Attribute], op.inputs[2].type).get_shape()
    return 2 * prod(cast(TensorType[Attribute], op.outputs[0].type).get_shape()) * weight[-2] * FILTER**2


def trips(loop: scf.ForOp) -> int:
    bounds = [bound.owner for bound in loop.operands[:3]]
    if not all(isinstance(bound, arith.ConstantOp) for bound in bounds):
        raise Unknown
    lower, upper, step = (cast("IntegerAttr[Any]", cast(arith.ConstantOp, bound).value).value.data for bound in bounds)
    return max(0, -(-(upper - lower) // step))


def bytes_read(argument: SSAValue, gathered: Mapping[SSAValue, int]) -> int:
    """The bytes of an argument that a kernel reads: once each, however often it does."""
    whole = size_of(argument.type)
    readers = [use.operation for use in argument.uses]
    if not readers:
        return 0
    if all(isinstance(each, tensor.ExtractOp) for each in readers):
        element = cast(TensorType[Attribute], argument.type).element_type
        return min(whole, gathered[argument] * element_size(element))
    if all(isinstance(each, tensor.ExtractSliceOp) for each in readers):
        return min(whole, sum(size_of(each.results[0].type) for each in readers))
    return whole


def size_of(type_: Attribute) -> int:
    """Bytes of a tensor; eight of anything else."""
    if not isinstance(type_, TensorType):
        return 8
    shape = cast(TensorType[Attribute], type_).get_shape()
    if DYNAMIC_INDEX in shape:
        raise Unknown
    return prod(shape) * element_size(cast(TensorType[Attribute], type_).element_type)
