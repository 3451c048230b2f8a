"""Compute narrow: arithmetic whose results are rounded to 16 bits, in 16 bits, or no more precisely than these show.

What `ml` says of 16-bit floats is that each op is computed in f32 and rounded. GPUs have instructions for sums and
products of 16-bit floats, which give the very same: f32 has more than twice their digits and two more, so that
rounding twice is rounding once (Figueroa, When is double rounding innocuous?, 1995). And 1 + erf(x), the factor of
gelu, is wanted to the digits of the result only: an exponential of a polynomial gives those, for large negative x too.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.builder import Builder, ImplicitBuilder
from xdsl.context import Context
from xdsl.dialects import arith, linalg, math
from xdsl.dialects.builtin import BFloat16Type, Float16Type, FloatAttr, ModuleOp, f32
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint

from xmlc.passes.number import Real, build, polynomial, select

NARROW = (BFloat16Type, Float16Type)
EXACT = (arith.AddfOp, arith.SubfOp, arith.MulfOp)

LOG2_ERFC: dict[type[Attribute], tuple[float, ...]] = {
    # log2(erfc(t)), lowest power first: relative error of erfc 2**-10.8 up to t = 9.3, beyond which it is 0 in bf16
    BFloat16Type: (
        -0.0007690161, -1.61651516, -0.945557773, -0.125850633, 0.02191047, -0.00238253269, 0.000143868063,
        -3.6594729e-06,
    ),
    # 2**-17.2 up to t = 4.2, beyond which x * erfc(x) is 0 in f16
    Float16Type: (
        4.70140594e-06, -1.6281147, -0.916929483, -0.152620718, 0.0340303183, -0.00526329083, 0.00049266743,
        -2.07486573e-05,
    ),
}  # fmt: skip
"""Least-squares fits at Chebyshev points, weighted until the error is level. Both polynomials fall beyond their end."""


@dataclass(frozen=True)
class ComputeNarrow(ModulePass):
    """Do arithmetic of 16-bit floats by their own instructions, and functions to their precision."""

    name = "compute-narrow"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for generic in op.walk():
            if isinstance(generic, linalg.ops.GenericOp):
                body = generic.body.block
                for inner in list(body.ops):
                    if isinstance(inner, arith.TruncFOp):
                        in_its_own_type(inner)
                    elif isinstance(inner, arith.AddfOp):
                        one_plus_erf(inner)
                drop_unused(body)


def in_its_own_type(op: arith.TruncFOp) -> None:
    """narrow(wide(a) ∘ wide(b)) -> a ∘ b, for sums, differences and products"""
    made = op.input.owner
    if not isinstance(op.result.type, NARROW) or not isinstance(made, EXACT) or made.result.type != f32:
        return
    operands = [widened_from(each) for each in made.operands]
    if any(each is None or each.type != op.result.type for each in operands):
        return
    new = type(made).create(operands=operands, result_types=(op.result.type,), properties=dict(made.properties))  # pyright: ignore
    replace(op, new)


def widened_from(value: SSAValue) -> SSAValue | None:
    return value.owner.input if isinstance(value.owner, arith.ExtFOp) else None


def one_plus_erf(op: arith.AddfOp) -> None:
    """1 + erf(x) -> erfc(-x), where the result is rounded to 16 bits before anything else sees it"""
    one, function = op.lhs, op.rhs.owner
    if not isinstance(function, math.ErfOp):
        one, function = op.rhs, op.lhs.owner
    if not isinstance(function, math.ErfOp) or op.result.type != f32:
        return
    if not isinstance(one.owner, arith.ConstantOp) or one.owner.value != FloatAttr(1.0, f32):
        return
    kinds = rounded_to(op.result)
    if len(kinds) != 1 or None in kinds:
        return
    (kind,) = kinds
    assert kind is not None
    with ImplicitBuilder(Builder(InsertPoint.before(op))):
        x = Real(function.operand)
        tail = Real(build(math.Exp2Op, (polynomial(abs(x), LOG2_ERFC[kind]).value,), f32))
        result = select(x > 0.0, 2.0 - tail, tail)
    op.result.replace_all_uses_with(result.value)


def rounded_to(value: SSAValue) -> set[type[Attribute] | None]:
    """The 16-bit types that a value, and all that is computed of it, is rounded to; None among them: it is not."""
    found: set[type[Attribute] | None] = set()
    for use in value.uses:
        op = use.operation
        if isinstance(op, arith.TruncFOp) and isinstance(op.result.type, NARROW):
            found.add(type(op.result.type))
        elif isinstance(op, EXACT):
            found |= rounded_to(op.result)
        else:
            found.add(None)
    return found


def replace(old: Operation, new: Operation) -> None:
    new.location = old.location
    assert old.parent is not None
    old.parent.insert_op_before(new, old)
    old.results[0].replace_all_uses_with(new.results[0])


def drop_unused(body: Block) -> None:
    for op in reversed(list(body.ops)):
        if isinstance(op, (*EXACT, arith.TruncFOp, arith.ExtFOp, math.ErfOp)) and not op.results[0].uses:
            op.detach()
            op.erase()
