"""What a name of the graph stands for: a tensor of the program, known at import or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from math import prod
from typing import Any

import numpy as np
from xdsl.builder import Builder, ImplicitBuilder
from xdsl.dialects.builtin import NameLoc, NoneAttr, StringAttr, TensorType, UnknownLoc
from xdsl.ir import Block, BlockArgument, Operation, OpResult, SSAValue
from xdsl.rewriter import InsertPoint

from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.dtypes import FROM_NUMPY, TO_NUMPY
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import TensorLike, shape_of, type_of
from xmlc.dialects.reference.interpreter import file_of
from xmlc.dialects.sizes import UnknownSize, is_symbolic
from xmlc.frontend.onnx.shape_arithmetic import ON_SIZES, is_of_sizes, known_if_constant
from xmlc.frontend.onnx.tensors import Array
from xmlc.frontend.onnx.unsupported import NeedsValue, Unsupported

CONSTANT_ELEMENTS = 64
"""Arrays of at most this many elements are constants in the program; larger ones are weights, its arguments."""
FOLDED_ELEMENTS = 4096
"""Shape arithmetic is computed at import on tensors of at most this many elements."""
SPECIALISED_ELEMENTS = 64
"""Only inputs of at most this many elements may decide shapes by their value."""


class Value:
    """A tensor: its NumPy array where it is known at import, and its SSA value, made when first asked for."""

    def __init__(self, facts: Facts, name: str, *, array: Array | None = None, ssa: SSAValue | None = None):
        self.facts = facts
        self.name = name
        self.array = array
        self.ssa = ssa

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape if self.array is not None else shape_of(self.tensor())

    @property
    def dtype(self) -> np.dtype[Any]:
        if self.array is not None and not (is_of_sizes(self.array) and self.ssa is not None):
            return np.dtype(np.int64) if is_of_sizes(self.array) else self.array.dtype
        return TO_NUMPY[tensor_type(self.tensor()).element_type]

    def tensor(self) -> SSAValue:
        """The SSA value: an op's result, an input, a small constant, or a weight."""
        if self.array is not None and self.array.size <= CONSTANT_ELEMENTS:
            if self.ssa is None or not (self.facts.is_leaf(self.ssa) or is_of_sizes(self.array)):
                self.ssa = self.facts.constant(self.array)
        elif self.ssa is None:
            assert self.array is not None
            if counts(self.array):
                self.ssa = self.facts.counting(self.array)
            else:
                self.ssa = self.facts.weight(self.name, self.array)
        return self.ssa

    def known(self) -> Array:
        """The array; NeedsValue or Unsupported where it is not known at import."""
        if self.array is None:
            assert self.ssa is not None
            raise self.facts.unknown(self.name, self.ssa)
        return self.array


def counts(array: Array) -> bool:
    """Whether an array of integers is 0, 1, 2 … along its last dimension, the others being of size 1."""
    if array.dtype.kind not in "iu" or array.ndim == 0 or array.size != array.shape[-1]:
        return False
    return bool((array.reshape(-1) == np.arange(array.size)).all())


@cache
def meaning(op: type[Operation]) -> Callable[..., Any] | None:
    """The reference semantics of an op: f(op, *arrays)."""
    file = f"xmlc.dialects.reference.{file_of(op)}"
    return getattr(import_module(file), "REFERENCE", {}).get(op) if find_spec(file) else None


class Facts:
    """What is known at import of the values of one program; makes its constants and its weight arguments."""

    def __init__(self, entry: Block, inputs: Mapping[Any, str]):
        self.entry = entry
        self.inputs = inputs
        self.arrays: dict[SSAValue, Array] = {}
        self.weights: dict[str, Array] = {}
        self.visited: set[Operation] = set()
        self.last_constant: Operation | None = None

    def is_leaf(self, value: SSAValue) -> bool:
        """True for arguments and constants: what nothing has to be computed for."""
        return not isinstance(value.owner, Operation) or not value.owner.operands

    def constant(self, array: Array) -> SSAValue:
        """A constant at the start of the program, so that it dominates every use."""
        after = self.last_constant
        point = InsertPoint.at_start(self.entry) if after is None else InsertPoint.after(after)
        with ImplicitBuilder(Builder(point)):
            result = F.sizes(array) if is_of_sizes(array) else F.constant(array)
        assert isinstance(result, OpResult)
        self.last_constant = result.op
        self.arrays[result] = array
        return result

    def counting(self, array: Array) -> SSAValue:
        """An array that counts, made where it is used: a pass can see what it is, which it cannot of a weight."""
        with ImplicitBuilder(Builder(InsertPoint.at_start(self.entry))):
            result = F.iota(array.shape, array.ndim - 1, FROM_NUMPY[array.dtype])
        self.arrays[result] = array
        return result

    def weight(self, name: str, array: Array) -> SSAValue:
        """A new trailing argument of the program, bound to `array` when it is loaded."""
        unique, number = name, 1
        while unique in self.weights:
            unique, number = f"{name}_{number}", number + 1
        self.weights[unique] = array
        argument = self.entry.insert_arg(TensorType(FROM_NUMPY[array.dtype], array.shape), len(self.entry.args))
        self.arrays[argument] = array
        return argument

    def visit(self, value: SSAValue, location: NameLoc) -> None:
        """Fold the new ops that lead to `value`, and name the ONNX node they come from."""
        op = value.owner
        if isinstance(op, Block) or op in self.visited:
            return
        self.visited.add(op)
        for result in op.results:
            if any(size < 0 for size in shape_of(result)):
                raise CompileError("a size of the result comes out negative")
        for operand in op.operands:
            self.visit(operand, location)
        for inner in op.walk():
            if isinstance(inner.location, UnknownLoc):
                inner.location = location
        self.fold(op)

    def fold(self, op: Operation) -> None:
        """Compute a small op whose operands are all known, by the reference semantics of that very op."""
        evaluate = meaning(type(op))
        if evaluate is None or op.regions:
            return
        operands = [array for operand in op.operands if (array := self.arrays.get(operand)) is not None]
        if len(operands) < len(op.operands):
            return
        shapes = [shape_of(each) for each in (*op.operands, *op.results)]
        if any(is_symbolic(shape) or prod(shape) > FOLDED_ELEMENTS for shape in shapes):
            return
        if any(map(is_of_sizes, operands)):
            evaluate = ON_SIZES.get(type(op))
            if evaluate is None:
                return
            operands = [array.astype(object) for array in operands]
        try:
            with np.errstate(all="ignore"):
                results = evaluate(op, *operands)
        except UnknownSize:
            return  # it is computed when the program runs
        given: tuple[Any, ...] = results if isinstance(results, tuple) else (results,)  # pyright: ignore[reportUnknownVariableType]
        for result, array in zip(op.results, given, strict=True):
            self.arrays[result] = known_if_constant(np.asarray(array))

    def unknown(self, name: str, value: SSAValue) -> Exception:
        """Why the array of `value` is not known: which inputs it depends on."""
        pending, seen, needed = [value], {value}, list[str]()
        while pending:
            each = pending.pop()
            if each in self.arrays:
                continue
            if isinstance(each, BlockArgument):
                shape = shape_of(each)
                if each not in self.inputs or is_symbolic(shape) or prod(shape) > SPECIALISED_ELEMENTS:
                    what = self.inputs.get(each)
                    return Unsupported(
                        f"operand {name!r} must be known at compile time but depends on "
                        + (f"the value of the large input {what!r}" if what else "a value carried by a loop")
                    )
                needed.append(self.inputs[each])
            elif isinstance(op := each.owner, Operation):
                if op.regions:
                    return Unsupported(f"operand {name!r} must be known at compile time but depends on control flow")
                new = [operand for operand in op.operands if operand not in seen]
                seen.update(new)
                pending += new
        if not needed:
            return Unsupported(f"operand {name!r} must be known at compile time but is computed from large tensors")
        return NeedsValue(needed)


def tensor_type(value: SSAValue) -> TensorLike:
    """The type of a value, which is a tensor."""
    return type_of(value)


def name_location(text: str) -> NameLoc:
    return NameLoc(StringAttr(text), NoneAttr())
