"""The passes made of laws keep the meaning of programs: random ones, and the ones that show each law."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ml_samples import operand_type, program
from oracle import parse
from strategies import programs
from xdsl.context import Context
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, StringAttr, UnitAttr, f32, i32
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue

from xmlc.check import check_pipeline
from xmlc.dialects.ml import functions as F
from xmlc.dialects.reference.interpreter import interpret
from xmlc.driver import compile_module
from xmlc.passes.fold import Fold
from xmlc.passes.fuse_patterns import LAWS as PATTERNS
from xmlc.passes.fuse_patterns import FusePatterns
from xmlc.passes.hoist_weights import HoistWeights
from xmlc.passes.laws import Holds
from xmlc.passes.simplify import LAWS as ALGEBRA
from xmlc.passes.simplify import Simplify
from xmlc.passes.strength_reduction import LAWS as STRENGTH
from xmlc.passes.strength_reduction import StrengthReduction
from xmlc.pipeline import read_pipeline

ALL = (*ALGEBRA, *STRENGTH, *PATTERNS)
FILES = Path(__file__).resolve().parents[2] / "filecheck_tests" / "passes"
NAMES = ("simplify", "fold", "strength-reduction", "fuse-patterns", "hoist-weights")
PIPELINES = (*NAMES, "simplify{fast-math=true}", ",".join([*NAMES[:-1], *NAMES]))

few = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("pipeline", PIPELINES)
@few
@given(module=programs(most=10))
def test_random_programs_keep_their_meaning(pipeline: str, module: ModuleOp) -> None:
    mark_weights(module)
    check_pipeline(module, read_pipeline(pipeline))
    module.verify()


def mark_weights(module: ModuleOp) -> None:
    """Make weights of all arguments of @main but the first."""
    (main,) = [op for op in module.ops if isinstance(op, FuncOp)]
    attributes = [DictionaryAttr({"ml.weight": UnitAttr()} if i else {}) for i in range(len(main.args))]
    main.properties["arg_attrs"] = ArrayAttr(attributes)


@pytest.mark.parametrize("name", NAMES)
def test_the_programs_that_show_a_law_keep_their_meaning(name: str) -> None:
    text = (FILES / f"{name}.mlir").read_text(encoding="utf-8")
    for part in re.split(r"^// -----$", text, flags=re.MULTILINE):
        check_pipeline(parse(part), read_pipeline(name))


@pytest.mark.parametrize("each", ALL, ids=lambda each: each.name)
def test_a_law_states_itself_in_one_line(each: object) -> None:
    assert "->" in each.function.__doc__ or "change nothing" in each.function.__doc__  # pyright: ignore


def test_every_law_has_a_name_of_its_own() -> None:
    names = [each.name for each in ALL]
    assert sorted(set(names)) == sorted(names)


def ops(module: ModuleOp) -> list[str]:
    return [op.name.removeprefix("ml.") for op in module.walk() if op.name.startswith("ml.")]


def applied(module: ModuleOp, *passes: Simplify | Fold | StrengthReduction | FusePatterns | HoistWeights) -> ModuleOp:
    for each in passes:
        each.apply(Context(), module)
    module.verify()
    return module


SPECIAL = np.array([0.0, -0.0, 1.5, -2.0, np.inf, -np.inf, np.nan, 3.4e38, 1e-40], np.float32)

EXACT = {
    "x - 0": lambda x: F.sub(x, F.scalar(x, 0.0)),
    "x + -0": lambda x: F.add(x, F.scalar(x, -0.0)),
    "x * 1": lambda x: F.mul(x, F.scalar(x, 1.0)),
    "x * -1": lambda x: F.mul(x, F.scalar(x, -1.0)),
    "-(-x)": lambda x: F.neg(F.neg(x)),
    "x / 4": lambda x: F.div(x, F.scalar(x, 4.0)),
    "x ^ 0": lambda x: F.pow_(x, F.scalar(x, 0.0)),
    "x ^ 1": lambda x: F.pow_(x, F.scalar(x, 1.0)),
    "x ^ -1": lambda x: F.pow_(x, F.scalar(x, -1.0)),
    "(x * x) ^ 0.5": lambda x: F.pow_(F.mul(x, x), F.scalar(x, 0.5)),
    "max(x, -inf)": lambda x: F.max_(x, F.scalar(x, -np.inf)),
    "min(max(x, -1), 1)": lambda x: F.min_(F.max_(x, F.scalar(x, -1.0)), F.scalar(x, 1.0)),
    "max(min(x, 1), -1)": lambda x: F.max_(F.min_(x, F.scalar(x, 1.0)), F.scalar(x, -1.0)),
    "clamp(clamp(x))": lambda x: F.clamp(
        F.clamp(x, F.scalar(x, -1.0), F.scalar(x, 4.0)), F.scalar(x, 1.0), F.scalar(x, 9.0)
    ),
    "relu(relu(x))": lambda x: F.relu(F.relu(x)),
    "floor(ceil(x))": lambda x: F.floor(F.ceil(x)),
    "x != x": lambda x: F.compare(x, x, "ne"),
    "max(x, x / 4)": lambda x: F.max_(x, F.mul(x, F.scalar(x, 0.25))),
}


@pytest.mark.parametrize("name", EXACT)
def test_an_exact_law_is_exact_of_special_numbers(name: str) -> None:
    before = program([operand_type("f32:9")], EXACT[name])
    after = applied(before.clone(), Simplify(), StrengthReduction(), FusePatterns(), Simplify())
    assert ops(after) != ops(before), "no law applied"
    (expected,), (found,) = interpret(before, "main", [SPECIAL]), interpret(after, "main", [SPECIAL])
    np.testing.assert_array_equal(found, expected)
    if expected.dtype == np.float32:
        number = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(found[number]), np.signbit(expected[number]))


@pytest.mark.parametrize("name", ["add_zero", "real_times_zero", "power_one_half", "divide_by_number"])
def test_what_needs_fast_math_says_so(name: str) -> None:
    (found,) = [each for each in ALL if each.name == name]
    assert found.holds is Holds.FAST_MATH


def test_integers_that_are_divided_keep_rounding_to_zero() -> None:
    n = np.arange(-9, 10, dtype=np.int32)

    def build(x: object) -> Sequence[object]:
        return [f(x, F.scalar(x, 4)) for f in (F.div, F.rem, F.floor_div, F.mul)]  # pyright: ignore

    before = program([operand_type("i32:19")], build)
    after = applied(before.clone(), StrengthReduction())
    for found, expected in zip(interpret(after, "main", [n]), interpret(before, "main", [n])):
        np.testing.assert_array_equal(found, expected)


def test_folding_keeps_results_below_the_limit() -> None:
    module = applied(program([], lambda: F.broadcast(F.constant(np.float32(2)), (64, 64))), Fold(max_elements=1024))
    assert ops(module) == ["constant", "broadcast"]


# --- weights that are prepared at load


def with_weights(count: int, *types: str) -> tuple[ModuleOp, list[str]]:
    """A convolution and a batch norm of `types`, all arguments but the first `count` being weights."""
    module = program(
        [operand_type(each) for each in types],
        lambda x, w, s, b, m, v: F.batch_norm(F.conv(x, w), s, b, m, F.mul(v, v)),
    )
    names = [f"argument{i}" for i in range(len(types))]
    labels = [
        DictionaryAttr({"ml.name": StringAttr(name)} | ({"ml.weight": UnitAttr()} if i >= count else {}))
        for i, name in enumerate(names)
    ]
    (main,) = [op for op in module.ops if isinstance(op, FuncOp)]
    main.properties["arg_attrs"] = ArrayAttr(labels)
    return module, names


TYPES = ("f32:2x3x8", "f32:4x3x3", "f32:4", "f32:4", "f32:4", "f32:4")


def inputs() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=[int(n) for n in each[4:].split("x")]).astype(np.float32) for each in TYPES]


def test_a_batch_norm_is_folded_into_weights_at_load() -> None:
    module, names = with_weights(1, *TYPES)
    arrays = inputs()
    expected = interpret(module, "main", arrays)
    after = applied(module.clone(), FusePatterns(), HoistWeights())
    functions = {op.sym_name.data: op for op in after.ops if isinstance(op, FuncOp)}
    assert set(functions) == {"main", "prepare"}
    assert [op.name for op in functions["main"].body.block.ops] == ["ml.conv", "func.return"]
    compiled = compile_module(module, dict(zip(names[1:], arrays[1:])))
    assert [each.name for each in compiled.signature.weights] == ["prepared.0", "prepared.1"]
    for _ in range(2):
        np.testing.assert_allclose(compiled(arrays[0])[0], expected[0], rtol=1e-5, atol=1e-5)


def test_a_module_without_weights_has_nothing_to_prepare() -> None:
    module, _ = with_weights(len(TYPES), *TYPES)
    arrays = inputs()
    expected = interpret(module, "main", arrays)
    after = applied(module.clone(), FusePatterns(), HoistWeights())
    assert [op.sym_name.data for op in after.ops if isinstance(op, FuncOp)] == ["main"]
    np.testing.assert_allclose(compile_module(module)(*arrays)[0], expected[0], rtol=1e-5, atol=1e-5)


def test_the_checker_follows_weights_through_every_stage() -> None:
    from xmlc.backends.cpu.stages import CPU

    module, _ = with_weights(1, *TYPES)
    passes = [each for stage in CPU for each in stage.passes]
    check_pipeline(module, passes)
    assert [op.name for op in module.walk() if isinstance(op, Operation) and op.name.startswith("ml.")] == []


@pytest.mark.parametrize("swapped", [False, True])
def test_a_product_of_one_hot_rows_is_a_look_up_even_out_of_range(swapped: bool) -> None:
    def build(indices: SSAValue, table: SSAValue) -> SSAValue:
        row = F.iota((1, 1, 7), 2, i32)
        hot = F.compare(row, indices, "eq") if swapped else F.compare(indices, row, "eq")
        return F.matmul(F.cast(hot, f32), table)

    before = program([operand_type("i32:2x5x1"), operand_type("f32:7x3")], build)
    after = applied(before.clone(), FusePatterns())
    assert "gather" in ops(after) and "matmul" not in ops(after)
    indices = np.array([[-3, -1, 0, 1, 2], [5, 6, 7, 8, 2**31 - 1]], np.int32).reshape(2, 5, 1)
    table = np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32)
    (expected,), (found,) = (interpret(each, "main", [indices, table]) for each in (before, after))
    np.testing.assert_array_equal(found, expected)


@few
@given(mean=st.sampled_from([0.0, 1.0, -20.0]), sizes=st.tuples(*[st.integers(2, 6)] * 3), axis=st.integers(0, 2))
def test_a_norm_by_squares_is_as_exact_as_the_norm_that_centres(
    mean: float, sizes: tuple[int, int, int], axis: int
) -> None:
    axes = tuple(range(axis, 3))

    def build(x: SSAValue) -> SSAValue:
        average = F.reduce_mean(x, axes, keep_dims=True)
        of_squares = F.reduce_mean(F.mul(x, x), axes, keep_dims=True)
        variance = F.sub(of_squares, F.mul(average, average))
        return F.mul(F.sub(x, average), F.rsqrt(F.add(variance, F.scalar(variance, 1e-3))))

    before = program([operand_type("f32:" + "x".join(map(str, sizes)))], build)
    after = applied(before.clone(), FusePatterns())
    assert ops(after) == ["constant", "layer_norm"]
    x = (np.random.default_rng(0).standard_normal(sizes) + mean).astype(np.float32)
    centred = x - x.mean(axes, np.float64, keepdims=True)
    expected = centred / np.sqrt((centred**2).mean(axes, keepdims=True) + 1e-3)
    np.testing.assert_allclose(interpret(after, "main", [x])[0], expected, rtol=1e-4, atol=1e-5)
    if mean != -20.0:  # where the spelling itself has digits left
        np.testing.assert_allclose(interpret(before, "main", [x])[0], expected, rtol=1e-3, atol=1e-4)
