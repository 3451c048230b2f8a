"""Where a NaN comes from: `xmlc.debug_nans()` makes calls that give one say which operation, at which line.

with xmlc.debug_nans():
    step(parameters, x)
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

from xmlc.dialects.context_variables import setting
from xmlc.dialects.diagnostics import CompileError, place_of
from xmlc.dialects.ml.shaping import ConstantOp
from xmlc.dialects.reference.interpreter import Evaluate, Frame, Program

SEARCHING: ContextVar[bool] = ContextVar("xmlc debug_nans", default=False)
"""Whether results are searched for NaN."""


@contextmanager
def debug_nans() -> Generator[None]:
    """In the `with` block a compiled function whose result has a NaN raises CompileError, at the line it came from.

    Such a call is repeated in the reference interpreter, operation by operation.
    """
    with setting(SEARCHING, True):
        yield


@contextmanager
def unsearched() -> Generator[None]:
    with setting(SEARCHING, False):
        yield


def has_nan(value: Any) -> bool:
    array = np.asarray(value)
    return array.dtype.kind in "fV" and bool(np.isnan(array.astype(np.float64)).any())


class Search(Program):
    """A program that stops at the first operation that gives a NaN and was given none."""

    def row(self, op: type[Operation]) -> Evaluate | None:
        found = super().row(op)
        if found is None or op is ConstantOp:
            return found

        def evaluate(frame: Frame, op: Operation) -> None:
            found(frame, op)
            if any(map(has_nan, frame.get(op.results))) and not any(map(has_nan, frame.get(op.operands))):
                inputs = ", ".join(f"{operand.type}" for operand in op.operands)
                raise CompileError(f"{op.name} of {inputs} gives nan", place=place_of(op.location))

        return evaluate


def explain_nan(module: ModuleOp, inputs: Sequence[Any]) -> None:
    """Raise CompileError for the operation of @main that makes a NaN of these inputs."""
    program = Search(module, {})
    arrays = [np.asarray(each) for each in inputs]
    with np.errstate(all="ignore"):
        program.call(module, "main", arrays)
    if not any(map(has_nan, arrays)):
        raise CompileError(
            "the compiled function gives nan, and none of its operations does in the reference interpreter"
        )
    raise CompileError("the arguments have nan")
