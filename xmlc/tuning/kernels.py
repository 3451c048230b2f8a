"""The kernels of a program at the level `linalg`, each as a program of its own that can be compiled and timed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import CallOp, FuncOp

from xmlc.cache_key import digest
from xmlc.driver import KERNELS, STAGE
from xmlc.passes.deduplicate_kernels import structure
from xmlc.passes.form_kernels import KERNEL
from xmlc.passes.gpu.stated import Value, state

Schedule = tuple[tuple[str, Value], ...]
"""The fields of one schedule; none of them: what the cost model chooses."""
Schedules = tuple[tuple[str, tuple[Schedule, ...]], ...]
"""Kind -> the schedules of that kind, in the order of what they are for."""


@dataclass(frozen=True)
class Kernel:
    """A kernel function: what it computes (its identity), the function, and how often a call of the program runs it."""

    identity: str
    function: FuncOp
    launches: int

    @property
    def name(self) -> str:
        return self.function.sym_name.data

    def alone(self, schedules: Schedules) -> ModuleOp:
        """A program of this kernel, which states schedules."""
        function = self.function.clone()
        function.properties["sym_visibility"] = StringAttr("public")
        apply(function, schedules)
        module = ModuleOp([function])
        module.attributes[STAGE] = StringAttr(KERNELS)
        return module


def kernels_of(module: ModuleOp) -> list[Kernel]:
    """The kernel functions of a program at the level `linalg`."""
    calls = Counter(op.callee.string_value() for op in module.walk() if isinstance(op, CallOp))
    return [
        Kernel(digest(repr(structure(op.body.block))), op, calls[op.sym_name.data])
        for op in module.ops
        if isinstance(op, FuncOp) and KERNEL in op.attributes and not any(isinstance(x, CallOp) for x in op.walk())
    ]


def apply(function: FuncOp, schedules: Schedules) -> None:
    for kind, stated in schedules:
        state(function, kind, [dict(each) for each in stated])
