"""Bufferizing constants and tensor ops: views where the elements stay where they are, else copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from xdsl.dialects import arith, linalg, memref, tensor
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    DenseIntOrFPElementsAttr,
    IndexType,
    IntegerAttr,
    MemRefType,
    StridedLayoutAttr,
    TensorType,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.utils.hints import isa

from xmlc.passes.bufferize.bufferizer import Bufferizer, Rules
from xmlc.passes.bufferize.places import Place, memref_of
from xmlc.passes.memory import array_type

_INDEX = IndexType()


def _constant(b: Bufferizer, op: arith.ConstantOp) -> None:
    value, made = op.value, op.result.type
    if not isa(made, TensorType[Attribute]):
        return
    b.dead.append(op)
    assert isinstance(value, DenseIntOrFPElementsAttr)
    if 0 in made.get_shape():
        b.empty.add(op.result)  # no elements: nothing to store
    elif value.is_splat():
        b.splats[op.result] = value
    else:
        b.settle(op.result, b.constant_place(value, op))


def _empty(b: Bufferizer, op: tensor.EmptyOp) -> None:
    b.empty.add(op.tensor)
    b.dead.append(op)


def _extract(b: Bufferizer, op: tensor.ExtractOp) -> None:
    source = b.place_to_read(op.tensor, op)
    load = memref.LoadOp.create(
        operands=(source.view, *op.indices), result_types=(op.result.type,), location=op.location
    )
    b.swap(op, load)


def _dim(b: Bufferizer, op: tensor.DimOp) -> None:
    source = b.place_to_read(op.source, op)
    dim = memref.DimOp.create(operands=(source.view, op.index), result_types=(op.result.type,), location=op.location)
    b.swap(op, dim)


def _insert(b: Bufferizer, op: tensor.InsertOp) -> None:
    place = b.place_to_write(op.result, op.dest, op)
    b.before(
        op,
        memref.StoreOp.create(operands=(op.scalar, place.view, *op.indices), location=op.location),
    )
    b.dead.append(op)
    b.settle(op.result, place)


def _from_elements(b: Bufferizer, op: tensor.FromElementsOp) -> None:
    place = b.granted(op.result, op, (), None) or b.new_place(op.result, op)
    shape = memref_of(op.result).get_shape()
    constants: dict[int, SSAValue] = {}
    for position, element in enumerate(op.elements):
        indices: list[SSAValue] = []
        for extent in reversed(shape):
            position, index = divmod(position, extent)
            if index not in constants:
                constant = arith.ConstantOp.create(
                    result_types=(_INDEX,), properties={"value": IntegerAttr(index, _INDEX)}, location=op.location
                )
                b.before(op, constant)
                constants[index] = constant.result
            indices.append(constants[index])
        b.before(
            op,
            memref.StoreOp.create(operands=(element, place.view, *reversed(indices)), location=op.location),
        )
    b.dead.append(op)
    b.settle(op.result, place)


def _splat(b: Bufferizer, op: tensor.SplatOp) -> None:
    place = b.granted(op.result, op, (), None) or b.new_place(op.result, op)
    fill = linalg.ops.FillOp([op.input], [place.view], [])
    fill.location = op.location
    b.before(op, fill)
    b.dead.append(op)
    b.settle(op.result, place)


def _reshape(b: Bufferizer, op: tensor.CollapseShapeOp | tensor.ExpandShapeOp) -> None:
    """Another view of the same buffer."""
    b.dead.append(op)
    if op.src in b.empty and op.src not in b.places:
        b.empty.add(op.result)
        return
    source = b.place_to_read(op.src, op)
    kind = memref.CollapseShapeOp if isinstance(op, tensor.CollapseShapeOp) else memref.ExpandShapeOp
    view = b.reshape(kind, source.view, op.reassociation, op.result.type, op)
    b.settle(op.result, Place(source.buffer, view))


def _cast(b: Bufferizer, op: tensor.CastOp) -> None:
    source = b.place_to_read(op.source, op)
    new = memref.CastOp.create(operands=(source.view,), result_types=(memref_of(op.dest),), location=op.location)
    b.before(op, new)
    b.dead.append(op)
    b.settle(op.dest, Place(source.buffer, new.dest))


def _subview(
    op: tensor.ExtractSliceOp | tensor.InsertSliceOp,
    of: SSAValue,
    first: int,
    shape: TensorType[Attribute],
) -> memref.SubviewOp:
    """The part of `of` that a slice op names, its dynamic offsets, sizes and strides from operand `first` on."""
    return memref.SubviewOp.create(
        operands=(of, *op.operands[first:]),
        result_types=(_subview_type(cast(MemRefType[Attribute], of.type), op, shape),),
        properties={
            "static_offsets": op.static_offsets,
            "static_sizes": op.static_sizes,
            "static_strides": op.static_strides,
            "operandSegmentSizes": array_type((1, len(op.offsets), len(op.sizes), len(op.strides))),
        },
        location=op.location,
    )


def _subview_type(
    source: MemRefType[Attribute], op: tensor.ExtractSliceOp | tensor.InsertSliceOp, shape: TensorType[Attribute]
) -> MemRefType[Attribute]:
    """The strided type of a slice of `source`; a slice of smaller rank leaves out extents of one."""
    strides = source.get_strides()
    assert strides is not None
    sizes, steps = op.static_sizes.get_values(), op.static_strides.get_values()
    offsets = op.static_offsets.get_values()
    offset: int | None = 0
    for at, stride in zip(offsets, strides, strict=True):
        if at != 0:
            offset = None if at == DYNAMIC_INDEX or stride is None or offset is None else offset + at * stride
    wanted = list(shape.get_shape())
    kept: list[int | None] = []
    for dim in range(len(sizes)):
        left_over = len(sizes) - dim
        if (
            sizes[dim] == 1
            and left_over > len(wanted) - len(kept)
            and not (
                len(kept) < len(wanted) and wanted[len(kept)] == 1 and _fits(sizes[dim + 1 :], wanted[len(kept) + 1 :])
            )
        ):
            continue
        stride, step = strides[dim], steps[dim]
        kept.append(None if stride is None or step == DYNAMIC_INDEX else stride * step)
    assert len(kept) == len(wanted), f"{op.name} changes more than extents of one"
    return MemRefType(source.element_type, shape.shape, StridedLayoutAttr(kept, offset))


def _fits(sizes: Sequence[int], wanted: Sequence[int]) -> bool:
    """Whether leaving out some extents of one turns `sizes` into `wanted`."""
    if not wanted:
        return all(size == 1 for size in sizes)
    if not sizes:
        return False
    if sizes[0] == wanted[0] and _fits(sizes[1:], wanted[1:]):
        return True
    return sizes[0] == 1 and _fits(sizes[1:], wanted)


def _extract_slice(b: Bufferizer, op: tensor.ExtractSliceOp) -> None:
    source = b.place_to_read(op.source, op)
    place = b.granted(op.result, op, (), None) or b.new_place(op.result, op)
    view = _subview(op, source.view, 1, op.result.type)
    b.before(op, view, memref.CopyOp.create(operands=(view.result, place.view), location=op.location))
    b.dead.append(op)
    b.settle(op.result, place)


def _insert_slice(b: Bufferizer, op: tensor.InsertSliceOp) -> None:
    place = b.place_to_write(op.result, op.dest, op)
    if op.source in b.places or op.source not in b.empty:
        source = b.place_to_read(op.source, op)
        view = _subview(op, place.view, 2, cast(TensorType[Attribute], op.source.type))
        b.before(op, view, memref.CopyOp.create(operands=(source.view, view.result), location=op.location))
    b.dead.append(op)
    b.settle(op.result, place)


RULES: Rules = {
    arith.ConstantOp: _constant,
    tensor.CastOp: _cast,
    tensor.CollapseShapeOp: _reshape,
    tensor.DimOp: _dim,
    tensor.EmptyOp: _empty,
    tensor.ExpandShapeOp: _reshape,
    tensor.ExtractOp: _extract,
    tensor.ExtractSliceOp: _extract_slice,
    tensor.FromElementsOp: _from_elements,
    tensor.InsertOp: _insert,
    tensor.InsertSliceOp: _insert_slice,
    tensor.SplatOp: _splat,
}
