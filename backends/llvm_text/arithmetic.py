"""Rows of `arith` and of the `math` ops that are one LLVM instruction or intrinsic."""

from __future__ import annotations

from typing import Any, cast

from xdsl.dialects import arith, math
from xdsl.dialects.builtin import IntegerAttr
from xdsl.ir import Attribute, Operation, SSAValue

from xmlc.backends.llvm_text.types import element_of, like, literal
from xmlc.backends.llvm_text.writer import Row, Writer
from xmlc.dialects.lanewise import CmpfOp, CmpiOp, SelectOp


def constant(w: Writer, op: arith.ConstantOp) -> None:
    """No instruction: users of the constant print it in place."""
    w.names[op.results[0]] = literal(op.properties["value"], w.soft_half)


# Floats. A soft 16-bit float (bf16; f16 without conversion instructions) is an i16 in LLVM: it is widened
# to f32, computed on, and rounded back.


def operand(w: Writer, value: SSAValue) -> str:
    """The text of a float operand, widened to f32 where it is a soft 16-bit float."""
    text = w.names[value]
    kind = w.kind(value.type)
    if "i16" not in kind:
        return text
    name = w.helper("widen.f16" if w.is_half(value.type) else "widen.bf16", kind)
    return w.emit(f"call {like(kind, 'float')} {name}({kind} {text})")


def finish(w: Writer, result: SSAValue, text: str) -> None:
    """Name the result of `text`, rounded from f32 where the result is a soft 16-bit float."""
    name = w.emit(text)
    kind = w.kind(result.type)
    if "i16" in kind:
        name = narrowed(w, result.type, name)
    w.names[result] = name


def narrowed(w: Writer, result: Attribute, name: str) -> str:
    """f32 `name` rounded to the soft 16-bit float type `result`."""
    kind = w.kind(result)
    wide = like(kind, "float")
    helper = w.helper("narrow.f16" if w.is_half(result) else "narrow.bf16", wide)
    return w.emit(f"call {kind} {helper}({wide} {name})")


def computing(w: Writer, value: SSAValue) -> str:
    """The LLVM type arithmetic on this float is done in."""
    kind = w.kind(value.type)
    return like(kind, "float") if "i16" in kind else kind


def float_instruction(name: str) -> Row:
    """`fadd <flags> T x, y`"""

    def row(w: Writer, op: Operation) -> None:
        operands = op.operands
        kind = w.kind(operands[0].type)
        if "i16" in kind:
            texts = ", ".join([operand(w, value) for value in operands])
            finish(w, op.results[0], f"{name} {w.flags(op)}{like(kind, 'float')} {texts}")
            return
        texts = ", ".join([w.names[value] for value in operands])
        w.lines.append(f"  {w.bind(op.results[0])} = {name} {w.flags(op)}{kind} {texts}")

    return row


def float_intrinsic(name: str) -> Row:
    """`call <flags> T @llvm.name.T(T x, T y)`"""

    def row(w: Writer, op: Operation) -> None:
        kind = computing(w, op.operands[0])
        texts = ", ".join([f"{kind} {operand(w, value)}" for value in op.operands])
        finish(w, op.results[0], f"call {w.flags(op)}{kind} @llvm.{name}.{w.mangled(kind)}({texts})")

    return row


def reciprocal_square_root(w: Writer, op: math.RsqrtOp) -> None:
    """1 / sqrt(x), rounded once: f16 is computed in f32."""
    value = op.operands[0]
    text, kind = operand(w, value), computing(w, value)
    wide = like(kind, "float") if element_of(kind) == "half" else kind
    if wide != kind:
        text = w.emit(f"fpext {kind} {text} to {wide}")
    root = w.emit(f"call {w.flags(op)}{wide} @llvm.sqrt.{w.mangled(wide)}({wide} {text})")
    one = "1.0" if wide[0] != "<" else f"splat ({element_of(wide)} 1.0)"
    quotient = f"fdiv {w.flags(op)}{wide} {one}, {root}"
    if wide != kind:
        quotient = f"fptrunc {wide} {w.emit(quotient)} to {kind}"
    finish(w, op.results[0], quotient)


CMPF = (
    "false", "oeq", "ogt", "oge", "olt", "ole", "one", "ord",
    "ueq", "ugt", "uge", "ult", "ule", "une", "uno", "true",
)  # fmt: skip
CMPI = ("eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge")


def compare_floats(w: Writer, op: arith.CmpfOp | CmpfOp) -> None:
    lhs, rhs = op.operands
    predicate = CMPF[cast("IntegerAttr[Any]", op.properties["predicate"]).value.data]
    kind = computing(w, lhs)
    x, y = operand(w, lhs), operand(w, rhs)
    w.lines.append(f"  {w.bind(op.results[0])} = fcmp {w.flags(op)}{predicate} {kind} {x}, {y}")


# Integers


def overflow(op: Operation) -> str:
    flags = op.properties.get("overflowFlags")
    return "".join(f"{flag.value} " for flag in cast("arith.IntegerOverflowAttr", flags).data) if flags else ""


def integer_instruction(name: str) -> Row:
    """`add <overflow> T x, y`"""

    def row(w: Writer, op: Operation) -> None:
        lhs, rhs = op.operands
        names = w.names
        x, y = names[lhs], names[rhs]
        w.lines.append(f"  {w.bind(op.results[0])} = {name} {overflow(op)}{w.kind(lhs.type)} {x}, {y}")

    return row


def integer_intrinsic(name: str, last: str = "") -> Row:
    """`call T @llvm.name.T(T x, T y)`, with a constant last operand where the intrinsic has one"""

    def row(w: Writer, op: Operation) -> None:
        kind = w.kind(op.operands[0].type)
        texts = ", ".join([f"{kind} {w.names[value]}" for value in op.operands])
        w.lines.append(f"  {w.bind(op.results[0])} = call {kind} @llvm.{name}.{w.mangled(kind)}({texts}{last})")

    return row


def integer_helper(name: str) -> Row:
    """A call of a helper function on two integers."""

    def row(w: Writer, op: Operation) -> None:
        lhs, rhs = op.operands
        kind = w.kind(lhs.type)
        function = w.helper(name, kind)
        x, y = w.names[lhs], w.names[rhs]
        w.lines.append(f"  {w.bind(op.results[0])} = call {kind} {function}({kind} {x}, {kind} {y})")

    return row


def compare_integers(w: Writer, op: arith.CmpiOp | CmpiOp) -> None:
    lhs, rhs = op.operands
    predicate = CMPI[cast("IntegerAttr[Any]", op.properties["predicate"]).value.data]
    x, y = w.names[lhs], w.names[rhs]
    w.lines.append(f"  {w.bind(op.results[0])} = icmp {predicate} {w.kind(lhs.type)} {x}, {y}")


def add_with_carry(w: Writer, op: arith.AddUIExtendedOp) -> None:
    lhs, rhs = op.operands
    kind = w.kind(lhs.type)
    pair = f"{{ {kind}, {like(kind, 'i1')} }}"
    call = f"@llvm.uadd.with.overflow.{w.mangled(kind)}({kind} {w.names[lhs]}, {kind} {w.names[rhs]})"
    both = w.emit(f"call {pair} {call}")
    for position, result in enumerate(op.results):
        w.names[result] = w.emit(f"extractvalue {pair} {both}, {position}")


def multiply_extended(extend: str) -> Row:
    """The low and the high half of a product, computed in twice the width."""

    def row(w: Writer, op: Operation) -> None:
        kind = w.kind(op.operands[0].type)
        bits = int(element_of(kind)[1:])
        wide = like(kind, f"i{2 * bits}")
        x, y = (w.emit(f"{extend} {kind} {w.names[value]} to {wide}") for value in op.operands)
        product = w.emit(f"mul {wide} {x}, {y}")
        amount = str(bits) if kind[0] != "<" else f"splat (i{2 * bits} {bits})"
        high = w.emit(f"lshr {wide} {product}, {amount}")
        w.names[op.results[0]] = w.emit(f"trunc {wide} {product} to {kind}")
        w.names[op.results[1]] = w.emit(f"trunc {wide} {high} to {kind}")

    return row


def select(w: Writer, op: arith.SelectOp | SelectOp) -> None:
    condition, lhs, rhs = op.operands
    names = w.names
    if lhs in w.buffers:  # two memrefs of one type: choose each of their parts
        kinds = w.part_kinds(lhs.type)
        parts = zip(kinds, w.parts(lhs), w.parts(rhs))
        chosen = [w.emit(f"select i1 {names[condition]}, {kind} {x}, {kind} {y}") for kind, x, y in parts]
        w.bind_parts(op.results[0], chosen)
        return
    kind = w.kind(lhs.type)
    choice = f"{w.kind(condition.type)} {names[condition]}"
    w.lines.append(f"  {w.bind(op.results[0])} = select {choice}, {kind} {names[lhs]}, {kind} {names[rhs]}")


# Casts


def convert(w: Writer, result: SSAValue, instruction: str, kind: str, text: str, into: str) -> None:
    """`instruction kind text to into`; no instruction where the types are the same."""
    w.names[result] = text if kind == into else w.emit(f"{instruction} {kind} {text} to {into}")


def cast_integer(instruction: str) -> Row:
    """`sext T x to U`"""

    def row(w: Writer, op: Operation) -> None:
        value, result = op.operands[0], op.results[0]
        convert(w, result, instruction, w.kind(value.type), w.names[value], w.kind(result.type))

    return row


def index_cast(w: Writer, op: arith.IndexCastOp) -> None:
    """Between `index`, an i64, and an integer: sign-extended or truncated."""
    value, result = op.operands[0], op.results[0]
    kind, into = w.kind(value.type), w.kind(result.type)
    grows = int(element_of(into)[1:]) > int(element_of(kind)[1:])
    convert(w, result, "sext" if grows else "trunc", kind, w.names[value], into)


def extend_float(w: Writer, op: arith.ExtFOp) -> None:
    value, result = op.operands[0], op.results[0]
    text = operand(w, value)
    convert(w, result, "fpext", computing(w, value), text, w.kind(result.type))


def truncate_float(w: Writer, op: arith.TruncFOp) -> None:
    """To 16 bits in one rounding: f64 goes through an f32 rounded to odd."""
    value, result = op.operands[0], op.results[0]
    text, kind, into = w.names[value], w.kind(value.type), w.kind(result.type)
    if element_of(kind) == "double" and element_of(into) != "float":
        wide = like(kind, "float")
        text, kind = w.emit(f"call {wide} {w.helper('odd', kind)}({kind} {text})"), wide
    if "i16" in into:
        w.names[result] = narrowed(w, result.type, text)
    else:
        convert(w, result, "fptrunc", kind, text, into)


def integer_to_float(instruction: str) -> Row:
    def row(w: Writer, op: Operation) -> None:
        value, result = op.operands[0], op.results[0]
        kind, into = w.kind(value.type), computing(w, result)
        finish(w, result, f"{instruction} {kind} {w.names[value]} to {into}")

    return row


def float_to_integer(instruction: str) -> Row:
    """Out of range is poison, as in MLIR: a lowering that wants saturation clamps first."""

    def row(w: Writer, op: Operation) -> None:
        value, result = op.operands[0], op.results[0]
        text = operand(w, value)
        convert(w, result, instruction, computing(w, value), text, w.kind(result.type))

    return row


ROWS: dict[type[Operation], Row] = {
    arith.ConstantOp: constant,
    arith.AddfOp: float_instruction("fadd"),
    arith.SubfOp: float_instruction("fsub"),
    arith.MulfOp: float_instruction("fmul"),
    arith.DivfOp: float_instruction("fdiv"),
    arith.NegfOp: float_instruction("fneg"),
    arith.MaximumfOp: float_intrinsic("maximum"),
    arith.MinimumfOp: float_intrinsic("minimum"),
    arith.MaxnumfOp: float_intrinsic("maxnum"),
    arith.MinnumfOp: float_intrinsic("minnum"),
    arith.CmpfOp: compare_floats,
    CmpfOp: compare_floats,
    arith.AddiOp: integer_instruction("add"),
    arith.SubiOp: integer_instruction("sub"),
    arith.MuliOp: integer_instruction("mul"),
    arith.DivSIOp: integer_instruction("sdiv"),
    arith.DivUIOp: integer_instruction("udiv"),
    arith.RemSIOp: integer_instruction("srem"),
    arith.RemUIOp: integer_instruction("urem"),
    arith.AndIOp: integer_instruction("and"),
    arith.OrIOp: integer_instruction("or"),
    arith.XOrIOp: integer_instruction("xor"),
    arith.ShLIOp: integer_instruction("shl"),
    arith.ShRSIOp: integer_instruction("ashr"),
    arith.ShRUIOp: integer_instruction("lshr"),
    arith.MaxSIOp: integer_intrinsic("smax"),
    arith.MinSIOp: integer_intrinsic("smin"),
    arith.MaxUIOp: integer_intrinsic("umax"),
    arith.MinUIOp: integer_intrinsic("umin"),
    arith.FloorDivSIOp: integer_helper("floordiv"),
    arith.CeilDivSIOp: integer_helper("ceildiv"),
    arith.CeilDivUIOp: integer_helper("ceildivu"),
    arith.AddUIExtendedOp: add_with_carry,
    arith.MulSIExtendedOp: multiply_extended("sext"),
    arith.MulUIExtendedOp: multiply_extended("zext"),
    arith.CmpiOp: compare_integers,
    CmpiOp: compare_integers,
    arith.SelectOp: select,
    SelectOp: select,
    arith.BitcastOp: cast_integer("bitcast"),
    arith.ExtSIOp: cast_integer("sext"),
    arith.ExtUIOp: cast_integer("zext"),
    arith.TruncIOp: cast_integer("trunc"),
    arith.IndexCastOp: index_cast,
    arith.ExtFOp: extend_float,
    arith.TruncFOp: truncate_float,
    arith.SIToFPOp: integer_to_float("sitofp"),
    arith.UIToFPOp: integer_to_float("uitofp"),
    arith.FPToSIOp: float_to_integer("fptosi"),
    arith.FPToUIOp: float_to_integer("fptoui"),
    math.SqrtOp: float_intrinsic("sqrt"),
    math.AbsFOp: float_intrinsic("fabs"),
    math.FloorOp: float_intrinsic("floor"),
    math.CeilOp: float_intrinsic("ceil"),
    math.TruncOp: float_intrinsic("trunc"),
    math.RoundOp: float_intrinsic("round"),
    math.RoundEvenOp: float_intrinsic("roundeven"),
    math.FmaOp: float_intrinsic("fma"),
    math.CopySignOp: float_intrinsic("copysign"),
    math.RsqrtOp: reciprocal_square_root,
    math.AbsIOp: integer_intrinsic("abs", ", i1 false"),
    math.CtPopOp: integer_intrinsic("ctpop"),
    math.CountLeadingZerosOp: integer_intrinsic("ctlz", ", i1 false"),
    math.CountTrailingZerosOp: integer_intrinsic("cttz", ", i1 false"),
}
