"""Gradients of the elementwise ops: what reaches each operand of the cotangent `g` of the result.

Where an op broadcasts, what reaches an operand has the shape of the result; `pull_back` sums it. At a kink the
gradient is that of the side which the op's own comparison takes; where `max` and `min` tie, each operand gets half.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from xdsl.ir import Operation, SSAValue

from xmlc.dialects.ml import elementwise as ml
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import element_of

Value = SSAValue
Pulled = tuple[Value | None, ...]
"""What reaches each operand; None where nothing does."""


def times(x: Value, factor: float) -> Value:
    return F.mul(x, F.scalar(x, factor))


def plus(x: Value, term: float) -> Value:
    return F.add(x, F.scalar(x, term))


def from_one(x: Value) -> Value:
    """1 - x"""
    return F.sub(F.scalar(x, 1), x)


def square(x: Value) -> Value:
    return F.mul(x, x)


def inverse(x: Value) -> Value:
    """1 / x"""
    return F.div(F.scalar(x, 1), x)


def where(condition: Value, g: Value, otherwise: Value | None = None) -> Value:
    return F.select(condition, g, F.scalar(g, 0) if otherwise is None else otherwise)


# --- one operand: the derivative at x, where the result is y

Derivative = Callable[[Value, Value], Value]


def chain(derivative: Derivative) -> Callable[[ml.UnaryOp, Value], Pulled]:
    """g * derivative(x, y)"""

    def pull(op: ml.UnaryOp, g: Value) -> Pulled:
        return (F.mul(g, derivative(op.x, op.out)),)

    pull.__doc__ = derivative.__doc__
    return pull


def normal_density(x: Value) -> Value:
    """e^(-x^2 / 2) / sqrt(2 pi)"""
    return times(F.exp(times(square(x), -0.5)), 1 / math.sqrt(2 * math.pi))


def gelu(op: ml.GeluOp, g: Value) -> Pulled:
    """exact: Phi(x) + x phi(x); tanh, with t = tanh(u(x)): (1 + t) / 2 + x / 2 * (1 - t^2) * u'(x)"""
    x = op.x
    if op.form.data is ml.GeluForm.EXACT:
        below = times(plus(F.erf(times(x, math.sqrt(0.5))), 1), 0.5)
        return (F.mul(g, F.add(below, F.mul(x, normal_density(x)))),)
    root, cubic = math.sqrt(2 / math.pi), 0.044715
    t = F.tanh(times(F.mul(x, plus(times(square(x), cubic), 1)), root))
    slope = times(plus(times(square(x), 3 * cubic), 1), root)
    return (F.mul(g, F.add(times(plus(t, 1), 0.5), F.mul(times(x, 0.5), F.mul(from_one(square(t)), slope)))),)


def silu(op: ml.SiluOp, g: Value) -> Pulled:
    """s * (1 + x * (1 - s)), s = sigmoid(x)"""
    s = F.sigmoid(op.x)
    return (F.mul(g, F.mul(s, plus(F.mul(op.x, from_one(s)), 1))),)


def relu(op: ml.ReluOp, g: Value) -> Pulled:
    """1 where x > 0"""
    return (where(F.compare(op.x, F.scalar(op.x, 0), "gt"), g),)


def elu(op: ml.EluOp, g: Value) -> Pulled:
    """1 where x > 0, y + alpha = alpha * e^x elsewhere"""
    positive = F.compare(op.x, F.scalar(op.x, 0), "gt")
    return (where(positive, g, F.mul(g, plus(op.out, op.alpha.value.data))),)


def leaky_relu(op: ml.LeakyReluOp, g: Value) -> Pulled:
    """1 where x >= 0, alpha elsewhere"""
    positive = F.compare(op.x, F.scalar(op.x, 0), "ge")
    return (where(positive, g, times(g, op.alpha.value.data)),)


def inside(x: Value, low: float, high: float) -> Value:
    """low < x < high"""
    return F.and_(F.compare(x, F.scalar(x, low), "gt"), F.compare(x, F.scalar(x, high), "lt"))


def hard_sigmoid(op: ml.HardSigmoidOp, g: Value) -> Pulled:
    """alpha where 0 < alpha * x + beta < 1"""
    alpha, beta = op.alpha.value.data, op.beta.value.data
    return (where(inside(plus(times(op.x, alpha), beta), 0, 1), times(g, alpha)),)


def hard_swish(op: ml.HardSwishOp, g: Value) -> Pulled:
    """x / 3 + 1/2 where -3 < x < 3; 1 above, 0 below"""
    above = F.compare(op.x, F.scalar(op.x, 3), "ge")
    return (where(inside(op.x, -3, 3), F.mul(g, plus(times(op.x, 1 / 3), 0.5)), where(above, g)),)


def cast(op: ml.CastOp, g: Value) -> Pulled:
    """g in the type of x"""
    return (F.cast(g, element_of(op.x)),)


# --- two operands and three


def div(op: ml.DivOp, g: Value) -> Pulled:
    """1 / rhs, -out / rhs"""
    left = F.div(g, op.rhs)
    return left, F.neg(F.mul(left, op.out))


def rem(op: ml.RemOp, g: Value) -> Pulled:
    """1, minus the quotient rounded towards zero: (out - lhs) / rhs"""
    return g, F.mul(g, F.round_(F.div(F.sub(op.out, op.lhs), op.rhs)))


def power(op: ml.PowOp, g: Value) -> Pulled:
    """rhs * lhs^(rhs - 1), 0 where rhs is 0, since x^0 is 1 whatever x is; out * log(lhs), 0 where lhs is 0"""
    zero = F.scalar(op.lhs, 0)
    base = F.mul(op.rhs, F.pow_(op.lhs, plus(op.rhs, -1)))
    left = F.select(F.compare(op.rhs, zero, "eq"), zero, F.mul(g, base))
    right = F.mul(g, F.mul(op.out, F.log(op.lhs)))
    return left, F.select(F.compare(op.lhs, zero, "eq"), zero, right)


def extreme(op: ml.MaxOp | ml.MinOp, g: Value) -> Pulled:
    """1 for the operand that the result is, half for each where they are equal"""
    equal = F.compare(op.lhs, op.rhs, "eq")
    shared = where(equal, times(g, 0.5), g)
    return tuple(where(F.compare(each, op.out, "eq"), shared) for each in (op.lhs, op.rhs))


def atan2(op: ml.Atan2Op, g: Value) -> Pulled:
    """rhs / (lhs^2 + rhs^2), -lhs / (lhs^2 + rhs^2)"""
    scaled = F.div(g, F.add(square(op.lhs), square(op.rhs)))
    return F.mul(scaled, op.rhs), F.neg(F.mul(scaled, op.lhs))


def select(op: ml.SelectOp, g: Value) -> Pulled:
    """g where the operand is chosen"""
    return None, where(op.condition, g), where(op.condition, F.scalar(g, 0), g)


def clamp(op: ml.ClampOp, g: Value) -> Pulled:
    """g for the one of x, low and high that the result is: high before low before x"""
    above = F.compare(F.max_(op.x, op.low), op.high, "gt")
    below = F.and_(F.not_(above), F.compare(op.x, op.low, "lt"))
    inside = F.not_(F.or_(above, below))
    return where(inside, g), where(below, g), where(above, g)


def neg(op: ml.NegOp, g: Value) -> Pulled:
    """-1"""
    return (F.neg(g),)


def add(op: ml.AddOp, g: Value) -> Pulled:
    """1, 1"""
    return g, g


def sub(op: ml.SubOp, g: Value) -> Pulled:
    """1, -1"""
    return g, F.neg(g)


def mul(op: ml.MulOp, g: Value) -> Pulled:
    """rhs, lhs"""
    return F.mul(g, op.rhs), F.mul(g, op.lhs)


GRADIENTS: dict[type[Operation], Callable[..., Pulled]] = {
    ml.NegOp: neg,
    ml.AbsOp: chain(lambda x, y: F.sign(x)),
    ml.ReluOp: relu,
    ml.ExpOp: chain(lambda x, y: y),
    ml.Expm1Op: chain(lambda x, y: plus(y, 1)),
    ml.LogOp: chain(lambda x, y: inverse(x)),
    ml.Log1pOp: chain(lambda x, y: inverse(plus(x, 1))),
    ml.SqrtOp: chain(lambda x, y: inverse(times(y, 2))),
    ml.RsqrtOp: chain(lambda x, y: times(F.mul(y, square(y)), -0.5)),
    ml.SinOp: chain(lambda x, y: F.cos(x)),
    ml.CosOp: chain(lambda x, y: F.neg(F.sin(x))),
    ml.TanOp: chain(lambda x, y: plus(square(y), 1)),
    ml.TanhOp: chain(lambda x, y: from_one(square(y))),
    ml.AsinOp: chain(lambda x, y: F.rsqrt(from_one(square(x)))),
    ml.AcosOp: chain(lambda x, y: F.neg(F.rsqrt(from_one(square(x))))),
    ml.AtanOp: chain(lambda x, y: inverse(plus(square(x), 1))),
    ml.SinhOp: chain(lambda x, y: F.cosh(x)),
    ml.CoshOp: chain(lambda x, y: F.sinh(x)),
    ml.AsinhOp: chain(lambda x, y: F.rsqrt(plus(square(x), 1))),
    ml.AcoshOp: chain(lambda x, y: F.rsqrt(plus(square(x), -1))),
    ml.AtanhOp: chain(lambda x, y: inverse(from_one(square(x)))),
    ml.ErfOp: chain(lambda x, y: times(F.exp(F.neg(square(x))), 2 / math.sqrt(math.pi))),
    ml.SigmoidOp: chain(lambda x, y: F.mul(y, from_one(y))),
    ml.SiluOp: silu,
    ml.SoftplusOp: chain(lambda x, y: F.sigmoid(x)),
    ml.HardSwishOp: hard_swish,
    ml.GeluOp: gelu,
    ml.EluOp: elu,
    ml.LeakyReluOp: leaky_relu,
    ml.HardSigmoidOp: hard_sigmoid,
    ml.CastOp: cast,
    ml.AddOp: add,
    ml.SubOp: sub,
    ml.MulOp: mul,
    ml.DivOp: div,
    ml.RemOp: rem,
    ml.PowOp: power,
    ml.MaxOp: extreme,
    ml.MinOp: extreme,
    ml.Atan2Op: atan2,
    ml.SelectOp: select,
    ml.ClampOp: clamp,
}

CONSTANT: frozenset[type[Operation]] = frozenset(
    {
        ml.SignOp, ml.FloorOp, ml.CeilOp, ml.RoundOp, ml.FloorDivOp, ml.IsNanOp, ml.IsInfOp, ml.CompareOp,
        ml.NotOp, ml.AndOp, ml.OrOp, ml.XorOp, ml.ShiftLeftOp, ml.ShiftRightOp,
    }
)  # fmt: skip
"""Ops whose results do not change with their operands but in jumps: the gradient is 0."""
