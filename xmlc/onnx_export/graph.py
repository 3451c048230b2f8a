"""An ONNX graph while it is written: nodes, constants and weights by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Operation, SSAValue

from xmlc.dialects.diagnostics import CompileError, Diagnostic, place_of
from xmlc.dialects.dtypes import TO_NUMPY
from xmlc.dialects.ml.control import YieldOp
from xmlc.dialects.ml.types import element_of, shape_of

Array = NDArray[Any]
Row = Callable[..., Any]
"""f(graph, op, *names of the operands) -> the name of the result, or those of the results."""

OPSET = 20
IR_VERSION = 9
"""The first that has this opset: what reads models needs be no newer."""


class Graph:
    """Nodes in their order, and the arrays they use by name."""

    def __init__(self, rows: Mapping[type[Operation], Row]) -> None:
        self.rows = rows
        self.nodes: list[onnx.NodeProto] = []
        self.arrays: dict[str, Array] = {}
        self.names: dict[SSAValue, str] = {}
        self.counts: Counter[str] = Counter()

    def inner(self) -> Graph:
        """A body inside this graph: it sees the names so far and has nodes of its own; the arrays are the model's."""
        made = Graph(self.rows)
        made.arrays, made.counts, made.names = self.arrays, self.counts, dict(self.names)
        return made

    def block(self, block: Block) -> list[str]:
        """The nodes of a block whose arguments have names; the names of what its last op passes on."""
        for op in block.ops:
            names = [self.names[operand] for operand in op.operands]
            if op is block.last_op:
                return names
            made = self.rows[type(op)](self, op, *names)
            self.names.update(zip(op.results, [made] if isinstance(made, str) else made, strict=True))
        raise AssertionError("a block ends in a return or a yield")

    def fresh(self, what: str) -> str:
        """A name that nothing has yet: `conv_1`, `conv_2`."""
        self.counts[what] += 1
        return f"{what}_{self.counts[what]}"

    def array(self, value: Any, dtype: Any = None) -> str:
        """The name of an array that is part of the model."""
        name = self.fresh("constant")
        self.arrays[name] = np.asarray(value, dtype)
        return name

    def integers(self, values: Sequence[int]) -> str:
        return self.array(list(values), np.int64)

    def scalar(self, like: SSAValue, value: float) -> str:
        """The name of a number of the element type of `like`."""
        return self.array(value, TO_NUMPY[element_of(like)])

    def node(self, kind: str, inputs: Sequence[str], outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; the name of its output, or the names of its outputs."""
        made = [self.fresh(kind.lower()) for _ in range(outputs)]
        stated = {name: value for name, value in attributes.items() if value is not None}
        self.nodes.append(helper.make_node(kind, inputs, made, made[0], **stated))
        return made[0] if outputs == 1 else made


def element_type(type: Attribute | SSAValue) -> int:
    return helper.np_dtype_to_tensor_dtype(TO_NUMPY[element_of(type)])


def graph_of(function: FuncOp, rows: Mapping[type[Operation], Row], names: Sequence[str]) -> tuple[Graph, list[str]]:
    """The nodes of a function whose arguments have these names, and the names of its results.

    Raises CompileError that lists all ops without a row.
    """
    ends = (FuncOp, ReturnOp, YieldOp)
    missing = [op for op in function.walk() if type(op) not in rows and not isinstance(op, ends)]
    if missing:
        raise CompileError.of([Diagnostic(f"cannot export {op.name} to ONNX", place_of(op.location)) for op in missing])
    graph = Graph(rows)
    graph.names.update(zip(function.body.block.args, names))
    return graph, graph.block(function.body.block)


def all_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """The nodes, and those of their bodies."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            yield from all_nodes(attribute.g.node)


def named(function: FuncOp) -> list[str]:
    """The names of the arguments, as the front end gave them."""
    assert function.arg_attrs is not None
    names = [each.data["ml.name"] for each in function.arg_attrs]
    return [name.data for name in names if isinstance(name, StringAttr)]


def main_of(module: ModuleOp) -> FuncOp:
    (function,) = [op for op in module.ops if isinstance(op, FuncOp)]
    return function


def model_of(
    graph: Graph,
    inputs: dict[str, onnx.ValueInfoProto],
    outputs: dict[str, onnx.ValueInfoProto],
    weights: dict[str, Array],
) -> onnx.ModelProto:
    """The whole model, checked."""
    initializers = [numpy_helper.from_array(each, name) for name, each in (graph.arrays | weights).items()]
    made = helper.make_graph(graph.nodes, "main", list(inputs.values()), list(outputs.values()), initializers)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="xmlc")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)  # pyright: ignore[reportUnknownMemberType]
    return model


def value_info(name: str, value: SSAValue, sizes: Sequence[int | str]) -> onnx.ValueInfoProto:
    assert len(sizes) == len(shape_of(value))
    return helper.make_tensor_value_info(name, element_type(value), list(sizes))
