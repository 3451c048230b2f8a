"""Laws of reductions."""

from __future__ import annotations

from xdsl.ir import SSAValue

from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.reduction import ReduceMaxOp, ReduceMinOp, ReduceOp, reduced_shape
from xmlc.dialects.ml.shaping import ReshapeOp, TransposeOp
from xmlc.dialects.ml.types import rank_of, shape_of
from xmlc.passes.constants import has_known_sizes
from xmlc.passes.laws import Holds, law


def axes_of(op: ReduceOp) -> tuple[int, ...]:
    return tuple(op.axes.get_values())


@law(holds=Holds.ON_REALS)
def reduce_of_ones(op: ReduceOp) -> SSAValue | None:
    """a reduction over dimensions of size 1 only, or over none -> reshape; of -0.0 it may give 0.0"""
    if not has_known_sizes(op.x) or any(shape_of(op.x)[axis] != 1 for axis in axes_of(op)):
        return None
    return F.reshape(op.x, shape_of(op.out))


@law(holds=Holds.ON_REALS)
def reduce_of_reduce(op: ReduceOp) -> SSAValue | None:
    """sum(sum(x, a), b) -> sum(x, a and b), and so for every kind; means of equally many elements too"""
    inner = op.x.owner
    if type(inner) is not type(op) or not op.x.has_one_use():
        return None
    assert isinstance(inner, ReduceOp)
    if (op.keep_dims is None) != (inner.keep_dims is None):
        return None
    first, rank = axes_of(inner), rank_of(inner.x)
    left = range(rank) if inner.keep_dims else [axis for axis in range(rank) if axis not in first]
    axes = {*first, *(left[axis] for axis in axes_of(op))}
    return type(op)(inner.x, sorted(axes), keep_dims=op.keep_dims is not None).out


@law
def reshape_of_reduce(op: ReshapeOp) -> SSAValue | None:
    """reshape(reduce(x)) that puts the reduced dimensions back as 1, or drops them -> reduce(x) that does"""
    inner = op.x.owner
    if not isinstance(inner, ReduceOp) or not op.x.has_one_use() or not has_known_sizes(inner.x):
        return None
    keeps = inner.keep_dims is None
    if reduced_shape(shape_of(inner.x), axes_of(inner), keeps) != shape_of(op.out):
        return None
    return type(inner)(inner.x, axes_of(inner), keep_dims=keeps).out


@law(holds=Holds.ON_REALS)
def reduce_of_transpose(op: ReduceOp) -> SSAValue | None:
    """reduce(transpose(x)) -> reduce(x) over the same dimensions, where those that stay stay in order"""
    inner = op.x.owner
    if not isinstance(inner, TransposeOp) or op.keep_dims is not None:
        return None
    order = list(inner.permutation.get_values())
    axes = axes_of(op)
    rest = [each for i, each in enumerate(order) if i not in axes]
    return type(op)(inner.x, sorted(order[axis] for axis in axes)).out if rest == sorted(rest) else None


@law
def extreme_of_extreme(op: ReduceMaxOp | ReduceMinOp) -> SSAValue | None:
    """max(reshape(x)) of everything -> max(x) of everything; min likewise"""
    inner = op.x.owner
    if not isinstance(inner, ReshapeOp) or len(axes_of(op)) != rank_of(op.x) or rank_of(op.out):
        return None
    return type(op)(inner.x, range(rank_of(inner.x))).out


REDUCTION = (reduce_of_ones, reduce_of_reduce, reshape_of_reduce, reduce_of_transpose, extreme_of_extreme)
