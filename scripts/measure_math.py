"""Measure the functions of `expand-math` as machine code: largest error in ulp, and elements per nanosecond.

    python scripts/measure_math.py                     the table of docs/math.md on standard output
    python scripts/measure_math.py exp tanh --points 10000000
    python scripts/measure_math.py --registers         the table of vectors of sixteen f32 with AVX-512

References: NumPy in float64 for float32, and in long double for float64; their widths and the quality of the C
library's long double functions (glibc's on x86-64 are good) bound what can be said.
"""

from __future__ import annotations

import argparse
import ctypes
import math
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from xdsl.context import Context
from xdsl.dialects import func, memref, scf, vector
from xdsl.dialects import math as math_dialect
from xdsl.dialects.builtin import Builtin, ModuleOp
from xdsl.parser import Parser

from xmlc.backends.cpu.emit import emit_module
from xmlc.backends.cpu.jit import assembly, compile_to_object, load_object
from xmlc.backends.cpu.target import host
from xmlc.dialects.arith import ARITH
from xmlc.passes.expand_math import ExpandMath

LIMIT = 1 << 26  # static size of the buffers' type; the loop bound is an argument
WIDEST = 16
TYPES: dict[str, Any] = {"f32": np.float32, "f64": np.float64}
Array = np.ndarray[Any, np.dtype[Any]]


def loop_of(names: list[str], element: str, lanes: int = 0, attributes: str = "") -> ModuleOp:
    """One function for each name: out[i] = name(x[i][, y[i]]), on vectors of `lanes` elements where it is not 0.

    `attributes` are what the ops say of themselves, in braces.
    """
    text: list[str] = []
    for name in names:
        second = SECOND_TYPE.get(name, element)
        first_type, second_type = (f"vector<{lanes}x{t}>" if lanes else t for t in (element, second))
        op = f"{'arith' if name == 'remf' else 'math'}.{name}"
        types = f"{first_type}, {second_type}" if name in SECOND_TYPE else first_type
        call = f"{op} %a, %b : {types}" if FUNCTIONS[name].binary else f"{op} %a {attributes} : {types}"
        memory, second_memory = f"memref<{LIMIT}x{element}>", f"memref<{LIMIT}x{second}>"
        access = "vector" if lanes else "memref"
        suffix = f", {first_type}" if lanes else ""
        second_suffix = f", {second_type}" if lanes else ""
        text.append(f"""
func.func @{name}(%x: {memory}, %y: {second_memory}, %out: {memory}, %n: index) {{
  %zero = arith.constant 0 : index
  %step = arith.constant {lanes or 1} : index
  scf.for %i = %zero to %n step %step {{
    %a = {access}.load %x[%i] : {memory}{suffix}
    %b = {access}.load %y[%i] : {second_memory}{second_suffix}
    %r = {call}
    {access}.store %r, %out[%i] : {memory}{suffix}
  }}
  func.return
}}""")
    context = Context()
    for dialect in (Builtin, ARITH, func.Func, math_dialect.Math, memref.MemRef, scf.Scf, vector.Vector):
        context.load_dialect(dialect)
    module = Parser(context, "\n".join(text)).parse_module()
    ExpandMath(avx512=lanes == WIDEST).apply(context, module)
    return module


class Machine:
    """The functions `names` of one element type as machine code."""

    def __init__(self, names: list[str], element: str, lanes: int = 0, attributes: str = "") -> None:
        self.text = emit_module(loop_of(names, element, lanes, attributes), host())
        self.module = load_object(compile_to_object(self.text, host()))
        self.functions = {name: self.module.function(name) for name in names}

    def __call__(self, name: str, x: Array, y: Array | None = None) -> Array:
        """out = name(x[, y]) for contiguous arrays of the element type."""
        assert x.flags.c_contiguous
        out = np.empty_like(x)
        y = x if y is None else y
        slots = (ctypes.c_uint64 * 4)(x.ctypes.data, y.ctypes.data, out.ctypes.data, x.size)
        self.functions[name](slots)
        return out


def exact_erf(x: Array) -> Array:
    """2 / sqrt(pi) exp(-x²) (x + 2 x³ / 3 + 4 x⁵ / 15 + …): all terms have one sign, so that nothing cancels."""
    clamped = np.clip(x.astype(np.longdouble), -7, 7)
    term = total = clamped
    for n in range(1, 250):
        term = term * (2 * clamped * clamped / (2 * n + 1))
        total = total + term
    two_by_root_pi = 1 / np.sqrt(np.arctan(np.longdouble(1)))
    return np.where(clamped == 0, x, two_by_root_pi * np.exp(-clamped * clamped) * total)


Span = tuple[float, float]


@dataclass(frozen=True)
class Function:
    """How to check one function: its reference in more precision and the interval where most users are."""

    reference: Callable[..., Array]
    span: Span
    binary: bool = False


FUNCTIONS: dict[str, Function] = {
    "exp": Function(np.exp, (-20.0, 20.0)),
    "exp2": Function(np.exp2, (-20.0, 20.0)),
    "expm1": Function(np.expm1, (-2.0, 2.0)),
    "log": Function(np.log, (0.0, 4.0)),
    "log1p": Function(np.log1p, (-1.0, 4.0)),
    "log2": Function(np.log2, (0.0, 4.0)),
    "log10": Function(np.log10, (0.0, 4.0)),
    "sin": Function(np.sin, (-100.0, 100.0)),
    "cos": Function(np.cos, (-100.0, 100.0)),
    "tan": Function(np.tan, (-100.0, 100.0)),
    "asin": Function(np.arcsin, (-1.0, 1.0)),
    "acos": Function(np.arccos, (-1.0, 1.0)),
    "atan": Function(np.arctan, (-4.0, 4.0)),
    "atan2": Function(np.arctan2, (-4.0, 4.0), binary=True),
    "sinh": Function(np.sinh, (-4.0, 4.0)),
    "cosh": Function(np.cosh, (-4.0, 4.0)),
    "tanh": Function(np.tanh, (-4.0, 4.0)),
    "asinh": Function(np.arcsinh, (-4.0, 4.0)),
    "acosh": Function(np.arccosh, (1.0, 4.0)),
    "atanh": Function(np.arctanh, (-1.0, 1.0)),
    "erf": Function(exact_erf, (-4.0, 4.0)),
    "powf": Function(np.power, (0.0, 4.0), binary=True),
    "fpowi": Function(np.power, (-4.0, 4.0), binary=True),
    "cbrt": Function(np.cbrt, (-4.0, 4.0)),
    "remf": Function(np.fmod, (-40.0, 40.0), binary=True),
    "rsqrt": Function(lambda x: 1 / np.sqrt(x), (0.0, 4.0)),
}
SECOND_TYPE = {"fpowi": "i32"}

SPECIAL = [
    0.0,
    0.5,
    1.0,
    1.5,
    2.0,
    3.0,
    4.0,
    0.75,
    1e-5,
    1e-30,
    1e5,
    1e9,
    88.7,
    89.3,
    103.9,
    709.7,
    710.4,
    745.1,
    math.inf,
]
SPECIAL += [
    2.0**-126,
    2.0**-149,
    2.0**-1022,
    2.0**-1074,
    math.pi,
    math.pi / 2,
    2.0**127,
    2.0**1023,
    6381956970095103.0 * 2.0**797,
]


def samples(kind: Any, span: Span, count: int, seed: int) -> Array:
    """Half of the points over all bit patterns, half over the span, and the special values of both signs."""
    random = np.random.default_rng(seed)
    bits = random.integers(0, 2 ** np.finfo(kind).bits, count // 2, np.uint64)
    anywhere = bits.astype(np.uint32).view(np.float32) if kind is np.float32 else bits.view(np.float64)
    inside = random.uniform(*span, count - count // 2)
    special = np.array([*SPECIAL, *(-x for x in SPECIAL), math.nan])
    with np.errstate(over="ignore", under="ignore"):
        special = special.astype(kind)
    return np.concatenate(
        [anywhere, inside.astype(kind), special, np.nextafter(special, kind(0)), np.nextafter(special, kind(9))]
    )


def operands(name: str, element: str, count: int, seed: int = 7) -> list[Array]:
    """The arrays that the function is measured on."""
    function, kind = FUNCTIONS[name], TYPES[element]
    x = samples(kind, function.span, count, seed)
    if not function.binary:
        return [x]
    random = np.random.default_rng(seed + 1)
    if name == "fpowi":
        return [x, random.integers(-40, 40, x.size).astype(np.int32)]
    # Exponents near those that give finite results, for half of the points; and pairs of special values
    y = random.permutation(samples(kind, (-40.0, 40.0), count, seed + 2))
    small = random.integers(-6, 7, x.size).astype(kind)
    y = np.where(random.random(x.size) < 0.1, small, y).astype(kind)
    special = samples(kind, function.span, 0, seed)
    pairs = np.meshgrid(special, special)
    return [np.concatenate([x, pairs[0].ravel()]), np.concatenate([y, pairs[1].ravel()])]


def errors(got: Array, exact: Array) -> Array:
    """Distance in units in the last place of the exact result; infinite where the kinds of result differ."""
    kind = got.dtype.type
    with np.errstate(all="ignore"):
        rounded = exact.astype(kind)
        ulp = np.spacing(np.minimum(np.abs(rounded), np.finfo(kind).max)).astype(exact.dtype)
        distance = np.abs(got.astype(exact.dtype) - exact) / ulp
    same = (got == rounded) & (np.signbit(got) == np.signbit(rounded))
    both_nan = np.isnan(got) & np.isnan(rounded)
    irregular = ~np.isfinite(got) | ~np.isfinite(rounded) | ((got == 0) & (rounded == 0))
    # Next to the overflow threshold the neighbour of infinity is as good as infinity.
    near_infinity = (
        np.isinf(got) & ~np.isnan(exact) & (np.abs(exact) > np.finfo(kind).max * (1 - 4 * np.finfo(kind).eps))
    )
    near_infinity |= np.isinf(rounded) & (np.abs(got) > np.finfo(kind).max * (1 - 4 * np.finfo(kind).eps))
    return np.where(
        both_nan | (irregular & same),
        0.0,
        np.where(irregular & ~near_infinity, np.inf, np.where(near_infinity, 1.0, distance)),
    )


def exact_values(name: str, arrays: list[Array]) -> Array:
    """The reference, in more precision than the operands have."""
    wide = np.float64 if arrays[0].dtype == np.float32 else np.longdouble
    with np.errstate(all="ignore"), warnings.catch_warnings():
        return FUNCTIONS[name].reference(*(a.astype(wide) for a in arrays))


def measured(machine: Machine, name: str, element: str, count: int) -> tuple[float, tuple[float, ...]]:
    """The largest error in ulp, and the operands where it happens."""
    arrays = operands(name, element, count)
    found = errors(machine(name, *arrays), exact_values(name, arrays))
    worst = int(np.argmax(found))
    return float(found[worst]), tuple(float(a[worst]) for a in arrays)


def speed(machine: Machine, name: str, element: str) -> float:
    """Elements per nanosecond on arrays that fit the first-level cache, one thread."""
    function, kind = FUNCTIONS[name], TYPES[element]
    random = np.random.default_rng(1)
    x = random.uniform(*function.span, 2048).astype(kind)
    y = random.integers(-5, 5, 2048).astype(np.int32) if name == "fpowi" else random.uniform(0, 4, 2048).astype(kind)
    out = np.empty_like(x)
    slots = (ctypes.c_uint64 * 4)(x.ctypes.data, y.ctypes.data, out.ctypes.data, x.size)
    call, times = machine.functions[name], []
    for _ in range(60):
        start = time.perf_counter_ns()
        for _ in range(10):
            call(slots)
        times.append(time.perf_counter_ns() - start)
    return 10 * x.size / min(times)


BELOW_ZERO = (
    ("exp", "down to -20", (-20.0, 0.0)),
    ("exp", "down to the least normal number", (-87.3365, 0.0)),
    ("exp2", "down to the least normal number", (-126.0, 0.0)),
)
"""Where functions are measured of numbers that are never above zero."""


def register_table(points: int) -> None:
    """Print what vectors of sixteen f32 compute in registers."""
    print("| function | f32 error (ulp) | at | f32 elements/ns |\n|---|---|---|---|")
    machine = Machine(["exp", "erf", "tanh"], "f32", WIDEST)
    for name in machine.functions:
        (x,) = operands(name, "f32", points)
        register_row(f"`{name}`", machine, name, x[: x.size // WIDEST * WIDEST].copy())
    machine = Machine(["exp", "exp2"], "f32", WIDEST, "{xmlc.below_zero}")
    for name, words, span in BELOW_ZERO:
        x = np.random.default_rng(7).uniform(*span, points // WIDEST * WIDEST).astype(np.float32)
        register_row(f"`{name}` of numbers below zero, {words}", machine, name, x)


def register_row(title: str, machine: Machine, name: str, x: Array) -> None:
    found = errors(machine(name, x), exact_values(name, [x]))
    worst = int(found.argmax())
    print(f"| {title} | {found[worst]:.3f} | {x[worst]:.9g} | {speed(machine, name, 'f32'):.2f} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="functions to measure; all when none is given")
    parser.add_argument(
        "--points", type=int, default=2_000_000, help="points for each float32 function; a fifth for float64"
    )
    parser.add_argument("--asm", action="store_true", help="print the machine code instead")
    parser.add_argument("--registers", action="store_true", help="the table of vectors of sixteen f32")
    arguments = parser.parse_args()
    if arguments.registers:
        register_table(arguments.points)
        return
    names: list[str] = arguments.names or list(FUNCTIONS)
    if arguments.asm:
        for element in TYPES:
            print(assembly(emit_module(loop_of(names, element), host()), host()))
        return
    machines = {element: Machine(names, element) for element in TYPES}
    print("| function | f32 error (ulp) | at | f32 elements/ns | f64 error (ulp) | at | f64 elements/ns |")
    print("|---|---|---|---|---|---|---|")
    for name in names:
        cells = [f"`{name}`"]
        for element, machine in machines.items():
            points = arguments.points if element == "f32" else arguments.points // 5
            error, at = measured(machine, name, element, points)
            cells += [f"{error:.3f}", ", ".join(f"{x:.17g}" for x in at), f"{speed(machine, name, element):.2f}"]
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
