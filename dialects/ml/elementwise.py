"""Elementwise ops of `ml`: one scalar function applied at every index, with NumPy's broadcasting.

f16 and bf16 are computed in f32 and rounded once by each op. Integer arithmetic wraps around. Formulas
follow the Python array API standard 2024.12 where it has the function, ONNX's operator of the same name
otherwise; deviations are said at the op.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects.builtin import i1
from xdsl.dialects.utils import EnumAttribute
from xdsl.ir import Attribute, SpacedOpaqueSyntaxAttribute, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import Commutative, Pure
from xdsl.utils.str_enum import StrEnum

from xmlc.dialects.dtypes import ELEMENTS, FLOATS, INTEGERS
from xmlc.dialects.ml.attributes import Float, real
from xmlc.dialects.ml.types import (
    Tensor,
    TensorLike,
    broadcast_shapes,
    expect_elements,
    expect_type,
    shape_of,
    tensor,
)

NUMBERS = FLOATS + INTEGERS
BITS = (*INTEGERS, i1)


class ElementwiseOp(IRDLOperation, ABC):
    """out[i] = f(operands[i]): every operand broadcasts to the shape of the result.

    `ACCEPTS` are the operands' element types; the result has the same one unless `RETURNS` says otherwise.
    """

    ACCEPTS: ClassVar[tuple[Attribute, ...]] = FLOATS
    RETURNS: ClassVar[Attribute | None] = None

    out = result_def(Tensor)
    traits = traits_def(Pure())

    def __init__(self, *operands: SSAValue, properties: dict[str, Attribute] | None = None):
        super().__init__(
            operands=operands,
            result_types=(self.result_type([operand.type for operand in operands]),),
            properties=properties or {},
        )

    @classmethod
    def result_type(cls, operands: Sequence[Attribute]) -> TensorLike:
        """The broadcast shape with the element type that `ACCEPTS` and `RETURNS` give."""
        element = expect_elements(cls.ACCEPTS, *operands)
        return tensor(broadcast_shapes(*map(shape_of, operands)), cls.RETURNS or element)

    def verify_(self) -> None:
        expect_type(self.out.type, self.result_type([operand.type for operand in self.operands]))


class UnaryOp(ElementwiseOp, ABC):
    """out[i] = f(x[i])"""

    x = operand_def(Tensor)
    assembly_format = "$x attr-dict `:` type($x) `->` type($out)"

    def __init__(self, x: SSAValue):
        super().__init__(x)


class BinaryOp(ElementwiseOp, ABC):
    """out[i] = f(lhs[i], rhs[i])"""

    ACCEPTS: ClassVar = NUMBERS
    lhs = operand_def(Tensor)
    rhs = operand_def(Tensor)
    assembly_format = "$lhs `,` $rhs attr-dict `:` type($lhs) `,` type($rhs) `->` type($out)"

    def __init__(self, lhs: SSAValue, rhs: SSAValue):
        super().__init__(lhs, rhs)


# --- one operand: numbers


@irdl_op_definition
class NegOp(UnaryOp):
    """-x; integers wrap around."""

    name = "ml.neg"
    ACCEPTS: ClassVar = NUMBERS


@irdl_op_definition
class AbsOp(UnaryOp):
    """|x|; the smallest signed integer stays itself."""

    name = "ml.abs"
    ACCEPTS: ClassVar = NUMBERS


@irdl_op_definition
class SignOp(UnaryOp):
    """-1, 0 or 1 with the sign of x; NaN stays NaN."""

    name = "ml.sign"
    ACCEPTS: ClassVar = NUMBERS


@irdl_op_definition
class ReluOp(UnaryOp):
    """max(x, 0); NaN stays NaN."""

    name = "ml.relu"
    ACCEPTS: ClassVar = NUMBERS


@irdl_op_definition
class NotOp(UnaryOp):
    """Every bit inverted; on i1 the logical not."""

    name = "ml.not"
    ACCEPTS: ClassVar = BITS


# --- one operand: floats


@irdl_op_definition
class FloorOp(UnaryOp):
    """The largest integer that is at most x."""

    name = "ml.floor"


@irdl_op_definition
class CeilOp(UnaryOp):
    """The smallest integer that is at least x."""

    name = "ml.ceil"


@irdl_op_definition
class RoundOp(UnaryOp):
    """The nearest integer, halves to the even one (IEEE 754 roundToIntegralTiesToEven)."""

    name = "ml.round"


@irdl_op_definition
class ExpOp(UnaryOp):
    """e^x"""

    name = "ml.exp"


@irdl_op_definition
class Expm1Op(UnaryOp):
    """e^x - 1, accurate near 0"""

    name = "ml.expm1"


@irdl_op_definition
class LogOp(UnaryOp):
    """The natural logarithm; -inf at 0, NaN below."""

    name = "ml.log"


@irdl_op_definition
class Log1pOp(UnaryOp):
    """log(1 + x), accurate near 0"""

    name = "ml.log1p"


@irdl_op_definition
class SqrtOp(UnaryOp):
    """The square root, correctly rounded; NaN below 0."""

    name = "ml.sqrt"


@irdl_op_definition
class RsqrtOp(UnaryOp):
    """1 / sqrt(x)"""

    name = "ml.rsqrt"


@irdl_op_definition
class SinOp(UnaryOp):
    """sin(x), x in radians"""

    name = "ml.sin"


@irdl_op_definition
class CosOp(UnaryOp):
    """cos(x), x in radians"""

    name = "ml.cos"


@irdl_op_definition
class TanOp(UnaryOp):
    """tan(x), x in radians"""

    name = "ml.tan"


@irdl_op_definition
class TanhOp(UnaryOp):
    """tanh(x)"""

    name = "ml.tanh"


@irdl_op_definition
class AsinOp(UnaryOp):
    """The angle in [-pi/2, pi/2] whose sine is x; NaN outside [-1, 1]."""

    name = "ml.asin"


@irdl_op_definition
class AcosOp(UnaryOp):
    """The angle in [0, pi] whose cosine is x; NaN outside [-1, 1]."""

    name = "ml.acos"


@irdl_op_definition
class AtanOp(UnaryOp):
    """The angle in [-pi/2, pi/2] whose tangent is x."""

    name = "ml.atan"


@irdl_op_definition
class SinhOp(UnaryOp):
    """sinh(x)"""

    name = "ml.sinh"


@irdl_op_definition
class CoshOp(UnaryOp):
    """cosh(x)"""

    name = "ml.cosh"


@irdl_op_definition
class AsinhOp(UnaryOp):
    """The inverse of sinh."""

    name = "ml.asinh"


@irdl_op_definition
class AcoshOp(UnaryOp):
    """The inverse of cosh; NaN below 1."""

    name = "ml.acosh"


@irdl_op_definition
class AtanhOp(UnaryOp):
    """The inverse of tanh; NaN outside [-1, 1]."""

    name = "ml.atanh"


@irdl_op_definition
class ErfOp(UnaryOp):
    """The error function, 2/sqrt(pi) * integral of e^(-t^2) from 0 to x."""

    name = "ml.erf"


@irdl_op_definition
class SigmoidOp(UnaryOp):
    """1 / (1 + e^-x)"""

    name = "ml.sigmoid"


@irdl_op_definition
class SiluOp(UnaryOp):
    """x * sigmoid(x) (Elfwing et al. 2017, arXiv:1702.03118)"""

    name = "ml.silu"


@irdl_op_definition
class SoftplusOp(UnaryOp):
    """log(1 + e^x), computed as max(x, 0) + log1p(e^-|x|) so that it cannot overflow"""

    name = "ml.softplus"


@irdl_op_definition
class HardSwishOp(UnaryOp):
    """x * clamp(x / 6 + 1/2, 0, 1) (Howard et al. 2019, arXiv:1905.02244)"""

    name = "ml.hard_swish"


@irdl_op_definition
class IsNanOp(UnaryOp):
    """True where x is NaN."""

    name = "ml.is_nan"
    RETURNS: ClassVar = i1


@irdl_op_definition
class IsInfOp(UnaryOp):
    """True where x is +inf or -inf."""

    name = "ml.is_inf"
    RETURNS: ClassVar = i1


class GeluForm(StrEnum):
    EXACT = "exact"
    TANH = "tanh"


@irdl_attr_definition
class GeluFormAttr(EnumAttribute[GeluForm], SpacedOpaqueSyntaxAttribute):
    """Which formula `ml.gelu` uses."""

    name = "ml.gelu_form"


@irdl_op_definition
class GeluOp(UnaryOp):
    """x * Phi(x), Phi the normal distribution function (Hendrycks & Gimpel 2016, arXiv:1606.08415).

    exact: x/2 * (1 + erf(x / sqrt 2)); tanh: x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))).
    """

    name = "ml.gelu"
    form = prop_def(GeluFormAttr)
    assembly_format = "$x $form attr-dict `:` type($x) `->` type($out)"

    def __init__(self, x: SSAValue, form: GeluForm = GeluForm.EXACT):
        super(UnaryOp, self).__init__(x, properties={"form": GeluFormAttr(form)})


class AlphaOp(UnaryOp, ABC):
    """out[i] = f(x[i]; alpha)"""

    alpha = prop_def(Float)
    assembly_format = "$x `alpha` `=` $alpha attr-dict `:` type($x) `->` type($out)"

    def __init__(self, x: SSAValue, alpha: float):
        super(UnaryOp, self).__init__(x, properties={"alpha": real(alpha)})


@irdl_op_definition
class EluOp(AlphaOp):
    """x where x > 0, alpha * (e^x - 1) elsewhere (Clevert et al. 2015, arXiv:1511.07289)"""

    name = "ml.elu"

    def __init__(self, x: SSAValue, alpha: float = 1.0):
        super().__init__(x, alpha)


@irdl_op_definition
class LeakyReluOp(AlphaOp):
    """x where x >= 0, alpha * x elsewhere"""

    name = "ml.leaky_relu"

    def __init__(self, x: SSAValue, alpha: float = 0.01):
        super().__init__(x, alpha)


@irdl_op_definition
class HardSigmoidOp(UnaryOp):
    """clamp(alpha * x + beta, 0, 1)"""

    name = "ml.hard_sigmoid"
    alpha = prop_def(Float)
    beta = prop_def(Float)
    assembly_format = "$x `alpha` `=` $alpha `beta` `=` $beta attr-dict `:` type($x) `->` type($out)"

    def __init__(self, x: SSAValue, alpha: float = 0.2, beta: float = 0.5):
        properties: dict[str, Attribute] = {"alpha": real(alpha), "beta": real(beta)}
        super(UnaryOp, self).__init__(x, properties=properties)


# --- two operands


@irdl_op_definition
class AddOp(BinaryOp):
    """lhs + rhs"""

    name = "ml.add"
    traits = traits_def(Pure(), Commutative())


@irdl_op_definition
class SubOp(BinaryOp):
    """lhs - rhs"""

    name = "ml.sub"


@irdl_op_definition
class MulOp(BinaryOp):
    """lhs * rhs"""

    name = "ml.mul"
    traits = traits_def(Pure(), Commutative())


@irdl_op_definition
class DivOp(BinaryOp):
    """lhs / rhs; integers round towards zero, and anything divided by the integer 0 is 0."""

    name = "ml.div"


@irdl_op_definition
class FloorDivOp(BinaryOp):
    """floor(lhs / rhs); anything divided by the integer 0 is 0."""

    name = "ml.floor_div"


@irdl_op_definition
class RemOp(BinaryOp):
    """The remainder of `ml.div`, with the sign of lhs (C's fmod); 0 for a divisor that is the integer 0."""

    name = "ml.rem"


@irdl_op_definition
class PowOp(BinaryOp):
    """lhs ^ rhs, IEEE 754 pow; for integers a negative power is that of the exact quotient, rounded to 0."""

    name = "ml.pow"


@irdl_op_definition
class MaxOp(BinaryOp):
    """The larger one; NaN if either is NaN."""

    name = "ml.max"
    traits = traits_def(Pure(), Commutative())


@irdl_op_definition
class MinOp(BinaryOp):
    """The smaller one; NaN if either is NaN."""

    name = "ml.min"
    traits = traits_def(Pure(), Commutative())


@irdl_op_definition
class Atan2Op(BinaryOp):
    """The angle of the point (rhs, lhs) in [-pi, pi], signed zeros as in IEEE 754."""

    name = "ml.atan2"
    ACCEPTS: ClassVar = FLOATS


@irdl_op_definition
class AndOp(BinaryOp):
    """Bitwise and; logical on i1."""

    name = "ml.and"
    ACCEPTS: ClassVar = BITS
    traits = traits_def(Pure(), Commutative())


@irdl_op_definition
class OrOp(BinaryOp):
    """Bitwise or; logical on i1."""

    name = "ml.or"
    ACCEPTS: ClassVar = BITS
    traits = traits_def(Pure(), Commutative())


@irdl_op_definition
class XorOp(BinaryOp):
    """Bitwise exclusive or; logical on i1."""

    name = "ml.xor"
    ACCEPTS: ClassVar = BITS
    traits = traits_def(Pure(), Commutative())


@irdl_op_definition
class ShiftLeftOp(BinaryOp):
    """lhs * 2^rhs modulo 2^width; 0 where rhs is negative or at least the width."""

    name = "ml.shift_left"
    ACCEPTS: ClassVar = INTEGERS


@irdl_op_definition
class ShiftRightOp(BinaryOp):
    """floor(lhs / 2^rhs); where rhs is negative or at least the width, 0, or -1 for a negative lhs."""

    name = "ml.shift_right"
    ACCEPTS: ClassVar = INTEGERS


class Predicate(StrEnum):
    EQ = "eq"
    NE = "ne"
    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"


@irdl_attr_definition
class PredicateAttr(EnumAttribute[Predicate], SpacedOpaqueSyntaxAttribute):
    """The relation that `ml.compare` tests."""

    name = "ml.predicate"


@irdl_op_definition
class CompareOp(BinaryOp):
    """lhs <predicate> rhs as i1; with NaN only `ne` holds. false < true."""

    name = "ml.compare"
    ACCEPTS: ClassVar = ELEMENTS
    RETURNS: ClassVar = i1
    predicate = prop_def(PredicateAttr)
    assembly_format = "$predicate $lhs `,` $rhs attr-dict `:` type($lhs) `,` type($rhs) `->` type($out)"

    def __init__(self, lhs: SSAValue, rhs: SSAValue, predicate: Predicate | str):
        super(BinaryOp, self).__init__(lhs, rhs, properties={"predicate": PredicateAttr(Predicate(predicate))})


# --- three operands, and the change of type


@irdl_op_definition
class SelectOp(ElementwiseOp):
    """lhs where condition, rhs elsewhere"""

    name = "ml.select"
    ACCEPTS: ClassVar = ELEMENTS
    condition = operand_def(Tensor)
    lhs = operand_def(Tensor)
    rhs = operand_def(Tensor)
    assembly_format = (
        "$condition `,` $lhs `,` $rhs attr-dict `:` type($condition) `,` type($lhs) `,` type($rhs) `->` type($out)"
    )

    def __init__(self, condition: SSAValue, lhs: SSAValue, rhs: SSAValue):
        super().__init__(condition, lhs, rhs)

    @classmethod
    def result_type(cls, operands: Sequence[Attribute]) -> TensorLike:
        condition, lhs, rhs = operands
        expect_elements((i1,), condition)
        element = expect_elements(cls.ACCEPTS, lhs, rhs)
        return tensor(broadcast_shapes(*map(shape_of, operands)), element)


@irdl_op_definition
class ClampOp(ElementwiseOp):
    """min(max(x, low), high); NaN stays NaN."""

    name = "ml.clamp"
    ACCEPTS: ClassVar = NUMBERS
    x = operand_def(Tensor)
    low = operand_def(Tensor)
    high = operand_def(Tensor)
    assembly_format = "$x `,` $low `,` $high attr-dict `:` type($x) `,` type($low) `,` type($high) `->` type($out)"

    def __init__(self, x: SSAValue, low: SSAValue, high: SSAValue):
        super().__init__(x, low, high)


@irdl_op_definition
class CastOp(IRDLOperation):
    """x converted to another element type.

    Float to integer truncates towards zero and saturates, NaN becomes 0; integer to integer wraps around;
    anything to i1 is x != 0; to a narrower float rounds to the nearest, halves to even.
    """

    name = "ml.cast"
    ACCEPTS: ClassVar[tuple[Attribute, ...]] = ELEMENTS
    x = operand_def(Tensor)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = "$x attr-dict `:` type($x) `->` type($out)"

    def __init__(self, x: SSAValue, element: Attribute):
        super().__init__(operands=(x,), result_types=(tensor(shape_of(x), element),))

    def verify_(self) -> None:
        expect_type(self.out.type, tensor(shape_of(self.x), self.out.type.element_type))


ELEMENTWISE = (
    NegOp, AbsOp, SignOp, ReluOp, NotOp, FloorOp, CeilOp, RoundOp, ExpOp, Expm1Op, LogOp, Log1pOp, SqrtOp,
    RsqrtOp, SinOp, CosOp, TanOp, TanhOp, AsinOp, AcosOp, AtanOp, SinhOp, CoshOp, AsinhOp, AcoshOp, AtanhOp,
    ErfOp, SigmoidOp, SiluOp, SoftplusOp, HardSwishOp, IsNanOp, IsInfOp, GeluOp, EluOp, LeakyReluOp,
    HardSigmoidOp, AddOp, SubOp, MulOp, DivOp, FloorDivOp, RemOp, PowOp, MaxOp, MinOp, Atan2Op, AndOp, OrOp,
    XorOp, ShiftLeftOp, ShiftRightOp, CompareOp, SelectOp, ClampOp, CastOp,
)  # fmt: skip
