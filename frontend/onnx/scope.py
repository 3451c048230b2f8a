"""The names that a graph or a function body sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import onnx

from xmlc.dialects.diagnostics import CompileError
from xmlc.frontend.onnx.operator import Sequence
from xmlc.frontend.onnx.values import Value

Operand = Value | Sequence | None


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
