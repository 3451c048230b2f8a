"""Kernels of libraries that are registered by name, so that they can be compared with programs of ours, and chosen.

kernels = xmlc.use_library("cublaslt")
print(xmlc.compare_kernels(xp.matmul, a, b))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xmlc.dialects.diagnostics import CompileError
from xmlc.frontend.python.places import user_place
from xmlc.tensors import operations
from xmlc.tensors.dispatch import Kernel, register_kernel
from xmlc.tensors.graph import Operand
from xmlc.tensors.tensor import Operation


@dataclass(frozen=True)
class LibraryKernel:
    """A function of a library, and what is needed to register it."""

    operation: Operation[...]
    compute: Callable[..., Any]
    dtypes: Sequence[Any]
    device: str
    refuses: Callable[[Sequence[Operand]], str | None] | None = None


def cublaslt() -> Sequence[LibraryKernel]:
    from xmlc.tensors import cublaslt as library

    library.bindings()
    return [LibraryKernel(operations.matmul, library.matmul, list(library.NUMBERS), "cuda", library.refuses)]


def numpy() -> Sequence[LibraryKernel]:
    products = (
        (operations.matmul, np.matmul),
        (operations.outer, np.outer),
        (operations.tensordot, np.tensordot),
        (operations.vecdot, np.vecdot),
    )
    return [LibraryKernel(*each, ["float32", "float64"], "cpu") for each in products]


LIBRARIES: dict[str, Callable[[], Sequence[LibraryKernel]]] = {"cublaslt": cublaslt, "numpy": numpy}
"""Name -> its kernels. Raises CompileError where the library is not installed."""


def use_library(name: str) -> list[Kernel]:
    """Register the kernels of a library: they are asked before programs of ours. Each can `remove()` itself again.

    Raises CompileError for an unknown one, or where it is not installed.
    """
    if name not in LIBRARIES:
        raise CompileError(
            f"there is no library '{name}'", place=user_place(), hint=f"the libraries are {', '.join(LIBRARIES)}"
        )
    return [
        register_kernel(
            each.operation,
            each.compute,
            dtypes=each.dtypes,
            device=each.device,
            name=f"{name} {each.operation.function.__name__}",
            refuses=each.refuses,
        )
        for each in LIBRARIES[name]()
    ]
