"""Effects of ops with regions, and the mistakes that their syntax names."""

from __future__ import annotations

import pytest
from xdsl.context import Context
from xdsl.parser import Parser
from xdsl.transforms.common_subexpression_elimination import CommonSubexpressionElimination
from xdsl.transforms.dead_code_elimination import DeadCodeElimination
from xdsl.utils.exceptions import ParseError

from xmlc.dialects import context

LOOP = """
func.func @main(%x: tensor<3xf32>, %c: tensor<i1>) {{
  %r = ml.while (%v = %x) : (tensor<3xf32>) {{
    ml.yield %c : tensor<i1>
  }} do (%w) {{
    {body}
    ml.yield %w : tensor<3xf32>
  }}
  func.return
}}
"""


@pytest.mark.parametrize(
    ("body", "left"),
    [("func.call @seen() : () -> ()", True), ("%y = ml.neg %w : tensor<3xf32> -> tensor<3xf32>", False)],
)
def test_a_loop_lives_by_the_effects_inside(body: str, left: bool) -> None:
    module = Parser(context(), "func.func private @seen()" + LOOP.format(body=body)).parse_module()
    module.verify()
    DeadCodeElimination().apply(Context(), module)
    assert any(op.name == "ml.while" for op in module.walk()) is left


def test_equal_ops_of_the_dialect_are_one() -> None:
    text = """
    func.func @main(%x: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>) {
      %a = ml.softmax %x axis = 0 : tensor<3xf32> -> tensor<3xf32>
      %b = ml.softmax %x axis = 0 : tensor<3xf32> -> tensor<3xf32>
      func.return %a, %b : tensor<3xf32>, tensor<3xf32>
    }"""
    module = Parser(context(), text).parse_module()
    CommonSubexpressionElimination().apply(Context(), module)
    assert len([op for op in module.walk() if op.name == "ml.softmax"]) == 1


@pytest.mark.parametrize(
    ("op", "message"),
    [
        ("ml.while (%v = %x) : () { ml.yield %c : tensor<i1> } do (%w) { ml.yield }", "expected 1 types, found 0"),
        (
            "ml.while (%v = %x) : (tensor<3xf32>) { ml.yield %c : tensor<i1> } do () { ml.yield }",
            "expected 1 arguments of the body, found 0",
        ),
        (
            "ml.scan (%v = %x) over (%s = %x) : (tensor<3xf32>) -> () { ml.yield %v : tensor<3xf32> }",
            "expected 2 operand types, found 1",
        ),
        ("ml.if %c -> () { ml.yield }", "Expected 'else'"),
    ],
)
def test_a_mistake_in_the_syntax_is_named(op: str, message: str) -> None:
    text = f"func.func @main(%x: tensor<3xf32>, %c: tensor<i1>) {{ {op} func.return }}"
    with pytest.raises(ParseError, match=message):
        Parser(context(), text).parse_module()
