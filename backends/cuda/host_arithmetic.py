"""What the host computes between launches: sizes, offsets and conditions, on Python's numbers."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xmlc.backends.signature import ELEMENTS

Number = int | float

INDEX = "index"
DTYPES: dict[str, np.dtype[Any]] = {**ELEMENTS, INDEX: np.dtype(np.int64)}
"""The name of an element type -> NumPy's type."""


def bits(element: str) -> int:
    """The width of an integer type."""
    return 64 if element == INDEX else int(element[1:])


def is_integer(element: str) -> bool:
    return element == INDEX or element[0] == "i"


def signed(value: int, element: str) -> int:
    """The number that the low bits of `value` are in two's complement; an i1 is 0 or 1."""
    width = bits(element)
    low = value & ((1 << width) - 1)
    return low - (1 << width) if width > 1 and low >> (width - 1) else low


def unsigned(value: int, element: str) -> int:
    return value & ((1 << bits(element)) - 1)


def fitted(value: Any, element: str) -> Number:
    """A number as a value of a type."""
    return signed(int(value), element) if is_integer(element) else float(DTYPES[element].type(value))


def quotient(a: int, b: int) -> int:
    """Rounded toward zero."""
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def remainder(a: int, b: int) -> int:
    """With the sign of `a`."""
    return a - b * quotient(a, b)


def ieee_division(a: float, b: float) -> float:
    with np.errstate(all="ignore"):
        return float(np.divide(a, b))


Binary = Callable[[Any, Any], Any]

SIGNED: dict[str, Binary] = {
    "arith.addi": lambda a, b: a + b,
    "arith.subi": lambda a, b: a - b,
    "arith.muli": lambda a, b: a * b,
    "arith.divsi": quotient,
    "arith.remsi": remainder,
    "arith.floordivsi": lambda a, b: a // b,
    "arith.ceildivsi": lambda a, b: -(-a // b),
    "arith.andi": lambda a, b: a & b,
    "arith.ori": lambda a, b: a | b,
    "arith.xori": lambda a, b: a ^ b,
    "arith.shli": lambda a, b: a << b,
    "arith.shrsi": lambda a, b: a >> b,
    "arith.minsi": min,
    "arith.maxsi": max,
    "arith.addf": lambda a, b: a + b,
    "arith.subf": lambda a, b: a - b,
    "arith.mulf": lambda a, b: a * b,
    "arith.divf": ieee_division,
}
"""Op -> the function of its operands; the result is fitted to its type."""
UNSIGNED: dict[str, Binary] = {
    "arith.divui": lambda a, b: a // b,
    "arith.remui": lambda a, b: a % b,
    "arith.minui": min,
    "arith.maxui": max,
    "arith.shrui": lambda a, b: a >> b,
}
"""The same for ops that see their operands as unsigned numbers."""
CASTS = frozenset({f"arith.{name}" for name in ("index_cast", "extsi", "trunci", "sitofp", "fptosi", "extf", "truncf")})
UNSIGNED_CASTS = frozenset({f"arith.{name}" for name in ("extui", "uitofp")})
OTHERS = frozenset({f"arith.{name}" for name in ("cmpi", "cmpf", "select", "negf")})
INTEGER_PREDICATES = ("eq", "ne", "lt", "le", "gt", "ge", "lt", "le", "gt", "ge")
FIRST_UNSIGNED_PREDICATE = 6
FLOAT_PREDICATES = ("", "eq", "gt", "ge", "lt", "le", "ne", "", "eq", "gt", "ge", "lt", "le", "ne", "", "")
FIRST_UNORDERED, UNORDERED, TRUE = 8, 14, 15


def compare_integers(predicate: int, a: int, b: int, element: str) -> int:
    if predicate >= FIRST_UNSIGNED_PREDICATE:
        a, b = unsigned(a, element), unsigned(b, element)
    return int(getattr(operator, INTEGER_PREDICATES[predicate])(a, b))


def compare_floats(predicate: int, a: float, b: float) -> int:
    """By arith.cmpf's number of a predicate."""
    nan = a != a or b != b
    match predicate:
        case 0 | 15:
            return int(predicate == TRUE)
        case 7 | 14:
            return int(nan == (predicate == UNORDERED))
        case _ if nan:
            return int(predicate >= FIRST_UNORDERED)
        case _:
            return int(getattr(operator, FLOAT_PREDICATES[predicate])(a, b))


def computes(name: str) -> bool:
    """Whether the host can do an op."""
    return any(name in each for each in (SIGNED, UNSIGNED, CASTS, UNSIGNED_CASTS, OTHERS))


def compute(name: str, predicate: int, operands: Sequence[Any], given: str, result: str) -> Number:
    """An op of `arith` on operands, the last of which is of type `given`, with a result of type `result`."""
    match name:
        case "arith.cmpi":
            return compare_integers(predicate, operands[0], operands[1], given)
        case "arith.cmpf":
            return compare_floats(predicate, operands[0], operands[1])
        case "arith.select":
            return operands[1] if operands[0] else operands[2]
        case "arith.negf":
            return -operands[0]
        case _ if name in UNSIGNED:
            return fitted(UNSIGNED[name](*(unsigned(each, given) for each in operands)), result)
        case _ if name in CASTS:
            return fitted(-operands[0] if given == "i1" else operands[0], result)  # the i1 true is -1
        case _ if name in UNSIGNED_CASTS:
            return fitted(unsigned(operands[0], given), result)
        case _:
            return fitted(SIGNED[name](operands[0], operands[1]), result)
