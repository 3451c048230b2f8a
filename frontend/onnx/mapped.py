"""Large tensors of an ONNX file are read where they lie: the message is parsed without them.

A model is a protobuf message, mostly weights; to parse it whole copies each of them twice. A field of a message is its
number and kind (one variable-length integer: `number << 3 | kind`), then its value; one of kind 2 is a length and so
many bytes, of a message again or of data. So the place of every tensor's data is found by walking over three levels:

    ModelProto.graph (7) -> GraphProto.initializer (5) -> TensorProto.raw_data (9)

and what is left once the large ones are cut out is a small message, parsed as any other.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from xmlc.dialects.diagnostics import CompileError, Place
from xmlc.frontend.onnx.load import check, external_place, not_a_model, parse, read_all_external
from xmlc.frontend.onnx.tensors import WIDENED, Array, dtype_of

LARGE = 64 << 10
"""Bytes from which a tensor's data is not put into a message."""

GRAPH, INITIALIZER, RAW_DATA = 7, 5, 9
FIXED64, SIZED, FIXED32 = 1, 2, 5
"""Kinds of values: eight bytes, a length and so many bytes, four bytes; 0 is a variable-length integer."""

Data = Any
"""The bytes of a file: `bytes`, or a mapping of it."""


@dataclass(frozen=True)
class Part:
    """A field of a message: its number, where it starts, where its value starts, and where it ends."""

    number: int
    start: int
    value: int
    end: int


@dataclass
class Cut:
    """What is left of a message, and what was cut out of it: name of a tensor -> where its data lies."""

    message: bytearray
    places: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])


def cut_out(data: Data) -> Cut:
    """A model without the data of its large initializers. Raises DecodeError where the bytes are no message."""
    cut = Cut(bytearray())
    keep(data, Part(0, 0, 0, len(data)), cut.message, {GRAPH: lambda part, out: cut_graph(data, part, out, cut)})
    return cut


def cut_graph(data: Data, graph: Part, out: bytearray, cut: Cut) -> None:
    keep(data, graph, out, {INITIALIZER: lambda part, inner: cut_tensor(data, part, inner, cut)})


def cut_tensor(data: Data, tensor: Part, out: bytearray, cut: Cut) -> None:
    """A tensor, without its data if that is large and an array of its element type can share it."""
    if tensor.end - tensor.value < LARGE:
        out += data[tensor.value : tensor.end]
        return
    raw = [part for part in parts(data, tensor) if part.number == RAW_DATA]
    if len(raw) != 1 or raw[0].end - raw[0].value < LARGE:
        out += data[tensor.value : tensor.end]
        return
    left = data[tensor.value : raw[0].start] + data[raw[0].end : tensor.end]
    message = onnx.TensorProto.FromString(left)
    length = raw[0].end - raw[0].value
    if message.name in cut.places or shared_bytes(message) != length:
        out += data[tensor.value : tensor.end]
        return
    cut.places[message.name] = raw[0].value, length
    out += left


def shared_bytes(tensor: onnx.TensorProto) -> int | None:
    """How many bytes of data an array of the tensor's shape has; None where its data is not laid out as an array's."""
    if tensor.data_type in WIDENED:
        return None
    try:
        return dtype_of(tensor.data_type).itemsize * int(np.prod(tensor.dims, dtype=np.int64))
    except CompileError:
        return None


def keep(data: Data, message: Part, out: bytearray, cutting: Mapping[int, Callable[[Part, bytearray], None]]) -> None:
    """Write a message's fields to `out`; those with a number of `cutting` as it makes them anew."""
    for part in parts(data, message):
        if part.number in cutting:
            inner = bytearray()
            cutting[part.number](part, inner)
            out += variable(part.number << 3 | SIZED) + variable(len(inner)) + inner
        else:
            out += data[part.start : part.end]


def parts(data: Data, message: Part) -> Generator[Part]:
    """The fields of a message. Raises DecodeError where its bytes are none."""
    position = message.value
    while position < message.end:
        start = position
        key, position = read_variable(data, position, message.end)
        match key & 7:
            case 0:
                _, end = read_variable(data, position, message.end)
            case 1:
                end = position + 8
            case 2:
                length, position = read_variable(data, position, message.end)
                end = position + length
            case 5:
                end = position + 4
            case _:
                raise DecodeError("a field of unknown kind")
        if end > message.end:
            raise DecodeError("a field that ends behind its message")
        yield Part(key >> 3, start, position, end)
        position = end


def read_variable(data: Data, position: int, end: int) -> tuple[int, int]:
    """A variable-length integer, seven bits a byte, the lowest first; and the position after it."""
    value = shift = 0
    while position < end and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
    raise DecodeError("a number without an end")


def variable(value: int) -> bytes:
    """A number as a variable-length integer."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


@dataclass(frozen=True)
class Mapped:
    """A model, those of its initializers that are not in the message, by name, and the files that these lie in.

    They are read-only arrays that share the memory of files, and need not be aligned.
    """

    model: onnx.ModelProto
    arrays: dict[str, Array]
    files: tuple[Path, ...]


def load_mapped(data: Data, path: Path, map_file: Callable[[Path], Data]) -> Mapped:
    """The model of a file whose bytes are given; `map_file` gives those of another. Raises CompileError as `load`."""
    place = Place(str(path))
    try:
        cut = cut_out(data)
    except DecodeError as error:
        raise not_a_model(place) from error
    model = parse(bytes(cut.message), place)
    check(model, place)
    arrays: dict[str, Array] = {}
    others: dict[Path, Data] = {}
    for tensor in model.graph.initializer:
        if tensor.name in cut.places:
            start, length = cut.places[tensor.name]
            arrays[tensor.name] = shared(data, start, length, tensor)
        elif tensor.data_location == onnx.TensorProto.EXTERNAL:
            file, start, length = external_place(tensor, path.parent, place)
            if length >= LARGE and shared_bytes(tensor) == length:
                if file not in others:
                    others[file] = map_file(file)
                arrays[tensor.name] = shared(others[file], start, length, tensor)
                tensor.data_location = onnx.TensorProto.DEFAULT
    read_all_external(model, path.parent, place)
    return Mapped(model, arrays, (path, *others))


def shared(data: Data, start: int, length: int, tensor: onnx.TensorProto) -> Array:
    flat = np.frombuffer(data, np.uint8, length, start)
    return flat.view(dtype_of(tensor.data_type)).reshape(tuple(tensor.dims))
