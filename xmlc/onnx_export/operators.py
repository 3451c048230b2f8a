"""Ops of `ml` as nodes of ONNX: a row for each. What has none is decomposed first."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from xdsl.dialects.builtin import AnyFloat, i1
from xdsl.ir import Operation

from xmlc.dialects.dtypes import TO_NUMPY
from xmlc.dialects.ml import composite, contraction, control, derivatives, elementwise, reduction, shaping
from xmlc.dialects.ml.elementwise import GeluForm, Predicate
from xmlc.dialects.ml.types import element_of, shape_of
from xmlc.onnx_export.control import if_, scan, while_
from xmlc.onnx_export.graph import Graph, Row, element_type

SAME: dict[type[Operation], str] = {
    elementwise.NegOp: "Neg", elementwise.AbsOp: "Abs", elementwise.SignOp: "Sign", elementwise.ReluOp: "Relu",
    elementwise.FloorOp: "Floor", elementwise.CeilOp: "Ceil", elementwise.RoundOp: "Round", elementwise.ExpOp: "Exp",
    elementwise.LogOp: "Log", elementwise.SqrtOp: "Sqrt", elementwise.SinOp: "Sin", elementwise.CosOp: "Cos",
    elementwise.TanOp: "Tan", elementwise.TanhOp: "Tanh", elementwise.AsinOp: "Asin", elementwise.AcosOp: "Acos",
    elementwise.AtanOp: "Atan", elementwise.SinhOp: "Sinh", elementwise.CoshOp: "Cosh", elementwise.AsinhOp: "Asinh",
    elementwise.AcoshOp: "Acosh", elementwise.AtanhOp: "Atanh", elementwise.ErfOp: "Erf",
    elementwise.SigmoidOp: "Sigmoid", elementwise.SoftplusOp: "Softplus", elementwise.HardSwishOp: "HardSwish",
    elementwise.IsNanOp: "IsNaN", elementwise.IsInfOp: "IsInf", elementwise.AddOp: "Add", elementwise.SubOp: "Sub",
    elementwise.MulOp: "Mul", elementwise.DivOp: "Div", elementwise.PowOp: "Pow", elementwise.MaxOp: "Max",
    elementwise.MinOp: "Min", elementwise.SelectOp: "Where",
}  # fmt: skip
"""Ops that are nodes with the same operands, and no attributes."""

LOGICAL: dict[type[Operation], str] = {
    elementwise.NotOp: "Not",
    elementwise.AndOp: "And",
    elementwise.OrOp: "Or",
    elementwise.XorOp: "Xor",
}
"""Of truth values; of integers the same with `Bitwise` before it."""

COMPARED = {
    Predicate.EQ: "Equal",
    Predicate.LT: "Less",
    Predicate.LE: "LessOrEqual",
    Predicate.GT: "Greater",
    Predicate.GE: "GreaterOrEqual",
}

REDUCED: dict[type[Operation], str] = {
    reduction.ReduceSumOp: "ReduceSum",
    reduction.ReduceProdOp: "ReduceProd",
    reduction.ReduceMaxOp: "ReduceMax",
    reduction.ReduceMinOp: "ReduceMin",
    reduction.ReduceMeanOp: "ReduceMean",
}


def same(graph: Graph, op: Operation, *names: str) -> str:
    return graph.node(SAME[type(op)], names)


def logical(graph: Graph, op: Operation, *names: str) -> str:
    of_bits = "" if element_of(op.operands[0]) == i1 else "Bitwise"
    return graph.node(of_bits + LOGICAL[type(op)], names)


def rsqrt(graph: Graph, op: elementwise.RsqrtOp, x: str) -> str:
    return graph.node("Reciprocal", [graph.node("Sqrt", [x])])


def expm1(graph: Graph, op: elementwise.Expm1Op, x: str) -> str:
    return graph.node("Sub", [graph.node("Exp", [x]), graph.scalar(op.x, 1)])


def log1p(graph: Graph, op: elementwise.Log1pOp, x: str) -> str:
    return graph.node("Log", [graph.node("Add", [x, graph.scalar(op.x, 1)])])


def silu(graph: Graph, op: elementwise.SiluOp, x: str) -> str:
    return graph.node("Mul", [x, graph.node("Sigmoid", [x])])


def gelu(graph: Graph, op: elementwise.GeluOp, x: str) -> str:
    return graph.node("Gelu", [x], approximate="tanh" if op.form.data is GeluForm.TANH else "none")


def with_alpha(kind: str, graph: Graph, op: elementwise.AlphaOp, x: str) -> str:
    return graph.node(kind, [x], alpha=op.alpha.value.data)


def hard_sigmoid(graph: Graph, op: elementwise.HardSigmoidOp, x: str) -> str:
    return graph.node("HardSigmoid", [x], alpha=op.alpha.value.data, beta=op.beta.value.data)


def floor_div(graph: Graph, op: elementwise.FloorDivOp, x: str, y: str) -> str:
    """Of integers, what is left of lhs without its remainder, which ONNX gives the sign of rhs."""
    if isinstance(element_of(op.out), AnyFloat):
        return graph.node("Floor", [graph.node("Div", [x, y])])
    return graph.node("Div", [graph.node("Sub", [x, graph.node("Mod", [x, y])]), y])


def remainder(graph: Graph, op: elementwise.RemOp, x: str, y: str) -> str:
    return graph.node("Mod", [x, y], fmod=1)


def compare(graph: Graph, op: elementwise.CompareOp, x: str, y: str) -> str:
    predicate = op.predicate.data
    if predicate is Predicate.NE:
        return graph.node("Not", [graph.node("Equal", [x, y])])
    return graph.node(COMPARED[predicate], [x, y])


def clamp(graph: Graph, op: elementwise.ClampOp, x: str, low: str, high: str) -> str:
    return graph.node("Min", [graph.node("Max", [x, low]), high])


def cast(graph: Graph, op: elementwise.CastOp, x: str) -> str:
    return graph.node("Cast", [x], to=element_type(op.out))


# --- shaping


def constant(graph: Graph, op: shaping.ConstantOp) -> str:
    return graph.array(op.array())


def iota(graph: Graph, op: shaping.IotaOp) -> str:
    shape, axis = shape_of(op.out), op.axis.value.data
    counted = np.arange(shape[axis]).reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return graph.array(np.broadcast_to(counted, shape), TO_NUMPY[element_of(op.out)])


def broadcast(graph: Graph, op: shaping.BroadcastOp, x: str) -> str:
    return graph.node("Expand", [x, graph.integers(shape_of(op.out))])


def reshape(graph: Graph, op: shaping.ReshapeOp, x: str) -> str:
    return graph.node("Reshape", [x, graph.integers(shape_of(op.out))], allowzero=1 if 0 in shape_of(op.out) else None)


def transpose(graph: Graph, op: shaping.TransposeOp, x: str) -> str:
    return graph.node("Transpose", [x], perm=list(op.permutation.get_values()))


def concat(graph: Graph, op: shaping.ConcatOp, *names: str) -> str:
    return graph.node("Concat", names, axis=op.axis.value.data)


def sliced(graph: Graph, x: str, starts: Sequence[int], sizes: Sequence[int], strides: Sequence[int]) -> str:
    """An end before the start is written as so many places before the end that it is none."""
    ends = [start + size * stride for start, size, stride in zip(starts, sizes, strides)]
    ends = [end if end >= 0 else np.iinfo(np.int64).min for end in ends]
    axes = range(len(starts))
    return graph.node("Slice", [x, *map(graph.integers, (starts, ends, axes, strides))])


def slice_(graph: Graph, op: shaping.SliceOp, x: str) -> str:
    return sliced(graph, x, op.starts.get_values(), op.size_list(), op.strides.get_values())


def reverse(graph: Graph, op: shaping.ReverseOp, x: str) -> str:
    shape, axes = shape_of(op.x), op.axes.get_values()
    starts = [size - 1 if i in axes else 0 for i, size in enumerate(shape)]
    return sliced(graph, x, starts, shape, [-1 if i in axes else 1 for i in range(len(shape))])


def pad(graph: Graph, op: shaping.PadOp, x: str, *value: str) -> str:
    margins = graph.integers([*op.low.get_values(), *op.high.get_values()])
    return graph.node("Pad", [x, margins, *value], mode=op.mode.data.value)


def tile(graph: Graph, op: shaping.TileOp, x: str) -> str:
    return graph.node("Tile", [x, graph.integers(op.repeats.get_values())])


def gather(graph: Graph, op: shaping.GatherOp | shaping.GatherElementsOp, x: str, indices: str) -> str:
    kind = "Gather" if isinstance(op, shaping.GatherOp) else "GatherElements"
    return graph.node(kind, [x, indices], axis=op.axis.value.data)


def gather_nd(graph: Graph, op: shaping.GatherNdOp, x: str, indices: str) -> str:
    return graph.node("GatherND", [x, indices], batch_dims=op.batch.value.data)


def scatter_elements(graph: Graph, op: shaping.ScatterElementsOp, *names: str) -> str:
    return graph.node("ScatterElements", names, axis=op.axis.value.data, reduction=reduced_by(op))


def scatter_nd(graph: Graph, op: shaping.ScatterNdOp, *names: str) -> str:
    return graph.node("ScatterND", names, reduction=reduced_by(op))


def reduced_by(op: shaping.ScatterElementsOp | shaping.ScatterNdOp) -> str:
    return "none" if op.combine.data is shaping.Combine.SET else op.combine.data.value


def one_hot(graph: Graph, op: shaping.OneHotOp, indices: str, off: str, on: str) -> str:
    """Negative indices, which ONNX counts from the end, are out of range here."""
    negative = graph.node("Less", [indices, graph.scalar(op.indices, 0)])
    indices = graph.node("Where", [negative, graph.scalar(op.indices, op.depth.value.data), indices])
    one = graph.integers([1])
    values = graph.node("Concat", [graph.node("Reshape", [each, one]) for each in (off, on)], axis=0)
    return graph.node("OneHot", [indices, graph.array(op.depth.value.data, np.int64), values], axis=op.axis.value.data)


# --- contraction


def matmul(graph: Graph, op: contraction.MatmulOp, x: str, y: str, *bias: str) -> str:
    made = graph.node("MatMul", [x, y])
    return graph.node("Add", [made, *bias]) if bias else made


def einsum(graph: Graph, op: contraction.EinsumOp, *names: str) -> str:
    return graph.node("Einsum", names, equation=op.equation.data)


def windows(op: contraction.WindowedOp, kernel: Sequence[int]) -> dict[str, Any]:
    strides, dilations, low, high = op.window_lists()
    return {"kernel_shape": list(kernel), "strides": strides, "dilations": dilations, "pads": [*low, *high]}


def conv(graph: Graph, op: contraction.ConvolutionOp, *names: str) -> str:
    kind = "Conv" if isinstance(op, contraction.ConvOp) else "ConvTranspose"
    return graph.node(kind, names, group=op.groups.value.data, **windows(op, shape_of(op.weight)[2:]))


def resize(graph: Graph, op: contraction.ResizeOp, x: str) -> str:
    """By sizes where they say it all, else by the factors that the user gave."""
    before, after, scales = shape_of(op.x), shape_of(op.out), op.scales.get_values()
    told = all(scale == (b / a if a else 1.0) for a, b, scale in zip(before, after, scales))
    names = [x, "", "", graph.integers(after)] if told else [x, "", graph.array(scales, np.float32)]
    return graph.node(
        "Resize",
        names,
        mode=op.interpolation.data.value,
        coordinate_transformation_mode=op.coordinates.data.value,
        nearest_mode=op.rounding.data.value,
    )


def is_expressible(op: Operation) -> bool:
    """Whether ONNX can say this: it has rows for its kind, and no transposed convolution that adds padding."""
    if (
        isinstance(op, contraction.ConvTransposeOp)
        and min((*op.low.get_values(), *op.high.get_values()), default=0) < 0
    ):
        return False
    return type(op) in ROWS


def max_pool(graph: Graph, op: contraction.MaxPoolOp, x: str) -> str:
    return graph.node("MaxPool", [x], **windows(op, op.window.get_values()))


def avg_pool(graph: Graph, op: contraction.AvgPoolOp, x: str) -> str:
    padded = 0 if op.include_pad is None else 1
    return graph.node("AveragePool", [x], count_include_pad=padded, **windows(op, op.window.get_values()))


# --- reduction


def reduce(graph: Graph, op: reduction.ReduceOp, x: str) -> str:
    axes, kept = op.axes.get_values(), int(op.keep_dims is not None)
    return graph.node(REDUCED[type(op)], [x, graph.integers(axes)], keepdims=kept, noop_with_empty_axes=1)


def reduce_truth(kind: str, graph: Graph, op: reduction.ReduceOp, x: str) -> str:
    """Whether any, or all: the largest, or least, of ones and zeros."""
    numbers = graph.node("Cast", [x], to=element_type_of(np.int32))
    axes, kept = graph.integers(op.axes.get_values()), int(op.keep_dims is not None)
    found = graph.node(kind, [numbers, axes], keepdims=kept, noop_with_empty_axes=1)
    return graph.node("Cast", [found], to=element_type(op.out))


def element_type_of(dtype: Any) -> int:
    from onnx import helper

    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def extreme_index(kind: str, graph: Graph, op: reduction.ArgReduceOp, x: str) -> str:
    return graph.node(kind, [x], axis=op.axis.value.data, keepdims=int(op.keep_dims is not None))


def cumulative_sum(graph: Graph, op: reduction.CumulativeSumOp, x: str) -> str:
    flags = {"exclusive": int(op.exclusive is not None), "reverse": int(op.reverse is not None)}
    return graph.node("CumSum", [x, graph.array(op.axis.value.data, np.int64)], **flags)


def sort(graph: Graph, op: reduction.SortOp, x: str) -> Sequence[str]:
    axis = op.axis.value.data
    count = graph.integers([shape_of(op.x)[axis]])
    return graph.node("TopK", [x, count], 2, axis=axis, largest=int(op.descending is not None))


def top_k(graph: Graph, op: reduction.TopKOp, x: str) -> Sequence[str]:
    count = graph.integers([op.k.value.data])
    return graph.node("TopK", [x, count], 2, axis=op.axis.value.data, largest=int(op.smallest is None))


# --- composite


def softmax(graph: Graph, op: composite.AxisOp, x: str) -> str:
    kind = "Softmax" if isinstance(op, composite.SoftmaxOp) else "LogSoftmax"
    return graph.node(kind, [x], axis=op.axis.value.data)


def layer_norm(graph: Graph, op: composite.LayerNormOp, *names: str) -> str:
    return graph.node("LayerNormalization", names, axis=op.axis.value.data, epsilon=op.epsilon.value.data)


def batch_norm(graph: Graph, op: composite.BatchNormOp, *names: str) -> str:
    return graph.node("BatchNormalization", names, epsilon=op.epsilon.value.data)


def barrier(graph: Graph, op: derivatives.BarrierOp, x: str) -> str:
    return x


ROWS: dict[type[Operation], Row] = {
    **dict.fromkeys(SAME, same),
    **dict.fromkeys(LOGICAL, logical),
    elementwise.RsqrtOp: rsqrt,
    elementwise.Expm1Op: expm1,
    elementwise.Log1pOp: log1p,
    elementwise.SiluOp: silu,
    elementwise.GeluOp: gelu,
    elementwise.EluOp: functools.partial(with_alpha, "Elu"),
    elementwise.LeakyReluOp: functools.partial(with_alpha, "LeakyRelu"),
    elementwise.HardSigmoidOp: hard_sigmoid,
    elementwise.FloorDivOp: floor_div,
    elementwise.RemOp: remainder,
    elementwise.CompareOp: compare,
    elementwise.ClampOp: clamp,
    elementwise.CastOp: cast,
    shaping.ConstantOp: constant,
    shaping.IotaOp: iota,
    shaping.BroadcastOp: broadcast,
    shaping.ReshapeOp: reshape,
    shaping.TransposeOp: transpose,
    shaping.ConcatOp: concat,
    shaping.SliceOp: slice_,
    shaping.ReverseOp: reverse,
    shaping.PadOp: pad,
    shaping.TileOp: tile,
    shaping.GatherOp: gather,
    shaping.GatherElementsOp: gather,
    shaping.GatherNdOp: gather_nd,
    shaping.ScatterElementsOp: scatter_elements,
    shaping.ScatterNdOp: scatter_nd,
    shaping.OneHotOp: one_hot,
    contraction.MatmulOp: matmul,
    contraction.EinsumOp: einsum,
    contraction.ConvOp: conv,
    contraction.ConvTransposeOp: conv,
    contraction.MaxPoolOp: max_pool,
    contraction.AvgPoolOp: avg_pool,
    contraction.ResizeOp: resize,
    **dict.fromkeys(REDUCED, reduce),
    reduction.ReduceAnyOp: functools.partial(reduce_truth, "ReduceMax"),
    reduction.ReduceAllOp: functools.partial(reduce_truth, "ReduceMin"),
    reduction.ArgMaxOp: functools.partial(extreme_index, "ArgMax"),
    reduction.ArgMinOp: functools.partial(extreme_index, "ArgMin"),
    reduction.CumulativeSumOp: cumulative_sum,
    reduction.SortOp: sort,
    reduction.TopKOp: top_k,
    composite.SoftmaxOp: softmax,
    composite.LogSoftmaxOp: softmax,
    composite.LayerNormOp: layer_norm,
    composite.BatchNormOp: batch_norm,
    derivatives.BarrierOp: barrier,
    control.IfOp: if_,
    control.WhileOp: while_,
    control.ScanOp: scan,
}
