"""Index values: constants made once a function, and affine expressions as arith ops."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xdsl.dialects import arith
from xdsl.dialects.builtin import IndexType, IntegerAttr
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.ir.affine import AffineBinaryOpExpr, AffineBinaryOpKind, AffineConstantExpr, AffineDimExpr, AffineExpr

Index = SSAValue | int
"""An index known now, or only when the program runs."""

_INDEX = IndexType()
NO_WRAP: dict[str, Attribute] = {"overflowFlags": arith.IntegerOverflowAttr([arith.IntegerOverflowFlag.NSW])}
"""The properties of a sum or product of positions in a buffer that exists: it does not wrap."""
_SUM = {AffineBinaryOpKind.Add: arith.AddiOp, AffineBinaryOpKind.Mul: arith.MuliOp}
_UNSIGNED = {AffineBinaryOpKind.FloorDiv: arith.DivUIOp, AffineBinaryOpKind.Mod: arith.RemUIOp}
_SIGNED = {AffineBinaryOpKind.FloorDiv: arith.FloorDivSIOp, AffineBinaryOpKind.CeilDiv: arith.CeilDivSIOp}


class IndexConstants:
    """Index constants at the start of a block (of a function's body, say), one for each value."""

    def __init__(self, block: Block):
        self._block = block
        self._known: dict[int, SSAValue] = {}
        for op in block.ops:
            if not isinstance(op, arith.ConstantOp):
                break
            if isinstance(value := op.value, IntegerAttr) and op.result.type == _INDEX:
                self._known[value.value.data] = op.result

    def __getitem__(self, value: int) -> SSAValue:
        if (known := self._known.get(value)) is not None:
            return known
        constant = index_constant(value)
        if (first := self._block.first_op) is None:
            self._block.add_op(constant)
        else:
            self._block.insert_op_before(constant, first)
        self._known[value] = constant.result
        return constant.result

    def as_value(self, index: Index) -> SSAValue:
        return self[index] if isinstance(index, int) else index


def index_constant(value: int) -> arith.ConstantOp:
    return arith.ConstantOp.create(result_types=(_INDEX,), properties={"value": IntegerAttr(value, _INDEX)})


def unwrapped(kind: type[Operation]) -> dict[str, Attribute]:
    """The properties of an op on indices: sums, differences and products do not wrap."""
    return dict(NO_WRAP) if kind in (arith.AddiOp, arith.MuliOp, arith.SubiOp) else {}


def evaluate(
    expression: AffineExpr,
    dims: Sequence[Index],
    constants: IndexConstants,
    emit: Callable[[Operation], object],
) -> Index:
    """The value of an affine expression over `dims`, which are not negative; x+0 and x*1 cost nothing.

    Sums and products are marked as not wrapping: they are positions in buffers that exist.
    """
    match expression:
        case AffineConstantExpr():
            return expression.value
        case AffineDimExpr():
            return dims[expression.position]
        case AffineBinaryOpExpr():
            kind = expression.kind
            lhs = evaluate(expression.lhs, dims, constants, emit)
            rhs = evaluate(expression.rhs, dims, constants, emit)
            if isinstance(lhs, int) and isinstance(rhs, int):
                return AffineExpr.binary(kind, AffineExpr.constant(lhs), AffineExpr.constant(rhs)).eval((), ())
            match kind, lhs, rhs:
                case (AffineBinaryOpKind.Add, 0, _) | (AffineBinaryOpKind.Mul, 1, _):
                    return rhs
                case (
                    (AffineBinaryOpKind.Add, _, 0)
                    | (AffineBinaryOpKind.Mul, _, 1)
                    | (AffineBinaryOpKind.FloorDiv, _, 1)
                    | (AffineBinaryOpKind.CeilDiv, _, 1)
                ):
                    return lhs
                case (AffineBinaryOpKind.Mul, 0, _) | (AffineBinaryOpKind.Mul, _, 0) | (AffineBinaryOpKind.Mod, _, 1):
                    return 0
                case _:
                    pass
            operands = (constants.as_value(lhs), constants.as_value(rhs))
            if kind in _SUM:
                op = _SUM[kind].create(operands=operands, result_types=(_INDEX,), properties=NO_WRAP)
            elif kind in _UNSIGNED and _never_negative(expression.lhs):
                op = _UNSIGNED[kind].create(operands=operands, result_types=(_INDEX,))
            elif kind is AffineBinaryOpKind.Mod:  # x mod c = x - c * (x floordiv c)
                divisor = expression.rhs
                return evaluate(expression.lhs - (expression.lhs // divisor) * divisor, dims, constants, emit)
            else:
                op = _SIGNED[kind].create(operands=operands, result_types=(_INDEX,))
            emit(op)
            return op.result
        case _:
            raise AssertionError(f"no symbols in maps of linalg: {expression}")


def _never_negative(expression: AffineExpr) -> bool:
    match expression:
        case AffineConstantExpr():
            return expression.value >= 0
        case AffineDimExpr():
            return True
        case AffineBinaryOpExpr():
            return _never_negative(expression.lhs) and _never_negative(expression.rhs)
        case _:
            return False
