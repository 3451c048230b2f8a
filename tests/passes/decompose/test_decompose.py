"""What `decompose` leaves means what was there, for every op that has a row and every element type."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ml_samples import SAMPLES, Sample, operand_type, program
from xdsl.context import Context
from xdsl.dialects.builtin import FileLineColLoc, IntAttr, ModuleOp, StringAttr, UnknownLoc, bf16, f16, f32, f64
from xdsl.ir import Attribute

from xmlc.dialects import context
from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml import functions as F
from xmlc.dialects.reference.interpreter import interpret
from xmlc.parse import parse_module
from xmlc.passes.decompose import DECOMPOSITIONS, Decompose

TOLERANCE: dict[Attribute, float] = {f64: 1e-12, f32: 2e-5, f16: 2e-3, bf16: 2e-2}
CASES = [(sample, element) for sample in SAMPLES if sample.op in DECOMPOSITIONS for element in sample.elements]


def decomposed(module: ModuleOp) -> ModuleOp:
    copy = module.clone()
    Decompose().apply(Context(), copy)
    copy.verify()
    return copy


@pytest.mark.parametrize(("sample", "element"), CASES, ids=[f"{sample}-{element}" for sample, element in CASES])
def test_decomposing_keeps_the_meaning(sample: Sample, element: Attribute) -> None:
    before = sample.module(element)
    after = decomposed(before)
    assert not [op for op in after.walk() if type(op) in DECOMPOSITIONS]
    for seed in range(3):
        inputs = sample.inputs(element, seed)
        for result, expected in zip(interpret(after, "main", inputs), interpret(before, "main", inputs), strict=True):
            expect_close(result, expected, element)


def expect_close(result: np.ndarray[Any, Any], expected: np.ndarray[Any, Any], element: Attribute) -> None:
    assert result.dtype == expected.dtype and result.shape == expected.shape
    if element not in TOLERANCE:
        np.testing.assert_array_equal(result, expected)
        return
    tolerance = TOLERANCE[element]
    np.testing.assert_allclose(
        result.astype(np.float64), expected.astype(np.float64), rtol=tolerance, atol=tolerance, equal_nan=True
    )


@pytest.mark.parametrize("sample", dict.fromkeys(sample for sample, _ in CASES), ids=str)
def test_what_decomposing_leaves_can_be_printed_and_read(sample: Sample) -> None:
    after = decomposed(sample.module(f32))
    assert parse_module(str(after), "after.mlir", context()).is_structurally_equivalent(after)


def test_a_sample_exists_for_every_row() -> None:
    assert {sample.op for sample, _ in CASES} == set(DECOMPOSITIONS)


def test_large_inputs_do_not_overflow() -> None:
    module = decomposed(program([operand_type("f32:2x3")], lambda x: [F.softmax(x), F.log_softmax(x)]))
    x = np.array([[1e30, 1e30, 0], [-1e30, 5, 5]], np.float32)
    softmax, log_softmax = interpret(module, "main", [x])
    np.testing.assert_allclose(softmax, [[0.5, 0.5, 0], [0, 0.5, 0.5]])
    np.testing.assert_allclose(log_softmax, np.float32([[-np.log(2)] * 2 + [-1e30], [-1e30] + [-np.log(2)] * 2]))


def test_the_variance_of_close_numbers_far_from_zero_is_not_cancelled() -> None:
    module = decomposed(program([operand_type("f32:1x4"), operand_type("f32:4")], F.layer_norm))
    x = np.array([[1000.0, 1000.5, 1001.0, 1001.5]], np.float32)
    (result,) = interpret(module, "main", [x, np.ones(4, np.float32)])
    np.testing.assert_allclose(result, [[-1.341641, -0.447214, 0.447214, 1.341641]], rtol=1e-4)


@pytest.mark.parametrize("mask", ["i1:1x1x2x3", "f32:1x1x2x3"])
def test_a_row_of_attention_that_sees_nothing_is_zero(mask: str) -> None:
    types = [operand_type("f32:1x1x2x4"), *[operand_type("f32:1x1x3x4")] * 2, operand_type(mask)]
    module = program(types, F.attention)
    seen = np.array([[[[False] * 3, [True] * 3]]])
    values = seen if mask.startswith("i1") else np.where(seen, np.float32(0), np.float32(-np.inf))
    inputs = [np.ones((1, 1, n, 4), np.float32) for n in (2, 3, 3)]
    for each in (module, decomposed(module)):
        (result,) = interpret(each, "main", [*inputs, values])
        np.testing.assert_allclose(result, [[[[0] * 4, [1] * 4]]])


def test_the_input_of_all_steps_is_multiplied_outside_the_scan() -> None:
    sample = next(each for each in SAMPLES if each.name == "lstm")
    (scan,) = [op for op in decomposed(sample.module(f32)).walk() if op.name == "ml.scan"]
    inside = [op.name for op in scan.walk() if op.name == "ml.matmul"]
    assert len(inside) == 1


def test_what_is_made_has_the_location_of_the_op() -> None:
    module = program([operand_type("f32:2x3"), operand_type("f32:3")], F.layer_norm)
    place = FileLineColLoc(StringAttr("net.toy"), IntAttr(7), IntAttr(12))
    next(op for op in module.walk() if op.name == "ml.layer_norm").location = place
    made = [op for op in decomposed(module).walk() if op.name.startswith("ml.")]
    assert made and {op.location for op in made} == {place}


def test_a_composite_inside_a_region_is_decomposed() -> None:
    def step(carried: list[Any], slices: list[Any]) -> Any:
        return [F.softmax(carried[0])], slices

    types = [operand_type("f32:3"), operand_type("f32:2x3")]
    module = program(types, lambda init, xs: F.scan(step, [init], [xs])[0])
    assert not [op for op in decomposed(module).walk() if op.name == "ml.softmax"]


def test_a_size_known_only_at_run_time_is_reported_with_its_place() -> None:
    module = program([operand_type("f32:?x3")], lambda x: F.reduce_mean(x, (0,)))
    op = next(op for op in module.walk() if op.name == "ml.reduce_mean")
    assert isinstance(op.location, UnknownLoc)
    op.location = FileLineColLoc(StringAttr("net.toy"), IntAttr(7), IntAttr(12))
    with pytest.raises(CompileError) as caught:
        Decompose().apply(Context(), module)
    assert str(caught.value) == (
        "net.toy:7:12: error: cannot decompose ml.reduce_mean: "
        "tensor<?x3xf32> has a size that is known only at run time\n"
        "hint: compile the program for given sizes of its inputs"
    )


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(CompileError) as error:
        Decompose("recurent").apply(Context(), ModuleOp([]))
    assert "unknown kind of op 'recurent'" in str(error.value)
    assert "recurrent" in str(error.value.diagnostics[0].hint)


@pytest.mark.parametrize("element", ["i8", "i16", "i32", "u8", "u16"])
def test_the_mean_of_small_integers_does_not_wrap(element: str) -> None:
    module = program([operand_type(f"{element}:300x2")], lambda x: F.reduce_mean(x, (0,)))
    dtype = np.dtype({"i": "int", "u": "uint"}[element[0]] + element[1:])
    x = np.full((300, 2), np.iinfo(dtype).max - 1, dtype)
    for each in (module, decomposed(module)):
        (mean,) = interpret(each, "main", [x])
        assert mean.dtype == dtype and (mean == np.iinfo(dtype).max - 1).all()
