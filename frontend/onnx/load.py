"""Read an ONNX model: a file, bytes or a message; its external data only from inside the model's folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

import onnx
from google.protobuf.message import DecodeError

from xmlc.dialects.diagnostics import CompileError, Place


def load(source: str | Path | bytes | onnx.ModelProto, path: Path | None = None) -> onnx.ModelProto:
    """The model with all tensor data inside the message.

    `source` is a path, the bytes of a file (of the one at `path`, if that is given), or a message (which is not changed
    unless it has external data, and then cannot be read: only a path has a folder). CompileError for a file that
    cannot be read, is not an ONNX model, or names external data outside its own folder.
    """
    match source:
        case onnx.ModelProto():
            model, folder, place = source, None, Place("model")
        case bytes():
            place = Place("model" if path is None else str(path))
            model, folder = parse(source, place), path.parent if path else None
        case _:
            path = Path(source)
            place = Place(str(path))
            model, folder = parse(read(path), place), path.parent
    check(model, place)
    read_all_external(model, folder, place)
    return model


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CompileError(f"cannot read the model: {error.strerror}", place=Place(str(path))) from error


def parse(data: bytes, place: Place) -> onnx.ModelProto:
    try:
        return onnx.ModelProto.FromString(data)
    except DecodeError as error:
        raise not_a_model(place) from error


def not_a_model(place: Place) -> CompileError:
    return CompileError("not an ONNX model, or a truncated one", place=place, hint="expected a serialized ModelProto")


def check(model: onnx.ModelProto, place: Place) -> None:
    """What every model has; an empty or foreign message parses as one without any of it."""
    if not model.HasField("graph") or not (model.graph.node or model.graph.output):
        raise CompileError("the model has no graph", place=place, hint="expected a serialized ModelProto")
    if not model.opset_import:
        raise CompileError("the model imports no operator set", place=place)


def tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor of the model: initializers and attributes, in subgraphs and functions too."""
    yield from graph_tensors(model.graph)
    for function in model.functions:
        yield from node_tensors(function.node)


def graph_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values
        yield sparse.indices
    yield from node_tensors(graph.node)


def node_tensors(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            yield from attribute.tensors
            if attribute.HasField("t"):
                yield attribute.t
            if attribute.HasField("g"):
                yield from graph_tensors(attribute.g)
            for graph in attribute.graphs:
                yield from graph_tensors(graph)


def read_all_external(model: onnx.ModelProto, folder: Path | None, place: Place) -> None:
    """Put the external bytes of every tensor into the message."""
    for tensor in tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            file, offset, length = external_place(tensor, folder, place)
            with file.open("rb") as stream:
                stream.seek(offset)
                tensor.raw_data = stream.read(length)
            tensor.data_location = onnx.TensorProto.DEFAULT
            del tensor.external_data[:]


def external_place(tensor: onnx.TensorProto, folder: Path | None, place: Place) -> tuple[Path, int, int]:
    """The file of a tensor's external data, where it starts there, and its length in bytes. Raises CompileError."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    if folder is None:
        raise CompileError(
            f"tensor {tensor.name!r} is stored outside the model, in {location!r}",
            place=place,
            hint="load the model from its path",
        )
    file = contained(folder, location, tensor.name, place)
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", -1))
    except ValueError as error:
        raise CompileError(f"tensor {tensor.name!r} has a malformed offset or length", place=place) from error
    size = file.stat().st_size
    length = size - offset if length < 0 else length
    if offset < 0 or length < 0 or offset + length > size:
        raise CompileError(
            f"tensor {tensor.name!r} needs bytes {offset} to {offset + length} of {location!r}, which has {size}",
            place=place,
        )
    return file, offset, length


def contained(folder: Path, location: str, name: str, place: Place) -> Path:
    """The file a tensor names, which lies in the model's folder also once links are followed."""
    outside = CompileError(
        f"tensor {name!r} names external data outside the model's folder: {location!r}",
        place=place,
        hint="external data lies in the folder of the model file, or below it",
    )
    relative = PurePosixPath(location)
    absolute = relative.is_absolute() or PureWindowsPath(location).anchor
    if not location or absolute or ".." in relative.parts or "\0" in location:
        raise outside
    file = (folder / relative).resolve()
    if not file.is_relative_to(folder.resolve()):
        raise outside
    if not file.is_file():
        raise CompileError(f"external data {location!r} of tensor {name!r} is not a file", place=place)
    return file
