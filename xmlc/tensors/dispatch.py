"""Which kernel computes a function of tensors: one that somebody registered, NumPy for complex numbers, or a program.

A registered kernel is any function of NumPy arrays with the arguments of the operation that it computes, such as a
library's. It is asked before the others, the latest first, and computes what it takes the element types of, at once. In
functions that are being traced it has no part: these are programs as a whole.

    kernel = xmlc.register_kernel(xp.matmul, np.matmul, dtypes=["float64"])
    print(xmlc.explain_dispatch(xp.matmul, a, b))
    kernel.remove()
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xmlc.dialects.diagnostics import CompileError
from xmlc.frontend.python.places import user_place
from xmlc.tensors.device import Device, device_named
from xmlc.tensors.graph import Operand, Static
from xmlc.tensors.library import library_kernel

Function = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class Kernel:
    """A function of NumPy arrays that computes another function of arrays for some element types on a device."""

    name: str
    of: Function
    """The function that it computes, of `xmlc.frontend.python`."""
    compute: Function
    dtypes: frozenset[np.dtype[Any]] | None
    """The types that its operands may have; any if None."""
    device: Device

    def remove(self) -> None:
        """From now on it is not asked any more. KeyError where it was removed before."""
        if self not in REGISTERED.get(self.of, []):
            raise KeyError(f"the kernel {self.name} is not registered")
        REGISTERED[self.of].remove(self)

    def refusal(self, leaves: Sequence[Static | Operand]) -> str | None:
        """Why it cannot compute a call with these arguments; None where it can."""
        others = {each.dtype for each in leaves if isinstance(each, Operand) and not each.weak} - (self.dtypes or set())
        if self.dtypes is None or not others:
            return None
        taken = ", ".join(sorted(map(str, self.dtypes)))
        return f"it takes {taken}, not {', '.join(sorted(map(str, others)))}"


REGISTERED: dict[Function, list[Kernel]] = {}
"""Kernels by the function that they compute, in the order of their registration."""


def register_kernel(
    operation: Any,
    compute: Function,
    *,
    dtypes: Sequence[Any] | None = None,
    device: Device | str | None = None,
    name: str | None = None,
) -> Kernel:
    """Have `compute` compute an operation of `xmlc.numpy` or `xmlc.nn`; what is returned can `remove()` it again.

    Raises CompileError for what is no operation, or an unknown device.
    """
    function = function_of(operation)
    types = None if dtypes is None else frozenset(np.dtype(each) for each in dtypes)
    named = name or f"{compute.__module__}.{getattr(compute, '__name__', type(compute).__name__)}"
    kernel = Kernel(named, function, compute, types, device_named(device))
    REGISTERED.setdefault(function, []).append(kernel)
    return kernel


def function_of(operation: Any) -> Function:
    """The function that an operation traces."""
    from xmlc.tensors.tensor import Operation

    if not isinstance(operation, Operation):
        raise CompileError(
            f"{operation!r} is no operation on tensors", place=user_place(), hint="such as xmlc.numpy.add"
        )
    return operation.function


def chosen_kernel(function: Function, leaves: Sequence[Static | Operand]) -> Function | None:
    """What computes a call at once; None where it becomes part of a program."""
    for kernel in reversed(REGISTERED.get(function, ())):
        if kernel.refusal(leaves) is None:
            return kernel.compute
    return library_kernel(function, leaves)


def explain_dispatch(operation: Any, *args: Any, **kwargs: Any) -> str:
    """Who would compute a call, and why the others would not: a line each, in the order in which they are asked."""
    from xmlc.tensors.tensor import arguments_of

    function = function_of(operation)
    leaves = arguments_of(function, args, kwargs).leaves
    types = ", ".join(str(each.dtype) for each in leaves if isinstance(each, Operand))
    lines = [f"{function.__name__} of {types or 'no arrays'} on cpu"]
    chosen = False
    for kernel in reversed(REGISTERED.get(function, ())):
        refusal = kernel.refusal(leaves)
        lines.append(verdict(kernel.name, "registered for it", refusal, chosen))
        chosen = chosen or refusal is None
    complex_ = None if library_kernel(function, leaves) else "no number is complex"
    lines.append(verdict("NumPy", "complex numbers cannot be part of a program", complex_, chosen))
    chosen = chosen or complex_ is None
    lines.append(verdict("a program", "interpreted first, compiled when that is worth while", None, chosen))
    return "\n".join(lines)


def verdict(name: str, reason: str, refusal: str | None, chosen: bool) -> str:
    if refusal is not None:
        return f"  {name}: no, {refusal}"
    return f"  {name}: not asked any more" if chosen else f"  {name}: chosen, {reason}"
