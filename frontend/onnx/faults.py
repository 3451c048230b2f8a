"""Whose mistake it is that the function of an operator failed: the model's where ONNX's own rules say so, else ours."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import numpy_helper, shape_inference
from onnx.defs import SchemaError, get_schema

from xmlc.frontend.onnx.tensors import code_of
from xmlc.frontend.onnx.values import Value, tensor_type


def fault_of(node: onnx.NodeProto, operands: Sequence[object], opset: int) -> str | None:
    """What ONNX's shape inference has against a node with these operands; None where it takes it."""
    types: dict[str, onnx.TypeProto] = {}
    data: dict[str, onnx.TensorProto] = {}
    for name, operand in zip(node.input, operands):
        if not isinstance(operand, Value):
            continue
        kind = tensor_type(operand.tensor()).element_type
        sizes = [None if size < 0 else size for size in operand.shape]
        types[name] = onnx.helper.make_tensor_type_proto(code_of(kind), sizes)
        if operand.array is not None:
            data[name] = numpy_helper.from_array(operand.array, name)
    try:
        schema = get_schema(node.op_type, opset, node.domain)
        shape_inference.infer_node_outputs(schema, node, types, data)
    except SchemaError:
        return None  # an operator of another domain: ONNX knows no rules for it
    except shape_inference.InferenceError as error:
        return str(error)
    return None
