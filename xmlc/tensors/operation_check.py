"""Whether an operation of one's own is what its reference says: its values on every device, and its gradient.

xmlc.check_operation(softsign, x)       # nothing, or an error that says where and by how much it is wrong
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from xmlc.derivatives import vjp
from xmlc.dialects.diagnostics import CompileError
from xmlc.frontend.python.tree import flatten
from xmlc.tensors.device import Device, devices
from xmlc.tensors.tensor import Operation, Tensor

HostArray = NDArray[Any]

STEP = 1e-6
"""Of central differences in float64; their error is about its square, and rounding by it."""


def check_operation(
    operation: Operation[...], *args: Any, rtol: float = 1e-5, on: Sequence[Device | str] | None = None
) -> None:
    """Hold an operation that has a reference against it, for arguments some of which are arrays.

    Its values are compared on the devices that there are, or those of `on`, and its gradient by arrays of floats with
    central differences of the reference in float64. Differences up to `rtol` of the greatest element pass, a hundred
    times as much in gradients. Raises CompileError for greater ones, or where there is no reference.
    """
    reference, name = operation.reference, operation.function.__name__
    if reference is None:
        raise CompileError(
            f"{name} has no reference to be held against", hint="give one: xmlc.Operation(f, reference=…)"
        )
    arrays: list[Any] = [each.numpy() if isinstance(each, Tensor) else each for each in args]
    expected = flatten(reference(*arrays))[0]
    for device in [Device(str(each)) for each in on or devices()]:
        given = [Tensor(each, None, device) if isinstance(each, np.ndarray) else each for each in arrays]
        for found, wanted in zip(flatten(operation(*given))[0], expected):
            agree(f"{name} on {device}", np.asarray(found), np.asarray(wanted), rtol)
    for place, array in enumerate(arrays):
        if is_float(array):
            check_gradient(operation, reference, arrays, place, 100 * rtol)


def check_gradient(operation: Any, reference: Any, arrays: Sequence[Any], place: int, rtol: float) -> None:
    """The gradient by one argument, of a weighted sum of the results."""
    generator = np.random.default_rng(0)
    exact = [each.astype(np.float64) if is_float(each) else each for each in arrays]
    weights = [generator.normal(size=np.shape(each)) for each in flatten(reference(*exact))[0]]

    def result(x: HostArray) -> float:
        found = flatten(reference(*exact[:place], x, *exact[place + 1 :]))[0]
        return sum(float((weight * value).sum()) for weight, value in zip(weights, found))

    expected = np.zeros(exact[place].shape)
    for index in np.ndindex(expected.shape):
        step = np.zeros(expected.shape)
        step[index] = STEP
        expected[index] = (result(exact[place] + step) - result(exact[place] - step)) / (2 * STEP)

    def of_argument(x: Any) -> Any:
        return tuple(flatten(operation(*exact[:place], x, *exact[place + 1 :]))[0])

    _, (gradient,) = vjp(of_argument, (exact[place],), tuple(weights))
    agree(f"the gradient of {operation.function.__name__} by argument {place}", np.asarray(gradient), expected, rtol)


def is_float(value: Any) -> bool:
    return isinstance(value, np.ndarray) and cast(HostArray, value).dtype.kind == "f"


def agree(what: str, found: HostArray, expected: HostArray, rtol: float) -> None:
    """Raise CompileError where two arrays differ."""
    if found.shape != expected.shape:
        raise CompileError(f"{what} has shape {found.shape}, its reference {expected.shape}")
    greatest = float(np.abs(expected).max()) if expected.size else 0.0
    difference = np.abs(found.astype(np.float64) - expected.astype(np.float64))
    worst = float(difference.max()) if difference.size else 0.0
    if not worst <= rtol * (greatest or 1.0):
        where = tuple(map(int, np.unravel_index(int(difference.argmax()), difference.shape)))
        message = f"{what} gives {found[where]} at {where}, its reference {expected[where]}"
        raise CompileError(message, hint=f"the greatest difference is {worst:.1e}, of elements up to {greatest:.3g}")
