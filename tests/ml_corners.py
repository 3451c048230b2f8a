"""Samples of `ml` at the edges of what its ops accept: empty and rank-0 tensors, ties, NaN, indices out of range …

They are like those of `ml_samples`, which has at least one for each op; `given` are inputs that matter by value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from ml_samples import COMBINES, NUMBERS, Array, Sample
from xdsl.dialects.builtin import bf16, f16, f32, f64, i1, i32, i64
from xdsl.ir import Attribute, SSAValue

from xmlc.dialects.dtypes import FLOATS, INTEGERS, TO_NUMPY, is_float
from xmlc.dialects.ml import contraction
from xmlc.dialects.ml import functions as F

FEW = (f32, i32, i1)
SOME: tuple[Attribute, ...] = (f32, bf16, i64, *INTEGERS[-1:])


@dataclass(frozen=True)
class Corner(Sample):
    """A sample whose first inputs are `given(element)`; the others are random."""

    given: Callable[[Attribute], Sequence[Array]] = lambda element: ()

    def inputs(self, element: Attribute, seed: int = 0) -> list[Array]:
        given = list(self.given(element))
        return [*given, *super().inputs(element, seed)[len(given) :]]


def numbers(*values: float) -> Callable[[Attribute], list[Array]]:
    """One row of numbers as the first input; NaN and infinities become extreme integers."""

    def given(element: Attribute) -> list[Array]:
        return [np.array([[as_element(value, element) for value in values]], TO_NUMPY[element])]

    return given


def as_element(value: float, element: Attribute) -> float | int:
    dtype = TO_NUMPY[element]
    if is_float(element):
        return value
    if np.isfinite(value):
        return max(int(value), 0) if dtype.kind == "u" else int(value)
    return np.iinfo(dtype).min if value < 0 else np.iinfo(dtype).max


def empty_samples() -> list[Sample]:
    lines = [
        Sample("add", ("E:0x3", "E:3"), F.add),
        Sample("neg", ("E:2x0",), F.neg),
        Sample("select", ("i1:0x1", "E:3", "E:"), F.select),
        Sample("cast", ("E:0",), lambda x: F.cast(F.cast(x, i64), f64)),
        Sample("reduce_sum", ("E:2x0x3",), lambda x: F.reduce_sum(x, (1,))),
        Sample("reduce_prod", ("E:2x0x3",), lambda x: F.reduce_prod(x, (1, 2), keep_dims=True)),
        Sample("reduce_max", ("E:2x0",), lambda x: F.reduce_max(x, (1,))),
        Sample("reduce_min", ("E:2x0",), F.reduce_min),
        Sample("reduce_sum", ("E:0x3",), lambda x: F.reduce_sum(x, (1,))),
        Sample("reduce_any", ("i1:2x0",), lambda x: F.reduce_any(x, (1,))),
        Sample("reduce_all", ("i1:2x0",), lambda x: F.reduce_all(x, (1,))),
        Sample("reduce_mean", ("E:2x0",), lambda x: F.reduce_mean(x, (1,))),
        Sample("argmax", ("E:0x3",), lambda x: F.argmax(x, 1)),
        Sample("cumulative_sum", ("E:2x0",), lambda x: F.cumulative_sum(x, 1)),
        Sample("cumulative_max", ("E:0x2",), lambda x: F.cumulative_max(x, 1, True, True)),
        Sample("sort", ("E:2x0",), lambda x: F.sort(x, 1)),
        Sample("sort", ("E:0x2",), lambda x: F.sort(x, 1)),
        Sample("topk", ("E:2x3",), lambda x: F.topk(x, 0, 1)),
        Sample("topk", ("E:2x0",), lambda x: F.topk(x, 0, 1)),
        Sample("concat", ("E:2x0", "E:2x3", "E:2x0"), lambda *xs: F.concat(xs, 1)),
        Sample("concat", ("E:0x2", "E:0x3"), lambda *xs: F.concat(xs, 1)),
        Sample("slice", ("E:4x3",), lambda x: F.slice_(x, (1, 2), (0, 2), (1, -1))),
        Sample("slice", ("E:0x3",), lambda x: F.slice_(x, (0, 2), (0, 2), (2, -1))),
        Sample("pad", ("E:0x2", "E:"), lambda x, v: F.pad(x, (1, 0), (2, 1), value=v)),
        Sample("pad", ("E:0x2",), lambda x: F.pad(x, (0, 1), (0, 1), "edge")),
        Sample("reverse", ("E:0x2",), lambda x: F.reverse(x, (0, 1))),
        Sample("transpose", ("E:0x2",), F.transpose),
        Sample("reshape", ("E:0x2",), lambda x: F.reshape(x, (3, 0, 5))),
        Sample("broadcast", ("E:1x0",), lambda x: F.broadcast(x, (2, 3, 0))),
        Sample("iota", (), lambda: F.iota((0, 3), 1, i32)),
        Sample("gather", ("E:4x3", "i64:0"), lambda x, i: F.gather(x, i, 0)),
        Sample("gather", ("E:4x0", "i64:2"), lambda x, i: F.gather(x, i, 0)),
        Sample("gather_elements", ("E:4x3", "i64:4x0"), lambda x, i: F.gather_elements(x, i, 1)),
        Sample("gather_nd", ("E:4x3", "i64:0x2"), F.gather_nd),
        Sample("scatter_elements", ("E:4x3", "i64:0x3", "E:0x3"), lambda *xs: F.scatter_elements(*xs, 0, "add")),
        Sample("scatter_nd", ("E:4x3", "i64:0x1", "E:0x3"), F.scatter_nd),
        Sample("one_hot", ("i64:0x2", "E:", "E:"), lambda *xs: F.one_hot(*xs, 3, 0)),
        Sample("one_hot", ("i64:2", "E:", "E:"), lambda *xs: F.one_hot(*xs, 0, 0)),
        Sample("matmul", ("E:3x0", "E:0x2", "E:2"), F.matmul),
        Sample("matmul", ("E:0x3x4", "E:4x2"), F.matmul),
        Sample("einsum", ("E:2x0", "E:0x4"), lambda *xs: F.einsum(xs, "ij,jk->ki")),
        Sample("conv", ("E:0x2x4x4", "E:3x2x3x3", "E:3"), F.conv),
        Sample("conv", ("E:2x2x2x4", "E:3x2x3x3"), F.conv, "no window fits"),
        Sample("max_pool", ("E:0x2x4x4",), lambda x: F.max_pool(x, (2, 2))),
        Sample("max_pool", ("E:2x2x2",), lambda x: F.max_pool(x, (3,))),
        Sample("avg_pool", ("E:2x2x2",), lambda x: F.avg_pool(x, (3,))),
        Sample("resize", ("E:0x2x3",), lambda x: F.resize(x, (0, 2, 5))),
        Sample("softmax", ("E:2x0",), F.softmax),
        Sample("layer_norm", ("E:0x3", "E:3"), F.layer_norm),
    ]
    return [named(each, "empty") for each in lines]


def named(sample: Sample, note: str) -> Sample:
    few = tuple(each for each in FEW if each in sample.elements) or sample.elements[:1]
    return Sample(sample.name, sample.operands, sample.build, sample.note or note, few)


def rank_0_samples() -> list[Sample]:
    lines = [
        Sample("add", ("E:", "E:"), F.add),
        Sample("tanh", ("E:",), F.tanh),
        Sample("add", ("E:", "E:1x1"), F.add),
        Sample("add", ("E:1x3", "E:2x1"), F.add),
        Sample("mul", ("E:1", "E:1x1x1"), F.mul),
        Sample("reduce_sum", ("E:",), F.reduce_sum),
        Sample("reduce_max", ("E:",), lambda x: F.reduce_max(x, keep_dims=True)),
        Sample("reduce_sum", ("E:2x3",), lambda x: F.reduce_sum(x, ())),
        Sample("reduce_max", ("E:1x1x3",), lambda x: F.reduce_max(x, (0, 1))),
        Sample("broadcast", ("E:",), lambda x: F.broadcast(x, (2, 3))),
        Sample("reshape", ("E:",), lambda x: F.reshape(x, (1, 1))),
        Sample("reshape", ("E:1x1",), lambda x: F.reshape(x, ())),
        Sample("reshape", ("E:1x1",), lambda x: F.reshape(x, (1,))),
        Sample("reshape", ("E:2x1x3",), lambda x: F.reshape(x, (1, 6, 1))),
        Sample("slice", ("E:",), lambda x: F.slice_(x, (), ())),
        Sample("pad", ("E:", "E:"), lambda x, v: F.pad(x, (), (), value=v)),
        Sample("pad", ("E:",), lambda x: F.pad(x, (), (), "edge")),
        Sample("gather", ("E:3", "i64:"), lambda x, i: F.gather(x, i, 0)),
        Sample("gather_nd", ("E:3x2", "i64:0"), F.gather_nd),
        Sample("gather_nd", ("E:3x2", "i64:2"), F.gather_nd),
        Sample("scatter_nd", ("E:3x2", "i64:2", "E:"), F.scatter_nd),
        Sample("one_hot", ("i64:", "E:", "E:"), lambda *xs: F.one_hot(*xs, 3, 0)),
        Sample("argmax", ("E:3",), lambda x: F.argmax(x, 0)),
        Sample("concat", ("E:1", "E:1"), lambda *xs: F.concat(xs, 0)),
        Sample("concat", ("E:2",), lambda *xs: F.concat(xs, 0)),
        Sample("sort", ("E:1",), lambda x: F.sort(x, 0)),
        Sample("topk", ("E:1",), lambda x: F.topk(x, 1, 0)),
        Sample("cumulative_prod", ("E:1",), lambda x: F.cumulative_prod(x, 0, True)),
        Sample("matmul", ("E:1x1", "E:1x1"), F.matmul),
        Sample("matmul", ("E:1x3", "E:3x1", "E:"), F.matmul),
        Sample("einsum", ("E:3", "E:3"), lambda *xs: F.einsum(xs, "i,i->")),
        Sample("einsum", ("E:3x3",), lambda x: F.einsum((x,), "ij->ji")),
        Sample("select", ("i1:", "E:", "E:2"), F.select),
        Sample("clamp", ("E:", "E:2", "E:"), F.clamp),
    ]
    return [named(each, "small ranks and sizes") for each in lines]


def order_samples() -> list[Sample]:
    nan, inf = np.nan, np.inf
    rows = {
        "ties": numbers(2, 1, 2, 1, 0, 2, 1),
        "NaN": numbers(1, nan, 3, nan, -inf, inf, nan),
        "infinite": numbers(-inf, -inf, inf, inf, 0, -0.0, 0),
        "only NaN": numbers(*[nan] * 7),
        "lowest": numbers(*[-inf] * 7),
    }
    made: list[Sample] = []
    for note, given in rows.items():
        made += [
            Corner("argmax", ("E:1x7",), lambda x: F.argmax(x, 1), note, given=given),
            Corner("argmin", ("E:1x7",), lambda x: F.argmin(x, 1), note, given=given),
            Corner("sort", ("E:1x7",), lambda x: F.sort(x, 1), note, given=given),
            Corner("sort", ("E:1x7",), lambda x: F.sort(x, 1, True), f"{note}, descending", given=given),
            Corner("topk", ("E:1x7",), lambda x: F.topk(x, 3, 1), note, given=given),
            Corner("topk", ("E:1x7",), lambda x: F.topk(x, 5, 1, True), f"{note}, smallest", given=given),
            Corner("reduce_max", ("E:1x7",), lambda x: F.reduce_max(x, (1,)), note, given=given),
            Corner("reduce_min", ("E:1x7",), lambda x: F.reduce_min(x, (1,)), note, given=given),
            Corner("cumulative_max", ("E:1x7",), lambda x: F.cumulative_max(x, 1), note, given=given),
        ]
    large = [
        Sample("sort", ("E:3x37",), lambda x: F.sort(x, 1)),
        Sample("sort", ("E:17x2",), lambda x: F.sort(x, 0, True)),
        Sample("topk", ("E:2x19x2",), lambda x: F.topk(x, 7, 1)),
        Sample("reduce_sum", ("E:2x3x4x5",), lambda x: F.reduce_sum(x, (0, 2))),
        Sample("reduce_max", ("E:2x3x4x5",), lambda x: F.reduce_max(x, (1, 3), keep_dims=True)),
        Sample("reduce_mean", ("E:2x3x4x5",), lambda x: F.reduce_mean(x, (0, 1, 3))),
        Sample("argmin", ("E:2x3x4",), lambda x: F.argmin(x, 0)),
    ]
    return [
        *made,
        *(Sample(s.name, s.operands, s.build, "several", SOME if s.name != "reduce_mean" else (f32,)) for s in large),
    ]


def index_samples() -> list[Sample]:
    def out_of_range(
        shape: tuple[int, ...], *values: int, dtype: type = np.int64
    ) -> Callable[[Attribute], list[Array]]:
        return lambda element: [*table(element), np.array(values, dtype).reshape(shape)]

    def table(element: Attribute) -> list[Array]:
        return [np.arange(12).reshape(4, 3).astype(TO_NUMPY[element])]

    def classes(element: Attribute) -> list[Array]:
        return [np.array([-1, 0, 3, 4, 2**40, 1], np.int64)]

    def gathered(x: SSAValue, indices: SSAValue, axis: int) -> SSAValue:
        return F.gather(x, indices, axis)

    far = out_of_range((6,), -1, 4, 2, -(2**40), 2**40, 0)
    huge = out_of_range((6,), 0, 3, 4, 2**64 - 1, 2**63, 1, dtype=np.uint64)
    near = out_of_range((2, 3), -1, 9, 4, 3, 1, -9)
    note = "out of range"
    samples: list[Sample] = [
        *[Corner("gather", ("E:4x3", "i64:6"), partial(gathered, axis=axis), note, FEW, far) for axis in (0, 1)],
        Corner("gather", ("E:4x3", "u64:6"), partial(gathered, axis=0), f"{note}, unsigned", FEW, huge),
        Corner("gather_elements", ("E:4x3", "i64:2x3"), lambda x, i: F.gather_elements(x, i, 0), note, FEW, near),
        Corner("gather_nd", ("E:4x3", "i64:1x3x1"), F.gather_nd, note, FEW, out_of_range((1, 3, 1), -7, 1, 99)),
        Corner("one_hot", ("i64:6", "E:", "E:"), lambda *xs: F.one_hot(*xs, 4, 0), note, FEW, classes),
    ]
    same = out_of_range((3, 3), 1, 1, 1, 1, 1, 0, 1, 9, -4)
    same_row = out_of_range((3, 1), 2, 2, 17)
    for how, accepts in COMBINES.items():
        few = tuple(each for each in FEW if each in accepts)
        by_element, by_row = partial(scattered, how=how), partial(F.scatter_nd, combine=how)
        note = f"duplicates, {how}"
        samples += [
            Corner("scatter_elements", ("E:4x3", "i64:3x3", "E:3x3"), by_element, note, few, same),
            Corner("scatter_nd", ("E:4x3", "i64:3x1", "E:3x3"), by_row, note, few, same_row),
        ]
    return samples


def scattered(x: SSAValue, indices: SSAValue, updates: SSAValue, how: str) -> SSAValue:
    return F.scatter_elements(x, indices, updates, 0, how)


def movement_samples() -> list[Sample]:
    lines = [
        Sample("slice", ("E:7",), lambda x: F.slice_(x, (6,), (4,), (-2,))),
        Sample("slice", ("E:5x6x4",), lambda x: F.slice_(x, (4, 0, 3), (5, 3, 2), (-1, 2, -3))),
        Sample("slice", ("E:5x6",), lambda x: F.slice_(x, (2, 0), (2, 6))),
        Sample("slice", ("E:5x6",), lambda x: F.slice_(x, (0, 1), (5, 1), (1, 5))),
        Sample("slice", ("E:6",), lambda x: F.slice_(x, (0,), (3,))),
        Sample("pad", ("E:3x4", "E:"), lambda x, v: F.pad(x, (0, 0), (0, 0), value=v)),
        Sample("pad", ("E:3x4", "E:"), lambda x, v: F.pad(x, (2, 1), (0, 3), value=v)),
        Sample("pad", ("E:3x4",), lambda x: F.pad(x, (2, 3), (2, 0), "reflect")),
        Sample("pad", ("E:1x4",), lambda x: F.pad(x, (0, 3), (0, 3), "reflect")),
        Sample("pad", ("E:3x1",), lambda x: F.pad(x, (5, 2), (4, 3), "edge")),
        Sample("reverse", ("E:2x3x4",), lambda x: F.reverse(x, (0, 2))),
        Sample("reverse", ("E:2x3",), lambda x: F.reverse(x, ())),
        Sample("transpose", ("E:2x3x4x5",), lambda x: F.transpose(x, (3, 1, 0, 2))),
        Sample("concat", ("E:2x3", "E:2x3", "E:1x3"), lambda *xs: F.concat(xs, 0)),
        Sample("tile", ("E:2x1x3",), lambda x: F.tile(x, (1, 4, 2))),
        Sample("iota", (), lambda: [F.iota((3, 4), 0, each) for each in NUMBERS]),
        Sample("iota", (), lambda: [F.iota((300,), 0, each) for each in NUMBERS[-2:]]),
    ]
    return [named(each, "moves") for each in lines]


def resize_samples() -> list[Sample]:
    samples: list[Sample] = []
    shapes = [(1, 1, 7, 5), (1, 1, 2, 1), (1, 1, 4, 3)]
    for kind, shape in product(contraction.Coordinates, shapes):
        samples += [
            Sample(
                "resize",
                ("E:1x1x4x3",),
                partial(F.resize, shape=shape, interpolation="nearest", coordinates=kind, rounding=how),
                f"{kind.value} {how.value} to {shape}",
                (f32,),
            )
            for how in (contraction.Rounding if shape[2] == 7 else [contraction.Rounding.ROUND_PREFER_CEIL])
        ]
        samples.append(
            Sample(
                "resize",
                ("E:1x1x4x3",),
                partial(F.resize, shape=shape, interpolation="linear", coordinates=kind),
                f"{kind.value} linear to {shape}",
                (f32, f16),
            )
        )
    scales = (1.0, 1.0, 1.7, 0.6)
    return [
        *samples,
        Sample(
            "resize",
            ("E:1x1x4x5",),
            lambda x: F.resize(x, (1, 1, 6, 3), "linear", "half_pixel", scales=scales),
            "scales",
            FLOATS,
        ),
        Sample(
            "resize",
            ("E:1x1x4x5",),
            lambda x: F.resize(x, (1, 1, 6, 3), "nearest", "asymmetric", "floor", scales),
            "scales",
            NUMBERS,
        ),
        Sample("resize", ("E:3",), lambda x: F.resize(x, (8,), "linear"), "1 d", (f64, bf16)),
    ]


def window_samples() -> list[Sample]:
    lines = [
        Sample("conv", ("E:1x3x8", "E:4x3x3", "E:4"), lambda *xs: F.conv(*xs, strides=(3,), low=(2,), high=(1,))),
        Sample("conv", ("E:2x3x5x6", "E:4x3x1x1"), F.conv, "1x1"),
        Sample(
            "conv",
            ("E:2x4x5x6", "E:8x1x3x3", "E:8"),
            lambda *xs: F.conv(*xs, groups=4, low=(1, 1), high=(1, 1)),
            "depthwise",
        ),
        Sample(
            "conv",
            ("E:1x2x4x5x3", "E:3x2x2x3x2", "E:3"),
            lambda *xs: F.conv(*xs, strides=(1, 2, 1), dilations=(2, 1, 1), low=(1, 0, 1), high=(0, 1, 1)),
            "3 d",
        ),
        Sample("conv", ("E:1x2x6x6", "E:3x2x2x2"), lambda *xs: F.conv(*xs, low=(-1, 1), high=(-2, 0)), "cropped"),
        Sample("conv", ("E:1x2x3x3", "E:1x2x3x3"), F.conv, "one window"),
        Sample("conv", ("E:1x1x9", "E:2x1x2"), lambda *xs: F.conv(*xs, dilations=(4,), strides=(2,)), "dilated"),
        Sample("conv", ("E:1x2x5", "E:3x2x0"), F.conv, "no taps"),
        Sample(
            "conv_transpose",
            ("E:2x3x4x5", "E:3x2x2x3", "E:2"),
            lambda *xs: F.conv_transpose(*xs, strides=(2, 3)),
            "windows side by side",
        ),
        Sample(
            "conv_transpose",
            ("E:1x2x3x4", "E:2x3x3x3", "E:3"),
            lambda *xs: F.conv_transpose(*xs, strides=(2, 3), low=(1, 0), high=(0, 1)),
        ),
        Sample(
            "conv_transpose",
            ("E:1x4x3x4", "E:4x1x3x3"),
            lambda *xs: F.conv_transpose(*xs, groups=4, dilations=(2, 1)),
            "depthwise",
        ),
        Sample("max_pool", ("E:1x2x7",), lambda x: F.max_pool(x, (3,), strides=(2,), low=(1,), high=(1,))),
        Sample("max_pool", ("E:1x2x7",), lambda x: F.max_pool(x, (2,), strides=(4,)), "gaps"),
        Sample("max_pool", ("E:1x1x3x4x5",), lambda x: F.max_pool(x, (2, 2, 2), dilations=(2, 1, 3)), "3 d, dilated"),
        Sample("max_pool", ("E:1x1x4",), lambda x: F.max_pool(x, (2,), low=(3,), high=(3,)), "windows of padding only"),
        Sample("max_pool", ("E:1x1x6",), lambda x: F.max_pool(x, (2,), low=(-2,), high=(-1,)), "cropped"),
        Sample("avg_pool", ("E:1x2x7",), lambda x: F.avg_pool(x, (3,), strides=(2,), low=(1,), high=(1,))),
        Sample(
            "avg_pool",
            ("E:1x2x7",),
            lambda x: F.avg_pool(x, (3,), strides=(2,), low=(1,), high=(1,), include_pad=True),
            "with padding",
        ),
        Sample("avg_pool", ("E:1x1x4x6",), lambda x: F.avg_pool(x, (4, 6)), "global"),
        Sample("avg_pool", ("E:1x1x3x4x5",), lambda x: F.avg_pool(x, (2, 2, 2), low=(1, 0, 0), high=(0, 1, 0)), "3 d"),
        Sample("matmul", ("E:5x2x3x4", "E:1x4x2"), F.matmul, "batched"),
        Sample("matmul", ("E:3x4", "E:2x4x5", "E:2x3x5"), F.matmul, "bias for each element"),
        Sample("matmul", ("E:3x4", "E:4x5", "E:3x1"), F.matmul, "bias for each row"),
        Sample("einsum", ("E:2x3x4", "E:2x4x5"), lambda *xs: F.einsum(xs, "bij,bjk->bik")),
        Sample("einsum", ("E:2x3",), lambda x: F.einsum((x,), "ij->")),
    ]
    return [
        Sample(s.name, s.operands, s.build, s.note or "window", tuple(e for e in SOME if e in s.elements))
        for s in lines
    ]


def control_samples() -> list[Sample]:
    def swap(n: SSAValue, x: SSAValue, y: SSAValue) -> Any:
        return F.while_(
            lambda c: F.compare(c[0], F.scalar(n, 0), "gt"),
            lambda c: [F.sub(c[0], F.scalar(n, 1)), c[2], c[1]],
            [n, x, y],
        )

    def rotate(x: SSAValue, y: SSAValue, z: SSAValue) -> Any:
        return F.scan(lambda c, _: ([c[1], c[2], F.add(c[0], x)], [c[1], c[0], x]), [x, y, z], length=4)

    def flat(made: tuple[list[SSAValue], list[SSAValue]]) -> list[SSAValue]:
        return [*made[0], *made[1]]

    def nested(n: SSAValue, x: SSAValue) -> Any:
        outside = F.tanh(x)

        def body(carried: list[SSAValue], slices: list[SSAValue]) -> Any:
            even = F.compare(F.reduce_sum(slices[0]), F.scalar(x, 0.0), "gt")
            chosen = F.if_(
                even,
                lambda: [F.add(carried[0], outside), F.scalar(x, 1.0)],
                lambda: [outside, F.reduce_max(carried[0])],
            )
            grown = F.while_(
                lambda c: F.compare(F.reduce_sum(c[1]), F.scalar(x, 3.0), "lt"),
                lambda c: [F.mul(c[0], slices[0]), F.add(F.abs_(c[1]), F.scalar(x, 1.0))],
                [chosen[0], chosen[1]],
            )
            return [grown[0]], [grown[1], carried[0]]

        sequence = F.concat([F.reshape(x, (1, 3)), F.reshape(F.neg(x), (1, 3)), F.reshape(outside, (1, 3))], 0)
        return flat(F.scan(body, [x], [sequence], reverse=True)) + F.if_(
            F.compare(n, F.scalar(n, 2), "lt"), lambda: [x], lambda: [outside]
        )

    def constants(c: SSAValue) -> Any:
        return F.if_(
            c,
            lambda: [F.constant([1.0, 2.0], f32), F.constant(3, i32)],
            lambda: [F.constant([0.0, 0.0], f32), F.constant(7, i32)],
        )

    def same_twice(c: SSAValue, x: SSAValue, y: SSAValue) -> Any:
        return F.if_(c, lambda: [x, x, y], lambda: [y, x, x])

    def matrix_power(n: SSAValue, x: SSAValue) -> Any:
        return F.while_(
            lambda c: F.compare(c[0], F.scalar(n, 0), "gt"),
            lambda c: [F.sub(c[0], F.scalar(n, 1)), F.matmul(c[1], x)],
            [n, x],
        )

    def two_sequences(x: SSAValue, y: SSAValue, start: SSAValue) -> Any:
        return flat(
            F.scan(lambda c, s: ([F.add(c[0], F.mul(s[0], s[1]))], [s[0], F.reduce_sum(s[1])]), [start], [x, y])
        )

    def given(n: int) -> Callable[[Attribute], list[Array]]:
        return lambda element: [np.array(n, np.int32)]

    flags = [lambda element, value=value: [np.array(value)] for value in (True, False)]
    return [
        *[Corner("while", ("i32:", "f32:2", "f32:2"), swap, f"swap {n} times", given=given(n)) for n in (0, 1, 5)],
        *[Corner("while", ("i32:", "f32:3x3"), matrix_power, f"{n} products", given=given(n)) for n in (0, 3)],
        Sample("scan", ("f32:2", "f32:2", "f32:2"), lambda *xs: flat(rotate(*xs)), "rotates its values"),
        Sample("scan", ("f32:4", "f32:4x2", "f32:2"), two_sequences, "two sequences"),
        Sample("scan", ("f32:0x3", "f32:0x3", "f32:3"), two_sequences, "empty sequences"),
        *[Corner("scan", ("i32:", "f32:3"), nested, f"nested, {n}", given=given(n)) for n in (1, 3)],
        *[Corner("if", ("i1:",), constants, "constants", given=flag) for flag in flags],
        *[Corner("if", ("i1:", "f32:2", "f32:2"), same_twice, "same values twice", given=flag) for flag in flags],
    ]


CORNERS: tuple[Sample, ...] = (
    *empty_samples(),
    *rank_0_samples(),
    *order_samples(),
    *index_samples(),
    *movement_samples(),
    *resize_samples(),
    *window_samples(),
    *control_samples(),
)
