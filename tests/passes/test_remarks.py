"""Remarks: collected only while somebody listens, each with its pass, function and place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from oracle import parse
from xdsl.context import Context

from xmlc.dialects import context
from xmlc.driver import Settings, compile_module
from xmlc.parse import parse_module
from xmlc.passes import remarks
from xmlc.passes.form_kernels import FormKernels
from xmlc.passes.remarks import Kind, Remarks
from xmlc.pipeline import run_passes

TWO_PRODUCTS = """\
func.func @main(%x: tensor<8x8xf32>) -> tensor<8x8xf32> {
  %a = ml.matmul %x, %x : tensor<8x8xf32>, tensor<8x8xf32> -> tensor<8x8xf32>
  %b = ml.matmul %a, %x : tensor<8x8xf32>, tensor<8x8xf32> -> tensor<8x8xf32>
  func.return %b : tensor<8x8xf32>
}
"""

BROADCAST = """\
func.func @main(%x: tensor<4x1xf32>) -> tensor<4x16xf32> {
  %e = ml.exp %x : tensor<4x1xf32> -> tensor<4x1xf32>
  %b = ml.broadcast %e : tensor<4x1xf32> -> tensor<4x16xf32>
  func.return %b : tensor<4x16xf32>
}
"""

Run = Callable[..., tuple[int, str, str]]


def test_a_remark_says_whose_it_is_and_where_it_belongs() -> None:
    found = Remarks()
    with found.collecting():
        program = parse_module(TWO_PRODUCTS, "two.mlir", context())
        run_passes(program, [FormKernels()], Context(), watchers=[found])
    (only,) = found.found
    assert (only.kind, only.transformation, only.function, only.op) == (
        Kind.MISSED,
        "form-kernels",
        "main",
        "ml.matmul",
    )
    assert only.render() == (
        "two.mlir:3:8: missed: @main: ml.matmul is not fused into the kernel matmul that it reads: "
        "each is a loop nest of its own [form-kernels]"
    )


def test_a_message_is_made_only_if_somebody_listens() -> None:
    def fails() -> str:
        raise AssertionError("nobody wants to know")

    assert not remarks.wanted()
    remarks.missed(parse(TWO_PRODUCTS), fails)


def test_a_compilation_that_is_listened_to_is_not_taken_from_the_cache() -> None:
    for _ in range(2):
        found = Remarks()
        compile_module(parse(TWO_PRODUCTS), settings=Settings(remarks=found))
        assert {"form-kernels", "lower-contractions", "plan-memory"} <= {each.transformation for each in found.found}


def test_what_is_stored_says_what_computing_it_again_would_cost(xmlc: Run) -> None:
    code, _, err = xmlc("opt", "-p", "lower-ml,fuse-linalg", "--remarks", text=BROADCAST)
    assert code == 0
    assert "each element is read 16 times, and to compute it again takes 20 operations" in err


def test_remarks_are_written_as_json(xmlc: Run, tmp_path: Path) -> None:
    file = tmp_path / "remarks.json"
    made = xmlc("run", "-", "--from", "mlir", "--random", 0, "--remarks-json", file, text=TWO_PRODUCTS)
    assert (made[0], made[2]) == (0, "")
    first = json.loads(file.read_text())[0]
    assert first["place"] == {"file": "<stdin>", "line": 3, "column": 8}
    assert first["pass"] == "form-kernels"
