"""Bufferizing linalg ops, fused attention and sorts: their inits are written over where that is allowed."""

from __future__ import annotations

from xdsl.dialects import linalg, tensor
from xdsl.dialects.builtin import (
    TensorType,
)
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineMap

from xmlc.dialects.fused_attention import FusedAttentionOp
from xmlc.dialects.fused_sort import FusedSortOp
from xmlc.passes.bufferize.bufferizer import Bufferizer, Rules
from xmlc.passes.bufferize.places import Place, memref_of
from xmlc.passes.bufferize.sources import all_dims, visits_once
from xmlc.passes.memory import array_type


def _fill(b: Bufferizer, op: linalg.ops.FillOp) -> None:
    if not op.res:
        return
    place = b.place_to_write(op.res[0], op.outputs[0], op, keep=False)
    fill = linalg.ops.FillOp([op.inputs[0]], [place.view], [])
    fill.location = op.location
    fill.attributes = dict(op.attributes)
    b.replace(op, fill)
    b.settle(op.res[0], place)


def _generic(b: Bufferizer, op: linalg.ops.GenericOp) -> None:
    if not op.res:
        return
    maps = [attribute.data for attribute in op.indexing_maps]
    body = op.body.block
    captured = [inner for inner in body.walk() if isinstance(inner, tensor.ExtractOp | tensor.DimOp)]
    for inner in captured:
        b.place_to_read(inner.operands[0], op)
    inputs = [b.place_to_read(value, op).view if isinstance(value.type, TensorType) else value for value in op.inputs]
    places: list[Place] = []
    for number, (result, init) in enumerate(zip(op.res, op.outputs, strict=True)):
        map_ = maps[len(inputs) + number]
        arg = body.args[len(inputs) + number]
        place = b.place_to_write(
            result,
            init,
            op,
            keep=bool(arg.uses) or not _covers(map_, init),
            taken=[place.buffer for place in places],
            element=map_ if visits_once(map_) else None,
        )
        places.append(place)
    for inner in captured:  # only now: what the body reads decides where its results may go
        b.apply(inner)
    region = op.body
    op.detach_region(region)
    new = linalg.ops.GenericOp.create(
        operands=(*inputs, *(place.view for place in places)),
        properties={
            **op.properties,
            "operandSegmentSizes": array_type((len(inputs), len(places))),
        },
        attributes=op.attributes,
        regions=(region,),
        location=op.location,
    )
    b.replace(op, new)
    for result, place in zip(op.res, places):
        b.settle(result, place)


def _attention(b: Bufferizer, op: FusedAttentionOp) -> None:
    if op.result is None:
        return
    operands = (op.query, op.key, op.value, *((op.mask,) if op.mask else ()))
    query, key, value, *mask = [b.place_to_read(each, op).view for each in operands]
    place = b.place_to_write(op.result, op.out, op, keep=False)
    new = FusedAttentionOp.create(
        operands=(query, key, value, place.view, *mask),
        properties=op.properties,
        attributes=op.attributes,
        location=op.location,
    )
    b.replace(op, new)
    b.settle(op.result, place)


def _sort(b: Bufferizer, op: FusedSortOp) -> None:
    if not op.res:
        return
    x = b.place_to_read(op.x, op).view
    values = b.place_to_write(op.res[0], op.values, op, keep=False)
    indices = b.place_to_write(op.res[1], op.indices, op, keep=False, taken=[values.buffer])
    new = FusedSortOp.create(
        operands=(x, values.view, indices.view),
        properties={**op.properties},
        attributes=op.attributes,
        location=op.location,
    )
    b.replace(op, new)
    b.settle(op.res[0], values)
    b.settle(op.res[1], indices)


def _covers(map_: AffineMap, init: SSAValue) -> bool:
    """Whether a map reaches every element of `init`: each dimension of more than one element has a loop of its own."""
    shape = memref_of(init).get_shape()
    moving = [expression for expression, extent in zip(map_.results, shape, strict=True) if extent != 1]
    return len(set(moving)) == len(moving) and all_dims(moving)


RULES: Rules = {
    FusedAttentionOp: _attention,
    FusedSortOp: _sort,
    linalg.ops.FillOp: _fill,
    linalg.ops.GenericOp: _generic,
}
