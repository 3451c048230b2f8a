"""ONNX's backend interface: prepared models at several shapes, refusals, and a sample of ONNX's own tests."""

from __future__ import annotations

import logging
import re
import unittest
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.backend.test
import pytest
from onnx_models import model, node

import xmlc.onnx_backend as backend
from xmlc.dialects.diagnostics import CompileError

SAMPLE = (
    r"^test_(add|relu|clip_default_inbounds|gemm_alpha|matmul_3d|conv_with_strides_padding|maxpool_2d_default"
    r"|averagepool_2d_ceil|batchnorm_epsilon|softmax_axis_1|layer_normalization_2d_axis1|reshape_negative_dim"
    r"|slice_neg_steps|gather_negative_indices|concat_2d_axis_0|reduce_sum_keepdims_example|where_example"
    r"|cast_FLOAT_to_DOUBLE|lstm_defaults|gru_defaults|if|argmax_default_axis_example|top_k|constant_pad"
    r"|quantizelinear|dequantizelinear|resize_upsample_sizes_nearest|convtranspose)_cpu$"
)


def sample() -> dict[str, Callable[[unittest.TestCase], None]]:
    """The chosen ones of ONNX's node tests; making their data warns of divisions by zero."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tests = onnx.backend.test.BackendTest(backend.XmlcBackend, __name__)
        tests.include(SAMPLE)
        cases = tests.test_cases["OnnxBackendNodeModelTest"]
    return {name: getattr(cases, name) for name in dir(cases) if re.match(SAMPLE, name)}


TestNodes = type("TestNodes", (unittest.TestCase,), sample())


def test_the_sample_finds_its_tests() -> None:
    assert sum(name.startswith("test_") for name in vars(TestNodes)) == SAMPLE.count("|") + 1


def scaling() -> onnx.ModelProto:
    return model([node("Mul", "x two", "y")], {"x": ("B", 3)}, ["y"], {"two": np.float32(2)})


def test_one_prepared_model_serves_several_shapes() -> None:
    prepared = backend.prepare(scaling())
    for batch in (1, 4, 1):
        x = np.ones((batch, 3), np.float32)
        np.testing.assert_array_equal(prepared.run([x])[0], 2 * x)
    assert len(prepared.compiled) == 2


def test_programs_of_old_shapes_are_dropped_with_a_word(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(backend, "CACHED", 1)
    prepared = backend.prepare(scaling(), execute="interpret")
    with caplog.at_level(logging.WARNING, logger="xmlc"):
        for batch in (1, 2):
            prepared.run(np.ones((batch, 3), np.float32))
    assert len(prepared.compiled) == 1
    assert "dropped the program for input shapes ((1, 3),)" in caplog.text


def test_an_input_that_is_a_shape_is_part_of_what_a_program_is_for() -> None:
    proto = model([node("Reshape", "x s", "y")], {"x": (2, 3), "s": (np.int64, (1,))}, ["y"])
    prepared = backend.prepare(proto, execute="interpret")
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert prepared.run([x, np.array([6])])[0].shape == (6,)
    assert prepared.run([x, np.array([-1])])[0].shape == (6,)
    assert len(prepared.compiled) == 2


def test_wrong_inputs_are_the_users_mistake() -> None:
    prepared = backend.prepare(scaling(), execute="interpret")
    with pytest.raises(CompileError, match="the model takes 1 inputs, given 2"):
        prepared.run([np.ones((1, 3), np.float32)] * 2)
    with pytest.raises(CompileError, match="input 'x' has element type float64, expected float32"):
        prepared.run([np.ones((1, 3))])
    with pytest.raises(CompileError, match=r"input 'x' has shape \(B, 3\), given \(1, 4\)"):
        prepared.run([np.ones((1, 4), np.float32)])


def test_other_devices_are_unsupported() -> None:
    assert backend.supports_device("CPU")
    assert not backend.supports_device("CUDA")
    with pytest.raises(NotImplementedError, match="device CUDA is not supported"):
        backend.prepare(scaling(), "CUDA")


def test_what_xmlc_lacks_is_said_when_preparing() -> None:
    proto = model([node("Det", "x", "y", name="d")], {"x": (2, 2)}, ["y"])
    assert not backend.is_compatible(proto)
    with pytest.raises(NotImplementedError, match=r"operator Det is not supported: 1 node \(d\)"):
        backend.prepare(proto)


def test_a_model_is_prepared_from_its_path(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(scaling().SerializeToString())
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(backend.run_model(path, [x], execute="interpret")[0], 2 * x)


def test_a_single_node_runs() -> None:
    x = np.array([-1.0, 2.0], np.float32)
    (y,) = backend.run_node(node("LeakyRelu", "x", "y", alpha=0.5), [x], execute="interpret")
    np.testing.assert_array_equal(y, [-0.5, 2.0])
