"""Reading a model: what is not one, and external data that would leave the model's folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx_models import model, node

from xmlc.dialects.diagnostics import CompileError
from xmlc.frontend.onnx.load import load
from xmlc.frontend.onnx.tensors import array_of

WEIGHT = np.arange(6, dtype=np.float32).reshape(2, 3)


def adding() -> onnx.ModelProto:
    return model([node("Add", "x w", "y")], {"x": (2, 3)}, ["y"], {"w": WEIGHT})


def stored_outside(folder: Path, location: str, **entries: object) -> Path:
    """A model in `folder` whose weight is said to lie at `location`."""
    proto = adding()
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=str(value))
    folder.mkdir(exist_ok=True)
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def message_of(source: object) -> str:
    with pytest.raises(CompileError) as caught:
        load(source)  # pyright: ignore[reportArgumentType]
    return str(caught.value)


def test_a_model_is_read_from_a_path_bytes_or_a_message(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(adding().SerializeToString())
    for source in (path, str(path), path.read_bytes(), adding()):
        assert load(source).graph.node[0].op_type == "Add"


def test_a_missing_file_is_the_users_mistake(tmp_path: Path) -> None:
    assert "cannot read the model: No such file or directory" in message_of(tmp_path / "none.onnx")


def test_a_truncated_file_is_the_users_mistake(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(adding().SerializeToString()[:-7])
    assert f"{path}: error: not an ONNX model, or a truncated one" in message_of(path)


@pytest.mark.parametrize("data", [b"", b"\x08\x07"])
def test_a_file_without_a_graph_is_the_users_mistake(data: bytes) -> None:
    assert "the model has no graph" in message_of(data)


def test_external_data_is_read_from_the_models_folder(tmp_path: Path) -> None:
    path = stored_outside(tmp_path, "sub/weights.bin", offset=8, length=24)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "weights.bin").write_bytes(b"\0" * 8 + WEIGHT.tobytes())
    np.testing.assert_array_equal(array_of(load(path).graph.initializer[0]), WEIGHT)


@pytest.mark.parametrize("location", ["../secret", "sub/../../secret", "/etc/passwd", "C:\\secret", ""])
def test_external_data_outside_the_folder_is_refused(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret").write_bytes(WEIGHT.tobytes())
    path = stored_outside(tmp_path / "models", location)
    assert "tensor 'w' names external data outside the model's folder" in message_of(path)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(WEIGHT.tobytes())
    path = stored_outside(tmp_path / "models", "link")
    (tmp_path / "models" / "link").symlink_to(tmp_path / "secret")
    assert "outside the model's folder: 'link'" in message_of(path)


def test_external_data_beyond_the_file_is_refused(tmp_path: Path) -> None:
    path = stored_outside(tmp_path, "w.bin", offset=16, length=24)
    (tmp_path / "w.bin").write_bytes(b"\0" * 24)
    assert "needs bytes 16 to 40 of 'w.bin', which has 24" in message_of(path)


def test_external_data_of_a_message_without_a_folder_is_refused(tmp_path: Path) -> None:
    proto = onnx.ModelProto.FromString(stored_outside(tmp_path, "w.bin").read_bytes())
    assert "load the model from its path" in message_of(proto)


def test_a_tensor_whose_data_does_not_fit_its_shape_is_malformed() -> None:
    proto = adding()
    proto.graph.initializer[0].raw_data = b"\0" * 5
    with pytest.raises(CompileError, match="tensor 'w' is malformed"):
        array_of(proto.graph.initializer[0])
