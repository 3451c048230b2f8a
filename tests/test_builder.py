"""`xmlc.Builder`: modules written in Python, and programs of files as Python functions."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

import xmlc
from xmlc import ml

ROOT = Path(__file__).resolve().parent.parent
FILE = str(Path(__file__))

WEIGHT = np.arange(12, dtype=np.float32).reshape(3, 4) / 10
X = np.array([[1, 2, 3], [-1, 0, 1]], np.float32)


def network() -> xmlc.Builder:
    builder = xmlc.Builder()
    with builder.function("main", w=WEIGHT, x=xmlc.tensor("2x3xf32")) as f:
        f.returns(y=ml.relu(ml.matmul(f["x"], f["w"])), s=ml.reduce_sum(f["x"], (0, 1)))
    return builder


def line_of(text: str) -> int:
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_a_module_is_written_and_called() -> None:
    y, s = network().compile()(X)
    np.testing.assert_allclose(y, np.maximum(X @ WEIGHT, 0), rtol=1e-6)
    assert s == X.sum()


def test_the_reference_agrees() -> None:
    for found, expected in zip(network().compile()(X), network().interpret(X)):
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_weights_come_after_inputs_under_their_names() -> None:
    text = str(network())
    assert '@main(%x: tensor<2x3xf32> {ml.name = "x"}, %w: tensor<3x4xf32> {ml.name = "w", ml.weight})' in text
    assert '-> (tensor<2x4xf32> {ml.name = "y"}, tensor<f32> {ml.name = "s"})' in text


def test_passes_change_the_module() -> None:
    builder = network()
    before = str(builder)
    builder.run("cse,dce")
    assert str(builder) == before
    builder = xmlc.Builder()
    with builder.function(x=xmlc.tensor("2xf32")) as f:
        f.returns(ml.softmax(f["x"], axis=0))
    builder.run("decompose")
    assert "ml.softmax" not in str(builder)


def test_functions_call_functions() -> None:
    builder = xmlc.Builder()
    with builder.function("twice", private=True, x=xmlc.tensor("2xf32")) as f:
        f.returns(ml.add(f["x"], f["x"]))
    with builder.function("main", x=xmlc.tensor("2xf32")) as f:
        (y,) = builder.call("twice", f["x"])
        f.returns(y)
    np.testing.assert_array_equal(builder.interpret(np.float32([1, 2]))[0], [2, 4])


def test_an_operation_knows_the_line_that_made_it() -> None:
    operation = next(op for op in network().module.walk() if op.name == "ml.relu")
    assert f'"{FILE}":{line_of("y=ml.relu(")}:' in str(operation.location)


def test_regions_know_their_line_too() -> None:
    builder = xmlc.Builder()
    with builder.function(c=xmlc.tensor("i1"), x=xmlc.tensor("2xf32")) as f:
        x = f["x"]
        f.returns(*ml.if_(f["c"], lambda: [ml.neg(x)], lambda: [x]))
    operation = next(op for op in builder.module.walk() if op.name == "ml.neg")
    assert str(line_of("lambda: [ml.neg(x)]")) in str(operation.location)


def test_operands_that_do_not_fit_are_shown_at_the_line() -> None:
    with pytest.raises(xmlc.CompileError) as caught, xmlc.Builder().function(a=xmlc.tensor("2x3xf32")) as f:
        f.returns(ml.matmul(f["a"], f["a"]))  # this does not fit
    line = line_of("# this does not fit")
    first, source, caret = str(caught.value).splitlines()[:3]
    assert first.startswith(f"{FILE}:{line}:19: error: cannot multiply tensor<2x3xf32> by tensor<2x3xf32>")
    assert source.index("ml.matmul") == caret.index("^")


MISTAKES = [
    (lambda: xmlc.tensor("2x3xf33"), "error: unknown element type 'f33' in '2x3xf33'\nhint: did you mean 'f32'?"),
    (lambda: xmlc.tensor("2xzxf32"), "error: cannot read the shape of '2xzxf32'\nhint: write it as 2x3xf32"),
]


@pytest.mark.parametrize("make, message", MISTAKES, ids=range(len(MISTAKES)))
def test_a_type_that_is_misspelled_gets_its_message(make: object, message: str) -> None:
    with pytest.raises(xmlc.CompileError, match=re.escape(message)):
        make()  # type: ignore


def test_an_unknown_argument_gets_its_message() -> None:
    with (
        pytest.raises(xmlc.CompileError, match=r"has no argument 'y'\nhint: known: x"),
        xmlc.Builder().function(x=xmlc.tensor("f32")) as f,
    ):
        f["y"]


def test_a_function_that_returns_nothing_gets_its_message() -> None:
    with (
        pytest.raises(xmlc.CompileError, match=r"@f returns nothing\nhint: end it with returns"),
        xmlc.Builder().function("f", x=xmlc.tensor("f32")),
    ):
        pass


def test_a_weight_of_a_strange_type_gets_its_message() -> None:
    with (
        pytest.raises(xmlc.CompileError, match="the weight 'w' has element type complex128"),
        xmlc.Builder().function("f", w=np.zeros(2, complex)),
    ):
        pass


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples" / "build_a_module.py"), run_name="__main__")
    out = capsys.readouterr().out
    assert "agrees with the reference: True" in out
    assert "build_a_module.py:37:23: error: cannot multiply" in out


def test_a_file_becomes_a_function() -> None:
    digits = np.load(ROOT / "examples" / "digits.npz")
    classify = xmlc.load(ROOT / "examples" / "digits.onnx", {"N": 40})
    (probabilities,) = classify(digits["image"].astype(np.float32))
    np.testing.assert_array_equal(probabilities.argmax(1), digits["label"])


def test_a_module_in_mlir_takes_its_weights_from_whoever_loads_it(tmp_path: Path) -> None:
    file = tmp_path / "net.mlir"
    file.write_text(str(network()), encoding="utf-8")
    np.testing.assert_array_equal(xmlc.load(file, weights={"w": WEIGHT})(X)[0], network().compile()(X)[0])
    with pytest.raises(xmlc.CompileError, match="no value for the weight w: float32 3x4\nhint: "):
        xmlc.load(file)
