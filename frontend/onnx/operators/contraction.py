"""ONNX operators that multiply and sum: products of matrices, Einstein sums, convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from string import ascii_letters

from xdsl.dialects.builtin import i32
from xdsl.ir import SSAValue

from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import rank_of, shape_of
from xmlc.frontend.onnx.unsupported import Unsupported


def MatMul(a: SSAValue, b: SSAValue) -> SSAValue:
    """NumPy's matmul: a vector is a row on the left, a column on the right, and its dimension is dropped after."""
    rows, columns = shape_of(a), shape_of(b)
    if not rows or not columns:
        raise CompileError("a product of matrices needs operands of rank 1 or more")
    left = F.reshape(a, (1, *rows)) if len(rows) == 1 else a
    right = F.reshape(b, (*columns, 1)) if len(columns) == 1 else b
    product = F.matmul(left, right)
    batch = shape_of(product)[:-2]
    kept = (*batch, *rows[-2:-1], *(columns[-1:] if len(columns) > 1 else ()))
    return F.reshape(product, kept)


def Gemm(
    a: SSAValue,
    b: SSAValue,
    c: SSAValue | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> SSAValue:
    """alpha * a @ b + beta * c, with a or b transposed"""
    a = F.transpose(a, (1, 0)) if transA else a
    b = F.transpose(b, (1, 0)) if transB else b
    if alpha == 1.0 and beta == 1.0:
        return F.matmul(a, b, c)
    product = F.matmul(a, b)
    scaled = product if alpha == 1.0 else F.mul(product, F.scalar(product, alpha))
    if c is None:
        return scaled
    return F.add(scaled, c if beta == 1.0 else F.mul(c, F.scalar(c, beta)))


def MatMulInteger(a: SSAValue, b: SSAValue, a_zero: SSAValue | None = None, b_zero: SSAValue | None = None) -> SSAValue:
    """(a - a_zero) @ (b - b_zero) in 32-bit integers; a_zero holds for a row, b_zero for a column."""
    if a_zero is not None and rank_of(a_zero) == 1:
        a_zero = F.reshape(a_zero, (*shape_of(a_zero), 1))
    return MatMul(centred(a, a_zero), centred(b, b_zero))


def centred(x: SSAValue, zero: SSAValue | None) -> SSAValue:
    """x - zero in 32-bit integers"""
    wide = F.cast(x, i32)
    return wide if zero is None else F.sub(wide, F.cast(zero, i32))


def Einsum(*operands: SSAValue, equation: str) -> SSAValue:
    """NumPy's einsum: an ellipsis stands for dimensions that broadcast; no result means all single indices."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        raise CompileError(f"equation {equation!r} has {len(terms)} operands, found {len(operands)}")
    free = [letter for letter in ascii_letters if letter not in equation]
    hidden = max(
        (rank_of(x) - len(term.replace("...", "")) for x, term in zip(operands, terms, strict=True) if "..." in term),
        default=0,
    )
    ellipsis = "".join(free[:hidden])
    if not arrow:
        letters = left.replace(",", "").replace(".", "")
        right = "..." * ("..." in left) + "".join(
            sorted(letter for letter in set(letters) if letters.count(letter) == 1)
        )
    sizes: dict[str, int] = {}
    spelled: list[str] = []
    for x, term in zip(operands, terms, strict=True):
        named = len(term.replace("...", ""))
        term = term.replace("...", ellipsis[len(ellipsis) - (rank_of(x) - named) :] if rank_of(x) > named else "")
        if len(term) != rank_of(x):
            raise CompileError(f"indices {term!r} of equation {equation!r} do not fit rank {rank_of(x)}")
        spelled.append(term)
        for letter, size in zip(term, shape_of(x), strict=True):
            sizes[letter] = max(sizes.get(letter, 1), size)
    shaped: list[SSAValue] = []
    for i, (x, term) in enumerate(zip(operands, spelled, strict=True)):
        # a dimension of size 1 that another operand stretches takes no part
        kept = [
            (letter, size) for letter, size in zip(term, shape_of(x), strict=True) if size == sizes[letter] or size != 1
        ]
        spelled[i] = "".join(letter for letter, _ in kept)
        shaped.append(F.reshape(x, [size for _, size in kept]))
    return F.einsum(shaped, ",".join(spelled) + "->" + right.replace("...", ellipsis))


# --- convolution


def padding(
    sizes: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    auto_pad: str,
    pads: Sequence[int] | None,
) -> tuple[list[int], list[int]]:
    """The padding before and after each spatial dimension: given, none, or as much as SAME asks for."""
    spatial = len(sizes)
    if auto_pad == "NOTSET":
        both = list(pads or [0] * (2 * spatial))
        if len(both) != 2 * spatial:
            raise CompileError(f"expected {2 * spatial} padding widths, found {len(both)}")
        return both[:spatial], both[spatial:]
    if auto_pad == "VALID":
        return [0] * spatial, [0] * spatial
    if auto_pad not in ("SAME_UPPER", "SAME_LOWER"):
        raise CompileError(f"unknown auto_pad {auto_pad!r}")
    low: list[int] = []
    high: list[int] = []
    for size, extent, stride, dilation in zip(sizes, window, strides, dilations, strict=True):
        total = max((-(-size // stride) - 1) * stride + (extent - 1) * dilation + 1 - size, 0)
        smaller, larger = total // 2, total - total // 2
        low.append(smaller if auto_pad == "SAME_UPPER" else larger)
        high.append(larger if auto_pad == "SAME_UPPER" else smaller)
    return low, high


def Conv(
    x: SSAValue,
    weight: SSAValue,
    bias: SSAValue | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: tuple[int, ...] | None = None,
    group: int = 1,
    kernel_shape: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> SSAValue:
    """The window is the weight's; `kernel_shape` repeats it."""
    spatial = rank_of(x) - 2
    if not 1 <= spatial <= 3:
        raise Unsupported(f"convolution over {spatial} dimensions is not supported")
    strides, dilations = strides or (1,) * spatial, dilations or (1,) * spatial
    low, high = padding(shape_of(x)[2:], shape_of(weight)[2:], strides, dilations, auto_pad, pads)
    return F.conv(x, weight, bias, strides=strides, dilations=dilations, low=low, high=high, groups=group)


def ConvInteger(
    x: SSAValue,
    weight: SSAValue,
    x_zero: SSAValue | None = None,
    weight_zero: SSAValue | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: tuple[int, ...] | None = None,
    group: int = 1,
    kernel_shape: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> SSAValue:
    """(x - x_zero) convolved with (weight - weight_zero) in 32-bit integers; padding stands for x_zero."""
    if weight_zero is not None and rank_of(weight_zero) == 1:
        weight_zero = F.reshape(weight_zero, (prod(shape_of(weight_zero)), *[1] * (rank_of(weight) - 1)))
    return Conv(
        centred(x, x_zero),
        centred(weight, weight_zero),
        auto_pad=auto_pad,
        dilations=dilations,
        group=group,
        pads=pads,
        strides=strides,
    )


def ConvTranspose(
    x: SSAValue,
    weight: SSAValue,
    bias: SSAValue | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: tuple[int, ...] | None = None,
    group: int = 1,
    kernel_shape: tuple[int, ...] | None = None,
    output_padding: tuple[int, ...] | None = None,
    output_shape: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> SSAValue:
    """A wanted output shape decides the padding; `output_padding` makes the result longer at its end."""
    spatial = rank_of(x) - 2
    if not 1 <= spatial <= 3:
        raise Unsupported(f"convolution over {spatial} dimensions is not supported")
    sizes, window = shape_of(x)[2:], shape_of(weight)[2:]
    strides, dilations = strides or (1,) * spatial, dilations or (1,) * spatial
    extra = output_padding or (0,) * spatial
    whole = [
        (size - 1) * stride + (extent - 1) * dilation + 1 + more
        for size, extent, stride, dilation, more in zip(sizes, window, strides, dilations, extra, strict=True)
    ]
    same = auto_pad.startswith("SAME")
    if output_shape is None and same:
        output_shape = tuple(size * stride for size, stride in zip(sizes, strides, strict=True))
    if output_shape is not None:
        total = [full - wanted for full, wanted in zip(whole, output_shape[-spatial:], strict=True)]
        half = [max(each, 0) // 2 if auto_pad == "SAME_UPPER" else max(each, 0) - max(each, 0) // 2 for each in total]
        low, high = half, [each - first for each, first in zip(total, half, strict=True)]
    else:
        low, high = padding(sizes, window, strides, dilations, "NOTSET" if same else auto_pad, pads)
    high = [after - more for after, more in zip(high, extra, strict=True)]
    return F.conv_transpose(x, weight, bias, strides=strides, dilations=dilations, low=low, high=high, groups=group)
