"""Functions of tensors take memrefs, and their results become trailing out-parameters, unless they take a place."""

from __future__ import annotations

from typing import Any, cast

from xdsl.dialects import func
from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    FunctionType,
    IntegerAttr,
    TensorType,
    UnitAttr,
)

from xmlc.passes.bufferize.places import buffer_type

OUTPUT = "xmlc.output"
"""Marks the parameters that a function writes its results to."""
IN_PLACE = "xmlc.in_place"
"""Marks an argument whose place a result takes: the result's number."""


def in_place_of(function: func.FuncOp) -> dict[int, int]:
    """Number of a result -> that of the argument whose place it takes."""
    found: dict[int, int] = {}
    for argument, attributes in enumerate(function.arg_attrs.data if function.arg_attrs else ()):
        match attributes.data.get(IN_PLACE):
            case IntegerAttr(value=number):
                found[number.data] = argument
            case _:
                continue
    return found


def convert_signature(function: func.FuncOp) -> None:
    """Tensors of the signature become memrefs, tensor results trailing parameters that keep their attributes.

    A result that takes the place of an argument has no parameter.
    """
    old = function.function_type
    inputs = [buffer_type(cast(Any, t)) if isinstance(t, TensorType) else t for t in old.inputs]
    in_place = in_place_of(function)
    placed = [t for i, t in enumerate(old.outputs) if i not in in_place]
    outputs = [buffer_type(cast(Any, t)) for t in placed if isinstance(t, TensorType)]
    scalars = [t for t in old.outputs if not isinstance(t, TensorType)]
    empty = DictionaryAttr({})
    arg_attrs = list(function.arg_attrs) if function.arg_attrs else [empty] * len(inputs)
    res_attrs = list(function.res_attrs) if function.res_attrs else [empty] * len(old.outputs)
    kept: list[DictionaryAttr] = []
    for number, (attributes, type_) in enumerate(zip(res_attrs, old.outputs, strict=True)):
        if number in in_place:
            continue
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
