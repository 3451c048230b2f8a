"""Remarks: what a pass did to an op, what it left alone, and why, in words for who wrote the program.

A pass says what it has to say as it goes; nobody listens unless the driver collects:

    remarks.passed(op, lambda: f"direct, tile 8x32: {cycles:,.0f} cycles by the cost model")

The message is a function, so that it is made only if somebody listens.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass

from xmlc.dialects.context_variables import setting
from xmlc.dialects.diagnostics import Place, place_of


class Kind(StrEnum):
    """What a remark tells: a choice that was made, one that was not and could have been, or just what was found."""

    PASSED = "passed"
    MISSED = "missed"
    ANALYSIS = "analysis"


@dataclass(frozen=True)
class Remark:
    """One remark on an op: which pass makes it, in which function, where the user wrote what became the op."""

    kind: Kind
    transformation: str
    function: str
    op: str
    place: Place | None
    message: str

    def render(self) -> str:
        """`net.onnx:7:12: missed: @softmax: not fused, since … [fuse-linalg]`"""
        place = f"{self.place}: " if self.place else ""
        function = f"@{self.function}: " if self.function else ""
        return f"{place}{self.kind}: {function}{self.message} [{self.transformation}]"

    def record(self) -> dict[str, Any]:
        """The same as data for JSON."""
        place = self.place and {"file": self.place.file, "line": self.place.line, "column": self.place.column}
        return {
            "kind": str(self.kind),
            "pass": self.transformation,
            "function": self.function,
            "op": self.op,
            "place": place,
            "message": self.message,
        }


class Remarks:
    """Remarks collected in the order they were made; a watcher, which so knows whose they are."""

    def __init__(self) -> None:
        self.found: list[Remark] = []
        self.transformation = ""

    @contextmanager
    def collecting(self) -> Generator[None]:
        """Listen to the passes that run inside the `with` block."""
        with setting(LISTENER, self):
            yield

    def before(self, transformation: ModulePass, module: ModuleOp) -> None:
        self.transformation = transformation.name

    def after(self, transformation: ModulePass, module: ModuleOp) -> None:
        self.transformation = ""

    def add(self, kind: Kind, op: Operation, message: str) -> None:
        made = Remark(kind, self.transformation, function_of(op), op.name, place_of(op.location), message)
        self.found.append(made)

    def render(self) -> str:
        """One line a remark."""
        return "\n".join(each.render() for each in self.found)


LISTENER: ContextVar[Remarks | None] = ContextVar("remarks", default=None)


def wanted() -> bool:
    """Whether somebody listens: what is costly to find out need not be found out else."""
    return LISTENER.get() is not None


def passed(op: Operation, message: Callable[[], str]) -> None:
    """The pass chose this for `op`, and why."""
    remark(Kind.PASSED, op, message)


def missed(op: Operation, message: Callable[[], str]) -> None:
    """The pass left `op` as it was though it could have gained, and why."""
    remark(Kind.MISSED, op, message)


def analysis(op: Operation, message: Callable[[], str]) -> None:
    """What the pass found out about `op`."""
    remark(Kind.ANALYSIS, op, message)


def remark(kind: Kind, op: Operation, message: Callable[[], str]) -> None:
    listener = LISTENER.get()
    if listener is not None:
        listener.add(kind, op, message())


def function_of(op: Operation) -> str:
    """The name of the function that an op is in, or is; empty outside of all."""
    inside: Operation | None = op
    while inside is not None and not isinstance(inside, func.FuncOp):
        inside = inside.parent_op()
    return inside.sym_name.data if inside is not None else ""
