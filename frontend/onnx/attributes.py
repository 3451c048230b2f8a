"""Attributes of a node, as the Python values that operators take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx

from xmlc.dialects.diagnostics import CompileError
from xmlc.frontend.onnx.tensors import array_of, dense_of
from xmlc.frontend.onnx.unsupported import Unsupported

A = onnx.AttributeProto

READ: dict[int, Callable[[onnx.AttributeProto], Any]] = {
    A.FLOAT: lambda a: a.f,
    A.INT: lambda a: a.i,
    A.STRING: lambda a: a.s.decode("utf-8", "replace"),
    A.TENSOR: lambda a: array_of(a.t),
    A.SPARSE_TENSOR: lambda a: dense_of(a.sparse_tensor),
    A.TYPE_PROTO: lambda a: a.tp,
    A.FLOATS: lambda a: tuple(a.floats),
    A.INTS: lambda a: tuple(a.ints),
    A.STRINGS: lambda a: tuple(s.decode("utf-8", "replace") for s in a.strings),
    A.TENSORS: lambda a: tuple(map(array_of, a.tensors)),
}


def attribute_value(attribute: onnx.AttributeProto) -> Any:
    """A number, string, array or tuple of these; graphs are the importer's."""
    if attribute.type not in READ:
        if attribute.type in A.AttributeType.values():
            raise Unsupported(f"attribute {attribute.name!r} is of an unsupported kind")
        raise CompileError(f"attribute {attribute.name!r} has no type")
    return READ[attribute.type](attribute)
