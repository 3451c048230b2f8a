"""From linalg to loops: each of the four passes keeps the meaning of a program, and MLIR accepts what it prints."""

from __future__ import annotations

import io
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from linalg_programs import PROGRAMS
from oracle import mlir_opt, mlir_opt_functions, needs_mlir, parse
from random_linalg import program
from xdsl.context import Context
from xdsl.dialects import func, memref
from xdsl.dialects.builtin import ModuleOp
from xdsl.printer import Printer

from xmlc.dialects.dtypes import TO_NUMPY
from xmlc.dialects.reference.interpreter import interpret, interpret_into
from xmlc.passes.bufferize import Bufferize
from xmlc.passes.fuse_linalg import FuseLinalg
from xmlc.passes.lower_linalg import LowerLinalg
from xmlc.passes.plan_memory import PlanMemory

PASSES = (FuseLinalg(), Bufferize(), LowerLinalg(), PlanMemory())
Arrays = list[Any]


def public_functions(module: ModuleOp) -> list[func.FuncOp]:
    return [op for op in module.ops if isinstance(op, func.FuncOp) and op.sym_visibility is None]


def array_like(type: Any) -> Any:
    """Garbage: what nothing has written yet."""
    return np.full(type.get_shape(), 85, TO_NUMPY[type.element_type])


def inputs_of(function: func.FuncOp, seed: int = 1) -> Arrays:
    """Random arrays for a function's parameters; integers are small, so that they can be indices."""
    random = np.random.default_rng(seed)
    values: Arrays = []
    for type in function.function_type.inputs:
        if not hasattr(type, "get_shape"):
            values.append(np.bool_(seed % 2))
            continue
        dtype = TO_NUMPY[type.element_type]  # pyright: ignore
        shape = type.get_shape()  # pyright: ignore
        is_float = dtype.kind == "f"
        values.append((random.standard_normal(shape) if is_float else random.integers(0, 5, shape)).astype(dtype))
    return values


def run(module: ModuleOp, name: str, inputs: Arrays, results: int) -> Arrays:
    """Interpret a function of either level; what it must not write is checked to be as it was."""
    function = next(each for each in public_functions(module) if each.sym_name.data == name)
    given = [value.copy() for value in inputs]
    if len(function.function_type.outputs) == results:
        return list(interpret(module, name, given))
    outputs = [array_like(type) for type in list(function.function_type.inputs)[len(inputs) :]]
    interpret_into(module, name, [*given, *outputs])
    for before, after in zip(inputs, given):
        np.testing.assert_array_equal(before, after)
    return outputs[:results]


def expect_equal(found: Arrays, wanted: Arrays, what: str) -> None:
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-5, err_msg=what)


def expect_no_shared_arguments(module: ModuleOp) -> None:
    """What a call writes is no buffer that it reads: the arguments of our functions are `noalias`."""

    def root(value: Any) -> Any:
        views = (memref.CollapseShapeOp, memref.ExpandShapeOp, memref.SubviewOp)
        while isinstance(value.owner, views):
            value = value.owner.operands[0]
        return value

    for call in [op for op in module.walk() if isinstance(op, func.CallOp)]:
        callee = next(
            op for op in module.ops if isinstance(op, func.FuncOp) and op.sym_name == call.callee.root_reference
        )
        assert callee.arg_attrs is not None
        roots = [root(value) for value in call.operands]
        for position, attributes in enumerate(callee.arg_attrs):
            if "xmlc.output" in attributes.data:
                assert roots.count(roots[position]) == 1


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_pass_keeps_the_meaning(name: str) -> None:
    module = parse(PROGRAMS[name])
    names = [function.sym_name.data for function in public_functions(module)]
    inputs = {f.sym_name.data: inputs_of(f) for f in public_functions(module)}
    wanted = {each: list(interpret(module, each, inputs[each])) for each in names}
    for pass_ in PASSES:
        pass_.apply(Context(), module)
        module.verify()
        for each in names:
            expect_equal(run(module, each, inputs[each], len(wanted[each])), wanted[each], f"{pass_.name}: @{each}")


@needs_mlir
@pytest.mark.parametrize("name", PROGRAMS)
def test_mlir_accepts_every_level(name: str) -> None:
    module = parse(PROGRAMS[name])
    for pass_ in PASSES:
        pass_.apply(Context(), module)
        mlir_opt(str(module))


@needs_mlir
@pytest.mark.parametrize("name", PROGRAMS)
def test_mlir_compiles_the_loops_to_the_same_numbers(name: str) -> None:
    module = parse(PROGRAMS[name])
    functions = public_functions(module)
    inputs = {f.sym_name.data: inputs_of(f, seed=2) for f in functions}
    results = {f.sym_name.data: list(interpret(module, f.sym_name.data, inputs[f.sym_name.data])) for f in functions}
    for pass_ in PASSES:
        pass_.apply(Context(), module)
    text = io.StringIO()
    Printer(text, print_generic_format=True).print_op(module)
    compiled = mlir_opt_functions(text.getvalue())
    for function in public_functions(module):
        each = function.sym_name.data
        types = list(function.function_type.inputs)[len(inputs[each]) :]
        outputs = [array_like(type) for type in types]
        compiled[each](*inputs[each], *outputs)
        expect_equal(outputs[: len(results[each])], results[each], each)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=False))
def test_random_programs_keep_their_meaning(random: Random) -> None:
    """Awkward reuse: see random_linalg.py."""
    module = parse(program(random))
    inputs = inputs_of(public_functions(module)[0])
    wanted = list(interpret(module, "main", inputs))
    for pass_ in PASSES:
        pass_.apply(Context(), module)
        module.verify()
        expect_equal(run(module, "main", inputs, len(wanted)), wanted, pass_.name)
        if isinstance(pass_, Bufferize):
            expect_no_shared_arguments(module)


def count(module: ModuleOp, name: str) -> int:
    return sum(op.name == name for op in module.walk())


@pytest.fixture
def lowered() -> Callable[..., ModuleOp]:
    def lower(text: str, *passes: Any) -> ModuleOp:
        module = parse(text)
        for pass_ in passes:
            pass_.apply(Context(), module)
        return module

    return lower


@pytest.mark.parametrize("name", ["matmul", "convolution", "softmax", "argmax", "concat"])
def test_results_are_written_in_place(name: str, lowered: Callable[..., ModuleOp]) -> None:
    assert count(lowered(PROGRAMS[name], *PASSES), "memref.copy") == 0


def test_a_chain_of_results_needs_no_temporary(lowered: Callable[..., ModuleOp]) -> None:
    module = lowered(PROGRAMS["matmul"], *PASSES)
    assert count(module, "memref.alloc") == count(module, "memref.alloca") == 0


def test_a_reduction_takes_the_fill_of_its_accumulator_into_its_loop(lowered: Callable[..., ModuleOp]) -> None:
    module = lowered(PROGRAMS["argmax"], *PASSES)
    assert count(module, "scf.for") == 2
    assert count(module, "memref.store") == 2


def test_buffers_that_are_never_needed_at_once_share_the_arena(lowered: Callable[..., ModuleOp]) -> None:
    attributes = public_functions(lowered(PROGRAMS["softmax"], *PASSES))[0].attributes
    arena, live, everything = (
        attributes[f"xmlc.{each}"].value.data for each in ("arena_bytes", "live_bytes", "buffer_bytes")
    )
    assert live <= arena < everything
