"""Which kernel computes a function of tensors: one that somebody registered, NumPy for complex numbers, or a program.

A registered kernel is any function of arrays with the arguments of the operation that it computes, such as a library's.
For the processor these are NumPy's, for a GPU arrays in its memory that speak DLPack. It is asked before the others,
the latest first, and computes what it takes the element types of, at once. In functions that are being traced it has
no part: these are programs as a whole.

    kernel = xmlc.register_kernel(xp.matmul, np.matmul, dtypes=["float64"])
    print(xmlc.explain_dispatch(xp.matmul, a, b))
    kernel.remove()
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from xmlc.dialects.diagnostics import CompileError
from xmlc.frontend.python.places import user_place
from xmlc.frontend.python.tree import flatten
from xmlc.tensors.device import KINDS, Device, device_named
from xmlc.tensors.graph import Operand, Static
from xmlc.tensors.library import call_numpy, library_kernel

Function = Callable[..., Any]
Leaves = Sequence[Static | Operand]

PROGRAM = "a program"
"""What is chosen where no kernel computes a call: it becomes part of a program of ours."""


@dataclass(frozen=True, eq=False)
class Kernel:
    """A function of arrays that computes another function of arrays for some element types on a device."""

    name: str
    of: Function
    """The function that it computes, of `xmlc.frontend.python`."""
    compute: Function
    dtypes: frozenset[np.dtype[Any]] | None
    """The types that its operands may have; any if None."""
    where: str
    """A device, or a kind of devices."""
    refuses: Callable[[Sequence[Operand]], str | None] | None = None
    """Says of operands why it does not compute them; None where it does."""

    def remove(self) -> None:
        """From now on it is not asked any more. KeyError where it was removed before."""
        if self not in REGISTERED.get(self.of, []):
            raise KeyError(f"the kernel {self.name} is not registered")
        REGISTERED[self.of].remove(self)

    def refusal(self, leaves: Leaves, device: Device) -> str | None:
        """Why it cannot compute a call with these arguments; None where it can."""
        if self.where not in (device.kind, device.name):
            return f"it is for {self.where}, not {device}"
        operands = [each for each in leaves if isinstance(each, Operand) and not each.weak]
        others = {each.dtype for each in operands} - (self.dtypes or set())
        if self.dtypes is not None and others:
            taken = ", ".join(sorted(map(str, self.dtypes)))
            return f"it takes {taken}, not {', '.join(sorted(map(str, others)))}"
        return self.refuses(operands) if self.refuses is not None else None

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any], device: Device) -> Any:
        """What it computes of tensors, as tensors. CompileError where that is not in the device's memory."""
        from xmlc.tensors.tensor import Tensor, buffer_of

        leaves, structure = flatten((args, kwargs))
        given = structure.build([buffer_of(each, device) if is_array(each) else each for each in leaves])
        results, arranged = flatten(self.compute(*given[0], **given[1]))
        buffers = [device.backend.adopt(each) for each in results]
        made = [Tensor.of(each, device) for each in buffers if each is not None]
        if len(made) != len(results):
            raise CompileError(f"the kernel {self.name} gave what is no array on {device}", place=user_place())
        return arranged.build(made)


REGISTERED: dict[Function, list[Kernel]] = {}
"""Kernels by the function that they compute, in the order of their registration."""

CHOSEN: dict[tuple[Function, Device, tuple[Static | Operand, ...]], str] = {}
"""Calls, as far as they are known without elements -> the name of what computes them: see `xmlc.compare_kernels`."""


def is_array(leaf: Any) -> bool:
    from xmlc.tensors.tensor import Tensor

    return isinstance(leaf, Tensor | np.ndarray | np.generic) or hasattr(leaf, "__dlpack__")


def register_kernel(
    operation: Any,
    compute: Function,
    *,
    dtypes: Sequence[Any] | None = None,
    device: Device | str | None = None,
    name: str | None = None,
    refuses: Callable[[Sequence[Operand]], str | None] | None = None,
) -> Kernel:
    """Have `compute` compute an operation of `xmlc.numpy` or `xmlc.nn`; what is returned can `remove()` it again.

    `device` is one, such as `cuda:1`, or all of a kind, such as `cuda`, which need not be there. `refuses` is given the
    operands, what is known of them without elements, and says why it does not compute such, or None.
    Raises CompileError for what is no operation, or an unknown device.
    """
    function = function_of(operation)
    types = None if dtypes is None else frozenset(np.dtype(each) for each in dtypes)
    named = name or f"{compute.__module__}.{getattr(compute, '__name__', type(compute).__name__)}"
    where = device if isinstance(device, str) and device in KINDS else Device(str(device or device_named(None))).name
    kernel = Kernel(named, function, compute, types, where, refuses)
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


Compute = Callable[[tuple[Any, ...], dict[str, Any], Device], Any]
"""What computes a call at once: of arguments and a device."""


@dataclass(frozen=True)
class Candidate:
    """What may compute a call."""

    name: str
    reason: str
    """Why it does, if it does."""
    refusal: str | None
    """Why it cannot; None where it can."""
    compute: Compute | None
    """None for a program."""


def candidates(function: Function, leaves: Leaves, device: Device) -> list[Candidate]:
    """All that may compute a call, in the order in which they are asked. The last one always can."""
    found = [
        Candidate(each.name, "registered for it", each.refusal(leaves, device), each.call)
        for each in reversed(REGISTERED.get(function, ()))
    ]
    numpy = library_kernel(function, leaves)
    complex_ = "complex numbers cannot be part of a program"
    found.append(
        Candidate("NumPy", complex_, None if numpy else "no number is complex", partial(call_numpy, numpy or function))
    )
    how = {"auto": "interpreted first, compiled when that is worth while", "interpret": "interpreted"}
    return [*found, Candidate(PROGRAM, how.get(device.backend.policy(), "compiled"), None, None)]


def chosen_kernel(function: Function, leaves: Leaves, device: Device) -> Compute | None:
    """What computes a call at once; None where it becomes part of a program."""
    if not REGISTERED.get(function):  # the usual case, and every operation comes by here
        numpy = library_kernel(function, leaves)
        return partial(call_numpy, numpy) if numpy else None
    return chosen(function, leaves, candidates(function, leaves, device), device).compute


def chosen(function: Function, leaves: Leaves, found: Sequence[Candidate], device: Device) -> Candidate:
    """The one that was chosen for such calls where it can compute them, else the first that can."""
    able = [each for each in found if each.refusal is None]
    wanted = CHOSEN.get((function, device, tuple(leaves))) if CHOSEN else None
    return next((each for each in able if each.name == wanted), able[0])


def explain_dispatch(operation: Any, *args: Any, **kwargs: Any) -> str:
    """Who would compute a call, and why the others would not: a line each, in the order in which they are asked."""
    from xmlc.tensors.tensor import arguments_of

    function = function_of(operation)
    _, leaves, _, device = arguments_of(function, args, kwargs)
    types = ", ".join(str(each.dtype) for each in leaves if isinstance(each, Operand))
    lines = [f"{function.__name__} of {types or 'no arrays'} on {device}"]
    found = candidates(function, leaves, device)
    winner = chosen(function, leaves, found, device)
    asked = found.index(winner)
    measured = (function, device, tuple(leaves)) in CHOSEN
    for number, each in enumerate(found):
        if each.refusal is not None:
            lines.append(f"  {each.name}: no, {each.refusal}")
        elif each is winner:
            lines.append(f"  {each.name}: chosen, {'as compare_kernels was told' if measured else each.reason}")
        else:
            lines.append(f"  {each.name}: {'not chosen' if number < asked else 'not asked any more'}")
    return "\n".join(lines)
