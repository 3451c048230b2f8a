"""`ml.winograd_conv` as one loop nest: the sum of products of six factors that its definition is.

lower-contractions knows the nest by its maps and schedules it; run as it stands, it is correct and slow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from xdsl.dialects.builtin import ShapedType
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap

from xmlc.dialects.dtypes import TO_NUMPY
from xmlc.dialects.ml import winograd as ml
from xmlc.dialects.ml.channels_last import to_channels_last
from xmlc.dialects.ml.types import element_of, shape_of
from xmlc.dialects.sizes import UnknownSize, is_symbolic
from xmlc.passes.lower_ml.contraction import start_of_sums, sum_of_products
from xmlc.passes.lower_ml.shaping import padded
from xmlc.passes.lower_ml.structured import PARALLEL, REDUCTION, Map, dim, number, table

LOOPS = (*[PARALLEL] * 4, *[REDUCTION] * 5)
"""Image, output channel, row, column; a, b, input channel, i, j."""


def maps_of(size: int, width: int, channels_last: bool) -> tuple[Map, ...]:
    """How A^T, A^T, weight, B^T, B^T, x and the result are indexed, for tiles of `size`, panels of `width` channels."""
    if is_symbolic((width,)):
        raise UnknownSize(f"panels of {width} channels, known only at run time")
    n, o, y, x, a, b, c, i, j = map(dim, range(9))

    def tile(place: AffineExpr) -> AffineExpr:
        return place // size * size

    weight = (a, b, o // width, c, o % width)
    image, result = (n, c, tile(y) + i, tile(x) + j), (n, o, y, x)
    if channels_last:
        image, result = to_channels_last(image), to_channels_last(result)
    return (y % size, a), (x % size, b), weight, (a, i), (b, j), image, result


def is_winograd(op: GenericOp) -> bool:
    """Whether a loop nest is such a sum, told by how it reads its factors."""
    if len(op.inputs) != 6 or len(op.iterator_types) != len(LOOPS):
        return False
    weight = cast(ShapedType, op.inputs[2].type).get_shape()
    if len(weight) != 5 or weight[0] - ml.FILTER + 1 not in ml.POINTS:
        return False
    found = [each.data for each in op.indexing_maps]
    return any(
        found == [AffineMap(len(LOOPS), 0, each) for each in maps_of(weight[0] - ml.FILTER + 1, weight[-1], last)]
        for last in (False, True)
    )


def winograd_conv(op: ml.WinogradConvOp, x: SSAValue, weight: SSAValue, bias: SSAValue | None = None) -> SSAValue:
    """out[n, o, y, x] = bias[o] + sum over a, b, c, i, j of
    A^T[y % m, a] * A^T[x % m, b] * weight[a, b, o, c]
    * B^T[a, i] * B^T[b, j] * x[n, c, y / m * m + i, x / m * m + j]"""
    element: Attribute = element_of(op.out)
    low, high = op.padding()
    last = op.channels_last is not None
    before, after = (to_channels_last((0, 0, *each)) if last else (0, 0, *each) for each in (low, high))
    x = padded(x, before, after, number(0, element))
    made = ml.transforms(op.size)
    data, result = (table(each.astype(TO_NUMPY[element])) for each in (made.data, made.result))
    sums = start_of_sums(shape_of(op.out), element, bias, (dim(3 if last else 1),))
    *maps, written = maps_of(op.size, shape_of(weight)[-1], last)
    factors = zip((result, result, weight, data, data, x), maps, strict=True)
    return sum_of_products(list(factors), sums, written, LOOPS)


LOWER: dict[type[Operation], Callable[..., SSAValue]] = {ml.WinogradConvOp: winograd_conv}
