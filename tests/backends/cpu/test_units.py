"""A module in several units, compiled by several threads and linked, does what it does in one."""

from __future__ import annotations

import random

import numpy as np
import pytest
from ml_samples import SAMPLES, grouped
from xdsl.dialects import func, memref
from xdsl.dialects.builtin import ModuleOp, f32

from xmlc.backends.cpu.emit import emit_units, units
from xmlc.backends.cpu.target import host
from xmlc.compiled import CompiledModule
from xmlc.dialects import context
from xmlc.dialects.reference.interpreter import interpret
from xmlc.driver import Compiled, Settings, compile_anew, entry_of
from xmlc.meaning import difference
from xmlc.parse import parse_module

KERNELS = """
"memref.global"() <{sym_name = "table", sym_visibility = "private", type = memref<2xf32>,
  initial_value = dense<[1.0, 4.0]> : tensor<2xf32>, constant}> : () -> ()
func.func @main(%x: memref<2xf32>, %y: memref<2xf32>) {
  func.call @sqrt(%x) : (memref<2xf32>) -> ()
  func.call @sqrt_2(%y) : (memref<2xf32>) -> ()
  func.return
}
func.func private @sqrt(%x: memref<2xf32>) attributes {xmlc.kernel} {
  %table = memref.get_global @table : memref<2xf32>
  func.call @add(%table, %x) : (memref<2xf32>, memref<2xf32>) -> ()
  func.return
}
func.func private @sqrt_2(%x: memref<2xf32>) attributes {xmlc.kernel} {
  %table = memref.get_global @table : memref<2xf32>
  func.call @add(%table, %x) : (memref<2xf32>, memref<2xf32>) -> ()
  func.return
}
func.func private @add(%x: memref<2xf32>, %y: memref<2xf32>) attributes {xmlc.inline} {
  %c1 = arith.constant 1 : index
  %v = memref.load %x[%c1] : memref<2xf32>
  memref.store %v, %y[%c1] : memref<2xf32>
  func.return
}
"""


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels of a few ops have units of their own, and nothing comes from the cache."""
    monkeypatch.setattr(units, "LEAST", 1)
    monkeypatch.setenv("XMLC_CACHE", "0")


def parsed(text: str) -> ModuleOp:
    return parse_module(text, "test", context())


def name_of(op: object) -> str:
    assert isinstance(op, func.FuncOp | memref.GlobalOp)
    return op.sym_name.data


def test_a_small_module_is_one_unit() -> None:
    assert len(units.units_of(parsed(KERNELS))) == 1


@pytest.mark.usefixtures("small")
def test_kernels_are_spread_and_what_they_use_is_in_every_unit() -> None:
    found = units.units_of(parsed(KERNELS))
    kernels = [[name_of(op) for op in unit.defined if units.is_kernel(op)] for unit in found]
    assert sorted(name for names in kernels for name in names) == ["sqrt", "sqrt_2"]
    assert len(found[0].called) == 2 - len(kernels[0])
    for unit, names in zip(found, kernels):
        assert {"table", "add"} & {name_of(op) for op in unit.defined} == ({"table", "add"} if names else set())


@pytest.mark.usefixtures("small")
def test_a_shared_kernel_is_not_taken_for_a_function_of_the_c_library() -> None:
    first, *others = emit_units(parsed(KERNELS), host())
    assert "call void @kernel.sqrt_2(" in first or "call void @kernel.sqrt(" in first
    assert not any(" @sqrt" in text for text in (first, *others) if "internal void @sqrt" not in text)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("seed", range(4))
def test_programs_in_units_give_what_the_reference_gives(seed: int) -> None:
    fitting = [sample for sample in SAMPLES if f32 in sample.elements]
    module, inputs = grouped(random.Random(seed).sample(fitting, 8), f32)
    with np.errstate(all="ignore"):
        expected = interpret(module, entry_of(module).sym_name.data, [x.copy() for x in inputs])
    made = compile_anew(module, Settings(opt_level=1, threads=2))
    assert len(made.code) > 1
    kept = Compiled.from_bytes(made.to_bytes())
    assert kept == made
    found = CompiledModule(kept.main.signature, kept.code, kept.main.arena_bytes, {})(*[x.copy() for x in inputs])
    wrong = [difference(f"result {i}", np.asarray(a), b) for i, (a, b) in enumerate(zip(expected, found, strict=True))]
    assert not any(wrong), "\n".join(str(each) for each in wrong if each)
