"""Pictures of programs: every op and every flow is there, nothing lies on anything else, and it is proper SVG."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import xmlc
from xmlc import nn
from xmlc.dialects.diagnostics import CompileError
from xmlc.driver import entry_of
from xmlc.picture.boxes import Boxes, amount, boxes_of, kind_of
from xmlc.picture.layout import placed

WEIGHT = np.ones((64, 64), np.float32)
X = np.ones((8, 64), np.float32)


def block(x: Any, y: Any) -> Any:
    left = nn.softmax(x @ WEIGHT)
    right = xmlc.cond(y.sum() > 0, lambda v: v + x, lambda v: v * 2, left)
    return left + right, y + 1


def drawn_boxes() -> Boxes:
    return boxes_of(entry_of(xmlc.compile(block).lower(X, X).traced.module))


def test_ops_inputs_and_results_are_boxes_and_what_flows_are_arrows() -> None:
    found = drawn_boxes()
    titles = [box.title for box in found.boxes]
    assert titles[:4] == ["x", "y", "matmul", "softmax"]
    assert titles[-2:] == ["result 0", "result 1"]
    numbers = {title: number for number, title in enumerate(titles)}
    assert found.arrows[numbers["x"], numbers["matmul"]] == "f32 8×64"
    assert (numbers["x"], numbers["if"]) in found.arrows, "a value that only a region uses flows too"
    assert found.boxes[numbers["matmul"]].lines == ["f32 8×64", "weights 16 kB"]
    assert found.boxes[numbers["if"]].lines[0] == "add, cast, mul"
    assert "test_picture.py" in found.boxes[numbers["softmax"]].tip


def test_boxes_do_not_overlap_and_arrows_go_down() -> None:
    picture = placed(drawn_boxes())
    for one, other in combinations(picture.boxes, 2):
        apart = abs(one.x - other.x) >= (one.width + other.width) / 2 - 1
        assert apart or abs(one.y - other.y) >= (one.height + other.height) / 2 - 1, (one.box, other.box)
    for arrow in picture.arrows:
        heights = [y for _, y in arrow.points]
        assert heights == sorted(heights)
        assert all(0 <= x <= picture.width and 0 <= y <= picture.height for x, y in arrow.points)


@pytest.mark.parametrize("stage", ["ml", "kernels", "linalg"])
def test_a_lowered_function_shows_its_graph_in_a_notebook(stage: str, tmp_path: Path) -> None:
    picture = xmlc.compile(block).lower(X, X).graph(stage)
    root = ElementTree.fromstring(picture._repr_svg_())  # pyright: ignore[reportPrivateUsage]
    text = "".join(root.itertext())
    assert root.tag.endswith("svg") and "matmul" in text and "result 1" in text
    picture.save(tmp_path / "graph.svg")
    assert (tmp_path / "graph.svg").read_text() == picture.svg


def test_a_program_without_ops_is_drawn_too() -> None:
    assert "result" in xmlc.compile(lambda x: x).lower(X).graph("ml").svg


def test_later_stages_have_no_graph() -> None:
    message = r"the graph at stage 'structured' cannot be drawn(.|\n)*source, toy, ml, kernels and linalg can"
    with pytest.raises(CompileError, match=message):
        xmlc.compile(block).lower(X, X).graph("structured")


def test_the_command_draws_what_its_output_is_named_for(xmlc: Callable[..., Any], tmp_path: Path) -> None:
    program = tmp_path / "p.mlir"
    program.write_text("""
        func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
          %0 = ml.exp %x : tensor<4xf32> -> tensor<4xf32>
          func.return %0 : tensor<4xf32>
        }
    """)
    assert xmlc("compile", program, "-o", tmp_path / "p.svg")[0] == 0
    assert ">exp<" in (tmp_path / "p.svg").read_text()
    code, _, err = xmlc("compile", program, "--emit=llvm", "-o", tmp_path / "q.svg")
    assert code == 1 and "the graph at stage 'llvm' cannot be drawn" in err
    assert not (tmp_path / "q.svg").exists()


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["relu"], "elementwise"),
        (["transpose"], "movement"),
        (["kernel", "transpose", "add"], "elementwise"),
        (["kernel", "add", "reduce_sum"], "reduction"),
        (["kernel", "layer_norm"], "reduction"),
        (["kernel", "add", "packed_matmul", "softmax"], "product"),
        (["while", "matmul"], "product"),
        (["if", "add"], "control"),
    ],
)
def test_the_weightiest_op_gives_a_box_its_kind(names: list[str], kind: str) -> None:
    assert kind_of(names) == kind


def test_amounts_have_units() -> None:
    assert [amount(each) for each in (1500, 2_400_000, 3_000_000_000)] == ["2 kB", "2.4 MB", "3.0 GB"]
