"""What a module computes on random inputs, whatever level it is at, and how far two such results are apart.

A function keeps its meaning through the pipeline while its calling convention changes: results become trailing
buffers marked `xmlc.output`, an arena marked `xmlc.arena` is added, unsigned elements become signless. Inputs
are therefore drawn once, from the types at the start, and handed over as each level wants them.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    DictionaryAttr,
    IndexType,
    MemRefType,
    ModuleOp,
    StringAttr,
    TensorType,
)
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute

from xmlc.backends.signature import NAME, PREPARE, in_place_of
from xmlc.dialects.dtypes import TO_NUMPY
from xmlc.dialects.reference.interpreter import interpret
from xmlc.printing import PRINT_FUNCTIONS

Array = NDArray[Any]

OUTPUT, ARENA = "xmlc.output", "xmlc.arena"
UNKNOWN_SIZE = 3
"""The size given to each `?`: one for all, since dimensions that must be equal are not known here."""

TOLERANCE = {"float64": 1e-8, "float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}
"""How far apart floats may be, relative to their size and to the mean size of the array's elements."""


@dataclass(frozen=True)
class Outcome:
    """What one call left: its results (the contents of buffers where it has no results), and what it printed.

    A result is an array, or a NumPy scalar where the function returns one.
    """

    results: tuple[Any, ...]
    printed: str


@dataclass(frozen=True)
class Difference:
    """Two results that differ: which one, and by how much relative to the expected size (inf for NaN or kind)."""

    what: str
    error: float
    tolerance: float

    def __str__(self) -> str:
        if np.isinf(self.error):
            return self.what
        return f"{self.what}: relative error {self.error:.3g}, accepted {self.tolerance:.3g}"


def entry_points(module: ModuleOp) -> dict[str, FuncOp]:
    """The functions that can be called from outside, by name; only @main if there is one."""
    functions = {
        op.sym_name.data: op
        for op in module.ops
        if isinstance(op, FuncOp) and op.body.blocks and op.sym_visibility != StringAttr("private")
    }
    return {"main": functions["main"]} if "main" in functions else functions


def random_inputs(function: FuncOp, seed: int, integers_below: int = 4) -> list[Any]:
    """A value for each parameter that is neither an output nor the arena.

    Floats are normally distributed, integers in [0, integers_below), so that they may be indices. A value depends
    on the seed, its position and its shape alone.
    """
    return [
        random_value(type, np.random.default_rng((seed, position)), integers_below)
        for position, (type, role) in enumerate(parameters(function))
        if role is None
    ]


def random_value(type: Attribute, random: np.random.Generator, integers_below: int) -> Any:
    if isinstance(type, TensorType | MemRefType):
        shape = tuple(UNKNOWN_SIZE if size == DYNAMIC_INDEX else size for size in type.get_shape())
        return np.asarray(draw(TO_NUMPY[type.element_type], shape, random, integers_below))  # pyright: ignore[reportUnknownMemberType]
    if isinstance(type, IndexType):
        return np.int64(random.integers(1, max(2, integers_below)))
    return draw(TO_NUMPY[type], (), random, integers_below)


def draw(dtype: np.dtype[Any], shape: tuple[int, ...], random: np.random.Generator, integers_below: int) -> Any:
    if dtype == np.bool_:
        return random.integers(0, 2, shape).astype(np.bool_)  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue]
    if dtype.kind in "iu":
        return random.integers(0, integers_below, shape).astype(dtype)  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue]
    return np.asarray(random.standard_normal(shape)).astype(dtype)[()]


def parameters(function: FuncOp) -> list[tuple[Attribute, str | None]]:
    """The type of each parameter, and the attribute that makes it an output or the arena."""
    types = list(function.function_type.inputs)
    attributes: Sequence[DictionaryAttr] = function.arg_attrs.data if function.arg_attrs else ()
    roles = [next((role for role in (OUTPUT, ARENA) if role in each.data), None) for each in attributes]
    return list(zip(types, roles or [None] * len(types), strict=True))


def input_names(function: FuncOp) -> list[str]:
    """The name of each parameter that is neither an output nor the arena: `ml.name`, or `input` and its position."""
    attributes: Sequence[DictionaryAttr] = function.arg_attrs.data if function.arg_attrs else ()
    given = [each.data.get(NAME) for each in attributes] or [None] * len(function.function_type.inputs.data)
    names = [each.data if isinstance(each, StringAttr) else f"input{i}" for i, each in enumerate(given)]
    return [name for name, (_, role) in zip(names, parameters(function)) if role is None]


def function_named(module: ModuleOp, name: str) -> FuncOp | None:
    found = [op for op in module.ops if isinstance(op, FuncOp) and op.sym_name.data == name]
    return found[0] if found else None


def run_prepared(module: ModuleOp, prepare: FuncOp, inputs: Mapping[str, Any], expected: Outcome | None) -> Outcome:
    """Interpret @main where `hoist-weights` has split @prepare from it: @main takes what that makes of weights.

    Its parameters are matched by their names, and so are those of @prepare; `prepared.N` is the result N of it.
    """
    made = run_function(module, prepare, [inputs[name] for name in input_names(prepare)], None)
    values = {**inputs, **{f"prepared.{i}": value for i, value in enumerate(made.results)}}
    main = entry_points(module)["main"]
    return run_function(module, main, [values[name] for name in input_names(main)], expected)


def run(
    module: ModuleOp,
    name: str,
    inputs: Sequence[Any],
    expected: Outcome | None = None,
    names: Sequence[str] | None = None,
) -> Outcome:
    """Interpret one function at the level the module is at. Raises InterpreterError, ValueError and the like.

    `expected` is what the function gave at first: it decides the order of results, and their sizes where the
    buffers' types leave them open. `names` are those that the parameters had at first. The inputs are not written to.
    """
    function = entry_points(module)[name]
    prepare = function_named(module, PREPARE)
    if names is not None and name == "main" and prepare is not None and input_names(function) != list(names):
        return run_prepared(module, prepare, dict(zip(names, inputs, strict=True)), expected)
    return run_function(module, function, inputs, expected)


def run_function(module: ModuleOp, function: FuncOp, inputs: Sequence[Any], expected: Outcome | None) -> Outcome:
    """Interpret one function with an input for each of its parameters that is neither an output nor the arena."""
    name = function.sym_name.data
    rest = iter(inputs)
    arguments: list[Any] = []
    outputs: list[Array] = []
    in_place = dict(in_place_of(function))
    before: tuple[Any, ...] = expected.results if expected else ()
    arrays_before: list[Array] = [
        each for number, each in enumerate(before) if isinstance(each, np.ndarray) and number not in in_place.values()
    ]
    sizes: Iterator[tuple[int, ...]] = iter([each.shape for each in arrays_before])
    for type, role in parameters(function):
        if role is None:
            arguments.append(handed_over(next(rest), type))
            continue
        assert isinstance(type, MemRefType)
        shape: tuple[int, ...] = type.get_shape()
        if role == OUTPUT:
            shape = next(sizes, shape)
        arguments.append(garbage(shape, TO_NUMPY[type.element_type]))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        if role == OUTPUT:
            outputs.append(arguments[-1])
    assert next(rest, None) is None, f"@{name} lost a parameter"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        returned = interpret(module, name, arguments, PRINT_FUNCTIONS)
    if not function.function_type.outputs.data:
        for position, number in sorted(in_place.items(), key=lambda pair: pair[1]):
            outputs.insert(number, arguments[position])
    if not returned and not outputs:  # a function on buffers, as the user wrote it: what it left in them
        types = [type for type, _ in parameters(function)]
        outputs = [each for each, type in zip(arguments, types) if isinstance(type, MemRefType)]
    if expected is None or not outputs or not returned:
        return Outcome((*returned, *outputs), printed.getvalue())
    # results that were tensors are in buffers now, the others are still returned
    arrays, others = iter(outputs), iter(returned)
    results = [next(others if isinstance(each, np.generic) else arrays) for each in expected.results]
    return Outcome(tuple(results), printed.getvalue())


def handed_over(value: Any, type: Attribute) -> Any:
    """An input as this level wants it: a copy, with the same bits in the element type it now has."""
    if not isinstance(value, np.ndarray):
        return value
    array = cast(Array, value).copy()
    if isinstance(type, TensorType | MemRefType):
        dtype = TO_NUMPY[type.element_type]  # pyright: ignore[reportUnknownMemberType]
        if dtype.kind in "iu" and array.dtype.kind in "iu" and dtype.itemsize == array.itemsize:
            return array.view(dtype)
    return array


def garbage(shape: Sequence[int], dtype: np.dtype[Any]) -> Array:
    """Memory nobody has written to: all bits set, so that floats of every width are NaN."""
    array = np.empty(shape, dtype)
    array.reshape(-1).view(np.uint8)[...] = 0xFF
    return array


def differences(expected: Outcome, found: Outcome) -> list[Difference]:
    """Every result that differs by more than its type's tolerance, and what was printed if that does."""
    if len(expected.results) != len(found.results):
        counts = f"there are {len(found.results)} results, there were {len(expected.results)}"
        return [Difference(counts, np.inf, 0)]
    result = [
        each
        for number, (a, b) in enumerate(zip(expected.results, found.results))
        if (each := difference(f"result {number}", np.asarray(a), np.asarray(b))) is not None
    ]
    a, b = numbers(expected.printed), numbers(found.printed)
    if isinstance(a, str) or isinstance(b, str):
        return result + ([Difference("what it prints", np.inf, 0)] if expected.printed != found.printed else [])
    each = difference("what it prints", a, b)
    return result + ([each] if each else [])


def numbers(text: str) -> Array | str:
    """Printed text as an array if it is all numbers, else itself."""
    try:
        return np.array([float(word) for word in text.split()])
    except ValueError:
        return text


def difference(what: str, expected: Array, found: Array) -> Difference | None:
    """How two arrays differ, or None if they agree within the tolerance of the expected one's dtype."""
    if expected.dtype.kind in "iu" and expected.itemsize == found.itemsize and found.dtype.kind in "iu":
        found = found.copy().view(expected.dtype)
    if expected.shape != found.shape or expected.dtype != found.dtype:
        message = f"{what} is {found.dtype} of shape {found.shape}, was {expected.dtype} of shape {expected.shape}"
        return Difference(message, np.inf, 0)
    if expected.dtype.kind in "iub":
        wrong = np.count_nonzero(expected != found)
        return Difference(f"{what} differs in {wrong} of {expected.size} elements", np.inf, 0) if wrong else None
    tolerance = TOLERANCE[expected.dtype.name]
    a, b = expected.astype(np.float64), found.astype(np.float64)
    finite = np.isfinite(a)
    if np.any(finite != np.isfinite(b)) or not np.array_equal(a[~finite], b[~finite], equal_nan=True):
        wrong = np.count_nonzero((finite != np.isfinite(b)) | (~finite & ~((a == b) | np.isnan(a) & np.isnan(b))))
        return Difference(f"{what} differs in {wrong} elements that are NaN or infinite", np.inf, tolerance)
    a, b = a[finite], b[finite]
    if not a.size:
        return None
    scale = np.abs(a) + np.mean(np.abs(a)) + np.finfo(np.float32).tiny
    error = float(np.max(np.abs(a - b) / scale))
    return Difference(f"{what} differs", error, tolerance) if error > tolerance else None
