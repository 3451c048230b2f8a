"""What the pass does to a module."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import mlir_opt_functions, needs_mlir, parse
from xdsl.context import Context
from xdsl.dialects import func, math
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

from xmlc.passes.expand_math import EXPANSIONS, ExpandMath


def expanded(text: str) -> ModuleOp:
    module = parse(text)
    ExpandMath().apply(Context(), module)
    module.verify()
    return module


def functions(module: ModuleOp) -> dict[str, func.FuncOp]:
    return {op.sym_name.data: op for op in module.ops if isinstance(op, func.FuncOp)}


def kinds(op: Operation) -> set[str]:
    return {inner.name for inner in op.walk()}


def test_a_function_is_defined_once_a_type() -> None:
    module = expanded("""
        func.func @f(%x: f32, %y: f64) -> (f32, f64) {
          %a = math.exp %x : f32
          %b = math.exp %a : f32
          %c = math.exp %y : f64
          func.return %b, %c : f32, f64
        }""")
    assert list(functions(module)) == ["f", "xmlc.exp.f32", "xmlc.exp.f64"]


def test_definitions_are_private_and_marked_for_inlining() -> None:
    definition = functions(expanded(UNARY.format("tanh")))["xmlc.tanh.f32"]
    assert definition.sym_visibility is not None and definition.sym_visibility.data == "private"
    assert "xmlc.inline" in definition.attributes


UNARY = "func.func @f(%x: f32) -> f32 {{\n%r = math.{} %x : f32\nfunc.return %r : f32\n}}"


def test_instructions_and_intrinsics_stay() -> None:
    for name in ("sqrt", "absf", "floor", "ceil", "trunc", "roundeven"):
        module = expanded(UNARY.format(name))
        assert list(functions(module)) == ["f"]


def test_definitions_need_no_further_expansion() -> None:
    for kind in EXPANSIONS:
        if len(kind.get_irdl_definition().operands) > 1:
            continue
        module = expanded(UNARY.format(kind.name.removeprefix("math.")))
        allowed = {"math.fma", "math.sqrt", "math.absf", "math.copysign", "math.roundeven", "math.trunc"}
        assert {name for name in kinds(module) if name.startswith("math.")} <= allowed
        assert not kinds(module) & {"scf.if", "scf.for", "scf.while", "cf.cond_br"}


def test_a_half_is_computed_in_float32() -> None:
    module = expanded("func.func @f(%x: bf16) -> bf16 {\n%r = math.log %x : bf16\nfunc.return %r : bf16\n}")
    assert list(functions(module)) == ["f", "xmlc.log.f32"]
    assert [op.name for op in functions(module)["f"].body.block.ops] == [
        "arith.extf",
        "func.call",
        "arith.truncf",
        "func.return",
    ]


def test_a_second_run_adds_nothing() -> None:
    module = expanded(UNARY.format("exp"))
    before = str(module)
    ExpandMath().apply(Context(), module)
    assert str(module) == before


def test_a_later_use_finds_the_definition_that_is_there() -> None:
    text = str(expanded(UNARY.format("exp"))).replace("func.func @f", "func.func @g")
    module = expanded(text.replace("builtin.module {", "builtin.module {" + UNARY.format("exp").replace("{{", "{")))
    assert list(functions(module)) == ["f", "g", "xmlc.exp.f32"]


def test_calls_keep_the_place_of_the_op() -> None:
    module = parse(UNARY.format("exp"))
    op = next(op for op in module.walk() if isinstance(op, math.ExpOp))
    place = op.location
    ExpandMath().apply(Context(), module)
    assert next(op for op in module.walk() if isinstance(op, func.CallOp)).location == place


def test_types_without_definitions_are_left_alone() -> None:
    module = expanded("func.func @f(%x: f128) -> f128 {\n%r = math.exp %x : f128\nfunc.return %r : f128\n}")
    assert "math.exp" in kinds(module)


@needs_mlir
@pytest.mark.parametrize("element", ["i8", "i32", "i64"])
def test_integer_powers_wrap_around(element: str) -> None:
    text = f"""
        func.func @f(%x: {element}, %n: {element}) -> {element} {{
          %r = math.ipowi %x, %n : {element}
          func.return %r : {element}
        }}"""
    power = mlir_opt_functions(str(expanded(text)))["f"]
    bits = int(element[1:])
    for x, n in [(3, 4), (-3, 3), (2, bits), (7, 100), (0, 0), (1, -5), (-1, -5), (-1, -4), (5, -1), (0, -1)]:
        exact = x**n if n >= 0 else (x**-n if abs(x) == 1 else 0)
        (got,) = power(x, n)
        assert int(got) == int(np.array(exact % 2**bits, f"u{bits // 8}").astype(f"i{bits // 8}")), (x, n)
