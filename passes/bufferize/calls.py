"""Bufferizing calls and returns: a callee writes its results where the caller says."""

from __future__ import annotations

from xdsl.dialects import func
from xdsl.dialects.builtin import (
    TensorType,
)
from xdsl.ir import SSAValue

from xmlc.passes.bufferize.bufferizer import Bufferizer, Rules
from xmlc.passes.bufferize.places import Place


def _call(b: Bufferizer, op: func.CallOp) -> None:
    """The callee writes its results into places of the caller; what it reads, only where a result takes its place."""
    operands = [
        b.place_to_read(value, op).view if isinstance(value.type, TensorType) else value for value in op.operands
    ]
    in_place = b.in_place.get(op.callee.string_value(), {})
    results: list[SSAValue] = []
    places: list[Place] = []
    added: list[SSAValue] = []
    for number, result in enumerate(op.results):
        if not isinstance(result.type, TensorType):
            continue
        taken = [place.buffer for place in places]
        if (at := in_place.get(number)) is not None:
            place = b.place_to_write(result, op.operands[at], op, taken=taken)
            operands[at] = place.view
        else:
            place = b.granted(result, op, taken, None) or b.new_place(result, op)
            added.append(place.view)
        results.append(result)
        places.append(place)
    new = func.CallOp.create(
        operands=(*operands, *added),
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
