"""The pass `expand-math`: functions without an instruction become calls of functions that the module defines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xdsl.builder import ImplicitBuilder
from xdsl.context import Context
from xdsl.dialects import arith, func, math
from xdsl.dialects.builtin import ModuleOp, UnitAttr, VectorType, bf16, f16, f32
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter
from xdsl.traits import SymbolTable
from xdsl.utils.hints import isa

from xmlc.dialects.context_variables import setting
from xmlc.dialects.float_remainder import RemfOp
from xmlc.passes.below_zero import is_marked
from xmlc.passes.expand_math.device import DEVICE, is_instruction
from xmlc.passes.expand_math.error_function import erf
from xmlc.passes.expand_math.exponential import exp, exp2, expm1
from xmlc.passes.expand_math.hyperbolic import acosh, asinh, atanh, cosh, sinh, tanh
from xmlc.passes.expand_math.inverse_trigonometric import acos, asin, atan, atan2
from xmlc.passes.expand_math.logarithm import log, log1p, log2, log10
from xmlc.passes.expand_math.power import cbrt, fpowi, ipowi, powf, rsqrt
from xmlc.passes.expand_math.registers import REGISTERS, REGISTERS_BELOW_ZERO, is_register
from xmlc.passes.expand_math.remainder import remf
from xmlc.passes.expand_math.trigonometric import cos, sin, tan
from xmlc.passes.number import AVX512, FORMATS, Integer, Number, Real, element_of, like

Definition = Callable[..., Number]

# What is not here is an instruction or a plain intrinsic:
# sqrt absf floor ceil trunc round roundeven fma copysign absi ctlz cttz ctpop.
EXPANSIONS: dict[type[Operation], Definition] = {
    math.AcosOp: acos,
    math.AcoshOp: acosh,
    math.AsinOp: asin,
    math.AsinhOp: asinh,
    math.AtanOp: atan,
    math.Atan2Op: atan2,
    math.AtanhOp: atanh,
    math.CbrtOp: cbrt,
    math.CosOp: cos,
    math.CoshOp: cosh,
    math.ErfOp: erf,
    math.ExpOp: exp,
    math.Exp2Op: exp2,
    math.ExpM1Op: expm1,
    math.FPowIOp: fpowi,
    math.IPowIOp: ipowi,
    math.LogOp: log,
    math.Log10Op: log10,
    math.Log1pOp: log1p,
    math.Log2Op: log2,
    math.PowFOp: powf,
    math.RsqrtOp: rsqrt,
    math.SinOp: sin,
    math.SinhOp: sinh,
    math.TanOp: tan,
    math.TanhOp: tanh,
    RemfOp: remf,
}

# Computed in float32 and rounded; everything else is computed in its own type.
NARROW = {f16, bf16}


def code_of(type: Attribute) -> str:
    """`f32`, or `v16f32` for a vector."""
    if isa(type, VectorType):
        shape: tuple[int, ...] = type.get_shape()
        return "v" + "x".join(str(n) for n in shape) + str(element_of(type))
    return str(type)


def function_name(op: type[Operation], operands: tuple[Attribute, ...]) -> str:
    """`xmlc.exp.f32`; a second operand of another type is named too, as in `xmlc.fpowi.f32.i64`."""
    types = dict.fromkeys(code_of(operand) for operand in operands)
    return ".".join(("xmlc", op.name.partition(".")[2], *types))


def number_of(value: SSAValue) -> Number:
    return (Real if element_of(value.type) in FORMATS else Integer)(value)


def define(name: str, definition: Definition, operands: tuple[Attribute, ...]) -> func.FuncOp:
    """The private function that computes the definition; the result has the type of the first operand."""
    body = Block(arg_types=operands)
    with ImplicitBuilder(body):
        result = definition(*(number_of(argument) for argument in body.args))
        func.ReturnOp(result.value)
    function = func.FuncOp(name, (operands, operands[:1]), Region(body), visibility="private")
    function.attributes["xmlc.inline"] = UnitAttr()
    return function


def symbol_table_of(op: Operation) -> Operation:
    """The module that op is in: definitions go to its end."""
    table = op.parent_op()
    while table is not None and not table.has_trait(SymbolTable):
        table = table.parent_op()
    assert table is not None, "expand-math runs on a module"
    return table


def computed_types(op: Operation) -> tuple[Attribute, ...]:
    """The types of the operands that an op is computed in."""
    return tuple(like(each.type, f32) if element_of(each.type) in NARROW else each.type for each in op.operands)


def expand(op: Operation, name: str, types: tuple[Attribute, ...]) -> None:
    """Replace op by a call of the function of this name on operands of these types."""
    new: list[Operation] = []

    def converted(value: SSAValue, kind: type[Operation], element: Attribute) -> SSAValue:
        conversion = kind.create(operands=(value,), result_types=(like(value.type, element),))
        new.append(conversion)
        return conversion.results[0]

    operands = [
        value if value.type == type_ else converted(value, arith.ExtFOp, f32)
        for value, type_ in zip(op.operands, types)
    ]
    call = func.CallOp(name, operands, types[:1])
    new.append(call)
    result = call.results[0]
    narrow = element_of(op.results[0].type)
    if narrow in NARROW:
        result = converted(result, arith.TruncFOp, narrow)
    for created in new:
        created.location = op.location
    result.name_hint = op.results[0].name_hint
    Rewriter.insert_op(new, InsertPoint.before(op))
    op.results[0].replace_all_uses_with(result)
    op.detach()
    op.erase()


@dataclass(frozen=True)
class ExpandMath(ModulePass):
    """Turn the functions of `math` that no instruction computes into calls of private functions defined in the module.

    A definition is straight-line code without branches and is marked `xmlc.inline`: inlined into a loop, it is
    vectorised with the loop. docs/math.md has the measured errors. Valid at the linalg and structured levels.
    """

    name = "expand-math"
    avx512: bool = False
    """Whether the code is for a processor with AVX-512."""
    device: bool = False
    """Whether the code is for a GPU, which has other instructions."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        needed: dict[tuple[Operation, str], tuple[Definition, tuple[Attribute, ...]]] = {}
        expansions = EXPANSIONS | DEVICE if self.device else EXPANSIONS
        for inner in list(op.walk()):
            definition = expansions.get(type(inner))
            if definition is None or not supported(inner) or (self.device and is_instruction(inner)):
                continue
            table = symbol_table_of(inner)
            types = computed_types(inner)
            name = function_name(type(inner), types)
            if self.avx512 and is_register(types[0]):
                definition = REGISTERS.get(type(inner), definition)
                if is_marked(inner):
                    name, definition = f"{name}.below_zero", REGISTERS_BELOW_ZERO[type(inner)]
            expand(inner, name, types)
            needed[table, name] = definition, types
        with setting(AVX512, self.avx512):
            for (table, name), (definition, types) in needed.items():
                if SymbolTable.lookup_symbol(table, name) is None:
                    block = table.regions[0].block
                    Rewriter.insert_op(define(name, definition, types), InsertPoint.at_end(block))


def supported(op: Operation) -> bool:
    """Whether there are definitions for the element type: there are none for f80 and f128."""
    known: set[Any] = {*FORMATS, *NARROW}
    first = element_of(op.operands[0].type)
    return isinstance(op, math.IPowIOp) or first in known
