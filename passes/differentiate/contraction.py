"""Gradients of products, convolutions, pooling and resizing: the transposes of linear maps, made of the same ops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import i64
from xdsl.ir import Operation, SSAValue

from xmlc.dialects.ml import contraction as ml
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import element_of, rank_of, shape_of
from xmlc.dialects.reference.contraction import ROUND, source_coordinates
from xmlc.passes.decompose.operands import zeros
from xmlc.passes.differentiate.shaping import Pulled, sum_to, unsliced

Value = SSAValue

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def swapped(x: Value) -> Value:
    """x with its last two dimensions exchanged."""
    rank = rank_of(x)
    return F.transpose(x, (*range(rank - 2), rank - 1, rank - 2))


def matmul(op: ml.MatmulOp, g: Value) -> Pulled:
    """g @ rhs^T, lhs^T @ g, each summed over the batches it was broadcast to; g for the bias"""
    left = sum_to(F.matmul(g, swapped(op.rhs)), shape_of(op.lhs))
    right = sum_to(F.matmul(swapped(op.lhs), g), shape_of(op.rhs))
    return left, right, *([sum_to(g, shape_of(op.bias))] if op.bias else [])


def einsum(op: ml.EinsumOp, g: Value) -> Pulled:
    """For each operand the product of g and the others, summed over what that operand lacks"""
    terms, result = ml.parse_equation(op.equation.data)
    inputs = list(op.inputs)
    return tuple(
        einsum_operand(each, term, [(g, result), *others(inputs, terms, place)])
        for place, (each, term) in enumerate(zip(inputs, terms))
    )


def others(inputs: Sequence[Value], terms: Sequence[str], place: int) -> list[tuple[Value, str]]:
    return [(x, term) for i, (x, term) in enumerate(zip(inputs, terms)) if i != place]


def einsum_operand(x: Value, term: str, factors: Sequence[tuple[Value, str]]) -> Value:
    """The product of the factors at the indices of `term`: repeated where no factor has an index, 0 off a diagonal."""
    unique = "".join(dict.fromkeys(term))
    found = "".join(letter for letter in unique if any(letter in each for _, each in factors))
    equation = f"{','.join(each for _, each in factors)}->{found}"
    made = F.einsum([value for value, _ in factors], equation)
    sizes = dict(zip(term, shape_of(x)))
    made = F.reshape(made, [sizes[letter] if letter in found else 1 for letter in unique])
    made = F.broadcast(made, [sizes[letter] for letter in unique])
    return made if unique == term else on_diagonal(made, unique, term, shape_of(x))


def on_diagonal(x: Value, unique: str, term: str, shape: Sequence[int]) -> Value:
    """x with indices `unique` as a tensor with indices `term`, of which some repeat: 0 where equal indices differ."""
    first = [term.index(letter) for letter in unique]
    apart = F.reshape(x, [size if i in first else 1 for i, size in enumerate(shape)])
    for i, letter in enumerate(term):
        if i != term.index(letter):
            equal = F.compare(F.iota(shape, i, i64), F.iota(shape, term.index(letter), i64), "eq")
            apart = F.select(equal, apart, F.scalar(x, 0))
    return apart


# --- convolutions


def span(count: int, step: int) -> int:
    """How far apart the first and the last of `count` places are that lie `step` apart."""
    return (count - 1) * step


def conv(op: ml.ConvOp, g: Value) -> Pulled:
    """The transposed convolution of g; the correlation of x with g; the sum of g by channel"""
    strides, dilations, low, _ = op.window_lists()
    sizes, kernel, places = shape_of(op.x)[2:], shape_of(op.weight)[2:], shape_of(g)[2:]
    if 0 in shape_of(g) or 0 in shape_of(op.x) or 0 in shape_of(op.weight):
        return empty_convolution(op, g)
    high = [
        span(p, s) + span(k, d) + 1 - lo - n
        for p, s, k, d, lo, n in zip(places, strides, kernel, dilations, low, sizes)
    ]
    groups = op.groups.value.data
    x = F.conv_transpose(g, op.weight, strides=strides, dilations=dilations, low=low, high=high, groups=groups)
    return x, filter_gradient(op, op.x, g, groups), *bias_gradient(op, g)


def conv_transpose(op: ml.ConvTransposeOp, g: Value) -> Pulled:
    """The convolution of g; the correlation of g with x; the sum of g by channel"""
    strides, dilations, low, high = op.window_lists()
    if 0 in shape_of(g) or 0 in shape_of(op.x) or 0 in shape_of(op.weight):
        return empty_convolution(op, g)
    groups = op.groups.value.data
    x = F.conv(g, op.weight, strides=strides, dilations=dilations, low=low, high=high, groups=groups)
    return x, filter_gradient(op, g, op.x, groups), *bias_gradient(op, g)


def empty_convolution(op: ml.ConvolutionOp, g: Value) -> Pulled:
    """Where nothing was multiplied, only the bias had a part in the result."""
    return zeros(shape_of(op.x), g), zeros(shape_of(op.weight), g), *bias_gradient(op, g)


def bias_gradient(op: ml.ConvolutionOp, g: Value) -> list[Value]:
    return [F.reduce_sum(g, [0, *range(2, rank_of(g))])] if op.bias else []


def filter_gradient(op: ml.ConvolutionOp, wide: Value, narrow: Value, groups: int) -> Value:
    """w[o, c, k] = sum over n, p of wide[n, c, p * strides + k * dilations - low] * narrow[n, o, p], by groups:
    a convolution whose batch is c, whose channels are n, and whose window, narrow, has the strides as dilations.
    """
    strides, dilations, low, _ = op.window_lists()
    batch, channels, *sizes = shape_of(wide)
    outputs, places = shape_of(narrow)[1], shape_of(narrow)[2:]
    kernel, spatial = shape_of(op.weight)[2:], range(3, 3 + len(sizes))
    depth = channels // groups
    lines = F.transpose(F.reshape(wide, (batch, groups, depth, *sizes)), (2, 1, 0, *spatial))
    lines = F.reshape(lines, (depth, groups * batch, *sizes))
    filters = F.transpose(narrow, (1, 0, *range(2, rank_of(narrow))))
    high = [
        span(k, d) + span(p, s) + 1 - n - lo
        for k, d, p, s, n, lo in zip(kernel, dilations, places, strides, sizes, low)
    ]
    made = F.conv(lines, filters, strides=dilations, dilations=strides, low=low, high=high, groups=groups)
    assert shape_of(made) == (depth, outputs, *kernel)
    return F.transpose(made, (1, 0, *range(2, rank_of(made))))


# --- pooling


def max_pool(op: ml.MaxPoolOp, g: Value) -> Pulled:
    """g to the first element of each window that is the largest"""
    strides, dilations, low, high = op.window_lists()
    window = op.window.get_values()
    if 0 in shape_of(g):
        return (zeros(shape_of(op.x), g),)
    rim = (0, 0, *low), (0, 0, *high)
    padded = F.pad(op.x, *rim, value=F.scalar(op.x, -np.inf))
    shape, sizes, steps = shape_of(padded), shape_of(g), (1, 1, *strides)
    total, free = zeros(shape, g), F.broadcast(F.constant(True), sizes)
    for tap in product(*map(range, window)):
        starts = (0, 0, *[i * d for i, d in zip(tap, dilations)])
        hit = F.and_(free, F.compare(F.slice_(padded, starts, sizes, steps), op.out, "eq"))
        total = F.add(total, unsliced(F.select(hit, g, F.scalar(g, 0)), shape, starts, steps))
        free = F.and_(free, F.not_(hit))
    return (F.slice_(total, rim[0], shape_of(op.x)),)


def avg_pool(op: ml.AvgPoolOp, g: Value) -> Pulled:
    """g over the number of elements in the window, spread over it: a transposed convolution with ones, by channel"""
    strides, dilations, low, high = op.window_lists()
    window, sizes, places = op.window.get_values(), shape_of(op.x)[2:], shape_of(g)[2:]
    if 0 in shape_of(g):
        return (zeros(shape_of(op.x), g),)
    channels = shape_of(g)[1]
    ones = F.broadcast(F.scalar(g, 1), (1, channels, *sizes))
    edge = 1 if op.include_pad is not None else 0
    ones = F.pad(ones, (0, 0, *low), (0, 0, *high), value=F.scalar(g, edge))
    filters = F.broadcast(F.scalar(g, 1), (channels, 1, *window))
    count = F.conv(ones, filters, strides=strides, dilations=dilations, groups=channels)
    beyond = [
        span(p, s) + span(k, d) + 1 - lo - n
        for p, s, k, d, lo, n in zip(places, strides, window, dilations, low, sizes)
    ]
    share = F.div(g, count)
    return (
        F.conv_transpose(share, filters, strides=strides, dilations=dilations, low=low, high=beyond, groups=channels),
    )


# --- resizing


def resize(op: ml.ResizeOp, g: Value) -> Pulled:
    """Along each dimension the transpose of the matrix that the resizing is"""
    for axis, (size, scale) in enumerate(zip(shape_of(op.x), op.scales.get_values())):
        after = shape_of(op.out)[axis]
        if after == size and scale == 1:
            continue
        matrix = F.constant(resize_matrix(op, after, size, scale), element_of(g))
        term = LETTERS[: rank_of(g)]
        to = term.replace(term[axis], "z")
        g = F.einsum([g, matrix], f"{term},{term[axis]}z->{to}")
    return (g,)


def resize_matrix(op: ml.ResizeOp, after: int, size: int, scale: float) -> NDArray[np.float64]:
    """m[i, j]: how much of element j there is in element i of the result, along one dimension."""
    at = source_coordinates(op.coordinates.data, after, size, scale)
    rows = np.arange(after)
    matrix = np.zeros((after, size))
    if op.interpolation.data is ml.Interpolation.NEAREST:
        matrix[rows, np.clip(ROUND[op.rounding.data](at), 0, size - 1).astype(np.int64)] = 1
        return matrix
    at = np.clip(at, 0, size - 1)
    left = np.floor(at).astype(np.int64)
    np.add.at(matrix, (rows, left), 1 - (at - left))
    np.add.at(matrix, (rows, np.minimum(left + 1, size - 1)), at - left)
    return matrix


GRADIENTS: dict[type[Operation], Callable[..., Pulled]] = {
    ml.MatmulOp: matmul,
    ml.EinsumOp: einsum,
    ml.ConvOp: conv,
    ml.ConvTransposeOp: conv_transpose,
    ml.MaxPoolOp: max_pool,
    ml.AvgPoolOp: avg_pool,
    ml.ResizeOp: resize,
}
