"""Scatters as kernels: updates that threads make atomically, and those that stay in order."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from gpu_corpus import needs_ptxas
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_on_threads import mapped, run
from ml_samples import NAMED, Array, program
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.memref import AtomicRMWOp
from xdsl.dialects.scf import ForOp

from xmlc.backends.cuda.compile import assembled, llvm_ir, ptx
from xmlc.backends.cuda.stages import CUDA, fitted
from xmlc.backends.cuda.target import parse_cuda
from xmlc.backends.stages import Stage
from xmlc.dialects import gpu
from xmlc.dialects.dtypes import TO_NUMPY
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import tensor
from xmlc.dialects.reference.interpreter import interpret
from xmlc.driver import Settings, key_of

IN_ORDER = [Stage(each.name, tuple(fitted(each.passes, parse_cuda("cuda"), deterministic=True))) for each in CUDA]

BUILD: dict[str, Any] = {
    "elements": lambda x, places, updates, how: F.scatter_elements(x, places, updates, 0, how),
    "rows": lambda x, places, updates, how: F.scatter_nd(x, places, updates, how),
}


def arrays(kind: str, element: str, rows: int, columns: int, updates: int, seed: int = 0) -> list[Array]:
    """x, places (some out of range, most of them met often) and updates."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(TO_NUMPY[NAMED[element]])
    places = rng.integers(-2, rows + 2, (updates, columns if kind == "elements" else 1))
    x, values = (rng.normal(0, 100, (size, columns)).astype(dtype) for size in (rows, updates))
    return [x, places, values]


def scattering(kind: str, how: str, given: list[Array], element: str) -> ModuleOp:
    types = [tensor(list(each.shape), NAMED[name]) for each, name in zip(given, (element, "i64", element))]
    return program(types, partial(BUILD[kind], how=how))


def scattering_kernel(module: ModuleOp) -> gpu.FuncOp:
    """The kernel that comes after the copy of x."""
    (*_, last) = (op for op in module.walk() if isinstance(op, gpu.FuncOp))
    return last


def count(op: Any, kind: type[Any]) -> int:
    return sum(isinstance(each, kind) for each in op.walk())


@pytest.mark.parametrize("kind", BUILD)
@pytest.mark.parametrize(
    "element, how",
    [*((each, "add") for each in ("f32", "f64", "i32", "i64", "u32")), ("f32", "max"), ("i64", "min"), ("u64", "max")],
)
def test_each_update_is_a_threads(kind: str, element: str, how: str) -> None:
    given = arrays(kind, element, 5, 7, 40)
    (expected,) = interpret(scattering(kind, how, given, element), "main", [each.copy() for each in given])
    module = mapped(scattering(kind, how, given, element))
    kernel = scattering_kernel(module)
    assert count(kernel, AtomicRMWOp) == 1 and not count(kernel, ForOp)
    found = run(module, given)[0].view(expected.dtype)
    np.testing.assert_allclose(found, expected, rtol=1e-5 if element == "f32" else 1e-12, atol=1e-3)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 9), st.integers(1, 5), st.integers(0, 60), st.sampled_from(["add", "max", "min"]), st.integers())
def test_whole_numbers_are_the_same_in_any_order(rows: int, columns: int, updates: int, how: str, seed: int) -> None:
    given = arrays("rows", "i32", rows, columns, updates, seed % 2**32)
    (expected,) = interpret(scattering("rows", how, given, "i32"), "main", [each.copy() for each in given])
    np.testing.assert_array_equal(run(mapped(scattering("rows", how, given, "i32")), given)[0], expected)


@pytest.mark.parametrize("kind", BUILD)
def test_sums_that_must_be_the_same_in_every_run_stay_in_order(kind: str) -> None:
    """Bit by bit what the reference gives; columns, of which an update changes one, are still shared."""
    given = arrays(kind, "f32", 5, 7, 40)
    (expected,) = interpret(scattering(kind, "add", given, "f32"), "main", [each.copy() for each in given])
    module = mapped(scattering(kind, "add", given, "f32"), IN_ORDER)
    kernel = scattering_kernel(module)
    assert not count(kernel, AtomicRMWOp) and count(kernel, ForOp) == 1
    np.testing.assert_array_equal(run(module, given)[0], expected)


@pytest.mark.parametrize("element, how", [("f32", "set"), ("f32", "mul"), ("bf16", "add"), ("i8", "add")])
def test_what_no_instruction_combines_stays_in_order(element: str, how: str) -> None:
    given = arrays("rows", element, 5, 7, 12)
    assert not count(mapped(scattering("rows", how, given, element)), AtomicRMWOp)


def test_the_greatest_of_floats_needs_no_order() -> None:
    given = arrays("rows", "f32", 5, 7, 12)
    assert count(mapped(scattering("rows", "max", given, "f32"), IN_ORDER), AtomicRMWOp) == 1


def test_the_cache_knows_sums_in_order_from_others() -> None:
    module = scattering("rows", "add", arrays("rows", "f32", 5, 7, 12), "f32")
    target = parse_cuda("cuda:sm_90a")
    ordered, fast = (key_of(module, Settings(target=target, deterministic=each)) for each in (True, False))
    assert ordered != fast


@needs_ptxas
@pytest.mark.parametrize("element, how", [("f32", "add"), ("f64", "add"), ("i64", "max"), ("f32", "min")])
def test_kernels_assemble(element: str, how: str) -> None:
    target = parse_cuda("cuda:sm_80")
    module = mapped(scattering("rows", how, arrays("rows", element, 5, 7, 12), element))
    assert all(each.spill_bytes == 0 for each in assembled(ptx(llvm_ir(module, target), target), target).resources)
