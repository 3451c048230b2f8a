"""Small ONNX models that the tests of the importer share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

Shape = Sequence[int | str | None]


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Shape | tuple[type, Shape]],
    outputs: Sequence[str],
    initializers: Mapping[str, Any] | None = None,
    *,
    opset: int = 21,
    functions: Sequence[onnx.FunctionProto] = (),
) -> onnx.ModelProto:
    """A model whose inputs are float32 unless `(dtype, shape)` says otherwise; outputs have no declared type."""
    ports: list[onnx.ValueInfoProto] = []
    for name, given in inputs.items():
        dtype, shape = given if len(given) == 2 and isinstance(given[0], type) else (np.float32, given)
        code = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        ports.append(helper.make_tensor_value_info(name, code, list(shape)))
    graph = helper.make_graph(
        list(nodes),
        "test",
        ports,
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (initializers or {}).items()],
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(f.domain, 1) for f in functions)]
    return helper.make_model(graph, opset_imports=imports, functions=list(functions))


def node(kind: str, operands: str, results: str, /, **attributes: Any) -> onnx.NodeProto:
    """`node("Add", "a b", "c")`; `_` is an operand that is left out."""
    inputs = ["" if each == "_" else each for each in operands.split()]
    return helper.make_node(kind, inputs, results.split(), **attributes)
