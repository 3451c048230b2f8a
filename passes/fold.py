"""The pass `fold`: ops on constants become constants, computed by the reference interpreter."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from xdsl.builder import Builder, ImplicitBuilder
from xdsl.context import Context
from xdsl.dialects.builtin import BytesAttr, DenseIntOrFPElementsAttr, ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint

from xmlc.dialects.dtypes import is_bool
from xmlc.dialects.ml import ML
from xmlc.dialects.ml.random import RANDOM
from xmlc.dialects.ml.shaping import ConstantOp, IotaOp, SizesOp, dense
from xmlc.dialects.ml.types import element_of, has_static_shape, shape_of
from xmlc.dialects.reference.interpreter import Array, Frame, Program, row_of

FOLDABLE = frozenset(ML.operations) - {*RANDOM, ConstantOp, IotaOp, SizesOp}
"""What may be computed at compile time: all but random numbers and iota, which would be large, and sizes."""


def constant_like(array: Array, result: SSAValue) -> SSAValue:
    """The array as a constant of the type of `result`; what is one number everywhere is stored once."""
    flat = array.reshape(-1)
    if flat.size > 1 and not is_bool(element_of(result)) and flat.tobytes() == flat[:1].tobytes() * flat.size:
        return ConstantOp(DenseIntOrFPElementsAttr(result.type, BytesAttr(flat[:1].tobytes()))).out  # pyright: ignore
    return ConstantOp(dense(array)).out


def computed(op: Operation) -> list[Array]:
    """The results of an op whose operands are constants."""
    evaluate = row_of(type(op))
    assert evaluate is not None, f"{op.name} has no reference"
    frame = Frame(Program(ModuleOp([]), {}))
    for operand in op.operands:
        assert isinstance(operand.owner, ConstantOp)
        frame.values[operand] = operand.owner.array()
    with np.errstate(all="ignore"):
        evaluate(frame, op)
    return [np.asarray(frame.values[result]) for result in op.results]


def fold(op: Operation, max_elements: int) -> bool:
    """Replace an op by constants where it is known what it gives and that is not too large."""
    if type(op) not in FOLDABLE or op.regions or not op.results:
        return False
    if not all(isinstance(each.owner, ConstantOp) for each in op.operands):
        return False
    if not all(map(has_static_shape, op.results)):
        return False
    limit = max([max_elements, *(prod(shape_of(each)) for each in op.operands)])
    if any(prod(shape_of(result)) > limit for result in op.results):
        return False
    arrays = computed(op)
    with ImplicitBuilder(Builder(InsertPoint.before(op))):
        made = [constant_like(array, result) for array, result in zip(arrays, op.results)]
    for old, new in zip(op.results, made):
        assert isinstance(new.owner, Operation)
        new.owner.location = op.location
        old.replace_all_uses_with(new)
    return True


@dataclass(frozen=True)
class Fold(ModulePass):
    """Compute what depends on constants alone, by the reference interpreter; composites too.

    A result has at most `max_elements` elements, or as many as the largest operand. Ops with regions and random
    numbers are left alone. Rounding is the reference's: correctly rounded, where machine code may be an ulp off.
    """

    name = "fold"
    max_elements: int = 1024

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for each in list(op.walk()):
            if fold(each, self.max_elements):
                erase_unused(each)


def erase_unused(op: Operation) -> None:
    """Erase an op that nothing uses, and the constants that only it used."""
    operands = set(op.operands)
    op.detach()
    op.erase()
    for operand in operands:
        if isinstance(operand.owner, ConstantOp) and operand.first_use is None:
            operand.owner.detach()
            operand.owner.erase()
