"""The ops of `ml` as functions of values: `add(x, y)` makes the op and returns its result.

They build where xDSL's `ImplicitBuilder` points. Tensors broadcast as in NumPy, so a rank-0 constant made by
`scalar` goes with any shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, Protocol

import numpy as np
from numpy.typing import ArrayLike
from xdsl.builder import ImplicitBuilder
from xdsl.ir import Attribute, Block, Region, SSAValue

from xmlc.dialects.dtypes import TO_NUMPY
from xmlc.dialects.ml import (
    channels_last,
    composite,
    contraction,
    control,
    derivatives,
    elementwise,
    packed,
    random,
    recurrent,
    reduction,
    shaping,
    winograd,
)
from xmlc.dialects.ml.types import element_of

P = ParamSpec("P")


class OneResult(Protocol):
    @property
    def out(self) -> Any: ...


class SortedResult(Protocol):
    @property
    def values(self) -> Any: ...
    @property
    def indices(self) -> Any: ...


def function(op: Callable[P, OneResult]) -> Callable[P, SSAValue]:
    """The function that makes an op of one result."""

    def build(*args: P.args, **kwargs: P.kwargs) -> SSAValue:
        return op(*args, **kwargs).out

    build.__doc__ = op.__doc__
    return build


def sorted_function(op: Callable[P, SortedResult]) -> Callable[P, tuple[SSAValue, SSAValue]]:
    """The function that makes an op whose results are values and indices."""

    def build(*args: P.args, **kwargs: P.kwargs) -> tuple[SSAValue, SSAValue]:
        made = op(*args, **kwargs)
        return made.values, made.indices

    build.__doc__ = op.__doc__
    return build


# --- elementwise
neg = function(elementwise.NegOp)
abs_ = function(elementwise.AbsOp)
sign = function(elementwise.SignOp)
relu = function(elementwise.ReluOp)
not_ = function(elementwise.NotOp)
floor = function(elementwise.FloorOp)
ceil = function(elementwise.CeilOp)
round_ = function(elementwise.RoundOp)
exp = function(elementwise.ExpOp)
expm1 = function(elementwise.Expm1Op)
log = function(elementwise.LogOp)
log1p = function(elementwise.Log1pOp)
sqrt = function(elementwise.SqrtOp)
rsqrt = function(elementwise.RsqrtOp)
sin = function(elementwise.SinOp)
cos = function(elementwise.CosOp)
tan = function(elementwise.TanOp)
tanh = function(elementwise.TanhOp)
asin = function(elementwise.AsinOp)
acos = function(elementwise.AcosOp)
atan = function(elementwise.AtanOp)
sinh = function(elementwise.SinhOp)
cosh = function(elementwise.CoshOp)
asinh = function(elementwise.AsinhOp)
acosh = function(elementwise.AcoshOp)
atanh = function(elementwise.AtanhOp)
erf = function(elementwise.ErfOp)
sigmoid = function(elementwise.SigmoidOp)
silu = function(elementwise.SiluOp)
softplus = function(elementwise.SoftplusOp)
hard_swish = function(elementwise.HardSwishOp)
is_nan = function(elementwise.IsNanOp)
is_inf = function(elementwise.IsInfOp)
gelu = function(elementwise.GeluOp)
elu = function(elementwise.EluOp)
leaky_relu = function(elementwise.LeakyReluOp)
hard_sigmoid = function(elementwise.HardSigmoidOp)
add = function(elementwise.AddOp)
sub = function(elementwise.SubOp)
mul = function(elementwise.MulOp)
div = function(elementwise.DivOp)
floor_div = function(elementwise.FloorDivOp)
rem = function(elementwise.RemOp)
pow_ = function(elementwise.PowOp)
max_ = function(elementwise.MaxOp)
min_ = function(elementwise.MinOp)
atan2 = function(elementwise.Atan2Op)
and_ = function(elementwise.AndOp)
or_ = function(elementwise.OrOp)
xor = function(elementwise.XorOp)
shift_left = function(elementwise.ShiftLeftOp)
shift_right = function(elementwise.ShiftRightOp)
compare = function(elementwise.CompareOp)
select = function(elementwise.SelectOp)
clamp = function(elementwise.ClampOp)

# --- shaping
sizes_of = function(shaping.SizesOp)
constant_of = function(shaping.ConstantOp)
iota = function(shaping.IotaOp)
slice_ = function(shaping.SliceOp)
pad = function(shaping.PadOp)
reverse = function(shaping.ReverseOp)
tile = function(shaping.TileOp)
concat = function(shaping.ConcatOp)
gather = function(shaping.GatherOp)
gather_elements = function(shaping.GatherElementsOp)
gather_nd = function(shaping.GatherNdOp)
scatter_elements = function(shaping.ScatterElementsOp)
scatter_nd = function(shaping.ScatterNdOp)
one_hot = function(shaping.OneHotOp)

# --- contraction
matmul = function(contraction.MatmulOp)
einsum = function(contraction.EinsumOp)
conv = function(contraction.ConvOp)
conv_transpose = function(contraction.ConvTransposeOp)
max_pool = function(contraction.MaxPoolOp)
avg_pool = function(contraction.AvgPoolOp)
resize = function(contraction.ResizeOp)
packed_matmul = function(packed.PackedMatmulOp)
winograd_conv = function(winograd.WinogradConvOp)
channels_last_conv = function(channels_last.ChannelsLastConvOp)
channels_last_depthwise_conv = function(channels_last.ChannelsLastDepthwiseConvOp)

# --- reduction
reduce_sum = function(reduction.ReduceSumOp)
reduce_prod = function(reduction.ReduceProdOp)
reduce_max = function(reduction.ReduceMaxOp)
reduce_min = function(reduction.ReduceMinOp)
reduce_mean = function(reduction.ReduceMeanOp)
reduce_any = function(reduction.ReduceAnyOp)
reduce_all = function(reduction.ReduceAllOp)
argmax = function(reduction.ArgMaxOp)
argmin = function(reduction.ArgMinOp)
cumulative_sum = function(reduction.CumulativeSumOp)
cumulative_prod = function(reduction.CumulativeProdOp)
cumulative_max = function(reduction.CumulativeMaxOp)
sort = sorted_function(reduction.SortOp)
topk = sorted_function(reduction.TopKOp)

# --- composites
softmax = function(composite.SoftmaxOp)
log_softmax = function(composite.LogSoftmaxOp)
layer_norm = function(composite.LayerNormOp)
rms_norm = function(composite.RmsNormOp)
batch_norm = function(composite.BatchNormOp)
group_norm = function(composite.GroupNormOp)
instance_norm = function(composite.InstanceNormOp)
attention = function(composite.AttentionOp)

# --- random numbers
random_uniform = function(random.RandomUniformOp)
random_normal = function(random.RandomNormalOp)


# --- those that are nothing when there is nothing to do, and constants


def sizes(values: Any) -> SSAValue:
    """The tensor of 64-bit integers that an array of sizes, some known only at run time, stands for."""
    array = np.asarray(values, object)
    flat = sizes_of(array.ravel().tolist())
    return flat if array.ndim == 1 else reshape(flat, array.shape)


def constant(value: ArrayLike, element: Attribute | None = None) -> SSAValue:
    """A tensor of `value`, of `element` or NumPy's dtype for it."""
    return constant_of(np.asarray(value, TO_NUMPY[element] if element else None))


def scalar(like: SSAValue, value: float | int | bool) -> SSAValue:
    """A rank-0 constant with the element type of `like`."""
    return constant(value, element_of(like))


def cast(x: SSAValue, element: Attribute) -> SSAValue:
    """x as `element`; x itself where it is that already."""
    return x if element_of(x) == element else elementwise.CastOp(x, element).out


def reshape(x: SSAValue, shape: tuple[int, ...] | list[int]) -> SSAValue:
    """x under another shape; x itself where it has that already."""
    made_of = shaping.shape_of(x)
    return x if made_of == tuple(shape) else shaping.ReshapeOp(x, shape).out


def broadcast(x: SSAValue, shape: tuple[int, ...] | list[int]) -> SSAValue:
    """x stretched to a shape; x itself where it has that already."""
    return x if shaping.shape_of(x) == tuple(shape) else shaping.BroadcastOp(x, shape).out


def transpose(x: SSAValue, permutation: tuple[int, ...] | list[int] | None = None) -> SSAValue:
    """x with its dimensions in another order, reversed by default; x itself where the order is the same."""
    rank = shaping.rank_of(x)
    order = tuple(reversed(range(rank))) if permutation is None else tuple(permutation)
    return x if order == tuple(range(rank)) else shaping.TransposeOp(x, order).out


# --- ops of several results


def lstm(
    x: SSAValue,
    weight: SSAValue,
    recurrent_weight: SSAValue,
    bias: SSAValue | None = None,
    *,
    lengths: SSAValue | None = None,
    initial_h: SSAValue | None = None,
    initial_c: SSAValue | None = None,
    peepholes: SSAValue | None = None,
    direction: recurrent.Direction | str = recurrent.Direction.FORWARD,
) -> tuple[SSAValue, SSAValue, SSAValue]:
    """All outputs (t, d, b, h), the final state and the final cell, both (d, b, h), of `ml.lstm`."""
    made = recurrent.LstmOp(
        x,
        weight,
        recurrent_weight,
        bias,
        lengths=lengths,
        initial_h=initial_h,
        initial_c=initial_c,
        peepholes=peepholes,
        direction=direction,
    )
    return made.y, made.y_h, made.y_c


def gru(
    x: SSAValue,
    weight: SSAValue,
    recurrent_weight: SSAValue,
    bias: SSAValue | None = None,
    *,
    lengths: SSAValue | None = None,
    initial_h: SSAValue | None = None,
    direction: recurrent.Direction | str = recurrent.Direction.FORWARD,
    linear_before_reset: bool = False,
) -> tuple[SSAValue, SSAValue]:
    """All outputs (t, d, b, h) and the final state (d, b, h) of `ml.gru`."""
    made = recurrent.GruOp(
        x,
        weight,
        recurrent_weight,
        bias,
        lengths=lengths,
        initial_h=initial_h,
        direction=direction,
        linear_before_reset=linear_before_reset,
    )
    return made.y, made.y_h


# --- control flow: regions are Python functions that build


def region_of(body: Callable[[list[SSAValue]], Sequence[SSAValue]], types: Sequence[Attribute]) -> Region:
    """The region whose arguments have `types` and which yields what `body` makes of them."""
    block = Block(arg_types=types)
    with ImplicitBuilder(block) as arguments:
        control.YieldOp(*body(list(arguments)))
    return Region(block)


def if_(
    condition: SSAValue,
    then: Callable[[], Sequence[SSAValue]],
    otherwise: Callable[[], Sequence[SSAValue]],
) -> list[SSAValue]:
    """`ml.if`: what `then` builds where the condition, a tensor<i1>, is true, else what `otherwise` does."""
    regions = [region_of(lambda _, branch=branch: branch(), ()) for branch in (then, otherwise)]
    return list(control.IfOp(condition, *regions).results)


def while_(
    condition: Callable[[list[SSAValue]], SSAValue],
    body: Callable[[list[SSAValue]], Sequence[SSAValue]],
    inits: Sequence[SSAValue],
) -> list[SSAValue]:
    """`ml.while`: `body` applied to the carried values as long as `condition` of them is true."""
    types = [value.type for value in inits]
    test = region_of(lambda carried: [condition(carried)], types)
    return list(control.WhileOp(inits, test, region_of(body, types)).results)


def scan(
    body: Callable[[list[SSAValue], list[SSAValue]], tuple[Sequence[SSAValue], Sequence[SSAValue]]],
    inits: Sequence[SSAValue],
    sequences: Sequence[SSAValue] = (),
    *,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[list[SSAValue], list[SSAValue]]:
    """`ml.scan`: `body(carried, slices)` gives (carried, outputs); returns the last carried and the stacked outputs."""
    count = len(inits)
    types = [*[each.type for each in inits], *control.slice_types([each.type for each in sequences])]

    def step(arguments: list[SSAValue]) -> Sequence[SSAValue]:
        carried, outputs = body(arguments[:count], arguments[count:])
        return (*carried, *outputs)

    made = control.ScanOp(inits, sequences, region_of(step, types), length=length, reverse=reverse)
    return list(made.results[:count]), list(made.results[count:])


# --- how to differentiate
stop_gradient = function(derivatives.StopGradientOp)
barrier = function(derivatives.BarrierOp)
