"""Toy's words and grammar: the tree of what is right, and every message for what is wrong."""

from __future__ import annotations

import pytest

from xmlc.dialects.diagnostics import CompileError, Place
from xmlc.frontend.toy import parse
from xmlc.frontend.toy.lexer import Kind, tokens_of
from xmlc.frontend.toy.syntax import Binary, Call, Declaration, Function, Literal, Number, Shape, Struct, Variable


def mistakes(source: str) -> list[tuple[str, int, int]]:
    """Message, line and column of each diagnostic."""
    with pytest.raises(CompileError) as caught:
        parse(source, "t.toy")
    places = [diagnostic.place or Place("") for diagnostic in caught.value.diagnostics]
    return [(d.message, p.line, p.column) for d, p in zip(caught.value.diagnostics, places)]


def expression(text: str) -> object:
    function = parse(f"def f() {{ return {text}; }}", "t.toy").records[0]
    assert isinstance(function, Function)
    return getattr(function.body[0], "value")  # noqa: B009


def shape_of(node: object) -> str:
    """Operations with parentheses around each."""
    match node:
        case Binary(operator, left, right):
            return f"({shape_of(left)}{operator}{shape_of(right)})"
        case Variable(name):
            return name
        case Number(value):
            return f"{value:g}"
        case Call(callee, arguments):
            return f"{callee}({','.join(map(shape_of, arguments))})"
        case _:
            raise AssertionError(node)


def test_tokens_have_places_and_comments_are_none() -> None:
    tokens, wrong = tokens_of("var a # b\n  = 1.5e2;", "t.toy")
    assert not wrong
    assert [(t.text, t.place.line, t.place.column) for t in tokens] == [
        ("var", 1, 1),
        ("a", 1, 5),
        ("=", 2, 3),
        ("1.5e2", 2, 5),
        (";", 2, 10),
        ("", 2, 11),
    ]
    assert [t.kind for t in tokens] == [
        Kind.KEYWORD,
        Kind.NAME,
        Kind.SYMBOL,
        Kind.NUMBER,
        Kind.SYMBOL,
        Kind.END,
    ]


@pytest.mark.parametrize(
    "text, wanted",
    [
        ("a + b * c", "(a+(b*c))"),
        ("a * b + c", "((a*b)+c)"),
        ("a - b - c", "((a-b)-c)"),
        ("a - (b - c)", "(a-(b-c))"),
        ("a.b.c * d", "(((a.b).c)*d)"),
        ("f(a, g()).b", "(f(a,g()).b)"),
        ("a - -1", "(a--1)"),
        ("a -1", "(a-1)"),
    ],
)
def test_operators_bind_as_in_arithmetic(text: str, wanted: str) -> None:
    assert shape_of(expression(text)) == wanted


def test_a_tensor_knows_its_shape() -> None:
    literal = expression("[[1, 2, 3], [4, 5, 6]]")
    assert isinstance(literal, Literal)
    assert literal.shape == (2, 3)


def test_a_shape_is_an_argument() -> None:
    call = expression("reshape(a, <2, 3>)")
    assert isinstance(call, Call)
    assert isinstance(call.arguments[1], Shape)
    assert call.arguments[1].extents == (2, 3)


def test_an_operation_is_placed_at_its_right_operand() -> None:
    product = expression("a *\n b")
    assert isinstance(product, Binary)
    assert product.place == Place("t.toy", 2, 2)


def test_a_struct_has_members_and_is_a_type() -> None:
    struct, function = parse("struct P { var a; Q b; }\ndef f(P p, x) { P q = p; }", "t.toy").records
    assert isinstance(struct, Struct) and isinstance(function, Function)
    assert [(m.name, m.struct) for m in struct.members] == [("a", None), ("b", "Q")]
    assert [(p.name, p.struct) for p in function.parameters] == [("p", "P"), ("x", None)]
    declaration = function.body[0]
    assert isinstance(declaration, Declaration)
    assert (declaration.name, declaration.struct) == ("q", "P")


def test_a_sum_of_thousands_of_terms_is_parsed() -> None:
    assert isinstance(expression(" + ".join(["a"] * 5000)), Binary)


@pytest.mark.parametrize(
    "source, message, line, column",
    [
        ("def f() { return 1 $ 2; }", "unexpected character '$'", 1, 20),
        ("def f() { return 12ab; }", "malformed number '12ab'", 1, 18),
        ("def f() { return 1.2.3; }", "malformed number '1.2.3'", 1, 18),
        ("var a = 1;", "expected 'def' or 'struct', found 'var'", 1, 1),
        ("def 3() {}", "expected a name after 'def', found '3'", 1, 5),
        ("def f {}", "expected '(' before the parameters of 'f', found '{'", 1, 7),
        ("def f(a {}", "expected ')' after the parameters of 'f', found '{'", 1, 9),
        ("def f(a, 1) {}", "expected a name of a parameter, found '1'", 1, 10),
        ("def f();", "expected '{' before the body of 'f', found ';'", 1, 8),
        ("def f() { var a = 1;", "expected '}' after the body of 'f', found end of file", 1, 21),
        ("struct { var a; }", "expected a name after 'struct', found '{'", 1, 8),
        ("struct P { 3; }", "expected a name of a type, or 'var', found '3'", 1, 12),
        ("struct P { Q; }", "expected a name after the type 'Q', found ';'", 1, 13),
        ("def f() { var = 1; }", "expected a name after 'var', found '='", 1, 15),
        ("def f() { var a = 1 }", "expected ';' after the statement, found '}'", 1, 21),
        ("def f() {\n  var a = 1\n  print(a);\n}", "expected ';' after the statement, found 'print'", 2, 12),
        ("def f() { return a +; }", "expected an expression, found ';'", 1, 21),
        ("def f() { return a.(b); }", "expected a name of a struct's member after '.', found '('", 1, 20),
        ("def f() { g(1; }", "expected ',' or ')' in the arguments of 'g', found ';'", 1, 14),
        ("def f() { return (1; }", "expected ')' to close the parenthesis, found ';'", 1, 20),
        ("def f() { return -a; }", "expected a number, found 'a'", 1, 19),
        ("def f() { return [1 2]; }", "expected ',' or ']' in the tensor, found '2'", 1, 21),
        ("def f() { return []; }", "expected a number or '[' in the tensor, found ']'", 1, 19),
        (
            "def f() { return [[1], [2, 3]]; }",
            "expected a tensor <1> like the first one, found a tensor <2>",
            1,
            24,
        ),
        ("def f() { return [[1], 2]; }", "expected a tensor <1> like the first one, found a number", 1, 24),
        ("def f() { return {1 2}; }", "expected ',' or '}' in the struct, found '2'", 1, 21),
        ("def f() { return {a}; }", "expected a number, '[' or '{' in the struct, found 'a'", 1, 19),
        ("def f() { var a<2 3> = 1; }", "expected ',' or '>' in the shape, found '3'", 1, 19),
        ("def f() { var a<x> = 1; }", "expected a size in the shape, found 'x'", 1, 17),
        ("def f() { var a<2.5> = 1; }", "expected a whole number above 0 in the shape, found '2.5'", 1, 17),
        ("def f() { var a<0> = 1; }", "expected a whole number above 0 in the shape, found '0'", 1, 17),
        ("def f() { return " + "(" * 65, "expression is nested deeper than 64 levels", 1, 82),
    ],
)
def test_each_mistake_of_grammar_has_its_message(source: str, message: str, line: int, column: int) -> None:
    assert mistakes(source)[0] == (message, line, column)


def test_all_mistakes_are_reported_once_each_and_in_order() -> None:
    source = """def f( {
  var 3;
  g(1, 2;
  var ok = 1;
  return 4 5;
}
nonsense here
def g() {
  { a;
  return 3
}
"""
    assert [(line, column) for _, line, column in mistakes(source)] == [
        (1, 8),
        (2, 7),
        (3, 9),
        (5, 12),
        (7, 1),
        (9, 5),
        (10, 11),
    ]


def test_a_missing_brace_does_not_swallow_the_next_function() -> None:
    found = mistakes("def f() {\n  var a = 1;\ndef g() {\n  var = 2;\n}\n")
    assert [message for message, _, _ in found] == [
        "expected '}' after the body of 'f', found 'def'",
        "expected a name after 'var', found '='",
    ]


def test_an_error_shows_place_line_caret_and_hint() -> None:
    with pytest.raises(CompileError) as caught:
        parse("def f() {\n\treturn [[1], 2];\n}", "net.toy")
    assert str(caught.value) == (
        "net.toy:2:15: error: expected a tensor <1> like the first one, found a number\n"
        "\treturn [[1], 2];\n"
        "\t             ^\n"
        "hint: the parts of a tensor have one shape"
    )
