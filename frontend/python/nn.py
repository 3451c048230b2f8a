"""Functions of neural networks on arrays of a traced function."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.elementwise import GeluForm
from xmlc.dialects.ml.types import shape_text
from xmlc.frontend.python.array import Array, ArrayLike, as_array, as_float, unary, value_of
from xmlc.frontend.python.functions.elementwise import float_function
from xmlc.frontend.python.functions.naming import name_functions
from xmlc.frontend.python.functions.shapes import sizes_of, together_all
from xmlc.frontend.python.places import user_place

__all__ = [
    "attention", "avg_pool", "conv", "cross_entropy", "elu", "gelu", "layer_norm", "leaky_relu", "log_softmax",
    "max_pool", "one_hot", "relu", "rms_norm", "sigmoid", "silu", "softmax", "softplus",
]  # fmt: skip

sigmoid, silu, softplus = float_function(F.sigmoid), float_function(F.silu), float_function(F.softplus)


def relu(x: ArrayLike) -> Array:
    return unary(F.relu, x)


def gelu(x: ArrayLike, *, approximate: bool = False) -> Array:
    """x * Phi(x), Phi the normal distribution; if approximate by a formula with tanh."""
    return unary(lambda v: F.gelu(v, GeluForm.TANH if approximate else GeluForm.EXACT), as_float(x))


def elu(x: ArrayLike, alpha: float = 1.0) -> Array:
    return unary(lambda v: F.elu(v, alpha), as_float(x))


def leaky_relu(x: ArrayLike, alpha: float = 0.01) -> Array:
    return unary(lambda v: F.leaky_relu(v, alpha), as_float(x))


def softmax(x: ArrayLike, *, axis: int = -1) -> Array:
    return unary(lambda v: F.softmax(v, axis), as_float(x))


def log_softmax(x: ArrayLike, *, axis: int = -1) -> Array:
    return unary(lambda v: F.log_softmax(v, axis), as_float(x))


def one_hot(indices: ArrayLike, depth: int) -> Array:
    """Rows of float32 with a one at each index; an index out of range gives a row of zeros."""
    zero, one = value_of(0.0), value_of(1.0)
    return Array(F.one_hot(value_of(indices), zero, one, depth), as_array(indices).trace)


def layer_norm(
    x: ArrayLike, scale: ArrayLike, bias: ArrayLike | None = None, *, axis: int = -1, epsilon: float = 1e-5
) -> Array:
    """Normalised over the dimensions from `axis` to the last."""
    value, *parameters = together_all([each for each in (as_float(x), scale, bias) if each is not None])
    return Array(F.layer_norm(value, *parameters, axis=axis, epsilon=epsilon), as_array(x).trace)


def rms_norm(x: ArrayLike, scale: ArrayLike, *, axis: int = -1, epsilon: float = 1e-5) -> Array:
    value, factor = together_all([as_float(x), scale])
    return Array(F.rms_norm(value, factor, axis=axis, epsilon=epsilon), as_array(x).trace)


def attention(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    scale: float | None = None,
    causal: bool = False,
) -> Array:
    """softmax(scale * query @ key^T + mask) @ value on (batch, heads, length, depth); see `ml.attention`."""
    values = together_all([query, key, value])
    hidden = None if mask is None else value_of(mask)
    return Array(F.attention(*values, mask=hidden, scale=scale, causal=causal), as_array(query).trace)


def conv(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    strides: int | Sequence[int] = 1,
    padding: int | Sequence[int | tuple[int, int]] = 0,
    dilations: int | Sequence[int] = 1,
    groups: int = 1,
) -> Array:
    """x (n, c, *spatial) with filters (o, c / groups, *kernel) slid over 1 to 3 spatial dimensions."""
    values = together_all([each for each in (x, weight, bias) if each is not None])
    spatial = as_array(x).ndim - 2
    low, high = paddings(padding, spatial)
    made = F.conv(
        *values,
        strides=each_of(strides, spatial),
        dilations=each_of(dilations, spatial),
        low=low,
        high=high,
        groups=groups,
    )
    return Array(made, as_array(x).trace)


def each_of(value: int | Sequence[int], count: int) -> tuple[int, ...]:
    """One number for each spatial dimension."""
    return (value,) * count if isinstance(value, int) else sizes_of(value)


def paddings(padding: int | Sequence[int | tuple[int, int]], count: int) -> tuple[list[int], list[int]]:
    """How much comes before, and how much after each spatial dimension."""
    pairs = [padding] * count if isinstance(padding, int) else list(padding)
    both = [(each, each) if isinstance(each, int) else each for each in pairs]
    return [low for low, _ in both], [high for _, high in both]


def max_pool(
    x: ArrayLike, window: Sequence[int], *, strides: Sequence[int] | None = None, padding: int | Sequence[int] = 0
) -> Array:
    """The largest in each window; windows lie side by side unless strides are given."""
    low, high = paddings(padding, len(window))
    return unary(lambda v: F.max_pool(v, window, strides=strides or window, low=low, high=high), x)


def avg_pool(
    x: ArrayLike, window: Sequence[int], *, strides: Sequence[int] | None = None, padding: int | Sequence[int] = 0
) -> Array:
    """The mean of each window, padding left out; windows lie side by side unless strides are given."""
    low, high = paddings(padding, len(window))
    return unary(lambda v: F.avg_pool(v, window, strides=strides or window, low=low, high=high), as_float(x))


def cross_entropy(logits: ArrayLike, labels: ArrayLike) -> Array:
    """The mean of -log softmax(logits)[label]; logits (..., classes), labels (...) are integers."""
    rows, places = log_softmax(logits), as_array(labels)
    if places.shape != rows.shape[:-1] or not np.issubdtype(places.dtype, np.integer):
        raise CompileError(
            f"labels are integers of shape {shape_text(rows.shape[:-1])}, one for each row of logits; "
            f"found {places.dtype} of shape {shape_text(places.shape)}",
            place=user_place(),
        )
    chosen = one_hot(places, rows.shape[-1]).astype(rows.dtype)
    return -(rows * chosen).sum() / (places.size or 1)


name_functions(__all__, globals())
