"""Reverse-mode differentiation of the ops of a block: cotangents flow from results back to inputs.

A cotangent of a value is the gradient, with respect to it, of whatever number the program is differentiated for. Each
op turns the cotangents of its results into those of its operands, by its row; those that meet at a value add up
(Linnainmaa 1976, doi:10.1007/BF01931367; Griewank & Walther 2008, "Evaluating Derivatives", ch. 3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.rewriter import InsertPoint

from xmlc.dialects.diagnostics import CompileError, place_of
from xmlc.dialects.dtypes import FLOATS
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.channels_last import CHANNELS_LAST
from xmlc.dialects.ml.elementwise import ElementwiseOp
from xmlc.dialects.ml.packed import PACKED
from xmlc.dialects.ml.types import DYNAMIC, element_of, shape_of
from xmlc.dialects.ml.winograd import WINOGRAD
from xmlc.passes.building import building
from xmlc.passes.decompose import DECOMPOSITIONS, decompose
from xmlc.passes.decompose.operands import zeros
from xmlc.passes.differentiate import composite, contraction, elementwise, reduction, shaping
from xmlc.passes.differentiate.shaping import Pulled, sum_to

Row = Callable[..., Pulled]
"""f(op, cotangents of its results…) -> cotangents of its operands; None stands for zero."""

GRADIENTS: dict[type[Operation], Row] = {
    **elementwise.GRADIENTS,
    **shaping.GRADIENTS,
    **contraction.GRADIENTS,
    **reduction.GRADIENTS,
    **composite.GRADIENTS,
}
CONSTANT = elementwise.CONSTANT | shaping.CONSTANT | reduction.CONSTANT
"""Ops that pass nothing back: their results do not change with their operands, or in jumps only."""

UNDIFFERENTIATED: frozenset[type[Operation]] = frozenset((*PACKED, *WINOGRAD, *CHANNELS_LAST))
"""Ops that only passes after differentiation make, as a way to compute another: a program has none of them yet."""


def is_differentiable(value: SSAValue | Attribute) -> bool:
    return element_of(value) in FLOATS


class Cotangents:
    """The cotangents found so far, by value; what has none has cotangent zero."""

    def __init__(self, given: Iterable[tuple[SSAValue, SSAValue | None]] = ()):
        self.found: dict[SSAValue, SSAValue] = {}
        for value, cotangent in given:
            self.add(value, cotangent)

    def add(self, value: SSAValue, cotangent: SSAValue | None) -> None:
        """Add to the cotangent of a value; builds at the insertion point."""
        if cotangent is not None and is_differentiable(value):
            before = self.found.get(value)
            self.found[value] = cotangent if before is None else F.add(before, cotangent)

    def get(self, value: SSAValue) -> SSAValue | None:
        return self.found.get(value)

    def or_zero(self, value: SSAValue) -> SSAValue:
        """The cotangent of a value, as a tensor even where it is zero."""
        return self.found[value] if value in self.found else zeros(shape_of(value), value)


def pull_back(ops: Sequence[Operation], cotangents: Cotangents, inputs: Iterable[SSAValue], at: InsertPoint) -> None:
    """Complete the cotangents of whatever depends on `inputs` by means of `ops`, which come in their order.

    What is built goes to `at`, each op with the location of the one that it is the gradient of. Raises CompileError
    for an op that passes no gradient back.
    """
    active = set(inputs)
    moving: list[Operation] = []
    for op in ops:
        if type(op) not in CONSTANT and not active.isdisjoint(values_read(op)):
            active.update(filter(is_differentiable, op.results))
            moving.append(op)
    for op in reversed(moving):
        given = [cotangents.get(result) for result in op.results]
        if any(each is not None for each in given):
            with building(at, op.location):
                for value, cotangent in pulled(op, given, active, at):
                    if value in active:
                        cotangents.add(value, cotangent)


def pulled(
    op: Operation, given: list[SSAValue | None], active: set[SSAValue], at: InsertPoint
) -> Iterable[tuple[SSAValue, SSAValue | None]]:
    """The values an op reads, each with what reaches it of the cotangents of the results."""
    regions = region_rows()
    if type(op) in regions:
        return regions[type(op)](op, given, active, at)
    if type(op) not in GRADIENTS:
        raise CompileError(f"cannot differentiate {op.name}", place=place_of(op.location))
    if any(DYNAMIC in shape_of(value) for value in (*op.operands, *op.results)):
        raise CompileError(
            f"cannot differentiate {op.name}: it has a size known only at run time",
            place=place_of(op.location),
            hint="differentiate the program for given sizes of its inputs",
        )
    reached = GRADIENTS[type(op)](op, *given)
    if isinstance(op, ElementwiseOp):
        reached = [c and sum_to(c, shape_of(operand)) for operand, c in zip(op.operands, reached)]
    return zip(op.operands, reached)


def region_rows() -> Mapping[type[Operation], Callable[..., Iterable[tuple[SSAValue, SSAValue | None]]]]:
    """The rows of ops that are differentiated with what is around them; they call this module in turn."""
    from xmlc.passes.differentiate import control, derivatives

    return {**control.REGIONS, **derivatives.REGIONS}


# --- the ops of a block


def values_read(op: Operation) -> list[SSAValue]:
    """What an op depends on: its operands, and what its regions take from outside."""
    return [*op.operands, *captured(op)] if op.regions else list(op.operands)


def captured(op: Operation) -> list[SSAValue]:
    """The values from outside an op that its regions use, each once, in the order of their first use."""
    made: set[SSAValue] = set()
    found: dict[SSAValue, None] = {}
    for region in op.regions:
        for block in region.blocks:
            made.update(block.args)
        for inner in region.walk():
            found.update((operand, None) for operand in inner.operands if operand not in made)
            made.update(inner.results)
            made.update(argument for each in inner.regions for block in each.blocks for argument in block.args)
    return list(found)


def expand(block: Block) -> list[Operation]:
    """Replace the ops of a block that have no gradient of their own by what they are made of; returns its ops."""
    regions = region_rows()
    for op in list(block.ops):
        if type(op) in DECOMPOSITIONS and type(op) not in GRADIENTS and type(op) not in regions:
            decompose(op)
    return list(block.ops)
