"""Operators that xmlc lacks: all of them are named before any work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import onnx

from xmlc.dialects.diagnostics import Diagnostic, Place
from xmlc.frontend.onnx import expand
from xmlc.frontend.onnx.operators import find
from xmlc.frontend.onnx.opsets import DOMAINS, opsets_of
from xmlc.frontend.onnx.scope import Scope
from xmlc.frontend.onnx.unsupported import Unsupported

OLDEST_OPSET = 7


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
