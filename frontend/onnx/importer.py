"""Import an ONNX graph into a module of `ml`: names to values, nodes to calls of operator functions."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from collections.abc import Sequence as Ordered
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import onnx
from xdsl.builder import ImplicitBuilder
from xdsl.dialects.func import ReturnOp
from xdsl.ir import Block, SSAValue
from xdsl.utils.exceptions import VerifyException

from xmlc.dialects.diagnostics import CompileError, Diagnostic, Place
from xmlc.dialects.dtypes import FROM_NUMPY
from xmlc.dialects.ml.types import shape_of
from xmlc.dialects.ml.types import tensor as tensor_type
from xmlc.dialects.sizes import UnknownSize
from xmlc.frontend.onnx import expand
from xmlc.frontend.onnx.attributes import attribute_value
from xmlc.frontend.onnx.faults import fault_of
from xmlc.frontend.onnx.finish import finish
from xmlc.frontend.onnx.missing import report_missing
from xmlc.frontend.onnx.operator import Failed, Kind, Node, Operator, Sequence
from xmlc.frontend.onnx.operators import find
from xmlc.frontend.onnx.opsets import DOMAINS, opsets_of
from xmlc.frontend.onnx.program import Port, Program
from xmlc.frontend.onnx.scope import UNAVAILABLE, Operand, Scope, Unavailable
from xmlc.frontend.onnx.signature import declared_sizes, input_ports
from xmlc.frontend.onnx.tensors import Array, array_of, dense_of
from xmlc.frontend.onnx.unsupported import NeedsValue, Unsupported
from xmlc.frontend.onnx.values import Facts, Value, name_location

MISFITS = (ValueError, KeyError, IndexError, ZeroDivisionError, OverflowError)
"""What Python raises where a model's sizes, names or numbers do not fit each other.

Operators check what deserves a message of its own; a model can be wrong in more ways than that. What ONNX's own rules
take is not the model's mistake: such an error is a bug of ours, and keeps its traceback.
"""


@dataclass(frozen=True)
class Subgraph:
    """A graph attribute (a branch, a loop's body): calling it imports its nodes at the place of the call."""

    importer: Importer
    graph: onnx.GraphProto
    scope: Scope

    def __call__(self, *operands: Value | Sequence | SSAValue | Array) -> tuple[Value | Sequence, ...]:
        """The outputs of the graph for these inputs; Failed where a node of it has a problem."""
        inner = replace(self.scope, names={}, parent=self.scope)
        if len(operands) != len(self.graph.input):
            raise CompileError(
                f"the subgraph {self.graph.name!r} takes {len(self.graph.input)} inputs, given {len(operands)}"
            )
        for port, operand in zip(self.graph.input, operands, strict=True):
            inner.names[port.name] = (
                operand if isinstance(operand, Sequence) else self.importer.value(port.name, operand)
            )
        self.importer.run_graph(self.graph, inner)
        results: list[Value | Sequence] = []
        for port in self.graph.output:
            match inner.find(port.name):
                case Value() | Sequence() as value:
                    results.append(value)
                case Unavailable():
                    raise Failed
                case _:
                    raise Unsupported("a subgraph that gives an empty optional is not supported")
        return tuple(results)

    def output_count(self) -> int:
        return len(self.graph.output)

    @contextmanager
    def trial(self) -> Generator[None]:
        """Within it, problems of the graph are forgotten and raise Failed."""
        importer = self.importer
        before = len(importer.problems), len(importer.needed), importer.unsupported
        try:
            yield
        except (Failed, VerifyException) as error:
            del importer.problems[before[0] :], importer.needed[before[1] :]
            importer.unsupported = before[2]
            raise Failed from error


class Skip(Exception):
    """A node cannot be imported because a node before it failed."""


def import_model(
    model: onnx.ModelProto,
    *,
    shapes: Mapping[str, Ordered[int]] | None = None,
    symbols: Mapping[str, int] | None = None,
    values: Mapping[str, Array] | None = None,
    file: str = "model",
    dynamic: bool = False,
    stored: Mapping[str, Array] | None = None,
) -> Program:
    """The program of a model whose data is loaded (see `load`), for given sizes of its free dimensions.

    `stored` are the initializers of its graph, by name, that are not in the message (see `mapped`).

    With `dynamic`, free dimensions that are not given stay free, and what `dialects.sizes.Assumptions` are in force
    decides where their sizes make a difference; where nothing does, that is a CompileError.

    `shapes` gives whole input shapes by input name, `symbols` sizes by the name of the dimension; `values` fixes
    inputs that decide shapes. Raises Unsupported with every operator that xmlc lacks, NeedsValue where shapes
    depend on inputs not in `values`, CompileError for a model that is wrong or whose free dimensions are not given.
    """
    return Importer(model, file, values or {}, stored or {}).program(shapes or {}, dict(symbols or {}), dynamic)


class Importer:
    """One import of one model."""

    def __init__(self, model: onnx.ModelProto, file: str, values: Mapping[str, Array], stored: Mapping[str, Array]):
        self.model = model
        self.stored = stored
        self.place = Place(file)
        self.values = values
        self.functions = {
            (DOMAINS.get(f.domain, f.domain), f.name, getattr(f, "overload", "")): f for f in model.functions
        }
        self.entry = Block()
        self.facts = Facts(self.entry, {})
        self.problems: list[Diagnostic] = []
        self.unsupported = False
        self.needed: list[str] = []

    def program(self, shapes: Mapping[str, Ordered[int]], symbols: dict[str, int], dynamic: bool) -> Program:
        graph = self.model.graph
        scope = Scope(opsets_of(self.model.opset_import))
        report_missing(self.model, self.functions, scope, self.place)
        inputs = input_ports(self.model, shapes, symbols, self.place, dynamic)
        for port in inputs:
            self.entry.insert_arg(tensor_type(port.shape, FROM_NUMPY[port.dtype]), len(self.entry.args))
        self.facts.inputs = {argument: port.name for argument, port in zip(self.entry.args, inputs, strict=True)}
        for argument, port in zip(self.entry.args, inputs, strict=True):
            given = self.values.get(port.name)
            if given is not None:
                self.facts.arrays[argument] = given
            scope.names[port.name] = Value(self.facts, port.name, array=given, ssa=argument)
        for name, array in self.stored.items():
            scope.names.setdefault(name, Value(self.facts, name, array=array))
        with ImplicitBuilder(self.entry):
            self.run_graph(graph, scope)
            self.raise_problems()
            results = [self.output(port.name, scope) for port in graph.output]
            ReturnOp(*results)
        declared = {port.name: declared_sizes(port) for port in graph.output}
        outputs = tuple(
            Port(port.name, self.value(port.name, result).dtype, shape_of(result), declared[port.name])
            for port, result in zip(graph.output, results, strict=True)
        )
        return finish(self.entry, inputs, outputs, self.facts.weights)

    def output(self, name: str, scope: Scope) -> SSAValue:
        match scope.find(name):
            case Value() as value:
                return value.tensor()
            case _:
                raise Unsupported(f"the output {name!r} is a sequence or an optional", place=self.place)

    def raise_problems(self) -> None:
        """Missing values first, since with them another import may find no problem; else every problem at once."""
        if self.needed:
            raise NeedsValue(self.needed)
        if self.problems:
            raise (Unsupported if self.unsupported else CompileError).of(self.problems)

    def value(self, name: str, result: Value | SSAValue | Array) -> Value:
        """A result as a value, with its array where folding found it."""
        match result:
            case Value():
                return result
            case SSAValue():
                self.facts.visit(result, name_location(name))
                return Value(self.facts, name, ssa=result, array=self.facts.arrays.get(result))
            case _:
                return Value(self.facts, name, array=np.asarray(result))

    def run_graph(self, graph: onnx.GraphProto, scope: Scope) -> None:
        for tensor in graph.initializer:
            if not isinstance(scope.names.get(tensor.name), Value):
                scope.names[tensor.name] = self.initializer(tensor.name, tensor)
        for sparse in graph.sparse_initializer:
            scope.names[sparse.values.name] = self.initializer(sparse.values.name, sparse)
        self.run_nodes(graph.node, scope)

    def initializer(self, name: str, tensor: onnx.TensorProto | onnx.SparseTensorProto) -> Value | Unavailable:
        try:
            array = array_of(tensor) if isinstance(tensor, onnx.TensorProto) else dense_of(tensor)
        except CompileError as error:
            self.problem(f"initializer {name!r}", error)
            return UNAVAILABLE
        return Value(self.facts, name, array=array)

    def problem(self, where: str, error: CompileError) -> None:
        self.unsupported |= isinstance(error, Unsupported)
        self.problems += [
            replace(each, message=f"{where}: {each.message}", place=each.place or self.place)
            for each in error.diagnostics
        ]

    def run_nodes(self, nodes: Iterable[onnx.NodeProto], scope: Scope) -> None:
        for node in nodes:
            try:
                results = self.run_node(node, scope)
            except (Skip, Failed):
                results = None
            except NeedsValue as needs:
                self.needed += needs.inputs
                results = None
            except (VerifyException, UnknownSize) as error:
                self.problem(describe(node), CompileError(str(error)))
                results = None
            except CompileError as error:
                self.problem(describe(node), error)
                results = None
            for index, name in enumerate(node.output):
                if name:
                    scope.names[name] = UNAVAILABLE if results is None else results[index]

    def run_node(self, node: onnx.NodeProto, scope: Scope) -> list[Operand]:
        """The values of a node's outputs, as many as it names."""
        domain = DOMAINS.get(node.domain, node.domain)
        opset = scope.opset(domain)
        operands: list[Operand] = []
        for name in node.input:
            operand = scope.find(name) if name else None
            if isinstance(operand, Unavailable):
                raise Skip
            operands.append(operand)
        attributes = bound_attributes(node, scope)
        function = self.functions.get((domain, node.op_type, getattr(node, "overload", "")))
        if function is not None:
            return self.run_function(node, function, operands, attributes)
        operator = find(domain, node.op_type, opset)
        if operator is not None:
            results = self.run_operator(node, operator, opset, operands, attributes, scope)
            if results is not None:
                return results
        bound = onnx.NodeProto()
        bound.CopyFrom(node)
        del bound.attribute[:]
        bound.attribute.extend(attributes.values())
        body = expand.body_of(bound, domain, opset, operands)
        if body is None:
            raise Unsupported(f"operator {node.op_type} of opset {opset} is not supported")
        defaults = expand.defaults_of(domain, node.op_type, opset)
        return self.run_function(node, body, operands, {**defaults, **attributes})

    def run_function(
        self,
        node: onnx.NodeProto,
        function: onnx.FunctionProto,
        operands: list[Operand],
        attributes: dict[str, onnx.AttributeProto],
    ) -> list[Operand]:
        """Inline a function body: a model's own function, or ONNX's definition of an operator."""
        defaults = {attribute.name: attribute for attribute in function.attribute_proto}
        inner = Scope(opsets_of(function.opset_import), attributes={**defaults, **attributes})
        operands = operands + [None] * (len(function.input) - len(operands))
        if len(operands) > len(function.input):
            raise CompileError(f"{node.op_type} takes {len(function.input)} operands, found {len(operands)}")
        inner.names.update(zip(function.input, operands, strict=True))
        before = len(self.problems)
        self.run_nodes(function.node, inner)
        # the user's node is named first, the node of the body after it
        for index, each in enumerate(self.problems[before:], before):
            self.problems[index] = replace(each, message=f"{describe(node)}: {each.message}")
        if len(node.output) > len(function.output):
            raise CompileError(f"{node.op_type} has {len(function.output)} results, found {len(node.output)}")
        results: list[Operand] = []
        for name, wanted in zip(function.output, node.output):
            result = inner.find(name) if wanted else None
            if isinstance(result, Unavailable):
                raise Skip
            results.append(result)
        return results

    def run_operator(
        self,
        node: onnx.NodeProto,
        operator: Operator,
        opset: int,
        operands: list[Operand],
        attributes: dict[str, onnx.AttributeProto],
        scope: Scope,
    ) -> list[Operand] | None:
        """Call the operator's function with what its signature asks for; None where it leaves it to ONNX's body."""
        unknown = sorted(attributes.keys() - operator.attributes)
        if unknown:
            raise Unsupported(f"attribute {', '.join(unknown)} of {node.op_type} is not supported")
        missing = sorted(operator.required - attributes.keys())
        if missing:
            raise CompileError(f"attribute {', '.join(missing)} is missing")
        keywords: dict[str, Any] = {
            name: Subgraph(self, each.g, scope) if each.type == onnx.AttributeProto.GRAPH else attribute_value(each)
            for name, each in attributes.items()
        }
        facts = Node(node.name, opset, self.facts, tuple(map(bool, node.output)))
        if operator.node is not None:
            keywords[operator.node] = facts
        given_operands = tuple(arguments(operator, operands))
        try:
            returned = operator.function(*given_operands, **keywords)
        except MISFITS as error:
            fault = fault_of(node, operands, opset)
            if fault is None:
                raise
            raise CompileError(f"operands or attributes do not fit: {fault}") from error
        if returned is NotImplemented:
            return None
        given: tuple[Any, ...] = returned if isinstance(returned, tuple) else (returned,)  # pyright: ignore[reportUnknownVariableType]
        if len(given) < len(node.output):
            raise Unsupported(f"output {len(given) + 1} of {node.op_type} is not supported")
        where = f"{node.name} ({node.op_type})" if node.name else f"{node.output[0]} ({node.op_type})"
        results: list[Operand] = []
        for name, result in zip(node.output, given):
            match result:
                case SSAValue():
                    value = cast(SSAValue, result)
                    self.facts.visit(value, name_location(where))
                    results.append(self.value(name, value))
                case None if name:
                    raise Unsupported(f"output {name!r} of {node.op_type} is not supported")
                case None | Sequence():
                    results.append(result)
                case Value():
                    results.append(result)
                case _:
                    results.append(self.value(name, result))
        return results


def arguments(operator: Operator, operands: list[Operand]) -> Iterator[Any]:
    """The operands as the operator's positional parameters take them."""
    for index, operand in enumerate(operands):
        if index < len(operator.parameters):
            parameter = operator.parameters[index]
            if operand is None and not parameter.optional:
                raise CompileError(f"operand {parameter.name!r} is missing")
            yield taken(operand, parameter.kind, parameter.name)
        elif operator.rest is not None:
            if operand is None:
                raise CompileError(f"operand {index + 1} is missing")
            yield taken(operand, operator.rest, f"operand {index + 1}")
        elif operand is not None:
            raise CompileError(f"{operator.name} takes {len(operator.parameters)} operands, found {len(operands)}")
    for parameter in operator.parameters[len(operands) :]:
        if not parameter.optional:
            raise CompileError(f"operand {parameter.name!r} is missing")
        yield None


def taken(operand: Operand, kind: Kind, name: str) -> Any:
    """One operand as its parameter takes it."""
    if operand is None:
        return None
    if kind is Kind.ANY:
        return operand
    if isinstance(operand, Sequence) != (kind is Kind.SEQUENCE):
        raise CompileError(f"operand {name!r} must be {kind.value}")
    match operand, kind:
        case Value(), Kind.TENSOR:
            return operand.tensor()
        case Value(), Kind.KNOWN:
            return operand.known()
        case _:
            return operand


def bound_attributes(node: onnx.NodeProto, scope: Scope) -> dict[str, onnx.AttributeProto]:
    """A node's attributes; within a function body those that refer to the call's take its value or are left out."""
    result: dict[str, onnx.AttributeProto] = {}
    for attribute in node.attribute:
        if not attribute.ref_attr_name:
            result[attribute.name] = attribute
        elif attribute.ref_attr_name in scope.attributes:
            bound = onnx.AttributeProto()
            bound.CopyFrom(scope.attributes[attribute.ref_attr_name])
            bound.name = attribute.name
            result[attribute.name] = bound
    return result


def describe(node: onnx.NodeProto) -> str:
    """A node as messages name it."""
    return f"node {node.name!r} ({node.op_type})" if node.name else f"{node.op_type} that computes {node.output[0]!r}"
