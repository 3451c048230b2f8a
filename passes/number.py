"""Numbers of a program under construction: `x * y + 1.0` builds operations: a definition reads like its formula.

`Real`, `Integer` and `Flag` wrap an SSA value that is a scalar or a vector of floats, integers or i1, and build under
xDSL's ImplicitBuilder. Python numbers on either side of an operator become constants of the other side's type.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from math import copysign
from typing import Any, Self, TypeVar, cast

from xdsl.dialects import arith, math
from xdsl.dialects.builtin import (
    DenseIntOrFPElementsAttr,
    FloatAttr,
    IntegerAttr,
    IntegerType,
    VectorType,
    f32,
    f64,
    i1,
    i32,
    i64,
)
from xdsl.ir import Attribute, Operation, SSAValue

from xmlc.dialects.avx512 import LookUpOp, ScaleOp
from xmlc.dialects.dtypes import TO_NUMPY
from xmlc.dialects.lanewise import CmpfOp, CmpiOp, SelectOp

STRICT = arith.FastMathFlagsAttr("none")
NO_OVERFLOW_FLAGS = arith.IntegerOverflowAttr("none")

# Predicates of arith.cmpf (the ordered ones are false when an operand is NaN) and arith.cmpi (signed).
FLOAT_PREDICATES = {"eq": 1, "gt": 2, "ge": 3, "lt": 4, "le": 5, "ne": 13, "uno": 14}
INTEGER_PREDICATES = {"eq": 0, "ne": 1, "lt": 2, "le": 3, "gt": 4, "ge": 5}


@dataclass(frozen=True)
class Format:
    """A binary floating-point format, as IEEE 754 names its parts."""

    element: Attribute
    bits: Attribute
    width: int
    mantissa: int
    bias: int
    code: str
    bits_code: str

    def pattern(self, number: float) -> int:
        """The bits of a number, as a signed integer."""
        return struct.unpack(self.bits_code, struct.pack(self.code, number))[0]

    def number(self, pattern: int) -> float:
        """The number that has these bits."""
        return struct.unpack(self.code, struct.pack(self.bits_code, pattern))[0]

    def rounded(self, number: float) -> float:
        """The nearest number of this format."""
        return struct.unpack(self.code, struct.pack(self.code, number))[0]

    @property
    def magic(self) -> float:
        """1.5 * 2**mantissa: adding it rounds to an integer, which the low bits of the sum then hold."""
        return 1.5 * 2.0**self.mantissa

    @property
    def smallest_normal(self) -> float:
        return 2.0 ** (1 - self.bias)


SINGLE = Format(f32, i32, 32, 23, 127, "<f", "<i")
DOUBLE = Format(f64, i64, 64, 52, 1023, "<d", "<q")
FORMATS: dict[Attribute, Format] = {f32: SINGLE, f64: DOUBLE}


def element_of(type: Attribute) -> Attribute:
    return cast("VectorType[Attribute]", type).element_type if isinstance(type, VectorType) else type


def like(type: Attribute, element: Attribute) -> Attribute:
    """The scalar or vector type of the same shape that has this element type."""
    return VectorType(element, type.shape, type.scalable_dims) if isinstance(type, VectorType) else element


def build(
    kind: type[Operation], operands: tuple[SSAValue, ...], result: Attribute, **properties: Attribute
) -> SSAValue:
    """Append one operation with one result to the block under construction."""
    return kind.create(operands=operands, result_types=(result,), properties=properties).results[0]


def constant_attribute(number: float | int, type: Attribute) -> Attribute:
    """A number, rounded to the element type, as the value of `arith.constant`."""
    return cached_attribute(number, copysign(1.0, number), type)


@cache
def cached_attribute(number: float | int, sign: float, type: Attribute) -> Attribute:
    """`sign` keeps -0.0 apart from 0.0, which compare equal."""
    element = element_of(type)
    if isinstance(type, VectorType):
        return DenseIntOrFPElementsAttr.from_list(cast(Any, type), [number])
    if isinstance(element, IntegerType):
        return IntegerAttr(int(number), cast("IntegerType[Any]", element))
    return FloatAttr(float(TO_NUMPY[element].type(number)), cast(Any, element))


N = TypeVar("N", "Real", "Integer", "Flag")


@dataclass(frozen=True, eq=False)
class Number:
    """What `Real`, `Integer` and `Flag` share."""

    value: SSAValue

    def constant(self, number: float | int) -> Self:
        """A constant of the same type."""
        attribute = constant_attribute(number, self.value.type)
        return type(self)(build(arith.ConstantOp, (), self.value.type, value=attribute))


def lifted(number: N, other: N | float) -> N:
    """The other operand of an operator, as a value of the same type."""
    return number.constant(other) if isinstance(other, int | float) else other


class Flag(Number):
    """An i1, or a vector of them."""

    def _with(self, kind: type[Operation], other: Flag) -> Flag:
        return Flag(build(kind, (self.value, other.value), self.value.type))

    def __and__(self, other: Flag) -> Flag:
        return self._with(arith.AndIOp, other)

    def __or__(self, other: Flag) -> Flag:
        return self._with(arith.OrIOp, other)

    def __xor__(self, other: Flag) -> Flag:
        return self._with(arith.XOrIOp, other)

    def __invert__(self) -> Flag:
        return self ^ self.constant(1)


class Integer(Number):
    """A signless integer read as signed, or a vector of them; arithmetic wraps around."""

    @property
    def bit_width(self) -> int:
        element = element_of(self.value.type)
        assert isinstance(element, IntegerType)
        return cast(IntegerType[Any], element).width.data

    def _with(self, kind: type[Operation], other: Integer | int, **properties: Attribute) -> Integer:
        other = lifted(self, other)
        return Integer(build(kind, (self.value, other.value), self.value.type, **properties))

    def __add__(self, other: Integer | int) -> Integer:
        return self._with(arith.AddiOp, other, overflowFlags=NO_OVERFLOW_FLAGS)

    def __sub__(self, other: Integer | int) -> Integer:
        return self._with(arith.SubiOp, other, overflowFlags=NO_OVERFLOW_FLAGS)

    def __mul__(self, other: Integer | int) -> Integer:
        return self._with(arith.MuliOp, other, overflowFlags=NO_OVERFLOW_FLAGS)

    def __lshift__(self, other: Integer | int) -> Integer:
        return self._with(arith.ShLIOp, other, overflowFlags=NO_OVERFLOW_FLAGS)

    def __rshift__(self, other: Integer | int) -> Integer:
        """The shift that copies the sign."""
        return self._with(arith.ShRSIOp, other)

    def __and__(self, other: Integer | int) -> Integer:
        return self._with(arith.AndIOp, other)

    def __xor__(self, other: Integer | int) -> Integer:
        return self._with(arith.XOrIOp, other)

    def compare(self, predicate: str, other: Integer | int) -> Flag:
        """`predicate` is a key of INTEGER_PREDICATES."""
        code = IntegerAttr(INTEGER_PREDICATES[predicate], i64)
        flags = like(self.value.type, i1)
        return Flag(build(CmpiOp, (self.value, lifted(self, other).value), flags, predicate=code))

    def as_real(self, format: Format) -> Real:
        """The float that has these bits."""
        return Real(build(arith.BitcastOp, (self.value,), like(self.value.type, format.element)))

    def to_real(self, format: Format) -> Real:
        """The nearest float to this integer."""
        return Real(build(arith.SIToFPOp, (self.value,), like(self.value.type, format.element)))


class Real(Number):
    """A float, or a vector of them, under IEEE arithmetic without any fast-math flag."""

    @property
    def format(self) -> Format:
        return FORMATS[element_of(self.value.type)]

    @property
    def width(self) -> int:
        return self.format.width

    def _with(self, kind: type[Operation], *others: Real | float) -> Real:
        operands = (self.value, *(lifted(self, other).value for other in others))
        return Real(build(kind, operands, self.value.type, fastmath=STRICT))

    def __add__(self, other: Real | float) -> Real:
        return self._with(arith.AddfOp, other)

    def __sub__(self, other: Real | float) -> Real:
        return self._with(arith.SubfOp, other)

    def __mul__(self, other: Real | float) -> Real:
        return self._with(arith.MulfOp, other)

    def __truediv__(self, other: Real | float) -> Real:
        return self._with(arith.DivfOp, other)

    def __radd__(self, other: float) -> Real:
        return self.constant(other) + self

    def __rsub__(self, other: float) -> Real:
        return self.constant(other) - self

    def __rmul__(self, other: float) -> Real:
        return self * other

    def __rtruediv__(self, other: float) -> Real:
        return self.constant(other) / self

    def __neg__(self) -> Real:
        return self._with(arith.NegfOp)

    def __abs__(self) -> Real:
        return self._with(math.AbsFOp)

    def __lt__(self, other: Real | float) -> Flag:
        return self.compare("lt", other)

    def __le__(self, other: Real | float) -> Flag:
        return self.compare("le", other)

    def __gt__(self, other: Real | float) -> Flag:
        return self.compare("gt", other)

    def __ge__(self, other: Real | float) -> Flag:
        return self.compare("ge", other)

    def compare(self, predicate: str, other: Real | float) -> Flag:
        """`predicate` is a key of FLOAT_PREDICATES."""
        code = IntegerAttr(FLOAT_PREDICATES[predicate], i64)
        operands = (self.value, lifted(self, other).value)
        flags = like(self.value.type, i1)
        return Flag(build(CmpfOp, operands, flags, predicate=code, fastmath=STRICT))

    def equals(self, other: Real | float) -> Flag:
        return self.compare("eq", other)

    def unordered(self, other: Real) -> Flag:
        """Whether one of the two is NaN."""
        return self.compare("uno", other)

    def times_plus(self, factor: Real | float, summand: Real | float) -> Real:
        """self * factor + summand, rounded once."""
        return self._with(math.FmaOp, factor, summand)

    def sqrt(self) -> Real:
        return self._with(math.SqrtOp)

    def truncated(self) -> Real:
        return self._with(math.TruncOp)

    def floor(self) -> Real:
        return self._with(math.FloorOp)

    def ceil(self) -> Real:
        return self._with(math.CeilOp)

    def to_even(self) -> Real:
        """The nearest integer, at any magnitude."""
        return self._with(math.RoundEvenOp)

    def with_sign_of(self, other: Real) -> Real:
        return self._with(math.CopySignOp, other)

    def at_most(self, bound: float) -> Real:
        """min(self, bound); NaN stays NaN."""
        limit = self.constant(bound)
        return select(limit < self, limit, self)

    def at_least(self, bound: float) -> Real:
        """max(self, bound); NaN stays NaN."""
        limit = self.constant(bound)
        return select(limit > self, limit, self)

    def as_bits(self) -> Integer:
        """The integer that has the bits of this float."""
        return Integer(build(arith.BitcastOp, (self.value,), like(self.value.type, self.format.bits)))

    def widened(self) -> Real:
        """The same number in float64."""
        return Real(build(arith.ExtFOp, (self.value,), like(self.value.type, f64)))

    def narrowed(self) -> Real:
        """The nearest float32."""
        return Real(build(arith.TruncFOp, (self.value,), like(self.value.type, f32)))


def select(flag: Flag, then: N, otherwise: N | float) -> N:
    """`then` where the flag is set, else `otherwise`."""
    operands = (flag.value, then.value, lifted(then, otherwise).value)
    return type(then)(build(SelectOp, operands, then.value.type))


def polynomial(x: Real, coefficients: Sequence[float]) -> Real:
    """Sum of coefficients[i] * x**i by Horner's rule, lowest power first."""
    result = x.constant(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = result.times_plus(x, coefficient)
    return result


def nearest_integer(x: Real) -> tuple[Real, Integer]:
    """x rounded to an integer, as a float and as an integer, for |x| < 2**(mantissa - 2).

    Without a conversion instruction, whose result for NaN would be poison; NaN gives NaN and some integer.
    """
    shifted = x + x.format.magic
    return shifted - x.format.magic, shifted.as_bits() - x.format.pattern(x.format.magic)


def nearest_integer_of_product(x: Real, factor: float) -> tuple[Real, Integer]:
    """An integer nearest to x * factor, or next to that where two are nearly as near: see `nearest_integer`."""
    shifted = x.times_plus(factor, x.format.magic)
    return shifted - x.format.magic, shifted.as_bits() - x.format.pattern(x.format.magic)


def nearest_multiple(x: Real, factor: float, unit: float) -> tuple[Real, Integer]:
    """A multiple of `unit`, a power of two, near x * factor; how many units it is, in the low bits of an integer."""
    shifted = x.times_plus(factor, x.format.magic * unit)
    return shifted - x.format.magic * unit, shifted.as_bits()


def small_integer_to_real(k: Integer, format: Format) -> Real:
    """k as a float, for |k| < 2**(mantissa - 2): the inverse of `nearest_integer`."""
    return (k + format.pattern(format.magic)).as_real(format) - format.magic


def power_of_two(k: Integer, format: Format) -> Real:
    """2**k, for an exponent of a normal number."""
    return ((k + format.bias) << format.mantissa).as_real(format)


AVX512: ContextVar[bool] = ContextVar("AVX512", default=False)
"""Whether the code is for a processor with AVX-512."""


def scales(x: Real) -> bool:
    """Whether there is an instruction that multiplies numbers like x by powers of two."""
    return AVX512.get() and x.value.type in SCALED


SCALED = tuple(VectorType(f32, (lanes,)) for lanes in (4, 8, 16))


def scaled(x: Real, k: Integer) -> Real:
    """x * 2**k, rounded once, for k from twice the smallest to twice the largest exponent."""
    if scales(x):
        return scaled_by_floor(x, k.to_real(x.format))
    half = k >> 1
    return x * power_of_two(half, x.format) * power_of_two(k - half, x.format)


def scaled_by_floor(x: Real, k: Real) -> Real:
    """x * 2**floor(k), rounded once, by one instruction: see `scales`."""
    return Real(ScaleOp(x.value, k.value).out)


def looked_up(table: Sequence[float], k: Integer) -> Real:
    """table[k mod 16], of sixteen lanes, by one instruction."""
    kind = VectorType(f32, (len(table),))
    entries = DenseIntOrFPElementsAttr.from_list(kind, table)
    return Real(LookUpOp(arith.ConstantOp(entries, kind), k.value).out)
