"""Layer norm, RMS norm and softmax spelled out as means, roots, exponentials and sums."""

from __future__ import annotations

import math
from collections.abc import Sequence

from xdsl.ir import SSAValue

from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.composite import LayerNormOp, RmsNormOp, SoftmaxOp
from xmlc.dialects.ml.elementwise import AddOp, DivOp, ExpOp, LogOp, MaxOp, MulOp, PowOp, RsqrtOp, SqrtOp, SubOp
from xmlc.dialects.ml.reduction import ReduceMaxOp, ReduceMeanOp, ReduceSumOp
from xmlc.dialects.ml.types import broadcast_shapes, rank_of, shape_of
from xmlc.passes.constants import has_known_sizes, is_filled, is_real, is_zero, splat
from xmlc.passes.laws import Holds, law


def divided(op: MulOp | DivOp) -> list[tuple[SSAValue, SSAValue]]:
    """Each (x, v) such that the op is x / sqrt(v): x / sqrt(v), x * rsqrt(v), x * (1 / sqrt(v))."""
    found: list[tuple[SSAValue, SSAValue]] = []
    pairs = [(op.lhs, op.rhs)] if isinstance(op, DivOp) else [(op.lhs, op.rhs), (op.rhs, op.lhs)]
    for x, y in pairs:
        match op, y.owner:
            case (DivOp(), SqrtOp(x=v)) | (MulOp(), RsqrtOp(x=v)):
                found.append((x, v))
            case MulOp(), DivOp(lhs=one, rhs=root) if is_filled(one, 1) and isinstance(root.owner, SqrtOp):
                found.append((x, root.owner.x))
            case _:
                pass
    return found


def squared(value: SSAValue) -> SSAValue | None:
    """x where the value is x * x or x ^ 2."""
    match value.owner:
        case MulOp(lhs=x, rhs=y) if x is y:
            return x
        case PowOp(lhs=x, rhs=y) if is_filled(y, 2):
            return x
        case _:
            return None


def mean_of(value: SSAValue) -> tuple[SSAValue, int] | None:
    """x and the first axis where the value is the mean of x over its last dimensions, which stay as 1."""
    match value.owner:
        case ReduceMeanOp(x=x, axes=axes, keep_dims=keep) if keep is not None:
            named: Sequence[int] = axes.get_values()
            first = rank_of(x) - len(named)
            return (x, first) if named and list(named) == list(range(first, rank_of(x))) else None
        case _:
            return None


def mean_square_plus(value: SSAValue) -> tuple[SSAValue, int, float] | None:
    """x, the first axis, and epsilon where the value is mean(x * x) + epsilon."""
    match value.owner:
        case AddOp(lhs=mean, rhs=small) if (epsilon := splat(small)) is not None and math.isfinite(epsilon):
            pass
        case _:
            return None
    if (found := mean_of(mean)) is None or (x := squared(found[0])) is None or epsilon < 0:
        return None
    return x, found[1], float(epsilon)


@law(holds=Holds.ON_REALS)
def layer_norm(op: MulOp | DivOp) -> SSAValue | None:
    """(x - m) / sqrt(mean((x - m)^2) + e), m = mean(x), over the last dimensions -> layer_norm(x) with a scale of 1"""
    for centred, variance in divided(op):
        if (found := mean_square_plus(variance)) is None or found[0] is not centred:
            continue
        match centred.owner:
            case SubOp(lhs=x, rhs=mean) if mean_of(mean) == (x, found[1]) and x.type == op.out.type:
                return F.layer_norm(x, F.scalar(x, 1), axis=found[1], epsilon=found[2])
            case _:
                pass
    return None


def is_variance(value: SSAValue, x: SSAValue, axis: int) -> bool:
    """Whether a value is mean(x^2) - mean(x)^2 over the dimensions from `axis` on, or the larger of that and 0."""
    match value.owner:
        case MaxOp(lhs=inner, rhs=zero) if is_zero(zero) and inner.type == value.type:
            value = inner
        case _:
            pass
    match value.owner:
        case SubOp(lhs=of_squares, rhs=square) if (mean := squared(square)) is not None:
            found = mean_of(of_squares)
            return found is not None and squared(found[0]) is x and found[1] == axis and mean_of(mean) == (x, axis)
        case _:
            return False


@law(holds=Holds.ON_REALS)
def layer_norm_by_squares(op: MulOp | DivOp) -> SSAValue | None:
    """(x - m) / sqrt(mean(x^2) - m^2 + e), m = mean(x), over the last dimensions -> layer_norm(x) with a scale of 1

    What layer_norm computes, the mean of (x - m)^2, does not lose its digits where m is large beside the variance.
    """
    for centred, positive in divided(op):
        match centred.owner, positive.owner:
            case SubOp(lhs=x, rhs=mean), AddOp(lhs=variance, rhs=small) if (epsilon := splat(small)) is not None:
                if (found := mean_of(mean)) is None or found[0] is not x or x.type != op.out.type:
                    continue
                if is_variance(variance, x, found[1]) and math.isfinite(epsilon) and epsilon >= 0:
                    return F.layer_norm(x, F.scalar(x, 1), axis=found[1], epsilon=float(epsilon))
            case _:
                pass
    return None


@law(holds=Holds.ON_REALS)
def rms_norm(op: MulOp | DivOp) -> SSAValue | None:
    """x / sqrt(mean(x^2) + e) over the last dimensions -> rms_norm(x) with a scale of 1; not of x - mean(x)"""
    for x, square in divided(op):
        found = mean_square_plus(square)
        if found is None or found[0] is not x or x.type != op.out.type:
            continue
        match x.owner:
            case SubOp(lhs=y, rhs=mean) if mean_of(mean) == (y, found[1]):
                pass
            case _:
                return F.rms_norm(x, F.scalar(x, 1), axis=found[1], epsilon=found[2])
    return None


def fits_trailing(value: SSAValue, x: SSAValue, axis: int) -> bool:
    """Whether a value broadcasts to the dimensions of x from `axis` on."""
    shape = shape_of(x)[axis:]
    if not has_known_sizes(value) or not has_known_sizes(x) or len(shape_of(value)) > len(shape):
        return False
    return broadcast_shapes(shape_of(value), shape) == shape


@law
def scale_of_norm(op: MulOp) -> SSAValue | None:
    """layer_norm(x) * s -> layer_norm(x) with the scale s, where it had the scale 1 and no bias; rms_norm too"""
    for norm, scale in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
        match norm.owner:
            case LayerNormOp(x=x, scale=one, bias=None) | RmsNormOp(x=x, scale=one) if is_filled(one, 1):
                axis, epsilon = norm.owner.axis.value.data, norm.owner.epsilon.value.data
                if not norm.has_one_use() or not fits_trailing(scale, x, axis):
                    continue
                make = F.rms_norm if isinstance(norm.owner, RmsNormOp) else F.layer_norm
                return make(x, scale, axis=axis, epsilon=epsilon)
            case _:
                pass
    return None


@law
def bias_of_norm(op: AddOp) -> SSAValue | None:
    """layer_norm(x) + b -> layer_norm(x) with the bias b, where it had none"""
    for norm, bias in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
        match norm.owner:
            case LayerNormOp(x=x, scale=scale, bias=None, axis=axis, epsilon=epsilon):
                if norm.has_one_use() and fits_trailing(bias, x, axis.value.data):
                    return F.layer_norm(x, scale, bias, axis=axis.value.data, epsilon=epsilon.value.data)
            case _:
                pass
    return None


# --- softmax


def one_axis(value: SSAValue, kind: type[ReduceSumOp] | type[ReduceMaxOp]) -> tuple[SSAValue, int] | None:
    """x and the axis where the value is a reduction of x along one dimension, which stays as 1."""
    owner = value.owner
    if not isinstance(owner, kind) or owner.keep_dims is None or len(owner.axes.get_values()) != 1:
        return None
    return owner.x, owner.axes.get_values()[0]


@law(holds=Holds.ON_REALS)
def softmax(op: DivOp) -> SSAValue | None:
    """e^(x - max(x)) / sum(e^(x - max(x))) along one dimension -> softmax(x); e^x / sum(e^x) too"""
    found = one_axis(op.rhs, ReduceSumOp)
    if found is None or found[0] is not op.lhs or not is_real(op.out):
        return None
    match op.lhs.owner:
        case ExpOp(x=y):
            pass
        case _:
            return None
    match y.owner:
        case SubOp(lhs=x, rhs=highest) if one_axis(highest, ReduceMaxOp) == (x, found[1]):
            return F.softmax(x, found[1])
        case _:
            return F.softmax(y, found[1])


@law(holds=Holds.ON_REALS)
def log_of_softmax(op: LogOp) -> SSAValue | None:
    """log(softmax(x)) -> log_softmax(x)"""
    match op.x.owner:
        case SoftmaxOp(x=x, axis=axis) if op.x.has_one_use():
            return F.log_softmax(x, axis.value.data)
        case _:
            return None


@law(holds=Holds.ON_REALS)
def log_softmax(op: SubOp) -> SSAValue | None:
    """y - log(sum(e^y)) along one dimension, y = x - max(x) or any y -> log_softmax(x)"""
    match op.rhs.owner:
        case LogOp(x=total) if (found := one_axis(total, ReduceSumOp)) is not None:
            match found[0].owner:
                case ExpOp(x=y) if y is op.lhs:
                    return F.log_softmax(y, found[1])
                case _:
                    return None
        case _:
            return None


NORMALIZATION = (
    layer_norm,
    layer_norm_by_squares,
    rms_norm,
    scale_of_norm,
    bias_of_norm,
    softmax,
    log_of_softmax,
    log_softmax,
)
