"""Ops of `ml` that multiply and sum, or slide a window, as loop nests.

Sums start from the bias and are kept in f32 for f16 and bf16.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
from xdsl.ir import Attribute, Operation, SSAValue

from xmlc.dialects.dtypes import TO_NUMPY, computing_type, is_unsigned, storage_type
from xmlc.dialects.ml import contraction as ml
from xmlc.dialects.ml.types import element_of, rank_of, shape_of, tensor
from xmlc.passes.lower_ml.combine import COMBINE, neutral
from xmlc.passes.lower_ml.elementwise import convert_float
from xmlc.passes.lower_ml.reduction import rounded, widened
from xmlc.passes.lower_ml.resizing import resize
from xmlc.passes.lower_ml.shaping import padded
from xmlc.passes.lower_ml.structured import (
    PARALLEL,
    REDUCTION,
    Map,
    broadcast_map,
    dim,
    empty,
    filled,
    generic,
    identity,
    number,
    parallel,
    reshaped,
    table,
)
from xmlc.passes.number import Real


def start_of_sums(shape: Sequence[int], element: Attribute, bias: SSAValue | None, bias_map: Map) -> SSAValue:
    """A tensor of sums that holds the bias, or 0."""
    if bias is None:
        return filled(shape, number(0, element))
    return parallel([(bias, bias_map)], tensor(shape, element), widened)


def sum_of_products(
    factors: Sequence[tuple[SSAValue, Map]],
    sums: SSAValue,
    sums_map: Map,
    iterators: Sequence[Attribute],
) -> SSAValue:
    """sums[p] + the sum over the reduction loops of the product of the factors"""

    def body(*elements: SSAValue) -> SSAValue:
        *values, total = elements
        product = widened(values[0])
        for value in values[1:]:
            product = COMBINE["mul"](product, widened(value), False)
        return COMBINE["add"](total, product, False)

    return generic(factors, [(sums, sums_map)], iterators, body)[0]


def matmul(op: ml.MatmulOp, lhs: SSAValue, rhs: SSAValue, bias: SSAValue | None = None) -> SSAValue:
    """out[b, i, j] = bias + sum over k of lhs[b, i, k] * rhs[b, k, j]"""
    shape = shape_of(op.out)
    element = storage_type(element_of(op.out))
    rank = len(shape)
    batch, i, j, k = shape[:-2], dim(rank - 2), dim(rank - 1), dim(rank)
    bias_map = broadcast_map(shape_of(bias), shape) if bias else ()
    sums = start_of_sums(shape, computing_type(element), bias, bias_map)
    result = sum_of_products(
        [
            (lhs, (*broadcast_map(shape_of(lhs)[:-2], batch), i, k)),
            (rhs, (*broadcast_map(shape_of(rhs)[:-2], batch), k, j)),
        ],
        sums,
        identity(rank),
        [PARALLEL] * rank + [REDUCTION],
    )
    return rounded(result, element)


def einsum(op: ml.EinsumOp, *inputs: SSAValue) -> SSAValue:
    """One loop for each letter of the equation"""
    terms, result = ml.parse_equation(op.equation.data)
    letters = [*result, *sorted(set("".join(terms)) - set(result))]
    element = storage_type(element_of(op.out))
    sums = start_of_sums(shape_of(op.out), computing_type(element), None, ())
    maps: list[Map] = [tuple(dim(letters.index(letter)) for letter in term) for term in terms]
    iterators = [PARALLEL if letter in result else REDUCTION for letter in letters]
    total = sum_of_products(list(zip(inputs, maps)), sums, identity(len(result)), iterators)
    return rounded(total, element)


def conv(op: ml.ConvOp, x: SSAValue, weight: SSAValue, bias: SSAValue | None = None) -> SSAValue:
    """out[n, g, o, p] = bias + sum over c, k of x[n, g, c, p * strides + k * dilations] * weight[g, o, c, k]"""
    strides, dilations, low, high = op.window_lists()
    groups, spatial = op.groups.value.data, len(strides)
    element = storage_type(element_of(op.out))
    x = padded(x, (0, 0, *low), (0, 0, *high), number(0, element_of(x)))
    batch, channels, *sizes = shape_of(x)
    outputs, depth, *kernel = shape_of(weight)
    _, _, *positions = shape_of(op.out)
    x = grouped(x, (batch, groups, channels // groups, *sizes), groups)
    weight = grouped(weight, (groups, outputs // groups, depth, *kernel), groups)
    bias = grouped(bias, (groups, outputs // groups), groups) if bias else None

    # loops: n, [g,] o, positions, c, taps
    n, leading = dim(0), 3 if groups > 1 else 2
    group = (dim(1),) if groups > 1 else ()
    o, c = dim(leading - 1), dim(leading + spatial)
    places = [dim(leading + axis) for axis in range(spatial)]
    taps = [dim(leading + spatial + 1 + axis) for axis in range(spatial)]
    reads = [p * stride + k * dilation for p, stride, k, dilation in zip(places, strides, taps, dilations)]
    result_map = (n, *group, o, *places)
    shape = [batch, *([groups] if group else []), outputs // groups, *positions]
    sums = start_of_sums(shape, computing_type(element), bias, (*group, o))
    total = sum_of_products(
        [(x, (n, *group, c, *reads)), (weight, (*group, o, c, *taps))],
        sums,
        result_map,
        [PARALLEL] * len(result_map) + [REDUCTION] * (1 + spatial),
    )
    return rounded(reshaped(total, shape_of(op.out)), element)


def grouped(x: SSAValue, shape: Sequence[int], groups: int) -> SSAValue:
    """x with its channels split by group; as it is when there is one group."""
    return reshaped(x, shape) if groups > 1 else x


def pool(op: ml.PoolOp, x: SSAValue, name: str, sums: Attribute) -> SSAValue:
    """out[n, c, p] = the fold over k of x[n, c, p * strides + k * dilations]"""
    strides, dilations, low, high = op.window_lists()
    window, spatial, unsigned = op.window.get_values(), len(strides), is_unsigned(element_of(op.x))
    element = element_of(x)
    x = padded(x, (0, 0, *low), (0, 0, *high), number(neutral(name, element, unsigned), element))
    places = [dim(2 + axis) for axis in range(spatial)]
    taps = [dim(2 + spatial + axis) for axis in range(spatial)]
    reads = [p * stride + k * dilation for p, stride, k, dilation in zip(places, strides, taps, dilations)]
    start = filled(shape_of(op.out), number(neutral(name, sums, unsigned), sums))
    # an operand that is never read tells the loops how large the window is
    extent = empty(window, element)

    def body(value: SSAValue, _: SSAValue, total: SSAValue) -> SSAValue:
        return COMBINE[name](total, widened(value) if sums != element else value, unsigned)

    return generic(
        [(x, (dim(0), dim(1), *reads)), (extent, tuple(taps))],
        [(start, identity(2 + spatial))],
        [PARALLEL] * (2 + spatial) + [REDUCTION] * spatial,
        body,
    )[0]


def max_pool(op: ml.MaxPoolOp, x: SSAValue) -> SSAValue:
    return pool(op, x, "max", element_of(x))


def avg_pool(op: ml.AvgPoolOp, x: SSAValue) -> SSAValue:
    """The sum of each window divided by its number of elements, which is known at compile time"""
    element = storage_type(element_of(op.out))
    sums = computing_type(element)
    total = pool(op, x, "add", sums)
    counts = [count.astype(TO_NUMPY[sums]) for count in window_counts(op)]
    rank = rank_of(total)
    inputs: list[tuple[SSAValue, Map]] = [(total, identity(rank))]
    varying = [(axis, count) for axis, count in enumerate(counts) if len(set(count.tolist())) > 1]
    constant = prod(count[0].item() for count in counts if len(set(count.tolist())) == 1)
    inputs += [(table(count), (dim(2 + axis),)) for axis, count in varying]

    def body(value: SSAValue, *parts: SSAValue) -> SSAValue:
        divisor = Real(number(constant, sums))
        for part in parts:
            divisor = divisor * Real(part)
        return convert_float((Real(value) / divisor).value, element)

    return parallel(inputs, tensor(shape_of(total), element), body)


def window_counts(op: ml.AvgPoolOp) -> list[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """For each spatial dimension, how many elements of a window at each position count."""
    strides, dilations, low, _ = op.window_lists()
    window, sizes, positions = op.window.get_values(), shape_of(op.x)[2:], shape_of(op.out)[2:]
    if op.include_pad is not None:
        return [np.full(n, w) for n, w in zip(positions, window)]
    counts: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
    for n, w, size, stride, dilation, before in zip(positions, window, sizes, strides, dilations, low):
        ranges = [range(i * stride - before, i * stride - before + w * dilation, dilation) for i in range(n)]
        counts.append(np.array([sum(0 <= place < size for place in reads) for reads in ranges], np.int64))
    return counts


LOWER: dict[type[Operation], Callable[..., SSAValue]] = {
    ml.MatmulOp: matmul,
    ml.EinsumOp: einsum,
    ml.ConvOp: conv,
    ml.MaxPoolOp: max_pool,
    ml.AvgPoolOp: avg_pool,
    ml.ResizeOp: resize,
}
