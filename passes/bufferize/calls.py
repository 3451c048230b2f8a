"""Bufferizing calls and returns: a callee writes its results where the caller says."""

from __future__ import annotations

from xdsl.dialects import func
from xdsl.dialects.builtin import (
    TensorType,
)

from xmlc.passes.bufferize.bufferizer import Bufferizer, Rules
from xmlc.passes.bufferize.places import Place


def _call(b: Bufferizer, op: func.CallOp) -> None:
    """The callee writes its results into places of the caller, none of which it reads."""
    operands = [
        b.place_to_read(value, op).view if isinstance(value.type, TensorType) else value for value in op.operands
    ]
    results = [result for result in op.results if isinstance(result.type, TensorType)]
    places: list[Place] = []
    for result in results:
        taken = [place.buffer for place in places]
        places.append(b.granted(result, op, taken, None) or b.new_place(result, op))
    new = func.CallOp.create(
        operands=(*operands, *(place.view for place in places)),
        result_types=[result.type for result in op.results if not isinstance(result.type, TensorType)],
        properties=op.properties,
        attributes=op.attributes,
        location=op.location,
    )
    b.replace(op, new)
    for result, place in zip(results, places):
        b.settle(result, place)


def _return(b: Bufferizer, op: func.ReturnOp) -> None:
    tensors = [value for value in op.operands if isinstance(value.type, TensorType)]
    b.move_all(list(zip(tensors, b.outputs, strict=True)), op)
    op.operands = [value for value in op.operands if not isinstance(value.type, TensorType)]


RULES: Rules = {
    func.CallOp: _call,
    func.ReturnOp: _return,
}
