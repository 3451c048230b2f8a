"""Ops of `ml` that fold, scan or order elements along dimensions.

A sum or product of integers wraps around; of f16 and bf16 it is accumulated in f32 and rounded once. The
order of a floating-point reduction is not fixed.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects.builtin import UnitAttr, i1, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from xmlc.dialects.dtypes import FLOATS, INTEGERS
from xmlc.dialects.ml.attributes import Integer, Integers, flag, integer, integers
from xmlc.dialects.ml.types import (
    DYNAMIC,
    Tensor,
    TensorLike,
    element_of,
    expect_elements,
    expect_type,
    normalize_axes,
    normalize_axis,
    rank_of,
    shape_of,
    tensor,
)

NUMBERS = FLOATS + INTEGERS


def reduced_shape(shape: Sequence[int], axes: Sequence[int], keep_dims: bool) -> tuple[int, ...]:
    """`shape` without the dimensions `axes`, or with size 1 there."""
    axes = normalize_axes(axes, len(shape))
    return tuple(1 if i in axes else size for i, size in enumerate(shape) if keep_dims or i not in axes)


class ReduceOp(IRDLOperation, ABC):
    """out[j] = the fold of x over the dimensions `axes`; an empty fold gives the neutral element."""

    ACCEPTS: ClassVar[tuple[Attribute, ...]] = NUMBERS
    x = operand_def(Tensor)
    axes = prop_def(Integers)
    keep_dims = opt_prop_def(UnitAttr)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = "$x `axes` `=` $axes (`keep_dims` $keep_dims^)? attr-dict `:` type($x) `->` type($out)"

    def __init__(self, x: SSAValue, axes: Sequence[int] | None = None, keep_dims: bool = False):
        """Reduces every dimension when no axes are given."""
        axes = normalize_axes(range(rank_of(x)) if axes is None else axes, rank_of(x))
        super().__init__(
            operands=(x,),
            result_types=(self.result_type(x.type, axes, keep_dims),),
            properties={"axes": integers(axes), "keep_dims": flag(keep_dims)},
        )

    @classmethod
    def result_type(cls, x: Attribute, axes: Sequence[int], keep_dims: bool) -> TensorLike:
        return tensor(reduced_shape(shape_of(x), axes, keep_dims), expect_elements(cls.ACCEPTS, x))

    def verify_(self) -> None:
        expect_type(
            self.out.type,
            self.result_type(self.x.type, self.axes.get_values(), self.keep_dims is not None),
        )


@irdl_op_definition
class ReduceSumOp(ReduceOp):
    """The sum over `axes`; 0 of nothing."""

    name = "ml.reduce_sum"


@irdl_op_definition
class ReduceProdOp(ReduceOp):
    """The product over `axes`; 1 of nothing."""

    name = "ml.reduce_prod"


@irdl_op_definition
class ReduceMaxOp(ReduceOp):
    """The largest over `axes`; NaN if any is; of nothing -inf or the smallest integer."""

    name = "ml.reduce_max"


@irdl_op_definition
class ReduceMinOp(ReduceOp):
    """The smallest over `axes`; NaN if any is; of nothing inf or the largest integer."""

    name = "ml.reduce_min"


@irdl_op_definition
class ReduceMeanOp(ReduceOp):
    """The sum over `axes` divided by their number; of nothing NaN or 0. Integers are summed in 64 bits, and the
    quotient rounds towards zero.
    """

    name = "ml.reduce_mean"


@irdl_op_definition
class ReduceAnyOp(ReduceOp):
    """True where one is true over `axes`; false of nothing."""

    name = "ml.reduce_any"
    ACCEPTS: ClassVar = (i1,)


@irdl_op_definition
class ReduceAllOp(ReduceOp):
    """True where all are true over `axes`; true of nothing."""

    name = "ml.reduce_all"
    ACCEPTS: ClassVar = (i1,)


class ArgReduceOp(IRDLOperation, ABC):
    """out[j] = the index (i64) along `axis` of an extreme element, the first of equals; a NaN counts as it."""

    ACCEPTS: ClassVar[tuple[Attribute, ...]] = NUMBERS
    x = operand_def(Tensor)
    axis = prop_def(Integer)
    keep_dims = opt_prop_def(UnitAttr)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = "$x `axis` `=` $axis (`keep_dims` $keep_dims^)? attr-dict `:` type($x) `->` type($out)"

    def __init__(self, x: SSAValue, axis: int, keep_dims: bool = False):
        super().__init__(
            operands=(x,),
            result_types=(self.result_type(x.type, axis, keep_dims),),
            properties={"axis": integer(normalize_axis(axis, rank_of(x))), "keep_dims": flag(keep_dims)},
        )

    @classmethod
    def result_type(cls, x: Attribute, axis: int, keep_dims: bool) -> TensorLike:
        expect_elements(cls.ACCEPTS, x)
        if shape_of(x)[normalize_axis(axis, rank_of(x))] == 0:
            raise VerifyException(f"dimension {axis} of {x} is empty and has no extreme element")
        return tensor(reduced_shape(shape_of(x), (axis,), keep_dims), i64)

    def verify_(self) -> None:
        expect_type(self.out.type, self.result_type(self.x.type, self.axis.value.data, self.keep_dims is not None))


@irdl_op_definition
class ArgMaxOp(ArgReduceOp):
    """The index of the largest element along `axis`"""

    name = "ml.argmax"


@irdl_op_definition
class ArgMinOp(ArgReduceOp):
    """The index of the smallest element along `axis`"""

    name = "ml.argmin"


class CumulativeOp(IRDLOperation, ABC):
    """out[i] = the fold of x[0..i] along `axis`; x[0..i-1] when exclusive; from the end when reverse."""

    ACCEPTS: ClassVar[tuple[Attribute, ...]] = NUMBERS
    x = operand_def(Tensor)
    axis = prop_def(Integer)
    exclusive = opt_prop_def(UnitAttr)
    reverse = opt_prop_def(UnitAttr)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = (
        "$x `axis` `=` $axis (`exclusive` $exclusive^)? (`reverse` $reverse^)? attr-dict `:` type($x) `->` type($out)"
    )

    def __init__(self, x: SSAValue, axis: int, exclusive: bool = False, reverse: bool = False):
        super().__init__(
            operands=(x,),
            result_types=(x.type,),
            properties={
                "axis": integer(normalize_axis(axis, rank_of(x))),
                "exclusive": flag(exclusive),
                "reverse": flag(reverse),
            },
        )

    def verify_(self) -> None:
        normalize_axis(self.axis.value.data, rank_of(self.x))
        expect_type(self.out.type, tensor(shape_of(self.x), expect_elements(self.ACCEPTS, self.x.type)))


@irdl_op_definition
class CumulativeSumOp(CumulativeOp):
    """Running sums along `axis`"""

    name = "ml.cumulative_sum"


@irdl_op_definition
class CumulativeProdOp(CumulativeOp):
    """Running products along `axis`"""

    name = "ml.cumulative_prod"


@irdl_op_definition
class CumulativeMaxOp(CumulativeOp):
    """Running maxima along `axis`; exclusive starts from -inf or the smallest integer."""

    name = "ml.cumulative_max"


@irdl_op_definition
class SortOp(IRDLOperation):
    """x in ascending order along `axis`, and where each element came from (i64).

    Stable; NaN counts as the largest. `descending` orders the other way, still stable.
    """

    name = "ml.sort"
    ACCEPTS: ClassVar[tuple[Attribute, ...]] = NUMBERS
    x = operand_def(Tensor)
    axis = prop_def(Integer)
    descending = opt_prop_def(UnitAttr)
    values = result_def(Tensor)
    indices = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = (
        "$x `axis` `=` $axis (`descending` $descending^)? attr-dict `:` type($x) `->` type($values) `,` type($indices)"
    )

    def __init__(self, x: SSAValue, axis: int = -1, descending: bool = False):
        super().__init__(
            operands=(x,),
            result_types=(x.type, tensor(shape_of(x), i64)),
            properties={
                "axis": integer(normalize_axis(axis, rank_of(x))),
                "descending": flag(descending),
            },
        )

    def verify_(self) -> None:
        normalize_axis(self.axis.value.data, rank_of(self.x))
        expect_type(self.values.type, tensor(shape_of(self.x), expect_elements(self.ACCEPTS, self.x.type)))
        expect_type(self.indices.type, tensor(shape_of(self.x), i64))


def topk_shape(x: Attribute, k: int, axis: int) -> tuple[int, ...]:
    shape = list(shape_of(x))
    axis = normalize_axis(axis, len(shape))
    if k < 0 or (shape[axis] != DYNAMIC and k > shape[axis]):
        raise VerifyException(f"cannot take {k} of the {shape[axis]} elements of dimension {axis}")
    shape[axis] = k
    return tuple(shape)


@irdl_op_definition
class TopKOp(IRDLOperation):
    """The first k of `ml.sort` along `axis`: the largest in descending order, or the smallest ascending."""

    name = "ml.topk"
    ACCEPTS: ClassVar[tuple[Attribute, ...]] = NUMBERS
    x = operand_def(Tensor)
    k = prop_def(Integer)
    axis = prop_def(Integer)
    smallest = opt_prop_def(UnitAttr)
    values = result_def(Tensor)
    indices = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = (
        "$x `k` `=` $k `axis` `=` $axis (`smallest` $smallest^)? attr-dict `:` type($x) "
        "`->` type($values) `,` type($indices)"
    )

    def __init__(self, x: SSAValue, k: int, axis: int = -1, smallest: bool = False):
        shape = topk_shape(x.type, k, axis)
        super().__init__(
            operands=(x,),
            result_types=(tensor(shape, element_of(x)), tensor(shape, i64)),
            properties={
                "k": integer(k),
                "axis": integer(normalize_axis(axis, rank_of(x))),
                "smallest": flag(smallest),
            },
        )

    def verify_(self) -> None:
        shape = topk_shape(self.x.type, self.k.value.data, self.axis.value.data)
        expect_type(self.values.type, tensor(shape, expect_elements(self.ACCEPTS, self.x.type)))
        expect_type(self.indices.type, tensor(shape, i64))


REDUCTION = (
    ReduceSumOp, ReduceProdOp, ReduceMaxOp, ReduceMinOp, ReduceMeanOp, ReduceAnyOp, ReduceAllOp, ArgMaxOp,
    ArgMinOp, CumulativeSumOp, CumulativeProdOp, CumulativeMaxOp, SortOp, TopKOp,
)  # fmt: skip
