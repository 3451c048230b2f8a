"""Toy from generic functions to `ml`: inlining, shape inference, its laws, lowering, printing."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import redirect_stdout

import numpy as np
import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import CallSiteLoc, ModuleOp, UnknownLoc
from xdsl.parser import Parser
from xdsl.passes import ModulePass

from xmlc.dialects import context, toy
from xmlc.dialects.diagnostics import CompileError, Place, place_of
from xmlc.dialects.reference.interpreter import interpret
from xmlc.dialects.reference.toy import printed
from xmlc.frontend.toy import build, parse
from xmlc.passes.infer_shapes import InferShapes
from xmlc.passes.inline import Inline
from xmlc.passes.lower_print import LowerPrint
from xmlc.passes.lower_toy import LowerToy
from xmlc.passes.simplify_toy import SimplifyToy
from xmlc.printing import PRINT_FUNCTIONS


def run(module: ModuleOp, *passes: ModulePass) -> ModuleOp:
    for each in passes:
        each.apply(Context(), module)
        module.verify()
    return module


def toy_module(source: str, *passes: ModulePass) -> ModuleOp:
    return run(build(parse(source, "t.toy")), *passes)


def text_module(text: str, *passes: ModulePass) -> ModuleOp:
    return run(Parser(context(), text).parse_module(), *passes)


def names(module: ModuleOp) -> list[str]:
    return [op.name for op in module.walk()][1:]


def output(module: ModuleOp) -> str:
    with redirect_stdout(io.StringIO()) as stream:
        interpret(module, functions=PRINT_FUNCTIONS)
    return stream.getvalue()


PROGRAM = """struct P { var a; var b; }
def twice(x) { return x + x; }
def f(P p) {
  return matmul(twice(p.a), p.b);
}
def main() {
  P p = {[[1, 2]], [[3], [4]]};
  print(f(p));
  print(twice([5, 6]));
}
"""


# inline


def test_inlining_leaves_one_function_without_calls() -> None:
    module = toy_module(PROGRAM, Inline())
    assert [op.sym_name.data for op in module.ops if isinstance(op, toy.FuncOp)] == ["main"]
    assert "toy.generic_call" not in names(module)


def test_an_inlined_op_tells_where_it_was_written_and_called() -> None:
    module = toy_module(PROGRAM, Inline())
    matmul = next(op for op in module.walk() if isinstance(op, toy.MatmulOp))
    assert place_of(matmul.location) == Place("t.toy", 4, 10)
    assert isinstance(matmul.location, CallSiteLoc)
    assert place_of(matmul.location.caller) == Place("t.toy", 8, 9)


def test_functions_of_func_are_inlined_too() -> None:
    module = text_module(
        """
        func.func private @g(%x: f64) -> (f64, f64) {
          %y = arith.addf %x, %x : f64
          func.return %y, %x : f64, f64
        }
        func.func @main(%a: f64) -> f64 {
          %b, %c = func.call @g(%a) : (f64) -> (f64, f64)
          %d = arith.subf %b, %c : f64
          func.return %d : f64
        }""",
        Inline(),
    )
    assert names(module) == ["func.func", "arith.addf", "arith.subf", "func.return"]


def test_calls_inside_loops_are_inlined() -> None:
    module = text_module(
        """
        func.func private @g() { "test.op"() : () -> () func.return }
        func.func @main(%n: index) {
          scf.for %i = %n to %n step %n { func.call @g() : () -> () }
          func.return
        }""",
        Inline(),
    )
    assert names(module) == ["func.func", "scf.for", "test.op", "scf.yield", "func.return"]


def test_kernels_declarations_and_cycles_stay() -> None:
    text = """
        func.func private @declared()
        func.func private @kernel() attributes {xmlc.kernel} { func.return }
        func.func private @even() { func.call @odd() : () -> () func.return }
        func.func private @odd() { func.call @even() : () -> () func.return }
        func.func @main() {
          func.call @declared() : () -> ()
          func.call @kernel() : () -> ()
          func.call @even() : () -> ()
          func.return
        }"""
    before = str(text_module(text))
    assert str(text_module(text, Inline())) == before


def test_inlining_that_explodes_is_an_error() -> None:
    doubling = "".join(f"def f{i}(x) {{ return f{i - 1}(x) + f{i - 1}(x); }}\n" for i in range(1, 40))
    with pytest.raises(CompileError, match="more than 1000 operations"):
        toy_module("def f0(x) { return x; }\n" + doubling + "def main() { print(f39(1)); }", Inline(limit=1000))


# infer-shapes


def test_every_call_of_a_generic_function_gets_its_own_shapes() -> None:
    module = toy_module(PROGRAM, Inline(), InferShapes())
    shapes = [str(op.arg.type) for op in module.walk() if isinstance(op, toy.PrintOp)]
    assert shapes == ["tensor<1x1xf64>", "tensor<2xf64>"]
    assert not any(result.type == toy.UNRANKED for op in module.walk() for result in op.results)


def test_a_mismatch_is_placed_where_it_is_written_and_names_the_calls() -> None:
    source = """def product(a, b) {
  return matmul(a, b);
}
def main() {
  var a = [[1, 2, 3], [4, 5, 6]];
  print(product(a, a) + 1);
  print(a * transpose(a));
}
"""
    with pytest.raises(CompileError) as caught:
        toy_module(source, Inline(), InferShapes())
    assert str(caught.value) == (
        "t.toy:2:10: error: cannot multiply tensor<2x3xf64> by tensor<2x3xf64>\n"
        "hint: the inner sizes, 3 and 2, must be equal (called from t.toy:6:9)\n"
        "t.toy:7:13: error: cannot multiply tensor<2x3xf64> by tensor<3x2xf64>\n"
        "hint: the shapes, <2, 3> and <3, 2>, must be equal; the matrix product is matmul(…, …)"
    )


def test_a_call_that_is_not_inlined_has_no_shape() -> None:
    with pytest.raises(CompileError, match=r"cannot infer the shape of toy\.generic_call"):
        toy_module("def f(x) { return x; }\ndef main() { print(f(1)); }", InferShapes())


def test_a_generic_function_is_left_as_it_is() -> None:
    module = toy_module("def f(x) { return x; }\ndef main() { }", InferShapes())
    assert "tensor<*xf64>" in str(module)


# simplify-toy

LAWS = [
    ("transpose(transpose(x))", "x", []),
    ("reshape(reshape(x, <6>), <3, 2>)", "x", ["toy.reshape"]),
    ("reshape(x, <2, 3>)", "x", []),
    ("broadcast(broadcast(x, <4, 2, 3>), <5, 4, 2, 3>)", "x", ["toy.broadcast"]),
    ("broadcast(x, <2, 3>)", "x", []),
    ("transpose(transpose(transpose(x)))", "x", ["toy.transpose"]),
    ("reshape(transpose(x), <2, 3>)", "x", ["toy.transpose", "toy.reshape"]),
]


@pytest.mark.parametrize("expression, _, left", LAWS)
def test_a_law_removes_what_it_says(expression: str, _: str, left: list[str]) -> None:
    # The value comes from an addition, so that nothing here is a constant's reshape.
    source = f"def main() {{ var c = [[1, 2, 3], [4, 5, 6]]; var x = c + c; print({expression}); }}"
    module = toy_module(source, InferShapes())
    before = output(module)
    run(module, SimplifyToy())
    assert names(module) == ["toy.func", "toy.constant", "toy.add", *left, "toy.print", "toy.return"]
    assert output(module) == before


def test_the_reshape_of_a_constant_is_a_constant() -> None:
    module = toy_module("def main() { var x<2, 1> = [1, 2]; var y<2, 1> = x; print(y); }", SimplifyToy())
    assert names(module) == ["toy.func", "toy.constant", "toy.print", "toy.return"]
    assert "toy.print %x : tensor<2x1xf64>" in str(module)


def test_two_transposes_cancel_in_a_generic_function() -> None:
    module = toy_module("def f(x) { return transpose(transpose(x)); }\ndef main() { }", SimplifyToy())
    assert "toy.return %x : tensor<*xf64>" in str(module)


def test_a_struct_disappears_into_its_members() -> None:
    module = toy_module(PROGRAM, Inline(), InferShapes(), SimplifyToy())
    assert not any("struct" in name or "cast" in name for name in names(module))


def test_what_the_laws_make_has_a_place() -> None:
    module = toy_module(PROGRAM, Inline(), InferShapes(), SimplifyToy(), LowerToy(), LowerPrint())
    functions = [op for op in module.walk() if op.parent_op() is not None and op.name != "func.func"]
    assert functions and not any(isinstance(op.location, UnknownLoc) for op in functions)


# lower-toy


def test_toy_becomes_ml_but_for_printing() -> None:
    module = toy_module(PROGRAM, Inline(), InferShapes(), LowerToy())
    assert {name.partition(".")[0] for name in names(module)} == {"func", "ml", "toy"}
    assert {name for name in names(module) if name.startswith("toy.")} == {"toy.print"}


def test_simplifying_first_changes_nothing_printed() -> None:
    plain = toy_module(PROGRAM, Inline(), InferShapes(), LowerToy())
    simple = toy_module(PROGRAM, Inline(), SimplifyToy(), InferShapes(), SimplifyToy(), LowerToy())
    assert output(simple) == output(plain) == "22.000000 \n10.000000 12.000000 "


@pytest.mark.parametrize(
    "source, passes, message",
    [
        ("def f(x) { return x; }\ndef main() { print(f(1)); }", [], "cannot lower a generic function"),
        ("def f() { return 1; }\ndef main() { f(); }", [], "cannot lower toy.generic_call"),
        ("def main() { print(transpose([1])); }", [], "the shape of toy.transpose is unknown"),
    ],
)
def test_what_cannot_be_lowered_is_named(source: str, passes: list[ModulePass], message: str) -> None:
    with pytest.raises(CompileError) as caught:
        toy_module(source, *passes, LowerToy())
    assert message in str(caught.value)


# printing

ARRAYS: list[Callable[[], np.ndarray]] = [
    lambda: np.array(1.5),
    lambda: np.array([1.0, -2.0]),
    lambda: np.arange(6.0).reshape(2, 3),
    lambda: np.arange(12.0).reshape(2, 3, 2),
]


@pytest.mark.parametrize("array", ARRAYS)
def test_the_loops_print_what_the_op_prints(array: Callable[[], np.ndarray]) -> None:
    value = array()
    main = toy.FuncOp("main", toy.FunctionType.from_lists([], []))
    constant = toy.ConstantOp.of(value)
    main.body.block.add_ops([constant, toy.PrintOp(constant.out), toy.ReturnOp()])
    module = ModuleOp([main])
    assert output(module) == printed(value)
    assert output(run(module, LowerToy())) == printed(value)
    assert output(run(module, LowerPrint())) == printed(value)
    assert "toy.print" not in names(module)


def test_printing_follows_the_loops_of_the_tutorial() -> None:
    assert printed(np.array(1.0)) == "1.000000 "
    assert printed(np.array([1.0, 2.0])) == "1.000000 2.000000 "
    assert printed(np.array([[1.0, 2.0], [3.0, 4.0]])) == "1.000000 2.000000 \n3.000000 4.000000 \n"
    assert printed(np.ones((2, 1, 1))) == "1.000000 \n\n1.000000 \n\n"
    assert printed(np.array([np.inf, np.nan, 1e20, 1e-9])) == "inf nan 100000000000000000000.000000 0.000000 "


def test_the_functions_of_the_runtime_are_declared_once() -> None:
    module = toy_module("def main() { print(1); print(2); }", LowerToy(), LowerPrint())
    assert str(module).count("func.func private @toy_print_f64(f64) -> ()") == 1


def test_nothing_is_declared_where_nothing_is_printed() -> None:
    assert "toy_print" not in str(toy_module("def main() { }", LowerToy(), LowerPrint()))
