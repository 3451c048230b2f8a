"""What a program is called with: values as arrays of the types and shapes that its signature says, or errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmlc.backends.signature import Signature, Tensor
from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml.types import shape_text
from xmlc.weights import owned

Array = NDArray[Any]


def bound(signature: Signature, weights: Mapping[str, Array]) -> list[Array]:
    """The arrays of an entry point's weights, in its order, aligned or not. CompileError names all that are missing."""
    missing = [str(spec) for spec in signature.weights if spec.name not in weights]
    if missing:
        raise CompileError(f"{len(missing)} weights are missing: {', '.join(missing)}", hint="give an array for each")
    return [matching(weights[spec.name], spec, "weight") for spec in signature.weights]


def writeable(value: Any, spec: Tensor) -> Array:
    """An array that an output can be written to, of the right type and shape. Raises CompileError."""
    array = matching(value, spec, "input")
    if not array.flags.writeable:
        raise CompileError(
            f"the donated argument '{spec.name}' cannot be written to",
            hint="give a copy of it, or do not donate it",
        )
    if not (array.flags.c_contiguous and array.flags.aligned):
        raise CompileError(
            f"the donated argument '{spec.name}' has strides {array.strides}, expected a contiguous array",
            hint="give a contiguous copy of it, or do not donate it",
        )
    return array


def all_outputs(signature: Signature, own: Sequence[Any], inputs: Mapping[int, Any]) -> tuple[Any, ...]:
    """The outputs in their order: those that have memory of their own, and inputs that were written to, by number."""
    made = list(own)
    for number, output in sorted(signature.in_place, key=lambda pair: pair[1]):
        made.insert(output, inputs[number])
    return tuple(made)


def outputs_among(signature: Signature) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """What picks the outputs, in their order, from the inputs and, behind them, outputs with memory of their own."""
    inputs, own = range(len(signature.inputs)), range(len(signature.own_outputs))
    first, *others = all_outputs(signature, [len(inputs) + each for each in own], dict(enumerate(inputs)))
    return itemgetter(first, *others) if others else lambda arrays: (arrays[first],)


def refuse_overlaps(signature: Signature, inputs: Sequence[tuple[int, int]]) -> None:
    """Raise CompileError where memory that an output is written to is also that of another input.

    `inputs` are their addresses and sizes in bytes.
    """
    donated = dict(signature.in_place)
    spans = sorted((start, start + size, number) for number, (start, size) in enumerate(inputs) if size)
    reach, widest = 0, -1  # how far the spans before reach, and the one that reaches so far
    end, giver = 0, -1  # the same for those that are donated
    for start, stop, number in spans:
        other = giver if start < end else widest if start < reach and number in donated else -1
        if other >= 0:
            one, two = sorted((number, other), key=lambda each: (each not in donated, each))
            names = [signature.inputs[each].name for each in (one, two)]
            raise CompileError(
                f"the donated argument '{names[0]}' shares memory with '{names[1]}'",
                hint="give a copy of one of them, or do not donate it",
            )
        if stop > reach:
            reach, widest = stop, number
        if number in donated and stop > end:
            end, giver = stop, number


def checked(value: Any, spec: Tensor, what: str) -> Array:
    """An array of the right type and shape, contiguous and aligned: a copy only where it is not."""
    return usable([matching(value, spec, what)])[0]


def usable(arrays: Sequence[Array]) -> list[Array]:
    """The arrays, contiguous and aligned: copies only of those that are not."""
    other = [array for array in arrays if not (array.flags.c_contiguous and array.flags.aligned)]
    copies = iter(owned(other) if other else ())
    return [array if array.flags.c_contiguous and array.flags.aligned else next(copies) for array in arrays]


def matching(value: Any, spec: Tensor, what: str) -> Array:
    """A value as an array, of the right type and shape. Raises CompileError."""
    array: Array = value if isinstance(value, np.ndarray) else as_array(value)  # pyright: ignore[reportUnknownVariableType]
    if array.dtype != spec.dtype:
        raise CompileError(
            f"{what} '{spec.name}' has element type {array.dtype}, expected {spec.dtype}",
            hint=f"convert it: {spec.name}.astype('{spec.dtype}')",
        )
    if array.shape != spec.shape:
        raise CompileError(
            f"{what} '{spec.name}' has shape {shape_text(array.shape)}, expected {shape_text(spec.shape)}"
        )
    return array


def as_array(value: Any) -> Array:
    """An array that shares the memory of a DLPack object; anything else through NumPy."""
    if hasattr(value, "__dlpack__"):
        return np.from_dlpack(value)
    return np.asarray(value)
