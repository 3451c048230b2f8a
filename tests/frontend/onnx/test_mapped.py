"""Large tensors that are read where they lie in a model's files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx_models import model, node

import xmlc
from xmlc.dialects.diagnostics import CompileError
from xmlc.files import mapped
from xmlc.frontend.onnx.mapped import LARGE, cut_out, load_mapped
from xmlc.sources import open_source

ROWS = LARGE // 4 // 128
WEIGHT = np.random.default_rng(0).standard_normal((ROWS, 128), dtype=np.float32)
BIAS = np.arange(ROWS, dtype=np.float32).reshape(ROWS, 1)
X = np.ones((ROWS, 128), np.float32)


def adding() -> onnx.ModelProto:
    nodes = [node("Add", "x w", "s"), node("Mul", "s b", "y")]
    return model(nodes, {"x": (ROWS, 128)}, ["y"], {"b": BIAS, "w": WEIGHT})


def stored_outside(folder: Path) -> Path:
    """The model with its weight in a file beside it, at an odd place."""
    proto = adding()
    tensor = proto.graph.initializer[1]
    (folder / "weights").write_bytes(b"odd" + tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": "weights", "offset": "3"}.items():
        tensor.external_data.add(key=key, value=value)
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def test_only_large_tensors_are_cut_out_and_the_rest_is_the_same_message() -> None:
    proto = adding()
    cut = cut_out(proto.SerializeToString())
    assert list(cut.places) == ["w"]
    proto.graph.initializer[1].ClearField("raw_data")
    assert onnx.ModelProto.FromString(bytes(cut.message)) == proto


def stored_inside(folder: Path) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(adding().SerializeToString())
    return path


@pytest.mark.parametrize("make", [stored_inside, stored_outside])
def test_tensors_are_read_from_the_files(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path)
    loaded = load_mapped(path.read_bytes(), path, mapped)
    np.testing.assert_array_equal(loaded.arrays["w"], WEIGHT)
    (y,) = xmlc.load(path)(X)
    np.testing.assert_array_equal(y, (X + WEIGHT) * BIAS)


def test_a_program_keeps_its_weights_when_the_file_is_written_again(tmp_path: Path) -> None:
    path = stored_inside(tmp_path)
    source = open_source(str(path))
    network = xmlc.load(path)
    data = path.read_bytes()
    with path.open("r+b") as file:
        file.write(bytes(len(data)))
    os.utime(path, ns=(0, 0))
    np.testing.assert_array_equal(network(X)[0], (X + WEIGHT) * BIAS)
    with pytest.raises(CompileError, match=r"model\.onnx' was changed while it was in use\nhint: load it again"):
        source.make({}, {})


@given(st.data())
def test_a_damaged_file_is_the_users_mistake_or_another_model(data: st.DataObject) -> None:
    whole = bytearray(adding().SerializeToString())
    place = data.draw(st.integers(0, 400).map(lambda place: place % len(whole)))
    whole[place] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(whole)))
    try:
        load_mapped(bytes(whole[:end]), Path("m.onnx"), mapped)
    except CompileError:
        return
