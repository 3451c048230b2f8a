"""What `func` means: calls. A function's body is run by the interpreter itself."""

from __future__ import annotations

from xdsl.dialects import func

from xmlc.dialects.reference.interpreter import Frame, accept


def call(frame: Frame, op: func.CallOp) -> None:
    """The callee's results for these arguments; what a declared function returns is checked."""
    name = op.callee.root_reference.data
    results = frame.call(op, name, frame.get(op.arguments))
    if name in frame.program.functions:
        results = [accept(op, value, result.type, "result") for value, result in zip(results, op.results)]
    frame.set(op, *results)


EVALUATE = {func.CallOp: call}
