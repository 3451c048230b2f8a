"""Laws of ops that move elements: transposes, reshapes, slices, concats, pads, broadcasts, gathers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from xdsl.ir import SSAValue

from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.composite import SoftmaxOp
from xmlc.dialects.ml.elementwise import CastOp, ElementwiseOp, UnaryOp
from xmlc.dialects.ml.shaping import (
    BroadcastOp,
    ConcatOp,
    GatherOp,
    IotaOp,
    PadMode,
    PadOp,
    ReshapeOp,
    ReverseOp,
    SliceOp,
    TileOp,
    TransposeOp,
)
from xmlc.dialects.ml.types import DYNAMIC, broadcast_shapes, element_of, rank_of, shape_of, tensor
from xmlc.passes.constants import array, has_known_sizes, is_constant, splat
from xmlc.passes.laws import law

# --- transpose and reshape


def order_of(op: TransposeOp) -> tuple[int, ...]:
    return tuple(op.permutation.get_values())


@law
def transpose_of_nothing(op: TransposeOp) -> SSAValue | None:
    """transpose(x) with the dimensions in order -> x"""
    return op.x if order_of(op) == tuple(range(rank_of(op.x))) and op.x.type == op.out.type else None


@law
def transpose_of_transpose(op: TransposeOp) -> SSAValue | None:
    """transpose(transpose(x, p), q) -> transpose(x, p[q])"""
    match op.x.owner:
        case TransposeOp(x=x) as inner:
            return F.transpose(x, [order_of(inner)[axis] for axis in order_of(op)])
        case _:
            return None


def long_axes(shape: Sequence[int]) -> tuple[int, ...]:
    """The dimensions of a size other than 1."""
    return tuple(axis for axis, size in enumerate(shape) if size != 1)


@law
def transpose_of_ones(op: TransposeOp) -> SSAValue | None:
    """transpose(x) that only moves dimensions of size 1 -> reshape(x)"""
    moved = [axis for axis in order_of(op) if shape_of(op.x)[axis] != 1]
    return F.reshape(op.x, shape_of(op.out)) if moved == sorted(moved) and has_known_sizes(op.x) else None


@law
def transpose_of_reshape_with_ones(op: TransposeOp) -> SSAValue | None:
    """transpose(reshape(x)), the reshape only adding or dropping dimensions of size 1 -> reshape(transpose(x))"""
    inner = op.x.owner
    if not isinstance(inner, ReshapeOp) or not has_known_sizes(inner.x):
        return None
    before, between = shape_of(inner.x), shape_of(op.x)
    places, middle = long_axes(before), long_axes(between)
    if [before[axis] for axis in places] != [between[axis] for axis in middle]:
        return None
    order = list(range(len(before)))
    moved = [places[middle.index(axis)] for axis in order_of(op) if axis in middle]
    for place, axis in zip(places, moved):
        order[place] = axis
    return F.reshape(F.transpose(inner.x, order), shape_of(op.out))


@law
def reshape_of_nothing(op: ReshapeOp) -> SSAValue | None:
    """reshape(x to its own shape) -> x"""
    return op.x if op.x.type == op.out.type else None


@law
def reshape_of_reshape(op: ReshapeOp) -> SSAValue | None:
    """reshape(reshape(x)) -> reshape(x)"""
    match op.x.owner:
        case ReshapeOp(x=x) if has_known_sizes(op.out):
            return F.reshape(x, shape_of(op.out))
        case _:
            return None


@law
def reshape_around_softmax(op: ReshapeOp) -> SSAValue | None:
    """reshape(softmax(reshape(x))) -> softmax(x), along a last dimension that stays, back in the shape of x"""
    match op.x.owner:
        case SoftmaxOp(x=y, axis=axis) if axis.value.data == rank_of(y) - 1:
            match y.owner:
                case ReshapeOp(x=x) if x.type == op.out.type and shape_of(x)[-1:] == shape_of(y)[-1:]:
                    return F.softmax(x, rank_of(x) - 1) if has_known_sizes(x) else None
                case _:
                    return None
        case _:
            return None


# --- broadcast


@law
def broadcast_of_nothing(op: BroadcastOp) -> SSAValue | None:
    """broadcast(x to its own shape) -> x"""
    return op.x if op.x.type == op.out.type else None


@law
def broadcast_of_broadcast(op: BroadcastOp) -> SSAValue | None:
    """broadcast(broadcast(x)) -> broadcast(x)"""
    match op.x.owner:
        case BroadcastOp(x=x):
            return F.broadcast(x, shape_of(op.out))
        case _:
            return None


@law
def broadcast_of_ones(op: BroadcastOp) -> SSAValue | None:
    """broadcast(x) that only adds dimensions of size 1 -> reshape(x)"""
    if not has_known_sizes(op.out) or prod(shape_of(op.x)) != prod(shape_of(op.out)):
        return None
    return F.reshape(op.x, shape_of(op.out))


def broadcast_source(value: SSAValue) -> SSAValue | None:
    """What a value is a broadcast of; a reshape that only adds leading dimensions of size 1 is one."""
    match value.owner:
        case BroadcastOp(x=x):
            return x
        case ReshapeOp(x=x) if shape_of(value) == (1,) * (rank_of(value) - rank_of(x)) + shape_of(x):
            return x
        case _:
            return None


@law
def operand_broadcast_anyway(op: ElementwiseOp) -> SSAValue | None:
    """f(broadcast(x), y) -> f(x, y) where y still gives the result its shape; a filled constant becomes a scalar"""
    shapes = [shape_of(operand) for operand in op.operands]
    if not has_known_sizes(op.out) or len(shapes) < 2:
        return None
    for i, operand in enumerate(op.operands):
        source = broadcast_source(operand)
        filled = source is None and prod(shapes[i]) > 1 and is_constant(operand) and splat(operand) is not None
        if source is None and not filled:
            continue
        shape = shape_of(source) if source is not None else ()
        if broadcast_shapes(*shapes[:i], shape, *shapes[i + 1 :]) != shape_of(op.out):
            continue
        small = F.scalar(operand, splat(operand)) if source is None else source
        operands = [*op.operands[:i], small, *op.operands[i + 1 :]]
        made = type(op).create(operands=operands, result_types=[op.out.type], properties=op.properties)
        return made.results[0]
    return None


@law
def unary_of_broadcast(op: UnaryOp | CastOp) -> SSAValue | None:
    """f(broadcast(x)) -> broadcast(f(x)), where nothing else uses the broadcast"""
    match op.x.owner:
        case BroadcastOp(x=x) if op.x.has_one_use() and has_known_sizes(x):
            small = tensor(shape_of(x), element_of(op.out))
            made = type(op).create(operands=[x], result_types=[small], properties=op.properties)
            return F.broadcast(made.results[0], shape_of(op.out))
        case _:
            return None


# --- slice


def parts(op: SliceOp) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Starts, sizes and strides."""
    return tuple(op.starts.get_values()), op.size_list(), tuple(op.strides.get_values())


@law
def slice_of_everything(op: SliceOp) -> SSAValue | None:
    """slice(x) that takes every element in order -> x"""
    starts, sizes, strides = parts(op)
    whole = all(s == 0 and (t == 1 or n <= 1) for s, n, t in zip(starts, sizes, strides))
    return op.x if whole and op.x.type == op.out.type else None


@law
def slice_of_slice(op: SliceOp) -> SSAValue | None:
    """slice(slice(x)) -> slice(x)"""
    inner = op.x.owner
    if not isinstance(inner, SliceOp) or 0 in shape_of(op.out):
        return None
    (starts, _, strides), (more, sizes, steps) = parts(inner), parts(op)
    return F.slice_(
        inner.x,
        [start + offset * stride for start, offset, stride in zip(starts, more, strides)],
        sizes,
        [stride * step for stride, step in zip(strides, steps)],
    )


@law
def slice_of_concat(op: SliceOp) -> SSAValue | None:
    """slice(concat(…)) that lies within one part -> slice(that part); within some -> slice(concat of those)"""
    inner = op.x.owner
    if not isinstance(inner, ConcatOp) or 0 in shape_of(op.out) or len(inner.inputs) < 2:
        return None
    starts, sizes, strides = parts(op)
    axis = inner.axis.value.data
    ends = (starts[axis], starts[axis] + (sizes[axis] - 1) * strides[axis])
    first, last = min(ends), max(ends)
    kept: list[SSAValue] = []
    offset = skipped = 0
    for each in inner.inputs:
        size = shape_of(each)[axis]
        if size == DYNAMIC:
            return None
        if offset + size <= first:
            skipped += size
        elif offset <= last:
            kept.append(each)
        offset += size
    if len(kept) == len(inner.inputs):
        return None
    whole = kept[0] if len(kept) == 1 else F.concat(kept, axis)
    moved = [start - skipped if i == axis else start for i, start in enumerate(starts)]
    return F.slice_(whole, moved, sizes, strides)


@law
def slice_of_transpose(op: SliceOp) -> SSAValue | None:
    """slice(transpose(x)) -> transpose(slice(x)), which moves fewer elements, where nothing else uses the transpose"""
    inner = op.x.owner
    if not isinstance(inner, TransposeOp) or not op.x.has_one_use():
        return None
    order = order_of(inner)
    starts, sizes, strides = ([each[order.index(axis)] for axis in range(len(order))] for each in parts(op))
    return F.transpose(F.slice_(inner.x, starts, sizes, strides), order)


@law
def slice_of_pad(op: SliceOp) -> SSAValue | None:
    """slice(pad(x)) that takes nothing of the padding -> slice(x)"""
    inner = op.x.owner
    if not isinstance(inner, PadOp) or 0 in shape_of(op.out) or not has_known_sizes(inner.x):
        return None
    starts, sizes, strides = parts(op)
    low = tuple(inner.low.get_values())
    for start, size, stride, before, extent in zip(starts, sizes, strides, low, shape_of(inner.x)):
        last = start + (size - 1) * stride
        if not before <= min(start, last) <= max(start, last) < before + extent:
            return None
    return F.slice_(inner.x, [start - before for start, before in zip(starts, low)], sizes, strides)


# --- concat


@law
def concat_of_one(op: ConcatOp) -> SSAValue | None:
    """concat(x) -> x"""
    return op.inputs[0] if len(op.inputs) == 1 and op.inputs[0].type == op.out.type else None


@law
def concat_of_empty(op: ConcatOp) -> SSAValue | None:
    """concat(x, empty, y) -> concat(x, y)"""
    axis = op.axis.value.data
    kept = [each for each in op.inputs if shape_of(each)[axis] != 0]
    return F.concat(kept, axis) if kept and len(kept) < len(op.inputs) else None


@law
def concat_of_concat(op: ConcatOp) -> SSAValue | None:
    """concat(concat(x, y), z) -> concat(x, y, z) along the same axis, where nothing else uses the inner one"""
    axis = op.axis.value.data
    flat: list[SSAValue] = []
    for each in op.inputs:
        inner = each.owner
        nested = isinstance(inner, ConcatOp) and inner.axis.value.data == axis and each.has_one_use()
        flat += inner.inputs if nested and isinstance(inner, ConcatOp) else [each]
    return F.concat(flat, axis) if len(flat) > len(op.inputs) else None


@law
def concat_of_neighbours(op: ConcatOp) -> SSAValue | None:
    """concat(x[a:b], x[b:c]) -> x[a:c] along the concat's axis"""
    axis = op.axis.value.data
    merged: list[SSAValue] = [op.inputs[0]]
    joined: list[tuple[SSAValue, list[int], list[int], tuple[int, ...]] | None] = [described(op.inputs[0])]
    for each in op.inputs[1:]:
        left, right = joined[-1], described(each)
        if left is not None and right is not None and adjacent(left, right, axis):
            sizes = list(left[2])
            sizes[axis] += right[2][axis]
            joined[-1] = (left[0], left[1], sizes, left[3])
        else:
            merged.append(each)
            joined.append(right)
    if len(joined) == len(op.inputs):
        return None
    made: list[SSAValue] = []
    for each, what in zip(merged, joined):
        same = what is None or tuple(what[2]) == shape_of(each)
        made.append(each if same or what is None else F.slice_(what[0], what[1], what[2], what[3]))
    return made[0] if len(made) == 1 else F.concat(made, axis)


def described(value: SSAValue) -> tuple[SSAValue, list[int], list[int], tuple[int, ...]] | None:
    """A slice as what it is of, starts, sizes, strides."""
    if not isinstance(value.owner, SliceOp):
        return None
    starts, sizes, strides = parts(value.owner)
    return value.owner.x, list(starts), list(sizes), strides


def adjacent(
    left: tuple[SSAValue, list[int], list[int], tuple[int, ...]],
    right: tuple[SSAValue, list[int], list[int], tuple[int, ...]],
    axis: int,
) -> bool:
    """Whether one slice goes on along `axis` where the other ends, and they agree elsewhere."""
    if left[0] is not right[0] or left[3] != right[3]:
        return False
    meets = right[1][axis] == left[1][axis] + left[2][axis] * left[3][axis]
    return meets and all(
        left[1][i] == right[1][i] and left[2][i] == right[2][i] for i in range(len(left[1])) if i != axis
    )


# --- pad, reverse, tile


@law
def pad_of_nothing(op: PadOp) -> SSAValue | None:
    """pad(x) by no elements -> x"""
    return op.x if not any((*op.low.get_values(), *op.high.get_values())) and op.x.type == op.out.type else None


@law
def pad_of_pad(op: PadOp) -> SSAValue | None:
    """pad(pad(x, v), v) -> pad(x, v) by both widths, for the same constant v"""
    inner = op.x.owner
    if not isinstance(inner, PadOp) or op.mode.data is not PadMode.CONSTANT or inner.mode.data is not PadMode.CONSTANT:
        return None
    assert op.value is not None and inner.value is not None
    outer, within = splat(op.value), splat(inner.value)
    same = outer is not None and within is not None and outer.tobytes() == within.tobytes()
    if op.value is not inner.value and not same:
        return None
    low, high = (
        [a + b for a, b in zip(first.get_values(), second.get_values())]
        for first, second in ((op.low, inner.low), (op.high, inner.high))
    )
    return F.pad(inner.x, low, high, value=op.value)


@law
def reverse_of_ones(op: ReverseOp) -> SSAValue | None:
    """reverse(x) along dimensions of size 1, or along none -> x"""
    axes = tuple(op.axes.get_values())
    longer = [axis for axis in axes if shape_of(op.x)[axis] != 1]
    if len(longer) == len(axes) and axes:
        return None
    return F.reverse(op.x, longer) if longer else op.x


@law
def reverse_of_reverse(op: ReverseOp) -> SSAValue | None:
    """reverse(reverse(x, a), b) -> reverse(x) along the axes that only one of them names"""
    match op.x.owner:
        case ReverseOp(x=x, axes=axes):
            rest = sorted(set(op.axes.get_values()) ^ set(axes.get_values()))
            return F.reverse(x, rest) if rest else x
        case _:
            return None


@law
def tile_of_one(op: TileOp) -> SSAValue | None:
    """tile(x) once -> x; tile(x) along dimensions of size 1 only -> broadcast(x)"""
    repeats = op.repeats.get_values()
    if not all(count == 1 or size == 1 for count, size in zip(repeats, shape_of(op.x))) or not has_known_sizes(op.x):
        return None
    return F.broadcast(op.x, shape_of(op.out))


# --- gather


@law
def gather_of_progression(op: GatherOp) -> SSAValue | None:
    """gather(x, a number) or (x, a, a + s, a + 2 s …) -> slice(x), reshaped; indices are clamped to x first"""
    axis, size = op.axis.value.data, shape_of(op.x)[op.axis.value.data]
    indices = op.indices.owner
    if size in (0, DYNAMIC) or not has_known_sizes(op.out) or not has_known_sizes(op.x):
        return None
    if isinstance(indices, IotaOp) and rank_of(op.indices) == 1:
        wanted = list(range(shape_of(op.indices)[0]))
    elif (found := array(op.indices)) is not None and found.size <= 1 << 16:
        wanted = [int(each) for each in found.ravel()]
    else:
        return None
    if not wanted:
        return None
    wanted = [min(max(each, 0), size - 1) for each in wanted]
    step = wanted[1] - wanted[0] if len(wanted) > 1 else 1
    if step == 0 or any(b - a != step for a, b in pairwise(wanted)):
        return None
    starts, sizes, strides = [0] * rank_of(op.x), list(shape_of(op.x)), [1] * rank_of(op.x)
    starts[axis], sizes[axis], strides[axis] = wanted[0], len(wanted), step
    return F.reshape(F.slice_(op.x, starts, sizes, strides), shape_of(op.out))


@law
def gather_of_elementwise(op: GatherOp) -> SSAValue | None:
    """gather(f(x, y), i) -> f(gather(x, i), gather(y, i)) along dimension 0, where it takes fewer elements

    What broadcasts along that dimension stays as it is. Nothing else may use f(x, y).
    """
    inner = op.x.owner
    if not isinstance(inner, ElementwiseOp | CastOp) or op.axis.value.data != 0 or not op.x.has_one_use():
        return None
    if not has_known_sizes(op.out) or prod(shape_of(op.out)) >= prod(shape_of(op.x)):
        return None
    rank, extra = rank_of(op.x), rank_of(op.indices) - 1
    plan: list[bool] = []
    for operand in inner.operands:
        shape = shape_of(operand)
        along = len(shape) == rank and shape[0] != 1
        if not along and len(shape) == rank and extra < 0:
            return None
        plan.append(along)
    if not any(plan):
        return None
    operands = [F.gather(each, op.indices, 0) if along else each for each, along in zip(inner.operands, plan)]
    made = type(inner).create(operands=operands, result_types=[op.out.type], properties=inner.properties)
    return made.results[0]


SHAPING = (
    transpose_of_nothing, transpose_of_transpose, transpose_of_ones, transpose_of_reshape_with_ones,
    reshape_of_nothing, reshape_of_reshape, reshape_around_softmax, broadcast_of_nothing, broadcast_of_broadcast,
    broadcast_of_ones, operand_broadcast_anyway, unary_of_broadcast, slice_of_everything, slice_of_slice,
    slice_of_concat, slice_of_transpose, slice_of_pad,
    concat_of_one, concat_of_empty, concat_of_concat, concat_of_neighbours, pad_of_nothing, pad_of_pad,
    reverse_of_ones, reverse_of_reverse, tile_of_one, gather_of_progression, gather_of_elementwise,
)  # fmt: skip
