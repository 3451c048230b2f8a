"""Ops of `ml` made of several others and kept whole, so that patterns and schedules see them: softmax,
normalisations, attention.

Each has a decomposition into the primitive ops (`xmlc.passes.decompose`). f16 and bf16 are computed in f32 and
rounded once, at the end.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects.builtin import UnitAttr, i1
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from xmlc.dialects.dtypes import FLOATS
from xmlc.dialects.ml.attributes import Float, Integer, flag, integer, real
from xmlc.dialects.ml.types import (
    DYNAMIC,
    Tensor,
    TensorLike,
    broadcast_shapes,
    element_of,
    expect_elements,
    expect_rank,
    expect_type,
    merge_sizes,
    normalize_axis,
    rank_of,
    shape_of,
    shape_text,
    tensor,
)

EPSILON = 1e-5


def expect_broadcast(value: Attribute, shape: Sequence[int], what: str) -> None:
    """Check that a tensor broadcasts to `shape` without stretching it."""
    if DYNAMIC not in shape and broadcast_shapes(shape, shape_of(value)) != tuple(shape):
        raise VerifyException(f"{what} {shape_text(shape_of(value))} does not broadcast to {shape_text(shape)}")


def expect_epsilon(epsilon: float) -> None:
    if not epsilon >= 0:
        raise VerifyException(f"epsilon must not be negative, found {epsilon}")


# --- softmax


def softmax_type(x: Attribute, axis: int) -> TensorLike:
    normalize_axis(axis, rank_of(x))
    return tensor(shape_of(x), expect_elements(FLOATS, x))


class AxisOp(IRDLOperation, ABC):
    """One normalised line along `axis` for each line of x."""

    ACCEPTS: ClassVar[tuple[Attribute, ...]] = FLOATS
    x = operand_def(Tensor)
    axis = prop_def(Integer)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = "$x `axis` `=` $axis attr-dict `:` type($x) `->` type($out)"

    def __init__(self, x: SSAValue, axis: int = -1):
        super().__init__(
            operands=(x,),
            result_types=(softmax_type(x.type, axis),),
            properties={"axis": integer(normalize_axis(axis, rank_of(x)))},
        )

    def verify_(self) -> None:
        expect_type(self.out.type, softmax_type(self.x.type, self.axis.value.data))


@irdl_op_definition
class SoftmaxOp(AxisOp):
    """e^(x - m) / sum of e^(x - m) along `axis`, m the largest element there; NaN where all are -inf."""

    name = "ml.softmax"


@irdl_op_definition
class LogSoftmaxOp(AxisOp):
    """x - m - log(sum of e^(x - m)) along `axis`, m the largest element there; NaN where all are -inf."""

    name = "ml.log_softmax"


# --- normalisation over trailing dimensions


def trailing_norm_type(x: Attribute, scale: Attribute, bias: Attribute | None, axis: int, epsilon: float) -> TensorLike:
    """x's type; scale and bias broadcast to x's dimensions from `axis` on."""
    element = expect_elements(FLOATS, x, scale, *([bias] if bias else []))
    expect_epsilon(epsilon)
    normalized = shape_of(x)[normalize_axis(axis, rank_of(x)) :]
    expect_broadcast(scale, normalized, "scale")
    if bias is not None:
        expect_broadcast(bias, normalized, "bias")
    return tensor(shape_of(x), element)


@irdl_op_definition
class LayerNormOp(IRDLOperation):
    """(x - mean) / sqrt(variance + epsilon) * scale + bias, over the dimensions from `axis` to the last.

    The variance is that of the population (Ba et al. 2016, arXiv:1607.06450; ONNX LayerNormalization).
    """

    name = "ml.layer_norm"
    ACCEPTS: ClassVar[tuple[Attribute, ...]] = FLOATS
    x = operand_def(Tensor)
    scale = operand_def(Tensor)
    bias = opt_operand_def(Tensor)
    axis = prop_def(Integer)
    epsilon = prop_def(Float)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = (
        "$x `,` $scale (`bias` $bias^ `:` type($bias))? `axis` `=` $axis `epsilon` `=` $epsilon "
        "attr-dict `:` type($x) `,` type($scale) `->` type($out)"
    )

    def __init__(
        self,
        x: SSAValue,
        scale: SSAValue,
        bias: SSAValue | None = None,
        axis: int = -1,
        epsilon: float = EPSILON,
    ):
        super().__init__(
            operands=(x, scale, bias),
            result_types=(trailing_norm_type(x.type, scale.type, bias.type if bias else None, axis, epsilon),),
            properties={"axis": integer(normalize_axis(axis, rank_of(x))), "epsilon": real(epsilon)},
        )

    def verify_(self) -> None:
        bias = self.bias.type if self.bias else None
        axis, epsilon = self.axis.value.data, self.epsilon.value.data
        expect_type(self.out.type, trailing_norm_type(self.x.type, self.scale.type, bias, axis, epsilon))


@irdl_op_definition
class RmsNormOp(IRDLOperation):
    """x / sqrt(mean of x^2 + epsilon) * scale, over the dimensions from `axis` to the last.

    Zhang & Sennrich 2019, arXiv:1910.07467; ONNX RMSNormalization.
    """

    name = "ml.rms_norm"
    ACCEPTS: ClassVar[tuple[Attribute, ...]] = FLOATS
    x = operand_def(Tensor)
    scale = operand_def(Tensor)
    axis = prop_def(Integer)
    epsilon = prop_def(Float)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = (
        "$x `,` $scale `axis` `=` $axis `epsilon` `=` $epsilon attr-dict `:` type($x) `,` type($scale) `->` type($out)"
    )

    def __init__(self, x: SSAValue, scale: SSAValue, axis: int = -1, epsilon: float = EPSILON):
        super().__init__(
            operands=(x, scale),
            result_types=(trailing_norm_type(x.type, scale.type, None, axis, epsilon),),
            properties={"axis": integer(normalize_axis(axis, rank_of(x))), "epsilon": real(epsilon)},
        )

    def verify_(self) -> None:
        axis, epsilon = self.axis.value.data, self.epsilon.value.data
        expect_type(self.out.type, trailing_norm_type(self.x.type, self.scale.type, None, axis, epsilon))


# --- normalisation by channel, which is dimension 1


def channel_norm_type(x: Attribute, parameters: dict[str, Attribute], epsilon: float) -> TensorLike:
    """(n, c, *s) -> (n, c, *s); each parameter has one value for each of the c channels."""
    element = expect_elements(FLOATS, x, *parameters.values())
    expect_epsilon(epsilon)
    if rank_of(x) < 2:
        raise VerifyException(f"expected a batch, a channel and other dimensions, found {x}")
    for what, parameter in parameters.items():
        expect_rank(parameter, 1, f"the {what}")
        merge_sizes(shape_of(parameter)[0], shape_of(x)[1], f"the size of the {what} and the number of channels")
    return tensor(shape_of(x), element)


@irdl_op_definition
class BatchNormOp(IRDLOperation):
    """(x - mean[c]) / sqrt(variance[c] + epsilon) * scale[c] + bias[c], c the index in dimension 1.

    The form used for inference: mean and variance are operands (Ioffe & Szegedy 2015, arXiv:1502.03167).
    """

    name = "ml.batch_norm"
    ACCEPTS: ClassVar[tuple[Attribute, ...]] = FLOATS
    x = operand_def(Tensor)
    scale = operand_def(Tensor)
    bias = operand_def(Tensor)
    mean = operand_def(Tensor)
    variance = operand_def(Tensor)
    epsilon = prop_def(Float)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = (
        "$x `scale` $scale `bias` $bias `mean` $mean `variance` $variance `epsilon` `=` $epsilon attr-dict `:` "
        "type($x) `,` type($scale) `,` type($bias) `,` type($mean) `,` type($variance) `->` type($out)"
    )

    def __init__(
        self,
        x: SSAValue,
        scale: SSAValue,
        bias: SSAValue,
        mean: SSAValue,
        variance: SSAValue,
        epsilon: float = EPSILON,
    ):
        parameters = {"scale": scale.type, "bias": bias.type, "mean": mean.type, "variance": variance.type}
        super().__init__(
            operands=(x, scale, bias, mean, variance),
            result_types=(channel_norm_type(x.type, parameters, epsilon),),
            properties={"epsilon": real(epsilon)},
        )

    def verify_(self) -> None:
        parameters: dict[str, Attribute] = {
            "scale": self.scale.type,
            "bias": self.bias.type,
            "mean": self.mean.type,
            "variance": self.variance.type,
        }
        expect_type(self.out.type, channel_norm_type(self.x.type, parameters, self.epsilon.value.data))


def group_norm_type(x: Attribute, scale: Attribute, bias: Attribute, groups: int, epsilon: float) -> TensorLike:
    result = channel_norm_type(x, {"scale": scale, "bias": bias}, epsilon)
    channels = shape_of(x)[1]
    if groups < 1 or (channels != DYNAMIC and channels % groups):
        raise VerifyException(f"{channels} channels cannot be divided into {groups} groups")
    return result


@irdl_op_definition
class GroupNormOp(IRDLOperation):
    """(x - mean) / sqrt(variance + epsilon) * scale[c] + bias[c], both over one group of channels of one sample.

    Wu & He 2018, arXiv:1803.08494; ONNX GroupNormalization of opset 21.
    """

    name = "ml.group_norm"
    ACCEPTS: ClassVar[tuple[Attribute, ...]] = FLOATS
    x = operand_def(Tensor)
    scale = operand_def(Tensor)
    bias = operand_def(Tensor)
    groups = prop_def(Integer)
    epsilon = prop_def(Float)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = (
        "$x `scale` $scale `bias` $bias `groups` `=` $groups `epsilon` `=` $epsilon attr-dict `:` "
        "type($x) `,` type($scale) `,` type($bias) `->` type($out)"
    )

    def __init__(self, x: SSAValue, scale: SSAValue, bias: SSAValue, groups: int, epsilon: float = EPSILON):
        super().__init__(
            operands=(x, scale, bias),
            result_types=(group_norm_type(x.type, scale.type, bias.type, groups, epsilon),),
            properties={"groups": integer(groups), "epsilon": real(epsilon)},
        )

    def verify_(self) -> None:
        groups, epsilon = self.groups.value.data, self.epsilon.value.data
        expect_type(self.out.type, group_norm_type(self.x.type, self.scale.type, self.bias.type, groups, epsilon))


@irdl_op_definition
class InstanceNormOp(IRDLOperation):
    """(x - mean) / sqrt(variance + epsilon) * scale[c] + bias[c], both over one channel of one sample.

    Ulyanov et al. 2016, arXiv:1607.08022; ONNX InstanceNormalization.
    """

    name = "ml.instance_norm"
    ACCEPTS: ClassVar[tuple[Attribute, ...]] = FLOATS
    x = operand_def(Tensor)
    scale = operand_def(Tensor)
    bias = operand_def(Tensor)
    epsilon = prop_def(Float)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = (
        "$x `scale` $scale `bias` $bias `epsilon` `=` $epsilon attr-dict `:` "
        "type($x) `,` type($scale) `,` type($bias) `->` type($out)"
    )

    def __init__(self, x: SSAValue, scale: SSAValue, bias: SSAValue, epsilon: float = EPSILON):
        super().__init__(
            operands=(x, scale, bias),
            result_types=(channel_norm_type(x.type, {"scale": scale.type, "bias": bias.type}, epsilon),),
            properties={"epsilon": real(epsilon)},
        )

    def verify_(self) -> None:
        parameters: dict[str, Attribute] = {"scale": self.scale.type, "bias": self.bias.type}
        expect_type(self.out.type, channel_norm_type(self.x.type, parameters, self.epsilon.value.data))


# --- attention


def attention_type(query: Attribute, key: Attribute, value: Attribute, mask: Attribute | None) -> TensorLike:
    """(b, h, m, d), (b, g, n, d), (b, g, n, e) -> (b, h, m, e), h a multiple of g"""
    element = expect_elements(FLOATS, query, key, value)
    for what, each in (("the query", query), ("the key", key), ("the value", value)):
        expect_rank(each, 4, what)
    batch, heads, rows, depth = shape_of(query)
    key_batch, groups, columns, key_depth = shape_of(key)
    value_batch, value_groups, value_columns, width = shape_of(value)
    batch = merge_sizes(merge_sizes(batch, key_batch, "batch sizes"), value_batch, "batch sizes")
    merge_sizes(depth, key_depth, "the depths of query and key")
    columns = merge_sizes(columns, value_columns, "the lengths of key and value")
    groups = merge_sizes(groups, value_groups, "the numbers of heads of key and value")
    if DYNAMIC not in (heads, groups) and (groups == 0 or heads % groups):
        raise VerifyException(f"{heads} heads of the query are not a multiple of {groups} heads of the key")
    if mask is not None:
        if element_of(mask) != i1:
            expect_elements((element,), mask)
        expect_broadcast(mask, (batch, heads, rows, columns), "mask")
    return tensor((batch, heads, rows, width), element)


@irdl_op_definition
class AttentionOp(IRDLOperation):
    """softmax(scale * query @ key^T + mask) @ value, for each batch and head (Vaswani et al. 2017, arXiv:1706.03762).

    query (b, h, m, d), key (b, g, n, d), value (b, g, n, e) -> (b, h, m, e). Where g < h, head i uses key and
    value i // (h / g) (grouped queries, arXiv:2305.13245). A mask broadcasts to (b, h, m, n): i1 keeps where
    true, a float is added. `causal` lets row i see the columns j <= i + offset only. A row that sees no
    column, all of its scores being -inf, is 0 (ONNX Attention of opset 25). The scale is 1 / sqrt(d) by default.
    """

    name = "ml.attention"
    ACCEPTS: ClassVar[tuple[Attribute, ...]] = FLOATS
    query = operand_def(Tensor)
    key = operand_def(Tensor)
    value = operand_def(Tensor)
    mask = opt_operand_def(Tensor)
    scale = opt_prop_def(Float)
    causal = opt_prop_def(UnitAttr)
    offset = opt_prop_def(Integer)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = (
        "$query `,` $key `,` $value (`mask` $mask^ `:` type($mask))? (`scale` `=` $scale^)? (`causal` $causal^)? "
        "(`offset` `=` $offset^)? attr-dict `:` type($query) `,` type($key) `,` type($value) `->` type($out)"
    )

    def __init__(
        self,
        query: SSAValue,
        key: SSAValue,
        value: SSAValue,
        mask: SSAValue | None = None,
        *,
        scale: float | None = None,
        causal: bool = False,
        offset: int = 0,
    ):
        super().__init__(
            operands=(query, key, value, mask),
            result_types=(attention_type(query.type, key.type, value.type, mask.type if mask else None),),
            properties={
                "scale": None if scale is None else real(scale),
                "causal": flag(causal),
                "offset": integer(offset) if offset else None,
            },
        )

    def verify_(self) -> None:
        if self.offset is not None and self.causal is None:
            raise VerifyException("an offset goes with causal attention")
        mask = self.mask.type if self.mask else None
        expect_type(self.out.type, attention_type(self.query.type, self.key.type, self.value.type, mask))

    def factor(self) -> float:
        """What the scores are multiplied by."""
        return shape_of(self.query)[3] ** -0.5 if self.scale is None else self.scale.value.data


COMPOSITE = (
    SoftmaxOp, LogSoftmaxOp, LayerNormOp, RmsNormOp, BatchNormOp, GroupNormOp, InstanceNormOp, AttentionOp,
)  # fmt: skip
