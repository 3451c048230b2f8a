"""How each kind of case is computed by each contestant, as a table: kind -> NumPy, torch, ml and ONNX spelling.

`arrays` takes the namespace first, `numpy` or `jax.numpy`: one formula serves both, and in float64 it is the
reference that every contestant is held against.
"""

# Formulas over the arrays of whatever library have no types.
# pyright: reportUnknownLambdaType=false, reportUnknownMemberType=false, reportUnknownArgumentType=false
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from xdsl.dialects.builtin import i32
from xdsl.ir import SSAValue

from xmlc.bench.case import Array
from xmlc.dialects.ml import functions as F

Nodes: TypeAlias = list[tuple[str, list[str], dict[str, Any]]]
"""ONNX nodes: operator, inputs, attributes. Each gives one value, named after its position: `v0`, `v1`, …

TopK gives two, the second of which is called `v0.1`, `v1.1`, …
"""
Shape: TypeAlias = Sequence[int]


@dataclass(frozen=True)
class Kind:
    """A row of KINDS. `flops` counts operations from the shapes of inputs and result; a function such as exp is one."""

    arrays: Callable[..., Any]
    torch: Callable[..., Any]
    ml: Callable[..., SSAValue]
    onnx: Callable[..., Nodes]
    flops: Callable[[Sequence[Shape], Shape], int]
    gives_places: bool = False
    """Whether the result is places of elements, which are integers."""
    library_call: bool = False
    """Whether NumPy, torch, … each make one call of a library for it, so that fusing cannot help."""
    reference: Callable[..., Array] | None = None
    """In float64, where `arrays` will not do as the reference."""


def product(shape: Shape) -> int:
    return math.prod(shape)


def per_element(count: int) -> Callable[[Sequence[Shape], Shape], int]:
    return lambda shapes, out: count * product(shapes[0])


# --- products


def matmul_flops(shapes: Sequence[Shape], out: Shape) -> int:
    return 2 * product(out) * shapes[0][-1]


MATMUL = Kind(
    arrays=lambda xp, a, b: xp.matmul(a, b),
    torch=lambda torch, a, b: torch.matmul(a, b),
    ml=F.matmul,
    onnx=lambda a, b: [("MatMul", [a, b], {})],
    flops=matmul_flops,
    library_call=True,
)
MATMUL_I8 = Kind(
    arrays=lambda xp, a, b: xp.matmul(a.astype(xp.int32), b.astype(xp.int32)),
    torch=lambda torch, a, b: torch._int_mm(a, b),
    ml=lambda a, b: F.matmul(F.cast(a, i32), F.cast(b, i32)),
    onnx=lambda a, b: [("MatMulInteger", [a, b], {})],
    flops=matmul_flops,
    library_call=True,
)
TRANSPOSED = Kind(
    arrays=lambda xp, a, b: xp.matmul(a, b.T),
    torch=lambda torch, a, b: torch.matmul(a, b.T),
    ml=lambda a, b: F.matmul(a, F.transpose(b)),
    onnx=lambda a, b: [("Transpose", [b], {"perm": [1, 0]}), ("MatMul", [a, "v0"], {})],
    flops=matmul_flops,
    library_call=True,
)


# --- convolutions


def convolution(xp: Any, x: Any, weight: Any, bias: Any, *, stride: int, padding: int, groups: int) -> Any:
    """A sum of products of shifted slices: no copies but the padded input, and as many products as taps."""
    n, channels, height, width = x.shape
    outputs, _, kernel_h, kernel_w = weight.shape
    padded = xp.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    rows, columns = (height + 2 * padding - kernel_h) // stride + 1, (width + 2 * padding - kernel_w) // stride + 1
    split = weight.reshape(groups, outputs // groups, channels // groups, kernel_h, kernel_w)
    total: Any = 0
    for i in range(kernel_h):
        for j in range(kernel_w):
            tap = padded[:, :, i : i + stride * (rows - 1) + 1 : stride, j : j + stride * (columns - 1) + 1 : stride]
            tap = tap.reshape(n, groups, channels // groups, rows * columns)
            if channels == groups == outputs:  # depthwise: scale each channel
                total = total + tap * split[:, 0, :, i, j].reshape(1, groups, 1, 1)
            else:
                total = total + xp.matmul(split[None, :, :, :, i, j], tap)
    return total.reshape(n, outputs, rows, columns) + bias.reshape(1, outputs, 1, 1)


def torch_convolution(torch: Any, x: Any, weight: Any, bias: Any, *, stride: int, padding: int, groups: int) -> Any:
    return torch.nn.functional.conv2d(x, weight, bias, stride, padding, 1, groups)


def ml_convolution(
    x: SSAValue, weight: SSAValue, bias: SSAValue, *, stride: int, padding: int, groups: int
) -> SSAValue:
    window = {"strides": (stride, stride), "low": (padding, padding), "high": (padding, padding)}
    return F.conv(x, weight, bias, groups=groups, **window)


def onnx_convolution(x: str, weight: str, bias: str, *, stride: int, padding: int, groups: int) -> Nodes:
    return [("Conv", [x, weight, bias], {"strides": [stride] * 2, "pads": [padding] * 4, "group": groups})]


CONV = Kind(
    arrays=convolution,
    torch=torch_convolution,
    ml=ml_convolution,
    onnx=onnx_convolution,
    flops=lambda shapes, out: 2 * product(out) * product(shapes[1][1:]),
    library_call=True,
)


# --- bound by memory, unless they fit a cache


def softmax(xp: Any, x: Any) -> Any:
    powers = xp.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def layer_norm(xp: Any, x: Any, scale: Any, bias: Any) -> Any:
    centred = x - x.mean(-1, keepdims=True)
    return centred / xp.sqrt((centred * centred).mean(-1, keepdims=True) + 1e-5) * scale + bias


ROOT_HALF = math.sqrt(0.5)


def erf(xp: Any, x: Any) -> Any:
    """The error function; NumPy has none."""
    if xp is np:
        raise NotImplementedError("NumPy has no erf")
    from importlib import import_module

    return import_module("jax.scipy.special").erf(x)


def gelu_chain(xp: Any, x: Any, bias: Any, residual: Any) -> Any:
    y = x + bias
    return y * 0.5 * (1 + erf(xp, y * ROOT_HALF)) + residual


def gelu_reference(x: Array, bias: Array, residual: Array) -> Array:
    y = x + bias
    return y * 0.5 * (1 + np.vectorize(math.erf, otypes=[np.float64])(y * ROOT_HALF)) + residual


def onnx_gelu_chain(x: str, bias: str, residual: str) -> Nodes:
    return [("Add", [x, bias], {}), ("Gelu", ["v0"], {}), ("Add", ["v1", residual], {})]


def attention(xp: Any, q: Any, k: Any, v: Any) -> Any:
    scores = xp.matmul(q, xp.swapaxes(k, -1, -2)) * (1 / math.sqrt(q.shape[-1]))
    return xp.matmul(softmax(xp, scores), v)


def onnx_attention(q: str, k: str, v: str) -> Nodes:
    """As exporters spell it: runtimes recognise the pattern, while few have the operator of opset 23."""
    return [
        ("Transpose", [k], {"perm": [0, 1, 3, 2]}),
        ("MatMul", [q, "v0"], {}),
        ("Constant", [], {"value_float": 1 / math.sqrt(64)}),
        ("Mul", ["v1", "v2"], {}),
        ("Softmax", ["v3"], {"axis": -1}),
        ("MatMul", ["v4", v], {}),
    ]


def attention_flops(shapes: Sequence[Shape], out: Shape) -> int:
    batch, heads, rows, depth = shapes[0]
    columns = shapes[1][2]
    return batch * heads * rows * columns * (4 * depth + 5)


def onnx_sum(x: str, *, axis: int) -> Nodes:
    return [("Constant", [], {"value_ints": [axis]}), ("ReduceSum", [x, "v0"], {"keepdims": 0})]


def onnx_first(x: str, k: int, *, largest: int) -> Nodes:
    """The first k of a row in order, all of them for k = -1: `v2`, and their places `v2.1`."""
    count: Nodes = [("Constant", [], {"value_ints": [k]}), ("Identity", ["v0"], {})]
    if k == -1:
        count = [("Shape", [x], {"start": -1}), ("Identity", ["v0"], {})]
    return [*count, ("TopK", [x, "v1"], {"largest": largest})]


KINDS: dict[str, Kind] = {
    "matmul": MATMUL,
    "matmul_i8": MATMUL_I8,
    "matmul_nt": TRANSPOSED,
    "conv": CONV,
    "softmax": Kind(
        softmax,
        torch=lambda torch, x: torch.softmax(x, -1),
        ml=lambda x: F.softmax(x, -1),
        onnx=lambda x: [("Softmax", [x], {"axis": -1})],
        flops=per_element(5),
    ),
    "layer_norm": Kind(
        layer_norm,
        torch=lambda torch, x, scale, bias: torch.nn.functional.layer_norm(x, x.shape[-1:], scale, bias, 1e-5),
        ml=lambda x, scale, bias: F.layer_norm(x, scale, bias),
        onnx=lambda x, scale, bias: [("LayerNormalization", [x, scale, bias], {"axis": -1, "epsilon": 1e-5})],
        flops=per_element(7),
    ),
    "gelu_chain": Kind(
        gelu_chain,
        torch=lambda torch, x, bias, residual: torch.nn.functional.gelu(x + bias) + residual,
        ml=lambda x, bias, residual: F.add(F.gelu(F.add(x, bias)), residual),
        onnx=onnx_gelu_chain,
        flops=per_element(7),
        reference=gelu_reference,
    ),
    "sum": Kind(
        arrays=lambda xp, x, *, axis: x.sum(axis),
        torch=lambda torch, x, *, axis: x.sum(axis),
        ml=lambda x, *, axis: F.reduce_sum(x, (axis,)),
        onnx=onnx_sum,
        flops=per_element(1),
    ),
    "max": Kind(
        arrays=lambda xp, x, *, axis: x.max(axis),
        torch=lambda torch, x, *, axis: x.amax(axis),
        ml=lambda x, *, axis: F.reduce_max(x, (axis,)),
        onnx=lambda x, *, axis: [
            ("Constant", [], {"value_ints": [axis]}),
            ("ReduceMax", [x, "v0"], {"keepdims": 0}),
        ],
        flops=per_element(1),
    ),
    "argmax": Kind(
        arrays=lambda xp, x, *, axis: x.argmax(axis),
        torch=lambda torch, x, *, axis: x.argmax(axis),
        ml=lambda x, *, axis: F.argmax(x, axis),
        onnx=lambda x, *, axis: [("ArgMax", [x], {"axis": axis, "keepdims": 0})],
        flops=per_element(1),
        gives_places=True,
    ),
    "cumulative_sum": Kind(
        arrays=lambda xp, x, *, axis: xp.cumsum(x, axis),
        torch=lambda torch, x, *, axis: torch.cumsum(x, axis),
        ml=lambda x, *, axis: F.cumulative_sum(x, axis),
        onnx=lambda x, *, axis: [("Constant", [], {"value_int": axis}), ("CumSum", [x, "v0"], {})],
        flops=per_element(1),
    ),
    "sort": Kind(
        arrays=lambda xp, x: xp.sort(x, -1),
        torch=lambda torch, x: torch.sort(x, -1)[0],
        ml=lambda x: F.sort(x, -1)[0],
        onnx=lambda x: onnx_first(x, -1, largest=0),
        flops=per_element(1),
    ),
    "argsort": Kind(
        arrays=lambda xp, x: xp.argsort(x, -1, stable=True),
        torch=lambda torch, x: torch.argsort(x, dim=-1, stable=True),
        ml=lambda x: F.sort(x, -1)[1],
        onnx=lambda x: [*onnx_first(x, -1, largest=0), ("Identity", ["v2.1"], {})],
        flops=per_element(1),
        gives_places=True,
    ),
    "topk": Kind(
        arrays=lambda xp, x, *, k: xp.flip(xp.sort(x, -1), -1)[..., :k],
        torch=lambda torch, x, *, k: torch.topk(x, k)[0],
        ml=lambda x, *, k: F.topk(x, k)[0],
        onnx=lambda x, *, k: onnx_first(x, k, largest=1),
        flops=per_element(1),
    ),
    "transpose": Kind(
        arrays=lambda xp, x, *, order: xp.ascontiguousarray(xp.transpose(x, order)),
        torch=lambda torch, x, *, order: x.permute(order).contiguous(),
        ml=lambda x, *, order: F.transpose(x, order),
        onnx=lambda x, *, order: [("Transpose", [x], {"perm": list(order)})],
        flops=per_element(0),
    ),
    "attention": Kind(
        attention,
        torch=lambda torch, q, k, v: torch.nn.functional.scaled_dot_product_attention(q, k, v),
        ml=lambda q, k, v: F.attention(q, k, v),
        onnx=onnx_attention,
        flops=attention_flops,
    ),
}
