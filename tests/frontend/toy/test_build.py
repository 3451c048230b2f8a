"""From syntax to the `toy` dialect: what is built, and every message for names and types that are wrong."""

from __future__ import annotations

import pytest
from xdsl.dialects.builtin import FileLineColLoc, ModuleOp

from xmlc.dialects import toy
from xmlc.dialects.diagnostics import CompileError, Place, place_of
from xmlc.frontend.toy import build, parse


def built(source: str) -> ModuleOp:
    return build(parse(source, "t.toy"))


def mistakes(source: str) -> list[tuple[str, int, int, str | None]]:
    """Message, line, column and hint of each diagnostic."""
    with pytest.raises(CompileError) as caught:
        built(source)
    places = [diagnostic.place or Place("") for diagnostic in caught.value.diagnostics]
    return [(d.message, p.line, p.column, d.hint) for d, p in zip(caught.value.diagnostics, places)]


def test_a_program_becomes_functions_of_unknown_shapes() -> None:
    module = built(
        """def f(a, b) {
  return transpose(a) * b;
}
def main() {
  var x<2, 1> = [1, 2];
  print(f(x, x));
}
"""
    )
    assert str(module) == (
        """builtin.module {
  toy.func private @f(%a: tensor<*xf64>, %b: tensor<*xf64>) -> tensor<*xf64> {
    %0 = toy.transpose(%a : tensor<*xf64>) to tensor<*xf64>
    %1 = toy.mul %0, %b : tensor<*xf64>
    toy.return %1 : tensor<*xf64>
  }
  toy.func @main() {
    %0 = toy.constant dense<[1.000000e+00, 2.000000e+00]> : tensor<2xf64>
    %x = toy.reshape(%0 : tensor<2xf64>) to tensor<2x1xf64>
    %1 = toy.generic_call @f(%x, %x) : (tensor<2x1xf64>, tensor<2x1xf64>) -> tensor<*xf64>
    toy.print %1 : tensor<*xf64>
    toy.return
  }
}"""
    )


def test_every_op_has_a_place() -> None:
    module = built("def f(a) {\n  return a + a;\n}\ndef main() {\n  print(f(1));\n}\n")
    assert all(isinstance(op.location, FileLineColLoc) for op in module.walk())
    places = {op.name: place_of(op.location) for op in module.walk()}
    assert places["toy.add"] == Place("t.toy", 2, 14)
    assert places["toy.generic_call"] == Place("t.toy", 5, 9)


def test_functions_may_be_defined_after_their_use() -> None:
    module = built("def main() { print(f(1)); }\ndef f(a) { return a; }")
    assert [op.sym_name.data for op in module.ops if isinstance(op, toy.FuncOp)] == ["main", "f"]


def test_a_struct_may_hold_a_struct() -> None:
    module = built("struct P { var a; }\nstruct Q { P p; var b; }\ndef main() { Q q = {{1}, 2}; print(q.p.a); }")
    accesses = [op for op in module.walk() if isinstance(op, toy.StructAccessOp)]
    assert [str(op.out.type) for op in accesses] == ["!toy.struct<tensor<*xf64>>", "tensor<*xf64>"]


def test_a_struct_literal_is_also_an_argument() -> None:
    assert built("struct P { var a; }\ndef f(P p) { return p.a; }\ndef main() { print(f({1})); }")


def test_a_function_without_result_is_called_as_a_statement() -> None:
    module = built("def show(a) { print(a); }\ndef main() { show(1); }")
    assert next(op for op in module.walk() if isinstance(op, toy.GenericCallOp)).out == ()


def test_a_sum_of_thousands_of_terms_is_built() -> None:
    terms = " + ".join(["a"] * 2000)
    module = built(f"def main() {{ var a = 1; print({terms}); }}")
    assert sum(isinstance(op, toy.AddOp) for op in module.walk()) == 1999


def in_main(statements: str) -> str:
    return (
        f"struct P {{ var a; var b; }}\ndef f(a, b) {{ return a; }}\ndef none() {{ }}\ndef main() {{\n{statements}\n}}"
    )


@pytest.mark.parametrize(
    "statement, message, column, hint",
    [
        ("print(x);", "unknown variable 'x'", 7, None),
        ("var total = 1; print(totla);", "unknown variable 'totla'", 22, "did you mean 'total'?"),
        ("print(tranpose(1));", "unknown function 'tranpose'", 7, "did you mean 'transpose'?"),
        ("print(f(1));", "'f' takes 2 arguments, 1 given", 7, "it is f(a, b)"),
        ("print(transpose(1, 2));", "'transpose' takes 1 argument, 2 given", 7, "it is transpose(x)"),
        ("print(1, 2);", "'print' takes 1 argument, 2 given", 1, "it is print(x)"),
        ("print(none());", "'none' returns no value", 7, "'none' has no 'return' with a value"),
        ("var a = print(1);", "'print' returns no value", 9, None),
        (
            "var a = 1; var a = 2;",
            "variable 'a' is already defined",
            12,
            "it is at line 5; variables never change, choose another name",
        ),
        ("var a;", "variable 'a' has no value", 1, "write 'var a = …;'"),
        (
            "var a = <2>;",
            "a shape is not a value",
            9,
            "a shape is an argument of reshape(x, <2, 3>) and broadcast(x, <2, 3>)",
        ),
        (
            "var a<3> = [1, 2];",
            "cannot reshape tensor<2xf64> to tensor<3xf64>",
            1,
            "tensor<2xf64> has 2 elements, <3> has 3",
        ),
        ("print(reshape([1, 2], 2));", "expected a shape for 'reshape'", 23, "a shape is written <2, 3>"),
        (
            "print(reduce_sum([1], 0.5));",
            "expected an axis for 'reduce_sum'",
            23,
            "an axis is a whole number: 0 is the first, -1 the last",
        ),
        (
            "print(reduce_sum([1], 1));",
            "cannot sum tensor<1xf64> along axis 1",
            7,
            "its axes are 0 to 0, or -1 to -1 from the back",
        ),
        ("print(reduce_sum(1, 0));", "cannot sum tensor<f64> along axis 0", 7, "it is a number and has no axes"),
        (
            "print([1, 2] + [1, 2, 3]);",
            "cannot add tensor<2xf64> and tensor<3xf64>",
            16,
            "the shapes, <2> and <3>, must be equal",
        ),
        (
            "print([[1, 2]] - [[1], [2]]);",
            "cannot subtract tensor<1x2xf64> and tensor<2x1xf64>",
            18,
            "the shapes, <1, 2> and <2, 1>, must be equal",
        ),
        (
            "print([[1, 2]] * [[1], [2]]);",
            "cannot multiply tensor<1x2xf64> by tensor<2x1xf64>",
            18,
            "the shapes, <1, 2> and <2, 1>, must be equal; the matrix product is matmul(…, …)",
        ),
        (
            "print(2 * [1, 2]);",
            "cannot multiply tensor<f64> by tensor<2xf64>",
            11,
            "nothing is broadcast unasked: write broadcast(…, <2>) around the first operand",
        ),
        (
            "print(matmul([[1, 2]], [[3, 4]]));",
            "cannot multiply tensor<1x2xf64> by tensor<1x2xf64>",
            7,
            "the inner sizes, 2 and 1, must be equal",
        ),
        (
            "print(matmul([1], [[3]]));",
            "cannot multiply tensor<1xf64> by tensor<1x1xf64>",
            7,
            "matmul takes matrices, tensors of rank 2",
        ),
        (
            "print(concat([1], [[1]], 0));",
            "cannot concatenate tensor<1xf64> and tensor<1x1xf64> along axis 0",
            7,
            "the ranks, 1 and 2, must be equal",
        ),
        (
            "print(concat([[1]], [[1, 2]], 0));",
            "cannot concatenate tensor<1x1xf64> and tensor<1x2xf64> along axis 0",
            7,
            "the sizes of axis 1, 1 and 2, must be equal",
        ),
        (
            "print(broadcast([1, 2], <3>));",
            "cannot broadcast tensor<2xf64> to tensor<3xf64>",
            7,
            "sizes, aligned at the last axis, must be equal or 1",
        ),
        ("Q q = {1};", "unknown type 'Q'", 1, None),
        ("P p = {1};", "struct 'P' has 2 members, 1 given", 7, "its members are a, b"),
        ("P p = {1, {2}};", "member 'b' of struct 'P' is a tensor", 11, None),
        ("P p = 1;", "expected a struct 'P', found a tensor", 7, None),
        ("var p = {1, 2};", "cannot tell which struct this is", 9, "declare a variable of its type: 'Pair p = {…};'"),
        ("P p = {1, 2}; print(p.c);", "struct 'P' has no member 'c'", 23, "its members are a, b"),
        ("P p = {1, 2}; print(p);", "'print' takes tensors, found a struct 'P'", 21, "take a member of it: .a, .b"),
        ("P p = {1, 2}; print(p + p.a);", "'+' takes tensors, found a struct 'P'", 21, "take a member of it: .a, .b"),
        ("P p = {1, 2}; print(f(p, 1));", "expected a tensor, found a struct 'P'", 23, None),
        ("P p = {1, 2}; var q<2> = p;", "a struct cannot be given a shape", 15, "write 'P q = …;'"),
        ("var a = 1; print(a.b);", "a tensor has no member 'b'", 20, "only structs have members"),
        ("return; print(1);", "statement after 'return' never runs", 9, "a function ends at its first 'return'"),
        ("return 1;", "'main' cannot return a value", 1, "print it instead"),
    ],
)
def test_each_mistake_in_a_statement_has_its_message(
    statement: str, message: str, column: int, hint: str | None
) -> None:
    assert mistakes(in_main(statement)) == [(message, 5, column, hint)]


MAIN = "def main() { }\n"
ENDLESS = "a call is replaced by the function's body: without conditions recursion would never end"


@pytest.mark.parametrize(
    "source, message, line, column, hint",
    [
        ("def f() { }", "there is no function 'main'", 0, 0, "a program starts at 'def main() { … }'"),
        ("def man() { }", "there is no function 'main'", 0, 0, "did you mean 'man'?"),
        ("def main(a) { }", "'main' cannot have parameters", 1, 10, "nothing calls it"),
        (MAIN + "def main() { }", "function 'main' is already defined", 2, 1, "it is at line 1"),
        (MAIN + "def matmul(a) { }", "cannot define 'matmul': it is built in", 2, 1, None),
        (MAIN + "def print(a) { }", "cannot define 'print': it is built in", 2, 1, None),
        (MAIN + "def f(a) { return f(a); }", "function 'f' calls itself", 2, 19, ENDLESS),
        (
            MAIN + "def f(a) { return g(a); }\ndef g(a) { return h(a); }\ndef h(a) { return f(a); }",
            "function 'f' calls 'g', which calls 'h', which calls 'f'",
            2,
            19,
            ENDLESS,
        ),
        (
            MAIN + "def f(a, a) { }",
            "variable 'a' is already defined",
            2,
            10,
            "it is at line 2; variables never change, choose another name",
        ),
        (MAIN + "def f(Q q) { }", "unknown type 'Q'", 2, 7, None),
        (MAIN + "struct P { }", "struct 'P' has no members", 2, 1, "write one, such as 'var a;'"),
        (MAIN + "struct P { var a; }\nstruct P { var a; }", "struct 'P' is already defined", 3, 1, "it is at line 2"),
        (MAIN + "struct P { var a; var a; }", "struct 'P' has a member 'a' already", 2, 19, None),
        (MAIN + "struct P { var a = 1; }", "member 'a' cannot have a value", 2, 12, "a struct is a type"),
        (
            MAIN + "struct P { var a<2>; }",
            "member 'a' cannot have a shape",
            2,
            12,
            "the shapes of members are inferred from the values",
        ),
        (MAIN + "struct P { P p; }", "unknown type 'P'", 2, 12, "a struct is defined before it is a member"),
    ],
)
def test_each_mistake_in_a_definition_has_its_message(
    source: str, message: str, line: int, column: int, hint: str | None
) -> None:
    assert mistakes(source) == [(message, line, column, hint)]


def test_what_follows_from_a_mistake_is_not_reported() -> None:
    source = "def main() {\n  var a = missing;\n  var b = a + a;\n  print(transpose(b));\n  print(other);\n}"
    assert [message for message, _, _, _ in mistakes(source)] == [
        "unknown variable 'missing'",
        "unknown variable 'other'",
    ]


def test_an_error_quotes_the_line_with_a_caret() -> None:
    with pytest.raises(CompileError) as caught:
        built("def main() {\n  print([1] + x);\n}")
    assert str(caught.value) == "t.toy:2:15: error: unknown variable 'x'\n  print([1] + x);\n              ^"
