"""Derivatives: against central differences in float64, against each other, and of derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from ml_samples import SAMPLES, Array, Sample, operand_type, program, random_array
from strategies import programs
from xdsl.dialects.builtin import ModuleOp, StringAttr, f32, f64
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, SSAValue

from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import element_of
from xmlc.dialects.reference.interpreter import interpret
from xmlc.driver import compile_module
from xmlc.passes.differentiate import derivative
from xmlc.passes.differentiate.pull_back import UNDIFFERENTIATED, is_differentiable
from xmlc.verify import verify

STEP = 1e-6
DIFFERENTIATED = [
    sample
    for sample in SAMPLES
    if sample.op not in UNDIFFERENTIATED
    and f64 in sample.elements
    and any(each.lstrip("+").startswith("E") for each in sample.operands)
]


class Differentiated:
    """A module with @main, @main_vjp and @main_jvp, and inputs for it."""

    def __init__(self, module: ModuleOp, inputs: Sequence[Array]):
        self.module, self.inputs = module, inputs
        (main,) = [op for op in module.ops if isinstance(op, FuncOp)]
        self.wrt = [i for i, each in enumerate(main.function_type.inputs) if element_of(each) == f64]
        self.floats = [i for i, each in enumerate(main.function_type.outputs) if is_differentiable(each)]
        for forward in (False, True):
            module.body.block.add_op(derivative(main, self.wrt, forward=forward))
        verify(module)
        self.results = len(main.function_type.outputs)
        rng = np.random.default_rng(7)
        values = self.call("main", *inputs)
        self.cotangents = [rng.normal(size=values[i].shape).astype(values[i].dtype) for i in self.floats]
        self.tangents = [rng.normal(size=inputs[i].shape) for i in self.wrt]

    def call(self, name: str, *arguments: Array) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):
            return interpret(self.module, name, list(arguments))

    def along(self, distance: float) -> float:
        """The results at a distance from the inputs in direction of the tangents, weighted by the cotangents."""
        moved = list(self.inputs)
        for i, tangent in zip(self.wrt, self.tangents):
            moved[i] = moved[i] + distance * tangent
        values = self.call("main", *moved)
        return sum(float(np.sum(c * values[i])) for i, c in zip(self.floats, self.cotangents))

    def difference(self) -> float:
        return (self.along(STEP) - self.along(-STEP)) / (2 * STEP)

    def reverse(self) -> float:
        gradients = self.call("main_vjp", *self.inputs, *self.cotangents)[self.results :]
        return sum(float(np.sum(g * v)) for g, v in zip(gradients, self.tangents, strict=True))

    def forward(self) -> float:
        tangents = self.call("main_jvp", *self.inputs, *self.tangents)[self.results :]
        return sum(float(np.sum(c * t)) for c, t in zip(self.cotangents, tangents, strict=True))


@pytest.mark.parametrize("sample", DIFFERENTIATED, ids=str)
def test_every_op_has_the_gradient_of_its_central_differences(sample: Sample) -> None:
    inputs = [x if x.dtype != np.float64 else np.abs(x) * 0.4 + 0.2 for x in sample.inputs(f64)]
    if sample.name == "acosh":
        inputs = [x + 1 for x in inputs]
    made = Differentiated(sample.module(f64), inputs)
    if not made.floats:
        return  # what it gives are integers or truth values: there is nothing to differentiate
    reverse = made.reverse()
    np.testing.assert_allclose(made.forward(), reverse, rtol=1e-2 if lossy(sample) else 1e-9, atol=1e-9)
    if np.isfinite(difference := made.difference()) and not lossy(sample):
        np.testing.assert_allclose(reverse, difference, rtol=2e-5, atol=1e-7)


def lossy(sample: Sample) -> bool:
    """Whether a sample rounds to a type in which a small step is lost."""
    return sample.name == "cast"


Build = Callable[..., Any]


def tanh_step(carried: list[SSAValue], slices: list[SSAValue]) -> tuple[list[SSAValue], list[SSAValue]]:
    state = F.tanh(F.add(F.mul(carried[0], slices[0]), carried[0]))
    return [state], [F.mul(state, slices[0])]


def scanned(state: SSAValue, sequence: SSAValue, reverse: bool = False) -> list[SSAValue]:
    last, stacked = F.scan(tanh_step, [state], [sequence], reverse=reverse)
    return [*last, *stacked]


def branches(x: SSAValue, y: SSAValue, c: SSAValue) -> list[SSAValue]:
    positive = F.compare(c, F.scalar(c, 0), "gt")
    return F.if_(positive, lambda: [F.mul(x, F.exp(y))], lambda: [F.mul(F.sin(x), y)])


def repeated_product(state: SSAValue, weight: SSAValue) -> list[SSAValue]:
    """A scan without sequences, whose body uses a value from outside."""

    def step(carried: list[SSAValue], _: list[SSAValue]) -> tuple[list[SSAValue], list[SSAValue]]:
        return [F.tanh(F.matmul(carried[0], weight))], []

    return F.scan(step, [state], [], length=4)[0]


def nested(state: SSAValue, sequences: SSAValue) -> list[SSAValue]:
    return F.scan(lambda c, s: (scanned(c[0], s[0])[:1], []), [state], [sequences])[0]


def convolved(x: SSAValue, weight: SSAValue, bias: SSAValue) -> SSAValue:
    made = F.conv(x, weight, bias, strides=(2, 1), low=(1, 1), high=(0, 1), dilations=(1, 2))
    return F.max_pool(F.tanh(made), (2, 2))


COMPOSED: dict[str, tuple[tuple[str, ...], Build]] = {
    "if": (("E:3", "E:3", "E:"), branches),
    "scan": (("E:3", "E:4x3"), scanned),
    "reverse scan": (("E:3", "E:4x3"), lambda h, x: scanned(h, x, reverse=True)),
    "scan that uses a value from outside": (("E:1x3", "E:3x3"), repeated_product),
    "scan in a scan": (("E:3", "E:2x4x3"), nested),
    "convolution": (("E:2x3x5x5", "E:4x3x3x3", "E:4"), convolved),
    "strided convolution in groups": (
        ("E:2x4x7", "E:6x2x3"),
        lambda x, w: F.tanh(F.conv(x, w, strides=(3,), low=(1,), groups=2)),
    ),
    "transposed convolution": (
        ("E:2x4x6", "E:4x3x3"),
        lambda x, w: F.tanh(F.conv_transpose(x, w, strides=(2,), low=(1,), groups=2)),
    ),
    "lstm": (("E:5x2x3", "E:1x16x3", "E:1x16x4"), lambda x, w, r: F.lstm(x, w, r)[0]),
    "attention": (("E:2x2x3x4", "E:2x1x5x4", "E:2x1x5x4"), lambda q, k, v: F.attention(q, k, v, causal=True)),
    "layer_norm": (("E:2x6", "E:6"), F.layer_norm),
    "softmax of a product": (("E:2x3", "E:3x4"), lambda a, b: F.softmax(F.matmul(a, b))),
    "zero elements": (("E:0x3", "E:3"), lambda x, y: F.reduce_sum(F.mul(x, y))),
    "a value used twice": (("E:3",), lambda x: F.mul(F.exp(x), F.add(x, F.exp(x)))),
}


def composed(name: str) -> tuple[ModuleOp, list[Array]]:
    operands, build = COMPOSED[name]
    types = [operand_type(each, f64) for each in operands]
    rng = np.random.default_rng(0)
    return program(types, build), [random_array(rng, each) for each in types]


@pytest.mark.parametrize("name", COMPOSED)
def test_a_composition_has_the_derivatives_of_its_central_differences(name: str) -> None:
    made = Differentiated(*composed(name))
    np.testing.assert_allclose(made.reverse(), made.difference(), rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(made.forward(), made.reverse(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", COMPOSED)
def test_a_gradient_can_be_differentiated_again(name: str) -> None:
    module, inputs = composed(name)
    first = Differentiated(module, inputs)
    gradient = taken(module, "main_vjp")
    gradient.sym_name = StringAttr("main")
    second = Differentiated(ModuleOp([gradient]), [*inputs, *first.cotangents])
    np.testing.assert_allclose(second.reverse(), second.difference(), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", COMPOSED)
def test_a_gradient_runs_as_machine_code(name: str) -> None:
    made = Differentiated(*composed(name))
    expected = made.call("main_vjp", *made.inputs, *made.cotangents)
    compiled = compile_module(ModuleOp([taken(made.module, "main_vjp")]))
    for found, value in zip(compiled(*made.inputs, *made.cotangents), expected, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-10, atol=1e-12)


def taken(module: ModuleOp, name: str) -> FuncOp:
    """A function taken out of its module."""
    (found,) = [op for op in module.ops if isinstance(op, FuncOp) and op.sym_name.data == name]
    found.detach()
    return found


few = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@few
@given(module=programs(most=8))
def test_both_modes_agree_on_random_programs(module: ModuleOp) -> None:
    """<u, J v> = <J^T u, v> for what goes through the whole program in f32 and f64."""
    (main,) = [op for op in module.ops if isinstance(op, FuncOp)]
    types = list(main.function_type.inputs)
    if not any(map(is_differentiable, types)) or not any(map(is_differentiable, main.function_type.outputs)):
        return
    rng = np.random.default_rng(0)
    inputs = [random_array(rng, each) for each in types]  # pyright: ignore[reportArgumentType]
    for forward in (False, True):
        module.body.block.add_op(derivative(main, (), forward=forward))
    verify(module)
    results = list(main.function_type.outputs)
    with np.errstate(all="ignore"):
        values = interpret(module, "main", inputs)
        u = [rng.normal(size=v.shape).astype(v.dtype) for v, each in zip(values, results) if is_differentiable(each)]
        v = [rng.normal(size=x.shape).astype(x.dtype) for x, each in zip(inputs, types) if is_differentiable(each)]
        pulled = interpret(module, "main_vjp", [*inputs, *u])[len(results) :]
        pushed = interpret(module, "main_jvp", [*inputs, *v])[len(results) :]
    left = sum(float(np.sum(a.astype(np.float64) * b)) for a, b in zip(u, pushed, strict=True))
    right = sum(float(np.sum(a.astype(np.float64) * b)) for a, b in zip(pulled, v, strict=True))
    size = sum(float(np.sum(np.abs(a.astype(np.float64) * b))) for a, b in zip(pulled, v))
    np.testing.assert_allclose(left, right, rtol=1e-3, atol=1e-4 * (1 + size))


# --- what cannot be differentiated


def function(types: Sequence[Attribute], build: Build) -> FuncOp:
    (made,) = [op for op in program(types, build).ops if isinstance(op, FuncOp)]
    return made


def test_a_while_loop_is_not_differentiated_backwards() -> None:
    def build(x: SSAValue) -> list[SSAValue]:
        one = F.scalar(x, 1)
        return F.while_(lambda c: F.compare(c[0], one, "lt"), lambda c: [F.add(c[0], one)], [x])

    with pytest.raises(CompileError, match=r"cannot differentiate ml\.while: it keeps no record of its steps"):
        derivative(function([operand_type("f32:")], build), ())


def test_a_size_known_only_at_run_time_is_refused() -> None:
    with pytest.raises(CompileError, match=r"cannot differentiate ml\.exp: it has a size known only"):
        derivative(function([operand_type("f32:?")], F.exp), ())


def test_an_argument_to_differentiate_by_must_exist() -> None:
    with pytest.raises(CompileError, match="@main has 1 arguments and no number 2, counted from 0"):
        derivative(function([operand_type("f32:3")], F.exp), (2,))


def test_an_argument_to_differentiate_by_must_be_a_floating_point_number() -> None:
    with pytest.raises(CompileError, match="cannot differentiate @main by argument 0, which is tensor<3xi32>"):
        derivative(function([operand_type("i32:3")], F.neg), (0,))


def test_a_result_that_does_not_depend_on_an_argument_has_gradient_zero() -> None:
    module = program([operand_type("f32:3"), operand_type("f32:2")], lambda x, y: F.exp(x))
    (main,) = [op for op in module.ops if isinstance(op, FuncOp)]
    module.body.block.add_op(derivative(main, ()))
    x = np.ones(3, np.float32)
    *_, gradient = interpret(module, "main_vjp", [x, np.ones(2, np.float32), x])
    np.testing.assert_array_equal(gradient, np.zeros(2, np.float32))
    assert main.function_type.outputs.data[0] == operand_type("f32:3", f32)
