"""The inputs and outputs of an ONNX model: their types, and sizes declared, given or free."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Ordered
from dataclasses import replace
from typing import Any

import numpy as np
import onnx

from xmlc.dialects.diagnostics import CompileError, Place
from xmlc.dialects.sizes import identifier, symbol
from xmlc.frontend.onnx.program import Port
from xmlc.frontend.onnx.tensors import dtype_of
from xmlc.frontend.onnx.unsupported import Unsupported


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
