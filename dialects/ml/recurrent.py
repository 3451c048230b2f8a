"""Ops of `ml` that are whole recurrent layers: lstm, gru.

Sequences are time-major. x is (t, b, i); weights are (d, gates * h, i), recurrent weights (d, gates * h, h), bias
(d, 2 * gates * h): the one added to the input's product, then the one added to the state's. d is the number of
directions. With `lengths` (b), a sequence ends early: its outputs from there on are 0, its final state is the
one reached, and the reverse direction starts there. Computed in f32 for f16 and bf16, rounded once at the end.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import ClassVar

from xdsl.dialects.builtin import UnitAttr
from xdsl.dialects.utils import EnumAttribute
from xdsl.ir import Attribute, SpacedOpaqueSyntaxAttribute, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.str_enum import StrEnum

from xmlc.dialects.dtypes import FLOATS, SIGNED
from xmlc.dialects.ml.attributes import flag
from xmlc.dialects.ml.types import (
    DYNAMIC,
    Tensor,
    TensorLike,
    expect_elements,
    expect_rank,
    expect_type,
    shape_of,
    shape_text,
    tensor,
)


class Direction(StrEnum):
    FORWARD = "forward"
    REVERSE = "reverse"
    BIDIRECTIONAL = "bidirectional"

    def directions(self) -> int:
        return 2 if self is Direction.BIDIRECTIONAL else 1


@irdl_attr_definition
class DirectionAttr(EnumAttribute[Direction], SpacedOpaqueSyntaxAttribute):
    """The order in which a recurrent layer reads a sequence; bidirectional is both, each with its weights."""

    name = "ml.direction"


def expect_shape(value: Attribute, shape: tuple[int, ...], what: str) -> None:
    expect_rank(value, len(shape), what)
    if any(a != b and DYNAMIC not in (a, b) for a, b in zip(shape_of(value), shape)):
        raise VerifyException(f"{what} must have shape {shape_text(shape)}, found {shape_text(shape_of(value))}")


def recurrent_types(
    x: Attribute,
    weight: Attribute,
    recurrent: Attribute,
    given: Mapping[str, Attribute],
    direction: Direction,
    gates: int,
) -> tuple[TensorLike, TensorLike]:
    """The types of all outputs, (t, d, b, h), and of a final state, (d, b, h). `given`: of optional operands."""
    floats = [each for what, each in given.items() if what != "lengths"]
    element = expect_elements(FLOATS, x, weight, recurrent, *floats)
    expect_rank(x, 3, "the input")
    time, batch, depth = shape_of(x)
    expect_rank(recurrent, 3, "the recurrent weight")
    count, hidden = direction.directions(), shape_of(recurrent)[2]
    rows = DYNAMIC if hidden == DYNAMIC else gates * hidden
    expect_shape(weight, (count, rows, depth), "the weight")
    expect_shape(recurrent, (count, rows, hidden), "the recurrent weight")
    if "lengths" in given:
        expect_elements(SIGNED, given["lengths"])
    shapes = {
        "bias": (count, DYNAMIC if hidden == DYNAMIC else 2 * rows),
        "lengths": (batch,),
        "initial_h": (count, batch, hidden),
        "initial_c": (count, batch, hidden),
        "peepholes": (count, DYNAMIC if hidden == DYNAMIC else 3 * hidden),
    }
    for what, each in given.items():
        expect_shape(each, shapes[what], f"the operand {what}")
    return tensor((time, count, batch, hidden), element), tensor((count, batch, hidden), element)


class RecurrentOp(IRDLOperation, ABC):
    """What recurrent layers share: operands, all outputs `y` (t, d, b, h), and the final state `y_h` (d, b, h)."""

    ACCEPTS: ClassVar[tuple[Attribute, ...]] = FLOATS
    GATES: ClassVar[int]
    x = operand_def(Tensor)
    weight = operand_def(Tensor)
    recurrent = operand_def(Tensor)
    bias = opt_operand_def(Tensor)
    lengths = opt_operand_def(Tensor)
    initial_h = opt_operand_def(Tensor)
    direction = prop_def(DirectionAttr)
    y = result_def(Tensor)
    y_h = result_def(Tensor)
    traits = traits_def(Pure())
    irdl_options = (AttrSizedOperandSegments(as_property=True),)


RECURRENT_FORMAT = (
    "$direction $x `,` $weight `,` $recurrent (`bias` $bias^ `:` type($bias))? "
    "(`lengths` $lengths^ `:` type($lengths))? (`initial_h` $initial_h^ `:` type($initial_h))? "
)


def given_types(**optional: SSAValue | None) -> dict[str, Attribute]:
    """The types of the optional operands that are there."""
    return {what: value.type for what, value in optional.items() if value is not None}


@irdl_op_definition
class LstmOp(RecurrentOp):
    """A long short-term memory layer (Hochreiter & Schmidhuber 1997; ONNX LSTM, default activations).

    With s = sigmoid, W x = x @ weight^T + bias, R h = h @ recurrent^T + bias, gates in the order i, o, f, c, and
    p the peepholes in the order i, o, f: i = s(W x + R h + p * c), f likewise, c' = f * c + i * tanh(W x + R h),
    o = s(W x + R h + p * c'), h' = o * tanh(c'). Initial states and what is absent are 0.
    """

    name = "ml.lstm"
    GATES: ClassVar = 4
    # repeated from the base: xDSL puts a class's own fields before inherited ones
    x = operand_def(Tensor)
    weight = operand_def(Tensor)
    recurrent = operand_def(Tensor)
    bias = opt_operand_def(Tensor)
    lengths = opt_operand_def(Tensor)
    initial_h = opt_operand_def(Tensor)
    initial_c = opt_operand_def(Tensor)
    peepholes = opt_operand_def(Tensor)
    y = result_def(Tensor)
    y_h = result_def(Tensor)
    y_c = result_def(Tensor)
    assembly_format = (
        RECURRENT_FORMAT + "(`initial_c` $initial_c^ `:` type($initial_c))? (`peepholes` $peepholes^ `:` "
        "type($peepholes))? attr-dict `:` type($x) `,` type($weight) `,` type($recurrent) `->` type($y) `,` "
        "type($y_h) `,` type($y_c)"
    )

    def __init__(
        self,
        x: SSAValue,
        weight: SSAValue,
        recurrent: SSAValue,
        bias: SSAValue | None = None,
        *,
        lengths: SSAValue | None = None,
        initial_h: SSAValue | None = None,
        initial_c: SSAValue | None = None,
        peepholes: SSAValue | None = None,
        direction: Direction | str = Direction.FORWARD,
    ):
        given = given_types(bias=bias, lengths=lengths, initial_h=initial_h, initial_c=initial_c, peepholes=peepholes)
        direction = Direction(direction)
        y, state = recurrent_types(x.type, weight.type, recurrent.type, given, direction, self.GATES)
        super().__init__(
            operands=(x, weight, recurrent, bias, lengths, initial_h, initial_c, peepholes),
            result_types=(y, state, state),
            properties={"direction": DirectionAttr(direction)},
        )

    def verify_(self) -> None:
        given = given_types(
            bias=self.bias,
            lengths=self.lengths,
            initial_h=self.initial_h,
            initial_c=self.initial_c,
            peepholes=self.peepholes,
        )
        y, state = recurrent_types(
            self.x.type, self.weight.type, self.recurrent.type, given, self.direction.data, self.GATES
        )
        expect_type(self.y.type, y)
        expect_type(self.y_h.type, state)
        expect_type(self.y_c.type, state)


@irdl_op_definition
class GruOp(RecurrentOp):
    """A layer of gated recurrent units (Cho et al. 2014, arXiv:1406.1078; ONNX GRU, default activations).

    With W and R as in `ml.lstm` and gates in the order z, r, h: z = sigmoid(W x + R h), r likewise,
    n = tanh(W x + R (r * h)), or tanh(W x + r * (R h)) when `linear_before_reset`; h' = (1 - z) * n + z * h.
    """

    name = "ml.gru"
    GATES: ClassVar = 3
    linear_before_reset = opt_prop_def(UnitAttr)
    assembly_format = (
        RECURRENT_FORMAT + "(`linear_before_reset` $linear_before_reset^)? attr-dict `:` type($x) `,` type($weight) "
        "`,` type($recurrent) `->` type($y) `,` type($y_h)"
    )

    def __init__(
        self,
        x: SSAValue,
        weight: SSAValue,
        recurrent: SSAValue,
        bias: SSAValue | None = None,
        *,
        lengths: SSAValue | None = None,
        initial_h: SSAValue | None = None,
        direction: Direction | str = Direction.FORWARD,
        linear_before_reset: bool = False,
    ):
        given = given_types(bias=bias, lengths=lengths, initial_h=initial_h)
        direction = Direction(direction)
        super().__init__(
            operands=(x, weight, recurrent, bias, lengths, initial_h),
            result_types=recurrent_types(x.type, weight.type, recurrent.type, given, direction, self.GATES),
            properties={
                "direction": DirectionAttr(direction),
                "linear_before_reset": flag(linear_before_reset),
            },
        )

    def verify_(self) -> None:
        given = given_types(bias=self.bias, lengths=self.lengths, initial_h=self.initial_h)
        y, state = recurrent_types(
            self.x.type, self.weight.type, self.recurrent.type, given, self.direction.data, self.GATES
        )
        expect_type(self.y.type, y)
        expect_type(self.y_h.type, state)


RECURRENT = (LstmOp, GruOp)
