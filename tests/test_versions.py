"""A model with free sizes is compiled once for all of them; what is compiled again says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import xmlc
from xmlc.dialects.diagnostics import CompileError
from xmlc.running import interpreted
from xmlc.sources import open_source
from xmlc.versions import Versions

Array = NDArray[Any]

RANDOM = np.random.default_rng(0)
WEIGHT = RANDOM.standard_normal((8, 8)).astype(np.float32)
POSITIONS = RANDOM.standard_normal((16, 8)).astype(np.float32)


def saved(
    path: Path, nodes: list[onnx.NodeProto], inputs: dict[str, tuple[int, list[str | int]]], **arrays: Any
) -> Path:
    initial = [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
    ports = [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()]
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", ports, [out], initial)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def attention(path: Path) -> Path:
    """Two heads over x plus positions, with the shape arithmetic that exporters write."""
    node = helper.make_node
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "zero"], ["batch"]),
        node("Gather", ["shape", "one"], ["length"]),
        node("Unsqueeze", ["batch", "first"], ["b"]),
        node("Unsqueeze", ["length", "first"], ["l"]),
        node("Slice", ["positions", "first", "l", "first"], ["here"]),
        node("Add", ["x", "here"], ["y"]),
        node("MatMul", ["y", "weight"], ["z"]),
        node("Concat", ["b", "l", "heads"], ["split"], axis=0),
        node("Reshape", ["z", "split"], ["parts"]),
        node("Transpose", ["parts"], ["q"], perm=[0, 2, 1, 3]),
        node("Transpose", ["parts"], ["k"], perm=[0, 2, 3, 1]),
        node("MatMul", ["q", "k"], ["scores"]),
        node("Softmax", ["scores"], ["shares"], axis=-1),
        node("MatMul", ["shares", "q"], ["seen"]),
        node("Transpose", ["seen"], ["back"], perm=[0, 2, 1, 3]),
        node("Reshape", ["back", "shape"], ["out"]),
    ]
    numbers = {"zero": np.int64(0), "one": np.int64(1), "first": np.array([0]), "heads": np.array([2, 4])}
    return saved(
        path, nodes, {"x": (TensorProto.FLOAT, ["batch", "length", 8])}, positions=POSITIONS, weight=WEIGHT, **numbers
    )


def reference(x: Array) -> Array:
    batch, length, _ = x.shape
    parts = ((x + POSITIONS[:length]) @ WEIGHT).reshape(batch, length, 2, 4)
    q, k = parts.transpose(0, 2, 1, 3), parts.transpose(0, 2, 3, 1)
    scores = q @ k
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    return ((shares / shares.sum(-1, keepdims=True)) @ q).transpose(0, 2, 1, 3).reshape(x.shape)


def drawn(*shape: int) -> Array:
    return (RANDOM.standard_normal(shape) / 2).astype(np.float32)


def free(path: Path, **options: int) -> Versions:
    loaded = xmlc.load(path, **options)  # pyright: ignore[reportArgumentType]
    assert isinstance(loaded, Versions)
    return loaded


def test_one_compilation_serves_every_batch_and_length(tmp_path: Path) -> None:
    network = free(attention(tmp_path / "net.onnx"))
    for batch in (1, 2, 5):
        for length in (1, 2, 7, 13, 16):
            x = drawn(batch, length, 8)
            np.testing.assert_allclose(network(x)[0], reference(x), rtol=1e-4, atol=1e-5)
    assert [each.shapes for each in network.compilations] == [None]


def test_what_the_first_inputs_had_is_assumed_and_others_are_refused_by_name(tmp_path: Path) -> None:
    network = free(attention(tmp_path / "net.onnx"))
    network(drawn(1, 3, 8))
    assert network.free[0].signature.assumptions == ("-1*length + 16",)


def test_specialised_compilations_are_bounded_and_then_one_serves_the_rest(tmp_path: Path) -> None:
    network = free(attention(tmp_path / "net.onnx"), specialise=2)
    for length in (2, 3, 4, 5, 2, 3):
        x = drawn(1, length, 8)
        np.testing.assert_allclose(network(x)[0], reference(x), rtol=1e-4, atol=1e-5)
    assert [each.shapes for each in network.compilations] == [((1, 2, 8),), ((1, 3, 8),), None]


def test_a_size_that_must_be_known_is_said_and_its_shapes_are_compiled_one_by_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nodes = [helper.make_node("EyeLike", ["x"], ["out"])]
    network = free(saved(tmp_path / "eye.onnx", nodes, {"x": (TensorProto.FLOAT, ["n", "n"])}))
    for size in (2, 3, 2):
        np.testing.assert_array_equal(network(drawn(size, size))[0], np.eye(size))
    assert [each.shapes for each in network.compilations] == [((2, 2),), ((3, 3),)]
    assert "cannot be compiled for all sizes, since" in caplog.text


FACTORS = {"whole": (2, 3), "broken": (1.5, 2.5)}
SAMPLINGS = [
    ("nearest", "asymmetric", "floor", "whole"),
    ("nearest", "half_pixel", "round_prefer_floor", "whole"),
    ("nearest", "half_pixel", "round_prefer_ceil", "broken"),
    ("linear", "asymmetric", "floor", "whole"),
    ("linear", "half_pixel", "floor", "broken"),
    ("linear", "pytorch_half_pixel", "floor", "broken"),
]


@pytest.mark.parametrize(("mode", "coordinates", "rounding", "factors"), SAMPLINGS)
def test_one_compilation_of_a_detector_serves_every_height_and_width(
    mode: str, coordinates: str, rounding: str, factors: str, tmp_path: Path
) -> None:
    """A convolution, its result resized beside a larger one, and their sum over windows."""
    named = {"mode": mode, "coordinate_transformation_mode": coordinates, "nearest_mode": rounding}
    nodes = [
        helper.make_node("Conv", ["x", "filter"], ["c"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Resize", ["c", "", "factors"], ["r"], **named),
        helper.make_node("MaxPool", ["r"], ["out"], kernel_shape=[2, 2], strides=[1, 1]),
    ]
    path = saved(
        tmp_path / "detector.onnx",
        nodes,
        {"x": (TensorProto.FLOAT, ["batch", 2, "height", "width"])},
        filter=drawn(3, 2, 3, 3),
        factors=np.array([1, 1, *FACTORS[factors]], np.float32),
    )
    network = free(path)
    for shape in ((1, 2, 8, 6), (2, 2, 5, 9), (1, 2, 3, 17)):
        x = drawn(*shape)
        found = network(x)[0]
        expected = interpreted(open_source(str(path)).make({}, {"x": x}), {"x": x}).results[0]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert [each.shapes for each in network.compilations] == [None]


def test_empty_inputs_get_a_compilation_of_their_own(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["out"])]
    network = free(saved(tmp_path / "relu.onnx", nodes, {"x": (TensorProto.FLOAT, ["n"])}))
    assert [network(np.zeros(size, np.float32))[0].size for size in (3, 0, 0, 5)] == [3, 0, 0, 5]
    assert [each.shapes for each in network.compilations] == [None, ((0,),)]


def test_a_wrong_number_of_inputs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="expected 1 inputs, found 2"):
        free(attention(tmp_path / "net.onnx"))(drawn(1, 1, 8), drawn(1, 1, 8))
