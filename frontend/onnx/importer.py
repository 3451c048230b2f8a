"""Import an ONNX graph into a module of `ml`: names to values, nodes to calls of operator functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping
from collections.abc import Sequence as Ordered
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import onnx
from xdsl.builder import ImplicitBuilder
from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    FunctionType,
    ModuleOp,
    StringAttr,
    UnitAttr,
)
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Region, SSAValue
from xdsl.transforms.dead_code_elimination import is_trivially_dead
from xdsl.utils.exceptions import VerifyException

from xmlc.dialects.diagnostics import CompileError, Diagnostic, Place
from xmlc.dialects.dtypes import FROM_NUMPY
from xmlc.dialects.ml.types import shape_of
from xmlc.dialects.ml.types import tensor as tensor_type
from xmlc.dialects.sizes import UnknownSize, identifier, symbol
from xmlc.frontend.onnx import expand
from xmlc.frontend.onnx.attributes import attribute_value
from xmlc.frontend.onnx.faults import fault_of
from xmlc.frontend.onnx.operator import Failed, Kind, Node, Operator, Sequence
from xmlc.frontend.onnx.operators import find
from xmlc.frontend.onnx.program import Port, Program
from xmlc.frontend.onnx.tensors import Array, array_of, dense_of, dtype_of
from xmlc.frontend.onnx.unsupported import NeedsValue, Unsupported
from xmlc.frontend.onnx.values import Facts, Value, name_location

OLDEST_OPSET = 7
DOMAINS = {"ai.onnx": ""}
"""The default domain has two spellings."""

Operand = Value | Sequence | None

MISFITS = (ValueError, KeyError, IndexError, ZeroDivisionError, OverflowError)
"""What Python raises where a model's sizes, names or numbers do not fit each other.

Operators check what deserves a message of its own; a model can be wrong in more ways than that. What ONNX's own rules
take is not the model's mistake: such an error is a bug of ours, and keeps its traceback.
"""


class Unavailable:
    """What a name stands for after its node failed: nodes that use it are skipped, not reported again."""


UNAVAILABLE = Unavailable()


@dataclass
class Scope:
    """The names of a graph or function body; a subgraph sees the names of the graphs around it."""

    opsets: Mapping[str, int]
    names: dict[str, Operand | Unavailable] = field(default_factory=dict[str, "Operand | Unavailable"])
    parent: Scope | None = None
    attributes: Mapping[str, onnx.AttributeProto] = field(default_factory=dict[str, onnx.AttributeProto])
    """The attributes of the call, within a function body."""

    def find(self, name: str) -> Operand | Unavailable:
        if name in self.names:
            return self.names[name]
        if self.parent is None:
            raise CompileError(f"the value {name!r} is used but never defined")
        return self.parent.find(name)

    def opset(self, domain: str) -> int:
        return self.opsets.get(domain, onnx.defs.onnx_opset_version() if domain == "" else 1)


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


def opsets_of(imports: Iterable[onnx.OperatorSetIdProto]) -> dict[str, int]:
    return {DOMAINS.get(each.domain, each.domain): each.version for each in imports}


def describe(node: onnx.NodeProto) -> str:
    """A node as messages name it."""
    return f"node {node.name!r} ({node.op_type})" if node.name else f"{node.op_type} that computes {node.output[0]!r}"


# --- the signature


def declared_sizes(port: onnx.ValueInfoProto) -> tuple[int | str | None, ...] | None:
    """The sizes a model names: a number, a symbol, or None for a size it leaves open; None without a rank."""
    tensor = port.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    # some exporters write -1 or "?" for a size they leave open
    return tuple(
        (dim.dim_value if dim.dim_value >= 0 else None)
        if dim.HasField("dim_value")
        else (dim.dim_param if dim.dim_param.strip("? ") else None)
        for dim in tensor.shape.dim
    )


def input_infos(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The inputs a caller gives: old models list their initializers as inputs too."""
    initial = {tensor.name for tensor in model.graph.initializer}
    return [port for port in model.graph.input if port.name not in initial]


def has_free_sizes(model: onnx.ModelProto) -> bool:
    """True where the shapes of the inputs must be given to import the model."""
    sizes = [declared_sizes(port) for port in input_infos(model)]
    return any(each is None or not all(isinstance(size, int) for size in each) for each in sizes)


def input_dtype(info: onnx.ValueInfoProto, place: Place) -> np.dtype[Any]:
    """The element type of an input; Unsupported where it is not a tensor, or of a type that `ml` lacks."""
    if not info.type.HasField("tensor_type"):
        raise Unsupported(f"input {info.name!r} is not a tensor", place=place)
    try:
        return dtype_of(info.type.tensor_type.elem_type)
    except Unsupported as error:
        raise Unsupported(f"input {info.name!r}: {error.diagnostics[0].message}", place=place) from error


def input_ports(
    model: onnx.ModelProto,
    shapes: Mapping[str, Ordered[int]],
    symbols: dict[str, int],
    place: Place,
    dynamic: bool = False,
) -> tuple[Port, ...]:
    """The inputs with their sizes: declared ones, those of `shapes`, those `symbols` names; others stay free."""
    infos = input_infos(model)
    strange = sorted(shapes.keys() - {info.name for info in infos})
    if strange:
        raise CompileError(
            f"the model has no input {strange[0]!r}",
            place=place,
            hint="its inputs are " + ", ".join(info.name for info in infos),
        )
    ports: list[Port] = []
    for info in infos:
        dtype = input_dtype(info, place)
        declared = declared_sizes(info)
        given = shapes.get(info.name)
        if given is not None:
            bind(info.name, declared, given, symbols, place)
        ports.append(Port(info.name, dtype, tuple(given) if given is not None else (), declared))
    if dynamic:
        name_free_sizes(ports, symbols)
    return tuple(
        port if port.name in shapes else replace(port, shape=bound_shape(port, symbols, place)) for port in ports
    )


def name_free_sizes(ports: Ordered[Port], symbols: dict[str, int]) -> None:
    """Let each size that is not known be a symbol with an identifier for a name; nameless ones are never equal."""
    taken: set[str] = set()
    for port in ports:
        for axis, size in enumerate(port.declared or ()):
            key = nameless(port.name, axis) if size is None else size
            if isinstance(key, str) and key not in symbols:
                symbols[key] = symbol(identifier(key, taken))


def nameless(name: str, axis: int) -> str:
    """What a free size without a name is called."""
    return f"{name}.{axis}"


def bind(
    name: str,
    declared: tuple[int | str | None, ...] | None,
    given: Ordered[int],
    symbols: dict[str, int],
    place: Place,
) -> None:
    """Check a given shape against the declared one, and learn the symbols' sizes from it."""
    if declared is None:
        return
    if len(declared) != len(given):
        raise CompileError(
            f"input {name!r} has {len(declared)} dimensions {sizes_text(declared)}, given {sizes_text(given)}",
            place=place,
        )
    for want, found in zip(declared, given, strict=True):
        if isinstance(want, str):
            want = symbols.setdefault(want, found)
        if want is not None and want != found:
            raise CompileError(
                f"input {name!r} has shape {sizes_text(declared)}, given {sizes_text(given)}", place=place
            )


def bound_shape(port: Port, symbols: Mapping[str, int], place: Place) -> tuple[int, ...]:
    """A declared shape with its symbols replaced."""
    if port.declared is None:
        raise CompileError(f"input {port.name!r} has no shape", place=place, hint="give the shapes of the inputs")
    sizes = [
        size if isinstance(size, int) else symbols.get(nameless(port.name, axis) if size is None else size)
        for axis, size in enumerate(port.declared)
    ]
    if None in sizes:
        free = sizes_text(port.declared)
        raise CompileError(
            f"input {port.name!r} has free sizes: {free}", place=place, hint="give its shape, or a size for each symbol"
        )
    return tuple(size for size in sizes if size is not None)


def sizes_text(sizes: Ordered[int | str | None]) -> str:
    return "(" + ", ".join("?" if size is None else str(size) for size in sizes) + ")"


# --- operators that xmlc lacks


def report_missing(
    model: onnx.ModelProto,
    functions: Mapping[tuple[str, str, str], onnx.FunctionProto],
    scope: Scope,
    place: Place,
) -> None:
    """Raise Unsupported with every operator that has neither a function here nor a body, before any work."""
    opset = scope.opset("")
    if opset < OLDEST_OPSET or opset > onnx.defs.onnx_opset_version():
        raise Unsupported(
            f"opset {opset} is not supported",
            place=place,
            hint=f"xmlc knows opsets {OLDEST_OPSET} to {onnx.defs.onnx_opset_version()}",
        )
    missing: Counter[str] = Counter()
    names: dict[str, list[str]] = {}
    for node, opsets in walk(model):
        domain = DOMAINS.get(node.domain, node.domain)
        version = opsets.get(domain, opset if domain == "" else 1)
        if (domain, node.op_type, getattr(node, "overload", "")) in functions:
            continue
        if find(domain, node.op_type, version) is None and not expand.has_body(domain, node.op_type, version):
            spelled = f"{domain}:{node.op_type}" if domain else node.op_type
            missing[spelled] += 1
            names.setdefault(spelled, []).append(node.name or (node.output[0] if node.output else "unnamed"))
    if missing:
        raise Unsupported.of(
            [
                Diagnostic(
                    f"operator {name} is not supported: {count} {'node' if count == 1 else 'nodes'} "
                    f"({', '.join(names[name][:5])}{', …' if count > 5 else ''})",
                    place,
                )
                for name, count in missing.most_common()
            ]
        )


def walk(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, Mapping[str, int]]]:
    """Every node with the operator sets it is written for, in subgraphs and functions too."""
    opsets = opsets_of(model.opset_import)
    for node in walk_nodes(model.graph.node):
        yield node, opsets
    for function in model.functions:
        own = opsets_of(function.opset_import)
        for node in walk_nodes(function.node):
            yield node, own


def walk_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from walk_nodes(attribute.g.node)


# --- the module


def finish(entry: Block, inputs: tuple[Port, ...], outputs: tuple[Port, ...], weights: Mapping[str, Array]) -> Program:
    """Drop what nothing uses, and wrap the block as `@main`."""
    for op in reversed(list(entry.ops)):
        if is_trivially_dead(op):
            op.detach()
            op.erase()
    used: dict[str, Array] = {}
    for argument, (name, array) in zip(entry.args[len(inputs) :], weights.items(), strict=True):
        if argument.uses:
            used[name] = array
        else:
            entry.erase_arg(argument)
    attributes: list[Mapping[str, Attribute]] = [
        *map(port_attributes, inputs),
        *({"ml.name": StringAttr(name), "ml.weight": UnitAttr()} for name in used),
    ]
    last = entry.last_op
    assert last is not None
    main = FuncOp(
        "main",
        FunctionType.from_lists([arg.type for arg in entry.args], [value.type for value in last.operands]),
        Region(entry),
        visibility="public",
        arg_attrs=ArrayAttr(map(DictionaryAttr, attributes)),
        res_attrs=ArrayAttr(DictionaryAttr(port_attributes(port)) for port in outputs),
    )
    return Program(ModuleOp([main]), inputs, outputs, used)


def port_attributes(port: Port) -> dict[str, Attribute]:
    """What the signature of the compiled program says about an input or output: its name, and its sizes' names."""
    attributes: dict[str, Attribute] = {"ml.name": StringAttr(port.name)}
    if port.declared is not None and any(isinstance(size, str) for size in port.declared):
        names = [StringAttr(size if isinstance(size, str) else "") for size in port.declared]
        attributes["ml.symbols"] = ArrayAttr(names)
    return attributes
