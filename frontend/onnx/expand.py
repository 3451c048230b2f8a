"""Operators that ONNX itself defines by simpler ones: the function body that the schema carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

import onnx

from xmlc.dialects.dtypes import FROM_NUMPY
from xmlc.frontend.onnx.operator import Sequence as SequenceValue
from xmlc.frontend.onnx.tensors import code_of
from xmlc.frontend.onnx.values import Value


class Schema(Protocol):
    """What is asked here of `onnx.defs.OpSchema`, whose stub leaves it out."""

    has_function: bool
    has_context_dependent_function: bool
    function_opset_versions: Sequence[int]
    context_dependent_function_opset_versions: Sequence[int]
    attributes: Mapping[str, Any]

    def get_function_with_opset_version(self, version: int, /) -> bytes: ...

    def get_context_dependent_function_with_opset_version(
        self, version: int, node: bytes, types: Sequence[bytes], /
    ) -> bytes: ...


def schema_of(domain: str, name: str, opset: int) -> Schema | None:
    """The operator's definition in force at `opset`, or None where ONNX has none."""
    try:
        return cast(Schema, onnx.defs.get_schema(name, opset, domain))
    except onnx.defs.SchemaError:
        return None


def has_body(domain: str, name: str, opset: int) -> bool:
    """True where ONNX defines the operator by simpler ones, for all types or for given ones."""
    schema = schema_of(domain, name, opset)
    return schema is not None and (schema.has_function or schema.has_context_dependent_function)


def body_of(
    node: onnx.NodeProto, domain: str, opset: int, operands: Sequence[Value | SequenceValue | None]
) -> onnx.FunctionProto | None:
    """The body of `node`'s operator for these operands; None where ONNX defines none for their types."""
    schema = schema_of(domain, node.op_type, opset)
    if schema is None:
        return None
    if schema.has_function:
        version = newest(schema.function_opset_versions, opset)
        data = schema.get_function_with_opset_version(version) if version else b""
    elif schema.has_context_dependent_function:
        version = newest(schema.context_dependent_function_opset_versions, opset)
        types = [type_of(operand).SerializeToString() for operand in operands]
        data = (
            schema.get_context_dependent_function_with_opset_version(version, node.SerializeToString(), types)
            if version
            else b""
        )
    else:
        return None
    return onnx.FunctionProto.FromString(data) if data else None


def newest(versions: Sequence[int], opset: int) -> int | None:
    """The newest version of a body that holds at `opset`."""
    return max((version for version in versions if version <= opset), default=None)


def type_of(operand: Value | SequenceValue | None) -> onnx.TypeProto:
    if isinstance(operand, Value):
        return onnx.helper.make_tensor_type_proto(code_of(FROM_NUMPY[operand.dtype]), operand.shape)
    return onnx.TypeProto()


def defaults_of(domain: str, name: str, opset: int) -> dict[str, onnx.AttributeProto]:
    """The attributes an operator has where a node does not give them."""
    schema = schema_of(domain, name, opset)
    if schema is None:
        return {}
    defaults = {each.name: each.default_value for each in schema.attributes.values()}
    return {name: value for name, value in defaults.items() if value.type != onnx.AttributeProto.UNDEFINED}
