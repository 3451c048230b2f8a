"""A float64 twin of an ONNX model in float32: what the model would answer without rounding errors."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

FLOAT, DOUBLE = onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE
TYPE_ATTRIBUTES = ("to", "dtype")
"""Attributes of integers that name an element type."""


def widen(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with float64 for float32 everywhere: weights, constants, types that are named, subgraphs."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    widen_graph(copy.graph)
    for function in copy.functions:
        for node in function.node:
            widen_node(node)
    return copy


def widen_graph(graph: onnx.GraphProto) -> None:
    for tensor in graph.initializer:
        widen_tensor(tensor)
    for value in (*graph.input, *graph.output, *graph.value_info):
        widen_type(value.type)
    for node in graph.node:
        widen_node(node)


def widen_node(node: onnx.NodeProto) -> None:
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.TENSOR:
            widen_tensor(attribute.t)
        elif attribute.type == onnx.AttributeProto.GRAPH:
            widen_graph(attribute.g)
        elif attribute.name in TYPE_ATTRIBUTES and attribute.i == FLOAT:
            attribute.i = DOUBLE
        elif node.op_type == "Constant" and attribute.name in ("value_float", "value_floats"):
            value = attribute.f if attribute.name == "value_float" else list(attribute.floats)
            tensor = numpy_helper.from_array(np.asarray(value, np.float64))
            attribute.CopyFrom(onnx.helper.make_attribute("value", tensor))


def widen_tensor(tensor: onnx.TensorProto) -> None:
    if tensor.data_type == FLOAT:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))


def widen_type(type_: onnx.TypeProto) -> None:
    if type_.HasField("tensor_type") and type_.tensor_type.elem_type == FLOAT:
        type_.tensor_type.elem_type = DOUBLE
    elif type_.HasField("sequence_type"):
        widen_type(type_.sequence_type.elem_type)
    elif type_.HasField("optional_type"):
        widen_type(type_.optional_type.elem_type)
