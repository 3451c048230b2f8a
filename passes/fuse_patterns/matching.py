"""How patterns look at values: through factors, at what is known when a model is loaded, at what has one user."""

from __future__ import annotations

from math import prod

from xdsl.dialects.func import FuncOp
from xdsl.ir import BlockArgument, Operation, SSAValue
from xdsl.traits import is_side_effect_free

from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.elementwise import DivOp, MulOp, NegOp
from xmlc.dialects.ml.shaping import ConstantOp
from xmlc.dialects.ml.types import shape_of
from xmlc.passes.constants import has_known_sizes, is_real, splat

WEIGHT = "ml.weight"
"""The attribute of arguments whose value is known when the program is loaded."""

DEPTH = 24
"""How many ops deep `is_weight` looks."""


def is_weight_argument(value: SSAValue) -> bool:
    """Whether a value is an argument marked as a weight."""
    if not isinstance(value, BlockArgument):
        return False
    function = value.block.parent_op()
    if not isinstance(function, FuncOp) or function.arg_attrs is None:
        return False
    return WEIGHT in function.arg_attrs.data[value.index].data


def is_weight(value: SSAValue, depth: int = DEPTH) -> bool:
    """Whether a value depends on constants and weights alone, so that it is computed once, at load."""
    owner = value.owner
    if not isinstance(owner, Operation):
        return is_weight_argument(value)
    if isinstance(owner, ConstantOp):
        return True
    if not depth or owner.regions or not owner.operands or not is_side_effect_free(owner):
        return False
    return all(is_weight(each, depth - 1) for each in owner.operands)


def peeled(value: SSAValue) -> tuple[SSAValue, float]:
    """x and c where the value is x * c, through products with numbers, quotients by numbers, and signs."""
    factor = 1.0
    while True:
        match value.owner:
            case MulOp(lhs=x, rhs=y) if (c := splat(y)) is not None and x.type == value.type:
                factor *= float(c)
            case MulOp(lhs=y, rhs=x) if (c := splat(y)) is not None and x.type == value.type:
                factor *= float(c)
            case DivOp(lhs=x, rhs=y) if (c := splat(y)) is not None and c != 0 and x.type == value.type:
                factor /= float(c)
            case NegOp(x=x):
                factor = -factor
            case _:
                return value, factor
        value = x


def product(value: SSAValue, limit: int = 4) -> tuple[list[SSAValue], float] | None:
    """The factors of a product of floats, and the number among them; None for more than `limit` factors.

    Looks through inner products only where nothing else uses them.
    """
    if not is_real(value):
        return None
    factors: list[SSAValue] = []
    number = 1.0
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if each is not value and not each.has_one_use():
            number = number * float(c) if (c := splat(each)) is not None else number
            factors += [] if c is not None else [each]
        else:
            match each.owner:
                case MulOp(lhs=x, rhs=y):
                    waiting += (y, x)
                case DivOp(lhs=x, rhs=y) if (c := splat(y)) is not None and c != 0:
                    number /= float(c)
                    waiting.append(x)
                case NegOp(x=x):
                    number = -number
                    waiting.append(x)
                case _ if (c := splat(each)) is not None:
                    number *= float(c)
                case _:
                    factors.append(each)
        if len(factors) + len(waiting) > limit + 2:
            return None
    return (factors, number) if len(factors) <= limit else None


def goes_on(value: SSAValue) -> bool:
    """Whether a product's one use is a larger product with a number, at which a pattern is better looked for."""
    if not value.has_one_use():
        return False
    user = next(iter(value.uses)).operation
    return isinstance(user, MulOp | DivOp) and any(
        splat(each) is not None for each in user.operands if each is not value
    )


def times(x: SSAValue, factor: float, exact: bool) -> SSAValue:
    """x * factor; x where the factor is as good as 1."""
    return x if exact else F.mul(x, F.scalar(x, factor))


def along_axis(value: SSAValue, rank: int, axis: int, size: int) -> bool:
    """Whether a value, broadcast to `rank` dimensions, varies along one dimension at most."""
    shape = shape_of(value)
    if not has_known_sizes(value) or len(shape) > rank:
        return False
    padded = (1,) * (rank - len(shape)) + shape
    return padded[axis] in (1, size) and prod(padded) == padded[axis]


def as_vector(value: SSAValue, size: int) -> SSAValue:
    """A value that varies along one dimension at most as a tensor of `size` numbers."""
    count = prod(shape_of(value))
    return F.broadcast(F.reshape(value, (count,)), (size,))
