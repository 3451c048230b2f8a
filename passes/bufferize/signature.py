"""Functions of tensors take memrefs, and their results become trailing out-parameters."""

from __future__ import annotations

from typing import Any, cast

from xdsl.dialects import func
from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    FunctionType,
    TensorType,
    UnitAttr,
)

from xmlc.passes.bufferize.places import buffer_type

OUTPUT = "xmlc.output"
"""Marks the parameters that a function writes its results to."""


def convert_signature(function: func.FuncOp) -> None:
    """Tensors of the signature become memrefs, tensor results trailing parameters that keep their attributes."""
    old = function.function_type
    inputs = [buffer_type(cast(Any, t)) if isinstance(t, TensorType) else t for t in old.inputs]
    outputs = [buffer_type(cast(Any, t)) for t in old.outputs if isinstance(t, TensorType)]
    scalars = [t for t in old.outputs if not isinstance(t, TensorType)]
    empty = DictionaryAttr({})
    arg_attrs = list(function.arg_attrs) if function.arg_attrs else [empty] * len(inputs)
    res_attrs = list(function.res_attrs) if function.res_attrs else [empty] * len(old.outputs)
    kept: list[DictionaryAttr] = []
    for attributes, type_ in zip(res_attrs, old.outputs, strict=True):
        if isinstance(type_, TensorType):
            arg_attrs.append(DictionaryAttr({**attributes.data, OUTPUT: UnitAttr()}))
        else:
            kept.append(attributes)
    function.properties["function_type"] = FunctionType.from_lists([*inputs, *outputs], scalars)
    if any(attributes.data for attributes in arg_attrs):
        function.properties["arg_attrs"] = ArrayAttr(arg_attrs)
    function.properties.pop("res_attrs", None)
    if any(attributes.data for attributes in kept):
        function.properties["res_attrs"] = ArrayAttr(kept)
