"""ONNX operators of signal processing: discrete Fourier transforms as products with matrices of cosines."""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import f64
from xdsl.ir import SSAValue

from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import element_of, rank_of, shape_of
from xmlc.frontend.onnx.operator import Node
from xmlc.frontend.onnx.operators.shaping import padded, positive
from xmlc.frontend.onnx.tensors import Array
from xmlc.frontend.onnx.unsupported import Unsupported
from xmlc.frontend.onnx.values import Value


def weight(node: Node, name: str, array: Array) -> SSAValue:
    """An array made at import: a constant, or a weight where it is large."""
    return Value(node.facts, f"{node.name or 'node'}.{name}", array=array).tensor()


def DFT(
    x: SSAValue,
    dft_length: Array | None = None,
    *,
    axis: int = 1,
    inverse: int = 0,
    onesided: int = 0,
    node: Node,
) -> SSAValue:
    """Before opset 20 the axis is an attribute."""
    return transformed(
        x, None if dft_length is None else int(dft_length.reshape(())), axis, bool(inverse), bool(onesided), node
    )


def DFT_20(
    x: SSAValue,
    dft_length: Array | None = None,
    axis: Array | None = None,
    *,
    inverse: int = 0,
    onesided: int = 0,
    node: Node,
) -> SSAValue:
    along = -2 if axis is None else int(axis.reshape(()))
    return transformed(
        x, None if dft_length is None else int(dft_length.reshape(())), along, bool(inverse), bool(onesided), node
    )


def transformed(x: SSAValue, length: int | None, axis: int, inverse: bool, onesided: bool, node: Node) -> SSAValue:
    """X[k] = sum over n of x[n] e^(-2 pi i n k / N) along an axis; the last dimension holds real and imaginary part.

    The inverse has +i and a factor 1 / N. One-sided keeps k <= N / 2 of a real signal, or rebuilds it from them.
    """
    rank = rank_of(x)
    (axis,) = positive((axis,), rank)
    if axis == rank - 1:
        raise CompileError("the last dimension holds the complex parts and cannot be transformed")
    rebuild = inverse and onesided
    if inverse and not rebuild:
        # ONNX's tests of it expect the rounding noise of one float32 FFT where the exact result is zero
        raise Unsupported("the inverse transform of a whole spectrum is not supported")
    given = shape_of(x)[axis]
    total = length if length is not None else (2 * (given - 1) if rebuild else given)
    taken = total // 2 + 1 if rebuild else total
    widths = [0] * (2 * rank)
    widths[rank + axis] = taken - given
    x = padded(x, widths, "constant", F.scalar(x, 0.0))
    # the transformed axis last, so that the transform is a product with a matrix
    order = [i for i in range(rank - 1) if i != axis]
    x = F.transpose(x, (*order, axis, rank - 1))
    *outer, pieces = shape_of(x)
    parts = [F.reshape(F.slice_(x, [0] * (rank - 1) + [piece], (*outer, 1)), outer) for piece in range(pieces)]
    # a product sums more terms than an FFT does: in float64 it is no less exact
    element = element_of(x)
    parts = [F.cast(part, f64) for part in parts]
    bins = total if inverse or not onesided else total // 2 + 1
    angle = 2 * np.pi * (np.outer(np.arange(taken), np.arange(bins)) % max(total, 1)) / max(total, 1)
    scale = np.full((taken, 1), 1.0 / total if inverse else 1.0)
    if rebuild:
        # a bin stands for its mirror image too, except 0 and the middle one
        twice = np.arange(taken)
        scale[(twice != 0) & (2 * twice != total)] *= 2
    cosine = weight(node, "cosine", np.cos(angle) * scale)
    sine = weight(node, "sine", np.sin(angle) * (1 if inverse else -1) * scale)
    real, imaginary = F.matmul(parts[0], cosine), F.matmul(parts[0], sine)
    if len(parts) == 2:
        real = F.sub(real, F.matmul(parts[1], sine))
        imaginary = F.add(imaginary, F.matmul(parts[1], cosine))
    both = [real] if rebuild else [real, imaginary]
    stacked = F.concat([F.reshape(F.cast(part, element), (*shape_of(part), 1)) for part in both], rank - 1)
    back = list(range(rank))
    back.insert(axis, back.pop(rank - 2))
    return F.transpose(stacked, back)


def STFT(
    signal: SSAValue,
    frame_step: Array,
    window: SSAValue | None = None,
    frame_length: Array | None = None,
    *,
    onesided: int = 1,
    node: Node,
) -> SSAValue:
    """The transform of overlapping frames: (batch, samples, 1 or 2) -> (batch, frames, bins, 2)."""
    samples, step = shape_of(signal)[1], int(frame_step.reshape(()))
    if frame_length is not None:
        length = int(frame_length.reshape(()))
    elif window is not None:
        length = shape_of(window)[0]
    else:
        raise CompileError("neither a window nor a frame length is given")
    count = (samples - length) // step + 1
    position = np.arange(count)[:, None] * step + np.arange(length)
    frames = F.gather(signal, weight(node, "frames", position.astype(np.int64)), 1)
    if window is not None:
        frames = F.mul(frames, F.reshape(window, (length, 1)))
    return transformed(frames, length, 2, False, bool(onesided) and shape_of(signal)[2] == 1, node)
