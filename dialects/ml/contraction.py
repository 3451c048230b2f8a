"""Ops of `ml` that multiply and sum, or slide a window: products of matrices, convolutions, pooling, resizing.

Images are laid out batch, channel, then 1 to 3 spatial dimensions. Sums of f16 and bf16 are accumulated in
f32 and rounded once; integer sums wrap around.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects.builtin import DenseArrayBase, StringAttr, UnitAttr, f64
from xdsl.dialects.utils import EnumAttribute
from xdsl.ir import Attribute, SpacedOpaqueSyntaxAttribute, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.str_enum import StrEnum

from xmlc.dialects.dtypes import FLOATS, INTEGERS
from xmlc.dialects.ml.attributes import Integer, Integers, flag, integer, integers
from xmlc.dialects.ml.types import (
    DYNAMIC,
    Tensor,
    TensorLike,
    broadcast_shapes,
    element_of,
    expect_elements,
    expect_type,
    merge_sizes,
    rank_of,
    shape_of,
    shape_text,
    tensor,
)
from xmlc.dialects.sizes import same_size

NUMBERS = FLOATS + INTEGERS


def matmul_type(lhs: Attribute, rhs: Attribute, bias: Attribute | None = None) -> TensorLike:
    """(*b, m, k) @ (*b, k, n) -> (*b, m, n), the b broadcast; a bias must broadcast to the result."""
    element = expect_elements(NUMBERS, lhs, rhs, *([bias] if bias else []))
    left, right = shape_of(lhs), shape_of(rhs)
    if len(left) < 2 or len(right) < 2:
        raise VerifyException(f"cannot multiply {lhs} by {rhs}: both must have rank 2 or more")
    if DYNAMIC not in (left[-1], right[-2]) and not same_size(left[-1], right[-2]):
        raise VerifyException(
            f"cannot multiply {lhs} by {rhs}: the inner sizes, {left[-1]} and {right[-2]}, must be equal"
        )
    shape = (*broadcast_shapes(left[:-2], right[:-2]), left[-2], right[-1])
    if bias is not None and DYNAMIC not in shape and broadcast_shapes(shape, shape_of(bias)) != shape:
        raise VerifyException(f"bias {shape_text(shape_of(bias))} does not broadcast to {shape_text(shape)}")
    return tensor(shape, element)


@irdl_op_definition
class MatmulOp(IRDLOperation):
    """out[b, i, j] = sum over k of lhs[b, i, k] * rhs[b, k, j], plus the bias; batch dimensions broadcast."""

    name = "ml.matmul"
    ACCEPTS: ClassVar[tuple[Attribute, ...]] = NUMBERS
    lhs = operand_def(Tensor)
    rhs = operand_def(Tensor)
    bias = opt_operand_def(Tensor)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = (
        "$lhs `,` $rhs (`bias` $bias^ `:` type($bias))? attr-dict `:` type($lhs) `,` type($rhs) `->` type($out)"
    )

    def __init__(self, lhs: SSAValue, rhs: SSAValue, bias: SSAValue | None = None):
        super().__init__(
            operands=(lhs, rhs, bias),
            result_types=(matmul_type(lhs.type, rhs.type, bias.type if bias else None),),
        )

    def verify_(self) -> None:
        bias = self.bias.type if self.bias else None
        expect_type(self.out.type, matmul_type(self.lhs.type, self.rhs.type, bias))


def parse_equation(equation: str) -> tuple[tuple[str, ...], str]:
    """`ij,jk->ik` as the operands' indices and the result's."""
    operands, arrow, result = equation.replace(" ", "").partition("->")
    letters = operands.replace(",", "")
    if not arrow or (not (letters + result).isalpha() and letters + result):
        raise VerifyException(f"equation {equation!r} must name indices by letters, as in 'ij,jk->ik'")
    if len(set(result)) != len(result) or not set(result) <= set(letters):
        raise VerifyException(f"the result of equation {equation!r} must name each of its indices once")
    return tuple(operands.split(",")), result


def einsum_type(inputs: Sequence[Attribute], equation: str) -> TensorLike:
    terms, result = parse_equation(equation)
    if len(terms) != len(inputs):
        raise VerifyException(f"equation {equation!r} has {len(terms)} operands, found {len(inputs)}")
    sizes: dict[str, int] = {}
    for term, each in zip(terms, inputs):
        if len(term) != rank_of(each):
            raise VerifyException(f"indices {term!r} of equation {equation!r} do not fit {each}")
        for letter, size in zip(term, shape_of(each)):
            sizes[letter] = merge_sizes(sizes.get(letter, size), size, f"sizes of index {letter}")
    return tensor([sizes[letter] for letter in result], expect_elements(NUMBERS, *inputs))


@irdl_op_definition
class EinsumOp(IRDLOperation):
    """The sum, over every index that the result lacks, of the product of the operands (Einstein notation)."""

    name = "ml.einsum"
    ACCEPTS: ClassVar[tuple[Attribute, ...]] = NUMBERS
    inputs = var_operand_def(Tensor)
    equation = prop_def(StringAttr)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = "$equation $inputs attr-dict `:` type($inputs) `->` type($out)"

    def __init__(self, inputs: Sequence[SSAValue], equation: str):
        super().__init__(
            operands=(inputs,),
            result_types=(einsum_type([each.type for each in inputs], equation),),
            properties={"equation": StringAttr(equation)},
        )

    def verify_(self) -> None:
        expect_type(self.out.type, einsum_type([each.type for each in self.inputs], self.equation.data))


def window_size(size: int, window: int, stride: int, dilation: int, low: int, high: int) -> int:
    """How often a window fits into a padded dimension."""
    if size == DYNAMIC:
        return DYNAMIC
    return max((size + low + high - (window - 1) * dilation - 1) // stride + 1, 0)


def expect_window(x: Attribute, *lists: Sequence[int]) -> int:
    """The number of spatial dimensions of x, which every list must have as its length."""
    spatial = rank_of(x) - 2
    if not 1 <= spatial <= 3:
        raise VerifyException(f"expected a batch, a channel and 1 to 3 spatial dimensions, found {x}")
    for values in lists:
        if len(values) != spatial:
            raise VerifyException(f"expected one value for each of the {spatial} spatial dimensions of {x}")
    return spatial


def expect_positive(what: str, values: Sequence[int]) -> None:
    if any(value < 1 for value in values):
        raise VerifyException(f"{what} must be at least 1, found {list(values)}")


def expect_bias(bias: Attribute | None, outputs: int) -> None:
    if bias is None:
        return
    if rank_of(bias) != 1 or (DYNAMIC not in (*shape_of(bias), outputs) and shape_of(bias)[0] != outputs):
        raise VerifyException(f"bias must have one value for each of {outputs} output channels, found {bias}")


class WindowedOp(IRDLOperation, ABC):
    """What convolutions and pooling share: strides, dilations, and padding before and after each dimension."""

    strides = prop_def(Integers)
    dilations = prop_def(Integers)
    low = prop_def(Integers)
    high = prop_def(Integers)
    out = result_def(Tensor)
    traits = traits_def(Pure())

    def window_lists(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """Strides, dilations, low and high padding, one value a spatial dimension."""
        return (
            tuple(self.strides.get_values()),
            tuple(self.dilations.get_values()),
            tuple(self.low.get_values()),
            tuple(self.high.get_values()),
        )


WINDOW_FORMAT = "`strides` `=` $strides `dilations` `=` $dilations `low` `=` $low `high` `=` $high "


class ConvolutionOp(WindowedOp, ABC):
    """A product with a weight that slides over the spatial dimensions, plus a bias for each output channel."""

    ACCEPTS: ClassVar[tuple[Attribute, ...]] = NUMBERS
    x = operand_def(Tensor)
    weight = operand_def(Tensor)
    bias = opt_operand_def(Tensor)
    groups = prop_def(Integer)
    assembly_format = (
        "$x `,` $weight (`bias` $bias^ `:` type($bias))? "
        + WINDOW_FORMAT
        + "`groups` `=` $groups attr-dict `:` type($x) `,` type($weight) `->` type($out)"
    )

    @classmethod
    @abstractmethod
    def result_type(
        cls,
        x: Attribute,
        weight: Attribute,
        bias: Attribute | None,
        strides: Sequence[int],
        dilations: Sequence[int],
        low: Sequence[int],
        high: Sequence[int],
        groups: int,
    ) -> TensorLike:
        """The type of the result. Raises VerifyException where the operands do not fit."""

    def __init__(
        self,
        x: SSAValue,
        weight: SSAValue,
        bias: SSAValue | None = None,
        *,
        strides: Sequence[int] | None = None,
        dilations: Sequence[int] | None = None,
        low: Sequence[int] | None = None,
        high: Sequence[int] | None = None,
        groups: int = 1,
    ):
        """Strides and dilations default to 1, padding to 0."""
        spatial = max(rank_of(x) - 2, 0)
        strides, dilations = strides or (1,) * spatial, dilations or (1,) * spatial
        low, high = low or (0,) * spatial, high or (0,) * spatial
        types = x.type, weight.type, bias.type if bias else None
        super().__init__(
            operands=(x, weight, bias),
            result_types=(self.result_type(*types, strides, dilations, low, high, groups),),
            properties={
                "strides": integers(strides),
                "dilations": integers(dilations),
                "low": integers(low),
                "high": integers(high),
                "groups": integer(groups),
            },
        )

    def verify_(self) -> None:
        types = self.x.type, self.weight.type, self.bias.type if self.bias else None
        expect_type(self.out.type, self.result_type(*types, *self.window_lists(), self.groups.value.data))


@irdl_op_definition
class ConvOp(ConvolutionOp):
    """out[n, o, p] = bias[o] + sum over c, k of x[n, g(o) + c, p * strides + k * dilations - low] * weight[o, c, k].

    g(o) is the first input channel of o's group; x is 0 outside (ONNX Conv).
    """

    name = "ml.conv"

    @classmethod
    def result_type(
        cls,
        x: Attribute,
        weight: Attribute,
        bias: Attribute | None,
        strides: Sequence[int],
        dilations: Sequence[int],
        low: Sequence[int],
        high: Sequence[int],
        groups: int,
    ) -> TensorLike:
        """(n, c, *s), (o, c / groups, *k), (o) -> (n, o, *windows)"""
        expect_window(x, strides, dilations, low, high)
        expect_positive("strides", strides)
        expect_positive("dilations", dilations)
        element = expect_elements(NUMBERS, x, weight, *([bias] if bias else []))
        batch, channels, *sizes = shape_of(x)
        if rank_of(weight) != rank_of(x):
            raise VerifyException(f"weight must have rank {rank_of(x)} like the input, found {weight}")
        outputs, depth, *kernel = shape_of(weight)
        if groups < 1 or (outputs != DYNAMIC and outputs % groups):
            raise VerifyException(f"{outputs} output channels cannot be divided into {groups} groups")
        if DYNAMIC not in (channels, depth) and channels != depth * groups:
            raise VerifyException(
                f"input has {channels} channels, expected {depth * groups} for weight {weight} in {groups} groups"
            )
        expect_bias(bias, outputs)
        windows = map(window_size, sizes, kernel, strides, dilations, low, high)
        return tensor((batch, outputs, *windows), element)


@irdl_op_definition
class ConvTransposeOp(ConvolutionOp):
    """The transpose of `ml.conv` as a linear map: x[n, c, p] * weight[c, o, k] is added to
    out[n, o, p * strides + k * dilations - low].

    Padding crops the result; a negative `high` extends it (ONNX ConvTranspose, its output_padding).
    """

    name = "ml.conv_transpose"

    @classmethod
    def result_type(
        cls,
        x: Attribute,
        weight: Attribute,
        bias: Attribute | None,
        strides: Sequence[int],
        dilations: Sequence[int],
        low: Sequence[int],
        high: Sequence[int],
        groups: int,
    ) -> TensorLike:
        """(n, c, *s), (c, o / groups, *k), (o) -> (n, o, (s - 1) * strides + (k - 1) * dilations + 1 - low - high)"""
        expect_window(x, strides, dilations, low, high)
        expect_positive("strides", strides)
        expect_positive("dilations", dilations)
        element = expect_elements(NUMBERS, x, weight, *([bias] if bias else []))
        batch, channels, *sizes = shape_of(x)
        if rank_of(weight) != rank_of(x):
            raise VerifyException(f"weight must have rank {rank_of(x)} like the input, found {weight}")
        depth, outputs, *kernel = shape_of(weight)
        if (DYNAMIC not in (channels, depth) and channels != depth) or groups < 1 or depth % groups:
            raise VerifyException(f"weight {weight} in {groups} groups does not fit {channels} input channels")
        expect_bias(bias, outputs * groups)
        spatial = [
            DYNAMIC if s == DYNAMIC else max((s - 1) * stride + (k - 1) * d + 1 - lo - hi, 0)
            for s, k, stride, d, lo, hi in zip(sizes, kernel, strides, dilations, low, high)
        ]
        return tensor((batch, outputs * groups, *spatial), element)


def pool_type(
    x: Attribute,
    accepted: Sequence[Attribute],
    window: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
) -> TensorLike:
    expect_window(x, window, strides, dilations, low, high)
    for what, values in (("window", window), ("strides", strides), ("dilations", dilations)):
        expect_positive(what, values)
    batch, channels, *sizes = shape_of(x)
    windows = map(window_size, sizes, window, strides, dilations, low, high)
    return tensor((batch, channels, *windows), expect_elements(accepted, x))


class PoolOp(WindowedOp, ABC):
    """One value for each position of a window that slides over the spatial dimensions."""

    ACCEPTS: ClassVar[tuple[Attribute, ...]] = NUMBERS
    x = operand_def(Tensor)
    window = prop_def(Integers)

    def __init__(
        self,
        x: SSAValue,
        window: Sequence[int],
        *,
        strides: Sequence[int] | None = None,
        dilations: Sequence[int] | None = None,
        low: Sequence[int] | None = None,
        high: Sequence[int] | None = None,
        properties: dict[str, Attribute | None] | None = None,
    ):
        """Strides and dilations default to 1, padding to 0."""
        spatial = len(window)
        strides, dilations = strides or (1,) * spatial, dilations or (1,) * spatial
        low, high = low or (0,) * spatial, high or (0,) * spatial
        super().__init__(
            operands=(x,),
            result_types=(pool_type(x.type, self.ACCEPTS, window, strides, dilations, low, high),),
            properties={
                "window": integers(window),
                "strides": integers(strides),
                "dilations": integers(dilations),
                "low": integers(low),
                "high": integers(high),
                **(properties or {}),
            },
        )

    def verify_(self) -> None:
        inferred = pool_type(self.x.type, self.ACCEPTS, tuple(self.window.get_values()), *self.window_lists())
        expect_type(self.out.type, inferred)


@irdl_op_definition
class MaxPoolOp(PoolOp):
    """The largest element in each window, padding left out; NaN if any is (ONNX MaxPool)."""

    name = "ml.max_pool"
    assembly_format = "$x `window` `=` $window " + WINDOW_FORMAT + "attr-dict `:` type($x) `->` type($out)"


@irdl_op_definition
class AvgPoolOp(PoolOp):
    """The mean of each window: over the elements inside x, or over all when `include_pad` (ONNX AveragePool)."""

    name = "ml.avg_pool"
    ACCEPTS: ClassVar = FLOATS
    include_pad = opt_prop_def(UnitAttr)
    assembly_format = (
        "$x `window` `=` $window "
        + WINDOW_FORMAT
        + "(`include_pad` $include_pad^)? attr-dict `:` type($x) `->` type($out)"
    )

    def __init__(
        self,
        x: SSAValue,
        window: Sequence[int],
        *,
        strides: Sequence[int] | None = None,
        dilations: Sequence[int] | None = None,
        low: Sequence[int] | None = None,
        high: Sequence[int] | None = None,
        include_pad: bool = False,
    ):
        super().__init__(
            x,
            window,
            strides=strides,
            dilations=dilations,
            low=low,
            high=high,
            properties={"include_pad": flag(include_pad)},
        )


class Interpolation(StrEnum):
    NEAREST = "nearest"
    LINEAR = "linear"


class Coordinates(StrEnum):
    HALF_PIXEL = "half_pixel"
    HALF_PIXEL_SYMMETRIC = "half_pixel_symmetric"
    PYTORCH_HALF_PIXEL = "pytorch_half_pixel"
    ALIGN_CORNERS = "align_corners"
    ASYMMETRIC = "asymmetric"


class Rounding(StrEnum):
    ROUND_PREFER_FLOOR = "round_prefer_floor"
    ROUND_PREFER_CEIL = "round_prefer_ceil"
    FLOOR = "floor"
    CEIL = "ceil"


@irdl_attr_definition
class InterpolationAttr(EnumAttribute[Interpolation], SpacedOpaqueSyntaxAttribute):
    """How `ml.resize` makes a value between elements."""

    name = "ml.interpolation"


@irdl_attr_definition
class CoordinatesAttr(EnumAttribute[Coordinates], SpacedOpaqueSyntaxAttribute):
    """Where in the input an element of `ml.resize` lies, given its index i, the scale, and the lengths:

    half_pixel (i + 1/2) / scale - 1/2; pytorch_half_pixel the same, 0 for a result of length 1;
    half_pixel_symmetric the same, shifted so that both ends are cut alike; asymmetric i / scale;
    align_corners i * (input length - 1) / (result length - 1) (ONNX Resize).
    """

    name = "ml.coordinates"


@irdl_attr_definition
class RoundingAttr(EnumAttribute[Rounding], SpacedOpaqueSyntaxAttribute):
    """Which element is the nearest to a coordinate."""

    name = "ml.rounding"


@irdl_op_definition
class ResizeOp(IRDLOperation):
    """x sampled at evenly spaced coordinates in every dimension (ONNX Resize, modes nearest and linear).

    Interpolation is separable; coordinates outside x take its edge. `scales` has one factor a dimension,
    result length over input length unless the user gave another.
    """

    name = "ml.resize"
    ACCEPTS: ClassVar[tuple[Attribute, ...]] = NUMBERS
    x = operand_def(Tensor)
    interpolation = prop_def(InterpolationAttr)
    coordinates = prop_def(CoordinatesAttr)
    rounding = prop_def(RoundingAttr)
    scales = prop_def(DenseArrayBase.constr(f64))
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = (
        "$x $interpolation $coordinates $rounding `scales` `=` $scales attr-dict `:` type($x) `->` type($out)"
    )

    def __init__(
        self,
        x: SSAValue,
        shape: Sequence[int],
        interpolation: Interpolation | str = Interpolation.NEAREST,
        coordinates: Coordinates | str = Coordinates.HALF_PIXEL,
        rounding: Rounding | str = Rounding.ROUND_PREFER_FLOOR,
        scales: Sequence[float] | None = None,
    ):
        if scales is None:
            scales = [after / before if before else 1.0 for after, before in zip(shape, shape_of(x))]
        super().__init__(
            operands=(x,),
            result_types=(tensor(shape, element_of(x)),),
            properties={
                "interpolation": InterpolationAttr(Interpolation(interpolation)),
                "coordinates": CoordinatesAttr(Coordinates(coordinates)),
                "rounding": RoundingAttr(Rounding(rounding)),
                "scales": DenseArrayBase.from_list(f64, list(scales)),
            },
        )

    def verify_(self) -> None:
        accepted = FLOATS if self.interpolation.data is Interpolation.LINEAR else NUMBERS
        expect_elements(accepted, self.x.type, self.out.type)
        if not rank_of(self.x) == rank_of(self.out) == len(self.scales.get_values()):
            raise VerifyException(f"expected one scale and one size for each dimension of {self.x.type}")
        if any(scale <= 0 for scale in self.scales.get_values()):
            raise VerifyException(f"scales must be positive, found {list(self.scales.get_values())}")
        if 0 in shape_of(self.x) and 0 not in shape_of(self.out):
            raise VerifyException(f"cannot resize {self.x.type}, which is empty, to {self.out.type}")


CONTRACTION = (MatmulOp, EinsumOp, ConvOp, ConvTransposeOp, MaxPoolOp, AvgPoolOp, ResizeOp)
