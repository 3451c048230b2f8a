"""Control flow of `ml` as If, Loop and Scan of ONNX, whose bodies see the names from outside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper
from xdsl.ir import Attribute, Region

from xmlc.dialects.dtypes import TO_NUMPY
from xmlc.dialects.ml import control
from xmlc.dialects.ml.types import element_of, shape_of
from xmlc.onnx_export.graph import Graph, element_type


def if_(graph: Graph, op: control.IfOp, condition: str) -> Sequence[str]:
    branches = {"then_branch": branch(graph, op.then), "else_branch": branch(graph, op.otherwise)}
    return several(graph, "If", [condition], len(op.out), branches)


def branch(graph: Graph, region: Region) -> onnx.GraphProto:
    inner = graph.inner()
    return closed(inner, [], inner.block(region.block), control.yielded(region, "branch"))


def while_(graph: Graph, op: control.WhileOp, *carried: str) -> Sequence[str]:
    """ONNX asks for the condition of the next step where a step ends, so it stands before the loop and in its body."""
    [first] = evaluated(graph, op.condition, carried)
    inner = graph.inner()
    given = [inner.fresh("carried") for _ in carried]
    made = evaluated(inner, op.body, given)
    [again] = evaluated(inner, op.condition, made)
    count, known = inner.fresh("step"), inner.fresh("condition")
    inputs = [helper.make_tensor_value_info(count, TensorProto.INT64, ())]
    inputs.append(helper.make_tensor_value_info(known, TensorProto.BOOL, ()))
    inputs += map(unshaped, given, map(element_type, op.inits.types))
    types = control.yielded(op.condition, "condition") + op.inits.types
    body = closed(inner, inputs, [again, *made], types)
    return several(graph, "Loop", ["", first, *carried], len(op.out), {"body": body})


def scan(graph: Graph, op: control.ScanOp, *names: str) -> Sequence[str]:
    """A scan without sequences goes through zeros that its body does not look at: ONNX asks for one sequence."""
    if op.steps() == 0:
        return without_steps(graph, op, names)
    inner = graph.inner()
    given = [inner.fresh("scanned") for _ in names]
    made = evaluated(inner, op.body, given)
    inputs = list(map(unshaped, given, map(element_type, op.operand_types)))
    if op.length is not None:
        names = (*names, graph.array(np.zeros(op.length.value.data, bool)))
        inputs.append(unshaped(inner.fresh("unused"), TensorProto.BOOL))
    sequences, outputs = len(inputs) - len(op.inits), len(op.out) - len(op.inits)
    attributes: dict[str, onnx.GraphProto | int | list[int]] = {
        "body": closed(inner, inputs, made, control.yielded(op.body, "body")),
        "num_scan_inputs": sequences,
    }
    if op.reverse is not None:
        attributes |= {"scan_input_directions": [1] * sequences, "scan_output_directions": [1] * outputs}
    return several(graph, "Scan", names, len(op.out), attributes)


def without_steps(graph: Graph, op: control.ScanOp, names: Sequence[str]) -> Sequence[str]:
    """What is carried, and outputs of length 0: a scan that ONNX Runtime refuses to run."""
    carried = len(op.inits)
    empty = (np.zeros(shape_of(each), TO_NUMPY[element_of(each)]) for each in op.out[carried:])
    return [*names[:carried], *map(graph.array, empty)]


def evaluated(graph: Graph, region: Region, arguments: Sequence[str]) -> list[str]:
    """The nodes of a region whose arguments have these names; the names of what it yields."""
    graph.names.update(zip(region.block.args, arguments, strict=True))
    return graph.block(region.block)


def closed(
    graph: Graph, inputs: Sequence[onnx.ValueInfoProto], results: Sequence[str], types: Sequence[Attribute]
) -> onnx.GraphProto:
    """A body as an attribute holds it; what it gives must be of its own making, so each result is copied."""
    given = [graph.node("Identity", [result]) for result in results]
    outputs = [unshaped(name, element_type(type)) for name, type in zip(given, types, strict=True)]
    return helper.make_graph(graph.nodes, graph.fresh("body"), inputs, outputs)


def unshaped(name: str, element: int) -> onnx.ValueInfoProto:
    """A value of a body; its sizes follow from what goes in, and free ones stay free."""
    return helper.make_tensor_value_info(name, element, None)


def several(
    graph: Graph,
    kind: str,
    inputs: Sequence[str],
    outputs: int,
    attributes: dict[str, onnx.GraphProto | int | list[int]] | dict[str, onnx.GraphProto],
) -> Sequence[str]:
    made = graph.node(kind, inputs, outputs, **attributes)
    return [made] if outputs == 1 else made
