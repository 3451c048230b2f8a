"""Ops that say how to differentiate: what counts as a constant, is computed again, or has a gradient of its own.

They compute what their operands or bodies do, and go away (the pass `decompose`) once derivatives are taken.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Region, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.traits import Pure, RecursiveMemoryEffect
from xdsl.utils.exceptions import VerifyException

from xmlc.dialects.ml.attributes import Integer, integer
from xmlc.dialects.ml.control import argument_types, expect_types, yielded
from xmlc.dialects.ml.types import Tensor, expect_type, type_of


class IdentityOp(IRDLOperation):
    """Gives what it is given."""

    x = operand_def(Tensor)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = "$x attr-dict `:` type($x) `->` type($out)"

    def __init__(self, x: SSAValue):
        super().__init__(operands=(x,), result_types=(x.type,))

    def verify_(self) -> None:
        expect_type(self.out.type, type_of(self.x.type))


@irdl_op_definition
class StopGradientOp(IdentityOp):
    """x, as a constant to derivatives: its gradient is zero."""

    name = "ml.stop_gradient"


@irdl_op_definition
class BarrierOp(IdentityOp):
    """x, as a value that no pass knows to be x: what is computed from it is not computed from x, but again."""

    name = "ml.barrier"


@irdl_op_definition
class CheckpointOp(IRDLOperation):
    """What its body yields; its gradient computes the body again, so that nothing in it is kept until then."""

    name = "ml.checkpoint"
    out = var_result_def(Tensor)
    body = region_def("single_block")
    traits = traits_def(RecursiveMemoryEffect())
    assembly_format = "$body attr-dict `:` type($out)"

    def __init__(self, body: Region):
        super().__init__(result_types=(yielded(body, "body"),), regions=(body,))

    def verify_(self) -> None:
        expect_types(argument_types(self.body), (), "the arguments of the body")
        expect_types(self.out.types, yielded(self.body, "body"), "the results")


@irdl_op_definition
class CustomGradientOp(IRDLOperation):
    """What its body yields for the operands: values, then `kept` more for the gradient, which is a region of its own.

    That region takes what is kept, then a cotangent for each value; it yields one for each operand.
    """

    name = "ml.custom_gradient"
    inputs = var_operand_def(Tensor)
    kept = prop_def(Integer)
    out = var_result_def(Tensor)
    body = region_def("single_block")
    gradient = region_def("single_block")
    traits = traits_def(RecursiveMemoryEffect())
    assembly_format = (
        "`(` $inputs `)` `kept` $kept $body `gradient` $gradient attr-dict `:` `(` type($inputs) `)` `->` type($out)"
    )

    def __init__(self, inputs: Sequence[SSAValue], body: Region, gradient: Region, kept: int):
        super().__init__(
            operands=(inputs,),
            result_types=(yielded(body, "body"),),
            properties={"kept": integer(kept)},
            regions=(body, gradient),
        )

    @property
    def values(self) -> int:
        """How many of the results are values; the rest is kept for the gradient."""
        return len(self.out) - self.kept.value.data

    def verify_(self) -> None:
        given = yielded(self.body, "body")
        if not 0 <= self.kept.value.data <= len(given):
            raise VerifyException(f"of {len(given)} results {self.kept.value.data} cannot be kept")
        values = self.values
        expect_types(argument_types(self.body), self.inputs.types, "the arguments of the body")
        expect_types(self.out.types, given, "the results")
        expect_types(argument_types(self.gradient), (*given[values:], *given[:values]), "the arguments of the gradient")
        expect_types(yielded(self.gradient, "gradient"), self.inputs.types, "what the gradient yields")


DERIVATIVES = (StopGradientOp, BarrierOp, CheckpointOp, CustomGradientOp)
