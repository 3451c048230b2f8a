"""Traced functions as ONNX models: `xmlc.export_onnx`.

    def predict(image):
        return nn.softmax(scores(parameters, image))

    xmlc.export_onnx("digits.onnx", predict, images[:2], free={"image": {0: "N"}})

Arrays that the function uses from outside become weights of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper
from xdsl.ir import SSAValue

from xmlc.arguments import as_array
from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml.types import shape_of
from xmlc.files import write_whole
from xmlc.frontend.python.places import user_place
from xmlc.frontend.python.tree import flatten
from xmlc.onnx_export.graph import Graph, all_nodes, graph_of, main_of, model_of, named, value_info
from xmlc.onnx_export.operators import ROWS, is_expressible
from xmlc.passes.decompose import DECOMPOSITIONS, decompose
from xmlc.tracing import TracedFunction

Array = NDArray[Any]
Free = Mapping[str, Mapping[int, str]]
"""Argument -> its dimensions that are free -> their names."""


@dataclass(frozen=True)
class Written:
    """A function as a graph, for the sizes it was traced with; the names and values of what goes in and comes out."""

    graph: Graph
    inputs: dict[str, SSAValue]
    results: list[tuple[str, SSAValue]]
    weights: dict[str, Array]


def export_onnx(
    path: str | Path,
    function: Callable[..., Any],
    *arguments: Any,
    free: Free | None = None,
    outputs: Sequence[str] = (),
) -> onnx.ModelProto:
    """Write a function of arrays as an ONNX model for arguments like these; returns the model.

    `free` names dimensions of arguments that may have any size; `outputs` names the results, by default `output`, or
    `output0` and so on. Raises CompileError for what ONNX has no operator for, and where a free size decides
    more than what a reshape can leave open.
    """
    free = free or {}
    one = written(function, arguments)
    refuse_unknown(free, one)
    other = written(function, grown(arguments, list(one.inputs), free)) if free else one
    generalise(one.graph, other.graph)
    count = len(one.results)
    if len(outputs) not in (0, count):
        raise CompileError(f"{len(outputs)} names for {count} outputs", place=user_place())
    names = outputs or (["output"] if count == 1 else [f"output{i}" for i in range(count)])
    found: dict[str, onnx.ValueInfoProto] = {}
    for name, (made, value), (_, changed) in zip(names, one.results, other.results):
        one.graph.nodes.append(helper.make_node("Identity", [made], [name]))
        found[name] = value_info(name, value, open_sizes(name, value, changed, free, one))
    given = {
        name: value_info(name, value, [free.get(name, {}).get(i, size) for i, size in enumerate(shape_of(value))])
        for name, value in one.inputs.items()
    }
    model = model_of(one.graph, given, found, one.weights)
    write_whole(Path(path), model.SerializeToString())
    return model


def written(function: Callable[..., Any], arguments: Sequence[Any]) -> Written:
    """The function traced for these arguments; ops that ONNX does not have become what they are made of."""
    traced = TracedFunction(function).lower(*arguments).traced
    main = main_of(traced.module)
    for op in list(main.walk()):
        if type(op) in DECOMPOSITIONS and not is_expressible(op):
            decompose(op)
    names = named(main)
    graph, results = graph_of(main, ROWS, names)
    end = main.body.block.last_op
    assert end is not None
    inputs: dict[str, SSAValue] = {
        name: value for name, value in zip(names, main.body.block.args) if name not in traced.weights
    }
    return Written(graph, inputs, list(zip(results, end.operands)), traced.weights)


# --- free sizes: the function is traced for two sizes, and what differs is what depends on them


def refuse_unknown(free: Free, found: Written) -> None:
    for name, axes in free.items():
        rank = len(shape_of(found.inputs[name])) if name in found.inputs else 0
        if name not in found.inputs or any(not 0 <= axis < rank for axis in axes):
            raise CompileError(
                f"there is no input '{name}' with dimensions {sorted(axes)} to leave free",
                place=user_place(),
                hint=f"the inputs are {', '.join(f'{each}: {value.type}' for each, value in found.inputs.items())}",
            )


def grown(arguments: Sequence[Any], names: Sequence[str], free: Free) -> tuple[Any, ...]:
    """The arguments with every free dimension larger by one."""
    leaves, structure = flatten(tuple(arguments))
    larger = [
        np.pad(as_array(leaf), [(0, int(axis in free[name])) for axis in range(np.ndim(leaf))], mode="edge")
        if name in free
        else leaf
        for leaf, name in zip(leaves, names)
    ]
    return structure.build(larger)


def generalise(graph: Graph, other: Graph) -> None:
    """Leave open, in the shapes that reshapes are to give, the size that differs between two graphs of one function.

    Raises CompileError where anything else differs.
    """
    alike = len(graph.nodes) == len(other.nodes) and all(map(same_node, graph.nodes, other.nodes))
    if not alike or graph.arrays.keys() != other.arrays.keys():
        raise depends("which operations there are")
    shapes = {node.input[1] for node in all_nodes(graph.nodes) if node.op_type == "Reshape"}
    for name, value in graph.arrays.items():
        changed = other.arrays[name]
        if value.shape == changed.shape and np.array_equal(value, changed, equal_nan=value.dtype.kind == "f"):
            continue
        if name not in shapes or value.shape != changed.shape or (value != changed).sum() != 1:
            raise depends("a constant")
        graph.arrays[name] = np.where(value == changed, value, -1)


def same_node(one: onnx.NodeProto, other: onnx.NodeProto) -> bool:
    return one.SerializeToString() == other.SerializeToString()


def depends(what: str) -> CompileError:
    return CompileError(
        f"a free size decides {what}, not only shapes",
        place=user_place(),
        hint="export it for one size, or write shapes with -1 in the place of the free size",
    )


def open_sizes(name: str, value: SSAValue, changed: SSAValue, free: Free, found: Written) -> list[int | str]:
    """The sizes of a result; one that differs has the name of the free size that it is, or one of its own."""
    symbols = {
        shape_of(found.inputs[given])[axis]: symbol for given, axes in free.items() for axis, symbol in axes.items()
    }
    return [
        size if size == now else symbols[size] if now == size + 1 and size in symbols else f"{name}.{axis}"
        for axis, (size, now) in enumerate(zip(shape_of(value), shape_of(changed)))
    ]
