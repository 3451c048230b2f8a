"""Elementwise ops of `ml` as loop nests: one row per op says what happens to one element.

Elements are wrapped in `Real`, `Integer` or `Flag`, so that a row reads like the op's formula. f16 and bf16
are widened to f32 first and narrowed at the end.
"""

from __future__ import annotations

import math as pi_and_e
import operator
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from xdsl.dialects import arith, math
from xdsl.dialects.builtin import IntegerAttr, i1, i64
from xdsl.ir import Attribute, Operation, SSAValue

from xmlc.dialects.dtypes import bit_width, computing_type, is_bool, is_float, is_unsigned, storage_type
from xmlc.dialects.float_remainder import RemfOp
from xmlc.dialects.ml import elementwise as ml
from xmlc.dialects.ml.shaping import ConstantOp
from xmlc.dialects.ml.types import element_of, shape_of
from xmlc.passes.below_zero import is_marked, marked
from xmlc.passes.lower_ml.structured import Map, broadcast_map, number, parallel, stored
from xmlc.passes.number import STRICT, Flag, Integer, Number, Real, build, select

Row: TypeAlias = Callable[..., Number]
"""f(op, *its operands' elements) -> the element of its result"""


def wrapped(value: SSAValue) -> Number:
    """A scalar of the linalg level as a number, half precision widened to f32."""
    if is_float(value.type):
        return Real(convert_float(value, computing_type(value.type)))
    return Flag(value) if value.type == i1 else Integer(value)


def convert_float(value: SSAValue, element: Attribute) -> SSAValue:
    """A float in another float type."""
    if value.type == element:
        return value
    # between f16 and bf16 it goes through f32
    widens = bit_width(element) > bit_width(value.type)
    return build(arith.ExtFOp if widens else arith.TruncFOp, (value,), element)


# --- one operand


def real(kind: type[Operation], *operands: Real) -> Real:
    """One op on floats of one type."""
    return Real(build(kind, tuple(each.value for each in operands), operands[0].value.type, fastmath=STRICT))


def of_real(kind: type[Operation]) -> Row:
    """The row that is one op on floats."""

    def lower(op: ml.ElementwiseOp, *operands: Real) -> Real:
        return real(kind, *operands)

    return lower


def function(of_numbers: Callable[..., Number]) -> Row:
    """The row that is a function of the numbers alone."""

    def lower(op: ml.ElementwiseOp, *operands: Number) -> Number:
        return of_numbers(*operands)

    return lower


def neg(op: ml.NegOp, x: Real | Integer) -> Number:
    return -x if isinstance(x, Real) else x.constant(0) - x


def absolute(op: ml.AbsOp, x: Real | Integer) -> Number:
    if isinstance(x, Real):
        return abs(x)
    return x if is_unsigned(element_of(op.x)) else select(x.compare("lt", 0), x.constant(0) - x, x)


def sign(op: ml.SignOp, x: Real | Integer) -> Number:
    if isinstance(x, Real):
        # -0.0 + 0.0 is 0.0
        return select(x.equals(0.0) | x.unordered(x), x + 0.0, x.constant(1.0).with_sign_of(x))
    above = select(x.compare("eq", 0), x, x.constant(1))
    return above if is_unsigned(element_of(op.x)) else select(x.compare("lt", 0), x.constant(-1), above)


def relu(op: ml.ReluOp, x: Real | Integer) -> Number:
    return x if is_unsigned(element_of(op.x)) else extreme(op, x, x.constant(0), largest=True)


def invert(op: ml.NotOp, x: Flag | Integer) -> Number:
    return x ^ x.constant(1) if isinstance(x, Flag) else x ^ x.constant(-1)


def exp(op: ml.ExpOp, x: Real) -> Real:
    power = real(math.ExpOp, x)
    return Real(marked(power.value)) if is_marked(op) else power


def sigmoid(x: Real) -> Real:
    return 1.0 / (1.0 + real(math.ExpOp, -x))


def silu(x: Real) -> Real:
    return x * sigmoid(x)


def softplus(x: Real) -> Real:
    return maximum(x, x.constant(0.0)) + real(math.Log1pOp, real(math.ExpOp, -abs(x)))


def hard_swish(x: Real) -> Real:
    return x * unit_clamp(x * (1 / 6) + 0.5)


def unit_clamp(x: Real) -> Real:
    return minimum(maximum(x, x.constant(0.0)), x.constant(1.0))


def is_nan(x: Real) -> Flag:
    return x.unordered(x)


def is_inf(x: Real) -> Flag:
    return abs(x).equals(pi_and_e.inf)


def gelu(op: ml.GeluOp, x: Real) -> Number:
    if op.form.data is ml.GeluForm.TANH:
        inner = (x * (1.0 + x * x * 0.044715)) * pi_and_e.sqrt(2 / pi_and_e.pi)
        curve = real(math.TanhOp, inner)
    else:
        inner = x * pi_and_e.sqrt(0.5)
        curve = real(math.ErfOp, inner)
    return x * 0.5 * (1.0 + curve)


def elu(op: ml.EluOp, x: Real) -> Number:
    return select(x > 0.0, x, real(math.ExpM1Op, x) * op.alpha.value.data)


def leaky_relu(op: ml.LeakyReluOp, x: Real) -> Number:
    return select(x >= 0.0, x, x * op.alpha.value.data)


def hard_sigmoid(op: ml.HardSigmoidOp, x: Real) -> Number:
    return unit_clamp(x * op.alpha.value.data + op.beta.value.data)


# --- two operands


def minimum(x: Real, y: Real) -> Real:
    return real(arith.MinimumfOp, x, y)


def maximum(x: Real, y: Real) -> Real:
    return real(arith.MaximumfOp, x, y)


def extreme(op: ml.ElementwiseOp, x: Real | Integer, y: Real | Integer, largest: bool) -> Number:
    """The larger or the smaller of two numbers."""
    if isinstance(x, Real):
        assert isinstance(y, Real)
        return maximum(x, y) if largest else minimum(x, y)
    unsigned = is_unsigned(element_of(op.operands[0]))
    kinds = (arith.MaxUIOp, arith.MinUIOp) if unsigned else (arith.MaxSIOp, arith.MinSIOp)
    return Integer(build(kinds[not largest], (x.value, y.value), x.value.type))


def safe_divisor(op: ml.BinaryOp, x: Integer, y: Integer) -> Integer:
    """y, or 1 where the processor's division would trap: by 0, and of the smallest integer by -1."""
    traps = y.compare("eq", 0)
    if not is_unsigned(element_of(op.lhs)):
        smallest = -(2 ** (x.bit_width - 1))
        traps = traps | (x.compare("eq", smallest) & y.compare("eq", -1))
    return select(traps, y.constant(1), y)


def integer_divide(op: ml.BinaryOp, x: Integer, y: Integer) -> Integer:
    """Towards zero; 0 where y is 0."""
    kind = arith.DivUIOp if is_unsigned(element_of(op.lhs)) else arith.DivSIOp
    quotient = Integer(build(kind, (x.value, safe_divisor(op, x, y).value), x.value.type))
    return select(y.compare("eq", 0), y, quotient)


def integer_remainder(op: ml.BinaryOp, x: Integer, y: Integer) -> Integer:
    """With the sign of x; 0 where y is 0."""
    kind = arith.RemUIOp if is_unsigned(element_of(op.lhs)) else arith.RemSIOp
    return Integer(build(kind, (x.value, safe_divisor(op, x, y).value), x.value.type))


def divide(op: ml.DivOp, x: Real | Integer, y: Real | Integer) -> Number:
    if isinstance(x, Real):
        assert isinstance(y, Real)
        return x / y
    assert isinstance(y, Integer)
    return integer_divide(op, x, y)


def floor_divide(op: ml.FloorDivOp, x: Real | Integer, y: Real | Integer) -> Number:
    if isinstance(x, Real):
        assert isinstance(y, Real)
        return real(math.FloorOp, x / y)
    assert isinstance(y, Integer)
    quotient = integer_divide(op, x, y)
    if is_unsigned(element_of(op.lhs)):
        return quotient
    rest = integer_remainder(op, x, y)
    below = rest.compare("ne", 0) & (rest ^ y).compare("lt", 0)
    return select(below, quotient - 1, quotient)


def remainder(op: ml.RemOp, x: Real | Integer, y: Real | Integer) -> Number:
    if isinstance(x, Real):
        assert isinstance(y, Real)
        return real(RemfOp, x, y)
    assert isinstance(y, Integer)
    return integer_remainder(op, x, y)


def power(op: ml.PowOp, x: Real | Integer, y: Real | Integer) -> Number:
    if isinstance(x, Real):
        assert isinstance(y, Real)
        return real(math.PowFOp, x, y)
    assert isinstance(y, Integer)
    return integer_power(x, y, is_unsigned(element_of(op.lhs)))


def integer_power(x: Integer, y: Integer, unsigned: bool) -> Integer:
    """By squaring, one step for each bit of the exponent; a negative exponent gives 1 / x^-y towards zero."""
    result, base = x.constant(1), x
    for bit in range(y.bit_width - (0 if unsigned else 1)):
        taken = (y & signed_pattern(1 << bit, y.bit_width)).compare("ne", 0)
        result = select(taken, result * base, result)
        base = base * base
    if unsigned:
        return result
    of_minus_one = select((y & 1).compare("ne", 0), x, x.constant(1))
    unit = select(x.compare("eq", 1), x, select(x.compare("eq", -1), of_minus_one, x.constant(0)))
    return select(y.compare("lt", 0), unit, result)


def bits(kind: type[Operation]) -> Row:
    """The row that is one bitwise op."""

    def lower(op: ml.BinaryOp, x: Number, y: Number) -> Number:
        return type(x)(build(kind, (x.value, y.value), x.value.type))

    return lower


def shift(kind: type[Operation], unsigned_kind: type[Operation]) -> Row:
    """The row of a shift whose amount may be out of range."""

    def lower(op: ml.BinaryOp, x: Integer, y: Integer) -> Number:
        unsigned = is_unsigned(element_of(op.lhs))
        width = y.constant(y.bit_width)
        # as an unsigned number a negative amount is large
        fits = Flag(build(arith.CmpiOp, (y.value, width.value), i1, predicate=UNSIGNED["lt"]))
        amount = select(fits, y, y.constant(0))
        flags = FLAGS.get(kind, {})
        moved = Integer(build(unsigned_kind if unsigned else kind, (x.value, amount.value), x.value.type, **flags))
        if kind is arith.ShLIOp or unsigned:
            return select(fits, moved, moved.constant(0))
        return select(fits, moved, x >> (x.bit_width - 1))

    return lower


FLAGS: dict[type[Operation], dict[str, Attribute]] = {
    arith.ShLIOp: {"overflowFlags": arith.IntegerOverflowAttr("none")}
}
UNSIGNED = {name: IntegerAttr(n, i64) for name, n in (("eq", 0), ("ne", 1), ("lt", 6), ("le", 7), ("gt", 8), ("ge", 9))}


def compare(op: ml.CompareOp, x: Number, y: Number) -> Number:
    predicate = op.predicate.data.value
    if isinstance(x, Real) and isinstance(y, Real):
        return x.compare(predicate, y)
    if isinstance(x, Integer) and isinstance(y, Integer) and not is_unsigned(element_of(op.lhs)):
        return x.compare(predicate, y)
    return Flag(build(arith.CmpiOp, (x.value, y.value), i1, predicate=UNSIGNED[predicate]))


# --- three operands, and the change of type


def choose(op: ml.SelectOp, condition: Flag, x: Number, y: Number) -> Number:
    return type(x)(build(arith.SelectOp, (condition.value, x.value, y.value), x.value.type))


def clamp(op: ml.ClampOp, x: Real | Integer, low: Real | Integer, high: Real | Integer) -> Number:
    raised = extreme(op, x, low, largest=True)
    assert isinstance(raised, Real | Integer)
    return extreme(op, raised, high, largest=False)


def cast(op: ml.CastOp, x: Number) -> Number:
    """The conversions that `ml.cast` defines; to f16 and bf16 the caller narrows."""
    before, after = element_of(op.x), element_of(op.out)
    target = storage_type(after)
    if is_bool(after):
        if isinstance(x, Real):
            return x.compare("ne", 0.0)
        return x.compare("ne", 0) if isinstance(x, Integer) else x
    if isinstance(x, Real):
        return Real(convert_float(x.value, computing_type(after))) if is_float(after) else saturating(x, after)
    if is_float(after):
        kind = arith.UIToFPOp if is_unsigned(before) or is_bool(before) else arith.SIToFPOp
        return Real(build(kind, (x.value,), computing_type(after)))
    return Integer(convert_integer(x.value, target, is_unsigned(before) or is_bool(before)))


def convert_integer(value: SSAValue, target: Attribute, unsigned: bool) -> SSAValue:
    """An integer in another width, wrapping around when it is narrower."""
    before, after = bit_width(value.type), bit_width(target)
    if before == after:
        return value
    widen = arith.ExtUIOp if unsigned else arith.ExtSIOp
    return build(arith.TruncIOp if after < before else widen, (value,), target)


def saturating(x: Real, after: Attribute) -> Integer:
    """A float as an integer: towards zero, the nearest bound when out of range, 0 for NaN."""
    width, unsigned = bit_width(after), is_unsigned(after)
    low, high = (0, 2**width) if unsigned else (-(2 ** (width - 1)), 2 ** (width - 1))
    target = storage_type(after)
    # both bounds are powers of two or 0, hence exact
    inside = (x >= float(low)) & (x < float(high))
    kept = select(inside, x, x.constant(0.0))
    kind = arith.FPToUIOp if unsigned else arith.FPToSIOp
    exact = Integer(build(kind, (kept.value,), target))
    bounded = select(x >= float(high), exact.constant(signed_pattern(high - 1, width)), exact)
    return select(x < float(low), exact.constant(low), bounded)


def signed_pattern(value: int, width: int) -> int:
    """The signed integer with the same bits."""
    return value - 2**width if value >= 2 ** (width - 1) else value


SCALAR: dict[type[Operation], Row] = {
    ml.NegOp: neg,
    ml.AbsOp: absolute,
    ml.SignOp: sign,
    ml.ReluOp: relu,
    ml.NotOp: invert,
    ml.FloorOp: of_real(math.FloorOp),
    ml.CeilOp: of_real(math.CeilOp),
    ml.RoundOp: of_real(math.RoundEvenOp),
    ml.ExpOp: exp,
    ml.Expm1Op: of_real(math.ExpM1Op),
    ml.LogOp: of_real(math.LogOp),
    ml.Log1pOp: of_real(math.Log1pOp),
    ml.SqrtOp: of_real(math.SqrtOp),
    ml.RsqrtOp: of_real(math.RsqrtOp),
    ml.SinOp: of_real(math.SinOp),
    ml.CosOp: of_real(math.CosOp),
    ml.TanOp: of_real(math.TanOp),
    ml.TanhOp: of_real(math.TanhOp),
    ml.AsinOp: of_real(math.AsinOp),
    ml.AcosOp: of_real(math.AcosOp),
    ml.AtanOp: of_real(math.AtanOp),
    ml.SinhOp: of_real(math.SinhOp),
    ml.CoshOp: of_real(math.CoshOp),
    ml.AsinhOp: of_real(math.AsinhOp),
    ml.AcoshOp: of_real(math.AcoshOp),
    ml.AtanhOp: of_real(math.AtanhOp),
    ml.ErfOp: of_real(math.ErfOp),
    ml.SigmoidOp: function(sigmoid),
    ml.SiluOp: function(silu),
    ml.SoftplusOp: function(softplus),
    ml.HardSwishOp: function(hard_swish),
    ml.IsNanOp: function(is_nan),
    ml.IsInfOp: function(is_inf),
    ml.GeluOp: gelu,
    ml.EluOp: elu,
    ml.LeakyReluOp: leaky_relu,
    ml.HardSigmoidOp: hard_sigmoid,
    ml.AddOp: function(operator.add),
    ml.SubOp: function(operator.sub),
    ml.MulOp: function(operator.mul),
    ml.DivOp: divide,
    ml.FloorDivOp: floor_divide,
    ml.RemOp: remainder,
    ml.PowOp: power,
    ml.MaxOp: partial(extreme, largest=True),
    ml.MinOp: partial(extreme, largest=False),
    ml.Atan2Op: of_real(math.Atan2Op),
    ml.AndOp: bits(arith.AndIOp),
    ml.OrOp: bits(arith.OrIOp),
    ml.XorOp: bits(arith.XOrIOp),
    ml.ShiftLeftOp: shift(arith.ShLIOp, arith.ShLIOp),
    ml.ShiftRightOp: shift(arith.ShRSIOp, arith.ShRUIOp),
    ml.CompareOp: compare,
    ml.SelectOp: choose,
    ml.ClampOp: clamp,
    ml.CastOp: cast,
}


def splat_of(value: SSAValue) -> float | int | None:
    """The number that a constant tensor has everywhere, or None."""
    if not isinstance(value.owner, ConstantOp):
        return None
    array = value.owner.array()
    if not array.size or (array.size > 1 and any(array.strides)):
        return None
    return array.flat[0].item()


def lower(op: Operation, *operands: SSAValue) -> SSAValue:
    """out[i] = scalar(operands[i]…) at every index i"""
    type = stored(op.results[0].type)
    splats = [splat_of(value) for value in op.operands]
    inputs: list[tuple[SSAValue, Map]] = [
        (value, broadcast_map(shape_of(value), shape_of(type)))
        for value, splat in zip(operands, splats)
        if splat is None
    ]

    def body(*elements: SSAValue) -> SSAValue:
        given = iter(elements)
        scalars: list[Any] = []
        for source, splat in zip(op.operands, splats):
            element = storage_type(element_of(source))
            if splat is None:
                scalars.append(wrapped(next(given)))
            elif is_float(element):
                scalars.append(Real(number(splat, computing_type(element))))
            else:
                value = number(splat, element)
                scalars.append(Flag(value) if element == i1 else Integer(value))
        result = SCALAR[op.__class__](op, *scalars).value
        return convert_float(result, type.element_type) if is_float(type.element_type) else result

    return parallel(inputs, type, body)


LOWER: dict[type[Operation], Callable[..., SSAValue]] = dict.fromkeys(SCALAR, lower)
