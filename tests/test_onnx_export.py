"""`xmlc.export_onnx`: what a function computes, ONNX Runtime computes from the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from ml_samples import SAMPLES, Sample
from xdsl.dialects.builtin import f32
from xdsl.dialects.func import FuncOp, ReturnOp

import xmlc
from xmlc import nn
from xmlc import numpy as xnp
from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.reference.interpreter import interpret
from xmlc.frontend.python.tree import flatten
from xmlc.onnx_export.graph import graph_of, model_of, value_info
from xmlc.onnx_export.operators import ROWS, is_expressible

onnxruntime = pytest.importorskip("onnxruntime")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 3, 8, 8)).astype(np.float32)


def run(model: Any, *inputs: Any) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    data = model if isinstance(model, str) else model.SerializeToString()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return session.run(None, {each.name: np.asarray(value) for each, value in zip(session.get_inputs(), inputs)})


CLAMPED = ("gather", "gather_elements", "gather_nd", "scatter_elements", "scatter_nd")
"""Samples whose indices are out of range, which ONNX forbids."""
EXPORTED = [each for each in SAMPLES if each.op in ROWS and each.name not in CLAMPED and f32 in each.elements]


@pytest.mark.parametrize("sample", EXPORTED, ids=str)
def test_an_op_means_the_same_to_onnx_runtime(sample: Sample) -> None:
    if sample.name == "cast" and ("u" in sample.note or "16" in sample.note):
        pytest.skip("what a conversion gives that does not fit is left open")
    module, inputs = sample.module(f32), sample.inputs(f32)
    (main,) = [op for op in module.ops if isinstance(op, FuncOp)]
    if not all(is_expressible(op) for op in main.body.block.ops if not isinstance(op, ReturnOp)):
        return  # it is decomposed first
    names = [f"x{i}" for i in range(len(inputs))]
    graph, results = graph_of(main, ROWS, names)
    given = {name: value_info(name, value, value.type.get_shape()) for name, value in zip(names, main.args)}  # pyright: ignore
    end = main.body.block.last_op
    assert end is not None
    found: dict[str, Any] = {}
    for i, (result, value) in enumerate(zip(results, end.operands)):
        graph.nodes.append(onnx.helper.make_node("Identity", [result], [f"y{i}"]))
        found[f"y{i}"] = value_info(f"y{i}", value, value.type.get_shape())  # pyright: ignore
    with np.errstate(all="ignore"):
        expected = interpret(module, "main", inputs)
    for mine, theirs in zip(expected, run(model_of(graph, given, found, {}), *inputs), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


WEIGHT = RNG.normal(size=(4, 3, 3, 3)).astype(np.float32)
DENSE = RNG.normal(size=(64, 5)).astype(np.float32)


def network(image: Any) -> Any:
    x = nn.max_pool(nn.relu(nn.conv(image, WEIGHT, padding=1)), (2, 2))
    x = nn.gelu(x.reshape(x.shape[0], -1) @ DENSE)
    return nn.softmax(nn.rms_norm(x, np.ones(5, np.float32)))


def test_a_network_is_exported_with_its_weights(tmp_path: Path) -> None:
    model = xmlc.export_onnx(tmp_path / "n.onnx", network, X, outputs=("probabilities",))
    assert [each.name for each in model.graph.input] == ["image"]
    (found,) = run(str(tmp_path / "n.onnx"), X)
    np.testing.assert_allclose(found, xmlc.compile(network)(X), rtol=1e-4, atol=1e-6)
    (again,) = xmlc.load(tmp_path / "n.onnx")(X)
    np.testing.assert_allclose(again, found, rtol=1e-4, atol=1e-6)


def test_a_free_size_stays_free(tmp_path: Path) -> None:
    model = xmlc.export_onnx(tmp_path / "n.onnx", network, X, free={"image": {0: "N"}})
    assert [each.dim_param or each.dim_value for each in model.graph.output[0].type.tensor_type.shape.dim] == ["N", 5]
    more = np.concatenate([X, X + 1, X - 1])
    (found,) = run(str(tmp_path / "n.onnx"), more)
    np.testing.assert_allclose(found, xmlc.compile(network)(more), rtol=1e-4, atol=1e-6)


def test_several_results_are_named_in_order(tmp_path: Path) -> None:
    model = xmlc.export_onnx(tmp_path / "n.onnx", lambda x, y: (x + y["a"], x * 2), X, {"a": X})
    assert [each.name for each in model.graph.input] == ["x", "y['a']"]
    assert [each.name for each in model.graph.output] == ["output0", "output1"]
    np.testing.assert_allclose(run(model, X, X)[0], 2 * X)


def test_a_gradient_is_exported(tmp_path: Path) -> None:
    gradient = xmlc.grad(lambda x: (xnp.tanh(x) ** 2).sum())
    (found,) = run(xmlc.export_onnx(tmp_path / "n.onnx", lambda x: gradient(x), X), X)
    np.testing.assert_allclose(found, 2 * np.tanh(X) * (1 - np.tanh(X) ** 2), rtol=1e-4, atol=1e-5)


def branched(x: Any) -> Any:
    scaled = x * 2
    return xmlc.cond(scaled.sum() > 0, lambda v: (v + scaled, v), lambda v: (v * DENSE[:3, 0], v), x)


def looped(x: Any) -> Any:
    """A loop whose body, a branch in it too, uses values from outside."""
    step = x.max()

    def body(state: Any) -> Any:
        count, total = state
        return count + 1, xmlc.cond(total.sum() > 9, lambda v: v, lambda v: v * 2 + step, total)

    return xmlc.while_loop(lambda state: state[0] < 5, body, (np.int32(0), x))


def scanned(x: Any) -> Any:
    def step(carry: Any, row: Any) -> Any:
        carry = xnp.tanh(carry + row * DENSE[0, 0])
        return carry, (carry.sum(), row + carry)

    return xmlc.scan(step, xnp.zeros(x.shape[1:], dtype=np.float32), x)


def scanned_backwards(x: Any) -> Any:
    return xmlc.scan(lambda carry, row: (carry * 0.5 + row, carry), x[0], x, reverse=True)


def counted(x: Any) -> Any:
    return xmlc.scan(lambda carry, _: (carry * 0.5 + 1, carry), x, None, length=4)


def learned(x: Any) -> Any:
    return xmlc.grad(lambda v: scanned(v)[0].sum())(x)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("function", [branched, looped, scanned, scanned_backwards, counted, learned])
def test_control_flow_is_exported(function: Any, sign: int, tmp_path: Path) -> None:
    x = sign * abs(RNG.normal(size=3 if function in (branched, looped) else (4, 3)).astype(np.float32))
    leaves, _ = flatten(xmlc.compile(function)(x))
    path = tmp_path / "n.onnx"
    found = run(xmlc.export_onnx(path, function, x), x)
    for mine, theirs, again in zip(leaves, found, xmlc.load(path)(x), strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(again, mine, rtol=1e-4, atol=1e-5)


def test_what_onnx_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match=r"cannot export ml\.cumulative_prod to ONNX"):
        xmlc.export_onnx(tmp_path / "n", lambda x: xnp.cumulative_prod(x), X[0, 0, 0])


def test_a_scan_may_have_a_free_length(tmp_path: Path) -> None:
    x = RNG.normal(size=(9, 3)).astype(np.float32)
    model = xmlc.export_onnx(tmp_path / "n", scanned, x[:2], free={"x": {0: "T"}})
    leaves, _ = flatten(xmlc.compile(scanned)(x))
    for mine, theirs in zip(leaves, run(model, x), strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=1e-4, atol=1e-5)


def test_a_free_size_in_a_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="a free size decides a constant, not only shapes"):
        xmlc.export_onnx(tmp_path / "n", lambda x: x * x.shape[0], X, free={"x": {0: "N"}})


def test_a_free_size_in_the_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="a free size decides which operations there are, not only shapes"):
        xmlc.export_onnx(tmp_path / "n", lambda x: sum(row * 2 for row in x), X, free={"x": {0: "N"}})


def test_free_sizes_are_those_of_inputs(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match=r"there is no input 'y' with dimensions \[0\] to leave free"):
        xmlc.export_onnx(tmp_path / "n", lambda x: x, X, free={"y": {0: "N"}})


def test_outputs_are_all_named_or_none(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="2 names for 1 outputs"):
        xmlc.export_onnx(tmp_path / "n", lambda x: x + 1, X, outputs=("a", "b"))
