"""Random tensors of `ml` from a counter-based generator: the same key gives the same numbers on every target.

The generator is Threefry-2x32 with 20 rounds (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3",
doi:10.1145/2063384.2063405). Element i, counted in row-major order, encrypts the counter (i mod 2^32, i / 2^32)
under the key, a tensor<2xui32>, into two words a and b; so an element depends on the key and on i alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import ClassVar

from xdsl.dialects.builtin import bf16, f16, f32, f64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import IRDLOperation, irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from xmlc.dialects.dtypes import FLOATS, u32
from xmlc.dialects.ml.attributes import Float, real
from xmlc.dialects.ml.types import Tensor, TensorLike, expect_elements, expect_type, tensor, type_of

KEY = tensor((2,), u32)
PRECISION: dict[Attribute, int] = {f64: 53, f32: 24, f16: 11, bf16: 8}
"""The bits of a significand, the hidden one included: as many random bits as a number below 1 can hold."""


def random_type(key: Attribute, shape: Sequence[int], element: Attribute) -> TensorLike:
    if type_of(key) != KEY:
        raise VerifyException(f"the key must be {KEY}, found {key}")
    result = tensor(shape, element)
    expect_elements(FLOATS, result)
    return result


@irdl_op_definition
class RandomUniformOp(IRDLOperation):
    """low + u * (high - low), rounded, and below high in any case; u is uniform on [0, 1).

    u = floor(a / 2^(32 - p)) / 2^p, p the `PRECISION` of the element type; for f64
    u = floor((a * 2^32 + b) / 2^11) / 2^53. f16 and bf16 are computed in f32.
    """

    name = "ml.random_uniform"
    ACCEPTS: ClassVar[tuple[Attribute, ...]] = FLOATS
    key = operand_def(Tensor)
    low = prop_def(Float)
    high = prop_def(Float)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = "$key `low` `=` $low `high` `=` $high attr-dict `:` type($key) `->` type($out)"

    def __init__(self, key: SSAValue, shape: Sequence[int], element: Attribute, low: float = 0.0, high: float = 1.0):
        super().__init__(
            operands=(key,),
            result_types=(random_type(key.type, shape, element),),
            properties={"low": real(low), "high": real(high)},
        )

    def verify_(self) -> None:
        low, high = self.low.value.data, self.high.value.data
        if not low < high or not isfinite(high - low):
            raise VerifyException(f"low must be below high and both finite, found {low} and {high}")
        expect_type(self.out.type, random_type(self.key.type, self.out.type.get_shape(), self.out.type.element_type))


@irdl_op_definition
class RandomNormalOp(IRDLOperation):
    """mean + scale * sqrt(-2 log u) * cos(2 pi v) (Box & Muller 1958, doi:10.1214/aoms/1177706645).

    u = (a + 1/2) / 2^32 and v = b / 2^32 in f32, also for f16 and bf16. For f64 u = (w + 1/2) / 2^53 and v = w' / 2^53,
    w and w' the highest 53 bits of a * 2^32 + b, for w' of the counter with the highest bit of its second word set.
    """

    name = "ml.random_normal"
    ACCEPTS: ClassVar[tuple[Attribute, ...]] = FLOATS
    key = operand_def(Tensor)
    mean = prop_def(Float)
    scale = prop_def(Float)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = "$key `mean` `=` $mean `scale` `=` $scale attr-dict `:` type($key) `->` type($out)"

    def __init__(self, key: SSAValue, shape: Sequence[int], element: Attribute, mean: float = 0.0, scale: float = 1.0):
        super().__init__(
            operands=(key,),
            result_types=(random_type(key.type, shape, element),),
            properties={"mean": real(mean), "scale": real(scale)},
        )

    def verify_(self) -> None:
        mean, scale = self.mean.value.data, self.scale.value.data
        if scale < 0 or not isfinite(mean) or not isfinite(scale):
            raise VerifyException(f"mean and scale must be finite, scale not negative, found {mean} and {scale}")
        expect_type(self.out.type, random_type(self.key.type, self.out.type.get_shape(), self.out.type.element_type))


RANDOM = (RandomUniformOp, RandomNormalOp)
