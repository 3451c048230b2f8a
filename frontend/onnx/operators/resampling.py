"""ONNX operators that sample an image at other places than its pixels."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod

import numpy as np
from xdsl.dialects.builtin import i64
from xdsl.ir import SSAValue

from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.dtypes import TO_NUMPY, is_float
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import element_of, rank_of, shape_of
from xmlc.dialects.sizes import is_symbolic
from xmlc.frontend.onnx.operator import Node
from xmlc.frontend.onnx.operators.shaping import integers, positive
from xmlc.frontend.onnx.tensors import Array
from xmlc.frontend.onnx.unsupported import Unsupported
from xmlc.frontend.onnx.values import Value

# --- on a grid of evenly spaced places


def Upsample(x: SSAValue, *, scales: tuple[float, ...], mode: str = "nearest") -> SSAValue:
    """Before opset 9 the scales are an attribute."""
    return upsampled(x, scales, mode)


def Upsample_9(x: SSAValue, scales: Array, *, mode: str = "nearest") -> SSAValue:
    return upsampled(x, [float(each) for each in scales.reshape(-1)], mode)


def Resize(x: SSAValue, scales: Array, *, mode: str = "nearest") -> SSAValue:
    """Opset 10: as Upsample."""
    return upsampled(x, [float(each) for each in scales.reshape(-1)], mode)


def upsampled(x: SSAValue, scales: Sequence[float], mode: str) -> SSAValue:
    """Sampled at i / scale, the nearest element being the one before."""
    if mode not in ("nearest", "linear"):
        raise CompileError(f"unknown mode {mode!r}")
    sizes = [scaled(size, scale) for size, scale in zip(shape_of(x), scales, strict=True)]
    return F.resize(x, sizes, mode, "asymmetric", "floor", scales)


def scaled(size: int, scale: float) -> int:
    """size * scale, rounded down."""
    if not is_symbolic((size,)):
        return int(np.floor(size * scale))
    ratio = Fraction(scale)
    return size * ratio.numerator // ratio.denominator


@dataclass(frozen=True)
class Sampling:
    """How one dimension of a Resize is sampled: the lengths, the factor between them, and the part taken."""

    before: int
    after: int
    scale: float
    coordinates: str
    roi: tuple[float, float] = (0.0, 1.0)

    def places(self) -> Array:
        """Where in the input each element of the result lies."""
        i = np.arange(self.after, dtype=np.float64)
        length = self.scale * self.before  # what the scale asks for, before rounding down
        match self.coordinates:
            case "half_pixel":
                return (i + 0.5) / self.scale - 0.5
            case "half_pixel_symmetric":
                centre = self.before / 2 * (1 - self.after / length)
                return centre + (i + 0.5) / self.scale - 0.5
            case "pytorch_half_pixel":
                return (i + 0.5) / self.scale - 0.5 if length > 1 else np.zeros_like(i)
            case "align_corners":
                return i * (self.before - 1) / (length - 1) if length != 1 else np.zeros_like(i)
            case "asymmetric":
                return i / self.scale
            case "tf_crop_and_resize":
                start, end = self.roi
                if self.after == 1:
                    return np.full(1, 0.5 * (start + end) * (self.before - 1))
                return (start + i * (end - start) / (self.after - 1)) * (self.before - 1)
            case _:
                raise CompileError(f"unknown coordinate_transformation_mode {self.coordinates!r}")


def cubic(distance: Array, a: float) -> Array:
    """The kernel of cubic convolution (Keys 1981) with parameter a"""
    d = np.abs(distance)
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def triangle(distance: Array) -> Array:
    return np.maximum(1 - np.abs(distance), 0.0)


def interpolation_matrix(
    sampling: Sampling, mode: str, a: float, exclude_outside: bool, antialias: bool, extrapolate: bool
) -> Array:
    """The weights of a separable resize along one dimension: result = matrix @ input, (after, before).

    What lies outside counts as the edge, or not at all with `exclude_outside`. A row of NaN is a place outside
    whose value is given (`extrapolate`).
    """
    reach = 2 if mode == "cubic" else 1
    stretch = min(sampling.scale, 1.0) if antialias else 1.0
    matrix = np.zeros((sampling.after, sampling.before))
    for row, place in enumerate(sampling.places()):
        if extrapolate and not 0 <= place <= sampling.before - 1:
            matrix[row] = np.nan
            continue
        span = int(np.ceil(reach / stretch))
        taps = np.arange(int(np.floor(place)) - span, int(np.floor(place)) + span + 2)
        distance = (taps - place) * stretch
        weights = cubic(distance, a) if mode == "cubic" else triangle(distance)
        if exclude_outside:
            weights = np.where((taps >= 0) & (taps < sampling.before), weights, 0.0)
        if exclude_outside or antialias:
            weights = weights / weights.sum()
        np.add.at(matrix[row], np.clip(taps, 0, sampling.before - 1), weights)
    return matrix


def Resize_11(
    x: SSAValue,
    roi: Array | None = None,
    scales: Array | None = None,
    sizes: Array | None = None,
    *,
    antialias: int = 0,
    axes: tuple[int, ...] | None = None,
    coordinate_transformation_mode: str = "half_pixel",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch",
    mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor",
    node: Node,
) -> SSAValue:
    """To given sizes or by given scales, of all dimensions or those in `axes`.

    Nearest and plain linear sampling are `ml.resize`; what that lacks (cubic, antialias, a region of interest)
    is a product with a matrix of weights for each dimension.
    """
    if mode not in ("nearest", "linear", "cubic"):
        raise CompileError(f"unknown mode {mode!r}")
    shape = shape_of(x)
    named = positive(range(len(shape)) if axes is None else axes, len(shape))
    samplings = [Sampling(size, size, 1.0, "asymmetric") for size in shape]
    cropped = coordinate_transformation_mode == "tf_crop_and_resize"
    for position, (axis, after, scale) in enumerate(
        wanted_sizes([shape[axis] for axis in named], named, scales, sizes, keep_aspect_ratio_policy)
    ):
        part = (0.0, 1.0)
        if cropped:
            if roi is None or roi.size != 2 * len(named):
                raise CompileError("tf_crop_and_resize needs a region of interest: a start and an end for each axis")
            part = (float(roi[position]), float(roi[len(named) + position]))
        samplings[axis] = Sampling(shape[axis], after, scale, coordinate_transformation_mode, part)
    plain = mode == "linear" and not antialias and not exclude_outside and is_float(element_of(x))
    if not cropped and (mode == "nearest" or plain):
        return sampled(x, samplings, mode, nearest_mode)
    if mode == "nearest":
        raise Unsupported("the nearest element of a region of interest is not supported")
    if not is_float(element_of(x)):
        raise Unsupported(f"{mode} resizing of {element_of(x)} is not supported")
    outside: Array | None = None  # where a row of some matrix has no place inside
    for axis, sampling in enumerate(samplings):
        if sampling == Sampling(shape[axis], shape[axis], 1.0, sampling.coordinates):
            continue
        matrix = interpolation_matrix(sampling, mode, cubic_coeff_a, bool(exclude_outside), bool(antialias), cropped)
        beyond: Array = np.any(np.isnan(matrix), axis=1, keepdims=True)
        beyond = beyond.reshape([-1 if i == axis else 1 for i in range(len(shape))])
        outside = beyond if outside is None else np.logical_or(outside, beyond)
        x = along(axis, x, np.nan_to_num(matrix, nan=0.0), node)
    if outside is not None and outside.any():
        mask = Value(node.facts, f"{node.name or 'node'}.outside", array=outside).tensor()
        x = F.select(mask, F.scalar(x, extrapolation_value), x)
    return x


def wanted_sizes(
    lengths: Sequence[int],
    axes: Sequence[int],
    scales: Array | None,
    sizes: Array | None,
    policy: str,
) -> list[tuple[int, int, float]]:
    """For each axis its length in the result, and the factor that coordinates are computed with."""
    if sizes is not None and sizes.size:
        wanted = integers(sizes)
        factors = [size / length if length else 1.0 for size, length in zip(wanted, lengths, strict=True)]
        if policy != "stretch":
            factor = min(factors) if policy == "not_larger" else max(factors)
            factors = [factor] * len(lengths)
            wanted = tuple(int(np.floor(factor * length + 0.5)) for length in lengths)
        return list(zip(axes, wanted, factors, strict=True))
    if scales is not None and scales.size:
        factors = [float(scale) for scale in scales.reshape(-1)]
        return [
            (axis, scaled(length, factor), factor) for axis, length, factor in zip(axes, lengths, factors, strict=True)
        ]
    raise CompileError("neither sizes nor scales are given")


def sampled(x: SSAValue, samplings: Sequence[Sampling], mode: str, rounding: str) -> SSAValue:
    """`ml.resize`, whose `align_corners` takes whole lengths: those that scales ask for become a plain factor."""
    coordinates = next((each.coordinates for each in samplings if each.coordinates != "asymmetric"), "asymmetric")
    scales = [each.scale for each in samplings]
    if coordinates == "align_corners":
        coordinates = "asymmetric"
        scales = [
            (each.scale * each.before - 1) / (each.before - 1)
            if each.before > 1 and each.after > 1 and each.coordinates == "align_corners"
            else 1.0
            for each in samplings
        ]
    return F.resize(x, [each.after for each in samplings], mode, coordinates, rounding, scales)


def along(axis: int, x: SSAValue, matrix: Array, node: Node) -> SSAValue:
    """matrix @ x along one dimension"""
    rank = rank_of(x)
    weights = Value(
        node.facts,
        f"{node.name or 'node'}.weights{axis}",
        array=np.ascontiguousarray(matrix.T.astype(TO_NUMPY[element_of(x)])),
    ).tensor()
    order = [i for i in range(rank) if i != axis] + [axis]
    product = F.matmul(F.transpose(x, order), weights)
    back = list(range(rank - 1))
    back.insert(axis, rank - 1)
    return F.transpose(product, back)


# --- at places that the program computes


def GridSample(
    x: SSAValue,
    grid: SSAValue,
    *,
    align_corners: int = 0,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
) -> SSAValue:
    """x (n, c, *size) at the places grid (n, *out, dimensions), which run from -1 to 1, last dimension first."""
    modes = {"bilinear": "linear", "bicubic": "cubic", "linear": "linear", "cubic": "cubic", "nearest": "nearest"}
    if mode not in modes:
        raise CompileError(f"unknown mode {mode!r}")
    batch, channels, *sizes = shape_of(x)
    out = shape_of(grid)[1:-1]
    count, dimensions = prod(out), len(sizes)
    points = F.reshape(grid, (batch, count, dimensions))
    zero, one = F.scalar(grid, 0.0), F.scalar(grid, 1.0)
    taps: list[list[tuple[SSAValue, SSAValue | None]]] = []
    for axis, size in enumerate(sizes):
        unit = F.slice_(points, (0, 0, dimensions - 1 - axis), (batch, count, 1))
        shifted = F.add(unit, one)
        if align_corners:
            place = F.mul(shifted, F.scalar(grid, (size - 1) / 2))
        else:
            place = F.sub(F.mul(shifted, F.scalar(grid, size / 2)), F.scalar(grid, 0.5))
        taps.append(taps_of(place, modes[mode]))
    pixels = F.reshape(F.transpose(x, (0, *range(2, 2 + dimensions), 1)), (batch, prod(sizes), channels))
    total: SSAValue | None = None
    for corner in itertools.product(*taps):
        inside: SSAValue | None = None
        flat: SSAValue | None = None
        factor: SSAValue | None = None
        for (index, share), size in zip(corner, sizes, strict=True):
            if padding_mode == "zeros":
                limit = F.scalar(grid, size - 1)
                within = F.and_(F.compare(index, zero, "ge"), F.compare(index, limit, "le"))
                inside = within if inside is None else F.and_(inside, within)
            elif padding_mode == "reflection":
                index = reflected(index, size, bool(align_corners))
            whole = F.cast(F.clamp(index, zero, F.scalar(grid, size - 1)), i64)
            flat = whole if flat is None else F.add(F.mul(flat, F.scalar(flat, size)), whole)
            if share is not None:
                factor = share if factor is None else F.mul(factor, share)
        assert flat is not None
        value = F.gather_nd(pixels, flat, 1)  # (batch, count, channels)
        if inside is not None:
            value = F.select(inside, value, F.scalar(value, 0.0))
        if factor is not None:
            value = F.mul(value, F.cast(factor, element_of(value)))
        total = value if total is None else F.add(total, value)
    assert total is not None
    return F.reshape(F.transpose(total, (0, 2, 1)), (batch, channels, *out))


def taps_of(place: SSAValue, mode: str) -> list[tuple[SSAValue, SSAValue | None]]:
    """The pixels along one dimension that a place is mixed of, each with its share."""
    if mode == "nearest":
        return [(F.round_(place), None)]
    first = F.floor(place)
    part = F.sub(place, first)
    one = F.scalar(place, 1.0)
    if mode == "linear":
        return [(first, F.sub(one, part)), (F.add(first, one), part)]
    a = -0.75
    offsets = (-1.0, 0.0, 1.0, 2.0)
    result: list[tuple[SSAValue, SSAValue | None]] = []
    for offset in offsets:
        d = F.abs_(F.sub(part, F.scalar(place, offset)))
        square = F.mul(d, d)
        if offset in (0.0, 1.0):
            share = F.add(F.mul(F.sub(F.mul(F.scalar(d, a + 2), d), F.scalar(d, a + 3)), square), one)
        else:
            # ((a d - 5a) d + 8a) d - 4a
            share = F.mul(F.scalar(d, a), d)
            share = F.mul(F.sub(share, F.scalar(d, 5 * a)), d)
            share = F.sub(F.mul(F.add(share, F.scalar(d, 8 * a)), d), F.scalar(d, 4 * a))
        result.append((F.add(first, F.scalar(place, offset)), share))
    return result


def reflected(index: SSAValue, size: int, align_corners: bool) -> SSAValue:
    """An index mirrored back and forth between the centres, or the outer edges, of the first and last pixel."""
    low, high = (0.0, size - 1.0) if align_corners else (-0.5, size - 0.5)
    span = F.scalar(index, high - low)
    if high == low:
        return F.scalar(index, 0.0)
    distance = F.abs_(F.sub(index, F.scalar(index, low)))
    turns = F.floor(F.div(distance, span))
    rest = F.sub(distance, F.mul(turns, span))
    odd = F.compare(F.rem(turns, F.scalar(index, 2.0)), F.scalar(index, 1.0), "eq")
    return F.add(F.select(odd, F.sub(span, rest), rest), F.scalar(index, low))


# --- columns of windows, and back


def Col2Im(
    columns: SSAValue,
    image_shape: Array,
    block_shape: Array,
    *,
    dilations: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> SSAValue:
    """(n, c * window, places) -> (n, c, *image): every element of a window added where it was taken from."""
    image, window = integers(image_shape), integers(block_shape)
    spatial = len(image)
    strides, dilations = strides or (1,) * spatial, dilations or (1,) * spatial
    low, high = (pads or (0,) * (2 * spatial))[:spatial], (pads or (0,) * (2 * spatial))[spatial:]
    whole = [size + before + after for size, before, after in zip(image, low, high, strict=True)]
    counts = [
        (size - (extent - 1) * dilation - 1) // stride + 1
        for size, extent, dilation, stride in zip(whole, window, dilations, strides, strict=True)
    ]
    batch, channels = shape_of(columns)[0], shape_of(columns)[1] // prod(window)
    place = np.zeros((*window, *counts), np.int64)
    for axis in range(spatial):
        offset = np.arange(window[axis]) * dilations[axis]
        start = np.arange(counts[axis]) * strides[axis]
        each = offset.reshape([-1 if i == axis else 1 for i in range(2 * spatial)]) + start.reshape(
            [-1 if i == spatial + axis else 1 for i in range(2 * spatial)]
        )
        place = place * whole[axis] + each
    flat = F.reshape(columns, (batch, channels, place.size))
    index = F.broadcast(F.constant(place.reshape(-1)), shape_of(flat))
    empty = F.broadcast(F.scalar(columns, 0), (batch, channels, prod(whole)))
    summed = F.reshape(F.scatter_elements(empty, index, flat, 2, "add"), (batch, channels, *whole))
    return F.slice_(summed, (0, 0, *low), (batch, channels, *image))


def MaxUnpool(
    x: SSAValue,
    indices: SSAValue,
    output_shape: Array | None = None,
    *,
    kernel_shape: tuple[int, ...],
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> SSAValue:
    """Zeros with x at the places that a MaxPool took it from; a larger `output_shape` adds zeros at the end."""
    spatial = len(kernel_shape)
    strides, both = strides or (1,) * spatial, pads or (0,) * (2 * spatial)
    sizes = [
        (size - 1) * stride + extent - before - after
        for size, stride, extent, before, after in zip(
            shape_of(x)[2:], strides, kernel_shape, both[:spatial], both[spatial:], strict=True
        )
    ]
    shape = (*shape_of(x)[:2], *sizes)
    count = prod(shape_of(x))
    empty = F.broadcast(F.scalar(x, 0), (prod(shape),))
    filled = F.scatter_elements(empty, F.reshape(indices, (count,)), F.reshape(x, (count,)), 0, "set")
    result = F.reshape(filled, shape)
    if output_shape is None:
        return result
    high = [wanted - size for wanted, size in zip(integers(output_shape), shape, strict=True)]
    return F.pad(result, [0] * len(shape), high, "constant", F.scalar(x, 0))
