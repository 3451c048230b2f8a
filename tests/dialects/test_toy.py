"""The ops of `toy`: what they infer, what their verifiers refuse, how they are written."""

from __future__ import annotations

import pytest
from xdsl.dialects import test
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.parser import Parser
from xdsl.utils.exceptions import ParseError, VerifyException

from xmlc.dialects import context, toy


def value(*shape: int) -> SSAValue:
    return test.TestOp(result_types=[toy.tensor(shape)]).results[0]


def unknown() -> SSAValue:
    return test.TestOp(result_types=[toy.UNRANKED]).results[0]


def parsed(text: str) -> ModuleOp:
    return Parser(context(), text).parse_module()


def in_function(text: str) -> str:
    return f"toy.func @f(%a: tensor<2x3xf64>, %u: tensor<*xf64>) {{\n{text}\ntoy.return\n}}"


@pytest.mark.parametrize(
    "op, shape",
    [
        (toy.AddOp(value(2, 3), value(2, 3)), (2, 3)),
        (toy.SubOp(value(2, 3), value(2, 3)), (2, 3)),
        (toy.MulOp(value(), value()), ()),
        (toy.MatmulOp(value(2, 3), value(3, 5)), (2, 5)),
        (toy.TransposeOp(value(2, 3, 4)), (4, 3, 2)),
        (toy.ReshapeOp(value(2, 3), toy.tensor((6,))), (6,)),
        (toy.BroadcastOp(value(3, 1), toy.tensor((2, 3, 4))), (2, 3, 4)),
        (toy.ReduceSumOp(value(2, 3), 0), (3,)),
        (toy.ReduceSumOp(value(2, 3), -1), (2,)),
        (toy.ConcatOp(value(2, 3), value(2, 5), 1), (2, 8)),
        (toy.ConcatOp(value(2, 3), value(4, 3), -2), (6, 3)),
        (toy.CastOp(value(2, 3), toy.UNRANKED), (2, 3)),
        (toy.ConstantOp.of([[1.0], [2.0]]), (2, 1)),
    ],
)
def test_an_op_infers_the_shape_of_its_result(op: toy.ShapeInference, shape: tuple[int, ...]) -> None:
    assert op.inferred_type() == toy.tensor(shape)


def test_the_shape_is_unknown_while_one_of_an_operand_is() -> None:
    assert toy.AddOp(value(2), unknown()).inferred_type() == toy.UNRANKED
    assert toy.TransposeOp(unknown()).inferred_type() == toy.UNRANKED


OPS = [
    "%r = toy.constant dense<[1.000000e+00, 2.000000e+00]> : tensor<2xf64>",
    "%r = toy.add %a, %a : tensor<2x3xf64>",
    "%r = toy.mul %a, %u : (tensor<2x3xf64>, tensor<*xf64>) -> tensor<*xf64>",
    "%r = toy.matmul %u, %u : tensor<*xf64>",
    "%r = toy.transpose(%a : tensor<2x3xf64>) to tensor<3x2xf64>",
    "%r = toy.reshape(%a : tensor<2x3xf64>) to tensor<6xf64>",
    "%r = toy.broadcast(%a : tensor<2x3xf64>) to tensor<4x2x3xf64>",
    "%r = toy.reduce_sum(%a : tensor<2x3xf64>) along -1 to tensor<2xf64>",
    "%r = toy.concat(%a, %a : tensor<2x3xf64>, tensor<2x3xf64>) along 0 to tensor<4x3xf64>",
    "%r = toy.cast %a : tensor<2x3xf64> to tensor<*xf64>",
    "toy.print %a : tensor<2x3xf64>",
    "%r = toy.generic_call @f(%a, %u) : (tensor<2x3xf64>, tensor<*xf64>) -> ()",
]


@pytest.mark.parametrize("line", [line.replace("%r = ", "") if line.endswith("-> ()") else line for line in OPS])
def test_an_op_is_written_as_it_is_read(line: str) -> None:
    module = parsed(in_function(line))
    module.verify()
    assert line in str(module)


def test_a_struct_and_its_members_are_written_as_they_are_read() -> None:
    line = "toy.struct_constant [dense<1.000000e+00> : tensor<2xf64>] : !toy.struct<tensor<*xf64>>"
    access = "toy.struct_access %s[0] : !toy.struct<tensor<*xf64>> -> tensor<*xf64>"
    module = parsed(in_function(f"%s = {line}\n%m = {access}"))
    module.verify()
    assert line in str(module) and access in str(module)


@pytest.mark.parametrize(
    "line, message",
    [
        ("%r = toy.add %a, %a : (tensor<2x3xf64>, tensor<2x3xf64>) -> tensor<3x2xf64>", "expected the result type"),
        ("%r = toy.transpose(%a : tensor<2x3xf64>) to tensor<2x3xf64>", "expected the result type"),
        ("%r = toy.reshape(%a : tensor<2x3xf64>) to tensor<5xf64>", "cannot reshape"),
        ("%r = toy.broadcast(%a : tensor<2x3xf64>) to tensor<2x4xf64>", "cannot broadcast"),
        ("%r = toy.cast %a : tensor<2x3xf64> to tensor<3x2xf64>", "cannot cast"),
        ("toy.generic_call @g() : () -> ()", "is no function of this module"),
        ("toy.generic_call @f(%a) : (tensor<2x3xf64>) -> ()", "has the type"),
        ("%s = toy.struct_constant [dense<1.0> : tensor<f64>] : !toy.struct<!toy.struct<tensor<*xf64>>>", "is no"),
        (
            "%s = toy.struct_constant [dense<1.0> : tensor<f64>] : !toy.struct<tensor<*xf64>>\n"
            "%m = toy.struct_access %s[1] : !toy.struct<tensor<*xf64>> -> tensor<*xf64>",
            "has no member 1",
        ),
    ],
)
def test_a_verifier_refuses_what_does_not_fit(line: str, message: str) -> None:
    with pytest.raises(VerifyException, match=message):
        parsed(in_function(line)).verify()


@pytest.mark.parametrize(
    "text, message",
    [
        ("toy.func @f() -> tensor<*xf64> { toy.return }", "the function returns tensor<\\*xf64>, found nothing"),
        (
            "toy.func @f(%a: tensor<2xf64>) -> tensor<3xf64> { toy.return %a : tensor<2xf64> }",
            "the function returns tensor<3xf64>, found tensor<2xf64>",
        ),
        ('toy.func @f() { "test.termop"() : () -> () }', "expected toy.return at the end"),
    ],
)
def test_a_function_returns_what_it_says(text: str, message: str) -> None:
    with pytest.raises(VerifyException, match=message):
        parsed(text).verify()


@pytest.mark.parametrize(
    "text, message",
    [
        ("%0 = toy.constant dense<1> : tensor<i64>", "expected dense"),
        ("toy.func @f()", "expected a function body"),
    ],
)
def test_text_that_is_no_toy_is_refused(text: str, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        parsed(text)


def test_a_struct_holds_tensors_of_f64_and_structs_only() -> None:
    with pytest.raises(VerifyException, match="one member at least"):
        toy.StructType.of([])
    with pytest.raises(VerifyException, match="tensors of f64 or structs"):
        parsed('"test.op"() {t = !toy.struct<tensor<2xf32>>} : () -> ()')
