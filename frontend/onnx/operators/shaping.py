"""ONNX operators that make tensors, change their shape, or move their elements around."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from xdsl.dialects.builtin import i64
from xdsl.ir import SSAValue
from xdsl.utils.exceptions import VerifyException

from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.dtypes import FROM_NUMPY, TO_NUMPY
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import broadcast_shapes, element_of, rank_of, shape_of
from xmlc.dialects.sizes import UnknownSize, is_symbolic
from xmlc.frontend.onnx import tensors
from xmlc.frontend.onnx.operator import Node
from xmlc.frontend.onnx.shape_arithmetic import array_of_sizes, is_of_sizes
from xmlc.frontend.onnx.tensors import Array
from xmlc.frontend.onnx.unsupported import Unsupported
from xmlc.frontend.onnx.values import FOLDED_ELEMENTS, Value

# --- tensors from nothing


def Constant(
    *,
    value: Array | None = None,
    sparse_value: Array | None = None,
    value_float: float | None = None,
    value_floats: tuple[float, ...] | None = None,
    value_int: int | None = None,
    value_ints: tuple[int, ...] | None = None,
) -> Array:
    for tensor in (value, sparse_value):
        if tensor is not None:
            return tensor
    for number in (value_float, value_floats):
        if number is not None:
            return np.asarray(number, np.float32)
    for number in (value_int, value_ints):
        if number is not None:
            return np.asarray(number, np.int64)
    raise CompileError("a constant without a value")


def ConstantOfShape(shape: Array, *, value: Array | None = None) -> SSAValue | Array:
    fill = np.zeros((), np.float32) if value is None else value.reshape(())
    return filled(integers(shape), fill)


def filled(shape: Sequence[int], fill: Array) -> SSAValue | Array:
    """A tensor of one value: known at import where it is small."""
    if not is_symbolic(shape) and prod(shape) <= FOLDED_ELEMENTS:
        return np.full(shape, fill)
    return F.broadcast(F.constant(fill), tuple(shape))


def EyeLike(x: Value, *, dtype: int | None = None, k: int = 0) -> Array:
    if len(x.shape) != 2:
        raise CompileError(f"expected a matrix, found rank {len(x.shape)}")
    return np.eye(*x.shape, k=k, dtype=x.dtype if dtype is None else tensors.dtype_of(dtype))


def Range(start: Array, limit: Array, delta: Array) -> SSAValue | Array:
    start, limit, delta = (each.reshape(()) for each in (start, limit, delta))
    if delta == 0:
        raise CompileError("the step of a range must not be 0")
    if is_of_sizes(limit):
        return symbolic_range(start.item(), limit.item(), delta.item())
    count = max(int(np.ceil((limit.astype(np.float64) - start) / delta)), 0)
    if start.dtype.kind in "iu":
        count = len(range(int(start), int(limit), int(delta)))
    if count <= FOLDED_ELEMENTS:
        return (start + np.arange(count) * delta).astype(start.dtype)
    steps = F.iota((count,), 0, FROM_NUMPY[start.dtype])
    return F.add(F.mul(steps, F.constant(delta)), F.constant(start))


def symbolic_range(start: int, limit: int, step: int) -> SSAValue:
    """A range whose end is known only at run time."""
    if is_symbolic((start, step)) or step < 0 or not start < limit:
        raise UnknownSize(f"a range from {start} to {limit} in steps of {step}")
    steps = F.iota((-(-(limit - start) // step),), 0, i64)
    return F.add(F.mul(steps, F.constant(np.int64(step))), F.constant(np.int64(start)))


# --- facts about a shape


def Shape(x: Value) -> Array:
    return array_of_sizes(x.shape)


def Shape_15(x: Value, *, start: int = 0, end: int | None = None) -> Array:
    return array_of_sizes(x.shape[start:end])


def Size(x: Value) -> Array:
    return array_of_sizes([prod(x.shape)]).reshape(())


# --- the same elements under another shape


def integers(array: Array) -> tuple[int, ...]:
    """The elements of a tensor of integers, in order; sizes known only at run time stay symbolic."""
    return tuple(each if is_symbolic((each,)) else int(each) for each in array.reshape(-1).tolist())


def Reshape(x: SSAValue, shape: Array, *, allowzero: int = 0) -> SSAValue:
    """-1 stands for what is left; 0 copies the size at its place unless `allowzero`."""
    before = shape_of(x)
    after = list(integers(shape))
    for axis, size in enumerate(after):
        if size == 0 and not allowzero:
            if axis >= len(before):
                raise CompileError(f"cannot copy size {axis} of a tensor of rank {len(before)}")
            after[axis] = before[axis]
    if after.count(-1) > 1 or any(size < -1 for size in after):
        raise CompileError(f"cannot reshape to {after}")
    if -1 in after:
        rest = prod(size for size in after if size != -1)
        if rest == 0 or prod(before) % rest:
            raise CompileError(f"cannot reshape {list(before)} to {after}: the sizes do not divide")
        after[after.index(-1)] = prod(before) // rest
    return F.reshape(x, after)


def Flatten(x: SSAValue, *, axis: int = 1) -> SSAValue:
    shape = shape_of(x)
    axis = axis + len(shape) if axis < 0 else axis
    return F.reshape(x, (prod(shape[:axis]), prod(shape[axis:])))


def positive(axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """Axes counted from the front; CompileError for one out of range."""
    for axis in axes:
        if not -rank <= axis < rank:
            raise CompileError(f"axis {axis} is out of range for rank {rank}")
    return tuple(axis % rank for axis in axes)


def Squeeze(x: SSAValue, *, axes: tuple[int, ...] | None = None) -> SSAValue:
    """Before opset 13 the axes are an attribute."""
    shape = shape_of(x)
    if axes is None:
        return F.reshape(x, [size for size in shape if size != 1])
    dropped = positive(axes, len(shape))
    if any(shape[axis] != 1 for axis in dropped):
        raise CompileError(f"cannot squeeze axes {list(axes)} of shape {list(shape)}: a size is not 1")
    return F.reshape(x, [size for axis, size in enumerate(shape) if axis not in dropped])


def Squeeze_13(x: SSAValue, axes: Array | None = None) -> SSAValue:
    return Squeeze(x, axes=None if axes is None else integers(axes))


def Unsqueeze(x: SSAValue, *, axes: tuple[int, ...]) -> SSAValue:
    """Before opset 13 the axes are an attribute."""
    shape = iter(shape_of(x))
    rank = rank_of(x) + len(axes)
    new = positive(axes, rank)
    if len(set(new)) != len(new):
        raise CompileError(f"axes {list(axes)} name a dimension twice")
    return F.reshape(x, [1 if axis in new else next(shape) for axis in range(rank)])


def Unsqueeze_13(x: SSAValue, axes: Array) -> SSAValue:
    return Unsqueeze(x, axes=integers(axes))


def Transpose(x: SSAValue, *, perm: tuple[int, ...] | None = None) -> SSAValue:
    return F.transpose(x, tuple(reversed(range(rank_of(x)))) if perm is None else perm)


def Expand(x: SSAValue, shape: Array) -> SSAValue:
    """Both sides stretch: a size 1 in `shape` keeps x's size."""
    try:
        return F.broadcast(x, broadcast_shapes(shape_of(x), integers(shape)))
    except VerifyException as error:
        raise CompileError(f"cannot expand {list(shape_of(x))} to {list(integers(shape))}") from error


def DepthToSpace(x: SSAValue, *, blocksize: int, mode: str = "DCR") -> SSAValue:
    n, c, h, w = shape_of(x)
    b, rest = blocksize, c // blocksize**2
    if mode == "DCR":
        split = F.transpose(F.reshape(x, (n, b, b, rest, h, w)), (0, 3, 4, 1, 5, 2))
    else:
        split = F.transpose(F.reshape(x, (n, rest, b, b, h, w)), (0, 1, 4, 2, 5, 3))
    return F.reshape(split, (n, rest, h * b, w * b))


def SpaceToDepth(x: SSAValue, *, blocksize: int, mode: str = "DCR") -> SSAValue:
    n, c, h, w = shape_of(x)
    b = blocksize
    order = (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
    split = F.transpose(F.reshape(x, (n, c, h // b, b, w // b, b)), order)
    return F.reshape(split, (n, c * b * b, h // b, w // b))


# --- pieces


def Concat(*operands: SSAValue, axis: int) -> SSAValue:
    return operands[0] if len(operands) == 1 else F.concat(operands, axis)


def split_sizes(total: int, pieces: int) -> list[int]:
    """Equal sizes, the last one smaller where they do not divide."""
    size = -(-total // pieces)
    return [max(min(size, total - i * size), 0) for i in range(pieces)]


def split(x: SSAValue, axis: int, sizes: Sequence[int]) -> tuple[SSAValue, ...]:
    shape = list(shape_of(x))
    (axis,) = positive((axis,), len(shape))
    if sum(sizes) != shape[axis] or min(sizes, default=0) < 0:
        raise CompileError(f"cannot split size {shape[axis]} into {list(sizes)}")
    results: list[SSAValue] = []
    start = [0] * len(shape)
    for size in sizes:
        shape[axis] = size
        results.append(F.slice_(x, start, shape))
        start[axis] += size
    return tuple(results)


def Split(x: SSAValue, *, axis: int = 0, split: tuple[int, ...] | None = None, node: Node) -> tuple[SSAValue, ...]:
    """Before opset 13 the sizes are an attribute."""
    return split_evenly(x, axis, split, len(node.outputs))


def Split_13(x: SSAValue, sizes: Array | None = None, *, axis: int = 0, node: Node) -> tuple[SSAValue, ...]:
    return split_evenly(x, axis, None if sizes is None else integers(sizes), len(node.outputs))


def Split_18(
    x: SSAValue, sizes: Array | None = None, *, axis: int = 0, num_outputs: int | None = None, node: Node
) -> tuple[SSAValue, ...]:
    return split_evenly(x, axis, None if sizes is None else integers(sizes), num_outputs or len(node.outputs))


def split_evenly(x: SSAValue, axis: int, sizes: Sequence[int] | None, pieces: int) -> tuple[SSAValue, ...]:
    (axis,) = positive((axis,), rank_of(x))
    return split(x, axis, split_sizes(shape_of(x)[axis], pieces) if sizes is None else sizes)


def Slice(
    x: SSAValue, *, starts: tuple[int, ...], ends: tuple[int, ...], axes: tuple[int, ...] | None = None
) -> SSAValue:
    """Before opset 10 the bounds are attributes, and steps are 1."""
    return sliced(x, starts, ends, axes, None)


def Slice_10(
    x: SSAValue, starts: Array, ends: Array, axes: Array | None = None, steps: Array | None = None
) -> SSAValue:
    return sliced(
        x,
        integers(starts),
        integers(ends),
        None if axes is None else integers(axes),
        None if steps is None else integers(steps),
    )


def sliced(
    x: SSAValue,
    starts: Sequence[int],
    ends: Sequence[int],
    axes: Sequence[int] | None,
    steps: Sequence[int] | None,
) -> SSAValue:
    """x[start:end:step] along each axis, as Python slices do; ends beyond the size stand for all of it."""
    shape = shape_of(x)
    axes = positive(range(len(starts)) if axes is None else axes, len(shape))
    steps = [1] * len(starts) if steps is None else steps
    begin, size, stride = [0] * len(shape), list(shape), [1] * len(shape)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if step == 0:
            raise CompileError("the step of a slice must not be 0")
        # an end at or before -size - 1 means "past the front" for a negative step, which None spells
        if is_symbolic((shape[axis], start, end)):
            begin[axis], size[axis], stride[axis] = symbolic_slice(shape[axis], start, end, step)
            continue
        past = step < 0 and end < -shape[axis]
        taken = range(shape[axis])[slice(start, None if past else end, step)]
        begin[axis], size[axis], stride[axis] = (taken[0] if taken else 0), len(taken), step
    return F.slice_(x, begin, size, stride)


LARGE = 1 << 31
"""Ends from here on stand for the end of a dimension, whatever its size."""


def symbolic_slice(size: int, start: int, end: int, step: int) -> tuple[int, int, int]:
    """Start, size and stride of a slice whose bounds or dimension are known only at run time.

    UnknownSize where it is not known which end is first, or where it starts.
    """
    if step < 1:
        raise UnknownSize("a slice runs backwards through a size known only at run time")
    start, end = (at + size if at < 0 else at for at in (start, end))
    if is_symbolic((start,)):
        raise UnknownSize(f"a slice starts at {start}, known only at run time")
    # asked in this way, an end at the size is no special case
    end = size if (not is_symbolic((end,)) and end >= LARGE) or size < end else end
    return (start, -(-(end - start) // step), step) if start < end else (0, 0, step)


def Tile(x: SSAValue, repeats: Array) -> SSAValue:
    return F.tile(x, integers(repeats))


def Trilu(x: SSAValue, k: Array | None = None, *, upper: int = 1) -> SSAValue:
    """x where column - row >= k, or <= k for the lower triangle; 0 elsewhere."""
    diagonal = 0 if k is None else int(k.reshape(()))
    rows, columns = shape_of(x)[-2:]
    row = F.add(F.iota((rows, columns), 0, FROM_NUMPY[np.dtype(np.int64)]), F.constant(np.array(diagonal)))
    column = F.iota((rows, columns), 1, FROM_NUMPY[np.dtype(np.int64)])
    kept = F.compare(column, row, "ge" if upper else "le")
    return F.select(kept, x, F.constant(np.zeros((), TO_NUMPY[element_of(x)])))


# --- padding


def Pad(x: SSAValue, *, pads: tuple[int, ...], mode: str = "constant", value: float = 0.0) -> SSAValue:
    """Before opset 11 the widths are an attribute."""
    return padded(x, pads, mode, F.scalar(x, value))


def Pad_11(
    x: SSAValue,
    pads: Array,
    value: SSAValue | None = None,
    axes: Array | None = None,
    *,
    mode: str = "constant",
) -> SSAValue:
    rank = rank_of(x)
    named = positive(range(rank) if axes is None else integers(axes), rank)
    widths = [0] * (2 * rank)
    given = integers(pads)
    if len(given) != 2 * len(named):
        raise CompileError(f"expected {2 * len(named)} padding widths, found {len(given)}")
    for i, axis in enumerate(named):
        widths[axis], widths[rank + axis] = given[i], given[len(named) + i]
    fill = F.constant(np.zeros((), TO_NUMPY[element_of(x)])) if value is None else F.reshape(value, ())
    return padded(x, widths, mode, fill)


def padded(x: SSAValue, pads: Sequence[int], mode: str, fill: SSAValue) -> SSAValue:
    """x with pads[k] elements before and pads[rank + k] after it in dimension k; negative widths cut off."""
    rank = rank_of(x)
    low, high = pads[:rank], pads[rank:]
    if min(pads, default=0) < 0:
        starts = [max(-width, 0) for width in low]
        sizes = [size - start - max(-after, 0) for size, start, after in zip(shape_of(x), starts, high, strict=True)]
        x = F.slice_(x, starts, sizes)
        low, high = [max(width, 0) for width in low], [max(width, 0) for width in high]
    if not any((*low, *high)):
        return x
    match mode:
        case "constant":
            return F.pad(x, low, high, "constant", fill)
        case "wrap":
            return wrapped(x, low, high)
        case "edge" | "reflect":
            return F.pad(x, low, high, mode)
        case _:
            raise Unsupported(f"padding mode {mode} is not supported")


def wrapped(x: SSAValue, low: Sequence[int], high: Sequence[int]) -> SSAValue:
    """x repeated without end in all directions, seen through a window."""
    shape = shape_of(x)
    repeats = [-(-before // size) + 1 + -(-after // size) for before, after, size in zip(low, high, shape, strict=True)]
    starts = [-before % size for before, size in zip(low, shape, strict=True)]
    sizes = [before + size + after for before, size, after in zip(low, shape, high, strict=True)]
    return F.slice_(F.tile(x, repeats), starts, sizes)


def CenterCropPad(x: SSAValue, shape: Array, *, axes: tuple[int, ...] | None = None) -> SSAValue:
    """Cut or pad with zeros on both sides to `shape`; the odd element is at the end."""
    rank = rank_of(x)
    wanted = list(shape_of(x))
    for axis, size in zip(positive(range(rank) if axes is None else axes, rank), integers(shape), strict=True):
        wanted[axis] = size
    low = [
        (after - before) // 2 if after >= before else -((before - after) // 2)
        for before, after in zip(shape_of(x), wanted, strict=True)
    ]
    high = [after - before - first for before, after, first in zip(shape_of(x), wanted, low, strict=True)]
    return padded(x, [*low, *high], "constant", F.constant(np.zeros((), TO_NUMPY[element_of(x)])))
