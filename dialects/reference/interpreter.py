"""The interpreter: what a module of any level means, computed with NumPy.

An op's meaning is a row of a table in the file of this folder that is named like the file that defines the op
(`xmlc/dialects/ml/reduction.py` -> `reduction.py`), or like its dialect when xDSL defines it (`arith.py`):

    REFERENCE: dict[type[Operation], Callable]   f(op, *operands) -> the result, or a tuple of results
    EVALUATE:  dict[type[Operation], Callable]   f(frame, op) -> None; reads and sets values, runs regions

A file is imported when the first of its ops is met. How types are represented:

    tensor<..xT>, vector<..xT>   an array that nothing writes to once it is made
    memref<..xT>                 an array written to in place; a subview is a view of its source's array
    T, index, i1                 a NumPy scalar; inside the body of a linalg op an array, one element (a lane)
                                 for each point of the parallel iteration space
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import DYNAMIC_INDEX, MemRefType, ModuleOp, StringAttr, TensorType, VectorType
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.traits import IsTerminator

from xmlc.dialects.diagnostics import Place, place_of
from xmlc.dialects.dtypes import TO_NUMPY

Array: TypeAlias = NDArray[Any]
Evaluate: TypeAlias = "Callable[[Frame, Any], None]"
Function: TypeAlias = Callable[..., Any]

SHAPED = (TensorType, MemRefType, VectorType)
FUNCTIONS = ("func.func", "toy.func")
KERNELS = ("gpu.func",)


class InterpreterError(Exception):
    """The module has no meaning here: an op without a row, an access out of bounds, a division by zero.

    The message names the op, the function it is in and, where known, the user's place.
    """

    def __init__(self, op: Operation, message: str):
        self.op = op
        super().__init__(f"{describe(op)}: {message}")


class UnknownOpError(InterpreterError):
    """An op has no row here. That says nothing against the module."""


class LanesDifferError(Exception):
    """A branch or a loop bound that must be one value differs between lanes: evaluate them one by one."""


def describe(op: Operation) -> str:
    """An op for a message: its place if it or an op around it has one, its function, its name."""
    place: Place | None = None
    function = ""
    around: Operation | None = op
    while around is not None:
        place = place or place_of(around.location)
        symbol = around.get_attr_or_prop("sym_name")
        if around.name in (*FUNCTIONS, *KERNELS) and isinstance(symbol, StringAttr):
            function = f" in @{symbol.data}"
        around = around.parent_op()
    return (f"{place}: " if place else "") + op.name + function


@cache
def file_of(op: type[Operation]) -> str:
    """The file of this folder that holds the row of an op."""
    if op.__module__.startswith("xmlc.dialects."):
        return op.__module__.rpartition(".")[2]
    return op.name.partition(".")[0]


@cache
def rows_of(file: str) -> Mapping[type[Operation], Evaluate]:
    """Every row of one file, empty if there is no such file."""
    name = f"{__package__}.{file}"
    if find_spec(name) is None:
        return {}
    module = import_module(name)
    rows: dict[type[Operation], Evaluate] = dict(getattr(module, "EVALUATE", {}))
    for op, function in getattr(module, "REFERENCE", {}).items():
        rows[op] = _evaluate(function)
    return rows


def row_of(op: type[Operation]) -> Evaluate | None:
    """The row that gives an op its meaning, or None."""
    return rows_of(file_of(op)).get(op)


def _evaluate(function: Function) -> Evaluate:
    def evaluate(frame: Frame, op: Operation) -> None:
        values = frame.values
        results = function(op, *[values[operand] for operand in op.operands])
        frame.set(op, *(results if isinstance(results, tuple) else (results,)))  # pyright: ignore[reportUnknownArgumentType]

    return evaluate


def dtype_of(type: Attribute) -> np.dtype[Any]:
    """NumPy's type for the elements of a shaped type, or for a scalar type."""
    return TO_NUMPY[type.element_type if isinstance(type, SHAPED) else type]  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]


def uninitialized(shape: Sequence[int], dtype: np.dtype[Any]) -> Array:
    """Memory nobody has written to: NaN, and for integers a number that is no sensible value or index."""
    if dtype == np.bool_:
        return np.ones(shape, dtype)
    if np.issubdtype(dtype, np.integer):
        return np.frombuffer(b"\xa5" * dtype.itemsize, dtype).repeat(int(np.prod(shape))).reshape(shape)
    return np.full(shape, np.nan, dtype)


class Program:
    """A module being interpreted: its functions and globals, and each block's ops with their rows."""

    def __init__(self, module: Operation, functions: Mapping[str, Function]):
        self.symbols: dict[str, Operation] = {
            symbol.data: op
            for op in module.regions[0].block.ops
            if isinstance(symbol := op.get_attr_or_prop("sym_name"), StringAttr)
        }
        self.functions = functions
        self.constants: dict[Operation, Any] = {}
        self._steps: dict[Block, tuple[list[tuple[Evaluate, Operation]], tuple[SSAValue, ...]]] = {}

    def row(self, op: type[Operation]) -> Evaluate | None:
        """The row that gives an op its meaning in this program, or None."""
        return row_of(op)

    def steps(self, block: Block) -> tuple[list[tuple[Evaluate, Operation]], tuple[SSAValue, ...]]:
        """The ops of a block, each with its row, and the values that its terminator passes on."""
        if (known := self._steps.get(block)) is not None:
            return known
        steps: list[tuple[Evaluate, Operation]] = []
        passed: tuple[SSAValue, ...] = ()
        for op in block.ops:
            if op.has_trait(IsTerminator) and op is block.last_op:
                passed = tuple(op.operands)
                break
            row = self.row(type(op))
            if row is None:
                raise UnknownOpError(op, "the interpreter has no row for this op")
            steps.append((row, op))
        self._steps[block] = steps, passed
        return steps, passed

    def call(self, op: Operation, name: str, arguments: Sequence[Any], lanes: Lanes | None = None) -> tuple[Any, ...]:
        """The results of a function of the module, or of the Python function given for a declared one."""
        function = self.symbols.get(name)
        if function is None or function.name not in FUNCTIONS:
            raise InterpreterError(op, f"there is no function @{name}")
        if function.regions[0].blocks:
            return Frame(self, lanes=lanes).run(function.regions[0], *arguments)
        if name not in self.functions:
            raise InterpreterError(op, f"function @{name} is declared only, and none was given for it")
        results = self.functions[name](*arguments)
        if results is None:
            return ()
        return results if isinstance(results, tuple) else (results,)  # pyright: ignore[reportUnknownVariableType]


class Lanes:
    """The points at which the body of a linalg op is evaluated at once.

    `coordinates` holds one entry for each loop: an int, or an integer array that broadcasts to `shape`.
    """

    def __init__(self, shape: tuple[int, ...], coordinates: Sequence[Any]):
        self.shape = shape
        self.coordinates = coordinates


class Frame:
    """The values of one function call."""

    def __init__(self, program: Program, values: dict[SSAValue, Any] | None = None, lanes: Lanes | None = None):
        self.program = program
        self.values: dict[SSAValue, Any] = {} if values is None else values
        self.lanes = lanes

    def __getitem__(self, value: SSAValue) -> Any:
        return self.values[value]

    def get(self, values: Sequence[SSAValue]) -> list[Any]:
        return [self.values[value] for value in values]

    def set(self, op: Operation, *values: Any) -> None:
        """Give an op's results their values."""
        results = op.results
        if len(values) != len(results):
            raise InterpreterError(op, f"its row gave {len(values)} results, expected {len(results)}")
        for result, value in zip(results, values):
            # NumPy reductions and 0-d arithmetic give scalars, a tensor<T> is an array all the same
            self.values[result] = np.asarray(value) if isinstance(result.type, SHAPED) else value

    def run(self, body: Region | Block, *arguments: Any) -> tuple[Any, ...]:
        """Evaluate a single-block region or a block; returns the values that its terminator passes on."""
        block = body.block if isinstance(body, Region) else body
        steps, passed = self.program.steps(block)
        values = self.values
        assert len(arguments) == len(block.args)
        for argument, value in zip(block.args, arguments):
            values[argument] = value
        op: Operation | None = None
        try:
            for evaluate, op in steps:
                evaluate(self, op)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            if op is not None:
                error.add_note(f"while interpreting {describe(op)}")
            raise
        return tuple([values[value] for value in passed])

    def call(self, op: Operation, name: str, arguments: Sequence[Any]) -> tuple[Any, ...]:
        """Call a function on behalf of `op`."""
        return self.program.call(op, name, arguments, self.lanes)


def accept(op: Operation, value: Any, type: Attribute, what: str) -> Any:
    """A value from outside as the interpreter represents it; it must have the type's dtype and shape."""
    dtype = dtype_of(type)
    if not isinstance(type, SHAPED):
        return dtype.type(value)
    array = np.asarray(value)
    shape: tuple[int, ...] = type.get_shape()
    fits = len(shape) == array.ndim and all(a in (DYNAMIC_INDEX, b) for a, b in zip(shape, array.shape))
    if not fits or array.dtype != dtype:
        raise InterpreterError(op, f"{what} must be {type}, found {array.dtype} of shape {array.shape}")
    return array


def interpret(
    module: ModuleOp,
    name: str = "main",
    arguments: Sequence[Any] = (),
    functions: Mapping[str, Function] | None = None,
) -> tuple[Any, ...]:
    """The results of calling function `name` of a module.

    `arguments` are arrays of exactly the dtypes and shapes of the parameters' types (`xmlc.dialects.dtypes`);
    arrays given for memrefs are written to in place, those given for tensors never. `functions` are Python
    functions standing for the declared ones: called with arrays and NumPy scalars, they return None, a
    value or a tuple. Results may be views of arguments. Raises InterpreterError.
    """
    program = Program(module, functions or {})
    function = program.symbols.get(name)
    if function is None or function.name not in FUNCTIONS or not function.regions[0].blocks:
        raise InterpreterError(module, f"the module defines no function @{name}")
    parameters = function.regions[0].block.args
    if len(parameters) != len(arguments):
        raise InterpreterError(function, f"expected {len(parameters)} arguments, found {len(arguments)}")
    accepted = [
        accept(function, value, parameter.type, f"argument {index}")
        for index, (parameter, value) in enumerate(zip(parameters, arguments))
    ]
    with np.errstate(all="ignore"):
        return program.call(function, name, accepted)


def interpret_into(
    module: ModuleOp,
    name: str,
    buffers: Sequence[Any],
    functions: Mapping[str, Function] | None = None,
) -> None:
    """Call a function of the structured level: no results, `buffers` are written to in place."""
    for buffer in buffers:
        if isinstance(buffer, np.ndarray) and not buffer.flags.writeable:
            raise ValueError("a buffer given to interpret_into is read-only")
    results = interpret(module, name, buffers, functions)
    assert not results, f"@{name} returns results: call interpret"
