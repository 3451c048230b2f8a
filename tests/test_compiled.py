"""Compiled modules as Python functions: what they take, what they refuse, and that calls do not disturb each other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from xdsl.builder import ImplicitBuilder
from xdsl.dialects import func
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, StringAttr, UnitAttr, f32
from xdsl.ir import Block, Region

from xmlc.compiled import CompiledModule
from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import tensor
from xmlc.driver import compile_module

WEIGHT = np.arange(12, dtype=np.float32).reshape(3, 4)


def program() -> ModuleOp:
    """main(x: 2x3, w: 3x4 a weight) = softmax(x @ w)"""
    types = [tensor((2, 3), f32), tensor((3, 4), f32)]
    block = Block(arg_types=types)
    with ImplicitBuilder(block):
        out = F.softmax(F.matmul(*block.args), 1)
        func.ReturnOp(out)
    names: list[dict[str, Any]] = [
        {"ml.name": StringAttr("x")},
        {"ml.name": StringAttr("w"), "ml.weight": UnitAttr()},
    ]
    attributes = ArrayAttr(map(DictionaryAttr, names))
    return ModuleOp([func.FuncOp("main", (types, [out.type]), Region(block), arg_attrs=attributes)])


@pytest.fixture(scope="module")
def compiled() -> CompiledModule:
    return compile_module(program(), {"w": WEIGHT})


def expected(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    scores = x.astype(np.float64) @ WEIGHT
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def inputs(seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal((2, 3)).astype(np.float32)


def test_a_call_gives_what_the_program_means(compiled: CompiledModule) -> None:
    (out,) = compiled(inputs())
    np.testing.assert_allclose(out, expected(inputs()), rtol=1e-5)


def test_a_strided_input_is_copied(compiled: CompiledModule) -> None:
    x = inputs()
    (out,) = compiled(np.asfortranarray(x))
    np.testing.assert_allclose(out, expected(x), rtol=1e-5)


def test_an_input_off_its_alignment_is_copied(compiled: CompiledModule) -> None:
    x = inputs()
    memory = np.zeros(x.nbytes + 1, np.uint8)
    moved = memory[1:].view(np.float32).reshape(x.shape)
    moved[...] = x
    (out,) = compiled(moved)
    np.testing.assert_allclose(out, expected(x), rtol=1e-5)


def test_an_object_that_speaks_dlpack_is_taken(compiled: CompiledModule) -> None:
    class Foreign:
        def __init__(self, array: np.ndarray[Any, Any]):
            self.array = array

        def __dlpack__(self, **options: Any) -> Any:
            return self.array.__dlpack__(**options)

        def __dlpack_device__(self) -> Any:
            return self.array.__dlpack_device__()

    (out,) = compiled(Foreign(inputs()))
    np.testing.assert_allclose(out, expected(inputs()), rtol=1e-5)


def test_outputs_of_different_calls_are_different_arrays(compiled: CompiledModule) -> None:
    (first,), (second,) = compiled(inputs(1)), compiled(inputs(2))
    np.testing.assert_allclose(first, expected(inputs(1)), rtol=1e-5)
    np.testing.assert_allclose(second, expected(inputs(2)), rtol=1e-5)


def test_several_threads_may_call_at_once(compiled: CompiledModule) -> None:
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda seed: compiled(inputs(seed))[0], range(200)))
    for seed, out in enumerate(results):
        np.testing.assert_allclose(out, expected(inputs(seed)), rtol=1e-5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((), "expected 1 inputs, found 0"),
        ((inputs(), inputs()), "expected 1 inputs, found 2"),
        ((inputs().T.copy(),), "input 'x' has shape 3x2, expected 2x3"),
        ((inputs().astype(np.float64),), "input 'x' has element type float64, expected float32"),
    ],
)
def test_a_wrong_input_is_refused(compiled: CompiledModule, given: tuple[Any, ...], message: str) -> None:
    with pytest.raises(CompileError) as error:
        compiled(*given)
    assert message in str(error.value)


def test_missing_weights_are_named() -> None:
    with pytest.raises(CompileError) as error:
        compile_module(program())
    assert "1 weights are missing: w: tensor<3x4xf32>" in str(error.value)


def test_calls_after_the_first_take_the_same_inputs(compiled: CompiledModule) -> None:
    x = inputs()
    for each in (x, x, np.asfortranarray(x), x.tolist, x):
        if callable(each):
            with pytest.raises(CompileError):
                compiled(each)
        else:
            np.testing.assert_allclose(compiled(each)[0], expected(x), rtol=1e-5)
