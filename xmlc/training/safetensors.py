"""Parameters on disk as safetensors: a header of JSON that says what lies where, then the bytes of the arrays.

https://huggingface.co/docs/safetensors describes the format: 8 bytes, little-endian, with the length of the header;
the header, an object of name -> {dtype, shape, data_offsets}; the arrays in row-major order. Reading maps the file.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, cast

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from xmlc.dialects.diagnostics import CompileError
from xmlc.files import reason, write_whole
from xmlc.frontend.python.tree import flatten

Array = NDArray[Any]

DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    **{f"U{8 * size}": np.dtype(f"u{size}") for size in (1, 2, 4, 8)},
    **{f"I{8 * size}": np.dtype(f"i{size}") for size in (1, 2, 4, 8)},
    **{f"F{8 * size}": np.dtype(f"f{size}") for size in (2, 4, 8)},
    "BF16": np.dtype(ml_dtypes.bfloat16),
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}

ALIGNMENT = 8
"""The header is filled up with spaces to a multiple of this, so that the arrays are aligned."""


def save_parameters(path: str | Path, parameters: Any) -> None:
    """Write a tree of arrays; each leaf is named by its path in the tree: `layers.0.weight`."""
    leaves, structure = flatten(parameters)
    named = dict(zip(names_of(structure), [np.asarray(leaf, order="C") for leaf in leaves]))
    header: dict[str, Any] = {}
    start = 0
    for name, array in named.items():
        if array.dtype not in NAMES:
            raise CompileError(f"the array '{name}' has element type {array.dtype}, which safetensors cannot hold")
        header[name] = {
            "dtype": NAMES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [start, start + array.nbytes],
        }
        start += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    write_whole(
        Path(path), b"".join([struct.pack("<Q", len(text)), text, *[array.tobytes() for array in named.values()]])
    )


def load_parameters(path: str | Path, like: Any = None) -> Any:
    """The arrays of a file by name; or, given a tree `like` the one that was saved, as such a tree.

    Raises CompileError for a file that is none, or whose arrays are not those of the tree.
    """
    found = read(Path(path))
    if like is None:
        return found
    leaves, structure = flatten(like)
    wanted = dict(zip(names_of(structure), leaves))
    if wanted.keys() != found.keys():
        differing = ", ".join(sorted(wanted.keys() ^ found.keys()))
        raise CompileError(f"{path} does not hold the arrays of these parameters: {differing}")
    for name, leaf in wanted.items():
        if found[name].shape != leaf.shape or found[name].dtype != leaf.dtype:
            was = f"{found[name].dtype} of shape {found[name].shape}"
            raise CompileError(f"'{name}' in {path} is {was}, expected {leaf.dtype} of shape {leaf.shape}")
    return structure.build([found[name] for name in wanted])


def names_of(structure: Any) -> list[str]:
    """The path of each leaf of a tree, its steps joined by dots."""
    if structure.kind is None:
        return [""]
    keys = structure.keys or range(len(structure.children))
    return [
        f"{key}.{rest}" if rest else str(key)
        for key, child in zip(keys, structure.children)
        for rest in names_of(child)
    ]


def read(path: Path) -> dict[str, Array]:
    """The arrays of a file by name, mapped copy-on-write: they may be written to, the file stays as it is."""
    try:
        data: NDArray[np.uint8] = np.asarray(np.memmap(path, np.uint8, "c"))
        (length,) = struct.unpack("<Q", data[:8].tobytes())
        header = cast("dict[str, Any]", json.loads(data[8 : 8 + length].tobytes()))
        header.pop("__metadata__", None)
        body = data[8 + length :]
        return {name: array_of(body, entry) for name, entry in header.items()}
    except OSError as error:
        raise CompileError(f"cannot read '{path}': {reason(error)}") from error
    except (struct.error, ValueError, KeyError, TypeError) as error:
        raise CompileError(f"{path} is not a file of safetensors: {error}") from error


def array_of(body: NDArray[np.uint8], entry: dict[str, Any]) -> Array:
    start, end = entry["data_offsets"]
    return body[start:end].view(DTYPES[entry["dtype"]]).reshape(entry["shape"])
