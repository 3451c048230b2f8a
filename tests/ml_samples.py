"""Small programs of `ml`: at least one sample for every op, and how to make modules and inputs of samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.builder import ImplicitBuilder
from xdsl.dialects import func
from xdsl.dialects.builtin import IntegerType, ModuleOp, bf16, f16, f32, f64, i1, i8, i16, i32, i64
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from xmlc.dialects.dtypes import ELEMENTS, FLOATS, INTEGERS, TO_NUMPY, u8, u16, u32, u64
from xmlc.dialects.ml import ML, derivatives, elementwise
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import DYNAMIC, TensorLike, element_of, shape_of, tensor

Array = NDArray[Any]
NUMBERS = FLOATS + INTEGERS
OPS: dict[str, type[Operation]] = {op.name.removeprefix("ml."): op for op in ML.operations}
NAMED: dict[str, Attribute] = {
    "f64": f64, "f32": f32, "f16": f16, "bf16": bf16, "i64": i64, "i32": i32, "i16": i16, "i8": i8, "i1": i1,
    "u64": u64, "u32": u32, "u16": u16, "u8": u8,
}  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """A use of the op `name`: operands as `E:2x3` (E the element type under test, +E positive) and what to build."""

    name: str
    operands: tuple[str, ...]
    build: Callable[..., Any]
    note: str = ""
    accepts: tuple[Attribute, ...] | None = None

    @property
    def op(self) -> type[Operation]:
        return OPS[self.name]

    @property
    def elements(self) -> tuple[Attribute, ...]:
        """The element types that the op accepts for E."""
        if not any("E" in each for each in self.operands):
            return (f32,)
        accepted: tuple[Attribute, ...] = getattr(self.op, "ACCEPTS", ELEMENTS)
        return self.accepts or accepted

    def types(self, element: Attribute) -> list[TensorLike]:
        return [operand_type(each, element) for each in self.operands]

    def module(self, element: Attribute) -> ModuleOp:
        return program(self.types(element), self.build)

    def inputs(self, element: Attribute, seed: int = 0) -> list[Array]:
        rng = np.random.default_rng(seed)
        arrays = [random_array(rng, each) for each in self.types(element)]
        return [abs(x) if each.startswith("+") else x for x, each in zip(arrays, self.operands)]

    def __str__(self) -> str:
        return f"{self.name} {self.note}".strip()


def operand_type(text: str, element: Attribute = f32) -> TensorLike:
    """`E:2x3`, `i64:4`, `f32:` (rank 0), `f32:?x3`"""
    kind, _, shape = text.removeprefix("+").partition(":")
    sizes = [DYNAMIC if size == "?" else int(size) for size in shape.split("x") if size]
    return tensor(sizes, element if kind == "E" else NAMED[kind])


def program(types: Sequence[Attribute], build: Callable[..., Any]) -> ModuleOp:
    """A module whose @main applies `build` to its arguments."""
    block = Block(arg_types=types)
    with ImplicitBuilder(block) as arguments:
        made = build(*arguments)
        made = made.results if isinstance(made, Operation) else made
        results: list[SSAValue] = [made] if isinstance(made, SSAValue) else list(made)
        func.ReturnOp(*results)
    return ModuleOp([func.FuncOp("main", (list(types), [each.type for each in results]), Region(block))])


def random_array(rng: np.random.Generator, type: TensorLike) -> Array:
    """Normally distributed floats, small integers, coin flips."""
    shape, element = shape_of(type), element_of(type)
    dtype = TO_NUMPY[element]
    if element == i1:
        return rng.random(shape) < 0.5
    if isinstance(element, IntegerType):
        return rng.integers(-6 if dtype.kind == "i" else 0, 7, shape).astype(dtype)
    return np.asarray(rng.normal(size=shape) * 1.5).astype(dtype)


def f32_constant(*shape: int) -> SSAValue:
    return F.constant(np.arange(prod(shape), dtype=np.float32).reshape(shape))


def elementwise_samples() -> list[Sample]:
    samples: list[Sample] = []
    for name, op in OPS.items():
        if op is elementwise.CompareOp:
            samples += [
                Sample(name, ("E:2x3", "E:3"), partial(F.compare, predicate=each), each.value)
                for each in elementwise.Predicate
            ]
        elif issubclass(op, elementwise.UnaryOp):
            samples.append(Sample(name, ("E:2x3",), lambda x, op=op: op(x).out))
        elif issubclass(op, elementwise.BinaryOp):
            samples.append(Sample(name, ("E:2x3", "E:3"), lambda x, y, op=op: op(x, y).out))
    return [
        *samples,
        Sample("gelu", ("E:2x3",), lambda x: F.gelu(x, elementwise.GeluForm.TANH), "tanh"),
        Sample("select", ("i1:2x1", "E:3", "E:"), F.select),
        Sample("clamp", ("E:2x3", "E:", "E:3"), F.clamp),
        *[
            Sample("cast", ("E:2x3",), partial(elementwise.CastOp, element=to), f"to {name}")
            for name, to in NAMED.items()
        ],
    ]


COMBINES = {"set": ELEMENTS, "add": NUMBERS, "mul": NUMBERS, "max": NUMBERS, "min": NUMBERS}


def scattered_elements(x: SSAValue, indices: SSAValue, updates: SSAValue, how: str) -> SSAValue:
    return F.scatter_elements(x, indices, updates, 0, how)


def shaping_samples() -> list[Sample]:
    return [
        Sample("constant", (), lambda: f32_constant(2, 2)),
        Sample("constant", (), lambda: F.constant([True, False]), "i1"),
        Sample("constant", (), lambda: F.constant(np.full((2, 3), 1.5), f64), "splat"),
        Sample("sizes", (), lambda: F.sizes([2, 5])),
        Sample("iota", (), lambda: F.iota((2, 3), 1, f32)),
        Sample("broadcast", ("E:3x1",), lambda x: F.broadcast(x, (2, 3, 4))),
        Sample("reshape", ("E:2x6",), lambda x: F.reshape(x, (3, 4))),
        Sample("transpose", ("E:2x3x4",), lambda x: F.transpose(x, (2, 0, 1))),
        Sample("concat", ("E:2x3", "E:2x1", "E:2x2"), lambda *inputs: F.concat(inputs, 1)),
        Sample("slice", ("E:5x6",), lambda x: F.slice_(x, (1, 5), (2, 3), (2, -2))),
        Sample("pad", ("E:2x3", "E:"), lambda x, v: F.pad(x, (1, 0), (0, 2), value=v)),
        Sample("pad", ("E:2x3",), lambda x: F.pad(x, (1, 0), (2, 2), "edge"), "edge"),
        Sample("pad", ("E:2x3",), lambda x: F.pad(x, (1, 0), (1, 2), "reflect"), "reflect"),
        Sample("reverse", ("E:2x3",), lambda x: F.reverse(x, (1,))),
        Sample("reverse", ("E:3x2",), lambda x: F.reverse(x, (0, 1)), "both"),
        Sample("tile", ("E:2x3",), lambda x: F.tile(x, (3, 2))),
        Sample("tile", ("E:2x3",), lambda x: F.tile(x, (0, 1)), "nothing"),
        Sample("gather", ("E:4x3", "i64:2x2"), lambda x, i: F.gather(x, i, 0)),
        Sample("gather_elements", ("E:4x3", "i32:2x3"), lambda x, i: F.gather_elements(x, i, 0)),
        Sample("gather_nd", ("E:4x3x2", "i64:4x2x1"), lambda x, i: F.gather_nd(x, i, 1)),
        *[
            Sample(
                "scatter_elements", ("E:4x3", "i64:2x3", "E:2x3"), partial(scattered_elements, how=how), how, accepts
            )
            for how, accepts in COMBINES.items()
        ],
        *[
            Sample("scatter_nd", ("E:4x3", "i64:2x1", "E:2x3"), partial(F.scatter_nd, combine=how), how, accepts)
            for how, accepts in COMBINES.items()
        ],
        Sample("one_hot", ("i64:2x3", "E:", "E:"), lambda i, off, on: F.one_hot(i, off, on, 4, 1)),
    ]


def contraction_samples() -> list[Sample]:
    windows = {"strides": (2, 1), "dilations": (1, 2), "low": (1, 0), "high": (0, 2)}
    return [
        Sample("matmul", ("E:3x4", "E:4x2"), F.matmul),
        Sample("matmul", ("E:2x1x3x4", "E:5x4x2", "E:2"), F.matmul, "batched, bias"),
        Sample("einsum", ("E:2x3", "E:3x4", "E:4"), lambda *inputs: F.einsum(inputs, "ij,jk,k->ki")),
        Sample("conv", ("E:2x4x7x6", "E:6x2x3x2", "E:6"), lambda *xs: F.conv(*xs, **windows, groups=2)),
        Sample("conv", ("E:1x2x7", "E:3x2x3"), F.conv, "1 d"),
        Sample(
            "conv_transpose", ("E:2x4x3x5", "E:4x3x3x2", "E:6"), lambda *xs: F.conv_transpose(*xs, **windows, groups=2)
        ),
        Sample("conv_transpose", ("E:1x2x4", "E:2x3x3"), F.conv_transpose, "1 d"),
        Sample(
            "conv_transpose",
            ("E:1x2x4", "E:2x3x2"),
            lambda x, w: F.conv_transpose(x, w, strides=(3,), low=(2,), high=(-2,)),
            "cropped more than a window, extended",
        ),
        Sample(
            "conv_transpose",
            ("E:1x1x2x3x2", "E:1x2x2x2x1"),
            lambda x, w: F.conv_transpose(x, w, strides=(2, 1, 3), high=(0, 1, -1)),
            "3 d",
        ),
        Sample("packed_matmul", ("E:3x5", "E:2x5x4x1", "E:8"), F.packed_matmul),
        Sample("packed_matmul", ("E:2x3x5", "E:2x3x4x2"), F.packed_matmul, "groups, the last not full"),
        Sample("winograd_conv", ("E:1x2x5x6", "E:4x4x3x2x1", "E:3"), F.winograd_conv),
        Sample(
            "winograd_conv",
            ("E:2x2x3x7", "E:6x6x1x2x2"),
            lambda *xs: F.winograd_conv(*xs, low=(1, 0), high=(2, 1)),
            "6x6 tiles, padded",
        ),
        Sample(
            "winograd_conv",
            ("E:2x3x7x2", "E:6x6x1x2x2", "E:2"),
            lambda *xs: F.winograd_conv(*xs, low=(1, 0), high=(2, 1), channels_last=True),
            "channels last",
        ),
        Sample(
            "channels_last_conv", ("E:2x6x7x4", "E:3x3x2x4x2", "E:6"), lambda *xs: F.channels_last_conv(*xs, **windows)
        ),
        Sample("channels_last_conv", ("E:1x8x3", "E:1x2x3x5"), F.channels_last_conv, "1 d"),
        Sample(
            "channels_last_depthwise_conv",
            ("E:2x6x7x4", "E:3x2x4", "E:4"),
            lambda *xs: F.channels_last_depthwise_conv(*xs, **windows),
        ),
        Sample("max_pool", ("E:2x3x6x7",), lambda x: F.max_pool(x, (2, 3), **windows)),
        Sample("avg_pool", ("E:2x3x6x7",), lambda x: F.avg_pool(x, (2, 3), **windows)),
        Sample(
            "avg_pool", ("E:2x3x6x7",), lambda x: F.avg_pool(x, (2, 3), **windows, include_pad=True), "with padding"
        ),
        Sample("resize", ("E:1x2x3x4",), lambda x: F.resize(x, (1, 2, 5, 7), "nearest", "asymmetric", "floor")),
    ]


def reduction_samples() -> list[Sample]:
    samples: list[Sample] = []
    for kind in ("sum", "prod", "max", "min", "mean", "any", "all"):
        build = getattr(F, f"reduce_{kind}")
        samples.append(Sample(f"reduce_{kind}", ("E:2x3x4",), lambda x, f=build: f(x, (0, -1))))
        samples.append(Sample(f"reduce_{kind}", ("E:2x3",), lambda x, f=build: f(x, keep_dims=True), "keep_dims"))
    for kind, build in (("argmax", F.argmax), ("argmin", F.argmin)):
        samples.append(Sample(kind, ("E:2x5",), lambda x, f=build: f(x, -1, keep_dims=True)))
    for kind in ("cumulative_sum", "cumulative_prod", "cumulative_max"):
        build = getattr(F, kind)
        samples.append(Sample(kind, ("E:2x5",), lambda x, f=build: f(x, -1)))
        samples.append(Sample(kind, ("E:5x2",), lambda x, f=build: f(x, 0, True, True), "exclusive, reverse"))
    return [
        *samples,
        Sample("sort", ("E:3x5",), lambda x: F.sort(x, 1, descending=True)),
        Sample("topk", ("E:3x5",), lambda x: F.topk(x, 2, 0, smallest=True)),
    ]


def composite_samples() -> list[Sample]:
    heads = ("E:2x4x3x5", "E:2x2x6x5", "E:2x2x6x2")
    image, parameter = "E:2x6x3x2", "E:6"
    return [
        Sample("softmax", ("E:2x5x3",), lambda x: F.softmax(x, 1)),
        Sample("log_softmax", ("E:2x5x3",), F.log_softmax),
        Sample("layer_norm", ("E:2x5x3", "E:5x3", "E:3"), lambda *xs: F.layer_norm(*xs, axis=1, epsilon=1e-3)),
        Sample("layer_norm", ("E:2x5", "E:1"), F.layer_norm, "no bias"),
        Sample("rms_norm", ("E:2x5x3", "E:5x3"), lambda *xs: F.rms_norm(*xs, axis=-2)),
        Sample("batch_norm", (image, parameter, parameter, parameter, "+E:6"), F.batch_norm),
        Sample("group_norm", (image, parameter, parameter), lambda *xs: F.group_norm(*xs, groups=3)),
        Sample("instance_norm", (image, parameter, parameter), F.instance_norm),
        Sample("attention", ("E:2x3x4x5", "E:2x3x6x5", "E:2x3x6x2"), F.attention),
        Sample("attention", (*heads, "i1:2x1x3x6"), F.attention, "grouped, i1 mask"),
        Sample(
            "attention", (*heads, "E:6"), lambda *xs: F.attention(*xs, scale=0.3, causal=True), "float mask, causal"
        ),
        Sample("attention", heads, lambda *xs: F.attention(*xs, causal=True, offset=-2), "rows that see nothing"),
        Sample("attention", heads, lambda *xs: F.attention(*xs, causal=True, offset=3), "offset"),
    ]


def recurrent_samples() -> list[Sample]:
    lstm = ("E:4x2x3", "E:1x20x3", "E:1x20x5")
    both = ("E:4x2x3", "E:2x20x3", "E:2x20x5", "E:2x40", "i32:2", "E:2x2x5", "E:2x2x5", "E:2x15")
    gru = ("E:4x2x3", "E:2x15x3", "E:2x15x5", "E:2x30", "i64:2", "E:2x2x5")

    def all_of_lstm(x: SSAValue, w: SSAValue, r: SSAValue, b: SSAValue, *others: SSAValue) -> Any:
        names = ("lengths", "initial_h", "initial_c", "peepholes")
        return F.lstm(x, w, r, b, **dict(zip(names, others)), direction="bidirectional")

    def all_of_gru(*xs: SSAValue, linear: bool) -> Any:
        options = {"direction": "bidirectional", "linear_before_reset": linear}
        return F.gru(*xs[:4], lengths=xs[4], initial_h=xs[5], **options)  # pyright: ignore

    return [
        Sample("lstm", lstm, F.lstm),
        Sample("lstm", (*lstm, "E:1x40"), lambda *xs: F.lstm(*xs, direction="reverse"), "bias, reverse"),
        Sample("lstm", both, all_of_lstm, "everything"),
        Sample("gru", ("E:4x2x3", "E:1x15x3", "E:1x15x5"), F.gru),
        Sample("gru", gru, partial(all_of_gru, linear=False), "everything"),
        Sample("gru", gru, partial(all_of_gru, linear=True), "everything, linear_before_reset"),
    ]


def control_samples() -> list[Sample]:
    def count_down(n: SSAValue, x: SSAValue) -> Any:
        def positive(carried: list[SSAValue]) -> SSAValue:
            return F.compare(carried[0], F.scalar(n, 0), "gt")

        def step(carried: list[SSAValue]) -> list[SSAValue]:
            return [F.sub(carried[0], F.scalar(n, 1)), F.add(carried[1], x)]

        return F.while_(positive, step, [n, x])

    def running_sums(x: SSAValue, start: SSAValue, reverse: bool = False) -> Any:
        def step(carried: list[SSAValue], slices: list[SSAValue]) -> Any:
            total = F.add(carried[0], slices[0])
            return [total], [total, F.neg(slices[0])]

        finals, stacked = F.scan(step, [start], [x], reverse=reverse)
        return [*finals, *stacked]

    def doubled(x: SSAValue, times: int) -> Any:
        finals, stacked = F.scan(lambda c, _: ([F.add(c[0], c[0])], [c[0]]), [x], length=times)
        return [*finals, *stacked]

    return [
        Sample("if", ("i1:", "f32:2"), lambda c, x: F.if_(c, lambda: [F.neg(x), x], lambda: [x, x])),
        Sample("while", ("i32:", "f32:2"), count_down),
        Sample("scan", ("f32:3x2", "f32:2"), running_sums),
        Sample("scan", ("f32:3x2", "f32:2"), partial(running_sums, reverse=True), "reverse"),
        Sample("scan", ("f32:2",), partial(doubled, times=3), "length"),
        Sample("scan", ("f32:2",), partial(doubled, times=0), "no steps"),
        Sample("yield", ("i1:",), lambda c: F.if_(c, list, list)),
    ]


def derivative_samples() -> list[Sample]:
    def checkpointed(x: SSAValue) -> Any:
        return derivatives.CheckpointOp(F.region_of(lambda _: [F.exp(x), F.neg(x)], ()))

    def own_gradient(x: SSAValue, y: SSAValue) -> Any:
        """x * y, which keeps both for a gradient that is right."""
        body = F.region_of(lambda v: [F.mul(v[0], v[1]), v[0], v[1]], [x.type, y.type])
        gradient = F.region_of(lambda v: [F.mul(v[2], v[1]), F.mul(v[2], v[0])], [x.type, y.type, x.type])
        return derivatives.CustomGradientOp([x, y], body, gradient, 2)

    return [
        Sample("barrier", ("E:2x3",), F.barrier),
        Sample("stop_gradient", ("f32:2x3",), F.stop_gradient),
        Sample("checkpoint", ("E:3",), checkpointed, accepts=FLOATS),
        Sample("custom_gradient", ("E:3", "E:3"), own_gradient, accepts=FLOATS),
    ]


def random_samples() -> list[Sample]:
    return [
        Sample(f"random_{kind}", ("u32:2",), lambda key, f=build, to=to: f(key, (5, 13), to, -1.5, 2.5), str(to))
        for kind, build in (("uniform", F.random_uniform), ("normal", F.random_normal))
        for to in (f64, f32, f16, bf16)
    ]


SAMPLES: tuple[Sample, ...] = (
    *elementwise_samples(),
    *shaping_samples(),
    *contraction_samples(),
    *reduction_samples(),
    *composite_samples(),
    *recurrent_samples(),
    *control_samples(),
    *derivative_samples(),
    *random_samples(),
)


def grouped(samples: Sequence[Sample], element: Attribute) -> tuple[ModuleOp, list[Array]]:
    """Several samples as one program, and its inputs."""

    def build(*arguments: SSAValue) -> list[SSAValue]:
        rest, results = list(arguments), list[SSAValue]()
        for sample in samples:
            made = sample.build(*rest[: len(sample.operands)])
            made = list(made.results) if isinstance(made, Operation) else made
            results += [made] if isinstance(made, SSAValue) else list(made)
            rest[: len(sample.operands)] = []
        return results

    types = [type for sample in samples for type in sample.types(element)]
    return program(types, build), [x for sample in samples for x in sample.inputs(element)]
