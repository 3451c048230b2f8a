"""Programs in MLIR with free sizes: one compilation for all of them, sizes given by name, and every mistake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import xmlc
from xmlc.dialects.diagnostics import CompileError
from xmlc.versions import Versions

Array = NDArray[Any]
Run = Callable[..., tuple[int, str, str]]

SIMILAR = """\
func.func @main(%x: tensor<?x4xf32> {ml.name = "x"}, %y: tensor<?x4xf32>) -> tensor<?x?xf32> {
  %a = ml.add %x, %y : tensor<?x4xf32>, tensor<?x4xf32> -> tensor<?x4xf32>
  %r = ml.reshape %a : tensor<?x4xf32> -> tensor<?x2xf32>
  %b = ml.reshape %r : tensor<?x2xf32> -> tensor<?x4xf32>
  %t = ml.transpose %b [1, 0] : tensor<?x4xf32> -> tensor<4x?xf32>
  %m = ml.matmul %a, %t : tensor<?x4xf32>, tensor<4x?xf32> -> tensor<?x?xf32>
  func.return %m : tensor<?x?xf32>
}
"""
NAMED = """\
func.func @main(
    %x: tensor<?x?xf32, ["batch", "width"]> {ml.name = "x"},
    %w: tensor<?x2xf32, ["width", "2"]> {ml.name = "w"WEIGHT}
) -> (tensor<?x2xf32> {ml.name = "y"}) {
  %y = ml.matmul %x, %w : tensor<?x?xf32, ["batch", "width"]>, tensor<?x2xf32, ["width", "2"]> -> tensor<?x2xf32>
  func.return %y : tensor<?x2xf32>
}
"""
UNKNOWN = """\
func.func @main(%x: tensor<?xf32>) -> tensor<?xf32> {
  %i = ml.iota axis = 0 -> tensor<?xf32>
  %y = ml.add %x, %i : tensor<?xf32>, tensor<?xf32> -> tensor<?xf32>
  func.return %y : tensor<?xf32>
}
"""
LOWERED = """\
func.func @main(%x: tensor<?xf32>) -> tensor<?xf32> {
  %zero = arith.constant 0.0 : f32
  %y = linalg.fill ins(%zero : f32) outs(%x : tensor<?xf32>) -> tensor<?xf32>
  func.return %y : tensor<?xf32>
}
"""


def loaded(folder: Path, text: str, sizes: dict[str, Any] | None = None, **options: Any) -> Versions:
    path = folder / "program.mlir"
    path.write_text(text, encoding="utf-8")
    made = xmlc.load(path, sizes, **options)
    assert isinstance(made, Versions)
    return made


def drawn(*shape: int) -> Array:
    return np.random.default_rng(shape).standard_normal(shape).astype(np.float32)


def test_one_compilation_serves_every_size(tmp_path: Path) -> None:
    program = loaded(tmp_path, SIMILAR)
    for size in (3, 1, 17, 32):
        x, y = drawn(size, 4), drawn(4, size).T
        np.testing.assert_allclose(program(x, y)[0], (x + y) @ (x + y).T, rtol=1e-4, atol=1e-5)
    assert [each.shapes for each in program.compilations] == [None]


def test_a_mistake_in_a_call_leaves_the_compilation_for_all_sizes(tmp_path: Path) -> None:
    program = loaded(tmp_path, SIMILAR)
    program(drawn(3, 4), drawn(3, 4))
    with pytest.raises(CompileError, match="cannot broadcast shapes 3x4 and 2x4"):
        program(drawn(3, 4), drawn(2, 4))
    program(drawn(5, 4), drawn(5, 4))
    assert [each.shapes for each in program.compilations] == [None]


def test_some_sizes_are_fixed_by_name_and_others_stay_free(tmp_path: Path) -> None:
    program = loaded(tmp_path, NAMED.replace("WEIGHT", ""), {"width": 3})
    for batch in (2, 7):
        x, w = drawn(batch, 3), drawn(3, 2)
        np.testing.assert_allclose(program(x, w)[0], x @ w, rtol=1e-5)
    assert [each.shapes for each in program.compilations] == [None]
    with pytest.raises(CompileError, match="shape 2x4"):
        program(drawn(2, 4), drawn(4, 2))


def test_weights_tell_their_sizes(tmp_path: Path) -> None:
    weight = drawn(3, 2)
    program = loaded(tmp_path, NAMED.replace("WEIGHT", ", ml.weight"), weights={"w": weight})
    for batch in (2, 7):
        x = drawn(batch, 3)
        np.testing.assert_allclose(program(x)[0], x @ weight, rtol=1e-5)
    assert [each.shapes for each in program.compilations] == [None]


@pytest.mark.parametrize("rows", [1, 3])
def test_the_command_line_runs_inputs_of_any_size(rows: int, xmlc: Run, tmp_path: Path) -> None:
    x, w = drawn(rows, 3), drawn(3, 2)
    np.savez(tmp_path / "in.npz", x=x, w=w)
    text = NAMED.replace("WEIGHT", "")
    code, out, _ = xmlc("run", "-", "--inputs", tmp_path / "in.npz", "--check", "--save", tmp_path / "o.npz", text=text)
    assert (code, out) == (0, f"y: float32 {rows}x2\n")
    np.testing.assert_allclose(np.load(tmp_path / "o.npz")["y"], x @ w, rtol=1e-5)


def test_sizes_are_given_on_the_command_line_by_name_and_as_shapes(xmlc: Run) -> None:
    text = NAMED.replace("WEIGHT", "")
    assert xmlc("run", "-", "--random", 0, "--bind", "batch=5,width=3", "--check", text=text)[0] == 0
    for bind in ("batch=5,width=3", "batch=5,w=3x2", "x=5x3"):
        made = xmlc("compile", "-", "--emit", "source", "--bind", bind, text=text)
        assert "tensor<5x3xf32>, tensor<3x2xf32> -> tensor<5x2xf32>" in made[1]


MISTAKES: list[tuple[str, list[object], str]] = [
    (
        NAMED.replace("WEIGHT", ""),
        ["--bind", "batch=2"],
        "error: input 'x' has free sizes: x: float32 batchxwidth\nhint: give them, such as --bind width=1,",
    ),
    (
        NAMED.replace("WEIGHT", ""),
        ["--bind", "bach=2"],
        "<stdin>: error: the program has no size and no input named 'bach'\nhint: did you mean 'batch'?\n",
    ),
    (
        NAMED.replace("WEIGHT", ""),
        ["--bind", "x=2x3,w=4x2"],
        "<stdin>: error: input 'w' has shape 4x2, expected widthx2 with width = 3\n",
    ),
    (SIMILAR, ["--bind", "x=2x3,input1=2x4"], "<stdin>: error: input 'x' has shape 2x3, expected ?x4\n"),
    (
        SIMILAR,
        ["--bind", "x=2x4,input1=3x4"],
        "<stdin>:2:8: error: 'ml.add': cannot broadcast shapes 2x4 and 3x4: sizes 2 and 3 differ in dimension -2\n",
    ),
    (
        UNKNOWN,
        ["--bind", "input0=3"],
        "<stdin>:2:8: error: 'ml.iota': the size `?` in ? does not follow from operands\n",
    ),
    (LOWERED, ["--bind", "input0=3"], "<stdin>: error: a program below `ml` has free sizes\nhint: write num"),
]


@pytest.mark.parametrize(("text", "options", "message"), MISTAKES)
def test_a_mistake_is_said(text: str, options: list[object], message: str, xmlc: Run) -> None:
    code, _, err = xmlc("compile", "-", "--emit", "linalg", *options, text=text)
    assert code == 1
    assert err.startswith(message), err
