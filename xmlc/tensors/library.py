"""Functions that NumPy computes, since a program cannot: those of complex numbers, and those without an op of `ml`.

They need the elements of their operands at once, and are an error in a function that is being traced. That one of
them is used is never a matter of what a compiler can do at the time: it is so for these functions and types, always.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xmlc.dialects.diagnostics import CompileError
from xmlc.frontend.python import functions as f
from xmlc.frontend.python.functions import shapes
from xmlc.frontend.python.functions.indexing import Slice
from xmlc.frontend.python.places import user_place
from xmlc.frontend.python.trace import current
from xmlc.frontend.python.tree import flatten
from xmlc.options import EXPLAIN
from xmlc.tensors.device import CPU, Device, device_named, expect_one
from xmlc.tensors.graph import NDArrayAny, Operand, Static

LOG = logging.getLogger("xmlc.tensors")


def at(x: Any, *key: Any) -> Any:
    return x[tuple(each.slice if isinstance(each, Slice) else each for each in key)]


def replaced(x: Any, value: Any, *key: Any) -> Any:
    made = x.copy()
    made[tuple(each.slice if isinstance(each, Slice) else each for each in key)] = value
    return made


def transposed(x: NDArrayAny) -> NDArrayAny:
    return x.T


def filled(shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
    return np.full(shape, fill_value, np.complex64 if dtype is None else dtype)


OF_COMPLEX: dict[Callable[..., Any], Callable[..., Any]] = {
    f.at: at,
    f.replaced: replaced,
    f.full: filled,
    shapes.transposed: transposed,
    f.broadcast_arrays: lambda *arrays: list(np.broadcast_arrays(*arrays)),
    f.meshgrid: lambda *arrays, **options: list(np.meshgrid(*arrays, **options)),
}
"""NumPy's part where it has no function of that name, or one with other defaults."""


def library_kernel(function: Callable[..., Any], leaves: Sequence[Static | Operand]) -> Callable[..., Any] | None:
    """NumPy's function where complex numbers go in or come out; None where a program computes it."""
    if not any(map(is_complex, leaves)):
        return None
    return OF_COMPLEX.get(function) or getattr(np, function.__name__)


def is_complex(leaf: Static | Operand) -> bool:
    if isinstance(leaf, Operand):
        return leaf.dtype.kind == "c"
    value = leaf.value
    return value is complex or isinstance(value, complex) or (isinstance(value, np.dtype) and value.kind == "c")


class LibraryFunction:
    """A function of NumPy, of tensors: their elements are computed first."""

    def __init__(self, function: Callable[..., Any]):
        self.function = function
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if current() is not None:
            raise CompileError(
                f"{self.function.__name__} is computed by NumPy, and cannot be part of a program",
                place=user_place(),
                hint="call it outside of the function that is compiled",
            )
        return call_numpy(self.function, args, kwargs)


def call_numpy(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], device: Device | None = None
) -> Any:
    """The results of a function of NumPy arrays as tensors, on the device of those that it is given, or on `device`.

    From and to another memory than the host's they are copied, which XMLC_EXPLAIN says.
    """
    from xmlc.tensors.tensor import Tensor

    leaves, structure = flatten((args, kwargs))
    on = [each.device for each in leaves if isinstance(each, Tensor)]
    here = device or (expect_one(function.__name__, on) if on else device_named(None))
    leaves = [None if isinstance(each, Device) else each for each in leaves]
    given = structure.build([each.numpy() if isinstance(each, Tensor) else each for each in leaves])
    with np.errstate(all="ignore"):
        results, arranged = flatten(function(*given[0], **given[1]))
    if EXPLAIN.get() and here.backend.dlpack_device != CPU.backend.dlpack_device:
        counts = f"{len(on)} operands from {here}, {len(results)} results to it"
        LOG.warning("%s is computed by NumPy: it copies %s", function.__name__, counts)
    return arranged.build([Tensor.of(np.asarray(each), here) for each in results])
