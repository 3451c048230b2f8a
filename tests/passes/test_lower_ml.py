"""What `lower-ml` promises beside meaning, which test_every_op tests: errors, places, names, reshapes."""

from __future__ import annotations

from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import parse
from xdsl.context import Context
from xdsl.dialects.builtin import FileLineColLoc, IntAttr, ModuleOp, StringAttr

from xmlc.dialects.diagnostics import CompileError
from xmlc.passes.lower_ml.lower import LowerMl
from xmlc.passes.lower_ml.structured import common_groups
from xmlc.pipeline import printed


def lowered(text: str) -> ModuleOp:
    module = parse(text)
    LowerMl().apply(Context(), module)
    return module


def test_sizes_that_are_not_known_are_all_named() -> None:
    with pytest.raises(CompileError) as error:
        lowered("""
        func.func @main(%x: tensor<?x3xf32>) -> tensor<?x3xf32> {
          %y = ml.relu %x : tensor<?x3xf32> -> tensor<?x3xf32>
          %z = ml.exp %y : tensor<?x3xf32> -> tensor<?x3xf32>
          func.return %z : tensor<?x3xf32>
        }""")
    text = str(error.value)
    assert "the size of the result of ml.relu, tensor<?x3xf32>, is not known" in text
    assert "the size of the result of ml.exp, tensor<?x3xf32>, is not known" in text


def test_values_keep_their_names() -> None:
    text = printed(
        lowered("""
        func.func @main(%image: tensor<3xf32>) -> tensor<3xf32> {
          %positive = ml.relu %image : tensor<3xf32> -> tensor<3xf32>
          func.return %positive : tensor<3xf32>
        }""")
    )
    assert "@main(%image: tensor<3xf32>)" in text
    assert "%positive = linalg.generic" in text


def test_what_an_op_becomes_has_its_place() -> None:
    module = parse("""
        func.func @main(%x: tensor<3xf32>) -> tensor<3xf32> {
          %y = ml.softplus %x : tensor<3xf32> -> tensor<3xf32>
          func.return %y : tensor<3xf32>
        }""")
    place = FileLineColLoc(StringAttr("net.toy"), IntAttr(7), IntAttr(12))
    for op in module.walk():
        if op.name == "ml.softplus":
            op.location = place
    LowerMl().apply(Context(), module)
    made = [op for op in module.walk() if op.name.partition(".")[0] in ("linalg", "tensor", "arith", "math")]
    assert made
    assert all(op.location == place for op in made)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.data())
def test_shapes_are_cut_into_parts_of_equal_product(before: list[int], data: st.DataObject) -> None:
    after = data.draw(st.permutations(before))
    after += [1] * data.draw(st.integers(0, 2))
    if len(after) > 1 and data.draw(st.booleans()):
        after = [after[0] * after[1], *after[2:]]
    sources, targets = common_groups(before, after)
    assert [i for part in sources for i in part] == list(range(len(before)))
    assert [i for part in targets for i in part] == list(range(len(after)))
    assert [prod(before[i] for i in part) for part in sources] == [prod(after[i] for i in part) for part in targets]
